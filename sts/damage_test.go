package sts_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// What a store gives back damaged, or does not take.

// entryValue writes the value of a kept policy by the layout in entry.go.
func entryValue(flags byte, fetched time.Time, head, body string) []byte {
	b := []byte{1, flags}
	b = binary.BigEndian.AppendUint64(b, uint64(fetched.UnixNano()))
	b = append(b, make([]byte, 8+2)...)
	return append(append(append(b, byte(len(head))), head...), body...)
}

// keepRaw puts the body, fetched now under the id one, into a store for an hour.
func keepRaw(t *testing.T, s store.Store, domain, body string, class store.Class) {
	t.Helper()
	now := time.Now()
	e := store.Entry{Key: "sts/p/" + domain, Value: entryValue(0, now, "one", body), Class: class, Expires: now.Add(time.Hour)}
	if err := s.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func TestReadEntryDamage(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	good := entryValue(0, now, "one", enforce)
	cut := func(n int) []byte { return good[:n] }
	version := append([]byte{2}, good[1:]...)
	for _, c := range []struct {
		name  string
		value []byte
		class store.Class
		ok    bool
	}{
		{"good", good, store.Enforce, true},
		{"of mode none", good, store.None, true},
		{"of mode testing", good, store.Testing, true},
		{"of no class of policies", good, store.Negative, false},
		{"of another version", version, store.Enforce, false},
		{"cut in the head", cut(20), store.Enforce, false},
		{"empty", nil, store.Enforce, false},
		{"cut in the id", cut(21 + 2), store.Enforce, false},
		{"cut behind the id", cut(21 + 3), store.Enforce, true}, // the body is parsed later
		{"without an id", entryValue(0, now, "", enforce), store.Enforce, false},
		{"with a bad id", entryValue(0, now, "a_b", enforce), store.Enforce, false},
		{"with an unknown flag", entryValue(2, now, "one", enforce), store.Enforce, false},
		{"deleted", entryValue(1, now, "root (admin)", ""), store.Testing, true},
		{"deleted by nobody", entryValue(1, now, "", ""), store.Testing, false},
		{"deleted, with an unknown flag", entryValue(3, now, "root", ""), store.Testing, false},
	} {
		e := store.Entry{Key: "sts/p/example.org", Value: c.value, Class: c.class, Expires: now.Add(time.Hour)}
		back, err := sts.ReadEntry(e, host("example.org"))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.ok && string(back.Value) != string(c.value) {
			t.Errorf("%s: %q, written again as %q", c.name, c.value, back.Value)
		}
	}
}

// TestReadEntryLife: no store prolongs a policy beyond a year after its fetch.
func TestReadEntryLife(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	end := now.Add(sts.MaxMaxAge)
	for _, d := range []time.Duration{-1, 0, 1, time.Hour} {
		e := store.Entry{Key: "sts/p/example.org", Value: entryValue(0, now, "one", enforce), Class: store.Enforce, Expires: end.Add(d)}
		back, err := sts.ReadEntry(e, host("example.org"))
		if want := end.Add(min(d, 0)); err != nil || !back.Expires.Equal(want) {
			t.Errorf("%s: ends %s after the last possible moment, %v", d, back.Expires.Sub(end), err)
		}
	}
}

// noted is a back-off of version 2, made of one of version 1.
func noted(v []byte, note byte) []byte {
	v = slices.Insert(slices.Clone(v), 11, note)
	v[0] = 2
	return v
}

// failureValue writes back-offs by version 1 of the layout in entry.go.
func failureValue(until time.Time, parts ...string) []byte {
	b := []byte{1}
	b = binary.BigEndian.AppendUint64(b, uint64(until.UnixNano()))
	b = append(b, 0, 0)
	for _, p := range parts {
		b = append(append(b, byte(len(p))), p...)
	}
	return b
}

func TestReadFailures(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	good := failureValue(now.Add(time.Minute), "one", "status", "status 500")
	twice := append(append([]byte{}, good...), good[1:]...)
	for _, c := range []struct {
		name  string
		value []byte
		want  int // -1: damage
	}{
		{"good", good, 1},
		{"two", twice, 2},
		{"none", []byte{1}, 0},
		{"empty", nil, -1},
		{"of another version", []byte{3}, -1},
		{"with a note", noted(good, byte(sts.NoteAlert)), 1},
		{"with a note that there is not", noted(good, byte(sts.NoteAlert)+1), -1},
		{"cut at the note", noted(good, 0)[:11], -1},
		{"with nothing in detail", failureValue(now.Add(time.Minute), "one", "dns", ""), 1},
		{"with nothing at all", failureValue(now.Add(time.Minute), "", "", ""), 1},
		{"cut in the time", good[:10], -1},
		{"cut behind the status", good[:11], -1},
		{"cut in the id", good[:13], -1},
		{"cut at the end", good[:len(good)-1], -1},
		{"cut in the second", twice[:len(good)+9], -1},
		{"back-off over", failureValue(now, "one", "dns", "x"), 1},
		{"forgotten", failureValue(now.Add(sts.BackOff-time.Hour), "one", "dns", "x"), 0},
		{"just not forgotten", failureValue(now.Add(sts.BackOff-time.Hour+1), "one", "dns", "x"), 1},
		{"as long as may be", failureValue(now.Add(sts.BackOff), "one", "dns", "x"), 1},
		{"longer than may be", failureValue(now.Add(sts.BackOff+1), "one", "dns", "x"), 0},
	} {
		n, err := sts.ReadFailures(store.Entry{Key: "sts/b/example.org", Value: c.value}, now)
		if c.want < 0 && !errors.Is(err, store.ErrDamaged) || c.want >= 0 && (err != nil || n != c.want) {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
	}
}

// A policyStore is a Memory in whose place tests put other answers.
type policyStore struct {
	*store.Memory
	mu      sync.Mutex
	put     func(store.Entry) error // nil: that of Memory
	del     error
	all     []store.Entry // shown before those of Memory
	allErr  error
	deletes int
}

func (s *policyStore) Put(ctx context.Context, e store.Entry) error {
	s.mu.Lock()
	put := s.put
	s.mu.Unlock()
	if put != nil {
		if err := put(e); err != nil {
			return err
		}
	}
	return s.Memory.Put(ctx, e)
}

func (s *policyStore) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deletes++
	if s.del != nil {
		return s.del
	}
	return s.Memory.Delete(ctx, key)
}

func (s *policyStore) All(ctx context.Context, prefix string, f func(store.Entry) bool) error {
	for _, e := range s.all {
		if !f(e) {
			return nil
		}
	}
	if s.allErr != nil {
		return s.allErr
	}
	return s.Memory.All(ctx, prefix, f)
}

// TestKeysThatAreNone: an entry under a key that this package does not write is damage,
// and hides no other.
func TestKeysThatAreNone(t *testing.T) {
	now := time.Now()
	for _, key := range []string{"example.org", "sts/p/Example.org", "sts/p/", "sts/p/a..b", "sts/b/example.org"} {
		s := &policyStore{Memory: newMemory(t)}
		e := store.Entry{Key: key, Value: entryValue(0, now, "one", enforce), Class: store.Enforce, Expires: now.Add(time.Hour)}
		good := e
		good.Key = "sts/p/good.example"
		s.all = []store.Entry{e, good}
		var got []string
		err := sts.NewCache(s, nil, nil).List(t.Context(), func(i sts.Item) bool { got = append(got, i.Domain.String()); return true })
		if !errors.Is(err, store.ErrDamaged) || fmt.Sprint(got) != "[good.example]" {
			t.Errorf("%q: %v, %v", key, got, err)
		}
	}
}

// TestShowDamage: a body that is no policy, or not of the class under which it is kept.
func TestShowDamage(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		class  store.Class
		syntax bool
	}{"no policy": {"junk", store.Enforce, true}, "of another mode": {enforce, store.Testing, false}} {
		m := newMemory(t)
		keepRaw(t, m, "example.org", c.body, c.class)
		if i, ok, err := sts.NewCache(m, nil, nil).Show(t.Context(), host("example.org")); ok || !errors.Is(err, store.ErrDamaged) || errors.Is(err, sts.ErrPolicy) != c.syntax {
			t.Errorf("%s: %+v, %v, %v", name, i, ok, err)
		}
	}
}

