package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/wire"
)

func TestPointers(t *testing.T) {
	first := rr("\x01a\x04test\x00", dns.TypeA, 1, "\x01\x02\x03\x04") // its name stands at 12, test. at 14
	m, err := wire.Parse(raw([]string{
		first,
		rr("\xc0\x0c", dns.TypeA, 1, "\x01\x02\x03\x05"),
		rr("\xc0\x0e", dns.TypeA, 1, "\x01\x02\x03\x06"),
		rr("\x01B\xc0\x0e", dns.TypeNSEC, 1, "\x01C\xc0\x0e\x00\x01\x40"),
		rr("\x01b\xc0\x0c", dns.TypeNS, 1, "\x01N\xc0\x0c"),
		rr("\xc0\x0c", 30, 1, "\x01X\xc0\x0e\x01"), // NXT
		rr("\xc0\x0c", 24, 1, strings.Repeat("\x00", 18)+"\x01S\xc0\x0e\x09"),
	}, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range m.Answer {
		got = append(got, fmt.Sprintf("%s %q", r.Owner, r.Data))
	}
	want := []string{
		`a.test "\x01\x02\x03\x04"`, `a.test "\x01\x02\x03\x05"`, `test "\x01\x02\x03\x06"`, `b.test "\x01C\x04test\x00\x00\x01@"`, `b.a.test "\x01n\x01a\x04test\x00"`,
		`a.test "\x01x\x04test\x00\x01"`, fmt.Sprintf("a.test %q", strings.Repeat("\x00", 18)+"\x01s\x04test\x00\x09"),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPointerChains(t *testing.T) {
	// Owners that point to each other, one step back each: 127 steps are a name, 128
	// are none, though each of them points back.
	chain := func(n int) []byte {
		recs := []string{rr("\x00", dns.TypeA, 1, "")}
		at := 12
		for range n {
			recs = append(recs, rr(string([]byte{0xc0 | byte(at>>8), byte(at)}), dns.TypeA, 1, ""))
			at = 12 + len(strings.Join(recs[:len(recs)-1], ""))
		}
		return raw(recs, nil, nil)
	}
	if m, err := wire.Parse(chain(100)); err != nil || !m.Answer[100].Owner.IsRoot() {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"\xc0\x0c", "\xc0\x0d", "\xc1\x00", "\x80a", "\x40a"} {
		if _, err := wire.Parse(raw([]string{rr(bad, dns.TypeA, 1, "")}, nil, nil)); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// A label may have 63 octets, not 64.
	if _, err := wire.Parse(raw([]string{rr("\x3f"+strings.Repeat("a", 63)+"\x00", dns.TypeA, 1, "")}, nil, nil)); err != nil {
		t.Error(err)
	}
	// A name of 256 octets, put together by a pointer.
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3)
	for n, ok := range map[int]bool{60: true, 61: true, 62: false} {
		recs := []string{rr(long+"\x00", dns.TypeA, 1, ""), rr("\x3f"[:0]+string([]byte{byte(n)})+strings.Repeat("b", n)+"\xc0\x0c", dns.TypeA, 1, "")}
		if _, err := wire.Parse(raw(recs, nil, nil)); (err == nil) != ok {
			t.Errorf("a label of %d octets before 193: %v", n, err)
		}
	}
}

func TestPointersInData(t *testing.T) {
	// The RDATA of an unknown type holds a root label and pointers, each to the one
	// before; the last record's name is a pointer to one of them.
	chain := "\x00"
	base := 12 + len(rr("\x00", 65280, 1, ""))
	for i := range 140 {
		to := base
		if i > 0 {
			to = base + 1 + 2*(i-1)
		}
		chain += string([]byte{0xc0 | byte(to>>8), byte(to)})
	}
	for n, ok := range map[int]bool{1: true, 125: true, 126: true, 127: false, 139: false} { // pointers behind the first
		at := base + 1 + 2*(n-1)
		last := rr("\x00", dns.TypeNS, 1, string([]byte{0xc0 | byte(at>>8), byte(at)}))
		m, err := wire.Parse(raw([]string{rr("\x00", 65280, 1, chain), last}, nil, nil))
		if (err == nil) != ok || (ok && string(m.Answer[1].Data) != "\x00") {
			t.Errorf("%d pointers: %v", n+1, err)
		}
	}
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3)
	for name, ok := range map[string]bool{
		long + "\x3d" + strings.Repeat("b", 61) + "\x00": true,
		long + "\x3e" + strings.Repeat("b", 62) + "\x00": false,
		"\x3f" + strings.Repeat("a", 63) + "\x00":        true,
		"\x40" + strings.Repeat("a", 64) + "\x00":        false,
	} {
		if _, err := wire.Canonical(dns.TypeNS, []byte(name)); (err == nil) != ok {
			t.Errorf("RDATA with a name of %d octets: %v", len(name), err)
		}
	}
	full := []string{rr(long+"\x3d"+strings.Repeat("b", 61)+"\x00", dns.TypeA, 1, "x")}
	for range 2 * wire.MaxMessage / 255 {
		full = append(full, rr("\x00", dns.TypeNS, 1, "\xc0\x0c"))
	}
	if _, err := wire.Parse(raw(full, nil, nil)); !errors.Is(err, wire.ErrMessage) {
		t.Errorf("one octet too many: %v", err)
	}
}
