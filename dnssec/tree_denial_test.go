package dnssec_test

import (
	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// owners lists the names that own something in the zone, with the types.
func (z *testZone) owners(tr *tree) map[string][]uint16 {
	out := map[string][]uint16{}
	add := func(n string) { out[n] = z.types(tr, n) }
	for _, rr := range z.rrs {
		add(dns.CanonicalName(rr.Header().Name))
	}
	for apex := range tr.zones {
		if apex != z.apex && tr.find(apex, dns.TypeDS) == z {
			add(apex)
		}
	}
	return out
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

func (z *testZone) types(tr *tree, name string) []uint16 {
	var out []uint16
	for _, typ := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypeHINFO, dns.TypeMX, dns.TypeTXT, dns.TypeAAAA, dns.TypeDNAME, dns.TypeDS, dns.TypeDNSKEY, dns.TypeTLSA} {
		if len(z.records(tr, name, typ)) > 0 {
			out = append(out, typ)
		}
	}
	return out
}

// prover makes the proofs of the zone as it is now.
func (z *testZone) prover(tr *tree) dnstree.Prover {
	d := dnstree.Denial{Apex: z.apex, TTL: 300}
	if z.nsec3 != nil {
		d.NSEC3, d.OptOut, d.Iterations, d.Salt = true, z.nsec3.optOut, z.nsec3.iterations, z.nsec3.salt
	}
	return dnstree.Prover{Denial: d, Find: d.Chain(z.owners(tr)).Find, Exists: func(name string) bool { return z.exists(tr, name) }}
}

// deny adds the proof that name does not exist, nor a wildcard for it with the type.
func (z *testZone) deny(tr *tree, m *dns.Msg, name string) {
	m.Ns = append(m.Ns, z.signed(tr, z.apex, dns.TypeSOA)...)
	if len(z.keys) > 0 {
		z.prove(tr, m, z.prover(tr).Name(name))
	}
}

// match adds the NSEC or NSEC3 of a name, or what covers it if it has none.
func (z *testZone) match(tr *tree, m *dns.Msg, name string) {
	if len(z.keys) > 0 {
		z.prove(tr, m, z.prover(tr).Type(name))
	}
}

// cover adds what covers a name: name itself with NSEC, the next closer name with NSEC3.
func (z *testZone) cover(tr *tree, m *dns.Msg, name, closer string) {
	if len(z.keys) == 0 {
		return
	}
	p, prover := &dnstree.Proof{}, z.prover(tr)
	if prover.NSEC3 {
		name = closer
	}
	prover.Cover(p, name)
	z.prove(tr, m, p)
}

// prove adds the records of a proof that are not there yet.
func (z *testZone) prove(tr *tree, m *dns.Msg, p *dnstree.Proof) {
	for _, l := range p.Links {
		z.addOnce(tr, m, l.RR)
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
