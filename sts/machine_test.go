package sts_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
)

// The state machine against a model of a few lines: random histories of one domain, what
// it publishes, what breaks, and time; after each step a lookup, and the row, the policy,
// its id and its end are compared.

// A model is what the decision table's section 3 says, written down again.
type model struct {
	// What the world is.
	txt  string // "" none, "!" failing, else the id
	http string // "" failing, else the body
	// What is remembered.
	id, body string
	fetched  time.Time
	expires  time.Time
	backoff  map[string]time.Time
}

func (m *model) cached(now time.Time) bool { return m.body != "" && now.Before(m.expires) }

// lookup returns the row and whether a request is made.
func (m *model) lookup(now time.Time) (row sts.Row, request bool) {
	have := m.cached(now)
	pick := func(with, without sts.Row) sts.Row {
		if have {
			return with
		}
		return without
	}
	switch {
	case m.txt == "":
		return pick(sts.S8, sts.S1), false
	case m.txt == "!":
		return pick(sts.S9, sts.S2), false
	case have && m.id == m.txt:
		return sts.S5, false
	case now.Before(m.backoff[m.txt]):
		return pick(sts.S7, sts.S4), false
	case m.http == "":
		m.backoff[m.txt] = now.Add(5 * time.Minute)
		return pick(sts.S7, sts.S4), true
	}
	p := must(sts.ParsePolicy([]byte(m.http)))
	m.id, m.body, m.fetched, m.expires = m.txt, m.http, now, now.Add(p.MaxAge)
	m.backoff = map[string]time.Time{}
	return pick(sts.S6, sts.S3), true
}

// TestStateMachine plays histories without a background refresh.
func TestStateMachine(t *testing.T) {
	bodies := []string{policy("enforce", 3600, "a.example"), policy("enforce", 86400, "b.example"), policy("testing", 600, "a.example"), policy("none", 1200), policy("enforce", 1, "a.example")}
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			c := w.client()
			w.domain("example.org", "id0", bodies[0])
			m := &model{txt: "id0", http: bodies[0], backoff: map[string]time.Time{}}
			for step := range rapid.IntRange(1, 30).Draw(rt, "steps") {
				what := rapid.SampledFrom([]string{"wait", "wait long", "new id", "old id", "record gone", "record fails", "policy", "http fails", "http junk", "nothing"}).Draw(rt, "what")
				switch what {
				case "wait":
					time.Sleep(time.Duration(rapid.IntRange(1, 400).Draw(rt, "seconds")) * time.Second)
				case "wait long":
					time.Sleep(time.Duration(rapid.IntRange(1, 30).Draw(rt, "hours")) * time.Hour)
				case "new id", "old id":
					n := step + 1
					if what == "old id" {
						n = rapid.IntRange(0, 3).Draw(rt, "n")
					}
					m.txt = fmt.Sprint("id", n)
					w.record("example.org", "v=STSv1; id="+m.txt)
				case "record gone":
					m.txt = ""
					w.record("example.org")
				case "record fails":
					m.txt = "!"
					w.dns.Fail("_mta-sts.example.org", typeTXT, dnssec.ErrServFail)
				case "policy":
					m.http = rapid.SampledFrom(bodies).Draw(rt, "body")
					w.serve("example.org", text(m.http))
				case "http fails":
					m.http = ""
					w.serve("example.org", status(503))
				case "http junk":
					m.http = ""
					w.serve("example.org", text("junk"))
				}
				before := w.fetches()
				want, request := m.lookup(time.Now())
				r := c.Lookup(context.Background(), host("example.org"))
				if r.Row != want {
					rt.Fatalf("step %d (%s): row %s, want %s", step, what, r.Row, want)
				}
				if got := w.fetches() - before; (got == 1) != request || got > 1 {
					rt.Fatalf("step %d (%s): %d requests, want %v", step, what, got, request)
				}
				applies := m.cached(time.Now())
				if (r.Policy != nil) != applies {
					rt.Fatalf("step %d (%s), row %s: a policy applies: %v, want %v", step, what, r.Row, r.Policy != nil, applies)
				}
				if applies && (r.ID != m.id || r.Policy.Text != m.body || !r.Fetched.Equal(m.fetched) || !r.Expires.Equal(m.expires)) {
					rt.Fatalf("step %d (%s), row %s: id %s fetched %s, want %s %s", step, what, r.Row, r.ID, r.Fetched, m.id, m.fetched)
				}
				// What each row promises of the errors beside it.
				switch r.Row {
				case sts.S1, sts.S8:
					if !errors.Is(r.TXTErr, sts.ErrNoRecord) {
						rt.Fatalf("row %s: %v", r.Row, r.TXTErr)
					}
				case sts.S2, sts.S9:
					if !errors.Is(r.TXTErr, dnssec.ErrServFail) {
						rt.Fatalf("row %s: %v", r.Row, r.TXTErr)
					}
				case sts.S4, sts.S7:
					if !errors.Is(r.FetchErr, sts.ErrFetch) {
						rt.Fatalf("row %s: %v", r.Row, r.FetchErr)
					}
				default:
					if r.TXTErr != nil || r.FetchErr != nil {
						rt.Fatalf("row %s: %v, %v", r.Row, r.TXTErr, r.FetchErr)
					}
				}
			}
		})
	})
}
