package upstream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

func good(r *dnsfake.Request) { r.Reply(dnsfake.Answer(r.Msg, aRecord)) }

// dot is a client for one DNS over TLS server named by a pattern in which %s stands
// for its address and port.
func dot(t testing.TB, srv *dnsfake.Server, pattern string, cfg upstream.Config) *upstream.Client {
	t.Helper()
	s, err := upstream.ParseServer(strings.Replace(pattern, "%s", srv.Addr.String(), 1))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Servers = append(cfg.Servers, s)
	return client(t, cfg)
}

func TestTLSIdentity(t *testing.T) {
	ca, other := newAuthority(), newAuthority()
	named := ca.serverCert("", []string{"dns.example"}, nil)
	byAddr := ca.serverCert("", []string{"127.0.0.1"}, nil)
	foreign := other.serverCert("", []string{"dns.example", "127.0.0.1"}, nil)
	cnOnly := ca.serverCert("dns.example", nil, nil)
	expired := ca.serverCert("", []string{"dns.example"}, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	client := ca.serverCert("", []string{"dns.example"}, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	// An attacker may send along a certificate whose key is pinned, but not use that key.
	smuggled := foreign
	smuggled.Certificate = [][]byte{foreign.Certificate[0], named.Leaf.Raw}
	esc := func(c *x509.Certificate) string { return pin(c) }
	tests := []struct {
		name    string
		cert    tls.Certificate
		maxTLS  uint16
		pattern string
		ok      bool
	}{
		{"the name behind #", named, 0, "tls://%s#dns.example", true},
		{"the address", byAddr, 0, "tls://%s", true},
		{"the address is not in the certificate", named, 0, "tls://%s", false},
		{"another name", named, 0, "tls://%s#dns2.example", false},
		{"the name though the address fits", byAddr, 0, "tls://%s#dns.example", false},
		{"DOT8310-6.6-01 nobody confirms it", foreign, 0, "tls://%s#dns.example", false},
		{"DOT8310-6.6-01 expired", expired, 0, "tls://%s#dns.example", false},
		{"DOT8310-6.6-01 a client's certificate", client, 0, "tls://%s#dns.example", false},
		{"DOT8310-6.6-01 TLS 1.1", named, tls.VersionTLS11, "tls://%s#dns.example", false},
		{"TLS 1.2", named, tls.VersionTLS12, "tls://%s#dns.example", true},
		{"DOT8310-8.1-01 the name in the common name only", cnOnly, 0, "tls://%s#dns.example", false},
		{"DOT7858-4.2-01 a pin alone", foreign, 0, "tls://%s?pin=" + esc(foreign.Leaf), true},
		{"DOT7858-4.2-01 another pin", foreign, 0, "tls://%s?pin=" + esc(named.Leaf), false},
		{"DOT7858-4.2-01 the second of two pins", foreign, 0, "tls://%s?pin=" + esc(named.Leaf) + "&pin=" + esc(foreign.Leaf), true},
		{"DOT7858-4.2-01 a pinned certificate that is only sent along", smuggled, 0, "tls://%s?pin=" + esc(named.Leaf), false},
		{"DOT7858-4.2-01 a pinned anchor alone is not the server's key", named, 0, "tls://%s?pin=" + esc(ca.Cert), false},
		{"DOT7858-4.2-01 name and pin of the anchor", named, 0, "tls://%s?pin=" + esc(ca.Cert) + "#dns.example", true},
		{"DOT7858-4.2-01 name and own pin", named, 0, "tls://%s?pin=" + esc(named.Leaf) + "#dns.example", true},
		{"DOT7858-4.2-01 the name without the pin", named, 0, "tls://%s?pin=" + esc(other.Cert) + "#dns.example", false},
		{"DOT7858-4.2-01 the pin without the name", foreign, 0, "tls://%s?pin=" + esc(foreign.Leaf) + "#dns.example", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The server lowers nothing by itself, so that it is the client who refuses.
			srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{tt.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tt.maxTLS}, good)
			c := dot(t, srv, tt.pattern, upstream.Config{RootCAs: ca.pool, Timeout: 20 * time.Second})
			resp, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
			if tt.ok {
				if err != nil {
					t.Fatal(err)
				}
				checkAnswer(t, resp)
				return
			}
			if !errors.Is(err, dnssec.ErrUnreachable) {
				t.Errorf("got %v", err)
			}
			if srv.Requests() != 0 {
				t.Error("a question was sent to a server that did not prove who it is")
			}
		})
	}
}

