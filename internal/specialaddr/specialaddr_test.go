package specialaddr_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/internal/specialaddr"
)

func vet(a netip.Addr, allow ...netip.Prefix) error { return specialaddr.Rules{Allow: allow}.Vet(a) }

// TestRegistries: no address of a block of the IANA registries is public, nor is the same
// address written in another way.
func TestRegistries(t *testing.T) {
	for name, want := range map[string]int{"iana-ipv4-special-registry.tsv": 26, "iana-ipv6-special-registry.tsv": 25} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		blocks := 0
		seen := map[netip.Prefix]bool{}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			f := strings.Split(strings.TrimSpace(line), "\t")
			p, err := netip.ParsePrefix(f[0])
			if err != nil || len(f) != 4 || p != p.Masked() {
				t.Fatalf("%s: %q: %v", name, line, err)
			}
			if !regexp.MustCompile(`^(True|False|N/A|terminated \d{4}-\d\d)$`).MatchString(f[3]) || !regexp.MustCompile(`^RFC \d+$`).MatchString(f[2]) {
				t.Errorf("%s: %q", name, line)
			}
			if seen[p] {
				t.Errorf("%s: %s comes twice", name, p)
			}
			seen[p] = true
			blocks++
			last := lastOf(p)
			a := p.Addr()
			if f[1] == "IPv4-mapped Address" { // judged as the address that it holds
				a = netip.MustParseAddr("::ffff:127.0.0.1")
				last = a
			}
			for _, a := range []netip.Addr{a, last} {
				if err := vet(a); err == nil || specialaddr.Purpose(a) == "" {
					t.Errorf("%s: %s of %s (%s) counts as public", name, a, p, f[1])
				}
			}
			if a.Is4() && vet(netip.AddrFrom16(a.As16())) == nil {
				t.Errorf("%s: %s counts as public where it is mapped into IPv6", name, p)
			}
		}
		if blocks != want {
			t.Errorf("%s has %d blocks, want %d", name, blocks, want)
		}
	}
}

// lastOf is the last address of a block.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// TestVetAddresses: the first and last address of every block, and its neighbours.
func TestVetAddresses(t *testing.T) {
	for _, c := range []struct{ first, last, why string }{
		{"0.0.0.0", "0.255.255.255", "this network"},
		{"10.0.0.0", "10.255.255.255", "private"},
		{"100.64.0.0", "100.127.255.255", "CGNAT"},
		{"127.0.0.0", "127.255.255.255", "loopback"},
		{"169.254.0.0", "169.254.255.255", "link-local"},
		{"172.16.0.0", "172.31.255.255", "private"},
		{"192.0.0.0", "192.0.0.255", "IETF"},
		{"192.0.2.0", "192.0.2.255", "documentation"},
		{"192.31.196.0", "192.31.196.255", "AS112"},
		{"192.52.193.0", "192.52.193.255", "AMT"},
		{"192.88.99.0", "192.88.99.255", "6to4"},
		{"192.168.0.0", "192.168.255.255", "private"},
		{"192.175.48.0", "192.175.48.255", "AS112"},
		{"198.18.0.0", "198.19.255.255", "benchmarking"},
		{"198.51.100.0", "198.51.100.255", "documentation"},
		{"203.0.113.0", "203.0.113.255", "documentation"},
		{"224.0.0.0", "239.255.255.255", "multicast"},
		{"240.0.0.0", "255.255.255.255", "reserved"},
		{"::", "::", "unspecified"},
		{"::1", "::1", "loopback"},
		{"::2", "::fffe:ffff:ffff", "not global unicast"},
		{"64:ff9b::", "64:ff9b::ffff:ffff", "NAT64"},
		{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64"},
		{"100::", "100::ffff:ffff:ffff:ffff", "discard"},
		{"100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", "dummy"},
		{"100:0:0:2::", "1ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"},
		{"1000::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"},
		{"2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"},
		{"2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "IETF"},
		{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
		{"2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"},
		{"2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112"},
		{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
		{"4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"},
		{"5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "segment routing"},
		{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local"},
		{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"},
		{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"},
		{"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"},
		{"::ffff:127.0.0.0", "::ffff:127.255.255.255", "loopback"},
		{"::ffff:10.0.0.0", "::ffff:10.0.0.0", "private"},
	} {
		for _, a := range []string{c.first, c.last} {
			if err := vet(netip.MustParseAddr(a)); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%s: %v, want %q", a, err, c.why)
			}
		}
	}
	for _, a := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"191.255.255.255", "192.0.1.0", "192.0.3.0", "192.31.195.255", "192.31.197.0", "192.52.192.255", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "192.175.47.255",
		"198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "::ffff:9.9.9.9",
		"2000::", "2001:200::1", "2001:db7:ffff::", "2001:db9::", "2003::", "2620:4f:7fff::", "2620:4f:8001::", "3ffe::", "3fff:1000::",
	} {
		if err := vet(netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if vet(netip.Addr{}) == nil || vet(netip.MustParseAddr("2620:fe::1%eth0")) == nil {
		t.Error("no address, or one with a zone, is allowed")
	}
}

// TestVetAllowed: what the operator allows, and what hides inside it.
func TestVetAllowed(t *testing.T) {
	pre := netip.MustParsePrefix
	for _, c := range []struct {
		addr  string
		allow []netip.Prefix
		ok    bool
	}{
		{"127.0.0.1", []netip.Prefix{pre("127.0.0.0/8")}, true},
		{"::ffff:127.0.0.1", []netip.Prefix{pre("127.0.0.0/8")}, true},
		{"127.0.0.1", []netip.Prefix{pre("127.0.0.0/31"), pre("10.0.0.0/8")}, true},
		{"127.0.0.2", []netip.Prefix{pre("127.0.0.0/31")}, false},
		{"10.0.0.1", []netip.Prefix{pre("127.0.0.0/8")}, false},
		{"64:ff9b::909:909", []netip.Prefix{pre("64:ff9b::/96")}, true},
		{"64:ff9b::7f00:1", []netip.Prefix{pre("64:ff9b::/96")}, false},
		{"64:ff9b::7f00:1", []netip.Prefix{pre("64:ff9b::/96"), pre("127.0.0.0/8")}, true},
		{"64:ff9b:1::a00:1", []netip.Prefix{pre("64:ff9b:1::/48")}, false},
		{"64:ff9b:1::909:909", []netip.Prefix{pre("64:ff9b:1::/48")}, true},
		{"2002:a00:1::1", []netip.Prefix{pre("2002::/16")}, false},
		{"2002:909:909::1", []netip.Prefix{pre("2002::/16")}, true},
		// A Teredo address holds the client's address inverted: 0x80ff:fffe is 127.0.0.1.
		{"2001:0:909:909:0:0:80ff:fffe", []netip.Prefix{pre("2001::/32")}, false},
		{"2001:0:909:909:0:0:f6f6:f6f6", []netip.Prefix{pre("2001::/32")}, true},
		{"fd00::1", []netip.Prefix{pre("fd00::/8")}, true},
	} {
		if err := vet(netip.MustParseAddr(c.addr), c.allow...); (err == nil) != c.ok {
			t.Errorf("%s with %v: %v", c.addr, c.allow, err)
		}
	}
}
