package pkix

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
)

// Parts of an ASN.1 tag (X.690 section 8.1.2), and the tags of the two halves of
// a NameConstraints.
const (
	classMask      asn1.Tag = 0xc0
	classContext   asn1.Tag = 0x80
	tagConstructed asn1.Tag = 0x20
	tagPermitted   asn1.Tag = 0xa0 // permittedSubtrees
	tagExcluded    asn1.Tag = 0xa1
)

// inside returns the body of der if it is one element with this tag and no more.
func inside(der []byte, tag asn1.Tag) (body cryptobyte.String, ok bool) {
	s := cryptobyte.String(der)
	return body, s.ReadASN1(&body, tag) && s.Empty()
}

// Name constraints (RFC 5280 section 4.2.1.10).
//
// A constraint is read from the raw extension: what crypto/x509 hands out lacks
// directory names, and hides in one "unhandled" whether a form that it does not
// know even occurs. Here each form is either compared or, if a name of that form
// occurs below, the end of the path; a constraint on a form that never occurs
// binds no one.
//
// Two interpretations: an SRVName is held to the constraints on dNSName as well,
// since else a CA constrained to its own domain could name the services of
// others (RFC 9525 section 7.6); and a name that is malformed lies in every
// excluded and in no permitted subtree.

// Forms of GeneralName, by tag.
const (
	formOther = iota
	formEmail
	formDNS
	formX400
	formDirectory
	formEDI
	formURI
	formIP
	formRegistered
	numForms
)

// maxSubtrees bounds the subtrees of one constraint; the longest in use have a
// few hundred.
const maxSubtrees = 4096

// subtrees are the permitted or the excluded half of a constraint.
type subtrees struct {
	has   [numForms]bool // a subtree of this form is there
	dns   []rfc6125.Subtree
	ip    [][]byte // address and mask, 8 or 32 octets
	email []mailbox
	uri   []string
	dir   [][]string // see directory
}

type nameConstraints struct {
	permitted, excluded subtrees
}

// constraintsOf holds the constraints of one certificate: none, some, or unreadable ones.
type constraintsOf struct {
	c    *nameConstraints
	fail *Error
}

// judgeConstraints holds the names of all certificates of the path against the
// constraints of c. Self-issued intermediates are exempt: they pass on what the
// same CA may do already [PKIX5280-4.2.1.10-01].
func (v *verifier) judgeConstraints(cert *Certificate) (fail, out *Error) {
	nc, out := v.constraintsOf(cert)
	if out != nil || nc.fail != nil || nc.c == nil {
		return nc.fail, out
	}
	for i, d := range v.path {
		if i > 0 && selfIssued(d) {
			continue
		}
		names, out := v.namesOf(d, i == 0)
		if out != nil || names.fail != nil {
			if out == nil {
				fail = names.fail
			}
			return fail, out
		}
		if out := v.work.spend(costName*time.Duration(nc.c.work(names)), "names held against constraints"); out != nil {
			return nil, out
		}
		v.counted.names += nc.c.work(names)
		if why := nc.c.refuses(names); why != "" {
			return failure(ErrConstraint, d.view, why+", by "+cert.String()), nil
		}
	}
	return nil, nil
}

// constraintsOf reads the constraints of c once.
func (v *verifier) constraintsOf(cert *Certificate) (constraintsOf, *Error) {
	c := cert.view
	var der []byte
	found := false
	for i := range c.Extensions {
		if idCE(c.Extensions[i].Id) == ceNameConstraints {
			der, found = c.Extensions[i].Value, true
			break
		}
	}
	if !found {
		return constraintsOf{}, nil
	}
	if nc, ok := v.constraints[c]; ok {
		return nc, nil
	}
	if out := v.work.spend(costRead*time.Duration(len(der)), "the name constraints of a certificate"); out != nil {
		return constraintsOf{}, out
	}
	nc := constraintsOf{}
	var kind error
	var why string
	if nc.c, why, kind = parseConstraints(der); kind != nil {
		nc.fail = failure(kind, c, why)
	}
	if v.constraints == nil {
		v.constraints = make(map[*x509.Certificate]constraintsOf)
	}
	v.constraints[c] = nc
	return nc, nil
}

