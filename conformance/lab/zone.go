package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A zone is the authoritative data of one zone with its keys. Signatures and proofs
// are made when they are first asked for, since most worlds are never looked at.
type zone struct {
	apex  string // fully qualified, lower case
	spec  Zone
	ttl   uint32
	now   func() time.Time
	world string        // name of the world; "" for the top of the tree
	keys  []dnstree.Key // the first signs the data, the last the keys
	false []dnstree.Key // keys whose private half is unknown, and that share the first's tag

	parent *zone
	cuts   map[string]*zone               // delegations, by owner
	data   map[string]map[uint16][]dns.RR // by owner and type

	mu    sync.Mutex // guards what follows
	sigs  map[rrKey][]dns.RR
	there map[string]bool // names with those between; nil: not looked for
	chain *dnstree.Chain
}

type rrKey struct {
	owner string
	typ   uint16
	face  int // of a name with two aliases
}

// newZone makes a zone of its records, a line of a zone file each.
func newZone(spec Zone, lines []string, ttl uint32, now func() time.Time, keys *keyRing) (*zone, error) {
	z := &zone{
		apex: fqdn(spec.Apex), spec: spec, ttl: ttl, now: now,
		cuts: map[string]*zone{}, data: map[string]map[uint16][]dns.RR{},
	}
	head := fmt.Sprintf("%s SOA ns.invalid. hostmaster.invalid. 1 3600 600 864000 %d\n%s NS ns.invalid.\n", z.apex, min(ttl, 60), z.apex)
	zp := dns.NewZoneParser(strings.NewReader(head+strings.Join(lines, "\n")+"\n"), z.apex, "")
	zp.SetDefaultTTL(ttl)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		h := rr.Header()
		h.Name = strings.ToLower(h.Name)
		if !dns.IsSubDomain(z.apex, h.Name) {
			return nil, fmt.Errorf("zone %s: %s is not in it", z.apex, h.Name)
		}
		if z.data[h.Name] == nil {
			z.data[h.Name] = map[uint16][]dns.RR{}
		}
		z.data[h.Name][h.Rrtype] = append(z.data[h.Name][h.Rrtype], rr)
	}
	if err := zp.Err(); err != nil {
		return nil, fmt.Errorf("zone %s: %w", z.apex, err)
	}
	if spec.Sign == Unsigned {
		return z, nil
	}
	var err error
	if z.keys, z.false, err = keys.of(z.apex, spec); err != nil {
		return nil, fmt.Errorf("zone %s: %w", z.apex, err)
	}
	for _, k := range slices.Concat(z.keys, z.false) {
		rr := *k.DNSKEY
		rr.Hdr.Ttl = ttl
		z.data[z.apex][dns.TypeDNSKEY] = append(z.data[z.apex][dns.TypeDNSKEY], &rr)
	}
	if z.nsec3() {
		z.data[z.apex][dns.TypeNSEC3PARAM] = []dns.RR{&dns.NSEC3PARAM{
			Hdr:  dns.RR_Header{Name: z.apex, Rrtype: dns.TypeNSEC3PARAM, Class: dns.ClassINET},
			Hash: dns.SHA1, Iterations: spec.Iterations, SaltLength: uint8(len(spec.Salt) / 2), Salt: spec.Salt,
		}}
	}
	return z, nil
}

// reset forgets the delegations and everything made from them.
func (z *zone) reset() {
	z.parent, z.cuts = nil, map[string]*zone{}
	z.sigs, z.there, z.chain = nil, nil, nil
}

// rrset returns the records of a name as the zone has them; DS and NS of a delegation
// too.
func (z *zone) rrset(owner string, typ uint16) []dns.RR {
	if child := z.cuts[owner]; child != nil {
		switch typ {
		case dns.TypeNS:
			return child.data[owner][dns.TypeNS]
		case dns.TypeDS:
			return child.dsRecords(owner)
		}
		return nil
	}
	return z.data[owner][typ]
}

