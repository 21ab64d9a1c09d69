package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

const statusLong = `Shows where the trail stands: the slot, how far it is behind in bytes and seconds, how much log the
server keeps for it, what is published, whose changes are known, and how many records the topics hold. They are counted by
offsets, of which each start of run takes one in every partition.

With run.listen (or --listen, or --url) the run there is asked as well how far it is, and whether it is ready.`

// A trailStatus is what status shows; its JSON names are stable.
type trailStatus struct {
	Source      string        `json:"source"`
	Server      string        `json:"server_version"`
	Slot        slotStatus    `json:"slot"`
	Publication publishStatus `json:"publication"`
	Who         whoStatus     `json:"who"`
	Topics      []topicStatus `json:"topics,omitempty"`
	Kafka       string        `json:"kafka_error,omitempty"`
	Run         *report       `json:"run,omitempty"`
	RunError    string        `json:"run_error,omitempty"`
}

type slotStatus struct {
	Name          string   `json:"name"`
	Exists        bool     `json:"exists"`
	Active        bool     `json:"active"`
	ActiveBy      string   `json:"active_by,omitempty"`
	WALStatus     string   `json:"wal_status,omitempty"`
	Invalidation  string   `json:"invalidation_reason,omitempty"`
	ConfirmedLSN  string   `json:"confirmed_lsn,omitempty"`
	RestartLSN    string   `json:"restart_lsn,omitempty"`
	LagBytes      int64    `json:"lag_bytes"`
	LagSeconds    *float64 `json:"lag_seconds"` // null: not known
	RetainedBytes int64    `json:"retained_bytes"`
}

type publishStatus struct {
	Name   string        `json:"name"`
	Exists bool          `json:"exists"`
	Tables []tableStatus `json:"tables"`
}

type tableStatus struct {
	Schema   string `json:"schema"`
	Table    string `json:"table"`
	Identity string `json:"identity"`
}

type topicStatus struct {
	Name       string            `json:"name"`
	Partitions []partitionStatus `json:"partitions"`
}

type partitionStatus struct {
	Partition int   `json:"partition"`
	Start     int64 `json:"start_offset"`
	End       int64 `json:"end_offset"`
	// Records is end - start: with a few offsets that hold no record (the ends of aborted transactions, one for each
	// start of run), so it is an upper bound.
	Records int64 `json:"records"`
}

func newStatusCommand(cfg *config) *cobra.Command {
	var asJSON bool
	var url string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show slot, lag, retained log and topics",
		Long:  statusLong,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), cfg, url, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&url, "url", "", "ask the run at this `URL`, such as http://10.0.0.7:9187; an error when it does not answer")
	keyFlag(cmd.Flags(), "listen", "run.listen", "ask the run at this `address`")
	return cmd
}

func runStatus(ctx context.Context, cfg *config, url string, asJSON bool, stdout, stderr io.Writer) error {
	var st trailStatus
	runErr := st.askRun(ctx, cfg, url)
	if url == "" {
		runErr = nil // it is told, but nobody has said that there is one
	}
	sourceErr := st.readSource(ctx, cfg, stderr)
	if sourceErr != nil && st.Run == nil {
		return sourceErr
	}
	var kafkaErr error
	if sourceErr == nil {
		if kafkaErr = st.readTopics(ctx, cfg); kafkaErr != nil {
			st.Kafka = oneLine(kafkaErr.Error())
		}
	}
	if err := st.show(stdout, asJSON); err != nil {
		return err
	}
	return cmp.Or(sourceErr, kafkaErr, runErr)
}

// readSource adds what the database knows.
func (st *trailStatus) readSource(ctx context.Context, cfg *config, stderr io.Writer) error {
	conn, err := connect(ctx, cfg, "status", stderr)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	s, err := takeSurvey(ctx, conn, cfg, "")
	if err != nil {
		return err
	}
	now := statusOf(s, cfg)
	now.Source, now.Run, now.RunError = sourceName(conn.Config()), st.Run, st.RunError
	if now.Slot.LagSeconds, err = lagSeconds(ctx, conn, cfg.Source.Slot); err != nil {
		return fmt.Errorf("read the slot's lag: %w", err)
	}
	*st = *now
	return nil
}

