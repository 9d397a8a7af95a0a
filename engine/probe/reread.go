package probe

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/tlswire"
	"github.com/mxauth/mxauth/pkix"
)

// After a failed handshake this file looks whether the TLS library of this program is the
// cause. That is never assumed. It is proved
//
//   - by a handshake with other settings, where the server refuses the usual ClientHello
//     and answers another one, or
//   - by what the server sends in the clear with TLS 1.2: a certificate that crypto/x509
//     does not parse, a key that crypto/tls refuses, a cipher suite or group that it lacks,
//     or
//   - by the words of the library itself, which says that it refuses a certificate or key.
const (
	// againTimeout bounds the further connections to one address, two at most, together: a
	// server that answers does so within seconds.
	againTimeout = 10 * time.Second
)

// startTLS goes on after the reply to STARTTLS.
type startTLS func(context.Context, *session) end

// complete starts TLS with a configuration and says EHLO inside.
func complete(cfg *tls.Config) startTLS {
	return func(ctx context.Context, s *session) end { return s.handshake(ctx, cfg) }
}

// A firstRecord notes how a server begins its answer to a ClientHello.
type firstRecord struct {
	net.Conn
	head []byte
}

// headSize is a record header and an alert.
const headSize = 7

// Read implements [net.Conn].
func (f *firstRecord) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	f.head = append(f.head, b[:min(n, headSize-len(f.head))]...)
	return n, err
}

// An answer is how a server began its answer to a ClientHello. The zero answer is
// silence.
type answer struct {
	hello bool          // a handshake message: it takes the ClientHello
	alert tlswire.Alert // 0: none
}

// Types of records (RFC 5246 section 6.2.1).
const (
	recordAlert     = 21
	recordHandshake = 22
)

func (f *firstRecord) answer() (a answer) {
	switch {
	case len(f.head) == 0:
	case f.head[0] == recordHandshake:
		a.hello = true
	case f.head[0] == recordAlert && len(f.head) == headSize:
		a.alert = tlswire.Alert(f.head[headSize-1])
	}
	return a
}

// mayBeHello reports whether the server may have failed because of what the ClientHello
// offers.
func (a answer) mayBeHello() bool {
	switch a.alert {
	case tlswire.AlertProtocolVersion, alertAccessDenied, alertInappropriateFallback, alertUnrecognizedName:
		return false
	}
	return !a.hello
}

// Alerts that have another cause than the offer (RFC 8446 section 6.2).
const (
	alertAccessDenied          tlswire.Alert = 49
	alertInappropriateFallback tlswire.Alert = 86
	alertUnrecognizedName      tlswire.Alert = 112
)

// lookAgain looks for the cause of a failed handshake. It returns what the peer showed
// then, and whether it found out more than is known.
func (p *Prober) lookAgain(ctx context.Context, h *engine.Host, target netip.AddrPort, peer engine.Peer, first end) (engine.Peer, bool) {
	if peer.Event != engine.HandshakeFailed || peer.Untried || first.err == nil || first.state.HandshakeComplete || ctx.Err() != nil {
		return peer, false
	}
	ctx, cancel := context.WithTimeout(ctx, min(againTimeout, p.c.Timeout))
	defer cancel()
	l := &again{p: p, h: h, target: target, peer: peer}
	switch {
	case isLocal(first.err):
		return l.read(ctx, first.err, false)
	case first.answer.mayBeHello():
		return l.wider(ctx, first)
	}
	return peer, false
}

// again is a second look at one address.
type again struct {
	p      *Prober
	h      *engine.Host
	target netip.AddrPort
	peer   engine.Peer // what the first connection showed
}

// connect makes one more connection.
func (l *again) connect(ctx context.Context, startTLS startTLS) (engine.Peer, end) {
	var c engine.Conversation
	peer, _, last := l.p.converse(ctx, &c, l.h, l.target, time.Time{}, startTLS)
	return peer, last
}

