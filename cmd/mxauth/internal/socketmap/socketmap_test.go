package socketmap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/socketmap"
	"github.com/mxauth/mxauth/internal/servetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler knows "warm..." at once and answers "cold..." when it is let go.
type handler struct {
	gate    chan struct{}
	started chan struct{} // a cold request is under way; may be nil
}

func (h *handler) Cached(m string, key []byte, _ time.Time) (socketmap.Reply, bool) {
	if strings.HasPrefix(string(key), "warm") {
		return socketmap.Reply{Status: socketmap.OK, Text: m + "/" + string(key)}, true
	}
	return socketmap.Reply{}, false
}

func (h *handler) Answer(ctx context.Context, m, key string) socketmap.Reply {
	if h.started != nil {
		h.started <- struct{}{}
	}
	select {
	case <-h.gate:
		return socketmap.Reply{Status: socketmap.NotFound}
	case <-ctx.Done():
		return socketmap.Reply{Status: socketmap.Temp, Text: "shutting down"}
	}
}

func start(t *testing.T, c socketmap.Config) (*socketmap.Server, string) {
	t.Helper()
	if c.Maps == nil {
		c.Maps = map[string]string{"QUERY": "plain", "QUERYwithTLSRPT": "extended", "postfix": "plain"}
	}
	s := socketmap.New(c)
	return s, servetest.Start(t, s)
}

func dial(t *testing.T, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

func netstring(s string) string { return strconv.Itoa(len(s)) + ":" + s + "," }

func read(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	n, err := r.ReadString(':')
	if err != nil {
		t.Fatal(err)
	}
	size, err := strconv.Atoi(strings.TrimSuffix(n, ":"))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size+1)
	if _, err := io.ReadFull(r, b); err != nil || b[size] != ',' {
		t.Fatalf("%q, %v", b, err)
	}
	return string(b[:size])
}

func TestMaps(t *testing.T) {
	_, path := start(t, socketmap.Config{Handler: &handler{}})
	c, r := dial(t, path)
	for _, x := range [][2]string{
		{"QUERY warm.example", "OK plain/warm.example"},
		{"query warm.example", "OK plain/warm.example"},
		{"QUERYWITHTLSRPT warm", "OK extended/warm"},
		{"Postfix warm a b", "OK plain/warm a b"},
		{"other warm", "PERM no such map"},
		{"QUERY", "PERM a request is a map name, a blank and a key"},
		{"", "PERM a request is a map name, a blank and a key"},
	} {
		io.WriteString(c, netstring(x[0]))
		if got := read(t, r); got != x[1] {
			t.Errorf("%q: %q, want %q", x[0], got, x[1])
		}
	}
}

// Replies come in the order of the requests, however they were sent and whenever they are
// known; cold requests are worked on side by side.
func TestOrder(t *testing.T) {
	h := &handler{gate: make(chan struct{})}
	_, path := start(t, socketmap.Config{Handler: h})
	c, r := dial(t, path)
	var all strings.Builder
	for i := range 5 {
		all.WriteString(netstring(fmt.Sprintf("QUERY warm%d", i)))
		all.WriteString(netstring(fmt.Sprintf("QUERY cold%d", i)))
	}
	// In small pieces: a request may be split anywhere.
	go func() {
		for _, b := range []byte(all.String()) {
			c.Write([]byte{b})
		}
	}()
	if got := read(t, r); got != "OK plain/warm0" {
		t.Fatal(got)
	}
	for range 5 {
		h.gate <- struct{}{} // all five are under way
	}
	for i := range 5 {
		if i > 0 {
			if got, want := read(t, r), fmt.Sprintf("OK plain/warm%d", i); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
		if got := read(t, r); got != "NOTFOUND " {
			t.Fatalf("%q", got)
		}
	}
	// Once everything is written the quick way works again.
	io.WriteString(c, netstring("QUERY warmer"))
	if got := read(t, r); got != "OK plain/warmer" {
		t.Fatal(got)
	}
}

func TestBadInput(t *testing.T) {
	_, path := start(t, socketmap.Config{Handler: &handler{}})
	for _, in := range []string{
		"x", ":", "01:a,", "00:,", "10001:", "99999999999999:", "-1:", "5:QUERY;", "3:abcd,", "GET / HTTP/1.0\r\n\r\n", "\x00", " 1:a,",
	} {
		c, r := dial(t, path)
		io.WriteString(c, netstring("QUERY warm")+in)
		if got := read(t, r); got != "OK plain/warm" {
			t.Fatal(got)
		}
		if in == "5:QUERY;" || len(in) > 0 {
			if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
				t.Errorf("%q: %q, %v, want the end", in, b, err)
			}
		}
	}
	c, r := dial(t, path)
	io.WriteString(c, netstring("QUERY warm"+strings.Repeat("x", socketmap.MaxRequest-len("QUERY warm"))))
	if got := read(t, r); len(got) != socketmap.MaxRequest+len("OK plain/")-len("QUERY ") {
		t.Errorf("the longest request: %d bytes", len(got))
	}
}

