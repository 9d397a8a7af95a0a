package lab_test

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// Patience in tests. Worlds that hang cost so much each.
const (
	probeTime = 3 * time.Second
	fetchTime = 3 * time.Second
	atOnce    = 24 // worlds side by side
)

// A judge checks worlds of a lab as `mxauth check` does.
type judge struct {
	lab      *lab.Lab
	resolver dnssec.Resolver
	roots    *pkix.Roots
}

func newJudge(l *lab.Lab, r dnssec.Resolver) *judge {
	return &judge{l, r, pkix.NewRoots(l.CA())}
}

// A finding is what a check came to.
type finding struct {
	plan    *engine.Plan
	results []probe.HostResult
	sum     engine.Summary
}

// client makes an MTA-STS client on a store, with its clock set back by age.
func (j *judge) client(st store.Store, age time.Duration, edits ...func(*sts.Config)) (*sts.Client, error) {
	c := sts.Config{
		Resolver: j.resolver, Roots: j.roots, Store: st, Timeout: fetchTime, Dial: j.lab.Dial,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Now:   func() time.Time { return time.Now().Add(-age) },
	}
	for _, e := range edits {
		e(&c)
	}
	return sts.NewClient(c)
}

// check makes the check that a world asks for, after its earlier state if it has one.
func (j *judge) check(ctx context.Context, w lab.World) (f finding, err error) {
	st, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		return f, err
	}
	defer st.Close()
	if w.Was != nil {
		was, err := j.look(ctx, w, st, w.Age)
		if err != nil {
			return f, err
		}
		if was.plan.STS.Policy == nil && w.Was.STS != nil {
			return f, fmt.Errorf("the earlier policy is not there: %+v", was.plan.STS)
		}
		if err := j.lab.Forge(w.Name); err != nil {
			return f, err
		}
	}
	return j.look(ctx, w, st, 0)
}

// look makes one check with a store, some time ago.
func (j *judge) look(ctx context.Context, w lab.World, st store.Store, ago time.Duration) (f finding, err error) {
	c, err := j.client(st, ago)
	if err != nil {
		return f, err
	}
	defer c.Close()
	cfg := engine.Config{Resolver: j.resolver, STS: c, Roots: j.roots, AwaitSTS: w.Was != nil}
	if ago > 0 {
		cfg.Now = func() time.Time { return time.Now().Add(-ago) }
	}
	if w.Request.Memory != "" {
		m := memory.Config{Store: st, Now: cfg.Now}
		if err := m.Action.UnmarshalText([]byte(w.Request.Memory)); err != nil {
			return f, err
		}
		remembered, err := memory.New(m)
		if err != nil {
			return f, err
		}
		defer remembered.Close()
		cfg.Memory = remembered
	}
	for _, o := range w.Request.OwnHosts {
		h, err := rfc6125.ParseHost(o)
		if err != nil {
			return f, err
		}
		cfg.OwnHosts = append(cfg.OwnHosts, h)
	}
	e, err := engine.New(cfg)
	if err != nil {
		return f, err
	}
	if f.plan, err = e.Plan(ctx, request(w)); err != nil {
		return f, err
	}
	prober := probe.New(probe.Config{Dial: j.lab.Dial, HELO: "probe.invalid", Timeout: probeTime})
	var ds []engine.Decision
	for i := range f.plan.Hosts {
		hr := prober.Host(ctx, e, f.plan, i)
		e.Remember(f.plan, i, hr.Decision)
		f.results = append(f.results, hr)
		ds = append(ds, hr.Decision)
	}
	f.sum = engine.Summarise(f.plan, ds)
	return f, nil
}

// request is a world's request.
func request(w lab.World) engine.Request {
	r := w.Request.Request
	r.Sorted = true
	r.NextHop = cmp.Or(r.NextHop, w.Domain)
	return r
}

