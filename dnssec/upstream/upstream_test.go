package upstream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/porttest"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// query is a question as the packages above send it, under an id of its own.
func query(t testing.TB, name string, typ uint16) []byte {
	t.Helper()
	n, err := rfc6125.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Query{ID: 0x1234, Name: n, Type: typ, DO: true, AD: true}.Append(nil)
}

// client asks the given servers; it is closed when the test ends.
func client(t testing.TB, cfg upstream.Config, servers ...*dnsfake.Server) *upstream.Client {
	t.Helper()
	for _, s := range servers {
		srv, err := upstream.PlainServer(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Servers = append(cfg.Servers, srv)
	}
	c, err := upstream.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const aRecord = "mx.example.org. 300 IN A 192.0.2.1"

// mustAnswer asks for mx.example.org A and wants aRecord.
func mustAnswer(t testing.TB, c *upstream.Client) dnssec.Response {
	t.Helper()
	resp, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, resp)
	return resp
}

func checkAnswer(t testing.TB, resp dnssec.Response) {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(resp.Message); err != nil {
		t.Fatal(err)
	}
	if m.Id != 0x1234 {
		t.Errorf("id %#x, want the caller's", m.Id)
	}
	if len(m.Answer) != 1 || m.Answer[0].String() != dnsfake.RR(aRecord).String() {
		t.Errorf("answer %v", m.Answer)
	}
}

// wrong is a reply with other data: who takes it, took what answers something else.
func wrong(q *dns.Msg) *dns.Msg {
	return dnsfake.Answer(q, "mx.example.org. 300 IN A 203.0.113.66")
}

func TestMisbehaviour(t *testing.T) {
	good := func(r *dnsfake.Request) { r.Reply(dnsfake.Answer(r.Msg, aRecord)) }
	// first sends a reply that is not of the question, and then the good one.
	first := func(edit func(m *dns.Msg)) dnsfake.Handler {
		return func(r *dnsfake.Request) {
			m := wrong(r.Msg)
			edit(m)
			r.Reply(m)
			good(r)
		}
	}
	truncate := func(r *dnsfake.Request) {
		m := wrong(r.Msg)
		m.Truncated = true
		r.Reply(m)
	}
	tests := []struct {
		name    string
		handler dnsfake.Handler
	}{
		{"DNSTCP7766-5-01 truncated over UDP is asked again over TCP", func(r *dnsfake.Request) {
			if r.Network == "udp" {
				truncate(r)
				return
			}
			good(r)
		}},
		{"cut off without TC is asked again over TCP", func(r *dnsfake.Request) {
			if r.Network == "udp" {
				b, _ := dnsfake.Answer(r.Msg, aRecord).Pack()
				r.ReplyRaw(b[:len(b)-15])
				return
			}
			good(r)
		}},
		{"loses the first packet", func(r *dnsfake.Request) {
			if r.N > 1 {
				good(r)
			}
		}},
		{"is deaf on UDP", func(r *dnsfake.Request) {
			if r.Network == "tcp" {
				good(r)
			}
		}},
		{"another id first", first(func(m *dns.Msg) { m.Id ^= 1 })},
		{"another name first", first(func(m *dns.Msg) { m.Question[0].Name = "mx.example.com." })},
		{"another type first", first(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT })},
		{"another class first", first(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })},
		{"no question first", first(func(m *dns.Msg) { m.Question = nil })},
		{"two questions first", first(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })},
		{"a query first", first(func(m *dns.Msg) { m.Response = false })},
		{"another opcode first", first(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify })},
		{"junk first", func(r *dnsfake.Request) {
			for _, b := range [][]byte{nil, {1}, r.Raw[:11], r.Raw[:13], []byte("\x00\x00\x80\x00 not DNS at all")} {
				r.ReplyRaw(b)
			}
			good(r)
		}},
		{"name in other letters", func(r *dnsfake.Request) {
			m := dnsfake.Answer(r.Msg, aRecord)
			m.Question[0].Name = "MX.eXample.ORG."
			r.Reply(m)
		}},
		{"answers twice", func(r *dnsfake.Request) { good(r); r.Reply(wrong(r.Msg)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mustAnswer(t, client(t, upstream.Config{}, dnsfake.Start(t, tt.handler)))
		})
	}
}

func TestEveryThirdPacketLost(t *testing.T) {
	srv := dnsfake.Start(t, func(r *dnsfake.Request) {
		if r.Network != "udp" || r.N%3 != 0 {
			r.Reply(dnsfake.Answer(r.Msg, aRecord))
		}
	})
	c := client(t, upstream.Config{}, srv)
	for range 5 {
		mustAnswer(t, c)
	}
}

