package engine_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/dnsfake/hostile"
	"github.com/mxauth/mxauth/rfc6125"
)

// A bench plans deliveries to the domains of a hostile world.
type bench struct {
	t     *testing.T
	world *hostile.World
	cache *dnssec.Cached

	mu    sync.Mutex // guards spent
	spent dnssec.Amounts
}

// fresh gives the bench a validator and a cache that know nothing.
func (b *bench) fresh() {
	v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: b.world, Anchors: b.world.Anchors()})
	if err != nil {
		b.t.Fatal(err)
	}
	if b.cache != nil {
		b.cache.Close()
	}
	b.cache = dnssec.NewCached(v, dnssec.CacheConfig{})
	b.world.Forget()
}

func (b *bench) plan(domain string) *engine.Plan {
	e, err := engine.New(engine.Config{Resolver: b.cache, CachedPlans: -1, Trace: &engine.Trace{
		Spent: func(_ rfc6125.Host, spent dnssec.Amounts, _ dnssec.Limits) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.spent = spent
		},
	}})
	if err != nil {
		b.t.Error(err)
	}
	p, err := e.Plan(b.t.Context(), engine.Request{NextHop: domain, Level: engine.LevelDANE, Sorted: true})
	if err != nil {
		b.t.Error(err)
	}
	return p
}

// A cost is what a plan costs this process.
type cost struct {
	cpu  time.Duration
	heap int64 // at most at any time, with what is not collected yet
}

// measure plans once more with all answers signed and packed before, so that what is
// measured is the plan and not the world.
func (b *bench) measure(domain string) (*engine.Plan, cost) {
	b.fresh()
	b.plan(domain)
	b.fresh()
	// The answers of the world are a heap of their own, which would put the next collection
	// off.
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	before, done, peak := heapNow(), make(chan bool), make(chan int64)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for most := before; ; {
			select {
			case <-tick.C:
				most = max(most, heapNow())
			case <-done:
				peak <- max(most, heapNow()) - before
				return
			}
		}
	}()
	begin := cpuTime()
	p := b.plan(domain)
	c := cost{cpu: cpuTime() - begin}
	close(done)
	c.heap = <-peak
	return p, c
}

func heapNow() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tally counts the hosts by what is known of them.
func tally(p *engine.Plan) string {
	n := map[string]int{}
	for i := range p.Hosts {
		h := &p.Hosts[i]
		word := h.Requirement.String()
		if h.Requirement == engine.Skip {
			word = h.Skipped.String() + " " + string(h.Reason.ID)
		}
		n[word]++
	}
	if len(p.Hosts) == 0 {
		return p.MX.Outcome.String() + " " + string(p.MX.Reason.ID)
	}
	return strings.Trim(fmt.Sprint(n), "map[]")
}

// share prints what was spent, in per cent of what may be.
func share(spent dnssec.Amounts) (out string, most int) {
	for r := range dnssec.Resource(len(spent)) {
		per := 100 * spent[r] / dnssec.NewBudget("", dnssec.Limits{}).Limits().Amounts[r]
		most = max(most, per)
		out += fmt.Sprintf("%s %d (%d%%) ", r, spent[r], per)
	}
	return out, most
}

// TestBudgetOfHostilePlans: what one hostile domain costs at most, whatever it does. The
// work is counted, since time is not the same twice; package main measures the program.
func TestBudgetOfHostilePlans(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		id        string
		domain    hostile.Domain
		want      string // "" for any
		signature int    // cost of all checks, in microseconds
		digests   int
		heap      int64
	}{
		{"A1 traps in every zone", hostile.Domain{Name: "a.test", Hosts: 64, Depth: 8, Trap: true, TrapAll: true}, "deferred out-of-budget", 2000, 10, 16 * mib},
		{"A1 traps in the zones of the hosts", hostile.Domain{Name: "a.test", Hosts: 64, Depth: 8, Trap: true}, "deferred out-of-budget:64", 50_000, 200, 64 * mib},
		{"A1 a trap for each host", hostile.Domain{Name: "a.test", Hosts: 64, Depth: 1, Trap: true}, "deferred out-of-budget:64", 50_000, 200, 64 * mib},
		{"A2 large answers, asked for ahead", hostile.Domain{Name: "a.test", Hosts: 64, Depth: 14, Fat: true}, "", 100_000, 500, 64 * mib},
		{"A3 a chain of zones for each host", hostile.Domain{Name: "a.test", Hosts: 64, Depth: 14}, "", 100_000, 500, 16 * mib},
		{"RSA with the exponent 2^31-1", hostile.Domain{Name: "a.test", Hosts: 8, Depth: 1, Keys: hostile.RSASlow}, "dane:8", 20_000, 100, 16 * mib},
		{"1,000 TLSA records at each host", hostile.Domain{Name: "a.test", Hosts: 64, Depth: 1, TLSA: 1000}, "", 100_000, 200, 96 * mib},
	} {
		t.Run(tt.id, func(t *testing.T) {
			b := &bench{t: t, world: hostile.New(t, tt.domain)}
			p, c := b.measure(tt.domain.Name)
			all, _ := b.world.Questions()
			got := tally(p)
			if tt.want != "" && got != tt.want {
				t.Errorf("hosts: %s, want %s", got, tt.want)
			}
			if all > 500 || b.spent[dnssec.SignatureCost] > tt.signature || b.spent[dnssec.Digests] > tt.digests || c.heap > tt.heap {
				t.Errorf("%d questions, signatures of %d, %d digests, %d MiB of heap", all, b.spent[dnssec.SignatureCost], b.spent[dnssec.Digests], c.heap/mib)
			}
			line, most := share(b.spent)
			if most > 100 {
				t.Errorf("more than there is: %s", line)
			}
			t.Logf("%s; %d questions, cpu %v, %d MiB of heap; spent: %s", got, all, c.cpu, c.heap/mib, line)
			for _, h := range p.Hosts {
				if h.Reason.ID == reason.Budget && !strings.Contains(explain.Text(h.Reason), "a.test") {
					t.Errorf("no name in %q", explain.Text(h.Reason))
				}
				if h.DANE.State == dane.None {
					t.Errorf("%s counts as a host without TLSA records", h.Name)
				}
			}
		})
	}
}

