package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/advise/bulk"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// A surveyProcess is a survey in a process of its own, of which every domain after the first so
// many has servers that do not answer.
type surveyProcess struct {
	*exec.Cmd
	stdin          *os.File // the other end of standard input
	stdout, stderr bytes.Buffer
	names          sync.Map      // of MX questions; one that is slow to be answered comes again
	count          atomic.Int64  // of names
	listed         chan struct{} // closed when the list is written
}

// asked is how many domains have been asked about.
func (p *surveyProcess) asked() int64 { return p.count.Load() }

// endList ends the list.
func (p *surveyProcess) endList() {
	<-p.listed
	p.stdin.Close()
}

// startSurvey starts a survey of n domains of which the first answered are answered. The list
// comes by a pipe that stays open.
func startSurvey(t *testing.T, n, answered int, args ...string) *surveyProcess {
	t.Helper()
	return startSurveyTo(t, nil, n, answered, args...)
}

// startSurveyTo is startSurvey with another standard output; nil: it is kept.
func startSurveyTo(t *testing.T, stdout *os.File, n, answered int, args ...string) *surveyProcess {
	t.Helper()
	w := &surveyWorld{}
	p := &surveyProcess{listed: make(chan struct{})}
	addr, stop, err := dnsfake.Serve(netip.MustParseAddrPort("127.0.0.1:0"), dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		i, _ := bareNumber(q.Question[0].Name)
		if q.Question[0].Qtype == dns.TypeMX {
			if _, again := p.names.LoadOrStore(i, true); !again {
				p.count.Add(1)
			}
		}
		if i < answered {
			w.ServeDNS(rw, q)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.Cmd = exec.CommandContext(t.Context(), program, append([]string{"survey", "--resolver", addr.String(), "--dnssec", "trust-ad", "--no-times", "-"}, args...)...)
	p.Cmd.Env = append(os.Environ(), asMxauth+"=1", benchSurvey+"=127.0.0.1:1 0s 0")
	r, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.Stdin = pw, r
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if stdout != nil {
		p.Stdout = stdout
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { pw.Close(); _ = p.Process.Kill(); _ = p.Wait() })
	go func() { // more than the pipe holds
		defer close(p.listed)
		for i := range n {
			fmt.Fprintf(pw, "d%d.example\n", i*policyEvery+1) // without a policy
		}
	}()
	return p
}

// kept counts the rows of a journal.
func kept(path string) int {
	b, _ := os.ReadFile(path)
	return max(strings.Count(string(b), "\n")-1, 0)
}

// TestSurveyInterrupted: Ctrl-C ends a survey with what is finished, and waits neither for the end
// of the list nor for servers that are silent; the journal has it, and the next run does not ask
// for it again.
func TestSurveyInterrupted(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "j")
	// d1 to d37 are answered, d41 to d77 are not.
	p := startSurvey(t, 20, 40, "--resume", journal)
	eventually(t, "rows", func() bool { return kept(journal) == 10 && p.asked() >= 20 })
	begun := time.Now()
	_ = p.Process.Signal(os.Interrupt)
	err := p.Wait()
	took := time.Since(begun)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted || took > 10*time.Second {
		t.Errorf("%v after %v: %s", err, took, p.stderr.String())
	}
	if out := p.stdout.String(); !strings.HasPrefix(out, "10 domains, 0 of them") || !strings.Contains(out, "The survey was ended before the end of the list.") {
		t.Errorf("standard output: %s", out)
	}
	if e := p.stderr.String(); !strings.Contains(e, "mxauth: what is finished is kept: the same command continues\nmxauth: interrupted\n") {
		t.Errorf("standard error: %s", e)
	}

	again := startSurvey(t, 20, 1000, "--resume", journal)
	again.endList()
	if err := again.Wait(); err != nil || !strings.HasPrefix(again.stdout.String(), "20 domains, ") {
		t.Errorf("%v: %s%s", err, again.stdout.String(), again.stderr.String())
	}
	if n := again.asked(); n != 10 {
		t.Errorf("%d domains were asked for, want 10", n)
	}
}

// TestSurveyKilled: kill -9 loses no finished row.
func TestSurveyKilled(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "j")
	p := startSurvey(t, 20, 40, "--resume", journal)
	eventually(t, "rows", func() bool { return kept(journal) == 10 })

	second := startSurvey(t, 20, 40, "--resume", journal)
	second.endList()
	var exit *exec.ExitError
	if err := second.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitConfig || !strings.Contains(second.stderr.String(), "another survey uses the journal\nmxauth: hint: wait until it has ended") {
		t.Errorf("%v: %s", err, second.stderr.String())
	}

	_ = p.Process.Kill()
	_ = p.Wait()
	again := startSurvey(t, 20, 1000, "--resume", journal)
	again.endList()
	if err := again.Wait(); err != nil || again.asked() != 10 {
		t.Errorf("%v, %d asked: %s", err, again.asked(), again.stderr.String())
	}
}

