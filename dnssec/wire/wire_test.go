package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"
)

var name = nametest.Name

// message packs a response with the records, names compressed.
func message(tb testing.TB, answer, authority []string, edit func(m *dns.Msg)) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion("Example.TEST.", dns.TypeMX)
	m.Response, m.Compress = true, true
	for i, lines := range [][]string{answer, authority} {
		for _, l := range lines {
			rr, err := dns.NewRR(l)
			if err != nil {
				tb.Fatal(err)
			}
			if i == 0 {
				m.Answer = append(m.Answer, rr)
			} else {
				m.Ns = append(m.Ns, rr)
			}
		}
	}
	if edit != nil {
		edit(m)
	}
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// every is one record of each type whose RDATA has names, and some others.
var every = []string{
	"a.Example.test. 1 IN NS Ns.Example.test.", "a.example.test. 1 IN CNAME B.example.test.", "a.example.test. 1 IN PTR B.example.test.",
	"a.example.test. 1 IN SOA Ns.example.test. Admin.Example.test. 1 2 3 4 5", "a.example.test. 1 IN MX 10 MX.example.test.",
	"a.example.test. 1 IN SRV 1 2 3 Host.example.test.", `a.example.test. 1 IN NAPTR 1 2 "U" "Sip" "!x!Y!" Rep.example.test.`,
	"a.example.test. 1 IN DNAME Target.example.test.", "a.example.test. 1 IN KX 1 Kx.example.test.", "a.example.test. 1 IN RP Mb.example.test. Txt.example.test.",
	"a.example.test. 1 IN AFSDB 1 Host.example.test.", "a.example.test. 1 IN RT 1 Host.example.test.", "a.example.test. 1 IN PX 1 Map.example.test. X.example.test.",
	"a.example.test. 1 IN MINFO A.example.test. B.example.test.", "a.example.test. 1 IN MB A.example.test.", "a.example.test. 1 IN MG A.example.test.", "a.example.test. 1 IN MR A.example.test.",
	"a.example.test. 1 IN MD A.example.test.", "a.example.test. 1 IN MF A.example.test.",
	"a.example.test. 1 IN NSEC B.Example.test. A MX", "a.example.test. 1 IN RRSIG A 13 3 1 20260301000000 20260201000000 1 Example.TEST. AAAA",
	"a.example.test. 1 IN A 192.0.2.1", `a.example.test. 1 IN TXT "Keep" "Case"`, `a.example.test. 1 IN HINFO "CPU" "Os"`,
	"a.example.test. 1 IN TLSA 3 1 1 00", "a.example.test. 1 IN DS 1 13 2 00",
}

func TestParse(t *testing.T) {
	b := message(t, every, []string{"b.example.test. 4294967295 IN A 192.0.2.9"}, func(m *dns.Msg) {
		m.RecursionAvailable, m.AuthenticatedData, m.CheckingDisabled, m.RecursionDesired = true, true, true, true
		m.SetEdns0(4096, true)
		m.Rcode = dns.RcodeBadVers
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}, &dns.EDNS0_EDE{InfoCode: 7, ExtraText: "old"}}
	})
	m, err := wire.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Response() || !m.RecursionAvailable() || !m.AuthenticData() || !m.CheckingDisabled() || !m.RecursionDesired() || m.Truncated() || m.Opcode() != 0 {
		t.Error("flags")
	}
	if m.Question != (wire.Question{Name: name(t, "example.test."), Type: dns.TypeMX, Class: 1}) || m.NumQuestions != 1 || m.Rcode != 16 || !m.EDNS || !m.DO || m.UDPSize != 4096 {
		t.Errorf("%+v, rcode %d", m.Question, m.Rcode)
	}
	if len(m.Errors) != 1 || m.Errors[0] != (wire.ExtendedError{Code: 7, Text: "old"}) {
		t.Errorf("%v", m.Errors)
	}
	if len(m.Answer) != len(every) || len(m.Authority) != 1 || m.Authority[0].TTL != 0 {
		t.Fatalf("%d, %v", len(m.Answer), m.Authority)
	}
	for i, l := range every {
		rr, err := dns.NewRR(l)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 512)
		n, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, err := wire.NameAt(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		want := rest[10:]
		switch rr.Header().Rrtype { // the others have names only, or nothing to put into lower case
		case dns.TypeNSEC, dns.TypeTXT, dns.TypeHINFO:
		case dns.TypeNAPTR:
			want = bytes.Replace(want, []byte("\x03Rep"), []byte("\x03rep"), 1)
		default:
			want = bytes.Clone(want)
			for i, c := range want {
				if 'A' <= c && c <= 'Z' {
					want[i] = c + 'a' - 'A'
				}
			}
		}
		got := m.Answer[i]
		if got.Owner != name(t, "a.example.test.") || got.Type != rr.Header().Rrtype || got.TTL != 1 || got.Class != 1 || !bytes.Equal(got.Data, want) {
			t.Errorf("%s: got %q, want %q", l, got.Data, want)
		}
		again, err := wire.Canonical(got.Type, got.Data)
		if err != nil || !bytes.Equal(again, got.Data) {
			t.Errorf("%s: canonical form is not stable: %q, %v", l, again, err)
		}
	}
}

