package peers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// A column is one contestant of the scoreboard.
type column struct {
	name    string
	shipped map[*situation]*shipment // what it delivered
	ends    map[*situation]end       // of one that delivers nothing
	own     []boardReason            // besides those of every Postfix
	other   bool                     // it is no Postfix

	right   int
	reasons []*boardRow
}

// A boardReason explains ends that are not those of the RFCs.
type boardReason struct {
	text string
	// fits says whether it explains that end.
	fits func(s *situation, got end) bool
}

// A boardRow is a reason with what it explains.
type boardRow struct {
	text   string
	names  []string
	weaker int // of them, how many went with less protection than wanted
}

// named fits the situations of these names.
func named(names ...string) func(*situation, end) bool {
	return func(s *situation, _ end) bool { return slices.Contains(names, s.Name) }
}

// needsSTS reports whether MTA-STS has a part in what the plan demands. The row of the policy
// does not say so: where DANE decides, the policy may have been fetched in time or not.
func needsSTS(s *situation) bool {
	return slices.ContainsFunc(s.check.Plan.Hosts, func(h engine.Host) bool {
		return h.Requirement.Has(engine.STS) || h.Requirement == engine.Skip && h.Reason.ID == reason.STSNoMatch
	})
}

// ofPostfix are reasons of every Postfix, with and without a table.
var ofPostfix = []boardReason{
	{causes[causeInjected], named("dane-injected", "may-injected")},
	{causes[causeClearLater], named("may-alert", "may-close", "may-hang", "may-junk", "may-junk-handshake")},
	{causes[causeNullMX], named("null-mx-and-host")},
	{causes[causeSelfTA], named("ta-self")},
	{"Where TLS is optional, Postfix still speaks TLS 1.0 (`smtp_tls_protocols` is `>=TLSv1` by default). RFC 8996 forbids it, so mxauth counts it as none.", named("may-tls10")},
	{"The certificate of an authority that a TLSA record of usage 2 names may have expired (`ta-dates`).", named("ta-ca-expired")},
	{"A certificate without DNS names passes by its Common Name (`common-name`); RFC 8461 section 4.2 wants a DNS name.", func(s *situation, got end) bool { return s.Name == "mx-name-cn" && got == "authenticated" }},
	{"Usage 2 behind an unsigned MX: the name of the next hop counts as well (`half-dane-nexthop`).", named("half-dane-ta-domain")},
	{"Both: MTA-STS is satisfied, and the TLSA records behind an unsigned MX are not checked (`tlsa-unchecked`).", func(s *situation, got end) bool {
		return s.Name == "half-dane-enforce-mismatch" && got == "authenticated"
	}},
}

// Reasons of contestants.
var (
	aloneReasons = []boardReason{
		{"It knows no MTA-STS.", func(s *situation, _ end) bool { return needsSTS(s) }},
		{minTLSReason, named("encrypt-tls10")},
		{nsec3Reason, named("nsec3-many-none")},
	}
	resolverReasons = []boardReason{
		{"It cannot read a question with a byte above 127 and ends the connection, so mail to an internationalized domain waits.", named("idn")},
		{"Where DANE and MTA-STS both apply it answers `secure`, and Postfix then leaves DANE out: a TLSA record that does not match, or cannot be looked up, is overridden, and mail that DANE would authenticate waits for WebPKI. RFC 8461 section 2 forbids the first.",
			func(s *situation, got end) bool {
				return s.World.STS != nil && slices.ContainsFunc(s.check.Plan.Hosts, func(h engine.Host) bool {
					return h.DANE.State == dane.Usable || h.DANE.State == dane.Failed
				})
			}},
		{"A pattern `*.example.org` becomes Postfix's `.example.org`, which also matches names two labels below it (RFC 8461 section 4.1: one label).", named("sts-wildcard-deep")},
		{"A field that is there twice counts by its last value (RFC 8461 section 3.2: the first).", named("lint-field-repeated")},
		{"It takes a policy or a record that the grammar of RFC 8461 does not allow, and enforces it.", named("near-policy-comment", "near-policy-cr-cr-lf", "near-policy-nbsp", "near-txt-date", "near-policy-preference", "near-policy-yaml")},
		{"It takes a policy whose host has its name only as a Common Name (RFC 8461 section 3.3 wants a DNS name).", named("sts-cert-cn")},
		{"It takes a policy that comes compressed without having been asked for, or with headers of 100 kB. The RFC says nothing of that; mxauth refuses both.", named("policy-gzip", "policy-big-header")},
		{minTLSReason, named("encrypt-tls10")},
		{nsec3Reason, named("nsec3-many-none")},
	}
	fingerReasons = []boardReason{
		{nsec3Reason, named("nsec3-many-none")},
		{"It says \"Verified\" of a host for which nothing is published if its certificate leads to a public authority and has its name. Nothing keeps an attacker from removing that.", func(s *situation, got end) bool {
			return s.wanted() == "encrypted" && got == "authenticated"
		}},
		{"It knows no MTA-STS.", func(s *situation, _ end) bool { return needsSTS(s) }},
		{"It looks at the first host that answers, and at no other if that one fails.", func(s *situation, got end) bool {
			return len(s.check.Plan.Hosts) > 1
		}},
		{"It says nothing where STARTTLS is not offered, although TLSA records demand it.", func(s *situation, got end) bool { return got == "cleartext" && s.wanted() == heldBack }},
		{"It says \"Untrusted\" of a certificate that does not satisfy the TLSA records, as of one of which nothing is demanded, and leaves the conclusion to its reader.", func(s *situation, got end) bool { return got == "encrypted" && s.wanted() == heldBack }},
		{"It makes no second connection in the clear.", func(s *situation, got end) bool { return s.wanted() == "cleartext" && got == heldBack }},
	}
)

