package engine_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

// TestTable10 is section 10 of the table.
func TestTable10(t *testing.T) {
	plain := func(t *testing.T) *world {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 3600 IN MX 20 mx2.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2")
		return w
	}
	enforce := func(t *testing.T) *world { return plain(t).policy("enforce", "*.example.org") }
	refused := engine.Decision{Outcome: engine.Refused, Reason: engine.Reason{ID: reason.STSName}}
	gone := engine.Decision{Outcome: engine.Deferred, Reason: engine.Reason{ID: reason.NoConnection, Evidence: &engine.NoTLS{}}}
	good := engine.Decision{Outcome: engine.Authenticated, Deliver: true, Reason: engine.Reason{ID: reason.STSMatch}}
	q4 := engine.Decision{Outcome: engine.Refused, NoREQUIRETLS: true, Reason: engine.Reason{ID: reason.NoREQUIRETLS}}
	try := func(d engine.Decision, s engine.HostStatus) engine.Try {
		return engine.Try{Decision: d, Status: s, Reply: 550, Text: "no"}
	}
	deliver, reject := try(good, engine.HostDelivered), try(good, engine.HostRejected)
	pol, trans, none := try(refused, engine.HostPolicy), try(gone, engine.HostTransient), try(refused, engine.HostUnusable)
	strict := engine.Request{RequireTLS: true}
	for _, c := range []struct {
		name  string
		world func(*testing.T) *world
		r     engine.Request
		tries []engine.Try
		c     engine.Circumstances
		want  string // action, reason, code
		host  int
	}{
		{"O1 the first delivers", plain, engine.Request{}, []engine.Try{deliver}, engine.Circumstances{}, "delivered delivered ", 0},
		{"O1 the second delivers", plain, engine.Request{}, []engine.Try{pol, deliver}, engine.Circumstances{}, "delivered delivered ", 1},
		{"O2 the first rejects, nobody else is asked", plain, engine.Request{}, []engine.Try{reject, deliver}, engine.Circumstances{}, "bounce rejected 5.0.0", 0},
		{"O2 after a policy", plain, engine.Request{}, []engine.Try{pol, reject}, engine.Circumstances{}, "bounce rejected 5.0.0", 1},
		{"O4 nobody meets it", plain, strict, []engine.Try{pol, pol}, engine.Circumstances{}, "bounce requiretls-failed 5.7.10", 0},
		{"O4 one fails only Q4", plain, strict, []engine.Try{pol, try(q4, engine.HostPolicy)}, engine.Circumstances{}, "bounce requiretls-failed 5.7.30", 0},
		{"O4 a policy of mode enforce is looked at first", enforce, strict, []engine.Try{pol, pol}, engine.Circumstances{}, "look-again policy-last-look 4.7.5", 0},
		{"O4 it was looked at", enforce, strict, []engine.Try{pol, pol}, engine.Circumstances{Looked: true}, "bounce requiretls-failed 5.7.10", 0},
		{"O4 hosts without address do not help", plain, strict, []engine.Try{none, pol}, engine.Circumstances{}, "bounce requiretls-failed 5.7.10", 1},
		{"O4 not for a bounce", plain, engine.Request{RequireTLS: true, NullReturnPath: true}, []engine.Try{pol, pol}, engine.Circumstances{}, "retry retry 4.7.5", 0},
		{"O5 one may come back", plain, strict, []engine.Try{pol, trans}, engine.Circumstances{}, "retry retry 4.7.5", 0},
		{"O5 one was not tried", plain, strict, []engine.Try{pol}, engine.Circumstances{}, "retry retry 4.7.5", 0},
		{"O7 policy and transient", plain, engine.Request{}, []engine.Try{trans, pol}, engine.Circumstances{}, "retry retry 4.7.5", 0},
		{"O7 policy alone", plain, engine.Request{}, []engine.Try{pol, pol}, engine.Circumstances{}, "retry retry 4.7.5", 0},
		{"O7 transient alone", plain, engine.Request{}, []engine.Try{trans, trans}, engine.Circumstances{}, "retry retry 4.4.1", 0},
		{"O7 with one that is unusable", plain, engine.Request{}, []engine.Try{none, pol}, engine.Circumstances{}, "retry retry 4.7.5", 1},
		{"O7 nothing was tried", plain, engine.Request{}, nil, engine.Circumstances{}, "retry retry 4.4.0", 0},
		{"O7 more tries than hosts", plain, engine.Request{}, []engine.Try{trans, trans, deliver}, engine.Circumstances{}, "retry retry 4.4.1", 0},
		{"O7 a decision without a reason", plain, engine.Request{}, []engine.Try{{Decision: engine.Decision{Outcome: engine.Refused, Reason: engine.Reason{}}, Status: engine.HostPolicy}}, engine.Circumstances{}, "retry retry ", 0},
		{"O8 time is up, a policy had a part", enforce, engine.Request{}, []engine.Try{pol, trans}, engine.Circumstances{Expired: true}, "look-again policy-last-look 4.7.5", 0},
		{"O8 it was looked at", enforce, engine.Request{}, []engine.Try{pol, trans}, engine.Circumstances{Expired: true, Looked: true}, "bounce queue-expired 5.4.7", 0},
		{"O8 no policy of mode enforce", plain, engine.Request{}, []engine.Try{pol, trans}, engine.Circumstances{Expired: true}, "bounce queue-expired 5.4.7", 0},
		{"O8 the policy had no part", enforce, engine.Request{}, []engine.Try{trans, trans}, engine.Circumstances{Expired: true}, "bounce queue-expired 5.4.7", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.world(t)
			f := w.engine().Message(w.plan(c.r), c.tries, c.c)
			got := f.Action.String() + " " + string(f.Reason.ID) + " " + explain.MessageAction(f).Code
			if got != c.want || f.Host != c.host {
				t.Errorf("%q host %d, want %q host %d (%s)", got, f.Host, c.want, c.host, explain.Text(f.Reason))
			}
			if explain.Text(f.Reason) == "" {
				t.Error("no words")
			}
		})
	}
	t.Run("O6 no host has an address", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "example.org. 300 IN MX 20 mx2.example.org.")
		p := w.plan(engine.Request{})
		var tries []engine.Try
		var ds []engine.Decision
		for i := range p.Hosts {
			d := w.engine().Decide(p, i, engine.Peer{}, w.now)
			ds, tries = append(ds, d), append(tries, p.TryOf(i, d))
			if tries[i].Status != engine.HostUnusable || d.Outcome != engine.Refused {
				t.Errorf("%s %s", tries[i].Status, d.Outcome)
			}
		}
		if f := w.engine().Message(p, tries, engine.Circumstances{}); f.Action != engine.Bounce || explain.MessageAction(f).Code != "5.4.4" || f.Reason.ID != reason.NoAddress {
			t.Errorf("%+v", f)
		}
		if s := engine.Summarise(p, ds); s.Outcome != engine.Bounced || explain.Summary(p, s).Code != "5.4.4" {
			t.Errorf("%+v", s)
		}
		r := engine.Request{Options: engine.Options{NoAddressDefer: true}}
		p = w.plan(r)
		ds = []engine.Decision{w.engine().Decide(p, 0, engine.Peer{}, w.now), w.engine().Decide(p, 1, engine.Peer{}, w.now)}
		tries = []engine.Try{p.TryOf(0, ds[0]), p.TryOf(1, ds[1])}
		if f := w.engine().Message(p, tries, engine.Circumstances{}); f.Action != engine.Retry || explain.MessageAction(f).Code != "4.4.4" {
			t.Errorf("%+v", f)
		}
		if f := w.engine().Message(p, tries, engine.Circumstances{Expired: true}); f.Action != engine.Bounce {
			t.Errorf("%+v", f)
		}
		if s := engine.Summarise(p, ds); s.Outcome != engine.Deferred || explain.Summary(p, s).Code != "4.4.4" {
			t.Errorf("%+v", s)
		}
		// With REQUIRETLS too: there is no host that could fail it.
		p = w.plan(strict)
		tries = []engine.Try{p.TryOf(0, w.engine().Decide(p, 0, engine.Peer{}, w.now)), p.TryOf(1, w.engine().Decide(p, 1, engine.Peer{}, w.now))}
		if f := w.engine().Message(p, tries, engine.Circumstances{}); f.Action != engine.Bounce || explain.MessageAction(f).Code != "5.4.4" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("O5 nobody to ask is no failure of REQUIRETLS", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrServFail)
		if f := w.engine().Message(w.plan(strict), nil, engine.Circumstances{}); f.Action != engine.Retry || f.Host != -1 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("SMTP5321-4.5.4.1-01 what is not delivered is kept, with a reason", func(t *testing.T) {
		w := plain(t)
		f := w.engine().Message(w.plan(engine.Request{}), []engine.Try{trans, trans}, engine.Circumstances{})
		if f.Action != engine.Retry || !strings.Contains(explain.Text(f.Reason), "No mail server answers at ") {
			t.Errorf("%+v", f)
		}
		var zero engine.MessageAction
		if zero.Action != engine.Retry {
			t.Error("the zero MessageAction loses the message")
		}
	})
	t.Run("what a decision alone says of a try", func(t *testing.T) {
		w := plain(t)
		p := w.plan(engine.Request{})
		for want, d := range map[engine.HostStatus]engine.Decision{engine.HostUntried: good, engine.HostPolicy: refused, engine.HostTransient: gone} {
			if got := p.TryOf(0, d).Status; got != want {
				t.Errorf("%s: %s", d.Outcome, got)
			}
		}
		if got := p.TryOf(99, gone).Status; got != engine.HostTransient {
			t.Errorf("%s", got)
		}
	})
}

