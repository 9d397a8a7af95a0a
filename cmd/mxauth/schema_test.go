package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance/lab"
)

// verbSchemas are the schemas in docs of what verbs print with --json, a line each. A verb is
// here or in noJSON.
var verbSchemas = map[string]string{
	"check":           "check",
	"plan":            "plan",
	"demo":            "demo",
	"resolver":        "resolver",
	"lint":            "lint",
	"survey":          "survey",
	"forecast":        "forecast",
	"replay":          "check",
	"tlsa make":       "tlsa-make",
	"tlsa check":      "tlsa-check",
	"tlsa next":       "tlsa-next",
	"sts make":        "sts-make",
	"sts fetch":       "sts-fetch",
	"sts lint":        "sts-lint",
	"policy-diff":     "policy-diff",
	"tlsrpt read":     "tlsrpt-read",
	"tlsrpt make":     "tlsrpt-make",
	"cache list":      "cache",
	"cache show":      "cache",
	"memory list":     "memory",
	"memory show":     "memory",
	"exceptions list": "exceptions",
	"status":          "status",
	"ask":             "ask",
	"reason":          "reason",
	"version":         "version",
	"cache warm":      "cache-warm",
	"compare":         "compare",
	"config postfix":  "config-postfix",
	"doctor":          "doctor",
}

// noJSON are the verbs that print nothing of their own with --json, and why.
var noJSON = map[string]string{
	"explain":       "refuses --json and names check",
	"serve":         "prints a log",
	"config check":  "prints faults as errors",
	"completion":    "prints a script",
	"config exim":   "prints lines of a configuration, whatever the flags",
	"config print":  "prints TOML",
	"cache delete":  "prints nothing",
	"cache export":  "prints a file for cache import, whatever the flags",
	"cache import":  "prints a count",
	"cache rescue":  "prints a count",
	"memory forget": "prints nothing",
}

// otherSchemas are those of answers over HTTP and of files.
var otherSchemas = []string{"decide", "decision", "delivery", "evidence", "lab", "policy", "problem"}

// A schema is a JSON Schema of docs.
type schema struct {
	*jsonschema.Schema
	name string
	seen map[string]bool // properties that a document has had, by the place of the schema
}

var schemaTexts = sync.OnceValues(func() (map[string]any, error) {
	texts := map[string]any{}
	dir := os.DirFS("../../docs")
	names, err := fs.Glob(dir, "*.schema.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		if texts[name], err = jsonschema.UnmarshalJSON(bytes.NewReader(b)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return texts, nil
})

// loadSchema loads a schema by its name without ".schema.json".
func loadSchema(name string) (*schema, error) {
	texts, err := schemaTexts()
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for name, v := range texts {
		if err := c.AddResource(schemaBase+name, v); err != nil {
			return nil, err
		}
	}
	compiled, err := c.Compile(schemaBase + name + ".schema.json")
	return &schema{compiled, name + ".schema.json", map[string]bool{}}, err
}

// validate holds one document against the schema.
func (s *schema) validate(doc []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return err
	}
	if err := s.Validate(v); err != nil {
		return err
	}
	s.cover(s.Schema, v)
	return nil
}

// cover notes the properties of a valid document.
func (s *schema) cover(node *jsonschema.Schema, v any) {
	if node.Ref != nil {
		s.cover(node.Ref, v)
	}
	for _, option := range node.OneOf {
		if option.Validate(v) == nil {
			s.cover(option, v)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			if sub := node.Properties[name]; sub != nil {
				s.seen[sub.Location] = true
				s.cover(sub, x)
			}
		}
	case []any:
		items := node.Items2020
		for _, x := range v {
			if items != nil {
				s.cover(items, x)
			}
		}
	}
}

