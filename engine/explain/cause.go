package explain

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// Cause is an error as one line of a list of evidence, without the words that the sentence
// above the list has: "mx.example.org A: SERVFAIL: ...", "expired: valid until ...".
func Cause(err error) string {
	var lookup *dnssec.LookupError
	var fetch *sts.FetchError
	var chain *pkix.Error
	var record *tlsrpt.SyntaxError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &fetch):
		return fetchCause(fetch)
	case errors.As(err, &lookup):
		return lookupCause(lookup)
	case errors.As(err, &chain):
		return chainCause(chain)
	case errors.As(err, &record):
		return recordCause(record)
	case errors.Is(err, tlsrpt.ErrSeveral):
		return "no record: several records begin with v=TLSRPTv1"
	case errors.Is(err, tlsrpt.ErrNoRecord):
		return "no record: none begins with v=TLSRPTv1"
	}
	return err.Error()
}

// words are the kinds of failures of other packages in a word or two, without what all
// kinds of a package share.
var words = map[error]string{
	dnssec.ErrBogus:         "bogus",
	dnssec.ErrIndeterminate: "indeterminate",
	dnssec.ErrServFail:      "SERVFAIL",
	dnssec.ErrRefused:       "refused",
	dnssec.ErrTimeout:       "timeout",
	dnssec.ErrUnreachable:   "unreachable",
	dnssec.ErrMalformed:     "malformed",
	dnssec.ErrAliasLoop:     "alias loop",
	dnssec.ErrBudget:        "out of budget",

	sts.ErrFetchDNS:       "dns",
	sts.ErrFetchAddress:   "address not allowed",
	sts.ErrFetchTCP:       "connect",
	sts.ErrFetchTLS:       "tls",
	sts.ErrFetchWebPKI:    "certificate",
	sts.ErrFetchHTTP:      "http",
	sts.ErrFetchStatus:    "http status",
	sts.ErrFetchRedirect:  "redirect",
	sts.ErrFetchMediaType: "media type",
	sts.ErrFetchSize:      "too large",
	sts.ErrFetchTimeout:   "timeout",

	pkix.ErrName:        "no presented name matches",
	pkix.ErrExpired:     "expired",
	pkix.ErrNotYetValid: "not yet valid",
	pkix.ErrConstraint:  "name constraint",
	pkix.ErrPurpose:     "wrong purpose",
	pkix.ErrPathLength:  "path length",
	pkix.ErrExtension:   "unknown critical extension",
	pkix.ErrKey:         "public key not accepted",
	pkix.ErrSignature:   "bad signature",
	pkix.ErrNoAnchor:    "no path to an anchor",
	pkix.ErrBudget:      "work budget used up",
	pkix.ErrMalformed:   "malformed certificate",
	pkix.ErrNoCert:      "no certificate presented",
	pkix.ErrNoTime:      "no time to judge by",
}

// kind is the kind of a failure in a word or two.
func kind(err error) string {
	if w, ok := words[err]; ok {
		return w
	}
	return err.Error()
}

func lookupCause(e *dnssec.LookupError) string {
	parts := []string{e.Question.String()}
	if e.Kind != nil {
		parts = append(parts, kind(e.Kind))
	}
	if s := e.Reason.String(); s != "" {
		parts = append(parts, s)
	}
	text := strings.Join(parts, ": ")
	if errors.Is(e.Kind, dnssec.ErrUnreachable) {
		return e.Question.String() + ": no resolver can be reached" + reached(e)
	}
	if e.Server != "" {
		text += " (server " + e.Server + ")"
	}
	if e.Cause != nil {
		text += ": " + Cause(e.Cause)
	}
	return text
}

func fetchCause(e *sts.FetchError) string {
	var b strings.Builder
	if !errors.Is(e.Kind, sts.ErrFetchWebPKI) && e.Kind != sts.ErrFetch {
		b.WriteString(kind(e.Kind) + ": ")
	}
	b.WriteString(e.Host.String())
	if e.Addr.IsValid() {
		b.WriteString(" (" + e.Addr.String() + ")")
	}
	switch {
	case e.Cause != nil && errors.Is(e.Cause, pkix.ErrUntrusted):
		b.WriteString(": " + Cause(e.Cause))
	case e.Detail != "":
		b.WriteString(": " + e.Detail)
	case e.Cause != nil:
		b.WriteString(": " + Cause(e.Cause))
	}
	if e.Repeated && !e.Until.IsZero() {
		b.WriteString(" (not tried again before " + e.Until.UTC().Format(time.RFC3339) + ")")
	}
	return b.String()
}

func chainCause(e *pkix.Error) string {
	var parts []string
	switch e.Kind {
	case pkix.ErrNoAnchor:
		parts = append(parts, "leads to no trusted CA")
	case pkix.ErrName:
		parts = append(parts, "has another name")
	default:
		parts = append(parts, kind(e.Kind))
	}
	if e.Subject != "" && !e.Unnamed {
		parts = append(parts, e.Subject)
	}
	switch {
	case e.Issuer == pkix.IssuerSelf:
		parts = append(parts, "it is self-signed")
	case e.Issuer == pkix.IssuerMissing:
		parts = append(parts, "its issuer was not sent and is no trusted CA")
	case e.Detail != "":
		parts = append(parts, e.Detail)
	}
	return strings.Join(parts, ": ")
}

func recordCause(e *tlsrpt.SyntaxError) string {
	if e.Text == "" {
		return "malformed record: " + e.Why
	}
	return "malformed record: " + e.Why + ": " + strconv.Quote(e.Text)
}
