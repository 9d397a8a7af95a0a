package dane_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
)

func records(lines ...string) []dane.Record {
	out := make([]dane.Record, len(lines))
	for i, l := range lines {
		r, err := dane.ParseRecord(l)
		if err != nil {
			panic(err)
		}
		out[i] = r
	}
	return out
}

// verdicts prints which records of a set count, as a string of 'y' and 'n'.
func verdicts(s dane.Set) string {
	var b strings.Builder
	for _, u := range s.Uses() {
		if u.Usable != (u.Fault == dane.NoFault) {
			panic("usable with a reason, or unusable without one")
		}
		if u.Usable {
			b.WriteByte('y')
		} else {
			b.WriteByte('n')
		}
	}
	return b.String()
}

func TestUsable(t *testing.T) {
	const hex64 = hex32 + hex32
	w := newWorld(t)
	cert, spki := w.leaf.hexCert(), w.leaf.hexSPKI()
	for _, c := range []struct {
		name string
		p    dane.UsePolicy
		in   []string
		want string
		why  dane.Fault // of the first unusable record
	}{
		{"TLSA6698-6-01 every kind of usage 2 and 3", dane.UsePolicy{}, []string{
			"3 0 0 " + cert, "3 1 0 " + spki, "3 0 1 " + hex32, "3 1 1 " + hex32, "2 0 0 " + cert, "2 1 0 " + spki, "2 0 1 " + hex32, "2 1 1 " + hex32}, "yyyyyyyy", dane.NoFault},
		{"DANE7671-2-01 SHA2-512", dane.UsePolicy{}, []string{"3 0 2 " + hex64, "3 1 2 " + hex64, "2 0 2 " + hex64, "2 1 2 " + hex64}, "yyyy", dane.NoFault},
		{"DANE7672-3.1.3-01 PKIX-TA and PKIX-EE", dane.UsePolicy{}, []string{"0 0 1 " + hex32, "1 1 1 " + hex32, "0 1 2 " + hex64, "1 0 0 " + cert}, "nnnn", dane.FaultPKIXUsage},
		{"TLSA6698-4.1-04 unknown usages", dane.UsePolicy{}, []string{"4 1 1 " + hex32, "255 1 1 " + hex32}, "nn", dane.FaultUnknownUsage},
		{"TLSA6698-4.1-04 unknown selectors", dane.UsePolicy{}, []string{"3 2 1 " + hex32, "2 255 1 " + hex32}, "nn", dane.FaultUnknownSelector},
		{"TLSA6698-4.1-04 unknown matching types", dane.UsePolicy{}, []string{"3 1 3 " + hex32, "2 1 255 " + hex32}, "nn", dane.FaultUnknownMatching},
		{"TLSA6698-4.1-05 SHA2-256 of a wrong length", dane.UsePolicy{}, []string{"3 1 1 " + hex32[2:], "3 1 1 " + hex32 + "00", "3 1 1 00", `\# 3 030101`, "3 1 1 " + hex64}, "nnnnn", dane.FaultLength},
		{"TLSA6698-4.1-05 SHA2-512 of a wrong length", dane.UsePolicy{}, []string{"3 1 2 " + hex64[2:], "3 1 2 " + hex64 + "00", "3 1 2 " + hex32}, "nnn", dane.FaultLength},
		{"TLSA6698-4.1-05 Full data that is no certificate", dane.UsePolicy{}, []string{
			"3 0 0 " + cert[2:], "3 0 0 " + cert + "00", "3 0 0 00", "3 0 0 3000", "2 0 0 " + spki, "2 0 0 " + cert[:len(cert)-2], `\# 3 030000`, "2 0 0 " + hex32}, "nnnnnnnn", dane.FaultNotCert},
		{"TLSA6698-4.1-05 Full data that is no key", dane.UsePolicy{}, []string{
			"3 1 0 " + spki[2:], "3 1 0 " + spki + "00", "2 1 0 " + cert, "3 1 0 3000", "3 1 0 " + spki[:len(spki)-2], `\# 3 020100`, "2 1 0 " + hex32}, "nnnnnnn", dane.FaultNotKey},
		{"DANE7671-9-02 the stronger digest pushes out the weaker", dane.UsePolicy{}, []string{"3 1 1 " + hex32, "3 1 2 " + hex64, "3 1 0 " + spki}, "nyy", dane.FaultOutranked},
		{"DANE7671-9-02 per usage and selector", dane.UsePolicy{}, []string{"3 1 1 " + hex32, "3 0 2 " + hex64, "2 1 2 " + hex64, "2 0 1 " + hex32}, "yyyy", dane.NoFault},
		{"DANE7671-9-02 all of the strongest stay", dane.UsePolicy{}, []string{"3 1 2 " + hex64, "3 1 2 00" + hex64[2:], "3 1 1 " + hex32, "3 1 1 00" + hex32[2:]}, "yynn", dane.FaultOutranked},
		{"DANE7671-9-03 a malformed record pushes out nothing", dane.UsePolicy{}, []string{"3 1 2 " + hex64[2:], "3 1 1 " + hex32}, "ny", dane.FaultLength},
		{"DANE7671-9-03 nor does one of usage 1", dane.UsePolicy{}, []string{"1 1 2 " + hex64, "3 1 1 " + hex32, "0 1 2 " + hex64, "2 1 1 " + hex32}, "nyny", dane.FaultPKIXUsage},
		{"DANE7672-5-01 agility for SMTP", dane.UsePolicy{}, []string{"2 0 1 " + hex32, "2 0 2 " + hex64}, "ny", dane.FaultOutranked},
		{"DANE7671-9-01 the order can be changed", dane.UsePolicy{Strength: []dane.MatchingType{dane.SHA2_256, dane.SHA2_512}}, []string{"3 1 1 " + hex32, "3 1 2 " + hex64}, "yn", dane.FaultOutranked},
		{"DANE7671-9-01 SHA2-512 comes first by default", dane.UsePolicy{}, []string{"3 1 1 " + hex32, "3 1 2 " + hex64}, "ny", dane.FaultOutranked},
		{"TLSA6698-4.1-06 a digest that is switched off", dane.UsePolicy{Strength: []dane.MatchingType{dane.SHA2_512}}, []string{"3 1 1 " + hex32, "3 1 2 " + hex64, "3 1 0 " + spki}, "nyy", dane.FaultDigestOff},
		{"TLSA6698-4.1-06 all digests switched off", dane.UsePolicy{Strength: []dane.MatchingType{}}, []string{"3 1 1 " + hex32, "3 1 2 " + hex64, "3 1 0 " + spki}, "nny", dane.FaultDigestOff},
		{"TLSA6698-4.1-01 local policy forbids, and says why", dane.UsePolicy{Forbid: func(r dane.Record) string {
			if r.MatchingType == dane.SHA2_512 {
				return "not today"
			}
			return ""
		}}, []string{"3 1 1 " + hex32, "3 1 2 " + hex64}, "yn", dane.FaultForbidden},
		{"DANE7671-4-01 no policy lets usages 0 and 1 count", dane.UsePolicy{Forbid: func(dane.Record) string { return "" }, Strength: []dane.MatchingType{0, 1, 2}},
			[]string{"0 0 0 " + cert, "1 0 0 " + cert, "0 1 1 " + hex32, "1 1 1 " + hex32}, "nnnn", dane.FaultPKIXUsage},
		{"no records", dane.UsePolicy{}, nil, "", dane.NoFault},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := dane.NewSet(records(c.in...), c.p)
			if got := verdicts(s); got != c.want {
				t.Errorf("%s, want %s: %+v", got, c.want, s.Uses())
			}
			var first dane.RecordUse // that is not usable
			for i, u := range s.Uses() {
				if u.Record != records(c.in[i])[0] {
					t.Errorf("record %d is %s", i, u.Record)
				}
				if first.Fault == dane.NoFault {
					first = u
				}
				if stronger := u.Fault == dane.FaultOutranked; stronger && u.Record.MatchingType+u.Stronger != dane.SHA2_256+dane.SHA2_512 || !stronger && u.Stronger != 0 {
					t.Errorf("record %d is outranked by %s", i, u.Stronger)
				}
				if forbidden := u.Fault == dane.FaultForbidden; forbidden != (u.Local == "not today") {
					t.Errorf("record %d has the local reason %q", i, u.Local)
				}
			}
			if first.Fault != c.why {
				t.Errorf("fault %q, want %q", first.Fault, c.why)
			}
			if s.Len() != len(c.in) || len(s.Usable()) != strings.Count(c.want, "y") {
				t.Errorf("%d records, %d usable", s.Len(), len(s.Usable()))
			}
		})
	}
}

