package anchor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/dnstree"
	"github.com/mxauth/mxauth/rfc6125"
)

const day = 24 * time.Hour

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newKey(t *testing.T) dnstree.Key {
	t.Helper()
	k, err := dnstree.RootKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func anchorOf(t *testing.T, k dnstree.Key) anchor.Anchor {
	t.Helper()
	a, err := anchor.Parse(strings.NewReader(k.String()))
	if err != nil {
		t.Fatal(err)
	}
	return a[0]
}

// set makes the root's key set of all keys, signed by some.
func set(t *testing.T, at time.Time, keys []dnstree.Key, by ...dnstree.Key) *proof.RRset {
	t.Helper()
	rrs, err := dnstree.SignKeys(keys, by, at.Add(-day), at.Add(20*day))
	if err != nil {
		t.Fatal(err)
	}
	m := &dns.Msg{Answer: rrs}
	m.SetQuestion(".", dns.TypeDNSKEY)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return &proof.Group(p.Answer)[0]
}

// see lets a state take a look at a key set.
func see(t *testing.T, s anchor.State, at time.Time, rr *proof.RRset) anchor.State {
	t.Helper()
	o, _ := s.Observe(rr, proof.DefaultAlgorithms(), at, proof.NewBudget())
	return s.Step(o, at)
}

func states(s anchor.State) string {
	var out []string
	for _, k := range s.Keys {
		out = append(out, k.Status.String())
	}
	return strings.Join(out, " ")
}

func TestRollover(t *testing.T) {
	a, b := newKey(t), newKey(t)
	root := rfc6125.RootName()
	begin := anchor.NewState(root, []anchor.Anchor{anchorOf(t, a)}, start)
	t.Run("TA5011-2.2-01 hold-down", func(t *testing.T) {
		s := see(t, begin, start, set(t, start, []dnstree.Key{a, b}, a))
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{day, "VALID ADDPEND"}, {29 * day, "VALID ADDPEND"}, {30*day - time.Second, "VALID ADDPEND"}, {30 * day, "VALID VALID"}, {31 * day, "VALID VALID"}} {
			at := start.Add(c.after)
			if got := states(see(t, s, at, set(t, at, []dnstree.Key{a, b}, a))); got != c.want {
				t.Errorf("after %s: %s, want %s", c.after, got, c.want)
			}
		}
		// A validated set that still has it is needed; time alone does not do.
		at := start.Add(40 * day)
		if got := states(s.Step(anchor.Observation{}, at)); got != "VALID ADDPEND" {
			t.Error(got)
		}
		// One that has it no more begins again.
		gone := see(t, s, start.Add(10*day), set(t, start.Add(10*day), []dnstree.Key{a}, a))
		if got := states(gone); got != "VALID" {
			t.Error(got)
		}
		back := see(t, gone, start.Add(11*day), set(t, start.Add(11*day), []dnstree.Key{a, b}, a))
		if got := states(see(t, back, at, set(t, at, []dnstree.Key{a, b}, a))); got != "VALID ADDPEND" {
			t.Error(got)
		}
	})
	t.Run("a TTL longer than the hold-down counts", func(t *testing.T) {
		long := anchor.KeyState{Key: *anchorOf(t, b).Key, Status: anchor.AddPend, Since: start, TTL: 40 * day}
		s := anchor.State{Zone: root, Keys: []anchor.KeyState{begin.Keys[0], long}}
		for after, want := range map[time.Duration]string{39 * day: "VALID ADDPEND", 40 * day: "VALID VALID"} {
			at := start.Add(after)
			if got := states(see(t, s, at, set(t, at, []dnstree.Key{a, b}, a))); got != want {
				t.Errorf("%s: %s", after, got)
			}
		}
	})
	t.Run("TA5011-2.2-02 an anchor that is missing stays one", func(t *testing.T) {
		s := anchor.NewState(root, []anchor.Anchor{anchorOf(t, a), anchorOf(t, b)}, start)
		s = see(t, s, start, set(t, start, []dnstree.Key{a}, a))
		if states(s) != "VALID MISSING" || len(s.Anchors()) != 2 {
			t.Fatal(states(s))
		}
		s = see(t, s, start.Add(400*day), set(t, start.Add(400*day), []dnstree.Key{a}, a))
		if states(s) != "VALID MISSING" {
			t.Error(states(s))
		}
		// It may even vouch for the set in which it comes back.
		s = see(t, s, start.Add(401*day), set(t, start.Add(401*day), []dnstree.Key{b}, b))
		if states(s) != "MISSING VALID" {
			t.Error(states(s))
		}
	})
	t.Run("TA5011-2.1-01 a revoked key is none any more", func(t *testing.T) {
		s := anchor.NewState(root, []anchor.Anchor{anchorOf(t, a), anchorOf(t, b)}, start)
		r := a.Revoked()
		s = see(t, s, start, set(t, start, []dnstree.Key{r, b}, r, b))
		if states(s) != "REVOKED VALID" || len(s.Anchors()) != 1 {
			t.Fatal(states(s))
		}
		// The old form does not bring it back.
		again := see(t, s, start.Add(day), set(t, start.Add(day), []dnstree.Key{a, b}, a, b))
		if states(again) != "REVOKED VALID" {
			t.Error(states(again))
		}
		for after, want := range map[time.Duration]string{30*day - time.Second: "REVOKED VALID", 30 * day: "REMOVED VALID"} {
			at := start.Add(after)
			got := see(t, s, at, set(t, at, []dnstree.Key{b}, b))
			if states(got) != want {
				t.Errorf("after %s: %s", after, states(got))
			}
			if want == "REMOVED VALID" {
				back := see(t, got, at.Add(day), set(t, at.Add(day), []dnstree.Key{a, b}, b))
				if states(back) != want || len(back.Anchors()) != 1 {
					t.Errorf("removed, and back: %s", states(back))
				}
			}
		}
		// While it is still seen the time does not run.
		seen := see(t, s, start.Add(29*day), set(t, start.Add(29*day), []dnstree.Key{r, b}, r, b))
		if got := see(t, seen, start.Add(31*day), set(t, start.Add(31*day), []dnstree.Key{b}, b)); states(got) != "REVOKED VALID" {
			t.Error(states(got))
		}
	})
	t.Run("a revocation has to be signed by the key itself, and by nobody else", func(t *testing.T) {
		s := anchor.NewState(root, []anchor.Anchor{anchorOf(t, a), anchorOf(t, b)}, start)
		r := a.Revoked()
		if got := see(t, s, start, set(t, start, []dnstree.Key{r, b}, b)); states(got) != "MISSING VALID" {
			t.Error(states(got))
		}
		alone := see(t, begin, start, set(t, start, []dnstree.Key{r}, r))
		if states(alone) != "REVOKED" || len(alone.Anchors()) != 0 {
			t.Error(states(alone))
		}
	})
	t.Run("a pending key that is revoked is forgotten", func(t *testing.T) {
		s := see(t, begin, start, set(t, start, []dnstree.Key{a, b}, a))
		r := b.Revoked()
		if got := see(t, s, start.Add(day), set(t, start.Add(day), []dnstree.Key{a, r}, a, r)); states(got) != "VALID" {
			t.Error(states(got))
		}
	})
	t.Run("a set that no anchor signs teaches nothing", func(t *testing.T) {
		rr := set(t, start, []dnstree.Key{a, b}, b)
		if _, err := begin.Observe(rr, proof.DefaultAlgorithms(), start, proof.NewBudget()); !errors.Is(err, proof.ErrNoKey) {
			t.Error(err)
		}
		if got := see(t, begin, start, rr); states(got) != "VALID" || !got.Seen.IsZero() {
			t.Errorf("%s %s", states(got), got.Seen)
		}
	})
	t.Run("keys without SEP are not followed", func(t *testing.T) {
		zsk := newKey(t)
		zsk.Flags = 256
		if got := see(t, begin, start, set(t, start, []dnstree.Key{a, zsk}, a)); states(got) != "VALID" {
			t.Error(states(got))
		}
	})
	t.Run("TA5011-2.4.3-01 five keys and more, to a limit", func(t *testing.T) {
		keys := []dnstree.Key{a}
		for range 5 {
			keys = append(keys, newKey(t))
		}
		s := see(t, begin, start, set(t, start, keys, a))
		at := start.Add(31 * day)
		if s = see(t, s, at, set(t, at, keys, a)); len(s.Anchors()) != 6 {
			t.Error(states(s))
		}
		for range 58 { // with which the set is as large as one may be
			keys = append(keys, newKey(t))
		}
		if s = see(t, begin, start, set(t, start, keys, a)); len(s.Keys) != 32 {
			t.Errorf("%d keys", len(s.Keys))
		}
	})
	t.Run("TA5011-2.3-01 when to look again", func(t *testing.T) {
		for _, c := range []struct{ ttl, life, refresh, retry time.Duration }{
			{0, 0, time.Hour, time.Hour},
			{2 * day, 20 * day, day, 2 * day / 10},
			{40 * day, 60 * day, 15 * day, day},
			{40 * day, 4 * day, 2 * day, 4 * day / 10},
			{time.Hour, 20 * day, time.Hour, time.Hour},
		} {
			s := anchor.State{TTL: c.ttl, SigLife: c.life}
			if s.Refresh() != c.refresh || s.Retry() != c.retry {
				t.Errorf("%+v: %s, %s", c, s.Refresh(), s.Retry())
			}
		}
		s := see(t, begin, start, set(t, start, []dnstree.Key{a}, a))
		if s.TTL != 2*day || s.SigLife != 20*day || !s.Seen.Equal(start) {
			t.Errorf("%+v", s)
		}
	})
}

