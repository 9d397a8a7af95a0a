// Package forecast says what will break in the authentication of a domain's mail, and
// when, if nobody does anything: certificates and DNSSEC signatures that end, policies that
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

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/survey"
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
	Policy            ID = "policy-forgotten"
	SwitchPublish     ID = "switch-publish-first"
	SwitchEarliest    ID = "switch-earliest"
	SwitchLatest      ID = "switch-latest"
	SwitchUnfit       ID = "switch-unfit"
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
	Do     string    `json:"do"`   // what to do before, one sentence
	RFC    string    `json:"rfc"`
	// Publish are lines for the zone file, ready to paste; empty for most events.
	Publish []string `json:"publish,omitempty"`
}

// Options of [Forecast].
type Options struct {
	// Next is the certificate (or key) that the hosts will show; zero if none is planned.
	Next dane.Material
	// TTL is that of the TLSA records in their zone; 0: as they were received, which is less
	// where a resolver had them in its cache.
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
		f.signatures(h.Name, "the TLSA records of "+name(h), last(h.DANE.TLSA))
		f.signatures(h.Name, "the addresses of "+name(h), h.DANE.A)
		f.change(h, v)
	}
	f.signatures(rfc6125.Host{}, "the MX records of "+s.Plan.Orig.String(), s.MX)
	f.policy()
	out := make([]Event, len(f.events))
	for i, e := range f.events {
		out[i] = *e
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].When.Before(out[j].When) })
	return out
}

func (f *outlook) add(id ID, when time.Time, effect Effect, host rfc6125.Host, rfc, do, format string, args ...any) *Event {
	e := &Event{ID: id, When: when.UTC().Truncate(time.Second), Effect: effect, Host: host.String(), RFC: rfc, Do: safe(do), Text: safe(fmt.Sprintf(format, args...))}
	f.events = append(f.events, e)
	return e
}

func name(h *engine.Host) string {
	if h.Name.IsValid() {
		return h.Name.String()
	}
	return h.Literal.String()
}

func last(l []dane.Lookup) dane.Lookup {
	if len(l) == 0 {
		return dane.Lookup{}
	}
	return l[len(l)-1]
}

// signatures tells when the signatures end that an answer rests on. Zones are signed anew
// days or weeks before; the event is that nobody does so.
func (f *outlook) signatures(host rfc6125.Host, what string, l dane.Lookup) {
	a := l.Answer
	if l.Err != nil || a.Status != dnssec.Secure || a.SignaturesEnd.IsZero() {
		return
	}
	f.add(Signatures, a.SignaturesEnd, Broken, host, "4035 s.5.3.1", "The name server's signer does this by itself; watch that it runs, and that secondaries transfer the zone.",
		"The DNSSEC signatures of %s, or of a zone above, end; from then on the lookup fails and mail waits.", what)
}

// certificates tells when the certificates of a host end, and what that does by the way in
// which the host is authenticated.
func (f *outlook) certificates(h *engine.Host, v *survey.HostView) {
	seen := map[string]bool{}
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event != engine.HandshakeDone || len(a.Peer.Chain) == 0 || seen[string(a.Peer.Chain[0].Raw)] {
			continue
		}
		seen[string(a.Peer.Chain[0].Raw)] = true
		leaf := a.Peer.Chain[0]
		underSTS := h.Requirement.Has(engine.STS) || h.Report.Has(engine.STS) && enforced(f.s.Plan)
		switch {
		case a.Decision.Method == engine.MethodDANETA:
			f.add(HostCertificate, leaf.NotAfter, Broken, h.Name, "7671 s.5.2.3", "Renew it before.", "The certificate of %s ends; DANE-TA looks at dates, so mail waits from then on.", name(h))
			f.chain(h, a.Peer.Chain, "7671 s.5.2.3")
		case underSTS:
			f.add(HostCertificate, leaf.NotAfter, Broken, h.Name, "8461 s.4.2", "Renew it before.", "The certificate of %s ends; senders that honour the MTA-STS policy do not deliver from then on.", name(h))
			f.chain(h, a.Peer.Chain, "8461 s.4.2")
		case a.Decision.Method == engine.MethodDANEEE:
			f.add(PinnedCertificate, leaf.NotAfter, Notice, h.Name, "7672 s.3.1.1", "Nothing must be done; DANE-EE does not look at dates. When it is renewed, keep the key or publish its record before.", "The certificate of %s ends, which DANE-EE does not mind.", name(h))
		default:
			f.add(HostCertificate, leaf.NotAfter, Notice, h.Name, "7435 s.3", "Renew it all the same.", "The certificate of %s ends; nothing obliges senders to look.", name(h))
		}
	}
}

