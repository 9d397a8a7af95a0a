package generate

import (
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A Fault is what is wrong with one RRset and its signatures.
type Fault string

// Faults of RRsets, and peculiarities that are none.
const (
	Expired         Fault = "expired"
	Early           Fault = "early"
	Flipped         Fault = "flipped"          // a bit of the signature
	NoSignature     Fault = "no-signature"     //
	Altered         Fault = "altered"          // the data, after signing
	Added           Fault = "added"            // a record more
	Stranger        Fault = "stranger"         // signed by a key that the zone does not have
	StrangerTag     Fault = "stranger-tag"     // the same, under the tag of the zone's key
	ParentSigns     Fault = "parent-signs"     // the signer is the parent
	OwnerSigns      Fault = "owner-signs"      // the signer is the owner, which is no zone
	LabelsMore      Fault = "labels-more"      // than the owner has
	LabelsFewer     Fault = "labels-fewer"     // passed off as made from a wildcard, without proof
	OriginalTTL     Fault = "original-ttl"     // not the one that was signed
	WrongTag        Fault = "wrong-tag"        //
	WrongAlgorithm  Fault = "wrong-algorithm"  // a supported one
	UnknownSigned   Fault = "unknown-signed"   // only under an unknown algorithm
	TTLRaised       Fault = "ttl-raised"       // harmless: above the original TTL (RFC 4035 section 5.3.3)
	BadBeside       Fault = "bad-beside"       // harmless: a bad signature in addition to the good one
	ExpiredBeside   Fault = "expired-beside"   // harmless
	UnknownBeside   Fault = "unknown-beside"   // harmless: one of an unknown algorithm in addition to it
	SignedBySEP     Fault = "signed-by-sep"    // harmless: by the key that signs keys
	ShuffledRecords Fault = "shuffled-records" // harmless: another order, and one record twice
)

// A draft is an RRset while it is signed.
type draft struct {
	z     *zone
	owner string
	by    *dnstree.Key
	rrs   []dns.RR
	sig   *dns.RRSIG
	sigs  []dns.RR
}

// A setFault says how a fault is made: by what is done before signing, and after.
type setFault struct {
	harmless      bool
	before, after func(*draft) error
}

// make signs the draft with the fault.
func (d *draft) make(f setFault) error {
	if f.before != nil {
		if err := f.before(d); err != nil {
			return err
		}
	}
	signed := d.rrs
	if d.sig.Hdr.Name != d.owner { // signed as if it were a wildcard's
		signed = renamed(d.rrs, d.sig.Hdr.Name)
	}
	if err := d.sig.Sign(d.by.Private, signed); err != nil {
		return err
	}
	d.sig.Hdr.Name = d.owner
	d.sigs = []dns.RR{d.sig}
	if f.after != nil {
		return f.after(d)
	}
	return nil
}

// renamed copies records under another owner.
func renamed(rrs []dns.RR, owner string) (out []dns.RR) {
	for _, rr := range rrs {
		rr = dns.Copy(rr)
		rr.Header().Name = owner
		out = append(out, rr)
	}
	return out
}

var setFaults = map[Fault]setFault{
	"": {},
	Expired: {before: onSig(func(d *draft) {
		d.sig.Expiration = uint32(d.z.now.Add(-24 * time.Hour).Unix())
	})},
	Early: {before: onSig(func(d *draft) {
		d.sig.Inception = uint32(d.z.now.Add(24 * time.Hour).Unix())
	})},
	Flipped:     {after: onSig(func(d *draft) { d.sig.Signature = dnstree.Flip(d.sig.Signature) })},
	NoSignature: {after: onSig(func(d *draft) { d.sigs = nil })},
	Altered:     {after: onSig(func(d *draft) { d.rrs = append([]dns.RR{altered(d.rrs[0])}, d.rrs[1:]...) })},
	Added:       {after: onSig(func(d *draft) { d.rrs = append(slices.Clone(d.rrs), altered(d.rrs[0])) })},
	Stranger:    {before: byStranger(true)},
	StrangerTag: {before: byStranger(false)},
	ParentSigns: {before: onSig(func(d *draft) { d.sig.SignerName = dnstree.Parent(d.z.Apex) })},
	OwnerSigns:  {before: onSig(func(d *draft) { d.sig.SignerName = d.owner })},
	LabelsMore:  {after: onSig(func(d *draft) { d.sig.Labels++ })},
	LabelsFewer: {before: onSig(func(d *draft) { d.sig.Hdr.Name = dnstree.Join("*", dnstree.Parent(d.owner)) })},
	OriginalTTL: {after: onSig(func(d *draft) { d.sig.OrigTtl++ })},
	WrongTag:    {after: onSig(func(d *draft) { d.sig.KeyTag ^= 0x55 })},
	WrongAlgorithm: {after: onSig(func(d *draft) {
		d.sig.Algorithm = otherThan(d.sig.Algorithm)
	})},
	UnknownSigned: {after: onSig(func(d *draft) { d.sig.Algorithm = dnstree.UnknownAlgorithm })},

	TTLRaised: {harmless: true, after: onSig(func(d *draft) {
		d.rrs = renamed(d.rrs, d.owner)
		for _, rr := range d.rrs {
			rr.Header().Ttl *= 2
		}
	})},
	BadBeside:     {harmless: true, after: another(func(s *dns.RRSIG) { s.Signature = dnstree.Flip(s.Signature) })},
	ExpiredBeside: {harmless: true, after: another(func(s *dns.RRSIG) { s.Expiration -= uint32(2 * life / time.Second) })},
	UnknownBeside: {harmless: true, after: another(func(s *dns.RRSIG) { s.Algorithm, s.KeyTag = dnstree.UnknownAlgorithm, 4711 })},
	SignedBySEP: {harmless: true, before: onSig(func(d *draft) {
		d.by = d.z.sep
		d.sig.KeyTag = d.by.KeyTag()
	})},
	ShuffledRecords: {harmless: true, after: onSig(func(d *draft) {
		d.rrs = append(slices.Clone(d.rrs), d.rrs[0])
		slices.Reverse(d.rrs)
	})},
}

// onSig makes a fault that cannot fail.
func onSig(edit func(*draft)) func(*draft) error {
	return func(d *draft) error {
		edit(d)
		return nil
	}
}

// byStranger signs with a foreign key, under its tag or that of the zone's.
func byStranger(tag bool) func(*draft) error {
	return func(d *draft) error {
		all, err := strangers()
		if err != nil {
			return err
		}
		k, ok := all[d.by.Algorithm]
		if !ok {
			return errors.New("no stranger of the algorithm")
		}
		d.by = &k
		if tag {
			d.sig.KeyTag = d.by.KeyTag()
		}
		return nil
	}
}

// another puts another signature in front of the good one.
func another(edit func(*dns.RRSIG)) func(*draft) error {
	return onSig(func(d *draft) {
		other := dns.Copy(d.sig).(*dns.RRSIG)
		edit(other)
		d.sigs = []dns.RR{other, d.sig}
	})
}

// altered is the record with other data.
func altered(rr dns.RR) dns.RR {
	out := dns.Copy(rr)
	switch r := out.(type) {
	case *dns.A:
		r.A = slices.Clone(r.A)
		r.A[len(r.A)-1] ^= 0x40
	case *dns.AAAA:
		r.AAAA = slices.Clone(r.AAAA)
		r.AAAA[15] ^= 0x40
	case *dns.MX:
		r.Preference ^= 0x40
	case *dns.TXT:
		r.Txt = append([]string{"altered"}, r.Txt...)
	case *dns.TLSA:
		r.Selector ^= 1
	case *dns.CNAME:
		r.Target = "altered." + r.Target
	case *dns.DNAME:
		r.Target = "altered." + r.Target
	case *dns.SOA:
		r.Serial++
	case *dns.NS:
		r.Ns = "altered." + r.Ns
	case *dns.DS:
		r.KeyTag ^= 0x55
	case *dns.NSEC:
		r.NextDomain = "zzz." + r.NextDomain
	case *dns.NSEC3:
		r.Flags ^= 1
	}
	return out
}
