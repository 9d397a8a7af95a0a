package engine

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"sync"

	"github.com/mxauth/mxauth/engine/reason"
)

// errForeignSession ends a handshake that resumes a session of another plan.
var errForeignSession = fmt.Errorf("%w: the session was resumed from a cache that is not bound to the plan", ErrRefused)

// A Conversation records what one SMTP connection showed, from the greeting to the first
// reply inside TLS. The caller watches the connection, speaks SMTP over it with any
// library, and reports the end:
//
//	conn = c.Watch(conn)
//	// greeting, EHLO, STARTTLS, handshake, EHLO
//	c.Done(tlsState, err)
//	peer := c.Peer()
//
// Watch reads the replies along, so the caller need not know which of them means what. A
// caller that reads replies itself may report with [Conversation.Failed] and
// [Conversation.Injected] in place of Watch.
//
// Nothing counts as an established session before Done is called with a completed
// handshake and without an error. It may be used by several goroutines at once.
type Conversation struct {
	mu      sync.Mutex // guards what follows
	address netip.AddrPort
	watched *watchedConn // nil: the connection is not watched
	ended   bool         // Done, Failed or Injected was called
	err     error        // why it ended; nil if nothing failed
	state   tls.ConnectionState
	told    *Peer  // of Failed, Injected, GiveUp and Done; nil: they said no event
	shown   Peer   // what the handshake showed to TLSConfig; HandshakeDone if it came so far
	doubted string // of DoubtName
	refused bool   // TLSConfig ended the handshake
	resumes bool   // TLSConfig allows the session to be resumed
}

// Details of a peer of which nothing was reported.
var (
	errNoHandshake = errors.New("the connection ended before TLS was established")
	errUnreported  = errors.New("how the handshake ended was not reported")
	errNoEHLO      = errors.New("no answer to EHLO inside TLS")
	errEHLORefused = errors.New("EHLO inside TLS was answered with")
)

// Watch returns a connection to use in place of conn, which is a TCP connection before
// its greeting. It reads the SMTP replies and commands that pass, up to the first TLS
// record, and changes none of them. Where plaintext follows the reply to STARTTLS, Read
// fails with an error that wraps [ErrInjected] (RFC 3207 section 4).
func (c *Conversation) Watch(conn net.Conn) net.Conn {
	w := &watchedConn{Conn: conn}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = w
	return w
}

// OffersSTARTTLS reports whether the reply to EHLO on the watched connection lists
// STARTTLS, in any case and followed by any blanks. Client libraries compare it as text
// and miss some.
func (c *Conversation) OffersSTARTTLS() bool {
	c.mu.Lock()
	w := c.watched
	c.mu.Unlock()
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.offersSTARTTLS()
}

// Done reports the end of the conversation. err is the error of the first step that
// failed, nil if EHLO was answered, inside TLS if TLS was started. state is that of the
// TLS connection; zero if there is none, as where err is not nil and the library has
// closed it.
//
// A handshake that is complete is not enough: with TLS 1.3 a server that refuses the
// client says so after it (RFC 8446 section 4.4.2.4), so Done is called when EHLO inside
// TLS has been answered.
func (c *Conversation) Done(state tls.ConnectionState, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.err, c.state, c.told = true, err, state, nil
	if !state.HandshakeComplete && err == nil {
		c.told = &Peer{Event: NoSTARTTLS}
	}
}

// Failed reports an event in place of a handshake, for callers that read the replies
// themselves: [NoConnection], [NoSTARTTLS], [STARTTLSRefused], or [HandshakeFailed] with
// the error of the handshake. Where the connection is watched, what was seen counts
// for more than ev. A handshake that TLSConfig refused stays refused: the peer is known.
func (c *Conversation) Failed(ev Event, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ev >= HandshakeDone {
		ev = HandshakeFailed
	}
	c.ended, c.err, c.state = true, err, tls.ConnectionState{}
	c.told = &Peer{Event: ev, Detail: errText(err)}
}

// Injected reports that plaintext followed the reply to STARTTLS.
func (c *Conversation) Injected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.err, c.state = true, ErrInjected, tls.ConnectionState{}
	p := injectedPeer()
	c.told = &p
}

// GiveUp reports that this program did not connect, or did not wait for the end, because
// time of its own was over; why says which. It is no statement about the peer.
func (c *Conversation) GiveUp(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.err, c.state = true, nil, tls.ConnectionState{}
	c.told = &Peer{Untried: true, Detail: why}
}

