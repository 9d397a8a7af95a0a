package lab_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/lab"
)

// patience bounds everything that a test waits for.
const patience = 5 * time.Second

// address looks a host up in the lab.
func address(tb testing.TB, l *lab.Lab, host string, port uint16) netip.AddrPort {
	tb.Helper()
	for _, rr := range ask(tb, l.Plain(), host, "A").Answer {
		if a, ok := rr.(*dns.A); ok {
			addr, _ := netip.AddrFromSlice(a.A.To4())
			return netip.AddrPortFrom(addr, port)
		}
	}
	tb.Fatalf("%s has no address", host)
	return netip.AddrPort{}
}

// call is one SMTP connection, line by line.
type call struct {
	tb   testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dial(tb testing.TB, l *lab.Lab, host string) *call {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	c, err := l.Dial(ctx, address(tb, l, host, 25))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &call{tb, c, bufio.NewReader(c)}
}

// say sends a command, if any, and returns the reply: the codes and texts of its lines.
// An end of the connection is "EOF".
func (c *call) say(command string) string {
	c.tb.Helper()
	if command != "" {
		fmt.Fprint(c.conn, command+"\r\n")
	}
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				return "EOF"
			}
			c.tb.Fatalf("after %q: %v", command, err)
		}
		line = strings.TrimRight(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "|")
		}
	}
}

// expect checks how a reply begins.
func (c *call) expect(command, begins string) {
	c.tb.Helper()
	if got := c.say(command); !strings.HasPrefix(got, begins) {
		c.tb.Errorf("after %q: got %q, want %q", command, got, begins)
	}
}

// silent checks that nothing comes for a moment.
func (c *call) silent() {
	c.tb.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if b, err := c.r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.tb.Errorf("not silent: %q, %v", b, err)
	}
}

// smtpWorld has one host in that state.
func smtpWorld(s lab.SMTP) lab.World {
	return lab.World{Name: "smtp", Domain: "smtp.test", Hosts: []lab.Host{{Name: "mx.smtp.test", SMTP: s}}}
}

const hello = "EHLO client.invalid"

func offers(reply, extension string) bool {
	for _, l := range strings.Split(reply, "|") {
		if len(l) > 4 && l[4:] == extension {
			return true
		}
	}
	return false
}

// A good server: greeting, STARTTLS offered, a handshake, STARTTLS not offered inside,
// mail taken, and every command noted.
func TestGoodServer(t *testing.T) {
	l := start(t, smtpWorld(lab.SMTP{RequireTLS: true, NeedsTLS: true}))
	c := dial(t, l, "mx.smtp.test")
	c.expect("", "220 ")
	if r := c.say(hello); !offers(r, "STARTTLS") || offers(r, "REQUIRETLS") {
		t.Errorf("EHLO: %q", r)
	}
	c.expect("MAIL FROM:<a@client.invalid>", "530 ")
	c.expect("NOOP", "250 ")
	c.expect("WHAT", "500 ")
	c.expect("STARTTLS", "220 ")
	roots := x509.NewCertPool()
	roots.AddCert(l.CA())
	s := tls.Client(c.conn, &tls.Config{ServerName: "mx.smtp.test", RootCAs: roots})
	if err := s.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.conn, c.r = s, bufio.NewReader(s)
	if r := c.say(hello); offers(r, "STARTTLS") || !offers(r, "REQUIRETLS") {
		t.Errorf("EHLO inside TLS: %q", r)
	}
	c.expect("STARTTLS", "503 ")
	c.expect("MAIL FROM:<a@client.invalid> REQUIRETLS", "250 ")
	c.expect("RCPT TO:<b@smtp.test>", "250 ")
	c.expect("DATA", "354 ")
	c.expect("Subject: hello\r\n\r\n..\r\n.", "250 ")
	c.expect("QUIT", "221 ")
	spoken := strings.Join(l.Spoken(address(t, l, "mx.smtp.test", 25)), "\n")
	for _, want := range []string{hello, "STARTTLS", "RCPT TO:<b@smtp.test>", "QUIT"} {
		if !strings.Contains(spoken, want) {
			t.Errorf("%q is not noted", want)
		}
	}
}

