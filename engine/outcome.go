package engine

import (
	"github.com/mxauth/mxauth/engine/internal/enum"
)

// An Outcome is what a delivery is, or would be. The zero Outcome is OutcomeNone,
// over which nothing may be sent.
type Outcome uint8

// Outcomes; DESIGN.md has the words.
const (
	OutcomeNone   Outcome = iota
	Authenticated         // the peer proved itself by a method
	Encrypted             // TLS, not authenticated
	Cleartext             // no TLS
	Refused               // a policy forbids this connection
	Deferred              // a lookup could not be trusted or completed
	Bounced               // the message as a whole: null MX, no such domain, mail loop
)

// outcomeWords are the words of the outcomes, by value.
var outcomeWords = [...]string{"none", "authenticated", "encrypted", "cleartext", "refused", "deferred", "bounced"}

// String returns the word of the outcome: "authenticated", "encrypted", "cleartext",
// "refused", "deferred", "bounced"; "none" for the zero Outcome.
func (o Outcome) String() string {
	if int(o) < len(outcomeWords) {
		return outcomeWords[o]
	}
	return "none"
}

// Deliverable reports whether the message may go over a connection of this outcome.
func (o Outcome) Deliverable() bool { return o == Authenticated || o == Encrypted || o == Cleartext }

// MarshalText prints o as [Outcome.String] does.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what [Outcome.MarshalText] prints.
func (o *Outcome) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "outcome", outcomeWords[:], string(b))
	*o = Outcome(i)
	return err
}

// strength orders outcomes by how much a sender can rely on them, weakest first:
// what is said of a host with several addresses is the weakest of them. Refused is
// weaker than cleartext: a message sent there does not arrive.
func (o Outcome) strength() int {
	switch o {
	case Authenticated:
		return 4
	case Encrypted:
		return 3
	case Cleartext:
		return 2
	case Refused:
		return 1
	}
	return 0
}

// Weaker reports whether o promises less than p: authenticated, encrypted,
// cleartext, refused, and then everything else. It is how the row of a host with
// several addresses is chosen.
func (o Outcome) Weaker(p Outcome) bool { return o.strength() < p.strength() }

// A Method says how a peer proved itself; "" if it did not.
type Method string

// Methods, the strongest first.
const (
	MethodDANEEE Method = "dane-ee" // a TLSA record of usage 3 matched the peer's key or certificate
	MethodDANETA Method = "dane-ta" // a TLSA record of usage 2 matched a CA on the peer's path, and the name
	MethodMTASTS Method = "mta-sts" // an enforced MTA-STS policy: pattern, WebPKI path, name of the MX host
	MethodPKIX   Method = "pkix"    // WebPKI path and a name that the operator, or REQUIRETLS, asked for
)
