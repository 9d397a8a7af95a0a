package explain

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
)

// What a certificate is, and what is wrong with it.

// leaf returns the server's own certificate; nil for a bare key, or none.
func leaf(chain []*x509.Certificate) *x509.Certificate {
	if len(chain) == 0 {
		return nil
	}
	return chain[0]
}

// selfSigned reports whether a certificate is signed by its own key.
func selfSigned(c *x509.Certificate) bool {
	return c != nil && bytes.Equal(c.RawSubject, c.RawIssuer) && pkix.SelfSigned(pkix.FromX509(c), &pkix.Work{})
}

// called is how sentences call a certificate other than the server's own.
func called(c *x509.Certificate) string { return quoted(subject(c)) }

// subject is what names a certificate: its Common Name, else its whole subject.
func subject(c *x509.Certificate) string {
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	if s := c.Subject.String(); s != "" {
		return s
	}
	return "serial number " + fmt.Sprint(c.SerialNumber)
}

// issuer is the issuer of a certificate, as subject names it.
func issuer(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	if s := c.Issuer.String(); s != "" {
		return s
	}
	return "no name"
}

// keyDigest is the SHA-256 of a key, as a TLSA record 3 1 1 has it.
func keyDigest(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// shownKey is the key that was presented; nil if none was.
func shownKey(chain []*x509.Certificate, raw []byte) []byte {
	if c := leaf(chain); c != nil {
		return c.RawSubjectPublicKeyInfo
	}
	return raw
}

// certificateLine describes the certificate of a host in one line: names, issuer, end, key.
func certificateLine(d *engine.Decision, at time.Time) string {
	key := shownKey(d.Peer.Chain, d.Peer.RawKey)
	c := leaf(d.Peer.Chain)
	if c == nil && len(d.Peer.Raw) > 0 {
		if certs := d.Peer.Certificates(); len(certs) > 0 && certs[0] != nil {
			c, key = certs[0].View(), certs[0].SPKI()
		}
	}
	switch {
	case c == nil && len(key) == 0:
		return "none was shown"
	case c == nil:
		return "none, but a bare public key"
	}
	var b strings.Builder
	if kind := KeyOf(&d.Peer); kind != "" {
		b.WriteString(kind + ": ")
	}
	b.WriteString(namesShown(d.Presented))
	switch {
	case selfSigned(c):
		b.WriteString("; self-signed")
	default:
		b.WriteString("; by " + quoted(issuer(c)))
	}
	switch {
	case !at.IsZero() && at.After(c.NotAfter):
		b.WriteString("; expired on " + day(c.NotAfter))
	case !at.IsZero() && at.Before(c.NotBefore):
		b.WriteString("; not valid before " + day(c.NotBefore))
	default:
		b.WriteString("; until " + day(c.NotAfter))
	}
	return b.String()
}

// keyLine is the digest of the key that was shown; "" if none was.
func keyLine(d *engine.Decision) string {
	key := shownKey(d.Peer.Chain, d.Peer.RawKey)
	if certs := d.Peer.Certificates(); len(key) == 0 && len(certs) > 0 && certs[0] != nil {
		key = certs[0].SPKI()
	}
	if len(key) == 0 {
		return ""
	}
	return "SHA-256 " + keyDigest(key)
}

// namesShown lists the names of a certificate for a line.
func namesShown(names []string) string {
	if len(names) == 0 {
		return "no names"
	}
	return presented(names)
}

// A trouble with a certificate, by who has to do what.
type certTrouble uint8

const (
	certFine       certTrouble = iota
	certNone                   // no certificate was shown
	certName                   // another name
	certSelf                   // self-signed
	certExpired                // the server's own has expired
	certIssuerOld              // one above it has expired
	certEarly                  // not valid yet
	certIncomplete             // an issuer was not sent
	certUnknownCA              // a CA that is not trusted
	certOther                  // another fault of the chain
	certRoots                  // this side has no roots
	certBudget                 // too much work
)

// A certFault is what is wrong with a chain.
type certFault struct {
	trouble certTrouble
	clause  string // "its certificate is self-signed"
	cert    *x509.Certificate
	also    string // a second fault: the certificate is also self-signed, has also expired
	leaf    *x509.Certificate
	kind    error  // of [pkix.Error], where the trouble is certOther
	key     string // "RSA " of one of two certificates
}

// of is the clause about the certificate of a named host.
func (f certFault) of(host string) string {
	if rest, ok := strings.CutPrefix(f.clause, "it "); ok {
		return host + " " + rest
	}
	clause := strings.Replace(f.clause, "its certificate", "the "+f.key+"certificate of "+host, 1)
	return strings.Replace(clause, "its self-signed certificate", "the self-signed "+f.key+"certificate of "+host, 1)
}

// judgeChain says what is wrong with a chain that WebPKI, or DANE-TA, does not accept.
func judgeChain(s *reason.Shown) certFault {
	c := leaf(s.Chain)
	if c == nil {
		return certFault{trouble: certNone, clause: "it shows no certificate"}
	}
	var e *pkix.Error
	if !errors.As(s.Err, &e) {
		if s.Err == nil {
			return certFault{}
		}
		return certFault{trouble: certOther, clause: "its certificate is not accepted (" + clip(s.Err.Error()) + ")", cert: c}
	}
	f := certFault{cert: e.Cert, leaf: c}
	own := e.Cert == nil || e.Cert == c || bytes.Equal(e.Cert.Raw, c.Raw)
	whose := "its certificate"
	if !own {
		whose = fmt.Sprintf("the issuing certificate %s above its certificate", called(e.Cert))
	}
	self := selfSigned(c)
	switch {
	case errors.Is(e.Kind, pkix.ErrName):
		f.trouble, f.clause = certName, "its certificate names "+presented(s.Presented)
	case errors.Is(e.Kind, pkix.ErrExpired):
		f.trouble, f.clause = certExpired, whose+" expired"
		if e.Cert != nil {
			f.clause = fmt.Sprintf("%s expired on %s", whose, day(e.Cert.NotAfter))
		}
		if !own {
			f.trouble = certIssuerOld
		} else if self {
			f.clause = strings.Replace(f.clause, "its certificate", "its self-signed certificate", 1)
			f.also = "it is self-signed"
		}
	case errors.Is(e.Kind, pkix.ErrNotYetValid):
		f.trouble, f.clause = certEarly, whose+" is not valid yet"
		if e.Cert != nil {
			f.clause = fmt.Sprintf("%s is not valid before %s", whose, moment(e.Cert.NotBefore))
		}
	case errors.Is(e.Kind, pkix.ErrNoAnchor) && self:
		f.trouble, f.clause = certSelf, "its certificate is self-signed, not issued by a CA"
	case errors.Is(e.Kind, pkix.ErrNoAnchor) && e.Cert == nil:
		f.trouble, f.clause = certRoots, "no root certificates are loaded here to judge its certificate by"
	case errors.Is(e.Kind, pkix.ErrNoAnchor) && own && !bytes.Equal(c.RawSubject, c.RawIssuer):
		f.trouble = certIncomplete
		f.clause = fmt.Sprintf("it sends its certificate without that of the issuer, %s, so the chain is incomplete", quoted(issuer(c)))
	case errors.Is(e.Kind, pkix.ErrNoAnchor):
		f.trouble = certUnknownCA
		ca := e.Cert
		name := quoted(issuer(ca))
		f.clause = fmt.Sprintf("its certificate comes from a CA that is not trusted here (%s)", name)
	case errors.Is(e.Kind, pkix.ErrBudget):
		f.trouble, f.clause = certBudget, "its certificate chain costs more work to verify than is allowed ("+clip(e.Detail)+")"
	default:
		f.trouble, f.kind = certOther, e.Kind
		f.clause = whose + " is not accepted: " + chainWords(e)
	}
	return f
}

// chainWords is what a failure of another kind is about.
func chainWords(e *pkix.Error) string {
	detail := clip(e.Detail)
	word := ""
	switch {
	case errors.Is(e.Kind, pkix.ErrConstraint):
		word = "a name constraint of its issuer excludes its names"
	case errors.Is(e.Kind, pkix.ErrSignature):
		return "the signature of its issuer does not verify"
	case errors.Is(e.Kind, pkix.ErrPathLength):
		word = "it allows fewer certificates below it than are sent"
	case errors.Is(e.Kind, pkix.ErrExtension):
		word = "it has a critical extension that is not known"
	case errors.Is(e.Kind, pkix.ErrKey):
		word = "its key is not accepted"
	case errors.Is(e.Kind, pkix.ErrMalformed):
		word = "it is malformed"
	case errors.Is(e.Kind, pkix.ErrNoTime):
		return "there is no time to judge it by"
	}
	switch {
	case e.NotServer:
		return "it is not made for servers (its extended key usage lacks serverAuth)"
	case word == "" && detail == "":
		return "it cannot be used for a server"
	case word == "":
		return detail
	case detail == "":
		return word
	}
	return word + " (" + detail + ")"
}

// tlsaNow is the record of the key that was presented: what a record would have to hold if
// that key is the right one.
func tlsaNow(s *reason.Shown, r dane.Recipe) (dane.Record, bool) {
	if c := leaf(s.Chain); c != nil {
		rec, err := dane.GenerateFromDER(r, c.Raw)
		if err != nil {
			rec, err = dane.GenerateFromKey(r, c.RawSubjectPublicKeyInfo)
		}
		return rec, err == nil
	}
	rec, err := dane.GenerateFromKey(r, s.RawKey)
	return rec, err == nil
}

// issuerOf is the issuer of a certificate that may be missing.
func issuerOf(c *x509.Certificate) string {
	if c == nil {
		return "unknown"
	}
	return issuer(c)
}
