package main

import (
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/internal/certtest"
)

// TestAcronyms: the words of RFC 7218 are taken in place of numbers, and printed beside them.
func TestAcronyms(t *testing.T) {
	t.Run("TLSA7218-2-01 acronyms and numbers", func(t *testing.T) {
		file := testFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: certtest.NewKey().SPKI}))
		make := func(usage, selector, matching string) string {
			t.Helper()
			out, said, code := inProcess(t, nobodyThere, time.Now, "tlsa", "make", "--host", "mx.example.org", "--usage", usage, "--selector", selector, "--matching-type", matching, file)
			if code != 0 {
				t.Fatalf("%s %s %s: %d: %s", usage, selector, matching, code, said)
			}
			return out
		}
		for i, word := range []string{"Full", "SHA2-256", "SHA2-512"} {
			a, b := make("DANE-EE", "SPKI", word), make("3", "1", fmt.Sprint(i))
			if a != b || !strings.Contains(a, fmt.Sprintf(" TLSA 3 1 %d ", i)) {
				t.Errorf("%s: %q, and by numbers %q", word, a, b)
			}
		}
		for _, c := range [][3]string{{"DANE-TB", "SPKI", "Full"}, {"256", "1", "1"}, {"3", "PrivSel", "1"}, {"3", "1", "PrivMatch"}, {"PrivCert", "1", "1"}} {
			if _, _, code := inProcess(t, nobodyThere, time.Now, "tlsa", "make", "--host", "mx.example.org", "--usage", c[0], "--selector", c[1], "--matching-type", c[2], file); code != exitUsage {
				t.Errorf("%q: exit status %d", c, code)
			}
		}
		for record, want := range map[string]string{
			"3 1 1 ab": "DANE-EE, SPKI, SHA2-256", "2 0 2 ab": "DANE-TA, Cert, SHA2-512", "1 1 0 ab": "PKIX-EE, SPKI, Full", "0 1 0 ab": "PKIX-TA, SPKI, Full",
			"255 255 255 ab": "PrivCert, PrivSel, PrivMatch", "9 1 1 ab": "9, SPKI, SHA2-256",
		} {
			if got := acronyms(record); got != " ("+want+")" {
				t.Errorf("%s: %q", record, got)
			}
		}
		if got := acronyms("nonsense"); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("on the lab", func(t *testing.T) {
		world := labtest.World(t, "unusable-beside")
		l := startLab(t, []lab.World{world}, time.Now)
		out, said, _ := inProcess(t, l.Dial, time.Now, append([]string{"tlsa", "check", "--no-connect", world.Domain}, l.flags...)...)
		if !strings.Contains(out, " (DANE-EE, SPKI, SHA2-256)\n") || !strings.Contains(out, " (PKIX-EE, SPKI, SHA2-256)\n") {
			t.Errorf("%s%s", out, said)
		}
	})
}
