package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A life is what one domain goes through: worlds one after another that share a store.
type life struct {
	t      testing.TB
	store  store.Store
	action memory.Action
	hold   time.Duration    // 0: the default
	clock  func() time.Time // nil: now
	now    time.Time
	memory *memory.Memory
	told   []string        // what the observers received
	log    strings.Builder // of the memory
}

func newLife(t testing.TB, action memory.Action) *life {
	l := &life{t: t, action: action, now: epoch}
	s, err := store.NewMemory(store.MemoryConfig{Now: func() time.Time { return l.now }})
	if err != nil {
		t.Fatal(err)
	}
	l.store = s
	t.Cleanup(func() { l.end(); s.Close() })
	return l
}

// end writes what is remembered, as the end of a process does.
func (l *life) end() {
	if l.memory != nil {
		if err := l.memory.Close(); err != nil {
			l.t.Error(err)
		}
	}
}

// next is a world after some time, in a new process with the same store.
func (l *life) next(after time.Duration, f func(w *world)) *world {
	l.t.Helper()
	l.end()
	l.now = l.now.Add(after)
	clock := l.clock
	if clock == nil {
		clock = func() time.Time { return l.now }
	}
	m, err := memory.New(memory.Config{Store: l.store, Action: l.action, Hold: l.hold, Now: clock, Logger: slog.New(slog.NewTextHandler(&l.log, nil))})
	if err != nil {
		l.t.Fatal(err)
	}
	l.memory = m
	w := newWorld(l.t)
	w.now = l.now
	w.dns.SetClock(func() time.Time { return w.now })
	var mu sync.Mutex
	w.cfg.Memory = m
	w.cfg.Trace = &engine.Trace{Dropped: func(d rfc6125.Host, x memory.Drop) {
		mu.Lock()
		defer mu.Unlock()
		l.told = append(l.told, strings.TrimSpace(d.String()+" "+string(x.Kind)+" "+x.Host))
	}}
	f(w)
	return w
}

// drops are the kinds of a plan's drops.
func drops(p *engine.Plan) string {
	var all []string
	for _, d := range p.Drops {
		all = append(all, string(d.Kind))
	}
	return strings.Join(all, " ")
}

// found are the ids of a plan's findings that come from the memory.
func found(p *engine.Plan) string {
	var all []string
	for _, f := range p.Findings {
		if strings.HasPrefix(string(f.ID), "memory-") {
			all = append(all, string(f.ID))
		}
	}
	return strings.Join(all, " ")
}

// The states of a domain.
var (
	protected = func(w *world) { w.signed().tlsa(noMatch) }
	bare      = func(w *world) { w.signed() }
	insecure  = func(w *world) { w.unsigned().tlsa(noMatch) }
	enforced  = func(w *world) { w.unsigned().policy("enforce", "mx.example.org") }
	testing_  = func(w *world) { w.unsigned().policy("testing", "mx.example.org") }
	none      = func(w *world) { w.unsigned().policy("none") }
	plain     = func(w *world) { w.unsigned() }
	// unreachable: the record is there, and the policy cannot be fetched.
	unreachable = func(w *world) {
		w.unsigned().sts.results["example.org"] = sts.Result{Row: sts.S4, FetchErr: sts.ErrFetchTCP}
	}
	unknown = func(w *world) {
		w.unsigned().sts.results["example.org"] = sts.Result{Row: sts.S2, TXTErr: dnssec.ErrTimeout}
	}
	twoHosts = func(w *world) {
		w.signed().tlsa(noMatch)
		w.dns.Add("example.org. 3600 IN MX 20 mx2.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2", "_25._tcp.mx2.example.org. 3600 IN TLSA "+noMatch)
	}
	oneOfTwo = func(w *world) {
		w.signed().tlsa(noMatch)
		w.dns.Add("example.org. 3600 IN MX 20 mx2.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2")
	}
	bogus = func(w *world) { w.signed().dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBogus) }
	gone  = func(w *world) {}
)

