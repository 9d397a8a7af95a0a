package probe

import "strings"

// Cures name the file and the line for each kind of resolver. If the server says what it
// is, only its own is shown.
type cures struct {
	unbound, resolved, bind, dnsmasq string
}

var (
	// stripCures: DNSSEC records do not come through. A recursive Unbound or BIND always
	// hands them on; if they forward, what they forward to must.
	stripCures = cures{
		unbound:  "unbound.conf: remove forward-zone, or forward to servers that pass DNSSEC records through",
		resolved: "/etc/systemd/resolved.conf: DNSSEC=yes, and DNS= servers that pass DNSSEC records through; then systemctl restart systemd-resolved",
		bind:     "named.conf: remove forwarders, or forward to servers that pass DNSSEC records through",
		dnsmasq:  "dnsmasq.conf: proxy-dnssec (or dnssec with conf-file=trust-anchors.conf), and server= lines of servers that pass DNSSEC records through",
	}
	validateCures = cures{
		unbound:  `unbound.conf: module-config: "validator iterator" and auto-trust-anchor-file: "/var/lib/unbound/root.key"; no val-permissive-mode, no domain-insecure`,
		resolved: "/etc/systemd/resolved.conf: DNSSEC=yes (not allow-downgrade); then systemctl restart systemd-resolved",
		bind:     "named.conf: dnssec-validation auto",
		dnsmasq:  "dnsmasq.conf: dnssec, conf-file=/usr/share/dnsmasq-base/trust-anchors.conf and dnssec-check-unsigned",
	}
	anchorCures = cures{
		unbound:  "set the clock (NTP), then unbound-anchor -a /var/lib/unbound/root.key and restart",
		resolved: "set the clock (NTP); look into /etc/dnssec-trust-anchors.d/",
		bind:     "set the clock (NTP); named.conf: dnssec-validation auto, no own trust-anchors; rndc managed-keys status",
		dnsmasq:  "set the clock (NTP, or dnssec-timestamp); renew trust-anchors.conf",
	}
	cdCures = cures{
		unbound:  "unbound.conf: ignore-cd-flag: no",
		resolved: "systemd-resolved does not heed CD: name another resolver for --dnssec validate",
		bind:     "named.conf: forward to servers that heed CD",
		dnsmasq:  "dnsmasq.conf: server= lines of servers that heed CD",
	}
)

// cure returns the lines for the software that the server says it is, else all four.
func (p *prober) cure(c cures) string {
	s := strings.ToLower(p.report.Software)
	a := p.report.Server.Addr().Addr().String()
	switch {
	case a == "127.0.0.53" || a == "127.0.0.54":
		return c.resolved
	case strings.Contains(s, "unbound"):
		return c.unbound
	case strings.Contains(s, "dnsmasq"):
		return c.dnsmasq
	case strings.HasPrefix(s, "9.") || strings.Contains(s, "bind"):
		return c.bind
	}
	return strings.Join([]string{c.unbound, c.resolved, c.bind, c.dnsmasq}, " | ")
}
