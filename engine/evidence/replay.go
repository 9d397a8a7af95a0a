package evidence

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// ErrTrustAD is wrapped by the error of [File.Replay] for evidence whose security statuses
// are reported by a resolver, and so that of the author of the file. It wraps [ErrFile].
var ErrTrustAD = fmt.Errorf("%w that proves a DNSSEC status: it was recorded with trust-ad", ErrFile)

// ReplayConfig says what is believed in a replay.
type ReplayConfig struct {
	Anchors []anchor.Anchor // trust anchors; nil: the root's built-in keys
	Roots   *pkix.Roots     // WebPKI anchors; nil: the system's
	// At is the clock; zero: the times of the file.
	At time.Time
	// AllowTrustAD takes evidence that was recorded under trust-ad, in which any DNS
	// answer is secure if the file says so. Without it such a file is an error.
	AllowTrustAD bool
}

// A Replayed is what came out.
type Replayed struct {
	Plan    *engine.Plan
	Hosts   []probe.HostResult
	Summary engine.Summary
	At      time.Time
	// Proved is what was proved again from the trust anchors and certification authorities
	// of the replay. Rests is what the verdict takes from the file without a proof:
	// the author of the file can have made it up.
	Proved, Rests []reason.Claim
	// Differences says, a line each, where it is not what the file says was concluded.
	Differences []string
	// Unasked are questions that were asked in the replay and are not in the file: it was
	// made by another version, or is not whole. They count as failed, and never let more
	// pass: a host that could have been found out more about is deferred.
	Unasked []string
	// Ignored says, a line each, which connections in the file were not judged: they went
	// to an address that is not one of the host's in the plan.
	Ignored []string
}

// Replay decides again, offline. It looks up nothing. An error wraps [ErrFile].
func (f *File) Replay(ctx context.Context, c ReplayConfig) (*Replayed, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Mode == ModeTrustAD && !c.AllowTrustAD {
		return nil, ErrTrustAD
	}
	s := &session{f: f, fixed: c.At}
	if s.roots = c.Roots; s.roots == nil {
		var err error
		if s.roots, err = pkix.SystemRoots(); err != nil {
			return nil, err
		}
	}
	r := &Replayed{At: c.At}
	if r.At.IsZero() {
		r.At = f.At
	}
	var err error
	if r.Plan, err = s.plan(ctx, c.Anchors); err != nil {
		return nil, err
	}
	defer s.close()
	if s.lacks(r.Plan) {
		s.close()
		if r.Plan, err = s.plan(ctx, c.Anchors); err != nil {
			return nil, err
		}
	}
	for i := range r.Plan.Hosts {
		shown, left, err := s.shown(r, i)
		if err != nil {
			return nil, err
		}
		at := s.at(f.hostAt(&r.Plan.Hosts[i]))
		h := probe.JudgeShown(s.engine, r.Plan, i, shown, left, at)
		if r.Plan.Hosts[i].Requirement != engine.Skip {
			h.Left = left // also where nothing was shown
		}
		r.Hosts = append(r.Hosts, h)
	}
	r.Summary = probe.Summarise(r.Plan, r.Hosts)
	r.Differences = compare(f.Verdict, VerdictOf(r.Plan, r.Hosts, r.Summary))
	r.Unasked = s.tape.missing()
	s.claims(r)
	return r, nil
}

// A session is one replay.
type session struct {
	f     *File
	fixed time.Time // the clock, if the caller has named one
	roots *pkix.Roots

	// What the file turned out to lack, see lacks.
	noAddress map[rfc6125.Name]bool
	noRecord  bool

	tape     *tape
	resolver *tapedResolver
	sts      *tapedSTS
	engine   *engine.Engine
	end      func() // nil: nothing is open
}

