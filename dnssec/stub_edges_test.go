package dnssec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// failureOf asks a stub for the address of mx.example.org and returns its failure.
func failureOf(t *testing.T, w *world) *dnssec.LookupError {
	t.Helper()
	a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
	var le *dnssec.LookupError
	if !errors.As(err, &le) {
		t.Fatalf("no failure: %s", brief(a, err))
	}
	return le
}

func TestStubAliasTTL(t *testing.T) {
	const dname, cname = "example.org. %d IN DNAME example.net.", "mx.example.org. %d IN CNAME mx.example.net."
	for _, tt := range []struct {
		name string
		rrs  []string
		want uint32
	}{
		{"an alias", []string{fmt.Sprintf(cname, 40)}, 40},
		{"the smallest comes first", []string{fmt.Sprintf(cname, 30), fmt.Sprintf(cname, 40)}, 30},
		{"the smallest comes last", []string{fmt.Sprintf(cname, 40), fmt.Sprintf(cname, 30)}, 30},
		{"a DNAME alone", []string{fmt.Sprintf(dname, 50)}, 50},
		{"a DNAME that lives longer than its alias", []string{fmt.Sprintf(dname, 50), fmt.Sprintf(cname, 20)}, 20},
		{"a DNAME that lives shorter than its alias", []string{fmt.Sprintf(dname, 10), fmt.Sprintf(cname, 20)}, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := new(world).on("mx.example.org A", secure(data(append(tt.rrs, "mx.example.net. 300 IN A 192.0.2.1")...)))
			a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
			if err != nil || len(a.Chain) != 1 || a.Chain[0].TTL != tt.want || a.Expires.Sub(testNow) != time.Duration(tt.want)*time.Second {
				t.Errorf("%s, chain %+v, expires after %v, want %d s", brief(a, err), a.Chain, a.Expires.Sub(testNow), tt.want)
			}
		})
	}
}

func TestStubAliasFailuresSayWhy(t *testing.T) {
	mx, org := name(t, "mx.example.org"), name(t, "example.org")
	unreadable := response{m: func(q *dns.Msg) *dns.Msg {
		m := dnsfake.Answer(q)
		// The root, and an octet that belongs to nothing.
		m.Answer = []dns.RR{&dns.RFC3597{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeDNAME, Class: dns.ClassINET, Ttl: 60}, Rdata: "00ff"}}
		return m
	}}
	long := data("example.org. 60 IN DNAME " + strings.Repeat(strings.Repeat("a", 62)+".", 4))
	for _, tt := range []struct {
		name string
		w    *world
		want dnssec.Reason
	}{
		{"a DNAME whose target cannot be read", new(world).on("mx.example.org A", secure(unreadable)),
			dnssec.Reason{Code: dnssec.ReasonMalformed, Name: org, Type: dnssec.TypeDNAME, Text: "the target of the DNAME cannot be read"}},
		{"a DNAME that makes too long a name", new(world).on("mx.example.org A", secure(long)),
			dnssec.Reason{Code: dnssec.ReasonMalformed, Name: org, Type: dnssec.TypeDNAME, Text: "the name is too long after the DNAME is applied"}},
		{"an alias that changed meanwhile", new(world).on("mx.example.org A", data(mxToB, bA)).on("mx.example.org CNAME", secure(data())),
			dnssec.Reason{Code: dnssec.ReasonAliasMoved, Name: mx, Type: dnssec.TypeCNAME, Text: "the alias at mx.example.org changed while it was looked up"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if le := failureOf(t, tt.w); le.Reason != tt.want {
				t.Errorf("\n got %+v\nwant %+v", le.Reason, tt.want)
			}
		})
	}
}

// TestStubLongChainCostsNothing: a chain that is too long to be followed is refused
// before any of its steps is asked for.
func TestStubLongChainCostsNothing(t *testing.T) {
	var rrs []string
	for i := range dnssec.MaxAliases + 1 {
		rrs = append(rrs, fmt.Sprintf("n%d.example.org. 60 IN CNAME n%d.example.org.", i, i+1))
	}
	w := new(world).on("n0.example.org A", data(rrs...))
	for i, rr := range rrs {
		w.on(fmt.Sprintf("n%d.example.org CNAME", i), secure(data(rr)))
	}
	a, err := stub(t, w).Resolve(t.Context(), question(t, "n0.example.org", dnssec.TypeA))
	if !errors.Is(err, dnssec.ErrAliasLoop) || a.Reason.Code != dnssec.ReasonAliasLimit || len(w.asked) != 1 {
		t.Errorf("%s, asked %q", brief(a, err), w.asked)
	}
}

