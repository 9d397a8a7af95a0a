package lint

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/sts"
)

// FirstMaxAge is the max_age of a domain's first policy: a mistake in it is over after a day.
const FirstMaxAge = 24 * time.Hour

// enforceTime is how long a policy is in force with a short max_age before senders are asked
// to remember it for weeks.
const enforceTime = 7 * 24 * time.Hour

// A PolicyRequest says which policy [MakePolicy] makes.
type PolicyRequest struct {
	// Mode of the policy; 0: the present one, or testing where there is none or it is none.
	Mode sts.Mode
	// MaxAge in whole seconds; 0: the present one, or [FirstMaxAge] where there is none.
	MaxAge time.Duration
	// Unseen says that the mail hosts were not connected to, so that nothing is said of their
	// certificates.
	Unseen bool
	// Offline says that the snapshot is one of [survey.Given]: whether the domain has a policy
	// is not known.
	Offline bool
}

// A PolicyState says what a domain has of MTA-STS before a policy is made for it. The zero
// PolicyState is StateUnknown.
type PolicyState uint8

// States.
const (
	StateUnknown     PolicyState = iota // not looked up, or the lookup failed
	StateNone                           // neither record nor policy
	StateAnnounced                      // senders take the policy
	StateUnannounced                    // a policy is served, and no good record announces it
	StateBroken                         // a record announces a policy that senders cannot take
)

// String returns "unknown", "none", "announced", "unannounced" or "broken".
func (s PolicyState) String() string {
	switch s {
	case StateNone:
		return "none"
	case StateAnnounced:
		return "announced"
	case StateUnannounced:
		return "unannounced"
	case StateBroken:
		return "broken"
	}
	return "unknown"
}

