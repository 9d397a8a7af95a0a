package dane_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/pkix"
)

func TestTrace(t *testing.T) {
	w := newWorld(t)
	stranger := issue(t, spec{cn: "Stranger", ca: true, key: 4}, nil)
	oldInter := issue(t, spec{cn: "Intermediate", ca: true, key: 1, until: now.Add(-time.Hour)}, w.root)

	t.Run("several failures: the most specific is told, all are in the trace", func(t *testing.T) {
		s := set(w.leaf.record(0, 1, 1), stranger.record(2, 0, 1), oldInter.record(2, 0, 1), w.root.record(3, 1, 1), w.leaf.record(2, 1, 1))
		res := check(t, s, chain(w.leaf, oldInter, stranger), options, dane.ErrPath, -1)
		_, err := s.Verify(chain(w.leaf, oldInter, stranger), options)
		if !errors.Is(err, pkix.ErrExpired) {
			t.Errorf("the verdict is %v", err)
		}
		for i, want := range []error{nil, pkix.ErrExpired, pkix.ErrExpired, nil, nil} {
			if got := res.Trace[i].Err; !errors.Is(got, want) || (want == nil) != (got == nil) {
				t.Errorf("line %d: %v, want %v", i, got, want)
			}
		}
	})
	t.Run("what each record failed by", func(t *testing.T) {
		below := issue(t, spec{cn: "Zero", ca: true, key: 6, edit: func(c *x509.Certificate) { c.MaxPathLenZero = true }}, nil)
		inter := issue(t, spec{cn: "Intermediate", ca: true, key: 1}, below)
		s := set(stranger.record(2, 0, 1), below.record(2, 0, 0), w.root.record(2, 0, 1))
		res := check(t, s, chain(w.leaf, inter, stranger), options, pkix.ErrPathLength, -1)
		for i, want := range []struct {
			err   error
			depth int
		}{{pkix.ErrNoAnchor, 2}, {pkix.ErrPathLength, -1}, {nil, -1}} {
			if got := res.Trace[i]; !errors.Is(got.Err, want.err) || (want.err == nil) != (got.Err == nil) || got.Depth != want.depth {
				t.Errorf("line %d: %+v", i, got)
			}
		}
	})
	t.Run("a wrong name comes before everything else", func(t *testing.T) {
		o := options
		o.References = refs("other.example")
		s := set(stranger.record(2, 0, 1), w.root.record(2, 0, 1), w.root.record(3, 1, 1))
		res := check(t, s, chain(w.leaf, w.inter, w.root, stranger), o, dane.ErrName, 2)
		if res.Trace[0].Err != nil || !errors.Is(res.Trace[1].Err, dane.ErrName) || res.Trace[0].Depth != 3 {
			t.Errorf("trace %+v", res.Trace)
		}
	})
	t.Run("two records match the anchor", func(t *testing.T) {
		res := check(t, set(w.root.record(2, 1, 1), w.root.record(2, 0, 1), w.leaf.record(2, 0, 1)), chain(w.leaf, w.inter, w.root), options, nil, 2)
		if !res.Trace[0].OK || !res.Trace[1].OK || res.Matched != w.root.record(2, 1, 1) {
			t.Errorf("%+v", res)
		}
	})
	t.Run("two records match two certificates of the path", func(t *testing.T) {
		for _, s := range []dane.Set{set(w.root.record(2, 1, 1), w.inter.record(2, 0, 1)), set(w.inter.record(2, 0, 1), w.root.record(2, 1, 1))} {
			res := check(t, s, chain(w.leaf, w.inter, w.root), options, nil, 1)
			if res.Matched != w.inter.record(2, 0, 1) {
				t.Errorf("%+v", res)
			}
			for _, l := range res.Trace {
				if l.Record.Selector == dane.SPKI && (l.OK || l.Depth != 2 || l.Fault != dane.FaultOffPath) {
					t.Errorf("trace %+v", l)
				}
			}
		}
	})
}

