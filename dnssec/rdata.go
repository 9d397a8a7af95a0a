package dnssec

import (
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// checkRDATA returns an error if data cannot be the RDATA of a record of the type. It knows
// the types that this package or a caller reads; any data is fine for another type. Numbers
// in the RDATA may have any value: whether a TLSA record is usable, for example, is not a
// question of its form.
func checkRDATA(typ Type, data []byte) error {
	switch typ {
	case TypeA: // RFC 1035 section 3.4.1
		return exactly(4, data)
	case TypeAAAA: // RFC 3596 section 2.2
		return exactly(16, data)
	case TypeNS, TypeCNAME, TypeDNAME: // RFC 1035 section 3.3, RFC 6672 section 2.1
		return checkName(data)
	case TypeMX: // RFC 1035 section 3.3.9
		if err := atLeast(2, data); err != nil {
			return err
		}
		return checkName(data[2:])
	case TypeSOA: // RFC 1035 section 3.3.13
		for range 2 {
			var err error
			if _, data, err = wire.NameAt(data); err != nil {
				return errors.New("a name in it cannot be read")
			}
		}
		return exactly(5*4, data)
	case TypeTXT: // RFC 1035 section 3.3.14: one or more character-strings
		if len(data) == 0 {
			return errors.New("it is empty")
		}
		if _, err := characterStrings(data); err != nil {
			return err
		}
	case TypeTLSA: // RFC 6698 section 2.1; empty association data is unusable, not malformed
		return atLeast(3, data)
	case TypeDS, TypeDNSKEY: // RFC 4034 sections 5.1 and 2.1
		return atLeast(4, data)
	}
	return nil
}

func exactly(n int, data []byte) error {
	if len(data) != n {
		return fmt.Errorf("it has %d bytes, not %d", len(data), n)
	}
	return nil
}

func atLeast(n int, data []byte) error {
	if len(data) < n {
		return fmt.Errorf("it has %d bytes, fewer than %d", len(data), n)
	}
	return nil
}

func checkName(data []byte) error {
	if _, err := rfc6125.NameFromWire(data); err != nil {
		return errors.New("the name in it cannot be read")
	}
	return nil
}

// characterStrings reads character-strings up to the end of data (RFC 1035 section 3.3).
func characterStrings(data []byte) ([]string, error) {
	var out []string
	for len(data) > 0 {
		n := int(data[0])
		if len(data) < 1+n {
			return nil, errors.New("a text in it is cut off")
		}
		out = append(out, string(data[1:1+n]))
		data = data[1+n:]
	}
	return out, nil
}

// malformedRDATA returns the reason for a lookup failure if one of the records of an
// RRset cannot be read. RFC 2181 section 5 makes an RRset one whole: the records that can
// be read are only a part of it.
func malformedRDATA(owner rfc6125.Name, typ Type, set [][]byte) (Reason, bool) {
	for _, data := range set {
		if err := checkRDATA(typ, data); err != nil {
			return malformedAt(owner, typ, fmt.Sprintf("a malformed %s record at %s: %v", typ, owner, err)), true
		}
	}
	return Reason{}, false
}
