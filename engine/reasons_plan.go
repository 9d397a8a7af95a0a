package engine

// Reasons that concern the next hop as a whole.
const (
	ReasonMXBogus        ReasonID = "mx-bogus"
	ReasonMXLookupFailed ReasonID = "mx-lookup-failed"
	ReasonNoSuchDomain   ReasonID = "no-such-domain"
	ReasonNullMX         ReasonID = "null-mx"
	ReasonNoUsableMX     ReasonID = "no-usable-mx"
	ReasonMailLoop       ReasonID = "mail-loop"
	ReasonSTSRecordGone  ReasonID = "sts-record-gone"
	ReasonSTSRecordFail  ReasonID = "sts-record-unknown"
	ReasonSTSFetch       ReasonID = "sts-fetch-failed"
	ReasonSTSWebPKI      ReasonID = "sts-fetch-certificate"
	ReasonSTSInvalid     ReasonID = "sts-policy-invalid"
	ReasonBudget         ReasonID = "out-of-budget"
)

var nextHopReasons = []ReasonInfo{
	{
		ID:         ReasonMXBogus,
		Says:       "The answer to the question for the domain's mail hosts carries DNSSEC signatures that do not hold, so it may be forged; the message waits.",
		RFC:        "7672 s.2.1.2",
		ResultType: resultValidation, Policy: policyNone, Code: "4.4.3",
		Sender:    "Check the clock of this machine and the trust anchor of the resolver. If other signed domains resolve, the fault is the recipient's; keep the message queued.",
		Recipient: "Validate the zone from outside (for example with delv or an online DNSSEC checker): signatures that have ended, a DS record that belongs to no key, or servers that answer differently.",
	},
	{
		ID:   ReasonMXLookupFailed,
		Says: "The domain's mail hosts could not be looked up (no answer, SERVFAIL, or an answer that makes no sense). That is not the same as having none; the message waits.",
		RFC:  "7672 s.2.1.2", Code: "4.4.3",
		Sender:    "Check that the resolver can be reached and answers for other domains.",
		Recipient: "Check that all name servers of the domain answer the MX question.",
	},
	{
		ID:   ReasonNoSuchDomain,
		Says: "The domain does not exist.",
		RFC:  "5321 s.5.1", Code: "5.1.2",
		Sender:    "Look for a misspelt address.",
		Recipient: "If the domain should exist, look at its registration and delegation.",
	},
	{
		ID:   ReasonNullMX,
		Says: "The domain says that it takes no mail (a null MX record).",
		RFC:  "7505 s.3", Code: "5.1.10",
		Sender:    "Nothing; the address is wrong.",
		Recipient: "If the domain should take mail, replace the MX record `0 .` by one that names a host.",
	},
	{
		ID:   ReasonNoUsableMX,
		Says: "The domain has MX records, and none of them names a host that mail could be sent to.",
		RFC:  "5321 s.5.1", Code: "5.4.4",
		Sender:    "Nothing; the domain's own address is no substitute.",
		Recipient: "An MX record must hold a host name, neither an IP address nor something else.",
	},
	{
		ID:   ReasonMailLoop,
		Says: "The best mail host of the domain is this server itself, so sending the message would send it in a circle.",
		RFC:  "5321 s.5.1", Code: "5.4.6",
		Sender:    "Configure this server to accept the domain as its own, or to route it elsewhere.",
		Recipient: "If this server should not be in the MX list, take it out.",
	},
	{
		ID:         ReasonSTSRecordGone,
		Says:       "The domain's MTA-STS record is gone or malformed while a policy that was fetched earlier still holds; that policy is kept.",
		RFC:        "8461 s.3.3",
		ResultType: resultSTSFetch, Policy: policySTS,
		Sender:    "Nothing: the kept policy guards against somebody who suppresses the record.",
		Recipient: "To end MTA-STS, publish a policy of mode none first and keep the record until the old max_age has passed. If the record should be there, publish exactly one TXT record `v=STSv1; id=...` at _mta-sts.",
	},
	{
		ID:         ReasonSTSRecordFail,
		Says:       "Whether the domain has an MTA-STS record could not be found out.",
		RFC:        "8461 s.3.3",
		ResultType: resultSTSFetch, Policy: policySTS,
		Sender:    "Check the resolver. Where nothing is cached, the option sts-undetermined = defer makes such messages wait.",
		Recipient: "Check that all name servers answer the TXT question for _mta-sts.",
	},
	{
		ID:         ReasonSTSFetch,
		Says:       "The domain announces an MTA-STS policy, and the policy could not be fetched.",
		RFC:        "8461 s.3.3",
		ResultType: resultSTSFetch, Policy: policySTS,
		Sender:    "Nothing; it is tried again later. A policy fetched earlier stays in force.",
		Recipient: "https://mta-sts.DOMAIN/.well-known/mta-sts.txt must answer with status 200, without redirect, as text/plain.",
	},
	{
		ID:         ReasonSTSWebPKI,
		Says:       "The domain announces an MTA-STS policy, and its policy host shows a certificate that does not prove mta-sts.DOMAIN.",
		RFC:        "8461 s.3.3",
		ResultType: resultSTSWebPKI, Policy: policySTS,
		Sender:    "If all policy hosts fail, check the file of root certificates and the clock.",
		Recipient: "Give the policy host a certificate of a public CA for the name mta-sts.DOMAIN, with the whole chain, and renew it in time.",
	},
	{
		ID:         ReasonSTSInvalid,
		Says:       "The domain's MTA-STS policy was fetched and is malformed, so it can not be applied.",
		RFC:        "8461 s.3.2",
		ResultType: resultSTSInvalid, Policy: policySTS,
		Sender:    "Nothing. A policy fetched earlier stays in force.",
		Recipient: "Correct the policy file: version, mode, mx lines and max_age, one a line.",
	},
	{
		ID:   ReasonBudget,
		Says: "The DNS lookups for the domain, or for one of its mail hosts, reached a limit that this server sets: too many questions, too much data, keys and signatures that cost too much to check, or too much time. What was found before holds. What was not is unknown, which is not the same as absent, so it is not used now.",
		RFC:  "7672 s.2.1.2", Code: "4.4.3",
		Sender:    "Nothing if it is this domain alone. If others meet it too, look at how long the resolver takes for an answer.",
		Recipient: "Look at the name that is mentioned: shorten chains of aliases and of delegations, and remove DNSKEY, DS and RRSIG records that are not needed.",
	},
}

