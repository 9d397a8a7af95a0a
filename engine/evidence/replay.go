package evidence

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// ReplayConfig says what is believed in a replay.
type ReplayConfig struct {
	Anchors []anchor.Anchor // trust anchors; nil: the root's built-in keys
	Roots   *pkix.Roots     // WebPKI anchors; nil: the system's
	// At is the clock; zero: that of the file.
	At time.Time
}

// A Replayed is what came out.
type Replayed struct {
	Plan    *engine.Plan
	Hosts   []probe.HostResult
	Summary engine.Summary
	At      time.Time
	// Differences says, a line each, where it is not what the file says was concluded.
	Differences []string
	// Unasked are questions that were asked in the replay and are not in the file: it was
	// made by another version, or is not whole. They count as failed.
	Unasked []string
}

// Replay decides again, offline. It asks nobody. An error wraps [ErrFile].
func (f *File) Replay(ctx context.Context, c ReplayConfig) (*Replayed, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if c.At.IsZero() {
		c.At = f.At
	}
	now := func() time.Time { return c.At }
	req, own, err := f.request()
	if err != nil {
		return nil, err
	}
	up := newTape(f.DNS)
	var resolver dnssec.Resolver
	if f.Mode == ModeTrustAD {
		resolver, err = dnssec.NewStub(dnssec.StubConfig{Upstream: up, TrustPath: true, Now: now})
	} else {
		resolver, err = dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: up, Anchors: c.Anchors, Now: now})
	}
	if err != nil {
		return nil, err
	}
	roots := c.Roots
	if roots == nil {
		if roots, err = pkix.SystemRoots(); err != nil {
			return nil, err
		}
	}
	cfg := engine.Config{
		Resolver: resolver, Roots: roots, Now: now, AwaitSTS: true, CachedPlans: -1,
		OwnHosts: own, OwnAddresses: f.Request.OwnAddresses,
	}
	if len(f.Request.Exceptions) > 0 {
		var list []engine.Exception
		for _, x := range f.Request.Exceptions {
			list = append(list, engine.Exception(x))
		}
		set, err := engine.NewExceptions(list)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
		cfg.Exceptions = func() *engine.Exceptions { return set }
	}
	if f.STS != nil {
		cfg.STS = &tapedSTS{f.STS, resolver, roots, now}
	}
	m, end, err := f.Memory.open(now)
	if err != nil {
		return nil, err
	}
	defer end()
	cfg.Memory = m
	e, err := engine.New(cfg)
	if err != nil {
		return nil, err
	}
	r := &Replayed{At: c.At}
	if r.Plan, err = e.Plan(ctx, req); err != nil {
		if errors.Is(err, engine.ErrRequest) {
			return nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
		return nil, err
	}
	decisions := make([]engine.Decision, len(r.Plan.Hosts))
	for i := range r.Plan.Hosts {
		peers, left, err := f.peers(&r.Plan.Hosts[i])
		if err != nil {
			return nil, err
		}
		h := probe.Judge(e, r.Plan, i, peers, left, c.At)
		r.Hosts = append(r.Hosts, h)
		decisions[i] = h.Decision
	}
	r.Summary = engine.Summarise(r.Plan, decisions)
	r.Differences = compare(f.Verdict, VerdictOf(r.Plan, r.Hosts, r.Summary))
	r.Unasked = up.missing()
	return r, nil
}

// request makes the engine's request of the file's.
func (f *File) request() (engine.Request, []rfc6125.Host, error) {
	q := f.Request
	r := engine.Request{
		NextHop: q.NextHop, Smarthost: q.Smarthost, Port: q.Port, Level: q.Level, Sorted: true,
		RequireTLS: q.RequireTLS, TLSRequiredNo: q.TLSRequiredNo, NullReturnPath: q.NullReturnPath, TLSRPTReport: q.TLSRPTReport,
		Options: engine.Options{
			InsecureMX: q.Options.InsecureMX, DANEAndSTS: q.Options.DANEAndSTS, STSUndetermined: q.Options.STSUndetermined,
			RefuseMXAlias: q.Options.RefuseMXAlias, NoCNID: q.Options.NoCNID, NoClearFallback: q.Options.NoClearFallback,
			Audit: q.Options.Audit, NoAddressDefer: q.Options.NoAddressDefer, LowerAll: q.Options.LowerAll,
		},
	}
	var own []rfc6125.Host
	for _, list := range [...]struct {
		names []string
		to    *[]rfc6125.Host
	}{{q.Options.Names, &r.Options.Names}, {q.OwnHosts, &own}} {
		for _, n := range list.names {
			h, err := rfc6125.ParseHost(n)
			if err != nil {
				return r, nil, fmt.Errorf("%w: %w", ErrFile, err)
			}
			*list.to = append(*list.to, h)
		}
	}
	return r, own, nil
}

