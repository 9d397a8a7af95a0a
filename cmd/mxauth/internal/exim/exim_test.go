package exim_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/exim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c exim.Config) (*exim.Server, string) {
	t.Helper()
	s := exim.New(c)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, path
}

func ask(t *testing.T, path, line string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, line)
	b, _ := io.ReadAll(c) // a reset after too long a line is an end, too
	return string(b)
}

func TestLines(t *testing.T) {
	_, path := start(t, exim.Config{Answer: func(_ context.Context, domain, host string) string { return domain + "|" + host }})
	const usage = `req=defer reason="a question is mxauth DOMAIN or mxauth DOMAIN HOST"` + "\n"
	for _, x := range [][2]string{
		{"mxauth example.org\n", "example.org|\n"},
		{"mxauth example.org mx.example.org\n", "example.org|mx.example.org\n"},
		{"MXAUTH  example.org \t mx.example.org \r\n", "example.org|mx.example.org\n"},
		{"mxauth example.org\nmxauth other.example\n", "example.org|\n"},
		{"mxauth\n", usage},
		{"\n", usage},
		{"mxauth a b c\n", usage},
		{"GET / HTTP/1.1\n", usage},
		{strings.Repeat("x", exim.MaxLine-1) + "\n", usage},
		{strings.Repeat("x", exim.MaxLine) + "\n", ""},
	} {
		if got := ask(t, path, x[0]); got != x[1] {
			t.Errorf("%.60q: %q, want %q", x[0], got, x[1])
		}
	}
}

// Shutdown lets an answer under way end and refuses new connections.
func TestShutdown(t *testing.T) {
	begun, gate := make(chan struct{}), make(chan struct{})
	s, path := start(t, exim.Config{Answer: func(ctx context.Context, _, _ string) string {
		close(begun)
		select {
		case <-gate:
			return "req=may"
		case <-ctx.Done():
			return "req=defer"
		}
	}})
	got := make(chan string, 1)
	go func() { got <- ask(t, path, "mxauth example.org\n") }()
	<-begun
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	close(gate)
	if g := <-got; g != "req=may\n" {
		t.Errorf("%q", g)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("still listening")
	}
}

// The limit of connections holds, and those beyond it are served later.
func TestLimit(t *testing.T) {
	gate := make(chan struct{}, 10)
	begun := make(chan struct{}, 10)
	_, path := start(t, exim.Config{MaxConns: 1, Answer: func(context.Context, string, string) string {
		begun <- struct{}{}
		<-gate
		return "req=may"
	}})
	got := make(chan string, 2)
	for range 2 {
		go func() { got <- ask(t, path, "mxauth example.org\n") }()
	}
	<-begun
	select {
	case <-begun:
		t.Error("two at once")
	default:
	}
	gate <- struct{}{}
	gate <- struct{}{}
	for range 2 {
		if g := <-got; g != "req=may\n" {
			t.Errorf("%q", g)
		}
	}
}
