package lint

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/internal/plain"
	"github.com/mxauth/mxauth/engine/survey"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Limits of what is advised.
const (
	// shortMaxAge: RFC 8461 section 3.2 advises "weeks or greater".
	shortMaxAge = 7 * 24 * time.Hour
	// longTesting is how old an id that is a date may be while the mode is testing.
	longTesting = 60 * 24 * time.Hour
	// soon is how near the end of a certificate is told: automatic renewal, which begins a
	// month before the end, has then failed for two weeks.
	soon = 14 * 24 * time.Hour
)

// sts judges the MTA-STS record and policy.
func (r *report) sts() {
	p := r.snap.Plan
	s := &p.STS
	if !p.Orig.IsValid() || s.Pending && s.Policy == nil {
		return
	}
	r.stsRecord(s)
	if s.FetchErr != nil && s.TXTErr == nil {
		r.stsFetch(s)
	}
	if len(s.Chain) > 0 && s.FetchErr == nil {
		if end := s.Chain[0].NotAfter; end.Sub(r.snap.At) < soon {
			r.add(STSPolicyExpires, rfc6125.Host{}, "Renew it, and find out why that did not happen by itself.",
				"The certificate of the policy host mta-sts.%s ends on %s; from then on no sender takes the policy.", p.Orig, end.UTC().Format(time.DateOnly)).saw("ends %s", end.UTC().Format(time.RFC3339))
		}
	}
	if s.Policy != nil && (s.FetchErr == nil || s.Cached) {
		r.stsPolicy(s)
	}
}

func (r *report) stsRecord(s *sts.Result) {
	dom := r.snap.Plan.Orig
	var bad *sts.SyntaxError
	switch {
	case s.TXTErr == nil:
	case errors.As(s.TXTErr, &bad) && hasSTS(s):
		f := r.add(STSRecordBad, rfc6125.Host{}, "Publish exactly one record, this one; change its id whenever the policy changes.",
			"The MTA-STS record of %s does not count: %s.", dom, bad.Why)
		for _, txt := range texts(s) {
			f.saw("_mta-sts.%s TXT %q", dom, txt)
		}
		f.publish(recordLine(dom, r.snap.At))
	case !errors.Is(s.TXTErr, sts.ErrNoRecord):
		r.add(STSRecordFailed, rfc6125.Host{}, "Repair the zone or its name servers: the question for the TXT records of _mta-sts."+dom.String()+" must be answered.",
			"Whether %s has an MTA-STS record can not be found out, so a sender that has no policy yet goes without.", dom).saw("%s", explain.Cause(s.TXTErr))
	}
}

// hasSTS reports whether a TXT record that means to be MTA-STS is there.
func hasSTS(s *sts.Result) bool {
	for _, t := range texts(s) {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(t)), "v=sts") {
			return true
		}
	}
	return false
}

func texts(s *sts.Result) []string {
	var out []string
	for _, rr := range s.Answer.Records {
		if parts, err := rr.TXT(); err == nil {
			out = append(out, strings.Join(parts, ""))
		}
	}
	return out
}

func recordLine(dom rfc6125.Host, at time.Time) string {
	return fmt.Sprintf("_mta-sts.%s. 3600 IN TXT \"v=STSv1; id=%s;\"", dom, at.UTC().Format("20060102150405"))
}

// month is the max_age of a policy that is made anew.
const month = 30 * 24 * time.Hour

// serve adds a policy that fits the domain's present hosts, with the record that announces
// it. A max_age that is long enough stays.
func (r *report) serve(f *Finding, mode string) {
	p := r.snap.Plan
	age := month
	if pol := p.STS.Policy; pol != nil && pol.Mode != sts.ModeNone && pol.MaxAge >= shortMaxAge {
		age = pol.MaxAge
	}
	f.publish(recordLine(p.Orig, r.snap.At))
	f.PolicyURL = policyURL(p.Orig)
	f.Policy = append(f.Policy, "version: STSv1", "mode: "+mode)
	for i := range p.Hosts {
		if n := p.Hosts[i].Name; n.IsValid() {
			f.Policy = append(f.Policy, "mx: "+n.String())
		}
	}
	f.Policy = append(f.Policy, fmt.Sprintf("max_age: %d", int64(age/time.Second)))
}

