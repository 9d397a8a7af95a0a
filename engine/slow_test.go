package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/rfc6125"
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

// shortLived is a resolver all of whose answers end after five seconds.
type shortLived struct{}

func (shortLived) ProtectedPath() bool { return true }

func (shortLived) Exchange(_ context.Context, query []byte) (dnssec.Response, error) {
	q := new(dns.Msg)
	if err := q.Unpack(query); err != nil {
		return dnssec.Response{}, err
	}
	var m *dns.Msg
	switch q.Question[0].Qtype {
	case dns.TypeMX:
		m = dnsfake.Answer(q, "example.org. 5 IN MX 10 mx.example.org.")
	case dns.TypeA:
		m = dnsfake.Answer(q, "mx.example.org. 5 IN A 192.0.2.1")
	default:
		m = dnsfake.Rcode(q, dns.RcodeSuccess, "example.org. 5 IN SOA ns.example.org. host.example.org. 1 2 3 4 5")
	}
	b, err := m.Pack()
	return dnssec.Response{Message: b, Server: "short"}, err
}

// TestSlowPlanIsPaidOnce: a plan that is made a second time, because answers ended
// meanwhile, may spend what the first time has left, but has all the time again.
func TestSlowPlanIsPaidOnce(t *testing.T) {
	const most = 40
	plan := func(t *testing.T, questions int) (spent []dnssec.Amounts, limits []dnssec.Limits, p *engine.Plan) {
		synctest.Test(t, func(t *testing.T) {
			stub, err := dnssec.NewStub(dnssec.StubConfig{Upstream: shortLived{}})
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			w.cfg.Resolver, w.cfg.Now = stub, time.Now
			w.cfg.DNSLimits = dnssec.Limits{Time: 6 * time.Second}
			w.cfg.DNSLimits.Amounts[dnssec.Questions] = questions
			w.cfg.Trace = &engine.Trace{Spent: func(_ rfc6125.Host, s dnssec.Amounts, l dnssec.Limits) {
				spent, limits = append(spent, s), append(limits, l)
			}}
			w.sts.results["example.org"] = policy(t, "example.org", "enforce", "mx.example.org")
			w.sts.hold = make(chan struct{})
			time.AfterFunc(8*time.Second, func() { close(w.sts.hold) })
			p = w.plan(engine.Request{})
		})
		return spent, limits, p
	}
	spent, limits, p := plan(t, most)
	if len(spent) != 2 || spent[0][dnssec.Questions] == 0 || len(p.Hosts) != 1 || p.Hosts[0].Requirement != engine.STS {
		t.Fatalf("spent %v: %+v", spent, p.Hosts)
	}
	if first, second := limits[0].Amounts[dnssec.Questions], limits[1].Amounts[dnssec.Questions]; first != most || second != most-spent[0][dnssec.Questions] {
		t.Errorf("%d and %d questions, of which the first time used %d", first, second, spent[0][dnssec.Questions])
	}
	if limits[1].Time != limits[0].Time {
		t.Errorf("the second time has %v", limits[1].Time)
	}
	// Used up by the first time, it is not the default that is left.
	used := spent[0][dnssec.Questions]
	if spent, limits, _ := plan(t, used); len(limits) > 1 && (limits[1].Amounts[dnssec.Questions] > 1 || spent[1][dnssec.Questions] > 1) {
		t.Errorf("%d questions for the second time", limits[1].Amounts[dnssec.Questions])
	} else if len(limits) == 0 {
		t.Error("nothing was asked")
	}
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
				if d := w.engine().Decide(p, 0, shows(w.good), time.Now()); d.Reason.ID == reason.PlanExpired {
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
