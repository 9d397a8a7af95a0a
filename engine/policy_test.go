package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// TestTable3 is section 3 of the table as far as it is the engine's: what each result
// of MTA-STS makes of a host, and what is reported.
func TestTable3(t *testing.T) {
	lookupFailed := &dnssec.LookupError{Kind: dnssec.ErrServFail}
	fetch := func(kind error) error { return fmt.Errorf("%w: said the test", kind) }
	for _, c := range []struct {
		row     sts.Row
		about   string
		mode    string // of the policy that is applied; "" for none
		txt     error
		fetch   error
		cached  bool
		store   error
		want    string // requirement
		finding string // reason and result type
	}{
		{sts.S1, "no record", "", sts.ErrNoRecord, nil, false, nil, "may", ""},
		{sts.S2, "record unknown", "", lookupFailed, nil, false, nil, "may", "sts-record-unknown sts-policy-fetch-error"},
		{sts.S3, "fetched enforce", "enforce", nil, nil, false, nil, "sts", ""},
		{sts.S3, "fetched testing", "testing", nil, nil, false, nil, "may", ""},
		{sts.S3, "fetched none", "none", nil, nil, false, nil, "may", ""},
		{sts.S4, "not fetched", "", nil, fetch(sts.ErrFetchStatus), false, nil, "may", "sts-fetch-failed sts-policy-fetch-error"},
		{sts.S4, "timeout", "", nil, fetch(sts.ErrFetchTimeout), false, nil, "may", "sts-fetch-failed sts-policy-fetch-error"},
		{sts.S4, "certificate of the policy host", "", nil, fetch(sts.ErrFetchWebPKI), false, nil, "may", "sts-fetch-certificate sts-webpki-invalid"},
		{sts.S4, "syntax", "", nil, fetch(sts.ErrFetchSyntax), false, nil, "may", "sts-policy-invalid sts-policy-invalid"},
		{sts.S5, "cached, same id", "enforce", nil, nil, true, nil, "sts", ""},
		{sts.S6, "cached, new one fetched", "none", nil, nil, false, nil, "may", ""},
		{sts.S7, "cached, new one not fetched", "enforce", nil, fetch(sts.ErrFetchTCP), true, nil, "sts", "sts-fetch-failed sts-policy-fetch-error"},
		{sts.S7, "cached none, new one not fetched", "none", nil, fetch(sts.ErrFetchTCP), true, nil, "may", "sts-fetch-failed sts-policy-fetch-error"},
		{sts.S8, "cached, record gone", "enforce", sts.ErrNoRecord, nil, true, nil, "sts", "sts-record-gone sts-policy-fetch-error"},
		{sts.S8, "cached testing, record gone", "testing", sts.ErrNoRecord, nil, true, nil, "may", "sts-record-gone sts-policy-fetch-error"},
		{sts.S8, "cached none, record gone", "none", sts.ErrNoRecord, nil, true, nil, "may", ""},
		{sts.S9, "cached, record unknown", "enforce", lookupFailed, nil, true, nil, "sts", "sts-record-unknown sts-policy-fetch-error"},
		{sts.S9, "cached none, record unknown", "none", lookupFailed, nil, true, nil, "may", ""},
	} {
		t.Run(fmt.Sprintf("%s %s", c.row, c.about), func(t *testing.T) {
			w := newWorld(t).unsigned()
			r := sts.Result{Domain: host(t, "example.org"), Until: epoch.Add(time.Minute)}
			if c.mode != "" {
				r = policy(t, "example.org", c.mode, "mx.example.org")
			}
			r.Row, r.TXTErr, r.FetchErr, r.Cached = c.row, c.txt, c.fetch, c.cached
			w.sts.results["example.org"] = r
			p := w.plan(engine.Request{})
			if got := p.Hosts[0].Requirement.String(); got != c.want {
				t.Errorf("%s, want %s (%s)", got, c.want, explain.Text(p.Hosts[0].Reason))
			}
			var got []string
			for _, f := range p.Findings {
				got = append(got, string(f.ID)+" "+string(explain.Reason(f).ResultType))
				if f.Policy != "sts" {
					t.Errorf("finding of %q", f.Policy)
				}
			}
			if strings.Join(got, ",") != c.finding {
				t.Errorf("findings %q, want %q", got, c.finding)
			}
			found := false
			for _, s := range explain.Plan(p) {
				found = found || s.Step == explain.StepSTSPolicy && s.Row == c.row.String()
			}
			if !found {
				t.Errorf("the row is not in the trace: %+v", explain.Plan(p))
			}
			// sts-undetermined = defer changes S2 alone.
			d := w.plan(engine.Request{Options: engine.Options{STSUndetermined: engine.STSDefer}}).Hosts[0]
			if (d.Skipped == engine.Deferred) != (c.row == sts.S2) {
				t.Errorf("with defer: %s %s", d.Requirement, d.Skipped)
			}
		})
	}
	// What is not known by a fault of this program is no statement of the domain, whatever
	// the option for failures of DNS says. Nothing is reported.
	for name, c := range map[string]struct {
		r    sts.Result
		want reason.ID
		says string
	}{
		"S2 the store cannot say":   {sts.Result{Row: sts.S2, TXTErr: sts.ErrNoRecord, StoreErr: errors.New("down")}, reason.STSStore, "(down)"},
		"S13 no turn":               {sts.Result{Row: sts.S13, Pending: true, FetchErr: &sts.FetchError{Kind: sts.ErrNoTurn, Detail: "too many"}}, reason.STSNoTurn, "too many"},
		"S13 under way":             {sts.Result{Row: sts.S13, Pending: true, FetchErr: &sts.FetchError{Kind: sts.ErrPending}}, reason.STSPending, "mta-sts.example.org has not answered"},
		"S12 the caller's own time": {sts.Result{Row: sts.S12, Pending: true, TXTErr: context.DeadlineExceeded}, reason.STSPending, "(TXT at _mta-sts.example.org) was not answered in time"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range []engine.STSUndetermined{engine.STSProceed, engine.STSDefer} {
				w := newWorld(t).unsigned()
				c.r.Until = epoch.Add(time.Minute)
				w.sts.results["example.org"] = c.r
				p := w.plan(engine.Request{Options: engine.Options{STSUndetermined: o}})
				h := p.Hosts[0]
				if h.Requirement != engine.Skip || h.Skipped != engine.Deferred || h.Reason.ID != c.want || !strings.Contains(explain.Text(h.Reason), c.says) {
					t.Errorf("%s %s: %s", h.Requirement, h.Reason.ID, explain.Text(h.Reason))
				}
				if why := steps(explain.Plan(p), explain.StepSTSPolicy); c.r.StoreErr != nil && !strings.Contains(why, "the store cannot say whether one is kept (down)") {
					t.Errorf("not told: %q", why)
				}
				if len(p.Findings) != 0 || w.engine().CachedPlans() != 0 {
					t.Errorf("%+v, %d plans kept", p.Findings, w.engine().CachedPlans())
				}
				d := w.engine().Decide(p, 0, engine.Peer{}, w.now)
				for _, e := range explain.Report(p, 0, d) {
					if len(e.Failures) != 0 || e.Policy.Type == "sts" {
						t.Errorf("reported: %+v", e)
					}
				}
			}
			w := newWorld(t).signed().tlsa(noMatch)
			w.sts.results["example.org"] = c.r
			if h := w.plan(engine.Request{}).Hosts[0]; h.Requirement != engine.DANE {
				t.Errorf("DANE decides: %s", h.Requirement)
			}
		})
	}
	t.Run("S7 under way: the kept policy is applied, nothing is reported", func(t *testing.T) {
		w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
		r := w.sts.results["example.org"]
		r.Row, r.Cached, r.Pending, r.FetchErr = sts.S7, true, true, &sts.FetchError{Kind: sts.ErrPending}
		w.sts.results["example.org"] = r
		if p := w.plan(engine.Request{}); p.Hosts[0].Requirement != engine.STS || len(p.Findings) != 0 || !strings.Contains(steps(explain.Plan(p), explain.StepSTSPolicy), "the fetch goes on") {
			t.Errorf("%s %+v %q", p.Hosts[0].Requirement, p.Findings, steps(explain.Plan(p), explain.StepSTSPolicy))
		}
	})
	t.Run("nothing is said of MTA-STS where there is no mail host", func(t *testing.T) {
		for name, add := range map[string]func(*world){
			"null MX":     func(w *world) { w.dns.Add("example.org. 300 IN MX 0 .") },
			"no domain":   func(*world) {},
			"own host":    func(w *world) { w.signed().cfg.OwnHosts = []rfc6125.Host{host(w.t, "mx.example.org")} },
			"failed (M3)": func(w *world) { w.dns.Fail("example.org", dnssec.TypeMX, dnssec.ErrServFail) },
		} {
			for _, await := range []bool{false, true} {
				w := newWorld(t).policy("enforce", "mx.example.org")
				add(w)
				w.cfg.AwaitSTS = await
				w.sts.hold = make(chan struct{}) // never
				p := w.plan(engine.Request{})
				if s := steps(explain.Plan(p), explain.StepSTSPolicy) + steps(explain.Plan(p), explain.StepSTSRecord); s != "" || p.STS.Row != 0 || len(p.Hosts) != 0 {
					t.Errorf("%s: %q, row %s", name, s, p.STS.Row)
				}
			}
		}
	})
	t.Run("S12 nobody waits for HTTPS where DANE alone decides", func(t *testing.T) {
		w := newWorld(t).signed().tlsa(noMatch)
		w.sts.hold = make(chan struct{}) // never
		p := w.plan(engine.Request{})
		if !p.STS.Pending || p.STS.Row != sts.S12 || p.Hosts[0].Requirement != engine.DANE || !strings.Contains(steps(explain.Plan(p), explain.StepSTSPolicy), "not waited for") {
			t.Errorf("%+v %s", p.STS, p.Hosts[0].Requirement)
		}
		if w.engine().CachedPlans() != 0 {
			t.Error("a plan with an open question is kept")
		}
		// The same where the hosts cannot be used anyway.
		w = newWorld(t).signed()
		w.dns.Fail("_25._tcp.mx.example.org", dnssec.TypeTLSA, dnssec.ErrServFail)
		w.sts.hold = make(chan struct{})
		if p := w.plan(engine.Request{}); !p.STS.Pending {
			t.Errorf("%+v", p.STS)
		}
		w = newWorld(t)
		w.dns.Add("example.org. 300 IN MX 10 mx.example.org.")
		w.sts.hold = make(chan struct{})
		if p := w.plan(engine.Request{}); !p.STS.Pending || !p.Hosts[0].Unusable {
			t.Errorf("%+v", p.STS)
		}
		// A kept policy is applied, and a lookup that was left is no failure.
		w = newWorld(t).signed().tlsa(noMatch)
		kept := policy(t, "example.org", "enforce", "mx.example.org")
		kept.Cached, kept.Row, kept.TXTErr = true, sts.S9, context.Canceled
		w.sts.results["example.org"] = kept
		w.sts.hold = make(chan struct{})
		p = w.plan(engine.Request{})
		if p.STS.Policy == nil || len(p.Findings) != 0 || p.Hosts[0].Report != engine.STS || !strings.Contains(steps(explain.Plan(p), explain.StepSTSRecord), "not waited for") {
			t.Errorf("%+v %+v", p.Findings, explain.Plan(p))
		}
	})
	t.Run("S12 everybody else waits", func(t *testing.T) {
		for name, c := range map[string]struct {
			dns func(*world)
			r   engine.Request
		}{
			"no TLSA":         {func(w *world) { w.signed() }, engine.Request{}},
			"both":            {func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}},
			"insecure MX":     {func(w *world) { w.unsigned().tlsa(noMatch) }, engine.Request{}},
			"unusable":        {func(w *world) { w.signed().tlsa("1" + noMatch[1:]) }, engine.Request{}},
			"level sts":       {func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{Level: engine.LevelSTS}},
			"TLS-Required No": {func(w *world) { w.signed().tlsa(noMatch) }, engine.Request{TLSRequiredNo: true}},
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c.dns(w)
				w.policy("enforce", "mx.example.org")
				w.sts.hold = make(chan struct{})
				done := make(chan *engine.Plan)
				w.engine()
				go func() { done <- w.plan(c.r) }()
				synctest.Wait()
				select {
				case <-done:
					t.Errorf("%s: did not wait", name)
					return
				default:
				}
				close(w.sts.hold)
				if p := <-done; p.STS.Policy == nil || p.STS.Pending {
					t.Errorf("%s: %+v", name, p.STS)
				}
			})
		}
	})
	t.Run("an answer that is there already is taken, whether or not it is needed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t).signed().tlsa(noMatch).policy("enforce", "mx.example.org")
			release := w.dns.Hold("mx.example.org", dnssec.TypeA)
			done := make(chan *engine.Plan)
			go func() { done <- w.plan(engine.Request{}) }()
			synctest.Wait()
			release()
			if p := <-done; p.STS.Policy == nil || p.STS.Pending || p.Hosts[0].Report != engine.STS {
				t.Errorf("%+v", p.STS)
			}
		})
	})
}