func TestNoFallbackToCleartext(t *testing.T) {
	// A server that speaks plain DNS on the port of DNS over TLS, and UDP too: nothing but
	// TLS may reach it.
	for _, id := range []string{"DOT7858-3.1-02 no cleartext on the TLS port", "DOT8310-5.1-01 no way back to cleartext"} {
		t.Run(id, func(t *testing.T) {
			srv := dnsfake.Start(t, good)
			var networks sync.Map
			c := dot(t, srv, "tls://%s#dns.example", upstream.Config{
				RootCAs: newAuthority().pool, Timeout: 300 * time.Millisecond,
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					networks.Store(network, true)
					return new(net.Dialer).DialContext(ctx, network, addr)
				},
			})
			_, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
			if err == nil || srv.Requests() != 0 {
				t.Errorf("%v after %d requests", err, srv.Requests())
			}
			if _, ok := networks.Load("udp"); ok {
				t.Error("UDP was tried")
			}
		})
	}
}

func TestTLSDefaultPort(t *testing.T) {
	t.Run("DOT7858-3.1-01", func(t *testing.T) {
		var addrs []string
		s, err := upstream.ParseServer("tls://192.0.2.1#dns.example")
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, upstream.Config{Servers: []upstream.Server{s}, Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
			addrs = append(addrs, network+" "+addr)
			return nil, errors.New("no")
		}})
		if _, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA)); !errors.Is(err, dnssec.ErrUnreachable) {
			t.Error(err)
		}
		if fmt.Sprint(addrs) != "[tcp 192.0.2.1:853]" {
			t.Errorf("dialled %v", addrs)
		}
		if _, err := upstream.ParseServer("tls://192.0.2.1:53"); !errors.Is(err, upstream.ErrServer) {
			t.Errorf("port 53: %v", err)
		}
	})
}

func TestBootstrap(t *testing.T) {
	ca := newAuthority()
	srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.serverCert("", []string{"dns.example"}, nil)}}, good)
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	var asked atomic.Int32
	cfg := upstream.Config{RootCAs: ca.pool, Timeout: 20 * time.Second, Bootstrap: func(_ context.Context, host string) ([]netip.Addr, error) {
		asked.Add(1)
		if host != "dns.example" {
			return nil, errors.New("no such host " + host)
		}
		return addrs, nil
	}}
	s, err := upstream.ParseServer(fmt.Sprintf("tls://dns.example:%d", srv.Addr.Port()))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Servers = []upstream.Server{s}
	mustAnswer(t, client(t, cfg))
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	// The addresses are tried in turn.
	addrs = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::ffff:127.0.0.1")}
	mustAnswer(t, client(t, cfg))
	addrs = nil
	if _, err := client(t, cfg).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA)); !errors.Is(err, dnssec.ErrUnreachable) {
		t.Errorf("without addresses: %v", err)
	}
}

