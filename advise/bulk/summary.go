package bulk

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

const (
	// maxExamples is how many domains a summary names for a fault.
	maxExamples = 3
	// maxProviders bounds the providers that a Tally counts one by one; when there are more,
	// the smallest half is put together.
	maxProviders = 16384
	// shownProviders is how many providers a summary lists.
	shownProviders = 20
)

// A Summary counts the rows of a survey. Its JSON is described by docs/survey.schema.json.
type Summary struct {
	V       int `json:"v"`
	Domains int `json:"domains"` // rows
	Refused int `json:"refused"` // lines that name no domain
	// Complete says that the survey came to the end of its list.
	Complete bool `json:"complete"`
	// Authenticated counts the domains to which a sender authenticates every host, as it is
	// published.
	Authenticated int              `json:"authenticated"`
	Mechanisms    []MechanismCount `json:"mechanisms"` // all of them, in their order
	// Outcomes are those of probing, in their order; nil without.
	Outcomes  []OutcomeCount  `json:"outcomes,omitempty"`
	Faults    []FaultCount    `json:"faults"`    // the most frequent first
	Providers []ProviderCount `json:"providers"` // the largest first, 20 at most
	// Others are the providers that are not listed.
	Others ProviderCount `json:"other_providers"`
	// Started and TookS are the time of the survey; zero where times are left out.
	Started *time.Time `json:"started,omitempty"`
	TookS   float64    `json:"took_s,omitempty"`
}

// A MechanismCount counts the domains of a mechanism.
type MechanismCount struct {
	Mechanism Mechanism `json:"mechanism"`
	Domains   int       `json:"domains"`
}

// An OutcomeCount counts the domains of an outcome of probing.
type OutcomeCount struct {
	Outcome engine.Outcome `json:"outcome"`
	Domains int            `json:"domains"`
}

// A FaultCount counts the domains that have a fault.
type FaultCount struct {
	ReasonID reason.ID `json:"reason_id"`
	About    string    `json:"about"` // what the reason means
	RFC      string    `json:"rfc"`
	Domains  int       `json:"domains"`
	Examples []string  `json:"examples"` // the first of the list, 3 at most
}

// A ProviderCount counts the domains of one provider.
type ProviderCount struct {
	Provider      string `json:"provider,omitempty"`
	Providers     int    `json:"providers,omitempty"` // how many are put together
	Domains       int    `json:"domains"`
	Authenticated int    `json:"authenticated"` // of them, as in Summary
	Faulty        int    `json:"faulty"`        // of them, those with a fault
}

// A Tally counts rows. Its memory has a fixed bound. The zero Tally is ready; it is for one
// goroutine.
type Tally struct {
	domains, refused int
	mechanisms       [len(mechanismWords)]int
	outcomes         [engine.Bounced + 1]int
	probed           bool
	faults           map[reason.ID]*FaultCount
	providers        map[string]*ProviderCount
	others           ProviderCount
}

// Add counts a row.
func (t *Tally) Add(r *Row) {
	t.domains++
	t.mechanisms[r.Mechanism]++
	if r.Outcome != engine.OutcomeNone {
		t.probed = true
		t.outcomes[r.Outcome]++
	}
	for _, f := range r.Faults {
		t.addFault(f.ReasonID, r.Domain)
	}
	if r.Provider == "" {
		return
	}
	p := t.providers[r.Provider]
	if p == nil {
		if t.providers == nil {
			t.providers = map[string]*ProviderCount{}
		}
		if len(t.providers) == maxProviders {
			t.joinSmall()
		}
		p = &ProviderCount{Provider: r.Provider}
		t.providers[r.Provider] = p
	}
	p.Domains++
	if r.Mechanism.Authenticates() {
		p.Authenticated++
	}
	if len(r.Faults) > 0 {
		p.Faulty++
	}
}

func (t *Tally) addFault(id reason.ID, domain string) {
	f := t.faults[id]
	if f == nil {
		if t.faults == nil {
			t.faults = map[reason.ID]*FaultCount{}
		}
		info, _ := explain.About(id)
		f = &FaultCount{ReasonID: id, About: info.About, RFC: info.RFC}
		t.faults[id] = f
	}
	f.Domains++
	if len(f.Examples) < maxExamples && !slices.Contains(f.Examples, domain) {
		f.Examples = append(f.Examples, domain)
	}
}

// Refuse counts a line that names no domain.
func (t *Tally) Refuse() { t.refused++ }

// joinSmall puts the smaller half of the providers together.
func (t *Tally) joinSmall() {
	all := t.sorted()
	for _, p := range all[len(all)/2:] {
		t.others.add(p)
		delete(t.providers, p.Provider)
	}
}

// add adds the counts of a provider to those of several.
func (c *ProviderCount) add(p *ProviderCount) {
	c.Providers++
	c.Domains += p.Domains
	c.Authenticated += p.Authenticated
	c.Faulty += p.Faulty
}

// sorted lists the providers, the largest first.
func (t *Tally) sorted() []*ProviderCount {
	all := make([]*ProviderCount, 0, len(t.providers))
	for _, p := range t.providers {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *ProviderCount) int {
		return cmp.Or(cmp.Compare(b.Domains, a.Domains), strings.Compare(a.Provider, b.Provider))
	})
	return all
}

// Summary returns what was counted so far, without times.
func (t *Tally) Summary() Summary {
	s := Summary{V: RowVersion, Domains: t.domains, Refused: t.refused, Others: t.others,
		Mechanisms: []MechanismCount{}, Faults: []FaultCount{}, Providers: []ProviderCount{}}
	for _, m := range mechanismOrder {
		s.Mechanisms = append(s.Mechanisms, MechanismCount{m, t.mechanisms[m]})
		if m.Authenticates() {
			s.Authenticated += t.mechanisms[m]
		}
	}
	for o := engine.Authenticated; t.probed && o <= engine.Bounced; o++ {
		s.Outcomes = append(s.Outcomes, OutcomeCount{o, t.outcomes[o]})
	}
	for _, f := range t.faults {
		f := *f
		f.Examples = slices.Clone(f.Examples)
		s.Faults = append(s.Faults, f)
	}
	slices.SortFunc(s.Faults, func(a, b FaultCount) int {
		return cmp.Or(cmp.Compare(b.Domains, a.Domains), cmp.Compare(a.ReasonID, b.ReasonID))
	})
	all := t.sorted()
	for i, p := range all {
		if i < shownProviders {
			s.Providers = append(s.Providers, *p)
		} else {
			s.Others.add(p)
		}
	}
	return s
}

// mechanismOrder is the order in which a summary lists the mechanisms, the strongest first.
var mechanismOrder = [...]Mechanism{Both, DANE, MTASTS, PartDANE, HalfDANE, Testing, None, NoMail, Undetermined}

// mechanismText says what a mechanism means.
var mechanismText = [len(mechanismWords)]string{
	Both:         "DANE and MTA-STS",
	DANE:         "DANE",
	MTASTS:       "MTA-STS",
	PartDANE:     "DANE at some mail hosts only",
	HalfDANE:     "TLSA records, but the MX records are not signed",
	Testing:      "MTA-STS in mode testing",
	None:         "neither DANE nor MTA-STS",
	NoMail:       "takes no mail, or does not exist",
	Undetermined: "not known: a lookup failed",
}
