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

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// domains is a DNS with a DANE domain, a plain one and one whose TLSA lookup fails. Its
// records live ttl seconds, and the exceptions are in force.
func domains(t *testing.T, ttl int, list ...exception.Exception) *engine.Engine {
	t.Helper()
	r := dnsfake.New()
	r.Zone("example.org", dnssec.Secure)
	for _, s := range []string{
		"dane.example.org. %d IN MX 10 mx.dane.example.org.",
		"mx.dane.example.org. %d IN A 192.0.2.1",
		"mx.dane.example.org. %d IN AAAA 2001:db8::1",
		"_25._tcp.mx.dane.example.org. %d IN TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"plain.example.org. %d IN MX 10 mx.plain.example.org.",
		"mx.plain.example.org. %d IN A 192.0.2.2",
	} {
		r.Add(fmt.Sprintf(s, ttl))
	}
	set, err := exception.NewSet(list)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{Resolver: r, Exceptions: func() *exception.Set { return set }})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

type counted struct {
	*engine.Engine
	n     atomic.Int32
	delay time.Duration
}

func (c *counted) Plan(ctx context.Context, r engine.Request) (*engine.Plan, error) {
	c.n.Add(1)
	if c.delay > 0 {
		select {
		case <-time.After(c.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return c.Engine.Plan(ctx, r)
}

// delayed returns answers whose plans take a while, and are counted. They end with the test.
func delayed(t *testing.T, delay time.Duration) (*counted, *answers.Answers) {
	c := &counted{Engine: domains(t, 300), delay: delay}
	a := answers.New(answers.Config{Plan: c.Plan})
	t.Cleanup(a.Close)
	return c, a
}

func TestAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := delayed(t, 0)
		for _, x := range []struct{ key, want string }{
			{"dane.example.org", "found dane-only protocols=>=TLSv1.2 P6"},
			{"DANE.example.ORG", "found dane-only protocols=>=TLSv1.2 P6"},
			{"dane.example.org.", "found dane-only protocols=>=TLSv1.2 P6"},
			{"plain.example.org", "not-found  P11"},
			{".example.org", "not-found  P1"},
			{"none.example.org", "not-found  P4"},
			{"\u200dx.example.org", "try-later the name is not a valid internationalized domain name P5"},
			{"[192.0.2.9]", "not-found  P11"},
		} {
			r := a.Answer(t.Context(), mtapolicy.Plain, x.key)
			if got := fmt.Sprint(r.Kind, " ", r.Text, " ", r.Row); got != x.want {
				t.Errorf("%q: %s, want %s", x.key, got, x.want)
			}
		}
		n := c.n.Load()
		for _, k := range []string{"dane.example.org", "DANE.example.org", "plain.example.org", ".org", "[192.0.2.9]", "none.example.org"} {
			if _, _, ok := a.Cached(mtapolicy.Plain, []byte(k), time.Now()); !ok {
				t.Errorf("%q is not kept", k)
			}
		}
		for _, k := range []string{"other.example.org", "dane.example.org:26", "[dane.example.org]"} {
			if _, _, ok := a.Cached(mtapolicy.Plain, []byte(k), time.Now()); ok {
				t.Errorf("%q is kept", k)
			}
		}
		if _, _, ok := a.Cached(mtapolicy.Extended, []byte("dane.example.org"), time.Now()); ok {
			t.Error("the other form is kept")
		}
		if c.n.Load() != n {
			t.Error("Cached asked")
		}
	})
}

// A reply holds as long as its plan, and never less than 10 s: one message gets one answer.
func TestHold(t *testing.T) {
	for _, x := range []struct {
		ttl   int
		holds time.Duration
	}{{1, answers.MinHold}, {300, 300 * time.Second}, {1 << 20, answers.MaxHold}} {
		synctest.Test(t, func(t *testing.T) {
			a := answers.New(answers.Config{Plan: domains(t, x.ttl).Plan})
			defer a.Close()
			a.Answer(t.Context(), mtapolicy.Plain, "dane.example.org")
			time.Sleep(x.holds - time.Millisecond)
			if _, _, ok := a.Cached(mtapolicy.Plain, []byte("dane.example.org"), time.Now()); !ok {
				t.Errorf("ttl %d: not kept for %v", x.ttl, x.holds)
			}
			time.Sleep(time.Millisecond)
			if _, _, ok := a.Cached(mtapolicy.Plain, []byte("dane.example.org"), time.Now()); ok {
				t.Errorf("ttl %d: kept beyond %v", x.ttl, x.holds)
			}
		})
	}
}

