package engine

import (
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
)

// A Requirement says what must hold for one host before MAIL FROM (section 5). It is
// a set of parts, all of which must hold; the zero Requirement is Skip: do not
// connect.
type Requirement uint8

// Requirements and parts of them; `half-dane+sts` is HalfDANE|STS.
const (
	Skip     Requirement = 0      // do not connect
	May      Requirement = 1 << 0 // nothing must hold; STARTTLS is used where offered
	Encrypt  Requirement = 1 << 1 // TLS 1.2 or later; the certificate is not judged
	HalfDANE Requirement = 1 << 2 // TLS and a TLSA match; the host is proven, the choice of host is not
	PKIX     Requirement = 1 << 3 // TLS, a WebPKI path, one of the names asked for
	STS      Requirement = 1 << 4 // pattern matched, TLS, a WebPKI path, the name of the MX host
	DANE     Requirement = 1 << 5 // TLS and a TLSA match of a host found by a secure MX
)

// requirementParts are the parts in the order in which they are printed and judged.
var requirementParts = [...]struct {
	part Requirement
	word string
}{
	{DANE, "dane"}, {HalfDANE, "half-dane"}, {Encrypt, "encrypt"}, {May, "may"}, {STS, "sts"}, {PKIX, "pkix"},
}

// String returns the table's words: "skip", "may", "encrypt", "half-dane", "pkix",
// "sts", "dane", sums as "half-dane+sts".
func (r Requirement) String() string {
	if r == Skip {
		return "skip"
	}
	first := ""
	for i, p := range requirementParts {
		if r&p.part == 0 {
			continue
		}
		if r == p.part {
			return p.word
		}
		if first == "" {
			first = p.word
			continue
		}
		var b strings.Builder
		b.WriteString(first)
		for _, q := range requirementParts[i:] {
			if r&q.part != 0 {
				b.WriteString("+" + q.word)
			}
		}
		return b.String()
	}
	return "invalid"
}

// parseRequirement reads what [Requirement.String] prints.
func parseRequirement(s string) (Requirement, error) {
	if s == "skip" {
		return Skip, nil
	}
	var r Requirement
	for w := range strings.SplitSeq(s, "+") {
		found := false
		for _, p := range requirementParts {
			if p.word == w && r&p.part == 0 {
				r, found = r|p.part, true
			}
		}
		if !found {
			return Skip, fault.Errorf("engine", "no such requirement: %.40q", s)
		}
	}
	return r, nil
}

// MarshalText prints r as [Requirement.String] does.
func (r Requirement) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [Requirement.MarshalText] prints.
func (r *Requirement) UnmarshalText(b []byte) (err error) {
	*r, err = parseRequirement(string(b))
	return err
}

// Has reports whether all parts of part are in r.
func (r Requirement) Has(part Requirement) bool { return part != Skip && r&part == part }

// NeedsTLS reports whether nothing may be sent without TLS.
func (r Requirement) NeedsTLS() bool { return r&^May != 0 }

// tlsa are the parts that TLSA records decide.
const tlsa = DANE | HalfDANE
