package memory

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// A pendingWrite is one pending write to the memory of a domain: how its plan, and then how each of its
// hosts changes what is known.
type pendingWrite struct {
	all     *Past // in place of what is there
	plan    *Past // DANE, MTA-STS and their drops
	domain  string
	port    uint16
	hosts   map[string]Sighting
	noticed func(Drop)          // called for a host that stopped to speak TLS
	told    map[string]struct{} // hosts for which noticed was called
}

// apply brings news to what is known, and returns drops that were not known.
func (n *pendingWrite) apply(p Past) (Past, []Drop) {
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
		if d, noted := p.saw(n.hosts[host]); noted {
			drops = append(drops, d)
		}
	}
	return p, drops
}

// learn has news of a domain written soon. It returns false if there is no room for it.
func (m *Memory) learn(domain rfc6125.Host, port uint16, f func(*pendingWrite)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.note(domain, port, f)
}

// Recall is [Memory.Past] for a plan: p is the zero Past if nothing is remembered, and
// forgets goes back to [Memory.LearnPlan].
func (m *Memory) Recall(ctx context.Context, domain rfc6125.Host, port uint16) (p Past, forgets uint64, err error) {
	m.mu.Lock()
	forgets = m.forgets
	m.mu.Unlock()
	p, _, err = m.Past(ctx, domain, port)
	return p, forgets, err
}

// LearnPlan has the result of a comparison written soon. It returns false if there is no
// room for it, or if Forget was called after [Memory.Recall] returned forgets.
func (m *Memory) LearnPlan(domain rfc6125.Host, u Update, forgets uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Drops += uint64(len(u.Fresh))
	next := u.Next.clone()
	return m.forgets == forgets && m.note(domain, next.Port, func(n *pendingWrite) { n.plan = &next })
}

// LearnTLS has it written soon whether a host spoke TLS. If that is a drop that was not
// known, lost is called with it once, from a goroutine of the memory.
func (m *Memory) LearnTLS(domain rfc6125.Host, port uint16, s Sighting, lost func(Drop)) {
	m.learn(domain, port, func(n *pendingWrite) {
		if n.hosts == nil {
			n.hosts = map[string]Sighting{}
		}
		n.hosts[s.Host] = s
		n.noticed = lost
	})
}

// note is learn for who holds mu.
func (m *Memory) note(domain rfc6125.Host, port uint16, f func(*pendingWrite)) bool {
	if port == smtpPort {
		port = 0
	}
	key := memoryKey(domain, port)
	n := m.dirty[key]
	if m.ended || n == nil && len(m.dirty) >= maxUnwritten {
		m.stats.Lost++
		return false
	}
	if n == nil {
		n = &pendingWrite{domain: domain.String(), port: port}
		m.dirty[key] = n
	}
	f(n)
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return true
}

// over puts n on top of older news of the same domain.
func (n *pendingWrite) over(older *pendingWrite) *pendingWrite {
	if n == nil {
		return older
	}
	if n.all != nil {
		return n
	}
	merged := *n
	merged.all, merged.hosts = older.all, maps.Clone(older.hosts)
	if merged.plan == nil {
		merged.plan = older.plan
	}
	if merged.noticed == nil {
		merged.noticed = older.noticed
	}
	merged.told = older.told // what is newer has not been reported yet
	if merged.hosts == nil {
		merged.hosts = n.hosts
	} else {
		maps.Copy(merged.hosts, n.hosts)
	}
	return &merged
}

// write is the writer: it ends when the memory is closed and all is written or lost.
func (m *Memory) write() {
	defer close(m.done)
	for {
		select {
		case <-m.wake:
		case <-m.closed:
			m.flush()
			m.loseAll()
			return
		}
		if m.flush() {
			continue
		}
		// The store is left alone for a while; then what is new is written with it.
		pause := time.NewTimer(writeAgain)
		select {
		case <-pause.C:
			m.mu.Lock()
			if len(m.dirty) > 0 {
				select {
				case m.wake <- struct{}{}:
				default:
				}
			}
			m.mu.Unlock()
		case <-m.closed:
			pause.Stop()
		}
	}
}

// loseAll counts what could not be written before the end.
func (m *Memory) loseAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Lost += uint64(len(m.dirty))
	clear(m.dirty)
}

// flush writes what waits and reports the drops in it. What could not be written waits
// again, and flush returns false.
func (m *Memory) flush() bool {
	tell, ok := m.writeDirty()
	for _, f := range tell {
		f() // without the turn: the observer may call Forget
	}
	return ok
}

// writeDirty writes what waits. It stays visible to [Memory.Past] until the store has it.
// tell holds the calls of observers.
func (m *Memory) writeDirty() (tell []func(), ok bool) {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	m.mu.Lock()
	m.busy, m.dirty = m.dirty, map[string]*pendingWrite{}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), writePatience)
	defer cancel()
	var entries []store.Entry
	var keys []string // of entries
	failed := map[string]error{}
	now := m.c.Now()
	for _, key := range slices.Sorted(maps.Keys(m.busy)) {
		n := m.busy[key]
		var old Past
		e, ok, err := m.c.Store.Get(ctx, key)
		if err == nil && ok {
			old, err = decodePast(e)
		}
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			failed[key] = err
			continue
		}
		p := old.clone() // empty if it is damaged: then it is replaced
		m.Policy().endFuture(&p, now)
		p, drops := n.apply(p)
		for _, d := range drops {
			if _, told := n.told[d.Host]; !told {
				tell = append(tell, func() {
					m.count(func(s *Stats) { s.Drops++ })
					n.noticed(d)
				})
			}
			if n.told == nil {
				n.told = map[string]struct{}{}
			}
			n.told[d.Host] = struct{}{}
		}
		if !p.Last().IsZero() && !p.equal(&old) {
			entries, keys = append(entries, p.encode(key, m.c.Keep)), append(keys, key)
		}
	}
	if len(entries) > 0 {
		if err := store.PutAll(ctx, m.c.Store, entries); err != nil {
			for _, key := range keys {
				failed[key] = err
			}
			entries = nil
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	busy := m.busy
	m.busy = nil
	m.stats.Written += uint64(len(entries))
	if len(failed) == 0 {
		return tell, true
	}
	var first error
	for _, key := range slices.Sorted(maps.Keys(failed)) {
		first = cmp.Or(first, failed[key])
		if m.dirty[key] == nil && len(m.dirty) >= maxUnwritten {
			m.stats.Lost++
			continue
		}
		m.dirty[key] = m.dirty[key].over(busy[key])
	}
	m.c.Logger.Warn("what domains proved could not be stored", "domains", len(failed), "error", first)
	return tell, false
}
