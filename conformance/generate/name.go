package generate

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// up cuts the first label off; the root's parent is the root.
func up(name string) string {
	_, rest, found := strings.Cut(name, ".")
	if !found || rest == "" {
		return "."
	}
	return rest
}

// join puts labels in front of a name.
func join(labels, name string) string {
	if labels == "" {
		return name
	}
	return labels + "." + strings.TrimPrefix(name, ".")
}

// ranked is a text that sorts as the name does canonically (RFC 4034 section 6.1):
// its labels from the last on, each behind a zero. Names here are in lower case and hold
// no escapes.
func ranked(name string) string {
	labels := dns.SplitDomainName(name)
	slices.Reverse(labels)
	return strings.Join(append(labels, ""), "\x00")
}

// ancestors are the names from below apex down to name.
func ancestors(name, apex string) (out []string) {
	for n := name; n != apex; n = up(n) {
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}
