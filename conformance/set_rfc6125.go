package conformance

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"os"
	"strings"

	"github.com/mxauth/mxauth/conformance/vectors/hostmatch"
	"github.com/mxauth/mxauth/rfc6125"
)

// runHostmatch judges the tables about names in certificates. The verdict asserted is
// that of the field rfc9525; a Common Name is judged by the same pattern rule, with the
// option that lets one count.
func runHostmatch(_ context.Context, dir string) ([]Result, error) {
	return join(
		func() ([]Result, error) {
			return table(dir, "hostmatch.jsonl", func(f *os.File) ([]hostmatch.Row, error) { return hostmatch.Read[hostmatch.Row](f) },
				func(_ int, r hostmatch.Row) Result {
					return Result{
						Case: fmt.Sprintf("hostmatch %s %s %q %q", r.Source, r.Via, r.Pattern, r.Host),
						Got:  matchWord(presents(r.Pattern, r.Via), r.Host, rfc6125.Options{CNID: r.Via == "cn"}),
						Want: word(r.RFC9525, "match", "no match"),
					}
				})
		},
		func() ([]Result, error) {
			return table(dir, "conflicts.jsonl", func(f *os.File) ([]hostmatch.Conflict, error) { return hostmatch.Read[hostmatch.Conflict](f) },
				func(_ int, r hostmatch.Conflict) Result {
					p := presents(r.Pattern, "san-dns")
					return Result{
						Case: fmt.Sprintf("conflicts %q %q", r.Pattern, r.Host),
						Got:  matchWord(p, r.Host, rfc6125.Options{}) + ", as an MTA " + matchWord(p, r.Host, rfc6125.Options{NoTopLevelWildcard: true}),
						Want: word(r.RFC9525, "match", "no match") + ", as an MTA " + word(r.MTA, "match", "no match"),
					}
				})
		},
		func() ([]Result, error) {
			return table(dir, "namevalid.jsonl", func(f *os.File) ([]hostmatch.NameRow, error) { return hostmatch.Read[hostmatch.NameRow](f) },
				func(_ int, r hostmatch.NameRow) Result { return judgeName(r) })
		},
		func() ([]Result, error) {
			return table(dir, "dnsconstraint.jsonl", func(f *os.File) ([]hostmatch.ConstraintRow, error) {
				return hostmatch.Read[hostmatch.ConstraintRow](f)
			}, func(_ int, r hostmatch.ConstraintRow) Result { return judgeConstraint(r) })
		},
	)
}

// presents makes what a certificate with that one name offers.
func presents(pattern, via string) rfc6125.Presented {
	if via == "cn" {
		subject, err := asn1.Marshal(pkix.Name{CommonName: pattern}.ToRDNSequence())
		if err != nil {
			return rfc6125.Presented{}
		}
		return rfc6125.ParsePresented(nil, subject)
	}
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(pattern)}
	san, err := asn1.Marshal([]asn1.RawValue{name})
	if err != nil {
		return rfc6125.Presented{}
	}
	return rfc6125.ParsePresented(san, nil)
}

// asReference takes a host as the DNS would hold it; what is no host name gives the zero
// Reference, which matches nothing. A backslash in a vector is that character.
func asReference(host string) rfc6125.Reference {
	n, err := rfc6125.ParseName(strings.ReplaceAll(host, `\`, `\\`))
	if err != nil {
		return rfc6125.Reference{}
	}
	h, err := rfc6125.HostFromName(n)
	if err != nil {
		return rfc6125.Reference{}
	}
	return rfc6125.NewReference(h)
}

func matchWord(p rfc6125.Presented, host string, o rfc6125.Options) string {
	return word(p.Match([]rfc6125.Reference{asReference(host)}, o).OK, "match", "no match")
}

// judgeName asserts whether a name may be a reference and a presented identifier. Three
// rules of the suites are not RFC 9525's; they are told by the name's form.
func judgeName(r hostmatch.NameRow) Result {
	res := Result{Case: fmt.Sprintf("namevalid %s %q", r.Source, r.Name)}
	var got, want []string
	if r.ValidReference != nil {
		got = append(got, "reference "+word(asReference(r.Name).IsValid(), "valid", "invalid"))
		want = append(want, "reference "+word(*r.ValidReference, "valid", "invalid"))
	}
	if r.ValidPresented != nil {
		ours := rfc6125.Identify(r.Name).Invalid == ""
		got = append(got, "presented "+word(ours, "valid", "invalid"))
		want = append(want, "presented "+word(*r.ValidPresented, "valid", "invalid"))
		if ours != *r.ValidPresented {
			res.Skip = otherNameRule(r, ours)
		}
	}
	res.Got, res.Want = strings.Join(got, ", "), strings.Join(want, ", ")
	return res
}

// otherNameRule says which rule of the suite's own makes it differ; "" if none does.
func otherNameRule(r hostmatch.NameRow, ours bool) string {
	labels := strings.Split(r.Name, ".")
	hyphen := false
	for _, l := range labels {
		hyphen = hyphen || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-")
	}
	switch {
	case !ours && hyphen:
		return "the suite lets a label begin or end with a hyphen; RFC 5280 section 4.2.1.6 wants the preferred name syntax"
	case !ours && strings.Contains(labels[0], "*") && labels[0] != "*" && strings.Contains(r.Note, "syntax check only"):
		return "the suite refuses a partial wildcard only when it compares"
	case ours && len(labels) == 2 && labels[0] == "*":
		return "RFC 9525 sets no least number of labels below a wildcard; the option NoTopLevelWildcard does"
	}
	return ""
}

func judgeConstraint(r hostmatch.ConstraintRow) Result {
	res := Result{Case: fmt.Sprintf("dnsconstraint %q %q %s", r.Presented, r.Constraint, r.Subtree)}
	tree, err := rfc6125.ParseSubtree(r.Constraint)
	id := rfc6125.Identify(r.Presented)
	inside := tree.Permits
	if r.Subtree == "excluded" {
		inside = tree.Excludes
	}
	switch {
	case err != nil || id.Invalid != "":
		res.Got = "malformed"
	default:
		res.Got = word(inside(id), "inside", "outside")
	}
	switch {
	case r.Match == nil:
		res.Want = "malformed"
	default:
		res.Want = word(*r.Match, "inside", "outside")
	}
	return res
}
