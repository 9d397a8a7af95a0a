package dnssec

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"
)

// A CacheConfig bounds a [Cached]. The zero CacheConfig has all defaults.
type CacheConfig struct {
	// Entries bounds the number of answers; zero means [DefaultCacheEntries].
	Entries int
	// Bytes bounds the memory that they take, by an estimate that is never too low
	// (see entrySize); zero means [DefaultCacheBytes].
	Bytes int64
	// FailureTTL is how long a failed lookup is kept; zero means
	// [DefaultFailureTTL], and more than [MaxFailureTTL] means that.
	FailureTTL time.Duration
	// LookupTimeout bounds the work for one question, however many wait for it; zero means
	// [DefaultLookupTimeout].
	LookupTimeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Trace is called for what happens; its zero value does nothing.
	Trace CacheTrace
}

// A CacheTrace is a set of optional callbacks, for metrics. They are called by many
// goroutines at once, with no lock held, and must return soon.
type CacheTrace struct {
	// Hit: answered from the cache, the answer being that old. failed says that what was
	// kept is a failure.
	Hit func(q Question, age time.Duration, failed bool)
	// Miss: not in the cache; the question waits for the resolver. shared says that
	// another question for the same waits with it.
	Miss func(q Question, shared bool)
	// Asked: the resolver was asked and took that long; err is what it returned.
	Asked func(q Question, took time.Duration, err error)
	// Size: the cache has so many entries of so many bytes now.
	Size func(entries int, bytes int64)
}

// A Cached is a [Resolver] that keeps the answers of another one until they expire,
// and asks each question once, however many wait for it.
//
// An answer is kept as a whole, with its chain and its status, and dropped as a
// whole (RFC 4035 section 4.5), never after [Answer.Expires]: the smallest TTL, cut to
// the signatures by the validator. Denials are kept likewise. A failure is kept for a
// short time of its own (RFC 9520, RFC 4035 section 4.7) and comes back as the
// failure that it was. When the bound of entries or bytes is met, what was not used
// for the longest time goes first.
//
// A caller whose context ends leaves at once; the work goes on for the others, and
// for the cache. A Cached is safe for use by many goroutines at once.
type Cached struct {
	r      Resolver
	cfg    CacheConfig
	ctx    context.Context // ends when the cache is closed
	cancel context.CancelFunc
	flight singleflight.Group

	mu      sync.Mutex // guards all below
	lru     *simplelru.LRU[Question, *entry]
	bytes   int64
	closed  bool
	flights sync.WaitGroup
}

var _ Resolver = (*Cached)(nil)

// An entry is the result of one question. It is never changed once it is in the cache.
type entry struct {
	answer   Answer
	err      error
	until    time.Time
	size     int64
	failures uint8 // in a row, if err is not nil
}

// NewCached puts a cache before r. Negative fields of cfg mean the default as zero does.
func NewCached(r Resolver, cfg CacheConfig) *Cached {
	cfg.Entries = cmp.Or(max(cfg.Entries, 0), DefaultCacheEntries)
	cfg.Bytes = cmp.Or(max(cfg.Bytes, 0), DefaultCacheBytes)
	cfg.FailureTTL = cmp.Or(max(cfg.FailureTTL, 0), DefaultFailureTTL)
	cfg.LookupTimeout = cmp.Or(max(cfg.LookupTimeout, 0), DefaultLookupTimeout)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cached{r: r, cfg: cfg}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	// The size is above zero, so there is no error.
	c.lru, _ = simplelru.NewLRU[Question, *entry](cfg.Entries, func(_ Question, e *entry) { c.bytes -= e.size })
	return c
}

// Resolve implements [Resolver].
func (c *Cached) Resolve(ctx context.Context, q Question) (Answer, error) {
	now := c.cfg.Now()
	if e := c.lookup(q, now); e != nil {
		if t := c.cfg.Trace.Hit; t != nil {
			t(q, now.Sub(e.answer.Received), e.err != nil)
		}
		return e.answer, e.err
	}
	if err := ctx.Err(); err != nil {
		return Answer{Question: q, Final: q.Name}, upstreamFailed(q, q, context.Cause(ctx))
	}
	e, shared, err := c.join(ctx, q)
	if t := c.cfg.Trace.Miss; t != nil {
		t(q, shared)
	}
	if err != nil {
		return Answer{Question: q, Final: q.Name}, err
	}
	return e.answer, e.err
}

// joinPatience is how long a question waits for the work that another share does for the
// same one. It usually takes less. But a plan may have spent its turns on silent servers,
// and must not hold up others by that.
const joinPatience = time.Second

// join waits for the work for q, and starts it if it is not under way. If the plan that
// pays for the work runs out of budget, the others try on their own.
func (c *Cached) join(ctx context.Context, q Question) (e *entry, shared bool, err error) {
	share := shareFrom(ctx)
	name, own := key(q), key(q)+share.id()
	timer := time.NewTimer(joinPatience)
	defer timer.Stop()
	for {
		var ours atomic.Bool
		ch := c.flight.DoChan(name, func() (any, error) {
			ours.Store(true)
			return c.ask(share, q)
		})
		select {
		case res := <-ch:
			if res.Err != nil {
				return nil, res.Shared, res.Err
			}
			e := res.Val.(*entry)
			if by := spentBy(e.err); by != nil && by != share && ctx.Err() == nil {
				continue
			}
			return e, res.Shared, nil
		case <-timer.C:
			if !ours.Load() {
				name = own
			}
		case <-ctx.Done():
			return nil, false, upstreamFailed(q, q, context.Cause(ctx))
		}
	}
}