// wider connects with more cipher suites and without ML-KEM.
func (l *again) wider(ctx context.Context, first end) (engine.Peer, bool) {
	choice := engine.TLSChoice{NoMLKEM: true, Suites: engine.WiderSuites()}
	peer, last := l.connect(ctx, complete(l.h.ClientTLSWith(choice)))
	switch {
	case peer.Event == engine.HandshakeDone:
		return l.widerDone(ctx, first, peer, last)
	case ctx.Err() != nil || peer.Event != engine.HandshakeFailed:
		return l.peer, false
	case isLocal(last.err):
		return l.read(ctx, last.err, false)
	case last.answer.mayBeHello():
		return l.read(ctx, last.err, true)
	}
	return l.peer, false
}

// widerDone takes a handshake that was complete with other settings. That the server
// answers this ClientHello and not the usual one is proved if it takes a suite that is not
// in the usual one and said that it shares none with that, or if the usual one fails a
// second time: servers also fail by chance.
func (l *again) widerDone(ctx context.Context, first end, peer engine.Peer, last end) (engine.Peer, bool) {
	own := &engine.OwnTLS{Obstacle: engine.ObstacleHello}
	if id := last.state.CipherSuite; !isDefaultSuite(id) {
		own.Obstacle, own.Detail = engine.ObstacleSuite, tls.CipherSuiteName(id)
	}
	said := first.answer.alert == tlswire.AlertHandshakeFailure || first.answer.alert == tlswire.AlertInsufficientSecurity
	if own.Obstacle != engine.ObstacleSuite || !said {
		usual, end := l.connect(ctx, complete(l.h.ClientTLS()))
		switch {
		case usual.Event == engine.HandshakeDone:
			return usual, true // it has failed by chance
		case usual.Event != engine.HandshakeFailed || end.answer != first.answer:
			return l.peer, false
		}
	}
	peer.Handshake, peer.OwnTLS = engine.HandshakeWider, own
	return peer, true
}

// read connects with TLS 1.2 at most and reads what the server sends in the clear. failed
// is the error of the handshake before; refused says that the server took neither
// ClientHello of crypto/tls.
func (l *again) read(ctx context.Context, failed error, refused bool) (engine.Peer, bool) {
	var flight *tlswire.Flight
	_, _ = l.connect(ctx, func(_ context.Context, s *session) end {
		f, err := tlswire.Read(s.conn, l.h.SNI)
		flight = f
		return end{err: errors.Join(errRead, err)}
	})
	if flight == nil {
		return l.said(failed)
	}
	own := obstacle(flight, refused)
	if own == nil {
		return l.said(failed)
	}
	unproved, ok := possession(flight)
	switch {
	case !ok:
		return l.peer, false // the host cannot do it either way
	case unproved != "":
		peer := l.peer
		own.Chain, own.Unproved = flight.Chain, unproved
		peer.OwnTLS = own
		return peer, true
	}
	return engine.Peer{
		Event: engine.HandshakeDone, Address: l.target, Raw: flight.Chain, TLS: tls.VersionName(tls.VersionTLS12), Version: tls.VersionTLS12,
		Handshake: engine.HandshakeRead, OwnTLS: own,
	}, true
}

// errRead ends a connection on which TLS is not completed.
var errRead = fault.New("probe", "the handshake is only read")

// said takes the word of the library for the cause, where it gives one. A server that has
// TLS 1.3 only sends its certificate encrypted, so there is nothing else.
func (l *again) said(failed error) (engine.Peer, bool) {
	text := failed.Error()
	for _, w := range ownWords {
		if detail, ok := strings.CutPrefix(text, w.prefix); ok {
			peer := l.peer
			peer.OwnTLS = &engine.OwnTLS{Obstacle: w.obstacle, Detail: strings.TrimSpace(w.keep + detail), Unproved: "the server shows this certificate with TLS 1.3 only, encrypted"}
			return peer, true
		}
	}
	return l.peer, false
}

