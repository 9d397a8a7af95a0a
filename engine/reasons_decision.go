package engine

// Reasons for what came of a connection before a certificate was seen.
const (
	ReasonPlanExpired     ReasonID = "plan-expired"
	ReasonNotInPlan       ReasonID = "not-in-plan"
	ReasonWrongPort       ReasonID = "wrong-port"
	ReasonNoConnection    ReasonID = "no-connection"
	ReasonNotTried        ReasonID = "not-tried"
	ReasonUnconfirmed     ReasonID = "handshake-unconfirmed"
	ReasonNoSTARTTLS      ReasonID = "no-starttls"
	ReasonSTARTTLSRefused ReasonID = "starttls-refused"
	ReasonInjected        ReasonID = "starttls-injected"
	ReasonHandshake       ReasonID = "handshake-failed"
	ReasonClearOffered    ReasonID = "cleartext-no-starttls"
	ReasonClearRefused    ReasonID = "cleartext-starttls-refused"
	ReasonClearInjected   ReasonID = "cleartext-injected"
	ReasonClearHandshake  ReasonID = "cleartext-handshake-failed"
	ReasonNoFallback      ReasonID = "no-clear-fallback"
	ReasonNoREQUIRETLS    ReasonID = "requiretls-not-offered"
)

var connectionReasons = []ReasonInfo{
	{
		ID:   ReasonPlanExpired,
		Says: "What was looked up for this delivery has ended in the meantime; it must be looked up again before anything is sent.",
		RFC:  "1035 s.3.2.1", Code: "4.4.7",
		Sender: "Make a new plan.", Recipient: "Nothing.",
	},
	{
		ID:   ReasonNotInPlan,
		Says: "The connection was made to a host that this delivery has no plan for.",
		RFC:  "7672 s.2.2", Code: "4.4.5",
		Sender: "A fault of the program that asked; nothing may be sent.", Recipient: "Nothing.",
	},
	{
		ID:   ReasonWrongPort,
		Says: "The connection was made to another port than the one that was looked up; records for one port say nothing of another.",
		RFC:  "6698 s.4", Code: "4.4.5",
		Sender: "A fault of the program that asked: the port belongs into the request.", Recipient: "Nothing.",
	},
	{
		ID:   ReasonNoConnection,
		Says: "No mail server answered at the host's addresses, or it answered that it does not take mail now, or not from here.",
		RFC:  "5321 s.5.1", Code: "4.4.1",
		Sender: "If no host of any domain answers on port 25, this network may block that port. If the host answers with an error, its words say why: often it objects to this address, or to a name in EHLO that is not a full one.", Recipient: "Check that the host can be reached on port 25 from outside, greets with 220 and answers EHLO with 250.",
	},
	{
		ID:   ReasonNotTried,
		Says: "The mail host was not tried, or not to the end: the time for connecting to the hosts of the domain was over. This says nothing about the host.",
		RFC:  "5321 s.5.1", Code: "4.4.1",
		Sender: "Allow more time, or look at this host alone.", Recipient: "Remove mail hosts and addresses that do not answer.",
	},
	{
		ID:   ReasonUnconfirmed,
		Says: "TLS was started, and the sending program did not report whether the handshake was completed; until then the peer has proved nothing.",
		RFC:  "8446 s.4.4.3", Code: "4.4.5",
		Sender: "A fault of the program that sends: it must report the end of the conversation.", Recipient: "Nothing.",
	},
	{
		ID:         ReasonNoSTARTTLS,
		Says:       "TLS is demanded and the mail host does not offer it (no STARTTLS). Somebody between may have removed the offer, so nothing is sent to it.",
		RFC:        "7672 s.2.2",
		ResultType: resultSTARTTLS, Code: "4.7.4",
		Sender: "If a firewall of your own inspects SMTP, switch that off for port 25.", Recipient: "Switch STARTTLS on; look for a firewall that rewrites SMTP (replies full of asterisks are a sign).",
	},
	{
		ID:         ReasonSTARTTLSRefused,
		Says:       "TLS is demanded and the mail host refused to start it.",
		RFC:        "3207 s.4",
		ResultType: resultSTARTTLS, Code: "4.7.4",
		Sender: "Nothing; it is tried again.", Recipient: "The server's log says why TLS is not available; often the key or certificate file can not be read.",
	},
	{
		ID:         ReasonInjected,
		Says:       "TLS is demanded, and plain data stood behind the reply to STARTTLS, as if somebody slipped it into the conversation; the connection is dropped.",
		RFC:        "3207 s.4",
		ResultType: resultValidation, Code: "4.7.5",
		Sender: "Nothing; it is tried again.", Recipient: "The server, or something before it, sends more than one reply to STARTTLS; update it.",
	},
	{
		ID:         ReasonHandshake,
		Says:       "TLS is demanded and the TLS handshake failed.",
		RFC:        "7672 s.2.2",
		ResultType: resultValidation, Code: "4.7.5",
		Sender: "Nothing; it is tried again.", Recipient: "Offer TLS 1.2 and 1.3 with common cipher suites; older versions do not count.",
	},
	{
		ID:         ReasonClearOffered,
		Says:       "The mail host offers no TLS, and nothing obliges it to: the message goes in the clear, readable and changeable on its way.",
		RFC:        "7672 s.2.2",
		ResultType: resultSTARTTLS, Policy: policyNone,
		Sender: "Nothing; the level secure would refuse this.", Recipient: "Switch STARTTLS on, and publish DANE or MTA-STS so that the offer can not be removed on the way.",
	},
	{
		ID:         ReasonClearRefused,
		Says:       "The mail host refused to start TLS, and nothing obliges it to: the message goes in the clear.",
		RFC:        "3207 s.4",
		ResultType: resultSTARTTLS, Policy: policyNone,
		Sender: "Nothing.", Recipient: "The server's log says why TLS is not available; often the key or certificate file can not be read.",
	},
	{
		ID:         ReasonClearInjected,
		Says:       "Plain data stood behind the reply to STARTTLS; that connection is dropped, and since nothing demands TLS the message may go in the clear over a new one.",
		RFC:        "3207 s.4",
		ResultType: resultValidation, Policy: policyNone,
		Sender: "Nothing.", Recipient: "The server, or something before it, sends more than one reply to STARTTLS; update it.",
	},
	{
		ID:         ReasonClearHandshake,
		Says:       "The TLS handshake failed, and since nothing demands TLS the message may go in the clear over a new connection.",
		RFC:        "7672 s.2.2",
		ResultType: resultValidation, Policy: policyNone,
		Sender: "The option clear-fallback = off makes such messages wait.", Recipient: "Offer TLS 1.2 and 1.3 with common cipher suites; older versions do not count.",
	},
	{
		ID:         ReasonNoFallback,
		Says:       "TLS could not be started properly, and this server is set not to fall back to clear text on a new connection.",
		RFC:        "7672 s.2.2",
		ResultType: resultValidation, Policy: policyNone, Code: "4.7.5",
		Sender: "The option clear-fallback = on lets such messages go in the clear.", Recipient: "Offer TLS 1.2 and 1.3 with common cipher suites; older versions do not count.",
	},
	{
		ID:   ReasonNoREQUIRETLS,
		Says: "The message demands TLS on its whole way (REQUIRETLS), and the mail host does not offer to see to it further on.",
		RFC:  "8689 s.4.2.1", Code: "5.7.30",
		Sender: "Send without REQUIRETLS.", Recipient: "Use a mail server that supports REQUIRETLS and switch it on.",
	},
}

