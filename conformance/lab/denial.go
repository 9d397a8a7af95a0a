package lab

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

func (z *zone) nsec3() bool { return z.spec.Sign == NSEC3 || z.spec.Sign == OptOut }

// minimum is the TTL of denials in seconds (RFC 9077 section 3).
func (z *zone) minimum() uint32 { return min(z.ttl, 60) }

// names returns the names in the zone, those between an owner and the apex that own nothing
// too, and the records that deny what is not there; an unsigned zone has none.
func (z *zone) names() (map[string]bool, *dnstree.Chain) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.there != nil {
		return z.there, z.chain
	}
	owners := map[string][]uint16{}
	for n := range z.data {
		if z.cutAbove(n) == "" {
			owners[n] = z.types(n)
		}
	}
	for n := range z.cuts {
		owners[n] = z.types(n)
	}
	z.there = map[string]bool{z.apex: true}
	for n := range owners {
		for _, a := range dnstree.Ancestors(n, z.apex) {
			z.there[a] = true
		}
	}
	if z.spec.Sign != Unsigned {
		z.chain = z.denial().Chain(owners)
	}
	return z.there, z.chain
}

// denial says how the zone denies.
func (z *zone) denial() dnstree.Denial {
	return dnstree.Denial{
		Apex: z.apex, NSEC3: z.nsec3(), OptOut: z.spec.Sign == OptOut,
		Iterations: z.spec.Iterations, Salt: z.spec.Salt, TTL: z.minimum(),
	}
}

// prover makes the proofs of a signed zone.
func (z *zone) prover() dnstree.Prover {
	_, chain := z.names()
	return dnstree.Prover{Denial: z.denial(), Find: chain.Find, Exists: z.exists}
}

// served returns the records of a proof with their signatures.
func (z *zone) served(p *dnstree.Proof) (out []dns.RR) {
	for _, l := range p.Links {
		out = append(out, z.signed(l.RR.Header().Name, l.RR.Header().Rrtype, []dns.RR{l.RR})...)
	}
	return out
}

// replayed is a true proof of something else: a record that neither matches nor covers the
// name.
func (z *zone) replayed(name string) *dnstree.Proof {
	_, chain := z.names()
	real, _ := chain.Find(name)
	p := &dnstree.Proof{}
	if i := slices.IndexFunc(chain.Links(), func(l dnstree.Link) bool { return l.Rank != real.Rank }); i >= 0 {
		p.Use(chain.Links()[i])
	}
	return p
}
