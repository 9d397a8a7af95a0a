package lint

import (
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
)

// signed says what DNSSEC makes of an answer.
func signed(s dnssec.Status) string {
	switch s {
	case dnssec.Secure:
		return "signed"
	case dnssec.Insecure:
		return "not signed"
	}
	return s.String()
}

// namesOf lists the names of a certificate as [rfc6125.Presented.Names] prints them. A
// Common Name that is one of the others is not told twice.
func namesOf(names []string) string {
	var out []string
	for _, n := range names {
		cn, isCN := strings.CutPrefix(n, "CN=")
		switch {
		case isCN && slices.Contains(names, cn):
		case isCN:
			out = append(out, cn+" (as Common Name)")
		default:
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return "the certificate has no name"
	}
	return "the certificate names " + strings.Join(out, ", ")
}
