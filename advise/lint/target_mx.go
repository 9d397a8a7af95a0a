package lint

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// All findings of one report propose the same records and the same policy, so that their
// cures can be applied together: what is to be published is worked out here, once for each
// name, and a finding refers to the steps that lead there.

// hour is the TTL of records that are proposed, in seconds.
const hour = 3600

// testingTime is how long to read reports before a policy is enforced: reports come daily,
// and some senders write seldom.
const testingTime = 14 * 24 * time.Hour

// keySeen is the caution for a record of a key that was seen over the network, as
// `mxauth tlsa make HOST` gives it.
const keySeen = "The key is the one that the host shows to this machine now, and an attacker on the network could have replaced it: compare it with the server's own file (mxauth tlsa make FILE) before you publish it."

// A mxRecord is one MX record of the domain and what should become of it.
type mxRecord struct {
	preference uint16
	name       rfc6125.Name // as published
	to         rfc6125.Name // as it should be; the zero Name if it should go
	moved      bool         // an alias, replaced by its target
}

// wrongName says why the name of an MX host cannot be that of a mail server of the domain;
// "" if it can.
func wrongName(h, dom rfc6125.Host) string {
	s := h.String()
	if _, ok := survey.Meant(h, dom); ok {
		if h.Name().NumLabels() == 1 {
			return "a name without a domain"
		}
		return "ends in the domain twice: in the zone file the name lacks the dot at its end"
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	switch {
	case last == "localhost":
		return "every host calls itself so"
	case slices.Contains([]string{"invalid", "local", "internal", "localdomain", "lan", "home", "onion"}, last):
		return "." + last + " names exist in no public DNS"
	case h.Name().NumLabels() == 1:
		return "a name without a domain"
	}
	return ""
}

// usable reports whether a host has an address at which a sender can try it.
func usable(h *engine.Host, v *survey.HostView, dom rfc6125.Host) bool {
	return h.Name.IsValid() && h.DANE.Address == dane.AddressOK && wrongName(h.Name, dom) == "" && len(v.Special) < len(h.Addresses)
}

// mxRecords reads the MX records and says what should become of each.
func (r *report) mxRecords() []mxRecord {
	p := r.snap.Plan
	hostOf := map[string]int{}
	live := 0
	for i := range p.Hosts {
		hostOf[p.Hosts[i].Name.String()] = i
		if usable(&p.Hosts[i], &r.snap.Hosts[i], p.Orig) {
			live++
		}
	}
	var out []mxRecord
	for _, rec := range r.snap.MX.Answer.Records {
		m, err := rec.MX()
		if err != nil {
			continue
		}
		x := mxRecord{preference: m.Preference, name: m.Host, to: m.Host}
		h, herr := rfc6125.HostFromName(m.Host)
		switch {
		case m.Host.IsRoot() && len(r.snap.MX.Answer.Records) == 1:
			x.preference = 0
		case m.Host.IsRoot(), herr != nil && live > 0:
			x.to = rfc6125.Name{}
		case herr != nil:
		case wrongName(h, p.Orig) != "":
			if meant, ok := survey.Meant(h, p.Orig); ok && r.snap.Exists[meant] {
				x.to = meant.Name()
			} else if live > 0 {
				x.to = rfc6125.Name{}
			}
		default:
			i, ok := hostOf[h.String()]
			if !ok {
				break
			}
			d := &p.Hosts[i].DANE
			switch {
			case d.Address == dane.AddressNone && live > 0:
				x.to = rfc6125.Name{}
			case len(chainOf(d)) > 0 && d.Address == dane.AddressOK && r.movable(i):
				x.to, x.moved = d.Final, true
			}
		}
		out = append(out, x)
	}
	return out
}

// movable reports whether the MX record may name the target of an alias without any loss:
// the TLSA records are looked for at the same place, and a policy asks for a certificate of
// the new name, which the host has.
func (r *report) movable(i int) bool {
	h, v := &r.snap.Plan.Hosts[i], &r.snap.Hosts[i]
	d := &h.DANE
	target, err := rfc6125.HostFromName(d.Final)
	if err != nil || wrongName(target, r.snap.Plan.Orig) != "" || !sameTarget(d) {
		return false
	}
	switch d.State {
	case dane.Usable, dane.Unusable:
		if d.Base != target {
			return false
		}
	case dane.None:
		if d.A.Answer.Status != dnssec.Secure && d.AAAA.Answer.Status != dnssec.Secure {
			return false // TLSA records are looked for at the alias alone
		}
	case dane.Failed:
		return false
	}
	if pol, _ := r.policy(); pol == nil || pol.Mode == sts.ModeNone {
		return true
	}
	if _, err := sts.ParsePattern(target.String()); err != nil {
		return false
	}
	return r.fits(v, target)
}

// sameTarget reports whether both address questions end at the same name.
func sameTarget(d *dane.Host) bool {
	a, b := d.A.Answer, d.AAAA.Answer
	return d.A.Err == nil && d.AAAA.Err == nil && (len(a.Records) == 0 || a.Final == d.Final) && (len(b.Records) == 0 || b.Final == d.Final)
}

// mxSteps are the steps that make the MX records what they should be; nil if they may stay.
func (r *report) mxSteps() []Step {
	recs := r.mxRecords()
	if len(recs) == 0 || r.snap.MX.Err != nil {
		return nil
	}
	owner := r.snap.Plan.Orig.Name()
	if c := r.snap.MX.Answer.Chain; len(c) > 0 {
		owner = r.snap.MX.Answer.Final
	}
	changed, moved := false, false
	var lines []string
	for _, x := range recs {
		changed = changed || x.to != x.name || x.name.IsRoot() && !slices.Contains(r.published(), mxData(x.preference, x.to))
		moved = moved || x.moved
		if x.to.IsValid() {
			if l := mxLine(owner, x.preference, x.to); !slices.Contains(lines, l) {
				lines = append(lines, l)
			}
		}
	}
	if !changed || len(lines) == 0 {
		return nil
	}
	var steps []Step
	if pol, announced := r.policy(); moved && announced && pol != nil && pol.Mode != sts.ModeNone {
		s, ok := r.serveStep(r.keepMode())
		if !ok {
			return nil
		}
		s.Text = "List the new name in the MTA-STS policy first."
		// Senders look for a new id when the old TXT record has left their cache.
		steps = append(steps, s.wait(2*time.Hour))
	}
	return append(steps, Step{Kind: StepPublish, Text: "Make these all the MX records of " + strings.TrimSuffix(owner.FQDN(), ".") + ".", Owner: owner.FQDN(), Type: "MX", Records: lines})
}

// published are the MX records as they are.
func (r *report) published() []string {
	var out []string
	for _, rec := range r.snap.MX.Answer.Records {
		if m, err := rec.MX(); err == nil {
			out = append(out, mxData(m.Preference, m.Host))
		}
	}
	return out
}

func mxData(preference uint16, n rfc6125.Name) string {
	return strconv.Itoa(int(preference)) + " " + n.FQDN()
}
