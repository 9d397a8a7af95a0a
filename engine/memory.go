package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// A MemoryAction is what a [Drop] does while it is open. The zero MemoryAction is
// MemoryAccept, the way of the RFCs, which know no memory but that of MTA-STS policies.
type MemoryAction uint8

// Memory actions.
const (
	MemoryAccept MemoryAction = iota // it is told in the explanation of the plan, and has no effect
	MemoryAlert                      // it is also a finding of the plan and of its decisions
	MemoryDefer                      // and a host that need not prove itself gets no mail
)

var memoryActionWords = [...]string{"accept", "alert", "defer"}

// String returns "accept", "alert" or "defer".
func (a MemoryAction) String() string { return enumString(memoryActionWords[:], int(a)) }

// MarshalText prints a as [MemoryAction.String] does.
func (a MemoryAction) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what [MemoryAction.MarshalText] prints.
func (a *MemoryAction) UnmarshalText(b []byte) error {
	i, err := word("memory", memoryActionWords[:], string(b))
	*a = MemoryAction(i)
	return err
}

// Defaults and bounds of a [Memory].
const (
	// DefaultHold is how long a drop is open: a working day in which somebody can look.
	DefaultHold = 24 * time.Hour
	// MaxHold keeps messages in the queue for less than the four to five days after which
	// they are returned (RFC 5321 section 4.5.4.1). It holds whatever the clock did: a drop
	// whose hold would end later than that was noted by a wrong clock, and is not open.
	MaxHold = 96 * time.Hour
	// clockSkew is how far the clocks of machines that share a store may differ without
	// consequence.
	clockSkew = 10 * time.Minute
	// DefaultKeep is how long a state is remembered after it was last proved.
	DefaultKeep = 180 * 24 * time.Hour
	// maxUnwritten bounds the domains that wait to be written.
	maxUnwritten = 4096
	// memoryPatience bounds what a plan waits for the store.
	memoryPatience = 2 * time.Second
	// writePatience bounds one write.
	writePatience = 30 * time.Second
	// writeAgain is the pause after a write that failed.
	writeAgain = time.Minute
)

// A holding says what a drop does, and for how long.
type holding struct {
	action MemoryAction
	hold   time.Duration
}

// until is the end of the time in which the drop has an effect; zero if it has none at that
// time.
func (h holding) until(d *Drop, at time.Time) time.Time {
	end := h.end(d)
	if h.action == MemoryAccept || end.Sub(at) > MaxHold {
		return time.Time{}
	}
	return end
}

func (h holding) end(d *Drop) time.Time { return d.Noted.Add(min(h.hold, MaxHold-clockSkew)) }

// endFuture ends the holds of drops that were noted so far in the future that they have no
// effect now: without that they would begin to hold mail when the clock gets there. It
// reports whether there were any.
func (h holding) endFuture(p *Past, now time.Time) (ended bool) {
	for i := range p.Drops {
		d := &p.Drops[i]
		if h.end(d).Sub(now) <= MaxHold {
			continue
		}
		d.Noted, ended = now.Add(-MaxHold), true
		if d.Since.After(d.Noted) {
			d.Since = d.Noted
		}
	}
	return ended
}

// A MemoryConfig is what a [Memory] is made of. Store is required.
type MemoryConfig struct {
	// Store keeps what is remembered, beside the policies of MTA-STS if it is the same
	// (under other keys), in classes below [store.Enforce]. The Memory does not close it.
	Store  store.Store
	Action MemoryAction
	Hold   time.Duration // how long a drop is open; 0 means [DefaultHold], at most [MaxHold]
	Keep   time.Duration // how long a state is remembered after it was last proved; 0 means [DefaultKeep]
	Now    func() time.Time
	Logger *slog.Logger // nil: discard
}

// A Memory remembers the strongest state that each domain has proved, so that a fall from
// it is noticed (RFC 3207 section 6 suggests as much for STARTTLS; DANE and MTA-STS leave
// it to local policy). It may be used by many goroutines at once, and by several engines.
//
// It reads from its store while a plan is made, and writes behind it: nobody waits for a
// write. What can not be written is kept and tried again; what has not been written when
// the process dies is learned again. When the store
// cannot be read, the plan says so and goes on as if nothing were remembered; under
// MemoryDefer hosts that need not prove themselves wait.
type Memory struct {
	c      MemoryConfig
	wake   chan struct{} // holds one token when there is something to write
	closed chan struct{}
	done   chan struct{} // closed when the writer has ended
	turn   chan struct{} // held, as a token, by who changes the store

	mu      sync.Mutex // guards what follows
	dirty   map[string]*news
	busy    map[string]*news // what the writer is at
	forgets uint64           // calls of Forget: what was read before one is not written after it
	stats   MemoryStats
	ended   bool
}

