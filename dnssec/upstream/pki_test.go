package upstream_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"

	"github.com/mxauth/mxauth/internal/certtest"
)

// An authority signs certificates for test servers.
type authority struct {
	*certtest.Pair
	pool *x509.CertPool
}

func newAuthority() *authority {
	a := &authority{certtest.Issue(certtest.Authority("test CA"), nil), x509.NewCertPool()}
	a.pool.AddCert(a.Cert)
	return a
}

// serverCert is a certificate with subjectAltNames (IP addresses and DNS names) and a
// common name; change may spoil it.
func (a *authority) serverCert(cn string, sans []string, change func(*x509.Certificate)) tls.Certificate {
	template := certtest.Server(cn)
	template.DNSNames = nil
	for _, s := range sans {
		if ip := net.ParseIP(s); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, s)
		}
	}
	if change != nil {
		change(template)
	}
	return certtest.Issue(template, a.Pair).TLS()
}

// pin is the RFC 7858 pin of a certificate's key.
func pin(c *x509.Certificate) string {
	h := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(h[:])
}