// TestMemory walks through what a domain can lose: what is noticed, what is a finding, and
// which hosts wait.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, then func(w *world)
		r           engine.Request
		drop        string
		held        string // the reason of hosts that wait under the action defer; "" if none does
	}{
		{"TLSA records are gone", protected, bare, engine.Request{}, "dane-gone", "memory-dane"},
		{"the MX is not signed any more", protected, insecure, engine.Request{}, "dane-gone", "memory-dane"},
		{"one of two hosts has lost them", twoHosts, oneOfTwo, engine.Request{}, "dane-partly", "memory-dane"},
		{"the one host that had them is all that had", oneOfTwo, bare, engine.Request{}, "dane-gone", "memory-dane"},
		{"one host more has them", oneOfTwo, twoHosts, engine.Request{}, "", ""},
		{"nothing changes", protected, protected, engine.Request{}, "", ""},
		{"a lookup that fails is no loss", protected, bogus, engine.Request{}, "", ""},
		{"nor is a domain that is gone", protected, gone, engine.Request{}, "", ""},
		{"nor is one that is gone with its policy", enforced, gone, engine.Request{}, "", ""},
		{"TLSA gone, and the policy holds", func(w *world) { w.signed().tlsa(noMatch).policy("enforce", "mx.example.org") }, func(w *world) { w.signed().policy("enforce", "mx.example.org") }, engine.Request{}, "dane-gone", ""},
		{"the level looks at no TLSA", protected, bare, engine.Request{Level: engine.LevelSTS}, "", ""},
		{"the level looks at no policy", enforced, plain, engine.Request{Level: engine.LevelDANE}, "", ""},
		{"the policy is gone", enforced, plain, engine.Request{}, "sts-gone", "memory-sts"},
		{"the policy is in mode none", enforced, none, engine.Request{}, "sts-none", "memory-sts"},
		{"the policy is in mode testing", enforced, testing_, engine.Request{}, "sts-testing", "memory-sts"},
		{"the policy cannot be fetched", enforced, unreachable, engine.Request{}, "sts-unreachable", "memory-sts"},
		{"the record cannot be looked up", enforced, unknown, engine.Request{}, "sts-unreachable", "memory-sts"},
		{"testing ends", testing_, plain, engine.Request{}, "sts-gone", "memory-sts"},
		{"testing becomes enforce", testing_, enforced, engine.Request{}, "", ""},
		{"nothing was ever there", plain, plain, engine.Request{}, "", ""},
		{"audit mode waits for nothing", protected, bare, engine.Request{Options: engine.Options{Audit: true}}, "dane-gone", ""},
		{"nor does TLS-Required: No", protected, bare, engine.Request{TLSRequiredNo: true}, "dane-gone", ""},
		{"nor does a level that authenticates nobody", protected, bare, engine.Request{Level: engine.LevelOpportunistic}, "", ""},
		{"a configured host is not a domain", protected, bare, engine.Request{NextHop: "[mx.example.org]"}, "", ""},
		{"a literal has no past", protected, bare, engine.Request{NextHop: "[192.0.2.1]"}, "", ""},
	} {
		for _, action := range []memory.Action{memory.Accept, memory.Alert, memory.Defer} {
			t.Run(c.name+"/"+action.String(), func(t *testing.T) {
				l := newLife(t, action)
				first := l.next(0, c.first).plan(engine.Request{Options: c.r.Options})
				if first.Drops != nil {
					t.Errorf("at first: %v", first.Drops)
				}
				w := l.next(48*time.Hour, c.then)
				p := w.plan(c.r)
				if drops(p) != c.drop {
					t.Fatalf("dropped %q, want %q", drops(p), c.drop)
				}
				want := ""
				if c.drop != "" && action != memory.Accept {
					want = "memory-" + strings.Split(c.drop, "-")[0]
				}
				if found(p) != want {
					t.Errorf("finding %q, want %q", found(p), want)
				}
				told := 0
				if c.drop != "" {
					told = 1
					if steps(explain.Plan(p), explain.StepMemory) == "" {
						t.Error("no explanation")
					}
					if since := p.Drops[0].Since; !since.Equal(epoch) || !p.Drops[0].Noted.Equal(l.now) {
						t.Errorf("%+v", p.Drops[0])
					}
				}
				if len(l.told) != told || l.memory.Stats().Drops != uint64(told) {
					t.Errorf("observers: %q", l.told)
				}
				held := ""
				for _, h := range p.Hosts {
					if strings.HasPrefix(string(h.Reason.ID), "memory-") {
						held = string(h.Reason.ID)
						if h.Requirement != engine.Skip || h.Skipped != engine.Deferred {
							t.Errorf("%v %v", h.Requirement, h.Skipped)
						}
					}
				}
				if want := c.held; action != memory.Defer {
					if held != "" {
						t.Errorf("held by %s", held)
					}
				} else if held != want {
					t.Errorf("held %q, want %q", held, want)
				}
				if c.drop == "" {
					return
				}
				// A second plan is no second event, also not in another process.
				l.next(time.Hour, c.then).plan(c.r)
				l.end()
				if len(l.told) != 1 || l.memory.Stats().Written != 0 {
					t.Errorf("observers: %q, written: %d", l.told, l.memory.Stats().Written)
				}
				// After the hold it is known, and has no effect any more.
				p = l.next(memory.DefaultHold, c.then).plan(c.r)
				if drops(p) != c.drop || found(p) != "" || len(l.told) != 1 {
					t.Errorf("later: %q %q %q", drops(p), found(p), l.told)
				}
				for _, h := range p.Hosts {
					if strings.HasPrefix(string(h.Reason.ID), "memory-") {
						t.Errorf("later: %s waits by %s", h.Name, h.Reason.ID)
					}
				}
				// What comes back is no loss any more; and to lose it again is another.
				if p = l.next(time.Hour, c.first).plan(engine.Request{}); p.Drops != nil {
					t.Errorf("back: %v", p.Drops)
				}
				if p = l.next(time.Hour, c.then).plan(c.r); drops(p) != c.drop || len(l.told) != 2 {
					t.Errorf("again: %q %q", drops(p), l.told)
				}
			})
		}
	}
}

