package sts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// Branches that the other tests pass through without looking.

func TestExactFaults(t *testing.T) {
	for body, want := range map[string]string{
		": a\n":                                  "field name is not",
		"a\n":                                    `no ":"`,
		"mx: *.\n":                               "no host name",
		"mx: \x80\n":                             "not ASCII",
		"mx: \x7f\n":                             "not a host name",
		"mx: a..b\n":                             "empty label",
		"mx: -a\n":                               "begins or ends with a hyphen",
		"mx: a-\n":                               "begins or ends with a hyphen",
		"mx: 192.0.2.1":                          "an IP address",
		"max_age: 1x\n":                          "not a number",
		"x: \xff\n":                              "not UTF-8",
		"x: a\x00b\n":                            "control character",
		"x:\t\n":                                 "empty value",
		"\tx: a\n":                               "begins with a blank",
		"\n":                                     "empty line",
		"mode: Enforce":                          "mode is not",
		"version: STSv2":                         "version is not",
		"mx: " + strings.Repeat("a.", 127) + "a": "longer than 253",
		"mx: " + strings.Repeat("a", 64) + ".test": "longer than 63",
		"max_age: 12345678901":                     "more than 10 digits",
	} {
		_, err := sts.ParsePolicy([]byte(body))
		var se *sts.SyntaxError
		if !errors.As(err, &se) || se.Line != 1 || !strings.Contains(se.Why, want) {
			t.Errorf("%q: %v, want line 1 and %q", body, err, want)
		}
	}
	large := []byte(policy("none", 1) + "x: " + strings.Repeat("y", sts.MaxPolicySize))
	if _, err := sts.ParsePolicy(large); !errors.Is(err, sts.ErrPolicy) || !strings.Contains(err.Error(), "64 KiB") {
		t.Errorf("a large policy: %v", err)
	}
	if _, err := sts.ParsePolicy(large[:sts.MaxPolicySize]); err != nil {
		t.Errorf("a policy of just the limit: %v", err)
	}
}

func TestAbsenceIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.client().Lookup(context.Background(), host("example.org"))
		if r.TXTErr == nil || !strings.Contains(r.TXTErr.Error(), "nxdomain") {
			t.Errorf("got %v", r.TXTErr)
		}
	})
}

func TestExportOfModeNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", policy("none", 600))
		c := w.client()
		c.Lookup(context.Background(), host("example.org"))
		var b bytes.Buffer
		if n, err := c.Cache().Export(context.Background(), &b); n != 1 || err != nil || !strings.Contains(b.String(), `"mode":"none","max_age":600,"mx":[],`) {
			t.Errorf("%d, %v: %s", n, err, b.String())
		}
	})
}

// TestGoingOn: what is left behind by a caller goes on to the fetch exactly if the id is
// new.
func TestGoingOn(t *testing.T) {
	for _, id := range []string{"one", "two"} {
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				c := w.client()
				c.Lookup(context.Background(), host("example.org"))
				w.record("example.org", "v=STSv1; id="+id)
				release := w.dns.Hold("_mta-sts.example.org", typeTXT)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S9 || !r.Pending {
					t.Errorf("row %s", r.Row)
				}
				release()
				synctest.Wait()
				want := 1
				if id == "two" {
					want = 2
				}
				if r, _ := c.Cached(context.Background(), host("example.org")); r.ID != id || w.fetches() != want {
					t.Errorf("id %s, %d fetches", r.ID, w.fetches())
				}
			})
		})
	}
}

// A readOnlyStore can be read and not written.
type readOnlyStore struct{ *store.Memory }

func (readOnlyStore) Put(context.Context, store.Entry) error { return errBroken }

