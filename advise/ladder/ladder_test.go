package ladder_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mxauth/mxauth/advise/ladder"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// hosts is a plan of n hosts of which nothing is known.
func hosts(t *testing.T, n int) *engine.Plan {
	t.Helper()
	p := &engine.Plan{}
	for i := range n {
		h, err := rfc6125.ParseHost(string(rune('a'+i)) + ".example.org")
		if err != nil {
			t.Fatal(err)
		}
		p.Hosts = append(p.Hosts, engine.Host{Name: h, Preference: uint16(i)})
	}
	return p
}

// TestFold: four hosts have a column, the others are counted by their outcome.
func TestFold(t *testing.T) {
	for n := range 9 {
		p := hosts(t, n)
		ds := make([]engine.Decision, n)
		for i := range ds {
			ds[i].Outcome = engine.Encrypted
			if i%2 == 1 {
				ds[i].Outcome = engine.Refused
			}
		}
		l := ladder.New(p, ds)
		folded := 0
		for _, c := range l.Folded {
			folded += c.Hosts
		}
		if len(l.Hosts) != min(n, ladder.MaxColumns) || folded != max(n-ladder.MaxColumns, 0) || len(l.Rest) != folded {
			t.Errorf("%d hosts: %d columns, %v folded, %d more", n, len(l.Hosts), l.Folded, len(l.Rest))
		}
		if svg := string(l.SVG(ladder.SVGOptions{})); (folded > 0) != strings.Contains(svg, "more host") {
			t.Errorf("%d hosts: the picture does not say how many are folded", n)
		}
	}
	l := ladder.New(hosts(t, 3), nil)
	if l.Hosts[0].Outcome != engine.OutcomeNone || l.Verdict.Status == ladder.Good {
		t.Errorf("without decisions: %+v", l)
	}
}

// TestZero: what nothing is known of is never good.
func TestZero(t *testing.T) {
	var s ladder.Status
	if s != ladder.Unknown || ladder.Status(200).String() != ladder.Unknown.String() {
		t.Error("the zero Status is not Unknown")
	}
	l := ladder.New(&engine.Plan{}, nil)
	if l.Verdict.Status == ladder.Good {
		t.Errorf("the verdict on nothing: %+v", l.Verdict)
	}
}

// TestPure: nothing in the package could look anything up, or read a clock.
func TestPure(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if slices.Contains([]string{`"context"`, `"io"`, `"net"`, `"net/http"`, `"os"`, `"time"`, `"math/rand/v2"`}, i.Path.Value) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
	p := hosts(t, 6)
	ds := make([]engine.Decision, 6)
	a, b := ladder.New(p, ds), ladder.New(p, ds)
	if !bytes.Equal(a.SVG(ladder.SVGOptions{}), b.SVG(ladder.SVGOptions{})) {
		t.Error("the same plan makes two pictures")
	}
}

// elements are those that a picture is made of.
var elements = strings.Fields("svg title desc style g rect path circle text")

// checkSVG holds a picture to be XML of the elements that it is made of, without anything that
// runs or is fetched.
func checkSVG(t interface{ Errorf(string, ...any) }, svg []byte) (text string) {
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		if err != nil {
			t.Errorf("not XML: %v in\n%s", err, svg)
			return text
		}
		switch e := tok.(type) {
		case xml.StartElement:
			if !slices.Contains(elements, e.Name.Local) {
				t.Errorf("an element %s", e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || strings.HasSuffix(a.Name.Local, "href") || a.Name.Local == "src" || a.Name.Local == "style" {
					t.Errorf("an attribute %s", a.Name.Local)
				}
			}
		case xml.CharData:
			text += string(e)
		case xml.Directive, xml.ProcInst:
			t.Errorf("%T in the picture", tok)
		}
	}
}

// foreign is a ladder all of whose texts are those of a stranger.
func foreign(name, text string) ladder.Ladder {
	step := func(k ladder.Kind) ladder.Step {
		return ladder.Step{Kind: k, Status: ladder.Broken, Name: name, Lines: []string{text, name}, Reason: reason.ID(text), RFC: text}
	}
	return ladder.Ladder{
		Domain: name, Unicode: text, Trunk: []ladder.Step{step(ladder.Root)}, Policy: []ladder.Step{step(ladder.TXT)}, Verdict: step(ladder.Verdict),
		Hosts: []ladder.Host{{Name: name, Unicode: text, Steps: []ladder.Step{step(ladder.Address)}}},
	}
}

// FuzzSVG: whatever the texts are, the picture is XML of its own elements, and holds no
// character that is not seen as what it is.
func FuzzSVG(f *testing.F) {
	f.Add("</text><script>alert(1)</script>", `" onload="alert(1)`)
	f.Add("]]>&amp;&#0;", "\x00\x1b[31m\u202egro.elpmaxe\ufeff")
	f.Add("\xff\xfe", strings.Repeat("w", 300))
	f.Fuzz(func(t *testing.T, name, text string) {
		if len(name)+len(text) > 1<<10 {
			return
		}
		l := foreign(name, text)
		for _, o := range []ladder.SVGOptions{{}, {Narrow: true}, {Inline: true, ID: "a"}} {
			shown := checkSVG(t, l.SVG(o))
			if i := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && r < ' ' || r == 0x7f || r == '\u202e' || r == '\ufffd' }); i >= 0 {
				t.Errorf("%q is shown as it is", shown[i:min(i+4, len(shown))])
			}
			if inline := o.Inline; inline == bytes.Contains(l.SVG(o), []byte("<style>")) {
				t.Errorf("inline %t, and the style is there or not", inline)
			}
		}
	})
}

// TestWrap: no line is wider than its room, and no character is lost but blanks, unless the
// text is cut.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom(nil, ladder.Letters...)).Draw(t, "text")
		width := rapid.Float64Range(30, 300).Draw(t, "width")
		most := rapid.IntRange(1, 40).Draw(t, "lines")
		lines := ladder.WrapText(text, width, most)
		if len(lines) > most {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if w := ladder.TextWidth(l); w > width && len([]rune(l)) > 4 {
				t.Fatalf("%q is %.1f wide, more than %.1f", l, w, width)
			}
		}
		whole := strings.Join(strings.Fields(text), "")
		if got := strings.ReplaceAll(strings.Join(lines, ""), " ", ""); got != whole && !strings.HasSuffix(got, "...") {
			t.Fatalf("%q became %q", whole, got)
		}
	})
}
