package engine_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
)

// A wideResolver answers for domains of many hosts with large TLSA sets. Answers share no
// memory, as those of a resolver whose cache has dropped them.
type wideResolver struct {
	hosts, records, octets int
}

// Resolve implements [dnssec.Resolver].
func (r wideResolver) Resolve(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a := dnssec.Answer{Question: q, Final: q.Name, Status: dnssec.Secure, Kind: dnssec.Data, Received: epoch, Expires: epoch.Add(24 * time.Hour)}
	record := func(data []byte) {
		a.Records = append(a.Records, dnssec.Record{Type: q.Type, TTL: 86400, Data: data})
	}
	switch q.Type {
	case dnssec.TypeMX:
		for i := range r.hosts {
			n, err := rfc6125.ParseName(fmt.Sprintf("mx%d.%s", i, q.Name))
			if err != nil {
				return a, err
			}
			record(n.AppendWire([]byte{0, byte(i)}))
		}
	case dnssec.TypeA:
		record([]byte{192, 0, 2, 1})
	case dnssec.TypeTLSA:
		for i := range r.records {
			d := make([]byte, 3+r.octets)
			copy(d, []byte{3, 1, 1})
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(q.Name.String()), uint64(i)))
			copy(d[3:], sum[:])
			record(d)
		}
	default:
		a.Kind = dnssec.NoData
	}
	return a, nil
}

// heapOf returns the bytes of heap that what make returns keeps alive.
func heapOf(make func() any) int64 {
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // what finalizers and pools held
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	v := make()
	after := heap()
	runtime.KeepAlive(v)
	return after - before
}

