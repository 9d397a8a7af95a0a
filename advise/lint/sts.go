package lint

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Limits of what is advised.
const (
	// shortMaxAge: RFC 8461 section 3.2 advises "weeks or greater".
	shortMaxAge = 7 * 24 * time.Hour
	// longTesting is how old an id that is a date may be while the mode is testing.
	longTesting = 60 * 24 * time.Hour
	// soon is how near the end of a certificate is reported: automatic renewal, which begins a
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
	r.unannounced()
	r.misplaced()
	r.deadPolicyHost()
	if s.FetchErr != nil && s.TXTErr == nil {
		r.stsFetch(s)
	}
	if len(s.Chain) > 0 && s.FetchErr == nil {
		if end := s.Chain[0].NotAfter; end.Sub(r.snap.At) < soon {
			r.add(STSPolicyExpires, rfc6125.Host{}, "Renew that certificate, and find out why it was not renewed automatically.",
				"The certificate of the policy host mta-sts.%s ends on %s; from then on no sender takes the policy.", p.Orig, end.UTC().Format(time.DateOnly)).saw("ends %s", end.UTC().Format(time.RFC3339))
		}
	}
	if s.Policy != nil && (s.FetchErr == nil || s.Cached) {
		r.stsPolicy(s)
	}
}

func (r *report) stsRecord(s *sts.Result) {
	dom := r.snap.Plan.Orig
	switch {
	case s.TXTErr == nil:
	case r.recordThere():
		why := "no record is read"
		if l := sts.LintRecord(survey.Texts(r.snap.STSRecord)); len(l) > 0 {
			why = l[0].Why
		}
		f := r.add(STSRecordBad, rfc6125.Host{}, "Publish exactly one record, as below. Change its id whenever the policy changes.",
			"The MTA-STS record of %s is there and does not count, so no sender looks for the policy: %s.", dom, why)
		for _, txt := range survey.Texts(r.snap.STSRecord) {
			if sts.MeansRecord(txt) {
				f.saw("_mta-sts.%s TXT %s", dom, strconv.QuoteToASCII(txt))
			}
		}
		r.announce(f)
	case !errors.Is(s.TXTErr, sts.ErrNoRecord):
		r.add(STSRecordFailed, rfc6125.Host{}, "Repair the zone or its name servers: the question for the TXT records of _mta-sts."+dom.String()+" must be answered.",
			"Whether %s has an MTA-STS record is not known, so a sender that has no policy yet goes without.", dom).saw("%s", explain.Cause(s.TXTErr))
	}
}

// recordThere reports whether a TXT record that is meant to be MTA-STS is at its name.
func (r *report) recordThere() bool {
	return slices.ContainsFunc(survey.Texts(r.snap.STSRecord), sts.MeansRecord)
}

// announce adds the steps by which a policy that is served comes to count. The record alone
// would bring a policy into force that may stop mail, so it comes with the file, and what
// the hosts lack comes first.
func (r *report) announce(f *Finding) {
	mode := r.keepMode()
	s, ok := r.serveStep(mode)
	if !ok {
		return
	}
	if mode == sts.ModeEnforce {
		if first := r.misfitSteps(); len(first) > 0 {
			f.Do = plain.Text("Take the steps in their order: the policy is in mode enforce, and would stop mail if it took effect now.")
			f.steps(first...)
		}
	}
	if r.sameAsServed(s) {
		s = Step{Kind: StepPublish, Text: "Publish the record; the policy that is served may stay as it is.", Owner: s.Owner, Type: s.Type, Records: s.Records, Instead: s.Instead}
	}
	f.steps(s)
}

// sameAsServed reports whether a step serves what is served already.
func (r *report) sameAsServed(s Step) bool {
	if r.snap.Served == nil || r.snap.Served.Policy.Mode == 0 {
		return false
	}
	p, err := sts.ParsePolicy([]byte(strings.Join(s.File, "\n")))
	return err == nil && p.String() == r.snap.Served.Policy.String()
}

