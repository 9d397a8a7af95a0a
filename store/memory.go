package store

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/store/internal/room"
)

// Defaults of a [Memory] store.
const (
	// DefaultMemoryEntries bounds the entries: what a large sender writes to in a
	// year, and about 100 MB of policies.
	DefaultMemoryEntries = 200_000
	// DefaultMemoryBytes bounds keys and values together, so that entries of the
	// longest allowed value cannot fill the memory either.
	DefaultMemoryBytes = 256 << 20
)

// MemoryConfig is the configuration of a [Memory] store. The zero value is good.
type MemoryConfig struct {
	MaxEntries int              // 0: DefaultMemoryEntries; negative is an error
	MaxBytes   int64            // of keys and values; 0: DefaultMemoryBytes; negative is an error
	Now        func() time.Time // nil: time.Now
}

// Memory is a [Store] that lives and dies with the process.
//
// It is for tests, for programs that run once, and as a front for a slower
// store ([Front]). It starts no goroutine. It never returns ErrUnavailable before it
// is closed, save for a done context.
type Memory struct {
	limits room.Limits
	now    func() time.Time

	mu sync.Mutex // guards what follows
	// index holds all nodes, each of which is in one of the lists, the one used last in
	// front. Within a list sizes differ by a factor of four at most (but in the last), so
	// that the node of the highest cost is, within that factor, at the end of one of them.
	index   map[string]*list.Element
	lists   [Classes][tiers]list.List
	groups  map[string]*group
	over    map[*group]struct{} // those with more than their share
	bytes   int64
	evicted [Classes]uint64
	expired uint64
	swept   time.Time // when all expired entries were last looked for
	closed  bool
}

// sweepEvery is how often a full store looks through all that it holds for expired
// entries: often enough that few remain, seldom enough that the search (tens
// of milliseconds for the default bound) does not count.
const sweepEvery = time.Minute

// A node is one entry.
type node struct {
	key     string
	value   []byte
	expires int64 // Unix time in nanoseconds, as used
	used    int64
	group   *group // nil: of its own
	at      int    // in group.nodes
	class   Class
}

// A group holds the entries of one Group.
type group struct {
	name  string
	nodes []*list.Element
	bytes int64
}

func (n *node) size() int64 { return int64(len(n.key) + len(n.value)) }

func (n *node) cost(now time.Time) float64 { return room.Cost(n.size(), time.Unix(0, n.used), now) }

func (n *node) entry() Entry {
	e := Entry{Key: n.key, Value: n.value, Class: n.class, Expires: time.Unix(0, n.expires), Used: time.Unix(0, n.used)}
	if n.group != nil {
		e.Group = n.group.name
	}
	return e
}

// tiers are the lists of one class, by size: up to 1, 4, 16 KiB, and larger.
const tiers = 4

func tierOf(size int64) int {
	tier := 0
	for limit := int64(1 << 10); size > limit && tier < tiers-1; limit *= 4 {
		tier++
	}
	return tier
}

// NewMemory returns an empty store. The error reports a negative bound.
func NewMemory(c MemoryConfig) (*Memory, error) {
	var errs []error
	if c.MaxEntries < 0 {
		errs = append(errs, fault.Errorf("store", "MaxEntries is %d", c.MaxEntries))
	}
	if c.MaxBytes < 0 {
		errs = append(errs, fault.Errorf("store", "MaxBytes is %d", c.MaxBytes))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	m := &Memory{limits: room.Limits{Entries: c.MaxEntries, Bytes: c.MaxBytes}, now: c.Now,
		index: map[string]*list.Element{}, groups: map[string]*group{}, over: map[*group]struct{}{}}
	m.limits.Entries = cmp.Or(m.limits.Entries, DefaultMemoryEntries)
	m.limits.Bytes = cmp.Or(m.limits.Bytes, DefaultMemoryBytes)
	if m.now == nil {
		m.now = time.Now
	}
	return m, nil
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string) (Entry, bool, error) {
	return m.get(ctx, key, true)
}

// Peek implements [Peeker].
func (m *Memory) Peek(ctx context.Context, key string) (Entry, bool, error) {
	return m.get(ctx, key, false)
}

func (m *Memory) get(ctx context.Context, key string, use bool) (Entry, bool, error) {
	if err := cancelled(ctx); err != nil {
		return Entry{}, false, err
	}
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Entry{}, false, errClosed
	}
	el, ok := m.index[key]
	if !ok {
		return Entry{}, false, nil
	}
	n := el.Value.(*node)
	if n.expires <= now.UnixNano() {
		m.remove(el)
		m.expired++
		return Entry{}, false, nil
	}
	if use {
		n.used = now.UnixNano()
		m.listOf(n).MoveToFront(el)
	}
	return n.entry(), true, nil
}

func (m *Memory) listOf(n *node) *list.List { return &m.lists[n.class][tierOf(n.size())] }

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, e Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if err := cancelled(ctx); err != nil {
		return err
	}
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	used := now.UnixNano()
	var after *list.Element
	if el, ok := m.index[e.Key]; ok {
		// To replace is no use: the place in the order stays.
		old := el.Value.(*node)
		if old.expires > now.UnixNano() {
			used = old.used
		}
		if old.class == e.Class && tierOf(old.size()) == tierOf(int64(len(e.Key)+len(e.Value))) {
			after = el
		}
	}
	expires := e.Expires.UnixNano()
	if expires <= now.UnixNano() {
		m.drop(e.Key)
		return nil
	}
	n := &node{key: strings.Clone(e.Key), value: e.Value, expires: expires, used: used, class: e.Class}
	l := m.listOf(n)
	var el *list.Element
	if after != nil {
		el = l.InsertAfter(n, after)
	} else {
		el = insert(l, n)
	}
	m.drop(e.Key)
	m.add(el, e.Group)
	m.makeRoom(now)
	return nil
}

