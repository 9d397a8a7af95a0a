package sts_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/store"
)

// gated answers only after the gate is open.
func gated(gate <-chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		<-gate
		h(rw, r)
	}
}

// synctestWait is synctest.Wait for a goroutine beside the test's own.
func synctestWait() { synctest.Wait() }

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
	mu    sync.Mutex
	err   error
	locks map[string]*sharedLock
}

type sharedLock struct {
	s    *sharedStore
	name string
	end  time.Time
}

func newSharedStore(t *testing.T) *sharedStore {
	return &sharedStore{Memory: newMemory(t), locks: map[string]*sharedLock{}}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.locks[name]; l != nil && time.Now().Before(l.end) {
		return nil, false, nil
	}
	l := &sharedLock{s, name, time.Now().Add(ttl)}
	s.locks[name] = l
	return l, true, nil
}

// steal gives a lock to another, as if it had ended in between.
func (s *sharedStore) steal(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks[name] = &sharedLock{s, name, time.Now().Add(time.Hour)}
}

func (l *sharedLock) Renew(_ context.Context, ttl time.Duration) (bool, error) {
	if err := l.s.failing(); err != nil {
		return false, err
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.locks[l.name] != l || !time.Now().Before(l.end) {
		return false, nil
	}
	l.end = time.Now().Add(ttl)
	return true, nil
}

func (l *sharedLock) Unlock(context.Context) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.locks[l.name] == l {
		delete(l.s.locks, l.name)
	}
	return nil
}
