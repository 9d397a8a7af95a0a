package sts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/sts"
)

// importedLine is a line of an export.
func importedLine(t *testing.T, domain, id, mode string, fetched time.Time) string {
	t.Helper()
	var mxs []string
	if mode != "none" {
		mxs = []string{"mx." + domain}
	}
	b, err := json.Marshal(map[string]any{"v": 1, "domain": domain, "id": id, "fetched": fetched, "policy": policy(mode, 604800, mxs...)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// permutations calls f with every order of s.
func permutations(s []string, f func([]string)) {
	if len(s) <= 1 {
		f(s)
		return
	}
	for i := range s {
		rest := slices.Delete(slices.Clone(s), i, i+1)
		permutations(rest, func(r []string) { f(append([]string{s[i]}, r...)) })
	}
}

// TestImportNewest: the newest line of a domain wins, whatever the order and the batch, and
// also against what is kept.
func TestImportNewest(t *testing.T) {
	now := time.Now()
	old := importedLine(t, "a.example", "old", "none", now.Add(-3*time.Hour))
	middle := importedLine(t, "a.example", "middle", "testing", now.Add(-2*time.Hour))
	newest := importedLine(t, "a.example", "new", "enforce", now.Add(-1*time.Hour))
	ended := importedLine(t, "a.example", "ended", "none", now.Add(-700*24*time.Hour))
	check := func(t *testing.T, lines []string, kept string, want string) {
		t.Helper()
		c, _ := cacheOf(newMemory(t))
		if kept != "" {
			if _, err := c.Import(t.Context(), strings.NewReader(kept), "test"); err != nil {
				t.Fatal(err)
			}
		}
		n, err := c.Import(t.Context(), strings.NewReader(strings.Join(lines, "\n")), "test")
		if err != nil {
			t.Fatal(err)
		}
		if n.Stored+n.Older+n.Expired != len(lines) {
			t.Errorf("%+v of %d lines", n, len(lines))
		}
		i, ok, err := c.Show(context.Background(), host("a.example"))
		if err != nil || !ok || i.ID != want {
			t.Errorf("kept id %q (%v, %v), want %q", i.ID, ok, err, want)
		}
	}
	t.Run("order", func(t *testing.T) {
		permutations([]string{old, middle, newest, ended}, func(lines []string) { check(t, lines, "", "new") })
		permutations([]string{old, middle}, func(lines []string) { check(t, lines, newest, "new") })
		permutations([]string{old, middle, newest}, func(lines []string) { check(t, lines, middle, "new") })
	})
	t.Run("batches", func(t *testing.T) {
		var others []string
		for i := range 1100 {
			others = append(others, importedLine(t, fmt.Sprintf("d%d.example", i), "x", "enforce", now.Add(-time.Hour)))
		}
		permutations([]string{old, middle, newest}, func(lines []string) {
			check(t, slices.Concat(lines[:1], others, lines[1:2], others, lines[2:]), "", "new")
		})
	})
	t.Run("the same instant", func(t *testing.T) {
		at := now.Add(-time.Hour)
		same := []string{
			importedLine(t, "a.example", "b", "testing", at), importedLine(t, "a.example", "c", "none", at),
			importedLine(t, "a.example", "a", "enforce", at), importedLine(t, "a.example", "aa", "enforce", at),
		}
		permutations(same, func(lines []string) {
			check(t, lines, "", "aa")
			check(t, lines[1:], lines[0], "aa")
		})
	})
	t.Run("a policy that was deleted comes back", func(t *testing.T) {
		c, _ := cacheOf(newMemory(t))
		for range 2 {
			n, err := c.Import(t.Context(), strings.NewReader(newest), "test")
			if err != nil || n != (sts.Imported{Stored: 1}) {
				t.Fatal(n, err)
			}
			if was, err := c.Delete(t.Context(), host("a.example"), "test"); err != nil || !was {
				t.Fatal(was, err)
			}
		}
	})
}

func TestExportOfModeNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", policy("none", 600))
		c := w.client()
		c.Lookup(context.Background(), host("example.org"))
		var b bytes.Buffer
		if n, err := c.Cache().Export(context.Background(), &b); n != 1 || err != nil || !strings.Contains(b.String(), `"mode":"none","max_age":600,"mx":[],`) {
			t.Errorf("%d, %v: %s", n, err, b.String())
		}
	})
}