// key names a question for singleflight.
func key(q Question) string {
	b := make([]byte, 0, 2+q.Name.WireLen())
	return string(q.Name.AppendWire(append(b, byte(q.Type>>8), byte(q.Type))))
}

// lookup returns what is kept for q and still holds.
func (c *Cached) lookup(q Question, now time.Time) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.lru.Get(q); ok && now.Before(e.until) { // TLSA6698-8.2-01: RFC 6698 section 8.2
		return e
	}
	return nil
}

// ask does the work for one question, for all who wait. It has a context of its own: no
// caller's leaving ends it. The share, which may be nil, is that of the caller who was
// first.
func (c *Cached) ask(share *Share, q Question) (*entry, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, upstreamFailed(q, q, ErrCacheClosed)
	}
	c.flights.Add(1)
	c.mu.Unlock()
	defer c.flights.Done()

	// Someone may have finished between our caller's look and this call.
	start := c.cfg.Now()
	if e := c.lookup(q, start); e != nil {
		return e, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.LookupTimeout)
	defer cancel()
	if share != nil {
		var end context.CancelFunc
		ctx, end = share.until(ctx)
		defer end()
	}
	a, err := c.r.Resolve(ctx, q)
	now := c.cfg.Now()
	if t := c.cfg.Trace.Asked; t != nil {
		t(q, now.Sub(start), err)
	}
	e := &entry{answer: compact(a), err: err, until: a.Expires}
	if err != nil {
		e.failures = c.failuresOf(q)
		// DNSSEC4035-4.7-01: RFC 4035 section 4.7
		e.until = now.Add(min(c.cfg.FailureTTL<<e.failures, MaxFailureTTL))
		if c.ctx.Err() != nil || spentBy(err) != nil {
			return e, nil // closed meanwhile, or not affordable; that is no fault of the question
		}
	} else if a.Status < Insecure || a.Kind == 0 {
		// The contract of Resolver forbids it; never let it through, nor keep it.
		return nil, failed(q, ErrIndeterminate, Reason{Code: ReasonMalformed, Text: "the resolver gave an answer without a status"})
	}
	if now.Before(e.until) {
		c.keep(q, e)
	}
	return e, nil
}

// maxFailures keeps the shift of FailureTTL small: 5 s doubled four times is more than
// MaxFailureTTL.
const maxFailures = 4

// failuresOf counts the failures before this one. An expired entry stays until it
// is replaced or pushed out, so they are known.
func (c *Cached) failuresOf(q Question) uint8 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.lru.Peek(q); ok && e.err != nil {
		return min(e.failures+1, maxFailures)
	}
	return 0
}

// keep puts e into the cache and lets others go until both bounds hold.
func (c *Cached) keep(q Question, e *entry) {
	e.size = entrySize(e)
	if e.size > c.cfg.Bytes {
		return
	}
	c.mu.Lock()
	c.lru.Remove(q) // Add would not report an old value that it replaces
	c.lru.Add(q, e)
	c.bytes += e.size
	for c.bytes > c.cfg.Bytes {
		c.lru.RemoveOldest()
	}
	n, b := c.lru.Len(), c.bytes
	c.mu.Unlock()
	if t := c.cfg.Trace.Size; t != nil {
		t(n, b)
	}
}

// Size returns the number of entries and the bytes that they are taken to need.
// Expired ones count until they are replaced or pushed out.
func (c *Cached) Size() (entries int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Len(), c.bytes
}

// Purge empties the cache. Questions under way are not touched.
func (c *Cached) Purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Purge()
}

// Close ends the work under way and waits for it. A caller that waits for an answer gets an
// error, and so does every later question that is not in the cache. It does not
// close the resolver.
func (c *Cached) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.flights.Wait()
	return nil
}

// compact copies the records into one block of just their size: what comes from a
// resolver may be a small part of a whole message, which it would keep alive.
func compact(a Answer) Answer {
	n := 0
	for _, r := range a.Records {
		n += len(r.Data)
	}
	block := make([]byte, 0, n)
	records := make([]Record, len(a.Records))
	for i, r := range a.Records {
		from := len(block)
		block = append(block, r.Data...)
		records[i] = Record{Type: r.Type, TTL: r.TTL, Data: block[from:len(block):len(block)]}
	}
	if len(records) == 0 {
		records = nil
	}
	a.Records = records
	return a
}

// What an entry costs in addition to its data, measured on 64-bit systems and rounded up (a
// test holds the sum against the heap): the entry itself, its place in the list and
// in the map, whose table may be half empty.
const (
	sizeEntry  = 560
	sizeAlias  = 64 + 32
	sizeRecord = 32 + 8
	sizeEDE    = 32
	sizeError  = 400
)

// entrySize estimates the memory that e takes. Names are counted where they are,
// though some share their octets.
func entrySize(e *entry) int64 {
	a := &e.answer
	n := sizeEntry + 2*a.Question.Name.WireLen() + a.Final.WireLen() + len(a.Server) + a.Reason.Name.WireLen() + len(a.Reason.Text)
	for _, st := range a.Chain {
		n += sizeAlias + st.Owner.WireLen() + st.Target.WireLen()
	}
	for _, r := range a.Records {
		n += sizeRecord + len(r.Data)
	}
	for _, x := range a.EDE {
		n += sizeEDE + len(x.Text)
	}
	if e.err != nil {
		n += sizeError + len(e.err.Error())
	}
	return int64(n)
}
