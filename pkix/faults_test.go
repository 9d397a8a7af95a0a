package pkix_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
)

// TestFaults: the reader names each field that it finds odd, or that it cannot read, and
// what is wrong with it, and goes on with the rest of the certificate.
func TestFaults(t *testing.T) {
	ca := certtest.NewCA()
	type leaf = certtest.Certificate
	const (
		odd    = false
		unread = true
	)
	kinds := map[string]func(*leaf){}
	for _, k := range certtest.Kinds() {
		kinds[k.Name] = k.Change
	}
	kind := func(name string) func(*leaf) {
		if kinds[name] == nil {
			t.Fatalf("no kind %q", name)
		}
		return kinds[name]
	}
	tlv, id := certtest.TLV, certtest.ID
	number := tlv(certtest.Integer, []byte{5})
	add := func(der ...[]byte) func(*leaf) {
		return func(c *leaf) { c.Extensions = append(c.Extensions, der...) }
	}
	ext := func(arc int, value []byte) func(*leaf) { return add(certtest.Extension(nil, value, 2, 5, 29, arc)) }
	subject := func(tag byte, text string) func(*leaf) {
		return func(c *leaf) { c.Subject = certtest.Name(10, tag, text) }
	}
	key := func(algorithm []byte, data ...byte) func(*leaf) {
		return func(c *leaf) { c.SPKI = tlv(certtest.Sequence, algorithm, tlv(certtest.BitString, []byte{0}, data)) }
	}
	san := func(tag byte, value string) func(*leaf) {
		return func(c *leaf) {
			c.Extensions = [][]byte{certtest.SAN(tlv(tag, []byte(value)), certtest.DNSName("mx.example.org"))}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*leaf)
		field  pkix.Field
		unread bool
		why    string // "": no fault
	}{
		{"plain", func(*leaf) {}, 0, odd, ""},

		{"version is text", func(c *leaf) { c.Version = tlv(0xa0, tlv(certtest.UTF8String, []byte("3"))) }, pkix.FieldVersion, unread, "it is not a small number"},
		{"version with a tail", func(c *leaf) { c.Version = tlv(0xa0, tlv(certtest.Integer, []byte{2}), number) }, pkix.FieldVersion, unread, "it is not a small number"},
		{"version -1", func(c *leaf) { c.Version = tlv(0xa0, tlv(certtest.Integer, []byte{0xff})) }, pkix.FieldVersion, unread, "it is not a small number"},
		{"version of 2^40", func(c *leaf) { c.Version = tlv(0xa0, tlv(certtest.Integer, []byte{1, 0, 0, 0, 0, 0})) }, pkix.FieldVersion, unread, "it is not a small number"},
		{"version 4", kind("version-4"), pkix.FieldVersion, unread, "there is no version 4"},
		{"serial number below 0", kind("serial-negative"), pkix.FieldSerialNumber, odd, "it is negative"},
		{"serial number 0", func(c *leaf) { c.Serial = tlv(certtest.Integer, []byte{0}) }, 0, odd, ""},
		{"serial number too long", kind("serial-long"), pkix.FieldSerialNumber, odd, "it is not in the shortest form"},
		{"two algorithms", kind("algorithms-differ"), pkix.FieldAlgorithm, unread, "the inner and the outer signature algorithm differ"},

		{"an empty subject", func(c *leaf) { c.Subject = tlv(certtest.Sequence) }, 0, odd, ""},
		{"a subject of a number", func(c *leaf) { c.Subject = tlv(certtest.Sequence, number) }, pkix.FieldSubject, odd, "it is not a distinguished name"},
		{"UTF8String", subject(certtest.UTF8String, "Müller"), 0, odd, ""},
		{"UTF8String in Latin-1", subject(certtest.UTF8String, "M\xfcller"), pkix.FieldSubject, odd, `the organization is a UTF8String that is not UTF-8: "M?ller"`},
		{"PrintableString", subject(certtest.PrintableString, "AZ az 09 '()+,-./:=?*&"), 0, odd, ""},
		{"PrintableString with @", subject(certtest.PrintableString, "a@b"), pkix.FieldSubject, odd, `the organization is a PrintableString with a character that it must not have: "a@b"`},
		{"PrintableString with [", subject(certtest.PrintableString, "[a"), pkix.FieldSubject, odd, `the organization is a PrintableString with a character that it must not have: "[a"`},
		{"PrintableString with `", subject(certtest.PrintableString, "a`"), pkix.FieldSubject, odd, "the organization is a PrintableString with a character that it must not have: \"a`\""},
		{"PrintableString with {", subject(certtest.PrintableString, "a{"), pkix.FieldSubject, odd, `the organization is a PrintableString with a character that it must not have: "a{"`},
		{"IA5String", subject(certtest.IA5String, "a@b"), 0, odd, ""},
		{"IA5String in Latin-1", subject(certtest.IA5String, "M\xfcller"), pkix.FieldSubject, odd, `the organization is an IA5String with bytes that are not ASCII: "M\u00fcller"`},
		{"NumericString", subject(0x12, "12 90"), 0, odd, ""},
		{"NumericString with a letter", subject(0x12, "12a"), pkix.FieldSubject, odd, `the organization is a NumericString with a character that it must not have: "12a"`},
		{"NumericString with a slash", subject(0x12, "1/2"), pkix.FieldSubject, odd, `the organization is a NumericString with a character that it must not have: "1/2"`},
		{"NumericString with a colon", subject(0x12, "1:2"), pkix.FieldSubject, odd, `the organization is a NumericString with a character that it must not have: "1:2"`},
		{"TeletexString", subject(0x14, "M\xfcller"), 0, odd, ""},
		{"BMPString", subject(0x1e, "\x00M\x00X"), 0, odd, ""},
		{"BMPString of an odd length", subject(0x1e, "\x00M\x00"), pkix.FieldSubject, odd, `the organization is a BMPString that is not well-formed: "M"`},
		{"UniversalString", kind("universal-string"), pkix.FieldSubject, odd, `the organization is a UniversalString: "MX"`},
		{"a number in place of text", subject(certtest.Integer, "\x05"), pkix.FieldSubject, odd, `the organization is not a text string: "#05"`},

		{"notAfter is missing", func(c *leaf) { c.NotAfter = nil }, pkix.FieldDates, unread, "notAfter is missing"},
		{"notAfter with a fraction", kind("date-fraction"), pkix.FieldDates, unread, `notAfter is not a time: "20270301000000.5Z"`},
		{"notBefore is text", func(c *leaf) { c.NotBefore = tlv(certtest.UTF8String, []byte("always")) }, pkix.FieldDates, unread, `notBefore is not a time: "always"`},
		{"GeneralizedTime", func(c *leaf) { c.NotAfter = tlv(certtest.GeneralizedTime, []byte("20600101000000Z")) }, 0, odd, ""},

		{"DSA", kind("dsa"), pkix.FieldKey, unread, "a DSA key, which this program cannot use"},
		{"Ed448", kind("ed448"), pkix.FieldKey, unread, "an Ed448 key, which this program cannot use"},
		{"RSA-PSS", kind("rsa-pss"), pkix.FieldKey, unread, "an RSA key for PSS signatures only, which this program cannot use"},
		{"secp256k1", kind("secp256k1"), pkix.FieldKey, unread, "a key on the curve secp256k1, which this program cannot use"},
		{"X25519", key(tlv(certtest.Sequence, id(1, 3, 101, 110)), make([]byte, 32)...), pkix.FieldKey, unread, "an X25519 key, which signs nothing"},
		{"an unknown algorithm", key(tlv(certtest.Sequence, id(1, 2, 3)), 1), pkix.FieldKey, unread, "a key of the unknown algorithm 1.2.3"},
		{"RSA without NULL", kind("rsa-without-null"), pkix.FieldKey, odd, "an RSA key without the parameter NULL"},
		{"RSA with parameters", key(tlv(certtest.Sequence, id(1, 2, 840, 113549, 1, 1, 1), number)), pkix.FieldKey, unread, "an RSA key with unknown parameters"},
		{"RSA without numbers", key(tlv(certtest.Sequence, id(1, 2, 840, 113549, 1, 1, 1), tlv(certtest.Null))), pkix.FieldKey, unread, "a malformed RSA key"},
		{"RSA with the modulus 0", key(tlv(certtest.Sequence, id(1, 2, 840, 113549, 1, 1, 1), tlv(certtest.Null)), tlv(certtest.Sequence, tlv(certtest.Integer, []byte{0}), number)...), pkix.FieldKey, unread, "a malformed RSA key"},
		{"RSA with the exponent 0", key(tlv(certtest.Sequence, id(1, 2, 840, 113549, 1, 1, 1), tlv(certtest.Null)), tlv(certtest.Sequence, number, tlv(certtest.Integer, []byte{0}))...), pkix.FieldKey, unread, "a malformed RSA key"},
		{"RSA with an exponent of 65 bits", key(tlv(certtest.Sequence, id(1, 2, 840, 113549, 1, 1, 1), tlv(certtest.Null)), tlv(certtest.Sequence, number, tlv(certtest.Integer, []byte{1, 0, 0, 0, 0, 0, 0, 0, 3}))...), pkix.FieldKey, unread, "an RSA key with an exponent of 65 bits"},
		{"a compressed point", kind("ec-compressed"), pkix.FieldKey, odd, "an elliptic curve key with a compressed point"},
		{"a curve without a name", key(tlv(certtest.Sequence, id(1, 2, 840, 10045, 2, 1)), 4), pkix.FieldKey, unread, "an elliptic curve key without a curve"},
		{"no point of its curve", key(tlv(certtest.Sequence, id(1, 2, 840, 10045, 2, 1), id(1, 2, 840, 10045, 3, 1, 7)), 4, 1, 2), pkix.FieldKey, unread, "an elliptic curve key that is not a point of P-256"},
		{"Ed25519 of 31 bytes", key(tlv(certtest.Sequence, id(1, 3, 101, 112)), make([]byte, 31)...), pkix.FieldKey, unread, "a malformed Ed25519 key"},
		{"Ed25519 with parameters", key(tlv(certtest.Sequence, id(1, 3, 101, 112), tlv(certtest.Null)), make([]byte, 32)...), pkix.FieldKey, unread, "a malformed Ed25519 key"},
		{"Ed25519", key(tlv(certtest.Sequence, id(1, 3, 101, 112)), make([]byte, 32)...), 0, odd, ""},

		{"no extensions", func(c *leaf) { c.Extensions = nil }, 0, odd, ""},
		{"a number after the key", func(c *leaf) { c.Extensions, c.Tail = nil, number }, pkix.FieldExtensions, unread, "what follows the key is not a list of extensions"},
		{"extensions are a number", func(c *leaf) { c.Extensions, c.Tail = nil, tlv(0xa3, number) }, pkix.FieldExtensions, unread, "they are not a list"},
		{"extensions that are cut short", func(c *leaf) { c.Extensions, c.Tail = nil, []byte{0xa3, 9, 0x30} }, pkix.FieldExtensions, unread, "what follows the key is not a list of extensions"},
		{"an issuer's identifier that is cut short", func(c *leaf) { c.Extensions, c.Tail = nil, []byte{0x81, 9, 0} }, pkix.FieldExtensions, unread, "a unique identifier before them is malformed"},
		{"a subject's identifier that is cut short", func(c *leaf) { c.Extensions, c.Tail = nil, []byte{0x82, 9, 0} }, pkix.FieldExtensions, unread, "a unique identifier before them is malformed"},
		{"both identifiers", func(c *leaf) {
			c.Tail = slices.Concat(tlv(0x81, []byte{0, 1}), tlv(0x82, []byte{0, 1}), tlv(0xa3, tlv(certtest.Sequence, c.Extensions...)))
			c.Extensions = nil
		}, 0, odd, ""},
		{"version 2 has none to read", func(c *leaf) {
			c.Version = tlv(0xa0, tlv(certtest.Integer, []byte{1}))
			c.Extensions, c.Tail = nil, number
		}, 0, odd, ""},
		{"version 2 has identifiers", func(c *leaf) {
			c.Version = tlv(0xa0, tlv(certtest.Integer, []byte{1}))
			c.Extensions, c.Tail = nil, []byte{0x81, 9, 0}
		}, pkix.FieldExtensions, unread, "a unique identifier before them is malformed"},
		{"version 1 has no identifiers", func(c *leaf) { c.Version, c.Extensions, c.Tail = nil, nil, []byte{0x81, 9, 0} }, 0, odd, ""},
		{"an entry that is a number", add(number), pkix.FieldExtensions, unread, "an entry of the list is malformed"},
		{"an entry without an identifier", add(tlv(certtest.Sequence, number)), pkix.FieldExtensions, unread, "an object identifier is malformed"},
		{"an entry without a value", add(tlv(certtest.Sequence, id(2, 5, 29, 15))), pkix.FieldExtensions, unread, "the value of keyUsage is malformed"},
		{"an unknown entry without a value", add(tlv(certtest.Sequence, id(1, 2, 3))), pkix.FieldExtensions, unread, "the value of 1.2.3 is malformed"},
		{"a mark of two bytes", add(certtest.Extension([]byte{0, 0xff}, number, 1, 2, 3)), pkix.FieldExtensions, unread, "the mark of 1.2.3 as critical is malformed"},
		{"a mark of 01", kind("boolean-01"), pkix.FieldExtensions, odd, "the mark of keyUsage as critical is a BOOLEAN that is neither 00 nor FF"},
		{"a mark of 00", add(certtest.Extension([]byte{0}, number, 1, 2, 3)), 0, odd, ""},
		{"an entry twice", kind("extension-twice"), pkix.FieldExtensions, unread, "the extension subjectAltName occurs twice"},

		{"keyUsage", kind("key-usage-malformed"), pkix.FieldKeyUsage, unread, "the extension is malformed"},
		{"basicConstraints", kind("basic-constraints-malformed"), pkix.FieldBasicConstraints, unread, "the extension is malformed"},
		{"cA of two bytes", ext(19, tlv(certtest.Sequence, tlv(certtest.Boolean, []byte{0, 0}))), pkix.FieldBasicConstraints, unread, "the extension is malformed"},
		{"cA of 01", kind("ca-boolean-01"), pkix.FieldBasicConstraints, odd, "the mark as a CA is a BOOLEAN that is neither 00 nor FF"},
		{"a path length of -1", ext(19, tlv(certtest.Sequence, tlv(certtest.Boolean, certtest.Critical), tlv(certtest.Integer, []byte{0xff}))), pkix.FieldBasicConstraints, unread, "the extension is malformed"},
		{"a path length of 2^31", ext(19, tlv(certtest.Sequence, tlv(certtest.Boolean, certtest.Critical), tlv(certtest.Integer, []byte{0, 0x80, 0, 0, 0}))), pkix.FieldBasicConstraints, unread, "the extension is malformed"},
		{"a path length of 2^31-1", ext(19, tlv(certtest.Sequence, tlv(certtest.Boolean, certtest.Critical), tlv(certtest.Integer, []byte{0x7f, 0xff, 0xff, 0xff}))), 0, odd, ""},
		{"extKeyUsage", ext(37, number), pkix.FieldExtKeyUsage, unread, "the extension is malformed"},
		{"a purpose", kind("purpose-malformed"), pkix.FieldExtKeyUsage, unread, "a purpose is malformed"},
		{"authorityKeyIdentifier", kind("aki-malformed"), pkix.FieldOther, odd, "authorityKeyIdentifier is malformed"},
		{"its key identifier", ext(35, tlv(certtest.Sequence, []byte{0x80, 9, 0})), pkix.FieldOther, odd, "authorityKeyIdentifier is malformed"},
		{"subjectKeyIdentifier", ext(14, number), pkix.FieldOther, odd, "subjectKeyIdentifier is malformed"},
		{"authorityKeyIdentifier is critical", kind("aki-critical"), pkix.FieldOther, odd, "authorityKeyIdentifier is marked critical, which it must not be"},
		{"subjectKeyIdentifier is critical", kind("ski-critical"), pkix.FieldOther, odd, "subjectKeyIdentifier is marked critical, which it must not be"},
		{"authorityInfoAccess is critical", kind("aia-critical"), pkix.FieldOther, odd, "authorityInfoAccess is marked critical, which it must not be"},

		{"certificatePolicies", kind("policies-malformed"), pkix.FieldOther, odd, "certificatePolicies is malformed"},
		{"a policy", ext(32, tlv(certtest.Sequence, tlv(certtest.Sequence, number))), pkix.FieldOther, odd, "certificatePolicies is malformed"},
		{"a policy twice", ext(32, tlv(certtest.Sequence, tlv(certtest.Sequence, id(1, 2, 3)), tlv(certtest.Sequence, id(1, 2, 3)))), pkix.FieldOther, odd, "certificatePolicies is malformed"},
		{"two policies", ext(32, tlv(certtest.Sequence, tlv(certtest.Sequence, id(1, 2, 3)), tlv(certtest.Sequence, id(1, 2, 4)))), 0, odd, ""},
		{"a mapping of one policy", ext(33, tlv(certtest.Sequence, tlv(certtest.Sequence, id(1, 2, 3)))), pkix.FieldOther, odd, "policyMappings is malformed"},
		{"one policy mapped twice", ext(33, tlv(certtest.Sequence, tlv(certtest.Sequence, id(1, 2, 3), id(1, 2, 4)), tlv(certtest.Sequence, id(1, 2, 3), id(1, 2, 5)))), 0, odd, ""},
		{"inhibitAnyPolicy", ext(54, tlv(certtest.Sequence)), pkix.FieldOther, odd, "inhibitAnyPolicy is malformed"},
		{"inhibitAnyPolicy of 5", ext(54, number), 0, odd, ""},

		{"names are no list", kind("san-not-a-list"), pkix.FieldSubjectAltName, unread, "the extension is not a list of names"},
		{"names that are cut short", func(c *leaf) {
			c.Extensions = [][]byte{certtest.Extension(nil, tlv(certtest.Sequence, certtest.DNSName("mx.example.org"), []byte{0x82, 9, 0}), 2, 5, 29, 17)}
		}, pkix.FieldSubjectAltName, unread, "the extension is cut short or malformed"},
		{"dNSName in Latin-1", san(0x82, "m\xfcller.example"), pkix.FieldSubjectAltName, odd, `a dNSName is not ASCII: "m\xfcller.example"`},
		{"rfc822Name in Latin-1", san(0x81, "m\xfcller@example.org"), pkix.FieldSubjectAltName, odd, `an rfc822Name is not ASCII: "m\xfcller@example.org"`},
		{"rfc822Name", san(0x81, "a@example.org"), 0, odd, ""},
		{"URI in Latin-1", san(0x86, "http://m\xfcller.example/"), pkix.FieldSubjectAltName, odd, `a uniformResourceIdentifier is malformed: "http://m\xfcller.example/"`},
		{"URI of no address", san(0x86, "http://[::1"), pkix.FieldSubjectAltName, odd, `a uniformResourceIdentifier is malformed: "http://[::1"`},
		{"URI with an underscore", san(0x86, "http://a_b.example/"), pkix.FieldSubjectAltName, odd, `a uniformResourceIdentifier is malformed: "http://a_b.example/"`},
		{"URI", san(0x86, "http://a.example/b_c"), 0, odd, ""},
		{"iPAddress of five bytes", san(0x87, "12345"), pkix.FieldSubjectAltName, odd, "an iPAddress has 5 bytes"},
		{"iPAddress of four bytes", san(0x87, "1234"), 0, odd, ""},
		{"iPAddress of sixteen bytes", san(0x87, "1234567890123456"), 0, odd, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := certtest.New("mx.example.org", certtest.NewKey().SPKI)
			c.change(x)
			got := pkix.ReadLenient(ca.Issue(x))
			var want []pkix.Fault
			if c.why != "" {
				want = append(want, pkix.Fault{Field: c.field, Why: c.why, Unread: c.unread})
			}
			if !slices.Equal(got.Faults(), want) {
				t.Errorf("%+v, want %+v", got.Faults(), want)
			}
			// What is no list, or cut short, leaves the rest of the extensions out.
			named := slices.Contains(got.View().DNSNames, "mx.example.org")
			if lost := c.unread && c.field == pkix.FieldExtensions; !named && len(x.Extensions) > 0 && !lost && c.field != pkix.FieldSubjectAltName {
				t.Error("the names were not read")
			}
			if odd := !c.unread && c.field == pkix.FieldSubjectAltName; odd && !named {
				t.Error("the names after an odd one were not read")
			}
		})
	}
}

