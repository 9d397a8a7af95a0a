package dnssec

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Type is a DNS RR type.
type Type uint16

// The types that mxauth asks for or meets.
const (
	TypeA      Type = 1
	TypeNS     Type = 2
	TypeCNAME  Type = 5
	TypeSOA    Type = 6
	TypeMX     Type = 15
	TypeTXT    Type = 16
	TypeAAAA   Type = 28
	TypeDNAME  Type = 39
	TypeDS     Type = 43
	TypeRRSIG  Type = 46
	TypeNSEC   Type = 47
	TypeDNSKEY Type = 48
	TypeNSEC3  Type = 50
	TypeTLSA   Type = 52
)

// String prints the mnemonic, or TYPEnnn (RFC 3597 section 5).
func (t Type) String() string {
	switch t {
	case TypeA:
		return "A"
	case TypeNS:
		return "NS"
	case TypeCNAME:
		return "CNAME"
	case TypeSOA:
		return "SOA"
	case TypeMX:
		return "MX"
	case TypeTXT:
		return "TXT"
	case TypeAAAA:
		return "AAAA"
	case TypeDNAME:
		return "DNAME"
	case TypeDS:
		return "DS"
	case TypeRRSIG:
		return "RRSIG"
	case TypeNSEC:
		return "NSEC"
	case TypeDNSKEY:
		return "DNSKEY"
	case TypeNSEC3:
		return "NSEC3"
	case TypeTLSA:
		return "TLSA"
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// A Record is one resource record of an answer. Owner, class and (in an Answer)
// type are those of the answer.
type Record struct {
	Type Type
	TTL  uint32 // seconds, as it stood when the answer was received
	// Data is the RDATA in wire form, names in it uncompressed and in lower case.
	// It must not be changed.
	Data []byte
}

// Addr returns the address of an A or AAAA record; the zero Addr if r is none.
func (r Record) Addr() netip.Addr {
	if (r.Type == TypeA && len(r.Data) == 4) || (r.Type == TypeAAAA && len(r.Data) == 16) {
		a, _ := netip.AddrFromSlice(r.Data)
		return a
	}
	return netip.Addr{}
}

// An MX is the data of an MX record. Host may be the root (RFC 7505).
type MX struct {
	Preference uint16
	Host       rfc6125.Name
}

// MX returns the data of an MX record. An error says that r is none, or that its
// data is malformed.
func (r Record) MX() (MX, error) {
	if r.Type != TypeMX || len(r.Data) < 3 {
		return MX{}, fault.Errorf("dnssec", "malformed MX record")
	}
	n, err := rfc6125.NameFromWire(r.Data[2:])
	if err != nil {
		return MX{}, fault.Errorf("dnssec", "malformed MX record: %w", err)
	}
	return MX{binary.BigEndian.Uint16(r.Data), n}, nil
}

// TXT returns the character-strings of a TXT record, raw. An error says that r is
// none, or that its data is malformed.
func (r Record) TXT() ([]string, error) {
	if r.Type != TypeTXT {
		return nil, fault.Errorf("dnssec", "malformed TXT record")
	}
	out, err := characterStrings(r.Data)
	if err != nil {
		return nil, fault.Errorf("dnssec", "malformed TXT record: %w", err)
	}
	return out, nil
}
