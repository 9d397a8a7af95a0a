package pkix_test

import (
	"bytes"
	"crypto/x509"
	xpkix "crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/pkix"
)

func TestConstraints(t *testing.T) {
	r := root(t)
	below := func(t *testing.T, permitted, excluded [][]byte, kind error, changes ...change) {
		t.Helper()
		a := r.ca("a", constrained(permitted, excluded))
		want(t, verify(certs(r.cert), a.leaf(changes...), a.cert), kind)
	}
	example, com := dnsTree("example"), dnsTree("com")

	t.Run("PKIX5280-4.2.1.10-01 every CA binds all names below, and excluded beats permitted", func(t *testing.T) {
		below(t, trees(example), nil, nil)
		below(t, trees(com), nil, pkix.ErrConstraint)
		below(t, trees(com, example), nil, nil)
		below(t, nil, trees(example), pkix.ErrConstraint)
		below(t, nil, trees(com), nil)
		below(t, trees(example), trees(dnsTree("mx.example")), pkix.ErrConstraint)
		below(t, trees(example), nil, pkix.ErrConstraint, dns("mx.example", "mx.com"))
		below(t, nil, trees(com), pkix.ErrConstraint, dns("mx.example", "mx.com"))
		// From the anchor, and through a CA without constraints.
		a := r.ca("a", constrained(trees(com), nil))
		b := a.ca("b")
		want(t, verify(certs(r.cert), b.leaf(), b.cert, a.cert), pkix.ErrConstraint, "CN=mx.example", "mx.example is not permitted", "by CN=a")
		_, err := pkix.Verify(pkix.Request{Chain: certs(b.leaf(), b.cert), Anchors: []pkix.Anchor{pkix.CertificateAnchor(a.cert)}, At: now})
		want(t, err, pkix.ErrConstraint)
		// What one CA permits does not widen what another one does.
		c := a.ca("c", constrained(trees(example), nil))
		want(t, verify(certs(r.cert), c.leaf(), c.cert, a.cert), pkix.ErrConstraint)
		// Names of CAs are names too.
		d := r.ca("d", constrained(nil, trees(com)))
		e := d.ca("e", dns("ca.com"))
		want(t, verify(certs(r.cert), e.leaf(), e.cert, d.cert), pkix.ErrConstraint, "CN=e")
		// Self-issued CAs are exempt, a self-issued leaf is not.
		f := newEntity(t, "d")
		f.cert = d.signs(f, true, dns("ca.com"))
		want(t, verify(certs(r.cert), f.leaf(), f.cert, d.cert), nil)
		want(t, verify(certs(r.cert), d.signs(newEntity(t, "d"), false, dns("ca.com")), d.cert), pkix.ErrConstraint)
		// Not critical, still a constraint.
		g := r.ca("g", rawExt(false, constraints(trees(com), nil), 2, 5, 29, 30))
		want(t, verify(certs(r.cert), g.leaf(), g.cert), pkix.ErrConstraint)
		// A leaf's own constraints bind no one.
		want(t, verify(certs(r.cert), r.leaf(constrained(trees(com), nil))), nil)
	})
	t.Run("PKIX5280-4.2.1.10-02 dNSName constraints are processed", func(t *testing.T) {
		below(t, trees(dnsTree("")), nil, nil)
		below(t, nil, trees(dnsTree("")), pkix.ErrConstraint)
		below(t, trees(dnsTree(".example")), nil, nil)
		below(t, trees(dnsTree(".mx.example")), nil, pkix.ErrConstraint)
		for n, cut := range map[int]bool{120: false, 121: true} {
			e := r.ca("a")
			err := verify(certs(r.cert), e.leaf(), extend(e.cert, true, constraints(trees(dnsTree(strings.Repeat("*", n))), nil), 2, 5, 29, 30))
			if want(t, err, pkix.ErrMalformed); strings.Contains(err.Error(), "...") != cut {
				t.Errorf("%d: %v", n, err)
			}
		}
		for _, bad := range []string{".", "*.example", "a..b", "a b", "bü", "example."} {
			e := r.ca("a")
			want(t, verify(certs(r.cert), e.leaf(), extend(e.cert, true, constraints(trees(dnsTree(bad)), nil), 2, 5, 29, 30)), pkix.ErrMalformed, "dNSName")
		}
	})
	t.Run("PKIX5280-4.2.1.10-03 a form that is not understood and occurs ends the path", func(t *testing.T) {
		for _, tag := range []byte{0xa0, 0xa3, 0xa5, 0x88} {
			tree := subtree(tag, []byte{6, 1, 42})
			name := tlv(tag, []byte{6, 1, 42})
			dnsToo := tlv(0x82, []byte("mx.example"))
			below(t, trees(tree), nil, nil)
			below(t, nil, trees(tree), nil)
			below(t, trees(tree), nil, pkix.ErrConstraint, rawSAN(dnsToo, name))
			below(t, nil, trees(tree), pkix.ErrConstraint, rawSAN(dnsToo, name))
			below(t, trees(example), nil, nil, rawSAN(dnsToo, name))
		}
	})
	t.Run("PKIX5280-4.2.1.10-04 a constraint covers the name and all below", func(t *testing.T) {
		host := trees(dnsTree("host.example.com"))
		below(t, host, nil, nil, dns("host.example.com", "www.host.example.com"))
		below(t, host, nil, pkix.ErrConstraint, dns("host1.example.com"))
		below(t, nil, host, nil, dns("host1.example.com", "xhost.example.com", "example.com"))
		below(t, nil, host, pkix.ErrConstraint, dns("www.host.example.com"))
	})
	t.Run("PKIX5280-4.2.1.10-05 no minimum and no maximum", func(t *testing.T) {
		for _, c := range []struct {
			bounds []byte
			kind   error
		}{
			{[]byte{0x80, 1, 0}, nil},
			{[]byte{0x80, 1, 1}, pkix.ErrConstraint},
			{[]byte{0x81, 1, 0}, pkix.ErrConstraint},
			{[]byte{0x80, 1, 0, 0x81, 1, 5}, pkix.ErrConstraint},
		} {
			e := r.ca("a")
			for _, critical := range []bool{true, false} {
				nc := constraints(trees(subtree(0x82, []byte("example"), c.bounds)), nil)
				want(t, verify(certs(r.cert), e.leaf(), extend(e.cert, critical, nc, 2, 5, 29, 30)), c.kind)
			}
		}
	})
	t.Run("PKIX5280-4.2.1.10-06 a wildcard is every name that it can match", func(t *testing.T) {
		a := trees(dnsTree("a.example.com"))
		below(t, nil, a, pkix.ErrConstraint, dns("*.example.com"))
		below(t, a, nil, pkix.ErrConstraint, dns("*.example.com"))
		below(t, a, nil, nil, dns("*.a.example.com"))
		below(t, trees(dnsTree("example.com")), nil, nil, dns("*.example.com"))
		below(t, nil, trees(dnsTree("b.a.example.com")), nil, dns("*.example.com"))
	})
	t.Run("services are bound as names (RFC 9525 section 7.6)", func(t *testing.T) {
		srv := func(s string) []byte {
			id, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 7})
			if err != nil {
				t.Fatal(err)
			}
			return tlv(0xa0, id, tlv(0xa0, tlv(0x16, []byte(s))))
		}
		below(t, trees(example), nil, nil, rawSAN(srv("_smtp.mx.example")))
		below(t, trees(example), nil, pkix.ErrConstraint, rawSAN(srv("_smtp.mx.com")))
		below(t, nil, trees(com), pkix.ErrConstraint, rawSAN(srv("_smtp.mx.com")))
	})
	t.Run("Common Names, where they count as names (D3)", func(t *testing.T) {
		a := r.ca("a", constrained(trees(com), nil))
		for _, c := range []struct {
			asName bool
			leaf   *x509.Certificate
			kind   error
		}{
			{true, a.leaf(dns()), pkix.ErrConstraint},
			{false, a.leaf(dns()), nil},
			{true, a.leaf(dns("mx.com")), nil}, // the CN does not count beside it
			{true, a.signs(newEntity(t, "a person"), false), nil},
			{true, a.signs(newEntity(t, "mx.com"), false), nil},
		} {
			_, err := pkix.Verify(pkix.Request{Chain: certs(c.leaf, a.cert), Roots: pkix.NewRoots(r.cert), At: now, CNAsName: c.asName})
			want(t, err, c.kind)
		}
		// Those of CAs are no names of hosts.
		b := r.ca("b", constrained(nil, trees(com)))
		c := b.ca("ca.com")
		_, err := pkix.Verify(pkix.Request{Chain: certs(c.leaf(), c.cert, b.cert), Roots: pkix.NewRoots(r.cert), At: now, CNAsName: true})
		want(t, err, nil)
	})
}

