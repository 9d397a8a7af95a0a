package lab

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

func (z *zone) nsec3() bool { return z.spec.Sign == NSEC3 || z.spec.Sign == OptOut }

// minimum is the TTL of denials in seconds (RFC 9077 section 3).
func (z *zone) minimum() uint32 { return min(z.ttl, 60) }

// owners returns the owners of authoritative data and delegations, with their types.
func (z *zone) owners() map[string][]uint16 {
	out := map[string][]uint16{}
	for n := range z.data {
		if z.cutAbove(n) == "" {
			out[n] = z.types(n)
		}
	}
	for n := range z.cuts {
		out[n] = z.types(n)
	}
	return out
}

// exists reports whether a name is in the zone, as an owner or between owners.
func (z *zone) exists(name string) bool {
	if z.data[name] != nil || z.cuts[name] != nil {
		return true
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.there == nil {
		z.there = map[string]bool{z.apex: true}
		for n := range z.owners() {
			for ; !z.there[n]; n = dnstree.Parent(n) {
				z.there[n] = true
			}
		}
	}
	return z.there[name]
}

// denials returns the records that deny what is not in a signed zone.
func (z *zone) denials() *dnstree.Chain {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.chain == nil {
		z.chain = z.denial().Chain(z.owners())
	}
	return z.chain
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
	return dnstree.Prover{Denial: z.denial(), Find: z.denials().Find, Exists: z.exists}
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
	chain := z.denials()
	real, _ := chain.Find(name)
	p := &dnstree.Proof{}
	if i := slices.IndexFunc(chain.Links(), func(l dnstree.Link) bool { return l.Rank != real.Rank }); i >= 0 {
		p.Use(chain.Links()[i])
	}
	return p
}
