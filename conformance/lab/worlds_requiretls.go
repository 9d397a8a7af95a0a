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
		dane("requiretls-dane", "the message demands TLS all the way, DANE proves the host, and it takes the demand on", Zone{}, byDANEEE, requireTLS, offered, requires("dane")),
		dane("requiretls-not-offered", "the host is proved, and would not pass the demand on", Zone{}, wantRefused, requireTLS),
		dane("requiretls-pkix", "a signed MX, and a good certificate of the WebPKI: that suffices", Zone{}, byPKIX, requireTLS, offered, tlsaAre(), good, requires("pkix"), rows("6/pkix", "7/pkix/E4")),
		dane("requiretls-pkix-bad", "a signed MX, and a self-signed certificate", Zone{}, wantRefused, requireTLS, offered, tlsaAre(), requires("pkix"), rows("7/pkix/E4")),
		dane("requiretls-unusable", "unusable TLSA records, and a good certificate of the WebPKI", Zone{}, byPKIX, requireTLS, offered, tlsaAre("1 1 1 leaf"), good, requires("pkix")),
		sts("requiretls-sts", "a policy in force proves the host", STS{Mode: "enforce"}, bySTS, requireTLS, offered, requires("sts")),
		sts("requiretls-testing", "an unsigned MX, and a policy that only tests: the choice of the host is not proved", STS{Mode: "testing"}, wantRefused, requireTLS, offered),
		sts("requiretls-insecure", "an unsigned MX, and no policy", STS{Mode: "none"}, wantRefused, requireTLS, offered),
		dane("requiretls-stripped", "STARTTLS is stripped", Zone{}, wantRefused, requireTLS, offered, tlsaAre(), good, smtp(NoSTARTTLS)),
		half("requiretls-half", "half of DANE behind an unsigned MX", wantRefused, requireTLS, offered),
		dane("requiretls-servfail", "the TLSA lookup fails: it may be met later", Zone{}, deferred, requireTLS, offered, fault(tlsaOfMX, "TLSA", ServFail)),
		dane("requiretls-second", "the first host would not pass the demand on, the second does", Zone{}, byDANEEE, requireTLS, func(w *World) {
			w.Hosts = append(w.Hosts, Host{Name: "mx2.requiretls-second.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}, SMTP: SMTP{RequireTLS: true}})
		}),
		dane("requiretls-bounce", "a bounce of such a message, to a domain without anything: it goes as it can", Zone{Sign: Unsigned}, encrypted, requireTLS, tlsaAre(),
			option(func(r *Request) { r.NullReturnPath = true })),
		dane("tls-required-no-mismatch", "the sender waives TLS: TLSA records of another key do not stop the mail", Zone{}, encrypted, notRequired, tlsaAre("3 1 1 other"), requires("may")),
		dane("tls-required-no-stripped", "the sender waives TLS, and STARTTLS is stripped", Zone{}, inTheClear, notRequired, smtp(NoSTARTTLS), requires("may")),
		dane("tls-required-no-servfail", "the sender waives TLS, and the TLSA lookup fails", Zone{}, encrypted, notRequired, fault(tlsaOfMX, "TLSA", ServFail), requires("may")),
		sts("tls-required-no-sts", "the sender waives TLS, and the policy names another host", STS{Mode: "enforce", MX: []string{"mx.elsewhere.test"}}, encrypted, notRequired, requires("may")),
		dane("tls-required-no-mx", "the sender waives TLS, and the MX lookup fails: there is no host", Zone{}, deferred, notRequired, fault("", "MX", ServFail)),
		dane("tls-required-no-dane-only", "the sender waives TLS, and the operator demands DANE: the operator wins", Zone{}, wantRefused, notRequired, tlsaAre("3 1 1 other"), level("dane-only")),
		dane("tlsrpt-report", "a TLS report goes out though the certificate is another", Zone{}, encrypted, tlsaAre("3 1 1 other"), requires("may"),
			option(func(r *Request) { r.TLSRPTReport = true })),
	}
}
