package engine_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// steps lists the steps of one kind as "name: result".
func steps(why []explain.Step, word string) string {
	var all []string
	for _, s := range why {
		if s.Step == word {
			all = append(all, s.Name+": "+s.Result)
		}
	}
	return strings.Join(all, "\n")
}

// TestTable2 is section 2 of the table: from a next hop to its hosts.
func TestTable2(t *testing.T) {
	bounced := func(t *testing.T, p *engine.Plan, row, code string, id reason.ID) {
		t.Helper()
		if p.MX.Outcome != engine.Bounced || p.MX.Row != row || explain.Reason(p.MX.Reason).Code != code || p.MX.Reason.ID != id || len(p.Hosts) != 0 {
			t.Errorf("%+v, hosts %q", p.MX, hostNames(p))
		}
		s := engine.Summarise(p, nil)
		if s.Outcome != engine.Bounced || s.Deliver || s.EveryHost || s.Reason.ID != id || explain.Summary(p, s).Code != code {
			t.Errorf("summary: %+v", s)
		}
	}
	t.Run("M1 an address literal", func(t *testing.T) {
		for in, addr := range map[string]string{"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:db8::1]": "2001:db8::1", "[ipv6:2001:db8::1]:26": "2001:db8::1", "[2001:db8::1]": "2001:db8::1"} {
			w := newWorld(t)
			p := w.plan(engine.Request{NextHop: in})
			if len(p.Hosts) != 1 || p.Hosts[0].Literal != netip.MustParseAddr(addr) || p.Hosts[0].Requirement != engine.May || p.MX.Row != "M1" || p.Hosts[0].SNI != "" || p.Hosts[0].Reason.ID != reason.Literal {
				t.Errorf("%s: %+v", in, p.Hosts)
			}
			if len(w.dns.Asked()) != 0 || len(w.sts.asked) != 0 {
				t.Errorf("%s: asked %v %v", in, w.dns.Asked(), w.sts.asked)
			}
			if d := w.engine().Decide(p, 0, shows(w.good), w.now); d.Outcome != engine.Encrypted || d.Reason.ID != reason.Literal {
				t.Errorf("%s: %s %s", in, d.Outcome, d.Reason.ID)
			}
			if d := w.engine().Decide(p, 0, engine.Peer{Event: engine.NoSTARTTLS}, w.now); d.Outcome != engine.Cleartext {
				t.Errorf("%s: %s", in, d.Outcome)
			}
		}
	})
	t.Run("STS-3.4-02 no policy for an address literal", func(t *testing.T) {
		w := newWorld(t)
		w.plan(engine.Request{NextHop: "[192.0.2.1]", Level: engine.LevelSTS})
		if len(w.sts.asked) != 0 || len(w.dns.Asked()) != 0 {
			t.Errorf("asked %v %v", w.sts.asked, w.dns.Asked())
		}
	})
	t.Run("M2 a configured host", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("relay.example.org. 300 IN A 192.0.2.9", "relay.example.org. 300 IN MX 10 elsewhere.example.",
			"_587._tcp.relay.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
		p := w.plan(engine.Request{NextHop: "[relay.example.org]:587"})
		if hostNames(p) != "relay.example.org" || p.Hosts[0].Requirement != engine.DANE || p.Hosts[0].Port != 587 || p.MX.Row != "M2" || p.MX.Status != dnssec.Secure {
			t.Errorf("%s: %+v", hostNames(p), p.Hosts)
		}
		if w.asked("relay.example.org", dnssec.TypeMX) {
			t.Error("MX was asked for")
		}
		if d := w.engine().Decide(p, 0, shows(w.self), w.now); d.Outcome != engine.Authenticated {
			t.Errorf("%s %s", d.Outcome, explain.Text(d.Reason))
		}
	})
	for _, kind := range []error{dnssec.ErrServFail, dnssec.ErrTimeout, dnssec.ErrMalformed, dnssec.ErrIndeterminate, dnssec.ErrRefused, dnssec.ErrUnreachable, dnssec.ErrAliasLoop, dnssec.ErrBogus, dnssec.ErrBudget} {
		t.Run("M3 "+kind.Error(), func(t *testing.T) {
			w := newWorld(t)
			w.dns.Add("example.org. 300 IN A 192.0.2.1")
			w.dns.Fail("example.org", dnssec.TypeMX, kind)
			p := w.plan(engine.Request{})
			id := reason.MXLookupFailed
			switch kind {
			case dnssec.ErrBogus:
				id = reason.MXBogus
			case dnssec.ErrBudget:
				id = reason.Budget
			}
			if p.MX.Outcome != engine.Deferred || p.MX.Row != "M3" || p.MX.Reason.ID != id || len(p.Hosts) != 0 {
				t.Errorf("%+v", p.MX)
			}
			if w.asked("example.org", dnssec.TypeA) {
				t.Error("fell back to the address of the domain")
			}
			if s := engine.Summarise(p, nil); s.Outcome != engine.Deferred || s.Reason.ID != id {
				t.Errorf("summary: %+v", s)
			}
			if wantStatus := map[bool]dnssec.Status{true: dnssec.Bogus}[kind == dnssec.ErrBogus]; p.MX.Status != wantStatus {
				t.Errorf("status %s", p.MX.Status)
			}
		})
	}
	t.Run("M3 failure in the alias chain", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN CNAME bad.example.org.", "bad.example.org. 300 IN A 192.0.2.1")
		w.dns.Fail("bad.example.org", dnssec.TypeMX, dnssec.ErrServFail)
		if p := w.plan(engine.Request{}); p.MX.Outcome != engine.Deferred {
			t.Errorf("%+v", p.MX)
		}
	})
	for _, status := range []dnssec.Status{dnssec.Secure, dnssec.Insecure} {
		t.Run("M4 no such domain, "+status.String(), func(t *testing.T) {
			w := newWorld(t)
			w.dns.Deny("example.org", dnssec.TypeMX, dnssec.NXDomain, status, dnssec.Reason{})
			p := w.plan(engine.Request{})
			bounced(t, p, "M4", "5.1.2", reason.NoSuchDomain)
			if strings.Contains(explain.Text(p.MX.Reason), "not validated by DNSSEC") != (status == dnssec.Insecure) {
				t.Error(explain.Text(p.MX.Reason))
			}
		})
	}
	t.Run("M5 implicit MX", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN A 192.0.2.1", "_25._tcp.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
		p := w.plan(engine.Request{})
		if hostNames(p) != "example.org" || p.Hosts[0].Preference != 0 || p.Hosts[0].Requirement != engine.DANE || p.MX.Row != "M5" {
			t.Errorf("%+v %+v", p.MX, p.Hosts)
		}
	})
	t.Run("M5 the host is the name as given, not the end of its alias chain", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN CNAME host.plain.example.", "host.plain.example. 300 IN A 192.0.2.1",
			"_25._tcp.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
		p := w.plan(engine.Request{})
		h := p.Hosts[0]
		// A8: the first alias is signed, the rest is not: the name itself is the base.
		if hostNames(p) != "example.org" || p.Exp.String() != "host.plain.example" || h.DANE.Row != "A8" || h.SNI != "example.org" {
			t.Errorf("%q exp %s row %s sni %s", hostNames(p), p.Exp, h.DANE.Row, h.SNI)
		}
		if p.MX.Status != dnssec.Insecure || h.Requirement != engine.HalfDANE {
			t.Errorf("%s %s", p.MX.Status, h.Requirement)
		}
	})
	t.Run("M6 null MX", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 0 .", "example.org. 300 IN A 192.0.2.1")
		bounced(t, w.plan(engine.Request{}), "M6", "5.1.10", reason.NullMX)
		if w.asked("example.org", dnssec.TypeA) || w.asked(".", dnssec.TypeA) {
			t.Errorf("asked: %v", w.dns.Asked())
		}
	})
	t.Run("M6 a root exchange alone, of another preference", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 .")
		bounced(t, w.plan(engine.Request{}), "M6", "5.1.10", reason.NullMX)
	})
	t.Run("M7 a root exchange among others", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 300 IN MX 0 .")
		p := w.plan(engine.Request{})
		if hostNames(p) != "mx.example.org" || p.MX.Outcome != engine.OutcomeNone || !strings.Contains(steps(explain.Plan(p), explain.StepMX), "root") {
			t.Errorf("%q %+v", hostNames(p), p.MX)
		}
	})
	t.Run("M8 an exchange that is an address", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 300 IN MX 5 192.0.2.7.", "192.0.2.7. 300 IN A 192.0.2.7")
		p := w.plan(engine.Request{})
		if hostNames(p) != "mx.example.org" || !strings.Contains(steps(explain.Plan(p), explain.StepMX), "192.0.2.7: not a host name") {
			t.Errorf("%q\n%s", hostNames(p), steps(explain.Plan(p), explain.StepMX))
		}
	})
	t.Run("M8 nothing else", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 5 192.0.2.7.", "example.org. 300 IN A 192.0.2.1")
		bounced(t, w.plan(engine.Request{}), "M8", "5.4.4", reason.NoUsableMX)
		p := w.plan(engine.Request{Options: engine.Options{NoAddressDefer: true}})
		if p.MX.Outcome != engine.Deferred {
			t.Errorf("%+v", p.MX)
		}
		// With a null MX beside it the domain has not said that it takes no mail.
		w.dns.Add("example.org. 300 IN MX 0 .")
		w.engine().Forget()
		bounced(t, w.plan(engine.Request{}), "M8", "5.4.4", reason.NoUsableMX)
	})
	t.Run("M8 names that are no host names, and malformed records", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add(`example.org. 300 IN MX 1 a\032b.example.org.`)
		w.dns.AddRaw("example.org", dnssec.TypeMX, 300, []byte{0, 1, 99, 1})
		p := w.plan(engine.Request{})
		if hostNames(p) != "mx.example.org" || !strings.Contains(steps(explain.Plan(p), explain.StepMX), "malformed") {
			t.Errorf("%q\n%s", hostNames(p), steps(explain.Plan(p), explain.StepMX))
		}
	})
	t.Run("M9 status of chain and records", func(t *testing.T) {
		for _, c := range []struct {
			chain, mx, want dnssec.Status
		}{
			{dnssec.Secure, dnssec.Secure, dnssec.Secure}, {dnssec.Insecure, dnssec.Secure, dnssec.Insecure},
			{dnssec.Secure, dnssec.Insecure, dnssec.Insecure},
		} {
			w := newWorld(t)
			w.dns.AddAs(c.chain, "example.org. 300 IN CNAME other.org.")
			w.dns.AddAs(c.mx, "other.org. 300 IN MX 10 mx.example.org.")
			w.dns.Add("mx.example.org. 300 IN A 192.0.2.1")
			w.tlsa(tlsaOf(3, 1, w.self.Cert))
			p := w.plan(engine.Request{})
			want := map[dnssec.Status]engine.Requirement{dnssec.Secure: engine.DANE, dnssec.Insecure: engine.HalfDANE}[c.want]
			if p.MX.Status != c.want || p.Hosts[0].Requirement != want || p.Exp.String() != "other.org" || p.MX.Row != "M9" {
				t.Errorf("chain %s mx %s: %s %s", c.chain, c.mx, p.MX.Status, p.Hosts[0].Requirement)
			}
		}
	})
	t.Run("M9 a host named twice", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 300 IN MX 20 mx2.example.org.", "example.org. 300 IN MX 30 mx.example.org.", "mx2.example.org. 300 IN A 192.0.2.2")
		p := w.plan(engine.Request{})
		if hostNames(p) != "mx.example.org mx2.example.org" || p.Hosts[0].Preference != 10 {
			t.Errorf("%q %d", hostNames(p), p.Hosts[0].Preference)
		}
		// And the other way round.
		w = newWorld(t)
		w.dns.Add("example.org. 300 IN MX 30 mx.example.org.", "example.org. 300 IN MX 20 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.2")
		if p := w.plan(engine.Request{}); len(p.Hosts) != 1 || p.Hosts[0].Preference != 20 {
			t.Errorf("%q", hostNames(p))
		}
	})
	t.Run("a set beyond all measure is cut", func(t *testing.T) {
		w := newWorld(t)
		for i := range engine.MaxHosts + 1 {
			w.dns.Add("example.org. 300 IN MX 10 h" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example.org.")
		}
		p := w.plan(engine.Request{})
		if len(p.Hosts) != engine.MaxHosts || !strings.Contains(steps(explain.Plan(p), explain.StepMX), "only the first") {
			t.Errorf("%d hosts", len(p.Hosts))
		}
	})
	ten := func(t *testing.T) *world {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 300 IN MX 20 self.example.org.", "example.org. 300 IN MX 20 beside.example.org.", "example.org. 300 IN MX 30 worse.example.org.",
			"self.example.org. 300 IN A 192.0.2.20", "beside.example.org. 300 IN A 192.0.2.21", "worse.example.org. 300 IN A 192.0.2.30")
		return w
	}
	t.Run("M10 own name", func(t *testing.T) {
		w := ten(t)
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "self.example.org")}
		if p := w.plan(engine.Request{}); hostNames(p) != "mx.example.org" || p.MX.Outcome != engine.OutcomeNone {
			t.Errorf("%q", hostNames(p))
		}
	})
	t.Run("M10 own address", func(t *testing.T) {
		w := ten(t)
		w.cfg.OwnAddresses = []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.20")}
		if p := w.plan(engine.Request{}); hostNames(p) != "mx.example.org" {
			t.Errorf("%q", hostNames(p))
		}
	})
	t.Run("M10 nothing left", func(t *testing.T) {
		w := ten(t)
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "worse.example.org"), host(t, "mx.example.org")}
		p := w.plan(engine.Request{})
		bounced(t, p, "M10", "5.4.6", reason.MailLoop)
		w = ten(t)
		w.cfg.OwnAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		bounced(t, w.plan(engine.Request{}), "M10", "5.4.6", reason.MailLoop)
	})
	t.Run("M10 implicit MX", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN A 192.0.2.1")
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "example.org")}
		bounced(t, w.plan(engine.Request{}), "M10", "5.4.6", reason.MailLoop)
	})
	t.Run("M10 the best of several own hosts counts", func(t *testing.T) {
		for _, own := range [][]rfc6125.Host{{host(t, "mx0.example.org"), host(t, "self.example.org")}, {host(t, "self.example.org"), host(t, "mx0.example.org")}} {
			w := ten(t)
			w.dns.Add("example.org. 300 IN MX 0 mx0.example.org.")
			w.cfg.OwnHosts = own
			bounced(t, w.plan(engine.Request{}), "M10", "5.4.6", reason.MailLoop)
		}
	})
	t.Run("M10 better hosts whose lookups fail", func(t *testing.T) {
		w := ten(t)
		w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrServFail)
		w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrServFail)
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "self.example.org")}
		p := w.plan(engine.Request{})
		if hostNames(p) != "mx.example.org" || p.Hosts[0].Skipped != engine.Deferred {
			t.Errorf("%q %+v", hostNames(p), p.MX)
		}
		if s := engine.Summarise(p, []engine.Decision{w.engine().Decide(p, 0, engine.Peer{}, w.now)}); s.Outcome != engine.Deferred {
			t.Errorf("%s", s.Outcome)
		}
	})
	t.Run("M10 a configured host on this machine is no loop", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("filter.example.org. 300 IN A 127.0.0.1")
		w.cfg.OwnAddresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "filter.example.org")}
		if p := w.plan(engine.Request{NextHop: "[filter.example.org]:10025"}); len(p.Hosts) != 1 {
			t.Errorf("%+v", p.MX)
		}
	})
}

