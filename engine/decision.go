package engine

import (
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Decision is what one connection turned out to be. The zero Decision lets nothing
// pass.
type Decision struct {
	Host    rfc6125.Host
	Outcome Outcome
	Deliver bool
	Method  Method
	// Requirement is what had to hold. Under audit mode it is the one that failed.
	Requirement Requirement
	Reason      Reason
	// Details are further findings, for reports: each policy's own failure, also of
	// what was only evaluated.
	Details []Reason
	// Presented are the names of the leaf; Expected the references that were compared.
	// Both are safe for a terminal.
	Presented, Expected []string
	// DropConnection: plaintext was injected, or TLS was tried and failed; nothing more
	// may be said on this connection.
	DropConnection bool
	// RetryClear: the message may go, but only over a new connection without STARTTLS.
	RetryClear bool
	// SendRequireTLS: MAIL FROM may (and if the message asks for it, must) carry the
	// REQUIRETLS parameter (RFC 8689 section 2). Never set otherwise.
	SendRequireTLS bool
	// DemandsREQUIRETLS: the message may go only with the REQUIRETLS parameter.
	DemandsREQUIRETLS bool
	// NoREQUIRETLS: the peer proved itself, and does not offer the REQUIRETLS that the
	// message demands (Q4).
	NoREQUIRETLS bool
	// Waived says that a policy forbids the connection and audit mode, or the message's
	// own wish, let the message go.
	Waived bool
	// Exception is the exception by which alone the message may go; nil if none was needed.
	Exception *exception.Exception
	// Event is what the connection came to, Address where it went (zero if unknown).
	Event   Event
	Address netip.AddrPort
	At      time.Time // when it was taken, by which certificates were judged
	// Judged says that what the peer showed was looked at; false where plan, port or time
	// settle the matter. Peer is what it showed; an Event of Peer that is not Event is a
	// session of a TLS version that does not count.
	Judged bool
	Peer   Peer
	// TLSA is what the records of a demanded DANE check came to.
	TLSA dane.Result
	// Lost is the TLS that the host has spoken before and does not now; nil if none.
	Lost *memory.Drop
}