// MarshalText prints s as [PolicyState.String] does.
func (s PolicyState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Stage is a policy that comes after the one that is made.
type Stage struct {
	Mode   sts.Mode `json:"mode"`
	MaxAge int64    `json:"max_age"` // seconds
	// After is how long the policy before must have been served without failures, in seconds.
	After   int64    `json:"after_seconds"`
	Text    string   `json:"text"`
	LookFor []string `json:"look_for"` // what TLSRPT reports must show before, a sentence each
}

// A Proposal is the policy that a domain should serve, and the way there.
type Proposal struct {
	State PolicyState `json:"state"`
	Text  string      `json:"text"` // one sentence: what the domain has and what to do
	// Blocked is why no policy can be made; then all that follows is empty. Failed says that
	// the reason is a lookup that failed.
	Blocked string `json:"blocked,omitempty"`
	Failed  bool   `json:"failed,omitempty"`
	// Mode and MaxAge are those of the proposed policy, MaxAge in seconds.
	Mode   sts.Mode `json:"mode,omitzero"`
	MaxAge int64    `json:"max_age"`
	// Problems are what stops mail once the policy is enforced, as steps to take first.
	Problems []Step `json:"problems"`
	// Changes are the differences to the present policy, a line each; empty where there is
	// none, or it may stay.
	Changes []string `json:"changes"`
	// Steps serve and announce the policy; empty where the domain does so already.
	Steps []Step `json:"steps"`
	// Then are the policies that follow.
	Then []Stage `json:"then"`
}

// MakePolicy works out the MTA-STS policy for the MX hosts of a domain (RFC 8461 section
// 3.2), and what changes where the domain has one. It is a pure function of its arguments.
func MakePolicy(s survey.Snapshot, q PolicyRequest) Proposal {
	r := &report{snap: &s}
	out := Proposal{Problems: []Step{}, Changes: []string{}, Steps: []Step{}, Then: []Stage{}}
	if out.Blocked, out.Failed = r.policyBlocked(q); out.Blocked != "" {
		return out
	}
	pol, _ := r.policy()
	out.State = r.policyState(q)
	mode, age := q.Mode, q.MaxAge
	if mode == 0 {
		mode = r.keepMode()
	}
	if age == 0 {
		age = FirstMaxAge
		if pol != nil && pol.Mode != 0 && pol.Mode != sts.ModeNone && mode != sts.ModeNone && pol.MaxAge > 0 {
			age = pol.MaxAge
		}
	}
	serve, ok := r.policyStep(mode, age)
	if !ok {
		out.State, out.Blocked = StateUnknown, plain.Text(r.unlistable())
		return out
	}
	out.Mode, out.MaxAge = mode, int64(age/time.Second)
	if !q.Unseen && !q.Offline {
		out.Problems = append(out.Problems, r.misfitSteps()...)
	}
	if made, err := sts.ParsePolicy([]byte(strings.Join(serve.File, "\n"))); err == nil && pol != nil {
		out.Changes = append(out.Changes, policyChanges(pol, &made)...)
	}
	if out.State != StateAnnounced || len(out.Changes) > 0 {
		out.Steps = r.introduction(serve, out.State, q)
	}
	out.Text = plain.Text(r.proposalText(&out, pol))
	out.Then = r.stages(mode, age, q)
	return out
}

// policyBlocked says why nothing can be proposed; "" if something can.
func (r *report) policyBlocked(q PolicyRequest) (why string, failed bool) {
	p := r.snap.Plan
	switch {
	case q.Offline:
		return "", false
	case r.snap.MX.Err != nil:
		return fmt.Sprintf("The hosts that a policy of %s must list are not known: %s.", p.Orig, explain.LookupFault(r.snap.MX.Err, "the MX records of "+p.Orig.String())), true
	case p.MX.Outcome != engine.OutcomeNone:
		return plain.Text(explain.Text(p.MX.Reason)), p.MX.Outcome == engine.Deferred
	case p.STS.TXTErr != nil && !errors.Is(p.STS.TXTErr, sts.ErrNoRecord):
		return fmt.Sprintf("Whether %s has a policy is not known: %s.", p.Orig, explain.LookupFault(p.STS.TXTErr, "the TXT records of _mta-sts."+p.Orig.String())), true
	}
	return "", false
}

// unlistable says why no policy can list the MX hosts.
func (r *report) unlistable() string {
	if _, bad := r.listed(); len(bad) > 0 {
		return "No policy can list " + listText(bad) + " (letters, digits and hyphens alone): rename the host first."
	}
	return "None of the MX records of " + r.snap.Plan.Orig.String() + " names a host that a policy can list: correct the MX records first (mxauth lint " + r.snap.Plan.Orig.String() + ")."
}

// policyState says what the domain has.
func (r *report) policyState(q PolicyRequest) PolicyState {
	s := &r.snap.Plan.STS
	switch {
	case q.Offline:
		return StateUnknown
	case s.TXTErr == nil && s.Policy != nil:
		return StateAnnounced
	case s.TXTErr == nil:
		return StateBroken
	case r.snap.Served != nil:
		return StateUnannounced
	case r.recordThere():
		return StateBroken
	}
	return StateNone
}

// introduction are the steps that bring a policy to senders: where their reports go, the
// name of the web server, then the policy.
func (r *report) introduction(serve Step, state PolicyState, q PolicyRequest) []Step {
	var out []Step
	name := "mta-sts." + r.snap.Plan.Orig.String()
	a, aaaa := r.snap.PolicyHost[0], r.snap.PolicyHost[1]
	absent := a.Err == nil && aaaa.Err == nil && len(a.Answer.Records)+len(aaaa.Answer.Records) == 0
	if !q.Offline && q.Mode != sts.ModeNone && r.snap.TLSRPTErr != nil {
		out = append(out, r.reportsStep())
	}
	if q.Offline || absent {
		out = append(out, do("Give "+name+" an address record of a web server, and the web server a certificate of a public CA for that name."))
	}
	if state == StateUnannounced && r.sameAsServed(serve) {
		return append(out, Step{Kind: StepPublish, Text: "Publish the record; the policy that is served may stay as it is.", Owner: serve.Owner, Type: serve.Type, Records: serve.Records, Instead: serve.Instead})
	}
	return append(out, serve)
}

// proposalText says in one sentence what the domain has and what to do.
func (r *report) proposalText(p *Proposal, pol *sts.Policy) string {
	dom := r.snap.Plan.Orig.String()
	effect := "senders report failures and still deliver"
	if p.Mode == sts.ModeEnforce {
		effect = "senders deliver to no host that fails it"
	} else if p.Mode == sts.ModeNone {
		effect = "senders take MTA-STS as withdrawn"
		if pol != nil && pol.MaxAge > 0 {
			// RFC 8461 section 8.3 keeps it until no sender has the present one.
			effect += "; remove the record and the file once it has been served for " + plain.Span(pol.MaxAge) + ", the max_age of the present one"
		}
	}
	switch p.State {
	case StateNone:
		return fmt.Sprintf("%s has no MTA-STS policy. This is its first, of mode %s: %s.", dom, p.Mode, effect)
	case StateAnnounced:
		if len(p.Changes) == 0 {
			return fmt.Sprintf("The policy of %s lists its mail hosts and is of mode %s: %s. No change is needed now.", dom, p.Mode, effect)
		}
		return fmt.Sprintf("%s has a policy of mode %s. The one below takes its place: %s.", dom, pol.Mode, effect)
	case StateUnannounced:
		return fmt.Sprintf("%s serves a policy that no good record announces, so no sender uses it. Once that is corrected, it has mode %s: %s.", dom, p.Mode, effect)
	case StateBroken:
		why := "its record is not one that senders read"
		if err := r.snap.Plan.STS.FetchErr; err != nil {
			why = "the policy cannot be fetched (" + explain.Cause(err) + ")"
		} else if l := sts.LintRecord(survey.Texts(r.snap.STSRecord)); len(l) > 0 {
			why = "its record does not count (" + l[0].Why + ")"
		}
		return fmt.Sprintf("%s has an MTA-STS policy that senders do not take: %s. Repair that first; the policy below is of mode %s.", dom, why, p.Mode)
	}
	return fmt.Sprintf("A policy for the mail hosts that were given, of mode %s: %s. If %s has a policy already, leave the option `mx` out to see what changes.", p.Mode, effect, dom)
}

// policyChanges are the differences between two policies, a line each.
func policyChanges(old, made *sts.Policy) []string {
	var out []string
	if old.Mode != made.Mode && old.Mode != 0 {
		out = append(out, fmt.Sprintf("mode: %s becomes %s", old.Mode, made.Mode))
	}
	if old.MaxAge != made.MaxAge {
		out = append(out, fmt.Sprintf("max_age: %s becomes %s", plain.Span(old.MaxAge), plain.Span(made.MaxAge)))
	}
	for _, m := range made.MX {
		if !slices.Contains(old.MX, m) {
			out = append(out, "mx: "+m.String()+" is added: an MX host that the policy does not list")
		}
	}
	for _, m := range old.MX {
		if !slices.Contains(made.MX, m) {
			out = append(out, "mx: "+m.String()+" is taken out: it lists none of the MX hosts")
		}
	}
	for i := range out {
		out[i] = plain.Text(out[i])
	}
	return out
}

// stages are the policies that follow one of this mode and max_age: first the mode, then the
// max_age, so that at any time one thing alone can go wrong.
func (r *report) stages(mode sts.Mode, age time.Duration, q PolicyRequest) []Stage {
	dom := r.snap.Plan.Orig.String()
	var out []Stage
	if mode == sts.ModeNone {
		return []Stage{}
	}
	seconds := func(d time.Duration) int64 { return int64(d / time.Second) }
	if mode == sts.ModeTesting {
		st := Stage{Mode: sts.ModeEnforce, MaxAge: seconds(age), After: seconds(testingTime),
			Text: "Enforce the policy: from then on senders deliver to no host that fails it.",
			LookFor: []string{
				"Reports have come from two or more senders, for each of the last 14 days, and they contain the policy type \"sts\" for " + dom + ".",
				"mxauth tlsrpt read says \"none failed\" for MTA-STS of those days. After the last failure, 14 more days are needed.",
				"No report names a mail host that you do not know: it would get no mail.",
			}}
		if q.Offline || r.snap.TLSRPTErr != nil {
			st.LookFor = append([]string{"Without a TLSRPT record no reports come, and failures stay unseen: publish it first."}, st.LookFor...)
		}
		out = append(out, st)
	}
	if age < shortMaxAge {
		out = append(out, Stage{Mode: sts.ModeEnforce, MaxAge: seconds(month), After: seconds(enforceTime),
			Text: "Have senders remember the policy for a month: then an attacker who blocks the web server for a day cannot bypass it.",
			LookFor: []string{
				"For 7 days of mode enforce mxauth tlsrpt read says \"none failed\" for MTA-STS.",
				"No sender reports sts-policy-fetch-error, sts-policy-invalid or sts-webpki-invalid: the web server and its certificate hold.",
				"The certificates of the mail hosts and of mta-sts." + dom + " have been renewed once by themselves, or you have a calendar of their ends (`mxauth forecast` writes one).",
			}})
	}
	for i := range out {
		for j := range out[i].LookFor {
			out[i].LookFor[j] = plain.Text(out[i].LookFor[j])
		}
	}
	return out
}

// PolicyID is a new id for the record of a policy that is served from a time on (RFC 8461
// section 3.1), of the form that [MakePolicy] gives.
func PolicyID(at time.Time) string { return at.UTC().Format("20060102150405") }

// PolicyRecord is the line of a zone file that announces a policy.
func PolicyRecord(owner string, id string) string {
	return fmt.Sprintf("%s %d IN TXT \"v=STSv1; id=%s;\"", owner, hour, id)
}