// TestMemoryOutcome: a decision with a memory is the one without, or deferred, whatever
// the domain once was; nothing is authenticated by it and nothing goes that would not.
func TestMemoryOutcome(t *testing.T) {
	pki := sharedPKI()
	peers := []engine.Peer{{Event: engine.NoSTARTTLS}, {Event: engine.STARTTLSRefused}, {Event: engine.HandshakeFailed}, shows(pki.good, pki.ca), shows(pki.wrong), {}}
	states := []func(w *world){protected, bare, insecure, enforced, testing_, none, plain, unreachable, unknown, twoHosts, oneOfTwo, bogus, gone}
	requests := []engine.Request{{}, {Level: engine.LevelSecure}, {Level: engine.LevelDANEOnly}, {RequireTLS: true}, {TLSRequiredNo: true}, {Options: engine.Options{Audit: true}}}
	deferred := 0
	for i, first := range states {
		for k, then := range states {
			l := newLife(t, memory.Defer)
			w := l.next(0, first)
			p := w.plan(engine.Request{})
			for h := range p.Hosts {
				w.engine().Remember(p, h, w.engine().Decide(p, h, shows(pki.good), l.now))
			}
			with := l.next(24*time.Hour, then)
			without := newWorld(t)
			without.now = with.now
			without.dns.SetClock(func() time.Time { return with.now })
			then(without)
			for _, r := range requests {
				r.Sorted = true
				p, q := with.plan(r), without.plan(r)
				for h := range p.Hosts {
					for _, peer := range peers {
						a, b := with.engine().Decide(p, h, peer, l.now), without.engine().Decide(q, h, peer, l.now)
						if a.Outcome == engine.Deferred && strings.HasPrefix(string(a.Reason.ID), "memory-") && !a.Deliver {
							if b.Outcome.Deliverable() {
								deferred++
							}
							if b.Outcome == engine.Authenticated || r.Options.Audit || r.TLSRequiredNo {
								t.Errorf("%d to %d: %v waits", i, k, b.Outcome)
							}
							continue
						}
						if a.Outcome != b.Outcome || a.Method != b.Method || a.Deliver != b.Deliver || a.Reason.ID != b.Reason.ID {
							t.Errorf("%d to %d: %v %v without, %v %v with a memory", i, k, b.Outcome, b.Reason.ID, a.Outcome, a.Reason.ID)
						}
					}
				}
			}
		}
	}
	if deferred < 100 {
		t.Errorf("only %d decisions waited", deferred)
	}
}

// TestMemoryTLS: a host that has spoken TLS and does not is noticed.
func TestMemoryTLS(t *testing.T) {
	pki := sharedPKI()
	deliver := func(w *world, r engine.Request, peer engine.Peer) engine.Decision {
		p := w.plan(r)
		d := w.engine().Decide(p, 0, peer, w.now)
		w.engine().Remember(p, 0, d)
		return d
	}
	stripped := engine.Peer{Event: engine.NoSTARTTLS}
	for _, action := range []memory.Action{memory.Accept, memory.Alert, memory.Defer} {
		t.Run("STARTTLS3207-6-02 "+action.String(), func(t *testing.T) {
			l := newLife(t, action)
			if d := deliver(l.next(0, plain), engine.Request{}, stripped); d.Outcome != engine.Cleartext || len(d.Details) != 0 {
				t.Fatalf("a host never seen: %v %v", d.Outcome, d.Details)
			}
			deliver(l.next(time.Hour, plain), engine.Request{}, shows(pki.good))
			if d := deliver(l.next(time.Hour, plain), engine.Request{}, engine.Peer{}); d.Outcome != engine.Deferred || d.Reason.ID != reason.NoConnection {
				t.Fatalf("no connection says nothing of TLS: %v", d.Reason.ID)
			}
			check := func(when string, w *world, r engine.Request, open bool) {
				t.Helper()
				for range 2 { // the second in the knowledge of the first
					d := deliver(w, r, stripped)
					detail := slices.ContainsFunc(d.Details, func(r engine.Reason) bool { return r.ID == reason.MemoryTLS })
					wait := open && action == memory.Defer && !r.TLSRequiredNo
					alert := open && action != memory.Accept && !wait
					if (d.Outcome == engine.Deferred && d.Reason.ID == reason.MemoryTLS && explain.Decision(d).Code == "4.7.0" && !d.Deliver && !d.RetryClear) != wait || detail != alert {
						t.Errorf("%s: %v, %v, %v", when, d.Outcome, d.Reason.ID, d.Details)
					}
					if d.Lost == nil {
						t.Errorf("%s: no explanation", when)
					}
				}
			}
			if p := l.next(0, plain).plan(engine.Request{}); found(p) != "" || p.Drops != nil {
				t.Errorf("told before a connection shows it: %q", found(p))
			}
			check("at once", l.next(time.Hour, plain), engine.Request{}, true)
			check("the message wants to go", l.next(time.Hour, plain), engine.Request{TLSRequiredNo: true}, true)
			check("within the hold", l.next(memory.DefaultHold-2*time.Hour, plain), engine.Request{}, true)
			check("after the hold", l.next(time.Hour+1, plain), engine.Request{}, false)
			l.end()
			if !slices.Equal(l.told, []string{"example.org tls-gone mx.example.org"}) {
				t.Errorf("observers: %q", l.told)
			}
			// TLS is back, and lost again.
			deliver(l.next(time.Hour, plain), engine.Request{}, shows(pki.good))
			check("again", l.next(time.Hour, plain), engine.Request{}, true)
			l.end()
			if len(l.told) != 2 {
				t.Errorf("observers: %q", l.told)
			}
		})
	}
	t.Run("a fall to clear text in a running process", func(t *testing.T) {
		l := newLife(t, memory.Defer)
		w := l.next(0, plain)
		if d := deliver(w, engine.Request{}, shows(pki.good)); d.Outcome != engine.Encrypted {
			t.Fatal(d.Outcome)
		}
		w.engine().Forget()
		if d := deliver(w, engine.Request{}, stripped); d.Outcome != engine.Deferred || d.Reason.ID != reason.MemoryTLS {
			t.Errorf("%v %v", d.Outcome, d.Reason.ID)
		}
	})
	t.Run("hosts are bounded", func(t *testing.T) {
		l := newLife(t, memory.Alert)
		for i := range 40 {
			w := l.next(time.Hour, func(w *world) {
				w.dns.AddAs(dnssec.Insecure, fmt.Sprintf("example.org. 300 IN MX 10 mx%d.example.org.", i))
				w.dns.Add(fmt.Sprintf("mx%d.example.org. 300 IN A 192.0.2.1", i))
			})
			deliver(w, engine.Request{}, shows(pki.good))
		}
		l.end()
		p, ok, err := l.memory.Past(t.Context(), host(t, "example.org"), 25)
		if err != nil || !ok || len(p.TLS) != 16 || p.TLS[15].Host != "mx39.example.org" || p.TLS[0].Host != "mx24.example.org" {
			t.Errorf("%v %v %+v", ok, err, p.TLS)
		}
	})
}

