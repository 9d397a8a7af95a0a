package dnssec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

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
