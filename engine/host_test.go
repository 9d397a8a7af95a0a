package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/tlsrpt"
)

// failures are the ways in which a lookup can fail.
var failures = []error{dnssec.ErrBogus, dnssec.ErrIndeterminate, dnssec.ErrServFail, dnssec.ErrRefused, dnssec.ErrTimeout, dnssec.ErrUnreachable, dnssec.ErrMalformed, dnssec.ErrAliasLoop, dnssec.ErrBudget}

// TestTable4 is section 4 of the table, end to end.
func TestTable4(t *testing.T) {
	s, i := dnssec.Secure, dnssec.Insecure
	for _, c := range []struct {
		row, about string
		zone       func(w *world)
		want       string // requirement or outcome, reason, SNI
		asks       string // TLSA owners that are asked for
	}{
		{"A1", "both families fail", func(w *world) {
			w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrServFail)
			w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrTimeout)
		}, "deferred address-lookup-failed", ""},
		{"A1", "one fails and the other has none", func(w *world) { w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrServFail) }, "deferred address-lookup-failed", ""},
		{"A1", "bogus", func(w *world) { w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrBogus) }, "deferred address-bogus", ""},
		{"A1", "one times out, the other is bogus", func(w *world) {
			w.dns.Fail("mx.example.org", dnssec.TypeA, dnssec.ErrTimeout)
			w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrBogus)
		}, "deferred address-bogus", ""},
		{"A2 A5", "one fails and the other has addresses", func(w *world) {
			w.dns.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrServFail)
			w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1")
			w.tlsa(noMatch)
		}, "dane dane mx.example.org", "mx"},
		{"A2b A5", "one secure and one insecure", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1")
			w.dns.AddAs(i, "mx.example.org. 300 IN AAAA 2001:db8::1")
			w.tlsa(noMatch)
		}, "dane dane mx.example.org", "mx"},
		{"A3", "no addresses", func(w *world) { w.tlsa(noMatch) }, "refused no-address", ""},
		{"A5", "secure", func(w *world) { w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1"); w.tlsa(noMatch) }, "dane dane mx.example.org", "mx"},
		{"A6", "insecure", func(w *world) { w.dns.AddAs(i, "mx.example.org. 300 IN A 192.0.2.1"); w.tlsa(noMatch) }, "may no-policy mx.example.org", ""},
		{"A7", "a secure alias, records at its end", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN CNAME real.example.org.")
			w.dns.AddAs(s, "real.example.org. 300 IN A 192.0.2.1")
			w.dns.Add("_25._tcp.real.example.org. 300 IN TLSA " + noMatch)
			w.tlsa(noMatch)
		}, "dane dane real.example.org", "real"},
		{"A7", "a secure alias, records at the name itself", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN CNAME real.example.org.")
			w.dns.AddAs(s, "real.example.org. 300 IN A 192.0.2.1")
			w.tlsa(noMatch)
		}, "dane dane mx.example.org", "real mx"},
		{"A8", "only the first alias is secure", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN CNAME real.example.org.")
			w.dns.AddAs(i, "real.example.org. 300 IN A 192.0.2.1")
			w.dns.Add("_25._tcp.real.example.org. 300 IN TLSA " + noMatch)
			w.tlsa(noMatch)
		}, "dane dane mx.example.org", "mx"},
		{"A9", "the first alias is insecure", func(w *world) {
			w.dns.AddAs(i, "mx.example.org. 300 IN CNAME real.example.org.")
			w.dns.AddAs(s, "real.example.org. 300 IN A 192.0.2.1")
			w.tlsa(noMatch)
		}, "may no-policy mx.example.org", ""},
		{"A5", "T2 usages that do not count", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1")
			w.tlsa("1" + noMatch[1:])
			w.tlsa("0" + noMatch[1:])
		}, "encrypt tlsa-unusable mx.example.org", "mx"},
		{"A5", "T3 insecure TLSA", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1")
			w.dns.AddAs(i, "_25._tcp.mx.example.org. 300 IN TLSA "+noMatch)
		}, "may no-policy mx.example.org", "mx"},
		{"A5", "T3 no TLSA", func(w *world) { w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1") }, "may no-policy mx.example.org", "mx"},
		{"A5", "T3 an insecure alias of the TLSA name", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1")
			w.dns.AddAs(i, "_25._tcp.mx.example.org. 300 IN CNAME t.example.org.")
			w.dns.AddAs(s, "t.example.org. 300 IN TLSA "+noMatch)
		}, "may no-policy mx.example.org", "mx"},
		{"A5", "T2 a secure alias of the TLSA name", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1")
			w.dns.AddAs(s, "_25._tcp.mx.example.org. 300 IN CNAME t.example.org.")
			w.dns.AddAs(s, "t.example.org. 300 IN TLSA "+noMatch)
		}, "dane dane mx.example.org", "mx"},
		{"A7", "T1 a failure at the first candidate, the second is not tried", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN CNAME real.example.org.")
			w.dns.AddAs(s, "real.example.org. 300 IN A 192.0.2.1")
			w.dns.Fail("_25._tcp.real.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
			w.tlsa(noMatch)
		}, "deferred tlsa-lookup-failed", "real"},
		{"A5", "T1 a denial with too many iterations (D6)", func(w *world) {
			w.dns.AddAs(s, "mx.example.org. 300 IN A 192.0.2.1")
			w.dns.Deny("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.NXDomain, i, dnssec.Reason{Code: dnssec.ReasonNSEC3Iterations})
		}, "deferred tlsa-denial-unproved", "mx"},
	} {
		t.Run(c.row+" "+c.about, func(t *testing.T) {
			w := newWorld(t)
			w.dns.Add("example.org. 300 IN MX 10 mx.example.org.")
			c.zone(w)
			p := w.plan(engine.Request{})
			h := p.Hosts[0]
			got := h.Requirement.String() + " " + string(h.Reason.ID) + " " + h.SNI
			if h.Requirement == engine.Skip {
				got = h.Skipped.String() + " " + string(h.Reason.ID)
			}
			if got != c.want || h.DANE.Row != c.row {
				t.Errorf("%s by row %s, want %s", got, h.DANE.Row, c.want)
			}
			var asked []string
			for _, q := range w.dns.Asked() {
				if q.Type == dnssec.TypeTLSA {
					asked = append(asked, q.Name.Label(2))
				}
			}
			if strings.Join(asked, " ") != c.asks {
				t.Errorf("TLSA asked for at %q, want %q", asked, c.asks)
			}
			if h.Requirement == engine.Skip {
				d := w.engine().Decide(p, 0, shows(w.good), w.now)
				if d.Deliver || d.Outcome != h.Skipped || d.Reason != h.Reason {
					t.Errorf("decided as %s %s", d.Outcome, d.Reason.ID)
				}
			}
			if (h.Reason.ID == reason.NoAddress) != h.Unusable {
				t.Errorf("unusable: %v", h.Unusable)
			}
		})
	}
	for _, kind := range failures {
		t.Run("T1 "+kind.Error(), func(t *testing.T) {
			w := newWorld(t).signed()
			w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, kind)
			h := w.plan(engine.Request{}).Hosts[0]
			want := reason.TLSALookupFailed
			result := tlsrpt.DNSSECInvalid
			switch kind {
			case dnssec.ErrBogus:
				want = reason.TLSABogus
			case dnssec.ErrTimeout, dnssec.ErrUnreachable:
				want, result = reason.TLSATimeout, ""
			case dnssec.ErrBudget:
				want, result = reason.Budget, ""
			}
			if h.Requirement != engine.Skip || h.Skipped != engine.Deferred || h.Reason.ID != want || explain.Reason(h.Reason).ResultType != result {
				t.Errorf("%s %s %+v", h.Requirement, h.Skipped, h.Reason)
			}
			why := explain.Host(&h)
			last := why[len(why)-2]
			if last.Step != explain.StepTLSA || last.ResultType != result {
				t.Errorf("step: %+v", last)
			}
		})
	}
	t.Run("an option lets domains without address wait", func(t *testing.T) {
		w := newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.")
		p := w.plan(engine.Request{Options: engine.Options{NoAddressDefer: true}})
		if h := p.Hosts[0]; h.Skipped != engine.Deferred || !h.Unusable {
			t.Errorf("%+v", h)
		}
	})
	t.Run("sections that look for no TLSA", func(t *testing.T) {
		for name, c := range map[string]struct {
			r        engine.Request
			unsigned bool
			asks     bool
		}{
			"default":                      {engine.Request{}, false, true},
			"insecure MX":                  {engine.Request{}, true, true},
			"insecure-mx may":              {engine.Request{Options: engine.Options{InsecureMX: engine.InsecureMXMay}}, true, false},
			"insecure-mx may, signed":      {engine.Request{Options: engine.Options{InsecureMX: engine.InsecureMXMay}}, false, true},
			"insecure-mx encrypt":          {engine.Request{Options: engine.Options{InsecureMX: engine.InsecureMXEncrypt}}, true, true},
			"opportunistic":                {engine.Request{Level: engine.LevelOpportunistic}, false, false},
			"sts":                          {engine.Request{Level: engine.LevelSTS}, false, false},
			"dane":                         {engine.Request{Level: engine.LevelDANE}, false, true},
			"secure":                       {engine.Request{Level: engine.LevelSecure}, false, true},
			"TLSRPT report":                {engine.Request{TLSRPTReport: true}, false, false},
			"TLSRPT report, dane-only":     {engine.Request{TLSRPTReport: true, Level: engine.LevelDANEOnly}, false, true},
			"TLSRPT report, lowered":       {engine.Request{TLSRPTReport: true, Level: engine.LevelDANEOnly, Options: engine.Options{LowerAll: true}}, false, false},
			"TLS-Required: No":             {engine.Request{TLSRequiredNo: true}, false, true},
			"dane-only, insecure-mx may":   {engine.Request{Level: engine.LevelDANEOnly, Options: engine.Options{InsecureMX: engine.InsecureMXMay}}, true, true},
			"TLSRPT report and REQUIRETLS": {engine.Request{TLSRPTReport: true, RequireTLS: true}, false, true},
		} {
			w := newWorld(t)
			if c.unsigned {
				w.unsigned()
			} else {
				w.signed()
			}
			w.plan(c.r)
			if got := w.asked("_25._tcp.mx.example.org", dnssec.TypeTLSA); got != c.asks {
				t.Errorf("%s: asked %v", name, got)
			}
		}
	})
	t.Run("sections that look for no policy", func(t *testing.T) {
		for name, c := range map[string]struct {
			r    engine.Request
			asks bool
		}{
			"default": {engine.Request{}, true}, "sts": {engine.Request{Level: engine.LevelSTS}, true}, "secure": {engine.Request{Level: engine.LevelSecure}, true},
			"dane": {engine.Request{Level: engine.LevelDANE}, false}, "dane-only": {engine.Request{Level: engine.LevelDANEOnly}, false},
			"opportunistic": {engine.Request{Level: engine.LevelOpportunistic}, false}, "report": {engine.Request{TLSRPTReport: true}, false},
			"TLS-Required: No": {engine.Request{TLSRequiredNo: true}, true}, "configured host": {engine.Request{NextHop: "[mx.example.org]"}, true},
			"report, secure": {engine.Request{TLSRPTReport: true, Level: engine.LevelSecure}, true},
		} {
			w := newWorld(t).signed()
			w.plan(c.r)
			if got := len(w.sts.asked) > 0; got != c.asks {
				t.Errorf("%s: asked %v", name, w.sts.asked)
			}
		}
	})
}

