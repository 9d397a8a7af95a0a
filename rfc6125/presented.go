package rfc6125

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mxauth/mxauth/internal/text"
)

// Limits on what is read of one certificate. A certificate of this size came
// through a TLS handshake already, but each name costs work for every match.
const (
	// MaxIdentifiers is how many names of a subjectAltName, and how many Common
	// Names, are looked at; public CAs issue with at most a few hundred.
	MaxIdentifiers = 4096
	// maxShown is how many octets of a presented name are printed.
	maxShown = 256
)

// An Identifier is one name that a certificate offers.
type Identifier struct {
	// Kind is what it counts as; the zero Kind for a name that proves nothing.
	Kind Kind
	// Text is the name as presented, escaped and cut so that a terminal can
	// show it: "mx.example.org", "*.example.org", "_imap.example.org",
	// "192.0.2.1".
	Text string
	// Form names the field it stood in: "dNSName", "SRVName", "CN", or for the
	// zero Kind "iPAddress", "uniformResourceIdentifier", "rfc822Name",
	// "otherName", "subjectAltName" (an extension that could not be read) ...
	Form string
	// Invalid says why the name can never match, "" if it can.
	Invalid string

	name     string // lower case, without "*." and "_service."; "" if Invalid
	service  string // of an SRV-ID, lower case
	wildcard bool   // "*." stood before name
}

// String prints Text, with the form before it unless it is a dNSName: as an
// administrator reads a list of names, "CN=mx.example.org".
func (id Identifier) String() string {
	if id.Kind == DNSID {
		return id.Text
	}
	return id.Form + "=" + id.Text
}

// IsWildcard reports whether id is a valid name with an asterisk as its whole
// left-most label.
func (id Identifier) IsWildcard() bool { return id.wildcard }

// Presented holds the identifiers that a certificate offers, parsed once so
// that they can be matched many times. It is immutable and safe for concurrent
// use. The zero Presented offers nothing.
type Presented struct {
	ids  []Identifier // in the order of the certificate, subjectAltName first
	noCN bool         // the certificate has names that rule out the Common Name
}

// PresentedBy reads the identifiers of cert. It never fails: what is no valid
// identifier is kept with the reason why it cannot match, and printed. The
// names are read from the raw extension and subject, not from the fields that
// crypto/x509 fills. A nil cert gives the zero Presented.
func PresentedBy(cert *x509.Certificate) Presented {
	if cert == nil {
		return Presented{}
	}
	var san []byte
	for _, e := range cert.Extensions {
		if slices.Equal(e.Id, []int{2, 5, 29, 17}) {
			san = e.Value
			if san == nil {
				san = []byte{} // an empty extension is not an absent one
			}
			break
		}
	}
	return ParsePresented(san, cert.RawSubject)
}

// ParsePresented is [PresentedBy] for callers who hold the raw DER: san is the
// value of the subjectAltName extension, nil if the certificate has none, and
// subject its subject, an RDNSequence.
func ParsePresented(san, subject []byte) Presented {
	var p Presented
	if san != nil {
		p.readSAN(san)
	}
	p.readSubject(subject)
	return p
}

// Names lists what the certificate offers, as text that is safe for a terminal:
// dNSNames in their order, then Common Names marked as "CN=...".
func (p Presented) Names() []string {
	var names []string
	for _, id := range p.ids {
		if id.Form == formDNS || id.Form == formCN {
			names = append(names, id.String())
		}
	}
	return names
}

// Identifiers lists everything that the certificate offers, in its order, the
// subject's Common Names last.
func (p Presented) Identifiers() []Identifier { return append([]Identifier(nil), p.ids...) }

// CommonNameCounts reports whether a Common Name may be looked at at all where
// [Options.CNID] is set: the certificate holds no dNSName, SRVName or URI, valid
// or not (RFC 6125 section 6.4.4).
func (p Presented) CommonNameCounts() bool { return !p.noCN }

// Object identifiers in DER, without tag and length.
const (
	oidSRVName    = "\x2b\x06\x01\x05\x05\x07\x08\x07" // 1.3.6.1.5.5.7.8.7
	oidCommonName = "\x55\x04\x03"                     // 2.5.4.3
)

