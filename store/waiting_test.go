package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/storetest"
)

// What becomes of an entry that waits to be written.

// waits makes a Front of a shared store in which k waits with the value new.
func waits(t *testing.T, memory *store.Memory) (*frontWorld, *store.Front) {
	w := newFrontWorld(t, true)
	f, err := store.NewFront(store.FrontConfig{Behind: w.behind, Memory: memory, Now: w.c.Now})
	if err != nil {
		t.Fatal(err)
	}
	w.behind.down.Store(true)
	w.put(f, "k", "new")
	w.behind.down.Store(false)
	w.c.Advance(time.Minute) // the copy is old, the store behind may be asked
	return w, f
}

// TestWaitingIsNewerThanBehind: a waiting entry is not undone by the older one behind,
// although its own copy has come of age.
func TestWaitingIsNewerThanBehind(t *testing.T) {
	w, f := waits(t, nil)
	w.behind.Memory.Put(w.ctx, w.entry("k", "old"))
	w.want("Get", w.get(f, "k"), "new")
	w.want("Get again", w.get(f, "k"), "new")
	if err := f.Sync(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.want("behind", w.get(w.behind, "k"), "new")
}

// TestWaitingWithoutACopyCostsNothing: the store behind is not asked for what it has not
// been given.
func TestWaitingWithoutACopyCostsNothing(t *testing.T) {
	c := storetest.NewClock()
	w, f := waits(t, memory(t, store.MemoryConfig{MaxEntries: 1, Now: c.Now}))
	w.put(f, "other", "v") // drives the copy out
	w.costs("Get", 0, func() { w.want("Get", w.get(f, "k"), "new") })
	if s := f.Stats(); s.Stale != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestWaitingExpires(t *testing.T) {
	w, f := waits(t, nil)
	w.c.Advance(24*time.Hour - time.Minute - 1)
	w.want("the moment before", w.get(f, "k"), "new")
	w.c.Advance(1)
	w.want("expired", w.get(f, "k"), "-")
	if s := f.Stats(); s.Unwritten != 0 {
		t.Errorf("stats %+v: what has expired waits no longer", s)
	}
}

func TestAllStopsAtAWaitingEntry(t *testing.T) {
	w, f := waits(t, nil)
	w.behind.down.Store(true)
	w.put(f, "l", "new")
	w.behind.down.Store(false)
	shown := 0
	if err := f.All(w.ctx, "", func(store.Entry) bool { shown++; return false }); err != nil || shown != 1 {
		t.Errorf("%d entries shown after false, %v", shown, err)
	}
}

// TestWaitingAfterTheEnd: a Front that is closed, or asked by one who has left, says so and
// neither shows nor forgets what waits.
func TestWaitingAfterTheEnd(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		close bool
	}{{"closed", context.Background(), true}, {"caller gone", gone, false}} {
		t.Run(c.name, func(t *testing.T) {
			w, f := waits(t, nil)
			if c.close {
				w.behind.down.Store(true)
				f.Close()
			}
			if _, ok, err := f.Get(c.ctx, "k"); ok || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Get: %v, %v", ok, err)
			}
			err := f.All(c.ctx, "", func(e store.Entry) bool { t.Errorf("All shows %q", e.Key); return true })
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("All: %v", err)
			}
			if err := f.Delete(c.ctx, "k"); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Delete: %v", err)
			}
			if s := f.Stats(); s.Unwritten != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestSyncLeavesWhatHasChanged: an entry that was changed in any way while Sync wrote the
// older one still waits.
func TestSyncLeavesWhatHasChanged(t *testing.T) {
	for name, change := range map[string]func(*store.Entry){
		"value":   func(e *store.Entry) { e.Value = []byte("newer") },
		"expires": func(e *store.Entry) { e.Expires = e.Expires.Add(time.Second) },
		"both":    func(e *store.Entry) { e.Value, e.Expires = []byte("newer"), e.Expires.Add(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newFrontWorld(t, true)
			e := w.entry("k", "new")
			w.behind.down.Store(true)
			w.front.Put(w.ctx, e)
			w.behind.down.Store(false)
			w.c.Advance(time.Minute)
			change(&e)
			w.behind.onPut = func() {
				w.behind.onPut = nil
				w.behind.down.Store(true)
				w.front.Put(w.ctx, e)
				w.behind.down.Store(false)
			}
			w.front.Sync(w.ctx)
			if s := w.front.Stats(); s.Unwritten != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// oddStore refuses an entry, which is no failure of the store.
type oddStore struct{ *faulty }

var errOdd = errors.New("odd entry")

func (s oddStore) Put(context.Context, store.Entry) error { return errOdd }

func TestAnEntrysFaultIsNotTheStores(t *testing.T) {
	w := newFrontWorld(t, true)
	f, err := store.NewFront(store.FrontConfig{Behind: oddStore{w.behind}, Now: w.c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.put(f, "k", "v"); !errors.Is(err, errOdd) {
		t.Errorf("got %v", err)
	}
	w.costs("not left alone", 1, func() { w.want("Get", w.get(f, "n"), "-") })
	if s := f.Stats(); s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
}

// batcher counts the batches.
type batcher struct {
	*store.Memory
	batches, puts int
}

func (b *batcher) Put(ctx context.Context, e store.Entry) error {
	b.puts++
	return b.Memory.Put(ctx, e)
}

func (b *batcher) PutAll(ctx context.Context, es []store.Entry) error {
	b.batches++
	for _, e := range es {
		if err := b.Memory.Put(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// TestPutAll: a batch where the store takes one, else one by one until the first error.
func TestPutAll(t *testing.T) {
	w := newFrontWorld(t, false)
	es := []store.Entry{w.entry("a", "1"), w.entry("b", "2"), w.entry("c", "3")}
	b := &batcher{Memory: memory(t, store.MemoryConfig{Now: w.c.Now})}
	if err := store.PutAll(w.ctx, b, es); err != nil || b.batches != 1 || b.puts != 0 {
		t.Errorf("%d batches and %d puts, %v", b.batches, b.puts, err)
	}
	w.costs("one by one", 3, func() {
		if err := store.PutAll(w.ctx, w.behind, es); err != nil {
			t.Error(err)
		}
	})
	w.behind.down.Store(true)
	w.costs("until the first error", 1, func() {
		if err := store.PutAll(w.ctx, w.behind, es); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
	})
}
