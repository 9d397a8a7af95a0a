package anchor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/dnssec/anchor"
)

const (
	ds20326 = "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
	ds38696 = "683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16"
	// key20326 is the root's key-signing key of 2017.
	key20326 = "AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU="
)

func show(as []anchor.Anchor) []string {
	out := []string{}
	for _, a := range as {
		s := a.String()
		if !a.From.IsZero() || !a.Until.IsZero() {
			s += fmt.Sprintf(" %s..%s", a.From.Format("2006-01-02"), a.Until.Format("2006-01-02"))
		}
		out = append(out, s)
	}
	return out
}

func TestRoot(t *testing.T) {
	if d := cmp.Diff([]string{". DS 20326 8 2", ". DS 38696 8 2"}, show(anchor.Root())); d != "" {
		t.Error(d)
	}
	for i, h := range []string{ds20326, ds38696} {
		if got := fmt.Sprintf("%X", anchor.Root()[i].DS.Hash); got != h {
			t.Errorf("digest %s", got)
		}
	}
	k, err := anchor.Parse(strings.NewReader(". DNSKEY 257 3 8 " + key20326))
	if err != nil || !anchor.Root()[0].DS.Matches(k[0].Zone, *k[0].Key) {
		t.Errorf("the digest is not that of the key: %v", err)
	}
	if got := (anchor.Anchor{}).String(); got != "none" {
		t.Error(got)
	}
}

