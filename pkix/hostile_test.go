package pkix_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	xpkix "crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// maxHandshake is what a peer can send: crypto/tls takes no certificate message
// that is larger.
const maxHandshake = 256 << 10

// A hostileChain is made to cost as much as possible.
type hostileChain struct {
	name    string
	chain   [][]byte
	anchors []pkix.Anchor
}

// rsaSPKI is an RSA key with a random modulus.
func rsaSPKI(bits int, e int64) []byte {
	b := make([]byte, bits/8)
	rand.Read(b)
	b[0] |= 0x80
	b[len(b)-1] |= 1
	return (&certtest.RSAKey{N: new(big.Int).SetBytes(b), E: big.NewInt(e)}).SPKI(true)
}

// junk signs c with bytes of the right size for an RSA key.
func junk(c *certtest.Certificate, bits int) []byte {
	c.Algorithm = certtest.SHA256WithRSA
	sig := make([]byte, bits/8)
	rand.Read(sig)
	sig[0] = 0
	return c.WithSignature(c.TBS(), sig)
}

func authority(name string, spki []byte, more ...[]byte) *certtest.Certificate {
	c := certtest.New("x", spki)
	c.Subject = certtest.Name(3, certtest.UTF8String, name)
	c.Extensions = append([][]byte{certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(1, certtest.Critical)), 2, 5, 29, 19)}, more...)
	return c
}

