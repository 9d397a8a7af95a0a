package valkey_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/internal/porttest"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/storetest"
	"github.com/mxauth/mxauth/store/valkey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// server starts a server within the process that the test can stop and start again.
func server(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(porttest.Address(t).String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func open(t *testing.T, c valkey.Config) *valkey.Store {
	t.Helper()
	s, err := valkey.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// url names the server; each test of the suite has a database key space of its own.
func url(m *miniredis.Miniredis) string { return "redis://" + m.Addr() }

func TestValkey(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	m := server(t)
	n := 0
	storetest.Run(t, storetest.Options{
		Open: func(t *testing.T) store.Store {
			n++
			return open(t, valkey.Config{URL: url(m), Prefix: fmt.Sprint("t", n, "/"), Now: clock, Timeout: 20 * time.Second})
		},
		Advance: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(d)
			m.FastForward(d)
		},
		Now: clock,
	})
}

func entry(key, value string) store.Entry {
	return store.Entry{Key: key, Value: []byte(value), Class: store.Enforce, Expires: time.Now().Add(time.Hour)}
}

func TestOpenErrors(t *testing.T) {
	for name, c := range map[string]valkey.Config{
		"no URL":        {},
		"another URL":   {URL: "http://secret:secret@h"},
		"no number":     {URL: "redis://u:secret@h/x"},
		"unreadable":    {URL: "redis://u:secret@h:port\x00"},
		"timeout":       {URL: "redis://h", Timeout: -1},
		"TLS for plain": {URL: "redis://h", TLS: &tls.Config{}},
	} {
		s, err := valkey.Open(c)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

// TestLazy: nothing is connected before the first call; a server that is down is an error
// in time, and not asked again at once; when it is there, it is used.
func TestLazy(t *testing.T) {
	addr := porttest.Address(t).String()
	s := open(t, valkey.Config{URL: "redis://" + addr})
	start := time.Now()
	if _, ok, err := s.Get(ctx, "k"); !errors.Is(err, store.ErrUnavailable) || ok {
		t.Fatalf("Get: %v, %v", ok, err)
	}
	if err := s.Put(ctx, entry("k", "v")); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("Put: %v", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("took %s", took)
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	storetest.Eventually(t, func() bool { return s.Put(ctx, entry("k", "v")) == nil })
	if e, ok, err := s.Get(ctx, "k"); err != nil || !ok || string(e.Value) != "v" {
		t.Errorf("%q, %v, %v", e.Value, ok, err)
	}
}

// TestHang: a server that accepts and says nothing costs the deadline and no more.
func TestHang(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := open(t, valkey.Config{URL: "redis://" + ln.Addr().String(), Timeout: 200 * time.Millisecond})
	start := time.Now()
	_, _, err = s.Get(ctx, "k")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("took %s", took)
	}
	cctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, _, err = s.Get(cctx, "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestFrontOverServer: memory goes on serving while the server is away, and what was
// written meanwhile reaches it.
func TestFrontOverServer(t *testing.T) {
	m := server(t)
	var log bytes.Buffer
	now := time.Now()
	clock := func() time.Time { return now }
	f, err := store.NewFront(store.FrontConfig{Behind: open(t, valkey.Config{URL: url(m)}), Now: clock, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Put(ctx, entry("k", "v")); err != nil {
		t.Fatal(err)
	}
	addr := m.Addr()
	m.Close()
	now = now.Add(2 * time.Minute)
	if e, ok, err := f.Get(ctx, "k"); err != nil || !ok || string(e.Value) != "v" {
		t.Errorf("%q, %v, %v", e.Value, ok, err)
	}
	if _, _, err := f.Get(ctx, "unknown"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("unknown: %v", err)
	}
	if err := f.Put(ctx, entry("p", "v")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put: %v", err)
	}
	// It comes back empty: what was known is written back.
	m2 := miniredis.NewMiniRedis()
	if err := m2.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	defer m2.Close()
	storetest.Eventually(t, func() bool {
		now = now.Add(10 * time.Second)
		return f.Sync(ctx) == nil
	})
	// The first command on a connection that has died fails, so this may take a few looks.
	storetest.Eventually(t, func() bool {
		now = now.Add(2 * time.Minute)
		if e, ok, err := f.Get(ctx, "k"); err != nil || !ok || string(e.Value) != "v" {
			t.Fatalf("%q, %v, %v", e.Value, ok, err)
		}
		return f.Sync(ctx) == nil && len(m2.Keys()) == 2
	})
	if s := f.Stats(); s.Healed != 1 || s.Unwritten != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestEnds: an entry ends on the server by itself.
func TestEnds(t *testing.T) {
	m := server(t)
	s := open(t, valkey.Config{URL: url(m)})
	if err := s.Put(ctx, entry("k", "v")); err != nil {
		t.Fatal(err)
	}
	if ttl := m.TTL("mxauth/e/k"); ttl < 59*time.Minute || ttl > time.Hour {
		t.Errorf("the server keeps it for %s", ttl)
	}
	m.FastForward(time.Hour)
	if len(m.Keys()) != 0 {
		t.Errorf("keys left: %v", m.Keys())
	}
}

// TestForeignBytes: what others put under our keys is an error, not absence and no panic.
func TestForeignBytes(t *testing.T) {
	m := server(t)
	s := open(t, valkey.Config{URL: url(m)})
	if err := s.Put(ctx, entry("k", "value")); err != nil {
		t.Fatal(err)
	}
	good, err := m.Get("mxauth/e/k")
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(good) {
		bad := []byte(good)
		bad[i] ^= 1
		m.Set("mxauth/e/k", string(bad))
		if _, ok, err := s.Get(ctx, "k"); ok || !errors.Is(err, store.ErrDamaged) {
			t.Errorf("octet %d: %v, %v", i, ok, err)
		}
	}
	m.Set("mxauth/e/k", "")
	if err := s.All(ctx, "", func(store.Entry) bool { return true }); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("All: %v", err)
	}
	// The others are shown all the same.
	for i := range 2000 {
		if err := s.Put(ctx, entry(fmt.Sprint("sound", i), "value")); err != nil {
			t.Fatal(err)
		}
	}
	sound := map[string]bool{}
	if err := s.All(ctx, "", func(e store.Entry) bool { sound[e.Key] = true; return true }); !errors.Is(err, store.ErrDamaged) || len(sound) != 2000 {
		t.Errorf("All: %d sound ones, %v", len(sound), err)
	}
	m.Set("mxauth/e/other", good) // a sound value under another key
	if _, ok, err := s.Get(ctx, "other"); ok || !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a value of another key: %v, %v", ok, err)
	}
	m.Del("mxauth/e/k")
	m.HSet("mxauth/e/k", "a", "b")
	if _, ok, err := s.Get(ctx, "k"); ok || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("another kind of value: %v, %v", ok, err)
	}
}

// TestAuth: the user and password of the URL are used.
func TestAuth(t *testing.T) {
	m := server(t)
	m.RequireUserAuth("mxauth", "right")
	bad := open(t, valkey.Config{URL: "redis://mxauth:wrong@" + m.Addr()})
	if _, _, err := bad.Get(ctx, "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a wrong password: %v", err)
	}
	good := open(t, valkey.Config{URL: "redis://mxauth:right@" + m.Addr()})
	if err := good.Put(ctx, entry("k", "v")); err != nil {
		t.Error(err)
	}
}

// TestPrefixes: fleets with different prefixes do not see each other.
func TestPrefixes(t *testing.T) {
	m := server(t)
	a, b := open(t, valkey.Config{URL: url(m), Prefix: "a*/"}), open(t, valkey.Config{URL: url(m), Prefix: "ab/"})
	if err := errors.Join(a.Put(ctx, entry("k", "a")), b.Put(ctx, entry("k", "b"))); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := a.All(ctx, "", func(e store.Entry) bool { n++; return string(e.Value) == "a" }); err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
}
