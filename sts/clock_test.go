package sts_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
)

// TestFutureFetch: a policy that was fetched under a clock that was ahead is kept for its
// max_age from when that is seen, and not until the time of that clock. A clock that is
// behind takes no policy its life.
func TestFutureFetch(t *testing.T) {
	for name, c := range map[string]struct {
		ahead   time.Duration
		records []string // of the domain
		seen    bool     // it is corrected
	}{
		"same id":          {365 * 24 * time.Hour, []string{"v=STSv1; id=id1;"}, true},
		"no record":        {365 * 24 * time.Hour, nil, true},
		"new id":           {30 * 24 * time.Hour, []string{"v=STSv1; id=id2;"}, true},
		"DNS says nothing": {365 * 24 * time.Hour, []string{""}, false},
		"the bound":        {10 * time.Minute, []string{"v=STSv1; id=id1;"}, false},
		"above the bound":  {10*time.Minute + 1, []string{"v=STSv1; id=id1;"}, true},
		"a fleet":          {5 * time.Minute, []string{"v=STSv1; id=id1;"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				st := newMemory(t)
				now := time.Now()
				ahead := sts.NewCache(st, func() time.Time { return now.Add(c.ahead) }, nil)
				line := importedLine(t, "a.example", "id1", "enforce", now.Add(c.ahead))
				if n, err := ahead.Import(t.Context(), strings.NewReader(line), "test"); err != nil || n.Stored != 1 {
					t.Fatal(n, err)
				}
				w.domain("a.example", "id1", policy("enforce", 604800, "mx.a.example"))
				w.serve("a.example", status(500))
				switch {
				case len(c.records) == 0:
					w.dns.Remove("_mta-sts.a.example", dnssec.TypeTXT)
				case c.records[0] == "":
					w.dns.Fail("_mta-sts.a.example", dnssec.TypeTXT, dnssec.ErrServFail)
				default:
					w.record("a.example", c.records...)
				}
				cl := w.client(func(cfg *sts.Config) { cfg.Store = st })
				ends := now.Add(c.ahead + week)
				if c.seen {
					ends = now.Add(week)
				}
				for range 3 {
					if r := cl.Lookup(t.Context(), host("a.example")); r.Policy == nil || !r.Cached || !r.Expires.Equal(ends) {
						t.Fatalf("row %s, policy %v, expires %s, want %s", r.Row, r.Policy, r.Expires, ends)
					}
					time.Sleep(time.Hour)
				}
				cl.Refresh(t.Context()) // it fails, and prolongs nothing
				if r, ok := cl.Cached(t.Context(), host("a.example")); !ok || !r.Expires.Equal(ends) {
					t.Errorf("expires %s, want %s", r.Expires, ends)
				}
				time.Sleep(time.Until(ends))
				if r, ok := cl.Cached(t.Context(), host("a.example")); ok {
					t.Errorf("it is still kept: %s", r.Expires)
				}
			})
		})
	}
}

// TestFutureAttempt: a refresh that failed under a clock that was ahead does not put the
// next one off.
func TestFutureAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		st := newMemory(t)
		w.domain("a.example", "id1", policy("enforce", 31557600, "mx.a.example"))
		cl := w.client(func(cfg *sts.Config) { cfg.Store = st })
		if r := cl.Lookup(t.Context(), host("a.example")); r.Row != sts.S3 {
			t.Fatal(r.FetchErr)
		}
		w.serve("a.example", status(500))
		var ahead time.Duration = 100 * 24 * time.Hour
		wrong := w.client(func(cfg *sts.Config) {
			cfg.Store = st
			cfg.Now = func() time.Time { return time.Now().Add(ahead) }
		})
		wrong.Refresh(t.Context())
		if i, ok, err := cl.Cache().Show(t.Context(), host("a.example")); err != nil || !ok || i.Failures != 1 || !i.Tried.After(time.Now()) {
			t.Fatalf("%+v %v", i, err)
		}
		time.Sleep(time.Hour)
		w.serve("a.example", text(policy("enforce", 31557600, "mx.a.example")))
		cl.Refresh(t.Context())
		if i, ok, err := cl.Cache().Show(t.Context(), host("a.example")); err != nil || !ok || i.Failures != 0 || !i.Fetched.Equal(time.Now()) {
			t.Errorf("not refreshed: %+v %v", i, err)
		}
	})
}
