package engine_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// plans are worlds that lead to each requirement, with the peer that satisfies it.
var plans = map[string]func(t testing.TB) (*world, engine.Request, engine.Peer){
	"may": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).signed()
		return w, engine.Request{}, shows(w.good)
	},
	"encrypt": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).signed()
		return w.tlsa(tlsaOf(1, 1, w.good.Cert)), engine.Request{}, shows(w.self)
	},
	"half-dane": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).unsigned()
		return w.tlsa(tlsaOf(3, 1, w.self.Cert)), engine.Request{}, shows(w.self)
	},
	"dane": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).signed()
		return w.tlsa(tlsaOf(3, 1, w.self.Cert)), engine.Request{}, shows(w.self)
	},
	"sts": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
		return w, engine.Request{}, shows(w.good)
	},
	"pkix": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).unsigned()
		return w, engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: []rfc6125.Host{host(t, "elsewhere.example")}}}, shows(w.wrong)
	},
	"half-dane+sts": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).unsigned().policy("enforce", "*.example.org")
		return w.tlsa(tlsaOf(3, 1, w.good.Cert)), engine.Request{}, shows(w.good)
	},
	"dane+sts": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t).signed().policy("enforce", "mx.example.org")
		return w.tlsa(tlsaOf(3, 1, w.good.Cert)), engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}, shows(w.good)
	},
	"half-dane+pkix": func(t testing.TB) (*world, engine.Request, engine.Peer) {
		w := newWorld(t)
		w.dns.AddAs(dnssec.Secure, "example.org. 3600 IN A 192.0.2.1")
		w.dns.Deny("example.org", dnssec.TypeMX, dnssec.NoData, dnssec.Insecure, dnssec.Reason{})
		both := issue(t, certSpec{cn: "example.org", names: []string{"example.org"}, issuer: w.ca})
		w.dns.Add("_25._tcp.example.org. 3600 IN TLSA " + tlsaOf(3, 1, both.Cert))
		p := shows(both)
		p.RequireTLS = true
		return w, engine.Request{RequireTLS: true}, p
	},
}

