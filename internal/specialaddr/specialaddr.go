// Package specialaddr says which addresses a program may connect to that learns them from
// the DNS of others:
//
//	10.0.0.1 is private
//	64:ff9b::a00:1 is NAT64 and holds 10.0.0.1 is private
//
// The owner of a domain says in DNS to which address we connect, so without this check
// anybody could make us send requests into our own network (server-side request forgery).
// What is refused are the blocks of the IANA special-purpose address registries (RFC 6890,
// RFC 8190; testdata/README.md has their rows and where they are from), multicast, and
// everything outside the global unicast space that IANA hands out. Blocks that the
// registries call globally reachable, such as those of AS112, are refused, too: none of
// them is the address of a mail server.
//
// Some IPv6 blocks carry an IPv4 address inside: IPv4-mapped, NAT64, 6to4, Teredo.
// IPv4-mapped addresses are judged as the IPv4 address that they are. The other
// three are refused as such; where the operator allows the block (an IPv6-only
// sender behind NAT64 needs 64:ff9b::/96) the address inside must be allowed as well.
package specialaddr

import (
	"errors"
	"fmt"
	"net/netip"
)

// A special is one block of the registries.
type special struct {
	prefix netip.Prefix
	why    string
}

func specials(rows ...[2]string) []special {
	out := make([]special, len(rows))
	for i, r := range rows {
		out[i] = special{netip.MustParsePrefix(r[0]), r[1]}
	}
	return out
}

// special4 is the IANA IPv4 special-purpose registry, and multicast.
var special4 = specials(
	[2]string{"0.0.0.0/8", "this network"},
	[2]string{"10.0.0.0/8", "private"},
	[2]string{"100.64.0.0/10", "shared by carriers (CGNAT)"},
	[2]string{"127.0.0.0/8", "loopback"},
	[2]string{"169.254.0.0/16", "link-local"},
	[2]string{"172.16.0.0/12", "private"},
	[2]string{"192.0.0.0/24", "IETF protocol assignment"},
	[2]string{"192.0.2.0/24", "documentation"},
	[2]string{"192.31.196.0/24", "AS112"},
	[2]string{"192.52.193.0/24", "AMT"},
	[2]string{"192.88.99.0/24", "6to4 relay"},
	[2]string{"192.168.0.0/16", "private"},
	[2]string{"192.175.48.0/24", "AS112"},
	[2]string{"198.18.0.0/15", "benchmarking"},
	[2]string{"198.51.100.0/24", "documentation"},
	[2]string{"203.0.113.0/24", "documentation"},
	[2]string{"224.0.0.0/4", "multicast"},
	[2]string{"240.0.0.0/4", "reserved"},
)

// special6 is the part of the IANA IPv6 special-purpose registry that lies inside
// 2000::/3, and those blocks outside it whose name helps an operator.
var special6 = specials(
	[2]string{"::/128", "unspecified"},
	[2]string{"::1/128", "loopback"},
	[2]string{"64:ff9b::/96", "NAT64"},
	[2]string{"64:ff9b:1::/48", "local NAT64"},
	[2]string{"100::/64", "discard-only"},
	[2]string{"100:0:0:1::/64", "dummy prefix"},
	[2]string{"2001::/32", "Teredo"},
	[2]string{"2001::/23", "IETF protocol assignment"},
	[2]string{"2001:db8::/32", "documentation"},
	[2]string{"2002::/16", "6to4"},
	[2]string{"2620:4f:8000::/48", "AS112"},
	[2]string{"3fff::/20", "documentation"},
	[2]string{"5f00::/16", "segment routing"},
	[2]string{"fc00::/7", "unique local"},
	[2]string{"fe80::/10", "link-local"},
	[2]string{"fec0::/10", "site-local"},
	[2]string{"ff00::/8", "multicast"},
)

// globalUnicast6 is the IPv6 space that IANA hands out as global unicast.
var globalUnicast6 = netip.MustParsePrefix("2000::/3")

// Rules say which addresses may be connected to beyond what is built in. The zero Rules
// allow public addresses.
type Rules struct {
	Allow []netip.Prefix // special-purpose ones that are allowed
	Deny  []netip.Prefix // refused, whatever is allowed
	NAT64 []netip.Prefix // of translators: the IPv4 address inside is vetted too
}

// Vet reports why a may not be connected to, nil if it may. An address in one of the
// allowed prefixes may be special; one that it carries inside is vetted too.
func (r Rules) Vet(a netip.Addr) error {
	if !a.IsValid() {
		return errors.New("no address")
	}
	if a.Zone() != "" {
		return fmt.Errorf("%s has a zone", a)
	}
	a = a.Unmap()
	for _, p := range r.Deny {
		if p.Contains(a) {
			return fmt.Errorf("%s is in the denied prefix %s", a, p)
		}
	}
	for _, p := range r.NAT64 {
		if p.Contains(a) {
			if err := r.Vet(Embedded(a, p.Bits())); err != nil {
				return fmt.Errorf("%s is in the NAT64 prefix %s of this network and holds %w", a, p, err)
			}
		}
	}
	why := purpose(a)
	if why == "" {
		return nil
	}
	for _, p := range r.Allow {
		if !p.Contains(a) {
			continue
		}
		if in, ok := inner(a); ok {
			if err := r.Vet(in); err != nil {
				return fmt.Errorf("%s is %s and holds %w", a, why, err)
			}
		}
		return nil
	}
	return fmt.Errorf("%s is %s", a, why)
}

// Purpose says what an address is set aside for by the IANA special-purpose
// registries (RFC 6890): "loopback", "private"; "" for one that the whole Internet reaches.
func Purpose(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return purpose(a.Unmap())
}

// purpose says what a, not IPv4-mapped, is set aside for; "" for a plain
// global unicast address.
func purpose(a netip.Addr) string {
	table := special6
	if a.Is4() {
		table = special4
	}
	for _, s := range table {
		if s.prefix.Contains(a) {
			return s.why
		}
	}
	if a.Is6() && !globalUnicast6.Contains(a) {
		return "not global unicast"
	}
	return ""
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// inner returns the IPv4 address that a carries: NAT64 (RFC 6052; in the local block
// of RFC 8215 taken to be a /96 prefix, as is usual), 6to4 (RFC 3056), Teredo (RFC
// 4380, the client's address, inverted).
func inner(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case nat64.Contains(a), nat64Local.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case teredo.Contains(a):
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return netip.Addr{}, false
}

// Embedded returns the IPv4 address in a, after a NAT64 prefix of that length (RFC 6052
// section 2.2): bits 64 to 71 are passed over.
func Embedded(a netip.Addr, length int) netip.Addr {
	b := a.As16()
	var out [4]byte
	at := length / 8
	for i := range out {
		if at == 8 && length != 96 {
			at++
		}
		out[i] = b[at]
		at++
	}
	return netip.AddrFrom4(out)
}
