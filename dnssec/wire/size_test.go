package wire_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/wire"
)

// TestMessageSize holds the estimate of a message's size against the heap: budgets count
// by it, so it must not be too low, and not much too high.
func TestMessageSize(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3) + "\x3d" + strings.Repeat("b", 61) + "\x00"
	repeat := func(n int, rec func(i int) string) []byte {
		recs := []string{rr(long, dns.TypeA, 1, "abcd")}
		for i := range n {
			recs = append(recs, rec(i))
		}
		return raw(recs, recs[:1], nil)
	}
	for what, msg := range map[string][]byte{
		"one address":        repeat(0, nil),
		"1000 TLSA records":  repeat(1000, func(i int) string { return rr("\xc0\x0c", 52, 1, fmt.Sprintf("\x03\x01\x01%032d", i)) }),
		"64 large keys":      repeat(64, func(int) string { return rr("\xc0\x0c", dns.TypeDNSKEY, 1, strings.Repeat("k", 990)) }),
		"names that expand":  repeat(500, func(int) string { return rr("\x00", dns.TypeNS, 1, "\xc0\x0c") }),
		"owners that differ": repeat(200, func(i int) string { return rr(fmt.Sprintf("\x04%04d\xc0\x4c", i), dns.TypeA, 1, "abcd") }),
		"signatures": repeat(100, func(int) string {
			return rr("\xc0\x0c", dns.TypeRRSIG, 1, strings.Repeat("s", 18)+"\xc0\x0c"+strings.Repeat("s", 256))
		}),
	} {
		const n = 50
		held := make([]*wire.Message, n)
		before := heap()
		for i := range held {
			m, err := wire.Parse(msg)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			held[i] = m
		}
		took := int(heap()-before) / n
		if got := held[0].Size; got < took || got > 2*took+1024 {
			t.Errorf("%s: %d octets on the wire, %d in memory, the estimate is %d", what, len(msg), took, got)
		}
		runtime.KeepAlive(held)
	}
}

// heap is what is in use once nothing is left to collect.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
