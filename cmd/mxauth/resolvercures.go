package main

import (
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/probe"
	"github.com/mxauth/mxauth/rfc6125"
)

// What to change on a resolver, or which other one to take: for the findings of `mxauth
// resolver`, for lookups that failed by the fault of a resolver, and for trust-ad.

// resolverLines are the file and the line for each kind of resolver. If the server says what
// it is, only its own is shown.
type resolverLines struct {
	unbound, resolved, bind, dnsmasq string
}

var (
	// A recursive Unbound or BIND always passes DNSSEC records through; if they forward, the
	// servers that they forward to must.
	passLines = resolverLines{
		unbound:  "unbound.conf: remove forward-zone, or forward to servers that pass DNSSEC records through",
		resolved: "/etc/systemd/resolved.conf: DNSSEC=yes, and DNS= servers that pass DNSSEC records through; then systemctl restart systemd-resolved",
		bind:     "named.conf: remove forwarders, or forward to servers that pass DNSSEC records through",
		dnsmasq:  "dnsmasq.conf: proxy-dnssec (or dnssec with conf-file=trust-anchors.conf), and server= lines of servers that pass DNSSEC records through",
	}
	validateLines = resolverLines{
		unbound:  `unbound.conf: module-config: "validator iterator" and auto-trust-anchor-file: "/var/lib/unbound/root.key"; no val-permissive-mode, no domain-insecure`,
		resolved: "/etc/systemd/resolved.conf: DNSSEC=yes (not allow-downgrade); then systemctl restart systemd-resolved",
		bind:     "named.conf: dnssec-validation auto",
		dnsmasq:  "dnsmasq.conf: dnssec, conf-file=/usr/share/dnsmasq-base/trust-anchors.conf and dnssec-check-unsigned",
	}
	anchorLines = resolverLines{
		unbound:  "set the clock (NTP), then unbound-anchor -a /var/lib/unbound/root.key and restart",
		resolved: "set the clock (NTP); look into /etc/dnssec-trust-anchors.d/",
		bind:     "set the clock (NTP); named.conf: dnssec-validation auto, no own trust-anchors; rndc managed-keys status",
		dnsmasq:  "set the clock (NTP, or dnssec-timestamp); renew trust-anchors.conf",
	}
	cdLines = resolverLines{
		unbound:  "unbound.conf: ignore-cd-flag: no",
		resolved: "systemd-resolved ignores CD: name another resolver for --dnssec validate",
		bind:     "named.conf: forward to servers that honour CD",
		dnsmasq:  "dnsmasq.conf: server= lines of servers that honour CD",
	}
)

// nameAnother ends the cures that end with another resolver.
const nameAnother = "name another one by --resolver ADDR"

// resolverCures are the words of what package probe names.
var resolverCures = map[probe.Cure]string{
	probe.CureStart:        "start a resolver on this host, or name another with its port (unbound.conf: interface, port; named.conf: listen-on)",
	probe.CureReach:        "check whether it listens there, and whether a firewall lets UDP and TCP port 53 pass",
	probe.CureReachTLS:     "check whether it listens there and proves the name that it was given; --ca-file names the authorities to trust",
	probe.CureAccess:       "let it answer this host (unbound.conf: access-control; named.conf: allow-recursion and allow-query)",
	probe.CureOther:        "name another resolver: this one knows the Internet's names only by hearsay",
	probe.CureRecursive:    "name a recursive resolver, not a name server of a zone",
	probe.CureEDNS:         "take a resolver, or a firewall, of this century: DNSSEC needs EDNS (RFC 6891)",
	probe.CureEDNSPath:     "look for a firewall or a forwarder that removes EDNS",
	probe.CureTCP:          "open TCP as well as UDP in firewalls, and in the resolver (unbound.conf: do-tcp: yes): large answers need it (RFC 7766)",
	probe.CureServers:      "see whether the resolver itself reaches the name servers of the zone",
	probe.CureFalseAD:      "do not trust its AD bit: let mxauth validate (--dnssec validate), and use another resolver",
	probe.CurePath:         "for trust-ad run a resolver on this host, or reach it by tls:// or https://",
	probe.CureNearer:       "take a resolver that is nearer",
	probe.CureNameSigned:   "name a zone to test with: " + flagSigned,
	probe.CureNameUnsigned: "name a zone to test with: " + flagUnsigned,
	probe.CureNameBroken:   "name a zone to test with: " + flagBroken,
	probe.CureNameMissing:  "name one that does not exist, in a signed zone: " + flagMissing,
}

