package deliveries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/smtpdane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/pkix"
)

// deliveryTime lies inside the dates of the chains of the scenarios.
var deliveryTime = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// SMTPDANE makes a plan and a decision of each scenario, by the field rfc7672: at the
// level default, at the level dane, and where DANE is mandatory.
func SMTPDANE(ctx context.Context, dir string) ([]sets.Result, error) {
	if _, err := os.Stat(filepath.Join(dir, smtpdane.FileName)); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	scenarios, err := smtpdane.Read(dir)
	if err != nil {
		return nil, err
	}
	var out []sets.Result
	for _, s := range scenarios {
		res := sets.Result{Case: s.ID}
		var want, got []string
		for range s.Hosts {
			want = append(want, s.RFC7672, s.RFC7672, "mandatory "+sets.Word(s.RFC7672 == smtpdane.Authenticated, "goes", "waits"))
		}
		for i := range s.Hosts {
			g, err := deliver(ctx, s, i)
			if err != nil {
				g = []string{err.Error()}
			}
			got = append(got, g...)
		}
		res.Got, res.Want = strings.Join(got, ", "), strings.Join(want, ", ")
		out = append(out, res)
	}
	return out, nil
}

// deliver decides about host i at the three levels.
func deliver(ctx context.Context, s smtpdane.Scenario, i int) ([]string, error) {
	r, domain := scenarioDNS(s)
	e, err := engine.New(engine.Config{Resolver: r, Roots: pkix.NewRoots(), Now: func() time.Time { return deliveryTime }})
	if err != nil {
		return nil, err
	}
	peer := engine.Peer{Event: engine.HandshakeDone, Chain: s.Chain, TLS: "TLS 1.2"}
	if s.Chain == nil {
		peer = engine.Peer{}
	}
	var out []string
	for _, level := range []engine.Level{engine.LevelDefault, engine.LevelDANE, engine.LevelDANEOnly} {
		p, err := e.Plan(ctx, engine.Request{NextHop: domain, Level: level, Sorted: true})
		if err != nil {
			return nil, err
		}
		if len(p.Hosts) != len(s.Hosts) {
			return nil, fmt.Errorf("%d hosts", len(p.Hosts))
		}
		d := e.Decide(p, i, peer, deliveryTime)
		if level == engine.LevelDANEOnly {
			out = append(out, "mandatory "+sets.Word(d.Deliver, "goes", "waits"))
			continue
		}
		out = append(out, deliveryWord(d.Outcome))
	}
	return out, nil
}

// deliveryWord is the scenarios' word for an outcome.
func deliveryWord(o engine.Outcome) string {
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

// scenarioDNS builds what a scenario says of DNS.
func scenarioDNS(s smtpdane.Scenario) (r *dnsfake.Resolver, domain string) {
	status := func(secure bool) dnssec.Status {
		if secure {
			return dnssec.Secure
		}
		return dnssec.Insecure
	}
	r = dnsfake.New()
	r.SetClock(func() time.Time { return deliveryTime })
	domain = s.Hosts[0]
	if s.MX == "" {
		r.Deny(domain, dnssec.TypeMX, dnssec.NoData, dnssec.Secure, dnssec.Reason{})
	} else {
		domain = s.MX
	}
	for _, h := range s.Hosts {
		if s.MX != "" {
			r.AddAs(status(s.MXSecure), domain+". 300 IN MX 10 "+h+".")
		}
		at, addresses := h, status(s.Secure)
		if s.CNAME != nil {
			r.AddAs(status(s.CNAME.Secure), h+". 300 IN CNAME "+s.CNAME.Target+".")
			at, addresses = s.CNAME.Target, dnssec.Secure
		}
		r.AddAs(addresses, at+". 300 IN A 192.0.2.1")
		r.Deny(at, dnssec.TypeAAAA, dnssec.NoData, addresses, dnssec.Reason{})
		owner := "_25._tcp." + at
		switch s.TLSAStatus {
		case "temporary-failure":
			r.Fail(owner, dnssec.TypeTLSA, dnssec.ErrServFail)
		case "nxdomain-secure":
			r.Deny(owner, dnssec.TypeTLSA, dnssec.NXDomain, dnssec.Secure, dnssec.Reason{})
		case "nxdomain-insecure":
			r.Deny(owner, dnssec.TypeTLSA, dnssec.NXDomain, dnssec.Insecure, dnssec.Reason{})
		default:
			// Where the lookup is not to be made the records are there and secure: a client
			// that makes it all the same is found out.
			for _, t := range s.TLSA {
				r.AddAs(status(s.TLSAStatus != "insecure"), owner+". 300 IN TLSA "+t.String())
			}
		}
	}
	return r, domain
}
