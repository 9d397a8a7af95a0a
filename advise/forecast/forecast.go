// Package forecast says what will break in the authentication of a domain's mail, and
// when, if nothing is done: certificates and DNSSEC signatures that end, policies that
// are forgotten, and a change of keys that the TLSA records do not foresee.
//
// [Forecast] is a pure function of what package survey saw. Its events can be printed as
// iCalendar ([WriteCalendar]), so that they turn up where people look.
package forecast

import (
	"crypto/x509"
	"fmt"
	"sort"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// An ID is the stable word of a kind of event.
type ID string

// Kinds of events.
const (
	HostCertificate   ID = "host-certificate-ends"   // of an MX host, where something looks at its dates
	PinnedCertificate ID = "pinned-certificate-ends" // of an MX host under DANE-EE, where nothing does
	ChainCertificate  ID = "chain-certificate-ends"  // above the host's own, on the path that counts
	PolicyCertificate ID = "policy-host-certificate-ends"
	Signatures        ID = "signatures-end"
	SignaturesEnded   ID = "signatures-ended"
	LookupFails       ID = "lookup-fails"
	Unprotected       ID = "nothing-published" // neither mechanism is there: the way to both
	Policy            ID = "policy-forgotten"
	SwitchPublish     ID = "switch-publish-first"
	SwitchEarliest    ID = "switch-earliest"
	SwitchLatest      ID = "switch-latest"
	SwitchUnfit       ID = "switch-unfit"
	SwitchFree        ID = "switch-free" // no TLSA record has a say
)

// An Effect says what an event does to mail. The zero Effect is Notice.
type Effect uint8

// Effects.
const (
	Notice Effect = iota // nothing by itself
	Weaker               // mail goes on, and is protected less
	Broken               // mail is delayed or refused
)

// String returns "notice", "weaker" or "broken".
func (e Effect) String() string {
	switch e {
	case Broken:
		return "broken"
	case Weaker:
		return "weaker"
	}
	return "notice"
}

// MarshalText prints e as [Effect.String] does.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// An Event is something that will come about by itself, or a bound for what is planned.
type Event struct {
	ID     ID        `json:"id"`
	When   time.Time `json:"when"`
	Effect Effect    `json:"effect"`
	Host   string    `json:"host,omitempty"`
	Text   string    `json:"text"` // one sentence, safe for a terminal
	Do     string    `json:"do"`   // what to do before, for people
	RFC    string    `json:"rfc"`
	// Publish are lines for the zone file, ready to paste; empty for most events.
	Publish []string `json:"publish,omitempty"`
	// Steps are a way to take, with the time to wait after each; empty for most events.
	Steps []lint.Step `json:"steps,omitempty"`
}

// Options of [Forecast].
type Options struct {
	// Next is the certificate (or key) that the hosts will show; zero if none is planned.
	Next dane.Material
	// TTL is that of the TLSA records in their zone; 0: that of their signature, or
	// [dane.UnknownTTL] where there is none.
	TTL time.Duration
	// Published is since when the TLSA records have been as they are; zero: not known,
	// counts as now.
	Published time.Time
}

// outlook collects events.
type outlook struct {
	s      *survey.Snapshot
	o      Options
	events []*Event
}

// Forecast says what will come, the soonest first.
func Forecast(s survey.Snapshot, o Options) []Event {
	f := &outlook{s: &s, o: o}
	for i := range s.Plan.Hosts {
		h, v := &s.Plan.Hosts[i], &s.Hosts[i]
		f.certificates(h, v)
		f.change(h, v)
	}
	f.signatures()
	f.policy()
	f.path()
	out := make([]Event, len(f.events))
	for i, e := range f.events {
		out[i] = *e
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].When.Before(out[j].When) })
	return out
}

func (f *outlook) add(id ID, when time.Time, effect Effect, host rfc6125.Host, rfc, do, format string, args ...any) *Event {
	e := &Event{ID: id, When: when.UTC().Truncate(time.Second), Effect: effect, Host: host.String(), RFC: rfc, Do: plain.Text(do), Text: plain.Text(fmt.Sprintf(format, args...))}
	f.events = append(f.events, e)
	return e
}

func last(l []dane.Lookup) dane.Lookup {
	if len(l) == 0 {
		return dane.Lookup{}
	}
	return l[len(l)-1]
}

