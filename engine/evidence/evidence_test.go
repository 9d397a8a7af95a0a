package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/store"
)

// A taped is the evidence of one world and what is believed there.
type taped struct {
	file    *evidence.File
	summary engine.Summary
	anchors []anchor.Anchor
	roots   *pkix.Roots
}

// tape checks one world of a running lab and records it; with a memory, if it asks for
// one, of what it was.
func tape(t *testing.T, l *lab.Lab, w lab.World, mode string) taped {
	t.Helper()
	if w.Request.Memory == "" {
		return tapeWith(t, l, w, mode, nil, nil)
	}
	kept, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	var action memory.Action
	if err := action.UnmarshalText([]byte(w.Request.Memory)); err != nil {
		t.Fatal(err)
	}
	m := &memory.Config{Action: action}
	tapeWith(t, l, w, mode, kept, m)
	if err := l.Forge(w.Name); err != nil {
		t.Fatal(err)
	}
	return tapeWith(t, l, w, mode, kept, m)
}

func tapeWith(t *testing.T, l *lab.Lab, w lab.World, mode string, kept store.Store, m *memory.Config) taped {
	t.Helper()
	out := taped{roots: pkix.NewRoots(l.CA())}
	front := l.Plain()
	if mode == evidence.ModeTrustAD {
		front = l.Resolver()
	}
	srv, err := upstream.PlainServer(front)
	if err != nil {
		t.Fatal(err)
	}
	if out.anchors, err = anchor.Parse(strings.NewReader(l.TrustAnchor())); err != nil {
		t.Fatal(err)
	}
	client, err := mxauth.New(mxauth.Config{
		Servers: []upstream.Server{srv}, TrustAD: mode == evidence.ModeTrustAD, Anchors: out.anchors, Roots: out.roots,
		Record: new(evidence.Recorder), Store: kept, Memory: m, AwaitPolicies: true, CachedPlans: -1,
		AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00:6d78::/32")},
		Dial:           l.Dial, Timeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	v, err := client.Check(t.Context(), w.Domain)
	if err != nil {
		t.Fatal(err)
	}
	out.summary, out.file = v.Summary, client.Evidence(t.Context(), v)
	return out
}

// written prints the file and reads it back.
func written(t *testing.T, f *evidence.File) *evidence.File {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	g, err := evidence.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// result prints all that a replay came to.
func result(t *testing.T, r *evidence.Replayed) string {
	t.Helper()
	var why []explain.Step
	why = append(why, explain.Plan(r.Plan)...)
	for i := range r.Plan.Hosts {
		why = append(append(why, explain.Host(&r.Plan.Hosts[i])...), explain.Steps(r.Plan, i, r.Hosts[i].Decision)...)
	}
	b, err := json.Marshal(map[string]any{"summary": r.Summary, "why": why, "differences": r.Differences, "unasked": r.Unasked})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// worlds are plain domains of the lab that answer in time.
func worlds(t *testing.T, most int) []lab.World {
	var out []lab.World
	for _, w := range lab.Worlds() {
		slow := strings.Contains(w.Name, "hang") || strings.Contains(w.Name, "timeout") || strings.Contains(w.Name, "silent")
		if len(out) < most && w.Was == nil && len(w.Args()) <= 1 && !slow {
			out = append(out, w)
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d worlds to look at", len(out))
	}
	return out
}

func TestReplay(t *testing.T) {
	list := worlds(t, 70)
	l := labtest.Start(t, lab.Config{Worlds: list})
	for _, mode := range []string{evidence.ModeValidate, evidence.ModeTrustAD} {
		for _, w := range list {
			t.Run(mode+"/"+w.Name, func(t *testing.T) {
				c := tape(t, l, w, mode)
				f := written(t, c.file)
				r, err := f.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, AllowTrustAD: true})
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Differences)+len(r.Unasked) > 0 {
					t.Errorf("differs: %q, not in the file: %q", r.Differences, r.Unasked)
				}
				if r.Summary.Outcome != c.summary.Outcome || r.Summary.Reason.ID != c.summary.Reason.ID {
					t.Errorf("%s (%s), want %s (%s)", r.Summary.Outcome, r.Summary.Reason.ID, c.summary.Outcome, c.summary.Reason.ID)
				}
				again, err := written(t, f).Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, AllowTrustAD: true})
				if err != nil {
					t.Fatal(err)
				}
				if a, b := result(t, r), result(t, again); a != b {
					t.Errorf("a second replay differs:\n%s\n%s", a, b)
				}
			})
		}
	}
}

