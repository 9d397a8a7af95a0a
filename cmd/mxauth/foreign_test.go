package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/text"
)

// foreign are characters that a peer or a zone may write and a terminal must not get.
const (
	foreign = "\u0080\u0085\u009b31m\u009f\u007f" + unseen
	unseen  = "\u200b\u200e\u2028\u2029\u202e\u2066\u2069\ufeff\ufe0f\u3164\U000e0041\U000f0000" // valid in a policy
)

// runMain runs a command line in this process.
func runMain(t *testing.T, edit func(*env), args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	e := newEnv(strings.NewReader(""), &out, &err, func(string) string { return "" })
	if edit != nil {
		edit(e)
	}
	code = run(t.Context(), args, e)
	return code, out.String(), err.String()
}

// mustBeSafe fails if a text holds a character that must not be shown.
func mustBeSafe(t *testing.T, what, s string) {
	t.Helper()
	if text.Lines(s) != s {
		t.Errorf("%s: %+q", what, s)
	}
}

// TestForeignText: what others write is escaped in text and in JSON, where it means what
// it was.
func TestForeignText(t *testing.T) {
	policy := "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\nx-note: a" + unseen + strings.Repeat("é"+unseen, 3000/len("é"+unseen)) + "z\n"
	line, err := json.Marshal(map[string]any{"v": 1, "domain": "example.org", "id": "1", "fetched": time.Now().UTC().Format(time.RFC3339), "policy": policy})
	if err != nil {
		t.Fatal(err)
	}
	in := testFile(t, "in.jsonl", append(line, '\n'))
	db := "bolt:" + testFile(t, "x", nil) + ".db"
	if code, _, stderr := runMain(t, nil, "cache", "import", "--store", db, in); code != 0 {
		t.Fatal(stderr)
	}
	for _, args := range [][]string{
		{"cache", "export"}, {"cache", "show", "--json", "example.org"}, {"cache", "list", "--json"}, {"cache", "show", "example.org"},
	} {
		code, stdout, stderr := runMain(t, nil, append(args, "--store", db)...)
		mustBeSafe(t, strings.Join(args, " "), stdout)
		if code != 0 {
			t.Errorf("%q: %s", args, stderr)
		}
		if args[1] == "list" || args[1] == "show" && args[2] != "--json" {
			continue
		}
		var back struct{ Policy string }
		if err := json.Unmarshal([]byte(stdout), &back); err != nil || back.Policy != policy {
			t.Errorf("%q: it does not mean the same: %v", args, err)
		}
	}
	bad := testFile(t, "policy.txt", []byte("version: STSv1\nmode: enforce\nmx: mx"+foreign+".example.org\nx"+foreign+": y\nmax_age: 1\n"))
	for _, args := range [][]string{{"sts", "lint", bad}, {"sts", "lint", "--json", bad}, {"check", "--json", "x" + foreign, "y"}, {"check", "x" + foreign}, {"plan", "--json", "a" + foreign, "b" + foreign}, {"lint", "--json", "x" + foreign, "y" + foreign},
		{"check", "--helo", foreign, "x.example"}, {"check", "--resolver", foreign, "x.example"}, {foreign}, {"replay", bad}} {
		_, stdout, stderr := runMain(t, func(e *env) {
			e.flags.resolvers = nil
		}, append(args, "--resolver", "127.0.0.1:1", "--timeout", "10ms")...)
		mustBeSafe(t, strings.Join(args[:1], " "), stdout)
		mustBeSafe(t, strings.Join(args[:1], " "), stderr)
		if stdout == "" && stderr == "" {
			t.Errorf("%q prints nothing", args)
		}
	}
}

// TestConsoleKinds: whatever the type of an argument, its text is escaped.
func TestConsoleKinds(t *testing.T) {
	type word string
	var out bytes.Buffer
	c := newConsole(&out, &out, func(string) string { return "" })
	id := reason.ID(foreign)
	c.Linef("%s %v %s %v %v %d %t", word(foreign), []string{foreign}, id, map[string]string{foreign: foreign}, struct{ s string }{foreign}, 7, true)
	mustBeSafe(t, "arguments", out.String())
	if !strings.HasSuffix(out.String(), " 7 true\n") {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	(&env{out: c}).printJSON(map[string]any{"k" + foreign: []string{foreign}})
	mustBeSafe(t, "JSON", out.String())
	var back map[string][]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["k"+foreign][0] != foreign {
		t.Errorf("%v: %q", err, out.String())
	}
}
