package lab

import "slices"

// Worlds returns the worlds that mxauth is checked with, in an order fit for reading:
// the ones that explain the two standards first. The caller may change the slice and
// the worlds in it, not what these hold by reference.
func Worlds() []World {
	return withReasons(slices.Concat(firstWorlds(), mxWorlds(), stsWorlds(), hostWorlds(), combineWorlds(),
		tlsWorlds(), requireTLSWorlds(), dnssecWorlds(), lintWorlds(), nearWorlds(), memoryWorlds(), ownTLSWorlds(), twoKeysWorlds()))
}

// Answers that come up again and again.
var (
	byDANEEE    = Want{Outcome: "authenticated", Method: "dane-ee", Deliver: true, EveryHost: true}
	byDANETA    = Want{Outcome: "authenticated", Method: "dane-ta", Deliver: true, EveryHost: true}
	bySTS       = Want{Outcome: "authenticated", Method: "mta-sts", Deliver: true, EveryHost: true}
	byPKIX      = Want{Outcome: "authenticated", Method: "pkix", Deliver: true, EveryHost: true}
	encrypted   = Want{Outcome: "encrypted", Deliver: true}
	inTheClear  = Want{Outcome: "cleartext", Deliver: true}
	wantRefused = Want{Outcome: "refused"}
	deferred    = Want{Outcome: "deferred"}
	bounced     = Want{Outcome: "bounced"}
)

// selfSigned is the certificate that a mail server comes with: of no CA and of no name
// that matters.
var selfSigned = Chain{By: SelfSigned, Names: []string{"localhost.invalid"}, CN: "localhost.invalid"}

