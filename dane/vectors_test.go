package dane_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/sets/setstest"
	"github.com/mxauth/mxauth/conformance/sets/tlsa"
	"github.com/mxauth/mxauth/conformance/vectors"
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

func TestDanetest(t *testing.T) { setstest.Run(t, "danetest", tlsa.Danetest) }

func TestTLSAWild(t *testing.T) { setstest.Run(t, "tlsa-wild", tlsa.Wild) }

// TestTLSAWildCertificates: each record of a published set matches at the places of the
// chain that its row names, by DANE-EE and a chain of that one certificate; and the DANE-TA
// records alone hold inside the dates of the chain only.
func TestTLSAWildCertificates(t *testing.T) {
	sets, err := tlsawild.Read[tlsawild.Set](bytes.NewReader(vectorFile(t, "tlsa-wild", "tlsa.jsonl")))
	if err != nil || len(sets) == 0 {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	for i, s := range sets {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			chain := parseAll(t, tlsawild.Certificates(vectorFile(t, "tlsa-wild", s.Chain)))
			var tas []dane.Record
			for _, r := range s.TLSA {
				b, err := hex.DecodeString(r.Data)
				if err != nil {
					t.Fatal(err)
				}
				rec := dane.Record{dane.Usage(r.Usage), dane.Selector(r.Selector), dane.MatchingType(r.MType), string(b)}
				if rec.Usage == dane.DANETA {
					tas = append(tas, rec)
				}
				rec.Usage = dane.DANEEE
				for n, c := range chain {
					_, err := set(rec).Verify(dane.Peer{Chain: []*x509.Certificate{c}}, dane.Options{})
					if want := slices.Contains(r.Matches, n); (err == nil) != want {
						t.Errorf("%s and certificate %d: %v", rec.Numbers(), n, err)
					}
				}
			}
			if s.DropLeaf || len(tas) == 0 {
				return
			}
			o := dane.Options{References: refs(s.Host), At: time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)}
			if _, err := set(tas...).Verify(dane.Peer{Chain: chain}, o); err != nil {
				t.Errorf("DANE-TA alone: %v", err)
			}
			o.At = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			if _, err := set(tas...).Verify(dane.Peer{Chain: chain}, o); !errors.Is(err, pkix.ErrExpired) {
				t.Errorf("DANE-TA alone, too late: %v", err)
			}
		})
	}
}
