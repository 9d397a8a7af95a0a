package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"

	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/engine/internal/smtpreply"
)

// An Ending says how a connection ended that came to no mail: typed where [Peer].Detail is
// for people. The zero Ending is EndedOtherwise.
type Ending uint8

// Endings.
const (
	EndedOtherwise   Ending = iota
	EndedClosed             // the server, or what is before it, closed or reset the connection
	EndedTimeout            // no answer in time
	EndedRefused            // nothing listens on the port (RFC 9293: RST)
	EndedUnreachable        // no route from this machine, or a router said so
	EndedAlert              // the server sent a TLS alert
	EndedVersion            // no common TLS version: the server has none from TLS 1.2 on
	EndedNoTLS              // what came in the handshake is no TLS
	EndedNoSMTP             // what came is no SMTP reply
	EndedReply              // an SMTP reply other than the one expected
	EndedCancelled          // by this program
	EndedFamily             // not begun: the host has no address of the family asked for
)

var endingWords = [...]string{"", "closed", "timeout", "refused", "unreachable", "alert", "tls-version", "no-tls", "no-smtp", "reply", "cancelled", "family"}

// String returns the word of the ending; "" for EndedOtherwise.
func (e Ending) String() string { return enum.Word(endingWords[:], int(e)) }

// MarshalText prints e as [Ending.String] does.
func (e Ending) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what [Ending.MarshalText] prints.
func (e *Ending) UnmarshalText(b []byte) error {
	i, err := enum.Index("engine", "ending", endingWords[:], string(b))
	*e = Ending(i)
	return err
}

// endingOf classifies the error that ended a conversation.
func endingOf(err error) Ending {
	var reply *textproto.Error
	var header tls.RecordHeaderError
	var n net.Error
	switch {
	case err == nil:
		return EndedOtherwise
	case errors.As(err, &reply):
		return EndedReply
	case errors.Is(err, context.Canceled):
		return EndedCancelled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return EndedTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return EndedRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return EndedUnreachable
	case isVersion(err):
		return EndedVersion
	case isAlert(err):
		return EndedAlert
	case errors.As(err, &header):
		return EndedNoTLS
	case errors.Is(err, smtpreply.ErrSyntax):
		return EndedNoSMTP
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return EndedClosed
	case errors.As(err, &n) && n.Timeout():
		return EndedTimeout
	}
	return EndedOtherwise
}

// alertProtocolVersion is sent by a server that supports no version the client offered
// (RFC 8446 section 6.2).
const alertProtocolVersion = tls.AlertError(70)

// isVersion reports whether a handshake failed because the versions do not meet. crypto/tls
// has no type for either of the two errors; the texts are held by a test.
func isVersion(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err.Error() == alertProtocolVersion.Error()
	}
	return strings.Contains(err.Error(), "unsupported protocol version")
}

// isAlert reports whether err is a TLS alert that the peer sent.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
