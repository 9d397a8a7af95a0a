package upstream_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
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

// A dohServer counts and judges the requests that it gets.
type dohServer struct {
	*httptest.Server
	ca       *authority
	requests atomic.Int64
}

// startDoH serves https://127.0.0.1:PORT/dns-query over HTTP/2.
func startDoH(t testing.TB, h func(w http.ResponseWriter, r *http.Request, q *dns.Msg)) *dohServer {
	t.Helper()
	s := &dohServer{ca: newAuthority()}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		body, err := io.ReadAll(r.Body)
		q := new(dns.Msg)
		if err == nil {
			err = q.Unpack(body)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h(w, r, q)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up are what is tested
	s.TLS = &tls.Config{Certificates: []tls.Certificate{s.ca.serverCert("", []string{"127.0.0.1", "dns.example"}, nil)}}
	s.StartTLS()
	t.Cleanup(s.Server.Close)
	return s
}

func (s *dohServer) client(t testing.TB, cfg upstream.Config) *upstream.Client {
	t.Helper()
	srv, err := upstream.ParseServer(s.URL + "/dns-query?x=1")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Servers = []upstream.Server{srv}
	cfg.RootCAs = s.ca.pool
	if cfg.Timeout == 0 {
		cfg.Timeout = 3 * time.Second
	}
	return client(t, cfg)
}

func writeMsg(w http.ResponseWriter, m *dns.Msg) {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/dns-message")
	w.Write(b)
}

func TestHTTPS(t *testing.T) {
	var got *http.Request
	var id uint16 = 1
	var mu sync.Mutex
	s := startDoH(t, func(w http.ResponseWriter, r *http.Request, q *dns.Msg) {
		mu.Lock()
		got, id = r, q.Id
		mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		writeMsg(w, dnsfake.Answer(q, aRecord))
	})
	c := s.client(t, upstream.Config{})
	mustAnswer(t, c)
	mustAnswer(t, c)
	t.Run("DOH8484-4.1-02 the id is 0", func(t *testing.T) {
		if id != 0 {
			t.Errorf("id %d", id)
		}
	})
	t.Run("DOH8484-6-01 POST of the raw message", func(t *testing.T) {
		if got.Method != http.MethodPost || got.Header.Get("Content-Type") != "application/dns-message" || got.ContentLength < 12 {
			t.Errorf("%s %v %d", got.Method, got.Header, got.ContentLength)
		}
	})
	t.Run("DOH8484-3-01 the configured URI", func(t *testing.T) {
		if got.RequestURI != "/dns-query?x=1" || got.Host != s.Listener.Addr().String() {
			t.Errorf("%s of %s", got.RequestURI, got.Host)
		}
	})
	t.Run("DOH8484-4.1-01 the type is asked for", func(t *testing.T) {
		if got.Header.Get("Accept") != "application/dns-message" {
			t.Errorf("%v", got.Header)
		}
	})
	if got.ProtoMajor != 2 {
		t.Errorf("over %s", got.Proto)
	}
	if got.Header.Get("Cookie") != "" || got.Header.Get("User-Agent") != "" {
		t.Errorf("it tells too much: %v", got.Header)
	}
	if h := c.Health()[0]; h.Server.String() != s.URL+"/dns-query?x=1" {
		t.Errorf("server %s", h.Server)
	}
}

func TestHTTPSRefusesWhatIsNoAnswer(t *testing.T) {
	other := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) {
		writeMsg(w, dnsfake.Answer(q, aRecord))
	})
	status := func(code int) func(http.ResponseWriter, *http.Request, *dns.Msg) {
		return func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) {
			b, _ := dnsfake.Answer(q, aRecord).Pack()
			w.Header().Set("Content-Type", "application/dns-message")
			w.Header().Set("Location", other.URL+"/dns-query")
			w.WriteHeader(code)
			w.Write(b)
		}
	}
	raw := func(typ string, body func(q *dns.Msg) []byte) func(http.ResponseWriter, *http.Request, *dns.Msg) {
		return func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) {
			w.Header()["Content-Type"] = []string{typ}
			w.Write(body(q))
		}
	}
	packed := func(change func(m *dns.Msg)) func(q *dns.Msg) []byte {
		return func(q *dns.Msg) []byte {
			m := dnsfake.Answer(q, aRecord)
			change(m)
			b, _ := m.Pack()
			return b
		}
	}
	whole := packed(func(*dns.Msg) {})
	const mt = "application/dns-message"
	tests := []struct {
		name string
		h    func(http.ResponseWriter, *http.Request, *dns.Msg)
		kind error
	}{
		{"DOH8484-3-01 307 redirect", status(307), dnssec.ErrUnreachable},
		{"DOH8484-3-01 301 redirect", status(301), dnssec.ErrUnreachable},
		{"DOH8484-4.2.1-01 500 with an answer", status(500), dnssec.ErrUnreachable},
		{"DOH8484-4.2.1-01 400", status(400), dnssec.ErrUnreachable},
		{"DOH8484-4.2.1-01 300", status(300), dnssec.ErrUnreachable},
		{"DOH8484-4.1-01 another media type", raw("text/html", whole), dnssec.ErrMalformed},
		{"DOH8484-4.1-01 JSON", raw("application/dns-json", whole), dnssec.ErrMalformed},
		{"DOH8484-4.1-01 no media type", raw("", whole), dnssec.ErrMalformed},
		{"another question", raw(mt, packed(func(m *dns.Msg) { m.Question[0].Name = "mx.example.com." })), dnssec.ErrMalformed},
		{"another id", raw(mt, packed(func(m *dns.Msg) { m.Id = 7 })), dnssec.ErrMalformed},
		{"truncated", raw(mt, packed(func(m *dns.Msg) { m.Truncated = true })), dnssec.ErrMalformed},
		{"cut off", raw(mt, func(q *dns.Msg) []byte { b := whole(q); return b[:len(b)-15] }), dnssec.ErrMalformed},
		{"empty", raw(mt, func(*dns.Msg) []byte { return nil }), dnssec.ErrMalformed},
		{"too long", raw(mt, func(q *dns.Msg) []byte { return append(whole(q), bytes.Repeat([]byte{0}, 65536)...) }), dnssec.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startDoH(t, tt.h)
			_, err := s.client(t, upstream.Config{}).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
			if !errors.Is(err, tt.kind) {
				t.Errorf("got %v", err)
			}
		})
	}
	if other.requests.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestHTTPSAcceptsWhatIsOne(t *testing.T) {
	for name, h := range map[string]func(w http.ResponseWriter, m *dns.Msg){
		"DOH8484-4.1-01 media type with a parameter": func(w http.ResponseWriter, m *dns.Msg) {
			b, _ := m.Pack()
			w.Header().Set("Content-Type", "Application/DNS-Message; x=y")
			w.Write(b)
		},
		"DOH8484-4.2.1-01 another 2xx": func(w http.ResponseWriter, m *dns.Msg) {
			b, _ := m.Pack()
			w.Header().Set("Content-Type", "application/dns-message")
			w.WriteHeader(203)
			w.Write(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) { h(w, dnsfake.Answer(q, aRecord)) })
			mustAnswer(t, s.client(t, upstream.Config{}))
		})
	}
	t.Run("the largest message", func(t *testing.T) {
		s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) {
			m := dnsfake.Answer(q)
			fill(m, 65535)
			writeMsg(w, m)
		})
		resp, err := s.client(t, upstream.Config{Timeout: 20 * time.Second}).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeTXT))
		if err != nil || len(resp.Message) != 65535 {
			t.Errorf("%d octets, %v", len(resp.Message), err)
		}
	})
	t.Run("DOH8484-4.2.1-01 the rcode inside counts", func(t *testing.T) {
		s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) {
			writeMsg(w, dnsfake.Rcode(q, dns.RcodeServerFailure, ""))
		})
		resp, err := s.client(t, upstream.Config{}).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
		if err != nil || resp.Message[3]&15 != dns.RcodeServerFailure {
			t.Errorf("%x %v", resp.Message, err)
		}
	})
}

