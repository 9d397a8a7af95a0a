package reason

import (
	"crypto/x509"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Evidence is what a rule saw: a pointer to one of the types below, or to NoTLS, Library,
// Overridden or Underlying of package engine.
type Evidence interface{ IsEvidence() }

// LookupFailed is a DNS lookup that failed.
type LookupFailed struct {
	Owner rfc6125.Name // of the TLSA question; zero for other types
	Err   error
}

// Denied is a name or a type that DNS says does not exist.
type Denied struct {
	Name   rfc6125.Name
	Status dnssec.Status // of the denial
}

// SelfListed is the MX host that is this server.
type SelfListed struct{ Self rfc6125.Host }

// PolicyFailed is a failed lookup of the MTA-STS record, or a failed fetch of the policy.
type PolicyFailed struct {
	Err     error
	Fetched time.Time // of the cached policy that stays in force; zero if none
}

// PolicyUnknown says why it is not known whether the domain has an MTA-STS policy.
type PolicyUnknown struct {
	Record bool  // the record did not come in time; else the policy
	Err    error // of the store, or of the limit of this program; nil if neither is at fault
}

// PolicyHosts are the mx patterns of an MTA-STS policy.
type PolicyHosts struct{ Patterns []sts.Pattern }

// ConfiguredNames are the names that the operator set for a next hop.
type ConfiguredNames struct{ Names []rfc6125.Host }

// Lost is a protection that the domain once proved and does not have now.
type Lost struct {
	Drop memory.Drop
	Hold time.Time // until when mail waits for it; zero: it does not wait
}

// MemoryUnread is a memory that cannot say what the domain once proved.
type MemoryUnread struct {
	Err  error
	Hold bool // mail waits for it
}

// Shown is a certificate or key and what it was compared with.
type Shown struct {
	Presented  []string            // names of the leaf
	References []rfc6125.Reference // of which one had to match
	CommonName CommonName
	Err        error       // of the path; nil if it is good
	Unread     string      // what pkix.Certificate.Unread returns of the leaf, if that is why nothing matched
	Record     dane.Record // the TLSA record that matched; zero if none
	Name       string      // the name that was proved, safe for a terminal; "" if none
	// Chain is what was presented, leaf first; RawKey is in its place for a bare key.
	Chain  []*x509.Certificate
	RawKey []byte
	At     time.Time // of the judgement
	// Pair is set where the host has shown two certificates, of which this is one.
	Pair *Pair
}

// A Pair are the two certificates of a host of which a client sees one or the other, by the
// kind of key that it takes.
type Pair struct {
	Key, Other    x509.PublicKeyAlgorithm // of the one that is judged, of the other one
	OtherChain    []*x509.Certificate     // leaf first
	OtherAccepted bool                    // no check of the other one fails
	OtherMatched  dane.Record             // the TLSA record that the other one matches; zero if none
}

// CommonName says why a reference that is the subject's Common Name did not count. The
// zero CommonName is CommonNameOther: no reference is.
type CommonName uint8

// Values of CommonName.
const (
	CommonNameOther   CommonName = iota
	CommonNameNever              // never counts (RFC 8461 section 4.2, RFC 9525 section 2)
	CommonNameOff                // this operator takes none (Options.NoCNID of package engine)
	CommonNameWithSAN            // counts only without a subjectAltName (RFC 6125 section 6.4.4)
)

// Expired is a plan whose time is over.
type Expired struct{ At time.Time }

// OtherPort is the port that was connected to in place of the plan's.
type OtherPort struct{ Port uint16 }

// Reply is the SMTP reply that rejected a message.
type Reply struct {
	Code int
	Text string // escaped when printed
}

// IsEvidence marks the type.
func (*LookupFailed) IsEvidence() {}

// IsEvidence marks the type.
func (*Denied) IsEvidence() {}

// IsEvidence marks the type.
func (*SelfListed) IsEvidence() {}

// IsEvidence marks the type.
func (*PolicyFailed) IsEvidence() {}

// IsEvidence marks the type.
func (*PolicyUnknown) IsEvidence() {}

// IsEvidence marks the type.
func (*PolicyHosts) IsEvidence() {}

// IsEvidence marks the type.
func (*ConfiguredNames) IsEvidence() {}

// IsEvidence marks the type.
func (*Lost) IsEvidence() {}

// IsEvidence marks the type.
func (*MemoryUnread) IsEvidence() {}

// IsEvidence marks the type.
func (*Shown) IsEvidence() {}

// IsEvidence marks the type.
func (*Expired) IsEvidence() {}

// IsEvidence marks the type.
func (*OtherPort) IsEvidence() {}

// IsEvidence marks the type.
func (*Reply) IsEvidence() {}
