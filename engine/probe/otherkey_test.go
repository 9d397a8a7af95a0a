package probe_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
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
)

// rsaPair is a certificate of the server with an RSA key; serverPair has an ECDSA key.
var rsaPair = sync.OnceValue(func() *certtest.Pair {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	p, err := certtest.Sign(certtest.Server("mx.example.org"), key, nil)
	if err != nil {
		panic(err)
	}
	return p
})

// twoKeys has an ECDSA and an RSA certificate, and prefers the first that is given.
func twoKeys(all ...*certtest.Pair) *tls.Config {
	c := &tls.Config{}
	for _, p := range all {
		c.Certificates = append(c.Certificates, p.TLS())
	}
	return c
}

// only13 has c speak TLS 1.3 only.
func only13(c *tls.Config) *tls.Config {
	c.MinVersion = tls.VersionTLS13
	return c
}

// secondTime is a server whose second connection is another server.
func secondTime(t *testing.T, first, second *smtptest.Server) func(context.Context, netip.AddrPort) (net.Conn, error) {
	a, b := first.Start(t), second.Start(t)
	var n atomic.Int32
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		if n.Add(1) == 1 {
			return dialTo(a)(ctx, to)
		}
		return dialTo(b)(ctx, to)
	}
}

// TestOtherKey: of a server with an RSA and an ECDSA certificate both are decided, and the
// weaker is the host's. A second connection that comes to nothing changes nothing.
func TestOtherKey(t *testing.T) {
	ec, rs := serverPair(), rsaPair()
	good := &smtptest.Server{TLS: serverTLS()}
	both := func() *smtptest.Server { return &smtptest.Server{TLS: twoKeys(ec, rs)} }
	for _, c := range []struct {
		name string
		dial func(context.Context, netip.AddrPort) (net.Conn, error)
		tlsa string
		want engine.Outcome
		keys string // kinds of keys that were shown
		says string // part of the reason of the host
	}{
		{"both match", dialTo(both().Start(t)), ec.TLSA() + "," + rs.TLSA(), engine.Authenticated, "ECDSA RSA", "3 1 1"},
		{"only the one shown first matches", dialTo(both().Start(t)), ec.TLSA(), engine.Refused, "ECDSA RSA", "The RSA key that mx.example.org shows matches none"},
		{"only the other one matches", dialTo(both().Start(t)), rs.TLSA(), engine.Refused, "ECDSA RSA", "The ECDSA key that mx.example.org shows matches none"},
		{"neither matches", dialTo(both().Start(t)), "3 1 1 " + strings.Repeat("00", 32), engine.Refused, "ECDSA RSA", "The ECDSA key"},
		{"RSA is preferred", dialTo((&smtptest.Server{TLS: twoKeys(rs, ec)}).Start(t)), rs.TLSA(), engine.Refused, "RSA ECDSA", "The ECDSA key"},
		{"one certificate", dialTo(good.Start(t)), ec.TLSA(), engine.Authenticated, "ECDSA", "3 1 1"},
		{"TLS 1.3 only", dialTo((&smtptest.Server{TLS: only13(twoKeys(ec, rs))}).Start(t)), ec.TLSA(), engine.Authenticated, "ECDSA", "3 1 1"},
		{"the second connection is refused", secondTime(t, both(), &smtptest.Server{Greeting: "421 too many connections"}), ec.TLSA(), engine.Authenticated, "ECDSA", "3 1 1"},
		{"the second connection is greylisted at EHLO", secondTime(t, both(), &smtptest.Server{TLS: twoKeys(rs), InsideEHLO: "451 later"}), ec.TLSA(), engine.Authenticated, "ECDSA", "3 1 1"},
		{"the second connection has no STARTTLS", secondTime(t, both(), &smtptest.Server{}), ec.TLSA(), engine.Authenticated, "ECDSA", "3 1 1"},
		{"the second connection hangs", secondTime(t, both(), &smtptest.Server{Greeting: "-"}), ec.TLSA(), engine.Authenticated, "ECDSA", "3 1 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int32
			e, plan := planned(t, c.tlsa, "192.0.2.1", "192.0.2.2")
			p := probe.New(probe.Config{Dial: counting(c.dial, &n), HELO: "probe.example", Timeout: time.Second, MaxAddresses: 1})
			r := p.Host(t.Context(), e, plan, 0)
			var keys []string
			for _, a := range r.Addresses {
				keys = append(keys, a.Peer.KeyKind().String())
			}
			if got := strings.Join(keys, " "); got != c.keys || r.Decision.Outcome != c.want || !strings.Contains(explain.Text(r.Decision.Reason), c.says) || n.Load() != 2 {
				t.Errorf("%s with %s in %d connections, want %s with %s in 2: %s", r.Decision.Outcome, got, n.Load(), c.want, c.keys, explain.Text(r.Decision.Reason))
			}
			found := slices.ContainsFunc(r.Decision.Details, func(r engine.Reason) bool { return r.ID == reason.TwoCertificates })
			if want := len(keys) == 2 && c.want == engine.Refused; found != want || r.Paired() != (len(keys) == 2) {
				t.Errorf("a finding of the other certificate: %v, want %v", found, want)
			}
			// What was shown is decided alike when it is judged again.
			var shown []probe.Shown
			for _, a := range r.Addresses {
				peer := a.Peer
				peer.Other = nil
				shown = append(shown, probe.Shown{Peer: peer, At: a.At})
			}
			if again := probe.JudgeShown(e, plan, 0, shown, r.Left, r.At); again.Decision.Outcome != r.Decision.Outcome || explain.Text(again.Decision.Reason) != explain.Text(r.Decision.Reason) {
				t.Errorf("again: %s: %s", again.Decision.Outcome, explain.Text(again.Decision.Reason))
			}
		})
	}
}

