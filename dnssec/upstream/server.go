package upstream

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Protocol is a way to reach a resolver.
type Protocol uint8

// The protocols; the zero Protocol is none.
const (
	Plain Protocol = iota + 1 // UDP, and TCP where needed, in the clear
	TLS                       // RFC 7858, strict profile of RFC 8310
	HTTPS                     // RFC 8484
)

// String returns "dns", "tls", "https" or "none".
func (p Protocol) String() string {
	switch p {
	case Plain:
		return "dns"
	case TLS:
		return "tls"
	case HTTPS:
		return "https"
	}
	return "none"
}

// Default ports. DNS over TLS never goes to port 53 (RFC 7858 section 3.1).
const (
	portPlain = 53
	portTLS   = 853
	portHTTPS = 443
)

// ErrServer is wrapped by every error of [ParseServer]: the text names no server.
var ErrServer = fault.New("upstream", "not a resolver address")

// A Server is one recursive resolver and the way to it, as the operator wrote it.
// It is immutable. The zero Server is invalid.
type Server struct {
	proto Protocol
	addr  netip.AddrPort // zero if host has to be looked up
	host  string         // of TLS and HTTPS: the name or address that the server must prove; "" if pins alone count
	port  uint16
	path  string // of HTTPS: path and query
	pins  string // of TLS: SHA-256 hashes of SubjectPublicKeyInfos, 32 octets each
}

// ParseServer reads one of
//
//	127.0.0.1   127.0.0.1:5300   ::1   [::1]:53   fe80::1%eth0
//	tls://192.0.2.1   tls://192.0.2.1:853#dns.example   tls://dns.example
//	tls://192.0.2.1?pin=BASE64   (more with &pin=)
//	https://host/dns-query   https://192.0.2.1/dns-query
//
// The name after '#' is what a DNS over TLS server must prove by a
// subjectAltName of its certificate; without it the host in the address itself, be
// it name or address. A pin is the base64 form of the SHA-256 hash of a
// SubjectPublicKeyInfo (RFC 7858 section 4.2). With an address, pins and no name the
// pins alone count, and must fit the server's own certificate; with a name too, both
// count, and a pin may fit any certificate of the verified chain. A host given by
// name is looked up as [Config].Bootstrap says. Errors wrap [ErrServer].
func ParseServer(s string) (Server, error) {
	switch {
	case strings.HasPrefix(s, "tls://"):
		return parseTLS(s)
	// DOH8484-5-01: RFC 8484 section 5
	case strings.HasPrefix(s, "https://"):
		return parseHTTPS(s)
	case strings.Contains(s, "://"):
		return Server{}, serverError(s, "the scheme must be tls or https")
	}
	if a, ok := parseAddr(s); ok {
		return plainServer(netip.AddrPortFrom(a, portPlain))
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || !zoneOK(ap.Addr()) {
		return Server{}, serverError(s, "want an IP address, with :PORT if it is not 53")
	}
	return plainServer(ap)
}

// parseAddr reads an address, which may be in brackets.
func parseAddr(s string) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && zoneOK(a)
}

