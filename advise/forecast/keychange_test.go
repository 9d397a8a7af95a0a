package forecast_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/advise/forecast"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
)

// records reads lines of a zone file.
func records(t *testing.T, lines []string) (out []dane.Record) {
	t.Helper()
	for _, l := range lines {
		_, data, _ := strings.Cut(l, " IN TLSA ")
		rec, err := dane.ParseRecord(data)
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		out = append(out, rec)
	}
	return out
}

// peersOf are what the addresses of the first host show.
func peersOf(s survey.Snapshot) (out []dane.Peer) {
	for _, a := range s.Hosts[0].Probe.Addresses {
		if a.Peer.Event == engine.HandshakeDone {
			out = append(out, dane.Peer{Chain: a.Peer.Chain, RawKey: a.Peer.RawKey})
		}
	}
	return out
}

// TestKeyPlansKeepMail takes the steps of each way in their order: until the switch every
// address is authenticated by the records that are there, and after it the planned key is, by
// those that were there two TTLs before.
func TestKeyPlansKeepMail(t *testing.T) {
	next := material(t)
	twice := lab.Host{Name: "mx.pinned-twice.test", Pref: 10, Chain: lab.Chain{By: lab.SelfSigned}, TLSA: []string{"3 0 1 leaf"}}
	for _, world := range []string{"dane-ee", "dane-ta", "two-addresses", "lint-certificate-pinned", "sha512-certificate", "all-good", "pinned-twice"} {
		var s survey.Snapshot
		if world == "pinned-twice" {
			s = surveyWorld(t, lab.World{Name: world, Domain: "pinned-twice.test", Hosts: []lab.Host{twice, twice}})
		} else {
			s = surveyOf(t, world)
		}
		h := &s.Plan.Hosts[0]
		peers := peersOf(s)
		passes := func(recs []dane.Record, p dane.Peer) bool {
			_, err := dane.NewSet(recs, dane.UsePolicy{}).Verify(p, dane.Options{References: h.DANERefs, At: s.At})
			return err == nil
		}
		for _, o := range []forecast.Options{{}, {Next: next}} {
			plan := forecast.KeyPlans(s, o)[0]
			if plan.Effect != forecast.Notice || plan.Failed || len(plan.Ways) == 0 || len(peers) == 0 {
				t.Errorf("%s: %+v", world, plan)
				continue
			}
			for _, w := range plan.Ways {
				if w.ID == "same-key" {
					keysSurvive(t, world, w, h, peers, s.At)
				}
				recs := slices.Clone(h.DANE.Set.Usable())
				var published time.Time
				for i, step := range w.Steps {
					if i > 0 && step.When.Before(w.Steps[i-1].When) {
						t.Errorf("%s, %s: step %d comes before the one above it", world, w.ID, i+1)
					}
					add, gone := records(t, step.Publish), records(t, step.Remove)
					recs = append(recs, add...)
					if len(add) > 0 {
						published = step.When
					}
					if len(gone) > 0 && !published.IsZero() && step.When.Sub(published) < 2*time.Duration(plan.TTL)*time.Second {
						t.Errorf("%s, %s: step %d takes records away %v after others were published", world, w.ID, i+1, step.When.Sub(published))
					}
					recs = slices.DeleteFunc(recs, func(r dane.Record) bool { return slices.Contains(gone, r) })
					for _, p := range peers {
						// From the first removal on, a planned key is in use.
						if w.ID != "new-key" && (w.ID != "planned" || len(gone) == 0) && !passes(recs, p) {
							t.Errorf("%s, %s: after step %d what is shown is refused", world, w.ID, i+1)
						}
					}
					if w.ID == "planned" && !passes(recs, next.Peer()) {
						t.Errorf("%s, %s: after step %d the planned key is refused", world, w.ID, i+1)
					}
				}
			}
		}
	}
}

// keysSurvive: when a way to keep the key is done, each key is in a record of its own or
// below an authority, so that a renewal changes nothing.
func keysSurvive(t *testing.T, world string, w forecast.KeyWay, h *engine.Host, peers []dane.Peer, at time.Time) {
	t.Helper()
	recs := slices.Clone(h.DANE.Set.Usable())
	for _, s := range w.Steps {
		recs = append(recs, records(t, s.Publish)...)
	}
	recs = slices.DeleteFunc(recs, func(r dane.Record) bool { return r.Usage == dane.DANEEE && r.Selector == dane.Cert })
	for i, p := range peers {
		if _, err := dane.NewSet(recs, dane.UsePolicy{}).Verify(p, dane.Options{References: h.DANERefs, At: at}); err != nil {
			t.Errorf("%s: the key of address %d is in no record: %v", world, i+1, err)
		}
	}
}

// TestKeyPlansBroken: where mail is refused or waits already, no plan pretends otherwise.
func TestKeyPlansBroken(t *testing.T) {
	for world, want := range map[string]struct {
		effect forecast.Effect
		failed bool
		says   string
	}{
		"tlsa-mismatch":         {forecast.Broken, false, "matches none of its TLSA records, so mail is refused"},
		"two-addresses-one-bad": {forecast.Broken, false, "matches none of its TLSA records, so mail is refused"},
		"tlsa-servfail":         {forecast.Broken, true, "cannot be looked up"},
		"stripped-dane":         {forecast.Notice, true, "has no date for its renewal"},
		"signed-nothing":        {forecast.Weaker, false, "has no TLSA record"},
		"unusable-testing":      {forecast.Weaker, false, "Senders can use none of the TLSA records"},
		"sts-enforce":           {forecast.Weaker, false, "its zone is not signed"},
	} {
		p := forecast.KeyPlans(surveyOf(t, world), forecast.Options{})[0]
		if p.Effect != want.effect || p.Failed != want.failed || !strings.Contains(p.Text, want.says) {
			t.Errorf("%s: %+v", world, p)
		}
	}
}

// TestKeyPlansLate: where a renewal comes before a new record is known everywhere, the plan
// says so, and the switch waits for two TTLs all the same.
func TestKeyPlansLate(t *testing.T) {
	s := surveyOf(t, "dane-ee")
	p := forecast.KeyPlans(s, forecast.Options{TTL: 40 * 24 * time.Hour})[0]
	i := slices.IndexFunc(p.Ways, func(w forecast.KeyWay) bool { return w.ID == "new-key" })
	if i < 0 || !strings.Contains(strings.Join(p.Notes, "\n"), "may renew before") {
		t.Fatalf("%+v", p)
	}
	steps := p.Ways[i].Steps
	if wait := steps[1].When.Sub(steps[0].When); wait != 80*24*time.Hour || steps[0].Before != nil {
		t.Errorf("%v: %+v", wait, steps)
	}
}