// Each state that is met before TLS.
func TestStates(t *testing.T) {
	for _, c := range []struct {
		state lab.SMTPState
		talk  func(*call)
	}{
		{lab.NoSTARTTLS, func(c *call) {
			c.expect("", "220 ")
			if r := c.say(hello); !strings.HasPrefix(r, "250") || offers(r, "STARTTLS") {
				t.Errorf("EHLO: %q", r)
			}
			c.expect("STARTTLS", "503 ")
		}},
		{lab.STARTTLS454, func(c *call) { c.greeted(); c.expect("STARTTLS", "454 "); c.expect("QUIT", "221 ") }},
		{lab.STARTTLS501, func(c *call) { c.greeted(); c.expect("STARTTLS", "501 "); c.expect("QUIT", "221 ") }},
		{lab.JunkAfterSTARTTLS, func(c *call) { c.greeted(); c.expect("STARTTLS", "\x00\x1b]0;junk"); c.expect("", "EOF") }},
		{lab.Injected, func(c *call) { c.greeted(); c.expect("STARTTLS", "220 "); c.expect("", "250 injected") }},
		{lab.JunkGreeting, func(c *call) { c.expect("", "\x1b[31mwelcome"); c.silent() }},
		{lab.CloseAtGreeting, func(c *call) { c.expect("", "EOF") }},
		{lab.CloseAfterEHLO, func(c *call) { c.expect("", "220 "); c.expect(hello, "EOF") }},
		{lab.Greeting421, func(c *call) { c.expect("", "421 "); c.expect("", "EOF") }},
		{lab.Greeting554, func(c *call) { c.expect("", "554 "); c.expect("", "EOF") }},
		{lab.EHLO550, func(c *call) { c.expect("", "220 "); c.expect(hello, "550 "); c.expect("HELO x", "550 ") }},
		{lab.HELOOnly, func(c *call) { c.expect("", "220 "); c.expect(hello, "502 "); c.expect("HELO x", "250 ") }},
		{lab.HangAtGreeting, func(c *call) { c.silent() }},
		{lab.HangAfterEHLO, func(c *call) { c.expect("", "220 "); fmt.Fprint(c.conn, hello+"\r\n"); c.silent() }},
		{lab.HangSTARTTLS, func(c *call) { c.greeted(); fmt.Fprint(c.conn, "STARTTLS\r\n"); c.silent() }},
		{lab.HangInHandshake, func(c *call) { c.greeted(); c.expect("STARTTLS", "220 "); c.silent() }},
	} {
		t.Run(string(c.state), func(t *testing.T) {
			l := start(t, smtpWorld(lab.SMTP{State: c.state}))
			c.talk(dial(t, l, "mx.smtp.test"))
		})
	}
}

// greeted goes up to the answer to EHLO, which offers STARTTLS.
func (c *call) greeted() {
	c.tb.Helper()
	c.expect("", "220 ")
	if r := c.say(hello); !offers(r, "STARTTLS") {
		c.tb.Errorf("EHLO: %q", r)
	}
}

