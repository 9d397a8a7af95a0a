package dnssec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"
)

var name = nametest.Name

func question(t testing.TB, s string, typ dnssec.Type) dnssec.Question {
	t.Helper()
	return dnssec.Question{Name: name(t, s), Type: typ}
}

var testNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func stub(t testing.TB, w dnssec.Upstream) *dnssec.Stub {
	t.Helper()
	s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: w, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// brief is what most tests want to see of an answer.
func brief(a dnssec.Answer, err error) string {
	var b strings.Builder
	for _, st := range a.Chain {
		fmt.Fprintf(&b, "%s -%s-> %s (%s) ", st.Owner, st.Type, st.Target, st.Status)
	}
	fmt.Fprintf(&b, "%s %s %s", a.Final, a.Kind, a.Status)
	for _, r := range a.Records {
		if ip := r.Addr(); ip.IsValid() {
			fmt.Fprintf(&b, " %s", ip)
		} else {
			fmt.Fprintf(&b, " %x", r.Data)
		}
	}
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		fmt.Fprintf(&b, " [%s]", le.Reason.Code)
		for _, k := range []error{dnssec.ErrBogus, dnssec.ErrIndeterminate, dnssec.ErrServFail, dnssec.ErrRefused, dnssec.ErrTimeout, dnssec.ErrUnreachable, dnssec.ErrMalformed, dnssec.ErrAliasLoop} {
			if errors.Is(err, k) {
				fmt.Fprintf(&b, " %v", k)
			}
		}
		if !errors.Is(err, dnssec.ErrLookup) {
			b.WriteString(" NOT A LOOKUP FAILURE")
		}
	} else if err != nil {
		fmt.Fprintf(&b, " NO LookupError: %v", err)
	}
	return b.String()
}

const (
	mxA   = "mx.example.org. 300 IN A 192.0.2.1"
	mxToB = "mx.example.org. 200 IN CNAME b.example.net."
	bToC  = "b.example.net. 100 IN CNAME c.example.com."
	cA    = "c.example.com. 300 IN A 192.0.2.3"
	bA    = "b.example.net. 300 IN A 192.0.2.2"
)

