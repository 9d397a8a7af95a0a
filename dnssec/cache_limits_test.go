package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
)

// entryBytes is what the cache counts for one answer of answerFor.
func entryBytes(t *testing.T, q dnssec.Question) int64 {
	t.Helper()
	var asked atomic.Int64
	c := cached(t, fixed(time.Hour, &asked), dnssec.CacheConfig{})
	if _, err := c.Resolve(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	n, b := c.Size()
	if n != 1 || b <= 0 {
		t.Fatalf("%d entries of %d bytes", n, b)
	}
	return b
}

func TestCacheBytesToTheOctet(t *testing.T) {
	qs := []dnssec.Question{question(t, "n1.example", dnssec.TypeA), question(t, "n2.example", dnssec.TypeA)}
	one := entryBytes(t, qs[0])
	for _, tt := range []struct {
		bytes int64
		want  int
	}{{1, 0}, {one - 1, 0}, {one, 1}, {2*one - 1, 1}, {2 * one, 2}} {
		t.Run(fmt.Sprint(tt.bytes), func(t *testing.T) {
			var asked atomic.Int64
			c := cached(t, fixed(time.Hour, &asked), dnssec.CacheConfig{Bytes: tt.bytes})
			for _, q := range qs {
				if _, err := c.Resolve(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			if n, b := c.Size(); n != tt.want || b != int64(n)*one {
				t.Errorf("%d entries of %d bytes, want %d of %d each", n, b, tt.want, one)
			}
		})
	}
}

func TestCacheEntriesOfOne(t *testing.T) {
	var asked atomic.Int64
	c := cached(t, fixed(time.Hour, &asked), dnssec.CacheConfig{Entries: 1})
	for _, s := range []string{"n1.example", "n2.example", "n2.example", "n1.example"} {
		if _, err := c.Resolve(t.Context(), question(t, s, dnssec.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := c.Size(); n != 1 || asked.Load() != 3 {
		t.Errorf("%d entries after %d questions", n, asked.Load())
	}
}

// TestCacheTimes says what each setting of the two times comes to: any above zero is
// meant as it is, and all others are the default.
func TestCacheTimes(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		failure, lookup      time.Duration
		keptFor, gaveUpAfter time.Duration
	}{
		{"zero", 0, 0, dnssec.DefaultFailureTTL, dnssec.DefaultLookupTimeout},
		{"negative", -1, -1, dnssec.DefaultFailureTTL, dnssec.DefaultLookupTimeout},
		{"the shortest", 1, 1, 1, 1},
		{"longer than the longest", dnssec.MaxFailureTTL + 1, time.Hour, dnssec.MaxFailureTTL, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				c := cached(t, source(func(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
					asked.Add(1)
					<-ctx.Done()
					return dnssec.Answer{Question: q}, &dnssec.LookupError{Question: q, Kind: dnssec.ErrTimeout, Cause: ctx.Err()}
				}), dnssec.CacheConfig{FailureTTL: tt.failure, LookupTimeout: tt.lookup})
				q := question(t, "a.example", dnssec.TypeA)
				ask := func(want int64) {
					t.Helper()
					if _, err := c.Resolve(t.Context(), q); !errors.Is(err, dnssec.ErrTimeout) || asked.Load() != want {
						t.Fatalf("%v, asked %d times, want %d", err, asked.Load(), want)
					}
				}
				begin := time.Now()
				ask(1)
				if took := time.Since(begin); took != tt.gaveUpAfter {
					t.Errorf("gave up after %v, want %v", took, tt.gaveUpAfter)
				}
				time.Sleep(tt.keptFor - 1)
				ask(1)
				time.Sleep(time.Nanosecond)
				ask(2)
			})
		})
	}
}
