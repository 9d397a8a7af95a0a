package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/storetest"
)

// A faulty store is a Memory that counts its calls and fails when told to.
type faulty struct {
	*store.Memory
	shared bool
	down   atomic.Bool
	hang   atomic.Bool
	calls  atomic.Int64
	locks  storetest.Locks
	onPut  func() // called at the beginning of a Put
}

var errDown = fmt.Errorf("%w: down on purpose", store.ErrUnavailable)

func (f *faulty) call(ctx context.Context) error {
	f.calls.Add(1)
	if f.hang.Load() {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	if f.down.Load() {
		return errDown
	}
	return nil
}

func (f *faulty) Shared() bool { return f.shared }

func (f *faulty) Get(ctx context.Context, key string) (store.Entry, bool, error) {
	if err := f.call(ctx); err != nil {
		return store.Entry{}, false, err
	}
	return f.Memory.Get(ctx, key)
}

func (f *faulty) Put(ctx context.Context, e store.Entry) error {
	if f.onPut != nil {
		f.onPut()
	}
	if err := f.call(ctx); err != nil {
		return err
	}
	return f.Memory.Put(ctx, e)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if err := f.call(ctx); err != nil {
		return err
	}
	return f.Memory.Delete(ctx, key)
}

func (f *faulty) All(ctx context.Context, prefix string, fn func(store.Entry) bool) error {
	if err := f.call(ctx); err != nil {
		return err
	}
	return f.Memory.All(ctx, prefix, fn)
}

func (f *faulty) Lock(ctx context.Context, name string, ttl time.Duration) (store.Lock, bool, error) {
	if err := f.call(ctx); err != nil {
		return nil, false, err
	}
	return f.locks.Lock(ctx, name, ttl)
}

func newFaulty(t *testing.T, c *storetest.Clock, shared bool) *faulty {
	return &faulty{Memory: memory(t, store.MemoryConfig{Now: c.Now}), shared: shared, locks: storetest.Locks{Now: c.Now}}
}

func TestFront(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %v", shared), func(t *testing.T) {
			c := storetest.NewClock()
			open := func(t *testing.T) store.Store {
				front, err := store.NewFront(store.FrontConfig{Behind: newFaulty(t, c, shared), Now: c.Now})
				if err != nil {
					t.Fatal(err)
				}
				return front
			}
			storetest.Run(t, storetest.Options{Open: open, Advance: c.Advance, Now: c.Now})
		})
	}
}

func TestFrontConfig(t *testing.T) {
	if _, err := store.NewFront(store.FrontConfig{Age: -1}); err == nil || !strings.Contains(err.Error(), "Behind") || !strings.Contains(err.Error(), "Age") {
		t.Errorf("got %v, want both problems", err)
	}
}

type frontWorld struct {
	*testing.T
	c      *storetest.Clock
	behind *faulty
	front  *store.Front
	log    bytes.Buffer
	ctx    context.Context
}

func newFrontWorld(t *testing.T, shared bool) *frontWorld {
	w := &frontWorld{T: t, c: storetest.NewClock(), ctx: context.Background()}
	w.behind = newFaulty(t, w.c, shared)
	w.front = w.another()
	return w
}

// another makes a second process that shares the store behind.
func (w *frontWorld) another() *store.Front {
	f, err := store.NewFront(store.FrontConfig{Behind: w.behind, Now: w.c.Now, Logger: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		w.Fatal(err)
	}
	return f
}

func (w *frontWorld) entry(key, value string) store.Entry {
	return store.Entry{Key: key, Value: []byte(value), Class: store.Enforce, Expires: w.c.Now().Add(24 * time.Hour)}
}

func (w *frontWorld) put(f store.Store, key, value string) error {
	return f.Put(w.ctx, w.entry(key, value))
}

// get returns the value under key, "-" for absent, "?" for not known.
func (w *frontWorld) get(f store.Store, key string) string {
	e, ok, err := f.Get(w.ctx, key)
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return "?"
	case err != nil:
		w.Fatal(err)
	case !ok:
		return "-"
	}
	return string(e.Value)
}

func (w *frontWorld) want(what, got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("%s: %q, want %q", what, got, want)
	}
}

// costs reports how often f asks the store behind.
func (w *frontWorld) costs(what string, want int64, f func()) {
	w.Helper()
	before := w.behind.calls.Load()
	f()
	if got := w.behind.calls.Load() - before; got != want {
		w.Errorf("%s: %d calls of the store behind, want %d", what, got, want)
	}
}