// gather answers only when n questions have come on the connection, in the opposite
// order: a client that waits for each answer would wait for ever.
func gather(n int) dnsfake.Handler {
	var mu sync.Mutex
	var waiting []*dnsfake.Request
	return func(r *dnsfake.Request) {
		if r.Network == "udp" {
			m := dnsfake.Answer(r.Msg)
			m.Truncated = true
			r.Reply(m)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		waiting = append(waiting, r)
		if len(waiting) < n {
			return
		}
		for i := len(waiting) - 1; i >= 0; i-- {
			w := waiting[i]
			w.Reply(dnsfake.Answer(w.Msg, w.Name()+" 60 IN TXT \""+w.Name()+"\""))
		}
		waiting = nil
	}
}

func TestPipelining(t *testing.T) {
	const n = 64
	ca := newAuthority()
	cert := ca.serverCert("", []string{"127.0.0.1"}, nil)
	servers := map[string]func(h dnsfake.Handler) (*dnsfake.Server, *upstream.Client){
		"TCP": func(h dnsfake.Handler) (*dnsfake.Server, *upstream.Client) {
			s := dnsfake.Start(t, h)
			return s, client(t, upstream.Config{}, s)
		},
		"TLS": func(h dnsfake.Handler) (*dnsfake.Server, *upstream.Client) {
			s := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, h)
			return s, dot(t, s, "tls://%s", upstream.Config{RootCAs: ca.pool})
		},
	}
	for kind, start := range servers {
		t.Run("DNSTCP7766-6.2.1-01 one round trip for all over "+kind, func(t *testing.T) {
			var ids sync.Map
			h := gather(n)
			srv, c := start(func(r *dnsfake.Request) {
				if r.Network != "udp" {
					if _, twice := ids.LoadOrStore(r.Msg.Id, true); twice {
						t.Error("an id in flight was used again")
					}
				}
				h(r)
			})
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					name := fmt.Sprintf("n%d.example.org.", i)
					resp, err := c.Exchange(t.Context(), query(t, name, dns.TypeTXT))
					if err != nil {
						t.Error(err)
						return
					}
					m := new(dns.Msg)
					if err := m.Unpack(resp.Message); err != nil || len(m.Answer) != 1 || m.Answer[0].(*dns.TXT).Txt[0] != name {
						t.Errorf("%s got %v %v", name, m.Answer, err)
					}
				})
			}
			wg.Wait()
			if srv.Conns() != 1 {
				t.Errorf("%d connections for %d questions", srv.Conns(), n)
			}
		})
	}
}

func TestStreamAnswersAreMatched(t *testing.T) {
	// DOT7858-3.3-02: by id and by question.
	ca := newAuthority()
	cert := ca.serverCert("", []string{"127.0.0.1"}, nil)
	for name, spoil := range map[string]func(m *dns.Msg){
		"id":    func(m *dns.Msg) { m.Id ^= 0x5555 },
		"name":  func(m *dns.Msg) { m.Question[0].Name = "mx.example.com." },
		"type":  func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		"class": func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassHESIOD },
	} {
		t.Run("DOT7858-3.3-02 another "+name, func(t *testing.T) {
			srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, func(r *dnsfake.Request) {
				m := wrong(r.Msg)
				spoil(m)
				r.Reply(m)
				good(r)
			})
			mustAnswer(t, dot(t, srv, "tls://%s", upstream.Config{RootCAs: ca.pool}))
		})
	}
	t.Run("too many", func(t *testing.T) {
		srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, func(r *dnsfake.Request) {
			for range 100 {
				m := wrong(r.Msg)
				m.Id ^= 0x5555
				r.Reply(m)
			}
		})
		_, err := dot(t, srv, "tls://%s", upstream.Config{RootCAs: ca.pool}).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrMalformed) {
			t.Error(err)
		}
	})
}

