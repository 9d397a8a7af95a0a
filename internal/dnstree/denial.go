package dnstree

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A Denial says how a zone denies what it does not have. The zero Denial uses NSEC.
type Denial struct {
	Apex       string
	NSEC3      bool
	OptOut     bool   // NSEC3 with opt-out (RFC 5155 section 6)
	Iterations uint16 // of NSEC3
	Salt       string // of NSEC3, in hex
	TTL        uint32 // of the records, in seconds
}

// Rank is the place of a name in the zone's order: it sorts as the names do, or is the hash
// of the name.
func (d Denial) Rank(name string) string {
	if d.NSEC3 {
		return strings.ToLower(dns.HashName(name, dns.SHA1, d.Iterations, d.Salt))
	}
	return rank(name)
}

// NSEC makes the record of an owner that has the types (RFC 4034 section 4). RRSIG and NSEC
// are added to them.
func (d Denial) NSEC(owner, next string, types []uint16) *dns.NSEC {
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: d.TTL},
		NextDomain: next, TypeBitMap: with(types, dns.TypeRRSIG, dns.TypeNSEC),
	}
}

// Hashed makes the record of an owner that has the types (RFC 5155 section 3), from its hash
// to the next. RRSIG is added where something at the owner is signed.
func (d Denial) Hashed(hash, next string, types []uint16) *dns.NSEC3 {
	if len(types) > 0 && !unsignedCut(types) {
		types = with(types, dns.TypeRRSIG)
	}
	rr := &dns.NSEC3{
		Hdr:  dns.RR_Header{Name: Join(hash, d.Apex), Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: d.TTL},
		Hash: dns.SHA1, Iterations: d.Iterations,
		SaltLength: uint8(len(d.Salt) / 2), Salt: d.Salt,
		HashLength: 20, NextDomain: strings.ToUpper(next), TypeBitMap: types,
	}
	if d.OptOut {
		rr.Flags = 1
	}
	return rr
}

// with returns the types and the further ones, sorted, each once.
func with(types []uint16, more ...uint16) []uint16 {
	out := slices.Concat(types, more)
	slices.Sort(out)
	return slices.Compact(out)
}

// unsignedCut reports whether the types are those of a delegation without DS records.
func unsignedCut(types []uint16) bool {
	return slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA) && !slices.Contains(types, dns.TypeDS)
}

// A Link is one NSEC or NSEC3 record, not signed.
type Link struct {
	Rank string // its place; no two links of a zone have the same
	Name string // whose record it is; "" if no such name exists
	RR   dns.RR
}

// A Chain is all NSEC or NSEC3 records of a zone in their order. It does not change.
type Chain struct {
	Denial
	links []Link
}

// Chain makes the records of a zone that has the owners, each with the types that it has.
// NSEC3 records are made of empty non-terminals too; under opt-out they are not made of
// delegations without DS records, nor of what exists only for their sake (RFC 5155 section
// 7.1).
func (d Denial) Chain(owners map[string][]uint16) *Chain {
	c := &Chain{Denial: d}
	have := map[string]bool{}
	add := func(name string) {
		if !have[name] {
			have[name] = true
			c.links = append(c.links, Link{Rank: d.Rank(name), Name: name})
		}
	}
	for name, types := range owners {
		if d.NSEC3 && d.OptOut && unsignedCut(types) {
			continue
		}
		add(name)
		for n := name; d.NSEC3 && n != d.Apex; n = Parent(n) {
			add(n)
		}
	}
	slices.SortFunc(c.links, func(a, b Link) int { return strings.Compare(a.Rank, b.Rank) })
	for i, l := range c.links {
		next := c.links[(i+1)%len(c.links)]
		if d.NSEC3 {
			c.links[i].RR = d.Hashed(l.Rank, next.Rank, owners[l.Name])
		} else {
			c.links[i].RR = d.NSEC(l.Name, next.Name, owners[l.Name])
		}
	}
	return c
}

// Links returns the records in their order. The caller must not change them.
func (c *Chain) Links() []Link { return c.links }

// Find returns the record of a name, or the one before it.
func (c *Chain) Find(name string) (l Link, exact bool) {
	i, exact := slices.BinarySearchFunc(c.links, c.Rank(name), func(l Link, rank string) int { return strings.Compare(l.Rank, rank) })
	if !exact {
		i = (i - 1 + len(c.links)) % len(c.links)
	}
	return c.links[i], exact
}