func TestHTTPSAge(t *testing.T) {
	tests := []struct {
		age  string
		want uint32
	}{
		{"", 600}, {"0", 600}, {"250", 350}, {"600", 0}, {"601", 0}, {"99999999999", 0}, {"-1", 0}, {"x", 0}, {" 250 ", 350},
	}
	for _, tt := range tests {
		t.Run("DOH8484-5.1-01 Age "+tt.age, func(t *testing.T) {
			s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) {
				if tt.age != "" {
					w.Header()["Age"] = []string{tt.age}
				}
				m := dnsfake.Answer(q, "mx.example.org. 600 IN A 192.0.2.1")
				m.Ns = append(m.Ns, dnsfake.RR("example.org. 600 IN NS ns.example.org."))
				writeMsg(w, m)
			})
			resp, err := s.client(t, upstream.Config{}).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
			if err != nil {
				t.Fatal(err)
			}
			m := new(dns.Msg)
			if err := m.Unpack(resp.Message); err != nil {
				t.Fatal(err)
			}
			for _, rr := range append(m.Answer, m.Ns...) {
				if rr.Header().Ttl != tt.want {
					t.Errorf("TTL of %v, want %d", rr, tt.want)
				}
			}
			if o := m.IsEdns0(); o == nil || !o.Do() || o.UDPSize() != 1232 {
				t.Errorf("the OPT record was changed: %v", o)
			}
		})
	}
}

