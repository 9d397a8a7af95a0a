package peers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"
)

// A CA issues the certificates of a test.
type CA struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64 // serial number
}

// NewCA makes a self-signed root.
func NewCA(tb testing.TB, name string) *CA {
	tb.Helper()
	key := newKey(tb)
	t := template(1, name, time.Hour)
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage, t.ExtKeyUsage, t.DNSNames = x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature, nil, nil
	return &CA{Cert: sign(tb, t, t, key, key), key: key, next: 2}
}

// A Leaf is a certificate with its key and the CA that issued it.
type Leaf struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
	CA   *x509.Certificate
}

// Issue makes a server certificate with these DNS-IDs, the first as its Common Name;
// with a negative life it has expired that long ago.
func (ca *CA) Issue(tb testing.TB, life time.Duration, names ...string) Leaf {
	tb.Helper()
	key := newKey(tb)
	t := template(ca.next, names[0], life)
	t.DNSNames = names
	ca.next++
	return Leaf{sign(tb, t, ca.Cert, key, ca.key), key, ca.Cert}
}

// PEM returns the root in PEM form.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
}

// TLS returns the leaf with its chain for a Go server.
func (l Leaf) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{l.Cert.Raw, l.CA.Raw}, PrivateKey: l.Key, Leaf: l.Cert}
}

// ChainFile writes key, certificate and CA to one PEM file, as Postfix's
// smtpd_tls_chain_files wants them.
func (l Leaf) ChainFile(tb testing.TB, dir, name string) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(l.Key)
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{
		{Type: "PRIVATE KEY", Bytes: der},
		{Type: "CERTIFICATE", Bytes: l.Cert.Raw},
		{Type: "CERTIFICATE", Bytes: l.CA.Raw},
	} {
		if err := pem.Encode(&b, block); err != nil {
			tb.Fatal(err)
		}
	}
	file := filepath.Join(dir, name+".pem")
	write(tb, file, "%s", b.String())
	return file
}

// SPKI256 returns the hex of the SHA-256 hash of a certificate's
// SubjectPublicKeyInfo: the data of a TLSA record with selector 1 and matching type 1.
func SPKI256(c *x509.Certificate) string {
	h := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(h[:])
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// template is a server certificate that is valid for life from an hour ago on, or that
// ended -life ago.
func template(serial int64, name string, life time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour + min(life, 0)),
		NotAfter:     now.Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func sign(tb testing.TB, t, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, by)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
