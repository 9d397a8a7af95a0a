package mxauth_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/pkix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// worlds starts the lab with some of its worlds, and a client that asks it.
func worlds(ctx context.Context, names ...string) (*mxauth.Client, func(), error) {
	var some []lab.World
	for _, w := range lab.Worlds() {
		for _, n := range names {
			if w.Name == n {
				some = append(some, w)
			}
		}
	}
	l, err := lab.Start(ctx, lab.Config{Worlds: some})
	if err != nil {
		return nil, nil, err
	}
	anchors, err := anchor.Parse(strings.NewReader(l.TrustAnchor()))
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	server, err := upstream.ParseServer(l.Plain().String())
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	client, err := mxauth.New(mxauth.Config{
		Servers: []upstream.Server{server}, Anchors: anchors,
		Roots: pkix.NewRoots([]*x509.Certificate{l.CA()}...), AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Dial: l.Dial,
	})
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return client, func() { _, _ = client.Close(), l.Close() }, nil
}

func Example() {
	ctx := context.Background()
	client, stop, err := worlds(ctx, "dane-ee") // in real life mxauth.New(mxauth.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	verdict, err := client.Check(ctx, "dane-ee.test")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verdict.Outcome, verdict.Method, verdict.Via)
	// Output: authenticated dane-ee mx.dane-ee.test
}

// TestCheck checks that a verdict is that of the packages below, with its hosts.
func TestCheck(t *testing.T) {
	client, stop, err := worlds(t.Context(), "dane-ee", "sts-enforce", "stripped-dane")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
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
