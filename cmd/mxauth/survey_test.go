package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mxauth/mxauth/docs"
)

// surveySchema compiles docs/survey.schema.json.
func surveySchema() (*jsonschema.Schema, error) {
	f, err := docs.Files.Open("survey.schema.json")
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
