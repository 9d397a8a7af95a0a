package generate

import (
	"fmt"
	"math/rand/v2"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// An ask is a name that is worth asking for. A %d in it is a number that makes it
// another one each time.
type ask struct {
	name  string
	types []uint16 // that it has; what is asked for otherwise is absent
}

// A filler writes the records of a zone.
type filler struct {
	*zone
	w   *World
	rng *rand.Rand
}

// fill gives a zone its records.
func fill(z *zone, w *World, rng *rand.Rand) {
	f := &filler{z, w, rng}
	f.add("%s SOA ns.t0. hostmaster.t0. 1 7200 3600 1209600 %d", z.Apex, z.ttls.denial)
	f.add("%s NS ns.t0.", z.Apex)
	f.worth("", dns.TypeSOA, dns.TypeNS, dns.TypeDS)
	if z.Apex == "." {
		f.add("host. A 192.0.2.1")
		f.worth("host", dns.TypeA)
		f.worth("no%d")
		return
	}
	f.worth("", dns.TypeMX, dns.TypeTXT, dns.TypeDNSKEY)
	if f.Moved {
		f.moved()
		return
	}
	f.hosts()
	f.aliases()
	f.wildcards()
	f.dnames()
	if z.Spots {
		f.spots()
	}
}

// at is a name of the zone.
func (f *filler) at(labels string) string { return dnstree.Join(labels, f.Apex) }

// worth notes a name to ask for.
func (f *filler) worth(labels string, types ...uint16) {
	f.asks = append(f.asks, ask{f.at(labels), types})
}

// give adds records of the types to an owner, and notes it.
func (f *filler) give(labels string, types ...uint16) {
	for _, t := range types {
		f.record(f.at(labels), t)
	}
	f.worth(labels, types...)
}

// record adds a record of the type.
func (f *filler) record(owner string, typ uint16) {
	n := f.rng.IntN(200) + 1
	switch typ {
	case dns.TypeA:
		f.add("%s A 192.0.2.%d", owner, n)
	case dns.TypeAAAA:
		f.add("%s AAAA 2001:db8::%x", owner, n)
	case dns.TypeMX:
		f.add("%s MX %d mx.%s", owner, n, f.Apex)
	case dns.TypeTXT:
		f.add("%s TXT \"v=%d\"", owner, n)
	case dns.TypeTLSA:
		f.add("%s TLSA 3 1 1 %064x", owner, n)
	}
}

// hostTypes are the types that hosts have.
var hostTypes = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT, dns.TypeTLSA}

// some chooses one to three of the types.
func (f *filler) some() (out []uint16) {
	first := f.rng.IntN(len(hostTypes))
	for i := range 1 + f.rng.IntN(3) {
		out = append(out, hostTypes[(first+i)%len(hostTypes)])
	}
	return out
}

// label is a random label.
func (f *filler) label() string {
	b := make([]byte, 1+f.rng.IntN(6))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789-_"[f.rng.IntN(38)]
	}
	return "h" + string(b) + "h"
}

// hosts adds ordinary names, empty non-terminals, and names that are not there.
func (f *filler) hosts() {
	if f.Apex == "t0." {
		f.add("ns.t0. A %s", ServerAddress)
	}
	f.record(f.Apex, dns.TypeMX)
	f.record(f.Apex, dns.TypeTXT)
	f.give("mx", dns.TypeA, dns.TypeAAAA)
	f.give("_25._tcp.mx", dns.TypeTLSA)
	f.worth("_tcp.mx")
	f.worth("_26._tcp.mx")
	for range 2 {
		l := f.label()
		f.give(l, f.some()...)
		f.worth("no%d." + l)
	}
	for range 3 {
		f.record(f.at("many"), dns.TypeA)
		f.record(f.at("many"), dns.TypeTXT)
	}
	f.worth("many", dns.TypeA, dns.TypeTXT)
	f.give("a.b.deep", f.some()...)
	f.worth("b.deep")
	f.worth("deep")
	f.worth("no%d.deep")
	f.record(f.at(`\000\255`), dns.TypeTXT) // neighbours that are no texts
	f.record(f.at(`x\200`), dns.TypeA)
	f.worth("no%d")
	f.worth("no%d.no")
	f.worth("%d" + f.label())
	for _, owner := range sortedKeys(f.cuts) {
		f.asks = append(f.asks, ask{owner, []uint16{dns.TypeDS}})
		f.worth("between")
	}
}

// aliases adds CNAME records that lead about in the zone, and out of it.
func (f *filler) aliases() {
	alias := func(labels, to string) {
		f.add("%s CNAME %s", f.at(labels), to)
		f.worth(labels, dns.TypeCNAME, dns.TypeA, dns.TypeTLSA)
	}
	alias("alias", f.at("mx"))
	alias("second", f.at("alias"))
	alias("third", f.at("second"))
	alias("gone", f.at("nowhere"))
	alias("to-empty", f.at("deep"))
	alias("to-wild", f.at("any.wild"))
	for i := range 6 {
		alias(fmt.Sprintf("out%d", i), f.elsewhere())
	}
}

