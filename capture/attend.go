package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgwitness/capture/witness"
)

// WitnessSuffix makes of the slot's name the one of the witness's physical slot and of its session.
const WitnessSuffix = "_witness"

// Witness is how the witness of the cluster that the slot belongs to reaches it. It holds beyond the Source.
func (s *Source) Witness() witness.Config {
	ordinary := s.catalogue.config.Copy()
	pin(ordinary.RuntimeParams, map[string]string{"client_encoding": s.origin.Encoding})
	asks := &catalogue{config: ordinary}
	text := s.origin
	text.Charset = newCharset(text.Encoding, &catalogue{config: s.catalogue.config})
	name := s.slot + WitnessSuffix
	return witness.Config{
		Name: name, System: s.origin.System, TimelineOf: s.origin.TimelineOf, Text: text.Name,
		Connect: asks.connect,
		Replicate: func(ctx context.Context) (*pgconn.PgConn, error) {
			return replicate(ctx, ordinary, name)
		},
	}
}

// replicate opens a session in physical replication mode. pg_hba.conf lets it in by a line for "replication".
func replicate(ctx context.Context, source *pgx.ConnConfig, name string) (*pgconn.PgConn, error) {
	config := source.Config.Copy()
	settings := map[string]string{"replication": "true", "application_name": name}
	maps.Copy(settings, timeouts(0))
	pin(config.RuntimeParams, settings)
	config.ValidateConnect = isPrimary // target_session_attrs asks by SQL, which such a session does not know
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(source, fmt.Errorf("for the witness, which needs a line for \"replication\" in pg_hba.conf: %w", err),
			grantReplication(source.User))
	}
	return conn, nil
}

// isPrimary makes of several hosts the one where commits wait: a standby, too, would stream its log.
func isPrimary(ctx context.Context, conn *pgconn.PgConn) error {
	row, err := command(ctx, conn, "SHOW in_hot_standby", 1)
	if err == nil && row[0] != "off" {
		err = errors.New("the server is a standby")
	}
	return err
}