// unseen lists the properties of all objects of the schema that no document had.
func (s *schema) unseen() (out []string) {
	texts, err := schemaTexts()
	if err != nil {
		return []string{err.Error()}
	}
	var walk func(at string, node any)
	walk = func(at string, node any) {
		switch x := node.(type) {
		case map[string]any:
			if props, ok := x["properties"].(map[string]any); ok {
				for name := range props {
					if !s.seen[schemaBase+s.name+"#"+at+"/properties/"+name] {
						out = append(out, at+"."+name)
					}
				}
			}
			for word, y := range x {
				walk(at+"/"+word, y)
			}
		case []any:
			for i, y := range x {
				walk(fmt.Sprintf("%s/%d", at, i), y)
			}
		}
	}
	walk("", texts[s.name])
	slices.Sort(out)
	return out
}

// printedJSON returns the name of the verb of a command line that prints JSON with --json.
func printedJSON(args []string) (verb string, ok bool) {
	if !slices.Contains(args, "--json") || slices.Contains(args, "--nagios") {
		return "", false
	}
	root := newRoot(newEnv(nil, io.Discard, io.Discard, func(string) string { return "" }))
	cmd, _, err := root.Find(args)
	if err != nil {
		return "", false
	}
	verb = strings.TrimPrefix(cmd.CommandPath(), "mxauth ")
	return verb, verbSchemas[verb] != ""
}

// verbOf returns the verb of a command line, "" if it has none.
func verbOf(args []string) string {
	root := newRoot(newEnv(nil, io.Discard, io.Discard, func(string) string { return "" }))
	root.InitDefaultHelpCmd()
	cmd, _, err := root.Find(args)
	if err != nil || !cmd.HasParent() {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), "mxauth ")
}

// A printed counts the lines of JSON that were held against the schema of their verb, and notes
// the properties that they had and the exit statuses of each verb.
type printed struct {
	mu    sync.Mutex
	lines map[string]int         // by verb
	seen  map[string]bool        // as schema.seen, of all schemas
	ended map[string]map[int]int // by verb and exit status
}

// end notes the exit status of a command line.
func (p *printed) end(args []string, code int) {
	verb := verbOf(args)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended[verb] == nil {
		p.ended[verb] = map[int]int{}
	}
	p.ended[verb][code]++
}

// validate holds what a command line has printed against the schema of its verb.
func (p *printed) validate(args []string, stdout []byte) error {
	verb, ok := printedJSON(args)
	if !ok {
		return nil
	}
	s, err := loadSchema(verbSchemas[verb])
	if err != nil {
		return err
	}
	for line := range bytes.Lines(stdout) {
		if err := s.validate(line); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		p.mu.Lock()
		p.lines[verb]++
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.seen, s.seen)
	return nil
}

// unprinted are properties that no script prints: those of what only a daemon or another policy
// server causes (status and the rows of compare, as a whole, are printed by TestServe and
// TestCompareWith), of a build with version control, and of situations for which a script is still to
// be written. A property that a script prints must not be here.
var unprinted = strings.Fields(`
	ask.plan_error
	ask.reason_id
	ask.would
	ask/properties/deviations/items.host
	cache.tried
	check/$defs/replay.differences
	check/$defs/replay.ignored
	check/$defs/replay.missing
	compare/oneOf/1.deferred
	demo.wrong
	forecast/$defs/event.steps
	memory.port
	memory/properties/drops/items.host
	memory/properties/drops/items.until
	plan/$defs/drop.host
	plan/$defs/host.exception
	plan/$defs/host.waived
	plan/$defs/past.port
	plan/$defs/past.sts
	plan/$defs/past.sts_at
	plan/$defs/sts.cached
	plan/$defs/sts.pending
	resolver.software
	sts-make/properties/problems/items.caution
	sts-make/properties/problems/items.file
	sts-make/properties/problems/items.instead_of
	sts-make/properties/problems/items.owner
	sts-make/properties/problems/items.records
	sts-make/properties/problems/items.type
	sts-make/properties/problems/items.url
	sts-make/properties/problems/items.wait_seconds
	sts-make/properties/steps/items.caution
	sts-make/properties/steps/items.instead_of
	sts-make/properties/steps/items.wait_seconds
	survey/$defs/provider.providers
	tlsa-check/$defs/address.handshake
	tlsa-check/$defs/address.note
	tlsa-check/$defs/next.earliest
	tlsa-check/$defs/next.latest
	tlsa-next/oneOf/0/properties/ways/items/properties/steps/items.before
	tlsrpt-read.left
	tlsrpt-read/properties/faults/items.codes
	tlsrpt-read/properties/faults/items.reason_id
	version.revision
	version.time
`)

