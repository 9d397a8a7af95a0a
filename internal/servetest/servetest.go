// Package servetest runs servers in tests: a server of the daemon on a unix socket or on
// connections in memory, and small peers that answer each connection with a function.
//
//	address := servetest.TCP(t, func(c net.Conn) { io.WriteString(c, "220 mx.example.org\r\n") })
package servetest

import (
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// A Server is what [Start] runs.
type Server interface {
	Serve(l net.Listener) error
	Close()
}

// Start serves on a unix socket until the test ends, and returns its path. The test fails if
// Serve returns an error.
func Start(tb testing.TB, s Server) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	serve(tb, s, l)
	return path
}

// StartPipes serves on connections in memory until the test ends. The test fails if Serve
// returns an error.
func StartPipes(tb testing.TB, s Server) *Pipes {
	l := NewPipes()
	serve(tb, s, l)
	return l
}

func serve(tb testing.TB, s Server, l net.Listener) {
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
}

// TCP calls f for each connection to a port of 127.0.0.1, as [Connections] does, and returns
// the address.
func TCP(tb testing.TB, f func(net.Conn)) (address string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	Connections(tb, l, f)
	return l.Addr().String()
}

// Connections calls f for each connection that l accepts, each in a goroutine, and closes the
// connection when f returns. When the test ends it closes the listener and all connections,
// and waits until each f has returned.
func Connections(tb testing.TB, l net.Listener, f func(net.Conn)) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		open  = map[net.Conn]bool{}
		ended bool
	)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			if ended {
				c.Close()
			}
			mu.Unlock()
			wg.Go(func() {
				defer func() {
					mu.Lock()
					delete(open, c)
					mu.Unlock()
					c.Close()
				}()
				f(c)
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		mu.Lock()
		ended = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// Pipes is a listener for connections in memory, whose deadlines follow the clock of
// testing/synctest.
type Pipes struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

// NewPipes returns a listener without connections.
func NewPipes() *Pipes {
	return &Pipes{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

// Dial returns one end of a new connection after the server has accepted the other.
func (l *Pipes) Dial() net.Conn {
	client, server := net.Pipe()
	l.Hand(server)
	return client
}

// Hand waits until the server has accepted c.
func (l *Pipes) Hand(c net.Conn) { l.conns <- c }

// Fail waits until Accept has returned err.
func (l *Pipes) Fail(err error) { l.errs <- err }

// Accept returns the next connection, or [net.ErrClosed] after Close.
func (l *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. It may be called more than once.
func (l *Pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is that of a unix socket.
func (l *Pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
