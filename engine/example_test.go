package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// A plan says what must hold before anybody connects; the decision says whether it
// did. The program docs/examples/send has the whole of a sending MTA.
func Example() {
	resolver := dnsfake.New() // in real life a *dnssec.Validator
	resolver.Zone("example.org", dnssec.Secure)
	resolver.Add(
		"example.org. 300 IN MX 10 mx.example.org.",
		"mx.example.org. 300 IN A 192.0.2.1",
		"_25._tcp.mx.example.org. 300 IN TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	)
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	e, err := engine.New(engine.Config{Resolver: resolver, Now: func() time.Time { return now }})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := e.Plan(context.Background(), engine.Request{NextHop: "example.org"})
	if err != nil {
		log.Fatal(err)
	}
	for i, h := range plan.Hosts {
		fmt.Println(h.Name, h.Requirement, h.SNI)
		// The server was connected to, and its EHLO reply had no STARTTLS in it.
		d := e.Decide(plan, i, engine.Peer{Event: engine.NoSTARTTLS}, now)
		fmt.Println(d.Outcome, d.Deliver, explain.Decision(d).Code)
		fmt.Println(explain.Text(d.Reason))
	}
	// Output:
	// mx.example.org dane mx.example.org
	// refused false 4.7.4
	// mx.example.org does not offer STARTTLS, and the TLSA records at _25._tcp.mx.example.org require it.
}

// FuzzNextHop plans whatever an MTA may be told to route to: an error names the next
// hop, and a plan has ASCII names and a port.
func FuzzNextHop(f *testing.F) {
	for _, s := range []string{"example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]:26", "[relay.example.org]:587", "bücher.example", "[", "[]", ".", "a b", "[x]:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := dnsfake.New()
		e, err := engine.New(engine.Config{Resolver: r, Now: func() time.Time { return epoch }})
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.Plan(t.Context(), engine.Request{NextHop: s})
		if err != nil {
			if p != nil || !errors.Is(err, engine.ErrRequest) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if p.MX.Outcome == engine.OutcomeNone && len(p.Hosts) == 0 {
			t.Errorf("%q: no host and no reason", s)
		}
		for _, c := range p.Orig.String() {
			if c > 0x7f {
				t.Errorf("%q: %q", s, p.Orig)
			}
		}
		for i := range p.Hosts {
			if p.Hosts[i].Port == 0 || !p.Hosts[i].Name.IsValid() && !p.Hosts[i].Literal.IsValid() {
				t.Errorf("%q: %+v", s, p.Hosts[i])
			}
		}
	})
}
