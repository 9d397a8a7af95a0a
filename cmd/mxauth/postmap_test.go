package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
)

// large is a world whose policy has as many patterns as 64 KiB hold.
func largePolicy() lab.World {
	mx := []string{"mx.large-policy.test"}
	for i := range 1500 {
		mx = append(mx, fmt.Sprintf("*.pattern-%d.large-policy.test", i))
	}
	return lab.World{
		Name: "large-policy", Domain: "large-policy.test", About: "a policy of nearly 64 KiB",
		Zones: []lab.Zone{{Apex: "large-policy.test", Sign: lab.Unsigned}},
		STS:   &lab.STS{Mode: "enforce", MX: mx},
		Hosts: []lab.Host{{Name: "mx.large-policy.test", Pref: 10}},
		Want:  lab.Want{Outcome: "authenticated", Method: "mta-sts", Deliver: true},
	}
}

// TestPostmap: what Postfix's own program reads from the daemon is what the daemon says.
func TestPostmap(t *testing.T) {
	postmap, err := exec.LookPath("postmap")
	if err != nil {
		if postmap, err = exec.LookPath("/usr/sbin/postmap"); err != nil {
			tool(t, "postmap")
		}
	}
	worlds := append(serveWorlds(t, "dane-ee", "sts-enforce", "sts-testing", "tlsa-servfail", "tlsa-mismatch", "null-mx", "idn", "one-of-two"), largePolicy())
	l := startLab(t, worlds, nil)
	d := startServe(t, l, "maps = { postfix = \"QUERY\" }\n")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.cf"), "")
	ask := func(table, key string) (out string, code int, stderr string) {
		cmd := exec.CommandContext(t.Context(), postmap, "-c", dir, "-q", key, "socketmap:unix:"+d.socket+":"+table)
		cmd.Env = append(os.Environ(), "MAIL_CONFIG="+dir)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		b, err := cmd.Output()
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			code = ee.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(string(b), "\n"), code, errOut.String()
	}
	for _, key := range []string{"dane-ee.test", "DANE-EE.test", "dane-ee.test:25", "[mx.dane-ee.test]", "[mx.dane-ee.test]:smtp", "sts-enforce.test", "sts-testing.test",
		"tlsa-servfail.test", "tlsa-mismatch.test", "null-mx.test", "bücher.test", "one-of-two.test", "large-policy.test", ".test", "[127.0.0.1]", "no such name"} {
		for _, table := range []string{"QUERY", "QUERYwithTLSRPT", "sts", "postfix"} {
			want := d.ask(table, key)
			out, code, stderr := ask(table, key)
			status, text, _ := strings.Cut(want, " ")
			switch status {
			case "OK":
				if out != text || code != 0 {
					t.Errorf("%s %s: status %d, %.200q %s, want %.200q", table, key, code, out, stderr, text)
				}
			case "NOTFOUND":
				if out != "" || code != 1 || stderr != "" {
					t.Errorf("%s %s: status %d, %q %s, want no entry", table, key, code, out, stderr)
				}
			case "TEMP":
				if out != "" || code == 0 || !strings.Contains(stderr, "temporary error: "+text[:50]) {
					t.Errorf("%s %s: status %d, %q %s, want a temporary error %q", table, key, code, out, stderr, text)
				}
			default:
				t.Errorf("%s %s: %q", table, key, want)
			}
		}
	}
	if out, _, _ := ask("QUERYwithTLSRPT", "large-policy.test"); len(out) < 40_000 || len(out) > 90_000 {
		t.Errorf("the large policy made %d bytes", len(out))
	}
	if out, code, stderr := ask("unknown", "dane-ee.test"); code == 0 || !strings.Contains(stderr, "permanent error: no such map") {
		t.Errorf("%q %d %s", out, code, stderr)
	}
}
