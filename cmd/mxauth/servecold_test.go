package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
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
// trips that each kind of domain needs at least: with a resolver that validates, and with the
// validator, which knows the zones above the domain from a question about another:
//
//	go test ./cmd/mxauth -run '^$' -bench ServeCold -benchtime 1x
func BenchmarkServeCold(b *testing.B) {
	kinds := []struct {
		name, world string
		trips       int
	}{{"neither", "stripped-nothing", 2}, {"dane", "dane-ee", 3}, {"both", "both-ok", 3}, {"mta-sts", "sts-enforce", 5}}
	domainOf := map[string]string{}
	worlds := append(labtest.Worlds(b, "stripped-nothing", "dane-ee", "sts-enforce"), lab.World{Name: "both-ok", Domain: "both-ok.test", About: "DANE and MTA-STS",
		Zones: []lab.Zone{{Apex: "both-ok.test"}}, STS: &lab.STS{Mode: "enforce"},
		Hosts: []lab.Host{{Name: "mx.both-ok.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}}, Want: lab.Want{Outcome: "authenticated"}})
	for _, w := range worlds {
		domainOf[w.Name] = w.Domain
	}
	l := labtest.Start(b, lab.Config{Worlds: worlds})
	dial := func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		c, err := l.Dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		<-time.After(roundTrip)
		return &farConn{Conn: c}, nil
	}
	const rounds = 15
	for _, mode := range []string{modeTrustAD, modeValidate} {
		resolver, anchors := l.Resolver(), []anchor.Anchor{}
		if mode == modeValidate {
			resolver = l.Plain()
			var err error
			if anchors, err = anchor.Parse(strings.NewReader(l.TrustAnchor())); err != nil {
				b.Fatal(err)
			}
		}
		line := newResolverLine(b, resolver)
		server := benchUpstream(b, line.addr())
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				for i, k := range kinds {
					var took []float64
					for range rounds {
						client, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{server}, TrustAD: mode == modeTrustAD, Anchors: anchors, Roots: pkix.NewRoots(l.CA()),
							AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Dial: dial})
						if err != nil {
							b.Fatal(err)
						}
						a := answers.New(answers.Config{Plan: client.Plan})
						line.delay.Store(0)
						if mode == modeValidate {
							a.Answer(b.Context(), mtapolicy.Extended, domainOf[kinds[(i+1)%len(kinds)].world])
						}
						line.delay.Store(int64(roundTrip))
						begun := time.Now()
						r := a.Answer(b.Context(), mtapolicy.Extended, domainOf[k.world])
						took = append(took, time.Since(begun).Seconds())
						if r.Kind == mtapolicy.TryLater {
							b.Errorf("%s: %+v", domainOf[k.world], r)
						}
						a.Close()
						client.Close()
					}
					b.ReportMetric(median(took)/(float64(k.trips)*roundTrip.Seconds()), k.name)
				}
			}
		})
	}
}

// benchUpstream is a resolver at an address.
func benchUpstream(b *testing.B, addr string) upstream.Server {
	b.Helper()
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		b.Fatal(err)
	}
	server, err := upstream.PlainServer(to)
	if err != nil {
		b.Fatal(err)
	}
	return server
}

// BenchmarkServeColdMany measures how many cold answers a second there are with 64 questions at
// once, over round trips of 20 ms, as a part of what a program reaches that only asks the same
// resolver and policy hosts the same, in interleaved rounds. Every fourth domain has a policy.
//
//	go test ./cmd/mxauth -run '^$' -bench ServeColdMany -benchtime 1x
func BenchmarkServeColdMany(b *testing.B) {
	const domains, side, rounds = 2000, 64, 5
	w := startSurveyWorld(b, roundTrip)
	server := benchUpstream(b, w.resolver.String())
	text, err := os.ReadFile(w.ca)
	if err != nil {
		b.Fatal(err)
	}
	block, _ := pem.Decode(text)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		b.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	dial := farDialer(w.policies, roundTrip, 0)
	// rate asks about all domains, so many at once.
	rate := func(ask func(domain string) error) float64 {
		var next atomic.Int64
		var wg sync.WaitGroup
		begun := time.Now()
		for range side {
			wg.Go(func() {
				for n := next.Add(1); n <= domains; n = next.Add(1) {
					if err := ask(fmt.Sprintf("d%d.example", n-1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return domains / time.Since(begun).Seconds()
	}
	for b.Loop() {
		var alone, part []float64
		for range rounds {
			alone = append(alone, rate(func(d string) error { return askAlone(w.resolver.String(), d, pool, dial) }))
			client, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{server}, TrustAD: true, Anchors: []anchor.Anchor{}, Roots: pkix.NewRoots(ca),
				AllowAddresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Dial: dial})
			if err != nil {
				b.Fatal(err)
			}
			a := answers.New(answers.Config{Plan: client.Plan})
			var secure atomic.Int64
			own := rate(func(d string) error {
				r := a.Answer(b.Context(), mtapolicy.Extended, d)
				if r.Kind == mtapolicy.Found {
					secure.Add(1)
				}
				if r.Kind == mtapolicy.TryLater {
					return fmt.Errorf("%s: %+v", d, r)
				}
				return nil
			})
			if n := secure.Load(); n != domains/policyEvery {
				b.Errorf("%d domains with a policy, want %d", n, domains/policyEvery)
			}
			a.Close()
			client.Close()
			part = append(part, own/alone[len(alone)-1])
		}
		b.ReportMetric(median(alone), "alone/s")
		b.ReportMetric(median(part), "part")
	}
}
