package lab

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
)

// A policyServer is the HTTPS host of one policy. It speaks HTTP/1.1, one request a
// connection.
type policyServer struct {
	body  string
	how   HTTP
	chain *chain
}

// Paths of a policy host (RFC 8461 section 3.2), and of what a redirect leads to.
const (
	wellKnown  = "/.well-known/mta-sts.txt"
	redirected = "/elsewhere/mta-sts.txt"
)

// hugeBody is the size of a policy that is too large, in octets.
const hugeBody = 1 << 20

// serve answers one request.
func (p *policyServer) serve(s *session) {
	if p.how == HTTPHangInHello {
		s.hang()
		return
	}
	c := &tls.Config{
		Certificates:           []tls.Certificate{p.chain.tls},
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}
	if p.how == HTTPTLS10 {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	}
	t := s.handshake(c)
	if t == nil {
		return
	}
	defer t.CloseWrite()
	req, err := http.ReadRequest(bufio.NewReader(t))
	if err != nil {
		return
	}
	s.ep.heard(req.Method + " " + req.Host + req.URL.Path)
	status, head, body := "200 OK", "Content-Type: text/plain; charset=utf-8\r\n", p.body
	switch {
	case p.how == HTTPHang:
		s.hang()
		return
	case p.how == HTTPClose:
		return
	case p.how == HTTPRedirect && req.URL.Path == redirected:
	case req.URL.Path != wellKnown, p.how == HTTP404:
		status, body = "404 Not Found", "there is nothing here\r\n"
	case p.how == HTTP500:
		status, body = "500 Internal Server Error", "it is broken\r\n"
	case p.how == HTTPRedirect:
		status, body = "301 Moved Permanently", ""
		head += "Location: https://" + req.Host + redirected + "\r\n"
	case p.how == HTTPHTML:
		head = "Content-Type: text/html\r\n"
	case p.how == HTTPHuge:
		body += strings.Repeat("# padding\r\n", hugeBody/11)
	}
	length := len(body)
	if p.how == HTTPHangInBody {
		length++
	}
	fmt.Fprintf(t, "HTTP/1.1 %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, head, length, body)
	if p.how == HTTPHangInBody {
		s.hang()
	}
}