func TestStub(t *testing.T) {
	servfail := rcode(dns.RcodeServerFailure, data())
	tests := []struct {
		name  string
		w     *world
		want  string
		asked string // if not just "mx.example.org A"
	}{
		{"DANE7672-2.1.1-04 AD makes it secure", new(world).on("mx.example.org A", secure(data(mxA))),
			"mx.example.org data secure 192.0.2.1", ""},
		{"no AD makes it insecure", new(world).on("mx.example.org A", data(mxA)),
			"mx.example.org data insecure 192.0.2.1", ""},
		{"DANE7672-2.1.1-06 NXDOMAIN is an answer", new(world).on("mx.example.org A", secure(rcode(3, soa(data(), exampleSOA)))),
			"mx.example.org nxdomain secure", ""},
		{"DANE7672-2.1.1-06 insecure NXDOMAIN is an answer", new(world).on("mx.example.org A", rcode(3, soa(data(), exampleSOA))),
			"mx.example.org nxdomain insecure", ""},
		{"DANE7672-2.1.1-06 NODATA is an answer", new(world).on("mx.example.org A", secure(soa(data(), exampleSOA))),
			"mx.example.org nodata secure", ""},
		{"DANE7672-2.1.1-06 NODATA without SOA is an answer", new(world).on("mx.example.org A", data()),
			"mx.example.org nodata insecure", ""},
		{"records that do not belong are left out", new(world).on("mx.example.org A", secure(data(mxA, mxA, bA, "mx.example.org. 5 IN TXT x", "example.org. 5 IN A 192.0.2.9"))),
			"mx.example.org data secure 192.0.2.1", ""},
		{"only records of others: no data", new(world).on("mx.example.org A", data(bA)),
			"mx.example.org nodata insecure", ""},
		{"referral is no NODATA", new(world).on("mx.example.org A", soa(data(), "example.org. 60 IN NS ns.example.org.")),
			"mx.example.org none indeterminate [referral] dns lookup failed: refused", ""},
		{"alias, all secure", new(world).on("mx.example.org A", secure(data(mxToB, bToC, cA))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net -CNAME-> c.example.com (secure) c.example.com data secure 192.0.2.3", ""},
		{"DANE7672-2.1.3-04 alias, only the end insecure", new(world).on("mx.example.org A", data(bToC, mxToB, cA)).
			on("mx.example.org CNAME", secure(data(mxToB))).on("b.example.net CNAME", secure(data(bToC))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net -CNAME-> c.example.com (secure) c.example.com data insecure 192.0.2.3",
			"mx.example.org A, mx.example.org CNAME, b.example.net CNAME"},
		{"DANE7672-2.1.3-03 alias, insecure from the first on", new(world).on("mx.example.org A", data(mxToB, bToC, cA)).
			on("mx.example.org CNAME", data(mxToB)),
			"mx.example.org -CNAME-> b.example.net (insecure) b.example.net -CNAME-> c.example.com (insecure) c.example.com data insecure 192.0.2.3",
			"mx.example.org A, mx.example.org CNAME"},
		{"DANE7672-2.1.3-03 secure, insecure, secure", new(world).on("mx.example.org A", data(mxToB, bToC, cA)).
			on("mx.example.org CNAME", secure(data(mxToB))).on("b.example.net CNAME", data(bToC)),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net -CNAME-> c.example.com (insecure) c.example.com data insecure 192.0.2.3",
			"mx.example.org A, mx.example.org CNAME, b.example.net CNAME"},
		{"DANE7672-2.1.3-03 an insecure first part spoils a secure second", new(world).on("mx.example.org A", data(mxToB)).
			on("mx.example.org CNAME", data(mxToB)).on("b.example.net A", secure(data(bA))),
			"mx.example.org -CNAME-> b.example.net (insecure) b.example.net data insecure 192.0.2.2",
			"mx.example.org A, mx.example.org CNAME, b.example.net A"},
		{"DANE7672-2.1.3-01 the end is asked for where it is missing", new(world).on("mx.example.org A", secure(data(mxToB))).
			on("b.example.net A", secure(data(bToC))).on("c.example.com A", secure(data(cA))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net -CNAME-> c.example.com (secure) c.example.com data secure 192.0.2.3",
			"mx.example.org A, b.example.net A, c.example.com A"},
		{"secure alias to an insecure end asked for by itself", new(world).on("mx.example.org A", secure(data(mxToB))).on("b.example.net A", data(bA)),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net data insecure 192.0.2.2",
			"mx.example.org A, b.example.net A"},
		{"the denial of another zone does not deny the end", new(world).on("mx.example.org A", secure(soa(data(mxToB), exampleSOA))).on("b.example.net A", secure(data(bA))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net data secure 192.0.2.2",
			"mx.example.org A, b.example.net A"},
		{"alias to a name without addresses", new(world).on("mx.example.org A", secure(soa(data(mxToB), "example.net. 600 IN SOA a. b. 1 2 3 4 300"))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net nodata secure", ""},
		{"alias to nowhere: the rcode is that of the end (RFC 6604)", new(world).on("mx.example.org A", secure(rcode(3, data(mxToB)))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net nxdomain secure", ""},
		{"DANE7672-2.1.3-02 error at a later stage", new(world).on("mx.example.org A", secure(data(mxToB))).on("b.example.net A", ede(servfail, 6, "")),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net none bogus [upstream-bogus] dns lookup failed: bogus",
			"mx.example.org A, b.example.net A"},
		{"DANE7672-2.1.3-02 error of a separate alias query", new(world).on("mx.example.org A", data(mxToB, bA)).on("mx.example.org CNAME", ede(servfail, 9, "")),
			"mx.example.org none bogus [upstream-bogus] dns lookup failed: bogus",
			"mx.example.org A, mx.example.org CNAME"},
		{"alias that changes meanwhile", new(world).on("mx.example.org A", data(mxToB, bA)).on("mx.example.org CNAME", secure(data("mx.example.org. 1 IN CNAME evil.example."))),
			"mx.example.org none indeterminate [alias-changed] dns lookup failed: malformed",
			"mx.example.org A, mx.example.org CNAME"},
		{"alias that vanishes meanwhile", new(world).on("mx.example.org A", data(mxToB, bA)).on("mx.example.org CNAME", secure(data())),
			"mx.example.org none indeterminate [alias-changed] dns lookup failed: malformed",
			"mx.example.org A, mx.example.org CNAME"},
		{"alias with two targets when asked by itself", new(world).on("mx.example.org A", data(mxToB, bA)).on("mx.example.org CNAME", secure(data(mxToB, "mx.example.org. 1 IN CNAME evil.example."))),
			"mx.example.org none indeterminate [malformed] dns lookup failed: malformed",
			"mx.example.org A, mx.example.org CNAME"},
		{"NODATA with the servers of the zone beside its SOA", new(world).on("mx.example.org A", secure(soa(soa(data(), exampleSOA), "example.org. 60 IN NS ns.example.org."))),
			"mx.example.org nodata secure", ""},
		{"referral behind an alias: the end is asked for", new(world).on("mx.example.org A", secure(soa(data(mxToB), "net. 60 IN NS ns.net."))).on("b.example.net A", secure(data(bA))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net data secure 192.0.2.2",
			"mx.example.org A, b.example.net A"},
		{"DNAME that makes the name too long", new(world).on("mx.example.org A", secure(data("example.org. 60 IN DNAME "+strings.Repeat(strings.Repeat("a", 62)+".", 4)))),
			"mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"a query in place of an answer", new(world).on("mx.example.org A", response{m: func(q *dns.Msg) *dns.Msg {
			m := dnsfake.Answer(q, mxA)
			m.Response = false
			return m
		}}), "mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"another opcode", new(world).on("mx.example.org A", response{m: func(q *dns.Msg) *dns.Msg {
			m := dnsfake.Answer(q, mxA)
			m.Opcode = dns.OpcodeUpdate
			return m
		}}), "mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"truncated", new(world).on("mx.example.org A", response{m: func(q *dns.Msg) *dns.Msg {
			m := dnsfake.Answer(q, mxA)
			m.Truncated = true
			return m
		}}), "mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"SERVFAIL, then with CD, then silence", new(world).on("mx.example.org A", rcode(2, data()), failing(dnssec.ErrTimeout)).on("mx.example.org A +cd", data(mxA)),
			"mx.example.org none indeterminate [servfail] dns lookup failed: SERVFAIL",
			"mx.example.org A, mx.example.org A +cd, mx.example.org A"},
		{"SERVFAIL, then with CD, then bogus in as many words", new(world).on("mx.example.org A", rcode(2, data()), ede(rcode(2, data()), 12, "")).on("mx.example.org A +cd", data(mxA)),
			"mx.example.org none bogus [upstream-bogus] dns lookup failed: bogus",
			"mx.example.org A, mx.example.org A +cd, mx.example.org A"},
		{"alias to itself", new(world).on("mx.example.org A", secure(data("mx.example.org. 1 IN CNAME mx.example.org."))),
			"mx.example.org none indeterminate [alias-loop] dns lookup failed: alias loop", ""},
		{"alias loop in one answer", new(world).on("mx.example.org A", secure(data(mxToB, "b.example.net. 1 IN CNAME mx.example.org."))),
			"mx.example.org none indeterminate [alias-loop] dns lookup failed: alias loop", ""},
		{"alias loop over two answers", new(world).on("mx.example.org A", secure(data(mxToB))).on("b.example.net A", secure(data("b.example.net. 1 IN CNAME mx.example.org."))),
			"mx.example.org -CNAME-> b.example.net (secure) b.example.net none indeterminate [alias-loop] dns lookup failed: alias loop",
			"mx.example.org A, b.example.net A"},
		{"two targets", new(world).on("mx.example.org A", secure(data(mxToB, "mx.example.org. 1 IN CNAME c.example.com.", bA))),
			"mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"NXDOMAIN beside data", new(world).on("mx.example.org A", rcode(3, data(mxA))),
			"mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"DNAME with its CNAME", new(world).on("mx.example.org A", secure(data("example.org. 60 IN DNAME example.net.", "mx.example.org. 60 IN CNAME mx.example.net.", "mx.example.net. 60 IN A 192.0.2.4"))),
			"mx.example.org -DNAME-> mx.example.net (secure) mx.example.net data secure 192.0.2.4", ""},
		{"DNAME6672-5.3.1-01 DNAME with another CNAME", new(world).on("mx.example.org A", secure(data("example.org. 60 IN DNAME example.net.", "mx.example.org. 60 IN CNAME mx.evil.example.", "mx.evil.example. 60 IN A 192.0.2.4"))),
			"mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"DNAME alone", new(world).on("mx.example.org A", secure(data("example.org. 60 IN DNAME example.net.", "mx.example.net. 60 IN A 192.0.2.4"))),
			"mx.example.org -DNAME-> mx.example.net (secure) mx.example.net data secure 192.0.2.4", ""},
		{"DNAME at the name itself is none of its business", new(world).on("mx.example.org A", secure(data("mx.example.org. 60 IN DNAME example.net.", mxA))),
			"mx.example.org data secure 192.0.2.1", ""},
		{"REFUSED", new(world).on("mx.example.org A", rcode(5, data())),
			"mx.example.org none indeterminate [refused] dns lookup failed: refused", ""},
		{"EDNS6891-6.2.2-01 FORMERR: no plain DNS instead", new(world).on("mx.example.org A", rcode(1, data())),
			"mx.example.org none indeterminate [formerr] dns lookup failed: refused", ""},
		{"DANE7672-2.1.1-05 a server without EDNS is not used", new(world).on("mx.example.org A", rcode(1, data())),
			"mx.example.org none indeterminate [formerr] dns lookup failed: refused", ""},
		{"BADVERS", new(world).on("mx.example.org A", rcode(16, data())),
			"mx.example.org none indeterminate [formerr] dns lookup failed: refused", ""},
		{"NOTIMP", new(world).on("mx.example.org A", rcode(4, data())),
			"mx.example.org none indeterminate [rcode] dns lookup failed: refused", ""},
		{"YXDOMAIN", new(world).on("mx.example.org A", rcode(6, data())),
			"mx.example.org none indeterminate [rcode] dns lookup failed: refused", ""},
		{"timeout", new(world).on("mx.example.org A", failing(fmt.Errorf("%w: %w", dnssec.ErrTimeout, context.DeadlineExceeded))),
			"mx.example.org none indeterminate [timeout] dns lookup failed: timeout", ""},
		{"unreachable", new(world).on("mx.example.org A", failing(dnssec.ErrUnreachable)),
			"mx.example.org none indeterminate [unreachable] dns lookup failed: unreachable", ""},
		{"malformed upstream", new(world).on("mx.example.org A", failing(dnssec.ErrMalformed)),
			"mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"an error out of contract", new(world).on("mx.example.org A", failing(errors.New("?"))),
			"mx.example.org none indeterminate [unreachable] dns lookup failed: unreachable", ""},
		{"junk", new(world).on("mx.example.org A", response{raw: []byte("junk")}),
			"mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"an answer to another question", new(world).on("mx.example.org A", response{m: func(q *dns.Msg) *dns.Msg {
			m := dnsfake.Answer(q, mxA)
			m.Question[0].Name = "mx.example.com."
			return m
		}}), "mx.example.org none indeterminate [malformed] dns lookup failed: malformed", ""},
		{"SERVFAIL that says bogus", new(world).on("mx.example.org A", ede(servfail, 7, "")),
			"mx.example.org none bogus [upstream-bogus] dns lookup failed: bogus", ""},
		{"SERVFAIL that says indeterminate", new(world).on("mx.example.org A", ede(servfail, 5, "")),
			"mx.example.org none indeterminate [upstream-indeterminate] dns lookup failed: indeterminate", ""},
		{"SERVFAIL that is silent and ends with CD", new(world).on("mx.example.org A", servfail).on("mx.example.org A +cd", data(mxA)),
			"mx.example.org none bogus [upstream-bogus] dns lookup failed: bogus",
			"mx.example.org A, mx.example.org A +cd, mx.example.org A"},
		{"SERVFAIL that stays with CD", new(world).on("mx.example.org A", servfail).on("mx.example.org A +cd", servfail),
			"mx.example.org none indeterminate [servfail] dns lookup failed: SERVFAIL",
			"mx.example.org A, mx.example.org A +cd"},
		{"SERVFAIL, and no answer with CD", new(world).on("mx.example.org A", servfail),
			"mx.example.org none indeterminate [servfail] dns lookup failed: SERVFAIL",
			"mx.example.org A, mx.example.org A +cd"},
		{"SERVFAIL that was an accident", new(world).on("mx.example.org A", servfail, secure(data(mxA))).on("mx.example.org A +cd", data(bA)),
			"mx.example.org data secure 192.0.2.1",
			"mx.example.org A, mx.example.org A +cd, mx.example.org A"},
		{"SERVFAIL of another cause", new(world).on("mx.example.org A", ede(servfail, 22, "")).on("mx.example.org A +cd", ede(servfail, 22, "")),
			"mx.example.org none indeterminate [servfail] dns lookup failed: SERVFAIL",
			"mx.example.org A, mx.example.org A +cd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := stub(t, tt.w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
			if got := brief(a, err); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			asked := tt.asked
			if asked == "" {
				asked = "mx.example.org A"
			}
			if got := strings.Join(tt.w.asked, ", "); got != asked {
				t.Errorf("asked %s\n want %s", got, asked)
			}
			if err != nil && a.Reason.Code == "" {
				t.Error("a failure without a reason")
			}
		})
	}
}

