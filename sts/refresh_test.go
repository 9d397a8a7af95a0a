package sts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

func TestNextRefresh(t *testing.T) {
	t0 := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		name     string
		life     time.Duration
		failures int
		tried    time.Duration // after t0
		seed     uint64
		want     time.Duration // after t0; 0: never
	}{
		{"a week, latest", week, 0, 0, 0, day},
		{"a week, earliest", week, 0, 0, 255, day - 6*time.Hour*255/256},
		{"only eight bits of the seed count", week, 0, 0, 256, day},
		{"two days", 2 * day, 0, 0, 0, day},
		{"a day", day, 0, 0, 0, 12 * time.Hour},
		{"ten minutes", 10 * time.Minute, 0, 0, 0, 5 * time.Minute},
		{"too short a life", 10*time.Minute - 1, 0, 0, 0, 0},
		{"no life", 0, 0, 0, 0, 0},
		{"first failure", week, 1, day, 0, day + 5*time.Minute},
		{"first failure, latest", week, 1, day, 255, day + 5*time.Minute + 75*time.Second*255/256},
		{"second failure", week, 2, day, 0, day + 10*time.Minute},
		{"sixth failure", week, 6, day, 0, day + 160*time.Minute},
		{"seventh failure", week, 7, day, 0, day + 4*time.Hour},
		{"many failures", week, 1000, day, 0, day + 4*time.Hour},
		{"a quarter of what is left", week, 7, week - 8*time.Hour, 0, week - 6*time.Hour},
		{"not sooner than the back-off", week, 7, week - 12*time.Minute, 0, week - 7*time.Minute},
		{"after the end", week, 7, week - 5*time.Minute, 0, 0},
		{"just before the end", week, 7, week - 5*time.Minute - 1, 0, week - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sts.NextRefresh(t0, t0.Add(c.life), t0.Add(c.tried), c.failures, c.seed)
			want := time.Time{}
			if c.want != 0 {
				want = t0.Add(c.want)
			}
			if !got.Equal(want) {
				t.Errorf("got %s, want %s", got.Sub(t0), c.want)
			}
		})
	}
}

// events writes down what an Observer is told.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, a ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, a...))
}

// take returns what was told since the last time.
func (e *events) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := strings.Join(e.list, "; ")
	e.list = nil
	return s
}

func (e *events) observer() sts.Observer {
	return sts.Observer{
		Fetched: func(d rfc6125.Host, row sts.Row, took time.Duration, err error) {
			e.add("fetched %s %s %s", d, row, sts.FetchWord(err))
		},
		Changed: func(d rfc6125.Host, old, new sts.Policy, same bool) {
			e.add("changed %s %s %s %v", d, old.Mode, new.Mode, same)
		},
		Ending:      func(d rfc6125.Host, expires time.Time) { e.add("ending %s", d) },
		StoreFailed: func(err error) { e.add("store failed") },
	}
}

// refreshing is a world with one policy in the cache and Run under way.
type refreshing struct {
	*world
	c  *sts.Client
	ev *events
}

func withRun(t *testing.T, name, body string, f func(t *testing.T, w *refreshing)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &refreshing{world: newWorld(t), ev: &events{}}
			w.domain("example.org", "one", body)
			w.c = w.client(func(c *sts.Config) { c.Observer = w.ev.observer() })
			if r := w.c.Lookup(context.Background(), host("example.org")); r.Row != sts.S3 {
				t.Fatalf("row %s: %v", r.Row, r.FetchErr)
			}
			if got := w.ev.take(); got != "fetched example.org S3 " {
				t.Fatalf("told %q", got)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- w.c.Run(ctx) }()
			f(t, w)
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run returned %v", err)
			}
		})
	})
}

func (w *refreshing) cached() sts.Result {
	r, _ := w.c.Cached(context.Background(), host("example.org"))
	return r
}

