package lab

import (
	"slices"

	"github.com/mxauth/mxauth/engine"
)

// stsWorlds show what a domain's MTA-STS comes to (section 3 of the table).
func stsWorlds() []World {
	return slices.Concat(recordWorlds(), fetchWorlds(), cachedWorlds())
}

// sts is a world of an unsigned zone with one MX host and a policy.
func sts(name, about string, s STS, want Want, edits ...func(*World)) World {
	domain := name + ".test"
	w := World{
		Name: name, Domain: domain, About: about, Want: want,
		Zones: []Zone{{Apex: domain, Sign: Unsigned}},
		Hosts: []Host{{Name: "mx." + domain, Pref: 10}},
		STS:   &s,
	}
	for _, e := range edits {
		e(&w)
	}
	return w
}

// was gives a world an earlier state with the same zones and hosts, and that policy.
func was(s STS) func(*World) {
	return func(w *World) { w.Was = &World{Zones: w.Zones, Hosts: w.Hosts, STS: &s} }
}

// badMX makes the MX host's certificate worthless for WebPKI.
func badMX(w *World) { w.Hosts[0].Chain = selfSigned }

// fault adds a lookup failure at a name of the world's domain.
func fault(name, typ string, what FaultWord) func(*World) {
	return func(w *World) { w.Faults = append(w.Faults, Fault{dotted(name, w.Domain), typ, what}) }
}

// recordWorlds differ in the TXT record and the policy's text.
func recordWorlds() []World {
	enforce := STS{Mode: "enforce"}
	txt := func(t ...string) STS { return STS{Mode: "enforce", TXT: t} }
	return []World{
		sts("sts-none", "a policy of mode none", STS{Mode: "none"}, encrypted, badMX, rows("S3", "C6/nothing")),
		sts("sts-wildcard", "a policy that names all hosts below the domain", STS{Mode: "enforce", MX: []string{"*.sts-wildcard.test"}}, bySTS, rows("S3", "C6/sts")),
		sts("sts-wildcard-deep", "a wildcard in a policy matches one label, and the host name has two", STS{Mode: "enforce", MX: []string{"*.sts-wildcard-deep.test"}}, wantRefused,
			rows("C6/skip"), func(w *World) { w.Hosts[0].Name = "a.mx.sts-wildcard-deep.test" }),
		sts("sts-case", "the policy writes the host's name in capitals", STS{Mode: "enforce", MX: []string{"MX.STS-Case.Test"}}, bySTS, rows("S3")),
		sts("sts-no-match", "the policy names another host", STS{Mode: "enforce", MX: []string{"mx.elsewhere.test"}}, wantRefused, rows("C6/skip")),
		sts("sts-one-matches", "the policy names the second of two hosts", STS{Mode: "enforce", MX: []string{"mx2.sts-one-matches.test"}},
			Want{Outcome: "authenticated", Method: "mta-sts", Deliver: true, EveryHost: true, Hosts: []WantHost{
				{Host: "mx.sts-one-matches.test", Outcome: "refused", Requirement: "skip"},
				{Host: "mx2.sts-one-matches.test", Outcome: "authenticated", Method: "mta-sts", Requirement: "sts"},
			}}, rows("C6/skip", "C6/sts"),
			func(w *World) { w.Hosts = append(w.Hosts, Host{Name: "mx2.sts-one-matches.test", Pref: 20}) }),
		sts("sts-testing-no-match", "a policy in mode testing lists another host, and the certificate is bad: both are reported, and the mail is delivered",
			STS{Mode: "testing", MX: []string{"mx.elsewhere.test"}}, encrypted, badMX, rows("C6/nothing")),
		sts("sts-testing-stripped", "a policy in mode testing, and no STARTTLS: it is reported, and the mail is delivered in clear text", STS{Mode: "testing"}, inTheClear,
			func(w *World) { w.Hosts[0].SMTP.State = NoSTARTTLS }, rows("7/may/E1")),
		sts("sts-txt-none", "a policy host without a TXT record: the policy is not fetched", txt([]string{}...), encrypted, badMX, rows("S1")),
		sts("sts-txt-two", "two records of MTA-STS count as none", txt("v=STSv1; id=1;", "v=STSv1; id=2;"), encrypted, badMX, rows("S1")),
		sts("sts-txt-other", "another TXT record next to that of MTA-STS", txt("v=spf1 -all", "v=STSv1; id=1;"), bySTS, rows("S3")),
		sts("sts-txt-malformed", "a record without an id counts as none", txt("v=STSv1;"), encrypted, badMX, rows("S1")),
		sts("sts-txt-servfail", "the record lookup fails and no policy is cached: by default the mail is delivered", enforce, encrypted,
			badMX, fault("_mta-sts", "TXT", ServFail), rows("S2")),
		sts("sts-txt-servfail-defer", "the record lookup fails, and the operator chose to defer", enforce, deferred,
			fault("_mta-sts", "TXT", ServFail), rows("S2"), func(w *World) { w.Request.Options.STSUndetermined = engine.STSDefer }),
		sts("sts-txt-timeout", "the record lookup gets no answer, and no policy is cached", enforce, encrypted,
			badMX, fault("_mta-sts", "TXT", Timeout), rows("S2")),
		sts("sts-alias", "the record is an alias, as hosting providers set it up", txt([]string{}...), bySTS, func(w *World) {
			w.Records = []string{
				"_mta-sts.sts-alias.test. CNAME _hosted.sts-alias.test.",
				"_hosted.sts-alias.test. TXT \"v=STSv1; id=1;\"",
			}
		}, rows("S3")),
		sts("sts-subdomain", "the policy of the parent domain does not count", enforce, encrypted, badMX, rows("S1"), func(w *World) {
			w.Domain, w.STS.At = "sub.sts-subdomain.test", "sts-subdomain.test"
		}),
	}
}