// TestUnwritableStore: what cannot be written applies, is reported, and is in the result.
func TestUnwritableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.domain("example.net", "one", "junk")
		ev := &events{}
		cfg := w.cfg
		cfg.Store, cfg.Observer = readOnlyStore{newMemory(t)}, ev.observer()
		c := must(sts.NewClient(cfg))
		defer c.Close()
		r := c.Lookup(context.Background(), host("example.org"))
		if r.Row != sts.S3 || !errors.Is(r.StoreErr, store.ErrUnavailable) {
			t.Errorf("row %s, %v", r.Row, r.StoreErr)
		}
		if got := ev.take(); got != "fetched example.org S3 ; store failed" {
			t.Errorf("told %q", got)
		}
		if r := c.Lookup(context.Background(), host("example.net")); r.Row != sts.S4 {
			t.Errorf("row %s", r.Row)
		}
		if got := ev.take(); got != "fetched example.net S4 syntax; store failed" {
			t.Errorf("told %q", got)
		}
	})
}

// TestFirstOfEqualFailures: of failures of one rank the first is told.
func TestFirstOfEqualFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.dns.Add("mta-sts.example.org. 300 IN A 9.9.9.11")
		w.dialErr = func(a netip.AddrPort) error { return fmt.Errorf("no route to %s", a) }
		_, err := w.client().Fetch(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if !errors.As(err, &fe) || fe.Addr.String() != "9.9.9.10:443" || len(w.attempts()) != 2 {
			t.Errorf("got %v", err)
		}
		w.dialErr = nil
		setCert(evilCA.leaf(nil, "mta-sts.example.org"))(w)
		_, err = w.client().Fetch(context.Background(), host("example.org"))
		if !errors.As(err, &fe) || fe.Addr.String() != "9.9.9.10:443" || fe.Kind != sts.ErrFetchWebPKI {
			t.Errorf("got %v", err)
		}
	})
}

// TestConnectionsAreClosed: however a fetch ends, its connections are closed when it
// returns.
func TestConnectionsAreClosed(t *testing.T) {
	everyFetch(t, func(t *testing.T, w *world) {
		w.client().Fetch(context.Background(), host("example.org"))
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, e := range w.ends {
			h := e.(*end).in // what the client writes
			h.mu.Lock()
			closed := h.closed
			h.mu.Unlock()
			if !closed {
				t.Errorf("connection %d is open", i)
			}
		}
	})
}

// everyFetch calls f with a world for each way in which a fetch of example.org fails, and
// with one in which it does not.
func everyFetch(t *testing.T, f func(t *testing.T, w *world)) {
	cases := append([]fetchCase{{name: "good", breaks: func(*world) {}}}, fetchCases...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				c.breaks(w)
				f(t, w)
			})
		})
	}
}

func TestExactRecordFaults(t *testing.T) {
	for txt, want := range map[string]string{
		"v=STSv1":            "no TXT record begins",
		"v=STSv1;":           "no id",
		"v=STSv1;;id=a":      "empty field between two semicolons",
		"v=STSv1; id=a; ;":   "empty field between two semicolons",
		"v=STSv1; id=a ":     "blanks at the end without a semicolon",
		"v=STSv1; id=a; x":   "field without \"=\"",
		"v=STSv1; id=a; _=b": "field name is not",
		"v=STSv1; id=a; " + strings.Repeat("n", 33) + "=b": "field name is not",
		"v=STSv1; id=":                           "id is not 1 to 32",
		"v=STSv1; id=" + strings.Repeat("a", 33): "id is not 1 to 32",
		"v=STSv1; id=a; x=":                      "value is not visible ASCII",
		"v=STSv1; id=a; x=b=c":                   "value is not visible ASCII",
	} {
		_, err := sts.ParseRecord([]string{txt})
		var se *sts.SyntaxError
		if !errors.As(err, &se) || !strings.Contains(se.Why, want) {
			t.Errorf("%q: %v, want %q", txt, err, want)
		}
	}
	if _, err := sts.ParseRecord(nil); err != sts.ErrNoRecord {
		t.Errorf("no record at all: %v", err)
	}
}
