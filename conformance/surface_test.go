package conformance_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// mostLines is how long the list of what a package exports may be, so that it fits one
// screen; engineLines is for package engine, where plan and decision meet.
const (
	mostLines   = 45
	engineLines = 60
)

// TestSurface holds `go doc -short` of every package against these limits.
func TestSurface(t *testing.T) {
	counted := 0
	for _, p := range list(t, module+"/...") {
		out, err := exec.CommandContext(t.Context(), "go", "doc", "-short", p.ImportPath).Output()
		if err != nil {
			t.Fatalf("%s: %v", p.ImportPath, err)
		}
		most := mostLines
		if p.ImportPath == module+"/engine" {
			most = engineLines
		}
		n := bytes.Count(out, []byte("\n"))
		if n > most {
			t.Errorf("go doc -short %s has %d lines, more than %d: unexport what only the package or its tests use, or group constants", strings.TrimPrefix(p.ImportPath, module+"/"), n, most)
		}
		counted += n
	}
	if counted < 500 {
		t.Errorf("only %d lines in all packages: go doc lists nothing", counted)
	}
}