// Reasons for what was made of a TLS session.
const (
	ReasonEncryptedName     ReasonID = "encrypted-name-mismatch"
	ReasonEncryptedCA       ReasonID = "encrypted-untrusted"
	ReasonEncryptedUnproved ReasonID = "encrypted-unproved"
	ReasonEncryptedTLSA     ReasonID = "encrypted-tlsa-unusable"
	ReasonHalfDANEMatch     ReasonID = "half-dane-match"
	ReasonDANEEEMatch       ReasonID = "dane-ee-match"
	ReasonDANETAMatch       ReasonID = "dane-ta-match"
	ReasonDANENoMatch       ReasonID = "dane-no-match"
	ReasonDANEName          ReasonID = "dane-name-mismatch"
	ReasonDANEExpired       ReasonID = "dane-expired"
	ReasonDANEUntrusted     ReasonID = "dane-untrusted"
	ReasonSTSMatch          ReasonID = "mta-sts-match"
	ReasonSTSName           ReasonID = "mta-sts-name-mismatch"
	ReasonSTSExpired        ReasonID = "mta-sts-expired"
	ReasonSTSUntrusted      ReasonID = "mta-sts-untrusted"
	ReasonPKIXMatch         ReasonID = "pkix-match"
	ReasonPKIXName          ReasonID = "pkix-name-mismatch"
	ReasonPKIXExpired       ReasonID = "pkix-expired"
	ReasonPKIXUntrusted     ReasonID = "pkix-untrusted"
)