// ownWords are the words with which crypto/tls of Go 1.26 refuses what others take. A
// test holds them against the library. RSA of 1,023 bits is the one size below 1,024 that
// is taken here.
var ownWords = []struct {
	prefix   string
	obstacle engine.Obstacle
	keep     string
}{
	{"tls: failed to parse certificate from server: ", engine.ObstacleCertificate, ""},
	{"tls: server's certificate contains an unsupported type of public key", engine.ObstacleKey, "unsupported type of public key"},
	{"tls: server sent certificate containing RSA key larger than", engine.ObstacleKey, "RSA key larger than"},
	{"tls: invalid signature by the server certificate: crypto/rsa: 1023-bit keys are insecure", engine.ObstacleKey, "RSA key of 1023 bits"},
	{"tls: invalid signature by the server certificate: crypto/rsa: public exponent too large", engine.ObstacleKey, "RSA exponent too large"},
}

// isLocal reports whether a handshake was ended by this side, through what the server
// sent.
func isLocal(err error) bool {
	var op *net.OpError
	return err != nil && !errors.As(err, &op) && strings.HasPrefix(err.Error(), "tls: ")
}

// obstacle is what crypto/tls cannot do of what was read; nil if it can do all of it.
func obstacle(f *tlswire.Flight, refused bool) *engine.OwnTLS {
	var leaf *x509.Certificate
	for i, der := range f.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return &engine.OwnTLS{Obstacle: engine.ObstacleCertificate, Detail: err.Error()}
		}
		if i == 0 {
			leaf = c
		}
	}
	if why := refusedKey(leaf); why != "" {
		return &engine.OwnTLS{Obstacle: engine.ObstacleKey, Detail: why}
	}
	switch {
	case !refused:
		return nil
	case !implemented(f.Suite):
		return &engine.OwnTLS{Obstacle: engine.ObstacleSuite, Detail: f.Suite.String()}
	case !offersSignature(leaf.SignatureAlgorithm):
		return &engine.OwnTLS{Obstacle: engine.ObstacleSignature, Detail: signatureName(leaf.SignatureAlgorithm)}
	case f.Group != 0 && !hasGroup(f.Group):
		return &engine.OwnTLS{Obstacle: engine.ObstacleGroup, Detail: f.Group.String()}
	}
	return nil
}

// implemented reports whether the wider ClientHello offers a suite.
func implemented(s tlswire.Suite) bool {
	for _, id := range engine.WiderSuites() {
		if id == uint16(s) {
			return true
		}
	}
	return false
}

// offersSignature reports whether crypto/tls lists an algorithm in the extension
// signature_algorithms_cert. OpenSSL does not show a certificate that is signed with
// another one (RFC 8446 section 4.4.2.2).
func offersSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.UnknownSignatureAlgorithm, x509.MD2WithRSA, x509.MD5WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return false
	}
	return true
}

func signatureName(a x509.SignatureAlgorithm) string {
	if a == x509.UnknownSignatureAlgorithm {
		return "an algorithm that it does not know"
	}
	return a.String()
}

// hasGroup reports whether crypto/tls has a group.
func hasGroup(g tlswire.Group) bool {
	switch tls.CurveID(g) {
	case tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521:
		return true
	}
	return false
}

// Limits of RSA keys in crypto/tls and crypto/rsa.
const (
	minOwnRSABits  = 1024
	maxOwnRSABits  = 8192
	maxOwnExponent = 1<<31 - 1
)

// refusedKey says why crypto/tls refuses the key of a certificate; "" if it does not.
func refusedKey(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		switch n := k.N.BitLen(); {
		case n < minOwnRSABits || n > maxOwnRSABits:
			return fmt.Sprintf("an RSA key of %d bits", n)
		case k.E > maxOwnExponent:
			return fmt.Sprintf("an RSA key with the exponent %d", k.E)
		}
		return ""
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return ""
	}
	return cmp.Or(pkix.UnreadKey(c.RawSubjectPublicKeyInfo), "a key of an unknown type")
}

// isDefaultSuite reports whether crypto/tls offers the suite by default.
func isDefaultSuite(id uint16) bool {
	return slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == id })
}
