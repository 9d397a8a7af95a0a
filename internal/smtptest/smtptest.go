// Package smtptest is a small SMTP server for the tests of package engine and those
// below it: it listens on loopback, speaks as configured, and records what it was
// sent.
package smtptest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// life bounds a conversation, so that a test that goes wrong ends.
const life = 10 * time.Second

// A Server says how to behave. The zero Server greets, offers nothing and takes mail.
type Server struct {
	TLS        *tls.Config // not nil: STARTTLS is offered
	Greeting   string      // "" means "220 test ESMTP"; "-" none, and the connection hangs
	EHLO       string      // a reply to the first EHLO in place of the usual one
	STARTTLS   string      // the reply to STARTTLS; "" means "220 go"; "-" closes
	Inject     string      // sent in the same write after the reply to STARTTLS
	Late       string      // sent after that reply, in place of a handshake
	Before     []string    // extensions offered before TLS
	Inside     []string    // extensions offered inside
	MAIL       string      // the reply to MAIL FROM; "" means 250
	InsideEHLO string      // the reply to EHLO inside TLS in place of the usual one; "-" closes
	AskSNI     func(string)
	Serve      func(net.Conn) // takes the connection after the reply to STARTTLS, in place of TLS
	HangInside bool           // no answer to EHLO inside TLS

	l    net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex // guards what follows
	said []string
	mail []string
	open map[net.Conn]bool
}

// Start listens on 127.0.0.1 and stops when the test ends.
func (s *Server) Start(tb testing.TB) netip.AddrPort {
	tb.Helper()
	a, err := s.Listen()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	return a
}

// Listen listens on 127.0.0.1 until Stop is called.
func (s *Server) Listen() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	s.l, s.open = l, map[net.Conn]bool{}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[c] = true
			s.mu.Unlock()
			s.wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(life))
				s.serve(c)
			})
		}
	})
	return netip.MustParseAddrPort(l.Addr().String()), nil
}

// Stop ends the server and its connections, and waits for them.
func (s *Server) Stop() {
	s.l.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Said returns the commands of all connections, "CONNECT" for each new one and "TLS"
// for each handshake.
func (s *Server) Said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, " | ")
}

// Mail returns the messages that were taken.
func (s *Server) Mail() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mail...)
}

func (s *Server) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, what)
}

func (s *Server) serve(c net.Conn) {
	s.note("CONNECT")
	if s.Greeting == "-" {
		io.Copy(io.Discard, c)
		return
	}
	greeting := s.Greeting
	if greeting == "" {
		greeting = "220 test ESMTP"
	}
	fmt.Fprintf(c, "%s\r\n", greeting)
	r, inside := bufio.NewReader(c), false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.note(line)
		verb, _, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			switch {
			case inside && s.HangInside:
				io.Copy(io.Discard, r)
				return
			case !inside && s.EHLO == "-", inside && s.InsideEHLO == "-":
				return
			case inside && s.InsideEHLO != "":
				fmt.Fprintf(c, "%s\r\n", s.InsideEHLO)
				continue
			case !inside && s.EHLO != "":
				fmt.Fprintf(c, "%s\r\n", s.EHLO)
				continue
			}
			ext := s.Before
			if inside {
				ext = s.Inside
			} else if s.TLS != nil || s.Serve != nil {
				ext = append([]string{"STARTTLS"}, ext...)
			}
			fmt.Fprint(c, "250-test\r\n")
			for _, e := range ext {
				fmt.Fprintf(c, "250-%s\r\n", e)
			}
			fmt.Fprint(c, "250 8BITMIME\r\n")
		case "HELO":
			fmt.Fprint(c, "250 test\r\n")
		case "STARTTLS":
			reply := s.STARTTLS
			if reply == "-" {
				return
			}
			if reply == "" {
				reply = "220 go"
			}
			fmt.Fprintf(c, "%s\r\n%s", reply, s.Inject)
			if !strings.HasPrefix(reply, "220") {
				continue
			}
			if s.Late != "" {
				one := make([]byte, 1)
				io.ReadFull(r, one) // the ClientHello has begun
				s.note("HELLO")
				fmt.Fprint(c, s.Late)
				io.Copy(io.Discard, r)
				return
			}
			if s.Serve != nil {
				s.Serve(c)
				return
			}
			cfg := s.TLS.Clone()
			get := cfg.GetConfigForClient
			cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if s.AskSNI != nil {
					s.AskSNI(h.ServerName)
				}
				if get != nil {
					return get(h)
				}
				return nil, nil
			}
			t := tls.Server(c, cfg)
			if err := t.Handshake(); err != nil {
				return
			}
			s.note("TLS")
			c, r, inside = t, bufio.NewReader(t), true
		case "MAIL":
			reply := s.MAIL
			if reply == "" {
				reply = "250 ok"
			}
			fmt.Fprintf(c, "%s\r\n", reply)
		case "RCPT", "RSET":
			fmt.Fprint(c, "250 ok\r\n")
		case "DATA":
			fmt.Fprint(c, "354 go\r\n")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				b.WriteString(l)
			}
			s.mu.Lock()
			s.mail = append(s.mail, b.String())
			s.mu.Unlock()
			fmt.Fprint(c, "250 taken\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "500 what\r\n")
		}
	}
}
