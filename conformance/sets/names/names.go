package names

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/hostmatch"
	"github.com/mxauth/mxauth/rfc6125"
)

// Hostmatch judges the tables about names in certificates. The verdict asserted is
// that of the field rfc9525; a Common Name is judged by the same pattern rule, with the
// option that lets one count.
func Hostmatch(_ context.Context, dir string) ([]sets.Result, error) {
	return sets.Join(
		func() ([]sets.Result, error) {
			return sets.Table(dir, "hostmatch.jsonl", hostmatch.Read[hostmatch.Row],
				func(_ int, r hostmatch.Row) sets.Result { return judgeRow(r) })
		},
		func() ([]sets.Result, error) {
			return sets.Table(dir, "conflicts.jsonl", hostmatch.Read[hostmatch.Conflict],
				func(_ int, r hostmatch.Conflict) sets.Result {
					p := presents(r.Pattern, "san-dns")
					return sets.Result{
						Case: fmt.Sprintf("conflicts %q %q", r.Pattern, r.Host),
						Got:  matchWord(p, r.Host, rfc6125.Options{}) + ", as an MTA " + matchWord(p, r.Host, rfc6125.Options{NoTopLevelWildcard: true}),
						Want: sets.Word(r.RFC9525, "match", "no match") + ", as an MTA " + sets.Word(r.MTA, "match", "no match"),
					}
				})
		},
		func() ([]sets.Result, error) {
			return sets.Table(dir, "namevalid.jsonl", hostmatch.Read[hostmatch.NameRow],
				func(_ int, r hostmatch.NameRow) sets.Result { return judgeName(r) })
		},
		func() ([]sets.Result, error) {
			return sets.Table(dir, "dnsconstraint.jsonl", hostmatch.Read[hostmatch.ConstraintRow], func(_ int, r hostmatch.ConstraintRow) sets.Result { return judgeConstraint(r) })
		},
	)
}

// judgeRow asserts the verdict for any client and, where the row has one, for an MTA that
// wants two labels below a wildcard.
func judgeRow(r hostmatch.Row) sets.Result {
	p, cn := presents(r.Pattern, r.Via), r.Via == "cn"
	res := sets.Result{
		Case: fmt.Sprintf("hostmatch %s %s %q %q", r.Source, r.Via, r.Pattern, r.Host),
		Got:  matchWord(p, r.Host, rfc6125.Options{CNID: cn}),
		Want: sets.Word(r.RFC9525, "match", "no match"),
	}
	if r.MTA != nil {
		res.Got += ", as an MTA " + matchWord(p, r.Host, rfc6125.Options{CNID: cn, NoTopLevelWildcard: true})
		res.Want += ", as an MTA " + sets.Word(*r.MTA, "match", "no match")
	}
	if cn && p.Match([]rfc6125.Reference{Reference(r.Host)}, rfc6125.Options{}).OK {
		res.Got = "a Common Name counts without the option"
	}
	return res
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

// Reference is the reference identifier of a host as the DNS would hold it; what is no host name gives the zero
// Reference, which matches nothing. A backslash in a vector is that character.
func Reference(host string) rfc6125.Reference {
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
	return sets.Word(p.Match([]rfc6125.Reference{Reference(host)}, o).OK, "match", "no match")
}

// judgeName asserts whether a name may be a reference and a presented identifier. Three
// rules of the suites are not RFC 9525's; they are recognised by the name's form.
func judgeName(r hostmatch.NameRow) sets.Result {
	res := sets.Result{Case: fmt.Sprintf("namevalid %s %q", r.Source, r.Name)}
	var got, want []string
	if r.ValidReference != nil {
		got = append(got, "reference "+sets.Word(Reference(r.Name).IsValid(), "valid", "invalid"))
		want = append(want, "reference "+sets.Word(*r.ValidReference, "valid", "invalid"))
	}
	if r.ValidPresented != nil {
		ours := rfc6125.Identify(r.Name).Invalid == ""
		got = append(got, "presented "+sets.Word(ours, "valid", "invalid"))
		want = append(want, "presented "+sets.Word(*r.ValidPresented, "valid", "invalid"))
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

func judgeConstraint(r hostmatch.ConstraintRow) sets.Result {
	res := sets.Result{Case: fmt.Sprintf("dnsconstraint %q %q %s", r.Presented, r.Constraint, r.Subtree)}
	tree, err := rfc6125.ParseSubtree(r.Constraint)
	id := rfc6125.Identify(r.Presented)
	inside := tree.Permits
	if r.Subtree == "excluded" {
		inside = tree.Excludes
	}
	// Where both are malformed the suite names one of the two.
	constraint, presented := strings.Contains(r.Error, "Constraint"), strings.Contains(r.Error, "Identifier")
	switch {
	case err == nil && id.Invalid == "":
		res.Got = sets.Word(inside(id), "inside", "outside")
	case constraint && err == nil:
		res.Got = "malformed identifier"
	case presented && id.Invalid == "":
		res.Got = "malformed constraint"
	default:
		res.Got = "malformed"
	}
	switch {
	case r.Match == nil:
		res.Want = "malformed"
	default:
		res.Want = sets.Word(*r.Match, "inside", "outside")
	}
	return res
}