// TestBudgetOfHonestPlans says how far honest domains stay below the budget, so that a
// limit which is too low is seen here.
func TestBudgetOfHonestPlans(t *testing.T) {
	for _, tt := range []struct {
		what  string
		hosts int
		keys  hostile.KeyKind
		most  int // per cent of any resource
	}{
		{"30 hosts in 30 zones, ECDSA", 30, hostile.ECDSA, 50},
		{"30 hosts in 30 zones, RSA-4096", 30, hostile.RSA4096, 50},
		{"64 hosts in 64 zones, ECDSA", 64, hostile.ECDSA, 85},
	} {
		t.Run(tt.what, func(t *testing.T) {
			b := &bench{t: t, world: hostile.New(t, hostile.Domain{Name: "a.test", Hosts: tt.hosts, Depth: 1, Keys: tt.keys})}
			b.fresh()
			p := b.plan("a.test")
			line, most := share(b.spent)
			t.Logf("at most %d%%: %s", most, line)
			if got := tally(p); got != fmt.Sprintf("dane:%d", tt.hosts) || most > tt.most {
				t.Errorf("%s", got)
			}
		})
	}
}

// TestBudgetShares: hosts that cost all they can leave enough for the others, whatever
// they do.
func TestBudgetShares(t *testing.T) {
	for _, tt := range []struct {
		what   string
		domain hostile.Domain
		want   string
	}{
		{"traps", hostile.Domain{Trap: true, Depth: 4}, "dane:13 deferred out-of-budget:3"},
		{"large answers", hostile.Domain{Fat: true, Depth: 8}, "dane:13 deferred out-of-budget:3"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			d := tt.domain
			d.Name, d.Hosts, d.Bad = "a.test", 16, 3
			b := &bench{t: t, world: hostile.New(t, d)}
			b.fresh()
			p := b.plan("a.test")
			if got := tally(p); got != tt.want {
				line, _ := share(b.spent)
				t.Errorf("%s, want %s; spent %s", got, tt.want, line)
			}
			for i := range p.Hosts {
				h := &p.Hosts[i]
				if (h.Requirement == engine.Skip) != (i < d.Bad) {
					t.Errorf("%s: %s", h.Name, explain.Text(h.Reason))
				}
			}
		})
	}
}

// TestBudgetFinishesHosts: where the budget does not do for all hosts, it does for as many
// as it can, the first ones in the order of preference.
func TestBudgetFinishesHosts(t *testing.T) {
	b := &bench{t: t, world: hostile.New(t, hostile.Domain{Name: "a.test", Hosts: 64, Depth: 6})}
	b.fresh()
	p := b.plan("a.test")
	t.Log(tally(p))
	// Each host needs 15 questions. Half of the 500 go to all alike, the rest does for 20 hosts
	// that have asked three times already.
	done, first := 0, 0
	for i := range p.Hosts {
		if p.Hosts[i].Requirement == engine.DANE {
			done++
			if i < 16 {
				first++
			}
		}
	}
	if done < 12 || first < 10 {
		t.Errorf("%d hosts are finished, %d of the first 16", done, first)
	}
}

// TestPlanDeadline: silent servers hold a plan up for its time and no longer, and none of
// the hosts whose servers answer.
func TestPlanDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts, silent = 64, 40 // the silent ones are first in order
		b := &bench{t: t, world: hostile.New(t, hostile.Domain{Name: "a.test", Hosts: hosts, Depth: 1, Silent: true, Bad: silent})}
		b.fresh()
		begin := time.Now()
		p := b.plan("a.test")
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		late := 0
		for i := range p.Hosts {
			h := &p.Hosts[i]
			switch {
			case i >= silent && h.Requirement != engine.DANE, i < silent && h.Skipped != engine.Deferred:
				t.Errorf("%s: %s %s", h.Name, h.Requirement, explain.Text(h.Reason))
			case h.Reason.ID == reason.Budget:
				late++
				if want := "could not be looked up: the DNS lookups for a.test took longer than 30s"; !strings.Contains(explain.Text(h.Reason), want) {
					t.Errorf("%s", explain.Text(h.Reason))
				}
			}
		}
		if late == 0 {
			t.Error("no host met the end of the plan's time")
		}
		b.cache.Close()
	})
}
