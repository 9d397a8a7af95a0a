package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
)

// An Account is what an administrator reads about a domain:
//
//	mx.example.org has no TLSA records (at _25._tcp.mx.example.org). So the connection ...
//	for the owner of the domain: Publish the TLSA record of the key ...
//	    _25._tcp.mx.example.org. IN TLSA 3 1 1 0a1b2c...
type Account struct {
	Cause  string   // its first sentence names the root cause
	RFC    string   // section of the rule
	Also   []string // further faults that change what to do, a sentence or two each
	Owner  []Cure   // for the owner of the domain, in this order
	Sender []string // for who sends
	Hints  []Hint   // for who asks; the program adds the words
}

// Tell explains the verdict on a domain: the cause of its verdict, what else is wrong, and what
// each side can do. All cures together lead to a state in which nothing of it is left.
func Tell(p *engine.Plan, ds []engine.Decision, s engine.Summary) Account {
	b := &accountBuilder{p: p, a: Account{RFC: rfcOf(s.Reason)}}
	t := all(s.Reason)
	b.a.Cause = t.cause
	if ev, ok := s.Reason.Evidence.(*reason.LookupFailed); ok {
		b.again(ev.Err)
	}
	b.hosts(ds, s)
	b.take(t, s.Outcome != engine.Authenticated && len(b.a.Owner) == 0)
	b.families()
	for _, f := range p.Findings {
		b.also(f)
	}
	for i := range ds {
		for _, f := range ds[i].Details {
			if !b.repeats(&ds[i], f) {
				b.alsoOf(f, &ds[i])
			}
		}
		b.unread(&ds[i], i)
	}
	b.mx()
	for i := range p.Drops {
		b.fault(drop(engine.Reason{Domain: p.Orig}, &p.Drops[i]), statement{})
	}
	return b.a
}

// all explains every reason, also those that only the table explains.
func all(r engine.Reason) statement {
	inner := engine.Reason{}
	switch ev := r.Evidence.(type) {
	case *engine.Overridden:
		inner = ev.Failed
	case *engine.Underlying:
		inner = ev.Reason
	}
	if !inner.IsZero() {
		t := all(inner)
		t.cause = Text(r)
		if r.ID == reason.Exception {
			t.hints = append(t.hints, HintException)
		}
		return t
	}
	if t, ok := explainReason(r); ok {
		return t
	}
	t := statement{cause: Text(r)}
	i := byID[r.ID]
	if i == nil {
		return t
	}
	if l, ok := r.Evidence.(*engine.Library); ok {
		if fix := ObstacleCure(l); fix != "" {
			t.cause = strings.TrimSpace(strings.TrimSuffix(t.cause, fix))
			t.owner = []Cure{cure(read(r).hostBy(fix))}
		}
		return t
	}
	if !strings.HasPrefix(i.Recipient, nothing) {
		t.owner = append(t.owner, cure(i.Recipient))
	}
	if !strings.HasPrefix(i.Sender, nothing) {
		t.sender = append(t.sender, i.Sender)
	}
	if r.ID == reason.MemoryTLS {
		// The same words as of a host without STARTTLS, which are said once.
		t.owner = append(read(r).startTLS(), cure("Then publish DANE or MTA-STS, so that an attacker cannot remove the offer."))
	}
	switch r.ID {
	case reason.MemoryDANE, reason.MemorySTS, reason.MemoryTLS:
		t.hints = append(t.hints, HintForget)
	}
	return t
}

// nothing begins advice that is not given.
const nothing = "Nothing"

// An accountBuilder puts an account together.
type accountBuilder struct {
	p     *engine.Plan
	a     Account
	said  []string    // sentences of faults
	zones []zoneFault // that were named
}

// A zoneFault is what is wrong with a zone: many lookups can fail by it.
type zoneFault struct {
	zone rfc6125.Name
	code dnssec.ReasonCode
}