// TestRequirementsMX are the rows of requirements.tsv on the next hop.
func TestRequirementsMX(t *testing.T) {
	t.Run("SMTP5321-5.1-01 the domain is fully qualified", func(t *testing.T) {
		w := newWorld(t)
		w.plan(engine.Request{NextHop: "localpart"})
		for _, q := range w.dns.Asked() {
			if q.Name.FQDN() != "localpart." {
				t.Errorf("asked %s", q)
			}
		}
	})
	t.Run("SMTP5321-5.1-02 MX first, CNAME followed", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("alias.org. 300 IN CNAME example.org.")
		p := w.plan(engine.Request{NextHop: "alias.org"})
		if hostNames(p) != "mx.example.org" || p.Exp.String() != "example.org" || p.Orig.String() != "alias.org" {
			t.Errorf("%q %s", hostNames(p), p.Exp)
		}
		if q := w.dns.Asked()[0]; q.Type != dnssec.TypeMX {
			t.Errorf("asked first: %s", q)
		}
	})
	t.Run("SMTP5321-5.1-03 NXDOMAIN is an error for good", func(t *testing.T) {
		for _, s := range []dnssec.Status{dnssec.Secure, dnssec.Insecure} {
			w := newWorld(t)
			w.dns.Deny("example.org", dnssec.TypeMX, dnssec.NXDomain, s, dnssec.Reason{})
			p := w.plan(engine.Request{})
			if f := w.engine().Message(p, nil, engine.Circumstances{}); f.Action != engine.Bounce || explain.MessageAction(f).Code != "5.1.2" {
				t.Errorf("%s: %+v", s, f)
			}
		}
	})
	t.Run("SMTP5321-5.1-04 a temporary DNS error queues", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrServFail)
		p := w.plan(engine.Request{})
		if f := w.engine().Message(p, nil, engine.Circumstances{}); f.Action != engine.Retry || explain.MessageAction(f).Code != "4.4.3" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("SMTP5321-5.1-05 implicit MX of preference 0", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN A 192.0.2.1")
		if p := w.plan(engine.Request{}); hostNames(p) != "example.org" || p.Hosts[0].Preference != 0 {
			t.Errorf("%q", hostNames(p))
		}
	})
	t.Run("SMTP5321-5.1-06 no substitute for MX hosts that cannot be used", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "example.org. 300 IN A 192.0.2.1")
		p := w.plan(engine.Request{})
		d := w.engine().Decide(p, 0, engine.Peer{}, w.now)
		f := w.engine().Message(p, []engine.Try{p.TryOf(0, d)}, engine.Circumstances{})
		if f.Action != engine.Bounce || explain.MessageAction(f).Code != "5.4.4" || hostNames(p) != "mx.example.org" || w.asked("example.org", dnssec.TypeA) {
			t.Errorf("%+v %q %v", f, hostNames(p), w.dns.Asked())
		}
		// The same for an implicit MX without address.
		w = newWorld(t)
		w.dns.Add("example.org. 300 IN TXT x")
		p = w.plan(engine.Request{})
		f = w.engine().Message(p, []engine.Try{p.TryOf(0, w.engine().Decide(p, 0, engine.Peer{}, w.now))}, engine.Circumstances{})
		if f.Action != engine.Bounce {
			t.Errorf("implicit: %+v", f)
		}
	})
	alias := func(t *testing.T) *world {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
		return w
	}
	t.Run("SMTP5321-5.1-07 an MX host that is an alias", func(t *testing.T) {
		if p := alias(t).plan(engine.Request{}); p.Hosts[0].Requirement != engine.May {
			t.Errorf("follow: %+v", p.Hosts[0].Reason)
		}
		p := alias(t).plan(engine.Request{Options: engine.Options{RefuseMXAlias: true}})
		if h := p.Hosts[0]; h.Requirement != engine.Skip || !h.Unusable || h.Reason.ID != reason.AliasRefused || h.Skipped != engine.Refused {
			t.Errorf("refuse: %+v", h.Reason)
		}
	})
	t.Run("DNS2181-10.3-01 the explanation warns of an alias", func(t *testing.T) {
		p := alias(t).plan(engine.Request{})
		if s := steps(explain.Host(&p.Hosts[0]), explain.StepAddress); !strings.Contains(s, "should not be an alias") {
			t.Error(s)
		}
	})
	t.Run("SMTP5321-5.1-09 by preference, equal ones at random", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 20 d.example.org.", "example.org. 300 IN MX 10 c.example.org.", "example.org. 300 IN MX 10 b.example.org.", "example.org. 300 IN MX 10 a.example.org.", "example.org. 300 IN MX 5 e.example.org.")
		var sizes []int
		reverse := func(n int, swap func(i, j int)) {
			sizes = append(sizes, n)
			for i := range n / 2 {
				swap(i, n-1-i)
			}
		}
		w.cfg.Shuffle = reverse
		if p := w.plan(engine.Request{}); hostNames(p) != "e.example.org c.example.org b.example.org a.example.org d.example.org" || !slices.Equal(sizes, []int{3}) {
			t.Errorf("%q, shuffled %v", hostNames(p), sizes)
		}
		if p := w.plan(engine.Request{Sorted: true}); hostNames(p) != "e.example.org a.example.org b.example.org c.example.org d.example.org" {
			t.Errorf("sorted: %q", hostNames(p))
		}
		w.cfg.Shuffle, w.eng = nil, nil
		seen := map[string]bool{}
		for range 100 {
			w.engine().Forget()
			seen[hostNames(w.plan(engine.Request{}))] = true
		}
		if len(seen) < 3 {
			t.Errorf("only %d orders in 100 plans", len(seen))
		}
	})
	t.Run("SMTP5321-5.1-10 own host and all that is no better", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 300 IN MX 20 self.example.org.", "example.org. 300 IN MX 30 w.example.org.")
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "self.example.org")}
		if p := w.plan(engine.Request{}); hostNames(p) != "mx.example.org" {
			t.Errorf("%q", hostNames(p))
		}
	})
	t.Run("SMTP5321-5.1-11 nothing remains", func(t *testing.T) {
		w := newWorld(t).signed()
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "mx.example.org")}
		p := w.plan(engine.Request{})
		if f := w.engine().Message(p, nil, engine.Circumstances{}); f.Action != engine.Bounce || explain.MessageAction(f).Code != "5.4.6" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("NULLMX7505-3-01 a null MX takes no mail", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 0 .", "example.org. 300 IN A 192.0.2.1")
		if p := w.plan(engine.Request{}); p.MX.Outcome != engine.Bounced || explain.Reason(p.MX.Reason).Code != "5.1.10" || len(p.Hosts) != 0 {
			t.Errorf("%+v", p.MX)
		}
	})
	t.Run("NULLMX7505-3-02 a null MX among others", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 300 IN MX 0 .")
		if p := w.plan(engine.Request{}); hostNames(p) != "mx.example.org" {
			t.Errorf("%q %+v", hostNames(p), p.MX)
		}
	})
	t.Run("NULLMX7505-4.1-01 ends at the first attempt", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 0 .")
		p := w.plan(engine.Request{})
		if f := w.engine().Message(p, nil, engine.Circumstances{}); f.Action != engine.Bounce || explain.MessageAction(f).Code != "5.1.10" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("STS-8.4-01 hosts that fail a policy stay in the list", func(t *testing.T) {
		w := newWorld(t).signed().policy("enforce", "mx.example.org", "mx3.example.org")
		w.dns.Add("example.org. 300 IN MX 5 evil.example.org.", "evil.example.org. 300 IN A 192.0.2.6")
		p := w.plan(engine.Request{})
		if hostNames(p) != "evil.example.org mx.example.org" || p.Hosts[0].Skipped != engine.Refused || p.Hosts[1].Requirement != engine.STS {
			t.Errorf("%q", hostNames(p))
		}
		// Own host first and a host of the policy behind it: nothing is sent to that.
		w.cfg.OwnHosts = []rfc6125.Host{host(t, "evil.example.org")}
		w.eng = nil
		if p := w.plan(engine.Request{}); len(p.Hosts) != 0 || p.MX.Reason.ID != reason.MailLoop {
			t.Errorf("%q", hostNames(p))
		}
	})
	t.Run("DANE7672-2.2.1-02 TLSA changes no order", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx2.example.org.", "example.org. 300 IN MX 20 mx.example.org.", "mx2.example.org. 300 IN A 192.0.2.2", "mx.example.org. 300 IN A 192.0.2.1")
		w.tlsa(tlsaOf(3, 1, w.self.Cert))
		p := w.plan(engine.Request{})
		if hostNames(p) != "mx2.example.org mx.example.org" || p.Hosts[0].Requirement != engine.May || p.Hosts[1].Requirement != engine.DANE {
			t.Errorf("%q", hostNames(p))
		}
	})
	t.Run("DANE7672-2.2.1-03 aliases of the next hop, and its name is kept", func(t *testing.T) {
		// The example of RFC 7672 section 3.2.2.
		w := newWorld(t)
		w.dns.Add("exchange.example.org. 300 IN CNAME mail.example.org.", "mail.example.org. 300 IN CNAME example.org.",
			"example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1")
		w.tlsa(tlsaOf(2, 0, w.ca.Cert))
		p := w.plan(engine.Request{NextHop: "exchange.example.org"})
		h := p.Hosts[0]
		if got := refs(h.DANERefs); got != "mx.example.org exchange.example.org example.org" || h.Requirement != engine.DANE {
			t.Errorf("%s: %s", h.Requirement, got)
		}
	})
	t.Run("DANE7672-2.2.1-07 hosts from insecure lookups are noted as found", func(t *testing.T) {
		w := newWorld(t)
		w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN MX 10 mx.example.org.")
		w.dns.Add("mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
		p := w.plan(engine.Request{})
		found := false
		for _, s := range explain.Plan(p) {
			found = found || s.Step == explain.StepMX && s.Status == "insecure" && strings.Contains(s.Result, "mx.example.org (10)")
		}
		if !found {
			t.Errorf("%+v", explain.Plan(p))
		}
	})
	t.Run("IDNA5891-3.1-01 all that is asked and said is ASCII", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Zone("xn--bcher-kva.example", dnssec.Secure)
		w.dns.Add("xn--bcher-kva.example. 300 IN MX 10 mx.xn--bcher-kva.example.", "mx.xn--bcher-kva.example. 300 IN A 192.0.2.1",
			"_25._tcp.mx.xn--bcher-kva.example. 300 IN TLSA "+tlsaOf(2, 0, w.ca.Cert))
		p := w.plan(engine.Request{NextHop: "bücher.example"})
		h := p.Hosts[0]
		for _, s := range []string{p.Orig.String(), h.Name.String(), h.SNI, refs(h.DANERefs), h.ClientTLS().ServerName} {
			for _, c := range s {
				if c > 0x7f || s == "" {
					t.Errorf("%q", s)
				}
			}
		}
		if h.Requirement != engine.DANE {
			t.Errorf("%s: %s", h.Requirement, explain.Text(h.Reason))
		}
	})
}

