package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
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

// Tell says what a domain came to: the cause of its verdict, what else is wrong, and what
// each side can do. All cures together lead to a state in which nothing of it is left.
func Tell(p *engine.Plan, ds []engine.Decision, s engine.Summary) Account {
	b := &teller{p: p, a: Account{RFC: rfcOf(s.Reason)}}
	t := all(s.Reason)
	b.a.Cause = t.cause
	b.take(t, s.Outcome != engine.Authenticated)
	b.hosts(ds, s)
	b.families()
	for _, f := range p.Findings {
		b.also(f)
	}
	for i := range ds {
		for _, f := range ds[i].Details {
			b.also(f)
		}
		b.unread(&ds[i], i)
	}
	b.mx()
	for i := range p.Drops {
		b.fault(drop(engine.Reason{Domain: p.Orig}, &p.Drops[i]), told{})
	}
	return b.a
}

// all is told of any reason; what only the table says included.
func all(r engine.Reason) told {
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
		if r.ID == engine.ReasonException {
			t.hints = append(t.hints, HintException)
		}
		return t
	}
	if t, ok := tell(r); ok {
		return t
	}
	t := told{cause: Text(r)}
	i := byID[r.ID]
	if i == nil {
		return t
	}
	if i.Recipient != nothing {
		t.owner = append(t.owner, cure(i.Recipient))
	}
	if i.Sender != nothing {
		t.sender = append(t.sender, i.Sender)
	}
	switch r.ID {
	case engine.ReasonMemoryDANE, engine.ReasonMemorySTS, engine.ReasonMemoryTLS:
		t.hints = append(t.hints, HintForget)
	}
	return t
}

// nothing is advice that is not given.
const nothing = "Nothing."

// A teller puts an account together.
type teller struct {
	p    *engine.Plan
	a    Account
	said []string // sentences of faults, without the name of the host
}

