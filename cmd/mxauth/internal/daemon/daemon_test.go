package daemon_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/daemon"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A told is what systemd is told.
type told struct {
	t *testing.T
	c *net.UnixConn
}

// listenNotify takes the place of systemd.
func listenNotify(t *testing.T) *told {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return &told{t, c}
}

// next returns the next message, WATCHDOG=1 left out unless it is wanted.
func (n *told) next(watchdog bool) string {
	n.t.Helper()
	b := make([]byte, 512)
	for {
		k, err := n.c.Read(b)
		if err != nil {
			n.t.Fatal(err)
		}
		if s := string(b[:k]); watchdog == (s == "WATCHDOG=1") {
			return s
		}
	}
}

func newAnswers(t *testing.T) *answers.Answers {
	t.Helper()
	return answers.New(answers.Config{Plan: func(context.Context, engine.Request) (*engine.Plan, error) { return nil, engine.ErrRequest }})
}

func socket(t *testing.T) (string, settings.Listen) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	return path, settings.Listen{Door: "socketmap", Address: "unix:" + path}
}

// TestNotify: systemd hears of start, reload, life and end, and of no life while no lookup
// gets through.
func TestNotify(t *testing.T) {
	n := listenNotify(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", "")
	os.Unsetenv("WATCHDOG_PID")
	_, l := socket(t)
	var dead atomic.Bool
	asked := make(chan struct{}, 1)
	bad := errors.New("a bad file")
	d, err := daemon.Open(daemon.Config{Settings: &settings.Settings{Listen: []settings.Listen{l}}, Answers: newAnswers(t),
		Reload: func() error { return bad }, Logger: slog.New(slog.DiscardHandler), Metrics: daemon.NewMetrics(),
		Alive: func(context.Context) error {
			if dead.Load() {
				select {
				case asked <- struct{}{}:
				default:
				}
				return errors.New("dead")
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hup := make(chan os.Signal)
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, hup) }()
	if got := n.next(false); got != "READY=1" {
		t.Errorf("%q", got)
	}
	n.next(true)
	hup <- syscall.SIGHUP
	if got := n.next(false); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("%q", got)
	}
	if got := n.next(false); got != "READY=1" {
		t.Errorf("%q", got)
	}
	dead.Store(true)
	<-asked
	<-asked // the first may have been before
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for {
		got := n.next(false)
		if got == "STOPPING=1" {
			break
		}
		t.Errorf("%q", got)
	}
}

// TestUnixSocket: a file that a dead process left is taken over, that of a living one is not,
// nor a file that is no socket; mode and group are set before anyone can connect.
func TestUnixSocket(t *testing.T) {
	path, l := socket(t)
	l.Mode = "0600"
	first, err := daemon.Listen(l)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if _, err := daemon.Listen(l); !errors.Is(err, daemon.ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	l.Mode = "0666"
	second, err := daemon.Listen(l)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o666 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	second.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Listen(l); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q %v", b, err)
	}
	os.Remove(path)
	target := path + ".target"
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Listen(l); err == nil {
		t.Error("a symbolic link was followed or replaced")
	}
	os.Remove(path)
	l.Group = "no-such-group"
	if _, err := daemon.Listen(l); err == nil || !strings.Contains(err.Error(), "group") {
		t.Errorf("%v", err)
	}
	l.Address, l.Group = "unix:"+filepath.Join(filepath.Dir(path), "absent", "s"), ""
	if _, err := daemon.Listen(l); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("%v", err)
	}
}

// TestOpenAll: after a listener that cannot be opened none is open.
func TestOpenAll(t *testing.T) {
	path, l := socket(t)
	bad := settings.Listen{Door: "socketmap", Address: "unix:/no/such/folder/s"}
	_, err := daemon.Open(daemon.Config{Settings: &settings.Settings{Listen: []settings.Listen{l, bad}, Control: filepath.Join(filepath.Dir(path), "c")},
		Answers: newAnswers(t), Logger: slog.New(slog.DiscardHandler), Control: http.NotFoundHandler()})
	if err == nil || !strings.Contains(err.Error(), "/no/such/folder") {
		t.Errorf("%v", err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("still open")
	}
	if _, err := daemon.Open(daemon.Config{Settings: &settings.Settings{}, Answers: newAnswers(t), Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a daemon without listeners")
	}
}

// TestStopWithin: an answer that does not come in time is TEMP, and the daemon stops.
func TestStopWithin(t *testing.T) {
	path, l := socket(t)
	gate := make(chan struct{})
	a := answers.New(answers.Config{Patience: time.Hour, Plan: func(ctx context.Context, _ engine.Request) (*engine.Plan, error) {
		close(gate)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	d, err := daemon.Open(daemon.Config{Settings: &settings.Settings{Listen: []settings.Listen{l}}, Answers: a, Logger: slog.New(slog.DiscardHandler),
		Drain: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, nil) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("12:QUERY a.test,"))
	<-gate
	cancel()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	b, _ := io.ReadAll(c)
	if string(b) != "18:TEMP shutting down," {
		t.Errorf("%q", b)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
