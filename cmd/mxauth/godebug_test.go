package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoGODEBUG: the program sets no setting of the Go runtime. They are process-wide, so
// one that lets a mail host pass lets a policy host pass as well.
func TestNoGODEBUG(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	directive := "//go:" + "debug"
	for _, f := range append(files, "../../go.mod") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, directive) || strings.HasPrefix(line, "godebug") {
				t.Errorf("%s: %s", f, line)
			}
		}
	}
}
