package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/policydiff"
	"github.com/mxauth/mxauth/internal/servetest"
)

// otherServer answers keys by a table; what it does not have is closed without a reply.
func otherServer(t *testing.T, replies map[string]string) string {
	t.Helper()
	return servetest.TCP(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			size, err := r.ReadString(':')
			n, _ := strconv.Atoi(strings.TrimSuffix(size, ":"))
			b := make([]byte, n+1)
			if _, err2 := io.ReadFull(r, b); err != nil || err2 != nil {
				return
			}
			_, key, _ := strings.Cut(string(b[:n]), " ")
			reply, ok := replies[key]
			if !ok {
				return
			}
			fmt.Fprintf(c, "%d:%s,", len(reply), reply)
		}
	})
}

// TestCompareWith: each verdict once, in all three forms, and cells that a spreadsheet would
// take for formulas.
func TestCompareWith(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce", "tlsa-servfail", "may-alert", "half-dane", "null-mx"), nil)
	const strict = "OK secure match=mx.sts-enforce.test servername=hostname protocols=>=TLSv1.2"
	address := otherServer(t, map[string]string{
		"dane-ee.test":       "OK secure match=.dane-ee.test servername=hostname",
		"sts-enforce.test":   strict,
		"tlsa-servfail.test": "NOTFOUND ",
		"may-alert.test":     "TEMP @cmd",
		"half-dane.test":     "OK =cmd|' /C calc'!A0",
		"null-mx.test":       "NOTFOUND ",
	})
	list := "dane-ee.test\nsts-enforce.test\ntlsa-servfail.test\nmay-alert.test\nhalf-dane.test\nnull-mx.test\nno name\n"
	ask := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		e := newEnv(strings.NewReader(list), &stdout, &stderr, func(string) string { return "" })
		e.dial = l.Dial
		code := run(t.Context(), append(append([]string{"compare", "--with", "socketmap:inet:" + address + ":postfix"}, args...), append(l.flags, "-")...), e)
		return code, stdout.String(), stderr.String()
	}
	code, stdout, stderr := ask("--json")
	if code != exitUsage { // of the line that names no domain
		t.Errorf("status %d\n%s", code, stderr)
	}
	for domain, want := range map[string]string{
		"dane-ee.test": `"verdict":"other","reason_id":"dane-not-sts"`, "sts-enforce.test": `"verdict":"equal","reason_id":"same"`,
		"tlsa-servfail.test": `"verdict":"stronger","reason_id":"we-wait"`, "may-alert.test": `"verdict":"weaker","reason_id":"they-wait"`,
		"half-dane.test": `"verdict":"other","reason_id":"unreadable"`, "null-mx.test": `"verdict":"equal","reason_id":"same"`,
		"no name": `"verdict":"other","reason_id":"no-answer"`,
	} {
		if !strings.Contains(stdout, fmt.Sprintf(`"domain":%q,%s`, domain, want)) {
			t.Errorf("%s: want %s in\n%s", domain, want, stdout)
		}
	}
	if !strings.Contains(stderr, "7 domains: 2 equal, 1 stronger, 1 weaker, 3 other") {
		t.Errorf("the summary is missing: %s", stderr)
	}
	_, stdout, _ = ask("--csv")
	if lines := strings.Split(strings.TrimSpace(stdout), "\n"); len(lines) != 8 || !strings.HasPrefix(lines[0], "domain,verdict,") {
		t.Errorf("%d lines: %s", len(lines), stdout)
	}
	_, stdout, _ = ask()
	if !strings.Contains(stdout, "tlsa-servfail.test: stronger: mxauth holds the message") {
		t.Errorf("%s", stdout)
	}
	for in, want := range map[string]string{"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "a=b": "a=b", "": "", "\t=1": `\t=1`} {
		if got := csvCell(in); got != want {
			t.Errorf("cell %q: %q, want %q", in, got, want)
		}
	}
	for _, r := range policydiff.Reasons() {
		if compareReasons[r] == "" {
			t.Errorf("%s has no sentence", r)
		}
	}
}

// TestCompareDaemon: where a daemon runs its answers are compared.
func TestCompareDaemon(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce"), nil)
	d := startServe(t, l, "")
	code, stdout, stderr := outcome(t, "compare", "--config", d.config, "--with", "socketmap:unix:"+d.socket+":QUERY", "dane-ee.test", "sts-enforce.test")
	if code != 0 || strings.Count(stdout, ": equal: ") != 2 {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}