// TestTable7 is the table of section 7: every requirement, every event.
func TestTable7(t *testing.T) {
	e1, e2, e3 := engine.Peer{Event: engine.NoSTARTTLS}, engine.Peer{Event: engine.STARTTLSRefused, Code: 454, Detail: "454 4.7.0 TLS not available"}, engine.Peer{Event: engine.HandshakeFailed, Detail: "remote error: tls: handshake failure"}
	injected := engine.Peer{Event: engine.STARTTLSRefused, Injected: true}
	pki := sharedPKI()
	for _, c := range []struct {
		plan string
		peer *engine.Peer // nil: the one that satisfies the plan
		want string       // outcome, method, reason
	}{
		{"may", &engine.Peer{}, "deferred no-connection"},
		{"may", &e1, "cleartext cleartext-no-starttls"},
		{"may", &e2, "cleartext cleartext-starttls-refused"},
		{"may", &injected, "cleartext cleartext-injected"},
		{"may", &e3, "cleartext cleartext-handshake-failed"},
		{"may", nil, "encrypted encrypted-unproved"},
		{"may", peer(shows(pki.wrong)), "encrypted encrypted-name-mismatch"},
		{"may", peer(shows(pki.alien)), "encrypted encrypted-untrusted"},
		{"may", peer(shows(pki.expired)), "encrypted encrypted-untrusted"},
		{"may", peer(shows()), "encrypted encrypted-untrusted"},
		{"encrypt", &engine.Peer{}, "deferred no-connection"},
		{"encrypt", &e1, "refused no-starttls"},
		{"encrypt", &e2, "refused starttls-refused"},
		{"encrypt", &injected, "refused starttls-injected"},
		{"encrypt", &e3, "refused handshake-failed"},
		{"encrypt", nil, "encrypted encrypted-tlsa-unusable"},
		{"encrypt", peer(shows()), "encrypted encrypted-tlsa-unusable"},
		{"half-dane", &engine.Peer{}, "deferred no-connection"},
		{"half-dane", &e1, "refused no-starttls"},
		{"half-dane", &e2, "refused starttls-refused"},
		{"half-dane", &injected, "refused starttls-injected"},
		{"half-dane", &e3, "refused handshake-failed"},
		{"half-dane", nil, "encrypted half-dane-match"},
		{"half-dane", peer(shows(pki.good)), "refused dane-no-match"},
		{"dane", &engine.Peer{}, "deferred no-connection"},
		{"dane", &e1, "refused no-starttls"},
		{"dane", &e2, "refused starttls-refused"},
		{"dane", &injected, "refused starttls-injected"},
		{"dane", &e3, "refused handshake-failed"},
		{"dane", nil, "authenticated dane-ee dane-ee-match"},
		{"dane", peer(shows(pki.good)), "refused dane-no-match"},
		{"dane", peer(shows()), "refused dane-no-match"},
		{"dane", &engine.Peer{Event: engine.HandshakeDone, RawKey: pki.self.Cert.RawSubjectPublicKeyInfo}, "authenticated dane-ee dane-ee-match"},
		{"dane", &engine.Peer{Event: engine.HandshakeDone, RawKey: pki.good.Cert.RawSubjectPublicKeyInfo}, "refused dane-no-match"},
		{"sts", &engine.Peer{}, "deferred no-connection"},
		{"sts", &e1, "refused no-starttls"},
		{"sts", &e2, "refused starttls-refused"},
		{"sts", &injected, "refused starttls-injected"},
		{"sts", &e3, "refused handshake-failed"},
		{"sts", nil, "authenticated mta-sts mta-sts-match"},
		{"sts", peer(shows(pki.wrong)), "refused mta-sts-name-mismatch"},
		{"sts", peer(shows(pki.onlyCN)), "refused mta-sts-name-mismatch"},
		{"sts", peer(shows(pki.expired)), "refused mta-sts-expired"},
		{"sts", peer(shows(pki.early)), "refused mta-sts-untrusted"},
		{"sts", peer(shows(pki.alien)), "refused mta-sts-untrusted"},
		{"sts", peer(shows(pki.self)), "refused mta-sts-untrusted"},
		{"sts", peer(shows()), "refused mta-sts-untrusted"},
		{"sts", &engine.Peer{Event: engine.HandshakeDone, RawKey: pki.good.Cert.RawSubjectPublicKeyInfo}, "refused mta-sts-untrusted"},
		{"pkix", &engine.Peer{}, "deferred no-connection"},
		{"pkix", &e1, "refused no-starttls"},
		{"pkix", &e2, "refused starttls-refused"},
		{"pkix", &injected, "refused starttls-injected"},
		{"pkix", &e3, "refused handshake-failed"},
		{"pkix", nil, "authenticated pkix pkix-match"},
		{"pkix", peer(shows(pki.good)), "refused pkix-name-mismatch"},
		{"pkix", peer(shows(pki.expired)), "refused pkix-expired"},
		{"pkix", peer(shows(pki.self)), "refused pkix-untrusted"},
		{"pkix", peer(shows()), "refused pkix-untrusted"},
		{"half-dane+sts", &engine.Peer{}, "deferred no-connection"},
		{"half-dane+sts", &e1, "refused no-starttls"},
		{"half-dane+sts", &e3, "refused handshake-failed"},
		{"half-dane+sts", nil, "authenticated mta-sts mta-sts-match"},
		{"half-dane+sts", peer(shows(pki.alien)), "refused dane-no-match"},
		{"dane+sts", &e1, "refused no-starttls"},
		{"dane+sts", &e2, "refused starttls-refused"},
		{"dane+sts", nil, "authenticated dane-ee dane-ee-match"},
		{"dane+sts", peer(shows(pki.wrong)), "refused dane-no-match"},
		{"half-dane+pkix", &e1, "refused no-starttls"},
		{"half-dane+pkix", nil, "authenticated pkix pkix-match"},
		{"half-dane+pkix", peer(shows(pki.good)), "refused dane-no-match"},
	} {
		name := c.plan + " satisfied"
		if c.peer != nil {
			name = c.plan + " " + c.peer.Event.String()
		}
		t.Run(name, func(t *testing.T) {
			w, r, good := plans[c.plan](t)
			p := good
			if c.peer != nil {
				p = *c.peer
			}
			plan := w.plan(r)
			if got := plan.Hosts[0].Requirement.String(); got != c.plan {
				t.Fatalf("requirement %s, want %s: %s", got, c.plan, explain.Text(plan.Hosts[0].Reason))
			}
			d := w.engine().Decide(plan, 0, p, w.now)
			got := strings.Join(strings.Fields(fmt.Sprint(d.Outcome, " ", d.Method, " ", d.Reason.ID)), " ")
			if got != c.want {
				t.Errorf("%s, want %s (%s)", got, c.want, explain.Text(d.Reason))
			}
			checkDecision(t, d)
			dropped := p.Event == engine.HandshakeFailed || p.Injected
			if d.DropConnection != dropped {
				t.Errorf("drop the connection: %v", d.DropConnection)
			}
			if d.RetryClear != (dropped && d.Deliver) {
				t.Errorf("retry in the clear: %v", d.RetryClear)
			}
			if p.Event == engine.HandshakeDone && len(p.Chain) > 0 && len(d.Presented) == 0 {
				t.Error("the presented names are missing")
			}
		})
	}
}

