package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
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

// A Cover says how many hosts of a domain DANE authenticates. The zero Cover is
// CoverNone.
type Cover uint8

// Covers, the weakest first.
const (
	CoverNone Cover = iota // no host
	CoverSome              // some of the hosts that mail could reach
	CoverAll               // all of them
)

var coverWords = [...]string{"none", "some", "all"}

// String returns "none", "some" or "all".
func (c Cover) String() string { return enumString(coverWords[:], int(c)) }

// MarshalText prints c as [Cover.String] does.
func (c Cover) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what [Cover.MarshalText] prints.
func (c *Cover) UnmarshalText(b []byte) error {
	i, err := word("cover", coverWords[:], string(b))
	*c = Cover(i)
	return err
}

// A DropKind is what became weaker than it once was. Words are never reused.
type DropKind string

// Drop kinds.
const (
	DropDANE       DropKind = "dane-gone"       // no host has signed TLSA records behind a signed MX any more
	DropDANEPartly DropKind = "dane-partly"     // all hosts had them, and some have not
	DropSTS        DropKind = "sts-gone"        // no MTA-STS policy is published and none is kept
	DropSTSUnknown DropKind = "sts-unreachable" // record or policy can not be had, and none is kept
	DropSTSNone    DropKind = "sts-none"        // the policy is in mode none
	DropSTSTesting DropKind = "sts-testing"     // the policy was enforced, and is in mode testing
	DropTLS        DropKind = "tls-gone"        // a host that has spoken TLS does not
)

// What a [Past] is bounded by, and its form in the store.
const (
	pastVersion     = 1
	maxPastHosts    = 16 // of Past.TLS
	maxPastDrops    = maxPastHosts + 2
	maxPastValue    = 16 << 10
	memoryKeyPrefix = "engine/m/"
)

// A Drop is a protection that a domain once proved and does not have now.
type Drop struct {
	Kind DropKind `json:"kind"`
	Host string   `json:"host,omitempty"` // of DropTLS
	// Since is when the stronger state was seen last, to [PastPrecision]; Noted is when it
	// was first missed.
	Since time.Time `json:"since"`
	Noted time.Time `json:"noted"`
	// Until is the end of the time in which the drop has an effect; zero if it has none.
	Until time.Time `json:"until,omitzero"`
}

// open reports whether the drop has an effect at a time.
func (d *Drop) open(at time.Time) bool { return at.Before(d.Until) }

// about reports whether two drops are of the same protection.
func (d *Drop) about(o *Drop) bool { return d.Host == o.Host && d.Kind.part() == o.Kind.part() }

func (k DropKind) part() string {
	part, _, _ := strings.Cut(string(k), "-")
	return part
}

// depth orders the kinds of one part: the deeper fall is the larger.
func (k DropKind) depth() int {
	switch k {
	case DropSTS, DropSTSUnknown, DropDANE:
		return 3
	case DropSTSNone:
		return 2
	}
	return 1
}

// A TLSHost is a host that has spoken TLS.
type TLSHost struct {
	Host string    `json:"host"`
	At   time.Time `json:"at"` // the last time, to [PastPrecision]
}

// A Past is the strongest that a domain has proved, and when it last did. Times are exact
// to [PastPrecision], so that not every delivery is a write.
//
// DANE counts where TLSA records and the MX record are signed; MTA-STS where a policy was
// fetched over HTTPS from the policy host. Nobody who merely sits on the network can plant
// either.
type Past struct {
	V      int       `json:"v"` // 1
	Domain string    `json:"domain"`
	Port   uint16    `json:"port,omitempty"` // of the mail hosts; 0 for 25
	DANE   Cover     `json:"dane"`
	DANEAt time.Time `json:"dane_at,omitzero"`
	STS    sts.Mode  `json:"sts,omitempty"` // enforce or testing; zero if there never was such a policy
	STSAt  time.Time `json:"sts_at,omitzero"`
	TLS    []TLSHost `json:"tls,omitempty"` // the hosts seen last, at most 16
	Drops  []Drop    `json:"drops,omitempty"`
}

// PastPrecision is how old a time in a [Past] may grow before it is written anew.
const PastPrecision = 12 * time.Hour

// Defaults and bounds of a [Memory].
const (
	// DefaultHold is how long a drop is open: a working day in which somebody can look.
	DefaultHold = 24 * time.Hour
	// MaxHold keeps messages in the queue for less than the four to five days after which
	// they are returned (RFC 5321 section 4.5.4.1).
	MaxHold = 96 * time.Hour
	// DefaultKeep is how long a state is remembered after it was last proved.
	DefaultKeep = 180 * 24 * time.Hour
	// maxUnwritten bounds the domains that wait to be written.
	maxUnwritten = 4096
	// memoryPatience bounds what a plan waits for the store.
	memoryPatience = 2 * time.Second
	// writePatience bounds one write.
	writePatience = 30 * time.Second
)

