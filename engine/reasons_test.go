package engine_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

var update = flag.Bool("update", false, "write docs/reasons.md anew")

const reasonsPage = "../docs/reasons.md"

// TestReasonsPage holds docs/reasons.md to the table. `go test ./engine -run
// TestReasonsPage -update` writes it.
func TestReasonsPage(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(reasonsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reasonsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/reasons.md is stale: go test ./engine -run TestReasonsPage -update")
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(`# Reasons

Every verdict of mxauth carries a reason: a stable word, a sentence with the names of
the case, and the section of the rule behind it. This page lists all of them, with what
the administrators of both sides can do. It is made from the table in package engine by
` + "`go test ./engine -run TestReasonsPage -update`" + `.

"TLSRPT" is the result type of RFC 8460 under which a failure is reported to the
recipient's domain, with the policy that it belongs to; "status" is the enhanced status
code for a log line or a notification.
`)
	for _, r := range engine.Reasons() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", r.ID, r.Says)
		fmt.Fprintf(&b, "- Rule: RFC %s\n", strings.Replace(r.RFC, " s.", " section ", 1))
		if r.ResultType != "" {
			fmt.Fprintf(&b, "- TLSRPT: %s", r.ResultType)
			if r.Policy != "" {
				fmt.Fprintf(&b, " (%s)", r.Policy)
			}
			b.WriteString("\n")
		}
		if r.Code != "" {
			fmt.Fprintf(&b, "- Status: %s\n", r.Code)
		}
		fmt.Fprintf(&b, "- Sender: %s\n- Recipient: %s\n", r.Sender, r.Recipient)
	}
	return b.String()
}

func TestReasonTable(t *testing.T) {
	id, rfc, code := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`), regexp.MustCompile(`^\d{4} s\.\d+(\.\d+)*$`), regexp.MustCompile(`^[45]\.\d\.\d{1,2}$`)
	seen := map[engine.ReasonID]bool{}
	for _, r := range engine.Reasons() {
		if seen[r.ID] || !id.MatchString(string(r.ID)) {
			t.Errorf("%q: twice, or no word", r.ID)
		}
		seen[r.ID] = true
		if !rfc.MatchString(r.RFC) || r.Code != "" && !code.MatchString(r.Code) {
			t.Errorf("%s: %q %q", r.ID, r.RFC, r.Code)
		}
		if r.ResultType != "" && !tlsrpt.ResultType(r.ResultType).IsValid() || r.Policy != "" && !tlsrpt.PolicyType(r.Policy).IsValid() {
			t.Errorf("%s: %q %q", r.ID, r.ResultType, r.Policy)
		}
		for _, s := range []string{r.Says, r.Sender, r.Recipient} {
			if len(s) < 8 || !strings.HasSuffix(s, ".") || strings.ToUpper(s[:1]) != s[:1] && !strings.HasPrefix(s, "https://") {
				t.Errorf("%s: no sentence: %q", r.ID, s)
			}
		}
		info, ok := r.ID.Info()
		if !ok || info != r {
			t.Errorf("%s: Info gives %+v", r.ID, info)
		}
	}
	if _, ok := engine.ReasonID("no-such-reason").Info(); ok {
		t.Error("a reason that there is not")
	}
	if !(engine.Reason{}).IsZero() || (engine.Reason{ID: "x"}).IsZero() {
		t.Error("IsZero")
	}
}

// TestEveryReason makes every reason of the table occur, by planning, deciding and
// ending deliveries; none may be missing and none may come out that is not listed.
func TestEveryReason(t *testing.T) {
	found := map[engine.ReasonID]string{}
	took := func(r engine.Reason) {
		if r.IsZero() {
			return
		}
		if _, ok := r.ID.Info(); !ok {
			t.Errorf("%s is not in the table", r.ID)
		}
		if len(r.Text) < 20 || !strings.HasSuffix(r.Text, ".") && !strings.HasSuffix(r.Text, ")") && r.ID != engine.ReasonRejected || strings.Contains(r.Text, "%!") || strings.Contains(r.Text, "  ") {
			t.Errorf("%s: %q", r.ID, r.Text)
		}
		found[r.ID] = r.Text
	}
	deliver := func(w *world, r engine.Request, peers ...engine.Peer) (*engine.Plan, []engine.Try) {
		p := w.plan(r)
		took(p.MX.Reason)
		for _, f := range p.Findings {
			took(f)
		}
		var tries []engine.Try
		for i := range p.Hosts {
			h := &p.Hosts[i]
			took(h.Reason)
			took(h.Waived)
			for _, peer := range peers {
				d := w.engine().Decide(p, i, peer, w.now)
				took(d.Reason)
				for _, r := range d.Details {
					took(r)
				}
				if len(tries) == i {
					tries = append(tries, p.TryOf(i, d))
				}
			}
		}
		for _, c := range []engine.Circumstances{{}, {Expired: true}, {Expired: true, Looked: true}} {
			took(w.engine().Message(p, tries, c).Reason)
		}
		return p, tries
	}
	pki := sharedPKI()
	peers := []engine.Peer{{}, {Event: engine.NoSTARTTLS}, {Event: engine.STARTTLSRefused}, {Event: engine.STARTTLSRefused, Injected: true}, {Event: engine.HandshakeFailed},
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
	for _, r := range []sts.Result{{Row: sts.S2, TXTErr: dnssec.ErrTimeout}, {Row: sts.S4, FetchErr: sts.ErrFetchTCP}, {Row: sts.S4, FetchErr: sts.ErrFetchWebPKI}, {Row: sts.S4, FetchErr: sts.ErrFetchSyntax}} {
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
	for name := range plans {
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
	deliver(newWorld(t).unsigned().policy("enforce", "a.example.org"), engine.Request{}, peers...)
	ta := newWorld(t).signed()
	ta.tlsa(tlsaOf(2, 0, pki.ca.cert))
	deliver(ta, engine.Request{}, peers...)
	// What only happens to a caller.
	w, req, good := plans["dane"](t)
	p := w.plan(req)
	took(w.engine().Decide(p, 0, good, p.ValidUntil.Add(1)).Reason)
	took(w.engine().Decide(p, 7, good, w.now).Reason)
	good.Address = netip.MustParseAddrPort("192.0.2.1:26")
	took(w.engine().Decide(p, 0, good, w.now).Reason)
	// What becomes of a message.
	weak := newWorld(t).signed()
	q := weak.plan(engine.Request{TLSRequiredNo: true})
	d := weak.engine().Decide(q, 0, engine.Peer{Event: engine.NoSTARTTLS}, weak.now)
	for _, try := range []engine.Try{{Decision: d, Status: engine.HostDelivered}, {Decision: d, Status: engine.HostRejected, Reply: 550, Text: "no."}, {Decision: d, Status: engine.HostRejected, Reply: 530, Text: "TLS."}} {
		took(weak.engine().Message(q, []engine.Try{try}, engine.Circumstances{}).Reason)
	}
	var missing []string
	for _, r := range engine.Reasons() {
		if found[r.ID] == "" {
			missing = append(missing, string(r.ID))
		}
	}
	if len(missing) > 0 {
		t.Errorf("never occurs: %q", missing)
	}
	if testing.Verbose() {
		ids := slices.Sorted(func(yield func(engine.ReasonID) bool) {
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

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", "a\x00b\x1b[1m\u202e\xff": "a?b?[1m??", strings.Repeat("y", 201): strings.Repeat("y", 200) + "...", strings.Repeat("y", 200): strings.Repeat("y", 200)} {
		if got := engine.Clip(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
