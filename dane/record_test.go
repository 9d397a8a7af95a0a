package dane_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
)

func TestRecordFromWire(t *testing.T) {
	t.Run("TLSA6698-2.1-01 short RDATA is malformed", func(t *testing.T) {
		for n := 0; n < 3; n++ {
			if _, err := dane.RecordFromWire(make([]byte, n)); !errors.Is(err, dane.ErrRecord) {
				t.Errorf("%d octets: %v", n, err)
			}
		}
		r, err := dane.RecordFromWire([]byte{3, 1, 0})
		if err != nil || r != (dane.Record{Usage: 3, Selector: 1}) {
			t.Errorf("3 octets: %+v, %v", r, err)
		}
		if dane.NewSet([]dane.Record{r}, dane.UsePolicy{}).Uses()[0].Usable {
			t.Error("a record without data is usable")
		}
		r, err = dane.RecordFromWire([]byte{3, 1, 2, 0xab})
		if want := (dane.Record{3, 1, 2, "\xab"}); err != nil || r != want {
			t.Errorf("4 octets: %+v, %v", r, err)
		}
	})
	if _, err := dane.RecordFromWire(make([]byte, 65535)); err != nil {
		t.Errorf("the longest RDATA: %v", err)
	}
	if _, err := dane.RecordFromWire(make([]byte, 65536)); !errors.Is(err, dane.ErrRecord) {
		t.Errorf("longer than RDATA can be: %v", err)
	}
	if _, err := dane.RecordFromDNS(dnssec.Record{Type: dnssec.TypeTXT, Data: []byte{3, 1, 1, 0}}); !errors.Is(err, dane.ErrRecord) {
		t.Errorf("a TXT record: %v", err)
	}
	r, err := dane.RecordFromDNS(dnssec.Record{Type: dnssec.TypeTLSA, Data: []byte{255, 254, 253, 1, 2}})
	if want := (dane.Record{255, 254, 253, "\x01\x02"}); err != nil || r != want {
		t.Errorf("%+v, %v", r, err)
	}
	if got := string(r.AppendWire([]byte("x"))); got != "x\xff\xfe\xfd\x01\x02" {
		t.Errorf("AppendWire: %x", got)
	}
}

