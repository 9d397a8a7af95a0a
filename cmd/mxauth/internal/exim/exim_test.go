package exim_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/exim"
	"github.com/mxauth/mxauth/internal/servetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c exim.Config) (*exim.Server, string) {
	t.Helper()
	s := exim.New(c)
	return s, servetest.Start(t, s)
}

func ask(t *testing.T, path, line string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, line)
	b, _ := io.ReadAll(c) // a reset after too long a line is an end, too
	return string(b)
}

func TestLines(t *testing.T) {
	_, path := start(t, exim.Config{Answer: func(_ context.Context, domain, host string) string { return domain + "|" + host }})
	const usage = `req=defer reason="a question is mxauth DOMAIN or mxauth DOMAIN HOST"` + "\n"
	for _, x := range [][2]string{
		{"mxauth example.org\n", "example.org|\n"},
		{"mxauth example.org mx.example.org\n", "example.org|mx.example.org\n"},
		{"MXAUTH  example.org \t mx.example.org \r\n", "example.org|mx.example.org\n"},
		{"mxauth example.org\nmxauth other.example\n", "example.org|\n"},
		{"mxauth\n", usage},
		{"\n", usage},
		{"mxauth a b c\n", usage},
		{"GET / HTTP/1.1\n", usage},
		{strings.Repeat("x", exim.MaxLine-1) + "\n", usage},
		{strings.Repeat("x", exim.MaxLine) + "\n", ""},
	} {
		if got := ask(t, path, x[0]); got != x[1] {
			t.Errorf("%.60q: %q, want %q", x[0], got, x[1])
		}
	}
}

// Shutdown lets an answer under way end and refuses new connections.
func TestShutdown(t *testing.T) {
	begun, gate := make(chan struct{}), make(chan struct{})
	s, path := start(t, exim.Config{Answer: func(ctx context.Context, _, _ string) string {
		close(begun)
		select {
		case <-gate:
			return "req=may"
		case <-ctx.Done():
			return "req=defer"
		}
	}})
	got := make(chan string, 1)
	go func() { got <- ask(t, path, "mxauth example.org\n") }()
	<-begun
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	close(gate)
	if g := <-got; g != "req=may\n" {
		t.Errorf("%q", g)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("still listening")
	}
}

// A client that sends no line is cut off after 5 s, also one that goes on sending, and one
// that does not read the answer 5 s after that.
func TestTimes(t *testing.T) {
	for _, x := range []struct {
		about string
		say   func(net.Conn)
		want  time.Duration
	}{
		{"silent", func(net.Conn) {}, 5 * time.Second},
		{"half a line", func(c net.Conn) { io.WriteString(c, "mxauth example.org") }, 5 * time.Second},
		{"a byte a second", func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 5 * time.Second},
		{"does not read", func(c net.Conn) {
			time.Sleep(3 * time.Second)
			io.WriteString(c, "mxauth example.org\n")
		}, 8 * time.Second},
	} {
		t.Run(x.about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := exim.New(exim.Config{Answer: func(context.Context, string, string) string { return "req=may" }})
				l := servetest.StartPipes(t, s)
				begun, ended := time.Now(), make(chan time.Time, 1)
				here, there := net.Pipe()
				l.Hand(&closeNoted{there, sync.OnceFunc(func() { ended <- time.Now() })})
				var said sync.WaitGroup
				said.Go(func() { x.say(here) })
				if got := (<-ended).Sub(begun); got != x.want {
					t.Errorf("ended after %v, want %v", got, x.want)
				}
				here.Close()
				said.Wait()
			})
		})
	}
}

// A closeNoted connection says when it is closed for the first time.
type closeNoted struct {
	net.Conn
	note func()
}

func (c *closeNoted) Close() error {
	c.note()
	return c.Conn.Close()
}

// The server takes any bytes, and answers at most once, with a line.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"mxauth example.org\n", "mxauth example.org mx.example.org\r\n", "\n", "mxauth \x00 {}$\n", strings.Repeat("x", exim.MaxLine+1)} {
		f.Add([]byte(s))
	}
	s := exim.New(exim.Config{Answer: func(_ context.Context, domain, host string) string {
		if domain == "" || strings.ContainsAny(domain+host, " \t\r\n") {
			f.Errorf("asked about %q %q", domain, host)
		}
		return "req=may"
	}})
	l := servetest.StartPipes(f, s)
	f.Fuzz(func(t *testing.T, line []byte) {
		here := l.Dial()
		go func() {
			here.Write(append(line, '\n'))
			here.SetReadDeadline(time.Now().Add(time.Minute))
		}()
		got, err := io.ReadAll(here)
		here.Close()
		first, _, _ := strings.Cut(string(line), "\n")
		if err != nil || (len(got) == 0) != (len(first) >= exim.MaxLine) || len(got) > 0 && (strings.Count(string(got), "\n") != 1 || !strings.HasPrefix(string(got), "req=") || !strings.HasSuffix(string(got), "\n")) {
			t.Errorf("%q is answered %q, %v", line, got, err)
		}
	})
}

// The limit of connections holds, and those beyond it are served later.
func TestLimit(t *testing.T) {
	gate := make(chan struct{}, 10)
	begun := make(chan struct{}, 10)
	_, path := start(t, exim.Config{MaxConns: 1, Answer: func(context.Context, string, string) string {
		begun <- struct{}{}
		<-gate
		return "req=may"
	}})
	got := make(chan string, 2)
	for range 2 {
		go func() { got <- ask(t, path, "mxauth example.org\n") }()
	}
	<-begun
	select {
	case <-begun:
		t.Error("two at once")
	default:
	}
	gate <- struct{}{}
	gate <- struct{}{}
	for range 2 {
		if g := <-got; g != "req=may\n" {
			t.Errorf("%q", g)
		}
	}
}
