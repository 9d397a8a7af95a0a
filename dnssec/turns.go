package dnssec

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// turns bounds the questions that are under way in the process. A plan takes no more turns
// than it leaves free for others, so that there are some left for a plan that begins now:
// a domain whose servers are silent makes no other wait. Where a turn can be had again the
// plan that has the fewest is next. Within a plan, see [Budget].
type turns struct {
	mu    sync.Mutex // guards all below
	free  int
	spare int
	held  int
	plans map[*Budget]*planTurns // those that have anything here
}

// planTurns is what a plan has of the turns.
type planTurns struct {
	underWay int            // questions
	shares   map[*Share]int // of them, by share
	spare    int            // sockets for sending again
	held     int            // bytes of replies
	waiting  []*waiter
}

// A waiter waits for a turn. ready is closed when it has one.
type waiter struct {
	share *Share
	ready chan struct{}
}

func newTurns(underWay int) *turns {
	return &turns{free: underWay, spare: maxSpare, plans: make(map[*Budget]*planTurns)}
}

// plan returns what the plan has; mu is held, as in all that follow but enter, hold and let.
func (t *turns) plan(b *Budget) *planTurns {
	p := t.plans[b]
	if p == nil {
		p = &planTurns{shares: make(map[*Share]int)}
		t.plans[b] = p
	}
	return p
}

// forget lets go of a plan that has nothing.
func (t *turns) forget(b *Budget) {
	if p := t.plans[b]; p != nil && p.underWay == 0 && p.spare == 0 && p.held == 0 && len(p.waiting) == 0 {
		delete(t.plans, b)
	}
}

// enter waits for a turn for one question and pays for it. The error is that of a budget that
// is used up, or the cause of ctx.
func (t *turns) enter(ctx context.Context, s *Share) (*Turn, error) {
	if err := s.affords(Questions); err != nil {
		return nil, err
	}
	s.of.goesThrough(t)
	turn := &Turn{turns: t, share: s}
	t.mu.Lock()
	p := t.plan(s.of)
	if t.mayEnter(p, s) {
		t.admit(p, s)
		t.mu.Unlock()
		return turn.paid()
	}
	w := &waiter{s, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	t.mu.Unlock()
	select {
	case <-w.ready:
		return turn.paid()
	case <-ctx.Done():
	}
	t.mu.Lock()
	i := slices.Index(p.waiting, w)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		t.forget(s.of)
	}
	t.mu.Unlock()
	if i < 0 { // it got its turn just now
		turn.leave()
	}
	return nil, context.Cause(ctx)
}

// paid pays for a turn, or gives it back.
func (t *Turn) paid() (*Turn, error) {
	err := t.share.pay(Questions, 1)
	if err == nil {
		// The question, and once more over TCP if the answer is truncated.
		if err = t.share.pay(Sends, 2); err == nil {
			return t, nil
		}
		t.share.refund(Questions, 1)
	}
	t.leave()
	return nil, err
}

// mayEnter reports whether there is a turn for one more question of the share.
func (t *turns) mayEnter(p *planTurns, s *Share) bool {
	most := s.of.limits.UnderWay
	return t.free > 0 && p.underWay < min(most, max(t.free, minUnderWay)) && p.shares[s] < max(most/shareOf, 1) && s.mayAsk()
}

func (t *turns) admit(p *planTurns, s *Share) {
	t.free--
	p.underWay++
	p.shares[s]++
}

// release gives a turn back and passes it on.
func (t *turns) release(s *Share) {
	p := t.plan(s.of)
	t.free++
	p.underWay--
	if p.shares[s]--; p.shares[s] == 0 {
		delete(p.shares, s)
	}
	t.forget(s.of)
	for t.next() {
	}
}

// next lets someone in of the plan that has the fewest questions under way; false if there
// is none that may enter.
func (t *turns) next() bool {
	var best *planTurns
	at := -1
	for _, p := range t.plans {
		if len(p.waiting) == 0 || best != nil && p.underWay >= best.underWay {
			continue
		}
		if i := t.nextOf(p); i >= 0 {
			best, at = p, i
		}
	}
	if best == nil {
		return false
	}
	w := best.waiting[at]
	best.waiting = slices.Delete(best.waiting, at, at+1)
	t.admit(best, w.share)
	close(w.ready)
	return true
}

// nextOf returns the waiter of a plan whose share has asked least, the first of several: a
// host that costs little is finished before those that cost much have spent all there is.
// It is -1 if none may enter.
func (t *turns) nextOf(p *planTurns) int {
	best, least := -1, 0
	for i, w := range p.waiting {
		if !t.mayEnter(p, w.share) {
			continue
		}
		if n := w.share.Spent()[Questions]; best < 0 || n < least {
			best, least = i, n
		}
	}
	return best
}

// wake lets in who may enter now.
func (t *turns) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.next() {
	}
}

// hold counts bytes of a reply in: those that were read by the plan, and those that all
// plans hold now. let counts the latter out.
func (t *turns) hold(s *Share, n int) error {
	if err := s.pay(Bytes, n); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.plan(s.of)
	if t.held+n > maxHeld && p.held+n > heldFloor {
		t.forget(s.of)
		return s.short(Memory, true)
	}
	t.held += n
	p.held += n
	return nil
}

func (t *turns) let(s *Share, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held -= n
	t.plan(s.of).held -= n
	t.forget(s.of)
}

// A Turn is one question under way, for the [Upstream] that carries it. It says how often
// the question may be sent. The nil Turn, of a question that no validator or stub asks,
// allows everything.
type Turn struct {
	turns *turns
	share *Share
	again atomic.Bool // Again was called
}

type turnKey struct{}

// TurnFrom returns the turn of the question that is asked under ctx; nil if there is
// none.
func TurnFrom(ctx context.Context) *Turn {
	t, _ := ctx.Value(turnKey{}).(*Turn)
	return t
}

func (t *Turn) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnKey{}, t)
}

// Send reports whether the question may be sent again after silence. The first time need
// not be asked for.
func (t *Turn) Send() bool { return t == nil || t.share.pay(Sends, 1) == nil }

// Again reports whether the question may be sent over a stream, because the answer over
// UDP was truncated. The first time is paid for already.
func (t *Turn) Again() bool { return t == nil || !t.again.Swap(true) || t.Send() }

// Socket reports whether a second socket may be opened for the question while the first
// one is in use. If so, release gives it back.
func (t *Turn) Socket() (release func(), ok bool) {
	if t == nil {
		return func() {}, true
	}
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	p := t.turns.plan(t.share.of)
	if t.turns.spare == 0 || p.spare >= maxPlanSpare {
		return nil, false
	}
	t.turns.spare--
	p.spare++
	return func() {
		t.turns.mu.Lock()
		defer t.turns.mu.Unlock()
		t.turns.spare++
		p.spare--
		t.turns.forget(t.share.of)
	}, true
}

// leave ends the turn.
func (t *Turn) leave() {
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	t.turns.release(t.share)
}

// unused ends the turn of a question that was not sent.
func (t *Turn) unused() {
	t.leave()
	t.share.refund(Questions, 1)
	t.share.refund(Sends, 2)
}
