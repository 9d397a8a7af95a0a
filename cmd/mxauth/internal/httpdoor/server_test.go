package httpdoor_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/servetest"
)

// listen serves on a unix socket.
func listen(t *testing.T, c httpdoor.Config) (*httpdoor.Server, string) {
	t.Helper()
	s := httpdoor.New(c)
	return s, servetest.Start(t, s)
}

// raw sends bytes and returns all that is answered until the server closes.
func raw(t *testing.T, path, text string) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write([]byte(text)); err != nil && !strings.Contains(err.Error(), "broken pipe") {
		t.Fatal(err)
	}
	conn.(*net.UnixConn).CloseWrite()
	b, _ := io.ReadAll(conn)
	return string(b)
}

// TestSmuggling: requests whose end a proxy in front could see elsewhere are refused, the
// connection is closed, and what follows in their body is not taken for a request.
func TestSmuggling(t *testing.T) {
	c, b := config(t)
	_, path := listen(t, c)
	const inner = "GET /v1/plan?domain=example.org HTTP/1.1\r\nHost: localhost\r\n\r\n"
	chunked := func(head string) string {
		return "POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + head + "\r\n0\r\n\r\n" + inner
	}
	for name, text := range map[string]string{
		"both lengths":         chunked("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
		"chunks":               chunked("Transfer-Encoding: chunked\r\n"),
		"two lengths":          chunked("Content-Length: 5\r\nContent-Length: 6\r\n"),
		"a list of lengths":    chunked("Content-Length: 5, 6\r\n"),
		"a length with a sign": chunked("Content-Length: +5\r\n"),
		"a space in the name":  chunked("Content-Length : 5\r\n"),
		"a hexadecimal length": chunked("Content-Length: 0x5\r\n"),
		"an empty length":      chunked("Content-Length:\r\n"),
		"a negative length":    chunked("Content-Length: -5\r\n"),
		"a tab in the name":    chunked("Content-Length\t: 5\r\n"),
		"a NUL in a header":    chunked("X: a\x00b\r\nContent-Length: 5\r\n"),
		"a NUL in a name":      chunked("X\x00: b\r\nContent-Length: 5\r\n"),
		"a coding with a VT":   chunked("Transfer-Encoding: \x0bchunked\r\n"),
		"a coding in a list":   chunked("Transfer-Encoding: gzip, chunked\r\n"),
		"a coding in capitals": chunked("Transfer-Encoding: CHUNKED\r\n"),
		"an empty coding":      chunked("Transfer-Encoding:\r\nContent-Length: 5\r\n"),
		"a header without end": "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX",
		"a space before Host":  "GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n" + inner,
		"a CR LF in the path":  "GET /healthz\r\nX: a HTTP/1.1\r\nHost: localhost\r\n\r\n" + inner,
		"a host with a path":   "GET /healthz HTTP/1.1\r\nHost: localhost/v1\r\n\r\n",
		"an odd coding":        chunked("Transfer-Encoding: xchunked\r\n"),
		"two codings":          chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
		"a folded header":      chunked("X: a\r\n b\r\nTransfer-Encoding: chunked\r\n"),
		"GET with chunks":      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"GET with a body":      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner,
		"two hosts":            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n" + inner,
		"no host":              "GET /healthz HTTP/1.1\r\n\r\n" + inner,
		"a bare CR":            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n" + inner,
		"HTTP/0.9":             "GET /v1/plan?domain=example.org\r\n\r\n",
		"HTTP/2":               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a proxy request":      "GET http://attacker.example/v1/plan?domain=example.org HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"CONNECT":              "CONNECT attacker.example:25 HTTP/1.1\r\nHost: attacker.example:25\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := b.planned.Load()
			got := raw(t, path, text)
			if strings.Contains(got, " 200 ") || b.planned.Load() != before {
				t.Errorf("%s", got)
			}
			if n := strings.Count(got, "HTTP/1.1 ") + strings.Count(got, "HTTP/1.0 "); n > 1 {
				t.Errorf("%d answers: %s", n, got)
			}
		})
	}
	// A client that closes its side counts as one that has left, so nothing is looked up here.
	const honest = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if got := raw(t, path, honest+honest); strings.Count(got, " 200 OK") != 2 {
		t.Errorf("two honest requests: %s", got)
	}
	// No other protocol is switched to.
	if got := raw(t, path, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"); strings.Contains(got, " 101 ") || strings.Count(got, " 200 OK") != 1 {
		t.Errorf("an upgrade to HTTP/2: %s", got)
	}
	if got := raw(t, path, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.Contains(got, " 404 ") {
		t.Errorf("OPTIONS *: %s", got)
	}
}

