package dane

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/mxauth/mxauth/pkix"
)

// rolloverTTLs is how many TTLs a record must have been published before the server may
// rely on it (RFC 7671 section 8.1: two or more): one until it has left the caches
// that were filled before, one for name servers that were late to take it over.
const rolloverTTLs = 2

// PublishedTTL is the TTL of the records in their zone: that of their signature (RFC 4034
// section 3.1.4), since the TTL of the records themselves counts down in caches. known is
// false where there is none; the TTL is then [UnknownTTL] or what was received, the longer
// of the two.
func (l Lookup) PublishedTTL() (ttl time.Duration, known bool) {
	if l.Answer.OriginalTTL > 0 {
		return time.Duration(l.Answer.OriginalTTL) * time.Second, true
	}
	ttl = UnknownTTL
	for _, r := range l.Answer.Records {
		ttl = max(ttl, time.Duration(r.TTL)*time.Second)
	}
	return ttl, false
}

// A RolloverState says whether a server may switch to its next certificate now. The
// zero state is RolloverPublish, which never says yes.
type RolloverState uint8

// Rollover states.
const (
	// RolloverPublish: no published record authenticates the next certificate. Publish
	// those of Rollover.Missing in addition to the present ones first.
	RolloverPublish RolloverState = iota
	// RolloverWait: the records are there; wait until Rollover.Earliest.
	RolloverWait
	// RolloverSafe: switch now, before Rollover.Latest if there is one. So it is, too, if
	// the set has no usable record.
	RolloverSafe
	// RolloverUnfit: a record matches and the next certificate fails by its name, its
	// dates or its chain: waiting does not fix it.
	RolloverUnfit
)

// String returns "publish", "wait", "safe" or "unfit".
func (s RolloverState) String() string {
	switch s {
	case RolloverWait:
		return "wait"
	case RolloverSafe:
		return "safe"
	case RolloverUnfit:
		return "unfit"
	}
	return "publish"
}

// A RolloverRequest is the input of [CheckRollover].
type RolloverRequest struct {
	Set Set           // what is published now
	TTL time.Duration // of the published records, as their zone has it
	// Published is since when the set has been published as it is; the zero time means
	// that is not known, and counts as At.
	Published time.Time
	Current   Peer // what the server presents now; empty if not known
	Next      Peer // what it is to present
	// Options are those of [Set.Verify]; At is now.
	Options
}

// A Rollover is the answer of [CheckRollover].
type Rollover struct {
	State RolloverState
	// Current and Next are what the published set makes of either certificate.
	// CurrentErr is nil as well if nothing is known of the current one: then
	// Current.OK is not set.
	Current, Next       Result
	CurrentErr, NextErr error
	// Earliest and Latest bound the time of the switch. Earliest is the zero time in
	// the states publish and unfit. Latest is that after which the current certificate
	// authenticates no more, by the dates that DANE-TA looks at; the zero time if it
	// has no end. Where Latest is before Earliest there is a gap in which mail waits.
	Earliest, Latest time.Time
	// Missing are the records to publish in addition to the present ones: RFC 7671 section 8
	// wants one for the next certificate of each kind (usage, selector, matching type)
	// that the set has. It can be non-empty in every state.
	Missing []Record
	// Stale are usable records that match neither certificate: leftovers. Empty if
	// nothing is known of the current one.
	Stale []Record
}

// CheckRollover says whether a published set fits the certificate that a server is to
// present next, and when it may switch (RFC 7671 section 8.1: publish current and next
// records together, two TTLs before the switch, and take the old ones away after
// it). It is a pure function of its argument.
func CheckRollover(r RolloverRequest) Rollover {
	var out Rollover
	if r.Work == nil {
		r.Work = new(pkix.Work) // for all of it: the current chain is a foreign server's
	}
	known := r.Current.sent() > 0 || len(r.Current.RawKey) > 0
	out.Current.Depth = -1
	if known {
		out.Current, out.CurrentErr = r.Set.Verify(r.Current, r.Options)
		if out.CurrentErr == nil {
			_, out.Latest = validity(out.Current.Path.Certs)
		}
	}
	// A certificate of the future is judged from the moment on at which it begins.
	next := r.Options
	if from, _ := validity(views(r.Next.certs())); from.After(next.At) {
		next.At = from
	}
	out.Next, out.NextErr = r.Set.Verify(r.Next, next)
	out.Missing, out.Stale = r.compare(known)
	switch {
	case len(r.Set.Usable()) == 0:
		// No record decides about the certificate, so no cache has one that could.
		out.State, out.Earliest = RolloverSafe, r.At
	case errors.Is(out.NextErr, ErrName) || errors.Is(out.NextErr, ErrPath):
		out.State = RolloverUnfit
	case out.NextErr == nil:
		out.Earliest = r.earliest(out)
		if out.State = RolloverWait; !out.Earliest.After(r.At) {
			out.State = RolloverSafe
		}
	}
	return out
}

