// Package exim answers the questions of Exim's ${readsocket}: one line, one answer, and the
// connection is closed, since Exim reads to the end of the stream.
//
//	C: mxauth example.org mx1.example.org
//	S: req=dane until=2026-11-29T12:00:00Z reason="mx1.example.org has signed TLSA records ..."
//
// Without a host the answer is about the domain as a whole. The words of the answer are in
// package mtapolicy.
package exim

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/listener"
)

// Limits of a connection.
const (
	// MaxLine is the longest question in bytes, its end included: a word and two names.
	MaxLine = 1000
	// lineTime is how long a client may take to send it.
	lineTime = 5 * time.Second
	// writeTime is how long it may take to read the answer.
	writeTime = 5 * time.Second
	// DefaultMaxConns is the number of connections at one time. Exim opens three or four for
	// each host that it tries, one after the other.
	DefaultMaxConns = 200
)

// Config of a [Server].
type Config struct {
	// Answer returns the line for a domain and a host; host is "" for the domain as a whole.
	// It is called by many goroutines at once. ctx ends when the server is closed.
	Answer   func(ctx context.Context, domain, host string) string
	MaxConns int          // 0: DefaultMaxConns
	Logger   *slog.Logger // nil: discard
}

// A Server answers on any number of listeners. It may be used by many goroutines at once.
type Server struct {
	c     Config
	group *listener.Group
	turns chan struct{}

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]struct{}
}

// New makes a server that listens nowhere yet.
func New(c Config) *Server {
	c.MaxConns = cmp.Or(max(c.MaxConns, 0), DefaultMaxConns)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	s := &Server{c: c, turns: make(chan struct{}, c.MaxConns), conns: map[net.Conn]struct{}{}}
	s.group = listener.New(c.Logger, listener.Hooks{Start: s.start, Cut: s.cut})
	return s
}

// Serve accepts connections until the server is shut down or l fails; nil after
// [Server.Shutdown] or [Server.Close]. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.group.Serve(limited{l, s}) }

// limited is a listener that accepts a connection only if there is a turn for it; beyond the
// limit clients wait in the listen queue.
type limited struct {
	net.Listener
	s *Server
}

// Accept takes a turn with each connection.
func (l limited) Accept() (net.Conn, error) {
	select {
	case l.s.turns <- struct{}{}:
	case <-l.s.group.Stopped():
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.s.turns
	}
	return c, err
}

// start serves one connection in a goroutine, or closes it if the server stops.
func (s *Server) start(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group.Stopping() {
		c.Close()
		<-s.turns
		return
	}
	s.conns[c] = struct{}{}
	s.group.Go(func() {
		s.serve(c)
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		<-s.turns
	})
}

// cut closes all connections.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// serve reads a line and answers it.
func (s *Server) serve(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(lineTime))
	line, ok := readLine(c)
	if !ok {
		return
	}
	answer := `req=defer reason="a question is mxauth DOMAIN or mxauth DOMAIN HOST"`
	if f := strings.Fields(line); len(f) >= 2 && len(f) <= 3 && strings.EqualFold(f[0], "mxauth") {
		host := ""
		if len(f) == 3 {
			host = f[2]
		}
		answer = s.c.Answer(s.group.Context(), f[1], host)
	}
	c.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := c.Write([]byte(answer + "\n")); err != nil {
		s.c.Logger.Debug("an answer could not be written", "err", err)
	}
}

// readLine reads up to the first line end; false if it does not come, or is too far away.
func readLine(c net.Conn) (string, bool) {
	var buf [MaxLine]byte
	n := 0
	for n < len(buf) {
		m, err := c.Read(buf[n:])
		if i := bytes.IndexByte(buf[n:n+m], '\n'); i >= 0 {
			return strings.TrimSuffix(string(buf[:n+i]), "\r"), true
		}
		n += m
		if err != nil {
			return "", false
		}
	}
	return "", false
}

// Shutdown stops accepting and waits for the answers under way. When ctx ends first, their
// context ends, and a moment later they are cut off; the error is ctx's.
func (s *Server) Shutdown(ctx context.Context) error { return s.group.Shutdown(ctx) }

// Close cuts every connection and waits for what the server started.
func (s *Server) Close() { s.group.Close() }
