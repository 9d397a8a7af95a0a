package text_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mxauth/mxauth/internal/text"
)

// hostile are characters that must not be shown, each for a kind of its own.
var hostile = []rune{
	0x00, 0x07, 0x1b, 0x7f, 0x80, 0x85, 0x9b, 0x9f, 0xad, 0x34f, 0x61c, 0x115f, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f,
	0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2064, 0x2065, 0x2066, 0x2067, 0x2068, 0x2069, 0x206f,
	0x3164, 0xe000, 0xfe0f, 0xfeff, 0xfff9, 0xffa0, 0xfffd, 0x1d173, 0xe0001, 0xe0041, 0xe007f, 0xe0100, 0xe01ef, 0xf0000, 0x10fffd,
}

func TestUnsafe(t *testing.T) {
	for _, r := range hostile {
		if !text.Unsafe(r) {
			t.Errorf("%U is safe", r)
		}
	}
	for _, r := range " ~aäß中ひ한א\u0301€😀" {
		if text.Unsafe(r) {
			t.Errorf("%U is not safe", r)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain é 中": "plain é 中", "a\x1b[1m\r\n": `a\x1b[1m\r\n`, "x\u202ey": `x\u202ey`, "\u009b": `\u009b`, "\xff": `\ufffd`, "\U000e0041": `\U000e0041`,
	} {
		if got := text.Escape(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got := text.Lines("a\tb\nc\x1b\u202e\n"); got != "a\tb\nc\\x1b\\u202e\n" {
		t.Errorf("%q", got)
	}
}

// shown reports whether there is a character in b that a JSON text must not show.
func shown(b []byte) bool {
	return bytes.ContainsFunc(b, func(r rune) bool { return !strings.ContainsRune("\n\t\r", r) && text.Unsafe(r) })
}

// TestJSON: every character of Unicode comes out escaped or as it is, and means the same.
func TestJSON(t *testing.T) {
	var all strings.Builder
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if utf8.ValidRune(r) {
			all.WriteRune(r)
		}
	}
	b, err := json.MarshalIndent(map[string]string{"all": all.String(), "k\u202e": "<&>"}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got := text.JSON(b)
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if back["all"] != all.String() || back["k\u202e"] != "<&>" {
		t.Error("it does not mean the same")
	}
	if shown(got) || !shown(b) {
		t.Error("unsafe characters are left")
	}
	if s := string(text.JSON([]byte("[\"\u202e\U000e0041\u0085\xff\"]\n"))); s != `["\u202e\udb40\udc41\u0085\ufffd"]`+"\n" {
		t.Errorf("%s", s)
	}
	plain := []byte(`{"a":"b"}`)
	if got := text.JSON(plain); &got[0] != &plain[0] {
		t.Error("a plain text was copied")
	}
	// In pieces of each size.
	for size := 1; size < 7; size++ {
		var out bytes.Buffer
		w := text.JSONWriter(&out)
		part := []byte("{\"a\":\"é\u202e中\U000e0041\u0085\"}\n")
		want := text.JSON(part)
		for len(part) > 0 {
			n := min(size, len(part))
			if m, err := w.Write(part[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			part = part[n:]
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("by %d: %s", size, out.Bytes())
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("a\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var was, is string
		if json.Unmarshal(b, &was) != nil || json.Unmarshal(text.JSON(b), &is) != nil || was != is || shown(text.JSON(b)) {
			t.Errorf("%q", s)
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		most  int
		cut   string
		ascii string
	}{
		{"", 3, "", ""},
		{"abc", 3, "abc", "abc"},
		{"abcd", 3, "abc...", "abc..."},
		{"aä", 2, "a...", `a\xc3...`},
		{"ä", 2, "ä", `\u00e4`},
		{"\xff\xfe\xfd", 2, "\xff\xfe...", `\xff\xfe...`},
		{`a"b\`, 9, `a"b\`, `a"b\\`},
		{"\"\n", 9, "\"\n", `"\n`},
		{"\x80\x80", 1, "...", `\x80...`},
	} {
		if got := text.Cut(c.in, c.most); got != c.cut {
			t.Errorf("Cut(%q, %d): %q, want %q", c.in, c.most, got, c.cut)
		}
		if got := text.ASCII(c.in, c.most); got != c.ascii {
			t.Errorf("ASCII(%q, %d): %q, want %q", c.in, c.most, got, c.ascii)
		}
	}
}