func TestAddressConstraints(t *testing.T) {
	r := root(t)
	ip := func(s ...string) change {
		return func(c *x509.Certificate) {
			c.DNSNames = nil
			for _, one := range s {
				c.IPAddresses = append(c.IPAddresses, net.ParseIP(one))
			}
		}
	}
	net4, net6 := subtree(0x87, []byte{192, 0, 2, 0, 255, 255, 255, 0}), subtree(0x87, append(append([]byte{0x20, 1, 13, 0xb8}, make([]byte, 12)...), append([]byte{255, 255, 255, 255}, make([]byte, 12)...)...))
	odd := subtree(0x87, []byte{192, 0, 2, 77, 255, 255, 255, 0}) // bits below the mask do not count
	for i, c := range []struct {
		permitted, excluded [][]byte
		change              change
		kind                error
	}{
		{trees(net4), nil, ip("192.0.2.1"), nil},
		{trees(odd), nil, ip("192.0.2.1"), nil},
		{trees(net4), nil, ip("192.0.3.1"), pkix.ErrConstraint},
		{trees(net4), nil, ip("192.0.2.1", "192.0.3.1"), pkix.ErrConstraint},
		{trees(net4), nil, ip("2001:db8::1"), pkix.ErrConstraint},
		{trees(net4, net6), nil, ip("2001:db8::1", "192.0.2.255"), nil},
		{nil, trees(net4), ip("192.0.2.1"), pkix.ErrConstraint},
		{nil, trees(net4), ip("192.0.3.1"), nil},
		{nil, trees(net6), ip("192.0.2.1"), nil},
		{nil, trees(net6), ip("2001:db8::1"), pkix.ErrConstraint},
		{trees(net4), nil, dns("mx.example"), nil}, // no address, nothing to bind
		{nil, trees(net4), rawSAN(tlv(0x87, []byte{1, 2, 3})), pkix.ErrConstraint},
	} {
		a := r.ca("a", constrained(c.permitted, c.excluded))
		leaf := a.leaf()
		if i == 11 {
			// crypto/x509 would not parse it.
			leaf = extend(r.leaf(dns()), false, tlv(0x30, tlv(0x87, []byte{1, 2, 3})), 2, 5, 29, 17)
			leaf = resigned(t, a, leaf)
		} else {
			leaf = a.leaf(c.change)
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) { want(t, verify(certs(r.cert), leaf, a.cert), c.kind) })
	}
	for _, bad := range [][]byte{{}, {1, 2, 3, 4}, {192, 0, 2, 0, 255, 0, 255, 0}, {192, 0, 2, 0, 255, 255, 253, 0}, make([]byte, 16), make([]byte, 33), {0, 0, 0, 0, 0, 0, 0, 1}} {
		e := r.ca("a")
		want(t, verify(certs(r.cert), e.leaf(), extend(e.cert, true, constraints(trees(subtree(0x87, bad)), nil), 2, 5, 29, 30)), pkix.ErrMalformed, "iPAddress")
	}
	e := r.ca("a")
	all := constraints(trees(subtree(0x87, make([]byte, 8))), nil)
	want(t, verify(certs(r.cert), e.leaf(ip("9.9.9.9")), extend(e.cert, true, all, 2, 5, 29, 30)), nil)
}

