package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
	"github.com/mxauth/mxauth/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
		return
	}
	if path := os.Getenv(aloneEnv); path != "" {
		alone(path)
	}
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

func open(t testing.TB, c bolt.Config) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s store.Store, key, value string, c store.Class, expires time.Time) {
	t.Helper()
	if err := s.Put(ctx, store.Entry{Key: key, Value: []byte(value), Class: c, Expires: expires}); err != nil {
		t.Fatal(err)
	}
}

// content reads the whole store.
func content(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	m := map[string]string{}
	if err := s.All(ctx, "", func(e store.Entry) bool { m[e.Key] = string(e.Value); return true }); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestBolt(t *testing.T) {
	c := storetest.NewClock()
	storetest.Run(t, storetest.Options{
		Open: func(t *testing.T) store.Store {
			s, err := bolt.Open(bolt.Config{Path: filepath.Join(t.TempDir(), "s.db"), Now: c.Now})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}, Advance: c.Advance, Now: c.Now,
	})
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	end := time.Now().Add(time.Hour).Truncate(time.Nanosecond)
	s := open(t, bolt.Config{Path: path})
	for i := range 3000 {
		if i%100 == 0 {
			put(t, s, fmt.Sprint("gone", i), "x", store.Enforce, end)
			s.Delete(ctx, fmt.Sprint("gone", i))
		}
	}
	var es []store.Entry
	for i := range 3000 {
		es = append(es, store.Entry{Key: fmt.Sprint("k", i), Value: bytes.Repeat([]byte{byte(i)}, i%500), Class: store.Class(i % 4), Expires: end})
	}
	es = append(es, store.Entry{Key: "large", Value: make([]byte, store.MaxValue), Class: store.Enforce, Expires: end})
	if err := s.PutAll(ctx, es); err != nil {
		t.Fatal(err)
	}
	before := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v, want 0600", st.Mode(), err)
	}
	s = open(t, bolt.Config{Path: path})
	for _, want := range es {
		got, ok, err := s.Get(ctx, want.Key)
		if err != nil || !ok || !bytes.Equal(got.Value, want.Value) || got.Class != want.Class || !got.Expires.Equal(want.Expires) {
			t.Fatalf("%s: got %v %v %v", want.Key, ok, err, got.Class)
		}
	}
	if after := s.Stats(); after.Entries != before.Entries || after.Bytes != before.Bytes || after.Entries != len(es) {
		t.Errorf("stats %+v, before %+v", after, before)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	open(t, bolt.Config{Path: good})
	empty := filepath.Join(dir, "empty.db")
	os.WriteFile(empty, nil, 0o600)
	text := filepath.Join(dir, "text.db")
	os.WriteFile(text, bytes.Repeat([]byte("version: STSv1\n"), 1000), 0o600)
	for _, c := range []struct {
		name string
		c    bolt.Config
		is   error
		text string
	}{
		{"no such file, and none is to be made", bolt.Config{Path: filepath.Join(dir, "none.db"), MustExist: true}, bolt.ErrNotExist, "none.db"},
		{"no path", bolt.Config{}, nil, "no Path"},
		{"negative", bolt.Config{Path: good, MaxEntries: -1}, nil, "negative"},
		{"negative bytes", bolt.Config{Path: good, MaxBytes: -1}, nil, "negative"},
		{"negative file", bolt.Config{Path: good, MaxFile: -1}, nil, "negative"},
		{"held by another", bolt.Config{Path: good}, bolt.ErrLocked, "good.db"},
		{"an empty file", bolt.Config{Path: empty}, store.ErrDamaged, "empty.db"},
		{"another file", bolt.Config{Path: text}, store.ErrDamaged, "not a store file"},
		{"a folder", bolt.Config{Path: dir}, store.ErrUnavailable, dir},
		{"a folder that takes no files", bolt.Config{Path: "/proc/mxauth-test.db"}, store.ErrUnavailable, "/proc"},
		{"no such folder", bolt.Config{Path: filepath.Join(dir, "no", "s.db")}, store.ErrUnavailable, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := bolt.Open(c.c)
			if err == nil {
				s.Close()
				t.Fatal("it opens")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.text)
			}
		})
	}
	if _, err := os.Lstat(filepath.Join(dir, "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a store that must exist was created: %v", err)
	}
	if st, err := os.Stat(empty); err != nil || st.Size() != 0 {
		t.Error("the empty file was changed")
	}
	if !errors.Is(bolt.ErrLocked, store.ErrUnavailable) || errors.Is(bolt.ErrLocked, store.ErrDamaged) {
		t.Error("ErrLocked is unavailable and not damaged")
	}
}

