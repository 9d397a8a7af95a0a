package pkix

import (
	"bytes"
	"crypto/x509"
	xpkix "crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mxauth/mxauth/internal/text"
)

// maxCertificate bounds the bytes of one certificate that is read: crypto/tls
// takes 256 KiB for a whole chain, OpenSSL 100 KiB.
const maxCertificate = 256 << 10

// maxFaults bounds [Certificate.Faults]: the list is for people.
const maxFaults = 16

// Read reads a certificate. It never fails: the Certificate always keeps the
// bytes, and [Certificate.Unread] says which fields could not be read; for what is
// no certificate at all, that is [FieldStructure]. The caller must not change der
// afterwards.
//
// crypto/x509 reads what it can parse. The reader of this package is for the rest.
// It takes DER only, up to and including the key, so that another TLS library
// cannot find another key in the same bytes.
func Read(der []byte) *Certificate {
	if len(der) > maxCertificate {
		c := &Certificate{view: &x509.Certificate{Raw: der}}
		c.std = fmt.Errorf("a certificate of %d bytes, more than the %d that are read", len(der), maxCertificate)
		c.faults = []Fault{{FieldStructure, c.std.Error(), true}}
		return c
	}
	x, err := x509.ParseCertificate(der)
	if err == nil {
		return &Certificate{view: x}
	}
	c := readLenient(der)
	c.std = err
	if len(c.faults) == 0 {
		c.odd(FieldOther, "%s", strings.TrimPrefix(err.Error(), "x509: "))
	}
	return c
}

// ReadChain is [Read] for each certificate of a chain. Those after the first
// [MaxCertificates] and one are left out, so that [Verify] refuses the chain as
// too long without reading all of it.
func ReadChain(ders [][]byte) []*Certificate {
	out := make([]*Certificate, min(len(ders), MaxCertificates+1))
	for i := range out {
		out[i] = Read(ders[i])
	}
	return out
}

func (c *Certificate) fault(f Fault) {
	if len(c.faults) < maxFaults || f.Unread {
		f.Why = text.ASCII(f.Why, maxShown)
		c.faults = append(c.faults, f)
	}
}

// odd notes what crypto/x509 refuses and this package reads.
func (c *Certificate) odd(f Field, format string, args ...any) {
	c.fault(Fault{f, fmt.Sprintf(format, args...), false})
}

// unread notes a field that could not be read.
func (c *Certificate) unread(f Field, format string, args ...any) {
	c.fault(Fault{f, fmt.Sprintf(format, args...), true})
}

// readLenient reads a certificate field by field (RFC 5280 section 4.1).
func readLenient(der []byte) *Certificate {
	v := &x509.Certificate{Raw: der}
	c := &Certificate{view: v}
	outer, ok := inside(der, casn1.SEQUENCE)
	var tbs cryptobyte.String
	if !ok || !outer.ReadASN1Element(&tbs, casn1.SEQUENCE) {
		c.unread(FieldStructure, "not the DER of a certificate")
		return c
	}
	v.RawTBSCertificate = tbs
	tbs.ReadASN1(&tbs, casn1.SEQUENCE)
	var version, serial, inner, issuer, dates, subject, spki cryptobyte.String
	var hasVersion bool
	switch {
	case !tbs.ReadOptionalASN1(&version, &hasVersion, casn1.Tag(0).Constructed().ContextSpecific()),
		!tbs.ReadASN1Element(&serial, casn1.INTEGER),
		!tbs.ReadASN1(&inner, casn1.SEQUENCE),
		!tbs.ReadASN1Element(&issuer, casn1.SEQUENCE),
		!tbs.ReadASN1(&dates, casn1.SEQUENCE),
		!tbs.ReadASN1Element(&subject, casn1.SEQUENCE),
		!tbs.ReadASN1Element(&spki, casn1.SEQUENCE):
		c.unread(FieldStructure, "not the DER of a certificate: a field is missing or of a wrong type")
		return c
	}
	v.RawIssuer, v.RawSubject, v.RawSubjectPublicKeyInfo = issuer, subject, spki
	c.readVersion(version, hasVersion)
	c.readSerial(serial)
	c.readAlgorithm(inner, outer)
	v.Issuer = c.readName(FieldIssuer, issuer)
	c.readDates(dates)
	v.Subject = c.readName(FieldSubject, subject)
	var odd, why string
	if v.PublicKey, v.PublicKeyAlgorithm, odd, why = readKey(spki); why != "" {
		c.unread(FieldKey, "%s", why)
	} else if odd != "" {
		c.odd(FieldKey, "%s", odd)
	}
	c.readExtensions(tbs)
	return c
}

func (c *Certificate) readVersion(version cryptobyte.String, present bool) {
	c.view.Version = 1
	if !present {
		return
	}
	n := 0
	switch {
	case !version.ReadASN1Integer(&n) || !version.Empty() || n < 0 || n > math.MaxInt32:
		c.unread(FieldVersion, "it is not a small number")
		c.view.Version = 3 // so that the extensions are read
		return
	case n > 2:
		// What such a certificate means is not written anywhere: no path leads
		// through it.
		c.unread(FieldVersion, "there is no version %d", n+1)
	}
	c.view.Version = n + 1
}

func (c *Certificate) readSerial(element cryptobyte.String) {
	n := new(big.Int)
	if !element.ReadASN1Integer(n) {
		c.odd(FieldSerialNumber, "it is not in the shortest form")
		return
	}
	c.view.SerialNumber = n
	if n.Sign() < 0 {
		c.odd(FieldSerialNumber, "it is negative")
	}
}

