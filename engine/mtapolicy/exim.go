package mtapolicy

import (
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/literal"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Rows of Exim, which asks once per host and can do what the plan says of it.
const (
	X1 Row = "X1" // a host of the plan
	X2 Row = "X2" // the domain as a whole
	X3 Row = "X3" // the host is not in the plan
)

// Requirement words of Exim replies.
const (
	EximDANE    = "dane"    // TLSA records must match
	EximSTS     = "sts"     // WebPKI and the name of the MX host
	EximPKIX    = "pkix"    // the same, demanded by the operator
	EximEncrypt = "encrypt" // TLS
	EximMay     = "may"     // nothing
	EximSkip    = "skip"    // not this host
	EximDefer   = "defer"   // not now
)

// Deviations of Exim.
const (
	WeakerEximHalfDANE   DeviationID = "exim-half-dane"    // Exim does no DANE where the MX is unsigned: TLS is demanded, TLSA records are not checked
	WeakerEximAgility    DeviationID = "exim-agility"      // of two digests of a certificate the weaker is enough
	WeakerEximPurpose    DeviationID = "exim-purpose"      // a certificate that is for clients only passes
	StrongerEximUsage2   DeviationID = "exim-usage-2"      // usage 2: the CA has to be sent and to be another certificate, and the host's own name to be shown
	StrongerEximAlias    DeviationID = "exim-alias-tlsa"   // the host is an alias, and Exim does not find the TLSA records at its name
	StrongerEximSNI      DeviationID = "exim-alias-sni"    // the host is an alias, and is asked for the certificate of the name that it leads to
	StrongerEximNames    DeviationID = "exim-names"        // Exim cannot take configured names: the host waits
	StrongerEximExcepted DeviationID = "exim-no-exception" // an exception for a host that must prove itself has no effect
)

// Exim says what the plan demands of one MX host, by the name under which Exim knows it:
// that of the MX record, or the target of its alias. With an empty name it answers for the
// domain as a whole: "defer" if the message can go to no host now. The text is a line of
// words: req=WORD, until=TIME (RFC 3339; the plan holds until then) and reason="TEXT".
// An error is [ErrMessage].
func Exim(p *engine.Plan, name string) (Reply, error) {
	r := &p.Request
	if r.RequireTLS || r.TLSRequiredNo || r.NullReturnPath || r.TLSRPTReport {
		return eximReply(p, EximDefer, X2, cause{text: ErrMessage.Error()}), ErrMessage
	}
	hosts := read(p)
	if name == "" {
		return eximDomain(p, hosts), nil
	}
	h := find(hosts, name)
	if h == nil {
		return eximReply(p, EximDefer, X3, cause{text: "this host is not among the mail hosts of the plan"}), nil
	}
	return eximHost(p, h), nil
}

// EximFailed is the reply where there is no plan.
func EximFailed(cause string) Reply {
	return Reply{Kind: TryLater, Row: X2, Text: "req=" + EximDefer + " reason=" + quote(cause)}
}

// find returns the host of a name: its own first, else the target of its alias.
func find(hosts []host, name string) *host {
	if a, ok := literal.Parse(strings.Trim(name, "[]")); ok {
		for i := range hosts {
			if hosts[i].Literal == a {
				return &hosts[i]
			}
		}
		return nil
	}
	n, err := rfc6125.ParseHost(name)
	if err != nil {
		return nil
	}
	for i := range hosts {
		if hosts[i].Name == n {
			return &hosts[i]
		}
	}
	// Two hosts can be aliases of one target: the stricter answer holds, and none if they
	// differ.
	var found *host
	for i := range hosts {
		if h := &hosts[i]; h.Name.IsValid() && h.DANE.Final == n.Name() {
			if found != nil && (found.state != h.state || found.Requirement != h.Requirement) {
				return nil
			}
			found = h
		}
	}
	return found
}

func eximHost(p *engine.Plan, h *host) Reply {
	word := EximDefer
	q := h.Requirement
	switch {
	case h.lowered:
		// The exception acts after the check, which Exim cannot repeat: the reply has its effect.
		word = q.String()
	case h.state == barred && h.Reason.ID == reason.Audit, h.state == open && p.Request.Options.Audit:
		// Audit mode lets a connection go on after a check that failed, and Exim does not.
		word = EximMay
	case h.state == barred, h.state == absent:
		word = EximSkip
	case h.state == held:
		word = EximDefer
	case h.Exception != nil && coversAll(h.Exception, q):
		word = h.Exception.Effect.String()
	case q.Has(engine.DANE):
		word = EximDANE
	case q.Has(engine.STS):
		word = EximSTS
	case q.Has(engine.PKIX):
		word = EximPKIX
	case q.Has(engine.HalfDANE), q.Has(engine.Encrypt):
		word = EximEncrypt
	case q.Has(engine.May):
		word = EximMay
	}
	why, names := said(h.Reason), word == EximPKIX && !ownName(h)
	if names {
		word, why.text = EximDefer, "the configured names cannot be expressed in an answer to Exim"
	}
	reply := eximReply(p, word, X1, why)
	switch {
	case names:
		reply.deviate(StrongerEximNames, h.label())
	case word == EximDANE && q.Has(engine.STS):
		reply.deviate(WeakerSTSUnchecked, h.label())
	case word == EximSTS && q.Has(engine.HalfDANE):
		reply.deviate(WeakerTLSAUnchecked, h.label())
	case word == EximEncrypt && q.Has(engine.HalfDANE):
		reply.deviate(WeakerEximHalfDANE, h.label())
	}
	switch word {
	case EximDANE:
		eximTLSA(&reply, h)
	case EximSTS, EximPKIX:
		reply.deviate(WeakerCommonName, h.label())
		reply.deviate(WeakerEximPurpose, h.label())
		if h.Name.IsValid() && h.DANE.Final.IsValid() && h.DANE.Final != h.Name.Name() {
			reply.deviate(StrongerEximSNI, h.label())
		}
	}
	if h.Exception != nil && word != h.Exception.Effect.String() {
		reply.deviate(StrongerEximExcepted, h.label())
	}
	return reply
}

// eximTLSA adds the deviations of a host that Exim verifies by its TLSA records, as measured
// with Exim 4.96 and 4.98.2 and GnuTLS.
func eximTLSA(reply *Reply, h *host) {
	for _, u := range h.DANE.Set.Uses() {
		if u.Fault == dane.FaultOutranked {
			reply.deviate(WeakerEximAgility, h.label())
		}
	}
	if h.DANE.Set.HasUsage(dane.DANETA) {
		reply.deviate(WeakerEximPurpose, h.label())
		reply.deviate(StrongerEximUsage2, h.label())
	}
	if h.DANE.Base.IsValid() && h.DANE.Final.IsValid() && h.DANE.Base.Name() != h.DANE.Final {
		reply.deviate(StrongerEximAlias, h.label())
	}
}

// ownName reports whether the only name that counts is that of the host, the one that Exim
// verifies.
func ownName(h *host) bool {
	return len(h.PKIXRefs) == 1 && h.Name.IsValid() && h.PKIXRefs[0] == rfc6125.NewReference(h.Name)
}

// eximDomain answers for the domain: whether there is any host to try.
func eximDomain(p *engine.Plan, hosts []host) Reply {
	w := writer{plan: p, hosts: hosts}
	w.count()
	usable := w.open
	for i := range hosts {
		if hosts[i].lowered || hosts[i].Reason.ID == reason.Audit {
			usable++
		}
	}
	enforced := p.STS.Policy != nil && p.STS.Policy.Mode == sts.ModeEnforce || p.Past != nil && !p.Past.Last().IsZero()
	switch {
	case p.MX.Outcome == engine.Bounced && !enforced, len(hosts) > 0 && w.absent == len(hosts) && !enforced:
		// Exim's own lookup says so, and in its own words.
		return eximReply(p, EximMay, X2, cause{})
	case p.MX.Outcome != engine.OutcomeNone:
		return eximReply(p, EximDefer, X2, said(p.MX.Reason))
	case usable == 0:
		wait := w.wait(X2)
		return eximReply(p, EximDefer, X2, cause{id: wait.Reason, text: wait.Text})
	}
	for i := range hosts {
		if h := &hosts[i]; h.state == open {
			return eximReply(p, first(eximHost(p, h).Text), X2, cause{})
		}
	}
	return eximReply(p, EximMay, X2, cause{})
}

// first is the word of a text that begins with "req=".
func first(text string) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(text, "req="), " ")
	return word
}

func eximReply(p *engine.Plan, word string, row Row, why cause) Reply {
	reply := Reply{Kind: Found, Row: row}
	if word == EximDefer {
		reply.Kind, reply.Reason = TryLater, why.id
	}
	var b strings.Builder
	b.WriteString("req=" + word)
	if until, ok := p.Keep(); ok && word != EximDefer {
		b.WriteString(" until=" + until.UTC().Format(time.RFC3339))
	}
	if why.text != "" {
		b.WriteString(" reason=" + quote(why.text))
	}
	reply.Text = b.String()
	return reply
}

// quote makes a text safe for an Exim string: printable ASCII in double quotes, without
// quotes, backslashes, dollar signs and braces, which Exim would expand or end the string at.
func quote(s string) string {
	s = strings.Map(func(r rune) rune {
		switch r {
		case '"':
			return '\''
		case '{', '}', '\\', '$', '`':
			return '.'
		}
		return r
	}, clause(s))
	return `"` + s + `"`
}
