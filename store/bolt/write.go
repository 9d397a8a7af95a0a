package bolt

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/internal/room"
)

// A wait for the disk costs milliseconds and is the same for one entry or a thousand. So
// writers do not commit each for itself: each leaves its change in a queue, and the one that
// gets the turn commits all that is waiting, in one transaction. While it does, the next
// crowd gathers. No writer waits for a timer (as bbolt's own Batch does, up to 10 ms), so a
// lone writer pays for its own commit and no more.

// maxBatch bounds the changes of one transaction, and with them how long a writer waits
// after others.
const maxBatch = 4096

// An op is the change that one caller asks for.
type op struct {
	puts []store.Entry
	del  string // if puts is nil
	done chan error
}

func (o *op) size() int { return max(1, len(o.puts)) }

// Put implements [store.Store].
func (s *Store) Put(ctx context.Context, e store.Entry) error {
	return s.PutAll(ctx, []store.Entry{e})
}

// PutAll implements [store.Batcher]: in as few transactions as the size allows.
func (s *Store) PutAll(ctx context.Context, es []store.Entry) error {
	for _, e := range es {
		if err := e.Check(); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(es, maxBatch) {
		if err := s.submit(ctx, &op{puts: part, done: make(chan error, 1)}); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if key == "" {
		return ctx.Err()
	}
	return s.submit(ctx, &op{del: key, done: make(chan error, 1)})
}

// submit queues o and waits until it is committed, by this caller or another.
func (s *Store) submit(ctx context.Context, o *op) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.using.Done()
	s.mu.Lock()
	s.pending = append(s.pending, o)
	s.mu.Unlock()
	for {
		select {
		case err := <-o.done:
			return err
		case s.turn <- struct{}{}:
			s.commit()
			<-s.turn
		case <-ctx.Done():
			s.forget(o)
			return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
		}
	}
}

// forget takes o out of the queue, if no commit has taken it yet.
func (s *Store) forget(o *op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.pending, o); i >= 0 {
		s.pending = slices.Delete(s.pending, i, i+1)
	}
}

// commit writes what is queued, up to maxBatch changes, and notifies those who wait. The
// caller has the turn.
func (s *Store) commit() {
	s.mu.Lock()
	n, size := 0, 0
	for n < len(s.pending) && (n == 0 || size+s.pending[n].size() <= maxBatch) {
		size += s.pending[n].size()
		n++
	}
	ops := slices.Clone(s.pending[:n])
	s.pending = slices.Delete(s.pending, 0, n)
	uses := s.uses
	if len(ops) == 0 && len(uses) == 0 {
		s.mu.Unlock()
		return
	}
	s.uses = map[string]struct{}{}
	s.mu.Unlock()
	now := s.now()
	b := batch{at: now, now: now.UnixNano(), opened: s.opened, sweep: s.sweep}
	err := s.update(func(tx *bbolt.Tx) error { return b.run(tx, ops, uses, s.limits) })
	if err == nil {
		s.sweep = b.sweep
		s.mu.Lock()
		s.stats.Entries, s.stats.Bytes = int(b.totals.entries), int64(b.totals.bytes)
		s.stats.Expired += b.expired
		for c, k := range b.evicted {
			s.stats.Evicted[c] += k
		}
		s.mu.Unlock()
	}
	for _, o := range ops {
		o.done <- err
	}
}

// update runs f in a transaction that writes. After damage it runs nothing any more:
// bbolt may have been left in the middle, with its locks held.
func (s *Store) update(f func(*bbolt.Tx) error) error {
	s.mu.Lock()
	broken := s.broken
	s.mu.Unlock()
	if broken != nil {
		return broken
	}
	return s.met(func() (err error) {
		defer guard(&err)()
		return s.db.Update(f)
	}())
}

// A batch is one transaction.
type batch struct {
	at      time.Time
	now     int64 // at, Unix nanoseconds
	opened  time.Time
	sweep   []byte
	totals  totals
	expired uint64
	evicted [store.Classes]uint64

	entries *bbolt.Bucket
	tx      uint64
}

