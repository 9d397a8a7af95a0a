package dnsfake_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/rfc6125"
)

func question(s string, t dnssec.Type) dnssec.Question {
	n, err := rfc6125.ParseName(s)
	if err != nil {
		panic(err)
	}
	return dnssec.Question{Name: n, Type: t}
}

func TestAnswers(t *testing.T) {
	r := dnsfake.New()
	r.Zone("example.org", dnssec.Secure)
	r.Zone("plain.example.org", dnssec.Insecure)
	r.Zone("bad.example", dnssec.Bogus)
	r.Add("mx.example.org. 300 IN A 192.0.2.1", "mx.example.org. 300 IN A 192.0.2.2",
		"example.org. 60 IN MX 10 MX.example.org.",
		"alias.example.org. 20 IN CNAME Two.plain.example.org.",
		"two.plain.example.org. 100 IN CNAME mx.example.org.",
		"x.bad.example. 100 IN A 192.0.2.3",
		"loop.example.org. 1 IN CNAME loop.example.org.")
	r.AddAs(dnssec.Insecure, "own.example.org. 300 IN A 192.0.2.4")
	r.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrServFail)
	r.Deny("odd.example.org", dnssec.TypeTLSA, dnssec.NoData, dnssec.Insecure, dnssec.Reason{Code: "x"})

	for _, c := range []struct {
		q       dnssec.Question
		kind    dnssec.Kind
		status  dnssec.Status
		records int
		chain   int
		ttl     time.Duration
		err     error
	}{
		{question("mx.example.org", dnssec.TypeA), dnssec.Data, dnssec.Secure, 2, 0, 300 * time.Second, nil},
		{question("example.org", dnssec.TypeMX), dnssec.Data, dnssec.Secure, 1, 0, 60 * time.Second, nil},
		{question("example.org", dnssec.TypeTXT), dnssec.NoData, dnssec.Secure, 0, 0, dnsfake.DenialTTL, nil},
		{question("no.example.org", dnssec.TypeTXT), dnssec.NXDomain, dnssec.Secure, 0, 0, dnsfake.DenialTTL, nil},
		{question("elsewhere.example", dnssec.TypeA), dnssec.NXDomain, dnssec.Insecure, 0, 0, dnsfake.DenialTTL, nil},
		{question("alias.example.org", dnssec.TypeA), dnssec.Data, dnssec.Insecure, 2, 2, 20 * time.Second, nil},
		{question("alias.example.org", dnssec.TypeCNAME), dnssec.Data, dnssec.Secure, 1, 0, 20 * time.Second, nil},
		{question("own.example.org", dnssec.TypeA), dnssec.Data, dnssec.Insecure, 1, 0, 300 * time.Second, nil},
		{question("odd.example.org", dnssec.TypeTLSA), dnssec.NoData, dnssec.Insecure, 0, 0, dnsfake.DenialTTL, nil},
		{question("mx.example.org", dnssec.TypeAAAA), 0, dnssec.Indeterminate, 0, 0, 0, dnssec.ErrServFail},
		{question("x.bad.example", dnssec.TypeA), 0, dnssec.Bogus, 0, 0, 0, dnssec.ErrBogus},
		{question("loop.example.org", dnssec.TypeA), 0, dnssec.Indeterminate, 0, dnssec.MaxAliases, 0, dnssec.ErrAliasLoop},
	} {
		a, err := r.Resolve(context.Background(), c.q)
		if !errors.Is(err, c.err) || a.Kind != c.kind || a.Status != c.status || len(a.Records) != c.records || len(a.Chain) != c.chain {
			t.Errorf("%s: %+v, %v", c.q, a, err)
		}
		if err == nil && a.Expires.Sub(a.Received) != c.ttl {
			t.Errorf("%s: lives for %v, want %v", c.q, a.Expires.Sub(a.Received), c.ttl)
		}
	}
	a, _ := r.Resolve(context.Background(), question("example.org", dnssec.TypeMX))
	if mx, err := a.Records[0].MX(); err != nil || mx.Host.String() != "mx.example.org" || mx.Preference != 10 {
		t.Errorf("MX: %+v, %v", mx, err)
	}
}

func TestHoldAndAsked(t *testing.T) {
	r := dnsfake.New()
	q := question("mx.example.org", dnssec.TypeA)
	release := r.Hold("mx.example.org", dnssec.TypeA)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Resolve(ctx, q); !errors.Is(err, dnssec.ErrTimeout) || !errors.Is(err, context.Canceled) {
		t.Errorf("held question: %v", err)
	}
	release()
	if _, err := r.Resolve(context.Background(), q); err != nil {
		t.Errorf("released question: %v", err)
	}
	if got := r.Asked(); len(got) != 2 || got[0] != q {
		t.Errorf("asked: %v", got)
	}
	r.Forget()
	if len(r.Asked()) != 0 {
		t.Error("Forget kept something")
	}
}
