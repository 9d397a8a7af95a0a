package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/smtptest"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// selfSigned makes a certificate and what a TLSA record says of its key.
func selfSigned(t testing.TB, name string) (tls.Certificate, string) {
	t.Helper()
	p := certtest.Issue(certtest.Server(name), nil)
	return p.TLS(), p.TLSA()
}

// wantsCertificate makes a server demand a certificate of the client.
func wantsCertificate(c *tls.Config) *tls.Config {
	c.ClientAuth = tls.RequireAnyClientCert
	return c
}

// A network has hosts at addresses of their own and a client that reaches them.
type network struct {
	dns    *dnsfake.Resolver
	at     map[netip.Addr]netip.AddrPort
	roots  *pkix.Roots
	memory engine.Memory // nil: nothing is remembered

	mu      sync.Mutex // guards what follows
	last    reason.ID
	decided []string // requirement and event of each decision
}

func newNetwork() *network {
	n := &network{dns: dnsfake.New(), at: map[netip.Addr]netip.AddrPort{}, roots: pkix.NewRoots()}
	n.dns.SetClock(time.Now)
	n.dns.Zone("org", dnssec.Secure)
	return n
}

func (n *network) client(t testing.TB) *sender {
	t.Helper()
	e, err := engine.New(engine.Config{Resolver: n.dns, Roots: n.roots, Memory: n.memory, Trace: &engine.Trace{
		Decided: func(_ *engine.Plan, _ int, d *engine.Decision) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.last = d.Reason.ID
			n.decided = append(n.decided, d.Requirement.String()+" "+d.Event.String())
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &sender{engine: e, dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		to, ok := n.at[a.Addr()]
		if !ok {
			return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("connection refused")}
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", to.String())
	}}
}

var hello = message{from: "a@sender.example", to: []string{"b@example.org"}, data: []byte("Subject: hello\r\n\r\nworld\r\n")}

// TestSend delivers over each kind of host, and does not where it must not.
func TestSend(t *testing.T) {
	cert, record := selfSigned(t, "mx.example.org")
	_, other := selfSigned(t, "mx.example.org")
	server := func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }
	for _, c := range []struct {
		name string
		s    *smtptest.Server
		tlsa string
		r    engine.Request
		want string // action, reason of the fate or of the last decision
		said string // what the server must have been told
	}{
		{"DANE", &smtptest.Server{TLS: server()}, record, engine.Request{}, "delivered dane-ee-match", "CONNECT | EHLO localhost | STARTTLS | TLS | EHLO localhost | MAIL FROM:<a@sender.example> BODY=8BITMIME | RCPT TO:<b@example.org> | DATA | QUIT"},
		{"DANE mismatch", &smtptest.Server{TLS: server()}, other, engine.Request{}, "retry dane-no-match", "CONNECT | EHLO localhost | STARTTLS"},
		{"DANE, STARTTLS stripped", &smtptest.Server{}, record, engine.Request{}, "retry no-starttls", "CONNECT | EHLO localhost | QUIT"},
		{"DANE, 454", &smtptest.Server{TLS: server(), STARTTLS: "454 no"}, record, engine.Request{}, "retry starttls-refused", "CONNECT | EHLO localhost | STARTTLS | QUIT"},
		{"nothing published", &smtptest.Server{TLS: server()}, "", engine.Request{}, "delivered encrypted-untrusted", ""},
		{"nothing published, no TLS", &smtptest.Server{}, "", engine.Request{}, "delivered cleartext-no-starttls", ""},
		{"nothing published, TLS broken", &smtptest.Server{TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS11}}, "", engine.Request{}, "delivered cleartext-handshake-failed", ""},
		{"TLS-Required: No", &smtptest.Server{TLS: server()}, other, engine.Request{TLSRequiredNo: true}, "delivered tls-required-no", ""},
		{"TLS-Required: No, the server demands TLS", &smtptest.Server{MAIL: "530 5.7.0 Must issue a STARTTLS command first"}, "", engine.Request{TLSRequiredNo: true}, "bounce tls-demanded", ""},
		{"REQUIRETLS", &smtptest.Server{TLS: server(), Inside: []string{"REQUIRETLS"}}, record, engine.Request{RequireTLS: true}, "delivered dane-ee-match", "CONNECT | EHLO localhost | STARTTLS | TLS | EHLO localhost | MAIL FROM:<a@sender.example> REQUIRETLS | RCPT TO:<b@example.org> | DATA | QUIT"},
		{"REQUIRETLS offered before TLS only", &smtptest.Server{TLS: server(), Before: []string{"REQUIRETLS"}}, record, engine.Request{RequireTLS: true}, "bounce requiretls-failed", "CONNECT | EHLO localhost | STARTTLS | TLS | EHLO localhost | QUIT"},
		{"rejected", &smtptest.Server{TLS: server(), MAIL: "550 no"}, record, engine.Request{}, "bounce rejected", ""},
		{"not now", &smtptest.Server{TLS: server(), MAIL: "451 later"}, record, engine.Request{}, "retry retry", ""},
		{"DANE, plaintext behind the reply to STARTTLS", &smtptest.Server{TLS: server(), Inject: "250 evil\r\n"}, record, engine.Request{}, "retry starttls-injected", "CONNECT | EHLO localhost | STARTTLS"},
		{"nothing published, plaintext behind the reply to STARTTLS", &smtptest.Server{TLS: server(), Inject: "250 evil\r\n"}, "", engine.Request{}, "delivered cleartext-injected", ""},
		{"DANE, plaintext in place of the handshake", &smtptest.Server{TLS: server(), Late: "250 evil\r\n"}, record, engine.Request{}, "retry starttls-injected", ""},
		{"DANE, EHLO refused inside TLS", &smtptest.Server{TLS: server(), InsideEHLO: "550 5.7.1 no"}, record, engine.Request{}, "retry no-connection", "CONNECT | EHLO localhost | STARTTLS | TLS | EHLO localhost | QUIT"},
		{"nothing published, EHLO refused inside TLS", &smtptest.Server{TLS: server(), InsideEHLO: "450 4.7.1 no"}, "", engine.Request{}, "retry no-connection", ""},
		{"DANE, EHLO 450", &smtptest.Server{TLS: server(), EHLO: "450 4.7.1 later"}, record, engine.Request{}, "retry no-connection", "CONNECT | EHLO localhost | HELO localhost | QUIT"},
		{"nothing published, EHLO is not known", &smtptest.Server{EHLO: "502 what"}, "", engine.Request{}, "delivered cleartext-no-starttls", "CONNECT | EHLO localhost | HELO localhost | MAIL FROM:<a@sender.example> | RCPT TO:<b@example.org> | DATA | QUIT"},
		{"nothing published, EHLO 554", &smtptest.Server{TLS: server(), EHLO: "554 no"}, "", engine.Request{}, "retry no-connection", ""},
		{"DANE, STARTTLS 421", &smtptest.Server{TLS: server(), STARTTLS: "421 busy"}, record, engine.Request{}, "retry no-connection", ""},
		{"nothing published, STARTTLS 421", &smtptest.Server{TLS: server(), STARTTLS: "421 busy"}, "", engine.Request{}, "retry no-connection", ""},
		{"DANE, a client certificate is wanted", &smtptest.Server{TLS: wantsCertificate(server())}, record, engine.Request{}, "retry handshake-failed", ""},
		{"nothing published, a client certificate is wanted", &smtptest.Server{TLS: wantsCertificate(server())}, "", engine.Request{}, "delivered cleartext-handshake-failed", ""},
		{"DANE, starttls and a tab", &smtptest.Server{TLS: server(), EHLO: "250-test\r\n250-starttls\t\r\n250 8BITMIME"}, record, engine.Request{}, "delivered dane-ee-match", ""},
		{"level secure", &smtptest.Server{TLS: server()}, "", engine.Request{Level: engine.LevelSecure}, "retry no-method", " "},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork()
			n.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1")
			if c.tlsa != "" {
				n.dns.Add("_25._tcp.mx.example.org. 300 IN TLSA " + c.tlsa)
			}
			n.at[netip.MustParseAddr("192.0.2.1")] = c.s.Start(t)
			r := c.r
			r.NextHop = "example.org"
			fate, err := n.client(t).send(t.Context(), r, hello)
			if err != nil {
				t.Fatal(err)
			}
			action, id, _ := strings.Cut(c.want, " ")
			if fate.Action.String() != action {
				t.Errorf("%s, want %s: %s", fate.Action, c.want, explain.Text(fate.Reason))
			}
			if fate.Reason.ID != reason.ID(id) && n.last != reason.ID(id) {
				t.Errorf("%s after %s, want %s", fate.Reason.ID, n.last, id)
			}
			if got := len(c.s.Mail()); (got == 1) != (action == "delivered") {
				t.Errorf("%d messages arrived", got)
			} else if got == 1 && c.s.Mail()[0] != string(hello.data) {
				t.Errorf("%q arrived", c.s.Mail()[0])
			}
			// One decision for the one host, and none about a connection that was not made.
			if len(n.decided) != 1 {
				t.Errorf("decided: %q", n.decided)
			}
			if c.said != "" && c.s.Said() != strings.TrimSpace(c.said) {
				t.Errorf("said %s\nwant %s", c.s.Said(), c.said)
			}
		})
	}
	t.Run("DANE7672-2.2-01 the second host", func(t *testing.T) {
		n := newNetwork()
		n.dns.Add("example.org. 300 IN MX 10 mx1.example.org.", "example.org. 300 IN MX 20 mx2.example.org.",
			"mx1.example.org. 300 IN A 192.0.2.1", "mx2.example.org. 300 IN A 192.0.2.2",
			"_25._tcp.mx1.example.org. 300 IN TLSA "+other, "_25._tcp.mx2.example.org. 300 IN TLSA "+record)
		one, two := &smtptest.Server{TLS: server()}, &smtptest.Server{TLS: server()}
		n.at[netip.MustParseAddr("192.0.2.1")], n.at[netip.MustParseAddr("192.0.2.2")] = one.Start(t), two.Start(t)
		fate, err := n.client(t).send(t.Context(), engine.Request{NextHop: "example.org"}, hello)
		if err != nil || fate.Action != engine.Delivered || fate.Host != 1 || len(one.Mail()) != 0 || len(two.Mail()) != 1 {
			t.Errorf("%+v %v", fate, err)
		}
		if strings.Contains(one.Said(), "MAIL") {
			t.Errorf("the first was told %s", one.Said())
		}
	})
	t.Run("SMTP5321-5.1-08 each address in turn", func(t *testing.T) {
		n := newNetwork()
		n.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1", "mx.example.org. 300 IN A 192.0.2.2",
			"_25._tcp.mx.example.org. 300 IN TLSA "+record)
		s := smtptest.Server{TLS: server()}
		n.at[netip.MustParseAddr("192.0.2.2")] = s.Start(t)
		fate, err := n.client(t).send(t.Context(), engine.Request{NextHop: "example.org"}, hello)
		if err != nil || fate.Action != engine.Delivered || len(s.Mail()) != 1 {
			t.Errorf("%+v %v", fate, err)
		}
		if got := strings.Join(n.decided, ", "); got != "dane no-connection, dane handshake-done" && got != "dane handshake-done" {
			t.Errorf("decided: %s", got)
		}
	})
	t.Run("TLS is remembered", func(t *testing.T) {
		n := newNetwork()
		n.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1")
		kept, err := store.NewMemory(store.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		m, err := memory.New(memory.Config{Store: kept, Action: memory.Defer})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		n.memory = m
		c := n.client(t)
		for _, step := range []struct {
			server *smtptest.Server
			want   engine.Action
			mails  int
		}{{&smtptest.Server{TLS: server()}, engine.Delivered, 1}, {&smtptest.Server{}, engine.Retry, 0}, {&smtptest.Server{TLS: server()}, engine.Delivered, 1}} {
			n.at[netip.MustParseAddr("192.0.2.1")] = step.server.Start(t)
			fate, err := c.send(t.Context(), engine.Request{NextHop: "example.org"}, hello)
			if err != nil || fate.Action != step.want || len(step.server.Mail()) != step.mails {
				t.Errorf("%v %v, %d messages", fate.Action, err, len(step.server.Mail()))
			}
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		n := newNetwork()
		n.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1")
		fate, err := n.client(t).send(t.Context(), engine.Request{NextHop: "example.org"}, hello)
		if err != nil || fate.Action != engine.Retry || !strings.Contains(explain.Text(fate.Reason), "connection refused") {
			t.Errorf("%+v %v", fate, err)
		}
	})
	t.Run("a null MX", func(t *testing.T) {
		n := newNetwork()
		n.dns.Add("example.org. 300 IN MX 0 .")
		fate, err := n.client(t).send(t.Context(), engine.Request{NextHop: "example.org"}, hello)
		if err != nil || fate.Action != engine.Bounce || explain.MessageAction(fate).Code != "5.1.10" {
			t.Errorf("%+v %v", fate, err)
		}
	})
	t.Run("a bad request", func(t *testing.T) {
		if _, err := newNetwork().client(t).send(t.Context(), engine.Request{NextHop: "."}, hello); err == nil {
			t.Error("no error")
		}
	})
}
