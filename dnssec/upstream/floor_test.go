package upstream_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// TestFloor: a server with a small key, or without forward secrecy, is not asked, whether
// its name or its key is known (RFC 9325 sections 4.2 and 4.5).
func TestFloor(t *testing.T) {
	for _, c := range []struct {
		name  string
		bits  int
		suite uint16 // 0: the usual ones
		ok    bool
	}{
		{"RSA of 2,048 bits", 2048, 0, true},
		{"RSA of 1,024 bits", 1024, 0, false},
		{"RSA key exchange", 2048, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, false},
	} {
		key, err := rsa.GenerateKey(rand.Reader, c.bits)
		if err != nil {
			t.Fatal(err)
		}
		template := certtest.Authority("")
		template.DNSNames, template.KeyUsage = []string{"dns.example"}, 0
		pair, err := certtest.Sign(template, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(pair.Cert)
		for by, pattern := range map[string]string{"by name": "tls://%s#dns.example", "by key": "tls://%s?pin=" + pin(pair.Cert)} {
			t.Run(c.name+" "+by, func(t *testing.T) {
				t.Parallel()
				cfg := &tls.Config{Certificates: []tls.Certificate{pair.TLS()}}
				if c.suite != 0 {
					cfg.MaxVersion, cfg.CipherSuites = tls.VersionTLS12, []uint16{c.suite}
				}
				srv := dnsfake.StartTLS(t, cfg, good)
				client := dot(t, srv, pattern, upstream.Config{RootCAs: pool, Timeout: 20 * time.Second})
				_, err := client.Exchange(t.Context(), query(t, "mx.example.org", dns.TypeA))
				if (err == nil) != c.ok || !c.ok && (!errors.Is(err, dnssec.ErrUnreachable) || srv.Requests() != 0) {
					t.Errorf("%v, %d requests", err, srv.Requests())
				}
			})
		}
	}
}
