package peers_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/engine/reason"
)

// A kind says how a delivery differs from the engine's decisions.
type kind string

// Kinds. Those of the first group send where the engine lets nothing go, or with less
// protection than the plan demands.
const (
	same         kind = ""
	unknownHost  kind = "used a host that the plan does not have"
	excludedHost kind = "used a host over which the engine lets nothing go"
	unverified   kind = "did not authenticate the host"
	inTheClear   kind = "sent in the clear"

	notSent   kind = "did not send"
	laterHost kind = "used a later host"
)

// weaker reports whether Postfix checked less than the engine.
func (k kind) weaker() bool {
	return k == unknownHost || k == excludedHost || k == unverified || k == inTheClear
}

// differs says how a delivery differs from what the engine says.
func (s *shipment) differs() kind {
	v := &s.check
	if s.got.Status != "sent" {
		if v.Deliver {
			return notSent
		}
		return same
	}
	h, d := s.hostOf(s.got)
	switch {
	case h == nil:
		return unknownHost
	case !d.Deliver:
		return excludedHost
	case d.Outcome == engine.Authenticated && s.got.TLS != "Verified":
		return unverified
	case s.got.TLS == "" && h.Requirement.NeedsTLS() && d.Outcome != engine.Cleartext:
		return inTheClear
	}
	for i := range v.Plan.Hosts {
		if v.Hosts[i].Decision.Deliver {
			if v.Plan.Hosts[i].Preference < h.Preference {
				return laterHost
			}
			break
		}
	}
	return same
}

// Causes of differences that no reply can name, because they show after the reply: ways of
// the mail server itself.
const (
	causeInjected   = "postfix-injected"
	causeClearLater = "postfix-clear-later"
	causeNullMX     = "postfix-null-mx"
	causeSelfTA     = "postfix-self-anchor"
	causeAddressMX  = "postfix-address-mx"
)

// causes say what they are.
var causes = map[string]string{
	causeInjected:   "Postfix throws away what a server sent in the clear behind its reply to STARTTLS and goes on inside TLS, where the certificate is checked. mxauth ends the connection (RFC 3207 section 4.2 asks only that it is discarded).",
	causeClearLater: "After a failed STARTTLS or handshake Postfix defers, and sends in the clear only at a later attempt, when the message is older than `minimal_backoff_time`. mxauth lets it go in the clear at once.",
	causeNullMX:     "Postfix takes a null MX among other MX records for a domain without mail; mxauth ignores it there (RFC 7505 section 3 forbids publishing both).",
	causeSelfTA:     "With usage 2 OpenSSL, and so Postfix, does not take a self-signed server certificate as its own authority. mxauth does.",
	causeAddressMX:  "Postfix takes an MX record that names an address as that address; to mxauth it names no host. Nothing is published that would protect it, so the answer is \"no entry\".",
}

// causeOf names those situations. It holds for every Postfix and level.
var causeOf = map[string]string{
	"dane-injected":      causeInjected,
	"may-alert":          causeClearLater,
	"may-close":          causeClearLater,
	"may-hang":           causeClearLater,
	"may-junk":           causeClearLater,
	"may-junk-handshake": causeClearLater,
	"null-mx-and-host":   causeNullMX,
	"ta-self":            causeSelfTA,
	"mx-address-literal": causeAddressMX,
}

// explained finds the deviation of the reply that allows a difference, or the cause in the
// mail server; "" if there is none.
func (s *shipment) explained(k kind, old bool) string {
	h, dec := s.hostOf(s.got)
	for _, d := range s.reply.Deviations {
		if d.Weaker != k.weaker() || k.weaker() && d.Host != "" && (h == nil || d.Host != h.Name.String()) {
			continue
		}
		fits := true
		switch d.ID {
		case mtapolicy.WeakerOldInsecureMX:
			fits = old && s.variant.level != "dane" && !s.variant.cured
		case mtapolicy.WeakerNextHopName:
			fits = dec != nil && dec.Reason.ID == reason.DANEName
		case mtapolicy.WeakerTADates:
			fits = slices.ContainsFunc(s.Hosts, func(h lab.Host) bool { return h.Chain.Fault == lab.IssuerExpired })
		case mtapolicy.WeakerTACommonName, mtapolicy.WeakerCommonName:
			fits = slices.ContainsFunc(s.Hosts, func(h lab.Host) bool { return h.Chain.NoSAN && h.Chain.CN != "" })
		case mtapolicy.WeakerSharedName:
			fits = s.variant.table == byPlain && h.Requirement == engine.Skip
		}
		if fits {
			return string(d.ID)
		}
	}
	return causeOf[s.Name]
}

