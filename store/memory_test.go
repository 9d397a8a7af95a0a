package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/storetest"
)

func memory(t *testing.T, c store.MemoryConfig) *store.Memory {
	t.Helper()
	m, err := store.NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMemory(t *testing.T) {
	c := storetest.NewClock()
	storetest.Run(t, storetest.Options{
		Open: func(t *testing.T) store.Store { return memory(t, store.MemoryConfig{Now: c.Now}) }, Advance: c.Advance, Now: c.Now,
	})
	t.Run("real clock", func(t *testing.T) {
		storetest.Run(t, storetest.Options{Open: func(t *testing.T) store.Store { return memory(t, store.MemoryConfig{}) }})
	})
}

func TestMemoryConfig(t *testing.T) {
	_, err := store.NewMemory(store.MemoryConfig{MaxEntries: -1, MaxBytes: -1})
	if err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 2 {
		t.Errorf("got %v, want both problems", err)
	}
}

type putter struct {
	t  *testing.T
	st store.Store
	c  *storetest.Clock
}

// put writes entries of a class, one after the other, that live for d.
func (p putter) put(class store.Class, d time.Duration, keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		if err := p.st.Put(context.Background(), store.Entry{Key: k, Value: []byte("0123456789"), Class: class, Expires: p.c.Now().Add(d)}); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p putter) keys() (out string) {
	for _, k := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, ok, err := p.st.Get(context.Background(), k); err != nil {
			p.t.Fatal(err)
		} else if ok {
			out += k
		}
	}
	return out
}

// TestMemoryEviction: what a full store drops, and that it counts it.
func TestMemoryEviction(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       func(p putter)
		keys    string
		evicted [store.Classes]uint64
		expired uint64
	}{
		{"the lowest class goes, whatever its age", func(p putter) {
			p.put(store.Enforce, time.Hour, "a")
			p.put(store.Testing, time.Hour, "b")
			p.put(store.None, time.Hour, "c")
			p.put(store.Enforce, time.Hour, "d")
		}, "abd", [4]uint64{store.None: 1}, 0},
		{"within a class the least recently used", func(p putter) {
			p.put(store.Enforce, time.Hour, "a", "b", "c")
			p.st.Get(context.Background(), "a")
			p.put(store.Enforce, time.Hour, "d")
		}, "acd", [4]uint64{store.Enforce: 1}, 0},
		{"a cheap entry does not drive out precious ones", func(p putter) {
			p.put(store.Enforce, time.Hour, "a", "b")
			p.put(store.Testing, time.Hour, "c")
			p.put(store.Negative, time.Hour, "d")
		}, "abc", [4]uint64{store.Negative: 1}, 0},
		{"expired entries first", func(p putter) {
			p.put(store.Negative, time.Hour, "a")
			p.put(store.Enforce, time.Second, "b")
			p.put(store.Enforce, time.Hour, "c")
			p.c.Advance(time.Minute)
			p.put(store.Enforce, time.Hour, "d")
		}, "acd", [4]uint64{}, 1},
		{"between two sweeps an expired entry is not counted as evicted", func(p putter) {
			p.put(store.Negative, time.Second, "a")
			p.put(store.Enforce, time.Hour, "b", "c")
			p.put(store.Enforce, time.Hour, "d") // sweeps, finds nothing, drops a
			p.put(store.Negative, time.Second, "e")
		}, "bcd", [4]uint64{store.Negative: 2}, 0},
		{"a replaced entry leaves its place", func(p putter) {
			p.put(store.Enforce, time.Hour, "a", "b")
			p.put(store.Testing, time.Hour, "c")
			p.put(store.Enforce, time.Hour, "c", "c")
		}, "abc", [4]uint64{}, 0},
		{"walking is not using", func(p putter) {
			p.put(store.Enforce, time.Hour, "a", "b", "c")
			p.st.All(context.Background(), "a", func(store.Entry) bool { return true })
			p.put(store.Enforce, time.Hour, "d")
		}, "bcd", [4]uint64{store.Enforce: 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			clk := storetest.NewClock()
			m := memory(t, store.MemoryConfig{MaxEntries: 3, Now: clk.Now})
			c.f(putter{t, m, clk})
			s := m.Stats()
			if s.Evicted != c.evicted || s.Expired != c.expired || s.Entries > 3 {
				t.Errorf("stats %+v, want evicted %v and expired %d", s, c.evicted, c.expired)
			}
			if got := (putter{t, m, clk}).keys(); got != c.keys {
				t.Errorf("left %q, want %q", got, c.keys)
			}
		})
	}
	t.Run("expired between sweeps", func(t *testing.T) {
		clk := storetest.NewClock()
		m := memory(t, store.MemoryConfig{MaxEntries: 2, Now: clk.Now})
		p := putter{t, m, clk}
		p.put(store.Enforce, time.Hour, "a", "b")
		p.put(store.Negative, time.Hour, "c") // the sweep is now
		if s := m.Stats(); s.Evicted[store.Negative] != 1 {
			t.Fatalf("stats %+v", s)
		}
		m.Delete(context.Background(), "a")
		p.put(store.Negative, time.Second, "d")
		clk.Advance(2 * time.Second)
		p.put(store.Enforce, time.Hour, "e")
		if s := m.Stats(); s.Expired != 1 || s.Evicted[store.Negative] != 1 || p.keys() != "be" {
			t.Errorf("stats %+v, left %q", s, p.keys())
		}
	})
}