// enforced reports whether the domain's policy is of mode enforce.
func enforced(p *engine.Plan) bool {
	return p.STS.Policy != nil && p.STS.Policy.Mode == sts.ModeEnforce
}

// chain tells of the certificates above the host's own that end before it.
func (f *outlook) chain(h *engine.Host, chain []*x509.Certificate, rfc string) {
	for _, c := range chain[1:] {
		if c.NotAfter.Before(chain[0].NotAfter) {
			f.add(ChainCertificate, c.NotAfter, Broken, h.Name, rfc, "Have the server send the newer certificate of the CA.",
				"A CA certificate that %s sends (%s) ends before the host's own.", name(h), c.Subject.CommonName)
		}
	}
}

// policy tells when the policy is forgotten and when its host's certificate ends.
func (f *outlook) policy() {
	s := &f.s.Plan.STS
	dom := f.s.Plan.Orig
	if len(s.Chain) > 0 && s.FetchErr == nil {
		f.add(PolicyCertificate, s.Chain[0].NotAfter, Weaker, rfc6125.Host{}, "8461 s.3.3", "Renew it before.",
			"The certificate of the policy host mta-sts.%s ends; from then on nobody takes the policy anew, and after its max_age it protects nothing.", dom)
	}
	if s.Policy != nil && s.Policy.Mode == sts.ModeEnforce && !s.Expires.IsZero() {
		f.add(Policy, s.Expires, Weaker, rfc6125.Host{}, "8461 s.3.2", "See that "+"https://mta-sts."+dom.String()+"/.well-known/mta-sts.txt stays reachable; senders fetch it about daily.",
			"A sender that fetched the policy of %s just now and can not fetch it again forgets it.", dom)
	}
}

// change judges the planned certificate against the published records.
func (f *outlook) change(h *engine.Host, v *survey.HostView) {
	if len(f.o.Next.SPKI) == 0 || h.DANE.State != dane.Usable {
		return
	}
	var current dane.Peer
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event == engine.HandshakeDone {
			current = dane.Peer{Chain: a.Peer.Chain, RawKey: a.Peer.RawKey}
			break
		}
	}
	life := f.o.TTL
	if life == 0 {
		life = ttl(last(h.DANE.TLSA))
	}
	r := dane.CheckRollover(dane.RolloverRequest{
		Set: h.DANE.Set, TTL: life, Published: f.o.Published, Current: current, Next: f.o.Next.Peer(),
		Options: dane.Options{References: h.DANERefs, At: f.s.At},
	})
	switch r.State {
	case dane.RolloverPublish:
		e := f.add(SwitchPublish, f.s.At, Broken, h.Name, "7671 s.8.1", "Publish the lines below beside the present records, wait for two TTLs, then switch.",
			"No TLSA record of %s matches the planned certificate: switching to it now stops mail.", name(h))
		if owner, err := dane.Owner(h.DANE.Base, h.Port); err == nil {
			for _, m := range r.Missing {
				e.Publish = append(e.Publish, safe(dane.Entry{Owner: owner, TTL: life, Record: m}.Zone()))
			}
		}
	case dane.RolloverUnfit:
		f.add(SwitchUnfit, f.s.At, Broken, h.Name, "7671 s.5.2", "Get another certificate, or send the missing ones of the chain.",
			"The planned certificate of %s fails although a TLSA record matches (%v).", name(h), r.NextErr)
		return
	case dane.RolloverWait, dane.RolloverSafe:
		f.add(SwitchEarliest, r.Earliest, Notice, h.Name, "7671 s.8.1", "Switch then, and not before: a sender may still have the records as they were.",
			"From now on %s may show the planned certificate.", name(h))
	}
	if !r.Latest.IsZero() {
		f.add(SwitchLatest, r.Latest, Broken, h.Name, "7671 s.8.1", "Switch before.", "Until then %s must have switched: its present certificate stops to count.", name(h))
	}
}

// ttl is the TTL of an answer's records as it was received.
func ttl(l dane.Lookup) time.Duration {
	if len(l.Answer.Records) == 0 {
		return 0
	}
	return time.Duration(l.Answer.Records[0].TTL) * time.Second
}

// safe makes text fit for a terminal: printable ASCII, bounded.
func safe(s string) string {
	const most = 400
	b := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
		if len(b) == most {
			return string(b) + "..."
		}
	}
	return string(b)
}
