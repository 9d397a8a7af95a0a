package proof_test

import (
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func p256() elliptic.Curve { return elliptic.P256() }

var name = nametest.Name

func key0(tb testing.TB, m *wire.Message) rfc6125.Name {
	tb.Helper()
	return m.Authority[0].Owner
}

func asn1Signature(tb testing.TB, sig []byte) []byte {
	tb.Helper()
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])})
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// signedOctets puts together what s signs, independently of the package.
func signedOctets(tb testing.TB, s *dns.RRSIG, set ...dns.RR) []byte {
	tb.Helper()
	head := dataOf(tb, s)
	raw, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil {
		tb.Fatal(err)
	}
	out := append([]byte(nil), head[:len(head)-len(raw)]...)
	for _, rr := range set {
		c := dns.Copy(rr)
		c.Header().Ttl = s.OrigTtl
		out = append(out, recordOf(tb, c)...)
	}
	return out
}

func recordOf(tb testing.TB, rr dns.RR) []byte {
	tb.Helper()
	buf := make([]byte, 4096)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		tb.Fatal(err)
	}
	return buf[:n]
}

// dataOf returns the RDATA of a record in wire form.
func dataOf(tb testing.TB, rr dns.RR) []byte {
	tb.Helper()
	_, rest, err := wire.NameAt(recordOf(tb, rr))
	if err != nil {
		tb.Fatal(err)
	}
	return rest[10:]
}

// record reads a line of a master file.
func record(tb testing.TB, line string) wire.RR {
	tb.Helper()
	rr, err := dns.NewRR(line)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := wire.Canonical(rr.Header().Rrtype, dataOf(tb, rr))
	if err != nil {
		tb.Fatal(err)
	}
	return wire.RR{Owner: name(tb, rr.Header().Name), Type: rr.Header().Rrtype, Class: 1, TTL: rr.Header().Ttl, Data: data}
}
