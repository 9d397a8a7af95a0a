package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// MaxHosts bounds the hosts of a plan. Real MX sets hold up to some twenty; a larger
// one is cut behind this many in the order of preference, so that a hostile zone can
// not make us ask thousands of questions.
const MaxHosts = 64

// hostLookups bounds the hosts of one plan that are looked up at the same time: all of
// them, so that some whose servers are silent do not hold up the others. How many
// questions are under way is bounded by the budget of the plan.
const hostLookups = MaxHosts

// MinValid is how long a plan may be decided by at least, however soon what it rests
// on ends: an answer whose TTL is 0 may be used for the transaction in progress (RFC
// 1035 section 3.2.1), and connecting takes its time. No plan is kept in the cache
// for it.
const MinValid = time.Minute

// An MXState is the row M1 to M10 that the next hop came to.
type MXState struct {
	Row     string        // "M9"
	Status  dnssec.Status // of chain and MX (mxsec), Indeterminate where none
	Outcome Outcome       // OutcomeNone where there are hosts; else Bounced or Deferred
	Reason  Reason
	Code    string // enhanced status code of a bounce: "5.1.10"
}

// A Plan is what must hold for each host, known before connecting. It is immutable.
type Plan struct {
	Request Request
	Orig    rfc6125.Host // the next-hop as given; zero for a literal
	Exp     rfc6125.Name // after its CNAMEs
	MX      MXState
	STS     sts.Result
	Hosts   []Host // in the order to try
	// Findings are failures that concern the domain whatever its hosts do, for the
	// report: a policy that can not be fetched, a record that is gone.
	Findings []Reason
	Why      []Step
	// Past is what the domain once proved, with what this plan adds to it; nil if nothing
	// is remembered ([Config].Memory). Drops are what it has lost since.
	Past  *Past
	Drops []Drop
	// ValidUntil is the earliest end of what the plan rests on, but not sooner than
	// [MinValid] after it was made; after it a decision is Deferred (plan again).
	ValidUntil time.Time
	Made       time.Time

	ends   time.Time // the earliest end as it is; how long the plan cache keeps it
	steady bool      // nothing failed and nothing is pending: the cache may keep it
	ties   bool      // two hosts share a preference: their order is drawn anew each time
}

// A Host is one MX host of a plan.
type Host struct {
	Name        rfc6125.Host // zero for an address literal
	Literal     netip.Addr
	Preference  uint16
	Port        uint16
	Addresses   []netip.Addr
	Requirement Requirement
	// Skipped is Refused or Deferred where Requirement is Skip (or the host is
	// unusable), else OutcomeNone.
	Skipped Outcome
	// Unusable says that the host has no address, or is an alias that the options
	// refuse (rows A3, A4): no policy had a part in it.
	Unusable bool
	Reason   Reason // why this requirement
	Row      string // of the decision table, sections 2 to 5
	SNI      string // "" for a literal
	DANE     dane.Host
	// References of DANE-TA, of the STS check, and of pkix (section 6).
	DANERefs, STSRefs, PKIXRefs []rfc6125.Reference
	STSMatch                    string // the pattern that matched; "" if none
	// Report are parts that are evaluated for the report and demand nothing: a policy
	// of mode testing, MTA-STS where DANE decides, everything under TLS-Required: No.
	Report Requirement
	// Strict is what must hold to send with the REQUIRETLS parameter; Skip where that
	// is not asked or can not be (section 9).
	Strict Requirement
	// Lacks says in a clause what keeps DANE and MTA-STS from asking for more; it is
	// part of sentences where nothing is demanded.
	Lacks string
	// Waived is the reason for which the host would be skipped, had not audit mode or
	// the message's own wish let it go; zero if none.
	Waived Reason
	// Exception is the operator's exception for this host, whether it is needed or not; nil
	// if there is none.
	Exception *Exception
	// Findings are failures seen before connecting, for the report.
	Findings []Reason
	Why      []Step
}

