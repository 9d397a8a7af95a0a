package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// A source is a dnssec.Resolver made of a function.
type source func(ctx context.Context, q dnssec.Question) (dnssec.Answer, error)

func (f source) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	return f(ctx, q)
}

// answerFor is a secure answer with one address record, good for ttl from now.
func answerFor(q dnssec.Question, ttl time.Duration) dnssec.Answer {
	now := time.Now()
	return dnssec.Answer{Question: q, Final: q.Name, Kind: dnssec.Data, Status: dnssec.Secure,
		Records:  []dnssec.Record{{Type: q.Type, TTL: uint32(ttl / time.Second), Data: []byte{192, 0, 2, 1}}},
		Received: now, Expires: now.Add(ttl), Server: "source"}
}

func fixed(ttl time.Duration, asked *atomic.Int64) source {
	return func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
		asked.Add(1)
		return answerFor(q, ttl), nil
	}
}

func cached(t testing.TB, r dnssec.Resolver, cfg dnssec.CacheConfig) *dnssec.Cached {
	t.Helper()
	c := dnssec.NewCached(r, cfg)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCacheExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := cached(t, fixed(time.Minute, &asked), dnssec.CacheConfig{})
		q := question(t, "mx.example.org", dnssec.TypeTLSA)
		ask := func(want int64) dnssec.Answer {
			t.Helper()
			a, err := c.Resolve(t.Context(), q)
			if err != nil || a.Status != dnssec.Secure || a.Kind != dnssec.Data || len(a.Records) != 1 {
				t.Fatal(brief(a, err))
			}
			if asked.Load() != want {
				t.Fatalf("the resolver was asked %d times, want %d", asked.Load(), want)
			}
			return a
		}
		first := ask(1)
		time.Sleep(59 * time.Second)
		if a := ask(1); !a.Received.Equal(first.Received) || time.Since(a.Received) != 59*time.Second {
			t.Errorf("a cached answer does not know its age: received %v", a.Received)
		}
		time.Sleep(time.Second - 1)
		ask(1)
		time.Sleep(time.Nanosecond)
		ask(2)
		if _, err := c.Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA)); err != nil || asked.Load() != 3 {
			t.Error("another type is another question")
		}
	})
}

func TestCacheRequirements(t *testing.T) {
	// The cache keeps a whole answer, so what it drops, it drops as a whole; what it
	// gives after the end is a new answer.
	for _, id := range []string{"TLSA6698-8.2-01 not kept longer than its TTL", "DNSSEC4035-4.5-01 dropped as one", "DNS2308-5-01 a denial ends with its TTL"} {
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
					a := answerFor(q, 10*time.Second)
					if asked.Add(1) == 1 {
						a.Kind, a.Records = dnssec.NoData, nil
					}
					return a, nil
				}), dnssec.CacheConfig{})
				q := question(t, "_25._tcp.mx.example.org", dnssec.TypeTLSA)
				for i := range 30 {
					a, err := c.Resolve(t.Context(), q)
					if want := i < 10; err != nil || (a.Kind == dnssec.NoData) != want {
						t.Fatalf("second %d: %s", i, brief(a, err))
					}
					if !time.Now().Before(a.Expires) {
						t.Fatal("expired")
					}
					time.Sleep(time.Second)
				}
				if asked.Load() != 3 {
					t.Errorf("asked %d times in 30 s", asked.Load())
				}
			})
		})
	}
}

