package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

// anException is good for example.org and every method, for a day.
func anException() exception.Exception {
	return exception.Exception{ID: "ticket-1", Domain: "example.org", Reason: "their key was changed without a record", Author: "postmaster", Ends: epoch.Add(24 * time.Hour)}
}

// except puts exceptions in force.
func (w *world) except(list ...exception.Exception) *world {
	w.t.Helper()
	set, err := exception.NewSet(list)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cfg.Exceptions = func() *exception.Set { return set }
	return w
}

func TestException(t *testing.T) {
	pki := sharedPKI()
	with := func(change func(*exception.Exception)) exception.Exception {
		x := anException()
		change(&x)
		return x
	}
	plain := func(*exception.Exception) {}
	dane := func(w *world) { w.signed().tlsa(noMatch) }
	policy := func(w *world) { w.unsigned().policy("enforce", "mx.example.org") }
	unlisted := func(w *world) { w.unsigned().policy("enforce", "a.example.org") }
	broken := func(w *world) { w.signed().dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBogus) }
	none := engine.Peer{Event: engine.NoSTARTTLS}
	for _, c := range []struct {
		name   string
		make   func(w *world)
		change func(*exception.Exception)
		r      engine.Request
		peer   engine.Peer
		want   engine.Outcome
		used   bool
	}{
		{"a failed match", dane, plain, engine.Request{}, shows(pki.good), engine.Encrypted, true},
		{"a failed match, method dane", dane, func(x *exception.Exception) { x.Method = "dane" }, engine.Request{}, shows(pki.good), engine.Encrypted, true},
		{"a failed match, method mta-sts", dane, func(x *exception.Exception) { x.Method = "mta-sts" }, engine.Request{}, shows(pki.good), engine.Refused, false},
		{"a name below", dane, func(x *exception.Exception) { x.Domain = "*.org" }, engine.Request{}, shows(pki.good), engine.Encrypted, true},
		{"every name", dane, func(x *exception.Exception) { x.Domain = "*" }, engine.Request{}, shows(pki.good), engine.Encrypted, true},
		{"not the name itself", dane, func(x *exception.Exception) { x.Domain = "*.example.org" }, engine.Request{}, shows(pki.good), engine.Refused, false},
		{"another domain", dane, func(x *exception.Exception) { x.Domain = "example.net" }, engine.Request{}, shows(pki.good), engine.Refused, false},
		{"this host", dane, func(x *exception.Exception) { x.MXHost = "mx.example.org" }, engine.Request{}, shows(pki.good), engine.Encrypted, true},
		{"another host", dane, func(x *exception.Exception) { x.MXHost = "mx2.example.org" }, engine.Request{}, shows(pki.good), engine.Refused, false},
		{"TLS is still demanded", dane, plain, engine.Request{}, none, engine.Refused, false},
		{"nothing is demanded", dane, func(x *exception.Exception) { x.Effect = exception.EffectMay }, engine.Request{}, none, engine.Cleartext, true},
		{"REQUIRETLS is stronger", dane, plain, engine.Request{RequireTLS: true}, shows(pki.good), engine.Refused, false},
		{"a failed policy", policy, plain, engine.Request{}, shows(pki.wrong), engine.Encrypted, true},
		{"a failed policy, method mta-sts", policy, func(x *exception.Exception) { x.Method = "mta-sts" }, engine.Request{}, shows(pki.wrong), engine.Encrypted, true},
		{"a failed policy, method dane", policy, func(x *exception.Exception) { x.Method = "dane" }, engine.Request{}, shows(pki.wrong), engine.Refused, false},
		{"a host that is not listed", unlisted, plain, engine.Request{}, shows(pki.good), engine.Encrypted, true},
		{"a host that is not listed, no TLS", unlisted, plain, engine.Request{}, none, engine.Refused, false},
		{"a host that is not listed, method dane", unlisted, func(x *exception.Exception) { x.Method = "dane" }, engine.Request{}, shows(pki.good), engine.Refused, false},
		{"a lookup that fails", broken, plain, engine.Request{}, shows(pki.good), engine.Encrypted, true},
		{"a lookup that fails, in the clear", broken, func(x *exception.Exception) { x.Effect = exception.EffectMay }, engine.Request{}, none, engine.Cleartext, true},
		{"both fail, one is covered", func(w *world) { w.signed().tlsa(noMatch).policy("enforce", "mx.example.org") }, func(x *exception.Exception) { x.Method = "dane" },
			engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}, shows(pki.wrong), engine.Refused, false},
		{"both fail, both are covered", func(w *world) { w.signed().tlsa(noMatch).policy("enforce", "mx.example.org") }, plain,
			engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}, shows(pki.wrong), engine.Encrypted, true},
		{"not needed", func(w *world) { w.signed().tlsa(tlsaOf(3, 1, pki.good.Cert)) }, plain, engine.Request{}, shows(pki.good), engine.Authenticated, false},
		{"nothing demanded before", func(w *world) { w.signed() }, plain, engine.Request{}, none, engine.Cleartext, false},
		{"audit mode allows it already", dane, plain, engine.Request{Options: engine.Options{Audit: true}}, shows(pki.good), engine.Encrypted, false},
		{"REQUIRETLS to an address is stronger, too", dane, func(x *exception.Exception) { x.Domain = "*" }, engine.Request{NextHop: "[192.0.2.1]", RequireTLS: true}, shows(pki.good), engine.Refused, false},
		{"dead", dane, func(x *exception.Exception) { x.Ends = epoch }, engine.Request{}, shows(pki.good), engine.Refused, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.make(w)
			w.except(with(c.change))
			d := w.decide(c.r, c.peer)
			if d.Outcome != c.want {
				t.Fatalf("%s (%s: %s), want %s", d.Outcome, d.Reason.ID, explain.Text(d.Reason), c.want)
			}
			if used := d.Exception != nil; used != c.used {
				t.Errorf("used %v, want %v", used, c.used)
			}
			if c.used && (d.Reason.ID != reason.Exception || !d.Waived || d.Method != "" || !strings.Contains(explain.Text(d.Reason), "exception ticket-1 of postmaster, until 2000-01-02: their key was changed")) {
				t.Errorf("%+v", d.Reason)
			}
		})
	}
	t.Run("the clear needs another connection", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		w.except(with(func(x *exception.Exception) { x.Effect = exception.EffectMay }))
		p := w.plan(engine.Request{})
		for peer, want := range map[engine.Event]bool{engine.HandshakeFailed: true, engine.NoSTARTTLS: false, engine.HandshakeDone: false} {
			d := w.engine().Decide(p, 0, engine.Peer{Event: peer, Chain: shows(pki.good).Chain, TLS: "TLS 1.3"}, w.now)
			if !d.Waived || d.RetryClear != want {
				t.Errorf("%s: waived %v, another in the clear %v", peer, d.Waived, d.RetryClear)
			}
		}
	})
	t.Run("it ends between plan and decision", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		w.except(with(func(x *exception.Exception) { x.Ends = epoch.Add(30 * time.Second) }))
		p := w.plan(engine.Request{})
		if d := w.engine().Decide(p, 0, shows(pki.good), epoch.Add(29*time.Second)); d.Outcome != engine.Encrypted {
			t.Errorf("before: %s", d.Outcome)
		}
		if d := w.engine().Decide(p, 0, shows(pki.good), epoch.Add(30*time.Second)); d.Outcome != engine.Refused {
			t.Errorf("after: %s", d.Outcome)
		}
	})
	t.Run("a plan that is kept ends with it", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		w.except(with(func(x *exception.Exception) { x.Ends = epoch.Add(7 * time.Minute) }))
		if p := w.plan(engine.Request{}); !p.ValidUntil.Equal(epoch.Add(7 * time.Minute)) {
			t.Errorf("holds until %s", p.ValidUntil)
		}
	})
	t.Run("it is told of and counted", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(tlsaOf(3, 1, pki.good.Cert))
		w.except(anException())
		var told []string
		w.cfg.Trace = &engine.Trace{Excepted: func(x *exception.Exception, needed bool) { told = append(told, fmt.Sprint(x.ID, " ", needed)) }}
		p := w.plan(engine.Request{})
		for _, peer := range []engine.Peer{shows(pki.good), shows(pki.self), shows(pki.self)} {
			w.engine().Record(p, 0, w.engine().Decide(p, 0, peer, w.now))
		}
		if got := strings.Join(told, ", "); got != "ticket-1 false, ticket-1 true, ticket-1 true" {
			t.Error(got)
		}
		if uses := w.engine().ExceptionUses(); len(uses) != 1 || uses[0].Decisions != 3 || uses[0].Needed != 2 || !uses[0].Last.Equal(w.now) {
			t.Errorf("%+v", uses)
		}
	})
	t.Run("an address is below no name", func(t *testing.T) {
		for _, c := range []struct {
			domain, mx string
			covered    bool
		}{{"*", "", true}, {"*.org", "", false}, {"example.org", "", false}, {"*", "*.example.org", false}, {"*", "mx.example.org", false}} {
			w := newWorld(t)
			w.except(with(func(x *exception.Exception) { x.Domain, x.MXHost = c.domain, c.mx }))
			h := w.plan(engine.Request{NextHop: "[192.0.2.1]", Level: engine.LevelSecure}).Hosts[0]
			if (h.Exception != nil) != c.covered {
				t.Errorf("domain %q, host %q: covered %v", c.domain, c.mx, h.Exception != nil)
			}
		}
	})
	t.Run("without a set", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		w.cfg.Exceptions = func() *exception.Set { return nil }
		if d := w.decide(engine.Request{}, shows(pki.good)); d.Outcome != engine.Refused {
			t.Error(d.Outcome)
		}
	})
}