// resigned returns the certificate as if e had signed it: the extensions stay as
// they were put.
func resigned(t *testing.T, e *entity, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	good := e.leaf(dns())
	d := *good
	d.Extensions = c.Extensions
	return &d
}

func TestMailAndURIConstraints(t *testing.T) {
	r := root(t)
	mail := func(s ...string) change {
		return func(c *x509.Certificate) { c.EmailAddresses = s }
	}
	uri := func(s string) change {
		return func(c *x509.Certificate) {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = []*url.URL{u}
		}
	}
	m := func(s string) []byte { return subtree(0x81, []byte(s)) }
	u := func(s string) []byte { return subtree(0x86, []byte(s)) }
	for i, c := range []struct {
		tree   []byte
		change change
		inside bool
	}{
		{m("joe@example.org"), mail("joe@Example.org"), true},
		{m("joe@example.org"), mail("Joe@example.org"), false},
		{m("joe@example.org"), mail("jim@example.org"), false},
		{m("joe@example.org"), mail("joe@example.com"), false},
		{m("Example.org"), mail("joe@example.org"), true},
		{m("example.org"), mail("joe@a.example.org"), false},
		{m(".example.org"), mail("joe@a.example.org"), true},
		{m(".example.org"), mail("joe@example.org"), false},
		{m(""), mail("joe@example.org"), true},
		{m("example.org"), mail("j@example.org"), true},
		{m(".example.org"), mail("joe@a.b.example.com"), false},
		{m("example.org"), mail("joe@example.org", "joe@example.com"), false},
		{u("Example.org"), uri("https://example.org/x"), true},
		{u("example.org"), uri("https://a.example.org:8443/x"), false},
		{u(".example.org"), uri("https://A.example.org:8443/x"), true},
		{u(".example.org"), uri("https://example.org/x"), false},
		{u(""), uri("sip://x.example"), true},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			permitted, excluded := r.ca("a", constrained(trees(c.tree), nil)), r.ca("a", constrained(nil, trees(c.tree)))
			kinds := map[bool]error{true: nil, false: pkix.ErrConstraint}
			want(t, verify(certs(r.cert), permitted.leaf(c.change), permitted.cert), kinds[c.inside])
			if i != 11 { // two mailboxes, on both sides
				want(t, verify(certs(r.cert), excluded.leaf(c.change), excluded.cert), kinds[!c.inside])
			} else {
				want(t, verify(certs(r.cert), excluded.leaf(c.change), excluded.cert), pkix.ErrConstraint)
			}
		})
	}
	// Malformed names lie outside what is permitted and inside what is excluded.
	for _, c := range []struct{ tree, name []byte }{
		{m("example.org"), tlv(0x81, []byte("joe"))},
		{m("example.org"), tlv(0x81, []byte("@example.com"))},
		{m("example.org"), tlv(0x81, []byte("joe@"))},
		{m("example.org"), tlv(0x81, []byte("@example.org"))},
		{u("example.org"), tlv(0x86, []byte("mailto:joe@example.com"))},
		{u("example.org"), tlv(0x86, []byte("https://192.0.2.1/"))},
		{u("example.org"), tlv(0x86, []byte("https://[::1]/"))},
		{u("example.org"), tlv(0x86, []byte("http://%zz/"))},
	} {
		for _, nc := range [][]byte{constraints(trees(c.tree), nil), constraints(nil, trees(c.tree))} {
			a := r.ca("a")
			leaf := resigned(t, a, extend(a.leaf(dns()), false, tlv(0x30, c.name), 2, 5, 29, 17))
			want(t, verify(certs(r.cert), leaf, extend(a.cert, true, nc, 2, 5, 29, 30)), pkix.ErrConstraint)
		}
	}
	a := r.ca("a")
	dotted := resigned(t, a, extend(a.leaf(dns()), false, tlv(0x30, tlv(0x81, []byte("joe@.example.org"))), 2, 5, 29, 17))
	want(t, verify(certs(r.cert), dotted, extend(a.cert, true, constraints(trees(m(".example.org")), nil), 2, 5, 29, 30)), pkix.ErrConstraint)
	t.Run("a mailbox in the subject", func(t *testing.T) {
		a := r.ca("a", constrained(trees(m("example.org")), nil))
		who := func(addr string) *entity {
			e := newEntity(t, "joe")
			e.name.ExtraNames = []xpkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: addr}}
			return e
		}
		want(t, verify(certs(r.cert), a.signs(who("joe@example.org"), false), a.cert), nil)
		want(t, verify(certs(r.cert), a.signs(who("joe@example.com"), false), a.cert), pkix.ErrConstraint)
		want(t, verify(certs(r.cert), a.signs(who("joe@example.com"), false, dns("mx.example")), a.cert), nil)
	})
}

