package lab

import (
	"slices"

	"github.com/mxauth/mxauth/internal/certtest"
)

// own adds the finding of a host that one TLS library speaks with and another does not.
func own(w *World) { w.Lint = append(w.Lint, "tls-library") }

// ownTLSWorlds have mail servers that the TLS library of Go does not speak with, one of
// each sort. [OddWorlds] has every kind.
func ownTLSWorlds() []World {
	odd := func(kind string) func(*World) { return chainIs(Chain{Odd: kind}) }
	free := func(w *World) { unsigned(w); tlsaAre()(w) }
	return []World{
		dane("own-serial", "DANE, and the serial number of the certificate is negative", Zone{}, byDANEEE, odd("serial-negative"), own, rows("7/dane/E4")),
		dane("own-serial-other", "a negative serial number, and the TLSA record is of another key", Zone{}, wantRefused, odd("serial-negative"), tlsaAre("3 1 1 other"), rows("7/dane/E4")),
		dane("own-serial-may", "a negative serial number, and the domain publishes nothing", Zone{}, encrypted, odd("serial-negative"), free, own, rows("7/may/E4")),
		dane("own-ed448", "DANE, and an Ed448 key: the certificate matches, the key cannot be proved", Zone{}, wantRefused, odd("ed448"), own, rows("7/dane/E3")),
		dane("own-ed448-may", "an Ed448 key, and the domain publishes nothing", Zone{}, inTheClear, odd("ed448"), free, own, rows("7/may/E3")),
		dane("own-extra-root", "DANE, and the chain ends with a root with a secp256k1 key", Zone{}, byDANEEE, odd(extraRoot), own, rows("7/dane/E4")),
		dane("own-rsa-1023", "DANE, and an RSA key of 1,023 bits", Zone{}, byDANEEE, odd("rsa-1023"), own, rows("7/dane/E4")),
		dane("own-rsa-512", "DANE, and an RSA key of 512 bits, which no program accepts", Zone{}, wantRefused, odd("rsa-512"), rows("7/dane/E3")),
		dane("own-dhe", "DANE, and DHE only", Zone{}, byDANEEE, smtp(DHEOnly), own, rows("7/dane/E4")),
		dane("own-dhe-may", "DHE only, and the domain publishes nothing", Zone{}, encrypted, smtp(DHEOnly), free, own, rows("7/may/E4")),
		dane("own-cbc-sha384", "DANE, and ECDHE with CBC and SHA-384 only", Zone{}, byDANEEE, smtp(CBC384Only), own, rows("7/dane/E4")),
		dane("own-camellia", "DANE, and Camellia only", Zone{}, byDANEEE, smtp(CamelliaOnly), own, rows("7/dane/E4")),
		dane("own-x448", "DANE, and X448 only", Zone{}, byDANEEE, smtp(X448Only), own, rows("7/dane/E4")),
		dane("own-rsa-exchange", "DANE, and RSA key exchange only", Zone{}, byDANEEE, smtp(RSAExchangeOnly), own, rows("7/dane/E4")),
		dane("own-rsa-exchange-may", "RSA key exchange only, and the domain publishes nothing", Zone{}, encrypted, smtp(RSAExchangeOnly), free, own, rows("7/may/E4")),
		dane("own-short-hello", "DANE, and a ClientHello of at most 1,400 bytes", Zone{}, byDANEEE, smtp(ShortHello), own, rows("7/dane/E4")),
		dane("own-short-hello-may", "a ClientHello of at most 1,400 bytes, and the domain publishes nothing", Zone{}, encrypted, smtp(ShortHello), free, own, rows("7/may/E4")),
		dane("own-two-addresses", "DANE, a negative serial number at one address and another key at the other", Zone{}, wantRefused, odd("serial-negative"), rows("7/dane/E4"), func(w *World) {
			w.Hosts = append(w.Hosts, Host{Name: w.Hosts[0].Name, Pref: 10, Chain: selfSigned})
		}),
		dane("own-requiretls", "DANE, a negative serial number, and the message has REQUIRETLS: a session is needed", Zone{}, wantRefused, odd("serial-negative"), own,
			option(func(r *Request) { r.RequireTLS = true })),
		sts("own-enforce", "a policy in mode enforce, a negative serial number, and an unknown CA", STS{Mode: "enforce"}, wantRefused, odd("serial-negative"), rows("7/sts/E4")),
	}
}

// OddWorlds are a domain for each kind of package certtest, with a TLSA record of the key
// (odd-KIND) and without any (odd-KIND-may). They are not among [Worlds], which many tests
// go through.
func OddWorlds() []World {
	refused := []string{"rsa-512"}
	unproved := []string{"ed448", "dsa", "secp256k1", "ec-explicit"}
	var out []World
	for _, k := range certtest.Kinds() {
		if k.Name == "md5" {
			continue // crypto/tls takes it, and the server here goes no further than its first flight
		}
		with, without := byDANEEE, encrypted
		edit := own
		switch {
		case slices.Contains(refused, k.Name):
			with, without, edit = wantRefused, inTheClear, func(*World) {}
			with.Reason, without.Reason = "handshake-failed", "cleartext-handshake-failed"
		case slices.Contains(unproved, k.Name):
			with, without = wantRefused, inTheClear
			with.Reason, without.Reason = "own-tls", "own-tls"
		}
		c := chainIs(Chain{Odd: k.Name})
		out = append(out, dane("odd-"+k.Name, k.About, Zone{}, with, c, edit),
			dane("odd-"+k.Name+"-may", k.About+", and no TLSA record", Zone{Sign: Unsigned}, without, c, edit, tlsaAre()))
	}
	return out
}
