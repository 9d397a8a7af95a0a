package generate

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A Spec says how one zone is made. What is not said is usual and faultless.
type Spec struct {
	Apex      string // with the dot at its end
	Algorithm uint8
	Denial    Denial
	// Iterations and Salt of NSEC3 (RFC 5155).
	Iterations uint16
	Salt       string
	Split      bool  // a KSK and a ZSK in place of one key
	Standby    bool  // one key more, which signs nothing
	Second     uint8 // a second algorithm, a key of which signs everything too; 0: none
	DS         DSKind
	Handed     Fault // of its DS set, in the parent
	Keys       KeyFault
	Sets       Fault      // of every RRset but the keys
	SOA        Fault      // of the SOA record, which is in every denial
	Chain      ChainFault // of every NSEC3 record
	Spots      bool       // faults of single RRsets and answers, all over the zone
	Cased      bool       // names in upper and lower case
	Moved      bool       // a DNAME at the apex, and nothing below
	Wild       bool       // a wildcard below the apex: no name is absent there
}

// String prints what is not usual.
func (s Spec) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", s.Apex, dns.AlgorithmToString[s.Algorithm], s.Denial)
	if s.Iterations > 0 || s.Salt != "" {
		fmt.Fprintf(&b, " %d/%q", s.Iterations, s.Salt)
	}
	for _, f := range []struct{ name, value string }{
		{"ds", string(s.DS)}, {"handed", string(s.Handed)}, {"keys", string(s.Keys)}, {"sets", string(s.Sets)}, {"soa", string(s.SOA)}, {"chain", string(s.Chain)},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%s", f.name, f.value)
		}
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"split", s.Split}, {"standby", s.Standby}, {"second", s.Second != 0}, {"spots", s.Spots}, {"cased", s.Cased}, {"moved", s.Moved}, {"wild", s.Wild}} {
		if f.set {
			b.WriteString(" " + f.name)
		}
	}
	return b.String()
}

// A Denial is a way to deny names and types.
type Denial string

// Ways of denial.
const (
	NSEC     Denial = "nsec"
	NSEC3    Denial = "nsec3"
	OptOut   Denial = "opt-out" // NSEC3 that leaves unsigned delegations out
	Compact  Denial = "compact" // NSEC made for each answer, no name is absent (RFC 9824)
	Narrow   Denial = "narrow"  // NSEC3 made for each answer, as narrow as can be (RFC 7129 appendix B)
	Unsigned Denial = "unsigned"
)

// hashed reports whether names are denied by their hashes.
func (d Denial) hashed() bool { return d == NSEC3 || d == OptOut || d == Narrow }

// online reports whether denials are made for each answer.
func (d Denial) online() bool { return d == Compact || d == Narrow }

// maxIterations is the number of NSEC3 iterations up to which a denial counts: RFC
// 9276 section 3.2 leaves it to the validator, and 150 is what they took in common.
const maxIterations = 150

// A ChainFault is a fault of every NSEC3 record of a zone.
type ChainFault string

// Faults of NSEC3 records; such records are to be ignored.
const (
	ChainGood    ChainFault = ""
	UnknownHash  ChainFault = "unknown-hash"  // RFC 5155 section 8.1
	UnknownFlags ChainFault = "unknown-flags" // RFC 5155 section 8.2
)

// A Status is what DNSSEC must make of an answer (RFC 4033 section 5).
type Status string

// Statuses.
const (
	Secure   Status = "secure"
	Insecure Status = "insecure"
	Bogus    Status = "bogus"
)

// worse returns the worse of two statuses.
func worse(a, b Status) Status {
	for _, s := range []Status{Bogus, Insecure} {
		if a == s || b == s {
			return s
		}
	}
	return Secure
}