func rdn(tag byte, text string, oid ...int) []byte {
	id, err := asn1.Marshal(asn1.ObjectIdentifier(oid))
	if err != nil {
		panic(err)
	}
	return tlv(0x30, id, tlv(tag, []byte(text)))
}

func o(tag byte, text string) []byte { return tlv(0x31, rdn(tag, text, 2, 5, 4, 10)) }

func ou(text string) []byte { return tlv(0x31, rdn(0x0c, text, 2, 5, 4, 11)) }

func dirTree(rdns ...[]byte) []byte { return subtree(0xa4, tlv(0x30, rdns...)) }

func TestDirectoryConstraints(t *testing.T) {
	r := root(t)
	for i, c := range []struct {
		tree    []byte
		subject [][]byte
		inside  bool
	}{
		{dirTree(o(0x0c, "Acme")), [][]byte{o(0x0c, "Acme"), ou("x")}, true},
		{dirTree(o(0x0c, "Acme")), [][]byte{o(0x0c, "Acme")}, true},
		{dirTree(o(0x0c, "Acme")), [][]byte{o(0x13, " aCME  ")}, true},
		{dirTree(o(0x0c, "Acme  Inc")), [][]byte{o(0x13, "acme inc")}, true},
		{dirTree(o(0x0c, "Acme")), [][]byte{o(0x1e, "\x00A\x00c\x00m\x00e")}, true},
		{dirTree(o(0x0c, "Acme")), [][]byte{o(0x1c, "\x00\x00\x00A\x00\x00\x00c\x00\x00\x00m\x00\x00\x00e")}, true},
		{dirTree(o(0x0c, "Acm\u00e9")), [][]byte{o(0x14, "Acm\xe9")}, true},
		{dirTree(o(0x16, "Acme")), [][]byte{o(0x0c, "Acme")}, true},
		{dirTree(o(0x04, "Acme")), [][]byte{o(0x0c, "Acme")}, false},
		{dirTree(o(0x0c, "Acme")), [][]byte{o(0x0c, "Acm")}, false},
		{dirTree(o(0x0c, "Acme")), [][]byte{ou("Acme")}, false},
		{dirTree(o(0x0c, "Acme")), [][]byte{ou("x"), o(0x0c, "Acme")}, false},
		{dirTree(o(0x0c, "Acme"), ou("x")), [][]byte{o(0x0c, "Acme")}, false},
		{dirTree(), [][]byte{o(0x0c, "Acme")}, true},
		{dirTree(tlv(0x31, rdn(0x0c, "a", 2, 5, 4, 10), rdn(0x0c, "b", 2, 5, 4, 11))), [][]byte{tlv(0x31, rdn(0x0c, "b", 2, 5, 4, 11), rdn(0x0c, "a", 2, 5, 4, 10))}, true},
		{dirTree(tlv(0x31, rdn(0x0c, "a", 2, 5, 4, 10), rdn(0x0c, "b", 2, 5, 4, 11))), [][]byte{o(0x0c, "a"), ou("b")}, false},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			for _, permitted := range []bool{true, false} {
				nc, kind := constraints(trees(c.tree), nil), error(nil)
				if !permitted {
					nc = constraints(nil, trees(c.tree))
				}
				if permitted != c.inside {
					kind = pkix.ErrConstraint
				}
				a := r.ca("a")
				leaf := a.leaf()
				leaf.RawSubject = tlv(0x30, c.subject...)
				want(t, verify(certs(r.cert), leaf, extend(a.cert, true, nc, 2, 5, 29, 30)), kind)
				// The same as a directoryName of subjectAltName.
				other := resigned(t, a, extend(a.leaf(dns()), false, tlv(0x30, tlv(0xa4, tlv(0x30, c.subject...))), 2, 5, 29, 17))
				other.RawSubject = tlv(0x30)
				want(t, verify(certs(r.cert), other, extend(a.cert, true, nc, 2, 5, 29, 30)), kind)
			}
		})
	}
	// An empty subject is no name.
	a := r.ca("a", constrained(trees(dirTree(o(0x0c, "Acme"))), nil))
	leaf := a.leaf()
	leaf.RawSubject = tlv(0x30)
	want(t, verify(certs(r.cert), leaf, a.cert), nil)
}

