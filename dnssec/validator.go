package dnssec

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// A ValidatorConfig says what a [Validator] asks and believes. Only Upstream has no
// default.
type ValidatorConfig struct {
	// Upstream is the recursive resolver. It need not validate, and need not be
	// trusted; it must pass on DNSSEC records.
	Upstream Upstream
	// Anchors are the trust anchors; nil means [anchor.Root]. An empty
	// slice that is not nil means none: then every answer is insecure, by
	// [ReasonNoAnchor].
	Anchors []anchor.Anchor
	// NegativeAnchors are names that count as unsigned (RFC 7646).
	NegativeAnchors []NegativeAnchor
	// Algorithms are the signature algorithms that count; nil means
	// [proof.DefaultAlgorithms]. What is not in it makes a zone insecure if its
	// parent names nothing else, and a signature worthless otherwise: an RRset signed
	// only by an unsupported algorithm, in a zone whose DS names a supported one, is
	// bogus (RFC 6840 section 5.11).
	Algorithms proof.Algorithms
	// MaxNSEC3Iterations is the most that is computed for an NSEC3 hash; zero means
	// [DefaultMaxNSEC3Iterations], a negative number none but 0.
	MaxNSEC3Iterations int
	// Zones bounds the zones that are remembered, ZoneBytes the memory that they take; zero
	// means [DefaultZones] and [DefaultZoneBytes].
	Zones     int
	ZoneBytes int
	// MaxQueries and MaxBytes bound what one question may cost; zero means
	// [DefaultMaxQueries] and [DefaultMaxBytes]. Signatures, digests and hashes have the
	// bounds of [proof.NewBudget]. What all questions of a plan may cost is bounded by the
	// [Budget] in the context.
	MaxQueries int
	MaxBytes   int
	// UnderWay bounds the questions of all plans that are under way at the same time; zero
	// means [DefaultUnderWay].
	UnderWay int
	// ExchangeTimeout bounds one exchange; zero means [DefaultExchangeTimeout].
	ExchangeTimeout time.Duration
	// SignalAlgorithms sends the options DAU, DHU and N3U with every question (RFC
	// 6975). They help statistics of zone owners, and some middleboxes drop them, so
	// they are off by default.
	SignalAlgorithms bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger gets a line for what an administrator should see to: a revoked anchor, an
	// upstream that strips DNSSEC. Nil means none.
	Logger *slog.Logger
}

// A NegativeAnchor makes a name, and all below it, count as unsigned until a time: a
// stopgap for a zone whose signatures are known to be broken (RFC 7646). A trust
// anchor below it, or at a longer name, still holds.
type NegativeAnchor struct {
	Name   rfc6125.Name
	Reason string    // for people: why, and who says so
	Until  time.Time // the zero time means no end
}

// A Validator is a [Resolver] that proves every answer by itself, from trust anchors
// down, with the records that any recursive resolver passes on. It looks at no AD bit.
//
// It keeps the keys of zones it has proved, until their TTL or signatures end, for a few
// seconds the zones that failed, and nothing else; put a cache of answers in front of
// it. It starts no goroutine that
// outlives the call to Resolve for which it works; several calls that need the same
// message at the same time share it.
type Validator struct {
	cfg      ValidatorConfig
	points   map[rfc6125.Name]*point // anchored zones
	negative map[rfc6125.Name]NegativeAnchor
	zones    *zoneCache
	proofs   proofs
	flights  flights
	turns    *turns
	signal   wire.Signal
	revoked  revocations
}

// A point is a zone with trust anchors.
type point struct {
	zone    rfc6125.Name
	anchors []anchor.Anchor
}

// trust returns the anchors that are valid at the time.
func (p *point) trust(now time.Time) proof.Trust {
	var t proof.Trust
	for _, a := range p.anchors {
		switch {
		case !a.ValidAt(now):
		case a.DS != nil:
			t.DS = append(t.DS, *a.DS)
		default:
			t.Keys = append(t.Keys, *a.Key)
		}
	}
	return t
}

