package dnssec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// resolveFor resolves a question that a share pays for.
func resolveFor(t testing.TB, r dnssec.Resolver, s *dnssec.Share, q string) (dnssec.Answer, error) {
	t.Helper()
	n, typ, _ := strings.Cut(q, " ")
	return r.Resolve(s.With(t.Context()), question(t, n, dnssec.Type(dns.StringToType[typ])))
}

// spentBy returns the BudgetError in err; it fails the test if there is none.
func spentBy(t testing.TB, err error) *dnssec.BudgetError {
	t.Helper()
	var spent *dnssec.BudgetError
	if !errors.Is(err, dnssec.ErrBudget) || !errors.As(err, &spent) {
		t.Fatalf("not out of budget: %v", err)
	}
	return spent
}

// TestShareRunsOut: what a share cannot pay for is not done, and is known by its error.
func TestShareRunsOut(t *testing.T) {
	const denied = "nowhere.hashed.test. A"
	for _, tt := range []struct {
		what  dnssec.Resource
		q     string
		limit int // of the plan; a share has a quarter
	}{
		{dnssec.Questions, tlsa, 3 * 4},
		{dnssec.Sends, tlsa, 6 * 4},
		{dnssec.Bytes, tlsa, 4000 * 4},
		{dnssec.SignatureCost, tlsa, 300 * 4},
		{dnssec.Digests, tlsa, 2 * 4},
		{dnssec.HashRounds, denied, 2 * 4},
	} {
		t.Run(tt.what.String(), func(t *testing.T) {
			tr := newTree(t)
			v := tr.validator()
			l := dnssec.Limits{}
			l.Amounts[tt.what] = tt.limit
			b := dnssec.NewBudget("example.test", l)
			s := b.Share("mx.example.test")
			a, err := resolveFor(t, v, s, tt.q)
			if outcome(a, err) != "indeterminate budget-spent" {
				t.Fatalf("%s: %v", outcome(a, err), err)
			}
			spent := spentBy(t, err)
			if spent.What != tt.what || spent.Whole || !strings.Contains(a.Reason.Text, "mx.example.test") || !strings.Contains(a.Reason.Text, "example.test") {
				t.Errorf("%+v: %s", spent, a.Reason.Text)
			}
			if got := s.Spent()[tt.what]; got > tt.limit/4 || got == 0 || b.Spent()[tt.what] != got {
				t.Errorf("spent %v of %d, the plan %v", got, tt.limit/4, b.Spent())
			}
			if tt.what == dnssec.Questions && len(tr.asked) != 3 {
				t.Errorf("asked %q", tr.asked)
			}
			// Nothing that the share could still pay for is begun.
			tr.asked = nil
			if _, err := resolveFor(t, v, s, "mx.unsigned.test. A"); spentBy(t, err).What != tt.what || len(tr.asked) != 0 {
				t.Errorf("%v, asked %q", err, tr.asked)
			}
			// What was proved is kept: the next share starts from there.
			if tt.what == dnssec.SignatureCost || tt.what == dnssec.Digests {
				if a, err = resolveFor(t, v, b.Share("other"), tt.q); err != nil {
					t.Errorf("another share: %s: %v", outcome(a, err), err)
				}
			}
			// It is nothing to the question of another plan, and one without any.
			if a, err := resolveFor(t, v, dnssec.NewBudget("other", dnssec.Limits{}).Share("other"), tt.q); err != nil {
				t.Errorf("another plan: %s: %v", outcome(a, err), err)
			}
			if a, err := resolve(t, v, tt.q); err != nil {
				t.Errorf("no plan: %s: %v", outcome(a, err), err)
			}
		})
	}
}

// TestPlanRunsOut: four shares are all there is.
func TestPlanRunsOut(t *testing.T) {
	tr := newTree(t)
	v := tr.validator()
	b := dnssec.NewBudget("example.test", dnssec.Limits{Amounts: dnssec.Amounts{dnssec.Questions: 8}})
	for i := range 4 {
		if _, err := resolveFor(t, v, b.Share(fmt.Sprint("h", i)), fmt.Sprintf("mx%d.hashed.test. A", i)); spentBy(t, err).Whole {
			t.Errorf("share %d: %v", i, err)
		}
		tr.asked = nil
	}
	_, err := resolveFor(t, v, b.Share("h4"), "mx.example.test. A")
	if spent := spentBy(t, err); !spent.Whole || len(tr.asked) != 0 || b.Spent()[dnssec.Questions] != 8 {
		t.Errorf("%v, asked %q, spent %v", err, tr.asked, b.Spent())
	}
	if !strings.Contains(err.Error(), "all 8 DNS questions") {
		t.Error(err)
	}
}

