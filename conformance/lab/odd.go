package lab

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/tlstest"
)

// oddCA signs the odd certificates. No client trusts it.
var oddCA = sync.OnceValue(func() *certtest.CA { return certtest.NewCA() })

// oddChain makes a certificate of a kind.
func oddChain(kind, host string) (*chain, error) {
	for _, k := range certtest.Kinds() {
		if k.Name != kind {
			continue
		}
		s := k.Server(oddCA(), host)
		c := bare(s.DER, s.SPKI)
		c.flight = tlstest.For(kind, [][]byte{s.DER, oddCA().DER}, s.Key)
		return c, nil
	}
	if kind == extraRoot {
		key := certtest.NewKey()
		der := oddCA().Issue(certtest.New(host, key.SPKI))
		c := bare(der, key.SPKI)
		c.flight = tlstest.For(kind, [][]byte{der, oddCA().DER, certtest.Root()}, key.Private)
		return c, nil
	}
	return nil, fmt.Errorf("no kind of certificate %q", kind)
}

// extraRoot is the kind of [Chain].Odd whose leaf is in order, and after it comes a root
// that crypto/x509 does not parse.
const extraRoot = "extra-root"

// bare is a chain of which only the bytes and the key of the leaf are known.
func bare(der, spki []byte) *chain {
	leaf := &x509.Certificate{Raw: der, RawSubjectPublicKeyInfo: spki}
	ca := &x509.Certificate{Raw: oddCA().DER}
	return &chain{leaf: leaf, ca: ca, root: ca}
}

// rsaKey is that of the servers that need RSA: it takes long to make.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// stateChain replaces the chain of a server whose state asks for a key or a flight of its
// own.
func stateChain(s SMTPState, c *chain, host string) (*chain, error) {
	flight := &tlstest.Server{}
	switch s {
	case DHEOnly:
		flight.Suites = []uint16{tlstest.DHERSAWithAES128GCM}
	case CBC384Only:
		flight.Suites = []uint16{tlstest.ECDHERSAWithAES256CBCSHA384}
	case CamelliaOnly:
		flight.Suites = []uint16{tlstest.ECDHERSAWithCamellia}
	case X448Only:
		flight.Suites, flight.Groups = []uint16{tlstest.ECDHERSAWithAES128GCM}, []uint16{tlstest.X448}
	case RSAExchangeOnly:
	default:
		return c, nil
	}
	key, err := rsaKey()
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	der := oddCA().Issue(certtest.New(host, spki))
	c = bare(der, spki)
	if flight.Suites != nil {
		flight.Chain, flight.Key = [][]byte{der}, key
		c.flight = flight
	}
	c.tls = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return c, nil
}

// shortHello reads the ClientHello and reports whether it is short enough for the server.
// What was read is read once more by the handshake.
func (s *session) shortHello() bool {
	const most = 1400
	head := make([]byte, 5)
	if _, err := io.ReadFull(s.Conn, head); err != nil {
		return false
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(s.Conn, body); err != nil {
		return false
	}
	s.Conn = &again{Conn: s.Conn, r: io.MultiReader(bytes.NewReader(head), bytes.NewReader(body), s.Conn)}
	return len(head)+len(body) <= most
}

// again is a connection of which something was read.
type again struct {
	net.Conn
	r io.Reader
}

// Read implements [net.Conn].
func (a *again) Read(b []byte) (int, error) { return a.r.Read(b) }
