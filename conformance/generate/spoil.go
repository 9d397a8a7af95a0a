package generate

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A proofFault is a fault of the denial in one answer.
type proofFault string

// Faults of denials.
const (
	proofMissing  proofFault = "missing"     // no record at all
	proofLacking  proofFault = "lacking"     // one record of those that are needed
	proofReplayed proofFault = "replayed"    // a true record that is about something else
	proofCrowded  proofFault = "crowded"     // harmless: a record more than is needed
	proofRcode    proofFault = "rcode"       // harmless: NXDOMAIN for a type, or NOERROR for a name
	proofParent   proofFault = "from-parent" // the parent's records of the delegation (RFC 6840 section 4.1)
)

var proofFaults = []proofFault{proofMissing, proofLacking, proofReplayed, proofCrowded, proofRcode, proofParent}

// spoil chooses, in a zone with faults all over, what is wrong with the proof in the
// answer to a question: half of the time nothing.
func (z *zone) spoil(p *proof, name string, typ uint16, s *step) *proof {
	if !z.Spots {
		return p
	}
	d := dice(z.seed, "proof", name, typ)
	if d%2 == 0 {
		return p
	}
	f := proofFaults[d/2%uint64(len(proofFaults))]
	if f == proofRcode {
		if z.Denial != OptOut { // under opt-out it matters
			s.mark("denial", string(f))
			s.lies = true
		}
		return p
	}
	bad := p.spoiltBy(f, name, typ, d/32)
	if bad == nil {
		return p
	}
	s.mark("denial", string(f))
	bad.spoilt = f != proofCrowded
	return bad
}

// spoiltBy makes the faulty proof; nil if there is no such fault here.
func (p *proof) spoiltBy(f proofFault, name string, typ uint16, d uint64) *proof {
	out := &proof{z: p.z, typ: typ, Proof: &dnstree.Proof{OptOut: p.OptOut}}
	switch f {
	case proofLacking:
		out.Links = slices.Clone(p.Links)
		i := int(d % uint64(len(out.Links)))
		if !p.needed(i) {
			return nil
		}
		out.Links = slices.Delete(out.Links, i, i+1)
	case proofReplayed, proofCrowded:
		other := p.other(d)
		if other.RR == nil {
			return nil
		}
		out.Links = []dnstree.Link{other}
		if f == proofCrowded {
			crowded := *p.Proof
			crowded.Links = append(slices.Clone(p.Links), other)
			out = &proof{z: p.z, typ: p.typ, spoilt: p.spoilt, Proof: &crowded}
		}
	case proofParent:
		return p.z.fromParent(name, typ)
	}
	return out
}

// other is a good record of the zone that is not in the proof; the zero Link if there is
// none.
func (p *proof) other(d uint64) dnstree.Link {
	if p.z.chain == nil {
		return dnstree.Link{}
	}
	links := p.z.chain.Links()
	n := len(links)
	for i := range n {
		l := links[(int(d%uint64(n))+i)%n]
		used := slices.ContainsFunc(p.Links, func(o dnstree.Link) bool { return o.Rank == l.Rank })
		if !used && p.z.linkSet(l).fault == "" {
			return l
		}
	}
	return dnstree.Link{}
}

// fromParent denies what is in the zone by the records that its parent has of the
// delegation; nil if it has none.
func (z *zone) fromParent(name string, typ uint16) *proof {
	if z.parent == nil || z.parent.Denial == Unsigned || typ == dns.TypeDS && name == z.Apex {
		return nil
	}
	p, prover := &proof{z: z.parent, Proof: &dnstree.Proof{}}, z.parent.prover()
	if !prover.Match(p.Proof, z.Apex) {
		return nil
	}
	if name != z.Apex && z.parent.Denial.hashed() {
		below := dnstree.Ancestors(name, z.Apex)[0]
		prover.Cover(p.Proof, below)
		prover.Cover(p.Proof, dnstree.Join("*", z.Apex))
	}
	return p
}

// deniesFalsely reports whether a zone with faults all over denies what it has, with the
// record that says that it is there (RFC 6840 section 4.3). That is a matter of the whole
// name, so that no other answer lets an alias there be known.
func (z *zone) deniesFalsely(name string, typ uint16) bool {
	sets := z.sets[name]
	if name == z.Apex || z.cuts[name] != nil || sets[typ] == nil && sets[dns.TypeCNAME] == nil {
		return false
	}
	return dice(z.seed, "false", name)%12 == 0
}
