package generate

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A link is one NSEC or NSEC3 record of a zone's chain.
type link struct {
	rank string // what the chain is sorted by: the name, or its hash
	set  *set
}

// rank is the place of a name in the zone's chain.
func (z *zone) rank(name string) string {
	if z.Denial.hashed() {
		return strings.ToLower(dns.HashName(name, dns.SHA1, z.Iterations, z.Salt))
	}
	return ranked(name)
}

// makeChain makes the NSEC or NSEC3 records and signs them.
func (z *zone) makeChain() error {
	names, ranks := z.linked(), map[string]string{}
	for _, n := range names {
		ranks[n] = z.rank(n)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(ranks[a], ranks[b]) })
	for i, n := range names {
		rr := z.linkAt(n, names[(i+1)%len(names)])
		owner := rr.Header().Name
		fault := z.Sets
		if z.Spots {
			fault = z.spotOnLink(n)
		}
		s, err := z.sign(owner, rr.Header().Rrtype, []dns.RR{rr}, fault)
		if err != nil {
			return err
		}
		z.chain = append(z.chain, link{ranks[n], s})
	}
	return nil
}

// linkFaults are the faults of single NSEC or NSEC3 records.
var linkFaults = []Fault{Expired, Flipped, NoSignature, Altered, StrangerTag, LabelsMore, OriginalTTL, BadBeside, TTLRaised}

// spotOnLink chooses the fault of the record of a name: mostly none. The apex has none,
// since its record stands in nearly every proof.
func (z *zone) spotOnLink(name string) Fault {
	d := dice(z.seed, "link", z.Apex, name)
	if name == z.Apex || d%4 != 0 {
		return ""
	}
	return linkFaults[d/4%uint64(len(linkFaults))]
}

// linked are the names that have a record in the chain: with NSEC the owners, with
// NSEC3 the empty non-terminals too; and under opt-out neither unsigned delegations nor
// what exists only for their sake (RFC 5155 section 7.1).
func (z *zone) linked() (out []string) {
	if !z.Denial.hashed() {
		for n := range z.data {
			out = append(out, n)
		}
		return out
	}
	have := map[string]bool{}
	for n := range z.data {
		if child := z.cuts[n]; child != nil && z.Denial == OptOut && z.data[n][dns.TypeDS] == nil {
			continue
		}
		have[n] = true
		for _, a := range ancestors(n, z.Apex) {
			have[a] = true
		}
	}
	for n := range have {
		out = append(out, n)
	}
	return out
}

// linkAt makes the record of a name that next follows.
func (z *zone) linkAt(name, next string) dns.RR {
	types := z.types(name)
	if !z.Denial.hashed() {
		types = append(types, dns.TypeNSEC)
		if z.cuts[name] != nil && z.data[name][dns.TypeDS] == nil {
			types = append(types, dns.TypeRRSIG)
		}
		slices.Sort(types)
		return &dns.NSEC{Hdr: header(name, dns.TypeNSEC), NextDomain: next, TypeBitMap: types}
	}
	rr := &dns.NSEC3{
		Hdr:  header(join(z.rank(name), z.Apex), dns.TypeNSEC3),
		Hash: dns.SHA1, Iterations: z.Iterations,
		SaltLength: uint8(len(z.Salt) / 2), Salt: z.Salt,
		HashLength: 20, NextDomain: strings.ToUpper(z.rank(next)), TypeBitMap: types,
	}
	if z.Denial == OptOut {
		rr.Flags = 1
	}
	switch z.Spec.Chain {
	case UnknownHash:
		rr.Hash = 7
	case UnknownFlags:
		rr.Flags |= 2
	}
	return rr
}

// A proof is the set of records that deny something. It is minimal: each record is
// needed.
type proof struct {
	z      *zone
	at     []int // places in the chain
	core   int   // how many of them are about the name, the rest being about the wildcard
	nodata bool  // the rest finds the wildcard there
	typ    uint16
	optOut bool // it rests on an opt-out span (RFC 5155 section 9.2)
	spoilt bool // by a fault
}

// needed reports whether the proof's i-th record is. Under opt-out nothing about a
// wildcard is asked for of a denial of DS (RFC 5155 section 8.6), nor where the name is
// said to exist: it may be an empty non-terminal that was left out (erratum 3441).
func (p *proof) needed(i int) bool {
	return !p.optOut || p.core == 0 || i < p.core || p.typ != dns.TypeDS && !p.nodata
}

func (p *proof) use(i int) {
	if !slices.Contains(p.at, i) {
		p.at = append(p.at, i)
	}
}

// find looks a name up in the chain: its place, or the place before it.
func (z *zone) find(name string) (i int, exact bool) {
	i, exact = slices.BinarySearchFunc(z.chain, z.rank(name), func(l link, rank string) int { return strings.Compare(l.rank, rank) })
	if !exact {
		i = (i - 1 + len(z.chain)) % len(z.chain)
	}
	return i, exact
}

// match takes the record of a name; false if it has none.
func (p *proof) match(name string) bool {
	i, exact := p.z.find(name)
	if exact {
		p.use(i)
	}
	return exact
}

// cover takes the record in whose gap a name is.
func (p *proof) cover(name string) {
	i, _ := p.z.find(name)
	p.use(i)
}

// gap proves that nothing stands between the closest encloser of name and name: with
// NSEC by the gap that name is in, with NSEC3 by that of the name next to the encloser.
func (p *proof) gap(name, next string) {
	if !p.z.Denial.hashed() {
		p.cover(name)
		return
	}
	p.cover(next)
	p.optOut = p.optOut || p.z.Denial == OptOut
}

// denyType proves that a name that exists has not the type.
func (z *zone) denyType(name string) *proof {
	p := &proof{z: z}
	if p.match(name) {
		return p
	}
	// With NSEC the name is between two owners. With NSEC3 opt-out has left it out:
	// closest provable encloser (RFC 5155 section 7.2.4).
	next := name
	for ce := up(name); z.Denial.hashed() && !p.match(ce); ce = up(ce) {
		next = ce
	}
	p.gap(name, next)
	return p
}

// denyName proves that a name does not exist and that there is no wildcard for it, or
// that the wildcard has not the type.
func (z *zone) denyName(name string) *proof {
	p := &proof{z: z}
	ce, next := z.encloser(name)
	if z.Denial.hashed() {
		for !p.match(ce) { // left out by opt-out
			next, ce = ce, up(ce)
		}
	}
	p.gap(name, next)
	p.core = len(p.at)
	star := join("*", ce)
	if p.nodata = p.match(star); !p.nodata {
		p.cover(star)
	}
	return p
}

// denyCloser proves that an answer is rightly made from the wildcard.
func (z *zone) denyCloser(name string) *proof {
	p := &proof{z: z}
	_, next := z.encloser(name)
	p.gap(name, next)
	return p
}

// records are the records of the proof with their signatures. weak means that nothing
// secure rests on them, broken that they prove nothing.
func (p *proof) records() (out []dns.RR, weak, broken bool) {
	broken = p.spoilt || p.z.Spec.Chain != ChainGood
	for i, at := range p.at {
		s := p.z.chain[at].set
		out = append(out, s.served()...)
		broken = broken || s.broken && p.needed(i)
	}
	return out, p.optOut || p.z.iterates(), broken
}

// iterates reports whether the zone's hashes have more iterations than are computed.
func (z *zone) iterates() bool { return z.Denial.hashed() && z.Iterations > maxIterations }
