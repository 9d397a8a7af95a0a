package page

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/mxauth/mxauth/advise/ladder"
	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
)

//go:embed page.html
var pageText string

//go:embed page.css
var css string

// pages is parsed when it is first used: other verbs of the program do not need it.
var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page.html").Funcs(template.FuncMap{
		"rfc": rfcLink, "source": source, "code": code,
	}).Parse(pageText))
})

// A view is what the template shows. The zero view is the form.
type view struct {
	Field   string // what is in the field
	Fault   string // what is wrong with it; "" for nothing
	Version string
	Result  *result // nil: the form alone
}

// A result is an answer made ready for the template.
type result struct {
	*Answer
	Status  string // class of the verdict
	Name    string // in Unicode
	ASCII   string // as in DNS; "" if it is the same
	Lines   []explain.Line
	Columns int
	Host    []hostView
	Wide    template.HTML
	Narrow  template.HTML
	Words   []wordsLine
	When    string
	Worst   string // of the findings
}

// A hostView is one mail host.
type hostView struct {
	Name, Unicode string
	Preference    string
	Outcome       string
	Status        string
	End           ladder.Step // the last step of its chain
	Lines         []explain.Line
	Addresses     []explain.Line // where they differ
}

// A wordsLine is one step of the chain in words.
type wordsLine struct {
	Status, Word, Title, Text string
	Heading                   bool
}

// newView makes an answer ready.
func newView(a *Answer) *view {
	ds := make([]engine.Decision, len(a.Hosts))
	for i := range a.Hosts {
		ds[i] = a.Hosts[i].Decision
	}
	l := ladder.New(a.Plan, ds)
	r := &result{Answer: a, Status: class(l.Verdict.Status), Lines: labelled(explain.PlanLines(a.Plan)), When: a.At.UTC().Format("2006-01-02 15:04 UTC")}
	r.Name = l.Domain
	if l.Unicode != "" {
		r.Name, r.ASCII = l.Unicode, l.Domain
	}
	r.Columns = len(l.Hosts)
	if len(l.Folded) > 0 {
		r.Columns++
	}
	// What SVG returns is escaped.
	r.Wide = template.HTML(l.SVG(ladder.SVGOptions{Inline: true, ID: "wide"}))
	r.Narrow = template.HTML(l.SVG(ladder.SVGOptions{Inline: true, ID: "narrow", Narrow: true}))
	r.words(l)
	columns := slices.Concat(l.Hosts, l.Rest)
	for i := range a.Hosts {
		r.Host = append(r.Host, viewHost(a, i, columns[i].Steps))
	}
	if worst, ok := lint.Worst(a.Findings); ok {
		r.Worst = worst.String()
	}
	return &view{Field: a.Domain, Result: r}
}

// class is the class of a status in the style sheet.
func class(s ladder.Status) string {
	return map[ladder.Status]string{ladder.Good: "good", ladder.Unproved: "fair", ladder.Broken: "bad", ladder.Unknown: "bad"}[s]
}

// viewHost is one host.
func viewHost(a *Answer, i int, steps []ladder.Step) hostView {
	h, r := &a.Plan.Hosts[i], &a.Hosts[i]
	v := hostView{Name: h.String(), Outcome: r.Decision.Outcome.String(), Status: "bad", End: steps[len(steps)-1]}
	if h.Name.IsValid() && h.Name.Unicode() != v.Name {
		v.Unicode = h.Name.Unicode()
	}
	if len(a.Plan.MX.Listed) > 0 {
		v.Preference = fmt.Sprint(h.Preference)
	}
	switch r.Decision.Outcome {
	case engine.Authenticated:
		v.Status, v.Outcome = "good", v.Outcome+" by "+string(r.Decision.Method)
	case engine.Encrypted, engine.Cleartext:
		v.Status, v.Outcome = "fair", v.Outcome+", not authenticated"
	}
	v.Lines = labelled(explain.HostLines(a.Plan, i, &r.Decision, a.Plan.Made))
	if r.Differ() {
		for _, each := range r.Addresses {
			v.Addresses = append(v.Addresses, explain.Line{Label: explain.AddressName(each.Address, &each.Peer), Text: each.Decision.Outcome.String() + ": " + explain.Text(each.Decision.Reason)})
		}
	}
	return v
}

// labels are the headings of lines of evidence.
var labels = map[string]string{"mx": "MX records", "mta-sts": "MTA-STS", "tlsa": "TLSA", "alias": "Alias", "address": "Address",
	"connection": "Connection", "certificate": "Certificate", "key": "Key"}

// labelled puts headings in the place of the words of lines.
func labelled(lines []explain.Line) []explain.Line {
	for i, l := range lines {
		lines[i].Label = cmp.Or(labels[l.Label], l.Label)
	}
	return lines
}

// words are the steps of the chain for who does not see the picture.
func (r *result) words(l ladder.Ladder) {
	add := func(steps []ladder.Step) {
		for _, s := range steps {
			parts := slices.DeleteFunc(append([]string{s.Name}, s.Lines...), func(p string) bool { return p == "" })
			r.Words = append(r.Words, wordsLine{Status: class(s.Status), Word: s.Status.String(), Title: s.Kind.Title(), Text: strings.Join(parts, "; ")})
		}
	}
	head := func(s string) { r.Words = append(r.Words, wordsLine{Title: s, Heading: true}) }
	head("DANE")
	add(l.Trunk)
	for _, h := range l.Hosts {
		head(h.Name)
		add(h.Steps)
	}
	head("MTA-STS")
	add(l.Policy)
}

// rfcLink is the address of a section: "7672 s.2.2.2".
func rfcLink(section string) template.URL {
	number, part, ok := strings.Cut(section, " s.")
	if strings.Trim(number, "0123456789") != "" || number == "" {
		return ""
	}
	link := "https://www.rfc-editor.org/rfc/rfc" + number
	if ok && strings.Trim(part, "0123456789.") == "" {
		link += "#section-" + part
	}
	return template.URL(link)
}

// source is a section in words: "RFC 7672 section 2.2.2".
func source(section string) string {
	return "RFC " + strings.Replace(section, " s.", " section ", 1)
}

// code splits a sentence at the backquotes that mark commands and records.
func code(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			b.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
			continue
		}
		b.WriteString(template.HTMLEscapeString(part))
	}
	return template.HTML(b.String())
}

// readDomain reads what was typed. fault says what is wrong with it, and domain is then what
// may have been meant.
func readDomain(typed string) (domain, fault string) {
	s := strings.TrimSpace(typed)
	if s == "" {
		return "", "Type the domain that mail is sent to, the part after the @ of an address."
	}
	if _, err := rfc6125.ParseHost(s); err == nil {
		return s, ""
	}
	meant := s
	if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
		meant = u.Hostname()
	}
	meant = strings.Trim(meant[strings.LastIndexByte(meant, '@')+1:], "<>[](){}\"',;. ")
	if h, err := rfc6125.ParseHost(meant); err == nil {
		return h.String(), fmt.Sprintf("This is not a domain. If you mean %s, check that.", h)
	}
	if len(s) > maxDomain {
		s = strings.ToValidUTF8(s[:maxDomain], "")
	}
	return text.Escape(s), "This is not a domain. Type the part after the @ of an address, such as example.org."
}