func policyURL(dom rfc6125.Host) string {
	return "https://mta-sts." + dom.String() + "/.well-known/mta-sts.txt"
}

func (r *report) stsFetch(s *sts.Result) {
	dom := r.snap.Plan.Orig
	url := policyURL(dom)
	var f *Finding
	switch {
	case errors.Is(s.FetchErr, sts.ErrFetchDNS):
		f = r.add(STSNoHost, rfc6125.Host{}, "Give mta-sts."+dom.String()+" an address and serve the policy there, or remove the record.",
			"%s announces an MTA-STS policy, and mta-sts.%s, which should serve it, has no address.", dom, dom)
		f.publish("mta-sts." + dom.String() + ". 3600 IN A 192.0.2.1 ; put the web server's address here")
	case errors.Is(s.FetchErr, sts.ErrFetchWebPKI):
		f = r.add(STSCertificate, rfc6125.Host{}, "Get a certificate of a public CA that names mta-sts."+dom.String()+" (also where that is an alias of another host), and send the whole chain.",
			"The policy host does not prove to be mta-sts.%s, so no sender takes the policy.", dom)
	case errors.Is(s.FetchErr, sts.ErrFetchRedirect):
		f = r.add(STSRedirect, rfc6125.Host{}, "Serve the policy at that address itself; exempt this path from the rule that redirects.",
			"%s redirects elsewhere, and senders must not follow.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchStatus):
		f = r.add(STSStatus, rfc6125.Host{}, "Put the policy file there, readable for the web server.",
			"%s is not answered with status 200 (OK), so no sender takes the policy.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchMediaType):
		f = r.add(STSMediaType, rfc6125.Host{}, "Have the web server send Content-Type: text/plain for this file.",
			"%s is not served as text/plain, so no sender takes the policy.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchSize):
		f = r.add(STSSize, rfc6125.Host{}, "Serve a policy of a few lines there, and nothing else.", "%s is larger than 64 kB, so no sender takes it.", url)
	case errors.Is(s.FetchErr, sts.ErrPolicy):
		r.stsInvalid(s.FetchErr)
		return
	default:
		f = r.add(STSConnect, rfc6125.Host{}, "See that the web server answers on port 443, with TLS 1.2 or later, within a few seconds.",
			"%s can not be fetched, so no sender takes the policy.", url)
	}
	f.saw("%s", explain.Cause(s.FetchErr))
}

// stsInvalid tells of a policy that does not parse.
func (r *report) stsInvalid(err error) {
	f := r.add(STSInvalid, rfc6125.Host{}, "Correct the policy; one that fits the present MX hosts stands below.",
		"The policy of %s is malformed, so it counts for nothing.", r.snap.Plan.Orig)
	var syn *sts.SyntaxError
	switch {
	case !errors.As(err, &syn):
		f.saw("%s", explain.Cause(err))
	case syn.Line > 0:
		f.saw("line %d: %s: %q", syn.Line, syn.Why, syn.Text)
	default:
		f.saw("%s", syn.Why)
	}
	if syn != nil && syn.Cure != "" {
		f.Do = plain.Text("Correct the policy (" + syn.Cure + "); one that fits the present MX hosts stands below.")
	}
	r.serve(f, "testing")
}

func (r *report) stsPolicy(s *sts.Result) {
	dom, pol := r.snap.Plan.Orig, s.Policy
	seen := map[string]bool{}
	for _, x := range pol.Ext {
		if x.Name == "version" || x.Name == "mode" || x.Name == "max_age" {
			if !seen[x.Name] {
				r.add(STSDuplicate, rfc6125.Host{}, "Remove all but the one that is meant, and change the id of the record.",
					"The field %s is in the policy of %s more than once; the first one counts.", x.Name, dom).saw("passed over: %s: %s", x.Name, x.Value)
			}
			seen[x.Name] = true
		}
	}
	if pol.Mode == sts.ModeNone {
		r.serve(r.add(STSNone, rfc6125.Host{}, "Fine while MTA-STS is being taken back; else publish mode testing, and enforce when the reports show no failures.",
			"The policy of %s is of mode none: it protects nothing.", dom).saw("mode: none"), "testing")
		return
	}
	if pol.MaxAge < shortMaxAge {
		r.serve(r.add(STSShort, rfc6125.Host{}, "Set max_age to a month (2592000 seconds) or more.",
			"Senders forget the policy of %s after %s; whoever can keep them from the web host for so long is rid of it.", dom, plain.Span(pol.MaxAge)).
			saw("max_age: %d", int64(pol.MaxAge/time.Second)), pol.Mode.String())
	}
	if pol.Mode == sts.ModeTesting {
		r.stsTesting(s)
	}
	for i := range r.snap.Plan.Hosts {
		h := &r.snap.Plan.Hosts[i]
		if !h.Name.IsValid() {
			continue
		}
		if _, ok := pol.Match(h.Name); !ok {
			r.serve(r.add(STSNotListed, h.Name, "Add the host to the policy, then change the id of the record; the next time do so before it comes into the MX records.",
				"The policy of %s does not list its MX host %s: senders that honour it do not deliver there.", dom, h.Name).
				saw("the policy lists %s", patterns(pol)), pol.Mode.String())
			continue
		}
		r.stsCertificate(h, &r.snap.Hosts[i])
	}
	for _, pat := range pol.MX {
		used := false
		for i := range r.snap.Plan.Hosts {
			used = used || pat.Match(r.snap.Plan.Hosts[i].Name)
		}
		if !used {
			r.serve(r.add(STSUnused, rfc6125.Host{}, "Remove it unless it stands for a host to come: whoever gets hold of such a name may receive the mail.",
				"The policy of %s allows %s, which is none of its MX hosts.", dom, pat).saw("mx: %s", pat), pol.Mode.String())
		}
	}
}

func (r *report) stsTesting(s *sts.Result) {
	dom := r.snap.Plan.Orig
	if at, ok := idDate(s.ID); ok && r.snap.At.Sub(at) > longTesting {
		r.serve(r.add(STSTestingLong, rfc6125.Host{}, "If the TLSRPT reports show no failures, publish mode enforce and the new id.",
			"The policy of %s has been in mode testing since %s, by the id of its record; it protects nothing yet.", dom, at.Format(time.DateOnly)).
			saw("id=%s, mode: testing", s.ID), "enforce")
		return
	}
	r.serve(r.add(STSTesting, rfc6125.Host{}, "When the TLSRPT reports show no failures, publish mode enforce and the new id.",
		"The policy of %s is in mode testing: failures are reported and nothing is refused.", dom).saw("mode: testing"), "enforce")
}

// idDate reads an id that begins with a date, as most do: 20240131 or 20240131120000.
func idDate(id string) (time.Time, bool) {
	if len(id) < 8 {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102", id[:8])
	return t, err == nil && t.Year() >= 2018
}

func patterns(p *sts.Policy) string {
	var out []string
	for _, m := range p.MX {
		out = append(out, m.String())
	}
	return strings.Join(out, ", ")
}

// stsCertificate judges the host's certificate as a sender under the policy does.
func (r *report) stsCertificate(h *engine.Host, v *survey.HostView) {
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event != engine.HandshakeDone || len(a.Peer.Chain) == 0 || r.snap.Roots == nil {
			continue
		}
		leaf := a.Peer.Chain[0]
		if err := r.webpki(a.Peer.Chain, h.Name); err != nil {
			r.add(STSHostCert, h.Name, "Get a certificate of a public CA for the host's name, and send the whole chain.",
				"The certificate of %s does not satisfy the MTA-STS policy of %s, which asks for a valid one of a public CA with the host's name.", h.Name, r.snap.Plan.Orig).
				saw("%s: %s", a.Address, explain.Cause(err)).saw("%s", namesOf(presentedNames(a.Peer.Chain)))
		} else if left := leaf.NotAfter.Sub(r.snap.At); left < soon {
			r.add(STSCertExpiring, h.Name, "Renew it, and find out why that did not happen by itself.",
				"The certificate of %s ends on %s; from then on senders that honour the MTA-STS policy do not deliver.", h.Name, leaf.NotAfter.UTC().Format(time.DateOnly)).saw("%s: ends %s", a.Address, leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		return
	}
}