// again reports whether a lookup failed by a fault of its zone that was named.
func (b *accountBuilder) again(err error) bool {
	le := lookupOf(err)
	if le == nil || !le.Reason.Zone.IsValid() {
		return false
	}
	z := zoneFault{le.Reason.Zone, le.Reason.Code}
	if slices.Contains(b.zones, z) {
		return true
	}
	b.zones = append(b.zones, z)
	return false
}

// take adds the advice of a fault, each once.
func (b *accountBuilder) take(t statement, owner bool) {
	if owner {
		for _, c := range t.owner {
			if !slices.ContainsFunc(b.a.Owner, func(o Cure) bool { return o.Text == c.Text && slices.Equal(o.Lines, c.Lines) }) {
				b.a.Owner = append(b.a.Owner, c)
			}
		}
	}
	for _, s := range t.sender {
		if !slices.Contains(b.a.Sender, s) {
			b.a.Sender = append(b.a.Sender, s)
		}
	}
	for _, h := range t.hints {
		if !slices.Contains(b.a.Hints, h) {
			b.a.Hints = append(b.a.Hints, h)
		}
	}
}

// fault adds a further fault, unless that was said.
func (b *accountBuilder) fault(text string, t statement) {
	first, _, _ := strings.Cut(text, ". ")
	if text == "" || strings.Contains(strings.ToLower(b.a.Cause), strings.ToLower(strings.TrimSuffix(first, "."))) || slices.Contains(b.said, first) {
		if b.p.STS.Cached {
			// What is wrong with the published policy is said in addition to that of the kept one.
			b.take(t, true)
		}
		return
	}
	b.said = append(b.said, first)
	b.a.Also = append(b.a.Also, text)
	b.take(t, true)
}

// also adds a further reason.
func (b *accountBuilder) also(r engine.Reason) { b.alsoOf(r, nil) }

// alsoOf adds a further reason about a host; d is what its connection showed.
func (b *accountBuilder) alsoOf(r engine.Reason, d *engine.Decision) {
	if b.covered(r) {
		return
	}
	t := all(r)
	if r.ID == reason.TLSAUnusable && d != nil {
		t = read(r).tlsaUnusable(&reason.Shown{Chain: d.Peer.Chain, RawKey: d.Peer.RawKey})
	}
	if _, ok := r.Evidence.(*reason.LookupFailed); ok && d != nil && d.Deliver {
		t.cause, _, _ = strings.Cut(t.cause, ". ") // what follows from it does not
		t.cause += "."
	}
	b.fault(t.cause, t)
}

// repeats reports whether a detail says of another policy what the verdict on the host
// says: that there is no TLS, or that no TLSA record can be used.
func (b *accountBuilder) repeats(d *engine.Decision, r engine.Reason) bool {
	of := d.Reason
	if u, ok := of.Evidence.(*engine.Underlying); ok {
		of = u.Reason
	}
	_, was := of.Evidence.(*engine.NoTLS)
	_, is := r.Evidence.(*engine.NoTLS)
	switch r.ID {
	case reason.TLSAUnusable:
		return d.Reason.ID == reason.NoMethod || d.Reason.ID == reason.DANERequired
	}
	return was && is
}

// covered reports whether the sentence of the verdict speaks of the reason already.
func (b *accountBuilder) covered(r engine.Reason) bool {
	if ev, ok := r.Evidence.(*reason.PolicyFailed); ok && r.ID == reason.STSRecordFail && b.again(ev.Err) {
		return true
	}
	switch r.ID {
	case reason.MemoryDANE, reason.MemorySTS:
		return true // among the drops
	case reason.STSName, reason.STSExpired, reason.STSUntrusted, reason.STSNoMatch:
		// What a policy in mode testing would have refused is part of what the verdict says
		// of the host.
		return r.Host != nil && r.Host.NoSTS == reason.NoSTSTesting && r.Host.Ground == reason.GroundNoPolicy
	}
	return false
}

