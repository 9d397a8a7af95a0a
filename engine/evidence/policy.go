package evidence

import (
	"context"
	"errors"
	"fmt"
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
	p        *Policy
	resolver dnssec.Resolver
	roots    *pkix.Roots
	now      func() time.Time
}

// Cached implements [engine.STSClient].
func (t *tapedSTS) Cached(context.Context, rfc6125.Host) (sts.Result, bool) {
	return sts.Result{}, false
}

// Lookup implements [engine.STSClient]: it reads the record anew from the recorded DNS, the
// policy anew from its text, and judges the policy host's chain anew.
func (t *tapedSTS) Lookup(ctx context.Context, domain rfc6125.Host) sts.Result {
	r := sts.Result{Domain: domain, Cached: t.p.Cached, ID: t.p.ID, Row: rowOf(t.p.Row)}
	if t.p.StoreFailed != "" {
		r.StoreErr = fmt.Errorf("%w: %s", store.ErrUnavailable, t.p.StoreFailed)
	}
	if r.Pending = t.p.Pending; r.Pending && t.p.Text == "" {
		if r.Row != sts.S13 {
			r.Row = sts.S12
		}
		if t.p.Failed != "" {
			r.FetchErr = t.failure(domain)
		}
		return r
	}
	t.record(ctx, domain, &r)
	if t.p.Failed != "" {
		r.FetchErr = t.failure(domain)
	}
	t.policy(domain, &r)
	return r
}

func rowOf(s string) sts.Row {
	for row := sts.S1; row <= sts.S13; row++ {
		if row.String() == s {
			return row
		}
	}
	return 0
}

// record looks the TXT record up in what was recorded.
func (t *tapedSTS) record(ctx context.Context, domain rfc6125.Host, r *sts.Result) {
	name, err := domain.Name().Child("_mta-sts")
	if err != nil {
		r.TXTErr = fmt.Errorf("%w: %w", sts.ErrNoRecord, err)
		return
	}
	r.Answer, err = t.resolver.Resolve(ctx, dnssec.Question{Name: name, Type: dnssec.TypeTXT})
	if err != nil {
		r.TXTErr = err
		return
	}
	var txt []string
	for _, rr := range r.Answer.Records {
		if parts, err := rr.TXT(); err == nil {
			txt = append(txt, strings.Join(parts, ""))
		}
	}
	r.Record, r.TXTErr = sts.ParseRecord(txt)
	r.Until = r.Answer.Expires
}

// failure rebuilds the failed fetch.
func (t *tapedSTS) failure(domain rfc6125.Host) error {
	host, _ := rfc6125.ParseHost("mta-sts." + domain.String())
	return &sts.FetchError{Host: host, Kind: sts.FetchKind(t.p.Failed), Status: t.p.FailedStatus, Detail: t.p.FailedDetail}
}

// policy puts the policy into r, if it still holds at the time of the replay.
func (t *tapedSTS) policy(domain rfc6125.Host, r *sts.Result) {
	if t.p.Text == "" {
		return
	}
	pol, err := sts.ParsePolicy([]byte(t.p.Text))
	if err != nil {
		r.FetchErr = &sts.FetchError{Kind: sts.ErrFetchSyntax, Detail: clip(err.Error()), Cause: err}
		return
	}
	if len(t.p.Chain) > 0 && t.p.Failed == "" {
		// The chain is there: whoever made it up must have the key of a public CA.
		if err := t.proves(domain); err != nil {
			r.FetchErr = &sts.FetchError{Kind: sts.ErrFetchWebPKI, Detail: clip(err.Error()), Cause: err}
			r.Row = sts.S4
			return
		}
	}
	expires := t.p.Fetched.Add(pol.MaxAge)
	if !t.now().Before(expires) {
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
	r.Policy, r.Fetched, r.Expires = &pol, t.p.Fetched, expires
}

// proves judges the policy host's chain at the time of the fetch.
func (t *tapedSTS) proves(domain rfc6125.Host) error {
	chain, err := parse(t.p.Chain)
	if err != nil {
		return err
	}
	host, err := rfc6125.ParseHost("mta-sts." + domain.String())
	if err != nil {
		return err
	}
	_, err = pkix.VerifyServer(pkix.Request{Chain: chain, Roots: t.roots, At: t.p.Fetched}, []rfc6125.Reference{rfc6125.NewReference(host)})
	return err
}