func TestHTTPSIdentity(t *testing.T) {
	for _, tt := range []struct {
		name  string
		trust bool
		host  string
		ok    bool
	}{
		{"name and anchor fit", true, "dns.example", true},
		{"unknown anchor", false, "dns.example", false},
		{"another name", true, "dns2.example", false},
	} {
		t.Run("DOT8310-6.6-01 "+tt.name, func(t *testing.T) {
			s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) {
				writeMsg(w, dnsfake.Answer(q, aRecord))
			})
			port := netip.MustParseAddrPort(s.Listener.Addr().String()).Port()
			srv, err := upstream.ParseServer(fmt.Sprintf("https://%s:%d/dns-query", tt.host, port))
			if err != nil {
				t.Fatal(err)
			}
			cfg := upstream.Config{Servers: []upstream.Server{srv}, Timeout: 20 * time.Second, Bootstrap: loopback}
			cfg.RootCAs = newAuthority().pool
			if tt.trust {
				cfg.RootCAs = s.ca.pool
			}
			resp, err := client(t, cfg).Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
			if (err == nil) != tt.ok || s.requests.Load() > 0 != tt.ok {
				t.Errorf("%v after %d requests", err, s.requests.Load())
			}
			if tt.ok {
				checkAnswer(t, resp)
			}
		})
	}
}

func TestHTTPSTogether(t *testing.T) {
	// 64 questions at once over one connection, answered when all are there.
	const n = 64
	var arrived atomic.Int32
	all := make(chan struct{})
	s := startDoH(t, func(w http.ResponseWriter, r *http.Request, q *dns.Msg) {
		if arrived.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
			return
		}
		writeMsg(w, dnsfake.Answer(q, aRecord))
	})
	c := s.client(t, upstream.Config{Timeout: 20 * time.Second})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { mustAnswer(t, c) })
	}
	wg.Wait()
}

func TestHTTPSOnly(t *testing.T) {
	t.Run("DOH8484-5-01", func(t *testing.T) {
		for _, s := range []string{"http://127.0.0.1/dns-query", "HTTP://127.0.0.1/dns-query", "ftp://127.0.0.1/"} {
			if srv, err := upstream.ParseServer(s); !errors.Is(err, upstream.ErrServer) || srv.IsValid() {
				t.Errorf("%s: %v", s, err)
			}
		}
	})
}

func TestServerCloses(t *testing.T) {
	s := startDoH(t, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) { writeMsg(w, dnsfake.Answer(q, aRecord)) })
	c := s.client(t, upstream.Config{})
	for range 3 {
		mustAnswer(t, c)
		s.CloseClientConnections()
	}
	c.Close()
	if _, err := c.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA)); !errors.Is(err, upstream.ErrClosed) {
		t.Error(err)
	}
	if strings.Contains(s.URL, "http:") {
		t.Error("the test server speaks no TLS")
	}
}