// TestDeleteNotDone: what could not be taken away is not said to be.
func TestDeleteNotDone(t *testing.T) {
	s := &policyStore{Memory: newMemory(t), del: errBroken}
	keepRaw(t, s, "example.org", enforce, store.Enforce)
	c, log := cacheOf(s)
	if was, err := c.Delete(t.Context(), host("example.org"), "root"); was || !errors.Is(err, errBroken) || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%v, %v; log:\n%s", was, err, log.String())
	}
	if _, ok, err := c.Show(t.Context(), host("example.org")); !ok || err != nil {
		t.Errorf("the policy is gone: %v", err)
	}
	// No one to tell is no reason to fall.
	s.del = nil
	if was, err := sts.NewCache(s, nil, nil).Delete(t.Context(), host("example.org"), ""); !was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	if _, ok, err := c.Show(t.Context(), host("example.org")); ok || err != nil {
		t.Errorf("after a deletion by nobody: %v, %v", ok, err)
	}
}

// TestBackOffsEnd: with a success, and only then; and a store that does not take the policy
// has not kept it, whatever else it took.
func TestBackOffsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		s := &policyStore{Memory: newMemory(t)}
		c := w.client(func(c *sts.Config) { c.Store = s })
		w.domain("example.org", "one", enforce)
		if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S3 || r.StoreErr != nil {
			t.Fatalf("row %s, %v", r.Row, r.StoreErr)
		}
		if s.deletes != 0 {
			t.Errorf("%d deletes without a back-off", s.deletes)
		}
		w.record("example.org", "v=STSv1; id=two")
		w.serve("example.org", status(500))
		if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S7 || s.deletes != 0 {
			t.Errorf("row %s, %d deletes after a failure", r.Row, s.deletes)
		}
		w.record("example.org", "v=STSv1; id=three")
		w.serve("example.org", text(enforce))
		s.put = func(e store.Entry) error { return errBroken }
		if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S6 || !errors.Is(r.StoreErr, errBroken) || s.deletes != 0 {
			t.Errorf("row %s, %v, %d deletes though the policy was not kept", r.Row, r.StoreErr, s.deletes)
		}
		s.put = nil
		w.record("example.org", "v=STSv1; id=four")
		if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S6 || r.StoreErr != nil || s.deletes != 1 {
			t.Errorf("row %s, %v, %d deletes", r.Row, r.StoreErr, s.deletes)
		}
	})
}

