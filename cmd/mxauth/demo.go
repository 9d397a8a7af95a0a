package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/internal/near"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/store"
)

const (
	// demoTimeout is the longest wait for one server of the lab: they answer at once,
	// but for those that are to hang. A world that does not come out as it should is
	// looked at once more with demoPatience, since a machine with other work may not
	// keep to the first.
	demoTimeout  = 2 * time.Second
	demoPatience = 15 * time.Second
	// demoConcurrency is how many worlds are looked at side by side, so that those that
	// hang do so together.
	demoConcurrency = 32
)

// newDemo makes the verb demo.
func newDemo(e *env) *cobra.Command {
	var serve []string
	var all bool
	cmd := &cobra.Command{
		Use:         "demo [WORLD]",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Check the worlds of a mail Internet in this process; needs no network",
		Long: `Demo starts a small mail Internet on loopback: signed zones, a resolver, policy hosts
and SMTP servers, many of them broken on purpose. It checks a dozen of its domains as
mxauth check would, in an order that explains what can go wrong and what protects. With
the name of one it prints the full explanation; with --all it checks all of them and
prints one line each. The exit status is 0 only if every verdict is as expected.

With --dnssec trust-ad it asks a resolver that validates; by default mxauth validates by
itself, through a resolver that does not.

With --serve it runs mxauth serve about these domains until it is stopped, so that a mail
server or mxauth ask can try it: postmap -q dane-ee.test socketmap:unix:PATH:QUERY.`,
		Example: `  mxauth demo
  mxauth demo sts-enforce
  mxauth demo --serve socketmap=unix:/tmp/mxauth.sock`,
		Args:              arguments(0, 1),
		ValidArgsFunction: completeWorlds,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) == 1 {
				return usageError("--all checks every world: leave %.80q out", args[0])
			}
			worlds, err := e.demoWorlds(args)
			switch {
			case err != nil:
				return err
			case len(serve) > 0:
				return runDemoServe(cmd.Context(), e, serve, e.daemonFlags.control, worlds)
			case len(args) == 1:
				return runDemo(cmd.Context(), e, demoFull, worlds)
			case all:
				return runDemo(cmd.Context(), e, demoLines, worlds)
			}
			return runDemo(cmd.Context(), e, demoStory, storyWorlds(worlds))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "check every world and print one line each")
	cmd.Flags().StringArrayVar(&serve, "serve", nil, "answer mail servers at `DOOR=ADDRESS`, as mxauth serve --listen does (repeatable)")
	cmd.Flags().StringVar(&e.daemonFlags.control, "control", "", "with --serve, `PATH` of the control socket")
	return cmd
}

// demoWorlds are the worlds that the arguments choose.
func (e *env) demoWorlds(args []string) ([]lab.World, error) {
	s, err := e.loadSettings(true)
	if err != nil {
		return nil, err
	}
	e.flags.apply(s)
	set, err := e.flags.parse()
	if err != nil {
		return nil, err
	}
	if len(set.servers) > 0 || e.flags.trustAnchor != "" || e.flags.caFile != "" {
		return nil, usageError("demo brings its own resolver, trust anchor and certification authority: leave --resolver, --trust-anchor and --ca-file out")
	}
	worlds := lab.Worlds()
	if len(args) == 1 {
		i := slices.IndexFunc(worlds, func(w lab.World) bool { return w.Name == args[0] })
		if i < 0 {
			hint := "mxauth demo --all lists them"
			names := make([]string, len(worlds))
			for i, w := range worlds {
				names[i] = w.Name
			}
			if meant := near.Name(args[0], names); meant != "" {
				hint = "did you mean " + meant + "? " + hint
			}
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("the demo has no world %.80q", args[0]), hint: hint}
		}
		worlds = worlds[i : i+1]
	}
	return worlds, nil
}

// A demoForm says how demo prints a world.
type demoForm int

const (
	demoStory demoForm = iota // its situation and the verdict
	demoLines                 // one line
	demoFull                  // the whole explanation
)

