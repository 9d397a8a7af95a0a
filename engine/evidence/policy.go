package evidence

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A tapedSTS answers for MTA-STS from a file.
type tapedSTS struct {
	f        *File
	resolver dnssec.Resolver
	roots    *pkix.Roots
	clock    *clock    // of the engine
	fixed    time.Time // the time of the replay, if it is not that of the check

	asked  dnssec.Question // for the record; zero: none was asked for
	proved bool            // the chain of the policy host was verified
}

// Cached implements [engine.STSClient].
func (t *tapedSTS) Cached(context.Context, rfc6125.Host) (sts.Result, bool) {
	return sts.Result{}, false
}

// Lookup implements [engine.STSClient]: it reads the record again from the recorded DNS, the
// policy again from its text, and judges the policy host's chain again.
func (t *tapedSTS) Lookup(ctx context.Context, domain rfc6125.Host) sts.Result {
	p := t.f.STS
	if p == nil {
		return sts.Result{Domain: domain, Row: sts.S2, TXTErr: errLacking}
	}
	r := sts.Result{Domain: domain, Cached: p.Cached, ID: p.ID, Row: rowOf(p.Row), Pending: p.Pending}
	if p.StoreFailed != "" {
		r.StoreErr = fmt.Errorf("%w: %s", store.ErrUnavailable, p.StoreFailed)
	}
	switch {
	case p.Pending && p.Text == "" && p.Failed == "":
		return r // the check did not wait, and had no policy
	case p.Pending && (r.Row == sts.S9 || p.Failed == ""):
		r.TXTErr = &dnssec.LookupError{Question: t.question(domain), Kind: dnssec.ErrTimeout}
	default:
		t.record(ctx, domain, &r)
	}
	if p.Failed != "" {
		r.FetchErr, r.Chain = t.failure(domain), t.failedChain()
	}
	t.policy(domain, &r)
	if t.fixed.IsZero() && !p.Until.IsZero() {
		r.Until = p.Until
	}
	t.clock.advance(p.At)
	return r
}

// rowOf reads what [sts.Row.String] prints; zero if it prints it for no row.
func rowOf(s string) sts.Row {
	for row := sts.S1; row < math.MaxUint8; row++ {
		if row.String() == s {
			return row
		}
	}
	return 0
}

// question is that for the record.
func (t *tapedSTS) question(domain rfc6125.Host) dnssec.Question {
	name, _ := domain.Name().Child("_mta-sts")
	return dnssec.Question{Name: name, Type: dnssec.TypeTXT}
}

// record looks the TXT record up in what was recorded.
func (t *tapedSTS) record(ctx context.Context, domain rfc6125.Host, r *sts.Result) {
	name, err := domain.Name().Child("_mta-sts")
	if err != nil {
		r.TXTErr = fmt.Errorf("%w: %w", sts.ErrNoRecord, err)
		return
	}
	t.asked = dnssec.Question{Name: name, Type: dnssec.TypeTXT}
	r.Answer, err = t.resolver.Resolve(ctx, t.asked)
	if err != nil {
		r.TXTErr = err
		return
	}
	r.Until = r.Answer.Expires
	if r.Answer.Kind != dnssec.Data {
		r.TXTErr = fmt.Errorf("%w: %s", sts.ErrNoRecord, r.Answer.Kind)
		return
	}
	var txt []string
	for _, rr := range r.Answer.Records {
		if parts, err := rr.TXT(); err == nil {
			txt = append(txt, strings.Join(parts, ""))
		}
	}
	r.Record, r.TXTErr = sts.ParseRecord(txt)
}

// failure rebuilds the failed fetch.
func (t *tapedSTS) failure(domain rfc6125.Host) error {
	p := t.f.STS
	host, _ := rfc6125.ParseHost("mta-sts." + domain.String())
	// As a cause, since the text is a stranger's: it is escaped when it is printed.
	e := &sts.FetchError{Host: host, Kind: sts.FetchKind(p.Failed), Addr: p.FailedAddress, Status: p.FailedStatus, Note: p.FailedNote,
		Cause: errors.New(p.FailedDetail), Until: p.FailedUntil, Repeated: p.FailedBefore}
	switch y := p.FailedSyntax; {
	case y != nil && errors.Is(e.Kind, sts.ErrPolicy):
		e.Cause = &sts.SyntaxError{Line: y.Line, Field: y.Field, Text: y.Text, Why: clip(y.Why), Cure: y.Cure, Kind: sts.ErrPolicy}
	case errors.Is(e.Kind, sts.ErrFetchWebPKI) && len(p.Chain) > 0:
		// What is wrong with the chain is found again.
		if err := t.provesAt(domain, p.At); errors.Is(err, pkix.ErrUntrusted) {
			e.Cause = err
		}
	}
	return e
}