// TestFaultOfSignature: what follows the signed part is read by itself.
func TestFaultOfSignature(t *testing.T) {
	x := certtest.New("mx.example.org", certtest.NewKey().SPKI)
	x.Issuer = certtest.Name(3, certtest.UTF8String, "example CA")
	signature := certtest.TLV(certtest.BitString, []byte{0, 1, 2})
	for name, c := range map[string]struct {
		after [][]byte
		why   string
	}{
		"a signature":        {[][]byte{x.Algorithm, signature}, ""},
		"none":               {[][]byte{x.Algorithm}, "the signature is missing or of a wrong type"},
		"no algorithm":       {[][]byte{signature}, "the signature is missing or of a wrong type"},
		"of a wrong type":    {[][]byte{x.Algorithm, certtest.TLV(certtest.OctetString, []byte{1})}, "the signature is missing or of a wrong type"},
		"and something else": {[][]byte{x.Algorithm, signature, signature}, "data follows the signature"},
	} {
		got := pkix.ReadLenient(certtest.TLV(certtest.Sequence, append([][]byte{x.TBS()}, c.after...)...))
		if why := got.Unread(pkix.FieldAlgorithm); !strings.HasSuffix(why, c.why) || (why == "") != (c.why == "") {
			t.Errorf("%s: %q, want %q", name, why, c.why)
		}
		if got.View().Subject.CommonName != "mx.example.org" {
			t.Errorf("%s: the rest was not read", name)
		}
	}
}

