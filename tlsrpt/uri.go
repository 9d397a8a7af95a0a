package tlsrpt

import (
	"net/netip"
	"strings"

	"github.com/mxauth/mxauth/rfc6125"
)

// A uri is a URI in those of its parts that matter here (RFC 3986 section 3).
type uri struct {
	scheme string // in lower case
	host   string // "" if there is no authority
	path   string
}

// parseURI reads a URI by the grammar of RFC 3986 appendix A. It is stricter than net/url,
// which takes what is no URI, and takes some that net/url does not. Commas, exclamation
// points and semicolons occur in a URI of a record only encoded (RFC 8460 section 3). why
// says what is wrong, "" if nothing.
func parseURI(s string) (u uri, why string) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) {
		return uri{}, "not an absolute URI"
	}
	u.scheme = strings.ToLower(scheme)
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	if !areChars(query, "/?:@") || !areChars(fragment, "/?:@") {
		return uri{}, "a character of the URI is not allowed"
	}
	u.path = rest
	if authority, ok := strings.CutPrefix(rest, "//"); ok {
		u.path = ""
		if i := strings.IndexByte(authority, '/'); i >= 0 {
			authority, u.path = authority[:i], authority[i:]
		}
		if u.host, ok = hostOf(authority); !ok {
			return uri{}, "no host of a URI"
		}
	}
	if !areChars(u.path, "/:@") {
		return uri{}, "a character of the URI is not allowed"
	}
	return u, ""
}

// hostOf returns the host of an authority: [userinfo "@"] host [":" port].
func hostOf(authority string) (host string, ok bool) {
	userinfo, host, ok := strings.Cut(authority, "@")
	if !ok {
		userinfo, host = "", authority
	}
	if !areChars(userinfo, ":") {
		return "", false
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, port, ok := strings.Cut(inner, "]")
		return host, ok && isLiteral(inner) && (port == "" || port[0] == ':' && areDigits(port[1:]))
	}
	host, port, _ := strings.Cut(host, ":")
	return host, areChars(host, "") && areDigits(port)
}

// isLiteral reports whether s is allowed in brackets: an IPv6 address, or "v", hexadecimal
// digits, a dot and what a later version of IP writes.
func isLiteral(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Is6() && a.Zone() == ""
	}
	version, address, _ := strings.Cut(s, ".")
	if version == "" || version[0]|0x20 != 'v' || address == "" || strings.Contains(address, "%") {
		return false
	}
	return version[1:] != "" && strings.Trim(version[1:], "0123456789abcdefABCDEF") == "" && areChars(address, ":")
}

func isScheme(s string) bool {
	for i, c := range []byte(s) {
		if !isAlpha(c) && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// areChars reports whether s is of unreserved characters, those sub-delims that may be
// bare, percent-encoded octets, and the characters of also.
func areChars(s, also string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isAlpha(c) || isDigit(c) || strings.IndexByte("-._~$&'()*+=", c) >= 0 || strings.IndexByte(also, c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]): // what follows is unreserved
		default:
			return false
		}
	}
	return true
}

func areDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// checkURI refuses what is no absolute URI. Of the two schemes that RFC 8460 knows it
// also refuses a destination that cannot be one: a mailto without an address, an
// https host that is a single label. Other schemes are kept, and are no destination.
func checkURI(s string) error {
	u, why := parseURI(s)
	if why != "" {
		return malformed(s, why)
	}
	switch u.scheme {
	case "mailto":
		local, domain, _ := strings.Cut(u.path, "@")
		if local == "" {
			return malformed(s, "mailto without an address")
		}
		if !isPublic(domain) {
			return malformed(s, "the domain of the address is not a mail domain")
		}
	case "https":
		if !isPublic(u.host) {
			return malformed(s, "the host is not a public host name")
		}
	}
	return nil
}

// isPublic reports whether s is a host name of two labels or more.
func isPublic(s string) bool {
	h, err := rfc6125.ParseHost(s)
	return err == nil && h.Name().NumLabels() >= 2
}

// isDestination reports whether u, a URI of a record, has one of the schemes by which
// reports go. Letter case does not matter in a scheme (RFC 3986 section 3.1).
func isDestination(u string) bool {
	scheme, _, _ := strings.Cut(u, ":")
	return strings.EqualFold(scheme, "mailto") || strings.EqualFold(scheme, "https")
}