func peer(p engine.Peer) *engine.Peer { return &p }

// checkDecision checks what holds of every decision.
func checkDecision(t testing.TB, d engine.Decision) {
	t.Helper()
	if d.Deliver != d.Outcome.Deliverable() {
		t.Errorf("deliver %v with outcome %s", d.Deliver, d.Outcome)
	}
	if (d.Method != "") != (d.Outcome == engine.Authenticated) {
		t.Errorf("method %q with outcome %s", d.Method, d.Outcome)
	}
	if (explain.Decision(d).Code != "") == d.Deliver {
		t.Errorf("code %q with deliver %v (%s)", explain.Decision(d).Code, d.Deliver, d.Reason.ID)
	}
	info, ok := explain.About(d.Reason.ID)
	if !ok || explain.Text(d.Reason) == "" || explain.Reason(d.Reason).RFC == "" || info.RFC == "" {
		t.Errorf("reason %+v", d.Reason)
	}
	if why := explain.Steps(nil, 0, d); why[len(why)-1].Step != explain.StepVerdict {
		t.Errorf("the last step is no verdict: %+v", why)
	}
	for _, r := range append(slices.Clone(d.Details), d.Reason) {
		if text := explain.Text(r); r.ID == "" || text == "" || strings.ContainsAny(text, "\n\r\x1b") {
			t.Errorf("a detail without words, or with control characters: %+v", r)
		}
	}
	if d.Outcome == engine.Cleartext && d.Event == engine.HandshakeDone || d.Outcome == engine.Encrypted && d.Event != engine.HandshakeDone {
		t.Errorf("%s after %s", d.Outcome, d.Event)
	}
}

