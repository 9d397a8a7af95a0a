// Package survey looks at a domain as a sender would, and at what a sender does not look
// at: it makes a plan, connects to every host, and asks for records that a plan leaves out.
// What it saw is a [Snapshot], of which packages lint and forecast make their findings.
package survey

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/tlsrpt"
)

// lookups bounds the hosts that are looked at side by side.
const lookups = 8

// Config of [Collect]. Engine, Prober and Resolver are required.
type Config struct {
	Engine   *engine.Engine
	Prober   *probe.Prober
	Resolver dnssec.Resolver
	// Roots are the WebPKI anchors that certificates are held against for advice; nil: no
	// finding is made about public CAs.
	Roots *pkix.Roots
	Now   func() time.Time // nil: time.Now
}

// A Snapshot is what a domain shows at one moment.
type Snapshot struct {
	Plan *engine.Plan
	// MX is the MX question itself, for records that a plan drops.
	MX    dane.Lookup
	Hosts []HostView // as Plan.Hosts
	// TLSRPT is the TLSRPT record; TLSRPTErr wraps tlsrpt.ErrNoRecord, or is a lookup
	// failure.
	TLSRPT    tlsrpt.Record
	TLSRPTErr error
	// TLSRPTFound says that TXT records are there, though none may be good.
	TLSRPTFound bool
	Roots       *pkix.Roots
	At          time.Time
}

// A HostView is what one host shows.
type HostView struct {
	Probe probe.HostResult
	// Unsigned are TLSA records that stand at the host's name in a zone that is not signed,
	// so that DANE does not apply.
	Unsigned []dane.Record
}

// lookTime is how long the lookups may take that come beside those of the plan. They wait
// for the probes of 64 hosts.
const lookTime = 5 * time.Minute

// Collect looks at a domain. An error wraps engine.ErrRequest, or is ctx's.
func Collect(ctx context.Context, c Config, domain string) (Snapshot, error) {
	if c.Engine == nil || c.Prober == nil || c.Resolver == nil {
		return Snapshot{}, errors.New("survey: engine, prober and resolver are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p, err := plan(ctx, c.Engine, domain)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Plan: p, Hosts: make([]HostView, len(p.Hosts)), Roots: c.Roots}
	budget := dnssec.NewBudget(p.Orig.String(), dnssec.Limits{Time: lookTime})
	var g errgroup.Group
	g.SetLimit(lookups)
	g.Go(func() error {
		ctx := dnssec.WithShare(ctx, budget.Share(p.Orig.String()))
		if !p.Orig.IsValid() {
			s.TLSRPTErr = tlsrpt.ErrNoRecord
			return nil
		}
		s.MX.Answer, s.MX.Err = c.Resolver.Resolve(ctx, dnssec.Question{Name: p.Orig.Name(), Type: dnssec.TypeMX})
		s.TLSRPT, s.TLSRPTErr = tlsrpt.Lookup(ctx, c.Resolver, p.Orig)
		var syntax *tlsrpt.SyntaxError
		s.TLSRPTFound = s.TLSRPTErr == nil || errors.As(s.TLSRPTErr, &syntax) || errors.Is(s.TLSRPTErr, tlsrpt.ErrSeveral)
		return nil
	})
	g.Go(func() error {
		for i, r := range c.Prober.Hosts(ctx, c.Engine, p) {
			s.Hosts[i].Probe = r
		}
		return nil
	})
	for i := range p.Hosts {
		h := &p.Hosts[i]
		g.Go(func() error {
			if h.Name.IsValid() && h.DANE.State == dane.NA {
				s.Hosts[i].Unsigned = unsigned(dnssec.WithShare(ctx, budget.Share(h.Name.String())), c.Resolver, h.Name, h.Port)
			}
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return Snapshot{}, context.Cause(ctx)
	}
	s.At = c.Now()
	return s, nil
}

// plan makes the plan that a sender makes, with the policy that such a plan may leave
// behind where DANE decides without it (row S12): a publisher wants to hear of that too.
// Only a plan that needs both waits for the policy, and it alone has the policy host's
// chain, so it is made first.
func plan(ctx context.Context, e *engine.Engine, domain string) (*engine.Plan, error) {
	both, err := e.Plan(ctx, engine.Request{NextHop: domain, Sorted: true, Options: engine.Options{DANEAndSTS: engine.Both}})
	if err != nil {
		return nil, err
	}
	p, err := e.Plan(ctx, engine.Request{NextHop: domain, Sorted: true})
	if err != nil {
		return nil, err
	}
	whole := *p
	whole.STS = both.STS
	return &whole, nil
}

// unsigned asks for TLSA records that no sender asks for (RFC 7672 section 2.2.2), to tell
// their publisher.
func unsigned(ctx context.Context, r dnssec.Resolver, h rfc6125.Host, port uint16) []dane.Record {
	owner, err := dane.Owner(h, port)
	if err != nil {
		return nil
	}
	a, err := r.Resolve(ctx, dnssec.Question{Name: owner, Type: dnssec.TypeTLSA})
	if err != nil || a.Status != dnssec.Insecure {
		return nil // signed ones at a host without an address are no fault of the zone
	}
	var out []dane.Record
	for _, rr := range a.Records {
		if rec, err := dane.RecordFromDNS(rr); err == nil {
			out = append(out, rec)
		}
	}
	return out
}
