package pkix

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256, for crypto.Hash
	_ "crypto/sha512" // SHA-384 and SHA-512
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// An algorithm holds the parts of a signature algorithm.
type algorithm struct {
	id   x509.SignatureAlgorithm
	oid  asn1.ObjectIdentifier
	key  x509.PublicKeyAlgorithm
	hash crypto.Hash // 0 for Ed25519, which hashes by itself, and for what is refused
	pss  bool
}

// algorithms are the signature algorithms of RFC 5280, RFC 5758, RFC 8410 and
// those that are known in order to be refused by name.
var algorithms = []algorithm{
	{x509.SHA256WithRSA, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, x509.RSA, crypto.SHA256, false},
	{x509.SHA384WithRSA, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, x509.RSA, crypto.SHA384, false},
	{x509.SHA512WithRSA, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, x509.RSA, crypto.SHA512, false},
	{x509.SHA256WithRSAPSS, oidRSAPSS, x509.RSA, crypto.SHA256, true},
	{x509.SHA384WithRSAPSS, oidRSAPSS, x509.RSA, crypto.SHA384, true},
	{x509.SHA512WithRSAPSS, oidRSAPSS, x509.RSA, crypto.SHA512, true},
	{x509.ECDSAWithSHA256, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, x509.ECDSA, crypto.SHA256, false},
	{x509.ECDSAWithSHA384, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, x509.ECDSA, crypto.SHA384, false},
	{x509.ECDSAWithSHA512, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, x509.ECDSA, crypto.SHA512, false},
	{x509.PureEd25519, oidEd25519, x509.Ed25519, 0, false},
	{x509.MD2WithRSA, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 2}, x509.RSA, 0, false},
	{x509.MD5WithRSA, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, x509.RSA, 0, false},
	{x509.SHA1WithRSA, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, x509.RSA, 0, false},
	{x509.SHA1WithRSA, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 29}, x509.RSA, 0, false},
	{x509.DSAWithSHA1, asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}, x509.DSA, 0, false},
	{x509.DSAWithSHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 2}, x509.DSA, 0, false},
	{x509.ECDSAWithSHA1, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, x509.ECDSA, 0, false},
}

// pssParameters are the parameters of RSASSA-PSS that are taken (RFC 4055): one
// hash, also for the mask, and a salt of its length.
var pssParameters = map[x509.SignatureAlgorithm]string{
	x509.SHA256WithRSAPSS: pssDER(1, 32),
	x509.SHA384WithRSAPSS: pssDER(2, 48),
	x509.SHA512WithRSAPSS: pssDER(3, 64),
}

// pssDER is the DER of RSASSA-PSS-params for the hash with this last arc under
// 2.16.840.1.101.3.4.2.
func pssDER(arc byte, salt byte) string {
	hash := []byte{0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, arc, 5, 0}
	mgf := append([]byte{0x30, 0x1a, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8}, hash...)
	out := append([]byte{0xa0, byte(len(hash))}, hash...)
	out = append(append(out, 0xa1, byte(len(mgf))), mgf...)
	out = append(out, 0xa2, 3, 2, 1, salt)
	return string(append([]byte{0x30, byte(len(out))}, out...))
}

// signatureAlgorithm reads the body of an AlgorithmIdentifier; 0 if it is unknown.
func signatureAlgorithm(ai cryptobyte.String) x509.SignatureAlgorithm {
	var oid asn1.ObjectIdentifier
	if !ai.ReadASN1ObjectIdentifier(&oid) {
		return 0
	}
	for _, a := range algorithms {
		switch {
		case !a.oid.Equal(oid),
			a.pss && string(ai) != pssParameters[a.id],
			a.id == x509.PureEd25519 && !ai.Empty():
			continue
		}
		return a.id
	}
	return 0
}

var errRSA = errors.New("crypto/rsa: verification error")

