package sts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
)

// rfc6052 are the examples of RFC 6052 section 2.4: 192.0.2.33 behind prefixes of each length.
var rfc6052 = map[string]string{
	"2001:db8::/32":           "2001:db8:c000:221::",
	"2001:db8:100::/40":       "2001:db8:1c0:2:21::",
	"2001:db8:122::/48":       "2001:db8:122:c000:2:2100::",
	"2001:db8:122:300::/56":   "2001:db8:122:3c0:0:221::",
	"2001:db8:122:344::/64":   "2001:db8:122:344:c0:2:2100::",
	"2001:db8:122:344::/96":   "2001:db8:122:344::192.0.2.33",
	"64:ff9b::/96":            "64:ff9b::192.0.2.33",
	"2001:db8:64:ff9b::/96":   "2001:db8:64:ff9b::192.0.2.33",
	"2001:db8:64:ff00::/56":   "2001:db8:64:ffc0:0:221::",
	"2001:db8:64:ffff::/64":   "2001:db8:64:ffff:c0:2:2100::",
	"2001:db8:ffff::/48":      "2001:db8:ffff:c000:2:2100::",
	"2001:db8:ff00::/40":      "2001:db8:ffc0:2:21::",
	"2a00:1450::/32":          "2a00:1450:c000:221::",
	"2a00:1450:4001:809::/64": "2a00:1450:4001:809:c0:2:2100::",
}

// translate puts an IPv4 address behind a prefix, octet by octet as RFC 6052 section 2.2
// draws it.
func translate(p netip.Prefix, v4 netip.Addr) netip.Addr {
	b, v := p.Addr().As16(), v4.As4()
	at := map[int][]int{32: {4, 5, 6, 7}, 40: {5, 6, 7, 9}, 48: {6, 7, 9, 10}, 56: {7, 9, 10, 11}, 64: {9, 10, 11, 12}, 96: {12, 13, 14, 15}}[p.Bits()]
	for i, n := range at {
		b[n] = v[i]
	}
	return netip.AddrFrom16(b)
}

// TestNAT64Prefixes: RFC 7050 section 3, for every length of RFC 6052.
func TestNAT64Prefixes(t *testing.T) {
	for text, want := range rfc6052 {
		p := netip.MustParsePrefix(text)
		if got := translate(p, netip.MustParseAddr("192.0.2.33")); got != netip.MustParseAddr(want) {
			t.Fatalf("%s: %s, want %s", p, got, want)
		}
		for _, known := range []string{"192.0.0.170", "192.0.0.171"} {
			if got := sts.NAT64Prefixes(translate(p, netip.MustParseAddr(known))); !slices.Equal(got, []netip.Prefix{p}) {
				t.Errorf("%s: found %v", p, got)
			}
		}
		both := []netip.Addr{translate(p, netip.MustParseAddr("192.0.0.170")), translate(p, netip.MustParseAddr("192.0.0.171"))}
		if got := sts.NAT64Prefixes(both...); !slices.Equal(got, []netip.Prefix{p}) {
			t.Errorf("%s: found %v", p, got)
		}
	}
	for _, none := range []string{"2a00::1", "::ffff:192.0.0.170", "192.0.0.170", "2a00::192.0.0.172"} {
		if got := sts.NAT64Prefixes(netip.MustParseAddr(none)); len(got) != 0 {
			t.Errorf("%s: found %v", none, got)
		}
	}
	var many []netip.Addr
	for i := range 100 {
		many = append(many, translate(netip.MustParsePrefix(fmt.Sprintf("2a00:%x::/96", i)), netip.MustParseAddr("192.0.0.170")))
	}
	if got := sts.NAT64Prefixes(many...); len(got) != 16 {
		t.Errorf("%d prefixes", len(got))
	}
	sts.NAT64Prefixes(netip.Addr{})
}

