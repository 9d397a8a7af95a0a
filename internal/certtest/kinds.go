package certtest

import (
	"bytes"
	"crypto"
)

// A Kind is one way in which the certificate of a living mail server is odd.
type Kind struct {
	Name, About string
	// Change makes a plain certificate odd.
	Change func(*Certificate)
	// NotParsed says that crypto/x509 refuses it.
	NotParsed bool
	// NoPath says that no path leads through it: a field that path validation looks at
	// is unreadable, or says no.
	NoPath bool
	// NoName says that the host's name cannot be read in it.
	NoName bool
	// Weak says that its key proves nothing, not even by DANE-EE.
	Weak bool
}

// Leaf returns the certificate of this kind for host with that key, signed by ca. A
// kind whose oddity is the key puts another one in its place.
func (k Kind) Leaf(ca *CA, host string, key Key) []byte {
	c := New(host, key.SPKI)
	c.Issuer = ca.Name
	k.Change(c)
	return c.Sign(ca.Key)
}

// A Served is a certificate with what a server does with it.
type Served struct {
	DER, SPKI []byte
	Key       crypto.Signer // nil if crypto does not have such keys
}

// Server returns a certificate of this kind for host, with the key with which its server
// signs.
func (k Kind) Server(ca *CA, host string) Served {
	own := NewKey()
	c := New(host, own.SPKI)
	c.Issuer = ca.Name
	k.Change(c)
	s := Served{DER: c.Sign(ca.Key), SPKI: c.SPKI, Key: c.Private}
	if s.Key == nil && bytes.Equal(c.SPKI, own.SPKI) {
		s.Key = own.Private
	}
	return s
}