// Each state that is met in the handshake, and the versions.
func TestHandshakes(t *testing.T) {
	for _, c := range []struct {
		state lab.SMTPState
		fails string // "" if the handshake works
		is    uint16
	}{
		{lab.Good, "", tls.VersionTLS13},
		{lab.TLS12Only, "", tls.VersionTLS12},
		{lab.TLS11Only, "", tls.VersionTLS11},
		{lab.TLS10Only, "", tls.VersionTLS10},
		{lab.Alert, "handshake failure", 0},
		{lab.UnknownName, "unrecognized name", 0},
		{lab.CloseInHandshake, "EOF", 0},
		{lab.JunkHandshake, "does not look like a TLS handshake", 0},
	} {
		t.Run("state "+string(c.state), func(t *testing.T) {
			l := start(t, smtpWorld(lab.SMTP{State: c.state}))
			k := dial(t, l, "mx.smtp.test")
			k.greeted()
			k.expect("STARTTLS", "220 ")
			s := tls.Client(k.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.smtp.test", MinVersion: tls.VersionTLS10})
			err := s.HandshakeContext(t.Context())
			switch {
			case c.fails == "" && (err != nil || s.ConnectionState().Version != c.is):
				t.Errorf("%v, version %x", err, s.ConnectionState().Version)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("got %v, want %s", err, c.fails)
			}
		})
	}
}

// Chains are as described: what crypto/x509 says of each.
func TestChains(t *testing.T) {
	for _, c := range []struct {
		about string
		chain lab.Chain
		sent  int
		fails string // what the error of crypto/x509 holds; "" if the chain is good
	}{
		{"usual", lab.Chain{}, 2, ""},
		{"with root", lab.Chain{Send: lab.SendRoot}, 3, ""},
		{"leaf alone", lab.Chain{Send: lab.SendLeaf}, 1, "unknown authority"},
		{"private", lab.Chain{By: lab.PrivateCA}, 2, "unknown authority"},
		{"self", lab.Chain{By: lab.SelfSigned}, 1, "unknown authority"},
		{"ended", lab.Chain{Ends: -lab.Hour}, 2, "expired or is not yet valid"},
		{"tomorrow", lab.Chain{Starts: lab.Day}, 2, "expired or is not yet valid"},
		{"other name", lab.Chain{Names: []string{"other.test"}}, 2, "not mx.smtp.test"},
		{"wildcard", lab.Chain{Names: []string{"*.smtp.test"}}, 2, ""},
		{"common name", lab.Chain{NoSAN: true, CN: "mx.smtp.test"}, 2, "Common Name"},
		{"intermediate ended", lab.Chain{Fault: lab.IssuerExpired}, 2, "expired"},
		{"intermediate no CA", lab.Chain{Fault: lab.IssuerNoCA}, 2, "cannot sign this kind of certificate"},
		{"constrained", lab.Chain{Fault: lab.IssuerExcludes}, 2, "not permitted"},
		{"for clients", lab.Chain{Fault: lab.ClientOnly}, 2, "incompatible key usage"},
		{"bad signature", lab.Chain{Fault: lab.LeafBadSig}, 2, "verification failure"},
		{"critical extension", lab.Chain{Fault: lab.CriticalUnknown}, 2, "unhandled critical extension"},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := smtpWorld(lab.SMTP{})
			w.Hosts[0].Chain = c.chain
			w.Hosts[0].BySNI = map[string]lab.Chain{"other.smtp.test": {}}
			l := start(t, w)
			peer := presented(t, l, "mx.smtp.test", "mx.smtp.test")
			if len(peer) != c.sent {
				t.Errorf("%d certificates are sent, want %d", len(peer), c.sent)
			}
			o := x509.VerifyOptions{DNSName: "mx.smtp.test", Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
			o.Roots.AddCert(l.CA())
			for _, p := range peer[1:] {
				o.Intermediates.AddCert(p)
			}
			_, err := peer[0].Verify(o)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %v, want %q", err, c.fails)
			}
			if other := presented(t, l, "mx.smtp.test", "other.smtp.test"); other[0].VerifyHostname("other.smtp.test") != nil {
				t.Error("the SNI is not honoured")
			}
		})
	}
}

// presented is the chain that a host shows to those who ask for a name.
func presented(tb testing.TB, l *lab.Lab, host, sni string) []*x509.Certificate {
	tb.Helper()
	c := dial(tb, l, host)
	c.greeted()
	c.expect("STARTTLS", "220 ")
	s := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true, ServerName: sni})
	if err := s.HandshakeContext(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s.ConnectionState().PeerCertificates
}

