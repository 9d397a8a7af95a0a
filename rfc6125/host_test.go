package rfc6125_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"
)

var mustHost = nametest.Host

// fromDNS makes a Host as from an MX record.
func fromDNS(t testing.TB, s string) rfc6125.Host {
	t.Helper()
	h, err := rfc6125.HostFromName(mustName(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// punycode encodes a label that need not be valid.
func punycode(u string) string {
	a, err := idna.Punycode.ToASCII(u)
	if err != nil {
		panic(err)
	}
	return a
}

func refused(t *testing.T, in ...string) {
	t.Helper()
	for _, s := range in {
		if h, err := rfc6125.ParseHost(s); !errors.Is(err, rfc6125.ErrHost) || h.IsValid() {
			t.Errorf("ParseHost(%+q): %q, %v", s, h, err)
		}
	}
}

func parses(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if h, err := rfc6125.ParseHost(pairs[i]); err != nil || h.String() != pairs[i+1] {
			t.Errorf("ParseHost(%+q): %q, %v; want %q", pairs[i], h, err, pairs[i+1])
		}
	}
}

func TestParseHost(t *testing.T) {
	parses(t,
		"example.org", "example.org", "Example.ORG.", "example.org", "mx", "mx", "a.b.c.d.e", "a.b.c.d.e",
		"a_b.example", "a_b.example", "_dmarc.example", "_dmarc.example", "_.a", "_.a",
		"3com.example", "3com.example", "1.2.3.a", "1.2.3.a", "x.1a", "x.1a",
		longest, longest, longest+".", longest,
		"bücher.example", "xn--bcher-kva.example", "BÜCHER.example", "xn--bcher-kva.example",
		"mx。example．org｡", "mx.example.org", "ｍｘ.example", "mx.example",
		"faß.example", "xn--fa-hia.example", "a_b.bücher.example", "a_b.xn--bcher-kva.example",
		"☕.example", "xn--53h.example",
	)
	refused(t,
		"", ".", "..", ".a", "a..", "a..b", "。", "。。", "a。。b", "bü..cher", ".bü", "bü。。", "bücher。.",
		"a b", " a", "a ", "a\t", "a\x00b", "a\n", "mx.example.org:25", "https://mx.example", "a/b", "a,b", "a@b", "*.example", "*",
		"user@bücher.example", "bü*.example", "bü_cher.example", "a%62.example", "\xff.example", "b\xc3.example",
		"1", "a.1", "example.123", "１２", label(64), "a."+label(64)+".b", longest+"a", "a."+longest,
		strings.Repeat("ü", 60)+".example", strings.Repeat("ü.", 80)+"example",
		strings.Repeat("a\u00ad", 400), // shorter than 253 octets once mapped, but not for us to find out
	)
	var z rfc6125.Host
	if z.IsValid() || z.String() != "" || z.Unicode() != "" || z.Name().IsValid() || z.Hints() != 0 {
		t.Error("the zero Host is something")
	}
}

func TestParseHostLimits(t *testing.T) {
	// 63 octets as an A-label and 64.
	ok := strings.Repeat("ü", 55)
	for h, err := rfc6125.ParseHost(ok); err == nil; h, err = rfc6125.ParseHost(ok) {
		if n := len(h.String()); n > 63 {
			t.Fatalf("an A-label of %d octets", n)
		}
		ok += "ü"
	}
	if len(ok) < 2*56 {
		t.Errorf("refused at %d characters", len(ok)/2)
	}
	if _, err := rfc6125.ParseHost(strings.Repeat("a.", 100_000)); err == nil || len(err.Error()) > 250 {
		t.Errorf("%v", err)
	}
	for n, words := range map[int]string{1012: "empty label", 1013: "too long"} {
		if _, err := rfc6125.ParseHost(strings.Repeat(".", n)); err == nil || strings.Contains(err.Error(), "too long") != (words == "too long") {
			t.Errorf("%d octets: %v", n, err)
		}
	}
	// The error says which rule.
	for in, why := range map[string]string{
		"a..b": "empty label", "a b": `the octet " "`, label(64): "63 octets", longest + "a": "253 octets", "-a": "hyphen", "a.9": "number",
		"": "empty", "bü..a": "empty label", "xn--a.b": "A-label", "192.0.2.1": "IP address", "x\xff": "UTF-8", "אa.b": "Bidi", "\u0378x": "U-label",
	} {
		if _, err := rfc6125.ParseHost(in); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q in it", in, err, why)
		}
	}
}

func TestHostFromName(t *testing.T) {
	for _, s := range []string{
		"example.org", "a_b.example", "-a.example", "a-.example", "-.a", "ab--cd.example", "xn--a.example", "xn--.a", "xn--foo.xn--bar.com",
		"_", longest, "1.a", "xn--bcher-kva.example",
	} {
		h := fromDNS(t, strings.ToUpper(s))
		if h.String() != s || h.Name() != mustName(t, s) {
			t.Errorf("%q: %q, name %q", s, h, h.Name())
		}
		b, err := h.MarshalText()
		var g rfc6125.Host
		if err != nil || g.UnmarshalText(b) != nil || g != h {
			t.Errorf("%q does not survive its text: %q", s, g)
		}
	}
	for _, s := range []string{".", "*.a", `a\.b.example`, `\.b.example`, `a\000.b`, `bü.example`, "a b.c", "a.1", "10", "192.0.2.1", `\097/b`} {
		if h, err := rfc6125.HostFromName(mustName(t, s)); !errors.Is(err, rfc6125.ErrHost) || h.IsValid() {
			t.Errorf("%q: %q, %v", s, h, err)
		}
	}
	if _, err := rfc6125.HostFromName(rfc6125.Name{}); !errors.Is(err, rfc6125.ErrHost) {
		t.Errorf("the zero Name: %v", err)
	}
	if _, err := rfc6125.HostFromName(mustName(t, "192.0.2.1")); !errors.Is(err, rfc6125.ErrAddress) {
		t.Errorf("an address: %v", err)
	}
}

func TestHostText(t *testing.T) {
	h := mustHost(t, "example.org")
	for _, bad := range []string{"a..b", "192.0.2.1", "[::1]", "a b", "bü..a", "."} {
		g := h
		if err := g.UnmarshalText([]byte(bad)); !errors.Is(err, rfc6125.ErrHost) || g != h {
			t.Errorf("%q: %v, %q", bad, err, g)
		}
	}
	for in, want := range map[string]string{"": "", "MX.Example.": "mx.example", "bücher.example": "xn--bcher-kva.example", "-a.b": "-a.b"} {
		g := h
		if err := g.UnmarshalText([]byte(in)); err != nil || g.String() != want {
			t.Errorf("%q: %v, %q", in, err, g)
		}
	}
	if mustHost(t, "a.example").Compare(mustHost(t, "b.example")) != -1 || mustHost(t, "z.a").Compare(mustHost(t, "a.b")) != -1 || h.Compare(h) != 0 {
		t.Error("hosts are not ordered as names are")
	}
}

func TestAddresses(t *testing.T) {
	addresses := []string{
		"192.0.2.1", "192.0.2.1.", "::1", "2001:db8::1", "::ffff:192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]", "[ipv6:::1]", "[::1]", "2001:db8::a", "::", "[IPv6:fe80::F]",
		"１９２.０.２.１", "192。0。2。1",
	}
	t.Run("SMTP5321-4.1.3-01 address literals are no domain names", func(t *testing.T) {
		for _, s := range addresses {
			if h, err := rfc6125.ParseHost(s); !errors.Is(err, rfc6125.ErrAddress) || !errors.Is(err, rfc6125.ErrHost) || h.IsValid() {
				t.Errorf("%q: %q, %v", s, h, err)
			}
		}
		for _, s := range []string{"[]", "[", "]", "[a]", "[IPv6:]", "[mx.example]", "a:b", "[192.0.2.1", "192.0.2.1]", "[IPv6]", "192.0.2", "192.0.2.256", "1.2.3.4.5", "[x192.0.2.1"} {
			if _, err := rfc6125.ParseHost(s); !errors.Is(err, rfc6125.ErrHost) || errors.Is(err, rfc6125.ErrAddress) {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
	t.Run("SID9525-7.4-01 an IPv4 address in text is never a name", func(t *testing.T) {
		if _, err := rfc6125.ParseReference("192.0.2.1"); !errors.Is(err, rfc6125.ErrAddress) {
			t.Errorf("as a reference: %v", err)
		}
		if id := rfc6125.Identify("192.0.2.1"); !strings.Contains(id.Invalid, "address") {
			t.Errorf("as a dNSName: %q", id.Invalid)
		}
		if _, err := rfc6125.HostFromName(mustName(t, "192.0.2.1")); !errors.Is(err, rfc6125.ErrAddress) {
			t.Errorf("as a name: %v", err)
		}
	})
}

func TestIDNA(t *testing.T) {
	t.Run("IDNA5890-2.3.1-01 length and hyphens of labels", func(t *testing.T) {
		parses(t, label(63)+".a", label(63)+".a", "a-b.c", "a-b.c")
		refused(t, label(64)+".a", "-a.b", "a-.b", "b.-a", "b.a-", "-.a", "-ü.a", "ü-.a", "xn----eha.a")
	})
	t.Run("IDNA5890-2.3.1-02 reserved labels are flagged and not converted", func(t *testing.T) {
		parses(t, "ab--cd.example", "ab--cd.example", "XY--z.example", "xy--z.example")
		if h := mustHost(t, "ab--cd.example"); h.Hints() != rfc6125.HintReserved {
			t.Errorf("hints: %s", h.Hints())
		}
		refused(t, "äb--c.example", "ab--ü.example")
		parses(t, "ü--c.example", punycode("ü--c")+".example", "a--ü.example", punycode("a--ü")+".example")
	})
	t.Run("IDNA5890-2.3.2.1-01 A-labels and U-labels are converted both ways", func(t *testing.T) {
		h := mustHost(t, "bücher.example")
		if h.String() != "xn--bcher-kva.example" || h.Unicode() != "bücher.example" || mustHost(t, h.String()) != h || mustHost(t, h.Unicode()) != h {
			t.Errorf("%q, %q", h, h.Unicode())
		}
		refused(t, "xn--a.example", "xn--.example", "xn--a-.example", "xn--abc-.example", "xn--zzzzzzzzzzz99999.example")
	})
	t.Run("IDNA5891-3.1-01 what is given out is ASCII", func(t *testing.T) {
		for _, s := range []string{"bücher.example", "例え.テスト", "مثال.إختبار"} {
			h := mustHost(t, s)
			for _, c := range []byte(h.String() + h.Name().String() + rfc6125.NewReference(h).String()) {
				if c >= 0x80 {
					t.Errorf("%q gives %q", s, h)
				}
			}
		}
	})
	t.Run("IDNA5891-3.1-02 A-labels compare as ASCII without regard to case", func(t *testing.T) {
		if mustHost(t, "XN--BCHER-KVA.example") != mustHost(t, "xn--bcher-kva.EXAMPLE") || mustHost(t, "Xn--Bcher-Kva.example") != mustHost(t, "bücher.example") {
			t.Error("two names for one host")
		}
	})
	t.Run("IDNA5891-5.2-01 input is brought to NFC", func(t *testing.T) {
		if mustHost(t, "bu\u0308cher.example") != mustHost(t, "b\u00fccher.example") {
			t.Error("NFD gives another name")
		}
	})
	t.Run("IDNA5891-5.3-01 a decoded A-label must encode to itself", func(t *testing.T) {
		parses(t, "xn--eckwd4c7c.xn--zckzah", "xn--eckwd4c7c.xn--zckzah")
		parses(t, "ｘｎ－－bcher-kva.example", "xn--bcher-kva.example")
		// The Punycode of "bu\u0308cher" (not NFC), of "Ü", of "＝" and of "ß" as
		// a character that lookup maps away; and A-labels that are not ASCII.
		refused(t, punycode("bu\u0308cher")+".example", punycode("Üb")+".example", punycode("＝b")+".example", punycode("ａ")+".example",
			"xn--bücher-kva.example", "ｘｎ－－bücher-kva.example", "xn--bcher－kv\u00e4.example")
	})
	t.Run("IDNA5891-5.3-02 Punycode is checked in strict input, other data is taken as it is", func(t *testing.T) {
		refused(t, "xn--0.example", "xn--!.example", "xn--99999999.example")
		if h := fromDNS(t, "xn--0.example"); h.String() != "xn--0.example" || h.Unicode() != "xn--0.example" || h.Hints() != rfc6125.HintFakeALabel {
			t.Errorf("%q, %q, %s", h, h.Unicode(), h.Hints())
		}
	})
	t.Run("IDNA5891-5.4-01 bad U-labels are refused", func(t *testing.T) {
		refused(t,
			"\u0308a.example",                      // a combining mark in front
			"ab--ü.example",                        // -- in the third and fourth place
			"\ue000.example",                       // private use
			"a\u200db.example", "a\u200cb.example", // joiners out of context
			"\u0378x.example", "\ufdd0.example", // unassigned, noncharacter
			"xn--a-0hc.example", "bü\u2028.example", // a line separator
			"a\u202eb.example", "\U000e0001.example", // direction, tags
		)
		parses(t, "\u0915\u094d\u200d\u0937.example", punycode("\u0915\u094d\u200d\u0937")+".example") // a joiner in context
		if mustHost(t, "\u0915\u094d\u200d\u0937.example") == mustHost(t, "\u0915\u094d\u0937.example") {
			t.Error("the joiner is lost")
		}
	})
	t.Run("IDNA5891-5.4-02 the Bidi rule", func(t *testing.T) {
		refused(t, "אa.example", "א1a.example", "1א.example", "1mx.אב.example", "xn--a-0hc.example", "א.1b.ב")
		parses(t, "אב.example", punycode("אב")+".example", "mx.אב.example", "mx."+punycode("אב")+".example", "1mx.bü.example", "1mx."+punycode("bü")+".example")
	})
	t.Run("IDNA5891-5.4-03 everything else is looked up", func(t *testing.T) {
		parses(t, "a_b.example", "a_b.example", "r3---sn-apo3.example", "r3---sn-apo3.example", "x.y.z.a", "x.y.z.a", "☃.example", "xn--n3h.example")
	})
	t.Run("EAI8616-4-02 names asked for policies are A-labels", func(t *testing.T) {
		n, err := mustHost(t, "bücher.example").Name().Child("_mta-sts")
		if err != nil || n.String() != "_mta-sts.xn--bcher-kva.example" {
			t.Errorf("%q, %v", n, err)
		}
	})
}

func TestUnicode(t *testing.T) {
	for _, c := range []struct {
		in    string
		shown bool
		hints rfc6125.Hints
	}{
		{"bücher.example", true, 0},
		{"例え.テスト", true, 0},
		{"한국.example", true, 0},
		{"漢字ひらカナ.example", true, 0},
		{"漢字한국.example", true, 0},
		{"ひら한국.example", false, rfc6125.HintMixedScript},
		{"漢ㄅ.example", true, 0},
		{"カㄅ.example", false, rfc6125.HintMixedScript},
		{"почта.example", true, 0},
		{"ελληνικά.example", true, 0},
		{"āčž.example", true, 0},
		{"tiếng-việt.example", true, 0},
		{"a漢.example", false, rfc6125.HintMixedScript},
		{"paypаl.example", false, rfc6125.HintMixedScript | rfc6125.HintConfusable}, // the second a is Cyrillic
		{"αж.example", false, rfc6125.HintMixedScript},
		{"ხж.example", false, rfc6125.HintMixedScript},
		{"раура1.example", false, rfc6125.HintConfusable}, // all Cyrillic
		{"ορο-1.example", false, rfc6125.HintConfusable},  // all Greek
		{"ー.example", false, rfc6125.HintConfusable},
		{"gıthub.example", false, rfc6125.HintConfusable},
		{"ĸa.example", false, rfc6125.HintConfusable},
		{"ɡo.example", false, rfc6125.HintConfusable},
		{"ƀa.example", false, rfc6125.HintConfusable},
		{"x\u0336y.example", false, rfc6125.HintConfusable}, // a stroke over x
		{"ж\u0301\u0301.example", false, rfc6125.HintConfusable},
		{"ไทย.example", true, 0},
		{"๑.example", false, rfc6125.HintConfusable},
		{"☃.example", false, rfc6125.HintSymbol},
		{"אב.example", false, rfc6125.HintRightToLeft},
		{"مثال.example", false, rfc6125.HintRightToLeft},
		{"ab--cd.example", true, rfc6125.HintReserved},
		{"a_b.example", true, rfc6125.HintUnderscore},
		{"example.org", true, 0},
	} {
		h := mustHost(t, c.in)
		want := h.String()
		if c.shown {
			want = c.in
		}
		if h.Unicode() != want || h.Hints() != c.hints {
			t.Errorf("%s: shown as %q with hints %q, want %q with %q", c.in, h.Unicode(), h.Hints(), want, c.hints)
		}
	}
	h := fromDNS(t, "-a.b-.xn--bcher-kva.xn--n3h.xn--a.a_b.ab--c")
	all := rfc6125.HintHyphen | rfc6125.HintSymbol | rfc6125.HintFakeALabel | rfc6125.HintUnderscore | rfc6125.HintReserved
	if h.Unicode() != "-a.b-.bücher.xn--n3h.xn--a.a_b.ab--c" || h.Hints() != all {
		t.Errorf("%q: %s", h.Unicode(), h.Hints())
	}
	if fromDNS(t, "a-.b").Hints() != rfc6125.HintHyphen || fromDNS(t, "ab-c.b").Hints() != 0 || fromDNS(t, "a--b").Hints() != 0 || fromDNS(t, "ab--").Hints() != rfc6125.HintReserved|rfc6125.HintHyphen {
		t.Error("wrong hints about hyphens")
	}
	if s := (rfc6125.HintUnderscore | rfc6125.HintSymbol).String(); s != "underscore, symbol" {
		t.Errorf("%q", s)
	}
	if s := rfc6125.Hints(0).String(); s != "" {
		t.Errorf("%q", s)
	}
}
