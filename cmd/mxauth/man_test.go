package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/manpage"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

//go:generate go test -run ^TestManPages$ . -update

const manFolder = "../../man"

// allVerbs are the commands that a user can choose, the root first.
func allVerbs(t *testing.T) []*cobra.Command {
	t.Helper()
	root := newRoot(newEnv(strings.NewReader(""), io.Discard, io.Discard, func(string) string { return "" }))
	var out []*cobra.Command
	var add func(*cobra.Command)
	add = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		c.InitDefaultVersionFlag()
		out = append(out, c)
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				add(sub)
			}
		}
	}
	add(root)
	if len(out) < 30 {
		t.Fatalf("only %d verbs", len(out))
	}
	return out
}

// manPages are the pages as they should be, by file name.
func manPages(t *testing.T) map[string][]byte {
	t.Helper()
	pages := map[string][]byte{}
	for _, c := range allVerbs(t) {
		c.Long = reflow(c.Long, helpWidth-8) // its lists; paragraphs are filled by troff
		pages[manpage.Name(c)+".1"] = manpage.Command(c)
	}
	var example strings.Builder
	if err := settings.Example(&example); err != nil {
		t.Fatal(err)
	}
	_, listen, found := strings.Cut(example.String(), "# [[listen]]\n")
	if !found {
		t.Fatal("the example file has no listener")
	}
	listen, _, _ = strings.Cut(listen, "#\n")
	pages["mxauth.toml.5"] = manpage.Settings(settings.Table(), strings.ReplaceAll("# [[listen]]\n"+listen, "# ", "  "))
	return pages
}

// TestManPages: the pages in man are those of this program, no more and no less; with
// -update it writes them.
func TestManPages(t *testing.T) {
	pages := manPages(t)
	if *update {
		if err := os.RemoveAll(manFolder); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(manFolder, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range pages {
			write(t, filepath.Join(manFolder, name), string(text))
		}
	}
	entries, err := os.ReadDir(manFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if pages[entry.Name()] == nil {
			t.Errorf("man/%s is the page of no verb (go generate ./cmd/mxauth)", entry.Name())
		}
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(manFolder, name))
		if err != nil {
			t.Errorf("%v (go generate ./cmd/mxauth)", err)
		} else if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("man/%s is stale (go generate ./cmd/mxauth): -want +got\n%s", name, diff)
		}
	}
}

// TestManPagesLint: mandoc finds nothing wrong with the pages.
func TestManPagesLint(t *testing.T) {
	tool(t, "mandoc")
	files, err := filepath.Glob(filepath.Join(manFolder, "*.[15]"))
	if err != nil || len(files) == 0 {
		t.Fatal("no pages", err)
	}
	out, err := exec.CommandContext(t.Context(), "mandoc", append([]string{"-T", "lint", "-W", "style"}, files...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// The pages have no date on purpose, and refer to each other, which are not installed.
		if !strings.Contains(line, "missing date") && !strings.Contains(line, "referenced manual not found") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil && len(out) == 0 {
		t.Error(err)
	}
}

// TestHelpWidth: help fits a terminal of 80 columns, and names each flag and verb.
func TestHelpWidth(t *testing.T) {
	for _, c := range allVerbs(t) {
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		code := run(t.Context(), args, newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" }))
		if code != 0 || stderr.Len() > 0 {
			t.Fatalf("%v: exit status %d: %s", args, code, stderr.String())
		}
		for line := range strings.Lines(stdout.String()) {
			if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > helpWidth {
				t.Errorf("%s --help: %d columns: %s", c.CommandPath(), utf8.RuneCountInString(line), line)
			}
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && !strings.Contains(stdout.String(), "\n  "+sub.Name()+" ") {
				t.Errorf("%s --help does not name %s", c.CommandPath(), sub.Name())
			}
		}
		if !strings.Contains(stdout.String(), "--dnssec") || !strings.Contains(stdout.String(), "Usage:\n  "+c.CommandPath()) {
			t.Errorf("%s --help lacks a flag of every verb, or the usage:\n%s", c.CommandPath(), stdout.String())
		}
	}
}

// TestManPagesNotLinked: the program does not hold what makes its pages.
func TestManPagesNotLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if slices.ContainsFunc(deps, func(d string) bool { return strings.HasSuffix(d, "/internal/manpage") }) {
		t.Error("mxauth links internal/manpage")
	}
	if !slices.ContainsFunc(deps, func(d string) bool { return strings.HasSuffix(d, "/internal/settings") }) {
		t.Errorf("not the packages of mxauth: %v", deps)
	}
}
