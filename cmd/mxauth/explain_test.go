package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// explained are the worlds whose chains testdata/explain holds, as text and as a picture.
var explained = strings.Fields(`
	dane-ee dane-ta sts-enforce sts-testing-no-match classic-mismatch tlsa-mismatch stripped-dane
	half-dane one-of-two tlsa-timeout zone-expired null-mx`)

// namedIDs are words of the code that the picture names on purpose: docs/reasons.md has
// them.
var namedIDs = regexp.MustCompile(`mx-bogus|address-bogus|tlsa-bogus`)

// plainChain takes what differs from run to run out of a chain.
func plainChain(s string) string {
	return plainAnswer(regexp.MustCompile(`\b[0-9a-f]{12}\.\.\.`).ReplaceAllString(s, "hhhhhhhhhhhh..."))
}

// TestExplainGolden holds the chains of trust to testdata/explain, live and by evidence.
// `go test ./cmd/mxauth -run TestExplainGolden -update` writes them.
func TestExplainGolden(t *testing.T) {
	worlds := labtest.Worlds(t, explained...)
	if len(worlds) != 12 {
		t.Fatalf("%d worlds", len(worlds))
	}
	l := &goldenLab{testLab: startLab(t, worlds, goldenClock)}
	for _, w := range l.Worlds() {
		t.Run(w.Name, func(t *testing.T) {
			dir := t.TempDir()
			svg, evidence := filepath.Join(dir, "chain.svg"), filepath.Join(dir, "evidence.json")
			flags := slices.Concat(l.flags, []string{"--timeout", "2s", "--helo", "mail.example.net"})
			out, said, code := inProcess(t, l.Dial, goldenClock, slices.Concat([]string{"explain", "--svg", svg}, flags, w.Args())...)
			if said != "" {
				t.Errorf("standard error: %s", said)
			}
			if m := tableWords.FindString(namedIDs.ReplaceAllString(out, "")); m != "" {
				t.Errorf("%q in\n%s", m, out)
			}
			picture := readFile(t, svg)
			got := fmt.Sprintf("$ mxauth explain %s\n%s[exit status %d]\n", strings.Join(w.Args(), " "), out, code)
			golden(t, filepath.Join("testdata", "explain", w.Name), plainChain(got))
			golden(t, filepath.Join("testdata", "explain", w.Name+".svg"), plainChain(picture))

			// The same from the evidence, where no host can be reached.
			inProcess(t, l.Dial, goldenClock, slices.Concat([]string{"check", "--evidence", evidence}, flags, w.Args())...)
			again, _, codeAgain := inProcess(t, nobodyThere, goldenClock, "explain", "--svg", svg, "--evidence", evidence, "--trust-anchor", l.anchor, "--ca-file", l.ca)
			if plainChain(again) != plainChain(out) || codeAgain != code {
				t.Errorf("by its evidence (exit status %d, live %d):\n%s\nlive:\n%s", codeAgain, code, again, out)
			}
			if plainChain(readFile(t, svg)) != plainChain(picture) {
				t.Error("the picture by the evidence is another")
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "explain"))
	if err != nil || len(files) != 2*len(explained) {
		t.Errorf("%d files for %d worlds, %v", len(files), len(explained), err)
	}
}

// readFile returns the text of a file.
func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
