package sts

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/net/publicsuffix"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// A fetch needs a turn for each connection that it makes. Turns are bounded, so somebody
// who owns many domains with policy hosts that never answer could keep all of them. The
// rules that prevent this, in the order in which they matter:
//
//   - One registrable domain (public suffix list) never holds more turns than are free,
//     nor more than a quarter of all. Ten domains that take all that they can get leave
//     23 of 256 turns to others, and those to newcomers at once.
//   - A host that has answered before goes first.
//   - A turn lasts turnLength while others wait for one. A thousand registrable domains,
//     which cannot be distinguished from honest ones, so delay a newcomer by about half a
//     minute.
//   - The same holds for places in the queue.
//
// A fetch without a turn has not failed by anything that the domain did: [ErrNoTurn].
const (
	// maxFetches bounds the connections to policy hosts at once: file descriptors (the
	// usual limit is 1024) and memory (a fetch can hold some hundred kilobytes).
	maxFetches = 256
	// maxFetchesPerDomain bounds those for the names below one registrable domain.
	maxFetchesPerDomain = maxFetches / 4
	// maxFetchesPerHost bounds those to one policy host, after its aliases: to a provider
	// of many domains more at once would look like an attack.
	maxFetchesPerHost = 4
	// maxWaiting bounds the fetches that wait for a turn: about 10 KB each.
	maxWaiting = 4096
	// turnLength is how long a connection may take while others wait for a turn: longer
	// than connectTimeout, so that an address that does not answer ends by itself.
	turnLength = connectTimeout + time.Second
	// maxAnswered bounds the policy hosts that are remembered because they have answered.
	maxAnswered = 10_000
)

// Why a turn ends early, or does not come.
var (
	errTurnOver   = fault.New("sts", "the turn is over, others wait") // the cause of its context
	errCrowded    = errors.New("too many fetches wait already")
	errNoTurnCame = errors.New("too many fetches are under way")
)

// A turnKey says for whom a turn is.
type turnKey struct {
	domain string       // the registrable domain
	host   rfc6125.Name // the policy host after its aliases
}

// registrable returns the registrable domain of a policy host: the public suffix and one
// label more.
func registrable(h rfc6125.Host) string {
	if d, err := publicsuffix.EffectiveTLDPlusOne(h.String()); err == nil {
		return d
	}
	return h.String()
}

// turnLimits bound a set of turns.
type turnLimits struct{ all, perDomain, perHost, waiting int }

// turns hands out turns. Use newTurns.
type turns struct {
	limits turnLimits

	mu      sync.Mutex // guards all below
	running int
	ending  int // turns of those running that were ended for others
	domains map[string]*domainTurns
	hosts   map[rfc6125.Name]int // turns that run
	queue   [2][]*waiter         // hosts that have answered before, and the others
	overdue []*turn              // running for longer than their length, the oldest first

	answered *simplelru.LRU[rfc6125.Host, struct{}]
}

type domainTurns struct{ running, waiting int }

// A waiter is a fetch that waits for its turn.
type waiter struct {
	key    turnKey
	length time.Duration
	ctx    context.Context
	ready  chan *turn // holds one
}

// A turn allows one connection. Release ends it.
type turn struct {
	s      *turns
	key    turnKey
	ctx    context.Context // ends with the turn
	cancel context.CancelCauseFunc
	timer  *time.Timer // nil: the turn is not ended for others
	ended  bool        // for others
}

func newTurns(l turnLimits) *turns {
	s := &turns{limits: l, domains: map[string]*domainTurns{}, hosts: map[rfc6125.Name]int{}}
	// The size is above zero, so there is no error.
	s.answered, _ = simplelru.NewLRU[rfc6125.Host, struct{}](maxAnswered, nil)
	return s
}

// noteAnswer remembers whether a policy host answers.
func (s *turns) noteAnswer(h rfc6125.Host, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok {
		s.answered.Add(h, struct{}{})
	} else {
		s.answered.Remove(h)
	}
}

// hasAnswered reports whether a policy host has answered the last time.
func (s *turns) hasAnswered(h rfc6125.Host) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered.Contains(h)
}

