package rfc6125_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/rfc6125"
)

// certificate makes a real certificate with this raw extension and Common Name.
func certificate(t testing.TB, rawSAN []byte, commonName string) *x509.Certificate {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if rawSAN != nil {
		tmpl.ExtraExtensions = []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 3, 5}, Value: []byte{5, 0}},
			{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: rawSAN},
		}
	}
	c, err := certtest.Sign(tmpl, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Cert
}

func TestPresentedBy(t *testing.T) {
	p := rfc6125.PresentedBy(certificate(t, san(dnsName("mx.example"), dnsName("*.b.example"), srvName("_smtp.mx.example"), ipAddress(192, 0, 2, 1), dnsName("")), "the CN"))
	if diff := cmp.Diff([]string{"mx.example", "*.b.example", "", "CN=the CN"}, p.Names()); diff != "" {
		t.Error(diff)
	}
	if !p.Match(refs("a.b.example"), rfc6125.Options{}).OK || p.CommonNameCounts() {
		t.Error("the certificate's names do not count")
	}
	p = rfc6125.PresentedBy(certificate(t, nil, "mx.example"))
	if diff := cmp.Diff([]string{"CN=mx.example"}, p.Names()); diff != "" || !p.CommonNameCounts() {
		t.Error(diff)
	}
	if len(rfc6125.PresentedBy(nil).Identifiers()) != 0 {
		t.Error("nil offers names")
	}
	// An extension without octets is there all the same.
	c := certificate(t, nil, "mx.example")
	c.Extensions = append(c.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}})
	if p = rfc6125.PresentedBy(c); p.CommonNameCounts() || len(p.Identifiers()) != 2 {
		t.Errorf("%+v", p.Identifiers())
	}
}

// TestCommonNameIsOneText: what stands behind a Common Name's text makes it none.
func TestCommonNameIsOneText(t *testing.T) {
	plain := tlv(0x30, oid(2, 5, 4, 3), tlv(0x0c, []byte("mx.example")))
	longer := tlv(0x30, oid(2, 5, 4, 3), tlv(0x0c, []byte("mx.example")), tlv(0x05))
	for name, c := range map[string]struct {
		attribute []byte
		invalid   string
	}{"plain": {plain, ""}, "longer": {longer, "more than a text string"}} {
		ids := rfc6125.ParsePresented(nil, subject(rdn(c.attribute))).Identifiers()
		if len(ids) != 1 || ids[0].Kind != rfc6125.CNID || ids[0].Invalid != c.invalid {
			t.Errorf("%s: %+v", name, ids)
		}
	}
}

func TestPresentedForms(t *testing.T) {
	p := rfc6125.ParsePresented(san(
		tlv(0x81, []byte("a@b")), tlv(0xa3, tlv(0x30)), tlv(0xa4, subject()), tlv(0xa5, tlv(0x30)), tlv(0x88, []byte{42}), tlv(0x89, []byte("x")),
		tlv(0x0c, []byte("mx.example")), tlv(0xa0, oid(1, 2)), ipAddress(1, 2, 3), uri("a:b"), tlv(0xa2, dnsName("mx.example")),
	), nil)
	var forms []string
	for _, id := range p.Identifiers() {
		if id.Invalid == "" || id.Kind != 0 && id.Form != "dNSName" || id.IsWildcard() {
			t.Errorf("%+v", id)
		}
		forms = append(forms, id.Form)
	}
	if diff := cmp.Diff([]string{
		"rfc822Name", "x400Address", "directoryName", "ediPartyName", "registeredID", "subjectAltName", "subjectAltName", "otherName", "iPAddress",
		"uniformResourceIdentifier", "dNSName",
	}, forms); diff != "" {
		t.Error(diff)
	}
	if p.Match(refs("mx.example"), rfc6125.Options{SRVID: true, CNID: true}).OK {
		t.Error("a name in the wrong form matched")
	}
}

func TestPresentedBroken(t *testing.T) {
	for why, der := range map[string][]byte{
		"sequence":  {},
		"sequence ": tlv(0x31, dnsName("mx.example")),
		"malformed": tlv(0x30, dnsName("mx.example"), []byte{0x82, 9, 'x'}),
	} {
		p := rfc6125.ParsePresented(der, nil)
		ids := p.Identifiers()
		if len(ids) == 0 || !strings.Contains(ids[len(ids)-1].Invalid, strings.TrimSpace(why)) || ids[len(ids)-1].Form != "subjectAltName" || p.CommonNameCounts() {
			t.Errorf("%v: %+v", der, ids)
		}
	}
	// What was read before the fault counts: the handshake confirms none of it anyway.
	p := rfc6125.ParsePresented(tlv(0x30, dnsName("mx.example"), []byte{0x82, 9, 'x'}), nil)
	if !p.Match(refs("mx.example"), rfc6125.Options{}).OK {
		t.Error("the name before the fault is lost")
	}
}

