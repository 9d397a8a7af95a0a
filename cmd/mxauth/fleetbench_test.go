package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// BenchmarkFleetStore measures the figures of docs/fleet.md: what a server keeps of a policy and
// of a proof, what one look through all policies takes, and what a daemon keeps of an absence.
//
//	go test ./cmd/mxauth -run '^$' -bench FleetStore -benchtime 1x
func BenchmarkFleetStore(b *testing.B) {
	const n = 100_000
	r := startRedis(b, "--appendonly", "no")
	behind := r.store("")
	info := func(section, field string) float64 {
		_, rest, _ := strings.Cut(r.do("INFO", section), field+":")
		text, _, _ := strings.Cut(rest, "\r\n")
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
	cache := sts.NewCache(behind, nil, nil)
	for b.Loop() {
		empty := info("memory", "used_memory")
		var lines strings.Builder
		for i := range n {
			fmt.Fprintf(&lines, `{"v":1,"domain":"customer-%d.example","id":"20261130T120000","fetched":%q,"policy":"version: STSv1\r\nmode: enforce\r\nmx: mx1.mail.example.net\r\nmx: mx2.mail.example.net\r\nmax_age: 604800\r\n"}`+"\n",
				i, time.Now().UTC().Format(time.RFC3339))
		}
		begin := time.Now()
		if got, err := cache.Import(b.Context(), strings.NewReader(lines.String()), "the benchmark"); err != nil || got.Stored != n {
			b.Fatalf("%+v, %v", got, err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/import")
		with := info("memory", "used_memory")
		b.ReportMetric((with-empty)/n, "B/policy")

		out := info("stats", "total_net_output_bytes")
		begin = time.Now()
		kept := 0
		if err := cache.List(b.Context(), func(sts.Item) bool { kept++; return true }); err != nil || kept != n {
			b.Fatalf("%d, %v", kept, err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/look")
		b.ReportMetric((info("stats", "total_net_output_bytes")-out)/n, "B/look/policy")

		const chunk = 1000
		for i := 0; i < n; i += chunk {
			m, err := memory.New(memory.Config{Store: behind})
			if err != nil {
				b.Fatal(err)
			}
			for k := range chunk {
				p := memory.Past{V: 1, Domain: fmt.Sprintf("customer-%d.example", i+k), DANE: memory.CoverAll, DANEAt: time.Now().UTC().Truncate(memory.Precision)}
				if err := m.Restore(p); err != nil {
					b.Fatal(err)
				}
			}
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric((info("memory", "used_memory")-with)/n, "B/proof")
	}
	front, err := store.NewFront(store.FrontConfig{Behind: behind, AbsentWhileDown: 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	heap := func() float64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapAlloc)
	}
	before := heap()
	for i := range n {
		if _, ok, err := front.Get(b.Context(), fmt.Sprintf("sts/p/nothing-%d.example", i)); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric((heap()-before)/n, "B/absence")
	runtime.KeepAlive(front)
}
