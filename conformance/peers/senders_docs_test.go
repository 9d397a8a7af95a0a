package peers_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update writes the documents that come out of deliveries.
var update = flag.Bool("update", false, "write docs/deviations.md and docs/scoreboard.md from this run")

// held compares a document with what a run has made of it, and writes it with -update. It is
// not compared where another Postfix runs than the one that it speaks of.
func (w *mailWorld) held(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("../../docs", name)
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range w.postfix {
		if !strings.Contains(string(want), "Postfix "+minor(s.Version)) {
			t.Logf("docs/%s does not speak of Postfix %s, and is not compared", name, s.Version)
			return
		}
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("docs/%s says something else (go test ./conformance/peers -run TestSenders -update writes it): -want +got\n%s", name, diff)
	}
}

// A deviation is one constant of engine/mtapolicy with its comment.
type deviation struct{ id, text string }

// deviations reads the constants of type DeviationID from the source of engine/mtapolicy.
func deviations(t *testing.T) (out []deviation) {
	t.Helper()
	const dir = "../../engine/mtapolicy"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "DeviationID" {
					continue
				}
				word := strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`)
				text := strings.TrimSpace(v.Comment.Text())
				if text == "" {
					t.Errorf("deviation %s has no comment", word)
				}
				weak := "stricter"
				if strings.HasPrefix(v.Names[0].Name, "Weaker") {
					weak = "weaker"
				}
				out = append(out, deviation{word, weak + " | " + strings.ToUpper(text[:1]) + text[1:]})
			}
		}
	}
	return out
}

// document holds docs/deviations.md.
func (w *mailWorld) document(t *testing.T, found []difference, deliveries, situations int) {
	var b strings.Builder
	fmt.Fprintf(&b, `# Where a mail server does something else than the plan

`+"`mxauth serve`"+` gives a mail server one answer for a domain; the plan speaks of each host. Where the answer cannot say all of it, the reply names a deviation: in the log line (`+"`deviations=`"+`), in `+"`mxauth ask`"+` and in `+"`mxauth_deviations_total`"+`.

This page is made by a test that delivers real mail (`+"`go test ./conformance/peers -run TestSenders -update`"+`): Debian's Postfix %s, asking in the plain form, and Postfix %s, asking in the extended form, each with `+"`smtp_tls_security_level`"+` dane and may, send a message to each of %d situations of the lab, %d deliveries in all. What the log and the servers say is compared with the engine's decision for the host that took the message. A difference without a row here fails the test.

## Deviations of an answer

| id | | |
| --- | --- | --- |
`, minor(w.postfix["host"].Version), minor(w.postfix["trixie"].Version), situations, deliveries)
	for _, d := range deviations(t) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", d.id, d.text)
	}
	b.WriteString("\n## Ways of Postfix itself\n\nThey show after the answer, so no answer names them.\n\n| id | |\n| --- | --- |\n")
	for _, id := range slices.Sorted(maps.Keys(causes)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", id, causes[id])
	}
	fmt.Fprintf(&b, "\n## What was seen\n\n%d of the %d deliveries differ. \"All\" is every Postfix and level.\n\n| situation | Postfix, level | the engine | Postfix | why |\n| --- | --- | --- | --- | --- |\n", len(found), deliveries)
	for _, r := range w.seen(found) {
		b.WriteString(r)
	}
	w.held(t, "deviations.md", b.String())
}

// seen are the rows of the differences: weaker first, one for each situation and way of
// differing.
func (w *mailWorld) seen(found []difference) []string {
	type row struct {
		head, tail string
		weak       bool
		by         []string
	}
	var rows []*row
	for _, d := range found {
		via := d.check.Outcome.String()
		if d.check.Via.IsValid() {
			via += " by " + firstLabel(d.check.Via.String())
		}
		did := string(d.kind)
		if d.got.Status == "sent" {
			did += ": " + firstLabel(d.got.Host)
		}
		r := &row{head: fmt.Sprintf("| `%s`: %s |", d.Name, d.About), tail: fmt.Sprintf("| %s | %s | `%s` |\n", via, did, d.why), weak: d.kind.weaker()}
		i := slices.IndexFunc(rows, func(o *row) bool { return o.head == r.head && o.tail == r.tail })
		if i < 0 {
			rows = append(rows, r)
			i = len(rows) - 1
		}
		rows[i].by = append(rows[i].by, w.label(d.variant))
	}
	slices.SortStableFunc(rows, func(a, b *row) int {
		if a.weak != b.weak {
			return map[bool]int{true: -1, false: 1}[a.weak]
		}
		return strings.Compare(a.head+a.tail, b.head+b.tail)
	})
	all := 0
	for _, v := range variants {
		if v.asksMxauth() && !v.cured {
			all++
		}
	}
	var out []string
	for _, r := range rows {
		by := strings.Join(r.by, "; ")
		if len(slices.DeleteFunc(slices.Clone(r.by), func(s string) bool { return strings.Contains(s, "insecure") })) == all {
			by = "all"
		}
		out = append(out, r.head+" "+by+" "+r.tail)
	}
	return out
}

// label names a variant in the documents.
func (w *mailWorld) label(v variant) string {
	s := minor(w.postfix[v.sender].Version) + " " + v.level
	if v.cured {
		s += " with `smtp_tls_dane_insecure_mx_policy = dane`"
	}
	return s
}

// minor is the version without its last number, which changes with Debian's updates.
func minor(version string) string {
	return version[:strings.LastIndexByte(version, '.')]
}

// firstLabel shortens a host name of the lab; addresses stay.
func firstLabel(host string) string {
	if host != "" && host[0] >= '0' && host[0] <= '9' {
		return "an address"
	}
	label, _, _ := strings.Cut(host, ".")
	return label
}
