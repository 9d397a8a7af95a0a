package dane_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/danetest"
	"github.com/mxauth/mxauth/conformance/vectors/tlsawild"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/pkix"
)

// vectorFile reads one file of a set.
func vectorFile(t *testing.T, set, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectors.Dir(t, set), file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseAll(t *testing.T, ders [][]byte) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// vectorTime is inside the dates of the issuers of danetest, which end in 2116 and
// 3015.
var vectorTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestDanetest(t *testing.T) {
	rows, err := danetest.ReadExpect(bytes.NewReader(vectorFile(t, "danetest", "expect.jsonl")))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]danetest.Block{}
	roots := map[string]*pkix.Roots{}
	for file, root := range map[string]string{"danetest.in": "danetest.pem", "dane-cross.in": "cross-root.pem"} {
		b, err := danetest.Read(bytes.NewReader(vectorFile(t, "danetest", file)))
		if err != nil {
			t.Fatal(err)
		}
		blocks[file] = b
		roots[file] = pkix.NewRoots(parseAll(t, tlsawild.Certificates(vectorFile(t, "danetest", root)))...)
	}
	if len(rows) == 0 || len(rows) != len(blocks["danetest.in"])+len(blocks["dane-cross.in"]) {
		t.Fatalf("%d rows for %d and %d blocks", len(rows), len(blocks["danetest.in"]), len(blocks["dane-cross.in"]))
	}
	for _, row := range rows {
		b := blocks[row.File][row.Case-1]
		if b.Number != row.Case || len(b.Records) != len(row.TLSA) || len(b.Chain) != row.Certs || b.Depth != row.MatchDepth || b.Result != row.OpenSSLError || b.NoNameChecks != row.NoEENameChecks {
			t.Fatalf("%s %d: the row is not about its block", row.File, row.Case)
		}
		var rs []dane.Record
		for _, r := range b.Records {
			rs = append(rs, dane.Record{dane.Usage(r.Usage), dane.Selector(r.Selector), dane.MatchingType(r.MatchingType), string(r.Data)})
		}
		p := dane.Peer{Chain: parseAll(t, b.Chain)}
		o := dane.Options{References: refs(row.BaseDomain), At: vectorTime}

		t.Run(fmt.Sprintf("%s/%d/smtp", row.File, row.Case), func(t *testing.T) {
			s := set(rs...)
			res, err := s.Verify(p, o)
			got := danetest.Authenticated
			switch {
			case errors.Is(err, dane.ErrNoUsable):
				got = danetest.Unusable
			case err != nil:
				got = danetest.Fail
			}
			if got != row.SMTP {
				t.Errorf("%s (%v), want %s", got, err, row.SMTP)
			}
			want := row.MatchDepth
			if row.SMTP == danetest.Unusable {
				want = -1
			}
			if res.Depth != want {
				t.Errorf("depth %d, want %d", res.Depth, want)
			}
		})
		t.Run(fmt.Sprintf("%s/%d/generic", row.File, row.Case), func(t *testing.T) {
			res, err := dane.VerifyGeneric(rs, p, dane.GenericOptions{Options: o, Roots: roots[row.File], EENames: !row.NoEENameChecks})
			got := danetest.Match
			switch {
			case errors.Is(err, dane.ErrName):
				got = danetest.GenericName
			case errors.Is(err, dane.ErrPath):
				got = danetest.ChainIncomplete
			case err != nil:
				got = danetest.GenericNoMatch
			}
			if got != row.Generic || res.Depth != row.MatchDepth {
				t.Errorf("%s at depth %d (%v), want %s at %d", got, res.Depth, err, row.Generic, row.MatchDepth)
			}
		})
	}
}

