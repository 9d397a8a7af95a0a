package lab

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A policyServer is the HTTPS host of one policy. It speaks HTTP/1.1, one request a
// connection.
type policyServer struct {
	state *policyState
	chain *chain
}

// Paths of a policy host (RFC 8461 section 3.2), and of what a redirect leads to.
const (
	wellKnown  = "/.well-known/mta-sts.txt"
	redirected = "/elsewhere/mta-sts.txt"
)

// bigHeader is the size of a header that is too large, in octets.
const bigHeader = 100_000

// errNoName ends a handshake with an alert.
var errNoName = errors.New("no certificate of that name")

// hugeBody is the size of a policy that is too large, in octets.
const hugeBody = 1 << 20

// serve answers one request.
func (p *policyServer) serve(s *session) {
	served, how := p.state.get()
	if how == HTTPHangInHello {
		s.hang()
		return
	}
	c := &tls.Config{
		Certificates:           []tls.Certificate{p.chain.tls},
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}
	if how == HTTPAlert {
		c.Certificates, c.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoName }
	}
	if how == HTTPTLS10 {
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
	status, head, body := "200 OK", "Content-Type: text/plain; charset=utf-8\r\n", served
	switch {
	case how == HTTPHang:
		s.hang()
		return
	case how == HTTPClose:
		return
	case how == HTTPRedirect && req.URL.Path == redirected:
	case req.URL.Path != wellKnown, how == HTTP404:
		status, body = "404 Not Found", "there is nothing here\r\n"
	case how == HTTP304:
		status, body = "304 Not Modified", ""
	case how == HTTPGzip:
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write([]byte(body)) // into memory
		_ = z.Close()
		head, body = head+"Content-Encoding: gzip\r\n", packed.String()
	case how == HTTPBigHeader:
		head += strings.Repeat("X-Padding: "+strings.Repeat("x", 1000)+"\r\n", bigHeader/1000)
	case how == HTTP500:
		status, body = "500 Internal Server Error", "it is broken\r\n"
	case how == HTTPRedirect:
		status, body = "301 Moved Permanently", ""
		head += "Location: https://" + req.Host + redirected + "\r\n"
	case how == HTTPHTML:
		head = "Content-Type: text/html\r\n"
	case how == HTTPHuge:
		body += strings.Repeat("# padding\r\n", hugeBody/11)
	}
	length := len(body)
	if how == HTTPHangInBody {
		length++
	}
	fmt.Fprintf(t, "HTTP/1.1 %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, head, length, body)
	if how == HTTPHangInBody {
		s.hang()
	}
}
