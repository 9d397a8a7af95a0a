package lint_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/pkix"
)

// A street is a lab with all that looks at it.
type street struct {
	lab      *lab.Lab
	resolver dnssec.Resolver
	roots    *pkix.Roots
}

func start(t *testing.T, worlds []lab.World) street {
	t.Helper()
	l := labtest.Start(t, lab.Config{Worlds: worlds, Now: clock})
	srv, err := upstream.PlainServer(l.Plain())
	if err != nil {
		t.Fatal(err)
	}
	up, err := upstream.New(upstream.Config{Servers: []upstream.Server{srv}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Close() })
	anchors, err := anchor.Parse(strings.NewReader(l.TrustAnchor()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: up, Anchors: anchors, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return street{l, v, pkix.NewRoots(l.CA())}
}

// clock is when the tests take place.
func clock() time.Time { return time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC) }

// look lints one domain; timeout is how long it waits for any server.
func (s street) look(ctx context.Context, domain string, timeout time.Duration) ([]lint.Finding, error) {
	snap, err := s.survey(ctx, domain, timeout)
	if err != nil {
		return nil, err
	}
	return lint.Check(snap), nil
}

// survey looks at one domain.
func (s street) survey(ctx context.Context, domain string, timeout time.Duration) (survey.Snapshot, error) {
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00:6d78::/32")}
	client, err := mxauth.New(mxauth.Config{Resolver: s.resolver, Roots: s.roots, AllowAddresses: allow, Dial: s.lab.Dial, Timeout: timeout, Now: clock})
	if err != nil {
		return survey.Snapshot{}, err
	}
	defer client.Close()
	return survey.Collect(ctx, survey.Config{Client: client, Roots: s.roots, Dial: s.lab.Dial, Allow: allow, Now: clock}, domain)
}

func TestKindsAreComplete(t *testing.T) {
	kinds := lint.Kinds()
	if len(kinds) < 35 {
		t.Errorf("%d kinds", len(kinds))
	}
	for _, k := range kinds {
		if k.About == "" || k.RFC == "" || strings.ToLower(string(k.ID)) != string(k.ID) {
			t.Errorf("%+v", k)
		}
	}
}

// TestWorlds looks at every world of the lab: nothing is said twice of one host, every
// finding is whole, and those that a world names are there.
func TestWorlds(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at every world of the lab")
	}
	worlds := lab.Worlds()
	s := start(t, worlds)
	told := newTeller(t, s)
	seen := map[lint.ID]string{}
	for _, w := range worlds {
		if len(w.Args()) > 0 && w.Args()[len(w.Args())-1] != w.Domain {
			continue
		}
		t.Run(w.Name, func(t *testing.T) {
			findings, err := s.look(t.Context(), w.Domain, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			last := lint.Error
			for _, f := range findings {
				if f.Severity > last {
					t.Errorf("%s stands behind less severe ones", f.ID)
				}
				last = f.Severity
				if f.Text == "" || f.Do == "" || f.RFC == "" || len(f.Evidence) == 0 {
					t.Errorf("not whole: %+v", f)
				}
				if strings.Contains(f.Text, "%!") || strings.Contains(strings.Join(f.Evidence, ""), "%!") {
					t.Errorf("a broken format: %+v", f)
				}
				seen[f.ID] = w.Name
				told.finding(w, f)
			}
			if w.Clean && len(findings) > 0 {
				t.Errorf("there is nothing to find, and %d were: %s", len(findings), findings[0].ID)
			}
			for _, id := range w.Lint {
				if !slices.ContainsFunc(findings, func(f lint.Finding) bool { return string(f.ID) == id }) {
					t.Errorf("%s is not found", id)
				}
			}
		})
	}
	told.check(t)
	var missing []string
	for _, k := range lint.Kinds() {
		if seen[k.ID] == "" {
			missing = append(missing, string(k.ID))
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("not shown by any world: %v", missing)
	}
}
