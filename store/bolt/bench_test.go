package bolt_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
)

// policyValue is as large as a kept policy of three MX hosts.
func policyValue() []byte {
	b := make([]byte, 180)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func fill(tb testing.TB, s store.Store, n int) {
	es := make([]store.Entry, 0, 4096)
	v := policyValue()
	end := time.Now().Add(24 * time.Hour)
	for i := range n {
		es = append(es, store.Entry{Key: fmt.Sprintf("sts/p/domain-%07d.example", i), Value: v, Class: store.Class(i % 4), Expires: end})
		if len(es) == cap(es) || i == n-1 {
			if err := store.PutAll(ctx, s, es); err != nil {
				tb.Fatal(err)
			}
			es = es[:0]
		}
	}
}

// BenchmarkWrites counts acknowledged writes a second from many writers, beside the floor:
// one fsync of a page for each crowd.
func BenchmarkWrites(b *testing.B) {
	b.Run("floor: write and fsync of one page", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		page := make([]byte, 4096)
		for b.Loop() {
			if _, err := f.WriteAt(page, 0); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, writers := range []int{1, 16, 512} {
		b.Run(fmt.Sprint("writers ", writers), func(b *testing.B) {
			b.ReportAllocs()
			s := open(b, bolt.Config{Path: filepath.Join(b.TempDir(), "s.db")})
			fill(b, s, 10_000)
			v := policyValue()
			end := time.Now().Add(time.Hour)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			start := time.Now()
			for w := range writers {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), 1))
					for left.Add(-1) >= 0 {
						e := store.Entry{Key: fmt.Sprintf("sts/p/domain-%07d.example", r.IntN(20_000)), Value: v, Class: store.Enforce, Expires: end}
						if err := s.Put(ctx, e); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "writes/s")
		})
	}
}

// BenchmarkOpen opens a full store and reads one entry, beside the floor: a hash of the
// file.
func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	path := filepath.Join(b.TempDir(), "s.db")
	s := open(b, bolt.Config{Path: path})
	fill(b, s, n)
	s.Close()
	b.Run("floor: SHA-256 of the file", func(b *testing.B) {
		for b.Loop() {
			data, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			sha256.Sum256(data)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
	})
	b.Run("open and get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s, err := bolt.Open(bolt.Config{Path: path})
			if err != nil {
				b.Fatal(err)
			}
			if _, ok, err := s.Get(ctx, "sts/p/domain-0050000.example"); err != nil || !ok {
				b.Fatal(ok, err)
			}
			s.Close()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
	})
}

func BenchmarkGet(b *testing.B) {
	s := open(b, bolt.Config{Path: filepath.Join(b.TempDir(), "s.db")})
	fill(b, s, 100_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7919) % 100_000
		if _, ok, err := s.Get(ctx, fmt.Sprintf("sts/p/domain-%07d.example", i)); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkFull puts new entries into a full store, which looks through all that it holds.
func BenchmarkFull(b *testing.B) {
	const n = 100_000
	s := open(b, bolt.Config{Path: filepath.Join(b.TempDir(), "s.db"), MaxEntries: n})
	fill(b, s, n)
	v := policyValue()
	i := 0
	for b.Loop() {
		i++
		e := store.Entry{Key: fmt.Sprintf("sts/p/new-%07d.example", i), Value: v, Class: store.Enforce, Expires: time.Now().Add(time.Hour), Group: "new.example"}
		if err := s.Put(ctx, e); err != nil {
			b.Fatal(err)
		}
	}
}
