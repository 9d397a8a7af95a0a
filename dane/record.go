package dane

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/text"
)

// maxData is the most association data that RDATA can hold: its length is 16 bits
// (RFC 1035 section 3.2.1) and three octets precede it.
const maxData = 65535 - 3

// A Usage is a certificate usage (RFC 6698 section 2.1.1, names of RFC 7218).
type Usage uint8

// Certificate usages.
const (
	PKIXTA Usage = 0
	PKIXEE Usage = 1
	DANETA Usage = 2
	DANEEE Usage = 3
)

// A Selector says which part of the certificate is matched (RFC 6698 section 2.1.2).
type Selector uint8

// Selectors.
const (
	Cert Selector = 0 // the whole certificate, DER
	SPKI Selector = 1 // the SubjectPublicKeyInfo, DER
)

// A MatchingType says how the data is compared (RFC 6698 section 2.1.3).
type MatchingType uint8

// Matching types.
const (
	Full     MatchingType = 0
	SHA2_256 MatchingType = 1
	SHA2_512 MatchingType = 2
)

// A mnemonic is a value of one of the three fields with its name of RFC 7218.
type mnemonic struct {
	name  string
	value uint8
}

// The mnemonics of RFC 7218 section 2, private values included.
var (
	usageNames    = [...]mnemonic{{"PKIX-TA", 0}, {"PKIX-EE", 1}, {"DANE-TA", 2}, {"DANE-EE", 3}, {"PrivCert", 255}}
	selectorNames = [...]mnemonic{{"Cert", 0}, {"SPKI", 1}, {"PrivSel", 255}}
	matchingNames = [...]mnemonic{{"Full", 0}, {"SHA2-256", 1}, {"SHA2-512", 2}, {"PrivMatch", 255}}
)

// String returns the mnemonic of RFC 7218, "DANE-EE", or the number if there is none.
func (u Usage) String() string { return nameOf(usageNames[:], uint8(u)) }

// String returns the mnemonic of RFC 7218, "SPKI", or the number if there is none.
func (s Selector) String() string { return nameOf(selectorNames[:], uint8(s)) }

// String returns the mnemonic of RFC 7218, "SHA2-256", or the number if there is none.
func (m MatchingType) String() string { return nameOf(matchingNames[:], uint8(m)) }

// Set reads a number of 0 to 255 or a mnemonic in any letter case. Errors wrap
// [ErrRecord].
func (u *Usage) Set(word string) error {
	n, err := parseField("usage", usageNames[:], word)
	if err == nil {
		*u = Usage(n)
	}
	return err
}

// Set reads a number of 0 to 255 or a mnemonic in any letter case. Errors
// wrap [ErrRecord].
func (s *Selector) Set(word string) error {
	n, err := parseField("selector", selectorNames[:], word)
	if err == nil {
		*s = Selector(n)
	}
	return err
}

// Set reads a number of 0 to 255 or a mnemonic in any letter case.
// Errors wrap [ErrRecord].
func (m *MatchingType) Set(word string) error {
	n, err := parseField("matching type", matchingNames[:], word)
	if err == nil {
		*m = MatchingType(n)
	}
	return err
}

func nameOf(names []mnemonic, v uint8) string {
	for _, m := range names {
		if m.value == v {
			return m.name
		}
	}
	return strconv.Itoa(int(v))
}

func parseField(field string, names []mnemonic, s string) (uint8, error) {
	for _, m := range names {
		if strings.EqualFold(m.name, s) {
			return m.value, nil
		}
	}
	v, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("%w: %s %q is neither a number of 0 to 255 nor a known word", ErrRecord, field, text.Cut(s, maxInput))
	}
	return uint8(v), nil
}

// A Record is a TLSA record. It is immutable and comparable. Unknown values are
// kept and printed, never usable. The zero Record has no data and is never usable.
type Record struct {
	Usage        Usage
	Selector     Selector
	MatchingType MatchingType
	Data         string // certificate association data, raw octets
}

// RecordFromDNS reads a record of an answer. An error says that it is no TLSA
// record or shorter than its three leading octets; it wraps [ErrRecord].
func RecordFromDNS(r dnssec.Record) (Record, error) {
	if r.Type != dnssec.TypeTLSA {
		return Record{}, fmt.Errorf("%w: type %s", ErrRecord, r.Type)
	}
	return recordFromWire(r.Data)
}

// recordFromWire reads RDATA in wire form (RFC 6698 section 2.1): one octet each of
// usage, selector and matching type, then the association data, which may be empty
// here and is then not usable. Errors wrap [ErrRecord].
func recordFromWire(b []byte) (Record, error) {
	if len(b) < 3 {
		return Record{}, fmt.Errorf("%w: RDATA of %d octets, shorter than its three numbers", ErrRecord, len(b))
	}
	if len(b) > 3+maxData {
		return Record{}, fmt.Errorf("%w: RDATA of %d octets", ErrRecord, len(b))
	}
	return Record{Usage(b[0]), Selector(b[1]), MatchingType(b[2]), string(b[3:])}, nil
}

// AppendWire appends the RDATA of r in wire form to b.
func (r Record) AppendWire(b []byte) []byte {
	return append(append(b, byte(r.Usage), byte(r.Selector), byte(r.MatchingType)), r.Data...)
}

