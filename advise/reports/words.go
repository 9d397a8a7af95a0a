package reports

import (
	"strings"

	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/tlsrpt"
)

// words returns what failed and what the owner of the domain can do.
func words(f Fault, listed listing) (cause, cure string) {
	if info, ok := explain.About(f.Reason); ok {
		return info.About, info.Recipient
	}
	if _, err := rfc6125.ParseHost(f.Domain); err != nil {
		return "The report names no valid domain.", "Ask the sender what it means."
	}
	w, ok := table[f.Type]
	if !ok {
		return "The reason is not one that RFC 8460 knows.", fill("Ask the sender, and check the domain as it is now: `mxauth check {domain}`.", f)
	}
	cause, cure = w.cause, w.cure
	if f.Policy == tlsrpt.PolicyTLSA && w.daneCause != "" {
		cause, cure = w.daneCause, w.daneCure
	}
	switch listed {
	case isNotListed:
		cause = "The MTA-STS policy of {domain} that the sender had does not list {host}."
		cure = "Add the line `mx: {host}` to https://mta-sts.{domain}/.well-known/mta-sts.txt and change the id in the record _mta-sts.{domain}, if mail should go to this host: `mxauth lint {domain}` writes both. Keep the line of a host until the policy's max_age has passed after the host has left the MX records."
	case isListed:
		cause = "The TLS handshake with {host} failed, or its certificate is not valid in another way than the standard has a word for."
		cure = "Check the handshake: `mxauth check {domain}`."
	}
	return fill(cause, f), fill(cure, f)
}

// fill puts the names of a case into a text. A host name that is not valid is not shown: it
// would be pasted into a shell. The caller has checked the domain.
func fill(text string, f Fault) string {
	const unknown = "the mail host"
	host := unknown
	if _, err := rfc6125.ParseHost(f.Host); err == nil {
		host = f.Host
	}
	owner := "_25._tcp." + host
	if host == unknown {
		owner = "the name _25._tcp of the mail host"
		text = strings.ReplaceAll(text, "{make}", "`mxauth tlsa make` with the name of the host")
	}
	text = strings.NewReplacer("{host}", host, "{domain}", f.Domain, "{owner}", owner, "{make}", "`mxauth tlsa make "+host+"`").Replace(text)
	if strings.HasPrefix(text, unknown) {
		text = "T" + text[1:]
	}
	return text
}

// table has the words of each result type (RFC 8460 section 4.3). The second pair is for
// sessions under DANE, where it differs.
var table = map[tlsrpt.ResultType]struct{ cause, cure, daneCause, daneCure string }{
	tlsrpt.StartTLSNotSupported: {
		cause: "{host} did not offer STARTTLS.",
		cure:  "Switch STARTTLS on at {host} (Postfix: `smtpd_tls_security_level = may`). If it is on, a firewall before the server removes the offer, for all senders or for some: look at `smtpd_discard_ehlo_keywords` and at \"SMTP inspection\".",
	},
	tlsrpt.CertificateHostMismatch: {
		cause:     "The certificate of {host} does not name {host}.",
		cure:      "Give {host} a certificate of a public CA whose subjectAltName has the name {host}.",
		daneCause: "The certificate of {host} comes from the CA in its TLSA records and names neither {host} nor {domain}.",
		daneCure:  "Give {host} a certificate of that CA for the name {host}, or publish a record of the form 3 1 1 with the digest of the server's own key: {make} prints it.",
	},
	tlsrpt.CertificateExpired: {
		cause: "The certificate of {host} had expired.",
		cure:  "Renew the certificate of {host}. If it was renewed, let the mail server load it again (Postfix: `postfix reload`), at every address of the host.",
	},
	tlsrpt.CertificateNotTrusted: {
		cause:     "The certificate of {host} does not lead to a public CA: it is self-signed, or an intermediate certificate is missing.",
		cure:      "Let {host} send the whole chain of a certificate of a public CA (`fullchain.pem`, not `cert.pem`).",
		daneCause: "The certificate of {host} matches none of the TLSA records at {owner}.",
		daneCure:  "Publish the record of the present key: {make} prints it. Publish the record of a next key two TTLs before the key is used.",
	},
	tlsrpt.ValidationFailure: {
		cause:     "The connection to {host} could not be authenticated: the MTA-STS policy of {domain} does not list the host, or the TLS handshake failed.",
		cure:      "Compare the policy with the MX records, and check the handshake: `mxauth check {domain}`.",
		daneCause: "The certificate of {host} matches none of the TLSA records at {owner}, or the TLS handshake failed.",
		daneCure:  "Publish the record of the present key: {make} prints it; `mxauth check {domain}` shows what fails.",
	},
	tlsrpt.TLSAInvalid: {
		cause: "None of the TLSA records at {owner} can be used.",
		cure:  "Publish a record of the form 3 1 1 there: {make} prints it.",
	},
	tlsrpt.DNSSECInvalid: {
		cause: "A DNS answer for {domain} did not validate: a signature (RRSIG) or the DS record in the parent zone is wrong or has expired.",
		cure:  "Sign the zone again and compare the DS record in the parent zone with the keys: `mxauth check {domain}` names the broken link.",
	},
	tlsrpt.DANERequired: {
		cause: "The sender demands DANE, and {host} has no TLSA records in a signed zone.",
		cure:  "Nothing has to change for other senders. To satisfy this one, sign the zone and publish the record that {make} prints.",
	},
	tlsrpt.STSPolicyFetchError: {
		cause: "The MTA-STS policy of {domain} could not be fetched.",
		cure:  "See that https://mta-sts.{domain}/.well-known/mta-sts.txt answers with status 200, without a redirect, as text/plain: `mxauth sts fetch {domain}`.",
	},
	tlsrpt.STSPolicyInvalid: {
		cause: "The MTA-STS policy of {domain} is malformed.",
		cure:  "`mxauth sts lint {domain}` names the line.",
	},
	tlsrpt.STSWebPKIInvalid: {
		cause: "The certificate of the web server mta-sts.{domain} is not valid for that name.",
		cure:  "Give the web server a certificate of a public CA for the name mta-sts.{domain}: `mxauth sts fetch {domain}` shows what it has.",
	},
}