func TestMemoryBytes(t *testing.T) {
	clk := storetest.NewClock()
	// Three entries of one octet of key and ten of value.
	m := memory(t, store.MemoryConfig{MaxBytes: 33, Now: clk.Now})
	p := putter{t, m, clk}
	p.put(store.Negative, time.Hour, "a")
	p.put(store.Enforce, time.Hour, "b", "c")
	if s := m.Stats(); s.Bytes != 33 || s.Entries != 3 {
		t.Fatalf("stats %+v", s)
	}
	p.put(store.Testing, time.Hour, "d")
	if p.keys() != "bcd" {
		t.Errorf("left %q", p.keys())
	}
	if err := m.Put(context.Background(), store.Entry{Key: "f", Value: make([]byte, 100), Class: store.Testing, Expires: clk.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if p.keys() != "bc" {
		t.Errorf("left %q: an entry too large for the store drove out others", p.keys())
	}
	m.Delete(context.Background(), "b")
	m.Delete(context.Background(), "c")
	if s := m.Stats(); s.Bytes != 0 || s.Entries != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestMemoryNeverDropsPrecious: in a random history no unexpired entry is gone while one
// of a lower class is there.
func TestMemoryNeverDropsPrecious(t *testing.T) {
	clk := storetest.NewClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 50, Now: clk.Now})
	p := putter{t, m, clk}
	for i := range 5000 {
		p.put(store.Enforce, time.Hour, fmt.Sprint("e", i%30))
		p.put(store.Testing, time.Hour, fmt.Sprint("t", i))
		p.put(store.Negative, time.Hour, fmt.Sprint("n", i))
		clk.Advance(time.Millisecond)
	}
	for i := range 30 {
		if _, ok, _ := m.Get(context.Background(), fmt.Sprint("e", i)); !ok {
			t.Errorf("e%d is gone", i)
		}
	}
	if s := m.Stats(); s.Evicted[store.Enforce] != 0 || s.Entries != 50 {
		t.Errorf("stats %+v", s)
	}
}

// TestMemoryAllEnds: a walk ends with the caller and with the store.
func TestMemoryAllEnds(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := memory(t, store.MemoryConfig{}).All(gone, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an empty store and a caller that has left: %v", err)
	}
	for name, end := range map[string]func(*store.Memory, context.CancelFunc){
		"caller": func(_ *store.Memory, cancel context.CancelFunc) { cancel() },
		"store":  func(m *store.Memory, _ context.CancelFunc) { m.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c := storetest.NewClock()
			m := memory(t, store.MemoryConfig{Now: c.Now})
			p := putter{t, m, c}
			p.put(store.Enforce, time.Hour, "a", "b")
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			shown := 0
			err := m.All(ctx, "", func(store.Entry) bool { shown++; end(m, cancel); return true })
			if shown != 1 || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%d shown, %v", shown, err)
			}
		})
	}
}

func TestMemoryCloseFrees(t *testing.T) {
	m := memory(t, store.MemoryConfig{})
	value := make([]byte, 4096)
	kept := weak.Make(&value[0])
	if err := m.Put(context.Background(), store.Entry{Key: "k", Value: value, Class: store.Enforce, Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	value = nil
	runtime.GC()
	if kept.Value() == nil {
		t.Fatal("an open store has lost its entry")
	}
	m.Close()
	runtime.GC()
	if kept.Value() != nil {
		t.Error("a closed store keeps its entries")
	}
	runtime.KeepAlive(m)
}
