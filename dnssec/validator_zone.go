package dnssec

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
)

// A zone holds what is known of a name as a zone. Kept ones are shared and must not be
// changed.
//
// Its verdict is Secure if the name is the apex of a signed zone, whose keys are then
// set, or if it is provably no zone cut (cut is false); Insecure if it is unsigned,
// be it a cut or not, for a reason at or above it; otherwise a failure.
type zone struct {
	verdict
	cut     bool
	missing bool // no cut, and the name provably does not exist
	keys    *proof.KeySet
	expires time.Time // when this is to be proved again
	sigEnd  time.Time // when the first signature of the chain ends; zero for an insecure one
}

// zone proves what name is as a zone: by the trust anchors at it, else by its DS set
// or the denial of that, which its parent signs.
func (t *task) zone(name rfc6125.Name) *zone {
	if z := t.zones[name]; z != nil {
		return z
	}
	for {
		if z, ok := t.v.zones.Get(name); ok && t.now.Before(z.expires) {
			t.zones[name] = z
			return z
		}
		z, end := t.v.proofs.begin(t.ctx, t.share, name)
		switch {
		case end != nil:
			z = t.prove(name)
			end(z)
			return z
		case z == nil:
			return &zone{verdict: t.left(name)}
		case !z.own:
			t.zones[name] = z
			return z
		}
		// The one who proved it left, or could not afford it. Try by ourselves.
	}
}

// prove proves what name is as a zone, and keeps that.
func (t *task) prove(name rfc6125.Name) *zone {
	// A call that comes back here on the way, by records that vouch for themselves, finds
	// nothing proved.
	t.zones[name] = &zone{verdict: bogusBy(name, TypeDS, ReasonDenialMissing, EDEBogus, "the proof of the zone leads back to the zone")}
	z := t.proveZone(name)
	t.zones[name] = z
	if !z.own && (z.status == Bogus || z.kind == ErrBudget) {
		// A zone that fails costs most (RFC 4035 section 4.7, RFC 9520).
		z.expires = t.now.Add(DefaultFailureTTL)
	} else if !z.ok() {
		return z
	}
	if z.expires.After(t.now) {
		t.v.zones.Add(name, z)
	}
	return z
}

// left is the verdict where the task's context has ended.
func (t *task) left(name rfc6125.Name) verdict {
	err := context.Cause(t.ctx)
	e := upstreamFailed(t.q, Question{name, TypeDS}, err)
	return verdict{status: Indeterminate, kind: e.Kind, reason: e.Reason, cause: err, final: true, own: true}
}

func (t *task) proveZone(name rfc6125.Name) *zone {
	p, neg := t.v.covering(name, t.now)
	switch {
	case neg != nil:
		return &zone{verdict: insecure(neg.Name, 0, ReasonNegativeAnchor, 0,
			"a negative trust anchor makes "+neg.Name.String()+" unsigned: "+text.ASCII(neg.Reason, maxEDEText))}
	case p == nil:
		// DANE7672-2.1.1-02: RFC 7672 section 2.1.1
		return &zone{verdict: insecure(name, 0, ReasonNoAnchor, 0, "no trust anchor covers "+name.String())}
	case p.zone != name:
		return t.zoneByDS(name)
	}
	z := t.zoneByAnchor(p)
	// RFC 6840 section 5.10: of nested anchors, any success is accepted.
	if !z.ok() && !z.final && t.v.pointAbove(name.Parent()) != nil {
		if above := t.zoneByDS(name); above.ok() && above.cut {
			return above
		}
	}
	return z
}

// zoneByAnchor proves the keys of an anchored zone.
func (t *task) zoneByAnchor(p *point) *zone {
	trust := t.v.revoked.without(p.zone, p.trust(t.now))
	if len(trust.DS)+len(trust.Keys) == 0 {
		return t.noUsableAnchor(p.zone)
	}
	z := t.keys(p.zone, trust, p)
	switch {
	case z.reason.Code == ReasonNoKeyForDS, z.reason.Code == ReasonKeyRevoked:
		// A key that says it is revoked without signing that proves nothing.
		z.reason.Code = ReasonAnchorMismatch
		z.reason.Text = "no key of " + p.zone.String() + " fits a trust anchor: someone forges its keys, or the anchors are out of date"
	case z.status == Insecure:
		z.reason.Text = "the trust anchors of " + p.zone.String() + " have only algorithms or digests that are not supported"
	}
	return z
}

