package pkix

import (
	"bytes"
	"crypto/x509"
	xpkix "crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
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
		f.Why = strings.ReplaceAll(printable(f.Why), `\"`, `"`)
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

// readExtensions reads what follows the key.
func (c *Certificate) readExtensions(rest cryptobyte.String) {
	v := c.view
	if v.Version < 2 {
		return
	}
	if !rest.SkipOptionalASN1(casn1.Tag(1).ContextSpecific()) || !rest.SkipOptionalASN1(casn1.Tag(2).ContextSpecific()) {
		c.unread(FieldExtensions, "a unique identifier before them is malformed")
		return
	}
	if v.Version < 3 {
		return
	}
	var list cryptobyte.String
	var present bool
	switch {
	case !rest.ReadOptionalASN1(&list, &present, casn1.Tag(3).Constructed().ContextSpecific()) || !present && !rest.Empty():
		c.unread(FieldExtensions, "what follows the key is not a list of extensions")
		return
	case !present:
		return
	case !list.ReadASN1(&list, casn1.SEQUENCE):
		c.unread(FieldExtensions, "they are not a list")
		return
	}
	seen := map[string]bool{}
	for !list.Empty() {
		var e cryptobyte.String
		if !list.ReadASN1(&e, casn1.SEQUENCE) {
			c.unread(FieldExtensions, "an entry of the list is malformed")
			return
		}
		ext, ok := c.readExtension(e)
		if !ok {
			return
		}
		if id := ext.Id.String(); seen[id] {
			// RFC 5280 section 4.2: one instance at most. Which of them counts is
			// not known.
			c.unread(FieldExtensions, "the extension %s occurs twice", extensionName(ext.Id))
		} else {
			seen[id] = true
		}
		v.Extensions = append(v.Extensions, ext)
	}
	for _, e := range v.Extensions {
		c.process(e)
	}
}

func (c *Certificate) readExtension(e cryptobyte.String) (ext xpkix.Extension, ok bool) {
	if !e.ReadASN1ObjectIdentifier(&ext.Id) {
		c.unread(FieldExtensions, "an object identifier is malformed")
		return ext, false
	}
	if e.PeekASN1Tag(casn1.BOOLEAN) {
		odd := false
		if ext.Critical, odd, ok = readBoolean(&e); !ok {
			c.unread(FieldExtensions, "the mark of %s as critical is malformed", extensionName(ext.Id))
			return ext, false
		}
		if odd {
			c.odd(FieldExtensions, "the mark of %s as critical is a BOOLEAN that is neither 00 nor FF", extensionName(ext.Id))
		}
	}
	var value cryptobyte.String
	if !e.ReadASN1(&value, casn1.OCTET_STRING) {
		c.unread(FieldExtensions, "the value of %s is malformed", extensionName(ext.Id))
		return ext, false
	}
	ext.Value = value
	return ext, true
}

// readBoolean reads a BOOLEAN as BER has it, where every byte but zero is TRUE
// (X.690 section 8.2.2). odd says that it is not DER.
func readBoolean(s *cryptobyte.String) (value, odd, ok bool) {
	var b cryptobyte.String
	if !s.ReadASN1(&b, casn1.BOOLEAN) || len(b) != 1 {
		return false, false, false
	}
	return b[0] != 0, b[0] != 0 && b[0] != 0xff, true
}

// extensionNames are those of id-ce by the last arc.
var extensionNames = map[int]string{
	14: "subjectKeyIdentifier", 15: "keyUsage", 17: "subjectAltName", 18: "issuerAltName", 19: "basicConstraints", 30: "nameConstraints",
	31: "cRLDistributionPoints", 32: "certificatePolicies", 33: "policyMappings", 35: "authorityKeyIdentifier", 36: "policyConstraints",
	37: "extKeyUsage", 54: "inhibitAnyPolicy",
}

var oidAuthorityInfoAccess = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}

func extensionName(oid asn1.ObjectIdentifier) string {
	if name := extensionNames[idCE(oid)]; name != "" {
		return name
	}
	if oid.Equal(oidAuthorityInfoAccess) {
		return "authorityInfoAccess"
	}
	return oid.String()
}

// process reads the value of one extension.
func (c *Certificate) process(e xpkix.Extension) {
	v := c.view
	s := cryptobyte.String(e.Value)
	switch idCE(e.Id) {
	case ceKeyUsage:
		var bits asn1.BitString
		if !s.ReadASN1BitString(&bits) {
			c.unread(FieldKeyUsage, "the extension is malformed")
			return
		}
		for i := range 9 {
			v.KeyUsage |= x509.KeyUsage(bits.At(i) << i)
		}
	case ceBasicConstraints:
		c.readBasicConstraints(s)
	case ceExtKeyUsage:
		if !s.ReadASN1(&s, casn1.SEQUENCE) {
			c.unread(FieldExtKeyUsage, "the extension is malformed")
			return
		}
		for !s.Empty() {
			var oid asn1.ObjectIdentifier
			if !s.ReadASN1ObjectIdentifier(&oid) {
				c.unread(FieldExtKeyUsage, "a purpose is malformed")
				return
			}
			if u, ok := purposes[oid.String()]; ok {
				v.ExtKeyUsage = append(v.ExtKeyUsage, u)
			} else {
				v.UnknownExtKeyUsage = append(v.UnknownExtKeyUsage, oid)
			}
		}
	case ceSubjectAltName:
		c.readSAN(s)
	case ceNameConstraints:
		if _, why, kind := parseConstraints(e.Value); kind != nil {
			c.unread(FieldNameConstraints, "%s", why)
		}
	case ceAuthorityKeyID:
		c.notCritical(e)
		var id cryptobyte.String
		if !s.ReadASN1(&s, casn1.SEQUENCE) || s.PeekASN1Tag(casn1.Tag(0).ContextSpecific()) && !s.ReadASN1(&id, casn1.Tag(0).ContextSpecific()) {
			c.odd(FieldOther, "authorityKeyIdentifier is malformed")
			return
		}
		v.AuthorityKeyId = id
	case ceSubjectKeyID:
		c.notCritical(e)
		var id cryptobyte.String
		if !s.ReadASN1(&id, casn1.OCTET_STRING) {
			c.odd(FieldOther, "subjectKeyIdentifier is malformed")
			return
		}
		v.SubjectKeyId = id
	case cePolicies, cePolicyMappings, ceInhibitAnyPolicy:
		// Accepted as they are. Of a critical one that is malformed that cannot be
		// said (RFC 5280 section 4.2).
		if why := policyFault(idCE(e.Id), s); why != "" {
			c.fault(Fault{FieldOther, extensionName(e.Id) + " is malformed", false})
			if e.Critical {
				c.unread(FieldExtensions, "%s is critical and malformed", extensionName(e.Id))
			}
		}
	default:
		if e.Id.Equal(oidAuthorityInfoAccess) {
			c.notCritical(e)
		}
	}
}

