package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/conformance/peers"
)

const packaging = "../../packaging/"

// tool skips the test where a program is not installed; where the peers are required, its
// lack is a failure.
func tool(t *testing.T, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	if filepath.IsAbs(name) {
		_, err = os.Stat(name) // a file that a program reads
	}
	if err != nil {
		if os.Getenv(peers.RequireEnv) != "" {
			t.Fatalf("%s is not installed, and %s is set", name, peers.RequireEnv)
		}
		t.Skipf("%s is not installed", name)
	}
}

// maxExposure is what systemd-analyze may say of the service: of 10, and 0 is a service that
// can do nothing. This one needs the network.
const maxExposure = 1.3

func TestSystemdUnits(t *testing.T) {
	tool(t, "systemd-analyze")
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, name := range []string{"mxauth.service", "mxauth.socket"} {
		b, err := os.ReadFile(packaging + "systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		// The program is where the package puts it, which is not here.
		text := strings.ReplaceAll(string(b), "/usr/bin/mxauth", program)
		if name == "mxauth.service" && text == string(b) {
			t.Error("the service does not start /usr/bin/mxauth")
		}
		units = append(units, filepath.Join(dir, name))
		write(t, filepath.Join(dir, name), text)
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--no-pager", units[0]).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for mxauth.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("%s", out)
	}
	if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > maxExposure {
		t.Errorf("exposure %s, want at most %v", m[1], maxExposure)
	}
}

// TestPackagedConfig: the configuration of the package is good, and its listeners are those
// of the socket unit.
func TestPackagedConfig(t *testing.T) {
	text, err := os.ReadFile(packaging + "mxauth.toml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Load(settings.Source{File: packaging + "mxauth.toml", Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile(packaging + "systemd/mxauth.socket")
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindSubmatch(unit)
		if m == nil {
			t.Fatalf("no %s=", key)
		}
		return string(m[1])
	}
	if len(s.Listen) != 1 || s.Listen[0].Door != value("FileDescriptorName") || s.Listen[0].Address != "unix:"+value("ListenStream") {
		t.Errorf("%+v", s.Listen)
	}
	service, err := os.ReadFile(packaging + "systemd/mxauth.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/var/lib/mxauth", "/run/mxauth"} {
		if !strings.Contains(string(text), path+"/") {
			t.Errorf("the configuration does not use %s", path)
		}
	}
	for _, line := range []string{"Type=notify", "StateDirectory=mxauth", "ReadWritePaths=/run/mxauth", "User=mxauth", "WatchdogSec=60"} {
		if !strings.Contains(string(service), "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}

func TestAlertRules(t *testing.T) {
	rules := packaging + "prometheus/mxauth.rules.yml"
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	known := documentedMetrics(t)
	for _, name := range regexp.MustCompile(`\bmxauth_[a-z_]+`).FindAllString(string(text), -1) {
		if _, ok := known[name]; !ok {
			t.Errorf("a rule uses %s, which docs/metrics.md does not have", name)
		}
	}
	tool(t, "promtool")
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", rules).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// documentedMetrics are the names in docs/metrics.md, with their labels, sorted.
func documentedMetrics(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(mxauth_[a-z_]+)` \\| (counter|gauge|histogram) \\| ([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		if _, twice := out[m[1]]; twice {
			t.Errorf("%s is there twice", m[1])
		}
		out[m[1]] = []string{}
		for _, l := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(m[3], -1) {
			out[m[1]] = append(out[m[1]], l[1])
		}
		slices.Sort(out[m[1]])
	}
	return out
}

// labels of which the values come from fixed sets.
var boundedLabels = []string{"door", "path", "status", "kind", "row", "reason", "why", "result", "version", "listener"}

// TestMetricsDocumented: docs/metrics.md has the metrics of the program, no more and no less,
// with their labels, and none of them could be a domain.
func TestMetricsDocumented(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce", "tlsa-servfail"), nil)
	d := newServed(t, l, "")
	metrics := filepath.Join(d.dir, "m")
	d.env["MXAUTH_SERVE_METRICS"] = "unix:" + metrics
	d.start()
	for _, key := range []string{"dane-ee.test", "sts-enforce.test", "tlsa-servfail.test"} {
		d.ask("QUERY", key)
		d.ask("QUERYwithTLSRPT", key)
	}
	d.ask("QUERY", ".test")
	b := scrape(t, metrics)
	has := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (mxauth_\w+) `).FindAllStringSubmatch(b, -1) {
		has[m[1]] = []string{}
	}
	for _, m := range regexp.MustCompile(`(?m)^(mxauth_\w+?)(?:_bucket|_sum|_count)?\{([^}]*)\}`).FindAllStringSubmatch(b, -1) {
		for _, l := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			if l[1] == "le" {
				continue
			}
			if !slices.Contains(boundedLabels, l[1]) || strings.HasSuffix(l[2], ".test") {
				t.Errorf("%s has the label %s=%q", m[1], l[1], l[2])
			}
			if !slices.Contains(has[m[1]], l[1]) {
				has[m[1]] = append(has[m[1]], l[1])
			}
		}
	}
	documented := documentedMetrics(t)
	for name, labels := range has {
		slices.Sort(labels)
		if want, ok := documented[name]; !ok || !slices.Equal(want, labels) {
			t.Errorf("%s %v is not in docs/metrics.md, or with %v", name, labels, want)
		}
	}
	for name := range documented {
		if _, ok := has[name]; !ok {
			t.Errorf("docs/metrics.md has %s, and the program has not", name)
		}
	}
	for _, line := range []string{
		`mxauth_answers_total{door="postfix",kind="found",row="P6"} 1`,
		`mxauth_answers_total{door="postfix-extended",kind="found",row="P9"} 1`,
		`mxauth_answers_total{door="postfix",kind="try-later",row="P5"} 1`,
		`mxauth_answers_total{door="postfix",kind="not-found",row="P1"} 1`, // a parent domain
		`mxauth_upstreams 1`,
	} {
		if !strings.Contains(b, line+"\n") {
			t.Errorf("no %s in\n%s", line, b)
		}
	}
}
