package replay

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/vectors/rpl"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

func key(owner rfc6125.Name, typ uint16, data []byte) string {
	return fmt.Sprintf("%s %s %x", owner, dns.Type(typ), data)
}

// recordKey is key for a record as text.
func recordKey(rr dns.RR) (string, error) {
	w, err := toWire(rr)
	if err != nil {
		return "", err
	}
	return key(w.Owner, w.Type, w.Data), nil
}

// toWire brings a record into canonical form.
func toWire(rr dns.RR) (wire.RR, error) {
	buf, err := packRecord(rr)
	if err != nil {
		return wire.RR{}, err
	}
	owner, rest, err := wire.NameAt(buf)
	if err != nil || len(rest) < 10 {
		return wire.RR{}, fmt.Errorf("replay: record %s", rr)
	}
	data, err := wire.Canonical(rr.Header().Rrtype, rest[10:])
	if err != nil {
		return wire.RR{}, fmt.Errorf("replay: record %s: %w", rr, err)
	}
	return wire.RR{Owner: owner, Type: rr.Header().Rrtype, Class: rr.Header().Class, TTL: rr.Header().Ttl, Data: data}, nil
}

// packRecord brings a record into wire form. What people have written by hand is put
// right first: bit maps out of order, and base64 cut off in the middle of an octet.
func packRecord(rr dns.RR) ([]byte, error) {
	rr = dns.Copy(rr)
	switch rr := rr.(type) {
	case *dns.NSEC:
		rr.TypeBitMap = sorted(rr.TypeBitMap)
	case *dns.NSEC3:
		rr.TypeBitMap = sorted(rr.TypeBitMap)
	case *dns.RRSIG:
		rr.Signature = lenient(rr.Signature)
	case *dns.DNSKEY:
		rr.PublicKey = lenient(rr.PublicKey)
	}
	buf := make([]byte, dns.Len(rr)+512)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("replay: record %s: %w", rr, err)
	}
	return buf[:n], nil
}

func sorted(types []uint16) []uint16 {
	slices.Sort(types)
	return slices.Compact(types)
}

// lenient decodes base64 as far as it goes and encodes it again.
func lenient(s string) string {
	s = strings.TrimRight(s, "=")
	for len(s) > 0 {
		if b, err := base64.RawStdEncoding.DecodeString(s); err == nil {
			return base64.StdEncoding.EncodeToString(b)
		}
		s = s[:len(s)-1]
	}
	return ""
}

// packResponse makes the response of a recursive server that was asked with CD and DO.
func packResponse(q *dns.Msg, rcode int, answer, authority []dns.RR) ([]byte, error) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Rcode = rcode
	m.RecursionAvailable, m.CheckingDisabled = true, true
	m.SetEdns0(wire.DefaultUDPSize, true)
	opt, err := packRecord(m.Extra[0])
	if err != nil {
		return nil, err
	}
	m.Extra = nil
	b, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	for i, section := range [][]dns.RR{answer, authority} {
		binary.BigEndian.PutUint16(b[6+2*i:], uint16(len(section)))
		for _, rr := range section {
			r, err := packRecord(rr)
			if err != nil {
				return nil, err
			}
			b = append(b, r...)
		}
	}
	binary.BigEndian.PutUint16(b[10:], 1)
	if b = append(b, opt...); len(b) > wire.MaxMessage {
		return nil, fmt.Errorf("replay: a response of %d octets", len(b))
	}
	return b, nil
}

// applies says by the content of a scenario whether a validating stub can play it.
func applies(f *rpl.File) error {
	for _, o := range f.Options {
		switch o.Name {
		case "auth-zone":
			return fmt.Errorf("%w: the resolver serves a zone of its own", ErrNotApplicable)
		}
	}
	return nil
}
