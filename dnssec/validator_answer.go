package dnssec

import (
	"slices"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// typeANY asks for every type of a name (RFC 1035 section 3.2.3).
const typeANY Type = wire.TypeANY

// resolve answers the task's question: it asks, follows the aliases of the response
// one by one, each proved, and asks again where the response ends.
func (t *task) resolve() (Answer, *LookupError) {
	a := Answer{Question: t.q, Final: t.q.Name, Status: Secure}
	if !t.q.Name.IsValid() {
		a.Status, a.Reason = Indeterminate, Reason{Code: ReasonMalformed, Text: "the question has no name"}
		return a, failed(t.q, ErrMalformed, a.Reason)
	}
	t.apexAhead()
	for {
		v, done := t.step(&a)
		if !v.ok() {
			v.reason.Zone = t.home(v.reason)
			a.Status, a.Reason, a.Kind, a.Records = v.status, v.reason, 0, nil
			e := v.err(t.q)
			e.EDE = a.EDE
			e.answeredBy(a.Server)
			return a, e
		}
		if done {
			a.Reason.Zone = t.home(a.Reason)
			return a, nil
		}
	}
}

// home is the zone to be put right for a reason: the deepest that is known to hold the
// record that decided. Nothing is asked for it.
func (t *task) home(r Reason) rfc6125.Name {
	if r.Zone.IsValid() || !r.Name.IsValid() || r.Code == "" {
		return r.Zone
	}
	at := r.Name
	switch {
	case r.Type == TypeDNSKEY:
		return at
	case r.Code == ReasonUnsupportedAlgorithm && r.EDE == EDEUnsupportedAlgorithm:
		return at // the algorithm is that of its keys
	case r.Type == TypeDS && !at.IsRoot():
		at = at.Parent()
	}
	for ; ; at = at.Parent() {
		z := t.zones[at]
		if z == nil {
			z, _ = t.v.zones.Peek(at)
		}
		if z != nil && z.cut {
			return at
		}
		if at.IsRoot() {
			return rfc6125.Name{}
		}
	}
}

// step asks for the name that a has come to, and judges the response as far as it
// goes. done means that the answer is complete.
func (t *task) step(a *Answer) (v verdict, done bool) {
	q := Question{a.Final, t.q.Type}
	from := *a
	// RFC 4035 section 5.4: a question whose proof is incomplete is asked once more. So
	// is one whose proof is wrong: behind one address there are often several caches.
	for try := range 2 { // DNSSEC4035-5.4-03: RFC 4035 section 5.4
		r, fail := t.get(q)
		if fail != nil {
			return *fail, false
		}
		a.Server, a.Received = r.server, r.received
		a.EDE = append(slices.Clip(a.EDE), extendedErrors(r.msg.Errors)...)
		t.sendAhead(r)
		v, done = t.judge(r, a)
		if !v.again() {
			break
		}
		if try == 0 {
			*a = from
			t.forget(q)
		}
	}
	if v.absent && t.stripped(a.Final) {
		v = stripped(v.reason.Name, v.reason.Type)
	}
	return v, done
}

// judge reads r as the answer to a's final name.
func (t *task) judge(r *reply, a *Answer) (v verdict, done bool) {
	switch r.msg.Rcode {
	case wire.RcodeNoError, wire.RcodeNXDomain, wire.RcodeYXDomain:
	default:
		return t.rcodeVerdict(r, Question{a.Final, t.q.Type}), false
	}
	steps := 0
	for {
		if t.q.Type == typeANY && anyAt(r.answer, a.Final) {
			return t.collectAny(r, a)
		}
		if set := find(r.answer, a.Final, uint16(t.q.Type)); set != nil {
			return t.collect(r, set, a), true
		}
		moved, v := t.alias(r, a)
		if !v.ok() {
			return v, false
		}
		if !moved {
			break
		}
		steps++
	}
	if t.q.Type == TypeRRSIG && t.collectSigs(r, a) {
		return verdict{status: Insecure}, true
	}
	if steps > 0 && r.msg.Rcode != wire.RcodeNXDomain && !hasSOA(r.msg.Authority, a.Final) {
		// The response ends here: ask on. NSEC and NSEC3 records in it prove wildcards
		// on the way; without a SOA record it denies nothing (RFC 2308 section 2.2).
		return verdict{status: Secure}, false
	}
	d := t.deny(r, a.Final, t.q.Type)
	if !d.ok() {
		if steps > 0 && !d.final {
			// What the response says of the end of the chain is no proof. Ask for itself.
			return verdict{status: Secure}, false
		}
		return d.verdict, false
	}
	if d.status == Insecure && r.msg.Rcode != wire.RcodeNXDomain && isReferral(r.msg) && !ownDenial(r.authority) {
		return verdict{status: Indeterminate, kind: ErrRefused, server: r.server, reason: Reason{Code: ReasonReferral, Name: a.Final, Type: t.q.Type,
			Text: "the server refers to others instead of asking them: it is no recursive resolver"}}, false
	}
	a.Kind = NoData
	switch {
	case d.status == Secure && d.denial.NXDomain, d.status == Insecure && r.msg.Rcode == wire.RcodeNXDomain:
		a.Kind = NXDomain
	}
	a.add(d.verdict, d.expires, d.sigEnd)
	return d.verdict, true
}

// ownDenial reports whether there are NSEC or NSEC3 records by the zone whose servers are
// named. A referral has those of the zone above it (RFC 4035 section 3.1.4.1).
func ownDenial(sets []proof.RRset) bool {
	for i := range sets {
		if isDenial(&sets[i]) && slices.ContainsFunc(sets[i].Sigs, func(s proof.RRSIG) bool {
			return find(sets, s.Signer, wire.TypeNS) != nil
		}) {
			return true
		}
	}
	return false
}

// isDenial reports whether the set is of NSEC or NSEC3 records.
func isDenial(set *proof.RRset) bool {
	return len(set.Data) > 0 && (set.Type == wire.TypeNSEC || set.Type == wire.TypeNSEC3)
}

// add lets a's status, reason and end be those of one more part of it.
func (a *Answer) add(v verdict, expires, sigEnd time.Time) {
	if v.status < a.Status { // DANE7672-2.1.3-03: RFC 7672 section 2.1.3
		a.Status, a.Reason = v.status, v.reason
	}
	a.Expires = earlier(a.Expires, expires)
	a.SignaturesEnd = earlier(a.SignaturesEnd, sigEnd)
}

// collect proves the RRset that was asked for.
func (t *task) collect(r *reply, set *proof.RRset, a *Answer) verdict {
	if set.Type != wire.TypeCNAME && find(r.answer, set.Owner, wire.TypeCNAME) != nil {
		v := verdict{status: Indeterminate, kind: ErrMalformed, server: r.server,
			reason: malformedAt(set.Owner, TypeCNAME, "an alias in addition to other records of the name")}
		return v
	}
	p := t.verifyAlias(r, set)
	if p.ok() {
		return a.take(r, set, p)
	}
	return p.verdict
}

// take adds the records of a set that was proved. It fails if one of them is malformed,
// secure or not: what cannot be read is no statement about the name.
func (a *Answer) take(r *reply, set *proof.RRset, p proven) verdict {
	if why, bad := malformedRDATA(set.Owner, Type(set.Type), set.Data); bad {
		return verdict{status: Indeterminate, kind: ErrMalformed, server: r.server, reason: why}
	}
	a.Kind, a.OriginalTTL = Data, p.original
	for _, d := range set.Data {
		a.Records = append(a.Records, Record{Type: Type(set.Type), TTL: p.ttl, Data: d})
	}
	a.add(p.verdict, p.expires, p.sigEnd)
	return p.verdict
}

// verifyAlias is verify; an unsigned CNAME below a DNAME is vouched for by that (RFC
// 4035 section 4.8), if it is what that makes.
func (t *task) verifyAlias(r *reply, set *proof.RRset) proven {
	if set.Type != wire.TypeCNAME || len(set.Sigs) > 0 {
		return t.verify(r, set)
	}
	d := t.redirectionIn(r, set.Owner)
	if d == nil {
		var p proven
		if p, d = t.bareAlias(r, set); d == nil {
			return p
		}
	}
	if made, err := targetOf(set); d.ok() || d.wildcard {
		if d.wildcard || d.malformed || err != nil || made != d.target {
			d.verdict = t.forged(set.Owner, d)
		}
	}
	return d.proven
}

// forged is the verdict on a CNAME that is not what the DNAME above it makes.
func (t *task) forged(owner rfc6125.Name, d *redirection) verdict {
	return bogusBy(owner, TypeCNAME, ReasonAliasForged, EDEBogus, "not what the DNAME at "+d.owner.String()+" makes")
}

// anyAt reports whether there are records of any type at the name.
func anyAt(sets []proof.RRset, name rfc6125.Name) bool {
	for i := range sets {
		if len(sets[i].Data) > 0 && sets[i].Owner == name {
			return true
		}
	}
	return false
}

// collectAny proves every RRset at the name. That there are no others is not known.
func (t *task) collectAny(r *reply, a *Answer) (verdict, bool) {
	for i := range r.answer {
		set := &r.answer[i]
		if len(set.Data) == 0 || set.Owner != a.Final {
			continue
		}
		p := t.verifyAlias(r, set)
		if !p.ok() {
			return p.verdict, false
		}
		if v := a.take(r, set, p); !v.ok() {
			return v, false
		}
	}
	return verdict{status: a.Status}, true
}

// collectSigs takes the signatures at the name, where they are what was asked for. They
// are not signed themselves (RFC 4035 section 2.2), so nothing is known of them.
func (t *task) collectSigs(r *reply, a *Answer) bool {
	v := insecure(a.Final, TypeRRSIG, ReasonUnsignedType, 0, "signatures are not signed themselves")
	for _, rr := range r.msg.Answer {
		if rr.Type == wire.TypeRRSIG && rr.Owner == a.Final {
			a.Kind = Data
			a.Records = append(a.Records, recordOf(rr))
			a.add(v, r.received.Add(positiveTTL(rr.TTL)), time.Time{})
		}
	}
	return a.Kind == Data
}

// alias follows one alias at a's final name, if r has one. The step is added to the
// chain once it is proved.
func (t *task) alias(r *reply, a *Answer) (moved bool, v verdict) {
	ok := verdict{status: Secure}
	if t.q.Type == TypeCNAME || t.q.Type == typeANY {
		return false, ok
	}
	cname := find(r.answer, a.Final, wire.TypeCNAME)
	step := Alias{Owner: a.Final, Type: TypeCNAME}
	var p proven
	var d *redirection
	if cname == nil || len(cname.Sigs) == 0 {
		// RFC 4035 section 4.8, RFC 6672 section 5.3.1: the CNAME is not signed; it is
		// judged by the DNAME and by being what that makes.
		d = t.redirectionIn(r, a.Final) // DNSSEC4035-4.8-01: RFC 4035 section 4.8
	}
	switch {
	case d != nil:
		p = d.proven
	case cname == nil:
		return false, ok
	case len(cname.Sigs) == 0:
		p, d = t.bareAlias(r, cname)
	default:
		p = t.verify(r, cname)
	}
	if !p.ok() {
		return false, p.verdict // DANE7672-2.1.3-02: RFC 7672 section 2.1.3
	}
	if d != nil {
		if v := t.follow(r, d, cname, &step); !v.ok() {
			return false, v
		}
	} else {
		to, err := targetOf(cname)
		if err != nil {
			return false, t.malformed(r, cname.Owner, TypeCNAME, "an alias with two targets, or with none that can be read")
		}
		step.Target = to
	}
	step.Status, step.TTL = p.status, p.ttl
	chain := append(slices.Clip(a.Chain), step)
	for _, s := range chain {
		if s.Owner == step.Target {
			return false, t.loop(aliasLoop(t.q, step))
		}
	}
	if len(a.Chain) == MaxAliases {
		return false, t.loop(aliasLimit(t.q))
	}
	a.Chain, a.Final = chain, step.Target
	a.add(p.verdict, p.expires, p.sigEnd)
	return true, ok
}

// follow lets step be the alias that d makes. cname is the CNAME of r next to it; nil if
// there is none.
func (t *task) follow(r *reply, d *redirection, cname *proof.RRset, step *Alias) verdict {
	if d.malformed {
		if r.msg.Rcode == wire.RcodeYXDomain {
			return verdict{status: Indeterminate, kind: ErrRefused, server: r.server, reason: Reason{
				Code: ReasonRcode, Name: step.Owner, Type: TypeDNAME, Text: "the name is too long after the DNAME is applied"}}
		}
		return t.malformed(r, d.owner, TypeDNAME, "a DNAME that makes no name")
	}
	if cname != nil && !d.fetched {
		if made, err := targetOf(cname); err != nil || made != d.target {
			v := t.forged(step.Owner, d)
			v.server = r.server
			return v
		}
	}
	// A DNAME that was fetched for its CNAME can be newer and lead elsewhere: the DNAME is
	// what the zone signs.
	step.Type, step.Target = TypeDNAME, d.target
	return verdict{status: Secure}
}

func (t *task) loop(e *LookupError) verdict {
	return verdict{status: Indeterminate, kind: e.Kind, reason: e.Reason, final: true}
}

func (t *task) malformed(r *reply, name rfc6125.Name, typ Type, text string) verdict {
	return verdict{status: Indeterminate, kind: ErrMalformed, server: r.server, reason: malformedAt(name, typ, text)}
}

// targetOf reads the target of a CNAME set, which has one record.
func targetOf(set *proof.RRset) (rfc6125.Name, error) {
	if len(set.Data) != 1 {
		return rfc6125.Name{}, rfc6125.ErrName
	}
	return rfc6125.NameFromWire(set.Data[0])
}

// dnameAbove finds the DNAME set closest above name.
func dnameAbove(sets []proof.RRset, name rfc6125.Name) *proof.RRset {
	var found *proof.RRset
	for i := range sets {
		s := &sets[i]
		if s.Type == wire.TypeDNAME && len(s.Data) > 0 && s.Owner != name && name.IsSubdomainOf(s.Owner) &&
			(found == nil || s.Owner.IsSubdomainOf(found.Owner)) {
			found = s
		}
	}
	return found
}

// rcodeVerdict says what a response with an rcode that is no answer means.
func (t *task) rcodeVerdict(r *reply, asked Question) verdict {
	v := verdict{status: Indeterminate, server: r.server}
	if r.msg.Rcode != wire.RcodeServFail {
		e := rcodeFailed(t.q, asked, r.msg.Rcode)
		v.kind, v.reason = e.Kind, e.Reason
		return v
	}
	v.kind = ErrServFail
	v.reason = Reason{Code: ReasonServFail, Name: asked.Name, Type: asked.Type, Text: "the resolver answers SERVFAIL for " + asked.String()}
	if t.refusesCD(r) {
		v.kind = ErrIndeterminate
		v.reason.Code, v.reason.EDE = ReasonUpstreamCD, EDEIndeterminate
		v.reason.Text = "the resolver answers SERVFAIL though it is asked not to validate (CD), so it cannot be seen whether the zone or the resolver is wrong: use one that honours CD"
	}
	return v
}

// refusesCD reports whether the upstream validates in spite of CD, or answers SERVFAIL
// to whatever has CD set: it says so, or it cannot even give the root's keys.
func (t *task) refusesCD(r *reply) bool {
	for _, e := range extendedErrors(r.msg.Errors) {
		if e.SaysBogus() {
			return true
		}
	}
	root, fail := t.get(Question{rfc6125.RootName(), TypeDNSKEY})
	return fail == nil && root.msg.Rcode == wire.RcodeServFail
}