var certificateReasons = []ReasonInfo{
	{
		ID:     ReasonEncryptedName,
		Says:   "The connection is encrypted and nobody proved who is at its other end: the certificate carries other names than that of the mail host, and nothing obliged the host to show its own.",
		RFC:    "7672 s.1.3",
		Policy: policyNone,
		Sender: "Nothing is wrong here; the level secure with configured names would refuse such hosts.", Recipient: "Publish TLSA records in a zone signed with DNSSEC (DANE), which make the name in the certificate irrelevant; or an MTA-STS policy of mode enforce and a certificate that carries the name of the MX host.",
	},
	{
		ID:     ReasonEncryptedCA,
		Says:   "The connection is encrypted and nobody proved who is at its other end: the certificate leads to no CA that this server trusts, and nothing obliged the host to show one that does.",
		RFC:    "7672 s.1.3",
		Policy: policyNone,
		Sender: "Nothing is wrong here.", Recipient: "Publish TLSA records in a zone signed with DNSSEC (DANE), with which the present certificate would do; or an MTA-STS policy of mode enforce and a certificate of a public CA.",
	},
	{
		ID:     ReasonEncryptedUnproved,
		Says:   "The connection is encrypted; the certificate is in order, but since the domain publishes no policy, whoever stands between could have put another host or another certificate in its place unnoticed. So the host counts as not authenticated.",
		RFC:    "7672 s.1.3",
		Policy: policyNone,
		Sender: "Nothing; the level secure with configured names would make the certificate count.", Recipient: "Publish an MTA-STS policy of mode enforce (the certificate already fits), or TLSA records in a zone signed with DNSSEC (DANE).",
	},
	{
		ID:         ReasonEncryptedTLSA,
		Says:       "The connection is encrypted, as the mail host's TLSA records demand, and nobody was authenticated, since none of them can be used for mail.",
		RFC:        "7672 s.2.2",
		ResultType: resultTLSAInvalid, Policy: policyTLSA,
		Sender: "Nothing.", Recipient: "Publish records of usage 3, selector 1, matching type 1.",
	},
	{
		ID:     ReasonHalfDANEMatch,
		Says:   "The mail host proved itself by its TLSA records, but the domain's MX record is not signed, so it is not proven that this host is the domain's: encrypted, not authenticated.",
		RFC:    "7672 s.2.2.1",
		Policy: policyTLSA,
		Sender: "Nothing.", Recipient: "Sign the domain with DNSSEC, or publish an MTA-STS policy of mode enforce that lists the host.",
	},
	{
		ID:     ReasonDANEEEMatch,
		Says:   "The mail host is authenticated: its key or certificate is the one in its signed TLSA records.",
		RFC:    "7672 s.3.1.1",
		Policy: policyTLSA,
		Sender: "Nothing.", Recipient: "Publish the record of the next key before the key is changed.",
	},
	{
		ID:     ReasonDANETAMatch,
		Says:   "The mail host is authenticated: its certificate was issued by the CA in its signed TLSA records and carries the right name.",
		RFC:    "7672 s.3.1.2",
		Policy: policyTLSA,
		Sender: "Nothing.", Recipient: "Keep sending the CA's certificate in the chain.",
	},
	{
		ID:         ReasonDANENoMatch,
		Says:       "The mail host shows a key and certificate that match none of its signed TLSA records; it may be somebody else, so nothing is sent to it. A policy of MTA-STS can not repair that.",
		RFC:        "7672 s.2.2",
		ResultType: resultNotTrusted, Policy: policyTLSA, Code: "4.7.5",
		Sender: "Keep the message queued. If the recipient confirms the change, an exception for a limited time lets it go.", Recipient: "The certificate was changed and the TLSA records were not: publish records of the key in use; next time publish them first and wait for the old TTL.",
	},
	{
		ID:         ReasonDANEName,
		Says:       "The mail host's certificate was issued by the CA in its TLSA records, but carries none of the names that count, so nothing is sent to it.",
		RFC:        "7672 s.3.2.2",
		ResultType: resultHostMismatch, Policy: policyTLSA, Code: "4.7.5",
		Sender: "Keep the message queued.", Recipient: "With a TLSA record of usage 2 the certificate must carry the name of the MX host (or the domain) in subjectAltName; a record of usage 3 needs no name.",
	},
	{
		ID:         ReasonDANEExpired,
		Says:       "The mail host's certificate leads to the CA in its TLSA records, but a certificate on the way has expired, so nothing is sent to it.",
		RFC:        "7672 s.3.1.2",
		ResultType: resultExpired, Policy: policyTLSA, Code: "4.7.5",
		Sender: "Check the clock of this machine.", Recipient: "Renew the certificate; with a TLSA record of usage 3 the dates do not count.",
	},
	{
		ID:         ReasonDANEUntrusted,
		Says:       "A certificate that the mail host sent matches its TLSA records, but the path from the host's own certificate to it does not hold (or is not valid yet), so nothing is sent to it.",
		RFC:        "7672 s.3.1.2",
		ResultType: resultNotTrusted, Policy: policyTLSA, Code: "4.7.5",
		Sender: "Keep the message queued.", Recipient: "Send the whole chain up to and including the CA that the TLSA record names.",
	},
	{
		ID:     ReasonSTSMatch,
		Says:   "The mail host is authenticated: the domain's MTA-STS policy lists it, and it shows a valid certificate of its own name.",
		RFC:    "8461 s.4.2",
		Policy: policySTS,
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:         ReasonSTSName,
		Says:       "The domain's MTA-STS policy demands a certificate of the mail host's own name, and the certificate carries other names, so nothing is sent to it.",
		RFC:        "8461 s.4.2",
		ResultType: resultHostMismatch, Policy: policySTS, Code: "4.7.5",
		Sender: "Keep the message queued.", Recipient: "Give the host a certificate whose subjectAltName has the name in the MX record.",
	},
	{
		ID:         ReasonSTSExpired,
		Says:       "The domain's MTA-STS policy demands a valid certificate, and the mail host's has expired, so nothing is sent to it.",
		RFC:        "8461 s.4.2",
		ResultType: resultExpired, Policy: policySTS, Code: "4.7.5",
		Sender: "Check the clock of this machine.", Recipient: "Renew the certificate.",
	},
	{
		ID:         ReasonSTSUntrusted,
		Says:       "The domain's MTA-STS policy demands a certificate of a public CA, and the mail host's leads to none that this server trusts, or is not valid yet, so nothing is sent to it.",
		RFC:        "8461 s.4.2",
		ResultType: resultNotTrusted, Policy: policySTS, Code: "4.7.5",
		Sender: "If this concerns many domains, update the file of root certificates.", Recipient: "Use a certificate of a public CA and send the intermediate certificates with it.",
	},
	{
		ID:     ReasonPKIXMatch,
		Says:   "The mail host is authenticated: it shows a valid certificate of a public CA with a name that was asked for.",
		RFC:    "9525 s.6",
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:         ReasonPKIXName,
		Says:       "The mail host must prove one of the names asked for, and its certificate carries others, so nothing is sent to it.",
		RFC:        "9525 s.6.6",
		ResultType: resultHostMismatch, Policy: policyNone, Code: "4.7.5",
		Sender: "Check the names that are configured for this next hop.", Recipient: "Give the host a certificate of its own name.",
	},
	{
		ID:         ReasonPKIXExpired,
		Says:       "The mail host must show a valid certificate, and the one it shows has expired, so nothing is sent to it.",
		RFC:        "5280 s.6.1.3",
		ResultType: resultExpired, Policy: policyNone, Code: "4.7.5",
		Sender: "Check the clock of this machine.", Recipient: "Renew the certificate.",
	},
	{
		ID:         ReasonPKIXUntrusted,
		Says:       "The mail host must show a certificate of a CA that this server trusts, and the one it shows leads to none, or is not valid yet, so nothing is sent to it.",
		RFC:        "5280 s.6",
		ResultType: resultNotTrusted, Policy: policyNone, Code: "4.7.5",
		Sender: "If it is a private CA, add it to the file of root certificates.", Recipient: "Use a certificate of a public CA and send the intermediate certificates with it.",
	},
}

