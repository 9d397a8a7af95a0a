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
		rr := z.linkAt(n, ranks[n], names[(i+1)%len(names)], ranks[names[(i+1)%len(names)]])
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

// linkAt makes the record of a name that next follows; both with their ranks.
func (z *zone) linkAt(name, rank, next, nextRank string) dns.RR {
	types := z.types(name)
	if z.Denial.hashed() {
		return z.nsec3(rank, nextRank, types)
	}
	types = append(types, dns.TypeNSEC)
	if !slices.Contains(types, dns.TypeRRSIG) {
		types = append(types, dns.TypeRRSIG)
	}
	slices.Sort(types)
	return &dns.NSEC{Hdr: z.linkHeader(name, dns.TypeNSEC), NextDomain: next, TypeBitMap: types}
}

// linkHeader is that of a record of the chain.
func (z *zone) linkHeader(owner string, typ uint16) dns.RR_Header {
	h := header(owner, typ)
	h.Ttl = z.ttls.links
	return h
}

// nsec3 makes an NSEC3 record.
func (z *zone) nsec3(hash, next string, types []uint16) dns.RR {
	rr := &dns.NSEC3{
		Hdr:  z.linkHeader(join(hash, z.Apex), dns.TypeNSEC3),
		Hash: dns.SHA1, Iterations: z.Iterations,
		SaltLength: uint8(len(z.Salt) / 2), Salt: z.Salt,
		HashLength: 20, NextDomain: strings.ToUpper(next), TypeBitMap: types,
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