func (b *batch) run(tx *bbolt.Tx, ops []*op, uses map[string]struct{}, limits room.Limits) (err error) {
	if b.totals, err = readTotals(tx); err != nil {
		return err
	}
	about := tx.Bucket(bucketAbout)
	if string(about.Get(keyFormat)) != formatName {
		if err := about.Put(keyFormat, []byte(formatName)); err != nil {
			return err
		}
	}
	b.entries, b.tx = tx.Bucket(bucketEntries), uint64(tx.ID())
	// Uses come first: they decide what is dropped for lack of room.
	for key := range uses {
		if err := b.use([]byte(key)); err != nil {
			return err
		}
	}
	changes := 0
	for _, o := range ops {
		changes += o.size()
		if o.puts == nil {
			if _, _, err := b.remove([]byte(o.del)); err != nil {
				return err
			}
		}
		for _, e := range o.puts {
			if err := b.put(e); err != nil {
				return err
			}
		}
	}
	if err := b.sweepSome(2*changes + 8); err != nil {
		return err
	}
	for limits.Full(int(b.totals.entries), int64(b.totals.bytes)) {
		if err := b.makeRoom(limits); err != nil {
			return err
		}
	}
	return about.Put(keyTotals, b.totals.encode())
}

// use notes that an entry was used, if that was not noted in the last half day.
func (b *batch) use(key []byte) error {
	v := b.entries.Get(key)
	if v == nil {
		return nil
	}
	r, err := decodeRecord(key, v)
	if err != nil || r.expires <= b.now || !r.stale(b.at) {
		return err
	}
	return b.write(r.entry(key), hourOf(b.at))
}

func (b *batch) put(e store.Entry) error {
	old, was, err := b.remove([]byte(e.Key))
	if err != nil {
		return err
	}
	if e.Expires.UnixNano() <= b.now {
		return nil
	}
	used := hourOf(b.at)
	if was && old.expires > b.now {
		used = hourOf(b.usedAt(old)) // to replace is no use
	}
	return b.write(e, used)
}

// write stores e under its key, in place of what is there.
func (b *batch) write(e store.Entry, used uint32) error {
	key := []byte(e.Key)
	if _, _, err := b.remove(key); err != nil {
		return err
	}
	v, _ := encodeRecord(e, b.tx, used)
	r, err := decodeRecord(key, v)
	if err != nil {
		return err
	}
	b.totals.add(key, r)
	return b.entries.Put(key, v)
}

// usedAt is when an entry was used last; where that is not known, the store counts from when
// it was opened.
func (b *batch) usedAt(r record) time.Time {
	if r.used == 0 {
		return b.opened
	}
	return timeOf(r.used)
}

// remove takes an entry out, if it is there, and returns what of it is no octet of the file.
func (b *batch) remove(key []byte) (r record, was bool, err error) {
	v := b.entries.Get(key)
	if v == nil {
		return record{}, false, nil
	}
	if r, err = decodeRecord(key, v); err != nil {
		return record{}, false, err
	}
	b.totals.sub(key, r)
	err = b.entries.Delete(key)
	r.group, r.value = nil, nil
	return r, true, err
}

// sweepSome looks at the next n entries, and around again at the end, and removes those
// that have expired: so each write pays for the removal of what earlier ones have left.
func (b *batch) sweepSome(n int) error {
	c := b.entries.Cursor()
	k, v := c.Seek(b.sweep)
	var gone [][]byte
	for ; k != nil && n > 0; n-- {
		r, err := decodeRecord(k, v)
		if err != nil {
			return err
		}
		if r.expires <= b.now {
			gone = append(gone, bytes.Clone(k))
		}
		k, v = c.Next()
	}
	b.sweep = bytes.Clone(k) // nil at the end: from the beginning
	for _, k := range gone {
		b.expired++
		if _, _, err := b.remove(k); err != nil {
			return err
		}
	}
	return nil
}

// A victim is an entry that may have to go.
type victim struct {
	over  bool // its group has more than its share
	class store.Class
	cost  float64
	key   []byte
	group uint64 // see groups
}

