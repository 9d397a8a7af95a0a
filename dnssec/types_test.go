package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
)

func TestStatusText(t *testing.T) {
	want := map[dnssec.Status]string{dnssec.Indeterminate: "indeterminate", dnssec.Bogus: "bogus", dnssec.Insecure: "insecure", dnssec.Secure: "secure", 99: "indeterminate"}
	for s, text := range want {
		if s.String() != text {
			t.Errorf("%d: %s", s, s)
		}
		b, err := s.MarshalText()
		back := dnssec.Status(77)
		if err != nil || string(b) != text || back.UnmarshalText(b) != nil || back.String() != text {
			t.Errorf("%s: %s %v", s, b, back)
		}
	}
	back := dnssec.Secure
	if back.UnmarshalText([]byte("Secure")) == nil || back != dnssec.Secure {
		t.Errorf("%v", back)
	}
	var zero dnssec.Answer
	if zero.Status != dnssec.Indeterminate || zero.FirstStatus() != dnssec.Indeterminate || zero.Kind.String() != "none" {
		t.Error("the zero Answer says something")
	}
	if !(dnssec.Indeterminate < dnssec.Bogus && dnssec.Bogus < dnssec.Insecure && dnssec.Insecure < dnssec.Secure) {
		t.Error("the order of statuses")
	}
}

func TestFirstStatus(t *testing.T) {
	a := dnssec.Answer{Status: dnssec.Insecure}
	if a.FirstStatus() != dnssec.Insecure {
		t.Error("without an alias")
	}
	a.Chain = []dnssec.Alias{{Status: dnssec.Secure}, {Status: dnssec.Insecure}}
	if a.FirstStatus() != dnssec.Secure {
		t.Error("with an alias")
	}
}

func TestKindText(t *testing.T) {
	for k, want := range map[dnssec.Kind]string{0: "none", dnssec.Data: "data", dnssec.NoData: "nodata", dnssec.NXDomain: "nxdomain", 9: "none"} {
		if k.String() != want {
			t.Errorf("%d: %s", k, k)
		}
	}
}

func TestTypeText(t *testing.T) {
	for typ, want := range map[dnssec.Type]string{
		1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 15: "MX", 16: "TXT", 28: "AAAA", 39: "DNAME", 43: "DS", 46: "RRSIG", 47: "NSEC",
		48: "DNSKEY", 50: "NSEC3", 52: "TLSA", 65280: "TYPE65280", 0: "TYPE0",
	} {
		if typ.String() != want {
			t.Errorf("%d: %s", uint16(typ), typ)
		}
	}
	if q := question(t, "mx.example.org", dnssec.TypeMX); q.String() != "mx.example.org MX" {
		t.Error(q)
	}
}

func TestReasonText(t *testing.T) {
	for r, want := range map[dnssec.Reason]string{{}: "", {Code: "c"}: "c", {Code: "c", Text: "t"}: "t"} {
		if r.String() != want {
			t.Errorf("%+v: %s", r, r)
		}
	}
}

