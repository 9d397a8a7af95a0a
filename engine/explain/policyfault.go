package explain

import (
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// MTA-STS policies, and hosts that they do not list.

// policyFailed is a policy, or its record, that does not count.
func (c reasonView) policyFailed(ev *reason.PolicyFailed) (t statement) {
	if c.p == nil {
		return statement{cause: fmt.Sprintf("The MTA-STS policy of %s does not count (%s).", c.domain, clause(ev.Err))}
	}
	switch c.r.ID {
	case reason.STSRecordGone:
		t.cause = kept(c.p)
		if t.cause == "" {
			t.cause = fmt.Sprintf("The TXT record at %s is gone or malformed, and the MTA-STS policy of %s that was fetched on %s still holds.", recordName(c.domain), c.domain, day(ev.Fetched))
		}
		if _, fix, ok := recordFault(c.p); ok {
			t.owner = append(t.owner, recordCure(c.p, fix))
		} else {
			t.owner = append(t.owner, cure(fmt.Sprintf("Put the TXT record back. If MTA-STS is to end, serve a policy with `mode: none` at %s first, and remove record and file when %s has passed.", policyURL(c.domain), moment(c.p.STS.Expires)), recordLine(c.p)))
		}
	case reason.STSRecordFail:
		what := whatRecord(c.domain)
		if own := OwnFault(ev.Err); own != NoHint {
			t.cause = sentences(ownLookup(ev.Err, what, c.p), kept(c.p))
			t.hints = append(t.hints, own)
			return t
		}
		t.cause = sentences(sentence(failedLookup(ev.Err, what)), kept(c.p))
		if fix := lookupCure(ev.Err); fix.text != "" {
			t.owner = append(t.owner, cure(by(c.p, fix.zone.String(), fix.text)))
		}
		t.hints = append(t.hints, HintUnknown)
	default:
		f := policyFile(c.p, ev.Err)
		t.cause = sentences(sentence(f.clause), kept(c.p))
		t.owner = append(t.owner, cure(f.cure))
		if c.r.ID == reason.STSWebPKI {
			t.hints = append(t.hints, HintRoots)
		}
	}
	return t
}

// policyUnknown is what this program has not found out.
func (c reasonView) policyUnknown(ev *reason.PolicyUnknown) (t statement, ok bool) {
	switch c.r.ID {
	case reason.STSPending:
		if ev.Record {
			t.cause = fmt.Sprintf("The question for the MTA-STS record of %s (TXT at %s) was not answered in time, so it is not known whether it has a policy.", c.domain, recordName(c.domain))
			t.owner = []Cure{cure(fmt.Sprintf("See that all name servers answer `dig %s TXT` quickly.", recordName(c.domain)))}
			t.hints = append(t.hints, HintSilent)
			return t, true
		}
		t.cause = fmt.Sprintf("%s announces an MTA-STS policy, and the web server mta-sts.%s has not answered yet; the fetch goes on.", c.domain, c.domain)
		t.owner = []Cure{cure(fmt.Sprintf("See why %s is not delivered within a few seconds: try `curl -v %s`.", policyURL(c.domain), policyURL(c.domain)))}
		t.sender = append(t.sender, "Nothing: the message goes with the next attempt, with the policy or, if it does not come, without.")
		return t, true
	case reason.STSNoTurn:
		t.cause = fmt.Sprintf("The MTA-STS policy of %s is not fetched yet because of a limit of this program (%s). %s", c.domain, shortage(ev.Err), ownSide)
		t.hints = append(t.hints, HintLimit)
		return t, true
	case reason.STSStore:
		t.cause = fmt.Sprintf("The store of this machine cannot be read (%s), so it is not known whether an MTA-STS policy of %s is kept. %s", clause(ev.Err), c.domain, ownSide)
		t.hints = append(t.hints, HintStore)
		return t, true
	}
	return t, false
}

// shortage says in a clause which limit kept a policy from being fetched.
func shortage(err error) string {
	f := fetchOf(err)
	if f == nil {
		return clause(err)
	}
	text := f.Detail
	if f.Cause != nil && !strings.Contains(text, f.Cause.Error()) {
		text += ": " + f.Cause.Error()
	}
	return clip(text)
}

// undetermined is a record that cannot be looked up, where this check waits for that.
func (c reasonView) undetermined() (t statement) {
	if c.p == nil {
		return statement{cause: fmt.Sprintf("Whether %s has an MTA-STS policy is not known.", c.domain)}
	}
	err := c.p.STS.TXTErr
	what := whatRecord(c.domain)
	t.cause = fmt.Sprintf("%s; this check is set to wait for that.", capital(failedLookup(err, what)))
	if own := OwnFault(err); own != NoHint {
		t.hints = append(t.hints, own)
		return t
	}
	if fix := lookupCure(err); fix.text != "" {
		t.owner = append(t.owner, cure(by(c.p, fix.zone.String(), fix.text)))
	}
	t.hints = append(t.hints, HintUnknown)
	return t
}

// notListed is a host that the policy does not name.
func (c reasonView) notListed(ev *reason.PolicyHosts) (t statement) {
	var lists, note string
	if ev == nil && c.p != nil && c.p.STS.Policy != nil {
		ev = &reason.PolicyHosts{Patterns: c.p.STS.Policy.MX}
	}
	if ev != nil && c.h != nil {
		lists = fmt.Sprintf(" (it lists %s)", list(texts(ev.Patterns)))
		if n := patternNote(c.p, c.h, ev.Patterns); n != "" {
			note = sentence(n)
		}
	}
	effect := "so no mail goes there."
	if c.h != nil && c.h.Requirement != engine.Skip && !c.h.Requirement.Has(engine.STS) {
		effect = "so senders that use MTA-STS send no mail there."
	}
	if c.h != nil && c.h.Requirement.Has(engine.DANE) {
		effect = "so senders that use MTA-STS, and not DANE, send no mail there."
	}
	enforced := c.p == nil || c.p.STS.Policy == nil || c.p.STS.Policy.Mode.String() == "enforce"
	if !enforced {
		effect = "so in mode enforce no mail would go there."
	}
	t.cause = sentences(fmt.Sprintf("The MTA-STS policy of %s does not list the MX host %s%s, %s", c.domain, c.host, lists, effect), note, c.kept())
	t.owner = []Cure{cure(fmt.Sprintf("If %s is a mail host of %s: add the mx line to %s, and then give the TXT record a new id. If it is not, remove it from the MX records.", c.host, c.domain, policyURL(c.domain)), c.listLines()...)}
	if enforced {
		t.sender = append(t.sender, "If the host is not a mail host of the domain, the MX record is forged, and the policy works as intended.")
	}
	return t
}

func (c reasonView) listLines() []string {
	lines := []string{"mx: " + c.host}
	if c.p != nil {
		lines = append(lines, recordLine(c.p))
	}
	return lines
}

// kept is kept of the plan.
func (c reasonView) kept() string {
	if c.p == nil {
		return ""
	}
	return kept(c.p)
}
