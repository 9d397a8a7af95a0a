package pkix_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	xpkix "crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
)

// now is when the tests judge; certificates are good for a year around it.
var now = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)

// An entity is a name with a key, which signs and is signed.
type entity struct {
	t    testing.TB
	name xpkix.Name
	key  *ecdsa.PrivateKey
	cert *x509.Certificate // the certificate by which it signs
}

// change alters a certificate before it is signed.
type change func(*x509.Certificate)

var serial int64

func newEntity(t testing.TB, name string) *entity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &entity{t: t, name: xpkix.Name{CommonName: name}, key: key}
}

// signs makes a certificate of subject, by e.
func (e *entity) signs(subject *entity, ca bool, changes ...change) *x509.Certificate {
	e.t.Helper()
	serial++
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               subject.name,
		NotBefore:             now.AddDate(0, -6, 0),
		NotAfter:              now.AddDate(0, 6, 0),
		BasicConstraintsValid: true,
		IsCA:                  ca,
		KeyUsage:              x509.KeyUsageDigitalSignature,
	}
	if ca {
		tmpl.KeyUsage = x509.KeyUsageCertSign
		tmpl.MaxPathLen = -1
	}
	for _, f := range changes {
		f(tmpl)
	}
	parent := e.cert
	if parent == nil {
		parent = &x509.Certificate{Subject: e.name}
	}
	p, err := certtest.Sign(tmpl, subject.key, &certtest.Pair{Cert: parent, Key: e.key})
	if err != nil {
		e.t.Fatal(err)
	}
	return p.Cert
}

// root makes a self-signed CA.
func root(t testing.TB, changes ...change) *entity {
	t.Helper()
	e := newEntity(t, "root")
	e.cert = e.signs(e, true, changes...)
	return e
}

// ca makes a CA below e.
func (e *entity) ca(name string, changes ...change) *entity {
	e.t.Helper()
	s := newEntity(e.t, name)
	s.cert = e.signs(s, true, changes...)
	return s
}

// leaf makes a server's certificate for mx.example.
func (e *entity) leaf(changes ...change) *x509.Certificate {
	e.t.Helper()
	return e.signs(newEntity(e.t, "mx.example"), false, append([]change{dns("mx.example")}, changes...)...)
}

func dns(names ...string) change { return func(c *x509.Certificate) { c.DNSNames = names } }

func rawExt(critical bool, value []byte, oid ...int) change {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, xpkix.Extension{Id: oid, Critical: critical, Value: value})
	}
}

func eku(usages ...x509.ExtKeyUsage) change {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

func until(at time.Time) change { return func(c *x509.Certificate) { c.NotAfter = at } }

func from(at time.Time) change { return func(c *x509.Certificate) { c.NotBefore = at } }

func pathLen(n int) change {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}

func usage(u x509.KeyUsage) change { return func(c *x509.Certificate) { c.KeyUsage = u } }

func notCA(c *x509.Certificate) { c.IsCA, c.MaxPathLen = false, 0 }

func noBasic(c *x509.Certificate) { c.BasicConstraintsValid = false }

// tlv is one DER element.
func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	switch n := len(body); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	case n < 0x10000:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	case n < 0x1000000:
		return append([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	default:
		return append([]byte{tag, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	}
}

// subtree is a GeneralSubtree: a GeneralName and its bounds.
func subtree(tag byte, base []byte, bounds ...[]byte) []byte {
	return tlv(0x30, append([][]byte{tlv(tag, base)}, bounds...)...)
}

func dnsTree(s string) []byte { return subtree(0x82, []byte(s)) }

func constraints(permitted, excluded [][]byte) []byte {
	var halves [][]byte
	if permitted != nil {
		halves = append(halves, tlv(0xa0, permitted...))
	}
	if excluded != nil {
		halves = append(halves, tlv(0xa1, excluded...))
	}
	return tlv(0x30, halves...)
}

func trees(t ...[]byte) [][]byte { return t }

// constrained sets raw name constraints, critical as RFC 5280 wants them.
func constrained(permitted, excluded [][]byte) change {
	return rawExt(true, constraints(permitted, excluded), 2, 5, 29, 30)
}

// rawSAN sets a raw subjectAltName of these GeneralNames.
func rawSAN(names ...[]byte) change {
	return func(c *x509.Certificate) {
		c.DNSNames = nil
		c.ExtraExtensions = append(c.ExtraExtensions, xpkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: tlv(0x30, names...)})
	}
}

// extend adds an extension to a certificate that is parsed already, for what
// crypto/x509 would not parse. The signature stays: it is over RawTBSCertificate.
func extend(c *x509.Certificate, critical bool, value []byte, oid ...int) *x509.Certificate {
	d := *c
	d.Extensions = append(append([]xpkix.Extension(nil), c.Extensions...), xpkix.Extension{Id: oid, Critical: critical, Value: value})
	return &d
}

// verify builds a path below roots.
func verify(roots []*x509.Certificate, chain ...*x509.Certificate) error {
	_, err := pkix.Verify(pkix.Request{Chain: chain, Roots: pkix.NewRoots(roots...), At: now})
	return err
}

// want checks the kind of a failure; nil wants success.
func want(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if kind == nil {
		if err != nil {
			t.Errorf("fails: %v", err)
		}
		return
	}
	var e *pkix.Error
	if !errors.As(err, &e) {
		t.Errorf("%v is no *Error, want %v", err, kind)
		return
	}
	if e.Kind != kind || !errors.Is(err, kind) || !errors.Is(err, pkix.ErrUntrusted) {
		t.Errorf("kind %v, want %v", err, kind)
	}
	if len(e.All) == 0 || e.All[0].(*pkix.Error).Kind != kind {
		t.Errorf("%v does not begin its own list %v", err, e.All)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not tell of %q", err, w)
		}
	}
}

func certs(c ...*x509.Certificate) []*x509.Certificate { return c }

func kinds(err error) string {
	var e *pkix.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	var ks []string
	for _, one := range e.All {
		ks = append(ks, strings.TrimPrefix(one.(*pkix.Error).Kind.Error(), "certificate not trusted: "))
	}
	return strings.Join(ks, ", ")
}
