package peers

import (
	"net/netip"
	"regexp"
	"strings"
)

// A Delivery is one attempt to deliver a message, as Postfix logged it.
type Delivery struct {
	Status string // "sent", "deferred" or "bounced"
	Host   string // relay, as Postfix writes it; "" if no host was reached
	Addr   netip.Addr
	TLS    string // "Verified", "Trusted", "Untrusted", "Anonymous"; "" in the clear or if nothing was sent
	DSN    string // "2.0.0"
	Text   string // of the last host
}

// Lines of the log: a connection, and what came of a message. The session of the delivery
// is the last one of the same process with the same host.
var (
	tlsLine    = regexp.MustCompile(`/smtp\[(\d+)\]: (\w+) TLS connection established to (\S+): `)
	statusLine = regexp.MustCompile(`/(?:smtp|error|qmgr)\[(\d+)\]: \w+: to=<([^@>]*)@[^>]*>.* relay=([^,]+), .*dsn=([\d.]+), status=(\w+) \((.*)\)$`)
)

// ReadDeliveries reads the attempts of each message, in their order, by the local part of
// its recipient.
func ReadDeliveries(log string) map[string][]Delivery {
	out := map[string][]Delivery{}
	sessions := map[string]map[string]string{} // by process, by relay: the word
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\n")
		if m := tlsLine.FindStringSubmatch(line); m != nil {
			if sessions[m[1]] == nil {
				sessions[m[1]] = map[string]string{}
			}
			sessions[m[1]][m[3]] = m[2]
			continue
		}
		m := statusLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		d := Delivery{DSN: m[4], Status: m[5], Text: m[6]}
		if name, rest, ok := strings.Cut(m[3], "["); ok {
			d.Host = name
			addr, _, _ := strings.Cut(rest, "]")
			d.Addr, _ = netip.ParseAddr(addr)
			if d.Status == "sent" {
				d.TLS = sessions[m[1]][m[3]]
			}
		}
		delete(sessions, m[1])
		out[m[2]] = append(out[m[2]], d)
	}
	return out
}
