package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
)

// A schema is a JSON Schema, as much of it as docs/check.schema.json uses. Words that
// it does not know are an error, so that nothing in the file is without effect.
type schema struct {
	root map[string]any
	seen map[string]bool // properties of objects that a document has had, by path
}

func loadSchema() (*schema, error) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "check.schema.json"))
	if err != nil {
		return nil, err
	}
	s := &schema{seen: map[string]bool{}}
	return s, json.Unmarshal(b, &s.root)
}

// validate holds one document against the schema.
func (s *schema) validate(doc []byte) error {
	var v any
	dec := json.NewDecoder(bytes.NewReader(doc))
	if err := dec.Decode(&v); err != nil {
		return err
	}
	return s.check(s.root, v, "")
}

// check holds v against one schema node; at is where v stands.
func (s *schema) check(node map[string]any, v any, at string) error {
	for _, word := range slices.Sorted(maps.Keys(node)) {
		arg, bad := node[word], false
		switch word {
		case "$schema", "$id", "$defs", "title", "description", "properties", "examples":
		case "$ref":
			def, _ := strings.CutPrefix(arg.(string), "#/$defs/")
			target, ok := s.root["$defs"].(map[string]any)[def].(map[string]any)
			if !ok {
				return fmt.Errorf("%s: no definition %v", at, arg)
			}
			if err := s.check(target, v, at); err != nil {
				return err
			}
		case "type":
			bad = typeOf(v) != arg && !(arg == "number" && typeOf(v) == "integer")
		case "const":
			bad = v != arg
		case "enum":
			bad = !slices.Contains(arg.([]any), v)
		case "minimum":
			n, ok := v.(float64)
			bad = ok && n < arg.(float64)
		case "maximum":
			n, ok := v.(float64)
			bad = ok && n > arg.(float64)
		case "pattern":
			text, ok := v.(string)
			bad = ok && !regexp.MustCompile(arg.(string)).MatchString(text)
		case "items":
			list, _ := v.([]any)
			for i, x := range list {
				if err := s.check(arg.(map[string]any), x, fmt.Sprintf("%s[%d]", at, i)); err != nil {
					return err
				}
			}
		case "required":
			object, _ := v.(map[string]any)
			for _, name := range arg.([]any) {
				if _, ok := object[name.(string)]; !ok {
					return fmt.Errorf("%s lacks %q", at, name)
				}
			}
		case "additionalProperties":
			if err := s.object(node, v, at); err != nil {
				return err
			}
		case "oneOf":
			fits := 0
			var errs []string
			for _, option := range arg.([]any) {
				if err := s.check(option.(map[string]any), v, at); err != nil {
					errs = append(errs, err.Error())
				} else {
					fits++
				}
			}
			if fits != 1 {
				return fmt.Errorf("%s fits %d of the forms: %s", at, fits, strings.Join(errs, "; "))
			}
		default:
			return fmt.Errorf("the schema has the word %q, which this test does not know", word)
		}
		if bad {
			return fmt.Errorf("%s is %v, against %s %v", at, v, word, arg)
		}
	}
	return nil
}

// object holds the properties of v against those of node, which allows no others.
func (s *schema) object(node map[string]any, v any, at string) error {
	object, _ := v.(map[string]any)
	props, _ := node["properties"].(map[string]any)
	for name, x := range object {
		sub, ok := props[name].(map[string]any)
		if !ok {
			return fmt.Errorf("%s has %q, which the schema does not have", at, name)
		}
		if err := s.check(sub, x, at+"."+name); err != nil {
			return err
		}
		s.seen[fmt.Sprintf("%p %s", node, name)] = true
	}
	return nil
}

// unseen lists the properties of all objects of the schema that no document had.
func (s *schema) unseen() (out []string) {
	var walk func(at string, node map[string]any)
	walk = func(at string, node map[string]any) {
		if props, ok := node["properties"].(map[string]any); ok {
			for name := range props {
				if !s.seen[fmt.Sprintf("%p %s", node, name)] {
					out = append(out, at+"."+name)
				}
			}
		}
		for word, x := range node {
			switch x := x.(type) {
			case map[string]any:
				walk(at+"/"+word, x)
			case []any:
				for _, y := range x {
					if m, ok := y.(map[string]any); ok {
						walk(at+"/"+word, m)
					}
				}
			}
		}
	}
	walk("", s.root)
	slices.Sort(out)
	return out
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
	}
	return "number"
}

// TestDemo looks at every world of the lab in both ways: each comes out as its spec
// says, with the validator and through a resolver that is trusted, and what is printed
// of it is as docs/check.schema.json says, each property of which occurs.
func TestDemo(t *testing.T) {
	s, err := loadSchema()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{modeValidate, modeTrustAD} {
		t.Run(mode, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
			begun := time.Now()
			if code := run(t.Context(), []string{"demo", "--all", "--json", "--dnssec", mode}, e); code != 0 {
				t.Errorf("exit status %d: %s", code, stderr.String())
			}
			t.Logf("%v", time.Since(begun))
			worlds := 0
			for line := range strings.Lines(stdout.String()) {
				var row struct {
					World string          `json:"world"`
					OK    bool            `json:"ok"`
					Check json.RawMessage `json:"check"`
				}
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatal(err)
				}
				if !row.OK {
					t.Errorf("world %s is not as it should be", row.World)
				}
				if mode == modeValidate {
					if err := s.validate(row.Check); err != nil {
						t.Errorf("world %s: %v", row.World, err)
					}
				}
				worlds++
			}
			if want := len(lab.Worlds()); worlds != want || worlds < 14 {
				t.Errorf("%d worlds printed, want %d", worlds, want)
			}
			if mode != modeValidate {
				return
			}
			b, _ := json.Marshal((&verdict{asked: "x..y", err: errLongLine}).row())
			if err := s.validate(b); err != nil {
				t.Errorf("error row: %v", err)
			}
			unseen := slices.DeleteFunc(s.unseen(), func(property string) bool {
				// No world has an exception (script exceptions), and check replays nothing
				// (script replay-honest).
				return property == "/$defs/host.exception" || property == "/$defs/checked.replay" ||
					strings.HasPrefix(property, "/$defs/replay.") || strings.HasPrefix(property, "/$defs/claim.")
			})
			if len(unseen) > 0 {
				t.Errorf("no row has the properties %v of the schema", unseen)
			}
		})
	}
}

// TestSchemaFails: documents that are not as the schema says are found out.
func TestSchemaFails(t *testing.T) {
	s, err := loadSchema()
	if err != nil {
		t.Fatal(err)
	}
	good := `{"v":1,"domain":"a","outcome":"refused","method":"","deliver":false,"via":"","every_host":false,"reason":"r","reason_id":"x","rfc":"7672 s.2.2","result_type":"","hosts":[],"why":[]}`
	if err := s.validate([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, edit := range [][2]string{
		{`"v":1`, `"v":2`},
		{`"outcome":"refused"`, `"outcome":"none"`},
		{`"method":""`, `"method":"smime"`},
		{`"deliver":false`, `"deliver":"no"`},
		{`"hosts":[]`, `"hosts":[{}]`},
		{`"why":[]`, `"why":null`},
		{`"rfc":"7672 s.2.2"`, `"rfc":7672`},
		{`"via":"",`, ``},
		{`"via":""`, `"via":"","more":1`},
		{`"why":[]`, `"why":[{"name":"a"}]`},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if err := s.validate([]byte(bad)); bad == good || err == nil {
			t.Errorf("no error for %s", edit[1])
		}
	}
}
