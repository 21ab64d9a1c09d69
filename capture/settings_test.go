package capture

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestStreamSettings(t *testing.T) {
	for _, version := range []int{14_00_23, 15_00_18, 16_00_14, 17_00_10, 18_00_04} {
		s := streamSettings(version, "LATIN1")
		if _, has := s["transaction_timeout"]; has != (version >= 17_00_00) {
			t.Errorf("%d: transaction_timeout sent: %v; the server knows it from 17", version, has)
		}
		for name, want := range map[string]string{
			"replication": "database", "client_encoding": "LATIN1", "TimeZone": "UTC", "search_path": "",
			"synchronous_commit": "local", "idle_session_timeout": "0",
		} {
			if got, has := s[name]; !has || got != want {
				t.Errorf("%d: %s = %q, want %q", version, name, got, want)
			}
		}
	}
}

func TestPinIgnoresCase(t *testing.T) {
	params := map[string]string{"timezone": "Asia/Kolkata", "datestyle": "German", "geqo": "off"}
	pin(params, map[string]string{"TimeZone": "UTC", "DateStyle": "ISO"})
	if want := map[string]string{"TimeZone": "UTC", "DateStyle": "ISO", "geqo": "off"}; !maps.Equal(params, want) {
		t.Errorf("got %v, want %v", params, want)
	}
}

func TestParseSource(t *testing.T) {
	t.Setenv("PGTZ", "Asia/Kolkata")
	t.Setenv("PGAPPNAME", "somebody")
	t.Setenv("PGPORT", "7777")
	for _, source := range []string{
		"postgres://u@h/db?keepalives_idle=5&gssencmode=disable&fallback_application_name=x&client_encoding=LATIN1",
		"host=h user=u dbname=db keepalives=1 replication=true",
	} {
		config, err := parseSource(source)
		if err != nil {
			t.Fatal(err)
		}
		if config.Host != "h" || config.Port != 7777 || config.User != "u" || config.Database != "db" {
			t.Errorf("%s: %s:%d %s %s", source, config.Host, config.Port, config.User, config.Database)
		}
		got := slices.Sorted(maps.Keys(config.RuntimeParams))
		if want := []string{"application_name", "client_encoding", "search_path", "timezone"}; !slices.Equal(got, want) {
			t.Errorf("%s: parameters %v, want %v", source, got, want)
		}
		if config.RuntimeParams["application_name"] != "pgwitness" || config.RuntimeParams["client_encoding"] != "UTF8" {
			t.Errorf("%s: parameters %v", source, config.RuntimeParams)
		}
	}
}

func TestSourceIsNotShown(t *testing.T) {
	for _, source := range []string{
		"postgres://u:hidden@h:99999x/db", "postgres://u:hid`: den@h:1:2/db", "host=h password='hidden port=1",
		"host=h password=hidden port=x", "postgres://u:hidden@h/db?sslmode=wrong", "postgres://u:%zzhidden@h/db",
	} {
		_, err := parseSource(source)
		if err == nil {
			t.Errorf("%s is accepted", source)
		} else if text := err.Error(); strings.Contains(text, "hidden") || strings.Contains(text, "den@") || strings.Contains(text, "\n") {
			t.Errorf("%s: %s", source, text)
		}
	}
}

func TestStartReplication(t *testing.T) {
	got := startReplication(`s"1`, `my "pub" o'clock`)
	want := `START_REPLICATION SLOT "s""1" LOGICAL 0/0 ` +
		`(proto_version '1', publication_names '"my ""pub"" o''clock"', messages 'true')`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
