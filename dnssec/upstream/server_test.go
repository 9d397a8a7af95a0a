package upstream_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec/upstream"
)

// loopback is a Bootstrap for every name.
func loopback(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func TestParseServer(t *testing.T) {
	p := base64.StdEncoding.EncodeToString(make([]byte, 32))
	tests := []struct {
		in, out       string
		proto         upstream.Protocol
		addr          string
		loopback, tls bool
	}{
		{"127.0.0.1", "127.0.0.1:53", upstream.Plain, "127.0.0.1:53", true, false},
		{"127.0.0.1:5300", "127.0.0.1:5300", upstream.Plain, "127.0.0.1:5300", true, false},
		{"127.1.2.3", "127.1.2.3:53", upstream.Plain, "127.1.2.3:53", true, false},
		{"192.0.2.1", "192.0.2.1:53", upstream.Plain, "192.0.2.1:53", false, false},
		{"::1", "[::1]:53", upstream.Plain, "[::1]:53", true, false},
		{"[::1]", "[::1]:53", upstream.Plain, "[::1]:53", true, false},
		{"[2001:db8::1]:5353", "[2001:db8::1]:5353", upstream.Plain, "[2001:db8::1]:5353", false, false},
		{"::ffff:127.0.0.1", "127.0.0.1:53", upstream.Plain, "127.0.0.1:53", true, false},
		{"fe80::1%eth0", "[fe80::1%eth0]:53", upstream.Plain, "[fe80::1%eth0]:53", false, false},
		{"fe80::1%AaZz-0.9_", "[fe80::1%AaZz-0.9_]:53", upstream.Plain, "[fe80::1%AaZz-0.9_]:53", false, false},
		{"[fe80::1%eth0]:54", "[fe80::1%eth0]:54", upstream.Plain, "[fe80::1%eth0]:54", false, false},
		{"tls://192.0.2.1", "tls://192.0.2.1", upstream.TLS, "192.0.2.1:853", false, true},
		{"tls://192.0.2.1/", "tls://192.0.2.1", upstream.TLS, "192.0.2.1:853", false, true},
		{"tls://192.0.2.1:8853#DNS.example.", "tls://192.0.2.1:8853#dns.example", upstream.TLS, "192.0.2.1:8853", false, true},
		{"tls://[2001:db8::1]#dns.example", "tls://[2001:db8::1]#dns.example", upstream.TLS, "[2001:db8::1]:853", false, true},
		{"tls://2001:db8::1", "tls://[2001:db8::1]", upstream.TLS, "[2001:db8::1]:853", false, true},
		{"tls://127.0.0.1?pin=" + p, "tls://127.0.0.1", upstream.TLS, "127.0.0.1:853", true, true},
		{"tls://127.0.0.1?pin=" + p + "&pin=" + p + "#dns.example", "tls://127.0.0.1#dns.example", upstream.TLS, "127.0.0.1:853", true, true},
		{"tls://dns.example", "tls://dns.example", upstream.TLS, "", false, true},
		{"tls://dns.example:8853", "tls://dns.example:8853", upstream.TLS, "", false, true},
		{"tls://dns.example#dns.example", "tls://dns.example", upstream.TLS, "", false, true},
		{"https://dns.example/dns-query", "https://dns.example/dns-query", upstream.HTTPS, "", false, true},
		{"https://dns.example:8443/dns-query?x=1", "https://dns.example:8443/dns-query?x=1", upstream.HTTPS, "", false, true},
		{"https://192.0.2.1/q", "https://192.0.2.1/q", upstream.HTTPS, "192.0.2.1:443", false, true},
		{"https://[2001:db8::1]:444/q", "https://[2001:db8::1]:444/q", upstream.HTTPS, "[2001:db8::1]:444", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			s, err := upstream.ParseServer(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if s.String() != tt.out || s.Protocol() != tt.proto || !s.IsValid() || s.IsLoopback() != tt.loopback || s.IsAuthenticated() != tt.tls {
				t.Errorf("%s: %q %v loopback %v authenticated %v", tt.in, s, s.Protocol(), s.IsLoopback(), s.IsAuthenticated())
			}
			if tt.addr == "" && s.Addr().IsValid() || tt.addr != "" && s.Addr().String() != tt.addr {
				t.Errorf("address %v", s.Addr())
			}
			if again, err := upstream.ParseServer(s.String()); err != nil || again.String() != s.String() || (again != s && !strings.Contains(tt.in, "pin=")) {
				t.Errorf("printed as %q, which reads as %q (%v)", s, again, err)
			}
			if b, err := s.MarshalText(); err != nil || string(b) != tt.out {
				t.Errorf("%s %v", b, err)
			}
		})
	}
	for _, in := range []string{
		"fe80::1%a@b", "fe80::1%a[b", "fe80::1%a`b", "fe80::1%a{b", "fe80::1%a/b", "[fe80::1%a:b]:53",
		"", "dns.example", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "1.2.3", ":53", "[::1", "udp://127.0.0.1", "http://127.0.0.1/dns-query",
		"tls://", "tls://192.0.2.1:0", "tls://192.0.2.1:53", "tls://192.0.2.1:99999", "tls://a..b", "tls://192.0.2.1#", "tls://192.0.2.1#a b",
		"tls://192.0.2.1#192.0.2.1", "tls://dns.example#other.example",
		"tls://192.0.2.1?pin=", "tls://192.0.2.1?pin=AAAA", "tls://192.0.2.1?pin=%%%", "tls://192.0.2.1?p=" + p, "tls://192.0.2.1?" + p,
		"https://", "https:///dns-query", "https://dns.example", "https://u:p@dns.example/q", "https://dns.example/q#f", "https://a..b/q", "https://dns.example:0/q", "https://dns.example:x/q", "https://%zz/q",
	} {
		s, err := upstream.ParseServer(in)
		if !errors.Is(err, upstream.ErrServer) || s != (upstream.Server{}) {
			t.Errorf("%q: %v, %v", in, s, err)
		}
	}
	if _, err := upstream.ParseServer("udp://127.0.0.1"); err == nil || !strings.Contains(err.Error(), "scheme") {
		t.Errorf("got %v", err)
	}
	var zero upstream.Server
	if zero.IsValid() || zero.String() != "" || zero.Protocol().String() != "none" || zero.IsLoopback() || zero.IsAuthenticated() {
		t.Error("the zero Server is something")
	}
	if _, err := upstream.ParseServer(strings.Repeat("x", 1000)); err == nil || len(err.Error()) > 300 {
		t.Errorf("a long error: %v", err)
	}
	if _, err := upstream.PlainServer(netip.AddrPort{}); !errors.Is(err, upstream.ErrServer) {
		t.Error(err)
	}
	if s, err := upstream.PlainServer(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 0)); err != nil || s.String() != "192.0.2.1:53" {
		t.Errorf("%v %v", s, err)
	}
	for p, want := range map[upstream.Protocol]string{upstream.Plain: "dns", upstream.TLS: "tls", upstream.HTTPS: "https"} {
		if p.String() != want {
			t.Errorf("%v", p)
		}
	}
}