func hostileChains(t testing.TB) []hostileChain {
	t.Helper()
	issuer := certtest.Name(3, certtest.UTF8String, "ca")
	leaf := func() *certtest.Certificate {
		c := certtest.New("mx.example.org", certtest.NewKey().SPKI)
		c.Issuer = issuer
		return c
	}
	// below is a chain of a certificate and n issuers of one name, with RSA keys.
	below := func(first *certtest.Certificate, n, bits int, e int64) [][]byte {
		chain := [][]byte{junk(first, bits)}
		for range n {
			ca := authority("ca", rsaSPKI(bits, e))
			ca.Issuer = issuer
			chain = append(chain, junk(ca, bits))
		}
		return chain
	}
	var all []hostileChain
	add := func(name string, chain [][]byte, anchors ...pkix.Anchor) {
		total := 0
		for _, c := range chain {
			total += len(c)
		}
		if total > maxHandshake {
			t.Fatalf("%s: %d bytes", name, total)
		}
		all = append(all, hostileChain{name, chain, anchors})
	}
	// Many issuers of one name with costly keys, as intermediates and as anchors.
	for _, k := range []struct {
		bits, n int
		e       int64
	}{{8192, 105, 1<<31 - 1}, {8192, 105, 1<<33 - 1}, {8192, 105, 65537}, {4096, 200, 1<<33 - 1}, {2048, 250, 65537}, {1024, 250, 3}} {
		chain := below(leaf(), k.n, k.bits, k.e)
		name := fmt.Sprintf("%d issuers of RSA-%d, exponent %d", k.n, k.bits, k.e)
		add(name, chain)
		var anchors []pkix.Anchor
		for _, der := range chain[1:33] {
			anchors = append(anchors, pkix.AnchorOf(pkix.Read(der)))
		}
		add(name+", 32 of them anchors", chain, anchors...)
		var keys []pkix.Anchor
		for range 128 {
			key, err := pkix.KeyAnchor(rsaSPKI(k.bits, k.e))
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		add(fmt.Sprintf("128 bare keys of RSA-%d, exponent %d", k.bits, k.e), chain[:20], keys...)
	}
	valid := until(certtest.Now.AddDate(1, 0, 0))
	// Real signatures: CAs that have all signed each other, on costly curves and cheap.
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		var cas []*entity
		for i := range 15 {
			e := newEntity(t, fmt.Sprint("ca", i))
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			e.key = key
			cas = append(cas, e)
		}
		chain := [][]byte{cas[0].leaf(valid).Raw}
		for _, x := range cas {
			for _, y := range cas {
				if x != y {
					chain = append(chain, x.signs(y, true, valid).Raw)
				}
			}
		}
		add("cross-signed by "+curve.Params().Name, chain)
	}
	// A layered graph: 3^n paths.
	var layers []*entity
	for i := range 12 {
		layers = append(layers, newEntity(t, fmt.Sprint("layer", i)))
	}
	chain := [][]byte{layers[0].leaf(valid).Raw}
	for i := range len(layers) - 1 {
		for range 3 {
			chain = append(chain, layers[i+1].signs(layers[i], true, valid).Raw)
		}
	}
	add("layers of three", chain)
	// The same with names, extensions and subjects that are long and alike.
	long := strings.Repeat("x", 900)
	var alike []*entity
	for i := range 10 {
		alike = append(alike, newEntity(t, long+fmt.Sprint(i)))
	}
	chain = [][]byte{alike[0].leaf(valid).Raw}
	for i := range len(alike) - 1 {
		for range 8 {
			chain = append(chain, alike[i+1].signs(alike[i], true, valid).Raw)
		}
	}
	add("layers of eight with names of 900 bytes", chain)
	noise := func(n int) change {
		return func(c *x509.Certificate) {
			for i := range n {
				c.ExtraExtensions = append(c.ExtraExtensions, xpkix.Extension{Id: []int{1, 2, i}, Value: []byte{5, 0}})
			}
		}
	}
	var wide []*entity
	for i := range 8 {
		wide = append(wide, newEntity(t, fmt.Sprint("wide", i)))
	}
	chain = [][]byte{wide[0].leaf(noise(200), valid).Raw}
	for i := range len(wide) - 1 {
		for range 6 {
			chain = append(chain, wide[i+1].signs(wide[i], true, noise(300), valid).Raw)
		}
	}
	add("extensions without end", chain)

	// One large certificate below many issuers: hashed again and again.
	big := leaf()
	big.Extensions = append(big.Extensions, certtest.Extension(nil, make([]byte, 200<<10), 1, 2, 3))
	add("200 kB signed by ninety", below(big, 90, 1024, 3))

	// A subject of thousands of attributes, which goes into each failure.
	var rdns []byte
	for range 5000 {
		rdns = append(rdns, certtest.TLV(certtest.Set, certtest.TLV(certtest.Sequence, certtest.ID(2, 5, 4, 11), certtest.TLV(certtest.UTF8String, []byte("x"))))...)
	}
	many := leaf()
	many.Subject = certtest.TLV(certtest.Sequence, rdns)
	add("a subject of 5,000 attributes", below(many, 100, 1024, 3))

	// Names and constraints, of each form.
	forms := []struct {
		name string
		n    int
		leaf func(i int) []byte
		tree func(i int) []byte
	}{
		{"dNSName", 4000, func(i int) []byte { return certtest.DNSName(fmt.Sprintf("h%d.example.org", i)) }, func(i int) []byte { return certtest.DNSName(fmt.Sprintf("t%d.example.org", i)) }},
		{"rfc822Name", 3000, func(i int) []byte { return certtest.TLV(0x81, fmt.Appendf(nil, "u%d@example.org", i)) }, func(i int) []byte { return certtest.TLV(0x81, fmt.Appendf(nil, "t%d@example.org", i)) }},
		{"rfc822Name, long", 40, func(int) []byte { return certtest.TLV(0x81, []byte(strings.Repeat("A", 1500)+"@EXAMPLE.ORG")) }, func(int) []byte { return certtest.TLV(0x81, []byte(strings.Repeat("A", 1500)+"@EXAMPLE.ORH")) }},
		{"URI", 3000, func(i int) []byte { return certtest.TLV(0x86, fmt.Appendf(nil, "http://h%d.example.org/", i)) }, func(i int) []byte { return certtest.TLV(0x86, fmt.Appendf(nil, "t%d.example.org", i)) }},
		{"iPAddress", 4000, func(i int) []byte { return certtest.TLV(0x87, []byte{10, 0, byte(i >> 8), byte(i)}) }, func(i int) []byte {
			return certtest.TLV(0x87, []byte{11, 0, byte(i >> 8), byte(i), 255, 255, 255, 255})
		}},
		{"directoryName", 2000, func(i int) []byte { return certtest.TLV(0xa4, certtest.Name(10, 0x0c, fmt.Sprint("o", i))) }, func(i int) []byte { return certtest.TLV(0xa4, certtest.Name(10, 0x0c, fmt.Sprint("p", i))) }},
	}
	for _, f := range forms {
		ca, key := certtest.NewCA(), certtest.NewKey()
		var names, trees [][]byte
		for i := range f.n {
			names = append(names, f.leaf(i))
			trees = append(trees, certtest.TLV(0x30, f.tree(i)))
		}
		// Excluded subtrees, none of which the names are in: all are compared.
		limits := certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(0xa1, trees...)), 2, 5, 29, 30)
		mid := authority("ca2", key.SPKI, limits)
		below := &certtest.CA{Key: key.Private.(*ecdsa.PrivateKey), Name: mid.Subject}
		c := certtest.New("mx.example.org", certtest.NewKey().SPKI)
		c.Extensions = [][]byte{certtest.SAN(names...)}
		top, err := x509.ParseCertificate(ca.DER)
		if err != nil {
			t.Fatal(err)
		}
		add("constraints on "+f.name, [][]byte{below.Issue(c), ca.Issue(mid)}, pkix.CertificateAnchor(top))
	}
	return all
}