// differences tells what of a finding is not as the world wants it.
func differences(w lab.World, f finding) []string {
	var out []string
	differ := func(what string, got, want any) {
		if got != want {
			out = append(out, fmt.Sprintf("%s: got %v, want %v", what, got, want))
		}
	}
	differ("outcome", f.sum.Outcome.String(), w.Want.Outcome)
	differ("method", string(f.sum.Method), w.Want.Method)
	differ("deliver", f.sum.Deliver, w.Want.Deliver)
	differ("every host", f.sum.EveryHost, w.Want.EveryHost)
	if w.Want.Reason != "" {
		differ("reason", string(f.sum.Reason.ID), w.Want.Reason)
	}
	for _, want := range w.Want.Hosts {
		at := -1
		for i, h := range f.plan.Hosts {
			if h.Name.String() == want.Host {
				at = i
			}
		}
		if at < 0 {
			out = append(out, "no host "+want.Host)
			continue
		}
		h, d := f.plan.Hosts[at], f.results[at].Decision
		if want.Outcome != "" {
			differ(want.Host+": outcome", d.Outcome.String(), want.Outcome)
			differ(want.Host+": method", string(d.Method), want.Method)
		}
		if want.Requirement != "" {
			differ(want.Host+": requirement", h.Requirement.String(), want.Requirement)
		}
		if want.SNI != "" {
			differ(want.Host+": sni", h.SNI, want.SNI)
		}
		if want.Reason != "" {
			differ(want.Host+": reason", string(d.Reason.ID), want.Reason)
		}
	}
	return out
}

// narrate is the finding in a few lines.
func narrate(f finding) string {
	if f.plan == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", f.sum.Reason.ID, explain.Text(f.sum.Reason))
	fmt.Fprintf(&b, "  mx %s sts %s\n", f.plan.MX.Row, f.plan.STS.Row)
	for i, h := range f.plan.Hosts {
		d := f.results[i].Decision
		fmt.Fprintf(&b, "  %s: %s, %s %s, %s: %s\n", h.Name, h.Requirement, d.Outcome, d.Method, d.Reason.ID, explain.Text(d.Reason))
	}
	return b.String()
}

// each checks every world of the lab, several at once, and hands what was found to a
// subtest of each.
func (j *judge) each(t *testing.T, judged func(*testing.T, lab.World, finding)) {
	worlds := j.lab.Worlds()
	findings := make([]finding, len(worlds))
	errs := make([]error, len(worlds))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, w := range worlds {
		g.Go(func() error {
			findings[i], errs[i] = j.check(t.Context(), w)
			return nil
		})
	}
	_ = g.Wait()
	for i, w := range worlds {
		t.Run(w.Name, func(t *testing.T) {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			judged(t, w, findings[i])
			if t.Failed() {
				t.Log(narrate(findings[i]))
			}
		})
	}
}

// runAll holds every world to what it wants, and to the rows of the decision table that
// it claims: each has to be met in what the check found.
func runAll(t *testing.T, l *lab.Lab, r dnssec.Resolver, notMet map[string]string) {
	newJudge(l, r).each(t, func(t *testing.T, w lab.World, f finding) {
		for _, d := range differences(w, f) {
			t.Error(d)
		}
		rows := met(w, f)
		for _, r := range w.Rows {
			if !rows[r] && notMet[r] == "" {
				t.Errorf("row %s is claimed, and was not met", r)
			}
		}
	})
}

// Every world comes out as it says, over real sockets: plan, probe and decision, with
// a validator that asks a resolver which does not validate. Nobody hears of mail.
func TestValidated(t *testing.T) {
	l := start(t, lab.Worlds()...)
	runAll(t, l, validator(t, l, l.Plain()), nil)
	said := lab.AllSpoken(l)
	for _, line := range said {
		if verb, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"EHLO", "STARTTLS", "QUIT", "GET"}, verb) {
			t.Errorf("a server was told %q", line)
		}
	}
	if len(said) < 1000 {
		t.Errorf("all servers together heard only %d lines", len(said))
	}
}

// And the same by the AD bit of a resolver that validates.
func TestTrusted(t *testing.T) {
	l := start(t, lab.Worlds()...)
	runAll(t, l, stub(t, l.Resolver()), map[string]string{
		"A2b": "the stub asks for an alias by itself, and a name with two faces shows it the other one: row A2",
	})
}
