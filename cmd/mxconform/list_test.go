package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mxauth/mxauth/conformance/lab"
)

// labSchema compiles docs/lab.schema.json.
func labSchema(t *testing.T) (schema *jsonschema.Schema, document any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "lab.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	document, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("lab.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err = c.Compile("lab.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema, document
}

// unshown are properties of the schema that no world of [lab.Worlds] has.
var unshown = map[string]string{
	"lower_all": "an option that no world needs",
	"needs_tls": "for labs of other tests",
}

// Every line of the list is as docs/lab.schema.json says, and every property of the schema
// occurs in a line.
func TestListSchema(t *testing.T) {
	schema, document := labSchema(t)
	var out bytes.Buffer
	if code := run(t.Context(), []string{"lab", "--list"}, strings.NewReader(""), &out, io.Discard); code != exitOK {
		t.Fatalf("exit status %d", code)
	}
	seen := map[string]bool{}
	lines := 0
	for line := range strings.Lines(out.String()) {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%.60s: %v", line, err)
		}
		note(v, seen)
		lines++
	}
	if lines != len(lab.Worlds()) {
		t.Errorf("%d lines for %d worlds", lines, len(lab.Worlds()))
	}
	for _, p := range properties(document) {
		if !seen[p] && unshown[p] == "" {
			t.Errorf("no world has the property %q", p)
		}
		if seen[p] && unshown[p] != "" {
			t.Errorf("%q is said not to occur", p)
		}
	}
}

// The schema refuses what it does not describe.
func TestListSchemaRefuses(t *testing.T) {
	schema, _ := labSchema(t)
	var good bytes.Buffer
	if code := run(t.Context(), []string{"lab", "--list", "dane-ee"}, strings.NewReader(""), &good, io.Discard); code != exitOK {
		t.Fatalf("exit status %d", code)
	}
	line, err := json.Marshal(labLine{V: listVersion, World: lab.World{Name: "x", Domain: "x.test", About: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{
		string(line), // not completed: neither zones nor what is published
		"{}", "[]",
		strings.Replace(good.String(), `{"v":1,`, `{"v":1,"more":1,`, 1),
		strings.Replace(good.String(), `{"v":1,`, `{"v":2,`, 1),
		strings.Replace(good.String(), `"state":"good"`, `"state":"perfect"`, 1),
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(c))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(v) == nil {
			t.Errorf("%s is valid", c)
		}
	}
}

// note records the keys of all objects in v.
func note(v any, keys map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			keys[k] = true
			note(e, keys)
		}
	case []any:
		for _, e := range v {
			note(e, keys)
		}
	}
}

// properties lists the names under "properties" anywhere in a schema.
func properties(schema any) []string {
	var out []string
	switch v := schema.(type) {
	case map[string]any:
		if p, ok := v["properties"].(map[string]any); ok {
			for k := range p {
				out = append(out, k)
			}
		}
		for _, e := range v {
			out = append(out, properties(e)...)
		}
	case []any:
		for _, e := range v {
			out = append(out, properties(e)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
