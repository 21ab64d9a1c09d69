import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;

class Frame {
    public static void main(String[] args) throws Exception {
        try (Connection connection = DriverManager.getConnection(System.getenv("JDBC_URL"))) {
            EXAMPLE
        }
    }
}
