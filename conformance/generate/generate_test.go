package generate_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/generate"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/rfc6125"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// worlds keeps those that several tests look at.
var worlds sync.Map

func world(t testing.TB, seed uint64) *generate.World {
	t.Helper()
	if w, ok := worlds.Load(seed); ok {
		return w.(*generate.World)
	}
	w := fresh(t, seed)
	worlds.Store(seed, w)
	return w
}

func fresh(t testing.TB, seed uint64) *generate.World {
	t.Helper()
	w, err := generate.New(seed, start)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A recursor is the world as an upstream.
type recursor struct {
	w *generate.World
	// expired leaves out each DNAME that is not asked for, as Unbound does when a DNAME has
	// expired in its cache and the CNAME made from it has not.
	expired bool
}

func (r recursor) Exchange(_ context.Context, query []byte) (dnssec.Response, error) {
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil {
		return dnssec.Response{}, err
	}
	in := r.w.Recurse(m)
	if r.expired && m.Question[0].Qtype != dns.TypeDNAME {
		in.Answer = slices.DeleteFunc(in.Answer, func(rr dns.RR) bool {
			sig, ok := rr.(*dns.RRSIG)
			return rr.Header().Rrtype == dns.TypeDNAME || ok && sig.TypeCovered == dns.TypeDNAME
		})
	}
	out, err := in.Pack()
	return dnssec.Response{Message: out, Server: "world"}, err
}

func validator(t testing.TB, r recursor) *dnssec.Validator {
	t.Helper()
	anchors, err := anchor.Parse(strings.NewReader(r.w.Anchor()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: r, Anchors: anchors, Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSeed: a seed makes the same world each time, and another seed another one.
func TestSeed(t *testing.T) {
	one, same, other := world(t, 1), fresh(t, 1), world(t, 2)
	if one.Anchor() != same.Anchor() || one.Anchor() == other.Anchor() {
		t.Error("the anchors of one seed differ, or those of two are the same")
	}
	questions := one.Questions(500)
	if !slices.Equal(questions, same.Questions(600)[:500]) || slices.Equal(questions, other.Questions(500)) {
		t.Error("the questions of one seed differ, or those of two are the same")
	}
	for _, q := range questions {
		m := new(dns.Msg)
		m.SetQuestion(q.Name, q.Type)
		if a, b := one.Recurse(m), same.Recurse(m); a.String() != b.String() {
			t.Fatalf("%s: two answers of one seed:\n%s\n%s", q, a, b)
		}
		if a, b := one.Truth(q.Name, q.Type), same.Truth(q.Name, q.Type); !reflect.DeepEqual(a, b) {
			t.Fatalf("%s: two truths of one seed:\n%v\n%v", q, a, b)
		}
	}
}

// faultless are the marks that questions about good zones have.
var faultless = []string{"absent-name", "empty-non-terminal", "wildcard", "cname", "dname", "wild", "denied-by/nsec",
	"algorithm/", "zone/secure", "alias-into/secure", "delegation/cname", "set/ttl-raised"}

// TestTruth: the truths are of all kinds, and what has no fault is secure.
func TestTruth(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		w := world(t, seed)
		var truths []generate.Truth
		sound := 0
		for _, q := range w.Questions(2000) {
			truth := w.Truth(q.Name, q.Type)
			truths = append(truths, truth)
			if slices.ContainsFunc(truth.Marks, func(m string) bool {
				return !slices.ContainsFunc(faultless, func(f string) bool { return strings.HasPrefix(m, f) })
			}) {
				continue
			}
			sound++
			if truth.Status != generate.Secure {
				t.Errorf("seed %d: %s: %s without a cause: %v", seed, q, truth.Status, truth.Marks)
			}
		}
		if lacking := generate.Lacking(truths); len(lacking) > 0 {
			t.Errorf("seed %d: too few of %q", seed, lacking)
		}
		if sound < 100 {
			t.Errorf("seed %d: only %d questions about nothing but good zones", seed, sound)
		}
	}
}

// TestNewShortLived: a world with short TTLs differs from the usual one in nothing else.
func TestNewShortLived(t *testing.T) {
	usual := world(t, 1)
	short, err := generate.NewShortLived(1, start)
	if err != nil {
		t.Fatal(err)
	}
	questions := slices.DeleteFunc(usual.Questions(500), func(q generate.Question) bool {
		return q.Type == dns.TypeSOA // one of the TTLs is in its data
	})
	if !slices.Equal(questions[:400], slices.DeleteFunc(short.Questions(500), func(q generate.Question) bool { return q.Type == dns.TypeSOA })[:400]) {
		t.Error("other questions")
	}
	for _, q := range questions {
		if a, b := usual.Truth(q.Name, q.Type), short.Truth(q.Name, q.Type); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %v, with short TTLs %v", q, a, b)
		}
		m := new(dns.Msg)
		m.SetQuestion(q.Name, q.Type)
		for _, rr := range short.Recurse(m).Answer {
			if h := rr.Header(); h.Ttl > 16 && h.Rrtype != dns.TypeRRSIG {
				t.Errorf("%s: TTL %d", q, h.Ttl)
			}
		}
	}
}

// TestLacking: too few of a kind are noticed.
func TestLacking(t *testing.T) {
	w := world(t, 1)
	var truths []generate.Truth
	for _, q := range w.Questions(2000) {
		if truth := w.Truth(q.Name, q.Type); !truth.Has("dname") {
			truths = append(truths, truth)
		}
	}
	for len(truths) < 2000 {
		truths = append(truths, truths[0])
	}
	lacking := generate.Lacking(truths)
	if !slices.ContainsFunc(lacking, func(s string) bool { return strings.HasPrefix(s, "dname: 0 of 10") }) {
		t.Errorf("no DNAME, and lacking is %q", lacking)
	}
}

// TestServe: the world answers as an authoritative server, over UDP in the size that is
// asked for, over TCP in full.
func TestServe(t *testing.T) {
	w := world(t, 1)
	address, stop, err := w.Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	ask := func(network string, size uint16) *dns.Msg {
		m := new(dns.Msg)
		m.SetQuestion("No.T1.", dns.TypeA) // in any case
		m.SetEdns0(size, true)
		c := &dns.Client{Net: network, UDPSize: size}
		in, _, err := c.Exchange(m, address)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	full := ask("tcp", 512)
	if full.Truncated || !full.Authoritative || full.Rcode != dns.RcodeNameError || len(full.Ns) < 6 {
		t.Errorf("over TCP: %s", full)
	}
	if in := ask("udp", 512); !in.Truncated || len(in.Ns) >= len(full.Ns) {
		t.Errorf("over UDP in 512 octets: %s", in)
	}
	if in := ask("udp", 4096); in.Truncated || len(in.Ns) != len(full.Ns) {
		t.Errorf("over UDP in 4096 octets: %s", in)
	}
}

// TestValidator: the validator says what the world knows to be true, whether DNAME records
// have expired in the cache of the resolver or not (issue 1/8, F7).
func TestValidator(t *testing.T) {
	for _, tt := range []struct {
		seed    uint64
		expired bool
	}{{1, false}, {2, false}, {1, true}, {2, true}} {
		t.Run(fmt.Sprint(tt.seed, tt.expired), func(t *testing.T) {
			t.Parallel()
			w := world(t, tt.seed)
			v := validator(t, recursor{w, tt.expired})
			for _, q := range w.Questions(2500) {
				if tt.expired && !w.Truth(q.Name, q.Type).Has("dname") {
					continue // the answer is the same
				}
				name, err := rfc6125.ParseName(q.Name)
				if err != nil {
					t.Fatal(err)
				}
				truth := w.Truth(q.Name, q.Type)
				a, err := v.Resolve(t.Context(), dnssec.Question{Name: name, Type: dnssec.Type(q.Type)})
				if got, want := said(a, err), known(truth); got != want {
					t.Errorf("%s: the validator says %s (%s)\nbut it is %s: %s\nin %s", q, got, a.Reason, want, strings.Join(truth.Marks, " "), w.Spec(truth.Final))
				}
			}
		})
	}
}

// said is an answer of the validator in words.
func said(a dnssec.Answer, err error) string {
	switch {
	case errors.Is(err, dnssec.ErrBogus):
		return "bogus"
	case err != nil:
		return err.Error()
	}
	var data []string
	for _, r := range a.Records {
		data = append(data, fmt.Sprintf("%x", r.Data))
	}
	slices.Sort(data)
	return fmt.Sprintf("%s %s %s %s", a.Status, a.Kind, a.Final, data)
}

// known is the truth in the same words.
func known(t generate.Truth) string {
	if t.Status == generate.Bogus {
		return "bogus"
	}
	kind := dnssec.Data
	switch {
	case t.Rcode == dns.RcodeNameError:
		kind = dnssec.NXDomain
	case len(t.Data) == 0:
		kind = dnssec.NoData
	}
	final := strings.TrimSuffix(t.Final, ".")
	if final == "" {
		final = "."
	}
	return fmt.Sprintf("%s %s %s %s", t.Status, kind, final, t.Data)
}
