package engine_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/rfc6125"
)

// serverConfig is the TLS configuration of a server that shows k and its issuers. The
// clock of both sides is the tests'.
func serverConfig(k *certtest.Pair, more ...*certtest.Pair) *tls.Config {
	c := tls.Certificate{PrivateKey: k.Key, Certificate: [][]byte{k.Cert.Raw}}
	for _, m := range more {
		c.Certificate = append(c.Certificate, m.Cert.Raw)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{c}, Time: func() time.Time { return epoch }}
	// Clones of one server know each other's tickets.
	cfg.SetSessionTicketKeys([][32]byte{{1}})
	return cfg
}

// shake runs a handshake and one exchange over a pipe, and returns the client's error
// and what it offered.
func shake(t testing.TB, client, server *tls.Config) (hello tls.ClientHelloInfo, state tls.ConnectionState, err error) {
	t.Helper()
	// Loopback, not net.Pipe: both sides may write at once when one refuses.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b.SetDeadline(time.Now().Add(10 * time.Second))
	server = server.Clone()
	server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { hello = *h; return nil, nil }
	var wg sync.WaitGroup
	wg.Go(func() {
		s := tls.Server(b, server)
		defer b.Close()
		if s.Handshake() == nil {
			one := make([]byte, 1)
			if _, err := s.Read(one); err == nil {
				s.Write([]byte("y"))
			}
		}
	})
	c := tls.Client(a, client)
	a.SetDeadline(time.Now().Add(10 * time.Second))
	if err = c.Handshake(); err == nil {
		// The answer brings the session ticket with it.
		if _, err = c.Write([]byte("x")); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		state = c.ConnectionState()
	}
	a.Close()
	wg.Wait()
	return hello, state, err
}