// elsewhere is a name in another zone.
func (f *filler) elsewhere() string {
	return dnstree.Join([]string{"mx", "nowhere", "alias", "b.deep", "any.wild", "many"}[f.rng.IntN(6)], f.another().Apex)
}

// another is a zone that is not the root.
func (f *filler) another() *zone { return f.w.order[1+f.rng.IntN(len(f.w.order)-1)] }

// wildcards adds wildcards, with records and with aliases, and a name that is closer.
func (f *filler) wildcards() {
	f.give("*.wild", dns.TypeA, dns.TypeTXT)
	f.worth("x%d.wild", dns.TypeA, dns.TypeTXT)
	f.worth("x%d.y.wild", dns.TypeA)
	f.worth("wild")
	f.give("closer.wild", dns.TypeAAAA)
	f.worth("no%d.closer.wild")
	f.give("sub.*.middle", dns.TypeA)
	f.worth("x%d.middle")
	f.worth("*.middle")
	f.add("%s CNAME %s", f.at("*.point"), f.at("mx"))
	f.worth("x%d.point", dns.TypeA)
	f.add("%s CNAME %s", f.at("*.far"), f.elsewhere())
	f.worth("x%d.far", dns.TypeA, dns.TypeCNAME)
	if open := f.at("open"); f.cuts[open] != nil {
		f.add("%s CNAME %s", f.at("*.into"), dnstree.Join("nowhere", open))
		for range 4 { // the result of two zones, one below the other, in one answer
			f.worth("x%d.into", dns.TypeA, dns.TypeMX)
		}
	}
	if f.Wild {
		f.give("*", dns.TypeA, dns.TypeMX)
	}
}

// dnames adds DNAME records to a subtree and to another zone.
func (f *filler) dnames() {
	f.add("%s DNAME %s", f.at("moved"), f.at("deep"))
	f.worth("moved", dns.TypeDNAME)
	f.worth("b.moved", dns.TypeCNAME)
	f.worth("a.b.moved", dns.TypeA, dns.TypeCNAME)
	f.worth("no%d.moved")
	f.add("%s DNAME %s", f.at("away"), f.another().Apex)
	f.worth("mx.away", dns.TypeA)
	f.worth("alias.away", dns.TypeA)
	f.worth("no%d.away")
}

// spotFaults are the faults of single RRsets.
var spotFaults = []Fault{Expired, Early, Flipped, NoSignature, Altered, Added, Stranger, StrangerTag, ParentSigns, OwnerSigns,
	LabelsMore, LabelsFewer, OriginalTTL, WrongTag, WrongAlgorithm, UnknownSigned, TTLRaised, BadBeside, ExpiredBeside,
	UnknownBeside, SignedBySEP, ShuffledRecords}

// zoneFaults are the faults of whole zones.
var zoneFaults = []Fault{Expired, Early, NoSignature, Flipped, StrangerTag, ParentSigns}

// soaFaults are the faults of SOA records.
var soaFaults = []Fault{Flipped, NoSignature, Expired, Altered}

// moved makes the whole zone another name for another zone.
func (f *filler) moved() {
	to := f.another()
	for to.Moved { // or they might go round
		to = f.another()
	}
	f.add("%s DNAME %s", f.Apex, to.Apex)
	f.worth("", dns.TypeDNAME)
	f.worth("mx", dns.TypeA, dns.TypeAAAA)
	f.worth("alias", dns.TypeA)
	f.worth("no%d")
}

// spots adds an owner with each fault, aliases to it, aliases with it, and wildcards.
func (f *filler) spots() {
	for i, fault := range spotFaults {
		host, typ := fmt.Sprintf("f%d", i), hostTypes[f.rng.IntN(len(hostTypes))]
		f.give(host, typ)
		f.spot(host, typ, fault)
		f.worth(host, typ)
		f.worth(host) // for what it has not
		f.add("%s CNAME %s", f.at("to-"+host), f.at(host))
		f.worth("to-"+host, typ)
		if fault == Added {
			continue // two aliases of one owner are malformed
		}
		f.add("%s CNAME %s", f.at("by-"+host), f.at("mx"))
		f.spot("by-"+host, dns.TypeCNAME, fault)
		f.worth("by-"+host, dns.TypeA)
		if fault == LabelsFewer || f.rng.IntN(2) == 0 {
			continue
		}
		f.record(f.at("*.w"+host), dns.TypeA)
		f.spot("*.w"+host, dns.TypeA, fault)
		f.worth("x%d.w"+host, dns.TypeA)
	}
	f.spot("moved", dns.TypeDNAME, []Fault{Flipped, Expired, Altered, NoSignature}[f.rng.IntN(4)])
}

func (f *filler) spot(labels string, typ uint16, fault Fault) {
	f.faults[setKey{f.at(labels), typ}] = fault
}
