package explain

import (
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// Lookups without which nothing goes.

// what is what a lookup was for.
func (c reasonView) what(ev *reason.LookupFailed) string {
	le := lookupOf(ev.Err)
	switch c.r.ID {
	case reason.MXBogus, reason.MXLookupFailed:
		return "the MX records of " + c.domain
	case reason.AddressBogus, reason.AddressFailed:
		typ := "A and AAAA"
		if le != nil {
			typ = le.Question.Type.String()
		}
		return fmt.Sprintf("the address records (%s) of the mail host %s", typ, c.host)
	}
	if c.r.ID == reason.Budget && !ev.Owner.IsValid() {
		if c.h == nil {
			return "the MX records of " + c.domain
		}
		return "the address records (A and AAAA) of the mail host " + c.host
	}
	return c.whatTLSA(ev)
}

func (c reasonView) whatTLSA(ev *reason.LookupFailed) string {
	owner := tlsaOwnerOf(c.h)
	if ev.Owner.IsValid() {
		owner = ev.Owner.String()
	}
	return fmt.Sprintf("the TLSA records of %s (at %s)", c.host, owner)
}

func tlsaOwnerOf(h *engine.Host) string {
	if h == nil {
		return "its TLSA name"
	}
	return tlsaOwner(h, h.Name)
}

// lookupFailed is a lookup without which nothing goes.
func (c reasonView) lookupFailed(ev *reason.LookupFailed) statement {
	what := c.what(ev)
	var t statement
	effect := ""
	switch c.r.ID {
	case reason.MXBogus, reason.MXLookupFailed:
		effect = fmt.Sprintf("So the mail hosts of %s are not known, and the message waits.", c.domain)
	case reason.Budget:
		effect = "What is not known now does not count as absent, so the message waits."
	case reason.AddressBogus, reason.AddressFailed:
		effect = fmt.Sprintf("No mail goes to %s until its addresses are known.", c.host)
	default:
		effect = fmt.Sprintf("No mail goes to %s until it is known whether it has TLSA records.", c.host)
	}
	own := OwnFault(ev.Err)
	if own != NoHint {
		t.cause = sentences(ownLookup(ev.Err, what, c.p), ownSide)
		t.hints = append(t.hints, own)
		return t
	}
	t.cause = sentences(sentence(failedLookup(ev.Err, what)), c.through(ev), effect)
	if fix := lookupCure(ev.Err); fix.text != "" {
		t.owner = append(t.owner, cure(by(c.p, fix.zone.String(), fix.text)))
	}
	if le := lookupOf(ev.Err); le != nil {
		switch {
		case errors.Is(le.Kind, dnssec.ErrTimeout):
			t.hints = append(t.hints, HintSilent)
		case errors.Is(le.Kind, dnssec.ErrServFail):
			t.hints = append(t.hints, HintResolverTest)
		case le.Reason.Code == dnssec.ReasonSignatureExpired || le.Reason.Code == dnssec.ReasonSignatureNotYetValid:
			t.sender = append(t.sender, "If other signed domains fail as well, check the clock of this machine.")
		}
	}
	return t
}

// through says by which aliases the lookup came to the name that failed.
func (c reasonView) through(ev *reason.LookupFailed) string {
	le := lookupOf(ev.Err)
	if le == nil || c.h == nil || !le.Reason.Zone.IsValid() || le.Question.Name.IsSubdomainOf(le.Reason.Zone) {
		return ""
	}
	return fmt.Sprintf("(%s is an alias that leads there.)", le.Question.Name)
}
