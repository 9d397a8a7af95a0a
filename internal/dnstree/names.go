// Package dnstree makes signed DNS zones for tests: keys, signatures, and the NSEC and
// NSEC3 records that deny what is not there.
//
//	key, err := dnstree.NewKey("example.org.", dns.ECDSAP256SHA256, 257, 0)
//	sig, err := key.Sign("example.org.", rrset, from, until)
//
//	d := dnstree.Denial{Apex: "example.org.", NSEC3: true, TTL: 300}
//	chain := d.Chain(map[string][]uint16{"example.org.": {dns.TypeSOA, dns.TypeNS}})
//	proof := dnstree.Prover{Denial: d, Find: chain.Find, Exists: exists}.Name("nothing.example.org.")
//
// What a zone holds, which of its answers are wrong, and what a validator has to make of
// them is the business of who uses it: the lab, the generator of trees and the tests of the
// validator. Names are fully qualified and in lower case.
package dnstree

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Parent cuts the first label off; the root's parent is the root.
func Parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end || name == "." {
		return "."
	}
	return name[i:]
}

// Join puts labels in front of a name.
func Join(labels, name string) string {
	if labels == "" {
		return name
	}
	return labels + "." + strings.TrimPrefix(name, ".")
}

// Ancestors lists the names from below apex down to name.
func Ancestors(name, apex string) (out []string) {
	for n := name; n != apex; n = Parent(n) {
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}

// rank is a text that sorts as the name does canonically (RFC 4034 section 6.1): its
// labels from the last on, in hex, which is above what ends a label.
func rank(name string) string {
	wire := make([]byte, 256)
	n, err := dns.PackDomainName(strings.ToLower(name), wire, 0, nil, false)
	if err != nil {
		panic(err) // a fault of the test
	}
	var labels []string
	for at := 0; at < n && wire[at] != 0; at += 1 + int(wire[at]) {
		labels = append(labels, hex.EncodeToString(wire[at+1:at+1+int(wire[at])])+"!")
	}
	slices.Reverse(labels)
	return strings.Join(labels, "")
}