func refs(all []rfc6125.Reference) string {
	var s []string
	for _, r := range all {
		s = append(s, r.String())
	}
	return strings.Join(s, " ")
}

// TestManyHosts: all hosts are looked up side by side, since how many questions are under way
// is bounded below; the explanation names the first of them.
func TestManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.STS = nil
		for i := range 40 {
			w.dns.Add(fmt.Sprintf("example.org. 300 IN MX %d mx%d.example.org.", i, i), fmt.Sprintf("mx%d.example.org. 300 IN A 192.0.2.1", i))
		}
		slow := &slowHosts{Resolver: w.dns}
		w.cfg.Resolver = slow
		w.dns.SetClock(time.Now)
		w.cfg.Now = time.Now
		p := w.plan(engine.Request{})
		if len(p.Hosts) != 40 || slow.most != 40 {
			t.Errorf("%d hosts, %d at once", len(p.Hosts), slow.most)
		}
		if got := steps(explain.Plan(p), explain.StepMX); !strings.Contains(got, "mx7.example.org (7) and 32 more") || strings.Contains(got, "mx8.") {
			t.Error(got)
		}
	})
}

// slowHosts takes a second for each address lookup, and counts those at once.
type slowHosts struct {
	dnssec.Resolver
	mu        sync.Mutex
	now, most int
}

