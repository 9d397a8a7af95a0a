package rfc6125_test

import (
	"bytes"
	"encoding/asn1"
	"testing"

	judges "github.com/mxauth/mxauth/conformance/sets/names"
	"github.com/mxauth/mxauth/rfc6125"
)

// The helpers here write what a certificate would hold, octet by octet, so that
// tests can put in what no CA should.

// tlv is one DER element.
func tlv(tag byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	n := len(body)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	case n >= 0x10000:
		return append([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	}
}

func san(names ...[]byte) []byte { return tlv(0x30, names...) }

func dnsName(s string) []byte { return tlv(0x82, []byte(s)) }

func ipAddress(b ...byte) []byte { return tlv(0x87, b) }

func uri(s string) []byte { return tlv(0x86, []byte(s)) }

func oid(o ...int) []byte {
	b, err := asn1.Marshal(asn1.ObjectIdentifier(o))
	if err != nil {
		panic(err)
	}
	return b
}

func srvName(s string) []byte {
	return tlv(0xa0, oid(1, 3, 6, 1, 5, 5, 7, 8, 7), tlv(0xa0, tlv(0x16, []byte(s))))
}

// cn is an RDN of one Common Name in UTF8String.
func cn(s string) []byte { return rdn(attribute(3, 0x0c, s)) }

func attribute(n int, tag byte, s string) []byte {
	return tlv(0x30, oid(2, 5, 4, n), tlv(tag, []byte(s)))
}

func rdn(attributes ...[]byte) []byte { return tlv(0x31, attributes...) }

func subject(rdns ...[]byte) []byte { return tlv(0x30, rdns...) }

// refs makes references of names as the DNS holds them.
func refs(names ...string) []rfc6125.Reference {
	var rs []rfc6125.Reference
	for _, n := range names {
		rs = append(rs, judges.Reference(n))
	}
	return rs
}

// Lengths that are not in their shortest form, or longer than what is there.
func TestDERLengths(t *testing.T) {
	body := dnsName("mx.example")
	n := byte(len(body))
	long := tlv(0x82, bytes.Repeat([]byte("a"), 200))
	for _, c := range []struct {
		san  []byte
		want bool // read as a sequence of one name
	}{
		{append([]byte{0x30, n}, body...), true},
		{append([]byte{0x30, 0x81, n}, body...), false},
		{append([]byte{0x30, 0x82, 0, n}, body...), false},
		{append([]byte{0x30, 0x80}, body...), false},
		{append([]byte{0x30, n + 1}, body...), false},
		{append([]byte{0x30, n - 1}, body...), false},
		{append([]byte{0x30, 0x84, 0, 0, 0, n}, body...), false},
		{append([]byte{0x30, 0x84, 1, 0, 0, n}, body...), false},
		{append([]byte{0x3f, n}, body...), false},
		{[]byte{0x30}, false},
		{[]byte{0x30, 0x80}, false},
		{append([]byte{0x30, 0x80}, tlv(0x82, make([]byte, 0x7e))...), false},
		{[]byte{0x30, 0x81}, false},
		{[]byte{0x30, 0x82, 1}, false},
		{tlv(0x30, long), true},
		{append([]byte{0x30, 0x82, 0, byte(len(long))}, long...), false},
		{tlv(0x30, tlv(0x82, make([]byte, 0x7f))), true},
		{tlv(0x30, tlv(0x82, make([]byte, 0x80))), true},
		{tlv(0x30, tlv(0x82, make([]byte, 0x10000))), true},
		{append([]byte{0x30, 0x84, 1, 0, 0, 0}, tlv(0x82, make([]byte, 1<<24-5))...), true},
	} {
		ids := rfc6125.ParsePresented(c.san, nil).Identifiers()
		if got := len(ids) == 1 && ids[0].Form == "dNSName"; got != c.want {
			t.Errorf("%.20x: %+v", c.san, ids)
		}
	}
}
