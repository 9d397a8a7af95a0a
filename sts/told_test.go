package sts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// What is reported a policy, and taken elsewhere.

// TestChangeIsTold: a policy under a new id that says something else, and no other.
func TestChangeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ev := &events{}
		c := w.client(func(c *sts.Config) { c.Observer = ev.observer() })
		for _, step := range []struct{ id, body, want string }{
			{"one", enforce, "fetched example.org S3 "},
			{"two", enforce, "fetched example.org S6 "},
			{"three", policy("testing", 604800, "mx.example.org"), "fetched example.org S6 ; changed example.org enforce testing false"},
			{"four", policy("testing", 604800, "mx2.example.org"), "fetched example.org S6 ; changed example.org testing testing false"},
			{"five", policy("none", 604800), "fetched example.org S6 ; changed example.org testing none false"},
		} {
			w.domain("example.org", step.id, step.body)
			w.dns.Remove("mta-sts.example.org", dnssec.TypeA)
			w.dns.Add("mta-sts.example.org. 300 IN A " + hostAddr.String())
			c.Lookup(context.Background(), host("example.org"))
			if got := ev.take(); got != step.want {
				t.Errorf("id %s: told %q, want %q", step.id, got, step.want)
			}
		}
	})
}

// TestImportOfTheLargest: a policy of just the limit, of which JSON escapes all that it can, can
// be taken from one store to another.
func TestImportOfTheLargest(t *testing.T) {
	c := w64(t)
	var out strings.Builder
	if n, err := c.Export(t.Context(), &out); n != 1 || err != nil || out.Len() < 2*sts.MaxPolicySize {
		t.Fatalf("%d, %v, %d octets", n, err, out.Len())
	}
	into := sts.NewCache(newMemory(t), nil, nil)
	if got, err := into.Import(t.Context(), strings.NewReader(out.String()), "root"); err != nil || got.Stored != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// w64 keeps one policy of 64 KiB.
func w64(t *testing.T) *sts.Cache {
	t.Helper()
	body := policy("none", 604800) + "x: "
	body += strings.Repeat("\u2028", (sts.MaxPolicySize-len(body))/3)
	body += strings.Repeat("y", sts.MaxPolicySize-len(body))
	m := newMemory(t)
	keepRaw(t, m, "example.org", body, store.None)
	return sts.NewCache(m, nil, nil)
}

// fullWriter takes nothing.
type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestExportStops: at the first line that cannot be written.
func TestExportStops(t *testing.T) {
	m := newMemory(t)
	for i := range 100 {
		keepRaw(t, m, fmt.Sprintf("d%d.example", i), enforce, store.Enforce)
	}
	if n, err := sts.NewCache(m, nil, nil).Export(t.Context(), fullWriter{}); n >= 50 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%d, %v", n, err)
	}
}

// TestExportIsPlain: what needs no escape has none.
func TestExportIsPlain(t *testing.T) {
	m := newMemory(t)
	body := enforce + "x: <a&b>\n"
	keepRaw(t, m, "example.org", body, store.Enforce)
	var out strings.Builder
	if n, err := sts.NewCache(m, nil, nil).Export(t.Context(), &out); n != 1 || err != nil || !strings.Contains(out.String(), `x: <a&b>\n`) {
		t.Errorf("%d, %v: %s", n, err, out.String())
	}
}

// batchStore notes how many entries come at once.
type batchStore struct {
	*store.Memory
	batches []int
}

