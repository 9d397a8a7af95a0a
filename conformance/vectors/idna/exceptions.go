package idna

import (
	"slices"
	"strings"
	"unicode"
)

// A TableException is a difference between the Unicode tables that a program is built
// with and those of the test file, by the characters that it is about.
type TableException struct {
	Why string
	Has func(r rune) bool
}

// TableExceptions lists the differences for tables of a version (idna.UnicodeVersion of
// x/net), against the test files of Unicode 16.0.0 and later. With other tables there is
// none until somebody has looked.
func TableExceptions(version string) []TableException {
	if version != "15.0.0" {
		return nil
	}
	return []TableException{
		{"U+1E9E maps to ß since 15.1, to ss before", func(r rune) bool { return r == 0x1e9e }},
		{"≠ ≮ ≯ are valid beside STD3 rules since 15.1", func(r rune) bool { return r == 0x2260 || r == 0x226e || r == 0x226f }},
		{"Georgian capitals, U+2132 and U+04C0 are mapped since 15.1, disallowed before", func(r rune) bool {
			return 0x10a0 <= r && r <= 0x10c5 || r == 0x2132 || r == 0x04c0
		}},
		{"the filler U+115F is ignored since 15.1, disallowed before", func(r rune) bool { return r == 0x115f }},
		{"the five ideographs of Corrigendum 4 are mapped since 15.1, disallowed before", func(r rune) bool {
			return slices.Contains([]rune{0x2f868, 0x2f874, 0x2f91f, 0x2f95f, 0x2f9bf}, r)
		}},
	}
}

// Unassigned reports whether r had no meaning yet in the Unicode tables of this Go
// release, so that lines about it cannot be judged.
func Unassigned(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs)
}

// OptionException gives the reason why a program that resolves names lets a line pass
// that the test, with all options on, counts as an error; "" if there is none.
func OptionException(l Line) string {
	dotted := strings.Trim(l.ASCII, ".")+"." == l.ASCII
	switch {
	case dotted && slices.Equal(l.AStatus, []string{"A4_2"}):
		return "VerifyDnsLength: the root's empty label makes an absolute name, which is no error to us"
	case slices.Equal(l.AStatus, []string{"V2"}) && reservedASCII(l.ASCII):
		return "CheckHyphens: `--` in a label of plain ASCII passes (Host.Hints reports it)"
	}
	return ""
}

func reservedASCII(name string) bool {
	for l := range strings.SplitSeq(name, ".") {
		if len(l) >= 4 && l[2:4] == "--" && !strings.HasPrefix(l, "xn--") {
			return true
		}
	}
	return false
}
