package dane_test

import (
	"bytes"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
)

// odd is a DANE verification of certificates in DER.
func odd(records []dane.Record, chain ...[]byte) (dane.Result, error) {
	return set(records...).Verify(dane.Peer{Certs: pkix.ReadChain(chain)}, dane.Options{References: refs("mx.example.org"), At: certtest.Now})
}

// TestOddCertificates: for DANE-EE only the bytes or the key count, whatever else
// crypto/x509 finds in the certificate.
func TestOddCertificates(t *testing.T) {
	ca := certtest.NewCA()
	for _, k := range certtest.Kinds() {
		t.Run("DANE7671-5.1-02 "+k.Name, func(t *testing.T) {
			der := k.Leaf(ca, "mx.example.org", certtest.NewKey())
			for _, selector := range []dane.Selector{dane.Cert, dane.SPKI} {
				for _, m := range []dane.MatchingType{dane.Full, dane.SHA2_256, dane.SHA2_512} {
					rec, err := dane.GenerateFromDER(dane.Recipe{Usage: dane.DANEEE, Selector: selector, MatchingType: m}, der)
					if err != nil {
						t.Fatal(err)
					}
					res, err := odd([]dane.Record{rec}, der, ca.DER)
					var weak *pkix.KeyError
					if k.Weak {
						if !errors.Is(err, dane.ErrKey) || !errors.Is(err, pkix.ErrKey) || !errors.As(err, &weak) || weak.Bits != 512 || res.OK || res.Trace[0].OK || res.Trace[0].Fault != dane.FaultKey {
							t.Errorf("%s: %v, %+v", rec.Numbers(), err, res)
						}
						continue
					}
					if err != nil || !res.OK || res.Matched != rec {
						t.Errorf("%s: %v", rec.Numbers(), err)
					}
					// One byte more or less, and nothing is authenticated.
					spoiled := rec
					spoiled.Data = rec.Data[:len(rec.Data)-1] + string(rec.Data[len(rec.Data)-1]^1)
					if res, err := odd([]dane.Record{spoiled}, der, ca.DER); err == nil || res.OK {
						t.Errorf("%s: authenticated by other data", rec.Numbers())
					}
				}
			}
			// By the CA, where a path leads through it.
			for _, recipe := range []dane.Recipe{{Usage: dane.DANETA, Selector: dane.Cert, MatchingType: dane.SHA2_256}, {Usage: dane.DANETA, Selector: dane.SPKI, MatchingType: dane.Full}} {
				rec, err := dane.GenerateFromDER(recipe, ca.DER)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := odd([]dane.Record{rec}, der, ca.DER); (err != nil) != (k.NoPath || k.NoName) {
					t.Errorf("%s: %v", rec.Numbers(), err)
				}
			}
			// As an extra it does no harm.
			plain := ca.Issue(certtest.New("mx.example.org", certtest.NewKey().SPKI))
			for _, at := range [][]byte{plain, ca.DER} {
				usage := dane.DANEEE
				if &at[0] == &ca.DER[0] {
					usage = dane.DANETA
				}
				rec, err := dane.GenerateFromDER(dane.Recipe{Usage: usage, Selector: dane.Cert, MatchingType: dane.SHA2_256}, at)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := odd([]dane.Record{rec}, plain, der, ca.DER, certtest.Root()); err != nil {
					t.Errorf("as an extra, %s: %v", rec.Numbers(), err)
				}
			}
		})
	}
}