// label is how texts call the host.
func (h *Host) label() string {
	if h.Literal.IsValid() {
		return "[" + h.Literal.String() + "]"
	}
	return h.Name.String()
}

// label is how texts call the next hop.
func (p *Plan) label() string {
	if p.Orig.IsValid() {
		return p.Orig.String()
	}
	if len(p.Hosts) > 0 {
		return p.Hosts[0].label()
	}
	return "the next hop"
}

// Plan makes the plan of one delivery. It asks DNS and MTA-STS under ctx. An error
// wraps [ErrRequest], or is ctx's.
//
// MX, TXT and the kept policy are looked up together, then the addresses of all
// hosts, each host's TLSA records as soon as its addresses are known. Where DANE
// alone decides for every host, nobody waits for the policy host: the plan says so
// (STS.Pending). A plan of the same request is kept in memory until the earliest end
// of what it rests on, unless something failed.
func (e *Engine) Plan(ctx context.Context, r Request) (*Plan, error) {
	start := e.c.Now()
	if p := e.kept(&r, start); p != nil {
		e.planned(p, true, start)
		return p, nil
	}
	p, err := e.planAnew(ctx, r, start)
	if err != nil {
		return nil, err
	}
	e.keep(p)
	e.planned(p, false, start)
	return p, nil
}

// planAnew plans without the cache of plans.
func (e *Engine) planAnew(ctx context.Context, r Request, now time.Time) (*Plan, error) {
	n, err := r.check(e.c.STS != nil)
	if err != nil {
		return nil, err
	}
	r.Options.Names = slices.Clone(r.Options.Names)
	w := &work{Engine: e, Plan: &Plan{Request: r, Orig: n.host, Made: now, steady: true}, next: n}
	w.sts = w.startSTS(ctx)
	w.startRecall(ctx)
	w.lookUp(ctx)
	w.endSTS()
	w.endRecall()
	w.spent()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	w.rule()
	w.finish()
	return w.Plan, nil
}

// planned tells the observers.
func (e *Engine) planned(p *Plan, cached bool, start time.Time) {
	if t := e.c.Trace.Planned; t != nil {
		t(p, cached, e.c.Now().Sub(start))
	}
}

// work is a plan in the making.
type work struct {
	*Engine
	*Plan
	next  nextHop
	mx    mxSec
	viaMX bool
	sts   *stsLookup // nil: MTA-STS is not looked at
	state stsState

	recall *recall // nil: the memory is not asked

	budget *dnssec.Budget // see dnsBudget
	share  *dnssec.Share  // see domainShare
}

// lookUp asks for the MX records and then for every host.
func (w *work) lookUp(ctx context.Context) {
	switch w.next.kind {
	case kindLiteral:
		w.literal()
		return
	case kindHost:
		w.configured()
	case kindDomain:
		start := w.c.Now()
		mctx, done := w.domainShare().Context(ctx)
		w.findMX(mctx)
		done()
		if t := w.c.Trace.GotMX; t != nil {
			t(w.Orig, w.MX, w.c.Now().Sub(start))
		}
	}
	if w.MX.Outcome != OutcomeNone {
		return
	}
	o := dane.DiscoverOptions{
		Port:        w.next.port,
		RefuseAlias: w.Request.Options.RefuseMXAlias,
		SkipTLSA:    w.skipsTLSA(),
		Policy:      w.Request.Options.TLSA,
	}
	var g errgroup.Group
	g.SetLimit(hostLookups)
	for i := range w.Hosts {
		h := &w.Hosts[i]
		hctx, done := w.lookupsOf(ctx, h)
		g.Go(func() error {
			defer done()
			start := w.c.Now()
			h.DANE = dane.Discover(hctx, w.c.Resolver, h.Name, o)
			h.Addresses = h.DANE.Addresses
			if t := w.c.Trace.GotHost; t != nil {
				t(h, w.c.Now().Sub(start))
			}
			return nil
		})
	}
	g.Wait() // the functions return no error
	w.dropOwnAddresses()
}

