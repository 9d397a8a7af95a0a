package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
)

// TestOwnTLS goes through a host with each kind of odd certificate, with a TLSA record of
// its key and without, by each verb that connects to it.
func TestOwnTLS(t *testing.T) {
	worlds := lab.OddWorlds()
	l := startLab(t, worlds, nil)
	verb := func(t *testing.T, args ...string) (string, int) {
		t.Helper()
		var stdout, stderr strings.Builder
		e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
		e.dial = l.Dial
		code := run(t.Context(), append(args, l.flags...), e)
		return stdout.String() + stderr.String(), code
	}
	for _, w := range worlds {
		t.Run("DANE7671-5.1 "+w.Name, func(t *testing.T) {
			t.Parallel()
			out, code := verb(t, "check", "--json", w.Domain)
			var row struct {
				Outcome string
				Hosts   []struct {
					Outcome   string
					Handshake string
					TLS       string
					ReasonID  string `json:"reason_id"`
					Result    string `json:"result_type"`
					Findings  []struct {
						ReasonID string `json:"reason_id"`
						Reason   string
						Result   string `json:"result_type"`
					}
				}
			}
			if err := json.Unmarshal([]byte(out), &row); err != nil || len(row.Hosts) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			h := row.Hosts[0]
			want := w.Want
			isOwn := want.Reason == "own-tls"
			isRead := want.Reason == ""
			exit := map[string]int{"authenticated": 0, "encrypted": 1, "cleartext": 1, "refused": 2}[want.Outcome]
			if h.Outcome != want.Outcome || code != exit || (h.Handshake == "read") != isRead || (h.ReasonID == "own-tls") != isOwn {
				t.Errorf("check: exit status %d: %s", code, out)
			}
			if isRead && (len(h.Findings) != 1 || h.Findings[0].ReasonID != "own-tls" || h.Findings[0].Result != "" || !strings.Contains(h.Findings[0].Reason, "Postfix")) {
				t.Errorf("check: %s", out)
			}
			if isOwn && h.Result != "" {
				t.Errorf("check: %s", out)
			}
			if out, _ := verb(t, "check", w.Domain); (isOwn || isRead) && !strings.Contains(out, "The TLS library of this program") {
				t.Errorf("check: %s", out)
			}
			out, _ = verb(t, "lint", "--json", w.Domain)
			if strings.Contains(out, `"id":"tls-library"`) != (isOwn || isRead) || isRead && strings.Contains(out, `"id":"tls-failed"`) {
				t.Errorf("lint: %s", out)
			}
			out, code = verb(t, "tlsa", "make", "mx."+w.Domain)
			if made := strings.Contains(out, "IN TLSA 3 1 1 "); made != (isOwn || isRead) || made && code != 0 {
				t.Errorf("tlsa make: exit status %d: %s", code, out)
			}
			if strings.HasSuffix(w.Name, "-may") {
				return
			}
			out, code = verb(t, "tlsa", "check", "--json", w.Domain)
			if ok := strings.Contains(out, `"ok":true,"matched":"3 1 1 `); ok != isRead || ok != (code == 0) || ok != strings.Contains(out, `"handshake":"read"`) {
				t.Errorf("tlsa check: exit status %d: %s", code, out)
			}
		})
	}
}