// padded is a list of permitted subtrees of this length: ok and, to fill it up,
// one excluded name that no test uses.
func padded(ok []byte, n int) []byte {
	permitted := tlv(0xa0, ok)
	rest := n - len(permitted) - 6 // heads of [1], GeneralSubtree and GeneralName
	return append(permitted, tlv(0xa1, dnsTree("x"+strings.Repeat("a", rest/2-1)+"."+strings.Repeat("b", rest-rest/2-1)))...)
}

// What cannot be read ends the path.
func TestMalformedNames(t *testing.T) {
	r := root(t)
	ok := dnsTree("example")
	e := r.ca("a")
	many := make([][]byte, 4097)
	for i := range many {
		many[i] = ok
	}
	for i, c := range []struct {
		nc   []byte
		kind error
	}{
		{nil, pkix.ErrMalformed},
		{tlv(0x30), pkix.ErrMalformed},
		{tlv(0x31, tlv(0xa0, ok)), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0)), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa1)), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa2, ok)), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, ok), tlv(0xa0, ok)), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa1, dnsTree("com")), tlv(0xa0, ok)), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, ok), tlv(0xa1, dnsTree("com"))), nil},
		{tlv(0x30, tlv(0xa0, ok), []byte{5}), pkix.ErrMalformed},
		{append(tlv(0x30, tlv(0xa0, ok)), 0), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, tlv(0x31, tlv(0x82, []byte("example"))))), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, tlv(0x30))), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, []byte{0x30, 9})), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, subtree(0x0c, []byte("example")))), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, subtree(0x89, []byte("example")))), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, subtree(0xa4, []byte{0x30}))), pkix.ErrMalformed},
		{tlv(0x30, tlv(0xa0, subtree(0xa4, tlv(0x31)))), pkix.ErrMalformed},
		{[]byte{0x30}, pkix.ErrMalformed},
		{[]byte{0x30, 0x80}, pkix.ErrMalformed},
		{[]byte{0x30, 0x81}, pkix.ErrMalformed},
		{[]byte{0x30, 0x82, 1}, pkix.ErrMalformed},
		{append([]byte{0x30, 0x81, byte(len(tlv(0xa0, ok)))}, tlv(0xa0, ok)...), pkix.ErrMalformed},
		{append([]byte{0x30, 0x82, 0, byte(len(tlv(0xa0, ok)))}, tlv(0xa0, ok)...), pkix.ErrMalformed},
		{append([]byte{0x30, 0x84, 0, 0, 0, byte(len(tlv(0xa0, ok)))}, tlv(0xa0, ok)...), pkix.ErrMalformed},
		{append([]byte{0x30, 0x80}, tlv(0xa0, ok)...), pkix.ErrMalformed},
		{append([]byte{0x30, byte(len(tlv(0xa0, ok)) + 1)}, tlv(0xa0, ok)...), pkix.ErrMalformed},
		{append([]byte{0x3f, byte(len(tlv(0xa0, ok)))}, tlv(0xa0, ok)...), pkix.ErrMalformed},
		{append([]byte{0x30, 0x80}, padded(ok, 0x80)...), pkix.ErrMalformed},
		{tlv(0x30, padded(ok, 0x7f)), nil},
		{tlv(0x30, padded(ok, 0x80)), nil},
		{tlv(0x30, tlv(0xa0, many[:4096]...)), nil},
		{tlv(0x30, tlv(0xa0, many...)), pkix.ErrConstraint},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			want(t, verify(certs(r.cert), e.leaf(), extend(e.cert, true, c.nc, 2, 5, 29, 30)), c.kind)
		})
	}
	a := r.ca("a", constrained(trees(ok), nil))
	for i, bad := range [][]byte{
		nil, tlv(0x31), tlv(0x30, []byte{0x82, 9}), tlv(0x30, tlv(0x0c, []byte("x"))), tlv(0x30, tlv(0x89, nil)), tlv(0x30, tlv(0xa4, tlv(0x31))),
		tlv(0x30, tlv(0xa4, nil)),
	} {
		t.Run(fmt.Sprint("names ", i), func(t *testing.T) {
			leaf := resigned(t, a, extend(a.leaf(dns()), false, bad, 2, 5, 29, 17))
			want(t, verify(certs(r.cert), leaf, a.cert), pkix.ErrMalformed, "CN=mx.example")
			// Without constraints no one looks.
			e := r.ca("b")
			want(t, verify(certs(r.cert), resigned(t, e, extend(e.leaf(dns()), false, bad, 2, 5, 29, 17)), e.cert), nil)
		})
	}
	for i, bad := range [][]byte{
		nil, tlv(0x31), tlv(0x30, tlv(0x30)), tlv(0x30, tlv(0x31)), tlv(0x30, tlv(0x31, tlv(0x31))), tlv(0x30, tlv(0x31, tlv(0x30, tlv(0x0c, nil)))),
		tlv(0x30, tlv(0x31, tlv(0x30))), tlv(0x30, tlv(0x31, tlv(0x30, tlv(6, []byte{1})))), tlv(0x30, tlv(0x31, tlv(0x30, tlv(6, []byte{1}), tlv(0x0c, nil), []byte{0}))),
		tlv(0x30, []byte{0x31, 4}), tlv(0x30, tlv(0x31, []byte{0x30, 4})),
		tlv(0x30, tlv(0x31, tlv(0x31, tlv(6, []byte{1}), tlv(0x0c, nil)))), tlv(0x30, tlv(0x31, tlv(0x30, tlv(4, []byte{1}), tlv(0x0c, nil)))),
	} {
		t.Run(fmt.Sprint("subject ", i), func(t *testing.T) {
			leaf := a.leaf()
			leaf.RawSubject = bad
			want(t, verify(certs(r.cert), leaf, a.cert), pkix.ErrMalformed, "subject")
		})
	}
}

