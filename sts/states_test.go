package sts_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

const typeTXT = dnssec.TypeTXT

const week = 7 * 24 * time.Hour

var enforce = policy("enforce", int(week/time.Second), "mx.example.org", "*.mail.example.org")

// TestStates walks through the rows S1 to S9 and S12 of the decision table's section
// 3, each by itself: what is applied, what is kept, what was asked.
func TestStates(t *testing.T) {
	ctx := context.Background()
	domain := host("example.org")
	run := func(name string, f func(t *testing.T, w *world)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
		})
	}
	// cached returns a client that has fetched the policy of example.org under id one.
	cached := func(t *testing.T, w *world) *sts.Client {
		w.domain("example.org", "one", enforce)
		c := w.client()
		if r := c.Lookup(ctx, domain); r.Row != sts.S3 {
			t.Fatalf("the first lookup gave row %s: %v", r.Row, r.FetchErr)
		}
		time.Sleep(time.Hour)
		return c
	}
	// check compares what every row says of the policy.
	check := func(t *testing.T, r sts.Result, row sts.Row, mode sts.Mode, fromCache bool) {
		t.Helper()
		if r.Row != row {
			t.Errorf("row %s, want %s (txt %v, fetch %v, store %v)", r.Row, row, r.TXTErr, r.FetchErr, r.StoreErr)
		}
		switch {
		case mode == 0 && r.Policy != nil:
			t.Errorf("policy %q applies, want none", r.Policy.Text)
		case mode != 0 && r.Policy == nil:
			t.Errorf("no policy applies, want mode %s", mode)
		case mode != 0 && r.Policy.Mode != mode:
			t.Errorf("mode %s, want %s", r.Policy.Mode, mode)
		}
		if r.Cached != fromCache {
			t.Errorf("Cached is %v, want %v", r.Cached, fromCache)
		}
		if r.Domain != domain {
			t.Errorf("Domain is %s", r.Domain)
		}
	}

	run("S1 nothing cached and no record", func(t *testing.T, w *world) {
		r := w.client().Lookup(ctx, domain)
		check(t, r, sts.S1, 0, false)
		if !errors.Is(r.TXTErr, sts.ErrNoRecord) || r.FetchErr != nil || w.fetches() != 0 {
			t.Errorf("txt %v, fetch %v, %d fetches", r.TXTErr, r.FetchErr, w.fetches())
		}
		if !r.Until.Equal(r.Answer.Expires) {
			t.Errorf("Until is %s, want the end of the denial %s", r.Until, r.Answer.Expires)
		}
	})
	run("S2 nothing cached and a failing lookup", func(t *testing.T, w *world) {
		for _, kind := range []error{dnssec.ErrServFail, dnssec.ErrBogus, dnssec.ErrTimeout, dnssec.ErrMalformed} {
			w.dns.Fail("_mta-sts.example.org", typeTXT, kind)
			r := w.client().Lookup(ctx, domain)
			check(t, r, sts.S2, 0, false)
			if !errors.Is(r.TXTErr, kind) || errors.Is(r.TXTErr, sts.ErrNoRecord) || w.fetches() != 0 {
				t.Errorf("%v: txt %v, %d fetches", kind, r.TXTErr, w.fetches())
			}
			if got := time.Until(r.Until); got != time.Minute {
				t.Errorf("ask again after %s, want a minute", got)
			}
		}
	})
	run("S3 new record, fetched", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		c := w.client()
		start := time.Now()
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S3, sts.ModeEnforce, false)
		if r.ID != "one" || r.Policy.Text != enforce || !r.Fetched.Equal(start) || r.Expires.Sub(start) != week || len(r.Chain) != 1 {
			t.Errorf("got %+v", r)
		}
		k, ok := c.Cached(ctx, domain)
		if !ok || k.ID != "one" || k.Policy.Text != enforce || !k.Fetched.Equal(start) || !k.Expires.Equal(r.Expires) || k.Row != 0 || !k.Cached {
			t.Errorf("kept: %+v", k)
		}
	})
	run("S4 new record, fetch fails", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		w.serve("example.org", status(500))
		c := w.client()
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S4, 0, false)
		var fe *sts.FetchError
		if !errors.As(r.FetchErr, &fe) || fe.Kind != sts.ErrFetchStatus || fe.Status != 500 || fe.Repeated {
			t.Fatalf("fetch error %v", r.FetchErr)
		}
		if _, ok := c.Cached(ctx, domain); ok {
			t.Error("a failed fetch has left a policy")
		}
		// In back-off: the same failure again, and no request.
		time.Sleep(5*time.Minute - time.Second)
		r = c.Lookup(ctx, domain)
		check(t, r, sts.S4, 0, false)
		if !errors.As(r.FetchErr, &fe) || fe.Kind != sts.ErrFetchStatus || fe.Status != 500 || !fe.Repeated || w.fetches() != 1 {
			t.Fatalf("in back-off: %v, %d fetches", r.FetchErr, w.fetches())
		}
		if !r.Until.Equal(fe.Until) {
			t.Errorf("Until is %s, want the end of the back-off %s", r.Until, fe.Until)
		}
		// And after it: tried again.
		w.serve("example.org", text(enforce))
		time.Sleep(time.Second)
		check(t, c.Lookup(ctx, domain), sts.S3, sts.ModeEnforce, false)
	})
	run("S4 back-off is for the id", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		w.serve("example.org", status(404))
		c := w.client()
		check(t, c.Lookup(ctx, domain), sts.S4, 0, false)
		w.serve("example.org", text(enforce))
		w.record("example.org", "v=STSv1; id=two;")
		check(t, c.Lookup(ctx, domain), sts.S3, sts.ModeEnforce, false)
	})
	run("S4 ids without end are not followed", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		w.serve("example.org", status(404))
		c := w.client()
		for i := range 20 {
			w.record("example.org", "v=STSv1; id="+strings.Repeat("x", i+1))
			check(t, c.Lookup(ctx, domain), sts.S4, 0, false)
		}
		if w.fetches() != 8 {
			t.Errorf("%d fetches for 20 ids, want 8", w.fetches())
		}
		time.Sleep(5 * time.Minute)
		w.serve("example.org", text(enforce))
		check(t, c.Lookup(ctx, domain), sts.S3, sts.ModeEnforce, false)
	})
	run("S5 same id", func(t *testing.T, w *world) {
		c := cached(t, w)
		before, _ := c.Cached(ctx, domain)
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S5, sts.ModeEnforce, true)
		if !r.Expires.Equal(before.Expires) || !r.Fetched.Equal(before.Fetched) || w.fetches() != 1 || r.ID != "one" || r.Record.ID != "one" {
			t.Errorf("the lifetime changed, or a fetch was made: %+v, %d fetches", r, w.fetches())
		}
		if !r.Until.Equal(r.Answer.Expires) {
			t.Errorf("Until %s, want the end of the answer %s", r.Until, r.Answer.Expires)
		}
	})
	run("S5 ends when max_age is over", func(t *testing.T, w *world) {
		c := cached(t, w)
		time.Sleep(week - time.Hour - time.Second)
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S5, sts.ModeEnforce, true)
		if !r.Until.Equal(r.Expires) {
			t.Errorf("Until %s, want the end of the policy %s", r.Until, r.Expires)
		}
		time.Sleep(time.Second)
		if _, ok := c.Cached(ctx, domain); ok {
			t.Error("an expired policy is given")
		}
		w.serve("example.org", status(500))
		check(t, c.Lookup(ctx, domain), sts.S4, 0, false)
	})
	run("S6 new id, fetched", func(t *testing.T, w *world) {
		c := cached(t, w)
		testing := policy("testing", 600, "mx.example.org")
		w.record("example.org", "v=STSv1; id=two;")
		w.serve("example.org", text(testing))
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S6, sts.ModeTesting, false)
		if k, ok := c.Cached(ctx, domain); !ok || k.ID != "two" || k.Policy.Text != testing || !k.Fetched.Equal(time.Now()) {
			t.Errorf("kept: %+v", k)
		}
	})
	run("S6 mode none ends enforcement at once", func(t *testing.T, w *world) {
		c := cached(t, w)
		w.record("example.org", "v=STSv1; id=two;")
		w.serve("example.org", text(policy("none", 600)))
		check(t, c.Lookup(ctx, domain), sts.S6, sts.ModeNone, false)
		check(t, c.Lookup(ctx, domain), sts.S5, sts.ModeNone, true)
	})
	run("S6 a policy of no age replaces too", func(t *testing.T, w *world) {
		c := cached(t, w)
		w.record("example.org", "v=STSv1; id=two;")
		w.serve("example.org", text(policy("testing", 0, "mx.example.org")))
		check(t, c.Lookup(ctx, domain), sts.S6, sts.ModeTesting, false)
		if _, ok := c.Cached(ctx, domain); ok {
			t.Error("the old policy is still there")
		}
	})
	run("S7 new id, fetch fails", func(t *testing.T, w *world) {
		c := cached(t, w)
		w.record("example.org", "v=STSv1; id=two;")
		w.serve("example.org", text("not a policy"))
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S7, sts.ModeEnforce, true)
		if !errors.Is(r.FetchErr, sts.ErrFetchSyntax) || !errors.Is(r.FetchErr, sts.ErrPolicy) || r.ID != "one" || r.Record.ID != "two" {
			t.Errorf("got %v, id %s", r.FetchErr, r.ID)
		}
		// The old id is back: S5 although the other is in back-off.
		w.record("example.org", "v=STSv1; id=one;")
		check(t, c.Lookup(ctx, domain), sts.S5, sts.ModeEnforce, true)
		w.record("example.org", "v=STSv1; id=two;")
		check(t, c.Lookup(ctx, domain), sts.S7, sts.ModeEnforce, true)
		if w.fetches() != 2 {
			t.Errorf("%d fetches, want 2", w.fetches())
		}
	})
	run("S8 the record is gone", func(t *testing.T, w *world) {
		c := cached(t, w)
		for _, texts := range [][]string{nil, {"v=STSv1; id=a;", "v=STSv1; id=b;"}, {"v=STSv1; id=!;"}, {"v=spf1 -all"}} {
			w.record("example.org", texts...)
			r := c.Lookup(ctx, domain)
			check(t, r, sts.S8, sts.ModeEnforce, true)
			if !errors.Is(r.TXTErr, sts.ErrNoRecord) || w.fetches() != 1 {
				t.Errorf("%q: %v, %d fetches", texts, r.TXTErr, w.fetches())
			}
		}
	})
	run("S9 the lookup of the record fails", func(t *testing.T, w *world) {
		c := cached(t, w)
		w.dns.Fail("_mta-sts.example.org", typeTXT, dnssec.ErrBogus)
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S9, sts.ModeEnforce, true)
		if !errors.Is(r.TXTErr, dnssec.ErrBogus) {
			t.Errorf("txt %v", r.TXTErr)
		}
	})
	run("S12 the caller does not wait for the fetch", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		gate := make(chan struct{})
		w.serve("example.org", gated(gate, text(enforce)))
		c := w.client()
		cctx, cancel := context.WithCancel(ctx)
		go func() {
			synctestWait()
			cancel()
		}()
		r := c.Lookup(cctx, domain)
		check(t, r, sts.S12, 0, false)
		if !r.Pending || !errors.Is(r.FetchErr, sts.ErrPending) || errors.Is(r.FetchErr, sts.ErrFetch) || !errors.Is(r.FetchErr, context.Canceled) {
			t.Errorf("pending %v, fetch %v", r.Pending, r.FetchErr)
		}
		close(gate)
		synctest.Wait()
		check(t, c.Lookup(ctx, domain), sts.S5, sts.ModeEnforce, true)
		if w.fetches() != 1 {
			t.Errorf("%d fetches", w.fetches())
		}
	})
	run("S12 the caller does not wait for the record", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		release := w.dns.Hold("_mta-sts.example.org", typeTXT)
		c := w.client()
		cctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		r := c.Lookup(cctx, domain)
		check(t, r, sts.S12, 0, false)
		if !r.Pending || r.FetchErr != nil || r.TXTErr == nil {
			t.Errorf("pending %v, fetch %v, txt %v", r.Pending, r.FetchErr, r.TXTErr)
		}
		release()
		synctest.Wait()
		if k, ok := c.Cached(ctx, domain); !ok || k.ID != "one" {
			t.Errorf("the lookup did not go on: %+v", k)
		}
	})
	run("S7 and S9 pending with a cached policy", func(t *testing.T, w *world) {
		c := cached(t, w)
		w.record("example.org", "v=STSv1; id=two;")
		gate := make(chan struct{})
		w.serve("example.org", gated(gate, text(enforce)))
		cctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		r := c.Lookup(cctx, domain)
		check(t, r, sts.S7, sts.ModeEnforce, true)
		if !r.Pending {
			t.Error("not pending")
		}
		// The context is over before the record is asked for.
		release := w.dns.Hold("_mta-sts.example.org", typeTXT)
		r = c.Lookup(cctx, domain)
		check(t, r, sts.S9, sts.ModeEnforce, true)
		if !r.Pending {
			t.Error("not pending")
		}
		release()
		close(gate)
	})
	run("the zero domain", func(t *testing.T, w *world) {
		r := w.client().Lookup(ctx, sts.Result{}.Domain)
		if r.Row != sts.S1 || !errors.Is(r.TXTErr, sts.ErrNoRecord) || !strings.Contains(r.TXTErr.Error(), "no domain") || len(w.dns.Asked()) != 0 {
			t.Errorf("got %+v", r)
		}
	})
	run("a closed client serves what it knows and fetches nothing", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		c := w.client(func(c *sts.Config) { c.Store = newMemory(t) })
		check(t, c.Lookup(ctx, domain), sts.S3, sts.ModeEnforce, false)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, c.Lookup(ctx, domain), sts.S5, sts.ModeEnforce, true)
		w.record("example.org", "v=STSv1; id=two;")
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S7, sts.ModeEnforce, true)
		if w.fetches() != 1 || !r.Pending || !errors.Is(r.FetchErr, sts.ErrNoTurn) {
			t.Errorf("%d fetches, %v", w.fetches(), r.FetchErr)
		}
	})
	run("one fetch for all who ask at once", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		gate := make(chan struct{})
		w.serve("example.org", gated(gate, text(enforce)))
		c := w.client()
		rows := make(chan sts.Row, 50)
		for range cap(rows) {
			go func() { rows <- c.Lookup(ctx, domain).Row }()
		}
		synctest.Wait()
		close(gate)
		for range cap(rows) {
			if row := <-rows; row != sts.S3 {
				t.Errorf("row %s", row)
			}
		}
		if w.fetches() != 1 {
			t.Errorf("%d fetches", w.fetches())
		}
	})
	run("a store that cannot say", func(t *testing.T, w *world) {
		w.domain("example.org", "one", enforce)
		cfg := w.cfg
		cfg.Store = &brokenStore{}
		c, err := sts.NewClient(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Close says nothing of what was never written: %v", err)
			}
		}()
		// What can be fetched applies, though it cannot be kept.
		r := c.Lookup(ctx, domain)
		check(t, r, sts.S3, sts.ModeEnforce, false)
		if !errors.Is(r.StoreErr, store.ErrUnavailable) {
			t.Errorf("store error %v", r.StoreErr)
		}
		// It goes on being served from memory.
		check(t, c.Lookup(ctx, domain), sts.S5, sts.ModeEnforce, true)
		// Of a domain that is not known, absence is not known either.
		r = c.Lookup(ctx, host("other.example"))
		if r.Row != sts.S2 || r.Policy != nil || !errors.Is(r.StoreErr, store.ErrUnavailable) || !errors.Is(r.TXTErr, sts.ErrNoRecord) {
			t.Errorf("row %s, store %v, txt %v", r.Row, r.StoreErr, r.TXTErr)
		}
		w.domain("third.example", "one", enforce)
		w.serve("third.example", status(500))
		r = c.Lookup(ctx, host("third.example"))
		if r.Row != sts.S2 || r.Policy != nil || !errors.Is(r.FetchErr, sts.ErrFetchStatus) {
			t.Errorf("row %s, fetch %v", r.Row, r.FetchErr)
		}
	})
}
