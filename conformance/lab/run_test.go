package lab_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

const (
	// probeTime is the patience with a server that may not answer: worlds that hang cost so much
	// each. The others get loadedTime, since so many are checked at once.
	probeTime  = 3 * time.Second
	loadedTime = 30 * time.Second
	atOnce     = 24 // worlds side by side
)

// A judge checks worlds of a lab through the front door, as `mxauth check` does.
type judge struct {
	lab      *lab.Lab
	resolver dnssec.Resolver
	roots    *pkix.Roots
}

func newJudge(l *lab.Lab, r dnssec.Resolver) *judge {
	return &judge{l, r, pkix.NewRoots(l.CA())}
}

// client makes a client on a store, with its clock set back by age.
func (j *judge) client(st store.Store, age time.Duration, edits ...func(*mxauth.Config)) (*mxauth.Client, error) {
	c := mxauth.Config{
		Resolver: j.resolver, Roots: j.roots, Store: st, Dial: j.lab.Dial, HELO: "probe.invalid", Timeout: probeTime,
		AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Now:            func() time.Time { return time.Now().Add(-age) },
	}
	for _, e := range edits {
		e(&c)
	}
	return mxauth.New(c)
}

// check makes the check that a world asks for, after its earlier state if it has one.
func (j *judge) check(ctx context.Context, w lab.World) (v mxauth.Verdict, err error) {
	st, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		return v, err
	}
	defer st.Close()
	if w.Was != nil {
		was, err := j.look(ctx, w, st, w.Age.Duration())
		if err != nil {
			return v, err
		}
		if was.Plan.STS.Policy == nil && w.Was.STS != nil {
			return v, fmt.Errorf("the earlier policy is not there: %+v", was.Plan.STS)
		}
		if err := j.lab.Forge(w.Name); err != nil {
			return v, err
		}
	}
	return j.look(ctx, w, st, 0)
}

// look makes one check with a store, some time ago.
func (j *judge) look(ctx context.Context, w lab.World, st store.Store, ago time.Duration) (v mxauth.Verdict, err error) {
	var bad error
	c, err := j.client(st, ago, func(c *mxauth.Config) {
		c.AwaitPolicies = w.Was != nil
		if !hangs(w) {
			c.Timeout = loadedTime
		}
		if w.Request.Memory != "" {
			c.Memory = &memory.Config{}
			bad = c.Memory.Action.UnmarshalText([]byte(w.Request.Memory))
		}
		for _, o := range w.Request.OwnHosts {
			h, err := rfc6125.ParseHost(o)
			bad = errors.Join(bad, err)
			c.OwnHosts = append(c.OwnHosts, h)
		}
	})
	if err = errors.Join(err, bad); err != nil {
		return v, err
	}
	defer c.Close()
	return c.CheckRequest(ctx, request(w))
}

// hangs reports whether a world, or what it was, has a server that does not answer.
func hangs(w lab.World) bool {
	text, err := json.Marshal(w)
	return err != nil || bytes.Contains(text, []byte("hang")) || bytes.Contains(text, []byte("time-out"))
}

// request is a world's request.
func request(w lab.World) engine.Request {
	r := w.Request.Request
	r.Sorted = true
	r.NextHop = cmp.Or(r.NextHop, w.Domain)
	return r
}

// differences tells what of a finding is not as the world wants it.
func differences(w lab.World, v mxauth.Verdict) []string {
	var out []string
	differ := func(what string, got, want any) {
		if got != want {
			out = append(out, fmt.Sprintf("%s: got %v, want %v", what, got, want))
		}
	}
	differ("outcome", v.Outcome.String(), w.Want.Outcome)
	differ("method", string(v.Method), w.Want.Method)
	differ("deliver", v.Deliver, w.Want.Deliver)
	differ("every host", v.EveryHost, w.Want.EveryHost)
	if w.Want.Reason != "" {
		differ("reason", string(v.Reason.ID), w.Want.Reason)
	}
	for _, want := range w.Want.Hosts {
		at := -1
		for i, h := range v.Plan.Hosts {
			if h.Name.String() == want.Host {
				at = i
			}
		}
		if at < 0 {
			out = append(out, "no host "+want.Host)
			continue
		}
		h, d := v.Plan.Hosts[at], v.Hosts[at].Decision
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
func narrate(v mxauth.Verdict) string {
	if v.Plan == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", v.Reason.ID, explain.Text(v.Reason))
	fmt.Fprintf(&b, "  mx %s sts %s\n", v.Plan.MX.Row, v.Plan.STS.Row)
	for i, h := range v.Plan.Hosts {
		d := v.Hosts[i].Decision
		fmt.Fprintf(&b, "  %s: %s, %s %s, %s: %s\n", h.Name, h.Requirement, d.Outcome, d.Method, d.Reason.ID, explain.Text(d.Reason))
	}
	return b.String()
}

// each checks every world of the lab, several at once, and hands what was found to a
// subtest of each.
func (j *judge) each(t *testing.T, judged func(*testing.T, lab.World, mxauth.Verdict)) {
	worlds := j.lab.Worlds()
	findings := make([]mxauth.Verdict, len(worlds))
	errs := make([]error, len(worlds))
	// Those with a silent server come after the others, whose work would take their time.
	for _, silent := range []bool{false, true} {
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i, w := range worlds {
			if hangs(w) == silent {
				g.Go(func() error {
					findings[i], errs[i] = j.check(t.Context(), w)
					return nil
				})
			}
		}
		_ = g.Wait()
	}
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
	newJudge(l, r).each(t, func(t *testing.T, w lab.World, v mxauth.Verdict) {
		for _, d := range differences(w, v) {
			t.Error(d)
		}
		rows := met(w, v)
		for _, r := range w.Rows {
			if !rows[r] && notMet[r] == "" {
				t.Errorf("row %s is claimed, and was not met", r)
			}
		}
	})
}

// resolver is that of a client which asks one of the lab's resolvers.
func resolver(t *testing.T, l *lab.Lab, at netip.AddrPort, trustAD bool) dnssec.Resolver {
	t.Helper()
	server, err := upstream.PlainServer(at)
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := anchor.Parse(strings.NewReader(l.TrustAnchor()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{server}, TrustAD: trustAD, Anchors: anchors, Roots: pkix.NewRoots(l.CA())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.Resolver()
}

// Every world comes out as it says, through the front door and over real sockets, with
// a validator that asks a resolver which does not validate. No one hears of mail.
func TestValidated(t *testing.T) {
	l := start(t, lab.Worlds()...)
	runAll(t, l, resolver(t, l, l.Plain(), false), nil)
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
	runAll(t, l, resolver(t, l, l.Resolver(), true), map[string]string{
		"A2b": "the stub asks for an alias by itself, and a name with two faces shows it the other one: row A2",
	})
}
