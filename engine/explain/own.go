package explain

import (
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
)

// A Hint names something to do on the side of who asks. A program adds the words: it knows
// its options and files.
type Hint string

// Hints.
const (
	NoHint           Hint = ""
	HintResolver     Hint = "resolver"      // no resolver can be reached
	HintResolverTest Hint = "resolver-test" // the resolver may be at fault, which a test shows
	HintSilent       Hint = "silent"        // the resolver does not answer in time
	HintRefuses      Hint = "refuses"       // the resolver does not answer this machine
	HintStrips       Hint = "strips"        // the resolver removes what DNSSEC needs
	HintAnchor       Hint = "anchor"        // the trust anchors are wrong or out of date
	HintClock        Hint = "clock"         // the clock of this machine is wrong
	HintLimit        Hint = "limit"         // a limit of this program
	HintPort         Hint = "port"          // the network may block port 25
	HintIPv6         Hint = "ipv6"          // this machine has no IPv6
	HintHELO         Hint = "helo"          // the server may object to the name given in EHLO
	HintTime         Hint = "time"          // waiting longer may help
	HintRoots        Hint = "roots"         // the file of root certificates may be out of date
	HintStore        Hint = "store"         // the store cannot be read
	HintException    Hint = "exception"     // an exception lets the message go
	HintForget       Hint = "forget"        // the domain can be forgotten if the change was intended
	HintLevel        Hint = "level"         // another level would demand more, or less
	HintNames        Hint = "names"         // names can be configured
	HintOtherNames   Hint = "other-names"   // the names that were configured are not the host's
	HintFallback     Hint = "fallback"      // the fallback to clear text can be allowed
	HintUnknown      Hint = "sts-policy"    // what an MTA-STS record that cannot be looked up does
)

// OwnFault returns what is wrong on the side of who asks, where a lookup failed for that;
// NoHint where the fault is, or may be, that of the zone.
func OwnFault(err error) Hint {
	le := lookupOf(err)
	switch {
	case err == nil, errors.Is(err, dnssec.ErrBudget):
		return NoHint
	case dnssec.IsShortage(err):
		return HintLimit
	case le == nil:
		return NoHint
	}
	switch r := le.Reason; r.Code {
	case dnssec.ReasonUpstreamStrips, dnssec.ReasonUpstreamCD, dnssec.ReasonUpstreamUnfit:
		return HintStrips
	case dnssec.ReasonNoUsableAnchor, dnssec.ReasonAnchorMismatch:
		return HintAnchor
	case dnssec.ReasonSignatureExpired, dnssec.ReasonSignatureNotYetValid:
		// The root and the top-level domains renew their signatures without fail.
		if r.Zone.IsValid() && r.Zone.NumLabels() <= 1 {
			return HintClock
		}
	}
	switch {
	case errors.Is(le.Kind, dnssec.ErrUnreachable):
		return HintResolver
	case errors.Is(le.Kind, dnssec.ErrRefused) && le.Reason.Code != dnssec.ReasonRcode:
		return HintRefuses
	}
	return NoHint
}

// ownLookup is the sentence about a lookup that failed on this side.
func ownLookup(err error, what string, p *engine.Plan) string {
	text := capital(failedLookup(err, what))
	if OwnFault(err) == HintClock && p != nil {
		return fmt.Sprintf("%s, and the clock of this machine says %s: it is probably wrong.", text, moment(p.Made))
	}
	return text + "."
}

// ownSide follows every fault of this side.
const ownSide = "This says nothing about the domain."
