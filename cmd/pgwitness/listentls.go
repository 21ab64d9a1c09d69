package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// listenTLS prepares TLS for run.listen, nil for none. The files are read here, so that a wrong path is told before
// anything is touched, and again for each connection, so that the certificate can be renewed under a run.
func (c *config) listenTLS(log hclog.Logger) (*tls.Config, error) {
	files := c.Run.TLS
	if files.CertFile == "" && files.KeyFile == "" {
		return nil, nil
	}
	if files.CertFile == "" || files.KeyFile == "" {
		return nil, usagef("run.tls.cert_file and run.tls.key_file belong together: %q and %q", files.CertFile, files.KeyFile)
	}
	if c.Run.Listen == "" {
		return nil, c.refuse("run.tls.cert_file", files.CertFile, "with run.listen")
	}
	k := &keyPair{files: files, log: log}
	if _, err := k.load(); err != nil {
		return nil, usageError{err}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: k.certificate}, nil
}

// A keyPair is a certificate with its key that is renewed in its files. Two files are not renewed at one moment: as long
// as they do not fit, the last ones that did serve on.
type keyPair struct {
	files listenTLSConfig
	log   hclog.Logger

	mu   sync.Mutex // guards the rest
	last *tls.Certificate
}

func (k *keyPair) load() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pair, err := tls.LoadX509KeyPair(k.files.CertFile, k.files.KeyFile)
	if err != nil {
		return k.last, fmt.Errorf("run.tls.cert_file and run.tls.key_file: %w", err)
	}
	k.last = &pair
	return k.last, nil
}

func (k *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair, err := k.load()
	if err != nil {
		k.log.Warn("the certificate cannot be read anew; the one before is shown", "error", err)
	}
	return pair, nil
}

// runClient asks runs. Where the certificate that a run shows is known here, no authority needs to vouch for it.
func (c *config) runClient() (*http.Client, error) {
	transport := &http.Transport{} // without a proxy
	if file := c.Run.TLS.CertFile; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{fmt.Errorf("run.tls.cert_file: %w", err)}
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	return &http.Client{Transport: transport}, nil
}
