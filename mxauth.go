// Package mxauth says whether mail to a domain would be authenticated: by DANE (RFC 7672)
// or by MTA-STS (RFC 8461), and if not, why.
//
//	client, err := mxauth.New(mxauth.Config{})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	verdict, err := client.Check(ctx, "example.org")
//	if err != nil {
//		return err
//	}
//	fmt.Println(verdict.Outcome, explain.Text(verdict.Reason))
//
// [Client.Check] connects to the mail hosts up to STARTTLS and sends no mail. A mail server
// asks [Client.Plan] before it connects, and has an [engine.Attempt] of [Client.Engine] judge
// each connection that it makes itself, as the program docs/examples/send does.
//
// The packages below can be used alone: rfc6125 (names), dnssec (lookups with a security
// status), dane, sts, tlsrpt, and engine, where they meet.
package mxauth

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/engine/memory"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// Config of a [Client]. The zero Config asks the resolvers of /etc/resolv.conf, validates
// DNSSEC from the built-in root keys, trusts the system's certification authorities for
// MTA-STS, and keeps policies in memory.
type Config struct {
	// Servers are the recursive resolvers; see [upstream.ParseServer]. Empty: those of
	// /etc/resolv.conf.
	Servers []upstream.Server
	// TrustAD believes the AD bit of the resolvers in place of validating here. It is for
	// a resolver on this machine that validates (RFC 7672 section 2.1.1).
	TrustAD bool
	// Anchors are the trust anchors of the validator; nil: the built-in keys of the root.
	Anchors []anchor.Anchor
	// Resolver replaces all of the above. The client does not close it.
	Resolver dnssec.Resolver
	// ResolverRoots are the certification authorities of resolvers asked over TLS or
	// HTTPS; nil: the system's.
	ResolverRoots *x509.CertPool

	// Record collects what a check receives, for [Client.Evidence]. It is for one check. With
	// Resolver the caller puts Record.Upstream below that. Nil: nothing is recorded.
	Record *evidence.Recorder

	// Lookups are observer callbacks of DNS lookups; the zero value observes nothing.
	Lookups dnssec.CacheTrace

	// Roots are the certification authorities for MTA-STS; nil: the system's.
	Roots *pkix.Roots
	// Store keeps MTA-STS policies. The caller closes it after the client. Nil: memory.
	// Without a store that outlives the process, an attacker who can suppress the record
	// of a domain at the first contact after a restart downgrades it (RFC 8461 section 10.2).
	Store store.Store
	// Memory remembers what domains once proved, in Store; nil: it does not.
	Memory *memory.Config
	// Policies are observer callbacks of the MTA-STS client; the zero value observes nothing.
	Policies sts.Observer
	// AwaitPolicies has each plan wait until the fetch of a policy has ended, and for MTA-STS
	// even where DANE alone decides: for programs that ask once and end, and that want the
	// same answer whatever comes first. Then Timeout 0 means [sts.DefaultWait] for a fetch.
	// False: a plan waits as long as a message may be held up, and no longer than it needs.
	AwaitPolicies bool
	// AllowAddresses are special-purpose prefixes in which policy hosts may be, besides
	// public addresses.
	AllowAddresses []netip.Prefix
	// DenyAddresses are prefixes in which policy hosts may not be, whatever is allowed.
	DenyAddresses []netip.Prefix

	// CacheBytes bounds the memory of kept DNS answers; 0: [dnssec.DefaultCacheBytes].
	CacheBytes int64
	// CachedPlans is how many plans are kept; 0: [engine.DefaultCachedPlans], less than 0: none.
	CachedPlans int

	// OwnHosts and OwnAddresses are those of this mail server, to see loops.
	OwnHosts     []rfc6125.Host
	OwnAddresses []netip.Addr
	// Exceptions returns the operator's exceptions in force; nil: there are none.
	Exceptions func() *exception.Set

	// HELO is the name said to mail hosts; "": the name of this machine.
	HELO string
	// Timeout is the longest time for one DNS answer, one policy fetch, one address of a
	// mail host; 0: the default of each.
	Timeout time.Duration
	// CheckTimeout is the longest time for all mail hosts of one domain; 0: the default of
	// [probe.Config].
	CheckTimeout time.Duration
	// Dial opens the connections to mail hosts and policy hosts; nil: a net.Dialer.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Network bounds the mail hosts' addresses that [Client.Check] connects to: "tcp4", "tcp6",
	// or "" for both. A host without such an address is deferred as [reason.NotTried].
	Network string
	// Certificates says of which mail hosts a check looks for a second certificate, with the
	// other kind of key, by one more connection; 0: of those whose certificate counts.
	Certificates probe.Certificates
	// ForOthers is for checks that others ask for, as over HTTP: of mail hosts too, only
	// public addresses are connected to, besides AllowAddresses and without DenyAddresses,
	// and what the hosts show is not remembered. False: a check is the operator's own.
	ForOthers bool

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: discard
	Trace  *engine.Trace    // observer callbacks; nil: none
}

