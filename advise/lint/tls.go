package lint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// webpki judges a chain and the host's name against the WebPKI anchors.
func (r *report) webpki(chain []*x509.Certificate, name rfc6125.Host) error {
	_, err := pkix.VerifyServer(pkix.Request{Chain: chain, Roots: r.snap.Roots, At: r.snap.At}, []rfc6125.Reference{rfc6125.NewReference(name)})
	return err
}

// tls judges STARTTLS and, where no policy looks at it, the certificate.
func (r *report) tls() {
	for i := range r.snap.Plan.Hosts {
		h := &r.snap.Plan.Hosts[i]
		for _, a := range r.snap.Hosts[i].Probe.Addresses {
			if a.Peer.Event == engine.NoConnection {
				continue
			}
			if a.Peer.OwnTLS != nil {
				r.ownTLS(h, a)
			}
			if a.Peer.OwnTLS == nil || a.Peer.Handshake == engine.HandshakeWider {
				r.session(h, a.Peer)
			}
			break // the addresses are held against each other elsewhere
		}
	}
}

func (r *report) session(h *engine.Host, p engine.Peer) {
	switch {
	case p.Event == engine.NoSTARTTLS:
		r.add(TLSMissing, h.Name, "Switch STARTTLS on at "+h.String()+" (Postfix: smtpd_tls_security_level = may); if it is on, look for a firewall that changes SMTP.",
			"%s does not offer STARTTLS: mail to it is readable on its way, or is not delivered where a policy demands TLS.", h.String()).saw("%s: EHLO without STARTTLS", p.Address)
	case p.Injected:
		r.add(TLSInjected, h.Name, "Update the mail server, or the proxy or firewall in front of it.",
			"%s sends unencrypted data after its reply to STARTTLS, which an attacker on the path may have put there; careful senders end the connection.", h.String()).saw("%s: %s", p.Address, p.Detail)
	case p.Event == engine.STARTTLSRefused:
		r.add(TLSRefused, h.Name, "Look into the log of "+h.String()+"; often its key or certificate file cannot be read.",
			"%s offers STARTTLS and then refuses it: %s.", h.String(), p.Detail).saw("%s: %s", p.Address, p.Detail)
	case p.Event == engine.HandshakeFailed:
		fault, cure := explain.HandshakeFault(h, &p)
		r.add(TLSFailed, h.Name, cure, "%s.", upper(fault)).saw("%s: %s", p.Address, p.Detail)
	case p.Event == engine.HandshakeDone:
		if p.Version != 0 && p.Version < tls.VersionTLS13 {
			r.add(TLSOld, h.Name, "Update the TLS library of "+h.String()+", or let its settings offer TLS 1.3 (Postfix: smtpd_tls_protocols = >=TLSv1.2).", "%s supports no newer version than %s.", h.String(), p.TLS).saw("%s: %s", p.Address, p.TLS)
		}
		if len(p.Chain) > 0 && h.Name.IsValid() {
			r.certificate(h, p)
		}
	}
}

// certificate gives advice where neither standard looks at the certificate; where one
// does, the findings about it say more.
func (r *report) certificate(h *engine.Host, p engine.Peer) {
	names := rfc6125.PresentedBy(p.Chain[0])
	refs := []rfc6125.Reference{rfc6125.NewReference(h.Name)}
	named := names.Match(refs, rfc6125.Options{}).OK
	if !named && names.Match(refs, rfc6125.Options{CNID: true}).OK {
		r.add(CertCNOnly, h.Name, "Get a certificate that has "+h.Name.String()+" as subject alternative name (SAN), as every public CA issues them.",
			"The certificate of %s has its name only as Common Name, which MTA-STS ignores.", h.Name).saw("%s", namesOf(names.Names()))
		named = true // in the wrong place, which has been said
	}
	if h.Requirement.Has(engine.DANE) || h.Requirement.Has(engine.HalfDANE) || h.Requirement.Has(engine.STS) || h.Report.Has(engine.STS) {
		return
	}
	if !named {
		r.add(CertName, h.Name, "No change is needed: no policy in force here asks for the name. DANE would authenticate even this certificate; MTA-STS asks for one with the host's name.",
			"The certificate of %s names other hosts. No policy requires its own name there.", h.Name).saw("%s", namesOf(names.Names())).steps(r.tlsaAlone(h)...)
	}
	if r.snap.Roots == nil {
		return
	}
	err := r.webpki(p.Chain, h.Name)
	switch {
	case errors.Is(err, pkix.ErrExpired):
		r.add(CertExpired, h.Name, renew(p.Chain[0].NotAfter.Before(r.snap.At), h.Name.String()), "The certificate of %s is not valid: %s.", h.Name, r.certificateFault(p.Chain, h.Name)).saw("%s", explain.Cause(err))
	case err != nil && !errors.Is(err, pkix.ErrName):
		r.add(CertUntrusted, h.Name, "No change is needed: no policy in force here asks for a public CA. DANE would authenticate even this certificate; MTA-STS asks for one of a public CA.",
			"The certificate of %s does not come from a public CA: %s.", h.Name, r.certificateFault(p.Chain, h.Name)).saw("%s", explain.Cause(err))
	}
}

