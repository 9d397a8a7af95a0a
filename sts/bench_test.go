package sts_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
	mxpkix "github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// Each benchmark stands beside its floor: a SHA-256 of the same bytes, in the same run.

var benchPolicy = []byte("version: STSv1\nmode: enforce\nmx: mx1.example.org\nmx: mx2.example.org\nmx: *.mail.example.org\nmax_age: 604800\n")

func BenchmarkParsePolicy(b *testing.B) {
	b.Run("floor: SHA-256 of it", func(b *testing.B) {
		for b.Loop() {
			sha256.Sum256(benchPolicy)
		}
	})
	b.Run("three mx", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sts.ParsePolicy(benchPolicy); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParseRecord(b *testing.B) {
	txt := []string{"v=STSv1; id=20240101T000000;"}
	b.Run("floor: SHA-256 of it", func(b *testing.B) {
		p := []byte(txt[0])
		for b.Loop() {
			sha256.Sum256(p)
		}
	})
	b.Run("record", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sts.ParseRecord(txt); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	p := must(sts.ParsePattern("*.mail.example.org"))
	h := host("mx-long-name-of-a-host.mail.example.org")
	b.Run("floor: SHA-256 of the name", func(b *testing.B) {
		n := []byte(h.String())
		for b.Loop() {
			sha256.Sum256(n)
		}
	})
	b.Run("wildcard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !p.Match(h) {
				b.Fatal("no match")
			}
		}
	})
}

// fixedResolver gives the same TXT answer to every question.
type fixedResolver struct{ ans dnssec.Answer }

func (f fixedResolver) Resolve(context.Context, dnssec.Question) (dnssec.Answer, error) {
	return f.ans, nil
}

// BenchmarkLookupWarm is row S5: the record asked of a resolver that has it, and the policy
// from memory.
func BenchmarkLookupWarm(b *testing.B) {
	txt := "v=STSv1; id=one;"
	r := fixedResolver{dnssec.Answer{Kind: dnssec.Data, Status: dnssec.Insecure, Expires: time.Now().Add(time.Hour),
		Records: []dnssec.Record{{Type: dnssec.TypeTXT, Data: append([]byte{byte(len(txt))}, txt...)}}}}
	m := must(store.NewMemory(store.MemoryConfig{}))
	c := must(sts.NewClient(sts.Config{Resolver: r, Roots: mxpkix.NewRoots(ca.Cert), Store: m}))
	defer c.Close()
	d := host("example.org")
	if err := sts.Keep(c, d, "one", string(benchPolicy), time.Now()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := c.Lookup(context.Background(), d); r.Row != sts.S5 {
			b.Fatal(r.Row)
		}
	}
}

// BenchmarkMemory measures what a domain costs that is held: the bytes of the heap, with
// the client's copy in memory before a store that holds nothing.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := must(store.NewMemory(store.MemoryConfig{}))
		c := must(sts.NewClient(sts.Config{Resolver: dnsfake.New(), Roots: mxpkix.NewRoots(ca.Cert), Store: m}))
		now := time.Now()
		for i := range n {
			d := must(rfc6125.ParseHost(fmt.Sprintf("domain-%d.example.org", i)))
			if err := sts.Keep(c, d, "20240101T000000", string(benchPolicy), now); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/domain")
		if s := m.Stats(); s.Entries != n {
			b.Fatalf("%d entries", s.Entries)
		}
		c.Close()
		m.Close()
	}
}
