package generate

import (
	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A proof denies something, in one answer.
type proof struct {
	z *zone
	*dnstree.Proof
	typ    uint16
	spoilt bool // by a fault
}

// needed reports whether the proof's i-th record is. Under opt-out nothing about a
// wildcard is asked for of a denial of DS (RFC 5155 section 8.6), nor where the name is
// said to exist: it may be an empty non-terminal that was left out (erratum 3441).
func (p *proof) needed(i int) bool {
	return !p.OptOut || p.Core == 0 || i < p.Core || p.typ != dns.TypeDS && !p.NoData
}

// denyType proves that a name that exists does not have the type.
func (z *zone) denyType(name string) *proof {
	return &proof{z: z, Proof: z.prover().Type(name)}
}

// denyName proves that a name does not exist and that there is no wildcard for it, or
// that the wildcard does not have the type.
func (z *zone) denyName(name string) *proof {
	if z.Denial == Compact { // RFC 9824 section 3.1: the name is said to exist
		return z.denyType(name)
	}
	return &proof{z: z, Proof: z.prover().Name(name)}
}

// denyCloser proves that an answer is rightly made from the wildcard.
func (z *zone) denyCloser(name string) *proof {
	return &proof{z: z, Proof: z.prover().Closer(name)}
}

// sets are the records of the proof as they are served.
func (p *proof) sets() (out []*set) {
	for _, l := range p.Links {
		out = append(out, p.z.linkSet(l))
	}
	return out
}

// records are the records of the proof with their signatures. weak means that nothing
// secure rests on them, broken that they prove nothing, spared that one is broken that is
// not needed.
func (p *proof) records(sets []*set) (out []dns.RR, weak, broken, spared bool) {
	broken = p.spoilt || p.z.Spec.Chain != ChainGood
	for i, set := range sets {
		out = append(out, set.served()...)
		broken = broken || set.broken && p.needed(i)
		spared = spared || set.broken && !p.needed(i)
	}
	return out, p.OptOut || p.z.iterates(), broken, spared
}

// iterates reports whether the zone's hashes have more iterations than are computed.
func (z *zone) iterates() bool { return z.Denial.hashed() && z.Iterations > maxIterations }