// TestLengths: constraints are read in lengths of up to four bytes, and not without end.
func TestLengths(t *testing.T) {
	r := root(t)
	for size, kind := range map[int]error{100: nil, 200: nil, 1 << 12: nil, 1 << 17: nil, 1 << 24: pkix.ErrBudget} {
		e := r.ca("a")
		// A form of name of which the leaf has none.
		nc := constraints(trees(subtree(0xa0, make([]byte, size))), nil)
		want(t, verify(certs(r.cert), e.leaf(), extend(e.cert, true, nc, 2, 5, 29, 30)), kind)
	}
}

// TestReadConstraints: constraints that cannot be read are a fault of the certificate, and
// those that can are none.
func TestReadConstraints(t *testing.T) {
	const good = "\x30\x11\xa0\x0f\x30\x0d\x82\x0bexample.org"
	c := root(t, func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, xpkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: []byte(good)})
	})
	for what, value := range map[string]string{
		"good": good, "a set": "\x31" + good[1:], "a name that is cut short": strings.Replace(good, "\x0b", "\x0c", 1),
		"octets after the name": strings.Replace(good, "\x0b", "\x0a", 1), "an unknown list": strings.Replace(good, "\xa0", "\xa7", 1),
	} {
		der := bytes.Replace(c.cert.Raw, []byte(good), []byte(value), 1)
		if why := pkix.ReadLenient(der).Unread(pkix.FieldNameConstraints); (why == "") != (what == "good") {
			t.Errorf("%s: %q", what, why)
		}
	}
}