func TestTLSAWild(t *testing.T) {
	sets, err := tlsawild.Read[tlsawild.Set](bytes.NewReader(vectorFile(t, "tlsa-wild", "tlsa.jsonl")))
	if err != nil || len(sets) == 0 {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	for i, s := range sets {
		t.Run(fmt.Sprintf("tlsa/%d", i+1), func(t *testing.T) {
			p := dane.Peer{Chain: parseAll(t, tlsawild.Certificates(vectorFile(t, "tlsa-wild", s.Chain)))}
			full := p.Chain
			if s.DropLeaf {
				p.Chain = p.Chain[1:]
			}
			var rs []dane.Record
			for _, r := range s.TLSA {
				b, err := hex.DecodeString(r.Data)
				if err != nil {
					t.Fatal(err)
				}
				rec := dane.Record{dane.Usage(r.Usage), dane.Selector(r.Selector), dane.MatchingType(r.MType), string(b)}
				rs = append(rs, rec)
				// The row tells at which places of the chain the data matches; DANE-EE
				// with a chain of that one certificate must see the same.
				rec.Usage = dane.DANEEE
				for n, c := range full {
					_, err := set(rec).Verify(dane.Peer{Chain: []*x509.Certificate{c}}, dane.Options{})
					if want := containsInt(r.Matches, n); (err == nil) != want {
						t.Errorf("%s and certificate %d: %v", rec.Numbers(), n, err)
					}
				}
			}
			o := dane.Options{References: refs(s.Host), At: time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)}
			_, err := set(rs...).Verify(p, o)
			if want := s.Verdict == "authenticated"; (err == nil) != want {
				t.Errorf("%v, want %s (%s)", err, s.Verdict, s.Note)
			}
			if s.DropLeaf {
				return
			}
			// DANE-TA alone: good inside the dates, not after them.
			var tas []dane.Record
			for _, r := range rs {
				if r.Usage == dane.DANETA {
					tas = append(tas, r)
				}
			}
			if len(tas) == 0 {
				return
			}
			if _, err := set(tas...).Verify(p, o); err != nil {
				t.Errorf("DANE-TA alone: %v", err)
			}
			o.At = vectorTime
			if _, err := set(tas...).Verify(p, o); !errors.Is(err, pkix.ErrExpired) {
				t.Errorf("DANE-TA alone, too late: %v", err)
			}
		})
	}

	rows, err := tlsawild.Read[tlsawild.Row](bytes.NewReader(vectorFile(t, "tlsa-wild", "gnutls.jsonl")))
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		t.Run("gnutls/"+row.Name, func(t *testing.T) {
			rdata, err := row.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			var rs []dane.Record
			for _, b := range rdata {
				r, err := dane.RecordFromWire(b)
				if (err == nil) != (row.LoadResult == "0") {
					t.Errorf("%x: %v, want %s", b, err, row.LoadResult)
				}
				rs = append(rs, r)
			}
			if row.Cert == "" {
				return
			}
			p := dane.Peer{Chain: parseAll(t, tlsawild.Certificates([]byte(row.Cert+row.CA)))}
			checkGnuTLS(t, row, rs, p)
		})
	}

	texts, err := tlsawild.Read[tlsawild.Text](bytes.NewReader(vectorFile(t, "tlsa-wild", "presentation.jsonl")))
	if err != nil || len(texts) == 0 {
		t.Fatalf("%d rows, %v", len(texts), err)
	}
	for _, row := range texts {
		t.Run("presentation/"+row.Text, func(t *testing.T) {
			r, err := dane.ParseRecord(row.Text)
			if (err == nil) != row.Valid {
				t.Fatalf("%v, want valid %t", err, row.Valid)
			}
			if got := hex.EncodeToString(r.AppendWire(nil)); row.Valid && got != row.RData {
				t.Errorf("%s, want %s", got, row.RData)
			}
		})
	}
}

// checkGnuTLS compares with GnuTLS's verdict, which looks at no names. A row without
// records that GnuTLS could judge from the chain has the DANE-EE verdict "no match"
// here, and usage 0 is not usable for SMTP: then the generic verdict of usage 0, with
// the issuer as its root, is compared.
func checkGnuTLS(t *testing.T, row tlsawild.Row, rs []dane.Record, p dane.Peer) {
	at := time.Unix(tlsawild.GnuTLSTime, 0)
	match := *row.VerifyResult == "0" && *row.Status == "0"
	s := set(rs...)
	switch {
	case s.HasUsage(dane.DANEEE):
		_, err := s.Verify(p, dane.Options{At: at})
		if match != (err == nil) {
			// GnuTLS is content with the usage 0 record of a mixed set, which SMTP drops.
			if row.CA == "" || !errors.Is(err, dane.ErrNoMatch) {
				t.Errorf("%v, want %s", err, *row.Status)
			}
		}
	default:
		if _, err := s.Verify(p, dane.Options{At: at}); !errors.Is(err, dane.ErrNoUsable) {
			t.Errorf("usage 0 alone: %v", err)
		}
	}
	if row.CA == "" {
		return
	}
	cert := p.Chain[0]
	o := dane.GenericOptions{Options: dane.Options{At: at, References: refs("x." + cert.DNSNames[0][2:])}, Roots: pkix.NewRoots(p.Chain[1:]...)}
	if _, err := dane.VerifyGeneric(rs, p, o); match != (err == nil) {
		t.Errorf("generic: %v, want %s", err, *row.Status)
	}
}

func containsInt(s []int, n int) bool {
	for _, v := range s {
		if v == n {
			return true
		}
	}
	return false
}
