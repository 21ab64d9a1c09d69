//go:build integration

package servers

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/testcontainers/testcontainers-go"
)

func postgresImage(version int) string {
	if image := os.Getenv("PGWITNESS_TEST_POSTGRES_IMAGE"); image != "" {
		return strings.ReplaceAll(image, "%d", fmt.Sprint(version))
	}
	return fmt.Sprintf("postgres:%d", version)
}

// dockerPostgres starts a container of the official image, or of one that understands the same environment.
func dockerPostgres(version int, settings []string) (*Postgres, error) {
	ctx := context.Background()
	image := postgresImage(version)
	if err := haveImage(ctx, image); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	options, settings := initOptions(settings)
	server := &box{image: image, port: port, inside: 5432, options: []testcontainers.ContainerCustomizer{
		testcontainers.WithEnv(map[string]string{
			"POSTGRES_USER": superuser, "POSTGRES_PASSWORD": password, "POSTGRES_INITDB_ARGS": strings.Join(append([]string{"--locale=C", "--encoding=UTF8"}, options...), " "),
		}),
		testcontainers.WithCmd(append([]string{"postgres"}, switches(settings)...)...),
	}}
	p := &Postgres{
		Version: version, Host: "127.0.0.1", Port: port, user: userinfo(superuser, password), instance: server,
	}
	err = server.start()
	if err == nil {
		err = p.ready()
	}
	if err == nil {
		err = p.admitStandbys(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", image, err, server.output())
		server.remove()
		return nil, err
	}
	return p, nil
}

// admitStandbys opens physical replication from outside the container: the official image's pg_hba.conf lets other
// hosts into every database, which the word "all" of its line does not say of replication.
func (p *Postgres) admitStandbys(ctx context.Context) error {
	c, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, `copy (select 'host replication all all scram-sha-256')
		to program 'cat >> "$PGDATA/pg_hba.conf"'; select pg_reload_conf()`)
	return err
}
