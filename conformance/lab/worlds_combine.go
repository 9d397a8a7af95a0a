package lab

import (
	"slices"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
)

// combineWorlds show how DANE and MTA-STS meet, and what levels and options do
// (section 5 of the table).
func combineWorlds() []World {
	return slices.Concat(bothWorlds(), halfWorlds(), levelWorlds())
}

// option changes the request of a world.
func option(set func(*Request)) func(*World) { return func(w *World) { set(&w.Request) } }

func level(word string) func(*World) {
	return option(func(r *Request) { must(r.Level.UnmarshalText([]byte(word))) })
}

// must panics where a world of this package has a word that package engine does not know.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func both(r *Request) { r.Options.DANEAndSTS = engine.Both }

// requires adds the requirement of the first host to what is wanted.
func requires(r string) func(*World) {
	return func(w *World) {
		w.Want.Hosts = append(w.Want.Hosts, WantHost{
			Host: w.Hosts[0].Name, Outcome: w.Want.Outcome, Method: w.Want.Method, Requirement: r,
		})
	}
}

// good gives the first host its usual WebPKI certificate.
func good(w *World) { w.Hosts[0].Chain = Chain{} }

// bothWorlds have a secure MX, and policies of both kinds.
func bothWorlds() []World {
	return []World{
		dane("both-good", "DANE and a policy, both satisfied", Zone{}, byDANEEE, enforce, good, rows("C2/sts"), requires("dane")),
		dane("both-sts-fails", "DANE is satisfied, the policy is not, because the certificate is self-signed: DANE decides", Zone{}, byDANEEE, enforce, rows("C2/sts"), requires("dane")),
		dane("both-sts-no-match", "DANE is satisfied, the policy names another host", Zone{}, byDANEEE, enforceElsewhere, rows("C2/skip"), requires("dane")),
		dane("both-strict-good", "DANE and a policy, and the operator requires both", Zone{}, byDANEEE, enforce, good, option(both), rows("C3/sts", "6/sum", "7/sum/E4"), requires("dane+sts")),
		dane("both-strict-sts-fails", "the operator requires both, and the certificate is self-signed", Zone{}, wantRefused, enforce, option(both), rows("C3/sts", "7/sum/E4"), requires("dane+sts")),
		dane("both-strict-dane-fails", "the operator requires both, and the TLSA record is of another key", Zone{}, wantRefused, enforce, good, tlsaAre("3 1 1 other"), option(both), rows("C3/sts"), requires("dane+sts")),
		dane("both-strict-no-match", "the operator requires both, and the policy names another host", Zone{}, wantRefused, enforceElsewhere, option(both), rows("C3/skip"), requires("skip")),
		dane("both-strict-dane-only", "the operator requires both, and there is only DANE", Zone{}, byDANEEE, option(both), rows("C3/nothing"), requires("dane")),
		dane("both-strict-stripped", "the operator requires both, and STARTTLS is stripped", Zone{}, wantRefused, enforce, good, option(both), smtp(NoSTARTTLS), rows("7/sum/E1"), requires("dane+sts")),
		dane("both-strict-454", "the operator requires both, and STARTTLS is refused", Zone{}, wantRefused, enforce, good, option(both), smtp(STARTTLS454), rows("7/sum/E2"), requires("dane+sts")),
		dane("both-strict-alert", "the operator requires both, and the handshake fails", Zone{}, wantRefused, enforce, good, option(both), smtp(Alert), rows("7/sum/E3"), requires("dane+sts")),
		dane("unusable-enforce", "unusable TLSA records, and a policy that is satisfied", Zone{}, bySTS, enforce, good, tlsaAre("1 1 1 leaf"), rows("C5/sts"), requires("sts")),
		dane("unusable-enforce-fails", "unusable TLSA records, and a policy that is not satisfied", Zone{}, wantRefused, enforce, tlsaAre("1 1 1 leaf"), rows("C5/sts"), requires("sts")),
		dane("unusable-no-match", "unusable TLSA records, and a policy that names another host", Zone{}, wantRefused, enforceElsewhere, tlsaAre("1 1 1 leaf"), rows("C5/skip"), requires("skip")),
		dane("unusable-testing", "unusable TLSA records, and a policy in mode testing", Zone{}, encrypted, tlsaAre("1 1 1 leaf"), rows("C5/nothing"), requires("encrypt"),
			func(w *World) { w.STS = &STS{Mode: "testing"} }),
		dane("signed-enforce", "a signed domain without TLSA records, and a policy", Zone{}, bySTS, enforce, good, tlsaAre(), rows("R4", "C6/sts"), requires("sts")),
		dane("signed-nothing", "a signed domain that publishes nothing", Zone{}, encrypted, good, tlsaAre(), rows("R4", "C6/nothing"), requires("may")),
	}
}

