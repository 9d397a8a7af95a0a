package answers_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// The patience is that of the lookup: who asks again while it goes on gets its answer at
// once, as does who comes in the middle of it.
func TestPatienceOfLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := delayed(t, 30*time.Second)
		ask := func(want time.Duration, kind mtapolicy.Kind) {
			t.Helper()
			begun := time.Now()
			r := a.Answer(t.Context(), mtapolicy.Plain, "dane.example.org")
			if d := time.Since(begun); d != want || r.Kind != kind {
				t.Errorf("%v after %v, want %v after %v", r.Kind, d, kind, want)
			}
		}
		ask(15*time.Second, mtapolicy.TryLater)
		ask(0, mtapolicy.TryLater)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		ask(0, mtapolicy.Found)
		if n := c.n.Load(); n != 1 {
			t.Errorf("%d lookups", n)
		}
	})
}

// A lookup that never ends is given up, and the next question begins a new one.
func TestLookupTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := delayed(t, time.Hour)
		a.Answer(t.Context(), mtapolicy.Plain, "dane.example.org")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := a.Lookups(); n != 0 {
			t.Errorf("%d lookups after a minute", n)
		}
	})
}

// A flood of keys makes no more plans side by side than the limit. A key that gets its turn
// within the patience is answered, and what is beyond the bound of those that wait is told
// so at once.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		e := domains(t, 300)
		plan := func(ctx context.Context, r engine.Request) (*engine.Plan, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for o := most.Load(); n > o && !most.CompareAndSwap(o, n); o = most.Load() {
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return e.Plan(ctx, r)
		}
		a := answers.New(answers.Config{Plan: plan, MaxLookups: 10})
		defer a.Close()
		var kinds [3]atomic.Int32
		var busy atomic.Int32
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				r := a.Answer(t.Context(), mtapolicy.Plain, fmt.Sprintf("d%d.example.org", i))
				kinds[r.Kind].Add(1)
				if strings.Contains(r.Text, "too many lookups") {
					busy.Add(1)
				}
			})
		}
		wg.Wait()
		if most.Load() != 10 {
			t.Errorf("%d lookups side by side", most.Load())
		}
		if kinds[mtapolicy.NotFound].Load() != 80 || busy.Load() != 120 {
			t.Errorf("%d answered, %d refused", kinds[mtapolicy.NotFound].Load(), busy.Load())
		}
		if n := a.Lookups(); n != 0 {
			t.Errorf("%d lookups are left", n)
		}
	})
}

// A panic of the engine is an answer, a log line and nothing more.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	a := answers.New(answers.Config{Plan: func(context.Context, engine.Request) (*engine.Plan, error) { panic("oh") },
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer a.Close()
	if r := a.Answer(t.Context(), mtapolicy.Plain, "x.example.org"); r.Kind != mtapolicy.TryLater || r.Text != "internal error" {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(log.String(), "panic=oh") || !strings.Contains(log.String(), "lookup_test.go") {
		t.Error(log.String())
	}
}

// Who asks after Forget does not get the answer of a lookup that began before it.
func TestForgetUnderWay(t *testing.T) {
	for _, forget := range []string{"", "dane.example.org"} {
		synctest.Test(t, func(t *testing.T) {
			c, a := delayed(t, 2*time.Second)
			var wg sync.WaitGroup
			ask := func(want time.Duration) {
				wg.Go(func() {
					begun := time.Now()
					a.Answer(context.Background(), mtapolicy.Plain, "dane.example.org")
					if d := time.Since(begun); d != want {
						t.Errorf("answered after %v, want %v", d, want)
					}
				})
			}
			ask(2 * time.Second)
			time.Sleep(time.Second)
			a.Forget(forget)
			ask(2 * time.Second)
			wg.Wait()
			if n := c.n.Load(); n != 2 {
				t.Errorf("%d lookups", n)
			}
			if _, _, ok := a.Cached(mtapolicy.Plain, []byte("dane.example.org"), time.Now()); !ok {
				t.Error("the second lookup is not kept")
			}
		})
	}
}

// A clock that is set does not prolong what is kept: a day forward it has ended, a day back
// it was made in a future that is none.
func TestClock(t *testing.T) {
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		a := answers.New(answers.Config{Plan: domains(t, 300).Plan, Now: func() time.Time { return at }})
		a.Answer(t.Context(), mtapolicy.Plain, "plain.example.org")
		if _, _, ok := a.Cached(mtapolicy.Plain, []byte("plain.example.org"), at); !ok {
			t.Error("not kept")
		}
		at = at.Add(jump)
		if _, _, ok := a.Cached(mtapolicy.Plain, []byte("plain.example.org"), at); ok {
			t.Errorf("kept after the clock jumped %v", jump)
		}
		a.Close()
	}
}

// Ask says where an answer came from, and is no entry in the log.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := answers.New(answers.Config{Plan: domains(t, 300).Plan, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer a.Close()
		e := a.Ask(t.Context(), mtapolicy.Plain, "dane.example.org")
		if e.Warm || e.Reply.Row != mtapolicy.P6 || e.Until.Sub(e.Made) != 300*time.Second {
			t.Errorf("%+v", e)
		}
		time.Sleep(7 * time.Second)
		if e = a.Ask(t.Context(), mtapolicy.Plain, "dane.example.org"); !e.Warm || time.Since(e.Made) != 7*time.Second {
			t.Errorf("%+v", e)
		}
		if e = a.AskHost(t.Context(), "dane.example.org", "mx.dane.example.org"); e.Reply.Row != mtapolicy.X1 {
			t.Errorf("%+v", e)
		}
		// What Exim reads is a line of its own form, whatever went wrong.
		for key, want := range map[string]string{
			"a..b": `req=defer reason="this is no domain and no address literal"`, "\u200dx.example.org": `req=defer reason="the name is not a valid internationalized domain name"`,
			"dane.example.org": `req=defer reason="this host is not among the mail hosts of the plan"`,
		} {
			host := ""
			if key == "dane.example.org" {
				host = strings.Repeat("x", 300)
			}
			if e = a.AskHost(t.Context(), key, host); e.Reply.Text != want {
				t.Errorf("%q: %q, want %q", key, e.Reply.Text, want)
			}
		}
		if log.Len() > 0 {
			t.Error(log.String())
		}
	})
}
