//go:build integration

package servers

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

// envPostgres takes the server that PGWITNESS_TEST_POSTGRES_<version> names.
func envPostgres(version int) (*Postgres, error) {
	name := fmt.Sprintf("PGWITNESS_TEST_POSTGRES_%d", version)
	value := os.Getenv(name)
	if value == "" {
		return nil, fmt.Errorf("%w: %s is not set to a superuser's URL", errAbsent, name)
	}
	config, err := pgx.ParseConfig(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer c.Close(ctx)
	var major int
	var level, super string
	err = c.QueryRow(ctx, `select current_setting('server_version_num')::int / 10000, current_setting('wal_level'),
		current_setting('is_superuser')`).Scan(&major, &level, &super)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case major != version:
		return nil, fmt.Errorf("%s names a PostgreSQL %d", name, major)
	case level != "logical":
		return nil, fmt.Errorf("%s: wal_level is %s: set it to logical and restart the server", name, level)
	case super != "on":
		return nil, fmt.Errorf("%s: user %s is not a superuser", name, config.User)
	}
	return &Postgres{
		Version: version, Host: config.Host, Port: int(config.Port), user: userinfo(config.User, config.Password),
	}, nil
}
