package memory

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// A State is what a domain proves now.
type State struct {
	// DANEKnown is false if DANE was not looked at, or if a lookup failed on which DANE
	// depends: then nothing is compared.
	DANEKnown bool
	DANE      Cover
	// STSKnown is false if MTA-STS was not looked at, or could not be because of a limit of
	// this program. STS is the mode of the policy in force; zero if there is none, or one in
	// mode none. STSAt is when it was fetched.
	STSKnown bool
	STS      sts.Mode
	STSAt    time.Time
	// STSDrop is the kind of drop if the domain once proved more.
	STSDrop DropKind
}

// An Update is the result of [Past.Compare].
type Update struct {
	Next    Past
	Changed bool   // Next is worth storing: something was proved, and it differs
	Fresh   []Drop // drops of Next that were not known before
}

// Compare returns what is remembered of a domain after it proved now at a time. It is a
// pure function.
func (p *Past) Compare(domain rfc6125.Host, port uint16, now State, pol Policy, at time.Time) Update {
	known := p.clone()
	pol.endFuture(&known, at)
	next := known.clone()
	next.V, next.Domain, next.Port = pastVersion, domain.String(), port
	if next.Port == smtpPort {
		next.Port = 0
	}
	next.compareDANE(now, at)
	next.compareSTS(now, at)
	u := Update{Next: next, Changed: !next.Last().IsZero() && !next.equal(p)}
	for _, d := range next.Drops {
		if !slices.ContainsFunc(known.Drops, d.same) {
			u.Fresh = append(u.Fresh, d)
		}
	}
	return u
}

// same reports whether two drops are one that was noted once.
func (d *Drop) same(o Drop) bool {
	return o.Kind == d.Kind && o.Host == d.Host && o.Noted.Equal(d.Noted)
}

// compareDANE notes what DANE covers now, or what it has lost.
func (p *Past) compareDANE(now State, at time.Time) {
	switch c := now.DANE; {
	case !now.DANEKnown:
	case c == CoverNone && p.DANE == CoverNone:
	case c >= p.DANE:
		if c != p.DANE || stale(p.DANEAt, at, at) {
			p.DANE, p.DANEAt = c, at
		}
		p.undrop("dane", "")
	case c == CoverSome:
		p.drop(Drop{Kind: DropDANEPartly, Since: earlier(p.DANEAt, at), Noted: at})
	default:
		p.drop(Drop{Kind: DropDANE, Since: earlier(p.DANEAt, at), Noted: at})
	}
}

// compareSTS notes the policy that is in force now, or the loss of the one that was.
func (p *Past) compareSTS(now State, at time.Time) {
	switch {
	case !now.STSKnown:
	case now.STS == p.STS || now.STS == sts.ModeEnforce || p.STS == 0:
		if now.STS != p.STS || now.STS != 0 && stale(p.STSAt, now.STSAt, at) {
			p.STS, p.STSAt = now.STS, now.STSAt
		}
		p.undrop("sts", "")
	default:
		p.drop(Drop{Kind: now.STSDrop, Since: earlier(p.STSAt, at), Noted: at})
	}
}

// A Sighting says whether a host spoke TLS.
type Sighting struct {
	Host string
	TLS  bool
	At   time.Time
}

// ChangedBy reports whether there is anything to note of a sighting.
func (p *Past) ChangedBy(s Sighting) bool {
	q := p.clone()
	q.saw(s)
	return !q.equal(p)
}

// TLSDrop returns the drop of a host that has spoken TLS and does not at a time; nil if it
// never has, or if p is nil.
func (p *Past) TLSDrop(host string, at time.Time) *Drop {
	if p == nil {
		return nil
	}
	seen := p.remembered(host)
	if seen == nil {
		return nil
	}
	d := Drop{Kind: DropTLS, Host: host, Since: earlier(seen.At, at), Noted: at}
	for i := range p.Drops {
		if o := &p.Drops[i]; o.about(&d) {
			return o
		}
	}
	return &d
}

// remembered finds the host among those that have spoken TLS.
func (p *Past) remembered(host string) *TLSHost {
	for i := range p.TLS {
		if p.TLS[i].Host == host {
			return &p.TLS[i]
		}
	}
	return nil
}

// saw notes whether a host spoke TLS. It returns the drop that was not known before.
func (p *Past) saw(s Sighting) (d Drop, noted bool) {
	seen := p.remembered(s.Host)
	switch {
	case s.TLS:
		p.undrop("tls", s.Host)
		if seen == nil || stale(seen.At, s.At, s.At) {
			p.sawTLS(s.Host, s.At)
		}
		return d, false
	case seen == nil:
		return d, false
	}
	d = Drop{Kind: DropTLS, Host: s.Host, Since: earlier(seen.At, s.At), Noted: s.At}
	if slices.ContainsFunc(p.Drops, func(o Drop) bool { return o.about(&d) }) {
		return d, false
	}
	p.drop(d)
	return d, true
}

// drop notes a drop. One of the same protection that is known keeps its time, unless the
// fall is deeper now.
func (p *Past) drop(d Drop) {
	for i := range p.Drops {
		o := &p.Drops[i]
		if !o.about(&d) {
			continue
		}
		if d.Kind.depth() <= o.Kind.depth() {
			d.Noted = o.Noted
		}
		*o = d
		return
	}
	if len(p.Drops) < maxPastDrops {
		p.Drops = append(p.Drops, d)
	}
}

// undrop forgets a drop: the protection is back.
func (p *Past) undrop(part, host string) {
	p.Drops = slices.DeleteFunc(p.Drops, func(d Drop) bool { return d.Kind.part() == part && d.Host == host })
}

// sawTLS notes a host that spoke TLS; the one not seen for the longest makes room, with
// its drop.
func (p *Past) sawTLS(host string, at time.Time) {
	if seen := p.remembered(host); seen != nil {
		seen.At = at
		return
	}
	if len(p.TLS) >= maxPastHosts {
		oldest := slices.MinFunc(p.TLS, func(a, b TLSHost) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Host, b.Host)) }).Host
		p.TLS = slices.DeleteFunc(p.TLS, func(h TLSHost) bool { return h.Host == oldest })
		p.undrop("tls", oldest)
	}
	p.TLS = append(p.TLS, TLSHost{Host: host, At: at})
}
