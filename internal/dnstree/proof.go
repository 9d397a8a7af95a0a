package dnstree

import "slices"

// A Proof is the set of records that deny something. It is minimal: each record is needed.
type Proof struct {
	Links  []Link
	Core   int  // how many are about the name; the others are about the wildcard
	NoData bool // the others find the wildcard there
	OptOut bool // it rests on an opt-out span, so that nothing secure is said (RFC 5155 section 9.2)
}

// Use adds a record that is not there yet.
func (p *Proof) Use(l Link) {
	if !slices.ContainsFunc(p.Links, func(o Link) bool { return o.Rank == l.Rank }) {
		p.Links = append(p.Links, l)
	}
}

// A Prover makes the proofs of one zone.
type Prover struct {
	Denial
	// Find returns the record of a name, or the one in whose gap it is.
	Find func(name string) (l Link, exact bool)
	// Exists reports whether a name is in the zone.
	Exists func(name string) bool
}

// Match adds the record of a name to p; false if it has none.
func (z Prover) Match(p *Proof, name string) bool {
	l, exact := z.Find(name)
	if exact {
		p.Use(l)
	}
	return exact
}

// Cover adds the record in whose gap a name is.
func (z Prover) Cover(p *Proof, name string) {
	l, _ := z.Find(name)
	p.Use(l)
}

// gap proves that nothing is between the closest encloser of name and name: with NSEC by the
// gap that name is in, with NSEC3 by that of the name next to the encloser.
func (z Prover) gap(p *Proof, name, next string) {
	if !z.NSEC3 {
		z.Cover(p, name)
		return
	}
	z.Cover(p, next)
	p.OptOut = p.OptOut || z.OptOut
}

// Encloser returns the closest ancestor of name that exists, and the name one label longer.
func (z Prover) Encloser(name string) (encloser, next string) {
	next = name
	for encloser = Parent(name); !z.Exists(encloser); encloser = Parent(encloser) {
		next = encloser
	}
	return encloser, next
}

// Type proves that a name that exists does not have a type.
func (z Prover) Type(name string) *Proof {
	p := &Proof{}
	if z.Match(p, name) {
		return p
	}
	// With NSEC the name is between two owners. With NSEC3 opt-out has left it out: closest
	// provable encloser (RFC 5155 section 7.2.4).
	next := name
	for encloser := Parent(name); z.NSEC3 && !z.Match(p, encloser); encloser = Parent(encloser) {
		next = encloser
	}
	z.gap(p, name, next)
	return p
}

// Name proves that a name does not exist, and that there is no wildcard for it, or that the
// wildcard does not have the type.
func (z Prover) Name(name string) *Proof {
	p := &Proof{}
	encloser, next := z.Encloser(name)
	if z.NSEC3 {
		for !z.Match(p, encloser) { // left out by opt-out
			next, encloser = encloser, Parent(encloser)
		}
	}
	z.gap(p, name, next)
	p.Core = len(p.Links)
	star := Join("*", encloser)
	if p.NoData = z.Match(p, star); !p.NoData {
		z.Cover(p, star)
	}
	return p
}

// Closer proves that an answer is rightly made from the wildcard.
func (z Prover) Closer(name string) *Proof {
	p := &Proof{}
	_, next := z.Encloser(name)
	z.gap(p, name, next)
	return p
}