// A group is hosts of which the same is true.
type group struct {
	kind  faultKind
	told  statement
	hosts []string
	main  bool // it is the fault of the verdict
	lost  bool // no mail goes there
	fine  bool // it is authenticated
}

// hosts adds what is different about the other hosts, hosts with the same fault together.
func (b *accountBuilder) hosts(ds []engine.Decision, s engine.Summary) {
	var groups []group
	for i := range ds {
		if i >= len(b.p.Hosts) || ds[i].Reason.IsZero() {
			continue
		}
		d := &ds[i]
		g := group{kindOf(d.Reason), all(d.Reason), []string{b.p.Hosts[i].String()}, d.Reason == s.Reason, s.Deliver && !d.Deliver, d.Outcome == engine.Authenticated}
		n := slices.IndexFunc(groups, func(o group) bool { return o.kind == g.kind && o.lost == g.lost })
		if n < 0 {
			groups = append(groups, g)
			continue
		}
		groups[n].join(g)
	}
	for _, g := range groups {
		if g.main {
			b.take(g.told, s.Outcome != engine.Authenticated)
			continue
		}
	}
	for _, g := range groups {
		var others []string
		switch {
		case g.main:
			others = g.hosts[1:]
		case g.fine:
			continue
		case g.lost:
			b.a.Also = append(b.a.Also, fmt.Sprintf("No mail goes to %s now. %s", list(g.hosts), g.told.cause))
			b.take(g.told, true)
			continue
		default:
			b.a.Also = append(b.a.Also, g.told.cause)
			b.take(g.told, true)
			others = g.hosts[1:]
		}
		if len(others) > 0 {
			b.a.Also = append(b.a.Also, fmt.Sprintf("The same is true of %s.", list(others)))
		}
	}
}

// join adds a host to a group: its lines that are ready to copy, and to the advice about a
// host that it is meant as well.
func (g *group) join(o group) {
	first := g.hosts[0]
	if o.main {
		g.main = true
		first, g.hosts = o.hosts[0], append(o.hosts, g.hosts...)
		g.told, o.told = o.told, g.told
	} else {
		g.hosts = append(g.hosts, o.hosts...)
	}
	for i := range g.told.owner {
		c := &g.told.owner[i]
		if i >= len(o.told.owner) || !strings.Contains(c.Text+strings.Join(c.Lines, " "), first) {
			continue
		}
		for _, l := range o.told.owner[i].Lines {
			if !slices.Contains(c.Lines, l) && !strings.HasPrefix(l, "_mta-sts.") {
				c.Lines = append(slices.Clone(c.Lines), l)
			}
		}
	}
}

// A faultKind is what two faults have in common that differ in nothing but their host.
type faultKind struct {
	id      reason.ID
	dane    reason.NoDANE
	sts     reason.NoSTS
	part    engine.Requirement
	ending  engine.Ending
	trouble certTrouble
	names   string
	pair    bool
	code    dnssec.ReasonCode
	err     string
}

// kindOf returns the kind of a reason.
func kindOf(r engine.Reason) faultKind {
	k := faultKind{id: r.ID}
	if h := r.Host; h != nil {
		k.dane, k.sts = h.NoDANE, h.NoSTS
		if h.NoDANE == reason.NoDANEAddressInsecure {
			k.code = answerOf(h).Reason.Code
		}
	}
	switch ev := r.Evidence.(type) {
	case *engine.NoTLS:
		k.part, k.ending, k.err = ev.Part, ev.Peer.Ending, fmt.Sprint(ev.Peer.Code)
	case *reason.Shown:
		k.pair = ev.Pair != nil
		k.trouble, k.names = judgeChain(ev).trouble, strings.Join(ev.Presented, " ")
		if k.trouble != certName {
			k.names = ""
		}
	case *reason.LookupFailed:
		if le := lookupOf(ev.Err); le != nil {
			k.code, k.names, k.err = le.Reason.Code, le.Reason.Zone.String(), le.Kind.Error()
		}
	case *engine.Overridden:
		k.err = string(ev.Failed.ID)
	case *engine.Underlying:
		k.err = string(ev.Reason.ID)
	}
	return k
}

