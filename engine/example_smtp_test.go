package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/netip"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/smtptest"
	"github.com/mxauth/mxauth/pkix"
)

// netSMTP decides over a connection by net/smtp. MAIL FROM may follow on the client that
// it returns if the decision says Deliver and not DropConnection.
func netSMTP(attempt *engine.Attempt, conn net.Conn, host, helo string) (engine.Decision, *smtp.Client) {
	client, err := smtp.NewClient(attempt.Watch(conn), host)
	if err == nil {
		err = client.Hello(helo)
	}
	var state tls.ConnectionState
	requireTLS := false
	if err == nil && attempt.OffersSTARTTLS() {
		err = client.StartTLS(attempt.TLSConfig()) // says EHLO again
		state, _ = client.TLSConnectionState()
		if err == nil {
			requireTLS, _ = client.Extension("REQUIRETLS")
		}
	}
	attempt.Done(state, err)
	return attempt.Decision(requireTLS), client
}

// goSMTP decides over a connection by github.com/emersion/go-smtp. Its client cannot go
// on without TLS: if the decision says Deliver and the client is nil, or says
// DropConnection, the message goes over a new connection with gosmtp.NewClient.
func goSMTP(attempt *engine.Attempt, conn net.Conn, helo string) (engine.Decision, *gosmtp.Client) {
	client, err := gosmtp.NewClientStartTLS(attempt.Watch(conn), attempt.TLSConfig())
	var state tls.ConnectionState
	requireTLS := false
	if err == nil {
		err = client.Hello(helo) // runs the handshake, which NewClientStartTLS has not
		state, _ = client.TLSConnectionState()
		if err == nil {
			requireTLS, _ = client.Extension("REQUIRETLS")
		}
	}
	attempt.Done(state, err)
	return attempt.Decision(requireTLS), client
}

// A host is authenticated by DANE with the SMTP client of the standard library.
func ExampleEngine_Attempt_netSMTP() {
	e, plan, dial, stop := exampleWorld()
	defer stop()
	conn, err := dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	attempt := e.Attempt(plan, 0, exampleAddress)
	d, client := netSMTP(attempt, conn, plan.Hosts[0].Name.String(), "out.sender.example")
	if client == nil || !d.Deliver || d.DropConnection {
		log.Fatal(explain.Text(d.Reason))
	}
	fmt.Println(d.Outcome, d.Method)
	fmt.Println(client.Mail("postmaster@sender.example"), client.Quit())
	// Output:
	// authenticated dane-ee
	// <nil> <nil>
}

// A host is authenticated by DANE with github.com/emersion/go-smtp.
func ExampleEngine_Attempt_goSMTP() {
	e, plan, dial, stop := exampleWorld()
	defer stop()
	conn, err := dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	attempt := e.Attempt(plan, 0, exampleAddress)
	d, client := goSMTP(attempt, conn, "out.sender.example")
	if client == nil || !d.Deliver || d.DropConnection {
		log.Fatal(explain.Text(d.Reason))
	}
	fmt.Println(d.Outcome, d.Method)
	fmt.Println(client.Mail("postmaster@sender.example", nil), client.Quit())
	// Output:
	// authenticated dane-ee
	// <nil> <nil>
}

var exampleAddress = netip.MustParseAddrPort("192.0.2.1:25")

// A tlsHost is a certificate of mx.example.org with its key, and its TLSA record.
type tlsHost struct {
	cert tls.Certificate
	tlsa string
}

var exampleHost = sync.OnceValue(newTLSHost)

func newTLSHost() tlsHost {
	p := certtest.Issue(certtest.Server("mx.example.org"), nil)
	return tlsHost{p.TLS(), p.TLSA()}
}

// planFor is a plan for example.org, whose host has a TLSA record unless it is empty.
func planFor(tlsa string, trace *engine.Trace) (*engine.Engine, *engine.Plan) {
	resolver := dnsfake.New() // in real life a *dnssec.Validator
	resolver.SetClock(time.Now)
	resolver.Zone("org", dnssec.Secure)
	resolver.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1")
	if tlsa != "" {
		resolver.Add("_25._tcp.mx.example.org. 300 IN TLSA " + tlsa)
	}
	e, err := engine.New(engine.Config{Resolver: resolver, Roots: pkix.NewRoots(), Trace: trace})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := e.Plan(context.Background(), engine.Request{NextHop: "example.org"})
	if err != nil {
		log.Fatal(err)
	}
	return e, plan
}

// exampleWorld is a host with DANE, at a loopback address.
func exampleWorld() (e *engine.Engine, plan *engine.Plan, dial func(context.Context) (net.Conn, error), stop func()) {
	host := exampleHost()
	server := &smtptest.Server{TLS: &tls.Config{Certificates: []tls.Certificate{host.cert}}}
	at, err := server.Listen()
	if err != nil {
		log.Fatal(err)
	}
	e, plan = planFor(host.tlsa, nil)
	return e, plan, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", at.String())
	}, server.Stop
}

