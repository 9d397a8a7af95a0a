package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/advise/ladder"
	"github.com/mxauth/mxauth/engine"
)

// scripts are host names in the scripts whose letters are widest, or join, or run from right
// to left.
var scripts = []string{
	"mx.bücher.example", "почта.пример.рф", "メール.例え.テスト", "邮件服务器非常非常长的名字在这里不会超出边框.例子.测试", "이메일서버.예시.한국",
	"بريد.مثال.إختبار", "דואר.דוגמה.טעסט", "मेल.उदाहरण.परीक्षा", "อีเมล.ตัวอย่าง.ไทย", "ταχυδρομείο.παράδειγμα.ελ", "မေးလ်.ဥပမာ.မြန်မာ", "மின்னஞ்சல்.எடுத்துக்காட்டு.பரிட்சை",
}

// longName is a name of 253 characters, of the widest letter.
func longName(letter string) string {
	l := strings.Repeat(letter, 63)
	return strings.Join([]string{l, l, l, l[:61]}, ".")
}

// wideLadders are ladders of more text than any domain should have.
func wideLadders() map[string]ladder.Ladder {
	step := func(k ladder.Kind, s ladder.Status, name string, lines ...string) ladder.Step {
		return ladder.Step{Kind: k, Status: s, Name: name, Lines: lines, Reason: "encrypted-name-mismatch", RFC: "7672 s.2.2.2"}
	}
	prose := strings.Repeat("The key that mx.example.org shows matches none of the TLSA records, and WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW goes on. ", 4)
	make := func(domain, unicode string, hosts []string) ladder.Ladder {
		l := ladder.Ladder{Domain: domain, Unicode: unicode, Outcome: engine.Refused,
			Trunk:   []ladder.Step{step(ladder.Root, ladder.Good, "", "a trust anchor of this program"), step(ladder.Zones, ladder.Broken, domain, prose), step(ladder.MX, ladder.Unproved, domain, domain, domain)},
			Policy:  []ladder.Step{step(ladder.TXT, ladder.Missing, "_mta-sts."+domain, prose), step(ladder.WebPKI, ladder.Unknown, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", prose), step(ladder.Policy, ladder.Unused, "", domain), step(ladder.Listed, ladder.Broken, domain, domain)},
			Verdict: step(ladder.Verdict, ladder.Broken, "refused; 0 of 64 hosts would be authenticated "+domain, prose, prose)}
		for i, h := range hosts {
			status := ladder.Status(i % 6)
			l.Hosts = append(l.Hosts, ladder.Host{Name: h, Unicode: unicode, Preference: 65535, Listed: true, Outcome: engine.Refused, Steps: []ladder.Step{
				step(ladder.Address, status, h, "2001:db8:1111:2222:3333:4444:5555:6666", "and 62 more", prose), step(ladder.TLSA, ladder.Broken, "_25._tcp."+h, "3 1 1 0a1b2c3d4e5f...: matches", prose),
				step(ladder.Connection, ladder.Unknown, "", "[2001:db8:1111:2222:3333:4444:5555:6666]:25, TLS 1.3"), step(ladder.Certificate, ladder.Unproved, "", h, prose), step(ladder.Outcome, ladder.Missing, "encrypted, not authenticated", prose)}})
		}
		return l
	}
	out := map[string]ladder.Ladder{}
	for _, letter := range []string{"w", "i"} {
		n := longName(letter)
		l := make(n, "", []string{n, n, n, n})
		l.Folded = []ladder.Count{{Outcome: engine.Refused, Hosts: 30}, {Outcome: engine.Encrypted, Hosts: 20}, {Outcome: engine.OutcomeNone, Hosts: 10}}
		out["long-"+letter] = l
		out["long-one-"+letter] = make(n, "", []string{n})
		out["long-none-"+letter] = make(n, "", nil)
	}
	for i, s := range scripts {
		long := strings.Repeat(s, 5)
		out["script-long-"+string(rune('a'+i))] = make("xn--a.example", long, []string{"xn--b.example", long})
	}
	return out
}

// TestBrowserPicture measures every text of the pictures as Chromium draws it.
func TestBrowserPicture(t *testing.T) {
	b := startBrowser(t)
	files, err := filepath.Glob(filepath.Join("testdata", "explain", "*.svg"))
	if err != nil || len(files) != len(explained) {
		t.Fatalf("%d pictures of %d worlds, %v", len(files), len(explained), err)
	}
	for _, f := range files {
		picture, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b.checkDrawn(strings.TrimSuffix(filepath.Base(f), ".svg"), picture)
	}
	for name, l := range wideLadders() {
		b.checkDrawn(name, l.SVG(ladder.SVGOptions{}))
		b.checkDrawn(name+"-narrow", l.SVG(ladder.SVGOptions{Narrow: true}))
		if name == "long-w" || name == "script-long-f" {
			b.draw(name, l.SVG(ladder.SVGOptions{}))
			b.shot("picture-" + name)
		}
	}
	t.Run("measure", func(t *testing.T) {
		picture := wideLadders()["long-one-w"].SVG(ladder.SVGOptions{})
		for what, change := range map[string]func([]byte) []byte{
			"leaves": func(p []byte) []byte {
				return bytes.Replace(p, []byte(`font-size="12"`), []byte(`font-size="12" textLength="400"`), 1)
			},
			"overlap": func(p []byte) []byte {
				return bytes.Replace(p, []byte("</svg>"), []byte(`<text x="20" y="40" font-size="15">Chain of trust</text></svg>`), 1)
			},
		} {
			found := strings.Join(b.draw("changed", change(picture)).Faults, "\n")
			if !strings.Contains(found, what) {
				t.Errorf("%s: not noticed: %q", what, found)
			}
		}
	})
}
