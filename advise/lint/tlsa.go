package lint

import (
	"crypto/x509"
	"errors"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// longTTL is the TTL of TLSA records from which on it is a hindrance: after a key is lost,
// senders go on for so long with the old record (RFC 7671 section 13 speaks of hours).
const longTTL = 2 * 24 * time.Hour

// tlsa judges the TLSA records, and the chain against them.
func (r *report) tlsa() {
	with, without := []string{}, []string{}
	for i := range r.snap.Plan.Hosts {
		h, v := &r.snap.Plan.Hosts[i], &r.snap.Hosts[i]
		if !h.Name.IsValid() {
			continue
		}
		switch h.DANE.State {
		case dane.Failed:
			if h.DANE.Address == dane.AddressOK {
				r.tlsaFailed(h)
			}
		case dane.NA:
			if len(v.Unsigned) > 0 {
				f := r.add(TLSAUnsigned, h.Name, signZone(h.Name),
					"%s has TLSA records, and its zone is not signed: senders ignore them.", h.Name)
				for _, rec := range v.Unsigned {
					f.saw("%s TLSA %s", ownerText(h), text.Cut(rec.String(), maxRecord))
				}
			}
		case dane.Usable, dane.Unusable:
			r.tlsaRecords(h, v)
		}
		switch h.DANE.State {
		case dane.Usable:
			with = append(with, h.Name.String())
		case dane.None, dane.NA, dane.Unusable:
			without = append(without, h.Name.String())
		}
	}
	if len(with) > 0 && len(without) > 0 {
		f := r.add(TLSASomeHosts, rfc6125.Host{}, "Publish TLSA records for every MX host.",
			"Of the MX hosts of %s some have TLSA records and some have none; an attacker only has to keep the former from answering.", r.snap.Plan.Orig)
		for _, n := range with {
			f.saw("%s: TLSA records", n)
		}
		for _, n := range without {
			f.saw("%s: none that count", n)
		}
		for i := range r.snap.Plan.Hosts {
			h := &r.snap.Plan.Hosts[i]
			if s := h.DANE.State; s == dane.None || s == dane.Unusable {
				f.steps(r.tlsaOf(h, &r.snap.Hosts[i])...)
			}
		}
	}
}

func (r *report) tlsaFailed(h *engine.Host) {
	if len(h.DANE.TLSA) == 0 {
		return
	}
	l := h.DANE.TLSA[len(h.DANE.TLSA)-1]
	if failedBy(l.Err) == dnssec.ReasonNSEC3Iterations {
		r.add(TLSAIterations, h.Name, "Sign the zone of "+h.Name.String()+" with 0 NSEC3 iterations (RFC 9276), or with NSEC.",
			"The zone of %s uses more NSEC3 iterations than senders compute, so its proof that there are no TLSA records does not count and mail waits.", h.Name).saw("%s", explain.Cause(l.Err))
		return
	}
	r.add(TLSAFailed, h.Name, "Repair the zone or its name servers: the question for TLSA must be answered, also where there are no such records.",
		"The TLSA lookup for %s fails, so senders that do DANE deliver nothing to it.", h.Name).saw("%s", explain.Cause(l.Err))
}

// tlsaRecords judges a signed TLSA set.
func (r *report) tlsaRecords(h *engine.Host, v *survey.HostView) {
	uses := h.DANE.Set.Uses()
	if h.DANE.State == dane.Unusable {
		f := r.add(TLSAAllUnusable, h.Name, "Publish a record of usage 3 (3 1 1, DANE-EE) for the host.",
			"%s has TLSA records, and none of them can be used for mail: senders require TLS and cannot check who the server is.", h.Name)
		for _, u := range uses {
			f.saw("%s: %s", text.Cut(u.Record.String(), maxRecord), explain.RecordUse(u))
		}
		f.steps(r.tlsaOf(h, v)...)
	}
	usable := 0
	for _, u := range uses {
		rec := u.Record
		switch {
		case u.Usable:
			usable++
		case u.Fault == dane.FaultPKIXUsage:
			r.add(TLSAPKIXUsage, h.Name, "Replace it: usage 3 (DANE-EE) in place of 1, usage 2 (DANE-TA) in place of 0.",
				"A TLSA record of %s has usage %d, which is not used for mail.", h.Name, rec.Usage).saw("%s: %s", text.Cut(rec.String(), maxRecord), explain.RecordUse(u)).steps(r.tlsaOf(h, v)...)
		case rec.Usage > dane.DANEEE || rec.Selector > dane.SPKI || rec.MatchingType > dane.SHA2_512:
			r.add(TLSAUnknown, h.Name, "Remove the record, or replace it by this one.",
				"A TLSA record of %s has a number that does not exist, so senders ignore it.", h.Name).saw("%s: %s", text.Cut(rec.String(), maxRecord), explain.RecordUse(u)).steps(r.tlsaOf(h, v)...)
		case badData(rec):
			r.add(TLSABadData, h.Name, "Replace the record by this one, made of the certificate in use.",
				"The data of a TLSA record of %s does not fit its matching type, so senders ignore the record.", h.Name).saw("%s: %s", text.Cut(rec.String(), maxRecord), explain.RecordUse(u)).steps(r.tlsaOf(h, v)...)
		}
		// A whole authority (usage 2) may be in DNS because the server does not send it: a
		// digest of it would match nothing.
		if u.Usable && rec.MatchingType == dane.Full && rec.Usage == dane.DANEEE && shown(v, rec) {
			r.add(TLSAFullData, h.Name, "Publish a digest (matching type 1) in its place: the answer of DNS stays small.",
				"A TLSA record of %s carries a whole certificate or key, where a digest of 32 bytes would do.", h.Name).saw("%s", text.Cut(rec.String(), maxRecord)).steps(r.tlsaOf(h, v)...)
		}
		if u.Usable && rec.Usage == dane.DANEEE && rec.Selector == dane.Cert && shown(v, rec) {
			r.add(TLSACertPinned, h.Name, "Publish the digest of the key (3 1 1) and keep the key when the certificate is renewed.",
				"A TLSA record of %s pins the whole certificate: with the next renewal it no longer matches, even if the key stays.", h.Name).saw("%s", text.Cut(rec.String(), maxRecord)).steps(r.tlsaOf(h, v)...)
		}
	}
	for _, l := range h.DANE.TLSA {
		for _, rr := range l.Answer.Records {
			if ttl := time.Duration(rr.TTL) * time.Second; ttl > longTTL {
				f := r.add(TLSALongTTL, h.Name, "Lower the TTL of these records to an hour or so (3600).",
					"Senders may keep the TLSA records of %s for %s: if the key must be replaced in a hurry, mail fails for that long.", h.Name, plain.Span(ttl)).saw("%s TLSA: TTL %d", ownerText(h), rr.TTL)
				f.steps(r.tlsaOf(h, v)...)
				break
			}
		}
	}
	if usable > 0 && r.tlsaOfOneKey(h, v) {
		return
	}
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event == engine.HandshakeDone && usable > 0 {
			r.tlsaAgainst(h, v, a.Peer)
			return // the addresses are held against each other elsewhere
		}
	}
}