// acquire waits for a turn, at most for patience. While others wait, the turn is ended
// after length; 0 means never. The error is ctx's cause, or says that none came. The caller
// releases the turn.
func (s *turns) acquire(ctx context.Context, patience time.Duration, key turnKey, first bool, length time.Duration) (*turn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	w := &waiter{key: key, length: length, ctx: ctx, ready: make(chan *turn, 1)}
	if s.mayRun(key) {
		// None of those who wait could take this turn: release has looked.
		t := s.start(w)
		s.mu.Unlock()
		return t, nil
	}
	d := s.domain(key.domain)
	if free := s.limits.waiting - len(s.queue[0]) - len(s.queue[1]); d.waiting >= free {
		s.drop(key.domain)
		s.mu.Unlock()
		return nil, errCrowded
	}
	q := 1
	if first {
		q = 0
	}
	d.waiting++
	s.queue[q] = append(s.queue[q], w)
	s.makeRoom()
	s.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case t := <-w.ready:
		return t, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = errNoTurnCame
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue[q], w); i >= 0 {
		s.queue[q] = slices.Delete(s.queue[q], i, i+1)
		d.waiting--
		s.drop(key.domain)
	} else {
		s.end(<-w.ready) // it was given at the same moment
	}
	return nil, err
}

// domain returns the counts of a registrable domain.
func (s *turns) domain(name string) *domainTurns {
	d := s.domains[name]
	if d == nil {
		d = &domainTurns{}
		s.domains[name] = d
	}
	return d
}

// drop forgets the counts of a registrable domain that has none.
func (s *turns) drop(name string) {
	if d := s.domains[name]; d != nil && *d == (domainTurns{}) {
		delete(s.domains, name)
	}
}

// mayRun reports whether a turn for key may begin.
func (s *turns) mayRun(key turnKey) bool {
	free := s.limits.all - s.running
	return free > 0 && s.isFair(key, free)
}

// isFair reports whether key may have one of the free turns.
func (s *turns) isFair(key turnKey, free int) bool {
	n := 0
	if d := s.domains[key.domain]; d != nil {
		n = d.running
	}
	return n < min(free, s.limits.perDomain) && s.hosts[key.host] < s.limits.perHost
}

// start begins a turn for w, which mayRun allows.
func (s *turns) start(w *waiter) *turn {
	t := &turn{s: s, key: w.key}
	t.ctx, t.cancel = context.WithCancelCause(w.ctx)
	s.running++
	s.domain(w.key.domain).running++
	s.hosts[w.key.host]++
	if w.length > 0 {
		t.timer = time.AfterFunc(w.length, t.isOverdue)
	}
	return t
}

// isOverdue is called when the length of a turn is over.
func (t *turn) isOverdue() {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.timer == nil {
		return // released at the same moment
	}
	s.overdue = append(s.overdue, t)
	s.makeRoom()
}

// makeRoom ends turns that are overdue, as many as are wanted by others.
func (s *turns) makeRoom() {
	if len(s.overdue) == 0 || s.running < s.limits.all {
		return
	}
	wanted := -s.ending
	for _, q := range s.queue {
		for _, w := range q {
			if wanted >= len(s.overdue) {
				break
			}
			if s.isFair(w.key, 1) {
				wanted++
			}
		}
	}
	for ; wanted > 0 && len(s.overdue) > 0; wanted-- {
		t := s.overdue[0]
		s.overdue = s.overdue[1:]
		t.ended = true
		s.ending++
		t.cancel(errTurnOver)
	}
}

// release ends a turn and gives the place to those who wait.
func (t *turn) release() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.end(t)
}

// wasEnded reports whether the turn was ended for others.
func (t *turn) wasEnded() bool { return errors.Is(context.Cause(t.ctx), errTurnOver) }

func (s *turns) end(t *turn) {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	s.overdue = slices.DeleteFunc(s.overdue, func(o *turn) bool { return o == t })
	t.cancel(nil)
	if t.ended {
		s.ending--
	}
	s.running--
	s.domain(t.key.domain).running--
	s.drop(t.key.domain)
	if s.hosts[t.key.host]--; s.hosts[t.key.host] == 0 {
		delete(s.hosts, t.key.host)
	}
	for i, q := range s.queue {
		left := q[:0]
		for n, w := range q {
			if s.running >= s.limits.all {
				left = append(left, q[n:]...)
				break
			}
			if w.ctx.Err() != nil || !s.mayRun(w.key) {
				left = append(left, w) // one that has left takes itself away
				continue
			}
			s.domain(w.key.domain).waiting--
			w.ready <- s.start(w)
		}
		clear(q[len(left):])
		s.queue[i] = left
	}
}