// TestBudgetTime: the work of a plan ends with its time; what was found before is kept.
func TestBudgetTime(t *testing.T) {
	for _, what := range []string{"validator", "cache"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTree(t)
				var r dnssec.Resolver = tr.validator(func(c *dnssec.ValidatorConfig) { c.ExchangeTimeout = time.Hour })
				if what == "cache" {
					c := dnssec.NewCached(r, dnssec.CacheConfig{LookupTimeout: time.Hour, Now: func() time.Time { return testTime }})
					defer c.Close()
					r = c
				}
				tr.delay = func(ctx context.Context, q dns.Question) {
					if q.Name == "mx.example.test." {
						<-ctx.Done()
					}
				}
				b := dnssec.NewBudget("example.test", dnssec.Limits{Time: 7 * time.Second})
				begin := time.Now()
				if a, err := resolveFor(t, r, b.Share("h0"), "mx.hashed.test. A"); err != nil {
					t.Error(outcome(a, err))
				}
				_, err := resolveFor(t, r, b.Share("h1"), "mx.example.test. A")
				if spent := spentBy(t, err); spent.What != dnssec.Time || time.Since(begin) != 7*time.Second || !strings.Contains(err.Error(), "longer than 7s") {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
				if _, err := resolveFor(t, r, b.Share("h2"), "target.hashed.test. A"); spentBy(t, err).What != dnssec.Time {
					t.Error(err)
				}
				// It is nothing that is remembered of the name.
				tr.delay = nil
				if a, err := resolve(t, r, "mx.example.test. A"); err != nil {
					t.Errorf("%s: %v", outcome(a, err), err)
				}
			})
		})
	}
}

// TestZoneIsProvedOnceAPlan: the questions of a plan that need a zone at the same time share
// the proof of it, also one that fails; what it costs is paid once.
func TestZoneIsProvedOnceAPlan(t *testing.T) {
	for _, tt := range []struct {
		what    string
		edit    func(z *testZone)
		want    string
		digests int // for the root, test. and example.test.
	}{
		{"an honest zone", func(*testZone) {}, "secure data", 3},
		{"a bogus zone", func(z *testZone) { z.keys[0].sign = "data" }, "bogus signature-missing", 3 + 1}, // asked for twice
		{"a zone that costs too much", func(z *testZone) {
			real := z.keys[0].ToDS(dns.SHA256)
			for i := range 20 {
				junk := *real
				junk.Digest = fmt.Sprintf("%064x", i)
				z.ds = append(z.ds, &junk)
			}
		}, "indeterminate budget-exceeded", 2 + 9},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTree(t)
				tt.edit(tr.zones["example.test."])
				v := tr.validator()
				b := dnssec.NewBudget("example.test", dnssec.Limits{})
				var wg sync.WaitGroup
				for i, q := range []string{"mx.example.test. A", "mx.example.test. AAAA", tlsa, "example.test. MX"} {
					s := b.Share(fmt.Sprint(i))
					wg.Go(func() {
						if a, err := resolveFor(t, v, s, q); outcome(a, err) != tt.want {
							t.Errorf("%s: %s: %v", q, outcome(a, err), err)
						}
					})
				}
				wg.Wait()
				if got := b.Spent()[dnssec.Digests]; got != tt.digests {
					t.Errorf("%d digests, want %d", got, tt.digests)
				}
			})
		})
	}
}

// TestFailedZoneIsRemembered for a short time, by all.
func TestFailedZoneIsRemembered(t *testing.T) {
	tr := newTree(t)
	now := testTime
	v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Now = func() time.Time { return now } })
	tr.on("example.test. DNSKEY", func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
	for _, step := range []struct {
		after time.Duration
		asks  int // for the keys; what fails is asked for twice
	}{{0, 2}, {0, 2}, {4 * time.Second, 2}, {time.Second, 4}} {
		now = now.Add(step.after)
		if a, err := resolve(t, v, "mx.example.test. A"); outcome(a, err) != "bogus signature-missing" || tr.count("example.test. DNSKEY") != step.asks {
			t.Errorf("after %v: %s, keys asked for %d times", now.Sub(testTime), outcome(a, err), tr.count("example.test. DNSKEY"))
		}
	}
	tr.edit = nil
	now = now.Add(5 * time.Second)
	if a, err := resolve(t, v, "mx.example.test. A"); err != nil {
		t.Error(outcome(a, err))
	}
}

