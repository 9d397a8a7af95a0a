package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance/lab"
)

// testRoot is the command tree, with what it prints thrown away.
func testRoot() *cobra.Command {
	return newRoot(newEnv(strings.NewReader(""), io.Discard, io.Discard, func(string) string { return "" }))
}

// everyVerb calls f for each verb and those below it.
func everyVerb(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, c := range cmd.Commands() {
		f(c)
		everyVerb(c, f)
	}
}

// TestExamples: what help shows as an example is a command line that can be carried out.
func TestExamples(t *testing.T) {
	seen := 0
	check := func(cmd *cobra.Command) {
		for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", " ")) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "   ") // what it is for follows
			words := strings.Fields(line)
			// What a shell does is not mxauth's.
			if i := slices.IndexFunc(words, func(w string) bool { return w == "<" || w == ">" || w == "|" }); i > 0 {
				words = words[:i]
			}
			seen++
			found, args, err := testRoot().Find(words[1:])
			if err != nil || words[0] != "mxauth" || !found.HasParent() {
				t.Errorf("%q is no verb: %v", line, err)
				continue
			}
			if err := found.ParseFlags(args); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			if found.Name() == "demo" && found.Flags().NArg() == 1 && !slices.ContainsFunc(lab.Worlds(), func(w lab.World) bool { return w.Name == found.Flags().Arg(0) }) {
				t.Errorf("%q: there is no such world", line)
			}
		}
	}
	root := testRoot()
	check(root)
	everyVerb(root, check)
	if seen < 15 {
		t.Errorf("only %d examples", seen)
	}
}

// TestExceptionsHelp: the file of exceptions that help shows is a good one.
func TestExceptionsHelp(t *testing.T) {
	check, _, err := testRoot().Find([]string{"check"})
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(check.Long, "[[exception]]")
	text, _, end := strings.Cut(text, "\n\n")
	if !ok || !end {
		t.Fatal("help shows no exceptions")
	}
	if set, line, err := parseExceptions("[[exception]]" + text); err != nil || set == nil {
		t.Errorf("line %d: %v", line, err)
	}
}

// TestWords: the words that help names for a flag are those that package engine takes.
func TestWords(t *testing.T) {
	for flag, words := range map[string]string{"level": levels, "insecure-mx": insecureMXs, "dane-and-sts": daneAndSTSs, "sts-undetermined": undetermineds} {
		for word := range strings.SplitSeq(strings.ReplaceAll(words, " or ", ", "), ", ") {
			d := deliveryFlags{}
			d.defaults()
			*map[string]*string{"level": &d.level, "insecure-mx": &d.insecureMX, "dane-and-sts": &d.daneAndSTS, "sts-undetermined": &d.undetermined}[flag] = word
			if _, err := d.request(); err != nil {
				t.Errorf("--%s %s: %v", flag, word, err)
			}
		}
	}
}

// TestPlaceholders: no flag shows the Go type of its value in help.
func TestPlaceholders(t *testing.T) {
	root := testRoot()
	everyVerb(root, func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Flags().FlagUsages() + cmd.InheritedFlags().FlagUsages()) {
			for _, word := range strings.Fields(line)[:min(4, len(strings.Fields(line)))] {
				if slices.Contains([]string{"string", "uint16", "int", "duration", "strings", "stringArray"}, word) {
					t.Errorf("%s: %s", cmd.CommandPath(), strings.TrimSpace(line))
				}
			}
		}
	})
}

// TestEveryVerbRefuses: an unknown flag and an unknown verb are bad usage of every verb,
// told in one line and a hint.
func TestEveryVerbRefuses(t *testing.T) {
	var lines [][]string
	everyVerb(testRoot(), func(cmd *cobra.Command) {
		if cmd.Name() == "completion" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return // cobra's own
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		lines = append(lines, slices.Concat(path, []string{"--nonsense"}))
		if cmd.HasSubCommands() {
			lines = append(lines, path, slices.Concat(path, []string{"nonsense"}))
		}
	})
	lines = append(lines, []string{"help", "nonsense"}, []string{"help", "cache", "nonsense"})
	for _, args := range lines {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" }))
		if code != exitUsage || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 2 || !strings.Contains(stderr.String(), "mxauth: hint: ") {
			t.Errorf("%q: exit status %d, %q and %q", args, code, stdout.String(), stderr.String())
		}
	}
}
