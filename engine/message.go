package engine

import (
	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// A HostStatus is what became of the message at one host (section 10).
type HostStatus uint8

// Host statuses. The zero HostStatus is HostUntried.
const (
	HostUntried   HostStatus = iota // not tried, or the decision let it go and its result is not known yet
	HostDelivered                   // the host took the message
	HostRejected                    // 5yz to MAIL, RCPT or DATA after the decision let it go
	HostTransient                   // no connection, 4yz, a lookup that failed
	HostPolicy                      // a policy refused the host
	HostUnusable                    // no address
)

var hostStatusWords = [...]string{"untried", "delivered", "rejected", "transient", "policy", "unusable"}

// String returns "untried", "delivered", "rejected", "transient", "policy" or
// "unusable".
func (s HostStatus) String() string { return enum.Word(hostStatusWords[:], int(s)) }

// A Try is what became of one host of a plan.
type Try struct {
	Decision Decision
	Status   HostStatus
	Reply    int    // the SMTP reply code that rejected; 0 if none
	Text     string // what the host said; escaped when printed
}

// TryOf makes the Try of a decision after which nothing was sent to host i: what the
// decision itself says. A decision that lets the message go is HostUntried until the
// caller knows better.
func (p *Plan) TryOf(i int, d Decision) Try {
	t := Try{Decision: d}
	switch {
	case i >= 0 && i < len(p.Hosts) && p.Hosts[i].Unusable:
		t.Status = HostUnusable
	case d.Deliver:
		t.Status = HostUntried
	case d.Outcome == Refused:
		t.Status = HostPolicy
	default:
		t.Status = HostTransient
	}
	return t
}

// An Action is what the queue does with a message.
type Action uint8

// Actions. The zero Action is Retry, which loses nothing.
const (
	Retry     Action = iota // keep it and try again later (RFC 5321 section 4.5.4.1); when is the queue's to say
	Delivered               // done
	Bounce                  // send a non-delivery notification
	LookAgain               // call [Engine.LookAgain] before bouncing: an MTA-STS policy may have changed
)

var actionWords = [...]string{"retry", "delivered", "bounce", "look-again"}

// String returns "retry", "delivered", "bounce" or "look-again".
func (a Action) String() string { return enum.Word(actionWords[:], int(a)) }

// A MessageAction says whether to deliver, queue or bounce the message, and why.
type MessageAction struct {
	Action Action
	Reason Reason
	// Host is the host whose decision is the record of the delivery, or that spoke for
	// the others; -1 if none.
	Host int
	// HeadersOnly: a notification returns the header only, as with RET=HDRS, whatever
	// the sender asked (RFC 8689 section 5).
	HeadersOnly bool
	// RequireTLS: a notification is itself sent with REQUIRETLS (RFC 8689 section 5).
	RequireTLS bool
}

// Circumstances of a message that its tries do not show.
type Circumstances struct {
	Expired bool // its time in the queue is over: the next Retry would be one too many
	Looked  bool // [Engine.LookAgain] has been called for it and said no
}

// Message returns what to do with a message after the tries of its hosts, in the order
// of the plan (section 10). Hosts that are missing at the end were not tried.
func (e *Engine) Message(p *Plan, tries []Try, c Circumstances) MessageAction {
	f := messageAction(p, tries, c)
	if f.Action == Bounce && p.Request.RequireTLS {
		// REQTLS-5-01: RFC 8689 section 5; REQTLS-5-03: RFC 8689 section 5
		f.HeadersOnly, f.RequireTLS = true, true
	}
	return f
}

func messageAction(p *Plan, tries []Try, c Circumstances) MessageAction {
	if p.MX.Outcome == Bounced { // O3
		return MessageAction{Action: Bounce, Reason: p.MX.Reason, Host: -1}
	}
	tries = tries[:min(len(tries), len(p.Hosts))]
	for i := range tries { // O1, O2: the first that took or rejected it ends the matter
		t := &tries[i]
		switch t.Status {
		case HostDelivered:
			return MessageAction{Action: Delivered, Host: i, Reason: p.reason(reason.Delivered, underlying(&t.Decision)).about(&p.Hosts[i])}
		case HostRejected:
			return rejected(p, i, t)
		}
	}
	n := count(p, tries)
	strict := p.Request.RequireTLS && !p.Request.NullReturnPath
	switch {
	case len(p.Hosts) > 0 && n.unusable == len(p.Hosts):
		return noAddresses(p, c)
	case strict && len(p.Hosts) > 0 && n.transient == 0: // O4
		return unmet(p, tries, n, c)
	}
	// O5, O7: nothing is bounced for a policy while it can be tried again.
	why := blame(p, tries)
	if !c.Expired {
		// SMTP5321-4.5.4.1-01: RFC 5321 section 4.5.4.1
		return MessageAction{Action: Retry, Host: n.first, Reason: p.reason(reason.Retry, why)}
	}
	// STS-5-04: RFC 8461 section 5
	if n.byPolicy && !c.Looked { // O8
		return lookAgain(p, n)
	}
	return MessageAction{Action: Bounce, Host: n.first, Reason: p.reason(reason.QueueExpired, why)}
}

// rejected is O2.
func rejected(p *Plan, i int, t *Try) MessageAction {
	id := reason.Rejected
	if t.Reply == 530 && p.Request.weakened() && t.Decision.Outcome == Cleartext {
		id = reason.TLSDemanded // REQTLS-4.2.2-02: RFC 8689 section 4.2.2
	}
	return MessageAction{Action: Bounce, Host: i, Reason: p.reason(id, &reason.Reply{Code: t.Reply, Text: t.Text}).about(&p.Hosts[i])}
}

// noAddresses is O6.
func noAddresses(p *Plan, c Circumstances) MessageAction {
	why := p.Hosts[0].Reason
	if p.Request.Options.NoAddressDefer && !c.Expired {
		return MessageAction{Action: Retry, Host: 0, Reason: why}
	}
	return MessageAction{Action: Bounce, Host: 0, Reason: why}
}

// unmet is O4: no host meets REQUIRETLS.
func unmet(p *Plan, tries []Try, n counts, c Circumstances) MessageAction {
	if n.byPolicy && !c.Looked {
		return lookAgain(p, n)
	}
	why := &tries[n.first].Decision
	for i := range tries {
		if d := &tries[i].Decision; d.NoREQUIRETLS {
			why = d
			break
		}
	}
	// REQTLS-4.2.1-02: RFC 8689 section 4.2.1; REQTLS-4.2.1-03: RFC 8689 section 4.2.1
	return MessageAction{Action: Bounce, Host: n.first, Reason: p.reason(reason.RequireTLSFails, underlying(why))}
}

// lookAgain is the first half of O8.
func lookAgain(p *Plan, n counts) MessageAction {
	return MessageAction{Action: LookAgain, Host: n.first, Reason: p.reason(reason.PolicyLastLook, nil)}
}

// counts are what the tries come to together.
type counts struct {
	transient, unusable int
	first               int  // the first host that is not unusable; -1 if none
	byPolicy            bool // a policy of mode enforce had a part in it
}

func count(p *Plan, tries []Try) counts {
	n := counts{first: -1}
	enforce := p.STS.Policy != nil && p.STS.Policy.Mode == sts.ModeEnforce
	for i := range p.Hosts {
		status := HostUntried
		if i < len(tries) {
			status = tries[i].Status
		}
		switch status {
		case HostUnusable:
			n.unusable++
			continue
		case HostPolicy:
			n.byPolicy = n.byPolicy || enforce
		default:
			n.transient++
		}
		if n.first < 0 {
			n.first = i
		}
	}
	return n
}

// blame picks the reason that a person should see: that of the first host a policy
// refused, else of the first that failed otherwise, else of the next hop.
func blame(p *Plan, tries []Try) *Underlying {
	for i := range tries {
		if tries[i].Status == HostPolicy {
			return underlying(&tries[i].Decision)
		}
	}
	for i := range tries {
		if tries[i].Status == HostTransient && !tries[i].Decision.Reason.IsZero() {
			return underlying(&tries[i].Decision)
		}
	}
	if p.MX.Outcome == Deferred {
		return &Underlying{Reason: p.MX.Reason, Outcome: Deferred}
	}
	return &Underlying{Reason: p.reason(reason.Retry, nil), Outcome: Deferred} // not every host has been tried
}

func underlying(d *Decision) *Underlying {
	return &Underlying{Reason: d.Reason, Outcome: d.Outcome, DemandsREQUIRETLS: d.DemandsREQUIRETLS}
}
