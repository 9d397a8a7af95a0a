package tlswire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/tlstest"
)

// records cuts handshake messages into records of at most n bytes.
func records(messages []byte, n int) []byte {
	var out []byte
	for part := range slices.Chunk(messages, n) {
		out = append(append(out, 22, 3, 3, byte(len(part)>>8), byte(len(part))), part...)
	}
	return out
}

func flight(t testing.TB, s *tlstest.Server, suite, group uint16, random []byte) []byte {
	t.Helper()
	b, err := s.Flight(random, suite, group)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRead reads flights of each sort, in records of any size.
func TestRead(t *testing.T) {
	key := certtest.NewKey()
	chain := [][]byte{certtest.NewCA().Issue(certtest.New("mx.example.org", key.SPKI)), {1}, {}}
	random := bytes.Repeat([]byte{7}, 32)
	s := &tlstest.Server{Chain: chain, Key: key.Private, AsksCertificate: true}
	for name, c := range map[string]struct{ suite, group uint16 }{
		"ECDHE": {tlstest.ECDHEECDSAWithAES128GCM, tlstest.X25519}, "X448": {tlstest.ECDHEECDSAWithCamellia, tlstest.X448},
		"DHE": {tlstest.DHERSAWithAES128GCM, 0}, "RSA": {tlstest.RSAWithAES128GCM, 0},
	} {
		messages := flight(t, s, c.suite, c.group, random)
		for _, n := range []int{1 << 14, 1000, 100} {
			f, err := parse(bytes.NewReader(records(messages, n)), random)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if f.Suite != Suite(c.suite) || f.Group != Group(c.group) || !slices.EqualFunc(f.Chain, chain, bytes.Equal) {
				t.Errorf("%s: %+v", name, f)
			}
			if signs := c.suite != tlstest.RSAWithAES128GCM; f.Suite.Signs() != signs || (len(f.Signature) > 0) != signs {
				t.Errorf("%s: signature %x", name, f.Signature)
			}
			if f.Suite.Signs() {
				sum := sha256.Sum256(f.Signed)
				if !bytes.HasPrefix(f.Signed, random) || !ecdsa.VerifyASN1(key.Private.Public().(*ecdsa.PublicKey), sum[:], f.Signature) {
					t.Errorf("%s: the signature is not over what was signed", name)
				}
			}
		}
		for cut := range messages {
			if _, err := parse(bytes.NewReader(records(messages[:cut], 1<<14)), random); err == nil {
				t.Fatalf("%s: cut at %d", name, cut)
			}
		}
	}
}

// TestConversation: a ClientHello, the flight, and no more than an alert after it.
func TestConversation(t *testing.T) {
	key := certtest.NewKey()
	s := &tlstest.Server{Chain: [][]byte{{1, 2, 3}}, Key: key.Private, Suites: tlstest.Usual(key.Private)}
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan error, 1)
	go func() { done <- s.Serve(b) }()
	f, err := Read(a, "mx.example.org")
	if err != nil || f.Suite != tlstest.ECDHEECDSAWithAES128GCM {
		t.Fatalf("%+v %v", f, err)
	}
	a.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHello: a ClientHello is short, and offers neither MD5 nor suites without
// authentication or encryption.
func TestHello(t *testing.T) {
	b, err := clientHello("mx.example.org", make([]byte, 32))
	if err != nil || len(b) > 600 || !bytes.Contains(b, []byte("mx.example.org")) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, s := range schemes {
		if s>>8 == 1 {
			t.Errorf("MD5: %04x", uint16(s))
		}
		if sha1 := s>>8 == 2; sha1 && slices.Index(schemes, s) < len(schemes)-3 {
			t.Errorf("SHA-1 before others: %04x", uint16(s))
		}
	}
}

// endless is a server that does not stop.
type endless struct {
	head, body []byte
	n          int
	rest       []byte
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = append(slices.Clone(e.head), e.body...)
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	e.n += n
	return n, nil
}

// TestBounds: a server that sends without end is left.
func TestBounds(t *testing.T) {
	for name, e := range map[string]*endless{
		"empty records":       {head: []byte{22, 3, 3, 0, 0}},
		"warnings":            {head: []byte{21, 3, 3, 0, 2}, body: []byte{1, 112}},
		"a long message":      {head: []byte{22, 3, 3, 0x40, 0}, body: append([]byte{2, 4, 0, 0}, make([]byte, 1<<14-4)...)},
		"records of one byte": {head: []byte{22, 3, 3, 0, 1}, body: []byte{2}},
		"large records":       {head: []byte{22, 3, 3, 0xff, 0xff}},
		"no TLS":              {head: []byte("250 ok\r\n")},
		"application data":    {head: []byte{23, 3, 3, 0, 0}},
	} {
		_, err := parse(e, make([]byte, 32))
		if !errors.Is(err, ErrFlight) || e.n > MaxHandshake+maxRecords*5+1<<14+5 {
			t.Errorf("%s: %v after %d bytes", name, err, e.n)
		}
	}
	var alert Alert
	if _, err := parse(bytes.NewReader([]byte{21, 3, 3, 0, 2, 2, 40}), make([]byte, 32)); !errors.As(err, &alert) || alert != AlertHandshakeFailure {
		t.Errorf("%v", err)
	}
	many := &tlstest.Server{Chain: make([][]byte, maxCertificates+1), Key: certtest.NewKey().Private}
	if _, err := parse(bytes.NewReader(records(flight(t, many, tlstest.ECDHEECDSAWithAES128GCM, tlstest.X25519, make([]byte, 32)), 1<<14)), make([]byte, 32)); !errors.Is(err, ErrFlight) {
		t.Errorf("a long chain: %v", err)
	}
}

// FuzzParse: whatever a server sends, a flight that is read was offered, and what is
// signed begins with the client's random.
func FuzzParse(f *testing.F) {
	key := certtest.NewKey()
	random := bytes.Repeat([]byte{9}, 32)
	s := &tlstest.Server{Chain: [][]byte{{1}}, Key: key.Private}
	for _, suite := range []uint16{tlstest.ECDHEECDSAWithAES128GCM, tlstest.DHERSAWithAES128GCM, tlstest.RSAWithAES128GCM} {
		f.Add(records(flight(f, s, suite, tlstest.X25519, random), 100))
	}
	f.Add([]byte{21, 3, 3, 0, 2, 2, 40})
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bytes.NewReader(sent)
		fl, err := parse(r, random)
		if err != nil {
			var alert Alert
			if fl != nil || !errors.Is(err, ErrFlight) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &alert) {
				t.Fatalf("%v", err)
			}
			return
		}
		if !fl.Suite.offered() || len(fl.Chain) == 0 || len(fl.Chain) > maxCertificates {
			t.Fatalf("%+v", fl)
		}
		if fl.Suite.Signs() && (!bytes.HasPrefix(fl.Signed, random) || !fl.Scheme.offered() || fl.Group != 0 && !fl.Group.offered()) {
			t.Fatalf("%+v", fl)
		}
		if !fl.Suite.Signs() && (fl.Signed != nil || fl.Signature != nil) {
			t.Fatalf("%+v", fl)
		}
	})
}
