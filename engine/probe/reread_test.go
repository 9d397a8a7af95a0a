package probe_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/smtptest"
	"github.com/mxauth/mxauth/internal/tlstest"
	"github.com/mxauth/mxauth/pkix"
)

// recordFor is a TLSA record that pins the key of a certificate.
func recordFor(der []byte) string {
	return fmt.Sprintf("3 1 1 %x", sha256.Sum256(pkix.Read(der).SPKI()))
}

// counting counts the connections of a dialler.
func counting(dial func(context.Context, netip.AddrPort) (net.Conn, error), n *atomic.Int32) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, a)
	}
}

// looked probes one server with a record, and checks what holds of every result: at most
// two further connections, and nothing that counts for REQUIRETLS or a report of what is
// not a session.
func looked(t *testing.T, serve func(net.Conn), tlsa string) engine.Decision {
	t.Helper()
	return lookedAt(t, &smtptest.Server{Serve: serve}, tlsa)
}

func lookedAt(t *testing.T, s *smtptest.Server, tlsa string) engine.Decision {
	t.Helper()
	var n atomic.Int32
	e, plan := planned(t, tlsa)
	p := probe.New(probe.Config{Dial: counting(dialTo(s.Start(t)), &n), HELO: "probe.example", Timeout: 2 * time.Second, Certificates: probe.CertificatesFirst})
	d := p.Host(t.Context(), e, plan, 0).Decision
	if n.Load() > 3 {
		t.Errorf("%d connections", n.Load())
	}
	if strings.Contains(s.Said(), "MAIL") {
		t.Errorf("said %s", s.Said())
	}
	isRead := d.Peer.Handshake == engine.HandshakeRead
	isOwn := isRead || d.Reason.ID == reason.OwnTLS
	if isOwn && explain.Report(plan, 0, d) != nil {
		t.Errorf("reported: %+v", explain.Report(plan, 0, d))
	}
	if d.Reason.ID != reason.OwnTLS && (d.Peer.OwnTLS != nil) != slices.ContainsFunc(d.Details, func(r engine.Reason) bool { return r.ID == reason.OwnTLS }) {
		t.Errorf("%s with details %v, and OwnTLS is %+v", d.Reason.ID, d.Details, d.Peer.OwnTLS)
	}
	if isRead {
		if d.SendRequireTLS || !d.DropConnection {
			t.Errorf("REQUIRETLS %v, drop %v", d.SendRequireTLS, d.DropConnection)
		}
		strict := *plan
		strict.Request.RequireTLS = true
		peer := d.Peer
		peer.RequireTLS = true
		if d := e.Decide(&strict, 0, peer, time.Now()); d.Deliver || d.SendRequireTLS {
			t.Errorf("REQUIRETLS: %s: %s", d.Outcome, explain.Text(d.Reason))
		}
	}
	return d
}

func text(d engine.Decision) string {
	out := explain.Text(d.Reason)
	for _, r := range d.Details {
		out += "\n" + explain.Text(r)
	}
	return out
}

// verdicts on the kinds of package certtest, by their names. What is not here is
// authenticated by a certificate that was only read.
var unusual = map[string]struct {
	outcome  engine.Outcome
	own      bool
	obstacle engine.Obstacle
	says     string
}{
	"rsa-512":     {engine.Refused, false, 0, "512-bit keys are insecure"},
	"secp256k1":   {engine.Refused, true, engine.ObstacleCertificate, "possession of its key was not proved here: a key on the curve secp256k1"},
	"ec-explicit": {engine.Refused, true, engine.ObstacleCertificate, "possession of its key was not proved here: an elliptic curve that is written out"},
	"ed448":       {engine.Refused, true, engine.ObstacleKey, "possession of its key was not proved here: an Ed448 key"},
	"dsa":         {engine.Refused, true, engine.ObstacleKey, "possession of its key was not proved here: a DSA key"},
}

