package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
)

// halfDANE is a match behind an unsigned MX record.
func (c reading) halfDANE() (t told) {
	t.cause = sentences(fmt.Sprintf("%s proves itself by its TLSA records (at %s), but %s: so it is not proven that mail of %s belongs there.", c.host, c.owner(), unsignedMX(c.p, c.h), c.domain))
	s := stsOf(c.p, c.h)
	if s.there {
		t.cause = sentences(t.cause, sentence(s.clause))
	}
	t.owner = append(t.owner, signMX(c.p)...)
	if s.there {
		t.owner = append(t.owner, c.policyCures(nil, certFault{})...)
	} else if s.known {
		t.owner = append(t.owner, cure(fmt.Sprintf("Or publish an MTA-STS policy that lists %s (`mxauth lint %s` writes it).", c.host, c.domain)))
	}
	return t
}

// daneName is a certificate of the right CA and another name.
func (c reading) daneName(s *engine.Shown) (t told) {
	why := commonName(s.CommonName)
	t.cause = fmt.Sprintf("The certificate of %s is from the CA that its TLSA records at %s name, but it is for %s%s; one of these names is needed: %s.", c.host, c.owner(), presented(s.Presented), why, list(texts(s.References)))
	if c.p != nil && c.p.MX.Status != dnssec.Secure && c.p.Orig.IsValid() && slices.Contains(s.Presented, c.domain) {
		t.cause = sentences(t.cause, fmt.Sprintf("The name %s does not count here: %s, so anybody could have put %s in its place.", c.domain, unsignedMX(c.p, c.h), c.host))
	}
	t.cause = sentences(t.cause, strings.TrimSpace(c.alias()))
	want := c.host
	if len(s.References) > 0 {
		want = s.References[0].String()
	}
	text := fmt.Sprintf("Give %s a certificate whose subjectAltName has the name %s", c.host, want)
	if now, ok := tlsaNow(s, dane.Recommended(dane.DANEEE)); ok {
		t.owner = []Cure{cure(c.hostBy(text+"; or publish a record of the server's own key in place of that of the CA, with which no name is needed (compare it with the key on the server first):"), fmt.Sprintf("%s. IN TLSA %s", c.owner(), now))}
	} else {
		t.owner = []Cure{cure(c.hostBy(text + "."))}
	}
	return t
}

// daneChain is a path to a CA of the TLSA records that is not valid.
func (c reading) daneChain(s *engine.Shown, f certFault) (t told) {
	if errors.Is(s.Err, dane.ErrKey) {
		t.cause = fmt.Sprintf("The key of %s matches its TLSA record at %s, and proves nothing, because it is %s.", c.host, c.owner(), clip(s.Fault))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Give %s an ECDSA P-256 key or an RSA key of at least 2048 bits; publish its TLSA record first.", c.host)))}
		return t
	}
	t.cause = sentences(sentence(f.of(c.host)), fmt.Sprintf("The TLSA records at %s name a CA, so the chain to that CA has to be valid.", c.owner()))
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, false)))}
	if f.trouble == certIssuerOld && c.h != nil && slices.ContainsFunc(c.h.DANE.Set.Usable(), func(r dane.Record) bool { return r.Usage == dane.DANETA && r.Selector == dane.SPKI }) {
		// Doubt D8 of the decision table: OpenSSL looks at no date of an anchor that is a key.
		t.cause = sentences(t.cause, "Senders that use OpenSSL (Postfix) accept it all the same, because the TLSA record names only the key of the CA.")
	}
	return t
}

// chainCure is what puts a chain right.
func (c reading) chainCure(f certFault, public bool) string {
	switch f.trouble {
	case certNone:
		return fmt.Sprintf("Let %s show a certificate.", c.host)
	case certName:
		return fmt.Sprintf("Give %s a certificate whose subjectAltName has the name %s.", c.host, c.host)
	case certSelf:
		return fmt.Sprintf("Give %s a certificate of a public CA for the name %s.", c.host, c.host)
	case certExpired:
		if f.also != "" && public {
			return fmt.Sprintf("Give %s a certificate of a public CA for the name %s.", c.host, c.host)
		}
		return fmt.Sprintf("Renew the certificate of %s, and reload the mail server so that it uses the new one.", c.host)
	case certIssuerOld:
		return fmt.Sprintf("Replace the expired issuing certificate %s in the chain file of %s by the one that the CA uses now; the certificate of %s itself has not expired.", called(f.cert), c.host, c.host)
	case certEarly:
		return fmt.Sprintf("Use a certificate that is valid already, or wait until it begins; if the date is right, correct the clock of the machine that issued it.")
	case certIncomplete:
		return fmt.Sprintf("Let %s send the intermediate certificate with its own (the file that CAs call fullchain.pem; Postfix: `smtpd_tls_chain_files`). If the issuer %s is no public CA, get a certificate of one.", c.host, quoted(issuerOf(f.cert)))
	case certUnknownCA:
		return fmt.Sprintf("Give %s a certificate of a public CA for the name %s.", c.host, c.host)
	}
	return fmt.Sprintf("Get a new certificate for %s that is made for servers and whose chain is valid: try %s.", c.host, c.openssl())
}

// stsChain is a certificate that an enforced policy does not accept.
func (c reading) stsChain(s *engine.Shown, f certFault) (t told) {
	testing := c.p != nil && c.p.STS.Policy != nil && c.p.STS.Policy.Mode.String() == "testing"
	demands := fmt.Sprintf("The MTA-STS policy of %s (mode enforce) requires a valid certificate that names %s.", c.domain, c.host)
	if testing {
		demands = fmt.Sprintf("The MTA-STS policy of %s is in mode testing; in mode enforce no mail would go to %s.", c.domain, c.host)
	}
	clause := f.of(c.host)
	switch {
	case f.trouble == certName && s.CommonName == engine.CommonNameNever:
		clause = fmt.Sprintf("the certificate of %s has that name as Common Name only%s", c.host, commonName(s.CommonName))
	case f.trouble == certName:
		clause = fmt.Sprintf("the certificate of %s is for %s, not for %s", c.host, presented(s.Presented), c.host)
	}
	t.cause = sentences(capital(clause)+".", demands, c.kept())
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, true)))}
	switch f.trouble {
	case certUnknownCA, certIncomplete, certRoots:
		t.hints = append(t.hints, HintRoots)
	case certEarly, certExpired:
		t.sender = append(t.sender, "If other domains fail as well, check the clock of this machine.")
	}
	return t
}

// pkixChain is a certificate that the operator, or REQUIRETLS, does not accept.
func (c reading) pkixChain(s *engine.Shown, f certFault) (t told) {
	why := "This check demands a certificate of a trusted CA with the name " + list(texts(s.References)) + "."
	if c.r.ID == engine.ReasonPKIXName {
		t.cause = sentences(fmt.Sprintf("The certificate of %s is for %s%s.", c.host, presented(s.Presented), commonName(s.CommonName)), why)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Give %s a certificate whose subjectAltName has the name %s.", c.host, c.host)))}
		t.hints = append(t.hints, HintNames)
		return t
	}
	t.cause = sentences(capital(f.of(c.host))+".", why)
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, true)))}
	if f.trouble == certUnknownCA || f.trouble == certIncomplete || f.trouble == certRoots {
		t.hints = append(t.hints, HintRoots)
	}
	return t
}
