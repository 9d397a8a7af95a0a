package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine"
)

const (
	// maxLine is the longest reply line that is read. RFC 5321 section 4.5.3.1.5
	// allows 512 octets; servers that exceed it exist, ones that need more than this
	// do not.
	maxLine = 2048
	// maxLines bounds the lines of one reply: EHLO lists a few dozen extensions.
	maxLines = 128
)

// A session is a conversation with one server.
type session struct {
	conn net.Conn
	r    *bufio.Reader
	helo string
}

func newSession(conn net.Conn, helo string) *session {
	return &session{conn: conn, r: bufio.NewReaderSize(conn, maxLine), helo: helo}
}

// A reply of the server: its code, and the texts of its lines, of which there is one at
// least.
type reply struct {
	code  int
	lines []string
}

// String prints the code and the first line of text.
func (r reply) String() string {
	return fmt.Sprintf("%d %s", r.code, r.lines[0])
}

// offers reports whether an EHLO reply lists the extension; the first line is the
// server's name (RFC 5321 section 4.1.1.1).
func (r reply) offers(keyword string) bool {
	for n, l := range r.lines {
		word, _, _ := strings.Cut(l, " ")
		if n > 0 && strings.EqualFold(word, keyword) {
			return true
		}
	}
	return false
}

var errReply = errors.New("not an SMTP reply")

// read reads one reply, all of its lines (RFC 5321 section 4.2).
func (s *session) read() (reply, error) {
	var r reply
	for {
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				return r, fmt.Errorf("%w: a line of more than %d octets", errReply, maxLine)
			}
			return r, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if len(text) < 3 || !digits(text[:3]) || len(text) > 3 && text[3] != ' ' && text[3] != '-' {
			return r, fmt.Errorf("%w: %.60q", errReply, text)
		}
		code := int(text[0]-'0')*100 + int(text[1]-'0')*10 + int(text[2]-'0')
		if r.code != 0 && code != r.code {
			return r, fmt.Errorf("%w: lines of different codes", errReply)
		}
		r.code = code
		rest := ""
		if len(text) > 4 {
			rest = text[4:]
		}
		r.lines = append(r.lines, rest)
		if len(text) == 3 || text[3] == ' ' {
			return r, nil
		}
		if len(r.lines) == maxLines {
			return r, fmt.Errorf("%w: more than %d lines", errReply, maxLines)
		}
	}
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// say sends a command and reads the reply to it.
func (s *session) say(command string) (reply, error) {
	if _, err := io.WriteString(s.conn, command+"\r\n"); err != nil {
		return reply{}, err
	}
	return s.read()
}

// talk is the whole conversation. The events are those of section 7 of the decision
// table.
func (s *session) talk(ctx context.Context, h *engine.Host) engine.Peer {
	greeting, err := s.read()
	if err != nil {
		return engine.Peer{Detail: "no greeting: " + text(ctx, err)}
	}
	if greeting.code != 220 {
		s.quit()
		return engine.Peer{Code: greeting.code, Detail: "greeted with " + greeting.String()}
	}
	ehlo, err := s.say("EHLO " + s.helo)
	if err != nil {
		return engine.Peer{Detail: "no answer to EHLO: " + text(ctx, err)}
	}
	if ehlo.code == 421 || ehlo.code == 554 {
		s.quit()
		return engine.Peer{Code: ehlo.code, Detail: "EHLO was answered with " + ehlo.String()}
	}
	if ehlo.code != 250 || !ehlo.offers("STARTTLS") {
		// A server that knows no EHLO has no extensions (RFC 5321 section 3.2).
		s.quit()
		p := engine.Peer{Event: engine.NoSTARTTLS, Code: ehlo.code}
		if ehlo.code != 250 {
			p.Detail = "EHLO was answered with " + ehlo.String()
		}
		return p
	}
	// STARTTLS is sent alone and nothing follows it before the handshake (RFC 3207
	// section 4).
	start, err := s.say("STARTTLS")
	if errors.Is(err, errReply) {
		return engine.Peer{Event: engine.STARTTLSRefused, Injected: true, Detail: "STARTTLS was answered with " + text(ctx, err)}
	}
	if err != nil {
		// The connection is gone: whatever is said next is said on a new one.
		return engine.Peer{Event: engine.HandshakeFailed, Detail: "no answer to STARTTLS: " + text(ctx, err)}
	}
	if start.code != 220 {
		s.quit()
		return engine.Peer{Event: engine.STARTTLSRefused, Code: start.code, Detail: start.String()}
	}
	if s.r.Buffered() > 0 {
		// What stands here came in the clear and would be read as if it had come
		// through TLS. The connection is dropped without another word.
		return engine.Peer{Event: engine.STARTTLSRefused, Injected: true, Code: start.code, Detail: "plain data behind the reply to STARTTLS"}
	}
	return s.handshake(ctx, h)
}

// handshake starts TLS and says EHLO inside. Nothing from before is remembered (RFC
// 3207 section 4.2), and no second STARTTLS is sent whatever is offered.
func (s *session) handshake(ctx context.Context, h *engine.Host) engine.Peer {
	conn := tls.Client(s.conn, h.ClientTLS())
	if err := conn.HandshakeContext(ctx); err != nil {
		// RFC 3207 section 4: where TLS can not start, the connection is ended.
		var rh tls.RecordHeaderError
		if errors.As(err, &rh) && !isRecord(rh.RecordHeader[0]) {
			return engine.Peer{Event: engine.STARTTLSRefused, Injected: true, Code: 220, Detail: "plain data behind the reply to STARTTLS"}
		}
		return engine.Peer{Event: engine.HandshakeFailed, Detail: text(ctx, err)}
	}
	peer := engine.PeerFromState(conn.ConnectionState())
	s.conn, s.r = conn, bufio.NewReaderSize(conn, maxLine)
	ehlo, err := s.say("EHLO " + s.helo)
	if err != nil {
		if peer.Version == tls.VersionTLS13 && isAlert(err) {
			// In TLS 1.3 a server's refusal of the handshake arrives with the first
			// data.
			return engine.Peer{Event: engine.HandshakeFailed, Detail: text(ctx, err)}
		}
		peer.Detail = "no answer to EHLO inside TLS: " + text(ctx, err)
		return peer
	}
	peer.RequireTLS = ehlo.code == 250 && ehlo.offers("REQUIRETLS")
	s.quit()
	return peer
}

// isRecord reports whether b is the first octet of a TLS record (RFC 8446 section
// 5.1): change_cipher_spec, alert, handshake, application_data, heartbeat. Text is none.
func isRecord(b byte) bool { return 20 <= b && b <= 24 }

// isAlert reports whether err is a TLS alert that the server sent.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// quit says farewell (RFC 3207 section 4.1, RFC 5321 section 4.1.1.10) and waits a
// little for the answer, so that the server sees an orderly end.
func (s *session) quit() {
	s.conn.SetDeadline(time.Now().Add(quitTimeout))
	s.say("QUIT") // the answer changes nothing
	if c, ok := s.conn.(*tls.Conn); ok {
		c.CloseWrite()
	}
}

// text says in a few words what went wrong.
func text(ctx context.Context, err error) string {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return "cancelled"
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		return "time-out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	}
	return err.Error()
}

// dialText says why there is no connection.
func dialText(ctx context.Context, err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil && ctx.Err() == nil {
		return op.Err.Error()
	}
	return text(ctx, err)
}
