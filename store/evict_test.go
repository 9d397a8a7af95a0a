package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
	"github.com/mxauth/mxauth/store/storetest"
)

// TestMemoryFlood: entries that their owner makes large and long-lived drive none out that
// is in use (issue 14, C1); nor do many small ones of one group.
func TestMemoryFlood(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		limits store.MemoryConfig
		size   int
		n      int
		group  string
	}{
		{"large", store.MemoryConfig{MaxBytes: 16 << 20}, 64 << 10, 2 * 260, ""},
		{"large, of one group", store.MemoryConfig{MaxBytes: 16 << 20}, 64 << 10, 2 * 260, "hostile.example"},
		{"small, of one group", store.MemoryConfig{MaxEntries: 2000}, 0, 5000, "hostile.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clk := storetest.NewClock()
			c.limits.Now = clk.Now
			m := memory(t, c.limits)
			for i := range 1000 {
				name := fmt.Sprintf("honest%d.example", i)
				e := store.Entry{Key: name, Value: make([]byte, 300), Class: store.Enforce, Expires: clk.Now().Add(7 * 24 * time.Hour), Group: name}
				if err := m.Put(ctx, e); err != nil {
					t.Fatal(err)
				}
			}
			clk.Advance(5 * 24 * time.Hour) // unused since then
			for i := range c.n {
				e := store.Entry{Key: fmt.Sprintf("x%d.hostile.example", i), Value: make([]byte, c.size), Class: store.Enforce, Expires: clk.Now().Add(365 * 24 * time.Hour), Group: c.group}
				if err := m.Put(ctx, e); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 1000 {
				if _, ok, err := m.Get(ctx, fmt.Sprintf("honest%d.example", i)); !ok || err != nil {
					t.Fatalf("honest%d is gone: %v", i, err)
				}
			}
			if s := m.Stats(); s.Entries < 1200 || s.Bytes > 16<<20 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestMemoryUses: to look is no use, and neither is to replace.
func TestMemoryUses(t *testing.T) {
	ctx := context.Background()
	clk := storetest.NewClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 3, Now: clk.Now})
	p := putter{t, m, clk}
	for _, k := range []string{"a", "b", "c"} {
		p.put(store.Enforce, time.Hour, k)
		clk.Advance(time.Second)
	}
	m.Get(ctx, "a")
	m.Peek(ctx, "b")
	p.put(store.Enforce, time.Hour, "b")
	if e, ok, err := m.Peek(ctx, "b"); err != nil || !ok || clk.Now().Sub(e.Used) != 2*time.Second {
		t.Errorf("%v %v, used %s before", ok, err, clk.Now().Sub(e.Used))
	}
	p.put(store.Enforce, time.Hour, "d")
	if got := p.keys(); got != "acd" {
		t.Errorf("left %q", got)
	}
	// Another class or size keeps its place too.
	p.put(store.Testing, time.Hour, "c")
	p.put(store.Enforce, time.Hour, "c")
	if e, _, _ := m.Peek(ctx, "c"); clk.Now().Sub(e.Used) != 0 { // keys above were uses
		t.Errorf("used %s before", clk.Now().Sub(e.Used))
	}
}

// TestMemoryModel plays random steps and checks the counts, the bounds, and that what is
// dropped is of the lowest class unless its group has more than its share.
func TestMemoryModel(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(3, 3))
	clk := storetest.NewClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 200, MaxBytes: 1 << 20, Now: clk.Now})
	for i := range 30_000 {
		key := fmt.Sprint("k", rnd.IntN(600))
		switch rnd.IntN(8) {
		case 0:
			m.Delete(ctx, key)
		case 1:
			m.Get(ctx, key)
		default:
			e := store.Entry{Key: key, Value: make([]byte, 1<<rnd.IntN(17)), Class: store.Class(rnd.IntN(store.Classes)), Expires: clk.Now().Add(time.Duration(rnd.IntN(100)) * time.Minute)}
			if g := rnd.IntN(20); g > 0 {
				e.Group = fmt.Sprint("g", g*rnd.IntN(3))
			}
			if len(e.Value) > store.MaxValue {
				e.Value = e.Value[:store.MaxValue]
			}
			if err := m.Put(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		clk.Advance(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		if i%100 != 0 {
			continue
		}
		s := m.Stats()
		var n int
		var size int64
		m.All(ctx, "", func(e store.Entry) bool { n++; size += int64(len(e.Key) + len(e.Value)); return true })
		if s.Entries > 200 || s.Bytes > 1<<20 || n > s.Entries || size > s.Bytes {
			t.Fatalf("%+v, shown %d of %d octets", s, n, size)
		}
	}
	for i := range 600 {
		m.Delete(ctx, fmt.Sprint("k", i))
	}
	if s := m.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestFrontUses: the store behind hears of the use of copies, now and then, and not of what
// only looks.
func TestFrontUses(t *testing.T) {
	ctx := context.Background()
	clk := storetest.NewClock()
	b, err := bolt.Open(bolt.Config{Path: filepath.Join(t.TempDir(), "s.db"), Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	f, err := store.NewFront(store.FrontConfig{Behind: b, Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	put := func(key string) {
		t.Helper()
		if err := f.Put(ctx, store.Entry{Key: key, Class: store.Enforce, Expires: clk.Now().Add(999 * time.Hour), Group: "g"}); err != nil {
			t.Fatal(err)
		}
	}
	used := func(key string) time.Time {
		t.Helper()
		put("other") // so that uses are written
		e, ok, err := b.Peek(ctx, key)
		if err != nil || !ok || e.Group != "g" {
			t.Fatal(key, e, ok, err)
		}
		return e.Used
	}
	put("a")
	put("b")
	start := clk.Now()
	for range 10 {
		clk.Advance(10 * time.Hour)
		for range 3 {
			if _, ok, err := f.Get(ctx, "a"); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if _, ok, err := f.Peek(ctx, "b"); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		put("a") // a refresh
		put("b")
		if age := clk.Now().Sub(used("a")); age >= 2*store.UsePrecision {
			t.Errorf("a was used %s before", age)
		}
	}
	if !used("b").Equal(start) {
		t.Errorf("b was used at %s", used("b"))
	}
}

// TestFrontClock: what was noted in memory while the clock was ahead is not believed until
// then.
func TestFrontClock(t *testing.T) {
	w := newFrontWorld(t, true)
	w.c.Advance(1000 * time.Hour)
	w.get(w.front, "absent")
	w.put(w.front, "k", "old")
	w.behind.down.Store(true)
	w.get(w.front, "never") // it is left alone for a while
	w.behind.down.Store(false)
	w.c.Advance(-1000 * time.Hour)
	// Another process writes.
	w.put(w.behind, "absent", "there")
	w.put(w.behind, "k", "new")
	w.want("absent", w.get(w.front, "absent"), "there")
	w.want("k", w.get(w.front, "k"), "new")
}
