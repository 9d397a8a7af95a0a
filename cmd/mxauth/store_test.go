package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
)

// TestStoreHeldByAnother: check goes on in memory and says so in one line; what works on
// the store itself does not.
func TestStoreHeldByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	held, err := bolt.Open(bolt.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	var stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), &bytes.Buffer{}, &stderr, func(string) string { return "" })
	e.flags.store = "bolt:" + path
	s, err := e.openStore()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.(*store.Memory); !ok {
		t.Errorf("got %T", s)
	}
	if text := stderr.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "another process") || !strings.Contains(text, "in memory") {
		t.Errorf("said %q", text)
	}
	if _, err := e.openStoreOnly(); exitCode(err) != exitConfig {
		t.Errorf("got %v", err)
	}
}
