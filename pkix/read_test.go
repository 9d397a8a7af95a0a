package pkix_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/vectors/hostmatch"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// caOf parses the certificate of a CA.
func caOf(t testing.TB, ca *certtest.CA) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(ca.DER)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRead(t *testing.T) {
	ca := certtest.NewCA()
	root := caOf(t, ca)
	ref, err := rfc6125.ParseReference("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range certtest.Kinds() {
		t.Run("DANE7671-5.1-02 "+k.Name, func(t *testing.T) {
			der := k.Leaf(ca, "mx.example.org", certtest.NewKey())
			_, std := x509.ParseCertificate(der)
			if (std != nil) != k.NotParsed {
				t.Fatalf("crypto/x509: %v", std)
			}
			c := pkix.Read(der)
			if !bytes.Equal(c.Raw(), der) || c.Unread(pkix.FieldStructure) != "" {
				t.Fatalf("the bytes are lost: %v", c.Faults())
			}
			if spki := c.SPKI(); len(spki) == 0 || !bytes.Contains(der, spki) {
				t.Errorf("key %x", spki)
			}
			if _, err := c.X509(); (err != nil) != k.NotParsed || (len(c.Faults()) > 0) != k.NotParsed {
				t.Errorf("faults %v, %v", c.Faults(), err)
			}
			for _, f := range c.Faults() {
				t.Log(f)
				if strings.ContainsFunc(f.String(), func(r rune) bool { return r < ' ' || r > '~' }) || f.Why == "" {
					t.Errorf("%q", f)
				}
			}
			r := pkix.Request{Certs: []*pkix.Certificate{c}, Roots: pkix.NewRoots(root), At: certtest.Now}
			path, err := pkix.Verify(r)
			if (err != nil) != k.NoPath {
				t.Errorf("path: %v", err)
			}
			if err == nil && (len(path.Certs) != 2 || !bytes.Equal(path.Certs[0].Raw, der)) {
				t.Errorf("path %v", path)
			}
			if _, err := pkix.VerifyServer(r, []rfc6125.Reference{ref}); (err != nil) != (k.NoPath || k.NoName) {
				t.Errorf("server: %v", err)
			}
			// A chain in which it is unused is as good as one without it.
			plain := certtest.New("mx.example.org", certtest.NewKey().SPKI)
			r.Certs = pkix.ReadChain([][]byte{ca.Issue(plain), der, certtest.Root()})
			if _, err := pkix.Verify(r); err != nil {
				t.Errorf("as an extra: %v", err)
			}
		})
	}
}

// TestOddIssuers: the same oddities in a CA between leaf and root. A field that path
// validation looks at must be readable there.
func TestOddIssuers(t *testing.T) {
	top := certtest.NewCA()
	root := caOf(t, top)
	noIssuer := map[string]bool{ // in addition to what is no path as a leaf
		"key-usage-malformed": true, "basic-constraints-malformed": true, "constraints-odd": true, "constraints-empty": true,
		"san-not-a-list": false, "boolean-01": true, // its keyUsage has digitalSignature alone
		// Another key, so it did not sign the leaf.
		"rsa-without-null": true, "ec-explicit": true, "ec-compressed": true, "secp256k1": true, "rsa-1023": true, "rsa-exponent": true, "rsa-pss": true, "ed448": true, "dsa": true,
	}
	for _, k := range certtest.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			mid := certtest.NewKey()
			c := certtest.New("ca2.example", mid.SPKI)
			c.Issuer = top.Name
			if k.Name != "ca-boolean-01" && k.Name != "basic-constraints-malformed" {
				c.Extensions = append(c.Extensions, certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(1, certtest.Critical)), 2, 5, 29, 19))
			}
			had := c.Extensions[1:]
			k.Change(c)
			if strings.HasPrefix(k.Name, "san-") {
				c.Extensions = append(c.Extensions, had...) // the change replaced the list
			}
			issuer := &certtest.CA{Key: mid.Private.(*ecdsa.PrivateKey), Name: c.Subject}
			der := c.Sign(top.Key)
			leaf := issuer.Issue(certtest.New("mx.example.org", certtest.NewKey().SPKI))
			_, err := pkix.Verify(pkix.Request{Certs: pkix.ReadChain([][]byte{leaf, der}), Roots: pkix.NewRoots(root), At: certtest.Now})
			if want := k.NoPath || noIssuer[k.Name]; (err != nil) != want {
				t.Errorf("%v, want a failure: %t", err, want)
			}
			t.Log(err)
		})
	}
	t.Run("PKIX5280-4.2.1.10-01 names that cannot be read under constraints", func(t *testing.T) {
		limited := certtest.NewCA(func(c *certtest.Certificate) {
			c.Extensions = append(c.Extensions, certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(0xa0, certtest.TLV(0x30, certtest.DNSName("example.org")))), 2, 5, 29, 30))
		})
		for _, k := range certtest.Kinds() {
			if !strings.HasPrefix(k.Name, "san-") {
				continue
			}
			der := k.Leaf(limited, "mx.example.org", certtest.NewKey())
			_, err := pkix.Verify(pkix.Request{Certs: pkix.ReadChain([][]byte{der}), Roots: pkix.NewRoots(caOf(t, limited)), At: certtest.Now})
			// An address and a URI are of other forms, which are not constrained.
			if want := k.Name == "san-not-a-list" || k.Name == "san-latin1"; (err != nil) != want {
				t.Errorf("%s: %v", k.Name, err)
			}
		}
	})
}

