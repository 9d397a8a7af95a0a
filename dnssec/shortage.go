package dnssec

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Shortage returns an error with the given text that wraps [ErrShortage].
func Shortage(text string) error { return &shortage{text} }

type shortage struct{ text string }

func (s *shortage) Error() string        { return s.text }
func (s *shortage) Is(target error) bool { return target == ErrShortage }

// shortages are the system errors that report a missing resource of this machine: file
// descriptors, memory or buffers.
var shortages = [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS}

// IsShortage reports whether err comes from a limit or the end of this program: it wraps
// [ErrShortage], [ErrBudget] or context.Canceled, or the system has no file descriptor, memory or port
// left. A timeout is none: a server that does not answer is a failure of DNS.
func IsShortage(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, ErrShortage) || errors.Is(err, ErrBudget) || errors.Is(err, context.Canceled) {
		return true
	}
	for _, s := range shortages {
		if errors.Is(err, s) {
			return true
		}
	}
	// No local port is left. To an IPv6 address it can also mean that this machine has no
	// IPv6, which is no shortage.
	var op *net.OpError
	if errors.Is(err, syscall.EADDRNOTAVAIL) && errors.As(err, &op) && op.Addr != nil {
		a, perr := netip.ParseAddrPort(op.Addr.String())
		return perr == nil && a.Addr().Unmap().Is4()
	}
	return false
}