// TestRefreshOfDamage: a round goes past what cannot be read, replaces what cannot be
// parsed, and reports both.
func TestRefreshOfDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		s := &policyStore{Memory: newMemory(t)}
		ev := &events{}
		c := w.client(func(c *sts.Config) { c.Store, c.Observer = s, ev.observer() })
		w.domain("example.org", "one", enforce)
		fetched := time.Now()
		e := store.Entry{Key: "sts/p/example.org", Value: entryValue(0, fetched, "one", "junk"), Class: store.Enforce, Expires: fetched.Add(week)}
		if err := s.Put(ctx, e); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		c.Refresh(ctx)
		if got := ev.take(); got != "fetched example.org S10 ; store failed" {
			t.Errorf("told %q", got)
		}
		if i, ok, err := c.Cache().Show(ctx, host("example.org")); !ok || err != nil || i.Policy != enforce {
			t.Errorf("%+v, %v, %v", i, ok, err)
		}
		s.allErr = errBroken
		if c.Refresh(ctx) {
			t.Error("more is due though nothing is known")
		}
		if got := ev.take(); got != "store failed" {
			t.Errorf("told %q", got)
		}
	})
}

// TestFirstBackOffToEnd: with too many ids in back-off the next one is tried when the first
// of them ends, in whatever order they are kept.
func TestFirstBackOffToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		w.domain("example.org", "new", enforce)
		m := newMemory(t)
		now := time.Now()
		value := []byte{1}
		for i, after := range []int{200, 120, 240, 60, 180, 90, 150, 250} {
			value = append(value, failureValue(now.Add(time.Duration(after)*time.Second), fmt.Sprint("id", i), "status", fmt.Sprint("status 50", i))[1:]...)
		}
		if err := m.Put(ctx, store.Entry{Key: "sts/b/example.org", Value: value, Class: store.Negative, Expires: now.Add(sts.BackOff)}); err != nil {
			t.Fatal(err)
		}
		c := w.client(func(c *sts.Config) { c.Store = m })
		r := c.Lookup(ctx, host("example.org"))
		var fe *sts.FetchError
		if !errors.As(r.FetchErr, &fe) || !fe.Repeated || !fe.Until.Equal(now.Add(time.Minute)) || !strings.Contains(fe.Detail, "the first: status 503") || w.fetches() != 0 {
			t.Errorf("%+v, %d fetches", fe, w.fetches())
		}
		time.Sleep(time.Minute)
		if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S3 {
			t.Errorf("row %s, %v", r.Row, r.FetchErr)
		}
	})
}

// A blindStore can be written and not read.
type blindStore struct{ *store.Memory }

func (blindStore) Get(context.Context, string) (store.Entry, bool, error) {
	return store.Entry{}, false, errBroken
}

// TestImportIntoABlindStore: what may be newer is not written over.
func TestImportIntoABlindStore(t *testing.T) {
	m := newMemory(t)
	line := fmt.Sprintf(`{"v":1,"domain":"example.org","id":"a","fetched":%q,"policy":"version: STSv1\nmode: none\nmax_age: 600"}`, time.Now().UTC().Format(time.RFC3339Nano))
	got, err := sts.NewCache(blindStore{m}, nil, nil).Import(t.Context(), strings.NewReader(line), "root")
	if !errors.Is(err, errBroken) || got != (sts.Imported{}) || m.Stats().Entries != 0 {
		t.Errorf("%+v, %v, %d entries", got, err, m.Stats().Entries)
	}
}
