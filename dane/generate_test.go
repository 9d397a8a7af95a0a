package dane_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
)

func TestGenerate(t *testing.T) {
	w := newWorld(t)
	for _, u := range []dane.Usage{dane.DANETA, dane.DANEEE} {
		for _, s := range []dane.Selector{dane.Cert, dane.SPKI} {
			for _, m := range []dane.MatchingType{dane.Full, dane.SHA2_256, dane.SHA2_512} {
				r := dane.Recipe{u, s, m}
				got, err := dane.Generate(r, w.leaf.Certificate)
				if err != nil || got != w.leaf.record(u, s, m) {
					t.Errorf("%s: %s, %v", r, got, err)
				}
				got, err = dane.GenerateFromKey(r, w.leaf.RawSubjectPublicKeyInfo)
				if s == dane.SPKI && (err != nil || got != w.leaf.record(u, s, m)) {
					t.Errorf("%s from a key: %s, %v", r, got, err)
				}
				if s == dane.Cert && !errors.Is(err, dane.ErrRecord) {
					t.Errorf("%s from a key: %s, %v", r, got, err)
				}
			}
		}
	}
	for _, r := range []dane.Recipe{{0, 1, 1}, {1, 1, 1}, {4, 1, 1}, {3, 2, 1}, {3, 1, 3}, {}} {
		if got, err := dane.Generate(r, w.leaf.Certificate); !errors.Is(err, dane.ErrRecord) || got != (dane.Record{}) {
			t.Errorf("%s: %s, %v", r, got, err)
		}
		if got, err := dane.GenerateFromKey(r, w.leaf.RawSubjectPublicKeyInfo); !errors.Is(err, dane.ErrRecord) || got != (dane.Record{}) {
			t.Errorf("%s: %s, %v", r, got, err)
		}
	}
	if _, err := dane.Generate(dane.Recommended(dane.DANEEE), nil); !errors.Is(err, dane.ErrRecord) {
		t.Errorf("of no certificate: %v", err)
	}
	if _, err := dane.GenerateFromKey(dane.Recommended(dane.DANEEE), []byte("key")); !errors.Is(err, dane.ErrRecord) {
		t.Errorf("of no key: %v", err)
	}
	if a, b := dane.Recommended(dane.DANEEE).String(), dane.Recommended(dane.DANETA).String(); a != "3 1 1" || b != "2 0 1" {
		t.Errorf("recommended: %s and %s", a, b)
	}
}

// TestGenerateLimits: what RDATA cannot hold is no record.
func TestGenerateLimits(t *testing.T) {
	full := dane.Recipe{dane.DANEEE, dane.Cert, dane.Full}
	if r, err := dane.Generate(full, &x509.Certificate{Raw: make([]byte, 65532)}); err != nil || len(r.Data) != 65532 {
		t.Errorf("65532 octets: %v", err)
	}
	if r, err := dane.Generate(full, &x509.Certificate{Raw: make([]byte, 65533)}); !errors.Is(err, dane.ErrRecord) || r.Data != "" {
		t.Errorf("65533 octets: %v", err)
	}
	var e dane.Entry
	for n, good := range map[int]bool{65532: true, 65533: false} {
		err := json.Unmarshal([]byte(`{"owner":"a.","type":"TLSA","data":"`+strings.Repeat("00", n)+`"}`), &e)
		if (err == nil) != good {
			t.Errorf("%d octets: %.100v", n, err)
		}
	}
	if s := (dane.Entry{Owner: dnsName("a"), TTL: time.Second, Record: dane.Record{3, 1, 1, "x"}}).Zone(); s != "a. 1 IN TLSA 3 1 1 78" {
		t.Errorf("a TTL of one second: %q", s)
	}
	if s := (dane.Entry{Owner: dnsName("a"), TTL: time.Second - 1, Record: dane.Record{3, 1, 1, "x"}}).Zone(); s != "a. IN TLSA 3 1 1 78" {
		t.Errorf("a TTL of less: %q", s)
	}
}

