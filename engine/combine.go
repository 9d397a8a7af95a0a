package engine

import (
	"errors"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// The rule of combination (decision table sections 5 and 9) is a pure function of a
// handful of small values, so that all their products can be walked in a test. What
// the names of hosts are, which pattern matched and which record was found is of no
// concern here.

// mxSec is what is known of the choice of host (mxsec of the table). The zero mxSec
// is mxNone.
type mxSec uint8

const (
	mxNone     mxSec = iota // an address literal: there is no name
	mxInsecure              // the MX records, or an alias before them, are not signed
	mxSecure                // signed, or configured by the operator
)

// stsState is what MTA-STS says of a domain (S of the table). The zero stsState is
// stsUnknown.
type stsState uint8

const (
	stsUnknown stsState = iota // S2: the record lookup failed, nothing is cached
	stsPending                 // S12, S13: not yet answered
	stsNone                    // no policy, a policy of mode none, or not looked at
	stsTesting
	stsEnforce
	stsNoTurn  // S13: a limit or the end of this program kept it from being asked
	stsNoStore // the store cannot say whether a policy is kept
)

// stateOf is S of section 3.
func stateOf(r sts.Result) stsState {
	switch {
	case r.Policy != nil && r.Policy.Mode == sts.ModeEnforce:
		return stsEnforce
	case r.Policy != nil && r.Policy.Mode == sts.ModeTesting:
		return stsTesting
	case r.Policy != nil:
		return stsNone
	case r.Row == sts.S13 && errors.Is(r.FetchErr, sts.ErrNoTurn):
		return stsNoTurn
	case r.Pending, r.Row == sts.S12, r.Row == sts.S13:
		return stsPending
	case r.Row == sts.S2 && r.StoreErr != nil:
		return stsNoStore
	case r.Row == sts.S2, r.TXTErr != nil && !errors.Is(r.TXTErr, sts.ErrNoRecord):
		// Not known, which is not absent.
		return stsUnknown
	}
	return stsNone
}

// facts are all that the rule of combination looks at, for one host.
type facts struct {
	level      Level
	insecureMX InsecureMX
	both       bool // dane-and-sts = both
	stsDefer   bool // sts-undetermined = defer
	names      bool // the operator configured names
	audit      bool

	weakened   bool // TLS-Required: No or a TLSRPT report, at a level that bows to it
	requireTLS bool
	nullReturn bool // the message is a bounce

	mx    mxSec
	viaMX bool // found through an MX record, neither configured nor implicit
	dane  dane.State
	sts   stsState
	match bool // a pattern of the policy names the host
}

// A demand is what the facts come to.
type demand struct {
	requirement Requirement
	skipped     Outcome   // Refused or Deferred where requirement is Skip for good
	reason      reason.ID // why
	row         string    // of the decision table
	// report are parts that are not demanded but evaluated, for the report.
	report Requirement
	// strict is what must hold to send with the REQUIRETLS parameter; Skip if it cannot
	// be.
	strict Requirement
	// waived is the reason for which the host would be skipped if neither audit mode
	// nor the sender's wish let the message go; "" if none.
	waived reason.ID
	// ground is why nothing, or less, is demanded.
	ground reason.Ground
}

// combine rules on one host whose addresses are known.
func combine(f facts) demand {
	r := policies(f)
	switch {
	case f.weakened:
		return weaken(f, r)
	case f.requireTLS:
		return raise(f, r)
	case f.audit && r.requirement == Skip && r.skipped == Refused:
		r.waived, r.ground = r.reason, reason.GroundAudit
		r.report |= demanded(f)
		r.requirement, r.skipped, r.reason = May, OutcomeNone, reason.Audit
	}
	return r
}

// demanded are the parts that both standards ask for together, whatever was made of
// them: they are what a report is about.
func demanded(f facts) Requirement {
	var d Requirement
	if f.level.usesDANE() {
		d, _, _ = danePart(f)
	}
	if f.level.usesSTS() {
		rs := stsPart(f)
		d |= rs.requirement | rs.report
	}
	return d
}

// policies is section 5 of the table: what the level and the published policies ask.
func policies(f facts) demand {
	switch f.level {
	case LevelOpportunistic:
		return demand{requirement: May, reason: reason.Opportunistic, ground: reason.GroundLevel}
	case LevelDANE:
		rd, row, failed := danePart(f)
		if failed {
			return demand{skipped: Deferred, reason: reason.TLSALookupFailed, row: row}
		}
		return orMay(f, demand{requirement: rd, reason: daneReason(rd), row: row})
	case LevelDANEOnly:
		rd, row, failed := danePart(f)
		switch {
		case failed:
			return demand{skipped: Deferred, reason: reason.TLSALookupFailed, row: row}
		case rd == DANE:
			return demand{requirement: DANE, reason: reason.DANE, row: row}
		}
		// RFC 7672 sections 2.2.1 and 6, RFC 7671 section 10.3: delivery waits.
		// DANE7672-2.2.1-04: RFC 7672 section 2.2.1; DANE7671-10.3-01: RFC 7671 section 10.3
		return demand{skipped: Deferred, reason: reason.DANERequired, row: row}
	case LevelSTS:
		rs := stsPart(f)
		if why := undetermined(f); why != "" {
			return demand{skipped: Deferred, reason: why}
		}
		return orMay(f, rs)
	case LevelSecure: // STARTTLS3207-6-01: RFC 3207 section 6
		r := combineDefault(f)
		if r.requirement == Skip || r.requirement&(DANE|STS) != 0 {
			return r
		}
		if f.names {
			return demand{requirement: PKIX, reason: reason.Names, row: r.row, report: r.report}
		}
		return demand{skipped: Refused, reason: reason.NoMethod, row: r.row, report: r.report}
	case LevelDefault:
		return combineDefault(f)
	}
	// No such level. Plan refuses it; nothing may go by it.
	return demand{skipped: Deferred, reason: reason.DANERequired}
}

// combineDefault is the table of rows C1 to C6.
func combineDefault(f facts) demand {
	rd, _, failed := danePart(f)
	if failed {
		// C1. RFC 8461 section 2: MTA-STS never repairs DANE.
		// STS-2-01: RFC 8461 section 2; DANE7672-2.1.2-04: RFC 7672 section 2.1.2
		return demand{skipped: Deferred, reason: reason.TLSALookupFailed, row: "C1"}
	}
	rs := stsPart(f)
	if rd == DANE && !f.both {
		// C2. A signed choice of host and a matching record prove more than MTA-STS
		// can; its check is made for the report (doubt D1).
		return demand{requirement: DANE, reason: reason.DANE, row: "C2", report: rs.requirement | rs.report}
	}
	if why := undetermined(f); why != "" {
		return demand{skipped: Deferred, reason: why}
	}
	row := "C6"
	switch rd {
	case DANE:
		row = "C3"
	case HalfDANE:
		row = "C4"
	case Encrypt:
		row = "C5"
	}
	switch {
	case rs.skipped == Refused:
		return demand{skipped: Refused, reason: rs.reason, row: row, report: rd}
	case rs.requirement == STS && rd == Encrypt:
		return demand{requirement: STS, reason: reason.STS, row: row} // STS contains encrypt
	case rs.requirement == STS:
		return demand{requirement: rd | STS, reason: reason.STS, row: row}
	}
	return orMay(f, demand{requirement: rd, reason: daneReason(rd), row: row, report: rs.report})
}

// danePart is the table of rows R1 to R9. A Skip without failed means that DANE asks
// for nothing.
func danePart(f facts) (rd Requirement, row string, failed bool) {
	switch f.mx {
	case mxSecure:
		switch f.dane {
		case dane.Usable:
			return DANE, "R2", false // DANE7672-2.2-01: RFC 7672 section 2.2
		case dane.Unusable:
			return Encrypt, "R3", false // DANE7672-2.2-02: RFC 7672 section 2.2
		case dane.None, dane.NA:
			return Skip, "R4", false
		}
	case mxInsecure:
		if f.insecureMX == InsecureMXMay {
			return Skip, "R5", false
		}
		switch f.dane {
		case dane.Usable:
			if f.insecureMX == InsecureMXEncrypt {
				return Encrypt, "R6", false
			}
			return HalfDANE, "R7", false
		case dane.Unusable:
			if f.insecureMX == InsecureMXEncrypt {
				return Encrypt, "R6", false
			}
			return Encrypt, "R8", false
		case dane.None, dane.NA:
			return Skip, "R9", false
		}
	case mxNone:
		return Skip, "M1", false
	}
	return Skip, "R1", true
}

// stsPart is RS of section 5. A requirement of Skip without skipped means that
// MTA-STS asks for nothing.
func stsPart(f facts) demand {
	switch {
	case f.mx == mxNone:
		return demand{}
	case f.sts == stsEnforce && f.match:
		return demand{requirement: STS, reason: reason.STS}
	case f.sts == stsEnforce:
		// RFC 8461 section 5: in mode enforce the host is not used. The check of its
		// certificate is still of use to the report where something else decides.
		// STS-5-01: RFC 8461 section 5
		return demand{skipped: Refused, reason: reason.STSNoMatch, report: STS}
	case f.sts == stsTesting:
		return demand{report: STS}
	}
	return demand{}
}

// undetermined is the reason why a host waits for what MTA-STS says; "" if it does not.
// The option sts-undetermined is for failures of DNS: what this program has not asked, or
// cannot read, is not known whatever it says (row S13).
func undetermined(f facts) reason.ID {
	switch {
	case f.mx == mxNone:
	case f.sts == stsPending:
		return reason.STSPending
	case f.sts == stsNoTurn:
		return reason.STSNoTurn
	case f.sts == stsNoStore:
		return reason.STSStore
	case f.sts == stsUnknown && f.stsDefer:
		return reason.STSUndetermined
	}
	return ""
}

// orMay turns a ruling that asks for nothing into May.
func orMay(f facts, r demand) demand {
	if r.requirement == Skip && r.skipped == OutcomeNone {
		r.requirement, r.reason, r.ground = May, reason.NoPolicy, reason.GroundNoPolicy
		if f.mx == mxNone {
			r.ground = reason.GroundLiteral
		}
	}
	return r
}

// daneReason is the reason that goes with a DANE part.
func daneReason(rd Requirement) reason.ID {
	switch rd {
	case DANE:
		return reason.DANE
	case HalfDANE:
		return reason.HalfDANE
	case Encrypt:
		return reason.TLSAUnusable
	}
	return reason.NoPolicy
}

// weaken is the first half of section 9: the message goes whatever policies say, and
// what they say is still evaluated. The addresses of the host are known, so there is
// a host to connect to (RFC 8689 section 4.2.2, RFC 8460 section 5.3.1).
func weaken(f facts, r demand) demand {
	// REQTLS-4.2.2-01: RFC 8689 section 4.2.2
	out := demand{requirement: May, reason: reason.TLSRequiredNo, row: r.row, report: r.report | r.requirement&^(May|PKIX), ground: reason.GroundMessage}
	if r.requirement == Skip {
		out.waived = r.reason
		out.report |= demanded(f)
	}
	return out
}

// raise is the second half of section 9: rows Q1 and Q2. Q3 and Q4 are for Decide.
func raise(f facts, plain demand) demand {
	r := plain
	r.strict = raised(plain.requirement)
	if f.mx == mxNone && !f.names {
		// There is no name that the peer could prove.
		r.strict = Skip
	}
	q1 := !f.viaMX || f.mx == mxSecure || f.level.usesSTS() && f.sts == stsEnforce && f.match
	if !q1 {
		r.strict = Skip
	}
	if f.nullReturn {
		// RFC 8689 section 5: a bounce goes by the plain plan where it cannot go
		// with the parameter.
		return r
	}
	switch {
	case plain.requirement == Skip:
		return r
	case !q1: // REQTLS-2-03: RFC 8689 section 2
		return demand{skipped: Refused, reason: reason.RequireTLSMX, row: "Q1", report: plain.requirement &^ May}
	case r.strict == Skip:
		return demand{skipped: Refused, reason: reason.RequireTLSLiteral, row: "Q2"}
	case r.strict != plain.requirement:
		r.requirement, r.reason, r.row, r.ground = r.strict, reason.RequireTLSPKIX, "Q2", reason.GroundNone
	}
	return r
}

// raised is Q2: what a requirement becomes where the peer must prove itself.
func raised(r Requirement) Requirement {
	switch {
	case r == Skip || r&(DANE|STS|PKIX) != 0:
		return r
	case r == HalfDANE:
		return HalfDANE | PKIX
	}
	return PKIX
}

// awaitsSTS reports whether the ruling on the host could still change with what
// MTA-STS says: if not, no plan waits for HTTPS (row S12).
func awaitsSTS(f facts) bool {
	if f.mx == mxNone || !f.level.usesSTS() {
		return false
	}
	if f.weakened {
		return true // nothing depends on it but the report, which is all that there is
	}
	rd, _, failed := danePart(f)
	return f.level == LevelSTS || !failed && (rd != DANE || f.both)
}