// TestPatterns runs both patterns over hosts that misbehave: whatever the library makes of
// it, the decision is right, and the observers hear of one.
func TestPatterns(t *testing.T) {
	cert, record, stranger := exampleHost().cert, exampleHost().tlsa, newTLSHost().cert
	server := func(edit func(*tls.Config)) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{cert}}
		if edit != nil {
			edit(c)
		}
		return c
	}
	noKey := cert
	noKey.PrivateKey = stranger.PrivateKey
	const dane, may = 0, 1
	for _, c := range []struct {
		name string
		s    *smtptest.Server
		want [2]string // outcome and event, where DANE demands TLS and where nothing does
	}{
		{"good", &smtptest.Server{TLS: server(nil)}, [2]string{"authenticated handshake-done", "encrypted handshake-done"}},
		{"TLS 1.2", &smtptest.Server{TLS: server(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })}, [2]string{"authenticated handshake-done", "encrypted handshake-done"}},
		{"TLS 1.1 only", &smtptest.Server{TLS: server(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })}, [2]string{"refused handshake-failed", "cleartext handshake-failed retry"}},
		{"another certificate", &smtptest.Server{TLS: &tls.Config{Certificates: []tls.Certificate{stranger}}}, [2]string{"refused handshake-done", "encrypted handshake-done"}},
		{"its certificate without its key", &smtptest.Server{TLS: &tls.Config{Certificates: []tls.Certificate{noKey}}}, [2]string{"refused handshake-failed", "cleartext handshake-failed retry"}},
		{"the same with TLS 1.2", &smtptest.Server{TLS: &tls.Config{Certificates: []tls.Certificate{noKey}, MaxVersion: tls.VersionTLS12}}, [2]string{"refused handshake-failed", "cleartext handshake-failed retry"}},
		{"a client certificate is wanted", &smtptest.Server{TLS: server(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })}, [2]string{"refused handshake-failed", "cleartext handshake-failed retry"}},
		{"closed in place of a handshake", &smtptest.Server{TLS: server(nil), STARTTLS: "-"}, [2]string{"refused handshake-failed", "cleartext handshake-failed retry"}},
		{"no STARTTLS", &smtptest.Server{}, [2]string{"refused no-starttls", "cleartext no-starttls"}},
		{"STARTTLS 454", &smtptest.Server{TLS: server(nil), STARTTLS: "454 4.7.0 no"}, [2]string{"refused starttls-refused", "cleartext starttls-refused"}},
		{"STARTTLS 421", &smtptest.Server{TLS: server(nil), STARTTLS: "421 4.3.2 busy"}, [2]string{"deferred no-connection", "deferred no-connection"}},
		{"plaintext in the packet of the reply", &smtptest.Server{TLS: server(nil), Inject: "250 evil\r\n"}, [2]string{"refused starttls-refused", "cleartext starttls-refused retry"}},
		{"plaintext in place of the handshake", &smtptest.Server{TLS: server(nil), Late: "250 evil\r\n"}, [2]string{"refused starttls-refused", "cleartext starttls-refused retry"}},
		{"EHLO 450", &smtptest.Server{TLS: server(nil), EHLO: "450 4.7.1 later"}, [2]string{"deferred no-connection", "deferred no-connection"}},
		{"EHLO 554", &smtptest.Server{TLS: server(nil), EHLO: "554 5.7.1 no"}, [2]string{"deferred no-connection", "deferred no-connection"}},
		{"EHLO 502", &smtptest.Server{TLS: server(nil), EHLO: "502 5.5.1 what"}, [2]string{"refused no-starttls", "cleartext no-starttls"}},
		{"EHLO inside TLS 550", &smtptest.Server{TLS: server(nil), InsideEHLO: "550 5.7.1 no"}, [2]string{"deferred no-connection", "deferred no-connection"}},
		{"greeting 554", &smtptest.Server{TLS: server(nil), Greeting: "554 5.7.1 no"}, [2]string{"deferred no-connection", "deferred no-connection"}},
	} {
		for kind, tlsa := range map[int]string{dane: record, may: ""} {
			for library, run := range map[string]func(*engine.Attempt, net.Conn) engine.Decision{
				"net/smtp": func(a *engine.Attempt, conn net.Conn) engine.Decision {
					d, client := netSMTP(a, conn, "mx.example.org", "out.sender.example")
					if client != nil {
						client.Close()
					}
					return d
				},
				"go-smtp": func(a *engine.Attempt, conn net.Conn) engine.Decision {
					d, client := goSMTP(a, conn, "out.sender.example")
					if client != nil {
						client.Close()
					}
					return d
				},
			} {
				t.Run(strings.Join([]string{c.name, map[int]string{dane: "dane", may: "may"}[kind], library}, ", "), func(t *testing.T) {
					var told []string
					e, plan := planFor(tlsa, &engine.Trace{Decided: func(_ *engine.Plan, _ int, d *engine.Decision) { told = append(told, d.Event.String()) }})
					s := smtptest.Server{TLS: c.s.TLS, Greeting: c.s.Greeting, EHLO: c.s.EHLO, STARTTLS: c.s.STARTTLS, Inject: c.s.Inject, Late: c.s.Late, InsideEHLO: c.s.InsideEHLO}
					conn, err := net.Dial("tcp", s.Start(t).String())
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					d := run(e.Attempt(plan, 0, exampleAddress), conn)
					got := d.Outcome.String() + " " + d.Event.String()
					if d.RetryClear {
						got += " retry"
					}
					if got != c.want[kind] || d.Deliver != d.Outcome.Deliverable() {
						t.Errorf("%s, want %s: %s", got, c.want[kind], explain.Text(d.Reason))
					}
					if len(told) != 1 || told[0] != d.Event.String() {
						t.Errorf("told of %q", told)
					}
				})
			}
		}
	}
}