// certificates adds when the certificates of a host end, and what that does by the way in
// which the host is authenticated.
func (f *outlook) certificates(h *engine.Host, v *survey.HostView) {
	seen := map[string]bool{}
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event != engine.HandshakeDone || len(a.Peer.Chain) == 0 || seen[string(a.Peer.Chain[0].Raw)] {
			continue
		}
		seen[string(a.Peer.Chain[0].Raw)] = true
		leaf, whose := a.Peer.Chain[0], "certificate of "+h.String()
		if key := explain.KeyOf(&a.Peer); key != "" {
			whose = key + " " + whose
		}
		underSTS := h.Requirement.Has(engine.STS) || h.Report.Has(engine.STS) && enforced(f.s.Plan)
		switch {
		case a.Decision.Method == engine.MethodDANETA:
			f.add(HostCertificate, leaf.NotAfter, Broken, h.Name, "7671 s.5.2.3", f.renew(leaf), "The %s %s; with its TLSA records (DANE-TA) senders check the dates, so mail waits from then on.", whose, f.ends(leaf))
			f.chain(h, a.Peer.Chain, "7671 s.5.2.3")
		case underSTS:
			f.add(HostCertificate, leaf.NotAfter, Broken, h.Name, "8461 s.4.2", f.renew(leaf), "The %s %s; senders that honour the MTA-STS policy do not deliver from then on.", whose, f.ends(leaf))
			f.chain(h, a.Peer.Chain, "8461 s.4.2")
		case a.Decision.Method == engine.MethodDANEEE:
			f.add(PinnedCertificate, leaf.NotAfter, Notice, h.Name, "7672 s.3.1.1", renewal(h.DANE.Set), "The %s %s; with its TLSA records (DANE-EE) senders ignore the dates, so mail is still delivered.", whose, f.ends(leaf))
		default:
			f.add(HostCertificate, leaf.NotAfter, Notice, h.Name, "7435 s.3", f.renew(leaf), "The %s %s; no policy in force requires senders to check it, so mail is still delivered.", whose, f.ends(leaf))
		}
	}
}

// renewal is how to renew a certificate that DANE-EE records name.
func renewal(s dane.Set) string {
	for _, r := range s.Usable() {
		if r.Selector == dane.SPKI {
			return "No change is needed. When it is renewed, keep the key, or publish the TLSA record of the new key before (mxauth tlsa make prints it)."
		}
	}
	return "No change is needed. When it is renewed, publish the TLSA record of the new certificate before (mxauth tlsa make prints it)."
}

// enforced reports whether the domain's policy is of mode enforce.
func enforced(p *engine.Plan) bool {
	return p.STS.Policy != nil && p.STS.Policy.Mode == sts.ModeEnforce
}

// chain adds the certificates above the host's own that end before it.
func (f *outlook) chain(h *engine.Host, chain []*x509.Certificate, rfc string) {
	for _, c := range chain[1:] {
		if c.NotAfter.Before(chain[0].NotAfter) {
			f.add(ChainCertificate, c.NotAfter, Broken, h.Name, rfc, "Have the server send the newer certificate of the CA.",
				"A CA certificate that %s sends (%s) %s, which is before the host's own; from then on the host's certificate cannot be verified.", h.String(), c.Subject.CommonName, f.ends(c))
		}
	}
}

// ends is the verb for a certificate.
func (f *outlook) ends(c *x509.Certificate) string {
	if c.NotAfter.Before(f.s.At) {
		return "has ended"
	}
	return "ends"
}

// renew is what to do about a certificate.
func (f *outlook) renew(c *x509.Certificate) string {
	if c.NotAfter.Before(f.s.At) {
		return "Renew it now."
	}
	return "Renew it before then."
}

// path is the way to both mechanisms for a domain that has neither.
func (f *outlook) path() {
	steps := lint.Path(*f.s)
	if len(steps) == 0 {
		return
	}
	e := f.add(Unprotected, f.s.At, Notice, rfc6125.Host{}, "7672 s.1.3", "Take these steps in their order.",
		"%s publishes neither DANE nor MTA-STS, so nothing can expire; a forged mail host would go unnoticed.", f.s.Plan.Orig)
	e.Steps = steps
}

// policy adds when the policy is forgotten and when its host's certificate ends.
func (f *outlook) policy() {
	s := &f.s.Plan.STS
	dom := f.s.Plan.Orig
	if len(s.Chain) > 0 && s.FetchErr == nil {
		f.add(PolicyCertificate, s.Chain[0].NotAfter, Weaker, rfc6125.Host{}, "8461 s.3.3", f.renew(s.Chain[0]),
			"The certificate of the policy host mta-sts.%s %s; from then on no sender fetches the policy again, and those that have it forget it after its max_age.", dom, f.ends(s.Chain[0]))
	}
	if s.Policy != nil && s.Policy.Mode == sts.ModeEnforce && !s.Expires.IsZero() {
		f.add(Policy, s.Expires, Weaker, rfc6125.Host{}, "8461 s.3.2", "See that https://mta-sts."+dom.String()+"/.well-known/mta-sts.txt stays reachable; senders fetch it about daily.",
			"A sender that fetches the MTA-STS policy of %s now, and cannot fetch it again, forgets it (max_age is %s).", dom, plain.Span(s.Policy.MaxAge))
	}
}