func TestFrontWarm(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %v", shared), func(t *testing.T) {
			w := newFrontWorld(t, shared)
			w.behind.Memory.Put(w.ctx, w.entry("k", "v"))
			w.costs("cold", 1, func() { w.want("cold", w.get(w.front, "k"), "v") })
			w.costs("warm", 0, func() { w.want("warm", w.get(w.front, "k"), "v") })
			w.costs("absent, cold", 1, func() { w.want("absent", w.get(w.front, "n"), "-") })
			w.costs("absent, warm", 0, func() { w.want("absent", w.get(w.front, "n"), "-") })
			if err := w.put(w.front, "n", "now"); err != nil {
				t.Fatal(err)
			}
			w.costs("stored", 0, func() { w.want("stored", w.get(w.front, "n"), "now") })
			w.c.Advance(store.DefaultFrontAge)
			after := int64(0)
			if shared {
				after = 1
			}
			w.costs("a minute later", after, func() { w.want("later", w.get(w.front, "k"), "v") })
			w.costs("an absence a minute later", 1, func() { w.want("absent", w.get(w.front, "m"), "-") })
			w.c.Advance(store.DefaultFrontAge)
			w.costs("an absence two minutes later", 1, func() { w.want("absent", w.get(w.front, "m"), "-") })
			w.c.Advance(24 * time.Hour)
			w.want("expired", w.get(w.front, "k"), "-")
		})
	}
}

func TestFrontSeesOthers(t *testing.T) {
	w := newFrontWorld(t, true)
	other := w.another()
	w.put(w.front, "k", "old")
	w.want("other", w.get(other, "k"), "old")
	w.put(other, "k", "new")
	w.want("a copy", w.get(w.front, "k"), "old")
	e, ok, err := w.front.Fresh(w.ctx, "k")
	if err != nil || !ok {
		t.Fatal(err)
	}
	w.want("Fresh", string(e.Value), "new")
	w.want("the copy after Fresh", w.get(w.front, "k"), "new")
	w.put(other, "k", "newer")
	w.c.Advance(store.DefaultFrontAge - 1)
	w.want("a copy not yet a minute old", w.get(w.front, "k"), "new")
	w.c.Advance(1)
	w.want("a copy of a minute", w.get(w.front, "k"), "newer")
}

func TestFrontOwnStoreIsNotAskedAgain(t *testing.T) {
	w := newFrontWorld(t, false)
	w.put(w.front, "k", "v")
	w.costs("Fresh", 0, func() {
		if e, ok, err := w.front.Fresh(w.ctx, "k"); err != nil || !ok || string(e.Value) != "v" {
			t.Errorf("got %q, %v, %v", e.Value, ok, err)
		}
	})
	if w.front.Shared() {
		t.Error("says that it is shared")
	}
	l, ok, err := w.front.Lock(w.ctx, "x", time.Minute)
	if err != nil || !ok {
		t.Errorf("Lock: %v, %v", ok, err)
	}
	if err := l.Unlock(w.ctx); err != nil {
		t.Error(err)
	}
}