func TestLateAnswerCounts(t *testing.T) {
	// The first packet is answered only when the second has come: the second never is.
	second := make(chan struct{})
	srv := dnsfake.Start(t, func(r *dnsfake.Request) {
		switch {
		case r.N == 1:
			<-second
			r.Reply(dnsfake.Answer(r.Msg, aRecord))
		case r.N == 2:
			close(second)
		}
	})
	mustAnswer(t, client(t, upstream.Config{}, srv))
}

func TestFreshPortAndID(t *testing.T) {
	var mu sync.Mutex
	ports, ids := map[int]bool{}, map[uint16]bool{}
	srv := dnsfake.Start(t, func(r *dnsfake.Request) {
		mu.Lock()
		ports[r.Conn], ids[r.Msg.Id] = true, true
		mu.Unlock()
		r.Reply(dnsfake.Answer(r.Msg, aRecord))
	})
	c := client(t, upstream.Config{}, srv)
	const n = 50
	for range n {
		mustAnswer(t, c)
	}
	mu.Lock()
	defer mu.Unlock()
	// Ports repeat by chance: 50 of some 28,000 have a pair with probability 4 %, three
	// pairs hardly ever.
	if len(ports) < n-3 || len(ids) < n-3 {
		t.Errorf("%d source ports and %d ids for %d questions", len(ports), len(ids), n)
	}
}

func TestRcodes(t *testing.T) {
	answer := func(rcode int, ede ...uint16) dnsfake.Handler {
		return func(r *dnsfake.Request) {
			m := dnsfake.Rcode(r.Msg, rcode, "")
			for _, c := range ede {
				dnsfake.Extended(m, c, "")
			}
			r.Reply(m)
		}
	}
	bare := func(r *dnsfake.Request) {
		b := make([]byte, 12)
		copy(b, r.Raw[:2])
		b[2], b[3] = 0x80, dns.RcodeFormatError
		r.ReplyRaw(b)
	}
	silent := func(*dnsfake.Request) {}
	tests := []struct {
		name          string
		first, second dnsfake.Handler
		rcode         int
		server        int
	}{
		{"NXDOMAIN ends it", answer(dns.RcodeNameError), answer(dns.RcodeSuccess), dns.RcodeNameError, 0},
		{"SERVFAIL asks the next", answer(dns.RcodeServerFailure), answer(dns.RcodeSuccess), dns.RcodeSuccess, 1},
		{"SERVFAIL by another extended error asks the next", answer(dns.RcodeServerFailure, 22), answer(dns.RcodeSuccess), dns.RcodeSuccess, 1},
		{"SERVFAIL because bogus ends it", answer(dns.RcodeServerFailure, 3, 7), answer(dns.RcodeSuccess), dns.RcodeServerFailure, 0},
		{"REFUSED asks the next", answer(dns.RcodeRefused), answer(dns.RcodeSuccess), dns.RcodeSuccess, 1},
		{"NOTIMP asks the next", answer(dns.RcodeNotImplemented), answer(dns.RcodeSuccess), dns.RcodeSuccess, 1},
		{"FORMERR asks the next", answer(dns.RcodeFormatError), answer(dns.RcodeSuccess), dns.RcodeSuccess, 1},
		{"bare FORMERR asks the next", bare, answer(dns.RcodeNameError), dns.RcodeNameError, 1},
		{"bare FORMERR alone", bare, bare, dns.RcodeFormatError, 0},
		{"SERVFAIL is better than REFUSED", answer(dns.RcodeRefused), answer(dns.RcodeServerFailure), dns.RcodeServerFailure, 1},
		{"REFUSED is better than FORMERR", answer(dns.RcodeFormatError), answer(dns.RcodeRefused), dns.RcodeRefused, 1},
		{"SERVFAIL stays the best", answer(dns.RcodeServerFailure), answer(dns.RcodeRefused), dns.RcodeServerFailure, 0},
		{"REFUSED is better than silence", answer(dns.RcodeRefused), silent, dns.RcodeRefused, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servers := []*dnsfake.Server{dnsfake.Start(t, tt.first), dnsfake.Start(t, tt.second)}
			c := client(t, upstream.Config{Timeout: 4 * time.Second}, servers...)
			resp, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
			if err != nil {
				t.Fatal(err)
			}
			m := new(dns.Msg)
			if err := m.Unpack(resp.Message); err != nil {
				t.Fatal(err)
			}
			if m.Rcode != tt.rcode || m.Id != 0x1234 || len(m.Question) != 1 {
				t.Errorf("got %v", m)
			}
			if want := servers[tt.server].Addr.String(); resp.Server != want {
				t.Errorf("server %s, want %s", resp.Server, want)
			}
		})
	}
}

