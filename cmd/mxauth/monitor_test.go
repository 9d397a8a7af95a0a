package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// TestNagiosDays: the ends of certificate and policy count by the days that are left.
func TestNagiosDays(t *testing.T) {
	l := startLab(t, labtest.Worlds(t, "sts-enforce"), nil)
	e := newEnv(nil, io.Discard, io.Discard, func(string) string { return "" })
	e.dial = l.Dial
	var v *verdict
	root := newRoot(e)
	root.SetArgs(append([]string{"check", "-q", "sts-enforce.test"}, l.flags...))
	check, _, err := root.Find([]string{"check"})
	if err != nil {
		t.Fatal(err)
	}
	check.RunE = func(cmd *cobra.Command, args []string) error {
		var d deliveryFlags
		d.apply(e.set)
		r, err := newCheckRun(e, &d, args, checkVerb)
		if err != nil {
			return err
		}
		if err := r.open(cmd.Context()); err != nil {
			return err
		}
		defer r.close()
		v, err = r.work(cmd.Context(), argument{text: args[0]})
		return err
	}
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	leaf := v.Hosts[0].Addresses[0].Peer.Chain[0].NotAfter
	for _, chain := range v.Plan.STS.Chain {
		if chain.NotAfter.Before(leaf) {
			leaf = chain.NotAfter
		}
	}
	for _, c := range []struct {
		now    time.Time
		status int
		cert   float64
	}{
		{leaf.Add(-30*day - time.Hour), nagiosOK, 30},
		{leaf.Add(-14 * day), nagiosOK, 14},
		{leaf.Add(-14*day + time.Second), nagiosWarning, 13},
		{leaf.Add(-3 * day), nagiosWarning, 3},
		{leaf.Add(-3*day + time.Second), nagiosCritical, 2},
		{leaf.Add(-time.Minute), nagiosCritical, 0},
		{leaf.Add(time.Hour), nagiosCritical, -1},
	} {
		if r := nagiosOf(v, false, 14, 3, c.now); r.status != c.status || r.cert != c.cert {
			t.Errorf("%v before the end: status %d, want %d; %v days, want %v", leaf.Sub(c.now), r.status, c.status, r.cert, c.cert)
		}
	}
	// A policy that was fetched lasts as long as it says. One that cannot be fetched ends.
	policy := v.Plan.STS.Expires
	now := policy.Add(-2*day - time.Minute)
	if r := nagiosOf(v, false, 14, 0, now); r.status != nagiosOK || r.policy != 2 {
		t.Errorf("a fetched policy: status %d, %v days", r.status, r.policy)
	}
	v.Plan.STS.FetchErr = errors.New("no answer")
	if r := nagiosOf(v, false, 14, 3, now); r.status != nagiosCritical || !strings.Contains(r.text, "cannot fetch it again") {
		t.Errorf("a policy that cannot be fetched: status %d, %s", r.status, r.text)
	}
}

// TestNagiosLine: what a peer says does not begin the performance data or another line.
func TestNagiosLine(t *testing.T) {
	var out bytes.Buffer
	e := newEnv(nil, &out, io.Discard, func(string) string { return "" })
	if code := e.nagiosFailed(errors.New("a | b\nc\x1b[2J")); code != nagiosUnknown {
		t.Error(code)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "|\x1b") {
		t.Errorf("%q", got)
	}
}

// TestWatch: a round without a change prints nothing, and an interruption ends it with the
// status of the last round.
func TestWatch(t *testing.T) {
	l := startLab(t, labtest.Worlds(t, "memory-dane-defer", "dane-ee"), nil)
	pr, pw := io.Pipe()
	e := newEnv(nil, pw, io.Discard, func(string) string { return "" })
	e.dial = l.Dial
	idle, tick := make(chan time.Duration), make(chan time.Time)
	e.tick = func(d time.Duration) <-chan time.Time {
		idle <- d
		return tick
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, code := make(chan string, 100), make(chan int, 1)
	go func() {
		s := bufio.NewScanner(pr)
		for s.Scan() {
			lines <- s.Text()
		}
		close(lines)
	}()
	go func() {
		code <- run(ctx, append([]string{"check", "--watch", "10m", "memory-dane-defer.test", "dane-ee.test"}, l.flags...), e)
		pw.Close()
	}()
	if d := <-idle; d != 10*time.Minute {
		t.Errorf("waits %v", d)
	}
	tick <- time.Time{} // the second round sees the same
	<-idle
	if err := l.Forge("memory-dane-defer"); err != nil {
		t.Fatal(err)
	}
	tick <- time.Time{}
	<-idle
	cancel()
	if c := <-code; c != exitDeliverable {
		t.Errorf("exit status %d, want %d", c, exitDeliverable)
	}
	want := []string{
		`^\S+Z memory-dane-defer\.test: authenticated by dane-ee`,
		`^\S+Z dane-ee\.test: authenticated by dane-ee`,
		`^\S+Z memory-dane-defer\.test: encrypted, not authenticated`,
		`^  mx\.memory-dane-defer\.test \(preference 10\): encrypted \(was authenticated by dane-ee\): `,
	}
	n := 0
	for line := range lines {
		if n >= len(want) || !regexp.MustCompile(want[n]).MatchString(line) {
			t.Errorf("line %d: %q", n, line)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d lines, want %d", n, len(want))
	}
}
