package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeCommands: each line of the README that begins with mxconform is one that the
// program takes, as far as its help can tell.
func TestReadmeCommands(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), "mxconform ")
		if !ok {
			continue
		}
		n++
		var out bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(args), "--help"), strings.NewReader(""), &out, &out); code != exitOK {
			t.Errorf("%s: exit status %d: %s", line, code, out.String())
		}
		// A verb that needs a folder names it by a flag.
		if strings.Contains(out.String(), "--dir DIR\n") && !strings.Contains(args, "--dir ") {
			t.Errorf("%s lacks --dir", line)
		}
	}
	if n < 4 {
		t.Errorf("only %d commands", n)
	}
}
