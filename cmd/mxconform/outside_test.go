package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/judge"
)

// Bounds of the outside test: of the whole, and of one wait of the checked program.
const (
	outsideTime   = 6 * time.Minute
	outsideCheck  = "5s"
	outsideAtOnce = 2 // processes side by side
)

// needsAge are the worlds that an outside program cannot be led through, since its
// clock is its own.
var needsAge = map[string]string{
	"cached-expired": "its policy has to be 25 hours old",
}

// mxauth is checked as anybody's program would be: the lab in one process on real
// ports, the built mxauth in others, by flags alone, with the validator and with
// trust-ad; judge gives full marks.
func TestOutsideProgram(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the lab's real ports take root")
	}
	if testing.Short() {
		t.Skip("builds mxauth and checks every world twice")
	}
	// Not of t.Context, which ends before the lab is stopped.
	ctx, cancel := context.WithTimeout(context.Background(), outsideTime)
	t.Cleanup(cancel)
	began := time.Now()
	dir := t.TempDir()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "mxauth"), "github.com/mxauth/mxauth/cmd/mxauth").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// This test program is mxconform under that name (see TestMain).
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "mxconform")); err != nil {
		t.Fatal(err)
	}
	t.Logf("built after %v", time.Since(began))
	forge := serveLab(ctx, t, dir)
	t.Logf("served after %v", time.Since(began))
	worlds := readWorlds(t, filepath.Join(dir, worldsFile))

	modes := []struct {
		name, resolver string
		results        *bytes.Buffer
	}{{"validate", "127.9.0.2", new(bytes.Buffer)}, {"trust-ad", "127.9.0.1", new(bytes.Buffer)}}
	check := func(mode, resolver string, primed bool) *bytes.Buffer {
		all := groups(worlds, primed)
		outs := make([]bytes.Buffer, len(all))
		var side errgroup.Group
		side.SetLimit(outsideAtOnce)
		if primed {
			side.SetLimit(1) // they share a store, which one process may have at a time
		}
		for i, g := range all {
			side.Go(func() error {
				args := []string{"check", "--json", "--resolver", resolver, "--dnssec", mode, "--timeout", outsideCheck, "--concurrency", "32",
					"--trust-anchor", filepath.Join(dir, anchorFile), "--ca-file", filepath.Join(dir, caFile), "--allow-address", "127.0.0.0/8"}
				if primed {
					args = append(args, "--store", "bolt:"+filepath.Join(dir, mode+".db"))
				}
				cmd := exec.CommandContext(ctx, filepath.Join(dir, "mxauth"), append(append(args, g.flags...), g.domains...)...)
				cmd.Stdout = &outs[i]
				var errOut strings.Builder
				cmd.Stderr = &errOut
				err := cmd.Run()
				var exit *exec.ExitError
				if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 3) {
					t.Errorf("%s: %q %.300q: %v: %.1000s", mode, g.flags, g.domains, err, errOut.String())
				}
				return nil
			})
		}
		_ = side.Wait()
		out := new(bytes.Buffer)
		for i := range outs {
			out.Write(outs[i].Bytes())
		}
		return out
	}
	for _, m := range modes {
		check(m.name, m.resolver, true) // what was, so that the policies are kept
		m.results.Write(check(m.name, m.resolver, false).Bytes())
	}
	t.Logf("checked after %v", time.Since(began))
	forge()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			m.results.Write(check(m.name, m.resolver, true).Bytes())
			rep, err := score(ctx, m.results, judge.Options{Reasons: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range rep.Scores {
				if s.Mark != judge.Right && needsAge[s.World] == "" {
					t.Errorf("%s: %s: %s", s.World, s.Mark, strings.Join(s.Differences, "; "))
				}
			}
			if rep.Right+len(needsAge) != len(worlds) || len(rep.Unknown) > 0 {
				t.Errorf("%d of %d right; unknown: %q", rep.Right, len(worlds), rep.Unknown)
			}
		})
	}
}

// serveLab runs `mxconform lab` until the test ends, and returns what forges its worlds.
// Another lab may have the ports for a while.
func serveLab(ctx context.Context, t *testing.T, dir string) (forge func()) {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, "mxconform"), "lab", "--dir", dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if waitFor(lines, "ready") {
			t.Cleanup(func() {
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
				_, _ = io.Copy(io.Discard, out)
				if err := cmd.Wait(); err != nil {
					t.Errorf("the lab ended with %v: %s", err, &errOut)
				}
			})
			return func() {
				t.Helper()
				if _, err := io.WriteString(in, forgeLine+"\n"); err != nil || !waitFor(lines, "forged") {
					t.Fatalf("not forged: %v, %s", err, &errOut)
				}
			}
		}
		_ = cmd.Wait()
		if !strings.Contains(errOut.String(), syscall.EADDRINUSE.Error()) {
			t.Fatalf("the lab did not start: %s", &errOut)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the lab's ports stay in use: %s", &errOut)
		case <-tick.C:
		}
	}
}

// waitFor reads lines up to one that begins so; false if the input ends before.
func waitFor(s *bufio.Scanner, begins string) bool {
	for s.Scan() {
		if strings.HasPrefix(s.Text(), begins) {
			return true
		}
	}
	return false
}

func readWorlds(t *testing.T, path string) []labLine {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []labLine
	for d := json.NewDecoder(f); ; {
		var w labLine
		if err := d.Decode(&w); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, w)
	}
	if len(out) < 250 {
		t.Fatalf("%d worlds", len(out))
	}
	return out
}

// A group is the worlds that are checked by the same flags.
type group struct{ flags, domains []string }

func groups(worlds []labLine, primed bool) []group {
	var out []group
	for _, w := range worlds {
		if w.Primed != primed {
			continue
		}
		last := len(w.Args) - 1
		flags, domain := w.Args[:last], w.Args[last]
		i := slices.IndexFunc(out, func(g group) bool { return slices.Equal(g.flags, flags) })
		if i < 0 {
			out, i = append(out, group{flags: flags}), len(out)
		}
		out[i].domains = append(out[i].domains, domain)
	}
	return out
}
