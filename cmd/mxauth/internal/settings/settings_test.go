package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

func none(string) string { return "" }

// load writes a file and loads it with variables and flags.
func load(t *testing.T, text string, env map[string]string, args ...string) (*settings.Settings, error) {
	t.Helper()
	src := settings.Source{Getenv: func(k string) string { return env[k] }}
	src.Environ = func() (out []string) {
		for k, v := range env {
			out = append(out, k+"="+v)
		}
		return out
	}
	src.File = filepath.Join(t.TempDir(), "mxauth.toml")
	if err := os.WriteFile(src.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	src.Flags = pflag.NewFlagSet("test", pflag.ContinueOnError)
	settings.Bind(src.Flags, nil)
	if err := src.Flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return settings.Load(src)
}

// A flag outweighs a variable, a variable the file, the file the default.
func TestWeight(t *testing.T) {
	file := "[policy]\nlevel = \"dane\"\ninsecure-mx = \"may\"\n[resolver]\nservers = [\"192.0.2.1\"]\nconcurrency = 3\n"
	s, err := load(t, file, map[string]string{"MXAUTH_POLICY_LEVEL": "sts", "MXAUTH_RESOLVER_SERVERS": "192.0.2.2, 192.0.2.3"}, "--level", "secure", "--audit")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][3]string{
		{"policy.level", "secure", "--level"},
		{"policy.insecure-mx", "may", `mxauth.toml:3`},
		{"resolver.servers", "192.0.2.2, 192.0.2.3", "MXAUTH_RESOLVER_SERVERS"},
		{"resolver.concurrency", "3", "mxauth.toml:6"},
		{"resolver.dnssec", "validate", "default"},
		{"policy.audit", "true", "--audit"},
	} {
		if v, o := s.Value(x[0]), filepath.Base(s.Origin(x[0])); v != x[1] || o != x[2] {
			t.Errorf("%s = %q from %q, want %q from %q", x[0], v, o, x[1], x[2])
		}
	}
}

// All faults are reported together, each with its place and the nearest name.
func TestFaults(t *testing.T) {
	_, err := load(t, `[resolver]
server = ["192.0.2.1"]
timeout = 15
concurrency = 1000
[polcy]
level = "dane"
[policy]
level = "dan"
audit = "yes"
[memory]
action = "defer"
[trust]
allow-address = ["10.0.0.0/40"]

[[listen]]
door = "socketmap"
address = "unix:/run/a"
colour = "red"

[[listen]]
door = "smtp"
address = "inet:192.0.2.1:25"
mode = "999"
`, map[string]string{"MXAUTH_STORE_PAHT": "x", "MXAUTH_SERVE_PATIENCE": "-1s"})
	if !errors.Is(err, settings.ErrConfig) {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`\S*/mxauth.toml`).ReplaceAllString(err.Error(), "F")
	want := `F:18: listen.colour: unknown
F:11: memory.action: defer: a store in memory is lost at exit; name a persistent one, such as bolt:FILE (store.path is that of: default)
F:5: polcy: unknown; did you mean policy?
F:9: policy.audit: want true or false, without quotes
F:8: policy.level: "dan" is not default, opportunistic, dane, dane-only, sts or secure
F:4: resolver.concurrency: 1000 is not from 1 to 200
F:2: resolver.server: unknown; did you mean resolver.servers?
F:3: resolver.timeout: want a text in quotes
MXAUTH_SERVE_PATIENCE: serve.patience: -1s is negative
MXAUTH_STORE_PAHT: unknown; did you mean MXAUTH_STORE_PATH?
F:13: trust.allow-address: "10.0.0.0/40" is no address prefix such as 127.0.0.0/8
F:20: listen.door: "smtp" is not socketmap, exim or http
F:20: listen.address: 192.0.2.1 is not a loopback address; anyone who reaches this door can make the daemon look up domains
F:20: listen.mode: "999" is not an octal mode such as 0660`
	for l := range strings.Lines(want) {
		if !strings.Contains(got, strings.TrimSpace(l)) {
			t.Errorf("missing: %s", l)
		}
	}
	if g, w := strings.Count(got, "\n"), strings.Count(want, "\n"); g != w {
		t.Errorf("%d lines, want %d:\n%s", g+1, w+1, got)
	}
}

