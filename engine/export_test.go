package engine

import (
	"crypto/x509"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/reason"
)

// Facts are facts for tests.
type Facts struct {
	Level                            Level
	InsecureMX                       InsecureMX
	Both, STSDefer, Names, Audit     bool
	Weakened, RequireTLS, NullReturn bool
	MX                               MXSec
	ViaMX                            bool
	DANE                             dane.State
	STS                              STSState
	Match                            bool
}

// MXSec is mxSec for tests.
type MXSec = mxSec

// STSState is stsState for tests.
type STSState = stsState

const (
	MXNone, MXInsecure, MXSecure = mxNone, mxInsecure, mxSecure

	STSUnknown, STSPending, STSNone, STSTesting, STSEnforce, STSNoTurn, STSNoStore = stsUnknown, stsPending, stsNone, stsTesting, stsEnforce, stsNoTurn, stsNoStore
)

// Ruling is ruling for tests.
type Ruling struct {
	Requirement, Report, Strict Requirement
	Skipped                     Outcome
	Reason, Waived              reason.ID
	Row                         string
}

func (f Facts) inner() facts {
	return facts{
		level: f.Level, insecureMX: f.InsecureMX, both: f.Both, stsDefer: f.STSDefer, names: f.Names, audit: f.Audit,
		weakened: f.Weakened, requireTLS: f.RequireTLS, nullReturn: f.NullReturn,
		mx: f.MX, viaMX: f.ViaMX, dane: f.DANE, sts: f.STS, match: f.Match,
	}
}

// Combine is combine.
func Combine(f Facts) Ruling {
	r := combine(f.inner())
	return Ruling{Requirement: r.requirement, Report: r.report, Strict: r.strict, Skipped: r.skipped, Reason: r.reason, Waived: r.waived, Row: r.row}
}

// DANEPart is danePart as the table writes it: "skip", "nothing" or a requirement.
func DANEPart(f Facts) (rd, row string) {
	r, row, failed := danePart(f.inner())
	switch {
	case failed:
		return "skip", row
	case r == Skip:
		return "nothing", row
	}
	return r.String(), row
}

// AwaitsSTS is awaitsSTS.
func AwaitsSTS(f Facts) bool { return awaitsSTS(f.inner()) }

// SetTies says whether the plan has hosts of one preference; for plans made by hand.
func (p *Plan) SetTies(b bool) { p.ties = b }

// CachedPlans counts the plans that are kept.
func (e *Engine) CachedPlans() int {
	if e.plans == nil {
		return 0
	}
	return e.plans.plans.lru.Len()
}

// KeptPlanBytes is what the kept plans count for.
func (e *Engine) KeptPlanBytes() int64 { return e.plans.plans.bytes }

// MaxKeptPlan is maxKeptPlan.
const MaxKeptPlan = maxKeptPlan

// HeapSize is heapSize.
func HeapSize(v any, most int64) int64 { return heapSize(v, most) }

// PresentedNames is presentedNames.
func PresentedNames(c *x509.Certificate) []string { return presentedNames(c) }

// KeyOf is the key of a request in the cache of plans; nil if its plan is not kept.
func KeyOf(r Request) any {
	key, ok := keyOf(&r)
	if !ok {
		return nil
	}
	return key
}

// MinValid is minValid.
const MinValid = minValid

// ParseRequirement is parseRequirement.
func ParseRequirement(s string) (Requirement, error) { return parseRequirement(s) }