// TestSeveralHits: one record, several certificates with its key.
func TestSeveralHits(t *testing.T) {
	w := newWorld(t)
	other := issue(t, spec{cn: "Other", ca: true, key: 4}, nil)
	cross := issue(t, spec{cn: "Intermediate", ca: true, key: 1}, other)
	stray := issue(t, spec{cn: "Stray", ca: true, key: 1}, nil)
	wrong := options
	wrong.References = refs("other.example")
	for _, p := range []dane.Peer{chain(w.leaf, w.inter, cross, stray), chain(w.leaf, stray, cross, w.inter), chain(w.leaf, stray, w.inter)} {
		res := check(t, set(w.inter.record(2, 1, 1)), p, options, nil, 1)
		if !res.Trace[0].OK || res.Trace[0].Depth != 1 {
			t.Errorf("trace %+v", res.Trace[0])
		}
		res = check(t, set(w.inter.record(2, 1, 1)), p, wrong, dane.ErrName, 1)
		if !errors.Is(res.Trace[0].Err, dane.ErrName) || res.Trace[0].Depth != 1 || res.Trace[0].Fault != dane.FaultName {
			t.Errorf("trace %+v", res.Trace[0])
		}
	}
	// One record of a certificate and one of a key in DNS: each is told by its own end.
	s := set(w.root.record(2, 1, 0), other.record(2, 0, 0), other.record(2, 1, 0))
	res := check(t, s, chain(w.leaf, w.inter), options, nil, 1)
	if res.Matched != w.root.record(2, 1, 0) || res.Trace[1].Fault != dane.FaultNoPath || res.Trace[2].Fault != dane.FaultKeySigned {
		t.Errorf("%+v", res)
	}
	// The first of two that match is the one that is told.
	res = check(t, set(w.inter.record(2, 0, 1), w.inter.record(2, 1, 1)), chain(w.leaf, w.inter), options, nil, 1)
	if res.Matched != w.inter.record(2, 0, 1) || !res.Trace[0].OK || !res.Trace[1].OK {
		t.Errorf("%+v", res)
	}
}

// TestManyAnchors: those behind the limit share the failure of the whole.
func TestManyAnchors(t *testing.T) {
	w := newWorld(t)
	zero := issue(t, spec{cn: "Zero", ca: true, key: 6, edit: func(c *x509.Certificate) { c.MaxPathLenZero = true }}, nil)
	inter := issue(t, spec{cn: "Intermediate", ca: true, key: 1}, zero)
	rs := []dane.Record{zero.record(2, 0, 0)}
	for i := range 4 {
		rs = append(rs, issue(t, spec{cn: "Stray " + string(rune('A'+i)), ca: true, key: 7}, nil).record(2, 0, 0))
	}
	res := check(t, set(rs...), chain(w.leaf, inter), options, pkix.ErrPathLength, -1)
	for i, want := range []error{pkix.ErrPathLength, nil, nil, nil, pkix.ErrPathLength} {
		if got := res.Trace[i].Err; !errors.Is(got, want) || (want == nil) != (got == nil) {
			t.Errorf("line %d: %v, want %v", i, got, want)
		}
	}
}

// TestManyRecords: the trace of a set that is too large for traces made beforehand.
func TestManyRecords(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int{7, 8, 9, 20} {
		var rs []dane.Record
		for i := range n - 1 {
			r := w.root.record(3, 1, 1)
			r.Data = string(rune('a'+i)) + r.Data[1:]
			rs = append(rs, r)
		}
		res := check(t, set(append(rs, w.leaf.record(3, 1, 1))...), chain(w.leaf), options, nil, 0)
		if !res.Trace[n-1].OK || res.Trace[0].Fault != dane.FaultNoMatch {
			t.Errorf("%d records: %+v", n, res.Trace)
		}
	}
}

