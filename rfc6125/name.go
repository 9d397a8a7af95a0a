package rfc6125

import (
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
)

// Limits of a DNS name (RFC 1035 section 2.3.4).
const (
	maxNameOctets  = 255 // wire form, length octets and the root's zero included
	maxLabelOctets = 63
)

// ErrName is wrapped by every error of [ParseName], [NameFromWire] and the
// methods that make one name from another: the input is no domain name.
var ErrName = fault.New("rfc6125", "not a domain name")

// A Name is an absolute DNS domain name: any octets, so that the owners which
// MX, NSEC and TLSA lookups meet (`_25._tcp.mx.example.org`, `*.example.org`,
// the root) all have one. It makes no promise that the name is a host name;
// see [Host] for that.
//
// A Name is small, immutable and comparable: two Names are == exactly if the
// DNS holds them equal (ASCII letters are kept in lower case, RFC 4343), so it
// serves as a map key. The zero Name is invalid; [Name.IsValid] says so.
type Name struct {
	wire string // uncompressed wire form in lower case; "" in the zero Name
}

// RootName returns the name of the DNS root.
func RootName() Name { return Name{"\x00"} }

// ParseName reads a name in the presentation format of RFC 1035 section 5.1,
// with or without the dot at its end; both mean the absolute name. `\DDD` is
// the octet of that decimal value and `\X` the character X without its special
// meaning. Octets above 126 may be unescaped and mean themselves: ParseName
// never applies IDNA ([ParseHost] does). "." is the root; "" is an error.
// Errors wrap [ErrName].
func ParseName(s string) (Name, error) {
	if s == "." {
		return RootName(), nil
	}
	if s == "" {
		return Name{}, fmt.Errorf("%w: empty", ErrName)
	}
	var buf [maxNameOctets]byte
	start, n := 0, 1 // start: the length octet of the label that is being read
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '.':
			if n == start+1 {
				return Name{}, fmt.Errorf("%w: empty label in %q", ErrName, text.Cut(s, maxInput))
			}
			buf[start] = byte(n - start - 1)
			start = n
			if i == len(s)-1 {
				buf[start] = 0
				return Name{string(buf[:start+1])}, nil
			}
			n++ // of the next label; the octet after it is checked against the limit
			continue
		case c == '\\':
			if i+1 >= len(s) {
				return Name{}, fmt.Errorf("%w: %q ends in an escape", ErrName, text.Cut(s, maxInput))
			}
			if d := s[i+1]; d < '0' || d > '9' {
				c = d
				i++
				break
			}
			if i+3 >= len(s) || !isDigit(s[i+2]) || !isDigit(s[i+3]) {
				return Name{}, fmt.Errorf("%w: bad escape in %q", ErrName, text.Cut(s, maxInput))
			}
			v := int(s[i+1]-'0')*100 + int(s[i+2]-'0')*10 + int(s[i+3]-'0')
			if v > 255 {
				return Name{}, fmt.Errorf("%w: bad escape in %q", ErrName, text.Cut(s, maxInput))
			}
			c = byte(v)
			i += 3
		}
		if n-start-1 == maxLabelOctets {
			return Name{}, fmt.Errorf("%w: a label of %q is longer than 63 octets", ErrName, text.Cut(s, maxInput))
		}
		if n >= maxNameOctets-1 {
			return Name{}, fmt.Errorf("%w: %q is longer than 255 octets", ErrName, text.Cut(s, maxInput))
		}
		buf[n] = lower(c)
		n++
	}
	buf[start] = byte(n - start - 1)
	buf[n] = 0
	return Name{string(buf[:n+1])}, nil
}

// NameFromWire reads an uncompressed name in wire form (RFC 1035 section 3.1)
// that fills b exactly. Errors wrap [ErrName].
func NameFromWire(b []byte) (Name, error) {
	if len(b) == 0 || len(b) > maxNameOctets {
		return Name{}, fmt.Errorf("%w: %d octets in wire form", ErrName, len(b))
	}
	low := make([]byte, len(b))
	for i := 0; ; {
		n := int(b[i])
		low[i] = b[i]
		if n == 0 {
			if i != len(b)-1 {
				return Name{}, fmt.Errorf("%w: octets after the root label", ErrName)
			}
			return Name{string(low)}, nil
		}
		if n > maxLabelOctets || i+1+n >= len(b) {
			return Name{}, fmt.Errorf("%w: bad label length in wire form", ErrName)
		}
		for j := i + 1; j <= i+n; j++ {
			low[j] = lower(b[j])
		}
		i += 1 + n
	}
}

// IsValid reports whether n is a name at all: the zero Name is not.
func (n Name) IsValid() bool { return n.wire != "" }

// IsRoot reports whether n is the root.
func (n Name) IsRoot() bool { return n.wire == "\x00" }

// IsWildcard reports whether the left-most label of n is a lone asterisk.
func (n Name) IsWildcard() bool { return strings.HasPrefix(n.wire, "\x01*") }

// Wire returns the uncompressed wire form in lower case; nil for the zero Name.
func (n Name) Wire() []byte {
	if n.wire == "" {
		return nil
	}
	return []byte(n.wire)
}

// AppendWire appends the uncompressed wire form in lower case to b.
func (n Name) AppendWire(b []byte) []byte { return append(b, n.wire...) }

