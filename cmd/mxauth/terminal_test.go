package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/mxauth/mxauth/conformance/lab"
)

// terminalVerbs are command lines of the verbs that people use at a terminal, and their status
// in the lab.
var terminalVerbs = []struct {
	args []string
	code int
}{
	{[]string{"check", "tlsa-mismatch.test"}, 2},
	{[]string{"check", "--short", "dane-ee.test", "x..y"}, exitUsage},
	{[]string{"survey", "--no-times", "dane-ee.test", "stripped-nothing.test"}, 0},
	{[]string{"demo"}, 0},
	{[]string{"lint", "tlsa-mismatch.test"}, 2},
	{[]string{"explain", "tlsa-mismatch.test"}, 2},
	{[]string{"chekc"}, exitUsage},
}

// onTerminal runs a command line in this process, with a terminal of so many columns as standard
// output and standard error, and returns what came there.
func onTerminal(t *testing.T, l *testLab, cols uint16, term string, args ...string) (shown string, code int) {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: cols}); err != nil {
		t.Fatal(err)
	}
	all := make(chan string)
	go func() {
		b, _ := io.ReadAll(master) // ends with EIO when the other end is closed
		all <- string(b)
	}()
	e := newEnv(strings.NewReader(""), tty, tty, func(name string) string { return map[string]string{"TERM": term}[name] })
	e.dial = l.Dial
	code = run(t.Context(), args, e)
	tty.Close()
	return strings.ReplaceAll(<-all, "\r\n", "\n"), code
}

// escapes are the sequences that mxauth sends to a terminal: colours, and the end of a progress
// line with the text before it.
var escapes = regexp.MustCompile(`[^\n]*\r\x1b\[K|\x1b\[[0-9;]*m`)

// bars of a survey are as wide as the terminal allows, and left out on a narrow one.
var bars = regexp.MustCompile(`  [#.]{4,}  `)

// changes are what differs between two runs.
var changes = regexp.MustCompile(`20\d\d-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?|[0-9a-f]{12,}|127\.\d+\.\d+\.\d+|:\d{4,5}\b|\d+(\.\d+)?m?s\b`)

// TestTerminals: a terminal of 20 columns, one that is dumb, and none at all have the same
// answer, hint and status; only the two that can show it have colour.
func TestTerminals(t *testing.T) {
	l := startLab(t, lab.Worlds(), nil)
	for _, v := range terminalVerbs {
		t.Run(strings.Join(v.args, " "), func(t *testing.T) {
			args := v.args
			if args[0] != "demo" && args[0] != "chekc" {
				args = slices.Concat(args, l.flags)
			}
			var both bytes.Buffer
			e := newEnv(strings.NewReader(""), &both, &both, func(string) string { return "" })
			e.dial = l.Dial
			if code := run(t.Context(), args, e); code != v.code {
				t.Fatalf("without a terminal: exit status %d, want %d: %s", code, v.code, both.String())
			}
			if strings.ContainsAny(both.String(), "\x1b\r") {
				t.Errorf("without a terminal: %q", both.String())
			}
			words := func(s string) string {
				return strings.Join(strings.Fields(changes.ReplaceAllString(bars.ReplaceAllString(s, " "), "?")), " ")
			}
			for _, c := range []struct {
				cols uint16
				term string
			}{{20, "xterm"}, {200, "xterm"}, {20, "dumb"}, {0, "xterm"}} {
				shown, code := onTerminal(t, l, c.cols, c.term, args...)
				plain := escapes.ReplaceAllString(shown, "")
				if code != v.code || strings.ContainsAny(plain, "\x1b\r") {
					t.Errorf("%+v: exit status %d, want %d: %q", c, code, v.code, shown)
				}
				if c.term == "dumb" && plain != shown {
					t.Errorf("%+v: escape sequences in %q", c, shown)
				}
				// The rule below a heading of demo has the width of the lines.
				if got, want := words(plain), words(both.String()); got != want && v.args[0] != "demo" {
					t.Errorf("%+v: the words are\n%s\nwant\n%s", c, got, want)
				}
				for _, p := range regexp.MustCompile(`[^\n]*\r\x1b\[K`).FindAllString(shown, -1) {
					for line := range strings.SplitSeq(p, "\r\x1b[K") {
						if c.cols > 0 && len([]rune(line)) >= int(c.cols) {
							t.Errorf("%+v: a progress line of %q", c, line)
						}
					}
				}
			}
		})
	}
}

// TestClosedOutput: where the answer is not read any more, as with head, the program ends
// without a message, as others do (SIGPIPE).
func TestClosedOutput(t *testing.T) {
	for _, args := range [][]string{
		{"reason"}, {"--help"}, {"demo"}, {"check", "a.test"}, {"check", "--json", "a.test"}, {"check", "--short", "a.test"}, {"survey", "a.test"}, {"survey", "--csv", "a.test"},
		{"lint", "a.test"}, {"explain", "a.test"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if args[0] != "reason" && args[0] != "demo" && args[0] != "--help" {
				args = append(args, "--resolver", nobody(t), "--timeout", "1s")
			}
			cmd := itself(t, args...)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			var stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = w, &stderr
			err = cmd.Run()
			w.Close()
			if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || !s.Signaled() || s.Signal() != syscall.SIGPIPE || strings.Contains(stderr.String(), "pipe") {
				t.Errorf("%v, standard error %q", err, stderr.String())
			}
		})
	}
}

// TestFullOutput: an answer for which the disk has no room is no success.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"reason"}, {"check", "a.test"}, {"survey", "--csv", "a.test"}, {"lint", "a.test"}, {"explain", "a.test"}, {"demo"}} {
		if len(args) > 1 {
			args = append(args, "--resolver", nobody(t), "--timeout", "1s")
		}
		cmd := itself(t, args...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &stderr
		err := cmd.Run()
		if cmd.ProcessState.ExitCode() != exitFault || !strings.Contains(stderr.String(), "mxauth: writing the answer: write /dev/stdout: no space left on device\n") {
			t.Errorf("%v: %v, standard error %q", args, err, stderr.String())
		}
	}
}

// TestInterruptTwiceCheck: a second Ctrl-C ends a check at once, even where it waits for a reader
// of its output.
func TestInterruptTwiceCheck(t *testing.T) {
	heedInterrupts(t)
	cmd := itself(t, "check", "--resolver", nobody(t), "--short", "-")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var sent atomic.Int64
	go func() {
		for {
			n, err := fmt.Fprintln(stdin, "x..y")
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	}()
	// It runs: until then the first interrupt would end it.
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	var last int64
	stalled := 0
	eventually(t, "end of the output", func() bool { // the pipes are full when no more is read
		n := sent.Load()
		if stalled++; n != last || n == 0 {
			stalled = 0
		}
		last = n
		return stalled == 40
	})
	interruptTwice(t, cmd)
}