func (st *trailStatus) show(w io.Writer, asJSON bool) error {
	if !asJSON {
		return st.write(w)
	}
	var all any = st
	if st.Source == "" { // the database does not answer
		all = struct {
			Run *report `json:"run"`
		}{st.Run}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(all)
}

func statusOf(s *survey, cfg *config) *trailStatus {
	st := &trailStatus{
		Server:      s.versionText,
		Slot:        slotStatus{Name: cfg.Source.Slot},
		Publication: publishStatus{Name: cfg.Source.Publication, Exists: s.publication != nil, Tables: []tableStatus{}},
		Who:         whoStatus{Hold: s.hold.word()},
	}
	if st.Who.Hold != "none" {
		st.Who.Witness = s.hold.name
	}
	if k := s.slot; k != nil {
		st.Slot = slotStatus{
			Name: cfg.Source.Slot, Exists: true, Active: k.active, ActiveBy: k.holder, WALStatus: k.walStatus, Invalidation: k.invalidation,
			ConfirmedLSN: k.confirmed, RestartLSN: k.restart, LagBytes: k.behindBytes, RetainedBytes: k.retainedBytes,
		}
	}
	for _, t := range s.tables {
		if t.published && t.kind == "r" { // a partitioned table has no rows of its own
			st.Publication.Tables = append(st.Publication.Tables, tableStatus{t.schema, t.name, identityName(t.identity)})
		}
	}
	return st
}

// identityName spells pg_class.relreplident out, as records do.
func identityName(relreplident string) string {
	return map[string]string{"d": "default", "n": "nothing", "f": "full", "i": "index"}[relreplident]
}

// lagSeconds is the age of the last change that was sent and is not confirmed, as the slot's walsender measures it. It is
// known only while that walsender runs and to a member of pg_read_all_stats; an idle one has none, which is 0.
func lagSeconds(ctx context.Context, conn *pgx.Conn, name string) (*float64, error) {
	var seconds *float64
	err := conn.QueryRow(ctx, `
		select case when r.state is not null then coalesce(extract(epoch from r.flush_lag), 0)::float8 end
		  from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid
		 where s.slot_name = $1`, name).Scan(&seconds)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	return seconds, err
}

// readTopics adds the topics. Without brokers in the configuration there are none to ask.
func (st *trailStatus) readTopics(ctx context.Context, cfg *config) error {
	if len(cfg.Kafka.Brokers) == 0 {
		return nil
	}
	if err := cfg.secureKafka(); err != nil {
		return err
	}
	c := openCluster(cfg, patience)
	defer c.close()
	topics, err := c.topics(ctx, cfg)
	if err != nil {
		return err
	}
	all, err := c.bounds(ctx, topics)
	if err != nil {
		return err
	}
	for _, t := range topics {
		topic := topicStatus{Name: t.Name}
		for id := range len(t.Partitions) {
			b := all[partitionID{t.Name, id}]
			topic.Partitions = append(topic.Partitions, partitionStatus{id, b.start, b.end, b.end - b.start})
		}
		st.Topics = append(st.Topics, topic)
	}
	return st.Who.readCoverage(ctx, c, cfg, topics, all)
}

func (st *trailStatus) write(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	if st.Source != "" {
		st.writeSource(line)
	}
	if st.Run != nil {
		st.Run.write(line)
	} else if st.RunError != "" {
		line("run", "%s", st.RunError)
	}
	st.writeTopics(line)
	_, err := io.WriteString(w, b.String())
	return err
}

func (st *trailStatus) writeSource(line func(name, format string, args ...any)) {
	line("source", "%s, PostgreSQL %s", st.Source, st.Server)
	switch k := st.Slot; {
	case !k.Exists:
		line("slot", "%s does not exist", k.Name)
	case k.WALStatus == "lost":
		line("slot", "%s is LOST%s: the server has removed log that it needs", k.Name, because(k.Invalidation))
	default:
		held := "nobody reads it"
		if k.Active {
			held = "read by " + k.ActiveBy
		}
		line("slot", "%s, %s", k.Name, held)
		line("confirmed", "%s, restart %s", k.ConfirmedLSN, k.RestartLSN)
		lag := bytesText(k.LagBytes)
		if k.LagSeconds != nil {
			lag += ", " + secondsText(*k.LagSeconds)
		}
		line("behind", "%s", lag)
		line("retained", "%s of log (%s)", bytesText(k.RetainedBytes), k.WALStatus)
	}
	if !st.Publication.Exists {
		line("publication", "%s does not exist", st.Publication.Name)
	} else {
		line("publication", "%s, %d tables", st.Publication.Name, len(st.Publication.Tables))
	}
	for _, t := range st.Publication.Tables {
		line("", "%s, identity %s", displayName(t.Schema, t.Table), t.Identity)
	}
	switch w := st.Who; w.Hold {
	case "on":
		line("hold", "on: every commit waits for %s", w.Witness)
	case "off":
		line("hold", "off: no commit waits for %s", w.Witness)
	case "hanging":
		line("hold", "EVERY COMMIT HANGS: %s is not there; pgwitness hold off frees them", w.Witness)
	}
	if text := st.Who.text(); text != "" {
		line("attributed", "%s", text)
	}
}

func (st *trailStatus) writeTopics(line func(name, format string, args ...any)) {
	name := "topics"
	for _, t := range st.Topics {
		total := int64(0)
		parts := make([]string, len(t.Partitions))
		for i, p := range t.Partitions {
			total += p.Records
			parts[i] = fmt.Sprint(p.Records)
		}
		detail := ""
		if len(parts) > 1 {
			detail = " (" + strings.Join(parts, " + ") + ")"
		}
		line(name, "%s: %d records%s", t.Name, total, detail)
		name = ""
	}
}