func TestCacheZeroTTL(t *testing.T) {
	var asked atomic.Int64
	c := cached(t, fixed(0, &asked), dnssec.CacheConfig{})
	for range 3 {
		if _, err := c.Resolve(t.Context(), question(t, "a.example", dnssec.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	if n, b := c.Size(); asked.Load() != 3 || n != 0 || b != 0 {
		t.Errorf("asked %d times, %d entries of %d bytes", asked.Load(), n, b)
	}
}

func TestCacheFailures(t *testing.T) {
	for _, id := range []string{"DNSSEC4035-4.7-01 failures have a short life of their own", "DNSSEC6840-3.1-01 failed validations are kept"} {
		t.Run(id, testCacheFailures)
	}
}

func testCacheFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var broken atomic.Bool
		broken.Store(true)
		c := cached(t, source(func(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
			asked.Add(1)
			if broken.Load() {
				a := answerFor(q, time.Hour)
				a.Status, a.Kind, a.Records = dnssec.Bogus, 0, nil
				return a, &dnssec.LookupError{Question: q, Kind: dnssec.ErrBogus}
			}
			return answerFor(q, time.Hour), nil
		}), dnssec.CacheConfig{})
		q := question(t, "bogus.example", dnssec.TypeA)
		// RFC 9520 section 3.2: 5 s, doubled by each failure, up to a minute.
		for i, keep := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
			keep *= time.Second
			for _, wait := range []time.Duration{0, keep - 1} {
				time.Sleep(wait)
				a, err := c.Resolve(t.Context(), q)
				if !errors.Is(err, dnssec.ErrBogus) || a.Status != dnssec.Bogus || a.Kind != 0 || a.Records != nil {
					t.Fatalf("failure handed out as %s", brief(a, err))
				}
				if asked.Load() != int64(i+1) {
					t.Fatalf("round %d: asked %d times", i, asked.Load())
				}
			}
			time.Sleep(time.Nanosecond)
		}
		broken.Store(false)
		if a, err := c.Resolve(t.Context(), q); err != nil || a.Status != dnssec.Secure {
			t.Error(brief(a, err))
		}
		// After a success the count begins again.
		broken.Store(true)
		c.Purge()
		n := asked.Load()
		c.Resolve(t.Context(), q)
		time.Sleep(5 * time.Second)
		c.Resolve(t.Context(), q)
		if asked.Load() != n+2 {
			t.Errorf("asked %d times", asked.Load()-n)
		}
	})
}

func TestCacheRefusesAnswerWithoutStatus(t *testing.T) {
	for name, spoil := range map[string]func(*dnssec.Answer){
		"DANE7672-2.1.1-01 no status":       func(a *dnssec.Answer) { a.Status = dnssec.Indeterminate },
		"DANE7672-2.1.1-01 bogus":           func(a *dnssec.Answer) { a.Status = dnssec.Bogus },
		"DANE7672-2.1.1-01 no kind":         func(a *dnssec.Answer) { a.Kind = 0 },
		"DANE7672-2.1.1-01 the zero Answer": func(a *dnssec.Answer) { *a = dnssec.Answer{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
				a := answerFor(q, time.Hour)
				spoil(&a)
				return a, nil
			}), dnssec.CacheConfig{})
			a, err := c.Resolve(t.Context(), question(t, "a.example", dnssec.TypeA))
			if n, _ := c.Size(); !errors.Is(err, dnssec.ErrIndeterminate) || a.Kind != 0 || n != 0 {
				t.Errorf("%s, %d kept", brief(a, err), n)
			}
		})
	}
}

func TestCacheOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		release := make(chan struct{})
		var hits, misses, shared atomic.Int64
		c := cached(t, source(func(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
			asked.Add(1)
			select {
			case <-release:
				return answerFor(q, time.Hour), nil
			case <-ctx.Done():
				return dnssec.Answer{}, ctx.Err()
			}
		}), dnssec.CacheConfig{Trace: dnssec.CacheTrace{
			Hit: func(dnssec.Question, time.Duration, bool) { hits.Add(1) },
			Miss: func(_ dnssec.Question, s bool) {
				misses.Add(1)
				if s {
					shared.Add(1)
				}
			},
		}})
		q := question(t, "a.example", dnssec.TypeA)
		leaver, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := c.Resolve(leaver, q); left <- err }()
		synctest.Wait() // the leaver began the work
		const n = 20
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if a, err := c.Resolve(t.Context(), q); err != nil || a.Status != dnssec.Secure {
					t.Error(brief(a, err))
				}
			})
		}
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, dnssec.ErrTimeout) || !errors.Is(err, context.Canceled) {
			t.Errorf("the one who left got %v", err)
		}
		close(release)
		wg.Wait()
		if asked.Load() != 1 || misses.Load() != n+1 || shared.Load() != n || hits.Load() != 0 {
			t.Errorf("asked %d, misses %d, shared %d, hits %d", asked.Load(), misses.Load(), shared.Load(), hits.Load())
		}
		if _, err := c.Resolve(t.Context(), q); err != nil || hits.Load() != 1 {
			t.Errorf("%v, hits %d", err, hits.Load())
		}
	})
}

