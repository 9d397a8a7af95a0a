package lint

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/zonefile"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// policy is the policy that the domain serves; announced says that a record makes it count.
// Of one that does not parse it is what its lines mean.
func (r *report) policy() (pol *sts.Policy, announced bool) {
	s := &r.snap.Plan.STS
	if s.Policy != nil && s.TXTErr == nil {
		return s.Policy, true
	}
	if r.snap.Served == nil {
		return s.Policy, false
	}
	if r.snap.Served.Policy.Mode != 0 {
		return &r.snap.Served.Policy, false
	}
	meant := sts.MeantPolicy([]byte(r.snap.Served.Policy.Text))
	return &meant, false
}

// listed are the hosts that a policy has to list: the MX hosts as they are and as they
// should be. bad are those that no policy can list.
func (r *report) listed() (hosts []rfc6125.Host, bad []string) {
	add := func(h rfc6125.Host) {
		switch _, err := sts.ParsePattern(h.String()); {
		case slices.Contains(hosts, h) || slices.Contains(bad, h.String()) || wrongName(h, r.snap.Plan.Orig) != "":
		case err != nil:
			bad = append(bad, h.String())
		default:
			hosts = append(hosts, h)
		}
	}
	gone := map[string]bool{}
	recs := r.mxRecords()
	for _, x := range recs {
		gone[strings.TrimSuffix(x.name.FQDN(), ".")] = !x.to.IsValid()
	}
	for i := range r.snap.Plan.Hosts {
		if h := r.snap.Plan.Hosts[i].Name; h.IsValid() && !gone[h.String()] {
			add(h)
		}
	}
	for _, x := range recs {
		if !x.to.IsValid() || x.to.IsRoot() {
			continue
		}
		if h, err := rfc6125.HostFromName(x.to); err == nil {
			add(h)
		}
	}
	return hosts, bad
}

// fits reports whether a host shows, at each address that answers, a certificate that
// satisfies MTA-STS under the name.
func (r *report) fits(v *survey.HostView, name rfc6125.Host) bool {
	seen := false
	for _, a := range v.Probe.Addresses {
		switch {
		case a.Peer.Event == engine.NoConnection:
			continue
		case a.Peer.Event != engine.HandshakeDone || len(a.Peer.Chain) == 0 || a.Peer.Outdated() || r.snap.Roots == nil:
			return false
		case r.webpki(a.Peer.Chain, name) != nil:
			return false
		}
		seen = true
	}
	return seen
}

// misfits are the MX hosts to which a policy in force would stop mail.
func (r *report) misfits() []rfc6125.Host {
	var out []rfc6125.Host
	for i := range r.snap.Plan.Hosts {
		h := &r.snap.Plan.Hosts[i]
		if !h.Name.IsValid() || !usable(h, &r.snap.Hosts[i], r.snap.Plan.Orig) || r.fits(&r.snap.Hosts[i], h.Name) {
			continue
		}
		out = append(out, h.Name)
	}
	return out
}

// keepMode is the mode of a corrected policy: what it is now. It is never lowered: to take
// "enforce" back is the owner's decision.
func (r *report) keepMode() sts.Mode {
	pol, _ := r.policy()
	if pol == nil || pol.Mode == 0 || pol.Mode == sts.ModeNone {
		return sts.ModeTesting
	}
	return pol.Mode
}

// serveStep is the step that serves a policy for the domain's hosts and announces it, with a
// max_age of weeks. Each policy of a report has an id of its own. ok is false if no policy
// can list the hosts.
func (r *report) serveStep(mode sts.Mode) (s Step, ok bool) {
	age := month
	if pol, _ := r.policy(); pol != nil && pol.Mode != sts.ModeNone && pol.MaxAge >= shortMaxAge {
		age = pol.MaxAge
	}
	return r.policyStep(mode, age)
}

