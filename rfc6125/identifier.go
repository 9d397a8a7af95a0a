package rfc6125

import (
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
)

// A Kind says what sort of identifier a name is (RFC 9525 section 2, RFC 6125
// section 1.8).
type Kind uint8

// Kinds of identifiers. The zero Kind is none of those that can match: an
// address, a URI, a mailbox or another name that a certificate may hold.
const (
	DNSID Kind = iota + 1 // a dNSName of subjectAltName
	SRVID                 // an SRVName of subjectAltName (RFC 4985), RFC 6125 profile only
	CNID                  // a Common Name of host-name form, RFC 6125 profile only
)

// String prints "DNS-ID", "SRV-ID", "CN-ID" or "other".
func (k Kind) String() string {
	switch k {
	case DNSID:
		return "DNS-ID"
	case SRVID:
		return "SRV-ID"
	case CNID:
		return "CN-ID"
	}
	return "other"
}

// ErrService is wrapped by the errors of [NewServiceReference] that concern the
// service: it is no service name.
var ErrService = fault.New("rfc6125", "not a service name")

// A Reference is a name that we expect the peer to prove: built before and
// apart from what the peer presents (RFC 9525 section 6.1.1). There is no
// reference for an IP address: mail is delivered to names, and an address that
// the DNS gave for a name proves nothing about it (RFC 9525 section 2). It is
// immutable and comparable. The zero Reference matches nothing.
type Reference struct {
	host    Host
	service string // of an SRV-ID in lower case, without the underscore; else ""
}

// NewReference returns the reference identifier that a DNS-ID (and, under the
// RFC 6125 profile that allows it, a CN-ID) of the same name proves.
func NewReference(h Host) Reference { return Reference{host: h} }

// ParseReference is [NewReference] of a name in text, as [ParseHost] reads it.
// Errors wrap [ErrHost]; an IP address is refused with [ErrAddress].
func ParseReference(s string) (Reference, error) {
	h, err := ParseHost(s)
	if err != nil {
		return Reference{}, err
	}
	return NewReference(h), nil
}

// NewServiceReference returns the reference identifier that an SRV-ID of this
// service (such as "submission" or "imaps", no underscore) and this name proves
// (RFC 4985, RFC 7817 section 3). No DNS-ID proves it: a client that takes
// either puts both references in its list. It matches only where
// [Options.SRVID] is set. Errors wrap [ErrService], or [ErrHost] for the zero
// Host.
func NewServiceReference(service string, h Host) (Reference, error) {
	if !h.IsValid() {
		return Reference{}, fmt.Errorf("%w: the zero Host", ErrHost)
	}
	s := strings.ToLower(service)
	if !isService(s) {
		return Reference{}, fmt.Errorf("%w: %q", ErrService, text.Cut(service, maxInput))
	}
	return Reference{host: h, service: s}, nil
}

// maxService is the longest service name (RFC 6335 section 5.1).
const maxService = 15

// isService reports whether s, in lower case, has the form of RFC 6335 section
// 5.1: letters, digits and single hyphens inside, at least one letter.
func isService(s string) bool {
	if s == "" || len(s) > maxService || s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return false
	}
	letter := false
	for i := 0; i < len(s); i++ {
		if !isHostOctet(s[i]) || s[i] == '_' {
			return false
		}
		letter = letter || 'a' <= s[i] && s[i] <= 'z'
	}
	return letter
}

// IsValid reports whether r names anything: the zero Reference does not.
func (r Reference) IsValid() bool { return r.host.IsValid() }

// Host returns the name of the reference.
func (r Reference) Host() Host { return r.host }

// Service returns the service of a reference made by [NewServiceReference] in
// lower case without the underscore, else "".
func (r Reference) Service() string { return r.service }

// String prints the reference as an administrator reads it: the host name, with
// "_service." before it if there is one.
func (r Reference) String() string {
	if r.service != "" {
		return "_" + r.service + "." + r.host.String()
	}
	return r.host.String()
}