// TestCacheAndBudgets: what one plan cannot afford is no answer for another.
func TestCacheAndBudgets(t *testing.T) {
	setup := func(t *testing.T, open <-chan struct{}) (*tree, *dnssec.Cached) {
		tr := newTree(t)
		tr.delay = func(ctx context.Context, q dns.Question) {
			if q.Name == "mx.example.test." && open != nil {
				select {
				case <-open:
				case <-ctx.Done():
				}
			}
		}
		c := dnssec.NewCached(tr.validator(), dnssec.CacheConfig{Now: func() time.Time { return testTime }})
		t.Cleanup(func() { c.Close() })
		return tr, c
	}
	poor := func() *dnssec.Share {
		return dnssec.NewBudget("poor", dnssec.Limits{Amounts: dnssec.Amounts{dnssec.Questions: 2 * 4}}).Share("poor")
	}
	rich := func() *dnssec.Share { return dnssec.NewBudget("rich", dnssec.Limits{}).Share("rich") }
	const q = "mx.example.test. A"
	t.Run("it is not kept", func(t *testing.T) {
		_, c := setup(t, nil)
		if a, err := resolveFor(t, c, poor(), q); outcome(a, err) != "indeterminate budget-spent" {
			t.Error(outcome(a, err))
		}
		if a, err := resolveFor(t, c, rich(), q); err != nil {
			t.Error(outcome(a, err))
		}
	})
	for _, others := range []string{"plans", "no plan"} {
		t.Run("who waits with it tries by itself: "+others, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				open := make(chan struct{})
				_, c := setup(t, open)
				ask := func(s *dnssec.Share) <-chan string {
					out := make(chan string, 1)
					go func() {
						if s == nil {
							out <- outcome(resolve(t, c, q))
							return
						}
						out <- outcome(resolveFor(t, c, s, q))
					}()
					synctest.Wait()
					return out
				}
				first := ask(poor())
				second, third := rich(), rich()
				if others == "no plan" {
					second, third = nil, nil
				}
				b, d := ask(second), ask(third)
				close(open)
				if gotA, gotB, gotD := <-first, <-b, <-d; gotA != "indeterminate budget-spent" || gotB != "secure data" || gotD != "secure data" {
					t.Errorf("%s, %s, %s", gotA, gotB, gotD)
				}
				c.Close()
			})
		})
	}
	t.Run("no plan waits long for the turn of another plan", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			silent := make(chan struct{})
			tr, c := setup(t, nil)
			tr.delay = func(ctx context.Context, q dns.Question) {
				if strings.HasPrefix(q.Name, "silent") {
					select {
					case <-silent:
					case <-ctx.Done():
					}
				}
			}
			var wg sync.WaitGroup
			busy := dnssec.NewBudget("busy", dnssec.Limits{UnderWay: 2})
			for i := range 2 {
				wg.Go(func() { resolveFor(t, c, busy.Share("a"), fmt.Sprintf("silent%d.test. A", i)) })
			}
			synctest.Wait()
			wg.Go(func() { resolveFor(t, c, busy.Share("b"), q) }) // has no turn
			synctest.Wait()
			begin := time.Now()
			a, err := resolveFor(t, c, rich(), q)
			if took := time.Since(begin); err != nil || took > time.Second {
				t.Errorf("%s after %v", outcome(a, err), took)
			}
			close(silent)
			wg.Wait()
			c.Close()
		})
	})
}

