// Package ladder draws the chain of trust of a delivery: what leads from the root of DNS
// to the certificate of each mail host, and from the MTA-STS record to the policy, and
// where it breaks.
//
//	l := ladder.New(plan, decisions)
//	l.SVG(ladder.SVGOptions{}) // a picture
//	l.Text()                   // the same for a terminal:
//
//	[ok]         Root of DNS    a trust anchor of this program (RFC 4033 s.5)
//	     |
//	[ok]         Zones          example.org
//	                            signed from the root down to here (RFC 4035 s.5)
//
// DANE (RFC 7672) rests on every step of the first ladder, MTA-STS (RFC 8461) on every
// step of the second. The verdict is that of package engine; nothing here decides.
//
// New and what it returns are pure: nothing is looked up, and no clock is read. What peers
// and zones wrote is escaped.
package ladder

import (
	"slices"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

// MaxColumns is how many hosts have a column of their own; the others are counted. Four
// columns and that of MTA-STS are as wide as a screen.
const MaxColumns = 4

// A Status says how one step of a ladder came out. The zero Status is Unknown.
type Status uint8

// Statuses. The words of [Status.String] are those that are shown.
const (
	Unknown  Status = iota // a lookup failed or a server did not answer: nothing can be said
	Good                   // it holds
	Unproved               // it is there, and nothing proves it
	Missing                // it is not there, and does not have to be
	Broken                 // it is wrong, and a rule forbids to go on
	Unused                 // it was not looked at, or has no say
)

var statusWords = [...]string{"not known", "ok", "not proved", "not there", "broken", "not used"}

// String returns "not known", "ok", "not proved", "not there", "broken" or "not used".
func (s Status) String() string {
	if int(s) < len(statusWords) {
		return statusWords[s]
	}
	return statusWords[Unknown]
}

// A Kind is what a step is about.
type Kind string

// Kinds of steps, from the top of the ladders to their meeting.
const (
	Root        Kind = "root"        // the trust anchor of DNSSEC
	Zones       Kind = "zones"       // the signed zones down to the domain
	MX          Kind = "mx"          // the list of mail hosts
	Address     Kind = "address"     // the addresses of a host
	TLSA        Kind = "tlsa"        // its TLSA records
	Connection  Kind = "connection"  // TCP and STARTTLS
	Certificate Kind = "certificate" // what the host presented
	Outcome     Kind = "outcome"     // what the host came to
	TXT         Kind = "txt"         // the MTA-STS record
	WebPKI      Kind = "webpki"      // the policy host and its certificate
	Policy      Kind = "policy"      // the MTA-STS policy
	Listed      Kind = "listed"      // the hosts that the policy lists
	Verdict     Kind = "verdict"
)

// titles are the headings of the kinds.
var titles = map[Kind]string{
	Root: "Root of DNS", Zones: "Zones", MX: "MX records", Address: "Addresses", TLSA: "TLSA records",
	Connection: "Connection", Certificate: "Certificate", Outcome: "This host", TXT: "TXT record",
	WebPKI: "Policy host", Policy: "Policy", Listed: "Listed hosts", Verdict: "Verdict",
}

// Title returns the heading of the kind: "TLSA records".
func (k Kind) Title() string { return titles[k] }

// A Step is one rung.
type Step struct {
	Kind   Kind
	Status Status
	Name   string    // owner name, host or URL; "" if the step is about none
	Lines  []string  // what was found, a line each
	Reason reason.ID // of the rule that failed or decided here; "" if none did
	RFC    string    // "7672 s.2.2.2"
}

// A Host is the column of one mail host.
type Host struct {
	Name       string // A-labels, or an address in brackets
	Unicode    string // the name with U-labels; "" where it is the same
	Preference uint16
	Listed     bool // it is from an MX record, so that Preference means something
	Outcome    engine.Outcome
	Method     engine.Method
	Steps      []Step
}

// A Count is how many of the hosts without a column came to an outcome.
type Count struct {
	Outcome engine.Outcome
	Hosts   int
}

// A Ladder is both ladders and the verdict in which they meet.
type Ladder struct {
	Domain  string  // A-labels, or the address or host as it was asked for
	Unicode string  // with U-labels; "" where it is the same
	Trunk   []Step  // root, zones and MX; what all hosts share
	Hosts   []Host  // at most [MaxColumns], in the order of the plan
	Rest    []Host  // those without a column, and
	Folded  []Count // how many of them came to what
	Policy  []Step  // MTA-STS
	Outcome engine.Outcome
	Verdict Step
}

// New makes the ladders of a plan and of what its hosts came to, in the order of the plan;
// a host without a decision counts as not tried. It is pure.
func New(p *engine.Plan, decisions []engine.Decision) Ladder {
	l := Ladder{Domain: p.Orig.String(), Trunk: trunk(p), Policy: policy(p)}
	if !p.Orig.IsValid() {
		l.Domain = clean(p.Request.NextHop)
	}
	l.Unicode = other(l.Domain, p.Orig.Unicode)
	ds := make([]engine.Decision, len(p.Hosts))
	copy(ds, decisions)
	s := engine.Summarise(p, decisions)
	all := make([]Host, len(p.Hosts))
	for i := range all {
		all[i] = column(p, i, &ds[i])
	}
	sayOnce(all, ds, s.Reason)
	l.Hosts, l.Rest = all[:min(len(all), MaxColumns)], all[min(len(all), MaxColumns):]
	for _, h := range l.Rest {
		n := slices.IndexFunc(l.Folded, func(c Count) bool { return c.Outcome == h.Outcome })
		if n < 0 {
			n, l.Folded = len(l.Folded), append(l.Folded, Count{Outcome: h.Outcome})
		}
		l.Folded[n].Hosts++
	}
	l.Outcome = s.Outcome
	l.Verdict = verdict(p, ds, s)
	return l
}

// sayOnce takes out of the columns what the verdict says, and what another host with the
// same steps says.
func sayOnce(hosts []Host, ds []engine.Decision, decided engine.Reason) {
	first := map[string]string{} // the host whose steps came out like this
	for i := range hosts {
		h := &hosts[i]
		end := &h.Steps[len(h.Steps)-1]
		key := string(end.Reason)
		for _, s := range h.Steps {
			key += " " + s.Status.String()
		}
		switch like := first[key]; {
		case like != "" && end.Reason != "":
			end.Lines = []string{"for the same reason as " + like}
			continue
		case ds[i].Reason == decided && !decided.IsZero():
			end.Lines = nil
		}
		first[key] = h.Name
	}
}

// other returns a name with U-labels, if it differs.
func other(name string, unicode func() string) string {
	if u := clean(unicode()); u != name {
		return u
	}
	return ""
}

// verdict is the step in which the ladders meet.
func verdict(p *engine.Plan, ds []engine.Decision, s engine.Summary) Step {
	v := Step{Kind: Verdict, Status: ofOutcome(s.Outcome), Reason: s.Reason.ID}
	if s.Outcome == engine.Authenticated && !s.EveryHost {
		v.Status = Unproved
	}
	v.Name = headline(s)
	if s.Reason.ID != "" {
		a := explain.Tell(p, ds, s)
		v.Lines, v.RFC = []string{a.Cause}, a.RFC
	}
	return v
}

// headline is the verdict in a few words.
func headline(s engine.Summary) string {
	text := outcomeWords(s.Outcome, s.Method)
	if s.Total > 1 {
		text += "; " + explain.Authenticated(s)
	}
	return text
}

// outcomeWords are an outcome in words: "authenticated by dane-ee".
func outcomeWords(o engine.Outcome, m engine.Method) string {
	switch {
	case o == engine.OutcomeNone:
		return "not tried"
	case m != "":
		return o.String() + " by " + string(m)
	case o == engine.Encrypted, o == engine.Cleartext:
		return o.String() + ", not authenticated"
	}
	return o.String()
}

// ofOutcome is the status of what ends in an outcome.
func ofOutcome(o engine.Outcome) Status {
	switch o {
	case engine.Authenticated:
		return Good
	case engine.Encrypted, engine.Cleartext:
		return Unproved
	case engine.Refused, engine.Bounced:
		return Broken
	}
	return Unknown
}
