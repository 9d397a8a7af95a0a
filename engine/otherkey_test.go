package engine_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
)

// rsaPair is a certificate of the host with an RSA key.
func rsaPair(t *testing.T) *certtest.Pair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p, err := certtest.Sign(certtest.Server("mx.example.org"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPair: of two certificates of an address each is judged by itself. What the other one
// is worth changes words and nothing else.
func TestPair(t *testing.T) {
	ec, rs := certtest.Issue(certtest.Server("mx.example.org"), nil), rsaPair(t)
	for _, c := range []struct {
		name        string
		records     []string
		first       engine.Outcome // of the ECDSA certificate
		cause, cure string         // of the ECDSA certificate, in parts
		also        string
	}{
		{"both", []string{ec.TLSA(), rs.TLSA()}, engine.Authenticated, "is authenticated", "", ""},
		{"the other", []string{rs.TLSA()}, engine.Refused, "The ECDSA key that mx.example.org shows matches none", "publish this line as well, and keep the record 3 1 1", "has a second certificate, with an RSA key, and that one is good"},
		{"neither", []string{noMatch}, engine.Refused, "The ECDSA key that mx.example.org shows matches none", "replace the published record by these lines, one for each key", "that one matches none of the TLSA records either"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t).signed()
			for _, r := range c.records {
				w.tlsa(r)
			}
			peer, other := shows(ec), shows(rs)
			alone := w.decide(engine.Request{}, peer)
			peer.Other = &other
			d := w.decide(engine.Request{}, peer)
			if d.Outcome != c.first || d.Outcome != alone.Outcome || d.Method != alone.Method || d.Reason.ID != alone.Reason.ID || d.Peer.Other == nil {
				t.Errorf("%s %s %s, alone %s %s %s", d.Outcome, d.Method, d.Reason.ID, alone.Outcome, alone.Method, alone.Reason.ID)
			}
			if text := explain.Text(d.Reason); !strings.Contains(text, c.cause) {
				t.Errorf("%s", text)
			}
			if strings.Contains(explain.Text(alone.Reason), "ECDSA") {
				t.Errorf("alone: %s", explain.Text(alone.Reason))
			}
			at := slices.IndexFunc(d.Details, func(r engine.Reason) bool { return r.ID == reason.TwoCertificates })
			if (at >= 0) != (c.also != "") || at >= 0 && !strings.Contains(explain.Text(d.Details[at]), c.also) {
				t.Fatalf("%v", d.Details)
			}
			if c.cure == "" {
				return
			}
			p := w.plan(engine.Request{})
			a := explain.Tell(p, []engine.Decision{d}, engine.Summarise(p, []engine.Decision{d}))
			if len(a.Owner) != 1 || !strings.Contains(a.Owner[0].Text, c.cure) {
				t.Fatalf("%+v", a.Owner)
			}
			lines := strings.Join(a.Owner[0].Lines, " ")
			if !strings.Contains(lines, ec.TLSA()) || strings.Contains(lines, rs.TLSA()) != (c.name == "neither") {
				t.Errorf("%s", lines)
			}
		})
	}
	t.Run("of one kind", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		peer, other := shows(ec), shows(certtest.Issue(certtest.Server("mx.example.org"), nil))
		peer.Other = &other
		if d := w.decide(engine.Request{}, peer); slices.ContainsFunc(d.Details, func(r engine.Reason) bool { return r.ID == reason.TwoCertificates }) || strings.Contains(explain.Text(d.Reason), "ECDSA") {
			t.Errorf("%s", explain.Text(d.Reason))
		}
	})
}

// TestKeyChoice: a choice of one kind of key offers no suite that a server can use with
// another one.
func TestKeyChoice(t *testing.T) {
	h := engine.Host{SNI: "mx.example.org"}
	for kind, part := range map[x509.PublicKeyAlgorithm]string{x509.RSA: "_RSA_", x509.ECDSA: "_ECDSA_"} {
		c := h.ClientTLSWith(engine.TLSChoice{Key: kind, Suites: engine.WiderSuites()})
		if c.MinVersion != tls.VersionTLS12 || c.MaxVersion != tls.VersionTLS12 || len(c.CipherSuites) < 3 || c.ServerName != h.SNI {
			t.Errorf("%s: %x to %x, %d suites", kind, c.MinVersion, c.MaxVersion, len(c.CipherSuites))
		}
		for _, id := range c.CipherSuites {
			if name := tls.CipherSuiteName(id); !strings.HasPrefix(name, "TLS_ECDHE"+part) {
				t.Errorf("%s: %s", kind, name)
			}
		}
	}
	if c := h.ClientTLSWith(engine.TLSChoice{}); c.MaxVersion != 0 || c.CipherSuites != nil {
		t.Errorf("%x, %v", c.MaxVersion, c.CipherSuites)
	}
}