// A Client plans and checks deliveries. It may be used by many goroutines at once.
type Client struct {
	c        Config
	upstream *upstream.Client
	cache    *dnssec.Cached
	nat64    dnssec.Resolver // nil with Config.Resolver
	policies *sts.Client
	memory   *memory.Memory
	engine   *engine.Engine
	prober   *probe.Prober
}

// New makes a client. It connects to nothing. The caller closes it after use.
func New(c Config) (_ *Client, err error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	k := &Client{c: c}
	defer func() {
		if err != nil {
			_ = k.Close()
		}
	}()
	if k.c.Resolver == nil {
		if err := k.openResolver(); err != nil {
			return nil, err
		}
	}
	if k.c.Roots == nil {
		if k.c.Roots, err = pkix.SystemRoots(); err != nil {
			return nil, fault.Errorf("mxauth", "%w", err)
		}
	}
	policies := sts.Config{Resolver: k.c.Resolver, Roots: k.c.Roots, Store: c.Store, Allow: c.AllowAddresses, Deny: c.DenyAddresses, NAT64: k.nat64,
		Observer: c.Policies, Dial: c.Dial, Timeout: c.Timeout, Now: c.Now, Logger: c.Logger}
	if c.AwaitPolicies {
		policies.Timeout = cmp.Or(c.Timeout, sts.DefaultWait)
		policies.Wait = policies.Timeout
	}
	k.policies, err = sts.NewClient(policies)
	if err != nil {
		return nil, fault.Errorf("mxauth", "%w", err)
	}
	if c.Memory != nil {
		m := *c.Memory
		m.Store, m.Now, m.Logger = c.Store, c.Now, c.Logger
		if k.memory, err = memory.New(m); err != nil {
			return nil, fault.Errorf("mxauth", "%w", err)
		}
	}
	var asked engine.STSClient = k.policies
	if c.Record != nil {
		asked = c.Record.STS(k.policies)
	}
	k.engine, err = engine.New(engine.Config{Resolver: k.c.Resolver, DNSLimits: dnssec.Limits{Time: max(dnssec.DefaultPlanTime, 3*c.Timeout)},
		STS: asked, AwaitSTS: c.AwaitPolicies, Exceptions: c.Exceptions, Memory: k.memory, Roots: k.c.Roots,
		OwnHosts: c.OwnHosts, OwnAddresses: c.OwnAddresses, CachedPlans: c.CachedPlans, Now: c.Now, Logger: c.Logger, Trace: c.Trace})
	if err != nil {
		return nil, fault.Errorf("mxauth", "%w", err)
	}
	k.prober = probe.New(probe.Config{Dial: c.Dial, HELO: c.HELO, Timeout: c.Timeout, PlanTimeout: c.CheckTimeout, Network: c.Network, Certificates: c.Certificates,
		PublicOnly: c.ForOthers, AllowAddresses: c.AllowAddresses, DenyAddresses: c.DenyAddresses, Logger: c.Logger})
	return k, nil
}

// openResolver puts upstream, validator or stub, and cache on top of each other.
func (k *Client) openResolver() (err error) {
	c := &k.c
	servers := c.Servers
	if len(servers) == 0 {
		if servers, _, err = upstream.System(""); err != nil {
			return fault.Errorf("mxauth", "%w", err)
		}
	}
	if k.upstream, err = upstream.New(upstream.Config{Servers: servers, SignedZone: anchor.SignedZone(c.Anchors), Timeout: c.Timeout, RootCAs: c.ResolverRoots, Logger: c.Logger}); err != nil {
		return fault.Errorf("mxauth", "%w", err)
	}
	// What it says can only refuse, so the way to the resolver need not be protected.
	nat64, err := dnssec.NewStub(dnssec.StubConfig{Upstream: k.upstream, TrustPath: true, Now: c.Now})
	if err != nil {
		return fault.Errorf("mxauth", "%w", err)
	}
	k.nat64 = nat64
	var up dnssec.Upstream = k.upstream
	if c.Record != nil {
		up = c.Record.Upstream(up)
	}
	var source dnssec.Resolver
	if c.TrustAD {
		source, err = dnssec.NewStub(dnssec.StubConfig{Upstream: up, TrustPath: true, Now: c.Now, Logger: c.Logger})
	} else {
		source, err = dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: up, Anchors: c.Anchors, Now: c.Now, Logger: c.Logger})
	}
	if err != nil {
		return fault.Errorf("mxauth", "%w", err)
	}
	k.cache = dnssec.NewCached(source, dnssec.CacheConfig{Bytes: c.CacheBytes, Now: c.Now, Trace: c.Lookups,
		LookupTimeout: max(dnssec.DefaultLookupTimeout, 3*c.Timeout)})
	c.Resolver = k.cache
	return nil
}

