package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dnssec/probe"
	"github.com/mxauth/mxauth/dnssec/upstream"
)

// TestResolverCures: each cure has words, and those of the software that the server says it
// is.
func TestResolverCures(t *testing.T) {
	server := func(s string) upstream.Server {
		a, err := upstream.ParseServer(netip.MustParseAddr(s).String())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		software, address, want, not string
	}{
		{"", "192.0.2.1", "auto-trust-anchor-file", ""},
		{"", "192.0.2.1", "DNSSEC=yes", ""},
		{"", "192.0.2.1", "dnssec-validation auto", ""},
		{"", "192.0.2.1", "dnssec-check-unsigned", ""},
		{"unbound 1.17.1", "192.0.2.1", "auto-trust-anchor-file", "DNSSEC=yes"},
		{"dnsmasq-2.90", "192.0.2.1", "dnsmasq.conf", "named.conf"},
		{"9.18.28-1~deb12u2-Debian", "192.0.2.1", "named.conf", "dnsmasq.conf"},
		{"", "127.0.0.53", "resolved.conf", "unbound"},
		{"", "127.0.0.54", "resolved.conf", "unbound"},
	} {
		got := strings.Join(resolverCure(probe.Report{Software: c.software, Server: server(c.address)}, probe.CureValidate), "\n")
		if !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("%q at %s: %s", c.software, c.address, got)
		}
	}
	for _, c := range []probe.Cure{probe.CureStart, probe.CureReach, probe.CureReachTLS, probe.CureAccess, probe.CureOther, probe.CureRecursive, probe.CureEDNS, probe.CureEDNSPath,
		probe.CureTCP, probe.CureServers, probe.CurePass, probe.CureValidate, probe.CureAnchor, probe.CureCD, probe.CureFalseAD, probe.CurePath, probe.CureNearer,
		probe.CureNameSigned, probe.CureNameUnsigned, probe.CureNameBroken, probe.CureNameMissing} {
		if len(resolverCure(probe.Report{Server: server("192.0.2.1")}, c)) == 0 {
			t.Errorf("no words for %q", c)
		}
	}
	if resolverCure(probe.Report{}, probe.NoCure) != nil {
		t.Error("words for nothing")
	}
}

// TestResolverVerdict: a server that cannot be judged is asked about with other names.
func TestResolverVerdict(t *testing.T) {
	if got := resolverVerdict(probe.Report{Validation: true}); got != probe.GoodForValidation {
		t.Error(got)
	}
}