// Policy hosts answer as they are told.
func TestPolicyHosts(t *testing.T) {
	const policy = "version: STSv1\r\nmode: enforce\r\nmx: mx.smtp.test\r\nmax_age: 604800\r\n"
	for _, c := range []struct {
		how    lab.HTTP
		status int
		media  string
		body   string
		fails  bool
	}{
		{lab.HTTP200, 200, "text/plain; charset=utf-8", policy, false},
		{lab.HTTP404, 404, "text/plain; charset=utf-8", "there is nothing here\r\n", false},
		{lab.HTTP500, 500, "text/plain; charset=utf-8", "it is broken\r\n", false},
		{lab.HTTPRedirect, 301, "text/plain; charset=utf-8", "", false},
		{lab.HTTPHTML, 200, "text/html", policy, false},
		{lab.HTTPHuge, 200, "text/plain; charset=utf-8", "huge", false},
		{lab.HTTPClose, 0, "", "", true},
		{lab.HTTPHang, 0, "", "", true},
		{lab.HTTPHangInBody, 200, "text/plain; charset=utf-8", "", true},
		{lab.HTTPHangInHello, 0, "", "", true},
		{lab.HTTPRefused, 0, "", "", true},
		{lab.HTTPTLS10, 0, "", "", true},
	} {
		t.Run("answer "+string(c.how), func(t *testing.T) {
			w := smtpWorld(lab.SMTP{})
			w.STS = &lab.STS{Mode: "enforce", HTTP: c.how}
			l := start(t, w)
			roots := x509.NewCertPool()
			roots.AddCert(l.CA())
			tr := &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: roots},
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return l.Dial(ctx, address(t, l, "mta-sts.smtp.test", 443))
				},
			}
			defer tr.CloseIdleConnections()
			timeout := 20 * time.Second
			switch {
			case c.fails && c.status == 0:
				timeout = 300 * time.Millisecond // some of these never answer
			case c.fails:
				timeout = 3 * time.Second // the body never ends
			}
			h := http.Client{Transport: tr, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			r, err := h.Get("https://mta-sts.smtp.test/.well-known/mta-sts.txt")
			if err != nil {
				if !c.fails || c.status != 0 {
					t.Error(err)
				}
				return
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			if r.StatusCode != c.status || r.Header.Get("Content-Type") != c.media || (err != nil) != c.fails {
				t.Errorf("%s, %s, %v", r.Status, r.Header.Get("Content-Type"), err)
			}
			switch {
			case c.body == "huge":
				if len(body) < 1<<20 {
					t.Errorf("%d octets", len(body))
				}
			case !c.fails && string(body) != c.body:
				t.Errorf("%q", body)
			}
			if c.how == lab.HTTPRedirect && !strings.HasPrefix(r.Header.Get("Location"), "https://mta-sts.smtp.test/") {
				t.Error(r.Header.Get("Location"))
			}
			if s := l.Spoken(address(t, l, "mta-sts.smtp.test", 443)); len(s) != 1 || s[0] != "GET mta-sts.smtp.test/.well-known/mta-sts.txt" {
				t.Errorf("noted: %q", s)
			}
		})
	}
}

// Dial leads to the lab's servers only.
func TestDial(t *testing.T) {
	w := smtpWorld(lab.SMTP{})
	w.Hosts = append(w.Hosts,
		lab.Host{Name: "none.smtp.test", SMTP: lab.SMTP{State: lab.ConnRefused}},
		lab.Host{Name: "void.smtp.test", SMTP: lab.SMTP{State: lab.ConnTimeout}})
	l := start(t, w)
	if s := l.Spoken(netip.MustParseAddrPort("192.0.2.1:25")); s != nil {
		t.Errorf("%q", s)
	}
	for _, at := range []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("127.0.0.1:25"),
		address(t, l, "none.smtp.test", 25), address(t, l, "mx.smtp.test", 587),
	} {
		if c, err := l.Dial(t.Context(), at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v, %v", at, c, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Dial(ctx, address(t, l, "void.smtp.test", 25)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	mx, void := address(t, l, "mx.smtp.test", 25), address(t, l, "void.smtp.test", 25)
	waits := make(chan error)
	go func() {
		_, err := l.Dial(context.Background(), void)
		waits <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waits; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a dial that waited for the lab's end: %v", err)
	}
	if _, err := l.Dial(t.Context(), mx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// Close ends connections that hang, and does not wait for their clients.
func TestCloseEndsConnections(t *testing.T) {
	l := start(t, smtpWorld(lab.SMTP{State: lab.HangAtGreeting}))
	c := dial(t, l, "mx.smtp.test")
	c.silent()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	c.expect("", "EOF")
}
