package peers_test

import (
	"crypto"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	prng "math/rand/v2"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/internal/certtest"
)

// danePeer is the TLSA base domain of every case, and the one name expected.
const danePeer = "mx.sec.test"

// A daneNode is a certificate with its key.
type daneNode struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// A daneFlaw is what is wrong with a leaf or an intermediate; the names go into those of
// the cases.
type daneFlaw string

const (
	flawless    daneFlaw = "good"
	wrongName   daneFlaw = "wrong-name"
	wildcard    daneFlaw = "wildcard"
	cnOnly      daneFlaw = "cn-only"
	cnBeside    daneFlaw = "cn-beside-san"
	expiredLeaf daneFlaw = "expired-leaf"
	youngLeaf   daneFlaw = "not-yet-valid-leaf"
	clientLeaf  daneFlaw = "client-leaf"
	criticalExt daneFlaw = "critical-extension"
	expiredCA   daneFlaw = "expired-intermediate"
	pathLength  daneFlaw = "path-length"
	noCA        daneFlaw = "intermediate-is-no-ca"
	noCertSign  daneFlaw = "no-keycertsign"
	forgedCA    daneFlaw = "forged-intermediate"
	otherNC     daneFlaw = "name-constraint"
)

var daneFlaws = []daneFlaw{flawless, wrongName, wildcard, cnOnly, cnBeside, expiredLeaf, youngLeaf, clientLeaf, criticalExt,
	expiredCA, pathLength, noCA, noCertSign, forgedCA, otherNC}

// A daneChain is what a server sends.
type daneChain struct {
	name string
	flaw daneFlaw
	sent []*daneNode // leaf first
	// The certificates that records are made of; root may not be sent.
	leaf, inter, root, stranger *daneNode
}

// danePKI makes the certificates of all flaws.
type danePKI struct {
	tb  testing.TB
	now time.Time
}

func (p *danePKI) issue(t *x509.Certificate, parent *daneNode) *daneNode {
	p.tb.Helper()
	if t.NotBefore.IsZero() {
		t.NotBefore = p.now.Add(-24 * time.Hour)
	}
	if t.NotAfter.IsZero() {
		t.NotAfter = p.now.Add(24 * time.Hour)
	}
	var by *certtest.Pair
	if parent != nil {
		by = &certtest.Pair{Cert: parent.cert, Key: parent.key}
	}
	c := certtest.Issue(t, by)
	return &daneNode{c.Cert, c.Key}
}

func daneCA(name string) *x509.Certificate {
	return &x509.Certificate{Subject: stdpkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

func daneLeaf(f daneFlaw, now time.Time) *x509.Certificate {
	t := &x509.Certificate{Subject: stdpkix.Name{CommonName: "leaf"}, DNSNames: []string{danePeer}, KeyUsage: x509.KeyUsageDigitalSignature}
	switch f {
	case wrongName:
		t.DNSNames = []string{"other.test"}
	case wildcard:
		t.DNSNames = []string{"*.sec.test"}
	case cnOnly:
		t.Subject.CommonName, t.DNSNames = danePeer, nil
	case cnBeside:
		t.Subject.CommonName, t.DNSNames = danePeer, []string{"other.test"}
	case expiredLeaf:
		t.NotBefore, t.NotAfter = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	case youngLeaf:
		t.NotBefore, t.NotAfter = now.Add(12*time.Hour), now.Add(24*time.Hour)
	case clientLeaf:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case criticalExt:
		t.ExtraExtensions = []stdpkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 9}, Critical: true, Value: []byte{5, 0}}}
	}
	return t
}

