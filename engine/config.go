package engine

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Config of an [Engine]. Resolver is required.
type Config struct {
	Resolver dnssec.Resolver
	// DNSLimits bound what the DNS lookups for one plan may cost, with the time that they
	// may take (30 s by default); each host may spend a quarter of it. Zero fields mean
	// [dnssec.DefaultLimits].
	DNSLimits dnssec.Limits
	// STS answers for MTA-STS; nil: MTA-STS is not looked at (as if every domain had
	// no policy), which only suits the levels dane and dane-only. A nil *sts.Client is an
	// error, since it may have been meant to look.
	STS STSClient
	// AwaitSTS has plans wait for MTA-STS even where DANE alone decides, for those who
	// want to see all there is rather than send (row S12). What they see then does not
	// depend on which answer comes first.
	AwaitSTS bool
	// Roots are the WebPKI anchors for the methods mta-sts and pkix; nil: the system's, read
	// by New. Where the system has none, no certificate is trusted.
	Roots *pkix.Roots
	// OwnHosts and OwnAddresses are the names and addresses of this MTA, for loop
	// detection (M10). Nil: loops are not seen.
	OwnHosts     []rfc6125.Host
	OwnAddresses []netip.Addr
	// Exceptions returns the exceptions in force; it is called for every plan that is made,
	// so that a set can be replaced. Nil: there are none. A plan that is kept keeps the
	// exceptions that it was made with, until the first of them ends.
	Exceptions func() *exception.Set
	// Memory remembers what domains once proved, and notices when they fall back. Nil,
	// also a nil *memory.Memory: nothing is remembered but MTA-STS policies, as the RFCs have
	// it.
	Memory Memory
	// CachedPlans is how many plans are kept until what they rest on ends; 0 means
	// [DefaultCachedPlans], less than 0 none.
	CachedPlans int
	// CachedPlanBytes bounds the memory of the kept plans; 0 means
	// [DefaultCachedPlanBytes], less than 0 none are kept. One plan takes at most a small
	// part of it: a larger one is made again each time.
	CachedPlanBytes int64
	// Sessions is where [Attempt.TLSConfig] keeps TLS sessions, under keys that no
	// other plan shares (section 7). Nil: sessions are not resumed.
	Sessions tls.ClientSessionCache
	// Shuffle orders hosts of one preference; nil: math/rand/v2. For tests that want
	// a known order ([Request].Sorted is for people who do).
	Shuffle func(n int, swap func(i, j int))
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: discard
	Trace   *Trace           // observer callbacks; nil: none
}

// An STSClient is what the engine asks of MTA-STS; [sts.Client] is one.
type STSClient interface {
	// Lookup says what policy applies to the domain now. When ctx ends before a fetch
	// that it began, or the fetch takes longer than the client waits, it returns at once
	// with Pending set, and the fetch goes on.
	Lookup(ctx context.Context, domain rfc6125.Host) sts.Result
	// Cached returns the unexpired cached policy without asking anybody.
	Cached(ctx context.Context, domain rfc6125.Host) (sts.Result, bool)
}

// A Memory is what the engine asks of the memory of domains; [memory.Memory] is one.
type Memory interface {
	// Policy returns what a drop does, and for how long.
	Policy() memory.Policy
	// Recall returns what is remembered of a domain with mail hosts on a port; the zero
	// Past if nothing is. LearnPlan takes forgets.
	Recall(ctx context.Context, domain rfc6125.Host, port uint16) (p memory.Past, forgets uint64, err error)
	// LearnPlan remembers what a plan found, without waiting for a write. It returns false
	// if it does not, because too much waits to be written or the domain was forgotten in
	// the meantime.
	LearnPlan(domain rfc6125.Host, u memory.Update, forgets uint64) bool
	// LearnTLS remembers whether a host spoke TLS, without waiting for a write. lost may be
	// called later with a drop that is new.
	LearnTLS(domain rfc6125.Host, port uint16, s memory.Sighting, lost func(memory.Drop))
}

// An Engine plans and decides. It may be used by many goroutines at once. It owns no
// goroutine beyond the calls that it is in.
type Engine struct {
	c     Config
	roots *pkix.Roots
	// rootsErr is why there are no roots; nil if there are.
	rootsErr error
	plans    *planCache // nil: no plan is kept
	uses     exceptionUses
}

// New checks c and returns an engine. The error names every field at fault. It
// starts no goroutine.
func New(c Config) (*Engine, error) {
	var errs []error
	if isNil(c.Resolver) {
		errs = append(errs, fault.New("engine", "Config.Resolver is missing"))
	}
	if c.STS != nil && isNil(c.STS) {
		errs = append(errs, fault.New("engine", "Config.STS holds a nil pointer"))
	}
	for _, h := range c.OwnHosts {
		if !h.IsValid() {
			errs = append(errs, fault.New("engine", "Config.OwnHosts holds an empty name"))
			break
		}
	}
	for _, a := range c.OwnAddresses {
		if !a.IsValid() {
			errs = append(errs, fault.New("engine", "Config.OwnAddresses holds an invalid address"))
			break
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if isNil(c.Memory) {
		c.Memory = nil
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Trace == nil {
		c.Trace = &Trace{}
	}
	e := &Engine{c: c, uses: exceptionUses{byID: map[string]*exception.Use{}}}
	if e.roots = c.Roots; c.Roots == nil {
		e.roots, e.rootsErr = pkix.SystemRoots()
	}
	c.CachedPlans = cmp.Or(c.CachedPlans, DefaultCachedPlans)
	c.CachedPlanBytes = cmp.Or(c.CachedPlanBytes, DefaultCachedPlanBytes)
	if c.CachedPlans > 0 && c.CachedPlanBytes > 0 {
		cache, err := newPlanCache(c.CachedPlans, c.CachedPlanBytes, c.Shuffle)
		if err != nil {
			return nil, fault.Errorf("engine", "%w", err)
		}
		e.plans = cache
	}
	return e, nil
}

// isNil reports whether an interface is nil or holds a nil pointer, as one does that was
// assigned from a nil *sts.Client or *memory.Memory.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// Trace holds observer callbacks in the manner of httptrace; each may be nil. They
// run in the goroutine that does the work, several at once for one plan, and must
// neither block nor change what they are given.
type Trace struct {
	// GotMX: the MX lookup of a next hop has ended. Literals and configured hosts
	// have none.
	GotMX func(domain rfc6125.Host, s MXState, took time.Duration)
	// GotSTS: MTA-STS has answered, or is not waited for (Pending).
	GotSTS func(r sts.Result, took time.Duration)
	// GotHost: addresses and TLSA records of a host are known.
	GotHost func(h *Host, took time.Duration)
	// Spent: the DNS lookups of a plan have ended, and cost so much of what they may.
	Spent func(domain rfc6125.Host, spent dnssec.Amounts, limits dnssec.Limits)
	// Planned: a plan is ready; cached says that nothing was looked up.
	Planned func(p *Plan, cached bool, took time.Duration)
	// Dropped: a domain has lost a protection that it once proved; called once for each
	// drop, for one of TLS by a goroutine of [Config].Memory.
	Dropped func(domain rfc6125.Host, d memory.Drop)
	// Excepted: an exception touched a decision; by it alone the message may go if needed.
	Excepted func(x *exception.Exception, needed bool)
	// Decided: a connection was judged, and the caller acts on it ([Engine.Record]).
	Decided func(p *Plan, host int, d *Decision)
}