func TestCacheAllLeave(t *testing.T) {
	// The work goes on when no one waits any more, and its result is kept; its own bound
	// ends it if it never ends by itself.
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := cached(t, source(func(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
			if asked.Add(1) == 1 {
				time.Sleep(3 * time.Second)
				return answerFor(q, time.Hour), nil
			}
			<-ctx.Done()
			return dnssec.Answer{Question: q}, fmt.Errorf("%w: %w", dnssec.ErrTimeout, ctx.Err())
		}), dnssec.CacheConfig{LookupTimeout: 7 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		q := question(t, "a.example", dnssec.TypeA)
		if _, err := c.Resolve(ctx, q); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := c.Resolve(ctx, question(t, "c.example", dnssec.TypeA)); !errors.Is(err, dnssec.ErrTimeout) || asked.Load() != 1 {
			t.Fatalf("a dead context began work: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := c.Resolve(t.Context(), q); err != nil || asked.Load() != 1 {
			t.Fatalf("%v after %d questions", err, asked.Load())
		}
		begin := time.Now()
		_, err := c.Resolve(t.Context(), question(t, "b.example", dnssec.TypeA))
		if !errors.Is(err, dnssec.ErrTimeout) || time.Since(begin) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestCacheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		c := dnssec.NewCached(source(func(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
			if q.Type == dnssec.TypeA {
				return answerFor(q, time.Hour), nil
			}
			<-ctx.Done()
			ended.Store(true)
			return dnssec.Answer{}, &dnssec.LookupError{Question: q, Kind: dnssec.ErrTimeout, Cause: ctx.Err()}
		}), dnssec.CacheConfig{})
		kept := question(t, "a.example", dnssec.TypeA)
		if _, err := c.Resolve(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			_, err := c.Resolve(context.Background(), question(t, "a.example", dnssec.TypeAAAA))
			got <- err
		}()
		synctest.Wait()
		c.Close()
		if !ended.Load() {
			t.Error("Close did not wait")
		}
		if err := <-got; !errors.Is(err, dnssec.ErrTimeout) {
			t.Error(err)
		}
		if n, _ := c.Size(); n != 1 {
			t.Errorf("a question that Close ended is kept as a failure: %d entries", n)
		}
		if _, err := c.Resolve(context.Background(), question(t, "b.example", dnssec.TypeA)); !errors.Is(err, dnssec.ErrCacheClosed) || !errors.Is(err, dnssec.ErrUnreachable) {
			t.Error(err)
		}
		if _, err := c.Resolve(context.Background(), kept); err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

func TestCacheManyGoroutines(t *testing.T) {
	// 10,000 questions for 1,000 names from 256 goroutines: 1,000 upstream questions.
	const names, questions, goroutines = 1000, 10_000, 256
	var asked atomic.Int64
	c := cached(t, fixed(time.Hour, &asked), dnssec.CacheConfig{})
	qs := make([]dnssec.Question, names)
	for i := range qs {
		qs[i] = question(t, fmt.Sprintf("n%d.example", i), dnssec.TypeTLSA)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(questions)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= questions {
					return
				}
				q := qs[order[i]%names]
				if a, err := c.Resolve(t.Context(), q); err != nil || a.Question != q || a.Status != dnssec.Secure {
					t.Error(brief(a, err))
					return
				}
			}
		})
	}
	wg.Wait()
	if asked.Load() != names {
		t.Errorf("%d upstream questions, want %d", asked.Load(), names)
	}
}

// bigAnswer is an answer as mail has them: three hosts, an alias, a reason.
func bigAnswer(q dnssec.Question, n int) dnssec.Answer {
	a := answerFor(q, time.Hour)
	block := make([]byte, 4096) // a whole message, of which the records are a part
	a.Records = nil
	for i := range n {
		a.Records = append(a.Records, dnssec.Record{Type: q.Type, TTL: 3600, Data: block[i*35 : i*35+35]})
	}
	target, _ := rfc6125.ParseName("target." + q.Name.String())
	a.Chain = []dnssec.Alias{{Owner: q.Name, Target: target, Type: dnssec.TypeCNAME, Status: dnssec.Secure, TTL: 300}}
	a.Final = target
	return a
}

func TestCacheBounds(t *testing.T) {
	tests := []struct {
		name    string
		cfg     dnssec.CacheConfig
		entries int
	}{
		{"bytes", dnssec.CacheConfig{Bytes: 4 << 20}, dnssec.DefaultCacheEntries},
		{"entries", dnssec.CacheConfig{Entries: 500}, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var most int64
			tt.cfg.Trace.Size = func(n int, b int64) {
				most = max(most, b)
				if n > tt.entries {
					t.Errorf("%d entries", n)
				}
			}
			c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
				return bigAnswer(q, 3), nil
			}), tt.cfg)
			// Ten times as much as there is room for.
			room := 500
			if tt.cfg.Bytes > 0 {
				room = int(tt.cfg.Bytes / 1000)
			}
			for i := range 10 * room {
				if _, err := c.Resolve(t.Context(), question(t, fmt.Sprintf("n%d.example", i), dnssec.TypeTLSA)); err != nil {
					t.Fatal(err)
				}
			}
			n, b := c.Size()
			if tt.cfg.Bytes > 0 && (most > tt.cfg.Bytes || b < tt.cfg.Bytes*9/10) {
				t.Errorf("at most %d bytes and %d at the end, bound %d", most, b, tt.cfg.Bytes)
			}
			if tt.cfg.Entries > 0 && n != tt.cfg.Entries {
				t.Errorf("%d entries, bound %d", n, tt.cfg.Entries)
			}
			// The last ones are there, the first ones are gone.
			before, _ := c.Size()
			c.Resolve(t.Context(), question(t, fmt.Sprintf("n%d.example", 10*room-1), dnssec.TypeTLSA))
			if after, _ := c.Size(); after != before {
				t.Error("the newest entry was pushed out")
			}
		})
	}
	t.Run("one too large", func(t *testing.T) {
		c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
			return bigAnswer(q, 100), nil
		}), dnssec.CacheConfig{Bytes: 3000})
		if a, err := c.Resolve(t.Context(), question(t, "a.example", dnssec.TypeA)); err != nil || len(a.Records) != 100 {
			t.Error(brief(a, err))
		}
		if n, b := c.Size(); n != 0 || b != 0 {
			t.Errorf("%d entries of %d bytes", n, b)
		}
	})
	t.Run("one too large pushes nobody out", func(t *testing.T) {
		c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
			if q.Type == dnssec.TypeMX {
				return bigAnswer(q, 100), nil
			}
			return answerFor(q, time.Hour), nil
		}), dnssec.CacheConfig{Bytes: 3000})
		c.Resolve(t.Context(), question(t, "a.example", dnssec.TypeA))
		c.Resolve(t.Context(), question(t, "a.example", dnssec.TypeMX))
		if n, _ := c.Size(); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
	t.Run("the callbacks", func(t *testing.T) {
		var sizes, asks int
		var failed []bool
		c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
			if q.Type == dnssec.TypeMX {
				return dnssec.Answer{Question: q}, &dnssec.LookupError{Question: q, Kind: dnssec.ErrBogus}
			}
			return answerFor(q, time.Hour), nil
		}), dnssec.CacheConfig{Trace: dnssec.CacheTrace{
			Size: func(n int, b int64) {
				sizes++
				if n != sizes || b < int64(n)*500 {
					t.Errorf("%d entries of %d bytes", n, b)
				}
			},
			Asked: func(q dnssec.Question, _ time.Duration, err error) {
				asks++
				if (err != nil) != (q.Type == dnssec.TypeMX) {
					t.Errorf("%v: %v", q, err)
				}
			},
			Hit: func(_ dnssec.Question, age time.Duration, f bool) { failed = append(failed, f) },
		}})
		for range 2 {
			c.Resolve(t.Context(), question(t, "a.example", dnssec.TypeA))
			c.Resolve(t.Context(), question(t, "a.example", dnssec.TypeMX))
		}
		if sizes != 2 || asks != 2 || fmt.Sprint(failed) != "[false true]" {
			t.Errorf("sizes %d, asks %d, hits %v", sizes, asks, failed)
		}
	})
	t.Run("the same again", func(t *testing.T) {
		now := time.Now()
		c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
			a := bigAnswer(q, 3)
			a.Received, a.Expires = now, now.Add(time.Second)
			return a, nil
		}), dnssec.CacheConfig{Now: func() time.Time { return now }})
		q := question(t, "a.example", dnssec.TypeA)
		c.Resolve(t.Context(), q)
		_, first := c.Size()
		now = now.Add(time.Second)
		c.Resolve(t.Context(), q)
		if n, b := c.Size(); n != 1 || b != first {
			t.Errorf("%d entries of %d bytes, one has %d", n, b, first)
		}
		c.Purge()
		if n, b := c.Size(); n != 0 || b != 0 {
			t.Errorf("%d entries of %d bytes after Purge", n, b)
		}
	})
}