func TestStubAliasLimit(t *testing.T) {
	chain := func(n int) *world {
		var rrs []string
		for i := range n {
			rrs = append(rrs, fmt.Sprintf("n%d.example.org. 60 IN CNAME n%d.example.org.", i, i+1))
		}
		return new(world).on("n0.example.org A", secure(data(append(rrs, fmt.Sprintf("n%d.example.org. 60 IN A 192.0.2.7", n))...)))
	}
	piecewise := func(n int) *world {
		w := new(world)
		for i := range n {
			w.on(fmt.Sprintf("n%d.example.org A", i), secure(data(fmt.Sprintf("n%d.example.org. 60 IN CNAME n%d.example.org.", i, i+1))))
		}
		return w.on(fmt.Sprintf("n%d.example.org A", n), secure(data(fmt.Sprintf("n%d.example.org. 60 IN A 192.0.2.7", n))))
	}
	for kind, build := range map[string]func(int) *world{"in one answer": chain, "step by step": piecewise} {
		t.Run("DANE7672-2.1.3-01 "+kind, func(t *testing.T) {
			a, err := stub(t, build(dnssec.MaxAliases)).Resolve(t.Context(), question(t, "n0.example.org", dnssec.TypeA))
			if err != nil || a.Status != dnssec.Secure || len(a.Chain) != dnssec.MaxAliases || len(a.Records) != 1 {
				t.Errorf("at the limit: %s", brief(a, err))
			}
			a, err = stub(t, build(dnssec.MaxAliases+1)).Resolve(t.Context(), question(t, "n0.example.org", dnssec.TypeA))
			if !errors.Is(err, dnssec.ErrAliasLoop) || a.Reason.Code != dnssec.ReasonAliasLimit {
				t.Errorf("above the limit: %s", brief(a, err))
			}
		})
	}
}