// one tapes a single world.
func one(t *testing.T, name string) taped {
	t.Helper()
	w := labtest.World(t, name)
	return tape(t, labtest.Start(t, lab.Config{Worlds: []lab.World{w}}), w, evidence.ModeValidate)
}

// TestNothingIsBelieved: what an enemy changes in a file comes out as a difference, and
// never makes anything authenticated.
func TestNothingIsBelieved(t *testing.T) {
	dane, policy := one(t, "dane-ee"), one(t, "sts-enforce")
	replay := func(t *testing.T, c taped, f *evidence.File) *evidence.Replayed {
		t.Helper()
		r, err := f.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, AllowTrustAD: true})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	refused := func(t *testing.T, r *evidence.Replayed) {
		t.Helper()
		if r.Summary.Outcome == engine.Authenticated || len(r.Differences) == 0 {
			t.Errorf("%s by %s, differences %q", r.Summary.Outcome, r.Summary.Method, r.Differences)
		}
	}
	t.Run("a message with other octets", func(t *testing.T) {
		f := written(t, dane.file)
		n := 0
		for i := range f.DNS {
			if f.DNS[i].Type == uint16(dnssec.TypeTLSA) {
				b := f.DNS[i].Response
				b[bytes.Index(b, []byte{3, 1, 1})+5] ^= 1
				n++
			}
		}
		if n == 0 {
			t.Fatal("no TLSA message")
		}
		refused(t, replay(t, dane, f))
	})
	t.Run("a message that is missing", func(t *testing.T) {
		f := written(t, dane.file)
		f.DNS = slices.DeleteFunc(f.DNS, func(m evidence.Message) bool { return m.Type == uint16(dnssec.TypeTLSA) })
		r := replay(t, dane, f)
		refused(t, r)
		if len(r.Unasked) == 0 || !strings.Contains(r.Unasked[0], "_25._tcp.") {
			t.Errorf("not in the file: %q", r.Unasked)
		}
	})
	t.Run("other trust anchors than those of the reader", func(t *testing.T) {
		r, err := written(t, dane.file).Replay(t.Context(), evidence.ReplayConfig{Roots: dane.roots})
		if err != nil {
			t.Fatal(err)
		}
		refused(t, r)
	})
	t.Run("other roots than those of the reader", func(t *testing.T) {
		r, err := written(t, policy.file).Replay(t.Context(), evidence.ReplayConfig{Anchors: policy.anchors, Roots: pkix.NewRoots()})
		if err != nil {
			t.Fatal(err)
		}
		refused(t, r)
	})
	t.Run("another chain", func(t *testing.T) {
		f := written(t, dane.file)
		f.Hosts[0].Peers[0].Chain = written(t, policy.file).Hosts[0].Peers[0].Chain
		refused(t, replay(t, dane, f))
	})
	t.Run("a verdict that was embellished", func(t *testing.T) {
		f := written(t, dane.file)
		f.Verdict.Outcome = "cleartext"
		if r := replay(t, dane, f); !slices.Contains(r.Differences, "outcome was cleartext and is authenticated") {
			t.Errorf("%q", r.Differences)
		}
	})
	t.Run("a malformed policy", func(t *testing.T) {
		f := written(t, policy.file)
		f.STS.Text = "version: STSv1\nmode: enforce\n"
		refused(t, replay(t, policy, f))
	})
}