// unannounced reports a policy that is served and that no record announces.
func (r *report) unannounced() {
	served := r.snap.Served
	c := r.snap.STSRecord.Answer
	if served == nil || r.recordThere() || r.snap.Plan.STS.TXTErr == nil || len(c.Chain) > 0 && c.Chain[0].Type == dnssec.TypeCNAME && c.Kind == dnssec.NXDomain {
		return // or reported: by what is there, or by the alias that leads nowhere
	}
	if slices.ContainsFunc(r.snap.Elsewhere, func(m survey.Misplaced) bool { return m.Standard == "MTA-STS" }) {
		return
	}
	pol, _ := r.policy()
	if pol == nil || pol.Mode == 0 && served.Policy.Mode == 0 && len(pol.MX) == 0 {
		return // what is served there is something else
	}
	dom := r.snap.Plan.Orig
	f := r.add(STSUnannounced, rfc6125.Host{}, "Publish the record.",
		"%s serves an MTA-STS policy (mode %s) and has no record at _mta-sts.%s, so no sender looks for it.", dom, pol.Mode, dom).
		saw("%s: mode %s", policyURL(dom), pol.Mode)
	if o := otherText(survey.Texts(r.snap.STSRecord)); o != "" {
		f.saw("_mta-sts.%s TXT: %s", dom, o)
	} else {
		f.saw("_mta-sts.%s TXT: none", dom)
	}
	r.announce(f)
}

// otherText describes TXT records that are none of MTA-STS.
func otherText(texts []string) string {
	for _, t := range texts {
		if o := sts.OtherRecord(t); o != "" {
			return strconv.QuoteToASCII(t) + ", a record of " + o + ", which does not belong to this name"
		}
	}
	if len(texts) > 0 {
		return strconv.QuoteToASCII(texts[0])
	}
	return ""
}

// misplaced reports records at names where senders do not look.
func (r *report) misplaced() {
	dom := r.snap.Plan.Orig
	for _, m := range r.snap.Elsewhere {
		name := strings.TrimSuffix(m.Name.FQDN(), ".")
		if m.Standard == "TLSRPT" {
			r.add(TLSRPTMisplaced, rfc6125.Host{}, "Publish the record at _smtp._tls."+dom.String()+", and remove the one at "+name+".",
				"The TLSRPT record of %s is at %s, where no sender looks for it.", dom, name).
				saw("%s TXT %s", name, strconv.QuoteToASCII(m.Text)).steps(r.reportsStep())
			continue
		}
		r.announce(r.add(STSMisplaced, rfc6125.Host{}, "Publish the record at _mta-sts."+dom.String()+", and remove the one at "+name+".",
			"The MTA-STS record of %s is at %s, where no sender looks for it.", dom, name).
			saw("%s TXT %s", name, strconv.QuoteToASCII(m.Text)))
	}
}

// month is the max_age of a new policy.
const month = 30 * 24 * time.Hour

// serve adds the policy that fits the domain's hosts, in the mode given, with the record that
// announces it.
func (r *report) serve(f *Finding, mode sts.Mode) *Finding {
	if s, ok := r.serveStep(mode); ok {
		return f.steps(s)
	}
	if _, bad := r.listed(); len(bad) > 0 {
		f.Do = plain.Text(f.Do + " A policy cannot list " + strings.Join(bad, ", ") + " (letters, digits and hyphens alone): rename the host first.")
	}
	return f
}

func policyURL(dom rfc6125.Host) string {
	return "https://mta-sts." + dom.String() + "/.well-known/mta-sts.txt"
}

