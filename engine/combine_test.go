package engine_test

import (
	"fmt"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
)

type facts = engine.Facts

// TestRows runs the rows of sections 5 and 9 of the decision table.
func TestRows(t *testing.T) {
	for _, c := range []struct {
		row        string
		mx         engine.MXSec
		dane       dane.State
		insecureMX engine.InsecureMX
		rd         string
	}{
		{"R1", engine.MXSecure, dane.Failed, engine.InsecureMXDANE, "skip"},
		{"R1", engine.MXInsecure, dane.Failed, engine.InsecureMXDANE, "skip"},
		{"R1", engine.MXInsecure, dane.Failed, engine.InsecureMXEncrypt, "skip"},
		{"R2", engine.MXSecure, dane.Usable, engine.InsecureMXDANE, "dane"},
		{"R2", engine.MXSecure, dane.Usable, engine.InsecureMXMay, "dane"},
		{"R2", engine.MXSecure, dane.Usable, engine.InsecureMXEncrypt, "dane"},
		{"R3", engine.MXSecure, dane.Unusable, engine.InsecureMXDANE, "encrypt"},
		{"R4", engine.MXSecure, dane.None, engine.InsecureMXDANE, "nothing"},
		{"R4", engine.MXSecure, dane.NA, engine.InsecureMXDANE, "nothing"},
		{"R5", engine.MXInsecure, dane.NA, engine.InsecureMXMay, "nothing"},
		{"R5", engine.MXInsecure, dane.Usable, engine.InsecureMXMay, "nothing"},
		{"R6", engine.MXInsecure, dane.Usable, engine.InsecureMXEncrypt, "encrypt"},
		{"R6", engine.MXInsecure, dane.Unusable, engine.InsecureMXEncrypt, "encrypt"},
		{"R7", engine.MXInsecure, dane.Usable, engine.InsecureMXDANE, "half-dane"},
		{"R8", engine.MXInsecure, dane.Unusable, engine.InsecureMXDANE, "encrypt"},
		{"R9", engine.MXInsecure, dane.None, engine.InsecureMXDANE, "nothing"},
		{"R9", engine.MXInsecure, dane.NA, engine.InsecureMXEncrypt, "nothing"},
		{"M1", engine.MXNone, dane.NA, engine.InsecureMXDANE, "nothing"},
	} {
		t.Run(fmt.Sprintf("%s mx %d dane %s insecure-mx %s", c.row, c.mx, c.dane, c.insecureMX), func(t *testing.T) {
			rd, row := engine.DANEPart(facts{MX: c.mx, DANE: c.dane, InsecureMX: c.insecureMX})
			if rd != c.rd || row != c.row {
				t.Errorf("%s by row %s, want %s by %s", rd, row, c.rd, c.row)
			}
		})
	}
	for _, c := range []struct {
		name string
		f    facts
		want string // requirement, or outcome where skipped, then the reason
	}{
		// The table of level default: a line a row, RS nothing, sts, skip.
		{"C1 nothing", facts{MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSNone}, "deferred tlsa-lookup-failed"},
		{"C1 sts", facts{MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSEnforce, Match: true}, "deferred tlsa-lookup-failed"},
		{"C1 no match", facts{MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSEnforce}, "deferred tlsa-lookup-failed"},
		{"C2 nothing", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNone}, "dane dane"},
		{"C2 sts", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce, Match: true}, "dane dane report sts"},
		{"C2 no match", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce}, "dane dane report sts"},
		{"C2 testing", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSTesting, Match: true}, "dane dane report sts"},
		{"C3 nothing", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNone, Both: true}, "dane dane"},
		{"C3 sts", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce, Match: true, Both: true}, "dane+sts sts"},
		{"C3 no match", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce, Both: true}, "refused sts-no-match report dane"},
		{"C4 nothing", facts{MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSNone}, "half-dane half-dane"},
		{"C4 sts", facts{MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSEnforce, Match: true}, "half-dane+sts sts"},
		{"C4 no match", facts{MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSEnforce}, "refused sts-no-match report half-dane"},
		{"C5 nothing", facts{MX: engine.MXSecure, DANE: dane.Unusable, STS: engine.STSNone}, "encrypt tlsa-unusable"},
		{"C5 sts", facts{MX: engine.MXSecure, DANE: dane.Unusable, STS: engine.STSEnforce, Match: true}, "sts sts"},
		{"C5 no match", facts{MX: engine.MXSecure, DANE: dane.Unusable, STS: engine.STSEnforce}, "refused sts-no-match report encrypt"},
		{"C6 nothing", facts{MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone}, "may no-policy"},
		{"C6 sts", facts{MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSEnforce, Match: true}, "sts sts"},
		{"C6 no match", facts{MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSEnforce}, "refused sts-no-match"},
		{"C6 testing", facts{MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSTesting}, "may no-policy report sts"},
		// What MTA-STS says is not known.
		{"S2 proceed", facts{MX: engine.MXSecure, DANE: dane.None}, "may no-policy"},
		{"S2 defer", facts{MX: engine.MXSecure, DANE: dane.None, STSDefer: true}, "deferred sts-undetermined"},
		{"S2 defer, DANE decides", facts{MX: engine.MXSecure, DANE: dane.Usable, STSDefer: true}, "dane dane"},
		{"S2 defer, both", facts{MX: engine.MXSecure, DANE: dane.Usable, STSDefer: true, Both: true}, "deferred sts-undetermined"},
		{"S2 defer, encrypt", facts{MX: engine.MXSecure, DANE: dane.Unusable, STSDefer: true}, "deferred sts-undetermined"},
		{"S2 defer, failed TLSA", facts{MX: engine.MXSecure, DANE: dane.Failed, STSDefer: true}, "deferred tlsa-lookup-failed"},
		{"S2 defer, literal", facts{MX: engine.MXNone, DANE: dane.NA, STSDefer: true}, "may no-policy"},
		{"S12 where DANE decides", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSPending}, "dane dane"},
		{"S12 where it does not", facts{MX: engine.MXSecure, DANE: dane.None, STS: engine.STSPending}, "deferred sts-pending"},
		{"S13 where DANE decides", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNoTurn}, "dane dane"},
		{"S13 where it does not", facts{MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNoTurn}, "deferred sts-no-turn"},
		{"S13, half-dane", facts{MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSNoTurn}, "deferred sts-no-turn"},
		{"S13, both", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSPending, Both: true}, "deferred sts-pending"},
		{"S13, level sts", facts{Level: engine.LevelSTS, MX: engine.MXSecure, DANE: dane.NA, STS: engine.STSPending}, "deferred sts-pending"},
		{"S13, level secure", facts{Level: engine.LevelSecure, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNoTurn, Names: true}, "deferred sts-no-turn"},
		{"S13, level dane", facts{Level: engine.LevelDANE, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNoTurn}, "may no-policy"},
		{"S13, literal", facts{MX: engine.MXNone, DANE: dane.NA, STS: engine.STSPending}, "may no-policy"},
		{"S13, audit", facts{MX: engine.MXSecure, DANE: dane.None, STS: engine.STSPending, Audit: true}, "deferred sts-pending"},
		{"S13, weakened", facts{Weakened: true, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSPending}, "may tls-required-no waived sts-pending"},
		{"the store cannot say", facts{MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNoStore}, "deferred sts-store-failed"},
		{"the store cannot say, DANE decides", facts{MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNoStore}, "dane dane"},
		// Levels.
		{"opportunistic", facts{Level: engine.LevelOpportunistic, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce}, "may opportunistic"},
		{"opportunistic, failure", facts{Level: engine.LevelOpportunistic, MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSEnforce}, "may opportunistic"},
		{"dane", facts{Level: engine.LevelDANE, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce}, "dane dane"},
		{"dane, half", facts{Level: engine.LevelDANE, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSEnforce}, "half-dane half-dane"},
		{"dane, unusable", facts{Level: engine.LevelDANE, MX: engine.MXSecure, DANE: dane.Unusable, STS: engine.STSEnforce}, "encrypt tlsa-unusable"},
		{"dane, nothing", facts{Level: engine.LevelDANE, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSEnforce}, "may no-policy"},
		{"dane, failure", facts{Level: engine.LevelDANE, MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSEnforce, Match: true}, "deferred tlsa-lookup-failed"},
		{"sts", facts{Level: engine.LevelSTS, MX: engine.MXSecure, DANE: dane.NA, STS: engine.STSEnforce, Match: true}, "sts sts"},
		{"sts, no match", facts{Level: engine.LevelSTS, MX: engine.MXSecure, DANE: dane.NA, STS: engine.STSEnforce}, "refused sts-no-match report sts"},
		{"sts, testing", facts{Level: engine.LevelSTS, MX: engine.MXSecure, DANE: dane.NA, STS: engine.STSTesting}, "may no-policy report sts"},
		{"sts, none", facts{Level: engine.LevelSTS, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSNone}, "may no-policy"},
		{"sts, unknown", facts{Level: engine.LevelSTS, MX: engine.MXInsecure, DANE: dane.NA, STSDefer: true}, "deferred sts-undetermined"},
		{"sts, DANE is not looked at", facts{Level: engine.LevelSTS, MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSNone}, "may no-policy"},
		{"dane-only", facts{Level: engine.LevelDANEOnly, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce}, "dane dane"},
		{"dane-only, R1", facts{Level: engine.LevelDANEOnly, MX: engine.MXSecure, DANE: dane.Failed}, "deferred tlsa-lookup-failed"},
		{"dane-only, R3", facts{Level: engine.LevelDANEOnly, MX: engine.MXSecure, DANE: dane.Unusable}, "deferred dane-required"},
		{"dane-only, R4", facts{Level: engine.LevelDANEOnly, MX: engine.MXSecure, DANE: dane.None}, "deferred dane-required"},
		{"dane-only, R7", facts{Level: engine.LevelDANEOnly, MX: engine.MXInsecure, DANE: dane.Usable}, "deferred dane-required"},
		{"dane-only, A6", facts{Level: engine.LevelDANEOnly, MX: engine.MXSecure, DANE: dane.NA}, "deferred dane-required"},
		{"secure, dane", facts{Level: engine.LevelSecure, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNone}, "dane dane"},
		{"secure, sts", facts{Level: engine.LevelSecure, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSEnforce, Match: true, Names: true}, "sts sts"},
		{"secure, half-dane+sts", facts{Level: engine.LevelSecure, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSEnforce, Match: true, Names: true}, "half-dane+sts sts"},
		{"secure, failure", facts{Level: engine.LevelSecure, MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSNone, Names: true}, "deferred tlsa-lookup-failed"},
		{"secure, no match", facts{Level: engine.LevelSecure, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSEnforce, Names: true}, "refused sts-no-match"},
		{"secure, half-dane", facts{Level: engine.LevelSecure, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSNone}, "refused no-method"},
		{"secure, encrypt", facts{Level: engine.LevelSecure, MX: engine.MXSecure, DANE: dane.Unusable, STS: engine.STSNone}, "refused no-method"},
		{"secure, nothing", facts{Level: engine.LevelSecure, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone}, "refused no-method"},
		{"secure, names", facts{Level: engine.LevelSecure, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone, Names: true}, "pkix names-configured"},
		{"secure, half-dane and names", facts{Level: engine.LevelSecure, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSTesting, Names: true}, "pkix names-configured report sts"},
		{"secure, literal and names", facts{Level: engine.LevelSecure, MX: engine.MXNone, DANE: dane.NA, STS: engine.STSNone, Names: true}, "pkix names-configured"},
		{"secure, unknown", facts{Level: engine.LevelSecure, MX: engine.MXSecure, DANE: dane.None, STSDefer: true, Names: true}, "deferred sts-undetermined"},
		{"no such level", facts{Level: 99, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone}, "deferred dane-required"},
		// Audit.
		{"audit, no match", facts{Audit: true, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSEnforce}, "may audit report sts waived sts-no-match"},
		{"audit, no match, both", facts{Audit: true, Both: true, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce}, "may audit report dane+sts waived sts-no-match"},
		{"audit, no method", facts{Level: engine.LevelSecure, Audit: true, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone}, "may audit waived no-method"},
		{"audit, deferred", facts{Audit: true, MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSNone}, "deferred tlsa-lookup-failed"},
		{"audit, dane", facts{Audit: true, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNone}, "dane dane"},
		{"audit, requiretls", facts{Audit: true, RequireTLS: true, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSEnforce}, "refused sts-no-match"},
		// TLS-Required: No and TLSRPT reports.
		{"weakened, dane", facts{Weakened: true, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNone}, "may tls-required-no report dane"},
		{"weakened, both evaluated", facts{Weakened: true, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSEnforce, Match: true}, "may tls-required-no report dane+sts"},
		{"weakened, TLSA failure", facts{Weakened: true, MX: engine.MXSecure, DANE: dane.Failed, STS: engine.STSNone}, "may tls-required-no waived tlsa-lookup-failed"},
		{"weakened, no match", facts{Weakened: true, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSEnforce}, "may tls-required-no report half-dane+sts waived sts-no-match"},
		{"weakened, sts unknown", facts{Weakened: true, MX: engine.MXInsecure, DANE: dane.NA, STSDefer: true}, "may tls-required-no waived sts-undetermined"},
		{"weakened, nothing", facts{Weakened: true, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSNone}, "may tls-required-no"},
		{"weakened, dane-only", facts{Weakened: true, Level: engine.LevelDANEOnly, MX: engine.MXSecure, DANE: dane.None}, "may tls-required-no waived dane-required"},
		{"weakened, secure with names", facts{Weakened: true, Level: engine.LevelSecure, Names: true, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone}, "may tls-required-no"},
		// REQUIRETLS.
		{"Q1 insecure MX", facts{RequireTLS: true, ViaMX: true, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSNone}, "refused requiretls-mx-unproved"},
		{"Q1 testing does not count", facts{RequireTLS: true, ViaMX: true, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSTesting, Match: true}, "refused requiretls-mx-unproved"},
		{"Q1 half-dane", facts{RequireTLS: true, ViaMX: true, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSNone}, "refused requiretls-mx-unproved report half-dane"},
		{"Q1 enforce", facts{RequireTLS: true, ViaMX: true, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSEnforce, Match: true}, "sts sts strict sts"},
		{"Q1 implicit MX", facts{RequireTLS: true, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSNone}, "pkix requiretls strict pkix"},
		{"Q2 dane stays", facts{RequireTLS: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNone}, "dane dane strict dane"},
		{"Q2 half-dane", facts{RequireTLS: true, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSNone}, "half-dane+pkix requiretls strict half-dane+pkix"},
		{"Q2 half-dane+sts stays", facts{RequireTLS: true, ViaMX: true, MX: engine.MXInsecure, DANE: dane.Usable, STS: engine.STSEnforce, Match: true}, "half-dane+sts sts strict half-dane+sts"},
		{"Q2 encrypt", facts{RequireTLS: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.Unusable, STS: engine.STSNone}, "pkix requiretls strict pkix"},
		{"Q2 may", facts{RequireTLS: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone}, "pkix requiretls strict pkix"},
		{"Q2 opportunistic", facts{Level: engine.LevelOpportunistic, RequireTLS: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.NA, STS: engine.STSNone}, "pkix requiretls strict pkix"},
		{"Q2 pkix stays", facts{Level: engine.LevelSecure, Names: true, RequireTLS: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.None, STS: engine.STSNone}, "pkix names-configured strict pkix"},
		{"Q2 literal", facts{RequireTLS: true, MX: engine.MXNone, DANE: dane.NA, STS: engine.STSNone}, "refused requiretls-no-name"},
		{"Q2 literal and names", facts{RequireTLS: true, Names: true, MX: engine.MXNone, DANE: dane.NA, STS: engine.STSNone}, "pkix requiretls strict pkix"},
		{"Q deferred stays", facts{RequireTLS: true, ViaMX: true, MX: engine.MXInsecure, DANE: dane.Failed, STS: engine.STSNone}, "deferred tlsa-lookup-failed"},
		{"Q bounce, plain", facts{RequireTLS: true, NullReturn: true, ViaMX: true, MX: engine.MXInsecure, DANE: dane.NA, STS: engine.STSNone}, "may no-policy"},
		{"Q bounce, strict", facts{RequireTLS: true, NullReturn: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.NA, STS: engine.STSNone}, "may no-policy strict pkix"},
		{"Q bounce, dane", facts{RequireTLS: true, NullReturn: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.Usable, STS: engine.STSNone}, "dane dane strict dane"},
		{"Q bounce, literal", facts{RequireTLS: true, NullReturn: true, MX: engine.MXNone, DANE: dane.NA, STS: engine.STSNone}, "may no-policy"},
		{"Q bounce, refused stays", facts{RequireTLS: true, NullReturn: true, ViaMX: true, MX: engine.MXSecure, DANE: dane.NA, STS: engine.STSEnforce}, "refused sts-no-match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := engine.Combine(c.f)
			got := r.Requirement.String()
			if r.Requirement == engine.Skip {
				got = r.Skipped.String()
			} else if r.Skipped != engine.OutcomeNone {
				t.Errorf("%s and skipped as %s", got, r.Skipped)
			}
			got += " " + string(r.Reason)
			// What is evaluated for the report of a host that is not connected to is
			// only looked at in the rows that name it.
			if r.Report != 0 && (r.Requirement != engine.Skip || len(c.want) > len(got)) {
				got += " report " + r.Report.String()
			}
			if r.Strict != 0 {
				got += " strict " + r.Strict.String()
			}
			if r.Waived != "" {
				got += " waived " + string(r.Waived)
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// everyFact calls f with the whole product of facts: some 900,000.
func everyFact(f func(facts)) int {
	n := 0
	bools := [...]bool{false, true}
	for level := engine.LevelDefault; level <= engine.LevelSecure; level++ {
		for insecure := engine.InsecureMXDANE; insecure <= engine.InsecureMXMay; insecure++ {
			for flags := range 1 << 9 {
				bit := func(i int) bool { return bools[flags>>i&1] }
				for mx := engine.MXNone; mx <= engine.MXSecure; mx++ {
					if mx == engine.MXNone && bit(7) {
						continue // a literal is found through no MX record
					}
					for state := dane.Failed; state <= dane.Usable; state++ {
						for s := engine.STSUnknown; s <= engine.STSNoStore; s++ {
							n++
							f(facts{
								Level: level, InsecureMX: insecure, MX: mx, DANE: state, STS: s,
								Both: bit(0), STSDefer: bit(1), Names: bit(2), Audit: bit(3), Weakened: bit(4),
								RequireTLS: bit(5), NullReturn: bit(6), ViaMX: bit(7), Match: bit(8),
							})
						}
					}
				}
			}
		}
	}
	return n
}

// demands ranks what a ruling asks for: a ruling that is not weaker than another
// lets pass nothing that the other does not.
func weaker(a, b engine.Ruling) bool {
	if a.Requirement == engine.Skip {
		return false
	}
	if b.Requirement == engine.Skip {
		return true
	}
	strip := func(r engine.Requirement) engine.Requirement {
		r &^= engine.May
		if r&^engine.Encrypt != 0 {
			r &^= engine.Encrypt // everything else contains it
		}
		return r
	}
	x, y := strip(a.Requirement), strip(b.Requirement)
	if y == engine.Encrypt && x != 0 {
		return false
	}
	return x&y != y
}

// TestEverywhere walks over the product of all facts and checks what must hold
// everywhere.
func TestEverywhere(t *testing.T) {
	bad := 0
	n := everyFact(func(f facts) {
		if bad > 10 {
			return
		}
		fail := func(what string, r engine.Ruling) {
			bad++
			t.Errorf("%s: %+v gives %+v", what, f, r)
		}
		r := engine.Combine(f)
		usesDANE := f.Level != engine.LevelOpportunistic && f.Level != engine.LevelSTS
		usesSTS := f.Level == engine.LevelDefault || f.Level == engine.LevelSTS || f.Level == engine.LevelSecure
		if (r.Requirement == engine.Skip) != (r.Skipped != engine.OutcomeNone) || r.Skipped != engine.OutcomeNone && r.Skipped != engine.Refused && r.Skipped != engine.Deferred {
			fail("skip without outcome", r)
		}
		if _, ok := explain.About(r.Reason); !ok {
			fail("a reason that is not listed", r)
		}
		all := r.Requirement | r.Strict
		if all&engine.DANE != 0 && (f.MX != engine.MXSecure || f.DANE != dane.Usable || !usesDANE) {
			fail("dane without a secure MX and usable records", r)
		}
		if all&engine.HalfDANE != 0 && (f.MX != engine.MXInsecure || f.DANE != dane.Usable || f.InsecureMX != engine.InsecureMXDANE) {
			fail("half-dane", r)
		}
		if all&engine.STS != 0 && (f.STS != engine.STSEnforce || !f.Match || !usesSTS || f.MX == engine.MXNone) {
			fail("sts without an enforced policy that lists the host", r)
		}
		if all&engine.PKIX != 0 && !(f.Names && f.Level == engine.LevelSecure) && !f.RequireTLS {
			fail("pkix that nobody asked for", r)
		}
		if r.Strict != 0 && (!f.RequireTLS || r.Strict&(engine.DANE|engine.STS|engine.PKIX) == 0) {
			fail("a strict requirement that proves nobody", r)
		}
		if r.Waived != "" && !f.Audit && !f.Weakened {
			fail("waived by nobody", r)
		}
		lowered := f.Weakened
		// A lookup failure is never weaker than absence.
		if f.DANE == dane.Failed {
			g := f
			g.DANE = dane.None
			if weaker(r, engine.Combine(g)) {
				fail("a failed TLSA lookup weaker than none", r)
			}
			looked := usesDANE && f.MX != engine.MXNone && !(f.MX == engine.MXInsecure && f.InsecureMX == engine.InsecureMXMay)
			if looked && !lowered && (r.Requirement != engine.Skip || r.Skipped != engine.Deferred) && f.Level != engine.LevelDANEOnly {
				fail("a failed TLSA lookup goes, or is repaired", r)
			}
		}
		if f.STS != engine.STSEnforce && f.STS != engine.STSTesting {
			g := f
			g.STS = engine.STSNone
			if weaker(r, engine.Combine(g)) {
				fail("an unknown policy weaker than none", r)
			}
		}
		// What this program has not found out is never a reason to let a message go.
		if f.STS == engine.STSPending || f.STS == engine.STSNoTurn || f.STS == engine.STSNoStore {
			if usesSTS && !f.Weakened && f.MX != engine.MXNone && r.Requirement != engine.Skip && r.Requirement&engine.DANE == 0 {
				fail("goes though the policy is not known", r)
			}
		}
		// MTA-STS never repairs DANE: what DANE demands stays demanded.
		if f.DANE == dane.Usable && f.MX == engine.MXSecure && usesDANE && !lowered && r.Requirement != engine.Skip && r.Requirement&engine.DANE == 0 && r.Waived == "" {
			fail("dane replaced", r)
		}
		// Testing changes nothing but the report.
		if f.STS == engine.STSTesting {
			g := f
			g.STS = engine.STSNone
			x := engine.Combine(g)
			if x.Requirement != r.Requirement || x.Skipped != r.Skipped || x.Strict != r.Strict || x.Reason != r.Reason {
				fail("testing changes something", r)
			}
		}
		// Audit and the message's wish never make a demand that authenticates.
		if f.Audit {
			g := f
			g.Audit = false
			x := engine.Combine(g)
			if x.Requirement != r.Requirement && (r.Requirement != engine.May || x.Skipped != engine.Refused || f.RequireTLS) {
				fail("audit", r)
			}
		}
		if f.Weakened && r.Requirement != engine.May {
			fail("weakened and not may", r)
		}
		if f.RequireTLS && !f.NullReturn && !f.Weakened && r.Requirement != engine.Skip && (r.Requirement != r.Strict || r.Requirement&(engine.DANE|engine.STS|engine.PKIX) == 0) {
			fail("requiretls without a method", r)
		}
		if f.Level == engine.LevelDANEOnly && !lowered && r.Requirement != engine.Skip && r.Requirement != engine.DANE {
			fail("dane-only", r)
		}
		if f.Level == engine.LevelSecure && !lowered && r.Waived == "" && r.Requirement != engine.Skip && r.Requirement&(engine.DANE|engine.STS|engine.PKIX) == 0 {
			fail("secure without a method", r)
		}
		// No one waits for MTA-STS where it can change nothing, and only there.
		if !f.Weakened {
			g, changes := f, false
			for _, s := range []engine.STSState{engine.STSNone, engine.STSEnforce} {
				for _, m := range []bool{false, true} {
					g.STS, g.Match = s, m
					x := engine.Combine(g)
					g.STS = engine.STSNone
					y := engine.Combine(g)
					if x.Requirement != y.Requirement || x.Skipped != y.Skipped {
						changes = true
					}
				}
			}
			if changes && !engine.AwaitsSTS(f) {
				fail("would not wait for what can change it", r)
			}
			if !changes && engine.AwaitsSTS(f) {
				fail("would wait for what can change nothing", r)
			}
		}
	})
	if n != 6*3*(1<<9)*5*5*7/2 {
		t.Errorf("walked over %d", n)
	}
}
