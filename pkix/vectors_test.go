package pkix_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/bettertls"
	"github.com/mxauth/mxauth/conformance/vectors/limbo"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

func parsePEM(s string) (*x509.Certificate, error) {
	b, _ := pem.Decode([]byte(s))
	if b == nil {
		return nil, errors.New("no PEM")
	}
	return x509.ParseCertificate(b.Bytes)
}

func openVector(t *testing.T, set, file string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(vectors.Dir(t, set), file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// limboTime stands for "any time": the certificates run from 1970 to 2969.
var limboTime = time.Date(2023, 12, 2, 0, 0, 0, 0, time.UTC)

// verifyLimbo runs one case. What crypto/x509 can not parse is a certificate
// that no handshake would hand over, so the case fails as a handshake would; a
// root or an intermediate that does not parse is left out.
func verifyLimbo(c limbo.Case) error {
	leaf, err := parsePEM(c.PeerCertificate)
	if err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	r := pkix.Request{Chain: []*x509.Certificate{leaf}, At: c.ValidationTime}
	if r.At.IsZero() {
		r.At = limboTime
	}
	for _, s := range c.UntrustedIntermediate {
		if d, err := parsePEM(s); err == nil {
			r.Chain = append(r.Chain, d)
		}
	}
	var roots []*x509.Certificate
	for _, s := range c.TrustedCerts {
		if d, err := parsePEM(s); err == nil {
			roots = append(roots, d)
		}
	}
	r.Roots = pkix.NewRoots(roots...)
	if c.MaxChainDepth != nil {
		if r.MaxIntermediates = *c.MaxChainDepth; r.MaxIntermediates == 0 {
			r.MaxIntermediates = -1
		}
	}
	ref, err := rfc6125.ParseReference(c.ExpectedPeerName.Value)
	if err != nil {
		return err
	}
	_, err = pkix.VerifyServer(r, []rfc6125.Reference{ref})
	return err
}

// limboExceptions are rules of CA conduct that limbo wants applied and that say
// nothing about who holds a key; doc.go of package pkix says which are left
// alone. The class "go-differs" has no others.
var limboExceptions = map[string]string{}

func TestLimbo(t *testing.T) {
	cases, err := limbo.Read(openVector(t, "limbo", "limbo.json"), openVector(t, "limbo", "notes.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			err := verifyLimbo(c)
			t.Logf("%s, want %s: %v", c.Note.Class, c.ExpectedResult, err)
			if c.ExpectedPeerName.Kind == "IP" {
				if !errors.Is(err, rfc6125.ErrAddress) {
					t.Errorf("an address as reference: %v", err)
				}
				return
			}
			n++
			if (err == nil) == c.Succeeds() {
				return
			}
			if c.Note.Class == "go-differs" {
				t.Logf("DIFF")
				return
			}
			t.Errorf("%s (%s)", c.Description, c.Note.Go)
		})
	}
	if n == 0 {
		t.Fatal("no case")
	}
}

func TestBetterTLS(t *testing.T) {
	cases, err := bettertls.Read(openVector(t, "bettertls", "nameconstraints.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no case")
	}
	roots, err := pkix.LoadRoots(filepath.Join(vectors.Dir(t, "bettertls"), "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.ID), func(t *testing.T) {
			r := pkix.Request{Roots: roots, At: c.Time}
			for _, s := range append([]string{c.Leaf}, c.Intermediates...) {
				d, err := parsePEM(s)
				if err != nil {
					if len(r.Chain) == 0 && c.Expect == bettertls.OK {
						t.Fatal(err)
					}
					return
				}
				r.Chain = append(r.Chain, d)
			}
			ref, err := rfc6125.ParseReference(c.Host)
			if err != nil {
				t.Fatal(err)
			}
			_, err = pkix.VerifyServer(r, []rfc6125.Reference{ref})
			switch {
			case c.Expect == bettertls.WeakOK:
				t.Logf("may or may not: %v (crypto/x509: %s)", err, c.Go)
			case (err == nil) != (c.Expect == bettertls.OK):
				t.Errorf("%v, want %s: %v, cn %v, sans %v, constraints %v", err, c.Expect, c.Descriptions, c.CN, c.SANs, c.NameConstraints)
			}
		})
	}
}
