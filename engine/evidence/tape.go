package evidence

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// A clock shows the times at which things happened in a check, so that what ended while it
// was under way ends in the replay too.
type clock struct {
	fixed time.Time // zero: it moves

	mu  sync.Mutex // guards now
	now time.Time
}

func newClock(fixed, start time.Time) *clock { return &clock{fixed: fixed, now: start} }

// read returns the time.
func (c *clock) read() time.Time {
	if !c.fixed.IsZero() {
		return c.fixed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// set puts the clock to t, if t is known.
func (c *clock) set(t time.Time) {
	if t.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// advance lets the clock show t if it shows less.
func (c *clock) advance(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t
	}
}

// errLacking: the file has no answer to a question.
var errLacking = fmt.Errorf("%w: the evidence has no answer to this question", dnssec.ErrUnreachable)

// A tape plays recorded messages.
type tape struct {
	clock *clock // of the resolver above it

	mu    sync.Mutex // guards what follows
	m     map[tapeKey][]Message
	lacks map[tapeKey]bool
	lack  int // how many exchanges failed for the lack of an answer
}

type tapeKey struct {
	name rfc6125.Name
	typ  uint16
	cd   bool
}

func newTape(all []Message) *tape {
	t := &tape{m: map[tapeKey][]Message{}, lacks: map[tapeKey]bool{}}
	for _, m := range all {
		k := tapeKey{m.Name, m.Type, m.CD}
		t.m[k] = append(t.m[k], m)
	}
	for k, list := range t.m {
		// A question that was given up and asked again was not needed the first time.
		if whole := slices.DeleteFunc(slices.Clone(list), func(m Message) bool { return m.GivenUp }); len(whole) > 0 {
			t.m[k] = whole
		}
	}
	return t
}

// asked is when the next answer to a question was asked for; zero if that is not known.
func (t *tape) asked(q dnssec.Question) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, cd := range [...]bool{true, false} {
		if list := t.m[tapeKey{q.Name, uint16(q.Type), cd}]; len(list) > 0 {
			return list[0].At
		}
	}
	return time.Time{}
}

// Exchange implements [dnssec.Upstream]. A question that was asked several times gets its
// answers in their order, and then the last one again.
func (t *tape) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	if err := ctx.Err(); err != nil {
		return dnssec.Response{}, err
	}
	q, ok := questionOf(query)
	if !ok {
		return dnssec.Response{}, fmt.Errorf("%w: no question", dnssec.ErrMalformed)
	}
	k := tapeKey{q.Name, q.Type, q.CD}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.m[k]
	if len(list) == 0 || list[0].LeftOut {
		t.lacks[k] = true
		t.lack++
		return dnssec.Response{}, errLacking
	}
	m := list[0]
	if len(list) > 1 {
		t.m[k] = list[1:]
	}
	if !m.At.IsZero() {
		t.clock.advance(m.At.Add(time.Duration(m.TookMS) * time.Millisecond))
	}
	switch {
	case m.GivenUp:
		return dnssec.Response{}, fmt.Errorf("%w: the check did not wait for the answer", dnssec.ErrTimeout)
	case m.Failed != "":
		return dnssec.Response{}, &recordedError{kind: failureKind(m.Failed), text: m.Detail}
	}
	// Under the id that is asked with now.
	b := append([]byte(nil), m.Response...)
	if len(b) >= 2 {
		b[0], b[1] = query[0], query[1]
	}
	return dnssec.Response{Message: b, Server: m.Server}, nil
}

// A recordedError is a failed exchange in the words of the check.
type recordedError struct {
	kind error
	text string
}

func (e *recordedError) Error() string {
	if e.text == "" {
		return e.kind.Error()
	}
	return e.text
}

func (e *recordedError) Unwrap() error { return e.kind }

// lacked counts the exchanges that failed for the lack of an answer.
func (t *tape) lacked() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lack
}

func (t *tape) missing() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for k := range t.lacks {
		out = append(out, dnssec.Question{Name: k.name, Type: dnssec.Type(k.typ)}.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A tapedResolver resolves one question after the other, each at the time at which it was
// asked in the check.
type tapedResolver struct {
	r     dnssec.Resolver
	tape  *tape
	clock *clock // of the engine

	mu      sync.Mutex // held while a question is resolved, which waits for nobody; guards lacking
	lacking map[dnssec.Question]bool
}

// Resolve implements [dnssec.Resolver].
func (r *tapedResolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tape.clock.set(r.tape.asked(q))
	before := r.tape.lacked()
	a, err := r.r.Resolve(ctx, q)
	if err != nil && r.tape.lacked() > before {
		r.lacking[q] = true
	}
	r.clock.advance(r.tape.clock.read())
	return a, err
}
