package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
)

// envWithHeldStore returns an environment whose store another process holds, and what it
// prints to standard error.
func envWithHeldStore(t *testing.T) (*env, *bytes.Buffer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	held, err := bolt.Open(bolt.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	var stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), &bytes.Buffer{}, &stderr, func(string) string { return "" })
	e.flags.store = "bolt:" + path
	return e, &stderr
}

// TestStoreHeldByAnother: check goes on in memory and says so in one line; what works on
// the store itself does not.
func TestStoreHeldByAnother(t *testing.T) {
	e, stderr := envWithHeldStore(t)
	e.flags.storeNamed = true // by --store, not by the configuration
	s, err := e.openStore(storeFills)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// What the other process keeps is not known, rather than absent; what is learned now is
	// remembered.
	if _, ok, err := s.Get(t.Context(), "k"); ok || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, %v", ok, err)
	}
	en := store.Entry{Key: "k", Class: store.Enforce, Expires: time.Now().Add(time.Hour)}
	if err := s.Put(t.Context(), en); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, ok, err := s.Get(t.Context(), "k"); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	if text := stderr.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "another process") || !strings.Contains(text, "in memory") {
		t.Errorf("said %q", text)
	}
	if _, err := e.openStoreOnly(storeReads); exitCode(err) != exitConfig {
		t.Errorf("got %v", err)
	}
}

func TestShellWord(t *testing.T) {
	for s, want := range map[string]string{
		"/var/lib/mxauth/policies.db": "/var/lib/mxauth/policies.db", "": "''", "-x": "'-x'", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "ä": "'ä'",
	} {
		if got := shellWord(s); got != want {
			t.Errorf("%q becomes %s, want %s", s, got, want)
		}
	}
}

// TestStoreOfConfiguration: the store that only the configuration names is the daemon's. Who
// checks a domain beside it is told that it is not used, and starts from nothing.
func TestStoreOfConfiguration(t *testing.T) {
	e, stderr := envWithHeldStore(t)
	s, err := e.openStore(storeFills)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok, err := s.Get(t.Context(), "k"); ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	if !strings.Contains(stderr.String(), "the store of the configuration is not used") {
		t.Errorf("said %q", stderr.String())
	}
}
