package generate

import (
	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// denial says how the zone denies.
func (z *zone) denial() dnstree.Denial {
	return dnstree.Denial{
		Apex: z.Apex, NSEC3: z.Denial.hashed(), OptOut: z.Denial == OptOut,
		Iterations: z.Iterations, Salt: z.Salt, TTL: z.ttls.links,
	}
}

// prover makes the zone's proofs.
func (z *zone) prover() dnstree.Prover {
	p := dnstree.Prover{Denial: z.denial(), Find: z.made, Exists: func(name string) bool { return z.names[name] }}
	if z.chain != nil {
		p.Find = z.chain.Find
	}
	return p
}

// makeChain makes the NSEC or NSEC3 records and signs them.
func (z *zone) makeChain() error {
	owners := map[string][]uint16{}
	for n := range z.data {
		owners[n] = z.types(n)
	}
	z.chain, z.links = z.denial().Chain(owners), map[string]*set{}
	for _, l := range z.chain.Links() {
		fault := z.Sets
		if z.Spots {
			fault = z.spotOnLink(l.Name)
		}
		s, err := z.signLink(l.RR, fault)
		if err != nil {
			return err
		}
		z.links[l.Rank] = s
	}
	return nil
}

// signLink signs a record of the chain, altered as the spec of the zone says.
func (z *zone) signLink(rr dns.RR, fault Fault) (*set, error) {
	if n, ok := rr.(*dns.NSEC3); ok {
		switch z.Spec.Chain {
		case UnknownHash:
			n.Hash = 7
		case UnknownFlags:
			n.Flags |= 2
		}
	}
	return z.sign(rr.Header().Name, rr.Header().Rrtype, []dns.RR{rr}, fault)
}

// linkSet is a record of the chain as it is served.
func (z *zone) linkSet(l dnstree.Link) *set {
	if s := z.links[l.Rank]; s != nil {
		return s
	}
	s, err := z.signLink(l.RR, z.Sets) // made for this answer
	if err != nil {
		panic(err) // what cannot be signed was met when the zone was sealed
	}
	return s
}

// linkFaults are the faults of single NSEC or NSEC3 records.
var linkFaults = []Fault{Expired, Flipped, NoSignature, Altered, StrangerTag, LabelsMore, OriginalTTL, BadBeside, TTLRaised}

// spotOnLink chooses the fault of the record of a name: mostly none. The apex has none,
// since its record is in nearly every proof.
func (z *zone) spotOnLink(name string) Fault {
	d := dice(z.seed, "link", z.Apex, name)
	if name == z.Apex || d%4 != 0 {
		return ""
	}
	return linkFaults[d/4%uint64(len(linkFaults))]
}
