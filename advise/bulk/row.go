package bulk

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/sts"
)

// A Mechanism says by what the mail hosts of a domain can be authenticated, as it is
// published. The zero Mechanism is Undetermined.
type Mechanism uint8

// Mechanisms, in the order in which a summary lists them.
const (
	Undetermined Mechanism = iota // a lookup failed
	Both                          // DANE at some hosts at least, and a policy in mode enforce
	DANE                          // DANE at every usable host
	PartDANE                      // DANE at some of the usable hosts, and no policy in mode enforce
	MTASTS                        // a policy in mode enforce
	HalfDANE                      // signed TLSA records, but the MX records are not signed
	Testing                       // a policy in mode testing
	None                          // nothing is published
	NoMail                        // the domain takes no mail, or does not exist
)

var mechanismWords = [...]string{"undetermined", "dane+mta-sts", "dane", "part-dane", "mta-sts", "half-dane", "mta-sts-testing", "none", "no-mail"}

// String returns the word of the mechanism in JSON: "undetermined", "dane+mta-sts", "dane",
// "part-dane", "mta-sts", "half-dane", "mta-sts-testing", "none", "no-mail".
func (m Mechanism) String() string {
	if int(m) < len(mechanismWords) {
		return mechanismWords[m]
	}
	return mechanismWords[Undetermined]
}

// MarshalText returns what [Mechanism.String] does.
func (m Mechanism) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what [Mechanism.MarshalText] returns.
func (m *Mechanism) UnmarshalText(b []byte) error {
	i := slices.Index(mechanismWords[:], string(b))
	if i < 0 {
		return fault.New("bulk", "no such mechanism")
	}
	*m = Mechanism(i)
	return nil
}

// Authenticates reports whether a sender authenticates every host that it sends to.
func (m Mechanism) Authenticates() bool { return m == Both || m == DANE || m == MTASTS }

// RowVersion is the "v" of every JSON object of a survey. It changes when a field changes its
// meaning, not when one is added.
const RowVersion = 1

// A Row is the result for one line of a list; docs/survey.schema.json describes its JSON.
type Row struct {
	V         int       `json:"v"`
	Line      int       `json:"line"`            // in the list, from 1
	Asked     string    `json:"asked,omitempty"` // as written in the list, where that is not the domain
	Domain    string    `json:"domain"`          // in A-labels, lower case
	Mechanism Mechanism `json:"mechanism"`
	// Provider is the registered domain of the MX host that is tried first, "" if there is
	// none.
	Provider string `json:"provider"`
	// Outcome, Method, Deliver and EveryHost are as in the JSON of check; only with probing.
	Outcome   engine.Outcome `json:"outcome,omitzero"`
	Method    engine.Method  `json:"method,omitempty"`
	Deliver   *bool          `json:"deliver,omitempty"`
	EveryHost *bool          `json:"every_host,omitempty"`
	Faults    []Fault        `json:"faults"`
	Hosts     []Host         `json:"hosts"`
	At        *time.Time     `json:"at,omitempty"` // when the result was complete
	TookMS    float64        `json:"took_ms,omitempty"`
}

// A Refused is the output for a line that names no domain.
type Refused struct {
	V     int    `json:"v"`
	Line  int    `json:"line"`
	Asked string `json:"asked"`
	Error string `json:"error"`
}

// A Fault is one thing that is wrong with a domain; each reason occurs once in a row.
type Fault struct {
	ReasonID reason.ID `json:"reason_id"`
	Reason   string    `json:"reason"`
	RFC      string    `json:"rfc"`
	Host     string    `json:"host,omitempty"` // the first mail host that has it
}

// A Host is one mail host of a domain.
type Host struct {
	Host        string             `json:"host"`
	Preference  uint16             `json:"preference"`
	Requirement engine.Requirement `json:"requirement"`
	Outcome     engine.Outcome     `json:"outcome,omitzero"` // only with probing
	Method      engine.Method      `json:"method,omitempty"`
}

// maxHosts bounds the hosts of a row. Real domains have up to some twenty; the rows that wait
// for one before them are kept in memory.
const maxHosts = 20