func (s *slowHosts) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	if q.Type == dnssec.TypeA {
		s.mu.Lock()
		s.now++
		s.most = max(s.most, s.now)
		s.mu.Unlock()
		time.Sleep(time.Second)
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}
	return s.Resolver.Resolve(ctx, q)
}

// TestEqualOwnHosts: of own hosts of one preference the first is named.
func TestEqualOwnHosts(t *testing.T) {
	w := newWorld(t)
	w.dns.Add("example.org. 300 IN MX 10 a.example.org.", "example.org. 300 IN MX 10 b.example.org.", "a.example.org. 300 IN A 192.0.2.1", "b.example.org. 300 IN A 192.0.2.2")
	w.cfg.OwnHosts = []rfc6125.Host{host(t, "a.example.org"), host(t, "b.example.org")}
	if p := w.plan(engine.Request{Sorted: true}); p.MX.Row != "M10" || !strings.Contains(explain.Text(p.MX.Reason), "is a.example.org, which is this server") {
		t.Errorf("%s: %s", p.MX.Row, explain.Text(p.MX.Reason))
	}
}

// TestMostHosts: as many hosts as there may be are all in the plan.
func TestMostHosts(t *testing.T) {
	w := newWorld(t)
	for i := range engine.MaxHosts {
		w.dns.Add(fmt.Sprintf("example.org. 300 IN MX 10 h%d.example.org.", i))
	}
	if p := w.plan(engine.Request{}); len(p.Hosts) != engine.MaxHosts || strings.Contains(steps(explain.Plan(p), explain.StepMX), "only the first") {
		t.Errorf("%d hosts: %s", len(p.Hosts), steps(explain.Plan(p), explain.StepMX))
	}
}