const (
	formDNS = "dNSName"
	formSRV = "SRVName"
	formCN  = "CN"
)

// generalNames are the forms of GeneralName by tag (RFC 5280 section 4.2.1.6).
var generalNames = [...]string{
	"otherName", "rfc822Name", formDNS, "x400Address", "directoryName", "ediPartyName",
	"uniformResourceIdentifier", "iPAddress", "registeredID",
}

// GeneralName tags that we read.
const (
	tagOtherName = 0
	tagDNS       = 2
	tagURI       = 6
	tagIP        = 7
)

// Parts of an ASN.1 tag (X.690 section 8.1.2).
const (
	classMask    asn1.Tag = 0xc0
	classContext asn1.Tag = 0x80
	constructed  asn1.Tag = 0x20
)

// inside returns the body of der if it is one element with this tag and no more.
func inside(der []byte, tag asn1.Tag) (body cryptobyte.String, ok bool) {
	s := cryptobyte.String(der)
	return body, s.ReadASN1(&body, tag) && s.Empty()
}

func (p *Presented) readSAN(der []byte) {
	bad := func(why string) {
		// The names in it are not known, so no other name may replace them.
		p.noCN = true
		p.ids = append(p.ids, Identifier{Form: "subjectAltName", Text: text.ASCII(string(der), maxShown), Invalid: why})
	}
	names, ok := inside(der, asn1.SEQUENCE)
	if !ok {
		bad("the extension is no sequence of names")
		return
	}
	p.ids = make([]Identifier, 0, countElements(names))
	for !names.Empty() {
		if len(p.ids) == MaxIdentifiers {
			bad(fmt.Sprintf("more than %d names", MaxIdentifiers))
			return
		}
		var name cryptobyte.String
		var tag asn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			bad("the extension is cut short or malformed")
			return
		}
		p.ids = append(p.ids, p.generalName(tag, name))
	}
}

// countElements counts the elements of s, up to the number that is looked at and one
// for a fault.
func countElements(s cryptobyte.String) int {
	n := 1
	for n <= MaxIdentifiers && !s.Empty() {
		var element cryptobyte.String
		var tag asn1.Tag
		if !s.ReadAnyASN1(&element, &tag) {
			break
		}
		n++
	}
	return n
}

func (p *Presented) generalName(tag asn1.Tag, name cryptobyte.String) Identifier {
	form := int(tag &^ (classContext | constructed))
	if tag&classMask != classContext || form >= len(generalNames) {
		return Identifier{Form: "subjectAltName", Text: text.ASCII(string(name), maxShown), Invalid: "a name of unknown form"}
	}
	id := Identifier{Form: generalNames[form], Text: text.ASCII(string(name), maxShown)}
	switch form {
	case tagDNS:
		p.noCN = true
		id.Kind = DNSID
		if tag&constructed != 0 {
			id.Invalid = "not an IA5String"
			return id
		}
		if id.Text == string(name) { // as it nearly always is
			id.setName(id.Text)
		} else {
			id.setName(string(name))
		}
	case tagURI:
		p.noCN = true
		id.Invalid = "a URI proves no host name"
	case tagIP:
		id.Invalid = "an address proves no host name" // SID9525-6.2-02: RFC 9525 section 6.2
		if a, ok := netip.AddrFromSlice(name); ok {
			id.Text = a.String()
		}
	case tagOtherName:
		var oid cryptobyte.String
		if !name.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || string(oid) != oidSRVName {
			id.Invalid = "proves no host name"
			break
		}
		p.noCN = true
		id.Kind, id.Form = SRVID, formSRV
		id.setSRV(name)
	default:
		id.Invalid = "proves no host name"
	}
	return id
}

