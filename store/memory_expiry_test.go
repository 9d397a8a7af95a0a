package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/storetest"
)

func TestMemoryExpired(t *testing.T) {
	ctx := context.Background()
	c := storetest.NewClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 3, Now: c.Now})
	p := putter{t, m, c}
	p.put(store.Enforce, time.Minute, "a", "b")
	c.Advance(time.Minute)
	if err := m.All(ctx, "", func(e store.Entry) bool { t.Errorf("All shows the expired %q", e.Key); return true }); err != nil {
		t.Error(err)
	}
	if s := m.Stats(); s.Entries != 2 {
		t.Errorf("stats %+v", s)
	}
	if _, ok, _ := m.Get(ctx, "a"); ok {
		t.Error("an expired entry is given")
	}
	if s := m.Stats(); s.Entries != 1 || s.Expired != 1 || s.Bytes != 11 {
		t.Errorf("stats %+v: what has been met expired is removed", s)
	}
	// A sweep takes what ends just now.
	p.put(store.Enforce, time.Hour, "c", "d", "e")
	if s := m.Stats(); s.Entries != 3 || s.Expired != 2 || s.Evicted != [4]uint64{} {
		t.Errorf("stats %+v", s)
	}
	// The next sweep is a minute after the last, not sooner.
	p.put(store.Enforce, 30*time.Second, "c")
	c.Advance(time.Minute - 1)
	m.Get(ctx, "d")
	p.put(store.Enforce, time.Hour, "d")
	p.put(store.Negative, time.Hour, "f")
	if s := m.Stats(); s.Evicted[store.Negative] != 1 || s.Expired != 2 {
		t.Errorf("stats %+v", s)
	}
	c.Advance(1)
	p.put(store.Negative, time.Hour, "f")
	if s := m.Stats(); s.Evicted[store.Negative] != 1 || s.Expired != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestMemoryPutExpired(t *testing.T) {
	c := storetest.NewClock()
	m := memory(t, store.MemoryConfig{Now: c.Now})
	p := putter{t, m, c}
	for _, d := range []time.Duration{0, -1, -time.Hour} {
		p.put(store.Enforce, time.Hour, "a")
		p.put(store.Enforce, d, "a")
		if s := m.Stats(); s.Entries != 0 || s.Bytes != 0 {
			t.Errorf("%s: stats %+v: what has expired replaces, and is not kept", d, s)
		}
	}
	p.put(store.Enforce, 1, "a")
	if s := m.Stats(); s.Entries != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestMemorySweepsWhatEndsNow: it goes before anything that is good, of whatever class.
func TestMemorySweepsWhatEndsNow(t *testing.T) {
	c := storetest.NewClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 2, Now: c.Now})
	p := putter{t, m, c}
	p.put(store.Enforce, time.Minute, "a")
	p.put(store.Negative, time.Hour, "b")
	c.Advance(time.Minute)
	p.put(store.Enforce, time.Hour, "c")
	if s := m.Stats(); p.keys() != "bc" || s.Expired != 1 || s.Evicted != [store.Classes]uint64{} {
		t.Errorf("left %q, stats %+v", p.keys(), s)
	}
}

// TestMemoryCountsWhatEndsNow: between two sweeps what is dropped for lack of room and has
// just ended is not evicted.
func TestMemoryCountsWhatEndsNow(t *testing.T) {
	c := storetest.NewClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 1, Now: c.Now})
	p := putter{t, m, c}
	p.put(store.Enforce, time.Hour, "a")
	p.put(store.Enforce, time.Second, "b") // the sweep is now
	c.Advance(time.Second)
	p.put(store.Enforce, time.Hour, "c")
	if s := m.Stats(); s.Expired != 1 || s.Evicted[store.Enforce] != 1 {
		t.Errorf("stats %+v", s)
	}
}