// TestOddCertificates: a server whose certificate Go does not parse, or whose key it does
// not take, is judged by what it sends in the clear, if it proves its key.
func TestOddCertificates(t *testing.T) {
	ca := certtest.NewCA()
	for _, k := range certtest.Kinds() {
		if k.Name == "md5" {
			continue // crypto/tls takes it: nothing looks at the signature under DANE-EE
		}
		t.Run("DANE7671-5.1 "+k.Name, func(t *testing.T) {
			t.Parallel()
			made := k.Server(ca, "mx.example.org")
			der := made.DER
			s := tlstest.For(k.Name, [][]byte{der, ca.DER}, made.Key)
			serve := func(c net.Conn) { s.Serve(c) }
			d := looked(t, serve, recordFor(der))
			want, is := unusual[k.Name]
			switch {
			case !is:
				if d.Outcome != engine.Authenticated || d.Method != engine.MethodDANEEE || d.Peer.Handshake != engine.HandshakeRead || d.Peer.TLS != "TLS 1.2" {
					t.Errorf("%s %s, handshake %s: %s", d.Outcome, d.Method, d.Peer.Handshake, text(d))
				}
				obstacle := engine.ObstacleKey
				if k.NotParsed {
					obstacle = engine.ObstacleCertificate
				}
				if d.Peer.OwnTLS == nil || d.Peer.OwnTLS.Obstacle != obstacle || !strings.Contains(text(d), "such as Postfix or Exim") {
					t.Errorf("%+v: %s", d.Peer.OwnTLS, text(d))
				}
			case d.Outcome != want.outcome || d.Deliver || (d.Reason.ID == reason.OwnTLS) != want.own || !strings.Contains(text(d), want.says):
				t.Errorf("%s: %s", d.Outcome, text(d))
			case want.own && (d.Peer.OwnTLS == nil || d.Peer.OwnTLS.Obstacle != want.obstacle || !strings.Contains(text(d), "Its certificate matches its TLSA record (3 1 1 ")):
				t.Errorf("%+v: %s", d.Peer.OwnTLS, text(d))
			}
			t.Log(text(d))
			// Another key's record authenticates no one.
			if d := looked(t, serve, record()); d.Deliver {
				t.Errorf("another record: %s: %s", d.Outcome, text(d))
			}
			// Without records a sender with another library encrypts.
			d = looked(t, serve, "")
			if is && d.Outcome != engine.Cleartext || !is && d.Outcome != engine.Encrypted || !d.Deliver {
				t.Errorf("no records: %s: %s", d.Outcome, text(d))
			}
			if is && (d.Reason.ID == reason.OwnTLS) != want.own {
				t.Errorf("no records: %s", text(d))
			}
			if s.Key == nil {
				return
			}
			// A server without the key copies the certificate.
			forger := *s
			forger.BadSignature = true
			if d := looked(t, func(c net.Conn) { forger.Serve(c) }, recordFor(der)); d.Deliver || d.Peer.OwnTLS != nil && want.outcome != engine.Refused {
				t.Errorf("a forged signature: %s: %s", d.Outcome, text(d))
			}
		})
	}
}

// TestExtraCertificate: a certificate behind the leaf that Go does not parse.
func TestExtraCertificate(t *testing.T) {
	ca, key := certtest.NewCA(), certtest.NewKey()
	leaf := ca.Issue(certtest.New("mx.example.org", key.SPKI))
	s := &tlstest.Server{Chain: [][]byte{leaf, ca.DER, certtest.Root()}, Key: key.Private, Suites: tlstest.Usual(key.Private)}
	d := looked(t, func(c net.Conn) { s.Serve(c) }, recordFor(leaf))
	if d.Outcome != engine.Authenticated || d.Peer.Handshake != engine.HandshakeRead || !strings.Contains(text(d), "certificate 3 of the chain") || !strings.Contains(text(d), "without that certificate") {
		t.Errorf("%s: %s", d.Outcome, text(d))
	}
}

