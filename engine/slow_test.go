package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/sts"
)

// signedUntil says when the signatures of an answer end.
type signedUntil struct {
	dnssec.Resolver
	typ dnssec.Type
	end time.Time
}

func (r *signedUntil) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a, err := r.Resolver.Resolve(ctx, q)
	if q.Type == r.typ {
		a.SignaturesEnd = r.end
	}
	return a, err
}

// TestSlowPlan: a plan that waited for a policy host over short TTLs can be used, and rests
// on nothing that a new question would not have shown.
func TestSlowPlan(t *testing.T) {
	const slow = 8 * time.Second // how long the policy host takes
	zone := func(w *world, ttl string) {
		w.dns.AddAs(dnssec.Insecure, "example.org. "+ttl+" IN MX 10 mx.example.org.")
		w.dns.Add("mx.example.org. " + ttl + " IN A 192.0.2.1")
	}
	fresh := func(w *world) sts.Result {
		r := policy(w.t, "example.org", "enforce", "mx.example.org")
		r.Fetched, r.Expires, r.Until = time.Now().Add(slow), time.Now().Add(24*time.Hour), time.Now().Add(5*time.Second)
		r.Answer.Expires = time.Now().Add(5 * time.Second)
		return r
	}
	for name, c := range map[string]struct {
		setup     func(w *world)
		ttl       string
		valid     time.Duration // from when the plan is complete
		questions int           // for the MX records
		lookups   int           // of MTA-STS
	}{
		"short TTLs are asked for again": {ttl: "5", valid: time.Minute, questions: 2, lookups: 1},
		"long ones are not":              {ttl: "3600", valid: time.Minute, questions: 1, lookups: 1},
		"TTL 0":                          {ttl: "0", valid: time.Minute, questions: 2, lookups: 1},
		"a signature ends before the minute": {ttl: "3600", valid: 20 * time.Second, questions: 1, lookups: 1, setup: func(w *world) {
			w.cfg.Resolver = &signedUntil{w.dns, dnssec.TypeA, time.Now().Add(slow + 20*time.Second)}
		}},
		"the signature of the MX records does": {ttl: "5", valid: 20 * time.Second, questions: 2, lookups: 1, setup: func(w *world) {
			w.cfg.Resolver = &signedUntil{w.dns, dnssec.TypeMX, time.Now().Add(slow + 20*time.Second)}
		}},
		"a kept policy ends before the minute": {ttl: "3600", valid: 30 * time.Second, questions: 1, lookups: 1, setup: func(w *world) {
			r := fresh(w)
			r.Row, r.Cached, r.Expires, r.Answer.Expires = sts.S5, true, time.Now().Add(slow+30*time.Second), time.Now().Add(time.Hour)
			w.sts.results["example.org"] = r
		}},
		"a kept policy has ended": {ttl: "3600", valid: 0, questions: 2, lookups: 2, setup: func(w *world) {
			r := fresh(w)
			r.Row, r.Cached, r.Expires = sts.S5, true, time.Now().Add(slow)
			w.sts.results["example.org"] = r
		}},
		"a fetched policy of no lasting": {ttl: "3600", valid: time.Minute, questions: 1, lookups: 1, setup: func(w *world) {
			r := fresh(w)
			r.Expires = time.Now().Add(slow)
			w.sts.results["example.org"] = r
		}},
		"a policy host that hangs is waited for once": {ttl: "5", valid: time.Minute, questions: 2, lookups: 1, setup: func(w *world) {
			w.sts.results["example.org"] = sts.Result{Row: sts.S13, Pending: true, FetchErr: &sts.FetchError{Kind: sts.ErrPending}, Until: time.Now().Add(slow)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.dns.SetClock(time.Now)
				w.cfg.Now = time.Now
				zone(w, c.ttl)
				w.sts.results["example.org"] = fresh(w)
				if c.setup != nil {
					c.setup(w)
				}
				w.sts.hold = make(chan struct{})
				time.AfterFunc(slow, func() { close(w.sts.hold) })
				start := time.Now()
				p := w.plan(engine.Request{})
				done := time.Now()
				if took := done.Sub(start); took != slow {
					t.Errorf("took %v", took)
				}
				if v := p.ValidUntil.Sub(done); v != c.valid {
					t.Errorf("holds for %v, want %v", v, c.valid)
				}
				n := 0
				for _, q := range w.dns.Asked() {
					if q.Type == dnssec.TypeMX {
						n++
					}
				}
				if n != c.questions || len(w.sts.asked) != c.lookups {
					t.Errorf("%d questions and %d lookups, want %d and %d", n, len(w.sts.asked), c.questions, c.lookups)
				}
				if c.valid < time.Minute {
					return
				}
				time.Sleep(50 * time.Second)
				if d := w.engine().Decide(p, 0, shows(w.good), time.Now()); d.Reason.ID == engine.ReasonPlanExpired {
					t.Errorf("%s", explain.Text(d.Reason))
				}
				// What it rests on ends when it ends: the next message has a new plan.
				if q := w.plan(engine.Request{}); q == p {
					t.Error("the plan is kept beyond the ends of TTLs")
				}
			})
		})
	}
	t.Run("what has changed meanwhile counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.dns.SetClock(time.Now)
			w.cfg.Now = time.Now
			zone(w, "5")
			w.dns.Add("mx2.example.org. 5 IN A 192.0.2.2")
			w.sts.results["example.org"] = fresh(w)
			w.sts.hold = make(chan struct{})
			time.AfterFunc(slow, func() {
				w.dns.Remove("example.org", dnssec.TypeMX)
				w.dns.AddAs(dnssec.Insecure, "example.org. 5 IN MX 10 mx2.example.org.")
				close(w.sts.hold)
			})
			if p := w.plan(engine.Request{}); hostNames(p) != "mx2.example.org" || p.Hosts[0].Skipped != engine.Refused {
				t.Errorf("%s: %s", hostNames(p), p.Hosts[0].Skipped)
			}
		})
	})
}
