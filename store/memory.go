package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Defaults of a [Memory] store.
const (
	// DefaultMemoryEntries bounds the entries: what a large sender writes to in a
	// year, and about 100 MB of policies.
	DefaultMemoryEntries = 200_000
	// DefaultMemoryBytes bounds keys and values together, so that entries of the
	// longest allowed value can not fill the memory either.
	DefaultMemoryBytes = 256 << 20
)

// MemoryConfig is the configuration of a [Memory] store. The zero value is good.
type MemoryConfig struct {
	MaxEntries int              // 0: DefaultMemoryEntries; negative is an error
	MaxBytes   int64            // of keys and values; 0: DefaultMemoryBytes; negative is an error
	Now        func() time.Time // nil: time.Now
}

// Memory is a [Store] that lives and dies with the process. It has one least
// recently used list a class (golang-lru), so that what it drops when it is full is
// the least recently used entry of the lowest class that it holds, once it has found
// no more expired ones. A Put counts as a use, and so does a Get.
//
// It is for tests, for programs that run once, and as what stands before a slower
// store ([Front]). It starts no goroutine. It never returns ErrUnavailable before it
// is closed, save for a done context.
type Memory struct {
	maxEntries int
	maxBytes   int64
	now        func() time.Time

	mu      sync.Mutex // guards what follows
	lists   [Classes]*simplelru.LRU[string, held]
	entries int
	bytes   int64
	evicted [Classes]uint64
	expired uint64
	swept   int64 // when all expired entries were last looked for
	closed  bool
}

// sweepEvery is how often a full store looks through all that it holds for expired
// entries: often enough that few stand in the way, seldom enough that the search (tens
// of milliseconds for the default bound) does not count.
const sweepEvery = time.Minute

// held is what is kept of an entry; the key is that of the list. A time.Time would
// be three words where one does.
type held struct {
	value   []byte
	expires int64 // Unix time in nanoseconds
}

func (h held) entry(key string, c Class) Entry {
	return Entry{Key: key, Value: h.value, Class: c, Expires: time.Unix(0, h.expires)}
}

// NewMemory returns an empty store. The error reports a negative bound.
func NewMemory(c MemoryConfig) (*Memory, error) {
	var errs []error
	if c.MaxEntries < 0 {
		errs = append(errs, fmt.Errorf("store: MaxEntries is %d", c.MaxEntries))
	}
	if c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("store: MaxBytes is %d", c.MaxBytes))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	m := &Memory{maxEntries: c.MaxEntries, maxBytes: c.MaxBytes, now: c.Now}
	if m.maxEntries == 0 {
		m.maxEntries = DefaultMemoryEntries
	}
	if m.maxBytes == 0 {
		m.maxBytes = DefaultMemoryBytes
	}
	if m.now == nil {
		m.now = time.Now
	}
	for i := range m.lists {
		// A list never drops by itself: makeRoom keeps the sum of all lists at or
		// below maxEntries before each Add.
		l, err := simplelru.NewLRU[string, held](m.maxEntries+1, nil)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		m.lists[i] = l
	}
	return m, nil
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string) (Entry, bool, error) {
	if err := cancelled(ctx); err != nil {
		return Entry{}, false, err
	}
	now := m.now().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Entry{}, false, errClosed
	}
	for c := Classes - 1; c >= 0; c-- {
		h, ok := m.lists[c].Get(key)
		if !ok {
			continue
		}
		if h.expires <= now {
			m.remove(Class(c), key, h)
			m.expired++
			return Entry{}, false, nil
		}
		return h.entry(key, Class(c)), true, nil
	}
	return Entry{}, false, nil
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, e Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if err := cancelled(ctx); err != nil {
		return err
	}
	now := m.now().UnixNano()
	h := held{e.Value, e.Expires.UnixNano()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	m.drop(e.Key)
	if h.expires <= now {
		return nil
	}
	m.lists[e.Class].Add(strings.Clone(e.Key), h)
	m.entries++
	m.bytes += size(e.Key, h)
	m.makeRoom(now)
	return nil
}

// makeRoom drops entries until the bounds hold. The caller holds mu.
func (m *Memory) makeRoom(now int64) {
	for m.entries > m.maxEntries || m.bytes > m.maxBytes {
		if now-m.swept >= int64(sweepEvery) {
			m.sweep(now)
			continue
		}
		for c := range m.lists {
			if key, h, ok := m.lists[c].RemoveOldest(); ok {
				m.entries--
				m.bytes -= size(key, h)
				if h.expires > now {
					m.evicted[c]++
				} else {
					m.expired++
				}
				break
			}
		}
	}
}

// sweep removes all entries that have expired. The caller holds mu.
func (m *Memory) sweep(now int64) {
	m.swept = now
	for c, l := range m.lists {
		for _, key := range l.Keys() {
			if h, _ := l.Peek(key); h.expires <= now {
				m.remove(Class(c), key, h)
				m.expired++
			}
		}
	}
}

// drop removes what is under key, if anything. The caller holds mu.
func (m *Memory) drop(key string) {
	for c := range m.lists {
		if h, ok := m.lists[c].Peek(key); ok {
			m.remove(Class(c), key, h)
		}
	}
}

func (m *Memory) remove(c Class, key string, h held) {
	m.lists[c].Remove(key)
	m.entries--
	m.bytes -= size(key, h)
}

func size(key string, h held) int64 { return int64(len(key) + len(h.value)) }

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := cancelled(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	m.drop(key)
	return nil
}

// All implements [Store]. It is not a use of the entries that it shows. It works on a
// list of the keys made when it is called.
func (m *Memory) All(ctx context.Context, prefix string, f func(Entry) bool) error {
	if err := cancelled(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return errClosed
	}
	keys := make([]string, 0, m.entries)
	for _, l := range m.lists {
		for _, k := range l.Keys() {
			if strings.HasPrefix(k, prefix) {
				keys = append(keys, k)
			}
		}
	}
	m.mu.Unlock()
	for _, k := range keys {
		if err := cancelled(ctx); err != nil {
			return err
		}
		e, ok, err := m.peek(k)
		if err != nil {
			return err
		}
		if ok && !f(e) {
			return nil
		}
	}
	return nil
}

// peek is Get without being a use.
func (m *Memory) peek(key string) (Entry, bool, error) {
	now := m.now().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Entry{}, false, errClosed
	}
	for c, l := range m.lists {
		if h, ok := l.Peek(key); ok && h.expires > now {
			return h.entry(key, Class(c)), true, nil
		}
	}
	return Entry{}, false, nil
}

// Close implements [Store] and frees the memory.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, l := range m.lists {
		l.Purge()
	}
	m.entries, m.bytes = 0, 0
	return nil
}

// Stats is what a store holds and has dropped.
type Stats struct {
	Entries int    // that are kept, expired ones that were not yet removed among them
	Bytes   int64  // of keys and values
	Expired uint64 // removed since the start because their time had come
	// Evicted counts, by class, the unexpired entries that were dropped since the
	// start for want of room.
	Evicted [Classes]uint64
}

// Stats returns the counts of now.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Entries: m.entries, Bytes: m.bytes, Expired: m.expired, Evicted: m.evicted}
}