// skipsTLSA tells whether nobody looks for TLSA records (section 4).
func (w *work) skipsTLSA() bool {
	r := &w.Request
	switch {
	case !r.Level.usesDANE(), w.mx == mxNone:
		return true
	case w.mx == mxInsecure && r.Options.InsecureMX == InsecureMXMay && r.Level != LevelDANEOnly:
		return true
	}
	// A TLSRPT report goes whatever DANE says (RFC 8460 section 5.3.1); at a level
	// that does not bow to it the records are needed as ever.
	return r.TLSRPTReport && r.weakened()
}

// literal is row M1.
func (w *work) literal() {
	w.mx = mxNone
	w.MX = MXState{Row: "M1"}
	w.Hosts = []Host{{Literal: w.next.address, Port: w.next.port, Addresses: []netip.Addr{w.next.address}}}
	w.Why = append(w.Why, Step{Step: StepNextHop, Name: w.Request.NextHop, Row: "M1", RFC: "7672 s.2.2",
		Result: "an address literal: neither DANE nor MTA-STS applies"})
}

// configured is row M2.
func (w *work) configured() {
	w.mx = mxSecure
	w.Exp = w.Orig.Name()
	w.MX = MXState{Row: "M2", Status: dnssec.Secure}
	w.Hosts = []Host{{Name: w.Orig, Port: w.next.port}}
	w.Why = append(w.Why, Step{Step: StepNextHop, Name: w.Orig.String(), Row: "M2", RFC: "7672 s.2.2.2",
		Result: "a configured host: no MX lookup, its name is as good as signed"})
}

// rule combines what was found, host by host.
func (w *work) rule() {
	for i := range w.Hosts {
		w.ruleHost(&w.Hosts[i])
	}
}

// facts are those of one host.
func (w *work) facts(h *Host) facts {
	r := &w.Request
	return facts{
		level:      r.Level,
		insecureMX: r.Options.InsecureMX,
		both:       r.Options.DANEAndSTS == Both,
		stsDefer:   r.Options.STSUndetermined == STSDefer,
		names:      len(r.Options.Names) > 0,
		audit:      r.Options.Audit,
		weakened:   r.weakened(),
		requireTLS: r.RequireTLS,
		nullReturn: r.NullReturnPath,
		mx:         w.mx,
		viaMX:      w.viaMX,
		dane:       h.DANE.State,
		sts:        w.state,
		match:      h.STSMatch != "",
	}
}

// finish computes how long the plan holds and whether it may be kept.
func (w *work) finish() {
	for i := range w.Hosts {
		h := &w.Hosts[i]
		w.until(h.DANE.Expires)
		if h.Skipped == Deferred {
			w.steady = false
		}
		w.ties = w.ties || i > 0 && h.Preference == w.Hosts[i-1].Preference
	}
	if w.MX.Outcome == Deferred {
		w.steady = false
	}
	least := w.Made.Add(MinValid)
	if w.ends.IsZero() {
		// A literal, or nothing was found out: it rests on nothing that could end.
		w.ends = least
	}
	w.ValidUntil = w.ends
	if w.ValidUntil.Before(least) {
		w.ValidUntil = least
	}
}

// until lowers the plan's end. The zero time lowers nothing.
func (w *work) until(t time.Time) {
	if !t.IsZero() && (w.ends.IsZero() || t.Before(w.ends)) {
		w.ends = t
	}
}

// lookupText is what a failed lookup says, without the question: the kind, the
// reason, the server.
func lookupText(err error) string {
	var le *dnssec.LookupError
	if !errors.As(err, &le) {
		return clip(err.Error())
	}
	text := "lookup failed"
	if le.Kind != nil {
		text = le.Kind.Error()
	}
	if s := le.Reason.String(); s != "" {
		text += ": " + s
	}
	for _, x := range le.EDE {
		text += fmt.Sprintf("; extended error %d", x.Code)
		if x.Text != "" {
			text += fmt.Sprintf(" %q", clip(x.Text))
		}
	}
	if le.Server != "" {
		text += " (asked " + le.Server + ")"
	}
	return clip(text)
}
