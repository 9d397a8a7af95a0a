package upstream_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/rfc6125"
)

// checking is a question as a validator sends it: with CD and DO.
func checking(t testing.TB, name string, typ uint16) []byte {
	t.Helper()
	n, err := rfc6125.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Query{ID: 0x1234, Name: n, Type: typ, DO: true, CD: true}.Append(nil)
}

// sig is a signature as far as its form goes.
func sig(owner string, covered uint16) dns.RR {
	return &dns.RRSIG{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 60},
		TypeCovered: covered, Algorithm: 13, SignerName: ".", Signature: "AAAA"}
}

// resolves answers as a recursive resolver does in front of a signed root, a signed domain
// signed.test and an unsigned one unsigned.test.
func resolves(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	m.SetEdns0(1232, true)
	owner, typ := q.Question[0].Name, q.Question[0].Qtype
	switch {
	case owner == "." && typ == dns.TypeDNSKEY:
		m.Answer = append(m.Answer, dnsfake.RR(". 60 IN DNSKEY 257 3 13 AAAA"), sig(owner, typ))
	case strings.HasSuffix(owner, "unsigned.test.") && typ == dns.TypeA:
		m.Answer = append(m.Answer, dnsfake.RR(owner+" 60 IN A 192.0.2.1"))
	case typ == dns.TypeA:
		m.Answer = append(m.Answer, dnsfake.RR(owner+" 60 IN A 192.0.2.1"), sig(owner, typ))
	default:
		m.Ns = append(m.Ns, dnsfake.RR(owner+" 60 IN NSEC a. A RRSIG NSEC"), sig(owner, dns.TypeNSEC))
	}
	return m
}

// without leaves out the records of the types, and their signatures.
func without(m *dns.Msg, types ...uint16) *dns.Msg {
	keep := func(rrs []dns.RR) (out []dns.RR) {
	next:
		for _, rr := range rrs {
			for _, t := range types {
				s, signature := rr.(*dns.RRSIG)
				if rr.Header().Rrtype == t || signature && (s.TypeCovered == t) {
					continue next
				}
			}
			out = append(out, rr)
		}
		return out
	}
	m.Answer, m.Ns = keep(m.Answer), keep(m.Ns)
	return m
}

// Servers by what becomes of DNSSEC records on their way.
var (
	passesThrough = func(q *dns.Msg) *dns.Msg { return resolves(q) }
	stripsAll     = func(q *dns.Msg) *dns.Msg { return without(resolves(q), dns.TypeRRSIG, dns.TypeNSEC, dns.TypeDS) }
	stripsDenials = func(q *dns.Msg) *dns.Msg { return without(resolves(q), dns.TypeNSEC) }
	failsAll      = func(q *dns.Msg) *dns.Msg { return dnsfake.Rcode(q, dns.RcodeServerFailure, "") }
	silent        = func(*dns.Msg) *dns.Msg { return nil }
)

func serve(t *testing.T, f func(q *dns.Msg) *dns.Msg) *dnsfake.Server {
	return dnsfake.Start(t, func(r *dnsfake.Request) {
		if m := f(r.Msg); m != nil {
			r.Reply(m)
		}
	})
}

// TestStrippingServer: of several servers, one that does not pass DNSSEC records through is
// used by a validator only if no other one answers (issue 1/8, F3).
func TestStrippingServer(t *testing.T) {
	for _, tt := range []struct {
		name     string
		servers  []func(q *dns.Msg) *dns.Msg
		question string
		typ      uint16
		by       int    // who is to answer
		strips   string // what is known of the servers then
	}{
		{"stripped data of a signed zone", parts(stripsAll, passesThrough), "mx.signed.test", dns.TypeA, 1, "[true false]"},
		{"data of an unsigned zone", parts(stripsAll, passesThrough), "mx.unsigned.test", dns.TypeA, 1, "[true false]"},
		{"a stripped denial", parts(stripsAll, passesThrough), "mx.signed.test", dns.TypeTLSA, 1, "[true false]"},
		{"a stripped denial, signatures pass", parts(stripsDenials, passesThrough), "mx.signed.test", dns.TypeTLSA, 1, "[true false]"},
		{"two that strip", parts(stripsAll, stripsDenials, passesThrough), "mx.signed.test", dns.TypeTLSA, 2, "[true true false]"},
		{"the good one first", parts(passesThrough, stripsAll), "mx.unsigned.test", dns.TypeA, 0, "[false false]"},
		{"all strip", parts(stripsAll, stripsAll), "mx.signed.test", dns.TypeA, 0, "[true true]"},
		{"one strips, the other fails", parts(stripsAll, failsAll), "mx.signed.test", dns.TypeA, 0, "[true false]"},
		{"one alone is not judged", parts(stripsAll), "mx.signed.test", dns.TypeA, 0, "[false]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var servers []*dnsfake.Server
			for _, f := range tt.servers {
				servers = append(servers, serve(t, f))
			}
			c := client(t, upstream.Config{}, servers...)
			for range 2 {
				resp, err := c.Exchange(t.Context(), checking(t, tt.question, tt.typ))
				if err != nil {
					t.Fatal(err)
				}
				if want := servers[tt.by].Addr.String(); resp.Server != want {
					t.Errorf("server %s, want %s", resp.Server, want)
				}
			}
			var strips []bool
			for _, h := range c.Health() {
				strips = append(strips, h.Strips)
			}
			if fmt.Sprint(strips) != tt.strips {
				t.Errorf("Strips is %v, want %s", strips, tt.strips)
			}
		})
	}
}

