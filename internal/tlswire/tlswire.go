// Package tlswire reads the part of a TLS 1.2 handshake that a server sends in the clear
// (RFC 5246 section 7.4):
//
//	client                          server
//	ClientHello            -->
//	                       <--      ServerHello         cipher suite, random
//	                       <--      Certificate         certificates, as bytes
//	                       <--      ServerKeyExchange   parameters, signed with the key
//	                       <--      ServerHelloDone
//
// The signature covers both randoms and the parameters, so it proves that the server has
// the private key, before the handshake is complete. Nothing is encrypted, nothing is
// sent after the ClientHello but an alert: this is not a TLS stack.
//
// The offer holds what mail servers are seen to ask for and crypto/tls does not have
// (DHE, CBC with SHA-384, Camellia, X448), in addition to its own. Certificates are not
// parsed here, and signatures are not checked here.
package tlswire

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MaxHandshake bounds the bytes of one flight. OpenSSL takes chains of 100 KB,
	// crypto/tls of 256 KB.
	MaxHandshake = 256 << 10
	// maxRecords bounds the records of one flight: 256 KB in records of 512 bytes, the
	// smallest limit that RFC 6066 section 4 knows. Empty records count.
	maxRecords = 512
	// maxRecord is the largest plaintext of a record (RFC 5246 section 6.2.1).
	maxRecord = 1 << 14
	// maxCertificates bounds the chain, as package evidence does.
	maxCertificates = 64
)

// ErrFlight is wrapped by the errors of [Read] about what the server sent.
var ErrFlight = errors.New("tlswire: not the first flight of a TLS 1.2 server")

// An Alert is a fatal alert of the server (RFC 5246 section 7.2).
type Alert uint8

// Alerts that say why a ClientHello is refused.
const (
	AlertHandshakeFailure     Alert = 40
	AlertProtocolVersion      Alert = 70
	AlertInsufficientSecurity Alert = 71
)

// Error implements error.
func (a Alert) Error() string { return fmt.Sprintf("tlswire: the server sent alert %d", uint8(a)) }

// A Flight is the first flight of a server.
type Flight struct {
	Suite Suite
	// Group is the named group of an ECDHE suite, 0 of another.
	Group Group
	// Prime is the size of the modulus of a DHE suite in bits, 0 of another.
	Prime int
	Chain [][]byte // DER, as sent, leaf first
	// Scheme, Signed and Signature are the signature over both randoms and the
	// parameters. They are empty where the suite signs nothing ([Suite.Signs]).
	Scheme    Scheme
	Signed    []byte
	Signature []byte
}

// Types of records and of handshake messages (RFC 5246 sections 6.2.1 and 7.4).
const (
	recordAlert     = 21
	recordHandshake = 22

	typeClientHello        = 1
	typeServerHello        = 2
	typeCertificate        = 11
	typeServerKeyExchange  = 12
	typeCertificateRequest = 13
	typeServerHelloDone    = 14
)

const version12 = 0x0303

// Read sends a ClientHello for the name (no SNI if it is "") and reads the server's
// first flight. It ends the handshake with an alert and leaves conn open. Deadlines are
// the caller's. An error is that of conn, an [Alert], or wraps [ErrFlight].
func Read(conn io.ReadWriter, name string) (*Flight, error) {
	var random [32]byte
	rand.Read(random[:])
	hello, err := clientHello(name, random[:])
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	f, err := parse(conn, random[:])
	if err != nil {
		return nil, err
	}
	// user_canceled and close_notify (RFC 5246 section 7.2.2): not a failure of the server.
	// What becomes of it changes nothing.
	_, _ = conn.Write([]byte{recordAlert, 3, 3, 0, 2, 1, 90, recordAlert, 3, 3, 0, 2, 1, 0})
	return f, nil
}

// parse reads the flight that answers a ClientHello with this random.
func parse(r io.Reader, random []byte) (*Flight, error) {
	m := messages{r: r}
	f := &Flight{}
	typ, body, err := m.next()
	if err != nil {
		return nil, err
	}
	if typ != typeServerHello {
		return nil, flightError("message %d in place of ServerHello", typ)
	}
	serverRandom, err := f.serverHello(body)
	if err != nil {
		return nil, err
	}
	if typ, body, err = m.next(); err != nil {
		return nil, err
	}
	if typ != typeCertificate {
		return nil, flightError("message %d in place of Certificate", typ)
	}
	if err := f.certificates(body); err != nil {
		return nil, err
	}
	if typ, body, err = m.next(); err != nil {
		return nil, err
	}
	if f.Suite.Signs() {
		if typ != typeServerKeyExchange {
			return nil, flightError("message %d in place of ServerKeyExchange", typ)
		}
		if err := f.keyExchange(body, random, serverRandom); err != nil {
			return nil, err
		}
		if typ, body, err = m.next(); err != nil {
			return nil, err
		}
	}
	if typ == typeCertificateRequest {
		if typ, body, err = m.next(); err != nil {
			return nil, err
		}
	}
	if typ != typeServerHelloDone || len(body) != 0 {
		return nil, flightError("message %d in place of ServerHelloDone", typ)
	}
	return f, nil
}