// fetchWorlds have a policy that cannot be had; nothing is cached, so it does not
// count (RFC 8461 section 3.3).
func fetchWorlds() []World {
	var out []World
	fails := func(name, about string, edit func(*STS)) {
		s := STS{Mode: "enforce"}
		edit(&s)
		out = append(out, sts(name, about, s, encrypted, badMX, rows("S4", "6/fetch")))
	}
	http := func(h HTTP) func(*STS) { return func(s *STS) { s.HTTP = h } }
	chain := func(c Chain) func(*STS) { return func(s *STS) { s.Chain = c } }
	body := func(b string) func(*STS) { return func(s *STS) { s.Body = Body(b) } }
	fails("sts-404", "the policy host answers 404", http(HTTP404))
	fails("sts-500", "the policy host answers 500", http(HTTP500))
	fails("sts-redirect", "the policy host redirects: redirects are not followed", http(HTTPRedirect))
	fails("sts-html", "the policy host answers with a web page", http(HTTPHTML))
	fails("sts-huge", "the policy is a megabyte", http(HTTPHuge))
	fails("sts-hang", "the policy host does not answer", http(HTTPHang))
	fails("sts-hang-in-body", "the policy host stops in the middle of the policy", http(HTTPHangInBody))
	fails("sts-hang-in-handshake", "the policy host does not answer the TLS handshake", http(HTTPHangInHello))
	fails("sts-close", "the policy host closes the connection", http(HTTPClose))
	fails("sts-conn-refused", "the policy host refuses the connection", http(HTTPRefused))
	fails("sts-tls10", "the policy host speaks TLS 1.0 only", http(HTTPTLS10))
	fails("sts-no-host", "the policy host has no address", func(s *STS) { s.NoHost = true })
	fails("sts-cert-expired", "the policy host's certificate has expired", chain(Chain{Ends: -Hour}))
	fails("sts-cert-future", "the policy host's certificate is not valid before tomorrow", chain(Chain{Starts: Day}))
	fails("sts-cert-self", "the policy host's certificate is self-signed", chain(Chain{By: SelfSigned}))
	fails("sts-cert-private", "the policy host's certificate is of an unknown CA", chain(Chain{By: PrivateCA}))
	fails("sts-cert-name", "the policy host's certificate has the name of the domain, not that of the policy host", chain(Chain{Names: []string{"sts-cert-name.test"}}))
	fails("sts-cert-cn", "the policy host's certificate has its name as Common Name only", chain(Chain{NoSAN: true, CN: "mta-sts.sts-cert-cn.test"}))
	fails("sts-cert-incomplete", "the policy host does not send the intermediate", chain(Chain{Send: SendLeaf}))
	fails("sts-syntax", "the policy is a line without a field", body("enforce everything\n"))
	fails("sts-no-max-age", "the policy has no max_age", body("version: STSv1\nmode: enforce\nmx: mx.sts-no-max-age.test\n"))
	fails("sts-no-mx", "the policy is in mode enforce and lists no host", body("version: STSv1\nmode: enforce\nmax_age: 604800\n"))
	fails("sts-unknown-mode", "the policy has a mode that does not exist", body("version: STSv1\nmode: enforced\nmx: mx.sts-unknown-mode.test\nmax_age: 604800\n"))
	out = append(out,
		sts("sts-lf", "the policy's lines end in LF alone", STS{Body: "version: STSv1\nmode: enforce\nmx: mx.sts-lf.test\nmax_age: 604800\n"}, bySTS, rows("S3")),
		sts("sts-cert-wildcard", "the policy host's certificate is a wildcard", STS{Mode: "enforce", Chain: Chain{Names: []string{"*.sts-cert-wildcard.test"}}}, bySTS, rows("S3", "6/fetch")),
		sts("sts-hang-dane", "the policy host does not answer, and DANE decides without it", STS{Mode: "enforce", HTTP: HTTPHang}, byDANEEE, rows("S12", "C2/sts"),
			func(w *World) {
				w.Zones[0].Sign = NSEC
				w.Hosts[0].TLSA = []string{"3 1 1 leaf"}
			}),
	)
	return out
}

