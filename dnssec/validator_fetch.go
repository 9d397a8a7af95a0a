package dnssec

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// A reply is a response, read and sorted. It is shared and must not be changed.
type reply struct {
	msg       *wire.Message
	answer    []proof.RRset
	authority []proof.RRset
	server    string
	received  time.Time
	size      int // bytes in memory
}

// What an RRset and its parts take in memory, on 64-bit systems.
const (
	sizeRRset  = 80
	sizeSlice  = 24
	sizeRRSIG  = 120
	sizeFuture = 512 // a reply, and what it takes to wait for it
)

// sizeOf estimates the memory of sets without that of the message they are made from.
func sizeOf(sets []proof.RRset) int {
	n := sizeRRset * cap(sets)
	for i := range sets {
		n += sizeSlice*cap(sets[i].Data) + sizeRRSIG*cap(sets[i].Sigs)
		for j := range sets[i].Sigs {
			n += sets[i].Sigs[j].Signer.WireLen()
		}
	}
	return n
}

// find returns the RRset of owner and type with records in it; nil if there is none.
func find(sets []proof.RRset, owner rfc6125.Name, typ uint16) *proof.RRset {
	for i := range sets {
		if s := &sets[i]; s.Type == typ && len(s.Data) > 0 && s.Owner == owner {
			return s
		}
	}
	return nil
}

// flights lets calls that need the same message at the same time share one exchange.
// The exchange runs in a goroutine of its own, under a context of its own; the last
// caller to leave before it has ended cancels it and waits for it, so nothing is left running.
// (singleflight.DoChan can do neither.)
type flights struct {
	mu sync.Mutex // guards m and the refs of its values
	m  map[Question]*flight
}

type flight struct {
	refs   int
	cancel context.CancelFunc
	done   chan struct{} // closed when reply and err are set
	reply  *reply
	err    error
	taken  bool // guarded by mu of flights: someone has taken the reply, and pays for it
}

// take returns the outcome; first says that the caller is the first to have it.
func (f *flights) take(fl *flight) (r *reply, first bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first, fl.taken = !fl.taken, true
	return fl.reply, first, fl.err
}

// do returns the reply to q, from a flight under way or from a new one, for which enter
// gives a turn. first says that no other caller has the reply yet.
func (f *flights) do(ctx context.Context, q Question, enter func(context.Context) (*Turn, error), exchange func(context.Context) (*reply, error), timeout time.Duration) (r *reply, first bool, err error) {
	f.mu.Lock()
	fl := f.m[q]
	var turn *Turn
	if fl == nil {
		f.mu.Unlock()
		if turn, err = enter(ctx); err != nil {
			return nil, false, err
		}
		f.mu.Lock()
		fl = f.m[q] // another one may have begun meanwhile
	}
	if fl == nil {
		// The context keeps the values of the first caller, not its end.
		fctx, cancel := context.WithTimeout(turn.context(context.WithoutCancel(ctx)), timeout)
		fl = &flight{cancel: cancel, done: make(chan struct{})}
		if f.m == nil {
			f.m = make(map[Question]*flight)
		}
		f.m[q] = fl
		go func() {
			defer cancel()
			defer turn.leave()
			fl.reply, fl.err = exchange(fctx)
			f.mu.Lock()
			if f.m[q] == fl {
				delete(f.m, q)
			}
			f.mu.Unlock()
			close(fl.done)
		}()
	} else if turn != nil {
		defer turn.unused()
	}
	fl.refs++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return f.take(fl)
	case <-ctx.Done():
	}
	f.mu.Lock()
	fl.refs--
	last := fl.refs == 0
	if last && f.m[q] == fl {
		delete(f.m, q) // the next caller starts again
	}
	f.mu.Unlock()
	if last {
		fl.cancel()
		<-fl.done
	}
	return nil, false, context.Cause(ctx)
}

// unreadable is what a message counts that cannot be read, which may show at its very end:
// what it would take in memory if it could, by order of magnitude.
func unreadable(message []byte) int { return sizeFuture + 4*len(message) }

