package rfc6125

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/mxauth/mxauth/internal/text"
)

// What x/net/idna does for us, and what it does not.
//
// The library works on whole names and knows one rule for hyphens and one for
// ASCII; with `idna.Lookup` that refuses `a_b.example` and `ab--cd.example`,
// names that MX lookups meet. So labels are taken one by one: ASCII is ours,
// the rest goes through uLabel below, and the Bidi rule, which is one of whole
// names, is checked at the end on the A-labels. The library's check for hyphens
// counts octets where UTS #46 counts characters (it would let `äb--c` through
// and refuse `ü--c`), so that one is ours too.

// newULabel returns the profile for one label that is not plain ASCII.
func newULabel() *idna.Profile {
	return idna.New(
		idna.MapForLookup(), // IDNA5891-5.2-01: RFC 5891 section 5.2
		idna.Transitional(false),
		idna.StrictDomainName(true),
		idna.CheckJoiners(true),
		idna.CheckHyphens(false),
	)
}

// The profiles are immutable once made, and safe for concurrent use.
var (
	uLabel = newULabel()
	// bidiRule checks a whole name of A-labels against RFC 5893 and does no more.
	bidiRule = idna.New(idna.BidiRule())
)

const acePrefix = "xn--"

// isPlain reports whether s is ASCII without an `xn--` label, so that IDNA has
// nothing to say about it.
func isPlain(s string) bool {
	if !isASCII(s) {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if strings.HasPrefix(strings.ToLower(label), acePrefix) {
			return false
		}
	}
	return true
}

// toASCII turns every label of s into an A-label or a label of plain ASCII in
// lower case. It checks what IDNA has to say; the rest is for checkHost.
func toASCII(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("not UTF-8")
	}
	labels := strings.FieldsFunc(s, isDot)
	// FieldsFunc drops empty labels: count them to refuse them.
	if dots := strings.Count(strings.Map(dot, s), "."); dots != len(labels)-1 && !endsInOneDot(s, dots, len(labels)) {
		return "", errors.New("an empty label")
	}
	bidi := false
	for i, l := range labels {
		a, err := aLabel(l)
		if err != nil {
			return "", fmt.Errorf("label %q: %w", text.Cut(l, maxInput), err)
		}
		if strings.HasPrefix(a, acePrefix) {
			if _, err := decodeLabel(a); err != nil {
				return "", fmt.Errorf("label %q: %w", text.Cut(l, maxInput), err)
			}
			bidi = true
		}
		labels[i] = a
	}
	ascii := strings.Join(labels, ".")
	if bidi {
		if _, err := bidiRule.ToUnicode(ascii); err != nil {
			return "", errors.New("the Bidi rule (RFC 5893)")
		}
	}
	return ascii, nil
}

// aLabel maps one label and encodes it if that leaves it with other characters
// than ASCII. The result may be a false A-label still if l was one.
func aLabel(l string) (string, error) {
	if isASCII(l) {
		return strings.ToLower(l), nil // IDNA5891-5.4-03: RFC 5891 section 5.4
	}
	// With a letter before it, the library maps a label and does not decode it:
	// what maps to `xn--` is an A-label in another dress, or a false one that
	// keeps characters which are not ASCII (UTS #46 section 4, step 4).
	if mapped, _ := uLabel.ToUnicode("a" + l); strings.HasPrefix(mapped, "a"+acePrefix) {
		return mapped[1:], nil
	}
	a, err := uLabel.ToASCII(l) // IDNA5891-5.4-01: RFC 5891 section 5.4
	if err != nil || strings.Contains(a, ".") {
		return "", errULabel
	}
	return a, nil
}

// isDot reports whether UTS #46 section 2.3 parts labels at r.
func isDot(r rune) bool { return r == '.' || r == '\u3002' || r == '\uff0e' || r == '\uff61' }

func dot(r rune) rune {
	if isDot(r) {
		return '.'
	}
	return r
}

// endsInOneDot reports whether s has the one empty label that is allowed, the
// root's at its end.
func endsInOneDot(s string, dots, labels int) bool {
	last, _ := utf8.DecodeLastRuneInString(s)
	first, _ := utf8.DecodeRuneInString(s)
	return dots == labels && isDot(last) && !isDot(first)
}

var (
	errULabel = errors.New("not a valid U-label")
	errALabel = errors.New("not a valid A-label")
)

// decodeLabel returns the U-label of an A-label in lower case, if it is a true
// one: the decoded label is valid unchanged and encodes to the same A-label.
func decodeLabel(a string) (string, error) {
	u, err := uLabel.ToUnicode(a)
	if err != nil || isASCII(u) {
		return "", errALabel
	}
	// UTS #46 section 4.1, criteria 2 and 3: no hyphens in both the third and
	// the fourth place, none at either end.
	r := []rune(u)
	if r[0] == '-' || r[len(r)-1] == '-' || len(r) >= 4 && r[2] == '-' && r[3] == '-' {
		return "", errALabel
	}
	// IDNA5890-2.3.2.1-01: RFC 5890 section 2.3.2.1; IDNA5891-5.3-01: RFC 5891 section 5.3
	if b, err := uLabel.ToASCII(u); err != nil || b != a {
		return "", errALabel
	}
	return u, nil
}