// TestOtherSuites: servers that share no cipher suite or group with crypto/tls.
func TestOtherSuites(t *testing.T) {
	ca := certtest.NewCA()
	key, rsaKey := certtest.NewKey(), certtest.NewRSA(2048, 65537)
	ec := ca.Issue(certtest.New("mx.example.org", key.SPKI))
	rsaCert := ca.Issue(certtest.New("mx.example.org", rsaKey.SPKI(true)))
	odd := certtest.New("mx.example.org", rsaKey.SPKI(true))
	odd.Serial = certtest.TLV(certtest.Integer, []byte{0xfb})
	for name, c := range map[string]struct {
		s        tlstest.Server
		der      []byte
		obstacle engine.Obstacle // none: not the library
		proved   bool
		says     string
	}{
		"ECDHE CBC-SHA384": {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.ECDHERSAWithAES256CBCSHA384}}, rsaCert, engine.ObstacleSuite, true, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"},
		"ECDSA CBC-SHA384": {tlstest.Server{Key: key.Private, Suites: []uint16{tlstest.ECDHEECDSAWithAES256CBCSHA384}}, ec, engine.ObstacleSuite, true, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"},
		"Camellia":         {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.ECDHERSAWithCamellia}}, rsaCert, engine.ObstacleSuite, true, "CAMELLIA"},
		"DHE":              {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.DHERSAWithAES128GCM}}, rsaCert, engine.ObstacleSuite, true, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"},
		"DHE Camellia":     {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.DHERSAWithCamellia}}, rsaCert, engine.ObstacleSuite, true, "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA"},
		"X448":             {tlstest.Server{Key: key.Private, Suites: tlstest.Usual(key.Private), Groups: []uint16{tlstest.X448}}, ec, engine.ObstacleGroup, true, "X448"},
		"RSA Camellia":     {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.RSAWithCamellia}}, rsaCert, engine.ObstacleSuite, false, "signs nothing"},
		"RSA odd":          {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.RSAWithAES128GCM}}, ca.Issue(odd), engine.ObstacleCertificate, false, "signs nothing"},
		"DHE odd":          {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.DHERSAWithAES128GCM}}, ca.Issue(odd), engine.ObstacleCertificate, true, "it is negative"},
		"DHE 512":          {tlstest.Server{Key: rsaKey, Suites: []uint16{tlstest.DHERSAWithAES128GCM}, PrimeBits: 512}, rsaCert, 0, false, ""},
		"no suite":         {tlstest.Server{Key: rsaKey, Suites: []uint16{0x0005}}, rsaCert, 0, false, ""},
		"asks and hangs":   {tlstest.Server{Key: key.Private, Suites: tlstest.Usual(key.Private), AsksCertificate: true}, ec, 0, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.s
			s.Chain = [][]byte{c.der}
			serve := func(conn net.Conn) { s.Serve(conn) }
			d := looked(t, serve, recordFor(c.der))
			t.Log(text(d))
			switch {
			case c.obstacle == 0:
				if d.Outcome != engine.Refused || d.Reason.ID != reason.Handshake || d.Peer.OwnTLS != nil {
					t.Errorf("%s: %s", d.Outcome, text(d))
				}
				return
			case d.Peer.OwnTLS == nil || d.Peer.OwnTLS.Obstacle != c.obstacle || !strings.Contains(text(d), c.says):
				t.Errorf("%s, %+v: %s", d.Outcome, d.Peer.OwnTLS, text(d))
			case c.proved && (d.Outcome != engine.Authenticated || d.Peer.Handshake != engine.HandshakeRead):
				t.Errorf("%s: %s", d.Outcome, text(d))
			case !c.proved && (d.Outcome != engine.Refused || d.Reason.ID != reason.OwnTLS):
				t.Errorf("%s: %s", d.Outcome, text(d))
			}
			if d := looked(t, serve, record()); d.Deliver {
				t.Errorf("another record: %s: %s", d.Outcome, text(d))
			}
			forger := s
			forger.BadSignature = true
			if d := looked(t, func(conn net.Conn) { forger.Serve(conn) }, recordFor(c.der)); d.Deliver {
				t.Errorf("a forged signature: %s: %s", d.Outcome, text(d))
			}
		})
	}
}

