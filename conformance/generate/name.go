package generate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// up cuts the first label off; the root's parent is the root.
func up(name string) string {
	_, rest, found := strings.Cut(name, ".")
	if !found || rest == "" {
		return "."
	}
	return rest
}

// join puts labels in front of a name.
func join(labels, name string) string {
	if labels == "" {
		return name
	}
	return labels + "." + strings.TrimPrefix(name, ".")
}

// ranked is a text that sorts as the name does canonically (RFC 4034 section 6.1):
// its labels from the last on, in hex, which is above what ends a label.
func ranked(name string) string {
	wire := make([]byte, 256)
	n, err := dns.PackDomainName(strings.ToLower(name), wire, 0, nil, false)
	if err != nil {
		panic(err) // a fault of this package
	}
	var labels []string
	for at := 0; at < n && wire[at] != 0; at += 1 + int(wire[at]) {
		labels = append(labels, fmt.Sprintf("%x!", wire[at+1:at+1+int(wire[at])]))
	}
	slices.Reverse(labels)
	return strings.Join(labels, "")
}

// cased is the name with every second letter in upper case.
func cased(name string) string {
	b := []byte(name)
	for i := 0; i < len(b); i += 2 {
		b[i] = strings.ToUpper(name)[i]
	}
	return string(b)
}

// mapNames copies a record with its names changed: owner, and names in the data.
func mapNames(rr dns.RR, change func(string) string) dns.RR {
	out := dns.Copy(rr)
	names := []*string{&out.Header().Name}
	switch r := out.(type) {
	case *dns.CNAME:
		names = append(names, &r.Target)
	case *dns.DNAME:
		names = append(names, &r.Target)
	case *dns.MX:
		names = append(names, &r.Mx)
	case *dns.NS:
		names = append(names, &r.Ns)
	case *dns.SOA:
		names = append(names, &r.Ns, &r.Mbox)
	case *dns.NSEC:
		names = append(names, &r.NextDomain)
	case *dns.RRSIG:
		names = append(names, &r.SignerName)
	}
	for _, n := range names {
		*n = change(*n)
	}
	return out
}

// ancestors are the names from below apex down to name.
func ancestors(name, apex string) (out []string) {
	for n := name; n != apex; n = up(n) {
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}
