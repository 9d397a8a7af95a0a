package probe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/smtptest"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var serverPair = sync.OnceValue(func() *certtest.Pair { return certtest.Issue(certtest.Server("mx.example.org"), nil) })

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{serverPair().TLS()}} }

func record() string { return serverPair().TLSA() }

var address = netip.MustParseAddr("192.0.2.1")

// dialTo connects whatever is dialled to where the server is.
func dialTo(to netip.AddrPort) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", to.String())
	}
}

func theHost(t testing.TB) engine.Host {
	h, err := rfc6125.ParseHost("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	return engine.Host{Name: h, Port: 25, SNI: "base.example.org", Requirement: engine.May, Addresses: []netip.Addr{address}}
}

// run probes one server.
func run(t *testing.T, s *smtptest.Server) engine.Peer {
	t.Helper()
	p := probe.New(probe.Config{Dial: dialTo(s.Start(t)), HELO: "probe.example", Timeout: 5 * time.Second})
	return p.Probe(t.Context(), theHost(t), address)
}

func TestProbe(t *testing.T) {
	const before = "CONNECT | EHLO probe.example"
	for _, c := range []struct {
		name   string
		s      *smtptest.Server
		want   engine.Event
		detail string // part of it
		said   string
	}{
		{"all well", &smtptest.Server{TLS: serverTLS()}, engine.HandshakeDone, "", before + " | STARTTLS | TLS | EHLO probe.example | QUIT"},
		{"no STARTTLS", &smtptest.Server{}, engine.NoSTARTTLS, "", before + " | QUIT"},
		{"454", &smtptest.Server{TLS: serverTLS(), STARTTLS: "454 4.7.0 TLS not available"}, engine.STARTTLSRefused, "454 4.7.0 TLS not available", before + " | STARTTLS | QUIT"},
		{"junk in place of a reply", &smtptest.Server{TLS: serverTLS(), STARTTLS: "xyz"}, engine.STARTTLSRefused, "not an SMTP reply", before + " | STARTTLS"},
		{"the connection ends at STARTTLS", &smtptest.Server{TLS: serverTLS(), STARTTLS: "-"}, engine.HandshakeFailed, "closed", before + " | STARTTLS"},
		{"TLS 1.1 only", &smtptest.Server{TLS: &tls.Config{Certificates: []tls.Certificate{serverPair().TLS()}, MaxVersion: tls.VersionTLS11}}, engine.HandshakeFailed, "protocol version", before + " | STARTTLS"},
		{"a handshake that is refused", &smtptest.Server{TLS: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}}, engine.HandshakeFailed, "internal error", before + " | STARTTLS"},
		{"no greeting but 554", &smtptest.Server{Greeting: "554 no"}, engine.NoConnection, "554 no", "CONNECT | QUIT"},
		{"421 in greeting", &smtptest.Server{Greeting: "421 busy"}, engine.NoConnection, "421 busy", "CONNECT | QUIT"},
		{"a greeting that is none", &smtptest.Server{Greeting: "hello"}, engine.NoConnection, "not an SMTP reply", "CONNECT"},
		{"EHLO closes", &smtptest.Server{EHLO: "-"}, engine.NoConnection, "closed", before},
		{"EHLO is not known", &smtptest.Server{EHLO: "502 what"}, engine.NoSTARTTLS, "502 what", before + " | QUIT"},
		{"EHLO gets 421", &smtptest.Server{EHLO: "421 later"}, engine.NoConnection, "421 later", before + " | QUIT"},
		{"EHLO gets 554", &smtptest.Server{EHLO: "554 go away"}, engine.NoConnection, "554 go away", before + " | QUIT"},
		{"EHLO gets junk", &smtptest.Server{EHLO: "250-a\r\n550 b"}, engine.NoConnection, "different codes", before},
		{"EHLO never ends", &smtptest.Server{EHLO: strings.Repeat("250-X\r\n", 1000) + "250 Y"}, engine.NoConnection, "lines", before},
		{"a line that never ends", &smtptest.Server{EHLO: "250 " + strings.Repeat("x", 10000)}, engine.NoConnection, "octets", before},
		{"the server's name is no extension", &smtptest.Server{EHLO: "250-STARTTLS\r\n250 HELP"}, engine.NoSTARTTLS, "", before + " | QUIT"},
		{"an extension with parameters, in small letters", &smtptest.Server{EHLO: "250-test\r\n250 starttls now", TLS: serverTLS()}, engine.HandshakeDone, "", ""},
		{"a reply of three digits", &smtptest.Server{EHLO: "250-test\r\n250-STARTTLS\r\n250", TLS: serverTLS()}, engine.HandshakeDone, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer := run(t, c.s)
			if peer.Event != c.want || !strings.Contains(peer.Detail, c.detail) {
				t.Errorf("%s %q, want %s %q", peer.Event, peer.Detail, c.want, c.detail)
			}
			if c.said != "" && c.s.Said() != c.said {
				t.Errorf("said %s\nwant %s", c.s.Said(), c.said)
			}
			if peer.Address != netip.AddrPortFrom(address, 25) {
				t.Errorf("address %s", peer.Address)
			}
			if (len(peer.Chain) == 1) != (c.want == engine.HandshakeDone) {
				t.Errorf("%d certificates", len(peer.Chain))
			}
			if strings.Contains(c.s.Said(), "MAIL") {
				t.Error("MAIL FROM was sent")
			}
		})
	}
}

