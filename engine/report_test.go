package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// entries prints what a session counts as, one entry after the other.
func entries(all []tlsrpt.Entry) string {
	var b []string
	for _, e := range all {
		s := fmt.Sprintf("%s %s", e.Policy.Type, e.Policy.Domain)
		if !e.Compliant {
			s += " failed"
		}
		for _, f := range e.Failures {
			s += fmt.Sprintf(" %s/%s", f.Type, f.ReasonCode)
		}
		b = append(b, s)
	}
	return strings.Join(b, "; ")
}

// TestTable8 is section 8 of the table: as what a session counts in a report.
func TestTable8(t *testing.T) {
	fail := func(name string, q dnssec.Type, kind error) func(w *world) {
		return func(w *world) { w.signed(); w.dns.Fail(name, q, kind) }
	}
	pki := sharedPKI()
	for _, c := range []struct {
		name string
		make func(w *world)
		r    engine.Request
		peer engine.Peer
		want string
	}{
		{"TLSRPT-4.3.2.1-02 TLSRPT-1.1-01 TLSA bogus", fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBogus), engine.Request{}, shows(pki.good), "tlsa mx.example.org failed dnssec-invalid/tlsa-bogus"},
		{"TLSA SERVFAIL", fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail), engine.Request{}, shows(pki.good), "tlsa mx.example.org failed dnssec-invalid/tlsa-lookup-failed"},
		{"TLSA timeout", fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrTimeout), engine.Request{}, shows(pki.good), "tlsa mx.example.org"},
		{"TLSA out of budget", fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBudget), engine.Request{}, shows(pki.good), ""},
		{"TLSA out of budget, in audit mode", fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBudget), engine.Request{Options: engine.Options{Audit: true}}, shows(pki.good), ""},
		{"TLSA out of budget, TLS-Required: No", fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBudget), engine.Request{TLSRequiredNo: true}, shows(pki.good), ""},
		{"address out of budget", func(w *world) {
			w.signed()
			w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrBudget)
			w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrBudget)
		}, engine.Request{}, engine.Peer{}, ""},
		{"address bogus", fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrServFail), engine.Request{}, engine.Peer{}, ""},
		{"TLSRPT-4.3.2.1-01 all unusable", func(w *world) { w.signed().tlsa("1" + noMatch[1:]) }, engine.Request{}, shows(pki.self), "tlsa mx.example.org tlsa-invalid/encrypted-tlsa-unusable"},
		{"TLSRPT-4.3.2.1-03 dane-only without TLSA", func(w *world) { w.signed() }, engine.Request{Level: engine.LevelDANEOnly}, shows(pki.good), "tlsa example.org failed dane-required/dane-required"},
		{"TLSRPT-4.3.1-01 no STARTTLS under dane", func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS}, "tlsa mx.example.org failed starttls-not-supported/no-starttls"},
		{"TLSRPT-4.3.1-01 STS-6-03 no STARTTLS under sts", func(w *world) { w.unsigned().policy("enforce", "mx.example.org") }, engine.Request{}, engine.Peer{Event: engine.STARTTLSRefused}, "sts example.org failed starttls-not-supported/starttls-refused"},
		{"no STARTTLS under encrypt", func(w *world) { w.signed().tlsa("1" + noMatch[1:]) }, engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS}, "tlsa mx.example.org failed starttls-not-supported/no-starttls"},
		{"no STARTTLS under may", func(w *world) { w.signed() }, engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS}, "no-policy-found example.org failed starttls-not-supported/cleartext-no-starttls"},
		{"TLSRPT-4.3.1-05 handshake failed, both", func(w *world) { w.signed().tlsa(noMatch).policy("enforce", "mx.example.org") }, engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}, engine.Peer{Event: engine.HandshakeFailed}, "tlsa mx.example.org failed validation-failure/handshake-failed; sts example.org failed validation-failure/handshake-failed"},
		{"TLSA does not match", func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{}, shows(pki.good), "tlsa mx.example.org failed certificate-not-trusted/dane-no-match"},
		{"TLSRPT-4.3.1-02 DANE-TA name", func(w *world) { w.signed().tlsa(tlsaOf(2, 0, pki.ca.Cert)) }, engine.Request{}, shows(pki.wrong, pki.ca), "tlsa mx.example.org failed certificate-host-mismatch/dane-name-mismatch"},
		{"TLSRPT-4.3.1-03 DANE-TA expired", func(w *world) { w.signed().tlsa(tlsaOf(2, 0, pki.ca.Cert)) }, engine.Request{}, shows(pki.expired, pki.ca), "tlsa mx.example.org failed certificate-expired/dane-expired"},
		{"TLSRPT-4.3.1-02 STS name", func(w *world) { w.unsigned().policy("enforce", "mx.example.org") }, engine.Request{}, shows(pki.wrong), "sts example.org failed certificate-host-mismatch/mta-sts-name-mismatch"},
		{"TLSRPT-4.3.1-03 STS expired", func(w *world) { w.unsigned().policy("enforce", "mx.example.org") }, engine.Request{}, shows(pki.expired), "sts example.org failed certificate-expired/mta-sts-expired"},
		{"TLSRPT-4.3.1-04 STS untrusted", func(w *world) { w.unsigned().policy("enforce", "mx.example.org") }, engine.Request{}, shows(pki.alien), "sts example.org failed certificate-not-trusted/mta-sts-untrusted"},
		{"TLSRPT-4.3.1-05 STS no match, enforce", func(w *world) { w.unsigned().policy("enforce", "a.example.org") }, engine.Request{}, engine.Peer{}, "sts example.org failed validation-failure/sts-mx-mismatch"},
		{"STS no match, testing", func(w *world) { w.unsigned().policy("testing", "a.example.org") }, engine.Request{}, shows(pki.good), "sts example.org failed validation-failure/sts-mx-mismatch"},
		{"STS testing, all well", func(w *world) { w.unsigned().policy("testing", "mx.example.org") }, engine.Request{}, shows(pki.good), "sts example.org"},
		{"STS-6-02 the record cannot be looked up, a policy is kept", func(w *world) {
			w.unsigned().policy("enforce", "mx.example.org").recordFails()
		}, engine.Request{}, shows(pki.good), "sts example.org failed sts-policy-fetch-error/sts-record-unknown"},
		{"STS-6-02 the record cannot be looked up, one of mode none is kept", func(w *world) {
			w.unsigned().policy("none").recordFails()
		}, engine.Request{}, shows(pki.good), "no-policy-found example.org"},
		{"STS mode none", func(w *world) { w.unsigned().policy("none") }, engine.Request{}, shows(pki.good), "no-policy-found example.org"},
		{"TLSRPT-4.3.2.2-01 STS-6-01 STS not to be fetched", func(w *world) {
			w.unsigned()
			w.sts.results["example.org"] = sts.Result{Row: sts.S4, FetchErr: sts.ErrFetchStatus}
		}, engine.Request{}, shows(pki.good), "sts example.org failed sts-policy-fetch-error/sts-fetch-failed"},
		{"TLSRPT-4.3.2.2-02 STS policy malformed", func(w *world) {
			w.unsigned()
			w.sts.results["example.org"] = sts.Result{Row: sts.S4, FetchErr: sts.ErrFetchSyntax}
		}, engine.Request{}, shows(pki.good), "sts example.org failed sts-policy-invalid/sts-policy-invalid"},
		{"TLSRPT-4.3.2.2-03 policy host without a good certificate", func(w *world) {
			w.unsigned()
			w.sts.results["example.org"] = sts.Result{Row: sts.S4, FetchErr: sts.ErrFetchWebPKI}
		}, engine.Request{}, shows(pki.good), "sts example.org failed sts-webpki-invalid/sts-fetch-certificate"},
		{"half-dane", func(w *world) { w.unsigned().tlsa(tlsaOf(3, 1, pki.self.Cert)) }, engine.Request{}, shows(pki.self), "tlsa mx.example.org"},
		{"half-dane, no match", func(w *world) { w.unsigned().tlsa(noMatch) }, engine.Request{}, shows(pki.self), "tlsa mx.example.org failed certificate-not-trusted/dane-no-match"},
		{"TLSRPT-4-03 dane passes, sts fails", func(w *world) { w.signed().tlsa(tlsaOf(3, 1, pki.self.Cert)).policy("enforce", "mx.example.org") }, engine.Request{}, shows(pki.self), "tlsa mx.example.org; sts example.org failed certificate-not-trusted/mta-sts-untrusted"},
		{"dane and sts pass", func(w *world) { w.signed().tlsa(tlsaOf(3, 1, pki.good.Cert)).policy("enforce", "mx.example.org") }, engine.Request{}, shows(pki.good), "tlsa mx.example.org; sts example.org"},
		{"TLSRPT-4.3.4-01 no connection", func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{}, engine.Peer{}, ""},
		{"TLSRPT-3-09 a report", func(w *world) { w.signed() }, engine.Request{TLSRPTReport: true}, engine.Peer{Event: engine.NoSTARTTLS}, ""},
		{"TLS-Required: No is counted", func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{TLSRequiredNo: true}, shows(pki.good), "tlsa mx.example.org failed certificate-not-trusted/dane-no-match"},
		{"TLS-Required: No, TLSA bogus", fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrBogus), engine.Request{TLSRequiredNo: true}, shows(pki.good), "tlsa mx.example.org failed dnssec-invalid/tlsa-bogus"},
		{"audit", func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{Options: engine.Options{Audit: true}}, shows(pki.good), "tlsa mx.example.org failed certificate-not-trusted/dane-no-match"},
		{"a literal", func(w *world) {}, engine.Request{NextHop: "[192.0.2.1]"}, shows(pki.good), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.make(w)
			p := w.plan(c.r)
			d := w.engine().Decide(p, 0, c.peer, w.now)
			if got := entries(explain.Report(p, 0, d)); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
	t.Run("address bogus", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrBogus)
		p := w.plan(engine.Request{})
		if got := entries(explain.Report(p, 0, w.engine().Decide(p, 0, engine.Peer{}, w.now))); got != "no-policy-found example.org failed validation-failure/dnssec-bogus" {
			t.Error(got)
		}
	})
	t.Run("MX bogus, and MX gone", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrBogus)
		if got := entries(explain.Report(w.plan(engine.Request{}), -1, engine.Decision{})); got != "no-policy-found example.org failed validation-failure/dnssec-bogus" {
			t.Error(got)
		}
		w = newWorld(t)
		w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrBudget)
		if got := entries(explain.Report(w.plan(engine.Request{}), -1, engine.Decision{})); got != "" {
			t.Error(got)
		}
		w = newWorld(t)
		w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrTimeout)
		if got := entries(explain.Report(w.plan(engine.Request{}), -1, engine.Decision{})); got != "" {
			t.Error(got)
		}
	})
	t.Run("what does not count", func(t *testing.T) {
		w := newWorld(t).signed()
		p := w.plan(engine.Request{})
		for _, id := range []reason.ID{reason.PlanExpired, reason.NotInPlan, reason.WrongPort} {
			if got := explain.Report(p, 0, engine.Decision{Event: engine.HandshakeDone, Reason: engine.Reason{ID: id}}); got != nil {
				t.Errorf("%s: %v", id, got)
			}
		}
		if explain.Report(nil, 0, engine.Decision{}) != nil || explain.Report(p, 1, engine.Decision{}) != nil || explain.Report(p, -1, engine.Decision{}) != nil {
			t.Error("no plan, no host")
		}
	})
	t.Run("TLSRPT-4.5-01 TLSRPT-4.5-02 the policy itself", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch).tlsa("1"+noMatch[1:]).policy("enforce", "mx.example.org", "*.example.net")
		p := w.plan(engine.Request{})
		peer := shows(w.good)
		peer.Address = addrPort
		all := explain.Report(p, 0, w.engine().Decide(p, 0, peer, w.now))
		if len(all) != 2 || len(all[0].Policy.Strings) != 2 || all[0].Policy.Strings[0] != noMatch ||
			strings.Join(all[1].Policy.MXHosts, " ") != "mx.example.org *.example.net" || len(all[1].Policy.Strings) != 5 ||
			all[0].Failures[0].ReceivingIP != "192.0.2.1" || all[0].Failures[0].MXHost != "mx.example.org" {
			t.Errorf("%+v", all)
		}
	})
}

// recordFails makes the policy of example.org a kept one, whose record cannot be looked up.
func (w *world) recordFails() {
	r := w.sts.results["example.org"]
	r.Row, r.Cached, r.TXTErr = sts.S9, true, dnssec.ErrServFail
	w.sts.results["example.org"] = r
}
