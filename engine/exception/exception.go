// Package exception has what an operator lets pass although a policy forbids it:
//
//	set, err := exception.NewSet([]exception.Exception{{
//		ID: "partner", Domain: "partner.example", Method: "dane",
//		Reason: "their TLSA records are of the old key", Author: "ops", Ends: friday,
//	}})
//
// The engine asks Config.Exceptions for the set with every plan. An exception has an end,
// and each decision that it touches names it.
package exception

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/tlsrpt"
)

// ErrInvalid is wrapped by every error of [NewSet].
var ErrInvalid = fault.New("exception", "bad exception")

// Max bounds the exceptions of one set: they are for the few domains that
// an operator has looked at by hand.
const Max = 10000

// An Effect is how far an exception lowers what is demanded. The zero Effect is
// EffectEncrypt.
type Effect uint8

// Effects.
const (
	EffectEncrypt Effect = iota // TLS is still demanded, without authentication
	EffectMay                   // nothing is demanded
)

var effectWords = [...]string{"encrypt", "may"}

// String returns "encrypt" or "may".
func (e Effect) String() string { return enum.Word(effectWords[:], int(e)) }

// MarshalText prints e as [Effect.String] does.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what [Effect.MarshalText] prints.
func (e *Effect) UnmarshalText(b []byte) error {
	i, err := enum.Index("exception", "effect", effectWords[:], string(b))
	*e = Effect(i)
	return err
}

// An Exception lets messages go where a policy forbids it, for a while: the last resort
// for a domain whose own policy keeps its mail away (RFC 7672 section 9.1 allows it, for
// MTA-STS and WebPKI RFC 9525 section 6.6 does). It is made by a person, for a reason,
// and it ends. It never makes anything authenticated, always leaves a trace in the
// decision, and counts for nothing where the message demands TLS by REQUIRETLS (RFC 8689
// section 4.2.1).
type Exception struct {
	ID     string `json:"id"`           // chosen by the operator, unique
	Domain string `json:"domain"`       // of the next hop: "example.org", or "*.example.org" for all names below; "*" for every one
	MXHost string `json:"mx,omitempty"` // likewise, of the MX host; "" for every one
	// Method is the method whose failure is let pass: "dane", "mta-sts", "pkix"; "" for
	// every one. A failure of another method still counts.
	Method string    `json:"method,omitempty"`
	Effect Effect    `json:"effect"`
	Reason string    `json:"reason"` // why, for the next operator
	Author string    `json:"author"` // who made it
	Ends   time.Time `json:"ends"`   // from then on it has no effect
}

// A Set is a set of exceptions, checked. It is immutable. Nil holds none.
type Set struct {
	all []checkedException
}

type checkedException struct {
	Exception
	domain, host namePattern
}

// A namePattern is a name, or all names below one.
type namePattern struct {
	any   bool
	below bool
	name  rfc6125.Name
}

func parsePattern(s string) (namePattern, error) {
	if s == "*" {
		return namePattern{any: true}, nil
	}
	rest, below := strings.CutPrefix(s, "*.")
	h, err := rfc6125.ParseHost(rest)
	if err != nil {
		return namePattern{}, err
	}
	return namePattern{below: below, name: h.Name()}, nil
}

func (p namePattern) covers(h rfc6125.Host) bool {
	switch {
	case p.any:
		return true
	case p.below:
		return h.Name() != p.name && h.Name().IsSubdomainOf(p.name)
	}
	return h.Name() == p.name
}

// NewSet checks exceptions and makes a set of them. All that is wrong is reported
// together; errors wrap [ErrInvalid].
func NewSet(list []Exception) (*Set, error) {
	var errs []error
	set := &Set{}
	if len(list) > Max {
		return nil, fmt.Errorf("%w: more than %d", ErrInvalid, Max)
	}
	seen := map[string]bool{}
	for i, x := range list {
		bad := func(format string, args ...any) {
			errs = append(errs, &Error{Index: i, ID: x.ID, Why: fmt.Sprintf(format, args...)})
		}
		c := checkedException{Exception: x}
		var err error
		switch {
		case x.ID == "":
			bad("it has no id")
		case seen[x.ID]:
			bad("its id is used twice")
		}
		seen[x.ID] = true
		if c.domain, err = parsePattern(x.Domain); err != nil {
			bad("domain: %v", err)
		}
		c.host = namePattern{any: true}
		if x.MXHost != "" {
			if c.host, err = parsePattern(x.MXHost); err != nil {
				bad("mx host: %v", err)
			}
		}
		switch x.Method {
		case "", "dane", "mta-sts", "pkix":
		default:
			bad("method %.40q is none of dane, mta-sts, pkix", x.Method)
		}
		if int(x.Effect) >= len(effectWords) {
			bad("no such effect: %d", x.Effect)
		}
		if strings.TrimSpace(x.Reason) == "" {
			bad("it gives no reason")
		}
		if strings.TrimSpace(x.Author) == "" {
			bad("it names no author")
		}
		if x.Ends.IsZero() {
			bad("it has no end")
		}
		set.all = append(set.all, c)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return set, nil
}

// An Error says which exception of a list is wrong. It wraps [ErrInvalid].
type Error struct {
	Index int // in the list, from 0
	ID    string
	Why   string
}

// Error returns the number and the id of the exception, and what is wrong with it.
func (e *Error) Error() string {
	return fmt.Sprintf("%v: number %d (%.60q): %s", ErrInvalid, e.Index+1, e.ID, e.Why)
}

// Unwrap returns [ErrInvalid].
func (e *Error) Unwrap() error { return ErrInvalid }

// List returns the exceptions in their order.
func (s *Set) List() []Exception {
	if s == nil {
		return nil
	}
	out := make([]Exception, len(s.all))
	for i := range s.all {
		out[i] = s.all[i].Exception
	}
	return out
}

// Ending returns those in force at now and end within d: the operator is to look at
// them before mail waits again.
func (s *Set) Ending(now time.Time, d time.Duration) []Exception {
	var out []Exception
	for _, x := range s.List() {
		if now.Before(x.Ends) && !now.Add(d).Before(x.Ends) {
			out = append(out, x)
		}
	}
	return out
}

// Find returns the first exception in force for a host; nil if there is none.
func (s *Set) Find(domain, host rfc6125.Host, now time.Time) *Exception {
	if s == nil {
		return nil
	}
	for i := range s.all {
		if x := &s.all[i]; now.Before(x.Ends) && x.domain.covers(domain) && x.host.covers(host) {
			return &x.Exception
		}
	}
	return nil
}

// Covers reports whether the exception lets a failure of this policy pass.
func (x *Exception) Covers(p tlsrpt.PolicyType) bool {
	switch x.Method {
	case "":
		return true
	case "dane":
		return p == tlsrpt.PolicyTLSA
	case "mta-sts":
		return p == tlsrpt.PolicySTS
	}
	return p == "" || p == tlsrpt.PolicyNoFound
}

// A Use counts the decisions that an exception has touched.
type Use struct {
	ID        string
	Decisions uint64    // decisions about hosts that it covers
	Needed    uint64    // those of them in which the message could go by it alone
	Last      time.Time // when it was needed last; zero if never
}
