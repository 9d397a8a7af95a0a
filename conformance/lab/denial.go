package lab

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A hashed is one NSEC3 record to be (RFC 5155 section 3).
type hashed struct {
	hash  string // base32hex, upper case
	types []uint16
}

// proof is the set of NSEC or NSEC3 records that deny something; the zero proof is
// empty.
type proof struct {
	z    *zone
	rrs  []dns.RR // records with signatures
	have map[string]bool
	// optOut says that a record of the proof covers a name under opt-out, so that
	// nothing secure is said about it (RFC 5155 section 9.2).
	optOut bool
}

func (z *zone) newProof() *proof { return &proof{z: z, have: map[string]bool{}} }

func (p *proof) add(rr dns.RR) {
	owner := rr.Header().Name
	if p.have[owner] {
		return
	}
	p.have[owner] = true
	p.rrs = append(p.rrs, p.z.signed(owner, rr.Header().Rrtype, []dns.RR{rr})...)
}

// match adds the record of a name that exists; false if there is none.
func (p *proof) match(name string) bool {
	if p.z.nsec3() {
		chain := p.z.hashes()
		i, ok := slices.BinarySearchFunc(chain, p.z.hash(name), compareHash)
		if ok {
			p.add(p.z.nsec3At(i))
		}
		return ok
	}
	order, _ := p.z.owners()
	i, ok := slices.BinarySearchFunc(order, name, compareNames)
	if ok {
		p.add(p.z.nsecAt(i))
	}
	return ok
}

// cover adds the record in whose gap a name that does not exist falls.
func (p *proof) cover(name string) {
	if p.z.nsec3() {
		chain := p.z.hashes()
		i, _ := slices.BinarySearchFunc(chain, p.z.hash(name), compareHash)
		p.add(p.z.nsec3At((i - 1 + len(chain)) % len(chain)))
		p.optOut = p.optOut || p.z.spec.Sign == OptOut
		return
	}
	order, _ := p.z.owners()
	i, _ := slices.BinarySearchFunc(order, name, compareNames)
	p.add(p.z.nsecAt(i - 1)) // the apex is before all
}

// nodata proves that a name exists without the type.
func (z *zone) nodata(name string) *proof {
	p := z.newProof()
	if p.match(name) {
		return p
	}
	if !z.nsec3() { // between two owners: the gap's end is below the name
		p.cover(name)
		return p
	}
	// a delegation left out by opt-out: closest provable encloser (RFC 5155 section 7.2.4)
	next := name
	for ce := up(name); ; ce = up(ce) {
		if p.match(ce) {
			break
		}
		next = ce
	}
	p.cover(next)
	return p
}

// nxdomain proves that a name does not exist, and that no wildcard stands for it.
func (z *zone) nxdomain(name string) *proof {
	p := z.newProof()
	ce, next := z.encloser(name)
	if z.nsec3() {
		p.match(ce)
		p.cover(next)
	} else {
		p.cover(name)
	}
	p.cover(wildcard(ce))
	return p
}

// expanded proves that a wildcard's answer is not overridden by a closer name.
func (z *zone) expanded(name string) *proof {
	p := z.newProof()
	if _, next := z.encloser(name); z.nsec3() {
		p.cover(next)
	} else {
		p.cover(name)
	}
	return p
}

// wildcardNodata proves that the wildcard that stands for name has not the type.
func (z *zone) wildcardNodata(name string) *proof {
	ce, _ := z.encloser(name)
	p := z.expanded(name)
	if z.nsec3() {
		p.match(ce)
	}
	p.match(wildcard(ce))
	return p
}

// replayed is a true proof of something else: a record that neither matches nor
// covers the name.
func (z *zone) replayed(name string) *proof {
	real := z.newProof()
	if !real.match(name) {
		real.cover(name)
	}
	p := z.newProof()
	if z.nsec3() {
		for i := range z.hashes() {
			if rr := z.nsec3At(i); !real.have[rr.Header().Name] {
				p.add(rr)
				return p
			}
		}
		return p
	}
	order, _ := z.owners()
	for i := range order {
		if !real.have[order[i]] {
			p.add(z.nsecAt(i))
			return p
		}
	}
	return p
}

func wildcard(ce string) string {
	if ce == "." {
		return "*."
	}
	return "*." + ce
}

// nsecAt makes the NSEC record of the i-th owner (RFC 4034 section 4).
func (z *zone) nsecAt(i int) dns.RR {
	order, _ := z.owners()
	types := append(z.types(order[i]), dns.TypeRRSIG, dns.TypeNSEC)
	slices.Sort(types)
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: order[i], Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: z.minimum()},
		NextDomain: order[(i+1)%len(order)],
		TypeBitMap: types,
	}
}

// nsec3At makes the i-th NSEC3 record (RFC 5155 section 7.1).
func (z *zone) nsec3At(i int) dns.RR {
	chain := z.hashes()
	rr := &dns.NSEC3{
		Hdr: dns.RR_Header{
			Name: strings.ToLower(chain[i].hash) + "." + strings.TrimPrefix(z.apex, "."), Rrtype: dns.TypeNSEC3,
			Class: dns.ClassINET, Ttl: z.minimum(),
		},
		Hash: dns.SHA1, Iterations: z.spec.Iterations,
		SaltLength: uint8(len(z.spec.Salt) / 2), Salt: z.spec.Salt,
		HashLength: 20, NextDomain: chain[(i+1)%len(chain)].hash,
		TypeBitMap: chain[i].types,
	}
	if z.spec.Sign == OptOut {
		rr.Flags = 1
	}
	return rr
}

// minimum is the TTL of denials in seconds (RFC 9077 section 3).
func (z *zone) minimum() uint32 { return min(z.ttl, 60) }

func (z *zone) hash(name string) string {
	return dns.HashName(name, dns.SHA1, z.spec.Iterations, z.spec.Salt)
}

func compareHash(h hashed, s string) int { return strings.Compare(h.hash, s) }

// hashes returns the NSEC3 chain. Under opt-out, delegations without DS have none.
func (z *zone) hashes() []hashed {
	order, inner := z.owners()
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.chain != nil {
		return z.chain
	}
	for _, n := range order {
		types := z.types(n)
		child := z.cuts[n]
		if child != nil && !child.hasDS() {
			if z.spec.Sign == OptOut {
				continue
			}
		} else {
			types = append(types, dns.TypeRRSIG)
			slices.Sort(types)
		}
		z.chain = append(z.chain, hashed{z.hash(n), types})
	}
	for n := range inner {
		z.chain = append(z.chain, hashed{hash: z.hash(n)})
	}
	slices.SortFunc(z.chain, func(a, b hashed) int { return strings.Compare(a.hash, b.hash) })
	return z.chain
}
