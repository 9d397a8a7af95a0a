package rfc6125

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
)

// maxHostOctets is the longest host name in text without the dot at its end:
// 255 octets in wire form, less the first length octet and the root's zero.
const maxHostOctets = 253

// maxHostInput bounds what ParseHost looks at: 253 octets of A-labels encode
// fewer than 253 code points, each of at most four octets in UTF-8.
const maxHostInput = 4 * maxHostOctets

// ErrHost is wrapped by every error of [ParseHost] and [HostFromName]: the
// input is no host name, and the text says which rule it breaks.
var ErrHost = fault.New("rfc6125", "not a host name")

// ErrAddress wraps [ErrHost]: the input is an IP address or an address literal
// of SMTP such as [192.0.2.1]. No certificate can prove it as a name, and a
// next hop of this form has neither MX records nor policies (RFC 9525 section
// 7.4, RFC 5321 section 4.1.3).
var ErrAddress = fmt.Errorf("%w: an IP address", ErrHost)

// A Host is a host name: labels of letters, digits, `-` and `_` (which real MX
// hosts have), IDNs as A-labels, lower case, at least one label, the last one
// not all digits, 253 octets at most, no address. It is what an MX host, a
// policy domain or a reference identifier is.
//
// A Host is small, immutable and comparable; two Hosts are == exactly if they
// are the same name. The zero Host is invalid.
type Host struct {
	ascii string // A-labels in lower case, no dot at the end
}

// ParseHost reads a host name as a person or a configuration writes it, with
// U-labels or A-labels. One dot at the end is dropped. The one IDNA profile of
// mxauth is applied:
//
//   - A label of ASCII alone is put in lower case and may hold `_`, and `--` in
//     any place (RFC 5891 section 5.4 would refuse `ab--cd`, but such names are
//     in use and mean no more than they say); it neither begins nor ends with a
//     hyphen. [Host.Hints] reports what is unusual in it.
//   - A label beginning with `xn--` must be a true A-label: it decodes to a
//     valid U-label and encodes to itself again (RFC 5890 section 2.3.2.1).
//   - Any other label is mapped as UTS #46 says without transitional processing
//     (so ß stays ß), and the result must be a valid U-label: NFC, no code
//     point that is disallowed or unassigned, no combining mark in front, the
//     rules for hyphens and for joiners (RFC 5891 section 5.4).
//   - If a label has characters that run from right to left, every label obeys
//     the Bidi rule (RFC 5893).
//
// Errors wrap [ErrHost], and [ErrAddress] if the input is an address.
func ParseHost(s string) (Host, error) {
	if len(s) > maxHostInput {
		return Host{}, fmt.Errorf("%w: %q is too long", ErrHost, text.Cut(s, maxInput))
	}
	ascii := strings.ToLower(s)
	if !isPlain(s) {
		// SID9525-6.3-02: RFC 9525 section 6.3; IDNA5891-3.1-01: RFC 5891 section 3.1
		a, err := toASCII(s)
		if err != nil {
			return Host{}, fmt.Errorf("%w: %q: %w", ErrHost, text.Cut(s, maxInput), err)
		}
		ascii = a
	}
	ascii = strings.TrimSuffix(ascii, ".")
	if isAddress(ascii) {
		return Host{}, fmt.Errorf("%w: %q", ErrAddress, text.Cut(s, maxInput))
	}
	if why := checkHost(ascii, strictHyphens); why != "" {
		return Host{}, fmt.Errorf("%w: %q: %s", ErrHost, text.Cut(s, maxInput), why)
	}
	return Host{ascii}, nil
}

