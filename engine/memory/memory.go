// Package memory remembers what each domain once proved, in a store, so that a loss is
// noticed: TLSA records that are gone, an MTA-STS policy that is gone, STARTTLS that is no
// longer offered.
//
//	engine/m/example.org -> {"v":1,"domain":"example.org","dane":"all","dane_at":"2026-11-01T12:00:00Z"}
//
// A [Past] is that state, and [Past.Compare] holds it against what the domain proves now.
// The losses are [Drop] values. A [Memory] reads and writes the states. It is the memory of
// package engine, which declares the interface it needs (engine.Memory). RFC 3207 section 6
// suggests such a memory for STARTTLS; DANE and MTA-STS leave it to local policy.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// An Action says what a [Drop] does while it is open. The zero Action is Accept, as in the
// RFCs, which know no memory except that of MTA-STS policies.
type Action uint8

// Actions.
const (
	Accept Action = iota // the explanation of the plan mentions it; it has no effect
	Alert                // it is also a finding of the plan and of its decisions
	Defer                // in addition, a host that need not prove itself gets no mail
)

var actionWords = [...]string{"accept", "alert", "defer"}

// String returns "accept", "alert" or "defer".
func (a Action) String() string { return enum.Word(actionWords[:], int(a)) }

// MarshalText returns the text of [Action.String].
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText parses the text of [Action.MarshalText].
func (a *Action) UnmarshalText(b []byte) error {
	i, err := enum.Index("memory", "action", actionWords[:], string(b))
	*a = Action(i)
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
	// writePatience bounds one write.
	writePatience = 30 * time.Second
	// writeAgain is the pause after a write that failed.
	writeAgain = time.Minute
)

// smtpPort is the port of mail hosts; a [Past] has 0 in its place.
const smtpPort = 25

// A Policy says what drops do, and for how long.
type Policy struct {
	Action Action
	Hold   time.Duration // at most [MaxHold]
}

// Until returns the end of the time in which a drop has an effect; zero if it has none at
// that time.
func (p Policy) Until(d *Drop, at time.Time) time.Time {
	end := p.end(d)
	if p.Action == Accept || end.Sub(at) > MaxHold {
		return time.Time{}
	}
	return end
}

func (p Policy) end(d *Drop) time.Time { return d.Noted.Add(min(p.Hold, MaxHold-clockSkew)) }

// endFuture ends the holds of drops that were noted so far in the future that they have no
// effect now: without that they would begin to hold mail when the clock gets there.
func (p Policy) endFuture(past *Past, now time.Time) {
	for i := range past.Drops {
		d := &past.Drops[i]
		if p.end(d).Sub(now) <= MaxHold {
			continue
		}
		d.Noted = now.Add(-MaxHold)
		if d.Since.After(d.Noted) {
			d.Since = d.Noted
		}
	}
}

// A Config configures a [Memory]. Store is required.
type Config struct {
	// Store keeps what is remembered, with the policies of MTA-STS if it is the same
	// (under other keys), in classes below [store.Enforce]. The Memory does not close it.
	Store  store.Store
	Action Action
	Hold   time.Duration // how long a drop is open; 0 means [DefaultHold], at most [MaxHold]
	Keep   time.Duration // how long a state is remembered after it was last proved; 0 means [DefaultKeep]
	Now    func() time.Time
	Logger *slog.Logger // nil: discard
}

// A Memory remembers the strongest state that each domain has proved, so that a fall from
// it is noticed (RFC 3207 section 6 suggests as much for STARTTLS; DANE and MTA-STS leave
// it to local policy). It may be used by many goroutines at once, and by several engines.
//
// It reads from its store while a plan is made, and writes later: no plan waits for a
// write. What cannot be written is kept and tried again; what has not been written when
// the process dies is learned again. When the store
// cannot be read, the plan says so and goes on as if nothing were remembered; under
// [Defer] hosts that need not prove themselves wait.
type Memory struct {
	c      Config
	wake   chan struct{} // holds one token when there is something to write
	closed chan struct{}
	done   chan struct{} // closed when the writer has ended
	turn   chan struct{} // held, as a token, by who changes the store

	mu      sync.Mutex // guards what follows
	dirty   map[string]*pendingWrite
	busy    map[string]*pendingWrite // what the writer is at
	forgets uint64                   // calls of Forget: what was read before one is not written after it
	stats   Stats
	ended   bool
}

// Stats count since the memory was made.
type Stats struct {
	Written uint64 // states written
	Lost    uint64 // states not written, because the store failed or too many waited
	Unread  uint64 // times that the store could not say what it has
	Drops   uint64 // drops noticed
}

// New checks c and returns a memory, whose Close is to be called.
func New(c Config) (*Memory, error) {
	var errs []error
	if c.Store == nil {
		errs = append(errs, fault.New("memory", "Config.Store is missing"))
	}
	if int(c.Action) >= len(actionWords) {
		errs = append(errs, fault.Errorf("memory", "Config.Action: no such action: %d", c.Action))
	}
	if c.Hold < 0 || c.Hold > MaxHold {
		errs = append(errs, fault.Errorf("memory", "Config.Hold: %v is not from 0 to %v", c.Hold, MaxHold))
	}
	if c.Keep < 0 || c.Keep > 0 && c.Keep < Precision {
		errs = append(errs, fault.Errorf("memory", "Config.Keep: %v is less than %v", c.Keep, Precision))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c.Hold = cmp.Or(c.Hold, DefaultHold)
	c.Keep = cmp.Or(c.Keep, DefaultKeep)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	m := &Memory{c: c, wake: make(chan struct{}, 1), closed: make(chan struct{}), done: make(chan struct{}), turn: make(chan struct{}, 1), dirty: map[string]*pendingWrite{}}
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

// Policy returns what a drop does, and for how long.
func (m *Memory) Policy() Policy { return Policy{m.c.Action, m.c.Hold} }

// Stats returns the counters.
func (m *Memory) Stats() Stats {
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
		m.count(func(s *Stats) { s.Unread++ })
		return Past{}, false, fmt.Errorf("memory of %s: %w", domain, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock() // pending writes change under it
	p, _ = busy.apply(p)
	p, _ = dirty.apply(p)
	return p, ok || busy != nil || dirty != nil, nil
}

// All calls f for everything that is remembered, in no order, until it returns false. An
// error wraps [store.ErrUnavailable]; about an entry that cannot be read it comes after
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
		return fmt.Errorf("memory of %.255q: %w", p.Domain, err)
	}
	h, err := rfc6125.ParseHost(p.Domain)
	if err != nil {
		return fault.Errorf("memory", "%w", err)
	}
	q := p.clone()
	m.learn(h, p.Port, func(n *pendingWrite) { *n = pendingWrite{all: &q, domain: n.domain, port: n.port} })
	return nil
}

func (m *Memory) count(f func(*Stats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.stats)
}
