// Package listenertest has a listener in memory, for tests under testing/synctest: the
// deadlines of its connections are those of imitated time.
package listenertest

import (
	"net"
	"sync"
)

// A Listener accepts the connections that a test gives it.
type Listener struct {
	accepts chan accepted
	closed  chan struct{}
	close   func()
}

type accepted struct {
	c   net.Conn
	err error
}

// New makes a listener.
func New() *Listener {
	closed := make(chan struct{})
	return &Listener{make(chan accepted), closed, sync.OnceFunc(func() { close(closed) })}
}

// Dial connects, and returns the client's end of the connection.
func (l *Listener) Dial() net.Conn {
	client, server := net.Pipe()
	l.Give(server)
	return client
}

// Give waits until c is accepted.
func (l *Listener) Give(c net.Conn) { l.accepts <- accepted{c: c} }

// Fail waits until Accept has failed with err.
func (l *Listener) Fail(err error) { l.accepts <- accepted{err: err} }

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepts:
		return a.c, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *Listener) Close() error { l.close(); return nil }

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