// rowOf makes the row of a plan, and of what its hosts showed where probed is set.
func rowOf(e *Entry, v *mxauth.Verdict, probed bool) *Row {
	p := v.Plan
	r := &Row{V: RowVersion, Line: e.Line, Domain: e.Domain.String(), Mechanism: mechanismOf(p), Faults: []Fault{}, Hosts: []Host{}}
	if e.Text != r.Domain {
		r.Asked = asked(e.Text)
	}
	if len(p.Hosts) > 0 {
		r.Provider = provider(&p.Hosts[0])
	}
	for i := range p.Hosts[:min(len(p.Hosts), maxHosts)] {
		h := Host{Host: p.Hosts[i].String(), Preference: p.Hosts[i].Preference, Requirement: p.Hosts[i].Requirement}
		if probed {
			h.Outcome, h.Method = v.Hosts[i].Decision.Outcome, v.Hosts[i].Decision.Method
		}
		r.Hosts = append(r.Hosts, h)
	}
	if probed {
		deliver, every := v.Deliver, v.EveryHost
		r.Outcome, r.Method, r.Deliver, r.EveryHost = v.Outcome, v.Method, &deliver, &every
	}
	for _, reason := range faultsOf(v, probed) {
		r.add(reason)
	}
	return r
}

// add adds a fault, unless the row has one of that reason.
func (r *Row) add(reason engine.Reason) {
	if slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.ReasonID == reason.ID }) {
		return
	}
	said := explain.Reason(reason)
	f := Fault{ReasonID: reason.ID, Reason: said.Text, RFC: said.RFC}
	if reason.Host != nil {
		f.Host = reason.Host.String()
	}
	r.Faults = append(r.Faults, f)
}

// mechanismOf says by what the hosts of a plan can be authenticated.
func mechanismOf(p *engine.Plan) Mechanism {
	switch p.MX.Outcome {
	case engine.Bounced:
		return NoMail
	case engine.Deferred:
		return Undetermined
	}
	usable, withDANE, half, failed := 0, 0, 0, 0
	for i := range p.Hosts {
		h := &p.Hosts[i]
		signed := h.DANE.State == dane.Usable
		switch {
		case h.Unusable:
			continue
		case h.DANE.Address == dane.AddressFailed && !h.Literal.IsValid(), h.DANE.State == dane.Failed && !h.Literal.IsValid():
			failed++
		case signed && p.MX.Status == dnssec.Secure:
			withDANE++
		case signed:
			half++
		}
		usable++
	}
	enforced := p.STS.Policy != nil && p.STS.Policy.Mode == sts.ModeEnforce
	switch {
	case withDANE > 0 && enforced:
		return Both
	case withDANE > 0 && withDANE == usable:
		return DANE
	case enforced:
		return MTASTS
	case failed > 0, unknownPolicy(p):
		return Undetermined
	case withDANE > 0:
		return PartDANE
	case half > 0:
		return HalfDANE
	case p.STS.Policy != nil && p.STS.Policy.Mode == sts.ModeTesting:
		return Testing
	case usable == 0:
		return NoMail
	}
	return None
}

// unknownPolicy reports whether it is not known if the domain has a policy.
func unknownPolicy(p *engine.Plan) bool {
	return p.STS.Pending || p.STS.TXTErr != nil && !errors.Is(p.STS.TXTErr, sts.ErrNoRecord)
}

// faultsOf lists what is wrong, that of the domain first, then that of each host.
func faultsOf(v *mxauth.Verdict, probed bool) (out []engine.Reason) {
	p := v.Plan
	if p.MX.Outcome != engine.OutcomeNone && p.MX.Reason.ID != reason.NullMX {
		out = append(out, p.MX.Reason)
	}
	out = append(out, p.Findings...)
	for i := range p.Hosts {
		h := &p.Hosts[i]
		switch {
		case h.Requirement == engine.Skip, h.Unusable,
			h.Reason.ID == reason.HalfDANE, h.Reason.ID == reason.TLSAUnusable:
			out = append(out, h.Reason)
		}
		out = append(out, h.Findings...)
		if !probed {
			continue
		}
		d := &v.Hosts[i].Decision
		if d.Outcome != engine.Authenticated && d.Outcome != engine.Encrypted && d.Reason.ID != "" {
			out = append(out, d.Reason)
		}
		out = append(out, d.Details...)
	}
	return out
}

// asked is a text of a list, made fit to be shown.
func asked(s string) string { return text.Escape(s) }

// plainError is the text of an error without the name of a package, made fit to be shown.
func plainError(err error) string {
	return text.Escape(fault.Text(err))
}

// provider is the registered domain of a mail host: its public suffix and one label more.
func provider(h *engine.Host) string {
	if !h.Name.IsValid() {
		return ""
	}
	if d, err := publicsuffix.EffectiveTLDPlusOne(h.Name.String()); err == nil {
		return d
	}
	return h.Name.String()
}
