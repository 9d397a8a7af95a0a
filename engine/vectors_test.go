package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/smtpdane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// vectorTime lies inside the dates of the chains of the vectors.
var vectorTime = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// statusOf is secure or insecure.
func statusOf(secure bool) dnssec.Status {
	if secure {
		return dnssec.Secure
	}
	return dnssec.Insecure
}

// describe builds the DNS of a scenario.
func describe(s smtpdane.Scenario) (r *dnsfake.Resolver, domain string) {
	r = dnsfake.New()
	r.SetClock(func() time.Time { return vectorTime })
	domain = s.Hosts[0]
	if s.MX != "" {
		domain = s.MX
		for _, h := range s.Hosts {
			r.AddAs(statusOf(s.MXSecure), domain+". 300 IN MX 10 "+h+".")
		}
	} else {
		r.Deny(domain, dnssec.TypeMX, dnssec.NoData, dnssec.Secure, dnssec.Reason{})
	}
	for _, h := range s.Hosts {
		at := h
		if s.CNAME != nil {
			r.AddAs(statusOf(s.CNAME.Secure), h+". 300 IN CNAME "+s.CNAME.Target+".")
			r.AddAs(dnssec.Secure, s.CNAME.Target+". 300 IN A 192.0.2.1")
			r.Deny(s.CNAME.Target, dnssec.TypeAAAA, dnssec.NoData, dnssec.Secure, dnssec.Reason{})
			at = s.CNAME.Target
		} else {
			r.AddAs(statusOf(s.Secure), h+". 300 IN A 192.0.2.1")
			r.Deny(h, dnssec.TypeAAAA, dnssec.NoData, statusOf(s.Secure), dnssec.Reason{})
		}
		owner := "_25._tcp." + at
		switch s.TLSAStatus {
		case "temporary-failure":
			r.Fail(owner, dnssec.TypeTLSA, dnssec.ErrServFail)
		case "nxdomain-secure":
			r.Deny(owner, dnssec.TypeTLSA, dnssec.NXDomain, dnssec.Secure, dnssec.Reason{})
		case "nxdomain-insecure":
			r.Deny(owner, dnssec.TypeTLSA, dnssec.NXDomain, dnssec.Insecure, dnssec.Reason{})
		default:
			// Where the lookup is not to be made the records are there and secure: a
			// client that makes it all the same is found out.
			for _, t := range s.TLSA {
				r.AddAs(statusOf(s.TLSAStatus != "insecure"), owner+". 300 IN TLSA "+t.String())
			}
		}
	}
	return r, domain
}

// class is the vectors' word for what a delivery came to.
func class(o engine.Outcome) string {
	switch o {
	case engine.Authenticated:
		return smtpdane.Authenticated
	case engine.Refused:
		return smtpdane.Fail
	case engine.Encrypted, engine.Cleartext:
		return smtpdane.NoDANE
	}
	return smtpdane.TempFail
}

func TestVectorsSMTPDANE(t *testing.T) {
	scenarios, err := smtpdane.Read(vectors.Dir(t, "smtp-dane"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		t.Run(s.ID, func(t *testing.T) {
			r, domain := describe(s)
			e, err := engine.New(engine.Config{Resolver: r, Roots: sharedPKI().roots, Now: func() time.Time { return vectorTime }})
			if err != nil {
				t.Fatal(err)
			}
			judge := func(level engine.Level) []engine.Decision {
				p, err := e.Plan(context.Background(), engine.Request{NextHop: domain, Level: level})
				if err != nil {
					t.Fatal(err)
				}
				if len(p.Hosts) != len(s.Hosts) {
					t.Fatalf("hosts: %s, want %v", hostNames(p), s.Hosts)
				}
				peer := engine.Peer{Event: engine.HandshakeDone, Chain: s.Chain, TLS: "TLS 1.2"}
				if s.Chain == nil {
					peer = engine.Peer{}
				}
				var all []engine.Decision
				for i := range p.Hosts {
					all = append(all, e.Decide(p, i, peer, vectorTime))
				}
				return all
			}
			for _, level := range []engine.Level{engine.LevelDefault, engine.LevelDANE} {
				for i, d := range judge(level) {
					if got := class(d.Outcome); got != s.RFC7672 {
						t.Errorf("level %s, host %d: %s (%s: %s), want %s: %s", level, i, got, d.Reason.ID, explain.Text(d.Reason), s.RFC7672, s.Why)
					}
				}
			}
			// Where DANE is mandatory "does not apply" is not enough.
			for i, d := range judge(engine.LevelDANEOnly) {
				if d.Deliver != (s.RFC7672 == smtpdane.Authenticated) {
					t.Errorf("dane-only, host %d: %s (%s), and the verdict is %s", i, d.Outcome, d.Reason.ID, s.RFC7672)
				}
			}
		})
	}
}