// TestMemoryDeeper: a deeper fall is a new event with a new hold; a lesser one keeps it.
func TestMemoryDeeper(t *testing.T) {
	l := newLife(t, memory.Alert)
	l.next(0, enforced).plan(engine.Request{})
	first := l.next(time.Hour, testing_).plan(engine.Request{}).Drops[0]
	deeper := l.next(time.Hour, plain).plan(engine.Request{}).Drops[0]
	if deeper.Kind != memory.DropSTS || !deeper.Noted.Equal(first.Noted.Add(time.Hour)) || !deeper.Until.Equal(deeper.Noted.Add(memory.DefaultHold)) {
		t.Errorf("%+v after %+v", deeper, first)
	}
	lesser := l.next(time.Hour, none).plan(engine.Request{}).Drops[0]
	if lesser.Kind != memory.DropSTSNone || !lesser.Noted.Equal(deeper.Noted) {
		t.Errorf("%+v after %+v", lesser, deeper)
	}
	if len(l.told) != 3 {
		t.Errorf("%q", l.told)
	}
}

// TestMemoryException: an exception lets pass what the memory holds back.
func TestMemoryException(t *testing.T) {
	for method, want := range map[string]engine.Outcome{"": engine.Encrypted, "dane": engine.Encrypted, "mta-sts": engine.Deferred} {
		l := newLife(t, memory.Defer)
		l.next(0, protected).plan(engine.Request{})
		x := anException()
		x.Method = method
		w := l.next(time.Hour, func(w *world) { bare(w); w.except(x) })
		p := w.plan(engine.Request{})
		d := w.engine().Decide(p, 0, shows(sharedPKI().good), w.now)
		w.engine().Record(p, 0, d)
		if d.Outcome != want {
			t.Errorf("method %q: %v, %s", method, d.Outcome, explain.Text(d.Reason))
		}
		needed := uint64(0)
		if want == engine.Encrypted {
			needed = 1
		}
		uses := w.engine().ExceptionUses()
		if len(uses) != 1 || uses[0].ID != x.ID || uses[0].Decisions != 1 || uses[0].Needed != needed || uses[0].Last.IsZero() != (needed == 0) {
			t.Errorf("method %q: counted %+v", method, uses)
		}
	}
}

// TestMemoryKept: a plan does not outlive the hold of its drop, and is reported in no
// report as a failure of the domain's.
func TestMemoryKept(t *testing.T) {
	l := newLife(t, memory.Alert)
	l.next(0, protected).plan(engine.Request{})
	l.next(time.Hour, bare).plan(engine.Request{})
	w := l.next(memory.DefaultHold-7*time.Minute, func(w *world) { bare(w); w.cfg.STS = nil })
	p := w.plan(engine.Request{})
	if left := p.ValidUntil.Sub(l.now); left != 7*time.Minute {
		t.Errorf("the plan holds for %v", left)
	}
	d := w.engine().Decide(p, 0, shows(sharedPKI().good), l.now)
	for _, e := range explain.Report(p, 0, d) {
		if len(e.Failures) > 0 || !e.Compliant {
			t.Errorf("%+v", e)
		}
	}
	l.action = memory.Defer
	w = l.next(0, bare)
	p = w.plan(engine.Request{})
	if e := explain.Report(p, 0, w.engine().Decide(p, 0, engine.Peer{}, l.now)); e != nil {
		t.Errorf("a host that waits is reported: %+v", e)
	}
}

