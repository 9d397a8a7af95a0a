package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/advise/forecast"
	"github.com/mxauth/mxauth/conformance/lab"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// goldenClock is when the answers of testdata/golden are given.
func goldenClock() time.Time { return time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC) }

// next is a public key that no world publishes.
const next = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEk8XY1rhDEPolJfYx/3qyfRjf6278
Nz2Rz7ewNAZ/JJNYp5tnzrP9OJgQdTuj67bUHuH6K8QpOblZWwBkslv1kw==
-----END PUBLIC KEY-----
`

// goldens are the answers that testdata/golden holds, a file each, and the worlds that they
// are about.
var goldens = []struct {
	file, world string
	args        []string // before the domain
}{
	{"lint-all-good", "all-good", []string{"lint"}},
	{"lint-classic", "classic-mismatch", []string{"lint"}},
	{"lint-tlsa-mismatch", "tlsa-mismatch", []string{"lint"}},
	{"lint-tlsa-mismatch.json", "tlsa-mismatch", []string{"lint", "--json"}},
	{"lint-reports-malformed", "lint-reports-malformed", []string{"lint"}},
	{"lint-no-spare", "lint-no-spare", []string{"lint"}},
	{"lint-two-keys", "two-keys-only-ecdsa", []string{"lint"}},
	{"lint-two-keys-expired", "two-keys-enforce-expired", []string{"lint"}},
	{"lint-long-ttl", "lint-long-ttl", []string{"lint"}},
	{"lint-certificate-pinned", "lint-certificate-pinned", []string{"lint"}},
	{"lint-some-hosts", "lint-some-hosts", []string{"lint"}},
	{"lint-dane-only", "lint-dane-only", []string{"lint"}},
	{"lint-dane-certificate", "lint-dane-certificate", []string{"lint"}},
	{"lint-host-expiring", "lint-host-expiring", []string{"lint"}},
	{"lint-field-repeated", "lint-field-repeated", []string{"lint"}},
	{"lint-testing-long", "lint-testing-long", []string{"lint"}},
	{"lint-pattern-unused", "lint-pattern-unused", []string{"lint"}},
	{"lint-certificate-cn", "lint-certificate-cn", []string{"lint"}},
	{"lint-mixed-addresses", "lint-mixed-addresses", []string{"lint"}},
	{"lint-agility", "agility-weak", []string{"lint"}},
	{"lint-txt-quoted", "near-txt-quoted", []string{"lint"}},
	{"lint-txt-date", "near-txt-date", []string{"lint"}},
	{"lint-policy-bom", "near-policy-bom", []string{"lint"}},
	{"lint-policy-nbsp", "near-policy-nbsp", []string{"lint"}},
	{"lint-policy-space-colon", "near-policy-space-colon", []string{"lint"}},
	{"lint-policy-gzip", "policy-gzip", []string{"lint"}},
	{"lint-policy-304", "policy-304", []string{"lint"}},
	{"lint-policy-alert", "policy-alert", []string{"lint"}},
	{"lint-redirect", "sts-redirect", []string{"lint"}},
	{"lint-policy-certificate", "sts-cert-name", []string{"lint"}},
	{"lint-not-announced-misfit", "not-announced-misfit", []string{"lint"}},
	{"lint-alias-nowhere", "sts-alias-nowhere", []string{"lint"}},
	{"lint-alias-enforce", "alias-under-enforce", []string{"lint"}},
	{"lint-alias-enforce-one-name", "alias-under-enforce-one-name", []string{"lint"}},
	{"lint-underscore", "mx-underscore", []string{"lint"}},
	{"lint-mx-twice", "mx-twice", []string{"lint"}},
	{"lint-mx-localhost", "mx-localhost", []string{"lint"}},
	{"lint-implicit-enforce", "implicit-enforce", []string{"lint"}},
	{"lint-implicit-nothing", "implicit-nothing", []string{"lint"}},
	{"lint-testing-misfit", "testing-misfit", []string{"lint"}},
	{"lint-tlsrpt-http", "near-tlsrpt-http", []string{"lint"}},
	{"lint-wildcard-deep", "sts-wildcard-deep", []string{"lint"}},
	{"forecast-expired", "zone-expired", []string{"forecast"}},
	{"forecast-dane-ee", "dane-ee", []string{"forecast"}},
	{"forecast-dane-ta", "dane-ta", []string{"forecast"}},
	{"forecast-sts", "sts-enforce", []string{"forecast"}},
	{"forecast-sts.json", "sts-enforce", []string{"forecast", "--json"}},
	{"forecast-sts.ics", "sts-enforce", []string{"forecast", "--ical"}},
	{"forecast-ca-expired", "mx-ca-expired", []string{"forecast"}},
	{"forecast-nothing", "classic-mismatch", []string{"forecast"}},
	{"forecast-switch", "dane-ee", []string{"forecast", "--cert", "NEXT", "--ttl", "1h"}},
	{"forecast-switch.json", "dane-ee", []string{"forecast", "--json", "--cert", "NEXT", "--ttl", "1h"}},
	{"forecast-switch.ics", "dane-ee", []string{"forecast", "--ical", "--cert", "NEXT", "--ttl", "1h"}},
	{"forecast-switch-free", "sts-enforce", []string{"forecast", "--cert", "NEXT"}},
}

// A goldenLab is the lab of the golden answers, at goldenClock, with their worlds alone.
type goldenLab struct {
	*testLab
	next string // a file with the key next
}

func startGoldenLab(t *testing.T) *goldenLab {
	t.Helper()
	var worlds []lab.World
	for _, w := range lab.Worlds() {
		for _, g := range goldens {
			if g.world == w.Name {
				worlds = append(worlds, w)
				break
			}
		}
	}
	return &goldenLab{startLab(t, worlds, goldenClock), testFile(t, "next.pem", []byte(next))}
}

// run runs mxauth on a world of the lab, and returns its answer.
func (l *goldenLab) run(t *testing.T, world string, args []string) (string, int) {
	t.Helper()
	i := slices.IndexFunc(l.Worlds(), func(w lab.World) bool { return w.Name == world })
	args = slices.Concat(args, l.flags, []string{l.Worlds()[i].Domain})
	for i, a := range args {
		if a == "NEXT" {
			args[i] = l.next
		}
	}
	var stdout, stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
	e.dial, e.now = l.Dial, goldenClock
	code := run(t.Context(), args, e)
	if stderr.Len() > 0 {
		t.Errorf("standard error: %s", stderr.String())
	}
	return stdout.String(), code
}

// keys is what differs from run to run: the hashes of the lab's keys. All of one kind have
// the same length, so that they do not move the ends of lines.
var keys = regexp.MustCompile(`[0-9a-f]{30,}`)

// TestGolden holds the answers of lint and forecast to testdata/golden. They are to be
// read aloud: a mail administrator who knows no RFC must understand what is wrong, and know
// what to publish. `go test ./cmd/mxauth -run TestGolden -update` writes them.
func TestGolden(t *testing.T) {
	l := startGoldenLab(t)
	for _, g := range goldens {
		t.Run(g.file, func(t *testing.T) {
			answer, code := l.run(t, g.world, g.args)
			got := keys.ReplaceAllString(answer, "HASH")
			if filepath.Ext(g.file) == "" {
				got = fmt.Sprintf("$ mxauth %s %s\n%s[exit status %d]\n", strings.Join(g.args, " "), g.world, got, code)
			}
			golden(t, filepath.Join("testdata", "golden", g.file), got)
		})
	}
}

// golden holds a text to a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if filepath.Ext(path) == "" {
		path += ".txt"
	}
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		test, _, _ := strings.Cut(t.Name(), "/")
		t.Errorf("the answer has changed (go test ./cmd/mxauth -run %s -update): -want +got\n%s", test, diff)
	}
}

// TestGoldenFiles: there is no file that no answer is held to.
func TestGoldenFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*"))
	if err != nil || len(files) != len(goldens) {
		t.Errorf("%d files for %d answers, %v", len(files), len(goldens), err)
	}
}

// TestCalendarSaysTheSame reads the calendar of a forecast back, as RFC 5545 has it, and
// holds it against the JSON of the same forecast.
func TestCalendarSaysTheSame(t *testing.T) {
	l := startGoldenLab(t)
	for _, world := range []string{"sts-enforce", "dane-ee", "mx-ca-expired"} {
		t.Run(world, func(t *testing.T) {
			args := []string{"--cert", "NEXT", "--ttl", "1h"}
			text, code := l.run(t, world, append([]string{"forecast", "--ical"}, args...))
			if code != 0 {
				t.Fatalf("exit status %d", code)
			}
			cal, err := parseCalendar(text)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			said, _ := l.run(t, world, append([]string{"forecast", "--json"}, args...))
			var want struct{ Events []forecastEvent }
			if err := json.Unmarshal([]byte(said), &want); err != nil {
				t.Fatal(err)
			}
			if len(want.Events) == 0 || len(cal.events) != len(want.Events) {
				t.Fatalf("%d events in the calendar, %d in the forecast", len(cal.events), len(want.Events))
			}
			for i, e := range want.Events {
				e.against(t, cal.events[i])
			}
		})
	}
}

// A forecastEvent is an event as --json prints it.
type forecastEvent struct {
	ID, Effect, Host, Text, Do string
	When                       time.Time
	Publish                    []string
}

// against holds an event of the calendar to that of the forecast.
func (e forecastEvent) against(t *testing.T, c component) {
	t.Helper()
	if got := strings.Join(append([]string{e.Text, e.Do}, e.Publish...), "\n"); c.text["DESCRIPTION"] != got {
		t.Errorf("described as\n%q, want\n%q", c.text["DESCRIPTION"], got)
	}
	start, err := time.Parse("20060102T150405Z", c.text["DTSTART"])
	if err != nil || !start.Equal(e.When) {
		t.Errorf("begins %s (%v), want %s", c.text["DTSTART"], err, e.When)
	}
	if !strings.Contains(c.text["SUMMARY"], e.ID+" ("+e.Effect+")") || c.text["CATEGORIES"] != e.Effect {
		t.Errorf("summed up as %q in %q, want %s and %s", c.text["SUMMARY"], c.text["CATEGORIES"], e.ID, e.Effect)
	}
	if len(c.inner) != 1 || c.inner[0].text["DESCRIPTION"] != e.Text {
		t.Errorf("reminders: %+v", c.inner)
	}
}

// TestAway: how far a time is from now.
func TestAway(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "in 1 hour", time.Hour: "in 1 hour", time.Hour + 1: "in 2 hours", 24 * time.Hour: "in 1 day", 47 * time.Hour: "in 1 day", 48 * time.Hour: "in 2 days",
		0: "now", -time.Minute: "now", -time.Hour: "1 hour ago", -23 * time.Hour: "23 hours ago", -24 * time.Hour: "1 day ago", -72 * time.Hour: "3 days ago",
	} {
		if got := away(goldenClock(), goldenClock().Add(d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for effect, want := range map[forecast.Effect]style{forecast.Broken: bad, forecast.Weaker: fair, forecast.Notice: plain} {
		if got := effectStyle(effect); got != want {
			t.Errorf("%s: %q", effect, got)
		}
	}
}
