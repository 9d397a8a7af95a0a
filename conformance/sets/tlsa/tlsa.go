package tlsa

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/danetest"
	"github.com/mxauth/mxauth/conformance/vectors/tlsawild"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// danetestTime is within the dates of the issuers of danetest, which are to be judged at
// the time of the run and end in 2116 and 3015.
var danetestTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func chain(ders [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func references(host string) []rfc6125.Reference {
	ref, err := rfc6125.ParseReference(host)
	if err != nil {
		return nil
	}
	return []rfc6125.Reference{ref}
}

// Danetest judges OpenSSL's blocks twice: by RFC 7672 as an SMTP client does, and by
// RFC 6698 with all four usages; verdict and depth of the match.
func Danetest(_ context.Context, dir string) ([]sets.Result, error) {
	roots := map[string]*pkix.Roots{}
	blocks := map[string]map[int]danetest.Block{}
	for file, root := range map[string]string{"danetest.in": "danetest.pem", "dane-cross.in": "cross-root.pem"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list, err := danetest.Read(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		blocks[file] = map[int]danetest.Block{}
		for _, b := range list {
			blocks[file][b.Number] = b
		}
		if roots[file], err = pkix.LoadRoots(filepath.Join(dir, root)); err != nil {
			return nil, err
		}
	}
	var out []sets.Result
	_, err := sets.Table(dir, "expect.jsonl", danetest.ReadExpect, func(_ int, row danetest.Expect) sets.Result {
		if b, ok := blocks[row.File][row.Case]; ok {
			out = append(out, judgeDanetest(row, b, roots[row.File]))
		}
		return sets.Result{}
	})
	return out, err
}

func judgeDanetest(row danetest.Expect, b danetest.Block, roots *pkix.Roots) sets.Result {
	smtp, generic := row.SMTP, fmt.Sprintf("%s at depth %d", row.Generic, row.MatchDepth)
	if smtp != danetest.Unusable {
		smtp += fmt.Sprintf(" at depth %d", row.MatchDepth)
	}
	res := sets.Result{Case: fmt.Sprintf("%s:%d", row.File, row.Case), Want: "smtp " + smtp + ", generic " + generic}
	certs, err := chain(b.Chain)
	if err != nil {
		res.Got = err.Error()
		return res
	}
	var records []dane.Record
	for _, r := range b.Records {
		records = append(records, dane.Record{Usage: dane.Usage(r.Usage), Selector: dane.Selector(r.Selector), MatchingType: dane.MatchingType(r.MatchingType), Data: string(r.Data)})
	}
	p := dane.Peer{Chain: certs}
	o := dane.Options{References: references(row.BaseDomain), At: danetestTime}
	v, err := dane.NewSet(records, dane.UsePolicy{}).Verify(p, o)
	switch {
	case err == nil:
		smtp = fmt.Sprintf("%s at depth %d", danetest.Authenticated, v.Depth)
	case errors.Is(err, dane.ErrNoUsable):
		smtp = danetest.Unusable
	default:
		smtp = fmt.Sprintf("%s at depth %d", danetest.Fail, v.Depth)
	}
	v, err = dane.VerifyGeneric(records, p, dane.GenericOptions{Options: o, Roots: roots, EENames: !row.NoEENameChecks})
	generic = danetest.Match
	switch {
	case errors.Is(err, dane.ErrName):
		generic = danetest.GenericName
	case errors.Is(err, dane.ErrPath):
		generic = danetest.ChainIncomplete
	case err != nil:
		generic = danetest.GenericNoMatch
	}
	res.Got = fmt.Sprintf("smtp %s, generic %s at depth %d", smtp, generic, v.Depth)
	return res
}

// wildTime is within the dates of the chains of tlsa.jsonl whose DANE-TA records need it.
var wildTime = time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)

// Wild judges TLSA sets as published, GnuTLS's cases, and presentation format.
func Wild(_ context.Context, dir string) ([]sets.Result, error) {
	return sets.Join(
		func() ([]sets.Result, error) {
			return sets.Table(dir, "tlsa.jsonl", tlsawild.Read[tlsawild.Set], func(i int, s tlsawild.Set) sets.Result {
				return judgeWild(dir, fmt.Sprintf("tlsa %d %s", i+1, s.Owner), s)
			})
		},
		func() ([]sets.Result, error) {
			return sets.Table(dir, "gnutls.jsonl", tlsawild.Read[tlsawild.Row], func(_ int, r tlsawild.Row) sets.Result { return judgeGnuTLS(r) })
		},
		func() ([]sets.Result, error) {
			return sets.Table(dir, "presentation.jsonl", tlsawild.Read[tlsawild.Text], func(_ int, r tlsawild.Text) sets.Result {
				res := sets.Result{Case: "presentation " + r.Text, Got: "malformed", Want: "malformed"}
				if r.Valid {
					res.Want = r.RData
				}
				if rec, err := dane.ParseRecord(r.Text); err == nil {
					res.Got = hex.EncodeToString(rec.AppendWire(nil))
				}
				return res
			})
		},
	)
}

func judgeWild(dir, name string, s tlsawild.Set) sets.Result {
	res := sets.Result{Case: name, Want: s.Verdict, Got: "fail"}
	text, err := os.ReadFile(filepath.Join(dir, filepath.Base(s.Chain)))
	if err != nil {
		return sets.Result{Case: name, Want: s.Verdict, Got: err.Error()}
	}
	certs, err := chain(tlsawild.Certificates(text))
	if err != nil || len(certs) == 0 {
		return sets.Result{Case: name, Want: s.Verdict, Got: "a chain that cannot be read"}
	}
	if s.DropLeaf {
		certs = certs[1:]
	}
	var records []dane.Record
	for _, r := range s.TLSA {
		data, err := hex.DecodeString(r.Data)
		if err != nil {
			return sets.Result{Case: name, Want: s.Verdict, Got: err.Error()}
		}
		records = append(records, dane.Record{Usage: dane.Usage(r.Usage), Selector: dane.Selector(r.Selector), MatchingType: dane.MatchingType(r.MType), Data: string(data)})
	}
	if _, err := dane.NewSet(records, dane.UsePolicy{}).Verify(dane.Peer{Chain: certs}, dane.Options{References: references(s.Host), At: wildTime}); err == nil {
		res.Got = "authenticated"
	}
	return res
}

// judgeGnuTLS compares with GnuTLS, which looks at no names. Records of usage 0 are judged
// by RFC 6698 with the issuer as their root; without it there is nothing to judge.
func judgeGnuTLS(r tlsawild.Row) sets.Result {
	res := sets.Result{Case: "gnutls " + r.Name, Want: "loads", Got: "loads"}
	if r.LoadResult != "0" {
		res.Want = "malformed"
	}
	rdata, err := r.Bytes()
	if err != nil {
		res.Got = err.Error()
		return res
	}
	var records []dane.Record
	for _, b := range rdata {
		rec, err := dane.RecordFromDNS(dnssec.Record{Type: dnssec.TypeTLSA, Data: b})
		if err != nil {
			res.Got = "malformed"
			return res
		}
		records = append(records, rec)
	}
	if r.Cert == "" || r.VerifyResult == nil || r.Status == nil {
		return res
	}
	certs, err := chain(tlsawild.Certificates([]byte(r.Cert + r.CA)))
	if err != nil || len(certs) == 0 {
		res.Got = "a chain that cannot be read"
		return res
	}
	judgeable := r.CA != ""
	for _, rec := range records {
		judgeable = judgeable || rec.Usage == dane.DANEEE
	}
	res.Want += sets.Word(*r.VerifyResult == "0" && *r.Status == "0", ", match", ", no match")
	o := dane.GenericOptions{Options: dane.Options{At: time.Unix(tlsawild.GnuTLSTime, 0)}, Roots: pkix.NewRoots(certs[1:]...)}
	if names := rfc6125.PresentedBy(certs[0]).Identifiers(); len(names) > 0 {
		o.References = references(concrete(names[0].Text))
	}
	_, err = dane.VerifyGeneric(records, dane.Peer{Chain: certs}, o)
	res.Got += sets.Word(judgeable && err == nil, ", match", ", no match")
	return res
}

// concrete makes a host that a presented name covers.
func concrete(name string) string {
	if len(name) > 2 && name[:2] == "*." {
		return "host" + name[1:]
	}
	return name
}
