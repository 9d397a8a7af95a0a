package generate

import (
	"strings"

	"github.com/miekg/dns"
)

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
