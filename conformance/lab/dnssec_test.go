package lab_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/rfc6125"
)

// lookupTime bounds one lookup in tests; worlds with a timeout wait so long.
const lookupTime = 2 * time.Second

// client is an upstream at one of the lab's resolvers.
func client(tb testing.TB, at netip.AddrPort) dnssec.Upstream {
	tb.Helper()
	s, err := upstream.ParseServer(at.String())
	if err != nil {
		tb.Fatal(err)
	}
	c, err := upstream.New(upstream.Config{Servers: []upstream.Server{s}, Timeout: lookupTime})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// validator proves answers of one of the lab's resolvers by the lab's root key.
func validator(tb testing.TB, l *lab.Lab, at netip.AddrPort) dnssec.Resolver {
	tb.Helper()
	var anchors []anchor.Anchor
	zp := dns.NewZoneParser(strings.NewReader(l.TrustAnchor()), ".", "")
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		ds := rr.(*dns.DS)
		h, err := hex.DecodeString(ds.Digest)
		if err != nil {
			tb.Fatal(err)
		}
		anchors = append(anchors, anchor.Anchor{Zone: rfc6125.RootName(),
			DS: &proof.DS{KeyTag: ds.KeyTag, Algorithm: ds.Algorithm, Digest: ds.DigestType, Hash: h}})
	}
	v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: client(tb, at), Anchors: anchors})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// stub believes the AD bit of one of the lab's resolvers.
func stub(tb testing.TB, at netip.AddrPort) dnssec.Resolver {
	tb.Helper()
	s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: client(tb, at)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// statusOf resolves a question: its status, kind and reason.
func statusOf(tb testing.TB, r dnssec.Resolver, name, typ string) (status, kind, reason string) {
	tb.Helper()
	n, err := rfc6125.ParseName(name)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	a, err := r.Resolve(ctx, dnssec.Question{Name: n, Type: dnssec.Type(dns.StringToType[typ])})
	if err == nil {
		return a.Status.String(), a.Kind.String(), string(a.Reason.Code)
	}
	var le *dnssec.LookupError
	if !errors.As(err, &le) {
		tb.Fatalf("%s %s: not a lookup error: %v", name, typ, err)
	}
	return le.Status().String(), "", string(le.Reason.Code)
}

// Every question that a world asks has the status and the reason that its breakage
// must give, by proof through a resolver that does not validate; and the same status
// by the AD bit of one that does.
func TestAsks(t *testing.T) {
	l := start(t, lab.Worlds()...)
	val, trust := validator(t, l, l.Plain()), stub(t, l.Resolver())
	asked := 0
	for _, w := range l.Worlds() {
		if len(w.Asks) == 0 {
			continue
		}
		t.Run(w.Name, func(t *testing.T) {
			for _, a := range w.Asks {
				asked++
				status, kind, reason := statusOf(t, val, a.Name, a.Type)
				if status != a.Status || a.Kind != "" && kind != a.Kind || a.Reason != "" && reason != a.Reason {
					t.Errorf("proved: %s %s is %s %s %q, want %s %s %q", a.Name, a.Type, status, kind, reason, a.Status, a.Kind, a.Reason)
				}
				if status, kind, reason = statusOf(t, trust, a.Name, a.Type); status != a.Status || a.Kind != "" && kind != a.Kind {
					t.Errorf("by AD: %s %s is %s %s %q, want %s %s", a.Name, a.Type, status, kind, reason, a.Status, a.Kind)
				}
			}
		})
	}
	if asked < 80 {
		t.Errorf("only %d questions asked", asked)
	}
}
