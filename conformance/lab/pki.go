package lab

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/tlstest"
)

// A pki is the lab's authorities: the public one that everybody trusts, and a private
// one that no client does unless a TLSA record says so.
type pki struct {
	now     time.Time
	web     authority
	private authority

	mu     sync.Mutex // guards faulty
	faulty map[faultyKey]signer
}

type faultyKey struct {
	by    Issuer
	fault ChainFault
}

// An authority is a root and its intermediate.
type authority struct{ root, issuing signer }

type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Lives of certificates, around the lab's start.
const (
	caBefore   = 5 * 365 * 24 * time.Hour
	caAfter    = 10 * 365 * 24 * time.Hour
	leafBefore = 30 * 24 * time.Hour
	leafAfter  = 60 * 24 * time.Hour
)

func newPKI(now time.Time) (*pki, error) {
	p := &pki{now: now, faulty: map[faultyKey]signer{}}
	for _, a := range []struct {
		to   *authority
		name string
	}{{&p.web, "mxauth lab"}, {&p.private, "mail operators' private"}} {
		var err error
		if a.to.root, err = p.ca(a.name+" root CA", signer{}, ChainGood); err != nil {
			return nil, err
		}
		if a.to.issuing, err = p.ca(a.name+" issuing CA", a.to.root, ChainGood); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ca makes a CA certificate; a root if by is zero.
func (p *pki) ca(name string, by signer, fault ChainFault) (signer, error) {
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"mxauth lab"}},
		NotBefore:             p.now.Add(-caBefore),
		NotAfter:              p.now.Add(caAfter),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	switch fault {
	case IssuerExpired:
		t.NotAfter = p.now.Add(-24 * time.Hour)
	case IssuerNoCA:
		t.IsCA = false
	case IssuerExcludes:
		t.PermittedDNSDomains = []string{"elsewhere.invalid"}
		t.PermittedDNSDomainsCritical = true
	}
	return p.sign(t, by)
}

// sign makes a certificate of a fresh key; self-signed if by is zero.
func (p *pki) sign(t *x509.Certificate, by signer) (signer, error) { return p.signFor(t, nil, by) }

// signFor is sign with a key; nil is a fresh one.
func (p *pki) signFor(t *x509.Certificate, key crypto.Signer, by signer) (signer, error) {
	var issuer *certtest.Pair
	if by.cert != nil {
		issuer = &certtest.Pair{Cert: by.cert, Key: by.key}
	}
	c, err := certtest.Sign(t, key, issuer)
	if err != nil {
		return signer{}, err
	}
	return signer{c.Cert, c.Key}, nil
}

// issuer is the CA that signs a leaf, and the root above it.
func (p *pki) issuer(by Issuer, fault ChainFault) (issuing, root signer, err error) {
	a := &p.web
	if by == PrivateCA {
		a = &p.private
	}
	switch fault {
	case IssuerExpired, IssuerNoCA, IssuerExcludes:
	default:
		return a.issuing, a.root, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := faultyKey{by, fault}
	if _, ok := p.faulty[k]; !ok {
		s, err := p.ca("faulty issuing CA: "+string(fault), a.root, fault)
		if err != nil {
			return signer{}, signer{}, err
		}
		p.faulty[k] = s
	}
	return p.faulty[k], a.root, nil
}

// A chain is what a server presents, and what is above it.
type chain struct {
	// leaf of an odd certificate holds nothing but its bytes and its key.
	leaf     *x509.Certificate
	ca, root *x509.Certificate // of a self-signed leaf both are the leaf
	tls      tls.Certificate
	flight   *tlstest.Server // not nil: the server goes no further than its first flight
	second   *chain          // for clients that do not take the kind of key of this one; nil: none
}

// unknownExtension is an extension that no verifier knows: an arc of the documentation
// OID (RFC 5612).
var unknownExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}

// chain makes the chain of a spec; names are used where it has none.
func (p *pki) chain(spec Chain, names ...string) (*chain, error) {
	if spec.Odd != "" {
		return oddChain(spec.Odd, names[0])
	}
	if spec.Names != nil {
		names = spec.Names
	}
	if spec.NoSAN {
		names = nil
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: spec.CN},
		DNSNames:    names,
		NotBefore:   p.now.Add(-leafBefore),
		NotAfter:    p.now.Add(leafAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if spec.Starts != 0 {
		t.NotBefore = p.now.Add(spec.Starts.Duration())
	}
	if spec.Ends != 0 {
		t.NotAfter = p.now.Add(spec.Ends.Duration())
	}
	switch spec.Fault {
	case ClientOnly:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case CriticalUnknown:
		t.ExtraExtensions = []pkix.Extension{{Id: unknownExtension, Critical: true, Value: []byte{5, 0}}}
	}
	var issuing, root signer
	if spec.By != SelfSigned {
		var err error
		if issuing, root, err = p.issuer(spec.By, spec.Fault); err != nil {
			return nil, err
		}
	}
	var key crypto.Signer
	if spec.Key == KeyRSA {
		k, err := rsaKey()
		if err != nil {
			return nil, err
		}
		key = k
	}
	leaf, err := p.signFor(t, key, issuing)
	if err != nil {
		return nil, err
	}
	if spec.Fault == LeafBadSig {
		der := append([]byte(nil), leaf.cert.Raw...)
		der[len(der)-1] ^= 1
		if leaf.cert, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	c := &chain{leaf: leaf.cert, ca: leaf.cert, root: leaf.cert}
	c.tls = tls.Certificate{PrivateKey: leaf.key, Certificate: [][]byte{leaf.cert.Raw}}
	if spec.By == SelfSigned {
		return c, nil
	}
	c.ca, c.root = issuing.cert, root.cert
	if spec.Send != SendLeaf {
		c.tls.Certificate = append(c.tls.Certificate, c.ca.Raw)
	}
	if spec.Send == SendRoot {
		c.tls.Certificate = append(c.tls.Certificate, c.root.Raw)
	}
	return c, nil
}

// tlsa writes the data of a TLSA record: usage, selector and matching type are taken
// as they are written, the last word says of what ([Host].TLSA lists them).
func (c *chain) tlsa(spec string) (string, error) {
	var u, s, m uint8
	var what string
	if n, err := fmt.Sscanf(spec, "%d %d %d %s", &u, &s, &m, &what); n != 4 {
		return "", fmt.Errorf("TLSA %q: %v", spec, err)
	}
	if what == "second" && c.second != nil {
		c, what = c.second, "leaf"
	}
	var data []byte
	cut := false
	switch what {
	case "short":
		cut = true
		fallthrough
	case "leaf":
		data = selected(c.leaf, s)
	case "ca":
		data = selected(c.ca, s)
	case "root":
		data = selected(c.root, s)
	case "other":
		data = []byte("a key that is never shown " + spec)
	case "junk":
		data = []byte("no certificate and no key")
	default:
		return "", fmt.Errorf("TLSA %q: of what?", spec)
	}
	switch m {
	case 1:
		h := sha256.Sum256(data)
		data = h[:]
	case 2:
		h := sha512.Sum512(data)
		data = h[:]
	}
	if cut {
		data = data[:len(data)-1]
	}
	return fmt.Sprintf("%d %d %d %s", u, s, m, strings.ToLower(hex.EncodeToString(data))), nil
}

// selected is the part of a certificate that a selector names; of an unknown selector
// the whole.
func selected(c *x509.Certificate, selector uint8) []byte {
	if selector == 1 {
		return c.RawSubjectPublicKeyInfo
	}
	return c.Raw
}