// TestEqual: two certificates are equal by their bytes, and nil is equal to nil alone.
func TestEqual(t *testing.T) {
	ca, der := certtest.NewCA(), certtest.Root()
	var none *pkix.Certificate
	a, again, b := pkix.Read(der), pkix.Read(slices.Clone(der)), pkix.Read(ca.DER)
	for _, c := range []struct {
		name string
		x, y *pkix.Certificate
		want bool
	}{
		{"itself", a, a, true}, {"the same bytes", a, again, true}, {"other bytes", a, b, false},
		{"nil", a, none, false}, {"to nil", none, a, false}, {"nil and nil", none, none, true},
		{"no bytes", pkix.Read(nil), pkix.Read(nil), false},
	} {
		if got := c.x.Equal(c.y); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestSelfSigned: the key of the certificate must have signed it, and its subject must be
// the issuer.
func TestSelfSigned(t *testing.T) {
	ca := certtest.NewCA()
	other := certtest.New("ca.example", pkix.Read(ca.DER).SPKI())
	for name, c := range map[string]struct {
		der  []byte
		want bool
	}{
		"a CA": {ca.DER, true},
		"the CA's key signed it for another issuer": {ca.Issue(other), false},
		"another key signed it":                     {certtest.Root(), false},
		"no certificate":                            {nil, false},
	} {
		if got := pkix.SelfSigned(pkix.Read(c.der), new(pkix.Work)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
