package pkix

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/mxauth/mxauth/rfc6125"
)

// A Certificate is an X.509 certificate of which each field was read by itself.
//
// crypto/x509 refuses a whole certificate for one odd field: a negative serial
// number, an underscore in a PrintableString, a subjectAltName entry of a wrong
// length. OpenSSL and GnuTLS accept such certificates, and mail servers present
// them. DANE compares only the bytes of a certificate or of its key (RFC 7671
// section 5.1), so for DANE these certificates are as good as any other. A path
// through one needs the fields that path validation looks at, and [Verify] fails
// if one of those could not be read.
//
// A Certificate is immutable and safe for concurrent use.
type Certificate struct {
	view   *x509.Certificate
	std    error   // why crypto/x509 does not parse it; nil if it does
	faults []Fault // of a certificate that crypto/x509 does not parse
}

// A Field is a part of a certificate that is read by itself.
type Field uint8

// Fields. FieldStructure is the sequence of all the others, up to the key: if it
// is unread, so is every other field.
const (
	FieldStructure Field = iota
	FieldVersion
	FieldSerialNumber
	FieldAlgorithm // signature algorithm and signature
	FieldIssuer
	FieldDates
	FieldSubject
	FieldKey
	FieldExtensions // the list of extensions
	FieldBasicConstraints
	FieldKeyUsage
	FieldExtKeyUsage
	FieldSubjectAltName
	FieldNameConstraints
	FieldOther // another extension
)

var fieldWords = [...]string{
	"structure", "version", "serial number", "signature algorithm", "issuer", "dates", "subject", "public key",
	"extensions", "basic constraints", "key usage", "extended key usage", "subject alternative names",
	"name constraints", "extension",
}

// String returns the field's name: "serial number", "subject".
func (f Field) String() string {
	if int(f) < len(fieldWords) {
		return fieldWords[f]
	}
	return fmt.Sprintf("field %d", f)
}

// A Fault describes an error in one field of a certificate.
type Fault struct {
	Field  Field
	Why    string // safe for a terminal
	Unread bool   // the field could not be read at all
}

// String returns "serial number: it is negative".
func (f Fault) String() string { return f.Field.String() + ": " + f.Why }

// FromX509 returns c as a Certificate without faults. A nil c gives nil.
func FromX509(c *x509.Certificate) *Certificate {
	if c == nil {
		return nil
	}
	return &Certificate{view: c}
}

// FromChain is [FromX509] for a whole chain; nil entries stay nil.
func FromChain(chain []*x509.Certificate) []*Certificate {
	all := make([]Certificate, len(chain))
	out := make([]*Certificate, len(chain))
	for i, c := range chain {
		if c != nil {
			all[i].view = c
			out[i] = &all[i]
		}
	}
	return out
}

// Raw returns the bytes of the certificate as they were presented.
func (c *Certificate) Raw() []byte { return c.view.Raw }

// SPKI returns the DER SubjectPublicKeyInfo; nil if it was not found.
func (c *Certificate) SPKI() []byte { return c.view.RawSubjectPublicKeyInfo }

// X509 returns the certificate as crypto/x509 parses it, or the error with which
// it refuses to.
func (c *Certificate) X509() (*x509.Certificate, error) {
	if c.std != nil {
		return nil, c.std
	}
	return c.view, nil
}

// View returns the fields that could be read; all of them if crypto/x509 parses
// the certificate. It is for display. Nothing may be decided by a field for which
// [Certificate.Unread] has a reason. It must not be changed.
func (c *Certificate) View() *x509.Certificate { return c.view }

// Faults lists what is odd or unreadable in the certificate, in its order. It is
// empty exactly if crypto/x509 parses the certificate.
func (c *Certificate) Faults() []Fault { return slices.Clone(c.faults) }

// Unread returns why the field could not be read, "" if it could.
func (c *Certificate) Unread(f Field) string {
	for _, fault := range c.faults {
		if fault.Unread && (fault.Field == f || fault.Field == FieldStructure) {
			return fault.Why
		}
	}
	return ""
}

// Equal reports whether both are the same bytes.
func (c *Certificate) Equal(d *Certificate) bool {
	if c == nil || d == nil {
		return c == d
	}
	return len(c.view.Raw) > 0 && bytes.Equal(c.view.Raw, d.view.Raw)
}

// Presented returns the names that the certificate offers.
func (c *Certificate) Presented() rfc6125.Presented { return rfc6125.PresentedBy(c.view) }

// String returns the subject, or the serial number where that is empty, as
// printable ASCII of bounded length.
func (c *Certificate) String() string { return subjectText(c.view) }
