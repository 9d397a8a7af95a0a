package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/store"
)

// TestMemoryClock: whatever the clock did when a drop was noted, it holds mail for no longer
// than MaxHold, and never begins to hold it later.
func TestMemoryClock(t *testing.T) {
	held := func(w *world) bool {
		h := w.plan(engine.Request{}).Hosts[0]
		return h.Requirement == engine.Skip && h.Skipped == engine.Deferred
	}
	for _, c := range []struct {
		ahead time.Duration // of the clock that notes the drop
		hold  time.Duration
		first bool // whether it still holds when the clock is right
	}{
		{0, memory.DefaultHold, true},
		{time.Second, memory.DefaultHold, true},
		{24 * time.Hour, memory.DefaultHold, true},
		{memory.MaxHold - memory.DefaultHold, memory.DefaultHold, true},
		{memory.MaxHold - memory.DefaultHold + 1, memory.DefaultHold, false},
		{30 * 24 * time.Hour, memory.DefaultHold, false},
		{time.Minute, memory.MaxHold, true}, // clocks of a fleet are never quite the same
		{time.Hour, memory.MaxHold, false},
	} {
		t.Run(fmt.Sprint(c.ahead, " ", c.hold), func(t *testing.T) {
			l := newLife(t, memory.Defer)
			l.hold = c.hold
			l.next(0, protected).plan(engine.Request{})
			at := l.now
			if !held(l.next(c.ahead, bare)) {
				t.Fatal("a drop that was just noted does not hold")
			}
			if got := held(l.next(at.Sub(l.now), bare)); got != c.first {
				t.Errorf("held %v with the right clock", got)
			}
			for l.now.Before(at.Add(memory.MaxHold + 2*time.Hour)) {
				got := held(l.next(time.Hour, bare))
				if since := l.now.Sub(at); got && since > memory.MaxHold {
					t.Fatalf("held %s after it was noted", since)
				}
			}
			// The time that the wrong clock has shown comes.
			for _, after := range []time.Duration{-memory.MaxHold, -time.Hour, 0, time.Hour} {
				if to := at.Add(c.ahead + after); to.After(l.now) && to.Before(at.Add(memory.DefaultKeep)) && held(l.next(to.Sub(l.now), bare)) {
					t.Errorf("held %s from the time that the wrong clock noted", after)
				}
			}
		})
	}
}

// TestMemoryClockTLS is TestMemoryClock for a host that has spoken TLS.
func TestMemoryClockTLS(t *testing.T) {
	deliver := func(w *world, peer engine.Peer) engine.Decision {
		p := w.plan(engine.Request{})
		d := w.engine().Decide(p, 0, peer, w.now)
		w.engine().Remember(p, 0, d)
		return d
	}
	l := newLife(t, memory.Defer)
	stripped := engine.Peer{Event: engine.NoSTARTTLS}
	deliver(l.next(0, plain), shows(sharedPKI().good))
	at := l.now
	const ahead = 100 * 24 * time.Hour
	if d := deliver(l.next(ahead, plain), stripped); d.Outcome != engine.Deferred {
		t.Fatal(d.Outcome)
	}
	for _, after := range []time.Duration{time.Hour, memory.MaxHold + 1, ahead - memory.MaxHold, ahead, ahead + 1} {
		if d := deliver(l.next(at.Add(after).Sub(l.now), plain), stripped); d.Outcome != engine.Cleartext {
			t.Errorf("after %s: %v %v", after, d.Outcome, d.Reason.ID)
		}
	}
	// A host that was seen by a clock that was ahead is seen again.
	l = newLife(t, memory.Defer)
	deliver(l.next(ahead, protected), shows(sharedPKI().good))
	deliver(l.next(-ahead, protected), shows(sharedPKI().good))
	l.end()
	if p, ok, err := l.memory.Past(t.Context(), host(t, "example.org"), 0); err != nil || !ok || !p.DANEAt.Equal(epoch) || len(p.TLS) != 1 || !p.TLS[0].At.Equal(epoch) {
		t.Errorf("%+v %v %v", p, ok, err)
	}
}

