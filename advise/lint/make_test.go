package lint_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// TestMakePolicy looks at many worlds: the policy that is proposed is one that senders take,
// lists each MX host that has an address, and asks for no less than the present one; where
// the present one is the same, nothing is to be served or published.
func TestMakePolicy(t *testing.T) {
	var worlds []lab.World
	for _, w := range lab.Worlds() {
		if strings.HasPrefix(w.Name, "sts-") && !strings.Contains(w.Name, "hang") && !strings.Contains(w.Name, "time") && len(w.Args()) <= 1 {
			worlds = append(worlds, w)
		}
	}
	if len(worlds) < 20 {
		t.Fatalf("only %d worlds", len(worlds))
	}
	s := start(t, worlds)
	states := map[lint.PolicyState]int{}
	t.Run("worlds", func(t *testing.T) {
		for _, w := range worlds {
			snap, err := s.survey(t.Context(), w.Domain, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			p := lint.MakePolicy(snap, lint.PolicyRequest{})
			states[p.State]++
			if p.Blocked != "" {
				if len(p.Steps)+len(p.Changes)+len(p.Problems)+len(p.Then) > 0 {
					t.Errorf("%s: blocked, and %+v", w.Name, p)
				}
				continue
			}
			if p.Text == "" || strings.Contains(p.Text, "%!") {
				t.Errorf("%s: %q", w.Name, p.Text)
			}
			if same := p.State == lint.StateAnnounced && len(p.Changes) == 0; same != (len(p.Steps) == 0) {
				t.Errorf("%s: %s, %q, and %d steps", w.Name, p.State, p.Changes, len(p.Steps))
			}
			for _, step := range p.Steps {
				if step.Kind != lint.StepServe {
					continue
				}
				made, err := sts.ParsePolicy([]byte(strings.Join(step.File, "\n")))
				if err != nil {
					t.Errorf("%s: %v", w.Name, err)
				}
				for i := range snap.Plan.Hosts {
					h := snap.Plan.Hosts[i]
					if _, ok := made.Match(h.Name); !ok && len(h.Addresses) > 0 {
						t.Errorf("%s: %s is not listed", w.Name, h.Name)
					}
				}
				if old := snap.Plan.STS.Policy; old != nil && old.Mode == sts.ModeEnforce && made.Mode != sts.ModeEnforce {
					t.Errorf("%s: mode enforce is taken back", w.Name)
				}
				if old := snap.Plan.STS.Policy; old != nil && snap.Plan.STS.TXTErr == nil && made.String() == old.String() {
					t.Errorf("%s: what is served already is to be served", w.Name)
				}
			}
		}
	})
	for _, st := range []lint.PolicyState{lint.StateAnnounced, lint.StateUnannounced, lint.StateBroken} {
		if states[st] == 0 {
			t.Errorf("no world is %s: %v", st, states)
		}
	}
}

// TestMakePolicyGiven makes policies of hosts that are given.
func TestMakePolicyGiven(t *testing.T) {
	host := func(s string) rfc6125.Host {
		h, err := rfc6125.ParseHost(s)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	snap := survey.Given(host("example.org"), []rfc6125.Host{host("mx1.example.org"), host("mx2.example.org")}, clock())
	p := lint.MakePolicy(snap, lint.PolicyRequest{Offline: true})
	if p.State != lint.StateUnknown || p.Mode != sts.ModeTesting || p.MaxAge != 86400 || len(p.Problems) > 0 || len(p.Then) != 2 || len(p.Steps) != 2 {
		t.Fatalf("%+v", p)
	}
	if p.Then[0].Mode != sts.ModeEnforce || p.Then[0].MaxAge != 86400 || p.Then[0].After != 14*86400 || p.Then[1].MaxAge != 30*86400 {
		t.Errorf("one thing is to change at a time: %+v", p.Then)
	}
	if got := p.Steps[1].Records[0]; got != `_mta-sts.example.org. 3600 IN TXT "v=STSv1; id=20260601090000;"` {
		t.Error(got)
	}
	p = lint.MakePolicy(snap, lint.PolicyRequest{Offline: true, Mode: sts.ModeEnforce, MaxAge: 30 * 24 * time.Hour})
	if len(p.Then) != 0 || p.Steps[1].File[len(p.Steps[1].File)-1] != "max_age: 2592000" {
		t.Errorf("%+v", p)
	}
}