func TestStateFile(t *testing.T) {
	a := newKey(t)
	line := func(flags uint16, rest string) string {
		return fmt.Sprintf(". 172800 IN DNSKEY %d 3 15 %s %s\n", flags, a.PublicKey, rest)
	}
	for what, c := range map[string]struct{ text, want string }{
		"valid":      {"; autotrust trust anchor file\n;;id: . 1\n;;last_success: 1502438004 ;;Fri\n" + line(257, ";;state=2 [  VALID  ] ;;count=0 ;;lastchange=1502438004 ;;Fri"), "VALID"},
		"all states": {line(257, ";;state=0") + line(257, ";;state=1") + line(257, ";;state=2") + line(257, ";;state=3") + line(385, ";;state=4") + line(385, ";;state=5"), "START ADDPEND VALID MISSING REVOKED REMOVED"},
		"without":    {line(257, "") + line(257, ";;state=2"), "VALID VALID"},
	} {
		s, err := anchor.ParseState(strings.NewReader(c.text))
		if err != nil || states(s) != c.want {
			t.Errorf("%s: %s %v", what, states(s), err)
			continue
		}
		out, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		again, err := anchor.ParseState(strings.NewReader(string(out)))
		if err != nil || states(again) != c.want || !again.Seen.Equal(s.Seen) {
			t.Errorf("%s: %q reads back as %s: %v", what, out, states(again), err)
		}
		for _, k := range s.Keys {
			if k.Key.Revoked() {
				t.Errorf("%s: a key with REVOKE", what)
			}
		}
	}
	s, err := anchor.ParseState(strings.NewReader(";;last_success: 1502438004\n" + line(257, ";;state=1 ;;lastchange=1502438005")))
	if err != nil || s.Seen.Unix() != 1502438004 || s.Keys[0].Since.Unix() != 1502438005 {
		t.Errorf("%+v %v", s, err)
	}
	// A file with states gives only what is believed.
	as, err := anchor.Parse(strings.NewReader(line(257, ";;state=2") + line(257, ";;state=1")))
	if err != nil || len(as) != 1 {
		t.Errorf("%v %v", as, err)
	}
	for what, text := range map[string]string{
		"nothing valid":      line(257, ";;state=1"),
		"no such state":      line(257, ";;state=6"),
		"a state of letters": line(257, ";;state=x"),
		"revoked and valid":  line(385, ";;state=2"),
		"a digest":           ". DS 1 8 2 00 ;;state=2",
		"two zones":          line(257, ";;state=2") + "a" + line(257, ";;state=2"),
		"too many":           strings.Repeat(line(257, ";;state=2"), 33),
		"cut":                ". IN DNSKEY 257 3 ;;state=2",
	} {
		if as, err := anchor.Parse(strings.NewReader(text)); !errors.Is(err, anchor.ErrAnchor) || as != nil {
			t.Errorf("%s: %v, %v", what, as, err)
		}
	}
	if _, err := anchor.ParseState(strings.NewReader("; nothing")); !errors.Is(err, anchor.ErrAnchor) {
		t.Error(err)
	}
}