func TestParseRecord(t *testing.T) {
	for in, want := range map[string]string{ // RDATA in hex
		"3 1 1 ab":                          "030101ab",
		" 3\t1 1 AB cD\n":                   "030101abcd",
		"3 1 1 a b":                         "030101ab",
		"DANE-EE SPKI SHA2-256 00":          "03010100",
		"dane-ta cert full 00":              "02000000",
		"PKIX-TA 0 SHA2-512 00":             "00000200",
		"pkix-ee 0 0 00":                    "01000000",
		"PrivCert PrivSel PrivMatch 00":     "ffffff00",
		"255 255 255 00":                    "ffffff00",
		"TLSA 3 1 1 ( ab\n\t\tcd )":         "030101abcd",
		"(3 1 1 ab)":                        "030101ab",
		"tlsa DANE-EE 1 1 00":               "03010100",
		"type52 3 1 1 00":                   "03010100",
		`\# 4 03010100`:                     "03010100",
		`TLSA \# 4 0301 0100`:               "03010100",
		`TYPE52 \# 3 030101`:                "030101",
		"007 001 000 00":                    "07010000",
		"3 1 0 " + strings.Repeat("ab", 99): "030100" + strings.Repeat("ab", 99),
	} {
		r, err := dane.ParseRecord(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := hex.EncodeToString(r.AppendWire(nil)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{
		"", "TLSA", "TLSA TLSA 3 1 1 00", "3", "3 1", "3 1 1", "256 1 1 00", "3 256 1 00", "3 1 256 00", "-1 1 1 00", "+3 1 1 00", "3 +1 1 00", "3 1 +1 00",
		"3 1 1 0", "3 1 1 0g", "3 1 1 00 0", "SPKI 1 1 00", "3 SHA2-256 1 00", "3 1 SPKI 00", "DANE-EE", "3 1 1 (00", "3 1 1 00)", "3 1 1 ((00))", "3 1 1 ((00)", "3 1 1 )00(",
		`\#`, `\# 0`, `\# x 030101`, `\# +4 03010100`, `\# 5 03010100`, `\# 3 03010100`, `\# 2 0301`, `\# 4 0301010`, `\# 65536 00`, "TXT 3 1 1 00",
		"3 1 1 \u00a000", "3 1 1 " + strings.Repeat("00", 65536), `\# 65535 ` + strings.Repeat("00", 65536),
	} {
		r, err := dane.ParseRecord(in)
		if !errors.Is(err, dane.ErrRecord) {
			t.Errorf("%.60q: %v", in, err)
		}
		if r != (dane.Record{}) {
			t.Errorf("%.60q: an error and %+v", in, r)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.60q: a message of %d octets", in, len(err.Error()))
		}
	}
	for in, want := range map[string]string{ // which rule is broken
		"3 1 1 (00":     "opened and not closed",
		"3 1 1 00)":     "closed and not opened",
		"3 1 1 ((00)":   "parentheses in parentheses",
		`\# x 030101`:   `with the length "x"`,
		`\#`:            "without a length",
		`\# 4 0301010`:  "not an even number of hex digits",
		`\# 5 03010100`: "says 5 octets, and 4 follow",
		"3 1 1":         "lacks one of the four parts",
		"256 1 1 00":    `usage "256"`,
		"3 256 1 00":    `selector "256"`,
		"3 1 256 00":    `matching type "256"`,
		"3 1 1 0":       "not an even number of hex digits",
		`\# 65535 ` + strings.Repeat("00", 65536): "more than RDATA holds",
		"3 1 1 " + strings.Repeat("z", 80):        `"` + strings.Repeat("z", 80) + `" is`,
		"3 1 1 " + strings.Repeat("z", 81):        `"` + strings.Repeat("z", 80) + `..." is`,
	} {
		if _, err := dane.ParseRecord(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", in, err, want)
		}
	}
	if _, err := dane.ParseRecord("3 1 0 " + strings.Repeat("00", 65532)); err != nil {
		t.Errorf("the longest data: %v", err)
	}
	if _, err := dane.ParseRecord("3 1 0 " + strings.Repeat("00", 65533)); !errors.Is(err, dane.ErrRecord) {
		t.Errorf("data of 65533 octets: %v", err)
	}
}

func TestRecordPrints(t *testing.T) {
	r := dane.Record{3, 1, 1, "\xab\x01"}
	for _, c := range []struct{ got, want string }{
		{r.String(), "3 1 1 ab01"},
		{r.Mnemonic(), "DANE-EE SPKI SHA2-256 ab01"},
		{r.Generic(), `\# 5 030101ab01`},
		{r.Numbers(), "3 1 1"},
		{dane.Record{0, 0, 0, "\x00"}.Mnemonic(), "PKIX-TA Cert Full 00"},
		{dane.Record{1, 255, 2, "\x00"}.Mnemonic(), "PKIX-EE PrivSel SHA2-512 00"},
		{dane.Record{2, 2, 3, "\x00"}.Mnemonic(), "DANE-TA 2 3 00"},
		{dane.Record{255, 7, 255, "\x00"}.Mnemonic(), "PrivCert 7 PrivMatch 00"},
		{dane.Record{3, 1, 1, ""}.String(), `\# 3 030101`},
		{dane.Record{200, 0, 0, "\x01"}.String(), "200 0 0 01"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	b, err := json.Marshal(r)
	if err != nil || string(b) != `"3 1 1 ab01"` {
		t.Fatalf("%s, %v", b, err)
	}
	var back dane.Record
	if err := json.Unmarshal(b, &back); err != nil || back != r {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`"3 1"`), &back); !errors.Is(err, dane.ErrRecord) || back != r {
		t.Errorf("a bad record: %v, %v", back, err)
	}
}

func FuzzRecordText(f *testing.F) {
	for _, s := range []string{"3 1 1 ab", `\# 4 03010100`, "TLSA DANE-TA Cert Full (00)", "255 255 255 00", "TYPE52 \\# 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := dane.ParseRecord(s)
		if err != nil {
			if r != (dane.Record{}) || !errors.Is(err, dane.ErrRecord) {
				t.Fatalf("%q: %+v beside %v", s, r, err)
			}
			return
		}
		for _, form := range []string{r.String(), r.Generic(), "TLSA " + r.String()} {
			if back, err := dane.ParseRecord(form); err != nil || back != r {
				t.Fatalf("%q printed as %q reads back as %+v, %v", s, form, back, err)
			}
		}
		if r.Data != "" {
			if back, err := dane.ParseRecord(r.Mnemonic()); err != nil || back != r {
				t.Fatalf("%q reads back as %+v, %v", r.Mnemonic(), back, err)
			}
		}
	})
}

func FuzzRecordWire(f *testing.F) {
	f.Add([]byte{3, 1, 1, 0xab})
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := dane.RecordFromWire(b)
		if err != nil {
			if r != (dane.Record{}) || len(b) >= 3 && len(b) <= 65535 {
				t.Fatalf("%x: %+v beside %v", b, r, err)
			}
			return
		}
		if string(r.AppendWire(nil)) != string(b) {
			t.Fatalf("%x is packed as %x", b, r.AppendWire(nil))
		}
		if back, err := dane.ParseRecord(r.String()); err != nil || back != r {
			t.Fatalf("%x printed as %q reads back as %+v, %v", b, r, back, err)
		}
		if s := dane.NewSet([]dane.Record{r}, dane.UsePolicy{}); s.HasUsage(dane.PKIXTA) || s.HasUsage(dane.PKIXEE) || len(s.Usable()) > 0 && len(r.Data) == 0 {
			t.Fatalf("%x is usable", b)
		}
	})
}

func TestPresentation(t *testing.T) {
	t.Run("TLSA6698-2.2-01 three decimals and hexadecimal data in which blanks are allowed", func(t *testing.T) {
		want := dane.Record{Usage: 3, Selector: 1, MatchingType: 1, Data: "\xab\xcd\xef"}
		for _, s := range []string{"3 1 1 abcdef", "3 1 1 AB CD ef", "3 1 1 a b c d e f", "  3\t1 1 abc def "} {
			if r, err := dane.ParseRecord(s); err != nil || r != want {
				t.Errorf("%q: %v, %v", s, r, err)
			}
		}
		if got := want.String(); got != "3 1 1 abcdef" {
			t.Errorf("printed as %q", got)
		}
		for _, s := range []string{"256 1 1 ab", "3 1 ab", "3 1 1 abc", "3 1 1 xy", "-1 1 1 ab", "3 1 1"} {
			if _, err := dane.ParseRecord(s); !errors.Is(err, dane.ErrRecord) {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
}