// TestSurveyDiskFull: a journal for which there is no more room ends the survey with what to do, and
// with room the same command continues without asking again for what is finished.
func TestSurveyDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("mxauth-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	const domains, room = 200, 8 << 10
	filler, journal := filepath.Join(dir, "full"), filepath.Join(dir, "j")
	if err := os.WriteFile(filler, make([]byte, 64<<10-room), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startSurvey(t, domains, domains*policyEvery+1, "--resume", journal)
	p.endList()
	err := p.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitConfig ||
		!strings.Contains(p.stderr.String(), syscall.ENOSPC.Error()+"\nmxauth: hint: make room on the disk, and give the same command again: what is finished is kept\n") {
		t.Errorf("%v: %s", err, p.stderr.String())
	}
	done := int64(kept(journal))
	if done == 0 || done >= domains {
		t.Fatalf("%d of %d rows are kept", done, domains)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	again := startSurvey(t, domains, domains*policyEvery+1, "--resume", journal)
	again.endList()
	if err := again.Wait(); err != nil || !strings.HasPrefix(again.stdout.String(), "200 domains, ") {
		t.Errorf("%v: %s%s", err, again.stdout.String(), again.stderr.String())
	}
	if n := again.asked(); n != domains-done {
		t.Errorf("%d domains were asked for, want %d", n, domains-done)
	}
}

// TestSurveyHead: a reader that has enough ends the survey, and the journal has what was
// finished.
func TestSurveyHead(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "j")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startSurveyTo(t, w, 5000, 100_000, "--json", "--resume", journal)
	w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || !strings.Contains(line, `"domain":"d1.example"`) {
		t.Errorf("%q, %v", line, err)
	}
	r.Close()
	err = p.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Errorf("%v: %s", err, p.stderr.String())
	}
	if n := kept(journal); n == 0 || n == 5000 {
		t.Errorf("%d rows are kept", n)
	}
}

// TestInterruptTwice: a second Ctrl-C ends the program at once, even where it waits for a reader
// of its output.
func TestInterruptTwice(t *testing.T) {
	heedInterrupts(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := startSurveyTo(t, w, 5000, 100_000, "--json")
	w.Close()
	var last int64
	stalled := 0
	eventually(t, "end of the output", func() bool { // the pipe is full when no more is asked for
		n := p.asked()
		if n == last && n > 100 {
			stalled++
		} else {
			stalled = 0
		}
		last = n
		return stalled == 40
	})
	interruptTwice(t, p.Cmd)
}

// TestProgress: a survey on a terminal shows how far it is, in a line that fits; elsewhere it
// shows nothing.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		width    int
		want     string
	}{{true, 80, "120 of 1000, 10 a second, 1m28s left"}, {true, 20, "120 of 1000, 10 a s"}, {true, 0, "120 of 1000, 10 a second, 1m28s left"}, {false, 80, ""}} {
		var stderr bytes.Buffer
		e := newEnv(strings.NewReader(""), io.Discard, &stderr, func(string) string { return "" })
		e.out.errTerm, e.out.errWidth = c.terminal, c.width
		now := time.Unix(1_700_000_000, 0)
		e.now = func() time.Time { return now.Add(10 * time.Second) }
		s := &surveyRun{e: e, count: bulk.Count{Entries: 1000}, begun: now}
		s.progress(bulk.Progress{Finished: 120, Kept: 20})
		if stderr.String() != c.want {
			t.Errorf("%+v: %q", c, stderr.String())
		}
	}
}

// heedInterrupts gives the processes that the test starts the default for an interrupt. A shell
// that runs go test in the background has it ignored, and they would inherit that.
func heedInterrupts(t *testing.T) {
	t.Helper()
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	t.Cleanup(func() { signal.Stop(c) })
}

// interruptTwice sends interrupts: the first lets what is under way go on, the second ends the
// process. One that comes before the process has taken note of the first counts as the same, so
// it is sent until the process ends.
func interruptTwice(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	ended, waited := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(waited)
		ended <- cmd.Wait()
	}()
	defer func() {
		_ = cmd.Process.Kill() // it has ended, unless the test fails
		<-waited
	}()
	_ = cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-ended:
		t.Fatalf("the first one ended it: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	eventually(t, "end after a second interrupt", func() bool {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Error(err)
			}
			return true
		case <-time.After(300 * time.Millisecond):
			return false
		}
	})
}