// together judges what only both standards show.
func (r *report) together() {
	p := r.snap.Plan
	if !p.Orig.IsValid() || len(p.Hosts) == 0 {
		return
	}
	usable, unsigned, usingSTS := 0, 0, p.STS.Policy != nil && p.STS.Policy.Mode != sts.ModeNone
	for i := range p.Hosts {
		if p.Hosts[i].DANE.State == dane.Usable {
			usable++
		}
		unsigned += len(r.snap.Hosts[i].Unsigned)
		r.daneOnlyCertificate(&p.Hosts[i], &r.snap.Hosts[i])
	}
	none := p.STS.TXTErr != nil && errors.Is(p.STS.TXTErr, sts.ErrNoRecord) && !r.recordThere()
	elsewhere := r.snap.Served != nil || slices.ContainsFunc(r.snap.Elsewhere, func(m survey.Misplaced) bool { return m.Standard == "MTA-STS" })
	_, bad := r.listed()
	switch {
	case p.MX.Row == "M5" && p.Hosts[0].DANE.Address == dane.AddressNone:
		// No host takes the mail yet.
	case elsewhere:
		// What is there and does not count has been reported.
	case usable == 0 && unsigned == 0 && !usingSTS && none && !anyTLSA(p):
		f := r.add(Nothing, rfc6125.Host{}, "Take the steps below in this order. Each is safe on its own; MTA-STS needs a web server with a certificate of a public CA for mta-sts."+p.Orig.String()+", DANE needs signed zones.",
			"%s publishes neither DANE nor MTA-STS: mail to it is encrypted at best, and a forged host goes unnoticed.", p.Orig)
		f.saw("no TLSA records at the MX hosts").saw("no MTA-STS record").steps(r.path()...)
		if len(bad) > 0 {
			f.Do = plain.Text("A policy cannot list " + strings.Join(bad, ", ") + " (names of letters, digits and hyphens alone): rename the host before you publish an MTA-STS policy.")
		}
	case usable > 0 && !usingSTS && none:
		f := r.add(DANEOnly, rfc6125.Host{}, "Publish an MTA-STS policy as well, since some large senders check nothing else: the file and the record below, on a web server with a certificate of a public CA for mta-sts."+p.Orig.String()+".",
			"%s publishes DANE and no MTA-STS policy; senders that do not check DNSSEC authenticate no host.", p.Orig).saw("no MTA-STS record")
		f.steps(r.stsPath()...)
		if len(bad) > 0 {
			f.Do = plain.Text("A policy cannot list " + strings.Join(bad, ", ") + " (names of letters, digits and hyphens alone): rename the host before you publish an MTA-STS policy.")
		}
	}
}

// tlsaAlone is the step that has a host in a signed zone authenticated by DANE.
func (r *report) tlsaAlone(h *engine.Host) []Step {
	for i := range r.snap.Plan.Hosts {
		if &r.snap.Plan.Hosts[i] == h && h.DANE.State == dane.None {
			if s, ok := r.tlsaStep(h, &r.snap.Hosts[i]); ok {
				return []Step{s}
			}
		}
	}
	return nil
}

func anyTLSA(p *engine.Plan) bool {
	for i := range p.Hosts {
		if s := p.Hosts[i].DANE.State; s == dane.Unusable || s == dane.Failed {
			return true
		}
	}
	return false
}

