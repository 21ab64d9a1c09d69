package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"pgwitness/capture"
	"pgwitness/publish"
)

// recordLoss writes into the trail that its slot is lost. The error that it returns says what to do; any other error
// than a loss comes back as it is.
func recordLoss(ctx context.Context, cfg *config, err error, log hclog.Logger) error {
	loss, ok := errors.AsType[*capture.LossError](err)
	if !ok || loss.Source.System == 0 {
		return err
	}
	to := cfg.publish()
	to.Source, to.Start = loss.Source, loss.Confirmed
	found := fmt.Sprintf("slot %s is gone", loss.Slot)
	drop := ""
	if loss.Reason != "" {
		found = fmt.Sprintf("slot %s was invalidated (%s) and stood at %s", loss.Slot, loss.Reason, loss.Confirmed)
		drop = "drop it (select pg_drop_replication_slot(" + quoteLiteral(loss.Slot) + ")) and "
	}
	recorded := publish.Lost(ctx, to, fmt.Sprintf("%s when the server stood at %s: what it had not delivered is not in the trail; "+
		"%smake it anew with pgwitness setup --apply", found, loss.Current, drop), log)
	var gap *publish.GapError
	switch {
	case recorded == nil: // no trail has begun
		return err
	case errors.As(recorded, &gap):
		return recorded
	}
	return fmt.Errorf("%w; this could not be recorded: %w", err, recorded)
}