// precious reports whether v is worth more than w.
func (v victim) precious(w victim) bool {
	switch {
	case v.over != w.over:
		return w.over
	case v.class != w.class:
		return v.class > w.class
	}
	return v.cost < w.cost
}

// victims is a heap with the most precious on top.
type victims []victim

func (h victims) Len() int           { return len(h) }
func (h victims) Less(i, j int) bool { return h[i].precious(h[j]) }
func (h victims) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *victims) Push(x any)        { *h = append(*h, x.(victim)) }
func (h *victims) Pop() any          { x := (*h)[len(*h)-1]; *h = (*h)[:len(*h)-1]; return x }

// groups counts what each group has. They are known by a hash whose seed is not known
// outside, so that a million of them cost 40 MB at most while room is made.
type groups map[uint64]usage

type usage struct {
	entries int
	bytes   int64
}

var groupSeed = maphash.MakeSeed()

// makeRoom looks through all entries, removes the expired ones, and, should that not be
// enough, the least precious: up to one in a hundred beyond what is needed, so that the look
// through all is seldom.
func (b *batch) makeRoom(limits room.Limits) error {
	full := func() bool { return limits.Full(int(b.totals.entries), int64(b.totals.bytes)) }
	of := groups{}
	over := false
	var gone [][]byte
	least, err := b.least(limits, nil, func(k []byte, r record) bool {
		if r.expires <= b.now {
			gone = append(gone, bytes.Clone(k))
			return false
		}
		if len(r.group) > 0 {
			g := maphash.Bytes(groupSeed, r.group)
			u := of[g]
			u = usage{u.entries + 1, u.bytes + int64(len(k)+len(r.value))}
			of[g] = u
			over = over || limits.Over(u.entries, u.bytes)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, k := range gone {
		b.expired++
		if _, _, err := b.remove(k); err != nil {
			return err
		}
	}
	if !full() {
		return nil
	}
	if over { // once more, now that it is known which groups have too much
		if least, err = b.least(limits, of, func([]byte, record) bool { return true }); err != nil {
			return err
		}
	}
	for _, v := range least {
		// Room is made ahead only from the classes that protect no one.
		if !full() && (v.class > store.None || int(b.totals.entries) <= limits.Entries-limits.Entries/100) {
			break
		}
		u := of[v.group]
		if v.over && !limits.Over(u.entries, u.bytes) {
			continue // its group has its share by now
		}
		before := b.totals.bytes
		if _, _, err := b.remove(v.key); err != nil {
			return err
		}
		b.evicted[v.class]++
		of[v.group] = usage{u.entries - 1, u.bytes - int64(before-b.totals.bytes)}
	}
	return nil
}

// least returns the least precious entries for which keep says true, the first to go in
// front: one in a hundred of what the store may hold, and as many as there are too many. of
// is nil if no group has more than its share. What keep is given points into the file.
func (b *batch) least(limits room.Limits, of groups, keep func(key []byte, r record) bool) (victims, error) {
	most := limits.Entries/100 + 1 + max(0, int(b.totals.entries)-limits.Entries)
	var least victims
	c := b.entries.Cursor()
	for k, value := c.First(); k != nil; k, value = c.Next() {
		r, err := readRecord(k, value)
		if err != nil {
			return nil, err
		}
		if !keep(k, r) {
			continue
		}
		v := victim{class: r.class, cost: room.Cost(int64(len(k)+len(r.value)), b.usedAt(r), b.at), key: k}
		if len(r.group) > 0 {
			v.group = maphash.Bytes(groupSeed, r.group)
			u := of[v.group]
			v.over = limits.Over(u.entries, u.bytes)
		}
		if len(least) < most {
			v.key = bytes.Clone(k)
			heap.Push(&least, v)
		} else if least[0].precious(v) {
			v.key = bytes.Clone(k)
			least[0] = v
			heap.Fix(&least, 0)
		}
	}
	slices.SortFunc(least, func(v, w victim) int {
		switch {
		case v.precious(w):
			return 1
		case w.precious(v):
			return -1
		}
		return bytes.Compare(v.key, w.key)
	})
	return least, nil
}
