package explain

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// Certificates that prove nothing.

// shown is what was made of a certificate.
func (c reasonView) shown(s *reason.Shown) (t statement, ok bool) {
	f := judgeChain(s)
	f.key = c.key
	switch c.r.ID {
	case reason.DANENoMatch:
		return c.noMatch(s), true
	case reason.EncryptedTLSA:
		return c.tlsaUnusable(s), true
	case reason.DANEName:
		return c.daneName(s), true
	case reason.DANEExpired, reason.DANEUntrusted:
		return c.daneChain(s, f), true
	case reason.STSName, reason.STSExpired, reason.STSUntrusted:
		return c.stsChain(s, f), true
	case reason.PKIXName, reason.PKIXExpired, reason.PKIXUntrusted:
		return c.pkixChain(s, f), true
	case reason.HalfDANEMatch:
		return c.halfDANE(), true
	case reason.EncryptedName, reason.EncryptedCA, reason.EncryptedUnproved:
		if c.h != nil && c.h.Ground == reason.GroundNoPolicy {
			return c.encrypted(s, f), true
		}
		return statement{cause: fmt.Sprintf("The connection to %s is encrypted, and who the server is was not checked.", c.host)}, true
	}
	return statement{}, false
}

// chainCure is what puts a chain right.
func (c reasonView) chainCure(f certFault, public bool) string {
	switch f.trouble {
	case certNone:
		return fmt.Sprintf("Let %s show a certificate.", c.host)
	case certName:
		return fmt.Sprintf("Give %s %scertificate whose subjectAltName has the name %s.", c.host, c.a(), c.host)
	case certSelf:
		return fmt.Sprintf("Give %s %scertificate of a public CA for the name %s.", c.host, c.a(), c.host)
	case certExpired:
		if f.also != "" && public {
			return fmt.Sprintf("Give %s %scertificate of a public CA for the name %s.", c.host, c.a(), c.host)
		}
		return fmt.Sprintf("Renew the %scertificate of %s, and reload the mail server so that it uses the new one.", c.key, c.host)
	case certIssuerOld:
		return fmt.Sprintf("Replace the expired issuing certificate %s in the chain file of %s by the one that the CA uses now; the %scertificate of %s itself has not expired.", called(f.cert), c.host, c.key, c.host)
	case certEarly:
		return "Use a certificate that is valid already, or wait until it begins; if the date is right, correct the clock of the machine that issued it."
	case certIncomplete:
		return fmt.Sprintf("Let %s send the intermediate certificate with its %s (the file that CAs call fullchain.pem; Postfix: `smtpd_tls_chain_files`). If the issuer %s is no public CA, get a certificate of one.", c.host, c.own(), quoted(issuerOf(f.cert)))
	case certUnknownCA:
		return fmt.Sprintf("Give %s %scertificate of a public CA for the name %s.", c.host, c.a(), c.host)
	}
	return c.otherCure(f, public)
}

// otherCure is what puts a chain right that fails for a property of one of its
// certificates: who issues the new one, which property it needs, and the command that shows
// that property of the certificate in use.
func (c reasonView) otherCure(f certFault, public bool) string {
	if f.leaf == nil {
		return fmt.Sprintf("Give %s another certificate; to look at the one in use: %s.", c.host, c.openssl())
	}
	ca := "its CA (" + quoted(issuer(f.leaf)) + ")"
	if selfSigned(f.leaf) {
		ca = "the tool that made it"
		if public {
			ca = "a public CA"
		}
	}
	if f.cert != nil && !bytes.Equal(f.cert.Raw, f.leaf.Raw) {
		return fmt.Sprintf("Put the issuing certificates that %s publishes for the certificate of %s into its chain file (Postfix: `smtpd_tls_chain_files`), in place of %s. To look at those in use: %s.",
			ca, c.host, called(f.cert), strings.TrimSuffix(c.openssl(), "`")+" -showcerts`")
	}
	need, look := "", "-text"
	switch f.kind {
	case pkix.ErrPurpose:
		need, look = " that is made for servers (extended key usage `serverAuth`)", "-ext extendedKeyUsage"
	case pkix.ErrConstraint:
		need, look = ", or from another one if that CA may not issue for this name", "-ext subjectAltName"
	case pkix.ErrExtension:
		need = " without that critical extension"
	case pkix.ErrKey:
		need = " with a key that is accepted everywhere: RSA of 2048 bits or ECDSA P-256"
	case pkix.ErrSignature:
		need = ", and put it into the chain file together with the issuing certificates that come with it"
	}
	return fmt.Sprintf("Get from %s a new %scertificate for %s%s. To look at the one in use: %s.", ca, c.key, c.host, need, strings.TrimSuffix(c.openssl(), "`")+" </dev/null | openssl x509 -noout "+look+"`")
}