// NewValidator checks cfg and returns a Validator. All problems are reported at
// once. It does no I/O.
func NewValidator(cfg ValidatorConfig) (*Validator, error) {
	var errs []error
	if cfg.Upstream == nil {
		errs = append(errs, fault.New("dnssec", "ValidatorConfig.Upstream is nil"))
	}
	if cfg.Anchors == nil {
		cfg.Anchors = anchor.Root()
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = proof.DefaultAlgorithms()
	}
	cfg.MaxNSEC3Iterations = cmp.Or(cfg.MaxNSEC3Iterations, DefaultMaxNSEC3Iterations)
	cfg.MaxNSEC3Iterations = max(cfg.MaxNSEC3Iterations, 0)
	if cfg.MaxNSEC3Iterations > math.MaxUint16 {
		errs = append(errs, fault.Errorf("dnssec", "MaxNSEC3Iterations is %d, more than a record can say", cfg.MaxNSEC3Iterations))
	}
	for _, n := range []struct {
		name string
		p    *int
		zero int
	}{
		{"Zones", &cfg.Zones, DefaultZones}, {"ZoneBytes", &cfg.ZoneBytes, DefaultZoneBytes},
		{"MaxQueries", &cfg.MaxQueries, DefaultMaxQueries}, {"MaxBytes", &cfg.MaxBytes, DefaultMaxBytes},
		{"UnderWay", &cfg.UnderWay, DefaultUnderWay},
	} {
		if *n.p < 0 {
			errs = append(errs, fault.Errorf("dnssec", "ValidatorConfig.%s is negative", n.name))
		}
		if *n.p == 0 {
			*n.p = n.zero
		}
	}
	if cfg.ExchangeTimeout < 0 {
		errs = append(errs, fault.New("dnssec", "ValidatorConfig.ExchangeTimeout is negative"))
	}
	cfg.ExchangeTimeout = cmp.Or(cfg.ExchangeTimeout, DefaultExchangeTimeout)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	v := &Validator{
		cfg:      cfg,
		points:   make(map[rfc6125.Name]*point, len(cfg.Anchors)),
		negative: make(map[rfc6125.Name]NegativeAnchor, len(cfg.NegativeAnchors)),
	}
	for _, a := range cfg.Anchors {
		if !a.Zone.IsValid() || (a.DS == nil) == (a.Key == nil) {
			errs = append(errs, fault.Errorf("dnssec", "a trust anchor without a zone, or not of one kind: %s", a))
			continue
		}
		p := v.points[a.Zone]
		if p == nil {
			p = &point{zone: a.Zone}
			v.points[a.Zone] = p
		}
		p.anchors = append(p.anchors, a) // DNSSEC4035-4.4-01: RFC 4035 section 4.4
	}
	for _, n := range cfg.NegativeAnchors {
		if !n.Name.IsValid() {
			errs = append(errs, fault.New("dnssec", "a negative trust anchor without a name"))
			continue
		}
		v.negative[n.Name] = n
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	v.zones = newZoneCache(cfg.Zones, cfg.ZoneBytes)
	v.turns = newTurns(cfg.UnderWay)
	if cfg.SignalAlgorithms {
		// RFC 6975 section 4: what is really understood, in no order of meaning.
		for n := range 253 {
			if cfg.Algorithms[uint8(n)] != nil {
				v.signal.Algorithms = append(v.signal.Algorithms, uint8(n))
			}
		}
		v.signal.Digests = []uint8{proof.SHA1, proof.SHA256, proof.SHA384}
		v.signal.NSEC3Hashes = []uint8{1}
	}
	return v, nil
}

// Resolve implements [Resolver]. In addition to the errors of that contract, the Reason of a
// [*LookupError] distinguishes a zone that is wrong ([ErrBogus]) from an upstream that does
// not let us see ([ErrIndeterminate] with [ReasonUpstreamStrips] or
// [ReasonUpstreamCD]) and from anchors that are of no use ([ReasonNoUsableAnchor]).
func (v *Validator) Resolve(ctx context.Context, q Question) (Answer, error) {
	t := newTask(ctx, v, q)
	defer t.wait()
	a, err := t.resolve()
	if err != nil {
		v.note(err)
		return a, err
	}
	return a, nil
}

// note logs failures that an administrator can cure.
func (v *Validator) note(err *LookupError) {
	switch err.Reason.Code {
	case ReasonUpstreamStrips, ReasonUpstreamCD, ReasonNoUsableAnchor, ReasonAnchorMismatch:
		v.cfg.Logger.Warn("dnssec: cannot validate", "question", err.Question.String(),
			"reason", string(err.Reason.Code), "text", err.Reason.Text, "server", err.Server)
	}
}

// covering returns the deepest anchored zone at or above name, and the deepest
// negative anchor that holds at or above name and is not above that zone; nil for
// none.
func (v *Validator) covering(name rfc6125.Name, now time.Time) (p *point, n *NegativeAnchor) {
	for a := name; a.IsValid(); a = a.Parent() {
		if neg, ok := v.negative[a]; ok && n == nil && (neg.Until.IsZero() || now.Before(neg.Until)) {
			return v.pointAbove(a), &neg
		}
		if p := v.points[a]; p != nil {
			return p, nil
		}
	}
	return nil, nil
}

// pointAbove returns the deepest anchored zone at or above name; nil for none.
func (v *Validator) pointAbove(name rfc6125.Name) *point {
	for a := name; a.IsValid(); a = a.Parent() {
		if p := v.points[a]; p != nil {
			return p
		}
	}
	return nil
}
