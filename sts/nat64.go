package sts

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/specialaddr"
	"github.com/mxauth/mxauth/rfc6125"
)

// A network that has IPv6 only reaches IPv4 hosts through a translator, NAT64, which owns
// a prefix: 2001:db8:64::/96 with 10.0.0.1 in the last four octets is 10.0.0.1 (RFC 6052).
// A policy host with such an address would so lead a fetch into the private network beyond
// the translator. The well-known prefix 64:ff9b::/96 is special-purpose. A network's own
// prefix looks like any other; RFC 7050 finds it by the AAAA records of ipv4only.arpa,
// which has two well-known IPv4 addresses and no IPv6 address of its own. The answers are
// not signed, so they may only refuse.
const (
	nat64Name = "ipv4only.arpa"
	// nat64Keep is how long what was found is used at most, and nat64Retry how long a
	// failure is.
	nat64Keep  = time.Hour
	nat64Retry = time.Minute
	// nat64Patience bounds the question; RFC 7050 asks for no particular time.
	nat64Patience = 5 * time.Second
	// maxNAT64 bounds the prefixes that an answer can add; networks have one or two.
	maxNAT64 = 16
)

// nat64Known are the addresses of ipv4only.arpa (RFC 7050 section 8.2).
var nat64Known = [...]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 0, 170}), netip.AddrFrom4([4]byte{192, 0, 0, 171})}

// nat64Lengths are the lengths of prefixes (RFC 6052 section 2.2), the longest first.
var nat64Lengths = [...]int{96, 64, 56, 48, 40, 32}

// nat64Prefixes returns the prefixes by which the addresses of ipv4only.arpa were
// translated (RFC 7050 section 3).
func nat64Prefixes(addrs []netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		if !a.Is6() || a.Is4In6() {
			continue
		}
		for _, n := range nat64Lengths {
			if !slices.Contains(nat64Known[:], specialaddr.Embedded(a, n)) {
				continue
			}
			if p := netip.PrefixFrom(a, n).Masked(); !slices.Contains(out, p) && len(out) < maxNAT64 {
				out = append(out, p)
			}
		}
	}
	return out
}

// A nat64Finder finds the NAT64 prefixes of the network.
type nat64Finder struct {
	resolver dnssec.Resolver

	mu       sync.Mutex // guards all below
	asking   chan struct{}
	until    time.Time
	prefixes []netip.Prefix
}

// find returns the prefixes. A failure leaves those found last.
func (f *nat64Finder) find(ctx context.Context) []netip.Prefix {
	f.mu.Lock()
	for f.asking != nil {
		wait := f.asking
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.prefixes
		}
		f.mu.Lock()
	}
	if time.Now().Before(f.until) {
		defer f.mu.Unlock()
		return f.prefixes
	}
	f.asking = make(chan struct{})
	f.mu.Unlock()

	actx, cancel := context.WithTimeout(ctx, nat64Patience)
	defer cancel()
	start := time.Now()
	a, err := f.resolver.Resolve(actx, dnssec.Question{Name: nat64Question, Type: dnssec.TypeAAAA})

	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.asking)
	f.asking = nil
	switch {
	case err != nil && ctx.Err() != nil:
	case err != nil:
		f.until = start.Add(nat64Retry)
	default:
		var addrs []netip.Addr
		for _, r := range a.Records {
			addrs = append(addrs, r.Addr())
		}
		f.prefixes = nat64Prefixes(addrs)
		f.until = start.Add(max(nat64Retry, min(nat64Keep, a.Expires.Sub(a.Received))))
	}
	return f.prefixes
}

var nat64Question = func() rfc6125.Name {
	n, err := rfc6125.ParseName(nat64Name)
	if err != nil {
		panic(err) // a constant
	}
	return n
}()
