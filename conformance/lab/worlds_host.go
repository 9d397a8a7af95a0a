package lab

import "slices"

// hostWorlds show what addresses and TLSA records of a host come to (section 4 of the
// table).
func hostWorlds() []World {
	return slices.Concat(addressWorlds(), aliasWorlds(), tlsaWorlds())
}

// tlsaAre replaces the TLSA records of the first host.
func tlsaAre(records ...string) func(*World) {
	return func(w *World) { w.Hosts[0].TLSA = records }
}

// chainIs replaces the chain of the first host.
func chainIs(c Chain) func(*World) { return func(w *World) { w.Hosts[0].Chain = c } }

// unsigned makes the world's zones unsigned.
func unsigned(w *World) {
	for i := range w.Zones {
		w.Zones[i].Sign = Unsigned
	}
}

// enforce adds a policy in force.
func enforce(w *World) { w.STS = &STS{Mode: "enforce"} }

// enforceElsewhere adds a policy in force that names another host.
func enforceElsewhere(w *World) { w.STS = &STS{Mode: "enforce", MX: []string{"mx.elsewhere.test"}} }

// addressWorlds are about A and AAAA.
func addressWorlds() []World {
	host := func(e func(*Host)) func(*World) { return func(w *World) { e(&w.Hosts[0]) } }
	return []World{
		dane("a-servfail", "the address lookups of the host fail", Zone{}, deferred, fault("mx", "A", ServFail), fault("mx", "AAAA", ServFail), rows("A1")),
		dane("a-servfail-no-aaaa", "the IPv4 lookup fails, and there is no IPv6 address", Zone{}, deferred, fault("mx", "A", ServFail), rows("A1")),
		dane("aaaa-servfail", "the IPv6 lookup fails, and the IPv4 address is signed", Zone{}, byDANEEE, fault("mx", "AAAA", ServFail), rows("A2")),
		dane("aaaa-timeout", "the IPv6 lookup gets no answer, and the IPv4 address is signed", Zone{}, byDANEEE, fault("mx", "AAAA", Timeout), rows("A2")),
		dane("no-address", "the only host has no address", Zone{}, bounced, host(func(h *Host) { h.NoAddress = true }), rows("A3")),
		dane("no-address-defer", "the only host has no address, and the operator chose to defer", Zone{}, deferred,
			host(func(h *Host) { h.NoAddress = true }), rows("A3"), func(w *World) { w.Request.Options.NoAddressDefer = true }),
		dane("no-address-first", "the first host has no address, the second is good", Zone{}, byDANEEE, host(func(h *Host) { h.NoAddress = true }), rows("A3"),
			func(w *World) {
				w.Hosts = append(w.Hosts, Host{Name: "mx2.no-address-first.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}})
			}),
		dane("a-bogus-first", "the first host's address is forged, the second is good", Zone{
			Break: []Break{{What: Forged, Name: "mx.a-bogus-first.test", Type: "A"}},
		}, byDANEEE, rows("A1"), func(w *World) {
			w.Hosts = append(w.Hosts, Host{Name: "mx2.a-bogus-first.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}})
		}),
		dane("two-addresses", "a host of two addresses with one certificate each, and a TLSA record for each", Zone{}, byDANEEE,
			func(w *World) {
				w.Hosts = append(w.Hosts, Host{Name: w.Hosts[0].Name, Pref: 10, TLSA: []string{"3 1 1 leaf"}})
			}, rows("A5")),
		dane("two-addresses-one-bad", "a host of two addresses, one of which presents another certificate: the weaker address decides", Zone{}, wantRefused,
			func(w *World) { w.Hosts = append(w.Hosts, Host{Name: w.Hosts[0].Name, Pref: 10, Chain: selfSigned}) }, rows("A5")),
		dane("two-addresses-one-down", "a host of two addresses, one of which refuses the connection", Zone{}, byDANEEE,
			func(w *World) {
				w.Hosts = append(w.Hosts, Host{Name: w.Hosts[0].Name, Pref: 10, SMTP: SMTP{State: ConnRefused}})
			}, rows("A5", "7/E0")),
		dane("both-families", "a host with an IPv4 and an IPv6 address", Zone{}, byDANEEE, host(func(h *Host) { h.V6 = true }), rows("A5")),
	}
}

// aliasWorlds have MX hosts that are aliases (RFC 7672 section 2.2.2).
func aliasWorlds() []World {
	alias := func(name, about, targetZone string, sign Signing, want Want, tlsa []string, edits ...func(*World)) World {
		w := dane(name, about, Zone{}, want, edits...)
		target := "host." + targetZone
		w.Hosts[0].Alias = target
		w.Hosts[0].TLSA = tlsa
		if targetZone != w.Domain {
			w.Zones = append(w.Zones, Zone{Apex: targetZone, Sign: sign})
		}
		return w
	}
	at := func(w World, base string) World {
		w.Want.Hosts = []WantHost{{Host: w.Hosts[0].Name, Outcome: w.Want.Outcome, Method: w.Want.Method, SNI: base}}
		return w
	}
	return []World{
		at(alias("alias-secure", "the host is a signed alias, and the TLSA records are at its target", "alias-secure-to.test", NSEC, byDANEEE,
			[]string{"host.alias-secure-to.test@3 1 1 leaf"}, rows("A7", "T2"),
			asks(Ask{Name: "mx", Type: "A", Status: "secure", Kind: "data"})), "host.alias-secure-to.test"),
		at(alias("alias-secure-original", "the host is a signed alias, and the TLSA records are at its own name", "alias-secure-original-to.test", NSEC3, byDANEEE,
			[]string{"3 1 1 leaf"}, rows("A7", "T3")), "mx.alias-secure-original.test"),
		at(alias("alias-secure-both", "TLSA records at an alias and at its target: those at the target count", "alias-secure-both-to.test", NSEC, byDANEEE,
			[]string{"3 1 1 other", "host.alias-secure-both-to.test@3 1 1 leaf"}, rows("A7", "T2")), "host.alias-secure-both-to.test"),
		alias("alias-end-servfail", "the TLSA lookup at the target of the alias fails: the records at the alias are not tried", "alias-end-servfail-to.test", NSEC, deferred,
			[]string{"3 1 1 leaf"}, rows("A7", "T1", "R1"), func(w *World) {
				w.Faults = []Fault{{Name: "_25._tcp.host.alias-end-servfail-to.test", Type: "TLSA", What: ServFail}}
			}),
		at(alias("alias-insecure-end", "a signed alias into an unsigned zone, and the TLSA records are at its own name", "alias-insecure-end-to.test", Unsigned, byDANEEE,
			[]string{"3 1 1 leaf"}, rows("A8", "T2"),
			asks(Ask{Name: "mx", Type: "A", Status: "insecure", Kind: "data"}, Ask{Name: "mx", Type: "CNAME", Status: "secure", Kind: "data"})), "mx.alias-insecure-end.test"),
		alias("alias-insecure-end-none", "a signed alias into an unsigned zone, which alone has TLSA records", "alias-insecure-end-none-to.test", Unsigned, encrypted,
			[]string{"host.alias-insecure-end-none-to.test@3 1 1 leaf"}, rows("A8", "T3", "R4")),
		alias("alias-insecure", "an unsigned alias into a signed zone that has TLSA records: they do not count", "alias-insecure-to.test", NSEC, encrypted,
			[]string{"host.alias-insecure-to.test@3 1 1 leaf"}, rows("A9", "R9"), func(w *World) { w.Zones[0].Sign = Unsigned }),
		alias("alias-insecure-mx-secure", "a signed MX, whose host is an alias in an unsigned zone", "alias-insecure-mx-secure-to.test", NSEC, encrypted,
			[]string{"host.alias-insecure-mx-secure-to.test@3 1 1 leaf"}, rows("A9", "R4"), func(w *World) {
				w.Hosts[0].Name = "mx.u.alias-insecure-mx-secure.test"
				w.Zones = append(w.Zones, Zone{Apex: "u.alias-insecure-mx-secure.test", Sign: Unsigned})
			}),
		dane("alias-two-faces", "the host is an alias into a signed zone for IPv4 and into an unsigned one for IPv6: the TLSA records count for both", Zone{}, byDANEEE, rows("A2b", "A7"), func(w *World) {
			w.Zones = append(w.Zones, Zone{Apex: "alias-two-faces-4.test"}, Zone{Apex: "alias-two-faces-6.test", Sign: Unsigned})
			w.Hosts[0].Alias = "host.alias-two-faces-4.test"
			w.Hosts = append(w.Hosts, Host{Name: w.Hosts[0].Name, Pref: 10, Alias: "host.alias-two-faces-6.test", V6: true, NoV4: true, TLSA: []string{"3 1 1 leaf"}})
		}),
		alias("alias-loop", "the host is an alias of itself", "alias-loop.test", NSEC, deferred, nil, rows("A1"), func(w *World) {
			w.Hosts[0].NoAddress = true
			w.Records = []string{"host.alias-loop.test. CNAME mx.alias-loop.test."}
			w.Asks = []Ask{{Name: "mx.alias-loop.test", Type: "A", Status: "indeterminate"}}
		}),
		alias("alias-refused", "the host is an alias, and the operator refuses aliases", "alias-refused.test", NSEC, bounced,
			[]string{"3 1 1 leaf"}, rows("A4"), func(w *World) { w.Request.Options.RefuseMXAlias = true }),
		alias("alias-sts", "the host is an alias: the policy lists the alias, and the certificate has its name", "alias-sts-to.test", Unsigned, bySTS,
			nil, rows("C6/sts", "6/sts"), unsigned, enforce, chainIs(Chain{})),
		alias("alias-sts-target", "the policy lists the target of the alias: that does not count", "alias-sts-target-to.test", Unsigned, wantRefused,
			nil, rows("C6/skip"), unsigned, chainIs(Chain{}), func(w *World) {
				w.STS = &STS{Mode: "enforce", MX: []string{"host.alias-sts-target-to.test"}}
			}),
		dane("alias-dname", "the host's name is moved by a DNAME into another signed zone", Zone{}, byDANEEE, rows("A7"), func(w *World) {
			w.Zones = append(w.Zones, Zone{Apex: "alias-dname-to.test"})
			w.Hosts = []Host{{Name: "mx.alias-dname-to.test", NotMX: true, Chain: selfSigned, TLSA: []string{"3 1 1 leaf"}}}
			w.Records = []string{"alias-dname.test. MX 10 mx.in.alias-dname.test.", "in.alias-dname.test. DNAME alias-dname-to.test."}
			w.Asks = []Ask{{Name: "mx.in.alias-dname.test", Type: "A", Status: "secure", Kind: "data"}}
		}),
		dane("alias-dname-insecure", "the host's name is moved by a DNAME into an unsigned zone", Zone{}, encrypted, rows("A8"), func(w *World) {
			w.Zones = append(w.Zones, Zone{Apex: "alias-dname-insecure-to.test", Sign: Unsigned})
			w.Hosts = []Host{{Name: "mx.alias-dname-insecure-to.test", NotMX: true, Chain: selfSigned, TLSA: []string{"3 1 1 leaf"}}}
			w.Records = []string{"alias-dname-insecure.test. MX 10 mx.in.alias-dname-insecure.test.", "in.alias-dname-insecure.test. DNAME alias-dname-insecure-to.test."}
			w.Asks = []Ask{{Name: "mx.in.alias-dname-insecure.test", Type: "A", Status: "insecure", Kind: "data"}}
		}),
	}
}

// tlsaWorlds are about TLSA lookups and which records count.
func tlsaWorlds() []World {
	lookup := func(name, about string, want Want, edits ...func(*World)) World {
		return dane(name, about, Zone{}, want, edits...)
	}
	tlsaAlias := func(target string) func(*World) {
		return func(w *World) {
			mx := w.Hosts[0].Name
			w.Hosts[0].TLSA = nil
			w.Records = append(w.Records, "_25._tcp."+mx+". CNAME "+target+".", target+". TLSA {3 1 1 leaf "+mx+"}")
		}
	}
	return []World{
		lookup("tlsa-timeout", "the TLSA lookup gets no answer", deferred, fault(tlsaOfMX, "TLSA", Timeout), rows("T1", "R1", "C1/nothing")),
		lookup("tlsa-refused", "the resolver refuses to look up TLSA", deferred, fault(tlsaOfMX, "TLSA", RefusedQ), rows("T1", "R1")),
		lookup("tlsa-malformed", "the answer to the TLSA lookup is not a DNS message", deferred, fault(tlsaOfMX, "TLSA", Malformed), rows("T1", "R1")),
		lookup("tlsa-tcp", "the TLSA answer comes over TCP only", byDANEEE, fault(tlsaOfMX, "TLSA", LostOnUDP), rows("T2")),
		lookup("tlsa-servfail-enforce", "the TLSA lookup fails; a satisfied policy does not repair that", deferred, fault(tlsaOfMX, "TLSA", ServFail), enforce,
			chainIs(Chain{}), rows("T1", "R1", "C1/sts")),
		lookup("tlsa-servfail-no-match", "the TLSA lookup fails, and the policy names another host", deferred, fault(tlsaOfMX, "TLSA", ServFail), enforceElsewhere, rows("C1/skip")),
		lookup("tlsa-alias", "the TLSA records are an alias in the same zone", byDANEEE, tlsaAlias("_dane.tlsa-alias.test"), rows("T2")),
		lookup("tlsa-alias-zone", "the TLSA records are an alias into another signed zone", byDANEEE, tlsaAlias("_dane.tlsa-alias-zone-to.test"), rows("T2"), func(w *World) {
			w.Zones = append(w.Zones, Zone{Apex: "tlsa-alias-zone-to.test"})
		}),
		lookup("tlsa-alias-insecure", "the TLSA records are an alias into an unsigned zone", encrypted, tlsaAlias("_dane.tlsa-alias-insecure-to.test"), rows("T3", "R4"), func(w *World) {
			w.Zones = append(w.Zones, Zone{Apex: "tlsa-alias-insecure-to.test", Sign: Unsigned})
		}),
		lookup("tlsa-alias-loop", "the TLSA records are an alias of themselves", deferred, tlsaAre(), rows("T1"), func(w *World) {
			w.Records = []string{"_25._tcp.mx.tlsa-alias-loop.test. CNAME _25._tcp.mx.tlsa-alias-loop.test."}
		}),
		lookup("unusable-pkix-ee", "a TLSA record of usage 1: not for SMTP, so TLS is required and not authenticated", encrypted, tlsaAre("1 1 1 leaf"), rows("R3", "C5/nothing", "7/encrypt/E4", "6/encrypt")),
		lookup("unusable-pkix-ta", "a TLSA record of usage 0", encrypted, tlsaAre("0 0 1 root"), rows("R3")),
		lookup("unusable-short", "a TLSA record whose digest is too short", encrypted, tlsaAre("3 1 1 short"), rows("R3")),
		lookup("unusable-matching", "a TLSA record of a matching type that does not exist", encrypted, tlsaAre("3 1 7 leaf"), rows("R3")),
		lookup("unusable-selector", "a TLSA record of a selector that does not exist", encrypted, tlsaAre("3 9 1 leaf"), rows("R3")),
		lookup("unusable-usage", "a TLSA record of a usage that does not exist", encrypted, tlsaAre("9 1 1 leaf"), rows("R3")),
		lookup("unusable-junk", "a TLSA record whose data is not a certificate", encrypted, tlsaAre("2 0 0 junk"), rows("R3")),
		lookup("unusable-beside", "an unusable TLSA record next to a good one", byDANEEE, tlsaAre("1 1 1 other", "3 1 1 leaf"), rows("R2")),
		lookup("agility-strong", "two digests, and the stronger matches: the weaker does not count", byDANEEE, tlsaAre("3 1 1 other", "3 1 2 leaf"), rows("R2")),
		lookup("agility-weak", "two digests, and the stronger does not match", wantRefused, tlsaAre("3 1 1 leaf", "3 1 2 other"), rows("R2")),
		lookup("agility-selectors", "two digests of different selectors: both count", byDANEEE, tlsaAre("3 1 1 leaf", "3 0 2 other"), rows("R2")),
		lookup("full-certificate", "the whole certificate in DNS", byDANEEE, tlsaAre("3 0 0 leaf"), rows("R2")),
		lookup("full-key", "the whole key in DNS", byDANEEE, tlsaAre("3 1 0 leaf"), rows("R2")),
		lookup("sha512-certificate", "the SHA-512 digest of the certificate", byDANEEE, tlsaAre("3 0 2 leaf"), rows("R2")),
		lookup("rollover", "TLSA records of two keys, one of which is in use", byDANEEE, tlsaAre("3 1 1 other", "3 1 1 leaf"), rows("R2")),
	}
}