// runDemo checks worlds and prints each of them.
func runDemo(ctx context.Context, e *env, form demoForm, worlds []lab.World) error {
	d, err := e.startDemo(ctx, worlds)
	if err != nil {
		return err
	}
	defer d.close()
	worlds = d.lab.Worlds() // with the addresses that some of them speak of
	failed, printed := 0, 0
	seq := func(yield func(lab.World, error) bool) {
		for _, w := range worlds {
			if !yield(w, nil) {
				return
			}
		}
	}
	done := func(r demoResult) error {
		if len(r.wrong) > 0 {
			failed++
		}
		printed++
		return e.printDemo(printed, r, form)
	}
	if err := inOrder(ctx, max(e.flags.concurrency, demoConcurrency), iter.Seq2[lab.World, error](seq), d.look, done, nil); err != nil {
		return err
	}
	if failed > 0 {
		return &exitError{code: exitFault, err: fmt.Errorf("%d of %d worlds did not come out as expected", failed, len(worlds)),
			hint: "this is a fault of mxauth, or of a machine too slow for the lab's time limits"}
	}
	switch {
	case e.flags.json:
	case form == demoStory:
		e.printStoryEnd(len(lab.Worlds()))
	case form == demoLines:
		e.out.Linef("%d worlds, all as expected", len(worlds))
	}
	return e.out.flushed()
}

// A demo is a running lab with clients that ask its resolver.
type demo struct {
	e     *env
	lab   *lab.Lab
	quick *mxauth.Client // with demoTimeout
	slow  *mxauth.Client // with demoPatience, and a cache of its own
	roots *pkix.Roots
}