func (s *session) close() {
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

// at is the time of something that was recorded at t.
func (s *session) at(t time.Time) time.Time {
	switch {
	case !s.fixed.IsZero():
		return s.fixed
	case t.IsZero():
		return s.f.At
	}
	return t
}

// plan makes the plan again.
func (s *session) plan(ctx context.Context, anchors []anchor.Anchor) (*engine.Plan, error) {
	f := s.f
	req := f.Request.Request
	req.Sorted = true // [session.arrange] puts them into the order of the file
	if s.noRecord {
		req.Options.STSUndetermined = engine.STSDefer
	}
	req.Options.TLSA = f.TLSA.policy()
	s.tape = newTape(f.DNS)
	clock := newClock(s.fixed, s.at(f.Planned))
	s.tape.clock = newClock(s.fixed, clock.read())
	var source dnssec.Resolver
	var err error
	if f.Mode == ModeTrustAD {
		source, err = dnssec.NewStub(dnssec.StubConfig{Upstream: s.tape, TrustPath: true, Now: s.tape.clock.read})
	} else {
		source, err = dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: s.tape, Anchors: anchors, Now: s.tape.clock.read})
	}
	if err != nil {
		return nil, err
	}
	s.resolver = &tapedResolver{r: source, tape: s.tape, clock: clock, failing: s.noAddress, lacking: map[dnssec.Question]bool{}}
	s.sts = &tapedSTS{f: f, resolver: s.resolver, roots: s.roots, clock: clock, fixed: s.fixed}
	cfg := engine.Config{
		Resolver: s.resolver, Roots: s.roots, Now: clock.read, AwaitSTS: true, CachedPlans: -1,
		OwnHosts: f.Request.OwnHosts, OwnAddresses: f.Request.OwnAddresses,
	}
	if len(f.Request.Exceptions) > 0 {
		set, err := exception.NewSet(f.Request.Exceptions)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
		cfg.Exceptions = func() *exception.Set { return set }
	}
	if f.STS != nil || req.Level == engine.LevelSTS {
		// At that level a client is demanded, also where it is not asked (a literal).
		cfg.STS = s.sts
	}
	if cfg.Memory, s.end, err = f.Memory.open(clock.read); err != nil {
		return nil, err
	}
	p, err := s.planWith(ctx, cfg, req)
	if err != nil {
		s.close()
		if errors.Is(err, engine.ErrRequest) {
			err = fmt.Errorf("%w: %w", ErrFile, err)
		}
		return nil, err
	}
	return p, nil
}

func (s *session) planWith(ctx context.Context, cfg engine.Config, req engine.Request) (*engine.Plan, error) {
	var err error
	if s.engine, err = engine.New(cfg); err != nil {
		return nil, err
	}
	p, err := s.engine.Plan(ctx, req)
	if err != nil {
		return nil, err
	}
	if s.fixed.IsZero() && !s.f.ValidUntil.IsZero() {
		p.ValidUntil = s.f.ValidUntil
	}
	s.arrange(p.Hosts)
	return p, nil
}

// arrange puts hosts of one preference into the order of the file: that of the check was
// random, if it was made for a delivery.
func (s *session) arrange(hosts []engine.Host) {
	place := map[string]int{}
	for i, h := range s.f.Hosts {
		place[h.Host] = i + 1
	}
	slices.SortStableFunc(hosts, func(a, b engine.Host) int {
		if a.Preference != b.Preference {
			return cmp.Compare(a.Preference, b.Preference)
		}
		i, j := place[hostName(&a)], place[hostName(&b)]
		if i == 0 || j == 0 {
			return 0
		}
		return cmp.Compare(i, j)
	})
}

// lacks looks for answers that the file does not hold and without which the plan may ask
// for less than with them: those of one family of addresses of a host, where the other
// decides, and the MTA-STS record. It reports whether to plan again, with all addresses
// of such a host unknown and without taking an unknown record for none.
func (s *session) lacks(p *engine.Plan) bool {
	again := false
	for i := range p.Hosts {
		h := &p.Hosts[i]
		name := h.Name.Name()
		if h.Requirement != engine.Skip && (s.resolver.lacking[dnssec.Question{Name: name, Type: dnssec.TypeA}] || s.resolver.lacking[dnssec.Question{Name: name, Type: dnssec.TypeAAAA}]) {
			if s.noAddress == nil {
				s.noAddress = map[rfc6125.Name]bool{}
			}
			s.noAddress[name], again = true, true
		}
	}
	if p.STS.Policy == nil && s.resolver.lacking[s.sts.asked] && p.Request.Options.STSUndetermined == engine.STSProceed {
		s.noRecord, again = true, true
	}
	return again
}

