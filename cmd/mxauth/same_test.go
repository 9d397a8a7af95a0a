package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
)

// moments are what differs between two runs by nature.
var moments = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)?`)

// TestSameTwice: two checks of the same worlds give the same text (F5), whatever answer
// comes first.
func TestSameTwice(t *testing.T) {
	// Where MTA-STS and DANE meet, and where there is no host for either.
	kinds := []string{"dane-ee", "sts-", "both-", "half-dane", "null-mx", "no-such-domain", "mx-forged", "conn-refused", "own-host", "tlsa-servfail"}
	var worlds []lab.World
	for _, w := range lab.Worlds() {
		slow := (strings.Contains(w.Name, "hang") || strings.Contains(w.Name, "timeout")) && w.Name != "sts-hang-dane"
		if w.Was == nil && !slow && slices.ContainsFunc(kinds, func(k string) bool { return strings.HasPrefix(w.Name, k) }) {
			worlds = append(worlds, w)
		}
	}
	l := startLab(t, worlds, nil)
	var in strings.Builder
	for _, w := range worlds {
		in.WriteString(w.Domain + "\n")
	}
	check := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		e := newEnv(strings.NewReader(in.String()), &stdout, &stderr, func(string) string { return "" })
		e.dial = l.Dial
		run(t.Context(), append(append([]string{"check"}, l.flags...), append(args, "-")...), e)
		return moments.ReplaceAllString(stdout.String(), "TIME")
	}
	first := check("--timeout", "2s")
	if strings.Contains(first, "not waited for") {
		t.Error("something was not waited for")
	}
	second := check("--timeout", "2s", "--concurrency", "5")
	if first == second {
		return
	}
	a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
	n := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && n < 20 {
			n++
			t.Errorf("line %d:\n%s\n%s", i, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d and %d lines", len(a), len(b))
	}
}