func TestStubQueryBytes(t *testing.T) {
	w := new(world).on("mx.example.org A", rcode(2, data())).on("mx.example.org A +cd", rcode(2, data()))
	stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
	if len(w.raw) != 2 {
		t.Fatal(w.asked)
	}
	q := new(dns.Msg)
	if err := q.Unpack(w.raw[0]); err != nil {
		t.Fatal(err)
	}
	opt := q.IsEdns0()
	if opt == nil {
		t.Fatal("no EDNS")
	}
	t.Run("DNSSEC4035-4.1-01 DO is set", func(t *testing.T) {
		if !opt.Do() {
			t.Error("DO is clear")
		}
	})
	t.Run("DNSSEC4035-4.1-02 the advertised size is at least 1220", func(t *testing.T) {
		if opt.UDPSize() != 1232 {
			t.Errorf("size %d", opt.UDPSize())
		}
	})
	t.Run("EDNS6891-6.2.3-01 the advertised size needs no fragments", func(t *testing.T) {
		if opt.UDPSize() > 1232 {
			t.Errorf("size %d", opt.UDPSize())
		}
	})
	t.Run("DNSSEC6840-5.7-01 AD is set", func(t *testing.T) {
		if !q.AuthenticatedData {
			t.Error("AD is clear")
		}
	})
	t.Run("DNSSEC4035-4.9.2-02 CD is clear", func(t *testing.T) {
		if q.CheckingDisabled {
			t.Error("CD is set")
		}
	})
	t.Run("EDNS6975-4-01 no algorithm lists", func(t *testing.T) {
		if len(opt.Option) != 0 {
			t.Errorf("options %v", opt.Option)
		}
	})
	t.Run("DNSSEC4035-4.6-01 AD is clear where its answer is not used", func(t *testing.T) {
		cd := new(dns.Msg)
		if err := cd.Unpack(w.raw[1]); err != nil || cd.AuthenticatedData || !cd.CheckingDisabled {
			t.Errorf("%v %v", cd, err)
		}
	})
	if !q.RecursionDesired {
		t.Error("RD is clear")
	}
}

