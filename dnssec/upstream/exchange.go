package upstream

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/mxauth/mxauth/dnssec"
)

// maxJunk bounds the datagrams, or the messages on one connection, that are read
// and dropped because they answer something else. A resolver sends none; so many
// are an attempt to guess, and the attempt ends.
const maxJunk = 64

var errJunk = &failure{dnssec.ErrMalformed, errors.New("too many messages that answer another question")}

// A server is a Server with what is kept open and known of it.
type server struct {
	Server
	label  string
	cfg    *Config
	health health
	stream *pool  // TCP or TLS
	https  *https // nil but for HTTPS

	judgement judgement
}

func newServer(s Server, cfg *Config) *server {
	srv := &server{Server: s, label: s.String(), cfg: cfg}
	switch s.proto {
	case Plain, TLS:
		srv.stream = newPool(srv)
	case HTTPS:
		srv.https = newHTTPS(srv)
	}
	return srv
}

func (s *server) close() {
	if s.stream != nil {
		s.stream.close()
	}
	if s.https != nil {
		s.https.close()
	}
}

// exchange makes one attempt. The message it returns answers q (under whatever id)
// and can be walked.
func (s *server) exchange(ctx context.Context, q query, w way) ([]byte, error) {
	switch w {
	case viaHTTPS:
		return s.https.exchange(ctx, q)
	case viaTCP:
		return s.stream.exchange(ctx, q)
	}
	msg, err := s.udp(ctx, q)
	if err != nil {
		return nil, err
	}
	// RFC 7766 section 5: a truncated answer is asked for again over TCP; nothing in
	// it is used. One that breaks off without saying so is treated alike.
	if truncated(msg) || walk(msg, nil) != nil { // DNSTCP7766-5-01: RFC 7766 section 5
		if !dnssec.TurnFrom(ctx).Again() {
			return nil, &failure{dnssec.ErrTimeout, errors.New("truncated, and being asked for over TCP already")}
		}
		return s.stream.exchange(ctx, q)
	}
	return msg, nil
}

// udp sends q once, from a new socket and under a new id (RFC 5452 section 9.2),
// and waits for its answer until ctx is done.
func (s *server) udp(ctx context.Context, q query) ([]byte, error) {
	conn, err := s.cfg.Dial(ctx, "udp", s.addr.String())
	if err != nil {
		return nil, netError(ctx, err)
	}
	defer conn.Close()
	// A past deadline wakes the read below when ctx ends.
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	id := randomID()
	if _, err := conn.Write(q.withID(id)[2:]); err != nil {
		return nil, netError(ctx, err)
	}
	buf := make([]byte, maxDatagram)
	for range maxJunk {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, netError(ctx, err)
		}
		if msg := buf[:n]; q.answeredBy(msg, id) {
			return append(make([]byte, 0, n+len(q.msg)), msg...), nil
		}
	}
	return nil, errJunk
}

// maxDatagram is the largest answer read over UDP; queries advertise less, and an
// answer that is longer is cut by the kernel and asked for again over TCP.
const maxDatagram = 4096

// randomID returns an id that cannot be guessed.
func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint16(b[:])
}

// netError says what a failure of the network, or the end of ctx, means.
func netError(ctx context.Context, err error) error {
	// The network keeps ctx's deadline by a timer of its own, which may be the first to
	// tell; whose limit it was must not depend on that.
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return &failure{dnssec.ErrTimeout, context.Cause(ctx)}
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return &failure{dnssec.ErrTimeout, err}
	}
	return &failure{dnssec.ErrUnreachable, err}
}

// dial opens a TCP connection to s, looking its name up first if need be.
func (s *server) dial(ctx context.Context) (net.Conn, error) {
	if s.addr.IsValid() {
		return s.cfg.Dial(ctx, "tcp", s.addr.String())
	}
	addrs, err := s.cfg.Bootstrap(ctx, s.host)
	if err != nil {
		return nil, err
	}
	return s.dialFirst(ctx, addrs)
}

// maxBootstrap bounds how many addresses of one server are tried.
const maxBootstrap = 4

func (s *server) dialFirst(ctx context.Context, addrs []netip.Addr) (net.Conn, error) {
	errs := []error{fmt.Errorf("no address of %s can be reached", s.host)}
	for _, a := range addrs[:min(len(addrs), maxBootstrap)] {
		conn, err := s.cfg.Dial(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), strconv.Itoa(int(s.port))))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
