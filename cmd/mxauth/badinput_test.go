package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/mxauth/mxauth/internal/servetest"
)

// utf16Of is a text in UTF-16, little-endian.
func utf16Of(s string) string {
	var b strings.Builder
	for _, r := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(r))
		b.WriteByte(byte(r >> 8))
	}
	return b.String()
}

// swapped exchanges each two bytes: UTF-16 in the other order.
func swapped(s string) string {
	b := []byte(s)
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return string(b)
}

// TestOddInput: what is odd about a list is read, or refused with the number of its line, by
// every verb that reads one; the other lines are read.
func TestOddInput(t *testing.T) {
	const refused = `line 2: not a host name: `
	other := servetest.TCP(t, func(c net.Conn) { // a policy server that knows no domain
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, "9:NOTFOUND ,")
	})
	for name, c := range map[string]struct {
		in, answer string // the answer has this text
		lines      int    // of the answer
	}{
		"a line of 1 MB":       {"# list\n" + strings.Repeat("a", 1<<20) + "\nx..y\n", "line 2: the line is longer than 4096 bytes", 2},
		"NUL":                  {"# list\nexam\x00ple.org\nx..y\n", "line 2: the line holds a NUL byte", 2},
		"Latin-1":              {"# list\nb\xfccher..example\n", "line 2: \"b\\xfccher..example\" is not UTF-8: convert the list", 1},
		"CR":                   {"# list\ra..b\rx..y\r", refused, 2},
		"BOM and CRLF":         {"\ufeff# list\r\nx..y\r\n", refused, 1},
		"UTF-16, little":       {utf16Of("\ufeff# list\r\nx..y\r\n"), refused, 1},
		"UTF-16, big":          {swapped(utf16Of("\ufeff# list\nx..y\n")), refused, 1},
		"UTF-16, little, bare": {utf16Of("# list\nx..y\n"), refused, 1},
		"UTF-16, big, bare":    {swapped(utf16Of("# list\nx..y\n")), refused, 1},
		"UTF-16, cut":          {utf16Of("# list\nx..y\n") + "\x0a", refused, 2},
		"nothing":              {"", "", 0},
		"comments and blanks":  {"# a\n\n  \n", "", 0},
	} {
		for verb, args := range map[string][]string{
			"check":      {"check", "--short"},
			"plan":       {"plan", "--json"},
			"lint":       {"lint", "--json"},
			"survey":     {"survey", "--json"},
			"compare":    {"compare", "--json", "--with", "socketmap:inet:" + other + ":QUERY"},
			"cache warm": {"cache", "warm", "--json", "--store", "bolt:" + filepath.Join(t.TempDir(), "p.db")},
		} {
			t.Run(verb+"/"+name, func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				e := newEnv(strings.NewReader(c.in), &stdout, &stderr, func(string) string { return "" })
				code := run(t.Context(), append(args, "--resolver", nobody(t), "-"), e)
				got := stdout.String()
				if verb == "survey" { // its rows have the number in a field
					got = stderr.String()
				}
				if c.lines == 0 {
					if want := "no domain given on standard input"; !strings.Contains(stderr.String(), want) || code != exitUsage || stdout.Len() != 0 {
						t.Errorf("exit status %d, %q, %q", code, stdout.String(), stderr.String())
					}
					return
				}
				// In JSON a quotation mark and a backslash are escaped.
				plain := strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(got)
				if !strings.Contains(plain, c.answer) || strings.Count(stdout.String(), "\n") != c.lines {
					t.Errorf("exit status %d, standard output %.300q, standard error %.300q", code, stdout.String(), stderr.String())
				}
				if own := map[string]int{"cache warm": exitWarmFailed}; code != cmp.Or(own[verb], exitUsage) {
					t.Errorf("exit status %d", code)
				}
				if len(got) > 2000 {
					t.Errorf("%d bytes of output", len(got))
				}
			})
		}
	}
}

// A lineSource makes lines as they are read, and notes the largest heap on the way and how
// far it is ahead of what is printed.
type lineSource struct {
	n, left int
	every   int // so many lines the heap is measured
	line    func(int) string
	printed func() int64 // lines
	buf     []byte
	heap    uint64
	ahead   int64
}

func (s *lineSource) Read(p []byte) (int, error) {
	for len(s.buf) == 0 {
		if s.left == 0 {
			return 0, io.EOF
		}
		s.left--
		s.n++
		s.buf = []byte(s.line(s.n))
		s.ahead = max(s.ahead, int64(s.n)-s.printed())
		if s.n%s.every == 0 {
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

// TestLongList: a long list takes no more memory than a window of it, and is read no faster
// than its answers are printed, whatever verb reads it.
func TestLongList(t *testing.T) {
	const bound = 32 << 20
	// With the default concurrency of 16, lookAhead*16 lines wait in their order; twice as many
	// leave room for those in work.
	const window = 2 * lookAhead * 16
	other := servetest.TCP(t, func(c net.Conn) { // a policy server that knows no domain
		b := make([]byte, 1024)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := io.WriteString(c, "9:NOTFOUND ,"); err != nil {
				return
			}
		}
	})
	for _, c := range []struct {
		name  string
		args  []string
		lines int
		code  int
	}{
		{"check", []string{"check", "--short"}, 200_000, exitUsage},
		{"plan", []string{"plan", "--json"}, 50_000, exitUsage},
		{"lint", []string{"lint", "--json"}, 50_000, exitUsage},
		{"survey", []string{"survey", "--json"}, 50_000, exitUsage},
		// at most 1000 lines a second
		{"cache warm", []string{"cache", "warm", "--json", "--rate", "1000", "--store", "bolt:" + filepath.Join(t.TempDir(), "p.db")}, 3_000, exitWarmFailed},
		{"compare", []string{"compare", "--json", "--with", "socketmap:inet:" + other + ":QUERY"}, 50_000, exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := &lineTally{}
			src := &lineSource{left: c.lines, every: c.lines / 20, printed: out.lines.Load, line: func(n int) string { return fmt.Sprintf("host-%d..example\n", n) }}
			var errOut bytes.Buffer
			e := newEnv(src, out, &errOut, func(string) string { return "" })
			before := liveHeap()
			code := run(t.Context(), append(c.args, "--resolver", nobody(t), "-"), e)
			if n := out.lines.Load(); code != c.code || n != int64(c.lines) {
				t.Errorf("exit status %d, %d lines, %.1000s", code, n, errOut.String())
			}
			grown := int64(src.heap) - int64(before)
			t.Logf("the heap grew by %d octets; at most %d lines were read and not answered", grown, src.ahead)
			if grown > bound {
				t.Errorf("the heap grew by %d octets, more than %d", grown, bound)
			}
			if src.ahead > window {
				t.Errorf("%d lines were read and not answered, more than %d", src.ahead, window)
			}
		})
	}
}

// A lineTally counts the lines that are written to it.
type lineTally struct{ lines atomic.Int64 }

func (c *lineTally) Write(b []byte) (int, error) {
	c.lines.Add(int64(bytes.Count(b, []byte("\n"))))
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
	if d := time.Since(begun); d > 10*time.Second { // its input stays open
		t.Errorf("it took %v", d)
	}
}