func TestStubTimes(t *testing.T) {
	day := 24 * time.Hour
	bigSOA := "example.org. 99999 IN SOA a. b. 1 2 3 4 999999"
	tests := []struct {
		name string
		r    response
		want time.Duration
	}{
		{"the TTL", data(mxA), 300 * time.Second},
		{"TLSA6698-8.2-01 the smallest TTL", data(mxA, "mx.example.org. 299 IN A 192.0.2.2"), 299 * time.Second},
		{"DNSSEC4035-4.5-01 the smallest TTL of the chain", data("mx.example.org. 20 IN CNAME b.example.net.", bA), 20 * time.Second},
		{"the TTL of the DNAME", data("example.org. 7 IN DNAME example.net.", "mx.example.org. 60 IN CNAME mx.example.net.", "mx.example.net. 60 IN A 192.0.2.4"), 7 * time.Second},
		{"at most a day", data("mx.example.org. 2000000 IN A 192.0.2.1"), day},
		{"TTL 0", data("mx.example.org. 0 IN A 192.0.2.1"), 0},
		{"DNS2308-5-01 NODATA: SOA minimum", soa(data(), exampleSOA), 300 * time.Second},
		{"DNS2308-5-01 NXDOMAIN: SOA TTL", rcode(3, soa(data(), "example.org. 60 IN SOA a. b. 1 2 3 4 300")), 60 * time.Second},
		{"AGGR8198-5.4-01 at most 3 hours", soa(data(), bigSOA), 3 * time.Hour},
		{"without SOA not at all", data(), 0},
		{"a SOA of another zone does not count", rcode(3, soa(data(), "example.com. 60 IN SOA a. b. 1 2 3 4 300")), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := new(world).on("mx.example.org A", secure(tt.r))
			a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
			if err != nil {
				t.Fatal(err)
			}
			if !a.Received.Equal(testNow) || a.Expires.Sub(testNow) != tt.want {
				t.Errorf("received %v, expires after %v, want %v", a.Received, a.Expires.Sub(testNow), tt.want)
			}
		})
	}
	t.Run("the smallest over several answers", func(t *testing.T) {
		w := new(world).on("mx.example.org A", secure(data(mxToB))).on("b.example.net A", secure(data(bA)))
		a, _ := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
		if d := a.Expires.Sub(testNow); d != 200*time.Second {
			t.Errorf("expires after %v", d)
		}
	})
}

