package lab

import (
	"slices"
)

// tlsWorlds show what servers present, and what becomes of it (sections 6 and 7 of the
// table).
func tlsWorlds() []World {
	return slices.Concat(daneTAWorlds(), stsTLSWorlds(), eventWorlds())
}

// daneTAWorlds have certificates under TLSA records of usage 2 and 3 (RFC 7671 section
// 5, RFC 7672 section 3).
func daneTAWorlds() []World {
	ta := func(name, about string, c Chain, want Want, records []string, edits ...func(*World)) World {
		if c.By == WebPKI {
			c.By = PrivateCA
		}
		return dane(name, about, Zone{}, want, append([]func(*World){chainIs(c), tlsaAre(records...), rows("6/dane-ta", "7/dane/E4")}, edits...)...)
	}
	ca := []string{"2 1 1 ca"}
	return []World{
		ta("ta-certificate", "the digest of the CA's certificate", Chain{}, byDANETA, []string{"2 0 1 ca"}),
		ta("ta-sha512", "the SHA-512 digest of the CA's key", Chain{}, byDANETA, []string{"2 1 2 ca"}),
		ta("ta-root-sent", "the digest of a root that is sent", Chain{Send: SendRoot}, byDANETA, []string{"2 0 1 root"}),
		ta("ta-root-not-sent", "the digest of a root that is not sent: it cannot be compared", Chain{}, wantRefused, []string{"2 0 1 root"}),
		ta("ta-root-in-dns", "the whole root in DNS, which need not be sent then", Chain{}, byDANETA, []string{"2 0 0 root"}),
		ta("ta-ca-in-dns", "the whole CA certificate in DNS, and the leaf alone is sent", Chain{Send: SendLeaf}, byDANETA, []string{"2 0 0 ca"}),
		ta("ta-key-in-dns", "the CA's whole key in DNS, and the leaf alone is sent", Chain{Send: SendLeaf}, byDANETA, []string{"2 1 0 ca"}),
		ta("ta-incomplete", "the digest of a CA that is not sent", Chain{Send: SendLeaf}, wantRefused, ca),
		ta("ta-other", "the digest of another CA", Chain{}, wantRefused, []string{"2 1 1 other"}),
		ta("ta-name-domain", "the certificate has the name of the domain, which counts because the MX is signed", Chain{Names: []string{"ta-name-domain.test"}}, byDANETA, ca),
		ta("ta-name-wildcard", "the certificate is a wildcard", Chain{Names: []string{"*.ta-name-wildcard.test"}}, byDANETA, ca),
		ta("ta-name-wildcard-deep", "the certificate is a wildcard, and the host is two labels below", Chain{Names: []string{"*.ta-name-wildcard-deep.test"}}, wantRefused, ca, func(w *World) {
			w.Hosts[0].Name = "mx.a.ta-name-wildcard-deep.test"
		}),
		ta("ta-name-partial", "the certificate has a wildcard within a label", Chain{Names: []string{"m*.ta-name-partial.test"}}, wantRefused, ca),
		ta("ta-name-wrong", "the certificate is for another name", Chain{Names: []string{"mail.example"}}, wantRefused, ca),
		ta("ta-name-cn", "the certificate has the host's name as Common Name, and no DNS-ID", Chain{NoSAN: true, CN: "mx.ta-name-cn.test"}, byDANETA, ca),
		ta("ta-name-cn-off", "the certificate has the host's name as Common Name only, and the operator does not accept that", Chain{NoSAN: true, CN: "mx.ta-name-cn-off.test"}, wantRefused, ca, option(func(r *Request) { r.Options.NoCNID = true })),
		ta("ta-name-cn-beside", "the host's name as Common Name, and a DNS-ID of another name", Chain{Names: []string{"mail.example"}, CN: "mx.ta-name-cn-beside.test"}, wantRefused, ca),
		ta("ta-expired", "the certificate has expired", Chain{Ends: -Hour}, wantRefused, ca),
		ta("ta-future", "the certificate is not valid before tomorrow", Chain{Starts: Day}, wantRefused, ca),
		ta("ta-ca-expired", "the CA has expired", Chain{Fault: IssuerExpired}, wantRefused, []string{"2 0 1 ca"}),
		ta("ta-no-ca", "the issuer is not marked as a CA", Chain{Fault: IssuerNoCA}, wantRefused, []string{"2 0 1 ca"}),
		ta("ta-constraint", "the CA may not issue for this name", Chain{Fault: IssuerExcludes}, wantRefused, []string{"2 0 1 ca"}),
		ta("ta-client", "the certificate is for clients", Chain{Fault: ClientOnly}, wantRefused, ca),
		ta("ta-signature", "the CA did not sign this certificate", Chain{Fault: LeafBadSig}, wantRefused, ca),
		ta("ta-critical", "the certificate has an unknown critical extension", Chain{Fault: CriticalUnknown}, wantRefused, ca),
		ta("ta-self", "a self-signed certificate as its own CA, of the host's name", Chain{By: SelfSigned}, byDANETA, []string{"2 1 1 leaf"}),
		ta("ta-self-name", "a self-signed certificate as its own CA, of another name", Chain{By: SelfSigned, Names: []string{"mail.example"}}, wantRefused, []string{"2 1 1 leaf"}),
		ta("ta-self-expired", "a self-signed certificate as its own CA, which has expired", Chain{By: SelfSigned, Ends: -Hour}, wantRefused, []string{"2 0 1 leaf"}),
		ta("ta-or-ee", "a CA and a key in DNS: the key matches, and the certificate is for another name", Chain{Names: []string{"mail.example"}}, byDANEEE, []string{"2 1 1 other", "3 1 1 leaf"}),
		ta("ta-or-ee-ta", "a CA and a key in DNS: the key does not match, and the CA does", Chain{}, byDANETA, []string{"2 1 1 ca", "3 1 1 other"}),
		dane("ee-expired", "an expired certificate with the key of the TLSA record: expiry does not matter", Zone{}, byDANEEE, chainIs(Chain{By: SelfSigned, Ends: -Hour}), rows("6/dane-ee", "7/dane/E4")),
		dane("ee-future", "a certificate that is not valid before tomorrow, with the key of the TLSA record: dates do not matter", Zone{}, byDANEEE, chainIs(Chain{Starts: Day}), rows("6/dane-ee")),
		dane("ee-name", "a certificate for another name with the key of the TLSA record: names do not matter", Zone{}, byDANEEE, chainIs(classic), rows("6/dane-ee")),
		dane("ee-client", "a certificate for clients with the key of the TLSA record: its purpose does not matter", Zone{}, byDANEEE, chainIs(Chain{Fault: ClientOnly}), rows("6/dane-ee")),
		dane("ee-ca", "usage 3 with the digest of the CA: only the leaf counts", Zone{}, wantRefused, chainIs(Chain{By: PrivateCA}), tlsaAre("3 1 1 ca"), rows("7/dane/E4")),
		dane("sni", "the server presents the right certificate only with SNI", Zone{}, byDANETA, tlsaAre("2 1 1 ca"), rows("6/dane-ta"), func(w *World) {
			w.Hosts[0].Chain = Chain{By: PrivateCA, Names: []string{"mail.example"}}
			w.Hosts[0].BySNI = map[string]Chain{"mx.sni.test": {By: PrivateCA}}
		}),
	}
}