// TestSameFields holds the reader against crypto/x509 over the certificates of the
// published vectors: where both read a certificate, they read the same.
func TestSameFields(t *testing.T) {
	seen := map[string]bool{}
	read, refused := 0, 0
	for _, name := range [][2]string{{"limbo", "limbo.json"}, {"bettertls", "nameconstraints.jsonl"}, {"bettertls", "root.pem"}} {
		b, err := io.ReadAll(openVector(t, name[0], name[1]))
		if err != nil {
			t.Fatal(err)
		}
		b = []byte(strings.NewReplacer(`\n`, "\n", `"-----BEGIN`, "\n-----BEGIN").Replace(string(b))) // PEM in JSON
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			if seen[string(block.Bytes)] || block.Type != "CERTIFICATE" {
				continue
			}
			seen[string(block.Bytes)] = true
			if sameFields(t, block.Bytes) {
				read++
			} else {
				refused++
			}
		}
	}
	// The names of the rfc6125 vectors, in a certificate.
	cases, err := hostmatch.Read[hostmatch.Row](openVector(t, "rfc6125", "hostmatch.jsonl"))
	if err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	ca := certtest.NewCA()
	for _, c := range cases {
		if sameFields(t, ca.Issue(certtest.New(c.Pattern, certtest.NewKey().SPKI))) {
			read++
		} else {
			refused++
		}
	}
	if read < 1000 || refused == 0 {
		t.Errorf("%d certificates read by both, %d refused by crypto/x509", read, refused)
	}
}

// sameFields reports whether crypto/x509 parses der, and fails if the reader of this
// package then reads anything else, or finds anything odd.
func sameFields(t testing.TB, der []byte) bool {
	x, err := x509.ParseCertificate(der)
	c := pkix.ReadLenient(der)
	if err != nil {
		return false
	}
	v := c.View()
	for _, f := range c.Faults() {
		unknownKey := f.Field == pkix.FieldKey && (x.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm || x.PublicKeyAlgorithm == x509.DSA || strings.Contains(f.Why, "X25519"))
		// This package reads constraints itself, and is stricter.
		if !unknownKey && f.Field != pkix.FieldNameConstraints {
			t.Errorf("%s, and crypto/x509 parses it: %x", f, der)
		}
	}
	for name, pair := range map[string][2]any{
		"Raw":                {v.Raw, x.Raw},
		"RawTBS":             {v.RawTBSCertificate, x.RawTBSCertificate},
		"SPKI":               {v.RawSubjectPublicKeyInfo, x.RawSubjectPublicKeyInfo},
		"RawSubject":         {v.RawSubject, x.RawSubject},
		"RawIssuer":          {v.RawIssuer, x.RawIssuer},
		"Signature":          {v.Signature, x.Signature},
		"SignatureAlgorithm": {v.SignatureAlgorithm, x.SignatureAlgorithm},
		"Version":            {v.Version, x.Version},
		"SerialNumber":       {v.SerialNumber.String(), x.SerialNumber.String()},
		"Issuer":             {v.Issuer.String(), x.Issuer.String()},
		"Subject":            {v.Subject.String(), x.Subject.String()},
		"NotBefore":          {v.NotBefore, x.NotBefore},
		"NotAfter":           {v.NotAfter, x.NotAfter},
		"KeyUsage":           {v.KeyUsage, x.KeyUsage},
		"BasicConstraints":   {fmt.Sprint(v.BasicConstraintsValid, v.IsCA, v.MaxPathLen, v.MaxPathLenZero), fmt.Sprint(x.BasicConstraintsValid, x.IsCA, x.MaxPathLen, x.MaxPathLenZero)},
		"Extensions":         {fmt.Sprintf("%+v", v.Extensions), fmt.Sprintf("%+v", x.Extensions)},
		"SubjectKeyId":       {fmt.Sprintf("%x", v.SubjectKeyId), fmt.Sprintf("%x", x.SubjectKeyId)},
		"AuthorityKeyId":     {fmt.Sprintf("%x", v.AuthorityKeyId), fmt.Sprintf("%x", x.AuthorityKeyId)},
		"DNSNames":           {v.DNSNames, x.DNSNames},
		"server purpose":     {serves(v), serves(x)},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, crypto/x509 reads %v: %x", name, pair[0], pair[1], der)
		}
	}
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		if !k.Equal(v.PublicKey) {
			t.Errorf("another key: %x", der)
		}
	case *ecdsa.PublicKey:
		if !k.Equal(v.PublicKey) {
			t.Errorf("another key: %x", der)
		}
	case ed25519.PublicKey:
		if !k.Equal(v.PublicKey) {
			t.Errorf("another key: %x", der)
		}
	}
	return true
}