// ParseRecord reads the presentation format of the RDATA: "3 1 1 ab12...", blanks
// allowed in the data, mnemonics of RFC 7218 in place of numbers, and parentheses as
// in a master file. The generic form of RFC 3597 section 5 ("\# 35 030101ab12...") is
// read too, and the type ("TLSA" or "TYPE52") may precede either. Errors wrap
// [ErrRecord].
func ParseRecord(s string) (Record, error) {
	f, err := fields(s)
	if err != nil {
		return Record{}, err
	}
	if len(f) > 0 && (strings.EqualFold(f[0], "TLSA") || strings.EqualFold(f[0], "TYPE52")) {
		f = f[1:]
	}
	if len(f) > 0 && f[0] == `\#` {
		return parseGeneric(f[1:])
	}
	if len(f) < 4 {
		return Record{}, fmt.Errorf("%w: %q lacks one of the four parts usage, selector, matching type and data", ErrRecord, text.Cut(s, maxInput))
	}
	var r Record
	if err := r.Usage.Set(f[0]); err != nil { // TLSA6698-2.2-01: RFC 6698 section 2.2
		return Record{}, err
	}
	if err := r.Selector.Set(f[1]); err != nil {
		return Record{}, err
	}
	if err := r.MatchingType.Set(f[2]); err != nil {
		return Record{}, err
	}
	data, err := parseHex(f[3:], maxData)
	if err != nil {
		return Record{}, err
	}
	r.Data = string(data)
	return r, nil
}

// parseGeneric reads what follows `\#`: the length in octets and the RDATA in hex.
func parseGeneric(f []string) (Record, error) {
	if len(f) == 0 {
		return Record{}, fmt.Errorf(`%w: \# without a length`, ErrRecord)
	}
	n, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return Record{}, fmt.Errorf(`%w: \# with the length %q`, ErrRecord, text.Cut(f[0], maxInput))
	}
	b, err := parseHex(f[1:], 3+maxData)
	if err != nil {
		return Record{}, err
	}
	if uint64(len(b)) != n {
		return Record{}, fmt.Errorf(`%w: \# says %d octets, and %d follow`, ErrRecord, n, len(b))
	}
	return recordFromWire(b)
}

// fields cuts s at blanks and drops parentheses, which must come in pairs and not
// nested (RFC 1035 section 5.1).
func fields(s string) ([]string, error) {
	open := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			if open {
				return nil, fmt.Errorf("%w: parentheses in parentheses in %q", ErrRecord, text.Cut(s, maxInput))
			}
			open = true
		case ')':
			if !open {
				return nil, fmt.Errorf("%w: a parenthesis closed and not opened in %q", ErrRecord, text.Cut(s, maxInput))
			}
			open = false
		}
	}
	if open {
		return nil, fmt.Errorf("%w: a parenthesis opened and not closed in %q", ErrRecord, text.Cut(s, maxInput))
	}
	return strings.FieldsFunc(s, func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '(' || r == ')'
	}), nil
}

// parseHex reads hex digits that may be cut into several fields anywhere, and that
// encode at most so many octets.
func parseHex(f []string, most int) ([]byte, error) {
	s := strings.Join(f, "")
	if len(s) > 2*most {
		return nil, fmt.Errorf("%w: %d hex digits are more than RDATA holds", ErrRecord, len(s))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: data %q is not an even number of hex digits", ErrRecord, text.Cut(s, maxInput))
	}
	return b, nil
}

// String prints the presentation format with numbers: "3 1 1 ab12...". A record
// without data has no such form and is printed in that of RFC 3597: "\# 3 030101".
// [ParseRecord] reads either back.
func (r Record) String() string {
	if r.Data == "" {
		return r.Generic()
	}
	b := make([]byte, 0, 12+2*len(r.Data))
	for _, v := range [...]uint8{uint8(r.Usage), uint8(r.Selector), uint8(r.MatchingType)} {
		b = append(strconv.AppendUint(b, uint64(v), 10), ' ')
	}
	return string(hex.AppendEncode(b, []byte(r.Data)))
}

// Mnemonic prints r with the words of RFC 7218: "DANE-EE SPKI SHA2-256 ab12...".
// [ParseRecord] reads it back if r has data.
func (r Record) Mnemonic() string {
	return r.Usage.String() + " " + r.Selector.String() + " " + r.MatchingType.String() + " " + hex.EncodeToString([]byte(r.Data))
}

// Generic prints the RDATA in the form of RFC 3597 section 5, for name servers that
// do not know TLSA: "\# 35 030101ab12...".
func (r Record) Generic() string {
	w := r.AppendWire(nil)
	return `\# ` + strconv.Itoa(len(w)) + " " + hex.EncodeToString(w)
}

// Numbers prints the three numbers, "3 1 1", as people call a kind of record.
func (r Record) Numbers() string {
	return strconv.Itoa(int(r.Usage)) + " " + strconv.Itoa(int(r.Selector)) + " " + strconv.Itoa(int(r.MatchingType))
}

// MarshalText prints r as [Record.String] does.
func (r Record) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [ParseRecord] reads.
func (r *Record) UnmarshalText(b []byte) error {
	p, err := ParseRecord(string(b))
	if err != nil {
		return err
	}
	*r = p
	return nil
}

// maxInput is how many octets of its input an error shows, and maxShown how many of a list of
// names.
const (
	maxInput = 80
	maxShown = 300
)
