package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestExceptionsReload: a file that changes is read again; one that has become bad, or is
// gone, leaves the exceptions as they were and is reported.
func TestExceptionsReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.toml")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(id string) {
		t.Helper()
		text := fmt.Sprintf("[[exception]]\nid = %q\ndomain = \"*\"\nreason = \"r\"\nauthor = \"a\"\nends = 2026-01-05T00:00:00Z\n", id)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var warned []string
	write("one")
	f, err := openExceptions(path, func() time.Time { return now }, func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) })
	if err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "exception one of a (*) ends on 2026-01-05") {
		t.Errorf("warned of %q", warned)
	}
	ids := func() string {
		var out []string
		for _, x := range f.current().List() {
			out = append(out, x.ID)
		}
		return strings.Join(out, " ")
	}
	write("second")
	if got := ids(); got != "one" {
		t.Errorf("within a second: %q", got)
	}
	now = now.Add(2 * time.Second)
	if got := ids(); got != "second" {
		t.Errorf("after it changed: %q", got)
	}
	warned = nil
	if err := os.WriteFile(path, []byte("[[exception]]\nid = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if got := ids(); got != "second" || len(warned) != 1 || !strings.Contains(warned[0], "the previous exceptions stay in force") {
		t.Errorf("a bad file: %q, warned of %q", got, warned)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if got := ids(); got != "second" || len(warned) != 2 {
		t.Errorf("no file: %q, warned of %q", got, warned)
	}
}