// The flags of `mxauth resolver` that name zones to test with.
const (
	flagSigned   = "--signed ZONE"
	flagUnsigned = "--unsigned ZONE"
	flagBroken   = "--broken ZONE"
	flagMissing  = "--missing NAME"
)

// linesOf are the cures that differ by the kind of resolver.
var linesOf = map[probe.Cure]*resolverLines{
	probe.CurePass: &passLines, probe.CureValidate: &validateLines, probe.CureAnchor: &anchorLines, probe.CureCD: &cdLines,
}

// resolverCure returns the lines of a cure for the server of a report: those for the
// software that the server says it is, else for all four.
func resolverCure(r probe.Report, c probe.Cure) []string {
	if text, ok := resolverCures[c]; ok {
		return []string{text}
	}
	l, ok := linesOf[c]
	if !ok {
		return nil
	}
	s := strings.ToLower(r.Software)
	a := r.Server.Addr().Addr().String()
	switch {
	case a == "127.0.0.53" || a == "127.0.0.54":
		return []string{l.resolved}
	case strings.Contains(s, "unbound"):
		return []string{l.unbound}
	case strings.Contains(s, "dnsmasq"):
		return []string{l.dnsmasq}
	case strings.HasPrefix(s, "9.") || strings.Contains(s, "bind"):
		return []string{l.bind}
	}
	return []string{l.unbound, l.resolved, l.bind, l.dnsmasq}
}

// resolverVerdict is the verdict of a report in one line. It asks for other names to test
// with where the server cannot be judged without them.
func resolverVerdict(r probe.Report) string {
	if !r.Unjudged() {
		return r.Verdict()
	}
	var flags []string
	for _, x := range []struct {
		name rfc6125.Name
		flag string
	}{{r.Unfit.Signed, flagSigned}, {r.Unfit.Unsigned, flagUnsigned}, {r.Unfit.Broken, flagBroken}, {r.Unfit.Missing, flagMissing}} {
		if x.name.IsValid() {
			flags = append(flags, x.flag)
		}
	}
	return r.Verdict() + "; name what to test with: " + strings.Join(flags, " ")
}

// notValidatingCure is what to do about a resolver that package dnssec finds not to validate.
const notValidatingCure = "switch validation on there (unbound.conf: auto-trust-anchor-file; resolved.conf: DNSSEC=yes; " +
	"named.conf: dnssec-validation auto; dnsmasq.conf: dnssec and trust-anchor), or let mxauth validate (--dnssec validate)"

// rootRejectedCure is what to do about a resolver that rejects the keys of the root.
const rootRejectedCure = "set its clock and renew its trust anchor (unbound-anchor; resolved: /etc/dnssec-trust-anchors.d/), or let mxauth validate (--dnssec validate)"

// passSettings are the settings that let a forwarder pass DNSSEC records through.
const passSettings = "(systemd-resolved: DNSSEC=yes in resolved.conf; dnsmasq.conf: proxy-dnssec)"

// refusedCures are what to do about a resolver that refuses, by the cause.
var refusedCures = map[dnssec.ReasonCode]string{
	dnssec.ReasonReferral: "that is a name server of zones; a recursive resolver is wanted: name one by --resolver ADDR",
	dnssec.ReasonFormErr:  "that server is too old for DNSSEC; " + nameAnother,
}

// uselessCures are what to do about a resolver through which nothing can be validated.
var uselessCures = map[dnssec.ReasonCode]string{
	dnssec.ReasonUpstreamStrips: "let it pass DNSSEC records through " + passSettings + ", or " + nameAnother,
	dnssec.ReasonUpstreamCD:     "it must answer questions with the CD bit; a plain recursive resolver (Unbound, BIND, Knot) does: name one by --resolver ADDR",
	dnssec.ReasonNoUsableAnchor: "every trust anchor has been revoked: update mxauth, or give current ones by --trust-anchor FILE",
}