// noUsableAnchor follows doubt D11: RFC 5011 section 5 would go on as if the zone were
// unsigned, and so switch DANE off in silence.
func (t *task) noUsableAnchor(name rfc6125.Name) *zone {
	return &zone{verdict: verdict{status: Indeterminate, kind: ErrIndeterminate, final: true, reason: Reason{
		Code: ReasonNoUsableAnchor, Name: name, Type: TypeDNSKEY, EDE: EDEIndeterminate,
		Text: "every trust anchor of " + name.String() + " is revoked or expired",
	}}}
}

// keys proves the DNSKEY set of a zone by DS records, or by the anchors of p if it is not
// nil.
func (t *task) keys(name rfc6125.Name, trust proof.Trust, p *point) *zone {
	if !trust.Supported(t.v.cfg.Algorithms) {
		return &zone{cut: true, verdict: t.unsupported(name, trust)}
	}
	return t.twice(Question{name, TypeDNSKEY}, func(r *reply) *zone { return t.keysIn(r, name, trust, p) })
}

// unsupported is the verdict on a zone none of whose DS records, or trust anchors, counts:
// by its algorithm, or where that is supported by its digest type.
func (t *task) unsupported(name rfc6125.Name, trust proof.Trust) verdict {
	v := insecure(name, TypeDS, ReasonUnsupportedAlgorithm, EDEUnsupportedAlgorithm,
		name.String()+" is signed only with algorithms, or has only DS digest types, that are not supported")
	for _, k := range trust.Keys {
		v.reason.Number = uint16(k.Algorithm)
	}
	for _, ds := range trust.DS {
		v.reason.Number = uint16(ds.Algorithm)
		if t.v.cfg.Algorithms[ds.Algorithm] != nil {
			v.reason.Number, v.reason.EDE = uint16(ds.Digest), EDEUnsupportedDigest
			break
		}
	}
	return v
}

// twice asks q and judges the reply. RFC 4035 section 5.4: what is missing, or wrong, is
// asked for once more.
func (t *task) twice(q Question, judge func(*reply) *zone) *zone {
	var z *zone
	for range 2 {
		r, fail := t.get(q)
		if fail != nil {
			return &zone{verdict: *fail}
		}
		if z = judge(r); !z.again() {
			return z
		}
		t.forget(q)
	}
	z.settled = true
	return z
}

func (t *task) keysIn(r *reply, name rfc6125.Name, trust proof.Trust, p *point) *zone {
	if r.msg.Rcode != wire.RcodeNoError && r.msg.Rcode != wire.RcodeNXDomain {
		return &zone{verdict: t.rcodeVerdict(r, Question{name, TypeDNSKEY})}
	}
	set := find(r.answer, name, wire.TypeDNSKEY)
	if set == nil {
		z := &zone{verdict: bogusBy(name, TypeDNSKEY, ReasonKeysMissing, EDEDNSKEYMissing, "the zone is signed, and its keys are not there")}
		z.absent, z.server = true, r.server
		return z
	}
	if p != nil && t.v.revoked.note(p, set, t) {
		// RFC 5011 section 2.1: an anchor that revokes itself in this very set is none.
		// TA5011-2.1-01: RFC 5011 section 2.1
		if trust = t.v.revoked.without(name, trust); len(trust.DS)+len(trust.Keys) == 0 {
			return t.noUsableAnchor(name)
		}
	}
	ks, signed, err := proof.Authenticate(set, trust, t.v.cfg.Algorithms, t.now, t.budget)
	if err != nil {
		z := &zone{verdict: bogus(name, TypeDNSKEY, err)}
		z.server = r.server
		return z
	}
	return &zone{
		verdict: verdict{status: Secure},
		cut:     true,
		keys:    ks.Compact(),
		expires: earlier(t.now.Add(min(time.Duration(signed.TTL)*time.Second, maxZoneTTL)), signed.Expires),
		sigEnd:  signed.Expires,
	}
}

// zoneByDS proves what name is by its DS set.
func (t *task) zoneByDS(name rfc6125.Name) *zone {
	// DNSSEC4035-4.2-02: RFC 4035 section 4.2
	return t.twice(Question{name, TypeDS}, func(r *reply) *zone { return t.zoneByDSIn(r, name) })
}

