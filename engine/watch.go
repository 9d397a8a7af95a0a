package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"sync"

	"github.com/mxauth/mxauth/engine/internal/smtpreply"
	"github.com/mxauth/mxauth/engine/reason"
)

// maxCommand is how much of a command line is kept: the verbs that matter are short. RFC
// 5321 section 4.5.3.1.4 allows 512 octets.
const maxCommand = 512

// maxPending bounds the commands whose replies have not come: a client that pipelines
// more than this before STARTTLS is not watched any further.
const maxPending = 16

// phase is how far a watched connection has come.
type phase uint8

const (
	phasePlain    phase = iota // SMTP in the clear, STARTTLS not accepted
	phaseReady                 // 220 to STARTTLS has come, nothing has been sent since
	phaseHello                 // TLS records have been sent, nothing has come back
	phaseTLS                   // TLS records have come back
	phaseUnparsed              // nothing more is parsed: mail, or what is not understood
)

// Details of a peer of which the conversation shows more than its end.
var (
	errUnused    = errors.New("STARTTLS was offered and not used")
	errPlainData = errors.New("unencrypted data after the reply to STARTTLS")
)

// A watchedConn is a connection whose SMTP is read along, up to the first TLS record.
type watchedConn struct {
	net.Conn

	mu      sync.Mutex // guards what follows
	phase   phase
	parser  smtpreply.Parser
	command []byte   // the part of a command line that was written
	pending []string // verbs of commands whose replies have not come

	greeting, ehlo, helo, starttls *smtpreply.Reply
	closing                        *smtpreply.Reply // 421 to nothing that was asked (RFC 5321 section 3.8)
	saidEHLO, saidSTARTTLS         bool
	syntax                         error // of a reply that is none
	injected                       bool
}

// Read implements [net.Conn].
func (w *watchedConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received(b[:n])
	if w.injected {
		// What the client has must not be read as if it had come through TLS.
		return 0, ErrInjected
	}
	return n, err
}

// Write implements [net.Conn].
func (w *watchedConn) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.sent(b)
	w.mu.Unlock()
	return w.Conn.Write(b)
}

// isRecord reports whether b is the first octet of a TLS record (RFC 8446 section 5.1):
// change_cipher_spec, alert, handshake, application_data, heartbeat. Text is none.
func isRecord(b byte) bool { return 20 <= b && b <= 24 }

// received parses what the server sent.
func (w *watchedConn) received(b []byte) {
	if len(b) == 0 {
		return
	}
	switch w.phase {
	case phaseReady:
		// STARTTLS3207-4-04 (RFC 3207 section 4): nothing may come between the reply and
		// the handshake.
		w.injected = true
		return
	case phaseHello:
		if w.injected = w.starttls != nil && !isRecord(b[0]); !w.injected {
			w.phase = phaseTLS
		}
		return
	case phaseTLS, phaseUnparsed:
		return
	}
	for len(b) > 0 && w.phase == phasePlain {
		n, done, err := w.parser.Feed(b)
		b = b[n:]
		if err != nil {
			w.syntax, w.phase = err, phaseUnparsed
			return
		}
		if done {
			w.replied(w.parser.Reply())
		}
	}
	if w.phase == phaseReady && len(b) > 0 {
		w.injected = true
	}
}

// replied takes one reply for the command that it answers.
func (w *watchedConn) replied(r smtpreply.Reply) {
	if w.greeting == nil {
		w.greeting = &r
		return
	}
	if len(w.pending) == 0 {
		if r.Code == 421 {
			w.closing = &r
		}
		return
	}
	verb := w.pending[0]
	w.pending = w.pending[1:]
	switch verb {
	case "EHLO":
		w.ehlo, w.helo = &r, nil
	case "HELO":
		w.helo = &r
	case "STARTTLS":
		w.starttls = &r
		if r.Code == 220 {
			w.phase = phaseReady
		}
	case "QUIT":
		w.phase = phaseUnparsed
	}
}

// sent parses what the client sends.
func (w *watchedConn) sent(b []byte) {
	if len(b) == 0 {
		return
	}
	switch {
	case w.phase == phaseReady, w.phase == phasePlain && len(w.command) == 0 && isRecord(b[0]):
		w.phase = phaseHello
		return
	case w.phase != phasePlain:
		return
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			w.command = append(w.command, b[:min(len(b), maxCommand-len(w.command))]...)
			return
		}
		w.command = append(w.command, b[:min(i, maxCommand-len(w.command))]...)
		line := strings.TrimRight(string(w.command), "\r")
		w.command = w.command[:0]
		b = b[i+1:]
		verb, _, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "EHLO", "HELO":
			w.saidEHLO = true
		case "STARTTLS":
			w.saidSTARTTLS = true
		case "QUIT", "NOOP":
		default:
			// A transaction has begun, and with it what this type is for has ended.
			w.phase = phaseUnparsed
			return
		}
		if w.pending = append(w.pending, verb); len(w.pending) > maxPending {
			w.phase = phaseUnparsed
			return
		}
	}
}