func (r *report) stsFetch(s *sts.Result) {
	dom := r.snap.Plan.Orig
	url := policyURL(dom)
	var f *Finding
	fe := new(sts.FetchError)
	errors.As(s.FetchErr, &fe)
	switch {
	case errors.Is(s.FetchErr, sts.ErrFetchDNS) && r.policyHostAlias() != "":
		return // the alias that leads nowhere has been reported
	case errors.Is(s.FetchErr, sts.ErrFetchDNS):
		f = r.add(STSNoHost, rfc6125.Host{}, "Give mta-sts."+dom.String()+" the A and AAAA records of a web server that serves the policy, or remove the record _mta-sts."+dom.String()+".",
			"%s announces an MTA-STS policy, and mta-sts.%s, which should serve it, has no address.", dom, dom)
	case errors.Is(s.FetchErr, sts.ErrFetchAddress):
		f = r.add(STSAddress, rfc6125.Host{}, "Give mta-sts."+dom.String()+" an address that the whole Internet reaches.",
			"The address of the policy host mta-sts.%s is not a public one, so no sender fetches the policy.", dom)
	case errors.Is(s.FetchErr, sts.ErrFetchWebPKI):
		f = r.certificateOfPolicyHost(s)
	case errors.Is(s.FetchErr, sts.ErrFetchRedirect):
		f = r.add(STSRedirect, rfc6125.Host{}, "Serve the policy at that address itself, with status 200; exempt this path from the rule that redirects.",
			"%s redirects%s, and senders must not follow.", url, location(fe))
	case errors.Is(s.FetchErr, sts.ErrFetchStatus):
		f = r.add(STSStatus, rfc6125.Host{}, "Put the policy file at "+url+", readable for the web server.",
			"%s is answered with status %d, not 200 (OK), so no sender takes the policy.", url, fe.Status)
		switch {
		case fe.Status == http.StatusNotFound || fe.Status == http.StatusGone:
			r.serve(f, sts.ModeTesting)
		case fe.Status == http.StatusNotModified:
			f.Do = plain.Text("Answer with status 200 and the file. The request had no condition (If-None-Match, If-Modified-Since), so 304 (not modified) is wrong: check the cache or proxy in front of the web server.")
		case fe.Status == http.StatusUnauthorized || fe.Status == http.StatusForbidden:
			f.Do = plain.Text("Serve the file without a password, and to all addresses: senders have no password.")
		case fe.Status >= http.StatusInternalServerError:
			f.Do = plain.Text("Look into the log of the web server: it fails by its own fault.")
		}
	case fe.Note == sts.NoteEncoding:
		f = r.add(STSEncoding, rfc6125.Host{}, "Switch compression off for this file, or make it depend on the Accept-Encoding of the request.",
			"%s is served compressed although the request did not ask for that, so senders cannot read the policy.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchMediaType):
		f = r.add(STSMediaType, rfc6125.Host{}, "Have the web server send Content-Type: text/plain for this file.",
			"%s is not served as text/plain, so no sender takes the policy.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchSize):
		f = r.serve(r.add(STSSize, rfc6125.Host{}, "Serve a policy of a few lines there, and nothing else.", "%s is larger than 64 KiB, so no sender takes it.", url), sts.ModeTesting)
	case errors.Is(s.FetchErr, sts.ErrPolicy):
		r.stsInvalid(s.FetchErr)
		return
	case fe.Note == sts.NoteHeader:
		f = r.add(STSHTTP, rfc6125.Host{}, "Make the header small: look for cookies and security headers that the web server adds to every answer.",
			"The HTTP header of %s is larger than senders read, so none takes the policy.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchHTTP):
		f = r.add(STSHTTP, rfc6125.Host{}, "Look into the log of the web server: it has to answer a GET over HTTP/1.1 with status 200 and the whole file.",
			"The web server answers the request for %s with something that is not a whole HTTP response.", url)
	case errors.Is(s.FetchErr, sts.ErrFetchTLS):
		do := "Offer TLS 1.2 or later there, with common cipher suites."
		if fe.Note == sts.NoteAlert {
			do = "Set the web server up for the name mta-sts." + dom.String() + " (its own virtual host with a certificate), with TLS 1.2 or later and common cipher suites: the alert says that it refuses."
		}
		f = r.add(STSTLS, rfc6125.Host{}, do, "The TLS handshake with mta-sts.%s fails, so no sender fetches the policy.", dom)
	case errors.Is(s.FetchErr, sts.ErrFetchTimeout):
		f = r.add(STSConnect, rfc6125.Host{}, "See that the web server answers within a few seconds, and that no firewall drops packets to port 443.",
			"mta-sts.%s does not answer in time, so no sender fetches the policy.", dom)
	case errors.Is(s.FetchErr, sts.ErrFetchTCP):
		f = r.add(STSConnect, rfc6125.Host{}, "See that the web server runs and listens on port 443, and that no firewall blocks the port.",
			"The web server mta-sts.%s accepts no connection on port 443, so no sender fetches the policy.", dom)
	default:
		f = r.add(STSConnect, rfc6125.Host{}, "See that the web server answers on port 443, with TLS 1.2 or later, within a few seconds.",
			"%s cannot be fetched, so no sender takes the policy.", url)
	}
	f.saw("%s", explain.Cause(s.FetchErr))
}

// location is where a redirect leads.
func location(fe *sts.FetchError) string {
	if fe.Location == "" {
		return ""
	}
	return " to " + strings.Trim(strconv.QuoteToASCII(fe.Location), `"`)
}

// certificateOfPolicyHost reports why the policy host does not prove its name.
func (r *report) certificateOfPolicyHost(s *sts.Result) *Finding {
	host := "mta-sts." + r.snap.Plan.Orig.String()
	text, do := "is not one that senders trust", "Get a certificate of a public CA that names "+host+" (also where that is an alias of another host), and send the whole chain."
	switch err := s.FetchErr; {
	case errors.Is(err, pkix.ErrExpired):
		text, do = "sends an issuing certificate that has expired", "Let the web server send the present intermediate certificates of its CA: its own certificate has not expired."
		if len(s.Chain) > 0 && s.Chain[0].NotAfter.Before(r.snap.At) {
			text, do = "expired on "+s.Chain[0].NotAfter.UTC().Format(time.DateOnly), "Renew that certificate, and find out why it was not renewed automatically."
		}
	case errors.Is(err, pkix.ErrNotYetValid):
		text, do = "is not valid yet", "Use a certificate that is valid already, or wait until it is."
	case errors.Is(err, pkix.ErrName):
		text, do = "is for another name", "Get a certificate that names "+host+" (also where that is an alias of another host), and have the web server show it for that name."
	}
	f := r.add(STSCertificate, rfc6125.Host{}, do, "The certificate of the policy host %s %s, so no sender takes the policy.", host, text)
	if len(s.Chain) > 0 {
		f.saw("%s", namesOf(presentedNames(s.Chain)))
		f.saw("valid from %s to %s", s.Chain[0].NotBefore.UTC().Format(time.DateOnly), s.Chain[0].NotAfter.UTC().Format(time.DateOnly))
	}
	return f
}

// stsInvalid reports a policy that does not parse.
func (r *report) stsInvalid(err error) {
	dom := r.snap.Plan.Orig
	var found []sts.Finding
	if r.snap.Served != nil {
		found = sts.Lint([]byte(r.snap.Served.Policy.Text))
	}
	var syn *sts.SyntaxError
	if len(found) == 0 && errors.As(err, &syn) {
		found = []sts.Finding{{Line: syn.Line, Text: syn.Text, Why: syn.Why, Cure: syn.Cure, Fatal: true}}
	}
	first, more := "it does not parse", 0
	for i, x := range found {
		switch {
		case !x.Fatal:
		case i == 0 && x.Line > 0:
			first = fmt.Sprintf("line %d: %s", x.Line, x.Why)
		case i == 0:
			first = x.Why
		default:
			more++
		}
	}
	if more > 0 {
		first += fmt.Sprintf(" (and %s more)", plain.Count(more, "fault"))
	}
	f := r.add(STSInvalid, rfc6125.Host{}, "Correct the policy; one that fits the MX hosts is below.",
		"The MTA-STS policy of %s is malformed, so senders do not take it: %s.", dom, first)
	for _, x := range found {
		if !x.Fatal {
			continue
		}
		line := x.Why
		if x.Line > 0 {
			line = fmt.Sprintf("line %d: %s", x.Line, x.Why)
		}
		if x.Text != "" {
			line += ": " + strconv.QuoteToASCII(x.Text)
		}
		f.saw("%s", line)
	}
	if len(f.Evidence) == 0 {
		f.saw("%s", explain.Cause(err))
	}
	if len(found) > 0 && found[0].Cure != "" {
		f.Do = plain.Text("Correct the policy (" + found[0].Cure + "); one that fits the MX hosts is below.")
	}
	r.announce(f)
	if len(f.Steps) == 0 {
		f.Do = strings.Replace(f.Do, "; one that fits the MX hosts is below.", ".", 1)
	}
}

func (r *report) stsPolicy(s *sts.Result) {
	dom, pol := r.snap.Plan.Orig, s.Policy
	seen := map[string]bool{}
	for _, x := range pol.Ext {
		if x.Name == "version" || x.Name == "mode" || x.Name == "max_age" {
			if !seen[x.Name] {
				f := r.add(STSDuplicate, rfc6125.Host{}, "Remove all but the right one, and change the id of the record.",
					"The field %s is in the policy of %s more than once; the first one counts.", x.Name, dom).saw("passed over: %s: %s", x.Name, x.Value)
				if pol.Mode != sts.ModeNone {
					r.serve(f, pol.Mode)
				}
			}
			seen[x.Name] = true
		}
	}
	if pol.Mode == sts.ModeNone {
		r.serve(r.add(STSNone, rfc6125.Host{}, "Leave it if MTA-STS is being switched off; else publish mode testing, and mode enforce when the reports show no failures.",
			"The policy of %s is in mode none: it protects nothing.", dom).saw("mode: none"), sts.ModeTesting)
		return
	}
	if pol.MaxAge < shortMaxAge {
		r.serve(r.add(STSShort, rfc6125.Host{}, "Set max_age to a month (2592000 seconds) or more.",
			"Senders forget the policy of %s after %s; an attacker who can block the web server for that long can bypass it.", dom, plain.Span(pol.MaxAge)).
			saw("max_age: %d", int64(pol.MaxAge/time.Second)), pol.Mode)
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
			do := "Add the host to the policy, then change the id of the record; the next time do so before it comes into the MX records."
			if r.snap.Plan.MX.Row == "M5" {
				do = fmt.Sprintf("If a host that the policy lists takes the mail, publish an MX record that names it. Else list %s in the policy, then change the id of the record.", h.Name)
			}
			r.serve(r.add(STSNotListed, h.Name, do,
				"The policy of %s does not list its MX host %s: senders that honour it do not deliver there.", dom, h.Name).
				saw("the policy lists %s", patterns(pol)).stars(pol, h.Name), pol.Mode)
			continue
		}
		r.stsCertificate(h, &r.snap.Hosts[i])
	}
	for _, pat := range pol.MX {
		used := false
		for i := range r.snap.Plan.Hosts {
			used = used || pat.Match(r.snap.Plan.Hosts[i].Name)
		}
		if !used && r.snap.Plan.MX.Row != "M5" {
			r.serve(r.add(STSUnused, rfc6125.Host{}, "Remove the line `mx: "+pat.String()+"` unless it is for a future host: an attacker who gets such a name may receive the mail.",
				"The policy of %s allows %s, which is none of its MX hosts.", dom, pat).saw("mx: %s", pat), pol.Mode)
		}
	}
}

func (r *report) stsTesting(s *sts.Result) {
	dom := r.snap.Plan.Orig
	const do = "When the TLSRPT reports show no failures, publish mode enforce and a new id."
	if at, ok := idDate(s.ID); ok && r.snap.At.Sub(at) > longTesting {
		r.add(STSTestingLong, rfc6125.Host{}, do,
			"The policy of %s has been in mode testing since %s, by the id of its record; it protects nothing yet.", dom, at.Format(time.DateOnly)).
			saw("id=%s, mode: testing", s.ID).steps(r.enforceSteps()...)
		return
	}
	r.add(STSTesting, rfc6125.Host{}, do,
		"The policy of %s is in mode testing: failures are reported and nothing is refused.", dom).saw("mode: testing").steps(r.enforceSteps()...)
}

// idDate reads an id that begins with a date, as most do: 20240131 or 20240131120000.
func idDate(id string) (time.Time, bool) {
	if len(id) < 8 {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102", id[:8])
	return t, err == nil && t.Year() >= 2018
}

// stars explains why a wildcard of the policy does not cover a host below it, or above.
func (f *Finding) stars(p *sts.Policy, h rfc6125.Host) *Finding {
	for _, m := range p.MX {
		base, star := strings.CutPrefix(m.String(), "*.")
		switch {
		case !star:
		case h.String() == base:
			f.saw("mx: %s: the * matches exactly one label, so it covers names such as mx.%s and not %s itself", m, base, h)
		case strings.HasSuffix(h.String(), "."+base):
			f.saw("mx: %s: the * matches exactly one label, so it covers names such as mx.%s and not %s", m, base, h)
		}
	}
	return f
}

// deadPolicyHost reports addresses of the policy host that do not answer.
func (r *report) deadPolicyHost() {
	for _, d := range r.snap.DeadPolicyHost {
		typ := "AAAA"
		if d.Address.Addr().Is4() {
			typ = "A"
		}
		r.add(STSDeadAddress, rfc6125.Host{}, "Have the web server listen there, or remove the "+typ+" record with that address.",
			"The policy host mta-sts.%s has the address %s, which does not answer from here; some senders try it first and wait, or give up.", r.snap.Plan.Orig, d.Address.Addr()).
			saw("%s: %v", d.Address, d.Err)
	}
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
	if r.stsOfOneKey(h, v) {
		return
	}
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event != engine.HandshakeDone || len(a.Peer.Chain) == 0 || r.snap.Roots == nil {
			continue
		}
		leaf := a.Peer.Chain[0]
		if err := r.webpki(a.Peer.Chain, h.Name); err != nil {
			do := "Get a certificate of a public CA that names " + h.Name.String() + ", and send the whole chain."
			switch {
			case !errors.Is(err, pkix.ErrExpired):
			case leaf.NotAfter.Before(r.snap.At):
				do = renew(true, h.Name.String())
			default:
				do = renew(false, h.Name.String())
			}
			r.add(STSHostCert, h.Name, do,
				"The certificate of %s does not satisfy the MTA-STS policy of %s: %s.", h.Name, r.snap.Plan.Orig, r.certificateFault(a.Peer.Chain, h.Name)).
				saw("%s: %s", a.Address, explain.Cause(err)).saw("%s", namesOf(presentedNames(a.Peer.Chain)))
		} else if left := leaf.NotAfter.Sub(r.snap.At); left < soon {
			r.add(STSCertExpiring, h.Name, renew(true, h.Name.String()),
				"The certificate of %s ends on %s; from then on senders that honour the MTA-STS policy do not deliver.", h.Name, leaf.NotAfter.UTC().Format(time.DateOnly)).saw("%s: ends %s", a.Address, leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		return
	}
}