func TestAttempt(t *testing.T) {
	begin := func(t *testing.T, name string) (*world, *engine.Attempt, *certtest.Pair) {
		w, r, good := plans[name](t)
		p := w.plan(r)
		var key *certtest.Pair
		for _, k := range []*certtest.Pair{w.self, w.good, w.wrong} {
			if len(good.Chain) > 0 && good.Chain[0] == k.Cert {
				key = k
			}
		}
		return w, w.engine().Attempt(p, 0, netip.MustParseAddrPort("192.0.2.1:25")), key
	}
	for _, name := range []string{"may", "encrypt", "half-dane", "dane", "sts", "pkix", "half-dane+sts", "dane+sts"} {
		t.Run(name, func(t *testing.T) {
			w, a, key := begin(t, name)
			_, state, err := shake(t, a.TLSConfig(), serverConfig(key, w.ca))
			if err != nil {
				t.Fatalf("the peer that satisfies it: %v", err)
			}
			a.Done(state, nil)
			d := a.Decision(false)
			if !d.Deliver || d.Requirement.String() != name || d.Address.Port() != 25 || len(d.Presented) == 0 {
				t.Errorf("%s %s", d.Outcome, explain.Text(d.Reason))
			}
			// A stranger.
			w, a, _ = begin(t, name)
			_, _, err = shake(t, a.TLSConfig(), serverConfig(w.alien))
			if demands := name != "may" && name != "encrypt"; demands != errors.Is(err, engine.ErrRefused) {
				t.Errorf("a stranger: %v", err)
			}
			a.Failed(engine.HandshakeFailed, err)
			if err == nil {
				return
			}
			d = a.Decision(true)
			if d.Deliver || d.Outcome != engine.Refused || d.Event != engine.HandshakeDone || len(d.Presented) == 0 {
				t.Errorf("%s %s: %s", d.Outcome, d.Event, explain.Text(d.Reason))
			}
		})
	}
	t.Run("REQUIRETLS is known after EHLO only", func(t *testing.T) {
		w := newWorld(t).signed()
		a := w.engine().Attempt(w.plan(engine.Request{RequireTLS: true}), 0, netip.AddrPort{})
		_, state, err := shake(t, a.TLSConfig(), serverConfig(w.good))
		if err != nil {
			t.Fatal(err)
		}
		a.Done(state, nil)
		if d := a.Decision(false); d.Deliver || explain.Decision(d).Code != "5.7.30" {
			t.Errorf("%+v", d)
		}
		if d := a.Decision(true); !d.SendRequireTLS {
			t.Errorf("%+v", d)
		}
	})
	t.Run("what else can come of it", func(t *testing.T) {
		w := newWorld(t).signed()
		p := w.plan(engine.Request{})
		begin := func() *engine.Attempt { return w.engine().Attempt(p, 0, netip.AddrPort{}) }
		if d := begin().Decision(true); d.Outcome != engine.Deferred || d.Event != engine.NoConnection {
			t.Errorf("nothing told: %s", d.Outcome)
		}
		for ev, want := range map[engine.Event]engine.Outcome{engine.NoConnection: engine.Deferred, engine.NoSTARTTLS: engine.Cleartext, engine.STARTTLSRefused: engine.Cleartext, engine.HandshakeFailed: engine.Cleartext} {
			a := begin()
			a.Failed(ev, errors.New("said the test"))
			if d := a.Decision(true); d.Outcome != want || d.Event != ev || d.SendRequireTLS {
				t.Errorf("%s: %s", ev, d.Outcome)
			}
		}
		a := begin()
		a.Injected()
		if d := a.Decision(false); !d.DropConnection || !d.RetryClear || d.Event != engine.STARTTLSRefused {
			t.Errorf("%+v", d)
		}
		a = begin()
		a.Failed(engine.NoSTARTTLS, nil)
		if d := a.Decision(false); d.Event != engine.NoSTARTTLS {
			t.Errorf("%+v", d)
		}
	})
	t.Run("TLS8996-4-01 TLS 1.0 is never negotiated", func(t *testing.T) { refusesVersion(t, tls.VersionTLS10) })
	t.Run("TLS8996-5-01 TLS 1.1 is never negotiated", func(t *testing.T) { refusesVersion(t, tls.VersionTLS11) })
	t.Run("DANE7671-3-02 TLS 1.2 is the floor", func(t *testing.T) { refusesVersion(t, tls.VersionTLS11) })
	for _, id := range []string{"STS-7.2-01 TLS 1.2 and later", "TLS9325-3.1.1-01 TLS 1.2 and 1.3"} {
		t.Run(id, func(t *testing.T) {
			for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				w, a, key := begin(t, "sts")
				s := serverConfig(key, w.ca)
				s.MaxVersion = v
				_, state, err := shake(t, a.TLSConfig(), s)
				a.Done(state, err)
				if err != nil || state.Version != v || a.Decision(false).Outcome != engine.Authenticated {
					t.Errorf("%s: %v %+v", tls.VersionName(v), err, state.Version)
				}
			}
			// 1.3 is preferred.
			w, a, key := begin(t, "sts")
			if hello, state, err := shake(t, a.TLSConfig(), serverConfig(key, w.ca)); err != nil || state.Version != tls.VersionTLS13 || slices.Min(hello.SupportedVersions) < tls.VersionTLS12 {
				t.Errorf("%v %+v", err, hello.SupportedVersions)
			}
		})
	}
	hello := func(t *testing.T, name string) tls.ClientHelloInfo {
		w, a, key := begin(t, name)
		h, _, err := shake(t, a.TLSConfig(), serverConfig(key, w.ca))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	t.Run("DANE7671-3-01 SNI is sent", func(t *testing.T) {
		if h := hello(t, "dane"); h.ServerName != "mx.example.org" {
			t.Errorf("%q", h.ServerName)
		}
	})
	t.Run("DANE7672-8.1-01 SNI is the TLSA base domain", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1",
			"_25._tcp.real.example.org. 300 IN TLSA "+tlsaOf(3, 1, w.self.Cert))
		a := w.engine().Attempt(w.plan(engine.Request{}), 0, netip.AddrPort{})
		h, _, err := shake(t, a.TLSConfig(), serverConfig(w.self))
		if err != nil || h.ServerName != "real.example.org" {
			t.Errorf("%q %v", h.ServerName, err)
		}
	})
	t.Run("TLS6066-3-01 SNI is a name without dot, never an address", func(t *testing.T) {
		w := newWorld(t).signed()
		for next, want := range map[string]string{"example.org.": "mx.example.org", "[192.0.2.1]": "", "[IPv6:2001:db8::1]": ""} {
			a := w.engine().Attempt(w.plan(engine.Request{NextHop: next}), 0, netip.AddrPort{})
			h, _, err := shake(t, a.TLSConfig(), serverConfig(w.self))
			if err != nil || h.ServerName != want {
				t.Errorf("%s: %q %v", next, h.ServerName, err)
			}
		}
	})
	weak := []string{"NULL", "RC4", "EXPORT", "3DES", "_DES_", "anon", "MD5"}
	for _, id := range []string{"TLS9325-4.1-01 no weak suites", "DANE7672-8.2-01 ordinary suites, none anonymous"} {
		t.Run(id, func(t *testing.T) {
			h := hello(t, "dane")
			if len(h.CipherSuites) < 5 {
				t.Errorf("%d suites", len(h.CipherSuites))
			}
			for _, s := range h.CipherSuites {
				name := tls.CipherSuiteName(s)
				for _, w := range weak {
					if strings.Contains(name, w) {
						t.Errorf("offers %s", name)
					}
				}
			}
		})
	}
	t.Run("RPK7250-4.1-01 raw public keys are not offered", func(t *testing.T) {
		// server_certificate_type (20) would let the peer send what this stack cannot
		// read; client_certificate_type (19) what it does not have.
		if h := hello(t, "dane"); slices.Contains(h.Extensions, 20) || slices.Contains(h.Extensions, 19) || len(h.Extensions) == 0 {
			t.Errorf("%v", h.Extensions)
		}
	})
}

