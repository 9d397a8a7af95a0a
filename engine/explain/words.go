package explain

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/tlsrpt"
)

// Words are a reason in words. The zero Words say nothing.
type Words struct {
	Text       string            // one sentence or more, with the names of the case
	RFC        string            // section of the rule: "7672 s.2.2"
	ResultType tlsrpt.ResultType // RFC 8460 section 4.3; "" where none exists
	Code       string            // enhanced status code (RFC 3463) of what may not be delivered, else ""
}

// Reason puts a reason into words. Code is that of the reason alone: [Decision], [Summary]
// and [MessageAction] know better.
func Reason(r engine.Reason) Words {
	i := byID[r.ID]
	if i == nil {
		return Words{}
	}
	return Words{Text: Text(r), RFC: rfcOf(r), ResultType: resultType(r), Code: i.Code}
}

// Decision puts the reason of a decision into words.
func Decision(d engine.Decision) Words {
	w := Reason(d.Reason)
	w.Code = ""
	if !d.Deliver {
		w.Code = code(d.DemandsREQUIRETLS, d.Outcome, d.Reason)
	}
	return w
}

// Summary puts the reason of a summary into words.
func Summary(p *engine.Plan, s engine.Summary) Words {
	w := Reason(s.Reason)
	switch {
	case s.Deliver, s.Reason.ID == reason.NoConnection && s.Reason.Evidence == nil:
		w.Code = ""
	case p.MX.Outcome != engine.OutcomeNone, s.Outcome == engine.Bounced:
	case p.Unusable():
		w.Code = transient(w.Code)
	default:
		w.Code = code(p.Request.RequireTLS && !p.Request.NullReturnPath, s.Outcome, s.Reason)
	}
	return w
}

// MessageAction puts the reason of a message action into words.
func MessageAction(f engine.MessageAction) Words {
	w := Reason(f.Reason)
	u, _ := f.Reason.Evidence.(*engine.Underlying)
	switch {
	case f.Action == engine.Retry && u != nil:
		w.Code = transient(code(u.DemandsREQUIRETLS, u.Outcome, u.Reason))
	case f.Action == engine.Retry:
		w.Code = transient(w.Code)
	case f.Reason.ID == reason.RequireTLSFails && u != nil && u.Reason.ID == reason.NoREQUIRETLS:
		w.Code = byID[u.Reason.ID].Code
	}
	return w
}

// Authenticated says how many hosts would be authenticated: "2 of 3 hosts would be
// authenticated".
func Authenticated(s engine.Summary) string {
	hosts := "hosts"
	if s.Total == 1 {
		hosts = "host"
	}
	return fmt.Sprintf("%d of %d %s would be authenticated", s.Authenticated, s.Total, hosts)
}

// code is the enhanced status code of what may not be delivered. A message that demands
// REQUIRETLS and is refused for it says so (RFC 8689 section 4.2.1), except where there is
// no host to demand it of.
func code(demands bool, o engine.Outcome, r engine.Reason) string {
	if demands && o == engine.Refused {
		switch r.ID {
		case reason.NoREQUIRETLS, reason.NoAddress, reason.AliasRefused:
		default:
			return byID[reason.RequireTLSFails].Code
		}
	}
	if i := byID[r.ID]; i != nil {
		return i.Code
	}
	return ""
}

// transient turns a permanent enhanced status code into the transient one.
func transient(code string) string {
	if len(code) > 0 && code[0] == '5' {
		return "4" + code[1:]
	}
	return code
}

// rfcOf is the section of the rule: of the policy that requires TLS, where a reason can
// belong to several, and of the reason that another one wraps.
func rfcOf(r engine.Reason) string {
	i := byID[r.ID]
	if i == nil {
		return ""
	}
	switch ev := r.Evidence.(type) {
	case *engine.NoTLS:
		switch {
		case i.ResultType == "":
		case ev.Part == engine.STS:
			return byID[reason.STSNoMatch].RFC
		case ev.Part == engine.PKIX && r.Plan != nil && r.Plan.Request.RequireTLS:
			return byID[reason.RequireTLSPKIX].RFC
		}
	case *engine.Underlying:
		if r.ID == reason.Retry || r.ID == reason.QueueExpired {
			return cmp.Or(rfcOf(ev.Reason), i.RFC)
		}
	}
	return i.RFC
}