// TestExposed: a file that other users can read or write is refused, and not changed.
func TestExposed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, bolt.Config{Path: path})
	put(t, s, "k", "v", store.Enforce, time.Now().Add(time.Hour))
	s.Close()
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o660, 0o606, 0o666, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		s, err := bolt.Open(bolt.Config{Path: path, MustExist: true})
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, bolt.ErrExposed) || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path) ||
			!strings.Contains(err.Error(), fmt.Sprintf("mode %04o", mode)) {
			t.Errorf("mode %o: %v", mode, err)
		}
		// What may be forged is not rescued; what others can only read is.
		to := filepath.Join(t.TempDir(), "to.db")
		if _, err := bolt.Rescue(ctx, path, bolt.Config{Path: to}); errors.Is(err, bolt.ErrExposed) != (mode&0o022 != 0) {
			t.Errorf("rescue from mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := content(t, open(t, bolt.Config{Path: path})); got["k"] != "v" {
		t.Errorf("mode 600: %v", got)
	}
}

// TestFull: a file that cannot grow any more gives clear errors, keeps what it has, and
// works again when there is room.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, bolt.Config{Path: path, MaxFile: 1 << 20})
	end := time.Now().Add(time.Hour)
	kept := map[string]string{}
	var full error
	for i := 0; full == nil; i++ {
		key, value := fmt.Sprint("k", i), strings.Repeat(fmt.Sprint(i%10), 5000)
		full = s.Put(ctx, store.Entry{Key: key, Value: []byte(value), Class: store.Enforce, Expires: end})
		if full == nil {
			kept[key] = value
		}
		if i > 1000 {
			t.Fatal("it is never full")
		}
	}
	if !errors.Is(full, store.ErrUnavailable) || errors.Is(full, store.ErrDamaged) || !strings.Contains(full.Error(), "s.db") {
		t.Errorf("got %v", full)
	}
	check := func(s store.Store) {
		t.Helper()
		got := content(t, s)
		for k, v := range kept {
			if got[k] != v {
				t.Fatalf("%s is gone or changed", k)
			}
		}
		if len(got) != len(kept) {
			t.Errorf("%d entries, want %d", len(got), len(kept))
		}
	}
	check(s)
	// What is there can be read, and a smaller thing replaced.
	if s.Stats().Entries != len(kept) {
		t.Errorf("stats %+v, want %d entries", s.Stats(), len(kept))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, bolt.Config{Path: path})
	check(s)
	put(t, s, "more", strings.Repeat("x", 5000), store.Enforce, end)
}

