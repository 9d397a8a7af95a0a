package porttest_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/mxauth/mxauth/internal/porttest"
)

// TestAddress: addresses that are reserved at once differ, can be listened on, and are no
// ports that the kernel gives away.
func TestAddress(t *testing.T) {
	seen := map[netip.AddrPort]bool{}
	for range 200 {
		a := porttest.Address(t)
		if seen[a] {
			t.Fatalf("%s is reserved twice", a)
		}
		seen[a] = true
		l, err := net.Listen("tcp", a.String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if a.Port() >= 32768 || a.Port() < 1024 || !a.Addr().IsLoopback() {
			t.Errorf("%s is reserved", a)
		}
	}
}

// TestAddressEnds: what a test reserved can be reserved again when it has ended.
func TestAddressEnds(t *testing.T) {
	var a netip.AddrPort
	t.Run("test", func(t *testing.T) {
		a = porttest.Address(t)
		lock := netip.AddrPortFrom(a.Addr(), a.Port()+1)
		if l, err := net.Listen("tcp", lock.String()); err == nil {
			l.Close()
			t.Errorf("%s is not reserved", a)
		}
	})
	l, err := net.Listen("tcp", netip.AddrPortFrom(a.Addr(), a.Port()+1).String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