func TestCacheMemory(t *testing.T) {
	// 100,000 cached answers take at most 100 MB of heap, and answers of no shape take
	// more than the cache says they do.
	if testing.Short() {
		t.Skip("fills 100 MB")
	}
	tests := []struct {
		name    string
		entries int
		answer  func(dnssec.Question) (dnssec.Answer, error)
	}{
		{"two records behind an alias", 100_000, func(q dnssec.Question) (dnssec.Answer, error) { return bigAnswer(q, 2), nil }},
		{"one address", 20_000, func(q dnssec.Question) (dnssec.Answer, error) { return answerFor(q, time.Hour), nil }},
		{"nothing", 20_000, func(q dnssec.Question) (dnssec.Answer, error) {
			a := answerFor(q, time.Hour)
			a.Kind, a.Status, a.Records = dnssec.NoData, dnssec.Insecure, nil
			a.Reason = dnssec.Reason{Code: "x", Name: a.Final, Text: "no word for " + q.String()}
			return a, nil
		}},
		{"a failure", 20_000, func(q dnssec.Question) (dnssec.Answer, error) {
			return dnssec.Answer{Question: q}, &dnssec.LookupError{Question: q, Kind: dnssec.ErrBogus, Reason: dnssec.Reason{Text: "all is wrong with " + q.String()},
				EDE: []dnssec.ExtendedError{{Code: 6, Text: "says " + q.String()}}}
		}},
		{"forty records", 5_000, func(q dnssec.Question) (dnssec.Answer, error) { return bigAnswer(q, 40), nil }},
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := cached(t, source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
				return tt.answer(q)
			}), dnssec.CacheConfig{Entries: tt.entries, Bytes: 1 << 40, FailureTTL: time.Minute})
			before := heap()
			for i := range tt.entries {
				c.Resolve(t.Context(), question(t, fmt.Sprintf("_25._tcp.mx%d.example.org", i), dnssec.TypeTLSA))
			}
			used := int64(heap() - before)
			n, b := c.Size()
			t.Logf("%d answers: %d octets of heap each, %d by the cache's own count", n, used/int64(n), b/int64(n))
			if n != tt.entries || used/int64(n)*100_000 > 100e6 && tt.entries == 100_000 {
				t.Errorf("%d answers take %d bytes", n, used)
			}
			if used > b {
				t.Errorf("the cache counts %d bytes where there are %d", b, used)
			}
			runtime.KeepAlive(c)
		})
	}
}