// serves lists the purposes that a server needs, and how many there are in all.
func serves(c *x509.Certificate) string {
	return fmt.Sprint(slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth), slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny), len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage))
}

// FuzzRead: any bytes are read without panic; where crypto/x509 parses them, alike;
// and no path is found but by bytes that crypto/x509 would take too, or whose fields
// were all read.
func FuzzRead(f *testing.F) {
	ca := certtest.NewCA()
	for _, k := range certtest.Kinds() {
		f.Add(k.Leaf(ca, "mx.example.org", certtest.NewKey()))
	}
	f.Add(ca.DER)
	f.Add(certtest.Root())
	roots := pkix.NewRoots(caOf(f, ca))
	f.Fuzz(func(t *testing.T, der []byte) {
		sameFields(t, der)
		c := pkix.Read(der)
		if !bytes.Equal(c.Raw(), der) || len(c.SPKI()) > 0 && !bytes.Contains(der, c.SPKI()) {
			t.Fatal("the bytes are lost")
		}
		if (c.Unread(pkix.FieldStructure) == "") != (len(c.SPKI()) > 0) {
			t.Fatalf("key %x, %v", c.SPKI(), c.Faults())
		}
		if s := c.String(); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) || len(s) > 4*pkix.MaxShown+64 {
			t.Fatalf("%q", s)
		}
		c.Presented()
		path, err := pkix.Verify(pkix.Request{Certs: []*pkix.Certificate{c}, Roots: roots, Anchors: []pkix.Anchor{pkix.AnchorOf(c)}, At: certtest.Now})
		if err == nil && !bytes.Equal(path.Certs[0].Raw, der) {
			t.Fatal("a path of another certificate")
		}
		if err == nil && c.Unread(pkix.FieldDates)+c.Unread(pkix.FieldExtensions)+c.Unread(pkix.FieldVersion)+c.Unread(pkix.FieldExtKeyUsage) != "" {
			t.Fatalf("a path through %v", c.Faults())
		}
		if _, err := pkix.Verify(pkix.Request{Certs: []*pkix.Certificate{c}, Roots: roots, At: certtest.Now}); err == nil {
			if c.View().CheckSignatureFrom(caOf(t, ca)) != nil && !bytes.Equal(der, ca.DER) {
				t.Fatal("a path without a signature")
			}
		}
	})
}