// rsaOnly is a server with RSA key exchange only.
var rsaOnly = sync.OnceValue(func() *tls.Config {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := certtest.Server("mx.example.org")
	template.KeyUsage = x509.KeyUsageKeyEncipherment
	p, err := certtest.Sign(template, key, nil)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{p.TLS()},
		MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}
})

// picky starts TLS if the ClientHello is not too long, and does what it likes otherwise.
func picky(cfg *tls.Config, most int, otherwise func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		head := make([]byte, 5)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		body := make([]byte, int(head[3])<<8|int(head[4]))
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		if len(head)+len(body) > most {
			otherwise(c)
			return
		}
		speakTLS(c, cfg, io.MultiReader(bytes.NewReader(head), bytes.NewReader(body), c))
	}
}

// speakTLS is a mail server inside TLS.
func speakTLS(c net.Conn, cfg *tls.Config, r io.Reader) {
	t := tls.Server(&replayed{c, r}, cfg)
	if t.Handshake() != nil {
		return
	}
	b := make([]byte, 512)
	for _, reply := range []string{"250-test\r\n250 REQUIRETLS\r\n", "221 bye\r\n"} {
		if _, err := t.Read(b); err != nil {
			return
		}
		io.WriteString(t, reply)
	}
}

type replayed struct {
	net.Conn
	r io.Reader
}

func (r *replayed) Read(b []byte) (int, error) { return r.r.Read(b) }

// TestWider: what a complete handshake with other settings shows is a session.
func TestWider(t *testing.T) {
	t.Run("RSA key exchange", func(t *testing.T) {
		d := lookedAt(t, &smtptest.Server{TLS: rsaOnly()}, recordFor(rsaOnly().Certificates[0].Certificate[0]))
		if d.Outcome != engine.Authenticated || d.Peer.Handshake != engine.HandshakeWider || d.Peer.OwnTLS.Obstacle != engine.ObstacleSuite || !strings.Contains(text(d), "TLS_RSA_WITH_AES_128_GCM_SHA256") {
			t.Errorf("%s, handshake %s: %s", d.Outcome, d.Peer.Handshake, text(d))
		}
	})
	reset := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }
	for name, otherwise := range map[string]func(net.Conn){
		"closes": func(net.Conn) {}, "resets": reset,
		"hangs":  func(c net.Conn) { io.Copy(io.Discard, c) },
		"alerts": func(c net.Conn) { c.Write([]byte{21, 3, 3, 0, 2, 2, 50}) },
	} {
		t.Run("DANE7671-5.1 a long ClientHello: "+name, func(t *testing.T) {
			t.Parallel()
			s := &smtptest.Server{Serve: picky(serverTLS(), 1400, otherwise)}
			var n atomic.Int32
			e, plan := planned(t, record())
			p := probe.New(probe.Config{Dial: counting(dialTo(s.Start(t)), &n), HELO: "probe.example", Timeout: 2 * time.Second})
			d := p.Host(t.Context(), e, plan, 0).Decision
			if name == "hangs" {
				// Whether it hangs once more is not waited for as long as the rest lasts.
				if d.Deliver != (d.Peer.Handshake == engine.HandshakeWider) {
					t.Errorf("%s: %s", d.Outcome, text(d))
				}
			} else if d.Outcome != engine.Authenticated || d.Peer.Handshake != engine.HandshakeWider || d.Peer.OwnTLS.Obstacle != engine.ObstacleHello || n.Load() != 3 {
				t.Errorf("%s, handshake %s, %d connections: %s", d.Outcome, d.Peer.Handshake, n.Load(), text(d))
			}
			if r := explain.Report(plan, 0, d); d.Deliver && len(r) == 0 {
				t.Error("a session is not counted")
			}
		})
	}
	t.Run("by chance", func(t *testing.T) {
		var n atomic.Int32
		s := &smtptest.Server{Serve: func(c net.Conn) {
			if n.Add(1) == 1 {
				return // once
			}
			picky(serverTLS(), 1<<16, nil)(c)
		}}
		d := lookedAt(t, s, record())
		if d.Outcome != engine.Authenticated || d.Peer.Handshake != engine.HandshakeComplete || d.Peer.OwnTLS != nil {
			t.Errorf("%s: %s", d.Outcome, text(d))
		}
	})
	t.Run("REQUIRETLS", func(t *testing.T) {
		e, plan := planned(t, record())
		strict := *plan
		strict.Request.RequireTLS = true
		s := &smtptest.Server{Serve: picky(serverTLS(), 1400, func(net.Conn) {})}
		d := probe.New(probe.Config{Dial: dialTo(s.Start(t)), HELO: "probe.example", Timeout: 5 * time.Second}).Host(t.Context(), e, &strict, 0).Decision
		if d.Outcome != engine.Authenticated || !d.SendRequireTLS {
			t.Errorf("a session with other settings: %s: %s", d.Outcome, text(d))
		}
	})
}