// TestOddAuthorities: an authority that crypto/x509 does not read is one all the same,
// if path validation can read what it looks at.
func TestOddAuthorities(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*certtest.Certificate)
		ok     bool
	}{
		{"plain", func(*certtest.Certificate) {}, true},
		{"negative serial number", func(c *certtest.Certificate) { c.Serial = certtest.TLV(2, []byte{0xfb}) }, true},
		{"cA as 01", func(c *certtest.Certificate) {
			c.Extensions = [][]byte{certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(1, []byte{1})), 2, 5, 29, 19)}
		}, true},
		{"cA as 00", func(c *certtest.Certificate) {
			c.Serial = certtest.TLV(2, []byte{0xfb})
			c.Extensions = [][]byte{certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(1, []byte{0})), 2, 5, 29, 19)}
		}, false},
		{"basic constraints unreadable", func(c *certtest.Certificate) {
			c.Extensions = [][]byte{certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(1, nil)), 2, 5, 29, 19)}
		}, false},
		{"basic constraints twice", func(c *certtest.Certificate) { c.Extensions = append(c.Extensions, c.Extensions[0]) }, false},
		{"key usage unreadable", func(c *certtest.Certificate) {
			c.Extensions[1] = certtest.Extension(certtest.Critical, certtest.TLV(2, []byte{6}), 2, 5, 29, 15)
		}, false},
		{"constraints unreadable", func(c *certtest.Certificate) {
			c.Extensions = append(c.Extensions, certtest.Extension(nil, []byte{5, 0}, 2, 5, 29, 30))
		}, false},
		{"dates unreadable", func(c *certtest.Certificate) { c.NotBefore = certtest.TLV(certtest.UTCTime, []byte("x")) }, false},
		{"version 4", func(c *certtest.Certificate) { c.Version = certtest.TLV(0xa0, certtest.TLV(2, []byte{3})) }, false},
		{"subject with an underscore", func(c *certtest.Certificate) {
			c.Subject = certtest.Name(3, certtest.PrintableString, "our_ca")
			c.Issuer = c.Subject
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca := certtest.NewCA(c.change)
			leaf := ca.Issue(certtest.New("mx.example.org", certtest.NewKey().SPKI))
			for _, recipe := range []dane.Recipe{{dane.DANETA, dane.Cert, dane.SHA2_256}, {dane.DANETA, dane.Cert, dane.Full}, {dane.DANETA, dane.SPKI, dane.SHA2_512}} {
				rec, err := dane.GenerateFromDER(recipe, ca.DER)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := odd([]dane.Record{rec}, leaf, ca.DER); (err == nil) != c.ok {
					t.Errorf("%s: %v", rec.Numbers(), err)
				}
				if recipe.MatchingType == dane.Full { // not sent: the record itself holds it
					if _, err := odd([]dane.Record{rec}, leaf); (err == nil) != c.ok {
						t.Errorf("%s, not sent: %v", rec.Numbers(), err)
					}
				}
			}
		})
	}
}

// TestRawWeakKey: a bare key is held to the same limits (RFC 7250).
func TestRawWeakKey(t *testing.T) {
	for bits, ok := range map[int]bool{512: false, 768: false, 1023: true, 2048: true} {
		spki := certtest.NewRSA(bits, 65537).SPKI(true)
		rec, err := dane.GenerateFromKey(dane.Recommended(dane.DANEEE), spki)
		if err != nil {
			t.Fatal(err)
		}
		_, err = set(rec).Verify(dane.Peer{RawKey: spki}, options)
		if (err == nil) != ok || !ok && !errors.Is(err, dane.ErrKey) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// TestOddMaterial: files with such certificates make records, in PEM and DER.
func TestOddMaterial(t *testing.T) {
	ca := certtest.NewCA()
	for _, k := range certtest.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			der := k.Leaf(ca, "mx.example.org", certtest.NewKey())
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
			chain := append(bytes.Clone(text), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.DER})...)
			for name, file := range map[string][]byte{"DER": der, "PEM": text, "PEM chain": chain, "DER chain": append(bytes.Clone(der), ca.DER...)} {
				m, err := dane.ReadMaterial("file", file)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				rec, err := m.Generate(dane.Recommended(dane.DANEEE))
				if err != nil {
					t.Fatal(err)
				}
				o := options
				if _, err := set(rec).Verify(m.Peer(), o); (err != nil) != k.Weak {
					t.Errorf("%s: %v", name, err)
				}
				r := dane.CheckRollover(dane.RolloverRequest{Set: set(rec), Next: m.Peer(), Published: now.AddDate(-1, 0, 0), TTL: time.Hour, Options: o})
				if (r.State == dane.RolloverSafe) == k.Weak || len(r.Missing) > 0 {
					t.Errorf("%s: %s, missing %v", name, r.State, r.Missing)
				}
			}
		})
	}
	for name, file := range map[string][]byte{
		"a certificate of 1 MB": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: make([]byte, 600_000)}),
		"an empty sequence":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}}),
		"a file of zeros":       make([]byte, 1<<20),
	} {
		if _, err := dane.ReadMaterial("file", file); !errors.Is(err, dane.ErrMaterial) || strings.ContainsAny(err.Error(), "\n") || len(err.Error()) > 400 {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Log(err)
		}
	}
}