// TestTurns: the questions under way are bounded, for all plans, for each plan and for each
// share; whose plan has fewest under way is next.
func TestTurns(t *testing.T) {
	type world struct {
		*tree
		mu       sync.Mutex
		underWay map[string]int
		most     int
		open     chan struct{}
	}
	setup := func(t *testing.T) *world {
		w := &world{tree: newTree(t), underWay: map[string]int{}, open: make(chan struct{})}
		w.delay = func(ctx context.Context, q dns.Question) {
			label, _, _ := strings.Cut(q.Name, "-")
			w.mu.Lock()
			w.underWay[label]++
			sum := 0
			for _, n := range w.underWay {
				sum += n
			}
			w.most = max(w.most, sum)
			w.mu.Unlock()
			if label == "silent" {
				select {
				case <-w.open:
				case <-ctx.Done():
				}
			}
			w.mu.Lock()
			w.underWay[label]--
			w.mu.Unlock()
		}
		return w
	}
	for _, tt := range []struct {
		what                  string
		process, plan, shares int
		want                  int // silent questions under way
	}{
		{"the process, of which a plan leaves half", 10, 64, 5, 5},
		{"a plan", 100, 12, 5, 12},
		{"a share", 100, 12, 1, 3},
		{"a share has one at least", 100, 2, 1, 1},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := setup(t)
				v := w.validator(func(c *dnssec.ValidatorConfig) { c.UnderWay = tt.process })
				b := dnssec.NewBudget("silent.test", dnssec.Limits{UnderWay: tt.plan})
				var wg sync.WaitGroup
				for i := range tt.shares {
					s := b.Share(fmt.Sprint(i))
					for j := range 20 {
						wg.Go(func() { resolveFor(t, v, s, fmt.Sprintf("silent-%d-%d.test. A", i, j)) })
					}
				}
				synctest.Wait()
				if w.underWay["silent"] != tt.want || w.most != tt.want {
					t.Errorf("%d under way, %d at most, want %d", w.underWay["silent"], w.most, tt.want)
				}
				close(w.open)
				wg.Wait()
				if w.most > tt.process {
					t.Errorf("%d at most", w.most)
				}
			})
		})
	}
	t.Run("of a plan, the share that has asked least is next, the first of several", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex // guards order
			var order []string
			w := setup(t)
			wait := w.delay
			w.delay = func(ctx context.Context, q dns.Question) {
				if label, _, isOurs := strings.Cut(q.Name, "-"); isOurs && q.Qtype == dns.TypeA {
					mu.Lock()
					order = append(order, label)
					mu.Unlock()
				}
				wait(ctx, q)
			}
			v := w.validator()
			b := dnssec.NewBudget("b", dnssec.Limits{UnderWay: 1})
			var wg sync.WaitGroup
			wg.Go(func() { resolveFor(t, v, b.Share("silent"), "silent-0.test. A") })
			synctest.Wait()
			for _, name := range []string{"costly", "cheap", "same"} {
				s := b.Share(name)
				if name == "costly" {
					s.Spend(dnssec.Questions, 5)
				}
				wg.Go(func() { resolveFor(t, v, s, name+"-0.test. A") })
				synctest.Wait()
			}
			close(w.open)
			wg.Wait()
			if got := strings.Join(order, " "); got != "silent cheap same costly" {
				t.Errorf("asked in the order %s", got)
			}
		})
	})
	t.Run("a plan that begins finds turns", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := setup(t)
			v := w.validator(func(c *dnssec.ValidatorConfig) { c.UnderWay = 20; c.ExchangeTimeout = 10 * time.Second })
			var wg sync.WaitGroup
			for p := range 3 { // silent ones, with 60 questions each
				b := dnssec.NewBudget(fmt.Sprint("silent", p), dnssec.Limits{})
				for i := range 60 {
					wg.Go(func() { resolveFor(t, v, b.Share(fmt.Sprint(i)), fmt.Sprintf("silent-%d-%d.test. A", p, i)) })
				}
			}
			synctest.Wait()
			begin := time.Now()
			a, err := resolveFor(t, v, dnssec.NewBudget("honest", dnssec.Limits{}).Share("honest"), tlsa)
			if took := time.Since(begin); err != nil || took > 0 {
				t.Errorf("%s after %v", outcome(a, err), took)
			}
			close(w.open)
			wg.Wait()
		})
	})
	t.Run("who leaves takes no turn and pays nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := setup(t)
			v := w.validator(func(c *dnssec.ValidatorConfig) { c.UnderWay = 1 })
			b := dnssec.NewBudget("b", dnssec.Limits{})
			var wg sync.WaitGroup
			wg.Go(func() { resolveFor(t, v, b.Share("silent"), "silent-0.test. A") })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s := b.Share("left")
			_, err := v.Resolve(s.With(ctx), question(t, "mx.example.test.", dnssec.TypeA))
			if !errors.Is(err, dnssec.ErrTimeout) || errors.Is(err, dnssec.ErrBudget) || s.Spent() != (dnssec.Amounts{}) {
				t.Errorf("%v, spent %v", err, s.Spent())
			}
			close(w.open)
			wg.Wait()
			if a, err := resolve(t, v, "mx.example.test. A"); err != nil {
				t.Error(outcome(a, err))
			}
		})
	})
}