// families adds an address family that cannot be looked up, where the other one can.
func (b *accountBuilder) families() {
	for i := range b.p.Hosts {
		h := &b.p.Hosts[i]
		if h.DANE.Address != dane.AddressOK {
			continue
		}
		for _, l := range []struct {
			t dnssec.Type
			l dane.Lookup
		}{{dnssec.TypeA, h.DANE.A}, {dnssec.TypeAAAA, h.DANE.AAAA}} {
			if l.l.Err == nil || b.again(l.l.Err) {
				continue
			}
			what := fmt.Sprintf("the address records (%s) of the mail host %s", l.t, h)
			var t statement
			if own := OwnFault(l.l.Err); own != NoHint {
				t.hints = append(t.hints, own)
			} else if fix := lookupCure(l.l.Err); fix.text != "" {
				t.owner = []Cure{cure(by(b.p, fix.zone.String(), strings.Replace(fix.text, ";", fmt.Sprintf(" (the %s record does not count until then);", l.t), 1)))}
			}
			b.fault(capital(failedLookup(l.l.Err, what))+"; mail is delivered to its other addresses.", t)
		}
	}
}

// unread adds TLSA records that do not count where others do.
func (b *accountBuilder) unread(d *engine.Decision, i int) {
	if i >= len(b.p.Hosts) {
		return
	}
	h := &b.p.Hosts[i]
	if h.DANE.State != dane.Usable || d.Reason.ID == reason.DANENoMatch {
		return
	}
	if text := tooMany(h.DANE.Set); text != "" {
		b.fault(text, statement{owner: []Cure{cure(fmt.Sprintf("Delete the TLSA records at %s that are not needed: two to four are enough.", tlsaOwner(h, h.DANE.Base)))}})
		return
	}
	for _, u := range h.DANE.Set.Uses() {
		if u.Usable || u.Fault == dane.FaultOutranked {
			continue
		}
		owner := tlsaOwner(h, h.DANE.Base)
		b.fault(fmt.Sprintf("One of the TLSA records at %s cannot be used for mail, and others can: %s, %s.", owner, recordOf(u.Record), whyUnusable(u)),
			statement{owner: []Cure{cure(by(b.p, h.DANE.Base.String(), fmt.Sprintf("Delete the record `%s` at %s.", recordOf(u.Record), owner)))}})
	}
}

// recordOf is a record with the beginning of its data, also of one that is short.
func recordOf(r dane.Record) string {
	s := r.String()
	if len(s) > 30 {
		return text.Cut(s, 26)
	}
	return s
}

// mx adds MX records that are not used.
func (b *accountBuilder) mx() {
	for _, u := range b.p.MX.Unused {
		var t statement
		switch u.Why {
		case reason.MXNotHost:
			t.owner = []Cure{cure(fmt.Sprintf("Let each MX record of %s name a host (`10 mail.example.org.`); an IP address is not allowed there.", b.p.Orig))}
			b.fault(fmt.Sprintf("The MX record `%d %s` of %s names no host and is not used.", u.Preference, u.Name, b.p.Orig), t)
		case reason.MXRoot:
			t.owner = []Cure{cure(fmt.Sprintf("Delete the MX record of %s that names the root (`.`): it says that the domain takes no mail, and the others say that it does.", b.p.Orig))}
			b.fault(fmt.Sprintf("%s has an MX record that says that it takes no mail (`.`), and other MX records as well; the first is not used.", b.p.Orig), t)
		case reason.MXMalformed:
			b.fault(fmt.Sprintf("An MX record of %s is malformed and is not used.", b.p.Orig), statement{owner: []Cure{cure("Correct the MX record.")}})
		case reason.MXTooMany:
			b.fault(fmt.Sprintf("%s has more than %d mail hosts; only the first are looked at.", b.p.Orig, engine.MaxHosts), t)
		}
	}
}
