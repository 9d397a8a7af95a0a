package sts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRowString(t *testing.T) {
	for r, want := range map[sts.Row]string{0: "", sts.S1: "S1", sts.S2: "S2", sts.S9: "S9", sts.S10: "S10", sts.S12: "S12"} {
		if r.String() != want {
			t.Errorf("%d prints as %q", r, r)
		}
	}
	if sts.S12 != 12 {
		t.Error("rows are numbered as in the table")
	}
}

func TestTextForms(t *testing.T) {
	for _, m := range []sts.Mode{sts.ModeNone, sts.ModeTesting, sts.ModeEnforce} {
		var back sts.Mode
		if err := json.Unmarshal(must(json.Marshal(m)), &back); err != nil || back != m {
			t.Errorf("%s: %s, %v", m, back, err)
		}
	}
	var m sts.Mode
	if err := m.UnmarshalText([]byte("Enforce")); err == nil || m != 0 {
		t.Errorf("got %s, %v", m, err)
	}
	if sts.Mode(0).String() != "invalid" {
		t.Error("the zero Mode has a name")
	}
	for _, s := range []string{"a.example", "*.a.example"} {
		p := must(sts.ParsePattern(strings.ToUpper(s)))
		var back sts.Pattern
		if err := json.Unmarshal(must(json.Marshal(p)), &back); err != nil || back != p || p.String() != s {
			t.Errorf("%s: %s, %v", p, back, err)
		}
	}
	var p sts.Pattern
	if err := p.UnmarshalText([]byte("a.*")); !errors.Is(err, sts.ErrPolicy) {
		t.Errorf("got %v", err)
	}
}

func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&sts.SyntaxError{Why: "no version", Field: "version", Kind: sts.ErrPolicy}, "sts: policy invalid: field version: no version"},
		{&sts.SyntaxError{Line: 3, Why: "w", Text: "a\x1b[31m", Kind: sts.ErrPolicy}, `sts: policy invalid: line 3: w: "a\x1b[31m"`},
		{&sts.SyntaxError{Why: "w"}, "sts: syntax: w"},
		{&sts.FetchError{Kind: sts.ErrFetchDNS, Host: host("mta-sts.example.org"), Detail: "d", Cause: errors.New("c")}, "sts: policy fetch failed: dns: mta-sts.example.org: d"},
		{&sts.FetchError{Kind: sts.ErrFetchTCP, Host: host("mta-sts.example.org"), Addr: netip.MustParseAddrPort("9.9.9.10:443"), Cause: errors.New("a \"b\" \\ \x1b")},
			`sts: policy fetch failed: connect: mta-sts.example.org (9.9.9.10:443): a "b" \ \x1b`},
		{&sts.FetchError{Kind: sts.ErrFetchStatus, Host: host("h"), Detail: "status 500", Repeated: true, Until: time.Unix(0, 0)},
			"sts: policy fetch failed: http status: h: status 500 (not tried again before 1970-01-01T00:00:00Z)"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	long := &sts.FetchError{Kind: sts.ErrFetchTLS, Host: host("h"), Cause: errors.New(strings.Repeat("x", 10_000))}
	if n := len(long.Error()); n < 300 || n > 400 {
		t.Errorf("a text of %d octets", n)
	}
	// The text is cut between runes.
	_, err := sts.ParsePolicy([]byte(strings.Repeat("a", 79) + "é"))
	var se *sts.SyntaxError
	if !errors.As(err, &se) || se.Text != strings.Repeat("a", 79) {
		t.Errorf("got %q", se.Text)
	}
	_, err = sts.ParsePolicy([]byte(strings.Repeat("\x80", 100))) // no runes at all: each byte becomes U+FFFD
	if !errors.As(err, &se) || se.Text != strings.Repeat("\ufffd", 26) {
		t.Errorf("got %q", se.Text)
	}
	_, err = sts.ParsePolicy([]byte(strings.Repeat("a", 80)))
	if !errors.As(err, &se) || len(se.Text) != 80 {
		t.Errorf("got %q", se.Text)
	}
}

