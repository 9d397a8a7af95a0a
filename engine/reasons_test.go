package engine_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

var update = flag.Bool("update", false, "write testdata/words.golden")

// TestEveryReason makes every reason of the table occur, by planning, deciding and
// ending deliveries; none may be missing and none may come out that is not listed.
func TestEveryReason(t *testing.T) {
	found := map[reason.ID]string{}
	told := teller{seen: map[string]bool{}}
	took := func(r engine.Reason) {
		if r.IsZero() {
			return
		}
		text := explain.Text(r)
		if _, ok := explain.About(r.ID); !ok {
			t.Errorf("%s is not in the table", r.ID)
		}
		if len(text) < 20 || !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ")") && r.ID != reason.Rejected || strings.ContainsAny(text, "{}") || strings.Contains(text, "%!") || strings.Contains(text, "  ") {
			t.Errorf("%s: %q", r.ID, text)
		}
		if names := named(r); len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(text, n) }) {
			t.Errorf("%s names none of %q: %s", r.ID, names, text)
		}
		found[r.ID] = text
	}
	deliver := func(w *world, r engine.Request, peers ...engine.Peer) (*engine.Plan, []engine.Try) {
		r.Sorted = true
		p := w.plan(r)
		took(p.MX.Reason)
		told.steps(explain.Plan(p))
		for _, f := range p.Findings {
			took(f)
			told.line("finding", explain.Text(f))
		}
		var tries []engine.Try
		for i := range p.Hosts {
			h := &p.Hosts[i]
			took(h.Reason)
			took(h.Waived)
			told.steps(explain.Host(h))
			for _, f := range append(h.Findings, h.Waived) {
				told.line("finding", explain.Text(f))
			}
			for _, peer := range peers {
				d := w.engine().Decide(p, i, peer, w.now)
				took(d.Reason)
				told.steps(explain.Steps(p, i, d))
				for _, r := range d.Details {
					took(r)
					told.line("detail", explain.Text(r))
				}
				if len(tries) == i {
					tries = append(tries, p.TryOf(i, d))
				}
			}
		}
		for _, c := range []engine.Circumstances{{}, {Expired: true}, {Expired: true, Looked: true}} {
			f := w.engine().Message(p, tries, c)
			took(f.Reason)
			told.line("message", f.Action.String()+": "+explain.Text(f.Reason))
		}
		return p, tries
	}
	pki := sharedPKI()
	old := shows(pki.good)
	old.TLS = "TLS 1.1"
	raw := engine.Peer{Event: engine.HandshakeDone, RawKey: pki.self.Cert.RawSubjectPublicKeyInfo}
	said := engine.Peer{Event: engine.STARTTLSRefused, Code: 454, Detail: "454 4.7.0 TLS not available", Address: netip.MustParseAddrPort("192.0.2.1:25")}
	peers := []engine.Peer{{}, {Detail: "connection refused"}, said, old, raw, shows(pki.onlyCN, pki.ca), shows(pki.early, pki.ca), {Event: engine.NoSTARTTLS}, {Event: engine.STARTTLSRefused}, {Event: engine.STARTTLSRefused, Injected: true}, {Event: engine.HandshakeFailed},
		shows(pki.good, pki.ca), shows(pki.wrong, pki.ca), shows(pki.self), shows(pki.alien, pki.ca), shows(pki.expired, pki.ca), shows(), offering(pki.good)}
	make := func(f func(w *world)) *world {
		w := newWorld(t)
		f(w)
		return w
	}
	mx := func(kind error) *world {
		return make(func(w *world) { w.dns.Fail("example.org", dnssec.TypeMX, kind) })
	}
	deliver(mx(dnssec.ErrBogus), engine.Request{})
	deliver(mx(dnssec.ErrServFail), engine.Request{})
	deliver(newWorld(t), engine.Request{})
	deliver(make(func(w *world) { w.dns.Add("example.org. 300 IN MX 0 .") }), engine.Request{})
	deliver(make(func(w *world) { w.dns.Add("example.org. 300 IN MX 0 192.0.2.1.") }), engine.Request{})
	deliver(make(func(w *world) { w.signed().cfg.OwnHosts = []rfc6125.Host{host(t, "mx.example.org")} }), engine.Request{})
	for _, r := range []sts.Result{{Row: sts.S2, TXTErr: dnssec.ErrTimeout}, {Row: sts.S4, FetchErr: sts.ErrFetchTCP}, {Row: sts.S4, FetchErr: sts.ErrFetchWebPKI}, {Row: sts.S4, FetchErr: sts.ErrFetchSyntax},
		{Row: sts.S13, Pending: true, FetchErr: &sts.FetchError{Kind: sts.ErrPending}}, {Row: sts.S13, Pending: true, FetchErr: &sts.FetchError{Kind: sts.ErrNoTurn, Detail: "too many fetches are under way"}},
		{Row: sts.S12, Pending: true, TXTErr: dnssec.ErrTimeout}, {Row: sts.S2, TXTErr: sts.ErrNoRecord, StoreErr: errors.New("no disk")}} {
		w := newWorld(t).signed()
		w.sts.results["example.org"] = r
		deliver(w, engine.Request{})
		deliver(w, engine.Request{Options: engine.Options{STSUndetermined: engine.STSDefer}})
	}
	gone := newWorld(t).signed().policy("enforce", "mx.example.org")
	r := gone.sts.results["example.org"]
	r.TXTErr, r.Row = sts.ErrNoRecord, sts.S8
	gone.sts.results["example.org"] = r
	deliver(gone, engine.Request{})
	for _, q := range []dnssec.Type{dnssec.TypeA, dnssec.TypeAAAA} {
		for _, kind := range []error{dnssec.ErrBogus, dnssec.ErrServFail} {
			deliver(make(func(w *world) {
				w.dns.Add("example.org. 300 IN MX 10 mx.example.org.")
				w.dns.Fail("mx.example.org", q, kind)
			}), engine.Request{}, peers...)
		}
	}
	deliver(make(func(w *world) { w.dns.Add("example.org. 300 IN MX 10 mx.example.org.") }), engine.Request{}, peers...)
	deliver(make(func(w *world) {
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN CNAME a.org.", "a.org. 300 IN A 192.0.2.1")
	}), engine.Request{Options: engine.Options{RefuseMXAlias: true}}, peers...)
	for _, kind := range failures {
		deliver(make(func(w *world) { w.signed(); w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, kind) }), engine.Request{}, peers...)
	}
	deliver(make(func(w *world) {
		w.signed()
		w.dns.Deny("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.NXDomain, dnssec.Insecure, dnssec.Reason{Code: dnssec.ReasonNSEC3Iterations})
	}), engine.Request{}, peers...)
	for _, name := range slices.Sorted(maps.Keys(plans)) {
		w, r, _ := plans[name](t)
		deliver(w, r, peers...)
		r.Options.Audit = true
		deliver(w, r, peers...)
		r.TLSRequiredNo = true
		deliver(w, r, peers...)
		if len(r.Options.Names) == 0 {
			for _, q := range []engine.Request{{TLSRPTReport: true}, {RequireTLS: true}, {Level: engine.LevelDANEOnly}, {Level: engine.LevelSecure}, {Level: engine.LevelOpportunistic},
				{Options: engine.Options{NoClearFallback: true}}, {NextHop: "[192.0.2.1]"}, {NextHop: "[192.0.2.1]", RequireTLS: true}} {
				deliver(w, q, peers...)
			}
		}
	}
	for _, mode := range []string{"enforce", "testing", "none"} {
		for _, mx := range []string{"a.example.org", "*.example.org"} {
			for _, level := range []engine.Level{engine.LevelDefault, engine.LevelSTS, engine.LevelSecure, engine.LevelDANE} {
				for _, insecure := range []engine.InsecureMX{engine.InsecureMXDANE, engine.InsecureMXMay} {
					deliver(newWorld(t).unsigned().tlsa(noMatch).policy(mode, mx), engine.Request{Level: level, Options: engine.Options{InsecureMX: insecure, Audit: mx[0] == 'a'}}, peers...)
					deliver(newWorld(t).unsigned().policy(mode, mx), engine.Request{Level: level, Options: engine.Options{InsecureMX: insecure}}, peers...)
				}
			}
		}
	}
	deliver(newWorld(t).signed().tlsa("1"+noMatch[1:]).policy("enforce", "a.example.org"), engine.Request{}, peers...)
	deliver(make(func(w *world) {
		w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN CNAME exp.org.")
		w.dns.Add("exp.org. 300 IN MX 10 mx.example.org.", "exp.org. 300 IN MX 20 mx6.example.org.", "mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1",
			"mx6.example.org. 300 IN CNAME six.example.org.", "six.example.org. 300 IN AAAA 2001:db8::1", "_25._tcp.real.example.org. 300 IN CNAME t.example.org.", "t.example.org. 300 IN TLSA "+noMatch)
	}), engine.Request{}, peers...)
	deliver(make(func(w *world) {
		w.signed()
		w.dns.Deny("mx.example.org", dnssec.TypeAAAA, dnssec.NoData, dnssec.Insecure, dnssec.Reason{Code: "unsigned-delegation"})
		w.dns.Add("_25._tcp.mx.example.org. 300 IN TLSA 0" + noMatch[1:])
		w.dns.Add("_25._tcp.mx.example.org. 300 IN TLSA " + noMatch)
	}), engine.Request{}, peers...)
	deliver(make(func(w *world) { w.signed().cfg.STS = nil }), engine.Request{}, peers...)
	malformed := newWorld(t).signed()
	malformed.sts.results["example.org"] = sts.Result{Row: sts.S1, TXTErr: fmt.Errorf("%w: two of them", sts.ErrNoRecord), Answer: dnssec.Answer{Kind: dnssec.Data, Status: dnssec.Secure}, Until: epoch.Add(time.Minute)}
	deliver(malformed, engine.Request{}, peers...)
	ta := newWorld(t).signed()
	ta.tlsa(tlsaOf(2, 0, pki.ca.Cert))
	deliver(ta, engine.Request{}, peers...)
	// What only happens to a caller.
	w, req, good := plans["dane"](t)
	p := w.plan(req)
	took(w.engine().Decide(p, 0, good, p.ValidUntil.Add(1)).Reason)
	took(w.engine().Decide(p, 7, good, w.now).Reason)
	took(w.engine().Decide(p, 0, engine.Peer{Untried: true, Detail: "the time was over"}, w.now).Reason)
	took(w.engine().Decide(p, 0, engine.Peer{Code: 450, Detail: "EHLO was answered with 450 later"}, w.now).Reason)
	begun := w.engine().Attempt(p, 0, netip.AddrPort{})
	if _, _, err := shake(t, begun.TLSConfig(), serverConfig(&certtest.Pair{Cert: good.Chain[0], Key: keyOf(t, w, good.Chain[0])})); err != nil {
		t.Fatal(err)
	}
	took(begun.Decision(false).Reason)
	good.Address = netip.MustParseAddrPort("192.0.2.1:26")
	took(w.engine().Decide(p, 0, good, w.now).Reason)
	// What becomes of a message.
	weak := newWorld(t).signed()
	q := weak.plan(engine.Request{TLSRequiredNo: true})
	d := weak.engine().Decide(q, 0, engine.Peer{Event: engine.NoSTARTTLS}, weak.now)
	for _, try := range []engine.Try{{Decision: d, Status: engine.HostDelivered}, {Decision: d, Status: engine.HostRejected, Reply: 550, Text: "no."}, {Decision: d, Status: engine.HostRejected, Reply: 530, Text: "TLS."}} {
		took(weak.engine().Message(q, []engine.Try{try}, engine.Circumstances{}).Reason)
	}
	// What an exception lets pass.
	ex := newWorld(t).signed().tlsa(noMatch)
	ex.except(anException())
	took(ex.decide(engine.Request{}, shows(pki.good)).Reason)
	// What the TLS library of this program cannot do.
	own := engine.Peer{Event: engine.HandshakeFailed, OwnTLS: &engine.OwnTLS{Obstacle: engine.ObstacleHello}}
	took(newWorld(t).signed().tlsa(noMatch).decide(engine.Request{}, own).Reason)
	took(newWorld(t).signed().decide(engine.Request{}, own).Reason)
	took(newWorld(t).signed().decide(engine.Request{Options: engine.Options{NoClearFallback: true}}, own).Reason)
	// What one of two certificates is worth.
	pair := shows(certtest.Issue(certtest.Server("mx.example.org"), nil))
	other := shows(rsaPair(t))
	pair.Other = &other
	two := newWorld(t).signed().tlsa(noMatch).decide(engine.Request{}, pair)
	took(two.Details[len(two.Details)-1])
	// What was there once.
	for _, lost := range []struct{ first, then func(w *world) }{{protected, bare}, {twoHosts, oneOfTwo}, {enforced, plain}, {enforced, none}, {enforced, testing_}, {enforced, unreachable}, {plain, plain}} {
		for _, action := range []memory.Action{memory.Alert, memory.Defer} {
			l := newLife(t, action)
			w := l.next(0, lost.first)
			p := w.plan(engine.Request{})
			w.engine().Remember(p, 0, w.engine().Decide(p, 0, shows(pki.good), w.now))
			deliver(l.next(time.Hour, lost.then), engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS})
		}
	}
	for _, action := range []memory.Action{memory.Alert, memory.Defer} {
		l := newLife(t, action)
		l.store = &brokenStore{Store: l.store, get: errors.New("no disk")}
		deliver(l.next(0, bare), engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS})
	}
	told.check(t)
	var missing []string
	for _, r := range explain.Reasons() {
		if found[r.ID] == "" {
			missing = append(missing, string(r.ID))
		}
	}
	if len(missing) > 0 {
		t.Errorf("never occurs: %q", missing)
	}
	if testing.Verbose() {
		ids := slices.Sorted(func(yield func(reason.ID) bool) {
			for id := range found {
				if !yield(id) {
					return
				}
			}
		})
		for _, id := range ids {
			t.Logf("%s: %s", id, found[id])
		}
	}
}