// Reasons for which a host is not used.
const (
	ReasonAddressBogus      ReasonID = "address-bogus"
	ReasonAddressFailed     ReasonID = "address-lookup-failed"
	ReasonNoAddress         ReasonID = "no-address"
	ReasonAliasRefused      ReasonID = "alias-refused"
	ReasonTLSABogus         ReasonID = "tlsa-bogus"
	ReasonTLSALookupFailed  ReasonID = "tlsa-lookup-failed"
	ReasonTLSATimeout       ReasonID = "tlsa-timeout"
	ReasonTLSAUnproved      ReasonID = "tlsa-denial-unproved"
	ReasonDANERequired      ReasonID = "dane-required"
	ReasonSTSNoMatch        ReasonID = "sts-no-match"
	ReasonSTSUndetermined   ReasonID = "sts-undetermined"
	ReasonNoMethod          ReasonID = "no-method"
	ReasonRequireTLSMX      ReasonID = "requiretls-mx-unproved"
	ReasonRequireTLSLiteral ReasonID = "requiretls-no-name"
)

var hostReasons = []ReasonInfo{
	{
		ID:         ReasonAddressBogus,
		Says:       "The addresses of the mail host carry DNSSEC signatures that do not hold, so they may be forged; this host is not used now.",
		RFC:        "7672 s.2.1.2",
		ResultType: resultValidation, Policy: policyNone, Code: "4.4.3",
		Sender:    "Check the clock of this machine and the trust anchor of the resolver; else the fault is the recipient's.",
		Recipient: "Validate the zone of the mail host from outside; look for signatures that have ended.",
	},
	{
		ID:   ReasonAddressFailed,
		Says: "The addresses of the mail host could not be looked up; this host is not used now.",
		RFC:  "7672 s.2.1.2", Code: "4.4.3",
		Sender:    "Check that the resolver can be reached and answers for other hosts.",
		Recipient: "Check that all name servers of the host's zone answer for A and AAAA.",
	},
	{
		ID:   ReasonNoAddress,
		Says: "The mail host has no address.",
		RFC:  "7672 s.2.2.2", Code: "5.4.4",
		Sender:    "Nothing; other hosts of the domain are tried.",
		Recipient: "Give the host an A or AAAA record, or take it out of the MX records.",
	},
	{
		ID:   ReasonAliasRefused,
		Says: "The mail host is an alias (CNAME), which an MX record must not name, and this server is set to refuse such hosts.",
		RFC:  "2181 s.10.3", Code: "5.4.4",
		Sender:    "The option mx-alias = follow uses such hosts.",
		Recipient: "Let the MX record name the host itself.",
	},
	{
		ID:         ReasonTLSABogus,
		Says:       "The TLSA records of the mail host, or the proof that it has none, carry DNSSEC signatures that do not hold. Somebody may be suppressing them, so the host is not used now.",
		RFC:        "7672 s.2.1.2",
		ResultType: resultDNSSEC, Policy: policyTLSA, Code: "4.7.5",
		Sender:    "Check the clock of this machine and the trust anchor of the resolver; else the fault is the recipient's.",
		Recipient: "Validate _25._tcp.HOST TLSA from outside; look for signatures that have ended and for broken NSEC or NSEC3 proofs.",
	},
	{
		ID:         ReasonTLSALookupFailed,
		Says:       "Whether the mail host has TLSA records could not be found out (the lookup failed). Taking that for absence would let an attacker switch DANE off, so the host is not used now.",
		RFC:        "7672 s.2.1.2",
		ResultType: resultDNSSEC, Policy: policyTLSA, Code: "4.7.5",
		Sender:    "Check the resolver. The cause is often the name server or firewall of the recipient.",
		Recipient: "All name servers of the host's zone must answer the question _25._tcp.HOST TLSA, with records or with a proof that there are none. Old servers and firewalls drop questions of types that they do not know.",
	},
	{
		ID:     ReasonTLSATimeout,
		Says:   "The question for TLSA records of the mail host got no answer in time. Taking that for absence would let an attacker switch DANE off, so the host is not used now.",
		RFC:    "7672 s.2.1.2",
		Policy: policyTLSA, Code: "4.7.5",
		Sender:    "Check that the resolver can be reached; it is tried again later.",
		Recipient: "All name servers of the host's zone must answer the question _25._tcp.HOST TLSA in time.",
	},
	{
		ID:         ReasonTLSAUnproved,
		Says:       "The zone of the mail host is signed, and its proof that there are no TLSA records is too costly to check (too many NSEC3 iterations), so it proves nothing and the host is not used now.",
		RFC:        "9276 s.3.2",
		ResultType: resultDNSSEC, Policy: policyTLSA, Code: "4.7.5",
		Sender:    "Nothing.",
		Recipient: "Sign the zone with NSEC3 iterations 0 (RFC 9276), or with NSEC.",
	},
	{
		ID:         ReasonDANERequired,
		Says:       "This server delivers to the domain only where DANE authenticates the mail host, and DANE can not do so here.",
		RFC:        "7672 s.6",
		ResultType: resultDANERequired, Policy: policyTLSA, Code: "4.7.5",
		Sender:    "If the domain does not do DANE (any more), choose another level than dane-only for it.",
		Recipient: "Sign the domain and the zone of the mail host with DNSSEC and publish usable TLSA records (3 1 1) for it.",
	},
	{
		ID:         ReasonSTSNoMatch,
		Says:       "The domain's MTA-STS policy does not list this mail host, so mail may not go there.",
		RFC:        "8461 s.5",
		ResultType: resultValidation, Policy: policySTS, Code: "4.7.5",
		Sender:    "If the host is genuine, the policy is stale; tell the recipient. Otherwise somebody forged the MX record and the policy did its work.",
		Recipient: "Add an mx line for the host to the policy and then change the id of the TXT record; or take the host out of the MX records.",
	},
	{
		ID:   ReasonSTSUndetermined,
		Says: "Whether the domain has an MTA-STS policy could not be found out, nothing is remembered of it, and this server is set to wait in that case.",
		RFC:  "8461 s.10.2", Code: "4.7.5",
		Sender:    "Check the resolver; the option sts-undetermined = proceed goes on as if there were no policy.",
		Recipient: "Check that all name servers answer the TXT question for _mta-sts.",
	},
	{
		ID:   ReasonNoMethod,
		Says: "This server delivers to the domain only where the mail host proves itself, and neither DANE nor MTA-STS is published for it, nor are names configured.",
		RFC:  "3207 s.6", Code: "4.7.5",
		Sender:    "Configure the names that the certificate must carry, or choose another level than secure.",
		Recipient: "Publish TLSA records (DANE) or an MTA-STS policy of mode enforce.",
	},
	{
		ID:   ReasonRequireTLSMX,
		Says: "The message demands TLS on its whole way (REQUIRETLS), and nothing proves that this mail host is one of the domain: its MX record is not signed and no MTA-STS policy lists it.",
		RFC:  "8689 s.2", Code: "5.7.10",
		Sender:    "Send without REQUIRETLS, or ask the recipient to publish one of the standards.",
		Recipient: "Sign the domain with DNSSEC, or publish an MTA-STS policy of mode enforce that lists the host.",
	},
	{
		ID:   ReasonRequireTLSLiteral,
		Says: "The message demands TLS on its whole way (REQUIRETLS), and the next hop is an IP address, which no certificate can prove as a name.",
		RFC:  "8689 s.4.2.1", Code: "5.7.10",
		Sender:    "Route by name, or configure the names that the certificate must carry.",
		Recipient: "Nothing.",
	},
}

