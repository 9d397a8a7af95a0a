// Package storetest runs any [store.Store] through what the contract promises. A store
// is good if [Run] passes; what a store promises beyond that (durability, room) is
// tested by its own package.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
)

// Options say how a store is made and how its time passes.
type Options struct {
	// Open returns an empty store. It is called once a subtest. The suite closes it.
	Open func(t *testing.T) store.Store
	// Advance moves the clock of the stores that Open has made. Nil: their clock is the
	// real one, and the suite waits.
	Advance func(d time.Duration)
	// Now is the time of that clock; nil: time.Now.
	Now func() time.Time
}

// wait bounds how long the suite waits for what should happen soon.
const wait = 10 * time.Second

// Run tests the store that o opens.
func Run(t *testing.T, o Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, c := range []struct {
		name string
		f    func(*suite)
	}{
		{"absent", (*suite).absent},
		{"whole", (*suite).whole},
		{"replace", (*suite).replace},
		{"delete", (*suite).delete},
		{"expire", (*suite).expire},
		{"expired already", (*suite).expiredAlready},
		{"all", (*suite).all},
		{"all stops", (*suite).allStops},
		{"all and the other methods", (*suite).allReenters},
		{"bad entries", (*suite).badEntries},
		{"largest entry", (*suite).largest},
		{"odd keys", (*suite).oddKeys},
		{"batch", (*suite).batch},
		{"cancel", (*suite).cancel},
		{"close", (*suite).close},
		{"close in the middle", (*suite).closeInTheMiddle},
		{"groups and uses", (*suite).groups},
		{"many at once", (*suite).many},
		{"lock", (*suite).lock},
		{"lock ends", (*suite).lockEnds},
		{"against a model", (*suite).model},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, o: o, st: o.Open(t), ctx: context.Background()}
			defer s.st.Close()
			c.f(s)
		})
	}
}

type suite struct {
	*testing.T
	o   Options
	st  store.Store
	ctx context.Context
}

func (s *suite) in(d time.Duration) time.Time { return s.o.Now().Add(d) }

func (s *suite) put(key, value string, c store.Class, d time.Duration) store.Entry {
	s.Helper()
	e := store.Entry{Key: key, Value: []byte(value), Class: c, Expires: s.in(d)}
	if err := s.st.Put(s.ctx, e); err != nil {
		s.Fatalf("Put %q: %v", key, err)
	}
	return e
}

// want gets key and compares.
func (s *suite) want(e store.Entry) {
	s.Helper()
	got, ok, err := s.st.Get(s.ctx, e.Key)
	if err != nil || !ok {
		s.Fatalf("Get %q: ok %v, error %v", e.Key, ok, err)
	}
	s.same(got, e)
}

func (s *suite) same(got, want store.Entry) {
	s.Helper()
	d := got.Expires.Sub(want.Expires).Abs()
	if got.Key != want.Key || !bytes.Equal(got.Value, want.Value) || got.Class != want.Class || d > time.Millisecond {
		s.Fatalf("got %q = %.60q, %s, %s; want %q = %.60q, %s, %s", got.Key, got.Value, got.Class, got.Expires, want.Key, want.Value, want.Class, want.Expires)
	}
}

func (s *suite) wantAbsent(key string) {
	s.Helper()
	if e, ok, err := s.st.Get(s.ctx, key); err != nil || ok {
		s.Fatalf("Get %q: %q, ok %v, error %v; want absence", key, e.Value, ok, err)
	}
}

func (s *suite) wantUnavailable(what string, err error) {
	s.Helper()
	if !errors.Is(err, store.ErrUnavailable) {
		s.Errorf("%s: error %v, want one that wraps ErrUnavailable", what, err)
	}
}

func (s *suite) absent() {
	s.wantAbsent("nothing")
	if err := s.st.Delete(s.ctx, "nothing"); err != nil {
		s.Errorf("Delete of what is not there: %v", err)
	}
	if err := s.st.All(s.ctx, "", func(e store.Entry) bool { s.Errorf("an empty store shows %q", e.Key); return true }); err != nil {
		s.Errorf("All: %v", err)
	}
}

