package sts_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// longPolicy is a policy body of about 64 KiB that says little.
func longPolicy(mx ...string) string {
	b := policy("enforce", 604800, mx...)
	b += strings.Repeat("x-note: "+strings.Repeat("n", 90)+"\n", (sts.MaxPolicySize-len(b))/99)
	return b
}

// TestKeptText: of a long policy is kept what decides, and nothing else.
func TestKeptText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		st := newMemory(t)
		var log logBuffer
		cl := w.client(func(c *sts.Config) { c.Store, c.Logger = st, slog.New(slog.NewTextHandler(&log, nil)) })
		w.domain("long.example", "id1", longPolicy("mx.long.example", "*.long.example", "mx.long.example"))
		w.domain("short.example", "id1", policy("enforce", 604800, "mx.short.example")+"x-note: n\n")
		for _, name := range []string{"long.example", "short.example"} {
			first := cl.Lookup(t.Context(), host(name))
			again := cl.Lookup(t.Context(), host(name))
			if first.Row != sts.S3 || again.Row != sts.S5 || first.Policy.Text != again.Policy.Text || len(first.Policy.Text) > 4<<10 {
				t.Errorf("%s: rows %s and %s, %d and %d octets", name, first.Row, again.Row, len(first.Policy.Text), len(again.Policy.Text))
			}
			for _, r := range []sts.Result{first, again} {
				if _, ok := r.Policy.Match(host("mx." + name)); !ok || r.Policy.Mode != sts.ModeEnforce || r.Policy.MaxAge != week {
					t.Errorf("%s: %+v", name, r.Policy)
				}
			}
			if has := strings.Contains(again.Policy.Text, "x-note"); has != (name == "short.example") {
				t.Errorf("%s: the text is %.200q", name, again.Policy.Text)
			}
		}
		if s := st.Stats(); s.Bytes > 1000 {
			t.Errorf("%d octets are kept", s.Bytes)
		}
		st.All(t.Context(), "", func(e store.Entry) bool {
			if e.Group == "" || !strings.HasSuffix(e.Key, e.Group) {
				t.Errorf("%s is in group %q", e.Key, e.Group)
			}
			return true
		})
		// The same policy fetched again is no change.
		time.Sleep(25 * time.Hour)
		cl.Refresh(t.Context())
		// An entry of an earlier version, which kept all.
		if err := sts.Keep(cl, host("long.example"), "id1", longPolicy("mx.long.example", "*.long.example"), time.Now().Add(-26*time.Hour)); err != nil {
			t.Fatal(err)
		}
		cl.Refresh(t.Context())
		if text := log.String(); strings.Contains(text, "policy changed") {
			t.Error(text)
		}
		// An export of what is kept can be imported.
		var out strings.Builder
		if n, err := cl.Cache().Export(t.Context(), &out); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		into, _ := cacheOf(newMemory(t))
		if n, err := into.Import(t.Context(), strings.NewReader(out.String()), "test"); err != nil || n.Stored != 2 {
			t.Fatal(n, err)
		}
	})
}

// TestKeptTextReads: what is kept reads back to the same policy, and is no longer than the
// body, whatever that is.
func TestKeptTextReads(t *testing.T) {
	var many []string
	for i := range 4000 {
		many = append(many, fmt.Sprintf("mx:m%d.ex", i))
	}
	for name, body := range map[string]string{
		"patterns":  "version:STSv1\nmode:enforce\nmax_age:1\n" + strings.Join(many, "\n"),
		"CRLF":      "version: STSv1\r\nmode: testing\r\nmax_age: 31557600\r\n" + strings.Repeat("mx: *.example.com\r\n", 400),
		"none":      "version: STSv1\nmode: none\nmax_age: 0\n" + strings.Repeat("a: b\n", 1000),
		"short":     "version: STSv1\nmode: none\nmax_age: 0\na: b\n",
		"repeated":  "version: STSv1\nmode: enforce\nmode: none\nmax_age: 5\nmax_age: 6\nmx: a.example\n" + strings.Repeat("a: b\n", 1000),
		"the limit": longPolicy("mx.example.com"),
	} {
		p, err := sts.ParsePolicy([]byte(body))
		if err != nil {
			t.Fatal(name, err)
		}
		c := p.Compact()
		q, err := sts.ParsePolicy([]byte(c.Text))
		if err != nil || len(c.Text) > len(body) {
			t.Errorf("%s: %d octets of %d: %v", name, len(c.Text), len(body), err)
			continue
		}
		if q.Mode != p.Mode || q.MaxAge != p.MaxAge || c.Mode != p.Mode || c.MaxAge != p.MaxAge || fmt.Sprint(q.MX) != fmt.Sprint(c.MX) || q.Compact().Text != c.Text {
			t.Errorf("%s: %+v became %+v", name, p, q)
		}
		has := map[sts.Pattern]bool{}
		for _, m := range c.MX {
			has[m] = true
		}
		for _, m := range p.MX {
			if !has[m] {
				t.Errorf("%s: %s is lost", name, m)
			}
		}
	}
}