// A full server closes the connection that is idle longest, not a busy one.
func TestFull(t *testing.T) {
	h := &handler{gate: make(chan struct{}), started: make(chan struct{}, 1)}
	s, path := start(t, socketmap.Config{Handler: h, MaxConns: 3})
	busy, busyR := dial(t, path)
	io.WriteString(busy, netstring("QUERY cold"))
	<-h.started
	firstC, first := dial(t, path)
	io.WriteString(firstC, netstring("QUERY warm"))
	read(t, first)
	second, secondR := dial(t, path)
	io.WriteString(second, netstring("QUERY warm"))
	read(t, secondR)
	third, thirdR := dial(t, path)
	if _, err := first.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v, want EOF", err)
	}
	io.WriteString(third, netstring("QUERY warm"))
	read(t, thirdR)
	close(h.gate)
	if got := read(t, busyR); got != "NOTFOUND " {
		t.Error(got)
	}
	if n := s.Conns(); n > 3 {
		t.Errorf("%d connections", n)
	}
}

// Shutdown answers what has arrived, closes, and accepts nothing more.
func TestShutdown(t *testing.T) {
	h := &handler{gate: make(chan struct{}), started: make(chan struct{}, 1)}
	s, path := start(t, socketmap.Config{Handler: h})
	idle, idleR := dial(t, path)
	io.WriteString(idle, netstring("QUERY warm"))
	read(t, idleR)
	c, r := dial(t, path)
	io.WriteString(c, netstring("QUERY cold")+netstring("QUERY warm"))
	<-h.started
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	if _, err := idleR.ReadByte(); err != io.EOF {
		t.Errorf("idle: %v", err)
	}
	close(h.gate)
	if got := read(t, r) + read(t, r); got != "NOTFOUND OK plain/warm" {
		t.Error(got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("still listening")
	}
}

// A shutdown that takes too long cuts off what is left, and its answer is TEMP at best.
func TestShutdownLimit(t *testing.T) {
	h := &handler{gate: make(chan struct{}), started: make(chan struct{}, 1)}
	s, path := start(t, socketmap.Config{Handler: h})
	c, _ := dial(t, path)
	io.WriteString(c, netstring("QUERY cold"))
	<-h.started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err != context.Canceled {
		t.Error(err)
	}
}

func FuzzServer(f *testing.F) {
	f.Add([]byte("10:QUERY warm,"), 3)
	f.Add([]byte("10:QUERY warm,0:,x"), 1)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		if len(in) > 4096 {
			return
		}
		h := &handler{gate: make(chan struct{})}
		close(h.gate)
		s := socketmap.New(socketmap.Config{Handler: h, Maps: map[string]string{"QUERY": "plain"}})
		a, b := net.Pipe()
		l := &oneConn{c: b, done: make(chan struct{})}
		go s.Serve(l)
		go func() {
			for len(in) > 0 {
				n := min(max(piece, 1), len(in))
				if _, err := a.Write(in[:n]); err != nil {
					break
				}
				in = in[n:]
			}
			a.SetReadDeadline(time.Now().Add(time.Millisecond))
		}()
		out, _ := io.ReadAll(a)
		a.Close()
		s.Close()
		r := bufio.NewReader(strings.NewReader(string(out)))
		for {
			if _, err := r.Peek(1); err != nil {
				break
			}
			n, err := r.ReadString(':')
			size, err2 := strconv.Atoi(strings.TrimSuffix(n, ":"))
			if err != nil || err2 != nil {
				t.Fatalf("reply %q", out)
			}
			r.Discard(size + 1)
		}
	})
}

// oneConn is a listener of one connection.
type oneConn struct {
	c    net.Conn
	once sync.Once
	done chan struct{}
}

func (l *oneConn) Accept() (c net.Conn, err error) {
	c, l.c = l.c, nil
	if c != nil {
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