func TestCacheModel(t *testing.T) {
	// Against the simplest cache there is: a map. Whatever the order of questions and the
	// passing of time, an answer is never older than its life, and never another one's.
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		version := 0
		c := dnssec.NewCached(source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
			version++
			if version%5 == 0 {
				return dnssec.Answer{Question: q, Status: dnssec.Bogus}, &dnssec.LookupError{Question: q, Kind: dnssec.ErrBogus}
			}
			ttl := time.Duration(version%7) * time.Second
			return dnssec.Answer{Question: q, Kind: dnssec.NoData, Status: dnssec.Insecure, Received: now, Expires: now.Add(ttl), Server: fmt.Sprint(version)}, nil
		}), dnssec.CacheConfig{Entries: 4, Now: func() time.Time { return now }})
		defer c.Close()
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "seconds")) * time.Second)
			n, _ := rfc6125.ParseName(fmt.Sprintf("n%d.example", rapid.IntRange(0, 6).Draw(rt, "name")))
			before := version
			q := dnssec.Question{Name: n, Type: dnssec.TypeA}
			a, err := c.Resolve(context.Background(), q)
			switch {
			case a.Question != q:
				rt.Fatal("another's answer")
			case err == nil && version == before && !now.Before(a.Expires):
				rt.Fatal("too old")
			case err == nil && a.Status != dnssec.Insecure, err != nil && (a.Status != dnssec.Bogus || !errors.Is(err, dnssec.ErrBogus)):
				rt.Fatal("another status", a, err)
			}
			if n, b := c.Size(); n > 4 || (n == 0) != (b == 0) {
				rt.Fatalf("%d entries of %d bytes", n, b)
			}
		}
	})
}

