package pkix

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/internal/text"
)

// ErrUntrusted is wrapped by every failure of [Verify] and [VerifyServer]: the
// chain leads to no anchor, or the name is not the one expected.
var ErrUntrusted = errors.New("certificate not trusted")

// What a verification failed by, the more specific kinds first in the ranking by
// which one of several failures is reported. Each wraps [ErrUntrusted].
var (
	ErrName        = fmt.Errorf("%w: no presented name matches", ErrUntrusted)
	ErrExpired     = fmt.Errorf("%w: expired", ErrUntrusted)
	ErrNotYetValid = fmt.Errorf("%w: not yet valid", ErrUntrusted)
	ErrConstraint  = fmt.Errorf("%w: name constraint", ErrUntrusted)
	ErrPurpose     = fmt.Errorf("%w: wrong purpose", ErrUntrusted) // key usage, extended key usage, CA flag
	ErrPathLength  = fmt.Errorf("%w: path length", ErrUntrusted)
	ErrExtension   = fmt.Errorf("%w: unknown critical extension", ErrUntrusted)
	ErrKey         = fmt.Errorf("%w: public key not accepted", ErrUntrusted) // see [CheckKey]
	ErrSignature   = fmt.Errorf("%w: bad signature", ErrUntrusted)
	ErrNoAnchor    = fmt.Errorf("%w: no path to an anchor", ErrUntrusted)
	// ErrBudget is above the ranking: it ended the search, so it is not known
	// what else would have been found.
	ErrBudget    = fmt.Errorf("%w: work budget used up", ErrUntrusted)
	ErrMalformed = fmt.Errorf("%w: malformed certificate", ErrUntrusted)
	ErrNoCert    = fmt.Errorf("%w: no certificate presented", ErrUntrusted)
	// ErrNoTime is the fault of the caller: [Request.At] is zero.
	ErrNoTime = fmt.Errorf("%w: no time to judge by", ErrUntrusted)
)

// ranking has the kinds that one search can meet several of, the most specific
// first: what an administrator can fix comes before what is only a symptom.
var ranking = [...]error{
	ErrName, ErrExpired, ErrNotYetValid, ErrConstraint, ErrPurpose, ErrPathLength,
	ErrExtension, ErrMalformed, ErrKey, ErrSignature, ErrNoAnchor,
}

// maxFailures bounds [Error.All]: a trace is for people.
const maxFailures = 32

// An Error is a failed verification. It wraps one of the kinds above, the most
// specific of all failures met.
type Error struct {
	Kind    error  // one of the kinds above
	Subject string // the certificate at fault, safe for a terminal; "" if none
	Detail  string // for people
	// Cert is the certificate at fault, as far as it could be read; nil if none.
	Cert *x509.Certificate
	// Unnamed says that Subject is only the serial number: the certificate has no subject.
	Unnamed bool
	// Issuer says, for ErrNoAnchor, where the path of the certificate ends.
	Issuer Issuer
	// NotServer says, for ErrPurpose, that the extended key usage has no serverAuth.
	NotServer bool
	// Presented holds, for ErrName, the names that the leaf offers.
	Presented []string
	// All holds every failure that was met on the way, Kind's own first, for a
	// trace; bounded. Each is an *Error of its own, with All empty.
	All []error
}

// Issuer says why a path ends at a certificate. The zero Issuer is IssuerOther.
type Issuer uint8

// Values of Issuer.
const (
	IssuerOther   Issuer = iota
	IssuerSelf           // it is its own issuer, and no anchor
	IssuerMissing        // its issuer was not presented, and is no anchor
)

// Error returns kind, certificate and detail.
func (e *Error) Error() string {
	s := e.Kind.Error()
	if e.Subject != "" {
		s += ": " + e.Subject
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

// failure makes an Error about one certificate; cert may be nil.
func failure(kind error, cert *x509.Certificate, detail string) *Error {
	e := &Error{Kind: kind, Detail: detail}
	if cert != nil {
		e.Cert = cert
		e.Subject, e.Unnamed = subject(cert)
	}
	return e
}

// alone makes e a verdict of its own.
func alone(e *Error) *Error {
	single := *e
	e.All = []error{&single}
	return e
}

// failures are those of one search, in the order met, each kind and certificate
// once.
type failures struct {
	list []*Error
}

func (f *failures) add(e *Error) {
	for _, g := range f.list {
		if g.Kind == e.Kind && g.Subject == e.Subject && g.Detail == e.Detail {
			return
		}
	}
	if len(f.list) < maxFailures {
		f.list = append(f.list, e)
		return
	}
	// Full: a more specific kind than any before still counts.
	if rank(e.Kind) < rank(f.worst().Kind) {
		f.list[maxFailures-1] = e
	}
}

func rank(kind error) int {
	for i, k := range ranking {
		if k == kind {
			return i
		}
	}
	return -1 // ErrBudget and the like come before all
}

// worst returns the most specific failure, the first met of several.
func (f *failures) worst() *Error {
	best := f.list[0]
	for _, e := range f.list[1:] {
		if rank(e.Kind) < rank(best.Kind) {
			best = e
		}
	}
	return best
}

// verdict makes the one Error that is reported.
func (f *failures) verdict() *Error {
	best := f.worst()
	v := *best
	v.All = []error{best}
	for _, e := range f.list {
		if e != best {
			v.All = append(v.All, e)
		}
	}
	return &v
}

// maxSubject bounds what is shown of a certificate's subject.
const maxSubject = 120

// maxShown is how many octets of a foreign text are printed.
const maxShown = 120

// maxShownAttributes bounds the attributes of a subject that are turned into text,
// and their lengths: the subject comes from the peer and can be as long as the whole
// certificate, and crypto/x509/pkix takes quadratic time.
const maxShownAttributes = 16

// subjectText names a certificate for people: its subject, or its serial number
// where that is empty, as printable ASCII.
func subjectText(c *x509.Certificate) string {
	text, _ := subject(c)
	return text
}

// subject is subjectText; unnamed means that the certificate has no subject.
func subject(c *x509.Certificate) (name string, unnamed bool) {
	s := shownSubject(c).String()
	unnamed = s == ""
	if unnamed && c.SerialNumber != nil {
		// 64 bytes: RFC 5280 allows 20.
		if n := c.SerialNumber; n.BitLen() <= 8*64 {
			s = "serial number " + n.Text(16)
		} else {
			s = fmt.Sprintf("serial number of %d bits", n.BitLen())
		}
	}
	return text.ASCII(s, maxSubject), unnamed
}

// shownSubject is the subject of c, or a part of it that is as good for
// [subjectText].
func shownSubject(c *x509.Certificate) pkix.Name {
	const plain = 1024 // bytes; every usual subject is shorter
	if len(c.RawSubject) <= plain {
		return c.Subject
	}
	var part pkix.RDNSequence
	add := func(a pkix.AttributeTypeAndValue) {
		if v, ok := a.Value.(string); ok && len(v) > maxSubject+1 {
			a.Value = v[:maxSubject+1]
		}
		part = append(part, pkix.RelativeDistinguishedNameSET{a})
	}
	for i, a := range c.Subject.Names {
		if i < maxShownAttributes || a.Type.Equal(oidCommonName) && len(part) <= maxShownAttributes {
			add(a)
		}
	}
	var n pkix.Name
	n.FillFromRDNSequence(&part)
	return n
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}
