package peers_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// TestTLSA runs tlsa make and tlsa check against Postfix, with records that NSD serves:
// the record that make prints of a live server is the one that is published and that
// check finds to match.
func TestTLSA(t *testing.T) {
	w := start(t)
	mxauth := build(t)
	verb := func(args ...string) (string, int) {
		t.Helper()
		args = append([]string{"tlsa"}, args...)
		args = append(args, "--resolver", plainAddress, "--trust-anchor", w.anchor, "--ca-file", w.ca, "--timeout", "20s")
		cmd := exec.CommandContext(t.Context(), mxauth, args...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("%v: %v", args, err)
		}
		if exit != nil {
			t.Logf("%v: %s", args, stderr.String())
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, c := range []struct {
		target, matched string
		exit            int
		state           string
	}{
		{"ee.test", "3 1 1 ", 0, "usable"},
		{"mx.ee.test:25", "3 1 1 ", 0, "usable"},
		{"ta.test", "2 1 1 ", 0, "usable"},
		{"expired.test", "3 1 1 ", 0, "usable"},
		{"mismatch.test", "", 2, "usable"},
		{"ta-name.test", "", 2, "usable"},
	} {
		t.Run("check "+c.target, func(t *testing.T) {
			out, code := verb("check", "--json", c.target)
			var row struct {
				State     string
				Addresses []struct {
					OK      bool
					Matched string
				}
			}
			if err := json.Unmarshal([]byte(out), &row); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if code != c.exit || row.State != c.state || len(row.Addresses) != 1 || row.Addresses[0].OK != (c.exit == 0) || !strings.HasPrefix(row.Addresses[0].Matched, c.matched) {
				t.Errorf("exit status %d, want %d: %s", code, c.exit, out)
			}
		})
	}
	t.Run("make", func(t *testing.T) {
		line, code := verb("make", "mx.ee.test")
		record, ok := strings.CutPrefix(strings.TrimSpace(line), "_25._tcp.mx.ee.test. IN TLSA ")
		if code != 0 || !ok {
			t.Fatalf("exit status %d: %q", code, line)
		}
		if published, _ := verb("check", "--json", "ee.test"); !strings.Contains(published, `"matched":"`+record+`"`) {
			t.Errorf("%s is not what is published: %s", record, published)
		}
	})
}