// TestRemembered: what was remembered is in the file, and a replay comes to the same; when
// the hold is over no one waits any more.
func TestRemembered(t *testing.T) {
	for name, reason := range map[string]reason.ID{
		"memory-dane-defer": reason.MemoryDANE, "memory-tls-defer": reason.MemoryTLS, "memory-dane-alert": "encrypted-name-mismatch",
	} {
		c := one(t, name)
		replay := func(at time.Time) *evidence.Replayed {
			t.Helper()
			r, err := written(t, c.file).Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, At: at})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := replay(time.Time{}); c.summary.Reason.ID != reason || r.Summary.Reason.ID != reason || len(r.Differences)+len(r.Unasked) > 0 {
			t.Errorf("%s: %s, in the replay %s: %q", name, c.summary.Reason.ID, r.Summary.Reason.ID, r.Differences)
		}
		later := replay(c.file.At.Add(memory.DefaultHold + time.Minute))
		for _, f := range later.Plan.Findings {
			t.Errorf("%s: after the hold: %s", name, explain.Text(f))
		}
		for _, h := range later.Hosts {
			if strings.HasPrefix(string(h.Decision.Reason.ID), "memory-") {
				t.Errorf("%s: after the hold: %s", name, explain.Text(h.Decision.Reason))
			}
		}
	}
}

func TestAnotherTime(t *testing.T) {
	c := one(t, "sts-enforce")
	at := func(d time.Duration) *evidence.Replayed {
		t.Helper()
		r, err := written(t, c.file).Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, At: c.file.At.Add(d)})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := at(time.Minute); r.Summary.Outcome != engine.Authenticated || len(r.Differences) > 0 {
		t.Errorf("a minute later: %s, %q", r.Summary.Outcome, r.Differences)
	}
	if r := at(100 * 365 * 24 * time.Hour); r.Summary.Outcome == engine.Authenticated || len(r.Differences) == 0 {
		t.Errorf("a century later: %s, %q", r.Summary.Outcome, r.Differences)
	}
}

