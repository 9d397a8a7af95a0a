package dnssec_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/rfc6125"
)

// TestValidatorConfigBounds holds each check of NewValidator against the values on both
// sides of it. word is what the error has to name; "" means no error.
func TestValidatorConfigBounds(t *testing.T) {
	tr := newTree(t)
	ds := tr.anchors()[0]
	read, err := anchor.Parse(strings.NewReader(tr.zones["."].keys[0].DNSKEY.String()))
	if err != nil {
		t.Fatal(err)
	}
	key := read[0]
	anchors := func(a ...anchor.Anchor) func(*dnssec.ValidatorConfig) {
		return func(c *dnssec.ValidatorConfig) { c.Anchors = a }
	}
	for _, tt := range []struct {
		name string
		edit func(*dnssec.ValidatorConfig)
		word string
	}{
		{"all defaults", func(*dnssec.ValidatorConfig) {}, ""},
		{"no upstream", func(c *dnssec.ValidatorConfig) { c.Upstream = nil }, "Upstream"},
		{"as many iterations as a record can say", func(c *dnssec.ValidatorConfig) { c.MaxNSEC3Iterations = 65535 }, ""},
		{"one more", func(c *dnssec.ValidatorConfig) { c.MaxNSEC3Iterations = 65536 }, "MaxNSEC3Iterations"},
		{"no iterations", func(c *dnssec.ValidatorConfig) { c.MaxNSEC3Iterations = -1 }, ""},
		{"one zone", func(c *dnssec.ValidatorConfig) { c.Zones = 1 }, ""},
		{"minus one zone", func(c *dnssec.ValidatorConfig) { c.Zones = -1 }, "Zones"},
		{"minus one question", func(c *dnssec.ValidatorConfig) { c.MaxQueries = -1 }, "MaxQueries"},
		{"minus one octet", func(c *dnssec.ValidatorConfig) { c.MaxBytes = -1 }, "MaxBytes"},
		{"a negative time", func(c *dnssec.ValidatorConfig) { c.ExchangeTimeout = -1 }, "ExchangeTimeout"},
		{"the shortest time", func(c *dnssec.ValidatorConfig) { c.ExchangeTimeout = 1 }, ""},
		{"anchors of both kinds", anchors(ds, key), ""},
		{"an anchor of two kinds", anchors(anchor.Anchor{Zone: ds.Zone, DS: ds.DS, Key: key.Key}), "trust anchor"},
		{"an anchor of no kind", anchors(anchor.Anchor{Zone: ds.Zone}), "trust anchor"},
		{"a DS without a zone", anchors(anchor.Anchor{DS: ds.DS}), "trust anchor"},
		{"a key without a zone", anchors(anchor.Anchor{Key: key.Key}), "trust anchor"},
		{"a negative anchor without a name", func(c *dnssec.ValidatorConfig) { c.NegativeAnchors = []dnssec.NegativeAnchor{{}} }, "negative trust anchor"},
		{"a negative anchor for the root", func(c *dnssec.ValidatorConfig) {
			c.NegativeAnchors = []dnssec.NegativeAnchor{{Name: rfc6125.RootName()}}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := dnssec.ValidatorConfig{Upstream: tr}
			tt.edit(&cfg)
			v, err := dnssec.NewValidator(cfg)
			if (err == nil) != (tt.word == "") || (v == nil) != (err != nil) {
				t.Fatalf("%v, %v", v, err)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.word) || strings.Count(err.Error(), "\n") != 0) {
				t.Errorf("%q is not all that %q speaks of", tt.word, err)
			}
		})
	}
}

// TestValidatorDefaultAnchors: nil means the anchors of the root, which no key of the
// tree fits; an empty list means none, so that nothing is bogus.
func TestValidatorDefaultAnchors(t *testing.T) {
	set := func(a []anchor.Anchor) func(*dnssec.ValidatorConfig) {
		return func(c *dnssec.ValidatorConfig) { c.Anchors = a }
	}
	newTree(t).want(tlsa, "bogus anchor-mismatch", set(nil))
	newTree(t).want(tlsa, "insecure data no-anchor", set([]anchor.Anchor{}))
}

// TestValidatorDefaultClock: without a clock the real one counts.
func TestValidatorDefaultClock(t *testing.T) {
	tr := newTree(t)
	for _, z := range tr.zones {
		z.from, z.until = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	tr.want(tlsa, "secure data", func(c *dnssec.ValidatorConfig) { c.Now = nil })
	for _, z := range tr.zones {
		z.from, z.until = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		clear(z.sigs)
	}
	tr.want(tlsa, "bogus signature-expired", func(c *dnssec.ValidatorConfig) { c.Now = nil })
}

// upstreamFunc is an Upstream made of a function.
type upstreamFunc func(ctx context.Context, query []byte) (dnssec.Response, error)

func (f upstreamFunc) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	return f(ctx, query)
}

func TestValidatorAsksNothingWithoutAName(t *testing.T) {
	asked := 0
	v := newTree(t).validator(func(c *dnssec.ValidatorConfig) {
		c.Upstream = upstreamFunc(func(context.Context, []byte) (dnssec.Response, error) {
			asked++
			return dnssec.Response{}, dnssec.ErrMalformed
		})
	})
	a, err := v.Resolve(context.Background(), dnssec.Question{Type: dnssec.TypeA})
	if !errors.Is(err, dnssec.ErrMalformed) || a.Status != dnssec.Indeterminate || asked != 0 {
		t.Errorf("%s, asked %d times", outcome(a, err), asked)
	}
}
