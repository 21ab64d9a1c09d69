package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	saslplain "github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// secureKafka prepares TLS and SASL. What the files hold is looked at here, so that a wrong path is told before anything is
// touched, and again for each connection, so that a certificate or a password can be renewed under a run.
func (c *config) secureKafka() error {
	var err error
	if c.kafkaTLS, err = c.brokerTLS(); err != nil {
		return err
	}
	c.kafkaSASL, err = c.brokerSASL()
	return err
}

func (c *config) brokerTLS() (*tls.Config, error) {
	files := c.Kafka.TLS
	if !files.Enabled {
		for _, other := range []struct{ path, value string }{
			{"kafka.tls.ca_file", files.CAFile}, {"kafka.tls.cert_file", files.CertFile}, {"kafka.tls.key_file", files.KeyFile},
		} {
			if other.value != "" {
				return nil, c.refuse(other.path, other.value, "with kafka.tls.enabled: true")
			}
		}
		return nil, nil
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if files.CAFile != "" {
		pem, err := c.secretFile("kafka.tls.ca_file", files.CAFile)
		if err != nil {
			return nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, c.refuse("kafka.tls.ca_file", files.CAFile, "a file with certificates in PEM form")
		}
	}
	if (files.CertFile == "") != (files.KeyFile == "") {
		return nil, usagef("kafka.tls.cert_file and kafka.tls.key_file belong together: %q and %q", files.CertFile, files.KeyFile)
	}
	if files.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("kafka.tls.cert_file and kafka.tls.key_file: %w", err)
			}
			if end := pair.Leaf.NotAfter; time.Now().After(end) {
				return nil, fmt.Errorf("kafka.tls.cert_file: %s: the certificate expired on %s", files.CertFile, end.Format(time.DateTime))
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, usageError{err}
		}
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return settings, nil
}

func (c *config) brokerSASL() (sasl.Mechanism, error) {
	s := c.Kafka.SASL
	if s.Mechanism == "" {
		return nil, nil
	}
	if !strings.HasPrefix(s.Mechanism, "scram-") && !c.Kafka.TLS.Enabled {
		return nil, c.refuse("kafka.sasl.mechanism", s.Mechanism, "with kafka.tls.enabled: true, because it sends the password, or the token, as it is; scram-sha-512 does not")
	}
	if s.Mechanism == "oauthbearer" || s.Mechanism == "aws-msk-iam" {
		extensions, ok := extensionsOf(s.OAuth.Extensions)
		if !ok {
			return nil, c.refuse("kafka.sasl.oauth.extensions", extensions, "names of a-z and A-Z, but not auth, with values of printable ASCII")
		}
		t, err := c.brokerTokens()
		return bearer{t, extensions}, err
	}
	if s.Username == "" || s.PasswordFile == "" {
		return nil, usagef("kafka.sasl.mechanism %s needs kafka.sasl.username and kafka.sasl.password_file", s.Mechanism)
	}
	m := login{config: c, name: strings.ToUpper(s.Mechanism)}
	_, err := m.mechanism()
	return m, err
}

// A login is a SASL mechanism whose password is read from its file for each connection.
type login struct {
	config *config
	name   string // as IANA registers it
}

// Name implements sasl.Mechanism.
func (l login) Name() string { return l.name }

// Start implements sasl.Mechanism.
func (l login) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	m, err := l.mechanism()
	if err != nil {
		return nil, nil, err
	}
	return m.Start(ctx)
}

func (l login) mechanism() (sasl.Mechanism, error) {
	s := l.config.Kafka.SASL
	password, err := l.config.secretFile("kafka.sasl.password_file", s.PasswordFile)
	if err != nil {
		return nil, err
	}
	password = strings.TrimRight(password, "\r\n")
	switch s.Mechanism {
	case "plain":
		return saslplain.Mechanism{Username: s.Username, Password: password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, s.Username, password)
	}
	return scram.Mechanism(scram.SHA512, s.Username, password)
}

// secretFile reads a file that a key names.
func (c *config) secretFile(path, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		where := ""
		if o, ok := c.origins[path]; ok {
			where = o.where + ": "
		}
		return "", usageError{fmt.Errorf("%s%s: %w", where, path, err)}
	}
	return string(text), nil
}
