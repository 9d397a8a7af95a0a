package dnssec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// raw is a record with any RDATA, given in hex.
func raw(owner string, typ uint16, rdata string) dns.RR {
	return &dns.RFC3597{Hdr: dns.RR_Header{Name: owner, Rrtype: typ, Class: dns.ClassINET, Ttl: 300}, Rdata: rdata}
}

// malformed is RDATA that its type cannot have, good RDATA of that type, and what the
// reason says of the malformed record.
var malformed = []struct{ name, typ, bad, good, text string }{
	{"of 5 bytes", "A", "c000020100", "c0000209", "it has 5 bytes, not 4"},
	{"of 3 bytes", "A", "c00002", "c0000209", "it has 3 bytes, not 4"},
	{"empty", "A", "", "c0000209", "it has 0 bytes, not 4"},
	{"of 4 bytes", "AAAA", "c0000201", strings.Repeat("20", 16), "it has 4 bytes, not 16"},
	{"of 17 bytes", "AAAA", strings.Repeat("20", 17), strings.Repeat("20", 16), "it has 17 bytes, not 16"},
	{"a text cut off", "TXT", "0561", "0161", "a text in it is cut off"},
	{"a second text cut off", "TXT", "016102", "0161", "a text in it is cut off"},
	{"empty", "TXT", "", "0161", "it is empty"},
	{"without matching type", "TLSA", "0301", "030101" + strings.Repeat("00", 32), "it has 2 bytes, fewer than 3"},
	{"empty", "TLSA", "", "030101" + strings.Repeat("00", 32), "it has 0 bytes, fewer than 3"},
	{"bytes behind the name", "MX", "000a016100ff", "000a016100", "the name in it cannot be read"},
	{"bytes behind the name", "NS", "016100ff", "016100", "the name in it cannot be read"},
	{"without its numbers", "SOA", "0000", "0000" + strings.Repeat("00", 20), "it has 0 bytes, not 20"},
	{"without digest type", "DS", "000d0d", "000d0d02" + strings.Repeat("00", 32), "it has 3 bytes, fewer than 4"},
	{"bytes behind the name", "CNAME", "016100ff", "", "the name in it cannot be read"},
	{"bytes behind the name", "DNAME", "016100ff", "", "the name in it cannot be read"},
}

// TestMalformedRDATA: an RRset with a malformed record is a lookup failure, signed or not,
// alone or among others, with the validator and with the stub (issue 1/8, F8).
func TestMalformedRDATA(t *testing.T) {
	for _, tt := range malformed {
		code := dns.StringToType[tt.typ]
		sets := map[string][]string{"alone": {tt.bad}}
		if tt.good != "" {
			sets["first"], sets["last"] = []string{tt.bad, tt.good}, []string{tt.good, tt.bad}
		}
		for where, rdata := range sets {
			set := func(owner string) (out []dns.RR) {
				for _, h := range rdata {
					out = append(out, raw(owner, code, h))
				}
				return out
			}
			check := func(t *testing.T, a dnssec.Answer, err error) {
				t.Helper()
				var le *dnssec.LookupError
				if !errors.As(err, &le) || !errors.Is(err, dnssec.ErrMalformed) || a.Kind != 0 || len(a.Records) != 0 || a.Status != dnssec.Indeterminate {
					t.Fatalf("%s %s, %v: %+v", a.Status, a.Kind, err, a.Records)
				}
				if !strings.Contains(le.Reason.Text, tt.text) || !strings.Contains(le.Reason.Text, tt.typ) || le.Reason.Code != dnssec.ReasonMalformed {
					t.Errorf("the reason is %+v", le.Reason)
				}
			}
			name := tt.typ + " " + tt.name + " " + where
			for _, zone := range []string{"example.test.", "unsigned.test."} {
				t.Run(name+" in "+zone, func(t *testing.T) {
					owner := "odd." + zone
					if code == dns.TypeSOA || code == dns.TypeNS { // nothing else can sign them
						owner = zone
					}
					tr := newTree(t)
					tr.hook = func(q dns.Question) (*dns.Msg, error) {
						if q.Name != owner || q.Qtype != code {
							return nil, nil
						}
						m := &dns.Msg{Answer: set(owner)}
						if zone == "example.test." {
							z := tr.zones[zone]
							m.Answer = append(m.Answer, signSet(t, z.keys[0], zone, m.Answer, z.from, z.until))
						}
						return m, nil
					}
					a, err := tr.get(owner + " " + tt.typ)
					check(t, a, err)
				})
			}
			for _, ad := range []bool{true, false} {
				t.Run(name+" through the stub", func(t *testing.T) {
					r := response{m: func(q *dns.Msg) *dns.Msg {
						m := new(dns.Msg).SetReply(q)
						m.RecursionAvailable, m.AuthenticatedData = true, ad
						m.Answer = set("odd.example.org.")
						return m
					}}
					w := new(world).on("odd.example.org "+tt.typ, r)
					a, err := resolve(t, stub(t, w), "odd.example.org. "+tt.typ)
					check(t, a, err)
				})
			}
		}
	}
}

// TestMalformedDS: a DS set with a malformed record does not make a zone unsigned
// (issue 1/8, F8).
func TestMalformedDS(t *testing.T) {
	unsupported := "0001fd02" + strings.Repeat("00", 32)
	for name, rdata := range map[string][]string{
		"alone":                     {"0001fd"},
		"beside an unsupported one": {"0001fd", unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			for _, h := range rdata {
				z := tr.zones["example.test."]
				z.ds = append(z.ds, raw("example.test.", dns.TypeDS, h))
			}
			tr.want("mx.example.test. A", "indeterminate malformed")
			tr.want("alias.example.test. A", "indeterminate malformed")
		})
	}
}

// TestCheckRDATA: what the reader of messages refuses before is refused here as well.
func TestCheckRDATA(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  dnssec.Type
		data string
		want string
	}{
		{"MX", dnssec.TypeMX, "\x00\x0a\x01a\x00", ""},
		{"MX without preference", dnssec.TypeMX, "\x00", "it has 1 bytes, fewer than 2"},
		{"MX without name", dnssec.TypeMX, "\x00\x0a", "the name in it cannot be read"},
		{"SOA", dnssec.TypeSOA, "\x01a\x00\x01b\x00" + strings.Repeat("\x00", 20), ""},
		{"SOA without names", dnssec.TypeSOA, "\x01", "a name in it cannot be read"},
		{"SOA of one name", dnssec.TypeSOA, "\x01a\x00", "a name in it cannot be read"},
		{"NS cut off", dnssec.TypeNS, "\x05a", "the name in it cannot be read"},
	} {
		err := dnssec.CheckRDATA(c.typ, []byte(c.data))
		if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && got != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
