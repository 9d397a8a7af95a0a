package page

import (
	"html/template"
	"strings"

	"github.com/mxauth/mxauth/internal/text"
)

// Reference is the page of an answer, or of a fault without one, as html/template makes it.
func Reference(a *Answer, field, fault string) (string, error) {
	t, err := template.New("page.html").Funcs(pageFuncs).Parse(pageText)
	if err != nil {
		return "", err
	}
	v := &view{Field: field, Fault: fault}
	if a != nil {
		v = newView(a)
	}
	var b strings.Builder
	err = t.Execute(&b, v)
	return text.Lines(b.String()), err
}
