package dnssec_test

import (
	"cmp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// names lists the owners of the zone in canonical order; with ents the empty
// non-terminals too, and under opt-out without unsigned delegations.
func (z *testZone) names(tr *tree, ents bool) []string {
	seen := map[string]bool{}
	add := func(n string) {
		seen[n] = true
		for ents && n != z.apex {
			n = parentOf(n)
			seen[n] = true
		}
	}
	for _, rr := range z.rrs {
		add(dns.CanonicalName(rr.Header().Name))
	}
	for apex, c := range tr.zones {
		if apex == z.apex || tr.find(apex, dns.TypeDS) != z {
			continue
		}
		if z.nsec3 != nil && z.nsec3.optOut && ents && len(c.keys) == 0 && c.ds == nil {
			continue
		}
		add(apex)
	}
	var out []string
	for n := range seen {
		out = append(out, n)
	}
	slices.SortFunc(out, canonicalCompare)
	return out
}

func parentOf(n string) string {
	if i, end := dns.NextLabel(n, 0); !end {
		return n[i:]
	}
	return "."
}

func canonicalCompare(a, b string) int {
	x, y := dns.SplitDomainName(a), dns.SplitDomainName(b)
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.CompareFunc(x, y, cmp.Compare[string])
}

func (z *testZone) exists(tr *tree, name string) bool {
	for _, rr := range z.rrs {
		if dns.IsSubDomain(name, dns.CanonicalName(rr.Header().Name)) {
			return true
		}
	}
	for apex := range tr.zones {
		if apex != z.apex && tr.find(apex, dns.TypeDS) == z && dns.IsSubDomain(name, apex) {
			return true
		}
	}
	return false
}

func (z *testZone) encloser(tr *tree, name string) (encloser, closer string) {
	closer, encloser = name, parentOf(name)
	for !z.exists(tr, encloser) {
		closer, encloser = encloser, parentOf(encloser)
	}
	return encloser, closer
}

func (z *testZone) types(tr *tree, name string) []uint16 {
	var out []uint16
	for _, typ := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypeHINFO, dns.TypeMX, dns.TypeTXT, dns.TypeAAAA, dns.TypeDNAME, dns.TypeDS, dns.TypeDNSKEY, dns.TypeTLSA} {
		if len(z.records(tr, name, typ)) > 0 {
			out = append(out, typ)
		}
	}
	if len(out) > 0 || z.nsec3 == nil {
		if !slices.Contains(out, dns.TypeNS) || slices.Contains(out, dns.TypeSOA) || slices.Contains(out, dns.TypeDS) || z.nsec3 == nil {
			out = append(out, dns.TypeRRSIG)
		}
	}
	if z.nsec3 == nil {
		out = append(out, dns.TypeNSEC)
	}
	slices.Sort(out)
	return out
}

// deny adds the proof that name does not exist; with nx also that the wildcard does not,
// else that the wildcard has not the type.
func (z *testZone) deny(tr *tree, m *dns.Msg, name, closer, encloser, wildcard string, nx bool) {
	m.Ns = append(m.Ns, z.signed(tr, z.apex, dns.TypeSOA)...)
	z.cover(tr, m, name, closer)
	if z.nsec3 != nil {
		z.match(tr, m, encloser)
	}
	if nx {
		z.cover(tr, m, wildcard, wildcard)
	} else {
		z.match(tr, m, wildcard)
	}
}

// match adds the NSEC or NSEC3 of a name, or what covers it if it has none.
func (z *testZone) match(tr *tree, m *dns.Msg, name string) {
	if len(z.keys) == 0 {
		return
	}
	if z.nsec3 == nil {
		z.addNSEC(tr, m, func(owner, next string) bool {
			return owner == name || (canonicalCompare(owner, name) < 0 && (canonicalCompare(name, next) < 0 || next == z.apex))
		})
		return
	}
	if !slices.Contains(z.names(tr, true), name) {
		encloser, closer := name, name
		for !slices.Contains(z.names(tr, true), encloser) {
			closer, encloser = encloser, parentOf(encloser)
		}
		z.match(tr, m, encloser)
		z.cover(tr, m, closer, closer)
		return
	}
	h := z.hash(name)
	z.addNSEC3(tr, m, func(owner, next string) bool { return owner == h })
}

// cover adds what covers a name: name itself with NSEC, the next closer name with NSEC3.
func (z *testZone) cover(tr *tree, m *dns.Msg, name, closer string) {
	if len(z.keys) == 0 {
		return
	}
	if z.nsec3 == nil {
		z.addNSEC(tr, m, func(owner, next string) bool {
			return canonicalCompare(owner, name) < 0 && (canonicalCompare(name, next) < 0 || next == z.apex)
		})
		return
	}
	h := z.hash(closer)
	z.addNSEC3(tr, m, func(owner, next string) bool {
		return (owner < h && h < next) || (next <= owner && (owner < h || h < next))
	})
}

func (z *testZone) addNSEC(tr *tree, m *dns.Msg, fits func(owner, next string) bool) {
	names := z.names(tr, false)
	for i, n := range names {
		next := names[(i+1)%len(names)]
		if !fits(n, next) {
			continue
		}
		rr := &dns.NSEC{Hdr: dns.RR_Header{Name: n, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300}, NextDomain: next, TypeBitMap: z.types(tr, n)}
		z.addOnce(tr, m, rr)
	}
}

func (z *testZone) hash(name string) string {
	return strings.ToLower(dns.HashName(name, dns.SHA1, z.nsec3.iterations, z.nsec3.salt))
}

func (z *testZone) addNSEC3(tr *tree, m *dns.Msg, fits func(owner, next string) bool) {
	byHash := map[string]string{}
	var hashes []string
	for _, n := range z.names(tr, true) {
		h := z.hash(n)
		byHash[h] = n
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	for i, h := range hashes {
		next := hashes[(i+1)%len(hashes)]
		if !fits(h, next) {
			continue
		}
		owner := h + "." + z.apex
		if z.apex == "." {
			owner = h + "."
		}
		rr := &dns.NSEC3{
			Hdr:  dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: 300},
			Hash: dns.SHA1, Iterations: z.nsec3.iterations, SaltLength: uint8(len(z.nsec3.salt) / 2), Salt: z.nsec3.salt,
			HashLength: 20, NextDomain: strings.ToUpper(next), TypeBitMap: z.types(tr, byHash[h]),
		}
		if z.nsec3.optOut {
			rr.Flags = 1
		}
		z.addOnce(tr, m, rr)
	}
}

func (z *testZone) addOnce(tr *tree, m *dns.Msg, rr dns.RR) {
	for _, have := range m.Ns {
		if have.Header().Name == rr.Header().Name && have.Header().Rrtype == rr.Header().Rrtype {
			return
		}
	}
	m.Ns = append(m.Ns, rr)
	m.Ns = append(m.Ns, z.sign(tr, []dns.RR{rr})...)
}
