package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/postfixconf"
	"github.com/mxauth/mxauth/conformance/peers"
)

// needPostconf finds Postfix's own program.
func needPostconf(t *testing.T) string {
	t.Helper()
	p, err := postconfPath()
	if err != nil {
		if os.Getenv(peers.RequireEnv) != "" {
			t.Fatalf("%v, and %s is set", err, peers.RequireEnv)
		}
		t.Skip(err)
	}
	return p
}

// settle makes main.cf an hour old. Postfix waits for a second before it reads a file that has
// just been changed, since another change may follow.
func settle(t *testing.T, dir string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "main.cf"), old, old); err != nil {
		t.Fatal(err)
	}
}

// outcome runs mxauth in this process.
func outcome(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, newEnv(strings.NewReader(""), &out, &errOut, func(string) string { return "" }))
	return code, out.String(), errOut.String()
}

// textBetween returns what s has between the first before and the next after.
func textBetween(s, before, after string) (string, bool) {
	_, s, ok := strings.Cut(s, before)
	s, _, found := strings.Cut(s, after)
	return s, ok && found
}

// TestPostconf: the lines that are printed for the Postfix of this machine are read by its own
// postconf without a warning, and leave doctor nothing to say about its configuration; each
// rule is broken and put right again by its own line, through postconf.
func TestPostconf(t *testing.T) {
	postconf := needPostconf(t)
	for _, chroot := range []string{"y", "n"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "master.cf"), "smtp unix - - "+chroot+" - - smtp\nproxymap unix - - n - - proxymap\n")
		write(t, filepath.Join(dir, "main.cf"), "")
		code, lines, stderr := outcome(t, "config", "postfix", "--postfix-dir", dir)
		if code != 0 || stderr != "" {
			t.Fatalf("config postfix: %d %s", code, stderr)
		}
		write(t, filepath.Join(dir, "main.cf"), lines)
		settle(t, dir)
		cmd := exec.CommandContext(t.Context(), postconf, "-c", dir, "-n")
		if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("warning")) {
			t.Errorf("postconf: %v\n%s", err, out)
		}
		if code, stdout, stderr := outcome(t, "doctor", "--live=false", "--postfix-dir", dir); code != 0 {
			t.Errorf("chroot %s: doctor: %d\n%s%s", chroot, code, stdout, stderr)
		}
		for _, breaks := range []string{
			"smtp_tls_policy_maps =", "smtp_dns_support_level =", "smtp_tls_CAfile =", "smtp_tls_security_level = none", "smtp_tls_security_level = encrypt",
			"smtp_tls_dane_insecure_mx_policy = may", "smtp_cname_overrides_servername = yes", "smtp_fallback_relay = [relay.example.org]",
			"smtp_connection_cache_destinations = example.org", "smtp_tls_mandatory_protocols = >=TLSv1", "smtp_host_lookup = native", "disable_dns_lookups = yes",
		} {
			edit := func(line string) {
				if out, err := exec.CommandContext(t.Context(), postconf, "-c", dir, "-e", line).CombinedOutput(); err != nil {
					t.Fatalf("postconf -e %q: %v\n%s", line, err, out)
				}
				settle(t, dir)
			}
			edit(breaks)
			code, stdout, _ := outcome(t, "doctor", "--live=false", "--postfix-dir", dir, "--json")
			fixes := regexp.MustCompile(`"fix":"([^"]*)"`).FindAllStringSubmatch(stdout, -1)
			if code == 0 || len(fixes) != 1 {
				t.Errorf("%s: status %d, %d findings\n%s", breaks, code, len(fixes), stdout)
			}
			for _, f := range fixes {
				edit(strings.NewReplacer(`\u003e`, ">").Replace(f[1]))
			}
			if code, stdout, _ := outcome(t, "doctor", "--live=false", "--postfix-dir", dir); code != 0 {
				t.Fatalf("%s: after its cure: %d\n%s", breaks, code, stdout)
			}
		}
		// A name that main.cf has twice, which postconf -n hides.
		write(t, filepath.Join(dir, "main.cf"), "smtp_tls_security_level = may\n"+lines)
		settle(t, dir)
		_, stdout, _ := outcome(t, "doctor", "--live=false", "--postfix-dir", dir)
		command, ok := textBetween(stdout, "run:\n", "\n")
		if !ok || !strings.Contains(stdout, "(name-repeated)") {
			t.Fatalf("a name twice: %s", stdout)
		}
		shell := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, "postconf ", postconf+" -c "+dir+" "))
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		settle(t, dir)
		if code, stdout, _ := outcome(t, "doctor", "--live=false", "--postfix-dir", dir); code != 0 {
			t.Errorf("after %s: %d\n%s", command, code, stdout)
		}
		// A value of a service in master.cf, and the command that takes it away.
		write(t, filepath.Join(dir, "master.cf"), "smtp unix - - "+chroot+" - - smtp\nslow unix - - "+chroot+" - - smtp -o smtp_tls_policy_maps=\n")
		_, stdout, _ = outcome(t, "doctor", "--live=false", "--postfix-dir", dir, "--json")
		m := regexp.MustCompile(`"fix":"postconf (-PX [^"]*)"`).FindStringSubmatch(stdout)
		if m == nil {
			t.Fatalf("no command: %s", stdout)
		}
		if out, err := exec.CommandContext(t.Context(), postconf, append([]string{"-c", dir}, strings.Fields(m[1])...)...).CombinedOutput(); err != nil {
			t.Errorf("postconf %s: %v\n%s", m[1], err, out)
		}
		if code, stdout, _ := outcome(t, "doctor", "--live=false", "--postfix-dir", dir); code != 0 {
			t.Errorf("after postconf %s: %d\n%s", m[1], code, stdout)
		}
	}
}

