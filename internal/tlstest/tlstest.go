// Package tlstest is a TLS 1.2 server for tests and for the lab that shows any
// certificate and any cipher suite, and goes no further than its first flight:
// ServerHello, Certificate, ServerKeyExchange, ServerHelloDone. What a client makes of
// these is for the client; no session is ever made with it.
package tlstest

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Cipher suites of TLS 1.2 that tests ask for.
const (
	ECDHEECDSAWithAES128GCM       = 0xc02b
	ECDHERSAWithAES128GCM         = 0xc02f
	ECDHERSAWithAES256CBCSHA384   = 0xc028
	ECDHEECDSAWithAES256CBCSHA384 = 0xc024
	ECDHEECDSAWithCamellia        = 0xc072
	ECDHERSAWithCamellia          = 0xc076
	DHERSAWithAES128GCM           = 0x009e
	DHERSAWithCamellia            = 0x0088
	DHEDSSWithAES128GCM           = 0x00a2
	RSAWithAES128GCM              = 0x009c
	RSAWithCamellia               = 0x0041
)

// Named groups.
const (
	X25519 = 29
	P256   = 23
	X448   = 30
)

// A Server answers one ClientHello a connection.
type Server struct {
	Chain [][]byte
	// Key signs; nil: the signature is junk, as of a key that crypto does not have.
	Key crypto.Signer
	// Scheme is the signature algorithm; 0: the usual one of the key with SHA-256.
	Scheme uint16
	// Suites and Groups of the server, best first. Groups nil: X25519 and P-256.
	Suites, Groups []uint16
	// BadSignature spoils the signature.
	BadSignature bool
	// PrimeBits is the size of the modulus of DHE; 0: 2,048.
	PrimeBits int
	// AsksCertificate asks for a certificate of the client.
	AsksCertificate bool
}

// Usual returns the suites that a server with such a key usually has.
func Usual(key crypto.Signer) []uint16 {
	switch key.(type) {
	case *ecdsa.PrivateKey, ed25519.PrivateKey:
		return []uint16{ECDHEECDSAWithAES128GCM}
	}
	return []uint16{ECDHERSAWithAES128GCM}
}

// For returns a server for a certificate of a kind of package certtest, with the suite and
// the signature algorithm that go with its key.
func For(kind string, chain [][]byte, key crypto.Signer) *Server {
	s := &Server{Chain: chain, Key: key, Suites: Usual(key)}
	switch kind {
	case "rsa-pss":
		s.Scheme = 0x0809
	case "ed448":
		s.Scheme, s.Suites = 0x0808, []uint16{ECDHEECDSAWithAES128GCM}
	case "secp256k1":
		s.Scheme, s.Suites = 0x0403, []uint16{ECDHEECDSAWithAES128GCM}
	case "dsa":
		s.Scheme, s.Suites = 0x0402, []uint16{DHEDSSWithAES128GCM}
	}
	return s
}

// Serve answers the client and reads until it has gone. An error says what the client
// sent that is no ClientHello.
func (s *Server) Serve(conn net.Conn) error {
	h, err := readHello(conn)
	if err != nil {
		return err
	}
	suite, ok := first(s.Suites, h.suites)
	groups := s.Groups
	if groups == nil {
		groups = []uint16{X25519, P256}
	}
	group, shared := first(groups, h.groups)
	if !ok || isECDHE(suite) && !shared {
		_, err := conn.Write([]byte{21, 3, 3, 0, 2, 2, 40}) // handshake_failure
		return err
	}
	flight, err := s.flight(h, suite, group)
	if err != nil {
		return err
	}
	for len(flight) > 0 {
		n := min(len(flight), 1<<14)
		if _, err := conn.Write(append([]byte{22, 3, 3, byte(n >> 8), byte(n)}, flight[:n]...)); err != nil {
			return err
		}
		flight = flight[n:]
	}
	_, _ = io.Copy(io.Discard, conn) // an alert, or a key exchange that is not answered
	return nil
}

func first(mine, theirs []uint16) (uint16, bool) {
	for _, m := range mine {
		if slices.Contains(theirs, m) {
			return m, true
		}
	}
	return 0, false
}

func isECDHE(suite uint16) bool { return suite >= 0xc001 && suite <= 0xc09b || suite >= 0xc0ac }

func isStatic(suite uint16) bool {
	switch suite {
	case RSAWithAES128GCM, RSAWithCamellia, 0x009d, 0x002f, 0x0035:
		return true
	}
	return false
}

// Flight returns the handshake messages of the first flight for a client with this
// random.
func (s *Server) Flight(random []byte, suite, group uint16) ([]byte, error) {
	return s.flight(&hello{random: random}, suite, group)
}

