package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

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