// stsTLSWorlds have certificates under a policy in force (RFC 8461 section 4.2).
func stsTLSWorlds() []World {
	cert := func(name, about string, c Chain, want Want, edits ...func(*World)) World {
		return sts(name, about, STS{Mode: "enforce"}, want, append([]func(*World){chainIs(c), rows("6/sts", "7/sts/E4")}, edits...)...)
	}
	return []World{
		cert("mx-expired", "the host's certificate has expired", Chain{Ends: -Hour}, wantRefused),
		cert("mx-future", "the host's certificate is not valid before tomorrow", Chain{Starts: Day}, wantRefused),
		cert("mx-self", "the host's certificate is self-signed", Chain{By: SelfSigned}, wantRefused),
		cert("mx-private", "the host's certificate is of an unknown CA", Chain{By: PrivateCA, Send: SendRoot}, wantRefused),
		cert("mx-incomplete", "the host does not send the intermediate", Chain{Send: SendLeaf}, wantRefused),
		cert("mx-root-sent", "the host sends the root as well", Chain{Send: SendRoot}, bySTS),
		cert("mx-name", "the host's certificate is for another name", classic, wantRefused),
		cert("mx-name-domain", "the host's certificate names the domain, which does not count", Chain{Names: []string{"mx-name-domain.test"}}, wantRefused),
		cert("mx-name-cn", "the host's name is the Common Name only", Chain{NoSAN: true, CN: "mx.mx-name-cn.test"}, wantRefused),
		cert("mx-name-wildcard", "the host's certificate is a wildcard", Chain{Names: []string{"*.mx-name-wildcard.test"}}, bySTS),
		cert("mx-name-second", "the host's name is one of several", Chain{Names: []string{"mail.example", "mx.mx-name-second.test"}}, bySTS),
		cert("mx-client", "the host's certificate is for clients", Chain{Fault: ClientOnly}, wantRefused),
		cert("mx-signature", "the CA did not sign the host's certificate", Chain{Fault: LeafBadSig}, wantRefused),
		cert("mx-ca-expired", "the intermediate certificate has expired", Chain{Fault: IssuerExpired}, wantRefused),
		cert("mx-no-ca", "the issuer of the host's certificate is not a CA", Chain{Fault: IssuerNoCA}, wantRefused),
		cert("mx-constraint", "the intermediate may not issue for this name", Chain{Fault: IssuerExcludes}, wantRefused),
		cert("mx-critical", "an unknown critical extension", Chain{Fault: CriticalUnknown}, wantRefused),
		cert("mx-sni", "the host presents its certificate only with SNI", classic, bySTS, func(w *World) {
			w.Hosts[0].BySNI = map[string]Chain{"mx.mx-sni.test": {}}
		}),
	}
}

