package upstream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// echo answers every question with the question: the least that a server can do.
func echo(q []byte) []byte {
	b := bytes.Clone(q)
	b[2] |= 0x80
	return b
}

// echoUDP serves datagrams by echo.
func echoUDP(b *testing.B) string {
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			p.WriteTo(echo(buf[:n]), from)
		}
	}()
	b.Cleanup(func() { p.Close(); <-done })
	return p.LocalAddr().String()
}

// BenchmarkExchangeUDPFloor is a datagram to and fro from a new socket, by the net package
// alone.
func BenchmarkExchangeUDPFloor(b *testing.B) {
	addr := echoUDP(b)
	q := query(b, "mx.example.org", dns.TypeA)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("udp", addr)
		if err != nil {
			b.Fatal(err)
		}
		c.Write(q)
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func exchange(b *testing.B, c *upstream.Client) {
	b.Helper()
	q := query(b, "mx.example.org", dns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Exchange(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExchangeUDP(b *testing.B) {
	s, err := upstream.ParseServer(echoUDP(b))
	if err != nil {
		b.Fatal(err)
	}
	exchange(b, client(b, upstream.Config{Servers: []upstream.Server{s}}))
}

// echoStream serves framed messages by echo.
func echoStream(b *testing.B, l net.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var length [2]byte
				for {
					if _, err := io.ReadFull(c, length[:]); err != nil {
						return
					}
					m := make([]byte, 2+int(binary.BigEndian.Uint16(length[:])))
					copy(m, length[:])
					if _, err := io.ReadFull(c, m[2:]); err != nil {
						return
					}
					m[4] |= 0x80
					if _, err := c.Write(m); err != nil {
						return
					}
				}
			}()
		}
	}()
	b.Cleanup(func() { l.Close(); <-done })
}

// BenchmarkExchangeDoTFloor is a message to and fro on one TLS connection, by crypto/tls
// alone.
func BenchmarkExchangeDoTFloor(b *testing.B) {
	ca := newAuthority()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.serverCert("", []string{"127.0.0.1"}, nil)}})
	if err != nil {
		b.Fatal(err)
	}
	echoStream(b, l)
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.pool})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	q := query(b, "mx.example.org", dns.TypeA)
	msg := append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(msg)
		if _, err := io.ReadFull(c, msg); err != nil {
			b.Fatal(err)
		}
		msg[4] &^= 0x80
	}
}

func BenchmarkExchangeDoT(b *testing.B) {
	ca := newAuthority()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.serverCert("", []string{"127.0.0.1"}, nil)}})
	if err != nil {
		b.Fatal(err)
	}
	echoStream(b, l)
	s, err := upstream.ParseServer("tls://" + l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	exchange(b, client(b, upstream.Config{Servers: []upstream.Server{s}, RootCAs: ca.pool}))
}

func BenchmarkExchangeDoH(b *testing.B) {
	s := startDoH(b, func(w http.ResponseWriter, _ *http.Request, q *dns.Msg) { writeMsg(w, dnsfake.Answer(q)) })
	exchange(b, s.client(b, upstream.Config{}))
}
