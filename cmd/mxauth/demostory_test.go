package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
)

// TestDemoStory: the story has the worlds that it names, in its order, each with a line for
// the situation, and ends with what to type next.
func TestDemoStory(t *testing.T) {
	if got := storyWorlds(lab.Worlds()); len(got) != len(story) {
		t.Fatalf("%d of %d worlds exist", len(got), len(story))
	}
	var stdout, stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
	if code := run(t.Context(), []string{"demo"}, e); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	rest := stdout.String()
	for _, s := range story {
		for _, want := range []string{" " + s.world + "\n", s.situation, " -> "} {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Fatalf("%s: %q is missing, or out of order, in\n%s", s.world, want, stdout.String())
			}
			rest = after
		}
	}
	if !strings.Contains(rest, "mxauth demo --all") || !strings.Contains(rest, "mxauth check example.org") {
		t.Errorf("the end does not say what to type next:\n%s", rest)
	}
	if n := strings.Count(stdout.String(), "\n"); n > 80 {
		t.Errorf("%d lines: more than anybody reads", n)
	}
}