// zoneOK reports whether the zone of a, if it has one, looks like an interface.
func zoneOK(a netip.Addr) bool {
	return !strings.ContainsFunc(a.Zone(), func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// PlainServer is the Server for plain DNS at an address; port 0 means 53. An
// error wraps [ErrServer]: the address is invalid.
func PlainServer(ap netip.AddrPort) (Server, error) {
	if ap.IsValid() && ap.Port() == 0 {
		ap = netip.AddrPortFrom(ap.Addr(), portPlain)
	}
	return plainServer(ap)
}

func plainServer(ap netip.AddrPort) (Server, error) {
	if !ap.IsValid() || ap.Port() == 0 {
		return Server{}, serverError(ap.String(), "no address or no port")
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	return Server{proto: Plain, addr: ap, port: ap.Port()}, nil
}

func parseTLS(s string) (Server, error) {
	rest := strings.TrimPrefix(s, "tls://")
	rest, name, named := strings.Cut(rest, "#")
	rest, args, _ := strings.Cut(rest, "?")
	rest = strings.TrimSuffix(rest, "/")
	srv := Server{proto: TLS, port: portTLS}
	host, err := srv.setHost(rest)
	if err != nil {
		return Server{}, serverError(s, err.Error())
	}
	if srv.port == portPlain { // DOT7858-3.1-01: RFC 7858 section 3.1
		return Server{}, serverError(s, "port 53 is for plain DNS only (RFC 7858 section 3.1)")
	}
	for _, arg := range strings.Split(args, "&") {
		v, ok := strings.CutPrefix(arg, "pin=")
		if arg == "" {
			continue
		}
		pin, err := base64.StdEncoding.DecodeString(v)
		if !ok || err != nil || len(pin) != sha256.Size {
			return Server{}, serverError(s, "want ?pin= with the base64 of a SHA-256 hash")
		}
		srv.pins += string(pin)
	}
	switch {
	case named:
		h, err := rfc6125.ParseHost(name)
		if err != nil {
			return Server{}, serverError(s, "the text after # is not a host name")
		}
		srv.host = h.String()
	case srv.pins == "" || !srv.addr.IsValid():
		srv.host = host
	}
	if !srv.addr.IsValid() && srv.host != host {
		return Server{}, serverError(s, "a server found by name must prove that name")
	}
	return srv, nil
}

func parseHTTPS(s string) (Server, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return Server{}, serverError(s, "want https://HOST/PATH")
	}
	srv := Server{proto: HTTPS, port: portHTTPS, path: u.RequestURI()}
	if u.Path == "" {
		return Server{}, serverError(s, "the path is missing, usually /dns-query")
	}
	if srv.host, err = srv.setHost(u.Host); err != nil {
		return Server{}, serverError(s, err.Error())
	}
	return srv, nil
}

// setHost reads HOST or HOST:PORT into addr and port and returns the host in its
// canonical form.
func (s *Server) setHost(hp string) (string, error) {
	a, isAddr := parseAddr(hp)
	if h, p, err := net.SplitHostPort(hp); err == nil && !isAddr {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", errors.New("the port is no number from 1 to 65535")
		}
		s.port = uint16(n)
		hp = h
		a, isAddr = parseAddr(h)
	}
	if isAddr {
		s.addr = netip.AddrPortFrom(a.Unmap(), s.port)
		return a.Unmap().WithZone("").String(), nil
	}
	h, err := rfc6125.ParseHost(hp)
	if err != nil {
		return "", errors.New("want an IP address or a host name")
	}
	return h.String(), nil
}

func serverError(s, why string) error {
	const most = 120
	return fmt.Errorf("%w: %q: %s", ErrServer, text.Cut(s, most), why)
}

// IsValid reports whether s is a server at all: the zero Server is not.
func (s Server) IsValid() bool { return s.proto != 0 }

// Protocol says how s is reached.
func (s Server) Protocol() Protocol { return s.proto }

// Addr is the address of s; the zero AddrPort if it was given by name.
func (s Server) Addr() netip.AddrPort { return s.addr }

// IsLoopback reports whether s is at an address of this host alone, so that
// there is no one on the path to it.
func (s Server) IsLoopback() bool { return s.addr.Addr().IsLoopback() }

// IsAuthenticated reports whether the server proves who it is (strict DNS over
// TLS, or HTTPS), so that no one on the path to it can write its answers.
func (s Server) IsAuthenticated() bool { return s.proto == TLS || s.proto == HTTPS }

// String prints s as [ParseServer] reads it. Default ports of TLS and HTTPS are left
// out, and so are pins, which would fill a line: with them the printed form does not
// make the same Server. The zero Server prints as "".
func (s Server) String() string {
	switch s.proto {
	case Plain:
		return s.addr.String()
	case TLS:
		out := "tls://" + s.hostPort(portTLS)
		if s.addr.IsValid() && s.host != "" && s.host != s.addr.Addr().WithZone("").String() {
			out += "#" + s.host
		}
		return out
	case HTTPS:
		return "https://" + s.hostPort(portHTTPS) + s.path
	}
	return ""
}

// hostPort prints the host, in brackets where needed, and the port unless it is usual.
func (s Server) hostPort(usual uint16) string {
	host := s.host
	if s.addr.IsValid() {
		host = s.addr.Addr().String()
		if s.addr.Addr().Is6() {
			host = "[" + host + "]"
		}
	}
	if s.port != usual {
		host += ":" + strconv.Itoa(int(s.port))
	}
	return host
}

// MarshalText prints s as [Server.String] does.
func (s Server) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
