package lint

// Kinds of findings.
const (
	MXFailed         ID = "mx-lookup-failed"
	MXNoDomain       ID = "mx-no-such-domain"
	MXImplicit       ID = "mx-implicit"
	MXNullMixed      ID = "mx-null-mixed"
	MXNotAHost       ID = "mx-not-a-host"
	MXUnsigned       ID = "mx-unsigned"
	MXWrongName      ID = "mx-name-wrong"
	MXNone           ID = "mx-none"
	MXNullPreference ID = "mx-null-preference"
	AliasNowhere     ID = "alias-to-nowhere"
	HostSpecial      ID = "host-address-not-public"
	MXUnsignedTLSA   ID = "mx-unsigned-with-tlsa"
	HostAlias        ID = "host-alias"
	HostNoAddress    ID = "host-no-address"
	HostAddressFail  ID = "host-address-failed"
	HostFamilyFail   ID = "host-one-family-failed"
	HostMixedStatus  ID = "host-addresses-mixed"
	HostUnreachable  ID = "host-unreachable"
	HostDiffer       ID = "host-addresses-differ"
	HostTwoKeys      ID = "host-certificates-differ"

	TLSAFailed       ID = "tlsa-lookup-failed"
	TLSAIterations   ID = "tlsa-denial-unproved"
	TLSAUnsigned     ID = "tlsa-unsigned"
	TLSAAllUnusable  ID = "tlsa-none-usable"
	TLSAPKIXUsage    ID = "tlsa-pkix-usage"
	TLSAUnknown      ID = "tlsa-unknown-parameter"
	TLSABadData      ID = "tlsa-bad-data"
	TLSANoMatch      ID = "tlsa-no-match"
	TLSAName         ID = "tlsa-name-mismatch"
	TLSAExpired      ID = "tlsa-chain-expired"
	TLSAPath         ID = "tlsa-chain-invalid"
	TLSAStale        ID = "tlsa-stale-record"
	TLSAAgility      ID = "tlsa-agility-trap"
	TLSAFullData     ID = "tlsa-full-data"
	TLSACertPinned   ID = "tlsa-certificate-pinned"
	TLSANoSpare      ID = "tlsa-no-spare"
	TLSASomeHosts    ID = "tlsa-some-hosts"
	TLSALongTTL      ID = "tlsa-long-ttl"
	TLSAAnchorUnsent ID = "tlsa-anchor-not-sent"

	STSRecordBad     ID = "sts-record-malformed"
	STSUnannounced   ID = "sts-policy-not-announced"
	STSMisplaced     ID = "sts-record-misplaced"
	STSAddress       ID = "sts-policy-host-address"
	STSDeadAddress   ID = "sts-policy-host-dead-address"
	STSTLS           ID = "sts-policy-host-tls"
	STSHTTP          ID = "sts-policy-http"
	STSEncoding      ID = "sts-policy-compressed"
	STSRecordFailed  ID = "sts-record-failed"
	STSNoHost        ID = "sts-policy-host-missing"
	STSConnect       ID = "sts-policy-host-unreachable"
	STSCertificate   ID = "sts-policy-host-certificate"
	STSRedirect      ID = "sts-policy-redirect"
	STSStatus        ID = "sts-policy-status"
	STSMediaType     ID = "sts-policy-media-type"
	STSSize          ID = "sts-policy-size"
	STSInvalid       ID = "sts-policy-invalid"
	STSNotListed     ID = "sts-host-not-listed"
	STSUnused        ID = "sts-pattern-unused"
	STSShort         ID = "sts-max-age-short"
	STSTesting       ID = "sts-testing"
	STSTestingLong   ID = "sts-testing-long"
	STSNone          ID = "sts-mode-none"
	STSHostCert      ID = "sts-host-certificate"
	STSCertExpiring  ID = "sts-host-certificate-expiring"
	STSPolicyExpires ID = "sts-policy-host-certificate-expiring"
	STSDuplicate     ID = "sts-policy-field-repeated"

	TLSMissing    ID = "tls-missing"
	TLSRefused    ID = "tls-refused"
	TLSFailed     ID = "tls-failed"
	TLSInjected   ID = "tls-injected"
	TLSLibrary    ID = "tls-library"
	TLSOld        ID = "tls-version"
	CertName      ID = "certificate-name"
	CertUntrusted ID = "certificate-untrusted"
	CertExpired   ID = "certificate-expired"
	CertCNOnly    ID = "certificate-cn-only"

	DANEOnlyCert ID = "certificate-good-for-dane-only"
	Nothing      ID = "nothing-published"
	DANEOnly     ID = "dane-without-sts"

	TLSRPTMissing   ID = "tlsrpt-missing"
	TLSRPTBad       ID = "tlsrpt-malformed"
	TLSRPTFailed    ID = "tlsrpt-failed"
	TLSRPTMisplaced ID = "tlsrpt-record-misplaced"
	TLSRPTNowhere   ID = "tlsrpt-no-destination"
)