// Reasons for what becomes of a message.
const (
	ReasonDelivered       ReasonID = "delivered"
	ReasonRejected        ReasonID = "rejected"
	ReasonTLSDemanded     ReasonID = "tls-demanded"
	ReasonRetry           ReasonID = "retry"
	ReasonRequireTLSFails ReasonID = "requiretls-failed"
	ReasonPolicyLastLook  ReasonID = "policy-last-look"
	ReasonQueueExpired    ReasonID = "queue-expired"
)

var messageReasons = []ReasonInfo{
	{
		ID:     ReasonDelivered,
		Says:   "A host of the domain took the message.",
		RFC:    "5321 s.4.2.5",
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:   ReasonRejected,
		Says: "A host of the domain rejected the message for good; no other host is asked.",
		RFC:  "5321 s.4.2.1", Code: "5.0.0",
		Sender: "The reply of the host says why.", Recipient: "The log of the host says why.",
	},
	{
		ID:   ReasonTLSDemanded,
		Says: "The sender asked for delivery even without TLS, and the host demands TLS, which can not be had; the message goes back to its sender.",
		RFC:  "8689 s.4.2.2", Code: "5.7.10",
		Sender: "Send without TLS-Required: No when TLS works again.", Recipient: "The server demands STARTTLS and can not do it: see its log.",
	},
	{
		ID:   ReasonRetry,
		Says: "No host could take the message now; it stays in the queue. A policy or a lookup that failed never bounces a message while it can be tried again.",
		RFC:  "8461 s.5", Code: "4.4.0",
		Sender: "See the reasons of the hosts.", Recipient: "See the reasons of the hosts.",
	},
	{
		ID:   ReasonRequireTLSFails,
		Says: "The message demands TLS on its whole way (REQUIRETLS), and no host of the domain meets the demand; it goes back to its sender, header only.",
		RFC:  "8689 s.4.2.1", Code: "5.7.10",
		Sender: "See the reasons of the hosts; send without REQUIRETLS if that will do.", Recipient: "See the reasons of the hosts.",
	},
	{
		ID:   ReasonPolicyLastLook,
		Says: "The message's time is up, and an MTA-STS policy had a part in that; before it goes back, the domain is asked once more whether the policy has changed.",
		RFC:  "8461 s.5.1", Code: "4.7.5",
		Sender: "Nothing.", Recipient: "Nothing.",
	},
	{
		ID:   ReasonQueueExpired,
		Says: "The message's time in the queue is over and no host could take it.",
		RFC:  "5321 s.4.5.4.1", Code: "5.4.7",
		Sender: "See the reasons of the hosts.", Recipient: "See the reasons of the hosts.",
	},
}