// tlsBegun reports whether TLS records have been sent.
func (w *watchedConn) tlsBegun() bool { return w.phase == phaseHello || w.phase == phaseTLS }

// offersSTARTTLS reports whether EHLO was answered with an offer of STARTTLS.
func (w *watchedConn) offersSTARTTLS() bool {
	return w.ehlo != nil && w.ehlo.Code == 250 && w.ehlo.Offers("STARTTLS")
}

// noEHLO reports whether a reply to EHLO means that the server does not know the command,
// and has no extensions (RFC 5321 section 3.2). Each other refusal is about this client, or
// about now.
func noEHLO(code int) bool { return code == 500 || code == 502 }

// peer says what the connection showed, if TLS was not begun on it. err, nil if there
// was none, is what ended it.
func (w *watchedConn) peer(err error) Peer {
	answered := func(command string, r *smtpreply.Reply) Peer {
		return Peer{Code: r.Code, Detail: command + " was answered with " + r.String()}
	}
	missing := func(what string, awaited reason.Awaited) Peer {
		if w.syntax != nil {
			err = w.syntax
		}
		if err != nil {
			what += ": " + errText(err)
		}
		return Peer{Detail: what, Awaited: awaited, Junk: junk(err)}
	}
	switch {
	case w.injected:
		return injectedPeer()
	case w.starttls != nil && w.starttls.Code == 421:
		// RFC 5321 section 3.8: any command may be answered so.
		return answered("STARTTLS", w.starttls)
	case w.starttls != nil && w.starttls.Code == 220:
		return Peer{Event: HandshakeFailed, Detail: errText(err)}
	case w.starttls != nil:
		return Peer{Event: STARTTLSRefused, Code: w.starttls.Code, Detail: w.starttls.String()}
	case w.saidSTARTTLS && w.syntax != nil:
		return Peer{Event: STARTTLSRefused, Injected: true, Detail: "STARTTLS was answered with " + errText(w.syntax), Junk: junk(w.syntax)}
	case w.closing != nil:
		return Peer{Code: w.closing.Code, Detail: "the server said " + w.closing.String()}
	case w.saidSTARTTLS:
		// The connection is gone: whatever is said next is said on a new one.
		p := missing("no answer to STARTTLS", reason.AwaitedSTARTTLS)
		p.Event = HandshakeFailed
		return p
	case w.greeting == nil:
		return missing("no greeting", reason.AwaitedGreeting)
	case w.greeting.Code != 220:
		return Peer{Code: w.greeting.Code, Detail: "greeted with " + w.greeting.String()}
	case w.ehlo == nil && w.helo == nil:
		return missing("no answer to EHLO", reason.AwaitedEHLO)
	case w.ehlo != nil && w.ehlo.Code != 250 && !noEHLO(w.ehlo.Code):
		return answered("EHLO", w.ehlo)
	case w.helo != nil && w.helo.Code != 250:
		return answered("HELO", w.helo)
	case w.offersSTARTTLS():
		// The client did not use the offer; that is no statement about the host.
		return missing(errUnused.Error(), reason.AwaitedNothing)
	case w.ehlo != nil && w.ehlo.Code != 250:
		p := answered("EHLO", w.ehlo)
		p.Event = NoSTARTTLS
		return p
	case w.ehlo != nil:
		return Peer{Event: NoSTARTTLS, Code: w.ehlo.Code}
	}
	return Peer{Event: NoSTARTTLS, Code: w.helo.Code}
}

// injectedPeer is what a connection showed on which plaintext followed the 220 reply.
func injectedPeer() Peer {
	return Peer{Event: STARTTLSRefused, Injected: true, Code: 220, Detail: errPlainData.Error()}
}

// junk is what came in place of an SMTP reply; "" if err says nothing of it.
func junk(err error) string {
	var syntax *smtpreply.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Junk
	}
	return ""
}

// errText says in a few words what ended a conversation; "" for nil.
func errText(err error) string {
	var reply *textproto.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &reply):
		line, _, _ := strings.Cut(reply.Msg, "\n")
		return fmt.Sprintf("%d %s", reply.Code, line)
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	}
	return err.Error()
}
