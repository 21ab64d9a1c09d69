package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// ask has the server itself tell what the recording holds, up to the end that it returns.
func ask(ctx context.Context, c *cluster, start pglogrepl.LSN, r *recording) (end pglogrepl.LSN, err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "select current_setting('server_version_num')::int, pg_current_wal_flush_lsn()").Scan(&r.Version, &end)
	if err != nil {
		return 0, err
	}
	end &^= segment - 1
	if r.Version < 150000 {
		r.Events, err = askSlots(ctx, conn)
	} else {
		r.Events, err = askInspect(ctx, conn, start, end)
	}
	return end, err
}

// kinds are the names of xact_identify (xactdesc.c) for what we report.
var kinds = map[string]string{
	"COMMIT": "commit", "PREPARE": "prepare", "COMMIT_PREPARED": "commit prepared", "ABORT_PREPARED": "abort prepared",
}

// inspected is how xactdesc.c begins: the prepared transaction, if the record is of one, or the name of one, and the time.
var inspected = regexp.MustCompile(`^(?:(\d+): |gid (.*): )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)\+00`)

// askInspect asks pg_walinspect, which does not tell the name in an end of a prepared transaction: it is the prepare's.
func askInspect(ctx context.Context, conn *pgx.Conn, start, end pglogrepl.LSN) ([]told, error) {
	if _, err := conn.Exec(ctx, "create extension pg_walinspect"); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `select start_lsn, end_lsn, xid::text::bigint, record_type, description
		from pg_get_wal_records_info($1::text::pg_lsn, $2::text::pg_lsn)
		where resource_manager = 'Transaction' order by start_lsn`, start.String(), end.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := make(map[uint32]string)
	var list []told
	for rows.Next() {
		var from, to pglogrepl.LSN
		var xid uint32
		var name, text string
		if err := rows.Scan(&from, &to, &xid, &name, &text); err != nil {
			return nil, err
		}
		kind, ok := kinds[name]
		if !ok {
			continue
		}
		m := inspected.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("%s at %s reads %.100q", name, from, text)
		}
		if m[1] != "" {
			n, err := strconv.ParseUint(m[1], 10, 32)
			if err != nil {
				return nil, err
			}
			xid = uint32(n)
		}
		if kind == "prepare" {
			names[xid] = m[2]
		}
		list = append(list, told{Kind: kind, Start: from.String(), End: to.String(), XID: xid, GID: names[xid], Time: m[3]})
	}
	return list, rows.Err()
}

// decoded is what test_decoding says of an end.
var decoded = regexp.MustCompile(`^(COMMIT|PREPARE TRANSACTION|COMMIT PREPARED|ROLLBACK PREPARED) (?:'(.*)', txid )?(\d+) \(at (.*)\+00\)$`)

// askSlots asks two slots: one whose output plugin tells of every end and where it ends, one that tells where commits
// begin.
func askSlots(ctx context.Context, conn *pgx.Conn) ([]told, error) {
	begins, err := askBegins(ctx, conn)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `select lsn, data from pg_logical_slot_get_changes('ends', null, null, 'include-timestamp', 'on')
		where data ~ '^(COMMIT|PREPARE|ROLLBACK)'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []told
	for rows.Next() {
		var to pglogrepl.LSN
		var text string
		if err := rows.Scan(&to, &text); err != nil {
			return nil, err
		}
		m := decoded.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("%s reads %.100q", to, text)
		}
		xid, err := strconv.ParseUint(m[3], 10, 32)
		if err != nil {
			return nil, err
		}
		kind := map[string]string{"COMMIT": "commit", "PREPARE TRANSACTION": "prepare", "COMMIT PREPARED": "commit prepared",
			"ROLLBACK PREPARED": "abort prepared"}[m[1]]
		e := told{Kind: kind, End: to.String(), XID: uint32(xid), GID: strings.ReplaceAll(m[2], "''", "'"), Time: m[4]}
		if begin, ok := begins[e.XID]; ok && strings.HasPrefix(kind, "commit") {
			if begin.time != e.Time {
				return nil, fmt.Errorf("transaction %d committed at %s and at %s", e.XID, begin.time, e.Time)
			}
			e.Start = begin.start.String()
		}
		if e.Time == elsewhere { // decode.c shows the origin's time in the place of the commit's
			e.Time = ""
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

type begin struct {
	start pglogrepl.LSN
	time  string
}

// askBegins takes from pgoutput's Begin messages where the commits begin.
func askBegins(ctx context.Context, conn *pgx.Conn) (map[uint32]begin, error) {
	rows, err := conn.Query(ctx, `select data from pg_logical_slot_get_binary_changes('begins', null, null,
		'proto_version', '1', 'publication_names', 'p')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make(map[uint32]begin)
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return nil, err
		}
		if data[0] != 'B' {
			continue
		}
		if len(data) != 21 {
			return nil, errors.New("a Begin message of unknown length")
		}
		at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(binary.BigEndian.Uint64(data[9:])) * time.Microsecond)
		list[binary.BigEndian.Uint32(data[17:])] = begin{
			start: pglogrepl.LSN(binary.BigEndian.Uint64(data[1:])),
			time:  at.Format("2006-01-02 15:04:05.999999"),
		}
	}
	return list, rows.Err()
}
