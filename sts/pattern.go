package sts

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/mxauth/mxauth/rfc6125"
)

// Limits of a host name in its text form (RFC 1035 section 2.3.4, RFC 5321 section
// 4.5.3.1.2): 255 octets on the wire leave 253 in text without a dot at the end.
const (
	maxLabel = 63
	maxHost  = 253
)

// A Pattern is the value of an mx field: a host name, or `*.` and a host name. It
// is immutable and comparable; two Patterns are == exactly if they name the same
// hosts. The zero Pattern matches nothing.
//
// A Pattern is kept by the grammar of a policy (RFC 8461 section 3.2: the Domain of
// RFC 5321, so letters, digits, hyphens, and A-labels for an IDN), which is
// narrower than what [rfc6125.Host] takes: a `_` or a U-label makes a policy
// invalid.
type Pattern struct {
	name     string // in lower case, without the "*."
	wildcard bool
}

// ParsePattern reads the value of an mx field. An error wraps [ErrPolicy].
func ParsePattern(s string) (Pattern, error) {
	p, why := parsePattern(s)
	if why != "" {
		return Pattern{}, &SyntaxError{Field: "mx", Text: cutText(s), Why: why, Cure: patternCure(s), Kind: ErrPolicy}
	}
	return p, nil
}

// parsePattern returns in why the rule that s breaks, "" if none.
func parsePattern(s string) (p Pattern, why string) {
	name, wildcard := strings.CutPrefix(s, "*.")
	if name == "" {
		return Pattern{}, "no host name"
	}
	if len(name) > maxHost {
		return Pattern{}, "host name longer than 253 octets"
	}
	var seen byte // the kinds of characters that occur
	start := 0
	for i := 0; i < len(name); i++ {
		k := hostChars[name[i]]
		if k == 0 {
			return Pattern{}, badChar(name[i])
		}
		if k == dot {
			if why = badLabel(name[start:i]); why != "" {
				return Pattern{}, why
			}
			start = i + 1
			continue
		}
		seen |= k
	}
	if why = badLabel(name[start:]); why != "" {
		return Pattern{}, why
	}
	upper, digits := seen&capital != 0, seen == digit
	if digits {
		if _, err := netip.ParseAddr(name); err == nil {
			return Pattern{}, "an IP address"
		}
	}
	if upper {
		name = strings.ToLower(name)
	}
	return Pattern{name, wildcard}, ""
}

// Kinds of characters in a host name; 0 is none.
const (
	letter = 1 << iota
	capital
	digit
	hyphen
	dot
)

// hostChars holds the kind of each octet.
var hostChars = func() (t [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = letter, capital
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = digit
	}
	t['-'], t['.'] = hyphen, dot
	return t
}()

func badChar(c byte) string {
	switch {
	case c >= 0x80: // STS-3.2-08: RFC 8461 section 3.2
		return "not ASCII: an internationalised name must be written as A-labels"
	case c == '*':
		return "\"*\" is allowed only as the whole first label"
	}
	return "not a host name of letters, digits and hyphens"
}

func badLabel(l string) string {
	switch {
	case l == "":
		return "empty label"
	case len(l) > maxLabel:
		return "label longer than 63 octets"
	case l[0] == '-' || l[len(l)-1] == '-':
		return "label begins or ends with a hyphen"
	}
	return ""
}

// patternCure proposes what to write instead of s, which parsePattern refused.
func patternCure(s string) string {
	if t := strings.TrimSuffix(s, "."); t != s {
		if _, why := parsePattern(t); why == "" {
			return fmt.Sprintf("write %q without the dot at its end", t)
		}
	}
	if strings.ContainsAny(s, ", \t") {
		return "write one host in a line, each with its own \"mx:\""
	}
	if strings.HasPrefix(s, ".") {
		if _, why := parsePattern("*" + s); why == "" {
			return fmt.Sprintf("write %q for any one label before it", "*"+s)
		}
	}
	name, wildcard := strings.CutPrefix(s, "*.")
	if h, err := rfc6125.ParseHost(name); err == nil {
		if p := (Pattern{h.String(), wildcard}); p.String() != s {
			if _, why := parsePattern(p.String()); why == "" {
				return fmt.Sprintf("write %q", p.String())
			}
		}
	}
	return "write the host name as in the MX record"
}

// IsValid reports whether p names any host: the zero Pattern does not.
func (p Pattern) IsValid() bool { return p.name != "" }

// String prints the pattern as in a policy, in lower case; "" for the zero Pattern.
func (p Pattern) String() string {
	if p.wildcard {
		return "*." + p.name
	}
	return p.name
}

// MarshalText prints p as [Pattern.String] does.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Match reports whether the MX host is one that the pattern names; `*.` matches
// exactly one label (RFC 8461 section 4.1). The host is that of the MX record, never
// a CNAME target or a name in a certificate. The zero Host matches nothing. Match
// allocates nothing.
func (p Pattern) Match(h rfc6125.Host) bool {
	s := h.String()
	if p.name == "" {
		return false
	}
	if p.wildcard {
		_, s, _ = strings.Cut(s, ".")
	}
	return s == p.name
}
