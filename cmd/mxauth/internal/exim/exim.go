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
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Limits of a connection.
const (
	// MaxLine is the longest question in bytes, its end included: a word and two names.
	MaxLine = 1000
	// lineTime is how long a client may take to send it.
	lineTime = 5 * time.Second
	// writeTime is how long it may take to read the answer.
	writeTime = 5 * time.Second
	// lastWords is how long the answers that are given up at a shutdown may take to be written.
	lastWords = 500 * time.Millisecond
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
	c      Config
	ctx    context.Context
	cancel context.CancelFunc
	turns  chan struct{}
	wg     sync.WaitGroup

	mu        sync.Mutex // guards what follows
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
}

// New makes a server that listens nowhere yet.
func New(c Config) *Server {
	if c.MaxConns <= 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{c: c, turns: make(chan struct{}, c.MaxConns), listeners: map[net.Listener]struct{}{}, conns: map[net.Conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections until the server is shut down or l fails; nil after
// [Server.Shutdown] or [Server.Close]. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	pause := time.Duration(0)
	for {
		select {
		case s.turns <- struct{}{}: // beyond the limit clients wait in the listen queue
		case <-s.ctx.Done():
			return nil
		}
		c, err := l.Accept()
		if err == nil && s.start(c) {
			pause = 0
			continue
		}
		<-s.turns
		switch {
		case err == nil || s.stopping():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.c.Logger.Warn("a connection could not be accepted", "err", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return nil
		}
	}
}

func (s *Server) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start serves one connection in a goroutine; false if the server is closing.
func (s *Server) start(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		c.Close()
		return false
	}
	s.conns[c] = struct{}{}
	s.wg.Go(func() {
		s.serve(c)
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		<-s.turns
	})
	return true
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
		answer = s.c.Answer(s.ctx, f[1], host)
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
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
	}
	// Who still waits for an answer is told that there is none.
	s.cancel()
	select {
	case <-done:
	case <-time.After(lastWords):
		s.Close()
		<-done
	}
	return context.Cause(ctx)
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
}

// Close cuts every connection and waits for what the server started.
func (s *Server) Close() {
	s.stop()
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}