// TestFloods: long headers, many headers and long bodies end early.
func TestFloods(t *testing.T) {
	c, _ := config(t)
	_, path := listen(t, c)
	long := "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
	for name, text := range map[string]string{
		"one long header":  long + "X: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"many headers":     long + strings.Repeat("X: a\r\n", 1<<17) + "\r\n",
		"a long path":      "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a long query":     "GET /v1/plan?domain=" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a huge body":      "POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1099511627776\r\n\r\n{",
		"a body cut short": "POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		if got := raw(t, path, text); strings.Contains(got, " 200 ") {
			t.Errorf("%s: %.300s", name, got)
		}
	}
}

// TestSlow: a client that sends its header or its body slowly loses the connection.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := config(t)
		l := servetest.StartPipes(t, httpdoor.New(c))
		for _, x := range []struct {
			name, text string
			most       time.Duration
		}{
			{"nothing", "", 10 * time.Second},
			{"a header", "GET /healthz HTTP/1.1\r\nHost: loc", 10 * time.Second},
			{"a body", "POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", 20 * time.Second},
		} {
			conn := l.Dial()
			begun := time.Now()
			go conn.Write([]byte(x.text))
			io.Copy(io.Discard, conn)
			if took := time.Since(begun); took > x.most+time.Second {
				t.Errorf("%s: cut after %v", x.name, took)
			}
			conn.Close()
		}
	})
}

// TestConnections: beyond the limit the connection that is idle longest makes room; where
// all are busy, the new one is closed.
func TestConnections(t *testing.T) {
	c, b := config(t)
	c.MaxConns = 2
	gate, began := make(chan struct{}), make(chan struct{}, 2)
	b.before = func(ctx context.Context) error {
		began <- struct{}{}
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	s, path := listen(t, c)
	open := func() (net.Conn, *bufio.Reader) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		return conn, bufio.NewReader(conn)
	}
	ask := func(conn net.Conn, r *bufio.Reader, target string) error {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	first, r1 := open()
	if err := ask(first, r1, "/healthz"); err != nil {
		t.Fatal(err)
	}
	second, r2 := open()
	if err := ask(second, r2, "/healthz"); err != nil {
		t.Fatal(err)
	}
	third, r3 := open()
	if err := ask(third, r3, "/healthz"); err != nil {
		t.Fatal(err)
	}
	if _, err := r1.ReadByte(); err == nil {
		t.Error("the connection that is idle longest is still open")
	}
	for _, conn := range []net.Conn{second, third} { // both busy
		fmt.Fprint(conn, "GET /v1/plan?domain=example.org HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	<-began
	<-began
	_, r4 := open()
	if _, err := r4.ReadByte(); err == nil {
		t.Error("a connection beyond the limit is open")
	}
	close(gate)
	for _, r := range []*bufio.Reader{r2, r3} {
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("%v %v", resp, err)
		}
	}
	if _, evicted, refused := s.Counts(); evicted != 1 || refused != 1 {
		t.Errorf("%d evicted, %d refused", evicted, refused)
	}
}

// TestClientLeaves: two clients wait for one lookup of the engine, and the one that began it
// goes away. That ends its own wait; the other is answered, and the lookup was made once.
func TestClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := config(t)
		s := httpdoor.New(c)
		l := servetest.StartPipes(t, s)
		release := b.dns.Hold("example.org", dnssec.TypeMX)
		ask := func() net.Conn {
			conn := l.Dial()
			if _, err := io.WriteString(conn, "GET /v1/plan?domain=example.org HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // until the request waits for the lookup
			return conn
		}
		goer, stayer := ask(), ask()
		defer stayer.Close()
		goer.Close()
		synctest.Wait()
		if now, _, _ := s.Counts(); now != 1 {
			t.Errorf("%d connections are open", now)
		}
		release()
		resp, err := http.ReadResponse(bufio.NewReader(stayer), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%v %v", resp, err)
		}
		lookups := 0
		for _, q := range b.dns.Asked() {
			if q.Type == dnssec.TypeMX {
				lookups++
			}
		}
		if lookups != 1 || b.planned.Load() != 2 {
			t.Errorf("%d lookups for %d plans", lookups, b.planned.Load())
		}
	})
}
