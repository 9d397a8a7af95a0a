package main

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/pkix"
)

// BenchmarkHTTPPlan compares GET /v1/plan for a domain whose plan is kept, over a unix
// socket, with a server of net/http that answers a constant of the same length, in
// interleaved rounds of one connection. It reports the rates, the median of their ratio by
// rounds, and the 99th percentile of the time of an answer.
func BenchmarkHTTPPlan(b *testing.B) {
	const rounds, requests = 40, 2000
	l := startLab(b, serveWorlds(b, "dane-ee"), nil)
	server, err := upstream.ParseServer(l.Plain().String())
	if err != nil {
		b.Fatal(err)
	}
	client, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{server}, TrustAD: true, Roots: pkix.NewRoots(l.CA()), Dial: l.Dial})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	d := &service{e: newEnv(nil, io.Discard, io.Discard, func(string) string { return "" }), current: &generation{client: client, stop: func() {}}}
	d.request.Sorted = true
	serve := func(h http.Handler) *benchConn {
		path := filepath.Join(shortDir(b), "s")
		ln, err := net.Listen("unix", path)
		if err != nil {
			b.Fatal(err)
		}
		if s, ok := h.(*httpdoor.Server); ok {
			go s.Serve(ln)
			b.Cleanup(s.Close)
		} else {
			s := &http.Server{Handler: h}
			go s.Serve(ln)
			b.Cleanup(func() { s.Close() })
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		return &benchConn{b, conn, bufio.NewReaderSize(conn, 64<<10)}
	}
	door := serve(httpdoor.New(httpdoor.Config{Backend: httpBackend{d}, Rows: httpRows{d}, Unix: true, Logger: slog.New(slog.DiscardHandler)}))
	body := door.ask()
	plain := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Write(body)
	}))
	if got := plain.ask(); !bytes.Equal(got, body) {
		b.Fatal("the bodies differ")
	}
	for b.Loop() {
		var ratios, times []float64
		var took [2]time.Duration
		for range rounds {
			var one [2]time.Duration
			for i, c := range []*benchConn{door, plain} {
				begun := time.Now()
				for range requests {
					at := time.Now()
					c.ask()
					if i == 0 {
						times = append(times, float64(time.Since(at))/float64(time.Microsecond))
					}
				}
				one[i] = time.Since(begun)
				took[i] += one[i]
			}
			ratios = append(ratios, float64(one[1])/float64(one[0]))
		}
		slices.Sort(ratios)
		slices.Sort(times)
		b.ReportMetric(rounds*requests/took[0].Seconds(), "plans/s")
		b.ReportMetric(rounds*requests/took[1].Seconds(), "constants/s")
		b.ReportMetric(ratios[len(ratios)/2], "ratio")
		b.ReportMetric(times[len(times)*99/100], "p99-µs")
		b.ReportMetric(float64(len(body)), "bytes")
	}
}

// A benchConn asks over one connection.
type benchConn struct {
	b    *testing.B
	conn net.Conn
	r    *bufio.Reader
}

var benchRequest = []byte("GET /v1/plan?domain=dane-ee.test HTTP/1.1\r\nHost: localhost\r\n\r\n")

// ask returns the body of an answer.
func (c *benchConn) ask() []byte {
	if _, err := c.conn.Write(benchRequest); err != nil {
		c.b.Fatal(err)
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			c.b.Fatal(err)
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			c.b.Fatalf("%s", line)
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				c.b.Fatal(err)
			}
		}
		if len(line) == 2 {
			break
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.r, body); err != nil {
		c.b.Fatal(err)
	}
	return body
}
