package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/sts"
)

// serialNumber is how package pkix calls a certificate that has no better name: of no use
// to a person.
var serialNumber = regexp.MustCompile(`serial number [0-9a-f]+: `)

// inWords puts errors of other packages into the words of a list of evidence, without what
// the sentence above it says already.
var inWords = strings.NewReplacer(
	sts.ErrFetchWebPKI.Error()+": ", "",
	sts.ErrFetch.Error()+": ", "",
	dnssec.ErrLookup.Error()+": ", "",
	pkix.ErrNoAnchor.Error(), "leads to no trusted CA",
	pkix.ErrName.Error(), "has another name",
	pkix.ErrUntrusted.Error()+": ", "",
	"it is its own issuer and no anchor", "it is self-signed",
	"its issuer was not presented and is no anchor", "its issuer was not sent and is no trusted CA",
	"tlsrpt: ", "",
)

// cause is an error as a line of evidence.
func cause(err error) string { return causeText(err.Error()) }

func causeText(s string) string { return serialNumber.ReplaceAllString(inWords.Replace(s), "") }

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
