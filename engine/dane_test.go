package engine_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

// TestRequirementsDANE are the rows of requirements.tsv that DANE gives the engine.
func TestRequirementsDANE(t *testing.T) {
	two := func(t *testing.T) *world {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 3600 IN MX 20 mx2.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2")
		return w
	}
	t.Run("DANE7672-2.1.1-03 indeterminate is a lookup failure", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrIndeterminate)
		if h := w.plan(engine.Request{}).Hosts[0]; h.Skipped != engine.Deferred {
			t.Errorf("%s", h.Requirement)
		}
	})
	t.Run("DANE7672-2.1.2-01 nobody to contact: delivery waits", func(t *testing.T) {
		for _, kind := range failures {
			w := two(t)
			for _, n := range []string{"mx", "mx2"} {
				w.dns.Fail(n+".example.org", dnssec.TypeA, kind)
				w.dns.Fail(n+".example.org", dnssec.TypeAAAA, kind)
			}
			p := w.plan(engine.Request{})
			var ds []engine.Decision
			var tries []engine.Try
			for i := range p.Hosts {
				d := w.engine().Decide(p, i, engine.Peer{}, w.now)
				ds, tries = append(ds, d), append(tries, p.TryOf(i, d))
			}
			if s := engine.Summarise(p, ds); s.Outcome != engine.Deferred {
				t.Errorf("%v: %s", kind, s.Outcome)
			}
			if f := w.engine().Message(p, tries, engine.Circumstances{}); f.Action != engine.Retry {
				t.Errorf("%v: %s", kind, f.Action)
			}
			w = newWorld(t)
			w.dns.Fail("example.org", dnssec.TypeMX, kind)
			if p := w.plan(engine.Request{}); p.MX.Outcome != engine.Deferred {
				t.Errorf("MX %v: %+v", kind, p.MX)
			}
		}
	})
	t.Run("DANE7672-2.1.2-02 the other hosts are used", func(t *testing.T) {
		w := two(t)
		w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrBogus)
		p := w.plan(engine.Request{})
		if p.Hosts[0].Skipped != engine.Deferred || p.Hosts[1].Requirement != engine.May {
			t.Errorf("%s %s", p.Hosts[0].Requirement, p.Hosts[1].Requirement)
		}
	})
	t.Run("DANE7672-2.1.2-04 a failed TLSA lookup makes that host unreachable", func(t *testing.T) {
		for _, kind := range failures {
			w := two(t)
			w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, kind)
			p := w.plan(engine.Request{})
			if p.Hosts[0].Requirement != engine.Skip || p.Hosts[0].Skipped != engine.Deferred || p.Hosts[1].Requirement != engine.May {
				t.Errorf("%v: %s %s", kind, p.Hosts[0].Requirement, p.Hosts[1].Requirement)
			}
			if d := w.engine().Decide(p, 0, shows(w.good), w.now); d.Deliver {
				t.Errorf("%v: delivered", kind)
			}
		}
	})
	t.Run("DANE7672-2.2-01 TLS authenticated by a usable record, or the next host", func(t *testing.T) {
		w := two(t)
		w.tlsa(noMatch)
		w.dns.Add("_25._tcp.mx2.example.org. 300 IN TLSA " + tlsaOf(3, 1, w.self.Cert))
		p := w.plan(engine.Request{})
		e := w.engine()
		first, second := e.Decide(p, 0, shows(w.self), w.now), e.Decide(p, 1, shows(w.self), w.now)
		if first.Deliver || first.Outcome != engine.Refused || second.Outcome != engine.Authenticated {
			t.Errorf("%s %s", first.Outcome, second.Outcome)
		}
		for _, ev := range []engine.Event{engine.NoSTARTTLS, engine.STARTTLSRefused, engine.HandshakeFailed} {
			if d := e.Decide(p, 0, engine.Peer{Event: ev}, w.now); d.Deliver || d.RetryClear {
				t.Errorf("%s: plaintext", ev)
			}
		}
	})
	t.Run("DANE7672-2.2-02 unusable records only: TLS without authentication", func(t *testing.T) {
		w := newWorld(t).signed().tlsa("0" + noMatch[1:])
		if d := w.decide(engine.Request{}, shows(w.self)); d.Outcome != engine.Encrypted || d.Requirement != engine.Encrypt {
			t.Errorf("%s", d.Outcome)
		}
		if d := w.decide(engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS}); d.Outcome != engine.Refused {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("DANE7672-2.2-03 no TLSA: opportunistic TLS", func(t *testing.T) {
		w := newWorld(t).signed()
		if d := w.decide(engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS}); d.Outcome != engine.Cleartext || !d.Deliver {
			t.Errorf("%s", d.Outcome)
		}
		if d := w.decide(engine.Request{}, shows(w.self)); d.Outcome != engine.Encrypted {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("DANE7672-2.2-04 a retry in the clear after a TLS failure", func(t *testing.T) {
		w := newWorld(t).signed()
		if d := w.decide(engine.Request{}, engine.Peer{Event: engine.HandshakeFailed}); !d.Deliver || !d.RetryClear || !d.DropConnection {
			t.Errorf("%+v", d)
		}
		w = newWorld(t).signed().tlsa(noMatch)
		if d := w.decide(engine.Request{}, engine.Peer{Event: engine.HandshakeFailed}); d.Deliver || d.RetryClear {
			t.Errorf("%+v", d)
		}
	})
	t.Run("DANE7672-2.2-05 no DANE for addresses", func(t *testing.T) {
		w := newWorld(t)
		w.plan(engine.Request{NextHop: "[192.0.2.1]"})
		w.dns.Add("example.org. 300 IN MX 10 192.0.2.1.")
		w.plan(engine.Request{})
		for _, q := range w.dns.Asked() {
			if q.Type == dnssec.TypeTLSA {
				t.Errorf("asked %s", q)
			}
		}
	})
	t.Run("DANE7672-2.2.1-01 each host has its own records", func(t *testing.T) {
		w := two(t)
		w.tlsa(tlsaOf(3, 1, w.self.Cert))
		w.dns.Add("_25._tcp.mx2.example.org. 300 IN TLSA " + tlsaOf(3, 1, w.good.Cert))
		p := w.plan(engine.Request{})
		e := w.engine()
		if e.Decide(p, 0, shows(w.good), w.now).Deliver || e.Decide(p, 1, shows(w.self), w.now).Deliver {
			t.Error("one host's key is accepted at another")
		}
		if !e.Decide(p, 0, shows(w.self), w.now).Deliver || !e.Decide(p, 1, shows(w.good), w.now).Deliver {
			t.Error("a host's own key is refused")
		}
	})
	t.Run("DANE7672-2.2.1-04 mandatory DANE behind an insecure MX waits", func(t *testing.T) {
		w := newWorld(t).unsigned()
		w.tlsa(tlsaOf(3, 1, w.self.Cert))
		d := w.decide(engine.Request{Level: engine.LevelDANEOnly}, shows(w.self))
		if d.Outcome != engine.Deferred || d.Reason.ID != reason.DANERequired || explain.Reason(d.Reason).ResultType != "dane-required" {
			t.Errorf("%s %+v", d.Outcome, d.Reason)
		}
	})
	t.Run("DANE7672-2.2.1-05 optional DANE behind an insecure MX", func(t *testing.T) {
		w := newWorld(t).unsigned()
		if d := w.decide(engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS}); !d.Deliver {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("DANE7672-2.2.1-06 TLSA behind an insecure MX may be used", func(t *testing.T) {
		w := newWorld(t).unsigned()
		w.tlsa(tlsaOf(3, 1, w.self.Cert))
		if d := w.decide(engine.Request{}, shows(w.self)); d.Outcome != engine.Encrypted || d.Reason.ID != reason.HalfDANEMatch || d.Requirement != engine.HalfDANE {
			t.Errorf("%s %s", d.Outcome, d.Reason.ID)
		}
		for option, want := range map[engine.InsecureMX]engine.Requirement{engine.InsecureMXEncrypt: engine.Encrypt, engine.InsecureMXMay: engine.May} {
			if h := w.plan(engine.Request{Options: engine.Options{InsecureMX: option}}).Hosts[0]; h.Requirement != want {
				t.Errorf("%s: %s", option, h.Requirement)
			}
		}
	})
	t.Run("DANE7672-2.2.1-08 half-DANE is never authenticated", func(t *testing.T) {
		w := newWorld(t).unsigned()
		w.tlsa(tlsaOf(3, 1, w.self.Cert)).tlsa(tlsaOf(2, 0, w.ca.Cert))
		for _, p := range []engine.Peer{shows(w.self), shows(w.good, w.ca)} {
			if d := w.decide(engine.Request{}, p); d.Outcome != engine.Encrypted || d.Method != "" {
				t.Errorf("%s %s", d.Outcome, d.Method)
			}
		}
	})
	t.Run("DANE7672-2.2.2-08 an error at one step ends the search", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
		w.tlsa(tlsaOf(3, 1, w.self.Cert))
		w.dns.Fail("_25._tcp.real.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
		h := w.plan(engine.Request{}).Hosts[0]
		if h.Skipped != engine.Deferred || w.asked("_25._tcp.mx.example.org", dnssec.TypeTLSA) {
			t.Errorf("%s %v", h.Requirement, w.dns.Asked())
		}
	})
	t.Run("DANE7672-2.2.2-09 no MX: the search begins at the name itself", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1", "_25._tcp.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
		if h := w.plan(engine.Request{}).Hosts[0]; h.Requirement != engine.DANE || h.SNI != "example.org" || h.Name.String() != "example.org" {
			t.Errorf("%s %s", h.Requirement, h.SNI)
		}
		w = newWorld(t)
		w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN CNAME real.example.org.")
		w.dns.Add("real.example.org. 300 IN A 192.0.2.1", "_25._tcp.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
		h := w.plan(engine.Request{}).Hosts[0]
		if h.Requirement != engine.May || w.asked("_25._tcp.example.org", dnssec.TypeTLSA) || w.asked("_25._tcp.real.example.org", dnssec.TypeTLSA) {
			t.Errorf("%s %v", h.Requirement, w.dns.Asked())
		}
	})
	t.Run("DANE7672-3.2-01 nothing goes through a host that failed", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		for _, p := range []engine.Peer{shows(w.good), shows(w.self), shows(w.good, w.ca), {Event: engine.NoSTARTTLS}, {Event: engine.STARTTLSRefused}, {Event: engine.HandshakeFailed}} {
			if d := w.decide(engine.Request{}, p); d.Outcome != engine.Refused || d.Deliver {
				t.Errorf("%s: %s", p.Event, d.Outcome)
			}
		}
	})
	t.Run("DANE7672-6-01 mandatory DANE without usable records waits", func(t *testing.T) {
		for _, rdata := range []string{"1" + noMatch[1:], ""} {
			w := newWorld(t).signed()
			if rdata != "" {
				w.tlsa(rdata)
			}
			if d := w.decide(engine.Request{Level: engine.LevelDANEOnly}, shows(w.good)); d.Outcome != engine.Deferred || d.Reason.ID != reason.DANERequired {
				t.Errorf("%q: %s", rdata, d.Outcome)
			}
		}
	})
	t.Run("DANE7671-10.3-01 all records unusable where authentication is mandatory", func(t *testing.T) {
		w := newWorld(t).signed().tlsa("0" + noMatch[1:])
		p := w.plan(engine.Request{Level: engine.LevelDANEOnly})
		if p.Hosts[0].Requirement != engine.Skip || w.engine().Decide(p, 0, shows(w.good), w.now).Deliver {
			t.Errorf("%s", p.Hosts[0].Requirement)
		}
	})
	t.Run("DANE7672-9.1-01 only audit mode lets a mismatch pass", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		if d := w.decide(engine.Request{}, shows(w.good)); d.Deliver {
			t.Errorf("off by default: %s", d.Outcome)
		}
		r := engine.Request{Options: engine.Options{Audit: true}}
		d := w.decide(r, shows(w.good))
		if d.Outcome != engine.Encrypted || !d.Waived || d.Requirement != engine.DANE || d.Reason.ID != reason.Audit || explain.Reason(d.Reason).ResultType != "certificate-not-trusted" ||
			len(d.Details) == 0 || d.Details[0].ID != reason.DANENoMatch {
			t.Errorf("%s %+v %+v", d.Outcome, d.Reason, d.Details)
		}
		for ev, retry := range map[engine.Event]bool{engine.NoSTARTTLS: false, engine.STARTTLSRefused: false, engine.HandshakeFailed: true} {
			if d := w.decide(r, engine.Peer{Event: ev}); d.Outcome != engine.Cleartext || d.RetryClear != retry || !d.Waived {
				t.Errorf("%s: %s", ev, d.Outcome)
			}
		}
		if d := w.decide(r, engine.Peer{Event: engine.STARTTLSRefused, Injected: true}); !d.RetryClear || !d.DropConnection {
			t.Errorf("injected: %+v", d)
		}
		if d := w.decide(r, engine.Peer{}); d.Outcome != engine.Deferred || d.Waived {
			t.Errorf("E0: %+v", d)
		}
		// Not even audit mode helps a deferred host, or REQUIRETLS.
		w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
		w.engine().Forget()
		if d := w.decide(r, shows(w.good)); d.Outcome != engine.Deferred {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("DANE7672-10-01 no connection to a host that cannot be used", func(t *testing.T) {
		// The dialling itself is shown in engine/probe; here: the plan says so.
		w := two(t)
		w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
		w.policy("enforce", "mx.example.org")
		p := w.plan(engine.Request{})
		for i, want := range []engine.Outcome{engine.Deferred, engine.Refused} {
			if p.Hosts[i].Requirement != engine.Skip || p.Hosts[i].Skipped != want {
				t.Errorf("host %d: %s %s", i, p.Hosts[i].Requirement, p.Hosts[i].Skipped)
			}
		}
	})
	t.Run("DANE7671-7-01 the expanded name comes first", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1",
			"_25._tcp.real.example.org. 300 IN TLSA 2"+noMatch[1:])
		h := w.plan(engine.Request{}).Hosts[0]
		if h.SNI != "real.example.org" || h.DANERefs[0].String() != "real.example.org" || strings.Contains(refs(h.DANERefs), "mx.example.org") {
			t.Errorf("%s %s", h.SNI, refs(h.DANERefs))
		}
	})
	t.Run("TLSA6698-4.1-08 usable records and no match", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch).tlsa("2" + noMatch[1:])
		if d := w.decide(engine.Request{}, shows(w.good, w.ca)); d.Outcome != engine.Refused || d.Deliver {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("TLSA6698-4.1-09 no claim without a validated answer", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrIndeterminate)
		if d := w.decide(engine.Request{}, shows(w.good)); d.Outcome != engine.Deferred || d.Method != "" {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("STS-2-01 a failing DANE check is not repaired", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch).policy("enforce", "mx.example.org")
		for _, o := range []engine.DANEAndSTS{engine.DANEFirst, engine.Both} {
			if d := w.decide(engine.Request{Options: engine.Options{DANEAndSTS: o}}, shows(w.good)); d.Outcome != engine.Refused || d.Reason.ID != reason.DANENoMatch {
				t.Errorf("%s: %s %s", o, d.Outcome, d.Reason.ID)
			}
		}
		w = newWorld(t).unsigned().tlsa(noMatch).policy("enforce", "mx.example.org")
		if d := w.decide(engine.Request{}, shows(w.good)); d.Outcome != engine.Refused {
			t.Errorf("half-dane: %s", d.Outcome)
		}
		w = newWorld(t).signed().policy("enforce", "mx.example.org")
		w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
		if d := w.decide(engine.Request{}, shows(w.good)); d.Outcome != engine.Deferred {
			t.Errorf("failed lookup: %s", d.Outcome)
		}
	})
	t.Run("SID9525-6.6-02 no match ends the attempt, by default", func(t *testing.T) {
		w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
		if d := w.decide(engine.Request{}, shows(w.wrong)); d.Outcome != engine.Refused || d.Reason.ID != reason.STSName || strings.Join(d.Expected, " ") != "mx.example.org" {
			t.Errorf("%s %s %v", d.Outcome, d.Reason.ID, d.Expected)
		}
	})
	t.Run("dane.State of a host is kept", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		if h := w.plan(engine.Request{}).Hosts[0]; h.DANE.State != dane.Usable || h.DANE.Base.String() != "mx.example.org" {
			t.Errorf("%+v", h.DANE.State)
		}
	})
}