const (
	minTLSReason = "`encrypt` by unusable TLSA records takes TLS 1.0 (`smtp_tls_mandatory_protocols` is `>=TLSv1` by default). mxauth's answer has `protocols=>=TLSv1.2`."
	nsec3Reason  = "The resolver calls a denial with 500 NSEC3 iterations unsigned, as RFC 9276 section 3.2 allows. mxauth does not take it as a proof that there are no TLSA records, and waits."
)

// endFor is how a situation ends for the contestant.
func (c *column) endFor(s *situation) (end, bool) {
	switch {
	case c.shipped != nil:
		sh := c.shipped[s]
		if sh == nil {
			return "", false
		}
		return endOf(sh.got), true
	case c.ends != nil:
		e, ok := c.ends[s]
		return e, ok
	case !s.check.Deliver:
		return heldBack, true
	}
	return end(s.check.Outcome.String()), true
}

// weakerEnd reports whether a message went with less protection than wanted.
func weakerEnd(got, want end) bool {
	order := []end{"cleartext", "encrypted", "authenticated", heldBack}
	return slices.Index(order, got) < slices.Index(order, want)
}

// judge counts what the contestant gets right, and finds a reason for everything else.
func (c *column) judge(t *testing.T, list []*situation) {
	t.Helper()
	reasons, ways := c.own, ofPostfix
	if c.other {
		ways = nil
	} else if c.shipped != nil || c.ends != nil {
		reasons = slices.Concat(c.own, ofPostfix)
		if len(c.own) == 0 {
			reasons = ofPostfix
		}
	}
	for _, s := range list {
		got, ok := c.endFor(s)
		want := s.wanted()
		switch {
		case !ok:
			t.Errorf("%s: %s: nothing", c.name, s.Name)
			continue
		case got == want:
			c.right++
			continue
		}
		// A way of Postfix itself comes first: no table can change it.
		i := slices.IndexFunc(ways, func(r boardReason) bool { return r.fits(s, got) })
		text := ""
		if i >= 0 && reasons != nil {
			text = ways[i].text
		} else if i = slices.IndexFunc(reasons, func(r boardReason) bool { return r.fits(s, got) }); i >= 0 {
			text = reasons[i].text
		} else {
			t.Errorf("%s: %s (%s): %s, want %s, and no reason is known", c.name, s.Name, s.About, got, want)
			continue
		}
		k := slices.IndexFunc(c.reasons, func(r *boardRow) bool { return r.text == text })
		if k < 0 {
			c.reasons = append(c.reasons, &boardRow{text: text})
			k = len(c.reasons) - 1
		}
		c.reasons[k].names = append(c.reasons[k].names, fmt.Sprintf("`%s` (%s)", s.Name, got))
		if weakerEnd(got, want) {
			c.reasons[k].weaker++
		}
	}
	slices.SortFunc(c.reasons, func(a, b *boardRow) int {
		if n := len(b.names) - len(a.names); n != 0 {
			return n
		}
		return strings.Compare(a.text, b.text)
	})
}

// boardText is docs/scoreboard.md.
func boardText(columns []*column, situations int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Who gets what right

The lab of this repository describes %d situations in which one message to one domain has one right end by the text of RFC 7672 and RFC 8461: it goes authenticated, it goes encrypted, it goes in the clear, or it does not go. This page is made by a test that sends a real message to each (`+"`go test ./conformance/peers -run TestSenders -update`"+`) through Debian's Postfix, with `+"`smtp_tls_security_level = dane`"+` and an otherwise silent main.cf, and through Debian's Exim with what it does by default: DANE, and certificates that it looks at and does not demand. posttls-finger sends nothing and is taken at its word. "Weaker" went with less protection than wanted, or went although it must not; "stricter" waited or bounced although it may go, or was authenticated where that proves nothing.

The situations are chosen for what can go wrong, not by how often it does. Those that depend on local options, on one message, on the clock, or on which of several addresses is tried first are not among them.

| | right | weaker | stricter |
| --- | --- | --- | --- |
`, situations)
	for _, c := range columns {
		weak, all := 0, 0
		for _, r := range c.reasons {
			weak += r.weaker
			all += len(r.names)
		}
		fmt.Fprintf(&b, "| %s | %d of %d | %d | %d |\n", c.name, c.right, situations, weak, all-weak)
	}
	for _, c := range columns {
		if len(c.reasons) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", c.name)
		for _, r := range c.reasons {
			fmt.Fprintf(&b, "- %s (%d)\n  %s\n", r.text, len(r.names), strings.Join(r.names, ", "))
		}
	}
	return b.String()
}
