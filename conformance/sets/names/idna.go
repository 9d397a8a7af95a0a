package names

import (
	"context"
	"fmt"
	"strings"

	xidna "golang.org/x/net/idna"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/idna"
	"github.com/mxauth/mxauth/rfc6125"
)

// IDNA judges UTS #46: a name to A-labels, non-transitional. Lines about characters
// that the Unicode tables of this build do not know, or know otherwise, do not apply.
func IDNA(_ context.Context, dir string) ([]sets.Result, error) {
	exceptions := idna.TableExceptions(xidna.UnicodeVersion)
	lines := func(file string) func() ([]sets.Result, error) {
		return func() ([]sets.Result, error) {
			return sets.Table(dir, file, idna.Read, func(_ int, l idna.Line) sets.Result {
				return judgeIDNA(file, l, exceptions)
			})
		}
	}
	pairs := func(file string) func() ([]sets.Result, error) {
		return func() ([]sets.Result, error) {
			return sets.Table(dir, file, idna.ReadPunycode, func(i int, p idna.Pair) sets.Result {
				return judgePunycode(fmt.Sprintf("%s %d", file, i), p)
			})
		}
	}
	return sets.Join(lines("IdnaTestV2.txt"), lines("IdnaTestV2-16.0.0.txt"), pairs("punycode_tests.json"), pairs("bad_punycode_tests.json"))
}

func judgeIDNA(file string, l idna.Line, exceptions []idna.TableException) sets.Result {
	res := sets.Result{Case: fmt.Sprintf("%s:%d", file, l.Number), Got: "error", Want: "error"}
	if len(l.AStatus) == 0 {
		res.Want = strings.TrimSuffix(l.ASCII, ".")
	}
	h, err := rfc6125.ParseHost(l.Source)
	if err == nil {
		res.Got = h.String()
	}
	if res.Got == res.Want {
		if shown := unlike(l, h); err == nil && shown != "" {
			res.Got = shown
		}
		return res
	}
	text := l.Source + l.Unicode
	if strings.ContainsFunc(text, idna.Unassigned) {
		res.Skip = "a character that the Unicode tables of this build (" + xidna.UnicodeVersion + ") do not have"
	}
	for _, e := range exceptions {
		if strings.ContainsFunc(text, e.Has) {
			res.Skip = e.Why
		}
	}
	if why := idna.OptionException(l); why != "" && err == nil {
		res.Skip = why
	}
	return res
}

// unlike says how the printed form of a host differs from the line's, "" if it does not: it
// has to read as the same host, and each label to be the Unicode or the ASCII form.
func unlike(l idna.Line, h rfc6125.Host) string {
	shown := h.Unicode()
	if g, err := rfc6125.ParseHost(shown); err != nil || g != h {
		return fmt.Sprintf("%q, which is another host", shown)
	}
	want, a := strings.Split(l.Unicode, "."), strings.Split(h.String(), ".")
	for i, s := range strings.Split(shown, ".") {
		if i >= len(want) || i >= len(a) || s != want[i] && s != a[i] {
			return fmt.Sprintf("%q in label %d", shown, i+1)
		}
	}
	return ""
}

// judgePunycode asserts that a sample which is a host name at all reads to the same name
// in both forms, and that the others are refused and do not run away.
func judgePunycode(name string, p idna.Pair) sets.Result {
	a := "xn--" + strings.ToLower(p.Encoded)
	res := sets.Result{Case: name}
	h, err := rfc6125.ParseHost(a)
	if err != nil {
		if _, err := rfc6125.ParseHost(p.Decoded); err != nil {
			res.Got, res.Want = "no host name", "no host name"
		} else {
			// Of a text that mapping changes the A-label is not the one given.
			res.Skip = "the text is mapped before it is encoded"
		}
		return res
	}
	res.Want, res.Got = a, "error"
	if g, err := rfc6125.ParseHost(p.Decoded); err == nil && g == h {
		res.Got = h.String()
	}
	return res
}
