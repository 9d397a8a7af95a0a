package rfc6125_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xidna "golang.org/x/net/idna"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/idna"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestIdnaVectors(t *testing.T) {
	f, err := os.Open(filepath.Join(vectors.Dir(t, "idna"), "IdnaTestV2-16.0.0.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := idna.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		t.Fatal("no line")
	}
	exceptions := idna.TableExceptions(xidna.UnicodeVersion)
	used := make([]int, len(exceptions))
	options := map[string]int{}
	for _, l := range lines {
		h, err := rfc6125.ParseHost(l.Source)
		ok := err == nil && h.String() == strings.TrimSuffix(l.ASCII, ".")
		if want := len(l.AStatus) == 0; ok == want {
			if ok {
				checkUnicode(t, l, h)
			}
			continue
		}
		text := l.Source + l.Unicode
		i := slices.IndexFunc(exceptions, func(e idna.TableException) bool { return strings.ContainsFunc(text, e.Has) })
		switch why := idna.OptionException(l); {
		case i >= 0:
			used[i]++
		case why != "" && ok:
			options[why]++
		default:
			t.Errorf("line %d: %+q gives %q, %v; want %q %v", l.Number, l.Source, h, err, l.ASCII, l.AStatus)
		}
	}
	for i, e := range exceptions {
		if used[i] == 0 {
			t.Errorf("the exception is not needed: %s", e.Why)
		}
		t.Logf("tables of %s: %d lines: %s", xidna.UnicodeVersion, used[i], e.Why)
	}
	for why, n := range options {
		t.Logf("options: %d lines: %s", n, why)
	}
	if len(options) != 2 {
		t.Errorf("%d kinds of exceptions by options, 2 are written down", len(options))
	}
}

// checkUnicode holds the printed form of a good line against the file's.
func checkUnicode(t *testing.T, l idna.Line, h rfc6125.Host) {
	shown := h.Unicode()
	if g, err := rfc6125.ParseHost(shown); err != nil || g != h {
		t.Errorf("line %d: %+q is printed as %+q, which reads as %q, %v", l.Number, l.Source, shown, g, err)
	}
	want, a := strings.Split(l.Unicode, "."), strings.Split(h.String(), ".")
	for i, s := range strings.Split(shown, ".") {
		if s != want[i] && s != a[i] {
			t.Errorf("line %d: %+q shows the label %+q", l.Number, l.Source, s)
		}
	}
}

func TestPunycodeVectors(t *testing.T) {
	for _, file := range []string{"punycode_tests.json", "bad_punycode_tests.json"} {
		f, err := os.Open(filepath.Join(vectors.Dir(t, "idna"), file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		pairs, err := idna.ReadPunycode(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(pairs) == 0 {
			t.Fatalf("%s is empty", file)
		}
		valid := 0
		for i, p := range pairs {
			t.Run(fmt.Sprintf("%s %d %s", file, i, p.Description), func(t *testing.T) {
				a := "xn--" + strings.ToLower(p.Encoded)
				h, err := rfc6125.ParseHost(a)
				if err != nil {
					return // most of the samples are no host names: blanks, symbols, too long
				}
				valid++
				if h.String() != a {
					t.Errorf("%q became %q", a, h)
				}
				if g, err := rfc6125.ParseHost(p.Decoded); err != nil || g != h {
					t.Errorf("%q is %v, %v and not %v", p.Decoded, g, err, h)
				}
			})
		}
		if valid == 0 && file == "punycode_tests.json" {
			t.Error("no sample is a host name")
		}
		t.Logf("%s: %d of %d are host names", file, valid, len(pairs))
	}
}