// TestRequirements are the rows of requirements.tsv on the conversation.
func TestRequirements(t *testing.T) {
	t.Run("STARTTLS3207-4-01 TLS starts before any other command", func(t *testing.T) {
		s := smtptest.Server{TLS: serverTLS()}
		run(t, &s)
		if !strings.Contains(s.Said(), "STARTTLS | TLS | EHLO") {
			t.Error(s.Said())
		}
	})
	t.Run("STARTTLS3207-4-02 where TLS cannot start the connection ends", func(t *testing.T) {
		s := smtptest.Server{TLS: &tls.Config{Certificates: []tls.Certificate{serverPair().TLS()}, MaxVersion: tls.VersionTLS11}}
		if p := run(t, &s); p.Event != engine.HandshakeFailed || !strings.HasSuffix(s.Said(), "STARTTLS") {
			t.Errorf("%s: %s", p.Event, s.Said())
		}
	})
	t.Run("STARTTLS3207-4-04 plain data behind the reply", func(t *testing.T) {
		for name, s := range map[string]*smtptest.Server{
			"in the same packet": {TLS: serverTLS(), Inject: "250-evil\r\n250 REQUIRETLS\r\n"},
			"a little later":     {TLS: serverTLS(), Late: "250 evil and more\r\n"},
		} {
			p := run(t, s)
			if p.Event != engine.STARTTLSRefused || !p.Injected || p.RequireTLS || strings.Contains(s.Said(), "QUIT") || strings.HasSuffix(s.Said(), "EHLO probe.example") {
				t.Errorf("%s: %s %v: %s", name, p.Event, p.Injected, s.Said())
			}
		}
	})
	t.Run("STARTTLS3207-4.1-02 QUIT where it does not suffice", func(t *testing.T) {
		s := smtptest.Server{TLS: serverTLS()}
		e, plan := planned(t, "3 1 1 "+strings.Repeat("00", 32))
		r := probe.New(probe.Config{Dial: dialTo(s.Start(t)), HELO: "probe.example", Certificates: probe.CertificatesFirst}).Host(t.Context(), e, plan, 0)
		if r.Decision.Outcome != engine.Refused || !strings.HasSuffix(s.Said(), "QUIT") {
			t.Errorf("%s: %s", r.Decision.Outcome, s.Said())
		}
	})
	t.Run("STARTTLS3207-4.2-01 what was offered before TLS is forgotten", func(t *testing.T) {
		s := smtptest.Server{TLS: serverTLS(), Before: []string{"REQUIRETLS"}}
		if p := run(t, &s); p.Event != engine.HandshakeDone || p.RequireTLS || strings.Count(s.Said(), "EHLO") != 2 {
			t.Errorf("%+v: %s", p, s.Said())
		}
		s2 := smtptest.Server{TLS: serverTLS(), Inside: []string{"REQUIRETLS"}}
		if p := run(t, &s2); !p.RequireTLS {
			t.Errorf("%+v", p)
		}
	})
	t.Run("STARTTLS3207-4.2-02 no STARTTLS inside TLS", func(t *testing.T) {
		s := smtptest.Server{TLS: serverTLS(), Inside: []string{"STARTTLS"}}
		if run(t, &s); strings.Count(s.Said(), "STARTTLS") != 1 {
			t.Error(s.Said())
		}
	})
	t.Run("DANE7672-8.1-01 SNI is the plan's", func(t *testing.T) {
		var mu sync.Mutex
		got := ""
		s := smtptest.Server{TLS: serverTLS(), AskSNI: func(n string) { mu.Lock(); got = n; mu.Unlock() }}
		run(t, &s)
		mu.Lock()
		defer mu.Unlock()
		if got != "base.example.org" {
			t.Errorf("%q", got)
		}
	})
	t.Run("EAI8616-4-01 the name in EHLO is in A-labels", func(t *testing.T) {
		for in, want := range map[string]string{"bücher.example": "xn--bcher-kva.example", "a b": "localhost", "[192.0.2.1]": "[192.0.2.1]", "[IPv6:2001:db8::1]": "[IPv6:2001:db8::1]", "[x]": "localhost", "x192.0.2.1]": "localhost", "[192.0.2.1x": "localhost", "[]": "localhost", "probe.example\r\nMAIL FROM:<>": "localhost"} {
			s := smtptest.Server{}
			probe.New(probe.Config{Dial: dialTo(s.Start(t)), HELO: in}).Probe(t.Context(), theHost(t), address)
			if !strings.HasPrefix(s.Said(), "CONNECT | EHLO "+want+" |") {
				t.Errorf("%q: %s", in, s.Said())
			}
		}
		// The local host's name, whatever it is, is ASCII.
		s := smtptest.Server{}
		probe.New(probe.Config{Dial: dialTo(s.Start(t))}).Probe(t.Context(), theHost(t), address)
		for _, c := range s.Said() {
			if c > 0x7f {
				t.Errorf("%q", s.Said())
			}
		}
	})
	t.Run("DANE7672-10-01 no connection to a host that the plan skips", func(t *testing.T) {
		dials := 0
		p := probe.New(probe.Config{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { dials++; return nil, io.EOF }})
		r := dnsfake.New()
		r.Zone("org", dnssec.Secure)
		r.SetClock(time.Now)
		r.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1")
		r.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
		e, plan := planBy(t, r)
		if h := p.Host(t.Context(), e, plan, 0); h.Decision.Outcome != engine.Deferred || len(h.Addresses) != 0 || dials != 0 {
			t.Errorf("%s, %d dials", h.Decision.Outcome, dials)
		}
	})
	t.Run("one family", func(t *testing.T) {
		s := smtptest.Server{TLS: serverTLS()}
		to := s.Start(t)
		e, plan := planned(t, record(), "192.0.2.1", "192.0.2.2")
		var dials atomic.Int32
		for network, want := range map[string]int32{"tcp4": 2, "tcp6": 0, "": 2} {
			dials.Store(0)
			r := probe.New(probe.Config{HELO: "probe.example", Network: network, Certificates: probe.CertificatesFirst,
				Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
					dials.Add(1)
					return dialTo(to)(ctx, a)
				}}).Host(t.Context(), e, plan, 0)
			if dials.Load() != want {
				t.Errorf("%q: %d dials, want %d", network, dials.Load(), want)
			}
			if network != "tcp6" {
				continue
			}
			if p := r.Addresses[0].Peer; len(r.Addresses) != 1 || !p.Untried || p.Ending != engine.EndedFamily || !strings.Contains(p.Detail, "no IPv6 address") ||
				r.Decision.Outcome != engine.Deferred || r.Decision.Reason.ID != reason.NotTried || r.Decision.At.IsZero() {
				t.Errorf("%+v", r)
			}
		}
	})
	t.Run("public addresses only", func(t *testing.T) {
		s := smtptest.Server{TLS: serverTLS()}
		to := s.Start(t)
		e, plan := planned(t, record(), "192.0.2.1", "10.0.0.1", "9.9.9.9", "127.0.0.1")
		var mu sync.Mutex
		dialled := map[string]bool{}
		r := probe.New(probe.Config{HELO: "probe.example", PublicOnly: true,
			AllowAddresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("127.0.0.0/8")},
			DenyAddresses:  []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				mu.Lock()
				dialled[a.Addr().String()] = true
				mu.Unlock()
				return dialTo(to)(ctx, a)
			}}).Host(t.Context(), e, plan, 0)
		for _, a := range r.Addresses {
			untried := a.Address.String() == "10.0.0.1" || a.Address.String() == "127.0.0.1"
			if dialled[a.Address.String()] == untried || a.Peer.Untried != untried {
				t.Errorf("%s: dialled %v, untried %v", a.Address, dialled[a.Address.String()], a.Peer.Untried)
			}
			if untried && (a.Decision.Outcome != engine.Deferred || a.Decision.Reason.ID != reason.NotTried) {
				t.Errorf("%s: %s %s", a.Address, a.Decision.Outcome, a.Decision.Reason.ID)
			}
		}
		if len(r.Addresses) != 4 {
			t.Errorf("%d addresses", len(r.Addresses))
		}
	})
	t.Run("SMTP5321-5.1-08 every address, up to the limit", func(t *testing.T) {
		s := smtptest.Server{TLS: serverTLS()}
		to := s.Start(t)
		e, plan := planned(t, record(), "192.0.2.1", "192.0.2.2", "192.0.2.3")
		dial := func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			if a.Addr() == netip.MustParseAddr("192.0.2.1") {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return dialTo(to)(ctx, a)
		}
		r := probe.New(probe.Config{Dial: dial, MaxAddresses: 2}).Host(t.Context(), e, plan, 0)
		if len(r.Addresses) != 2 || r.Left != 1 || r.Decision.Outcome != engine.Authenticated || !r.Differ() || !strings.Contains(r.Addresses[0].Peer.Detail, "connection refused") {
			t.Errorf("%+v", r)
		}
	})
}