// peers finds what the file says of a host.
func (f *File) peers(h *engine.Host) ([]engine.Peer, int, error) {
	name := hostName(h)
	for _, t := range f.Hosts {
		if t.Host != name {
			continue
		}
		var out []engine.Peer
		for _, p := range t.Peers {
			chain, err := parse(p.Chain)
			if err != nil {
				return nil, 0, err
			}
			out = append(out, engine.Peer{
				Address: p.Address, Event: p.Event, Detail: p.Detail, Untried: p.Untried, Injected: p.Injected, Code: p.Code,
				Chain: chain, RawKey: p.RawKey, TLS: p.TLS, Version: p.TLSVersion, RequireTLS: p.RequireTLS,
			})
		}
		return out, t.Left, nil
	}
	return nil, 0, nil
}

func parse(chain [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: a certificate that can not be read: %w", ErrFile, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// compare lists what differs between what was concluded and what came out.
func compare(was, is Verdict) []string {
	var out []string
	diff := func(what string, a, b any) {
		if a != b {
			out = append(out, fmt.Sprintf("%s was %v and is %v", what, a, b))
		}
	}
	diff("outcome", was.Outcome, is.Outcome)
	diff("method", was.Method, is.Method)
	diff("deliver", was.Deliver, is.Deliver)
	diff("every_host", was.EveryHost, is.EveryHost)
	diff("reason", was.Reason, is.Reason)
	diff("the number of hosts", len(was.Hosts), len(is.Hosts))
	for i := 0; i < min(len(was.Hosts), len(is.Hosts)); i++ {
		a, b := was.Hosts[i], is.Hosts[i]
		who := b.Host + ": "
		diff(who+"host", a.Host, b.Host)
		diff(who+"outcome", a.Outcome, b.Outcome)
		diff(who+"method", a.Method, b.Method)
		diff(who+"requirement", a.Requirement, b.Requirement)
		diff(who+"reason", a.Reason, b.Reason)
	}
	return out
}

// A tape plays recorded messages.
type tape struct {
	mu    sync.Mutex // guards what follows
	m     map[tapeKey][]Message
	lacks map[tapeKey]bool
}

type tapeKey struct {
	name rfc6125.Name
	typ  uint16
	cd   bool
}

func newTape(all []Message) *tape {
	t := &tape{m: map[tapeKey][]Message{}, lacks: map[tapeKey]bool{}}
	for _, m := range all {
		k := tapeKey{m.Name, m.Type, m.CD}
		t.m[k] = append(t.m[k], m)
	}
	return t
}

// Exchange implements [dnssec.Upstream]. A question that was asked several times gets its
// answers in their order, and then the last one again.
func (t *tape) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	if err := ctx.Err(); err != nil {
		return dnssec.Response{}, err
	}
	q, ok := questionOf(query)
	if !ok {
		return dnssec.Response{}, fmt.Errorf("%w: no question", dnssec.ErrMalformed)
	}
	k := tapeKey{q.Name, q.Type, q.CD}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.m[k]
	if len(list) == 0 {
		t.lacks[k] = true
		return dnssec.Response{}, fmt.Errorf("%w: the evidence has no answer to this question", dnssec.ErrUnreachable)
	}
	m := list[0]
	if len(list) > 1 {
		t.m[k] = list[1:]
	}
	if m.Failed != "" {
		kind := failureKind(m.Failed)
		if kind == nil {
			kind = dnssec.ErrUnreachable
		}
		return dnssec.Response{}, kind
	}
	// Under the id that is asked with now.
	b := append([]byte(nil), m.Response...)
	if len(b) >= 2 {
		b[0], b[1] = query[0], query[1]
	}
	return dnssec.Response{Message: b, Server: m.Server}, nil
}

func (t *tape) missing() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for k := range t.lacks {
		out = append(out, dnssec.Question{Name: k.name, Type: dnssec.Type(k.typ)}.String())
	}
	slices.Sort(out)
	return out
}
