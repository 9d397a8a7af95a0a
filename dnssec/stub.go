package dnssec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/fault"
)

// A ProtectedPath is an [Upstream] that knows whether anyone but the resolver
// could have written its answers. The real ones can.
type ProtectedPath interface {
	// ProtectedPath reports whether every server is reached on this host's loopback
	// interface, or proves who it is (strict DNS over TLS, HTTPS).
	ProtectedPath() bool
}

// A StubConfig describes a [Stub].
type StubConfig struct {
	// Upstream is the validating resolver whose AD bit is believed. It must not be nil.
	Upstream Upstream
	// TrustPath says that the operator takes the way to Upstream as safe, in as many
	// words. WARNING: an attacker who can write packets on that path decides then what is
	// secure. The zero value accepts only an Upstream that is a [ProtectedPath].
	TrustPath bool
	// UnderWay bounds the questions of all plans that are under way at the same time; zero
	// means [DefaultUnderWay].
	UnderWay int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger logs failed lookups at level Debug; nil discards.
	Logger *slog.Logger
}

// A Stub is a [Resolver] that believes the AD bit of a validating resolver (RFC
// 4035 section 4.9.3, RFC 6840 section 5.7). It does not check anything by itself:
// what the resolver calls authentic is secure, the rest of what it answers is
// insecure, and what it does not answer is a lookup failure.
//
// A clear AD bit says nothing of which alias of a chain is unsigned, so the stub asks
// for each alias by itself until it meets the first insecure one (RFC 7672 section
// 2.1.3); that one and everything after it are insecure.
//
// Use it for a resolver on the same host; the validator needs no such trust. A Stub
// keeps no state and is safe for use by many goroutines at once.
type Stub struct {
	up    Upstream
	now   func() time.Time
	log   *slog.Logger
	turns *turns
}

var _ Resolver = (*Stub)(nil)

// NewStub makes a Stub. An error wraps [ErrUnprotectedPath], or says that there is
// no Upstream. Whether the resolver validates at all is for [CheckValidating] to find
// out.
func NewStub(cfg StubConfig) (*Stub, error) {
	if cfg.Upstream == nil {
		return nil, fault.New("dnssec", "the stub has no upstream")
	}
	// RFC 6698 section 4.1, RFC 4035 section 4.9.3: the path to the one who validates
	// must be protected.
	p, ok := cfg.Upstream.(ProtectedPath)
	// TLSA6698-4.1-03: RFC 6698 section 4.1; DNSSEC4035-4.6-02: RFC 4035 section 4.6
	if !cfg.TrustPath && !(ok && p.ProtectedPath()) {
		return nil, fmt.Errorf("%w: use a resolver at a loopback address, or by DNS over TLS or HTTPS, or validate here", ErrUnprotectedPath)
	}
	cfg.UnderWay = cmp.Or(max(cfg.UnderWay, 0), DefaultUnderWay)
	s := &Stub{up: cfg.Upstream, now: cfg.Now, log: cfg.Logger, turns: newTurns(cfg.UnderWay)}
	if s.now == nil {
		s.now = time.Now
	}
	s.log = cmp.Or(s.log, slog.New(slog.DiscardHandler))
	return s, nil
}

// Resolve implements [Resolver].
func (s *Stub) Resolve(ctx context.Context, q Question) (Answer, error) {
	a := Answer{Question: q, Final: q.Name}
	if !q.Name.IsValid() {
		return a, failed(q, ErrMalformed, Reason{Code: ReasonMalformed, Text: "the question has no name"})
	}
	share, ctx, cancel := shareFor(ctx, q)
	defer cancel()
	l := lookup{s: s, share: share, q: q, a: &a, secure: true}
	if err := l.run(ctx); err != nil {
		err.Question = q
		a.Kind, a.Records, a.Status = 0, nil, err.Status()
		a.Reason = err.Reason
		err.answeredBy(a.Server)
		s.log.DebugContext(ctx, "lookup failed", "question", q.String(), "error", err)
		return a, err
	}
	return a, nil
}

// A lookup is one Resolve under way.
type lookup struct {
	s      *Stub
	share  *Share
	q      Question
	a      *Answer
	secure bool // every step so far is
}