// MemoryStats count since the memory was made.
type MemoryStats struct {
	Written uint64 // states written
	Lost    uint64 // states not written, because the store failed or too many waited
	Unread  uint64 // times that the store could not say what it has
	Drops   uint64 // drops noticed
}

// NewMemory checks c and returns a memory, whose Close is to be called.
func NewMemory(c MemoryConfig) (*Memory, error) {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("engine: MemoryConfig.Store is missing"))
	}
	if int(c.Action) >= len(memoryActionWords) {
		errs = append(errs, fmt.Errorf("engine: MemoryConfig.Action: no such action: %d", c.Action))
	}
	if c.Hold < 0 || c.Hold > MaxHold {
		errs = append(errs, fmt.Errorf("engine: MemoryConfig.Hold: %v is not from 0 to %v", c.Hold, MaxHold))
	}
	if c.Keep < 0 || c.Keep > 0 && c.Keep < PastPrecision {
		errs = append(errs, fmt.Errorf("engine: MemoryConfig.Keep: %v is less than %v", c.Keep, PastPrecision))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.Hold == 0 {
		c.Hold = DefaultHold
	}
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Memory{c: c, wake: make(chan struct{}, 1), closed: make(chan struct{}), done: make(chan struct{}), turn: make(chan struct{}, 1), dirty: map[string]*news{}}
	go m.write()
	return m, nil
}

// Close writes what is still to be written and ends. Later calls of the memory's methods
// remember nothing. It may be called again.
func (m *Memory) Close() error {
	m.mu.Lock()
	if !m.ended {
		m.ended = true
		close(m.closed)
	}
	m.mu.Unlock()
	<-m.done
	return nil
}

// Action returns what a drop does while it is open.
func (m *Memory) Action() MemoryAction { return m.c.Action }

func (m *Memory) holding() holding { return holding{m.c.Action, m.c.Hold} }

// Hold returns how long a drop is open.
func (m *Memory) Hold() time.Duration { return m.c.Hold }

// Stats returns the counters.
func (m *Memory) Stats() MemoryStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// Past returns what is remembered of a domain with mail hosts on a port (0 for 25); ok is
// false if nothing is. An error wraps [store.ErrUnavailable] or [store.ErrDamaged].
func (m *Memory) Past(ctx context.Context, domain rfc6125.Host, port uint16) (p Past, ok bool, err error) {
	key := memoryKey(domain, port)
	m.mu.Lock()
	busy, dirty := m.busy[key], m.dirty[key]
	m.mu.Unlock()
	e, ok, err := m.c.Store.Get(ctx, key)
	if err == nil && ok {
		p, err = decodePast(e)
	}
	if err != nil {
		m.count(func(s *MemoryStats) { s.Unread++ })
		return Past{}, false, fmt.Errorf("engine: memory of %s: %w", domain, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock() // news change under it
	p, _ = busy.apply(p)
	p, _ = dirty.apply(p)
	return p, ok || busy != nil || dirty != nil, nil
}

// All calls f for everything that is remembered, in no order, until it returns false. An
// error wraps [store.ErrUnavailable]; about an entry that can not be read it comes after
// all others.
func (m *Memory) All(ctx context.Context, f func(Past) bool) error {
	var bad error
	err := m.c.Store.All(ctx, memoryKeyPrefix, func(e store.Entry) bool {
		p, err := decodePast(e)
		if err != nil {
			bad = err
			return true
		}
		return f(p)
	})
	return errors.Join(err, bad)
}

// Forget drops what is remembered of a domain: the operator has looked at what became
// weaker and takes it as it is. ok is false if there was nothing. What plans that began
// before have found is not remembered either. An error wraps [store.ErrUnavailable].
func (m *Memory) Forget(ctx context.Context, domain rfc6125.Host, port uint16) (ok bool, err error) {
	select {
	case m.turn <- struct{}{}: // no write is under way that could undo it
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	if _, ok, err = m.Past(ctx, domain, port); err != nil && !errors.Is(err, store.ErrDamaged) || err == nil && !ok {
		return false, err
	}
	key := memoryKey(domain, port)
	m.mu.Lock()
	delete(m.dirty, key)
	m.forgets++
	m.mu.Unlock()
	return true, m.c.Store.Delete(ctx, key)
}

// Restore remembers what a Past of another memory says, in place of what is there.
// An error says what is wrong with it.
func (m *Memory) Restore(p Past) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("engine: memory of %.255q: %w", p.Domain, err)
	}
	h, err := rfc6125.ParseHost(p.Domain)
	if err != nil {
		return fmt.Errorf("engine: memory: %w", err)
	}
	q := p.clone()
	m.learn(h, p.Port, func(n *news) { *n = news{all: &q, domain: n.domain, port: n.port} })
	return nil
}

// forgotten returns the count of calls of Forget.
func (m *Memory) forgotten() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.forgets
}

func (m *Memory) count(f func(*MemoryStats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.stats)
}