// smtp sets the state of the first host's server.
func smtp(s SMTPState) func(*World) { return func(w *World) { w.Hosts[0].SMTP.State = s } }

// half is a world whose MX is in an unsigned zone and whose host is in a signed one.
func half(name, about string, want Want, edits ...func(*World)) World {
	domain := name + ".test"
	w := World{
		Name: name, Domain: domain, About: about, Want: want,
		Zones: []Zone{{Apex: domain, Sign: Unsigned}, {Apex: name + "-host.test"}},
		Hosts: []Host{{Name: "mx." + name + "-host.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
	}
	for _, e := range edits {
		e(&w)
	}
	return w
}

// halfWorlds have an insecure MX that leads to a host with DANE.
func halfWorlds() []World {
	mayMX := option(func(r *Request) { r.Options.InsecureMX = engine.InsecureMXMay })
	encryptMX := option(func(r *Request) { r.Options.InsecureMX = engine.InsecureMXEncrypt })
	return []World{
		half("half-dane", "an unsigned MX to a host with DANE: the host is authenticated, the choice of the host is not", encrypted, chainIs(selfSigned), rows("R7", "C4/nothing", "7/half-dane/E4"), requires("half-dane")),
		half("half-dane-ta", "an unsigned MX to a host with DANE by a private CA and the host's name", encrypted, chainIs(Chain{By: PrivateCA}), tlsaAre("2 1 1 ca"), rows("R7", "6/half-dane"), requires("half-dane")),
		half("half-dane-ta-domain", "an unsigned MX to a host with DANE by a private CA, and the certificate has only the name of the domain: that does not count", wantRefused,
			chainIs(Chain{By: PrivateCA, Names: []string{"half-dane-ta-domain.test"}}), tlsaAre("2 1 1 ca"), rows("R7", "6/half-dane"), requires("half-dane")),
		half("half-dane-mismatch", "the host's certificate is not that of its TLSA record", wantRefused, tlsaAre("3 1 1 other"), rows("R7", "7/half-dane/E4"), requires("half-dane")),
		half("half-dane-stripped", "the host has DANE, and STARTTLS is stripped", wantRefused, smtp(NoSTARTTLS), rows("7/half-dane/E1")),
		half("half-dane-454", "the host has DANE, and STARTTLS is refused", wantRefused, smtp(STARTTLS454), rows("7/half-dane/E2")),
		half("half-dane-alert", "the host has DANE, and the handshake fails", wantRefused, smtp(Alert), rows("7/half-dane/E3")),
		half("half-dane-servfail", "the host's TLSA lookup fails", deferred, rows("R1", "T1"), func(w *World) {
			w.Faults = []Fault{{Name: "_25._tcp.mx.half-dane-servfail-host.test", Type: "TLSA", What: ServFail}}
		}),
		half("half-dane-unusable", "the host has unusable TLSA records", encrypted, tlsaAre("1 1 1 leaf"), rows("R8"), requires("encrypt")),
		half("half-dane-none", "the host's zone is signed and has no TLSA records", encrypted, tlsaAre(), rows("R9", "C6/nothing"), requires("may")),
		half("half-dane-enforce", "the host has DANE, and the policy names it: both must hold", bySTS, enforce, rows("C4/sts", "6/sum"), requires("half-dane+sts")),
		half("half-dane-enforce-bad", "the host has DANE, the policy names it, and its certificate is not of a public CA", wantRefused, enforce, chainIs(selfSigned), rows("C4/sts"), requires("half-dane+sts")),
		half("half-dane-enforce-mismatch", "the policy is satisfied, and the host's TLSA record is of another key", wantRefused, enforce, tlsaAre("3 1 1 other"), rows("C4/sts"), requires("half-dane+sts")),
		half("half-dane-no-match", "the policy does not name the host that an unsigned MX led to", wantRefused, enforceElsewhere, rows("C4/skip"), requires("skip")),
		half("insecure-mx-may", "an unsigned MX, for which the operator does not use DANE", encrypted, tlsaAre("3 1 1 other"), mayMX, rows("R5"), requires("may")),
		half("insecure-mx-encrypt", "an unsigned MX to a host with DANE, for which the operator requires encryption", encrypted, tlsaAre("3 1 1 other"), encryptMX, rows("R6"), requires("encrypt")),
		half("insecure-mx-encrypt-stripped", "an unsigned MX to a host with DANE, for which the operator requires encryption, and STARTTLS is stripped", wantRefused, smtp(NoSTARTTLS), encryptMX, rows("R6", "7/encrypt/E1"), requires("encrypt")),
	}
}

// levelWorlds show the operator's levels.
func levelWorlds() []World {
	names := func(text string) func(*World) {
		h, err := rfc6125.ParseHost(text)
		must(err)
		return option(func(r *Request) { r.Options.Names = []rfc6125.Host{h} })
	}
	return []World{
		dane("level-opportunistic", "TLSA records of another key, and the operator enforces nothing", Zone{}, encrypted, tlsaAre("3 1 1 other"), level("opportunistic"), rows("level/opportunistic"), requires("may")),
		dane("level-opportunistic-no-match", "a policy that names another host, and the operator enforces nothing", Zone{}, encrypted, tlsaAre(), enforceElsewhere, level("opportunistic"), rows("level/opportunistic"), requires("may")),
		dane("level-opportunistic-stripped", "STARTTLS is stripped, and the operator enforces nothing", Zone{}, inTheClear, smtp(NoSTARTTLS), level("opportunistic"), rows("level/opportunistic", "7/may/E1")),
		dane("level-dane", "the operator honours DANE alone: a policy that fails does not matter", Zone{}, encrypted, tlsaAre(), enforceElsewhere, level("dane"), rows("level/dane"), requires("may")),
		dane("level-dane-match", "the operator honours DANE alone, and DANE is satisfied", Zone{}, byDANEEE, level("dane"), rows("level/dane"), requires("dane")),
		dane("level-dane-mismatch", "the operator honours DANE alone, and DANE fails", Zone{}, wantRefused, tlsaAre("3 1 1 other"), level("dane"), rows("level/dane"), requires("dane")),
		dane("level-sts", "the operator honours MTA-STS alone: TLSA records of another key do not matter", Zone{}, bySTS, good, enforce, tlsaAre("3 1 1 other"), level("sts"), rows("level/sts"), requires("sts")),
		dane("level-sts-none", "the operator honours MTA-STS alone, and there is none", Zone{}, encrypted, tlsaAre("3 1 1 other"), level("sts"), rows("level/sts"), requires("may")),
		dane("level-sts-no-match", "the operator honours MTA-STS alone, and the policy names another host", Zone{}, wantRefused, enforceElsewhere, level("sts"), rows("level/sts"), requires("skip")),
		dane("level-dane-only", "DANE must authenticate, and does", Zone{}, byDANEEE, level("dane-only"), rows("level/dane-only"), requires("dane")),
		dane("level-dane-only-none", "DANE must authenticate, and there are no TLSA records", Zone{}, deferred, tlsaAre(), level("dane-only"), rows("level/dane-only"), requires("skip")),
		dane("level-dane-only-unusable", "DANE must authenticate, and no TLSA record is usable", Zone{}, deferred, tlsaAre("1 1 1 leaf"), level("dane-only"), rows("level/dane-only", "R3"), requires("skip")),
		dane("level-dane-only-mismatch", "DANE must authenticate, and the certificate is another", Zone{}, wantRefused, tlsaAre("3 1 1 other"), level("dane-only"), rows("level/dane-only")),
		half("level-dane-only-half", "DANE must authenticate, and the MX is unsigned", deferred, level("dane-only"), rows("level/dane-only"), requires("skip")),
		sts("level-dane-only-sts", "DANE must authenticate: a satisfied policy is not enough", STS{Mode: "enforce"}, deferred, level("dane-only"), rows("level/dane-only")),
		dane("level-secure-dane", "a policy or DANE must authenticate, and DANE does", Zone{}, byDANEEE, level("secure"), rows("level/secure"), requires("dane")),
		sts("level-secure-sts", "a policy or DANE must authenticate, and a policy does", STS{Mode: "enforce"}, bySTS, level("secure"), rows("level/secure"), requires("sts")),
		sts("level-secure-testing", "a policy or DANE must authenticate: a policy in mode testing is not enough", STS{Mode: "testing"}, wantRefused, level("secure"), rows("level/secure"), requires("skip")),
		half("level-secure-half", "a policy or DANE must authenticate: DANE with an unsigned MX is not enough", wantRefused, level("secure"), rows("level/secure"), requires("skip")),
		dane("level-secure-unusable", "a policy or DANE must authenticate: unusable TLSA records are not enough", Zone{}, wantRefused, tlsaAre("1 1 1 leaf"), level("secure"), rows("level/secure"), requires("skip")),
		dane("level-secure-names", "names that the operator configured, and a certificate that has one of them", Zone{}, byPKIX, tlsaAre(), good, level("secure"), names("mx.level-secure-names.test"), rows("level/secure", "6/pkix", "7/pkix/E4"), requires("pkix")),
		dane("level-secure-names-wrong", "names that the operator configured, and a certificate of another", Zone{}, wantRefused, tlsaAre(), good, level("secure"), names("mail.example"), rows("level/secure", "7/pkix/E4"), requires("pkix")),
		dane("level-secure-names-private", "a configured name in a certificate of an unknown CA", Zone{}, wantRefused, tlsaAre(), chainIs(Chain{By: PrivateCA}), level("secure"), names("mx.level-secure-names-private.test"), rows("level/secure", "7/pkix/E4")),
		dane("level-secure-names-stripped", "a configured name, and STARTTLS is stripped", Zone{}, wantRefused, tlsaAre(), good, smtp(NoSTARTTLS), level("secure"), names("mx.level-secure-names-stripped.test"), rows("7/pkix/E1")),
		dane("level-secure-names-454", "a configured name, and STARTTLS is refused", Zone{}, wantRefused, tlsaAre(), good, smtp(STARTTLS454), level("secure"), names("mx.level-secure-names-454.test"), rows("7/pkix/E2")),
		dane("level-secure-names-alert", "a configured name, and the handshake fails", Zone{}, wantRefused, tlsaAre(), good, smtp(Alert), level("secure"), names("mx.level-secure-names-alert.test"), rows("7/pkix/E3")),
		dane("level-secure-names-servfail", "a configured name does not repair a failed TLSA lookup", Zone{}, deferred, good, fault(tlsaOfMX, "TLSA", ServFail), level("secure"), names("mx.level-secure-names-servfail.test"), rows("level/secure", "C1/nothing")),
		dane("level-secure-names-no-match", "a configured name does not repair a policy that names another host", Zone{}, wantRefused, tlsaAre(), good, enforceElsewhere, level("secure"), names("mx.level-secure-names-no-match.test"), rows("level/secure", "C6/skip")),
		dane("level-secure-mismatch", "a configured name does not repair a TLSA record of another key", Zone{}, wantRefused, tlsaAre("3 1 1 other"), good, level("secure"), names("mx.level-secure-mismatch.test"), rows("level/secure"), requires("dane")),
	}
}
