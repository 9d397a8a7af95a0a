package mtapolicy

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/internal/literal"
	"github.com/mxauth/mxauth/rfc6125"
)

// Errors of [ParseKey].
var (
	// ErrKey: the key is no domain, host or address literal in the notation of Postfix. The
	// mail server gets the answer that there is no entry (row P1): it asks for parent domains with
	// a leading dot, too.
	ErrKey = errors.New("mtapolicy: not a next hop")
	// ErrKeyName: the key is an internationalized name that IDNA does not allow. The mail
	// server may still map it to some name and find mail hosts there, so it must try later.
	ErrKeyName = errors.New("mtapolicy: not a valid internationalized name")
)

// maxKey is the longest key in bytes: that of a domain name (RFC 1035 section 2.3.4).
const maxKey = 255

// A Key is a next hop as a mail server writes it: "example.org", "example.org:25",
// "[mx.example.org]:587", "[192.0.2.1]", "[IPv6:2001:db8::1]", in any case, with U-labels.
// Equal next hops are equal Keys.
type Key struct {
	NextHop string // as engine.Request has it: A-labels in lower case, brackets for hosts and literals
	Port    uint16 // 0: not given
}

// String returns the key in its canonical form.
func (k Key) String() string {
	if k.Port == 0 {
		return k.NextHop
	}
	return k.NextHop + ":" + strconv.Itoa(int(k.Port))
}

// ParseKey reads a key. An error wraps [ErrKey] or [ErrKeyName]. Names are mapped as
// Postfix does (UTS 46, non-transitional, with NFC). The name of a service in place of a
// port is looked up in the services database of this machine.
func ParseKey(s string) (Key, error) {
	bad := func(why string) (Key, error) { return Key{}, fmt.Errorf("%w: %.100q: %s", ErrKey, s, why) }
	// What follows a name that is not ASCII may be good for the mail server all the same.
	badForm := func(why string) (Key, error) {
		if ascii(s) {
			return bad(why)
		}
		return Key{}, fmt.Errorf("%w: %.100q: %s", ErrKeyName, s, why)
	}
	switch {
	case s == "":
		return bad("empty")
	case len(s) > maxKey:
		return bad("longer than 255 bytes")
	case s[0] == '.':
		return bad("a parent domain")
	}
	var k Key
	inner, port, bracketed := s, "", s[0] == '['
	if bracketed {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return badForm("no closing bracket")
		}
		inner = s[1:end]
		rest, ok := strings.CutPrefix(s[end+1:], ":")
		if !ok && s[end+1:] != "" {
			return badForm("text after the bracket")
		}
		if ok && rest == "" {
			return badForm("no port after the colon")
		}
		port = rest
	} else if name, p, ok := strings.Cut(s, ":"); ok {
		if p == "" {
			return badForm("no port after the colon")
		}
		inner, port = name, p
	}
	if port != "" {
		n, err := parsePort(port)
		if err != nil {
			return badForm(err.Error())
		}
		k.Port = n
	}
	if bracketed {
		if a, ok := literal.Parse(inner); ok {
			k.NextHop = literal.String(a)
			return k, nil
		}
	}
	h, err := rfc6125.ParseHost(inner)
	if err != nil {
		if ascii(s) {
			return bad(err.Error())
		}
		return Key{}, fmt.Errorf("%w: %.100q: %w", ErrKeyName, s, err)
	}
	k.NextHop = h.String()
	if bracketed {
		k.NextHop = "[" + k.NextHop + "]"
	}
	return k, nil
}

// mailServices are the services to which mail is sent, for machines without a services database
// such as containers: the mail server next to them may have one.
var mailServices = map[string]int{"smtp": 25, "lmtp": 24, "smtps": 465, "submissions": 465, "submission": 587}

// parsePort reads a number from 1 to 65535 or the name of a TCP service.
func parsePort(s string) (uint16, error) {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil && n > 0 {
		return uint16(n), nil
	}
	if s[0] >= '0' && s[0] <= '9' || s[0] == '+' || s[0] == '-' || !ascii(s) {
		return 0, errors.New("the port is not a number from 1 to 65535")
	}
	n, err := net.LookupPort("tcp", s)
	if err != nil {
		n = mailServices[s]
	}
	if n < 1 || n > 65535 {
		return 0, errors.New("no such service")
	}
	return uint16(n), nil
}

// ascii reports whether s has no byte above 127.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] > 0x7f {
			return false
		}
	}
	return true
}
