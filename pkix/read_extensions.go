package pkix

import (
	"crypto/x509"
	xpkix "crypto/x509/pkix"
	"encoding/asn1"
	"math"
	"net/url"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

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
