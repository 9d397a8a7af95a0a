package lab

import "strings"

// nearWorlds show what is nearly right: records and files that are there and that no sender
// reads, names that can be no mail host, and the like.
func nearWorlds() []World {
	finds := func(ids ...string) func(*World) { return func(w *World) { w.Lint = append(w.Lint, ids...) } }
	records := func(lines ...string) func(*World) {
		return func(w *World) {
			for _, l := range lines {
				w.Records = append(w.Records, strings.ReplaceAll(strings.ReplaceAll(l, "DOMAIN", w.Domain+"."), ".}", "}"))
			}
		}
	}
	unsigned := func(name, about string, want Want, edits ...func(*World)) World {
		return dane(name, about, Zone{Sign: Unsigned}, want, append([]func(*World){good, tlsaAre()}, edits...)...)
	}
	policy := func(s STS) func(*World) { return func(w *World) { w.STS = &s } }
	served := func(txt ...string) func(*World) {
		return policy(STS{Mode: "enforce", TXT: append([]string{}, txt...)})
	}
	// body is a policy text for mx.DOMAIN.
	body := func(text string) func(*World) {
		return func(w *World) { w.STS = &STS{Body: Body(strings.ReplaceAll(text, "MX", "mx."+w.Domain))} }
	}
	const file = "version: STSv1\nmode: enforce\nmx: MX\nmax_age: 1209600\n"
	change := func(old, now string) string { return strings.ReplaceAll(file, old, now) }
	host := func(f func(*World, *Host)) func(*World) { return func(w *World) { f(w, &w.Hosts[0]) } }
	var out []World
	for _, n := range []struct{ name, about, txt string }{
		{"quoted", "in quotes around its value", `"v=STSv1; id=1;"`},
		{"blanks", "with blanks around the first equals sign", "v = STSv1; id=1;"},
		{"id-first", "with the id before the version", "id=1; v=STSv1;"},
		{"mta", "of version MTA-STSv1", "v=MTA-STSv1; id=1;"},
		{"colons", "with colons in place of equals signs", "v:STSv1; id:1"},
		{"lower", "in lower case", "v=stsv1; id=1;"},
		{"comma", "with a comma in place of the semicolon", "v=STSv1, id=1"},
		{"no-version", "without its version", "id=20260101T000000"},
		{"date", "whose id is a date with hyphens", "v=STSv1; id=2026-11-01;"},
	} {
		out = append(out, unsigned("near-txt-"+n.name, "an MTA-STS record "+n.about, encrypted, served(n.txt), finds("sts-record-malformed")))
	}
	for _, n := range []struct{ name, about, body string }{
		{"bom", "begins with a byte order mark", "\ufeff" + file},
		{"nbsp", "has a no-break space", change("mode: ", "mode:\u00a0")},
		{"cr-cr-lf", "has lines that end in CR CR LF", change("\n", "\r\r\n")},
		{"space-colon", "has blanks before its colons", change(":", " :")},
		{"comment", "begins with a comment", "# our policy\n" + file},
		{"preference", "has a preference before the host", change("mx: ", "mx: 10 ")},
		{"yaml", "lists its hosts as YAML does", change("mx: MX", "mx:\n  - MX")},
		{"semicolon", "ends its max_age with a semicolon", change("1209600", "1209600;")},
		{"case", "writes its mode with a capital", change("mode: enforce", "mode: Enforce")},
		{"utf-16", "is UTF-16", "\xff\xfe" + strings.Join(strings.Split(change("MX", "mx.near-policy-utf-16.test"), ""), "\x00") + "\x00"},
		{"html", "is an HTML page", "<html><body>It works!</body></html>\n"},
	} {
		out = append(out, unsigned("near-policy-"+n.name, "a policy that "+n.about, encrypted, body(n.body), finds("sts-policy-invalid")))
	}
	for _, n := range []struct{ name, about, txt, finds string }{
		{"lower", "in lower case", "v=tlsrptv1; rua=mailto:tls@near.example", "tlsrpt-malformed"},
		{"no-version", "without its version", "rua=mailto:tls@near.example", "tlsrpt-malformed"},
		{"short", "of version TLSRPT1", "v=TLSRPT1; rua=mailto:tls@near.example", "tlsrpt-malformed"},
		{"http", "that names only a web server without TLS", "v=TLSRPTv1; rua=http://reports.near.example/", "tlsrpt-no-destination"},
		{"dmarc", "replaced by a record of DMARC", "v=DMARC1; p=none", "tlsrpt-missing"},
	} {
		out = append(out, dane("near-tlsrpt-"+n.name, "a TLSRPT record "+n.about, Zone{}, byDANEEE, good, func(w *World) { w.TLSRPT = n.txt }, finds(n.finds)))
	}
	for _, n := range []struct {
		name, about string
		how         HTTP
		finds       string
	}{
		{"304", "answers 304", HTTP304, "sts-policy-status"},
		{"gzip", "compresses it without being asked", HTTPGzip, "sts-policy-compressed"},
		{"big-header", "sends a huge header", HTTPBigHeader, "sts-policy-http"},
		{"alert", "ends the handshake with an alert", HTTPAlert, "sts-policy-host-tls"},
		{"refused", "refuses the connection", HTTPRefused, "sts-policy-host-unreachable"},
	} {
		out = append(out, unsigned("policy-"+n.name, "the web server of a policy "+n.about, encrypted, policy(STS{Mode: "enforce", HTTP: n.how}), finds(n.finds)))
	}
	return append(out,
		unsigned("not-announced", "a policy is served, and no record announces it", encrypted, served(), finds("sts-policy-not-announced")),
		unsigned("not-announced-misfit", "a policy to enforce is served and not announced, and the certificate would not pass", encrypted, served(), chainIs(selfSigned), finds("sts-policy-not-announced")),
		unsigned("sts-misplaced", "the MTA-STS record is at the domain itself", encrypted, served(), records(`DOMAIN TXT "v=STSv1; id=1;"`), finds("sts-record-misplaced")),
		dane("tlsrpt-misplaced", "the TLSRPT record lacks its first label", Zone{}, byDANEEE, good, records(`_tls.DOMAIN TXT "v=TLSRPTv1; rua=mailto:tls@near.example"`), finds("tlsrpt-record-misplaced")),
		unsigned("sts-alias-nowhere", "the MTA-STS record is an alias for a name that does not exist", encrypted, served(), records("_mta-sts.DOMAIN CNAME gone.DOMAIN"), finds("alias-to-nowhere")),
		unsigned("policy-host-alias-nowhere", "the policy host is an alias for a name that does not exist", encrypted, policy(STS{Mode: "enforce", NoHost: true}), records("mta-sts.DOMAIN CNAME gone.DOMAIN"), finds("alias-to-nowhere")),
		dane("tlsrpt-alias-nowhere", "the TLSRPT record is an alias for a name that does not exist", Zone{}, byDANEEE, good, records("_smtp._tls.DOMAIN CNAME gone.DOMAIN"), finds("alias-to-nowhere")),
		unsigned("mx-alias-nowhere", "one of two MX hosts is an alias for a name that does not exist", encrypted, records("DOMAIN MX 20 old.DOMAIN", "old.DOMAIN CNAME gone.DOMAIN"), finds("alias-to-nowhere")),
		dane("tlsa-alias-nowhere", "the TLSA record is an alias for a name that does not exist", Zone{}, encrypted, good, tlsaAre(), records("_25._tcp.mx.DOMAIN CNAME gone.DOMAIN"), finds("alias-to-nowhere")),
		unsigned("alias-under-enforce", "the MX host is an alias, and the policy in mode enforce lists the alias", bySTS, policy(STS{Mode: "enforce"}), host(func(w *World, h *Host) {
			h.Alias, h.Chain = "real."+w.Domain, Chain{Names: []string{h.Name, "real." + w.Domain}}
		}), finds("host-alias")),
		unsigned("alias-under-enforce-one-name", "the MX host is an alias, the policy in mode enforce lists it, and the certificate names it alone", bySTS, policy(STS{Mode: "enforce"}), host(func(w *World, h *Host) {
			h.Alias = "real." + w.Domain
		}), finds("host-alias")),
		unsigned("mx-underscore", "an MX host whose name no policy can list", encrypted, host(func(w *World, h *Host) { h.Name = "mx_1." + w.Domain; h.Chain = Chain{} }), finds("nothing-published")),
		unsigned("mx-localhost", "one of two MX records names localhost", encrypted, records("DOMAIN MX 20 localhost."), finds("mx-name-wrong")),
		unsigned("mx-twice", "the MX record lacks the dot at its end, so the domain follows twice", encrypted, records("DOMAIN MX 5 mx.DOMAINDOMAIN"), finds("mx-name-wrong")),
		unsigned("mx-one-label", "an MX record names a host without its domain", encrypted, records("DOMAIN MX 5 mail.", "mail.DOMAIN A {A mx.DOMAIN}"), finds("mx-name-wrong")),
		unsigned("mx-invalid", "an MX record names a host of .invalid", encrypted, records("DOMAIN MX 5 mail.invalid."), finds("mx-name-wrong")),
		unsigned("mx-host-private", "one of two MX hosts has a private address", encrypted, records("DOMAIN MX 20 inside.DOMAIN", "inside.DOMAIN A 10.1.2.3"), finds("host-address-not-public")),
		unsigned("policy-host-dead-aaaa", "one address of the policy host does not answer", bySTS, policy(STS{Mode: "enforce"}), records("mta-sts.DOMAIN AAAA fd00:6d78:ff::1"), finds("sts-policy-host-dead-address")),
		unsigned("policy-host-private", "the policy host has a private address", encrypted, policy(STS{Mode: "enforce", NoHost: true}), records("mta-sts.DOMAIN A 10.1.2.3"), finds("sts-policy-host-address")),
		unsigned("implicit-enforce", "no MX record, and a policy in mode enforce that lists a host of another name", wantRefused, func(w *World) {
			w.NoMX, w.Hosts[0].Name = true, w.Domain
			w.STS = &STS{Mode: "enforce", MX: []string{"mail." + w.Domain}}
		}, finds("mx-implicit", "sts-host-not-listed")),
		unsigned("implicit-nothing", "neither MX record nor address, and a host mail. that has one", bounced, func(w *World) {
			w.Hosts[0].Name, w.NoMX = "mail."+w.Domain, true
		}, finds("mx-none")),
		unsigned("testing-misfit", "a policy in mode testing, and a certificate that would not pass", encrypted, policy(STS{Mode: "testing"}), chainIs(selfSigned), finds("sts-testing")),
	)
}
