package lint

import (
	"fmt"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
)

// A StepKind says what kind of change a step is.
type StepKind uint8

// Kinds of steps. The zero StepKind is one that no program can carry out.
const (
	StepDo      StepKind = iota // get a certificate, sign a zone, set a server up: Text says what
	StepPublish                 // make Records all the records of Type at Owner
	StepRemove                  // take all records of Type at Owner away
	StepServe                   // serve File at URL, then make Records the record that announces it
)

// String returns "do", "publish", "remove" or "serve".
func (k StepKind) String() string {
	switch k {
	case StepPublish:
		return "publish"
	case StepRemove:
		return "remove"
	case StepServe:
		return "serve"
	}
	return "do"
}

// MarshalText prints k as [StepKind.String] does.
func (k StepKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// A Step is one change of a proposal. The steps of a finding are made in their order, each
// after the one before has been in place for its Wait; none of them makes a delivery worse
// than it was before it.
type Step struct {
	Kind StepKind `json:"kind"`
	Text string   `json:"text"` // what to do, one sentence
	// Owner is the name of the records, with the dot at its end, and Type their type.
	Owner string `json:"owner,omitempty"`
	Type  string `json:"type,omitempty"`
	// Records are all records of that type at the owner after the step, as lines of a zone
	// file: what is there now and not among them goes.
	Records []string `json:"records,omitempty"`
	// Instead is the type of records at Owner that go in the same change: an alias (CNAME)
	// can have no other records.
	Instead string `json:"instead_of,omitempty"`
	URL     string `json:"url,omitempty"`
	// File is the text to serve at URL, line by line.
	File []string `json:"file,omitempty"`
	// Wait is how long to wait after the step before the next one, in seconds.
	Wait int64 `json:"wait_seconds,omitempty"`
	// Caution is what to check before the step.
	Caution string `json:"caution,omitempty"`
}

// Place says where the records of the step go, for the line above them: "in DNS, in place of
// all TLSA records of _25._tcp.mx.example.org.:".
func (s *Step) Place() string {
	switch {
	case s.Instead != "":
		return "in DNS, in place of the " + s.Instead + " record of " + s.Owner + ":"
	case s.Kind == StepServe:
		return "in DNS, after that, as the only MTA-STS record:"
	case len(s.Records) > 1 || s.Type == "TLSA" || s.Type == "MX":
		return "in DNS, in place of all " + s.Type + " records of " + s.Owner + ":"
	}
	return "in DNS:"
}

// WaitText says how long to wait before the next step: "2 days before the next step"; "" for
// not at all.
func (s *Step) WaitText() string {
	const day = 24 * time.Hour
	d := time.Duration(s.Wait) * time.Second
	n, what := int((d+time.Hour-1)/time.Hour), "hour"
	switch {
	case d <= 0:
		return ""
	case d >= day && d%day == 0:
		n, what = int(d/day), "day"
	}
	if n > 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s before the next step", n, what)
}

// wait sets how long to wait after the step.
func (s Step) wait(d time.Duration) Step {
	s.Wait = int64(d / time.Second)
	return s
}

// steps adds the steps of a finding's cure. Those that can be made at once are its Publish
// and Policy as well.
func (f *Finding) steps(list ...Step) *Finding {
	open := true
	for _, s := range f.Steps {
		open = open && s.Kind != StepDo && s.Wait == 0
	}
	for _, s := range list {
		s.Text, s.Caution = plain.Text(s.Text), plain.Text(s.Caution)
		for i := range s.Records {
			s.Records[i] = plain.Line(s.Records[i])
		}
		f.Steps = append(f.Steps, s)
		if open && s.Kind != StepDo {
			f.Publish = append(f.Publish, s.Records...)
			if s.Kind == StepServe {
				f.Policy, f.PolicyURL = s.File, s.URL
			}
		}
		open = open && s.Kind != StepDo && s.Wait == 0
	}
	return f
}

// do is a step that only its reader can make.
func do(text string) Step { return Step{Kind: StepDo, Text: text} }
