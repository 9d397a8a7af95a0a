package lab

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
)

// A mailServer is one SMTP server.
type mailServer struct {
	smtp  SMTP
	chain *chain
	bySNI map[string]*chain
}

// serverName is what the lab's servers call themselves.
const serverName = "lab.invalid"

// maxLine is the longest command taken, in octets (RFC 5321 section 4.5.3.1.4, twice).
const maxLine = 1024

// serve speaks SMTP on one connection, as the server's state says.
func (m *mailServer) serve(s *session) {
	switch m.smtp.State {
	case HangAtGreeting:
		s.hang()
		return
	case CloseAtGreeting:
		return
	case Greeting421:
		say(s, "421 "+serverName+" try again later")
		return
	case Greeting554:
		say(s, "554 "+serverName+" no mail here")
		return
	case JunkGreeting:
		say(s, "\x1b[31mwelcome to something else\x07")
		s.hang()
		return
	}
	say(s, "220 "+serverName+" ESMTP")
	m.talk(s, s.Conn, false)
}

// talk answers commands until the connection ends.
func (m *mailServer) talk(s *session, c net.Conn, inTLS bool) {
	r := bufio.NewReaderSize(c, maxLine)
	for {
		raw, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		line := strings.TrimRight(string(raw), "\r\n")
		s.ep.heard(line)
		verb, _, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "EHLO", "HELO":
			if !m.hello(s, c, verb, inTLS) {
				return
			}
		case "STARTTLS":
			if inTLS || m.smtp.State == NoSTARTTLS {
				say(c, "503 not now")
				continue
			}
			m.startTLS(s, c)
			return
		case "QUIT":
			say(c, "221 bye")
			return
		case "NOOP", "RSET":
			say(c, "250 ok")
		case "MAIL", "RCPT":
			if m.smtp.NeedsTLS && !inTLS {
				say(c, "530 5.7.0 must issue a STARTTLS command first")
				continue
			}
			say(c, "250 ok")
		case "DATA":
			say(c, "354 go on")
			for line := ""; line != ".\r\n"; {
				raw, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				line = string(raw)
			}
			say(c, "250 taken")
		default:
			say(c, "500 what?")
		}
	}
}

// hello answers EHLO and HELO; false ends the connection.
func (m *mailServer) hello(s *session, c net.Conn, verb string, inTLS bool) bool {
	if !inTLS {
		switch m.smtp.State {
		case EHLO550:
			say(c, "550 no")
			return true
		case CloseAfterEHLO:
			return false
		case HangAfterEHLO:
			s.hang()
			return false
		}
	}
	if m.smtp.State == HELOOnly && verb == "EHLO" {
		say(c, "502 5.5.1 not implemented")
		return true
	}
	lines := []string{serverName + " greets you"}
	if verb == "EHLO" {
		lines = append(lines, "PIPELINING", "8BITMIME")
		if !inTLS && m.smtp.State != NoSTARTTLS {
			lines = append(lines, "STARTTLS")
		}
		if inTLS && m.smtp.RequireTLS {
			lines = append(lines, "REQUIRETLS")
		}
	}
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = "250" + sep + l
	}
	say(c, strings.Join(lines, "\r\n"))
	return true
}

// startTLS answers STARTTLS and goes on inside TLS, if the state lets it come so far.
func (m *mailServer) startTLS(s *session, c net.Conn) {
	switch m.smtp.State {
	case STARTTLS454:
		say(c, "454 4.7.0 TLS not available due to temporary reason")
		m.talk(s, c, false)
		return
	case STARTTLS501:
		say(c, "501 5.5.4 syntax error")
		m.talk(s, c, false)
		return
	case JunkAfterSTARTTLS:
		say(c, "\x00\x1b]0;junk\x07 is no reply")
		return
	case HangSTARTTLS:
		s.hang()
		return
	case Injected:
		say(c, "220 go ahead\r\n250 injected by somebody on the way")
	default:
		say(c, "220 go ahead")
	}
	switch m.smtp.State {
	case JunkHandshake:
		s.readHello()
		say(c, "this is no handshake at all")
		return
	case Alert:
		s.readHello()
		s.alert(alertHandshakeFailure)
		return
	case UnknownName:
		s.readHello()
		s.alert(alertUnrecognizedName)
		return
	case CloseInHandshake:
		s.readHello()
		return
	case HangInHandshake:
		s.hang()
		return
	}
	if m.chain.flight != nil {
		_ = m.chain.flight.Serve(s.Conn) // what a client makes of it is for the client
		return
	}
	if m.smtp.State == ShortHello && !s.shortHello() {
		return
	}
	t := s.handshake(m.tlsConfig())
	if t == nil {
		return
	}
	m.talk(s, t, true)
	_ = t.CloseWrite()
}

// tlsConfig is that of the server, with the versions of its state.
func (m *mailServer) tlsConfig() *tls.Config {
	c := &tls.Config{
		SessionTicketsDisabled: true, // each connection shows its chain
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if other := m.bySNI[strings.ToLower(h.ServerName)]; other != nil {
				return &other.tls, nil
			}
			if second := m.chain.second; second != nil && !takesECDSA(h) {
				return &second.tls, nil
			}
			return &m.chain.tls, nil
		},
	}
	switch m.smtp.State {
	case TLS10Only:
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	case TLS11Only:
		c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	case TLS12Only:
		c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	case TLS13Only:
		c.MinVersion = tls.VersionTLS13
	case RSAExchangeOnly:
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384}
	}
	return c
}

// takesECDSA reports whether a client takes a certificate with an ECDSA key.
// [tls.ClientHelloInfo.SupportsCertificate] would look at names as well.
func takesECDSA(h *tls.ClientHelloInfo) bool {
	return slices.Contains(h.SupportedVersions, tls.VersionTLS13) || slices.ContainsFunc(h.CipherSuites, func(id uint16) bool {
		return strings.HasPrefix(tls.CipherSuiteName(id), "TLS_ECDHE_ECDSA_")
	})
}

// say writes a reply in one packet. A client that has gone is met at the next read.
func say(c net.Conn, text string) { _, _ = fmt.Fprint(c, text+"\r\n") }