// TestOtherCauses: a handshake that fails for another reason keeps it.
func TestOtherCauses(t *testing.T) {
	demanding := serverTLS()
	demanding.ClientAuth, demanding.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
	old := serverTLS()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	// The server prefers DHE, which it has beside what crypto/tls has, and fails otherwise.
	key := certtest.NewRSA(2048, 65537)
	der := certtest.NewCA().Issue(certtest.New("mx.example.org", key.SPKI(true)))
	prefers := &tlstest.Server{Chain: [][]byte{der}, Key: key, Suites: []uint16{tlstest.DHERSAWithAES128GCM, tlstest.ECDHERSAWithAES128GCM}, BadSignature: true}
	for name, s := range map[string]*smtptest.Server{
		"client certificate": {TLS: demanding},
		"TLS 1.0":            {TLS: old},
		"closes":             {Serve: func(c net.Conn) { c.Read(make([]byte, 1)) }},
		"alert in all cases": {Serve: alerts(40)},
		"unrecognized name":  {Serve: alerts(112)},
		"internal error":     {Serve: alerts(80)},
		"a bad signature":    {Serve: func(c net.Conn) { prefers.Serve(c) }},
	} {
		t.Run(name, func(t *testing.T) {
			d := lookedAt(t, s, record())
			if d.Outcome != engine.Refused || d.Reason.ID != reason.Handshake || d.Peer.OwnTLS != nil || d.Peer.Handshake != engine.HandshakeComplete {
				t.Errorf("%s: %s", d.Outcome, text(d))
			}
		})
	}
}

func alerts(description byte) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 1<<12))
		c.Write([]byte{21, 3, 3, 0, 2, 2, description})
	}
}

// TestOwnWords: the words by which crypto/tls refuses a certificate that is sent
// encrypted. If a version of Go changes them, this fails.
func TestOwnWords(t *testing.T) {
	ca := certtest.NewCA()
	serial := certtest.New("mx.example.org", nil)
	key := certtest.NewKey()
	serial.SPKI, serial.Serial = key.SPKI, certtest.TLV(certtest.Integer, []byte{0xfb})
	var ed448 []byte
	for _, k := range certtest.Kinds() {
		if k.Name == "ed448" {
			ed448 = k.Server(ca, "mx.example.org").DER
		}
	}
	for name, c := range map[string]struct {
		der      []byte
		obstacle engine.Obstacle
	}{
		"not parsed":      {ca.Issue(serial), engine.ObstacleCertificate},
		"unsupported key": {ed448, engine.ObstacleKey},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{c.der}, PrivateKey: key.Private}}}
			d := lookedAt(t, &smtptest.Server{TLS: cfg}, recordFor(c.der))
			if d.Deliver || d.Reason.ID != reason.OwnTLS || d.Peer.OwnTLS.Obstacle != c.obstacle || !strings.Contains(text(d), "TLS 1.3") {
				t.Errorf("%s: %s", d.Outcome, text(d))
			}
			t.Log(text(d))
		})
	}
}