func TestRefresh(t *testing.T) {
	withRun(t, "S10 daily, and the lifetime begins anew", enforce, func(t *testing.T, w *refreshing) {
		first := w.cached()
		time.Sleep(17 * time.Hour)
		if w.fetches() != 1 {
			t.Errorf("%d fetches after 17 hours", w.fetches())
		}
		time.Sleep(7*time.Hour + 5*time.Minute)
		if w.fetches() != 2 || w.ev.take() != "fetched example.org S10 " {
			t.Errorf("%d fetches after a day", w.fetches())
		}
		r := w.cached()
		if d := r.Fetched.Sub(first.Fetched); d < 18*time.Hour || d > 24*time.Hour+5*time.Minute || r.Expires.Sub(r.Fetched) != week || r.ID != "one" {
			t.Errorf("fetched after %s, expires after %s, id %s", d, r.Expires.Sub(r.Fetched), r.ID)
		}
		time.Sleep(4 * week)
		if n := w.fetches(); n < 27 || n > 40 {
			t.Errorf("%d fetches in four weeks", n)
		}
		if w.cached().Policy == nil {
			t.Error("the policy has ended in spite of its refreshes")
		}
	})
	withRun(t, "S10 whatever TXT says", enforce, func(t *testing.T, w *refreshing) {
		for _, break_ := range []func(){
			func() { w.record("example.org") },
			func() { w.dns.Fail("_mta-sts.example.org", typeTXT, dnssec.ErrServFail) },
			func() { w.record("example.org", "v=STSv1; id=!") },
		} {
			break_()
			before := w.cached().Fetched
			time.Sleep(25 * time.Hour)
			if r := w.cached(); !r.Fetched.After(before) || r.ID != "one" {
				t.Errorf("not refreshed, or id %s", r.ID)
			}
		}
	})
	withRun(t, "S10 the new id is noted", enforce, func(t *testing.T, w *refreshing) {
		w.record("example.org", "v=STSv1; id=two")
		time.Sleep(25 * time.Hour)
		if r := w.cached(); r.ID != "two" {
			t.Errorf("id %s", r.ID)
		}
		if r := w.c.Lookup(context.Background(), host("example.org")); r.Row != sts.S5 {
			t.Errorf("row %s", r.Row)
		}
	})
	withRun(t, "S10 a body that changed under an unchanged id is reported", enforce, func(t *testing.T, w *refreshing) {
		w.serve("example.org", text(policy("none", 86400)))
		time.Sleep(25 * time.Hour)
		if got := w.ev.take(); !strings.HasPrefix(got, "fetched example.org S10 ; changed example.org enforce none true") {
			t.Errorf("told %q", got)
		}
		if r := w.cached(); r.Policy == nil || r.Policy.Mode != sts.ModeNone {
			t.Errorf("mode none has not ended enforcement: %+v", r.Policy)
		}
		if !strings.Contains(w.logs.String(), "level=WARN msg=\"mta-sts policy changed under an unchanged id\" domain=example.org") {
			t.Errorf("not logged:\n%s", w.logs.String())
		}
	})
	withRun(t, "S10 a change with a new id is no warning", enforce, func(t *testing.T, w *refreshing) {
		w.record("example.org", "v=STSv1; id=two")
		w.serve("example.org", text(policy("testing", 86400, "mx.example.org")))
		time.Sleep(25 * time.Hour)
		if got := w.ev.take(); !strings.HasPrefix(got, "fetched example.org S10 ; changed example.org enforce testing false") {
			t.Errorf("told %q", got)
		}
		if strings.Contains(w.logs.String(), "WARN") {
			t.Errorf("warned:\n%s", w.logs.String())
		}
	})
	withRun(t, "S11 keeps the policy and its end, tries again, warns", enforce, func(t *testing.T, w *refreshing) {
		first := w.cached()
		w.serve("example.org", status(500))
		time.Sleep(25 * time.Hour)
		r := w.cached()
		if r.Policy == nil || r.Policy.Text != enforce || !r.Expires.Equal(first.Expires) || !r.Fetched.Equal(first.Fetched) {
			t.Errorf("kept: %+v", r)
		}
		told := w.ev.take()
		if n := strings.Count(told, "fetched example.org S11 status"); n < 3 || n > 10 || strings.Contains(told, "ending") {
			t.Errorf("told %q", told)
		}
		if !strings.Contains(w.logs.String(), "level=WARN msg=\"mta-sts policy not refreshed\" domain=example.org id=one mode=enforce failures=1") {
			t.Errorf("not logged:\n%s", w.logs.String())
		}
		// It recovers: the count of failures is gone, the pace daily.
		w.serve("example.org", text(enforce))
		time.Sleep(6 * time.Hour)
		if r := w.cached(); !r.Fetched.After(first.Fetched) {
			t.Error("not refreshed after the host is back")
		}
		w.ev.take()
		n := w.fetches()
		time.Sleep(17 * time.Hour)
		if w.fetches() > n+1 {
			t.Errorf("%d fetches in 17 hours", w.fetches()-n)
		}
	})
	withRun(t, "S11 about to end", enforce, func(t *testing.T, w *refreshing) {
		w.serve("example.org", status(500))
		time.Sleep(week - 43*time.Hour) // a quarter of a week is 42 hours
		if strings.Contains(w.ev.take(), "ending") {
			t.Error("told too early")
		}
		time.Sleep(10 * time.Hour)
		if !strings.Contains(w.ev.take(), "ending example.org") || !strings.Contains(w.logs.String(), "level=ERROR msg=\"mta-sts policy not refreshed and about to end\"") {
			t.Errorf("not told:\n%s", w.logs.String())
		}
		if w.cached().Policy == nil {
			t.Error("ended before its time")
		}
		time.Sleep(33 * time.Hour)
		if w.cached().Policy != nil {
			t.Error("the policy is still there after its end")
		}
		n := w.fetches()
		time.Sleep(24 * time.Hour)
		if w.fetches() != n {
			t.Error("an ended policy is refreshed")
		}
	})
	withRun(t, "S11 of mode none does not warn", policy("none", 604800), func(t *testing.T, w *refreshing) {
		w.serve("example.org", status(500))
		time.Sleep(week)
		if strings.Contains(w.logs.String(), "not refreshed") || strings.Contains(w.ev.take(), "ending") {
			t.Errorf("warned:\n%s", w.logs.String())
		}
	})
	withRun(t, "S11 a failed id waits five minutes", enforce, func(t *testing.T, w *refreshing) {
		time.Sleep(17*time.Hour + 58*time.Minute)
		var at []time.Time
		w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
			at = append(at, time.Now())
			rw.WriteHeader(500)
		})
		// Mail meets a new id again and again, while the refresh is due as well.
		w.record("example.org", "v=STSv1; id=two")
		for range 600 {
			w.c.Lookup(context.Background(), host("example.org"))
			time.Sleep(time.Minute)
		}
		for i := 1; i < len(at); i++ {
			if at[i].Sub(at[i-1]) < 5*time.Minute-time.Second {
				t.Errorf("two fetches of one id within %s", at[i].Sub(at[i-1]))
			}
		}
		if len(at) < 100 {
			t.Errorf("only %d fetches", len(at))
		}
	})
	withRun(t, "a deleted policy is not refreshed", enforce, func(t *testing.T, w *refreshing) {
		if _, err := w.c.Cache().Delete(context.Background(), host("example.org"), "the test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		if w.fetches() != 1 {
			t.Errorf("%d fetches", w.fetches())
		}
	})
}

func TestRefreshMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ev := &events{}
		c := w.client(func(c *sts.Config) { c.Observer = ev.observer() })
		for i := range 60 {
			name := fmt.Sprintf("d%d.example", i)
			w.domain(name, "one", enforce)
			if r := c.Lookup(context.Background(), host(name)); r.Row != sts.S3 {
				t.Fatal(r.FetchErr)
			}
		}
		ev.take()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		// Spread over the last quarter of the day: no hour takes most of them.
		time.Sleep(18 * time.Hour)
		most, sum := 0, 0
		for range 7 {
			n := w.fetches()
			time.Sleep(time.Hour)
			most, sum = max(most, w.fetches()-n), sum+w.fetches()-n
		}
		if sum != 60 || most > 25 {
			t.Errorf("%d refreshes, %d of them in one hour", sum, most)
		}
		cancel()
		<-done
		// All overdue at once: bounded.
		gate := make(chan struct{})
		for i := range 60 {
			w.serve(fmt.Sprintf("d%d.example", i), gated(gate, text(enforce)))
		}
		time.Sleep(48 * time.Hour)
		n := w.fetches()
		go c.Refresh(context.Background())
		synctest.Wait()
		if got := w.fetches() - n; got != 8 {
			t.Errorf("%d refreshes at once, want 8", got)
		}
		close(gate)
		synctest.Wait()
		if got := w.fetches() - n; got != 60 {
			t.Errorf("%d refreshes, want 60", got)
		}
	})
}

func TestRunOfAClosedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.client()
		done := make(chan error, 1)
		go func() { done <- c.Run(context.Background()) }()
		synctest.Wait()
		c.Close()
		if err := <-done; err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("Run returned %v", err)
		}
		if err := c.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestFleet: two processes share a store. One refreshes at a time, and what one has
// fetched the other does not fetch again.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		behind := newSharedStore(t)
		share := func(c *sts.Config) { c.Store = behind }
		a, b := w.client(share), w.client(share)
		if r := a.Lookup(ctx, host("example.org")); r.Row != sts.S3 {
			t.Fatal(r.FetchErr)
		}
		if r := b.Lookup(ctx, host("example.org")); r.Row != sts.S5 || w.fetches() != 1 {
			t.Errorf("row %s, %d fetches", r.Row, w.fetches())
		}
		// a fetches the next id; b has a copy of the old state, and finds the new one.
		w.record("example.org", "v=STSv1; id=two")
		if r := a.Lookup(ctx, host("example.org")); r.Row != sts.S6 {
			t.Errorf("row %s", r.Row)
		}
		if r := b.Lookup(ctx, host("example.org")); r.Row != sts.S6 || r.ID != "two" || w.fetches() != 2 {
			t.Errorf("row %s, %d fetches", r.Row, w.fetches())
		}
		time.Sleep(25 * time.Hour)
		lock, ok, err := behind.Lock(ctx, "sts/refresh", time.Hour)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if a.Refresh(ctx); w.fetches() != 2 {
			t.Error("refreshed while another has the lock")
		}
		lock.Unlock(ctx)
		if a.Refresh(ctx); w.fetches() != 3 {
			t.Errorf("%d fetches", w.fetches())
		}
		if b.Refresh(ctx); w.fetches() != 3 {
			t.Errorf("refreshed twice: %d fetches", w.fetches())
		}
		// A deletion reaches the other within a minute, though it holds a copy.
		if _, err := a.Cache().Delete(ctx, host("example.org"), "the test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if r, ok := b.Cached(ctx, host("example.org")); ok {
			t.Errorf("the other still has %+v", r)
		}
		// The store dies, and with it nothing that is known.
		if r := b.Lookup(ctx, host("example.org")); r.Row != sts.S3 {
			t.Errorf("row %s", r.Row)
		}
		behind.fail(errBroken)
		time.Sleep(time.Hour)
		if r := b.Lookup(ctx, host("example.org")); r.Row != sts.S5 || r.Policy == nil {
			t.Errorf("row %s, %v", r.Row, r.StoreErr)
		}
		w.record("example.org", "v=STSv1; id=three")
		if r := b.Lookup(ctx, host("example.org")); r.Row != sts.S6 || !errors.Is(r.StoreErr, store.ErrUnavailable) {
			t.Errorf("row %s, %v", r.Row, r.StoreErr)
		}
		behind.fail(nil)
		time.Sleep(time.Minute)
		b.Refresh(ctx) // writes what waits
		if r, ok := a.Cached(ctx, host("example.org")); !ok || r.ID != "three" {
			t.Errorf("what was fetched meanwhile has not reached the other: %+v", r)
		}
	})
}