// A brokenStore fails as asked.
type brokenStore struct {
	store.Store
	get, put error
	slow     chan struct{} // not nil: Get waits for it or for its context
	asked    chan struct{} // told when Get waits, if there is room
}

// waited returns when somebody waits for the store.
func (b *brokenStore) waited(t *testing.T) {
	t.Helper()
	select {
	case <-b.asked:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody asked")
	}
}

func (b *brokenStore) Get(ctx context.Context, key string) (store.Entry, bool, error) {
	if b.slow != nil {
		select {
		case b.asked <- struct{}{}:
		default:
		}
		select {
		case <-b.slow:
		case <-ctx.Done():
			return store.Entry{}, false, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
		}
	}
	if b.get != nil {
		return store.Entry{}, false, b.get
	}
	return b.Store.Get(ctx, key)
}

func (b *brokenStore) Put(ctx context.Context, e store.Entry) error {
	if b.put != nil {
		return b.put
	}
	return b.Store.Put(ctx, e)
}

// TestMemoryBroken: a store that cannot say leaves the plan as it would be without, and
// says so; what cannot be written is counted. Under defer it is not known whether the
// domain has lost a protection, so mail that nothing authenticates waits.
func TestMemoryBroken(t *testing.T) {
	noDisk := fmt.Errorf("%w: no disk", store.ErrUnavailable)
	for _, c := range []struct {
		name    string
		action  memory.Action
		get     error
		setup   func(*world)
		request engine.Request
		want    engine.Requirement
		finding bool
	}{
		{"accept", memory.Accept, noDisk, bare, engine.Request{}, engine.May, false},
		{"alert", memory.Alert, noDisk, bare, engine.Request{}, engine.May, true},
		{"defer", memory.Defer, noDisk, bare, engine.Request{}, engine.Skip, true},
		{"defer, damaged", memory.Defer, fmt.Errorf("%w: a checksum", store.ErrDamaged), bare, engine.Request{}, engine.May, true},
		{"defer, protected", memory.Defer, noDisk, protected, engine.Request{}, engine.DANE, true},
		{"defer, audit", memory.Defer, noDisk, bare, engine.Request{Options: engine.Options{Audit: true}}, engine.May, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife(t, c.action)
			l.store = &brokenStore{Store: l.store, get: c.get}
			p := l.next(0, c.setup).plan(c.request)
			h := &p.Hosts[0]
			told := slices.ContainsFunc(p.Findings, func(r engine.Reason) bool { return r.ID == reason.MemoryUnknown })
			if h.Requirement != c.want || told != c.finding || p.Past != nil {
				t.Errorf("%s, %+v", h.Requirement, p.Findings)
			}
			if c.want == engine.Skip && (h.Skipped != engine.Deferred || h.Reason.ID != reason.MemoryUnknown || !strings.Contains(explain.Text(h.Reason), "no disk")) {
				t.Errorf("%s: %+v", h.Skipped, h.Reason)
			}
		})
	}
	l := newLife(t, memory.Alert)
	good := l.store
	l.next(0, protected).plan(engine.Request{})
	l.end()
	bad := &brokenStore{Store: good, get: noDisk}
	l.store = bad
	w := l.next(time.Hour, bare)
	p := w.plan(engine.Request{})
	if p.Hosts[0].Requirement != engine.May || p.Past != nil || !strings.Contains(steps(explain.Plan(p), explain.StepMemory), "not known what the domain once proved") {
		t.Errorf("%v %v %q", p.Hosts[0].Requirement, p.Past, steps(explain.Plan(p), explain.StepMemory))
	}
	w.engine().Remember(p, 0, engine.Decision{Event: engine.HandshakeDone})
	w.engine().Remember(nil, 0, engine.Decision{Event: engine.HandshakeDone})
	if d := w.engine().Decide(p, 0, engine.Peer{Event: engine.NoSTARTTLS}, w.now); d.Outcome != engine.Cleartext || steps(explain.Steps(p, 0, d), explain.StepMemory) != "" {
		t.Errorf("%s: %q", d.Outcome, steps(explain.Steps(p, 0, d), explain.StepMemory))
	}
	if w.engine().CachedPlans() != 0 || l.memory.Stats().Unread != 1 {
		t.Errorf("%d plans, %+v", w.engine().CachedPlans(), l.memory.Stats())
	}
	if _, _, err := l.memory.Past(t.Context(), host(t, "example.org"), 0); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := l.memory.Forget(t.Context(), host(t, "example.org"), 0); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
	bad.get, bad.put = nil, fmt.Errorf("%w: disk full", store.ErrUnavailable)
	if p := l.next(time.Hour, bare).plan(engine.Request{}); drops(p) != "dane-gone" {
		t.Error(drops(p))
	}
	l.end()
	if s := l.memory.Stats(); s.Lost != 1 || s.Written != 0 || !strings.Contains(l.log.String(), "could not be stored") || !strings.Contains(l.log.String(), "disk full") {
		t.Errorf("%+v, %s", s, l.log.String())
	}
	// It is learned with the next plan.
	bad.put = nil
	l.next(time.Hour, bare).plan(engine.Request{})
	l.end()
	if s := l.memory.Stats(); s.Lost != 0 || s.Written != 1 {
		t.Errorf("%+v", s)
	}
	// What is damaged is nothing that is known, until something new replaces it.
	if err := good.Put(t.Context(), store.Entry{Key: "engine/m/example.org", Value: []byte("{"), Class: store.Enforce, Expires: l.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	w = l.next(0, bare)
	if _, _, err := l.memory.Past(t.Context(), host(t, "example.org"), 0); !errors.Is(err, store.ErrDamaged) {
		t.Error(err)
	}
	if err := l.memory.All(t.Context(), func(memory.Past) bool { return true }); !errors.Is(err, store.ErrDamaged) {
		t.Error(err)
	}
	if p := w.plan(engine.Request{}); p.Past != nil {
		t.Error("damage is believed")
	}
	if ok, err := l.memory.Forget(t.Context(), host(t, "example.org"), 0); !ok || err != nil {
		t.Errorf("what is damaged cannot be forgotten: %v %v", ok, err)
	}
	// A store that does not answer holds no plan up for long, and not at all if the caller
	// gives up.
	bad.slow = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.next(0, bare).engine().Plan(ctx, engine.Request{NextHop: "example.org"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(bad.slow)
}

// TestMemoryOperator: what an operator can do with it.
func TestMemoryOperator(t *testing.T) {
	l := newLife(t, memory.Defer)
	w := l.next(0, func(w *world) { w.signed().tlsa(noMatch).policy("enforce", "mx.example.org"); w.cfg.AwaitSTS = true })
	w.plan(engine.Request{})
	w.dns.Add("_26._tcp.mx.example.org. 300 IN TLSA " + noMatch)
	w.plan(engine.Request{Port: 26})
	if p := w.plan(engine.Request{Port: 25}); p.Past.Port != 0 {
		t.Errorf("port %d", p.Past.Port)
	}
	want := memory.Past{V: 1, Domain: "example.org", DANE: memory.CoverAll, DANEAt: epoch, STS: sts.ModeEnforce, STSAt: epoch}
	same := func(when string, m *memory.Memory, port uint16, want memory.Past) {
		t.Helper()
		p, ok, err := m.Past(t.Context(), host(t, "example.org"), port)
		if err != nil || !ok || p.V != want.V || p.Domain != want.Domain || p.Port != want.Port || p.DANE != want.DANE || p.STS != want.STS || !p.DANEAt.Equal(want.DANEAt) || !p.STSAt.Equal(want.STSAt) || len(p.TLS) != len(want.TLS) || len(p.Drops) != len(want.Drops) {
			t.Errorf("%s: %v %v %+v", when, ok, err, p)
		}
	}
	same("before it is written", l.memory, 0, want)
	same("port 25", l.memory, 25, want)
	l.end()
	same("written", l.memory, 0, want)
	other := want
	other.Port = 26
	same("port 26", l.memory, 26, other)
	n := 0
	if err := l.memory.All(t.Context(), func(p memory.Past) bool { n++; return true }); err != nil || n != 2 {
		t.Errorf("%d %v", n, err)
	}
	n = 0
	if err := l.memory.All(t.Context(), func(p memory.Past) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if p := l.next(time.Hour, bare).plan(engine.Request{}); p.Hosts[0].Skipped != engine.Deferred {
		t.Error("it is not held")
	}
	for _, found := range []bool{true, false} {
		if ok, err := l.memory.Forget(t.Context(), host(t, "example.org"), 0); err != nil || ok != found {
			t.Errorf("%v %v", ok, err)
		}
		l.end()
	}
	w = l.next(time.Hour, bare)
	if p := w.plan(engine.Request{}); p.Drops != nil || p.Hosts[0].Requirement != engine.May {
		t.Errorf("it is not forgotten: %v", p.Drops)
	}
	// A state of another memory.
	if err := l.memory.Restore(want); err != nil {
		t.Fatal(err)
	}
	same("restored", l.memory, 0, want)
	hosts := func(n int) (out []memory.TLSHost) {
		for i := range n {
			out = append(out, memory.TLSHost{Host: fmt.Sprintf("h%d.example.org", i), At: epoch})
		}
		return out
	}
	full := want
	full.TLS = hosts(16)
	if err := l.memory.Restore(full); err != nil {
		t.Error(err)
	}
	if err := l.memory.Restore(want); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*memory.Past){
		"version": func(p *memory.Past) { p.V = 2 }, "no time": func(p *memory.Past) { p.DANEAt = time.Time{} }, "no state": func(p *memory.Past) { p.DANE = 0 },
		"mode": func(p *memory.Past) { p.STS = sts.ModeNone }, "mode without time": func(p *memory.Past) { p.STSAt = time.Time{} },
		"time without mode": func(p *memory.Past) { p.STS = 0 }, "domain": func(p *memory.Past) { p.Domain = "a b" }, "hosts": func(p *memory.Past) { p.TLS = hosts(17) },
		"host": func(p *memory.Past) { p.TLS = []memory.TLSHost{{Host: "..", At: epoch}} }, "drops": func(p *memory.Past) {
			p.Drops = make([]memory.Drop, 19)
			for i := range p.Drops {
				p.Drops[i] = memory.Drop{Kind: memory.DropDANE}
			}
		},
		"drop": func(p *memory.Past) { p.Drops = []memory.Drop{{Kind: "x"}} }, "empty": func(p *memory.Past) { *p = memory.Past{V: 1, Domain: "example.org"} },
		"far": func(p *memory.Past) { p.DANEAt = epoch.AddDate(300, 0, 0) },
	} {
		p := want
		change(&p)
		if err := l.memory.Restore(p); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	l.end()
	l.end() // once more does no harm
	if err := l.memory.Restore(want); err != nil || l.memory.Stats().Lost != 1 {
		t.Errorf("after Close: %v %+v", err, l.memory.Stats())
	}
	// It ends some time after it was last proved.
	if p := l.next(memory.DefaultKeep, bare).plan(engine.Request{}); p.Drops != nil {
		t.Errorf("it does not end: %v", p.Drops)
	}
}

// TestMemoryWrites: a busy domain is not written with every plan, and what is remembered
// stays fresh all the same.
func TestMemoryWrites(t *testing.T) {
	l := newLife(t, memory.Accept)
	w := l.next(0, protected)
	w.cfg.CachedPlans = -1
	for range 50 {
		p := w.plan(engine.Request{})
		w.engine().Remember(p, 0, engine.Decision{Event: engine.HandshakeDone})
	}
	l.end()
	if n := l.memory.Stats().Written; n > 2 {
		t.Errorf("%d writes", n)
	}
	l.next(memory.Precision, protected).plan(engine.Request{})
	l.end()
	if p, _, _ := l.memory.Past(t.Context(), host(t, "example.org"), 0); !p.DANEAt.Equal(epoch.Add(memory.Precision)) || len(p.TLS) != 1 {
		t.Errorf("%+v", p)
	}
}

// TestMemoryEdges: what changes is written, and nothing else is, to the instant and octet.
func TestMemoryEdges(t *testing.T) {
	t.Run("more hosts at the same instant", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		l.next(0, oneOfTwo).plan(engine.Request{})
		l.next(0, twoHosts).plan(engine.Request{})
		l.end()
		if p, _, _ := l.memory.Past(t.Context(), host(t, "example.org"), 0); p.DANE != memory.CoverAll {
			t.Error(p.DANE)
		}
	})
	t.Run("a time grows old", func(t *testing.T) {
		for _, state := range []func(w *world){protected, enforced, plain} {
			for _, c := range []struct {
				after   time.Duration
				written uint64
			}{{memory.Precision - 1, 0}, {memory.Precision, 1}} {
				l := newLife(t, memory.Accept)
				for _, after := range []time.Duration{0, c.after} {
					w := l.next(after, func(w *world) {
						state(w)
						if r, ok := w.sts.results["example.org"]; ok {
							r.Fetched, r.Until = l.now, l.now.Add(time.Hour)
							w.sts.results["example.org"] = r
						}
					})
					p := w.plan(engine.Request{})
					w.engine().Remember(p, 0, engine.Decision{Event: engine.HandshakeDone})
					if len(p.Hosts) != 1 {
						t.Fatal(p.Hosts)
					}
					w.engine().Remember(p, 1, engine.Decision{Event: engine.HandshakeDone}) // no such host
					l.end()
				}
				// The plan and the host are one write or two.
				if n := l.memory.Stats().Written; n < c.written || n > 2*c.written {
					t.Errorf("after %v: %d writes", c.after, n)
				}
				seen := epoch.Add(time.Duration(c.written) * c.after)
				if p, _, _ := l.memory.Past(t.Context(), host(t, "example.org"), 0); len(p.TLS) != 1 || !p.TLS[0].At.Equal(seen) {
					t.Errorf("after %v: %v", c.after, p.TLS)
				}
			}
		}
	})
	t.Run("a policy that is kept was proved when it was fetched", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		l.next(20*time.Hour, enforced).plan(engine.Request{})
		l.end()
		if p, _, _ := l.memory.Past(t.Context(), host(t, "example.org"), 0); !p.STSAt.Equal(epoch) {
			t.Error(p.STSAt)
		}
	})
	t.Run("a host without an address covers nothing", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		p := l.next(0, func(w *world) {
			protected(w)
			w.dns.Add("example.org. 3600 IN MX 20 mx2.example.org.", "mx2.example.org. 3600 IN TXT x")
		}).plan(engine.Request{})
		if p.Past.DANE != memory.CoverAll {
			t.Error(p.Past.DANE)
		}
	})
	t.Run("whether the other is covered is not known", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		p := l.next(0, func(w *world) {
			twoHosts(w)
			w.dns.Fail("_25._tcp.mx2.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
		}).plan(engine.Request{})
		if p.Past.DANE != memory.CoverNone {
			t.Error(p.Past.DANE)
		}
	})
	t.Run("what cannot be read is not replaced", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		l.store = &brokenStore{Store: l.store, get: fmt.Errorf("%w: no disk", store.ErrUnavailable)}
		l.next(0, plain)
		if err := l.memory.Restore(memory.Past{V: 1, Domain: "example.org", DANE: memory.CoverAll, DANEAt: epoch}); err != nil {
			t.Fatal(err)
		}
		l.end()
		if s := l.memory.Stats(); s.Lost != 1 || s.Written != 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("as many drops as may be", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		l.next(0, protected)
		past := memory.Past{V: 1, Domain: "example.org", DANE: memory.CoverAll, DANEAt: epoch}
		for i := range 18 {
			past.Drops = append(past.Drops, memory.Drop{Kind: memory.DropTLS, Host: fmt.Sprintf("h%d.example.org", i), Since: epoch, Noted: epoch})
		}
		if err := l.memory.Restore(past); err != nil {
			t.Fatal(err)
		}
		l.next(time.Hour, bare).plan(engine.Request{})
		l.end()
		if p, ok, err := l.memory.Past(t.Context(), host(t, "example.org"), 0); !ok || err != nil || len(p.Drops) != 18 {
			t.Errorf("%v %v: %d drops", ok, err, len(p.Drops))
		}
	})
	t.Run("domains that wait are bounded", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		slow := &brokenStore{Store: l.store, slow: make(chan struct{}), asked: make(chan struct{}, 1)}
		l.store = slow
		l.next(0, plain)
		restore := func(i int) {
			if err := l.memory.Restore(memory.Past{V: 1, Domain: fmt.Sprintf("d%d.example", i), DANE: memory.CoverAll, DANEAt: epoch}); err != nil {
				t.Fatal(err)
			}
		}
		restore(0)
		slow.waited(t) // the writer is at it
		for i := range 4096 + 3 {
			restore(i + 1)
		}
		if n := l.memory.Stats().Lost; n != 3 {
			t.Errorf("%d lost", n)
		}
		close(slow.slow)
		l.end()
		if s := l.memory.Stats(); s.Written != 4097 || s.Lost != 3 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("nothing is asked for nothing", func(t *testing.T) {
		l := newLife(t, memory.Accept)
		counted := &countingStore{Store: l.store}
		l.store = counted
		for range 2 {
			l.next(time.Hour, plain).plan(engine.Request{})
			l.end()
		}
		l.next(time.Hour, protected).plan(engine.Request{})
		l.end()
		if n := counted.gets.Load(); n != 4 { // the last of them to write
			t.Errorf("%d reads", n)
		}
	})
}

// A countingStore counts reads.
type countingStore struct {
	store.Store
	gets atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, key string) (store.Entry, bool, error) {
	s.gets.Add(1)
	return s.Store.Get(ctx, key)
}

// TestMemoryTogether: engines of many goroutines with one memory.
func TestMemoryTogether(t *testing.T) {
	l := newLife(t, memory.Defer)
	w := l.next(0, twoHosts)
	w.cfg.CachedPlans = 2
	e := w.engine()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for k := range 20 {
				p := w.plan(engine.Request{Sorted: true})
				e.Remember(p, (i+k)%2, engine.Decision{Event: engine.HandshakeDone})
				if k == 10 && i == 0 {
					l.memory.All(context.Background(), func(memory.Past) bool { return true })
				}
			}
		})
	}
	wg.Wait()
	l.end()
	p, ok, err := l.memory.Past(t.Context(), host(t, "example.org"), 0)
	if err != nil || !ok || len(p.TLS) != 2 || p.DANE != memory.CoverAll || p.Drops != nil {
		t.Errorf("%v %v %+v", ok, err, p)
	}
}