// notCritical notes an extension that must not be critical and is. [Verify]
// refuses it, as every critical extension that is not processed here.
func (c *Certificate) notCritical(e xpkix.Extension) {
	if e.Critical {
		c.odd(FieldOther, "%s is marked critical, which it must not be", extensionName(e.Id))
	}
}

func (c *Certificate) readBasicConstraints(s cryptobyte.String) {
	v := c.view
	malformed := func() { c.unread(FieldBasicConstraints, "the extension is malformed") }
	if !s.ReadASN1(&s, casn1.SEQUENCE) {
		malformed()
		return
	}
	isCA, length := false, -1
	if s.PeekASN1Tag(casn1.BOOLEAN) {
		var odd, ok bool
		if isCA, odd, ok = readBoolean(&s); !ok {
			malformed()
			return
		}
		if odd {
			c.odd(FieldBasicConstraints, "the mark as a CA is a BOOLEAN that is neither 00 nor FF")
		}
	}
	if s.PeekASN1Tag(casn1.INTEGER) {
		var n uint
		if !s.ReadASN1Integer(&n) || n > math.MaxInt32 {
			malformed()
			return
		}
		length = int(n)
	}
	v.BasicConstraintsValid, v.IsCA, v.MaxPathLen, v.MaxPathLenZero = true, isCA, length, length == 0
}

// readSAN takes the host names for display and finds the entries that
// crypto/x509 refuses. Names are matched and constrained from the raw extension,
// each entry by itself.
func (c *Certificate) readSAN(s cryptobyte.String) {
	if !s.ReadASN1(&s, casn1.SEQUENCE) {
		c.unread(FieldSubjectAltName, "the extension is not a list of names")
		return
	}
	for !s.Empty() {
		var name cryptobyte.String
		var tag casn1.Tag
		if !s.ReadAnyASN1(&name, &tag) {
			c.unread(FieldSubjectAltName, "the extension is cut short or malformed")
			return
		}
		ascii := len(latin1(name)) == len(name)
		switch tag {
		case classContext | formDNS:
			if !ascii {
				c.odd(FieldSubjectAltName, "a dNSName is not ASCII: \"%.60s\"", string(name))
				continue
			}
			c.view.DNSNames = append(c.view.DNSNames, string(name))
		case classContext | formEmail:
			if !ascii {
				c.odd(FieldSubjectAltName, "an rfc822Name is not ASCII: \"%.60s\"", string(name))
			}
		case classContext | formURI:
			if u, err := url.Parse(string(name)); !ascii || err != nil || strings.ContainsAny(u.Host, " _") {
				c.odd(FieldSubjectAltName, "a uniformResourceIdentifier is malformed: \"%.60s\"", string(name))
			}
		case classContext | formIP:
			if !validIP(name) {
				c.odd(FieldSubjectAltName, "an iPAddress has %d bytes", len(name))
			}
		}
	}
}

// policyFault says what is wrong with the value of a policy extension.
func policyFault(arc int, s cryptobyte.String) string {
	if arc == ceInhibitAnyPolicy {
		var n int
		if !s.ReadASN1Integer(&n) {
			return "it is not a number"
		}
		return ""
	}
	if !s.ReadASN1(&s, casn1.SEQUENCE) {
		return "it is not a list"
	}
	seen := map[string]bool{}
	for !s.Empty() {
		var entry, first, second cryptobyte.String
		if !s.ReadASN1(&entry, casn1.SEQUENCE) || !entry.ReadASN1(&first, casn1.OBJECT_IDENTIFIER) ||
			arc == cePolicyMappings && !entry.ReadASN1(&second, casn1.OBJECT_IDENTIFIER) {
			return "an entry is malformed"
		}
		if arc == cePolicies && seen[string(first)] {
			return "a policy occurs twice"
		}
		seen[string(first)] = true
	}
	return ""
}

// purposes are those that crypto/x509 has names for and that are looked at here.
var purposes = map[string]x509.ExtKeyUsage{
	"2.5.29.37.0":       x509.ExtKeyUsageAny,
	"1.3.6.1.5.5.7.3.1": x509.ExtKeyUsageServerAuth,
	"1.3.6.1.5.5.7.3.2": x509.ExtKeyUsageClientAuth,
}
