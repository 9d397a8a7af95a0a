package engine

import (
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/pkix"
)

// Library is the evidence of [reason.OwnTLS].
type Library struct {
	OwnTLS
	Handshake Handshake // in which the peer was judged
	// Outcome is that of the connection: OutcomeNone where another reason decided and this
	// one is a finding.
	Outcome Outcome
	Part    Requirement // the part of the requirement that needs TLS; Skip where none does
	// Certificates are those that were read, leaf first.
	Certificates []*pkix.Certificate
	// Compared: the certificates whose key was not proved were compared with the TLSA
	// records. Matched is the one that matches; zero if none does.
	Compared bool
	Matched  dane.Record
}

// IsEvidence marks the type.
func (*Library) IsEvidence() {}
