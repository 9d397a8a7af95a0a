package peers

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/certtest"
)

// A CA issues the certificates of a test.
type CA struct {
	Cert *x509.Certificate
	pair *certtest.Pair
}

// NewCA makes a self-signed root.
func NewCA(tb testing.TB, name string) *CA {
	tb.Helper()
	template := certtest.Authority(name)
	template.KeyUsage |= x509.KeyUsageDigitalSignature
	p := certtest.Issue(template, nil)
	return &CA{p.Cert, p}
}

// A Leaf is a certificate with its key and the CA that issued it.
type Leaf struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	CA   *x509.Certificate
}

// Issue makes a server certificate with these DNS-IDs, the first as its Common Name. It is
// valid from an hour ago on; with a negative life it has expired that long ago.
func (ca *CA) Issue(tb testing.TB, life time.Duration, names ...string) Leaf {
	tb.Helper()
	template := certtest.Server(names...)
	template.NotBefore, template.NotAfter = template.NotBefore.Add(min(life, 0)), time.Now().Add(life)
	p := certtest.Issue(template, ca.pair)
	return Leaf{p.Cert, p.Key, ca.Cert}
}

// PEM returns the root in PEM form.
func (ca *CA) PEM() []byte { return ca.pair.PEM() }

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
