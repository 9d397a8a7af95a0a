package lab

// twoKeysWorlds have mail servers with two certificates, one with an ECDSA key, which they
// prefer, and one with an RSA key, for clients that do not take ECDSA.
func twoKeysWorlds() []World {
	second := func(c Chain) func(*World) {
		c.Key = KeyRSA
		return func(w *World) { w.Hosts[0].Second = &c }
	}
	self := second(selfSigned)
	once := func(o Want) func(*World) { return func(w *World) { w.Once = &o } }
	differ := func(w *World) { w.Lint = append(w.Lint, "host-certificates-differ") }
	return []World{
		dane("two-keys", "DANE, an ECDSA and an RSA certificate, and a TLSA record of each key", Zone{}, byDANEEE, self, tlsaAre("3 1 1 leaf", "3 1 1 second"), rows("7/dane/E4")),
		dane("two-keys-only-rsa", "an ECDSA and an RSA certificate, and a TLSA record of the RSA key only", Zone{}, wantRefused, self, tlsaAre("3 1 1 second"), rows("7/dane/E4"), differ),
		dane("two-keys-only-ecdsa", "an ECDSA and an RSA certificate, and a TLSA record of the ECDSA key only", Zone{}, wantRefused, self, once(byDANEEE), rows("7/dane/E4"), differ),
		dane("two-keys-neither", "an ECDSA and an RSA certificate, and a TLSA record of neither key", Zone{}, wantRefused, self, tlsaAre("3 1 1 other"), rows("7/dane/E4"), func(w *World) { w.Lint = append(w.Lint, "tlsa-no-match") }),
		dane("two-keys-tls13", "DANE, TLS 1.3 only, an ECDSA and an RSA certificate, and a TLSA record of the key that is preferred", Zone{}, byDANEEE, self, smtp(TLS13Only), rows("7/dane/E4")),
		dane("two-keys-bare", "an ECDSA and an RSA certificate, and no TLSA record", Zone{}, encrypted, self, tlsaAre(), rows("7/may/E4")),
		sts("two-keys-enforce", "a policy in mode enforce, and good certificates of both kinds", STS{Mode: "enforce"}, bySTS, second(Chain{}), rows("7/sts/E4")),
		sts("two-keys-enforce-expired", "a policy in mode enforce, a good ECDSA certificate, and an RSA certificate that has expired", STS{Mode: "enforce"}, wantRefused, second(Chain{Ends: -Hour}), once(bySTS), rows("7/sts/E4"), differ),
		sts("two-keys-enforce-name", "a policy in mode enforce, an ECDSA certificate for another name, and a good RSA certificate", STS{Mode: "enforce"}, wantRefused, chainIs(Chain{Names: []string{"mail.example"}}), second(Chain{}), rows("7/sts/E4"), differ),
		sts("two-keys-testing", "a policy in mode testing, a good ECDSA certificate, and an RSA certificate that has expired", STS{Mode: "testing"}, encrypted, second(Chain{Ends: -Hour}), rows("7/may/E4"), differ),
	}
}
