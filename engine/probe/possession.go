package probe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // for crypto.SHA1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mxauth/mxauth/internal/tlswire"
	"github.com/mxauth/mxauth/pkix"
)

// minPrime is the smallest modulus of DHE whose signature counts: below, as OpenSSL has
// it at its lowest level that checks anything, anybody can compute the key.
const minPrime = 1024

// schemes are the signature algorithms that can be checked here.
var schemes = map[tlswire.Scheme]struct {
	hash crypto.Hash // 0 for Ed25519
	pss  bool
}{
	tlswire.ECDSAWithSHA256: {crypto.SHA256, false},
	tlswire.ECDSAWithSHA384: {crypto.SHA384, false},
	tlswire.ECDSAWithSHA512: {crypto.SHA512, false},
	tlswire.ECDSAWithSHA1:   {crypto.SHA1, false},
	tlswire.RSAWithSHA256:   {crypto.SHA256, false},
	tlswire.RSAWithSHA384:   {crypto.SHA384, false},
	tlswire.RSAWithSHA512:   {crypto.SHA512, false},
	tlswire.RSAWithSHA1:     {crypto.SHA1, false},
	tlswire.RSAPSSKeySHA256: {crypto.SHA256, true},
	tlswire.RSAPSSKeySHA384: {crypto.SHA384, true},
	tlswire.RSAPSSKeySHA512: {crypto.SHA512, true},
	tlswire.Ed25519:         {0, false},
}

// possession checks the signature of a flight with the key of its first certificate: it
// covers the random of this client, so it was made for this handshake (RFC 5246 section
// 7.4.3). If it is good, ok is true and unproved is "". If it cannot be checked here, ok
// is true and unproved says why. If it is wrong, or the key proves nothing, ok is false.
func possession(f *tlswire.Flight) (unproved string, ok bool) {
	leaf := pkix.Read(f.Chain[0])
	key, err := pkix.ReadKey(leaf.SPKI())
	pss := false
	if err != nil {
		var k *rsa.PublicKey
		if k, pss = pssKey(leaf.SPKI()); pss {
			key, err = k, nil
		}
	}
	if weak := pkix.CheckKey(key); weak != nil {
		if key.(*rsa.PublicKey).N.BitLen() > maxOwnRSABits {
			return weak.Error(), true
		}
		return "", false
	}
	s, known := schemes[f.Scheme]
	switch {
	case !f.Suite.Signs():
		return "with RSA key exchange the server signs nothing before the handshake is complete", true
	case f.Prime != 0 && f.Prime < minPrime:
		return "", false
	case err != nil:
		return pkix.UnreadKey(leaf.SPKI()), true
	case !known:
		return "its signature algorithm cannot be checked here", true
	}
	digest := f.Signed
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(f.Signed)
		digest = h.Sum(nil)
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch {
		case s.hash == 0 || s.pss != pss || !isRSA(f.Scheme):
			return "", false
		case pss:
			return "", rsa.VerifyPSS(k, s.hash, digest, f.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return "", pkix.VerifyPKCS1(k, s.hash, digest, f.Signature) == nil
	case *ecdsa.PublicKey:
		return "", isECDSA(f.Scheme) && ecdsa.VerifyASN1(k, digest, f.Signature)
	case ed25519.PublicKey:
		return "", f.Scheme == tlswire.Ed25519 && ed25519.Verify(k, f.Signed, f.Signature)
	}
	return "a key of an unknown type", true
}

func isECDSA(s tlswire.Scheme) bool {
	switch s {
	case tlswire.ECDSAWithSHA256, tlswire.ECDSAWithSHA384, tlswire.ECDSAWithSHA512, tlswire.ECDSAWithSHA1:
		return true
	}
	return false
}

func isRSA(s tlswire.Scheme) bool { return s != tlswire.Ed25519 && !isECDSA(s) }

// oidPSS is id-RSASSA-PSS, oidRSA rsaEncryption (RFC 4055 section 1.2).
var (
	oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// pssKey reads a key that is for RSASSA-PSS only. Its parameters, which may allow less
// than any hash, are for the server to keep: who signs for it has the key.
func pssKey(spki []byte) (*rsa.PublicKey, bool) {
	in := cryptobyte.String(spki)
	var body, ai, bits cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1(&ai, casn1.SEQUENCE) || !ai.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidPSS) ||
		!body.ReadASN1Element(&bits, casn1.BIT_STRING) {
		return nil, false
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidRSA)
			b.AddASN1NULL()
		})
		b.AddBytes(bits)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, false
	}
	key, err := pkix.ReadKey(der)
	if err != nil {
		return nil, false
	}
	k, ok := key.(*rsa.PublicKey)
	return k, ok
}
