package upstream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
)

// Limits of one connection.
const (
	// dialTimeout bounds connecting and the TLS handshake. It is the pool's own
	// limit: callers leave when they like.
	dialTimeout = 5 * time.Second
	// idleTimeout closes a connection on which nothing is under way. RFC 7766 section
	// 6.2.3 asks for seconds; Unbound closes after 30 s, BIND after 30 s.
	idleTimeout = 10 * time.Second
	// deadTimeout ends a connection whose peer has answered nothing for so long
	// though questions wait: a router that forgot the connection sends no word.
	deadTimeout = 8 * time.Second
	// maxInFlight questions wait on one connection; the ids are 16 bits, and a
	// server may read no more than it can keep (Unbound keeps 100s).
	maxInFlight = 1000
	// writeBatch is how many questions are put into one segment.
	writeBatch = 64
)

// errConnClosed says that the peer closed the connection before it answered.
var errConnClosed = errors.New("connection closed before the answer")

// A stream is one TCP or TLS connection with many questions under way (RFC 7766
// section 6.2.1). Two goroutines serve it, one writing, one reading; both end when
// the connection does.
type stream struct {
	conn  net.Conn
	queue chan []byte   // framed questions for the writer
	done  chan struct{} // closed when the stream has failed

	mu       sync.Mutex // guards all below
	waiting  map[uint16]*waiter
	err      error // why the stream has failed; nil while it works
	retired  bool  // takes no more questions
	answers  int
	junk     int
	live     int // waiters that have not been abandoned
	activity *time.Timer
}

// A waiter is one question under way. It stays in the map when its caller leaves,
// so that its id is not used again before the answer came (RFC 7766 section 6.2.1).
type waiter struct {
	q      query
	answer chan []byte // buffered for one; nil once the caller left
}

// newStream takes over conn. The goroutines are counted in wg.
func newStream(conn net.Conn, wg *sync.WaitGroup) *stream {
	s := &stream{
		conn:    conn,
		queue:   make(chan []byte, writeBatch),
		done:    make(chan struct{}),
		waiting: make(map[uint16]*waiter),
	}
	s.activity = time.AfterFunc(idleTimeout, s.quiet)
	wg.Add(2)
	go func() { defer wg.Done(); s.write() }()
	go func() { defer wg.Done(); s.read() }()
	return s
}

// exchange sends q and waits for its answer. It fails with errConnClosed if the
// connection ends first, and reports then whether it had answered anything at all.
func (s *stream) exchange(ctx context.Context, q query) ([]byte, error) {
	id, answer, err := s.enlist(q)
	if err != nil {
		return nil, err
	}
	select {
	case s.queue <- q.withID(id):
	case <-s.done:
		return nil, s.failure()
	case <-ctx.Done():
		s.abandon(id)
		return nil, netError(ctx, ctx.Err())
	}
	select {
	case msg := <-answer:
		return msg, nil
	case <-s.done:
		select {
		case msg := <-answer: // both at once: the answer counts
			return msg, nil
		default:
		}
		return nil, s.failure()
	case <-ctx.Done():
		s.abandon(id)
		return nil, netError(ctx, ctx.Err())
	}
}

// enlist reserves an id that is not in flight.
func (s *stream) enlist(q query) (uint16, <-chan []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, nil, s.err
	}
	if s.retired || len(s.waiting) >= maxInFlight {
		s.retired = true
		return 0, nil, errConnClosed
	}
	id := randomID()
	for s.waiting[id] != nil { // DNSTCP7766-6.2.1-01: RFC 7766 section 6.2.1
		id++
	}
	// The question is copied: the entry may outlive the caller's Exchange.
	q.msg = append([]byte(nil), q.msg[:q.questionEnd]...)
	w := &waiter{q: q, answer: make(chan []byte, 1)}
	s.waiting[id] = w
	s.live++
	if s.live == 1 {
		s.activity.Reset(deadTimeout)
	}
	return id, w.answer, nil
}

// abandon leaves the id reserved, with no one waiting.
func (s *stream) abandon(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.waiting[id]; w != nil && w.answer != nil {
		w.answer = nil
		s.left()
	}
}

// left counts one waiter out; mu is held.
func (s *stream) left() {
	s.live--
	if s.live == 0 {
		s.activity.Reset(idleTimeout)
	}
}

// quiet is called when nothing has happened for idleTimeout or deadTimeout.
func (s *stream) quiet() { s.fail(errConnClosed) }

// write sends what is queued, as many questions in one segment as wait.
func (s *stream) write() {
	var buf []byte
	for {
		select {
		case <-s.done:
			return
		case b := <-s.queue:
			buf = append(buf[:0], b...)
		}
		for n := 1; n < writeBatch; n++ {
			select {
			case b := <-s.queue:
				buf = append(buf, b...)
				continue
			default:
			}
			break
		}
		if _, err := s.conn.Write(buf); err != nil {
			s.fail(fmt.Errorf("%w: %w", errConnClosed, err))
			return
		}
	}
}

// read hands each answer to the one who waits for it.
func (s *stream) read() {
	r := bufio.NewReaderSize(s.conn, 8192)
	var length [2]byte
	for {
		if _, err := io.ReadFull(r, length[:]); err != nil {
			s.fail(fmt.Errorf("%w: %w", errConnClosed, err))
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(r, msg); err != nil {
			s.fail(fmt.Errorf("%w: %w", errConnClosed, err))
			return
		}
		if !s.deliver(msg) {
			s.fail(errJunk)
			return
		}
	}
}

// deliver reports false when the peer has sent too much that was not asked for.
func (s *stream) deliver(msg []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var id uint16
	if len(msg) >= headerLen {
		id = binary.BigEndian.Uint16(msg)
	}
	w := s.waiting[id]
	if w == nil || !w.q.answeredBy(msg, id) {
		s.junk++
		return s.junk < maxJunk
	}
	delete(s.waiting, id)
	s.answers++
	if w.answer != nil {
		w.answer <- msg
		s.activity.Reset(deadTimeout)
		s.left()
	}
	return true
}

// fail ends the stream; only the first reason counts.
func (s *stream) fail(err error) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
		s.activity.Stop()
		close(s.done)
	}
	s.mu.Unlock()
	if first {
		s.conn.Close()
	}
}

func (s *stream) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// usable reports whether s takes another question, and how many are under way.
func (s *stream) usable() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), s.err == nil && !s.retired && len(s.waiting) < maxInFlight
}

// answered counts the answers that s has brought.
func (s *stream) answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers
}

// streamError says what a failed stream means for an attempt.
func streamError(err error) error {
	if errors.Is(err, dnssec.ErrLookup) {
		return err
	}
	return &failure{dnssec.ErrUnreachable, err}
}
