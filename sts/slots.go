package sts

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Bounds on fetches that are under way at once.
const (
	// maxFetches bounds all of them: file descriptors and memory (a fetch can hold
	// some hundred kilobytes), with room for a burst of new domains.
	maxFetches = 64
	// maxFetchesPerHost bounds those from one policy host, after its aliases: a
	// provider of many domains must not see us as an attack.
	maxFetchesPerHost = 4
)

// slots hands out turns: a bounded number in all and for each key. The zero value is
// not ready; newSlots is.
type slots struct {
	all    *semaphore.Weighted
	perKey int64

	mu   sync.Mutex // guards keys
	keys map[string]*keySlots
}

type keySlots struct {
	sem   *semaphore.Weighted
	users int // that hold or wait; at 0 the entry goes
}

func newSlots(all, perKey int64) *slots {
	return &slots{all: semaphore.NewWeighted(all), perKey: perKey, keys: map[string]*keySlots{}}
}

// acquire waits for a turn. It waits for that of the key first, so that many who wait
// for one slow host do not hold the turns of everybody else. The caller calls release
// once.
func (s *slots) acquire(ctx context.Context, key string) (release func(), err error) {
	s.mu.Lock()
	k := s.keys[key]
	if k == nil {
		k = &keySlots{sem: semaphore.NewWeighted(s.perKey)}
		s.keys[key] = k
	}
	k.users++
	s.mu.Unlock()
	if err := k.sem.Acquire(ctx, 1); err != nil {
		s.leave(key, k)
		return nil, err
	}
	if err := s.all.Acquire(ctx, 1); err != nil {
		k.sem.Release(1)
		s.leave(key, k)
		return nil, err
	}
	return func() {
		s.all.Release(1)
		k.sem.Release(1)
		s.leave(key, k)
	}, nil
}

func (s *slots) leave(key string, k *keySlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(s.keys, key)
	}
}
