// Package peers starts real mail and DNS programs on loopback for tests: NSD with
// zones signed by ldns, Unbound in front of it, Postfix's smtpd at 127.x
// addresses, each with a certificate of its own, and an HTTPS policy host. What
// mxauth says of them is then held against what was set up.
//
// Nothing here installs anything: `.ci/run` does, and sets [RequireEnv] so that a
// missing program fails a test in place of skipping it. The programs want the real
// ports 25, 53 and 443 of loopback addresses, hence root. Each is started with its
// own files in a temporary folder and stopped by its own process id when the test
// ends.
//
// The package is for tests only and panics or fails the test on what goes wrong.
package peers

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// RequireEnv names the environment variable that turns a missing program, or the
// lack of root, from a skip into a failure; CI sets it.
const RequireEnv = "MXAUTH_REQUIRE_PEERS"

// Bounds of waiting, generous for a loaded machine with two cores.
const (
	startTimeout = 2 * time.Minute  // until a program answers
	stopTimeout  = 10 * time.Second // from SIGTERM to SIGKILL
	pollEvery    = 50 * time.Millisecond
)

// Require skips the test in short runs and unless it runs as root and all programs are
// installed; with [RequireEnv] set it fails in place of skipping.
func Require(tb testing.TB, programs ...string) {
	tb.Helper()
	if testing.Short() && os.Getenv(RequireEnv) == "" {
		tb.Skip("real peers are left out of short runs")
	}
	var lacks []string
	if os.Geteuid() != 0 {
		lacks = append(lacks, "root for ports 25, 53 and 443")
	}
	for _, p := range programs {
		if path(p) == "" {
			lacks = append(lacks, p)
		}
	}
	if len(lacks) == 0 {
		return
	}
	lack(tb, strings.Join(lacks, ", "))
}

// lack skips the test, or fails it with [RequireEnv] set, for want of something.
func lack(tb testing.TB, what string) {
	tb.Helper()
	why := "real peers need " + what
	if os.Getenv(RequireEnv) != "" {
		tb.Fatalf("%s, and %s is set", why, RequireEnv)
	}
	tb.Skip(why)
}

// path finds a program, also in the folders of daemons, which are not in every PATH.
func path(program string) string {
	if p, err := exec.LookPath(program); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
		if p, err := exec.LookPath(dir + program); err == nil {
			return p
		}
	}
	return ""
}

// Run runs a program to its end and returns what it wrote to standard output. It
// fails the test if the program does.
func Run(tb testing.TB, dir, program string, args ...string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path(program), args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// A Daemon is a program that runs until the test ends.
type Daemon struct {
	name string
	cmd  *exec.Cmd
	out  tail
	gone chan struct{} // closed when the program has ended
	// pidFile names the file with the id of the process to ask to end, where that is
	// not the one that was started; "" if it is.
	pidFile string
}

// Start starts a program in the foreground, in a process group of its own, and has it
// stopped when the test ends. What it prints is shown if the test fails.
func Start(tb testing.TB, program string, args ...string) *Daemon {
	tb.Helper()
	d := &Daemon{name: program, gone: make(chan struct{})}
	d.cmd = exec.Command(path(program), args...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.WaitDelay = stopTimeout
	if err := d.cmd.Start(); err != nil {
		tb.Fatalf("%s: %v", program, err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.gone)
	}()
	tb.Cleanup(func() {
		d.Stop()
		if tb.Failed() {
			tb.Logf("%s said:\n%s", program, d.out.String())
		}
	})
	return d
}

// Stop asks the program to end, kills its process group if it does not, and waits. It
// may be called more than once.
func (d *Daemon) Stop() {
	select {
	case <-d.gone:
		return
	default:
	}
	pid := d.pid()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	select {
	case <-d.gone:
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-pid, syscall.SIGKILL) // its group: it leads one
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
		<-d.gone
	}
}

// pid is the id of the process to ask to end.
func (d *Daemon) pid() int {
	if d.pidFile != "" {
		b, err := os.ReadFile(d.pidFile)
		pid, err2 := strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil && err2 == nil && pid > 1 {
			return pid
		}
	}
	return d.cmd.Process.Pid
}

// Output returns the last part of what the program has printed so far.
func (d *Daemon) Output() string { return d.out.String() }

// WaitFor polls until try returns nil; it fails the test if the program ends before,
// or after a while.
func (d *Daemon) WaitFor(tb testing.TB, what string, try func(ctx context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-d.gone:
			tb.Fatalf("%s has ended before %s: %v\n%s", d.name, what, err, d.out.String())
		case <-ctx.Done():
			tb.Fatalf("%s: no %s: %v\n%s", d.name, what, err, d.out.String())
		case <-tick.C:
		}
	}
}

// listening tries to connect to address, and reads a first line if greets is set.
func listening(address string, greets bool) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		if !greets {
			return nil
		}
		if err := c.SetDeadline(time.Now().Add(startTimeout / 4)); err != nil {
			return err
		}
		b := make([]byte, 4)
		if _, err := c.Read(b); err != nil {
			return err
		}
		_, err = c.Write([]byte("QUIT\r\n"))
		return err
	}
}

// A tail keeps the last octets that were written to it.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

// maxTail is how much of a program's output is kept for a failure's sake.
const maxTail = 32 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 2*maxTail {
		t.buf = slices.Clone(t.buf[len(t.buf)-maxTail:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-maxTail):])
}

// Dir makes a folder for the files of a test that every user may enter: Postfix's
// processes do not run as root, and tb.TempDir is for its owner alone.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mxauth-peers-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// write writes a file of the test.
func write(tb testing.TB, name, format string, args ...any) {
	tb.Helper()
	if err := os.WriteFile(name, fmt.Appendf(nil, format, args...), 0o644); err != nil {
		tb.Fatal(err)
	}
}