// parseConstraints reads the value of the extension. kind is nil if all is well.
func parseConstraints(der []byte) (nc *nameConstraints, why string, kind error) {
	const malformed = "the name constraints cannot be read"
	body, ok := inside(der, asn1.SEQUENCE)
	if !ok || body.Empty() {
		return nil, malformed, ErrMalformed
	}
	nc = new(nameConstraints)
	last := asn1.Tag(0)
	for !body.Empty() {
		var trees cryptobyte.String
		var tag asn1.Tag
		if !body.ReadAnyASN1(&trees, &tag) || tag != tagPermitted && tag != tagExcluded || tag <= last || trees.Empty() {
			return nil, malformed, ErrMalformed
		}
		half := &nc.permitted
		if tag == tagExcluded {
			half = &nc.excluded
		}
		if why, kind := half.read(trees); kind != nil {
			return nil, why, kind
		}
		last = tag
	}
	return nc, "", nil
}

func (s *subtrees) read(trees cryptobyte.String) (why string, kind error) {
	const malformed = "a name constraint cannot be read"
	for n := 0; !trees.Empty(); n++ {
		if n == maxSubtrees {
			return fmt.Sprintf("more than %d name constraints", maxSubtrees), ErrConstraint
		}
		var bounds, base cryptobyte.String // bounds is the subtree, less its base
		var tag asn1.Tag
		if !trees.ReadASN1(&bounds, asn1.SEQUENCE) || !bounds.ReadAnyASN1(&base, &tag) {
			return malformed, ErrMalformed
		}
		form := int(tag &^ (classContext | tagConstructed))
		if tag&classMask != classContext || form >= numForms {
			return malformed, ErrMalformed
		}
		if len(bounds) > 0 && !bytes.Equal(bounds, []byte{0x80, 1, 0}) {
			// minimum other than 0, or a maximum [PKIX5280-4.2.1.10-05].
			return "a name constraint with a minimum or a maximum", ErrConstraint
		}
		s.has[form] = true
		switch form {
		case formDNS:
			t, err := rfc6125.ParseSubtree(string(base))
			if err != nil {
				return "a dNSName constraint of " + text.ASCII(string(base), maxShown), ErrMalformed
			}
			s.dns = append(s.dns, t)
		case formIP:
			if !validMask(base) {
				return "an iPAddress constraint that is no address and mask", ErrMalformed
			}
			s.ip = append(s.ip, base)
		case formEmail:
			s.email = append(s.email, parseMailbox(string(base)))
		case formURI:
			s.uri = append(s.uri, strings.ToLower(string(base)))
		case formDirectory:
			// [4] is explicit, since Name is a CHOICE.
			d, ok := directory(base)
			if !ok {
				return malformed, ErrMalformed
			}
			s.dir = append(s.dir, d)
		}
	}
	return "", nil
}

// validMask reports whether b is an address and a mask without holes.
func validMask(b []byte) bool {
	if len(b) != 8 && len(b) != 32 {
		return false
	}
	_, bits := net.IPMask(b[len(b)/2:]).Size()
	return bits > 0
}

// work counts the comparisons that refuses may make.
func (nc *nameConstraints) work(n *subjectNames) int {
	p, e := &nc.permitted, &nc.excluded
	return 1 + len(n.dns)*(len(p.dns)+len(e.dns)) + len(n.ip)*(len(p.ip)+len(e.ip)) +
		len(n.email)*(len(p.email)+len(e.email)) + len(n.uri)*(len(p.uri)+len(e.uri)) +
		len(n.dir)*(len(p.dir)+len(e.dir))
}