// resultType is that of the reason, or of the failure that it lets pass.
func resultType(r engine.Reason) tlsrpt.ResultType {
	switch ev := r.Evidence.(type) {
	case *engine.Overridden:
		if ev.Outcome != engine.OutcomeNone {
			return resultType(ev.Failed)
		}
	case *engine.Underlying:
		if r.ID == reason.TLSRequiredNo || r.ID == reason.TLSRPTReport {
			return resultType(ev.Reason)
		}
	}
	if i := byID[r.ID]; i != nil {
		return i.ResultType
	}
	return ""
}

// A variant is a case in which a reason has another sentence.
type variant uint8

const (
	variantNone    variant = iota
	variantSession         // about a connection rather than a plan
	variantHold            // mail waits for it
	variantHost            // about a host of the plan
	variantUntried         // not every host was tried
	variantRead            // of a handshake that was only read
	variantWider           // of a handshake with other settings
	variantClear           // the message may go in the clear
)

// variantOf chooses the sentence by the evidence.
func variantOf(r engine.Reason) variant {
	switch ev := r.Evidence.(type) {
	case nil:
		switch {
		case r.ID == reason.Retry:
			return variantUntried
		case r.Host != nil:
			return variantHost
		}
	case *engine.Overridden:
		if ev.Outcome != engine.OutcomeNone {
			return variantSession
		}
	case *engine.Underlying:
		return variantSession
	case *reason.Lost:
		if !ev.Hold.IsZero() {
			return variantHold
		}
	case *reason.MemoryUnread:
		if ev.Hold {
			return variantHold
		}
	case *engine.Library:
		return ownVariant(ev)
	case *reason.Shown:
		if r.ID == reason.Literal || r.ID == reason.Opportunistic {
			return variantSession
		}
	}
	return variantNone
}

// Text is the sentence of a reason, "" of one that is not in the table.
func Text(r engine.Reason) string {
	i := byID[r.ID]
	if i == nil {
		return ""
	}
	if t, ok := explainReason(r); ok {
		return t.cause
	}
	text := i.Text
	if v, ok := i.Variants[variantOf(r)]; ok {
		text = v
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(field(r, name))
		text = after
	}
}

// field is the text in place of a name in braces.
func field(r engine.Reason, name string) string {
	switch name {
	case "domain":
		return domain(r)
	case "host":
		return host(r.Host)
	case "free":
		return read(r).free()
	}
	if h := r.Host; h != nil {
		switch name {
		case "base":
			return h.DANE.Base.String()
		case "target":
			return h.DANE.Final.String()
		case "pattern":
			return fmt.Sprintf("%q", clip(h.STSMatch))
		case "port":
			return fmt.Sprint(h.Port)
		}
	}
	switch ev := r.Evidence.(type) {
	case *reason.Denied:
		switch name {
		case "denied":
			return ev.Name.String()
		case "status":
			if ev.Status == dnssec.Secure {
				return ", validated by DNSSEC"
			}
			return ", not validated by DNSSEC"
		}
	case *reason.SelfListed:
		return ev.Self.String()
	case *reason.MemoryUnread:
		return clause(cmp.Or(errors.Unwrap(ev.Err), ev.Err))
	case *reason.ConfiguredNames:
		return list(texts(ev.Names))
	case *engine.Overridden:
		switch name {
		case "failed":
			return Text(ev.Failed)
		case "exception":
			return exceptionClause(ev.Exception)
		case "how":
			if ev.Outcome == engine.Cleartext {
				return "in the clear"
			}
			return "encrypted"
		}
	case *engine.Underlying:
		return Text(ev.Reason)
	case *reason.Lost:
		switch name {
		case "drop":
			return drop(r, &ev.Drop)
		case "hold":
			return ev.Hold.UTC().Format("2006-01-02 15:04 MST")
		}
	case *engine.NoTLS:
		return endedBy(&ev.Peer)
	case *engine.Library:
		return own(r, ev, name)
	case *reason.Shown:
		return shown(ev, name)
	case *reason.Expired:
		return ev.At.UTC().Format(time.RFC3339)
	case *reason.OtherPort:
		return fmt.Sprint(ev.Port)
	case *reason.Reply:
		return fmt.Sprintf("%d %s", ev.Code, clip(ev.Text))
	}
	return ""
}

// shown is the text in place of a name in braces where a certificate was judged.
func shown(s *reason.Shown, name string) string {
	switch name {
	case "presented":
		return presented(s.Presented)
	case "record":
		return record(s.Record)
	case "proved":
		return clip(s.Name)
	case "reference":
		return s.Name
	}
	return ""
}
