package bulk

import (
	"html/template"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine/reason"
)

// TestReportIsThatOfTemplate: the page has the bytes that html/template makes of its text.
func TestReportIsThatOfTemplate(t *testing.T) {
	reference := template.Must(template.New("report.html").Funcs(reportFuncs).Parse(reportText))
	evil := `"><script>alert(1)</script>'+` + "\x00"
	started := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	full := page{Title: evil, Headline: evil, Time: evil, MostFaults: 2, MostProvider: 7, Summary: Summary{Domains: 9, Refused: 1, Started: &started,
		Mechanisms: []MechanismCount{{DANE, 4}, {HalfDANE, 3}, {None, 0}},
		Faults:     []FaultCount{{ReasonID: reason.ID(evil), About: evil, RFC: "8461 s.3.2", Domains: 2, Examples: []string{evil, "a.example"}}},
		Providers:  []ProviderCount{{Provider: evil, Domains: 7, Authenticated: 1}}, Others: ProviderCount{Providers: 2, Domains: 2}}}
	for name, p := range map[string]page{"all of it": full, "nothing": {Summary: Summary{Complete: true}}} {
		var got, want strings.Builder
		if err := report.Execute(&got, p); err != nil {
			t.Fatal(name, err)
		}
		if err := reference.Execute(&want, p); err != nil {
			t.Fatal(name, err)
		}
		if got.String() != want.String() {
			t.Errorf("%s:\n%s\nhtml/template has\n%s", name, &got, &want)
		}
	}
}
