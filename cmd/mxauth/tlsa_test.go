package main

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/internal/certtest"
)

// TestTLSARollover plays the change of a key as RFC 7671 section 8.1 has it: current and
// next records stand side by side, and time goes by.
func TestTLSARollover(t *testing.T) {
	spki := certtest.NewKey().SPKI
	next, err := dane.GenerateFromKey(dane.Recommended(dane.DANEEE), spki)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, ca, anchor := filepath.Join(dir, "next.pem"), filepath.Join(dir, "ca.pem"), filepath.Join(dir, "root.ds")
	l := labtest.Start(t, lab.Config{Worlds: []lab.World{{
		Name: "rollover", Domain: "rollover.test",
		Hosts:   []lab.Host{{Name: "mx.rollover.test", Pref: 10, Chain: lab.Chain{By: lab.SelfSigned}, TLSA: []string{"3 1 1 leaf", "3 1 1 other"}}},
		Records: []string{"_25._tcp.mx.rollover.test. TLSA " + next.String()},
	}}})
	for name, b := range map[string][]byte{
		file:   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		ca:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw}),
		anchor: []byte(l.TrustAnchor()),
	} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(args ...string) (string, int) {
		t.Helper()
		var out, errs strings.Builder
		e := newEnv(strings.NewReader(""), &out, &errs, func(string) string { return "" })
		e.dial = l.Dial
		code := run(t.Context(), append([]string{"tlsa", "check", "--resolver", l.Plain().String(), "--trust-anchor", anchor, "--ca-file", ca, "rollover.test"}, args...), e)
		if errs.String() != "" {
			t.Errorf("%v: standard error: %s", args, errs.String())
		}
		return out.String(), code
	}
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"--cert", file}, 1, []string{"wait until ", "these match neither certificate and may go:\n    _25._tcp.mx.rollover.test. "}},
		{[]string{"--cert", file, "--ttl", "1h", "--since", "119m"}, 1, []string{"wait until "}},
		{[]string{"--cert", file, "--ttl", "1h", "--since", "2h"}, 0, []string{"it is safe to switch now"}},
		{[]string{"--cert", file, "--ttl", "1h", "--since", "2001-02-03T04:05:06Z", "--json"}, 0, []string{`"next":{"state":"safe","earliest":"`, `"missing":[],"stale":[{"owner":"_25._tcp.mx.rollover.test.","ttl":3600,`}},
		{[]string{"--cert", file, "--ttl", "1h", "--since", "2h", "--no-connect", "--json"}, 0, []string{`"state":"safe"`, `"stale":[]`}},
		{nil, 0, []string{"match by 3 1 1 "}},
	} {
		out, code := check(c.args...)
		if code != c.code {
			t.Errorf("%v: exit status %d, want %d\n%s", c.args, code, c.code, out)
		}
		for _, s := range c.says {
			if !strings.Contains(out, s) {
				t.Errorf("%v: %q is not in\n%s", c.args, s, out)
			}
		}
		if strings.Contains(out, next.String()) && strings.Contains(out, "may go") && strings.Contains(out[strings.Index(out, "may go"):], next.String()) {
			t.Errorf("%v: the next record is called a leftover\n%s", c.args, out)
		}
	}
}

func TestTLSAMakePrints(t *testing.T) {
	t.Run("TLSA6698-2.2-01 what make prints is presentation format, and reads back", func(t *testing.T) {
		spki := certtest.NewKey().SPKI
		file := testFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
		for matching, m := range map[string]dane.MatchingType{"0": dane.Full, "SHA2-256": dane.SHA2_256, "2": dane.SHA2_512} {
			want, err := dane.GenerateFromKey(dane.Recipe{Usage: dane.DANEEE, Selector: dane.SPKI, MatchingType: m}, spki)
			if err != nil {
				t.Fatal(err)
			}
			for format, word := range map[string]string{"zone": " IN TLSA ", "generic": " IN TYPE52 "} {
				out, _, code := runVerb(t, "tlsa", "make", "--host", "mx.example.org", "--matching-type", matching, "--format", format, file)
				owner, rdata, ok := strings.Cut(strings.TrimSuffix(out, "\n"), word)
				got, err := dane.ParseRecord(rdata)
				if code != 0 || !ok || owner != "_25._tcp.mx.example.org." || err != nil || got != want {
					t.Errorf("%s as %s: exit status %d, %q: %s, %v", matching, format, code, out, got, err)
				}
			}
		}
		for _, flag := range []string{"--usage", "--selector", "--matching-type"} {
			if out, _, code := runVerb(t, "tlsa", "make", "--host", "mx.example.org", flag, "256", file); code != exitUsage || out != "" {
				t.Errorf("%s 256: exit status %d, %q", flag, code, out)
			}
		}
	})
}
