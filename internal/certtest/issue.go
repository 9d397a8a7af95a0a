package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"
)

// A Pair is a certificate with its key, as crypto/x509 makes them. (Certificates that it
// would not make are [Certificate] and [CA].)
type Pair struct {
	Cert   *x509.Certificate
	Key    crypto.Signer
	Issuer *Pair // nil: self-signed
}

// Sign makes the certificate that the template describes; without a serial number it gets
// a random one. A nil key is a new P-256 key, and by nil makes it self-signed. What by has
// of its certificate may be nothing but the name.
func Sign(template *x509.Certificate, key crypto.Signer, by *Pair) (*Pair, error) {
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		key = k
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Cert, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Pair{cert, key, by}, nil
}

// Issue is [Sign] with a new key. It panics on an error: the test is wrong.
func Issue(template *x509.Certificate, by *Pair) *Pair {
	p, err := Sign(template, nil, by)
	if err != nil {
		panic(fmt.Sprintf("certtest: %v", err))
	}
	return p
}

// Server is the template of a server's certificate with the DNS-IDs, the first of which is
// also the Common Name. It is valid from an hour before now until an hour after.
func Server(names ...string) *x509.Certificate {
	t := &x509.Certificate{
		DNSNames:  names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(names) > 0 {
		t.Subject = pkix.Name{CommonName: names[0]}
	}
	return t
}

// Authority is the template of a CA's certificate, valid as long as [Server].
func Authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// TLS returns the certificate for a server, which sends it with all its issuers.
func (p *Pair) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: p.Key, Leaf: p.Cert}
	for q := p; q != nil; q = q.Issuer {
		c.Certificate = append(c.Certificate, q.Cert.Raw)
	}
	return c
}

// TLSA returns the data of the TLSA record 3 1 1 of the key, as a zone file has it.
func (p *Pair) TLSA() string {
	return fmt.Sprintf("3 1 1 %x", sha256.Sum256(p.Cert.RawSubjectPublicKeyInfo))
}

// PEM returns the certificate alone in PEM form.
func (p *Pair) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Cert.Raw})
}

// KeyPEM returns the key in PEM form (PKCS #8).
func (p *Pair) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		panic(fmt.Sprintf("certtest: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
