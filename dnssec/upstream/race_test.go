package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// A wire is a network of fakes for use under an imitated clock: it writes down each
// dialling, and answers as told.
type fakeNet struct {
	start time.Time

	mu    sync.Mutex // guards dials
	dials []string   // "1.2s udp 192.0.2.1:53"

	// reply is what a datagram to addr brings after a while; nil: silence.
	reply func(addr string, q *dns.Msg) (after time.Duration, m *dns.Msg)
	// refuse makes dialling fail.
	refuse func(network, addr string) bool
}

func (f *fakeNet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, fmt.Sprintf("%v %s %s", time.Since(f.start), network, addr))
	f.mu.Unlock()
	if f.refuse != nil && f.refuse(network, addr) {
		return nil, errors.New("refused")
	}
	if network == "tcp" {
		<-ctx.Done() // packets are lost
		return nil, ctx.Err()
	}
	return &datagrams{f: f, addr: addr, wake: make(chan struct{})}, nil
}

// datagrams is a connected UDP socket.
type datagrams struct {
	net.Conn
	f    *fakeNet
	addr string
	wake chan struct{}
	once sync.Once

	answer []byte
	due    <-chan time.Time
}

func (d *datagrams) Write(b []byte) (int, error) {
	q := new(dns.Msg)
	if err := q.Unpack(b); err != nil {
		return 0, err
	}
	if d.f.reply != nil {
		if after, m := d.f.reply(d.addr, q); m != nil {
			d.answer, _ = m.Pack()
			d.due = time.After(after)
		}
	}
	return len(b), nil
}

func (d *datagrams) Read(b []byte) (int, error) {
	select {
	case <-d.due:
		return copy(b, d.answer), nil
	case <-d.wake:
		return 0, os.ErrDeadlineExceeded
	}
}

func (d *datagrams) SetDeadline(time.Time) error {
	d.once.Do(func() { close(d.wake) })
	return nil
}

func (d *datagrams) Close() error { return nil }

// raced asks one question and returns when it ended and what was dialled.
//
//lint:ignore ST1008 the error is what most callers want first
func raced(t *testing.T, f *fakeNet, cfg upstream.Config, servers ...string) (err error, took time.Duration, dials []string) {
	t.Helper()
	for _, s := range servers {
		srv, err := upstream.ParseServer(s)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Servers = append(cfg.Servers, srv)
	}
	f.start = time.Now()
	cfg.Dial = f.dial
	c, err := upstream.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
	took = time.Since(f.start)
	f.mu.Lock()
	defer f.mu.Unlock()
	return err, took, f.dials
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("dialled\n %q, want\n %q", got, want)
	}
}

func TestRaceSilence(t *testing.T) {
	// One silent server: two rounds of two datagrams and one connection, then nothing but
	// waiting, until the timeout.
	synctest.Test(t, func(t *testing.T) {
		err, took, dials := raced(t, &fakeNet{}, upstream.Config{}, "192.0.2.1")
		if !errors.Is(err, dnssec.ErrTimeout) || took != upstream.DefaultTimeout {
			t.Errorf("%v after %v", err, took)
		}
		check(t, dials,
			"0s udp 192.0.2.1:53", "600ms udp 192.0.2.1:53", "1.2s tcp 192.0.2.1:53",
			"2.7s udp 192.0.2.1:53", "3.3s udp 192.0.2.1:53") // the connection is still being made: no second one
	})
}

func TestRaceNextServer(t *testing.T) {
	// The first of two servers is silent, the second answers at once.
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNet{reply: func(addr string, q *dns.Msg) (time.Duration, *dns.Msg) {
			if addr == "192.0.2.1:53" {
				return 0, nil
			}
			return 10 * time.Millisecond, dnsfake.Answer(q, aRecord)
		}}
		err, took, dials := raced(t, f, upstream.Config{}, "192.0.2.1", "192.0.2.2")
		if err != nil || took != 2710*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
		check(t, dials, "0s udp 192.0.2.1:53", "600ms udp 192.0.2.1:53", "1.2s tcp 192.0.2.1:53", "2.7s udp 192.0.2.2:53")
	})
}

