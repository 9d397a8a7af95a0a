package dnssec

import (
	"context"
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
)

// failed makes the error of a lookup of q.
func failed(q Question, kind error, why Reason) *LookupError {
	if !why.Name.IsValid() {
		why.Name, why.Type = q.Name, q.Type
	}
	return &LookupError{Question: q, Kind: kind, Reason: why}
}

// answeredBy names the server that answered last, if none is named yet. Silence is no
// server's doing.
func (e *LookupError) answeredBy(server string) {
	if e.Server == "" && e.Kind != ErrTimeout && e.Kind != ErrUnreachable {
		e.Server = server
	}
}

// upstreamFailed says what an error of an [Upstream] means for a lookup of q, asked
// is the question that was sent. Nothing but the three errors of the contract counts
// for what it is; anything else leaves the server unreachable.
func upstreamFailed(q, asked Question, err error) *LookupError {
	e := failed(q, ErrUnreachable, Reason{Code: ReasonUnreachable, Name: asked.Name, Type: asked.Type, EDE: EDENetworkError,
		Text: "no resolver could be reached"})
	switch {
	case errors.Is(err, proof.ErrBudget):
		v := overBudget(asked.Name, asked.Type, err)
		e.Kind, e.Reason, err = v.kind, v.reason, v.cause
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Kind, e.Reason.Code, e.Reason.EDE = ErrTimeout, ReasonTimeout, EDENoReachableAuthority
		e.Reason.Text = "no resolver answered in time"
	case errors.Is(err, ErrMalformed):
		e.Kind, e.Reason.Code, e.Reason.EDE = ErrMalformed, ReasonMalformed, EDEOther
		e.Reason.Text = "the resolver's answer cannot be read"
	}
	e.Cause = err
	return e
}

// rcodeFailed says what a response with an rcode other than NOERROR, NXDOMAIN and
// SERVFAIL means for a lookup of q.
func rcodeFailed(q, asked Question, rcode int) *LookupError {
	why := Reason{Code: ReasonRcode, Name: asked.Name, Type: asked.Type}
	switch rcode {
	case wire.RcodeRefused:
		why.Code, why.Text = ReasonRefused, "the resolver refuses to answer us"
	case wire.RcodeFormErr, wire.RcodeBadVers:
		// RFC 6891 section 6.2.2 lets a client go back to plain DNS; DNSSEC needs EDNS, so
		// we do not.
		why.Code, why.Text = ReasonFormErr, "the resolver does not understand EDNS, which DNSSEC needs"
	default:
		why.Text = fmt.Sprintf("the resolver answers with rcode %d", rcode)
	}
	return failed(q, ErrRefused, why)
}