func TestFetchWords(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []error{sts.ErrFetchDNS, sts.ErrFetchAddress, sts.ErrFetchTCP, sts.ErrFetchTLS, sts.ErrFetchWebPKI, sts.ErrFetchHTTP, sts.ErrFetchStatus,
		sts.ErrFetchRedirect, sts.ErrFetchMediaType, sts.ErrFetchSize, sts.ErrFetchTimeout, sts.ErrFetchSyntax} {
		w := sts.FetchWord(&sts.FetchError{Kind: kind})
		if w == "" || seen[w] || sts.FetchKind(w) != kind || !errors.Is(kind, sts.ErrFetch) {
			t.Errorf("%v: word %q", kind, w)
		}
		seen[w] = true
	}
	if sts.FetchWord(errors.New("x")) != "" || sts.FetchWord(nil) != "" || sts.FetchKind("x") != sts.ErrFetch {
		t.Error("a word for what is none")
	}
}

// TestBackOffKinds: the failure that is remembered is the failure that was, in every kind.
func TestBackOffKinds(t *testing.T) {
	for _, c := range fetchCases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				c.breaks(w)
				cl := w.client()
				first := cl.Lookup(context.Background(), host("example.org"))
				again := cl.Lookup(context.Background(), host("example.org"))
				var a, b *sts.FetchError
				if !errors.As(first.FetchErr, &a) || !errors.As(again.FetchErr, &b) {
					t.Fatalf("%v, %v", first.FetchErr, again.FetchErr)
				}
				if a.Repeated || !b.Repeated || a.Kind != b.Kind || a.Status != b.Status || a.Note != b.Note || a.Host != b.Host || !a.Until.Equal(b.Until) || a.Until.Before(time.Now()) {
					t.Errorf("first %+v, again %+v", a, b)
				}
				if b.Detail == "" {
					t.Errorf("nothing is told of the failure: %v", b)
				}
			})
		})
	}
}

// TestNamesTooLong: a domain whose names would be too long has no record and no policy.
func TestNamesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		c := w.client()
		label := strings.Repeat("a", 61)
		long := host(strings.Repeat(label+".", 3) + strings.Repeat("a", 60)) // 246 octets
		r := c.Lookup(ctx, long)
		if r.Row != sts.S1 || !errors.Is(r.TXTErr, sts.ErrNoRecord) || len(w.dns.Asked()) != 0 || !r.Until.After(time.Now()) {
			t.Errorf("row %s, %v, asked %v", r.Row, r.TXTErr, w.dns.Asked())
		}
		if _, err := c.Fetch(ctx, long); !errors.Is(err, sts.ErrFetchDNS) || !errors.Is(err, rfc6125.ErrName) || len(w.dns.Asked()) != 0 {
			t.Errorf("got %v", err)
		}
	})
}

// TestMalformedRecord: RDATA that is no TXT is a failing lookup, not an absent record.
func TestMalformedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dns.AddRaw("_mta-sts.example.org", typeTXT, 300, []byte{200, 'x'})
		r := w.client().Lookup(context.Background(), host("example.org"))
		if r.Row != sts.S2 || !errors.Is(r.TXTErr, dnssec.ErrMalformed) {
			t.Errorf("row %s, %v", r.Row, r.TXTErr)
		}
	})
}

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		r, ans, err := w.client().Record(context.Background(), host("example.org"))
		if err != nil || r.ID != "one" || ans.Kind != dnssec.Data {
			t.Errorf("%+v, %+v, %v", r, ans, err)
		}
	})
}

// TestFetchIsPastTheCache: Fetch neither reads nor changes what is kept.
func TestFetchIsPastTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		c := w.client()
		for range 2 {
			if _, err := c.Fetch(context.Background(), host("example.org")); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := c.Cached(context.Background(), host("example.org")); ok || w.fetches() != 2 {
			t.Errorf("cached %v, %d requests", ok, w.fetches())
		}
	})
}