func (s *suite) whole() {
	for c := range store.Class(store.Classes) {
		s.want(s.put("k/"+c.String(), "value of "+c.String(), c, time.Hour))
	}
	s.want(s.put("empty", "", store.None, time.Hour))
	s.want(s.put("bytes", "\x00\xff\r\n\x80", store.Enforce, time.Hour))
	s.want(s.put("far", "x", store.Enforce, 366*24*time.Hour))
	s.want(s.put("precise", "x", store.Enforce, time.Hour+123456789*time.Nanosecond))
}

func (s *suite) replace() {
	s.put("k", "old and longer", store.Enforce, time.Hour)
	e := s.put("k", "new", store.Negative, 2*time.Hour)
	s.want(e)
	e = s.put("k", "newer", store.Enforce, time.Minute)
	s.want(e)
	n := 0
	if err := s.st.All(s.ctx, "", func(got store.Entry) bool { n++; s.same(got, e); return true }); err != nil || n != 1 {
		s.Errorf("All shows %d entries, error %v", n, err)
	}
}

func (s *suite) delete() {
	s.put("a", "1", store.Enforce, time.Hour)
	b := s.put("b", "2", store.Enforce, time.Hour)
	if err := s.st.Delete(s.ctx, "a"); err != nil {
		s.Fatal(err)
	}
	s.wantAbsent("a")
	s.want(b)
	s.want(s.put("a", "again", store.Enforce, time.Hour))
}

// pass lets d go by, and then calls f until it says true.
func (s *suite) pass(d time.Duration, f func() bool) {
	s.Helper()
	if s.o.Advance != nil {
		s.o.Advance(d)
		if !f() {
			s.Fatal("it has not happened")
		}
		return
	}
	end := time.Now().Add(wait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		if time.Now().After(end) {
			s.Fatal("it has not happened in time")
		}
		<-tick.C
	}
}

func (s *suite) expire() {
	const short = 200 * time.Millisecond
	b := s.put("long", "2", store.Negative, time.Hour)
	a := s.put("short", "1", store.Enforce, short)
	if s.o.Advance != nil {
		s.want(a) // a real clock may be late already
	}
	s.pass(short, func() bool {
		_, ok, err := s.st.Get(s.ctx, "short")
		if err != nil {
			s.Fatal(err)
		}
		if ok && !s.o.Now().Before(a.Expires.Add(50*time.Millisecond)) {
			s.Fatalf("still there %s after its end", s.o.Now().Sub(a.Expires))
		}
		return !ok
	})
	if s.o.Now().Before(a.Expires.Add(-time.Millisecond)) {
		s.Error("gone before its end")
	}
	s.want(b)
	if err := s.st.All(s.ctx, "", func(e store.Entry) bool {
		if e.Key != "long" {
			s.Errorf("All shows the expired %q", e.Key)
		}
		return true
	}); err != nil {
		s.Error(err)
	}
	s.want(s.put("short", "again", store.Enforce, time.Hour))
}

func (s *suite) expiredAlready() {
	s.put("k", "old", store.Enforce, time.Hour)
	s.put("k", "new", store.Enforce, -time.Second)
	s.wantAbsent("k")
	s.put("k", "old", store.Enforce, time.Hour)
	s.put("k", "new", store.Enforce, 0)
	s.wantAbsent("k")
	s.put("other", "new", store.Enforce, -time.Hour)
	s.wantAbsent("other")
}

func (s *suite) all() {
	want := map[string]store.Entry{}
	var es []store.Entry
	for i := range 1500 {
		e := store.Entry{Key: fmt.Sprintf("p/%d", i), Value: fmt.Append(nil, i), Class: store.Class(i % store.Classes), Expires: s.in(time.Hour)}
		want[e.Key] = e
		es = append(es, e)
		e.Key = fmt.Sprintf("q/%d", i)
		es = append(es, e)
	}
	if err := store.PutAll(s.ctx, s.st, es); err != nil {
		s.Fatal(err)
	}
	// What looks like a pattern is none.
	want["p/*"] = s.put("p/*", "star", store.Enforce, time.Hour)
	s.put("P/1", "no", store.Enforce, time.Hour)
	s.put("p", "no", store.Enforce, time.Hour)
	seen := map[string]bool{}
	if err := s.st.All(s.ctx, "p/", func(e store.Entry) bool {
		w, ok := want[e.Key]
		if !ok {
			s.Errorf("All shows %q", e.Key)
			return true
		}
		s.same(e, w)
		seen[e.Key] = true
		return true
	}); err != nil {
		s.Fatal(err)
	}
	if len(seen) != len(want) {
		s.Errorf("All shows %d of %d entries", len(seen), len(want))
	}
	for _, prefix := range []string{"p/*", "[p]", "?", "p/\\"} {
		n := 0
		if err := s.st.All(s.ctx, prefix, func(store.Entry) bool { n++; return true }); err != nil {
			s.Fatal(err)
		}
		if (prefix == "p/*") != (n == 1) || n > 1 {
			s.Errorf("All with prefix %q shows %d entries", prefix, n)
		}
	}
}