// planned is a plan for example.org with TLSA records, which commas separate.
func planned(t *testing.T, tlsa string, addrs ...string) (*engine.Engine, *engine.Plan) {
	t.Helper()
	r := dnsfake.New()
	r.SetClock(time.Now)
	r.Zone("org", dnssec.Secure)
	r.Add("example.org. 300 IN MX 10 mx.example.org.")
	if addrs == nil {
		addrs = []string{"192.0.2.1"}
	}
	for _, a := range addrs {
		r.Add("mx.example.org. 300 IN A " + a)
	}
	for _, record := range strings.FieldsFunc(tlsa, func(c rune) bool { return c == ',' }) {
		r.Add("_25._tcp.mx.example.org. 300 IN TLSA " + record)
	}
	return planBy(t, r)
}

// planBy is a plan for example.org by what a resolver answers.
func planBy(t *testing.T, r *dnsfake.Resolver) (*engine.Engine, *engine.Plan) {
	t.Helper()
	e, err := engine.New(engine.Config{Resolver: r, Roots: pkix.NewRoots()})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := e.Plan(t.Context(), engine.Request{NextHop: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	return e, plan
}

func TestHost(t *testing.T) {
	servers := map[string]*smtptest.Server{
		"192.0.2.1": {TLS: serverTLS()}, "192.0.2.2": {}, "192.0.2.3": {TLS: serverTLS(), STARTTLS: "454 no"},
	}
	at := map[netip.Addr]netip.AddrPort{}
	for a, s := range servers {
		at[netip.MustParseAddr(a)] = s.Start(t)
	}
	dial := func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		to, ok := at[a.Addr()]
		if !ok {
			return nil, &net.OpError{Op: "dial", Err: errors.New("no route to host")}
		}
		return dialTo(to)(ctx, a)
	}
	p := probe.New(probe.Config{Dial: dial})
	for _, c := range []struct {
		tlsa  string
		addrs string
		want  engine.Outcome
		id    reason.ID
		every bool // all addresses alike
	}{
		{record(), "192.0.2.1", engine.Authenticated, reason.DANEEEMatch, true},
		{record(), "192.0.2.1 192.0.2.2", engine.Refused, reason.NoSTARTTLS, false},
		{record(), "192.0.2.2 192.0.2.3", engine.Refused, reason.NoSTARTTLS, false}, // of those alike the first
		{record(), "192.0.2.1 192.0.2.9", engine.Authenticated, reason.DANEEEMatch, false},
		{record(), "192.0.2.9 192.0.2.8", engine.Deferred, reason.NoConnection, true},
		{"", "192.0.2.1 192.0.2.2", engine.Cleartext, reason.ClearOffered, false},
		{"", "192.0.2.9 192.0.2.1", engine.Encrypted, reason.EncryptedCA, false},
	} {
		e, plan := planned(t, c.tlsa, strings.Fields(c.addrs)...)
		r := p.Host(t.Context(), e, plan, 0)
		if r.Decision.Outcome != c.want || r.Decision.Reason.ID != c.id || r.Differ() == c.every {
			t.Errorf("%s: %s %s, differ %v", c.addrs, r.Decision.Outcome, r.Decision.Reason.ID, r.Differ())
		}
		for i, a := range r.Addresses {
			if a.Address != plan.Hosts[0].Addresses[i] {
				t.Errorf("%s: the order is not the plan's", c.addrs)
			}
		}
	}
}

// TestJudge decides again what a probe showed before.
func TestJudge(t *testing.T) {
	s := &smtptest.Server{TLS: serverTLS()}
	to := s.Start(t)
	e, plan := planned(t, record(), "192.0.2.1", "192.0.2.2")
	r := probe.New(probe.Config{Dial: dialTo(to)}).Host(t.Context(), e, plan, 0)
	peers := []engine.Peer{r.Addresses[0].Peer, r.Addresses[1].Peer}
	j := probe.Judge(e, plan, 0, peers, 3, time.Now())
	if j.Decision.Outcome != engine.Authenticated || len(j.Addresses) != 2 || j.Left != 3 || j.Addresses[1].Address != plan.Hosts[0].Addresses[1] {
		t.Errorf("%+v", j)
	}
	if j := probe.Judge(e, plan, 0, nil, 0, time.Now()); j.Decision.Outcome != engine.Deferred || len(j.Addresses) != 0 {
		t.Errorf("no peers: %+v", j)
	}
	skipped := *plan
	skipped.Hosts = []engine.Host{{Name: plan.Hosts[0].Name, Skipped: engine.Refused}}
	if j := probe.Judge(e, &skipped, 0, peers, 0, time.Now()); j.Decision.Outcome != engine.Refused || len(j.Addresses) != 0 {
		t.Errorf("skipped: %+v", j)
	}
}

func TestTime(t *testing.T) {
	for name, s := range map[string]*smtptest.Server{
		"greeting": {Greeting: "-"}, "EHLO inside TLS": {TLS: serverTLS(), HangInside: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := probe.New(probe.Config{Dial: dialTo(s.Start(t)), Timeout: 200 * time.Millisecond})
			start := time.Now()
			peer := p.Probe(t.Context(), theHost(t), address)
			if took := time.Since(start); took > 5*time.Second || !strings.Contains(peer.Detail, "timeout") {
				t.Errorf("%s after %v: %q", peer.Event, took, peer.Detail)
			}
			// Nothing is concluded before the first reply inside TLS.
			if peer.Event != engine.NoConnection || len(peer.Chain) > 0 {
				t.Errorf("%s", peer.Event)
			}
		})
	}
	t.Run("the caller leaves", func(t *testing.T) {
		s := &smtptest.Server{Greeting: "-"}
		to := s.Start(t)
		ctx, cancel := context.WithCancel(t.Context())
		p := probe.New(probe.Config{Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			c, err := dialTo(to)(ctx, a)
			cancel()
			return c, err
		}})
		start := time.Now()
		if peer := p.Probe(ctx, theHost(t), address); peer.Event != engine.NoConnection || !strings.Contains(peer.Detail, "cancelled") || time.Since(start) > 5*time.Second {
			t.Errorf("%+v", peer)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		a := netip.MustParseAddrPort(l.Addr().String())
		l.Close()
		h := theHost(t)
		h.Port = a.Port()
		if peer := probe.New(probe.Config{}).Probe(t.Context(), h, a.Addr()); peer.Event != engine.NoConnection || !strings.Contains(peer.Detail, "refused") {
			t.Errorf("%+v", peer)
		}
	})
}

// FuzzConversation feeds a probe whatever a server may say.
func FuzzConversation(f *testing.F) {
	for _, s := range []string{"220 x\r\n250-y\r\n250 STARTTLS\r\n220 go\r\n", "220-a\r\n220 b\r\n250 c\r\n", "2", "999999", "220 x\r\n250-STARTTLS\r\n", "\x16\x03\x01"} {
		f.Add([]byte(s))
	}
	h := theHost(f)
	f.Fuzz(func(t *testing.T, said []byte) {
		dial := func(context.Context, netip.AddrPort) (net.Conn, error) {
			a, b := net.Pipe()
			go func() {
				defer b.Close()
				go io.Copy(io.Discard, b)
				b.Write(said)
			}()
			return a, nil
		}
		peer := probe.New(probe.Config{Dial: dial, Timeout: time.Second, HELO: "probe.example"}).Probe(t.Context(), h, address)
		if peer.Event == engine.HandshakeDone || peer.RequireTLS {
			t.Errorf("%+v", peer)
		}
		if peer.Event > engine.HandshakeDone {
			t.Errorf("event %d", peer.Event)
		}
	})
}