// TestDecideEverywhere walks over plans, peers and flags and checks what must hold of
// every decision.
func TestDecideEverywhere(t *testing.T) {
	pki := sharedPKI()
	peers := map[string]engine.Peer{
		"no connection": {}, "no starttls": {Event: engine.NoSTARTTLS}, "454": {Event: engine.STARTTLSRefused, Code: 454},
		"injected": {Event: engine.STARTTLSRefused, Injected: true}, "handshake": {Event: engine.HandshakeFailed},
		"tls 1.1": {Event: engine.HandshakeDone, Version: tls.VersionTLS11, Chain: shows(pki.good).Chain},
		"good":    shows(pki.good), "wrong": shows(pki.wrong), "self": shows(pki.self), "alien": shows(pki.alien),
		"expired": shows(pki.expired), "none": shows(), "beyond": {Event: 77},
	}
	n := 0
	for plan, make := range plans {
		for audit := range 2 {
			for flags := range 8 {
				w, r, _ := make(t)
				r.Options.Audit = audit == 1
				r.TLSRequiredNo, r.RequireTLS, r.NullReturnPath = flags&1 != 0, r.RequireTLS || flags&2 != 0, flags&4 != 0
				if plan == "half-dane+pkix" && !r.RequireTLS {
					continue
				}
				p := w.plan(r)
				if len(p.Hosts) != 1 {
					t.Fatal("no host")
				}
				h := p.Hosts[0]
				for name, peer := range peers {
					for offered := range 2 {
						n++
						peer.RequireTLS = offered == 1
						d := w.engine().Decide(p, 0, peer, w.now)
						where := fmt.Sprintf("%s, audit %d, flags %d, %s, offered %d: %s by %s (%s)", plan, audit, flags, name, offered, d.Outcome, d.Method, d.Reason.ID)
						checkDecision(t, d)
						tls := peer.Event == engine.HandshakeDone && peer.Version != tls.VersionTLS11
						if d.Outcome == engine.Authenticated && (!tls || len(peer.Chain) == 0) {
							t.Error("authenticated without a certificate: " + where)
						}
						if d.Outcome == engine.Authenticated && d.Requirement&(engine.DANE|engine.STS|engine.PKIX) == 0 {
							t.Error("authenticated without a method: " + where)
						}
						if d.Outcome == engine.Authenticated && r.TLSRequiredNo && !r.RequireTLS && r.Level == engine.LevelDefault {
							t.Error("authenticated although nothing was demanded: " + where)
						}
						if d.SendRequireTLS && (!d.Deliver || d.Outcome != engine.Authenticated || !peer.RequireTLS || !tls || !r.RequireTLS) {
							t.Error("REQUIRETLS sent where it must not be: " + where)
						}
						if r.RequireTLS && !r.NullReturnPath && d.Deliver != d.SendRequireTLS {
							t.Error("a REQUIRETLS message goes without: " + where)
						}
						if h.Requirement == engine.Skip && d.Deliver {
							t.Error("a host that is skipped gets mail: " + where)
						}
						if d.Deliver && h.Requirement.NeedsTLS() && !tls && !d.Waived {
							t.Error("no TLS where it is demanded: " + where)
						}
						if d.Waived && r.RequireTLS {
							t.Error("audit with REQUIRETLS: " + where)
						}
						if peer.Event == engine.NoConnection && d.Deliver {
							t.Error("no connection and delivered: " + where)
						}
						// Audit makes no one authenticated: the same without it gives the same
						// method, or a refusal.
						q := *p
						q.Request.Options.Audit = false
						if x := w.engine().Decide(&q, 0, peer, w.now); x.Outcome != d.Outcome && (x.Outcome != engine.Refused || d.Outcome == engine.Authenticated) {
							t.Error("audit changed more than a refusal: " + where)
						}
						// What is evaluated for the report changes no verdict.
						q = *p
						q.Hosts = slices.Clone(p.Hosts)
						q.Hosts[0].Report = engine.DANE | engine.STS | engine.PKIX | engine.HalfDANE | engine.Encrypt
						if x := w.engine().Decide(&q, 0, peer, w.now); x.Outcome != d.Outcome || x.Method != d.Method || x.Reason.ID != d.Reason.ID || explain.Reason(x.Reason) != explain.Reason(d.Reason) {
							t.Error("the report changes the verdict: " + where)
						}
					}
				}
			}
		}
	}
	if n < 3000 {
		t.Errorf("only %d decisions", n)
	}
}

