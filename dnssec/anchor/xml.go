package anchor

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/rfc6125"
)

// trustAnchorXML is the document of RFC 9718 section 2.2 (before: RFC 7958).
type trustAnchorXML struct {
	XMLName    xml.Name       `xml:"TrustAnchor"`
	Zone       string         `xml:"Zone"`
	KeyDigests []keyDigestXML `xml:"KeyDigest"`
}

type keyDigestXML struct {
	ValidFrom  string  `xml:"validFrom,attr"`
	ValidUntil string  `xml:"validUntil,attr"`
	KeyTag     uint16  `xml:"KeyTag"`
	Algorithm  uint8   `xml:"Algorithm"`
	DigestType uint8   `xml:"DigestType"`
	Digest     string  `xml:"Digest"`
	PublicKey  string  `xml:"PublicKey"`
	Flags      *uint16 `xml:"Flags"`
}

// parseXML reads IANA's root-anchors.xml. An entry whose digest is not that of the
// public key next to it makes the whole file unusable (RFC 9718, security
// considerations: such an entry is not to be used; and who writes one writes others).
func parseXML(b []byte) ([]Anchor, error) {
	var doc trustAnchorXML
	d := xml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	zone, err := rfc6125.ParseName(strings.TrimSpace(doc.Zone))
	if err != nil {
		return nil, fmt.Errorf("%w: zone: %w", ErrAnchor, err)
	}
	if len(doc.KeyDigests) > maxAnchors {
		return nil, fmt.Errorf("%w: more than %d anchors", ErrAnchor, maxAnchors)
	}
	var out []Anchor
	for _, k := range doc.KeyDigests {
		a, err := k.anchor(zone)
		if err != nil {
			return nil, fmt.Errorf("%w: key digest %d: %w", ErrAnchor, k.KeyTag, err)
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no anchor in the file", ErrAnchor)
	}
	return out, nil
}

func (k keyDigestXML) anchor(zone rfc6125.Name) (Anchor, error) {
	hash, err := hex.DecodeString(strings.Join(strings.Fields(k.Digest), ""))
	if err != nil || len(hash) == 0 {
		return Anchor{}, fmt.Errorf("a digest that cannot be read")
	}
	a := Anchor{Zone: zone, DS: &proof.DS{KeyTag: k.KeyTag, Algorithm: k.Algorithm, Digest: k.DigestType, Hash: hash}}
	if a.From, err = timeXML(k.ValidFrom); err != nil {
		return Anchor{}, err
	}
	if a.Until, err = timeXML(k.ValidUntil); err != nil {
		return Anchor{}, err
	}
	if k.PublicKey == "" {
		return a, nil
	}
	pub, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(k.PublicKey), ""))
	if err != nil {
		return Anchor{}, fmt.Errorf("a public key that cannot be read")
	}
	flags := uint16(257) // a key-signing key, unless it says otherwise
	if k.Flags != nil {
		flags = *k.Flags
	}
	key, _ := proof.ParseKey(append([]byte{byte(flags >> 8), byte(flags), 3, k.Algorithm}, pub...))
	if !a.DS.Matches(zone, key) { // TA9718-SecCons-01: RFC 9718, Security Considerations
		return Anchor{}, fmt.Errorf("the digest is not that of the public key in the same entry")
	}
	return a, nil
}

// timeXML reads an xsd:dateTime; "" is no bound.
func timeXML(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("a time that cannot be read: %.40q", s)
	}
	return t, nil
}
