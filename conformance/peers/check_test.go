package peers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCheck runs the built mxauth, as an outside program, over deliveries to real
// Postfix servers found through a real resolver over zones that NSD serves: once
// with its own validator behind a resolver that does not validate, and once
// believing one that does. Both must say the same.
func TestCheck(t *testing.T) {
	w := start(t)
	mxauth := build(t)
	for _, mode := range []struct{ dnssec, resolver string }{
		{"trust-ad", unboundAddress},
		{"validate", plainAddress},
		{"validate", unboundAddress},
	} {
		t.Run(mode.dnssec+" through "+mode.resolver, func(t *testing.T) {
			args := []string{"check", "--json", "--resolver", mode.resolver, "--dnssec", mode.dnssec,
				"--ca-file", w.ca, "--allow-address", "127.0.0.0/8", "--timeout", "20s"}
			if mode.dnssec == "validate" {
				args = append(args, "--trust-anchor", w.anchor)
			}
			var all []string
			for _, d := range deliveries {
				all = append(all, d.name+".test")
				t.Run(d.name, func(t *testing.T) {
					rows, code, stderr := run(t, mxauth, append(args, d.name+".test")...)
					if code != d.exit {
						t.Errorf("exit status %d, want %d; standard error: %s", code, d.exit, stderr)
					}
					if len(rows) != 1 {
						t.Fatalf("%d rows, want 1; standard error: %s", len(rows), stderr)
					}
					if diff := cmp.Diff(d.want, rows[0]); diff != "" {
						t.Errorf("row (-want +got):\n%s", diff)
					}
				})
			}
			t.Run("all at once", func(t *testing.T) {
				rows, code, stderr := run(t, mxauth, append(args, all...)...)
				if code != 3 {
					t.Errorf("exit status %d, want 3; standard error: %s", code, stderr)
				}
				var wants []want
				for _, d := range deliveries {
					wants = append(wants, d.want)
				}
				if diff := cmp.Diff(wants, rows); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
			})
		})
	}
	// A resolver that does not validate is no source of an AD bit; with it nothing is
	// checked.
	t.Run("trust-ad through a resolver that does not validate", func(t *testing.T) {
		rows, code, stderr := run(t, mxauth, "check", "--json", "--resolver", plainAddress, "--dnssec", "trust-ad", "ee.test")
		if code != 78 || len(rows) != 0 || !strings.Contains(stderr, plainAddress) {
			t.Errorf("exit status %d with %d rows, want 78 with none; standard error: %q, want the server's address in it", code, len(rows), stderr)
		}
	})
	t.Run("no resolver", func(t *testing.T) {
		rows, code, stderr := run(t, mxauth, "check", "--json", "--resolver", nobody, "--timeout", "5s", "ee.test")
		if diff := cmp.Diff([]want{{Outcome: "deferred", Hosts: []wantHost{}}}, rows); diff != "" || code != 69 || !strings.Contains(stderr, nobody) {
			t.Errorf("exit status %d, want 69; standard error: %q, want the server's address in it; rows (-want +got):\n%s", code, stderr, diff)
		}
	})
}

// build compiles the program under test.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "mxauth")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/mxauth/mxauth/cmd/mxauth").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// run runs mxauth and reads the rows that it prints.
func run(t *testing.T, program string, args ...string) (rows []want, code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&out)
	for dec.More() {
		var r want
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("row %d: %v", len(rows)+1, err)
		}
		rows = append(rows, r)
	}
	return rows, cmd.ProcessState.ExitCode(), errs.String()
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
