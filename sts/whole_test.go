package sts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/sts"
)

// When a body is whole, and when the time for it is over.

// lateConn ends the time of the caller with the first octets that come after a second.
type lateConn struct {
	net.Conn
	begin time.Time
	end   context.CancelFunc
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if time.Since(c.begin) >= time.Second {
		c.end()
	}
	return n, err
}

// TestBodyAfterTheEnd: what is whole only when the time is over came too late.
func TestBodyAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			rw.Header().Set("Content-Length", strconv.Itoa(len(enforce)))
			rw.(http.Flusher).Flush()
			time.Sleep(time.Second)
			io.WriteString(rw, enforce)
		})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c := w.client(func(c *sts.Config) {
			c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				conn, err := w.dial(ctx, a)
				return &lateConn{conn, time.Now(), cancel}, err
			}
		})
		if f, err := c.Fetch(ctx, host("example.org")); !errors.Is(err, sts.ErrFetchTimeout) || f.Policy.Mode != 0 {
			t.Errorf("%v, mode %s", err, f.Policy.Mode)
		}
	})
}

// TestNoMoreAddressesAfterTheEnd: who has left does not wait for those that were not tried.
func TestNoMoreAddressesAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.dns.Add("mta-sts.example.org. 300 IN A 9.9.9.11")
		ctx, cancel := context.WithCancel(context.Background())
		w.dialErr = func(netip.AddrPort) error { cancel(); return errors.New("no route") }
		if _, err := w.client().Fetch(ctx, host("example.org")); !errors.Is(err, sts.ErrFetchTimeout) || len(w.attempts()) != 1 {
			t.Errorf("%v, dialled %v", err, w.attempts())
		}
	})
}

// endingConn says that its peer is gone together with the last octets.
type endingConn struct {
	net.Conn
	begin time.Time
}

func (c *endingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && time.Since(c.begin) >= time.Second {
		err = io.EOF
	}
	return n, err
}

// TestEndBesideTheBody: a body whose length is told is whole, even if the connection ended
// with it.
func TestEndBesideTheBody(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"with a length":    {head + "Content-Length: " + strconv.Itoa(len(enforce)) + "\r\n\r\n" + enforce, nil},
		"in chunks":        {head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(enforce), enforce), nil},
		"of no length":     {head + "Content-Length: 0\r\n\r\n", sts.ErrFetchSyntax},
		"without a length": {head + "\r\n" + enforce, sts.ErrFetchHTTP},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
					conn, _, err := rw.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					time.Sleep(time.Second)
					io.WriteString(conn, c.answer)
				})
				cl := w.client(func(c *sts.Config) {
					c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
						conn, err := w.dial(ctx, a)
						return &endingConn{conn, time.Now()}, err
					}
				})
				f, err := cl.Fetch(context.Background(), host("example.org"))
				if !errors.Is(err, c.want) || c.want == nil && (err != nil || f.Policy.Mode != sts.ModeEnforce) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}

// TestTLSFailureOutranksTCP: of two addresses that of the one which came further is told.
func TestTLSFailureOutranksTCP(t *testing.T) {
	for name, dead := range map[string]string{"the first does not answer": "9.9.9.10", "the second does not answer": "9.9.9.11"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				w.dns.Add("mta-sts.example.org. 300 IN A 9.9.9.11")
				setCert(nil)(w)
				w.dialErr = func(a netip.AddrPort) error {
					if a.Addr().String() == dead {
						return errors.New("no route")
					}
					return nil
				}
				_, err := w.client().Fetch(context.Background(), host("example.org"))
				var fe *sts.FetchError
				if !errors.As(err, &fe) || fe.Kind != sts.ErrFetchTLS || fe.Addr.Addr().String() == dead || len(w.attempts()) != 2 {
					t.Errorf("%v, tried %v", err, w.attempts())
				}
			})
		})
	}
}
