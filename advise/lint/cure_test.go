package lint_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine"
)

// A patient is one world whose findings are cured step by step.
type patient struct {
	world   lab.World
	before  verdict
	told    []lint.Finding // before any step
	queue   []lint.Step
	applied []lint.Step
	cured   map[string]bool // findings of which every step was applied, by key
	after   []lint.Finding
}

// A verdict is how well a domain's mail is protected: higher is better.
type verdict struct {
	domain int
	hosts  map[string]int
}

// rank orders outcomes; those over which no message may go are alike.
func rank(o engine.Outcome) int {
	switch o {
	case engine.Authenticated:
		return 3
	case engine.Encrypted:
		return 2
	case engine.Cleartext:
		return 1
	}
	return 0
}

// judge is the verdict of what a survey saw: of each host the weakest of its addresses that
// answer, of the domain that of the first host over which a message may go.
func judge(s survey.Snapshot) verdict {
	v := verdict{hosts: map[string]int{}}
	for i := range s.Plan.Hosts {
		r, seen := 3, false
		for _, a := range s.Hosts[i].Probe.Addresses {
			if a.Peer.Event != engine.NoConnection {
				r, seen = min(r, rank(a.Decision.Outcome)), true
			}
		}
		if !seen {
			r = 0
		}
		v.hosts[s.Plan.Hosts[i].Name.String()] = r
		if v.domain == 0 {
			v.domain = r
		}
	}
	return v
}

// worse says in what a verdict is worse than one before; "" if in nothing. A host that is no
// MX host any more does not count.
func worse(now, before verdict) string {
	if now.domain < before.domain {
		return fmt.Sprintf("the domain: %d, was %d", now.domain, before.domain)
	}
	for h, r := range now.hosts {
		if was, ok := before.hosts[h]; ok && r < was {
			return fmt.Sprintf("%s: %d, was %d", h, r, was)
		}
	}
	return ""
}

// key names a finding so that it is known again.
func key(f lint.Finding) string { return string(f.ID) + " " + f.Host + " " + f.Text }

// cureWorlds are the worlds of the property: those without a past, each with a web server
// for mta-sts.DOMAIN that has no policy where the world has none.
func cureWorlds() []lab.World {
	var out []lab.World
	for _, w := range lab.Worlds() {
		if w.Was != nil || len(w.Args()) > 0 && w.Args()[len(w.Args())-1] != w.Domain {
			continue
		}
		holds := w.Zones == nil || slices.ContainsFunc(w.Zones, func(z lab.Zone) bool { return strings.HasSuffix("."+w.Domain, "."+z.Apex) })
		alias := slices.ContainsFunc(w.Records, func(r string) bool {
			return strings.Contains(r, "CNAME") || strings.Contains(r, "DNAME") || strings.HasPrefix(r, "mta-sts.")
		})
		if w.STS == nil && holds && !alias {
			w.STS = &lab.STS{TXT: []string{}, HTTP: lab.HTTP404}
		}
		out = append(out, w)
	}
	return out
}

// each runs f for every patient, several at once.
func each(t *testing.T, ps []*patient, f func(*patient)) {
	t.Helper()
	const side = 8
	var wg sync.WaitGroup
	turns := make(chan struct{}, side)
	for _, p := range ps {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			f(p)
		})
	}
	wg.Wait()
}

