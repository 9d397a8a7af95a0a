package forecast

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/rfc6125"
)

// renewalShare is the part of a certificate's life that is left when ACME clients renew it:
// certbot and most others wait until a third is left.
const renewalShare = 3

// switchTTLs is how many TTLs a new record must have been published before the server may
// show its key (RFC 7671 section 8.1).
const switchTTLs = 2

// A KeyStep is one step of a change of keys.
type KeyStep struct {
	When   time.Time  `json:"when"`             // not sooner
	Before *time.Time `json:"before,omitempty"` // not later, if there is such a time
	Text   string     `json:"text"`
	// Publish are lines to add to the present TLSA records, Remove those to take away.
	Publish []string `json:"publish,omitempty"`
	Remove  []string `json:"remove,omitempty"`
}

// A KeyWay is one way to change or renew, with its steps in order.
type KeyWay struct {
	ID    string    `json:"id"` // "planned", "same-key", "new-key", "same-authority" or "begin"
	Text  string    `json:"text"`
	Steps []KeyStep `json:"steps"`
}

// A KeyPlan is how one mail host changes its key or renews its certificate without a message
// being refused.
type KeyPlan struct {
	Host  string `json:"host"`
	State string `json:"state"` // of its TLSA records, as dane.State prints it
	Text  string `json:"text"`  // one sentence: what holds now
	// Effect is Broken if mail is refused now, or would be with the planned certificate,
	// Weaker if no TLSA record has a say. Failed says that a lookup failed or the host does
	// not answer, so that the plan lacks something.
	Effect Effect `json:"effect"`
	Failed bool   `json:"failed"`
	TTL    int64  `json:"ttl"` // seconds, of the TLSA records in their zone
	// Ends is when the present certificate ends, Renewal when an ACME client renews it.
	Ends    *time.Time `json:"certificate_ends,omitempty"`
	Renewal *time.Time `json:"renewal,omitempty"`
	Notes   []string   `json:"notes"`
	Ways    []KeyWay   `json:"ways"`
}

// keyChange makes the plan of one host.
type keyChange struct {
	f       *outlook
	h       *engine.Host
	now     time.Time
	ttl     time.Duration
	known   bool // the TTL
	current dane.Peer
	probed  probe.HostResult
	out     KeyPlan
}

// KeyPlans says for each mail host how to change its key: with Options.Next how to come to
// that certificate, without it how ACME renewals go, with the same key and with a new one. It
// is a pure function of its arguments.
func KeyPlans(s survey.Snapshot, o Options) []KeyPlan {
	f := &outlook{s: &s, o: o}
	out := []KeyPlan{}
	for i := range s.Plan.Hosts {
		h, v := &s.Plan.Hosts[i], &s.Hosts[i]
		k := keyChange{f: f, h: h, now: s.At.UTC().Truncate(time.Second), current: current(v), probed: v.Probe}
		k.out = KeyPlan{Host: h.String(), State: h.DANE.State.String(), Notes: []string{}, Ways: []KeyWay{}}
		k.plan()
		out = append(out, k.out)
	}
	return out
}

func (k *keyChange) say(format string, args ...any) {
	k.out.Text = plain.Text(fmt.Sprintf(format, args...))
}

func (k *keyChange) note(format string, args ...any) {
	k.out.Notes = append(k.out.Notes, plain.Text(fmt.Sprintf(format, args...)))
}

// step makes a step of a way.
func step(when time.Time, format string, args ...any) KeyStep {
	return KeyStep{When: when.UTC().Truncate(time.Second), Text: plain.Text(fmt.Sprintf(format, args...))}
}