func TestSummarise(t *testing.T) {
	w := newWorld(t).signed()
	w.dns.Add("example.org. 3600 IN MX 20 mx2.example.org.", "example.org. 3600 IN MX 30 mx3.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2", "mx3.example.org. 3600 IN A 192.0.2.3")
	p := w.plan(engine.Request{})
	d := map[byte]engine.Decision{}
	for c, o := range map[byte]engine.Outcome{'a': engine.Authenticated, 'e': engine.Encrypted, 'c': engine.Cleartext, 'r': engine.Refused, 'd': engine.Deferred, '0': engine.OutcomeNone} {
		d[c] = engine.Decision{Outcome: o, Deliver: o.Deliverable(), Reason: engine.Reason{ID: reason.ID(c)}}
	}
	for _, c := range []struct {
		hosts, want string
		every       bool
		via         int // -1: none
		counts      string
	}{
		{"aaa", "authenticated", true, 0, "3 of 3 hosts would be authenticated"},
		{"aea", "authenticated", false, 0, "2 of 3 hosts would be authenticated"},
		{"eaa", "encrypted", false, 0, "2 of 3 hosts would be authenticated"},
		{"rad", "authenticated", true, 1, "1 of 3 hosts would be authenticated"},
		{"drc", "cleartext", false, 2, "0 of 3 hosts would be authenticated"},
		{"rrr", "refused", false, -1, "0 of 3 hosts would be authenticated"},
		{"rdr", "deferred", false, -1, "0 of 3 hosts would be authenticated"},
		{"ddd", "deferred", false, -1, "0 of 3 hosts would be authenticated"},
		{"rr", "deferred", false, -1, "0 of 3 hosts would be authenticated"},
		{"rr0", "deferred", false, -1, "0 of 3 hosts would be authenticated"},
		{"rrra", "refused", false, -1, "0 of 3 hosts would be authenticated"},
		{"", "deferred", false, -1, "0 of 3 hosts would be authenticated"},
	} {
		var ds []engine.Decision
		for i := range len(c.hosts) {
			x := d[c.hosts[i]]
			if i < len(p.Hosts) {
				x.Host = p.Hosts[i].Name
			}
			ds = append(ds, x)
		}
		s := engine.Summarise(p, ds)
		if s.Outcome.String() != c.want || s.EveryHost != c.every || s.Deliver != (c.via >= 0) || explain.Authenticated(s) != c.counts {
			t.Errorf("%s: %+v (%s)", c.hosts, s, explain.Authenticated(s))
		}
		if c.via >= 0 && s.Via != p.Hosts[c.via].Name || c.via < 0 && s.Via.IsValid() {
			t.Errorf("%s: via %s", c.hosts, s.Via)
		}
		if len(c.hosts) == 3 && s.Reason.IsZero() {
			t.Errorf("%s: no reason", c.hosts)
		}
		if c.hosts == "rdr" && s.Reason.ID != "d" {
			t.Errorf("%s: the reason is %s", c.hosts, s.Reason.ID)
		}
	}
	// One that is unusable does not speak for the domain.
	v := newWorld(t)
	v.dns.Add("example.org. 300 IN MX 10 gone.example.org.", "example.org. 300 IN MX 20 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1")
	v.policy("enforce", "other.example.org")
	q := v.plan(engine.Request{})
	ds := []engine.Decision{v.engine().Decide(q, 0, engine.Peer{}, v.now), v.engine().Decide(q, 1, engine.Peer{}, v.now)}
	if s := engine.Summarise(q, ds); s.Outcome != engine.Refused || s.Reason.ID != reason.STSNoMatch {
		t.Errorf("%+v", s)
	}
	one := newWorld(t).signed()
	if s := engine.Summarise(one.plan(engine.Request{}), nil); explain.Authenticated(s) != "0 of 1 host would be authenticated" {
		t.Error(explain.Authenticated(s))
	}
}