// insert puts n into its place in the order of uses. What is new goes in front at once; what
// has changed its size or class is seldom.
func insert(l *list.List, n *node) *list.Element {
	for el := l.Front(); el != nil; el = el.Next() {
		if el.Value.(*node).used <= n.used {
			return l.InsertBefore(n, el)
		}
	}
	return l.PushBack(n)
}

// add counts a node that is in its list. The caller holds mu.
func (m *Memory) add(el *list.Element, name string) {
	n := el.Value.(*node)
	m.index[n.key] = el
	m.bytes += n.size()
	if name == "" {
		return
	}
	g := m.groups[name]
	if g == nil {
		g = &group{name: strings.Clone(name)}
		m.groups[g.name] = g
	}
	n.group, n.at = g, len(g.nodes)
	g.nodes = append(g.nodes, el)
	g.bytes += n.size()
	m.counted(g)
}

// counted notes whether g has more than its share. The caller holds mu.
func (m *Memory) counted(g *group) {
	switch {
	case len(g.nodes) == 0:
		delete(m.groups, g.name)
		delete(m.over, g)
	case m.limits.Over(len(g.nodes), g.bytes):
		m.over[g] = struct{}{}
	default:
		delete(m.over, g)
	}
}

// remove takes a node out. The caller holds mu.
func (m *Memory) remove(el *list.Element) {
	n := el.Value.(*node)
	m.listOf(n).Remove(el)
	if m.index[n.key] == el {
		delete(m.index, n.key)
	}
	m.bytes -= n.size()
	if g := n.group; g != nil {
		last := g.nodes[len(g.nodes)-1]
		g.nodes[n.at] = last
		last.Value.(*node).at = n.at
		g.nodes[len(g.nodes)-1] = nil
		g.nodes = g.nodes[:len(g.nodes)-1]
		g.bytes -= n.size()
		m.counted(g)
	}
}

func (m *Memory) full() bool { return m.limits.Full(len(m.index), m.bytes) }

// makeRoom drops entries until the bounds hold. The caller holds mu.
func (m *Memory) makeRoom(now time.Time) {
	for m.full() {
		if d := now.Sub(m.swept); d >= sweepEvery || d < 0 { // d < 0: the clock was ahead
			m.sweep(now)
			continue
		}
		if len(m.over) > 0 {
			for g := range m.over {
				m.trim(g, now)
				break
			}
			continue
		}
		m.evict(m.costliest(now), now)
	}
}

// costliest returns the entry of the highest cost in the lowest class. The caller holds mu
// and knows that there is one.
func (m *Memory) costliest(now time.Time) (worst *list.Element) {
	most := -1.0
	for c := range m.lists {
		for t := range m.lists[c] {
			if el := m.lists[c][t].Back(); el != nil {
				if cost := el.Value.(*node).cost(now); cost > most {
					worst, most = el, cost
				}
			}
		}
		if worst != nil {
			break
		}
	}
	return worst
}

// trim drops entries of a group until it has its share or there is room to spare, the lowest
// class and highest cost first. The caller holds mu.
func (m *Memory) trim(g *group, now time.Time) {
	els := slices.Clone(g.nodes)
	slices.SortFunc(els, func(a, b *list.Element) int {
		x, y := a.Value.(*node), b.Value.(*node)
		return cmp.Or(cmp.Compare(x.class, y.class), -cmp.Compare(x.cost(now), y.cost(now)))
	})
	for _, el := range els {
		if !m.limits.Over(len(g.nodes), g.bytes) || m.limits.Spare(len(m.index), m.bytes) {
			return
		}
		m.evict(el, now)
	}
}

// evict drops an entry and counts it. The caller holds mu.
func (m *Memory) evict(el *list.Element, now time.Time) {
	n := el.Value.(*node)
	m.remove(el)
	if n.expires > now.UnixNano() {
		m.evicted[n.class]++
	} else {
		m.expired++
	}
}

// sweep removes all entries that have expired. The caller holds mu.
func (m *Memory) sweep(now time.Time) {
	m.swept = now
	for _, el := range m.index {
		if el.Value.(*node).expires <= now.UnixNano() {
			m.remove(el)
			m.expired++
		}
	}
}

// drop removes what is under key, if anything. The caller holds mu.
func (m *Memory) drop(key string) {
	if el, ok := m.index[key]; ok {
		m.remove(el)
	}
}

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
	keys := make([]string, 0, len(m.index))
	for k := range m.index {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
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

// peek is Peek without a context, and leaves what has expired.
func (m *Memory) peek(key string) (Entry, bool, error) {
	now := m.now().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Entry{}, false, errClosed
	}
	if el, ok := m.index[key]; ok {
		if n := el.Value.(*node); n.expires > now {
			return n.entry(), true, nil
		}
	}
	return Entry{}, false, nil
}

// Close implements [Store] and frees the memory.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.index, m.groups, m.over, m.lists, m.bytes = nil, nil, nil, [Classes][tiers]list.List{}, 0
	return nil
}

// Stats counts what a store holds and has dropped.
type Stats struct {
	Entries int    // that are kept, expired ones that were not yet removed among them
	Bytes   int64  // of keys and values
	Expired uint64 // removed since the start because their time had come
	// Evicted counts, by class, the unexpired entries that were dropped since the
	// start for lack of room.
	Evicted [Classes]uint64
}

// Stats returns the counts of now.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Entries: len(m.index), Bytes: m.bytes, Expired: m.expired, Evicted: m.evicted}
}
