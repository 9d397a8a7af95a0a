package upstream_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// FuzzAnswers holds the reading of foreign messages against a full DNS library: what is
// taken for an answer has the question asked, and what the caller gets has his id and
// at most as long a life as before.
func FuzzAnswers(f *testing.F) {
	asked := query(f, "mx.example.org", dns.TypeA)
	q := new(dns.Msg)
	if err := q.Unpack(asked); err != nil {
		f.Fatal(err)
	}
	for _, m := range []*dns.Msg{dnsfake.Answer(q, aRecord), dnsfake.Extended(dnsfake.Rcode(q, 2, "example.org. 5 IN SOA a. b. 1 2 3 4 5"), 6, "x"), dnsfake.Answer(q, "mx.example.org. 60 IN CNAME b.example.")} {
		for _, compress := range []bool{true, false} {
			m.Compress = compress
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, uint32(100))
		}
	}
	bare := append(bytes.Clone(asked[:2]), 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	f.Add(bare, uint32(0))
	f.Fuzz(func(t *testing.T, msg []byte, age uint32) {
		upstream.SaysBogus(msg)
		out, ok := upstream.Answers(asked, msg, 0x1234)
		if !ok {
			if out != nil {
				t.Error("a refused message was handed out")
			}
			return
		}
		if binary.BigEndian.Uint16(out) != 0x1234 || out[2]&0x80 == 0 || binary.BigEndian.Uint16(out[4:]) != 1 || len(out) < 12+16+4 {
			t.Fatalf("% x", out)
		}
		if name := out[12 : 12+16]; !strings.EqualFold(string(name), "\x02mx\x07example\x03org\x00") || !bytes.Equal(out[28:32], []byte{0, 1, 0, 1}) {
			t.Fatalf("another question: % x", out)
		}
		aged := bytes.Clone(out)
		upstream.Age(aged, age)
		var before, after dns.Msg
		if before.Unpack(out) != nil {
			return
		}
		if err := after.Unpack(aged); err != nil {
			t.Fatalf("ageing spoilt the message: %v", err)
		}
		sections := func(m *dns.Msg) []dns.RR { return append(append(append([]dns.RR{}, m.Answer...), m.Ns...), m.Extra...) }
		b, a := sections(&before), sections(&after)
		for i := range b {
			want := b[i].Header().Ttl
			if b[i].Header().Rrtype != dns.TypeOPT {
				want -= min(want, age)
			}
			if a[i].Header().Ttl != want {
				t.Fatalf("%v became %v by an age of %d", b[i], a[i], age)
			}
		}
	})
}

func TestSaysBogus(t *testing.T) {
	q := new(dns.Msg)
	if err := q.Unpack(query(t, "mx.example.org", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	for code := range uint16(40) {
		m := dnsfake.Extended(dnsfake.Rcode(q, 2, ""), code, "text")
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if want := code >= 6 && code <= 12; upstream.SaysBogus(b) != want {
			t.Errorf("code %d: %v", code, !want)
		}
	}
	m := dnsfake.Rcode(q, 2, "")
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_PADDING{Padding: make([]byte, 20)}, &dns.EDNS0_LOCAL{Code: 15, Data: []byte{0}})
	b, _ := m.Pack()
	if upstream.SaysBogus(b) {
		t.Error("an option of one octet")
	}
	dnsfake.Extended(m, 22, "")
	dnsfake.Extended(m, 9, "")
	if b, _ = m.Pack(); !upstream.SaysBogus(b) {
		t.Error("the last of several options was not seen")
	}
	// The length of the option says more than there is: it is not one.
	b[len(b)-3] = 200
	if upstream.SaysBogus(b) {
		t.Error("an option that is cut off")
	}
}

func TestAnswersBare(t *testing.T) {
	asked := query(t, "mx.example.org", dns.TypeA)
	bare := func(rcode byte, counts ...byte) []byte {
		b := append(bytes.Clone(asked[:2]), 0x80, rcode, 0, 0, 0, 0, 0, 0, 0, 0)
		copy(b[4:], counts)
		return b
	}
	for _, tt := range []struct {
		name string
		msg  []byte
		ok   bool
	}{
		{"FORMERR", bare(1), true},
		{"NOTIMP", bare(4), true},
		{"SERVFAIL", bare(2), false},
		{"NOERROR", bare(0), false},
		{"NXDOMAIN", bare(3), false},
		{"REFUSED", bare(5), false},
		{"with an answer count", bare(1, 0, 0, 0, 1), false},
		{"with more behind it", append(bare(1), 0), false},
		{"a question count without a question", bare(0, 0, 1), false},
	} {
		out, ok := upstream.Answers(asked, tt.msg, 0x1234)
		if ok != tt.ok || ok && (len(out) != 12+16+4 || out[3] != tt.msg[3] || out[5] != 1) {
			t.Errorf("%s: %v % x", tt.name, ok, out)
		}
	}
}

func TestAnswersCut(t *testing.T) {
	// A message cut off anywhere is none, and one with octets behind it is one.
	asked := query(t, "mx.example.org", dns.TypeA)
	q := new(dns.Msg)
	if err := q.Unpack(asked); err != nil {
		t.Fatal(err)
	}
	m := dnsfake.Answer(q, aRecord, "mx.example.org. 60 IN TXT x")
	m.Ns = append(m.Ns, dnsfake.RR("example.org. 60 IN NS ns.example.org."))
	for _, compress := range []bool{true, false} {
		m.Compress = compress
		b, _ := m.Pack()
		for n := range len(b) {
			if _, ok := upstream.Answers(asked, b[:n], 0x1234); ok {
				t.Errorf("%d of %d octets are taken for an answer", n, len(b))
			}
		}
		for _, more := range [][]byte{b, append(bytes.Clone(b), 0, 1, 2)} {
			if _, ok := upstream.Answers(asked, more, 0x1234); !ok {
				t.Error("a whole message is not taken")
			}
		}
	}
	// A label type that does not exist (RFC 1035 section 4.1.4: 10 and 01 are reserved).
	b, _ := dnsfake.Answer(q, "a.example. 60 IN A 192.0.2.1").Pack()
	for _, label := range []byte{0x40, 0x80, 0xbf} {
		c := bytes.Clone(b)
		c[32] = label
		if _, ok := upstream.Answers(asked, c, 0x1234); ok {
			t.Errorf("label %#x is taken", label)
		}
	}
}

func TestAnswersLetters(t *testing.T) {
	// Letters of both cases are one; what stands beside the letters in ASCII is not.
	ask := func(label string) []byte {
		b := query(t, "xxxx.example.org", dns.TypeA)
		copy(b[13:17], label)
		return b
	}
	answer := func(label string) []byte {
		b := ask(label)
		b[2] |= 0x80
		return b
	}
	for _, tt := range []struct {
		asked, answered string
		ok              bool
	}{
		{"azAZ", "AZaz", true}, {"mmmm", "MMMM", true}, {"@@@@", "````", false}, {"[[[[", "{{{{", false}, {"1111", "QQQQ", false}, {"aaaa", "aaab", false},
	} {
		if _, ok := upstream.Answers(ask(tt.asked), answer(tt.answered), 0x1234); ok != tt.ok {
			t.Errorf("%s answered by %s: %v", tt.asked, tt.answered, ok)
		}
	}
}