// TestErrorTexts: what an operator reads has the names in it, and an end.
func TestErrorTexts(t *testing.T) {
	w := newWorld(t)
	verdict := func(o dane.Options, names ...string) string {
		l := issue(t, spec{dns: names, key: 2}, w.inter)
		_, err := set(w.inter.record(2, 1, 1)).Verify(chain(l, w.inter), o)
		if !errors.Is(err, dane.ErrName) {
			t.Errorf("%v", err)
		}
		return err.Error()
	}
	long := strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example"
	for _, c := range []struct {
		got  string
		want string
	}{
		{verdict(options), "the certificate shows no name, expected mx.sec.example"},
		{verdict(dane.Options{At: now}, "a.example"), "shows a.example, expected no name"},
		{verdict(options, "a.example", "b.example", "c.example", "d.example", "e.example"), "shows a.example, b.example, c.example, d.example, e.example, expected"},
		{verdict(options, "a.example", "b.example", "c.example", "d.example", "e.example", "f.example", "g.example"), "c.example, d.example, e.example and 2 more, expected"},
		{verdict(options, "a."+long, "b."+long), "..., expected mx.sec.example"},
	} {
		if !strings.HasSuffix(c.got, c.want) && !strings.Contains(c.got, c.want) || len(c.got) > 500 {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	if s := verdict(options, "a.example"); strings.Contains(s, "...") || strings.Contains(s, "more") {
		t.Errorf("%q", s)
	}
}

func TestMaxChain(t *testing.T) {
	w := newWorld(t)
	p := chain(w.leaf, w.inter)
	for len(p.Chain) < dane.MaxChain-1 {
		p.Chain = append(p.Chain, w.inter.Certificate)
	}
	last := dane.Peer{Chain: append(p.Chain[:len(p.Chain):len(p.Chain)], w.root.Certificate)}
	beyond := dane.Peer{Chain: append(p.Chain[:len(p.Chain):len(p.Chain)], w.inter.Certificate, w.root.Certificate)}
	check(t, set(w.root.record(2, 1, 1)), last, options, nil, 2)
	check(t, set(w.root.record(2, 1, 1)), beyond, options, dane.ErrNoMatch, -1)
}

// TestNilCertificates: what a caller could not parse is no certificate, and no panic.
func TestNilCertificates(t *testing.T) {
	w := newWorld(t)
	p := dane.Peer{Chain: []*x509.Certificate{w.leaf.Certificate, nil, w.inter.Certificate, nil}}
	res := check(t, set(w.inter.record(2, 1, 1)), p, options, nil, 1)
	if res.Matched.Usage != dane.DANETA {
		t.Errorf("%+v", res)
	}
	p.Chain[0] = nil
	check(t, set(w.inter.record(2, 1, 1), w.leaf.record(3, 1, 1)), p, options, dane.ErrNoMatch, -1)
	check(t, set(w.leaf.record(3, 1, 1)), dane.Peer{Chain: p.Chain, RawKey: w.leaf.RawSubjectPublicKeyInfo}, options, dane.ErrNoMatch, -1)
}

// TestNamesShown: a refusal shows the names of the certificate up to a limit, and says where
// it has cut.
func TestNamesShown(t *testing.T) {
	w := newWorld(t)
	// host is a name of n octets.
	host := func(n int) string {
		s := ""
		for n-len(s) > 62 {
			s += strings.Repeat("a", 40) + "."
		}
		return s + strings.Repeat("b", n-len(s))
	}
	for second, cut := range map[int]bool{148: false, 149: false, 150: true} {
		leaf := issue(t, spec{cn: "leaf", dns: []string{host(140), host(second)}, key: 2}, w.inter)
		_, err := set(w.root.record(2, 0, 1)).Verify(chain(leaf, w.inter, w.root), options)
		if !errors.Is(err, dane.ErrName) || strings.Contains(err.Error(), "...") != cut || strings.Contains(err.Error(), ", CN=leaf,") == cut {
			t.Errorf("%d octets of names: %v", 140+2+second+len(", CN=leaf"), err)
		}
	}
}
