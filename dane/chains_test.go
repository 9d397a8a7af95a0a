package dane_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/vectors/bettertls"
	"github.com/mxauth/mxauth/conformance/vectors/limbo"
	"github.com/mxauth/mxauth/conformance/vectors/tlsawild"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// A pkixCase is a chain of a PKIX suite, as package pkix judges it.
type pkixCase struct {
	set, id string
	chain   []*x509.Certificate // leaf and intermediates
	roots   []*x509.Certificate
	at      time.Time
	ref     rfc6125.Reference
}

// A difference is a row of testdata/differences.jsonl: a chain that DANE-TA judges
// otherwise than PKIX does with the same authority as root.
type difference struct {
	Set    string `json:"set"`
	ID     string `json:"id"`
	Record string `json:"record"` // "2 1 0"
	// Rule is "bare-key" where PKIX refuses the root certificate itself, of which a 2 1 0
	// record knows nothing but the key; such a difference is no surprise in a chain that
	// is not listed either.
	Rule string `json:"rule"`
	PKIX bool   `json:"pkix"`
	DANE bool   `json:"dane"`
	Why  string `json:"why"`
}

// TestChainsAsDANETA takes the chains of limbo and BetterTLS with the trusted root
// given as TLSA records in place of a root pool. A digest needs the root in the chain
// (RFC 7671 section 5.2.2), so it is appended; 2 1 0 stands in DNS alone, and 2 0 0
// too. The verdict must be that of PKIX, but for the rows of the file.
func TestChainsAsDANETA(t *testing.T) {
	cases := append(limboCases(t), bettertlsCases(t)...)
	known := map[string]difference{}
	text, err := os.ReadFile("testdata/differences.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var row difference
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		if row.Why == "" || row.PKIX == row.DANE {
			t.Fatalf("row without a reason, or without a difference: %+v", row)
		}
		known[row.Set+" "+row.ID+" "+row.Record] = row
	}
	n := 0
	for _, c := range cases {
		_, pkixErr := pkix.VerifyServer(pkix.Request{Chain: c.chain, Roots: pkix.NewRoots(c.roots...), At: c.at}, []rfc6125.Reference{c.ref})
		want := pkixErr == nil
		var bares []*x509.Certificate
		for _, r := range c.roots {
			bares = append(bares, bare(r))
		}
		_, bareErr := pkix.VerifyServer(pkix.Request{Chain: c.chain, Roots: pkix.NewRoots(bares...), At: c.at}, []rfc6125.Reference{c.ref})
		for _, kind := range []dane.Record{{2, 0, 1, ""}, {2, 1, 1, ""}, {2, 1, 0, ""}, {2, 0, 0, ""}} {
			t.Run(c.set+"/"+c.id+"/"+kind.Numbers(), func(t *testing.T) {
				n++
				p := dane.Peer{Chain: c.chain}
				if kind.MatchingType != dane.Full {
					p.Chain = append(p.Chain[:len(p.Chain):len(p.Chain)], c.roots...)
				}
				var rs []dane.Record
				for _, r := range c.roots {
					rs = append(rs, (&node{Certificate: r}).record(kind.Usage, kind.Selector, kind.MatchingType))
				}
				_, err := set(rs...).Verify(p, dane.Options{References: []rfc6125.Reference{c.ref}, NoCNID: true, At: c.at})
				key := c.set + " " + c.id + " " + kind.Numbers()
				row, listed := known[key]
				delete(known, key)
				ruled := kind.Numbers() == "2 1 0" && !want && err == nil && bareErr == nil
				switch {
				case listed && (row.Rule == "bare-key") != ruled:
					t.Errorf("%v where PKIX says %v: rule %q does not fit", err, pkixErr, row.Rule)
				case listed && (row.PKIX != want || row.DANE != (err == nil)):
					t.Errorf("%v where PKIX says %t: not as written down: %+v", err, want, row)
				case !listed && !ruled && (err == nil) != want:
					t.Errorf("%v where PKIX says %v", err, pkixErr)
				}
			})
		}
	}
	if n == 0 {
		t.Fatal("no case")
	}
	for key := range known {
		t.Errorf("%s is written down and was not met", key)
	}
}

// bare makes of a root a certificate of version 1 that has its name and key, and
// nothing by which it could be refused: what a bare key is in a world of names.
func bare(c *x509.Certificate) *x509.Certificate {
	return &x509.Certificate{
		Raw: append(bytes.Clone(c.Raw), 0), RawSubject: c.RawSubject, RawIssuer: c.RawIssuer, RawSubjectPublicKeyInfo: c.RawSubjectPublicKeyInfo,
		Version: 1, PublicKey: c.PublicKey, PublicKeyAlgorithm: c.PublicKeyAlgorithm, Subject: c.Subject, NotAfter: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func limboCases(t *testing.T) []pkixCase {
	all, err := limbo.Read(bytes.NewReader(vectorFile(t, "limbo", "limbo.json")), bytes.NewReader(vectorFile(t, "limbo", "notes.jsonl")))
	if err != nil {
		t.Fatal(err)
	}
	var out []pkixCase
	for _, c := range all {
		if c.ExpectedPeerName.Kind != "DNS" || c.MaxChainDepth != nil {
			continue // an MX host is no address, and DANE has no option for the depth
		}
		k := pkixCase{set: "limbo", id: c.ID, at: c.ValidationTime, chain: readable(c.PeerCertificate), ref: refs(c.ExpectedPeerName.Value)[0]}
		if len(k.chain) == 0 {
			continue // crypto/x509 does not parse the leaf: no handshake would hand it over
		}
		if k.at.IsZero() {
			k.at = time.Date(2023, 12, 2, 0, 0, 0, 0, time.UTC)
		}
		k.chain = append(k.chain, readable(c.UntrustedIntermediate...)...)
		k.roots = readable(c.TrustedCerts...)
		out = append(out, k)
	}
	if len(out) == 0 {
		t.Fatal("limbo: no case")
	}
	return out
}

func bettertlsCases(t *testing.T) []pkixCase {
	all, err := bettertls.Read(bytes.NewReader(vectorFile(t, "bettertls", "nameconstraints.jsonl")))
	if err != nil || len(all) == 0 {
		t.Fatalf("bettertls: %d cases, %v", len(all), err)
	}
	root := readable(string(vectorFile(t, "bettertls", "root.pem")))
	var out []pkixCase
	for _, c := range all {
		k := pkixCase{set: "bettertls", id: fmt.Sprint(c.ID), at: c.Time, chain: readable(c.Leaf), roots: root, ref: refs(c.Host)[0]}
		if len(k.chain) == 0 {
			continue
		}
		k.chain = append(k.chain, readable(c.Intermediates...)...)
		out = append(out, k)
	}
	return out
}

// readable parses PEM certificates and leaves out those that crypto/x509 refuses.
func readable(pems ...string) []*x509.Certificate {
	var out []*x509.Certificate
	for _, s := range pems {
		for _, der := range tlsawild.Certificates([]byte(s)) {
			if c, err := x509.ParseCertificate(der); err == nil {
				out = append(out, c)
			}
		}
	}
	return out
}