// TestScarceQuestions: when half of the questions are spent, the first eight shares go on and
// the others wait until those are finished, but for what the first ones wait for themselves.
func TestScarceQuestions(t *testing.T) {
	// half has a budget of which half is spent, by shares that are finished.
	half := func(t *testing.T) (b *dnssec.Budget, spend func(n int)) {
		b = dnssec.NewBudget("example.test", dnssec.Limits{Amounts: dnssec.Amounts{dnssec.Questions: 400}})
		return b, func(n int) {
			s := b.Share("spent")
			_, done := s.Context(t.Context())
			defer done()
			if err := s.Spend(dnssec.Questions, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("in order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tr := newTree(t)
			v := tr.validator()
			b, spend := half(t)
			spend(100)
			spend(100)
			var wg sync.WaitGroup
			var dones []func()
			var mu sync.Mutex
			answered := map[int]bool{}
			for i := range 10 {
				s := b.Share(fmt.Sprint(i))
				ctx, done := s.Context(t.Context())
				dones = append(dones, done)
				wg.Go(func() {
					if _, err := v.Resolve(ctx, question(t, fmt.Sprintf("mx%d.hashed.test.", i), dnssec.TypeA)); err == nil {
						mu.Lock()
						answered[i] = true
						mu.Unlock()
					}
				})
			}
			synctest.Wait()
			if len(answered) != 8 || answered[8] || answered[9] {
				t.Errorf("answered: %v", answered)
			}
			dones[3]()
			synctest.Wait()
			if len(answered) != 9 || !answered[8] {
				t.Errorf("answered after one is finished: %v", answered)
			}
			for _, done := range dones {
				done()
			}
			wg.Wait()
		})
	})
	t.Run("the first wait for one of the last", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tr := newTree(t)
			open := make(chan struct{})
			tr.delay = func(_ context.Context, q dns.Question) {
				if q.Name == "example.test." && q.Qtype == dns.TypeDS {
					<-open
				}
			}
			v := tr.validator()
			b, spend := half(t)
			spend(60) // so that the zones above are not asked about ahead
			var all []*dnssec.Share
			for i := range 10 {
				all = append(all, b.Share(fmt.Sprint(i)))
			}
			var wg sync.WaitGroup
			ask := func(s *dnssec.Share, q string) {
				wg.Go(func() {
					if a, err := resolveFor(t, v, s, q); err != nil {
						t.Errorf("%s: %s: %v", q, outcome(a, err), err)
					}
				})
				synctest.Wait()
			}
			begin := time.Now()
			ask(all[9], "mx.example.test. A") // proves the zone, for which it has more to ask
			ask(all[0], "mx.example.test. AAAA")
			spend(70)
			spend(70)
			close(open)
			wg.Wait()
			if took := time.Since(begin); took != 0 {
				t.Errorf("after %v", took)
			}
		})
	})
}

// TestUnreadableReplies: a message that cannot be read costs as much as one that can.
func TestUnreadableReplies(t *testing.T) {
	broken := upstreamFunc(func(_ context.Context, query []byte) (dnssec.Response, error) {
		return dnssec.Response{Message: append(append([]byte{query[0], query[1], 0x80, 0, 0, 1, 0, 9}, query[8:]...), bytes.Repeat([]byte{255}, 10_000)...), Server: "broken"}, nil
	})
	v := newTree(t).validator(func(c *dnssec.ValidatorConfig) { c.Upstream = broken })
	stub, err := dnssec.NewStub(dnssec.StubConfig{Upstream: broken, TrustPath: true})
	if err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]dnssec.Resolver{"validator": v, "stub": stub} {
		s := dnssec.NewBudget("example.test", dnssec.Limits{Amounts: dnssec.Amounts{dnssec.Bytes: 4 * 100_000}}).Share("mx")
		var got []string
		for i := range 4 {
			a, err := resolveFor(t, r, s, fmt.Sprintf("n%d.test. A", i))
			got = append(got, outcome(a, err))
		}
		if want := "[indeterminate malformed indeterminate malformed indeterminate budget-spent indeterminate budget-spent]"; fmt.Sprint(got) != want {
			t.Errorf("%s: %s", what, got)
		}
	}
}

