package chains

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/bettertls"
	"github.com/mxauth/mxauth/conformance/vectors/limbo"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// certificate reads one certificate of PEM text.
func certificate(text string) (*x509.Certificate, error) {
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		return nil, errors.New("no PEM")
	}
	return x509.ParseCertificate(b.Bytes)
}

// certificates reads those that parse; a root or an intermediate that does not is as if
// it had not been sent.
func certificates(texts []string) []*x509.Certificate {
	var out []*x509.Certificate
	for _, t := range texts {
		if c, err := certificate(t); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// anyTime is when limbo's cases without a time are judged; their certificates run from
// 1970 to 2969.
var anyTime = time.Date(2023, 12, 2, 0, 0, 0, 0, time.UTC)

// Limbo judges chains for a WebPKI server. What is asserted is limbo's verdict where
// the case is of the class "core"; in the class "go-differs" limbo wants rules of CA
// conduct applied that need not be, so a difference there is excepted.
func Limbo(_ context.Context, dir string) ([]sets.Result, error) {
	suite, err := os.Open(filepath.Join(dir, "limbo.json"))
	if err != nil {
		return nil, err
	}
	defer suite.Close()
	notes, err := os.Open(filepath.Join(dir, "notes.jsonl"))
	if err != nil {
		return nil, err
	}
	defer notes.Close()
	cases, err := limbo.Read(suite, notes)
	if err != nil {
		return nil, err
	}
	var out []sets.Result
	for _, c := range cases {
		res := sets.Result{Case: c.ID, Want: sets.Word(c.Succeeds(), "verified", "refused")}
		if c.ExpectedPeerName.Kind != "DNS" {
			res.Skip = "the reference identifier is an address, which an MX host never is"
		} else {
			res.Got = sets.Word(verifyLimbo(c) == nil, "verified", "refused")
			if res.Got != res.Want && c.Note.Class == "go-differs" {
				res.Skip = "a rule of CA conduct that says nothing of who holds the key"
			}
		}
		out = append(out, res)
	}
	return out, nil
}

func verifyLimbo(c limbo.Case) error {
	leaf, err := certificate(c.PeerCertificate)
	if err != nil {
		return err
	}
	ref, err := rfc6125.ParseReference(c.ExpectedPeerName.Value)
	if err != nil {
		return err
	}
	r := pkix.Request{
		Chain: append([]*x509.Certificate{leaf}, certificates(c.UntrustedIntermediate)...),
		Roots: pkix.NewRoots(certificates(c.TrustedCerts)...),
		At:    c.ValidationTime,
	}
	if r.At.IsZero() {
		r.At = anyTime
	}
	if c.MaxChainDepth != nil {
		if r.MaxIntermediates = *c.MaxChainDepth; r.MaxIntermediates == 0 {
			r.MaxIntermediates = -1
		}
	}
	_, err = pkix.VerifyServer(r, []rfc6125.Reference{ref})
	return err
}

// BetterTLS judges chains under name constraints.
func BetterTLS(_ context.Context, dir string) ([]sets.Result, error) {
	roots, err := pkix.LoadRoots(filepath.Join(dir, "root.pem"))
	if err != nil {
		return nil, err
	}
	return sets.Table(dir, "nameconstraints.jsonl", bettertls.Read, func(_ int, c bettertls.Case) sets.Result {
		res := sets.Result{Case: fmt.Sprint(c.ID), Want: sets.Word(c.Expect == bettertls.OK, "verified", "refused"), Got: "refused"}
		if verifyBetterTLS(c, roots) == nil {
			res.Got = "verified"
		}
		if c.Expect == bettertls.WeakOK {
			res.Skip = "may or may not verify"
		}
		return res
	})
}

func verifyBetterTLS(c bettertls.Case, roots *pkix.Roots) error {
	leaf, err := certificate(c.Leaf)
	if err != nil {
		return err
	}
	ref, err := rfc6125.ParseReference(c.Host)
	if err != nil {
		return err
	}
	_, err = pkix.VerifyServer(pkix.Request{
		Chain: append([]*x509.Certificate{leaf}, certificates(c.Intermediates)...), Roots: roots, At: c.Time,
	}, []rfc6125.Reference{ref})
	return err
}