func (s *batchStore) PutAll(ctx context.Context, es []store.Entry) error {
	s.batches = append(s.batches, len(es))
	for _, e := range es {
		if err := s.Memory.Put(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// importLines are n policies of different domains, a line each.
func importLines(n int) io.Reader {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"v":1,"domain":"d%d.example","id":"a","fetched":%q,"policy":"version: STSv1\nmode: none\nmax_age: 600"}`+"\n", i, time.Now().UTC().Format(time.RFC3339Nano))
	}
	return strings.NewReader(b.String())
}

// TestImportInBatches: neither one by one nor all of it in memory.
func TestImportInBatches(t *testing.T) {
	s := &batchStore{Memory: newMemory(t)}
	got, err := sts.NewCache(s, nil, nil).Import(t.Context(), importLines(2500), "root")
	if err != nil || got.Stored != 2500 || !slices.Equal(s.batches, []int{1000, 1000, 500}) {
		t.Errorf("%+v, %v, batches of %v", got, err, s.batches)
	}
}

// TestFailureIsLogged: with the domain, the id, the row and why.
func TestFailureIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.serve("example.org", status(500))
		w.client().Lookup(context.Background(), host("example.org"))
		for _, want := range []string{"level=WARN", `msg="mta-sts policy not fetched"`, "domain=example.org", "id=one", "row=S4", "status 500"} {
			if !strings.Contains(w.logs.String(), want) {
				t.Errorf("%s is not in the log:\n%s", want, w.logs.String())
			}
		}
	})
}

// TestImportOverTheLimit: one octet more than a policy may have is refused.
func TestImportOverTheLimit(t *testing.T) {
	body := policy("none", 600) + "x: "
	body += strings.Repeat("y", sts.MaxPolicySize-len(body))
	for extra, ok := range map[string]bool{"": true, "y": false} {
		line := fmt.Sprintf(`{"v":1,"domain":"example.org","id":"a","fetched":%q,"policy":%q}`, time.Now().UTC().Format(time.RFC3339Nano), body+extra)
		if got, err := sts.NewCache(newMemory(t), nil, nil).Import(t.Context(), strings.NewReader(line), "root"); (err == nil) != ok || !ok && !strings.Contains(err.Error(), "64 KiB") {
			t.Errorf("%d octets: %+v, %v", len(body+extra), got, err)
		}
		if _, err := sts.ParsePolicy([]byte(body + extra)); (err == nil) != ok {
			t.Errorf("%d octets: %v", len(body+extra), err)
		}
	}
}

// TestImportOfOldPolicies: what was fetched before any policy that can be good is left out.
func TestImportOfOldPolicies(t *testing.T) {
	for _, fetched := range []string{"0001-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2001-01-01T00:00:00Z"} {
		line := fmt.Sprintf(`{"v":1,"domain":"example.org","id":"a","fetched":%q,"policy":%q}`, fetched, policy("none", 31557600))
		if got, err := sts.NewCache(newMemory(t), nil, nil).Import(t.Context(), strings.NewReader(line), "root"); err != nil || got != (sts.Imported{Expired: 1}) {
			t.Errorf("%s: %+v, %v", fetched, got, err)
		}
	}
}

// TestNoHosts: a policy that names none has no list, and an error without a cause no second
// one.
func TestNoHosts(t *testing.T) {
	if p, err := sts.ParsePolicy([]byte(policy("none", 1))); err != nil || p.MX != nil {
		t.Errorf("%#v, %v", p.MX, err)
	}
	cause := errors.New("cause")
	if n := len((&sts.FetchError{Kind: sts.ErrFetchDNS}).Unwrap()); n != 1 {
		t.Errorf("%d errors in one without a cause", n)
	}
	if fe := (&sts.FetchError{Kind: sts.ErrFetchDNS, Cause: cause}); len(fe.Unwrap()) != 2 || !errors.Is(fe, cause) {
		t.Errorf("%v", fe.Unwrap())
	}
}

// TestImportEndsWithTheFirstFailure of the store, also where the next write would do.
func TestImportEndsWithTheFirstFailure(t *testing.T) {
	fails := 1
	s := &policyStore{Memory: newMemory(t), put: func(store.Entry) error {
		if fails--; fails >= 0 {
			return errBroken
		}
		return nil
	}}
	if got, err := sts.NewCache(s, nil, nil).Import(t.Context(), importLines(1001), "root"); !errors.Is(err, errBroken) || got.Stored != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
