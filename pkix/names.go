package pkix

import (
	"bytes"
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mxauth/mxauth/rfc6125"
)

// subjectNames are the names of one certificate that constraints are held
// against.
type subjectNames struct {
	has   [numForms]bool // a name of this form is there
	dns   []rfc6125.Identifier
	ip    [][]byte
	email []mailbox
	uri   []rfc6125.Host // the zero Host where a URI has no host name
	dir   [][]string
	fail  *Error // the names cannot be read
}

// namesOf reads the names of c once.
func (v *verifier) namesOf(cert *Certificate, leaf bool) (names *subjectNames, out *Error) {
	c := cert.view
	if n, ok := v.names[c]; ok {
		return n, nil
	}
	if out := v.work.spend(costRead*time.Duration(namesSize(c)), "the names of a certificate"); out != nil {
		return nil, out
	}
	n := readNames(c, leaf && v.r.CNAsName)
	if fail := unreadable(cert, FieldSubjectAltName); fail != nil {
		n.fail = fail
	}
	if v.names == nil {
		v.names = make(map[*x509.Certificate]*subjectNames)
	}
	v.names[c] = n
	return n, nil
}

// namesSize counts the bytes that hold the names of c.
func namesSize(c *x509.Certificate) int {
	n := len(c.RawSubject)
	for i := range c.Extensions {
		if e := &c.Extensions[i]; idCE(e.Id) == ceSubjectAltName {
			n += len(e.Value)
		}
	}
	return n
}

func readNames(c *x509.Certificate, withCN bool) *subjectNames {
	n := new(subjectNames)
	p := rfc6125.PresentedBy(c)
	for _, id := range p.Identifiers() {
		switch id.Kind {
		case rfc6125.DNSID, rfc6125.SRVID:
			n.dns = append(n.dns, id)
		case rfc6125.CNID:
			// D3: a Common Name that may count as a name is bound as one.
			if withCN && p.CommonNameCounts() && id.Invalid == "" {
				n.dns = append(n.dns, id)
			}
		}
	}
	hasSAN := false
	for i := range c.Extensions {
		if e := &c.Extensions[i]; idCE(e.Id) == ceSubjectAltName {
			hasSAN = true
			if !n.readSAN(e.Value) {
				n.fail = failure(ErrMalformed, c, "its subjectAltName cannot be read")
			}
		}
	}
	d, ok := directory(c.RawSubject)
	if !ok {
		n.fail = failure(ErrMalformed, c, "its subject cannot be read")
	}
	if len(d) > 0 {
		n.has[formDirectory] = true
		n.dir = append(n.dir, d)
	}
	if !hasSAN {
		// RFC 5280 section 4.2.1.10: old certificates have the mailbox here.
		for _, m := range emailAttributes(c.RawSubject) {
			n.email = append(n.email, parseMailbox(m))
		}
	}
	return n
}

// readSAN takes the names that rfc6125 has no use for.
func (n *subjectNames) readSAN(der []byte) bool {
	body, ok := inside(der, asn1.SEQUENCE)
	for ok && !body.Empty() {
		var name cryptobyte.String
		var tag asn1.Tag
		if !body.ReadAnyASN1(&name, &tag) {
			return false
		}
		form := int(tag &^ (classContext | tagConstructed))
		if tag&classMask != classContext || form >= numForms {
			return false
		}
		n.has[form] = true
		switch form {
		case formIP:
			n.ip = append(n.ip, name)
		case formEmail:
			n.email = append(n.email, parseMailbox(string(name)))
		case formURI:
			n.uri = append(n.uri, uriHost(string(name)))
		case formDirectory:
			d, ok := directory(name)
			if !ok {
				return false
			}
			n.dir = append(n.dir, d)
		}
	}
	return ok
}