// A MemoryConfig is what a [Memory] is made of. Store is required.
type MemoryConfig struct {
	// Store keeps what is remembered, beside the policies of MTA-STS if it is the same
	// (under other keys), in class [store.Enforce]. The Memory does not close it.
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
// write. What has not been written when the process dies is learned again. When the store
// can not say what a domain once was, the plan goes on as if nothing were remembered, and
// says so.
type Memory struct {
	c      MemoryConfig
	wake   chan struct{} // holds one token when there is something to write
	closed chan struct{}
	done   chan struct{} // closed when the writer has ended

	mu    sync.Mutex // guards what follows
	dirty map[string]*news
	busy  map[string]*news // what the writer is at
	stats MemoryStats
	ended bool
}

// News are what is to be remembered of one domain: how its plan, and then how each of its
// hosts changes what is known.
type news struct {
	all     *Past // in place of what is there
	plan    *Past // DANE, MTA-STS and their drops
	domain  string
	port    uint16
	hosts   map[string]sighting
	noticed func(Drop) // told of a host that stopped to speak TLS
}

// A sighting is whether a host spoke TLS.
type sighting struct {
	tls bool
	at  time.Time
}

// apply brings news to what is known, and returns drops that were not known.
func (n *news) apply(p Past) (Past, []Drop) {
	if n == nil {
		return p, nil
	}
	p = p.clone()
	if n.all != nil {
		p = n.all.clone()
	}
	p.V, p.Domain, p.Port = pastVersion, n.domain, n.port
	if q := n.plan; q != nil {
		p.DANE, p.DANEAt, p.STS, p.STSAt = q.DANE, q.DANEAt, q.STS, q.STSAt
		ofTLS := func(d Drop) bool { return d.Kind == DropTLS }
		p.Drops = slices.DeleteFunc(p.Drops, func(d Drop) bool { return !ofTLS(d) })
		p.Drops = append(slices.DeleteFunc(slices.Clone(q.Drops), ofTLS), p.Drops...)
	}
	var drops []Drop
	for _, host := range slices.Sorted(maps.Keys(n.hosts)) {
		if d, noted := p.saw(host, n.hosts[host]); noted {
			drops = append(drops, d)
		}
	}
	return p, drops
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
	m := &Memory{c: c, wake: make(chan struct{}, 1), closed: make(chan struct{}), done: make(chan struct{}), dirty: map[string]*news{}}
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
// weaker and takes it as it is. ok is false if there was nothing. An error wraps
// [store.ErrUnavailable].
func (m *Memory) Forget(ctx context.Context, domain rfc6125.Host, port uint16) (ok bool, err error) {
	if _, ok, err = m.Past(ctx, domain, port); err != nil && !errors.Is(err, store.ErrDamaged) || err == nil && !ok {
		return false, err
	}
	key := memoryKey(domain, port)
	m.mu.Lock()
	delete(m.dirty, key)
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

func (m *Memory) count(f func(*MemoryStats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.stats)
}

// learn has news of a domain written soon.
func (m *Memory) learn(domain rfc6125.Host, port uint16, f func(*news)) {
	if port == DefaultPort {
		port = 0
	}
	key := memoryKey(domain, port)
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.dirty[key]
	if m.ended || n == nil && len(m.dirty) >= maxUnwritten {
		m.stats.Lost++
		return
	}
	if n == nil {
		n = &news{domain: domain.String(), port: port}
		m.dirty[key] = n
	}
	f(n)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// write is the writer: it ends when the memory is closed and all is written or lost.
func (m *Memory) write() {
	defer close(m.done)
	for {
		select {
		case <-m.wake:
			m.flush()
		case <-m.closed:
			m.flush()
			return
		}
	}
}

// flush writes what waits. It stays visible to [Memory.Past] until the store has it.
func (m *Memory) flush() {
	m.mu.Lock()
	m.busy, m.dirty = m.dirty, map[string]*news{}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), writePatience)
	defer cancel()
	var entries []store.Entry
	var failed []error
	for _, key := range slices.Sorted(maps.Keys(m.busy)) {
		n := m.busy[key]
		var old Past
		e, ok, err := m.c.Store.Get(ctx, key)
		if err == nil && ok {
			old, err = decodePast(e)
		}
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			failed = append(failed, err)
			continue
		}
		p, drops := n.apply(old) // what is damaged is replaced
		for _, d := range drops {
			n.noticed(d)
		}
		if !p.Last().IsZero() && !p.equal(&old) {
			entries = append(entries, p.encode(key, m.c.Keep))
		}
	}
	lost := len(failed)
	if len(entries) > 0 {
		if err := store.PutAll(ctx, m.c.Store, entries); err != nil {
			failed = append(failed, err)
			lost, entries = lost+len(entries), nil
		}
	}
	if lost > 0 {
		m.c.Logger.Warn("what domains proved could not be stored", "domains", lost, "error", failed[0])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = nil
	m.stats.Written += uint64(len(entries))
	m.stats.Lost += uint64(lost)
}

// memoryKey is the key of a domain. A domain name has no slash, and no space.
func memoryKey(domain rfc6125.Host, port uint16) string {
	if port == 0 || port == DefaultPort {
		return memoryKeyPrefix + domain.String()
	}
	return fmt.Sprintf("%s%s %d", memoryKeyPrefix, domain, port)
}

func (p *Past) clone() Past {
	q := *p
	q.TLS, q.Drops = slices.Clone(p.TLS), slices.Clone(p.Drops)
	return q
}

func (p *Past) equal(q *Past) bool {
	sameTLS := func(a, b TLSHost) bool { return a.Host == b.Host && a.At.Equal(b.At) }
	sameDrop := func(a, b Drop) bool {
		return a.Kind == b.Kind && a.Host == b.Host && a.Since.Equal(b.Since) && a.Noted.Equal(b.Noted)
	}
	return p.Domain == q.Domain && p.Port == q.Port && p.DANE == q.DANE && p.DANEAt.Equal(q.DANEAt) && p.STS == q.STS && p.STSAt.Equal(q.STSAt) &&
		slices.EqualFunc(p.TLS, q.TLS, sameTLS) && slices.EqualFunc(p.Drops, q.Drops, sameDrop)
}

// Last is when anything of it was last proved; zero: nothing ever was.
func (p *Past) Last() time.Time {
	t := p.DANEAt
	if p.STSAt.After(t) {
		t = p.STSAt
	}
	for _, h := range p.TLS {
		if h.At.After(t) {
			t = h.At
		}
	}
	return t
}

// encode makes the store's entry. Until of drops is not kept: it follows from the hold.
func (p *Past) encode(key string, keep time.Duration) store.Entry {
	q := p.clone()
	q.V = pastVersion
	for i := range q.Drops {
		q.Drops[i].Until = time.Time{}
	}
	b, err := json.Marshal(q)
	if err != nil {
		panic("engine: a Past that can not be written: " + err.Error()) // its enums are checked before
	}
	return store.Entry{Key: key, Value: b, Class: store.Enforce, Expires: p.Last().Add(keep)}
}

// errPast: what the store gave back is not what this package keeps there.
var errPast = fmt.Errorf("%w: not what engine remembers", store.ErrDamaged)

// decodePast reads an entry. Errors wrap [store.ErrDamaged].
func decodePast(e store.Entry) (Past, error) {
	var p Past
	if len(e.Value) > maxPastValue {
		return Past{}, fmt.Errorf("%w: %.100q", errPast, e.Key)
	}
	if err := json.Unmarshal(e.Value, &p); err != nil {
		return Past{}, fmt.Errorf("%w: %.100q: %w", errPast, e.Key, err)
	}
	if err := p.check(); err != nil {
		return Past{}, fmt.Errorf("%w: %.100q: %w", errPast, e.Key, err)
	}
	if h, err := rfc6125.ParseHost(p.Domain); err != nil || memoryKey(h, p.Port) != e.Key {
		return Past{}, fmt.Errorf("%w: %.100q", errPast, e.Key)
	}
	return p, nil
}

// check says what is wrong with a Past that came from elsewhere.
func (p *Past) check() error {
	switch {
	case p.V != pastVersion:
		return fmt.Errorf("version %d is not %d", p.V, pastVersion)
	case (p.DANE == CoverNone) != p.DANEAt.IsZero():
		return errors.New("a state of DANE without its time, or a time without a state")
	case p.STS != 0 && p.STS != sts.ModeEnforce && p.STS != sts.ModeTesting:
		return fmt.Errorf("mode %s is nothing to remember", p.STS)
	case (p.STS == 0) != p.STSAt.IsZero():
		return errors.New("a mode of MTA-STS without its time, or a time without a mode")
	case len(p.TLS) > maxPastHosts || len(p.Drops) > maxPastDrops:
		return errors.New("too many hosts or drops")
	case p.Last().Year() < 1970 || p.Last().Year() > 2200:
		return errors.New("nothing in it has a time")
	}
	for _, h := range p.TLS {
		if _, err := rfc6125.ParseHost(h.Host); err != nil {
			return err
		}
	}
	for i := range p.Drops {
		switch p.Drops[i].Kind {
		case DropDANE, DropDANEPartly, DropSTS, DropSTSUnknown, DropSTSNone, DropSTSTesting, DropTLS:
		default:
			return fmt.Errorf("no such drop: %.40q", p.Drops[i].Kind)
		}
	}
	return nil
}
