package upstream_test

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/rfc6125"
)

// authentic answers with AD set.
func authentic(r *dnsfake.Request) {
	m := dnsfake.Answer(r.Msg, aRecord)
	m.AuthenticatedData = true
	r.Reply(m)
}

// TestStubOverTransports puts the AD-trusting stub on the real transports: AD counts where
// no one but the server could have set it.
func TestStubOverTransports(t *testing.T) {
	ca := newAuthority()
	n, err := rfc6125.ParseName("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	q := dnssec.Question{Name: n, Type: dnssec.TypeA}
	dotServer := func(t *testing.T, names ...string) *dnsfake.Server {
		return dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.serverCert("", names, nil)}}, authentic)
	}
	t.Run("DOT8310-5-01 a DoT server that proves its name", func(t *testing.T) {
		s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: dot(t, dotServer(t, "dns.example"), "tls://%s#dns.example", upstream.Config{RootCAs: ca.pool})})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.Resolve(t.Context(), q); err != nil || a.Status != dnssec.Secure {
			t.Errorf("%v %v", a.Status, err)
		}
	})
	t.Run("DOT8310-5-01 one that does not says nothing at all", func(t *testing.T) {
		s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: dot(t, dotServer(t, "other.example"), "tls://%s#dns.example", upstream.Config{RootCAs: ca.pool, Timeout: 20 * time.Second})})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.Resolve(t.Context(), q); !errors.Is(err, dnssec.ErrUnreachable) || a.Status != dnssec.Indeterminate {
			t.Errorf("%v %v", a.Status, err)
		}
	})
	t.Run("TLSA6698-4.1-03 plain DNS from this host", func(t *testing.T) {
		s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: client(t, upstream.Config{}, dnsfake.Start(t, authentic))})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.Resolve(t.Context(), q); err != nil || a.Status != dnssec.Secure {
			t.Errorf("%v %v", a.Status, err)
		}
	})
	for _, servers := range [][]string{{"192.0.2.1"}, {"127.0.0.1", "192.0.2.1"}, {"tls://192.0.2.1#dns.example", "192.0.2.1"}} {
		t.Run("DNSSEC4035-4.6-02 plain DNS from elsewhere "+servers[0], func(t *testing.T) {
			var cfg upstream.Config
			for _, s := range servers {
				srv, err := upstream.ParseServer(s)
				if err != nil {
					t.Fatal(err)
				}
				cfg.Servers = append(cfg.Servers, srv)
			}
			if _, err := dnssec.NewStub(dnssec.StubConfig{Upstream: client(t, cfg)}); !errors.Is(err, dnssec.ErrUnprotectedPath) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("timeouts are timeouts", func(t *testing.T) {
		s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: client(t, upstream.Config{Timeout: 50 * time.Millisecond}, dnsfake.Start(t, func(*dnsfake.Request) {}))})
		if err != nil {
			t.Fatal(err)
		}
		var le *dnssec.LookupError
		if _, err := s.Resolve(t.Context(), q); !errors.As(err, &le) || !errors.Is(err, dnssec.ErrTimeout) || errors.Is(err, dnssec.ErrUnreachable) || le.Reason.Code != dnssec.ReasonTimeout {
			t.Errorf("got %v", err)
		}
	})
	t.Run("EDNS6891-6.2.2-01 a server that does not know EDNS", func(t *testing.T) {
		var plain atomic.Bool
		srv := dnsfake.Start(t, func(r *dnsfake.Request) {
			if r.Msg.IsEdns0() == nil {
				plain.Store(true)
			}
			m := dnsfake.Rcode(r.Msg, dns.RcodeFormatError, "")
			m.Extra = nil
			r.Reply(m)
		})
		s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: client(t, upstream.Config{}, srv)})
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Resolve(t.Context(), q)
		if !errors.Is(err, dnssec.ErrRefused) || a.Status != dnssec.Indeterminate || plain.Load() {
			t.Errorf("%v %v, asked without EDNS: %v", a.Status, err, plain.Load())
		}
	})
}
