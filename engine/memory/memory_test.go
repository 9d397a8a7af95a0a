package memory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func empty(t *testing.T) store.Store {
	t.Helper()
	s, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConfig(t *testing.T) {
	_, err := memory.New(memory.Config{Action: memory.Defer + 1, Hold: 97 * time.Hour, Keep: time.Hour})
	for _, want := range []string{"Store", "Action", "Hold", "Keep"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+want) {
			t.Errorf("no word of %s: %v", want, err)
		}
	}
	s := empty(t)
	if _, err := memory.New(memory.Config{Store: s, Hold: memory.MaxHold + 1}); err == nil {
		t.Error("held for longer than a queue keeps a message")
	}
	m, err := memory.New(memory.Config{Store: s, Action: memory.Defer, Hold: memory.MaxHold, Keep: memory.Precision})
	if err != nil || m.Policy() != (memory.Policy{Action: memory.Defer, Hold: memory.MaxHold}) {
		t.Fatal(err)
	}
	m.Close()
	if _, err := memory.New(memory.Config{Hold: -1, Keep: -1}); err == nil || !strings.Contains(err.Error(), "Hold") || !strings.Contains(err.Error(), "Keep") {
		t.Error(err)
	}
	for _, text := range []string{"accept", "alert", "defer"} {
		var a memory.Action
		if err := a.UnmarshalText([]byte(text)); err != nil || a.String() != text {
			t.Errorf("%s: %v %v", text, a, err)
		}
	}
	var a memory.Action
	if err := a.UnmarshalText([]byte("panic")); err == nil {
		t.Error("no such action")
	}
}

// TestPastSize: an entry as large as may be is read, and no larger one.
func TestPastSize(t *testing.T) {
	text := `{"v":1,"domain":"example.org","sts":"enforce","sts_at":"2000-01-01T00:00:00Z"}`
	for size, want := range map[int]bool{16 << 10: true, 16<<10 + 1: false} {
		e := store.Entry{Key: "engine/m/example.org", Value: []byte(text + strings.Repeat(" ", size-len(text))), Expires: epoch}
		if _, ok := memory.RecodePast(e); ok != want {
			t.Errorf("%d octets: %v", size, ok)
		}
	}
}

// FuzzPast: no bytes of a store make it panic; what is taken is written back as it was.
func FuzzPast(f *testing.F) {
	f.Add([]byte(`{"v":1,"domain":"example.org","dane":"all","dane_at":"2026-01-01T00:00:00Z","tls":[{"host":"mx.example.org","at":"2026-01-01T00:00:00Z"}],"drops":[{"kind":"tls-gone","host":"mx.example.org","since":"2026-01-01T00:00:00Z","noted":"2026-01-02T00:00:00Z"}]}`))
	f.Add([]byte(`{"v":1,"domain":"example.org","sts":"enforce","sts_at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"v":1,"domain":"example.org","sts":"none"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := memory.RecodePast(store.Entry{Key: "engine/m/example.org", Value: b, Expires: epoch})
		if !ok {
			return
		}
		again, ok := memory.RecodePast(e)
		if !ok || string(again.Value) != string(e.Value) || again.Key != e.Key || !again.Expires.Equal(e.Expires) {
			t.Errorf("%q became %q", e.Value, again.Value)
		}
		if err := e.Check(); err != nil {
			t.Error(err)
		}
	})
}

// TestCompare: what a domain proves now, after what it proved before.
func TestCompare(t *testing.T) {
	domain, err := rfc6125.ParseHost("example.org")
	if err != nil {
		t.Fatal(err)
	}
	all := memory.Past{DANE: memory.CoverAll, DANEAt: epoch}
	enforced := memory.Past{STS: sts.ModeEnforce, STSAt: epoch}
	for _, c := range []struct {
		name    string
		past    memory.Past
		now     memory.State
		changed bool
		fresh   memory.DropKind
	}{
		{"nothing before, nothing now", memory.Past{}, memory.State{DANEKnown: true, STSKnown: true, STSDrop: memory.DropSTS}, false, ""},
		{"DANE is new", memory.Past{}, memory.State{DANEKnown: true, DANE: memory.CoverAll}, true, ""},
		{"DANE is as it was", all, memory.State{DANEKnown: true, DANE: memory.CoverAll}, false, ""},
		{"DANE is gone", all, memory.State{DANEKnown: true}, true, memory.DropDANE},
		{"DANE is gone in part", all, memory.State{DANEKnown: true, DANE: memory.CoverSome}, true, memory.DropDANEPartly},
		{"DANE is not known", all, memory.State{}, false, ""},
		{"the policy is gone", enforced, memory.State{STSKnown: true, STSDrop: memory.DropSTS}, true, memory.DropSTS},
		{"the policy is in testing", enforced, memory.State{STSKnown: true, STS: sts.ModeTesting, STSAt: epoch, STSDrop: memory.DropSTSTesting}, true, memory.DropSTSTesting},
		{"the policy is not known", enforced, memory.State{}, false, ""},
	} {
		c.past.V, c.past.Domain = 1, "example.org"
		before := c.past
		u := c.past.Compare(domain, 25, c.now, memory.Policy{Action: memory.Defer, Hold: memory.DefaultHold}, epoch.Add(time.Hour))
		var fresh memory.DropKind
		if len(u.Fresh) > 0 {
			fresh = u.Fresh[0].Kind
		}
		if u.Changed != c.changed || fresh != c.fresh || len(u.Fresh) > 1 || u.Next.Port != 0 {
			t.Errorf("%s: %+v", c.name, u)
		}
		if c.past.DANE != before.DANE || c.past.STS != before.STS || len(c.past.Drops) != 0 {
			t.Errorf("%s: the past was changed: %+v", c.name, c.past)
		}
		again := u.Next.Compare(domain, 25, c.now, memory.Policy{}, epoch.Add(2*time.Hour))
		if len(again.Fresh) > 0 {
			t.Errorf("%s: noticed again: %+v", c.name, again.Fresh)
		}
	}
}
