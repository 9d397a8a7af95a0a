package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/porttest"
)

// The door for Exim, over a unix socket and over TCP: one line in, one out, and the end. What
// Exim cannot be told is counted.
func TestServeExim(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce", "sts-no-match", "half-dane", "alias-secure", "alias-sts", "tlsa-servfail", "null-mx"), nil)
	socket, tcp, metrics := filepath.Join(shortDir(t), "e"), porttest.Address(t).String(), porttest.Address(t).String()
	d := newServed(t, l, fmt.Sprintf("[[listen]]\ndoor = \"exim\"\naddress = \"unix:%s\"\n[[listen]]\ndoor = \"exim\"\naddress = \"inet:%s\"\n", socket, tcp))
	d.env["MXAUTH_SERVE_METRICS"] = "inet:" + metrics
	d.start()
	ask := func(network, address, line string) string {
		t.Helper()
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(c, line); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, x := range []struct{ question, want string }{
		{"mxauth dane-ee.test", "req=dane until="},
		{"mxauth dane-ee.test mx.dane-ee.test", "req=dane until="},
		{"mxauth DANE-EE.test MX.dane-ee.test.", "req=dane until="},
		{"mxauth dane-ee.test mx.sts-enforce.test", "req=defer reason="},
		{"mxauth sts-enforce.test mx.sts-enforce.test", "req=sts until="},
		{"mxauth sts-no-match.test mx.sts-no-match.test", "req=skip until="},
		{"mxauth sts-no-match.test", "req=defer reason="},
		{"mxauth half-dane.test mx.half-dane-host.test", "req=encrypt until="},
		{"mxauth alias-secure.test mx.alias-secure.test", "req=dane until="},
		{"mxauth alias-secure.test host.alias-secure-to.test", "req=dane until="},
		{"mxauth alias-sts.test host.alias-sts-to.test", "req=sts until="},
		{"mxauth tlsa-servfail.test", "req=defer reason="},
		{"mxauth tlsa-servfail.test mx.tlsa-servfail.test", "req=defer reason="},
		{"mxauth null-mx.test", "req=may"}, // Exim returns the message by itself
		{"mxauth a..b", "req=defer reason="},
		{"QUERY dane-ee.test", "req=defer reason="},
	} {
		for network, address := range map[string]string{"unix": socket, "tcp": tcp} {
			got := ask(network, address, x.question+"\n")
			if strings.HasSuffix(x.want, "until=") && !strings.Contains(got, " until=") {
				// DANE has decided before the MTA-STS lookup ended; that plan is not kept for long.
				eventually(t, "a plan of "+x.question+" that holds", func() bool {
					got = ask(network, address, x.question+"\n")
					return strings.Contains(got, " until=")
				})
			}
			if !strings.HasPrefix(got, x.want) || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.ContainsAny(got, "{}$\\") {
				t.Errorf("%s over %s: %q, want %q...", x.question, network, got, x.want)
			}
		}
	}
	_, counts := send(t, "GET", "http://"+metrics+"/metrics", "")
	for _, id := range []string{"exim-half-dane", "common-name"} {
		if !strings.Contains(counts, fmt.Sprintf("mxauth_deviations_total{reason=%q} ", id)) {
			t.Errorf("%s is not counted", id)
		}
	}
}
