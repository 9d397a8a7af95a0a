package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A stack is the packages put together as the shared flags say, ready to be asked.
// Verbs get theirs from [env.open] and close it when they are done.
type stack struct {
	*line
	dns   *resolving
	roots *pkix.Roots // of --ca-file; nil: the system's
	store store.Store
}

// close ends what the stack began, in the reverse order of its making.
func (s *stack) close() {
	if s.line != nil {
		s.line.close()
	}
	if s.store != nil {
		_ = s.store.Close() // what it could not keep it has said before
	}
	if s.dns != nil {
		s.dns.close()
	}
}

// A delivery is what a stack for check and plan has beyond the shared flags. The zero
// delivery has nothing.
type delivery struct {
	own    ownHosts           // this MTA, which plans must not lead back to
	record *evidence.Recorder // nil: what is received is not recorded
	memory *memorySetting     // nil: what domains prove is not remembered
	use    storeUse           // of --store
	// observer is told of policy fetches; its zero value hears nothing.
	observer sts.Observer
}

// A memorySetting is the setting of a [memory.Memory] over the stack's store.
type memorySetting struct {
	action memory.Action
	hold   time.Duration // 0: the default
}

// open puts a stack together as the shared flags say. Its errors are usage or
// configuration errors.
func (e *env) open(ctx context.Context) (*stack, error) { return e.openDelivery(ctx, delivery{}) }

// openSpare is open for verbs that keep nothing in the store.
func (e *env) openSpare(ctx context.Context) (*stack, error) {
	return e.openDelivery(ctx, delivery{use: storeSpare})
}

// openDelivery is open for check and plan.
func (e *env) openDelivery(ctx context.Context, d delivery) (s *stack, err error) {
	set, err := e.flags.parse()
	if err != nil {
		return nil, err
	}
	s = &stack{}
	defer func() {
		if err != nil {
			s.close()
			s = nil
		}
	}()
	if s.roots, err = e.openRoots(); err != nil {
		return s, err
	}
	set.record = d.record
	if s.dns, err = e.openResolver(ctx, set); err != nil {
		return s, err
	}
	if s.store, err = e.openStore(d.use); err != nil {
		return s, err
	}
	exceptions, err := e.exceptions(ctx)
	if err != nil {
		return s, err
	}
	s.line, err = newLine(lineConfig{
		exceptions: exceptions,
		resolver:   s.dns.resolver, roots: s.roots, store: s.store, allow: set.allow, deny: set.deny, nat64: s.dns.nat64,
		dial: e.dial, helo: set.helo, probeTime: e.flags.probeTime, timeout: e.flags.timeout, now: e.now, logger: e.logger(), delivery: d,
	})
	return s, err
}

// logger logs to standard error if --verbose is set, or as a daemon does.
func (e *env) logger() *slog.Logger {
	if e.log != nil {
		return e.log
	}
	if !e.flags.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return e.out.logger(slog.LevelDebug)
}

// openRoots reads --ca-file; nil if it is not given.
func (e *env) openRoots() (*pkix.Roots, error) {
	if e.flags.caFile == "" {
		return nil, nil
	}
	r, err := pkix.LoadRoots(e.flags.caFile)
	if err != nil {
		return nil, configError("--ca-file wants a file of PEM certificates (-----BEGIN CERTIFICATE-----)", "--ca-file: %w", err)
	}
	return r, nil
}

// A resolving is what answers DNS questions, and what lies below it.
type resolving struct {
	servers  []upstream.Server
	fromFile bool // they are those of resolv.conf
	upstream *upstream.Client
	resolver *watcher
	cache    *dnssec.Cached
	nat64    dnssec.Resolver // for RFC 7050: it asks without CD

	toldUnused bool // complain has named the servers that are not used
}

func (r *resolving) close() {
	if r.cache != nil {
		_ = r.cache.Close()
	}
	if r.upstream != nil {
		_ = r.upstream.Close()
	}
}

