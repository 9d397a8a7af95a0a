package engine

import (
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Level is the local policy for a next hop (decision table section 1). The zero
// Level is LevelDefault.
type Level uint8

// Levels.
const (
	// LevelDefault honours both DANE and MTA-STS where they are published.
	LevelDefault Level = iota
	// LevelOpportunistic uses TLS where offered; no host is authenticated, nothing is
	// enforced, no policy is looked up.
	LevelOpportunistic
	// LevelDANE honours DANE where published and does not look at MTA-STS.
	LevelDANE
	// LevelDANEOnly delivers only where DANE authenticates (RFC 7672 section 6).
	LevelDANEOnly
	// LevelSTS honours MTA-STS where published and does not look for DANE. RFC 8461
	// section 2 binds a sender that does both, so this level is only honest for one
	// that says it does not do DANE.
	LevelSTS
	// LevelSecure delivers only where some method authenticates: DANE, MTA-STS in
	// mode enforce, or WebPKI with the names of [Options].Names.
	LevelSecure
)

var levelWords = [...]string{"default", "opportunistic", "dane", "dane-only", "sts", "secure"}

// String returns the word of the level: "default", "opportunistic", "dane",
// "dane-only", "sts", "secure".
func (l Level) String() string { return enum.Word(levelWords[:], int(l)) }

// parseLevel reads the word of a level. The error lists the words.
func parseLevel(s string) (Level, error) {
	i, err := enum.Index("engine", "level", levelWords[:], s)
	return Level(i), err
}

// MarshalText prints l as [Level.String] does.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the word of a level.
func (l *Level) UnmarshalText(b []byte) (err error) {
	*l, err = parseLevel(string(b))
	return err
}

// usesDANE reports whether TLSA records count at this level.
func (l Level) usesDANE() bool { return l != LevelOpportunistic && l != LevelSTS }

// usesSTS reports whether MTA-STS policies count at this level.
func (l Level) usesSTS() bool { return l == LevelDefault || l == LevelSTS || l == LevelSecure }

// mandatory reports whether the level is a demand of the operator's own, which the
// sender of a message cannot lower with a header field (doubt D10).
func (l Level) mandatory() bool { return l == LevelDANEOnly || l == LevelSecure }

// Options of local policy (section 1). The zero value is the default of each.
type Options struct {
	InsecureMX      InsecureMX      `json:"insecure_mx"`
	DANEAndSTS      DANEAndSTS      `json:"dane_and_sts"`
	STSUndetermined STSUndetermined `json:"sts_undetermined"`
	RefuseMXAlias   bool            `json:"refuse_mx_alias,omitempty"`   // mx-alias = refuse: an MX host that is an alias is not used
	NoCNID          bool            `json:"no_cn_id,omitempty"`          // cn-id-for-dane-ta off: a Common Name never counts (doubt D3)
	NoClearFallback bool            `json:"no_clear_fallback,omitempty"` // clear-fallback off: no second connection without STARTTLS
	Audit           bool            `json:"audit,omitempty"`             // refused becomes go, and says so; never with REQUIRETLS
	NoAddressDefer  bool            `json:"no_address_defer,omitempty"`  // all hosts without address (row O6): false = bounce, true = defer
	LowerAll        bool            `json:"lower_all,omitempty"`         // D10: let TLS-Required: No lower dane-only and secure
	// Names are what a peer must prove with WebPKI at level secure where the domain
	// publishes nothing, and for REQUIRETLS in place of the MX host's name.
	Names []rfc6125.Host `json:"names,omitempty"`
	// TLSA says which TLSA records this operator lets count. A plan with a Forbid
	// function or an order of digests of its own is not kept in the plan cache. It is
	// not part of the JSON: a function has none. A file of evidence has a tlsa_policy.
	TLSA dane.UsePolicy `json:"-"`
}

// InsecureMX is what hosts found through an insecure MX get (RFC 7672 section 2.2.1).
type InsecureMX uint8

// Values of InsecureMX.
const (
	InsecureMXDANE    InsecureMX = iota // TLSA records must match; the host is proven, the choice of host is not
	InsecureMXEncrypt                   // TLS where TLSA records exist
	InsecureMXMay                       // TLSA records are not looked up
)

var insecureMXWords = [...]string{"dane", "encrypt", "may"}

// String returns "dane", "encrypt" or "may".
func (m InsecureMX) String() string { return enum.Word(insecureMXWords[:], int(m)) }

// MarshalText prints m as [InsecureMX.String] does.
func (m InsecureMX) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what [InsecureMX.MarshalText] prints.
func (m *InsecureMX) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "insecure-mx", insecureMXWords[:], string(b))
	*m = InsecureMX(i)
	return err
}

// DANEAndSTS is what holds where both apply (doubt D1).
type DANEAndSTS uint8

// Values of DANEAndSTS.
const (
	DANEFirst DANEAndSTS = iota // a passing DANE check decides; MTA-STS is evaluated for the report
	Both                        // both must pass
)

var daneAndSTSWords = [...]string{"dane-first", "both"}

// String returns "dane-first" or "both".
func (d DANEAndSTS) String() string { return enum.Word(daneAndSTSWords[:], int(d)) }

// MarshalText prints d as [DANEAndSTS.String] does.
func (d DANEAndSTS) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [DANEAndSTS.MarshalText] prints.
func (d *DANEAndSTS) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "dane-and-sts", daneAndSTSWords[:], string(b))
	*d = DANEAndSTS(i)
	return err
}

// STSUndetermined is what an unknown MTA-STS record with nothing cached does (D2).
type STSUndetermined uint8

// Values of STSUndetermined.
const (
	STSProceed STSUndetermined = iota // as if there were none (RFC 8461 sections 3.3, 10.2 accept the gap)
	STSDefer                          // hosts whose requirement could depend on it wait
)

var stsUndeterminedWords = [...]string{"proceed", "defer"}

// String returns "proceed" or "defer".
func (u STSUndetermined) String() string { return enum.Word(stsUndeterminedWords[:], int(u)) }

// MarshalText prints u as [STSUndetermined.String] does.
func (u STSUndetermined) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what [STSUndetermined.MarshalText] prints.
func (u *STSUndetermined) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "sts-undetermined", stsUndeterminedWords[:], string(b))
	*u = STSUndetermined(i)
	return err
}