func TestUsableOrderAndQueries(t *testing.T) {
	s := dane.NewSet(records(ta, "0 0 1 "+hex32, ee, "3 0 1 "+hex32), dane.UsePolicy{})
	if got := s.Usable(); !slices.Equal(got, records(ee, "3 0 1 "+hex32, ta)) {
		t.Errorf("usable: %v", got)
	}
	for u, want := range map[dane.Usage]bool{dane.PKIXTA: false, dane.PKIXEE: false, dane.DANETA: true, dane.DANEEE: true, 9: false} {
		if s.HasUsage(u) != want {
			t.Errorf("HasUsage(%s) = %t", u, !want)
		}
	}
	if (dane.Set{}).HasUsage(dane.DANEEE) || (dane.Set{}).Len() != 0 || len((dane.Set{}).Uses()) != 0 {
		t.Error("the zero Set holds something")
	}
	uses := s.Uses()
	uses[0].Usable = false
	if !s.Uses()[0].Usable {
		t.Error("a Set can be changed from outside")
	}
}

func TestMaxRecords(t *testing.T) {
	many := slices.Repeat(records("0 0 1 "+hex32), dane.MaxRecords-1)
	many = append(many, records(ee, ta)...)
	u := dane.NewSet(many, dane.UsePolicy{}).Uses()
	if !u[dane.MaxRecords-1].Usable || u[dane.MaxRecords].Usable || u[dane.MaxRecords].Fault != dane.FaultTooMany {
		t.Errorf("%+v", u[dane.MaxRecords-1:])
	}
}