// tlsaAgainst holds the set against what the host shows.
func (r *report) tlsaAgainst(h *engine.Host, v *survey.HostView, peer engine.Peer) {
	o := dane.Options{References: h.DANERefs, At: r.snap.At}
	dp := danePeer(peer)
	res, err := h.DANE.Set.Verify(dp, o)
	if err != nil {
		r.tlsaMismatch(h, v, dp, o, res, err)
		return
	}
	for _, t := range res.Trace {
		u := use(h.DANE.Set, t.Record)
		if t.Depth < 0 && u.Usable && !matchesAny(t.Record, dp, o) && !shown(v, t.Record) {
			r.add(TLSAStale, h.Name, "Keep it if it is for the next key; else remove it.",
				"A TLSA record of %s matches nothing that the host shows now.", h.Name).saw("%s", text.Cut(t.Record.String(), maxRecord))
		}
	}
	spare := false
	for _, t := range res.Trace {
		spare = spare || t.Record != res.Matched && use(h.DANE.Set, t.Record).Usable
	}
	if !spare {
		r.add(TLSANoSpare, h.Name, "Before the next change of keys publish a record for the new key next to the old one (`mxauth tlsa make` prints it), and wait for twice the TTL of the records; or publish a record of the CA (2 1 1, DANE-TA) as well.",
			"%s has one TLSA record, for the key in use; a change of keys without a second record in time stops mail.", h.Name).saw("%s", text.Cut(res.Matched.String(), maxRecord))
	}
}