// judge compares every delivery that asked mxauth with the engine's decisions, and the
// differences with docs/deviations.md.
func (w *mailWorld) judge(t *testing.T, shipments []*shipment) {
	var found []difference
	n := 0
	met := map[string]bool{}
	for _, s := range shipments {
		if !s.variant.asksMxauth() {
			continue
		}
		n++
		met[s.Name] = true
		k := s.differs()
		if k == same {
			continue
		}
		why := s.explained(k, w.old(s.variant.sender))
		if why == "" {
			t.Errorf("%s, Postfix %s, level %s: %s, and no deviation of the reply says so: %s via %q; Postfix: %s %s %s %.150q; reply %s %.200q %v",
				s.Name, w.postfix[s.variant.sender].Version, s.variant.level, k, s.check.Outcome, s.check.Via, s.got.Status, s.got.Host, s.got.TLS, s.got.Text, s.reply.Row, s.reply.Text, s.reply.Deviations)
			continue
		}
		found = append(found, difference{s, k, why})
	}
	t.Logf("%d deliveries of %d situations, %d differ", n, len(met), len(found))
	if len(met) < 40 {
		t.Errorf("%d situations, want at least 40", len(met))
	}
	w.document(t, found, n, len(met))
}

// A difference is a delivery with what explains it.
type difference struct {
	*shipment
	kind kind
	why  string
}

// old reports whether a Postfix ignores the level dane of a table behind an unsigned MX
// unless main.cf has it, too: before 3.6.17, 3.7.13, 3.8.8, 3.9.2.
func (w *mailWorld) old(sender string) bool {
	var major, minor, patch int
	_, _ = fmt.Sscanf(w.postfix[sender].Version, "%d.%d.%d", &major, &minor, &patch)
	least, known := map[int]int{6: 17, 7: 13, 8: 8, 9: 2}[minor]
	return major < 3 || major == 3 && (minor < 6 || known && patch < least)
}

// heard: no server was given a message that Postfix does not say it sent there.
func (w *mailWorld) heard(t *testing.T, shipments []*shipment) {
	byID := map[string]*shipment{}
	at := map[netip.AddrPort]bool{}
	for _, s := range shipments {
		byID[s.message.ID] = s
		for i := range s.check.Plan.Hosts {
			h := &s.check.Plan.Hosts[i]
			for _, a := range append(h.Addresses, h.Literal, s.got.Addr) {
				at[netip.AddrPortFrom(a, h.Port)] = true
			}
		}
		at[netip.AddrPortFrom(s.got.Addr, 25)] = true
	}
	n := 0
	for addr := range at {
		for _, line := range w.lab.Spoken(addr) {
			rest, ok := strings.CutPrefix(line, "RCPT TO:<")
			if !ok {
				continue
			}
			id, _, _ := strings.Cut(rest, "@")
			s := byID[id]
			if s == nil {
				t.Errorf("%s was told %q", addr, line)
				continue
			}
			n++
			// A server that refuses MAIL gets no message although its client goes on.
			refuses := slices.ContainsFunc(s.Hosts, func(h lab.Host) bool { return h.SMTP.NeedsTLS })
			if !refuses && (s.got.Status != "sent" || s.got.Addr != addr.Addr()) {
				t.Errorf("%s, level %s: %s was given the message, and Postfix says %s %s", s.Name, s.variant.level, addr, s.got.Status, s.got.Addr)
			}
		}
	}
	if n < 1000 {
		t.Errorf("all servers together were given %d recipients", n)
	}
}

// rows: the daemons' answers had every row, P2 to P11. P1 is answered without a count; the
// test of TLS-Required shows it.
func (w *mailWorld) rows(t *testing.T) {
	var all strings.Builder
	for _, d := range w.daemons {
		resp, err := http.Get("http://" + d.metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, row := range []mtapolicy.Row{mtapolicy.P2, mtapolicy.P3, mtapolicy.P4, mtapolicy.P5, mtapolicy.P6, mtapolicy.P7, mtapolicy.P8a, mtapolicy.P8b, mtapolicy.P9, mtapolicy.P10, mtapolicy.P11} {
		if !strings.Contains(all.String(), `row="`+string(row)+`"`) {
			t.Errorf("no answer had row %s", row)
		}
	}
}