func (k *keyChange) plan() {
	if c := k.current.Chain; len(c) > 0 {
		end, renewal := c[0].NotAfter.UTC(), renewalOf(c[0])
		k.out.Ends, k.out.Renewal = &end, &renewal
	}
	if enforced(k.f.s.Plan) {
		k.note("The MTA-STS policy asks for a certificate of a public CA that names %s, whatever the TLSA records say.", k.out.Host)
	}
	d := &k.h.DANE
	switch {
	case d.Address == dane.AddressFailed || d.State == dane.Failed:
		k.out.Effect, k.out.Failed = Broken, true
		k.say("The TLSA records of %s cannot be looked up, so mail to it waits and nothing can be planned: repair the zone or its name servers first (mxauth lint).", k.out.Host)
		return
	case d.State != dane.Usable:
		k.free()
		return
	}
	if k.ttl, k.known = k.f.o.TTL, true; k.ttl == 0 {
		k.ttl, k.known = last(d.TLSA).PublishedTTL()
	}
	k.out.TTL = int64(k.ttl / time.Second)
	if !k.known {
		k.note("The TTL of the TLSA records in their zone is not known here, and a day is assumed; the option `ttl` says it.")
	}
	if len(k.f.o.Next.SPKI) > 0 {
		k.planned()
		return
	}
	k.renewals()
}

// renewalOf is when an ACME client renews a certificate.
func renewalOf(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / renewalShare).UTC().Truncate(time.Second)
}

// free is the plan of a host of which no TLSA record has a say.
func (k *keyChange) free() {
	d := &k.h.DANE
	k.out.Effect = Weaker
	switch d.State {
	case dane.None:
		k.say("%s has no TLSA record, so a new key or certificate needs no change in DNS first.", k.out.Host)
	case dane.Unusable:
		k.say("Senders can use none of the TLSA records of %s, so a new key needs no change in DNS first; mxauth lint says what is wrong with them.", k.out.Host)
		return
	default:
		if d.Address == dane.AddressNone {
			k.say("%s has no address, so no mail reaches it and no TLSA record of it counts (mxauth lint).", k.out.Host)
			return
		}
		k.say("No TLSA record of %s counts, since its zone is not signed with DNSSEC: a new key or certificate needs no change in DNS first.", k.out.Host)
		return
	}
	next := k.f.o.Next
	text := "To have senders check the key: put the certificate into use, then publish its TLSA record."
	if len(next.SPKI) == 0 {
		certs := k.current.Chain
		if len(certs) == 0 {
			return
		}
		next = dane.Material{SPKI: certs[0].RawSubjectPublicKeyInfo}
		text = "To have senders check the key in use, publish its TLSA record. Compare it first with the server's own file (mxauth tlsa make FILE), because an attacker on the network could have replaced what the host shows."
	}
	rec, err := next.Generate(dane.Recommended(dane.DANEEE))
	if err != nil {
		return
	}
	s := step(k.now, "Publish this record.")
	s.Publish = k.lines(time.Hour, []dane.Record{rec})
	k.out.Ways = append(k.out.Ways, KeyWay{ID: "begin", Text: plain.Text(text), Steps: []KeyStep{s}})
}

// lines are records as lines of a zone file.
func (k *keyChange) lines(ttl time.Duration, recs []dane.Record) []string {
	base := k.h.DANE.Base
	if !base.IsValid() {
		base = k.h.Name
	}
	owner, err := dane.Owner(base, k.h.Port)
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range recs {
		out = append(out, plain.Line(dane.Entry{Owner: owner, TTL: ttl, Record: r}.Zone()))
	}
	return out
}

// matches are the usable records that alone let senders take what p shows.
func (k *keyChange) matches(p dane.Peer, at time.Time) []dane.Record {
	var out []dane.Record
	for _, rec := range k.h.DANE.Set.Usable() {
		if _, err := dane.NewSet([]dane.Record{rec}, dane.UsePolicy{}).Verify(p, dane.Options{References: k.references(), At: at}); err == nil {
			out = append(out, rec)
		}
	}
	return out
}

func (k *keyChange) references() []rfc6125.Reference { return k.h.DANERefs }

// seen reports whether the host showed a certificate or key, and says why it did not.
func (k *keyChange) seen() bool {
	if len(k.current.Chain) > 0 || len(k.current.RawKey) > 0 {
		return true
	}
	why := "no connection was made"
	for _, a := range k.probed.Addresses {
		k.out.Failed = true
		why = explain.Text(a.Decision.Reason)
		if a.Peer.Event != engine.NoConnection {
			break
		}
	}
	k.note("Which key %s shows now is not known, so this plan does not say which of the present records may go: %s", k.out.Host, strings.TrimSuffix(why, ".")+".")
	return false
}