// DoubtName reports that the name given in EHLO may be why the server took no mail.
func (c *Conversation) DoubtName(helo string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted = helo
}

// Peer returns what the connection showed. Before the conversation has ended it is not
// a session, whatever the handshake has come to.
func (c *Conversation) Peer() Peer {
	p, _ := c.peer()
	return p
}

// peer is Peer; unconfirmed means that TLS was started and its end was not reported.
func (c *Conversation) peer() (p Peer, unconfirmed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, unconfirmed = c.result()
	p.Address = c.address
	if p.Event != HandshakeDone && !p.Untried {
		p.Ending, p.Junk = endingOf(c.err), cmp.Or(p.Junk, junk(c.err))
	}
	if c.doubted != "" {
		p.DoubtedName = c.doubted
	}
	return p, unconfirmed
}

// result is peer without the address. The caller holds c.mu.
func (c *Conversation) result() (p Peer, unconfirmed bool) {
	begun := c.shown.Event == HandshakeDone
	injected := c.told != nil && c.told.Injected || errors.Is(c.err, ErrInjected) || isPlaintext(c.err)
	if w := c.watched; w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		begun = begun || w.tlsBegun()
		injected = injected || w.injected
	}
	switch {
	case c.told != nil && c.told.Untried:
		return *c.told, false
	case injected:
		return injectedPeer(), false
	case c.refused:
		return c.shown, false
	case c.ended && c.state.HandshakeComplete:
		return c.session(), false
	case begun && !c.ended:
		return Peer{Detail: errUnreported.Error()}, true
	case begun:
		return handshakeError(c.err), false
	case c.watched != nil:
		return c.watched.peer(c.err), false
	case c.told != nil:
		return *c.told, false
	case isTLSError(c.err):
		return handshakeError(c.err), false
	case c.err != nil:
		return Peer{Detail: errText(c.err)}, false
	}
	return Peer{Detail: errNoHandshake.Error()}, false
}

// session is what a completed handshake came to.
func (c *Conversation) session() Peer {
	var reply *textproto.Error
	isReply := errors.As(c.err, &reply)
	switch {
	case c.state.DidResume && !c.resumes:
		return Peer{Event: HandshakeFailed, Detail: errText(errForeignSession)}
	case c.err == nil, isReply && noEHLO(reply.Code):
		return PeerFromState(c.state)
	case isReply:
		return refusedInside(reply)
	case c.state.Version == tls.VersionTLS13 && isDisconnect(c.err):
		// RFC 8446 section 4.4.2.4: a server that refuses the client's certificate, or the
		// lack of one, says so after the client's end of the handshake; and the reset of a
		// server that closes with data unread can overtake its alert.
		return Peer{Event: HandshakeFailed, Detail: errText(c.err)}
	}
	return Peer{Detail: errNoEHLO.Error() + ": " + errText(c.err), Awaited: reason.AwaitedEHLOInside}
}

// handshakeError is what a handshake came to that is not known to be complete.
func handshakeError(err error) Peer {
	var reply *textproto.Error
	switch {
	case errors.As(err, &reply):
		return refusedInside(reply) // a reply after STARTTLS came through TLS
	case err == nil:
		return Peer{Event: HandshakeFailed, Detail: errNoHandshake.Error()}
	}
	return Peer{Event: HandshakeFailed, Detail: errText(err)}
}

// refusedInside is what a server came to that answers EHLO inside TLS with an error: it
// does not take mail now, and TLS is not at fault.
func refusedInside(r *textproto.Error) Peer {
	return Peer{Code: r.Code, Detail: errEHLORefused.Error() + " " + errText(r)}
}

// isPlaintext reports whether a handshake failed because its first octet is text.
func isPlaintext(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) && !isRecord(header.RecordHeader[0])
}

// isTLSError reports whether an error can only come from a TLS handshake.
func isTLSError(err error) bool {
	var header tls.RecordHeaderError
	var alert tls.AlertError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &header) || errors.As(err, &alert) || errors.As(err, &cert) || isAlert(err) || errors.Is(err, ErrRefused)
}

// isDisconnect reports whether the peer ended the connection, by an alert, an end or a
// reset. A timeout is none.
func isDisconnect(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || errors.As(err, &op) && !op.Timeout()
}

// wasRefused reports whether TLSConfig ended the handshake.
func (c *Conversation) wasRefused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}
