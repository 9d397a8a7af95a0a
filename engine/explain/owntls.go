package explain

import (
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
)

// ownReasons is the reason of a handshake that failed through the TLS library of this
// program.
var ownReasons = []Info{{
	ID:   reason.OwnTLS,
	Text: "The TLS library of this program (crypto/tls of Go) cannot complete the handshake with {host}: {obstacle}. {demand}, so this program refuses the host; senders with OpenSSL or GnuTLS, such as Postfix and Exim, can perhaps deliver to it{matched}. {cure}",
	Variants: map[variant]string{
		variantRead:  "The TLS library of this program (crypto/tls of Go) cannot complete the handshake with {host}: {obstacle}. The certificate was read from the handshake, with a signature that proves its key, so the verdict is that of a sender with OpenSSL or GnuTLS, such as Postfix or Exim. {cure}",
		variantWider: "The TLS library of this program (crypto/tls of Go) cannot complete the handshake with {host} by default: {obstacle}. With other settings it can, and the verdict is that of a sender with such settings, or with OpenSSL or GnuTLS, such as Postfix or Exim. {cure}",
		variantClear: "The TLS library of this program (crypto/tls of Go) cannot complete the handshake with {host}: {obstacle}. Since {free} a sender with this library can send in the clear over a new connection; senders with OpenSSL or GnuTLS, such as Postfix and Exim, can perhaps encrypt. {cure}",
		variantHold:  "The TLS library of this program (crypto/tls of Go) cannot complete the handshake with {host}: {obstacle}, and this server is set not to fall back to clear text on a new connection. {cure}",
	},
	About: "The TLS library of this program (crypto/tls of Go) cannot complete the handshake with the mail host: it does not parse a certificate, refuses its key, shares no cipher suite or group with the server, or its ClientHello is too large for the server. Senders with OpenSSL or GnuTLS, such as Postfix and Exim, may deliver. It is no failure of the domain, and TLSRPT gets none.",
	RFC:   "7671 s.5.1", Code: "4.7.5",
	Sender: "Send with a TLS library that takes what the host shows, if mail must go there.", Recipient: "Change what the text names, so that senders with any TLS library can deliver.",
}}

// ownVariant chooses the sentence.
func ownVariant(l *engine.Library) variant {
	switch {
	case l.Outcome == engine.OutcomeNone && l.Handshake == engine.HandshakeWider:
		return variantWider
	case l.Outcome == engine.OutcomeNone:
		return variantRead
	case l.Outcome == engine.Cleartext:
		return variantClear
	case l.Outcome == engine.Deferred:
		return variantHold
	}
	return variantNone
}

// own is the text in place of a name in braces.
func own(r engine.Reason, l *engine.Library, name string) string {
	switch name {
	case "obstacle":
		return Obstacle(l)
	case "cure":
		return ObstacleCure(l)
	case "matched":
		return matched(l)
	case "demand":
		return capital(strings.TrimSuffix(read(r).demand(l.Part), " it") + " TLS")
	}
	return ""
}

// maxFaults bounds the faults that a text names: a certificate can have one a field.
const maxFaults = 3

// Obstacle says in a clause why the TLS library of this program has no session with the
// host.
func Obstacle(l *engine.Library) string {
	switch l.Obstacle {
	case engine.ObstacleCertificate:
		for i, c := range l.Certificates {
			if odd := oddities(c); odd != "" {
				return fmt.Sprintf("it does not parse %s (%s)", whichCertificate(i, c), odd)
			}
		}
		return "it does not parse a certificate of the host" + inBrackets(l.Detail)
	case engine.ObstacleKey:
		return "it refuses the key of the host's certificate" + inBrackets(l.Detail)
	case engine.ObstacleSignature:
		return "it takes no certificate that is signed with " + clip(l.Detail) + ", as the host's is, and says so to the host"
	case engine.ObstacleSuite:
		return "they share no cipher suite; the host takes " + clip(l.Detail)
	case engine.ObstacleGroup:
		return "they share no group for the key exchange; the host takes " + clip(l.Detail)
	case engine.ObstacleHello:
		return "the host, or a firewall in front of it, does not take the first message (ClientHello) of about 1,500 bytes, which offers post-quantum key exchange (ML-KEM), and takes a shorter one"
	}
	return "the cause is not known"
}

// ObstacleCure says what the owner of the host can do.
func ObstacleCure(l *engine.Library) string {
	switch l.Obstacle {
	case engine.ObstacleCertificate:
		for i, c := range l.Certificates {
			if len(c.Faults()) > 0 && i > 0 {
				return "So that every sender can deliver, send the chain without that certificate, or with a valid one."
			}
		}
		return "So that every sender can deliver, have the certificate issued once more without that."
	case engine.ObstacleKey:
		return "So that every sender can deliver, use a key that every TLS library takes: ECDSA P-256, or RSA with 2,048 bits and the exponent 65537."
	case engine.ObstacleSignature:
		return "So that every sender can deliver, have the certificate issued once more, signed with SHA-256."
	case engine.ObstacleSuite:
		return "So that every sender can deliver, switch on ECDHE cipher suites with AES-GCM, or TLS 1.3."
	case engine.ObstacleGroup:
		return "So that every sender can deliver, switch on the groups X25519 and P-256."
	case engine.ObstacleHello:
		return "So that every sender can deliver, update the server or the firewall: a ClientHello can take several packets."
	}
	return ""
}

// whichCertificate names a certificate of a chain.
func whichCertificate(i int, c *pkix.Certificate) string {
	if i == 0 {
		return "the host's certificate"
	}
	return fmt.Sprintf("certificate %d of the chain, %s,", i+1, clip(c.String()))
}

// oddities lists what crypto/x509 refuses in a certificate.
func oddities(c *pkix.Certificate) string {
	var all []string
	for _, f := range c.Faults() {
		if len(all) == maxFaults {
			break
		}
		all = append(all, clip(f.String()))
	}
	return strings.Join(all, "; ")
}

// matched returns the result of the comparison with the TLSA records where the key was not
// proved.
func matched(l *engine.Library) string {
	switch {
	case l.Unproved == "":
		return ""
	case !l.Compared:
		return ". Possession of the key was not proved here: " + clip(l.Unproved)
	case l.Matched.Data == "":
		return ". Its certificate matches none of its TLSA records, though"
	}
	return fmt.Sprintf(". Its certificate matches its TLSA record (%s), and possession of its key was not proved here: %s", record(l.Matched), clip(l.Unproved))
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + clip(s) + ")"
}
