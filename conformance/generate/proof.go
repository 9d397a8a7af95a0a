package generate

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A proof is the set of records that deny something. It is minimal: each record is
// needed.
type proof struct {
	z      *zone
	at     []*link
	core   int  // how many of them are about the name, the rest being about the wildcard
	nodata bool // the rest finds the wildcard there
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

func (p *proof) use(l *link) {
	if !slices.ContainsFunc(p.at, func(o *link) bool { return o.rank == l.rank }) {
		p.at = append(p.at, l)
	}
}

// find looks a name up in the chain: its record, or the one before it.
func (z *zone) find(name string) (l *link, exact bool) {
	if z.Denial.online() {
		return z.made(name)
	}
	i, exact := slices.BinarySearchFunc(z.chain, z.rank(name), func(l link, rank string) int { return strings.Compare(l.rank, rank) })
	if !exact {
		i = (i - 1 + len(z.chain)) % len(z.chain)
	}
	return &z.chain[i], exact
}

// match takes the record of a name; false if it has none.
func (p *proof) match(name string) bool {
	l, exact := p.z.find(name)
	if exact {
		p.use(l)
	}
	return exact
}

// cover takes the record in whose gap a name is.
func (p *proof) cover(name string) {
	l, _ := p.z.find(name)
	p.use(l)
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
	if z.Denial == Compact {
		p.match(name)
		return p
	}
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
// secure rests on them, broken that they prove nothing, spared that one is broken that is
// not needed.
func (p *proof) records() (out []dns.RR, weak, broken, spared bool) {
	broken = p.spoilt || p.z.Spec.Chain != ChainGood
	for i, l := range p.at {
		out = append(out, l.set.served()...)
		broken = broken || l.set.broken && p.needed(i)
		spared = spared || l.set.broken && !p.needed(i)
	}
	return out, p.optOut || p.z.iterates(), broken, spared
}

// iterates reports whether the zone's hashes have more iterations than are computed.
func (z *zone) iterates() bool { return z.Denial.hashed() && z.Iterations > maxIterations }
