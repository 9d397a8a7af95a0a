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
var errLacking error = &recordedError{kind: dnssec.ErrUnreachable, text: "the evidence has no answer to this question"}

// A tape plays recorded messages.
type tape struct {
	clock *clock // of the resolver above it

	mu    sync.Mutex // guards what follows
	m     map[tapeKey][]Message
	next  map[tapeKey]int // of the questions that were resolved: which answer comes next
	lacks map[tapeKey]bool
	lack  int // how many exchanges failed for the lack of an answer

	// While one question is resolved: that question, when its answer was there (before
	// that: when it was asked), and which answers to each question it has had.
	of   tapeKey
	task time.Time
	had  map[tapeKey]int
}

type tapeKey struct {
	name rfc6125.Name
	typ  uint16
	cd   bool
}

func newTape(all []Message) *tape {
	t := &tape{m: map[tapeKey][]Message{}, next: map[tapeKey]int{}, lacks: map[tapeKey]bool{}, had: map[tapeKey]int{}}
	for _, m := range all {
		k := tapeKey{m.Name, m.Type, m.CD}
		t.m[k] = append(t.m[k], m)
	}
	for k, list := range t.m {
		// What is asked ahead is given up when it is not needed any more: where there is an
		// answer, that is what counted.
		if whole := slices.DeleteFunc(slices.Clone(list), func(m Message) bool { return m.GivenUp }); len(whole) > 0 {
			t.m[k] = whole
		}
	}
	return t
}

// begin says that a question is resolved from now on, and returns when it was asked in the
// check; zero if that is not known. A question that is resolved several times was asked at
// the time of its first answer, then at that of the second, and so on.
func (t *tape) begin(q dnssec.Question) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of, t.task = tapeKey{}, time.Time{}
	clear(t.had)
	for _, cd := range [...]bool{true, false} {
		k := tapeKey{q.Name, uint16(q.Type), cd}
		if list := t.m[k]; len(list) > 0 {
			i := min(t.next[k], len(list)-1)
			t.next[k], t.had[k] = i+1, i
			t.of, t.task = k, list[i].At
			break
		}
	}
	return t.task
}

// pick returns which answer to a question comes now. If the question that is resolved is
// another one (for a key, for a delegation), the check asked it when it had the answer to
// that, or shared what others had asked: so the first answer counts that was not there
// before. In a file without times it is the next one. After the last answer it comes
// again.
func (t *tape) pick(k tapeKey, list []Message) Message {
	i, mine := t.had[k]
	timed := !list[0].At.IsZero()
	if !mine && !timed {
		i = t.next[k]
	}
	for i = min(i, len(list)-1); i < len(list)-1 && list[i].end().Before(t.task); i++ {
	}
	if t.had[k] = i + 1; !timed {
		t.next[k] = max(t.next[k], i+1)
	}
	if end := list[i].end(); k == t.of && end.After(t.task) {
		t.task = end
	}
	return list[i]
}

// end is when the answer was there; zero if that is not known.
func (m *Message) end() time.Time {
	if m.At.IsZero() {
		return m.At
	}
	return m.At.Add(time.Duration(m.Took) * time.Microsecond)
}

// Exchange implements [dnssec.Upstream].
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
	var m Message
	if list := t.m[k]; len(list) > 0 {
		m = t.pick(k, list)
	}
	if m.LeftOut || !m.Name.IsValid() {
		t.lacks[k] = true
		t.lack++
		return dnssec.Response{}, errLacking
	}
	t.clock.advance(m.end())
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

	failing map[rfc6125.Name]bool // names whose addresses are not known

	mu      sync.Mutex // held while a question is resolved, which does not block; guards lacking
	lacking map[dnssec.Question]bool
}

// Resolve implements [dnssec.Resolver].
func (r *tapedResolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	if r.failing[q.Name] && (q.Type == dnssec.TypeA || q.Type == dnssec.TypeAAAA) {
		return dnssec.Answer{}, &dnssec.LookupError{Question: q, Kind: dnssec.ErrUnreachable, Cause: errLacking}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tape.clock.set(r.tape.begin(q))
	before := r.tape.lacked()
	a, err := r.r.Resolve(ctx, q)
	if err != nil && r.tape.lacked() > before {
		r.lacking[q] = true
	}
	r.clock.advance(r.tape.clock.read())
	return a, err
}