// TestStubSecondServFail: when SERVFAIL is silent at first, the second one may speak.
func TestStubSecondServFail(t *testing.T) {
	silent := rcode(dns.RcodeServerFailure, data())
	for _, tt := range []struct {
		code uint16
		kind error
		want uint16
	}{
		{dnssec.EDESignatureExpired, dnssec.ErrBogus, dnssec.EDESignatureExpired},
		{dnssec.EDEIndeterminate, dnssec.ErrIndeterminate, dnssec.EDEIndeterminate},
		{dnssec.EDENetworkError, dnssec.ErrBogus, dnssec.EDEBogus},
	} {
		w := new(world).on("mx.example.org A", silent, ede(silent, tt.code, "")).on("mx.example.org A +cd", data(mxA))
		if le := failureOf(t, w); !errors.Is(le, tt.kind) || le.Reason.EDE != tt.want || len(le.EDE) != 1 || le.EDE[0].Code != tt.code {
			t.Errorf("extended error %d: %v, reason %+v, extended %v", tt.code, le, le.Reason, le.EDE)
		}
	}
}

func TestStubAsksNothingWithoutAName(t *testing.T) {
	w := new(world)
	_, err := stub(t, w).Resolve(t.Context(), dnssec.Question{Type: dnssec.TypeA})
	if !errors.Is(err, dnssec.ErrMalformed) || len(w.asked) != 0 {
		t.Errorf("%v, asked %q", err, w.asked)
	}
}

func TestStubLog(t *testing.T) {
	var log bytes.Buffer
	w := new(world).on("mx.example.org A", rcode(dns.RcodeRefused, data())).on("a.example.org A", data("a.example.org. 1 IN A 192.0.2.1"))
	s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: w, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(context.Background(), question(t, "a.example.org", dnssec.TypeA)); err != nil || log.Len() != 0 {
		t.Errorf("%v, log of a success: %s", err, &log)
	}
	if _, err := s.Resolve(context.Background(), question(t, "mx.example.org", dnssec.TypeA)); err == nil {
		t.Error("no failure")
	}
	for _, word := range []string{"level=DEBUG", `question="mx.example.org A"`, "refused"} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("%s is not in the log: %s", word, &log)
		}
	}
}

// TestStubSOA: a SOA record is good for the lifetime of a denial from its shortest form on
// (RFC 1035 section 3.3.13, RFC 2308 section 5).
func TestStubSOA(t *testing.T) {
	soaOf := func(owner string, ttl uint32, rdata string) dns.RR {
		return &dns.RFC3597{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl}, Rdata: rdata}
	}
	const shortest = "0000" + "00000001" + "00000002" + "00000003" + "00000004" + "0000012c" // 300 s
	for _, tt := range []struct {
		name string
		ns   []dns.RR
		want time.Duration
	}{
		{"the shortest", []dns.RR{soaOf("org.", 600, shortest)}, 300 * time.Second},
		{"an octet less", []dns.RR{soaOf("org.", 600, shortest[:len(shortest)-2])}, 0},
		{"one that is cut off beside a whole one", []dns.RR{soaOf("org.", 600, shortest[:8]), soaOf("org.", 200, shortest)}, 200 * time.Second},
		{"the smallest of two comes first", []dns.RR{soaOf("org.", 100, shortest), soaOf("example.org.", 200, shortest)}, 100 * time.Second},
		{"the smallest of two comes last", []dns.RR{soaOf("org.", 200, shortest), soaOf("example.org.", 100, shortest)}, 100 * time.Second},
		{"TTL 0", []dns.RR{soaOf("org.", 0, shortest)}, 0},
		{"another zone's", []dns.RR{soaOf("net.", 600, shortest)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := new(world).on("mx.example.org A", secure(response{m: func(q *dns.Msg) *dns.Msg {
				m := dnsfake.Answer(q)
				m.Ns = tt.ns
				return m
			}}))
			a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
			if err != nil || a.Kind != dnssec.NoData || a.Expires.Sub(testNow) != tt.want {
				t.Errorf("%s, expires after %v, want %v", brief(a, err), a.Expires.Sub(testNow), tt.want)
			}
		})
	}
}

// TestStubEveryOctetOfForeignText: printable ASCII stays as it is but for the backslash,
// everything else is escaped.
func TestStubEveryOctetOfForeignText(t *testing.T) {
	for c := range 256 {
		want := string(rune(c))
		switch {
		case c == '\\':
			want = `\\`
		case c < 0x20 || c > 0x7e:
			want = strconv.QuoteToASCII(string([]byte{byte(c)}))
			want = want[1 : len(want)-1]
		}
		le := failureOf(t, new(world).on("mx.example.org A", ede(rcode(dns.RcodeRefused, data()), 18, "<"+string([]byte{byte(c)})+">")))
		if len(le.EDE) != 1 || le.EDE[0].Text != "<"+want+">" {
			t.Errorf("%#x: %+v, want %q", c, le.EDE, want)
		}
	}
}
