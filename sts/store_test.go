package sts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/store/storetest"
	"github.com/mxauth/mxauth/sts"

	"github.com/mxauth/mxauth/store"
)

// A brokenStore is never available.
type brokenStore struct{}

var errBroken = fmt.Errorf("%w: broken on purpose", store.ErrUnavailable)

func (*brokenStore) Get(context.Context, string) (store.Entry, bool, error) {
	return store.Entry{}, false, errBroken
}
func (*brokenStore) Put(context.Context, store.Entry) error                    { return errBroken }
func (*brokenStore) Delete(context.Context, string) error                      { return errBroken }
func (*brokenStore) All(context.Context, string, func(store.Entry) bool) error { return errBroken }
func (*brokenStore) Close() error                                              { return nil }

// A sharedStore is a Memory that several clients share, with locks, and that fails when
// told to.
type sharedStore struct {
	*store.Memory
	locks storetest.Locks
	mu    sync.Mutex
	err   error
}

// A sharedLock cannot be renewed while its store fails.
type sharedLock struct {
	store.Lock
	s *sharedStore
}

func newSharedStore(t *testing.T) *sharedStore {
	return &sharedStore{Memory: newMemory(t)}
}

func (s *sharedStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sharedStore) failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *sharedStore) Shared() bool { return true }

func (s *sharedStore) Get(ctx context.Context, key string) (store.Entry, bool, error) {
	if err := s.failing(); err != nil {
		return store.Entry{}, false, err
	}
	return s.Memory.Get(ctx, key)
}

func (s *sharedStore) Put(ctx context.Context, e store.Entry) error {
	if err := s.failing(); err != nil {
		return err
	}
	return s.Memory.Put(ctx, e)
}

func (s *sharedStore) Lock(ctx context.Context, name string, ttl time.Duration) (store.Lock, bool, error) {
	if err := s.failing(); err != nil {
		return nil, false, err
	}
	l, ok, err := s.locks.Lock(ctx, name, ttl)
	if !ok {
		return nil, false, err
	}
	return sharedLock{l, s}, true, nil
}

func (l sharedLock) Renew(ctx context.Context, ttl time.Duration) (bool, error) {
	if err := l.s.failing(); err != nil {
		return false, err
	}
	return l.Lock.Renew(ctx, ttl)
}

// TestCachedSaysWhenTheStoreFails: not known is not absent.
func TestCachedSaysWhenTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := &events{}
		w := newWorld(t)
		c := w.client(func(c *sts.Config) { c.Store, c.Observer = &brokenStore{}, ev.observer() })
		r, ok := c.Cached(context.Background(), host("example.org"))
		if ok || !errors.Is(r.StoreErr, store.ErrUnavailable) || r.Domain != host("example.org") {
			t.Errorf("%v, %+v", ok, r)
		}
		if ev.take() != "store failed" || !strings.Contains(w.logs.String(), "mta-sts store failed") {
			t.Error("not told")
		}
		// Who leaves before the store has answered says nothing of it.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, ok := c.Cached(ctx, host("example.org")); ok || ev.take() != "" {
			t.Error("told of a store that was not waited for")
		}
	})
}

// A readOnlyStore can be read and not written.
type readOnlyStore struct{ *store.Memory }

func (readOnlyStore) Put(context.Context, store.Entry) error { return errBroken }

// TestUnwritableStore: what cannot be written applies, is reported, and is in the result.
func TestUnwritableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.domain("example.net", "one", "junk")
		ev := &events{}
		cfg := w.cfg
		cfg.Store, cfg.Observer = readOnlyStore{newMemory(t)}, ev.observer()
		c := must(sts.NewClient(cfg))
		defer c.Close()
		r := c.Lookup(context.Background(), host("example.org"))
		if r.Row != sts.S3 || !errors.Is(r.StoreErr, store.ErrUnavailable) {
			t.Errorf("row %s, %v", r.Row, r.StoreErr)
		}
		if got := ev.take(); got != "fetched example.org S3 ; store failed" {
			t.Errorf("told %q", got)
		}
		if r := c.Lookup(context.Background(), host("example.net")); r.Row != sts.S4 {
			t.Errorf("row %s", r.Row)
		}
		if got := ev.take(); got != "fetched example.net S4 syntax; store failed" {
			t.Errorf("told %q", got)
		}
	})
}
