package lab

import "strings"

// reasons has the reason of each world's result: the stable id of the
// domain's verdict, and the worlds. Where several hosts are asked it is that of the one
// that decides. Grouped, since worlds of one reason are best read side by side.
var reasons = []struct{ reason, worlds string }{
	// authenticated
	{"dane-ee-match", `
		dane-ee one-of-two idn mx-tcp implicit-mx implicit-mx-alias null-mx-and-host mx-address
		mx-alias-secure mx-dname own-host sts-hang-dane aaaa-servfail aaaa-timeout
		no-address-first a-bogus-first two-addresses two-addresses-one-down both-families
		alias-secure alias-secure-original alias-secure-both alias-insecure-end alias-two-faces
		alias-dname tlsa-tcp tlsa-alias tlsa-alias-zone unusable-beside agility-strong
		agility-selectors full-certificate full-key sha512-certificate rollover both-good
		both-sts-fails both-sts-no-match both-strict-good both-strict-dane-only level-dane-match
		level-dane-only level-secure-dane ta-or-ee ee-expired ee-future ee-name ee-client
		dane-tls12 requiretls-dane requiretls-second zone-nsec zone-nsec3 zone-nsec3-salt
		zone-opt-out zone-split zone-rsa zone-rsa512 zone-p384 zone-ed25519 zone-colliding
		zone-lasting-an-hour tlsa-wildcard tlsa-wildcard-nsec3 mx-wildcard deep-zones
		optout-tld-signed nsec3-many
		all-good lint-no-reports lint-reports-malformed lint-reports-servfail lint-no-spare
		lint-long-ttl lint-short-ttl lint-certificate-pinned lint-some-hosts lint-dane-only
		lint-dane-certificate lint-mixed-addresses lint-tls12`},
	{"dane-ee-match", `
		own-serial own-extra-root own-rsa-1023 own-dhe own-cbc-sha384 own-camellia own-x448
		own-rsa-exchange own-short-hello two-keys two-keys-tls13`},
	{"dane-ta-match", `
		dane-ta relay-dane implicit-mx-ta ta-certificate ta-sha512 ta-root-sent ta-root-in-dns
		ta-ca-in-dns ta-key-in-dns ta-name-domain ta-name-wildcard ta-name-cn ta-self ta-or-ee-ta
		sni`},
	{"mta-sts-match", `
		sts-enforce relay-sts relay-domain implicit-mx-sts sts-wildcard sts-case sts-one-matches
		sts-txt-other sts-alias sts-lf sts-cert-wildcard cached-same cached-new
		cached-txt-gone-good alias-sts unusable-enforce signed-enforce half-dane-enforce level-sts
		level-secure-sts mx-root-sent mx-name-wildcard mx-name-second mx-sni requiretls-sts
		lint-host-expiring lint-policy-host-expiring lint-field-repeated lint-short-max-age
		lint-pattern-unused memory-unused two-keys-enforce`},
	{"pkix-match", `level-secure-names requiretls-pkix requiretls-unusable`},

	// encrypted
	{"address-literal", `literal`},
	{"audit", `audit-mismatch`},
	{"encrypted-name-mismatch", `
		sts-testing classic-mismatch sts-none sts-testing-no-match sts-txt-none sts-txt-two
		sts-txt-malformed sts-txt-servfail sts-txt-timeout sts-subdomain sts-404 sts-500
		sts-redirect sts-html sts-huge sts-hang sts-hang-in-body sts-hang-in-handshake sts-close
		sts-conn-refused sts-tls10 sts-no-host sts-cert-expired sts-cert-future sts-cert-self
		sts-cert-private sts-cert-name sts-cert-cn sts-cert-incomplete sts-syntax sts-no-max-age
		sts-no-mx sts-unknown-mode cached-removed cached-expired cached-testing
		alias-insecure-end-none alias-insecure alias-insecure-mx-secure alias-dname-insecure
		tlsa-alias-insecure level-dane level-sts-none may-tls12 requiretls-bounce ds-missing
		ds-unsupported ds-unknown-digest zone-unknown-algorithm tlsa-none-nsec tlsa-none-nsec3
		tlsa-none-opt-out tlsa-other-port nsec3-150
		lint-certificate-cn memory-dane-alert memory-sts-alert own-short-hello-may two-keys-bare`},
	{"encrypted-tlsa-unusable", `
		unusable-pkix-ee unusable-pkix-ta unusable-short unusable-matching unusable-selector
		unusable-usage unusable-junk unusable-testing half-dane-unusable insecure-mx-encrypt`},
	{"encrypted-unproved", `
		implicit-mx-unsigned mx-order signed-nothing half-dane-none insecure-mx-may optout-tld
		unsigned-tld
		lint-testing-long`},
	{"encrypted-untrusted", `
		lint-certificate-expired own-serial-may own-dhe-may own-rsa-exchange-may two-keys-testing`},
	{"half-dane-match", `mx-alias-insecure half-dane half-dane-ta`},
	{"opportunistic", `level-opportunistic level-opportunistic-no-match`},
	{"tls-required-no", `tls-required-no-mismatch tls-required-no-servfail tls-required-no-sts`},
	{"tlsrpt-report", `tlsrpt-report`},

	// cleartext
	{"audit", `audit-stripped`},
	{"cleartext-handshake-failed", `may-alert may-tls10 may-close may-hang`},
	{"cleartext-injected", `may-junk may-injected may-junk-handshake`},
	{"cleartext-no-starttls", `stripped-nothing sts-testing-stripped level-opportunistic-stripped`},
	{"cleartext-starttls-refused", `may-454 may-501`},
	{"own-tls", `own-ed448-may`},
	{"tls-required-no", `tls-required-no-stripped`},

	// refused
	{"dane-expired", `ta-expired ta-ca-expired ta-self-expired`},
	{"dane-name-mismatch", `
		half-dane-ta-domain ta-name-wildcard-deep ta-name-partial ta-name-wrong ta-name-cn-off
		ta-name-cn-beside ta-self-name`},
	{"dane-no-match", `
		tlsa-mismatch two-addresses-one-bad agility-weak both-strict-dane-fails half-dane-mismatch
		half-dane-enforce-mismatch level-dane-mismatch level-dane-only-mismatch
		level-secure-mismatch ta-root-not-sent ta-incomplete ta-other ee-ca
		tls-required-no-dane-only own-serial-other own-two-addresses two-keys-only-rsa
		two-keys-only-ecdsa two-keys-neither`},
	{"dane-untrusted", `ta-no-ca ta-constraint ta-client ta-signature ta-critical`},
	{"handshake-failed", `
		both-strict-alert half-dane-alert level-secure-names-alert dane-alert dane-unknown-name
		dane-tls10 dane-tls11 dane-close dane-hang encrypt-tls10 enforce-alert enforce-tls10
		own-rsa-512`},
	{"own-tls", `own-ed448 own-requiretls`},
	{"mta-sts-expired", `mx-expired mx-ca-expired two-keys-enforce-expired`},
	{"mta-sts-name-mismatch", `mx-name mx-name-domain mx-name-cn two-keys-enforce-name`},
	{"mta-sts-untrusted", `
		cached-new-fails cached-new-webpki cached-new-invalid cached-txt-gone cached-txt-fails
		cached-not-expired both-strict-sts-fails unusable-enforce-fails half-dane-enforce-bad
		own-enforce mx-self mx-private mx-incomplete mx-client mx-signature mx-no-ca mx-constraint mx-critical`},
	{"no-method", `level-secure-testing level-secure-half level-secure-unusable`},
	{"no-starttls", `
		stripped-dane stripped-sts cached-stripped both-strict-stripped half-dane-stripped
		insecure-mx-encrypt-stripped level-secure-names-stripped encrypt-stripped enforce-stripped
		requiretls-stripped`},
	{"pkix-name-mismatch", `level-secure-names-wrong`},
	{"pkix-untrusted", `level-secure-names-private requiretls-pkix-bad`},
	{"requiretls-mx-unproved", `requiretls-testing requiretls-insecure requiretls-half`},
	{"requiretls-not-offered", `requiretls-not-offered`},
	{"starttls-injected", `dane-junk dane-injected`},
	{"starttls-refused", `
		both-strict-454 half-dane-454 level-secure-names-454 dane-454 dane-501 encrypt-454
		enforce-454`},
	{"sts-no-match", `
		forged-mx sts-wildcard-deep sts-no-match alias-sts-target both-strict-no-match
		unusable-no-match half-dane-no-match level-sts-no-match level-secure-names-no-match`},

	// deferred
	{"memory-dane", `memory-dane-defer`},
	{"memory-sts", `memory-sts-defer`},
	{"memory-tls", `memory-tls-defer`},
	{"address-bogus", `a-forged`},
	{"address-lookup-failed", `own-host-better-broken a-servfail a-servfail-no-aaaa alias-loop`},
	{"dane-required", `level-dane-only-none level-dane-only-unusable level-dane-only-half level-dane-only-sts`},
	{"mx-bogus", `
		ds-wrong ds-other-algorithm ds-of-nothing ds-expired ds-denied ds-forged-away zone-expired
		zone-not-yet-valid zone-wrong-key zone-bad-signature zone-stripped zone-wrong-signer
		mx-forged mx-stripped mx-denied`},
	{"mx-lookup-failed", `mx-servfail mx-timeout mx-refused mx-malformed mx-loop mx-long-chain tls-required-no-mx`},
	{"no-address", `no-address-defer`},
	{"no-clear-fallback", `may-no-fallback`},
	{"no-connection", `
		conn-refused conn-timeout greeting-421 greeting-554 greeting-junk greeting-close
		greeting-hang ehlo-close ehlo-hang dane-conn-refused`},
	{"sts-undetermined", `sts-txt-servfail-defer`},
	{"tlsa-bogus", `
		tlsa-expired tlsa-not-yet-valid tlsa-wrong-key tlsa-bad-signature tlsa-stripped
		tlsa-wrong-signer tlsa-forged tlsa-denied-nsec tlsa-denied-nsec3 tlsa-unproved
		tlsa-denial-expired`},
	{"tlsa-denial-unproved", `nsec3-many-none`},
	{"tlsa-lookup-failed", `
		tlsa-servfail alias-end-servfail tlsa-refused tlsa-malformed tlsa-servfail-enforce
		tlsa-servfail-no-match tlsa-alias-loop half-dane-servfail level-secure-names-servfail
		requiretls-servfail`},
	{"tlsa-timeout", `tlsa-timeout`},

	// bounced
	{"alias-refused", `alias-refused`},
	{"mail-loop", `own-host-best`},
	{"no-address", `no-address`},
	{"no-such-domain", `no-such-domain no-such-domain-unsigned`},
	{"null-mx", `null-mx null-mx-preference null-mx-unsigned`},

	// near misses
	{"encrypted-unproved", `
		near-txt-quoted near-txt-blanks near-txt-id-first near-txt-mta near-txt-colons near-txt-lower
		near-txt-comma near-txt-no-version near-txt-date near-policy-bom near-policy-nbsp
		near-policy-cr-cr-lf near-policy-space-colon near-policy-comment near-policy-preference
		near-policy-yaml near-policy-semicolon near-policy-case near-policy-utf-16 near-policy-html
		policy-304 policy-gzip policy-big-header policy-alert policy-refused not-announced
		sts-misplaced sts-alias-nowhere policy-host-alias-nowhere mx-alias-nowhere tlsa-alias-nowhere
		mx-underscore mx-localhost mx-twice mx-one-label mx-invalid mx-host-private
		policy-host-private`},
	{"dane-ee-match", `
		near-tlsrpt-lower near-tlsrpt-no-version near-tlsrpt-short near-tlsrpt-http near-tlsrpt-dmarc
		tlsrpt-misplaced tlsrpt-alias-nowhere`},
	{"mta-sts-match", `
		alias-under-enforce alias-under-enforce-one-name policy-host-dead-aaaa`},
	{"encrypted-name-mismatch", `
		not-announced-misfit testing-misfit`},
	{"sts-no-match", `implicit-enforce`},
	{"no-address", `implicit-nothing`},
}

// withReasons fills in what [Want].Reason of each world has to be.
func withReasons(worlds []World) []World {
	by := map[string]string{}
	for _, r := range reasons {
		for _, w := range strings.Fields(r.worlds) {
			by[w] = r.reason
		}
	}
	for i := range worlds {
		worlds[i].Want.Reason = by[worlds[i].Name]
	}
	return worlds
}
