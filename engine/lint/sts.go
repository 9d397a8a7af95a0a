package lint

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine"
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
			r.add(STSPolicyExpires, rfc6125.Host{}, "Renew it, and look why that did not happen by itself.",
				"The certificate of the policy host mta-sts.%s ends on %s.", p.Orig, end.UTC().Format(time.DateOnly)).saw("ends %s", end.UTC().Format(time.RFC3339))
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
		f := r.add(STSRecordBad, rfc6125.Host{}, "Publish exactly one record of this form; change the id whenever the policy changes.",
			"The MTA-STS record of %s does not count: %s.", dom, bad.Why)
		for _, txt := range texts(s) {
			f.saw("_mta-sts.%s TXT %q", dom, txt)
		}
		f.publish(recordLine(dom, r.snap.At))
	case !errors.Is(s.TXTErr, sts.ErrNoRecord):
		r.add(STSRecordFailed, rfc6125.Host{}, "Repair the zone: the question must be answered.",
			"Whether %s has an MTA-STS record can not be found out, so a sender that has no policy yet goes without.", dom).saw("%v", s.TXTErr)
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

// policyLines is a policy that fits the domain's present hosts.
func (r *report) policyLines(mode string) []string {
	lines := []string{"version: STSv1", "mode: " + mode}
	for i := range r.snap.Plan.Hosts {
		if n := r.snap.Plan.Hosts[i].Name; n.IsValid() {
			lines = append(lines, "mx: "+n.String())
		}
	}
	return append(lines, "max_age: 2592000")
}

func (r *report) stsFetch(s *sts.Result) {
	dom := r.snap.Plan.Orig
	url := "https://mta-sts." + dom.String() + "/.well-known/mta-sts.txt"
	var f *Finding
	switch {
	case errors.Is(s.FetchErr, sts.ErrFetchDNS):
		f = r.add(STSNoHost, rfc6125.Host{}, "Give mta-sts."+dom.String()+" an address and serve the policy there, or remove the record.",
			"%s announces an MTA-STS policy, and mta-sts.%s, which should serve it, has no address.", dom, dom)
		f.publish("mta-sts." + dom.String() + ". 3600 IN A 192.0.2.1 ; its address")
	case errors.Is(s.FetchErr, sts.ErrFetchWebPKI):
		f = r.add(STSCertificate, rfc6125.Host{}, "Get a certificate of a public CA for mta-sts."+dom.String()+" (wherever an alias leads) and send the whole chain.",
			"The policy host does not prove to be mta-sts.%s, so no sender takes the policy.", dom)
	case errors.Is(s.FetchErr, sts.ErrFetchRedirect):
		f = r.add(STSRedirect, rfc6125.Host{}, "Serve the policy at that address itself; leave this path out of rules that redirect.",
			"%s redirects, and senders must not follow.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchStatus):
		f = r.add(STSStatus, rfc6125.Host{}, "Put the file there, readable for the web server.",
			"%s is not answered with status 200.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchMediaType):
		f = r.add(STSMediaType, rfc6125.Host{}, "Have the web server send Content-Type: text/plain for this file.",
			"%s is not served as text/plain.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchSize):
		f = r.add(STSSize, rfc6125.Host{}, "Serve a policy of a few lines.", "%s is larger than 64 kB.", url)
	case errors.Is(s.FetchErr, sts.ErrPolicy):
		f = r.add(STSInvalid, rfc6125.Host{}, "Correct the line.", "The policy of %s is malformed, so it counts for nothing.", dom)
		var syn *sts.SyntaxError
		if errors.As(s.FetchErr, &syn) {
			f.saw("line %d: %s: %q", syn.Line, syn.Why, syn.Text)
			if syn.Cure != "" {
				f.Do = safe(syn.Cure)
			}
		}
		f.publish(r.policyLines("testing")...)
	default:
		f = r.add(STSConnect, rfc6125.Host{}, "See that the web server answers on port 443, with TLS 1.2 or later, within a few seconds.",
			"%s can not be fetched.", url)
	}
	f.saw("%v", s.FetchErr)
}

func (r *report) stsPolicy(s *sts.Result) {
	dom, pol := r.snap.Plan.Orig, s.Policy
	seen := map[string]bool{}
	for _, x := range pol.Ext {
		if x.Name == "version" || x.Name == "mode" || x.Name == "max_age" {
			if !seen[x.Name] {
				r.add(STSDuplicate, rfc6125.Host{}, "Remove all but the one that is meant.",
					"The field %s is in the policy of %s more than once; the first one counts.", x.Name, dom).saw("%s: %s", x.Name, x.Value)
			}
			seen[x.Name] = true
		}
	}
	if pol.Mode == sts.ModeNone {
		r.add(STSNone, rfc6125.Host{}, "Fine while MTA-STS is being taken back; else publish mode testing and then enforce.",
			"The policy of %s is of mode none: it protects nothing.", dom).saw("mode: none").publish(r.policyLines("testing")...)
		return
	}
	if pol.MaxAge < shortMaxAge {
		r.add(STSShort, rfc6125.Host{}, "Set max_age to a month (2592000) or more.",
			"Senders forget the policy of %s after %s; whoever can hold up the web host for so long is rid of it.", dom, pol.MaxAge).
			saw("max_age: %d", int64(pol.MaxAge/time.Second)).publish(r.policyLines(pol.Mode.String())...)
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
			r.add(STSNotListed, h.Name, "Add the host to the policy, then change the id of the record; add it before you add it to the MX records.",
				"The policy of %s does not list its MX host %s: senders that honour it do not deliver there.", dom, h.Name).
				saw("policy: mx: %s", patterns(pol)).publish(r.policyLines(pol.Mode.String())...)
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
			r.add(STSUnused, rfc6125.Host{}, "Remove it unless it stands for a host to come: whoever gets hold of such a name may receive the mail.",
				"The policy of %s allows %s, which is none of its MX hosts.", dom, pat).saw("mx: %s", pat)
		}
	}
}

func (r *report) stsTesting(s *sts.Result) {
	dom := r.snap.Plan.Orig
	if at, ok := idDate(s.ID); ok && r.snap.At.Sub(at) > longTesting {
		r.add(STSTestingLong, rfc6125.Host{}, "If the reports show no failures, publish mode enforce and change the id.",
			"The policy of %s has been in mode testing since %s, by the id of its record; it protects nothing yet.", dom, at.Format(time.DateOnly)).
			saw("id=%s, mode: testing", s.ID).publish(append([]string{recordLine(dom, r.snap.At)}, r.policyLines("enforce")...)...)
		return
	}
	r.add(STSTesting, rfc6125.Host{}, "When the reports show no failures, publish mode enforce and change the id.",
		"The policy of %s is in mode testing: failures are reported and nothing is refused.", dom).saw("mode: testing").publish(r.policyLines("enforce")...)
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
				"The certificate of %s does not satisfy the policy of %s.", h.Name, r.snap.Plan.Orig).
				saw("%s: %v", a.Address, err).saw("presented: %v", presentedNames(a.Peer.Chain))
		} else if left := leaf.NotAfter.Sub(r.snap.At); left < soon {
			r.add(STSCertExpiring, h.Name, "Renew it, and look why that did not happen by itself.",
				"The certificate of %s ends on %s.", h.Name, leaf.NotAfter.UTC().Format(time.DateOnly)).saw("%s: ends %s", a.Address, leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		return
	}
}