func TestRecordData(t *testing.T) {
	wireName := "\x02mx\x07example\x03org\x00"
	t.Run("addresses", func(t *testing.T) {
		for _, tt := range []struct {
			typ  dnssec.Type
			n    int
			want bool
		}{{dnssec.TypeA, 4, true}, {dnssec.TypeAAAA, 16, true}, {dnssec.TypeA, 16, false}, {dnssec.TypeAAAA, 4, false}, {dnssec.TypeTXT, 4, false}, {dnssec.TypeTXT, 16, false}, {dnssec.TypeA, 0, false}, {dnssec.TypeA, 3, false}, {dnssec.TypeAAAA, 17, false}} {
			if a := (dnssec.Record{Type: tt.typ, Data: make([]byte, tt.n)}).Addr(); a.IsValid() != tt.want {
				t.Errorf("%+v: %v", tt, a)
			}
		}
	})
	t.Run("MX", func(t *testing.T) {
		for _, tt := range []struct {
			typ  dnssec.Type
			data string
			want string
		}{
			{dnssec.TypeMX, "\x01\x02" + wireName, "258 mx.example.org"}, {dnssec.TypeMX, "\x00\x00\x00", "0 ."}, {dnssec.TypeTXT, "\x00\x0a" + wireName, ""},
			{dnssec.TypeMX, "\x00\x0a", ""}, {dnssec.TypeMX, "", ""}, {dnssec.TypeMX, "\x00\x0a" + wireName + "x", ""}, {dnssec.TypeMX, "\x00\x0a\x05a", ""},
		} {
			mx, err := dnssec.Record{Type: tt.typ, Data: []byte(tt.data)}.MX()
			if got := fmt.Sprintf("%d %s", mx.Preference, mx.Host); (err == nil) != (tt.want != "") || err == nil && got != tt.want || err != nil && mx != (dnssec.MX{}) {
				t.Errorf("%q: %s %v", tt.data, got, err)
			}
		}
	})
	t.Run("TXT", func(t *testing.T) {
		for _, tt := range []struct {
			typ  dnssec.Type
			data string
			ok   bool
			want string
		}{
			{dnssec.TypeTXT, "\x01a\x02bc", true, `["a" "bc"]`}, {dnssec.TypeTXT, "\x00", true, `[""]`}, {dnssec.TypeTXT, "", true, `[]`},
			{dnssec.TypeTXT, "\x02a", false, "[]"}, {dnssec.TypeTXT, "\x01a\x05b", false, "[]"}, {dnssec.TypeA, "\x01a", false, "[]"},
		} {
			txt, err := dnssec.Record{Type: tt.typ, Data: []byte(tt.data)}.TXT()
			if (err == nil) != tt.ok || fmt.Sprintf("%q", txt) != tt.want {
				t.Errorf("%q: %q %v", tt.data, txt, err)
			}
		}
	})
}

func TestLookupError(t *testing.T) {
	q := question(t, "mx.example.org", dnssec.TypeA)
	e := &dnssec.LookupError{Question: q, Kind: dnssec.ErrBogus, Reason: dnssec.Reason{Code: "c", Text: "because"}, Server: "127.0.0.1:53", Cause: context.Canceled}
	if want := "mx.example.org A: dns lookup failed: bogus: because (server 127.0.0.1:53): context canceled"; e.Error() != want {
		t.Errorf("\n got %s\nwant %s", e, want)
	}
	if !errors.Is(e, dnssec.ErrBogus) || !errors.Is(e, dnssec.ErrLookup) || !errors.Is(e, context.Canceled) || errors.Is(e, dnssec.ErrTimeout) || e.Status() != dnssec.Bogus {
		t.Error("what it is")
	}
	e = &dnssec.LookupError{Question: q}
	if e.Error() != "mx.example.org A: dns lookup failed" || !errors.Is(e, dnssec.ErrLookup) || errors.Is(e, dnssec.ErrBogus) || e.Status() != dnssec.Indeterminate || len(e.Unwrap()) != 1 {
		t.Errorf("the zero error: %s", e)
	}
	for _, k := range []error{dnssec.ErrIndeterminate, dnssec.ErrServFail, dnssec.ErrRefused, dnssec.ErrTimeout, dnssec.ErrUnreachable, dnssec.ErrMalformed, dnssec.ErrAliasLoop} {
		if e := (&dnssec.LookupError{Kind: k}); e.Status() != dnssec.Indeterminate || !errors.Is(e, k) || !errors.Is(e, dnssec.ErrLookup) {
			t.Errorf("%v: %v", k, e.Status())
		}
	}
}

func TestSaysBogus(t *testing.T) {
	for code := range uint16(40) {
		if got := (dnssec.ExtendedError{Code: code}).SaysBogus(); got != (code >= 6 && code <= 12) {
			t.Errorf("%d: %v", code, got)
		}
	}
}