func TestRead(t *testing.T) {
	const good = `{"v":1,"at":"2026-01-02T03:04:05Z","mode":"validate","request":{"next_hop":"example.org","level":"default","options":{"insecure_mx":"dane","dane_and_sts":"dane-first","sts_undetermined":"proceed"}},"dns":[],"sts":null,"hosts":[],"verdict":{"outcome":"deferred","method":"","deliver":false,"every_host":false,"reason_id":"","hosts":[]}}`
	f, err := evidence.Read(strings.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Replay(t.Context(), evidence.ReplayConfig{Roots: pkix.NewRoots()})
	if err != nil || r.Summary.Outcome != engine.Deferred {
		t.Errorf("an empty file: %v, %v", r, err)
	}
	for what, bad := range map[string]string{
		"nothing":            "",
		"no JSON":            "{",
		"no version":         `{}`,
		"another version":    strings.Replace(good, `"v":1`, `"v":2`, 1),
		"unknown field":      strings.Replace(good, `"dns"`, `"x":1,"dns"`, 1),
		"something behind":   good + "{}",
		"no time":            strings.Replace(good, "2026-01-02T03:04:05Z", "0001-01-01T00:00:00Z", 1),
		"mode":               strings.Replace(good, `"validate"`, `"believe"`, 1),
		"name":               strings.Replace(good, `"proceed"`, `"proceed","names":["a b"]`, 1),
		"empty name":         strings.Replace(good, `"proceed"`, `"proceed","names":[""]`, 1),
		"own host":           strings.Replace(good, `"options":`, `"own_hosts":["a b"],"options":`, 1),
		"empty own host":     strings.Replace(good, `"options":`, `"own_hosts":[""],"options":`, 1),
		"level":              strings.Replace(good, `"level":"default"`, `"level":"none"`, 1),
		"a person":           strings.Replace(good, "example.org", "someone@example.org", 1),
		"message of nothing": strings.Replace(good, `"dns":[]`, `"dns":[{"name":"example.org","type":15}]`, 1),
		"name of nothing":    strings.Replace(good, `"dns":[]`, `"dns":[{"name":"","type":15,"failed":"timeout"}]`, 1),
	} {
		if _, err := evidence.Read(strings.NewReader(bad)); !errors.Is(err, evidence.ErrFile) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := evidence.Read(strings.NewReader(strings.Repeat(" ", evidence.MaxFile+1))); !errors.Is(err, evidence.ErrFile) {
		t.Errorf("too large: %v", err)
	}
	memory := func(s string) string { return strings.Replace(good, `"hosts":[]`, `"memory":`+s+`,"hosts":[]`, 1) }
	for what, bad := range map[string]string{
		"no hold":     memory(`{"action":"defer","hold_seconds":0}`),
		"a year":      memory(`{"action":"defer","hold_seconds":31536000}`),
		"no time":     memory(`{"action":"defer","hold_seconds":60,"past":{"v":1,"domain":"example.org","dane":"all"}}`),
		"no domain":   memory(`{"action":"defer","hold_seconds":60,"past":{"v":1,"domain":"a b","dane":"all","dane_at":"2026-01-01T00:00:00Z"}}`),
		"no such":     memory(`{"action":"defer","hold_seconds":60,"past":{"v":1,"domain":"example.org","dane":"all","dane_at":"2026-01-01T00:00:00Z","drops":[{"kind":"x","since":"2026-01-01T00:00:00Z","noted":"2026-01-01T00:00:00Z"}]}}`),
		"next hop":    strings.Replace(good, "example.org", "192.0.2.1", 1),
		"certificate": strings.Replace(good, `"hosts":[],"verdict"`, `"hosts":[{"host":"[192.0.2.1]","peers":[{"address":"192.0.2.1:25","event":"handshake-done","chain":["AAAA"]}]}],"verdict"`, 1),
	} {
		bad = strings.Replace(bad, `"next_hop":"example.org"`, `"next_hop":"[192.0.2.1]"`, 1)
		f, err := evidence.Read(strings.NewReader(bad))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := f.Replay(t.Context(), evidence.ReplayConfig{Roots: pkix.NewRoots()}); !errors.Is(err, evidence.ErrFile) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"v":1,"at":"2026-01-02T03:04:05Z","mode":"trust-ad","request":{"next_hop":"example.org","level":"default","options":{"insecure_mx":"dane","dane_and_sts":"dane-first","sts_undetermined":"proceed"}},"dns":[{"name":"example.org","type":15,"cd":false,"response":"AAA="}],"sts":null,"hosts":[],"verdict":{"outcome":"deferred","method":"","deliver":false,"every_host":false,"reason_id":"","hosts":[]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := evidence.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if file.Mode == evidence.ModeTrustAD {
			return // statuses are the word of the file's author
		}
		r, err := file.Replay(t.Context(), evidence.ReplayConfig{Roots: pkix.NewRoots()})
		if err == nil && r.Summary.Outcome == engine.Authenticated {
			t.Errorf("authenticated by octets of nobody: %s", b)
		}
	})
}

// TestSchemaNamesEveryField holds docs/evidence.schema.json against what is written: every
// field that occurs is described there (the schema allows no others, by its own word).
func TestSchemaNamesEveryField(t *testing.T) {
	b, err := os.ReadFile("../../docs/evidence.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dane-ee", "sts-enforce", "stripped-dane", "greeting-junk", "policy-gzip", "sts-syntax", "memory-dane-defer", "memory-tls-defer"} {
		c := one(t, name)
		var out bytes.Buffer
		if err := c.file.Write(&out); err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(out.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		fits(t, name, schema, v)
	}
}

// fits checks the parts of JSON Schema that the file uses.
func fits(t *testing.T, at string, schema map[string]any, v any) {
	t.Helper()
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		t.Errorf("%s: %v is none of %v", at, v, enum)
	}
	switch v := v.(type) {
	case map[string]any:
		props, _ := schema["properties"].(map[string]any)
		for k, x := range v {
			p, ok := props[k].(map[string]any)
			if !ok {
				t.Errorf("%s.%s is not in the schema", at, k)
				continue
			}
			fits(t, at+"."+k, p, x)
		}
		required, _ := schema["required"].([]any)
		for _, k := range required {
			if _, ok := v[k.(string)]; !ok {
				t.Errorf("%s.%s is required and not there", at, k)
			}
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		if items == nil {
			t.Errorf("%s is a list, and the schema says nothing of its items", at)
			return
		}
		for _, x := range v {
			fits(t, at+"[]", items, x)
		}
	}
}
