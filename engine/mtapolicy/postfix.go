package mtapolicy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// ErrMessage is returned for a plan that was made for one message (REQUIRETLS,
// TLS-Required, a bounce, a TLSRPT report): a mail server does not give its table the
// message, so such a plan would be taken for the plan of every message.
var ErrMessage = errors.New("mtapolicy: the plan is for one message, and the table applies to all")

// Limits of a reply.
const (
	// maxReply is the longest reply in bytes. Postfix refuses 100,000 (measured with 3.7.11
	// and 3.10.13); the rest is room for the protocol around it.
	maxReply = 90_000
	// maxPolicyStrings bounds the text that only the TLSRPT report needs.
	maxPolicyStrings = 8 << 10
	// maxClause is the longest text of a TryLater reply: Postfix logs 200 bytes of it.
	maxClause = 180
)

// minTLS is the attribute for TLS 1.2 or later (RFC 8461 section 4, RFC 7672 section 3).
const minTLS = " protocols=>=TLSv1.2"

// Postfix says a plan in the words of a TLS policy table (smtp_tls_policy_maps). An error
// is [ErrMessage]. The reply holds as long as the plan does ([engine.Plan.Keep]).
func Postfix(p *engine.Plan, o Options) (Reply, error) {
	r := &p.Request
	if r.RequireTLS || r.TLSRequiredNo || r.NullReturnPath || r.TLSRPTReport {
		return Reply{Row: P5}, ErrMessage
	}
	w := writer{plan: p, opts: o, hosts: read(p)}
	w.count()
	reply := w.rule()
	if r.Options.Audit && w.lowers() || r.Level == engine.LevelOpportunistic {
		reply = w.audit(reply)
	}
	if o.Form == Sendmail && reply.Kind == Found && reply.Row != P9 && reply.Row != P10 {
		// sendmail reads no other level than secure from this map, and checks DANE by itself.
		reply.Kind, reply.Text = NotFound, ""
	}
	return reply, nil
}

// Failed says that there is no plan: the engine refused the request, or the plan did not
// come in time.
func Failed(cause string) Reply {
	return Reply{Kind: TryLater, Row: P5, Text: clause(cause)}
}

// NotAName is the reply for a key that is no domain, host or literal.
func NotAName() Reply { return Reply{Kind: NotFound, Row: P1} }

// A writer chooses the row.
type writer struct {
	plan  *engine.Plan
	opts  Options
	hosts []host

	open, barred, held, absent int
	heldOurs, heldTLSA         int
	lowered                    bool // an exception lowered a host
}

func (w *writer) count() {
	for i := range w.hosts {
		h := &w.hosts[i]
		w.lowered = w.lowered || h.lowered
		switch h.state {
		case open:
			w.open++
		case barred:
			w.barred++
		case absent:
			w.absent++
		case held:
			w.held++
			switch h.hold {
			case holdOurs:
				w.heldOurs++
			case holdTLSA:
				w.heldTLSA++
			}
		}
	}
}

// lowers reports whether audit mode has a host to act on.
func (w *writer) lowers() bool { return w.open+w.barred > 0 }

// audit is row P2.
func (w *writer) audit(would Reply) Reply {
	if w.plan.Request.Level == engine.LevelOpportunistic {
		return Reply{Kind: Found, Text: w.level("may", false), Row: P2}
	}
	reply := Reply{Kind: NotFound, Row: P2, Would: would.Row}
	if w.unlooked() {
		reply.deviate(StrongerDefaultLevel, "")
	}
	for i := range w.hosts {
		if h := &w.hosts[i]; h.state != absent && (h.Requirement|h.Report)&(engine.DANE|engine.HalfDANE|engine.Encrypt) != 0 || h.DANE.State >= dane.Unusable {
			reply.deviate(StrongerAudit, h.label())
		}
		if h := &w.hosts[i]; h.state == held && h.hold != holdAddress || h.state == barred && h.Reason.ID != reason.Audit {
			reply.deviate(WeakerAudit, h.label())
		}
	}
	return reply
}

// all and some range over the open hosts.
func (w *writer) all(parts engine.Requirement) bool {
	for i := range w.hosts {
		if h := &w.hosts[i]; h.state == open && h.Requirement&parts == 0 {
			return false
		}
	}
	return w.open > 0
}

func (w *writer) some(parts engine.Requirement) bool {
	return slices.ContainsFunc(w.hosts, func(h host) bool { return h.needs(parts) })
}

