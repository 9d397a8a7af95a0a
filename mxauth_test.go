package mxauth_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// worlds starts the lab with some of its worlds, and returns the configuration of a client
// that asks it.
func worlds(ctx context.Context, names ...string) (config mxauth.Config, stop func(), err error) {
	var some []lab.World
	for _, w := range lab.Worlds() {
		if slices.Contains(names, w.Name) {
			some = append(some, w)
		}
	}
	l, err := lab.Start(ctx, lab.Config{Worlds: some})
	if err != nil {
		return config, nil, err
	}
	anchors, err := anchor.Parse(strings.NewReader(l.TrustAnchor()))
	if err != nil {
		return config, nil, errors.Join(err, l.Close())
	}
	server, err := upstream.PlainServer(l.Plain())
	if err != nil {
		return config, nil, errors.Join(err, l.Close())
	}
	return mxauth.Config{
		Servers: []upstream.Server{server}, Anchors: anchors, Roots: pkix.NewRoots(l.CA()),
		AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Dial: l.Dial,
	}, func() { _ = l.Close() }, nil
}

// client is a client of some worlds, which ends with the test.
func client(t *testing.T, edit func(*mxauth.Config), names ...string) *mxauth.Client {
	t.Helper()
	config, stop, err := worlds(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if edit != nil {
		edit(&config)
	}
	c, err := mxauth.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestCheck checks that a verdict is that of the packages below, with its hosts.
func TestCheck(t *testing.T) {
	client := client(t, nil, "dane-ee", "sts-enforce", "stripped-dane")
	for _, c := range []struct {
		domain, outcome string
		method          engine.Method
	}{
		{"dane-ee.test", "authenticated", engine.MethodDANEEE},
		{"sts-enforce.test", "authenticated", engine.MethodMTASTS},
		{"stripped-dane.test", "refused", ""},
	} {
		v, err := client.Check(t.Context(), c.domain)
		if err != nil {
			t.Errorf("%s: %v", c.domain, err)
			continue
		}
		if v.Outcome.String() != c.outcome || v.Method != c.method || len(v.Hosts) != len(v.Plan.Hosts) || len(v.Hosts) == 0 || explain.Text(v.Reason) == "" {
			t.Errorf("%s: %s %s, %d hosts: %s", c.domain, v.Outcome, v.Method, len(v.Hosts), explain.Text(v.Reason))
		}
	}
	if _, err := client.Check(t.Context(), "no domain"); !errors.Is(err, engine.ErrRequest) {
		t.Errorf("a bad name: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Check(ctx, "dane-ee.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	p, err := client.Plan(t.Context(), engine.Request{NextHop: "dane-ee.test", Level: engine.LevelDANEOnly})
	if err != nil || p.Hosts[0].Requirement != engine.DANE {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestEvidence checks that what a check rests on comes to the same verdict offline, and that
// there is none without a recorder.
func TestEvidence(t *testing.T) {
	var config mxauth.Config
	c := client(t, func(c *mxauth.Config) {
		c.Record, c.AwaitPolicies = &evidence.Recorder{}, true
		config = *c
	}, "sts-enforce")
	v, err := c.Check(t.Context(), "sts-enforce.test")
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Evidence(t.Context(), v).Replay(t.Context(), evidence.ReplayConfig{Anchors: config.Anchors, Roots: config.Roots})
	if err != nil || len(again.Differences) != 0 || again.Summary.Outcome != engine.Authenticated || v.Outcome != engine.Authenticated {
		t.Errorf("%s, then %+v, %v", v.Outcome, again, err)
	}
	c = client(t, nil, "sts-enforce")
	if v, err = c.Check(t.Context(), "sts-enforce.test"); err != nil || c.Evidence(t.Context(), v) != nil {
		t.Errorf("without a recorder: %v", err)
	}
}

// TestOwnResolver checks a client over a resolver of its caller's: there is nothing below it
// to ask.
func TestOwnResolver(t *testing.T) {
	var config mxauth.Config
	below := client(t, func(c *mxauth.Config) { config = *c }, "dane-ee")
	config.Servers, config.Anchors, config.Resolver = nil, nil, below.Resolver()
	c, err := mxauth.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if v, err := c.Check(t.Context(), "dane-ee.test"); err != nil || v.Outcome != engine.Authenticated {
		t.Errorf("%s, %v", v.Outcome, err)
	}
	if _, err := c.Exchange(t.Context(), nil); !errors.Is(err, dnssec.ErrUnreachable) {
		t.Errorf("exchange: %v", err)
	}
	if n, _ := c.CachedAnswers(); n != 0 || c.Upstreams() != nil || len(below.Upstreams()) != 1 {
		t.Errorf("%d answers, %v", n, c.Upstreams())
	}
	if n, size := below.CachedAnswers(); n == 0 || size == 0 {
		t.Errorf("%d answers of %d bytes below", n, size)
	}
}

// TestForOthers checks that a check for others connects to public addresses alone, and that
// what it sees is not remembered, while the operator's own check is.
func TestForOthers(t *testing.T) {
	domain, err := rfc6125.ParseHost("dane-ee.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name               string
		forOthers, allowed bool
		outcome            engine.Outcome
		remembered         bool
	}{
		{"own", false, false, engine.Authenticated, true},
		{"for others, where it is allowed", true, true, engine.Authenticated, false},
		{"for others, where it is not", true, false, engine.Deferred, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept, err := store.NewMemory(store.MemoryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			defer kept.Close()
			k := client(t, func(config *mxauth.Config) {
				config.ForOthers, config.Store, config.Memory = c.forOthers, kept, &memory.Config{}
				if !c.allowed {
					config.AllowAddresses = nil
				}
			}, "dane-ee")
			v, err := k.Check(t.Context(), domain.String())
			if err != nil || v.Outcome != c.outcome || v.Hosts[0].Addresses[0].Peer.Untried == c.outcome.Deliverable() {
				t.Fatalf("%s, %v: %s", v.Outcome, err, explain.Text(v.Reason))
			}
			p, _, err := k.Memory().Past(t.Context(), domain, 25)
			if err != nil {
				t.Fatal(err)
			}
			if got := !p.Last().IsZero() && len(p.TLS) > 0; got != c.remembered {
				t.Errorf("remembered: %+v", p)
			}
		})
	}
}
