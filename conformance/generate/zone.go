package generate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A zone is the authoritative data of one zone, signed once it is sealed.
type zone struct {
	Spec
	seed   uint64
	now    time.Time
	ttls   lifetimes
	parent *zone
	cuts   map[string]*zone // delegations, by owner
	keys   []*dnstree.Key   // all that are published
	sep    *dnstree.Key     // the one that the DS names, which signs the keys
	zsk    *dnstree.Key     // signs the data
	second *dnstree.Key     // signs everything too; nil if there is none

	data   map[string]map[uint16][]dns.RR // before it is sealed
	faults map[setKey]Fault               // of single RRsets

	sets    map[string]map[uint16]*set
	names   map[string]bool // that exist, with empty non-terminals
	chain   *dnstree.Chain  // NSEC or NSEC3 records, unless they are made for each answer
	links   map[string]*set // the same as they are served, by rank
	worth   Status          // of its keys
	lineage []string        // marks of the way to the zone
	asks    []ask           // what to ask for
}

type setKey struct {
	owner string
	typ   uint16
}

// A set is an RRset as it is served.
type set struct {
	rrs    []dns.RR
	sigs   []dns.RR
	fault  Fault // "" if it is signed well
	broken bool
}

// served are the records of the set with their signatures.
func (s *set) served() []dns.RR { return slices.Concat(s.rrs, s.sigs) }

// add adds a record, a line of a zone file.
func (z *zone) add(format string, args ...any) {
	rr, err := dns.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		panic(fmt.Sprintf("generate: %s: %v", z.Apex, err)) // a fault of this package
	}
	z.put(rr)
}

// A lifetimes says how long the records of a world may be kept, in seconds.
type lifetimes struct {
	sets   []uint32 // of RRsets; chance decides which
	links  uint32   // of NSEC and NSEC3 records
	denial uint32   // the last field of SOA records
}

// Lifetimes of records as zones have them, and such that a run of some ten seconds
// outlives every record.
var (
	usual = lifetimes{sets: []uint32{30, 300, 3600, 86400}, links: usualTTL, denial: 60}
	short = lifetimes{sets: []uint32{1, 2, 4, 8}, links: 3, denial: 2}
)

// put adds a record.
func (z *zone) put(rr dns.RR) {
	h := rr.Header()
	h.Ttl = z.ttls.sets[dice(z.seed, "ttl", h.Name, h.Rrtype)%uint64(len(z.ttls.sets))]
	if z.data[h.Name] == nil {
		z.data[h.Name] = map[uint16][]dns.RR{}
	}
	z.data[h.Name][h.Rrtype] = append(z.data[h.Name][h.Rrtype], rr)
}

// makeKeys makes the keys of the zone and its faults in them.
func (z *zone) makeKeys(rng *rand.Rand) (err error) {
	more := func(algorithm uint8, flags uint16) *dnstree.Key {
		k, failure := dnstree.SeededKey(rng, z.Apex, algorithm, flags)
		if failure != nil {
			err = failure
			return nil
		}
		k.Hdr.Ttl = usualTTL
		z.keys = append(z.keys, &k)
		return &k
	}
	z.sep = more(z.Algorithm, dnstree.FlagZone+dnstree.FlagSEP)
	z.zsk = z.sep
	if z.Split {
		z.zsk = more(z.Algorithm, dnstree.FlagZone)
	}
	if z.Standby {
		more(dns.ED25519, dnstree.FlagZone)
	}
	if z.Second != 0 {
		z.second = more(z.Second, dnstree.FlagZone)
	}
	if err != nil {
		return err
	}
	f := keyFaults[z.Keys]
	if f.edit != nil {
		f.edit(z.sep.DNSKEY)
	}
	if z.Keys == KeysMissing {
		return nil
	}
	z.faults[setKey{z.Apex, dns.TypeDNSKEY}] = f.set
	for _, k := range z.keys {
		z.put(k.DNSKEY)
	}
	return nil
}

// seal signs the zone. Delegations are in it by then, and nothing is added afterwards.
func (z *zone) seal() error {
	for owner, child := range z.cuts {
		z.add("%s NS ns.t0.", owner)
		for _, ds := range child.dsRecords() {
			z.put(ds)
		}
	}
	z.names = map[string]bool{z.Apex: true}
	for owner, types := range z.data {
		for _, n := range dnstree.Ancestors(owner, z.Apex) {
			z.names[n] = true
		}
		z.sets[owner] = map[uint16]*set{}
		for typ, rrs := range types {
			s, err := z.sign(owner, typ, rrs, z.faultOf(owner, typ))
			if err != nil {
				return err
			}
			z.sets[owner][typ] = s
		}
	}
	if z.Denial == Unsigned {
		return nil
	}
	if z.Denial.online() {
		return nil
	}
	return z.makeChain()
}

// faultOf is the fault of an RRset: its own or that of the whole zone.
func (z *zone) faultOf(owner string, typ uint16) Fault {
	if f, ok := z.faults[setKey{owner, typ}]; ok || typ == dns.TypeDNSKEY {
		return f
	}
	return z.Sets
}

// sign signs an RRset with a fault.
func (z *zone) sign(owner string, typ uint16, rrs []dns.RR, fault Fault) (*set, error) {
	if z.Denial == Unsigned || z.cuts[owner] != nil && typ == dns.TypeNS {
		return &set{rrs: rrs}, nil
	}
	if z.Cased {
		rrs = mapAll(rrs, cased)
	}
	by := z.zsk
	if typ == dns.TypeDNSKEY && z.Keys != KeysByZSK {
		by = z.sep
	}
	d := &draft{z: z, owner: owner, by: by, rrs: rrs}
	d.sig = z.newSig(owner, rrs, by)
	f := setFaults[fault]
	if err := d.make(f); err != nil {
		return nil, fmt.Errorf("%s %s %s: %w", owner, dns.TypeToString[typ], fault, err)
	}
	if z.Cased {
		d.sigs = mapAll(d.sigs, cased)
	}
	out := &set{rrs: d.rrs, sigs: d.sigs, fault: fault, broken: fault != "" && !f.harmless}
	if z.second != nil && fault == "" {
		sig := z.newSig(owner, rrs, z.second)
		if err := sig.Sign(z.second.Private, rrs); err != nil {
			return nil, err
		}
		out.sigs = append(out.sigs, sig)
	}
	return out, nil
}

// mapAll is mapNames for several records.
func mapAll(rrs []dns.RR, change func(string) string) (out []dns.RR) {
	for _, rr := range rrs {
		out = append(out, mapNames(rr, change))
	}
	return out
}

// life is how long signatures are valid, and how long they have been.
const life = 10 * 24 * time.Hour

// newSig is a signature yet to be made.
func (z *zone) newSig(owner string, rrs []dns.RR, by *dnstree.Key) *dns.RRSIG {
	sig := by.Draft(z.Apex, rrs, z.now.Add(-life), z.now.Add(life))
	sig.Hdr = header(owner, dns.TypeRRSIG)
	return sig
}

// types lists what an owner has, without the types that signing adds.
func (z *zone) types(owner string) (out []uint16) {
	for t := range z.data[owner] {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}