func refusesVersion(t *testing.T, v uint16) {
	for _, name := range []string{"may", "dane", "sts", "encrypt"} {
		w, r, good := plans[name](t)
		p := w.plan(r)
		a := w.engine().Attempt(p, 0, netip.AddrPort{})
		s := serverConfig(w.good, w.ca)
		s.MinVersion, s.MaxVersion = tls.VersionTLS10, v
		_, _, err := shake(t, a.TLSConfig(), s)
		if err == nil {
			t.Fatalf("%s: %s was negotiated", name, tls.VersionName(v))
		}
		a.Failed(engine.HandshakeFailed, err)
		d := a.Decision(false)
		if want := map[bool]engine.Outcome{true: engine.Cleartext, false: engine.Refused}[name == "may"]; d.Outcome != want {
			t.Errorf("%s: %s", name, d.Outcome)
		}
		// A caller with a TLS stack of its own that does negotiate it.
		good.Version = v
		if d := w.engine().Decide(p, 0, good, w.now); d.Outcome == engine.Encrypted || d.Outcome == engine.Authenticated {
			t.Errorf("%s: %s", name, d.Outcome)
		}
	}
}

func TestResumption(t *testing.T) {
	w := newWorld(t).signed().tlsa(tlsaOf(3, 1, w0.self.Cert))
	w.dns.Add("other.org. 300 IN MX 10 mx.example.org.")
	w.cfg.Sessions = tls.NewLRUClientSessionCache(16)
	server := serverConfig(w.self)
	connect := func(r engine.Request) bool {
		t.Helper()
		a := w.engine().Attempt(w.plan(r), 0, netip.AddrPort{})
		_, state, err := shake(t, a.TLSConfig(), server)
		if err != nil {
			t.Fatal(err)
		}
		a.Done(state, nil)
		if d := a.Decision(false); !d.Deliver {
			t.Errorf("%s", explain.Text(d.Reason))
		}
		return state.DidResume
	}
	if connect(engine.Request{}) {
		t.Error("the first session is resumed")
	}
	if !connect(engine.Request{}) {
		t.Error("the second session of the same plan is not")
	}
	// The same host under another requirement, or for another next hop (other names
	// would count), starts again.
	if connect(engine.Request{Level: engine.LevelOpportunistic}) {
		t.Error("resumed into another plan")
	}
	w.tlsa(noMatch)
	w.engine().Forget()
	if connect(engine.Request{}) {
		t.Error("resumed into a plan with other records")
	}
	// A cache that the caller puts in by hand is not used, in place of the engine's or without.
	byHand := tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		c := w.engine().Attempt(w.plan(engine.Request{Level: engine.LevelOpportunistic}), 0, netip.AddrPort{}).TLSConfig()
		c.ClientSessionCache = byHand
		if _, _, err := shake(t, c, server); (i == 1) != errors.Is(err, engine.ErrRefused) {
			t.Errorf("connection %d in place of the engine's: %v", i, err)
		}
	}
	w.cfg.Sessions, w.eng = nil, nil
	cache := tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		a := w.engine().Attempt(w.plan(engine.Request{}), 0, netip.AddrPort{})
		c := a.TLSConfig()
		c.ClientSessionCache = cache
		_, _, err := shake(t, c, server)
		if (i == 1) != errors.Is(err, engine.ErrRefused) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

