//go:build unix

package probe_test

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine/probe"
)

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestSilentAddressesCost: 512 addresses behind real sockets that accept and stay silent
// cost next to no CPU time. The bound has room for a slow machine.
func TestSilentAddressesCost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := netip.MustParseAddrPort(l.Addr().String())
	e, one := planned(t, "")
	plan := many(one, 64, 8, each)
	var d net.Dialer
	p := probe.New(probe.Config{HELO: "probe.example", Timeout: 100 * time.Millisecond, PlanTimeout: 500 * time.Millisecond,
		Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", silent.String())
		}})
	start, used := time.Now(), cpu(t)
	p.Hosts(t.Context(), e, plan)
	used = cpu(t) - used
	t.Logf("%v of CPU time, %v", used, time.Since(start))
	if used > 500*time.Millisecond {
		t.Errorf("%v of CPU time", used)
	}
}