// daneOnlyCertificate reports a certificate that DANE takes and MTA-STS refuses, which is
// hidden from a sender that does both.
func (r *report) daneOnlyCertificate(h *engine.Host, v *survey.HostView) {
	pol := r.snap.Plan.STS.Policy
	if pol == nil || pol.Mode == sts.ModeNone || h.DANE.State != dane.Usable || r.snap.Roots == nil {
		return
	}
	if _, listed := pol.Match(h.Name); !listed {
		return
	}
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event != engine.HandshakeDone || len(a.Peer.Chain) == 0 || a.Decision.Outcome != engine.Authenticated {
			continue
		}
		if err := r.webpki(a.Peer.Chain, h.Name); err != nil {
			r.add(DANEOnlyCert, h.Name, "Get a certificate of a public CA for "+h.Name.String()+", for the same key: then the TLSA records (3 1 1) may stay.",
				"The certificate of %s satisfies its TLSA records and not the MTA-STS policy (%s): senders without DANE see a failure that senders with DANE do not.", h.Name, r.certificateFault(a.Peer.Chain, h.Name)).saw("%s: %s", a.Address, explain.Cause(err))
			return
		}
	}
}

// tlsrpt judges the TLSRPT record.
func (r *report) tlsrpt() {
	p := r.snap.Plan
	if !p.Orig.IsValid() {
		return
	}
	there := slices.IndexFunc(survey.Texts(r.snap.TLSRPTRecord), tlsrpt.MeansRecord)
	err := r.snap.TLSRPTErr
	switch {
	case err == nil && len(r.snap.TLSRPT.Destinations()) == 0:
		r.add(TLSRPTNowhere, rfc6125.Host{}, "Name a mailbox (mailto:) or a web server (https:).",
			"The TLSRPT record of %s names no address that a report can be sent to, so no failure is reported: reports go to mailto: and https: alone.", p.Orig).
			saw("_smtp._tls.%s TXT %s", p.Orig, strconv.QuoteToASCII(r.snap.TLSRPT.Text)).steps(r.reportsStep())
	case err == nil:
	case there >= 0:
		txt := survey.Texts(r.snap.TLSRPTRecord)[there]
		why := tlsrpt.Near(txt)
		if why == "" {
			why = explain.Cause(err)
		}
		f := r.add(TLSRPTBad, rfc6125.Host{}, "Publish exactly one record, as below, with the address of a mailbox that somebody reads.",
			"The TLSRPT record of %s is there and does not count, so no failure is reported: %s.", p.Orig, why)
		for _, t := range survey.Texts(r.snap.TLSRPTRecord) {
			if tlsrpt.MeansRecord(t) {
				f.saw("_smtp._tls.%s TXT %s", p.Orig, strconv.QuoteToASCII(t))
			}
		}
		f.steps(r.reportsStep())
	case slices.ContainsFunc(r.snap.Elsewhere, func(m survey.Misplaced) bool { return m.Standard == "TLSRPT" }), len(r.snap.TLSRPTRecord.Answer.Chain) > 0 && r.snap.TLSRPTRecord.Answer.Kind == dnssec.NXDomain:
		// has been reported
	case !errors.Is(err, tlsrpt.ErrNoRecord) && p.MX.Row == "M3" && explain.OwnFault(r.snap.MX.Err) != explain.NoHint:
		// No lookup succeeds, which has been reported.
	case !errors.Is(err, tlsrpt.ErrNoRecord):
		r.add(TLSRPTFailed, rfc6125.Host{}, "Repair the zone or its name servers: the question for the TXT records of _smtp._tls."+p.Orig.String()+" must be answered.",
			"Whether %s asks for reports of failures (TLSRPT) is not known.", p.Orig).saw("%s", explain.Cause(err))
	case r.checkedBy() != "":
		f := r.add(TLSRPTMissing, rfc6125.Host{}, "Publish a TLSRPT record with the address of a mailbox that somebody reads: its reports show which mail the domain's own policy stops.",
			"Senders check %s by %s, and it does not ask them to report failures.", p.Orig, r.checkedBy())
		if o := otherText(survey.Texts(r.snap.TLSRPTRecord)); o != "" {
			f.saw("_smtp._tls.%s TXT: %s", p.Orig, o)
		} else {
			f.saw("_smtp._tls.%s TXT: none", p.Orig)
		}
		f.steps(r.reportsStep())
	}
}

// checkedBy names what senders check mail of the domain by, also where it does not hold; ""
// for nothing.
func (r *report) checkedBy() string {
	p := r.snap.Plan
	policy := p.STS.Policy != nil || p.STS.TXTErr == nil && p.STS.Record.ID != ""
	records := slices.ContainsFunc(p.Hosts, func(h engine.Host) bool {
		return h.DANE.State == dane.Usable || h.DANE.State == dane.Unusable
	})
	switch {
	case policy && records:
		return "its MTA-STS policy and by the TLSA records of its mail hosts"
	case policy:
		return "its MTA-STS policy"
	case records:
		return "the TLSA records of its mail hosts"
	}
	return ""
}
