package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// resolverLab has the three zones that the verb asks about.
func resolverLab(t *testing.T) *lab.Lab {
	t.Helper()
	l := labtest.Start(t, lab.Config{Worlds: []lab.World{
		{Name: "signed", Domain: "signed.test", NoMX: true},
		{Name: "unsigned", Domain: "unsigned.test", NoMX: true, Zones: []lab.Zone{{Apex: "unsigned.test", Sign: lab.Unsigned}}},
		{Name: "broken", Domain: "broken.test", NoMX: true, Zones: []lab.Zone{{Apex: "broken.test", DS: lab.DSWrong}}},
	}})
	return l
}

// runVerb runs a command line as main does and returns what the user sees.
func runVerb(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	e := newEnv(strings.NewReader(""), &out, &errs, func(string) string { return "" })
	code = run(t.Context(), args, e)
	return out.String(), errs.String(), code
}

func TestResolverVerb(t *testing.T) {
	l := resolverLab(t)
	zones := []string{"--signed", "signed.test", "--unsigned", "unsigned.test", "--broken", "broken.test", "--missing", "no.signed.test"}
	tests := []struct {
		name        string
		server      netip.AddrPort
		mode        string
		code        int
		says, nodoc string
	}{
		{"a validating resolver", l.Resolver(), "validate", 0, "good for validation, good for trust-ad (on this host)", "bad"},
		{"a validating resolver for trust-ad", l.Resolver(), "trust-ad", 0, "good for validation, good for trust-ad (on this host)", "bad"},
		{"one that does not validate", l.Plain(), "validate", 0, "good for validation\n", "trust-ad"},
		{"one that does not validate, for trust-ad", l.Plain(), "trust-ad", exitConfig, "unbound.conf: module-config", "good for trust-ad"},
		{"one that strips", l.Strips(), "validate", exitConfig, "dnsmasq.conf: proxy-dnssec", "good for validation"},
		{"one that lies", l.Lies(), "trust-ad", exitConfig, "it claims to have validated an unsigned answer: AD is set on unsigned.test", "good for trust-ad"},
		{"one that ignores CD", l.IgnoresCD(), "validate", 0, "ignore-cd-flag: no", "not usable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := runVerb(t, append([]string{"resolver", "--dnssec", tt.mode, tt.server.String()}, zones...)...)
			if code != tt.code || !strings.Contains(out, tt.says) || strings.Contains(out, tt.nodoc) || errs != "" {
				t.Errorf("exit %d, want %d\n%s%s", code, tt.code, out, errs)
			}
		})
	}
	t.Run("several, in the order asked, as JSON", func(t *testing.T) {
		args := append([]string{"resolver", "--json"}, zones...)
		for _, a := range []netip.AddrPort{l.Strips(), l.Resolver(), l.Plain()} {
			args = append(args, a.String())
		}
		out, errs, code := runVerb(t, args...)
		if code != exitConfig || errs != "" {
			t.Errorf("exit %d\n%s", code, errs)
		}
		var got []string
		for line := range strings.Lines(out) {
			var row struct {
				V          int
				Server     string
				Verdicts   []string
				Validation bool
				TrustAD    bool `json:"trust_ad"`
				Findings   []map[string]string
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil || row.V != 1 || len(row.Findings) < 5 {
				t.Fatalf("%s: %v", line, err)
			}
			got = append(got, fmt.Sprintf("%s %v %v %s", row.Server, row.Validation, row.TrustAD, row.Verdicts[0]))
		}
		want := []string{l.Strips().String() + " false false not usable", l.Resolver().String() + " true true good for validation", l.Plain().String() + " true false good for validation"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("\n got %v\nwant %v", got, want)
		}
	})
}

// TestResolverVerbNames: a good resolver that has a root of its own, in which the usual test
// names do not exist, is not called unusable (issue 1/8, F4).
func TestResolverVerbNames(t *testing.T) {
	l := resolverLab(t)
	for _, mode := range []string{"validate", "trust-ad"} {
		out, errs, code := runVerb(t, "resolver", "--dnssec", mode, l.Resolver().String())
		last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
		want := "  cannot be judged: ietf.org, google.com and dnssec-failed.org do not exist here; name what to test with: --signed ZONE --unsigned ZONE --broken ZONE\n"
		if code != exitConfig || last != want || errs != "" || strings.Contains(out, "not usable") || strings.Contains(out, "bad ") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
	}
}

func TestResolverVerbUsage(t *testing.T) {
	for _, args := range [][]string{
		{"resolver", "dns.example"},
		{"resolver", "http://127.0.0.1/"},
		{"resolver", "--signed", "", "127.0.0.1"},
		{"resolver", "--broken", "a..b", "127.0.0.1"},
		{"resolver", "--dnssec", "maybe", "127.0.0.1"},
	} {
		out, errs, code := runVerb(t, args...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "mxauth: ") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestResolverVerbSilence(t *testing.T) {
	// Nothing listens there: status 3, and the cure.
	out, _, code := runVerb(t, "resolver", "--timeout", time.Second.String(), "127.0.0.1:9")
	if code != exitDeferred || !strings.Contains(out, "start a resolver") || !strings.Contains(out, "not usable") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