// TestLease: the lock on the refreshes is renewed while they run, left in place after them, and
// ends by itself where its holder dies.
func TestLease(t *testing.T) {
	type scene struct {
		*world
		behind *sharedStore
		a, b   *sts.Client
		gate   chan struct{}
	}
	// begin has a client a that holds the lock and waits for a policy host.
	begin := func(t *testing.T, ctx context.Context) scene {
		w := scene{world: newWorld(t), behind: newSharedStore(t), gate: make(chan struct{})}
		share := func(c *sts.Config) { c.Store = w.behind }
		w.a, w.b = w.client(share), w.client(share)
		w.domain("example.org", "one", enforce)
		if r := w.a.Lookup(context.Background(), host("example.org")); r.Row != sts.S3 {
			t.Fatal(r.FetchErr)
		}
		time.Sleep(25 * time.Hour)
		w.serve("example.org", gated(w.gate, text(enforce)))
		go w.a.Refresh(ctx)
		synctest.Wait()
		return w
	}
	free := func(t *testing.T, w scene) bool {
		l, ok, err := w.behind.Lock(context.Background(), "sts/refresh", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			l.Unlock(context.Background())
		}
		return ok
	}
	t.Run("renewed, and left after the sweep", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, context.Background())
			time.Sleep(3 * time.Second)
			if free(t, w) {
				t.Error("free while the holder works")
			}
			close(w.gate)
			synctest.Wait()
			time.Sleep(4 * time.Minute)
			if free(t, w) {
				t.Error("free soon after a sweep: every process would look through the store")
			}
			time.Sleep(time.Minute)
			if !free(t, w) {
				t.Error("still held when the next sweep is due")
			}
		})
	})
	t.Run("given back when stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(context.Background())
			w := begin(t, ctx)
			stop()
			synctest.Wait()
			if !free(t, w) {
				t.Error("held by a process that was stopped")
			}
			close(w.gate)
		})
	})
	t.Run("a holder that dies", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			behind := newSharedStore(t)
			b := w.client(func(c *sts.Config) { c.Store = behind })
			w.domain("example.org", "one", enforce)
			if r := b.Lookup(context.Background(), host("example.org")); r.Row != sts.S3 {
				t.Fatal(r.FetchErr)
			}
			time.Sleep(25 * time.Hour)
			// The one that died took the lock as a sweep does, and never renews it.
			if _, ok, err := behind.Lock(context.Background(), "sts/refresh", 2*time.Minute); err != nil || !ok {
				t.Fatal(ok, err)
			}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- b.Run(ctx) }()
			time.Sleep(time.Minute)
			if n := w.fetches(); n != 1 {
				t.Errorf("%d fetches while the lock is held", n)
			}
			time.Sleep(5 * time.Minute)
			if n := w.fetches(); n != 2 {
				t.Errorf("%d fetches after the lock has ended, want 2", n)
			}
			stop()
			<-done
		})
	})
	t.Run("lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, context.Background())
			w.behind.locks.Steal("sts/refresh", time.Hour)
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if free(t, w) {
				t.Error("the lock of another was given back")
			}
			close(w.gate)
			synctest.Wait()
			if _, ok, err := w.behind.Get(context.Background(), "sts/p/example.org"); err != nil || !ok {
				t.Error(ok, err)
			}
		})
	})
}
