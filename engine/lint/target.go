package lint

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/survey"
	"github.com/mxauth/mxauth/pkix"
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
const keySeen = "The key is the one that the host shows to this machine now, and nothing but the network vouches for it: compare it with the server's own file (mxauth tlsa make FILE) before you publish it."

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

// serveStep is the step that serves a policy for the domain's hosts and announces it. Each
// policy of a report has an id of its own. ok is false if no policy can list the hosts.
func (r *report) serveStep(mode sts.Mode) (s Step, ok bool) {
	p := r.snap.Plan
	hosts, bad := r.listed()
	if len(hosts) == 0 || len(bad) > 0 || r.snap.MX.Err != nil {
		return Step{}, false
	}
	age := month
	var mx []string
	pol, _ := r.policy()
	if pol != nil {
		if pol.Mode != sts.ModeNone && pol.MaxAge >= shortMaxAge {
			age = pol.MaxAge
		}
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
	id := r.snap.At.UTC().Add(time.Duration(stage) * time.Second).Format("20060102150405")
	s.Owner, s.Type, s.Instead = owner, "TXT", instead
	s.Records = append(r.others(r.snap.STSRecord, sts.MeansRecord, owner), fmt.Sprintf("%s %d IN TXT \"v=STSv1; id=%s;\"", owner, hour, id))
}

// others are the TXT records of the name that belong to something else, which stay.
func (r *report) others(l dane.Lookup, means func(string) bool, owner string) []string {
	var out []string
	if len(l.Answer.Chain) > 0 && len(l.Answer.Records) == 0 {
		return nil
	}
	for _, t := range survey.Texts(l) {
		if !means(t) && sts.OtherRecord(t) == "" {
			out = append(out, fmt.Sprintf("%s %d IN TXT %s", owner, hour, txtData(t)))
		}
	}
	return out
}

// txtData prints a TXT record's data in strings of at most 255 octets.
func txtData(t string) string {
	const most = 200
	var parts []string
	for {
		n := min(len(t), most)
		var b strings.Builder
		b.WriteByte('"')
		for _, c := range []byte(t[:n]) {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, "\\%03d", c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		parts = append(parts, b.String())
		if t = t[n:]; t == "" {
			return strings.Join(parts, " ")
		}
	}
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

// A misfit is why a policy in force would stop the mail to a host.
type misfit uint8

const (
	misfitSilent misfit = iota // does not answer, so that nothing is known
	misfitNoTLS
	misfitCertificate
)

// misfitOf says what keeps a host from satisfying a policy, and what it shows.
func (r *report) misfitOf(h rfc6125.Host) (misfit, string) {
	for i := range r.snap.Plan.Hosts {
		if r.snap.Plan.Hosts[i].Name != h {
			continue
		}
		for _, a := range r.snap.Hosts[i].Probe.Addresses {
			switch {
			case a.Peer.Event == engine.HandshakeDone && len(a.Peer.Chain) > 0 && !a.Peer.Outdated():
				if fault := r.certificateFault(a.Peer.Chain, h); fault != "" {
					return misfitCertificate, fault
				}
			case a.Peer.Event != engine.NoConnection:
				return misfitNoTLS, ""
			}
		}
	}
	return misfitSilent, ""
}

// notChecked are names that the MX records should have and that this look did not connect
// to.
func (r *report) notChecked() []string {
	var out []string
	for _, x := range r.mxRecords() {
		known := x.moved || !x.to.IsValid() || x.to.IsRoot()
		for i := range r.snap.Plan.Hosts {
			known = known || r.snap.Plan.Hosts[i].Name.Name() == x.to
		}
		if !known {
			out = append(out, strings.TrimSuffix(x.to.FQDN(), "."))
		}
	}
	return out
}

// certificateFault says in a few words why a chain does not satisfy MTA-STS for a name; ""
// if it does.
func (r *report) certificateFault(chain []*x509.Certificate, name rfc6125.Host) string {
	err := r.webpki(chain, name)
	leaf := chain[0]
	switch {
	case err == nil:
		return ""
	case errors.Is(err, pkix.ErrName):
		return namesOf(presentedNames(chain))
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return "it is self-signed"
	case leaf.NotAfter.Before(r.snap.At):
		return "it expired on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	case leaf.NotBefore.After(r.snap.At):
		return "it is not valid before " + leaf.NotBefore.UTC().Format(time.DateOnly)
	}
	return cause(err)
}

// misfitSteps are what has to be done before a policy can be enforced, one step for each
// cause and each organisation that has to do it.
func (r *report) misfitSteps() []Step {
	type group struct {
		why     misfit
		foreign string // the domain of another organisation; "" for the domain's own hosts
	}
	var order []group
	hosts, seen := map[group][]string{}, map[group]string{}
	for _, h := range r.misfits() {
		why, shows := r.misfitOf(h)
		g := group{why, r.foreign(h)}
		if _, known := hosts[g]; !known {
			order = append(order, g)
			seen[g] = shows
		}
		hosts[g] = append(hosts[g], h.String())
	}
	var out []Step
	if l := r.notChecked(); len(l) > 0 {
		dom := r.snap.Plan.Orig.String()
		out = append(out, do("First correct the MX records and run mxauth lint "+dom+" again: whether "+listText(l)+" fits a policy has not been checked."))
	}
	for _, g := range order {
		list := hosts[g]
		who, of := "First", listText(list)
		if g.foreign != "" {
			who = "First ask the owner of " + g.foreign + ", or do it yourself if that is you:"
		}
		switch {
		case g.why == misfitNoTLS:
			out = append(out, do(fmt.Sprintf("%s see that STARTTLS with TLS 1.2 or later is offered by %s: without it a policy in force stops mail.", who, of)))
		case g.why == misfitSilent:
			out = append(out, do(fmt.Sprintf("%s see that port 25 answers, with a certificate of a public CA for the host's own name, at %s.", who, of)))
		case len(list) == 1:
			out = append(out, do(fmt.Sprintf("%s get a certificate of a public CA that names %s, with the whole chain. What it shows now would be refused: %s.", who, of, seen[g])))
		default:
			out = append(out, do(fmt.Sprintf("%s get certificates of a public CA, with the whole chain, in which each of these hosts finds its own name: %s. What %s shows now would be refused: %s.", who, of, list[0], seen[g])))
		}
	}
	return out
}

// foreign is the domain of another organisation that a host belongs to; "" for a host of
// the domain's own.
func (r *report) foreign(h rfc6125.Host) string {
	if d := h.Registrable(); d != r.snap.Plan.Orig.Registrable() {
		return d
	}
	return ""
}

// listText lists names: "a, b and c".
func listText(l []string) string {
	if len(l) < 2 {
		return strings.Join(l, "")
	}
	return strings.Join(l[:len(l)-1], ", ") + " and " + l[len(l)-1]
}

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
		case a.Peer.Event == engine.HandshakeDone && len(a.Peer.Chain) > 0 && !a.Peer.Outdated():
			peers = append(peers, dane.Peer{Chain: a.Peer.Chain, RawKey: a.Peer.RawKey})
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
	// weaker one beside it would not count (RFC 7671 section 9).
	digest, replace := dane.SHA2_256, false
	if slices.ContainsFunc(known, strong) {
		digest, replace = dane.SHA2_512, !slices.ContainsFunc(keep, strong)
	}
	for _, p := range peers {
		if verifies(keep, p) && !replace {
			continue
		}
		rec, err := dane.Generate(dane.Recipe{Usage: dane.DANEEE, Selector: dane.SPKI, MatchingType: digest}, p.Chain[0])
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
