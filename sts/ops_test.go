package sts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// cacheOf returns the operations on a store, and what they log.
func cacheOf(s store.Store) (*sts.Cache, *bytes.Buffer) {
	var log bytes.Buffer
	return sts.NewCache(s, nil, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func items(t *testing.T, c *sts.Cache) map[string]sts.Item {
	t.Helper()
	m := map[string]sts.Item{}
	if err := c.List(context.Background(), func(i sts.Item) bool { m[i.Domain.String()] = i; return true }); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOperations(t *testing.T) {
	ctx := context.Background()
	run := func(name string, f func(t *testing.T, w *world, st *store.Memory, c *sts.Client)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				st := newMemory(t)
				c := w.client(func(c *sts.Config) { c.Store = st })
				for _, p := range []struct{ name, body string }{
					{"enforce.example", policy("enforce", 604800, "mx.enforce.example", "*.enforce.example")},
					{"testing.example", policy("testing", 86400, "mx.testing.example")},
					{"none.example", policy("none", 3600)},
				} {
					w.domain(p.name, "id1", p.body)
					if r := c.Lookup(ctx, host(p.name)); r.Row != sts.S3 {
						t.Fatal(r.FetchErr)
					}
				}
				f(t, w, st, c)
			})
		})
	}
	run("list and show", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		now := time.Now().UTC()
		got := items(t, c.Cache())
		want := sts.Item{V: 1, Domain: host("enforce.example"), ID: "id1", Mode: sts.ModeEnforce, MaxAge: 604800,
			MX: []sts.Pattern{must(sts.ParsePattern("mx.enforce.example")), must(sts.ParsePattern("*.enforce.example"))}, Fetched: now, Expires: now.Add(week)}
		if d := cmp.Diff(want, got["enforce.example"], cmp.Comparer(func(a, b sts.Pattern) bool { return a == b }), cmp.Comparer(func(a, b rfc6125.Host) bool { return a == b })); d != "" || len(got) != 3 {
			t.Errorf("%d items; (-want +got)\n%s", len(got), d)
		}
		i, ok, err := c.Cache().Show(ctx, host("testing.example"))
		if err != nil || !ok || i.Mode != sts.ModeTesting || !strings.HasPrefix(i.Policy, "version: STSv1\n") {
			t.Errorf("Show: %+v, %v, %v", i, ok, err)
		}
		if _, ok, err := c.Cache().Show(ctx, host("no.example")); ok || err != nil {
			t.Errorf("Show of what is not there: %v, %v", ok, err)
		}
		n := 0
		if err := c.Cache().List(ctx, func(sts.Item) bool { n++; return false }); err != nil || n != 1 {
			t.Errorf("List goes on after false: %d, %v", n, err)
		}
		// After a failed refresh it shows.
		w.serve("enforce.example", status(500))
		time.Sleep(25 * time.Hour)
		c.Refresh(ctx)
		i, _, _ = c.Cache().Show(ctx, host("enforce.example"))
		if i.Failures != 1 || i.Tried == nil || !i.Tried.Equal(time.Now()) || !i.Fetched.Equal(now) {
			t.Errorf("after a failed refresh: %+v", i)
		}
	})
	run("export and import", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		var out bytes.Buffer
		n, err := c.Cache().Export(ctx, &out)
		if err != nil || n != 3 || strings.Count(out.String(), "\n") != 3 {
			t.Fatalf("%d, %v:\n%s", n, err, out.String())
		}
		text := out.String()
		into, log := cacheOf(newMemory(t))
		got, err := into.Import(ctx, strings.NewReader("\n"+text), "root")
		if err != nil || got != (sts.Imported{Stored: 3}) {
			t.Fatalf("%+v, %v", got, err)
		}
		if d := cmp.Diff(fmt.Sprint(items(t, c.Cache())), fmt.Sprint(items(t, into))); d != "" {
			t.Errorf("(-exported +imported)\n%s", d)
		}
		if !strings.Contains(log.String(), `msg="mta-sts policies imported" who=root stored=3`) {
			t.Errorf("not logged:\n%s", log.String())
		}
		// Again: nothing is newer. And with what was fetched since, the newer stays.
		if got, err := into.Import(ctx, strings.NewReader(text), "root"); err != nil || got != (sts.Imported{Older: 3}) {
			t.Errorf("again: %+v, %v", got, err)
		}
		time.Sleep(time.Hour)
		w.record("enforce.example", "v=STSv1; id=id2")
		if r := c.Lookup(ctx, host("enforce.example")); r.Row != sts.S6 {
			t.Fatal(r.FetchErr)
		}
		if got, err := c.Cache().Import(ctx, strings.NewReader(text), "root"); err != nil || got != (sts.Imported{Older: 2, Expired: 1}) {
			t.Errorf("%+v, %v", got, err)
		}
		if i := items(t, c.Cache())["enforce.example"]; i.ID != "id2" {
			t.Errorf("an older policy has replaced a newer: %+v", i)
		}
		out.Reset()
		c.Cache().Export(ctx, &out)
		if got, err := into.Import(ctx, &out, "root"); err != nil || got != (sts.Imported{Stored: 1, Older: 1}) {
			t.Errorf("%+v, %v", got, err)
		}
		if i := items(t, into)["enforce.example"]; i.ID != "id2" {
			t.Errorf("the newer policy was not taken: %+v", i)
		}
	})
	run("import of many", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		var out bytes.Buffer
		for i := range 2500 {
			fmt.Fprintf(&out, `{"v":1,"domain":"d%d.example","id":"a","fetched":%q,"policy":"version: STSv1\nmode: none\nmax_age: 600"}`+"\n", i, time.Now().UTC().Format(time.RFC3339Nano))
		}
		if got, err := c.Cache().Import(ctx, &out, "root"); err != nil || got.Stored != 2500 || len(items(t, c.Cache())) != 2503 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	run("import of nonsense", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		good := sts.Item{V: 1, Domain: host("new.example"), ID: "a", Fetched: time.Now(), Policy: enforce}
		line := func(change func(*sts.Item)) string {
			i := good
			change(&i)
			return string(must(json.Marshal(i)))
		}
		for name, l := range map[string]string{
			"no JSON":             "{",
			"version":             strings.Replace(line(func(*sts.Item) {}), `"v":1`, `"v":2`, 1),
			"no domain":           strings.Replace(line(func(*sts.Item) {}), `"domain":"new.example"`, `"domain":""`, 1),
			"bad domain":          strings.Replace(line(func(*sts.Item) {}), `new.example`, `..`, 1),
			"bad id":              line(func(i *sts.Item) { i.ID = "a-b" }),
			"no id":               line(func(i *sts.Item) { i.ID = "" }),
			"bad policy":          line(func(i *sts.Item) { i.Policy = "mode: enforce" }),
			"large policy":        line(func(i *sts.Item) { i.Policy = enforce + strings.Repeat("x: y\n", 20_000) }),
			"a time that is none": strings.Replace(line(func(*sts.Item) {}), `"fetched":"`, `"fetched":5,"was":"`, 1),
			"from the future":     line(func(i *sts.Item) { i.Fetched = time.Now().Add(time.Second) }),
			"an over-long one":    strings.Repeat("x", 600<<10),
		} {
			before := items(t, c.Cache())
			ok := line(func(i *sts.Item) { i.Domain = host("before.example") })
			got, err := c.Cache().Import(ctx, strings.NewReader(ok+"\n"+l+"\n"+line(func(*sts.Item) {})), "root")
			if !errors.Is(err, sts.ErrImport) || !strings.Contains(err.Error(), "import 2") {
				t.Errorf("%s: got %v", name, err)
			}
			if got.Stored+got.Older != 1 {
				t.Errorf("%s: %+v", name, got)
			}
			after := items(t, c.Cache())
			delete(after, "before.example")
			delete(before, "before.example")
			if len(after) != len(before) {
				t.Errorf("%s: %d entries, %d before", name, len(after), len(before))
			}
		}
		// What ended long ago, whatever the time stamp says.
		got, err := c.Cache().Import(ctx, strings.NewReader(line(func(i *sts.Item) { i.Fetched = time.Time{} })), "root")
		if err != nil || got != (sts.Imported{Expired: 1}) {
			t.Errorf("%+v, %v", got, err)
		}
	})
	run("delete", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		cache, log := cacheOf(st)
		was, err := cache.Delete(ctx, host("enforce.example"), "alice")
		if err != nil || !was {
			t.Fatal(was, err)
		}
		if !strings.Contains(log.String(), `level=WARN msg="mta-sts policy deleted" domain=enforce.example who=alice was=true`) || !strings.HasPrefix(log.String(), "time=") {
			t.Errorf("not logged:\n%s", log.String())
		}
		if was, err := cache.Delete(ctx, host("enforce.example"), ""); err != nil || was {
			t.Errorf("again: %v, %v", was, err)
		}
		if got := items(t, c.Cache()); len(got) != 2 {
			t.Errorf("left: %v", got)
		}
		if _, ok := c.Cached(ctx, host("enforce.example")); ok {
			t.Error("still cached")
		}
		// Trust on first use once more.
		n := w.fetches()
		if r := c.Lookup(ctx, host("enforce.example")); r.Row != sts.S3 || w.fetches() != n+1 {
			t.Errorf("row %s", r.Row)
		}
		if len(items(t, c.Cache())) != 3 {
			t.Error("what was deleted does not come back when it is fetched")
		}
		// Without a name it still says that somebody did it.
		if was, err := cache.Delete(ctx, host("enforce.example"), ""); err != nil || !was {
			t.Fatal(was, err)
		}
		if _, ok := c.Cached(ctx, host("enforce.example")); ok {
			t.Error("still cached")
		}
	})
	run("delete ends the back-off", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		w.domain("broken.example", "id1", "")
		if r := c.Lookup(ctx, host("broken.example")); r.Row != sts.S4 {
			t.Fatal(r.Row)
		}
		w.serve("broken.example", text(enforce))
		if was, err := c.Cache().Delete(ctx, host("broken.example"), "bob"); err != nil || was {
			t.Fatal(was, err)
		}
		if r := c.Lookup(ctx, host("broken.example")); r.Row != sts.S3 {
			t.Errorf("row %s: %v", r.Row, r.FetchErr)
		}
	})
	run("a store that fails", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		cache, log := cacheOf(&brokenStore{})
		_, _, serr := cache.Show(ctx, host("a.example"))
		_, derr := cache.Delete(ctx, host("a.example"), "carol")
		_, eerr := cache.Export(ctx, &bytes.Buffer{})
		line := string(must(json.Marshal(sts.Item{V: 1, Domain: host("new.example"), ID: "a", Fetched: time.Now(), Policy: enforce})))
		_, ierr := cache.Import(ctx, strings.NewReader(line), "carol")
		for what, err := range map[string]error{"Show": serr, "Delete": derr, "Export": eerr, "Import": ierr, "List": cache.List(ctx, func(sts.Item) bool { return true })} {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 2 {
			t.Errorf("%d errors in the log:\n%s", n, log.String())
		}
	})
	run("an export that cannot be written", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		if _, err := c.Cache().Export(ctx, failingWriter{}); !errors.Is(err, errWriter) {
			t.Errorf("got %v", err)
		}
	})
	run("entries that are damaged", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		e, _, err := st.Get(ctx, "sts/p/enforce.example")
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*store.Entry){
			"cut":           func(e *store.Entry) { e.Value = e.Value[:10] },
			"empty":         func(e *store.Entry) { e.Value = nil },
			"version":       func(e *store.Entry) { e.Value[0] = 9 },
			"id length":     func(e *store.Entry) { e.Value[20] = 255 },
			"policy cut":    func(e *store.Entry) { e.Value = e.Value[:len(e.Value)-20] },
			"class testing": func(e *store.Entry) { e.Class = store.Testing },
			"class":         func(e *store.Entry) { e.Class = store.Negative },
		} {
			bad := e
			bad.Value = bytes.Clone(e.Value)
			change(&bad)
			if err := st.Put(ctx, bad); err != nil {
				t.Fatal(err)
			}
			// Damage is not absence: the domain may have had an enforce policy.
			w.record("enforce.example")
			r := c.Lookup(ctx, host("enforce.example"))
			if r.Row != sts.S2 || r.Policy != nil || !errors.Is(r.StoreErr, store.ErrDamaged) {
				t.Errorf("%s: row %s, store %v", name, r.Row, r.StoreErr)
			}
			n := 0
			err := c.Cache().List(ctx, func(sts.Item) bool { n++; return true })
			if n != 2 || !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s: List shows %d, %v", name, n, err)
			}
			// A fetch repairs it.
			w.record("enforce.example", "v=STSv1; id=id1")
			if r := c.Lookup(ctx, host("enforce.example")); r.Row != sts.S3 {
				t.Errorf("%s: row %s", name, r.Row)
			}
		}
		st.Put(ctx, store.Entry{Key: "sts/p/NOT.example", Value: e.Value, Class: e.Class, Expires: e.Expires})
		if err := c.Cache().List(ctx, func(sts.Item) bool { return true }); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("a bad key: %v", err)
		}
		st.Delete(ctx, "sts/p/NOT.example")
		bad := e
		bad.Value = []byte{9}
		st.Put(ctx, bad)
		if was, err := c.Cache().Delete(ctx, host("enforce.example"), "dave"); err != nil || !was {
			t.Errorf("Delete of a damaged entry: %v, %v", was, err)
		}
		if err := c.Cache().List(ctx, func(sts.Item) bool { return true }); err != nil {
			t.Errorf("after Delete: %v", err)
		}
	})
	run("a store cannot prolong a life", func(t *testing.T, w *world, st *store.Memory, c *sts.Client) {
		e, _, _ := st.Get(ctx, "sts/p/enforce.example")
		e.Expires = time.Now().AddDate(5, 0, 0)
		st.Put(ctx, e)
		if r, ok := c.Cached(ctx, host("enforce.example")); !ok || r.Expires.Sub(r.Fetched) != sts.MaxMaxAge {
			t.Errorf("expires %s after the fetch", r.Expires.Sub(r.Fetched))
		}
	})
}

var errWriter = errors.New("the writer fails on purpose")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errWriter }