// strays reports a host that the mail server could use although the plan does not: barred,
// or held for a reason that only this program has.
func (w *writer) strays() bool { return w.barred > 0 || w.heldOurs > 0 }

// insecureMX reports whether the choice of hosts is not signed.
func (w *writer) insecureMX() bool { return w.plan.MX.Status != dnssec.Secure }

// rule finds the first row that fits, P3 to P12.
func (w *writer) rule() Reply {
	p := w.plan
	if reply, ok := w.exception(); ok {
		return reply
	}
	var reply Reply
	switch {
	case p.MX.Outcome == engine.Bounced, len(w.hosts) > 0 && w.absent == len(w.hosts):
		reply = w.nowhere()
	case p.MX.Outcome != engine.OutcomeNone, w.open == 0:
		reply = w.wait(P5)
	case w.all(engine.DANE):
		reply = w.daneOnly(P6)
	case w.some(engine.DANE) && (w.some(engine.STS|engine.PKIX) || w.strays()):
		reply = w.daneOnly(P7)
	case w.all(engine.Encrypt) && !w.some(engine.STS|engine.PKIX) && w.barred == 0 && w.heldOurs+w.heldTLSA == 0:
		reply = Reply{Kind: Found, Text: w.level("encrypt", true), Row: P8a}
	case w.some(engine.DANE|engine.HalfDANE|engine.Encrypt) && !w.some(engine.STS|engine.PKIX):
		reply = w.dane(P8b)
	case w.some(engine.STS):
		reply = w.secureSTS()
	case w.all(engine.PKIX):
		reply = w.securePKIX()
	case w.all(engine.May):
		reply = w.may()
	default:
		reply = Reply{Row: P12, Text: "no rule fits this plan; this is a bug of mxauth"}
	}
	for i := range w.hosts {
		if h := &w.hosts[i]; h.Exception != nil {
			reply.deviate(StrongerException, h.label())
		}
	}
	return reply
}

// level is a policy that names no host.
func (w *writer) level(word string, withTLS bool) string {
	if withTLS && !w.opts.NoMinTLS {
		return word + minTLS
	}
	return word
}

// exception is row P3: exceptions cover every host that could get the message.
func (w *writer) exception() (Reply, bool) {
	if w.open+w.barred == 0 && !w.lowered {
		return Reply{}, false
	}
	encrypt, used := false, false
	for i := range w.hosts {
		h := &w.hosts[i]
		switch {
		case h.state == absent, h.state == held && !h.lowered && h.hold == holdAddress:
			continue
		case h.lowered:
		case h.state == open && h.Requirement == engine.May:
			continue // nothing is demanded of it
		case h.state == open && h.Exception != nil && coversAll(h.Exception, h.Requirement):
		default:
			return Reply{}, false
		}
		used = true
		encrypt = encrypt || h.Exception.Effect == exception.EffectEncrypt
	}
	if !used {
		return Reply{}, false
	}
	reply := Reply{Kind: Found, Text: w.level("may", false), Row: P3}
	if encrypt {
		reply.Text = w.level("encrypt", true)
		for i := range w.hosts {
			if h := &w.hosts[i]; h.state == open && h.Requirement == engine.May || h.Exception != nil && h.Exception.Effect == exception.EffectMay {
				reply.deviate(StrongerTLSDemanded, h.label())
			}
		}
	}
	return reply, true
}

// coversAll reports whether a failure of any part of the requirement is let pass.
func coversAll(x *exception.Exception, r engine.Requirement) bool {
	switch x.Method {
	case "":
		return true
	case "dane":
		return r&(engine.STS|engine.PKIX) == 0
	case "mta-sts":
		return r&^engine.STS == 0
	case "pkix":
		return r&^engine.PKIX == 0
	}
	return false
}

// nowhere is row P4. Postfix asks only for hosts that it has found, so its view of DNS
// differs from the plan's.
func (w *writer) nowhere() Reply {
	p := w.plan
	if p.STS.Policy != nil && p.STS.Policy.Mode == sts.ModeEnforce || p.Past != nil && !p.Past.Last().IsZero() {
		return w.wait(P4)
	}
	return Reply{Kind: NotFound, Row: P4}
}

// wait is a TryLater reply with the cause of the first host that keeps the message.
func (w *writer) wait(row Row) Reply {
	reply := Reply{Kind: TryLater, Row: row}
	for i := range w.hosts {
		if h := &w.hosts[i]; h.state == open {
			reply.deviate(StrongerHostUnused, h.label())
		}
	}
	why := w.cause()
	reply.Reason, reply.Text = why.ID, clause(explain.Text(why))
	if reply.Text == "" {
		reply.Text = "no mail host can be used now"
	}
	return reply
}

