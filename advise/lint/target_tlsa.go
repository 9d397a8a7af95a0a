package lint

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
)

// tlsaOwner is the owner name of a host's TLSA records, and the type of records that go for
// them.
func tlsaOwner(h *engine.Host) (owner rfc6125.Name, instead string, err error) {
	d := &h.DANE
	base := h.Name
	switch {
	case d.Base.IsValid():
		base = d.Base
	case d.State == dane.None && len(chainOf(d)) > 0 && (d.A.Answer.Status == dnssec.Secure || d.AAAA.Answer.Status == dnssec.Secure):
		if t, err := rfc6125.HostFromName(d.Final); err == nil {
			base = t
		}
	}
	owner, err = dane.Owner(base, h.Port)
	if err != nil {
		return owner, "", err
	}
	for _, l := range d.TLSA {
		if l.Answer.Question.Name != owner || len(l.Answer.Chain) == 0 {
			continue
		}
		if len(l.Answer.Records) > 0 && l.Answer.Status == dnssec.Secure {
			return l.Answer.Final, "", nil
		}
		if c := l.Answer.Chain[0]; c.Type == dnssec.TypeCNAME && c.Owner == owner {
			return owner, "CNAME", nil
		}
		return owner, "", errors.New("an alias above the name")
	}
	return owner, "", nil
}

// tlsaStep is the step that makes the TLSA records of a host what they should be: they match
// what each of its addresses shows, and none of them is of no use. ok is false if that is
// not known, or they are so already.
func (r *report) tlsaStep(h *engine.Host, v *survey.HostView) (s Step, ok bool) {
	owner, instead, err := tlsaOwner(h)
	if err != nil || h.DANE.State == dane.NA || h.DANE.State == dane.Failed {
		return Step{}, false
	}
	var peers []dane.Peer
	for _, a := range v.Probe.Addresses {
		switch {
		case len(a.Peer.Certificates()) > 0 && !a.Peer.Outdated():
			peers = append(peers, danePeer(a.Peer))
		case a.Peer.Event != engine.NoConnection && h.DANE.State != dane.Usable && h.DANE.State != dane.Unusable:
			return Step{}, false // the records would keep mail from that address
		}
	}
	recs, fresh := r.tlsaTarget(h, peers)
	if len(recs) == 0 {
		return Step{}, false
	}
	s = Step{Kind: StepPublish, Owner: owner.FQDN(), Type: "TLSA", Instead: instead, Text: "Make this the only TLSA record of " + strings.TrimSuffix(owner.FQDN(), ".") + "."}
	if len(recs) > 1 {
		s.Text = "Make these all the TLSA records of " + strings.TrimSuffix(owner.FQDN(), ".") + "."
	}
	if h.DANE.State == dane.None {
		s.Text = "Publish the TLSA record of the key in use."
	}
	if fresh {
		s.Caution = keySeen
	}
	if d := r.foreign(h.Name); d != "" {
		s.Caution = strings.TrimSpace("This is a record of " + d + ": its owner has to publish it. " + s.Caution)
	}
	for _, rec := range recs {
		s.Records = append(s.Records, dane.Entry{Owner: owner, TTL: hour * time.Second, Record: rec}.Zone())
	}
	return s, true
}

// tlsaTarget are the records that should be published; fresh says that some are made of what
// the host shows. Records that match nothing stay as long as they do no harm: they may be
// those of the next key.
func (r *report) tlsaTarget(h *engine.Host, peers []dane.Peer) (recs []dane.Record, fresh bool) {
	o := dane.Options{References: h.DANERefs, At: r.snap.At}
	if len(o.References) == 0 {
		o.References = []rfc6125.Reference{rfc6125.NewReference(h.Name)}
	}
	verifies := func(recs []dane.Record, p dane.Peer) bool {
		_, err := dane.NewSet(recs, dane.UsePolicy{}).Verify(p, o)
		return err == nil
	}
	all := func(recs []dane.Record) bool {
		for _, p := range peers {
			if !verifies(recs, p) {
				return false
			}
		}
		return true
	}
	var known []dane.Record
	for _, u := range h.DANE.Set.Uses() {
		if !badData(u.Record) && !slices.Contains(known, u.Record) {
			known = append(known, u.Record)
		}
	}
	if len(peers) == 0 {
		if len(known) < len(h.DANE.Set.Uses()) {
			return nil, false
		}
		return known, false
	}
	keep := known
	if !all(known) {
		keep = slices.DeleteFunc(slices.Clone(known), func(rec dane.Record) bool {
			return !slices.ContainsFunc(peers, func(p dane.Peer) bool { return verifies([]dane.Record{rec}, p) })
		})
	}
	// Whole certificates and whole keys give way to the digest of the key.
	keep = slices.DeleteFunc(slices.Clone(keep), func(rec dane.Record) bool {
		return rec.Usage == dane.DANEEE && (rec.Selector == dane.Cert || rec.MatchingType == dane.Full) &&
			slices.ContainsFunc(peers, func(p dane.Peer) bool { return verifies([]dane.Record{rec}, p) })
	})
	strong := func(rec dane.Record) bool {
		return rec.Usage == dane.DANEEE && rec.Selector == dane.SPKI && rec.MatchingType == dane.SHA2_512
	}
	// Where there is a SHA2-512 digest of another key, one of this key takes its place: a
	// weaker one of the same kind would not count (RFC 7671 section 9).
	digest, replace := dane.SHA2_256, false
	if slices.ContainsFunc(known, strong) {
		digest, replace = dane.SHA2_512, !slices.ContainsFunc(keep, strong)
	}
	for _, p := range peers {
		if verifies(keep, p) && !replace {
			continue
		}
		rec, err := leafRecord(dane.Recipe{Usage: dane.DANEEE, Selector: dane.SPKI, MatchingType: digest}, p)
		if err != nil || !verifies(append(slices.Clone(keep), rec), p) {
			return nil, false
		}
		if !slices.Contains(keep, rec) {
			keep, fresh = append(keep, rec), true
		}
	}
	if !all(keep) {
		return nil, false
	}
	return keep, fresh
}

// leafRecord makes a record of the certificate that a peer shows.
func leafRecord(recipe dane.Recipe, p dane.Peer) (dane.Record, error) {
	if len(p.Chain) > 0 {
		return dane.Generate(recipe, p.Chain[0])
	}
	return dane.GenerateFromDER(recipe, p.Certs[0].Raw())
}

// tlsaUnpublished are the steps that publish TLSA records for hosts in signed zones that
// have none.
func (r *report) tlsaUnpublished() []Step {
	var out []Step
	for i := range r.snap.Plan.Hosts {
		h := &r.snap.Plan.Hosts[i]
		if !h.Name.IsValid() || h.DANE.State != dane.None || wrongName(h.Name, r.snap.Plan.Orig) != "" {
			continue
		}
		if s, ok := r.tlsaStep(h, &r.snap.Hosts[i]); ok {
			out = append(out, s)
		}
	}
	return out
}