// A reply that an exception weakens is kept no longer than the exception lasts, even if that is less
// than [answers.MinHold]; the next question gets the full requirement again. One that outlasts the
// plan does not prolong it.
func TestHoldOfException(t *testing.T) {
	for _, x := range []struct {
		ends, holds time.Duration
		after       mtapolicy.Row // of the reply when the kept one has ended
	}{
		{5 * time.Second, 5 * time.Second, mtapolicy.P6},
		{2 * time.Minute, 2 * time.Minute, mtapolicy.P6},
		{time.Hour, 300 * time.Second, mtapolicy.P3},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := answers.New(answers.Config{Plan: domains(t, 300, exception.Exception{
				ID: "x", Domain: "dane.example.org", Effect: exception.EffectMay, Reason: "r", Author: "a", Ends: time.Now().Add(x.ends),
			}).Plan})
			defer a.Close()
			e := a.Ask(t.Context(), mtapolicy.Plain, "dane.example.org")
			if e.Reply.Text != "may" || e.Reply.Row != mtapolicy.P3 || e.Until.Sub(e.Made) != x.holds {
				t.Errorf("exception for %v: %q (%s) for %v, want it for %v", x.ends, e.Reply.Text, e.Reply.Row, e.Until.Sub(e.Made), x.holds)
			}
			time.Sleep(x.holds - time.Millisecond)
			if _, text, ok := a.Cached(mtapolicy.Plain, []byte("dane.example.org"), time.Now()); !ok || text != "may" {
				t.Errorf("exception for %v: %q, %v shortly before %v", x.ends, text, ok, x.holds)
			}
			time.Sleep(time.Millisecond)
			if _, text, ok := a.Cached(mtapolicy.Plain, []byte("dane.example.org"), time.Now()); ok {
				t.Errorf("exception for %v: %q is kept beyond %v", x.ends, text, x.holds)
			}
			if r := a.Answer(t.Context(), mtapolicy.Plain, "dane.example.org"); r.Row != x.after {
				t.Errorf("exception for %v: %q (%s) after %v, want %s", x.ends, r.Text, r.Row, x.holds, x.after)
			}
		})
	}
}

// Equal keys under way are one lookup. What is not known within the patience is try-later;
// the lookup goes on, and its end is kept.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{Engine: domains(t, 300), delay: 20 * time.Second}
		var log bytes.Buffer
		a := answers.New(answers.Config{Plan: c.Plan, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer a.Close()
		var wg sync.WaitGroup
		begun := time.Now()
		for range 10 {
			wg.Go(func() {
				if r := a.Answer(t.Context(), mtapolicy.Plain, "dane.example.org"); r.Kind != mtapolicy.TryLater {
					t.Errorf("%+v", r)
				}
			})
		}
		wg.Wait()
		if d := time.Since(begun); d != answers.DefaultPatience {
			t.Errorf("answered after %v", d)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if k, text, ok := a.Cached(mtapolicy.Plain, []byte("dane.example.org"), time.Now()); !ok || k != mtapolicy.Found {
			t.Errorf("%q, %v", text, ok)
		}
		if n := c.n.Load(); n != 1 {
			t.Errorf("%d lookups", n)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings for one domain and cause:\n%s", n, log.String())
		}
		if got := a.Recent(); len(got) != 10 || got[0].Key != "dane.example.org" {
			t.Errorf("%+v", got)
		}
	})
}

