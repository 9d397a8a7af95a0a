package engine_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

func TestPlanCache(t *testing.T) {
	t.Run("kept until the earliest end", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("mx.example.org. 120 IN AAAA 2001:db8::1", "_25._tcp.mx.example.org. 3600 IN TLSA "+noMatch)
		p := w.plan(engine.Request{})
		if want := epoch.Add(120 * time.Second); !p.ValidUntil.Equal(want) {
			t.Errorf("valid until %s, want %s", p.ValidUntil, want)
		}
		n := len(w.dns.Asked())
		w.now = epoch.Add(120*time.Second - 1)
		if q := w.plan(engine.Request{}); q != p || len(w.dns.Asked()) != n {
			t.Error("asked again before the end")
		}
		w.now = epoch.Add(120 * time.Second)
		if q := w.plan(engine.Request{}); q == p || len(w.dns.Asked()) == n {
			t.Error("kept beyond the end")
		}
	})
	t.Run("the end of each part counts", func(t *testing.T) {
		for name, c := range map[string]func(w *world){
			"mx": func(w *world) {
				w.dns.Add("example.org. 90 IN MX 10 mx.example.org.", "mx.example.org. 3600 IN A 192.0.2.1")
			},
			"a": func(w *world) {
				w.dns.Add("example.org. 3600 IN MX 10 mx.example.org.", "mx.example.org. 90 IN A 192.0.2.1")
			},
			"tlsa": func(w *world) { w.signed(); w.dns.Add("_25._tcp.mx.example.org. 90 IN TLSA " + noMatch) },
			"sts": func(w *world) {
				r := policy(t, "example.org", "enforce", "mx.example.org")
				r.Until = epoch.Add(90 * time.Second)
				w.signed()
				w.sts.results["example.org"] = r
			},
		} {
			w := newWorld(t)
			c(w)
			if p := w.plan(engine.Request{}); !p.ValidUntil.Equal(epoch.Add(90 * time.Second)) {
				t.Errorf("%s: %s", name, p.ValidUntil)
			}
		}
	})
	t.Run("a TTL of nothing serves the transaction in progress", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 0 IN MX 10 mx.example.org.", "mx.example.org. 0 IN A 192.0.2.1")
		p := w.plan(engine.Request{})
		if !p.ValidUntil.Equal(epoch.Add(engine.MinValid)) {
			t.Errorf("valid until %s", p.ValidUntil)
		}
		if w.engine().CachedPlans() != 0 {
			t.Error("kept")
		}
	})
	t.Run("what failed is asked again", func(t *testing.T) {
		for name, c := range map[string]func(w *world){
			"mx":   func(w *world) { w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrServFail) },
			"a":    func(w *world) { w.signed(); w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrServFail) },
			"tlsa": func(w *world) { w.signed(); w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail) },
			"sts": func(w *world) {
				w.signed()
				w.sts.results["example.org"] = sts.Result{Row: sts.S2, TXTErr: dnssec.ErrLookup}
			},
		} {
			w := newWorld(t)
			c(w)
			p := w.plan(engine.Request{})
			if w.engine().CachedPlans() != 0 || !p.ValidUntil.After(epoch) {
				t.Errorf("%s: kept, or over: %s", name, p.ValidUntil)
			}
		}
	})
	t.Run("one that has ended is dropped though the next fails", func(t *testing.T) {
		w := newWorld(t).signed()
		p := w.plan(engine.Request{})
		if w.engine().CachedPlans() != 1 {
			t.Fatal("not kept")
		}
		w.now = p.ValidUntil
		w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrServFail)
		if w.plan(engine.Request{}); w.engine().CachedPlans() != 0 {
			t.Error("the ended plan is still kept")
		}
	})
	t.Run("a denial is kept", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 0 .")
		w.plan(engine.Request{})
		if w.engine().CachedPlans() != 1 {
			t.Error("a null MX is not kept")
		}
		w.engine().Forget()
		if w.engine().CachedPlans() != 0 {
			t.Error("Forget kept something")
		}
	})
	t.Run("every part of a request counts", func(t *testing.T) {
		w := newWorld(t).signed()
		a, b := []rfc6125.Host{host(t, "a.example"), host(t, "b.example")}, []rfc6125.Host{host(t, "b.example"), host(t, "a.example")}
		rs := []engine.Request{
			{}, {NextHop: "[mx.example.org]"}, {Port: 26}, {Smarthost: true}, {Sorted: true}, {RequireTLS: true}, {TLSRequiredNo: true}, {NullReturnPath: true}, {TLSRPTReport: true},
			{Level: engine.LevelDANE}, {Options: engine.Options{InsecureMX: engine.InsecureMXMay}}, {Options: engine.Options{DANEAndSTS: engine.Both}},
			{Options: engine.Options{STSUndetermined: engine.STSDefer}}, {Options: engine.Options{RefuseMXAlias: true}}, {Options: engine.Options{NoCNID: true}},
			{Options: engine.Options{NoClearFallback: true}}, {Options: engine.Options{Audit: true}}, {Options: engine.Options{NoAddressDefer: true}},
			{Level: engine.LevelSecure}, {Level: engine.LevelSecure, Options: engine.Options{LowerAll: true}},
			{Level: engine.LevelSecure, Options: engine.Options{Names: a}}, {Level: engine.LevelSecure, Options: engine.Options{Names: b}},
		}
		plans := map[*engine.Plan]int{}
		for i, r := range rs {
			p := w.plan(r)
			if j, ok := plans[p]; ok {
				t.Errorf("requests %d and %d share a plan", i, j)
			}
			plans[p] = i
			if q := w.plan(r); q != p {
				t.Errorf("request %d is not kept", i)
			}
		}
		if w.engine().CachedPlans() != len(rs) {
			t.Errorf("%d plans", w.engine().CachedPlans())
		}
		for _, u := range []dane.UsePolicy{{Forbid: func(dane.Record) string { return "" }}, {Strength: []dane.MatchingType{dane.SHA2_256}}} {
			w.plan(engine.Request{Port: 2525, Options: engine.Options{TLSA: u}})
		}
		if w.engine().CachedPlans() != len(rs) {
			t.Error("a plan with a function in it is kept")
		}
	})
	t.Run("names are the plan's own", func(t *testing.T) {
		w := newWorld(t).signed()
		names := []rfc6125.Host{host(t, "a.example")}
		p := w.plan(engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: names}})
		names[0] = host(t, "evil.example")
		if p.Request.Options.Names[0].String() != "a.example" {
			t.Error("the caller can change a plan")
		}
	})
	t.Run("equal preferences are drawn anew, without harm to the kept plan", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 3600 IN MX 10 mx2.example.org.", "example.org. 3600 IN MX 20 mx3.example.org.")
		reversed := 0
		w.cfg.Shuffle = func(n int, swap func(i, j int)) { reversed++; swap(0, n-1) }
		first, second, third := w.plan(engine.Request{}), w.plan(engine.Request{}), w.plan(engine.Request{})
		if hostNames(first) == hostNames(second) || hostNames(second) != hostNames(third) || reversed != 3 {
			t.Errorf("%q %q %q, %d", hostNames(first), hostNames(second), hostNames(third), reversed)
		}
		if second.Hosts[2].Name.String() != "mx3.example.org" {
			t.Errorf("%q", hostNames(second))
		}
		if s := w.plan(engine.Request{Sorted: true}); s != w.plan(engine.Request{Sorted: true}) || reversed != 3 {
			t.Error("a sorted plan is drawn")
		}
	})
	t.Run("only ties are drawn anew", func(t *testing.T) {
		for _, c := range []struct {
			second string
			anew   bool
		}{{"10", true}, {"20", false}} {
			w := newWorld(t).signed()
			w.dns.Add("example.org. 3600 IN MX " + c.second + " mx2.example.org.")
			if p := w.plan(engine.Request{}); (w.plan(engine.Request{}) != p) != c.anew {
				t.Errorf("second preference %s", c.second)
			}
		}
	})
	t.Run("SMTP5321-5.1-09 a kept plan takes each order of equal hosts equally often", func(t *testing.T) {
		for _, c := range []struct {
			preferences []int
			orders      int
		}{{[]int{10, 10}, 2}, {[]int{10, 10, 10}, 6}, {[]int{10, 10, 20, 20}, 4}, {[]int{10, 20, 20, 30}, 2}, {[]int{10, 10, 10, 10}, 24}, {[]int{10, 10, 10, 20, 20}, 12}} {
			w := newWorld(t)
			for i, n := range c.preferences {
				w.dns.Add(fmt.Sprintf("example.org. 300 IN MX %d h%d.example.org.", n, i))
			}
			w.plan(engine.Request{})
			asked, seen := len(w.dns.Asked()), map[string]int{}
			const each = 400
			for range c.orders * each {
				p := w.plan(engine.Request{})
				seen[hostNames(p)]++
				if !slices.IsSortedFunc(p.Hosts, func(a, b engine.Host) int { return int(a.Preference) - int(b.Preference) }) {
					t.Fatalf("%v: %s", c.preferences, hostNames(p))
				}
			}
			if len(seen) != c.orders || len(w.dns.Asked()) != asked {
				t.Errorf("%v: %d orders in place of %d; %d questions", c.preferences, len(seen), c.orders, len(w.dns.Asked())-asked)
			}
			for order, n := range seen {
				if n < each/2 || n > 2*each {
					t.Errorf("%v: %s %d times of %d", c.preferences, order, n, c.orders*each)
				}
			}
		}
	})
	t.Run("bounded, or not at all", func(t *testing.T) {
		w := newWorld(t)
		w.cfg.CachedPlans = 3
		for i := range 10 {
			n := fmt.Sprintf("d%d.org", i)
			w.dns.Add(n + ". 300 IN MX 0 .")
			w.plan(engine.Request{NextHop: n})
		}
		if got := w.engine().CachedPlans(); got != 3 {
			t.Errorf("%d plans", got)
		}
		w = newWorld(t).signed()
		w.cfg.CachedPlans = -1
		w.plan(engine.Request{})
		n := len(w.dns.Asked())
		w.plan(engine.Request{})
		if len(w.dns.Asked()) == n || w.engine().CachedPlans() != 0 {
			t.Error("kept although it must not")
		}
		w.engine().Forget()
	})
	t.Run("many at once", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("example.org. 3600 IN MX 10 mx2.example.org.")
		e := w.engine()
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 20 {
					p := w.plan(engine.Request{})
					e.Decide(p, 0, shows(w.good), w.now)
				}
			})
		}
		wg.Wait()
	})
}