// TestHostileChain: a chain of 105 issuers of one name with RSA keys of 8,192 bits and
// large exponents, some of them in the domain's own TLSA records, costs one
// verification no more than its bound.
func TestHostileChain(t *testing.T) {
	const bits, most = 8192, 50 * time.Millisecond
	issuer := certtest.Name(3, certtest.UTF8String, "ca")
	junk := func(c *certtest.Certificate) []byte {
		c.Issuer, c.Algorithm = issuer, certtest.SHA256WithRSA
		sig := make([]byte, bits/8)
		rand.Read(sig)
		sig[0] = 0
		return c.WithSignature(c.TBS(), sig)
	}
	key := func(e int64) []byte {
		b := make([]byte, bits/8)
		rand.Read(b)
		b[0] |= 0x80
		b[len(b)-1] |= 1
		return (&certtest.RSAKey{N: new(big.Int).SetBytes(b), E: big.NewInt(e)}).SPKI(true)
	}
	for _, e := range []int64{65537, 1<<31 - 1, 1<<33 - 1} {
		own := certtest.New("mx.example.org", key(e)) // it may be its own issuer
		own.Subject = issuer
		chain := [][]byte{junk(own)}
		for range 105 {
			c := certtest.New("ca", key(e))
			c.Subject = issuer
			c.Extensions = [][]byte{certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(1, certtest.Critical)), 2, 5, 29, 19)}
			chain = append(chain, junk(c))
		}
		for _, n := range []int{0, 1, 9, 32} {
			var recs []dane.Record
			for i := range n {
				for _, r := range []dane.Recipe{{dane.DANETA, dane.Cert, dane.SHA2_256}, {dane.DANETA, dane.SPKI, dane.SHA2_256}} {
					rec, err := dane.GenerateFromDER(r, chain[i])
					if err != nil {
						t.Fatal(err)
					}
					recs = append(recs, rec)
				}
				spki := dane.Record{Usage: dane.DANETA, Selector: dane.SPKI, Data: string(key(e))} // and a bare key of DNS
				recs = append(recs, spki)
			}
			t.Run(fmt.Sprintf("exponent %d, %d records", e, len(recs)), func(t *testing.T) {
				s := set(recs...)
				x := parseAll(t, chain)
				for name, p := range map[string]dane.Peer{"parsed": {Chain: x}, "raw": {Certs: pkix.ReadChain(chain)}} {
					verify, rollover := time.Duration(1<<62), time.Duration(1<<62)
					for range 5 { // the machine does other things as well
						if verify <= most && rollover <= most {
							break
						}
						before := cpu()
						if _, err := s.Verify(p, dane.Options{References: refs("mx.example.org"), At: certtest.Now}); err == nil {
							t.Fatal("authenticated")
						}
						verify = min(verify, cpu()-before)
						before = cpu()
						dane.CheckRollover(dane.RolloverRequest{Set: s, Current: p, Next: p, Options: dane.Options{References: refs("mx.example.org"), At: certtest.Now}})
						rollover = min(rollover, cpu()-before)
					}
					if t.Logf("%s: %s of CPU, rollover %s", name, verify, rollover); !certtest.Race && (verify > most || rollover > most) {
						t.Errorf("%s: %s of CPU, rollover %s", name, verify, rollover)
					}
				}
			})
		}
	}
}

// cpu is the time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