// TestVetRules: what is denied, and what lies behind a translator.
func TestVetRules(t *testing.T) {
	list := func(s string) (out []netip.Prefix) {
		for _, f := range strings.Fields(s) {
			out = append(out, netip.MustParsePrefix(f))
		}
		return out
	}
	for _, c := range []struct{ addr, allow, deny, nat64, why string }{
		{"9.9.9.9", "", "", "", ""},
		{"9.9.9.9", "", "9.9.9.0/24", "", "9.9.9.9 is in the denied prefix 9.9.9.0/24"},
		{"::ffff:9.9.9.9", "", "9.9.9.0/24", "", "denied"},
		{"10.0.0.1", "10.0.0.0/8", "10.0.0.0/24", "", "denied"},
		{"10.0.1.1", "10.0.0.0/8", "10.0.0.0/24", "", ""},
		{"2a00:64::a00:1", "", "", "", ""}, // not to be seen
		{"2a00:64::a00:1", "", "2a00:64::/96", "", "denied"},
		{"2a00:64::a00:1", "", "", "2a00:64::/96", "2a00:64::a00:1 is in the NAT64 prefix 2a00:64::/96 of this network and holds 10.0.0.1 is private"},
		{"2a00:64::7f00:1", "", "", "2a00:64::/96", "loopback"},
		{"2a00:64::a9fe:a9fe", "", "", "2a00:64::/96", "link-local"},
		{"2a00:64::909:909", "", "", "2a00:64::/96", ""},
		{"2a00:64::909:909", "", "9.9.9.9/32", "2a00:64::/96", "denied"},
		{"2a00:64::a00:1", "10.0.0.0/8", "", "2a00:64::/96", ""},
		{"2a00:65::a00:1", "", "", "2a00:64::/96", ""},
		{"64:ff9b::909:909", "64:ff9b::/96", "", "64:ff9b::/96", ""},
		{"64:ff9b::909:909", "", "", "64:ff9b::/96", "NAT64"}, // found out, and not allowed for that
		{"64:ff9b:1:a00:0:100::", "64:ff9b:1::/48", "", "64:ff9b:1::/48", "private"},
		{"64:ff9b::909:909", "64:ff9b::/96", "9.9.9.9/32", "", "denied"},
	} {
		err := sts.VetBy(netip.MustParseAddr(c.addr), list(c.allow), list(c.deny), list(c.nat64))
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s allow %q deny %q nat64 %q: %v, want %q", c.addr, c.allow, c.deny, c.nat64, err, c.why)
		}
	}
	for text := range rfc6052 {
		p := netip.MustParsePrefix(text)
		for _, private := range []string{"10.1.2.3", "127.0.0.1", "192.168.255.254", "169.254.169.254"} {
			a := translate(p, netip.MustParseAddr(private))
			if err := sts.VetBy(a, []netip.Prefix{p}, nil, []netip.Prefix{p}); err == nil {
				t.Errorf("%s behind %s is allowed", private, p)
			}
		}
		if err := sts.VetBy(translate(p, netip.MustParseAddr("9.9.9.9")), []netip.Prefix{p}, nil, []netip.Prefix{p}); err != nil {
			t.Error(err)
		}
	}
}