func TestNew(t *testing.T) {
	_, err := upstream.New(upstream.Config{Timeout: -1})
	if err == nil || !strings.Contains(err.Error(), "no servers") || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
	if _, err := upstream.New(upstream.Config{Servers: make([]upstream.Server, 1)}); err == nil {
		t.Error("the zero Server was taken")
	}
	parse := func(ss ...string) (out []upstream.Server) {
		for _, s := range ss {
			srv, err := upstream.ParseServer(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, srv)
		}
		return out
	}
	for _, tt := range []struct {
		servers []upstream.Server
		want    bool
	}{
		{parse("127.0.0.1"), true},
		{parse("::1", "127.0.0.53"), true},
		{parse("192.0.2.1"), false},
		{parse("127.0.0.1", "192.0.2.1"), false},
		{parse("tls://192.0.2.1#dns.example"), true},
		{parse("https://dns.example/dns-query", "127.0.0.1"), true},
	} {
		c := client(t, upstream.Config{Servers: tt.servers})
		if c.ProtectedPath() != tt.want || len(c.Servers()) != len(tt.servers) || c.Servers()[0] != tt.servers[0] {
			t.Errorf("%v: %v", tt.servers, c.ProtectedPath())
		}
	}
}

func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"127.0.0.1:53", "tls://192.0.2.1:853?pin=AAAA#dns.example", "https://dns.example/dns-query", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := upstream.ParseServer(in)
		if err != nil {
			if s != (upstream.Server{}) || !errors.Is(err, upstream.ErrServer) {
				t.Errorf("%q: %v with %v", in, s, err)
			}
			return
		}
		if strings.Contains(in, "pin=") {
			return // pins are not printed
		}
		again, err := upstream.ParseServer(s.String())
		if err != nil || again != s {
			t.Errorf("%q prints as %q, which reads as %q (%v)", in, s, again, err)
		}
	})
}