// peers finds what the file says of the connections to a host.
func (f *File) peers(h *engine.Host) []Peer {
	name := hostName(h)
	for i := range f.Hosts {
		if f.Hosts[i].Host == name {
			return f.Hosts[i].Peers
		}
	}
	return nil
}

// hostAt is when a host was decided to which no connection was made.
func (f *File) hostAt(h *engine.Host) time.Time {
	name := hostName(h)
	for i := range f.Hosts {
		if f.Hosts[i].Host == name {
			return f.Hosts[i].At
		}
	}
	return time.Time{}
}

// shown lists what the addresses of a host showed, and how many of the plan's showed
// nothing. A connection to an address that is not the plan's proves nothing about the host
// and is ignored. A second one to the same address is an error, of which the file chose one,
// except one for the other kind of key after the first.
func (s *session) shown(r *Replayed, i int) (out []probe.Shown, left int, err error) {
	h := &r.Plan.Hosts[i]
	seen, other := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	cut := slices.ContainsFunc(s.f.peers(h), func(p Peer) bool { return p.ChainLeftOut })
	for _, p := range s.f.peers(h) {
		addr := p.Address.Addr()
		switch {
		case h.Requirement == engine.Skip:
			continue // no connection is judged
		case !slices.Contains(h.Addresses, addr), p.Address.Port() != h.Port:
			r.Ignored = append(r.Ignored, fmt.Sprintf("%s is not an address of %s in this plan", p.Address, hostName(h)))
			continue
		case p.OtherKey && (!seen[addr] || other[addr]), !p.OtherKey && seen[addr]:
			return nil, 0, fmt.Errorf("%w: the connections to %s are not one, or one for each kind of key", ErrFile, p.Address)
		}
		seen[addr] = true
		other[addr] = other[addr] || p.OtherKey
		if cut {
			// What a host proves at all its addresses is not known if it is not known at one.
			out = append(out, probe.Shown{At: s.at(p.At), Peer: engine.Peer{Address: p.Address, Detail: "the evidence leaves out a certificate chain of this host"}})
			continue
		}
		// What crypto/x509 does not parse is judged as the peer's other certificates are, as
		// long as it is a certificate.
		chain, err := parse(p.Chain)
		for _, c := range pkix.ReadChain(p.Chain) {
			if c.Unread(pkix.FieldStructure) != "" {
				return nil, 0, err
			}
		}
		var own *engine.OwnTLS
		if o := p.OwnTLS; o != nil {
			own = &engine.OwnTLS{Obstacle: o.Obstacle, Detail: o.Detail, Chain: o.Chain, Unproved: o.Unproved}
		}
		out = append(out, probe.Shown{At: s.at(p.At), Peer: engine.Peer{
			Handshake: p.Handshake, OwnTLS: own, OtherKey: p.OtherKey,
			Address: p.Address, Event: p.Event, Detail: p.Detail, Ending: p.Ending, Awaited: p.Awaited, Junk: p.Junk, DoubtedName: p.EHLOName, Untried: p.Untried, Injected: p.Injected, Code: p.Code,
			Chain: chain, Raw: p.Chain, RawKey: p.RawKey, TLS: p.TLS, Version: p.TLSVersion, RequireTLS: p.RequireTLS,
		}})
	}
	for _, a := range h.Addresses {
		if !seen[a] {
			left++
		}
	}
	return out, left, nil
}

// policy makes the rules about TLSA records of the check again.
func (p *TLSAPolicy) policy() (out dane.UsePolicy) {
	if p == nil {
		return out
	}
	for _, m := range p.Strength {
		out.Strength = append(out.Strength, dane.MatchingType(m))
	}
	forbidden := map[string]bool{}
	for _, sum := range p.Forbidden {
		forbidden[string(sum)] = true
	}
	out.Forbid = func(r dane.Record) string {
		if forbidden[string(digestOf(r))] {
			return "as in the check"
		}
		return ""
	}
	return out
}

// parse parses a chain; nil if crypto/x509 refuses one of its certificates.
func parse(chain [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: a certificate that cannot be read: %w", ErrFile, err)
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
		diff(who+"handshake", a.Handshake, b.Handshake)
	}
	return out
}
