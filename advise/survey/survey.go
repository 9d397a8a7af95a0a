// Package survey looks at a domain as a sender would, and at what a sender does not look
// at: it makes a plan, connects to every host, and asks for records that a plan leaves out.
// What it saw is a [Snapshot], of which packages lint and forecast make their findings.
package survey

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// lookups bounds the hosts that are looked at side by side.
const lookups = 8

// Config of [Collect].
type Config struct {
	// Client looks and connects as a sender does. Required.
	Client *mxauth.Client
	// Roots are the WebPKI anchors that certificates are held against for advice; nil: no
	// finding is made about public CAs.
	Roots *pkix.Roots
	// Dial connects to the addresses of a policy host, to see whether each answers; nil: they
	// are not tried.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// NoConnect leaves out the connections to mail hosts: HostView.Probe is then zero. The
	// policy is fetched all the same.
	NoConnect bool
	// Allow are special-purpose prefixes in which hosts may lie.
	Allow []netip.Prefix
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
	// STSRecord and TLSRPTRecord are the TXT questions for both records.
	STSRecord, TLSRPTRecord dane.Lookup
	// PolicyHost are the address questions for the policy host: A, AAAA.
	PolicyHost [2]dane.Lookup
	// DeadPolicyHost are addresses of the policy host that do not answer on port 443 although
	// another one does.
	DeadPolicyHost []DeadAddress
	// Served is what the policy host serves, where the policy is not one that senders take:
	// nothing announces it, or it does not parse. Its Policy.Text is what was served. Nil if
	// it was not fetched, or nothing came.
	Served *sts.Fetched
	// Elsewhere are records at names where senders do not look for them.
	Elsewhere []Misplaced
	// Exists says of names that may have been meant whether they have addresses.
	Exists map[rfc6125.Host]bool
	Roots  *pkix.Roots
	At     time.Time
}

// A DeadAddress is an address that does not answer.
type DeadAddress struct {
	Address netip.AddrPort
	Err     error
}

// A Misplaced record is one that is not where senders look.
type Misplaced struct {
	Standard string // "MTA-STS" or "TLSRPT"
	Name     rfc6125.Name
	Text     string
}

// A HostView is what one host shows.
type HostView struct {
	Probe probe.HostResult
	// Unsigned are TLSA records at the host's name in a zone that is not signed,
	// so that DANE does not apply.
	Unsigned []dane.Record
	// Special are addresses of the host that are set aside for another use, with that use:
	// the rest of the Internet does not reach the host there.
	Special []SpecialAddress
}

// A SpecialAddress is one of the special-purpose registries.
type SpecialAddress struct {
	Address netip.Addr
	Use     string // "loopback", "private"
}

// lookTime bounds the lookups that are not part of the plan. They come after the probes of
// up to 64 hosts.
const lookTime = 5 * time.Minute

// Collect looks at a domain. An error wraps engine.ErrRequest, or is ctx's.
func Collect(ctx context.Context, c Config, domain string) (Snapshot, error) {
	if c.Client == nil {
		return Snapshot{}, errors.New("survey: a client is needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p, err := plan(ctx, c.Client, domain)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Plan: p, Hosts: make([]HostView, len(p.Hosts)), Roots: c.Roots}
	resolver := c.Client.Resolver()
	budget := dnssec.NewBudget(p.Orig.String(), dnssec.Limits{Time: lookTime})
	var g errgroup.Group
	g.SetLimit(lookups)
	g.Go(func() error {
		ctx, done := budget.Share(p.Orig.String()).Context(ctx)
		defer done()
		if !p.Orig.IsValid() {
			s.TLSRPTErr = tlsrpt.ErrNoRecord
			return nil
		}
		s.MX.Answer, s.MX.Err = resolver.Resolve(ctx, dnssec.Question{Name: p.Orig.Name(), Type: dnssec.TypeMX})
		s.TLSRPT, s.TLSRPTErr = tlsrpt.Lookup(ctx, resolver, p.Orig)
		var syntax *tlsrpt.SyntaxError
		s.TLSRPTFound = s.TLSRPTErr == nil || errors.As(s.TLSRPTErr, &syntax) || errors.Is(s.TLSRPTErr, tlsrpt.ErrSeveral)
		s.records(ctx, c)
		return nil
	})
	g.Go(func() error {
		s.policyHost(ctx, c)
		return nil
	})
	g.Go(func() error {
		s.exists(ctx, c)
		return nil
	})
	g.Go(func() error {
		if c.NoConnect {
			return nil
		}
		v, err := c.Client.Probe(ctx, p)
		for i, r := range v.Hosts {
			s.Hosts[i].Probe = r
		}
		return err
	})
	for i := range p.Hosts {
		h := &p.Hosts[i]
		g.Go(func() error {
			if h.Name.IsValid() && h.DANE.State == dane.NA {
				ctx, done := budget.Share(h.Name.String()).Context(ctx)
				defer done()
				s.Hosts[i].Unsigned = unsigned(ctx, resolver, h.Name, h.Port)
			}
			s.Hosts[i].Special = special(h.Addresses, c.Allow)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Snapshot{}, err
	}
	if ctx.Err() != nil {
		return Snapshot{}, context.Cause(ctx)
	}
	s.served(ctx, c)
	if err := ctx.Err(); err != nil {
		return Snapshot{}, context.Cause(ctx)
	}
	s.At = c.Now()
	return s, nil
}

// Given is the snapshot of a domain whose MX hosts are said rather than looked up. Nothing
// else is known of it.
func Given(domain rfc6125.Host, mx []rfc6125.Host, at time.Time) Snapshot {
	p := &engine.Plan{Orig: domain}
	for _, h := range mx {
		p.Hosts = append(p.Hosts, engine.Host{Name: h, Port: dane.DefaultPort})
	}
	return Snapshot{Plan: p, Hosts: make([]HostView, len(mx)), At: at}
}

// plan makes the plan that a sender makes, with the policy that such a plan may leave
// out where DANE decides without it (row S12): a publisher wants to hear of that too.
// Only a plan that needs both waits for the policy, and it alone has the policy host's
// chain, so it is made first.
func plan(ctx context.Context, c *mxauth.Client, domain string) (*engine.Plan, error) {
	both, err := c.Plan(ctx, engine.Request{NextHop: domain, Sorted: true, Options: engine.Options{DANEAndSTS: engine.Both}})
	if err != nil {
		return nil, err
	}
	p, err := c.Plan(ctx, engine.Request{NextHop: domain, Sorted: true})
	if err != nil {
		return nil, err
	}
	whole := *p
	whole.STS = both.STS
	return &whole, nil
}

// unsigned asks for TLSA records that no sender asks for (RFC 7672 section 2.2.2), to report
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
