package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// surveySchema compiles docs/survey.schema.json.
func surveySchema() (*jsonschema.Schema, error) {
	f, err := os.Open(filepath.Join("..", "..", "docs", "survey.schema.json"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("survey.schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("survey.schema.json")
}

// validSurvey is the command of scripts.
func validSurvey(ts *testscript.TestScript, neg bool, args []string) {
	schema, err := surveySchema()
	ts.Check(err)
	n := 0
	for dec := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0]))); ; n++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			ts.Fatalf("%v", err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		ts.Check(err)
		if err := schema.Validate(v); (err != nil) != neg {
			ts.Fatalf("%s: %v", raw, err)
		}
	}
	if n == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

// cmpDomains is the command of scripts.
func cmpDomains(ts *testscript.TestScript, neg bool, args []string) {
	var got [2]string
	for i, name := range args {
		for line := range strings.Lines(ts.ReadFile(name)) {
			var row struct{ Domain string }
			ts.Check(json.Unmarshal([]byte(line), &row))
			got[i] += row.Domain + " "
		}
	}
	if (got[0] == got[1]) == neg {
		ts.Fatalf("%s; %s", got[0], got[1])
	}
}

// TestSurveySchemaFails: documents that are not as the schema says are noticed.
func TestSurveySchemaFails(t *testing.T) {
	schema, err := surveySchema()
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"v":1,"line":3,"domain":"a.example","mechanism":"dane","provider":"","faults":[],"hosts":[]}`
	for _, edit := range [][2]string{
		{"", ""}, {`"v":1`, `"v":2`}, {`"line":3`, `"line":0`}, {`"mechanism":"dane"`, `"mechanism":"tls"`}, {`"hosts":[]`, `"hosts":[{}]`},
		{`"faults":[]`, `"faults":null`}, {`"provider":"",`, ``}, {`"line":3`, `"line":3,"more":1`}, {`"line":3`, `"line":3,"at":"now"`},
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(good, edit[0], edit[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != (edit[0] == "") {
			t.Errorf("%q: %v", edit[1], err)
		}
	}
}

// TestSurveyOddLists: what is odd about a list is read, or refused with the number of its line.
func TestSurveyOddLists(t *testing.T) {
	w := startSurveyWorld(t, 0)
	for name, c := range map[string]struct {
		list, stderr string
		domains      int
		code         int
	}{
		"mark":    {"\ufeffd1.example\n", "", 1, 0},
		"UTF-16":  {"\xff\xfed\x001\x00.\x00e\x00x\x00a\x00m\x00p\x00l\x00e\x00\r\x00\n\x00", "", 1, 0},
		"CR":      {"d1.example\rd2.example\r", "", 2, 0},
		"NUL":     {"d1.example\nd\x002.example\n", "mxauth: line 2: the line holds a NUL byte: this is not a list of domains in UTF-8 or UTF-16\n", 1, exitUsage},
		"1 MB":    {"d1.example\n" + strings.Repeat("a", 1<<20) + "\nd2.example", "mxauth: line 2: the line is longer than 4096 bytes\n", 2, exitUsage},
		"Latin-1": {"b\xfccher.example\nd1.example\n", "mxauth: line 1: \"b\\xfccher.example\" is not UTF-8: convert the list, for example by iconv -f latin1 -t utf-8\n", 1, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			// A reader that cannot be read twice, as a pipe.
			e := newEnv(io.MultiReader(strings.NewReader(c.list)), &stdout, &stderr, func(string) string { return "" })
			code := run(t.Context(), []string{"survey", "--resolver", w.resolver.String(), "--dnssec", "trust-ad", "--no-times", "--csv", "-"}, e)
			if code != c.code || stderr.String() != c.stderr || strings.Count(stdout.String(), ".example,none,") != c.domains {
				t.Errorf("exit status %d: %s%s", code, stdout.String(), stderr.String())
			}
		})
	}
}

// TestSurveyWriteError: an output that cannot be written ends the survey with an error.
func TestSurveyWriteError(t *testing.T) {
	w := startSurveyWorld(t, 0)
	var stderr bytes.Buffer
	e := newEnv(strings.NewReader("d1.example\nd2.example\n"), failingWriter{}, &stderr, func(string) string { return "" })
	code := run(t.Context(), []string{"survey", "--resolver", w.resolver.String(), "--dnssec", "trust-ad", "--json", "-"}, e)
	if code != exitFault || stderr.String() != "mxauth: writing the answer: disk full\n" {
		t.Errorf("exit status %d: %s", code, stderr.String())
	}
}

// TestSurveyWriteErrorKept: what was finished when the output could not be written is in the
// journal, and the same command prints it without asking again.
func TestSurveyWriteErrorKept(t *testing.T) {
	w := startSurveyWorld(t, 0)
	journal := filepath.Join(t.TempDir(), "j")
	survey := func(stdout io.Writer) (code int, stderr string) {
		var errOut bytes.Buffer
		e := newEnv(strings.NewReader("d1.example\n"), stdout, &errOut, func(string) string { return "" })
		code = run(t.Context(), []string{"survey", "--resolver", w.resolver.String(), "--dnssec", "trust-ad", "--json", "--resume", journal, "-"}, e)
		return code, errOut.String()
	}
	if code, stderr := survey(failingWriter{}); code != exitFault || stderr != "mxauth: writing the answer: disk full\n" {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	if n := kept(journal); n != 1 {
		t.Fatalf("%d rows are kept", n)
	}
	asked := w.questions.Load()
	var stdout bytes.Buffer
	if code, stderr := survey(&stdout); code != 0 || !strings.Contains(stdout.String(), `"domain":"d1.example"`) {
		t.Errorf("exit status %d: %s%s", code, stdout.String(), stderr)
	}
	// The resolver is asked for the keys of the root whatever the list has.
	if n := w.questions.Load() - asked; asked < 4 || n > 1 {
		t.Errorf("%d questions were asked, and %d by the second run", asked, n)
	}
}

// TestSurveyAsksOnce: a question that many domains have in common is asked once.
func TestSurveyAsksOnce(t *testing.T) {
	w := startSurveyWorld(t, roundTrip)
	var stdout, stderr bytes.Buffer
	e := newEnv(strings.NewReader(strings.Repeat("d1.example\n", 200)), &stdout, &stderr, func(string) string { return "" })
	if code := run(t.Context(), []string{"survey", "--resolver", w.resolver.String(), "--dnssec", "trust-ad", "--json", "-"}, e); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	// MX, A, AAAA, TXT, and the keys of the root.
	if n := w.questions.Load(); strings.Count(stdout.String(), "\n") != 200 || n > 6 {
		t.Errorf("%d questions were asked", n)
	}
}
