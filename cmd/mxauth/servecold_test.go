package main

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/pkix"
)

// roundTrip is the time to the resolver and to the policy hosts, and back.
const roundTrip = 20 * time.Millisecond

// A farConn is a connection to a host that is half a round trip away: what is read comes no
// sooner than a round trip after what was written last.
type farConn struct {
	net.Conn
	wrote atomic.Int64
}

func (c *farConn) Write(b []byte) (int, error) {
	c.wrote.Store(time.Now().UnixNano())
	return c.Conn.Write(b)
}

func (c *farConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if wait := time.Until(time.Unix(0, c.wrote.Load()).Add(roundTrip)); wait > 0 {
		<-time.After(wait)
	}
	return n, err
}

// BenchmarkServeCold measures cold answers over round trips of 20 ms, as multiples of the round
// trips that each kind of domain needs at least:
//
//	go test ./cmd/mxauth -run '^$' -bench ServeCold -benchtime 1x
func BenchmarkServeCold(b *testing.B) {
	kinds := []struct {
		name, world string
		trips       int
	}{{"neither", "stripped-nothing", 2}, {"dane", "dane-ee", 3}, {"both", "both-ok", 3}, {"mta-sts", "sts-enforce", 5}}
	var worlds []lab.World
	for _, w := range lab.Worlds() {
		for i := range kinds {
			if w.Name == kinds[i].world {
				worlds = append(worlds, w)
			}
		}
	}
	worlds = append(worlds, lab.World{Name: "both-ok", Domain: "both-ok.test", About: "DANE and MTA-STS",
		Zones: []lab.Zone{{Apex: "both-ok.test"}}, STS: &lab.STS{Mode: "enforce"},
		Hosts: []lab.Host{{Name: "mx.both-ok.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}}, Want: lab.Want{Outcome: "authenticated"}})
	l, err := lab.Start(b.Context(), lab.Config{Worlds: worlds})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	line := newResolverLine(b, l.Resolver())
	line.delay.Store(int64(roundTrip))
	to, err := netip.ParseAddrPort(line.addr())
	if err != nil {
		b.Fatal(err)
	}
	server, err := upstream.PlainServer(to)
	if err != nil {
		b.Fatal(err)
	}
	dial := func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		c, err := l.Dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		<-time.After(roundTrip)
		return &farConn{Conn: c}, nil
	}
	const rounds = 15
	for b.Loop() {
		for _, k := range kinds {
			domain := ""
			for _, w := range worlds {
				if w.Name == k.world {
					domain = w.Domain
				}
			}
			var took []float64
			for range rounds {
				client, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{server}, TrustAD: true, Anchors: []anchor.Anchor{}, Roots: pkix.NewRoots(l.CA()),
					AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Dial: dial})
				if err != nil {
					b.Fatal(err)
				}
				a := answers.New(answers.Config{Plan: client.Plan})
				begun := time.Now()
				r := a.Answer(b.Context(), mtapolicy.Extended, domain)
				took = append(took, time.Since(begun).Seconds())
				if r.Kind == mtapolicy.TryLater {
					b.Errorf("%s: %+v", domain, r)
				}
				a.Close()
				client.Close()
			}
			b.ReportMetric(median(took)/(float64(k.trips)*roundTrip.Seconds()), k.name)
		}
	}
}