// cause is why the message waits: the reason of the MX lookup, or of the first host that is
// held, barred or absent.
func (w *writer) cause() engine.Reason {
	if why := w.plan.MX.Reason; !why.IsZero() {
		return why
	}
	for _, s := range [...]state{held, barred, absent} {
		for i := range w.hosts {
			if h := &w.hosts[i]; h.state == s {
				if h.lowered {
					return h.Waived
				}
				return h.Reason
			}
		}
	}
	return engine.Reason{}
}

// daneOnly is rows P6 and P7. secure would let WebPKI override a failed TLSA match, and
// dane would let the other host be used in the clear.
func (w *writer) daneOnly(row Row) Reply {
	reply := Reply{Kind: Found, Text: w.level("dane-only", true), Row: row}
	for i := range w.hosts {
		h := &w.hosts[i]
		switch {
		case h.needs(engine.DANE):
			if h.Requirement.Has(engine.STS) {
				reply.deviate(WeakerSTSUnchecked, h.label())
			}
			w.anchorChecks(&reply, h)
		case h.state == open:
			reply.deviate(StrongerHostUnused, h.label())
		case h.tlsaPossible():
			reply.deviate(WeakerTLSAHost, h.label())
		}
	}
	return reply
}

// dane is the level at which Postfix decides per host.
func (w *writer) dane(row Row) Reply {
	if w.strays() {
		return w.wait(row)
	}
	reply := Reply{Kind: Found, Text: "dane", Row: row}
	for i := range w.hosts {
		if h := &w.hosts[i]; h.needs(engine.DANE | engine.HalfDANE) {
			w.anchorChecks(&reply, h)
		}
	}
	if !w.insecureMX() {
		return reply
	}
	reply.deviate(WeakerOldInsecureMX, "")
	for i := range w.hosts {
		h := &w.hosts[i]
		if h.needs(engine.HalfDANE) && h.DANE.Set.HasUsage(dane.DANETA) {
			reply.deviate(WeakerNextHopName, h.label())
		}
	}
	if w.plan.Request.Options.InsecureMX == engine.InsecureMXEncrypt {
		reply.deviate(StrongerInsecureMX, "")
	}
	return reply
}

// anchorChecks names what Postfix (3.7 to 3.10, measured) does not check where TLSA records
// name an authority: its dates, and the option that Common Names never count.
func (w *writer) anchorChecks(reply *Reply, h *host) {
	if !h.DANE.Set.HasUsage(dane.DANETA) {
		return
	}
	reply.deviate(WeakerTADates, h.label())
	if w.plan.Request.Options.NoCNID {
		reply.deviate(WeakerTACommonName, h.label())
	}
}

// secureSTS is row P9.
func (w *writer) secureSTS() Reply {
	var names []string
	reply := Reply{Kind: Found, Row: P9}
	exact := true // every host that is not open is absent or barred by the policy itself
	for i := range w.hosts {
		h := &w.hosts[i]
		switch {
		case h.needs(engine.STS):
			if names = appendName(names, h.label()); !slices.Contains(names, h.label()) {
				reply.deviate(StrongerHostUnused, h.label())
				exact = false
			}
			if h.Requirement.Has(engine.HalfDANE) {
				reply.deviate(WeakerTLSAUnchecked, h.label())
			}
		case h.state == open:
			reply.deviate(StrongerHostUnused, h.label())
			exact = false
		case h.state == barred && !h.lowered && h.Reason.ID == reason.STSNoMatch, h.state == absent:
		default:
			exact = false
		}
	}
	if len(names) == 0 {
		return w.wait(P9)
	}
	// Postfix takes the Common Name of a certificate without DNS names at this level, and a
	// name in match= counts for every host of the domain.
	reply.deviate(WeakerCommonName, "")
	reply.deviate(WeakerSharedName, "")
	reply.Text = "secure match=" + strings.Join(names, ":") + " servername=hostname"
	if w.opts.Form == Sendmail {
		return reply
	}
	reply.Text = w.level(reply.Text, true)
	if w.opts.Form == Extended && w.plan.STS.Policy != nil {
		reply.Text += w.attributes(len(reply.Text), names, exact)
	}
	return reply
}

