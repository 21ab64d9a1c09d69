package publish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/segmentio/kafka-go"
)

// connect makes sure that a broker answers at all.
func (c *cluster) connect(ctx context.Context) error {
	if c.patient {
		return c.retry(ctx, "reach Kafka at "+strings.Join(c.brokers, ", "), func(ctx context.Context) error {
			_, err := c.client.Metadata(ctx, &kafka.MetadataRequest{})
			return err
		})
	}
	ctx, cancel := context.WithTimeout(ctx, firstContact)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		_, last := c.client.Metadata(ctx, &kafka.MetadataRequest{})
		if last == nil {
			return nil
		}
		if err == nil || ctx.Err() == nil { // that the time is over tells less than what went wrong before
			err = last
		}
		if refused(last) {
			break
		}
		var refusal *net.OpError
		if errors.As(err, &refusal) && refusal.Op == "dial" && !refusal.Timeout() { // a "no" need not be asked for ten seconds
			break
		}
		c.refresh()
		sleep(ctx, 10*leastBackoff)
	}
	if err != nil {
		return fmt.Errorf("reach Kafka at %s: %w: %s", strings.Join(c.brokers, ", "), cause(err), Mend(err))
	}
	return nil
}

// Reach asks a broker for a sign of life. Any goroutine may call it.
func (s *Sink) Reach(ctx context.Context) error {
	// Metadata would come from the transport's memory (kafka-go transport.go, roundTrip).
	if _, err := s.cluster.client.ApiVersions(ctx, &kafka.ApiVersionsRequest{}); err != nil {
		return cause(err)
	}
	return nil
}

// Mend says which setting to look at when brokers cannot be reached.
func Mend(err error) string {
	var refusal *net.OpError
	var plain tls.RecordHeaderError
	var stranger *tls.CertificateVerificationError
	var mended interface{ Mend() string } // of whoever made the mechanism
	switch {
	case errors.As(err, &mended):
		return mended.Mend()
	case errors.Is(err, kafka.SASLAuthenticationFailed):
		return "look at kafka.sasl.username and kafka.sasl.password_file, or at kafka.sasl.oauth"
	case errors.Is(err, kafka.UnsupportedSASLMechanism), errors.Is(err, kafka.IllegalSASLState):
		return "look at kafka.sasl.mechanism"
	case errors.As(err, &stranger):
		return "look at kafka.tls.ca_file, and at the names in the broker's certificate"
	case errors.As(err, &plain):
		return "the broker speaks no TLS at that address; look at kafka.tls.enabled and kafka.brokers"
	case errors.As(err, &refusal) && refusal.Op == "remote error": // an alert (crypto/tls, Conn.readRecordOrCCS)
		return "the broker refuses our certificate, or wants one; look at kafka.tls.cert_file"
	case strings.Contains(err.Error(), "expecting TLS"): // kafka-go's transport.go, which knows no better
		return "look at kafka.tls.enabled"
	}
	return "is it running, and is kafka.brokers right?"
}