// TestMemoryUnwritable: a drop that cannot be stored is bounded as well, by the process
// that has seen it; and it is stored when that is possible again.
func TestMemoryUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, memory.Defer)
		l.now, l.clock = time.Now(), time.Now
		kept, err := store.NewMemory(store.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		l.store = kept
		l.next(0, protected).plan(engine.Request{})
		l.end()
		var mu sync.Mutex
		broken := &brokenStore{Store: l.store, put: fmt.Errorf("%w: disk full", store.ErrUnavailable)}
		l.store = &lockedStore{Store: broken, mu: &mu}
		time.Sleep(time.Hour)
		w := l.next(time.Hour, bare)
		w.cfg.CachedPlans = -1
		noted := l.now
		for range 30 {
			p := w.plan(engine.Request{})
			if held := p.Hosts[0].Requirement == engine.Skip; held != l.now.Before(noted.Add(memory.DefaultHold)) || !p.Drops[0].Noted.Equal(noted) {
				t.Errorf("%s after the drop: held %v, %+v", l.now.Sub(noted), held, p.Drops)
			}
			time.Sleep(time.Hour)
			l.now = l.now.Add(time.Hour)
			w.now = l.now
		}
		if len(l.told) != 1 {
			t.Errorf("told %d times", len(l.told))
		}
		if s := l.memory.Stats(); s.Written != 0 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
		mu.Lock()
		broken.put = nil
		mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := l.memory.Stats(); s.Written != 1 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
		l.end()
	})
}

// A lockedStore lets a test change the store below.
type lockedStore struct {
	store.Store
	mu *sync.Mutex
}

func (s *lockedStore) Put(ctx context.Context, e store.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Put(ctx, e)
}

// TestMemoryForgetWhileWritten: neither a write that is under way nor a plan that has begun
// brings back what is forgotten.
func TestMemoryForgetWhileWritten(t *testing.T) {
	t.Run("write", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLife(t, memory.Defer)
			slow := &slowPut{Store: l.store, begun: make(chan struct{}), go_: make(chan struct{})}
			l.store = slow
			l.next(0, protected).plan(engine.Request{})
			<-slow.begun // the writer is at it
			var ok bool
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				ok, err = l.memory.Forget(context.Background(), host(t, "example.org"), 0)
			}()
			synctest.Wait()
			close(slow.go_)
			<-done
			if err != nil || !ok {
				t.Errorf("Forget: %v, %v", ok, err)
			}
			l.end()
			if p, ok, err := l.memory.Past(context.Background(), host(t, "example.org"), 0); ok || err != nil {
				t.Errorf("it is back: %+v, %v", p, err)
			}
			// A caller that does not wait is told that it has not been done.
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			for range 20 {
				if _, err := l.memory.Forget(ctx, host(t, "example.org"), 0); err != nil && !strings.Contains(err.Error(), "unavailable") {
					t.Error(err)
				}
			}
		})
	})
	t.Run("plan", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLife(t, memory.Defer)
			l.next(0, protected).plan(engine.Request{})
			w := l.next(time.Hour, bare)
			release := w.dns.Hold("example.org", dnssec.TypeMX)
			planned := make(chan *engine.Plan)
			e := w.engine()
			go func() {
				p, err := e.Plan(context.Background(), engine.Request{NextHop: "example.org"})
				if err != nil {
					t.Error(err)
				}
				planned <- p
			}()
			synctest.Wait() // it has read the past, and waits for DNS
			if ok, err := l.memory.Forget(context.Background(), host(t, "example.org"), 0); err != nil || !ok {
				t.Fatal(ok, err)
			}
			release()
			if p := <-planned; p.Hosts[0].Requirement != engine.May {
				t.Errorf("held by what is forgotten: %v", explain.Text(p.Hosts[0].Reason))
			}
			l.end()
			if p, ok, err := l.memory.Past(context.Background(), host(t, "example.org"), 0); ok || err != nil {
				t.Errorf("it is back: %+v, %v", p, err)
			}
		})
	})
}

// TestMemoryForeignClock: entries that a machine with another clock has written.
func TestMemoryForeignClock(t *testing.T) {
	for _, noted := range []time.Duration{-30 * 24 * time.Hour, -memory.MaxHold, memory.MaxHold, 365 * 24 * time.Hour, 190 * 365 * 24 * time.Hour} {
		l := newLife(t, memory.Defer)
		l.next(0, bare)
		at := epoch.Add(noted)
		if err := l.memory.Restore(memory.Past{V: 1, Domain: "example.org", DANE: memory.CoverAll, DANEAt: epoch,
			Drops: []memory.Drop{{Kind: memory.DropDANE, Since: at, Noted: at}}}); err != nil {
			t.Fatal(err)
		}
		w := l.next(0, bare)
		p := w.plan(engine.Request{})
		if p.Hosts[0].Requirement != engine.May || len(p.Drops) != 1 || found(p) != "" {
			t.Errorf("noted %s from now: %v, %+v", noted, p.Hosts[0].Requirement, p.Drops)
		}
		if since := p.Drops[0].Since; since.After(l.now) || len(l.told) != 0 {
			t.Errorf("since %s, told %q", since, l.told)
		}
	}
}

// A slowPut waits in PutAll.
type slowPut struct {
	store.Store
	once  sync.Once
	begun chan struct{}
	go_   chan struct{}
}

func (s *slowPut) Put(ctx context.Context, e store.Entry) error {
	s.once.Do(func() { close(s.begun) })
	<-s.go_
	return s.Store.Put(ctx, e)
}
