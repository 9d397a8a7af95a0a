package listener_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/listener"
	"github.com/mxauth/mxauth/internal/servetest"
)

// A connection that cannot be accepted is tried again after a pause, which doubles up to a
// second and which a shutdown ends. An accepted connection makes it short again.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []time.Duration // since the failure before
		var g *listener.Group
		last := time.Now()
		g = listener.New(slog.New(slog.DiscardHandler), listener.Hooks{
			Start:  func(c net.Conn) { c.Close() },
			Cut:    func() {},
			Failed: func() { failed = append(failed, time.Since(last)); last = time.Now() },
		})
		l := servetest.NewPipes()
		served := make(chan error)
		go func() { served <- g.Serve(l) }()
		err := errors.New("too many open files")
		for range 10 {
			l.Fail(err)
		}
		l.Dial()
		l.Fail(err)
		l.Fail(err)
		began := time.Now()
		if err := g.Shutdown(context.Background()); err != nil || time.Since(began) != 0 {
			t.Errorf("Shutdown after %v: %v", time.Since(began), err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second, time.Second, 5 * ms}; !slices.Equal(failed, want) {
			t.Errorf("failed after %v, want %v", failed, want)
		}
	})
}

// A listener that is closed by another than the group ends Serve with that error.
func TestForeignClose(t *testing.T) {
	g := listener.New(slog.New(slog.DiscardHandler), listener.Hooks{Cut: func() {}})
	l := servetest.NewPipes()
	l.Close()
	if err := g.Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	g.Close()
	late := servetest.NewPipes()
	if err := g.Serve(late); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener that comes too late is open: %v", err)
	}
}
