// Package socketmap answers questions of the socketmap protocol, with which Postfix and
// sendmail ask a program for the value of a key. Request and reply are netstrings:
//
//	C: 25:QUERYwithTLSRPT example.org,
//	S: 42:OK secure match=mx.example.org servername=…,
//
// The reply begins with one of OK, NOTFOUND, TEMP, TIMEOUT, PERM and a blank (Postfix,
// socketmap_table(5)). A client may send many requests on one connection, and the next
// ones before it has the answer to the first; replies come in the order of the requests.
package socketmap

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/listener"
)

// Limits.
const (
	// DefaultMaxConns is the number of connections at one time. Every Postfix process that
	// delivers holds one; its default process limit is 100.
	DefaultMaxConns = 1000
	// DefaultIdle closes a connection without a request. Postfix closes its own after 10 s
	// without and 100 s in all; a server that is quicker defers mail.
	DefaultIdle = 120 * time.Second
	// requestTime is the longest time in which one request has to arrive.
	requestTime = 10 * time.Second
	// writeTime is the longest time in which a client has to take a reply.
	writeTime = 10 * time.Second
	// maxPending bounds the requests of one connection that are worked on side by side.
	maxPending = 64
	// readSize is the first size of a connection's buffer: some dozens of requests.
	readSize = 2048
	// drainTime is how long a shutdown waits for requests that a client has sent already,
	// drainStep for each further read of them, and drainAll bounds both: a client that never
	// stops sending is cut off.
	drainTime = 50 * time.Millisecond
	drainStep = time.Millisecond
	drainAll  = 2 * time.Second
	// deadlineStep is how exact the idle timeout is: setting a deadline for every request
	// would be a tenth of the work of answering it.
	deadlineStep = 5 * time.Second
)

// Status words of replies, each with its blank.
const (
	OK       = "OK "
	NotFound = "NOTFOUND "
	Temp     = "TEMP "
	Perm     = "PERM "
)

// A Reply is a status word and a text.
type Reply struct {
	Status string // OK, NotFound, Temp or Perm
	Text   string
}

// A Handler answers. Its methods are called by many goroutines at once.
type Handler interface {
	// Cached returns the reply for a key if it is known already and may be given at now. It
	// does not block and must not keep key.
	Cached(m string, key []byte, now time.Time) (Reply, bool)
	// Answer returns the reply for a key. ctx ends when the server is closed.
	Answer(ctx context.Context, m, key string) Reply
}

// Config of a [Server].
type Config struct {
	Handler Handler
	// Maps are the names that clients may use, compared without regard to case, and the map
	// that each means. Another name gets PERM.
	Maps     map[string]string
	MaxConns int           // 0: DefaultMaxConns
	Idle     time.Duration // 0: DefaultIdle
	// Now is the clock by which replies are given, and which is read once for all that arrives
	// together; nil: the real one.
	Now    func() time.Time
	Logger *slog.Logger // nil: discard
}

// A Server answers on any number of listeners. It may be used by many goroutines at once.
type Server struct {
	c     Config
	maps  []mapName
	group *listener.Group

	refused atomic.Uint64
	evicted atomic.Uint64

	mu     sync.Mutex // guards what follows
	conns  map[*conn]struct{}
	closed bool // by Close
}

type mapName struct {
	name []byte
	m    string
}

// New makes a server that listens nowhere yet.
func New(c Config) *Server {
	c.MaxConns = cmp.Or(max(c.MaxConns, 0), DefaultMaxConns)
	c.Idle = cmp.Or(max(c.Idle, 0), DefaultIdle)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	s := &Server{c: c, conns: map[*conn]struct{}{}}
	s.group = listener.New(c.Logger, listener.Hooks{Start: s.start, Cut: s.cut, Stop: s.drain, Failed: func() { s.evict() }})
	for name, m := range c.Maps {
		s.maps = append(s.maps, mapName{[]byte(name), m})
	}
	return s
}

// Serve accepts connections from l until the server is shut down or l fails. It closes l
// and returns nil after [Server.Shutdown] or [Server.Close].
func (s *Server) Serve(l net.Listener) error { return s.group.Serve(l) }

// start serves a connection, and closes the one that is idle longest where there are too
// many. Postfix opens a closed connection again.
func (s *Server) start(nc net.Conn) {
	c := &conn{server: s, nc: nc}
	c.active.Store(s.c.Now().UnixNano())
	s.mu.Lock()
	full := len(s.conns) >= s.c.MaxConns
	s.mu.Unlock()
	if full && !s.evict() {
		s.refused.Add(1)
		nc.Close()
		return
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		nc.Close()
		return
	}
	// A client that was accepted while the server shuts down is served like the others: it
	// may have no second try.
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.group.Go(func() {
		c.serve()
		nc.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// evict closes a connection whose client has left, or the one that has been without work
// longest; false if all are busy.
func (s *Server) evict() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest *conn
	var at int64
	for c := range s.conns {
		if c.gone.Load() {
			oldest = c
			break
		}
		if t := c.active.Load(); c.pending.Load() == 0 && (oldest == nil || t < at) {
			oldest, at = c, t
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.conns, oldest)
	oldest.nc.Close()
	s.evicted.Add(1)
	return true
}

// Conns returns the number of connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Counts returns the connections now, the idle ones that made room for a new one, and the
// new ones closed at once since all others were busy.
func (s *Server) Counts() (conns int, evicted, refused uint64) {
	return s.Conns(), s.evicted.Load(), s.refused.Load()
}

// Shutdown stops accepting, lets the requests that have arrived be answered, and closes
// each connection after its last answer. When ctx ends first, the context of the answers
// under way ends, and a moment later what remains is cut off as by [Server.Close]; the error
// is ctx's.
func (s *Server) Shutdown(ctx context.Context) error { return s.group.Shutdown(ctx) }

// Close cuts every connection and waits for what it has started.
func (s *Server) Close() { s.group.Close() }

// drain ends the reading of all connections.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.nc.SetReadDeadline(time.Now().Add(drainTime))
	}
}

// cut closes all connections.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		c.nc.Close()
	}
}

// lookUp finds the map of a name; "" if there is none.
func (s *Server) lookUp(name []byte) string {
	for i := range s.maps {
		if bytes.EqualFold(s.maps[i].name, name) {
			return s.maps[i].m
		}
	}
	return ""
}