// TestCuresBreakNothing applies the steps of every finding of every world of the lab, one
// after another, to what the world publishes, and looks again after each: no outcome is ever
// worse than before the step, and after the last every finding whose steps were all applied
// is gone.
func TestCuresBreakNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at every world of the lab several times")
	}
	worlds := cureWorlds()
	s := start(t, worlds)
	look := func(p *patient, patience time.Duration) (survey.Snapshot, bool) {
		snap, err := s.survey(context.WithoutCancel(t.Context()), p.world.Domain, patience)
		if err != nil {
			t.Errorf("%s: %v", p.world.Name, err)
		}
		return snap, err == nil
	}
	var ps []*patient
	for _, w := range worlds {
		ps = append(ps, &patient{world: w, cured: map[string]bool{}})
	}
	each(t, ps, func(p *patient) {
		snap, ok := look(p, time.Second)
		if !ok {
			return
		}
		p.before, p.told = judge(snap), lint.Check(snap)
		for _, f := range p.told {
			for _, st := range f.Steps {
				if st.Kind == lint.StepServe && slices.Contains(st.File, "mode: testing") && meansEnforce(p.world) {
					t.Errorf("%s: %s lowers enforce to testing", p.world.Name, f.ID)
				}
			}
			whole := len(f.Steps) > 0
			for _, st := range f.Steps {
				// Without a web server of its own a world serves no policy.
				if st.Kind == lint.StepDo || st.Kind == lint.StepServe && (p.world.STS == nil || p.world.STS.At != "" || p.world.STS.NoHost) {
					whole = false // what comes after it waits for it
					break
				}
				p.queue = append(p.queue, st)
			}
			p.cured[key(f)] = whole
		}
	})
	steps, rounds := 0, 0
	for ; ; rounds++ {
		var turn []*patient
		var edits []lab.Edit
		for _, p := range ps {
			for len(p.queue) > 0 && slices.ContainsFunc(p.applied, func(a lint.Step) bool { return sameChange(a, p.queue[0]) }) {
				p.queue = p.queue[1:]
			}
			if len(p.queue) > 0 {
				turn, edits = append(turn, p), append(edits, editOf(p.world.Name, p.queue[0]))
			}
		}
		if len(turn) == 0 {
			break
		}
		errs, err := s.lab.Publish(edits)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range turn {
			if errs[i] != nil {
				t.Errorf("%s: %+v cannot be published: %v", p.world.Name, p.queue[0], errs[i])
			}
			p.applied, p.queue = append(p.applied, p.queue[0]), p.queue[1:]
			steps++
		}
		each(t, turn, func(p *patient) {
			snap, ok := look(p, time.Second)
			if !ok {
				return
			}
			if worse(judge(snap), p.before) != "" { // not for want of time?
				snap, ok = look(p, 10*time.Second)
			}
			now := judge(snap)
			if why := worse(now, p.before); ok && why != "" {
				t.Errorf("%s: after %+v: %s", p.world.Name, p.applied[len(p.applied)-1], why)
			}
			p.before = now
			p.after = lint.Check(snap)
		})
	}
	for _, p := range ps {
		for _, f := range p.after {
			if p.cured[key(f)] {
				t.Errorf("%s: still there after its cure: %s: %s", p.world.Name, f.ID, f.Text)
			}
		}
	}
	t.Logf("%d worlds, %d steps in %d rounds", len(ps), steps, rounds)
	if steps < 200 {
		t.Errorf("%d steps are no test", steps)
	}
}

// meansEnforce reports whether the policy that a world serves is one to enforce, in whatever
// way it is written.
func meansEnforce(w lab.World) bool {
	s := w.STS
	switch {
	case s == nil || s.HTTP != lab.HTTP200 || s.At != "" || s.NoHost:
		return false
	case s.Body != "":
		return strings.HasPrefix(w.Name, "near-policy-") && w.Name != "near-policy-html"
	}
	return s.Mode == "enforce"
}

// sameChange reports whether two steps make the same change.
func sameChange(a, b lint.Step) bool {
	a.Text, b.Text, a.Wait, b.Wait, a.Caution, b.Caution = "", "", 0, 0, "", ""
	return reflect.DeepEqual(a, b)
}

// editOf is a step as the lab carries it out.
func editOf(world string, s lint.Step) lab.Edit {
	e := lab.Edit{World: world, Owner: s.Owner, Type: s.Type, Records: s.Records, Instead: s.Instead}
	if s.Kind == lint.StepServe {
		e.URL, e.Body = s.URL, strings.Join(s.File, "\n")+"\n"
	}
	return e
}
