package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// failing fails every lookup of one type with an error of its own.
type failing struct {
	dnssec.Resolver
	t   dnssec.Type
	err error
}

func (r failing) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	if q.Type == r.t {
		return dnssec.Answer{Question: q, Final: q.Name}, r.err
	}
	return r.Resolver.Resolve(ctx, q)
}

// TestEvidence looks at what a failed lookup tells a person.
func TestEvidence(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&dnssec.LookupError{Kind: dnssec.ErrServFail, Server: "192.0.2.53:53", EDE: []dnssec.ExtendedError{{Code: 9, Text: "no key \x1b[1m"}, {Code: 22}}},
			`answered with SERVFAIL: their name servers fail or cannot be reached; the resolver adds extended error 9 ("no key \x1b[1m"); the resolver adds extended error 22`},
		{&dnssec.LookupError{Kind: dnssec.ErrBogus, Reason: dnssec.Reason{Code: "signature-expired", At: 1700000000}},
			`A signature (RRSIG) expired on 2023-11-14 22:13 UTC: that of the MX records of example.org.`},
		{&dnssec.LookupError{}, "The lookup of the MX records of example.org failed"},
		{fmt.Errorf("something else\n"), `something else\n`},
	} {
		w := newWorld(t).signed()
		w.cfg.Resolver = failing{w.dns, dnssec.TypeMX, c.err}
		p := w.plan(engine.Request{})
		if p.MX.Outcome != engine.Deferred || !strings.Contains(explain.Text(p.MX.Reason), c.want) {
			t.Errorf("%s\nwant %s", explain.Text(p.MX.Reason), c.want)
		}
	}
}

func TestEdges(t *testing.T) {
	t.Run("as many hosts as there may be", func(t *testing.T) {
		w := newWorld(t)
		for i := range engine.MaxHosts {
			w.dns.Add(fmt.Sprintf("example.org. 300 IN MX 10 h%d.example.org.", i))
		}
		if p := w.plan(engine.Request{}); len(p.Hosts) != engine.MaxHosts || strings.Contains(steps(explain.Plan(p), explain.StepMX), "only the first") {
			t.Errorf("%d hosts: %s", len(p.Hosts), steps(explain.Plan(p), explain.StepMX))
		}
	})
	t.Run("a name is expected once", func(t *testing.T) {
		w := newWorld(t).unsigned().tlsa("2"+noMatch[1:]).policy("enforce", "mx.example.org")
		if d := w.decide(engine.Request{}, shows(w.good)); strings.Join(d.Expected, " ") != "mx.example.org" {
			t.Errorf("%q", d.Expected)
		}
		w = newWorld(t).signed().tlsa("2" + noMatch[1:])
		if d := w.decide(engine.Request{}, shows(w.good)); strings.Join(d.Expected, " ") != "mx.example.org example.org" {
			t.Errorf("%q", d.Expected)
		}
	})
	t.Run("no name is expected where none counts", func(t *testing.T) {
		w, r, good := plans["encrypt"](t)
		if d := w.decide(r, good); d.Expected != nil {
			t.Errorf("encrypt: %q", d.Expected)
		}
		if d := w.decide(engine.Request{NextHop: "[192.0.2.1]"}, good); d.Expected != nil {
			t.Errorf("literal: %q", d.Expected)
		}
		w, r, good = plans["dane"](t)
		if d := w.decide(r, good); d.Expected != nil {
			t.Errorf("DANE-EE: %q", d.Expected)
		}
	})
	t.Run("presented names stand in the decision only after a handshake", func(t *testing.T) {
		w, r, good := plans["may"](t)
		good.Event = engine.NoSTARTTLS
		if d := w.decide(r, good); d.Presented != nil || d.Expected != nil {
			t.Errorf("%q %q", d.Presented, d.Expected)
		}
	})
	t.Run("a bounce with REQUIRETLS goes strictly only where all parts hold", func(t *testing.T) {
		w := newWorld(t).signed().tlsa("1" + noMatch[1:])
		r := engine.Request{RequireTLS: true, NullReturnPath: true}
		if d := w.decide(r, offering(w.alien)); !d.Deliver || d.SendRequireTLS || d.Requirement != engine.Encrypt || d.Outcome != engine.Encrypted {
			t.Errorf("%+v", d)
		}
		if d := w.decide(r, offering(w.good)); !d.SendRequireTLS || d.Requirement != engine.PKIX {
			t.Errorf("%+v", d)
		}
	})
	t.Run("a policy of mode enforce that could not be asked for again stays", func(t *testing.T) {
		w := newWorld(t).unsigned()
		kept := policy(t, "example.org", "enforce", "mx.example.org")
		kept.Row, kept.Cached, kept.FetchErr = sts.S7, true, sts.ErrFetchTimeout
		w.sts.results["example.org"] = kept
		p := w.plan(engine.Request{})
		if p.Hosts[0].Requirement != engine.STS || len(p.Findings) != 1 || !strings.Contains(steps(explain.Plan(p), explain.StepSTSPolicy), "kept from 2000-01-01") {
			t.Errorf("%s %+v", p.Hosts[0].Requirement, p.Findings)
		}
	})
	t.Run("the roots cannot be read", func(t *testing.T) {
		w, r, good := plans["sts"](t)
		p := w.plan(r)
		w.cfg.Roots, w.eng = nil, nil
		if d := w.engine().Decide(p, 0, good, w.now); d.Outcome != engine.Refused || !strings.Contains(explain.Text(d.Reason), "(") {
			t.Errorf("%s", explain.Text(d.Reason))
		}
	})
	t.Run("names of a configured list", func(t *testing.T) {
		w := newWorld(t).signed()
		var names []rfc6125.Host
		for i := range 9 {
			names = append(names, host(t, fmt.Sprintf("n%d.example", i)))
		}
		h := w.plan(engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: names}}).Hosts[0]
		if !strings.Contains(explain.Text(h.Reason), "n0.example, n1.example, n2.example, n3.example, n4.example, n5.example and 3 more") || len(h.PKIXRefs) != 9 {
			t.Errorf("%s", explain.Text(h.Reason))
		}
	})
}