// startDemo starts a lab with these worlds.
func (e *env) startDemo(ctx context.Context, worlds []lab.World) (*demo, error) {
	l, err := lab.Start(ctx, lab.Config{Worlds: worlds, Now: e.now})
	if err != nil {
		return nil, err
	}
	d := &demo{e: e, lab: l, roots: pkix.NewRoots(l.CA())}
	d.quick, err = d.connect(demoTimeout)
	if err == nil {
		d.slow, err = d.connect(demoPatience)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// connect makes a client with a resolver: a validator that asks the lab's plain resolver, or a
// stub that trusts the one that validates.
func (d *demo) connect(timeout time.Duration) (*mxauth.Client, error) {
	front := d.lab.Plain()
	if d.e.flags.dnssec == modeTrustAD {
		front = d.lab.Resolver()
	}
	srv, err := upstream.PlainServer(front)
	if err != nil {
		return nil, err
	}
	anchors, err := anchor.Parse(strings.NewReader(d.lab.TrustAnchor()))
	if err != nil {
		return nil, err
	}
	return mxauth.New(mxauth.Config{Servers: []upstream.Server{srv}, TrustAD: d.e.flags.dnssec == modeTrustAD, Anchors: anchors,
		Roots: d.roots, Timeout: timeout, Now: d.e.now, Logger: d.e.logger()})
}

func (d *demo) close() {
	for _, c := range []*mxauth.Client{d.quick, d.slow} {
		if c != nil {
			_ = c.Close()
		}
	}
	_ = d.lab.Close()
}

// A demoResult is one world as it came out.
type demoResult struct {
	world   lab.World
	verdict *verdict
	wrong   []string // what is not as the world's spec says
}

// look checks one world. A world that was another one before is looked at in that state
// first, so that a policy is known from then.
func (d *demo) look(ctx context.Context, w lab.World) (demoResult, error) {
	known, err := d.prime(ctx, w)
	if err != nil {
		return demoResult{}, fmt.Errorf("world %s: %w", w.Name, err)
	}
	r := demoResult{world: w}
	for _, timeout := range []time.Duration{demoTimeout, demoPatience} {
		if r.verdict, err = d.check(ctx, w, known, d.e.now, timeout); err != nil {
			return demoResult{}, fmt.Errorf("world %s: %w", w.Name, err)
		}
		if r.wrong = differences(w.Want, r.verdict); len(r.wrong) == 0 {
			break
		}
		if timeout != demoPatience {
			d.e.out.Notef("the world %s did not come out in time; once more", w.Name)
		}
	}
	return r, nil
}

// prime looks at a world as it was, if it was another one, turns it into what it is,
// and returns what was kept of it.
func (d *demo) prime(ctx context.Context, w lab.World) (known []store.Entry, err error) {
	if w.Was == nil {
		return nil, nil
	}
	kept, err := store.NewMemory(store.MemoryConfig{Now: d.e.now})
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	before := func() time.Time { return d.e.now().Add(-w.Age.Duration()) }
	if _, err := d.checkWith(ctx, w, kept, before, demoPatience); err != nil {
		return nil, err
	}
	if err := d.lab.Forge(w.Name); err != nil {
		return nil, err
	}
	err = kept.All(ctx, "", func(e store.Entry) bool {
		known = append(known, e)
		return true
	})
	return known, err
}

// check checks a world in its present state with what was kept before.
func (d *demo) check(ctx context.Context, w lab.World, known []store.Entry, now func() time.Time, timeout time.Duration) (*verdict, error) {
	kept, err := store.NewMemory(store.MemoryConfig{Now: d.e.now})
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	if err := store.PutAll(ctx, kept, known); err != nil {
		return nil, err
	}
	return d.checkWith(ctx, w, kept, now, timeout)
}

// checkWith checks a world in its present state, with policies kept in a store.
func (d *demo) checkWith(ctx context.Context, w lab.World, kept store.Store, now func() time.Time, timeout time.Duration) (*verdict, error) {
	config, err := d.config(w, kept, now, timeout)
	if err != nil {
		return nil, err
	}
	c, err := mxauth.New(config)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := requestOf(w)
	v, err := c.CheckRequest(ctx, r)
	return verdictOf(r.NextHop, v, err)
}

// config is that of a client which checks a world, with policies kept in a store and over
// the cache that the worlds share.
func (d *demo) config(w lab.World, kept store.Store, now func() time.Time, timeout time.Duration) (mxauth.Config, error) {
	resolver := d.quick.Resolver()
	if timeout > demoTimeout {
		resolver = d.slow.Resolver()
	}
	c := mxauth.Config{
		Resolver: resolver, Roots: d.roots, Store: kept, AwaitPolicies: true,
		AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Dial:           d.lab.Dial, Timeout: timeout, Now: now, Logger: d.e.logger(),
	}
	return c, worldSettings(w, &c)
}

// worldSettings puts what a world says of this MTA and its memory into a configuration.
func worldSettings(w lab.World, c *mxauth.Config) error {
	flags := deliveryFlags{own: w.Request.OwnHosts, lost: w.Request.Memory, hold: memory.DefaultHold}
	if flags.lost == "" {
		flags.defaults()
		return flags.configure(c, storeMemory)
	}
	return flags.configure(c, "the demo's")
}

// requestOf is a world's request.
func requestOf(w lab.World) engine.Request {
	r := w.Request.Request
	r.Sorted = true
	r.NextHop = cmp.Or(r.NextHop, w.Domain)
	return r
}

// differences lists what of a verdict is not as a world wants it.
func differences(want lab.Want, v *verdict) (out []string) {
	if v.err != nil {
		return []string{"not checked: " + v.err.Error()}
	}
	row := func(prefix string, got, want any) {
		if got != want {
			out = append(out, fmt.Sprintf("%s is %v, want %v", prefix, got, want))
		}
	}
	s := v.Summary
	row("outcome", s.Outcome.String(), want.Outcome)
	row("method", string(s.Method), want.Method)
	row("deliver", s.Deliver, want.Deliver)
	row("every_host", s.EveryHost, want.EveryHost)
	if want.Reason != "" {
		row("reason_id", string(s.Reason.ID), want.Reason)
	}
	for _, h := range want.Hosts {
		i := slices.IndexFunc(v.Plan.Hosts, func(p engine.Host) bool { return p.String() == h.Host })
		if i < 0 {
			out = append(out, "no host "+h.Host)
			continue
		}
		dec, plan := v.Hosts[i].Decision, v.Plan.Hosts[i]
		if h.Outcome != "" {
			row(h.Host+": outcome", dec.Outcome.String(), h.Outcome)
			row(h.Host+": method", string(dec.Method), h.Method)
		}
		for _, f := range []struct{ what, got, want string }{
			{"requirement", plan.Requirement.String(), h.Requirement},
			{"sni", plan.SNI, h.SNI},
			{"reason_id", string(dec.Reason.ID), h.Reason},
		} {
			if f.want != "" {
				row(h.Host+": "+f.what, f.got, f.want)
			}
		}
	}
	return out
}

// A demoRow is the JSON object of one world.
type demoRow struct {
	World string   `json:"world"`
	About string   `json:"about"`
	OK    bool     `json:"ok"`
	Wrong []string `json:"wrong,omitempty"`
	Check any      `json:"check"`
}

// printDemo prints one world, the n-th, in the chosen form or as JSON.
func (e *env) printDemo(n int, r demoResult, form demoForm) error {
	for _, w := range r.wrong {
		defer e.out.Errorf("%s: %s", r.world.Name, w)
	}
	switch {
	case e.flags.json:
		e.printJSON(demoRow{r.world.Name, r.world.About, len(r.wrong) == 0, r.wrong, r.verdict.row()})
	case form == demoStory:
		e.printScene(n, r)
	case form == demoFull:
		e.out.Linef("the world %s: %s", r.world.Name, r.world.About)
		e.out.Linef("")
		r.verdict.human(e.out)
	default:
		mark := paint(good, "ok  ")
		if len(r.wrong) > 0 {
			mark = paint(bad, "FAIL")
		}
		e.out.Linef("%s %-26s %s", mark, r.world.Name, r.verdict.short())
	}
	return e.out.flushed()
}
