package wire_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/wire"
)

// rr is a record in wire form, its owner given as octets.
func rr(owner string, typ uint16, ttl uint32, data string) string {
	b := binary.BigEndian.AppendUint16([]byte(owner), typ)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return string(b) + data
}

// raw is a message without a question.
func raw(answer, authority, additional []string) []byte {
	b := []byte{0, 1, 0x80, 0, 0, 0}
	for _, s := range [][]string{answer, authority, additional} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	}
	for _, s := range [][]string{answer, authority, additional} {
		b = append(b, strings.Join(s, "")...)
	}
	return b
}

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

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		ttl, want uint32
	}{{1<<31 - 1, 1<<31 - 1}, {1 << 31, 0}, {1<<32 - 1, 0}, {0, 0}} {
		m, err := wire.Parse(raw([]string{rr("\x00", dns.TypeA, c.ttl, "")}, nil, nil))
		if err != nil || m.Answer[0].TTL != c.want {
			t.Errorf("TTL %d: %v %v", c.ttl, m, err)
		}
	}
	a := rr("\x00", dns.TypeA, 1, "")
	for n, ok := range map[int]bool{3000: true, 3001: false} {
		if _, err := wire.Parse(raw([]string{strings.Repeat(a, n)}, nil, nil)[:0:0]); err == nil {
			t.Error("nothing is a message")
		}
		b := raw(nil, nil, nil)
		binary.BigEndian.PutUint16(b[6:], uint16(n))
		if _, err := wire.Parse(append(b, strings.Repeat(a, n)...)); (err == nil) != ok {
			t.Errorf("%d records: %v", n, err)
		}
	}
	if _, err := wire.Parse(raw(nil, nil, nil)); err != nil {
		t.Errorf("a header: %v", err)
	}
	full := raw(nil, nil, nil)
	for n, ok := range map[int]bool{wire.MaxMessage: true, wire.MaxMessage + 1: false} {
		if _, err := wire.Parse(append(full[:12:12], make([]byte, n-12)...)); (err == nil) != ok {
			t.Errorf("%d octets: %v", n, err)
		}
	}
	// RDATA of 2 octets that expand to 255 each: some hundred of them go beyond the bound.
	name := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3) + "\x3d" + strings.Repeat("b", 61) + "\x00"
	many := func(n int) []byte {
		recs := []string{rr(name, dns.TypeA, 1, "")}
		for range n {
			recs = append(recs, rr("\x00", dns.TypeNS, 1, "\xc0\x0c"))
		}
		return raw(recs, nil, nil)
	}
	const most = 2 * wire.MaxMessage / 255
	for n, ok := range map[int]bool{most: true, most + 1: false} {
		if _, err := wire.Parse(many(n)); (err == nil) != ok {
			t.Errorf("%d names: %v", n, err)
		}
	}
}

func TestAdditional(t *testing.T) {
	opt := func(data string) string { return rr("\x00", dns.TypeOPT, 0, data) }
	m, err := wire.Parse(raw(nil, nil, []string{rr("\x00", dns.TypeA, 0x8000, "\x01\x02\x03\x04"), opt("\x00\x0f\x00\x02\x00\x07"), rr("\x00", dns.TypeA, 1, "")}))
	if err != nil || !m.EDNS || m.DO || len(m.Errors) != 1 || m.Errors[0].Code != 7 || m.Errors[0].Text != "" {
		t.Errorf("%+v %v", m, err)
	}
	for data, want := range map[string]int{"": 0, "\x00\x0f\x00": 0, "\x00\x0f\x00\x01\x00": 0, "\x00\x0f\x00\x03\x00\x07": 0, "\x00\x0a\x00\x01x\x00\x0f\x00\x02\x00\x07": 1, "\x00\x0f\x00\x00": 0} {
		m, err := wire.Parse(raw(nil, nil, []string{opt(data)}))
		if err != nil || len(m.Errors) != want {
			t.Errorf("%q: %v %v", data, m, err)
		}
	}
	if _, err := wire.Parse(raw(nil, nil, []string{rr("\x05a", dns.TypeA, 1, "")[:4]})); !errors.Is(err, wire.ErrMessage) {
		t.Error(err)
	}
	// An OPT record elsewhere is left out.
	if m, err := wire.Parse(raw([]string{opt("")}, nil, nil)); err != nil || m.EDNS || len(m.Answer) != 0 {
		t.Errorf("%+v %v", m, err)
	}
	for _, bad := range []string{rr("\x00", dns.TypeA, 1, "")[:10], rr("\x00", dns.TypeA, 1, "abcd")[:13], rr("\x00", dns.TypeMX, 1, "\x00"), rr("\x00", dns.TypeNS, 1, "")} {
		if _, err := wire.Parse(raw([]string{bad}, nil, nil)); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestCanonicalLetters(t *testing.T) {
	for in, want := range map[string]string{"\x04AZ@[\x00": "\x04az@[\x00", "\x02az\x00": "\x02az\x00"} {
		if got, err := wire.Canonical(dns.TypeNS, []byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for in, ok := range map[string]bool{"\x00\x01\x00\x02\x00\x00\x00\x00": true, "\x00\x01\x00\x02\x00\x00\x00": false, "\x00\x01\x00\x02\x00\x00": false, "\x00\x01\x00\x02\x00\x00\x05": false} {
		if _, err := wire.Canonical(dns.TypeNAPTR, []byte(in)); (err == nil) != ok {
			t.Errorf("NAPTR %q: %v", in, err)
		}
	}
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3) + "\x3d" + strings.Repeat("b", 61) + "\x00"
	if n, rest, err := wire.NameAt([]byte(long + "x")); err != nil || n.WireLen() != 255 || string(rest) != "x" {
		t.Errorf("%v %q %v", n, rest, err)
	}
	for _, bad := range []string{strings.Repeat("\x3f"+strings.Repeat("a", 63), 4) + "\x00", "\x40" + strings.Repeat("a", 64) + "\x00"} {
		if _, _, err := wire.NameAt([]byte(bad)); err == nil {
			t.Errorf("%d octets are a name", len(bad))
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