// TestNothingIsLeft: what questions take of the turns and the memory they give back, whatever
// becomes of them.
func TestNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTree(t)
		v := tr.validator(func(c *dnssec.ValidatorConfig) { c.ExchangeTimeout = 5 * time.Second })
		tr.delay = func(ctx context.Context, q dns.Question) {
			switch {
			case strings.HasPrefix(q.Name, "silent"):
				<-ctx.Done()
			case q.Qtype == dns.TypeDS:
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
		}
		var wg sync.WaitGroup
		for p := range 6 {
			l := dnssec.Limits{Time: time.Duration(p) * time.Second, UnderWay: 1 + 4*p}
			l.Amounts[dnssec.Questions] = 8 + 40*p
			l.Amounts[dnssec.Bytes] = 40_000 * (p + 1)
			b := dnssec.NewBudget(fmt.Sprint(p), l)
			for i, q := range []string{"silent.test. A", "mx.example.test. A", tlsa, "nowhere.hashed.test. A", "mx.unsigned.test. MX", "silent2.test. A"} {
				ctx, done := b.Share(fmt.Sprint(i)).Context(t.Context())
				if i == p {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 1500*time.Millisecond)
					defer cancel()
				}
				name, typ, _ := strings.Cut(q, " ")
				wg.Go(func() {
					defer done()
					v.Resolve(ctx, question(t, name, dnssec.Type(dns.StringToType[typ])))
				})
			}
		}
		wg.Wait()
		if free, held, plans := v.Turns(); free != dnssec.DefaultUnderWay || held != 0 || plans != 0 {
			t.Errorf("%d turns are free of %d, %d bytes held, %d plans", free, dnssec.DefaultUnderWay, held, plans)
		}
	})
}

// TestHeldMemory: when all plans together hold what they may, one that holds little goes on.
func TestHeldMemory(t *testing.T) {
	v := newTree(t).validator()
	big := dnssec.NewBudget("big", dnssec.Limits{Amounts: dnssec.Amounts{dnssec.Bytes: 16 * dnssec.MaxHeld}}).Share("big")
	if err := v.Hold(big, dnssec.MaxHeld); err != nil {
		t.Fatal(err)
	}
	if spent := spentBy(t, v.Hold(big, 1)); spent.What != dnssec.Memory {
		t.Error(spent)
	}
	small := dnssec.NewBudget("small", dnssec.Limits{}).Share("small")
	if err := v.Hold(small, dnssec.HeldFloor); err != nil {
		t.Error(err)
	}
	if spent := spentBy(t, v.Hold(small, 1)); spent.What != dnssec.Memory || !strings.Contains(spent.Error(), "memory") {
		t.Error(spent)
	}
	v.Let(big, dnssec.MaxHeld)
	if err := v.Hold(small, 1); err != nil { // it was no spending that failed
		t.Error(err)
	}
	v.Let(small, dnssec.HeldFloor+1)
	if _, held, plans := v.Turns(); held != 0 || plans != 0 {
		t.Errorf("%d bytes held by %d plans", held, plans)
	}
}

// TestStubBudget: a stub's questions are paid for like a validator's.
func TestStubBudget(t *testing.T) {
	tr := newTree(t)
	s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: tr, TrustPath: true, Now: func() time.Time { return testTime }})
	if err != nil {
		t.Fatal(err)
	}
	b := dnssec.NewBudget("example.test", dnssec.Limits{Amounts: dnssec.Amounts{dnssec.Questions: 4}})
	share := b.Share("mx")
	if a, err := resolveFor(t, s, share, "mx.example.test. A"); err != nil || share.Spent()[dnssec.Bytes] == 0 {
		t.Errorf("%s, spent %v", outcome(a, err), share.Spent())
	}
	if a, err := resolveFor(t, s, share, "target.example.test. A"); outcome(a, err) != "indeterminate budget-spent" || len(tr.asked) != 1 {
		t.Errorf("%s, asked %q", outcome(a, err), tr.asked)
	}
	b = dnssec.NewBudget("example.test", dnssec.Limits{Amounts: dnssec.Amounts{dnssec.Bytes: 400}})
	if _, err := resolveFor(t, s, b.Share("mx"), "mx.example.test. A"); spentBy(t, err).What != dnssec.Bytes {
		t.Error(err)
	}
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tr := newTree(t)
			tr.delay = func(ctx context.Context, _ dns.Question) { <-ctx.Done() }
			s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: tr, TrustPath: true})
			if err != nil {
				t.Fatal(err)
			}
			b := dnssec.NewBudget("example.test", dnssec.Limits{Time: time.Second})
			if _, err := resolveFor(t, s, b.Share("mx"), "mx.example.test. A"); spentBy(t, err).What != dnssec.Time {
				t.Error(err)
			}
		})
	})
}