// HostFromName makes a Host from a DNS name, which is taken as it is: nothing
// is mapped, an `xn--` label is compared as the ASCII that it is whether it
// decodes or not (RFC 5891 section 5.3 lets data of the DNS be), and hyphens
// may be anywhere: a name that is in the DNS is in use, and to refuse
// it would stop mail without making anyone safer. Errors wrap [ErrHost], and
// [ErrAddress] if the name has the form of an IPv4 address.
func HostFromName(n Name) (Host, error) {
	if n.NumLabels() == 0 {
		return Host{}, fmt.Errorf("%w: %q has no label", ErrHost, n.String())
	}
	b := make([]byte, 0, len(n.wire))
	for p := 0; n.wire[p] != 0; p += 1 + int(n.wire[p]) {
		label := n.wire[p+1 : p+1+int(n.wire[p])]
		if strings.Contains(label, ".") {
			return Host{}, fmt.Errorf("%w: %q: a dot inside a label", ErrHost, text.Cut(n.String(), maxInput))
		}
		if p > 0 {
			b = append(b, '.')
		}
		b = append(b, label...)
	}
	ascii := string(b)
	if isAddress(ascii) {
		return Host{}, fmt.Errorf("%w: %q", ErrAddress, text.Cut(ascii, maxInput))
	}
	if why := checkHost(ascii, looseHyphens); why != "" {
		return Host{}, fmt.Errorf("%w: %q: %s", ErrHost, text.Cut(n.String(), maxInput), why)
	}
	return Host{ascii}, nil
}

// IsValid reports whether h is a host name at all: the zero Host is not.
func (h Host) IsValid() bool { return h.ascii != "" }

// Name returns h as a DNS name; the zero Name for the zero Host.
func (h Host) Name() Name {
	if h.ascii == "" {
		return Name{}
	}
	b := make([]byte, 0, maxNameOctets)
	for rest, more := h.ascii, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		b = append(append(b, byte(len(label))), label...)
	}
	return Name{string(append(b, 0))}
}

// String prints A-labels in lower case without a dot at the end; "" for the
// zero Host. The result is plain ASCII and safe for a terminal.
func (h Host) String() string { return h.ascii }

// Compare orders Hosts as their DNS names are ordered; see [Name.Compare].
func (h Host) Compare(g Host) int { return h.Name().Compare(g.Name()) }

// MarshalText prints h as [Host.String] does; the zero Host becomes empty text.
func (h Host) MarshalText() ([]byte, error) { return []byte(h.ascii), nil }

// UnmarshalText reads what [Host.MarshalText] prints, whichever way the Host
// was made: ASCII is read as [HostFromName] reads a name of the DNS, and text
// with other characters as [ParseHost] does.
func (h *Host) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*h = Host{}
		return nil
	}
	s := string(b)
	if !isASCII(s) || isAddress(s) {
		g, err := ParseHost(s)
		if err != nil {
			return err
		}
		*h = g
		return nil
	}
	ascii := strings.ToLower(strings.TrimSuffix(s, "."))
	if why := checkHost(ascii, looseHyphens); why != "" {
		return fmt.Errorf("%w: %q: %s", ErrHost, text.Cut(s, maxInput), why)
	}
	*h = Host{ascii}
	return nil
}

// hyphens says where a label may have them.
type hyphens bool

const (
	strictHyphens hyphens = true  // not first, not last: RFC 5890 section 2.3.1
	looseHyphens  hyphens = false // anywhere
)

// checkHost says which rule of a host name s breaks, "" if none. It is in lower
// case and without the dot at its end.
func checkHost(s string, h hyphens) string {
	if len(s) > maxHostOctets {
		return "longer than 253 octets"
	}
	digits, start := true, 0
	for i := 0; ; i++ {
		if i < len(s) && s[i] != '.' {
			if !isHostOctet(s[i]) {
				return fmt.Sprintf("the octet %q", s[i:i+1])
			}
			digits = digits && isDigit(s[i])
			continue
		}
		switch {
		case i == start:
			return "an empty label"
		case i-start > maxLabelOctets:
			return "a label longer than 63 octets"
		case h == strictHyphens && (s[start] == '-' || s[i-1] == '-'):
			return "a label with a hyphen at its end"
		case i == len(s) && digits:
			return "the last label is a number"
		case i == len(s):
			return ""
		}
		digits, start = true, i+1
	}
}

// isHostOctet reports whether c is allowed in a label of a host name. Upper case
// is not here: callers lower it first.
func isHostOctet(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// isAddress reports whether s is the text of an IP address, bare or as an
// address literal of SMTP (RFC 5321 section 4.1.3).
func isAddress(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if t, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(t, "]") {
		s = strings.TrimSuffix(t, "]")
		if tag, t, _ := strings.Cut(s, ":"); strings.EqualFold(tag, "IPv6") {
			s = t
		}
	}
	// Only what ends in a digit or holds a colon can be one; the rest, which is
	// nearly everything, need not cost an error value.
	if s == "" || !isDigit(s[len(s)-1]) && !strings.Contains(s, ":") {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
