package main

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"
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
	dial  func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	flags sharedFlags // set by the command line
}

func newEnv(stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) *env {
	return &env{
		stdin:  stdin,
		out:    newConsole(stdout, stderr, getenv),
		getenv: getenv,
		now:    time.Now,
	}
}
