package conformance

import (
	"context"
	"fmt"
	"os"
	"strings"

	xidna "golang.org/x/net/idna"

	"github.com/mxauth/mxauth/conformance/vectors/idna"
	"github.com/mxauth/mxauth/rfc6125"
)

// runIDNA judges UTS #46: a name to A-labels, non-transitional. Lines about characters
// that the Unicode tables of this build do not know, or know otherwise, do not apply.
func runIDNA(_ context.Context, dir string) ([]Result, error) {
	exceptions := idna.TableExceptions(xidna.UnicodeVersion)
	lines := func(file string) func() ([]Result, error) {
		return func() ([]Result, error) {
			return table(dir, file, func(f *os.File) ([]idna.Line, error) { return idna.Read(f) }, func(_ int, l idna.Line) Result {
				return judgeIDNA(file, l, exceptions)
			})
		}
	}
	pairs := func(file string) func() ([]Result, error) {
		return func() ([]Result, error) {
			return table(dir, file, func(f *os.File) ([]idna.Pair, error) { return idna.ReadPunycode(f) }, func(i int, p idna.Pair) Result {
				return judgePunycode(fmt.Sprintf("%s %d", file, i), p)
			})
		}
	}
	return join(lines("IdnaTestV2.txt"), lines("IdnaTestV2-16.0.0.txt"), pairs("punycode_tests.json"), pairs("bad_punycode_tests.json"))
}

func judgeIDNA(file string, l idna.Line, exceptions []idna.TableException) Result {
	res := Result{Case: fmt.Sprintf("%s:%d", file, l.Number), Got: "error", Want: "error"}
	if len(l.AStatus) == 0 {
		res.Want = strings.TrimSuffix(l.ASCII, ".")
	}
	h, err := rfc6125.ParseHost(l.Source)
	if err == nil {
		res.Got = h.String()
	}
	if res.Got == res.Want {
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

// judgePunycode asserts that a sample which is a host name at all reads to the same name
// in both forms, and that the others are refused and do not run away.
func judgePunycode(name string, p idna.Pair) Result {
	a := "xn--" + strings.ToLower(p.Encoded)
	res := Result{Case: name}
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