func (s *Server) flight(h *hello, suite, group uint16) ([]byte, error) {
	random := make([]byte, 32)
	rand.Read(random)
	var exchange []byte
	if !isStatic(suite) {
		params, err := s.params(suite, group)
		if err != nil {
			return nil, err
		}
		scheme, signature, err := s.sign(slices.Concat(h.random, random, params))
		if err != nil {
			return nil, err
		}
		var b cryptobyte.Builder
		b.AddBytes(params)
		b.AddUint16(scheme)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(signature) })
		exchange = b.BytesOrPanic()
	}
	var b cryptobyte.Builder
	message := func(typ uint8, body func(*cryptobyte.Builder)) {
		b.AddUint8(typ)
		b.AddUint24LengthPrefixed(body)
	}
	message(2, func(b *cryptobyte.Builder) {
		b.AddUint16(0x0303)
		b.AddBytes(random)
		b.AddUint8(0)
		b.AddUint16(suite)
		b.AddUint8(0)
		if h.renegotiation {
			b.AddBytes([]byte{0, 5, 0xff, 1, 0, 1, 0})
		}
	})
	message(11, func(b *cryptobyte.Builder) {
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, der := range s.Chain {
				b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
			}
		})
	})
	if exchange != nil {
		message(12, func(b *cryptobyte.Builder) { b.AddBytes(exchange) })
	}
	if s.AsksCertificate {
		message(13, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 1, 0, 2, 4, 1, 0, 0}) })
	}
	message(14, func(*cryptobyte.Builder) {})
	return b.Bytes()
}

// params are the parameters of the key exchange.
func (s *Server) params(suite, group uint16) ([]byte, error) {
	var b cryptobyte.Builder
	if !isECDHE(suite) {
		bits := s.PrimeBits
		if bits == 0 {
			bits = 2048
		}
		p := make([]byte, bits/8)
		rand.Read(p)
		p[0] |= 0x80
		p[len(p)-1] |= 1
		y := slices.Clone(p)
		y[0] &= 0x7f
		for _, n := range [][]byte{p, {2}, y} {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(n) })
		}
		return b.Bytes()
	}
	var point []byte
	switch group {
	case X25519, P256:
		curve := ecdh.X25519()
		if group == P256 {
			curve = ecdh.P256()
		}
		key, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		point = key.PublicKey().Bytes()
	default:
		point = make([]byte, 56) // X448; no key exchange is computed with it
		rand.Read(point)
	}
	b.AddUint8(3)
	b.AddUint16(group)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(point) })
	return b.Bytes()
}

// sign signs with the key of the server.
func (s *Server) sign(data []byte) (scheme uint16, signature []byte, err error) {
	sum := sha256.Sum256(data)
	digest, opts := sum[:], crypto.SignerOpts(crypto.SHA256)
	scheme = s.Scheme
	switch s.Key.(type) {
	case nil:
		junk := make([]byte, 256)
		rand.Read(junk)
		if scheme == 0 {
			scheme = 0x0401
		}
		return scheme, junk, nil
	case *ecdsa.PrivateKey:
		if scheme == 0 {
			scheme = 0x0403
		}
	case ed25519.PrivateKey:
		scheme, digest, opts = 0x0807, data, crypto.Hash(0)
	default:
		switch scheme {
		case 0:
			scheme = 0x0401
		case 0x0809, 0x0804:
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
	}
	signature, err = s.Key.Sign(rand.Reader, digest, opts)
	if err == nil && s.BadSignature {
		signature[len(signature)-1] ^= 1
	}
	return scheme, signature, err
}

// A hello is what a ClientHello offers.
type hello struct {
	random         []byte
	suites, groups []uint16
	renegotiation  bool
}

// readHello reads the record with the ClientHello.
func readHello(conn net.Conn) (*hello, error) {
	var msg []byte
	for len(msg) < 4 || len(msg) < 4+int(msg[1])<<16+int(msg[2])<<8+int(msg[3]) {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return nil, err
		}
		b := make([]byte, int(head[3])<<8|int(head[4]))
		if _, err := io.ReadFull(conn, b); err != nil {
			return nil, err
		}
		if head[0] != 22 || len(msg)+len(b) > 1<<16 {
			return nil, fmt.Errorf("tlstest: no ClientHello")
		}
		msg = append(msg, b...)
	}
	s := cryptobyte.String(msg[4:])
	h := &hello{}
	var version uint16
	var session, suites, compression, extensions cryptobyte.String
	if msg[0] != 1 || !s.ReadUint16(&version) || !s.ReadBytes(&h.random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&compression) || !s.ReadUint16LengthPrefixed(&extensions) {
		return nil, fmt.Errorf("tlstest: a malformed ClientHello")
	}
	h.suites = numbers(suites)
	for !extensions.Empty() {
		var id uint16
		var body, list cryptobyte.String
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&body) {
			return nil, fmt.Errorf("tlstest: a malformed extension")
		}
		switch id {
		case 10:
			if body.ReadUint16LengthPrefixed(&list) {
				h.groups = numbers(list)
			}
		case 0xff01:
			h.renegotiation = true
		}
	}
	return h, nil
}

func numbers(s cryptobyte.String) (out []uint16) {
	var n uint16
	for s.ReadUint16(&n) {
		out = append(out, n)
	}
	return out
}
