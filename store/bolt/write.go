package bolt

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/mxauth/mxauth/store"
)

// A wait for the disk costs milliseconds and is the same for one entry or a thousand. So
// writers do not commit each for itself: each leaves its change in a queue, and whoever
// gets the turn commits all that is waiting, in one transaction. While it does, the next
// crowd gathers. Nobody waits for a timer (as bbolt's own Batch does, up to 10 ms), so a
// lone writer pays for its own commit and no more.

// maxBatch bounds the changes of one transaction, and with them how long a writer waits
// behind others.
const maxBatch = 4096

// An op is what one caller wants to be changed.
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

// commit writes what is queued, up to maxBatch changes, and tells those who wait. The
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
	s.mu.Unlock()
	if len(ops) == 0 {
		return
	}
	b := batch{now: s.now().UnixNano(), sweep: s.sweep}
	err := s.update(func(tx *bbolt.Tx) error { return b.run(tx, ops, s.maxEntries, s.maxBytes) })
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
	now     int64
	sweep   []byte
	totals  totals
	expired uint64
	evicted [store.Classes]uint64

	entries *bbolt.Bucket
	tx      uint64
}

func (b *batch) run(tx *bbolt.Tx, ops []*op, maxEntries, maxBytes uint64) (err error) {
	if b.totals, err = readTotals(tx); err != nil {
		return err
	}
	b.entries, b.tx = tx.Bucket(bucketEntries), uint64(tx.ID())
	changes := 0
	for _, o := range ops {
		changes += o.size()
		if o.puts == nil {
			if err := b.remove([]byte(o.del)); err != nil {
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
	for b.totals.entries > maxEntries || b.totals.bytes > maxBytes {
		if err := b.makeRoom(maxEntries, maxBytes); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketAbout).Put(keyTotals, b.totals.encode())
}

func (b *batch) put(e store.Entry) error {
	key := []byte(e.Key)
	if err := b.remove(key); err != nil {
		return err
	}
	if e.Expires.UnixNano() <= b.now {
		return nil
	}
	v, _ := encodeRecord(e, b.tx)
	r, err := decodeRecord(key, v)
	if err != nil {
		return err
	}
	b.totals.add(key, r)
	return b.entries.Put(key, v)
}

// remove takes an entry out, if it is there.
func (b *batch) remove(key []byte) error {
	v := b.entries.Get(key)
	if v == nil {
		return nil
	}
	r, err := decodeRecord(key, v)
	if err != nil {
		return err
	}
	b.totals.sub(key, r)
	return b.entries.Delete(key)
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
		if err := b.remove(k); err != nil {
			return err
		}
	}
	return nil
}

// A victim is an entry that may have to go.
type victim struct {
	class   store.Class
	expires int64
	key     []byte
}

// precious reports whether v is worth more than w: of a higher class, or of the same and
// longer to live.
func (v victim) precious(w victim) bool {
	if v.class != w.class {
		return v.class > w.class
	}
	return v.expires > w.expires
}

// victims is a heap with the most precious on top.
type victims []victim

func (h victims) Len() int           { return len(h) }
func (h victims) Less(i, j int) bool { return h[i].precious(h[j]) }
func (h victims) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *victims) Push(x any)        { *h = append(*h, x.(victim)) }
func (h *victims) Pop() any          { x := (*h)[len(*h)-1]; *h = (*h)[:len(*h)-1]; return x }

// makeRoom looks through all entries once, removes the expired ones, and, should that not
// be enough, the least precious: one in a hundred beyond what is needed, so that the look
// through all is seldom.
func (b *batch) makeRoom(maxEntries, maxBytes uint64) error {
	most := int(maxEntries/100) + 1
	if b.totals.entries > maxEntries {
		most += int(b.totals.entries - maxEntries)
	}
	var least victims
	var gone [][]byte
	c := b.entries.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		r, err := decodeRecord(k, v)
		if err != nil {
			return err
		}
		if r.expires <= b.now {
			gone = append(gone, bytes.Clone(k))
			continue
		}
		w := victim{r.class, r.expires, k}
		if len(least) < most {
			w.key = bytes.Clone(k)
			heap.Push(&least, w)
		} else if least[0].precious(w) {
			w.key = bytes.Clone(k)
			least[0] = w
			heap.Fix(&least, 0)
		}
	}
	for _, k := range gone {
		b.expired++
		if err := b.remove(k); err != nil {
			return err
		}
	}
	// The least precious first, and no more than needed: from the room that would be
	// made ahead, entries of the classes that protect nobody are taken, no others.
	slices.SortFunc(least, func(v, w victim) int {
		if v.precious(w) {
			return 1
		}
		return -1
	})
	for _, v := range least {
		full := b.totals.entries > maxEntries || b.totals.bytes > maxBytes
		if !full && (v.class > store.None || b.totals.entries <= maxEntries-maxEntries/100) {
			break
		}
		b.evicted[v.class]++
		if err := b.remove(v.key); err != nil {
			return err
		}
	}
	return nil
}
