package lab

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// An endpoint is a published address and port. It begins to listen when somebody
// connects for the first time.
type endpoint struct {
	at                netip.AddrPort
	serve             func(*session)
	refuses, swallows bool

	mu     sync.Mutex // guards what follows
	ln     net.Listener
	ended  bool
	conns  map[net.Conn]bool
	spoken []string
}

// A session is one connection with what its server needs.
type session struct {
	net.Conn
	ep  *endpoint
	lab *Lab
}

// sessionLimit ends a connection that no client ended; it is longer than any client's
// patience in a test, since a client's own timeout is to be met first.
const sessionLimit = time.Minute

// listening starts the endpoint's listener if need be and says where it is.
func (ep *endpoint) listening(l *Lab) (net.Addr, error) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.ended {
		return nil, net.ErrClosed
	}
	if ep.ln == nil {
		where := "127.0.0.1:0"
		if l.real && ep.at.Addr().Is4() {
			where = ep.at.String()
		}
		ln, err := net.Listen("tcp4", where)
		if err != nil {
			return nil, err
		}
		ep.ln, ep.conns = ln, map[net.Conn]bool{}
		l.wg.Go(func() { ep.accept(l, ln) })
	}
	return ep.ln.Addr(), nil
}

// accept serves connections until the listener is closed.
func (ep *endpoint) accept(l *Lab, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		ep.mu.Lock()
		if ep.ended {
			ep.mu.Unlock()
			c.Close()
			return
		}
		ep.conns[c] = true
		ep.mu.Unlock()
		l.wg.Go(func() {
			_ = c.SetDeadline(time.Now().Add(sessionLimit))
			ep.serve(&session{Conn: c, ep: ep, lab: l})
			ep.mu.Lock()
			delete(ep.conns, c)
			ep.mu.Unlock()
			c.Close()
		})
	}
}

// close ends the listener and every connection.
func (ep *endpoint) close() error {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.ended = true
	for c := range ep.conns {
		c.Close()
	}
	if ep.ln == nil {
		return nil
	}
	return ep.ln.Close()
}

// heard notes what a client said.
func (ep *endpoint) heard(line string) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.spoken = append(ep.spoken, line)
}

// hang reads until the client has gone, the session's limit is reached, or the lab is
// closed.
func (s *session) hang() { _, _ = io.Copy(io.Discard, s.Conn) }

// handshake makes the server's side of a handshake; nil if it failed.
func (s *session) handshake(c *tls.Config) *tls.Conn {
	t := tls.Server(s.Conn, c)
	ctx, cancel := context.WithTimeout(context.Background(), sessionLimit)
	defer cancel()
	if t.HandshakeContext(ctx) != nil {
		return nil
	}
	return t
}

// readHello reads the first record of a handshake, so that what is sent next is not
// lost in a reset.
func (s *session) readHello() {
	head := make([]byte, 5)
	if _, err := io.ReadFull(s.Conn, head); err == nil {
		_, _ = io.CopyN(io.Discard, s.Conn, int64(head[3])<<8|int64(head[4]))
	}
}

// Alerts of TLS (RFC 8446 section 6).
const (
	alertHandshakeFailure = 40
	alertUnrecognizedName = 112
)

// alert sends a fatal alert in the clear.
func (s *session) alert(description byte) {
	_, _ = s.Write([]byte{21, 3, 3, 0, 2, 2, description})
}