// TestCloseEndsAFetch: Close does not wait for a policy host, and what it cut off is no
// failure of that host.
func TestCloseEndsAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		gate := make(chan struct{})
		defer close(gate)
		w.serve("example.org", gated(gate, text(enforce)))
		st := newMemory(t)
		ev := &events{}
		c := w.client(func(c *sts.Config) { c.Store, c.Observer = st, ev.observer() })
		got := make(chan sts.Result, 1)
		go func() { got <- c.Lookup(context.Background(), host("example.org")) }()
		synctest.Wait()
		start := time.Now()
		c.Close()
		if time.Since(start) != 0 {
			t.Errorf("Close took %s", time.Since(start))
		}
		r := <-got
		if r.Row != sts.S13 || !r.Pending || r.Policy != nil || !errors.Is(r.FetchErr, sts.ErrNoTurn) {
			t.Errorf("row %s, %v", r.Row, r.FetchErr)
		}
		if n := st.Stats().Entries; n != 0 {
			t.Errorf("%d entries: a back-off was noted", n)
		}
		var fe *sts.FetchError
		if !errors.As(r.FetchErr, &fe) || !fe.Until.IsZero() || r.StoreErr != nil {
			t.Errorf("%+v, %v", fe, r.StoreErr)
		}
		if told := ev.take(); told != "fetched example.org S13 no-turn" || strings.Contains(w.logs.String(), "not fetched") {
			t.Errorf("told %q; log:\n%s", told, w.logs.String())
		}
	})
}

// TestCachedSaysWhenTheStoreFails: not known is not absent.
func TestCachedSaysWhenTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := &events{}
		w := newWorld(t)
		c := w.client(func(c *sts.Config) { c.Store, c.Observer = &brokenStore{}, ev.observer() })
		r, ok := c.Cached(context.Background(), host("example.org"))
		if ok || !errors.Is(r.StoreErr, store.ErrUnavailable) || r.Domain != host("example.org") {
			t.Errorf("%v, %+v", ok, r)
		}
		if ev.take() != "store failed" || !strings.Contains(w.logs.String(), "mta-sts store failed") {
			t.Error("not told")
		}
		// Who leaves before the store has answered says nothing of it.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, ok := c.Cached(ctx, host("example.org")); ok || ev.take() != "" {
			t.Error("told of a store that was not waited for")
		}
	})
}

// TestUntil: a policy, an answer and a failure each say when to ask again.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		w.domain("example.org", "one", policy("enforce", 100, "a.example"))
		c := w.client()
		now := time.Now()
		if r := c.Lookup(ctx, host("example.org")); !r.Until.Equal(now.Add(100 * time.Second)) {
			t.Errorf("with a policy of 100 s: %s", r.Until.Sub(now))
		}
		w.domain("example.net", "one", policy("enforce", 0, "a.example"))
		if r := c.Lookup(ctx, host("example.net")); !r.Until.Equal(now) || r.Policy == nil {
			t.Errorf("with a policy of no age: %s", r.Until.Sub(now))
		}
		w.domain("example.com", "one", enforce)
		if r := c.Lookup(ctx, host("example.com")); !r.Until.Equal(now.Add(300 * time.Second)) {
			t.Errorf("with an answer of 300 s: %s", r.Until.Sub(now))
		}
		// After a failure the back-off or the answer, whichever ends first.
		for ttl, want := range map[int]time.Duration{60: time.Minute, 3600: sts.BackOff} {
			name := fmt.Sprintf("ttl%d.example", ttl)
			w.domain(name, "one", "junk")
			w.dns.Remove("_mta-sts."+name, typeTXT)
			w.dns.Add(fmt.Sprintf("_mta-sts.%s. %d IN TXT \"v=STSv1; id=one\"", name, ttl))
			if r := c.Lookup(ctx, host(name)); r.Row != sts.S4 || !r.Until.Equal(now.Add(want)) {
				t.Errorf("after a failure, with an answer of %d s: row %s, %s", ttl, r.Row, r.Until.Sub(now))
			}
		}
	})
}