// types lists what an owner has, without the types that signing adds.
func (z *zone) types(owner string) []uint16 {
	if child := z.cuts[owner]; child != nil {
		if child.hasDS() {
			return []uint16{dns.TypeNS, dns.TypeDS}
		}
		return []uint16{dns.TypeNS}
	}
	var out []uint16
	for t := range z.data[owner] {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// hasDS reports whether the parent publishes DS records for z.
func (z *zone) hasDS() bool {
	if z.spec.Sign == Unsigned {
		return z.spec.DS == DSOfNothing
	}
	return z.spec.DS != DSMissing
}

// dsRecords makes the DS records of z as its spec says.
func (z *zone) dsRecords(owner string) []dns.RR {
	if !z.hasDS() {
		return nil
	}
	var ds *dns.DS
	if len(z.keys) > 0 {
		ds = z.keys[len(z.keys)-1].ToDS(dns.SHA256)
	} else {
		ds = &dns.DS{KeyTag: 1, Algorithm: dns.ECDSAP256SHA256, DigestType: dns.SHA256, Digest: strings.Repeat("00", 32)}
	}
	switch z.spec.DS {
	case DSWrong:
		ds.Digest = strings.Repeat("5a", len(ds.Digest)/2)
	case DSOtherAlgorithm:
		ds.Algorithm = dns.RSASHA256
		if z.spec.Algorithm == dns.RSASHA256 {
			ds.Algorithm = dns.ECDSAP256SHA256
		}
	case DSUnsupported:
		ds.Algorithm = dnstree.UnknownAlgorithm
	case DSUnknownDigest:
		ds.DigestType = dnstree.UnknownDigest
	}
	ds.Hdr = dns.RR_Header{Name: owner, Rrtype: dns.TypeDS, Class: dns.ClassINET, Ttl: z.ttl}
	return []dns.RR{ds}
}

// cutAbove returns the delegation at or above a name; "" if there is none.
func (z *zone) cutAbove(name string) string {
	for n := name; n != z.apex && n != "."; n = dnstree.Parent(n) {
		if z.cuts[n] != nil {
			return n
		}
	}
	return ""
}

// encloser returns the closest existing ancestor of name.
func (z *zone) encloser(name string) string {
	ce := dnstree.Parent(name)
	for !z.exists(ce) {
		ce = dnstree.Parent(ce)
	}
	return ce
}

// A tree is every zone there is.
type tree struct {
	zones  map[string]*zone
	faults []Fault
}

// topLevel are the zones above those of the worlds. Their TTL is long: nothing of them
// changes but delegations.
var topLevel = []Zone{
	{Apex: ".", Split: true},
	{Apex: "test"},
	{Apex: "example", Sign: NSEC3},
	{Apex: "optout", Sign: OptOut, Salt: "5ec1a551"},
	{Apex: "unsigned", Sign: Unsigned},
}

// usualTTL is the TTL of records in seconds; no world changes but by Forge.
const usualTTL = 300

func newTree(now func() time.Time, keys *keyRing) (*tree, error) {
	t := &tree{zones: map[string]*zone{}}
	for _, spec := range topLevel {
		z, err := newZone(spec, nil, usualTTL, now, keys)
		if err != nil {
			return nil, err
		}
		t.zones[z.apex] = z
	}
	return t, nil
}

func (t *tree) root() *zone { return t.zones["."] }

// add puts a zone of a world into the tree.
func (t *tree) add(z *zone) error {
	if t.zones[z.apex] != nil {
		return fmt.Errorf("the zone %s is there already", z.apex)
	}
	t.zones[z.apex] = z
	return nil
}

// link makes the delegations.
func (t *tree) link() error {
	for _, z := range t.zones {
		z.reset()
	}
	for _, z := range t.zones {
		if z.apex == "." {
			continue
		}
		p := t.deepest(dnstree.Parent(z.apex))
		if p.apex == "." && z.world != "" {
			return errors.New("lab: world " + z.world + ": there is no top-level domain for " + z.apex)
		}
		z.parent, p.cuts[z.apex] = p, z
	}
	return nil
}

// deepest is the zone that holds name.
func (t *tree) deepest(name string) *zone {
	for n := name; ; n = dnstree.Parent(n) {
		if z := t.zones[n]; z != nil {
			return z
		}
	}
}

// serving is the zone that answers the question: a DS is in the parent.
func (t *tree) serving(name string, typ uint16) *zone {
	z := t.deepest(name)
	if typ == dns.TypeDS && z.apex == name && z.parent != nil {
		return z.parent
	}
	return z
}

// fqdn is the one form of names inside the lab.
func fqdn(s string) string { return strings.ToLower(dns.Fqdn(s)) }