func TestTrace(t *testing.T) {
	w := newWorld(t).signed()
	var mu sync.Mutex
	var got []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf(format, args...))
	}
	w.cfg.Trace = &engine.Trace{
		GotMX:   func(d rfc6125.Host, s engine.MXState, _ time.Duration) { note("mx %s %s", d, s.Row) },
		GotSTS:  func(r sts.Result, _ time.Duration) { note("sts %s", r.Row) },
		GotHost: func(h *engine.Host, _ time.Duration) { note("host %s %s", h.Name, h.DANE.State) },
		Planned: func(p *engine.Plan, cached bool, _ time.Duration) { note("planned %d %v", len(p.Hosts), cached) },
		Decided: func(p *engine.Plan, i int, d *engine.Decision) { note("decided %d %s", i, d.Outcome) },
	}
	p := w.plan(engine.Request{})
	w.engine().Record(p, 0, w.engine().Decide(p, 0, shows(w.good), w.now))
	w.plan(engine.Request{})
	want := "[mx example.org M9 host mx.example.org none sts S1 planned 1 false decided 0 encrypted planned 1 true]"
	if s := fmt.Sprint(got); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	w.cfg.Trace, w.eng = &engine.Trace{}, nil
	w.plan(engine.Request{})
}

func TestWords(t *testing.T) {
	for _, l := range []engine.Level{engine.LevelDefault, engine.LevelOpportunistic, engine.LevelDANE, engine.LevelDANEOnly, engine.LevelSTS, engine.LevelSecure} {
		var m engine.Level
		b, err := l.MarshalText()
		if err != nil || m.UnmarshalText(b) != nil || m != l {
			t.Errorf("level %s", l)
		}
	}
	for _, r := range []engine.Requirement{engine.Skip, engine.May, engine.Encrypt, engine.HalfDANE, engine.PKIX, engine.STS, engine.DANE, engine.DANE | engine.STS, engine.HalfDANE | engine.STS, engine.HalfDANE | engine.PKIX, engine.May | engine.STS} {
		var m engine.Requirement
		b, _ := r.MarshalText()
		if err := m.UnmarshalText(b); err != nil || m != r {
			t.Errorf("requirement %s: %v", r, err)
		}
	}
	for _, s := range []string{"", "dane+dane", "x", "skip+may", "sts+", "invalid"} {
		if r, err := engine.ParseRequirement(s); err == nil {
			t.Errorf("%q is %s", s, r)
		}
	}
	if got := fmt.Sprint(engine.HalfDANE|engine.STS, engine.DANE|engine.STS, engine.HalfDANE|engine.PKIX, engine.Requirement(1<<7)); got != "half-dane+sts dane+sts half-dane+pkix invalid" {
		t.Error(got)
	}
	if engine.DANE.Has(engine.Skip) || !(engine.DANE | engine.STS).Has(engine.STS) || engine.STS.Has(engine.DANE|engine.STS) {
		t.Error("Has")
	}
	if engine.May.NeedsTLS() || engine.Skip.NeedsTLS() || !engine.Encrypt.NeedsTLS() {
		t.Error("NeedsTLS")
	}
	for o := engine.OutcomeNone; o <= engine.Bounced; o++ {
		var m engine.Outcome
		b, _ := o.MarshalText()
		if err := m.UnmarshalText(b); err != nil || m != o {
			t.Errorf("outcome %s: %v", o, err)
		}
	}
	if engine.Outcome(99).String() != "none" || engine.Level(99).String() != "invalid" {
		t.Error("beyond the words")
	}
	order := []engine.Outcome{engine.Authenticated, engine.Encrypted, engine.Cleartext, engine.Refused, engine.Deferred}
	for i := range order {
		for j := range order {
			if order[i].Weaker(order[j]) != (i > j) {
				t.Errorf("%s weaker than %s: %v", order[i], order[j], i <= j)
			}
		}
	}
	var im engine.InsecureMX
	var ds engine.DANEAndSTS
	var su engine.STSUndetermined
	var ev engine.Event
	for _, c := range []struct {
		u interface{ UnmarshalText([]byte) error }
		v interface{ MarshalText() ([]byte, error) }
		s string
	}{{&im, &im, "may"}, {&im, &im, "encrypt"}, {&im, &im, "dane"}, {&ds, &ds, "both"}, {&ds, &ds, "dane-first"}, {&su, &su, "defer"}, {&su, &su, "proceed"}, {&ev, &ev, "handshake-done"}, {&ev, &ev, "no-starttls"}} {
		if err := c.u.UnmarshalText([]byte(c.s)); err != nil {
			t.Error(err)
		}
		if b, _ := c.v.MarshalText(); string(b) != c.s {
			t.Errorf("%s became %s", c.s, b)
		}
		if c.u.UnmarshalText([]byte("nonsense")) == nil {
			t.Errorf("nonsense for %s", c.s)
		}
	}
}
