package tlswire

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// A Suite is a cipher suite of TLS 1.2.
type Suite uint16

// exchange is how a suite agrees on keys.
type exchange uint8

const (
	static exchange = iota // RSA key exchange: the server signs nothing
	dhe
	ecdhe
)

// suites are those of the offer, best first: what crypto/tls has, then what it lacks,
// then RSA key exchange, which proves nothing here and shows the certificate all the
// same. There is none without encryption, without a certificate, with RC4, DES, 3DES
// or MD5.
var suites = []struct {
	id   Suite
	kx   exchange
	name string
}{
	{0xc02b, ecdhe, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	{0xc02f, ecdhe, "ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
	{0xc02c, ecdhe, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
	{0xc030, ecdhe, "ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
	{0xcca9, ecdhe, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
	{0xcca8, ecdhe, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
	{0xc009, ecdhe, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
	{0xc013, ecdhe, "ECDHE_RSA_WITH_AES_128_CBC_SHA"},
	{0xc00a, ecdhe, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
	{0xc014, ecdhe, "ECDHE_RSA_WITH_AES_256_CBC_SHA"},
	{0xc023, ecdhe, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
	{0xc027, ecdhe, "ECDHE_RSA_WITH_AES_128_CBC_SHA256"},
	{0xc024, ecdhe, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"},
	{0xc028, ecdhe, "ECDHE_RSA_WITH_AES_256_CBC_SHA384"},
	{0xc0ac, ecdhe, "ECDHE_ECDSA_WITH_AES_128_CCM"},
	{0xc0ad, ecdhe, "ECDHE_ECDSA_WITH_AES_256_CCM"},
	{0xc0ae, ecdhe, "ECDHE_ECDSA_WITH_AES_128_CCM_8"},
	{0xc0af, ecdhe, "ECDHE_ECDSA_WITH_AES_256_CCM_8"},
	{0xc05c, ecdhe, "ECDHE_ECDSA_WITH_ARIA_128_GCM_SHA256"},
	{0xc05d, ecdhe, "ECDHE_ECDSA_WITH_ARIA_256_GCM_SHA384"},
	{0xc060, ecdhe, "ECDHE_RSA_WITH_ARIA_128_GCM_SHA256"},
	{0xc061, ecdhe, "ECDHE_RSA_WITH_ARIA_256_GCM_SHA384"},
	{0xc072, ecdhe, "ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256"},
	{0xc073, ecdhe, "ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384"},
	{0xc076, ecdhe, "ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"},
	{0xc077, ecdhe, "ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384"},
	{0x009e, dhe, "DHE_RSA_WITH_AES_128_GCM_SHA256"},
	{0x009f, dhe, "DHE_RSA_WITH_AES_256_GCM_SHA384"},
	{0xccaa, dhe, "DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
	{0xc09e, dhe, "DHE_RSA_WITH_AES_128_CCM"},
	{0xc09f, dhe, "DHE_RSA_WITH_AES_256_CCM"},
	{0xc0a2, dhe, "DHE_RSA_WITH_AES_128_CCM_8"},
	{0xc0a3, dhe, "DHE_RSA_WITH_AES_256_CCM_8"},
	{0x0067, dhe, "DHE_RSA_WITH_AES_128_CBC_SHA256"},
	{0x006b, dhe, "DHE_RSA_WITH_AES_256_CBC_SHA256"},
	{0x0033, dhe, "DHE_RSA_WITH_AES_128_CBC_SHA"},
	{0x0039, dhe, "DHE_RSA_WITH_AES_256_CBC_SHA"},
	{0xc052, dhe, "DHE_RSA_WITH_ARIA_128_GCM_SHA256"},
	{0xc053, dhe, "DHE_RSA_WITH_ARIA_256_GCM_SHA384"},
	{0x00be, dhe, "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"},
	{0x00c4, dhe, "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256"},
	{0x0045, dhe, "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA"},
	{0x0088, dhe, "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA"},
	{0x00a2, dhe, "DHE_DSS_WITH_AES_128_GCM_SHA256"},
	{0x00a3, dhe, "DHE_DSS_WITH_AES_256_GCM_SHA384"},
	{0x0040, dhe, "DHE_DSS_WITH_AES_128_CBC_SHA256"},
	{0x006a, dhe, "DHE_DSS_WITH_AES_256_CBC_SHA256"},
	{0x0032, dhe, "DHE_DSS_WITH_AES_128_CBC_SHA"},
	{0x0038, dhe, "DHE_DSS_WITH_AES_256_CBC_SHA"},
	{0x009c, static, "RSA_WITH_AES_128_GCM_SHA256"},
	{0x009d, static, "RSA_WITH_AES_256_GCM_SHA384"},
	{0xc09c, static, "RSA_WITH_AES_128_CCM"},
	{0xc09d, static, "RSA_WITH_AES_256_CCM"},
	{0x003c, static, "RSA_WITH_AES_128_CBC_SHA256"},
	{0x003d, static, "RSA_WITH_AES_256_CBC_SHA256"},
	{0x002f, static, "RSA_WITH_AES_128_CBC_SHA"},
	{0x0035, static, "RSA_WITH_AES_256_CBC_SHA"},
	{0xc050, static, "RSA_WITH_ARIA_128_GCM_SHA256"},
	{0xc051, static, "RSA_WITH_ARIA_256_GCM_SHA384"},
	{0x00ba, static, "RSA_WITH_CAMELLIA_128_CBC_SHA256"},
	{0x00c0, static, "RSA_WITH_CAMELLIA_256_CBC_SHA256"},
	{0x0041, static, "RSA_WITH_CAMELLIA_128_CBC_SHA"},
	{0x0084, static, "RSA_WITH_CAMELLIA_256_CBC_SHA"},
}

func (s Suite) index() int {
	for i := range suites {
		if suites[i].id == s {
			return i
		}
	}
	return -1
}

func (s Suite) offered() bool { return s.index() >= 0 }

func (s Suite) ephemeral() exchange {
	if i := s.index(); i >= 0 {
		return suites[i].kx
	}
	return static
}

// Signs reports whether the server signs the parameters of the key exchange.
func (s Suite) Signs() bool { return s.ephemeral() != static }

// String returns "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256".
func (s Suite) String() string {
	if i := s.index(); i >= 0 {
		return "TLS_" + suites[i].name
	}
	return fmt.Sprintf("cipher suite %04x", uint16(s))
}

// A Group is a named group of ECDHE (RFC 8422 section 5.1.1).
type Group uint16

// groups are those of the offer.
var groups = []struct {
	id   Group
	name string
}{
	{29, "X25519"}, {23, "P-256"}, {24, "P-384"}, {25, "P-521"}, {30, "X448"},
	{26, "brainpoolP256r1"}, {27, "brainpoolP384r1"}, {28, "brainpoolP512r1"}, {22, "secp256k1"}, {21, "P-224"},
}

func (g Group) offered() bool {
	for i := range groups {
		if groups[i].id == g {
			return true
		}
	}
	return false
}

// String returns "X448".
func (g Group) String() string {
	for i := range groups {
		if groups[i].id == g {
			return groups[i].name
		}
	}
	return fmt.Sprintf("group %d", uint16(g))
}

// A Scheme is a signature algorithm (RFC 8446 section 4.2.3; in TLS 1.2 the curve does
// not go with the hash).
type Scheme uint16

// Signature algorithms.
const (
	ECDSAWithSHA256 Scheme = 0x0403
	ECDSAWithSHA384 Scheme = 0x0503
	ECDSAWithSHA512 Scheme = 0x0603
	Ed25519         Scheme = 0x0807
	RSAWithSHA256   Scheme = 0x0401 // PKCS #1 v1.5
	RSAWithSHA384   Scheme = 0x0501
	RSAWithSHA512   Scheme = 0x0601
	RSAPSSKeySHA256 Scheme = 0x0809 // a key for RSASSA-PSS only
	RSAPSSKeySHA384 Scheme = 0x080a
	RSAPSSKeySHA512 Scheme = 0x080b
	Ed448           Scheme = 0x0808
	DSAWithSHA256   Scheme = 0x0402
	ECDSAWithSHA1   Scheme = 0x0203
	RSAWithSHA1     Scheme = 0x0201
	DSAWithSHA1     Scheme = 0x0202
)

// schemes are those of the offer. MD5 is not among them; SHA-1 is last, for a server
// that has nothing else. RSASSA-PSS with an ordinary RSA key is left out: every server
// with such a key has PKCS #1 v1.5 for TLS 1.2, which can be checked for all sizes.
var schemes = []Scheme{
	ECDSAWithSHA256, ECDSAWithSHA384, ECDSAWithSHA512, Ed25519, RSAWithSHA256, RSAWithSHA384, RSAWithSHA512,
	RSAPSSKeySHA256, RSAPSSKeySHA384, RSAPSSKeySHA512, Ed448, DSAWithSHA256, ECDSAWithSHA1, RSAWithSHA1, DSAWithSHA1,
}

func (s Scheme) offered() bool { return slices.Contains(schemes, s) }

// Extensions of the ClientHello.
const (
	extServerName           = 0
	extGroups               = 10
	extPointFormats         = 11
	extSignatureAlgorithms  = 13
	extExtendedMasterSecret = 23
	extRenegotiationInfo    = 0xff01
)

// clientHello returns a record with a ClientHello of TLS 1.2. It is well below 1,000
// bytes, so that what refuses long ones takes it.
func clientHello(name string, random []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint8(recordHandshake)
	b.AddUint16(0x0301) // as all clients do, RFC 5246 appendix E.1
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(typeClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(version12)
			b.AddBytes(random)
			b.AddUint8(0) // no session
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for i := range suites {
					b.AddUint16(uint16(suites[i].id))
				}
			})
			b.AddBytes([]byte{1, 0}) // no compression
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { extensions(b, name) })
		})
	})
	return b.Bytes()
}

func extensions(b *cryptobyte.Builder, name string) {
	ext := func(id uint16, body func(*cryptobyte.Builder)) {
		b.AddUint16(id)
		b.AddUint16LengthPrefixed(body)
	}
	if name != "" {
		ext(extServerName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0) // host_name, RFC 6066 section 3
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
			})
		})
	}
	ext(extGroups, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for i := range groups {
				b.AddUint16(uint16(groups[i].id))
			}
		})
	})
	// All point formats, as OpenSSL has it: a server may want that for a certificate with a
	// compressed point. Nothing is computed with the points.
	ext(extPointFormats, func(b *cryptobyte.Builder) { b.AddBytes([]byte{3, 0, 1, 2}) })
	ext(extSignatureAlgorithms, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, s := range schemes {
				b.AddUint16(uint16(s))
			}
		})
	})
	ext(extExtendedMasterSecret, func(*cryptobyte.Builder) {})
	ext(extRenegotiationInfo, func(b *cryptobyte.Builder) { b.AddUint8(0) })
}