// TestHostileChains: whatever a peer sends, one verification costs no more than its
// bound, and the host that sent it is not authenticated.
func TestHostileChains(t *testing.T) {
	ref, err := rfc6125.ParseReference("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hostileChains(t) {
		certs := pkix.ReadChain(h.chain)
		for limit, most := range map[time.Duration]time.Duration{0: maxCPU, 5 * time.Millisecond: maxCPU / 4} {
			t.Run(fmt.Sprintf("%s, work %v", h.name, limit), func(t *testing.T) {
				least := time.Duration(1 << 62)
				for range 5 { // the machine does other things as well
					if least <= most {
						break
					}
					work := &pkix.Work{Limit: limit}
					before := cpu()
					_, err := pkix.VerifyServer(pkix.Request{Certs: certs, Anchors: h.anchors, Roots: pkix.NewRoots(), At: certtest.Now, Work: work}, []rfc6125.Reference{ref})
					least = min(least, cpu()-before)
					if err == nil {
						t.Fatal("authenticated")
					}
					if !errors.Is(err, pkix.ErrUntrusted) || len(err.Error()) > 1000 {
						t.Errorf("%v", err)
					}
				}
				if t.Logf("%s of CPU", least); least > most && !certtest.Race {
					t.Errorf("%s of CPU, more than %s", least, most)
				}
			})
		}
	}
}

// TestLargeKeys: the largest keys that are taken are of use.
func TestLargeKeys(t *testing.T) {
	for _, c := range []struct {
		bits int
		e    int64
		kind error
	}{
		{1023, 65537, nil}, {1024, 3, nil}, {2048, 1<<32 + 15, nil}, {2048, 8589934583, nil}, // the largest prime below 2^33
		{1022, 65537, pkix.ErrSignature}, {512, 65537, pkix.ErrSignature}, {2048, 8589934609, pkix.ErrSignature}, // the smallest above
	} {
		t.Run(fmt.Sprintf("%d bits, exponent %d", c.bits, c.e), func(t *testing.T) {
			key := certtest.NewRSA(c.bits, c.e)
			ca := authority("ca", key.SPKI(true))
			ca.Issuer = ca.Subject
			der := ca.SignRSA(key)
			leaf := certtest.New("mx.example.org", certtest.NewKey().SPKI)
			leaf.Issuer = ca.Subject
			chain := pkix.ReadChain([][]byte{leaf.SignRSA(key)})
			_, err := pkix.Verify(pkix.Request{Certs: chain, Anchors: []pkix.Anchor{pkix.AnchorOf(pkix.Read(der))}, At: certtest.Now})
			want(t, err, c.kind)
			if got := pkix.SelfSigned(pkix.Read(der), new(pkix.Work)); got != (c.kind == nil) {
				t.Errorf("self-signed: %t", got)
			}
			// And with another one's signature it is of none.
			chain = pkix.ReadChain([][]byte{junk(leaf, max(c.bits, 1024))})
			_, err = pkix.Verify(pkix.Request{Certs: chain, Anchors: []pkix.Anchor{pkix.AnchorOf(pkix.Read(der))}, At: certtest.Now})
			want(t, err, pkix.ErrSignature)
		})
	}
}

// TestLargestKey: one signature by the largest key fits into the work of one
// verification, several times.
func TestLargestKey(t *testing.T) {
	n := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 8192), big.NewInt(1))
	key := &rsa.PublicKey{N: n, E: 1<<33 - 1}
	if err := pkix.CheckKey(key); err != nil {
		t.Fatal(err)
	}
	if cost := pkix.SignatureCost(x509.SHA256WithRSA, key, 2000); 4*cost > pkix.DefaultWork {
		t.Errorf("it costs %s", cost)
	}
	larger := &rsa.PublicKey{N: new(big.Int).Lsh(n, 1), E: 3}
	if pkix.CheckKey(larger) == nil {
		t.Error("8,193 bits")
	}
	// A key that is not used costs the hash alone.
	if cost, none := pkix.SignatureCost(x509.SHA256WithRSA, larger, 2000), pkix.SignatureCost(x509.SHA256WithRSA, nil, 2000); cost != none || none <= 0 {
		t.Errorf("8,193 bits cost %s, no key %s", cost, none)
	}
}

// TestSameSignatures holds the RSA verification of this package against crypto/rsa.
func TestSameSignatures(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: xpkix.Name{CommonName: "x"}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	for _, alg := range []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS} {
		tmpl.SignatureAlgorithm = alg
		signed, err := certtest.Sign(tmpl, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := pkix.ReadLenient(signed.Cert.Raw).View()
		if c.SignatureAlgorithm != alg {
			t.Errorf("%s is read as %s", alg, c.SignatureAlgorithm)
		}
		check := func(sig []byte) error {
			return pkix.CheckSignature(alg, key.Public(), c.RawTBSCertificate, sig)
		}
		if err := check(c.Signature); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		plus := new(big.Int).Add(new(big.Int).SetBytes(c.Signature), key.N).Bytes() // the same modulo N
		for i, bad := range [][]byte{nil, c.Signature[1:], append([]byte{0}, c.Signature...), plus, make([]byte, 256), bytes.Repeat([]byte{0xff}, 256)} {
			if check(bad) == nil {
				t.Errorf("%s: bad signature %d is taken", alg, i)
			}
		}
		for i := 0; i < len(c.Signature)*8; i += 97 {
			bad := slices.Clone(c.Signature)
			bad[i/8] ^= 1 << (i % 8)
			if check(bad) == nil {
				t.Errorf("%s: bit %d does not matter", alg, i)
			}
		}
	}
}
