package httpdoor

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// SameSite reports whether a request does not come from a page of another site: a browser
// says so in Sec-Fetch-Site, or, an old one, in Origin. A program that is no browser sends
// neither. Requests that cause lookups are refused without it, so that no page on the Web
// makes its visitors' mail server look up what it likes.
func SameSite(r *http.Request) bool {
	switch site := r.Header["Sec-Fetch-Site"]; {
	case len(site) > 1:
		return false
	case len(site) == 1:
		return site[0] == "same-origin" || site[0] == "none"
	}
	switch origin := r.Header["Origin"]; {
	case len(origin) == 0:
		return true
	case len(origin) > 1:
		return false
	default:
		u, err := url.Parse(origin[0])
		return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
	}
}

// named reports whether a Host header names this server. A page of another site can have its
// own name resolve to the address of this server (DNS rebinding); a browser then takes the
// server for a part of that site, but still sends that name. An address cannot be rebound,
// and no page reaches a unix socket.
func (s *Server) named(r *http.Request) bool {
	if r.Host == "localhost" {
		return true
	}
	host := strings.ToLower(r.Host)
	if slices.Contains(s.c.Names, host) {
		return true
	}
	if h, port, err := net.SplitHostPort(host); err == nil && isDigits(port) {
		host = h
	} else if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	switch {
	case host == "":
		return false
	case host == "localhost", slices.Contains(s.c.Names, host):
		return true
	case s.c.Unix && isLabel(host):
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == ""
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// isLabel reports whether s is a name without a dot: no public name is one.
func isLabel(s string) bool {
	return len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