// TestWorked are the worked rows of section 11.
func TestWorked(t *testing.T) {
	insecure := func(t *testing.T) *world { return newWorld(t).unsigned() }
	signed := func(t *testing.T) *world { return newWorld(t).signed() }
	starttls := engine.Peer{Event: engine.NoSTARTTLS}
	for _, c := range []struct {
		name string
		make func(t *testing.T) (*world, engine.Request, engine.Peer)
		want string // requirement, outcome, method
	}{
		{"3 1 1 matches, STS enforce, self-signed", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := signed(t)
			return w.tlsa(tlsaOf(3, 1, w.self.Cert)).policy("enforce", "mx.example.org"), engine.Request{}, shows(w.self)
		}, "dane authenticated dane-ee"},
		{"the same, option both", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := signed(t)
			return w.tlsa(tlsaOf(3, 1, w.self.Cert)).policy("enforce", "mx.example.org"), engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}, shows(w.self)
		}, "dane+sts refused "},
		{"3 1 1 mismatch, STS satisfied", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := signed(t)
			return w.tlsa(noMatch).policy("enforce", "mx.example.org"), engine.Request{}, shows(w.good)
		}, "dane refused "},
		{"TLSA SERVFAIL, STS satisfied", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := signed(t).policy("enforce", "mx.example.org")
			w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
			return w, engine.Request{}, shows(w.good)
		}, "skip deferred "},
		{"only 1 1 1, STARTTLS stripped", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := signed(t)
			return w.tlsa("1" + noMatch[1:]), engine.Request{}, starttls
		}, "encrypt refused "},
		{"only 1 1 1, STS enforce, good certificate", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := signed(t)
			return w.tlsa("1"+noMatch[1:]).policy("enforce", "mx.example.org"), engine.Request{}, shows(w.good)
		}, "sts authenticated mta-sts"},
		{"insecure MX, 3 1 1 matches", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := insecure(t)
			return w.tlsa(tlsaOf(3, 1, w.self.Cert)), engine.Request{}, shows(w.self)
		}, "half-dane encrypted "},
		{"insecure MX forged, cached STS enforce", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := insecure(t)
			return w.tlsa(tlsaOf(3, 1, w.self.Cert)).policy("enforce", "genuine.example.org"), engine.Request{}, shows(w.self)
		}, "skip refused "},
		{"no policy to be had, HTTPS 500", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := insecure(t)
			return w, engine.Request{}, starttls
		}, "may cleartext "},
		{"cached enforce, MX certificate bad", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := insecure(t).policy("enforce", "mx.example.org")
			return w, engine.Request{}, shows(w.alien)
		}, "sts refused "},
		{"STS testing, not in the pattern, bad certificate", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := insecure(t).policy("testing", "other.example.org")
			return w, engine.Request{}, shows(w.alien)
		}, "may encrypted "},
		{"MX host alias, signed into an unsigned zone, TLSA at the original name", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := newWorld(t)
			w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN CNAME h.plain.example.", "h.plain.example. 300 IN A 192.0.2.1")
			return w.tlsa(tlsaOf(3, 1, w.self.Cert)), engine.Request{}, shows(w.self)
		}, "dane authenticated dane-ee"},
		{"implicit MX, all signed", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := newWorld(t)
			w.dns.Add("example.org. 300 IN A 192.0.2.1", "_25._tcp.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
			return w, engine.Request{}, shows(w.self)
		}, "dane authenticated dane-ee"},
		{"a literal", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := newWorld(t)
			return w, engine.Request{NextHop: "[192.0.2.1]"}, starttls
		}, "may cleartext "},
		{"smarthost with a port", func(t *testing.T) (*world, engine.Request, engine.Peer) {
			w := newWorld(t)
			w.dns.Add("relay.example.org. 300 IN A 192.0.2.1", "_587._tcp.relay.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
			return w, engine.Request{NextHop: "[relay.example.org]:587", Smarthost: true}, shows(w.self)
		}, "dane authenticated dane-ee"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, r, peer := c.make(t)
			p := w.plan(r)
			d := w.engine().Decide(p, 0, peer, w.now)
			if got := p.Hosts[0].Requirement.String() + " " + d.Outcome.String() + " " + string(d.Method); got != c.want {
				t.Errorf("%q, want %q (%s)", got, c.want, explain.Text(d.Reason))
			}
			checkDecision(t, d)
		})
	}
}

// TestOutcomeWords: each outcome has its word, and a number that is none of them has that of
// the zero Outcome.
func TestOutcomeWords(t *testing.T) {
	for o, want := range map[engine.Outcome]string{engine.OutcomeNone: "none", engine.Authenticated: "authenticated", engine.Bounced: "bounced", engine.Bounced + 1: "none", 255: "none"} {
		if got := o.String(); got != want {
			t.Errorf("outcome %d: %q, want %q", o, got, want)
		}
	}
}
