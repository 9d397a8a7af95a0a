package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnsfake"
)

// An httpClient asks the door for HTTP of a daemon.
type httpClient struct {
	t    *testing.T
	base string
	http.Client
}

// newHTTPClient returns a client of a unix socket.
func newHTTPClient(t *testing.T, path string) *httpClient {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &httpClient{t, "http://localhost", http.Client{Transport: tr, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// ask sends a request; body is JSON unless it is "". header is name and value in turn.
func (c *httpClient) ask(method, path, body string, header ...string) (status int, answer string, h http.Header) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// startHTTP starts a daemon with a unix socket for HTTP.
func startHTTP(t *testing.T, l *testLab, extra string) (*served, *httpClient) {
	t.Helper()
	return startHTTPAt(t, l, nil, extra)
}

// startHTTPAt is startHTTP with a clock; nil is the real one.
func startHTTPAt(t *testing.T, l *testLab, now func() time.Time, extra string) (*served, *httpClient) {
	t.Helper()
	d, c := newHTTP(t, l, extra)
	d.now = now
	d.start()
	return d, c
}

// newHTTP is startHTTP without the start.
func newHTTP(t *testing.T, l *testLab, extra string) (*served, *httpClient) {
	t.Helper()
	d := newServed(t, l, "")
	path := filepath.Join(d.dir, "h")
	d.config, d.socket, d.control = writeConfig(t, l, d.dir, fmt.Sprintf("[[listen]]\ndoor = \"http\"\naddress = \"unix:%s\"\n%s", path, extra))
	return d, newHTTPClient(t, path)
}

// TestClientLeaves: of two clients that ask for the same plan, which was not asked for
// before, the one that began the lookup goes away. The other gets its answer, and no more was
// looked up than for one client.
func TestClientLeaves(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee"), nil)
	// A resolver that holds the answer about the MX records.
	began, release := make(chan struct{}, 100), make(chan struct{})
	srv := dnsfake.Start(t, func(r *dnsfake.Request) {
		if r.Msg.Question[0].Qtype == dns.TypeMX {
			began <- struct{}{}
			<-release
		}
		answer, _, err := (&dns.Client{Net: r.Network, UDPSize: 4096}).Exchange(r.Msg, l.Plain().String())
		if err != nil {
			t.Error(err)
			return
		}
		r.Reply(answer)
	})
	d, c := newHTTP(t, l, "")
	d.env["MXAUTH_RESOLVER_SERVERS"] = srv.Addr.String()
	d.start()
	ask := func() net.Conn {
		conn, err := net.Dial("unix", filepath.Join(d.dir, "h"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(conn, "GET /v1/plan?domain=dane-ee.test HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	goer := ask()
	<-began
	stayer := ask()
	goer.Close()
	eventually(t, "the end of the first client's wait", func() bool {
		_, metrics, _ := c.ask("GET", "/metrics", "")
		return strings.Contains(metrics, `mxauth_http_requests_total{path="/v1/plan",status="503"} 1`)
	})
	close(release)
	resp, err := http.ReadResponse(bufio.NewReader(stayer), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"requirement":"dane"`) {
		t.Errorf("%d %v %s", resp.StatusCode, err, body)
	}
	_, alone := startHTTP(t, l, "")
	if got, want := lookups(t, c), lookups(t, alone); got != want || want < 4 {
		t.Errorf("%d lookups for two clients, %d for one", got, want)
	}
}

// lookups returns how many DNS lookups a daemon has made whose plan of dane-ee.test is kept.
func lookups(t *testing.T, c *httpClient) (n int) {
	t.Helper()
	settlePlan(t, c)
	eventually(t, "readiness", func() bool { status, _, _ := c.ask("GET", "/readyz", ""); return status == http.StatusOK })
	_, metrics, _ := c.ask("GET", "/metrics", "")
	for _, m := range regexp.MustCompile(`(?m)^mxauth_dns_lookups_total\{.*\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		count, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n += count
	}
	return n
}