// firstWorlds are those that the first reader meets.
func firstWorlds() []World {
	return []World{{
		Name: "dane-ee", Domain: "dane-ee.test",
		About: "a self-signed certificate that a 3 1 1 TLSA record names",
		Rows:  []string{"M9", "A5", "T2", "R2", "C2/nothing", "6/dane-ee", "7/dane/E4"},
		Hosts: []Host{{Name: "mx.dane-ee.test", Pref: 10, Chain: selfSigned, TLSA: []string{"3 1 1 leaf"}}},
		Want:  byDANEEE,
	}, {
		Name: "dane-ta", Domain: "dane-ta.test",
		About: "a private CA that a 2 1 1 TLSA record names, and a certificate of the host's name",
		Rows:  []string{"M9", "A5", "T2", "R2", "C2/nothing", "6/dane-ta", "7/dane/E4"},
		Hosts: []Host{{Name: "mx.dane-ta.test", Pref: 10, Chain: Chain{By: PrivateCA}, TLSA: []string{"2 1 1 ca"}}},
		Want:  byDANETA,
	}, {
		Name: "sts-enforce", Domain: "sts-enforce.test",
		About: "an MTA-STS policy in mode enforce, and a valid certificate of a public CA",
		Rows:  []string{"S3", "A6", "R9", "C6/sts", "6/sts", "6/fetch", "7/sts/E4"},
		Zones: []Zone{{Apex: "sts-enforce.test", Sign: Unsigned}},
		Hosts: []Host{{Name: "mx.sts-enforce.test", Pref: 10}},
		STS:   &STS{Mode: "enforce"},
		Want:  bySTS,
	}, {
		Name: "sts-testing", Domain: "sts-testing.test",
		About: "an MTA-STS policy in mode testing: a bad certificate is reported, and the mail is delivered",
		Rows:  []string{"S3", "C6/nothing", "7/may/E4"},
		Zones: []Zone{{Apex: "sts-testing.test", Sign: Unsigned}},
		Hosts: []Host{{Name: "mx.sts-testing.test", Pref: 10, Chain: selfSigned}},
		STS:   &STS{Mode: "testing"},
		Want:  encrypted,
	}, {
		Name: "classic-mismatch", Domain: "classic.example",
		About: "the question of 2012: the MX hosts present a certificate for another name, and the domain publishes nothing",
		Rows:  []string{"M9", "S1", "A6", "R9", "C6/nothing", "7/may/E4"},
		Zones: []Zone{{Apex: "classic.example", Sign: Unsigned}, {Apex: "smtp-in.example", Sign: Unsigned}},
		Hosts: []Host{
			{Name: "smtp-in.example", Pref: 5, Chain: classic},
			{Name: "alt1.smtp-in.example", Pref: 10, Chain: classic},
			{Name: "alt2.smtp-in.example", Pref: 20, Chain: classic},
			{Name: "alt3.smtp-in.example", Pref: 30, Chain: classic},
			{Name: "alt4.smtp-in.example", Pref: 40, Chain: classic},
		},
		Want: encrypted,
	}, {
		Name: "stripped-dane", Domain: "stripped-dane.test",
		About: "STARTTLS is not offered although a TLSA record requires it",
		Rows:  []string{"R2", "C2/nothing", "7/dane/E1"},
		Hosts: []Host{{Name: "mx.stripped-dane.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}, SMTP: SMTP{State: NoSTARTTLS}}},
		Want:  wantRefused,
	}, {
		Name: "stripped-sts", Domain: "stripped-sts.test",
		About: "STARTTLS is not offered although an MTA-STS policy in mode enforce requires it",
		Rows:  []string{"C6/sts", "7/sts/E1"},
		Zones: []Zone{{Apex: "stripped-sts.test", Sign: Unsigned}},
		Hosts: []Host{{Name: "mx.stripped-sts.test", Pref: 10, SMTP: SMTP{State: NoSTARTTLS}}},
		STS:   &STS{Mode: "enforce"},
		Want:  wantRefused,
	}, {
		Name: "stripped-nothing", Domain: "stripped-nothing.test",
		About: "STARTTLS is not offered, and the domain publishes nothing that requires it",
		Rows:  []string{"C6/nothing", "7/may/E1"},
		Zones: []Zone{{Apex: "stripped-nothing.test", Sign: Unsigned}},
		Hosts: []Host{{Name: "mx.stripped-nothing.test", Pref: 10, SMTP: SMTP{State: NoSTARTTLS}}},
		Want:  inTheClear,
	}, {
		Name: "forged-mx", Domain: "forged-mx.test",
		About: "an unsigned MX is forged to an attacker's host with DANE of its own; the cached policy does not name it",
		Rows:  []string{"S5", "R7", "C4/skip"},
		Zones: []Zone{{Apex: "forged-mx.test", Sign: Unsigned}, {Apex: "attacker-mx.test"}},
		Hosts: []Host{{Name: "mx.attacker-mx.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
		STS:   &STS{Mode: "enforce", MX: []string{"mx.forged-mx.test"}},
		Was: &World{
			Zones: []Zone{{Apex: "forged-mx.test", Sign: Unsigned}},
			Hosts: []Host{{Name: "mx.forged-mx.test", Pref: 10}},
			STS:   &STS{Mode: "enforce"},
		},
		Want: wantRefused,
	}, {
		Name: "tlsa-servfail", Domain: "tlsa-servfail.test",
		About:  "the TLSA lookup fails: that does not mean that there are no TLSA records",
		Rows:   []string{"T1", "R1", "C1/nothing"},
		Hosts:  []Host{{Name: "mx.tlsa-servfail.test", Pref: 10}},
		Faults: []Fault{{Name: "_25._tcp.mx.tlsa-servfail.test", Type: "TLSA", What: ServFail}},
		Want:   deferred,
	}, {
		Name: "tlsa-mismatch", Domain: "tlsa-mismatch.test",
		About: "the certificate is not the one in DNS; a satisfied MTA-STS policy does not repair that",
		Rows:  []string{"R2", "C2/sts", "7/dane/E4"},
		Hosts: []Host{{Name: "mx.tlsa-mismatch.test", Pref: 10, TLSA: []string{"3 1 1 other"}}},
		STS:   &STS{Mode: "enforce"},
		Want:  wantRefused,
	}, {
		Name: "null-mx", Domain: "null-mx.test",
		About:   "a null MX: the domain accepts no mail",
		Rows:    []string{"M6"},
		Records: []string{"null-mx.test. MX 0 ."},
		Want:    bounced,
	}, {
		Name: "one-of-two", Domain: "one-of-two.test",
		About: "the first of two MX hosts has a wrong certificate; the second is authenticated",
		Rows:  []string{"M9", "R2", "C2/nothing"},
		Hosts: []Host{
			{Name: "mx1.one-of-two.test", Pref: 10, TLSA: []string{"3 1 1 other"}},
			{Name: "mx2.one-of-two.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}},
		},
		Want: Want{Outcome: "authenticated", Method: "dane-ee", Deliver: true, EveryHost: true, Hosts: []WantHost{
			{Host: "mx1.one-of-two.test", Outcome: "refused", Requirement: "dane"},
			{Host: "mx2.one-of-two.test", Outcome: "authenticated", Method: "dane-ee", Requirement: "dane"},
		}},
	}, {
		Name: "idn", Domain: "bücher.test",
		About: "an internationalised domain with DANE and MTA-STS",
		Rows:  []string{"C2/sts"},
		Zones: []Zone{{Apex: "xn--bcher-kva.test"}},
		Hosts: []Host{{Name: "mx.xn--bcher-kva.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
		STS:   &STS{Mode: "enforce"},
		Want:  byDANEEE,
	}}
}

// classic is the certificate of the question of 2012: one name for a service of many
// hosts, and it is none of theirs.
var classic = Chain{CN: "mx.example", Names: []string{"mx.example"}}