// openResolver makes the source of DNS answers that the flags ask for, and finds out
// whether a resolver that is to be trusted validates at all.
func (e *env) openResolver(ctx context.Context, set setting) (*resolving, error) {
	r := &resolving{servers: set.servers}
	if len(r.servers) == 0 {
		servers, _, err := upstream.System("")
		if err != nil {
			return nil, configError("name a resolver by --resolver ADDR", "%w", err)
		}
		r.servers, r.fromFile = servers, true
	}
	anchors, err := e.anchors()
	if err != nil {
		return nil, err
	}
	pool, err := e.certPool()
	if err != nil {
		return nil, err
	}
	cfg := upstream.Config{Servers: r.servers, SignedZone: signedZone(anchors), Timeout: e.flags.timeout, RootCAs: pool, Logger: e.logger()}
	if e.flags.dnssec == modeTrustAD {
		if err := e.checkTrustAD(ctx, cfg); err != nil {
			return nil, err
		}
	}
	err = r.make(cfg, resolverConfig{mode: e.flags.dnssec, anchors: anchors, now: e.now, logger: e.logger(), record: set.record})
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// signedZone is a zone that must be signed if anything is: the root, unless only other zones
// have trust anchors.
func signedZone(anchors []anchor.Anchor) rfc6125.Name {
	root := rfc6125.RootName()
	if len(anchors) == 0 || slices.ContainsFunc(anchors, func(a anchor.Anchor) bool { return a.Zone == root }) {
		return root
	}
	return anchors[0].Zone
}

// A resolverConfig says how status comes to answers.
type resolverConfig struct {
	mode    string // modeValidate or modeTrustAD
	anchors []anchor.Anchor
	now     func() time.Time
	logger  *slog.Logger
	record  *evidence.Recorder // nil: nothing is recorded
}

// make puts upstream, validator or stub, cache and watcher on top of each other.
func (r *resolving) make(cfg upstream.Config, c resolverConfig) (err error) {
	if r.upstream, err = upstream.New(cfg); err != nil {
		return err
	}
	// What it says can only refuse, so the way to the resolver need not be protected.
	if r.nat64, err = dnssec.NewStub(dnssec.StubConfig{Upstream: r.upstream, TrustPath: true, Now: c.now}); err != nil {
		return err
	}
	var source dnssec.Resolver
	var up dnssec.Upstream = r.upstream
	if c.record != nil {
		up = c.record.Upstream(up)
	}
	if c.mode == modeTrustAD {
		// The flag says so in as many words, whatever the way to the resolver is.
		source, err = dnssec.NewStub(dnssec.StubConfig{Upstream: up, TrustPath: true, Now: c.now, Logger: c.logger})
	} else {
		source, err = dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: up, Anchors: c.anchors, Now: c.now, Logger: c.logger})
	}
	if err != nil {
		return err
	}
	r.cache = dnssec.NewCached(source, dnssec.CacheConfig{Now: c.now,
		LookupTimeout: max(dnssec.DefaultLookupTimeout, 3*cfg.Timeout)})
	r.resolver = newWatcher(r.cache)
	return nil
}

// checkTrustAD asks each server for the keys of the root: one that does not validate is
// a mistake of configuration, found before it makes everything look insecure. One
// that does not answer is left to the lookups, which say what is wrong.
func (e *env) checkTrustAD(ctx context.Context, cfg upstream.Config) error {
	var g errgroup.Group
	for _, srv := range cfg.Servers {
		g.Go(func() error {
			one := cfg
			one.Servers = []upstream.Server{srv}
			c, err := upstream.New(one)
			if err != nil {
				return err
			}
			defer c.Close()
			err = dnssec.CheckValidating(ctx, c)
			switch {
			case errors.Is(err, dnssec.ErrRootRejected):
				return configError(rootRejectedCure, "%w", err)
			case errors.Is(err, dnssec.ErrNotValidating):
				return configError(notValidatingCure, "%w", err)
			}
			return nil
		})
		if !srv.IsLoopback() && !srv.IsAuthenticated() {
			e.out.Notef("trust-ad believes %s and everybody on the way to it", srv)
		}
	}
	return g.Wait()
}

// anchors reads --trust-anchor; nil, which means the root's built-in keys, if it is not
// given.
func (e *env) anchors() ([]anchor.Anchor, error) {
	if e.flags.trustAnchor == "" {
		return nil, nil
	}
	const hint = "--trust-anchor wants a file with DS or DNSKEY records of a zone file, one a line"
	f, err := os.Open(e.flags.trustAnchor)
	if err != nil {
		return nil, configError(hint, "--trust-anchor: %w", err)
	}
	defer f.Close()
	a, err := anchor.Parse(f)
	if err != nil {
		return nil, configError(hint, "--trust-anchor: %s: %w", e.flags.trustAnchor, err)
	}
	return a, nil
}

