package sts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/inflight"
	"github.com/mxauth/mxauth/internal/specialaddr"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

const (
	// recordLabel precedes the domain in the name of the TXT record (RFC 8461
	// section 3.1).
	recordLabel = "_mta-sts"

	// retryTXT is when a lookup failure of the record is worth another question.
	retryTXT = time.Minute

	// maxLookup bounds the part of a lookup that goes on after its caller has left:
	// the question for the record, which the resolver bounds by itself, and then the
	// fetch with its own timeout on top.
	maxLookup = 30 * time.Second

	// DefaultWait is how long a Lookup waits for a fetch, and with it a message: most
	// policy hosts answer within a second.
	DefaultWait = 10 * time.Second

	// turnPatience is how long a fetch waits for its turns after the lookup has given up: a
	// mail server tries a deferred message again after about as long.
	turnPatience = 5 * time.Minute

	// closeTimeout bounds the last attempt to write what a store did not take.
	closeTimeout = 2 * time.Second
)

// A Client knows the policies of domains: it looks at their records, fetches,
// remembers. It may be used by many goroutines at once. Nothing is fetched or looked
// up twice at the same time for the same domain and id.
type Client struct {
	resolver  dnssec.Resolver
	roots     *pkix.Roots
	cache     *Cache
	addr      specialaddr.Rules
	nat64     *nat64Finder
	port      uint16
	dial      func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	timeout   time.Duration
	wait      time.Duration
	patience  time.Duration // of a fetch for a lookup
	checkPath func(pkix.Path) error
	observer  Observer
	now       func() time.Time
	log       *slog.Logger
	own       store.Store  // closed with the client; nil if there is none
	front     *store.Front // made by the client; nil if there is none
	hash      maphash.Seed

	turns   *turns
	flights singleflight.Group // of lookups that go on without their caller

	// life is the context of what goes on without a caller; end ends it.
	life context.Context
	end  context.CancelFunc

	calls inflight.Group // what Close waits for

	mu      sync.Mutex                  // guards updates
	updates map[updateKey]*policyUpdate // under way
}

// NewClient checks c and returns a client. It starts no goroutine. The error reports
// all that is wrong with c.
func NewClient(c Config) (*Client, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.Timeout = cmp.Or(c.Timeout, DefaultFetchTimeout)
	c.Wait = cmp.Or(c.Wait, DefaultWait)
	if c.NAT64 == nil {
		c.NAT64 = c.Resolver
	}
	if c.Port == 0 {
		c.Port = 443
	}
	if c.Dial == nil {
		var d net.Dialer
		c.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr.String())
		}
	}
	if c.Roots == nil {
		r, err := pkix.SystemRoots()
		if err != nil {
			return nil, fault.Errorf("sts", "%w", err)
		}
		c.Roots = r
	}
	var own store.Store
	var front *store.Front
	switch c.Store.(type) {
	case nil:
		m, err := store.NewMemory(store.MemoryConfig{Now: c.Now})
		if err != nil {
			return nil, err
		}
		c.Store, own = m, m
	case *store.Memory, *store.Front:
	default:
		f, err := store.NewFront(store.FrontConfig{Behind: c.Store, Now: c.Now, Logger: c.Logger})
		if err != nil {
			return nil, err
		}
		c.Store, front = f, f
	}
	cl := &Client{
		resolver: c.Resolver, roots: c.Roots, cache: newCache(c.Store, c.Now, c.Logger),
		addr:  specialaddr.Rules{Allow: slices.Clone(c.Allow), Deny: slices.Clone(c.Deny)},
		nat64: &nat64Finder{resolver: c.NAT64}, port: c.Port, dial: c.Dial, timeout: c.Timeout,
		wait: c.Wait, patience: turnPatience, updates: map[updateKey]*policyUpdate{},
		checkPath: c.CheckPath, observer: c.Observer, now: c.Now, log: c.Logger, own: own, front: front, hash: maphash.MakeSeed(),
		turns: newTurns(turnLimits{all: maxFetches, perDomain: maxFetchesPerDomain, perHost: maxFetchesPerHost, waiting: maxWaiting}),
	}
	if cl.waitsForAll() {
		cl.patience = cl.wait
	}
	cl.life, cl.end = context.WithCancel(context.Background())
	return cl, nil
}

// Cache returns the operations on what this client keeps.
func (c *Client) Cache() *Cache { return c.cache }

// Close ends what the client began and waits for it. It does not close the store that
// it was given, but tries once more to write what that did not take; the error is that of
// this attempt. Lookups that come later answer from the cache and fetch nothing.
func (c *Client) Close() error {
	c.calls.Close()
	c.end()
	c.calls.Wait()
	switch {
	case c.own != nil:
		return c.own.Close()
	case c.front != nil:
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return c.front.Sync(ctx)
	}
	return nil
}