// policyStep is serveStep with the max_age given.
func (r *report) policyStep(mode sts.Mode, age time.Duration) (s Step, ok bool) {
	p := r.snap.Plan
	hosts, bad := r.listed()
	if len(hosts) == 0 || len(bad) > 0 || r.snap.MX.Err != nil {
		return Step{}, false
	}
	var mx []string
	if pol, _ := r.policy(); pol != nil {
		for _, m := range pol.MX {
			used := p.MX.Row == "M5" // what is missing may be the MX record
			for _, h := range hosts {
				used = used || m.Match(h)
			}
			if used && !slices.Contains(mx, m.String()) {
				mx = append(mx, m.String())
			}
		}
	}
	for _, h := range hosts {
		if !slices.ContainsFunc(mx, func(m string) bool { pat, err := sts.ParsePattern(m); return err == nil && pat.Match(h) }) {
			mx = append(mx, h.String())
		}
	}
	s = Step{Kind: StepServe, URL: policyURL(p.Orig), File: []string{"version: STSv1", "mode: " + mode.String()}}
	for _, m := range mx {
		s.File = append(s.File, "mx: "+m)
	}
	s.File = append(s.File, fmt.Sprintf("max_age: %d", int64(age/time.Second)))
	s.Text = "Serve this file at " + s.URL + ", then publish the record with its new id."
	file := strings.Join(s.File, "\n")
	stage := slices.Index(r.files, file)
	if stage < 0 {
		stage, r.files = len(r.files), append(r.files, file)
	}
	r.record(&s, stage)
	return s, true
}

// record fills the step that publishes the MTA-STS record.
func (r *report) record(s *Step, stage int) {
	owner, instead := ownerOf(r.snap.STSRecord, "_mta-sts."+r.snap.Plan.Orig.String()+".")
	id := PolicyID(r.snap.At.Add(time.Duration(stage) * time.Second))
	if now := explain.NewPolicyID(r.snap.Plan); now != "" && stage == 0 {
		id = now // the same as in what check says
	}
	s.Owner, s.Type, s.Instead = owner, "TXT", instead
	s.Records = append(r.others(r.snap.STSRecord, sts.MeansRecord, owner), PolicyRecord(owner, id))
}

// others are the TXT records of the name that belong to something else, which stay.
func (r *report) others(l dane.Lookup, means func(string) bool, owner string) []string {
	var out []string
	if len(l.Answer.Chain) > 0 && len(l.Answer.Records) == 0 {
		return nil
	}
	for _, t := range survey.Texts(l) {
		if !means(t) && sts.OtherRecord(t) == "" {
			out = append(out, fmt.Sprintf("%s %d IN TXT %s", owner, hour, zonefile.TXT(t)))
		}
	}
	return out
}

// ownerOf is where the records of a name are to be put: at the end of its aliases, or, where
// those lead nowhere, at the name itself in place of the alias.
func ownerOf(l dane.Lookup, name string) (owner, instead string) {
	c := l.Answer.Chain
	switch {
	case len(c) == 0:
		return name, ""
	case len(l.Answer.Records) == 0 && c[0].Type == dnssec.TypeCNAME && c[0].Owner.FQDN() == name:
		return name, "CNAME"
	}
	return l.Answer.Final.FQDN(), ""
}

// enforceSteps lead from a policy in mode testing to one in force.
func (r *report) enforceSteps() []Step {
	s, ok := r.serveStep(sts.ModeEnforce)
	if !ok {
		return nil
	}
	var out []Step
	out = append(out, r.misfitSteps()...)
	s.Text = "When the TLSRPT reports show no failures, serve this file at " + s.URL + " and publish the record with its new id."
	return append(out, s)
}

// reportTexts are the TLSRPT records that are there, in the right place or not.
func (r *report) reportTexts() []string {
	out := survey.Texts(r.snap.TLSRPTRecord)
	for _, m := range r.snap.Elsewhere {
		if m.Standard == "TLSRPT" {
			out = append(out, m.Text)
		}
	}
	return out
}

// reportsStep publishes a TLSRPT record; to are the addresses that the present one names.
func (r *report) reportsStep() Step {
	dom := r.snap.Plan.Orig
	owner, instead := ownerOf(r.snap.TLSRPTRecord, "_smtp._tls."+dom.String()+".")
	to := "mailto:tlsrpt@" + dom.String()
	if found := destinations(r.reportTexts()); found != "" {
		to = found
	}
	return Step{Kind: StepPublish, Text: "Ask senders to report failures; have somebody read the mailbox.", Owner: owner, Type: "TXT", Instead: instead,
		Records: append(r.others(r.snap.TLSRPTRecord, tlsrptMeans, owner), fmt.Sprintf("%s %d IN TXT \"v=TLSRPTv1; rua=%s\"", owner, hour, to))}
}
