package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// checkInput runs check with a standard input, so that nothing is looked up.
func checkInput(t *testing.T, in io.Reader, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	e := newEnv(in, &out, &errOut, func(string) string { return "" })
	code = run(t.Context(), append([]string{"check", "--resolver", nobody(t), "--short", "-"}, flags...), e)
	return code, out.String(), errOut.String()
}

// TestOddInput: what is no list of domains costs a line with the cause, and status 64.
func TestOddInput(t *testing.T) {
	for name, c := range map[string]struct{ in, stdout, stderr string }{
		"a line of 1 MB":      {strings.Repeat("a", 1<<20) + "\nx..y\n", "...: not checked: a line of standard input is longer than 4096 octets\nx..y: not checked", ""},
		"NUL":                 {"exam\x00ple.org\n", `not checked: not a host name: "exam\x00ple.org": the octet "\x00"`, ""},
		"CR in a line":        {"a.example\rb.example\n", `the octet "\r"`, ""},
		"BOM and CRLF":        {"\ufeffx..y\r\n", "x..y: not checked", ""},
		"UTF-16, little":      {"\xff\xfee\x00x\x00\n\x00", "", "the text is UTF-16, as some Windows programs write it; want UTF-8\nmxauth: hint: convert it: iconv -f UTF-16 -t UTF-8\n"},
		"UTF-16, big":         {"\xfe\xff\x00e\x00x\x00\n", "", "the text is UTF-16"},
		"nothing":             {"", "", "no domain given on standard input"},
		"comments and blanks": {"# a\n\n  \n", "", "no domain given on standard input"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := checkInput(t, strings.NewReader(c.in))
			if code != exitUsage || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || (c.stdout == "") != (stdout == "") {
				t.Errorf("exit status %d, standard output %.300q, standard error %q", code, stdout, stderr)
			}
			if len(stdout) > 1000 {
				t.Errorf("%d octets of output", len(stdout))
			}
		})
	}
}

// A lineSource makes lines as they are read, and notes the largest heap on the way.
type lineSource struct {
	n, left int
	line    func(int) string
	buf     []byte
	heap    uint64
}

func (s *lineSource) Read(p []byte) (int, error) {
	for len(s.buf) == 0 {
		if s.left == 0 {
			return 0, io.EOF
		}
		s.left--
		s.n++
		s.buf = []byte(s.line(s.n))
		if s.n%10_000 == 0 {
			s.heap = max(s.heap, liveHeap())
		}
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

// liveHeap returns the octets of the heap that are in use.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestLongList: a list of 200,000 lines takes no more memory than a window of it.
func TestLongList(t *testing.T) {
	const lines, bound = 200_000, 32 << 20
	src := &lineSource{left: lines, line: func(n int) string { return fmt.Sprintf("host-%d..example\n", n) }}
	var errOut bytes.Buffer
	out := &lineTally{}
	e := newEnv(src, out, &errOut, func(string) string { return "" })
	before := liveHeap()
	code := run(t.Context(), []string{"check", "--resolver", nobody(t), "--short", "-"}, e)
	if code != exitUsage || out.lines != lines {
		t.Errorf("exit status %d, %d lines, %s", code, out.lines, errOut.String())
	}
	if grown := int64(src.heap) - int64(before); grown > bound {
		t.Errorf("the heap grew by %d octets, more than %d", grown, bound)
	} else {
		t.Logf("the heap grew by %d octets", grown)
	}
}

type lineTally struct{ lines int }

func (c *lineTally) Write(b []byte) (int, error) {
	c.lines += bytes.Count(b, []byte("\n"))
	return len(b), nil
}

// TestNarrowTerminal: a progress line is cut before the terminal breaks it, and TERM=dumb or
// no terminal has neither progress nor colour.
func TestNarrowTerminal(t *testing.T) {
	var out, errOut bytes.Buffer
	c := newConsole(&out, &errOut, func(string) string { return "" })
	c.Progressf("%d of %d checked", 123, 456)
	if errOut.Len() != 0 {
		t.Errorf("progress without a terminal: %q", errOut.String())
	}
	c.errTerm, c.errWidth = true, 20
	c.Progressf("%d of %d checked, waiting for %s", 123, 456, "example.org")
	c.Linef("%s", paint(good, "an answer"))
	if got, want := errOut.String(), "123 of 456 checked,\r\x1b[K"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := out.String(); got != "an answer\n" {
		t.Errorf("%q", got)
	}
	if d := newConsole(os.Stdout, os.Stderr, func(string) string { return "dumb" }); d.errTerm || d.outColor || d.errColor {
		t.Error("TERM=dumb has progress or colour")
	}
}

// itself is a command line of mxauth as a process of its own.
func itself(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), asMxauth+"=1")
	return cmd
}

// TestClosedOutput: where the answer is not read any more, as in a pipe to head, the program ends
// without a word, as others do (SIGPIPE).
func TestClosedOutput(t *testing.T) {
	cmd := itself(t, "reason")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	err = cmd.Run()
	w.Close()
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || !s.Signaled() || s.Signal() != syscall.SIGPIPE || stderr.Len() != 0 {
		t.Errorf("%v, standard error %q", err, stderr.String())
	}
}

// TestInterruptWaiting: Ctrl-C ends a check that waits for its standard input, or for a
// resolver, within a second.
func TestInterruptWaiting(t *testing.T) {
	cmd := itself(t, "check", "--resolver", nobody(t), "--short", "-")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	io.WriteString(stdin, "x..y\n")
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.HasPrefix(line, "x..y: not checked") {
		t.Fatalf("%q %v", line, err)
	}
	begun := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(stderr.String(), "mxauth: interrupted\n") {
		t.Errorf("%v, standard error %q", err, stderr.String())
	}
	if d := time.Since(begun); d > time.Second {
		t.Errorf("it took %v", d)
	}
}
