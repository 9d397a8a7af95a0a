package engine_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
)

// offering is a peer that offers REQUIRETLS inside TLS.
func offering(pairs ...*certtest.Pair) engine.Peer {
	p := shows(pairs...)
	p.RequireTLS = true
	return p
}

// TestRequireTLSKeepsReasons: what REQUIRETLS cannot make worse keeps its own reason.
func TestRequireTLSKeepsReasons(t *testing.T) {
	strict := engine.Request{RequireTLS: true}
	failing := func(w *world) *world {
		w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrServFail)
		w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrServFail)
		return w
	}
	for _, c := range []struct {
		name string
		w    *world
		peer engine.Peer
		want engine.Outcome
		id   reason.ID
	}{
		{"another key", newWorld(t).signed().tlsa(noMatch), offering(w0.good), engine.Refused, reason.DANENoMatch},
		{"nobody answers", newWorld(t).signed().tlsa(noMatch), engine.Peer{}, engine.Deferred, reason.NoConnection},
		{"no address, MX not signed", failing(newWorld(t).unsigned()), engine.Peer{}, engine.Deferred, reason.AddressFailed},
	} {
		if d := c.w.decide(strict, c.peer); d.Outcome != c.want || d.Reason.ID != c.id {
			t.Errorf("%s: %s (%s), want %s (%s)", c.name, d.Outcome, d.Reason.ID, c.want, c.id)
		}
	}
}

// TestRequireTLSOfAnyPlan: whatever a plan demands, under REQUIRETLS no one unproved gets the
// message.
func TestRequireTLSOfAnyPlan(t *testing.T) {
	for _, r := range []engine.Requirement{engine.May, engine.Encrypt, engine.HalfDANE} {
		w := newWorld(t).signed()
		p := w.plan(engine.Request{RequireTLS: true})
		p.Hosts[0].Requirement, p.Hosts[0].Strict = r, 0
		for _, peer := range []engine.Peer{offering(w0.self), offering(w0.good), {Event: engine.NoSTARTTLS}} {
			if d := w.engine().Decide(p, 0, peer, w.now); d.Deliver || d.SendRequireTLS || d.Outcome == engine.Authenticated {
				t.Errorf("%s: %s (%s)", r, d.Outcome, d.Reason.ID)
			}
		}
	}
}

