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

// upper returns a clause as the beginning of a sentence. Host names stay as they are.
func upper(clause string) string {
	if rest, ok := strings.CutPrefix(clause, "the "); ok {
		return "The " + rest
	}
	return clause
}

// renew is the cure of a certificate that has expired: the host's own, or the one of its
// issuer that the host sends.
func renew(own bool, host string) string {
	if own {
		return "Renew the certificate of " + host + ", reload the mail server, and find out why it was not renewed automatically."
	}
	return "Have " + host + " send the present certificate of its CA (intermediate): the one that it sends has expired, its own has not."
}

// namesOf lists the names of a certificate as [rfc6125.Presented.Names] prints them. A
// Common Name that is one of the others is not listed twice.
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