func TestEviction(t *testing.T) {
	c := storetest.NewClock()
	in := func(d time.Duration) time.Time { return c.Now().Add(d) }
	open := func(t *testing.T, n int, bytes int64) *bolt.Store {
		return open(t, bolt.Config{Path: filepath.Join(t.TempDir(), "s.db"), Now: c.Now, MaxEntries: n, MaxBytes: bytes})
	}
	keys := func(t *testing.T, s store.Store) string {
		out := ""
		if err := s.All(ctx, "", func(e store.Entry) bool { out += e.Key; return true }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Run("the lowest class goes", func(t *testing.T) {
		s := open(t, 3, 0)
		put(t, s, "a", "v", store.Enforce, in(time.Hour))
		put(t, s, "b", "v", store.Testing, in(2*time.Hour))
		put(t, s, "c", "v", store.Enforce, in(time.Hour))
		put(t, s, "d", "v", store.Enforce, in(time.Hour))
		if got := keys(t, s); got != "acd" || s.Stats().Evicted != [4]uint64{store.Testing: 1} || s.Stats().Entries != 3 {
			t.Errorf("left %q, stats %+v", got, s.Stats())
		}
	})
	t.Run("within a class what was used last stays, whatever its end", func(t *testing.T) {
		s := open(t, 3, 0)
		put(t, s, "a", "v", store.Enforce, in(30*24*time.Hour))
		put(t, s, "b", "v", store.Enforce, in(366*24*time.Hour))
		put(t, s, "c", "v", store.Enforce, in(60*24*time.Hour))
		c.Advance(24 * time.Hour)
		s.Get(ctx, "a")
		s.Peek(ctx, "b") // is no use, nor is it to be replaced
		s.NoteUse("c")
		put(t, s, "b", "w", store.Enforce, in(366*24*time.Hour))
		put(t, s, "d", "v", store.Enforce, in(time.Hour))
		if got := keys(t, s); got != "acd" || s.Stats().Evicted != [4]uint64{store.Enforce: 1} {
			t.Errorf("left %q, stats %+v", got, s.Stats())
		}
	})
	t.Run("within a class what is large goes", func(t *testing.T) {
		s := open(t, 3, 0)
		put(t, s, "a", "small", store.Enforce, in(time.Hour))
		put(t, s, "b", strings.Repeat("v", 5000), store.Enforce, in(9*time.Hour))
		put(t, s, "c", "small", store.Enforce, in(time.Hour))
		c.Advance(30 * time.Minute)
		put(t, s, "d", "small", store.Enforce, in(time.Hour))
		if got := keys(t, s); got != "acd" {
			t.Errorf("left %q", got)
		}
	})
	t.Run("a cheap entry does not drive out precious ones", func(t *testing.T) {
		s := open(t, 2, 0)
		put(t, s, "a", "v", store.Enforce, in(time.Hour))
		put(t, s, "b", "v", store.Enforce, in(time.Hour))
		put(t, s, "c", "v", store.Negative, in(time.Hour))
		if got := keys(t, s); got != "ab" {
			t.Errorf("left %q", got)
		}
	})
	t.Run("expired ones before all", func(t *testing.T) {
		s := open(t, 3, 0)
		put(t, s, "a", "v", store.Enforce, in(time.Minute))
		put(t, s, "b", "v", store.Negative, in(2*time.Hour))
		put(t, s, "c", "v", store.Enforce, in(2*time.Hour))
		c.Advance(time.Hour)
		put(t, s, "d", "v", store.Enforce, in(time.Hour))
		if got := keys(t, s); got != "bcd" || s.Stats().Evicted != [4]uint64{} || s.Stats().Expired != 1 {
			t.Errorf("left %q, stats %+v", got, s.Stats())
		}
	})
	t.Run("bytes", func(t *testing.T) {
		s := open(t, 0, 30)
		put(t, s, "a", "123456789", store.Negative, in(time.Hour))
		put(t, s, "b", "123456789", store.Enforce, in(time.Hour))
		put(t, s, "c", "123456789", store.Enforce, in(time.Hour))
		if got := keys(t, s); got != "abc" || s.Stats().Bytes != 30 {
			t.Errorf("left %q, stats %+v", got, s.Stats())
		}
		put(t, s, "d", "1", store.Testing, in(2*time.Hour))
		if got := keys(t, s); got != "bcd" || s.Stats().Bytes != 22 {
			t.Errorf("left %q, stats %+v", got, s.Stats())
		}
		put(t, s, "e", strings.Repeat("x", 100), store.Testing, in(time.Hour))
		if got := keys(t, s); got != "bcd" {
			t.Errorf("left %q: what is too large for the store drove out others", got)
		}
	})
	t.Run("cheap ones make room ahead", func(t *testing.T) {
		s := open(t, 200, 0)
		var es []store.Entry
		for i := range 201 {
			es = append(es, store.Entry{Key: fmt.Sprintf("%03d", i), Class: store.None, Expires: in(time.Duration(i+1) * time.Minute)})
		}
		if err := s.PutAll(ctx, es); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Entries != 198 || st.Evicted[store.None] != 3 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestSweep: expired entries leave the file by themselves while others are written.
func TestSweep(t *testing.T) {
	c := storetest.NewClock()
	s := open(t, bolt.Config{Path: filepath.Join(t.TempDir(), "s.db"), Now: c.Now})
	var es []store.Entry
	for i := range 100 {
		es = append(es, store.Entry{Key: fmt.Sprint("k", i), Class: store.Enforce, Expires: c.Now().Add(time.Minute)})
	}
	if err := s.PutAll(ctx, es); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	for range 15 {
		put(t, s, "x", "v", store.Enforce, c.Now().Add(time.Hour))
	}
	if st := s.Stats(); st.Entries != 1 || st.Expired != 100 || st.Bytes != 2 {
		t.Errorf("stats %+v", st)
	}
}

// TestRuntimeDamage: a file that is destroyed while it is open gives an error, not a dead
// process, and the store stays out of use.
func TestRuntimeDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	var log bytes.Buffer
	s := open(t, bolt.Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for i := range 200 {
		put(t, s, fmt.Sprint("k", i), strings.Repeat("v", 1000), store.Enforce, time.Now().Add(time.Hour))
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	var first error
	for i := range 200 {
		_, ok, err := s.Get(ctx, fmt.Sprint("k", i))
		if err == nil && !ok {
			t.Fatalf("k%d: damage is taken for absence", i)
		}
		if err != nil {
			first = err
		}
	}
	if !errors.Is(first, store.ErrDamaged) {
		t.Fatalf("got %v", first)
	}
	if err := s.Put(ctx, store.Entry{Key: "x", Class: store.Enforce, Expires: time.Now().Add(time.Hour)}); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Put: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "is damaged"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}
