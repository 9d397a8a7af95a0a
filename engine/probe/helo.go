package probe

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/mxauth/mxauth/rfc6125"
)

// noName is said in EHLO by a machine that has no name.
const noName = "localhost"

// hostsFile lists the names of this machine (hosts(5)).
const hostsFile = "/etc/hosts"

// maxHosts bounds the bytes of it that are read: some block lists of advertisers have
// megabytes, and the machine's own names come first.
const maxHosts = 64 << 10

// ParseHELO returns the name to say in EHLO for s: a host name, in A-labels (EAI8616-4-01,
// RFC 8616 section 4), or an address literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321
// section 4.1.1.1).
func ParseHELO(s string) (string, error) {
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		if _, err := netip.ParseAddr(strings.TrimPrefix(s[1:n-1], "IPv6:")); err == nil {
			return s, nil
		}
	}
	h, err := rfc6125.ParseHost(s)
	if err != nil {
		return "", fmt.Errorf("%.80q is neither a host name nor an address in brackets", s)
	}
	return h.String(), nil
}

// heloName is the name of [Config].HELO, or the fullest that this machine has.
func heloName(s string) string {
	if s == "" {
		s = localName()
	}
	name, err := ParseHELO(s)
	if err != nil {
		return noName
	}
	return name
}

// isFull reports whether a name in EHLO is one that a strict server accepts: it has a
// dot, or is an address literal.
func isFull(name string) bool { return strings.ContainsAny(name, ".[") }

// localName is the name of this machine.
func localName() string {
	short, err := os.Hostname()
	if err != nil {
		return noName
	}
	if isFull(short) {
		return short
	}
	f, err := os.Open(hostsFile)
	if err != nil {
		return short
	}
	defer f.Close()
	return fullName(short, io.LimitReader(f, maxHosts))
}

// fullName looks for the full name of a short one in a file of hosts(5): the first name
// with a dot on a line that has the short one, or that begins with it and a dot. It
// returns short if there is none.
func fullName(short string, hosts io.Reader) string {
	for lines := bufio.NewScanner(hosts); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		full, own := "", false
		for _, name := range fields[1:] {
			begins := len(name) > len(short) && strings.EqualFold(name[:len(short)], short) && name[len(short)] == '.'
			own = own || begins || strings.EqualFold(name, short)
			if full == "" && isFull(name) && !strings.HasPrefix(strings.ToLower(name), "localhost") {
				full = name
			}
		}
		if _, err := ParseHELO(full); own && err == nil {
			return full
		}
	}
	return short
}
