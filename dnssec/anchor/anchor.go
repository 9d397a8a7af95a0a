// Package anchor reads DNSSEC trust anchors and follows them through rollovers.
//
// A trust anchor is a key, or the digest of one, that is believed without proof:
// for nearly everyone that of the DNS root, which [Root] holds. Others come
// from files (see [Parse]) in the formats that Unbound, BIND and IANA use, or from
// the state that an RFC 5011 manager keeps (see [State]), which this package reads
// and never writes.
package anchor

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/rfc6125"
)

// ErrAnchor is wrapped by every error of this package about text or files that
// hold no usable anchors.
var ErrAnchor = errors.New("trust anchor")

// An Anchor is a key, or the digest of one, that is believed for a zone. Exactly
// one of DS and Key is set. The zero Anchor is none.
type Anchor struct {
	Zone rfc6125.Name
	DS   *proof.DS
	Key  *proof.Key
	// From and Until bound its use (RFC 7958 section 2.1.2): not before the one, not at
	// or after the other. A zero time is no bound.
	From, Until time.Time
}

// ValidAt reports whether the anchor may be used at the time.
func (a Anchor) ValidAt(now time.Time) bool {
	return !now.Before(a.From) && (a.Until.IsZero() || now.Before(a.Until))
}

// String prints the anchor as "zone DS tag algorithm digest-type" or "zone DNSKEY
// tag algorithm", for people.
func (a Anchor) String() string {
	switch {
	case a.DS != nil:
		return fmt.Sprintf("%s DS %d %d %d", a.Zone, a.DS.KeyTag, a.DS.Algorithm, a.DS.Digest)
	case a.Key != nil:
		return fmt.Sprintf("%s DNSKEY %d %d", a.Zone, a.Key.Tag, a.Key.Algorithm)
	}
	return "none"
}

// SignedZone returns a zone that is signed if any is: the root, unless all anchors are of
// other zones.
func SignedZone(anchors []Anchor) rfc6125.Name {
	root := rfc6125.RootName()
	if len(anchors) == 0 || slices.ContainsFunc(anchors, func(a Anchor) bool { return a.Zone == root }) {
		return root
	}
	return anchors[0].Zone
}

// Root returns the anchors of the DNS root: the key-signing keys of 2017 (20326)
// and 2024 (38696), as IANA publishes them at
// https://data.iana.org/root-anchors/root-anchors.xml. Both are believed, so that the
// rollover from one to the other needs no new release.
func Root() []Anchor {
	return []Anchor{
		rootDS(20326, "e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d"),
		rootDS(38696, "683d2d0acb8c9b712a1948b27f741219298d0a450d612c483af444a4c0fb2b16"),
	}
}

func rootDS(tag uint16, digest string) Anchor {
	h, _ := hex.DecodeString(digest) // a constant; a test reads it back
	return Anchor{
		Zone: rfc6125.RootName(),
		DS:   &proof.DS{KeyTag: tag, Algorithm: proof.RSASHA256, Digest: proof.SHA256, Hash: h},
	}
}
