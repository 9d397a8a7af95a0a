package dnssec

import (
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// A proven is the verdict on one RRset.
type proven struct {
	verdict
	ttl      uint32    // seconds
	original uint32    // the TTL in the zone, by the signatures; 0 if insecure
	expires  time.Time // by TTL and signatures
	sigEnd   time.Time // of the first signature to end; zero if insecure
	wildcard bool      // made from one, rightly
}

// verify judges an RRset of r by its signatures, and by the proof that r has for it if
// it is made from a wildcard. Without a good signature its zone decides.
func (t *task) verify(r *reply, set *proof.RRset) proven {
	var why verdict
	var tried [maxSigners]rfc6125.Name
	n := 0
	for i := range set.Sigs {
		signer := set.Sigs[i].Signer
		if seen(tried[:n], signer) {
			continue
		}
		if n == len(tried) {
			break
		}
		tried[n] = signer
		n++
		if !proof.CanSign(signer, set.Owner, set.Type) {
			why = moreTelling(why, bogus(set.Owner, Type(set.Type), &proof.Error{Kind: proof.ErrSigner, Text: signer.String()}))
			continue
		}
		v := t.verifyBy(r, set, signer)
		if v.ok() || v.final {
			return v
		}
		why = moreTelling(why, v.verdict)
	}
	if why.kind == nil {
		// DNSSEC4035-5-02: RFC 4035 section 5
		why = bogus(set.Owner, Type(set.Type), proof.ErrUnsigned)
	}
	home := set.Owner
	if set.Type == wire.TypeDS {
		home = home.Parent()
	}
	z := t.delegated(r, home)
	if z == nil {
		z = t.walk(home) // DNSSEC4035-5.2-02: RFC 4035 section 5.2
	}
	switch {
	case z.status == Insecure:
		return unsigned(set, r, z)
	case !z.ok() && (why.absent || z.final):
		return proven{verdict: z.verdict}
	}
	return proven{verdict: why}
}

// delegated looks in r itself for the proof that a zone at or above name is unsigned, as
// the authority section of an answer from such a zone may hold it (RFC 4035 section
// 5.2: the DS is asked for if the answer has neither it nor its denial). nil means that
// it has none.
func (t *task) delegated(r *reply, name rfc6125.Name) *zone {
	p, _ := t.v.covering(name, t.now)
	if p == nil {
		return nil
	}
	for i := range r.authority {
		set := &r.authority[i]
		if !isDenial(set) || len(set.Sigs) == 0 {
			continue
		}
		signer := set.Sigs[0].Signer
		if !name.IsSubdomainOf(signer) || !signer.IsSubdomainOf(p.zone) {
			continue
		}
		above := t.zone(signer)
		if above.status != Secure || !above.cut {
			return nil
		}
		recs, life, _ := t.denials(r, above) // none, which deny nothing, if there is an error
		for labels := signer.NumLabels() + 1; labels <= name.NumLabels(); labels++ {
			cut := name.Ancestor(labels)
			// An opt-out span does not do here: it says only that there might be a zone.
			if d, err := recs.Deny(cut, wire.TypeDS, t.budget); err == nil && d.Delegation {
				return &zone{cut: true, expires: life.expires, verdict: unsignedDelegation(cut)}
			}
		}
		return nil // one zone denies; another would have to lie above or below it
	}
	return nil
}

func unsignedDelegation(name rfc6125.Name) verdict {
	return insecure(name, TypeDS, ReasonUnsignedDelegation, 0, name.String()+" is provably unsigned: its parent has no DS for it")
}

// unsigned is the verdict on an RRset of an insecure zone.
func unsigned(set *proof.RRset, r *reply, z *zone) proven {
	return proven{verdict: z.verdict, ttl: set.TTL, expires: r.received.Add(positiveTTL(set.TTL))}
}

func seen(names []rfc6125.Name, n rfc6125.Name) bool {
	for _, m := range names {
		if m == n {
			return true
		}
	}
	return false
}

// verifyBy is verify by the signatures of one zone.
func (t *task) verifyBy(r *reply, set *proof.RRset, signer rfc6125.Name) proven {
	z := t.zone(signer)
	switch {
	case z.status == Insecure:
		// Whatever zone made the signature, what lies below an unsigned zone is unsigned;
		// unless an anchor below it says otherwise.
		if p, _ := t.v.covering(set.Owner, t.now); p != nil && !signer.IsSubdomainOf(p.zone) {
			return proven{verdict: bogus(set.Owner, Type(set.Type), &proof.Error{Kind: proof.ErrSigner, Text: signer.String()})}
		}
		return unsigned(set, r, z)
	case !z.ok():
		return proven{verdict: z.verdict}
	case !z.cut:
		return proven{verdict: bogus(set.Owner, Type(set.Type), &proof.Error{Kind: proof.ErrSigner, Text: signer.String() + " is no zone"})}
	}
	signed, err := z.keys.Verify(set, t.now, t.budget)
	if err != nil {
		return proven{verdict: bogus(set.Owner, Type(set.Type), err)}
	}
	if c := t.cutBetween(signer, set); c.IsValid() {
		return proven{verdict: bogus(set.Owner, Type(set.Type), &proof.Error{Kind: proof.ErrSigner, Text: signer.String() + ", though " + c.String() + " is a zone of its own"})}
	}
	out := proven{
		verdict: verdict{status: Secure},
		ttl:     signed.TTL,
		sigEnd:  earlier(signed.Expires, z.sigEnd),
	}
	out.expires = earlier(r.received.Add(positiveTTL(signed.TTL)), out.sigEnd)
	for i := range set.Sigs {
		if set.Sigs[i].Signer == signer {
			out.original = max(out.original, set.Sigs[i].OriginalTTL)
		}
	}
	if signed.Encloser.IsValid() {
		out.wildcard = true
		t.closer(r, set, z, signed.Encloser, &out) // DNSSEC4035-5.3.3-01: RFC 4035 section 5.3.3
	}
	return out
}

// cutBetween finds a zone that is known to be cut out below signer and to hold the
// RRset: then signer cannot (RFC 4035 section 5.3.1). Only what is known already is
// looked at, which costs nothing; it is asked for again, since cuts come and go.
func (t *task) cutBetween(signer rfc6125.Name, set *proof.RRset) rfc6125.Name {
	home := set.Owner
	if set.Type == wire.TypeDS {
		home = home.Parent()
	}
	for a := home; a.IsValid() && a != signer; a = a.Parent() {
		z := t.zones[a]
		if z == nil {
			kept, ok := t.v.zones.Get(a)
			if !ok || !kept.cut || !t.now.Before(kept.expires) {
				continue
			}
			t.v.zones.Remove(a)
			z = t.zone(a)
		}
		if z.ok() && z.cut {
			return a
		}
	}
	return rfc6125.Name{}
}

// closer demands the proof that no name closer to the owner exists than the wildcard
// that the RRset was made from (RFC 4035 section 5.3.4, RFC 5155 section 8.8).
func (t *task) closer(r *reply, set *proof.RRset, z *zone, encloser rfc6125.Name, out *proven) {
	recs, life, err := t.denials(r, z)
	if err == nil {
		var d proof.Denial
		if d, err = recs.DenyCloser(set.Owner, encloser, t.budget); err == nil {
			out.expires, out.sigEnd = earlier(out.expires, life.expires), earlier(out.sigEnd, life.sigEnd)
			switch {
			case d.Iterations:
				out.verdict = t.tooManyIterations(set.Owner, Type(set.Type), &recs)
			case d.OptOut:
				out.verdict = optedOut(set.Owner, Type(set.Type))
			}
			return
		}
	}
	out.verdict = bogusDenial(set.Owner, Type(set.Type), err)
	if out.reason.Code == ReasonDenialInvalid {
		out.reason.Code = ReasonWildcard
	}
}

func (t *task) tooManyIterations(name rfc6125.Name, typ Type, recs *proof.Records) verdict {
	v := insecure(name, typ, ReasonNSEC3Iterations, EDEUnsupportedIterations,
		recs.Zone.String()+" denies names with more NSEC3 iterations than are computed")
	v.reason.Denial, v.reason.Limit = true, uint16(t.v.cfg.MaxNSEC3Iterations)
	if len(recs.NSEC3) > 0 {
		v.reason.Number = recs.NSEC3[0].Iterations
	}
	return v
}

func optedOut(name rfc6125.Name, typ Type) verdict {
	return insecure(name, typ, ReasonOptOut, 0, "the denial for "+name.String()+" rests on an NSEC3 opt-out span")
}

// A lifespan is how long denial records may be used.
type lifespan struct {
	expires time.Time
	sigEnd  time.Time
}

// denials returns the NSEC and NSEC3 records of the zone in r's authority section, all
// verified. One that does not verify is left out; the error of it is returned if
// nothing is left.
func (t *task) denials(r *reply, z *zone) (proof.Records, lifespan, error) {
	recs := proof.Records{Zone: z.keys.Zone, MaxIterations: uint16(t.v.cfg.MaxNSEC3Iterations)}
	var life lifespan
	var failure error
	for i := range r.authority {
		set := &r.authority[i]
		// DNSSEC4035-5.3.2-01: RFC 4035 section 5.3.2
		if !isDenial(set) || !signedBy(set, recs.Zone) {
			continue
		}
		// DNSSEC4035-5.4-02: RFC 4035 section 5.4
		signed, err := z.keys.Verify(set, t.now, t.budget)
		if err == nil && signed.Encloser.IsValid() {
			// A record made from a wildcard says nothing of its owner.
			err = &proof.Error{Kind: proof.ErrLabels, Text: "a denial made from a wildcard"}
		}
		if err != nil {
			if failure = err; bogus(set.Owner, Type(set.Type), err).final {
				return proof.Records{}, life, err
			}
			continue
		}
		recs.Add(set)
		ttl := min(time.Duration(signed.TTL)*time.Second, MaxNegativeTTL)
		life.sigEnd = earlier(life.sigEnd, earlier(signed.Expires, z.sigEnd))
		life.expires = earlier(life.expires, earlier(r.received.Add(ttl), life.sigEnd))
	}
	if len(recs.NSEC)+len(recs.NSEC3) == 0 {
		if failure == nil {
			failure = errNoDenial
		}
		return proof.Records{}, life, failure
	}
	return recs, life, nil
}

// errNoDenial says that a response has no NSEC or NSEC3 record of the zone at all.
var errNoDenial = &proof.Error{Kind: proof.ErrNotDenied, Text: "there is no record that denies anything"}

func signedBy(set *proof.RRset, zone rfc6125.Name) bool {
	for i := range set.Sigs {
		if set.Sigs[i].Signer == zone {
			return true
		}
	}
	return false
}

// A denied is the verdict on a denial.
type denied struct {
	verdict
	denial  proof.Denial // what is proved, if Secure
	expires time.Time
	sigEnd  time.Time
}

// deny judges r as the claim that name has no records of the type. The claim may be
// about the end of an alias chain in r.
func (t *task) deny(r *reply, name rfc6125.Name, typ Type) denied {
	return t.denyAs(r, name, typ, true)
}

// denyDS is deny for the DS set of a name on the way to a zone. The SOA record with the
// denial is not looked at: RFC 4035 section 5.2 has the NSEC or NSEC3 records prove alone
// that a delegation is unsigned, and where an answer from the zone itself has them (see
// delegated), there is no such SOA record. So the status of a zone does not depend on the
// reply in which its proof was found (issue 1/8, F7).
func (t *task) denyDS(r *reply, name rfc6125.Name) denied {
	return t.denyAs(r, name, TypeDS, false)
}

// denyAs is deny; strict wants a good signature of the SOA record, if there is one.
func (t *task) denyAs(r *reply, name rfc6125.Name, typ Type, strict bool) denied {
	var why verdict
	var tried [maxSigners]rfc6125.Name
	n := 0
	for i := range r.authority {
		set := &r.authority[i]
		if set.Type != wire.TypeNSEC && set.Type != wire.TypeNSEC3 && set.Type != wire.TypeSOA {
			continue
		}
		for j := range set.Sigs {
			signer := set.Sigs[j].Signer
			if n == len(tried) || seen(tried[:n], signer) || !holds(signer, name, typ) || !set.Owner.IsSubdomainOf(signer) {
				continue
			}
			tried[n] = signer
			n++
			d := t.denyBy(r, name, typ, signer, strict)
			if d.ok() || d.final {
				return d
			}
			why = moreTelling(why, d.verdict)
		}
	}
	if why.kind == nil {
		why = bogusBy(name, typ, ReasonDenialMissing, EDENSECMissing, "nothing proves that it does not exist")
		why.absent, why.reason.Denial = true, true
	}
	home := name
	if typ == TypeDS && !name.IsRoot() {
		home = name.Parent()
	}
	z := t.delegated(r, home)
	if z == nil {
		z = t.walk(home)
	}
	switch {
	case z.status == Insecure:
		return denied{verdict: z.verdict, expires: r.received.Add(negativeTTL(soaFor(r.msg.Authority, name)))}
	case !z.ok() && (why.absent || z.final):
		return denied{verdict: z.verdict}
	}
	return denied{verdict: why}
}

// holds reports whether the zone can be the one to deny the type at name.
func holds(zone, name rfc6125.Name, typ Type) bool {
	return name.IsSubdomainOf(zone) && (typ != TypeDS || zone != name || name.IsRoot())
}

// denyBy is deny by the records of one zone.
func (t *task) denyBy(r *reply, name rfc6125.Name, typ Type, signer rfc6125.Name, strict bool) denied {
	z := t.zone(signer)
	switch {
	case z.status == Insecure:
		if p, _ := t.v.covering(name, t.now); p != nil && !signer.IsSubdomainOf(p.zone) {
			return denied{verdict: bogus(name, typ, &proof.Error{Kind: proof.ErrSigner, Text: signer.String()})}
		}
		return denied{verdict: z.verdict, expires: r.received.Add(negativeTTL(soaFor(r.msg.Authority, name)))}
	case !z.ok():
		return denied{verdict: z.verdict}
	case !z.cut:
		return denied{verdict: bogus(name, typ, &proof.Error{Kind: proof.ErrSigner, Text: signer.String() + " is no zone"})}
	}
	recs, life, err := t.denials(r, z)
	if err != nil {
		return denied{verdict: bogusDenial(name, typ, err)}
	}
	d, err := recs.Deny(name, uint16(typ), t.budget)
	if err == nil && d.WildcardOpen && r.msg.Rcode == wire.RcodeNXDomain {
		err = &proof.Error{Kind: proof.ErrNotDenied, Text: "nothing denies the wildcard"}
	}
	if err != nil {
		return denied{verdict: bogusDenial(name, typ, err)}
	}
	out := denied{verdict: verdict{status: Secure}, denial: d, expires: life.expires, sigEnd: life.sigEnd}
	switch {
	case d.Iterations:
		// NSEC3-9276-3.2-02: RFC 9276 section 3.2
		out.verdict = t.tooManyIterations(name, typ, &recs)
	case d.OptOut:
		out.verdict = optedOut(name, typ) // NSEC3-5155-9.2-01: RFC 5155 section 9.2
	}
	if soa := find(r.authority, signer, wire.TypeSOA); soa != nil {
		// RFC 2308 section 5, RFC 9077 section 3: whichever of the two is smaller. The
		// SOA record is no part of the proof, but one that was altered shows an attack.
		if !strict {
			// Its TTL can only make the denial shorter.
		} else if _, err := z.keys.Verify(soa, t.now, t.budget); err != nil {
			return denied{verdict: bogus(signer, TypeSOA, err)}
		}
		out.expires = earlier(out.expires, r.received.Add(negativeTTL(soaFor(r.msg.Authority, name))))
	}
	return out
}