// Close ends what the client started and waits for it. It does not close Config.Store.
func (k *Client) Close() error {
	var errs []error
	if k.memory != nil {
		errs = append(errs, k.memory.Close())
	}
	if k.policies != nil {
		errs = append(errs, k.policies.Close())
	}
	if k.cache != nil {
		errs = append(errs, k.cache.Close())
	}
	if k.upstream != nil {
		errs = append(errs, k.upstream.Close())
	}
	return errors.Join(errs...)
}

// Engine is the engine below the client, for programs that connect to mail hosts
// themselves.
func (k *Client) Engine() *engine.Engine { return k.engine }

// Policies is the MTA-STS client below: its Run refreshes kept policies.
func (k *Client) Policies() *sts.Client { return k.policies }

// Memory is what the client remembers of domains; nil without [Config].Memory.
func (k *Client) Memory() *memory.Memory { return k.memory }

// Resolver answers DNS questions with a security status, from a cache; it is
// [Config].Resolver where that is set.
func (k *Client) Resolver() dnssec.Resolver { return k.c.Resolver }

// Exchange asks the recursive resolvers one question in wire form, past validator and cache.
// With [Config].Resolver there are none, and the error wraps [dnssec.ErrUnreachable].
func (k *Client) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	if k.upstream == nil {
		return dnssec.Response{}, fmt.Errorf("%w: the client has a resolver of its caller's", dnssec.ErrUnreachable)
	}
	return k.upstream.Exchange(ctx, query)
}

// Upstreams returns the state of each recursive resolver; nil with [Config].Resolver.
func (k *Client) Upstreams() []upstream.Health {
	if k.upstream == nil {
		return nil
	}
	return k.upstream.Health()
}

// CachedAnswers returns the number and bytes of the DNS answers that are kept.
func (k *Client) CachedAnswers() (entries int, bytes int64) {
	if k.cache == nil {
		return 0, 0
	}
	return k.cache.Size()
}

// Plan says what each mail host must prove, before anything is connected to. An error
// wraps [engine.ErrRequest], or is ctx's.
func (k *Client) Plan(ctx context.Context, r engine.Request) (*engine.Plan, error) {
	return k.engine.Plan(ctx, r)
}

// Check plans a delivery to domain with the default options, speaks with each mail host up
// to STARTTLS, and decides. Hosts of one preference are in the order of their names. An
// error wraps [engine.ErrRequest] where domain is not the name of one, or is ctx's.
func (k *Client) Check(ctx context.Context, domain string) (Verdict, error) {
	return k.CheckRequest(ctx, engine.Request{NextHop: domain, Sorted: true})
}

// CheckRequest is [Client.Check] for another level, other options or a smarthost. An error
// wraps [engine.ErrRequest] and names the field, or is ctx's.
func (k *Client) CheckRequest(ctx context.Context, r engine.Request) (Verdict, error) {
	p, err := k.engine.Plan(ctx, r)
	if err != nil {
		return Verdict{}, err
	}
	return k.Probe(ctx, p)
}

// Probe speaks with each host of a plan up to STARTTLS, remembers what it proved where
// [Config].Memory says so, and decides. The error is ctx's.
func (k *Client) Probe(ctx context.Context, p *engine.Plan) (Verdict, error) {
	hosts := k.prober.Hosts(ctx, k.engine, p)
	if ctx.Err() != nil {
		return Verdict{}, context.Cause(ctx)
	}
	for i := 0; i < len(hosts) && !k.c.ForOthers; i++ {
		k.engine.Remember(p, i, hosts[i].Decision)
	}
	return NewVerdict(p, hosts), nil
}

// Evidence returns what a verdict rests on, with what [Config].Record has collected, so that
// [evidence.File.Replay] comes to the same verdict offline. Nil without Config.Record.
func (k *Client) Evidence(ctx context.Context, v Verdict) *evidence.File {
	if k.c.Record == nil {
		return nil
	}
	s := evidence.Setup{Mode: evidence.ModeValidate, OwnHosts: k.c.OwnHosts, OwnAddresses: k.c.OwnAddresses, Memory: k.memory}
	if k.c.TrustAD {
		s.Mode = evidence.ModeTrustAD
	}
	return k.c.Record.File(ctx, k.c.Now(), s, v.Plan, v.Hosts, v.Summary)
}

// A Verdict is the answer for a domain: the summary, the plan that it was checked by, and
// what each host showed. The zero Verdict lets nothing pass.
type Verdict struct {
	engine.Summary
	Plan  *engine.Plan
	Hosts []probe.HostResult // as Plan.Hosts
}

// NewVerdict returns the verdict of a plan whose hosts were probed, with hosts in the order of
// Plan.Hosts. It is a pure function, which [Client.Probe] and a replay of evidence share.
func NewVerdict(p *engine.Plan, hosts []probe.HostResult) Verdict {
	return Verdict{Summary: probe.Summarise(p, hosts), Plan: p, Hosts: hosts}
}
