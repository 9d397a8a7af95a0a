package lab

// lintWorlds show what is inconsistent, or will be soon, though the mail goes today:
// each has a neighbour in which that one thing is in order.
func lintWorlds() []World {
	finds := func(ids ...string) func(*World) { return func(w *World) { w.Lint = append(w.Lint, ids...) } }
	clean := func(w *World) { w.Clean = true }
	reports := func(w *World) { w.TLSRPT = "v=TLSRPTv1; rua=mailto:tls@" + w.Domain }
	// spare adds the CA to the key in use, so that the key can be changed.
	spare := tlsaAre("3 1 1 leaf", "2 1 1 ca")
	soon := Chain{Ends: 5 * Day}
	year := func(w *World) { w.STS.MaxAge = 31536000 }
	return []World{
		dane("all-good", "DANE with key and CA, a policy in mode enforce, and TLSRPT: there is nothing to improve", Zone{}, byDANEEE,
			good, enforce, year, spare, reports, clean),
		dane("lint-no-reports", "DANE and MTA-STS, and no TLSRPT record", Zone{}, byDANEEE, good, enforce, year, spare, finds("tlsrpt-missing")),
		dane("lint-reports-malformed", "DANE and MTA-STS, and a TLSRPT record without an address", Zone{}, byDANEEE, good, enforce, year, spare,
			finds("tlsrpt-malformed"), func(w *World) { w.TLSRPT = "v=TLSRPTv1; rua=" }),
		dane("lint-reports-servfail", "DANE and MTA-STS, and the lookup of the TLSRPT record fails", Zone{}, byDANEEE, good, enforce, year, spare, reports,
			fault("_smtp._tls", "TXT", ServFail), finds("tlsrpt-failed")),
		dane("lint-no-spare", "one TLSA record, and none for the next key", Zone{}, byDANEEE, good, enforce, year, reports, finds("tlsa-no-spare")),
		dane("lint-long-ttl", "TLSA records with a TTL of a week", Zone{}, byDANEEE, good, enforce, year, spare, reports,
			func(w *World) { w.Hosts[0].TLSATTL = 604800 }, finds("tlsa-long-ttl")),
		dane("lint-short-ttl", "TLSA records with a TTL of an hour", Zone{}, byDANEEE, good, enforce, year, spare, reports,
			func(w *World) { w.Hosts[0].TLSATTL = 3600 }, clean),
		dane("lint-certificate-pinned", "a TLSA record of the whole certificate, which every renewal breaks", Zone{}, byDANEEE, good, enforce, year, reports,
			tlsaAre("3 0 1 leaf", "3 0 1 other"), finds("tlsa-certificate-pinned")),
		dane("lint-some-hosts", "one of two hosts has TLSA records", Zone{}, byDANEEE, good, spare, reports, finds("tlsa-some-hosts"), func(w *World) {
			w.Hosts = append(w.Hosts, Host{Name: "mx2." + w.Domain, Pref: 20})
			w.Want.EveryHost = false
		}),
		dane("lint-dane-only", "DANE with key and CA, and no policy for senders without DNSSEC", Zone{}, byDANEEE, good, spare, reports, finds("dane-without-sts")),
		dane("lint-dane-certificate", "a self-signed certificate satisfies DANE, and not the MTA-STS policy", Zone{}, byDANEEE, enforce, year, spare, reports,
			finds("certificate-good-for-dane-only")),
		sts("lint-host-expiring", "a policy, and a certificate of the MX host that expires in five days", STS{Mode: "enforce"}, bySTS, chainIs(soon), year, reports,
			finds("sts-host-certificate-expiring")),
		sts("lint-policy-host-expiring", "a policy, and a certificate of the policy host that expires in five days", STS{Mode: "enforce", Chain: soon}, bySTS, year, reports,
			finds("sts-policy-host-certificate-expiring")),
		sts("lint-field-repeated", "a policy with two modes: the first counts", STS{
			Body: "version: STSv1\nmode: enforce\nmode: none\nmx: mx.lint-field-repeated.test\nmax_age: 31536000\n",
		}, bySTS, reports, finds("sts-policy-field-repeated")),
		sts("lint-testing-long", "a policy that has been in mode testing for a long time", STS{Mode: "testing", ID: "20250101T000000"}, encrypted, year, reports,
			finds("sts-testing-long")),
		sts("lint-short-max-age", "a policy with a max_age of an hour", STS{Mode: "enforce", MaxAge: 3600}, bySTS, reports, finds("sts-max-age-short")),
		sts("lint-pattern-unused", "a policy that lists a host that is not an MX host", STS{
			Mode: "enforce", MX: []string{"mx.lint-pattern-unused.test", "old.lint-pattern-unused.test"},
		}, bySTS, year, reports, finds("sts-pattern-unused")),
		dane("lint-certificate-expired", "no policy, and an expired certificate", Zone{Sign: Unsigned}, encrypted, chainIs(Chain{Ends: -Day}), tlsaAre(),
			finds("certificate-expired", "nothing-published")),
		dane("lint-certificate-cn", "no policy, and a certificate with the host's name as Common Name only", Zone{Sign: Unsigned}, encrypted,
			chainIs(Chain{NoSAN: true, CN: "mx.lint-certificate-cn.test"}), tlsaAre(), finds("certificate-cn-only", "nothing-published")),
		dane("lint-mixed-addresses", "the IPv4 addresses of the host are signed, the IPv6 addresses are not", Zone{}, byDANEEE, reports, finds("host-addresses-mixed"), func(w *World) {
			w.Zones = append(w.Zones, Zone{Apex: "lint-mixed-addresses-4.test"}, Zone{Apex: "lint-mixed-addresses-6.test", Sign: Unsigned})
			w.Hosts[0].Alias = "host.lint-mixed-addresses-4.test"
			w.Hosts = append(w.Hosts, Host{Name: w.Hosts[0].Name, Pref: 10, Alias: "host.lint-mixed-addresses-6.test", V6: true, NoV4: true, TLSA: []string{"3 1 1 leaf"}})
		}),
		dane("lint-tls12", "a host without TLS 1.3", Zone{}, byDANEEE, good, enforce, year, spare, reports, smtp(TLS12Only), finds("tls-version")),
	}
}