// TestPostconfDefaults: where a rule depends on a built-in default, it is that of the Postfix
// of this machine.
func TestPostconfDefaults(t *testing.T) {
	postconf := needPostconf(t)
	empty := postfixconf.Params{}
	for _, name := range []string{"smtp_cname_overrides_servername", "smtp_connection_cache_on_demand", "smtp_host_lookup", "disable_dns_lookups", "queue_directory",
		"smtp_tls_policy_maps", "smtp_tls_security_level", "smtp_dns_support_level", "smtp_tls_CAfile", "smtp_tls_CApath", "tls_append_default_CA",
		"smtp_connection_cache_destinations", "smtp_use_tls", "smtp_enforce_tls", "relayhost", "smtp_tls_dane_insecure_mx_policy"} {
		out, err := exec.CommandContext(t.Context(), postconf, "-d", "-h", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := empty.Get(name), strings.TrimSpace(string(out)); got != want {
			t.Errorf("%s: %q, and postconf says %q", name, got, want)
		}
	}
	out, err := exec.CommandContext(t.Context(), postconf, "-d", "-h", "proxy_read_maps").Output()
	if err != nil || !strings.Contains(string(out), "$smtp_tls_policy_maps") {
		t.Errorf("proxymap does not read smtp_tls_policy_maps by default: %v %s", err, out)
	}
}

// TestDoctorLive: a daemon that answers, and a socket that Postfix's user may not use.
func TestDoctorLive(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee"), nil)
	d := startServe(t, l, "")
	dir := t.TempDir()
	text := "smtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec\nsmtp_tls_CAfile = /x.pem\nsmtp_tls_mandatory_protocols = >=TLSv1.2\nsmtp_connection_cache_on_demand = no\nmail_owner = root\n" +
		"smtp_tls_policy_maps = socketmap:unix:" + d.socket + ":QUERY\n"
	write(t, filepath.Join(dir, "main.cf"), text)
	args := []string{"doctor", "--live", "--resolver", l.Resolver().String(), "--config", d.config, "--version", "3.7.11", "--postconf", filepath.Join(dir, "main.cf")}
	if os.Getuid() == 0 { // the socket belongs to root, as mail_owner does here
		if code, stdout, stderr := outcome(t, args...); code != 0 || !strings.Contains(stdout, "the resolver proves signed answers, and mxauth answers") {
			t.Errorf("status %d\n%s%s", code, stdout, stderr)
		}
	}
	write(t, filepath.Join(dir, "main.cf"), strings.Replace(text, "mail_owner = root", "mail_owner = nobody", 1))
	if code, stdout, stderr := outcome(t, args...); code != 2 || !strings.Contains(stdout, "(socket-access)") || !strings.Contains(stdout, "the user nobody may not") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

// TestEximLines: the lines of config exim are those of docs/exim.md, which are run against Exim.
func TestEximLines(t *testing.T) {
	page, err := os.ReadFile("../../docs/exim.md")
	if err != nil {
		t.Fatal(err)
	}
	bare := func(s string) (out []string) {
		for line := range strings.Lines(s) {
			if text := strings.TrimSpace(line); text != "" && text[0] != '#' {
				out = append(out, strings.TrimRight(line, "\n"))
			}
		}
		return out
	}
	var want []string
	for _, m := range fence.FindAllStringSubmatch(string(page), -1) {
		if m[1] == "exim" {
			want = append(want, bare(m[2])...)
		}
	}
	if got := bare(eximLines); len(want) < 20 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("config exim:\n%s\ndocs/exim.md:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
