package capture

import (
	"maps"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// applicationName is what pg_stat_activity and the holder of a slot show of us.
const applicationName = "pgwitness"

// parseSource reads a libpq connection string together with the PG* environment, passfile and service file.
func parseSource(source string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return nil, parseError(err)
	}
	// libpq keeps these to itself; pgx would send them to the server as settings.
	for name := range config.RuntimeParams {
		if strings.HasPrefix(name, "keepalives") || clientOnly[name] {
			delete(config.RuntimeParams, name)
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4,
	}}
	config.DialFunc = dialer.DialContext
	pin(config.RuntimeParams, map[string]string{
		"application_name": applicationName, "client_encoding": "UTF8", "search_path": "",
	})
	return config, nil
}

var clientOnly = map[string]bool{
	"replication": true, "fallback_application_name": true, "tcp_user_timeout": true, "gssencmode": true,
	"gsslib": true, "gssdelegation": true, "sslcompression": true, "sslcrl": true, "sslcrldir": true,
	"ssl_min_protocol_version": true, "ssl_max_protocol_version": true, "requirepeer": true,
	"load_balance_hosts": true, "dbname": true,
}

// pin sets parameters of the start-up packet. Their names are compared as the server compares them, without case, so
// that PGTZ ("timezone") and our TimeZone are not both sent.
func pin(params, fixed map[string]string) {
	for name := range params {
		for f := range fixed {
			if strings.EqualFold(name, f) {
				delete(params, name)
			}
		}
	}
	maps.Copy(params, fixed)
}

// timeouts are switched off in every session of ours: a session that the server ends for being idle or slow would look
// like a failure. A transaction never waits for a synchronous standby, which may be our own witness.
func timeouts(version int) map[string]string {
	settings := map[string]string{
		"statement_timeout":                   "0",
		"lock_timeout":                        "0",
		"idle_in_transaction_session_timeout": "0",
		"idle_session_timeout":                "0",
		"synchronous_commit":                  "local",
	}
	if version >= 17_00_00 {
		settings["transaction_timeout"] = "0"
	}
	return settings
}

// streamSettings are the replication session's: whatever changes the text of a value is fixed, so that settings of a
// role or a database cannot change a record. The start-up packet is above both (guc.h, PGC_S_CLIENT).
func streamSettings(version int, encoding string) map[string]string {
	settings := timeouts(version)
	maps.Copy(settings, map[string]string{
		"replication":                 "database",
		"application_name":            applicationName,
		"DateStyle":                   "ISO",
		"IntervalStyle":               "postgres",
		"TimeZone":                    "UTC",
		"bytea_output":                "hex",
		"extra_float_digits":          "1",
		"lc_monetary":                 "C",
		"search_path":                 "",
		"quote_all_identifiers":       "off",
		"standard_conforming_strings": "on",
		"client_min_messages":         "warning", // readNotice acts on one
		// The database's own encoding: the server converts nothing, so no byte in a row can make the stream fail.
		"client_encoding": encoding,
	})
	return settings
}