// attributes are those of Postfix 3.10. From 3.10.5 on the patterns in them choose the
// hosts in place of match=.
func (w *writer) attributes(used int, names []string, exact bool) string {
	p := w.plan
	pol := p.STS.Policy
	var b strings.Builder
	b.WriteString(" policy_type=sts policy_domain=" + p.Orig.String())
	patterns := names
	if exact {
		patterns = nil
		for _, m := range pol.MX {
			patterns = append(patterns, m.String())
		}
	}
	hosts := func(list []string) string {
		var b strings.Builder
		for _, n := range list {
			b.WriteString(" mx_host_pattern=" + n)
		}
		return b.String()
	}
	lines := []string{"version: STSv1", "mode: " + pol.Mode.String()}
	for _, m := range pol.MX {
		lines = append(lines, "mx: "+m.String())
	}
	lines = append(lines, "max_age: "+strconv.FormatInt(int64(pol.MaxAge/time.Second), 10))
	var text strings.Builder
	for _, l := range lines {
		s := " { policy_string = " + l + " }"
		if text.Len()+len(s) > maxPolicyStrings {
			break
		}
		text.WriteString(s)
	}
	tail := hosts(patterns)
	if used+b.Len()+text.Len()+len(tail) > maxReply {
		// The policy strings serve a report; the patterns keep mail from the wrong host.
		return b.String() + hosts(names)
	}
	return b.String() + text.String() + tail
}

// securePKIX is row P10.
func (w *writer) securePKIX() Reply {
	if w.strays() || w.heldTLSA > 0 {
		return w.wait(P10)
	}
	var names []string
	sni := ""
	for i := range w.hosts {
		h := &w.hosts[i]
		if h.state != open {
			continue
		}
		for _, ref := range h.PKIXRefs {
			names = appendName(names, ref.String())
		}
		if sni == "" {
			sni = h.SNI
		}
	}
	if len(names) == 0 || sni == "" {
		return w.wait(P10)
	}
	reply := Reply{Kind: Found, Row: P10}
	reply.deviate(WeakerCommonName, "")
	if len(w.plan.Request.Options.Names) == 0 {
		// Each host is to show its own name, and any of them counts for all.
		reply.deviate(WeakerSharedName, "")
	}
	if w.opts.Form == Sendmail {
		reply.Text = "secure match=" + strings.Join(names, ":") + " servername=hostname"
		return reply
	}
	reply.Text = w.level("secure match="+strings.Join(names, ":")+" servername="+sni, true)
	return reply
}

// may is row P11.
func (w *writer) may() Reply {
	switch {
	case w.strays():
		return w.wait(P11)
	case w.held > 0:
		reply := w.dane(P11)
		if w.unlooked() {
			reply.deviate(StrongerDefaultLevel, "")
		}
		return reply
	case w.opts.HoldTLS && w.spokeTLS():
		return Reply{Kind: Found, Text: w.level("encrypt", true), Row: P11}
	}
	reply := Reply{Kind: NotFound, Row: P11}
	if w.unlooked() {
		reply.deviate(StrongerDefaultLevel, "")
	}
	return reply
}

// unlooked reports whether the plan left TLSA records alone that Postfix looks up at the
// level dane.
func (w *writer) unlooked() bool {
	r := &w.plan.Request
	return r.Level == engine.LevelSTS || r.Options.InsecureMX == engine.InsecureMXMay && w.insecureMX() && w.plan.Orig.IsValid()
}

// spokeTLS reports whether every open host is remembered to have spoken TLS.
func (w *writer) spokeTLS() bool {
	past := w.plan.Past
	if past == nil {
		return false
	}
	for i := range w.hosts {
		h := &w.hosts[i]
		if h.state == open && !slices.ContainsFunc(past.TLS, func(t memory.TLSHost) bool { return t.Host == h.label() }) {
			return false
		}
	}
	return true
}

// appendName adds a name to those of match=, once. Words that Postfix reads as something
// else (hostname, nexthop, dot-nexthop) have no dot, and no mail host of the public DNS
// has none.
func appendName(names []string, n string) []string {
	if !strings.Contains(n, ".") || strings.ContainsAny(n, ": \t{}=,") || strings.HasPrefix(n, ".") || slices.Contains(names, n) {
		return names
	}
	return append(names, n)
}

// clause cuts a text for the log of a mail server and keeps printable ASCII of it.
func clause(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxClause {
		s = fmt.Sprintf("%s...", s[:maxClause-3])
	}
	return s
}

// A cause is why a message waits, for the text of a reply.
type cause struct {
	id   reason.ID
	text string
}

// said is the cause that a reason gives.
func said(r engine.Reason) cause { return cause{id: r.ID, text: explain.Text(r)} }