// complete reports the verbs of which nothing was printed, if all scripts were run.
func (p *printed) complete(t *testing.T) {
	if run := flag.Lookup("test.run").Value.String(); run != "" && run != "TestScripts" {
		return // of some scripts
	}
	for verb := range verbSchemas {
		if p.lines[verb] == 0 && verb != "status" { // it wants a daemon: TestServe
			t.Errorf("no script prints a line of mxauth %s --json", verb)
		}
	}
	everyVerb(testRoot(), func(cmd *cobra.Command) {
		verb := strings.TrimPrefix(cmd.CommandPath(), "mxauth ")
		if p.ended[verb][exitUsage] == 0 {
			t.Errorf("no script uses mxauth %s wrongly: none ends with status %d", verb, exitUsage)
		}
		if p.ended[verb][0] == 0 && !cmd.HasSubCommands() && verb != "status" { // it wants a daemon: TestServe
			t.Errorf("in no script mxauth %s succeeds", verb)
		}
	})
	missing := map[string]bool{}
	for _, name := range slices.Sorted(maps.Values(verbSchemas)) {
		s := &schema{name: name + ".schema.json", seen: p.seen}
		for _, property := range s.unseen() {
			at := name + property
			if name == "status" || strings.HasPrefix(at, "compare/oneOf/0") {
				continue
			}
			missing[at] = true
			if !slices.Contains(unprinted, at) {
				t.Errorf("no script prints the property %s", at)
			}
		}
	}
	for _, at := range unprinted {
		if !missing[at] && !strings.HasPrefix(at, "version.") { // which a build may have
			t.Errorf("a script prints the property %s: it is listed as unprinted", at)
		}
	}
}

// TestVerbSchemas: every verb has a schema or a reason to have none, and every schema a use.
func TestVerbSchemas(t *testing.T) {
	texts, err := schemaTexts()
	if err != nil {
		t.Fatal(err)
	}
	unused := map[string]bool{}
	for name := range texts {
		unused[strings.TrimSuffix(name, ".schema.json")] = true
	}
	for _, name := range otherSchemas {
		delete(unused, name)
	}
	verbs := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			walk(c)
		}
		verb := strings.TrimPrefix(cmd.CommandPath(), "mxauth ")
		if cmd.HasSubCommands() || cmd.Hidden {
			return
		}
		verbs[verb] = true
		switch name := verbSchemas[verb]; {
		case name == "" && noJSON[verb] == "":
			t.Errorf("mxauth %s has neither a schema in verbSchemas nor a line in noJSON", verb)
		case name != "" && noJSON[verb] != "":
			t.Errorf("mxauth %s is in verbSchemas and in noJSON", verb)
		case name != "":
			if _, err := loadSchema(name); err != nil {
				t.Errorf("mxauth %s: %v", verb, err)
			}
			delete(unused, name)
		}
	}
	walk(newRoot(newEnv(nil, io.Discard, io.Discard, func(string) string { return "" })))
	for _, list := range []map[string]string{verbSchemas, noJSON} {
		for verb := range list {
			if !verbs[verb] {
				t.Errorf("there is no verb %q", verb)
			}
		}
	}
	for name := range unused {
		t.Errorf("docs/%s.schema.json has no verb", name)
	}
}

// TestDemo looks at every world of the lab in both ways: each comes out as its spec
// says, with the validator and through a resolver that is trusted, and what is printed
// of it is as docs/check.schema.json says, each property of which occurs.
func TestDemo(t *testing.T) {
	s, err := loadSchema("check")
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
			b, _ := json.Marshal((&verdict{asked: "x..y", err: errors.New("broken")}).row())
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
	s, err := loadSchema("check")
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
