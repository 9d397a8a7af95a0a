package explain_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/pkix"
)

// TestRecordUse gives a set one record of each fault and reads the clauses.
func TestRecordUse(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	parse := func(s string) dane.Record {
		r, err := dane.ParseRecord(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	forbid := func(r dane.Record) string {
		if r.Usage == dane.DANETA {
			return "no authorities"
		}
		return ""
	}
	seen := map[dane.Fault]bool{dane.NoFault: true, dane.FaultMalformed: true, dane.FaultTooMany: true, dane.FaultDigestOff: true} // the three are below
	for line, want := range map[string]string{
		"1 1 1 " + digest: "usage PKIX-EE is not used for SMTP (RFC 7672 section 3.1.3)",
		"4 1 1 " + digest: "unknown usage 4",
		"3 2 1 " + digest: "unknown selector 2",
		"3 1 3 " + digest: "unknown matching type 3",
		"3 1 1 e3b0":      "SHA2-256 data of 2 octets, not 32",
		"3 1 2 " + digest: "SHA2-512 data of 32 octets, not 64",
		"3 0 0 00":        "Full data is not a certificate",
		"3 1 0 00":        "Full data is not a SubjectPublicKeyInfo",
		"2 1 1 " + digest: "forbidden by local policy: no authorities",
		"3 1 1 " + digest: "a record with the stronger digest SHA2-512 is present (RFC 7671 section 9)",
		`\# 3 030101`:     "SHA2-256 data of 0 octets, not 32",
	} {
		s := dane.NewSet([]dane.Record{parse(line), parse("3 1 2 " + digest + digest)}, dane.UsePolicy{Forbid: forbid})
		u := s.Uses()[0]
		seen[u.Fault] = true
		if got := explain.RecordUse(u); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
		// A trace says the same of a record that is not usable.
		res, _ := s.Verify(dane.Peer{}, dane.Options{})
		if got := explain.RecordResult(s, 0, res.Trace[0]); got != want {
			t.Errorf("%s in a trace: %q, want %q", line, got, want)
		}
	}
	for f := dane.NoFault; f <= dane.FaultOutranked; f++ {
		if !seen[f] {
			t.Errorf("no record has the fault %s", f)
		}
	}
	for u, want := range map[dane.RecordUse]string{
		{Fault: dane.FaultMalformed, Octets: 2}:                                        "not a TLSA record: RDATA of 2 octets, shorter than its three numbers",
		{Fault: dane.FaultTooMany}:                                                     fmt.Sprintf("more than %d records", dane.MaxRecords),
		{Fault: dane.FaultDigestOff, Record: dane.Record{MatchingType: dane.SHA2_512}}: "digest SHA2-512 is switched off by local policy",
		{Usable: true}: "",
	} {
		if got := explain.RecordUse(u); got != want {
			t.Errorf("%s: %q, want %q", u.Fault, got, want)
		}
	}
	if _, err := dane.RecordFromDNS(dnssec.Record{Type: dnssec.TypeTLSA, Data: []byte{1, 2}}); err == nil || !strings.HasSuffix(err.Error(), explain.RecordUse(dane.RecordUse{Fault: dane.FaultMalformed, Octets: 2})) {
		t.Errorf("package dane says otherwise: %v", err)
	}
}

// TestRecordResult: each fault of a comparison has a clause of its own.
func TestRecordResult(t *testing.T) {
	weak := fmt.Errorf("%w: %w: %w", dane.ErrKey, pkix.ErrKey, &pkix.KeyError{Bits: 512})
	long := fmt.Errorf("%w: %w", dane.ErrPath, fmt.Errorf("%w: %s", pkix.ErrExpired, bytes.Repeat([]byte("x"), 1000)))
	clauses := map[string]dane.Fault{}
	for f := dane.FaultNoMatch; f <= dane.FaultKey; f++ {
		r := dane.RecordResult{Fault: f}
		switch f {
		case dane.FaultPath:
			r.Err = long
		case dane.FaultKey:
			r.Err = weak
		}
		got := explain.RecordResult(dane.Set{}, 0, r)
		if other, twice := clauses[got]; twice || got == "" || got == f.String() {
			t.Errorf("%s: %q, as %s", f, got, other)
		}
		clauses[got] = f
	}
	for got, f := range clauses {
		switch f {
		case dane.FaultKey:
			if got != "matches, and the key is not accepted: an RSA key of 512 bits, fewer than 1023" {
				t.Errorf("key: %q", got)
			}
		case dane.FaultPath:
			if !strings.HasPrefix(got, pkix.ErrExpired.Error()) || len(got) > 310 {
				t.Errorf("path: %q", got)
			}
		case dane.FaultLeaf:
			if got != "matches the server's own certificate, which is not self-signed and so no authority" {
				t.Errorf("leaf: %q", got)
			}
		}
	}
	if got := explain.RecordResult(dane.Set{}, 0, dane.RecordResult{OK: true}); got != "" {
		t.Errorf("a record that authenticates: %q", got)
	}
}