func (t *task) zoneByDSIn(r *reply, name rfc6125.Name) *zone {
	if r.msg.Rcode != wire.RcodeNoError && r.msg.Rcode != wire.RcodeNXDomain {
		return &zone{verdict: t.rcodeVerdict(r, Question{name, TypeDS})}
	}
	if set := find(r.answer, name, wire.TypeDS); set != nil {
		return t.zoneByDSSet(r, set, name)
	}
	if alias := find(r.answer, name, wire.TypeCNAME); alias != nil {
		// RFC 1034 section 3.6.2: an alias has no other records, so it is no cut.
		if v := t.aliasThere(r, alias); v.ok() {
			return &zone{verdict: v.verdict, expires: v.expires, sigEnd: v.sigEnd}
		}
	}
	d := t.denyDS(r, name)
	z := &zone{verdict: d.verdict, expires: d.expires, sigEnd: d.sigEnd}
	switch {
	case d.status != Secure:
	case d.denial.Delegation: // DNSSEC6840-4.4-01: RFC 6840 section 4.4
		z.cut = true
		z.verdict = unsignedDelegation(name)
	default:
		z.missing = d.denial.NXDomain
	}
	return z
}

func (t *task) zoneByDSSet(r *reply, set *proof.RRset, name rfc6125.Name) *zone {
	v := t.verify(r, set)
	if v.status != Secure {
		return &zone{verdict: v.verdict, expires: v.expires}
	}
	if v.wildcard {
		// RFC 4592 section 4.4 leaves DS at a wildcard without meaning; no delegation is
		// made by one.
		return &zone{verdict: bogusBy(name, TypeDS, ReasonWildcard, EDEBogus, "a DS made from a wildcard")}
	}
	if why, bad := malformedRDATA(name, TypeDS, set.Data); bad {
		// Without this one the others may all be unsupported, and the zone would be taken
		// for an unsigned one (RFC 4035 section 5.2).
		return &zone{verdict: verdict{status: Indeterminate, kind: ErrMalformed, server: r.server, reason: why}}
	}
	var trust proof.Trust
	for _, d := range set.Data {
		if ds, ok := proof.ParseDS(d); ok {
			trust.DS = append(trust.DS, ds)
		}
	}
	z := t.keys(name, trust, nil)
	if z.status == Secure {
		z.sigEnd = earlier(z.sigEnd, v.sigEnd)
		z.expires = earlier(earlier(z.expires, v.expires), z.sigEnd)
	} else if z.status == Insecure {
		z.expires = v.expires
	}
	return z
}

// walk goes from the deepest trust anchor above name down to it, and says where that ends:
// at the first name that is not Secure, else at name or the last one that may exist. It is
// what judges records without a good signature: Insecure, and they are what they are, or
// Secure, and they are bogus.
func (t *task) walk(name rfc6125.Name) *zone {
	p, _ := t.v.covering(name, t.now)
	if p == nil {
		return t.zone(name) // no anchor, or a negative one
	}
	var z *zone
	for labels := p.zone.NumLabels(); labels <= name.NumLabels(); labels++ {
		if z = t.zone(name.Ancestor(labels)); z.status != Secure || z.missing {
			break // what is below it has its verdict, or does not exist
		}
	}
	return z
}

// sendAhead asks for what a proof by the signers of r will need, all at once: DNSKEY
// and DS of each signer, and of what lies between it and a zone that is known.
func (t *task) sendAhead(r *reply) {
	var done [maxSigners]rfc6125.Name
	n := 0
	for _, sets := range [...][]proof.RRset{r.answer, r.authority} {
	next:
		for i := range sets {
			for j := range sets[i].Sigs {
				s := sets[i].Sigs[j].Signer
				if !sets[i].Owner.IsSubdomainOf(s) {
					continue
				}
				for _, d := range done[:n] {
					if d == s {
						continue next
					}
				}
				if n == len(done) {
					return
				}
				done[n] = s
				n++
				t.zoneAhead(s)
				break
			}
		}
	}
}

// maxAhead bounds the names between a signer and a known zone that are asked about at
// once: honest zones that span several labels span two or three. Whether there is a zone at
// a name above the signer is a guess that saves time, and costs two questions where it is
// wrong; a plan that has many hosts makes none.
const maxAhead = 4

func (t *task) zoneAhead(name rfc6125.Name) {
	p, neg := t.v.covering(name, t.now)
	if p == nil || neg != nil {
		return
	}
	guesses := maxAhead
	if !t.share.rich() {
		guesses = 1
	}
	for range guesses {
		if t.zones[name] != nil || t.v.proofs.underWay(t.share, name) {
			return
		}
		if z, ok := t.v.zones.Peek(name); ok && t.now.Before(z.expires) {
			return
		}
		t.ahead(Question{name, TypeDNSKEY})
		if name == p.zone {
			return
		}
		t.ahead(Question{name, TypeDS})
		name = name.Parent()
	}
}

