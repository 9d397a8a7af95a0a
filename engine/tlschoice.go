package engine

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
)

// A TLSChoice is what a program may choose for a handshake. The zero TLSChoice is what
// crypto/tls does by default.
//
// A sender can try once more with another choice after a handshake has failed:
//
//	a := e.Attempt(plan, i, addr)
//	a.Choice = engine.TLSChoice{NoMLKEM: true, Suites: engine.WiderSuites()}
//	conn := tls.Client(c, a.TLSConfig())
//
// No choice weakens what the plan demands: TLS is 1.2 or later, and the peer proves
// itself as before. RSA key exchange has no forward secrecy.
//
// Some peers crypto/tls does not reach by any choice: those with a certificate that
// crypto/x509 does not parse or a key that it does not know, and servers that have
// nothing but DHE, CBC with SHA-384, Camellia or X448. Three settings of the Go runtime
// change a part of it, by //go:debug in the main package or by the environment variable
// GODEBUG. They hold for the whole process, so also for the policy hosts of MTA-STS, for
// DNS over TLS and HTTPS, and for everything else that the program connects to:
//
//   - x509negativeserial=1 parses certificates with a negative serial number.
//   - rsa1024min=0 takes RSA keys of fewer than 1,024 bits, of any size, also in
//     certificates of authorities.
//   - tlsrsakex=1 offers RSA key exchange to all servers.
//
// This module sets none of them. Its policy fetches and its DNS over TLS and HTTPS choose
// their cipher suites themselves and refuse RSA keys of fewer than 2,048 bits, so they are
// as strict in a program that does.
type TLSChoice struct {
	// NoMLKEM offers no post-quantum groups. They make a ClientHello of about 1,500 bytes,
	// which some servers and firewalls do not take; without, it has about 300.
	NoMLKEM bool
	// Suites are the cipher suites of TLS 1.2; nil: those of crypto/tls. TLS 1.3 has its own.
	Suites []uint16
	// Key offers one kind of key only, x509.RSA or x509.ECDSA, to a server that may have a
	// certificate of each: TLS 1.2, since in TLS 1.3 crypto/tls has no choice of it, and the
	// cipher suites for that kind, in place of Suites. 0: every kind.
	Key x509.PublicKeyAlgorithm
}

// WiderSuites lists the cipher suites of crypto/tls that encrypt properly, those first
// that it offers by default: with RSA key exchange, and with CBC and SHA-256. RC4 and 3DES
// are not among them.
func WiderSuites() []uint16 {
	out := defaultSuites()
	for _, s := range tls.InsecureCipherSuites() {
		switch s.ID {
		case tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA,
			tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA:
			continue
		}
		out = append(out, s.ID)
	}
	return out
}

// defaultSuites are those that crypto/tls offers by default.
func defaultSuites() (out []uint16) {
	for _, s := range tls.CipherSuites() {
		out = append(out, s.ID)
	}
	return out
}

// apply changes a configuration.
func (t TLSChoice) apply(c *tls.Config) {
	if t.NoMLKEM {
		c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	}
	if t.Suites != nil {
		c.CipherSuites = slices.Clone(t.Suites)
	}
	if t.Key != x509.UnknownPublicKeyAlgorithm {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, suitesFor(t.Key)
	}
}

// ClientTLS returns the TLS configuration for a connection to a host of a plan: SNI
// as the plan says (RFC 7672 section 8.1, RFC 8461 section 7.1), TLS 1.2 or later
// (RFC 8996), Go's own cipher suites, no session resumption.
//
// WARNING: it accepts any certificate, since whether one counts is for
// [Engine.Decide] to say after the handshake; a caller that does not call Decide
// before MAIL FROM sends mail to anybody. Use [Attempt.TLSConfig], which decides
// inside the handshake.
func (h *Host) ClientTLS() *tls.Config {
	// TLS9325-4.1-01: RFC 9325 section 4.1
	return &tls.Config{
		// DANE7671-3-01: RFC 7671 section 3
		ServerName: h.SNI,
		// TLS8996-4-01: RFC 8996 section 4; TLS8996-5-01: RFC 8996 section 5
		// TLS9325-3.1.1-01: RFC 9325 section 3.1.1; STS-7.2-01: RFC 8461 section 7.2
		MinVersion: tls.VersionTLS12,
		// The standard library would look for a WebPKI path to the SNI name, which is
		// neither necessary nor sufficient here.
		InsecureSkipVerify: true,
	}
}

// ClientTLSWith is [Host.ClientTLS] with a choice. The same warning holds.
func (h *Host) ClientTLSWith(t TLSChoice) *tls.Config {
	c := h.ClientTLS()
	t.apply(c)
	return c
}
