package sts_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/sts"
)

// TestBackOffKinds: the failure that is remembered is the failure that was, in every kind.
func TestBackOffKinds(t *testing.T) {
	eachFetch(t, fetchCases, func(t *testing.T, w *world, c fetchCase) {
		c.breaks(w)
		cl := w.client()
		first := cl.Lookup(context.Background(), host("example.org"))
		again := cl.Lookup(context.Background(), host("example.org"))
		var a, b *sts.FetchError
		if !errors.As(first.FetchErr, &a) || !errors.As(again.FetchErr, &b) {
			t.Fatalf("%v, %v", first.FetchErr, again.FetchErr)
		}
		if a.Repeated || !b.Repeated || a.Kind != b.Kind || a.Status != b.Status || a.Note != b.Note || a.Host != b.Host || !a.Until.Equal(b.Until) || a.Until.Before(time.Now()) {
			t.Errorf("first %+v, again %+v", a, b)
		}
		if b.Detail == "" {
			t.Errorf("nothing is told of the failure: %v", b)
		}
	})
}

// TestUntil: a policy, an answer and a failure each say when to ask again.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		w.domain("example.org", "one", policy("enforce", 100, "a.example"))
		c := w.client()
		now := time.Now()
		if r := c.Lookup(ctx, host("example.org")); !r.Until.Equal(now.Add(100 * time.Second)) {
			t.Errorf("with a policy of 100 s: %s", r.Until.Sub(now))
		}
		w.domain("example.net", "one", policy("enforce", 0, "a.example"))
		if r := c.Lookup(ctx, host("example.net")); !r.Until.Equal(now) || r.Policy == nil {
			t.Errorf("with a policy of no age: %s", r.Until.Sub(now))
		}
		w.domain("example.com", "one", enforce)
		if r := c.Lookup(ctx, host("example.com")); !r.Until.Equal(now.Add(300 * time.Second)) {
			t.Errorf("with an answer of 300 s: %s", r.Until.Sub(now))
		}
		// After a failure the back-off or the answer, whichever ends first.
		for ttl, want := range map[int]time.Duration{60: time.Minute, 3600: sts.BackOff} {
			name := fmt.Sprintf("ttl%d.example", ttl)
			w.domain(name, "one", "junk")
			w.dns.Remove("_mta-sts."+name, typeTXT)
			w.dns.Add(fmt.Sprintf("_mta-sts.%s. %d IN TXT \"v=STSv1; id=one\"", name, ttl))
			if r := c.Lookup(ctx, host(name)); r.Row != sts.S4 || !r.Until.Equal(now.Add(want)) {
				t.Errorf("after a failure, with an answer of %d s: row %s, %s", ttl, r.Row, r.Until.Sub(now))
			}
		}
	})
}
