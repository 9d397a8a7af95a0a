package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
)

// Limits of the connections to one server.
const (
	// maxStreams connections are open at most while the server lets questions share
	// one: "as few as possible" (RFC 7766 section 6.2.2), and some more so that a
	// stalled one does not stop everything.
	maxStreams = 4
	// crowded is how many questions are under way on every connection before another
	// one is opened.
	crowded = 200
	// maxStreamTries bounds how often one attempt is begun again because the
	// connection was closed before the answer (RFC 7766 section 6.2.4).
	maxStreamTries = 3
	// maxSingles connections at a time go to a server that closes after each answer.
	maxSingles = 16
	// singlesFor is how long such a server is remembered.
	singlesFor = time.Minute
)

// A pool holds the TCP or TLS connections to one server.
type pool struct {
	s       *server
	tls     *tls.Config // nil for TCP
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	singles chan struct{} // one place for each connection of a server that closes after each answer

	mu           sync.Mutex // guards all below
	closed       bool
	streams      []*stream
	dialing      *dialCall
	singlesUntil time.Time
}

// A dialCall is one connection being made, for all that wait.
type dialCall struct {
	done chan struct{}
	st   *stream
	err  error
}

func newPool(s *server) *pool {
	p := &pool{s: s, singles: make(chan struct{}, maxSingles)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if s.proto == TLS {
		p.tls = tlsConfig(s, "dot")
	}
	return p
}

// close ends every connection and waits for its goroutines. No exchange is under way by
// then, and none begins.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	streams := slices.Clone(p.streams)
	p.mu.Unlock()
	p.cancel()
	for _, st := range streams {
		st.fail(ErrClosed)
	}
	p.wg.Wait()
}

// exchange makes one attempt over TCP or TLS.
func (p *pool) exchange(ctx context.Context, q query) ([]byte, error) {
	var err error
	for try := range maxStreamTries {
		var msg []byte
		if try > 0 && !dnssec.TurnFrom(ctx).Send() {
			break
		}
		if p.single() {
			msg, err = p.exchangeSingle(ctx, q)
		} else {
			msg, err = p.exchangeShared(ctx, q)
		}
		if err == nil {
			if truncated(msg) {
				return nil, &failure{dnssec.ErrMalformed, errors.New("truncated over a stream")}
			}
			return msg, walk(msg, nil)
		}
		if !errors.Is(err, errConnClosed) {
			break
		}
	}
	return nil, streamError(err)
}

func (p *pool) exchangeShared(ctx context.Context, q query) ([]byte, error) {
	st, err := p.get(ctx)
	if err != nil {
		return nil, err
	}
	msg, err := st.exchange(ctx, q)
	if errors.Is(err, errConnClosed) {
		p.drop(st)
	}
	return msg, err
}

// get returns a connection with room, and makes one if there is none.
func (p *pool) get(ctx context.Context) (*stream, error) {
	p.mu.Lock()
	p.streams = slices.DeleteFunc(p.streams, func(st *stream) bool { return st.failure() != nil })
	var best *stream
	least := maxInFlight
	for _, st := range p.streams {
		if n, ok := st.usable(); ok && n < least {
			best, least = st, n
		}
	}
	if best != nil && (least < crowded || len(p.streams) >= maxStreams) {
		p.mu.Unlock()
		return best, nil
	}
	call := p.dialing
	if call == nil {
		call = &dialCall{done: make(chan struct{})}
		p.dialing = call
		p.wg.Add(1)
		go p.dialShared(call)
	}
	p.mu.Unlock()
	select {
	case <-call.done:
		return call.st, call.err
	case <-ctx.Done():
		return nil, netError(ctx, ctx.Err())
	}
}

// dialShared runs under the pool's own context, since many may wait for it.
func (p *pool) dialShared(call *dialCall) {
	defer p.wg.Done()
	st, err := p.connect(p.ctx)
	p.mu.Lock()
	if err == nil {
		p.streams = append(p.streams, st)
	}
	p.dialing = nil
	closed := p.closed
	p.mu.Unlock()
	if closed && st != nil {
		st.fail(ErrClosed)
	}
	call.st, call.err = st, err
	close(call.done)
}

// connect opens one connection. An exchange is under way, or the caller holds a place in
// p.wg: nothing waits for p.wg yet.
func (p *pool) connect(ctx context.Context) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := p.s.dial(ctx)
	if err != nil {
		return nil, netError(ctx, err)
	}
	if p.tls != nil {
		// RFC 7858 section 3.1, RFC 8310 section 5.1: if the handshake fails nothing is
		// sent, and there is no other way to this server.
		// DOT7858-3.1-02: RFC 7858 section 3.1; DOT8310-5.1-01: RFC 8310 section 5.1
		if conn, err = handshake(ctx, conn, p.tls); err != nil {
			return nil, netError(ctx, err)
		}
	}
	return newStream(conn, &p.wg), nil
}

func handshake(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return t, nil
}

// drop forgets a connection that the peer closed while questions were under way.
// One that brought a single answer before belongs to a server that answers one
// question a connection; from then on each question has its own.
func (p *pool) drop(st *stream) {
	n := st.answered()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = slices.DeleteFunc(p.streams, func(x *stream) bool { return x == st })
	if n == 1 {
		p.singlesUntil = time.Now().Add(singlesFor)
	}
}

// single reports whether each question needs a connection of its own.
func (p *pool) single() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.singlesUntil)
}

// exchangeSingle asks over a connection of its own, waiting for one of the places.
func (p *pool) exchangeSingle(ctx context.Context, q query) ([]byte, error) {
	select {
	case p.singles <- struct{}{}:
		defer func() { <-p.singles }()
	case <-ctx.Done():
		return nil, netError(ctx, ctx.Err())
	}
	st, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer st.fail(errConnClosed)
	return st.exchange(ctx, q)
}
