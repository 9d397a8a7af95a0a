package dane_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/rfc6125"
)

// The time at which all certificates of the tests are valid unless they say otherwise.
var now = time.Date(2000, 6, 1, 12, 0, 0, 0, time.UTC)

var (
	yearBefore = now.AddDate(-1, 0, 0)
	yearAfter  = now.AddDate(1, 0, 0)
)

// A node is a certificate with its key.
type node struct {
	*x509.Certificate
	key crypto.Signer
}

func (n *node) hexCert() string { return hex.EncodeToString(n.Raw) }
func (n *node) hexSPKI() string { return hex.EncodeToString(n.RawSubjectPublicKeyInfo) }

// record makes the TLSA record of n by the numbers, without any code of the package.
func (n *node) record(u dane.Usage, s dane.Selector, m dane.MatchingType) dane.Record {
	der := n.Raw
	if s == dane.SPKI {
		der = n.RawSubjectPublicKeyInfo
	}
	switch m {
	case dane.SHA2_256:
		d := sha256.Sum256(der)
		der = d[:]
	case dane.SHA2_512:
		d := sha512.Sum512(der)
		der = d[:]
	}
	return dane.Record{Usage: u, Selector: s, MatchingType: m, Data: string(der)}
}

// spare keys: making one costs more than most tests.
var (
	keysMu sync.Mutex // guards keys
	keys   []*ecdsa.PrivateKey
)

// testKey is the i-th key of the tests.
func testKey(i int) *ecdsa.PrivateKey {
	keysMu.Lock()
	defer keysMu.Unlock()
	for len(keys) <= i {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys[i]
}

// A spec describes one certificate; zero fields mean a plain one.
type spec struct {
	cn          string
	dns         []string
	ca          bool
	key         int // index of testKey
	from, until time.Time
	edit        func(*x509.Certificate)
}

var serial int64

// issue makes a certificate that parent signs; a nil parent means itself.
func issue(tb testing.TB, s spec, parent *node) *node {
	tb.Helper()
	keysMu.Lock()
	serial++
	n := serial
	keysMu.Unlock()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(n),
		Subject:      stdpkix.Name{CommonName: s.cn},
		DNSNames:     s.dns,
		NotBefore:    yearBefore,
		NotAfter:     yearAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	if s.ca {
		t.BasicConstraintsValid, t.IsCA, t.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	if !s.from.IsZero() {
		t.NotBefore = s.from
	}
	if !s.until.IsZero() {
		t.NotAfter = s.until
	}
	if s.edit != nil {
		s.edit(t)
	}
	key := testKey(s.key)
	var by *certtest.Pair
	if parent != nil {
		by = &certtest.Pair{Cert: parent.Certificate, Key: parent.key}
	}
	p, err := certtest.Sign(t, key, by)
	if err != nil {
		tb.Fatal(err)
	}
	return &node{p.Cert, p.Key}
}

// A pki is a root, an intermediate and a leaf for mx.sec.example.
type pki struct{ root, inter, leaf *node }

func newWorld(tb testing.TB) pki {
	tb.Helper()
	root := issue(tb, spec{cn: "Root", ca: true, key: 0}, nil)
	inter := issue(tb, spec{cn: "Intermediate", ca: true, key: 1}, root)
	leaf := issue(tb, spec{cn: "leaf", dns: []string{"mx.sec.example"}, key: 2}, inter)
	return pki{root, inter, leaf}
}

// chain makes what a peer presents.
func chain(nodes ...*node) dane.Peer {
	var p dane.Peer
	for _, n := range nodes {
		p.Chain = append(p.Chain, n.Certificate)
	}
	return p
}

// refs makes reference identifiers.
func refs(names ...string) []rfc6125.Reference {
	var out []rfc6125.Reference
	for _, n := range names {
		out = append(out, rfc6125.NewReference(host(n)))
	}
	return out
}

// set makes a set without a policy.
func set(r ...dane.Record) dane.Set { return dane.NewSet(r, dane.UsePolicy{}) }

// options for mx.sec.example, now.
var options = dane.Options{References: refs("mx.sec.example"), At: now}

// unknownExtension adds an extension that no program knows.
func unknownExtension(critical bool) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []stdpkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 7}, Critical: critical, Value: []byte{5, 0}}}
	}
}

// verifier makes a function that verifies a chain by one record.
func verifier(r dane.Record, nodes ...*node) func() error {
	return setVerifier(set(r), nodes...)
}

func setVerifier(s dane.Set, nodes ...*node) func() error {
	p := chain(nodes...)
	return func() error {
		_, err := s.Verify(p, options)
		return err
	}
}