// What was forgotten while it was looked up is not kept.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := delayed(t, time.Second)
		a.Answer(t.Context(), mtapolicy.Plain, "dane.example.org")
		a.Answer(t.Context(), mtapolicy.Extended, "dane.example.org:25")
		a.Answer(t.Context(), mtapolicy.Plain, "plain.example.org")
		a.Forget("dane.example.org")
		if _, _, ok := a.Cached(mtapolicy.Extended, []byte("dane.example.org:25"), time.Now()); ok {
			t.Error("kept")
		}
		if _, _, ok := a.Cached(mtapolicy.Plain, []byte("plain.example.org"), time.Now()); !ok {
			t.Error("another domain is gone")
		}
		done := make(chan struct{})
		go func() {
			a.Answer(context.Background(), mtapolicy.Plain, "dane.example.org")
			close(done)
		}()
		time.Sleep(time.Second / 2)
		a.Forget("")
		<-done
		if _, _, ok := a.Cached(mtapolicy.Plain, []byte("dane.example.org"), time.Now()); ok {
			t.Error("a lookup from before Forget is kept")
		}
		if n, b := a.Kept(); n != 0 || b != 0 {
			t.Errorf("%d entries, %d bytes after Forget", n, b)
		}
	})
}

// To forget a domain forgets the next hop in brackets, which Postfix asks for where the MX records are
// not to be used, kept or under way; the replies and lookups of other domains stay.
func TestForgetBracketed(t *testing.T) {
	const bracketed, other = "[mx.dane.example.org]", "[mx.plain.example.org]"
	kept := func(a *answers.Answers, key string) bool {
		_, _, ok := a.Cached(mtapolicy.Plain, []byte(key), time.Now())
		return ok
	}
	t.Run("kept", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, a := delayed(t, 0)
			a.Answer(t.Context(), mtapolicy.Plain, bracketed)
			a.Answer(t.Context(), mtapolicy.Plain, other)
			if !kept(a, bracketed) || !kept(a, other) {
				t.Fatal("not kept")
			}
			a.Forget("mx.dane.example.org")
			if kept(a, bracketed) {
				t.Error("the bracketed form is kept")
			}
			if !kept(a, other) {
				t.Error("another domain is gone")
			}
		})
	})
	t.Run("under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, a := delayed(t, 2*time.Second)
			var wg sync.WaitGroup
			for _, key := range []string{bracketed, other} {
				wg.Go(func() { a.Answer(t.Context(), mtapolicy.Plain, key) })
			}
			time.Sleep(time.Second)
			a.Forget("mx.dane.example.org")
			if n := a.Lookups(); n != 1 {
				t.Errorf("%d lookups that may be kept, want that of the other domain", n)
			}
			wg.Wait()
			if kept(a, bracketed) {
				t.Error("the lookup from before Forget is kept")
			}
			if !kept(a, other) {
				t.Error("the lookup of another domain is not kept")
			}
			if n := c.n.Load(); n != 2 {
				t.Errorf("%d lookups", n)
			}
		})
	})
}

// What is kept is bounded in bytes, the least recently used first.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := answers.New(answers.Config{Plan: domains(t, 300).Plan, MaxBytes: 64 * 2000})
		defer a.Close()
		for i := range 3000 {
			a.Answer(t.Context(), mtapolicy.Plain, fmt.Sprintf("d%d.example.org", i))
		}
		n, b := a.Kept()
		if b > 64*2000 || n < 100 {
			t.Errorf("%d entries, %d bytes", n, b)
		}
	})
}

// Close ends a lookup that hangs.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{Engine: domains(t, 300), delay: time.Hour}
		a := answers.New(answers.Config{Plan: c.Plan})
		go func() {
			time.Sleep(time.Second)
			a.Close()
		}()
		if r := a.Answer(t.Context(), mtapolicy.Plain, "dane.example.org"); r.Kind != mtapolicy.TryLater {
			t.Errorf("%+v", r)
		}
		if r := a.Answer(t.Context(), mtapolicy.Plain, "other.example.org"); r.Kind != mtapolicy.TryLater {
			t.Errorf("after Close: %+v", r)
		}
	})
}

func BenchmarkCached(b *testing.B) {
	a := answers.New(answers.Config{Plan: func(context.Context, engine.Request) (*engine.Plan, error) {
		return nil, engine.ErrRequest
	}})
	defer a.Close()
	key := []byte("d1.example.org")
	a.Answer(b.Context(), mtapolicy.Plain, string(key))
	b.ReportAllocs()
	for b.Loop() {
		a.Cached(mtapolicy.Plain, key, time.Now())
	}
}