// take adds the advice of a fault, each once.
func (b *teller) take(t told, owner bool) {
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
func (b *teller) fault(text string, t told) {
	first, _, _ := strings.Cut(text, ". ")
	if text == "" || strings.Contains(b.a.Cause, strings.TrimSuffix(first, ".")) || slices.Contains(b.said, first) {
		return
	}
	b.said = append(b.said, first)
	b.a.Also = append(b.a.Also, text)
	b.take(t, true)
}

// also adds a further reason.
func (b *teller) also(r engine.Reason) {
	if b.covered(r) {
		return
	}
	t := all(r)
	b.fault(t.cause, t)
}

// covered reports whether the sentence of the verdict speaks of the reason already.
func (b *teller) covered(r engine.Reason) bool {
	switch r.ID {
	case engine.ReasonMemoryDANE, engine.ReasonMemorySTS:
		return true // among the drops
	}
	return false
}

// hosts adds what is different about the other hosts, hosts with the same fault together.
func (b *teller) hosts(ds []engine.Decision, s engine.Summary) {
	type group struct {
		text  string // without the host's name
		names []string
		t     told
		first bool // it is the fault of the verdict
		lost  bool // no mail goes there
	}
	var groups []group
	for i := range ds {
		if i >= len(b.p.Hosts) || ds[i].Reason.IsZero() {
			continue
		}
		d, name := &ds[i], b.p.Hosts[i].String()
		t := all(d.Reason)
		g := group{strings.ReplaceAll(t.cause, name, "\x00"), []string{name}, t, d.Reason == s.Reason, s.Deliver && !d.Deliver}
		g.text = hexes.ReplaceAllString(g.text, "#")
		if n := slices.IndexFunc(groups, func(o group) bool { return o.text == g.text && o.lost == g.lost }); n >= 0 {
			groups[n].names = append(groups[n].names, name)
			groups[n].first = groups[n].first || g.first
			if d.Outcome != engine.Authenticated {
				b.take(t, true)
			}
			continue
		}
		groups = append(groups, g)
	}
	for _, g := range groups {
		switch {
		case g.first && len(g.names) > 1:
			rest := slices.DeleteFunc(slices.Clone(g.names), func(n string) bool { return strings.Contains(b.a.Cause, n) })
			if len(rest) > 0 {
				b.a.Also = append(b.a.Also, fmt.Sprintf("The same is true of %s.", list(rest)))
			}
		case g.first, !g.lost && s.Outcome == engine.Authenticated && good(g.t):
		default:
			text := g.t.cause
			if g.lost {
				text = fmt.Sprintf("No mail goes to %s now. %s", list(g.names), text)
			} else if len(g.names) > 1 {
				text = sentences(text, fmt.Sprintf("The same is true of %s.", list(g.names[1:])))
			}
			b.a.Also = append(b.a.Also, text)
			b.take(g.t, true)
		}
	}
}

// good reports whether nothing can be done about it.
func good(t told) bool { return len(t.owner) == 0 && len(t.hints) == 0 }

// families adds an address family that cannot be looked up, where the other one can.
func (b *teller) families() {
	for i := range b.p.Hosts {
		h := &b.p.Hosts[i]
		if h.DANE.Address != dane.AddressOK {
			continue
		}
		for _, l := range []struct {
			t dnssec.Type
			l dane.Lookup
		}{{dnssec.TypeA, h.DANE.A}, {dnssec.TypeAAAA, h.DANE.AAAA}} {
			if l.l.Err == nil {
				continue
			}
			what := fmt.Sprintf("the address records (%s) of the mail host %s", l.t, h)
			var t told
			if own := OwnFault(l.l.Err); own != NoHint {
				t.hints = append(t.hints, own)
			} else if fix := lookupCure(l.l.Err); fix.text != "" {
				t.owner = []Cure{cure(by(b.p, fix.zone.String(), strings.Replace(fix.text, ";", fmt.Sprintf(" (the %s record does not count until then);", l.t), 1)))}
			}
			b.fault(capital(failedLookup(l.l.Err, what))+"; mail goes by its other addresses.", t)
		}
	}
}

// unread adds TLSA records that do not count beside others that do.
func (b *teller) unread(d *engine.Decision, i int) {
	if i >= len(b.p.Hosts) {
		return
	}
	h := &b.p.Hosts[i]
	if h.DANE.State != dane.Usable || d.Reason.ID == engine.ReasonDANENoMatch {
		return
	}
	if text := tooMany(h.DANE.Set); text != "" {
		b.fault(text, told{owner: []Cure{cure(fmt.Sprintf("Delete the TLSA records at %s that are not needed: two to four are enough.", tlsaOwner(h, h.DANE.Base)))}})
		return
	}
	for _, u := range h.DANE.Set.Uses() {
		if u.Usable || u.Agility {
			continue
		}
		owner := tlsaOwner(h, h.DANE.Base)
		b.fault(fmt.Sprintf("One of the TLSA records at %s cannot be used for mail, and others can: %s: %s.", owner, recordOf(u.Record), clip(u.Why)),
			told{owner: []Cure{cure(by(b.p, h.DANE.Base.String(), fmt.Sprintf("Delete the record `%s` at %s.", recordOf(u.Record), owner)))}})
	}
}

// recordOf is a record with the beginning of its data, also of one that is short.
func recordOf(r dane.Record) string {
	s := r.String()
	if len(s) > 30 {
		return s[:26] + "..."
	}
	return s
}

// mx adds MX records that are not used.
func (b *teller) mx() {
	for _, u := range b.p.MX.Unused {
		var t told
		switch u.Why {
		case engine.MXNotHost:
			t.owner = []Cure{cure(fmt.Sprintf("Let each MX record of %s name a host (`10 mail.example.org.`); an IP address cannot stand there.", b.p.Orig))}
			b.fault(fmt.Sprintf("The MX record `%d %s` of %s names no host and is not used.", u.Preference, u.Name, b.p.Orig), t)
		case engine.MXRoot:
			t.owner = []Cure{cure(fmt.Sprintf("Delete the MX record of %s that names the root (`.`): it says that the domain takes no mail, and the others say that it does.", b.p.Orig))}
			b.fault(fmt.Sprintf("%s has an MX record that says that it takes no mail (`.`) beside others; it is not used.", b.p.Orig), t)
		case engine.MXMalformed:
			b.fault(fmt.Sprintf("An MX record of %s is malformed and is not used.", b.p.Orig), told{owner: []Cure{cure("Correct the MX record.")}})
		case engine.MXTooMany:
			b.fault(fmt.Sprintf("%s has more than %d mail hosts; only the first are looked at.", b.p.Orig, engine.MaxHosts), t)
		}
	}
}

// Silent reports whether what keeps a message from going may be that the resolver does not
// answer at all: all that failed had no answer in time.
func Silent(p *engine.Plan) bool {
	return p.MX.Outcome == engine.Deferred && errors.Is(p.MX.Lookup.Err, dnssec.ErrTimeout)
}