func TestParseA6(t *testing.T) {
	// RFC 2874: prefix length 64, eight octets, a name.
	data := append([]byte{64, 1, 2, 3, 4, 5, 6, 7, 8}, "\x01A\x00"...)
	for in, want := range map[string]string{
		string(data):           "\x40\x01\x02\x03\x04\x05\x06\x07\x08\x01a\x00",
		"\x00ABCDEFGHIJKLMNOP": "\x00ABCDEFGHIJKLMNOP",
		"\x80\x01B\x00":        "\x80\x01b\x00",
		"":                     "",
		"\x40\x01":             "\x40\x01",
		"\xff\x01B\x00":        "\xff\x01b\x00",
	} {
		if got, err := wire.Canonical(38, []byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := wire.Canonical(38, []byte("\x80\x05B")); err == nil {
		t.Error("a name cut off")
	}
}

func TestParseErrors(t *testing.T) {
	good := message(t, []string{"example.test. 1 IN MX 10 mx.example.test."}, nil, nil)
	for n := range good {
		if m, err := wire.Parse(good[:n]); err == nil || m != nil || !errors.Is(err, wire.ErrMessage) {
			t.Errorf("cut to %d octets: %v", n, err)
		}
	}
	if _, err := wire.Parse(append(bytes.Clone(good), 1, 2, 3)); err != nil {
		t.Errorf("octets behind: %v", err)
	}
	if _, err := wire.Parse(make([]byte, wire.MaxMessage+1)); !errors.Is(err, wire.ErrMessage) {
		t.Error(err)
	}
	header := []byte{0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for what, q := range map[string]string{
		"pointer to itself": "\xc0\x0c\x00\x01\x00\x01", "pointer ahead": "\xc0\x20\x00\x01\x00\x01", "pointer cut off": "\xc0",
		"unknown label": "\x40a\x00\x00\x01\x00\x01", "label cut off": "\x05ab", "too long": strings.Repeat("\x3f"+strings.Repeat("a", 63), 4) + "\x00\x00\x01\x00\x01",
		"pointer loop": "\x01a\xc0\x0c\x00\x01\x00\x01",
	} {
		if _, err := wire.Parse(append(bytes.Clone(header), q...)); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// 255 octets are a name, no more.
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3) + "\x3d" + strings.Repeat("b", 61) + "\x00"
	if m, err := wire.Parse(append(append(bytes.Clone(header), long...), 0, 1, 0, 1)); err != nil || m.Question.Name.WireLen() != 255 {
		t.Errorf("255 octets: %v", err)
	}
	many := bytes.Clone(good)
	many[6], many[7] = 0x20, 0
	if _, err := wire.Parse(many); !errors.Is(err, wire.ErrMessage) || !strings.Contains(err.Error(), "records") {
		t.Errorf("too many records: %v", err)
	}
	two := message(t, nil, nil, func(m *dns.Msg) {
		m.SetEdns0(1232, true)
		m.Extra = append(m.Extra, m.Extra[0])
	})
	if _, err := wire.Parse(two); !errors.Is(err, wire.ErrMessage) {
		t.Errorf("two OPT records: %v", err)
	}
	for typ, data := range map[uint16]string{dns.TypeMX: "\x00", dns.TypeSOA: "\x00", dns.TypeNAPTR: "\x00\x01\x00\x01\x09", dns.TypeNS: "\x05a", dns.TypeRRSIG: strings.Repeat("\x00", 17)} {
		if _, err := wire.Canonical(typ, []byte(data)); err == nil {
			t.Errorf("type %d: %q is taken", typ, data)
		}
	}
}

func TestOtherClasses(t *testing.T) {
	b := message(t, []string{"example.test. 1 CH TXT x", "example.test. 1 IN TXT y"}, nil, nil)
	m, err := wire.Parse(b)
	if err != nil || len(m.Answer) != 1 || string(m.Answer[0].Data) != "\x01y" {
		t.Errorf("%+v %v", m, err)
	}
}

func TestExtendedErrors(t *testing.T) {
	b := message(t, nil, nil, func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		for i := range 20 {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: uint16(i)})
		}
	})
	m, err := wire.Parse(b)
	if err != nil || len(m.Errors) != 8 || m.DO {
		t.Errorf("%v %v", m.Errors, err)
	}
	b = message(t, nil, nil, func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 15, Data: []byte{1}}, &dns.EDNS0_LOCAL{Code: 15, Data: []byte{0, 9}}}
	})
	b[len(b)-3]++ // the length of the last option is too much
	if m, err := wire.Parse(b); err != nil || len(m.Errors) != 0 {
		t.Errorf("%v %v", m, err)
	}
}