// Cached returns the unexpired cached policy of domain without asking anybody; ok is
// false if there is none, or if the store cannot say (StoreErr). Its Row is zero: no
// record was looked for.
func (c *Client) Cached(ctx context.Context, domain rfc6125.Host) (r Result, ok bool) {
	r.Domain = domain
	k, p, err := c.cached(ctx, domain)
	r.StoreErr = err
	if p == nil {
		return r, false
	}
	r.apply(k, p, true)
	r.Until = r.Expires
	return r, true
}

// cached returns what is kept of domain; p is nil if there is no policy.
func (c *Client) cached(ctx context.Context, domain rfc6125.Host) (storedPolicy, *Policy, error) {
	k, ok, err := c.cache.get(ctx, domain)
	if err == nil && ok {
		var p *Policy
		if p, err = k.policy(domain); err == nil {
			return k, p, nil
		}
	}
	// Of a caller who has left nothing is known of the store.
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		c.storeFailed(ctx, domain, err)
	}
	return storedPolicy{}, nil, err
}

func (r *Result) apply(k storedPolicy, p *Policy, cached bool) {
	r.Policy, r.Cached, r.ID, r.Fetched, r.Expires = p, cached, k.id, k.fetched, k.expires
}

// Lookup says what policy applies to domain now: it asks for the TXT record and
// compares its id with the cached policy's; only for an id not seen (and not in
// back-off) it fetches. It never fails: what failed is in the Result.
//
// Lookup blocks until the answer is there, but waits for a fetch no longer than
// Config.Wait, and not at all for the repeated fetch of an id that has failed within the
// last hour: then the failure is the answer. When ctx ends before, it returns what is
// known. In these cases the lookup goes on under the client's own bounded context, so that
// a later Lookup finds the policy in the cache. A domain that is the zero Host has no
// policy (S1).
//
// A limit or the end of this program is no answer of the domain's (Pending, row S13).
func (c *Client) Lookup(ctx context.Context, domain rfc6125.Host) Result {
	r := Result{Domain: domain}
	if !domain.IsValid() {
		r.Row, r.TXTErr = S1, fmt.Errorf("%w: no domain", ErrNoRecord)
		return r
	}
	// Should ctx be done already, what is cached still counts.
	k, have, serr := c.cached(context.WithoutCancel(ctx), domain)
	if have != nil {
		r.apply(k, have, true)
	}
	r.StoreErr = serr

	r.Record, r.Answer, r.TXTErr = c.record(ctx, domain)
	if have != nil && (r.TXTErr == nil || errors.Is(r.TXTErr, ErrNoRecord)) {
		k = c.cache.settle(context.WithoutCancel(ctx), domain, k)
		r.apply(k, have, true)
	}
	switch {
	case r.TXTErr != nil && ctx.Err() != nil:
		c.goOn(domain)
		return c.left(ctx, r, have != nil)
	case errors.Is(r.TXTErr, ErrNoRecord):
		switch {
		case have != nil:
			r.Row = S8 // STS-3.3-10: RFC 8461 section 3.3
		case serr != nil:
			r.Row = S2
		default:
			r.Row = S1
		}
	case r.TXTErr != nil:
		if r.Row = S2; have != nil {
			r.Row = S9
		}
		if dnssec.IsShortage(r.TXTErr) {
			return c.undetermined(r, have != nil, &FetchError{Kind: ErrNoTurn, Detail: "looking up the record", Cause: r.TXTErr})
		}
	case have != nil && k.id == r.Record.ID:
		r.Row = S5
	default:
		up := c.update(domain, r.Record.ID, have != nil)
		if up == nil {
			return c.undetermined(r, have != nil, &FetchError{Kind: ErrNoTurn, Detail: "the client is closed"})
		}
		u := c.await(ctx, up)
		r.Chain = u.chain
		switch {
		case ctx.Err() != nil && u.err != nil && errors.Is(u.err, ErrPending):
			return c.left(ctx, r, have != nil)
		case u.err != nil && !errors.Is(u.err, ErrFetch):
			return c.undetermined(r, have != nil, u.err)
		case u.err != nil:
			return c.failed(r, have != nil, u)
		}
		if r.Row = S3; have != nil {
			r.Row = S6
		}
		// A policy that another process of the fleet had fetched comes from the
		// store; for this one it is new all the same.
		r.apply(u.kept, u.policy, false)
		if u.storeErr != nil {
			r.StoreErr = u.storeErr
		}
	}
	r.setUntil(c.now())
	return r
}

