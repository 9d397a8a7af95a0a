package dnssec

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Limits of the questions of all plans that go through one validator or stub.
const (
	// DefaultUnderWay bounds the questions that are under way at the same time. Each has a
	// socket, and a process may often open no more than 1024 files.
	DefaultUnderWay = 512
	// minUnderWay is how many of them a plan may have however many other plans there are:
	// the two families of an address.
	minUnderWay = 2
	// maxSpare bounds the sockets for sending again, all plans together.
	maxSpare = 256
	// maxHeld bounds the bytes of replies that all plans hold at the same time; a plan
	// that holds less than heldFloor may go on beyond it. An honest plan holds some tens of
	// kilobytes.
	maxHeld   = 64 << 20
	heldFloor = 1 << 20
)

// turns bounds the questions that are under way in the process. A plan takes no more turns
// than it leaves free for others, so that there are some left for a plan that begins now:
// a domain whose servers are silent makes no other wait. Where a turn can be had again the
// plan that has the fewest is next.
type turns struct {
	mu    sync.Mutex // guards all below, and what Budget and Share say
	free  int
	spare int
	held  int
	queue []*Budget // those that have someone waiting
}

// A waiter waits for a turn. ready is closed when it has one.
type waiter struct {
	share *Share
	ready chan struct{}
}

func newTurns(underWay int) *turns {
	return &turns{free: underWay, spare: maxSpare}
}

// enter pays for one question and waits for a turn. The error is that of a budget that
// is used up, or the cause of ctx.
func (t *turns) enter(ctx context.Context, s *Share) (*Turn, error) {
	if err := s.pay(Questions, 1); err != nil {
		return nil, err
	}
	// The question, and once more over TCP if the answer is truncated.
	if err := s.pay(Sends, 2); err != nil {
		s.refund(Questions, 1)
		return nil, err
	}
	t.mu.Lock()
	if t.mayEnter(s) {
		t.admit(s)
		t.mu.Unlock()
		return &Turn{turns: t, share: s}, nil
	}
	w := &waiter{s, make(chan struct{})}
	if len(s.of.waiting) == 0 {
		t.queue = append(t.queue, s.of)
	}
	s.of.waiting = append(s.of.waiting, w)
	t.mu.Unlock()
	select {
	case <-w.ready:
		return &Turn{turns: t, share: s}, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-w.ready: // both at once
		t.release(s)
	default:
		t.drop(s.of, slices.Index(s.of.waiting, w))
	}
	s.refund(Questions, 1)
	s.refund(Sends, 2)
	return nil, context.Cause(ctx)
}

// mayEnter reports whether there is a turn for one more question of the share.
func (t *turns) mayEnter(s *Share) bool {
	most := s.of.limits.UnderWay
	return t.free > 0 && s.of.underWay < min(most, max(t.free, minUnderWay)) && s.underWay < max(most/shareOf, 1)
}

func (t *turns) admit(s *Share) {
	t.free--
	s.of.underWay++
	s.underWay++
}

// release gives a turn back and passes it on.
func (t *turns) release(s *Share) {
	t.free++
	s.of.underWay--
	s.underWay--
	for t.next() {
	}
}

// next lets someone in of the plan that has the fewest questions under way; false if there
// is none that may enter.
func (t *turns) next() bool {
	var best *Budget
	at := -1
	for _, b := range t.queue {
		if best != nil && b.underWay >= best.underWay {
			continue
		}
		if i := t.nextWaiter(b); i >= 0 {
			best, at = b, i
		}
	}
	if best == nil {
		return false
	}
	w := best.waiting[at]
	t.drop(best, at)
	t.admit(w.share)
	close(w.ready)
	return true
}

// nextWaiter returns the waiter whose share has asked least, the first of several: a host
// that costs little is finished before those that cost much have spent all there is. It is
// -1 if none may enter.
func (t *turns) nextWaiter(b *Budget) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	best := -1
	for i, w := range b.waiting {
		if t.mayEnter(w.share) && (best < 0 || w.share.spent[Questions] < b.waiting[best].share.spent[Questions]) {
			best = i
		}
	}
	return best
}

// drop takes a waiter out.
func (t *turns) drop(b *Budget, at int) {
	b.waiting = slices.Delete(b.waiting, at, at+1)
	if len(b.waiting) == 0 {
		t.queue = slices.DeleteFunc(t.queue, func(o *Budget) bool { return o == b })
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
	if t.held+n > maxHeld && s.of.held+n > heldFloor {
		return s.short(Memory, true)
	}
	t.held += n
	s.of.held += n
	return nil
}

func (t *turns) let(s *Share, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held -= n
	s.of.held -= n
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
	b := t.share.of
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	if t.turns.spare == 0 || b.spare >= maxPlanSpare {
		return nil, false
	}
	t.turns.spare--
	b.spare++
	return func() {
		t.turns.mu.Lock()
		defer t.turns.mu.Unlock()
		t.turns.spare++
		b.spare--
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
