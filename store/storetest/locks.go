package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/mxauth/mxauth/store"
)

// Locks are the locks of a fake store that several clients share. The zero value is ready to
// use, with the real clock.
type Locks struct {
	Now func() time.Time // nil: time.Now

	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	all  *Locks
	name string
	end  time.Time
}

func (l *Locks) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

// Lock takes a lock for ttl, unless another holds it.
func (l *Locks) Lock(_ context.Context, name string, ttl time.Duration) (store.Lock, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.held[name]; k != nil && l.now().Before(k.end) {
		return nil, false, nil
	}
	return l.give(name, ttl), true, nil
}

// Steal gives a lock to another for ttl, as if it had ended in between.
func (l *Locks) Steal(name string, ttl time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.give(name, ttl)
}

func (l *Locks) give(name string, ttl time.Duration) *lock {
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	k := &lock{l, name, l.now().Add(ttl)}
	l.held[name] = k
	return k
}

func (k *lock) Renew(_ context.Context, ttl time.Duration) (bool, error) {
	k.all.mu.Lock()
	defer k.all.mu.Unlock()
	if k.all.held[k.name] != k || !k.all.now().Before(k.end) {
		return false, nil
	}
	k.end = k.all.now().Add(ttl)
	return true, nil
}

func (k *lock) Unlock(context.Context) error {
	k.all.mu.Lock()
	defer k.all.mu.Unlock()
	if k.all.held[k.name] == k {
		delete(k.all.held, k.name)
	}
	return nil
}