func (r *report) tlsaMismatch(h *engine.Host, v *survey.HostView, dp dane.Peer, o dane.Options, res dane.Result, err error) {
	var f *Finding
	switch {
	case errors.Is(err, dane.ErrName):
		f = r.add(TLSAName, h.Name, "Use a certificate that names the MX host or the mail domain.",
			"The CA in the TLSA records of %s issued its certificate, which has none of the names that count.", h.Name)
		f.saw("%s", namesOf(peerNames(dp)))
		for _, ref := range h.DANERefs {
			f.saw("this name would count: %s", ref)
		}
		return
	case errors.Is(err, pkix.ErrExpired):
		f = r.add(TLSAExpired, h.Name, "Renew the certificate that has expired (named below): with records of usage 2 (DANE-TA) dates count.",
			"The chain from the certificate of %s to the CA in its TLSA records has expired.", h.Name)
	case errors.Is(err, pkix.ErrNotYetValid):
		f = r.add(TLSAPath, h.Name, "Use a certificate that is valid already, and check the clock of the CA that issues it.",
			"The chain from the certificate of %s to the CA in its TLSA records is not valid yet.", h.Name)
	case errors.Is(err, dane.ErrPath):
		f = r.add(TLSAPath, h.Name, "Send the certificates between the host's own and the CA, and use a CA certificate that may issue.",
			"A certificate that %s sends matches its TLSA records, and the path to it does not hold.", h.Name)
	default:
		// A weaker digest that matches, hidden by a stronger one that does not?
		for _, u := range h.DANE.Set.Uses() {
			if !u.Usable && !badData(u.Record) && matchesAny(u.Record, dp, o) {
				f = r.add(TLSAAgility, h.Name, "Replace the record with the stronger digest by this one, or remove it.",
					"A TLSA record of %s would match, but senders use a record with a stronger digest instead, which does not match.", h.Name)
				f.saw("%s: would match", text.Cut(u.Record.String(), maxRecord))
				if len(f.Steps) == 0 {
					f.steps(r.tlsaOf(h, v)...)
				}
			}
		}
		if f == nil {
			f = r.add(TLSANoMatch, h.Name, "If the key was changed on purpose, publish the record below; else give the host back the key that the records name, and find out who answers at its address.",
				"What %s shows matches none of its TLSA records: senders that do DANE deliver nothing to it.", h.Name)
			f.steps(r.tlsaOf(h, v)...)
			r.anchorUnsent(h)
		}
	}
	for i, t := range res.Trace {
		why := explain.RecordResult(h.DANE.Set, i, t)
		if errors.Is(t.Err, dane.ErrPath) {
			why = explain.Cause(t.Err)
		}
		f.saw("%s: %s", text.Cut(t.Record.String(), maxRecord), why)
	}
}

// anchorUnsent reports DANE-TA digest records when nothing matched: most often the
// certificate that they name is not in the chain that the server sends.
func (r *report) anchorUnsent(h *engine.Host) {
	for _, rec := range h.DANE.Set.Usable() {
		if rec.Usage == dane.DANETA && rec.MatchingType != dane.Full {
			r.add(TLSAAnchorUnsent, h.Name, "Put the CA certificate at the end of the chain file of "+h.Name.String()+" (Postfix: smtpd_tls_chain_files), also if it is a root.",
				"A TLSA record of usage 2 (DANE-TA) names the certificate of a CA, which %s does not send; without it the record matches nothing.", h.Name).saw("%s", text.Cut(rec.String(), maxRecord))
			return
		}
	}
}

// shown reports whether a DANE-EE record is that of what the host shows now.
func shown(v *survey.HostView, rec dane.Record) bool {
	for _, a := range v.Probe.Addresses {
		if matchesAny(rec, danePeer(a.Peer), dane.Options{}) {
			return true
		}
	}
	return false
}

// matchesAny reports whether the record alone would match the peer in any way.
func matchesAny(rec dane.Record, p dane.Peer, o dane.Options) bool {
	res, _ := dane.NewSet([]dane.Record{rec}, dane.UsePolicy{}).Verify(p, o)
	return res.OK || res.Depth >= 0 || len(res.Trace) > 0 && res.Trace[0].Depth >= 0
}

func use(s dane.Set, rec dane.Record) dane.RecordUse {
	for _, u := range s.Uses() {
		if u.Record == rec {
			return u
		}
	}
	return dane.RecordUse{}
}

// badData reports whether a record of known numbers is unusable by itself.
func badData(rec dane.Record) bool {
	return !dane.NewSet([]dane.Record{rec}, dane.UsePolicy{}).HasUsage(rec.Usage)
}

func ownerText(h *engine.Host) string {
	base := h.DANE.Base
	if !base.IsValid() {
		base = h.Name
	}
	n, err := dane.Owner(base, h.Port)
	if err != nil {
		return base.String()
	}
	return n.String()
}

// tlsaOf is the step that makes the TLSA records of the host what they should be, if that
// is known.
func (r *report) tlsaOf(h *engine.Host, v *survey.HostView) []Step {
	if s, ok := r.tlsaStep(h, v); ok {
		return []Step{s}
	}
	return nil
}

func presentedNames(chain []*x509.Certificate) []string {
	if len(chain) == 0 {
		return nil
	}
	return rfc6125.PresentedBy(chain[0]).Names()
}

// maxRecord is how many octets of a record are shown.
const maxRecord = 40
