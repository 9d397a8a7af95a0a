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

// verifyLimbo runs one case. What crypto/x509 cannot parse is a certificate
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

// limboExceptions are the cases of class "go-differs" that we answer as
// crypto/x509 does, each by the rule that is at stake. Rules of CA conduct say
// nothing about who holds a key, and doc.go of package pkix says that they are
// left alone.
var limboExceptions = map[string]string{
	"rfc5280::aki::cross-signed-root-missing-aki":          missingKeyID,
	"rfc5280::aki::intermediate-missing-aki":               missingKeyID,
	"rfc5280::ski::intermediate-missing-ski":               missingKeyID,
	"rfc5280::ski::root-missing-ski":                       missingKeyID,
	"webpki::aki::root-with-aki-authoritycertissuer":       missingKeyID,
	"webpki::aki::root-with-aki-authoritycertserialnumber": missingKeyID,
	"webpki::aki::root-with-aki-ski-mismatch":              missingKeyID,
	"rfc5280::ca-empty-subject":                            emptyName,
	"rfc5280::ee-empty-issuer":                             emptyName,
	"rfc5280::san::noncritical-with-empty-subject":         emptyName,
	"rfc5280::serial::too-long":                            serialNumber,
	"rfc5280::serial::zero":                                serialNumber,
	"rfc5280::leaf-ku-keycertsign":                         caLeaf,
	"webpki::ee-basicconstraints-ca":                       caLeaf,
	"rfc5280::nc::not-allowed-in-ee-critical":              leafConstraint,
	"rfc5280::nc::not-allowed-in-ee-noncritical":           leafConstraint,
	"webpki::eku::ee-anyeku":                               purposes,
	"webpki::eku::ee-without-eku":                          purposes,
	"webpki::eku::root-has-eku":                            purposes,
	"webpki::forbidden-signature-algorithm-in-leaf":        "crypto/x509 decides which keys and algorithms it supports",
	"webpki::san::public-suffix-wildcard-san":              "nobody here has a list of public suffixes",
	"rfc5280::nc::permitted-dn-match":                      "its leaf has no DNS-ID for the name that it is asked for; the path itself is good",
}

const (
	missingKeyID   = "key identifiers are hints for finding an issuer, and a signature proves it"
	emptyName      = "names of people and companies are not judged"
	serialNumber   = "serial numbers are not judged"
	caLeaf         = "a CA's certificate may be a server's: what it may sign is asked when it signs"
	leafConstraint = "constraints in a leaf bind nobody"
	purposes       = "the baseline requirements for purposes go beyond RFC 5280 section 4.2.1.12"
)

func TestLimbo(t *testing.T) {
	cases, err := limbo.Read(openVector(t, "limbo", "limbo.json"), openVector(t, "limbo", "notes.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			err := verifyLimbo(c)
			if c.ExpectedPeerName.Kind == "IP" {
				if !errors.Is(err, rfc6125.ErrAddress) {
					t.Errorf("an address as reference: %v", err)
				}
				return
			}
			n++
			agrees := (err == nil) == c.Succeeds()
			switch why, listed := limboExceptions[c.ID]; {
			case listed && agrees:
				t.Errorf("%v: the exception is not needed: %s", err, why)
			case listed:
				t.Logf("%v, limbo wants %s: %s", err, c.ExpectedResult, why)
			case !agrees && c.Note.Class == "go-differs":
				// Such a case is not to be asserted; a new one wants a line above.
				t.Logf("%v, limbo wants %s: not listed yet", err, c.ExpectedResult)
			case !agrees:
				t.Errorf("%v, want %s: %s (crypto/x509: %s)", err, c.ExpectedResult, c.Description, c.Note.Go)
			}
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
