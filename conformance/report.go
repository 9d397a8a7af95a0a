package conformance

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/mxauth/mxauth/internal/text"
)

// WriteJSON prints the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(text.JSONWriter(w))
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteText prints the report for people: a line a set, and below it each failure; with
// verbose each exception too.
func (r Report) WriteText(w io.Writer, verbose bool) error {
	var b strings.Builder
	for _, s := range r.Sets {
		word := "ok  "
		if !s.OK() {
			word = "FAIL"
		}
		fmt.Fprintf(&b, "%s %-20s %5d cases: %d passed, %d failed, %d excepted\n", word, s.Set, s.Cases, s.Passed, s.Failed, s.Excepted)
		for _, f := range s.Failures {
			fmt.Fprintf(&b, "     %s: got %s, want %s\n", f.Case, f.Got, f.Want)
		}
		if verbose {
			for _, e := range s.Exceptions {
				fmt.Fprintf(&b, "     %s: excepted: %s\n", e.Case, e.Reason)
			}
		}
	}
	_, err := io.WriteString(w, text.Lines(b.String()))
	return err
}

type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	Suites  []junitSuite
}

type junitSuite struct {
	XMLName  xml.Name `xml:"testsuite"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Cases    []junitCase
}

type junitCase struct {
	XMLName xml.Name      `xml:"testcase"`
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
}

// WriteJUnit prints the report as JUnit XML, a suite a set.
func (r Report) WriteJUnit(w io.Writer) error {
	var out junitSuites
	for _, s := range r.Sets {
		j := junitSuite{Name: s.Set, Tests: s.Passed + s.Failed + s.Excepted, Failures: s.Failed, Skipped: s.Excepted}
		for _, c := range s.passed {
			j.Cases = append(j.Cases, junitCase{Class: s.Set, Name: c})
		}
		for _, f := range s.Failures {
			j.Cases = append(j.Cases, junitCase{Class: s.Set, Name: f.Case, Failure: &junitMessage{"got " + f.Got + ", want " + f.Want}})
		}
		for _, e := range s.Exceptions {
			j.Cases = append(j.Cases, junitCase{Class: s.Set, Name: e.Case, Skipped: &junitMessage{e.Reason}})
		}
		out.Suites = append(out.Suites, j)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