// planMany plans so many domains with a new engine.
func planMany(t *testing.T, r dnssec.Resolver, n int, bytes int64) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{Resolver: r, CachedPlanBytes: bytes, Now: func() time.Time { return epoch }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := e.Plan(t.Context(), engine.Request{NextHop: fmt.Sprintf("d%d.example", i), Level: engine.LevelDANE}); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// TestPlanCacheBytes holds the plan cache to its bound in bytes.
func TestPlanCacheBytes(t *testing.T) {
	t.Run("a large plan is not kept", func(t *testing.T) {
		large := wideResolver{hosts: 64, records: 100, octets: 620}
		e := planMany(t, large, 2, 0)
		if n := e.CachedPlans(); n != 0 {
			t.Errorf("%d plans of 64 hosts with 62 KB of TLSA are kept", n)
		}
		held := heapOf(func() any { return planMany(t, large, 8, 0) })
		if held > 1<<20 {
			t.Errorf("8 large plans leave %d KiB", held>>10)
		}
	})
	t.Run("a large plan replaces nothing", func(t *testing.T) {
		r := &wideResolver{hosts: 2, records: 2, octets: 32}
		now := epoch
		e, err := engine.New(engine.Config{Resolver: r, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		plan := func() *engine.Plan {
			p, err := e.Plan(t.Context(), engine.Request{NextHop: "example.org", Level: engine.LevelDANE})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		plan()
		if e.CachedPlans() != 1 {
			t.Fatal("a small plan is not kept")
		}
		*r = wideResolver{hosts: 64, records: 100, octets: 620}
		e.Forget()
		if p := plan(); len(p.Hosts) != 64 || e.CachedPlans() != 0 {
			t.Errorf("%d hosts, %d plans kept", len(p.Hosts), e.CachedPlans())
		}
	})
	t.Run("RDATA is held once", func(t *testing.T) {
		const hosts, records, octets = 64, 30, 2000
		var p *engine.Plan
		held := heapOf(func() any {
			e, err := engine.New(engine.Config{Resolver: wideResolver{hosts, records, octets}, CachedPlans: -1, Now: func() time.Time { return epoch }})
			if err != nil {
				t.Fatal(err)
			}
			if p, err = e.Plan(t.Context(), engine.Request{NextHop: "example.org", Level: engine.LevelDANE}); err != nil {
				t.Fatal(err)
			}
			return p
		})
		// The rest is a step of the trace for each record that is not used.
		if most := int64(hosts * records * (octets + 1000)); held > most {
			t.Errorf("a plan takes %d KiB, more than %d", held>>10, most>>10)
		}
		for i := range p.Hosts {
			h := &p.Hosts[i]
			if uses := h.DANE.Set.Uses(); len(uses) != records || len(uses[0].Record.Data) != octets {
				t.Fatalf("%s: %d records", h.Name, len(uses))
			}
			for _, r := range h.DANE.TLSA[0].Answer.Records {
				if r.Data != nil || r.TTL != 86400 {
					t.Fatalf("%s: a record of the answer has %d octets and a TTL of %d", h.Name, len(r.Data), r.TTL)
				}
			}
		}
	})
	t.Run("many middling plans stay in the bound", func(t *testing.T) {
		const bound = 4 << 20
		var e *engine.Engine
		held := heapOf(func() any {
			e = planMany(t, wideResolver{hosts: 20, records: 4, octets: 32}, 600, bound)
			return e
		})
		n := e.CachedPlans()
		// The estimate is never too low; and not so high that it throws plans away.
		if held > bound || held < bound/4 || n < 30 {
			t.Errorf("%d plans take %d KiB of %d", n, held>>10, bound>>10)
		}
		if p := e.KeptPlanBytes(); p > bound || p < bound/2 {
			t.Errorf("%d KiB are counted", p>>10)
		}
		e.Forget()
		if p := e.KeptPlanBytes(); p != 0 {
			t.Errorf("%d octets are counted for no plan", p)
		}
	})
	t.Run("the defaults fit each other", func(t *testing.T) {
		// A usual domain, and the largest MX sets in use.
		for _, c := range []struct {
			hosts int
			most  int64
		}{{2, engine.DefaultCachedPlanBytes / engine.DefaultCachedPlans}, {20, engine.MaxKeptPlan * 6 / 10}} {
			e := planMany(t, wideResolver{hosts: c.hosts, records: 4, octets: 32}, 10, 0)
			if n := e.KeptPlanBytes() / 10; e.CachedPlans() != 10 || n > c.most {
				t.Errorf("a plan of %d hosts takes %d octets, more than %d", c.hosts, n, c.most)
			}
		}
	})
	t.Run("no bytes, no plans", func(t *testing.T) {
		if n := planMany(t, wideResolver{hosts: 1, records: 1, octets: 32}, 1, -1).CachedPlans(); n != 0 {
			t.Errorf("%d plans are kept", n)
		}
	})
}

// TestHeapSize compares the estimate with what the values take.
func TestHeapSize(t *testing.T) {
	type node struct {
		name string
		next *node
		data []byte
		any  any
		m    map[string]int
		at   time.Time
	}
	ring := &node{name: "a"}
	ring.next = &node{name: "b", next: ring}
	for name, v := range map[string]any{
		"nil": (*node)(nil), "a ring": ring, "a function": func() {}, "an array": &[2]*node{ring, ring},
		"a time": &node{at: time.Now()},
	} {
		if n := engine.HeapSize(v, 1<<20); n < 0 || n > 1<<10 {
			t.Errorf("%s: %d octets", name, n)
		}
	}
	two := &[2]*node{{data: make([]byte, 10_000)}, {data: make([]byte, 20_000)}}
	if n := engine.HeapSize(two, 1<<20); n < 30_000 || n > 40_000 {
		t.Errorf("an array of two that hold 30,000 octets: %d octets", n)
	}
	m := map[string]int{}
	for i := range 1000 {
		m[fmt.Sprint(i)] = i
	}
	one, both := engine.HeapSize(&[2]*node{{m: m}, {}}, 1<<20), engine.HeapSize(&[2]*node{{m: m}, {m: m}}, 1<<20)
	if one < 20_000 || both != one {
		t.Errorf("a map that two share: %d octets, of one alone %d", both, one)
	}
	var v *node
	held := heapOf(func() any {
		v = &node{m: map[string]int{}, data: make([]byte, 100_000)}
		for i := range 1000 {
			v = &node{name: strings.Repeat("x", 100), next: v, any: fmt.Sprintf("%0200d", i), m: map[string]int{fmt.Sprint(i): i}}
		}
		return v
	})
	if n := engine.HeapSize(v, 1<<30); n < held*7/10 || n > held*2 {
		t.Errorf("%d octets are counted, and %d are taken", n, held)
	}
	if n := engine.HeapSize(v, 1000); n < 1000 || n > 5000 {
		t.Errorf("counting stops at %d", n)
	}
}