// apexAhead asks for DS and DNSKEY of the name of an MX question together with the question, if
// the zones above it are known and signed. A domain that mail is sent to is a zone of its own
// with few exceptions, so its DS set or the denial of that is needed in any case, and its keys if
// it is signed: they need not wait for an answer that shows who signs. Of other names, such as those of
// hosts, few are zones.
func (t *task) apexAhead() {
	name := t.q.Name
	if t.q.Type != TypeMX || name.IsRoot() || t.v.points[name] != nil || !t.share.rich() {
		return
	}
	if p, neg := t.v.covering(name, t.now); p == nil || neg != nil {
		return
	}
	kept := func(n rfc6125.Name) *zone {
		z, ok := t.v.zones.Peek(n)
		if !ok || !t.now.Before(z.expires) {
			return nil
		}
		return z
	}
	if kept(name) != nil || t.v.proofs.underWay(t.share, name) {
		return
	}
	for above := name.Parent(); ; above = above.Parent() {
		switch z := kept(above); {
		case z == nil || z.status != Secure || z.missing:
			return
		case z.cut:
			t.ahead(Question{name, TypeDS})
			t.ahead(Question{name, TypeDNSKEY})
			return
		case above.IsRoot():
			return
		}
	}
}

// stripped reports whether the upstream passes on no signatures at all: not even those
// of the root's keys, or of the keys that a trust anchor above name fits if the root has
// none, which are surely there and signed. One that denies their name is no better.
func (t *task) stripped(name rfc6125.Name) bool {
	q := Question{rfc6125.RootName(), TypeDNSKEY}
	if p := t.v.pointAbove(name); t.v.points[q.Name] == nil && p != nil {
		q.Name = p.zone
	}
	t.forget(q)
	r, fail := t.get(q)
	if fail != nil {
		return false
	}
	set := find(r.answer, q.Name, wire.TypeDNSKEY)
	answered := r.msg.Rcode == wire.RcodeNoError || r.msg.Rcode == wire.RcodeNXDomain
	return answered && (set == nil || len(set.Sigs) == 0)
}

func stripped(name rfc6125.Name, typ Type) verdict {
	return verdict{status: Indeterminate, kind: ErrIndeterminate, reason: Reason{
		Code: ReasonUpstreamStrips, Name: name, Type: typ, EDE: EDERRSIGsMissing,
		Text: "the resolver passes no DNSSEC signatures through, not even those of the root",
	}}
}

// revocations remembers the anchors that have revoked themselves (RFC 5011 section
// 2.1: for good). There are at most as many as anchors.
type revocations struct {
	mu   sync.Mutex // guards keys
	keys map[rfc6125.Name][][]byte
}

// note looks for anchors of the zone that revoke themselves in set. It reports whether
// there are any.
func (r *revocations) note(p *point, set *proof.RRset, t *task) bool {
	found := false
	for _, data := range proof.SelfRevoked(set, t.v.cfg.Algorithms, t.now, t.budget) {
		if !anchored(p.trust(t.now), p.zone, data) {
			continue
		}
		found = true
		r.mu.Lock()
		if !slices.ContainsFunc(r.keys[p.zone], func(k []byte) bool { return bytes.Equal(k, data) }) {
			if r.keys == nil {
				r.keys = make(map[rfc6125.Name][][]byte)
			}
			r.keys[p.zone] = append(r.keys[p.zone], bytes.Clone(data))
			t.v.cfg.Logger.Warn("dnssec: a trust anchor is revoked", "zone", p.zone.String(), "tag", proof.KeyTag(data))
		}
		r.mu.Unlock()
	}
	return found
}

// without returns those of the zone's anchors that are not revoked.
func (r *revocations) without(name rfc6125.Name, trust proof.Trust) proof.Trust {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := r.keys[name]
	var out proof.Trust
	for _, ds := range trust.DS {
		if !anyAnchored(proof.Trust{DS: []proof.DS{ds}}, name, gone) {
			out.DS = append(out.DS, ds)
		}
	}
	for _, k := range trust.Keys {
		if !anyAnchored(proof.Trust{Keys: []proof.Key{k}}, name, gone) {
			out.Keys = append(out.Keys, k)
		}
	}
	return out
}

func anyAnchored(t proof.Trust, name rfc6125.Name, keys [][]byte) bool {
	for _, data := range keys {
		if anchored(t, name, data) {
			return true
		}
	}
	return false
}

// anchored reports whether one of the anchors designates the key, which has been read
// before.
func anchored(t proof.Trust, name rfc6125.Name, data []byte) bool {
	k, _ := proof.ParseKey(data)
	for _, ds := range t.DS {
		if ds.Matches(name, k) {
			return true
		}
	}
	for _, a := range t.Keys {
		if bytes.Equal(a.Data, data) {
			return true
		}
	}
	return false
}

// earlier returns the earlier of two times; a zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