// setSRV reads the value of an SRVName: [0] EXPLICIT IA5String "_Service.Name"
// (RFC 4985 section 2).
func (id *Identifier) setSRV(der []byte) {
	outer, ok := inside(der, classContext|constructed)
	srv, ok2 := inside(outer, asn1.IA5String)
	if !ok || !ok2 {
		id.Invalid = "not an SRVName"
		return
	}
	id.Text = text.ASCII(string(srv), maxShown)
	service, name, _ := strings.Cut(string(srv), ".")
	if !strings.HasPrefix(service, "_") || !isService(strings.ToLower(service[1:])) {
		id.Invalid = "not of the form _service.name"
		return
	}
	// RFC 9525 section 6.3 gives the asterisk a meaning in a DNS-ID alone.
	id.setName(name)
	if id.wildcard {
		id.name, id.wildcard, id.Invalid = "", false, "a wildcard in an SRVName"
	}
	if id.Invalid == "" {
		id.service = strings.ToLower(service[1:])
	}
}

// setName takes the host name part of a DNS-ID, SRV-ID or CN-ID, or says why it
// is none.
func (id *Identifier) setName(s string) {
	name, wildcard, why := presentedName(s)
	if why != "" {
		id.Invalid = why
		return
	}
	id.name, id.wildcard = name, wildcard
}

// presentedName takes apart a presented DNS name. RFC 5280 section 4.2.1.6
// wants the preferred name syntax (so no dot at the end, no octets that are no
// letters, digits or hyphens; `_` is let through, as every large verifier does),
// RFC 9525 section 6.3 one asterisk as the whole left-most label or none
// [SID9525-6.3-04].
func presentedName(s string) (name string, wildcard bool, why string) {
	if isAddress(s) {
		// SID9525-6.2-03: RFC 9525 section 6.2
		return "", false, "an address in the place of a name"
	}
	name = strings.ToLower(s)
	// DANE7672-3.2.3-02: RFC 7672 section 3.2.3; SID9525-6.3-03: RFC 9525 section 6.3
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name, wildcard = rest, true
	}
	if strings.Contains(name, "*") { // SID9525-6.3-04: RFC 9525 section 6.3
		return "", false, "an asterisk that is not the whole left-most label"
	}
	if strings.HasSuffix(name, ".") {
		return "", false, "a dot at the end"
	}
	if !isASCII(s) {
		return "", false, "octets that are not ASCII" // ToLower may have changed them
	}
	// PKIX5280-4.2.1.6-01: RFC 5280 section 4.2.1.6
	if why = checkHost(name, strictHyphens); why != "" {
		return "", false, why
	}
	if len(s) > maxHostOctets {
		return "", false, "longer than 253 octets"
	}
	return name, wildcard, ""
}

// readSubject finds the Common Names. An RDN with more than one of them holds
// no CN-ID (RFC 6125 section 1.8).
func (p *Presented) readSubject(der []byte) {
	most := len(p.ids) + MaxIdentifiers
	rdns, ok := inside(der, asn1.SEQUENCE)
	if !ok {
		return
	}
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, asn1.SET) {
			return
		}
		first := len(p.ids)
		for !set.Empty() {
			var attribute, oid cryptobyte.String
			if !set.ReadASN1(&attribute, asn1.SEQUENCE) || !attribute.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) {
				return
			}
			// SID6125-6.2.1-01: RFC 6125 section 6.2.1
			if string(oid) != oidCommonName || len(p.ids) == most {
				continue
			}
			p.ids = append(p.ids, commonName(attribute))
		}
		if len(p.ids)-first > 1 {
			for i := first; i < len(p.ids); i++ {
				p.ids[i].Invalid = "more than one Common Name in one RDN"
				p.ids[i].name, p.ids[i].wildcard = "", false
			}
		}
	}
}

func commonName(value cryptobyte.String) Identifier {
	var name cryptobyte.String
	var tag asn1.Tag
	rest := value
	ok := rest.ReadAnyASN1(&name, &tag)
	id := Identifier{Kind: CNID, Form: formCN, Text: text.ASCII(string(name), maxShown)}
	switch {
	case ok && !rest.Empty():
		id.Text, id.Invalid = text.ASCII(string(value), maxShown), "more than a text string"
	// SID6125-6.4.4-02: RFC 6125 section 6.4.4
	case ok && (tag == asn1.UTF8String || tag == asn1.PrintableString || tag == asn1.IA5String || tag == asn1.T61String):
		id.setName(string(name))
	default:
		// BMPString and UniversalString: two and four octets a character.
		id.Invalid = "not of host-name form"
	}
	return id
}