func TestStubTypes(t *testing.T) {
	t.Run("a question for CNAME follows nothing", func(t *testing.T) {
		w := new(world).on("mx.example.org CNAME", secure(data(mxToB)))
		a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeCNAME))
		if want := "mx.example.org data secure 0162076578616d706c65036e657400"; brief(a, err) != want {
			t.Errorf("got %s", brief(a, err))
		}
	})
	t.Run("TXT and MX data", func(t *testing.T) {
		w := new(world).on("example.org MX", secure(data("example.org. 5 IN MX 10 MX.Example.ORG."))).
			on("example.org TXT", data(`example.org. 5 IN TXT "a" "b c"`))
		a, err := stub(t, w).Resolve(t.Context(), question(t, "example.org", dnssec.TypeMX))
		if err != nil {
			t.Fatal(err)
		}
		mx, err := a.Records[0].MX()
		if err != nil || mx.Preference != 10 || mx.Host != name(t, "mx.example.org") {
			t.Errorf("%v %v", mx, err)
		}
		a, err = stub(t, w).Resolve(t.Context(), question(t, "example.org", dnssec.TypeTXT))
		if err != nil {
			t.Fatal(err)
		}
		if txt, err := a.Records[0].TXT(); err != nil || !slices.Equal(txt, []string{"a", "b c"}) {
			t.Errorf("%q %v", txt, err)
		}
	})
	t.Run("no name", func(t *testing.T) {
		a, err := stub(t, new(world)).Resolve(t.Context(), dnssec.Question{Type: dnssec.TypeA})
		if !errors.Is(err, dnssec.ErrMalformed) || a.Status != dnssec.Indeterminate {
			t.Errorf("%s", brief(a, err))
		}
	})
}

