package htmlpage_test

import (
	"errors"
	"html/template"
	"io"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/internal/htmlpage"
)

// An outcome has a String method, as the enums of a page do.
type outcome int

func (o outcome) String() string { return []string{"refused <now>", "delivered"}[o] }

type item struct{ Name, Note string }

type inner struct{ Deep string }

type data struct {
	*inner
	Text    string
	N       int
	Outcome outcome
	Items   []item
	None    *item
	Any     any
	Raw     template.HTML
}

var funcs = template.FuncMap{
	"link":  func(s string) template.URL { return template.URL("https://example.org/" + s) },
	"both":  func(a string, n int) string { return strings.Repeat(a, n) },
	"bold":  func(s string) template.HTML { return "<b>" + template.HTML(template.HTMLEscapeString(s)) + "</b>" },
	"named": func(i item) string { return i.Name },
}

// templates use all of the language that Parse knows.
var templates = []string{
	`<p class="a {{.Text}}">{{.Text}} {{.N}} {{.Outcome}}</p>`,
	`{{if .Text}}<b>{{.Text}}</b>{{else if .N}}{{.N}}{{else}}none{{end}}`,
	`{{if and .N (not .None)}}x{{end}}{{if or .None .Text}}y{{end}}{{if not .N}}z{{end}}`,
	`<i {{if .N}} title="{{.Text}}"{{end}}>{{with .None}}{{.Name}}{{else}}no{{end}}</i>`,
	`{{range .Items}}<li>{{.Name}}: {{$.Text}} {{named .}}</li>{{else}}empty{{end}}`,
	`{{range $i, $e := .Items}}{{if $i}}, {{end}}{{$e.Name}}{{end}}`,
	`{{range $e := .Items}}{{with $n := $e.Note}}{{$n}}{{.}}{{end}}{{end}}`,
	`{{$x := .Text}}{{$x}}{{if .N}}{{$x := .N}}{{$x}}{{end}}{{$x}}`,
	`<a href="{{link "a?b=c"}}">{{bold .Text}}</a>{{.Raw}}{{both "ab" .N}}`,
	`<style>p { color: red }</style><title>{{.Deep}}</title>{{/* not seen */}} {{- .Any -}} x`,
}

// TestSameAsTemplate: the bytes are those of html/template.
func TestSameAsTemplate(t *testing.T) {
	all := []data{
		{inner: &inner{}},
		{inner: &inner{"d<e>"}, Text: `"><script>alert('1')</script>&amp;+` + "\x00`", N: 2, Outcome: 1, Any: "x<", Raw: "<hr>",
			Items: []item{{"one", `"`}, {"two & three", ""}}},
	}
	for _, text := range templates {
		for i := range all {
			got, want := both(t, text, &all[i])
			if got != want {
				t.Errorf("%s\n%q, html/template has\n%q", text, got, want)
			}
		}
	}
}

// both executes a text by both packages.
func both(t *testing.T, text string, d *data) (got, want string) {
	t.Helper()
	var a, b strings.Builder
	if err := htmlpage.Must("ours", text, funcs).Execute(&a, d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := template.Must(template.New("theirs").Funcs(funcs).Parse(text)).Execute(&b, d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a.String(), b.String()
}

// FuzzValue: whatever a value holds, it is written as html/template does.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"", "<", `"'&+`, "\x00\xff", "a=b", "</title>", "-->"} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		d := &data{inner: &inner{s}, Text: s, N: n % 3, Items: []item{{s, s}}}
		d.N = max(d.N, 0)
		for _, text := range templates {
			if got, want := both(t, text, d); got != want {
				t.Errorf("%s\n%q, html/template has\n%q", text, got, want)
			}
		}
	})
}

// TestRefused: what cannot be escaped, and what the package does not know, is refused when the
// template is read, not when the page is asked for.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`<p class={{.Text}}>`:                     "outside of quotes",
		`<p {{.Text}}>`:                           "outside of quotes",
		`<{{.Text}}>`:                             "outside of quotes",
		`<style>{{.Text}}</style>`:                "a value in <style>",
		`<script>if (a < "b") {{.Text}}</script>`: "a value in <script>",
		`<p style="{{.Text}}">`:                   "attribute style",
		`<p onclick="{{.Text}}">`:                 "attribute onclick",
		`<a href="{{.Text}}">`:                    "not of a function for links",
		`<a href="/x{{both "a" 1}}">`:             "not supported",
		`<p title="{{bold .Text}}">`:              "HTML in the attribute",
		`<p {{if .N}}title="{{end}}x">`:           "different places",
		`{{range .Items}}<p {{end}}>`:             "different places",
		`<p title="`:                              "inside of a tag",
		`{{.Text | bold}}`:                        "not supported",
		`{{template "x"}}`:                        "not supported",
		`{{define "x"}}{{end}}`:                   "define",
		`{{range .Items}}{{break}}{{end}}`:        "not supported",
		`{{.Text .N}}`:                            "arguments without a function",
		`{{$x := .N}}{{$x = .N}}`:                 "not supported",
		`{{len .Items}}`:                          "not defined",
		`{{(.Items).Name}}`:                       "not supported",
		`{{if}}x{{end}}`:                          "missing value",
	} {
		_, err := htmlpage.Parse("t", text, funcs)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// TestExecuteFails: a field that is not there, and a writer that fails, are errors.
func TestExecuteFails(t *testing.T) {
	for text, want := range map[string]string{
		`{{.Missing}}`:           "no such field",
		`{{.None.Name}}`:         "not a field of a struct",
		`{{.Text.Name}}`:         "not a field of a struct",
		`{{.Deep}}`:              "nil",
		`{{range .Text}}{{end}}`: "range over string",
		`{{named .Text}}`:        "not of type",
		`{{both .Text}}`:         "1 arguments",
	} {
		err := htmlpage.Must("t", text, funcs).Execute(io.Discard, &data{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := htmlpage.Must("t", "a", nil).Execute(brokenWriter{}, nil); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}