// cachedWorlds begin with a policy that was fetched, and go on otherwise.
func cachedWorlds() []World {
	enforce := STS{Mode: "enforce"}
	return []World{
		sts("cached-same", "the record has not changed: the cached policy counts although the policy host is down", STS{Mode: "enforce", HTTP: HTTPRefused}, bySTS,
			was(enforce), rows("S5")),
		sts("cached-stripped", "a cached policy, and STARTTLS is stripped", enforce, wantRefused,
			was(enforce), func(w *World) { w.Hosts = []Host{{Name: w.Hosts[0].Name, Pref: 10, SMTP: SMTP{State: NoSTARTTLS}}} }, rows("S5", "7/sts/E1")),
		sts("cached-new", "a new record: the new policy is fetched, and names the new host", STS{ID: "2", Mode: "enforce"}, bySTS,
			was(STS{Mode: "enforce", MX: []string{"old.cached-new.test"}}), rows("S6")),
		sts("cached-removed", "a new record, and a policy of mode none: the domain ends its use of MTA-STS", STS{ID: "2", Mode: "none"}, encrypted,
			was(enforce), swap(selfSigned), rows("S6")),
		sts("cached-new-fails", "a new record, and the fetch fails: the old policy counts", STS{ID: "2", Mode: "none", HTTP: HTTP500}, wantRefused,
			was(enforce), swap(selfSigned), rows("S7")),
		sts("cached-new-webpki", "a new record, and the policy host has a bad certificate: the old policy counts", STS{ID: "2", Mode: "none", Chain: Chain{By: SelfSigned}}, wantRefused,
			was(enforce), swap(selfSigned), rows("S7")),
		sts("cached-new-invalid", "a new record, and the new policy is invalid: the old one counts", STS{ID: "2", Body: "mode: none\n"}, wantRefused,
			was(enforce), swap(selfSigned), rows("S7")),
		sts("cached-txt-gone", "the record is missing, the policy host is down, and the MX host's certificate is bad: the cached policy counts", STS{Mode: "enforce", TXT: []string{}, HTTP: HTTPRefused}, wantRefused,
			was(enforce), swap(selfSigned), rows("S8")),
		sts("cached-txt-gone-good", "the record is missing, and the MX host satisfies the cached policy", STS{Mode: "enforce", TXT: []string{}, HTTP: HTTPRefused}, bySTS,
			was(enforce), rows("S8")),
		sts("cached-txt-fails", "the record lookup fails: the cached policy counts", enforce, wantRefused,
			was(enforce), swap(selfSigned), fault("_mta-sts", "TXT", ServFail), rows("S9")),
		sts("cached-expired", "the cached policy has expired, and the record is missing", STS{Mode: "enforce", TXT: []string{}}, encrypted,
			was(STS{Mode: "enforce", MaxAge: 86400}), swap(selfSigned), rows("S1"), func(w *World) { w.Age = 25 * Hour }),
		sts("cached-not-expired", "the cached policy expires in an hour, and the record is missing", STS{Mode: "enforce", TXT: []string{}}, wantRefused,
			was(STS{Mode: "enforce", MaxAge: 86400}), swap(selfSigned), rows("S8"), func(w *World) { w.Age = 23 * Hour }),
		sts("cached-testing", "a cached policy in mode testing, and a bad certificate", STS{Mode: "testing"}, encrypted,
			was(STS{Mode: "testing"}), swap(selfSigned), rows("S5")),
	}
}

// swap gives the host of a world that was another a certificate for now.
func swap(c Chain) func(*World) {
	return func(w *World) { w.Hosts = []Host{{Name: w.Hosts[0].Name, Pref: w.Hosts[0].Pref, Chain: c}} }
}
