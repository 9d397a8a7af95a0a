// Package literal reads and prints the address literals of SMTP (RFC 5321 section 4.1.3):
//
//	[192.0.2.1]
//	[IPv6:2001:db8::1]
package literal

import (
	"net/netip"
	"strings"
)

// Parse reads the text between the brackets. An IPv6 address is accepted without its tag, as
// MTAs write it.
func Parse(s string) (netip.Addr, bool) {
	if tag, rest, ok := strings.Cut(s, ":"); ok && strings.EqualFold(tag, "IPv6") {
		a, err := netip.ParseAddr(rest)
		return a, err == nil && a.Is6() && a.Zone() == ""
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == ""
}

// String returns the literal of a, with its brackets.
func String(a netip.Addr) string {
	if a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}