// checkSignature reports whether key made the signature over data with the
// algorithm. Keys that [CheckKey] refuses make none.
func checkSignature(id x509.SignatureAlgorithm, key crypto.PublicKey, data, signature []byte) error {
	var a *algorithm
	for i := range algorithms {
		if algorithms[i].id == id {
			a = &algorithms[i]
			break
		}
	}
	if a == nil || a.hash == 0 && a.id != x509.PureEd25519 || !canSign(key) {
		return x509.ErrUnsupportedAlgorithm
	}
	if err := CheckKey(key); err != nil {
		return err
	}
	var digest []byte
	if a.hash != 0 {
		h := a.hash.New()
		h.Write(data)
		digest = h.Sum(nil)
	}
	ok := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch {
		case a.key != x509.RSA:
			return wrongKey(a.key, key)
		case a.pss:
			return rsa.VerifyPSS(k, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return VerifyPKCS1(k, a.hash, digest, signature)
	case *ecdsa.PublicKey:
		if a.key != x509.ECDSA {
			return wrongKey(a.key, key)
		}
		if ok = ecdsa.VerifyASN1(k, digest, signature); !ok {
			return errors.New("x509: ECDSA verification failure")
		}
	case ed25519.PublicKey:
		if a.key != x509.Ed25519 {
			return wrongKey(a.key, key)
		}
		if ok = ed25519.Verify(k, data, signature); !ok {
			return errors.New("x509: Ed25519 verification failure")
		}
	}
	return nil
}

func wrongKey(want x509.PublicKeyAlgorithm, key crypto.PublicKey) error {
	return fmt.Errorf("x509: signature algorithm specifies an %s public key, but have public key of type %T", want, key)
}

// digestInfo is the prefix of the digest in a PKCS #1 signature (RFC 8017
// section 9.2, note 1).
var digestInfo = map[crypto.Hash]string{
	crypto.SHA1:   "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
	crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
	crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

// VerifyPKCS1 checks a signature of RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.2). It takes
// the keys that [CheckKey] accepts and fails for others. crypto/rsa refuses keys of 1,023
// bits and exponents above 2^31-1, and its arithmetic, made for secrets, takes three
// times as long for large keys; here all numbers are public. SHA-1 is for callers that
// must take it: no signature in a certificate is checked with it.
func VerifyPKCS1(k *rsa.PublicKey, hash crypto.Hash, digest, signature []byte) error {
	if err := CheckKey(k); err != nil {
		return err
	}
	if len(digest) != hash.Size() || digestInfo[hash] == "" {
		return errRSA
	}
	size := (k.N.BitLen() + 7) / 8
	s := new(big.Int).SetBytes(signature)
	if len(signature) != size || s.Cmp(k.N) >= 0 {
		return errRSA
	}
	// EM = 00 01 FF ... FF 00 T, made whole and compared whole.
	t := append([]byte(digestInfo[hash]), digest...)
	pad := size - len(t) - 3
	if pad < 8 {
		return errRSA
	}
	want := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, pad)...)
	want = append(append(want, 0), t...)
	got := new(big.Int).Exp(s, big.NewInt(int64(k.E)), k.N).FillBytes(make([]byte, size))
	if !bytes.Equal(got, want) {
		return errRSA
	}
	return nil
}

// Costs, as time on one core of a machine of 2020, measured with
// BenchmarkSignatures and rounded up.
const (
	costP224    = 300 * time.Microsecond
	costP256    = 150 * time.Microsecond
	costP384    = 1500 * time.Microsecond
	costP521    = 5 * time.Millisecond
	costEd25519 = 120 * time.Microsecond
	costHash    = 3 // nanoseconds for a byte
)

// signatureCost returns the cost of one check of a signature over n bytes.
func signatureCost(id x509.SignatureAlgorithm, key crypto.PublicKey, n int) time.Duration {
	cost := time.Duration(n) * costHash
	switch k := key.(type) {
	case *rsa.PublicKey:
		if CheckKey(k) != nil {
			return cost // it is not used
		}
		// Squarings and multiplications, each of which takes words^2 steps.
		words := time.Duration(k.N.BitLen()+63) / 64
		muls := time.Duration(bits.Len64(uint64(k.E)) + bits.OnesCount64(uint64(k.E)))
		one := muls * (3*words*words + 1000)
		switch id {
		case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
			one *= 3 // by crypto/rsa
		}
		cost += one
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 224:
			cost += costP224
		case 256:
			cost += costP256
		case 384:
			cost += costP384
		default:
			cost += costP521
		}
	case ed25519.PublicKey:
		cost += costEd25519
	}
	return cost
}

// keyText names a key for people: "an RSA key of 8192 bits".
func keyText(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("an RSA key of %d bits with the exponent %d", k.N.BitLen(), k.E)
	case *ecdsa.PublicKey:
		return "a key on the curve " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "an Ed25519 key"
	}
	return "a key of unknown type"
}

// SelfSigned reports whether c's own key signed it, within the given work.
func SelfSigned(c *Certificate, w *Work) bool {
	v := c.view
	if len(v.RawSubject) == 0 || !bytes.Equal(v.RawSubject, v.RawIssuer) {
		return false
	}
	fail, out := w.signature(c, c)
	return fail == nil && out == nil
}
