package rfc6125_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/rfc6125"
)

// offer makes what a certificate with these dNSNames and no subject presents.
func offer(names ...string) rfc6125.Presented {
	var ns [][]byte
	for _, n := range names {
		ns = append(ns, dnsName(n))
	}
	return rfc6125.ParsePresented(san(ns...), nil)
}

// proves reports whether the presented dNSName proves the name.
func proves(presented, name string) bool {
	return offer(presented).Match(refs(name), rfc6125.Options{}).OK
}

func expect(t *testing.T, want bool, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := proves(pairs[i], pairs[i+1]); got != want {
			t.Errorf("%q proves %q: %v", pairs[i], pairs[i+1], got)
		}
	}
}

var (
	cnOn  = rfc6125.Options{CNID: true}
	srvOn = rfc6125.Options{SRVID: true}
)

func serviceRef(t *testing.T, service, host string) rfc6125.Reference {
	t.Helper()
	r, err := rfc6125.NewServiceReference(service, mustHost(t, host))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMatch9525(t *testing.T) {
	t.Run("SID9525-2-01 a Common Name identifies nothing", func(t *testing.T) {
		p := rfc6125.ParsePresented(nil, subject(cn("mx.example")))
		if m := p.Match(refs("mx.example"), rfc6125.Options{}); m != (rfc6125.Match{}) {
			t.Errorf("%+v", m)
		}
	})
	t.Run("SID9525-2-02 no address is a reference", func(t *testing.T) {
		if r, err := rfc6125.ParseReference("192.0.2.1"); !errors.Is(err, rfc6125.ErrAddress) || r.IsValid() {
			t.Errorf("%v, %v", r, err)
		}
		if r, err := rfc6125.ParseReference("2001:db8::1"); !errors.Is(err, rfc6125.ErrAddress) || r.IsValid() {
			t.Errorf("%v, %v", r, err)
		}
	})
	t.Run("SID9525-6.1.1-01 only what the caller expects is proved", func(t *testing.T) {
		p := offer("mx.example", "*.example")
		for _, rs := range [][]rfc6125.Reference{nil, {{}}, refs("other.test")} {
			if m := p.Match(rs, rfc6125.Options{CNID: true, SRVID: true}); m != (rfc6125.Match{}) {
				t.Errorf("%v: %+v", rs, m)
			}
		}
	})
	t.Run("SID9525-6.1.1-02 a name outside the list proves nothing", func(t *testing.T) {
		// The alias target that an unsigned CNAME gave is not in the list.
		if offer("target.evil.example").Match(refs("mx.example.org"), rfc6125.Options{}).OK {
			t.Error("matched")
		}
	})
	t.Run("SID9525-6.2-01 the search stops at the first reference that is proved", func(t *testing.T) {
		p := offer("b.example", "c.example", "a.example")
		m := p.Match(refs("x.example", "c.example", "a.example"), rfc6125.Options{})
		if !m.OK || m.Reference != refs("c.example")[0] || m.Presented != "c.example" || m.Kind != rfc6125.DNSID {
			t.Errorf("%+v", m)
		}
	})
	t.Run("SID9525-6.2-02 an address entry matches no name", func(t *testing.T) {
		p := rfc6125.ParsePresented(san(ipAddress(192, 0, 2, 1), ipAddress(192, 0, 2, 0, 255, 255, 255, 0), ipAddress()), nil)
		if p.Match(append(refs("mx.example"), rfc6125.Reference{}), rfc6125.Options{}).OK {
			t.Error("matched")
		}
		if ids := p.Identifiers(); len(ids) != 3 || ids[0].Kind != 0 || ids[0].String() != "iPAddress=192.0.2.1" || ids[1].Text == "192.0.2.0" || ids[0].Invalid == "" {
			t.Errorf("%+v", ids)
		}
	})
	t.Run("SID9525-6.2-03 names, addresses and services have their own rules", func(t *testing.T) {
		expect(t, false, "192.0.2.1", "192.0.2.1", "[192.0.2.1]", "192.0.2.1")
		p := rfc6125.ParsePresented(san(srvName("_imap.mx.example")), nil)
		if p.Match([]rfc6125.Reference{serviceRef(t, "smtp", "mx.example")}, srvOn).OK || p.Match(refs("mx.example"), srvOn).OK {
			t.Error("another service matched")
		}
	})
	t.Run("SID9525-6.3-01 labels are compared one by one without regard to case", func(t *testing.T) {
		expect(t, true, "WWW.Example.com", "www.example.COM", "a", "A")
		expect(t, false, "example.com", "www.example.com", "www.example.com", "example.com", "ww.example.com", "www.example.com",
			"www.example.co", "www.example.com", "www.example.com", "www.example.co", "xexample.com", "example.com", "example.com", "xexample.com")
	})
	t.Run("SID9525-6.3-02 a U-label of the reference is compared as A-label", func(t *testing.T) {
		ref, err := rfc6125.ParseReference("bücher.example")
		if err != nil || !offer("XN--BCHER-KVA.example").Match([]rfc6125.Reference{ref}, rfc6125.Options{}).OK {
			t.Errorf("%v, %v", ref, err)
		}
		if offer("bücher.example").Match([]rfc6125.Reference{ref}, rfc6125.Options{}).OK {
			t.Error("a U-label in a certificate matched")
		}
	})
	t.Run("SID9525-6.3-03 a whole left-most label may be an asterisk", func(t *testing.T) {
		expect(t, true, "*.example.com", "a.example.com", "*.Example.com", "A.example.COM", "*.example.com", "xn--a.example.com",
			"*.example.com", "_x.example.com", "*.example.com", "-.example.com", "*.com", "example.com")
		m := offer("x.test", "*.Example.com").Match(refs("a.example.com"), rfc6125.Options{})
		if m.Presented != "*.Example.com" {
			t.Errorf("%+v", m)
		}
	})
	t.Run("SID9525-6.3-04 any other asterisk makes the name invalid", func(t *testing.T) {
		for _, n := range []string{"a*.example.com", "*a.example.com", "*.*.example.com", "a.*.example.com", "xn--*.example.com", "**.example.com", "a.*", "*", "*."} {
			if id := rfc6125.Identify(n); !strings.Contains(id.Invalid, "asterisk") && !strings.Contains(id.Invalid, "empty") || id.IsWildcard() {
				t.Errorf("%q: %q", n, id.Invalid)
			}
		}
		expect(t, false, "a*.example.com", "ab.example.com", "*.*.example.com", "a.b.example.com", "a.*.example.com", "a.b.example.com",
			"xn--*.example.com", "xn--a.example.com", "*", "com", "**.example.com", "a.example.com")
	})
	t.Run("SID9525-6.3-05 an asterisk is one label and the reference has none", func(t *testing.T) {
		expect(t, false, "*.example.com", "example.com", "*.example.com", "a.b.example.com", "*.example.com", ".example.com",
			"*.example.com", "*.example.com", "*.example.com", "aexample.com", "*.example.com", "a.xexample.com", "*.b", "b")
		if _, err := rfc6125.ParseReference("*.example.com"); !errors.Is(err, rfc6125.ErrHost) {
			t.Errorf("%v", err)
		}
	})
	t.Run("SID9525-6.4-01 addresses of another length differ", func(t *testing.T) {
		ids := rfc6125.ParsePresented(san(ipAddress(192, 0, 2, 1), ipAddress(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1)), nil).Identifiers()
		if ids[0].Text != "192.0.2.1" || ids[1].Text != "::ffff:192.0.2.1" {
			t.Errorf("%+v", ids)
		}
	})
	t.Run("SID9525-6.5-01 service and name come from one identifier", func(t *testing.T) {
		p := rfc6125.ParsePresented(san(srvName("_smtp.a.example"), dnsName("b.example")), nil)
		if p.Match([]rfc6125.Reference{serviceRef(t, "smtp", "b.example")}, srvOn).OK {
			t.Error("a service was put before another's name")
		}
		m := p.Match([]rfc6125.Reference{serviceRef(t, "SMTP", "A.example")}, srvOn)
		if !m.OK || m.Kind != rfc6125.SRVID || m.Presented != "_smtp.a.example" {
			t.Errorf("%+v", m)
		}
		if p.Match([]rfc6125.Reference{serviceRef(t, "smtp", "a.example")}, rfc6125.Options{}).OK {
			t.Error("an SRV-ID counts though nobody asked")
		}
	})
	t.Run("SID9525-6.6-01 the proved reference is the validated identity", func(t *testing.T) {
		rs := refs("a.example", "b.example")
		if m := offer("*.example").Match(rs[1:], rfc6125.Options{}); m.Reference != rs[1] {
			t.Errorf("%+v", m)
		}
	})
	t.Run("PKIX5280-7.2-01 names are equal as a whole", func(t *testing.T) {
		expect(t, true, "EXAMPLE.COM", "example.com")
		expect(t, false, "ample.com", "example.com", "example.com", "ample.com")
	})
}

func TestMatch6125(t *testing.T) {
	t.Run("SID6125-6.2.1-01 no attribute but the Common Name", func(t *testing.T) {
		p := rfc6125.ParsePresented(nil, subject(rdn(attribute(10, 0x0c, "mx.example")), rdn(attribute(11, 0x0c, "mx.example"))))
		if p.Match(refs("mx.example"), cnOn).OK || len(p.Identifiers()) != 0 {
			t.Errorf("%+v", p.Identifiers())
		}
	})
	t.Run("SID6125-6.2.1-02 names of an insecure DNS are not in the list", func(t *testing.T) {
		p := rfc6125.ParsePresented(nil, subject(cn("target.example")))
		if m := p.Match(refs("mx.example"), cnOn); m.OK {
			t.Errorf("%+v", m)
		}
	})
	t.Run("SID6125-6.2.1-03 a CN-ID counts where the option is on", func(t *testing.T) {
		p := rfc6125.ParsePresented(nil, subject(cn("MX.example")))
		m := p.Match(refs("mx.example"), cnOn)
		if !m.OK || m.Kind != rfc6125.CNID || m.Presented != "MX.example" {
			t.Errorf("%+v", m)
		}
		if p.Match(refs("mx.example"), rfc6125.Options{SRVID: true, NoTopLevelWildcard: true}).OK {
			t.Error("another option lets it count")
		}
	})
	others := map[string][]byte{
		"DNS-ID":       dnsName("other.example"),
		"bad DNS-ID":   dnsName("a b"),
		"odd DNS-ID":   tlv(0xa2, []byte("mx.example")),
		"empty DNS-ID": dnsName(""),
		"SRV-ID":       srvName("_imap.other.example"),
		"bad SRV-ID":   srvName("imap"),
		"URI-ID":       uri("sip:other.example"),
	}
	t.Run("SID6125-6.4.4-01 a CN-ID is not looked at beside other identifiers", func(t *testing.T) {
		for name, san1 := range others {
			p := rfc6125.ParsePresented(san(san1), subject(cn("mx.example")))
			if p.CommonNameCounts() || p.Match(refs("mx.example"), rfc6125.Options{CNID: true, SRVID: true}).OK {
				t.Errorf("it counts beside a %s", name)
			}
		}
		for _, broken := range [][]byte{{}, {0x30, 5, 1}, tlv(0x31, dnsName("a")), append(san(dnsName("a")), 0), {0x30, 2, 0x82, 9}, tlv(0x10)} {
			p := rfc6125.ParsePresented(broken, subject(cn("mx.example")))
			if p.Match(refs("mx.example"), cnOn).OK {
				t.Errorf("it counts beside a broken extension %v", broken)
			}
		}
		// An address or a mailbox says nothing about host names.
		for _, beside := range [][]byte{ipAddress(192, 0, 2, 1), tlv(0x81, []byte("a@b")), tlv(0xa0, oid(1, 2, 3), tlv(0xa0, tlv(0x16)))} {
			p := rfc6125.ParsePresented(san(beside), subject(cn("mx.example")))
			if !p.Match(refs("mx.example"), cnOn).OK {
				t.Errorf("it does not count beside %v", beside)
			}
		}
	})
	t.Run("DANE7672-3.2.3-01 only DNS-IDs are compared where there is one", func(t *testing.T) {
		p := rfc6125.ParsePresented(san(dnsName("other.example")), subject(cn("mx.example")))
		if p.Match(refs("mx.example"), cnOn).OK {
			t.Error("the CN counts beside a DNS-ID")
		}
		p = rfc6125.ParsePresented(nil, subject(cn("mx.example")))
		if !p.CommonNameCounts() || !p.Match(refs("mx.example"), cnOn).OK || p.Match(refs("mx.example"), rfc6125.Options{}).OK {
			t.Error("without a DNS-ID the option does not decide")
		}
	})
	t.Run("SID6125-6.4.4-02 a Common Name obeys the rules of a DNS-ID", func(t *testing.T) {
		for _, c := range []struct {
			subject []byte
			want    bool
		}{
			{subject(cn("*.example")), true},
			{subject(cn("M*.example")), false},
			{subject(cn("mx.example.")), false},
			{subject(cn("mx example")), false},
			{subject(cn("mx.example\x00.evil")), false},
			{subject(cn("The mx.example")), false},
			{subject(rdn(attribute(3, 0x13, "mx.example"))), true},
			{subject(rdn(attribute(3, 0x14, "mx.example"))), true},
			{subject(rdn(attribute(3, 0x16, "mx.example"))), true},
			{subject(rdn(attribute(3, 0x1e, "\x00m\x00x"))), false},
			{subject(rdn(attribute(3, 0x04, "mx.example"))), false},
			{subject(rdn(tlv(0x30, oid(2, 5, 4, 3), tlv(0x8c, []byte("mx.example"))))), false},
			{subject(rdn(tlv(0x30, oid(2, 5, 4, 3), tlv(0x2c, []byte("mx.example"))))), false},
			{subject(rdn(attribute(3, 0x0c, "mx.example"), attribute(10, 0x0c, "x"))), true},
			{subject(rdn(attribute(3, 0x0c, "mx.example"), attribute(3, 0x0c, "my.example"))), false},
			{subject(rdn(attribute(3, 0x0c, "mx.example"), attribute(3, 0x0c, "*.example"))), false},
			{subject(cn("other"), cn("mx.example")), true},
			{subject(cn("mx.example"), cn("other")), true},
			{append(subject(cn("mx.example")), 0), false},
			{subject(rdn(tlv(0x31, oid(2, 5, 4, 3), tlv(0x0c, []byte("mx.example"))))), false},
			{subject(rdn(tlv(0x30, tlv(0x04, []byte{0x55, 4, 3}), tlv(0x0c, []byte("mx.example"))))), false},
			{subject(rdn(tlv(0x30, oid(2, 5, 4, 3), tlv(0x0c, []byte("mx.example")), []byte{5, 0}))), false},
			{subject(rdn(tlv(0x30, oid(2, 5, 4, 3)))), false},
			{subject([]byte{0x31, 9}, cn("mx.example")), false},
			{subject(tlv(0x30, attribute(3, 0x0c, "mx.example"))), false},
			{nil, false},
		} {
			p := rfc6125.ParsePresented(nil, c.subject)
			if got := p.Match(refs("mx.example"), cnOn).OK; got != c.want {
				t.Errorf("%q: %v, want %v", p.Names(), got, c.want)
			}
		}
	})
	both := []rfc6125.Options{{}, {CNID: true, SRVID: true}}
	t.Run("SID6125-6.4.3-01 no wildcard elsewhere, none across labels", func(t *testing.T) {
		for _, o := range both {
			if offer("bar.*.example.net", "*.example.com").Match(refs("bar.foo.example.net", "a.b.example.com"), o).OK {
				t.Errorf("matched with %+v", o)
			}
		}
	})
	t.Run("SID6125-6.4.3-02 partial wildcards never match", func(t *testing.T) {
		for _, o := range both {
			if offer("baz*.example.net", "*baz.example.net", "b*z.example.net").Match(refs("baz1.example.net", "foobaz.example.net", "buzz.example.net"), o).OK {
				t.Errorf("matched with %+v", o)
			}
		}
	})
	t.Run("SID6125-6.4.3-03 no wildcard inside an A-label", func(t *testing.T) {
		for _, o := range both {
			if offer("xn--k*.example", "xn--*.example").Match(refs("xn--kva.example"), o).OK {
				t.Errorf("matched with %+v", o)
			}
		}
	})
	t.Run("DANE7672-3.2.3-02 a whole first label may be an asterisk, else the name is invalid", func(t *testing.T) {
		expect(t, true, "*.example.com", "mx1.example.com")
		expect(t, false, "smtp*.example.com", "smtp1.example.com", "smtp.*.com", "smtp.example.com")
	})
	t.Run("DANE7672-3.2.3-03 an asterisk covers no second label", func(t *testing.T) {
		expect(t, false, "*.example.com", "a.b.example.com")
	})
	t.Run("PKIX5280-4.2.1.6-01 a dNSName in no preferred syntax never matches", func(t *testing.T) {
		for _, n := range []string{" ", "", "bücher.example", "a b.example", "b\xfc.example", "mx.example.", "-a.example", "a-.example", "a..example", ".example", "a/b"} {
			if id := rfc6125.Identify(n); id.Invalid == "" {
				t.Errorf("%q is valid", n)
			}
		}
		expect(t, false, " ", " ", "", "", "bücher.example", "xn--bcher-kva.example", "\u212aelvin.example", "kelvin.example", "mx.example.", "mx.example")
	})
	t.Run("PKIX5280-4.2.1.6-02 a NUL ends no name", func(t *testing.T) {
		expect(t, false, "mx.example\x00.evil.example", "mx.example", "mx.example\x00", "mx.example", "\x00mx.example", "mx.example")
		if ns := offer("mx.example\x00.evil").Names(); !cmp.Equal(ns, []string{`mx.example\x00.evil`}) {
			t.Errorf("%q", ns)
		}
	})
	t.Run("PKIX5280-4.2.1.6-03 the asterisk means something here and nothing in constraints' syntax", func(t *testing.T) {
		expect(t, true, "*.example.com", "a.example.com")
		if _, err := rfc6125.ParseSubtree("*.example.com"); !errors.Is(err, rfc6125.ErrSubtree) {
			t.Errorf("%v", err)
		}
	})
	t.Run("SID9525-7.6-01 constraints on names bind services too", func(t *testing.T) {
		tree, err := rfc6125.ParseSubtree("example.com")
		if err != nil {
			t.Fatal(err)
		}
		ids := rfc6125.ParsePresented(san(srvName("_smtp.mx.example.com"), srvName("_smtp.other.test")), nil).Identifiers()
		if !tree.Permits(ids[0]) || tree.Permits(ids[1]) || !tree.Excludes(ids[0]) || tree.Excludes(ids[1]) {
			t.Errorf("%+v", ids)
		}
	})
}

func TestNoTopLevelWildcard(t *testing.T) {
	o := rfc6125.Options{NoTopLevelWildcard: true}
	for name, want := range map[string]bool{"*.com": false, "example.com": true, "*.example.com": true} {
		if got := offer(name).Match(refs("example.com", "a.example.com"), o).OK; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// An asterisk that may not count does not hide a name that may.
	if m := offer("*.com", "example.com").Match(refs("example.com"), o); m.Presented != "example.com" {
		t.Errorf("%+v", m)
	}
}

func TestSRV(t *testing.T) {
	for _, c := range []struct {
		san  []byte
		want bool
	}{
		{srvName("_imap.example.org"), true},
		{srvName("_IMAP.Example.ORG"), true},
		{srvName("imap.example.org"), false},
		{srvName("_imap"), false},
		{srvName("_imap.*.example.org"), false},
		{srvName("_imap.example.org."), false},
		{srvName("_.example.org"), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7), tlv(0xa0, tlv(0x0c, []byte("_imap.example.org")))), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7), tlv(0xa1, tlv(0x16, []byte("_imap.example.org")))), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7), tlv(0x80, tlv(0x16, []byte("_imap.example.org")))), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7), tlv(0xa0, tlv(0x16, []byte("_imap.example.org")), []byte{5, 0})), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7), tlv(0xa0, tlv(0x16, []byte("_imap.example.org"))), []byte{5, 0}), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7), tlv(0x30, tlv(0x16, []byte("_imap.example.org")))), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7)), false},
		{tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 6), tlv(0xa0, tlv(0x16, []byte("_imap.example.org")))), false},
		{tlv(0xa0, []byte{6, 9}), false},
		{tlv(0xa0, tlv(0x04, []byte("\x2b\x06\x01\x05\x05\x07\x08\x07")), tlv(0xa0, tlv(0x16, []byte("_imap.example.org")))), false},
	} {
		p := rfc6125.ParsePresented(san(c.san), nil)
		ref := []rfc6125.Reference{serviceRef(t, "imap", "example.org")}
		if got := p.Match(ref, srvOn).OK; got != c.want {
			t.Errorf("%+v: %v", p.Identifiers(), got)
		}
	}
	ids := rfc6125.ParsePresented(san(srvName("_imap.*.example.org"), srvName("_imap.*.b"), srvName("_i_m.b"), srvName("_imap.example.org")), nil).Identifiers()
	for i, want := range []string{"wildcard in an SRVName", "wildcard in an SRVName", "_service.name", ""} {
		if !strings.Contains(ids[i].Invalid, want) || want == "" && ids[i].Invalid != "" || ids[i].IsWildcard() {
			t.Errorf("%+v, want %q", ids[i], want)
		}
	}
	if ids[3].String() != "SRVName=_imap.example.org" || ids[3].Kind != rfc6125.SRVID {
		t.Errorf("%+v", ids[3])
	}
}

