package bulk

import (
	_ "embed"
	"html/template"
	"io"
	"sync"
)

//go:embed report.html
var reportText string

// report makes the page of a summary. It refers to nothing outside, and runs no script. It
// is parsed when it is first used: most programs that import this package do not need it.
var report = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{
		"percent":   percent,
		"width":     barLength,
		"mechanism": func(m Mechanism) string { return mechanismText[m] },
		"strength":  strength,
		"counted":   counted,
	}).Parse(reportText))
})

// svgWidth is the width of the longest bar, in the units of the page's drawings.
const svgWidth = 320

// barLength is the length of the bar of n among all; what is there at all is seen.
func barLength(n, all int) int {
	if n == 0 || all == 0 {
		return 0
	}
	return max(n*svgWidth/all, 2)
}

// strength is the class of a mechanism in the page: how far it protects mail.
func strength(m Mechanism) string {
	switch {
	case m.Authenticates():
		return "good"
	case m == PartDANE, m == HalfDANE, m == Testing:
		return "fair"
	case m == None:
		return "bad"
	}
	return "unknown"
}

// A page is what the template is given.
type page struct {
	Summary
	Title, Headline, Time string
	MostFaults            int // domains of the most frequent fault
	MostProvider          int // domains of the largest provider
}

// WriteHTML writes the summary as one page that needs no other file. The title is shown as it
// is. The error is that of w.
func (s *Summary) WriteHTML(w io.Writer, title string) error {
	p := page{Summary: *s, Title: title, Headline: s.headline()}
	if s.TookS > 0 {
		p.Time = s.timeLine()
	}
	for _, f := range s.Faults {
		p.MostFaults = max(p.MostFaults, f.Domains)
	}
	for _, c := range s.Providers {
		p.MostProvider = max(p.MostProvider, c.Domains)
	}
	return report().Execute(w, p)
}