// Reasons for what must hold for a host.
const (
	ReasonDANE           ReasonID = "dane"
	ReasonHalfDANE       ReasonID = "half-dane"
	ReasonTLSAUnusable   ReasonID = "tlsa-unusable"
	ReasonSTS            ReasonID = "sts"
	ReasonNames          ReasonID = "names-configured"
	ReasonRequireTLSPKIX ReasonID = "requiretls"
	ReasonNoPolicy       ReasonID = "no-policy"
	ReasonLiteral        ReasonID = "address-literal"
	ReasonOpportunistic  ReasonID = "opportunistic"
	ReasonTLSRequiredNo  ReasonID = "tls-required-no"
	ReasonTLSRPTReport   ReasonID = "tlsrpt-report"
	ReasonAudit          ReasonID = "audit"
	ReasonMemoryDANE     ReasonID = "memory-dane"
	ReasonMemorySTS      ReasonID = "memory-sts"
	ReasonMemoryTLS      ReasonID = "memory-tls"
	ReasonException      ReasonID = "exception"
)

var requirementReasons = []ReasonInfo{
	{
		ID:     ReasonDANE,
		Says:   "The mail host has signed TLSA records (DANE), and the domain's choice of host is signed too: the host must match them.",
		RFC:    "7672 s.2.2",
		Policy: policyTLSA,
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:     ReasonHalfDANE,
		Says:   "The mail host has signed TLSA records and must match them, but the domain's MX record is not signed: it is proven which host this is, not that it is the domain's.",
		RFC:    "7672 s.2.2.1",
		Policy: policyTLSA,
		Sender: "Nothing; the option insecure-mx says what such hosts get.", Recipient: "Sign the domain with DNSSEC, so that its choice of mail host is proven too.",
	},
	{
		ID:         ReasonTLSAUnusable,
		Says:       "The mail host has signed TLSA records of which none can be used for mail, so TLS is demanded and its certificate is not judged.",
		RFC:        "7672 s.2.2",
		ResultType: resultTLSAInvalid, Policy: policyTLSA,
		Sender: "Nothing.", Recipient: "Publish records of usage 3 (or 2), selector 0 or 1, matching type 1: `3 1 1` and the SHA-256 of the key. Usages 0 and 1 do not count for mail.",
	},
	{
		ID:     ReasonSTS,
		Says:   "The domain has an MTA-STS policy of mode enforce that lists the mail host: it must use TLS and show a certificate of its own name from a public CA.",
		RFC:    "8461 s.4",
		Policy: policySTS,
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:     ReasonNames,
		Says:   "The domain publishes nothing that would authenticate the mail host, and the operator of this server configured the names that it must prove.",
		RFC:    "9525 s.6",
		Sender: "Nothing.", Recipient: "Publishing DANE or MTA-STS would tell every sender which name to expect.",
	},
	{
		ID:     ReasonRequireTLSPKIX,
		Says:   "The message demands TLS on its whole way (REQUIRETLS), so the mail host must prove its name with a certificate of a public CA even though the domain publishes nothing that asks for it.",
		RFC:    "8689 s.4.2.1",
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:     ReasonNoPolicy,
		Says:   "The domain publishes neither DANE nor an MTA-STS policy in force, so nothing is demanded: TLS is used where the host offers it.",
		RFC:    "7672 s.2.2",
		Policy: policyNone,
		Sender: "Nothing; the level secure would refuse such hosts.", Recipient: "Publish TLSA records in a zone signed with DNSSEC (DANE), or an MTA-STS policy of mode enforce on an HTTPS host.",
	},
	{
		ID:     ReasonLiteral,
		Says:   "The next hop is an IP address, to which neither DANE nor MTA-STS applies, so nothing is demanded: TLS is used where the host offers it.",
		RFC:    "7672 s.2.2",
		Policy: policyNone,
		Sender: "Route by name if the host should prove itself.", Recipient: "Nothing.",
	},
	{
		ID:     ReasonOpportunistic,
		Says:   "This server is set to use TLS where offered and to authenticate nobody for this next hop.",
		RFC:    "7435 s.3",
		Policy: policyNone,
		Sender: "Choose the level default to honour what domains publish.", Recipient: "Nothing.",
	},
	{
		ID:     ReasonTLSRequiredNo,
		Says:   "The sender of the message asked that it be delivered even if TLS can not be had (TLS-Required: No); policies are evaluated and reported, and fail nothing.",
		RFC:    "8689 s.4.2.2",
		Sender: "Nothing; the header field holds for this message only.", Recipient: "Nothing.",
	},
	{
		ID:     ReasonTLSRPTReport,
		Says:   "The message is a report about TLS failures (TLSRPT), which is delivered whatever the policies say, so that it arrives when they are broken.",
		RFC:    "8460 s.5.3.1",
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:     ReasonAudit,
		Says:   "A policy forbids the use of the mail host, and this server is set to let the message go all the same and to say so (audit mode).",
		RFC:    "7672 s.9.1",
		Sender: "Switch audit mode off when the failures that it shows are understood.", Recipient: "See the reason that is named beside it.",
	},
	{
		ID:     ReasonException,
		Says:   "A policy forbids the use of the mail host, and an exception that an administrator of this server has made lets the message go until a set day.",
		RFC:    "7672 s.9.1",
		Sender: "Remove the exception when the recipient has mended what is broken; it ends by itself.", Recipient: "See the reason that is named beside it.",
	},
	{
		ID:     ReasonMemoryDANE,
		Says:   "The domain's mail hosts were once protected by signed TLSA records (DANE), and are not any more. The owner may have meant that; somebody who got hold of the zone may have, too.",
		RFC:    "7672 s.1.3.1",
		Policy: policyTLSA, Code: "4.7.0",
		Sender: "Ask the owner by another way. If it is meant, let the memory forget the domain: `mxauth memory forget`.", Recipient: "If it is not meant: look who changed the zone, and publish the TLSA records again.",
	},
	{
		ID:     ReasonMemorySTS,
		Says:   "The domain once had an MTA-STS policy, and its last one has ended, is weaker, or can not be had. The owner may have meant that; somebody who keeps the policy away may be behind it, too.",
		RFC:    "8461 s.10.2",
		Policy: policySTS, Code: "4.7.0",
		Sender: "Ask the owner by another way. If it is meant, let the memory forget the domain: `mxauth memory forget`.", Recipient: "If it is not meant: see that the TXT record at _mta-sts and the policy on the web host mta-sts can be reached.",
	},
	{
		ID:   ReasonMemoryTLS,
		Says: "The mail host has spoken TLS before, and does not now; somebody between may have removed the offer.",
		RFC:  "3207 s.6", Code: "4.7.0",
		Sender: "Look whether other networks see the offer of STARTTLS. If its loss is meant, let the memory forget the domain: `mxauth memory forget`.", Recipient: "Switch STARTTLS on, and publish DANE or MTA-STS so that the offer can not be removed on the way.",
	},
}
