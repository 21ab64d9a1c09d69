//go:build integration

package servers

import (
	_ "embed"
	"os"
	"path/filepath"
)

//go:embed debezium.pom.xml
var debeziumPOM []byte

const debeziumRelease = "3.6.1.Final" // as in debezium.pom.xml

// DebeziumClasspath is where the classes of Kafka Connect and of Debezium's PostgreSQL connector are.
func DebeziumClasspath() (string, error) {
	return mavenClasspath("debezium-"+debeziumRelease, debeziumPOM)
}

// mavenClasspath fetches what a pom depends on, once.
func mavenClasspath(name string, pom []byte) (string, error) {
	dir, err := Cached(name, func(dir string) error {
		file := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(file, pom, 0o644); err != nil {
			return err
		}
		return Maven("-f", file, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+dir)
	})
	return filepath.Join(dir, "*"), err
}