// TestRequirementsSTS are the rows of requirements.tsv that MTA-STS gives the engine.
func TestRequirementsSTS(t *testing.T) {
	t.Run("STS-3.4-01 the smarthost's domain is the Policy Domain", func(t *testing.T) {
		for _, next := range []string{"relay.example.org", "[relay.example.org]:587"} {
			w := newWorld(t)
			w.dns.Add("relay.example.org. 300 IN A 192.0.2.9")
			w.plan(engine.Request{NextHop: next, Smarthost: true})
			if got := strings.Join(w.sts.asked, " "); got != "relay.example.org" {
				t.Errorf("asked %q", got)
			}
		}
	})
	t.Run("STS-3.4-01 never an alias target, a parent or the MX host", func(t *testing.T) {
		w := newWorld(t).signed()
		w.dns.Add("sub.alias.org. 300 IN CNAME example.org.")
		w.plan(engine.Request{NextHop: "sub.alias.org"})
		if got := strings.Join(w.sts.asked, " "); got != "sub.alias.org" {
			t.Errorf("asked %q", got)
		}
	})
	t.Run("STS-4-01 each host is checked twice", func(t *testing.T) {
		w := newWorld(t).unsigned().policy("enforce", "other.example.org")
		if d := w.decide(engine.Request{}, shows(w.good)); d.Outcome != engine.Refused || d.Reason.ID != reason.STSNoMatch {
			t.Errorf("pattern: %s %s", d.Outcome, d.Reason.ID)
		}
		w = newWorld(t).unsigned().policy("enforce", "mx.example.org")
		for _, p := range []engine.Peer{{Event: engine.NoSTARTTLS}, shows(w.wrong), shows(w.expired), shows(w.alien)} {
			if d := w.decide(engine.Request{}, p); d.Outcome != engine.Refused {
				t.Errorf("%s: %s", p.Event, d.Outcome)
			}
		}
		if d := w.decide(engine.Request{}, shows(w.good)); d.Outcome != engine.Authenticated || d.Method != engine.MethodMTASTS {
			t.Errorf("good: %s", d.Outcome)
		}
	})
	t.Run("STS-5-01 enforce refuses, and the message waits", func(t *testing.T) {
		w := newWorld(t).policy("enforce", "mx.example.org", "mx2.example.org")
		w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN MX 10 mx.example.org.")
		w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN MX 20 mx2.example.org.")
		w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN MX 30 mx3.example.org.")
		w.dns.Add("mx.example.org. 300 IN A 192.0.2.1", "mx2.example.org. 300 IN A 192.0.2.2", "mx3.example.org. 300 IN A 192.0.2.3")
		p := w.plan(engine.Request{})
		var tries []engine.Try
		for i, peer := range []engine.Peer{shows(w.wrong), {Event: engine.NoSTARTTLS}, shows(w.good)} {
			d := w.engine().Decide(p, i, peer, w.now)
			if d.Outcome != engine.Refused || d.Deliver {
				t.Errorf("host %d: %s", i, d.Outcome)
			}
			tries = append(tries, p.TryOf(i, d))
		}
		if f := w.engine().Message(p, tries, engine.Circumstances{}); f.Action != engine.Retry || explain.MessageAction(f).Code[:2] != "4." {
			t.Errorf("%+v", f)
		}
	})
	t.Run("STS-5-02 testing reports and stops nothing", func(t *testing.T) {
		w := newWorld(t).unsigned().policy("testing", "mx.example.org")
		d := w.decide(engine.Request{}, shows(w.alien))
		if !d.Deliver || d.Outcome != engine.Encrypted || len(d.Details) != 1 || d.Details[0].ID != reason.STSUntrusted || d.Details[0].Policy != "sts" {
			t.Errorf("%s %+v", d.Outcome, d.Details)
		}
		d = w.decide(engine.Request{}, engine.Peer{Event: engine.NoSTARTTLS})
		if !d.Deliver || len(d.Details) != 1 || explain.Reason(d.Details[0]).ResultType != "starttls-not-supported" {
			t.Errorf("%s %+v", d.Outcome, d.Details)
		}
		// Worked row: MX not in the pattern and a bad certificate: two failures.
		w = newWorld(t).unsigned().policy("testing", "other.example.org")
		d = w.decide(engine.Request{}, shows(w.alien))
		if !d.Deliver || len(d.Details) != 2 || d.Details[0].ID != reason.STSNoMatch || d.Details[1].ID != reason.STSUntrusted {
			t.Errorf("%s %+v", d.Outcome, d.Details)
		}
		if d := w.decide(engine.Request{}, shows(w.good)); len(d.Details) != 1 {
			t.Errorf("a good certificate: %+v", d.Details)
		}
	})
	t.Run("STS-5-03 mode none is no policy", func(t *testing.T) {
		w, v := newWorld(t).unsigned().policy("none"), newWorld(t).unsigned()
		a, b := w.plan(engine.Request{}).Hosts[0], v.plan(engine.Request{}).Hosts[0]
		if a.Requirement != b.Requirement || a.SNI != b.SNI || a.Report != b.Report || len(a.STSRefs) != 0 || a.Reason.ID != b.Reason.ID {
			t.Errorf("%+v\n%+v", a, b)
		}
	})
	t.Run("STS-5-04 the policy is looked at once more before a bounce", func(t *testing.T) {
		w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
		e := w.engine()
		p := w.plan(engine.Request{})
		tries := []engine.Try{p.TryOf(0, e.Decide(p, 0, shows(w.alien), w.now))}
		if f := e.Message(p, tries, engine.Circumstances{Expired: true}); f.Action != engine.LookAgain || f.Reason.ID != reason.PolicyLastLook {
			t.Fatalf("%+v", f)
		}
		asked := len(w.sts.asked)
		if next, changed, err := e.LookAgain(context.Background(), p); changed || next != nil || err != nil || len(w.sts.asked) != asked+1 {
			t.Errorf("unchanged: %v %v, asked %v", changed, err, w.sts.asked)
		}
		if f := e.Message(p, tries, engine.Circumstances{Expired: true, Looked: true}); f.Action != engine.Bounce || explain.MessageAction(f).Code != "5.4.7" {
			t.Errorf("%+v", f)
		}
		// A new id means a new plan and one more attempt.
		fixed := policy(t, "example.org", "testing", "mx.example.org")
		fixed.ID = "2"
		w.sts.results["example.org"] = fixed
		next, changed, err := e.LookAgain(context.Background(), p)
		if !changed || err != nil || next.Hosts[0].Requirement != engine.May {
			t.Errorf("changed: %v %v", changed, err)
		}
		if q := w.plan(engine.Request{}); q.Hosts[0].Requirement != engine.May {
			t.Error("the kept plan is still the old one")
		}
		// The same id with another text, and no policy at all any more.
		other := policy(t, "example.org", "enforce", "mx.example.org", "mx2.example.org")
		for _, r := range []sts.Result{other, {Row: sts.S4, ID: p.STS.ID, FetchErr: sts.ErrFetchTCP}, {Row: sts.S1, TXTErr: sts.ErrNoRecord}} {
			w.sts.results["example.org"] = r
			if _, changed, err := e.LookAgain(context.Background(), p); !changed || err != nil {
				t.Errorf("%s: %v %v", r.Row, changed, err)
			}
		}
		// A plan without policy finds one.
		v := newWorld(t).unsigned()
		v.sts.results["example.org"] = sts.Result{Row: sts.S4, ID: "1", FetchErr: sts.ErrFetchTCP, Until: epoch.Add(time.Hour)}
		none := v.plan(engine.Request{})
		v.policy("enforce", "mx.example.org")
		if next, changed, err := v.engine().LookAgain(context.Background(), none); !changed || err != nil || next.Hosts[0].Requirement != engine.STS {
			t.Errorf("a new policy: %v %v", changed, err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		left := errors.New("the client has left")
		cancel(left)
		if _, changed, err := e.LookAgain(ctx, p); changed || err != left {
			t.Errorf("cancelled: %v %v", changed, err)
		}
		// A literal has no policy to look at.
		lit := w.plan(engine.Request{NextHop: "[192.0.2.1]"})
		if _, changed, err := e.LookAgain(context.Background(), lit); changed || err != nil {
			t.Errorf("literal: %v %v", changed, err)
		}
	})
	t.Run("STS-5-05 policy failures are transient", func(t *testing.T) {
		w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
		p := w.plan(engine.Request{})
		d := w.engine().Decide(p, 0, shows(w.wrong), w.now)
		if f := w.engine().Message(p, []engine.Try{p.TryOf(0, d)}, engine.Circumstances{}); f.Action != engine.Retry || explain.MessageAction(f).Code != "4.7.5" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("STS-7.1-01 SNI is the MX host's name", func(t *testing.T) {
		w := newWorld(t).unsigned().policy("enforce", "*.example.org")
		if h := w.plan(engine.Request{}).Hosts[0]; h.SNI != "mx.example.org" || h.ClientTLS().ServerName != "mx.example.org" {
			t.Errorf("%q", h.SNI)
		}
	})
	t.Run("an alias target matches no pattern", func(t *testing.T) {
		w := newWorld(t).policy("enforce", "real.example.org")
		w.dns.AddAs(dnssec.Insecure, "example.org. 300 IN MX 10 mx.example.org.")
		w.dns.Add("mx.example.org. 300 IN CNAME real.example.org.", "real.example.org. 300 IN A 192.0.2.1")
		if h := w.plan(engine.Request{}).Hosts[0]; h.Skipped != engine.Refused {
			t.Errorf("%s", h.Requirement)
		}
	})
}

// TestEnforcedPolicyStays: a policy of mode enforce stays when it cannot be fetched again.
func TestEnforcedPolicyStays(t *testing.T) {
	w := newWorld(t).unsigned()
	kept := policy(t, "example.org", "enforce", "mx.example.org")
	kept.Row, kept.Cached, kept.FetchErr = sts.S7, true, sts.ErrFetchTimeout
	w.sts.results["example.org"] = kept
	p := w.plan(engine.Request{})
	if p.Hosts[0].Requirement != engine.STS || len(p.Findings) != 1 || !strings.Contains(steps(explain.Plan(p), explain.StepSTSPolicy), "kept from 2000-01-01") {
		t.Errorf("%s %+v", p.Hosts[0].Requirement, p.Findings)
	}
}