func TestCheckingDisabledAsksTheNext(t *testing.T) {
	// A server that says "bogus" though it was told not to check has given no verdict.
	first := dnsfake.Start(t, func(r *dnsfake.Request) {
		r.Reply(dnsfake.Extended(dnsfake.Rcode(r.Msg, dns.RcodeServerFailure, ""), 6, ""))
	})
	second := dnsfake.Start(t, func(r *dnsfake.Request) { r.Reply(dnsfake.Answer(r.Msg, aRecord)) })
	c := client(t, upstream.Config{}, first, second)
	q := query(t, "mx.example.org", dns.TypeA)
	q[3] |= 0x10
	resp, err := c.Exchange(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, resp)
}

// only fails the test if err is of more than that one of the kinds of the contract.
func only(t testing.TB, err, kind error) {
	t.Helper()
	for _, k := range []error{dnssec.ErrTimeout, dnssec.ErrUnreachable, dnssec.ErrMalformed} {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("%v (%T): is %v: %v", err, err, k, k != kind)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	// One server refuses the connection, the other answers rubbish or nothing: one kind
	// for the question as a whole, and a text that reports both.
	dead, _ := upstream.PlainServer(porttest.Address(t))
	for _, tt := range []struct {
		name string
		h    dnsfake.Handler
		kind error
		// timeout is that of the exchange: short where nothing comes, and as long as a
		// loaded machine takes where something does.
		timeout time.Duration
	}{
		{"silence", func(*dnsfake.Request) {}, dnssec.ErrTimeout, 2 * time.Second},
		{"rubbish", func(r *dnsfake.Request) {
			b, _ := dnsfake.Answer(r.Msg, aRecord).Pack()
			r.ReplyRaw(b[:len(b)-15])
		}, dnssec.ErrMalformed, 30 * time.Second},
		{"closing", func(r *dnsfake.Request) {
			m := dnsfake.Answer(r.Msg, aRecord)
			m.Truncated = r.Network == "udp"
			if r.Network == "tcp" {
				r.Close()
			} else {
				r.Reply(m)
			}
		}, dnssec.ErrUnreachable, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := dnsfake.Start(t, tt.h)
			c := client(t, upstream.Config{Servers: []upstream.Server{dead}, Timeout: tt.timeout}, srv)
			_, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
			only(t, err, tt.kind)
			if s := err.Error(); !strings.Contains(s, dead.String()+" over TCP: ") || strings.Count(s, dead.String()+" over TCP: ") != 1 || strings.Contains(s, "\n") || strings.Contains(s, "dns lookup failed") || !strings.HasPrefix(s, "127.0.0.1:") || strings.Contains(s, "; ;") {
				t.Errorf("text %q", s)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	silent := func(*dnsfake.Request) {}
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		c := client(t, upstream.Config{Timeout: 50 * time.Millisecond}, dnsfake.Start(t, silent))
		_, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the caller's deadline", func(t *testing.T) {
		t.Parallel()
		c := client(t, upstream.Config{}, dnsfake.Start(t, silent))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Exchange(ctx, query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled under way", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		srv := dnsfake.Start(t, func(*dnsfake.Request) { cancel() })
		c := client(t, upstream.Config{}, srv)
		_, err := c.Exchange(ctx, query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrTimeout) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if h := c.Health()[0]; h.Failures != 0 || h.Rests {
			t.Errorf("the caller's leaving counts against the server: %+v", h)
		}
	})
	t.Run("cancelled before", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		srv := dnsfake.Start(t, silent)
		_, err := client(t, upstream.Config{}, srv).Exchange(ctx, query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, context.Canceled) || srv.Requests() != 0 {
			t.Errorf("got %v after %d requests", err, srv.Requests())
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		srv, _ := upstream.ParseServer(porttest.Address(t).String())
		c := client(t, upstream.Config{Servers: []upstream.Server{srv}})
		begin := time.Now()
		_, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrUnreachable) || !strings.Contains(err.Error(), srv.String()) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begin); d > 15*time.Second {
			t.Errorf("took %v though it was refused at once", d)
		}
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		c := client(t, upstream.Config{}, dnsfake.Start(t, silent))
		c.Close()
		_, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, upstream.ErrClosed) || !errors.Is(err, dnssec.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no query", func(t *testing.T) {
		t.Parallel()
		srv := dnsfake.Start(t, silent)
		c := client(t, upstream.Config{}, srv)
		good := query(t, "mx.example.org", dns.TypeA)
		bad := map[string][]byte{"empty": nil, "header only": good[:12], "cut": good[:20], "no class": good[:30]}
		for name, change := range map[string]func(b []byte){
			"response":      func(b []byte) { b[2] |= 0x80 },
			"notify":        func(b []byte) { b[2] |= 4 << 3 },
			"two questions": func(b []byte) { b[5] = 2 },
			"pointer":       func(b []byte) { b[12] = 0xc0 },
			"label of 64":   func(b []byte) { b[12] = 64 },
		} {
			b := append([]byte(nil), good...)
			change(b)
			bad[name] = b
		}
		bad["too long"] = append(bytes.Clone(good), make([]byte, 65536-len(good))...)
		for name, b := range bad {
			if _, err := c.Exchange(t.Context(), b); !errors.Is(err, dnssec.ErrMalformed) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if srv.Requests() != 0 {
			t.Error("something was sent")
		}
	})
	t.Run("too many wrong answers", func(t *testing.T) {
		t.Parallel()
		srv := dnsfake.Start(t, func(r *dnsfake.Request) {
			for range 200 {
				m := wrong(r.Msg)
				m.Id++
				r.Reply(m)
			}
		})
		_, err := client(t, upstream.Config{}, srv).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cut off over TCP", func(t *testing.T) {
		t.Parallel()
		srv := dnsfake.Start(t, func(r *dnsfake.Request) {
			b, _ := dnsfake.Answer(r.Msg, aRecord).Pack()
			r.ReplyRaw(b[:len(b)-15])
		})
		_, err := client(t, upstream.Config{}, srv).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("truncated over TCP", func(t *testing.T) {
		t.Parallel()
		srv := dnsfake.Start(t, func(r *dnsfake.Request) {
			m := dnsfake.Answer(r.Msg, aRecord)
			m.Truncated = true
			r.Reply(m)
		})
		_, err := client(t, upstream.Config{}, srv).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDeadServerRests(t *testing.T) {
	dead, _ := upstream.PlainServer(porttest.Address(t))
	alive := dnsfake.Start(t, func(r *dnsfake.Request) { r.Reply(dnsfake.Answer(r.Msg, aRecord)) })
	var dials atomic.Int32
	c := client(t, upstream.Config{
		Servers: []upstream.Server{dead},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == dead.String() {
				dials.Add(1)
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}, alive)
	mustAnswer(t, c)
	n := dials.Load()
	if n == 0 {
		t.Fatal("the first server was not tried first")
	}
	h := c.Health()
	if h[0].Failures != 1 || !h[0].Rests || h[0].Server != dead || h[1].Failures != 0 || h[1].Rests || h[1].RTT == 0 {
		t.Errorf("health %+v", h)
	}
	for range 5 {
		mustAnswer(t, c)
	}
	if dials.Load() != n {
		t.Error("a dead server is asked before the one that answers")
	}
}

func TestLargeAnswer(t *testing.T) {
	// A DNSKEY answer of 1,447 octets does not fit what we advertise; a server that heeds
	// that sets TC. One of several kilobytes must work as well.
	for _, size := range []int{1447, 4096, 65000} {
		t.Run(fmt.Sprintf("DNSTCP7766-5-01 %d octets", size), func(t *testing.T) {
			t.Parallel()
			asked := query(t, "mx.example.org", dns.TypeTXT)
			q := new(dns.Msg)
			if err := q.Unpack(asked); err != nil {
				t.Fatal(err)
			}
			if got := q.IsEdns0().UDPSize(); got != 1232 {
				t.Errorf("advertised size %d", got)
			}
			m := dnsfake.Answer(q)
			fill(m, size)
			whole, _ := m.Pack()
			m.Answer, m.Truncated = nil, true
			cut, _ := m.Pack()
			var udp atomic.Int32
			srv := dnsfake.Start(t, func(r *dnsfake.Request) {
				b := whole
				if r.Network == "udp" {
					udp.Add(1)
					b = cut
				}
				b = bytes.Clone(b)
				copy(b, r.Raw[:2])
				r.ReplyRaw(b)
			})
			resp, err := client(t, upstream.Config{}, srv).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeTXT))
			if err != nil {
				t.Fatal(err)
			}
			if len(resp.Message) != size || udp.Load() != 1 {
				t.Errorf("%d octets after %d datagrams", len(resp.Message), udp.Load())
			}
		})
	}
}

// fill makes m, which is small, exactly size octets long by a TXT record.
func fill(m *dns.Msg, size int) {
	for m.Len() < size-300 {
		m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{strings.Repeat("x", 200)}})
	}
	last := &dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{""}}
	m.Answer = append(m.Answer, last)
	rest := size - packed(m)
	for rest > 255 {
		last.Txt = append(last.Txt, strings.Repeat("y", 100))
		rest = size - packed(m)
	}
	last.Txt[0] = strings.Repeat("z", rest)
}

func packed(m *dns.Msg) int {
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return len(b)
}

func TestLongQuery(t *testing.T) {
	// 65535 octets are the most that a stream carries. The octets behind the question mean
	// nothing to a transport.
	srv := dnsfake.Start(t, func(r *dnsfake.Request) {
		if len(r.Raw) == 65535 {
			r.Reply(dnsfake.Answer(r.Msg, aRecord))
		}
	})
	q := query(t, "mx.example.org", dns.TypeA)
	resp, err := client(t, upstream.Config{}, srv).Exchange(t.Context(), append(q, make([]byte, 65535-len(q))...))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, resp)
}

func TestSystem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver fe80::1%eth0\nnameserver 192.0.2.53\noptions trust-ad\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers, cfg, err := upstream.System(file)
	if err != nil || fmt.Sprint(servers) != "[[fe80::1%eth0]:53 192.0.2.53:53]" || !cfg.TrustAD {
		t.Errorf("%v %+v %v", servers, cfg, err)
	}
	if servers, cfg, err := upstream.System(filepath.Join(t.TempDir(), "none")); err != nil || fmt.Sprint(servers) != "[127.0.0.1:53]" || !cfg.Missing {
		t.Errorf("%v %+v %v", servers, cfg, err)
	}
	if servers, _, err := upstream.System(t.TempDir()); err == nil || servers != nil {
		t.Errorf("a folder: %v", servers)
	}
}

// watched is a connection that tells when it is closed.
type watched struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (w *watched) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// watching is a Dial that hands out the connections it made.
func watching(conns chan<- *watched) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		w := &watched{Conn: c, closed: make(chan struct{})}
		conns <- w
		return w, nil
	}
}