// TestMemoryClass: no flood of domains drives policies in force out of a full store.
func TestMemoryClass(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(w *world)
		want  store.Class
	}{{"DANE", protected, store.Testing}, {"policy", enforced, store.Testing}, {"TLS alone", plain, store.None}} {
		l := newLife(t, memory.Accept)
		w := l.next(0, c.state)
		p := w.plan(engine.Request{})
		w.engine().Remember(p, 0, w.engine().Decide(p, 0, shows(sharedPKI().good), l.now))
		l.end()
		n := 0
		err := l.store.All(t.Context(), "", func(e store.Entry) bool {
			n++
			if e.Class != c.want {
				t.Errorf("%s is kept in class %s", c.name, e.Class)
			}
			return true
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d entries, %v", c.name, n, err)
		}
	}
}

// TestNilPointers: an interface of the Config that holds a nil pointer is no trap.
func TestNilPointers(t *testing.T) {
	w := newWorld(t).signed().tlsa(noMatch)
	var none *memory.Memory
	w.cfg.Memory = none
	e, err := engine.New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), engine.Request{NextHop: "example.org"})
	if err != nil || p.Past != nil || len(p.Findings) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
	d := e.Decide(p, 0, engine.Peer{Event: engine.NoSTARTTLS}, w.now)
	e.Remember(p, 0, d)
	e.Record(p, 0, d)
	if d.Lost != nil {
		t.Errorf("%+v", d.Lost)
	}
	for field, change := range map[string]func(*engine.Config){
		"Config.STS":      func(c *engine.Config) { c.STS = (*sts.Client)(nil) },
		"Config.Resolver": func(c *engine.Config) { c.Resolver = (*dnssec.Cached)(nil) },
	} {
		c := w.cfg
		change(&c)
		if _, err := engine.New(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
