// Package fetch brings together a folder of test vectors for people who do not have one:
// it downloads those published files that can be had unmodified, at fixed commits and by
// their sha256, and adds the tables that are mxauth's own. What it makes is
// laid out as [github.com/mxauth/mxauth/conformance] reads it.
package fetch

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

//go:embed sources.tsv sets.tsv
var lists embed.FS

//go:embed all:tables
var tables embed.FS

// ErrChanged: a file is not, octet for octet, the one that is wanted. It is not put in
// place; one that is there already is left alone.
var ErrChanged = errors.New("fetch: the file is not the one expected")

// ErrFetch is wrapped by every error about a download that failed. Files that came before
// it stay, and a later run goes on where this one ended.
var ErrFetch = errors.New("fetch: download failed")

// Limits of a download.
const (
	maxFile      = 8 << 20          // octets; the largest file has 800 kB
	stallTimeout = 30 * time.Second // without an octet
	parallel     = 4                // files at once: one host serves nearly all
)

// A Source is one upstream file.
type Source struct {
	Set, File string
	SHA256    string // hex, lower case
	URL       string
}

// A Set says where a set comes from.
type Set struct {
	Name    string
	Licence string
	Origin  string
}

// Sources lists what can be downloaded.
func Sources() ([]Source, error) {
	rows, err := read("sources.tsv", 4)
	if err != nil {
		return nil, err
	}
	var out []Source
	for _, r := range rows {
		out = append(out, Source{r[0], r[1], r[2], r[3]})
	}
	return out, nil
}

// Sets lists the sets with licence and origin, in the order in which they are fetched.
func Sets() ([]Set, error) {
	rows, err := read("sets.tsv", 3)
	if err != nil {
		return nil, err
	}
	var out []Set
	for _, r := range rows {
		out = append(out, Set{r[0], r[1], r[2]})
	}
	return out, nil
}

func read(name string, columns int) ([][]string, error) {
	f, err := lists.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out [][]string
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if sc.Text() == "" || sc.Text()[0] == '#' {
			continue
		}
		r := strings.Split(sc.Text(), "\t")
		if len(r) != columns {
			return nil, fmt.Errorf("fetch: %s: %d columns in %q", name, len(r), sc.Text())
		}
		out = append(out, r)
	}
	return out, sc.Err()
}

// Config of [Fetch].
type Config struct {
	Dir     string   // the folder to fill; it is made
	Only    []string // sets; empty: all
	Sources []Source // nil: those of [Sources]
	// Client downloads; nil: a client that follows at most three redirects, to HTTPS only.
	Client *http.Client
	// Stall ends a download that brings no octet for so long; 0: 30 s.
	Stall time.Duration
	// Progress is called after each file that was downloaded, with its path; nil: not.
	// Calls come one at a time.
	Progress func(file string)
}

// A Result counts what was done.
type Result struct {
	Downloaded, Present, Tables int
}

// Fetch fills the folder. A file that is there and right is not touched, one that is there
// in part is gone on with. It tries every file and returns all that failed, joined: errors
// wrap [ErrFetch] or [ErrChanged].
func Fetch(ctx context.Context, c Config) (Result, error) {
	var res Result
	if c.Sources == nil {
		var err error
		if c.Sources, err = Sources(); err != nil {
			return res, err
		}
	}
	if c.Stall == 0 {
		c.Stall = stallTimeout
	}
	if c.Client == nil {
		c.Client = &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 || r.URL.Scheme != "https" {
				return errors.New("redirect refused")
			}
			return nil
		}}
	}
	want := func(set string) bool {
		for _, s := range c.Only {
			if s == set {
				return true
			}
		}
		return len(c.Only) == 0
	}
	type outcome struct {
		fresh bool
		file  string
		err   error
	}
	out := make(chan outcome)
	var g errgroup.Group
	g.SetLimit(parallel)
	go func() {
		for _, s := range c.Sources {
			if want(s.Set) {
				g.Go(func() error {
					fresh, err := one(ctx, c, s)
					out <- outcome{fresh, s.Set + "/" + s.File, err}
					return nil
				})
			}
		}
		_ = g.Wait()
		close(out)
	}()
	var errs []error
	for o := range out {
		switch {
		case o.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", o.file, o.err))
		case o.fresh:
			res.Downloaded++
			if c.Progress != nil {
				c.Progress(o.file)
			}
		default:
			res.Present++
		}
	}
	n, err := putTables(c.Dir, want)
	res.Tables = n
	return res, errors.Join(append(errs, err)...)
}

// putTables writes the tables that come with mxauth. One that is there with another
// content is an error.
func putTables(dir string, want func(string) bool) (int, error) {
	n := 0
	err := fs.WalkDir(tables, "tables", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel := strings.TrimPrefix(p, "tables/")
		if !want(path.Dir(rel)) {
			return nil
		}
		text, err := tables.ReadFile(p)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(rel))
		if there, err := os.ReadFile(to); err == nil {
			if string(there) != string(text) {
				return fmt.Errorf("%s: %w", rel, ErrChanged)
			}
			n++
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		part := to + ".part"
		if err := os.WriteFile(part, text, 0o644); err != nil {
			return err
		}
		n++
		return os.Rename(part, to)
	})
	return n, err
}

// one brings one file; fresh is false if it was there.
func one(ctx context.Context, c Config, s Source) (fresh bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	to := filepath.Join(c.Dir, filepath.FromSlash(s.Set), s.File)
	if sum, err := sumOf(to); err == nil {
		if sum != s.SHA256 {
			return false, fmt.Errorf("%w: sha256 %s, want %s; remove it to fetch it again", ErrChanged, sum, s.SHA256)
		}
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return false, err
	}
	part := to + ".part"
	if err := download(ctx, c, s.URL, part); err != nil {
		return false, err
	}
	sum, err := sumOf(part)
	if err != nil {
		return false, err
	}
	if sum != s.SHA256 {
		// What was begun may be of another version: the next run starts again.
		return false, errors.Join(fmt.Errorf("%w: sha256 %s, want %s", ErrChanged, sum, s.SHA256), os.Remove(part))
	}
	return true, os.Rename(part, to)
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var h hash.Hash = sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// download writes what is at the URL to the file, from where the file ends on.
func download(ctx context.Context, c Config, from, file string) error {
	u, err := url.Parse(from)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFetch, err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.Stall, func() { cancel(fmt.Errorf("nothing came for %s", c.Stall)) })
	defer watch.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFetch, err)
	}
	req.Header.Set("Accept-Encoding", "identity") // the sum is of the file as it is
	have := st.Size()
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := c.Client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFetch, cause(ctx, err))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
			return fmt.Errorf("%w: the server sends another range than asked", ErrFetch)
		}
	case http.StatusOK:
		if err := f.Truncate(0); err != nil {
			return err
		}
		have = 0
	case http.StatusRequestedRangeNotSatisfiable:
		return nil // all of it is there; the sum will show it
	default:
		return fmt.Errorf("%w: HTTP status %s", ErrFetch, resp.Status)
	}
	body := &watched{r: io.LimitReader(resp.Body, maxFile-have+1), on: func() { watch.Reset(c.Stall) }}
	n, err := io.Copy(f, body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFetch, cause(ctx, err))
	}
	if have+n > maxFile {
		return fmt.Errorf("%w: larger than %d octets", ErrChanged, maxFile)
	}
	return f.Close()
}

// cause prefers what ended the context to what the connection made of it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// watched reports every read that returned bytes.
type watched struct {
	r  io.Reader
	on func()
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if n > 0 {
		w.on()
	}
	return n, err
}