// run follows the chain, asking for its end as often as a response breaks off.
func (l *lookup) run(ctx context.Context) *LookupError {
	for {
		asked := Question{l.a.Final, l.q.Type}
		m, err := l.ask(ctx, asked)
		if err != nil {
			return err
		}
		now := l.s.now()
		r, err := readChain(m, asked.Name, asked.Type)
		if err != nil {
			return err
		}
		if err := l.extend(ctx, m, r.steps); err != nil {
			return err
		}
		a := l.a
		a.Final, a.Received = r.final, now
		if e := now.Add(r.ttl); a.Expires.IsZero() || e.Before(a.Expires) {
			a.Expires = e
		}
		if r.kind != 0 {
			a.Kind, a.Records = r.kind, r.records
			l.judge(m)
			return nil
		}
	}
}

// judge sets the status of the whole.
func (l *lookup) judge(m *wire.Message) {
	a := l.a
	if l.secure && m.AuthenticData() { // DANE7672-2.1.1-05: RFC 7672 section 2.1.1
		a.Status = Secure
		return
	}
	a.Status = Insecure
	name, typ := a.Final, l.q.Type
	for _, st := range a.Chain {
		if st.Status != Secure {
			name, typ = st.Owner, st.Type
			break
		}
	}
	a.Reason = Reason{Code: ReasonADClear, Name: name, Type: typ,
		Text: fmt.Sprintf("the resolver does not confirm %s %s (AD clear)", name, typ)}
	// RFC 9276 section 3.2: a resolver that calls a denial insecure because of its many
	// NSEC3 iterations says so. What hangs on the denial may treat that as a failure.
	for _, e := range a.EDE {
		if e.Code == EDEUnsupportedIterations && a.Kind != Data {
			a.Reason.Code, a.Reason.EDE = ReasonNSEC3Iterations, e.Code
			a.Reason.Text = fmt.Sprintf("the resolver does not confirm the absence of %s %s: its proof has too many NSEC3 iterations", name, typ)
		}
	}
}

// extend appends the steps of one response to the chain, each with its status.
func (l *lookup) extend(ctx context.Context, m *wire.Message, steps []Alias) *LookupError {
	for _, st := range steps {
		if len(l.a.Chain) == MaxAliases {
			return aliasLimit(l.q)
		}
		for _, old := range l.a.Chain {
			if st.Target == old.Owner {
				return aliasLoop(l.q, st)
			}
		}
		st.Status = Insecure
		switch {
		case !l.secure:
			// RFC 7672 section 2.1.3: insecure whatever comes after an insecure alias.
		case m.AuthenticData():
			st.Status = Secure
		default:
			var err *LookupError
			if st.Status, err = l.stepStatus(ctx, st); err != nil {
				return err
			}
		}
		l.secure = l.secure && st.Status == Secure
		l.a.Chain = append(l.a.Chain, st)
	}
	return nil
}

// stepStatus asks for one alias by itself (RFC 7672 section 2.1.3). If it cannot be
// had the whole lookup has failed.
func (l *lookup) stepStatus(ctx context.Context, st Alias) (Status, *LookupError) {
	q := Question{st.Owner, TypeCNAME}
	m, err := l.ask(ctx, q)
	if err != nil {
		return Indeterminate, err
	}
	again, ok, why := aliasAt(m.Answer, st.Owner)
	if why != nil {
		return Indeterminate, failed(q, ErrMalformed, *why)
	}
	if !ok || again.Target != st.Target {
		return Indeterminate, failed(q, ErrMalformed, Reason{Code: ReasonAliasMoved,
			Text: fmt.Sprintf("the alias at %s changed while it was looked up", st.Owner)})
	}
	if m.AuthenticData() {
		return Secure, nil
	}
	return Insecure, nil
}

// ask sends one question and returns a response with the rcode NOERROR or NXDOMAIN.
func (l *lookup) ask(ctx context.Context, q Question) (*wire.Message, *LookupError) {
	m, err := l.send(ctx, q, false)
	if err != nil {
		return nil, err
	}
	if m.Rcode == wire.RcodeServFail {
		m, err = l.servFail(ctx, q, m)
		if err != nil {
			return nil, err
		}
	}
	if m.Rcode != wire.RcodeNoError && m.Rcode != wire.RcodeNXDomain {
		return nil, l.with(rcodeFailed(l.q, q, m.Rcode), m)
	}
	return m, nil
}

