package dnssec

import (
	"errors"
	"fmt"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/rfc6125"
)

// A verdict is the result for one RRset, denial or zone.
type verdict struct {
	status Status
	reason Reason
	kind   error // for Bogus and Indeterminate: the sentinel of the LookupError
	cause  error
	server string
	// final means that all work for the question has to end.
	final bool
	// absent means that the failure is by records that are not there, so that asking
	// again may help, or the upstream may have taken them away.
	absent bool
	// settled means that what failed was asked for twice already.
	settled bool
	// own means that the failure is the asker's: it left, or has spent what it may. It says
	// nothing of the records, and is never kept.
	own bool
}

// again reports whether asking once more may help.
func (v *verdict) again() bool { return v.status == Bogus && !v.final && !v.settled }

func (v *verdict) ok() bool { return v.status >= Insecure }

// err makes the LookupError of a failed verdict.
func (v *verdict) err(q Question) *LookupError {
	e := failed(q, v.kind, v.reason)
	e.Cause, e.Server = v.cause, v.server
	return e
}

// bogus makes the verdict of records that fail by err, an error of package proof.
func bogus(owner rfc6125.Name, typ Type, err error) verdict {
	if errors.Is(err, proof.ErrBudget) {
		return overBudget(owner, typ, err)
	}
	v := verdict{status: Bogus, kind: ErrBogus, reason: Reason{Name: owner, Type: typ, EDE: EDEBogus}}
	r := &v.reason
	switch {
	case errors.Is(err, proof.ErrUnsigned):
		r.Code, r.EDE, v.absent = ReasonSignatureMissing, EDERRSIGsMissing, true
	case errors.Is(err, proof.ErrExpired):
		r.Code, r.EDE = ReasonSignatureExpired, EDESignatureExpired
	case errors.Is(err, proof.ErrNotYetValid):
		r.Code, r.EDE = ReasonSignatureNotYetValid, EDESignatureNotYetValid
	case errors.Is(err, proof.ErrBadSignature):
		r.Code = ReasonSignatureInvalid
	case errors.Is(err, proof.ErrAlgorithm):
		r.Code, r.EDE = ReasonSignatureAlgorithm, EDEUnsupportedAlgorithm
	case errors.Is(err, proof.ErrNoKey):
		r.Code, r.EDE = ReasonSignatureKey, EDEDNSKEYMissing
	case errors.Is(err, proof.ErrSigner):
		r.Code, v.absent = ReasonSignatureSigner, true
	case errors.Is(err, proof.ErrLabels):
		r.Code = ReasonSignatureLabels
	case errors.Is(err, proof.ErrKeySize):
		r.Code = ReasonKeySize
	case errors.Is(err, proof.ErrKey):
		r.Code = ReasonKeyUnusable
	case errors.Is(err, proof.ErrNoMatch):
		r.Code, r.EDE = ReasonNoKeyForDS, EDEDNSKEYMissing
	case errors.Is(err, proof.ErrRevoked):
		r.Code = ReasonKeyRevoked
	case err == error(errNoDenial):
		r.Code, r.EDE, v.absent = ReasonDenialMissing, EDENSECMissing, true
	case errors.Is(err, proof.ErrNotDenied):
		r.Code, r.EDE, v.absent = ReasonDenialInvalid, EDENSECMissing, true
	default:
		r.Code = ReasonSignatureInvalid
	}
	r.Text = fmt.Sprintf("%s %s: %v", owner, typ, err)
	var e *proof.Error
	if errors.As(err, &e) {
		r.At = unix(e.At)
	}
	return v
}

// unix is a time in seconds since 1970; 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// bogusDenial is bogus for the proof that owner has no records of the type.
func bogusDenial(owner rfc6125.Name, typ Type, err error) verdict {
	v := bogus(owner, typ, err)
	v.reason.Denial = true
	return v
}

// overBudget is the verdict on records that cost more than may be spent on them: nothing is
// known of them.
func overBudget(owner rfc6125.Name, typ Type, err error) verdict {
	v := verdict{status: Indeterminate, kind: ErrBudget, final: true, reason: Reason{Code: ReasonBudget, Name: owner, Type: typ}}
	var spent *budgetError
	var limit *proof.Error
	switch {
	case errors.As(err, &spent):
		v.own, v.cause = true, spent
		v.reason.Code, v.reason.Text = ReasonBudgetSpent, fmt.Sprintf("%v; the last one was for %s %s", spent, owner, typ)
	case errors.As(err, &limit):
		v.reason.Text = fmt.Sprintf("to check %s %s costs more than the records of any honest zone (%s)", owner, typ, limit.Text)
	}
	return v
}

// bogusBy makes a bogus verdict with a code of its own.
func bogusBy(owner rfc6125.Name, typ Type, code ReasonCode, ede uint16, text string) verdict {
	return verdict{status: Bogus, kind: ErrBogus,
		reason: Reason{Code: code, Name: owner, Type: typ, EDE: ede, Text: fmt.Sprintf("%s %s: %s", owner, typ, text)}}
}

// insecure makes an insecure verdict.
func insecure(owner rfc6125.Name, typ Type, code ReasonCode, ede uint16, text string) verdict {
	return verdict{status: Insecure, reason: Reason{Code: code, Name: owner, Type: typ, EDE: ede, Text: text}}
}

// moreTelling returns the verdict that explains a failure better: one about records that
// are there, else the first. The zero verdict is none.
func moreTelling(a, b verdict) verdict {
	if a.kind == nil || (a.absent && !b.absent) {
		return b
	}
	return a
}