// kinds has one entry for every ID above.
var kinds = func() map[ID]Kind {
	m := map[ID]Kind{}
	for _, k := range [...]Kind{
		{MXFailed, Error, "The MX records cannot be looked up, or fail the DNSSEC check.", "7672 s.2.1.2"},
		{MXNoDomain, Error, "The domain does not exist.", "5321 s.5.1"},
		{MXImplicit, Note, "The domain has no MX record and is its own mail host.", "5321 s.5.1"},
		{MXNullMixed, Error, "A null MX is published together with real ones.", "7505 s.3"},
		{MXNotAHost, Error, "An MX record names an address or what is no host name.", "5321 s.5.1"},
		{MXWrongName, Error, "An MX record names what can be no mail server: localhost, a name without domain, the domain twice.", "5321 s.5.1"},
		{MXNone, Error, "The domain has neither an MX record nor an address.", "5321 s.5.1"},
		{MXNullPreference, Warning, "The record that says that the domain takes no mail has a preference other than 0.", "7505 s.3"},
		{AliasNowhere, Error, "A name is an alias (CNAME) for a name without the records that are looked for.", "1034 s.3.6.2"},
		{HostSpecial, Warning, "An MX host has an address that other networks do not reach.", "6890 s.2.1"},
		{MXUnsigned, Warning, "The MX records are not signed, so they can be forged.", "7672 s.2.2.1"},
		{MXUnsignedTLSA, Error, "The hosts publish TLSA records, and the MX records that name them are not signed.", "7672 s.2.2.1"},
		{HostAlias, Warning, "An MX host is an alias (CNAME).", "2181 s.10.3"},
		{HostNoAddress, Error, "An MX host has no address.", "5321 s.5.1"},
		{HostAddressFail, Error, "The addresses of an MX host cannot be looked up, or fail the DNSSEC check.", "7672 s.2.1.2"},
		{HostFamilyFail, Error, "The lookup of one address family of an MX host fails.", "7672 s.2.2.2"},
		{HostMixedStatus, Warning, "One address family of an MX host is signed and the other is not.", "7672 s.2.2.2"},
		{HostUnreachable, Warning, "An MX host does not answer.", "5321 s.5.1"},
		{HostDiffer, Warning, "The addresses of an MX host show different things.", "7672 s.2.2"},
		{HostTwoKeys, Error, "An MX host has an RSA and an ECDSA certificate, and one of them is not accepted.", "7672 s.2.2"},
		{TLSAFailed, Error, "The TLSA lookup fails, so nothing is delivered to the host.", "7672 s.2.1.2"},
		{TLSAIterations, Error, "That there are no TLSA records is denied with too many NSEC3 iterations.", "9276 s.3.1"},
		{TLSAUnsigned, Error, "TLSA records are in a zone that is not signed and do not count.", "7672 s.2.2"},
		{TLSAAllUnusable, Error, "Not one of the TLSA records can be used for mail.", "7672 s.2.2"},
		{TLSAPKIXUsage, Warning, "A TLSA record has a usage that is not used for mail (PKIX-TA or PKIX-EE).", "7672 s.3.1.3"},
		{TLSAUnknown, Warning, "A TLSA record has an unknown usage, selector or matching type.", "6698 s.4.1"},
		{TLSABadData, Error, "The data of a TLSA record is malformed.", "6698 s.2.1.4"},
		{TLSANoMatch, Error, "The host matches none of its TLSA records: mail is not delivered to it.", "7672 s.2.2"},
		{TLSAName, Error, "The host matches a DANE-TA record and its certificate has none of the names that count.", "7672 s.3.2.2"},
		{TLSAExpired, Error, "The chain to a DANE-TA record has expired.", "7671 s.5.2.3"},
		{TLSAPath, Error, "The chain to a DANE-TA record does not hold.", "7671 s.5.2"},
		{TLSAStale, Note, "A TLSA record matches nothing that the host shows.", "7671 s.8"},
		{TLSAAgility, Error, "A record with a stronger digest, which does not match, is used instead of the one that matches.", "7671 s.9"},
		{TLSAFullData, Note, "A TLSA record carries a whole certificate or key.", "7671 s.10.1.2"},
		{TLSACertPinned, Warning, "A DANE-EE record pins the whole certificate, so every renewal needs a new record.", "7671 s.5.1"},
		{TLSANoSpare, Note, "There is one TLSA record for the present key and none for the next.", "7671 s.8.1"},
		{TLSASomeHosts, Warning, "Some hosts have TLSA records and others have none.", "7672 s.2.2.1"},
		{TLSALongTTL, Warning, "The TTL of the TLSA records is so long that a key cannot be replaced in a hurry.", "7671 s.13"},
		{TLSAAnchorUnsent, Error, "A DANE-TA digest record names a certificate that the host does not send.", "7671 s.5.2.2"},
		{STSRecordBad, Error, "The MTA-STS record is malformed, or there are several.", "8461 s.3.1"},
		{STSUnannounced, Warning, "A policy is served, and no record announces it.", "8461 s.3.1"},
		{STSMisplaced, Error, "The MTA-STS record is at a name where senders do not look.", "8461 s.3.1"},
		{STSAddress, Error, "The policy host has no public address.", "8461 s.3.3"},
		{STSDeadAddress, Warning, "An address of the policy host does not answer.", "8461 s.3.3"},
		{STSTLS, Error, "The TLS handshake with the policy host fails.", "8461 s.3.3"},
		{STSHTTP, Error, "The policy host gives no whole HTTP response.", "8461 s.3.3"},
		{STSEncoding, Error, "The policy is served compressed, which senders do not ask for.", "8461 s.3.3"},
		{STSRecordFailed, Error, "The MTA-STS record cannot be looked up.", "8461 s.3.1"},
		{STSNoHost, Error, "There is an MTA-STS record, and the policy host has no address.", "8461 s.3.3"},
		{STSConnect, Error, "The policy host does not answer.", "8461 s.3.3"},
		{STSCertificate, Error, "The policy host has no valid certificate of its name.", "8461 s.3.3"},
		{STSRedirect, Error, "The policy host redirects, which senders do not follow.", "8461 s.3.3"},
		{STSStatus, Error, "The policy host does not answer with status 200.", "8461 s.3.3"},
		{STSMediaType, Error, "The policy is not served as text/plain.", "8461 s.3.2"},
		{STSSize, Error, "The policy is larger than 64 kB.", "8461 s.3.3"},
		{STSInvalid, Error, "The policy is malformed.", "8461 s.3.2"},
		{STSNotListed, Error, "The policy does not list an MX host.", "8461 s.4.1"},
		{STSUnused, Warning, "A pattern of the policy names no MX host.", "8461 s.4.1"},
		{STSShort, Warning, "max_age is so short that an attacker only has to wait.", "8461 s.10.2"},
		{STSTesting, Note, "The policy is in mode testing and protects nothing.", "8461 s.5"},
		{STSTestingLong, Warning, "The policy has been in mode testing for months.", "8461 s.5"},
		{STSNone, Note, "The policy is of mode none.", "8461 s.8.3"},
		{STSHostCert, Error, "The certificate of an MX host does not satisfy the policy.", "8461 s.4.2"},
		{STSCertExpiring, Warning, "The certificate of an MX host under the policy ends soon.", "8461 s.4.2"},
		{STSPolicyExpires, Warning, "The certificate of the policy host ends soon.", "8461 s.3.3"},
		{STSDuplicate, Warning, "A field of the policy is there twice; only the first counts.", "8461 s.3.2"},
		{TLSMissing, Error, "An MX host does not offer STARTTLS.", "3207 s.4"},
		{TLSRefused, Error, "An MX host offers STARTTLS and refuses to start it.", "3207 s.4"},
		{TLSFailed, Error, "The TLS handshake with an MX host fails.", "8461 s.4.2"},
		{TLSLibrary, Warning, "Senders with the TLS library of Go cannot make a TLS connection to an MX host.", "7671 s.5.1"},
		{TLSInjected, Error, "An MX host sends unencrypted data after its reply to STARTTLS.", "3207 s.4"},
		{TLSOld, Warning, "An MX host does not support TLS 1.3.", "9325 s.3.1.1"},
		{CertName, Note, "The certificate of an MX host does not name it.", "9525 s.6"},
		{CertUntrusted, Note, "The certificate of an MX host leads to no public CA.", "5280 s.6"},
		{CertExpired, Warning, "The certificate of an MX host, or one above it, has expired.", "5280 s.6.1.3"},
		{CertCNOnly, Warning, "The certificate of an MX host has its name only as Common Name.", "9525 s.2"},
		{DANEOnlyCert, Warning, "A certificate satisfies DANE and not the MTA-STS policy.", "8461 s.2"},
		{Nothing, Warning, "The domain publishes neither DANE nor MTA-STS.", "7672 s.1.3"},
		{DANEOnly, Note, "The domain publishes DANE and no MTA-STS policy.", "8461 s.2"},
		{TLSRPTMissing, Warning, "Senders check the domain's mail by DANE or MTA-STS, and it asks for no reports.", "8460 s.3"},
		{TLSRPTBad, Error, "The TLSRPT record is malformed, or there are several.", "8460 s.3"},
		{TLSRPTMisplaced, Error, "The TLSRPT record is at a name where senders do not look.", "8460 s.3"},
		{TLSRPTNowhere, Error, "The TLSRPT record names no address that a report can be sent to.", "8460 s.3"},
		{TLSRPTFailed, Warning, "The TLSRPT record cannot be looked up.", "8460 s.3"},
	} {
		m[k.ID] = k
	}
	return m
}()
