package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// An env is all that a verb touches of the world outside: standard input, the
// console, the clock, the dialler and the flags that all verbs share. main makes the
// real one, tests make others.
type env struct {
	stdin  io.Reader
	out    *console
	getenv func(string) string
	now    func() time.Time
	// dial opens connections to MX and policy hosts; nil: a plain net.Dialer. The
	// lab's verbs put the lab's here.
	dial        func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	flags       sharedFlags        // set by the command line and the settings
	typed       *pflag.FlagSet     // the command line of the verb
	set         *settings.Settings // in force; nil for verbs that read none
	daemonFlags daemonFlags
	// tick waits for the next round of check --watch; nil: time.After.
	tick func(time.Duration) <-chan time.Time
	hup  <-chan os.Signal // asks a daemon to reload; nil: SIGHUP does
	log  *slog.Logger     // of a daemon; nil: --verbose decides
}

func newEnv(stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) *env {
	return &env{
		stdin:  stdin,
		out:    newConsole(stdout, stderr, getenv),
		getenv: getenv,
		now:    time.Now,
	}
}

// printJSON prints one object as a line of an answer.
func (e *env) printJSON(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types: an internal error
	}
	e.out.JSON(append(b, '\n'))
}

// input opens the file of an argument; "-" is standard input.
func (e *env) input(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.stdin), nil
	}
	return os.Open(name)
}