func TestRaceLate(t *testing.T) {
	// An answer that takes five seconds counts, whichever datagram it belongs to.
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNet{reply: func(_ string, q *dns.Msg) (time.Duration, *dns.Msg) {
			return 5 * time.Second, dnsfake.Answer(q, aRecord)
		}}
		if err, took, _ := raced(t, f, upstream.Config{}, "192.0.2.1"); err != nil || took != 5*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// tried is the server that an error says was tried first.
func tried(err error) string {
	if e := interface{ Tried() string }(nil); errors.As(err, &e) {
		return e.Tried()
	}
	return ""
}

// TestTriedOverHTTPS: of a server with a URL the whole text is shown.
func TestTriedOverHTTPS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNet{refuse: func(string, string) bool { return true }}
		err, _, _ := raced(t, f, upstream.Config{}, "https://192.0.2.3/dns-query")
		if s := tried(err); !errors.Is(err, dnssec.ErrUnreachable) || s != "" {
			t.Errorf("%q was tried first: %v", s, err)
		}
	})
}

func TestRaceRefused(t *testing.T) {
	// What fails hard is not waited for, nor tried twice.
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNet{refuse: func(string, string) bool { return true }}
		err, took, dials := raced(t, f, upstream.Config{}, "192.0.2.1", "tls://192.0.2.2#dns.example", "https://192.0.2.3/dns-query")
		if !errors.Is(err, dnssec.ErrUnreachable) || took != 0 {
			t.Errorf("%v after %v", err, took)
		}
		if s := tried(err); s == "" || !strings.HasPrefix(err.Error(), s+" over UDP: ") {
			t.Errorf("%q was tried first: %v", s, err)
		}
		check(t, dials, "0s udp 192.0.2.1:53", "0s tcp 192.0.2.1:53", "0s tcp 192.0.2.2:853", "0s tcp 192.0.2.3:443")
	})
}

func TestRaceRests(t *testing.T) {
	// A server that left a question without an answer comes last until its rest is over;
	// each failure doubles the rest, up to five minutes.
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNet{start: time.Now(), refuse: func(_, addr string) bool { return addr == "192.0.2.1:53" },
			reply: func(_ string, q *dns.Msg) (time.Duration, *dns.Msg) { return 0, dnsfake.Answer(q, aRecord) }}
		first, _ := upstream.ParseServer("192.0.2.1")
		second, _ := upstream.ParseServer("192.0.2.2")
		c, err := upstream.New(upstream.Config{Servers: []upstream.Server{first, second}, Dial: f.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		triedFirst := func() bool {
			f.dials = nil
			mustAnswer(t, c)
			return f.dials[0][len(f.dials[0])-len("192.0.2.1:53"):] == "192.0.2.1:53"
		}
		for i, rest := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300} {
			rest *= time.Second
			if !triedFirst() {
				t.Fatalf("failure %d: the first server was not tried", i+1)
			}
			if h := c.Health()[0]; h.Failures != i+1 || !h.Rests {
				t.Fatalf("failure %d: %+v", i+1, h)
			}
			time.Sleep(rest - 1)
			if triedFirst() {
				t.Fatalf("failure %d: no rest of %v", i+1, rest)
			}
			time.Sleep(time.Nanosecond)
		}
		f.refuse = nil
		if !triedFirst() || c.Health()[0].Failures != 0 || c.Health()[0].Rests {
			t.Errorf("after an answer: %+v", c.Health()[0])
		}
	})
}

func TestCloseWaits(t *testing.T) {
	// Close returns only when no attempt is under way, even one that does not heed its
	// context.
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		srv, _ := upstream.ParseServer("192.0.2.1")
		c, err := upstream.New(upstream.Config{Servers: []upstream.Server{srv}, Dial: func(context.Context, string, string) (net.Conn, error) {
			<-release
			return nil, errors.New("too late")
		}})
		if err != nil {
			t.Fatal(err)
		}
		go c.Exchange(context.Background(), query(t, "mx.example.org", dns.TypeA))
		synctest.Wait()
		closed := make(chan struct{})
		go func() { c.Close(); close(closed) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close did not wait")
		default:
		}
		close(release)
		<-closed
	})
}
