package replay

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/vectors/rpl"
)

// learnZones finds out which server holds which zone: the addresses where iteration
// starts hold the root, or what the option says, and the others what a referral sends
// to them.
func (r *recursor) learnZones(f *rpl.File) {
	addresses := map[string][]string{} // of name servers, each once
	learn := func(name, address string) {
		if !slices.Contains(addresses[name], address) {
			addresses[name] = append(addresses[name], address)
		}
	}
	for _, s := range r.servers {
		for _, e := range s.entries {
			for _, section := range [][]dns.RR{e.answer, e.authority, e.additional} {
				for _, rr := range section {
					name := dns.CanonicalName(rr.Header().Name)
					switch rr := rr.(type) {
					case *dns.A:
						learn(name, rr.A.String())
					case *dns.AAAA:
						learn(name, rr.AAAA.String())
					}
				}
			}
		}
	}
	add := func(address, zone string) (changed bool) {
		for i := range r.servers {
			if s := &r.servers[i]; s.address == address && !slices.Contains(s.zones, zone) {
				s.zones = append(s.zones, zone)
				changed = true
			}
		}
		return changed
	}
	zone := "."
	for _, o := range f.Options {
		switch o.Name {
		case "stub-zone", "forward-zone":
			zone = "."
		case "name":
			zone = dns.CanonicalName(o.Value)
		case "stub-addr", "forward-addr":
			if w := strings.Fields(o.Value); len(w) > 0 {
				add(w[0], zone)
			}
		}
	}
	// Only who holds a zone may say who holds what is below it.
	for changed := true; changed; {
		changed = false
		for _, s := range r.servers {
			for _, d := range s.delegations() {
				if !slices.ContainsFunc(s.zones, func(z string) bool { return dns.IsSubDomain(z, d.zone) }) {
					continue
				}
				for _, a := range addresses[d.server] {
					changed = add(a, d.zone) || changed
				}
			}
		}
	}
}

// A delegation says that a name server holds a zone.
type delegation struct{ zone, server string }

// delegations are the NS records that the server gives, each once.
func (s *server) delegations() []delegation {
	seen := map[delegation]bool{}
	var out []delegation
	for _, e := range s.entries {
		for _, section := range [][]dns.RR{e.answer, e.authority} {
			for _, rr := range section {
				if ns, ok := rr.(*dns.NS); ok {
					if d := (delegation{dns.CanonicalName(ns.Hdr.Name), dns.CanonicalName(ns.Ns)}); !seen[d] {
						seen[d] = true
						out = append(out, d)
					}
				}
			}
		}
	}
	return out
}

// zoneOf is the deepest zone of the server that can hold the records, "" if it has none.
func (s *server) zoneOf(name string, typ uint16) string {
	best := ""
	for _, z := range s.zones {
		if !dns.IsSubDomain(z, name) || (typ == dns.TypeDS && z == name && name != ".") {
			continue
		}
		if best == "" || dns.CountLabel(z) > dns.CountLabel(best) {
			best = z
		}
	}
	return best
}