// peers are what the addresses of the host show.
func (k *keyChange) peers() []dane.Peer {
	var out []dane.Peer
	for _, a := range k.probed.Addresses {
		if a.Peer.Event == engine.HandshakeDone {
			out = append(out, dane.Peer{Chain: a.Peer.Chain, RawKey: a.Peer.RawKey})
		}
	}
	return out
}

// mismatch is an address that shows what no TLSA record matches; "" if there is none.
func (k *keyChange) mismatch() string {
	for _, a := range k.probed.Addresses {
		p := dane.Peer{Chain: a.Peer.Chain, RawKey: a.Peer.RawKey}
		if a.Peer.Event == engine.HandshakeDone && len(k.matches(p, k.f.s.At)) == 0 {
			return a.Address.String()
		}
	}
	return ""
}

// planned is the way to Options.Next.
func (k *keyChange) planned() {
	next := k.f.o.Next.Peer()
	seen := k.seen()
	r := dane.CheckRollover(dane.RolloverRequest{Set: k.h.DANE.Set, TTL: k.ttl, Published: k.f.o.Published, Current: k.current, Next: next,
		Options: dane.Options{References: k.references(), At: k.f.s.At}})
	if r.State == dane.RolloverUnfit {
		k.out.Effect = Broken
		k.say("The planned certificate of %s fails although a TLSA record matches it, and waiting does not help: %v.", k.out.Host, r.NextErr)
		return
	}
	way := KeyWay{ID: "planned", Text: "Come to the planned certificate."}
	switchAt := r.Earliest
	switch r.State {
	case dane.RolloverPublish:
		missing, err := k.enough(next, r.Missing)
		if err != nil {
			k.out.Effect = Broken
			k.say("The planned certificate of %s fails whatever TLSA record is published for it: %v.", k.out.Host, err)
			return
		}
		k.say("No TLSA record of %s matches the planned certificate: switching to it now stops mail.", k.out.Host)
		s := step(k.now, "Publish the TLSA record of the planned certificate in addition to the present ones. Change nothing at the server.")
		s.Publish = k.lines(k.ttl, missing)
		way.Steps = append(way.Steps, s)
		switchAt = k.now.Add(switchTTLs * k.ttl)
		if c := next.Chain; len(c) > 0 && c[0].NotBefore.After(switchAt) {
			switchAt = c[0].NotBefore
		}
	case dane.RolloverWait:
		k.say("A TLSA record of %s matches the planned certificate, and resolvers may not have it yet: wait for twice its TTL (%s).", k.out.Host, plain.Span(k.ttl))
	default:
		k.say("The TLSA records of %s match the planned certificate: it can be put into use now.", k.out.Host)
	}
	if a := k.mismatch(); a != "" {
		k.out.Effect = Broken
		k.say("What %s shows at %s matches none of its TLSA records, so mail is refused already. The steps below end that when the planned certificate is in use; mxauth lint says how to end it sooner.", k.out.Host, a)
	}
	s := step(switchAt, "Put the planned certificate and its key into use, then see that every address shows it (mxauth tlsa check).")
	if !r.Latest.IsZero() {
		t := r.Latest.UTC()
		if s.Before = &t; t.Before(switchAt) {
			k.note("The present certificate ends before then, so mail waits in between: renew it once more with the present key.")
		}
	}
	way.Steps = append(way.Steps, s)
	if old := k.leftOver(next, r); seen && len(old) > 0 {
		s := step(switchAt, "Once no address shows the old key, take its records away. While they are there you can go back to it.")
		s.Remove = k.lines(k.ttl, old)
		way.Steps = append(way.Steps, s)
	}
	k.out.Ways = append(k.out.Ways, way)
}