// exchange asks the upstream once. The message that comes back is known to be an
// answer to q, whatever it says. A reply that comes with an error has only its size set.
func (v *Validator) exchange(ctx context.Context, q Question) (*reply, error) {
	// DANE7672-2.1.1-01: RFC 7672 section 2.1.1; DNSSEC4035-4.1-01: RFC 4035 section 4.1
	// DNSSEC4035-4.6-01: RFC 4035 section 4.6
	query := wire.Query{ID: uint16(rand.Uint32()), Name: q.Name, Type: uint16(q.Type), CD: true, DO: true, Signal: v.signal}
	r, err := v.cfg.Upstream.Exchange(ctx, query.Append(make([]byte, 0, 512)))
	if err != nil {
		return nil, err
	}
	m, err := wire.Parse(r.Message)
	if err != nil {
		return &reply{size: unreadable(r.Message)}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	asked := wire.Question{Name: q.Name, Type: uint16(q.Type), Class: wire.ClassIN}
	switch {
	// DNSSEC6840-5.6-01: RFC 6840 section 5.6
	case !m.Response() || m.ID != query.ID || m.Opcode() != 0:
		return nil, fmt.Errorf("%w: no response to our query", ErrMalformed)
	case m.Question != asked && (m.Rcode == wire.RcodeNoError || m.Rcode == wire.RcodeNXDomain || m.NumQuestions != 0):
		return nil, fmt.Errorf("%w: response to another question", ErrMalformed)
	case m.Truncated():
		return nil, fmt.Errorf("%w: truncated response", ErrMalformed)
	}
	out := &reply{
		msg:       m,
		answer:    proof.Group(m.Answer),
		authority: proof.Group(m.Authority),
		server:    r.Server,
		received:  v.cfg.Now(),
	}
	out.size = m.Size + sizeOf(out.answer) + sizeOf(out.authority) + sizeFuture
	return out, nil
}

// A future is a question of one task that was sent.
type future struct {
	done  chan struct{} // nil once reply and err may be read without waiting
	reply *reply
	err   error
}

// A task is the work for one call to Resolve. Its proofs run one after the other in
// the caller's goroutine; only exchanges run concurrently.
type task struct {
	v       *Validator
	ctx     context.Context
	cancel  context.CancelFunc
	q       Question
	now     time.Time
	share   *Share
	budget  *proof.Budget
	queries int          // what is left
	bytes   atomic.Int64 // what is left
	held    atomic.Int64 // bytes of replies that are counted for the share
	asked   map[Question]*future
	again   map[Question]bool // questions to send even if the plan has kept a reply
	zones   map[rfc6125.Name]*zone
	wg      sync.WaitGroup // of the exchanges sent ahead
}

func newTask(ctx context.Context, v *Validator, q Question) *task {
	t := &task{
		v: v, q: q,
		now:     v.cfg.Now(),
		budget:  proof.NewBudget(),
		queries: v.cfg.MaxQueries,
		asked:   make(map[Question]*future, 8),
		zones:   make(map[rfc6125.Name]*zone, 4),
	}
	t.share, t.ctx, t.cancel = shareFor(ctx, q)
	t.budget.Pay = t.share.payWork
	t.bytes.Store(int64(v.cfg.MaxBytes))
	return t
}

// wait ends what the task has sent ahead and does not need, and waits for it.
func (t *task) wait() {
	t.cancel()
	t.wg.Wait()
	t.v.turns.let(t.share, int(t.held.Load()))
}

// ahead sends a question whose answer will be needed. It does nothing if it was sent
// before, or if it would take the last queries, which are kept for what is surely
// needed.
func (t *task) ahead(q Question) {
	if t.asked[q] != nil || t.queries <= t.v.cfg.MaxQueries/4 {
		return
	}
	t.queries--
	f := &future{done: make(chan struct{})}
	t.asked[q] = f
	force := t.again[q]
	t.wg.Go(func() {
		defer close(f.done)
		f.reply, f.err = t.send(q, force)
	})
}

// get returns the answer to q, asking if that was not done before. A failed verdict
// says that there is none.
func (t *task) get(q Question) (*reply, *verdict) {
	f := t.asked[q]
	if f == nil {
		if t.queries <= 0 { // DNSSEC4035-5.4-05: RFC 4035 section 5.4
			v := bogus(q.Name, q.Type, &proof.Error{Kind: proof.ErrBudget, Text: fmt.Sprintf("more than %d questions", t.v.cfg.MaxQueries)})
			return nil, &v
		}
		t.queries--
		f = &future{}
		t.asked[q] = f
		f.reply, f.err = t.send(q, t.again[q])
	} else if f.done != nil {
		// The exchange ends when the task's context does: no second case is needed.
		<-f.done
	}
	switch {
	case f.err == nil:
		return f.reply, nil
	case errors.Is(f.err, proof.ErrBudget):
		v := bogus(q.Name, q.Type, f.err)
		return nil, &v
	}
	e := upstreamFailed(t.q, q, f.err)
	ended := t.ctx.Err() != nil
	return nil, &verdict{status: Indeterminate, kind: e.Kind, reason: e.Reason, cause: f.err, final: ended, own: ended}
}

// send asks q once and pays for the reply, whether it is needed in the end or not: what is
// too much is dropped at once. A reply that another question of the plan has got is used, unless
// force is set.
func (t *task) send(q Question, force bool) (*reply, error) {
	plan := t.share.of
	r := plan.reply(t.v, q)
	if r == nil || force {
		enter := func(ctx context.Context) (*Turn, error) { return t.v.turns.enter(ctx, t.share) }
		exchange := func(ctx context.Context) (*reply, error) { return t.v.exchange(ctx, q) }
		got, first, err := t.v.flights.do(t.ctx, q, enter, exchange, t.v.cfg.ExchangeTimeout)
		if err != nil {
			if got != nil && first {
				if spent := t.share.pay(Bytes, got.size); spent != nil {
					return nil, spent
				}
			}
			return nil, err
		}
		if r = got; first {
			if err := t.v.turns.hold(t.share, r.size); err != nil {
				return nil, err
			}
			t.held.Add(int64(r.size))
		}
		if !t.share.alone {
			plan.keep(t.v, q, r)
		}
	}
	if t.bytes.Add(-int64(r.size)) < 0 {
		return nil, &proof.Error{Kind: proof.ErrBudget, Text: fmt.Sprintf("answers of more than %d bytes", t.v.cfg.MaxBytes)}
	}
	return r, nil
}

// forget makes the next get of q ask again.
func (t *task) forget(q Question) {
	delete(t.asked, q)
	if t.again == nil {
		t.again = make(map[Question]bool)
	}
	t.again[q] = true
}