func TestReference(t *testing.T) {
	h := mustHost(t, "mx.example")
	r := rfc6125.NewReference(h)
	if r.Host() != h || r.Service() != "" || r.String() != "mx.example" || !r.IsValid() {
		t.Errorf("%+v", r)
	}
	if (rfc6125.Reference{}).IsValid() || (rfc6125.Reference{}).String() != "" {
		t.Error("the zero Reference is something")
	}
	s := serviceRef(t, "IMAPS", "mx.example")
	if s.Service() != "imaps" || s.String() != "_imaps.mx.example" || s.Host() != h || s == r {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"", "_imap", "a--b", "-a", "a-", "a_b", "1234", "sixteencharacter", "a b", "ü", "a.b"} {
		if _, err := rfc6125.NewServiceReference(bad, h); !errors.Is(err, rfc6125.ErrService) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{"a", "z", "fifteencharacte", "1-a", "9z", "pop3s"} {
		if _, err := rfc6125.NewServiceReference(good, h); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if _, err := rfc6125.NewServiceReference("imap", rfc6125.Host{}); !errors.Is(err, rfc6125.ErrHost) {
		t.Errorf("the zero Host: %v", err)
	}
	if r, err := rfc6125.ParseReference("MX.example."); err != nil || r != rfc6125.NewReference(h) {
		t.Errorf("%v, %v", r, err)
	}
	for k, want := range map[rfc6125.Kind]string{0: "other", rfc6125.DNSID: "DNS-ID", rfc6125.SRVID: "SRV-ID", rfc6125.CNID: "CN-ID", 9: "other"} {
		if k.String() != want {
			t.Errorf("%d: %q", k, k)
		}
	}
}

func TestExplain(t *testing.T) {
	p := rfc6125.ParsePresented(san(
		dnsName("mx.example"), dnsName("*.example"), dnsName("a*.example"), dnsName("other.test"), srvName("_imap.mx.example"),
		srvName("_smtp.mx.example"), ipAddress(192, 0, 2, 1), uri("https://mx.example/"), dnsName("*.mx.example"), dnsName("*.b.a.mx.example"),
		tlv(0x81, []byte("a@mx.example")), dnsName("*.com"),
	), subject(cn("Mail of mx.example"), cn("mx.example")))
	why := func(rs []rfc6125.Reference, o rfc6125.Options) []string {
		var ws []string
		for _, v := range p.Explain(rs, o) {
			if v.OK != (v.Mismatch == rfc6125.MismatchNone) || v.OK != v.Reference.IsValid() {
				t.Errorf("%+v", v)
			}
			w := v.Mismatch.String()
			switch {
			case v.OK:
				w = "proves " + v.Reference.String()
			case v.Mismatch == rfc6125.MismatchInvalid:
				w = v.Identifier.Invalid
			}
			ws = append(ws, v.Identifier.String()+": "+w)
		}
		return ws
	}
	const (
		another = "other-name"
		one     = "one-label"
		cnNo    = "common-name"
		srvNo   = "srv-id-off"
	)
	rest := []string{
		"iPAddress=192.0.2.1: an address proves no host name",
		"uniformResourceIdentifier=https://mx.example/: a URI proves no host name",
	}
	if diff := cmp.Diff([]string{
		"mx.example: proves mx.example", "*.example: proves mx.example", "a*.example: an asterisk that is not the whole left-most label",
		"other.test: " + another, "SRVName=_imap.mx.example: " + srvNo, "SRVName=_smtp.mx.example: " + srvNo, rest[0], rest[1],
		"*.mx.example: " + one, "*.b.a.mx.example: " + another, "rfc822Name=a@mx.example: proves no host name", "*.com: " + another,
		`CN=Mail of mx.example: the octet " "`, "CN=mx.example: " + cnNo,
	}, why(refs("x.test", "mx.example"), rfc6125.Options{})); diff != "" {
		t.Error(diff)
	}
	imap := []rfc6125.Reference{serviceRef(t, "imap", "mx.example")}
	got := why(append(imap, refs("a.b.example", "x.com")...), rfc6125.Options{CNID: true, SRVID: true, NoTopLevelWildcard: true})
	if diff := cmp.Diff([]string{
		"mx.example: no-service", "*.example: top-level-wildcard", "a*.example: an asterisk that is not the whole left-most label",
		"other.test: " + another, "SRVName=_imap.mx.example: proves _imap.mx.example", "SRVName=_smtp.mx.example: other-service", rest[0], rest[1],
		"*.mx.example: " + one, "*.b.a.mx.example: " + another, "rfc822Name=a@mx.example: proves no host name", "*.com: top-level-wildcard",
		`CN=Mail of mx.example: the octet " "`, "CN=mx.example: common-name-with-san",
	}, got); diff != "" {
		t.Error(diff)
	}
	if w := rfc6125.ParsePresented(san(srvName("_imap.mx.example")), nil).Explain(refs("mx.example"), srvOn); w[0].Mismatch != rfc6125.MismatchServiceOnly {
		t.Errorf("%+v", w)
	}
	for i, c := range []struct {
		presented, service, host, why string
	}{
		{"_imap.mx.example", "", "mx.example", "service-only"},
		{"_imap.mx.example", "smtp", "mx.example", "other-service"},
		{"_imap.mx.example", "imap", "my.example", another},
		{"_imap.mx.example", "", "my.example", another},
		{"mx.example", "imap", "mx.example", "no-service"},
		{"*.example", "imap", "mx.example", "no-service"},
		{"*.example", "imap", "a.mx.example", one},
		{"*.example", "imap", "example", one},
		{"*.example", "", "xexample", another},
	} {
		p, ref := offer(c.presented), refs(c.host)
		if c.presented[0] == '_' {
			p = rfc6125.ParsePresented(san(srvName(c.presented)), nil)
		}
		if c.service != "" {
			ref[0] = serviceRef(t, c.service, c.host)
		}
		if w := p.Explain(ref, srvOn); len(w) != 1 || w[0].Mismatch.String() != c.why || w[0].OK {
			t.Errorf("%d: %+v, want %q", i, w, c.why)
		}
	}
	if w := offer("a").Explain(nil, rfc6125.Options{}); w[0].Mismatch != rfc6125.MismatchNoReference {
		t.Errorf("%+v", w)
	}
	if len((rfc6125.Presented{}).Explain(imap, srvOn)) != 0 || (rfc6125.Presented{}).Match(imap, srvOn).OK || !(rfc6125.Presented{}).CommonNameCounts() {
		t.Error("the zero Presented offers something")
	}
	// Explain and Match agree.
	for _, o := range []rfc6125.Options{{}, srvOn, cnOn} {
		ok := false
		for _, v := range p.Explain(imap, o) {
			ok = ok || v.OK
		}
		if ok != p.Match(imap, o).OK {
			t.Errorf("they differ with %+v", o)
		}
	}
}