func TestStubErrorEvidence(t *testing.T) {
	w := new(world).on("mx.example.org A", secure(data(mxToB))).
		on("b.example.net A", ede(rcode(2, data()), 9, "no keys\x1b[31m"))
	a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
	var le *dnssec.LookupError
	if !errors.As(err, &le) {
		t.Fatal(err)
	}
	want := dnssec.LookupError{
		Question: question(t, "mx.example.org", dnssec.TypeA),
		Kind:     dnssec.ErrBogus,
		Reason: dnssec.Reason{Code: dnssec.ReasonUpstreamBogus, Name: name(t, "b.example.net"), Type: dnssec.TypeA, EDE: 9,
			Text: `the resolver says that validation of b.example.net A fails (extended error 9): no keys\x1b[31m`},
		Server: "world",
		EDE:    []dnssec.ExtendedError{{Code: 9, Text: `no keys\x1b[31m`}},
	}
	if d := cmp.Diff(want, *le, cmp.Comparer(func(a, b rfc6125.Name) bool { return a == b }), cmpopts.EquateErrors()); d != "" {
		t.Error(d)
	}
	if len(a.Chain) != 1 || a.Status != dnssec.Bogus || a.Reason != want.Reason || a.FirstStatus() != dnssec.Secure {
		t.Errorf("beside the error: %s", brief(a, nil))
	}
}

func TestStubNamesTheServer(t *testing.T) {
	mx := name(t, "mx.example.org")
	for what, tt := range map[string]struct {
		r    response
		want string
	}{
		"malformed":   {response{raw: []byte("junk")}, "world"},
		"refused":     {rcode(5, data()), "world"},
		"alias loop":  {data("mx.example.org. 1 IN CNAME mx.example.org."), "world"},
		"timeout":     {failing(dnssec.ErrTimeout), ""},
		"unreachable": {failing(dnssec.ErrUnreachable), ""},
	} {
		_, err := stub(t, new(world).on("mx.example.org A", tt.r)).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
		var le *dnssec.LookupError
		if !errors.As(err, &le) || le.Server != tt.want || le.Reason.Name != mx {
			t.Errorf("%s: %#v", what, le)
		}
	}
	// Later silence does not blame the server that answered before.
	w := new(world).on("mx.example.org A", secure(data(mxToB))).on("b.example.net A", failing(dnssec.ErrTimeout))
	_, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
	var le *dnssec.LookupError
	if !errors.As(err, &le) || le.Server != "" || le.Reason.Name != name(t, "b.example.net") {
		t.Errorf("%#v", le)
	}
}

func TestStubShowsForeignTextSafely(t *testing.T) {
	long := strings.Repeat("x", 500)
	w := new(world).on("mx.example.org A", ede(rcode(5, data()), 18, `a\b`+"\x7f\n"+long))
	_, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
	var le *dnssec.LookupError
	if !errors.As(err, &le) || len(le.EDE) != 1 || le.EDE[0].Code != 18 {
		t.Fatalf("%v", err)
	}
	if s := le.EDE[0].Text; !strings.HasPrefix(s, `a\\b\x7f\nxxx`) || len(s) != 160+len(`\x7fn`)+len("...") || !strings.HasSuffix(s, "x...") {
		t.Errorf("%d octets: %q", len(s), s)
	}
}

func TestStubReasonNamesWhatDecided(t *testing.T) {
	w := new(world).on("mx.example.org A", data(mxToB, bToC, cA)).
		on("mx.example.org CNAME", secure(data(mxToB))).on("b.example.net CNAME", data(bToC))
	a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
	if err != nil || a.Reason.Code != dnssec.ReasonADClear || a.Reason.Name != name(t, "b.example.net") || a.Reason.Type != dnssec.TypeCNAME {
		t.Errorf("%+v %v", a.Reason, err)
	}
	if a.FirstStatus() != dnssec.Secure {
		t.Error("DANE7672-2.1.3-04: the status of the first alias is lost")
	}
	w = new(world).on("mx.example.org A", secure(data(mxA)))
	if a, _ := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA)); a.Reason != (dnssec.Reason{}) || a.Server != "world" {
		t.Errorf("%+v of %q", a.Reason, a.Server)
	}
}