func TestParse(t *testing.T) {
	both := []string{". DS 20326 8 2", ". DNSKEY 20326 8"}
	for what, c := range map[string]struct {
		text string
		want []string
	}{
		"records":        {". 172800 IN DS 20326 8 2 " + ds20326 + "\n. IN DNSKEY 257 3 8 " + key20326, both},
		"comments":       {"; a\n# b\n// c\n. DS 20326 RSASHA256 SHA-256 " + ds20326 + " ; d\n\n.\tDNSKEY 257 3 RSASHA256 " + key20326 + " # e", both},
		"parentheses":    {". DS ( 20326 8 2\n " + ds20326[:32] + " ; half\n " + ds20326[32:] + " )\n. DNSKEY 257 3 8 (" + key20326 + ")", both},
		"quotes":         {`"." DS 20326 8 2 ` + ds20326, both[:1]},
		"case":           {". in ds 20326 8 2 " + strings.ToLower(ds20326), both[:1]},
		"BIND new":       {"trust-anchors {\n\t. initial-ds 20326 8 2 \"" + ds20326[:40] + " " + ds20326[40:] + "\";\n\t\".\" static-key 257 3 8 \"" + key20326 + "\";\n};\n", both},
		"BIND old":       {"trusted-keys { \".\" 257 3 8 \"" + key20326 + "\"; };", both[1:]},
		"BIND managed":   {"managed-keys {\n \".\" initial-key 257 3 8 \"" + key20326[:100] + "\n  " + key20326[100:] + "\";\n};", both[1:]},
		"other zones":    {"example.org. DS 1 13 2 " + ds20326 + "\nexample.com DS 2 13 2 " + ds20326, []string{"example.org DS 1 13 2", "example.com DS 2 13 2"}},
		"unknown digest": {". DS 1 250 99 00", []string{". DS 1 250 99"}},
		"mnemonics":      {". DS 1 ECDSAP256SHA256 SHA384 00\n. DS 1 ED25519 SHA1 00\n. DS 1 NSEC3RSASHA1 2 00\n. DS 1 RSASHA512 2 00\n. DS 1 ECDSAP384SHA384 2 00\n. DS 1 DSA 2 00\n. DS 1 RSAMD5 2 00\n. DS 1 RSASHA1 2 00\n. DS 1 DSA-NSEC3-SHA1 2 00", []string{". DS 1 13 4", ". DS 1 15 1", ". DS 1 7 2", ". DS 1 10 2", ". DS 1 14 2", ". DS 1 3 2", ". DS 1 1 2", ". DS 1 5 2", ". DS 1 6 2"}},
	} {
		got, err := anchor.Parse(strings.NewReader(c.text))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if d := cmp.Diff(c.want, show(got)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	for what, text := range map[string]string{
		"empty": "", "only comments": "; x\n", "another type": ". A 192.0.2.1", "another class": ". CH DS 1 8 2 00", "few fields": ". DS 1 8 2",
		"few fields of a key": ". DNSKEY 257 3 8", "no type": ". IN", "a bad name": "a..b DS 1 8 2 00", "a bad tag": ". DS 65536 8 2 00",
		"a bad algorithm": ". DS 1 256 2 00", "a bad digest": ". DS 1 8 X 00", "bad hex": ". DS 1 8 2 0", "no hex": `. DS 1 8 2 ""`, "bad base64": ". DNSKEY 257 3 8 !!",
		"bad flags": ". DNSKEY 65536 3 8 AAAA", "bad protocol": ". DNSKEY 257 256 8 AAAA", "parenthesis open": ". DS ( 1 8 2 00", "parenthesis too many": ". DS ) 1 8 2 00",
		"brace of nothing": "options { . initial-ds 1 8 2 \"00\"; };", "brace open": "trust-anchors { . initial-ds 1 8 2 \"00\";", "statement open": "trust-anchors { . initial-ds 1 8 2 \"00\" };",
		"too long": strings.Repeat("; \n", 1<<19), "too many": strings.Repeat(". DS 1 8 2 00\n", 1001),
	} {
		if got, err := anchor.Parse(strings.NewReader(text)); !errors.Is(err, anchor.ErrAnchor) || got != nil {
			t.Errorf("%s: %v, %v", what, show(got), err)
		}
	}
	if _, err := anchor.Parse(strings.NewReader("\n\n. A 1.2.3.4\n")); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%v", err)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(file, []byte(". DS 20326 8 2 "+ds20326), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := anchor.Load(file); err != nil || len(a) != 1 {
		t.Errorf("%v, %v", a, err)
	}
	t.Run("TA7958-4-01 what is no file is not fetched", func(t *testing.T) {
		for _, u := range []string{"http://data.iana.org/root-anchors/root-anchors.xml", "https://data.iana.org/x"} {
			if a, err := anchor.Load(u); !errors.Is(err, anchor.ErrAnchor) || !strings.Contains(err.Error(), "HTTPS") || a != nil {
				t.Errorf("%v, %v", a, err)
			}
		}
	})
	if _, err := anchor.Load(file + ".not"); !errors.Is(err, anchor.ErrAnchor) || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func xmlFile(extra string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<TrustAnchor id="x" source="http://data.iana.org/root-anchors/root-anchors.xml">
<Zone>.</Zone>
<KeyDigest id="a" validFrom="2010-07-15T00:00:00+00:00" validUntil="2019-01-11T00:00:00+00:00">
<KeyTag>19036</KeyTag><Algorithm>8</Algorithm><DigestType>2</DigestType>
<Digest>49AAC11D7B6F6446702E54A1607371607A1A41855200FD2CE1CDDE32F24E8FB5</Digest>
</KeyDigest>
<KeyDigest id="b" validFrom="2017-02-02T00:00:00+00:00">
<KeyTag>20326</KeyTag><Algorithm>8</Algorithm><DigestType>2</DigestType>
<Digest>` + ds20326 + `</Digest>` + extra + `
</KeyDigest>
</TrustAnchor>`
}

func TestXML(t *testing.T) {
	t.Run("TA7958-2.1.3-01 the fields give the DS", func(t *testing.T) {
		got, err := anchor.Parse(strings.NewReader(xmlFile("")))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{". DS 19036 8 2 2010-07-15..2019-01-11", ". DS 20326 8 2 2017-02-02..0001-01-01"}, show(got)); d != "" {
			t.Error(d)
		}
		if fmt.Sprintf("%X", got[1].DS.Hash) != ds20326 {
			t.Errorf("%X", got[1].DS.Hash)
		}
	})
	t.Run("TA7958-2.1.2-01 bounds of validity", func(t *testing.T) {
		got, err := anchor.Parse(strings.NewReader(xmlFile("")))
		if err != nil {
			t.Fatal(err)
		}
		for day, want := range map[string][2]bool{"2010-07-14": {false, false}, "2010-07-15": {true, false}, "2018-01-01": {true, true}, "2019-01-10": {true, true}, "2019-01-11": {false, true}, "2026-01-01": {false, true}} {
			now, err := time.Parse("2006-01-02", day)
			if err != nil {
				t.Fatal(err)
			}
			if got := [2]bool{got[0].ValidAt(now), got[1].ValidAt(now)}; got != want {
				t.Errorf("%s: %v", day, got)
			}
		}
	})
	t.Run("TA9718-SecCons-01 a digest that is not that of its public key", func(t *testing.T) {
		if _, err := anchor.Parse(strings.NewReader(xmlFile("<PublicKey>" + key20326 + "</PublicKey><Flags>257</Flags>"))); err != nil {
			t.Error(err)
		}
		if _, err := anchor.Parse(strings.NewReader(xmlFile("<PublicKey>" + key20326 + "</PublicKey>"))); err != nil {
			t.Error(err)
		}
		for _, bad := range []string{"<PublicKey>AwEAAaz/</PublicKey>", "<PublicKey>" + key20326 + "</PublicKey><Flags>256</Flags>", "<PublicKey>!</PublicKey>"} {
			if a, err := anchor.Parse(strings.NewReader(xmlFile(bad))); !errors.Is(err, anchor.ErrAnchor) || a != nil {
				t.Errorf("%s: %v, %v", bad, a, err)
			}
		}
	})
	for what, text := range map[string]string{
		"cut off":    xmlFile("")[:300],
		"other root": "<x></x>",
		"no anchor":  "<TrustAnchor><Zone>.</Zone></TrustAnchor>",
		"bad zone":   "<TrustAnchor><Zone>a..b</Zone></TrustAnchor>",
		"bad digest": strings.Replace(xmlFile(""), ds20326, "zz", 1),
		"no digest":  strings.Replace(xmlFile(""), ds20326, "", 1),
		"bad from":   strings.Replace(xmlFile(""), "2017-02-02T", "x", 1),
		"bad until":  strings.Replace(xmlFile(""), "2019-01-11T", "x", 1),
	} {
		if a, err := anchor.Parse(strings.NewReader(text)); !errors.Is(err, anchor.ErrAnchor) || a != nil {
			t.Errorf("%s: %v, %v", what, a, err)
		}
	}
}

// FuzzParse: what parses has anchors, each of one kind; nothing panics.
func FuzzParse(f *testing.F) {
	f.Add(". IN DS 20326 8 2 " + ds20326)
	f.Add("trust-anchors { . initial-key 257 3 8 \"AwEAAa==\"; };")
	f.Add(xmlFile(""))
	f.Add(". IN DNSKEY 257 3 8 AwEAAaz/ ;;state=2 [  VALID  ] ;;count=0 ;;lastchange=1502438004")
	f.Fuzz(func(t *testing.T, text string) {
		as, err := anchor.Parse(strings.NewReader(text))
		if (err == nil) != (len(as) > 0) {
			t.Fatalf("%d anchors, %v", len(as), err)
		}
		for _, a := range as {
			if !a.Zone.IsValid() || (a.DS == nil) == (a.Key == nil) {
				t.Errorf("%+v", a)
			}
		}
		s, err := anchor.ParseState(strings.NewReader(text))
		if err != nil {
			return
		}
		out, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		again, err := anchor.ParseState(strings.NewReader(string(out)))
		if err != nil || len(again.Keys) != len(s.Keys) || again.Zone != s.Zone {
			t.Errorf("%q reads back as %v: %v", out, again, err)
		}
	})
}

func TestLimits(t *testing.T) {
	broken := errors.New("broken")
	if a, err := anchor.Parse(iotest.ErrReader(broken)); !errors.Is(err, broken) || !errors.Is(err, anchor.ErrAnchor) || a != nil {
		t.Errorf("%v %v", a, err)
	}
	if s, err := anchor.ParseState(iotest.ErrReader(broken)); !errors.Is(err, broken) || len(s.Keys) != 0 {
		t.Errorf("%v %v", s, err)
	}
	digest := "<KeyDigest><KeyTag>1</KeyTag><Algorithm>8</Algorithm><DigestType>2</DigestType><Digest>00</Digest></KeyDigest>"
	for n, ok := range map[int]bool{1000: true, 1001: false} {
		a, err := anchor.Parse(strings.NewReader("<TrustAnchor><Zone>.</Zone>" + strings.Repeat(digest, n) + "</TrustAnchor>"))
		if (err == nil) != ok || (ok && len(a) != n) {
			t.Errorf("%d digests: %d, %v", n, len(a), err)
		}
	}
	key := newKey(t)
	line := func(rest string) string { return key.String() + " " + rest + "\n" }
	for text, want := range map[string]string{
		line(";;state=6"):                         "",
		line(";;state=5") + "\n \n":               "REMOVED",
		line(";;state=") + line(";;state=2"):      "",
		". A 192.0.2.1 ;;state=2":                 "",
		"a..b DNSKEY 257 3 8 AAAA ;;state=2":      "",
		"( ;;state=2":                             "",
		line(";;state=2 ;;lastchange=1999999999"): "VALID",
	} {
		s, err := anchor.ParseState(strings.NewReader(text))
		if got := states(s); got != want || (err == nil) != (want != "") {
			t.Errorf("%.60q: %q %v", text, got, err)
		}
		if want == "VALID" && s.Keys[0].Since.Unix() != 1999999999 {
			t.Errorf("since %s", s.Keys[0].Since)
		}
	}
	// A state follows DNSKEY anchors of its zone, a bounded number.
	own := anchorOf(t, key)
	other := own
	other.Zone = mustName(t, "test.")
	var many []anchor.Anchor
	for range 40 {
		many = append(many, own)
	}
	for what, c := range map[string]struct {
		in   []anchor.Anchor
		want int
	}{"own": {[]anchor.Anchor{own}, 1}, "another zone": {[]anchor.Anchor{other}, 0}, "digests": {anchor.Root(), 0}, "many": {many, 32}} {
		if got := len(anchor.NewState(rfc6125.RootName(), c.in, start).Keys); got != c.want {
			t.Errorf("%s: %d keys", what, got)
		}
	}
	if got := fmt.Sprint(anchor.Start, anchor.Status(99)); got != "START START" {
		t.Error(got)
	}
}

var mustName = nametest.Name