// named are the names of which a sentence has one: of the domain, the host, or where its
// records are.
func named(r engine.Reason) (names []string) {
	if r.Domain.IsValid() {
		names = append(names, r.Domain.String())
	}
	if r.Host != nil {
		names = append(names, r.Host.String(), r.Host.DANE.Base.String())
	}
	switch r.ID {
	case reason.NotInPlan, reason.NoConnection:
		if r.Host == nil {
			return nil // there is no host
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// A teller writes down every line that a person can be told, each once, in the order
// in which it came up first.
type teller struct {
	seen map[string]bool
	b    strings.Builder
}

// digest is what differs from run to run: the hashes of keys that are new in each run.
var digest = regexp.MustCompile(`[0-9a-f]{16,}`)

func (o *teller) line(kind, text string) {
	s := kind + " " + digest.ReplaceAllString(text, "HASH") + "\n"
	if text != "" && !o.seen[s] {
		o.seen[s] = true
		o.b.WriteString(s)
	}
}

func (o *teller) steps(why []explain.Step) {
	for _, s := range why {
		var words []string
		for _, w := range []string{s.Host, s.Name, s.Type, s.Status, s.Row, s.RFC, string(s.ResultType)} {
			if w != "" {
				words = append(words, w)
			}
		}
		o.line(s.Step, strings.Join(words, ", ")+": "+s.Result)
	}
}

// check holds all lines to testdata/words.golden, which is to be read as a text: a
// mail administrator who knows no RFC must understand it.
func (o *teller) check(t *testing.T) {
	t.Helper()
	const name = "testdata/words.golden"
	if *update {
		if err := os.WriteFile(name, []byte(o.b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(o.b.String(), "\n")); diff != "" {
		t.Errorf("the words have changed (go test ./engine -run TestEveryReason -update): -want +got\n%.3000s", diff)
	}
}

// keyOf is the key of one of the certificates that the tests share.
func keyOf(t *testing.T, w *world, c *x509.Certificate) crypto.Signer {
	t.Helper()
	for _, k := range []*certtest.Pair{w.self, w.good, w.wrong} {
		if k.Cert == c {
			return k.Key
		}
	}
	t.Fatal("a certificate without a key")
	return nil
}

// failing fails every lookup of one type with an error of its own.
type failing struct {
	dnssec.Resolver
	t   dnssec.Type
	err error
}

func (r failing) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	if q.Type == r.t {
		return dnssec.Answer{Question: q, Final: q.Name}, r.err
	}
	return r.Resolver.Resolve(ctx, q)
}

// TestEvidence looks at what a failed lookup tells a person.
func TestEvidence(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&dnssec.LookupError{Kind: dnssec.ErrServFail, Server: "192.0.2.53:53", EDE: []dnssec.ExtendedError{{Code: 9, Text: "no key \x1b[1m"}, {Code: 22}}},
			`answered with SERVFAIL: their name servers fail or cannot be reached; the resolver adds extended error 9 ("no key \x1b[1m"); the resolver adds extended error 22`},
		{&dnssec.LookupError{Kind: dnssec.ErrBogus, Reason: dnssec.Reason{Code: "signature-expired", At: 1700000000}},
			`A signature (RRSIG) expired on 2023-11-14 22:13 UTC: that of the MX records of example.org.`},
		{&dnssec.LookupError{}, "The lookup of the MX records of example.org failed"},
		{fmt.Errorf("something else\n"), `something else\n`},
	} {
		w := newWorld(t).signed()
		w.cfg.Resolver = failing{w.dns, dnssec.TypeMX, c.err}
		p := w.plan(engine.Request{})
		if p.MX.Outcome != engine.Deferred || !strings.Contains(explain.Text(p.MX.Reason), c.want) {
			t.Errorf("%s\nwant %s", explain.Text(p.MX.Reason), c.want)
		}
	}
}