func (s *suite) allStops() {
	for i := range 10 {
		s.put(fmt.Sprint(i), "v", store.Enforce, time.Hour)
	}
	n := 0
	if err := s.st.All(s.ctx, "", func(store.Entry) bool { n++; return n < 3 }); err != nil || n != 3 {
		s.Errorf("called %d times, error %v", n, err)
	}
}

func (s *suite) allReenters() {
	for i := range 10 {
		s.put(fmt.Sprint("a", i), "v", store.Enforce, time.Hour)
	}
	if err := s.st.All(s.ctx, "a", func(e store.Entry) bool {
		if _, _, err := s.st.Get(s.ctx, e.Key); err != nil {
			s.Errorf("Get within All: %v", err)
		}
		s.put("b"+e.Key, "v", store.Enforce, time.Hour)
		if err := s.st.Delete(s.ctx, e.Key); err != nil {
			s.Errorf("Delete within All: %v", err)
		}
		return true
	}); err != nil {
		s.Fatal(err)
	}
	for i := range 10 {
		s.wantAbsent(fmt.Sprint("a", i))
	}
}

func (s *suite) badEntries() {
	good := store.Entry{Key: "k", Value: []byte("v"), Class: store.Enforce, Expires: s.in(time.Hour)}
	if err := good.Check(); err != nil {
		s.Fatal(err)
	}
	for name, change := range map[string]func(*store.Entry){
		"no key":      func(e *store.Entry) { e.Key = "" },
		"long key":    func(e *store.Entry) { e.Key = strings.Repeat("k", store.MaxKey+1) },
		"long value":  func(e *store.Entry) { e.Value = make([]byte, store.MaxValue+1) },
		"class":       func(e *store.Entry) { e.Class = store.Classes },
		"no expiry":   func(e *store.Entry) { e.Expires = time.Time{} },
		"long group":  func(e *store.Entry) { e.Group = strings.Repeat("g", store.MaxGroup+1) },
		"far expiry":  func(e *store.Entry) { e.Expires = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC) },
		"past expiry": func(e *store.Entry) { e.Expires = time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		e := good
		change(&e)
		if err := s.st.Put(s.ctx, e); !errors.Is(err, store.ErrEntry) {
			s.Errorf("%s: error %v, want one that wraps ErrEntry", name, err)
		}
	}
	s.wantAbsent("k")
}

func (s *suite) largest() {
	key := strings.Repeat("k", store.MaxKey-1) + "e"
	s.want(s.put(key, strings.Repeat("v", store.MaxValue-1)+"e", store.Enforce, time.Hour))
	s.wantAbsent(key[:len(key)-1])
}

func (s *suite) oddKeys() {
	var es []store.Entry
	for _, k := range []string{" ", "a b", "\x00", "\xff\xfe", "a\r\nb", "ä", "{a}", "a:b", "sts/p/x", "sts/p/x.y"} {
		es = append(es, s.put(k, "value of "+k, store.Enforce, time.Hour))
	}
	for _, e := range es {
		s.want(e)
	}
	n := 0
	if err := s.st.All(s.ctx, "", func(store.Entry) bool { n++; return true }); err != nil || n != len(es) {
		s.Errorf("All shows %d of %d, error %v", n, len(es), err)
	}
}

func (s *suite) batch() {
	var es []store.Entry
	for i := range 1000 {
		es = append(es, store.Entry{Key: fmt.Sprint("k", i), Value: fmt.Append(nil, "v", i), Class: store.Class(i % store.Classes), Expires: s.in(time.Hour)})
	}
	if err := store.PutAll(s.ctx, s.st, es); err != nil {
		s.Fatal(err)
	}
	for _, e := range es {
		s.want(e)
	}
	es[500].Key = ""
	if err := store.PutAll(s.ctx, s.st, es); !errors.Is(err, store.ErrEntry) {
		s.Errorf("error %v, want one that wraps ErrEntry", err)
	}
	if err := store.PutAll(s.ctx, s.st, nil); err != nil {
		s.Errorf("an empty batch: %v", err)
	}
}

