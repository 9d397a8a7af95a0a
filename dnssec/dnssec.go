package dnssec

import (
	"context"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Status says what DNSSEC makes of an answer (RFC 4033 section 5, in the sense
// of RFC 4035 section 4.3). The zero Status is Indeterminate, which must not be
// taken for an answer.
type Status uint8

// The four statuses. They are ordered: of several steps the lowest decides.
// DNSSEC4035-4.3-01: RFC 4035 section 4.3.
const (
	Indeterminate Status = iota // it cannot be known; treated as a lookup failure
	Bogus                       // a signature or proof is wrong or missing where there must be one
	Insecure                    // provably unsigned, or no trust anchor covers the name
	Secure                      // proved from a trust anchor
)

// String returns the status as users see it: "secure", "insecure", "bogus" or
// "indeterminate".
func (s Status) String() string {
	switch s {
	case Secure:
		return "secure"
	case Insecure:
		return "insecure"
	case Bogus:
		return "bogus"
	}
	return "indeterminate"
}

// MarshalText prints s as [Status.String] does.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what [Status.MarshalText] prints.
func (s *Status) UnmarshalText(b []byte) error {
	for _, t := range [...]Status{Indeterminate, Bogus, Insecure, Secure} {
		if t.String() == string(b) {
			*s = t
			return nil
		}
	}
	return fault.Errorf("dnssec", "no such security status: %.20q", b)
}

// A Question is a name and type to look up, always of class IN. It is comparable.
type Question struct {
	Name rfc6125.Name
	Type Type
}

// String prints "example.org MX".
func (q Question) String() string { return q.Name.String() + " " + q.Type.String() }

// A Resolver answers DNS questions, each answer with its security status.
//
// Resolve follows aliases (CNAME and DNAME) to their end. It returns a nil error
// exactly if there is an answer whose Status is Secure or Insecure: data, NODATA
// or NXDOMAIN ([Answer.Kind] says which). Everything else is a lookup failure and
// comes as a [*LookupError] that wraps [ErrLookup]: bogus, indeterminate, SERVFAIL,
// timeout, malformed, alias loop. The Answer that comes with an error holds what
// was learnt before the failure (the alias chain, the server) and is only for
// showing to a person; its Status is Bogus or Indeterminate.
//
// Resolve may be called by many goroutines at once. It returns soon after ctx is
// done. A caller must not change what it returns: answers are shared.
type Resolver interface {
	Resolve(ctx context.Context, q Question) (Answer, error)
}

// A Kind says which of the three possible answers an Answer is.
type Kind uint8

// Kinds of answers; the zero Kind is none.
const (
	Data     Kind = iota + 1 // there are records of the type asked for
	NoData                   // the name exists (or is an empty non-terminal), the type does not
	NXDomain                 // the name does not exist
)

// String returns "data", "nodata", "nxdomain" or "none".
func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case NoData:
		return "nodata"
	case NXDomain:
		return "nxdomain"
	}
	return "none"
}

// An Answer is the result of one question. The zero Answer is none: its Kind is 0
// and its Status Indeterminate.
type Answer struct {
	Question Question
	Kind     Kind
	// Status is that of the whole: secure only if every alias step and the final
	// RRset, or the denial of it, are (RFC 7672 section 2.1.3, RFC 4035 section 5.3.3).
	Status Status
	// OriginalTTL is the TTL in seconds that the records of a secure answer have in their
	// zone, by their RRSIG (RFC 4034 section 3.1.4). The TTL of a record counts down in
	// caches on the way. 0 if it is not known: the answer is insecure or negative, or the
	// status is another's word.
	OriginalTTL uint32
	// Reason says in one line why Status is not Secure (or Secure with a remark);
	// it names the owner and type that decided. Empty where there is nothing to say.
	Reason Reason
	// Chain holds the alias steps from the question's name on, in order. Empty
	// where the name is no alias.
	Chain []Alias
	// Final is the name at the end of Chain, else the question's name.
	Final rfc6125.Name
	// Records are of the type asked for and of owner Final. For a CNAME question
	// the CNAME record itself, and Chain is empty.
	Records []Record
	// Expires is when the answer may no longer be used: received plus the smallest
	// TTL, cut to the end of the signatures it rests on. Negative answers as by RFC
	// 2308 section 5, cut by a named limit.
	Expires time.Time
	// SignaturesEnd is when the first of the signatures ends that a secure answer rests
	// on, from the trust anchor down; the zone's owner has to sign again before. Zero if
	// it is not known: the answer is insecure, or the status is another's word.
	SignaturesEnd time.Time
	// Received is when the answer came from the network; older than now if it was
	// cached.
	Received time.Time
	// Server names the upstream that gave the (last part of the) answer.
	Server string
	// EDE holds the extended errors (RFC 8914) that came with it.
	EDE []ExtendedError
}

// FirstStatus is the status of the first response for the question's name: that
// of its alias record if it is an alias, else that of the answer (s0 of the
// decision table; RFC 7672 section 2.2.2).
func (a Answer) FirstStatus() Status {
	if len(a.Chain) > 0 {
		return a.Chain[0].Status
	}
	return a.Status
}

// An Alias is one step of an alias chain.
type Alias struct {
	Owner, Target rfc6125.Name
	Type          Type   // CNAME; DNAME if the step was synthesised from one
	Status        Status // of this step alone
	TTL           uint32 // seconds
}

// A Reason is a stable word for a cause, with its evidence. The zero
// Reason says nothing.
type Reason struct {
	Code ReasonCode // stable, lower case with hyphens; "" for none
	Name rfc6125.Name
	Type Type   // of the record that decided; 0 if none
	EDE  uint16 // the RFC 8914 info code that fits; 0 ("other") if none does
	Text string // one line for people, safe for a terminal
	// Zone is the zone that has to be put right: the one that holds the record, for a DS
	// its parent. Zero where it is not known.
	Zone rfc6125.Name
	// Denial says that what failed is the proof that the records do not exist.
	Denial bool
	// Number is what was found and Limit what is accepted: NSEC3 iterations. For
	// [ReasonUnsupportedAlgorithm] Number is the algorithm, or with
	// [EDEUnsupportedDigest] the digest type of the DS record.
	Number, Limit uint16
	// At is when the signature ended, or begins, in seconds since 1970; zero for other
	// reasons.
	At int64
}

// String prints the reason for people; "" for the zero Reason.
func (r Reason) String() string {
	if r.Text != "" {
		return r.Text
	}
	return string(r.Code)
}

// An ExtendedError is an RFC 8914 extended DNS error.
type ExtendedError struct {
	Code uint16
	Text string // as sent, control characters escaped, cut to a named limit
}