// refuses says which name of n the constraints do not allow, "" if they allow
// all. Excluded beats permitted [PKIX5280-4.2.1.10-01].
func (nc *nameConstraints) refuses(n *subjectNames) string {
	p, e := &nc.permitted, &nc.excluded
	for _, id := range n.dns {
		for _, t := range e.dns {
			if t.Excludes(id) {
				return fmt.Sprintf("the name %s is excluded", id)
			}
		}
		if p.has[formDNS] && !slices.ContainsFunc(p.dns, func(t rfc6125.Subtree) bool { return t.Permits(id) }) {
			return fmt.Sprintf("the name %s is not permitted", id)
		}
	}
	for _, ip := range n.ip {
		if slices.ContainsFunc(e.ip, func(t []byte) bool { return !validIP(ip) || inNet(ip, t) }) {
			return "an address is excluded"
		}
		if p.has[formIP] && !slices.ContainsFunc(p.ip, func(t []byte) bool { return inNet(ip, t) }) {
			return "an address is not permitted"
		}
	}
	for _, m := range n.email {
		if slices.ContainsFunc(e.email, func(t mailbox) bool { return m.within(t, true) }) {
			return "a mailbox is excluded"
		}
		if p.has[formEmail] && !slices.ContainsFunc(p.email, func(t mailbox) bool { return m.within(t, false) }) {
			return "a mailbox is not permitted"
		}
	}
	for _, u := range n.uri {
		// RFC 5280: a URI without a host name is refused under any constraint.
		if slices.ContainsFunc(e.uri, func(t string) bool { return !u.IsValid() || hostIn(u.String(), t) }) {
			return "a URI is excluded"
		}
		if p.has[formURI] && !slices.ContainsFunc(p.uri, func(t string) bool { return u.IsValid() && hostIn(u.String(), t) }) {
			return "a URI is not permitted"
		}
	}
	for _, d := range n.dir {
		if slices.ContainsFunc(e.dir, func(t []string) bool { return within(d, t) }) {
			return "its directory name is excluded"
		}
		if p.has[formDirectory] && !slices.ContainsFunc(p.dir, func(t []string) bool { return within(d, t) }) {
			return "its directory name is not permitted"
		}
	}
	// Forms that are not compared here [PKIX5280-4.2.1.10-03].
	for _, form := range [...]int{formOther, formX400, formEDI, formRegistered} {
		if n.has[form] && (p.has[form] || e.has[form]) {
			return "it has a name of a form that is constrained and not understood"
		}
	}
	return ""
}

func validIP(ip []byte) bool { return len(ip) == 4 || len(ip) == 16 }

// inNet reports whether ip lies in an address and mask of its own length.
func inNet(ip, subnet []byte) bool {
	if len(ip)*2 != len(subnet) {
		return false
	}
	for i := range ip {
		if mask := subnet[len(ip)+i]; ip[i]&mask != subnet[i]&mask {
			return false
		}
	}
	return true
}

// A mailbox is an rfc822Name, or a constraint on them: local@host, and in a
// constraint also a host or .domain by itself. The local part is compared as it is,
// the host without regard to case (RFC 5280 section 7.5).
type mailbox struct {
	at    bool // it has an @
	local string
	host  string // lower case
}

func parseMailbox(s string) mailbox {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return mailbox{host: strings.ToLower(s)}
	}
	return mailbox{true, s[:i], strings.ToLower(s[i+1:])}
}

// within reports whether m lies in a constraint; the answer for a malformed m is
// given.
func (m *mailbox) within(constraint mailbox, malformed bool) bool {
	switch {
	case !m.at || m.local == "" || m.host == "":
		return malformed
	case constraint.at:
		return m.local == constraint.local && m.host == constraint.host
	}
	return hostIn(m.host, constraint.host)
}

// hostIn compares a host with a constraint of mailboxes or URIs: the host itself,
// or with a leading dot any host below it; empty for all.
func hostIn(host, constraint string) bool {
	if strings.HasPrefix(constraint, ".") {
		return len(host) > len(constraint) && strings.HasSuffix(host, constraint)
	}
	return constraint == "" || host == constraint
}