// enough are the records by which senders take the next certificate, in addition to the present ones:
// those given, of the kinds that are there, or that of the key, where a record of an authority
// asks for a name or dates that the certificate does not have.
func (k *keyChange) enough(next dane.Peer, missing []dane.Record) ([]dane.Record, error) {
	at := k.f.s.At
	if c := next.Chain; len(c) > 0 && c[0].NotBefore.After(at) {
		at = c[0].NotBefore
	}
	with := func(more []dane.Record) error {
		set := dane.NewSet(slices.Concat(k.h.DANE.Set.Usable(), more), dane.UsePolicy{})
		_, err := set.Verify(next, dane.Options{References: k.references(), At: at})
		return err
	}
	err := with(missing)
	if err == nil {
		return missing, nil
	}
	key, gerr := k.f.o.Next.Generate(dane.Recommended(dane.DANEEE))
	if gerr != nil {
		return nil, err
	}
	return []dane.Record{key}, with([]dane.Record{key})
}

// leftOver are the records of the present key that say nothing of the next one, and those
// that match neither. Those of a second certificate with another kind of key stay.
func (k *keyChange) leftOver(next dane.Peer, r dane.Rollover) []dane.Record {
	keep := k.matches(next, k.f.s.At)
	for _, a := range k.probed.Addresses {
		if a.Peer.Other != nil && !isOfKind(next, a.Peer.KeyKind()) {
			keep = append(keep, k.matches(dane.Peer{Chain: a.Peer.Chain}, k.f.s.At)...)
		}
	}
	out := slices.DeleteFunc(slices.Clone(r.Stale), func(rec dane.Record) bool { return slices.Contains(keep, rec) })
	for _, rec := range k.matches(k.current, k.f.s.At) {
		if !slices.Contains(keep, rec) && !slices.Contains(out, rec) {
			out = append(out, rec)
		}
	}
	return out
}

// isOfKind reports whether a certificate or key is of a kind of key.
func isOfKind(p dane.Peer, kind x509.PublicKeyAlgorithm) bool {
	if len(p.Chain) > 0 {
		return p.Chain[0].PublicKeyAlgorithm == kind
	}
	key, err := x509.ParsePKIXPublicKey(p.RawKey)
	if err != nil {
		return false
	}
	_, isRSA := key.(*rsa.PublicKey)
	return isRSA == (kind == x509.RSA)
}

// renewals are the ways in which a certificate can be renewed.
func (k *keyChange) renewals() {
	if !k.seen() {
		k.say("When the certificate of %s ends is not known, so the plan has no date for its renewal.", k.out.Host)
		k.newKey(nil)
		return
	}
	if a := k.mismatch(); a != "" {
		k.out.Effect = Broken
		k.say("What %s shows at %s matches none of its TLSA records, so mail is refused: correct the records first (mxauth lint prints them).", k.out.Host, a)
		return
	}
	var match, keys, certs, authorities []dane.Record
	for _, p := range k.peers() {
		for _, rec := range k.matches(p, k.f.s.At) {
			if !slices.Contains(match, rec) {
				match = append(match, rec)
			}
		}
	}
	for _, rec := range match {
		switch {
		case rec.Usage == dane.DANETA:
			authorities = append(authorities, rec)
		case rec.Selector == dane.SPKI:
			keys = append(keys, rec)
		default:
			certs = append(certs, rec)
		}
	}
	ends := "it shows a bare key, which does not end"
	if k.out.Ends != nil {
		ends = fmt.Sprintf("its certificate ends on %s, and an ACME client renews it about %s", k.out.Ends.Format(time.DateOnly), k.out.Renewal.Format(time.DateOnly))
	}
	k.say("The TLSA records of %s match what it shows; %s.", k.out.Host, ends)
	if len(authorities) > 0 {
		k.sameAuthority()
	}
	if len(keys)+len(certs) > 0 {
		k.sameKey(certs)
	}
	if len(authorities) == 0 {
		k.newKey(match)
	}
}

// renewalTime is when the next renewal comes, at the soonest now.
func (k *keyChange) renewalTime() time.Time {
	if k.out.Renewal == nil || k.out.Renewal.Before(k.now) {
		return k.now
	}
	return *k.out.Renewal
}