// TestOtherKeyHosts: a second certificate is looked for at the first address that shows one,
// of hosts whose certificate counts, as far as the configuration says.
func TestOtherKeyHosts(t *testing.T) {
	addrs := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}
	for _, c := range []struct {
		name  string
		which probe.Certificates
		tlsa  string
		level engine.Level
		want  int32 // connections to three addresses
	}{
		{"DANE", probe.CertificatesCounting, record(), engine.LevelDefault, 4},
		{"DANE, and the first certificates only", probe.CertificatesFirst, record(), engine.LevelDefault, 3},
		{"a TLSA record to publish", probe.CertificatesCounting, "", engine.LevelDefault, 4},
		{"nothing counts", probe.CertificatesCounting, "", engine.LevelOpportunistic, 3},
		{"nothing counts, and all are looked at", probe.CertificatesAll, "", engine.LevelOpportunistic, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &smtptest.Server{TLS: twoKeys(serverPair(), rsaPair())}
			to := s.Start(t)
			e, _ := planned(t, c.tlsa, addrs...)
			plan, err := e.Plan(t.Context(), engine.Request{NextHop: "example.org", Level: c.level})
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var dialled []string
			p := probe.New(probe.Config{HELO: "probe.example", Certificates: c.which, Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				mu.Lock()
				dialled = append(dialled, a.Addr().String())
				mu.Unlock()
				return dialTo(to)(ctx, a)
			}})
			r := p.Host(t.Context(), e, plan, 0)
			if n := int32(len(dialled)); n != c.want || len(r.Addresses) != len(dialled) {
				t.Fatalf("%d connections, want %d; %d results", n, c.want, len(r.Addresses))
			}
			if c.want == 4 && (dialled[3] != addrs[0] || r.Addresses[3].Address != netip.MustParseAddr(addrs[0]) || !r.Addresses[3].Peer.OtherKey) {
				t.Errorf("%v, %+v", dialled, r.Addresses[3])
			}
		})
	}
}