// maxPEM bounds a file of certificates; the bundles of all public CAs have 250 kB.
const maxPEM = 16 << 20

// certPool is --ca-file in the form that TLS to resolvers wants; nil, the system's, if
// it is not given.
func (e *env) certPool() (*x509.CertPool, error) {
	if e.flags.caFile == "" {
		return nil, nil
	}
	files := []string{e.flags.caFile}
	if st, err := os.Stat(e.flags.caFile); err == nil && st.IsDir() {
		if files, err = filepath.Glob(filepath.Join(e.flags.caFile, "*")); err != nil {
			return nil, configError("", "--ca-file: %w", err)
		}
	}
	pool := x509.NewCertPool()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, configError("", "--ca-file: %w", err)
		}
		b, err := io.ReadAll(io.LimitReader(f, maxPEM))
		_ = f.Close()
		if err == nil {
			pool.AppendCertsFromPEM(b)
		}
	}
	return pool, nil
}

// ownHosts are the names and addresses of this MTA.
type ownHosts struct {
	names     []rfc6125.Host
	addresses []netip.Addr
}

// A line is MTA-STS, engine and prober on top of a resolver: all that a delivery
// passes through.
type line struct {
	sts    *sts.Client
	memory *memory.Memory // nil: nothing is remembered
	engine *engine.Engine
	prober *probe.Prober
}

// A lineConfig says what a line is made of.
type lineConfig struct {
	delivery
	resolver dnssec.Resolver
	roots    *pkix.Roots
	store    store.Store
	allow    []netip.Prefix
	deny     []netip.Prefix
	nat64    dnssec.Resolver // nil: resolver
	dial     func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	timeout  time.Duration
	now      func() time.Time
	logger   *slog.Logger

	helo      string        // in EHLO; "": the name of the machine
	probeTime time.Duration // for all hosts of a domain; 0: the default

	exceptions func() *engine.Exceptions // nil: there are none
}

func newLine(c lineConfig) (*line, error) {
	if c.roots == nil {
		r, err := pkix.SystemRoots()
		if err != nil {
			return nil, configError("name a PEM file of certification authorities by --ca-file", "%w", err)
		}
		c.roots = r
	}
	// This program ends: the time that a plan waits for a policy is also the time that its
	// fetch may take, and MTA-STS is waited for in any case, so that the answer does not
	// depend on what comes first.
	wait := cmp.Or(c.timeout, sts.DefaultWait)
	policies, err := sts.NewClient(sts.Config{Resolver: c.resolver, Roots: c.roots, Store: c.store, Allow: c.allow, Deny: c.deny, NAT64: c.nat64,
		Dial: c.dial, Timeout: wait, Wait: wait, Observer: c.observer, Now: c.now, Logger: c.logger})
	if err != nil {
		return nil, err
	}
	l := &line{sts: policies, prober: probe.New(probe.Config{Dial: c.dial, HELO: c.helo, Timeout: c.timeout, PlanTimeout: c.probeTime, Logger: c.logger})}
	var client engine.STSClient = policies
	if c.record != nil {
		client = c.record.STS(policies)
	}
	var remembered engine.Memory // not a nil *memory.Memory
	if c.memory != nil {
		l.memory, err = memory.New(memory.Config{Store: c.store, Action: c.memory.action, Hold: c.memory.hold, Now: c.now, Logger: c.logger})
		if err != nil {
			l.close()
			return nil, err
		}
		remembered = l.memory
	}
	l.engine, err = engine.New(engine.Config{Resolver: c.resolver, DNSLimits: dnssec.Limits{Time: max(dnssec.DefaultLimits().Time, 3*c.timeout)}, STS: client, AwaitSTS: true, Exceptions: c.exceptions, Memory: remembered, Roots: c.roots,
		OwnHosts: c.own.names, OwnAddresses: c.own.addresses, Now: c.now, Logger: c.logger})
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *line) close() {
	if l.memory != nil {
		_ = l.memory.Close() // what it could not write it has said before
	}
	_ = l.sts.Close()
}