// failed completes a result whose fetch has failed.
func (c *Client) failed(r Result, have bool, u update) Result {
	r.FetchErr = u.err
	switch {
	case have:
		r.Row = S7
	case r.StoreErr != nil:
		r.Row = S2
	default:
		r.Row = S4 // STS-3.3-09: RFC 8461 section 3.3
	}
	r.setUntil(c.now())
	until := u.err.Until
	if until.IsZero() {
		until = c.now().Add(retryTXT) // it is being tried again
	}
	if until.Before(r.Until) {
		r.Until = until
	}
	return r
}

// undetermined completes a result for which the fetch has no outcome, by a limit or the
// end of this program or because it takes longer than anybody waits. That says nothing of
// the domain: row S13, unless a cached policy applies.
func (c *Client) undetermined(r Result, have bool, why *FetchError) Result {
	if why.Host, _ = policyHost(r.Domain); !have {
		r.Row = S13
	} else if r.Row == 0 {
		r.Row = S7
	}
	r.Pending, r.FetchErr = true, why
	r.Until = c.now()
	return r
}

// left completes the result of a caller that has left before the end.
func (c *Client) left(ctx context.Context, r Result, have bool) Result {
	r.Pending = true
	r.Row = S12
	if have {
		r.Row = S7
		if r.TXTErr != nil {
			r.Row = S9
		}
	}
	if r.TXTErr == nil {
		host, _ := policyHost(r.Domain)
		r.FetchErr = &FetchError{Host: host, Kind: ErrPending, Detail: "not waited for", Cause: context.Cause(ctx)}
	}
	r.Until = c.now()
	return r
}

// setUntil sets Until to the end of the TXT answer or of the policy, whichever is
// first.
func (r *Result) setUntil(now time.Time) {
	r.Until = now.Add(retryTXT)
	if end := r.Answer.Expires; !end.IsZero() && (r.TXTErr == nil || errors.Is(r.TXTErr, ErrNoRecord)) {
		r.Until = end
	}
	if r.Policy != nil && r.Expires.Before(r.Until) {
		r.Until = r.Expires
	}
	if r.Until.Before(now) {
		r.Until = now
	}
}

// Record asks for the TXT record of domain. The error wraps [ErrNoRecord] (known absent,
// or malformed), or else is a lookup failure. The answer is for showing to a person.
func (c *Client) Record(ctx context.Context, domain rfc6125.Host) (Record, dnssec.Answer, error) {
	return c.record(ctx, domain)
}

// record asks for the record of domain. The error wraps ErrNoRecord (known absent), or
// else says that it is not known.
func (c *Client) record(ctx context.Context, domain rfc6125.Host) (Record, dnssec.Answer, error) {
	name, err := domain.Name().Child(recordLabel) // STS-3.4-03: RFC 8461 section 3.4
	if err != nil {
		return Record{}, dnssec.Answer{}, fmt.Errorf("%w: no record can exist: %w", ErrNoRecord, err)
	}
	// STS-3.1-09: RFC 8461 section 3.1
	ans, err := c.resolver.Resolve(ctx, dnssec.Question{Name: name, Type: dnssec.TypeTXT})
	if err != nil {
		return Record{}, ans, err
	}
	if ans.Kind != dnssec.Data {
		return Record{}, ans, fmt.Errorf("%w: %s", ErrNoRecord, ans.Kind)
	}
	texts := make([]string, 0, len(ans.Records))
	for _, rec := range ans.Records {
		parts, err := rec.TXT()
		if err != nil {
			return Record{}, ans, &dnssec.LookupError{Question: ans.Question, Kind: dnssec.ErrMalformed, Server: ans.Server, Cause: err}
		}
		// RFC 8461 section 3.1 [STS-3.1-08]: joined without anything between.
		if len(parts) == 1 {
			texts = append(texts, parts[0])
		} else {
			texts = append(texts, strings.Join(parts, ""))
		}
	}
	r, err := ParseRecord(texts)
	return r, ans, err
}

// goOn does a lookup for a caller that has left.
func (c *Client) goOn(domain rfc6125.Host) {
	if !c.calls.Enter() {
		return
	}
	ch := c.flights.DoChan("look\x00"+domain.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(c.life, maxLookup)
		defer cancel()
		rec, _, err := c.record(ctx, domain)
		if err == nil {
			// That looks whether the policy of this id is there already.
			if up := c.update(domain, rec.ID, false); up != nil {
				<-up.done
			}
		}
		return nil, nil
	})
	go func() {
		defer c.calls.Leave()
		<-ch
	}()
}

func (c *Client) storeFailed(ctx context.Context, domain rfc6125.Host, err error) {
	c.log.LogAttrs(ctx, slog.LevelError, "mta-sts store failed", slog.String("domain", domain.String()), slog.String("error", err.Error()))
	if c.observer.StoreFailed != nil {
		c.observer.StoreFailed(err)
	}
}
