package rfc6125_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/rfc6125"
)

// What parses prints and parses back to the same; an error returns nothing.

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", ".", "example.org", `\046.\..x`, longest, `_25._tcp.*.\000`, "bü.de.", `\255`, "a..b", `a\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := rfc6125.ParseName(s)
		if err != nil {
			if !errors.Is(err, rfc6125.ErrName) || n.IsValid() {
				t.Fatalf("%v, %q", err, n)
			}
			return
		}
		checkName(t, n)
	})
}

func FuzzNameFromWire(f *testing.F) {
	for _, b := range []string{"", "\x00", "\x01a\x00", "\x03WWW\x01.\x00", "\xc0\x00", "\x40a\x00", "\x01a\x00\x00"} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := rfc6125.NameFromWire(b)
		if err != nil {
			if !errors.Is(err, rfc6125.ErrName) || n.IsValid() {
				t.Fatalf("%v, %q", err, n)
			}
			return
		}
		if n.WireLen() != len(b) || !strings.EqualFold(string(n.Wire()), string(b)) {
			t.Fatalf("%x became %x", b, n.Wire())
		}
		checkName(t, n)
	})
}

func checkName(t *testing.T, n rfc6125.Name) {
	if m, err := rfc6125.ParseName(n.String()); err != nil || m != n {
		t.Fatalf("%q reads back as %q, %v", n, m, err)
	}
	if m, err := rfc6125.NameFromWire(n.Wire()); err != nil || m != n {
		t.Fatalf("%x reads back as %q, %v", n.Wire(), m, err)
	}
	if n.WireLen() > 255 || n.NumLabels() > 127 || n.Compare(n) != 0 || !n.IsSubdomainOf(n) || n.Ancestor(n.NumLabels()) != n {
		t.Fatalf("%q breaks a law", n)
	}
	if !n.IsRoot() && (!n.IsSubdomainOf(n.Parent()) || n.Parent().IsSubdomainOf(n) || n.Compare(n.Parent()) != 1) {
		t.Fatalf("%q and its parent", n)
	}
	if !isPrintable(n.FQDN()) {
		t.Fatalf("%q is not safe to print", n.FQDN())
	}
	if h, err := rfc6125.HostFromName(n); err == nil {
		checkHost(t, h)
		if h.Name() != n {
			t.Fatalf("%q as a host is %q", n, h)
		}
	} else if h.IsValid() || !errors.Is(err, rfc6125.ErrHost) {
		t.Fatalf("%v, %q", err, h)
	}
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func checkHost(t *testing.T, h rfc6125.Host) {
	b, err := h.MarshalText()
	var g rfc6125.Host
	if err != nil || g.UnmarshalText(b) != nil || g != h {
		t.Fatalf("%q does not survive its text", h)
	}
	if n := len(h.String()); n == 0 || n > 253 || !isPrintable(h.String()) || strings.ToLower(h.String()) != h.String() {
		t.Fatalf("%q", h)
	}
	if !h.Name().IsValid() {
		t.Fatalf("%q is no name", h)
	}
	for _, r := range h.Unicode() {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || 0x200b <= r && r <= 0x200f || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			t.Fatalf("%+q is not safe to print", h.Unicode())
		}
	}
	if m := offer(h.String()).Match([]rfc6125.Reference{rfc6125.NewReference(h)}, rfc6125.Options{}); !m.OK && rfc6125.Identify(h.String()).Invalid == "" {
		t.Fatalf("%q does not match itself", h)
	}
}

func FuzzParseHost(f *testing.F) {
	for _, s := range []string{
		"", ".", "example.org.", "bücher.example", "xn--bcher-kva.example", "xn--a", "ｍｘ。example", "אב.example", "192.0.2.1", "[IPv6:::1]",
		"a_b.c", "-a", "\u0915\u094d\u200d\u0937", "ｘｎ－－a", "faẞ.de", "a\u0308", "☕",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := rfc6125.ParseHost(s)
		if err != nil {
			if !errors.Is(err, rfc6125.ErrHost) || h.IsValid() {
				t.Fatalf("%v, %q", err, h)
			}
			return
		}
		checkHost(t, h)
		if g, err := rfc6125.ParseHost(h.String()); err != nil || g != h {
			t.Fatalf("%+q: %q reads back as %q, %v", s, h, g, err)
		}
		if g, err := rfc6125.ParseHost(h.Unicode()); err != nil || g != h {
			t.Fatalf("%+q: %+q reads back as %q, %v", s, h.Unicode(), g, err)
		}
	})
}

func FuzzPresented(f *testing.F) {
	f.Add(san(dnsName("mx.example"), srvName("_imap.mx.example"), ipAddress(1, 2, 3, 4), uri("a:b")), subject(cn("mx.example")))
	f.Add([]byte{}, []byte{})
	f.Add(tlv(0x30, []byte{0x82, 9}), subject(rdn(attribute(3, 0x1e, "\x00a"), attribute(3, 0x0c, "*.a"))))
	f.Fuzz(func(t *testing.T, san, subject []byte) {
		p := rfc6125.ParsePresented(san, subject)
		ids := p.Identifiers()
		if len(ids) > rfc6125.MaxIdentifiers+1+len(subject) {
			t.Fatalf("%d identifiers", len(ids))
		}
		for _, name := range p.Names() {
			if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%q is not safe to print", name)
			}
		}
		rs := append(refs("mx.example", "a"), rfc6125.Reference{})
		for _, o := range []rfc6125.Options{{}, {CNID: true, SRVID: true}} {
			m := p.Match(rs, o)
			proved := false
			for _, v := range p.Explain(rs, o) {
				proved = proved || v.OK
				if v.OK && (v.Identifier.Invalid != "" || v.Identifier.Kind == 0 || v.Identifier.Kind != rfc6125.DNSID && o == rfc6125.Options{}) {
					t.Fatalf("%+v", v)
				}
			}
			if proved != m.OK || m.OK && !m.Reference.IsValid() {
				t.Fatalf("Match %+v, Explain %v", m, proved)
			}
		}
	})
}

func FuzzSubtree(f *testing.F) {
	f.Add("example.com", "*.example.com")
	f.Add(".a", "b.a")
	f.Add("", "a b")
	f.Fuzz(func(t *testing.T, tree, name string) {
		s, err := rfc6125.ParseSubtree(tree)
		if err != nil {
			if !errors.Is(err, rfc6125.ErrSubtree) {
				t.Fatal(err)
			}
			return
		}
		id := rfc6125.Identify(name)
		// What lies wholly inside also meets.
		if s.Permits(id) && !s.Excludes(id) {
			t.Fatalf("%q permits %q and does not exclude it", tree, name)
		}
		if id.Invalid != "" && (s.Permits(id) || !s.Excludes(id)) {
			t.Fatalf("%q and the malformed %q", tree, name)
		}
	})
}
