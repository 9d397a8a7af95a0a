package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance"
	"github.com/mxauth/mxauth/conformance/fetch"
	"github.com/mxauth/mxauth/conformance/vectors"
)

var body = bytes.Repeat([]byte("0123456789abcdef"), 4096)

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// serve starts a server whose handler decides by the path.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func config(t *testing.T, s *httptest.Server, file string) fetch.Config {
	return fetch.Config{
		Dir: t.TempDir(), Only: []string{"x"}, Client: s.Client(),
		Sources: []fetch.Source{{Set: "x", File: file, SHA256: sum(body), URL: s.URL + "/" + file}},
	}
}

func got(t *testing.T, c fetch.Config) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Dir, "x", c.Sources[0].File))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return b
}

func TestGood(t *testing.T) {
	asked := 0
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	c := config(t, s, "good")
	var progress []string
	c.Progress = func(f string) { progress = append(progress, f) }
	res, err := fetch.Fetch(t.Context(), c)
	if err != nil || res.Downloaded != 1 || res.Present != 0 || !bytes.Equal(got(t, c), body) {
		t.Fatalf("%+v, %v", res, err)
	}
	if strings.Join(progress, ",") != "x/good" {
		t.Errorf("progress %q", progress)
	}
	// Once more: nothing is asked for.
	if res, err = fetch.Fetch(t.Context(), c); err != nil || res.Present != 1 || asked != 1 {
		t.Errorf("%+v, %v after %d requests", res, err, asked)
	}
}

func TestChanged(t *testing.T) {
	other := bytes.Clone(body)
	other[1000]++
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(other) })
	c := config(t, s, "changed")
	if _, err := fetch.Fetch(t.Context(), c); !errors.Is(err, fetch.ErrChanged) || !strings.Contains(err.Error(), "x/changed") {
		t.Errorf("%v", err)
	}
	if got(t, c) != nil {
		t.Error("a changed file was put in place")
	}
	// One that somebody changed after it was fetched is named and left alone.
	if err := os.WriteFile(filepath.Join(c.Dir, "x", "changed"), other, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Fetch(t.Context(), c); !errors.Is(err, fetch.ErrChanged) || !bytes.Equal(got(t, c), other) {
		t.Errorf("%v", err)
	}
}

func TestCutIsGoneOnWith(t *testing.T) {
	var ranges []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		if len(ranges) == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body[:1000])
			return // the server ends the connection: fewer octets than promised
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	c := config(t, s, "cut")
	if _, err := fetch.Fetch(t.Context(), c); !errors.Is(err, fetch.ErrFetch) || got(t, c) != nil {
		t.Fatalf("%v", err)
	}
	if res, err := fetch.Fetch(t.Context(), c); err != nil || res.Downloaded != 1 || !bytes.Equal(got(t, c), body) {
		t.Fatalf("%+v, %v", res, err)
	}
	if strings.Join(ranges, ",") != ",bytes=1000-" {
		t.Errorf("ranges %q", ranges)
	}
}

func TestPartThatDoesNotFit(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	c := config(t, s, "part")
	part := filepath.Join(c.Dir, "x", "part.part")
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Fetch(t.Context(), c); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("%v", err)
	}
	if _, err := fetch.Fetch(t.Context(), c); err != nil || !bytes.Equal(got(t, c), body) {
		t.Errorf("the next run: %v", err)
	}
	// A part that is whole already.
	d := config(t, s, "whole")
	if err := os.MkdirAll(filepath.Join(d.Dir, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Dir, "x", "whole.part"), body, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Fetch(t.Context(), d); err != nil || !bytes.Equal(got(t, d), body) {
		t.Errorf("a part that is whole: %v", err)
	}
}

func TestServerThatIgnoresRanges(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(body) })
	c := config(t, s, "norange")
	if err := os.MkdirAll(filepath.Join(c.Dir, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "x", "norange.part"), body[:10], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Fetch(t.Context(), c); err != nil || !bytes.Equal(got(t, c), body) {
		t.Errorf("%v", err)
	}
}

func TestSlow(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(body[:100])
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	c := config(t, s, "slow")
	c.Stall = 50 * time.Millisecond
	start := time.Now()
	if _, err := fetch.Fetch(t.Context(), c); !errors.Is(err, fetch.ErrFetch) || !strings.Contains(err.Error(), "nothing came") {
		t.Errorf("%v", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/range":
			w.Header().Set("Content-Range", "bytes 7-9/10")
			w.WriteHeader(http.StatusPartialContent)
		case "/large":
			chunk := make([]byte, 1<<20)
			for range 9 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	})
	for file, want := range map[string]error{"missing": fetch.ErrFetch, "range": fetch.ErrFetch, "large": fetch.ErrChanged} {
		c := config(t, s, file)
		if _, err := fetch.Fetch(t.Context(), c); !errors.Is(err, want) || got(t, c) != nil {
			t.Errorf("%s: %v, want %v", file, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fetch.Fetch(ctx, config(t, s, "missing")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c := config(t, s, "missing")
	c.Sources[0].URL = ":"
	if _, err := fetch.Fetch(t.Context(), c); !errors.Is(err, fetch.ErrFetch) {
		t.Errorf("no URL: %v", err)
	}
}

// TestLists holds the lists against each other: every file has a sum and a place at a
// fixed commit or version, every set a licence.
func TestLists(t *testing.T) {
	sources, err := fetch.Sources()
	if err != nil || len(sources) == 0 {
		t.Fatal(err)
	}
	sets, err := fetch.Sets()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range sets {
		known[s.Name] = s.Licence != "" && s.Origin != ""
	}
	for _, s := range sources {
		if !known[s.Set] || len(s.SHA256) != 64 || !strings.HasPrefix(s.URL, "https://") {
			t.Errorf("%+v", s)
		}
	}
}

// TestSumsArePublished compares the sums with those beside the vectors.
func TestSumsArePublished(t *testing.T) {
	root := vectors.Dir(t, ".")
	sources, err := fetch.Sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		b, err := os.ReadFile(filepath.Join(root, s.Set, s.File))
		if err != nil {
			continue // a folder may hold a part
		}
		if sum(b) != s.SHA256 {
			t.Errorf("%s/%s has another sum", s.Set, s.File)
		}
	}
}

// TestWhatIsFetchedRuns: the tables alone make a folder that mxconform takes.
func TestTablesRun(t *testing.T) {
	dir := t.TempDir()
	res, err := fetch.Fetch(t.Context(), fetch.Config{Dir: dir, Only: []string{"rfc6125", "mta-sts"}, Sources: []fetch.Source{}})
	if err != nil || res.Tables != 9 {
		t.Fatalf("%+v, %v", res, err)
	}
	rep, err := conformance.Run(t.Context(), conformance.Config{Vectors: dir})
	if err != nil || !rep.OK() || len(rep.Sets) != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	// A table that somebody edited is not overwritten.
	p := filepath.Join(dir, "mta-sts", "records.jsonl")
	if err := os.WriteFile(p, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Fetch(t.Context(), fetch.Config{Dir: dir, Only: []string{"mta-sts"}, Sources: []fetch.Source{}}); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("%v", err)
	}
}
