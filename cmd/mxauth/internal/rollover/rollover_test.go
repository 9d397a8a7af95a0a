package rollover_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/rollover"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/internal/dnstree"
	"github.com/mxauth/mxauth/rfc6125"
)

const day = 24 * time.Hour

func newKey(t *testing.T) dnstree.Key {
	t.Helper()
	k, err := dnstree.RootKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// root is a resolver that knows the keys of the root.
type root struct {
	t *testing.T

	mu   sync.Mutex
	keys []dnstree.Key
	by   []dnstree.Key
	down bool
}

func (r *root) publish(keys []dnstree.Key, by ...dnstree.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.by = keys, by
}

func (r *root) Exchange(_ context.Context, query []byte) (dnssec.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return dnssec.Response{}, dnssec.ErrTimeout
	}
	q := new(dns.Msg)
	if err := q.Unpack(query); err != nil {
		r.t.Error(err)
	}
	if !q.CheckingDisabled || q.IsEdns0() == nil || !q.IsEdns0().Do() {
		r.t.Error("asked without CD and DO")
	}
	m := new(dns.Msg)
	m.SetReply(q)
	var err error
	if m.Answer, err = dnstree.SignKeys(r.keys, r.by, time.Now().Add(-day), time.Now().Add(20*day)); err != nil {
		r.t.Error(err)
	}
	b, err := m.Pack()
	return dnssec.Response{Message: b}, err
}

// digests are the anchors of keys as DS, as the built-in ones are.
func digests(t *testing.T, keys ...dnstree.Key) []anchor.Anchor {
	t.Helper()
	var text strings.Builder
	for _, k := range keys {
		text.WriteString(k.ToDS(dns.SHA256).String() + "\n")
	}
	a, err := anchor.Parse(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A follower with what it has told.
type follower struct {
	*rollover.Follower
	mu   sync.Mutex
	told [][]anchor.Anchor
}

func open(t *testing.T, path string, r *root, anchors []anchor.Anchor) *follower {
	t.Helper()
	f := &follower{}
	var err error
	f.Follower, err = rollover.Open(rollover.Config{Path: path, Zone: rfc6125.RootName(), Anchors: anchors, Upstream: r,
		Changed: func(a []anchor.Anchor) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.told = append(f.told, a)
		}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tags are the key tags of the anchors in force.
func (f *follower) tags() string {
	var out []string
	for _, a := range f.Anchors() {
		if a.Key == nil {
			out = append(out, "DS")
			continue
		}
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

// nameOf is how an anchor of the key is printed.
func nameOf(t *testing.T, k dnstree.Key) string {
	t.Helper()
	a, err := anchor.Parse(strings.NewReader(k.String()))
	if err != nil {
		t.Fatal(err)
	}
	return a[0].String()
}

// A key that is added is believed after 30 days, and a restart in between takes no day away
// and adds none; the old key is revoked, and believed no more, by the next look and after
// another restart.
func TestThirtyDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "root.key")
		old, next := newKey(t), newKey(t)
		r := &root{t: t}
		r.publish([]dnstree.Key{old}, old)
		f := open(t, path, r, digests(t, old))
		if got := f.tags(); got != "DS" {
			t.Errorf("before the first look: %s", got)
		}
		run := func(f *follower, d time.Duration) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); f.Run(ctx) }()
			time.Sleep(d)
			synctest.Wait()
			cancel()
			<-done
		}
		run(f, day)
		if got := f.tags(); got != nameOf(t, old) {
			t.Errorf("the key of the digest: %s", got)
		}
		r.publish([]dnstree.Key{old, next}, old)
		run(f, 16*day) // sees it within 15 days
		if got := f.tags(); got != nameOf(t, old) {
			t.Errorf("believed too early: %s", got)
		}
		f = open(t, path, r, digests(t, old)) // a restart
		run(f, 10*day)
		if got := f.tags(); got != nameOf(t, old) {
			t.Errorf("believed too early, after a restart: %s", got)
		}
		f = open(t, path, r, digests(t, old))
		run(f, 36*day)
		if got := f.tags(); got != nameOf(t, old)+", "+nameOf(t, next) {
			t.Errorf("after 30 days and more: %s", got)
		}
		if len(f.told) != 1 {
			t.Errorf("told %d times", len(f.told))
		}
		r.publish([]dnstree.Key{old.Revoked(), next}, old.Revoked(), next)
		run(f, 16*day)
		if got := f.tags(); got != nameOf(t, next) {
			t.Errorf("after the revocation: %s", got)
		}
		f = open(t, path, r, digests(t, old))
		if got := f.tags(); got != nameOf(t, next) {
			t.Errorf("after a restart the revoked key is believed again: %s", got)
		}
	})
}

// A key set that no believed key signs changes nothing, nor does a resolver that is down.
func TestForged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	old, evil := newKey(t), newKey(t)
	r := &root{t: t}
	r.publish([]dnstree.Key{old}, old)
	f := open(t, path, r, digests(t, old))
	f.Check(t.Context())
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r.publish([]dnstree.Key{evil}, evil)
	f.Check(t.Context())
	r.publish([]dnstree.Key{old, evil}, evil)
	f.Check(t.Context())
	r.mu.Lock()
	r.down = true
	r.mu.Unlock()
	if wait := f.Check(t.Context()); wait < time.Hour {
		t.Errorf("again in %v", wait)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) || f.tags() != nameOf(t, old) {
		t.Errorf("%v\n%s\n%s", err, before, after)
	}
}

// A state that cannot be written is not believed, and leaves no half of a file.
func TestNotWritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	old := newKey(t)
	r := &root{t: t}
	r.publish([]dnstree.Key{old}, old)
	var log bytes.Buffer
	f, err := rollover.Open(rollover.Config{Path: filepath.Join(dir, "root.key"), Zone: rfc6125.RootName(), Anchors: digests(t, old), Upstream: r,
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f.Check(t.Context())
	if a := f.Anchors(); len(a) != 1 || a[0].DS == nil || !strings.Contains(log.String(), "could not be written") {
		t.Errorf("%v\n%s", a, log.String())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.Check(t.Context())
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 || list[0].Name() != "root.key" {
		t.Errorf("%v %v", list, err)
	}
}

// Every anchor revoked: those in force stay, since with none everything would count as
// unsigned. A file of such a state, or of another zone, or a damaged one is an error.
func TestAllRevoked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	old := newKey(t)
	r := &root{t: t}
	r.publish([]dnstree.Key{old}, old)
	f := open(t, path, r, digests(t, old))
	f.Check(t.Context())
	r.publish([]dnstree.Key{old.Revoked()}, old.Revoked())
	f.Check(t.Context())
	if len(f.Anchors()) == 0 {
		t.Error("no anchors: everything would count as unsigned")
	}
	if _, err := rollover.Open(rollover.Config{Path: path, Zone: rfc6125.RootName(), Anchors: digests(t, old), Upstream: r}); !errors.Is(err, anchor.ErrAnchor) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(path, []byte("half a li"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rollover.Open(rollover.Config{Path: path, Zone: rfc6125.RootName(), Anchors: digests(t, old), Upstream: r}); !errors.Is(err, anchor.ErrAnchor) {
		t.Errorf("%v", err)
	}
}
