package register

import (
	"fmt"
	"html/template"
	"io"
	"sort"
	"strings"
)

// A Summary counts the rows of one package.
type Summary struct {
	Package                                            string
	Rows, Shown, Binding, BindingShown, Excused, Other int
}

// Summaries counts by package, with a last line for all.
func (t Table) Summaries() []Summary {
	by := map[string]*Summary{}
	all := Summary{Package: "all"}
	for _, r := range t.Rows {
		s := by[r.Package]
		if s == nil {
			s = &Summary{Package: r.Package}
			by[r.Package] = s
		}
		for _, s := range []*Summary{s, &all} {
			s.Rows++
			if r.Binding() {
				s.Binding++
			}
			switch r.State() {
			case "shown":
				s.Shown++
				if r.Binding() {
					s.BindingShown++
				}
			case "excused":
				s.Excused++
			default:
				s.Other++
			}
		}
	}
	var out []Summary
	for _, s := range by {
		out = append(out, *s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Package < out[j].Package })
	return append(out, all)
}

// WriteText prints the table for a terminal: one line a requirement, with the subtests
// that carry its id below it if verbose.
func (t Table) WriteText(w io.Writer, verbose bool) error {
	var b strings.Builder
	for _, r := range t.Rows {
		fmt.Fprintf(&b, "%-8s %-24s %-10s %s\n", r.State(), r.ID, r.Level, r.Text)
		if r.State() == "excused" {
			fmt.Fprintf(&b, "         because: %s\n", r.Excuse)
		}
		if verbose {
			for _, x := range r.Tests {
				fmt.Fprintf(&b, "         %-5s %s %s\n", x.Result, x.Package, x.Name)
			}
		}
	}
	for _, s := range t.Summaries() {
		fmt.Fprintf(&b, "%-8s %d of %d shown, of MUST and MUST NOT %d of %d, %d excused, %d neither\n",
			s.Package, s.Shown, s.Rows, s.BindingShown, s.Binding, s.Excused, s.Other)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown prints the table as a Markdown page.
func (t Table) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Requirements and the tests that show them\n\n| package | rows | shown | MUST and MUST NOT | shown | excused | neither |\n|---|---|---|---|---|---|---|\n")
	for _, s := range t.Summaries() {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d |\n", s.Package, s.Rows, s.Shown, s.Binding, s.BindingShown, s.Excused, s.Other)
	}
	b.WriteString("\n| id | level | RFC | state | requirement | subtests |\n|---|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, r := range t.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s s.%s | %s | %s | %s |\n", r.ID, r.Level, r.RFC, r.Section, r.State(), cell.Replace(r.Text), cell.Replace(evidence(r)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// evidence names where the row is shown: test functions, each once, or the excuse.
func evidence(r Row) string {
	if r.State() == "excused" {
		return r.Excuse
	}
	var names []string
	seen := map[string]bool{}
	for _, t := range r.Tests {
		fn, _, _ := strings.Cut(t.Name, "/")
		s := t.Package[strings.LastIndexByte(t.Package, '/')+1:] + "." + fn
		if !seen[s] {
			seen[s] = true
			names = append(names, s)
		}
	}
	return strings.Join(names, ", ")
}

// WriteHTML prints the table as a page of its own.
func (t Table) WriteHTML(w io.Writer) error {
	return page.Execute(w, t)
}

var page = template.Must(template.New("register").Funcs(template.FuncMap{"evidence": evidence}).Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>mxauth: requirements</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d8dee4}
th{position:sticky;top:0;background:#fff}
td.shown{color:#116329}td.excused{color:#7a5200}td.missing,td.failed,td.skipped{color:#a40e26;font-weight:600}
code{font-size:13px;white-space:nowrap}
</style>
<h1>Requirements and the tests that show them</h1>
<table><tr><th>package<th>rows<th>shown<th>MUST, MUST NOT<th>shown<th>excused<th>neither</tr>
{{range .Summaries}}<tr><td>{{.Package}}<td>{{.Rows}}<td>{{.Shown}}<td>{{.Binding}}<td>{{.BindingShown}}<td>{{.Excused}}<td>{{.Other}}</tr>
{{end}}</table>
<table><tr><th>id<th>level<th>RFC<th>state<th>requirement<th>shown by</tr>
{{range .Rows}}<tr><td><code>{{.ID}}</code><td>{{.Level}}<td>{{.RFC}} s.{{.Section}}<td class="{{.State}}">{{.State}}<td>{{.Text}}<td>{{evidence .}}</tr>
{{end}}</table>
</html>
`))
