package engine

import (
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
)

// A Handshake says how far the handshake came in which the peer presented its
// certificate. The zero Handshake is HandshakeComplete.
type Handshake uint8

// Handshakes.
const (
	// HandshakeComplete is a complete handshake with the settings of [Host.ClientTLS].
	HandshakeComplete Handshake = iota
	// HandshakeWider is a complete handshake with other settings of crypto/tls, after one
	// with the usual settings failed: more cipher suites, no ML-KEM ([TLSChoice]).
	HandshakeWider
	// HandshakeRead is none: the certificate was read from a handshake that crypto/tls
	// cannot complete, with a signature that proves the key. A verdict on such a peer says
	// what a sender with another TLS library comes to. Nothing can be sent over it:
	// [Attempt.Decision] never gives it, and a message that demands REQUIRETLS is refused.
	HandshakeRead
)

var handshakeWords = [...]string{"complete", "wider", "read"}

// String returns "complete", "wider" or "read".
func (h Handshake) String() string { return enum.Word(handshakeWords[:], int(h)) }

// MarshalText prints h as [Handshake.String] does.
func (h Handshake) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what [Handshake.MarshalText] prints.
func (h *Handshake) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "handshake", handshakeWords[:], string(b))
	*h = Handshake(i)
	return err
}

// An Obstacle is what the TLS library of this program (crypto/tls with crypto/x509)
// cannot do and others can. The zero Obstacle is ObstacleNone.
type Obstacle uint8

// Obstacles.
const (
	ObstacleNone        Obstacle = iota
	ObstacleCertificate          // it does not parse a certificate of the chain
	ObstacleKey                  // it refuses the key of the certificate
	ObstacleSignature            // it takes no certificate that is signed like the leaf, and says so in its ClientHello
	ObstacleSuite                // it shares no cipher suite with the server
	ObstacleGroup                // it shares no group for the key exchange with the server
	ObstacleHello                // its ClientHello is too large for the server, or for something before it
)

var obstacleWords = [...]string{"none", "certificate", "key", "signature", "cipher-suite", "group", "client-hello"}

// String returns "none", "certificate", "key", "signature", "cipher-suite", "group" or
// "client-hello".
func (o Obstacle) String() string { return enum.Word(obstacleWords[:], int(o)) }

// MarshalText prints o as [Obstacle.String] does.
func (o Obstacle) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what [Obstacle.MarshalText] prints.
func (o *Obstacle) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "obstacle", obstacleWords[:], string(b))
	*o = Obstacle(i)
	return err
}

// OwnTLS says that a handshake failed through the TLS library of this program, not
// through the peer. It is for what was proved: by a handshake with other settings, or by
// what the server sent.
type OwnTLS struct {
	Obstacle Obstacle
	// Detail is the cipher suite or the group that the server takes, or the words of the
	// library; escaped when printed.
	Detail string
	// Chain is what was read of the certificates where the key was not proved: DER, leaf
	// first. Where it was proved they are those of the [Peer].
	Chain [][]byte
	// Unproved says why it is not proved that the peer has the key of its certificate; ""
	// if it is proved, or if there is no certificate.
	Unproved string
}

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

// ownTLS makes the reason of a handshake that failed through the TLS library of this
// program. o is the outcome that it decides, OutcomeNone for a finding.
func (c *connection) ownTLS(part Requirement, o Outcome) Reason {
	own := *c.peer.OwnTLS
	lib := &Library{OwnTLS: own, Handshake: c.peer.Handshake, Outcome: o, Part: part}
	switch {
	case len(own.Chain) > 0:
		lib.Certificates = pkix.ReadChain(own.Chain)
	case len(c.certs) > 0:
		lib.Certificates = c.certs
	default:
		lib.Certificates = pkix.FromChain(c.peer.Chain)
	}
	if own.Unproved != "" && len(own.Chain) > 0 && c.h.DANE.State == dane.Usable {
		lib.Compared = true
		res, err := c.h.DANE.Set.Verify(dane.Peer{Certs: lib.Certificates},
			dane.Options{References: c.h.DANERefs, NoCNID: c.p.Request.Options.NoCNID, At: c.at, Work: c.work(pkix.DefaultWork)})
		if err == nil && res.OK {
			lib.Matched = res.Matched
		}
	}
	return c.reason(reason.OwnTLS, lib)
}

// isOwn reports whether the handshake failed through the TLS library of this program.
func (c *connection) isOwn() bool { return c.event == HandshakeFailed && c.peer.OwnTLS != nil }

// settleRead takes the event of a peer whose certificate was only read: a message that
// demands REQUIRETLS needs a session.
func (c *connection) settleRead() {
	if c.event != HandshakeDone || c.peer.Handshake != HandshakeRead {
		return
	}
	c.peer.RequireTLS = false
	if c.p.Request.RequireTLS && !c.p.Request.NullReturnPath {
		c.event = HandshakeFailed
	}
}

// diagnosed puts the finding beside a verdict that the TLS library of this program does
// not come to with its usual settings.
func (c *connection) diagnosed(v verdict) verdict {
	if c.event != HandshakeDone {
		return v
	}
	if c.peer.Handshake == HandshakeRead {
		v.drop = true // there is no session
	}
	if c.peer.OwnTLS != nil {
		v.details = append(v.details, c.ownTLS(Skip, OutcomeNone))
	}
	return v
}