// mustClose waits for the next connection to be closed.
func mustClose(t testing.TB, conns <-chan *watched) {
	t.Helper()
	select {
	case <-(<-conns).closed:
	case <-time.After(10 * time.Second):
		t.Error("a connection was left open")
	}
}

func TestConnectionsAreClosed(t *testing.T) {
	ca := newAuthority()
	conns := make(chan *watched, 100)
	cfg := upstream.Config{RootCAs: ca.pool, Dial: watching(conns), Timeout: 20 * time.Second}
	t.Run("UDP", func(t *testing.T) {
		mustAnswer(t, client(t, cfg, dnsfake.Start(t, good)))
		mustClose(t, conns)
	})
	start := func(t *testing.T, name string) *dnsfake.Server {
		return dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.serverCert("", []string{name}, nil)}}, good)
	}
	t.Run("TLS, with the client", func(t *testing.T) {
		c := dot(t, start(t, "127.0.0.1"), "tls://%s", cfg)
		mustAnswer(t, c)
		c.Close()
		mustClose(t, conns)
	})
	t.Run("TLS, after a handshake that failed", func(t *testing.T) {
		c := dot(t, start(t, "dns.example"), "tls://%s", cfg)
		_, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if err == nil || !strings.Contains(err.Error(), "TLS handshake: ") {
			t.Error(err)
		}
		mustClose(t, conns)
	})
	t.Run("HTTPS, with the client", func(t *testing.T) {
		s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) { writeMsg(w, dnsfake.Answer(q, aRecord)) })
		c := s.client(t, cfg)
		mustAnswer(t, c)
		c.Close()
		mustClose(t, conns)
	})
	t.Run("HTTPS, made after Close", func(t *testing.T) {
		s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) { writeMsg(w, dnsfake.Answer(q, aRecord)) })
		began, release := make(chan struct{}), make(chan struct{})
		late := cfg
		late.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			close(began)
			<-release
			return cfg.Dial(context.WithoutCancel(ctx), network, addr)
		}
		c := s.client(t, late)
		got := make(chan error, 1)
		go func() {
			_, err := c.Exchange(context.Background(), query(t, "mx.example.org", dns.TypeA))
			got <- err
		}()
		<-began
		c.Close()
		if err := <-got; !errors.Is(err, upstream.ErrClosed) {
			t.Error(err)
		}
		close(release)
		mustClose(t, conns)
	})
}