func TestEntry(t *testing.T) {
	owner, err := dane.Owner(host("mx.sec.example"), 25)
	if err != nil {
		t.Fatal(err)
	}
	e := dane.Entry{Owner: owner, TTL: time.Hour, Record: dane.Record{3, 1, 1, "\xab\x01"}}
	bare := dane.Entry{Owner: owner, Record: e.Record}
	for _, c := range []struct{ got, want string }{
		{e.Zone(), "_25._tcp.mx.sec.example. 3600 IN TLSA 3 1 1 ab01"},
		{e.Generic(), `_25._tcp.mx.sec.example. 3600 IN TYPE52 \# 5 030101ab01`},
		{bare.Zone(), "_25._tcp.mx.sec.example. IN TLSA 3 1 1 ab01"},
		{bare.Generic(), `_25._tcp.mx.sec.example. IN TYPE52 \# 5 030101ab01`},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for want, e := range map[string]dane.Entry{
		`{"owner":"_25._tcp.mx.sec.example.","ttl":3600,"type":"TLSA","usage":3,"selector":1,"matching_type":1,"data":"ab01"}`: e,
		`{"owner":"_25._tcp.mx.sec.example.","type":"TLSA","usage":3,"selector":1,"matching_type":1,"data":"ab01"}`:            bare,
	} {
		b, err := json.Marshal(e)
		if err != nil || string(b) != want {
			t.Errorf("%s, %v, want %s", b, err, want)
		}
		var back dane.Entry
		if err := json.Unmarshal(b, &back); err != nil || back != e {
			t.Errorf("%s reads back as %+v, %v", b, back, err)
		}
	}
	for _, bad := range []string{`[]`, `{"owner":"","type":"TLSA"}`, `{"owner":"a.","type":"TXT"}`, `{"owner":"a.","type":"TLSA","data":"0"}`, `{"owner":"a.","type":"TLSA","ttl":-1}`,
		`{"owner":"a.","type":"TLSA","ttl":2147483648}`, `{"owner":"a.","type":"TLSA","usage":256}`, `{"owner":"a.","type":"TLSA","new":1}`} {
		back := e
		if err := json.Unmarshal([]byte(bad), &back); err == nil || back != e {
			t.Errorf("%s reads as %+v", bad, back)
		}
	}
	if err := json.Unmarshal([]byte(`{"owner":"a.","type":"TLSA","ttl":2147483647}`), &e); err != nil {
		t.Errorf("the largest TTL: %v", err)
	}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestReadMaterial(t *testing.T) {
	w := newWorld(t)
	leaf, inter := pemOf("CERTIFICATE", w.leaf.Raw), pemOf("CERTIFICATE", w.inter.Raw)
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(w.leaf.key))
	sec1 := must(x509.MarshalECPrivateKey(testKey(2)))
	params := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	rsaSPKI := must(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"mx.sec.example"}}, w.leaf.key))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := w.leaf.RawSubjectPublicKeyInfo
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n"
	legacy := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n"

	for _, c := range []struct {
		name  string
		data  string
		chain int
		spki  []byte
		kind  string
	}{
		{"a certificate, PEM", leaf, 1, ec, "certificate"},
		{"a chain, PEM, with text between", "subject=x\n" + leaf + "issuer=y\r\n" + inter, 2, ec, "certificate"},
		{"a certificate with its key", leaf + pemOf("PRIVATE KEY", pkcs8), 1, ec, "certificate"},
		{"a key with its certificate", pemOf("EC PRIVATE KEY", sec1) + leaf, 1, ec, "certificate"},
		{"a certificate with an encrypted key", leaf + encrypted, 1, ec, "certificate"},
		{"PKCS #8", pemOf("PRIVATE KEY", pkcs8), 0, ec, "private key"},
		{"SEC 1 behind its parameters", params + pemOf("EC PRIVATE KEY", sec1), 0, ec, "private key"},
		{"PKCS #1", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), 0, rsaSPKI, "private key"},
		{"Ed25519", pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))), 0, must(x509.MarshalPKIXPublicKey(ed.Public())), "private key"},
		{"a public key", pemOf("PUBLIC KEY", ec), 0, ec, "public key"},
		{"a public RSA key", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), 0, rsaSPKI, "public key"},
		{"a request", pemOf("CERTIFICATE REQUEST", csr), 0, ec, "certificate request"},
		{"a request, old words", pemOf("NEW CERTIFICATE REQUEST", csr), 0, ec, "certificate request"},
		{"a certificate, DER", string(w.leaf.Raw), 1, ec, "certificate"},
		{"two certificates, DER", string(w.leaf.Raw) + string(w.inter.Raw), 2, ec, "certificate"},
		{"a public key, DER", string(ec), 0, ec, "public key"},
		{"PKCS #8, DER", string(pkcs8), 0, ec, "private key"},
		{"SEC 1, DER", string(sec1), 0, ec, "private key"},
		{"PKCS #1, DER", string(x509.MarshalPKCS1PrivateKey(rsaKey)), 0, rsaSPKI, "private key"},
		{"a request, DER", string(csr), 0, ec, "certificate request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := dane.ReadMaterial("f", []byte(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Chain) != c.chain || !bytes.Equal(m.SPKI, c.spki) || m.Kind != c.kind {
				t.Errorf("%d certificates, %s: %x", len(m.Chain), m.Kind, m.SPKI)
			}
			p := m.Peer()
			if len(p.Chain) != c.chain || (c.chain == 0) != (len(p.RawKey) > 0) {
				t.Errorf("presents %+v", p)
			}
			r, err := m.Generate(dane.Recommended(dane.DANEEE))
			if err != nil || !strings.HasPrefix(r.String(), "3 1 1 ") {
				t.Errorf("%s, %v", r, err)
			}
			if _, err := set(r).Verify(p, dane.Options{}); err != nil {
				t.Errorf("the record does not match what it was made of: %v", err)
			}
			if strings.Contains(c.name, "DER") {
				return
			}
			// A private half never comes out of it.
			if bytes.Contains(m.SPKI, must(testKey(2).Bytes())) {
				t.Error("the private key is in the public one")
			}
		})
	}
	t.Run("usage 2 takes the authority of a chain", func(t *testing.T) {
		m := must(dane.ReadMaterial("f", []byte(leaf+inter)))
		if r := must(m.Generate(dane.Recommended(dane.DANETA))); r != w.inter.record(2, 0, 1) {
			t.Errorf("%s", r)
		}
		m = must(dane.ReadMaterial("f", []byte(inter)))
		if r := must(m.Generate(dane.Recommended(dane.DANETA))); r != w.inter.record(2, 0, 1) {
			t.Errorf("%s", r)
		}
		m = must(dane.ReadMaterial("f", ec))
		if _, err := m.Generate(dane.Recommended(dane.DANETA)); !errors.Is(err, dane.ErrRecord) {
			t.Errorf("of a key: %v", err)
		}
	})

	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader))
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "empty"},
		{"blank", " \n\t\n", "empty"},
		{"text", "hello", "neither PEM nor DER"},
		{"HTML", "<html></html>", "neither PEM nor DER"},
		{"an encrypted key", encrypted, "encrypted"},
		{"an encrypted key, old form", legacy, "encrypted"},
		{"half a PEM block", leaf[:200], "without a whole PEM block"},
		{"PEM of a certificate that is none", pemOf("CERTIFICATE", []byte("x")), "PEM block 1"},
		{"PEM of a key that is none", pemOf("PRIVATE KEY", []byte("x")), "PEM block 1"},
		{"PEM of a public RSA key that is none", pemOf("RSA PUBLIC KEY", []byte("x")), "PEM block 1"},
		{"PEM of a public key that is none", pemOf("PUBLIC KEY", []byte("x")), "PEM block 1"},
		{"PEM of a request that is none", pemOf("CERTIFICATE REQUEST", []byte("x")), "PEM block 1"},
		{"PEM of an EC key that is none", pemOf("EC PRIVATE KEY", []byte("x")), "PEM block 1"},
		{"PEM of something else", pemOf("X509 CRL", []byte("x")), "without a certificate or key"},
		{"another key than that of the certificate", leaf + pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(w.root.key))), "not that of the first certificate"},
		{"X25519", pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(x25519))), "type"},
		{"X25519, public", pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(x25519.Public()))), "expected RSA, ECDSA or Ed25519"},
		{"X25519, public, DER", string(must(x509.MarshalPKIXPublicKey(x25519.Public()))), "expected RSA, ECDSA or Ed25519"},
		{"too long", strings.Repeat("x", dane.MaxMaterial+1), "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := dane.ReadMaterial("some/file.pem", []byte(c.data))
			if !errors.Is(err, dane.ErrMaterial) {
				t.Fatalf("%+v, %v", m, err)
			}
			if len(m.Chain) > 0 || m.SPKI != nil {
				t.Errorf("an error and %+v", m)
			}
			s := err.Error()
			if !strings.HasPrefix(s, "some/file.pem: ") || !strings.Contains(s, c.want) || strings.ContainsAny(s, "\r\n") || len(s) > 300 {
				t.Errorf("%q", s)
			}
		})
	}
	if _, err := dane.ReadMaterial("f", append([]byte(leaf), bytes.Repeat([]byte("\n"), dane.MaxMaterial-len(leaf))...)); err != nil {
		t.Errorf("as long as a file may be: %v", err)
	}
}

func FuzzReadMaterial(f *testing.F) {
	w := newWorld(f)
	f.Add(w.leaf.Raw)
	f.Add([]byte(pemOf("CERTIFICATE", w.leaf.Raw) + pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(w.leaf.key)))))
	f.Add(w.leaf.RawSubjectPublicKeyInfo)
	f.Add([]byte("-----BEGIN X-----\n\n-----END X-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dane.ReadMaterial("f", b)
		if err != nil {
			if len(m.Chain) > 0 || m.SPKI != nil || !errors.Is(err, dane.ErrMaterial) {
				t.Fatalf("%+v beside %v", m, err)
			}
			return
		}
		r, err := m.Generate(dane.Recommended(dane.DANEEE))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set(r).Verify(m.Peer(), dane.Options{}); err != nil {
			t.Fatalf("%s does not match what it was made of: %v", r, err)
		}
	})
}