func TestSetFromDNS(t *testing.T) {
	good := records(ee)[0].AppendWire(nil)
	s := dane.NewSetFromDNS([]dnssec.Record{{Type: dnssec.TypeTLSA, Data: []byte{3}}, {Type: dnssec.TypeTLSA, Data: good}, {Type: dnssec.TypeA, Data: good}}, dane.UsePolicy{})
	u := s.Uses()
	if verdicts(s) != "nyn" || u[0].Record != (dane.Record{}) || u[0].Fault != dane.FaultMalformed || u[0].Octets != 1 || u[1].Record != records(ee)[0] {
		t.Errorf("%+v", u)
	}
}

func TestWantsRawKey(t *testing.T) {
	t.Run("DANE7671-5.1-01 a bare key can match 3 1 x alone", func(t *testing.T) {
		for line, want := range map[string]bool{ee: true, ta: false, "3 0 1 " + hex32: false, "1 1 1 " + hex32: false, "3 1 1 00": false, "3 1 2 " + hex32 + hex32: true} {
			if got := dane.NewSet(records(line), dane.UsePolicy{}).WantsRawKey(); got != want {
				t.Errorf("%s: %t", line, got)
			}
		}
		if !dane.NewSet(records(ta, "3 0 1 "+hex32, ee), dane.UsePolicy{}).WantsRawKey() {
			t.Error("a 3 1 1 among others is not seen")
		}
	})
}

// TestSetJSONFaults: what depends on the peer is no fault of a record of a plan, and an
// unknown word is no fault at all.
func TestSetJSONFaults(t *testing.T) {
	n := 0
	for f := dane.FaultOutranked + 1; f.String() != "invalid"; f++ {
		var s dane.Set
		err := json.Unmarshal(fmt.Appendf(nil, `[{"record":%q,"usable":false,"fault":%q}]`, ee, f), &s)
		if !errors.Is(err, dane.ErrRecord) || !strings.Contains(err.Error(), "depends on the peer") {
			t.Errorf("%s: %v", f, err)
		}
		n++
	}
	if n < 3 {
		t.Errorf("only %d faults depend on the peer", n)
	}
	f := dane.FaultOutranked
	if err := f.UnmarshalText([]byte("no-such-fault")); !errors.Is(err, dane.ErrRecord) || f != dane.FaultOutranked {
		t.Errorf("%v, %s", err, f)
	}
}

func TestSetJSON(t *testing.T) {
	s := dane.NewSet(records("0 0 1 "+hex32, ee, "3 1 2 "+hex32+hex32, ta), dane.UsePolicy{Forbid: func(r dane.Record) string {
		if r.Usage == dane.DANETA {
			return "policy"
		}
		return ""
	}})
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back dane.Set
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.Uses(), s.Uses()) || !slices.Equal(back.Usable(), s.Usable()) {
		t.Errorf("%s reads back as %+v", b, back.Uses())
	}
	if again, _ := json.Marshal(back); string(again) != string(b) {
		t.Errorf("%s is written again as %s", b, again)
	}
	if b, _ := json.Marshal(dane.Set{}); string(b) != "[]" {
		t.Errorf("the zero Set is %s", b)
	}
	for _, bad := range []string{
		`[{"record":"0 0 1 ` + hex32 + `","usable":true}]`,
		`[{"record":"3 1 1 00","usable":true}]`,
		`[{"record":"` + ee + `","usable":true,"fault":"not-key"}]`,
		`[{"record":"` + ee + `","usable":false,"fault":"x"}]`,
		`[{"record":"` + ee + `","usable":false,"fault":"not-tried"}]`,
		`[{"record":"` + ee + `","usable":false}]`,
		`[{"record":"x","usable":false,"fault":"not-key"}]`,
		`{}`,
	} {
		got := back
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s reads as %+v", bad, got.Uses())
		}
	}
	var many []string
	for range dane.MaxRecords + 1 {
		many = append(many, `{"record":"`+ee+`","usable":true}`)
	}
	if err := json.Unmarshal([]byte("["+strings.Join(many, ",")+"]"), &back); err == nil {
		t.Error("more usable records than a set may have")
	}
	if err := json.Unmarshal([]byte("["+strings.Join(many[1:], ",")+"]"), &back); err != nil {
		t.Errorf("as many as it may have: %v", err)
	}
}