// readAlgorithm reads the two algorithm identifiers, the outer one and the
// signature from what follows the TBSCertificate.
func (c *Certificate) readAlgorithm(inner, rest cryptobyte.String) {
	var outer cryptobyte.String
	var signature asn1.BitString
	switch {
	case !rest.ReadASN1(&outer, casn1.SEQUENCE) || !rest.ReadASN1BitString(&signature):
		c.unread(FieldAlgorithm, "the signature is missing or of a wrong type")
	case !rest.Empty():
		c.unread(FieldAlgorithm, "data follows the signature")
	case !bytes.Equal(inner, outer):
		// RFC 5280 section 4.1.1.2. Which of the two was meant is not known.
		c.unread(FieldAlgorithm, "the inner and the outer signature algorithm differ")
	default:
		c.view.Signature = signature.RightAlign()
		c.view.SignatureAlgorithm = signatureAlgorithm(inner)
	}
}

// readDates reads the validity in the forms of RFC 5280 section 4.1.2.5 that
// crypto/x509 takes.
func (c *Certificate) readDates(dates cryptobyte.String) {
	for _, d := range [...]struct {
		to   *time.Time
		name string
	}{{&c.view.NotBefore, "notBefore"}, {&c.view.NotAfter, "notAfter"}} {
		var element, text cryptobyte.String
		var tag casn1.Tag
		if !dates.ReadAnyASN1Element(&element, &tag) {
			c.unread(FieldDates, "%s is missing", d.name)
			return
		}
		body := element
		body.ReadAnyASN1(&text, &tag)
		ok := false
		switch tag {
		case casn1.UTCTime:
			ok = element.ReadASN1UTCTime(d.to)
		case casn1.GeneralizedTime:
			ok = element.ReadASN1GeneralizedTime(d.to)
		}
		if !ok {
			c.unread(FieldDates, "%s is not a time: \"%.40s\"", d.name, string(text))
		}
	}
}

// attributeNames are those of the attributes that certificates have (RFC 5280
// appendix A.1), by the last arc of id-at.
var attributeNames = map[int]string{
	3: "common name", 4: "surname", 5: "serial number", 6: "country", 7: "locality", 8: "state or province", 9: "street",
	10: "organization", 11: "organizational unit", 12: "title", 17: "postal code", 42: "given name",
}

// readName reads a Name for display. Names are compared, and constrained, by
// their bytes.
func (c *Certificate) readName(f Field, der cryptobyte.String) xpkix.Name {
	var name xpkix.Name
	var rdns xpkix.RDNSequence
	ok := attributes(der, func(rdn int, oid []byte, tag casn1.Tag, value []byte) {
		if rdn == len(rdns) {
			rdns = append(rdns, nil)
		}
		text, odd := attributeText(tag, value)
		a := xpkix.AttributeTypeAndValue{Type: readOID(oid), Value: text}
		if odd != "" {
			what := a.Type.String()
			if t := a.Type; len(t) == 4 && t[0] == 2 && t[1] == 5 && t[2] == 4 && attributeNames[t[3]] != "" {
				what = "the " + attributeNames[t[3]]
			}
			c.odd(f, "%s is %s: \"%.60s\"", what, odd, text)
		}
		rdns[rdn] = append(rdns[rdn], a)
	})
	if !ok {
		c.odd(f, "it is not a distinguished name")
	}
	name.FillFromRDNSequence(&rdns)
	return name
}

// readOID reads the body of an object identifier; nil if it is none.
func readOID(body []byte) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(body) })
	s := cryptobyte.String(b.BytesOrPanic())
	s.ReadASN1ObjectIdentifier(&oid)
	return oid
}

// attributeText returns the text of an attribute value, and what is wrong with it
// in the eyes of crypto/x509.
func attributeText(tag casn1.Tag, value []byte) (text, odd string) {
	switch tag {
	case casn1.UTF8String:
		if s := strings.ToValidUTF8(string(value), "?"); s != string(value) {
			return s, "a UTF8String that is not UTF-8"
		}
		return string(value), ""
	case casn1.PrintableString:
		for _, b := range value {
			if !isPrintable(b) {
				return latin1(value), "a PrintableString with a character that it must not have"
			}
		}
		return string(value), ""
	case casn1.IA5String:
		if s := latin1(value); len(s) != len(value) {
			return s, "an IA5String with bytes that are not ASCII"
		}
		return string(value), ""
	case asn1.TagNumericString:
		for _, b := range value {
			if (b < '0' || b > '9') && b != ' ' {
				return latin1(value), "a NumericString with a character that it must not have"
			}
		}
		return string(value), ""
	case casn1.T61String:
		return latin1(value), "" // in practice, as OpenSSL and crypto/x509 read it
	case tagBMP:
		s := decodeBMP(bytes.TrimSuffix(value, []byte{0, 0}))
		if len(value)%2 != 0 || strings.ContainsRune(s, '\ufffd') {
			return s, "a BMPString that is not well-formed"
		}
		return s, ""
	case tagUniversal:
		return decodeUniversal(value), "a UniversalString"
	}
	return "#" + fmt.Sprintf("%.64x", value), "not a text string"
}

// isPrintable reports whether crypto/x509 takes b in a PrintableString.
func isPrintable(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte(" '()+,-./:=?*&", b) >= 0
}

func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}
