package lab

// requireTLSWorlds show the two halves of RFC 8689 (section 9 of the table).
func requireTLSWorlds() []World {
	requireTLS := option(func(r *Request) { r.RequireTLS = true })
	notRequired := option(func(r *Request) { r.TLSRequiredNo = true })
	offered := func(w *World) {
		for i := range w.Hosts {
			w.Hosts[i].SMTP.RequireTLS = true
		}
	}
	return []World{
		dane("requiretls-dane", "the message has REQUIRETLS, DANE authenticates the host, and it offers REQUIRETLS", Zone{}, byDANEEE, requireTLS, offered, requires("dane")),
		dane("requiretls-not-offered", "the message has REQUIRETLS, the host is authenticated, and it does not offer REQUIRETLS", Zone{}, wantRefused, requireTLS),
		dane("requiretls-pkix", "the message has REQUIRETLS, the MX is signed, and the certificate is of a public CA: that suffices", Zone{}, byPKIX, requireTLS, offered, tlsaAre(), good, requires("pkix"), rows("6/pkix", "7/pkix/E4")),
		dane("requiretls-pkix-bad", "the message has REQUIRETLS, the MX is signed, and the certificate is self-signed", Zone{}, wantRefused, requireTLS, offered, tlsaAre(), requires("pkix"), rows("7/pkix/E4")),
		dane("requiretls-unusable", "the message has REQUIRETLS, the TLSA records are unusable, and the certificate is of a public CA", Zone{}, byPKIX, requireTLS, offered, tlsaAre("1 1 1 leaf"), good, requires("pkix")),
		sts("requiretls-sts", "the message has REQUIRETLS, and a policy in mode enforce authenticates the host", STS{Mode: "enforce"}, bySTS, requireTLS, offered, requires("sts")),
		sts("requiretls-testing", "the message has REQUIRETLS, the MX is unsigned, and the policy is in mode testing: the choice of the host is not authenticated", STS{Mode: "testing"}, wantRefused, requireTLS, offered),
		sts("requiretls-insecure", "the message has REQUIRETLS, the MX is unsigned, and there is no policy", STS{Mode: "none"}, wantRefused, requireTLS, offered),
		dane("requiretls-stripped", "the message has REQUIRETLS, and STARTTLS is stripped", Zone{}, wantRefused, requireTLS, offered, tlsaAre(), good, smtp(NoSTARTTLS)),
		half("requiretls-half", "the message has REQUIRETLS, and an unsigned MX leads to a host with DANE", wantRefused, requireTLS, offered),
		dane("requiretls-servfail", "the message has REQUIRETLS, and the TLSA lookup fails", Zone{}, deferred, requireTLS, offered, fault(tlsaOfMX, "TLSA", ServFail)),
		dane("requiretls-second", "the message has REQUIRETLS, which the first host does not offer and the second does", Zone{}, byDANEEE, requireTLS, func(w *World) {
			w.Hosts = append(w.Hosts, Host{Name: "mx2.requiretls-second.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}, SMTP: SMTP{RequireTLS: true}})
		}),
		dane("requiretls-bounce", "a bounce of a message with REQUIRETLS, to a domain that publishes nothing: it is delivered", Zone{Sign: Unsigned}, encrypted, requireTLS, tlsaAre(),
			option(func(r *Request) { r.NullReturnPath = true })),
		dane("tls-required-no-mismatch", "the sender waives TLS: TLSA records of another key do not stop the mail", Zone{}, encrypted, notRequired, tlsaAre("3 1 1 other"), requires("may")),
		dane("tls-required-no-stripped", "the sender waives TLS, and STARTTLS is stripped", Zone{}, inTheClear, notRequired, smtp(NoSTARTTLS), requires("may")),
		dane("tls-required-no-servfail", "the sender waives TLS, and the TLSA lookup fails", Zone{}, encrypted, notRequired, fault(tlsaOfMX, "TLSA", ServFail), requires("may")),
		sts("tls-required-no-sts", "the sender waives TLS, and the policy names another host", STS{Mode: "enforce", MX: []string{"mx.elsewhere.test"}}, encrypted, notRequired, requires("may")),
		dane("tls-required-no-mx", "the sender waives TLS, and the MX lookup fails: no host is known", Zone{}, deferred, notRequired, fault("", "MX", ServFail)),
		dane("tls-required-no-dane-only", "the sender waives TLS, and the operator requires DANE: the operator wins", Zone{}, wantRefused, notRequired, tlsaAre("3 1 1 other"), level("dane-only")),
		dane("tlsrpt-report", "a TLSRPT report is delivered although the certificate does not match", Zone{}, encrypted, tlsaAre("3 1 1 other"), requires("may"),
			option(func(r *Request) { r.TLSRPTReport = true })),
	}
}