// servFail finds the cause of a SERVFAIL: a bogus zone, or trouble that
// has nothing to do with DNSSEC. The resolver may say so (RFC 8914). Else the
// question is asked again with CD set; if there is an answer then, and again none
// with CD clear, validation is what fails. The data that came with CD is
// not used for anything (RFC 4035 section 4.9.2).
func (l *lookup) servFail(ctx context.Context, q Question, m *wire.Message) (*wire.Message, *LookupError) {
	if err := saidBogus(q, m); err != nil {
		return nil, l.with(err, m)
	}
	plain := failed(q, ErrServFail, Reason{Code: ReasonServFail, Name: q.Name, Type: q.Type, Text: "the resolver answers SERVFAIL"})
	cd, err := l.send(ctx, q, true)
	if err != nil || (cd.Rcode != wire.RcodeNoError && cd.Rcode != wire.RcodeNXDomain) {
		return nil, l.with(plain, m)
	}
	again, err := l.send(ctx, q, false)
	switch {
	case err != nil:
		return nil, l.with(plain, m)
	case again.Rcode != wire.RcodeServFail:
		return again, nil
	}
	if err := saidBogus(q, again); err != nil {
		return nil, l.with(err, again)
	}
	return nil, l.with(failed(q, ErrBogus, Reason{Code: ReasonUpstreamBogus, Name: q.Name, Type: q.Type, EDE: EDEBogus,
		Text: fmt.Sprintf("the resolver gives %s only with checking disabled: validation fails there", q)}), again)
}

// saidBogus returns the failure that a SERVFAIL's extended errors speak of; nil if they
// do not speak of DNSSEC.
func saidBogus(q Question, m *wire.Message) *LookupError {
	for _, e := range extendedErrors(m.Errors) {
		text := fmt.Sprintf("the resolver says that validation of %s fails (extended error %d)", q, e.Code)
		if e.Text != "" {
			text += ": " + e.Text
		}
		switch {
		case e.SaysBogus():
			return failed(q, ErrBogus, Reason{Code: ReasonUpstreamBogus, Name: q.Name, Type: q.Type, EDE: e.Code, Text: text})
		case e.Code == EDEIndeterminate:
			return failed(q, ErrIndeterminate, Reason{Code: ReasonUpstreamUnfit, Name: q.Name, Type: q.Type, EDE: e.Code, Text: text})
		}
	}
	return nil
}

// with adds to err what the response m brought.
func (l *lookup) with(err *LookupError, m *wire.Message) *LookupError {
	err.EDE = extendedErrors(m.Errors)
	err.Server = l.a.Server
	return err
}

// send asks the upstream one thing and reads the response.
func (l *lookup) send(ctx context.Context, q Question, cd bool) (*wire.Message, *LookupError) {
	// AD asks for the verdict (RFC 6840 section 5.7). DO is set as well: some
	// resolvers give AD only then (RFC 4035 section 3.2.3). CD stays clear but for
	// the evidence of servFail (RFC 4035 section 4.9.2).
	msg := wire.Query{Name: q.Name, Type: uint16(q.Type), AD: !cd, DO: true, CD: cd}.Append(nil)
	resp, err := l.exchange(ctx, msg)
	if err != nil {
		if cause := context.Cause(ctx); spentBy(cause) != nil {
			err = cause
		}
		return nil, upstreamFailed(l.q, q, err)
	}
	l.a.Server = resp.Server
	m, perr := wire.Parse(resp.Message)
	size := unreadable(resp.Message)
	if perr == nil {
		size = m.Size
	}
	if err := l.share.pay(Bytes, size); err != nil {
		return nil, upstreamFailed(l.q, q, err)
	}
	if perr == nil && !answers(m, q) {
		perr = errors.New("it answers another question")
	}
	if perr != nil {
		e := failed(l.q, ErrMalformed, malformedAt(q.Name, q.Type, "the resolver's answer cannot be read"))
		e.Server, e.Cause = resp.Server, perr
		return nil, e
	}
	l.a.EDE = extendedErrors(m.Errors)
	return m, nil
}

// exchange carries one message when it is its turn.
func (l *lookup) exchange(ctx context.Context, msg []byte) (Response, error) {
	turn, err := l.s.turns.enter(ctx, l.share)
	if err != nil {
		return Response{}, err
	}
	defer turn.leave()
	return l.s.up.Exchange(turn.context(ctx), msg)
}

// answers repeats what [Upstream] promises, since a mistake there would be grave.
func answers(m *wire.Message, q Question) bool {
	return m.Response() && m.Opcode() == 0 && !m.Truncated() &&
		m.Question == wire.Question{Name: q.Name, Type: uint16(q.Type), Class: wire.ClassIN}
}