func (s *suite) cancel() {
	e := s.put("k", "v", store.Enforce, time.Hour)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, ok, err := s.st.Get(ctx, "k")
	if err == nil && !ok {
		s.Error("a cancelled Get says absent")
	}
	for what, err := range map[string]error{
		"Get":    err,
		"Put":    s.st.Put(ctx, store.Entry{Key: "x", Class: store.Enforce, Expires: s.in(time.Hour)}),
		"Delete": s.st.Delete(ctx, "x"),
		"All":    s.st.All(ctx, "", func(store.Entry) bool { return true }),
	} {
		s.wantUnavailable(what, err)
		if !errors.Is(err, context.Canceled) {
			s.Errorf("%s: error %v, want one that wraps context.Canceled", what, err)
		}
	}
	s.want(e)
	// A walk that is cancelled on the way is not a complete walk.
	s.put("k2", "v", store.Enforce, time.Hour)
	ctx, cancel = context.WithCancel(s.ctx)
	defer cancel()
	n := 0
	err = s.st.All(ctx, "", func(store.Entry) bool { n++; cancel(); return true })
	if n == 1 || err != nil {
		s.wantUnavailable("All", err)
	}
}

func (s *suite) close() {
	s.put("k", "v", store.Enforce, time.Hour)
	if err := s.st.Close(); err != nil {
		s.Fatal(err)
	}
	_, ok, err := s.st.Get(s.ctx, "k")
	if ok {
		s.Error("a closed store has an entry")
	}
	s.wantUnavailable("Get", err)
	s.wantUnavailable("Put", s.st.Put(s.ctx, store.Entry{Key: "x", Class: store.Enforce, Expires: s.in(time.Hour)}))
	s.wantUnavailable("Delete", s.st.Delete(s.ctx, "k"))
	s.wantUnavailable("All", s.st.All(s.ctx, "", func(store.Entry) bool { return true }))
	if b, ok := s.st.(store.Batcher); ok {
		s.wantUnavailable("PutAll", b.PutAll(s.ctx, []store.Entry{{Key: "x", Class: store.Enforce, Expires: s.in(time.Hour)}}))
	}
	if err := s.st.Close(); err != nil {
		s.Errorf("the second Close: %v", err)
	}
}

// closeInTheMiddle: who is in a method when Close comes gets an answer or an error.
func (s *suite) closeInTheMiddle() {
	e := s.put("k", "v", store.Enforce, time.Hour)
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				got, ok, err := s.st.Get(s.ctx, "k")
				if err != nil {
					s.wantUnavailable("Get", err)
					return
				}
				if !ok || !bytes.Equal(got.Value, e.Value) {
					s.Errorf("Get: %q, %v", got.Value, ok)
					return
				}
				if err := s.st.Put(s.ctx, store.Entry{Key: fmt.Sprint(i), Class: store.Enforce, Expires: s.in(time.Hour)}); err != nil {
					s.wantUnavailable("Put", err)
					return
				}
				if n == 0 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		select {
		case <-started:
		case <-time.After(wait):
			s.Fatal("a method did not return in time")
		}
	}
	if err := s.st.Close(); err != nil {
		s.Error(err)
	}
	wg.Wait()
}

func (s *suite) many() {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 20 {
				key := fmt.Sprint("own", i)
				value := fmt.Sprint(i, n)
				err := s.st.Put(s.ctx, store.Entry{Key: key, Value: []byte(value), Class: store.Class(n % store.Classes), Expires: s.in(time.Hour)})
				if err != nil {
					s.Errorf("Put: %v", err)
					return
				}
				if e, ok, err := s.st.Get(s.ctx, key); err != nil || !ok || string(e.Value) != value || e.Class != store.Class(n%store.Classes) {
					s.Errorf("Get after Put of %q: %q, %v, %v", value, e.Value, ok, err)
				}
				// A value of the common key is one that was put, whole.
				common := strings.Repeat(fmt.Sprint(i%10), 1000)
				if err := s.st.Put(s.ctx, store.Entry{Key: "common", Value: []byte(common), Class: store.Enforce, Expires: s.in(time.Hour)}); err != nil {
					s.Errorf("Put: %v", err)
				}
				e, ok, err := s.st.Get(s.ctx, "common")
				if err != nil || !ok || len(e.Value) != 1000 || strings.Trim(string(e.Value), string(e.Value[:1])) != "" {
					s.Errorf("the common value is a mixture: %.20q, %v, %v", e.Value, ok, err)
				}
			}
		})
	}
	wg.Wait()
}

