package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
)

func TestYears(t *testing.T) {
	for year, ok := range map[int]bool{1969: false, 1970: true, 2261: true, 2262: false} {
		e := store.Entry{Key: "k", Class: store.Enforce, Expires: time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)}
		if err := e.Check(); (err == nil) != ok {
			t.Errorf("%d: %v", year, err)
		}
	}
}

func TestMemoryExpired(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	m := memory(t, store.MemoryConfig{MaxEntries: 3, Now: c.Now})
	p := putter{t, m, c}
	p.put("a", store.Enforce, time.Minute)
	p.put("b", store.Enforce, time.Minute)
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
	p.put("c", store.Enforce, time.Hour)
	p.put("d", store.Enforce, time.Hour)
	p.put("e", store.Enforce, time.Hour)
	if s := m.Stats(); s.Entries != 3 || s.Expired != 2 || s.Evicted != [4]uint64{} {
		t.Errorf("stats %+v", s)
	}
	// The next sweep is a minute after the last, not sooner.
	p.put("c", store.Enforce, 30*time.Second)
	c.Advance(time.Minute - 1)
	m.Get(ctx, "d")
	p.put("d", store.Enforce, time.Hour)
	p.put("f", store.Negative, time.Hour)
	if s := m.Stats(); s.Evicted[store.Negative] != 1 || s.Expired != 2 {
		t.Errorf("stats %+v", s)
	}
	c.Advance(1)
	p.put("f", store.Negative, time.Hour)
	if s := m.Stats(); s.Evicted[store.Negative] != 1 || s.Expired != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestFrontDefaults(t *testing.T) {
	ctx := context.Background()
	f, err := store.NewFront(store.FrontConfig{Behind: memory(t, store.MemoryConfig{})})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Put(ctx, store.Entry{Key: "k", Class: store.Enforce, Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := f.Get(ctx, "k"); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	// A store that is no Locker is this process's own.
	for range 2 {
		l, ok, err := f.Lock(ctx, "x", time.Minute)
		if !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		defer l.Unlock(ctx)
	}
	if err := f.Put(ctx, store.Entry{Key: "bad"}); !errors.Is(err, store.ErrEntry) {
		t.Errorf("got %v", err)
	}
	if s := f.Stats(); s.Unwritten != 0 || s.Failed != 0 {
		t.Errorf("a bad entry counts as a failure of the store: %+v", s)
	}
}

func TestFrontLogsTheFirstFailure(t *testing.T) {
	w := newFrontWorld(t, true)
	w.behind.down.Store(true)
	w.get(w.front, "n")
	if n := strings.Count(w.log.String(), "unavailable;"); n != 1 {
		t.Errorf("logged %d times after the first failure", n)
	}
	w.c.Advance(time.Minute)
	w.get(w.front, "n")
	if n := strings.Count(w.log.String(), "unavailable;"); n != 1 || strings.Contains(w.log.String(), "available again") {
		t.Errorf("log:\n%s", w.log.String())
	}
	w.behind.down.Store(false)
	w.c.Advance(time.Minute)
	w.get(w.front, "n")
	w.get(w.front, "m")
	if n := strings.Count(w.log.String(), "available again"); n != 1 {
		t.Errorf("the return is logged %d times", n)
	}
}

// TestFrontSyncKeepsNewer: what was put while a Sync writes the older state still waits.
func TestFrontSyncKeepsNewer(t *testing.T) {
	w := newFrontWorld(t, true)
	w.behind.down.Store(true)
	w.put(w.front, "k", "old")
	w.behind.down.Store(false)
	w.c.Advance(time.Minute)
	w.behind.onPut = func() {
		w.behind.onPut = nil
		w.behind.down.Store(true)
		w.put(w.front, "k", "new")
		w.behind.down.Store(false)
	}
	w.front.Sync(w.ctx)
	if s := w.front.Stats(); s.Unwritten != 1 {
		t.Errorf("stats %+v", s)
	}
	w.c.Advance(time.Minute)
	if err := w.front.Sync(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.want("behind", w.get(w.behind, "k"), "new")
}