// earliest is when the switch is safe, given that the set authenticates both.
func (r *RolloverRequest) earliest(out Rollover) time.Time {
	at := r.At
	// The record by which the current certificate passes is in every cache that makes
	// mail flow now. Any other may have been published a moment ago.
	if !out.Current.OK || out.Current.Matched != out.Next.Matched {
		published := r.Published
		if published.IsZero() {
			published = r.At
		}
		if t := published.Add(rolloverTTLs * r.TTL); t.After(at) {
			at = t
		}
	}
	if from, _ := validity(out.Next.Path.Certs); from.After(at) { // empty for DANE-EE
		at = from
	}
	return at
}

// validity is the time in which all of the certificates are valid; zero times if there
// are none.
func validity(cs []*x509.Certificate) (from, until time.Time) {
	for _, c := range cs {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if until.IsZero() || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}

// compare lists the records that the set lacks for the next certificate, one for each
// kind that it has, and those that match neither certificate, if both are known.
func (r *RolloverRequest) compare(known bool) (missing, stale []Record) {
	var covered, kinds []Recipe
	for _, u := range r.Set.uses {
		if unusable(u.Record, defaultStrength[:]) != NoFault {
			continue // a record that SMTP does not use, and that agility did not drop
		}
		k := Recipe{u.Record.Usage, u.Record.Selector, u.Record.MatchingType}
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
		if r.matchesAny(u.Record, r.Next) {
			covered = append(covered, k)
		} else if known && u.Usable && !r.matchesAny(u.Record, r.Current) {
			stale = append(stale, u.Record)
		}
	}
	if len(kinds) == 0 {
		kinds = []Recipe{Recommended(DANEEE)}
	}
	for _, k := range kinds {
		if slices.Contains(covered, k) {
			continue
		}
		if rec, err := fromPeer(k, r.Next, r.Work); err == nil {
			missing = append(missing, rec)
		}
	}
	return missing, stale
}

// matchesAny reports whether the data of r is that of what p presents: of the leaf or
// the bare key for DANE-EE, of any certificate for DANE-TA, or that r is an authority in
// DNS above p.
func (r *RolloverRequest) matchesAny(rec Record, p Peer) bool {
	record := prepare(rec, 0)
	if p.sent() == 0 {
		return rec.Usage == DANEEE && (&values{spki: p.RawKey}).match(&record)
	}
	certs := p.certs()
	for i, c := range certs {
		if i > 0 && rec.Usage == DANEEE {
			break
		}
		if c != nil && (&values{raw: c.Raw(), spki: c.SPKI()}).match(&record) {
			return true
		}
	}
	if record.anchor.IsZero() {
		return false // a digest, which needs the certificate in the chain
	}
	from, _ := validity(views(certs))
	_, err := pkix.Verify(pkix.Request{Certs: certs, Anchors: []pkix.Anchor{record.anchor}, At: from, Work: r.Work})
	return err == nil
}

// views returns what could be read of the certificates.
func views(certs []*pkix.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range certs {
		if c != nil {
			out = append(out, c.View())
		}
	}
	return out
}

// fromPeer makes a record of what p presents: of the leaf or the bare key for DANE-EE,
// of the last certificate for DANE-TA, if it is an authority.
func fromPeer(k Recipe, p Peer, work *pkix.Work) (Record, error) {
	certs := p.certs()
	if k.Usage == DANETA && len(certs) == 1 && (certs[0] == nil || !pkix.SelfSigned(certs[0], work)) {
		return Record{}, ErrNoMatch
	}
	return Material{Chain: certs, SPKI: p.RawKey}.Generate(k)
}
