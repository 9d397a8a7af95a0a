package store_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/mxauth/mxauth/store"
)

// What ends just now, what is cancelled and what is closed.

func TestMemoryPutExpired(t *testing.T) {
	c := newClock()
	m := memory(t, store.MemoryConfig{Now: c.Now})
	p := putter{t, m, c}
	for _, d := range []time.Duration{0, -1, -time.Hour} {
		p.put("a", store.Enforce, time.Hour)
		p.put("a", store.Enforce, d)
		if s := m.Stats(); s.Entries != 0 || s.Bytes != 0 {
			t.Errorf("%s: stats %+v: what has expired replaces, and is not kept", d, s)
		}
	}
	p.put("a", store.Enforce, 1)
	if s := m.Stats(); s.Entries != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestMemorySweepsWhatEndsNow: it goes before anything that is good, of whatever class.
func TestMemorySweepsWhatEndsNow(t *testing.T) {
	c := newClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 2, Now: c.Now})
	p := putter{t, m, c}
	p.put("a", store.Enforce, time.Minute)
	p.put("b", store.Negative, time.Hour)
	c.Advance(time.Minute)
	p.put("c", store.Enforce, time.Hour)
	if s := m.Stats(); p.keys() != "bc" || s.Expired != 1 || s.Evicted != [store.Classes]uint64{} {
		t.Errorf("left %q, stats %+v", p.keys(), s)
	}
}

// TestMemoryCountsWhatEndsNow: between two sweeps what is dropped for lack of room and has
// just ended is not evicted.
func TestMemoryCountsWhatEndsNow(t *testing.T) {
	c := newClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 1, Now: c.Now})
	p := putter{t, m, c}
	p.put("a", store.Enforce, time.Hour)
	p.put("b", store.Enforce, time.Second) // the sweep is now
	c.Advance(time.Second)
	p.put("c", store.Enforce, time.Hour)
	if s := m.Stats(); s.Expired != 1 || s.Evicted[store.Enforce] != 1 {
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
			c := newClock()
			m := memory(t, store.MemoryConfig{Now: c.Now})
			p := putter{t, m, c}
			p.put("a", store.Enforce, time.Hour)
			p.put("b", store.Enforce, time.Hour)
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
