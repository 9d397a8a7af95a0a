package generate

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A DSKind says which DS records a zone has in its parent.
type DSKind string

// Kinds of DS sets.
const (
	DSGood          DSKind = ""                 // SHA-256
	DSSHA1          DSKind = "sha1"             //
	DSSHA384        DSKind = "sha384"           //
	DSTwo           DSKind = "two-digests"      // SHA-1 and SHA-256
	DSStale         DSKind = "stale-beside"     // a good one, and one of a key that has gone
	DSUnknownBeside DSKind = "unknown-beside"   // a good one, and one of an unknown algorithm
	DSTwoKeys       DSKind = "two-algorithms"   // of two keys, one of which has not signed the keys (RFC 6840 section 5.11)
	DSOldWrong      DSKind = "sha1-wrong"       // SHA-256 is right (RFC 4509 section 3)
	DSNone          DSKind = "none"             // none, though the zone is signed
	DSUnknown       DSKind = "unknown-alg"      // RFC 4035 section 5.2
	DSUnknownDigest DSKind = "unknown-digest"   //
	DSBothUnknown   DSKind = "both-unknown"     // one of each
	DSWrong         DSKind = "wrong"            // the digest of something else
	DSNewWrong      DSKind = "sha256-wrong"     // SHA-1 is right, and must not count (RFC 4509)
	DSOther         DSKind = "other-alg"        // a supported algorithm that no key has
	DSOfNothing     DSKind = "of-nothing"       // the zone is not signed
	DSTagWrong      DSKind = "tag-wrong"        // right but for the key tag
	DSStandby       DSKind = "of-unsigning-key" // of a published key that has not signed the keys
)

// dsKinds say how a DS set is made, and which status it gives the zone.
var dsKinds = map[DSKind]struct {
	status Status
	make   func(z *zone) []*dns.DS
}{
	DSGood:   {Secure, func(z *zone) []*dns.DS { return []*dns.DS{z.ds(dns.SHA256)} }},
	DSSHA1:   {Secure, func(z *zone) []*dns.DS { return []*dns.DS{z.ds(dns.SHA1)} }},
	DSSHA384: {Secure, func(z *zone) []*dns.DS { return []*dns.DS{z.ds(dns.SHA384)} }},
	DSTwo:    {Secure, func(z *zone) []*dns.DS { return []*dns.DS{z.ds(dns.SHA1), z.ds(dns.SHA256)} }},
	DSStale: {Secure, func(z *zone) []*dns.DS {
		return []*dns.DS{z.ds(dns.SHA256), edited(z.ds(dns.SHA256), func(d *dns.DS) { d.KeyTag ^= 0x55; d.Digest = nonsense(d.Digest) })}
	}},
	DSUnknownBeside: {Secure, func(z *zone) []*dns.DS {
		return []*dns.DS{z.ds(dns.SHA256), edited(z.ds(dns.SHA256), func(d *dns.DS) { d.Algorithm = dnstree.UnknownAlgorithm })}
	}},
	DSTwoKeys: {Secure, func(z *zone) []*dns.DS {
		return []*dns.DS{z.second.ToDS(dns.SHA256), z.ds(dns.SHA256)}
	}},
	DSOldWrong: {Secure, func(z *zone) []*dns.DS {
		return []*dns.DS{z.ds(dns.SHA256), edited(z.ds(dns.SHA1), func(d *dns.DS) { d.Digest = nonsense(d.Digest) })}
	}},
	DSNone: {Insecure, func(*zone) []*dns.DS { return nil }},
	DSUnknown: {Insecure, func(z *zone) []*dns.DS {
		return []*dns.DS{edited(z.ds(dns.SHA256), func(d *dns.DS) { d.Algorithm = dnstree.UnknownAlgorithm })}
	}},
	DSUnknownDigest: {Insecure, func(z *zone) []*dns.DS {
		return []*dns.DS{edited(z.ds(dns.SHA256), func(d *dns.DS) { d.DigestType = dnstree.UnknownDigest })}
	}},
	DSBothUnknown: {Insecure, func(z *zone) []*dns.DS {
		return []*dns.DS{
			edited(z.ds(dns.SHA256), func(d *dns.DS) { d.DigestType = dnstree.UnknownDigest }),
			edited(z.ds(dns.SHA256), func(d *dns.DS) { d.Algorithm = dnstree.UnknownAlgorithm }),
		}
	}},
	DSWrong: {Bogus, func(z *zone) []*dns.DS {
		return []*dns.DS{edited(z.ds(dns.SHA256), func(d *dns.DS) { d.Digest = nonsense(d.Digest) })}
	}},
	DSNewWrong: {Bogus, func(z *zone) []*dns.DS {
		return []*dns.DS{z.ds(dns.SHA1), edited(z.ds(dns.SHA256), func(d *dns.DS) { d.Digest = nonsense(d.Digest) })}
	}},
	DSOther: {Bogus, func(z *zone) []*dns.DS {
		return []*dns.DS{edited(z.ds(dns.SHA256), func(d *dns.DS) { d.Algorithm = otherThan(d.Algorithm) })}
	}},
	DSOfNothing: {Bogus, func(z *zone) []*dns.DS {
		ds := &dns.DS{Hdr: header(z.Apex, dns.TypeDS), KeyTag: 4711, Algorithm: dns.ECDSAP256SHA256, DigestType: dns.SHA256}
		ds.Digest = nonsense(strings.Repeat("0", 64))
		return []*dns.DS{ds}
	}},
	DSTagWrong: {Bogus, func(z *zone) []*dns.DS {
		return []*dns.DS{edited(z.ds(dns.SHA256), func(d *dns.DS) { d.KeyTag ^= 0x55 })}
	}},
	DSStandby: {Bogus, func(z *zone) []*dns.DS {
		return []*dns.DS{z.keys[len(z.keys)-1].ToDS(dns.SHA256)}
	}},
}