// WireLen returns the length of the wire form in octets; 0 for the zero Name.
func (n Name) WireLen() int { return len(n.wire) }

// NumLabels counts the labels of n, the root's empty one left out: 0 for the
// root and for the zero Name.
func (n Name) NumLabels() int {
	k := 0
	for i := 0; i < len(n.wire) && n.wire[i] != 0; i += 1 + int(n.wire[i]) {
		k++
	}
	return k
}

// Label returns the i-th label of n from the left as raw octets, 0 being the
// left-most; "" if there is none.
func (n Name) Label(i int) string {
	for p := 0; p < len(n.wire) && n.wire[p] != 0; p += 1 + int(n.wire[p]) {
		if i == 0 {
			return n.wire[p+1 : p+1+int(n.wire[p])]
		}
		i--
	}
	return ""
}

// Parent returns n without its left-most label; the zero Name for the root and
// for the zero Name.
func (n Name) Parent() Name {
	if n.wire == "" {
		return Name{}
	}
	return Name{n.wire[1+int(n.wire[0]):]} // of the root: nothing
}

// Ancestor returns the last labels of n, as many as labels says; n itself if it
// has no more than that. Ancestor(0) is the root.
func (n Name) Ancestor(labels int) Name {
	drop := n.NumLabels() - labels
	for ; drop > 0; drop-- {
		n = n.Parent()
	}
	return n
}

// IsSubdomainOf reports whether n is parent itself or below it, label by
// label (so evilexample.com is not below example.com). False if either is the
// zero Name.
func (n Name) IsSubdomainOf(parent Name) bool {
	for p := 0; p < len(n.wire); p += 1 + int(n.wire[p]) {
		if len(n.wire)-p == len(parent.wire) {
			return n.wire[p:] == parent.wire
		}
	}
	return false
}

// Child returns the name made by putting label, raw octets, before n. An error
// wraps [ErrName]: the label is empty or too long, the name would be too long,
// or n is the zero Name.
func (n Name) Child(label string) (Name, error) {
	if n.wire == "" {
		return Name{}, fmt.Errorf("%w: a label below the zero Name", ErrName)
	}
	if label == "" || len(label) > maxLabelOctets {
		return Name{}, fmt.Errorf("%w: a label of %d octets", ErrName, len(label))
	}
	if len(n.wire)+1+len(label) > maxNameOctets {
		return Name{}, fmt.Errorf("%w: %q below %s is longer than 255 octets", ErrName, text.Cut(label, maxInput), n)
	}
	b := make([]byte, 0, len(n.wire)+1+len(label))
	b = append(b, byte(len(label)))
	for i := 0; i < len(label); i++ {
		b = append(b, lower(label[i]))
	}
	return Name{string(append(b, n.wire...))}, nil
}

// Compare orders names canonically (RFC 4034 section 6.1): labels from the
// right, as lower-case octet strings, absence first. It returns -1, 0 or +1.
// The zero Name sorts before every other.
func (n Name) Compare(m Name) int {
	if n.wire == "" || m.wire == "" {
		return strings.Compare(n.wire, m.wire)
	}
	// A name has at most 127 labels: 255 octets, two for each.
	var a, b [128]uint8
	an, bn := n.offsets(&a), m.offsets(&b)
	for an > 0 && bn > 0 {
		an, bn = an-1, bn-1
		i, j := int(a[an]), int(b[bn])
		if c := strings.Compare(n.wire[i+1:i+1+int(n.wire[i])], m.wire[j+1:j+1+int(m.wire[j])]); c != 0 {
			return c
		}
	}
	switch {
	case an > 0:
		return 1
	case bn > 0:
		return -1
	}
	return 0
}

// offsets fills o with the position of each label's length octet; n is not zero.
func (n Name) offsets(o *[128]uint8) int {
	k := 0
	for p := 0; n.wire[p] != 0; p += 1 + int(n.wire[p]) {
		o[k] = uint8(p)
		k++
	}
	return k
}

// String prints n in presentation format without a dot at the end; the root is
// "." and the zero Name "". What is not a printable ASCII character, and what
// has a meaning in a master file, is escaped, so the result is safe for a
// terminal and [ParseName] reads it back to the same Name.
func (n Name) String() string {
	s := n.FQDN()
	if len(s) > 1 {
		return s[:len(s)-1]
	}
	return s
}

// FQDN prints n like [Name.String], with the dot at the end.
func (n Name) FQDN() string {
	if n.wire == "" {
		return ""
	}
	if n.IsRoot() {
		return "."
	}
	b := make([]byte, 0, len(n.wire)+8)
	for p := 0; n.wire[p] != 0; p += 1 + int(n.wire[p]) {
		for _, c := range []byte(n.wire[p+1 : p+1+int(n.wire[p])]) {
			switch {
			case c == '.' || c == '\\' || c == '"' || c == '(' || c == ')' || c == ';' || c == '@' || c == '$':
				b = append(b, '\\', c)
			case c <= ' ' || c > '~':
				b = append(b, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			default:
				b = append(b, c)
			}
		}
		b = append(b, '.')
	}
	return string(b)
}

// MarshalText prints n as [Name.String] does; the zero Name becomes empty text.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what [Name.MarshalText] prints.
func (n *Name) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = Name{}
		return nil
	}
	m, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = m
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// maxInput is how many octets of its input an error shows.
const maxInput = 80