// TestTable6 is section 6 of the table: SNI and reference identifiers.
func TestTable6(t *testing.T) {
	chain := func(w *world) { // example.org -> exp.org, its MX an alias of real.example.org
		w.dns.Add("example.org. 300 IN CNAME exp.org.", "exp.org. 300 IN MX 10 mx.example.org.",
			"mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
	}
	ta := func(w *world, at, rdata string) {
		w.dns.Add("_25._tcp." + at + ".example.org. 300 IN TLSA " + rdata)
	}
	for _, c := range []struct {
		name string
		make func(w *world) engine.Request
		want string // requirement, SNI, DANE, STS and PKIX references
	}{
		{"may", func(w *world) engine.Request { chain(w); return engine.Request{} }, "may mx.example.org - - -"},
		{"encrypt with a base domain", func(w *world) engine.Request {
			chain(w)
			ta(w, "real", "1"+noMatch[1:])
			return engine.Request{}
		}, "encrypt real.example.org - - -"},
		{"dane, DANE-EE records", func(w *world) engine.Request { chain(w); ta(w, "real", noMatch); return engine.Request{} }, "dane real.example.org - - -"},
		{"dane, DANE-TA records", func(w *world) engine.Request {
			chain(w)
			ta(w, "real", "2"+noMatch[1:])
			return engine.Request{}
		}, "dane real.example.org real.example.org,example.org,exp.org - -"},
		{"dane, DANE-TA at the unexpanded name", func(w *world) engine.Request {
			chain(w)
			ta(w, "mx", "2"+noMatch[1:])
			return engine.Request{}
		}, "dane mx.example.org mx.example.org,example.org,exp.org - -"},
		{"dane, DANE-TA, implicit MX", func(w *world) engine.Request {
			w.dns.Add("example.org. 300 IN A 192.0.2.1", "_25._tcp.example.org. 300 IN TLSA 2"+noMatch[1:])
			return engine.Request{}
		}, "dane example.org example.org - -"},
		{"dane, DANE-TA, implicit MX, expanded", func(w *world) engine.Request {
			w.dns.Add("example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
			ta(w, "real", "2"+noMatch[1:])
			return engine.Request{}
		}, "dane real.example.org real.example.org,example.org - -"},
		{"dane, DANE-TA, configured host, expanded", func(w *world) engine.Request {
			w.dns.Add("relay.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
			ta(w, "real", "2"+noMatch[1:])
			return engine.Request{NextHop: "[relay.example.org]"}
		}, "dane real.example.org real.example.org,relay.example.org - -"},
		{"half-dane, DANE-TA", func(w *world) engine.Request {
			w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN MX 10 mx.example.org.")
			w.dns.Add("mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
			ta(w, "real", "2"+noMatch[1:])
			return engine.Request{}
		}, "half-dane real.example.org real.example.org - -"},
		{"sts", func(w *world) engine.Request {
			chain(w)
			w.policy("enforce", "mx.example.org")
			return engine.Request{}
		}, "sts mx.example.org - mx.example.org -"},
		{"sts, unusable TLSA at another base domain", func(w *world) engine.Request {
			chain(w)
			ta(w, "real", "1"+noMatch[1:])
			w.policy("enforce", "mx.example.org")
			return engine.Request{}
		}, "sts mx.example.org - mx.example.org -"},
		{"dane+sts", func(w *world) engine.Request {
			chain(w)
			ta(w, "real", "2"+noMatch[1:])
			w.policy("enforce", "mx.example.org")
			return engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}
		}, "dane+sts real.example.org real.example.org,example.org,exp.org mx.example.org -"},
		{"half-dane+sts", func(w *world) engine.Request {
			w.unsigned().tlsa("2"+noMatch[1:]).policy("enforce", "mx.example.org")
			return engine.Request{}
		}, "half-dane+sts mx.example.org mx.example.org mx.example.org -"},
		{"sts for an implicit MX", func(w *world) engine.Request {
			w.dns.Add("example.org. 300 IN A 192.0.2.1")
			w.policy("enforce", "example.org")
			return engine.Request{}
		}, "sts example.org - example.org -"},
		{"pkix, names configured", func(w *world) engine.Request {
			w.signed()
			return engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: []rfc6125.Host{host(t, "a.example"), host(t, "b.example")}}}
		}, "pkix a.example - - a.example,b.example"},
		{"pkix by REQUIRETLS", func(w *world) engine.Request { w.signed(); return engine.Request{RequireTLS: true} }, "pkix mx.example.org - - mx.example.org"},
		{"pkix by REQUIRETLS, names configured", func(w *world) engine.Request {
			w.signed()
			return engine.Request{RequireTLS: true, Options: engine.Options{Names: []rfc6125.Host{host(t, "a.example")}}}
		}, "pkix a.example - - a.example"},
		{"sts with REQUIRETLS and names", func(w *world) engine.Request {
			w.signed().policy("enforce", "mx.example.org")
			return engine.Request{RequireTLS: true, Options: engine.Options{Names: []rfc6125.Host{host(t, "a.example")}}}
		}, "sts mx.example.org - mx.example.org -"},
		{"a literal with names", func(w *world) engine.Request {
			return engine.Request{NextHop: "[192.0.2.1]", Level: engine.LevelSecure, Options: engine.Options{Names: []rfc6125.Host{host(t, "a.example")}}}
		}, "pkix a.example - - a.example"},
		{"a literal", func(w *world) engine.Request { return engine.Request{NextHop: "[192.0.2.1]"} }, "may  - - -"},
		{"TLS-Required: No, evaluated", func(w *world) engine.Request {
			chain(w)
			ta(w, "real", "2"+noMatch[1:])
			return engine.Request{TLSRequiredNo: true}
		}, "may real.example.org real.example.org,example.org,exp.org - -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			h := w.plan(c.make(w)).Hosts[0]
			list := func(all []rfc6125.Reference) string {
				if len(all) == 0 {
					return "-"
				}
				return strings.ReplaceAll(refs(all), " ", ",")
			}
			got := fmt.Sprint(h.Requirement, " ", h.SNI, " ", list(h.DANERefs), " ", list(h.STSRefs), " ", list(h.PKIXRefs))
			if got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if h.ClientTLS().ServerName != h.SNI {
				t.Errorf("SNI of the TLS configuration: %q", h.ClientTLS().ServerName)
			}
		})
	}
}

