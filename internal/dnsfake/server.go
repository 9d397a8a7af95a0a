package dnsfake

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"
)

// A Request is one question that arrived.
type Request struct {
	Network string   // "udp", "tcp" or "tls"
	N       int      // counts the requests of this server, from 1
	Conn    int      // counts the connections (for UDP the source ports), from 1
	Msg     *dns.Msg // the question, unpacked
	Raw     []byte   // the question as it came

	send  func([]byte) error
	close func()
}

// Reply sends m.
func (r *Request) Reply(m *dns.Msg) {
	b, err := m.Pack()
	if err != nil {
		panic(err) // the test is wrong
	}
	r.ReplyRaw(b)
}

// ReplyRaw sends octets as they are (over a stream with the length before them).
func (r *Request) ReplyRaw(b []byte) { _ = r.send(b) }

// Close ends the connection that the question came on; nothing over UDP.
func (r *Request) Close() { r.close() }

// A Handler decides what becomes of a request. Each call has a goroutine of its own,
// except that requests of one stream connection are handed over in order if the
// Server was started so.
type Handler func(r *Request)

// TB is what a [Server] needs of a test.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// A Server is a server that [Start] or [StartTLS] started: on a free loopback port, and
// every answer is the [Handler]'s.
type Server struct {
	Addr netip.AddrPort

	h        Handler
	network  string // of its streams
	requests atomic.Int64
	conns    atomic.Int64

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// Start serves UDP and TCP until the test ends.
func Start(tb TB, h Handler) *Server {
	tb.Helper()
	p, l, err := listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0))
	if err != nil {
		tb.Fatal(err)
	}
	s := newServer(l, "tcp", h)
	s.wg.Go(func() { s.servePacket(p) })
	tb.Cleanup(func() { p.Close(); s.stop(l) })
	return s
}

// StartTLS serves TLS alone.
func StartTLS(tb TB, cfg *tls.Config, h Handler) *Server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := newServer(tls.NewListener(l, cfg), "tls", h)
	tb.Cleanup(func() { s.stop(l) })
	return s
}

func newServer(l net.Listener, network string, h Handler) *Server {
	s := &Server{h: h, network: network, open: map[net.Conn]struct{}{}}
	s.Addr = l.Addr().(*net.TCPAddr).AddrPort()
	s.wg.Go(func() { s.serve(l) })
	return s
}

// Requests counts the questions so far; Conns the stream connections.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Conns counts the stream connections that were accepted so far.
func (s *Server) Conns() int { return int(s.conns.Load()) }

// CloseConns ends every open stream connection.
func (s *Server) CloseConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
	}
}

func (s *Server) stop(l net.Listener) {
	l.Close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.CloseConns()
	s.wg.Wait()
}

func (s *Server) handle(r *Request) {
	r.Msg = new(dns.Msg)
	if r.Msg.Unpack(r.Raw) != nil {
		return
	}
	r.N = int(s.requests.Add(1))
	s.h(r)
}

func (s *Server) servePacket(p net.PacketConn) {
	buf := make([]byte, 65535)
	for {
		n, from, err := p.ReadFrom(buf)
		if err != nil {
			return
		}
		r := &Request{Network: "udp", Raw: append([]byte(nil), buf[:n]...), close: func() {}}
		r.Conn = from.(*net.UDPAddr).Port
		r.send = func(b []byte) error { _, err := p.WriteTo(b, from); return err }
		s.wg.Go(func() { s.handle(r) })
	}
}

func (s *Server) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.open[c] = struct{}{}
		s.mu.Unlock()
		n := int(s.conns.Add(1))
		s.wg.Go(func() { s.serveConn(c, n) })
	}
}

func (s *Server) serveConn(c net.Conn, n int) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	var wmu sync.Mutex
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		r := &Request{Network: s.network, Raw: b, Conn: n, close: func() { c.Close() }}
		r.send = func(b []byte) error {
			wmu.Lock()
			defer wmu.Unlock()
			out := binary.BigEndian.AppendUint16(nil, uint16(len(b)))
			_, err := c.Write(append(out, b...))
			return err
		}
		s.wg.Go(func() { s.handle(r) })
	}
}

// Answer is a reply to q that holds records in zone file form in its answer section,
// with RA and an OPT record if q has one. It panics on what does not parse.
func Answer(q *dns.Msg, records ...string) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	for _, s := range records {
		m.Answer = append(m.Answer, RR(s))
	}
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(1232, o.Do())
	}
	return m
}

// Rcode is a reply to q with an rcode and no records but, where soa is not empty, that
// one in the authority section.
func Rcode(q *dns.Msg, rcode int, soa string) *dns.Msg {
	m := Answer(q)
	m.Rcode = rcode
	if soa != "" {
		m.Ns = append(m.Ns, RR(soa))
	}
	return m
}

// Extended adds an extended error (RFC 8914) to m, which must have an OPT record.
func Extended(m *dns.Msg, code uint16, text string) *dns.Msg {
	o := m.IsEdns0()
	o.Option = append(o.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: text})
	return m
}

// RR reads one record in zone file form; it panics on what is none.
func RR(s string) dns.RR {
	rr, err := dns.NewRR(s)
	if err != nil || rr == nil {
		panic("dnsfake: " + s + ": not a record")
	}
	return rr
}

// Name is the question's name in lower case.
func (r *Request) Name() string { return strings.ToLower(r.Msg.Question[0].Name) }