func TestStreamFraming(t *testing.T) {
	// DOT7858-3.3-01: two octets of length before each message, in as many segments as the
	// network likes.
	t.Run("DOT7858-3.3-01", func(t *testing.T) {
		here, there := net.Pipe()
		t.Cleanup(func() { there.Close() })
		s, _ := upstream.ParseServer("192.0.2.1")
		c := client(t, upstream.Config{Servers: []upstream.Server{s}, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
			if network == "udp" {
				return nil, errors.New("no UDP here")
			}
			return here, nil
		}})
		done := make(chan error, 1)
		go func() {
			q := query(t, "mx.example.org", dns.TypeA)
			buf := make([]byte, 2+len(q))
			for i := range buf {
				if _, err := there.Read(buf[i : i+1]); err != nil {
					done <- err
					return
				}
			}
			if int(buf[0])<<8|int(buf[1]) != len(q) || string(buf[4:]) != string(q[2:]) {
				done <- fmt.Errorf("got % x", buf)
				return
			}
			m := new(dns.Msg)
			if err := m.Unpack(buf[2:]); err != nil {
				done <- err
				return
			}
			b, _ := dnsfake.Answer(m, aRecord).Pack()
			for _, x := range append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) {
				if _, err := there.Write([]byte{x}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		mustAnswer(t, c)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestStreamReuse(t *testing.T) {
	ca := newAuthority()
	cert := ca.serverCert("", []string{"127.0.0.1"}, nil)
	t.Run("DOT7858-3.4-01 one connection for many questions", func(t *testing.T) {
		srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, good)
		c := dot(t, srv, "tls://%s", upstream.Config{RootCAs: ca.pool})
		for range 5 {
			mustAnswer(t, c)
		}
		if srv.Conns() != 1 {
			t.Errorf("%d connections", srv.Conns())
		}
	})
	t.Run("DOT7858-3.4-01 closed between questions", func(t *testing.T) {
		srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, good)
		c := dot(t, srv, "tls://%s", upstream.Config{RootCAs: ca.pool})
		for range 3 {
			mustAnswer(t, c)
			srv.CloseConns()
		}
		if h := c.Health()[0]; h.Failures != 0 {
			t.Errorf("%+v", h)
		}
	})
	t.Run("closed after each answer", func(t *testing.T) {
		srv := dnsfake.Start(t, func(r *dnsfake.Request) {
			if r.Network == "udp" {
				m := dnsfake.Answer(r.Msg)
				m.Truncated = true
				r.Reply(m)
				return
			}
			good(r)
			r.Close()
		})
		c := client(t, upstream.Config{}, srv)
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() { mustAnswer(t, c) })
		}
		wg.Wait()
		for range 5 {
			mustAnswer(t, c)
		}
	})
	t.Run("closed before any answer", func(t *testing.T) {
		srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, func(r *dnsfake.Request) { r.Close() })
		_, err := dot(t, srv, "tls://%s", upstream.Config{RootCAs: ca.pool}).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if !errors.Is(err, dnssec.ErrUnreachable) {
			t.Error(err)
		}
		if n := srv.Conns(); n < 2 || n > 6 {
			t.Errorf("%d connections were tried", n)
		}
	})
	t.Run("one caller leaves, the others stay", func(t *testing.T) {
		release := make(chan struct{})
		arrived := make(chan struct{}, 2)
		srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, func(r *dnsfake.Request) {
			arrived <- struct{}{}
			<-release
			good(r)
		})
		c := dot(t, srv, "tls://%s", upstream.Config{RootCAs: ca.pool})
		ctx, leave := context.WithCancel(t.Context())
		left, stayed := make(chan error, 1), make(chan struct{})
		go func() { _, err := c.Exchange(ctx, query(t, "mx.example.org", dns.TypeA)); left <- err }()
		<-arrived
		go func() { defer close(stayed); mustAnswer(t, c) }()
		<-arrived
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		<-stayed
		if srv.Conns() != 1 {
			t.Errorf("%d connections", srv.Conns())
		}
	})
	t.Run("all leave while it connects", func(t *testing.T) {
		hang := make(chan struct{})
		s, _ := upstream.ParseServer("tls://192.0.2.1#dns.example")
		c, err := upstream.New(upstream.Config{Servers: []upstream.Server{s}, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			close(hang)
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-hang; leave() }()
		if _, err := c.Exchange(ctx, query(t, "mx.example.org", dns.TypeA)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		c.Close() // returns only when the dialling has ended; goleak looks at the end
	})
	for _, kind := range []string{"UDP", "TLS"} {
		t.Run("Close ends a question under way over "+kind, func(t *testing.T) {
			arrived := make(chan struct{})
			var once sync.Once
			h := func(r *dnsfake.Request) { once.Do(func() { close(arrived) }) }
			var c *upstream.Client
			if kind == "UDP" {
				c = client(t, upstream.Config{}, dnsfake.Start(t, h))
			} else {
				c = dot(t, dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, h), "tls://%s", upstream.Config{RootCAs: ca.pool})
			}
			got := make(chan error, 1)
			go func() {
				_, err := c.Exchange(context.Background(), query(t, "mx.example.org", dns.TypeA))
				got <- err
			}()
			<-arrived
			begin := time.Now()
			c.Close()
			err := <-got
			if only(t, err, dnssec.ErrUnreachable); !errors.Is(err, upstream.ErrClosed) {
				t.Error(err)
			}
			if d := time.Since(begin); d > 15*time.Second {
				t.Errorf("after %v", d)
			}
		})
	}
}