// failedChain is the chain of a policy host that was not accepted, for people.
func (t *tapedSTS) failedChain() []*x509.Certificate {
	if p := t.f.STS; p.Failed != "" && len(p.Chain) > 0 {
		chain, err := parse(p.Chain)
		if err == nil {
			return chain
		}
	}
	return nil
}

// policy puts the policy into r, if it was in force.
func (t *tapedSTS) policy(domain rfc6125.Host, r *sts.Result) {
	p := t.f.STS
	if p.Text == "" {
		return
	}
	pol, err := sts.ParsePolicy([]byte(p.Text))
	if err != nil {
		r.FetchErr = &sts.FetchError{Kind: sts.ErrFetchSyntax, Detail: clip(err.Error()), Cause: err}
		return
	}
	if len(p.Chain) > 0 && p.Failed == "" {
		// The chain of a failed fetch has nothing to do with the policy, which was kept.
		if err := t.proves(domain); err != nil {
			r.FetchErr = &sts.FetchError{Kind: sts.ErrFetchWebPKI, Detail: clip(err.Error()), Cause: err}
			r.Row = sts.S4
			return
		}
		t.proved = true
	}
	expires := p.Fetched.Add(pol.MaxAge)
	if !t.inForce(expires) {
		// RFC 8461 section 3.2: an expired policy counts as absent.
		r.Row = sts.S2
		if errors.Is(r.TXTErr, sts.ErrNoRecord) {
			r.Row = sts.S1
		} else if r.TXTErr == nil {
			r.Row = sts.S4
			if r.FetchErr == nil {
				r.FetchErr = &sts.FetchError{Kind: sts.ErrFetchTCP, Detail: "the evidence holds no policy of that time"}
			}
		}
		r.ID, r.Cached = "", false
		return
	}
	r.Policy, r.Fetched, r.Expires = &pol, p.Fetched, expires
}

// inForce reports whether a policy that ends then applied. At the time of the check it
// applied if it was kept and had not ended when the check began, or if the check fetched
// it: then it holds for that delivery however soon it ends (a max_age of 0, RFC 8461
// section 3.2).
func (t *tapedSTS) inForce(expires time.Time) bool {
	if !t.fixed.IsZero() {
		return t.fixed.Before(expires)
	}
	f := t.f
	start, since := f.Planned, f.Planned
	if start.IsZero() {
		// A file of a version that recorded one time.
		start, since = f.At, f.At.Add(-maxSpan)
	}
	if !f.STS.Cached && !f.STS.Fetched.Before(since) && !f.STS.Fetched.After(f.At) {
		return true
	}
	return start.Before(expires)
}

// proves judges the policy host's chain at the time of the fetch. In a slow fetch that is
// when the check began to when it was complete.
func (t *tapedSTS) proves(domain rfc6125.Host) error { return t.provesAt(domain, t.f.STS.Fetched) }

// provesAt is proves for a fetch that was complete, or failed, at some time.
func (t *tapedSTS) provesAt(domain rfc6125.Host, fetched time.Time) error {
	f := t.f
	chain, err := parse(f.STS.Chain)
	if err != nil {
		return err
	}
	host, err := rfc6125.ParseHost("mta-sts." + domain.String())
	if err != nil {
		return err
	}
	verify := func(at time.Time) error {
		_, err := pkix.VerifyServer(pkix.Request{Chain: chain, Roots: t.roots, At: at}, []rfc6125.Reference{rfc6125.NewReference(host)})
		return err
	}
	err = verify(fetched)
	if errors.Is(err, pkix.ErrExpired) && !f.Planned.IsZero() && f.Planned.Before(fetched) {
		err = verify(f.Planned)
	}
	return err
}
