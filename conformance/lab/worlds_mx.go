package lab

import "github.com/mxauth/mxauth/engine"

// mxWorlds show how a next hop becomes a list of hosts (section 2 of the table).
func mxWorlds() []World {
	return []World{{
		Name: "literal", Domain: "literal.test",
		About:   "an address literal: nothing can be published about it",
		Rows:    []string{"M1", "6/may", "7/may/E4"},
		Hosts:   []Host{{Name: "mx.literal.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
		Request: Request{Request: engine.Request{NextHop: "[{A mx.literal.test}]"}},
		Want:    encrypted,
	}, {
		Name: "relay-dane", Domain: "relay-dane.test",
		About:   "all mail goes to a configured host and port, which has TLSA records for that port",
		Rows:    []string{"M2", "R2", "6/dane-ta-no-mx"},
		Hosts:   []Host{{Name: "relay.relay-dane.test", Port: 587, NotMX: true, Chain: Chain{By: PrivateCA}, TLSA: []string{"2 1 1 ca"}}},
		Request: Request{Request: engine.Request{Smarthost: true, NextHop: "[relay.relay-dane.test]:587"}},
		Want:    byDANETA,
	}, {
		Name: "relay-sts", Domain: "relay-sts.test",
		About:   "a configured host that has an MTA-STS policy of its own",
		Rows:    []string{"M2", "C6/sts"},
		Zones:   []Zone{{Apex: "relay-sts.test", Sign: Unsigned}},
		Hosts:   []Host{{Name: "relay.relay-sts.test", NotMX: true}},
		STS:     &STS{Mode: "enforce", At: "relay.relay-sts.test", MX: []string{"relay.relay-sts.test"}},
		Request: Request{Request: engine.Request{Smarthost: true, NextHop: "[relay.relay-sts.test]"}},
		Want:    bySTS,
	}, {
		Name: "relay-domain", Domain: "relay-domain.test",
		About:   "all mail goes to the MX hosts of another domain, whose policy counts and not the recipient's",
		Rows:    []string{"M9", "C6/sts"},
		Zones:   []Zone{{Apex: "relay-domain.test", Sign: Unsigned}},
		Hosts:   []Host{{Name: "mx.hub.relay-domain.test", NotMX: true}},
		Records: []string{"hub.relay-domain.test. MX 10 mx.hub.relay-domain.test."},
		STS:     &STS{Mode: "enforce", At: "hub.relay-domain.test", MX: []string{"mx.hub.relay-domain.test"}},
		Request: Request{Request: engine.Request{Smarthost: true, NextHop: "hub.relay-domain.test"}},
		Want:    bySTS,
	}, {
		Name: "mx-servfail", Domain: "mx-servfail.test",
		About:  "the MX lookup fails: the addresses of the domain are not tried in its place",
		Rows:   []string{"M3"},
		Hosts:  []Host{{Name: "mx-servfail.test", Pref: 10}},
		Faults: []Fault{{Name: "mx-servfail.test", Type: "MX", What: ServFail}},
		Want:   deferred,
	}, {
		Name: "mx-timeout", Domain: "mx-timeout.test",
		About:  "the MX lookup gets no answer",
		Rows:   []string{"M3"},
		Hosts:  []Host{{Name: "mx-timeout.test", Pref: 10}},
		Faults: []Fault{{Name: "mx-timeout.test", Type: "MX", What: Timeout}},
		Want:   deferred,
	}, {
		Name: "mx-refused", Domain: "mx-refused.test",
		About:  "the resolver refuses to look up the MX",
		Rows:   []string{"M3"},
		Hosts:  []Host{{Name: "mx-refused.test", Pref: 10}},
		Faults: []Fault{{Name: "mx-refused.test", Type: "MX", What: RefusedQ}},
		Want:   deferred,
	}, {
		Name: "mx-malformed", Domain: "mx-malformed.test",
		About:  "the answer to the MX lookup is not a DNS message",
		Rows:   []string{"M3"},
		Hosts:  []Host{{Name: "mx-malformed.test", Pref: 10}},
		Faults: []Fault{{Name: "mx-malformed.test", Type: "MX", What: Malformed}},
		Want:   deferred,
	}, {
		Name: "mx-tcp", Domain: "mx-tcp.test",
		About:  "the MX answer comes over TCP only",
		Rows:   []string{"M9"},
		Hosts:  []Host{{Name: "mx.mx-tcp.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
		Faults: []Fault{{Name: "mx-tcp.test", Type: "MX", What: LostOnUDP}},
		Want:   byDANEEE,
	}, {
		Name: "mx-loop", Domain: "a.mx-loop.test",
		About:   "the domain is an alias of itself, by way of another name",
		Rows:    []string{"M3"},
		Zones:   []Zone{{Apex: "mx-loop.test"}},
		Records: []string{"a.mx-loop.test. CNAME b.mx-loop.test.", "b.mx-loop.test. CNAME a.mx-loop.test."},
		Asks:    []Ask{{Name: "a.mx-loop.test", Type: "MX", Status: "indeterminate"}},
		Want:    deferred,
	}, {
		Name: "mx-long-chain", Domain: "c01.mx-long-chain.test",
		About:   "a chain of more aliases than a resolver follows",
		Rows:    []string{"M3"},
		Zones:   []Zone{{Apex: "mx-long-chain.test"}},
		Records: longChain("mx-long-chain.test.", 20),
		Asks:    []Ask{{Name: "c01.mx-long-chain.test", Type: "MX", Status: "indeterminate"}},
		Want:    deferred,
	}, {
		Name: "no-such-domain", Domain: "gone.no-such-domain.test",
		About: "the domain provably does not exist",
		Rows:  []string{"M4"},
		Zones: []Zone{{Apex: "no-such-domain.test"}},
		Want:  bounced,
	}, {
		Name: "no-such-domain-unsigned", Domain: "gone.no-such-domain.unsigned",
		About: "the domain does not exist according to an unsigned answer",
		Rows:  []string{"M4"},
		Zones: []Zone{{Apex: "no-such-domain.unsigned", Sign: Unsigned}},
		Want:  bounced,
	}, {
		Name: "implicit-mx", Domain: "implicit-mx.test",
		About: "no MX records, provably: the domain is its own host, and has TLSA records",
		Rows:  []string{"M5", "R2"},
		NoMX:  true,
		Hosts: []Host{{Name: "implicit-mx.test", Chain: selfSigned, TLSA: []string{"3 1 1 leaf"}}},
		Want:  byDANEEE,
	}, {
		Name: "implicit-mx-ta", Domain: "implicit-mx-ta.test",
		About: "no MX records, and a CA in the TLSA record: the domain's own name must be proved",
		Rows:  []string{"M5", "6/dane-ta-no-mx"},
		NoMX:  true,
		Hosts: []Host{{Name: "implicit-mx-ta.test", Chain: Chain{By: PrivateCA}, TLSA: []string{"2 0 1 ca"}}},
		Want:  byDANETA,
	}, {
		Name: "implicit-mx-unsigned", Domain: "implicit-mx-unsigned.test",
		About: "no MX records, no DNSSEC",
		Rows:  []string{"M5", "R9"},
		Zones: []Zone{{Apex: "implicit-mx-unsigned.test", Sign: Unsigned}},
		NoMX:  true,
		Hosts: []Host{{Name: "implicit-mx-unsigned.test"}},
		Want:  encrypted,
	}, {
		Name: "implicit-mx-sts", Domain: "implicit-mx-sts.test",
		About: "no MX records, and a policy that names the domain itself",
		Rows:  []string{"M5", "C6/sts"},
		Zones: []Zone{{Apex: "implicit-mx-sts.test", Sign: Unsigned}},
		NoMX:  true,
		Hosts: []Host{{Name: "implicit-mx-sts.test"}},
		STS:   &STS{Mode: "enforce"},
		Want:  bySTS,
	}, {
		Name: "implicit-mx-alias", Domain: "www.implicit-mx-alias.test",
		About: "no MX records at the end of an alias: the host is the name as given, its TLSA records are at the end",
		Rows:  []string{"M5", "A7"},
		Zones: []Zone{{Apex: "implicit-mx-alias.test"}},
		NoMX:  true,
		Hosts: []Host{{Name: "www.implicit-mx-alias.test", Alias: "real.implicit-mx-alias.test", Chain: selfSigned,
			TLSA: []string{"real.implicit-mx-alias.test@3 1 1 leaf"}}},
		Want: Want{Outcome: "authenticated", Method: "dane-ee", Deliver: true, EveryHost: true,
			Hosts: []WantHost{{Host: "www.implicit-mx-alias.test", Requirement: "dane", SNI: "real.implicit-mx-alias.test"}}},
	}, {
		Name: "null-mx-preference", Domain: "null-mx-preference.test",
		About:   "a null MX with a preference",
		Rows:    []string{"M6"},
		Records: []string{"null-mx-preference.test. MX 10 ."},
		Want:    bounced,
	}, {
		Name: "null-mx-and-host", Domain: "null-mx-and-host.test",
		About:   "a null MX together with an MX host: the domain's error, and the host counts",
		Rows:    []string{"M7"},
		Hosts:   []Host{{Name: "mx.null-mx-and-host.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
		Records: []string{"null-mx-and-host.test. MX 0 ."},
		Want:    byDANEEE,
	}, {
		Name: "null-mx-unsigned", Domain: "null-mx.unsigned",
		About:   "a null MX without DNSSEC",
		Rows:    []string{"M6"},
		Zones:   []Zone{{Apex: "null-mx.unsigned", Sign: Unsigned}},
		Records: []string{"null-mx.unsigned. MX 0 ."},
		Want:    bounced,
	}, {
		Name: "mx-address", Domain: "mx-address.test",
		About:   "an MX record names an address as if it were a host; the other host counts",
		Rows:    []string{"M8"},
		Hosts:   []Host{{Name: "mx.mx-address.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
		Records: []string{"mx-address.test. MX 5 192.0.2.1."},
		Want:    byDANEEE,
	}, {
		Name: "mx-alias-secure", Domain: "www.mx-alias-secure.test",
		About:   "the domain is an alias within signed zones",
		Rows:    []string{"M9", "R2"},
		Zones:   []Zone{{Apex: "mx-alias-secure.test"}, {Apex: "mx-alias-target.test"}},
		NoMX:    true,
		Hosts:   []Host{{Name: "mx.mx-alias-target.test", TLSA: []string{"3 1 1 leaf"}}},
		Records: []string{"www.mx-alias-secure.test. CNAME mx-alias-target.test.", "mx-alias-target.test. MX 10 mx.mx-alias-target.test."},
		Asks:    []Ask{{Name: "www.mx-alias-secure.test", Type: "MX", Status: "secure", Kind: "data"}},
		Want:    byDANEEE,
	}, {
		Name: "mx-alias-insecure", Domain: "www.mx-alias-insecure.test",
		About:   "the domain is an unsigned alias of a signed one: the choice of the host is not proved",
		Rows:    []string{"M9", "R7", "C4/nothing", "7/half-dane/E4"},
		Zones:   []Zone{{Apex: "mx-alias-insecure.test", Sign: Unsigned}, {Apex: "mx-alias-signed.test"}},
		NoMX:    true,
		Hosts:   []Host{{Name: "mx.mx-alias-signed.test", TLSA: []string{"3 1 1 leaf"}}},
		Records: []string{"www.mx-alias-insecure.test. CNAME mx-alias-signed.test.", "mx-alias-signed.test. MX 10 mx.mx-alias-signed.test."},
		Asks:    []Ask{{Name: "www.mx-alias-insecure.test", Type: "MX", Status: "insecure", Kind: "data"}},
		Want:    encrypted,
	}, {
		Name: "mx-dname", Domain: "sub.mx-dname.test",
		About:   "the domain is moved by a DNAME, within signed zones",
		Rows:    []string{"M9"},
		Zones:   []Zone{{Apex: "mx-dname.test"}, {Apex: "mx-dname-target.test", Sign: NSEC3}},
		NoMX:    true,
		Hosts:   []Host{{Name: "mx.mx-dname-target.test", TLSA: []string{"3 1 1 leaf"}}},
		Records: []string{"mx-dname.test. DNAME mx-dname-target.test.", "sub.mx-dname-target.test. MX 10 mx.mx-dname-target.test."},
		Asks:    []Ask{{Name: "sub.mx-dname.test", Type: "MX", Status: "secure", Kind: "data"}},
		Want:    byDANEEE,
	}, {
		Name: "mx-order", Domain: "mx-order.test",
		About: "the preferred host has no TLSA records, the other host has: the order is the owner's choice",
		Rows:  []string{"M9", "R4"},
		Hosts: []Host{
			{Name: "mx1.mx-order.test", Pref: 10},
			{Name: "mx2.mx-order.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}},
		},
		Want: Want{Outcome: "encrypted", Deliver: true, Hosts: []WantHost{
			{Host: "mx1.mx-order.test", Outcome: "encrypted", Requirement: "may"},
			{Host: "mx2.mx-order.test", Outcome: "authenticated", Method: "dane-ee", Requirement: "dane"},
		}},
	}, {
		Name: "own-host", Domain: "own-host.test",
		About: "this host is the second of three: only the first is left",
		Rows:  []string{"M10"},
		Hosts: []Host{
			{Name: "mx1.own-host.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}},
			{Name: "mx2.own-host.test", Pref: 20},
			{Name: "mx3.own-host.test", Pref: 20},
		},
		Request: Request{OwnHosts: []string{"mx2.own-host.test"}},
		Want: Want{Outcome: "authenticated", Method: "dane-ee", Deliver: true, EveryHost: true,
			Hosts: []WantHost{{Host: "mx1.own-host.test", Outcome: "authenticated", Method: "dane-ee"}}},
	}, {
		Name: "own-host-best", Domain: "own-host-best.test",
		About: "this host is the best MX host: a loop",
		Rows:  []string{"M10"},
		Hosts: []Host{
			{Name: "mx1.own-host-best.test", Pref: 10},
			{Name: "mx2.own-host-best.test", Pref: 20},
		},
		Request: Request{OwnHosts: []string{"mx1.own-host-best.test"}},
		Want:    bounced,
	}, {
		Name: "own-host-better-broken", Domain: "own-host-better-broken.test",
		About: "this host is the second, and the address lookup of the first fails",
		Rows:  []string{"M10", "A1"},
		Hosts: []Host{
			{Name: "mx1.own-host-better-broken.test", Pref: 10},
			{Name: "mx2.own-host-better-broken.test", Pref: 20},
		},
		Faults:  []Fault{{Name: "mx1.own-host-better-broken.test", What: ServFail}},
		Request: Request{OwnHosts: []string{"mx2.own-host-better-broken.test"}},
		Want:    deferred,
	}}
}

// longChain makes n aliases, c1 to the last, in a zone.
func longChain(zone string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, "c"+digits(i+1)+"."+zone+" CNAME c"+digits(i+2)+"."+zone)
	}
	return append(out, "c"+digits(n+1)+"."+zone+" MX 10 mx."+zone)
}

func digits(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
