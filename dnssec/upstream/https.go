package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"

	"github.com/mxauth/mxauth/dnssec"
)

// mediaType is that of RFC 8484 section 6; nothing else is read.
const mediaType = "application/dns-message"

// Limits of DNS over HTTPS.
const (
	// maxHTTPSConns connections go to one server; HTTP/2 needs one, HTTP/1.1 one for
	// each question under way.
	maxHTTPSConns = 8
	// maxHeaderBytes of a response; resolvers send a few hundred.
	maxHeaderBytes = 16 << 10
)

// An https is the way to one DNS over HTTPS server. It follows no redirect, uses no
// proxy, keeps no cookies, and asks no other URI than the configured one (RFC 8484
// section 3); the transport takes no server push.
type https struct {
	url       string
	transport *http.Transport

	mu     sync.Mutex // guards conns and closed
	conns  map[*trackedConn]struct{}
	closed bool
}

func newHTTPS(s *server) *https {
	h := &https{url: "https://" + s.hostPort(portHTTPS) + s.path, conns: make(map[*trackedConn]struct{})}
	h.transport = &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := s.dial(ctx)
			if err != nil {
				return nil, err
			}
			return h.track(conn)
		},
		TLSClientConfig:        tlsConfig(s),
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true,
		MaxConnsPerHost:        maxHTTPSConns,
		MaxIdleConnsPerHost:    maxHTTPSConns,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  deadTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      true,
	}
	return h
}

// A trackedConn is known to its https until it is closed.
type trackedConn struct {
	net.Conn
	h *https
}

func (c *trackedConn) Close() error {
	c.h.mu.Lock()
	delete(c.h.conns, c)
	c.h.mu.Unlock()
	return c.Conn.Close()
}

func (h *https) track(conn net.Conn) (net.Conn, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		conn.Close()
		return nil, ErrClosed
	}
	defer h.mu.Unlock()
	c := &trackedConn{conn, h}
	h.conns[c] = struct{}{}
	return c, nil
}

// close ends every connection. The goroutines of net/http end with them, by
// themselves.
func (h *https) close() {
	h.transport.CloseIdleConnections()
	h.mu.Lock()
	h.closed = true
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
}

// exchange makes one attempt. A question that met a connection which the server was
// just closing is sent again (a DNS question does no harm twice, net/http cannot
// know that).
func (h *https) exchange(ctx context.Context, q query) ([]byte, error) {
	var msg []byte
	var err error
	for try := range maxStreamTries {
		var reused bool
		if try > 0 && !dnssec.TurnFrom(ctx).Send() {
			break
		}
		msg, reused, err = h.post(ctx, q)
		if err == nil || !reused || !errors.Is(err, dnssec.ErrUnreachable) || ctx.Err() != nil {
			break
		}
	}
	return msg, err
}

// post sends the raw message (RFC 8484 sections 4.1 and 6) under the id 0, which
// lets caches work (section 4.1). reused says that the connection failed, and that it
// had been used before.
func (h *https) post(ctx context.Context, q query) (msg []byte, reused bool, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	// DOH8484-6-01: RFC 8484 section 6
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(q.withID(0)[2:]))
	if err != nil {
		return nil, false, &failure{dnssec.ErrUnreachable, err}
	}
	req.Header["Content-Type"] = []string{mediaType}
	req.Header["Accept"] = []string{mediaType}
	req.Header["User-Agent"] = nil
	// RoundTrip, not a Client: nothing follows a redirect.
	resp, err := h.transport.RoundTrip(req) // DOH8484-3-01: RFC 8484 section 3
	if err != nil {
		return nil, reused, netError(ctx, err)
	}
	msg, err = readAnswer(ctx, resp, q)
	return msg, false, err
}

// readAnswer takes the DNS message from an HTTP response.
func readAnswer(ctx context.Context, resp *http.Response, q query) ([]byte, error) {
	defer resp.Body.Close()
	// RFC 8484 section 4.2.1: only a 2xx response holds a DNS answer.
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, &failure{dnssec.ErrUnreachable, fmt.Errorf("HTTP status %d", resp.StatusCode)}
	}
	// DOH8484-4.1-01: RFC 8484 section 4.1
	if mt, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || mt != mediaType {
		return nil, &failure{dnssec.ErrMalformed, fmt.Errorf("media type %.60q instead of %s", resp.Header.Get("Content-Type"), mediaType)}
	}
	msg, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
	if err != nil {
		return nil, netError(ctx, err)
	}
	if len(msg) > maxMessage {
		return nil, &failure{dnssec.ErrMalformed, fmt.Errorf("more than %d octets", maxMessage)}
	}
	if !q.answeredBy(msg, 0) {
		return nil, &failure{dnssec.ErrMalformed, errors.New("the response answers another question")}
	}
	if truncated(msg) {
		return nil, &failure{dnssec.ErrMalformed, errors.New("truncated over HTTPS")}
	}
	if err := walk(msg, nil); err != nil {
		return nil, err
	}
	if age, ok := ageOf(resp.Header); ok {
		reduceTTLs(msg, age) // DOH8484-5.1-01: RFC 8484 section 5.1
	}
	return msg, nil
}

// ageOf reads the Age field (RFC 9111 section 5.1). One that is no number makes
// every TTL zero: the answer has been kept for a time that is not known.
func ageOf(h http.Header) (uint32, bool) {
	v := strings.TrimSpace(h.Get("Age"))
	if v == "" {
		return 0, false
	}
	const most = int64(1) << 31 // RFC 9111 section 1.2.2
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || n > most {
		n = most
	}
	return uint32(n), true
}
