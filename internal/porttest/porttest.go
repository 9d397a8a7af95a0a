// Package porttest reserves addresses of loopback for servers that a test starts as a process
// of their own, or starts later:
//
//	redis-server --bind 127.0.0.1 --port 21734
//
// A port that the kernel chose and that was closed again is not the test's: any socket of any
// process may get it next, and a client that dials it may even be connected to itself.
package porttest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

// The ports that are reserved lie below those that Linux and others give to a socket that asks
// for any port, and above those of services. An even port is used by the test; the listener on
// the odd port after it keeps it from others that reserve one.
const (
	first = 10000
	last  = 32766
	tries = 1000
)

// Address returns an address at which nothing listens. It is reserved until tb ends: no other
// caller gets it, in this process or in another one.
func Address(tb testing.TB) netip.AddrPort {
	tb.Helper()
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for range tries {
		port := uint16(first + 2*rand.IntN((last-first)/2))
		lock, err := net.Listen("tcp", netip.AddrPortFrom(loopback, port+1).String())
		if err != nil {
			continue
		}
		if addr := netip.AddrPortFrom(loopback, port); free(addr.String()) {
			tb.Cleanup(func() { _ = lock.Close() })
			return addr
		}
		_ = lock.Close()
	}
	tb.Fatalf("no free port between %d and %d", first, last)
	return netip.AddrPort{}
}

// free reports whether nothing uses an address, over TCP and over UDP.
func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	return p.Close() == nil
}
