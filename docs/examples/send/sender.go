package main

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

// connectionLife bounds one connection. RFC 5321 section 4.5.3.2 names timeouts for
// each command; a real server uses those.
const connectionLife = 5 * time.Minute

// A sender sends messages. It may be used by many goroutines at once.
type sender struct {
	engine *engine.Engine
	// helo is the name to say in EHLO: the full name of this machine, with a dot. "" means
	// "localhost", which strict servers refuse.
	helo string
	// dial opens a connection; nil: a net.Dialer.
	dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// A message is for recipients at one next hop.
type message struct {
	from string
	to   []string
	data []byte // header and body
}

// send plans the delivery that r asks for and makes one attempt: hosts in the order of
// the plan, each of a host's addresses until one answers. The MessageAction says what the queue
// does with the message. An error is that of [engine.Engine.Plan].
func (s *sender) send(ctx context.Context, r engine.Request, m message) (engine.MessageAction, error) {
	plan, err := s.engine.Plan(ctx, r)
	if err != nil {
		return engine.MessageAction{}, err
	}
	var tries []engine.Try
	for i := range plan.Hosts {
		try := s.host(ctx, plan, i, m)
		tries = append(tries, try)
		if try.Status == engine.HostDelivered || try.Status == engine.HostRejected {
			break
		}
	}
	return s.engine.Message(plan, tries, engine.Circumstances{}), nil
}

// host tries the addresses of one host in turn (RFC 5321 section 5.1) until one answers.
func (s *sender) host(ctx context.Context, plan *engine.Plan, i int, m message) engine.Try {
	h := &plan.Hosts[i]
	if h.Requirement == engine.Skip || len(h.Addresses) == 0 {
		// Nothing is connected to; the decision says why.
		return plan.TryOf(i, s.engine.Attempt(plan, i, netip.AddrPort{}).Decision(false))
	}
	var try engine.Try
	for _, a := range h.Addresses { // SMTP5321-5.1-08: RFC 5321 section 5.1
		addr := netip.AddrPortFrom(a, h.Port)
		try = s.address(ctx, plan, i, addr, m)
		if try.Decision.Event != engine.NoConnection {
			break
		}
	}
	return try
}

// address makes one connection, decides, and sends if the decision allows it.
func (s *sender) address(ctx context.Context, plan *engine.Plan, i int, addr netip.AddrPort, m message) engine.Try {
	attempt := s.engine.Attempt(plan, i, addr)
	host := plan.Hosts[i].Name.String()
	session, err := s.connect(ctx, addr, host, &attempt.Conversation)
	if session != nil {
		defer session.Close()
	}
	var state tls.ConnectionState
	requiretls := false
	if err == nil && attempt.OffersSTARTTLS() {
		err = session.StartTLS(attempt.TLSConfig()) // and EHLO inside TLS
		state, _ = session.TLSConnectionState()
		if err == nil {
			// What was offered before TLS is forgotten.
			requiretls, _ = session.Extension("REQUIRETLS")
		}
	}
	attempt.Done(state, err)
	d := attempt.Decision(requiretls)
	s.engine.Remember(plan, i, d)
	try := plan.TryOf(i, d)
	switch {
	case d.RetryClear:
		// Nothing demands TLS, and it cannot be had on this connection.
		return s.inClear(ctx, addr, host, try, m)
	case !d.Deliver || session == nil:
		if session != nil && !d.DropConnection {
			session.Quit() // RFC 3207 section 4.1
		}
		return try
	}
	return s.hand(session, try, m, d.SendRequireTLS)
}

// inClear sends over a new connection without STARTTLS, as the decision in try allows.
func (s *sender) inClear(ctx context.Context, addr netip.AddrPort, host string, try engine.Try, m message) engine.Try {
	session, err := s.connect(ctx, addr, host, nil)
	if session != nil {
		defer session.Close()
	}
	if err != nil {
		try.Status, try.Text = engine.HostTransient, err.Error()
		return try
	}
	return s.hand(session, try, m, false)
}

// connect dials, reads the greeting and says EHLO. watch, unless nil, watches the
// connection. With an error the client may be nil; if it is not, it can say QUIT.
func (s *sender) connect(ctx context.Context, addr netip.AddrPort, name string, watch *engine.Conversation) (*smtp.Client, error) {
	dial := s.dial
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
	session, err := smtp.NewClient(conn, name)
	if err != nil {
		conn.Close()
		return nil, err
	}
	helo := s.helo
	if helo == "" {
		helo = "localhost"
	}
	return session, session.Hello(helo)
}

// hand hands the message over and returns what became of it.
func (s *sender) hand(session *smtp.Client, try engine.Try, m message, requiretls bool) engine.Try {
	err := func() error {
		if err := mail(session, m.from, requiretls); err != nil {
			return err
		}
		for _, to := range m.to {
			if err := session.Rcpt(to); err != nil {
				return err
			}
		}
		w, err := session.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(m.data); err != nil {
			return err
		}
		return w.Close()
	}()
	var reply *textproto.Error
	switch {
	case err == nil:
		try.Status = engine.HostDelivered
		session.Quit()
	case errors.As(err, &reply) && reply.Code >= 500:
		try.Status, try.Reply, try.Text = engine.HostRejected, reply.Code, reply.Msg
		session.Quit()
	default:
		try.Status, try.Text = engine.HostTransient, err.Error()
	}
	return try
}

// mail says MAIL FROM, with the REQUIRETLS parameter where the decision says so (RFC
// 8689 section 2), which net/smtp does not know.
func mail(session *smtp.Client, from string, requiretls bool) error {
	if !requiretls {
		return session.Mail(from)
	}
	id, err := session.Text.Cmd("MAIL FROM:<%s> REQUIRETLS", from)
	if err != nil {
		return err
	}
	session.Text.StartResponse(id)
	defer session.Text.EndResponse(id)
	if _, _, err := session.Text.ReadResponse(250); err != nil {
		return fmt.Errorf("MAIL FROM: %w", err)
	}
	return nil
}
