package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a lab of the given worlds until the test ends.
func start(tb testing.TB, worlds ...lab.World) *lab.Lab {
	tb.Helper()
	return labtest.Start(tb, lab.Config{Worlds: worlds})
}

// ask sends one question with DO, over UDP and if need be TCP.
func ask(tb testing.TB, at netip.AddrPort, name, typ string, edit ...func(*dns.Msg)) *dns.Msg {
	tb.Helper()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.StringToType[typ])
	q.SetEdns0(1232, true)
	for _, e := range edit {
		e(q)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Second)
	defer cancel()
	c := dns.Client{Net: "udp"}
	r, _, err := c.ExchangeContext(ctx, q, at.String())
	if err == nil && r.Truncated {
		c.Net = "tcp"
		r, _, err = c.ExchangeContext(ctx, q, at.String())
	}
	if err != nil {
		tb.Fatalf("%s %s: %v", name, typ, err)
	}
	return r
}

func noCheck(q *dns.Msg) { q.CheckingDisabled = true }

// summary is the rcode, AD, and the types of an answer's sections.
func summary(m *dns.Msg) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	if m.AuthenticatedData {
		b.WriteString(" AD")
	}
	for _, s := range [][]dns.RR{m.Answer, m.Ns} {
		b.WriteString(" |")
		for _, rr := range s {
			fmt.Fprintf(&b, " %s", dns.TypeToString[rr.Header().Rrtype])
		}
	}
	return b.String()
}

func TestWorldsStart(t *testing.T) {
	began := time.Now()
	l := start(t, lab.Worlds()...)
	t.Logf("%d worlds in %v", len(l.Worlds()), time.Since(began))
	if len(l.Worlds()) < 14 {
		t.Fatal("worlds are missing")
	}
}

func TestAnswers(t *testing.T) {
	l := start(t, lab.Worlds()...)
	for _, c := range []struct{ name, typ, resolver, plain string }{
		{".", "DNSKEY", "NOERROR AD | DNSKEY DNSKEY RRSIG |", "NOERROR | DNSKEY DNSKEY RRSIG |"},
		{"dane-ee.test", "MX", "NOERROR AD | MX RRSIG |", "NOERROR | MX RRSIG |"},
		{"_25._tcp.mx.dane-ee.test", "TLSA", "NOERROR AD | TLSA RRSIG |", "NOERROR | TLSA RRSIG |"},
		{"_tcp.mx.dane-ee.test", "TLSA", "NOERROR AD | | SOA RRSIG NSEC RRSIG", "NOERROR | | SOA RRSIG NSEC RRSIG"},
		{"nothing.dane-ee.test", "A", "NXDOMAIN AD | | SOA RRSIG NSEC RRSIG NSEC RRSIG", "NXDOMAIN | | SOA RRSIG NSEC RRSIG NSEC RRSIG"},
		{"sts-enforce.test", "MX", "NOERROR | MX |", "NOERROR | MX |"},
		{"sts-enforce.test", "DS", "NOERROR AD | | SOA RRSIG NSEC RRSIG", "NOERROR | | SOA RRSIG NSEC RRSIG"},
		{"dane-ee.test", "DS", "NOERROR AD | DS RRSIG |", "NOERROR | DS RRSIG |"},
		{"classic.example", "DS", "NOERROR AD | | SOA RRSIG NSEC3 RRSIG", "NOERROR | | SOA RRSIG NSEC3 RRSIG"},
		{"nothing.example", "A", "NXDOMAIN AD | | SOA RRSIG NSEC3 RRSIG NSEC3 RRSIG", ""},
		{"_25._tcp.mx.tlsa-servfail.test", "TLSA", "SERVFAIL | |", "SERVFAIL | |"},
	} {
		for front, at := range map[string]netip.AddrPort{"resolver": l.Resolver(), "plain": l.Plain()} {
			want := c.resolver
			if front == "plain" {
				want = c.plain
			}
			if got := summary(ask(t, at, c.name, c.typ)); got != want && want != "" {
				t.Errorf("%s: %s %s:\n got %s\nwant %s", front, c.name, c.typ, got, want)
			}
		}
	}
}