// TestBadInput: large and deep input is refused in bounded time with a clear reason,
// or does no harm.
func TestBadInput(t *testing.T) {
	ca := certtest.NewCA()
	roots := pkix.NewRoots(caOf(t, ca))
	leaf := func(change func(*certtest.Certificate)) []byte {
		c := certtest.New("mx.example.org", certtest.NewKey().SPKI)
		change(c)
		return ca.Issue(c)
	}
	nested := []byte("x")
	for range 1000 {
		nested = certtest.TLV(0x30, nested)
	}
	many := make([][]byte, 10_000)
	for i := range many {
		many[i] = certtest.DNSName(fmt.Sprintf("h%d.example.org", i))
	}
	plain := leaf(func(*certtest.Certificate) {})
	for _, c := range []struct {
		name  string
		chain [][]byte
		kind  error
		words string
	}{
		{"1 MB", [][]byte{leaf(func(c *certtest.Certificate) {
			c.Extensions = append(c.Extensions, certtest.Extension(nil, make([]byte, 1<<20), 1, 2, 3))
		})}, pkix.ErrMalformed, "more than the 262144"},
		{"1 MB of zeros", [][]byte{make([]byte, 1<<20)}, pkix.ErrMalformed, "1048576 bytes"},
		{"10,000 names", [][]byte{leaf(func(c *certtest.Certificate) { c.Extensions = [][]byte{certtest.SAN(many...)} })}, nil, ""},
		{"nested in an extension", [][]byte{leaf(func(c *certtest.Certificate) {
			c.Extensions = append(c.Extensions, certtest.Extension(nil, nested, 1, 2, 3))
		})}, nil, ""},
		{"nested in a name", [][]byte{leaf(func(c *certtest.Certificate) { c.Extensions = [][]byte{certtest.SAN(certtest.TLV(0xa4, nested))} })}, nil, ""},
		{"nested in the subject", [][]byte{leaf(func(c *certtest.Certificate) { c.Subject = nested })}, nil, ""},
		{"nested as a whole", [][]byte{nested}, pkix.ErrMalformed, "not the DER of a certificate"},
		{"nested in the dates", [][]byte{leaf(func(c *certtest.Certificate) { c.NotAfter = nested })}, pkix.ErrMalformed, "notAfter is not a time"},
		{"a chain of 200", append([][]byte{plain}, slices.Repeat([][]byte{certtest.Root()}, 199)...), nil, ""},
		{"a chain of 2,000", append([][]byte{plain}, slices.Repeat([][]byte{plain}, 1999)...), pkix.ErrBudget, "more than 256 certificates"},
		{"nothing", [][]byte{nil}, pkix.ErrMalformed, "not the DER of a certificate"},
		{"with a tail", [][]byte{append(slices.Clone(plain), 0)}, pkix.ErrMalformed, "not the DER of a certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			least := time.Duration(1 << 62)
			for range 5 { // the machine does other things as well
				before := cpu()
				_, err := pkix.Verify(pkix.Request{Certs: pkix.ReadChain(c.chain), Roots: roots, At: certtest.Now})
				least = min(least, cpu()-before)
				want(t, err, c.kind, c.words)
				if least <= maxCPU {
					break
				}
			}
			if least > maxCPU && !certtest.Race {
				t.Errorf("it took %s of CPU", least)
			}
		})
	}
}

// TestReadKeyStructure: what is cut short is no SubjectPublicKeyInfo, wherever it is cut.
func TestReadKeyStructure(t *testing.T) {
	const oid, bits = "\x06\x03\x2b\x65\x70", "\x03\x02\x00\x01"
	seq := func(s string) string { return "\x30" + string(rune(len(s))) + s }
	for name, spki := range map[string]string{
		"nothing": "", "no sequence": oid, "an empty sequence": seq(""), "no algorithm": seq(bits), "an empty algorithm": seq(seq("") + bits),
		"an algorithm that is no OID": seq(seq("\x02\x01\x01") + bits), "no bits": seq(seq(oid)), "an octet string for the bits": seq(seq(oid) + "\x04\x02\x00\x01"),
	} {
		key, err := pkix.ReadKey([]byte(spki))
		if why := pkix.UnreadKey([]byte(spki)); key != nil || err == nil || why != "not a SubjectPublicKeyInfo" {
			t.Errorf("%s: %v, %v, %q", name, key, err, why)
		}
	}
	if why := pkix.UnreadKey([]byte(seq(seq(oid) + bits))); why == "" || why == "not a SubjectPublicKeyInfo" {
		t.Errorf("a short Ed25519 key: %q", why)
	}
}

func TestReadKey(t *testing.T) {
	for _, k := range certtest.Kinds() {
		c := pkix.Read(k.Leaf(certtest.NewCA(), "mx.example.org", certtest.NewKey()))
		key, err := pkix.ReadKey(c.SPKI())
		if known := !slices.Contains([]string{"ec-explicit", "secp256k1", "rsa-pss", "ed448", "dsa"}, k.Name); (key != nil) != known || (err == nil) != known {
			t.Errorf("%s: %v, %v", k.Name, key, err)
		}
		if err := pkix.CheckKey(key); (err != nil) != k.Weak {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
	for bits, ok := range map[int]bool{512: false, 768: false, 1022: false, 1023: true, 1024: true} {
		key, err := pkix.ReadKey(certtest.NewRSA(bits, 65537).SPKI(true))
		if err != nil || (pkix.CheckKey(key) == nil) != ok {
			t.Errorf("%d bits: %v, %v", bits, err, pkix.CheckKey(key))
		}
	}
}
