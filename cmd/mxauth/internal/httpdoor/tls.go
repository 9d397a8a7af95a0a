package httpdoor

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"github.com/mxauth/mxauth/internal/tlsfloor"
)

// maxPEM bounds a file of certificates in bytes.
const maxPEM = 4 << 20

// TLSFiles are the certificate of a server and the authorities of its clients, read from
// files. It may be used by many goroutines at once.
type TLSFiles struct {
	certificate, key, clientCA string
	current                    atomic.Pointer[tls.Config]
}

// OpenTLS reads PEM files: the chain of the server, its key, and, unless clientCA is "", the
// authorities of which clients must show a certificate.
func OpenTLS(certificate, key, clientCA string) (*TLSFiles, error) {
	f := &TLSFiles{certificate: certificate, key: key, clientCA: clientCA}
	return f, f.Reload()
}

// Reload reads the files again. After an error what was read before counts.
func (f *TLSFiles) Reload() error {
	chain, err := readFile(f.certificate, maxPEM)
	if err != nil {
		return err
	}
	key, err := readFile(f.key, maxPEM)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", f.certificate, f.key, err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, CipherSuites: tlsfloor.Suites(), NextProtos: []string{"http/1.1"},
		// A resumed session would be one of a client that today's authorities did not see.
		SessionTicketsDisabled: true,
	}
	if f.clientCA != "" {
		pem, err := readFile(f.clientCA, maxPEM)
		if err != nil {
			return err
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !bytes.Contains(pem, []byte("-----BEGIN CERTIFICATE-----")) || !c.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: there is no certificate in it", f.clientCA)
		}
	}
	f.current.Store(c)
	return nil
}

// Config returns the configuration of a server, which follows [TLSFiles.Reload].
func (f *TLSFiles) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current.Load(), nil }}
}
