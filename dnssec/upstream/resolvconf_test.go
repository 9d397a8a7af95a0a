package upstream_test

import (
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/dnssec/upstream"
)

func TestResolvConf(t *testing.T) {
	ap := func(ss ...string) (out []netip.AddrPort) {
		for _, s := range ss {
			out = append(out, netip.AddrPortFrom(netip.MustParseAddr(s), 53))
		}
		return out
	}
	tests := []struct {
		name, text string
		want       upstream.SystemConfig
	}{
		{"empty", "", upstream.SystemConfig{Servers: ap("127.0.0.1")}},
		{"one", "nameserver 192.0.2.53\n", upstream.SystemConfig{Servers: ap("192.0.2.53")}},
		{"no newline at the end", "nameserver 192.0.2.53", upstream.SystemConfig{Servers: ap("192.0.2.53")}},
		{"several, in order", "nameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver 127.0.0.1\n", upstream.SystemConfig{Servers: ap("192.0.2.53", "2001:db8::53", "127.0.0.1")}},
		{"a fourth is ignored by everyone", "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n", upstream.SystemConfig{Servers: ap("192.0.2.1", "192.0.2.2", "192.0.2.3")}},
		{"link-local with zone", "nameserver fe80::1%eth0\n", upstream.SystemConfig{Servers: ap("fe80::1%eth0")}},
		{"mapped", "nameserver ::ffff:192.0.2.53\n", upstream.SystemConfig{Servers: ap("192.0.2.53")}},
		{"comments and other lines", "# nameserver 192.0.2.1\n; nameserver 192.0.2.2\nsearch example.org\ndomain x\nsortlist 1.2.3.4\noptions edns0 ndots:5 timeout:1 rotate\nnameserver 192.0.2.53 # ours\n", upstream.SystemConfig{Servers: ap("192.0.2.53")}},
		{"trust-ad", "nameserver 192.0.2.53\noptions edns0 trust-ad\n", upstream.SystemConfig{Servers: ap("192.0.2.53"), TrustAD: true}},
		{"trust-ad stays", "options trust-ad\noptions ndots:1\n", upstream.SystemConfig{Servers: ap("127.0.0.1"), TrustAD: true}},
		{"systemd-resolved", "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n", upstream.SystemConfig{Servers: ap("127.0.0.53"), TrustAD: true, Stub: true}},
		{"systemd-resolved's proxy", "nameserver 127.0.0.54\n", upstream.SystemConfig{Servers: ap("127.0.0.54"), Stub: true}},
		{"systemd-resolved and another", "nameserver 127.0.0.53\nnameserver 192.0.2.1\n", upstream.SystemConfig{Servers: ap("127.0.0.53", "192.0.2.1")}},
		{"Docker", "nameserver 127.0.0.11\noptions ndots:0\n", upstream.SystemConfig{Servers: ap("127.0.0.11")}},
		{"not an address", "nameserver dns.example\x1b\nnameserver\nnameserver 192.0.2.53\n", upstream.SystemConfig{Servers: ap("192.0.2.53"), Ignored: []string{`nameserver dns.example\x1b`, "nameserver"}}},
		{"nothing but rubbish", "nameserver x\nnameserver y\nnameserver z\nnameserver w\n", upstream.SystemConfig{Servers: ap("127.0.0.1"), Ignored: []string{"nameserver x", "nameserver y", "nameserver z"}}},
		{"white space", "\tnameserver\t192.0.2.53\t\r\n \n", upstream.SystemConfig{Servers: ap("192.0.2.53")}},
		{"a longer word", "nameservers 192.0.2.53\n", upstream.SystemConfig{Servers: ap("127.0.0.1")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := upstream.ParseResolvConf(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
				t.Error(d)
			}
			file := filepath.Join(t.TempDir(), "resolv.conf")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err = upstream.SystemServers(file)
			if d := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" || err != nil {
				t.Error(d, err)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		got, err := upstream.SystemServers(filepath.Join(t.TempDir(), "none"))
		if err != nil || !got.Missing || len(got.Servers) != 1 || got.Servers[0] != netip.MustParseAddrPort("127.0.0.1:53") {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("the host's own", func(t *testing.T) {
		a, errA := upstream.SystemServers("")
		b, errB := upstream.SystemServers(upstream.ResolvConfPath)
		if d := cmp.Diff(a, b, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" || (errA == nil) != (errB == nil) || len(a.Servers) == 0 && errA == nil {
			t.Error(d, errA, errB)
		}
	})
	t.Run("a file that cannot be read", func(t *testing.T) {
		if got, err := upstream.SystemServers(t.TempDir()); err == nil || got.Servers != nil {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("a path below a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := upstream.SystemServers(filepath.Join(file, "resolv.conf"))
		var pe *fs.PathError
		if !errors.As(err, &pe) || pe.Op != "open" || got.Servers != nil || got.Missing {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("a line as long as all that is read", func(t *testing.T) {
		got, err := upstream.ParseResolvConf(strings.NewReader("#" + strings.Repeat("x", 64<<10-1)))
		if err != nil || len(got.Servers) != 1 {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("a reader that fails", func(t *testing.T) {
		if _, err := upstream.ParseResolvConf(io.MultiReader(strings.NewReader("nameserver 1.1.1.1\n"), failingReader{})); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
	t.Run("a huge file", func(t *testing.T) {
		got, err := upstream.ParseResolvConf(strings.NewReader("nameserver 192.0.2.53\n" + strings.Repeat("#", 1<<20)))
		if err != nil || got.Servers[0].Addr() != netip.MustParseAddr("192.0.2.53") {
			t.Errorf("%+v %v", got, err)
		}
	})
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver fe80::1%eth0\noptions trust-ad\n")
	f.Fuzz(func(t *testing.T, s string) {
		cfg, err := upstream.ParseResolvConf(strings.NewReader(s))
		if err != nil {
			return
		}
		if n := len(cfg.Servers); n < 1 || n > 3 || len(cfg.Ignored) > 3 {
			t.Errorf("%+v", cfg)
		}
		for _, a := range cfg.Servers {
			if !a.IsValid() || a.Port() != 53 {
				t.Errorf("%+v", cfg)
			}
		}
		for _, l := range cfg.Ignored {
			for _, c := range []byte(l) {
				if c < ' ' || c > '~' {
					t.Errorf("%q is not safe for a terminal", l)
				}
			}
		}
	})
}
