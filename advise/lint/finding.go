package lint

import (
	"fmt"
	"sort"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Severity says how much a finding matters. The zero Severity is Note.
type Severity uint8

// Severities.
const (
	Note    Severity = iota // could be better, or is good to know
	Warning                 // works today, and will hurt or protects less than it seems
	Error                   // mail is delayed or refused, or a protection that is published does not work
)

// String returns "note", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "note"
}

// MarshalText prints s as [Severity.String] does.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// An ID is the stable word of a kind of finding.
type ID string

// A Finding is one thing that is not as it should be.
type Finding struct {
	ID       ID       `json:"id"`
	Severity Severity `json:"severity"`
	Host     string   `json:"host,omitempty"` // the MX host that it is about; "" for the domain
	Text     string   `json:"text"`           // one sentence for people, safe for a terminal
	Evidence []string `json:"evidence"`       // what was seen, a line each, safe for a terminal
	// Publish is what to put into the zone file instead, ready to paste; empty where nothing
	// in DNS must change.
	Publish []string `json:"publish,omitempty"`
	// Steps are the whole cure, in order: Publish and Policy are those of them that can be
	// made at once. Empty where only Do says what to do.
	Steps []Step `json:"steps,omitempty"`
	// Policy is the MTA-STS policy to serve instead at PolicyURL, line by line; empty where
	// the policy may stay as it is.
	Policy    []string `json:"policy,omitempty"`
	PolicyURL string   `json:"policy_url,omitempty"`
	Do        string   `json:"do"`  // what to do, for people
	RFC       string   `json:"rfc"` // "7672 s.3.1.3"
}

// A Kind describes all findings of one ID.
type Kind struct {
	ID       ID
	Severity Severity
	About    string // one sentence
	RFC      string
}

// report collects findings.
type report struct {
	snap     *survey.Snapshot
	findings []*Finding
	files    []string // the policies that are proposed, in the order of their ids
}

// add adds a finding of a kind. The text is made from format and args; its host may be
// the zero Host.
func (r *report) add(id ID, host rfc6125.Host, do string, format string, args ...any) *Finding {
	k := kinds[id]
	f := &Finding{
		ID: id, Severity: k.Severity, Host: host.String(), RFC: k.RFC,
		Text: plain.Text(fmt.Sprintf(format, args...)), Do: plain.Text(do), Evidence: []string{},
	}
	r.findings = append(r.findings, f)
	return f
}

// saw adds a line of evidence.
func (f *Finding) saw(format string, args ...any) *Finding {
	const most = 12
	if len(f.Evidence) < most {
		f.Evidence = append(f.Evidence, plain.Text(fmt.Sprintf(format, args...)))
	}
	return f
}

// Check judges a snapshot. The findings are ordered by severity, the worst first, then as
// a delivery would meet them. It is a pure function of its argument.
func Check(s survey.Snapshot) []Finding {
	r := &report{snap: &s}
	r.mx()
	r.aliases()
	r.hosts()
	r.tlsa()
	r.sts()
	r.tls()
	r.together()
	r.tlsrpt()
	sort.SliceStable(r.findings, func(i, j int) bool { return r.findings[i].Severity > r.findings[j].Severity })
	out := make([]Finding, len(r.findings))
	for i, f := range r.findings {
		out[i] = *f
	}
	return out
}

// Worst is the highest severity among the findings; ok is false if there are none.
func Worst(findings []Finding) (s Severity, ok bool) {
	for _, f := range findings {
		s = max(s, f.Severity)
	}
	return s, len(findings) > 0
}

// Kinds lists every kind of finding, by id.
func Kinds() []Kind {
	out := make([]Kind, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, k)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}