// TestWhichFailure: of two failed address lookups the one is told that the verdict rests on;
// and what a host lacks is told as it is.
func TestWhichFailure(t *testing.T) {
	for _, c := range [][2]error{{dnssec.ErrBogus, dnssec.ErrServFail}, {dnssec.ErrServFail, dnssec.ErrBogus}} {
		w := newWorld(t).signed()
		w.dns.Fail("mx.example.org", dnssec.TypeA, c[0])
		w.dns.Fail("mx.example.org", dnssec.TypeAAAA, c[1])
		if h := w.plan(engine.Request{}).Hosts[0]; h.Reason.ID != reason.AddressBogus || !strings.Contains(explain.Text(h.Reason), "fail DNSSEC validation") {
			t.Errorf("%s: %s", h.Reason.ID, explain.Text(h.Reason))
		}
	}
	for _, level := range []engine.InsecureMX{engine.InsecureMXDANE, engine.InsecureMXMay} {
		h := newWorld(t).signed().plan(engine.Request{Options: engine.Options{InsecureMX: level}}).Hosts[0]
		if h.NoDANE != reason.NoDANENoRecords || !strings.Contains(explain.Text(h.Reason), "mx.example.org has no TLSA records (at _25._tcp.mx.example.org)") {
			t.Errorf("%s: %d: %s", level, h.NoDANE, explain.Text(h.Reason))
		}
	}
}

// TestConfiguredNames: a reason lists six names of a long list, the plan has all of them.
func TestConfiguredNames(t *testing.T) {
	w := newWorld(t).signed()
	var names []rfc6125.Host
	for i := range 9 {
		names = append(names, host(t, fmt.Sprintf("n%d.example", i)))
	}
	h := w.plan(engine.Request{Level: engine.LevelSecure, Options: engine.Options{Names: names}}).Hosts[0]
	if !strings.Contains(explain.Text(h.Reason), "n0.example, n1.example, n2.example, n3.example, n4.example, n5.example and 3 more") || len(h.PKIXRefs) != 9 {
		t.Errorf("%s", explain.Text(h.Reason))
	}
}
