package ladder

import (
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// policy is the second ladder. It has one step where MTA-STS was not asked.
func policy(p *engine.Plan) []Step {
	r := &p.STS
	switch p.STSAsked {
	case reason.STSWasAsked:
	case reason.STSLeft:
		if r.Policy == nil {
			return []Step{{Kind: Policy, Status: Unused, RFC: "8461 s.3.3", Lines: []string{"not waited for: DANE decides alone"}}}
		}
	case reason.STSNoClient:
		return []Step{{Kind: Policy, Status: Unused, RFC: "8461 s.3", Lines: []string{"MTA-STS is not looked at by this program"}}}
	default:
		return []Step{{Kind: Policy, Status: Unused, RFC: "8461 s.3", Lines: []string{"MTA-STS has no say about this delivery"}}}
	}
	said := map[string]explain.Step{}
	for _, s := range explain.Plan(p) {
		said[s.Step] = s
	}
	finding := func(ids ...reason.ID) engine.Reason {
		for _, f := range p.Findings {
			for _, id := range ids {
				if f.ID == id {
					return f
				}
			}
		}
		return engine.Reason{}
	}
	txt := record(p, said[explain.StepSTSRecord], finding(reason.STSRecordGone, reason.STSRecordFail))
	if r.Policy == nil && errors.Is(r.TXTErr, sts.ErrNoRecord) {
		return []Step{txt}
	}
	host := webPKI(p, finding(reason.STSWebPKI, reason.STSFetch))
	pol := Step{Kind: Policy, RFC: "8461 s.3.2"}
	if l := said[explain.StepSTSPolicy]; l.Result != "" {
		pol.Lines = []string{clean(l.Result)}
	}
	bad := finding(reason.STSInvalid)
	switch {
	case !bad.IsZero():
		pol.Status, pol.Reason = Broken, bad.ID
		pol.Lines = append([]string{explain.Text(bad)}, pol.Lines...)
		if r.Policy == nil {
			pol.Lines = pol.Lines[:1]
		}
	case r.Policy == nil && host.Status != Good:
		pol.Status, pol.Lines = Unused, []string{"not read"}
	case r.Policy == nil:
		pol.Status = Unknown
	case r.Policy.Mode == sts.ModeEnforce:
		pol.Status = Good
	case r.Policy.Mode == sts.ModeTesting:
		pol.Status = Unproved
	default:
		pol.Status = Missing
	}
	out := []Step{txt, host, pol}
	if r.Policy != nil && r.Policy.Mode != sts.ModeNone && len(p.Hosts) > 0 {
		out = append(out, listedHosts(p))
	}
	return out
}

// record is the step of the TXT record.
func record(p *engine.Plan, said explain.Step, bad engine.Reason) Step {
	r := &p.STS
	s := Step{Kind: TXT, RFC: "8461 s.3.1", Reason: bad.ID, Name: "_mta-sts." + p.Orig.String()}
	if said.Result != "" {
		s.Lines = []string{clean(said.Result)}
	}
	switch {
	case r.TXTErr == nil:
		s.Status = Good
	case errors.Is(r.TXTErr, sts.ErrNoRecord):
		s.Status = Missing
		if r.Answer.Kind == dnssec.Data {
			s.Status = Broken // there is one, and it does not count
		}
	case p.STSAsked == reason.STSLeft:
		s.Status = Unused
	case errors.Is(r.TXTErr, dnssec.ErrBogus):
		s.Status = Broken
	}
	return s
}

// webPKI is the step of the policy host, whose certificate the policy rests on.
func webPKI(p *engine.Plan, bad engine.Reason) Step {
	r := &p.STS
	s := Step{Kind: WebPKI, RFC: "8461 s.3.3", Name: "https://mta-sts." + p.Orig.String() + "/.well-known/mta-sts.txt", Reason: bad.ID}
	switch {
	case bad.ID == reason.STSWebPKI:
		s.Status, s.Lines = Broken, []string{explain.Text(bad)}
	case !bad.IsZero():
		s.Status, s.Lines = Broken, []string{explain.Text(bad)}
	case r.Policy == nil && r.FetchErr == nil, r.Pending:
		s.Lines = []string{"not asked yet"}
	case r.Policy != nil && r.Cached:
		s.Status = Good
		s.Lines = []string{fmt.Sprintf("its certificate was valid when the policy was fetched, on %s", r.Fetched.UTC().Format("2006-01-02"))}
	case r.FetchErr != nil && !errors.Is(r.FetchErr, sts.ErrPolicy):
		s.Lines = []string{clean(explain.Cause(r.FetchErr))}
	default:
		s.Status, s.Lines = Good, []string{"its certificate names it and leads to a public CA"}
	}
	return s
}

// listedHosts is the step that holds the mail hosts against the patterns of the policy.
func listedHosts(p *engine.Plan) Step {
	s := Step{Kind: Listed, RFC: "8461 s.4.1", Status: Good}
	if p.STS.Policy.Mode == sts.ModeTesting {
		s.Status = Unproved
	}
	n := 0
	for i := range p.Hosts {
		if p.Hosts[i].STSMatch != "" {
			n++
		}
	}
	s.Lines = []string{fmt.Sprintf("%d of %d mail hosts", n, len(p.Hosts))}
	if n == len(p.Hosts) {
		return s
	}
	s.Reason = reason.STSNoMatch
	if p.STS.Policy.Mode == sts.ModeEnforce {
		s.Status = Broken
	}
	for i := range p.Hosts {
		h := &p.Hosts[i]
		if h.STSMatch == "" && len(s.Lines) <= maxListed {
			s.Lines = append(s.Lines, "not "+h.String())
		}
	}
	return s
}