// TestNAT64 is the fetch in a network with a NAT64 prefix of its own.
func TestNAT64(t *testing.T) {
	inNetwork := func(t *testing.T, prefix string) *world {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.dns.Remove("mta-sts.example.org", dnssec.TypeA)
		if prefix != "" {
			w.dns.Add("ipv4only.arpa. 60 IN AAAA " + translate(netip.MustParsePrefix(prefix), netip.MustParseAddr("192.0.0.170")).String())
		}
		return w
	}
	asked := func(w *world) (n int) {
		for _, q := range w.dns.Asked() {
			if q.Name.String() == "ipv4only.arpa" {
				n++
			}
		}
		return n
	}
	ctx := context.Background()
	for _, prefix := range []string{"2a00:64::/96", "2a00:64:1::/48", "2a00:64:1:200::/56", "2a00:64::/32"} {
		for private, refused := range map[string]bool{"10.0.0.1": true, "9.9.9.10": false} {
			synctest.Test(t, func(t *testing.T) {
				w := inNetwork(t, prefix)
				a := translate(netip.MustParsePrefix(prefix), netip.MustParseAddr(private))
				w.dns.Add("mta-sts.example.org. 300 IN AAAA " + a.String())
				c := w.client()
				for range 3 {
					if _, err := c.Fetch(ctx, host("example.org")); errors.Is(err, sts.ErrFetchAddress) != refused || !refused && err != nil {
						t.Errorf("%s behind %s: %v", private, prefix, err)
					}
				}
				if n := asked(w); n != 1 {
					t.Errorf("asked %d times", n)
				}
				if refused != (len(w.attempts()) == 0) {
					t.Errorf("%d connections", len(w.attempts()))
				}
				time.Sleep(2 * time.Minute)
				c.Fetch(ctx, host("example.org"))
				if n := asked(w); n != 2 {
					t.Errorf("asked %d times after the end of the TTL", n)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // a question that fails refuses nothing, and delays little
		w := inNetwork(t, "")
		w.dns.Add("mta-sts.example.org. 300 IN AAAA 2a00:64::a00:1")
		release := w.dns.Hold("ipv4only.arpa", dnssec.TypeAAAA)
		c := w.client()
		start := time.Now()
		if _, err := c.Fetch(ctx, host("example.org")); err != nil || time.Since(start) > 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		release()
	})
	synctest.Test(t, func(t *testing.T) { // a question that failed is not asked again at once
		w := inNetwork(t, "")
		w.dns.Add("mta-sts.example.org. 300 IN AAAA 2a00:64::a00:1")
		w.dns.Hold("ipv4only.arpa", dnssec.TypeAAAA)
		c := w.client()
		for range 2 {
			if _, err := c.Fetch(ctx, host("example.org")); err != nil {
				t.Error(err)
			}
		}
		if n := asked(w); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a caller that leaves ends neither the question nor the wait of others
		w := inNetwork(t, "2a00:64::/96")
		w.dns.Add("mta-sts.example.org. 300 IN AAAA 2a00:64::a00:1")
		release := w.dns.Hold("ipv4only.arpa", dnssec.TypeAAAA)
		c := w.client()
		first := make(chan error)
		go func() {
			_, err := c.Fetch(ctx, host("example.org"))
			first <- err
		}()
		synctest.Wait()
		start := time.Now()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.Fetch(short, host("example.org")); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		release()
		if err := <-first; !errors.Is(err, sts.ErrFetchAddress) {
			t.Errorf("10.0.0.1 behind the prefix: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the next caller asks, if the one who asked has left
		w := inNetwork(t, "2a00:64::/96")
		w.dns.Add("mta-sts.example.org. 300 IN AAAA 2a00:64::a00:1")
		release := w.dns.Hold("ipv4only.arpa", dnssec.TypeAAAA)
		c := w.client()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.Fetch(short, host("example.org")); err == nil {
			t.Error("fetched without time")
		}
		release()
		if _, err := c.Fetch(ctx, host("example.org")); !errors.Is(err, sts.ErrFetchAddress) {
			t.Errorf("10.0.0.1 behind the prefix: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // another resolver is asked, and none where there is no IPv6 address
		w := inNetwork(t, "")
		w.dns.Add("mta-sts.example.org. 300 IN AAAA 2a00:64::a00:1")
		c := w.client(func(c *sts.Config) {
			c.NAT64 = inNetwork(t, "2a00:64::/96").dns
			c.Deny = []netip.Prefix{netip.MustParsePrefix("9.9.9.10/32")}
		})
		if _, err := c.Fetch(ctx, host("example.org")); !errors.Is(err, sts.ErrFetchAddress) {
			t.Error(err)
		}
		w.dns.Remove("mta-sts.example.org", dnssec.TypeAAAA)
		w.dns.Add("mta-sts.example.org. 300 IN A 9.9.9.10")
		if _, err := c.Fetch(ctx, host("example.org")); !errors.Is(err, sts.ErrFetchAddress) || !strings.Contains(err.Error(), "denied prefix") {
			t.Error(err)
		}
		if asked(w) != 0 {
			t.Error("the resolver of all else was asked")
		}
	})
}
