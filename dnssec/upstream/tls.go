package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/mxauth/mxauth/internal/tlsfloor"
)

// errPin says that no certificate of the server has a pinned key.
var errPin = errors.New("no certificate has a pinned key")

// tlsConfig is the strict profile of RFC 8310: TLS 1.2 or later, the whole path
// verified, the name looked for in subjectAltName alone (crypto/x509 knows no
// other place), pins checked where there are any.
func tlsConfig(s *server, alpn ...string) *tls.Config {
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12, // DOT8310-6.6-01: RFC 8310 section 6.6
		CipherSuites: tlsfloor.Suites(),
		RootCAs:      s.cfg.RootCAs,
		ServerName:   s.host, // DOT8310-8.1-01: RFC 8310 section 8.1
		NextProtos:   alpn,
	}
	if s.pins == "" {
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { return checkKeys(cs.VerifiedChains) }
		return cfg
	}
	// WARNING: without a name crypto/tls verifies nothing, so VerifyConnection
	// is the only check of the server; it runs on every handshake, and no
	// session is ever resumed.
	cfg.InsecureSkipVerify = s.host == ""
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		chains := cs.VerifiedChains
		if s.host == "" {
			// Nothing ties the further certificates to the peer: only its own counts.
			chains = [][]*x509.Certificate{cs.PeerCertificates[:1]}
		}
		if err := checkKeys(chains); err != nil {
			return err
		}
		for _, chain := range chains {
			for _, cert := range chain {
				if s.hasPin(sha256.Sum256(cert.RawSubjectPublicKeyInfo)) {
					return nil
				}
			}
		}
		return errPin // a hard failure. DOT7858-4.2-01: RFC 7858 section 4.2
	}
	return cfg
}

// checkKeys fails unless all keys of one of the chains are large enough.
func checkKeys(chains [][]*x509.Certificate) (err error) {
	for _, chain := range chains {
		if err = tlsfloor.CheckKeys(chain); err == nil {
			return nil
		}
	}
	return err
}

func (s Server) hasPin(h [sha256.Size]byte) bool {
	for p := s.pins; p != ""; p = p[sha256.Size:] {
		if p[:sha256.Size] == string(h[:]) {
			return true
		}
	}
	return false
}