// TestRequirementsRequireTLS are the rows of requirements.tsv of RFC 8689 and of the
// TLSRPT reports.
func TestRequirementsRequireTLS(t *testing.T) {
	strict := engine.Request{RequireTLS: true}
	want := func(t *testing.T, d engine.Decision, send bool, code string) {
		t.Helper()
		if d.SendRequireTLS != send || d.Deliver != send || explain.Decision(d).Code != code {
			t.Errorf("send %v, deliver %v, code %q (%s: %s)", d.SendRequireTLS, d.Deliver, explain.Decision(d).Code, d.Outcome, explain.Text(d.Reason))
		}
		checkDecision(t, d)
	}
	t.Run("REQTLS-2-01 the parameter only where all four hold", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(tlsaOf(3, 1, w0.self.Cert))
		want(t, w.decide(strict, offering(w.self)), true, "")
		want(t, w.decide(strict, shows(w.self)), false, "5.7.30")
		want(t, w.decide(strict, offering(w.good)), false, "5.7.10")
		want(t, w.decide(strict, engine.Peer{Event: engine.NoSTARTTLS, RequireTLS: true}), false, "5.7.10")
		// A message that does not ask never carries it.
		if d := w.decide(engine.Request{}, offering(w.self)); d.SendRequireTLS || !d.Deliver {
			t.Errorf("%+v", d)
		}
	})
	t.Run("REQTLS-2-02 TLS", func(t *testing.T) {
		w := newWorld(t).signed()
		for _, ev := range []engine.Event{engine.NoSTARTTLS, engine.STARTTLSRefused, engine.HandshakeFailed} {
			want(t, w.decide(strict, engine.Peer{Event: ev, RequireTLS: true}), false, "5.7.10")
		}
	})
	t.Run("REQTLS-2-03 the choice of host is proved", func(t *testing.T) {
		w := newWorld(t).unsigned()
		d := w.decide(strict, offering(w.good))
		want(t, d, false, "5.7.10")
		if d.Reason.ID != reason.RequireTLSMX {
			t.Error(d.Reason.ID)
		}
		want(t, newWorld(t).unsigned().policy("enforce", "mx.example.org").decide(strict, offering(w.good)), true, "")
		want(t, newWorld(t).unsigned().policy("testing", "mx.example.org").decide(strict, offering(w.good)), false, "5.7.10")
		want(t, newWorld(t).signed().decide(strict, offering(w.good)), true, "")
	})
	t.Run("REQTLS-2-04 the certificate is verified", func(t *testing.T) {
		w := newWorld(t).signed()
		for _, k := range []*certtest.Pair{w.alien, w.self, w.expired} {
			want(t, w.decide(strict, offering(k)), false, "5.7.10")
		}
		d := w.decide(strict, offering(w.good))
		want(t, d, true, "")
		if d.Method != engine.MethodPKIX {
			t.Error(d.Method)
		}
	})
	t.Run("REQTLS-2-05 offered after STARTTLS", func(t *testing.T) {
		w := newWorld(t).signed()
		d := w.decide(strict, shows(w.good))
		want(t, d, false, "5.7.30")
		if d.Reason.ID != reason.NoREQUIRETLS || d.Outcome != engine.Refused {
			t.Errorf("%s %s", d.Outcome, d.Reason.ID)
		}
	})
	t.Run("REQTLS-3-01 TLS-Required: No is delivered whatever policies say", func(t *testing.T) {
		weak := engine.Request{TLSRequiredNo: true}
		for name, w := range map[string]*world{
			"mismatch": newWorld(t).signed().tlsa(noMatch),
			"enforce":  newWorld(t).unsigned().policy("enforce", "other.example.org"),
			"failure": func() *world {
				w := newWorld(t).signed()
				w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBogus)
				return w
			}(),
		} {
			for _, p := range []engine.Peer{{Event: engine.NoSTARTTLS}, {Event: engine.STARTTLSRefused}, {Event: engine.HandshakeFailed}, shows(w.alien)} {
				d := w.decide(weak, p)
				if !d.Deliver || d.Outcome == engine.Authenticated || d.Reason.ID != reason.TLSRequiredNo {
					t.Errorf("%s, %s: %s %s", name, p.Event, d.Outcome, d.Reason.ID)
				}
				checkDecision(t, d)
			}
		}
		// No host to connect to is another matter.
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.")
		w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrServFail)
		if d := w.decide(weak, engine.Peer{}); d.Outcome != engine.Deferred || d.Reason.ID != reason.AddressFailed {
			t.Errorf("%s %s", d.Outcome, d.Reason.ID)
		}
	})
	t.Run("REQTLS-3-02 STARTTLS is used all the same", func(t *testing.T) {
		w := newWorld(t).signed()
		p := w.plan(engine.Request{TLSRequiredNo: true})
		if p.Hosts[0].Requirement != engine.May {
			t.Errorf("%s", p.Hosts[0].Requirement)
		}
		if d := w.engine().Decide(p, 0, shows(w.good), w.now); d.Outcome != engine.Encrypted {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("REQTLS-3-03 more than one field is not honoured", func(t *testing.T) {
		for _, c := range []struct {
			values []string
			want   bool
		}{{nil, false}, {[]string{" No\r\n"}, true}, {[]string{"no"}, true}, {[]string{"yes"}, false}, {[]string{""}, false}, {[]string{"No", "No"}, false}, {[]string{"No (comment)"}, false}} {
			if got := engine.ParseTLSRequired(c.values); got != c.want {
				t.Errorf("%q: %v", c.values, got)
			}
		}
	})
	t.Run("REQTLS-4.1-01 REQUIRETLS beats the header field", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		r := engine.Request{RequireTLS: true, TLSRequiredNo: true}
		want(t, w.decide(r, offering(w.good)), false, "5.7.10")
		if p := w.plan(r); p.Hosts[0].Requirement != engine.DANE {
			t.Errorf("%s", p.Hosts[0].Requirement)
		}
	})
	t.Run("REQTLS-4.2.1-01 the certificate names the MX host", func(t *testing.T) {
		w := newWorld(t).signed()
		d := w.decide(strict, offering(w.wrong))
		want(t, d, false, "5.7.10")
		if d.Reason.ID != reason.PKIXName || strings.Join(d.Expected, " ") != "mx.example.org" {
			t.Errorf("%s %v", d.Reason.ID, d.Expected)
		}
		// DANE-EE: the record, no name (doubt D4).
		want(t, newWorld(t).signed().tlsa(tlsaOf(3, 1, w.self.Cert)).decide(strict, offering(w.self)), true, "")
		// No MX: the domain itself.
		v := newWorld(t)
		v.dns.AddAs(dnssec.Insecure, "example.org. 300 IN A 192.0.2.1")
		v.dns.Deny("example.org", dnssec.TypeMX, dnssec.NoData, dnssec.Insecure, dnssec.Reason{})
		own := issue(t, certSpec{cn: "x", names: []string{"example.org"}, issuer: w.ca})
		want(t, v.decide(strict, offering(own)), true, "")
		want(t, v.decide(strict, offering(w.good)), false, "5.7.10")
	})
	two := func(t *testing.T) *world {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 3600 IN MX 20 mx2.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2")
		return w
	}
	fateOf := func(w *world, r engine.Request, peers ...engine.Peer) engine.MessageAction {
		p := w.plan(r)
		var tries []engine.Try
		for i, peer := range peers {
			d := w.engine().Decide(p, i, peer, w.now)
			try := p.TryOf(i, d)
			if d.Deliver {
				try.Status = engine.HostDelivered
			}
			tries = append(tries, try)
		}
		return w.engine().Message(p, tries, engine.Circumstances{})
	}
	t.Run("REQTLS-4.2.1-02 the remaining hosts are tried", func(t *testing.T) {
		w := two(t)
		if f := fateOf(w, strict, shows(w.good), offering(w.good)); f.Action != engine.Delivered || f.Host != 1 {
			t.Errorf("%+v", f)
		}
		if f := fateOf(w, strict, shows(w.good), offering(w.wrong)); f.Action != engine.Bounce {
			t.Errorf("%+v", f)
		}
	})
	t.Run("REQTLS-4.2.1-03 a notification goes back", func(t *testing.T) {
		w := two(t)
		if f := fateOf(w, strict, offering(w.wrong), offering(w.wrong)); f.Action != engine.Bounce || f.Reason.ID != reason.RequireTLSFails {
			t.Errorf("%+v", f)
		}
	})
	t.Run("REQTLS-4.2.1-04 the codes", func(t *testing.T) {
		w := two(t)
		if f := fateOf(w, strict, shows(w.good), offering(w.wrong)); explain.MessageAction(f).Code != "5.7.30" {
			t.Errorf("%+v", f)
		}
		if f := fateOf(w, strict, engine.Peer{Event: engine.NoSTARTTLS}, offering(w.wrong)); explain.MessageAction(f).Code != "5.7.10" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("REQTLS-4.2.2-01 policies are evaluated and reported, and fail nothing", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch).policy("enforce", "mx.example.org")
		d := w.decide(engine.Request{TLSRequiredNo: true}, shows(w.alien))
		var got []string
		for _, r := range d.Details {
			got = append(got, string(r.ID))
		}
		if !d.Deliver || strings.Join(got, " ") != "dane-no-match mta-sts-untrusted" {
			t.Errorf("%s %q", d.Outcome, got)
		}
		// What would have skipped the host is among them.
		w = newWorld(t).signed()
		w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBogus)
		d = w.decide(engine.Request{TLSRequiredNo: true}, shows(w.alien))
		if len(d.Details) != 1 || d.Details[0].ID != reason.TLSABogus || !d.Waived {
			t.Errorf("%+v", d.Details)
		}
	})
	t.Run("REQTLS-4.2.2-02 a server that demands TLS and cannot do it", func(t *testing.T) {
		w := newWorld(t).signed()
		p := w.plan(engine.Request{TLSRequiredNo: true})
		d := w.engine().Decide(p, 0, engine.Peer{Event: engine.HandshakeFailed}, w.now)
		f := w.engine().Message(p, []engine.Try{{Decision: d, Status: engine.HostRejected, Reply: 530, Text: "5.7.0 Must issue a STARTTLS command first\r\n"}}, engine.Circumstances{})
		if f.Action != engine.Bounce || f.Reason.ID != reason.TLSDemanded || explain.MessageAction(f).Code != "5.7.10" || strings.ContainsAny(explain.Text(f.Reason), "\r\n") {
			t.Errorf("%+v", f)
		}
		// Another rejection is one, and 530 inside TLS is not about TLS.
		f = w.engine().Message(p, []engine.Try{{Decision: d, Status: engine.HostRejected, Reply: 550}}, engine.Circumstances{})
		if f.Reason.ID != reason.Rejected || f.Action != engine.Bounce {
			t.Errorf("%+v", f)
		}
		d = w.engine().Decide(p, 0, shows(w.good), w.now)
		if f = w.engine().Message(p, []engine.Try{{Decision: d, Status: engine.HostRejected, Reply: 530}}, engine.Circumstances{}); f.Reason.ID != reason.Rejected {
			t.Errorf("%+v", f)
		}
		q := w.plan(engine.Request{})
		d = w.engine().Decide(q, 0, engine.Peer{Event: engine.NoSTARTTLS}, w.now)
		if f = w.engine().Message(q, []engine.Try{{Decision: d, Status: engine.HostRejected, Reply: 530}}, engine.Circumstances{}); f.Reason.ID != reason.Rejected {
			t.Errorf("%+v", f)
		}
	})
	t.Run("REQTLS-5-01 a bounce carries REQUIRETLS itself", func(t *testing.T) {
		w := two(t)
		if f := fateOf(w, strict, offering(w.wrong), offering(w.wrong)); !f.RequireTLS {
			t.Errorf("%+v", f)
		}
		if f := fateOf(w, strict, offering(w.good)); f.RequireTLS || f.HeadersOnly {
			t.Errorf("delivered: %+v", f)
		}
	})
	t.Run("REQTLS-5-02 a bounce is not discarded for lack of it", func(t *testing.T) {
		r := engine.Request{RequireTLS: true, NullReturnPath: true}
		w := newWorld(t).unsigned()
		if d := w.decide(r, engine.Peer{Event: engine.NoSTARTTLS}); !d.Deliver || d.SendRequireTLS || d.Outcome != engine.Cleartext {
			t.Errorf("%+v", d)
		}
		// Where it can be had it is sent.
		w = newWorld(t).signed()
		if d := w.decide(r, offering(w.good)); !d.SendRequireTLS || d.Method != engine.MethodPKIX || d.Requirement != engine.PKIX {
			t.Errorf("%+v", d)
		}
		for _, p := range []engine.Peer{shows(w.good), offering(w.alien), {Event: engine.NoSTARTTLS, RequireTLS: true}} {
			if d := w.decide(r, p); !d.Deliver || d.SendRequireTLS {
				t.Errorf("%+v", d)
			}
		}
		// The plain plan's own refusals stay.
		w = newWorld(t).signed().tlsa(noMatch)
		if d := w.decide(r, offering(w.good)); d.Deliver || d.SendRequireTLS {
			t.Errorf("%+v", d)
		}
		if f := fateOf(w, r, offering(w.good)); f.Action != engine.Retry {
			t.Errorf("%+v", f)
		}
	})
	t.Run("REQTLS-5-03 the header only", func(t *testing.T) {
		w := two(t)
		if f := fateOf(w, strict, offering(w.wrong), offering(w.wrong)); !f.HeadersOnly {
			t.Errorf("%+v", f)
		}
		w = newWorld(t)
		w.dns.Add("example.org. 300 IN MX 0 .")
		if f := w.engine().Message(w.plan(strict), nil, engine.Circumstances{}); f.Action != engine.Bounce || !f.HeadersOnly || !f.RequireTLS {
			t.Errorf("null MX: %+v", f)
		}
		if f := w.engine().Message(w.plan(engine.Request{}), nil, engine.Circumstances{}); f.HeadersOnly || f.RequireTLS {
			t.Errorf("an ordinary message: %+v", f)
		}
	})
	t.Run("TLSRPT-5.3.1-01 TLSRPT-3-08 a report is delivered whatever the policies say", func(t *testing.T) {
		r := engine.Request{TLSRPTReport: true}
		w := newWorld(t).unsigned().policy("enforce", "other.example.org")
		d := w.decide(r, shows(w.alien))
		if !d.Deliver || d.Reason.ID != reason.TLSRPTReport || len(d.Details) != 0 {
			t.Errorf("%s %+v", d.Outcome, d)
		}
		w = newWorld(t).signed().tlsa(noMatch)
		if d := w.decide(r, engine.Peer{Event: engine.NoSTARTTLS}); !d.Deliver || d.Outcome != engine.Cleartext {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("D10 what the operator demands stays", func(t *testing.T) {
		for _, flag := range []engine.Request{{TLSRequiredNo: true}, {TLSRPTReport: true}} {
			for _, level := range []engine.Level{engine.LevelDANEOnly, engine.LevelSecure} {
				w := newWorld(t).signed()
				r := flag
				r.Level = level
				if d := w.decide(r, shows(w.good)); d.Deliver {
					t.Errorf("%s: %s", level, d.Outcome)
				}
				r.Options.LowerAll = true
				if d := w.decide(r, shows(w.good)); !d.Deliver {
					t.Errorf("%s, lowered: %s", level, d.Outcome)
				}
			}
		}
	})
	t.Run("STARTTLS3207-6-01 the client can require TLS for chosen hosts", func(t *testing.T) {
		w := newWorld(t).signed()
		for _, level := range []engine.Level{engine.LevelDANEOnly, engine.LevelSecure} {
			if d := w.decide(engine.Request{Level: level}, engine.Peer{Event: engine.NoSTARTTLS}); d.Deliver {
				t.Errorf("%s: %s", level, d.Outcome)
			}
		}
	})
	t.Run("STARTTLS3207-4-03 454 is like STARTTLS not offered", func(t *testing.T) {
		p := engine.Peer{Event: engine.STARTTLSRefused, Code: 454}
		if d := newWorld(t).signed().decide(engine.Request{}, p); d.Outcome != engine.Cleartext || d.RetryClear {
			t.Errorf("%s", d.Outcome)
		}
		if d := newWorld(t).signed().tlsa(noMatch).decide(engine.Request{}, p); d.Outcome != engine.Refused || explain.Reason(d.Reason).ResultType != "starttls-not-supported" {
			t.Errorf("%s", d.Outcome)
		}
	})
}

// addrPort is where the host of the worlds is.
var addrPort = netip.MustParseAddrPort("192.0.2.1:25")

// w0 is a world whose certificates are used before a test has one.
var w0 = struct{ *pki }{sharedPKI()}

// TestBounceRequireTLS: a bounce with REQUIRETLS is sent with it only where all parts hold.
func TestBounceRequireTLS(t *testing.T) {
	w := newWorld(t).signed().tlsa("1" + noMatch[1:])
	r := engine.Request{RequireTLS: true, NullReturnPath: true}
	if d := w.decide(r, offering(w.alien)); !d.Deliver || d.SendRequireTLS || d.Requirement != engine.Encrypt || d.Outcome != engine.Encrypted {
		t.Errorf("%+v", d)
	}
	if d := w.decide(r, offering(w.good)); !d.SendRequireTLS || d.Requirement != engine.PKIX {
		t.Errorf("%+v", d)
	}
}