// stsChain is a certificate that an enforced policy does not accept.
func (c reasonView) stsChain(s *reason.Shown, f certFault) (t statement) {
	testing := c.p != nil && c.p.STS.Policy != nil && c.p.STS.Policy.Mode.String() == "testing"
	demands := fmt.Sprintf("The MTA-STS policy of %s (mode enforce) requires a valid certificate that names %s.", c.domain, c.host)
	if testing {
		demands = fmt.Sprintf("The MTA-STS policy of %s is in mode testing; in mode enforce no mail would go to %s.", c.domain, c.host)
	}
	clause := f.of(c.host)
	switch {
	case f.trouble == certName && s.CommonName == reason.CommonNameNever:
		clause = fmt.Sprintf("the %scertificate of %s has that name as Common Name only%s", c.key, c.host, commonName(s.CommonName))
	case f.trouble == certName:
		clause = fmt.Sprintf("the %scertificate of %s is for %s, not for %s", c.key, c.host, presented(s.Presented), c.host)
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
func (c reasonView) pkixChain(s *reason.Shown, f certFault) (t statement) {
	why := "This check demands a certificate of a trusted CA with the name " + list(texts(s.References)) + "."
	// The names may be those that the operator chose, with which the host has nothing to do.
	chosen := !slices.ContainsFunc(s.References, func(r rfc6125.Reference) bool { return r.String() == c.host })
	if c.r.ID == reason.PKIXName {
		t.cause = sentences(fmt.Sprintf("The %scertificate of %s is for %s%s.", c.key, c.host, presented(s.Presented), commonName(s.CommonName)), why)
		if !chosen {
			t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Give %s %scertificate whose subjectAltName has the name %s.", c.host, c.a(), c.host)))}
			t.hints = append(t.hints, HintNames)
			return t
		}
		if ok := rfc6125.PresentedBy(leaf(s.Chain)).Match([]rfc6125.Reference{rfc6125.NewReference(c.h.Name)}, rfc6125.Options{}).OK; ok {
			t.cause = sentences(t.cause, "The certificate has the host's own name, so the server needs no other one.")
		}
		t.hints = append(t.hints, HintOtherNames)
		return t
	}
	t.cause = sentences(capital(f.of(c.host))+".", why)
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, true)))}
	if chosen && (f.trouble == certSelf || f.trouble == certUnknownCA) {
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Give %s a certificate of a public CA for the name %s.", c.host, list(texts(s.References)))))}
	}
	if f.trouble == certUnknownCA || f.trouble == certIncomplete || f.trouble == certRoots {
		t.hints = append(t.hints, HintRoots)
	}
	return t
}

// encrypted is a session without authentication, because nothing asks for that.
func (c reasonView) encrypted(s *reason.Shown, f certFault) (t statement) {
	d, m := daneOf(c.p, c.h), stsOf(c.p, c.h)
	effect := fmt.Sprintf("So the connection to %s is encrypted, but the server is not verified", c.host)
	if c.r.ID == reason.EncryptedName && f.trouble != certName && f.trouble != certNone {
		// Two faults: a new certificate puts both right.
		if f.trouble == certFine || f.trouble == certRoots || f.trouble == certBudget {
			f.clause = ""
		}
		names := "its certificate names " + presented(s.Presented)
		switch rest, ok := strings.CutPrefix(f.clause, "its certificate "); {
		case f.clause == "":
			f.clause = names
		case ok:
			f.clause = names + " and " + rest
		default:
			f.clause = names + "; " + f.clause
		}
		f.trouble = certUnknownCA
	}
	if f.clause != "" && f.trouble != certRoots && f.trouble != certBudget {
		clause := strings.Replace(f.clause, "its certificate", "its "+c.key+"certificate", 1)
		effect += " (" + clause + commonName(s.CommonName) + ")"
	}
	effect += "."
	switch {
	case m.there:
		t.cause = sentences(sentence(m.clause), effect, c.other(d))
	case d.there:
		t.cause = sentences(sentence(d.clause), effect, c.other(m))
	case d.known && m.known:
		t.cause = sentences(fmt.Sprintf("%s publishes nothing by which a sender could check its mail host %s: %s, and %s.", c.domain, c.host, strings.Replace(m.clause, c.domain+" has", "it has", 1), d.clause), effect)
	default:
		t.cause = sentences(sentence(m.clause), sentence(d.clause), effect)
	}
	t.owner = c.publish(s, f)
	if !d.known {
		if r := answerOf(c.h).Reason; r.Code == dnssec.ReasonADClear {
			t.hints = append(t.hints, HintStrips)
		}
	}
	return t
}

// other is the mechanism that is not the cause, in a sentence.
func (c reasonView) other(m mechanism) string {
	if !m.known && !m.there {
		return ""
	}
	return sentence(m.clause)
}