// sameAuthority is the way of records that name an authority.
func (k *keyChange) sameAuthority() {
	k.out.Ways = append(k.out.Ways, KeyWay{ID: "same-authority",
		Text:  "The record names the authority, so a certificate that the same authority signs needs no change in DNS, with the same key or a new one.",
		Steps: []KeyStep{step(k.renewalTime(), "Renew. Hold each new certificate with its chain against the records before it is put into use (`mxauth tlsa next` with the option `cert`): a public CA changes the certificates that it signs with, often without notice.")},
	})
}

// sameKey is the way of renewals that keep the key; certs are records of whole certificates.
func (k *keyChange) sameKey(certs []dane.Record) {
	way := KeyWay{ID: "same-key", Text: "Renew with the same key: nothing in DNS changes."}
	at := k.now
	if missing := k.keyRecords(); len(missing) > 0 {
		s := step(at, "Publish the record of the key in addition: the present one names the whole certificate, which each renewal changes.")
		s.Publish = k.lines(k.ttl, missing)
		way.Steps = append(way.Steps, s)
		at = at.Add(switchTTLs * k.ttl)
	}
	if len(certs) > 0 {
		s := step(at, "Take the record of the whole certificate away: the one of the key is enough.")
		s.Remove = k.lines(k.ttl, certs)
		way.Steps = append(way.Steps, s)
	}
	s := step(at, "Have the ACME client keep the key: certbot renew --reuse-key (or reuse_key = True in its renewal file), lego renew --reuse-key, reuse_private_keys in a Caddyfile; acme.sh keeps it by default.")
	if t := k.renewalTime(); t.After(at) {
		s.Before = &t
	}
	way.Steps = append(way.Steps, s, step(k.renewalTime(), "The client renews. mxauth tlsa check still says \"match\"."))
	k.out.Ways = append(k.out.Ways, way)
}

// keyRecords are the records of keys in use that only records of their certificates match.
func (k *keyChange) keyRecords() []dane.Record {
	var out []dane.Record
	for _, p := range k.peers() {
		survives := func(r dane.Record) bool { return r.Usage == dane.DANETA || r.Selector == dane.SPKI }
		if len(p.Chain) == 0 || slices.ContainsFunc(k.matches(p, k.f.s.At), survives) {
			continue
		}
		rec, err := dane.Material{SPKI: p.Chain[0].RawSubjectPublicKeyInfo}.Generate(dane.Recommended(dane.DANEEE))
		if err == nil && !slices.Contains(out, rec) {
			out = append(out, rec)
		}
	}
	return out
}

// newKey is the way of a renewal with a new key. old are the records of the present one.
func (k *keyChange) newKey(old []dane.Record) {
	wait := switchTTLs * k.ttl
	way := KeyWay{ID: "new-key", Text: plain.Text("Renew with a new key: its record is published for " + plain.Span(wait) + " (twice the TTL) before the server shows it.")}
	s := step(k.now, "Make the next key (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out next.key) and publish the record of next.key for %s that `mxauth tlsa make` prints, in addition to the present ones.", k.out.Host)
	switchAt := k.now.Add(wait)
	if k.out.Renewal != nil {
		if latest := k.out.Renewal.Add(-wait); latest.After(k.now) {
			s.Before, switchAt = &latest, *k.out.Renewal
		} else {
			k.note("The ACME client may renew before resolvers have a new record: have it keep the key this time, or stop its timer until then.")
		}
	}
	next := step(switchAt, "Have the certificate issued for that key (certbot certonly --csr, made of next.key) and put it into use. `mxauth tlsa next`, with next.key as the option `cert`, says whether resolvers have the record.")
	way.Steps = append(way.Steps, s, next)
	if len(old) > 0 {
		gone := step(switchAt, "Once no address shows the old key, take its record away.")
		gone.Remove = k.lines(k.ttl, old)
		way.Steps = append(way.Steps, gone)
	}
	k.out.Ways = append(k.out.Ways, way)
}