func (s *suite) locker() store.Locker {
	l, ok := s.st.(store.Locker)
	if !ok {
		s.Skip("the store has no locks: it is not shared")
	}
	if sh, ok := s.st.(store.Sharer); !ok || !sh.Shared() {
		s.Skip("the store is not shared")
	}
	return l
}

func (s *suite) lock() {
	l := s.locker()
	a, ok, err := l.Lock(s.ctx, "work", time.Minute)
	if err != nil || !ok {
		s.Fatalf("the first Lock: %v, %v", ok, err)
	}
	if _, ok, err := l.Lock(s.ctx, "work", time.Minute); err != nil || ok {
		s.Errorf("the second Lock: %v, %v", ok, err)
	}
	if _, ok, err := l.Lock(s.ctx, "other", time.Minute); err != nil || !ok {
		s.Errorf("another Lock: %v, %v", ok, err)
	}
	if err := a.Unlock(s.ctx); err != nil {
		s.Fatal(err)
	}
	if _, ok, err := l.Lock(s.ctx, "work", time.Minute); err != nil || !ok {
		s.Errorf("Lock after Unlock: %v, %v", ok, err)
	}
	if err := s.st.All(s.ctx, "", func(e store.Entry) bool { s.Errorf("All shows the lock as %q", e.Key); return true }); err != nil {
		s.Error(err)
	}
}

func (s *suite) lockEnds() {
	l := s.locker()
	kept, ok, err := l.Lock(s.ctx, "kept", 200*time.Millisecond)
	if err != nil || !ok {
		s.Fatalf("Lock: %v, %v", ok, err)
	}
	if held, err := kept.Renew(s.ctx, time.Hour); err != nil || !held {
		s.Errorf("Renew: %v, %v", held, err)
	}
	a, ok, err := l.Lock(s.ctx, "work", 200*time.Millisecond)
	if err != nil || !ok {
		s.Fatalf("Lock: %v, %v", ok, err)
	}
	s.pass(200*time.Millisecond, func() bool {
		_, ok, err := l.Lock(s.ctx, "work", time.Minute)
		if err != nil {
			s.Fatal(err)
		}
		return ok
	})
	// The first holder comes late: the lock of the second stays.
	if held, err := a.Renew(s.ctx, time.Minute); err != nil || held {
		s.Errorf("Renew of a lock that has ended: %v, %v", held, err)
	}
	if err := a.Unlock(s.ctx); err != nil {
		s.Error(err)
	}
	if _, ok, err := l.Lock(s.ctx, "work", time.Minute); err != nil || ok {
		s.Errorf("Lock while the second holder has it: %v, %v", ok, err)
	}
	if _, ok, err := l.Lock(s.ctx, "kept", time.Minute); err != nil || ok {
		s.Errorf("Lock of what was renewed: %v, %v", ok, err)
	}
}

// model plays random steps and compares with a map.
func (s *suite) model() {
	rnd := rand.New(rand.NewPCG(1, 2))
	model := map[string]store.Entry{}
	for range 500 {
		key := fmt.Sprint("k", rnd.IntN(20))
		switch rnd.IntN(4) {
		case 0, 1:
			model[key] = s.put(key, fmt.Sprint(rnd.Uint64()), store.Class(rnd.IntN(store.Classes)), time.Duration(1+rnd.IntN(100))*time.Hour)
		case 2:
			if err := s.st.Delete(s.ctx, key); err != nil {
				s.Fatal(err)
			}
			delete(model, key)
		case 3:
			if e, ok := model[key]; ok {
				s.want(e)
			} else {
				s.wantAbsent(key)
			}
		}
	}
	n := 0
	if err := s.st.All(s.ctx, "k", func(e store.Entry) bool { n++; s.same(e, model[e.Key]); return true }); err != nil || n != len(model) {
		s.Errorf("All shows %d of %d, error %v", n, len(model), err)
	}
}

// Eventually repeats f until it is true, for 20 seconds at most.
func Eventually(t *testing.T, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it has not happened in time")
		}
	}
}