func TestPresentedLimits(t *testing.T) {
	many := make([][]byte, rfc6125.MaxIdentifiers+1)
	for i := range many {
		many[i] = dnsName("a")
	}
	body := func(n int) []byte {
		var b []byte
		for _, m := range many[:n] {
			b = append(b, m...)
		}
		return append([]byte{0x30, 0x82, byte(len(b) >> 8), byte(len(b))}, b...)
	}
	full := rfc6125.ParsePresented(body(rfc6125.MaxIdentifiers), subject(cn("b"))).Identifiers()
	if len(full) != rfc6125.MaxIdentifiers+1 || full[rfc6125.MaxIdentifiers-1].Invalid != "" || full[rfc6125.MaxIdentifiers].Kind != rfc6125.CNID {
		t.Errorf("%d, %+v", len(full), full[len(full)-1])
	}
	over := rfc6125.ParsePresented(body(rfc6125.MaxIdentifiers+1), subject(cn("b"))).Identifiers()
	if len(over) != rfc6125.MaxIdentifiers+2 || !strings.Contains(over[rfc6125.MaxIdentifiers].Invalid, "more than") {
		t.Errorf("%d, %+v", len(over), over[len(over)-1])
	}
	rdns := make([][]byte, rfc6125.MaxIdentifiers+1)
	for i := range rdns {
		rdns[i] = cn("a")
	}
	rdns[rfc6125.MaxIdentifiers-1] = cn("mx.example")
	rdns[rfc6125.MaxIdentifiers] = cn("my.example")
	p := rfc6125.ParsePresented(nil, subject(rdns...))
	if m := p.Match(refs("my.example", "mx.example"), cnOn); len(p.Identifiers()) != rfc6125.MaxIdentifiers || m.Presented != "mx.example" {
		t.Errorf("%d Common Names: %+v", len(p.Identifiers()), m)
	}
	long := rfc6125.Identify(strings.Repeat("a.", 2000)).Text
	if len(long) > 300 || !strings.HasSuffix(long, "...") {
		t.Errorf("%d octets are shown", len(long))
	}
	for name, want := range map[string]string{`"`: `"`, `""`: `""`, `\`: `\\`, "\x7f": `\x7f`, "a~ b": "a~ b", "a\n": `a\n`, "\u00fc": `\u00fc`} {
		if text := rfc6125.Identify(name).Text; text != want {
			t.Errorf("%q is shown as %s, want %s", name, text, want)
		}
	}
	for n, want := range map[int]string{256: label(256), 257: label(256) + "..."} {
		if text := rfc6125.Identify(label(n)).Text; text != want {
			t.Errorf("%q", text)
		}
	}
}

func TestIdentifyText(t *testing.T) {
	for in, want := range map[string]string{
		"mx.example":      "mx.example",
		"MX.Example":      "MX.Example",
		"a\x1b[31mb":      `a\x1b[31mb`,
		"a\u202eb":        `a\u202eb`,
		"a\xffb":          `a\xffb`,
		`a\b"`:            `a\\b"`,
		"a b":             "a b",
		"~":               "~",
		"\x7f":            `\x7f`,
		"~\u00a0":         `~\u00a0`,
		"line\nline":      `line\nline`,
		"*.b\u00fccher.x": `*.b\u00fccher.x`,
	} {
		if id := rfc6125.Identify(in); id.Text != want || id.String() != want {
			t.Errorf("%q: %q, want %q", in, id.Text, want)
		}
	}
	for in, why := range map[string]string{
		longest: "", "*." + label(63) + "." + label(63) + "." + label(63) + "." + label(59): "",
		"*." + label(63) + "." + label(63) + "." + label(63) + "." + label(60): "253", longest + "a": "253",
		label(64): "63", "a.1": "number", "*.1": "number", "mx.example.": "dot at the end", ".": "dot at the end", "*.": "empty", "a_b": "", "[192.0.2.1]": "address", "bü": "ASCII", "a-.b": "hyphen",
		"::1": "address", "a:b": "octet",
	} {
		if got := rfc6125.Identify(in).Invalid; (why == "") != (got == "") || !strings.Contains(got, why) {
			t.Errorf("%q: %q, want %q", in, got, why)
		}
	}
}

// TestFirstOctetBeyondASCII: 0x80 is the first octet that is not ASCII, and the fault says so
// before the syntax of host names is looked at.
func TestFirstOctetBeyondASCII(t *testing.T) {
	for in, want := range map[string]string{"mx\x7f.example": `the octet "\x7f"`, "mx\x80.example": "octets that are not ASCII"} {
		if got := rfc6125.Identify(in).Invalid; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestPresentedForeignOctets: a DNS name with octets beyond ASCII proves nothing, and is
// shown with these octets escaped. Without its fault it would seem to be a name.
func TestPresentedForeignOctets(t *testing.T) {
	for _, name := range []string{"m\xfcx.example.org", "mx.example.org\x00", "mx.example\n.org"} {
		san := append([]byte{0x30, byte(len(name) + 2), 0x82, byte(len(name))}, name...)
		ids := rfc6125.ParsePresented(san, nil).Identifiers()
		if len(ids) != 1 || ids[0].Kind != rfc6125.DNSID || ids[0].Invalid == "" || ids[0].Text == name {
			t.Errorf("%q: %+v", name, ids)
		}
	}
}
