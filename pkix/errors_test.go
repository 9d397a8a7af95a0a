package pkix_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/pkix"
)

func TestRanking(t *testing.T) {
	r := root(t)
	past := now.AddDate(0, 0, -1)
	a := newEntity(t, "a")
	// Four certificates of one CA, each with its own fault, and a stranger's.
	expired := r.signs(a, true, until(past))
	purpose := r.signs(a, true, eku(x509.ExtKeyUsageClientAuth))
	ext := r.signs(a, true, rawExt(true, []byte{5, 0}, 1, 2, 3))
	constraint := r.signs(a, true, constrained(nil, trees(dnsTree("example"))))
	length := r.signs(newEntity(t, "a"), true) // another key
	orphan := newEntity(t, "gone").signs(a, true)
	a.cert = expired
	leaf := a.leaf()
	err := verify(certs(r.cert), leaf, orphan, length, ext, purpose, constraint, expired)
	want(t, err, pkix.ErrExpired, "CN=a")
	if got := kinds(err); got != "expired, no path to an anchor, unknown critical extension, wrong purpose, name constraint, bad signature" {
		t.Errorf("%s", got)
	}
	want(t, verify(certs(r.cert), leaf, orphan, length, ext, purpose, constraint), pkix.ErrConstraint)
	want(t, verify(certs(r.cert), leaf, orphan, length, ext, purpose), pkix.ErrPurpose)
	want(t, verify(certs(r.cert), leaf, orphan, length, ext), pkix.ErrExtension)
	want(t, verify(certs(r.cert), leaf, orphan, length), pkix.ErrSignature)
	want(t, verify(certs(r.cert), leaf, orphan), pkix.ErrNoAnchor)
	// Failures that say the same are told once, whichever certificate they are about.
	twin := *length
	if got := kinds(verify(certs(r.cert), leaf, length, &twin)); got != "bad signature" {
		t.Errorf("%s", got)
	}
	// The same failure once, and its signature too.
	_, _, work := pkix.VerifyCounted(pkix.Request{Chain: certs(leaf, length, length, length), Roots: pkix.NewRoots(r.cert), At: now})
	if work.Signatures != 1 || work.Steps != 3 {
		t.Errorf("%+v", work)
	}
	err = verify(certs(r.cert), leaf, length, length, length)
	if got := kinds(err); got != "bad signature" {
		t.Errorf("%s", got)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	r := root(t)
	a := newEntity(t, "a")
	a.cert = r.signs(a, true)
	chain := certs(a.leaf())
	for i := range 60 {
		chain = append(chain, r.signs(a, true, rawExt(true, []byte{5, 0}, 1, 2, 3, i)))
	}
	chain = append(chain, r.signs(a, true, until(now.AddDate(0, 0, -1))))
	err := verify(certs(r.cert), chain...)
	want(t, err, pkix.ErrExpired)
	var e *pkix.Error
	if errors.As(err, &e); len(e.All) != 32 {
		t.Errorf("%d failures", len(e.All))
	}
	// A less specific one, once the list is full, does not displace another.
	err = verify(certs(r.cert), append(chain[:61:61], newEntity(t, "gone").signs(a, true))...)
	want(t, err, pkix.ErrExtension)
	if strings.Contains(kinds(err), "no path") {
		t.Errorf("%s", kinds(err))
	}
}

func TestErrorText(t *testing.T) {
	r := root(t)
	evil := newEntity(t, "a\x1b[31m\nb\u202e"+strings.Repeat("x", 500))
	err := verify(certs(r.cert), r.signs(evil, false, until(now.AddDate(-1, 0, 0))))
	want(t, err, pkix.ErrExpired)
	if s := err.Error(); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) || len(s) > 400 {
		t.Errorf("%q", s)
	}
	for n, cut := range map[int]bool{117: false, 118: true} { // CN= before it
		err = verify(nil, r.signs(newEntity(t, strings.Repeat("x", n)), false))
		if want(t, err, pkix.ErrNoAnchor); strings.Contains(err.Error(), "...") != cut {
			t.Errorf("%d: %v", n, err)
		}
	}
	// Of a long subject a part is turned into text, its Common Name always.
	for _, units := range []int{1, 40} {
		long := newEntity(t, "mx.example.org")
		for range units {
			long.name.OrganizationalUnit = append(long.name.OrganizationalUnit, strings.Repeat("x", 1500/units))
		}
		want(t, verify(nil, r.signs(long, false)), pkix.ErrNoAnchor, "CN=mx.example.org,OU=xxx")
	}
	nameless := newEntity(t, "")
	err = verify(nil, r.signs(nameless, false, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0xabc) }))
	want(t, err, pkix.ErrNoAnchor, "serial number abc")
	want(t, verify(certs(root(t).cert), extend(&x509.Certificate{RawIssuer: root(t).cert.RawSubject, NotAfter: now.AddDate(1, 0, 0)}, false, nil, 1)), pkix.ErrSignature)
	if e := (&pkix.Error{Kind: pkix.ErrNoCert}); e.Error() != "certificate not trusted: no certificate presented" || !errors.Is(e, pkix.ErrUntrusted) {
		t.Errorf("%v", e)
	}
}

func TestCollect(t *testing.T) {
	fail := func(kind error, subject, detail string) *pkix.Error {
		return &pkix.Error{Kind: kind, Subject: subject, Detail: detail}
	}
	for i, c := range []struct {
		list []*pkix.Error
		n    int
	}{
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrExpired, "a", "x")}, 1},
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrPurpose, "a", "x")}, 2},
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrExpired, "b", "x")}, 2},
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrExpired, "a", "y")}, 2},
	} {
		if v := pkix.Collect(c.list...); len(v.All) != c.n || v.Kind != pkix.ErrExpired || v.Subject != "a" || v.Detail != "x" {
			t.Errorf("%d: %+v", i, v)
		}
	}
	// Of several of one rank the first is reported, and the full list keeps it.
	var list []*pkix.Error
	for i := range 40 {
		list = append(list, fail(pkix.ErrPurpose, fmt.Sprint(i), ""))
	}
	if v := pkix.Collect(list...); v.Subject != "0" || len(v.All) != 32 || v.All[31].(*pkix.Error).Subject != "31" {
		t.Errorf("%+v", v)
	}
	if v := pkix.Collect(append(list, fail(pkix.ErrExpired, "late", ""))...); v.Subject != "late" || len(v.All) != 32 {
		t.Errorf("%+v", v)
	}
	if v := pkix.Collect(fail(pkix.ErrName, "a", ""), fail(pkix.ErrBudget, "b", "")); v.Kind != pkix.ErrBudget {
		t.Errorf("%+v", v)
	}
}