func TestDecide(t *testing.T) {
	t.Run("the zero Decision lets nothing pass", func(t *testing.T) {
		var d engine.Decision
		if d.Deliver || d.Outcome.Deliverable() || d.SendRequireTLS {
			t.Error("it does")
		}
	})
	t.Run("STARTTLS3207-4.1-01 a verdict is there right after the handshake", func(t *testing.T) {
		w, r, good := plans["dane"](t)
		if d := w.decide(r, good); d.Outcome != engine.Authenticated {
			t.Error(d.Outcome)
		}
		if d := w.decide(r, shows(w.wrong)); d.Deliver {
			t.Error("delivered to a stranger")
		}
	})
	t.Run("ValidUntil", func(t *testing.T) {
		w, r, good := plans["dane"](t)
		p := w.plan(r)
		if want := epoch.Add(10 * time.Minute); !p.ValidUntil.Equal(want) {
			t.Fatalf("valid until %s, want %s (the denial of AAAA)", p.ValidUntil, want)
		}
		e := w.engine()
		if d := e.Decide(p, 0, good, p.ValidUntil); d.Outcome != engine.Authenticated {
			t.Errorf("at its end: %s", d.Outcome)
		}
		late := p.ValidUntil.Add(time.Nanosecond)
		if d := e.Decide(p, 0, good, late); d.Outcome != engine.Deferred || d.Reason.ID != reason.PlanExpired || d.Deliver {
			t.Errorf("after its end: %s %s", d.Outcome, d.Reason.ID)
		}
		if d := e.Replay(p, 0, good, late); d.Outcome != engine.Authenticated {
			t.Errorf("replay after its end: %s", d.Outcome)
		}
	})
	t.Run("a host that is not there", func(t *testing.T) {
		w, r, good := plans["dane"](t)
		p := w.plan(r)
		for _, i := range []int{-1, 1, 99} {
			if d := w.engine().Decide(p, i, good, w.now); d.Outcome != engine.Deferred || d.Reason.ID != reason.NotInPlan {
				t.Errorf("host %d: %s %s", i, d.Outcome, d.Reason.ID)
			}
		}
		if d := w.engine().Decide(nil, 0, good, w.now); d.Outcome != engine.Deferred {
			t.Errorf("no plan: %s", d.Outcome)
		}
	})
	t.Run("a requirement that nobody made", func(t *testing.T) {
		w, r, good := plans["dane"](t)
		p := w.plan(r)
		q := *p
		q.Hosts = slices.Clone(p.Hosts)
		q.Hosts[0].Requirement = 1 << 7
		if d := w.engine().Decide(&q, 0, good, w.now); d.Outcome != engine.Refused {
			t.Errorf("%s", d.Outcome)
		}
		q.Hosts[0].Requirement = engine.Skip // and no outcome
		if d := w.engine().Decide(&q, 0, good, w.now); d.Outcome != engine.Deferred || d.Deliver {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("a plan that skipped the pattern cannot pass as sts", func(t *testing.T) {
		w, r, good := plans["sts"](t)
		p := w.plan(r)
		q := *p
		q.Hosts = slices.Clone(p.Hosts)
		q.Hosts[0].STSMatch = ""
		if d := w.engine().Decide(&q, 0, good, w.now); d.Outcome != engine.Refused || d.Reason.ID != reason.STSNoMatch {
			t.Errorf("%s %s", d.Outcome, d.Reason.ID)
		}
	})
	t.Run("TLSA6698-4-01 the port that was looked up", func(t *testing.T) {
		w, r, good := plans["dane"](t)
		at := netip.MustParseAddr("192.0.2.1")
		p := w.plan(r)
		good.Address = netip.AddrPortFrom(at, 25)
		if d := w.engine().Decide(p, 0, good, w.now); d.Outcome != engine.Authenticated || d.Address != good.Address {
			t.Errorf("port 25: %s", d.Outcome)
		}
		good.Address = netip.AddrPortFrom(at, 26)
		if d := w.engine().Decide(p, 0, good, w.now); d.Outcome != engine.Refused || d.Reason.ID != reason.WrongPort {
			t.Errorf("port 26: %s %s", d.Outcome, d.Reason.ID)
		}
		good.Address = netip.AddrPortFrom(at, 0)
		if d := w.engine().Decide(p, 0, good, w.now); d.Outcome != engine.Authenticated {
			t.Errorf("no port known: %s", d.Outcome)
		}
		// A plan for another port asks for that port's records.
		w.dns.Forget()
		r.Port = 26
		if p := w.plan(r); p.Hosts[0].Port != 26 || !w.asked("_26._tcp.mx.example.org", dnssec.TypeTLSA) {
			t.Errorf("asked: %v", w.dns.Asked())
		}
	})
	t.Run("DANE-TA", func(t *testing.T) {
		w := newWorld(t).signed()
		w.tlsa(tlsaOf(2, 0, w.ca.Cert))
		for _, c := range []struct {
			peer engine.Peer
			want string
		}{
			{shows(w.good, w.ca), "authenticated dane-ta-match"},
			{shows(w.good), "refused dane-no-match"}, // the authority was not sent
			{shows(w.wrong, w.ca), "refused dane-name-mismatch"},
			{shows(w.expired, w.ca), "refused dane-expired"},
			{shows(w.early, w.ca), "refused dane-untrusted"},
			{shows(w.alien, w.ca), "refused dane-untrusted"},
			{shows(w.onlyCN, w.ca), "authenticated dane-ta-match"},
		} {
			d := w.decide(engine.Request{}, c.peer)
			if got := d.Outcome.String() + " " + string(d.Reason.ID); got != c.want {
				t.Errorf("%s, want %s (%s)", got, c.want, explain.Text(d.Reason))
			}
			if d.Outcome == engine.Authenticated && d.Method != engine.MethodDANETA {
				t.Errorf("method %s", d.Method)
			}
			checkDecision(t, d)
		}
		if d := w.decide(engine.Request{Options: engine.Options{NoCNID: true}}, shows(w.onlyCN, w.ca)); d.Outcome != engine.Refused {
			t.Errorf("a Common Name counts although the option is off: %s", d.Outcome)
		}
	})
	t.Run("no roots at all", func(t *testing.T) {
		w, r, good := plans["sts"](t)
		p := w.plan(r)
		w.cfg.Roots = nil // the system's, which do not know the test CA
		w.eng = nil
		if d := w.engine().Decide(p, 0, good, w.now); d.Outcome != engine.Refused || d.Reason.ID != reason.STSUntrusted {
			t.Errorf("%s %s", d.Outcome, d.Reason.ID)
		}
	})
	t.Run("nil certificates do not panic", func(t *testing.T) {
		for name := range plans {
			w, r, _ := plans[name](t)
			d := w.decide(r, engine.Peer{Event: engine.HandshakeDone, Chain: []*x509.Certificate{nil}})
			if d.Outcome == engine.Authenticated {
				t.Errorf("%s: authenticated", name)
			}
		}
	})
	t.Run("a nil certificate among others is left out", func(t *testing.T) {
		for name := range plans {
			w, r, good := plans[name](t)
			want := w.decide(r, good)
			for at := 1; at <= len(good.Chain); at++ {
				peer := good
				peer.Chain = slices.Insert(slices.Clone(good.Chain), at, nil)
				if d := w.decide(r, peer); d.Outcome != want.Outcome || d.Reason.ID != want.Reason.ID || d.Deliver != want.Deliver || !slices.Equal(d.Presented, want.Presented) {
					t.Errorf("%s, at %d: %s %s, want %s %s", name, at, d.Outcome, d.Reason.ID, want.Outcome, want.Reason.ID)
				}
				if peer.Chain[at] != nil {
					t.Error("the caller's chain was changed")
				}
			}
		}
	})
	t.Run("words of a peer are made safe", func(t *testing.T) {
		w, r, _ := plans["may"](t)
		d := w.decide(r, engine.Peer{Event: engine.STARTTLSRefused, Detail: "454 \x1b[31mno\r\n" + strings.Repeat("x", 5000)})
		if strings.ContainsAny(explain.Text(d.Reason), "\x1b\r\n") || len(explain.Text(d.Reason)) > 600 {
			t.Errorf("%q", explain.Text(d.Reason))
		}
	})
	t.Run("old versions by their names", func(t *testing.T) {
		w, r, _ := plans["dane"](t)
		for _, v := range []string{"TLS 1.0", "TLS 1.1", "TLSv1", "TLSv1.0", "TLSv1.1", "SSL 3.0", "SSLv3", "tls1"} {
			p := shows(w.self)
			p.TLS = v
			if d := w.decide(r, p); d.Outcome != engine.Refused || d.Reason.ID != reason.Handshake || !strings.Contains(explain.Text(d.Reason), v) {
				t.Errorf("%s: %s %s", v, d.Outcome, explain.Text(d.Reason))
			}
		}
		for _, v := range []string{"TLS 1.2", "TLSv1.2", "TLS 1.3", "TLSv1.3", "", "TLS1.2"} {
			p := shows(w.self)
			p.TLS = v
			if d := w.decide(r, p); d.Outcome != engine.Authenticated {
				t.Errorf("%s: %s %s", v, d.Outcome, explain.Text(d.Reason))
			}
		}
		p := shows(w.self)
		p.Version = tls.VersionTLS12
		if d := w.decide(r, p); d.Outcome != engine.Authenticated {
			t.Errorf("by number: %s", d.Outcome)
		}
	})
	t.Run("clear-fallback off", func(t *testing.T) {
		w, r, _ := plans["may"](t)
		r.Options.NoClearFallback = true
		for _, c := range []struct {
			peer engine.Peer
			want engine.Outcome
		}{
			{engine.Peer{Event: engine.NoSTARTTLS}, engine.Cleartext},
			{engine.Peer{Event: engine.STARTTLSRefused}, engine.Cleartext},
			{engine.Peer{Event: engine.STARTTLSRefused, Injected: true}, engine.Deferred},
			{engine.Peer{Event: engine.HandshakeFailed}, engine.Deferred},
			{shows(w.good), engine.Encrypted},
		} {
			d := w.decide(r, c.peer)
			if d.Outcome != c.want || d.RetryClear {
				t.Errorf("%+v: %s, retry %v", c.peer, d.Outcome, d.RetryClear)
			}
			if c.want == engine.Deferred && d.Reason.ID != reason.NoFallback {
				t.Error(d.Reason.ID)
			}
			checkDecision(t, d)
		}
	})
	t.Run("E0 tells what would have been required", func(t *testing.T) {
		for name := range plans {
			w, r, _ := plans[name](t)
			d := w.decide(r, engine.Peer{Detail: "connection refused"})
			if needs := w.plan(r).Hosts[0].Requirement.NeedsTLS(); strings.Contains(explain.Text(d.Reason), "Had it answered") != needs || !strings.Contains(explain.Text(d.Reason), "connection refused") {
				t.Errorf("%s: %s", name, explain.Text(d.Reason))
			}
		}
	})
	t.Run("both policies are reported when both fail", func(t *testing.T) {
		w, r, _ := plans["dane+sts"](t)
		d := w.decide(r, engine.Peer{Event: engine.NoSTARTTLS})
		if d.Reason.Policy != "tlsa" || len(d.Details) != 1 || d.Details[0].Policy != "sts" || explain.Reason(d.Details[0]).ResultType != "starttls-not-supported" {
			t.Errorf("%+v, %+v", d.Reason, d.Details)
		}
		d = w.decide(r, shows(w.wrong))
		if d.Reason.ID != reason.DANENoMatch || len(d.Details) != 1 || d.Details[0].ID != reason.STSName {
			t.Errorf("%+v, %+v", d.Reason, d.Details)
		}
		// C2: DANE decides, MTA-STS is evaluated.
		r.Options.DANEAndSTS = engine.DANEFirst
		w.tlsa(tlsaOf(3, 1, w.self.Cert))
		d = w.decide(r, shows(w.self))
		if d.Outcome != engine.Authenticated || len(d.Details) != 1 || d.Details[0].ID != reason.STSUntrusted || explain.Reason(d.Details[0]).ResultType != "certificate-not-trusted" {
			t.Errorf("%s, %+v", d.Outcome, d.Details)
		}
	})
}

func TestManyNames(t *testing.T) {
	w := newWorld(t).signed()
	for _, n := range []int{19, 20, 21, 30} {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("n%d.example", i))
		}
		d := w.decide(engine.Request{}, shows(issue(t, certSpec{names: names})))
		if want := min(n, 20); len(d.Presented) != want {
			t.Errorf("%d names: %d are listed", n, len(d.Presented))
		}
		if !strings.Contains(explain.Text(d.Reason), fmt.Sprintf("and %d more", min(n, 20)-6)) {
			t.Error(explain.Text(d.Reason))
		}
	}
}

func TestPresentedNames(t *testing.T) {
	for _, c := range []certSpec{
		{}, {cn: "mx.example.org"}, {names: []string{"a.example", "b.example"}}, {cn: "c.example", names: []string{"a.example", "*.b.example"}},
		{cn: "Some Body", names: []string{"a.example"}}, {cn: "UPPER.example", names: []string{"UPPER.example"}}, {cn: "x\x1b[1m", names: []string{"a.example"}},
		{names: []string{"a.example\x1b"}}, {cn: "c.example", names: []string{"a b"}}, {cn: strings.Repeat("a", 64)}, {names: []string{strings.Repeat("a.", 200) + "b"}},
		{cn: "c.example", names: []string{"_a.example"}},
	} {
		cert := issue(t, c).Cert
		got, want := engine.PresentedNames(cert), rfc6125.PresentedBy(cert).Names()
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if n := len(got); n > 0 && c.cn != "" && len(c.names) > 0 {
			// Two lists of one certificate do not share room.
			_ = append(got, "one")
			if again := engine.PresentedNames(cert); !slices.Equal(again, want) || len(cert.DNSNames) != len(c.names) {
				t.Errorf("%q", again)
			}
		}
	}
}

func TestClassicCase(t *testing.T) {
	// QUESTION.md: an MX host whose certificate carries another name, nothing published.
	w := newWorld(t)
	w.dns.Add("example. 3600 IN MX 10 alt1.smtp-in.example.", "alt1.smtp-in.example. 3600 IN A 192.0.2.1")
	classic := issue(t, certSpec{cn: "mx.example", names: []string{"mx.example"}, issuer: w.ca})
	d := w.decide(engine.Request{NextHop: "example"}, shows(classic))
	if d.Outcome != engine.Encrypted || d.Method != "" || !d.Deliver || d.Reason.ID != reason.EncryptedName {
		t.Fatalf("%s %s %s", d.Outcome, d.Method, d.Reason.ID)
	}
	for _, word := range []string{"alt1.smtp-in.example", "mx.example", "encrypted", "not verified", "DANE", "MTA-STS", "not signed"} {
		if !strings.Contains(explain.Text(d.Reason), word) {
			t.Errorf("the sentence lacks %q: %s", word, explain.Text(d.Reason))
		}
	}
	if got := strings.Join(d.Presented, " "); got != "mx.example CN=mx.example" {
		t.Errorf("presented: %s", got)
	}
	if got := strings.Join(d.Expected, " "); got != "alt1.smtp-in.example" {
		t.Errorf("expected: %s", got)
	}
}

// TestNameless: a certificate without names is reported as such; and a host that gets no mail
// is not told the names of others.
func TestNameless(t *testing.T) {
	w := newWorld(t).signed()
	p := w.plan(engine.Request{})
	d := w.engine().Decide(p, 0, shows(issue(t, certSpec{issuer: w.ca})), w.now)
	if got := steps(explain.Steps(p, 0, d), explain.StepCertificate); !strings.Contains(got, "a certificate without names") || len(d.Presented) != 0 {
		t.Errorf("%q, %q", got, d.Presented)
	}
	secure := engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: []rfc6125.Host{host(t, "elsewhere.example")}}}
	strict := engine.Request{RequireTLS: true, Options: secure.Options}
	if h := newWorld(t).unsigned().plan(strict).Hosts[0]; h.Requirement != engine.Skip || h.SNI != "mx.example.org" {
		t.Errorf("%s: %q", h.Requirement, h.SNI)
	}
	if h := w.plan(secure).Hosts[0]; h.Requirement != engine.PKIX || h.SNI != "elsewhere.example" {
		t.Errorf("%s: %q", h.Requirement, h.SNI)
	}
}

