package rfc6125

import (
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
)

// ErrSubtree is wrapped by the errors of [ParseSubtree]: the text is no dNSName
// constraint. A certificate with such a constraint is to be rejected.
var ErrSubtree = fault.New("rfc6125", "not a dNSName constraint")

// A Subtree is a dNSName of a name constraint (RFC 5280 section 4.2.1.10): the
// names that it covers are the base itself and every name made from it by
// adding labels on the left.
//
// A wildcard represents every name that it could match, so it is judged from
// the two sides differently: it is inside a permitted subtree only if all of
// those names are, and it meets an excluded subtree as soon as one of them is
// in it. Treating the asterisk as one more label, as RFC 5280 alone would have
// it, lets `*.example.com` slip past an exclusion of `www.example.com`.
//
// A Subtree is immutable and comparable. The zero Subtree covers every name, as
// the empty constraint does.
type Subtree struct {
	base string // lower case; "" covers everything
	sub  bool   // a leading dot: at least one more label
}

// ParseSubtree reads the text of a dNSName constraint. Empty text covers every
// name. A leading dot, which RFC 5280 knows only for URIs but which CAs have
// written here too, means that at least one label must be added. Errors wrap
// [ErrSubtree].
func ParseSubtree(s string) (Subtree, error) {
	if s == "" {
		return Subtree{}, nil
	}
	base := strings.ToLower(s)
	base, sub := strings.CutPrefix(base, ".")
	if !isASCII(s) {
		return Subtree{}, fmt.Errorf("%w: %q: octets that are not ASCII", ErrSubtree, text.Cut(s, maxInput))
	}
	if why := checkHost(base, strictHyphens); why != "" {
		return Subtree{}, fmt.Errorf("%w: %q: %s", ErrSubtree, text.Cut(s, maxInput), why)
	}
	return Subtree{base, sub}, nil
}

// String prints t as [ParseSubtree] reads it.
func (t Subtree) String() string {
	if t.sub {
		return "." + t.base
	}
	return t.base
}

// Permits reports whether every name that id can match lies within t. It is
// false for a name that is not valid ([Identifier.Invalid]) or is no name of a
// host: such a name lies nowhere.
func (t Subtree) Permits(id Identifier) bool {
	if id.name == "" {
		return false
	}
	if id.wildcard {
		// *.name is one label below name, so it is within t exactly if name is,
		// or is the base of t whose own name is left out.
		return t.base == "" || id.name == t.base || isBelow(id.name, t.base)
	}
	return t.covers(id.name)
}

// Excludes reports whether some name that id can match lies within t. It is
// true for a name that is not valid, so that nothing escapes by being odd.
func (t Subtree) Excludes(id Identifier) bool {
	if id.name == "" || !id.wildcard {
		return id.name == "" || t.covers(id.name)
	}
	if t.Permits(id) {
		return true
	}
	// The base itself may be one of the names: exactly one label below.
	_, parent, _ := strings.Cut(t.base, ".")
	return !t.sub && parent == id.name
}

// covers reports whether a name without a wildcard lies within t.
func (t Subtree) covers(name string) bool {
	if t.base == "" {
		return true
	}
	return !t.sub && name == t.base || isBelow(name, t.base)
}

// isBelow reports whether name is base with at least one more label.
func isBelow(name, base string) bool {
	n := len(name) - len(base)
	return n > 0 && name[n-1] == '.' && name[n:] == base
}

// Identify makes a DNS-ID of text as a dNSName would hold it, for callers who
// judge a name by itself; [Identifier.Invalid] says what is wrong with it.
func Identify(dnsName string) Identifier {
	id := Identifier{Kind: DNSID, Form: formDNS, Text: text.ASCII(dnsName, maxShown)}
	id.setName(dnsName)
	return id
}