func parts[T any](list ...T) []T { return list }

// TestStrippingServerForStub: only a validator's questions are judged: a stub (CD clear) takes
// the first answer, as it must.
func TestStrippingServerForStub(t *testing.T) {
	first, second := serve(t, stripsAll), serve(t, passesThrough)
	c := client(t, upstream.Config{}, first, second)
	resp, err := c.Exchange(t.Context(), query(t, "mx.signed.test", dns.TypeA))
	if err != nil || resp.Server != first.Addr.String() || first.Requests() != 1 || second.Requests() != 0 {
		t.Errorf("%s, %v; %d and %d questions", resp.Server, err, first.Requests(), second.Requests())
	}
}

// TestJudgement: a server is asked two questions, once in five minutes, whatever number of
// questions want to know; and one that has been set right is used again.
func TestJudgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		stripping := true
		asked := map[string]int{} // by server and question
		f := &fakeNet{start: time.Now(), reply: func(addr string, q *dns.Msg) (time.Duration, *dns.Msg) {
			mu.Lock()
			defer mu.Unlock()
			asked[addr+" "+q.Question[0].Name+" "+dns.TypeToString[q.Question[0].Qtype]]++
			if addr == "192.0.2.1:53" && stripping {
				return time.Millisecond, stripsAll(q)
			}
			return time.Millisecond, passesThrough(q)
		}}
		c := fakeClient(t, f.dial)
		defer c.Close()
		ask := func(n int) (servers map[string]int) {
			servers = map[string]int{}
			clear(asked)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					resp, err := c.Exchange(context.Background(), checking(t, fmt.Sprintf("h%d.unsigned.test", i), dns.TypeA))
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					servers[resp.Server]++
				})
			}
			wg.Wait()
			return servers
		}
		if got := ask(20); got["192.0.2.2:53"] != 20 {
			t.Errorf("answers by %v", got)
		}
		// The first question finds the signatures gone, so the denials are not asked about.
		for q, want := range map[string]int{"192.0.2.1:53 . DNSKEY": 1, "192.0.2.1:53 . TLSA": 0, "192.0.2.2:53 . DNSKEY": 1, "192.0.2.2:53 . TLSA": 1} {
			if asked[q] != want {
				t.Errorf("%s asked %d times, want %d", q, asked[q], want)
			}
		}
		if got := ask(20); got["192.0.2.2:53"] != 20 || asked["192.0.2.1:53 h0.unsigned.test. A"] != 0 || asked["192.0.2.2:53 . DNSKEY"] != 0 {
			t.Errorf("answers by %v, asked %v", got, asked)
		}
		mu.Lock()
		stripping = false
		mu.Unlock()
		time.Sleep(5*time.Minute - time.Second)
		if got := ask(1); got["192.0.2.2:53"] != 1 {
			t.Errorf("before five minutes: answers by %v", got)
		}
		time.Sleep(time.Second)
		if got := ask(1); got["192.0.2.1:53"] != 1 || c.Health()[0].Strips {
			t.Errorf("after five minutes: answers by %v, %+v", got, c.Health()[0])
		}
	})
}

// TestStrippingServerBesideASilentOne: a server that strips is no substitute for one that
// passes DNSSEC records through and is slow. One that never answered is not waited for
// once it rests.
func TestStrippingServerBesideASilentOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := 5 * time.Second
		f := &fakeNet{start: time.Now(), reply: func(addr string, q *dns.Msg) (time.Duration, *dns.Msg) {
			if addr == "192.0.2.1:53" {
				return 0, stripsAll(q)
			}
			return slow, passesThrough(q)
		}}
		c := fakeClient(t, f.dial)
		defer c.Close()
		begin := time.Now()
		resp, err := c.Exchange(context.Background(), checking(t, "mx.signed.test", dns.TypeA))
		if err != nil || resp.Server != "192.0.2.2:53" || time.Since(begin) != slow {
			t.Errorf("%s, %v after %v", resp.Server, err, time.Since(begin))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNet{start: time.Now(), reply: func(addr string, q *dns.Msg) (time.Duration, *dns.Msg) {
			if addr == "192.0.2.1:53" {
				return 0, stripsAll(q)
			}
			return 0, nil
		}}
		c := fakeClient(t, f.dial)
		defer c.Close()
		for i, want := range []time.Duration{upstream.DefaultTimeout, 0} {
			begin := time.Now()
			resp, err := c.Exchange(context.Background(), checking(t, "mx.signed.test", dns.TypeA))
			if took := time.Since(begin); err != nil || resp.Server != "192.0.2.1:53" || took > want+time.Second {
				t.Errorf("question %d: %s, %v after %v", i+1, resp.Server, err, took)
			}
		}
	})
}

// fakeClient asks 192.0.2.1 and 192.0.2.2 by a dialler.
func fakeClient(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) *upstream.Client {
	t.Helper()
	first, _ := upstream.ParseServer("192.0.2.1")
	second, _ := upstream.ParseServer("192.0.2.2")
	c, err := upstream.New(upstream.Config{Servers: []upstream.Server{first, second}, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStrippingServerAlone: if there is no answer at all, the error is that of the contract.
func TestStrippingServerAlone(t *testing.T) {
	c := client(t, upstream.Config{Timeout: 3 * time.Second}, serve(t, silent), serve(t, silent))
	if _, err := c.Exchange(t.Context(), checking(t, "mx.signed.test", dns.TypeA)); err == nil {
		t.Error("an answer from nowhere")
	} else {
		only(t, err, dnssec.ErrTimeout)
	}
}
