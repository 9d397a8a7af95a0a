package engine_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// roundTrip is the delay of the imitated network.
const roundTrip = 20 * time.Millisecond

// A slowResolver answers after one round trip, as a resolver that knows the answer.
type slowResolver struct{ dnssec.Resolver }

func (r slowResolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	select {
	case <-time.After(roundTrip):
	case <-ctx.Done():
	}
	return r.Resolver.Resolve(ctx, q)
}

// A slowSTS takes one round trip for the record and, where there is a policy, four for
// the rest: the address of the policy host, TCP, TLS, HTTP.
type slowSTS struct{ *fakeSTS }

func (s slowSTS) Lookup(ctx context.Context, d rfc6125.Host) sts.Result {
	r := s.fakeSTS.Lookup(ctx, d)
	trips := 1
	if r.Policy != nil {
		trips = 5
	}
	select {
	case <-time.After(time.Duration(trips) * roundTrip):
		return r
	case <-ctx.Done():
		return sts.Result{Domain: d, Row: sts.S12, Pending: true}
	}
}

// cold are the kinds of domains of a cold plan, with the round trips that each may
// cost.
var cold = []struct {
	name  string
	trips int
	make  func(w *world)
}{
	{"none", 2, func(w *world) { w.dns.AddAs(dnssec.Insecure, "mx.example.org. 3600 IN A 192.0.2.1"); mxOnly(w) }},
	{"dane", 3, func(w *world) { w.signed().tlsa(noMatch) }},
	{"both", 3, func(w *world) { w.signed().tlsa(noMatch).policy("enforce", "mx.example.org") }},
	{"mta-sts", 5, func(w *world) {
		w.dns.AddAs(dnssec.Insecure, "mx.example.org. 3600 IN A 192.0.2.1")
		mxOnly(w)
		w.policy("enforce", "mx.example.org")
	}},
}

// mxOnly names ten hosts more: all are looked up together.
func mxOnly(w *world) {
	w.dns.AddAs(dnssec.Insecure, "example.org. 3600 IN MX 10 mx.example.org.")
	for _, h := range "abcdefghij" {
		w.dns.AddAs(dnssec.Insecure, "example.org. 3600 IN MX 20 "+string(h)+".example.org.")
		w.dns.AddAs(dnssec.Insecure, string(h)+".example.org. 3600 IN A 192.0.2.2")
	}
}

// TestRoundTrips counts the round trips of a cold plan by the clock of synctest, which
// moves only when everybody waits.
func TestRoundTrips(t *testing.T) {
	for _, c := range cold {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			c.make(w)
			w.cfg.Resolver, w.cfg.STS = slowResolver{w.dns}, slowSTS{w.sts}
			e := w.engine()
			start := time.Now()
			p, err := e.Plan(t.Context(), engine.Request{NextHop: "example.org"})
			if took := time.Since(start); err != nil || took != time.Duration(c.trips)*roundTrip {
				t.Errorf("%s: %v in place of %d round trips: %v", c.name, took, c.trips, err)
			}
			if pending := c.name == "both"; p.STS.Pending != pending {
				t.Errorf("%s: pending %v", c.name, p.STS.Pending)
			}
		})
	}
}

// BenchmarkColdPlan measures a cold plan over the imitated network in real time, with
// the real MTA-STS client and a real HTTPS server, beside its floor: the round trips
// that it cannot do without. own-ms is what is over the same delays one after another,
// measured in the same run: a sleep of 20 ms takes up to a millisecond longer.
func BenchmarkColdPlan(b *testing.B) {
	for _, c := range cold {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			c.make(w)
			w.dns.SetClock(func() time.Time { return epoch })
			body := ""
			if len(w.sts.results) > 0 {
				body = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 86400\r\n"
				w.dns.Add(`_mta-sts.example.org. 300 IN TXT "v=STSv1; id=1;"`, "mta-sts.example.org. 300 IN A 127.0.0.1")
			}
			port := policyServer(b, w, body)
			var spent, slept time.Duration
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				client, err := sts.NewClient(sts.Config{
					Resolver: slowResolver{w.dns}, Roots: w.roots, Port: port, Now: func() time.Time { return epoch },
					Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
					Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
						time.Sleep(roundTrip)
						var d net.Dialer
						conn, err := d.DialContext(ctx, "tcp", a.String())
						return &slowConn{Conn: conn}, err
					},
				})
				if err != nil {
					b.Fatal(err)
				}
				w.cfg.Resolver, w.cfg.STS, w.eng = slowResolver{w.dns}, client, nil
				e := w.engine()
				b.StartTimer()
				start := time.Now()
				p, err := e.Plan(b.Context(), engine.Request{NextHop: "example.org"})
				spent += time.Since(start)
				b.StopTimer()
				if err != nil || (p.Hosts[0].Requirement == engine.STS) != (c.name == "mta-sts") {
					b.Fatalf("%v: %s", err, explain.Text(p.Hosts[0].Reason))
				}
				client.Close()
				start = time.Now()
				for range c.trips {
					time.Sleep(roundTrip)
				}
				slept += time.Since(start)
				b.StartTimer()
			}
			floor := time.Duration(c.trips) * roundTrip
			mean := spent / time.Duration(b.N)
			b.ReportMetric(float64(floor)/1e6, "floor-ms")
			b.ReportMetric(float64(mean)/1e6, "ms")
			b.ReportMetric(float64(mean-floor)/1e6, "over-ms")
			b.ReportMetric(float64(spent-slept)/float64(b.N)/1e6, "own-ms")
		})
	}
}