// dsRecords are the DS records that the zone has in its parent.
func (z *zone) dsRecords() (out []dns.RR) {
	if z.Denial == Unsigned && z.DS != DSOfNothing {
		return nil
	}
	for _, ds := range dsKinds[z.DS].make(z) {
		out = append(out, ds)
	}
	return out
}

func (z *zone) ds(digest uint8) *dns.DS { return z.sep.ToDS(digest) }

func edited(ds *dns.DS, edit func(*dns.DS)) *dns.DS {
	edit(ds)
	return ds
}

// nonsense is a digest of the same length.
func nonsense(digest string) string { return strings.Repeat("5a", len(digest)/2) }

// otherThan is a supported algorithm that is not the one given.
func otherThan(algorithm uint8) uint8 {
	if algorithm == dns.ECDSAP256SHA256 {
		return dns.ED25519
	}
	return dns.ECDSAP256SHA256
}

// A KeyFault is what is wrong with the DNSKEY set of a zone.
type KeyFault string

// Faults of keys.
const (
	KeysGood     KeyFault = ""
	KeysMissing  KeyFault = "missing"
	KeysUnsigned KeyFault = "unsigned"
	KeysExpired  KeyFault = "expired"
	KeysEarly    KeyFault = "early"
	KeysFlipped  KeyFault = "flipped"
	KeysByZSK    KeyFault = "by-zsk"   // not signed by the key that the DS names
	KeyRevoked   KeyFault = "revoked"  // RFC 5011 section 2.1
	KeyNoZone    KeyFault = "no-zone"  // without the zone flag (RFC 4034 section 2.1.1)
	KeyProtocol  KeyFault = "protocol" // not 3 (RFC 4034 section 2.1.2)
)

// keyFaults say how each is made; all of them make the zone bogus.
var keyFaults = map[KeyFault]struct {
	set  Fault
	edit func(*dns.DNSKEY)
}{
	KeysMissing:  {},
	KeysUnsigned: {set: NoSignature},
	KeysExpired:  {set: Expired},
	KeysEarly:    {set: Early},
	KeysFlipped:  {set: Flipped},
	KeysByZSK:    {},
	KeyRevoked:   {edit: func(k *dns.DNSKEY) { k.Flags |= dnstree.FlagRevoke }},
	KeyNoZone:    {edit: func(k *dns.DNSKEY) { k.Flags &^= dnstree.FlagZone }},
	KeyProtocol:  {edit: func(k *dns.DNSKEY) { k.Protocol = 2 }},
}