func TestReuseKey(t *testing.T) {
	key := func(make func(w *world) engine.Request) string {
		w := newWorld(t)
		h := w.plan(make(w)).Hosts[0]
		return h.ReuseKey()
	}
	names := func(n int, last string) (all []rfc6125.Host) {
		for i := range n {
			all = append(all, host(t, fmt.Sprintf("n%d.example", i)))
		}
		return append(all, host(t, last))
	}
	seen := map[string]int{}
	makes := []func(w *world) engine.Request{
		func(w *world) engine.Request { w.signed(); return engine.Request{} },
		func(w *world) engine.Request { w.signed(); return engine.Request{Port: 26} },
		func(w *world) engine.Request { w.signed().tlsa(noMatch); return engine.Request{} },
		func(w *world) engine.Request { w.signed().tlsa("2" + noMatch[1:]); return engine.Request{} },
		func(w *world) engine.Request {
			w.signed().tlsa(noMatch).tlsa("2" + noMatch[1:])
			return engine.Request{}
		},
		func(w *world) engine.Request { w.unsigned().tlsa(noMatch); return engine.Request{} },
		func(w *world) engine.Request { w.signed().policy("enforce", "mx.example.org"); return engine.Request{} },
		func(w *world) engine.Request { w.signed().policy("enforce", "*.example.org"); return engine.Request{} },
		func(w *world) engine.Request { w.signed(); return engine.Request{RequireTLS: true} },
		func(w *world) engine.Request { w.signed(); return engine.Request{NextHop: "[mx2.example.org]"} },
		func(w *world) engine.Request {
			w.signed()
			return engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: names(8, "a.example")}}
		},
		func(w *world) engine.Request {
			w.signed()
			return engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: names(8, "b.example")}}
		},
	}
	for i, m := range makes {
		m2 := m
		if i == 9 {
			m2 = func(w *world) engine.Request { w.dns.Add("mx2.example.org. 300 IN A 192.0.2.2"); return m(w) }
		}
		k := key(m2)
		if j, ok := seen[k]; ok {
			t.Errorf("plans %d and %d share a key", i, j)
		}
		seen[k] = i
		if k2 := key(m2); k2 != k {
			t.Errorf("plan %d has two keys", i)
		}
	}
}

// TestReuseKeyParts changes one part of a host at a time.
func TestReuseKeyParts(t *testing.T) {
	w := newWorld(t).signed().tlsa("2"+noMatch[1:]).policy("enforce", "mx.example.org")
	base := w.plan(engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}).Hosts[0]
	other := newWorld(t).signed().tlsa(noMatch).plan(engine.Request{}).Hosts[0]
	ref := []rfc6125.Reference{rfc6125.NewReference(host(t, "x.example"))}
	for name, change := range map[string]func(h *engine.Host){
		"name":        func(h *engine.Host) { h.Name = host(t, "x.example") },
		"literal":     func(h *engine.Host) { h.Literal = netip.MustParseAddr("192.0.2.1") },
		"port":        func(h *engine.Host) { h.Port = 26 },
		"requirement": func(h *engine.Host) { h.Requirement = engine.May },
		"strict":      func(h *engine.Host) { h.Strict = engine.DANE },
		"state":       func(h *engine.Host) { h.DANE.State = 0 },
		"sni":         func(h *engine.Host) { h.SNI = "x.example" },
		"base":        func(h *engine.Host) { h.DANE.Base = host(t, "x.example") },
		"set":         func(h *engine.Host) { h.DANE.Set = other.DANE.Set },
		"pattern":     func(h *engine.Host) { h.STSMatch = "*.example.org" },
		"dane names":  func(h *engine.Host) { h.DANERefs = ref },
		"sts names":   func(h *engine.Host) { h.STSRefs = ref },
		"pkix names":  func(h *engine.Host) { h.PKIXRefs = ref },
	} {
		h := base
		change(&h)
		if h.ReuseKey() == base.ReuseKey() {
			t.Errorf("%s does not count", name)
		}
	}
	// What only matters to people does not count.
	h := base
	h.Reason = engine.Reason{}
	if h.ReuseKey() != base.ReuseKey() {
		t.Error("words count")
	}
}

// TestFailedDetail: what the caller knows of a failure is told, and nothing need be known.
func TestFailedDetail(t *testing.T) {
	w := newWorld(t).signed()
	a := w.engine().Attempt(w.plan(engine.Request{}), 0, netip.AddrPort{})
	a.Failed(engine.NoSTARTTLS, nil)
	if d := a.Decision(false); d.Outcome != engine.Cleartext {
		t.Error(d.Outcome)
	}
	a.Failed(engine.NoConnection, errors.New("no route to host"))
	if d := a.Decision(false); !strings.Contains(explain.Text(d.Reason), "no route to host") {
		t.Error(explain.Text(d.Reason))
	}
}