// policyServer serves a policy over HTTPS on loopback.
func policyServer(b *testing.B, w *world, body string) uint16 {
	k := issue(b, certSpec{cn: "mta-sts.example.org", names: []string{"mta-sts.example.org"}, issuer: w.ca})
	l, err := tls.Listen("tcp", "127.0.0.1:0", serverConfig(k))
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.Write([]byte(body))
	})}
	done := make(chan struct{})
	go func() { srv.Serve(l); close(done) }()
	b.Cleanup(func() { srv.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// A slowConn delivers what answers a write one round trip later.
type slowConn struct {
	net.Conn
	mu  sync.Mutex // guards due
	due time.Time
}

func (c *slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	c.due = time.Now().Add(roundTrip)
	c.mu.Unlock()
	return n, err
}

func (c *slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	wait := time.Until(c.due)
	c.mu.Unlock()
	time.Sleep(wait)
	return n, err
}

// BenchmarkWarmPlan is a plan from the cache; the floor is a map lookup under a lock.
func BenchmarkWarmPlan(b *testing.B) {
	for name, ties := range map[string]bool{"one host": false, "two of one preference": true} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b).signed().tlsa(noMatch)
			if ties {
				w.dns.Add("example.org. 3600 IN MX 10 mx2.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2")
			}
			r := engine.Request{NextHop: "example.org"}
			w.plan(r)
			e, ctx := w.engine(), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if p, err := e.Plan(ctx, r); err != nil || len(p.Hosts) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("floor", func(b *testing.B) {
		m, mu := map[string]*engine.Plan{"example.org": {}}, sync.Mutex{}
		b.ReportAllocs()
		for b.Loop() {
			mu.Lock()
			if m["example.org"] == nil {
				b.Fatal("gone")
			}
			mu.Unlock()
		}
	})
}

// BenchmarkDecide is a decision for 3 1 1 that matches; the floor is the hash.
func BenchmarkDecide(b *testing.B) {
	w, r, good := plans["dane"](b)
	p := w.plan(r)
	e := w.engine()
	b.Run("3 1 1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := e.Decide(p, 0, good, epoch); !d.Deliver {
				b.Fatal(explain.Text(d.Reason))
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = sha256.Sum256(good.Chain[0].RawSubjectPublicKeyInfo)
		}
	})
}

// TestDecideAllocations bounds what the common decision leaves to the collector.
func TestDecideAllocations(t *testing.T) {
	w, r, good := plans["dane"](t)
	p, e := w.plan(r), w.engine()
	if n := testing.AllocsPerRun(100, func() { e.Decide(p, 0, good, epoch) }); n > 3 {
		t.Errorf("%v allocations, at most 3", n)
	}
}

// TestWarmAllocations holds the plan cache to its promise.
func TestWarmAllocations(t *testing.T) {
	for name, most := range map[string]float64{"one": 0, "two": 0} {
		w := newWorld(t).signed()
		if name == "two" {
			w.dns.Add("example.org. 3600 IN MX 10 mx2.example.org.", "mx2.example.org. 3600 IN A 192.0.2.2")
		}
		r := engine.Request{NextHop: "example.org"}
		w.plan(r)
		e, ctx := w.engine(), context.Background()
		if n := testing.AllocsPerRun(100, func() { e.Plan(ctx, r) }); n > most {
			t.Errorf("%s: %v allocations, at most %v", name, n, most)
		}
	}
}

var _ dnssec.Resolver = (*dnsfake.Resolver)(nil)
