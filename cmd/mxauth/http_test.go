package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
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
	d := newServed(t, l, "")
	path := filepath.Join(d.dir, "h")
	d.config, d.socket, d.control = writeConfig(t, l, d.dir, fmt.Sprintf("[[listen]]\ndoor = \"http\"\naddress = \"unix:%s\"\n%s", path, extra))
	d.now = now
	d.start()
	d.log.await(t, "msg=serving ", 1) // at all listeners, not only the first
	return d, newHTTPClient(t, path)
}
