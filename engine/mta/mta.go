// Package mta is the sending half of a mail server in two screens, to be read and
// copied by those who put mxauth into theirs: it makes a plan, walks over hosts and
// addresses, starts TLS with the plan's configuration, decides before MAIL FROM, and
// says what becomes of the message. It speaks SMTP with net/smtp and keeps no queue;
// mxauth's tests deliver with it to real servers.
package mta

import (
	"context"
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
	HELO   string // the name to say in EHLO; "" means "localhost"
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
	// Of a host that is skipped, or that nobody answers at, the decision says so.
	try := plan.TryOf(i, c.Engine.Decide(plan, i, engine.Peer{}, time.Now()))
	if h.Requirement == engine.Skip {
		return try
	}
	for _, a := range h.Addresses {
		addr := netip.AddrPortFrom(a, h.Port)
		try = c.address(ctx, plan, i, addr, m, true)
		if try.Decision.RetryClear {
			// Nothing demands TLS, and it can not be had on this connection.
			clear := c.address(ctx, plan, i, addr, m, false)
			clear.Decision = try.Decision
			try = clear
		}
		if try.Decision.Event != engine.NoConnection {
			break
		}
	}
	return try
}

// address makes one connection. Unless starttls is false it decides; otherwise the
// decision has been taken on an earlier one.
func (c *Client) address(ctx context.Context, plan *engine.Plan, i int, addr netip.AddrPort, m Message, starttls bool) engine.Try {
	attempt := c.Engine.Attempt(plan, i, addr)
	s, err := c.connect(ctx, addr, plan.Hosts[i].Name.String())
	if err != nil {
		attempt.Failed(engine.NoConnection, err)
		return plan.TryOf(i, attempt.Decision(false))
	}
	defer s.Close()
	if !starttls {
		return c.hand(s, engine.Try{Status: engine.HostTransient}, m, false)
	}
	requiretls := false
	if offered, _ := s.Extension("STARTTLS"); !offered {
		attempt.Failed(engine.NoSTARTTLS, nil)
	} else if err := s.StartTLS(attempt.TLSConfig()); err != nil {
		var reply *textproto.Error
		if errors.As(err, &reply) {
			attempt.Failed(engine.STARTTLSRefused, err)
		} else {
			attempt.Failed(engine.HandshakeFailed, err)
		}
	} else {
		// StartTLS has said EHLO again; what was offered before TLS is forgotten.
		requiretls, _ = s.Extension("REQUIRETLS")
	}
	d := attempt.Decision(requiretls)
	c.Engine.Remember(plan, i, d)
	try := plan.TryOf(i, d)
	if !d.Deliver || d.DropConnection {
		if !d.DropConnection {
			s.Quit() // RFC 3207 section 4.1
		}
		return try
	}
	return c.hand(s, try, m, d.SendRequireTLS)
}

// connect dials, reads the greeting and says EHLO.
func (c *Client) connect(ctx context.Context, addr netip.AddrPort, name string) (*smtp.Client, error) {
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
	s, err := smtp.NewClient(conn, name)
	if err != nil {
		conn.Close()
		return nil, err
	}
	helo := c.HELO
	if helo == "" {
		helo = "localhost"
	}
	if err := s.Hello(helo); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
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
