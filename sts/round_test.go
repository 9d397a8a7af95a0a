package sts_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
)

// One round of refreshes.

// TestRoundBeginsWithWhatEndsFirst: should the round be cut short, those that can wait are
// left.
func TestRoundBeginsWithWhatEndsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		c := w.client()
		for i := range 20 {
			name := fmt.Sprintf("d%02d.example", i)
			w.domain(name, "one", policy("enforce", 3600*24*(30-i), "mx.example"))
			if r := c.Lookup(ctx, host(name)); r.Row != sts.S3 {
				t.Fatal(r.FetchErr)
			}
		}
		gate := make(chan struct{})
		for i := range 20 {
			w.serve(fmt.Sprintf("d%02d.example", i), gated(gate, text(enforce)))
		}
		time.Sleep(48 * time.Hour)
		w.seen(true)
		go c.Refresh(ctx)
		synctest.Wait()
		var first []string
		for _, r := range w.seen(false) {
			first = append(first, r.Host)
		}
		for i := 12; i < 20; i++ {
			if !strings.Contains(strings.Join(first, " "), fmt.Sprintf("d%02d.example", i)) {
				t.Errorf("d%02d, among the eight that end first, waits for %v", i, first)
			}
		}
		close(gate)
		synctest.Wait()
		if n := w.fetches(); n != 20 {
			t.Errorf("%d fetches", n)
		}
	})
}

// deadResolver knows nothing.
type deadResolver struct{}

func (deadResolver) Resolve(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
	return dnssec.Answer{}, &dnssec.LookupError{Question: q, Kind: dnssec.ErrTimeout}
}

// TestRoundIsBounded: what is more than a round takes is said to be due, and the next
// follows at once.
func TestRoundIsBounded(t *testing.T) {
	const most = 10_000
	for n, more := range map[int]bool{most - 1: false, most + 1: true} {
		w := newWorld(t)
		var tried int
		c := w.client(func(c *sts.Config) { c.Resolver, c.Logger, c.Store = deadResolver{}, nil, newMemory(t) })
		fetched := time.Now().Add(-25 * time.Hour)
		for i := range n {
			if err := sts.Keep(c, host(fmt.Sprintf("d%d.example", i)), "one", policy("none", 604800), fetched); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Refresh(t.Context()); got != more {
			t.Errorf("%d due: more %v", n, got)
		}
		if err := c.Cache().List(t.Context(), func(i sts.Item) bool { tried += i.Failures; return true }); err != nil || tried != min(n, most) {
			t.Errorf("%d due: %d tried, %v", n, tried, err)
		}
	}
}

// TestRoundIsStopped: what is under way is no failure of the policy host, and the rest is
// said to be due.
func TestRoundIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ev := &events{}
		c := w.client(func(c *sts.Config) { c.Observer = ev.observer() })
		gate := make(chan struct{})
		defer close(gate)
		for i := range 20 {
			name := fmt.Sprintf("d%02d.example", i)
			w.domain(name, "one", enforce)
			c.Lookup(t.Context(), host(name))
			w.serve(name, gated(gate, text(enforce)))
		}
		time.Sleep(25 * time.Hour)
		ev.take()
		n := w.fetches()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan bool, 1)
		go func() { done <- c.Refresh(ctx) }()
		synctest.Wait()
		cancel()
		if !<-done {
			t.Error("nothing is due after a round that was cut short")
		}
		if got := ev.take(); got != "" || w.fetches()-n != 8 {
			t.Errorf("told %q, %d fetches", got, w.fetches()-n)
		}
		c.Cache().List(t.Context(), func(i sts.Item) bool {
			if i.Failures != 0 {
				t.Errorf("%s has failed", i.Domain)
			}
			return true
		})
	})
}

func TestRoundFollowsRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.client(func(c *sts.Config) { c.Resolver, c.Logger, c.Store = deadResolver{}, nil, newMemory(t) })
		fetched := time.Now().Add(-25 * time.Hour)
		for i := range 10_001 {
			if err := sts.Keep(c, host(fmt.Sprintf("d%d.example", i)), "one", policy("none", 604800), fetched); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(time.Second)
		tried := 0
		if err := c.Cache().List(t.Context(), func(i sts.Item) bool { tried += i.Failures; return true }); err != nil || tried != 10_001 {
			t.Errorf("%d tried within a second, %v", tried, err)
		}
		cancel()
		<-done
	})
}

func TestIsEnding(t *testing.T) {
	t0 := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	const hour = time.Hour
	for _, c := range []struct {
		life, left time.Duration
		want       bool
	}{
		{30 * 24 * hour, 48 * hour, false}, {30 * 24 * hour, 48*hour - 1, true}, {30 * 24 * hour, 0, true},
		{8 * hour, 2 * hour, false}, {8 * hour, 2*hour - 1, true},
	} {
		if got := sts.IsEnding(t0, t0.Add(c.life), t0.Add(c.life-c.left)); got != c.want {
			t.Errorf("%s of %s left: %v", c.left, c.life, got)
		}
	}
}
