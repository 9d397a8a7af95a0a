package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/proof"
)

// TestIsShortage: what this machine or program lacks is told apart from what DNS, or a
// peer, fails to give.
func TestIsShortage(t *testing.T) {
	dial := func(addr net.Addr, err error) error {
		return fmt.Errorf("asking: %w", &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: os.NewSyscallError("connect", err)})
	}
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 53} }
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"shortage", dnssec.Shortage("all turns are taken"), true},
		{"wrapped", fmt.Errorf("asking: %w", dnssec.ErrShortage), true},
		{"budget", fmt.Errorf("asking: %w", dnssec.ErrBudget), true},
		{"canceled", fmt.Errorf("asking: %w", context.Canceled), true},
		{"deadline", context.DeadlineExceeded, false},
		{"SERVFAIL", dnssec.ErrServFail, false},
		{"another error", errors.New("no"), false},
		{"descriptors of the process", dial(tcp("192.0.2.1"), syscall.EMFILE), true},
		{"descriptors of the system", dial(tcp("192.0.2.1"), syscall.ENFILE), true},
		{"memory", dial(tcp("192.0.2.1"), syscall.ENOMEM), true},
		{"buffers", dial(tcp("2001:db8::1"), syscall.ENOBUFS), true},
		{"refused", dial(tcp("192.0.2.1"), syscall.ECONNREFUSED), false},
		{"no port to an IPv4 address", dial(tcp("192.0.2.1"), syscall.EADDRNOTAVAIL), true},
		{"no port to an IPv4-mapped address", dial(tcp("::ffff:192.0.2.1"), syscall.EADDRNOTAVAIL), true},
		{"no IPv6", dial(tcp("2001:db8::1"), syscall.EADDRNOTAVAIL), false},
		{"no port to a socket", dial(&net.UnixAddr{Name: "/x", Net: "unix"}, syscall.EADDRNOTAVAIL), false},
		{"no port to nothing", dial(nil, syscall.EADDRNOTAVAIL), false},
		{"no port, unwrapped", syscall.EADDRNOTAVAIL, false},
	} {
		if got := dnssec.IsShortage(c.err); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
	if text := dnssec.Shortage("all turns are taken").Error(); text != "all turns are taken" {
		t.Errorf("%q", text)
	}
}

// TestIsShortageAlone: without a plan, what a question costs is a property of the records.
// The memory is shared with other questions, so a lack of it says nothing of the records.
func TestIsShortageAlone(t *testing.T) {
	for _, r := range []dnssec.Resource{dnssec.Questions, dnssec.Sends, dnssec.Bytes, dnssec.SignatureCost, dnssec.Digests, dnssec.HashRounds, dnssec.Memory} {
		err := dnssec.ShortAlone(r)
		var spent *dnssec.BudgetError
		if isMemory := r == dnssec.Memory; !errors.Is(err, proof.ErrBudget) || errors.As(err, &spent) != isMemory {
			t.Errorf("%s: %T %v", r, err, err)
		}
	}
}