// eventWorlds have servers that fail before they show a certificate (section 7).
func eventWorlds() []World {
	var out []World
	plain := func(name, about string, s SMTPState, want Want, edits ...func(*World)) {
		out = append(out, dane(name, about, Zone{Sign: Unsigned}, want, append([]func(*World){smtp(s), tlsaAre()}, edits...)...))
	}
	under := func(name, about string, s SMTPState, cell string, edits ...func(*World)) {
		out = append(out, dane(name, about, Zone{}, wantRefused, append([]func(*World){smtp(s), rows(cell)}, edits...)...))
	}
	for _, e := range []struct {
		name, about string
		state       SMTPState
	}{
		{"conn-refused", "the host refuses the connection", ConnRefused},
		{"conn-timeout", "packets to the host get no answer", ConnTimeout},
		{"greeting-421", "the host is busy", Greeting421},
		{"greeting-554", "the host accepts no mail", Greeting554},
		{"greeting-junk", "the host does not speak SMTP", JunkGreeting},
		{"greeting-close", "the host closes the connection at once", CloseAtGreeting},
		{"greeting-hang", "the host sends no greeting", HangAtGreeting},
		{"ehlo-close", "the host closes the connection after EHLO", CloseAfterEHLO},
		{"ehlo-hang", "the host does not answer EHLO", HangAfterEHLO},
	} {
		plain(e.name, e.about, e.state, deferred, rows("7/E0"))
	}
	plain("may-454", "STARTTLS fails temporarily, and the domain publishes nothing that requires it", STARTTLS454, inTheClear, rows("7/may/E2"))
	plain("may-501", "STARTTLS is refused, and the domain publishes nothing that requires it", STARTTLS501, inTheClear, rows("7/may/E2"))
	plain("may-junk", "no SMTP reply to STARTTLS", JunkAfterSTARTTLS, inTheClear, rows("7/may/E2"))
	plain("may-injected", "plaintext after the reply to STARTTLS: the connection is dropped", Injected, inTheClear, rows("7/may/E2"))
	plain("may-alert", "the handshake fails: a new connection is made in clear text", Alert, inTheClear, rows("7/may/E3"))
	plain("may-junk-handshake", "clear text where the handshake should start", JunkHandshake, inTheClear, rows("7/may/E2"))
	plain("may-tls10", "the host speaks TLS 1.0 only", TLS10Only, inTheClear, rows("7/may/E3"))
	plain("may-close", "the host closes the connection during the handshake", CloseInHandshake, inTheClear, rows("7/may/E3"))
	plain("may-hang", "the host hangs during the handshake", HangInHandshake, inTheClear, rows("7/may/E3"))
	plain("may-no-fallback", "the handshake fails, and the operator does not allow clear text", Alert, deferred, rows("7/may/E3"),
		option(func(r *Request) { r.Options.NoClearFallback = true }))
	plain("may-tls12", "the host speaks TLS 1.2 only", TLS12Only, encrypted, rows("7/may/E4"))
	under("dane-454", "DANE, and STARTTLS fails temporarily", STARTTLS454, "7/dane/E2")
	under("dane-501", "DANE, and STARTTLS is refused", STARTTLS501, "7/dane/E2")
	under("dane-junk", "DANE, and no SMTP reply to STARTTLS", JunkAfterSTARTTLS, "7/dane/E2")
	under("dane-injected", "DANE, and plaintext after the reply to STARTTLS", Injected, "7/dane/E2")
	under("dane-alert", "DANE, and the handshake fails", Alert, "7/dane/E3")
	under("dane-unknown-name", "DANE, and the host answers the SNI with an alert", UnknownName, "7/dane/E3")
	under("dane-tls10", "DANE, and TLS 1.0 only", TLS10Only, "7/dane/E3")
	under("dane-tls11", "DANE, and TLS 1.1 only", TLS11Only, "7/dane/E3")
	under("dane-close", "DANE, and the connection is closed during the handshake", CloseInHandshake, "7/dane/E3")
	under("dane-hang", "DANE, and the host hangs during the handshake", HangInHandshake, "7/dane/E3")
	under("encrypt-stripped", "unusable TLSA records, and STARTTLS is stripped", NoSTARTTLS, "7/encrypt/E1", tlsaAre("1 1 1 leaf"))
	under("encrypt-454", "unusable TLSA records, and STARTTLS fails temporarily", STARTTLS454, "7/encrypt/E2", tlsaAre("1 1 1 leaf"))
	under("encrypt-tls10", "unusable TLSA records, and TLS 1.0 only", TLS10Only, "7/encrypt/E3", tlsaAre("1 1 1 leaf"))
	under("enforce-454", "a policy in mode enforce, and STARTTLS fails temporarily", STARTTLS454, "7/sts/E2", unsigned, enforce, good)
	under("enforce-alert", "a policy in mode enforce, and the handshake fails", Alert, "7/sts/E3", unsigned, enforce, good)
	under("enforce-tls10", "a policy in mode enforce, and TLS 1.0 only", TLS10Only, "7/sts/E3", unsigned, enforce, good)
	under("enforce-stripped", "a policy in mode enforce, and STARTTLS is not offered", NoSTARTTLS, "7/sts/E1", unsigned, enforce, good)
	out = append(out,
		dane("dane-tls12", "DANE over TLS 1.2", Zone{}, byDANEEE, smtp(TLS12Only), rows("7/dane/E4")),
		dane("audit-mismatch", "TLSA records of another key, and the operator only audits", Zone{}, encrypted, tlsaAre("3 1 1 other"), rows("7/audit"),
			option(func(r *Request) { r.Options.Audit = true })),
		dane("audit-stripped", "DANE, STARTTLS is stripped, and the operator only audits", Zone{}, inTheClear, smtp(NoSTARTTLS), rows("7/audit"),
			option(func(r *Request) { r.Options.Audit = true })),
		dane("dane-conn-refused", "DANE, and the host refuses the connection", Zone{}, deferred, smtp(ConnRefused), rows("7/E0")),
	)
	return out
}