// TestNoCertificate: a chain of nothing proves nothing, and no word is that of another.
func TestNoCertificate(t *testing.T) {
	for _, name := range []string{"may", "dane", "sts"} {
		w, r, _ := plans[name](t)
		peer := engine.Peer{Event: engine.HandshakeDone, TLS: "TLS 1.3", Chain: []*x509.Certificate{nil}}
		if d := w.engine().Decide(w.plan(r), 0, peer, w.now); d.Outcome == engine.Authenticated || d.Deliver != (name == "may") || len(d.Presented) != 0 {
			t.Errorf("%s: %s", name, d.Outcome)
		}
	}
	for _, s := range []string{memory.Cover(3).String(), memory.Action(3).String(), exception.Effect(2).String(), (engine.LevelSecure + 1).String()} {
		if s != "invalid" {
			t.Error(s)
		}
	}
}

// TestExpectedNames: which names a decision lists as expected and as presented.
func TestExpectedNames(t *testing.T) {
	t.Run("a name is expected once", func(t *testing.T) {
		w := newWorld(t).unsigned().tlsa("2"+noMatch[1:]).policy("enforce", "mx.example.org")
		if d := w.decide(engine.Request{}, shows(w.good)); strings.Join(d.Expected, " ") != "mx.example.org" {
			t.Errorf("%q", d.Expected)
		}
		w = newWorld(t).signed().tlsa("2" + noMatch[1:])
		if d := w.decide(engine.Request{}, shows(w.good)); strings.Join(d.Expected, " ") != "mx.example.org example.org" {
			t.Errorf("%q", d.Expected)
		}
	})
	t.Run("no name is expected where none counts", func(t *testing.T) {
		w, r, good := plans["encrypt"](t)
		if d := w.decide(r, good); d.Expected != nil {
			t.Errorf("encrypt: %q", d.Expected)
		}
		if d := w.decide(engine.Request{NextHop: "[192.0.2.1]"}, good); d.Expected != nil {
			t.Errorf("literal: %q", d.Expected)
		}
		w, r, good = plans["dane"](t)
		if d := w.decide(r, good); d.Expected != nil {
			t.Errorf("DANE-EE: %q", d.Expected)
		}
	})
	t.Run("presented names stand in the decision only after a handshake", func(t *testing.T) {
		w, r, good := plans["may"](t)
		good.Event = engine.NoSTARTTLS
		if d := w.decide(r, good); d.Presented != nil || d.Expected != nil {
			t.Errorf("%q %q", d.Presented, d.Expected)
		}
	})
}
