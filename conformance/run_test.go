package conformance_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance"
	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/internal/filetest"
)

// TestVectors runs every published set, as mxconform does.
func TestVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("runs all published vectors, which the packages' own tests do as well")
	}
	rep, err := conformance.Run(t.Context(), conformance.Config{Vectors: vectors.Dir(t, ".")})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range rep.Sets {
		t.Run(s.Set, func(t *testing.T) {
			if s.Cases == 0 {
				t.Error("no cases")
			}
			for _, f := range s.Failures {
				t.Errorf("%s: got %s, want %s", f.Case, f.Got, f.Want)
			}
		})
	}
}

const records = `{"source":"x","txt":"v=TLSRPTv1; rua=mailto:a@example.org","valid":true,"rua":[["mailto:a@example.org"]]}
{"source":"x","txt":"v=TLSRPTv1; rua=mailto:a@example.org","valid":false}
{"source":"x","txt":"v=TLSRPTv2","valid":false}
`

func TestRun(t *testing.T) {
	dir := filetest.Tree(t, map[string]string{"README.md": "x", "tlsrpt/README.md": "x", "tlsrpt/SHA256SUMS": "x", "tlsrpt/records.jsonl": records})
	run := func(exceptions string) conformance.SetReport {
		t.Helper()
		ex, err := conformance.Exceptions(strings.NewReader(exceptions))
		if err != nil {
			t.Fatal(err)
		}
		rep, err := conformance.Run(t.Context(), conformance.Config{Vectors: dir, Exceptions: ex})
		if err != nil || len(rep.Sets) != 1 {
			t.Fatalf("%d sets, %v", len(rep.Sets), err)
		}
		if rep.OK() != rep.Sets[0].OK() {
			t.Error("report and set disagree")
		}
		return rep.Sets[0]
	}

	s := run("")
	if s.OK() || s.Cases != 3 || s.Passed != 2 || s.Failed != 1 || s.Excepted != 0 {
		t.Errorf("%+v", s)
	}
	want := []conformance.Failure{{Case: "records:2", Got: `valid [["mailto:a@example.org"]]`, Want: "invalid"}}
	if d := cmp.Diff(want, s.Failures); d != "" {
		t.Error(d)
	}

	s = run("# note\n\ntlsrpt\trecords:2\ta reason\n")
	if !s.OK() || s.Passed != 2 || s.Excepted != 1 {
		t.Errorf("with an exception: %+v", s)
	}
	if d := cmp.Diff([]conformance.Exception{{Case: "records:2", Reason: "a reason"}}, s.Exceptions); d != "" {
		t.Error(d)
	}

	if s = run("tlsrpt\trecords:2\ta reason\ntlsrpt\trecords:1\tpasses all the same\n"); s.OK() || s.Failed != 1 || s.Failures[0].Case != "records:1" {
		t.Errorf("an exception that passes: %+v", s)
	}
}

func TestRunFailsWhereNothingIsShown(t *testing.T) {
	for what, files := range map[string]map[string]string{
		"a set without cases":      {"tlsrpt/README.md": "x"},
		"an empty file":            {"tlsrpt/records.jsonl": ""},
		"a set that has no reader": {"other/x.jsonl": "{}", "tlsrpt/records.jsonl": strings.SplitAfter(records, "\n")[0]},
		"a broken file":            {"tlsrpt/records.jsonl": "{"},
	} {
		rep, err := conformance.Run(t.Context(), conformance.Config{Vectors: filetest.Tree(t, files)})
		if err != nil || rep.OK() {
			t.Errorf("%s: ok %v, %v", what, rep.OK(), err)
		}
	}
	for what, c := range map[string]conformance.Config{
		"no folder":      {Vectors: filepath.Join(t.TempDir(), "none")},
		"an empty one":   {Vectors: t.TempDir()},
		"no such set":    {Vectors: filetest.Tree(t, map[string]string{"tlsrpt/records.jsonl": records}), Only: []string{"none"}},
		"set not there":  {Vectors: filetest.Tree(t, map[string]string{"tlsrpt/records.jsonl": records}), Only: []string{"limbo"}},
		"a file instead": {Vectors: filepath.Join(filetest.Tree(t, map[string]string{"f": "x"}), "f")},
	} {
		if rep, err := conformance.Run(t.Context(), c); !errors.Is(err, conformance.ErrVectors) || rep.OK() {
			t.Errorf("%s: ok %v, %v", what, rep.OK(), err)
		}
	}
}

func TestOnly(t *testing.T) {
	dir := filetest.Tree(t, map[string]string{"tlsrpt/records.jsonl": records, "idna/IdnaTestV2.txt": "a; ; ; ; ; ; \n"})
	rep, err := conformance.Run(t.Context(), conformance.Config{Vectors: dir, Only: []string{"idna"}})
	if err != nil || len(rep.Sets) != 1 || rep.Sets[0].Set != "idna" || !rep.OK() {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestReport(t *testing.T) {
	dir := filetest.Tree(t, map[string]string{"tlsrpt/records.jsonl": records})
	ex, _ := conformance.Exceptions(strings.NewReader("tlsrpt\trecords:3\tpasses\n"))
	rep, err := conformance.Run(t.Context(), conformance.Config{Vectors: dir, Exceptions: ex})
	if err != nil {
		t.Fatal(err)
	}
	var text, js, junit bytes.Buffer
	if err := errors.Join(rep.WriteText(&text, true), rep.WriteJSON(&js), rep.WriteJUnit(&junit)); err != nil {
		t.Fatal(err)
	}
	if want := "FAIL tlsrpt                   3 cases: 1 passed, 2 failed, 0 excepted\n     records:2: got valid [[\"mailto:a@example.org\"]], want invalid\n"; !strings.HasPrefix(text.String(), want) {
		t.Errorf("%s, want %s", text.String(), want)
	}
	var got map[string]any
	if err := json.Unmarshal(js.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	set := got["sets"].([]any)[0].(map[string]any)
	if got["v"] != 1.0 || set["set"] != "tlsrpt" || set["cases"] != 3.0 || set["passed"] != 1.0 || set["failed"] != 2.0 || set["excepted"] != 0.0 || len(set["failures"].([]any)) != 2 || len(set["exceptions"].([]any)) != 0 {
		t.Errorf("%s", js.String())
	}
	var suites struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(junit.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	if s := suites.Suites[0]; s.Tests != 3 || s.Failures != 2 || len(s.Cases) != 3 || s.Cases[0].Name != "records:1" || s.Cases[0].Failure != nil || s.Cases[1].Failure == nil {
		t.Errorf("%s", junit.String())
	}
}

func TestExceptionsTable(t *testing.T) {
	for _, bad := range []string{"a\tb", "a\tb\t ", "a\tb\tc\td", "\tb\tc", "a\t\tc", "a\tb\tc\na\tb\td"} {
		if _, err := conformance.Exceptions(strings.NewReader(bad)); !errors.Is(err, conformance.ErrVectors) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
