package mtapolicy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// lower lets an exception pass a host that would wait, as the engine does.
func lower(h *engine.Host, x exception.Exception) {
	h.Exception, h.Waived = &x, h.Reason
	h.Requirement, h.Skipped, h.Reason = engine.May, engine.OutcomeNone, engine.Reason{ID: reason.Exception}
	if x.Effect == exception.EffectEncrypt {
		h.Requirement = engine.Encrypt
	}
}

// TestExceptionOfHeldHosts: row P3 weakens the whole domain, so it applies only if each host that is held
// has an exception or fails in the mail server's own lookup of its address.
func TestExceptionOfHeldHosts(t *testing.T) {
	may, encrypt := exception.Exception{ID: "x", Method: "dane", Effect: exception.EffectMay}, exception.Exception{ID: "x", Method: "dane", Effect: exception.EffectEncrypt}
	expired := lookupError(dnssec.ReasonSignatureExpired)
	for _, x := range []struct {
		about string
		hosts []string
		edit  func(h []engine.Host)
		row   mtapolicy.Row
		text  string // "": the message waits
	}{
		{"one host, TLS not demanded", []string{"dserv"}, func(h []engine.Host) { lower(&h[0], may) }, mtapolicy.P3, "may"},
		{"one host, TLS demanded", []string{"dserv"}, func(h []engine.Host) { lower(&h[0], encrypt) }, mtapolicy.P3, "encrypt protocols=>=TLSv1.2"},
		{"its address fails", []string{"aserv"}, func(h []engine.Host) { lower(&h[0], may) }, mtapolicy.P3, "may"},
		{"the address of another fails", []string{"dserv", "aserv"}, func(h []engine.Host) { lower(&h[0], may) }, mtapolicy.P3, "may"},
		{"the A lookup of another fails here alone", []string{"dserv", "aserv"}, func(h []engine.Host) {
			lower(&h[0], may)
			h[1].DANE.A.Err = expired
		}, mtapolicy.P5, ""},
		{"the AAAA lookup of another fails here alone", []string{"dserv", "aserv"}, func(h []engine.Host) {
			lower(&h[0], may)
			h[1].DANE.AAAA.Err = expired
		}, mtapolicy.P5, ""},
		{"the TLSA lookup of another fails", []string{"dserv", "dserv"}, func(h []engine.Host) { lower(&h[0], may) }, mtapolicy.P5, ""},
		{"the TLSA lookup of another fails here alone", []string{"dserv", "dours"}, func(h []engine.Host) { lower(&h[0], may) }, mtapolicy.P5, ""},
		{"none has an exception", []string{"dserv"}, func([]engine.Host) {}, mtapolicy.P5, ""},
	} {
		t.Run(x.about, func(t *testing.T) {
			p := situation{hosts: x.hosts, secure: true}.plan()
			x.edit(p.Hosts)
			r, err := mtapolicy.Postfix(p, mtapolicy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Row != x.row || (r.Kind == mtapolicy.TryLater) != (x.text == "") || x.text != "" && (r.Kind != mtapolicy.Found || r.Text != x.text) {
				t.Errorf("%v %q (%s), want %q (%s)", r.Kind, r.Text, r.Row, x.text, x.row)
			}
		})
	}
}

// TestSharedFailures: the level dane is given beside a host whose TLSA lookup failed only if that lookup
// fails in Postfix too, which then does not use the host. Any other cause makes the message wait.
func TestSharedFailures(t *testing.T) {
	for about, x := range map[string]struct {
		lookups []dane.Lookup
		shared  bool
	}{
		"server failure":          {[]dane.Lookup{{Err: lookupError(dnssec.ReasonServFail)}}, true},
		"no answer":               {[]dane.Lookup{{Err: lookupError(dnssec.ReasonTimeout)}}, true},
		"signature missing":       {[]dane.Lookup{{Err: lookupError(dnssec.ReasonSignatureMissing)}}, true},
		"after one that worked":   {[]dane.Lookup{{}, {Err: lookupError(dnssec.ReasonServFail)}}, true},
		"signature expired":       {[]dane.Lookup{{Err: lookupError(dnssec.ReasonSignatureExpired)}}, false},
		"one of two is not":       {[]dane.Lookup{{Err: lookupError(dnssec.ReasonServFail)}, {Err: lookupError(dnssec.ReasonSignatureExpired)}}, false},
		"no error of the lookup":  {[]dane.Lookup{{Err: errors.New("other")}}, false},
		"no lookup that failed":   {[]dane.Lookup{{}}, false},
		"no lookup that is known": {nil, false},
	} {
		t.Run(about, func(t *testing.T) {
			p := situation{hosts: []string{"dunu", "dserv"}, secure: true}.plan()
			p.Hosts[1].DANE.TLSA = x.lookups
			r, err := mtapolicy.Postfix(p, mtapolicy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Row != mtapolicy.P8b || x.shared != (r.Kind == mtapolicy.Found && r.Text == "dane") || x.shared == (r.Kind == mtapolicy.TryLater) {
				t.Errorf("%v %q (%s), want dane: %t", r.Kind, r.Text, r.Row, x.shared)
			}
		})
	}
}

// TestEximHeld: a host that is held is try-later with its reason, and one that an exception lowers gets
// the effect of the exception.
func TestEximHeld(t *testing.T) {
	for _, x := range []struct {
		about string
		edit  func(h *engine.Host)
		word  string
		kind  mtapolicy.Kind
		id    reason.ID
	}{
		{"held", func(*engine.Host) {}, mtapolicy.EximDefer, mtapolicy.TryLater, reason.TLSALookupFailed},
		{"held in spite of an exception", func(h *engine.Host) {
			h.Exception = &exception.Exception{ID: "x", Method: "pkix", Effect: exception.EffectMay}
		}, mtapolicy.EximDefer, mtapolicy.TryLater, reason.TLSALookupFailed},
		{"exception", func(h *engine.Host) { lower(h, exception.Exception{ID: "x", Effect: exception.EffectMay}) }, mtapolicy.EximMay, mtapolicy.Found, ""},
		{"exception that demands TLS", func(h *engine.Host) { lower(h, exception.Exception{ID: "x"}) }, mtapolicy.EximEncrypt, mtapolicy.Found, ""},
	} {
		t.Run(x.about, func(t *testing.T) {
			p := situation{hosts: []string{"dserv"}, secure: true}.plan()
			x.edit(&p.Hosts[0])
			r, err := mtapolicy.Exim(p, p.Hosts[0].Name.String())
			if err != nil || word(r) != x.word || r.Kind != x.kind || r.Reason != x.id {
				t.Errorf("%v %q, reason %q, %v; want %s, reason %q", r.Kind, r.Text, r.Reason, err, x.word, x.id)
			}
			if _, ok := p.Keep(); ok || strings.Contains(r.Text, "until=") {
				t.Errorf("%q: the plan has no end", r.Text)
			}
		})
	}
}

// TestEximAliasTarget: Exim asks for the target of an alias. Two hosts that lead to it have an answer only
// if the plan demands the same of both, in any order.
func TestEximAliasTarget(t *testing.T) {
	target, err := rfc6125.ParseHost("real.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		about string
		hosts []string
		want  string
		row   mtapolicy.Row
	}{
		{"one", []string{"dok"}, mtapolicy.EximDANE, mtapolicy.X1},
		{"the same of both", []string{"dok", "dlisted"}, mtapolicy.EximDANE, mtapolicy.X1},
		{"the first demands less", []string{"none", "dok"}, mtapolicy.EximDefer, mtapolicy.X3},
		{"the second demands less", []string{"dok", "none"}, mtapolicy.EximDefer, mtapolicy.X3},
		{"the first waits", []string{"dserv", "none"}, mtapolicy.EximDefer, mtapolicy.X3},
		{"the second waits", []string{"none", "dserv"}, mtapolicy.EximDefer, mtapolicy.X3},
	} {
		t.Run(x.about, func(t *testing.T) {
			p := situation{hosts: x.hosts, secure: true}.plan()
			for i := range p.Hosts {
				p.Hosts[i].DANE.Final = target.Name()
			}
			r, err := mtapolicy.Exim(p, target.String())
			if err != nil || word(r) != x.want || r.Row != x.row {
				t.Errorf("%q (%s), %v; want %s (%s)", r.Text, r.Row, err, x.want, x.row)
			}
		})
	}
}

// TestEximNoHosts: a domain without mail hosts is left to Exim's own lookup, unless its policy is enforced:
// an attacker who forges that there are none must not take it off.
func TestEximNoHosts(t *testing.T) {
	for _, mode := range []sts.Mode{0, sts.ModeTesting, sts.ModeEnforce} {
		for _, bounced := range []bool{false, true} {
			p := situation{hosts: []string{"gone"}, policy: mode}.plan()
			if bounced {
				p.Hosts = nil
				p.MX.Outcome, p.MX.Reason = engine.Bounced, engine.Reason{ID: reason.NoAddress}
			}
			want := mtapolicy.EximMay
			if mode == sts.ModeEnforce {
				want = mtapolicy.EximDefer
			}
			if r, err := mtapolicy.Exim(p, ""); err != nil || word(r) != want || r.Row != mtapolicy.X2 {
				t.Errorf("policy %v, bounced %t: %q (%s), %v; want %s", mode, bounced, r.Text, r.Row, err, want)
			}
		}
	}
}

// TestTLSAOfHeldHost: at the level dane-only Postfix may use a host whose TLSA lookup failed here alone,
// and the reply says so. It does not use one whose lookup fails in Postfix too.
func TestTLSAOfHeldHost(t *testing.T) {
	for kind, want := range map[string]bool{"dours": true, "dserv": false, "aserv": false} {
		p := situation{hosts: []string{"dok", kind}, secure: true}.plan()
		r, err := mtapolicy.Postfix(p, mtapolicy.Options{})
		if err != nil || !strings.HasPrefix(r.Text, "dane-only") {
			t.Errorf("%s: %q, %v", kind, r.Text, err)
		}
		got := false
		for _, d := range r.Deviations {
			got = got || d.ID == mtapolicy.WeakerTLSAHost && d.Host == p.Hosts[1].Name.String()
		}
		if got != want {
			t.Errorf("%s: deviations %v, want %s: %t", kind, r.Deviations, mtapolicy.WeakerTLSAHost, want)
		}
	}
}
