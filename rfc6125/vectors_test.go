package rfc6125_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/hostmatch"
	"github.com/mxauth/mxauth/rfc6125"
)

func table[T hostmatch.Row | hostmatch.Conflict | hostmatch.NameRow | hostmatch.ConstraintRow](t *testing.T, file string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join(vectors.Dir(t, "rfc6125"), file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := hostmatch.Read[T](f)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return rows
}

// reference makes a reference identifier of a name as the DNS would hold it;
// what is no host name gives the zero Reference, which matches nothing.
func reference(s string) rfc6125.Reference {
	n, err := rfc6125.ParseName(strings.ReplaceAll(s, `\`, `\\`))
	if err != nil {
		return rfc6125.Reference{}
	}
	h, err := rfc6125.HostFromName(n)
	if err != nil {
		return rfc6125.Reference{}
	}
	return rfc6125.NewReference(h)
}

// matchOne judges one presented name, in a dNSName or a Common Name.
func matchOne(pattern, via string, ref rfc6125.Reference, o rfc6125.Options) bool {
	if via == "cn" {
		return rfc6125.ParsePresented(nil, subject(cn(pattern))).Match([]rfc6125.Reference{ref}, o).OK
	}
	return rfc6125.ParsePresented(san(dnsName(pattern)), nil).Match([]rfc6125.Reference{ref}, o).OK
}

func TestHostmatchVectors(t *testing.T) {
	differ := 0
	for i, row := range table[hostmatch.Row](t, "hostmatch.jsonl") {
		t.Run(fmt.Sprintf("%d %q %q", i, row.Pattern, row.Host), func(t *testing.T) {
			ref := reference(row.Host)
			got := matchOne(row.Pattern, row.Via, ref, rfc6125.Options{})
			if row.Via == "cn" && got {
				t.Fatal("a Common Name counts under RFC 9525")
			}
			if row.Via == "cn" {
				got = matchOne(row.Pattern, row.Via, ref, rfc6125.Options{CNID: true})
			}
			if got != row.RFC9525 {
				t.Errorf("match %v, want %v (%s)", got, row.RFC9525, row.Note)
			}
			mta := row.RFC9525
			if row.MTA != nil {
				mta = *row.MTA
			}
			if got := matchOne(row.Pattern, row.Via, ref, rfc6125.Options{CNID: true, NoTopLevelWildcard: true}); row.MTA != nil && got != mta {
				t.Errorf("with NoTopLevelWildcard: match %v, want %v", got, mta)
			}
		})
		if row.Match != row.RFC9525 {
			differ++
		}
	}
	t.Logf("the suites differ from RFC 9525 in %d rows", differ)
}

func TestConflictVectors(t *testing.T) {
	for i, row := range table[hostmatch.Conflict](t, "conflicts.jsonl") {
		t.Run(fmt.Sprintf("%d %q %q", i, row.Pattern, row.Host), func(t *testing.T) {
			ref := reference(row.Host)
			if got := matchOne(row.Pattern, "san-dns", ref, rfc6125.Options{}); got != row.RFC9525 {
				t.Errorf("match %v, want %v: %s", got, row.RFC9525, row.Why)
			}
			if got := matchOne(row.Pattern, "san-dns", ref, rfc6125.Options{NoTopLevelWildcard: true}); got != row.MTA {
				t.Errorf("as an MTA: match %v, want %v: %s", got, row.MTA, row.Why)
			}
		})
	}
}

// nameException gives the reason why a suite's verdict on a presented name is
// not ours, "" if it should be. Each is a rule, none is about one row.
func nameException(row hostmatch.NameRow, ours bool) string {
	suite := *row.ValidPresented
	labels := strings.Split(row.Name, ".")
	switch {
	case suite && !ours && hyphenAtEnd(labels):
		return "Go and BoringSSL let a label end in a hyphen; RFC 5280 wants the preferred name syntax"
	case suite && !ours && strings.Contains(labels[0], "*") && labels[0] != "*" && strings.Contains(row.Note, "syntax check only"):
		return "service-identity refuses a partial wildcard only when it compares"
	case !suite && ours && len(labels) == 2 && labels[0] == "*":
		return "RFC 9525 sets no minimum of labels below a wildcard; Options.NoTopLevelWildcard does"
	}
	return ""
}

func hyphenAtEnd(labels []string) bool {
	for _, l := range labels {
		if strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") {
			return true
		}
	}
	return false
}

func TestNameValidVectors(t *testing.T) {
	for i, row := range table[hostmatch.NameRow](t, "namevalid.jsonl") {
		t.Run(fmt.Sprintf("%d %q", i, row.Name), func(t *testing.T) {
			if want := row.ValidReference; want != nil {
				if got := reference(row.Name).IsValid(); got != *want {
					t.Errorf("reference: valid %v, want %v", got, *want)
				}
			}
			if want := row.ValidPresented; want != nil {
				id := rfc6125.Identify(row.Name)
				got := id.Invalid == ""
				why := nameException(row, got)
				switch {
				case got != *want && why == "":
					t.Errorf("presented: valid %v (%s), want %v", got, id.Invalid, *want)
				case got != *want:
					t.Logf("exception: %s", why)
				}
			}
		})
	}
}

func TestConstraintVectors(t *testing.T) {
	for i, row := range table[hostmatch.ConstraintRow](t, "dnsconstraint.jsonl") {
		t.Run(fmt.Sprintf("%d %q %q %s", i, row.Presented, row.Constraint, row.Subtree), func(t *testing.T) {
			tree, err := rfc6125.ParseSubtree(row.Constraint)
			id := rfc6125.Identify(row.Presented)
			if row.Match == nil {
				if err == nil && id.Invalid == "" {
					t.Fatalf("neither is malformed, want %s", row.Error)
				}
				// The suite names one of the two where both are malformed.
				if strings.Contains(row.Error, "Constraint") && err == nil {
					t.Errorf("ParseSubtree accepts %q, want %s", row.Constraint, row.Error)
				}
				if strings.Contains(row.Error, "Identifier") && id.Invalid == "" {
					t.Errorf("Identify accepts %q, want %s", row.Presented, row.Error)
				}
				return
			}
			if err != nil || id.Invalid != "" {
				t.Fatalf("constraint: %v, presented: %s", err, id.Invalid)
			}
			got := tree.Permits(id)
			if row.Subtree == "excluded" {
				got = tree.Excludes(id)
			}
			if got != *row.Match {
				t.Errorf("got %v, want %v", got, *row.Match)
			}
		})
	}
}
