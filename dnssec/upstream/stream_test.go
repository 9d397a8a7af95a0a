package upstream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// A pipeServer is the far end of one connection under an imitated clock.
type pipeServer struct {
	conn   net.Conn
	asked  chan *dns.Msg
	closed chan struct{} // closed when the client has closed its end
}

// pipes makes a client whose UDP never works and whose connections come out of the
// channel.
func pipes(t *testing.T) (*upstream.Client, <-chan *pipeServer) {
	t.Helper()
	servers := make(chan *pipeServer, 10)
	srv, err := upstream.ParseServer("192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := upstream.New(upstream.Config{Servers: []upstream.Server{srv}, Timeout: time.Minute,
		Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
			if network == "udp" {
				return nil, errors.New("no UDP")
			}
			here, there := net.Pipe()
			s := &pipeServer{there, make(chan *dns.Msg, 10), make(chan struct{})}
			go s.read()
			servers <- s
			return here, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return c, servers
}

func (s *pipeServer) read() {
	defer close(s.closed)
	for {
		var length [2]byte
		if _, err := io.ReadFull(s.conn, length[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(s.conn, b); err != nil {
			return
		}
		m := new(dns.Msg)
		if m.Unpack(b) != nil {
			return
		}
		s.asked <- m
	}
}

func (s *pipeServer) reply(q *dns.Msg) {
	b, _ := dnsfake.Answer(q, aRecord).Pack()
	s.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

// isClosed looks whether the client has closed its end by now.
func (s *pipeServer) isClosed() bool {
	synctest.Wait()
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// after looks that the connection is open until d from now, and closed then.
func (s *pipeServer) after(t *testing.T, d time.Duration) {
	t.Helper()
	time.Sleep(d - 1)
	if s.isClosed() {
		t.Fatalf("closed before %v", d)
	}
	time.Sleep(time.Nanosecond)
	if !s.isClosed() {
		t.Fatalf("not closed after %v", d)
	}
}

func TestStreamTimes(t *testing.T) {
	const idle, dead = 10 * time.Second, 8 * time.Second
	ask := func(c *upstream.Client, ctx context.Context, t *testing.T) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := c.Exchange(ctx, query(t, "mx.example.org", dns.TypeA))
			done <- err
		}()
		return done
	}
	run := func(name string, f func(t *testing.T, c *upstream.Client, servers <-chan *pipeServer)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, servers := pipes(t)
				defer c.Close()
				f(t, c, servers)
			})
		})
	}
	run("idle after the last answer", func(t *testing.T, c *upstream.Client, servers <-chan *pipeServer) {
		for range 2 { // the second question begins the time again
			done := ask(c, t.Context(), t)
			s := <-servers
			s.reply(<-s.asked)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			time.Sleep(idle - 1)
			done = ask(c, t.Context(), t)
			s.reply(<-s.asked)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			s.after(t, idle)
		}
	})
	run("dead while a question waits", func(t *testing.T, c *upstream.Client, servers <-chan *pipeServer) {
		done := ask(c, t.Context(), t)
		s := <-servers
		<-s.asked
		s.after(t, dead)
		// The question is asked again on another connection.
		next := <-servers
		next.reply(<-next.asked)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	run("an answer shows that it lives", func(t *testing.T, c *upstream.Client, servers <-chan *pipeServer) {
		first, second := ask(c, t.Context(), t), ask(c, t.Context(), t)
		s := <-servers
		a, b := <-s.asked, <-s.asked
		time.Sleep(dead - 1)
		s.reply(a)
		synctest.Wait()
		time.Sleep(dead - 1)
		if s.isClosed() {
			t.Fatal("closed though it had answered another question")
		}
		s.reply(b)
		for _, done := range []<-chan error{first, second} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		s.after(t, idle)
	})
	run("the caller leaves", func(t *testing.T, c *upstream.Client, servers <-chan *pipeServer) {
		ctx, leave := context.WithCancel(t.Context())
		done := ask(c, ctx, t)
		s := <-servers
		q := <-s.asked
		time.Sleep(3 * time.Second)
		leave()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		// The late answer is no one's; the connection is as idle as before.
		time.Sleep(5 * time.Second)
		s.reply(q)
		s.after(t, idle-5*time.Second)
	})
	run("the id of an abandoned question is not used again", func(t *testing.T, c *upstream.Client, servers <-chan *pipeServer) {
		ctx, leave := context.WithCancel(t.Context())
		done := ask(c, ctx, t)
		s := <-servers
		q := <-s.asked
		leave()
		<-done
		// Its answer must not be taken for that of the next question, the same one.
		done = ask(c, t.Context(), t)
		again := <-s.asked
		if again.Id == q.Id {
			t.Error("DNSTCP7766-6.2.1-01: the id is used again")
		}
		s.reply(q)
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("answered by another's answer: %v", err)
		default:
		}
		s.reply(again)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	run("a message that ends early", func(t *testing.T, c *upstream.Client, servers <-chan *pipeServer) {
		done := ask(c, t.Context(), t)
		for range 3 {
			s := <-servers
			<-s.asked
			s.conn.Write([]byte{0, 50, 1, 2, 3})
			s.conn.Close()
		}
		if err := <-done; !errors.Is(err, dnssec.ErrUnreachable) {
			t.Error(err)
		}
	})
}
