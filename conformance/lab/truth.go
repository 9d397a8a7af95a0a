package lab

import (
	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// What DNSSEC must make of an answer is derived here from the *specification* of the
// zones: which are signed, which DS their parents have, what is broken. No signature
// is looked at, so that a validator can be compared with it.

// A security is a status, the worst first.
type security uint8

const (
	bogus security = iota
	insecure
	secure
)

// A verdict is a security with the extended error that goes with it (RFC 8914).
type verdict struct {
	security security
	ede      uint16
	text     string
}

// worse returns the worse of two.
func (v verdict) worse(o verdict) verdict {
	if o.security < v.security {
		return o
	}
	return v
}

// sound is the verdict on what is signed and right.
var sound = verdict{security: secure}

// maxIterations is the number of NSEC3 iterations up to which denials count (RFC 9276
// section 3.2; what the large resolvers take).
const maxIterations = 150

// maxColliding is the number of keys of one tag that a validator must still bear; a
// zone of the lab has few or very many.
const maxColliding = 2

// failures lists which words make a signature fail, and how that is called.
var failures = []struct {
	word BreakWord
	ede  uint16
}{
	{Stripped, dns.ExtendedErrorCodeRRSIGsMissing},
	{Expired, dns.ExtendedErrorCodeSignatureExpired},
	{NotYetValid, dns.ExtendedErrorCodeSignatureNotYetValid},
	{WrongKey, dns.ExtendedErrorCodeDNSKEYMissing},
	{WrongSigner, dns.ExtendedErrorCodeDNSBogus},
	{BadSignature, dns.ExtendedErrorCodeDNSBogus},
	{Forged, dns.ExtendedErrorCodeDNSBogus},
}

// status is the security of the zone as a whole: what its keys are worth.
func (z *zone) status() verdict {
	if z.parent == nil {
		return sound
	}
	if p := z.parent.status(); p.security != secure {
		return p
	}
	if !z.hasDS() {
		return z.parent.ofDenial(z.apex, dns.TypeDS, z.parent.prover().Type(z.apex)).worse(
			verdict{security: insecure})
	}
	if v := z.parent.ofSet(z.apex, dns.TypeDS); v.security != secure {
		return v
	}
	switch {
	case z.spec.DS == DSUnsupported, !implemented(z.spec.Algorithm):
		return verdict{insecure, dns.ExtendedErrorCodeUnsupportedDNSKEYAlgorithm, "no supported algorithm"}
	case z.spec.DS == DSUnknownDigest:
		return verdict{insecure, dns.ExtendedErrorCodeUnsupportedDSDigestType, "no supported digest"}
	case z.spec.DS == DSWrong, z.spec.DS == DSOtherAlgorithm, z.spec.Sign == Unsigned:
		return verdict{bogus, dns.ExtendedErrorCodeDNSKEYMissing, "no key of " + z.apex + " fits its DS"}
	case z.spec.Colliding > maxColliding:
		return verdict{bogus, dns.ExtendedErrorCodeDNSSECIndeterminate, "too many keys of one tag in " + z.apex}
	}
	return z.ownSet(z.apex, dns.TypeDNSKEY)
}

// implemented reports whether validators implement an algorithm (RFC 9904).
func implemented(algorithm uint8) bool {
	switch algorithm {
	case 0, dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}

// ownSet judges the signatures of an RRset by themselves.
func (z *zone) ownSet(owner string, typ uint16) verdict {
	for _, f := range failures {
		if z.broken(f.word, owner, typ) {
			return verdict{bogus, f.ede, string(f.word) + ": " + owner + " " + dns.TypeToString[typ]}
		}
	}
	return sound
}

// ofSet judges an RRset of the zone.
func (z *zone) ofSet(owner string, typ uint16) verdict {
	v := z.status()
	if v.security != secure {
		return v
	}
	return z.ownSet(owner, typ)
}

// ofDenial judges the proof that a name, or a type at it, does not exist.
func (z *zone) ofDenial(name string, typ uint16, p *dnstree.Proof) verdict {
	v := z.status()
	if v.security != secure {
		return v
	}
	if z.broken(NoDenial, name, typ) {
		return verdict{bogus, dns.ExtendedErrorCodeNSECMissing, "no proof for " + name}
	}
	if z.broken(ForgedDenial, name, typ) {
		return verdict{bogus, dns.ExtendedErrorCodeNSECMissing, "a proof of something else for " + name}
	}
	for _, l := range p.Links {
		v = v.worse(z.ownSet(l.RR.Header().Name, l.RR.Header().Rrtype))
	}
	if v.security == secure && z.nsec3() && z.spec.Iterations > maxIterations {
		return verdict{insecure, dns.ExtendedErrorCodeUnsupportedNSEC3IterValue, "too many iterations in " + z.apex}
	}
	if v.security == secure && p.OptOut {
		return verdict{security: insecure}
	}
	return v
}