// TestUnderscores: a key may have _ in place of -, as the settings of Postfix and of other policy
// servers have, but not both.
func TestUnderscores(t *testing.T) {
	s, err := load(t, "[policy]\nmin_tls = \"off\"\n[serve]\nallow_deviation = true\n", nil)
	if err != nil || s.MinTLS != "off" || !s.AllowDeviation || filepath.Base(s.Origin("serve.allow-deviation")) != "mxauth.toml:4" {
		t.Error(s, err)
	}
	_, err = load(t, "[serve]\nallow-deviation = false\nallow_deviation = true\n", nil)
	if err == nil || !strings.Contains(err.Error(), "mxauth.toml:3: serve.allow_deviation: is serve.allow-deviation, which is given, too") {
		t.Error(err)
	}
}

// TestTwoPasswords: the password of a store is in its URL or in a file.
func TestTwoPasswords(t *testing.T) {
	for url, want := range map[string]string{"redis://u:p@h": "mxauth.toml:3: store.password-file: the URL of store.path has a password, too", "redis://u@h": "", "redis://h": ""} {
		_, err := load(t, "[store]\npath = \""+url+"\"\npassword-file = \"f\"\n", nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestSyntax(t *testing.T) {
	_, err := load(t, "[resolver]\nservers = [\n", nil)
	if err == nil || !strings.Contains(err.Error(), "mxauth.toml:2:") && !strings.Contains(err.Error(), "mxauth.toml:3:") {
		t.Error(err)
	}
}

// A file that was named must exist; the files that are looked for need not.
func TestMissing(t *testing.T) {
	if _, err := settings.Load(settings.Source{File: "/nonexistent/mxauth.toml", Getenv: none}); !errors.Is(err, settings.ErrConfig) {
		t.Error(err)
	}
	dir := t.TempDir()
	get := func(k string) string {
		if k == "XDG_CONFIG_HOME" {
			return dir
		}
		return ""
	}
	if _, err := settings.Load(settings.Source{Getenv: get}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(settings.SystemFile); err == nil {
		t.Skip("this machine has a configuration of its own")
	}
	if err := os.MkdirAll(filepath.Join(dir, "mxauth"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mxauth", "mxauth.toml"), []byte("[serve]\npatience = \"3s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := settings.Load(settings.Source{Getenv: get}); err != nil || s.Patience != 3*time.Second {
		t.Error(s.Patience, err)
	}
}

// The example file, with every line in force, gives the defaults.
func TestExample(t *testing.T) {
	var b strings.Builder
	if err := settings.Example(&b); err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^# ([a-z-]+ = |\[\[)`).ReplaceAllString(b.String(), "$1")
	s := settings.Defaults()
	if err := s.Parse("example", text); err != nil {
		t.Fatal(err)
	}
	d := settings.Defaults()
	for _, r := range settings.Table() {
		if s.Value(r.Key) != d.Value(r.Key) {
			t.Errorf("%s = %q, default %q", r.Key, s.Value(r.Key), d.Value(r.Key))
		}
		if s.Origin(r.Key) == "default" {
			t.Errorf("%s is not in the example", r.Key)
		}
		if r.Help == "" || strings.HasSuffix(r.Help, ".") {
			t.Errorf("%s: help %q", r.Key, r.Help)
		}
	}
	if len(s.Listen) != 1 || s.Listen[0].Maps["postfix"] != "QUERY" {
		t.Errorf("%+v", s.Listen)
	}
	for l := range strings.Lines(b.String()) {
		if len(l) > 90 {
			t.Errorf("long line: %s", l)
		}
	}
}

func TestPrint(t *testing.T) {
	s, err := load(t, "[store]\npath = \"rediss://user:secret@cache.example:6379/0\"\n[[listen]]\ndoor=\"exim\"\naddress=\"unix:/run/x\"\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.Print(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "secret") || !strings.Contains(b.String(), "rediss://user:***@cache.example:6379/0") {
		t.Error(b.String())
	}
	again := settings.Defaults()
	if err := again.Parse("printed", b.String()); err != nil {
		t.Errorf("what is printed cannot be read: %v\n%s", err, b.String())
	}
}

// What is printed of a listener is all that it has, and can be read again.
func TestPrintListen(t *testing.T) {
	s, err := load(t, "[resolver]\nservers = [\"https://user:secret@dns.example/q\"]\n[[listen]]\ndoor=\"socketmap\"\naddress=\"unix:/run/x\"\nmode=\"0600\"\n"+
		"owner=\"root\"\ngroup=\"postfix\"\nmaps={ postfix = \"QUERY\", \"a.b\" = \"sts\" }\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.Print(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "secret") {
		t.Errorf("a password is printed: %s", b.String())
	}
	again := settings.Defaults()
	if err := again.Parse("printed", b.String()); err != nil || strings.Join(again.Differences(s), " ") != "resolver.servers" {
		t.Errorf("%v %v\n%s", err, again.Differences(s), b.String())
	}
}

// TestMapNames: a name has one meaning, whatever its case, and can be asked for.
func TestMapNames(t *testing.T) {
	for in, want := range map[string]string{
		`postfix = "QUERY", Postfix = "QUERY"`: "",
		`query = "QUERY"`:                      "",
		`query = "sts"`:                        `query = "sts" contradicts QUERY`,
		`Postfix = "QUERY", postfix = "sts"`:   `postfix = "sts" contradicts QUERY`,
		`"a b" = "QUERY"`:                      `"a b" is no name of a map`,
		`"" = "QUERY"`:                         `"" is no name of a map`,
	} {
		_, err := load(t, "[[listen]]\ndoor = \"socketmap\"\naddress = \"unix:/run/x\"\nmaps = { "+in+" }\n", nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

// TestServeAddresses: what the daemon listens at besides its doors is checked like these.
func TestServeAddresses(t *testing.T) {
	const listen = "[[listen]]\ndoor = \"exim\"\naddress = \"unix:/run/x\"\n"
	for in, want := range map[string]string{
		`metrics = "inet:127.0.0.1:9100"`:                    "",
		`metrics = "unix:/run/m"`:                            "",
		`metrics = "127.0.0.1:9100"`:                         "mxauth.toml:2: serve.metrics: \"127.0.0.1:9100\" is neither unix:PATH nor inet:HOST:PORT",
		`metrics = "unix:/run/x"`:                            "mxauth.toml:2: serve.metrics: unix:/run/x is used already",
		`metrics = "unix:/` + strings.Repeat("m", 107) + `"`: "mxauth.toml:2: serve.metrics: the path of a unix socket has at most 107 bytes, this has 108",
		`control = "/` + strings.Repeat("m", 107) + `"`:      "mxauth.toml:2: serve.control: the path of a unix socket has at most 107 bytes, this has 108",
		`control = "/run/x"`:                                 "mxauth.toml:2: serve.control: unix:/run/x is used already",
	} {
		_, err := load(t, "[serve]\n"+in+"\n"+listen, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func TestListenFlag(t *testing.T) {
	for in, want := range map[string]string{
		"socketmap=unix:/run/a":       "unix /run/a",
		"exim=inet:localhost:8463":    "tcp 127.0.0.1:8463",
		"http=inet:127.0.0.1:8080":    "tcp 127.0.0.1:8080",
		"http=inet:192.0.2.1:443":     "error", // without TLS
		"socketmap=inet:[::1]:8461":   "tcp [::1]:8461",
		"socketmap=inet:192.0.2.1:25": "error",
		"smtp=unix:/a":                "error",
		"unix:/a":                     "error",
		"exim=unix:":                  "error",
	} {
		l, err := settings.ParseListen(in)
		got := "error"
		if err == nil {
			n, a, _ := l.Network()
			got = n + " " + a
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestListenHTTP: anything but a unix socket and a loopback address has TLS and asks clients
// for a certificate or a token; what only this door has is refused elsewhere.
func TestListenHTTP(t *testing.T) {
	const tls = "certificate = \"c.pem\"\nkey = \"k.pem\"\n"
	for _, c := range []struct{ name, text, want string }{
		{"unix socket", `address = "unix:/run/h"`, ""},
		{"loopback", `address = "inet:127.0.0.1:8080"`, ""},
		{"open", `address = "inet:192.0.2.1:443"`, "give certificate and key"},
		{"token without TLS", "address = \"inet:192.0.2.1:443\"\ntoken-file = \"t\"", "give certificate and key"},
		{"everyone", "address = \"inet:192.0.2.1:443\"\n" + tls, "client-ca or token-file"},
		{"any address", "address = \"inet:0.0.0.0:443\"\n" + tls, "client-ca or token-file"},
		{"token", "address = \"inet:192.0.2.1:443\"\ntoken-file = \"t\"\n" + tls, ""},
		{"client certificates", "address = \"inet:[2001:db8::1]:443\"\nclient-ca = \"ca.pem\"\n" + tls, ""},
		{"no key", "address = \"inet:127.0.0.1:443\"\ncertificate = \"c.pem\"", "given together"},
		{"page with a token", "address = \"inet:127.0.0.1:8025\"\npage = true\ntoken-file = \"t\"", "a browser sends no token"},
		{"client-ca alone", "address = \"inet:127.0.0.1:443\"\nclient-ca = \"c.pem\"", "give certificate and key"},
		{"TLS on a socket", "address = \"unix:/run/h\"\n" + tls, "no TLS on a unix socket"},
		{"names", "address = \"unix:/run/h\"\nnames = [\"MX.example\"]", "lower case"},
		{"names no list", "address = \"unix:/run/h\"\nnames = \"mx.example\"", `want ["NAME"]`},
		{"check no bool", "address = \"unix:/run/h\"\ncheck = \"yes\"", "true or false"},
		{"unknown", "address = \"unix:/run/h\"\ntoken = \"x\"", "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := load(t, "[[listen]]\ndoor = \"http\"\n"+c.text+"\n", nil)
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("%v, want %q", err, c.want)
			case err == nil && s.Listen[0].Checks() != s.Listen[0].IsUnix():
				t.Errorf("checks: %v", s.Listen[0].Checks())
			}
		})
	}
	for _, text := range []string{tls, "client-ca = \"c\"", "token-file = \"c\"", "names = [\"a\"]", "check = true", "page = true"} {
		if _, err := load(t, "[[listen]]\ndoor = \"exim\"\naddress = \"unix:/run/x\"\n"+text+"\n", nil); err == nil || !strings.Contains(err.Error(), "only an http listener") {
			t.Errorf("%s: %v", text, err)
		}
	}
	s, err := load(t, "[[listen]]\ndoor=\"http\"\naddress=\"inet:192.0.2.1:443\"\nclient-ca=\"a\"\nnames=[\"a.example\", \"b.example\"]\ncheck=true\npage=true\n"+tls, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.Print(&b); err != nil {
		t.Fatal(err)
	}
	again := settings.Defaults()
	if err := again.Parse("printed", b.String()); err != nil || len(again.Differences(s)) != 0 {
		t.Errorf("%v %v\n%s", err, again.Differences(s), b.String())
	}
	again.Listen[0].Names[1] = "c.example"
	if len(again.Differences(s)) != 1 {
		t.Error("a changed listener is not seen")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[resolver]\nservers = [\"a\"]\n[[listen]]\ndoor = \"x\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		err := settings.Defaults().Parse("f", text)
		if err != nil && !errors.Is(err, settings.ErrConfig) {
			t.Error(err)
		}
	})
}
