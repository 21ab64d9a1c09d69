package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// askTime bounds the question to a run.
const askTime = 5 * time.Second

// readRun asks the run that answers at a URL.
func readRun(ctx context.Context, client *http.Client, base string) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/status", nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s; is it pgwitness?", res.Status)
	}
	const most = 64 << 20 // thousands of topics
	var r report
	if err := json.NewDecoder(io.LimitReader(res.Body, most)).Decode(&r); err != nil {
		return nil, fmt.Errorf("read its answer: %w; is it pgwitness?", err)
	}
	return &r, nil
}

// askRun asks the run at the URL, or else at run.listen. Without either there is nothing to ask.
func (st *trailStatus) askRun(ctx context.Context, cfg *config, base string) error {
	if base == "" {
		if cfg.Run.Listen == "" {
			return nil
		}
		scheme := "http://"
		if cfg.Run.TLS.CertFile != "" {
			scheme = "https://"
		}
		base = scheme + loopback(cfg.Run.Listen)
	}
	client, err := cfg.runClient()
	if err == nil {
		st.Run, err = readRun(ctx, client, base)
		client.CloseIdleConnections()
	}
	if err != nil {
		err = fmt.Errorf("ask the run at %s: %w", base, err)
		st.RunError = oneLine(err.Error())
	}
	return err
}

// write shows a report.
func (r *report) write(line func(name, format string, args ...any)) {
	state := "ready"
	if !r.Ready {
		state = "NOT READY: " + strings.Join(r.NotReady, "; ")
	}
	line("run", "%s, since %s, sessions %d", r.Version, r.StartedAt.Format(time.RFC3339), r.Sessions)
	line("", "%s", state)
	for _, s := range r.Stages {
		lag := "lag not known"
		if s.LagBytes != nil && s.LagSeconds != nil {
			lag = fmt.Sprintf("%s, %s behind", bytesText(*s.LagBytes), secondsText(*s.LagSeconds))
		}
		line("", "%s %s, %s", s.Stage, s.LSN, lag)
	}
	if r.Buffered > 0 {
		line("", "not acknowledged yet: %s, the oldest %s old", bytesText(int64(r.Buffered)), secondsText(r.Oldest))
	}
	if h := r.Hold; h != nil {
		force := "not in force"
		if h.InForce {
			force = "in force"
		}
		line("", "hold %s, the witness is %s behind", force, secondsText(h.Behind))
	}
	records, bytes := uint64(0), uint64(0)
	for _, t := range r.Topics {
		for _, n := range t.Records {
			records += n
		}
		bytes += t.Bytes
	}
	line("", "delivered: %d records, %s; batches sent again %d, records without images %d", records, bytesText(int64(bytes)), r.Retries, r.Oversize)
	if r.Gaps+r.Accepted > 0 {
		line("", "gaps: %d open, %d accepted", r.Gaps, r.Accepted)
	}
}
