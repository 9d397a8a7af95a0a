package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// openService opens a daemon that does no background work: a test does each step itself.
func openService(t *testing.T, l *testLab) *service {
	t.Helper()
	e := newEnv(strings.NewReader(""), io.Discard, io.Discard, func(string) string { return "" })
	e.dial = l.Dial
	file, _, _ := writeConfig(t, l, shortDir(t), "")
	s, err := settings.Load(settings.Source{File: file, Getenv: e.getenv, Environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	e.set = s
	e.flags.apply(s)
	d, err := openDaemon(t.Context(), e, s, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// TestPolicyChange: a refresh that finds another policy drops the kept reply of that domain
// at once, while the reply is still valid by its DNS records, and no other reply. The mail
// server then gets what the policy demands now, whether that is less or more than before.
func TestPolicyChange(t *testing.T) {
	const domain = "sts-enforce.test"
	policy := func(mode string) string {
		return "version: STSv1\r\nmode: " + mode + "\r\nmx: mx." + domain + "\r\nmax_age: 604800\r\n"
	}
	for _, c := range []struct{ name, old, now, before, after string }{
		{"withdrawn", "enforce", "none", "secure ", ""},
		{"enforced", "none", "enforce", "", "secure "},
		{"unchanged", "enforce", "enforce", "secure ", "secure "},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := startLab(t, serveWorlds(t, "sts-enforce", "dane-ee"), nil)
			d := openService(t, l)
			url := "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
			if errs, err := l.Publish([]lab.Edit{{World: "sts-enforce", URL: url, Body: policy(c.now)}}); err != nil || errs[0] != nil {
				t.Fatal(errs, err)
			}
			// The old policy was fetched long enough ago that a refresh is due.
			policies := d.current.client.Policies()
			line := fmt.Sprintf(`{"v":1,"domain":%q,"id":"1","fetched":%q,"policy":%q}`, domain, time.Now().Add(-30*time.Hour).UTC().Format(time.RFC3339), policy(c.old))
			if n, err := policies.Cache().Import(t.Context(), strings.NewReader(line), "test"); err != nil || n.Stored != 1 {
				t.Fatal(n, err)
			}
			ask := func(name, want string) answers.Event {
				t.Helper()
				a := d.answers.Ask(t.Context(), mtapolicy.Plain, name)
				if kind := a.Reply.Kind; want == "" && kind != mtapolicy.NotFound || want != "" && kind != mtapolicy.Found || !strings.HasPrefix(a.Reply.Text, want) {
					t.Errorf("%s: %v %q, want %q", name, kind, a.Reply.Text, want)
				}
				return a
			}
			ask(domain, c.before)
			ask("dane-ee.test", "dane-only")
			if again := ask(domain, c.before); !again.Warm {
				t.Fatal("the reply is not kept")
			}
			policies.Refresh(t.Context())
			if a := ask(domain, c.after); a.Warm != (c.old == c.now) {
				t.Errorf("after the refresh: from the kept replies: %v", a.Warm)
			}
			if a := ask("dane-ee.test", "dane-only"); !a.Warm {
				t.Error("the reply of another domain was dropped")
			}
		})
	}
}