func TestQuery(t *testing.T) {
	for _, c := range []struct {
		q    wire.Query
		opts int
	}{
		{wire.Query{ID: 7, Name: name(t, "_25._tcp.example.test."), Type: dns.TypeTLSA, CD: true, DO: true}, 0},
		{wire.Query{ID: 65535, Name: name(t, "."), Type: dns.TypeNS, AD: true}, 0},
		{wire.Query{Name: name(t, "a."), Type: 1, DO: true, Signal: wire.Signal{Algorithms: []uint8{8, 13}, Digests: []uint8{2}}}, 2},
		{wire.Query{Name: name(t, "a."), Type: 1, Signal: wire.Signal{Algorithms: []uint8{8}, NSEC3Hashes: []uint8{1}}}, 0}, // not without DO
	} {
		var m dns.Msg
		if err := m.Unpack(c.q.Append([]byte{})); err != nil {
			t.Fatal(err)
		}
		o := m.IsEdns0()
		if m.Id != c.q.ID || m.Question[0].Name != c.q.Name.FQDN() || m.Question[0].Qtype != c.q.Type || !m.RecursionDesired || m.Response ||
			m.CheckingDisabled != c.q.CD || m.AuthenticatedData != c.q.AD || o == nil || o.Do() != c.q.DO || o.UDPSize() != wire.DefaultUDPSize || len(o.Option) != c.opts {
			t.Errorf("%+v: %s", c.q, &m)
		}
	}
}

func TestNameAt(t *testing.T) {
	n, rest, err := wire.NameAt([]byte("\x01A\x00xyz"))
	if err != nil || n != name(t, "a.") || string(rest) != "xyz" {
		t.Errorf("%v %q %v", n, rest, err)
	}
	for _, bad := range []string{"", "\x01", "\x01a", "\x05ab\x00", "\xc0\x00"} {
		if _, _, err := wire.NameAt([]byte(bad)); !errors.Is(err, rfc6125.ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// FuzzParse compares with another implementation: a message that both read has the same
// records; nothing panics; RDATA never grows beyond its bound.
func FuzzParse(f *testing.F) {
	f.Add(message(f, every, nil, func(m *dns.Msg) { m.SetEdns0(1232, true) }))
	f.Add(message(f, nil, every[:4], nil))
	f.Add([]byte{0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0xc0, 0x0c, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wire.Parse(b)
		if err != nil {
			if m != nil {
				t.Fatal("a message beside an error")
			}
			return
		}
		total := 0
		for _, rr := range m.Answer {
			total += len(rr.Data)
			if again, err := wire.Canonical(rr.Type, rr.Data); err != nil || !bytes.Equal(again, rr.Data) {
				t.Fatalf("type %d: %x is not stable: %x, %v", rr.Type, rr.Data, again, err)
			}
		}
		if total > 8*wire.MaxMessage {
			t.Fatalf("%d octets of RDATA", total)
		}
		var other dns.Msg
		if other.Unpack(b) != nil {
			return
		}
		if other.Id != m.ID || len(other.Question) != m.NumQuestions || other.Truncated != m.Truncated() {
			t.Fatalf("header: %+v, %s", m, &other)
		}
		i := 0
		for _, rr := range other.Answer {
			if rr.Header().Class != dns.ClassINET || rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			if i >= len(m.Answer) || m.Answer[i].Type != rr.Header().Rrtype {
				t.Fatalf("record %d of %d is %s", i, len(m.Answer), rr)
			}
			i++
		}
	})
}

func BenchmarkParse(b *testing.B) {
	msg := message(b, every[:8], every[:3], func(m *dns.Msg) { m.SetEdns0(1232, true) })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Parse(msg); err != nil {
			b.Fatal(err)
		}
	}
}

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