func TestStubManyIterations(t *testing.T) {
	denial := soa(data(), exampleSOA)
	for _, tt := range []struct {
		name string
		r    response
		want dnssec.ReasonCode
	}{
		{"NSEC3-9276-3.2-03 insecure by iterations", ede(denial, 27, ""), dnssec.ReasonNSEC3Iterations},
		{"another extended error", ede(denial, 3, ""), dnssec.ReasonADClear},
		{"data needs no denial", ede(data(mxA), 27, ""), dnssec.ReasonADClear},
		{"secure all the same", secure(ede(denial, 27, "")), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := new(world).on("mx.example.org A", tt.r)
			a, err := stub(t, w).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
			if err != nil || a.Reason.Code != tt.want || (a.Reason.EDE == 27) != (tt.want == dnssec.ReasonNSEC3Iterations) {
				t.Errorf("%+v %v", a.Reason, err)
			}
		})
	}
}

// open is an upstream whose path is not protected, or which cannot tell.
type open struct{ w *world }

func (o open) Exchange(ctx context.Context, q []byte) (dnssec.Response, error) {
	return o.w.Exchange(ctx, q)
}

type unprotected struct{ open }

func (unprotected) ProtectedPath() bool { return false }

func TestStubProtectedPath(t *testing.T) {
	w := new(world).on("mx.example.org A", secure(data(mxA)))
	for what, up := range map[string]dnssec.Upstream{"unknown": open{w}, "open": unprotected{open{w}}} {
		for _, id := range []string{"TLSA6698-4.1-03", "DNSSEC4035-4.6-02"} {
			t.Run(id+" AD over a path that is "+what, func(t *testing.T) {
				if _, err := dnssec.NewStub(dnssec.StubConfig{Upstream: up}); !errors.Is(err, dnssec.ErrUnprotectedPath) {
					t.Errorf("got %v", err)
				}
				s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: up, TrustPath: true})
				if err != nil {
					t.Fatal(err)
				}
				if a, err := s.Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA)); err != nil || a.Status != dnssec.Secure {
					t.Errorf("with the operator's word: %s", brief(a, err))
				}
			})
		}
	}
	if _, err := dnssec.NewStub(dnssec.StubConfig{TrustPath: true}); err == nil || errors.Is(err, dnssec.ErrUnprotectedPath) {
		t.Errorf("a stub without an upstream: %v", err)
	}
}

func TestCheckValidating(t *testing.T) {
	key := ". 3600 IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3"
	servfail := rcode(2, data())
	tests := []struct {
		name string
		w    *world
		kind error
		text string
	}{
		{"validates", new(world).on(". DNSKEY", secure(data(key))), nil, ""},
		{"AD clear", new(world).on(". DNSKEY", data(key)), dnssec.ErrNotValidating, "world gives the keys of the root without the AD bit"},
		{"strips", new(world).on(". DNSKEY", secure(data())), dnssec.ErrNotValidating, "world gives no keys of the root"},
		{"wrong anchor", new(world).on(". DNSKEY", servfail).on(". DNSKEY +cd", data(key)), dnssec.ErrRootRejected, "rejects the keys of the root"},
		{"wrong anchor, and says so", new(world).on(". DNSKEY", ede(servfail, 6, "")), dnssec.ErrRootRejected, "rejects the keys of the root"},
		{"no network there", new(world).on(". DNSKEY", servfail).on(". DNSKEY +cd", servfail), dnssec.ErrServFail, ""},
		{"accident", new(world).on(". DNSKEY", servfail, secure(data(key))).on(". DNSKEY +cd", data(key)), nil, ""},
		{"refuses", new(world).on(". DNSKEY", rcode(5, data())), dnssec.ErrRefused, "world"},
		{"silent", new(world).on(". DNSKEY", failing(dnssec.ErrTimeout)), dnssec.ErrTimeout, ""},
		{"referral", new(world).on(". DNSKEY", soa(data(), ". 5 IN NS a.root-servers.net.")), dnssec.ErrRefused, "world"},
		{"NXDOMAIN", new(world).on(". DNSKEY", rcode(3, data())), dnssec.ErrRefused, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := dnssec.CheckValidating(t.Context(), tt.w)
			if tt.kind == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, tt.kind) || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, dnssec.ErrLookup) == errors.Is(err, dnssec.ErrNotValidating) {
				t.Errorf("%v is both or neither", err)
			}
		})
	}
}

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