// Kinds lists the kinds.
func Kinds() []Kind {
	key := func(der func() []byte) func(*Certificate) { return func(c *Certificate) { c.SPKI = der() } }
	rsaKey := func(key func() *RSAKey, null bool) func(*Certificate) {
		return func(c *Certificate) { c.SPKI, c.Private = key().SPKI(null), key() }
	}
	add := func(ext ...[]byte) func(*Certificate) {
		return func(c *Certificate) { c.Extensions = append(c.Extensions, ext...) }
	}
	san := func(more ...[]byte) func(*Certificate) {
		return func(c *Certificate) {
			c.Extensions = [][]byte{SAN(append([][]byte{DNSName("mx.example.org")}, more...)...)}
		}
	}
	subject := func(attribute int, tag byte, text string) func(*Certificate) {
		return func(c *Certificate) { c.Subject = Name(attribute, tag, text) }
	}
	dates := func(tag byte, text string) func(*Certificate) {
		return func(c *Certificate) { c.NotAfter = TLV(tag, []byte(text)) }
	}
	keyID := TLV(OctetString, []byte{1, 2, 3, 4})
	return []Kind{
		{Name: "serial-negative", About: "the serial number is -5", NotParsed: true, Change: func(c *Certificate) { c.Serial = TLV(Integer, []byte{0xfb}) }},
		{Name: "serial-long", About: "the serial number has a zero too many", NotParsed: true, Change: func(c *Certificate) { c.Serial = TLV(Integer, []byte{0, 5}) }},
		{Name: "date-offset", About: "the end is written with an offset from UTC", NotParsed: true, NoPath: true, Change: dates(UTCTime, "270301000000+0000")},
		{Name: "date-fraction", About: "the end has a fraction of a second", NotParsed: true, NoPath: true, Change: dates(GeneralizedTime, "20270301000000.5Z")},
		{Name: "date-month-13", About: "the end is in a month that there is not", NotParsed: true, NoPath: true, Change: dates(UTCTime, "271301000000Z")},
		{Name: "date-text", About: "the end is a text string", NotParsed: true, NoPath: true, Change: dates(UTF8String, "never")},
		{Name: "printable-underscore", About: "a PrintableString holds an underscore", NotParsed: true, Change: subject(3, PrintableString, "mail_server")},
		{Name: "printable-at", About: "a PrintableString holds an at sign", NotParsed: true, Change: subject(3, PrintableString, "postmaster@example.org")},
		{Name: "universal-string", About: "the subject is a UniversalString", NotParsed: true, Change: subject(10, UniversalString, "\x00\x00\x00M\x00\x00\x00X")},
		{Name: "ia5-latin1", About: "an IA5String holds Latin-1", NotParsed: true, Change: subject(10, IA5String, "M\xfcller")},
		{Name: "utf8-latin1", About: "a UTF8String holds Latin-1", NotParsed: true, Change: subject(10, UTF8String, "M\xfcller")},
		{Name: "san-ip5", About: "an iPAddress has five bytes", NotParsed: true, Change: san(TLV(0x87, []byte{1, 2, 3, 4, 5}))},
		{Name: "san-uri", About: "a URI that is none", NotParsed: true, Change: san(TLV(0x86, []byte("http://[::1")))},
		{Name: "san-latin1", About: "a dNSName holds Latin-1", NotParsed: true, Change: san(TLV(0x82, []byte("m\xfcller.example")))},
		{Name: "san-not-a-list", About: "the subjectAltName is no list", NotParsed: true, NoName: true, Change: func(c *Certificate) {
			c.Extensions = [][]byte{Extension(nil, TLV(OctetString, []byte("mx.example.org")), 2, 5, 29, 17)}
		}},
		{Name: "extension-twice", About: "the subjectAltName is there twice", NotParsed: true, NoPath: true, Change: func(c *Certificate) { c.Extensions = append(c.Extensions, c.Extensions[0]) }},
		{Name: "key-usage-malformed", About: "keyUsage is no bit string", NotParsed: true, Change: add(Extension(Critical, TLV(Integer, []byte{5}), 2, 5, 29, 15))},
		{Name: "basic-constraints-malformed", About: "basicConstraints is no sequence", NotParsed: true, Change: add(Extension(Critical, TLV(Integer, []byte{5}), 2, 5, 29, 19))},
		{Name: "purpose-malformed", About: "extKeyUsage holds a number", NotParsed: true, NoPath: true, Change: add(Extension(nil, TLV(Sequence, TLV(Integer, []byte{5})), 2, 5, 29, 37))},
		{Name: "policies-malformed", About: "certificatePolicies is no sequence", NotParsed: true, Change: add(Extension(nil, TLV(Integer, []byte{5}), 2, 5, 29, 32))},
		{Name: "policies-malformed-critical", About: "the same, critical", NotParsed: true, NoPath: true, Change: add(Extension(Critical, TLV(Integer, []byte{5}), 2, 5, 29, 32))},
		{Name: "aia-malformed", About: "authorityInfoAccess is no sequence", NotParsed: true, Change: add(Extension(nil, TLV(Integer, []byte{5}), 1, 3, 6, 1, 5, 5, 7, 1, 1))},
		{Name: "aki-malformed", About: "authorityKeyIdentifier is no sequence", NotParsed: true, Change: add(Extension(nil, TLV(Integer, []byte{5}), 2, 5, 29, 35))},
		{Name: "aki-critical", About: "authorityKeyIdentifier is critical", NotParsed: true, NoPath: true, Change: add(Extension(Critical, TLV(Sequence, TLV(0x80, []byte{1, 2, 3, 4})), 2, 5, 29, 35))},
		{Name: "ski-critical", About: "subjectKeyIdentifier is critical", NotParsed: true, NoPath: true, Change: add(Extension(Critical, keyID, 2, 5, 29, 14))},
		{Name: "aia-critical", About: "authorityInfoAccess is critical", NotParsed: true, NoPath: true, Change: add(Extension(Critical, TLV(Sequence), 1, 3, 6, 1, 5, 5, 7, 1, 1))},
		{Name: "constraints-odd", About: "a name constraint is no domain", NotParsed: true, Change: add(Extension(Critical, TLV(Sequence, TLV(0xa0, TLV(Sequence, DNSName("*.exa mple")))), 2, 5, 29, 30))},
		{Name: "constraints-empty", About: "name constraints without any", NotParsed: true, Change: add(Extension(Critical, TLV(Sequence), 2, 5, 29, 30))},
		{Name: "boolean-01", About: "critical is TRUE as 01", NotParsed: true, Change: add(Extension([]byte{1}, TLV(BitString, []byte{7, 0x80}), 2, 5, 29, 15))},
		{Name: "ca-boolean-01", About: "cA is TRUE as 01", NotParsed: true, Change: add(Extension(Critical, TLV(Sequence, TLV(Boolean, []byte{1})), 2, 5, 29, 19))},
		{Name: "version-4", About: "version 4", NotParsed: true, NoPath: true, Change: func(c *Certificate) { c.Version = TLV(0xa0, TLV(Integer, []byte{3})) }},
		{Name: "algorithms-differ", About: "the inner and outer algorithm differ", NotParsed: true, NoPath: true, Change: func(c *Certificate) { c.Outer = ECDSAWithSHA384 }},
		{Name: "rsa-without-null", About: "the RSA key has no parameter NULL", NotParsed: true, Change: rsaKey(rsa2048, false)},
		{Name: "ec-explicit", About: "the curve is written out in parameters", NotParsed: true, Change: func(c *Certificate) {
			key := NewKey()
			c.SPKI, c.Private = explicitP256(key), key.Private
		}},
		{Name: "ec-compressed", About: "the point is compressed", NotParsed: true, Change: func(c *Certificate) {
			key := NewKey()
			c.SPKI, c.Private = compressedP256(key), key.Private
		}},
		{Name: "secp256k1", About: "a key on secp256k1", NotParsed: true, Change: key(secp256k1)},
		{Name: "rsa-1023", About: "an RSA key of 1,023 bits", Change: rsaKey(rsa1023, true)},
		{Name: "rsa-512", About: "an RSA key of 512 bits", Weak: true, NoPath: true, Change: rsaKey(rsa512, true)},
		{Name: "rsa-exponent", About: "an RSA exponent above 2^32", Change: rsaKey(rsaLarge, true)},
		{Name: "rsa-pss", About: "a key for RSA-PSS only", Change: func(c *Certificate) {
			c.SPKI = spki(TLV(Sequence, ID(1, 2, 840, 113549, 1, 1, 10)), TLV(Sequence, integer(rsa2048().N), integer(rsa2048().E)))
			c.Private = rsa2048().crypto()
		}},
		{Name: "ed448", About: "an Ed448 key", Change: key(func() []byte { return spki(TLV(Sequence, ID(1, 3, 101, 113)), make([]byte, 57)) })},
		{Name: "dsa", About: "a DSA key", Change: key(dsa)},
		{Name: "md5", About: "signed with MD5", NoPath: true, Change: func(c *Certificate) { c.Algorithm = MD5WithRSA }},
	}
}

// Root returns a self-signed certificate of a kind of key that crypto/x509 does not
// read, to be sent after a chain as an extra: on secp256k1. Its signature is junk.
func Root() []byte {
	c := New("root.example", secp256k1())
	c.Issuer = c.Subject
	return c.Sign(NewCA().Key)
}