// chains makes, for one flaw, the chains of every shape.
func (p *danePKI) chains(f daneFlaw) []daneChain {
	root := p.issue(daneCA("Root"), nil)
	stranger := p.issue(daneCA("Stranger"), nil)
	it := daneCA("Intermediate")
	parent := root
	switch f {
	case expiredCA:
		it.NotBefore, it.NotAfter = p.now.Add(-48*time.Hour), p.now.Add(-24*time.Hour)
	case noCA:
		it.IsCA, it.KeyUsage = false, x509.KeyUsageDigitalSignature
	case noCertSign:
		it.KeyUsage = x509.KeyUsageDigitalSignature
	case pathLength:
		it.MaxPathLenZero = true
	case otherNC:
		it.PermittedDNSDomains, it.PermittedDNSDomainsCritical = []string{"elsewhere.test"}, true
	}
	inter := p.issue(it, parent)
	signer := inter
	switch f {
	case forgedCA: // the leaf is signed by another key of the same name
		signer = p.issue(daneCA("Intermediate"), stranger)
		signer.cert.SubjectKeyId = inter.cert.SubjectKeyId
	case pathLength:
		signer = p.issue(daneCA("Below"), inter)
	}
	leaf := p.issue(daneLeaf(f, p.now), signer)
	self := p.issue(daneLeaf(f, p.now), nil)
	mid := []*daneNode{inter}
	if f == pathLength {
		mid = []*daneNode{signer, inter}
	}
	c := func(name string, sent ...*daneNode) daneChain {
		return daneChain{name, f, sent, leaf, inter, root, stranger}
	}
	whole := append([]*daneNode{leaf}, mid...)
	out := []daneChain{
		c("whole", append(whole[:len(whole):len(whole)], root)...),
		c("no-root", whole...),
		c("leaf-alone", leaf),
		c("out-of-order", append([]*daneNode{leaf, root}, mid...)...),
		c("with-stranger", append(whole[:len(whole):len(whole)], root, stranger)...),
	}
	s := c("self-signed", self)
	s.leaf = self
	return append(out, s)
}

// A daneCase is one chain with its records.
type daneCase struct {
	name    string
	chain   daneChain
	records []dane.Record
}

// record makes the record by which target would match, unless it is spoiled.
func (n *daneNode) record(u dane.Usage, s dane.Selector, m dane.MatchingType) dane.Record {
	r, err := dane.Generate(dane.Recipe{Usage: dane.DANEEE, Selector: min(s, dane.SPKI), MatchingType: min(m, dane.SHA2_512)}, n.cert)
	if err != nil {
		panic(err)
	}
	return dane.Record{Usage: u, Selector: s, MatchingType: m, Data: r.Data}
}

// daneCases makes n cases: first one of each flaw with a DANE-TA and a DANE-EE record,
// then whatever a generator of a fixed seed comes up with.
func daneCases(tb testing.TB, n int, now time.Time) []daneCase {
	p := &danePKI{tb: tb, now: now}
	var chains []daneChain
	var out []daneCase
	for _, f := range daneFlaws {
		cs := p.chains(f)
		chains = append(chains, cs...)
		whole := cs[0]
		out = append(out,
			daneCase{"2 1 1 of the root", whole, []dane.Record{whole.root.record(2, 1, 1)}},
			daneCase{"3 1 1", whole, []dane.Record{whole.leaf.record(3, 1, 1)}})
	}
	rnd := prng.New(prng.NewPCG(7672, 7671))
	for len(out) < n {
		c := chains[rnd.IntN(len(chains))]
		if rnd.IntN(2) == 0 {
			c = chains[rnd.IntN(6)] // half of them without a flaw
		}
		k := daneCase{chain: c}
		for range 1 + rnd.IntN(3) {
			r, what := randomRecord(rnd, c)
			k.records = append(k.records, r)
			k.name += what
		}
		out = append(out, k)
	}
	for i := range out {
		out[i].name = fmt.Sprintf("%03d %s %s %s", i, out[i].chain.name, out[i].chain.flaw, out[i].name)
	}
	return out[:n]
}

func randomRecord(rnd *prng.Rand, c daneChain) (dane.Record, string) {
	usage := []dane.Usage{3, 3, 3, 2, 2, 2, 2, 2, 0, 1, 4}[rnd.IntN(11)]
	selector := []dane.Selector{0, 0, 0, 1, 1, 1, 1, 2}[rnd.IntN(8)]
	matching := []dane.MatchingType{0, 0, 0, 1, 1, 1, 2, 2, 3}[rnd.IntN(9)]
	targets := []*daneNode{c.leaf, c.inter, c.root, c.stranger}
	words := []string{"leaf", "intermediate", "root", "stranger"}
	i := rnd.IntN(4)
	if usage == dane.DANEEE && rnd.IntN(3) > 0 {
		i = 0
	}
	r := targets[i].record(usage, selector, matching)
	what := "(" + r.Numbers() + " of " + words[i]
	switch rnd.IntN(8) {
	case 0:
		b := []byte(r.Data)
		b[len(b)-1] ^= 1
		r.Data, what = string(b), what+", changed"
	case 1:
		r.Data, what = r.Data[:len(r.Data)-1], what+", cut"
	}
	return r, what + ")"
}