func BenchmarkCacheHit(b *testing.B) {
	var asked atomic.Int64
	c := cached(b, fixed(time.Hour, &asked), dnssec.CacheConfig{})
	q := question(b, "_25._tcp.mx.example.org", dnssec.TypeTLSA)
	b.ReportAllocs()
	for b.Loop() {
		if a, err := c.Resolve(context.Background(), q); err != nil || a.Status != dnssec.Secure {
			b.Fatal(err)
		}
	}
}

// BenchmarkCacheHitFloor is what any cache has to do: look into a map under a lock.
func BenchmarkCacheHitFloor(b *testing.B) {
	m := map[dnssec.Question]dnssec.Answer{}
	q := question(b, "_25._tcp.mx.example.org", dnssec.TypeTLSA)
	m[q] = answerFor(q, time.Hour)
	var mu sync.Mutex
	b.ReportAllocs()
	for b.Loop() {
		mu.Lock()
		a := m[q]
		mu.Unlock()
		if a.Status != dnssec.Secure || !time.Now().Before(a.Expires) {
			b.Fatal()
		}
	}
}

func TestCacheHitAllocations(t *testing.T) {
	var asked atomic.Int64
	c := cached(t, fixed(time.Hour, &asked), dnssec.CacheConfig{})
	q := question(t, "_25._tcp.mx.example.org", dnssec.TypeTLSA)
	if n := testing.AllocsPerRun(100, func() { c.Resolve(context.Background(), q) }); n > 2 {
		t.Errorf("%v allocations for a cached answer", n)
	}
}

func TestCacheNamesTheQuestionOfItsOwnErrors(t *testing.T) {
	c := dnssec.NewCached(source(func(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
		return dnssec.Answer{Question: q}, nil
	}), dnssec.CacheConfig{})
	q := question(t, "mx.example.org", dnssec.TypeTLSA)
	said := func(what string) {
		t.Helper()
		_, err := c.Resolve(context.Background(), q)
		var le *dnssec.LookupError
		if !errors.As(err, &le) || le.Question != q || le.Reason.Name != q.Name || le.Reason.Type != q.Type || le.Reason.Text == "" {
			t.Errorf("%s: %#v", what, err)
		}
	}
	said("no status")
	c.Close()
	said("closed")
}

// lateContext does something when it is asked whether it has ended.
type lateContext struct {
	context.Context
	first func()
}

func (c lateContext) Err() error {
	c.first()
	return c.Context.Err()
}

// TestCacheFilledMeanwhile: another caller may get the answer between a caller's look into
// the cache and its turn to ask.
func TestCacheFilledMeanwhile(t *testing.T) {
	var asked atomic.Int64
	c := cached(t, fixed(time.Hour, &asked), dnssec.CacheConfig{})
	q := question(t, "a.example", dnssec.TypeA)
	other := 0
	a, err := c.Resolve(lateContext{t.Context(), func() {
		other++
		if _, err := c.Resolve(context.Background(), q); err != nil {
			t.Error(err)
		}
	}}, q)
	if err != nil || a.Status != dnssec.Secure || other == 0 || asked.Load() != 1 {
		t.Errorf("%s, asked %d times", brief(a, err), asked.Load())
	}
}