// uriHost returns the host of a URI, the zero Host if it names none.
func uriHost(uri string) rfc6125.Host {
	u, err := url.Parse(uri)
	if err != nil {
		return rfc6125.Host{}
	}
	h, _ := rfc6125.ParseHost(u.Hostname()) // an address is no name
	return h
}

// oidEmail is the attribute emailAddress of PKCS #9, 1.2.840.113549.1.9.1.
var oidEmail = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01}

// attributes calls f for each attribute of an RDNSequence, with the number of
// its RDN. It reports whether the sequence could be read.
func attributes(der []byte, f func(rdn int, oid []byte, tag asn1.Tag, value []byte)) bool {
	seq, ok := inside(der, asn1.SEQUENCE)
	for rdn := 0; ok && !seq.Empty(); rdn++ {
		var set cryptobyte.String
		if !seq.ReadASN1(&set, asn1.SET) || set.Empty() {
			return false
		}
		for !set.Empty() {
			var att, oid, text cryptobyte.String
			var tag asn1.Tag
			if !set.ReadASN1(&att, asn1.SEQUENCE) || !att.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
				!att.ReadAnyASN1(&text, &tag) || !att.Empty() {
				return false
			}
			f(rdn, oid, tag, text)
		}
	}
	return ok
}

// directory reads a Name into one string for each RDN, such that two names are
// the same by RFC 5280 section 7.1 exactly if the strings are: attributes sorted,
// text without regard to case, to its string type and to how blanks are doubled.
func directory(der []byte) ([]string, bool) {
	var rdns [][]string
	ok := attributes(der, func(rdn int, oid []byte, tag asn1.Tag, value []byte) {
		if rdn == len(rdns) {
			rdns = append(rdns, nil)
		}
		rdns[rdn] = append(rdns[rdn], string(oid)+"\x00"+fold(tag, value))
	})
	if !ok {
		return nil, false
	}
	d := make([]string, len(rdns))
	for i, r := range rdns {
		slices.Sort(r)
		d[i] = strings.Join(r, "\x01")
	}
	return d, true
}

// within reports whether a directory name lies in a subtree: its first RDNs are
// those of the subtree.
func within(d, tree []string) bool {
	return len(d) >= len(tree) && slices.Equal(d[:len(tree)], tree)
}

// tagBMP and tagUniversal are text of two and four octets a character.
const (
	tagUniversal asn1.Tag = 0x1c
	tagBMP       asn1.Tag = 0x1e
)

// fold brings the text of an attribute into the form that is compared; what is
// no text is compared octet by octet with its tag.
func fold(tag asn1.Tag, value []byte) string {
	var text string
	switch tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String:
		text = string(value)
	case asn1.T61String:
		text = latin1(value) // in practice (as OpenSSL and others write it)
	case tagBMP:
		text = decodeBMP(value)
	case tagUniversal:
		text = decodeUniversal(value)
	default:
		return string(rune(tag)) + "\x02" + string(value)
	}
	return strings.Join(strings.Fields(strings.ToLower(text)), " ")
}

// decodeBMP reads text of two bytes a character.
func decodeBMP(value []byte) string {
	u := make([]uint16, len(value)/2)
	for i := range u {
		u[i] = uint16(value[2*i])<<8 | uint16(value[2*i+1])
	}
	return string(utf16.Decode(u))
}

// decodeUniversal reads text of four bytes a character.
func decodeUniversal(value []byte) string {
	var b []byte
	for i := 0; i+4 <= len(value); i += 4 {
		b = utf8.AppendRune(b, rune(value[i])<<24|rune(value[i+1])<<16|rune(value[i+2])<<8|rune(value[i+3]))
	}
	return string(b)
}

// emailAttributes returns the emailAddress attributes of a subject.
func emailAttributes(der []byte) []string {
	var list []string
	attributes(der, func(_ int, oid []byte, _ asn1.Tag, value []byte) {
		if bytes.Equal(oid, oidEmail) {
			list = append(list, string(value))
		}
	})
	return list
}
