package engine

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"

	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
)

// An Event is what a connection came to (section 7). The zero Event is E0.
type Event uint8

// Events.
const (
	NoConnection    Event = iota // E0: no TCP, no greeting, no answer to EHLO or none that takes mail now
	NoSTARTTLS                   // E1: EHLO did not offer STARTTLS
	STARTTLSRefused              // E2: 4yz, 5yz, junk, plaintext after 220
	HandshakeFailed              // E3: alert, no common version, disconnect
	HandshakeDone                // E4: a chain or a raw key was presented
)

var eventWords = [...]string{"no-connection", "no-starttls", "starttls-refused", "handshake-failed", "handshake-done"}

// String returns the word of the event: "no-connection", "no-starttls",
// "starttls-refused", "handshake-failed", "handshake-done".
func (e Event) String() string { return enum.Word(eventWords[:], int(e)) }

// MarshalText prints e as [Event.String] does.
func (e Event) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what [Event.MarshalText] prints.
func (e *Event) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "event", eventWords[:], string(b))
	*e = Event(i)
	return err
}

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

// A Peer is what one connection showed.
type Peer struct {
	Event Event
	// Address is the address and port of the plan that was dialled; zero if unknown.
	// A port that is not the plan's is refused.
	Address netip.AddrPort
	Detail  string // for people: the reply, the alert; escaped when printed
	// Ending is how the connection ended, of E0, E2 and E3.
	Ending Ending
	// Awaited is the reply for want of which the conversation ended, of E0 and E3; also
	// where something else came in its place.
	Awaited reason.Awaited
	// Junk is what came in place of an SMTP reply: quoted and cut, or what is wrong with it.
	// It is "" where nothing came, or a reply.
	Junk string
	// DoubtedName is the name that this program gave in EHLO, where the server ended the
	// conversation then and the name is not a full one; "" otherwise.
	DoubtedName string
	// Untried says that this program did not connect, or gave up for want of time of its
	// own, so that E0 says nothing of the peer.
	Untried bool
	// Injected says that plaintext followed the reply to STARTTLS (E2): the connection
	// must be dropped whatever the requirement.
	Injected bool
	Code     int                 // SMTP reply code of E0, E1, E2; 0 if none
	Chain    []*x509.Certificate // E4: as sent, leaf first
	// Raw is Chain in DER, for callers with another TLS library than Go's: any
	// certificate that a TLS library takes is judged (RFC 7671 section 5.1), also one
	// that crypto/x509 does not parse. It is not looked at if Chain is not empty.
	Raw    [][]byte
	RawKey []byte // E4: SubjectPublicKeyInfo in place of a chain (RFC 7250)
	TLS    string // E4: "TLS 1.3"
	// Version is the TLS version of E4 as in crypto/tls, for callers that have it; 0
	// if not. What is older than TLS 1.2, here or in TLS, is not TLS (RFC 8996).
	Version uint16
	// RequireTLS: EHLO inside TLS offered REQUIRETLS (Q4). An offer before TLS counts
	// for nothing (RFC 3207 section 4.2).
	RequireTLS bool
	// Handshake says how far the handshake came (E4). What is not HandshakeComplete comes
	// from package engine/probe only.
	Handshake Handshake
	// OwnTLS says why the handshake with the usual settings failed (E3, or E4 of another
	// Handshake), where the TLS library of this program is at fault; nil if it is not.
	OwnTLS *OwnTLS
	// OtherKey says that the connection offered one kind of key only ([TLSChoice].Key), after
	// one with the usual settings had shown a certificate with a key of another kind.
	OtherKey bool
	// Other is what the address showed on the other one of these two connections; nil if
	// there was one. The outcome of a decision does not depend on it: it is for the words.
	Other *Peer
}

// Certificates returns what the peer presented, leaf first, from Chain or Raw.
func (p *Peer) Certificates() []*pkix.Certificate {
	if len(p.Chain) > 0 {
		return pkix.FromChain(p.Chain)
	}
	return pkix.ReadChain(p.Raw)
}

// Outdated reports whether the session's version is one that does not count as TLS.
func (p *Peer) Outdated() bool {
	if p.Version != 0 && p.Version < tls.VersionTLS12 {
		return true
	}
	if p.TLS == "" || p.TLS == "TLS 1.3" || p.TLS == "TLS 1.2" {
		return false // as crypto/tls writes them
	}
	v := strings.ToLower(strings.ReplaceAll(p.TLS, " ", ""))
	v = strings.TrimSuffix(v, ".0")
	return strings.HasPrefix(v, "ssl") || v == "tls1" || v == "tlsv1" || v == "tls1.1" || v == "tlsv1.1"
}

// PeerFromState is what a finished handshake showed, for [Engine.Decide].
func PeerFromState(s tls.ConnectionState) Peer {
	return Peer{Event: HandshakeDone, Chain: s.PeerCertificates, TLS: tls.VersionName(s.Version), Version: s.Version}
}