func flightError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFlight, fmt.Sprintf(format, args...))
}

// serverHello returns the server's random.
func (f *Flight) serverHello(body []byte) (random []byte, err error) {
	s := cryptobyte.String(body)
	var version, suite uint16
	var session, extensions cryptobyte.String
	var compression uint8
	if !s.ReadUint16(&version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16(&suite) || !s.ReadUint8(&compression) || !s.Empty() && (!s.ReadUint16LengthPrefixed(&extensions) || !s.Empty()) {
		return nil, flightError("a malformed ServerHello")
	}
	f.Suite = Suite(suite)
	switch {
	case version != version12:
		return nil, flightError("version %04x in ServerHello", version)
	case !f.Suite.offered():
		return nil, flightError("a cipher suite that was not offered: %04x", suite)
	case compression != 0:
		return nil, flightError("compression")
	}
	return random, nil
}

// certificates reads the chain.
func (f *Flight) certificates(body []byte) error {
	s := cryptobyte.String(body)
	var list cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return flightError("a malformed Certificate message")
	}
	for !list.Empty() {
		var der cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) {
			return flightError("a malformed Certificate message")
		}
		if len(f.Chain) == maxCertificates {
			return flightError("more than %d certificates", maxCertificates)
		}
		f.Chain = append(f.Chain, der)
	}
	if len(f.Chain) == 0 {
		return flightError("no certificate")
	}
	return nil
}

// keyExchange reads parameters and signature (RFC 8422 section 5.4, RFC 5246 section
// 7.4.3).
func (f *Flight) keyExchange(body, clientRandom, serverRandom []byte) error {
	s := cryptobyte.String(body)
	if f.Suite.ephemeral() == dhe {
		var p, g, y cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&p) || !s.ReadUint16LengthPrefixed(&g) || !s.ReadUint16LengthPrefixed(&y) || len(g) == 0 || len(y) == 0 {
			return flightError("malformed parameters of DHE")
		}
		f.Prime = bitLen(p)
	} else {
		var curveType uint8
		var group uint16
		var point cryptobyte.String
		if !s.ReadUint8(&curveType) || curveType != namedCurve || !s.ReadUint16(&group) || !s.ReadUint8LengthPrefixed(&point) || len(point) == 0 {
			return flightError("malformed parameters of ECDHE")
		}
		f.Group = Group(group)
		if !f.Group.offered() {
			return flightError("a group that was not offered: %04x", group)
		}
	}
	params := body[:len(body)-len(s)]
	var scheme uint16
	var signature cryptobyte.String
	if !s.ReadUint16(&scheme) || !s.ReadUint16LengthPrefixed(&signature) || !s.Empty() {
		return flightError("a malformed signature")
	}
	f.Scheme = Scheme(scheme)
	if !f.Scheme.offered() {
		return flightError("a signature algorithm that was not offered: %04x", scheme)
	}
	f.Signed = append(append(append([]byte(nil), clientRandom...), serverRandom...), params...)
	f.Signature = signature
	return nil
}

// namedCurve is the ECCurveType of a named curve (RFC 8422 section 5.4).
const namedCurve = 3

// bitLen is the length of an unsigned number in bits.
func bitLen(b []byte) int {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0
	}
	n := 8 * (len(b) - 1)
	for c := b[0]; c != 0; c >>= 1 {
		n++
	}
	return n
}

// messages puts handshake messages together from records.
type messages struct {
	r       io.Reader
	buf     []byte // handshake bytes that were not returned yet
	total   int    // handshake bytes so far
	records int
}

// next returns the next handshake message. Its body is valid for good.
func (m *messages) next() (typ uint8, body []byte, err error) {
	const header = 4
	for {
		if len(m.buf) >= header {
			n := int(m.buf[1])<<16 | int(m.buf[2])<<8 | int(m.buf[3])
			if n > MaxHandshake {
				return 0, nil, flightError("a message of %d bytes", n)
			}
			if len(m.buf) >= header+n {
				typ, body = m.buf[0], m.buf[header:header+n:header+n]
				m.buf = m.buf[header+n:]
				return typ, body, nil
			}
		}
		if err := m.record(); err != nil {
			return 0, nil, err
		}
	}
}

// record reads one record.
func (m *messages) record() error {
	var head [5]byte
	if _, err := io.ReadFull(m.r, head[:]); err != nil {
		return err
	}
	n := int(head[3])<<8 | int(head[4])
	m.records++
	switch {
	case head[1] != 3:
		return flightError("no record of TLS")
	case n > maxRecord:
		return flightError("a record of %d bytes", n)
	case m.records > maxRecords, m.total+n > MaxHandshake:
		return flightError("more than %d bytes or %d records", MaxHandshake, maxRecords)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(m.r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	switch head[0] {
	case recordHandshake:
		m.total += n
		m.buf = append(m.buf, b...)
		return nil
	case recordAlert:
		const warning = 1
		if n != 2 {
			return flightError("a malformed alert")
		}
		if b[0] == warning && b[1] != 0 {
			return nil // such as unrecognized_name, after which servers go on
		}
		return Alert(b[1])
	}
	return flightError("a record of type %d", head[0])
}
