package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/internal/smtpreply"
)

// A session speaks SMTP with one server. What its replies mean for the delivery is
// for the [engine.Conversation] that watches the connection.
type session struct {
	conn net.Conn
	r    *bufio.Reader
	helo string
}

func newSession(conn net.Conn, helo string) *session {
	return &session{conn: conn, r: bufio.NewReaderSize(conn, smtpreply.MaxLine), helo: helo}
}

// read reads one reply.
func (s *session) read() (smtpreply.Reply, error) {
	var p smtpreply.Parser
	for {
		if _, err := s.r.Peek(1); err != nil {
			return smtpreply.Reply{}, err
		}
		b, _ := s.r.Peek(s.r.Buffered())
		n, done, err := p.Feed(b)
		s.r.Discard(n)
		if err != nil {
			return smtpreply.Reply{}, err
		}
		if done {
			return p.Reply(), nil
		}
	}
}

// say sends a command and reads the reply to it.
func (s *session) say(command string) (smtpreply.Reply, error) {
	if _, err := io.WriteString(s.conn, command+"\r\n"); err != nil {
		return smtpreply.Reply{}, err
	}
	return s.read()
}

// replyError is a reply that ends the conversation, as client libraries return it.
func replyError(r smtpreply.Reply) error {
	return &textproto.Error{Code: r.Code, Msg: strings.Join(r.Lines, "\n")}
}

// An end is how a conversation ended.
type end struct {
	state      tls.ConnectionState // zero if TLS was not established
	requireTLS bool                // EHLO inside TLS offered REQUIRETLS
	err        error               // of the first step that failed; nil for a host without STARTTLS
	atEHLO     bool                // that step was EHLO
	answer     answer              // how the server began its answer to the ClientHello
}

// talk is the whole conversation, up to the reply to EHLO inside TLS. startTLS goes on
// after the reply to STARTTLS.
func (s *session) talk(ctx context.Context, c *engine.Conversation, startTLS startTLS) end {
	greeting, err := s.read()
	if err != nil {
		return end{err: err}
	}
	if greeting.Code != 220 {
		s.quit(ctx)
		return end{err: replyError(greeting)}
	}
	ehlo, err := s.say("EHLO " + s.helo)
	if err != nil {
		return end{err: err, atEHLO: true}
	}
	if ehlo.Code != 250 {
		s.quit(ctx)
		return end{err: replyError(ehlo), atEHLO: true}
	}
	if !c.OffersSTARTTLS() {
		s.quit(ctx)
		return end{}
	}
	// STARTTLS3207-4-01 (RFC 3207 section 4): STARTTLS is sent alone, and nothing follows it
	// before the handshake.
	start, err := s.say("STARTTLS")
	if err != nil {
		return end{err: err}
	}
	if start.Code != 220 {
		s.quit(ctx)
		return end{err: replyError(start)}
	}
	return startTLS(ctx, s)
}

// handshake starts TLS and says EHLO inside. Nothing from before is remembered
// (STARTTLS3207-4.2-01, RFC 3207 section 4.2), and no second STARTTLS is sent whatever is
// offered (STARTTLS3207-4.2-02).
func (s *session) handshake(ctx context.Context, cfg *tls.Config) end {
	first := &firstRecord{Conn: s.conn}
	conn := tls.Client(first, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		// STARTTLS3207-4-02 (RFC 3207 section 4): where TLS cannot start, the connection is
		// ended.
		return end{err: err, answer: first.answer()}
	}
	r := end{state: conn.ConnectionState()}
	s.conn, s.r = conn, bufio.NewReaderSize(conn, smtpreply.MaxLine)
	ehlo, err := s.say("EHLO " + s.helo)
	if err != nil {
		r.err, r.atEHLO = err, true
		return r
	}
	s.quit(ctx)
	if ehlo.Code != 250 {
		r.err, r.atEHLO = replyError(ehlo), true
		return r
	}
	r.requireTLS = ehlo.Offers("REQUIRETLS")
	return r
}

// quit says QUIT (STARTTLS3207-4.1-02, RFC 3207 section 4.1; RFC 5321 section 4.1.1.10) and waits a little for
// the answer, so that the server sees an orderly end.
func (s *session) quit(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	s.conn.SetDeadline(time.Now().Add(quitTimeout))
	s.say("QUIT") // the answer changes nothing
	if c, ok := s.conn.(*tls.Conn); ok {
		c.CloseWrite()
	}
}

// ended is err, or that of ctx where ctx ended the conversation.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// isTimeout reports whether a conversation ended because its time was over.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// dialError is why there is no connection, without what every such error begins with.
func dialError(ctx context.Context, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil && ctx.Err() == nil {
		return op.Err
	}
	return ended(ctx, err)
}