func TestFrontWhenTheStoreIsDown(t *testing.T) {
	w := newFrontWorld(t, true)
	w.put(w.front, "k", "v")
	if err := w.front.Check(w.ctx); err != nil {
		t.Errorf("Check of a store that answers: %v", err)
	}
	w.behind.down.Store(true)
	w.c.Advance(store.DefaultFrontAge)
	w.costs("old copy", 1, func() { w.want("what is known is served", w.get(w.front, "k"), "v") })
	w.costs("left alone", 0, func() {
		w.want("known", w.get(w.front, "k"), "v")
		w.want("not known", w.get(w.front, "n"), "?")
		if err := w.put(w.front, "p", "kept"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Put: %v", err)
		}
		w.want("put while down", w.get(w.front, "p"), "kept")
	})
	w.c.Advance(5 * time.Second)
	w.costs("asked again", 1, func() { w.want("known", w.get(w.front, "k"), "v") })
	if s := w.front.Stats(); s.Stale != 3 || s.Failed != 2 || s.Unwritten != 1 || s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
	if n := strings.Count(w.log.String(), "unavailable;"); n != 1 {
		t.Errorf("the failure is logged %d times, want once:\n%s", n, w.log.String())
	}
	w.c.Advance(5 * time.Second)
	if err := w.front.Sync(w.ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Sync while down: %v", err)
	}
	if err := w.front.Check(w.ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Check while down: %v", err)
	}
	w.behind.down.Store(false)
	w.c.Advance(5 * time.Second)
	if err := w.front.Check(w.ctx); err != nil {
		t.Errorf("Check after the return: %v", err)
	}
	if err := w.front.Sync(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.want("written after all", w.get(w.behind, "p"), "kept")
	if s := w.front.Stats(); s.Unwritten != 0 {
		t.Errorf("stats %+v", s)
	}
	if !strings.Contains(w.log.String(), "available again") {
		t.Errorf("the return is not logged:\n%s", w.log.String())
	}
	w.costs("nothing to sync", 0, func() { w.front.Sync(w.ctx) })
}

func TestFrontUnwrittenIsServedWithoutACopy(t *testing.T) {
	w := newFrontWorld(t, true)
	small := memory(t, store.MemoryConfig{MaxEntries: 1, Now: w.c.Now})
	f, err := store.NewFront(store.FrontConfig{Behind: w.behind, Memory: small, Now: w.c.Now})
	if err != nil {
		t.Fatal(err)
	}
	w.put(w.behind, "b", "old")
	w.behind.down.Store(true)
	w.put(f, "a", "1")
	w.put(f, "b", "2")
	w.put(f, "c", "3")
	w.want("a", w.get(f, "a"), "1")
	w.want("b", w.get(f, "b"), "2")
	w.behind.down.Store(false)
	w.c.Advance(time.Hour)
	// What is behind is older than what waits.
	e, ok, err := f.Fresh(w.ctx, "b")
	if err != nil || !ok || string(e.Value) != "2" {
		t.Errorf("Fresh: %q, %v, %v", e.Value, ok, err)
	}
	seen := ""
	if err := f.All(w.ctx, "", func(e store.Entry) bool { seen += e.Key + string(e.Value); return true }); err != nil || len(seen) != 6 || strings.Contains(seen, "old") {
		t.Errorf("All shows %q, %v", seen, err)
	}
	w.c.Advance(24 * time.Hour)
	w.want("expired while waiting", w.get(f, "a"), "-")
	// A batch that could be written waits no longer; a delete neither.
	w.behind.down.Store(true)
	w.put(f, "d", "4")
	w.put(f, "e", "5")
	w.behind.down.Store(false)
	w.c.Advance(time.Minute)
	if err := f.PutAll(w.ctx, []store.Entry{w.entry("d", "6")}); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(w.ctx, "e"); err != nil {
		t.Fatal(err)
	}
	f.Sync(w.ctx)
	w.want("d", w.get(w.behind, "d"), "6")
	w.want("e", w.get(w.behind, "e"), "-")
}

func TestFrontHangingStore(t *testing.T) {
	w := newFrontWorld(t, true)
	w.put(w.front, "k", "v")
	w.behind.hang.Store(true)
	w.c.Advance(store.DefaultFrontAge)
	start := time.Now()
	w.want("known", w.get(w.front, "k"), "v")
	w.want("not known", w.get(w.front, "n"), "?")
	if took := time.Since(start); took < 400*time.Millisecond || took > 5*time.Second {
		t.Errorf("took %s: one timeout is wanted", took)
	}
}

// TestFrontCallerLeaves: a caller that has left says nothing of the store.
func TestFrontCallerLeaves(t *testing.T) {
	w := newFrontWorld(t, true)
	ctx, cancel := context.WithCancel(w.ctx)
	w.behind.hang.Store(true)
	go cancel()
	if _, _, err := w.front.Get(ctx, "n"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	w.behind.hang.Store(false)
	w.want("asked at once", w.get(w.front, "n"), "-")
}

// TestFrontHealsOnce: an entry whose writing back failed waits, and is one loss.
func TestFrontHealsOnce(t *testing.T) {
	w := newFrontWorld(t, true)
	w.put(w.front, "k", "v")
	w.behind.Memory.Delete(w.ctx, "k")
	w.c.Advance(store.DefaultFrontAge)
	w.behind.onPut = func() { w.behind.down.Store(true) }
	w.want("served", w.get(w.front, "k"), "v")
	w.behind.onPut = nil
	w.behind.down.Store(false)
	w.c.Advance(store.DefaultFrontAge)
	calls := w.behind.calls.Load()
	w.want("served again", w.get(w.front, "k"), "v")
	if w.behind.calls.Load() == calls {
		t.Error("the store behind was not asked")
	}
	w.front.Sync(w.ctx)
	w.want("written back", w.get(w.behind, "k"), "v")
	if s := w.front.Stats(); s.Healed != 1 || s.Unwritten != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestFrontHealsASharedStore(t *testing.T) {
	w := newFrontWorld(t, true)
	w.put(w.front, "k", "v")
	w.behind.Memory.Delete(w.ctx, "k") // the server was restarted without its data
	w.c.Advance(store.DefaultFrontAge)
	w.want("served", w.get(w.front, "k"), "v")
	w.want("written back", w.get(w.behind, "k"), "v")
	if s := w.front.Stats(); s.Healed != 1 {
		t.Errorf("stats %+v", s)
	}
	if !strings.Contains(w.log.String(), "lost an entry") {
		t.Errorf("not logged:\n%s", w.log.String())
	}
	if err := w.front.Delete(w.ctx, "k"); err != nil {
		t.Fatal(err)
	}
	w.want("deleted", w.get(w.front, "k"), "-")
}

func TestFrontUnwrittenIsBounded(t *testing.T) {
	w := newFrontWorld(t, true)
	w.behind.down.Store(true)
	for i := range 10_002 {
		w.put(w.front, fmt.Sprint("k", i), "v")
	}
	w.put(w.front, "k0", "again") // one that waits already
	if s := w.front.Stats(); s.Unwritten != 10_000 || s.Lost != 2 {
		t.Errorf("stats: %d wait, %d lost", s.Unwritten, s.Lost)
	}
	w.want("in memory all the same", w.get(w.front, "k10001"), "v")
}

func TestFrontLock(t *testing.T) {
	w := newFrontWorld(t, true)
	l, ok, err := w.front.Lock(w.ctx, "x", time.Minute)
	if err != nil || !ok {
		t.Fatalf("Lock: %v, %v", ok, err)
	}
	if _, ok, err := w.another().Lock(w.ctx, "x", time.Minute); err != nil || ok {
		t.Errorf("the second Lock: %v, %v", ok, err)
	}
	l.Unlock(w.ctx)
	w.behind.down.Store(true)
	if _, ok, err := w.front.Lock(w.ctx, "x", time.Minute); !errors.Is(err, store.ErrUnavailable) || ok {
		t.Errorf("Lock while down: %v, %v", ok, err)
	}
}

func TestFrontOwnStoreFails(t *testing.T) {
	// A full disk: no pause, each write is tried.
	w := newFrontWorld(t, false)
	w.put(w.front, "k", "v")
	w.behind.down.Store(true)
	w.costs("two writes", 2, func() {
		for range 2 {
			if err := w.put(w.front, "k", "new"); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Put: %v", err)
			}
		}
	})
	w.want("nothing lost", w.get(w.front, "k"), "new")
	w.want("not known", w.get(w.front, "n"), "?")
	if s := w.front.Stats(); s.Unwritten != 1 || s.Failed != 3 {
		t.Errorf("stats %+v", s)
	}
	w.behind.down.Store(false)
	if err := w.front.Close(); err != nil {
		t.Error(err)
	}
}

func TestFrontCloseWritesWhatWaits(t *testing.T) {
	w := newFrontWorld(t, false)
	w.behind.down.Store(true)
	w.put(w.front, "k", "v")
	if err := w.front.Close(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Close while down: %v", err)
	}
}

// TestFrontAbsentWhileDown: an absence that the store has stated counts while it is down for as
// long as it may, and one that it has not stated is not known.
func TestFrontAbsentWhileDown(t *testing.T) {
	w := newFrontWorld(t, true)
	f, err := store.NewFront(store.FrontConfig{Behind: w.behind, AbsentWhileDown: time.Hour, Now: w.c.Now})
	if err != nil {
		t.Fatal(err)
	}
	w.want("absent", w.get(f, "a"), "-")
	w.want("absent, by default", w.get(w.front, "a"), "-")
	w.behind.down.Store(true)
	w.c.Advance(10 * time.Minute)
	w.want("stated before", w.get(f, "a"), "-")
	w.want("stated before, by default", w.get(w.front, "a"), "?")
	w.want("never asked for", w.get(f, "b"), "?")
	if f.Unavailable() == nil {
		t.Error("not unavailable")
	}
	w.c.Advance(50 * time.Minute)
	w.want("stated too long ago", w.get(f, "a"), "?")
	// What another has stored counts as soon as the store is back.
	w.behind.down.Store(false)
	if err := w.put(w.front, "a", "new"); err != nil {
		t.Fatal(err)
	}
	w.c.Advance(time.Minute)
	w.want("stored by another", w.get(f, "a"), "new")
	if err := f.Unavailable(); err != nil {
		t.Error(err)
	}
	// What this process has stored is never absent.
	w.want("absent", w.get(f, "c"), "-")
	if err := w.put(f, "c", "mine"); err != nil {
		t.Fatal(err)
	}
	w.behind.down.Store(true)
	w.c.Advance(10 * time.Minute)
	w.want("stored here", w.get(f, "c"), "mine")
	if _, err := store.NewFront(store.FrontConfig{Behind: w.behind, AbsentWhileDown: -1}); err == nil {
		t.Error("a negative AbsentWhileDown")
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
