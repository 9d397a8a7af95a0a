package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/peers"
)

// asMxauth in the environment makes the test program mxauth itself.
const asMxauth = "MXAUTH_TEST_IS_MXAUTH"

func TestMain(m *testing.M) {
	if os.Getenv(asMxauth) != "" {
		mainBenchServer()
		mainBenchSurvey()
		mainOverDialer()
		main()
	}
	if name := os.Getenv(statusFile); name != "" {
		os.Exit(runMeasured(name))
	}
	// A program with the race detector sleeps for a second when it exits, for races of
	// goroutines that go on; mxauth, which the tests start hundreds of times, waits for its own.
	if os.Getenv(raceOptions) == "" {
		os.Setenv(raceOptions, "atexit_sleep_ms=20")
	}
	os.Exit(m.Run())
}

// raceOptions in the environment are the options of the race detector.
const raceOptions = "GORACE"

// evidenceFiles is how many files of evidence are made and replayed.
const evidenceFiles = 60

// TestReplayElsewhere writes the evidence of checks on the lab, and replays each file twice:
// by another clock, and as a program of its own in a network namespace without a network.
// Both print the same octets, and nothing differs from what was concluded.
func TestReplayElsewhere(t *testing.T) {
	var worlds []lab.World
	for _, w := range lab.Worlds() {
		slow := strings.Contains(w.Name, "hang") || strings.Contains(w.Name, "timeout") || strings.Contains(w.Name, "colliding") || strings.Contains(w.Name, "keytrap")
		if w.Was == nil && !w.Request.Smarthost && !slow {
			worlds = append(worlds, w)
		}
	}
	every := len(worlds) / evidenceFiles
	if every < 2 {
		t.Fatalf("only %d worlds", len(worlds))
	}
	for i := range evidenceFiles {
		worlds[i] = worlds[i*every] // of all kinds
	}
	l := startLab(t, worlds[:evidenceFiles], time.Now)
	dir := t.TempDir()
	trust := []string{"--trust-anchor", l.anchor, "--ca-file", l.ca}
	apart := namespaces(t)
	outcomes := map[string]int{}
	var g errgroup.Group
	g.SetLimit(2)
	for _, w := range l.Worlds() {
		file := filepath.Join(dir, w.Name+".json")
		args := append([]string{"check", "--json", "--evidence", file, "--timeout", "5s"}, l.flags...)
		checked, _, code := inProcess(t, l.Dial, time.Now, append(args, w.Args()...)...)
		if code > exitDeferred {
			t.Fatalf("%s: check ends with %d", w.Name, code)
		}
		outcomes[w.Want.Outcome]++
		g.Go(func() error {
			replay := append([]string{"replay", "--json", file}, trust...)
			later := func() time.Time { return time.Now().AddDate(20, 0, 0) }
			out, said, code := inProcess(t, nobodyThere, later, replay...)
			if code != 0 || said != "" || out == "" {
				return fmt.Errorf("%s: replay ends with %d: %s", w.Name, code, said)
			}
			if !strings.Contains(checked, `"outcome":"`+w.Want.Outcome+`"`) || !strings.Contains(out, `"outcome":"`+w.Want.Outcome+`"`) {
				return fmt.Errorf("%s is not %s: %s", w.Name, w.Want.Outcome, out)
			}
			if !apart {
				return nil
			}
			cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"-n", os.Args[0]}, replay...)...)
			cmd.Env = append(os.Environ(), asMxauth+"=1")
			alone, err := cmd.Output()
			if err != nil || string(alone) != out {
				return fmt.Errorf("%s: without a network: %v\n%s\nand by another clock:\n%s", w.Name, err, alone, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for _, o := range []string{"authenticated", "encrypted", "cleartext", "refused", "deferred", "bounced"} {
		if outcomes[o] == 0 {
			t.Errorf("no world is %s: %v", o, outcomes)
		}
	}
}

// namespaces reports whether a program can be run without a network. Where real programs
// are demanded, it has to.
func namespaces(t *testing.T) bool {
	t.Helper()
	err := exec.CommandContext(t.Context(), "unshare", "-n", "true").Run()
	if err == nil {
		return true
	}
	if os.Getenv(peers.RequireEnv) != "" {
		t.Errorf("unshare -n: %v", err)
	}
	t.Logf("not tried without a network: unshare -n: %v", err)
	return false
}

// inProcess runs a command line in this process, by a dialler and a clock.
func inProcess(t *testing.T, dial func(context.Context, netip.AddrPort) (net.Conn, error), now func() time.Time, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	e := newEnv(strings.NewReader(""), io.Writer(&out), io.Writer(&errOut), func(string) string { return "" })
	e.dial, e.now = dial, now
	code = run(t.Context(), args, e)
	return out.String(), errOut.String(), code
}

// nobodyThere is a network without hosts.
func nobodyThere(context.Context, netip.AddrPort) (net.Conn, error) {
	return nil, errors.New("there is no network")
}
