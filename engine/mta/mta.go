// Package mta is the sending half of a mail server in two screens, to be read and
// copied by those who put mxauth into theirs: it makes a plan, walks over hosts and
// addresses, starts TLS with the plan's configuration, decides before MAIL FROM, and
// says what becomes of the message. It speaks SMTP with net/smtp and keeps no queue;
// mxauth's tests deliver with it to real servers.
package mta

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"time"

	"github.com/mxauth/mxauth/engine"
)

// connectionLife bounds one connection. RFC 5321 section 4.5.3.2 names time-outs for
// each command; a real server uses those.
const connectionLife = 5 * time.Minute

// A Client sends messages. It may be used by many goroutines at once.
type Client struct {
	Engine *engine.Engine
	// HELO is the name to say in EHLO: the full name of this machine, with a dot. "" means
	// "localhost", which strict servers refuse.
	HELO string
	// Dial opens a connection; nil: a net.Dialer.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// A Message is what is sent to one next hop.
type Message struct {
	From string
	To   []string
	Data []byte // header and body, lines ended by CR LF
}

// Send plans the delivery that r asks for and makes one attempt: hosts in the order of
// the plan, each of a host's addresses until one answers. The Fate says what the queue
// does with the message. An error is that of [engine.Engine.Plan].
func (c *Client) Send(ctx context.Context, r engine.Request, m Message) (engine.Fate, error) {
	plan, err := c.Engine.Plan(ctx, r)
	if err != nil {
		return engine.Fate{}, err
	}
	var tries []engine.Try
	for i := range plan.Hosts {
		try := c.host(ctx, plan, i, m)
		tries = append(tries, try)
		if try.Status == engine.HostDelivered || try.Status == engine.HostRejected {
			break
		}
	}
	return c.Engine.Message(plan, tries, engine.Circumstances{}), nil
}

// host tries the addresses of one host in turn (RFC 5321 section 5.1) until one answers.
func (c *Client) host(ctx context.Context, plan *engine.Plan, i int, m Message) engine.Try {
	h := &plan.Hosts[i]
	if h.Requirement == engine.Skip || len(h.Addresses) == 0 {
		// Nothing is connected to; the decision says why.
		return plan.TryOf(i, c.Engine.Attempt(plan, i, netip.AddrPort{}).Decision(false))
	}
	var try engine.Try
	for _, a := range h.Addresses { // SMTP5321-5.1-08: RFC 5321 section 5.1
		addr := netip.AddrPortFrom(a, h.Port)
		try = c.address(ctx, plan, i, addr, m)
		if try.Decision.Event != engine.NoConnection {
			break
		}
	}
	return try
}

// address makes one connection, decides, and sends if the decision allows it.
func (c *Client) address(ctx context.Context, plan *engine.Plan, i int, addr netip.AddrPort, m Message) engine.Try {
	attempt := c.Engine.Attempt(plan, i, addr)
	host := plan.Hosts[i].Name.String()
	s, err := c.connect(ctx, addr, host, &attempt.Conversation)
	if s != nil {
		defer s.Close()
	}
	var state tls.ConnectionState
	requiretls := false
	if err == nil && attempt.OffersSTARTTLS() {
		err = s.StartTLS(attempt.TLSConfig()) // and EHLO inside TLS
		state, _ = s.TLSConnectionState()
		if err == nil {
			// What was offered before TLS is forgotten.
			requiretls, _ = s.Extension("REQUIRETLS")
		}
	}
	attempt.Done(state, err)
	d := attempt.Decision(requiretls)
	c.Engine.Remember(plan, i, d)
	try := plan.TryOf(i, d)
	switch {
	case d.RetryClear:
		// Nothing demands TLS, and it cannot be had on this connection.
		return c.inClear(ctx, addr, host, try, m)
	case !d.Deliver || s == nil:
		if s != nil && !d.DropConnection {
			s.Quit() // RFC 3207 section 4.1
		}
		return try
	}
	return c.hand(s, try, m, d.SendRequireTLS)
}

// inClear sends over a new connection without STARTTLS, as the decision in try allows.
func (c *Client) inClear(ctx context.Context, addr netip.AddrPort, host string, try engine.Try, m Message) engine.Try {
	s, err := c.connect(ctx, addr, host, nil)
	if s != nil {
		defer s.Close()
	}
	if err != nil {
		try.Status, try.Text = engine.HostTransient, err.Error()
		return try
	}
	return c.hand(s, try, m, false)
}

// connect dials, reads the greeting and says EHLO. watch, unless nil, watches the
// connection. With an error the client may be nil; if it is not, it can say QUIT.
func (c *Client) connect(ctx context.Context, addr netip.AddrPort, name string, watch *engine.Conversation) (*smtp.Client, error) {
	dial := c.Dial
	if dial == nil {
		var d net.Dialer
		dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", a.String())
		}
	}
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(connectionLife)
	if t, ok := ctx.Deadline(); ok && t.Before(end) {
		end = t
	}
	conn.SetDeadline(end)
	if watch != nil {
		conn = watch.Watch(conn)
	}
	s, err := smtp.NewClient(conn, name)
	if err != nil {
		conn.Close()
		return nil, err
	}
	helo := c.HELO
	if helo == "" {
		helo = "localhost"
	}
	return s, s.Hello(helo)
}

// hand hands the message over and says what came of it.
func (c *Client) hand(s *smtp.Client, try engine.Try, m Message, requiretls bool) engine.Try {
	err := func() error {
		if err := mail(s, m.From, requiretls); err != nil {
			return err
		}
		for _, to := range m.To {
			if err := s.Rcpt(to); err != nil {
				return err
			}
		}
		w, err := s.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		return w.Close()
	}()
	var reply *textproto.Error
	switch {
	case err == nil:
		try.Status = engine.HostDelivered
		s.Quit()
	case errors.As(err, &reply) && reply.Code >= 500:
		try.Status, try.Reply, try.Text = engine.HostRejected, reply.Code, reply.Msg
		s.Quit()
	default:
		try.Status, try.Text = engine.HostTransient, err.Error()
	}
	return try
}

// mail says MAIL FROM, with the REQUIRETLS parameter where the decision says so (RFC
// 8689 section 2), which net/smtp does not know.
func mail(s *smtp.Client, from string, requiretls bool) error {
	if !requiretls {
		return s.Mail(from)
	}
	id, err := s.Text.Cmd("MAIL FROM:<%s> REQUIRETLS", from)
	if err != nil {
		return err
	}
	s.Text.StartResponse(id)
	defer s.Text.EndResponse(id)
	if _, _, err := s.Text.ReadResponse(250); err != nil {
		return fmt.Errorf("MAIL FROM: %w", err)
	}
	return nil
}
