package generate

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A step is what a zone answers to one question, and what that is worth in a zone that
// is secure.
type step struct {
	rcode             int
	answer, authority []dns.RR
	records           []dns.RR // of the type that was asked for
	next              string   // where an alias leads; "" if the answer is complete
	weak              bool     // insecure even so: opt-out, or too many iterations
	broken            bool
	brokenSOA         bool     // in addition to the proof; it is no part of the proof that a zone is unsigned
	lies              bool     // the rcode is the wrong one
	spared            bool     // what is broken is not needed
	marks             []string // what is special about it
}

func (s *step) mark(format ...string) { s.marks = append(s.marks, strings.Join(format, "/")) }

// take puts an RRset into the answer section.
func (s *step) take(set *set) {
	s.answer = append(s.answer, set.served()...)
	s.broken = s.broken || set.broken
	if set.fault != "" {
		s.mark("set", string(set.fault))
	}
}

// prove puts a proof into the authority section.
func (s *step) prove(p *proof) {
	sets := p.sets()
	rrs, weak, broken, spared := p.records(sets)
	s.authority = append(s.authority, rrs...)
	s.weak, s.broken, s.spared = s.weak || weak, s.broken || broken, s.spared || spared
	if p.OptOut {
		s.mark("opt-out-span")
	}
	if p.z.iterates() {
		s.mark("too-many-iterations")
	}
	for _, set := range sets {
		if f := set.fault; f != "" {
			s.mark("link", string(f))
		}
	}
}

// ask answers a question from the zone (RFC 1034 section 4.3.2, RFC 4035 section 3.1).
func (z *zone) ask(name string, typ uint16) *step {
	s := &step{}
	if d := z.dnameAbove(name); d != "" {
		z.redirect(s, name, d, typ)
		return s
	}
	if !z.names[name] {
		z.askWildcard(s, name, typ)
		return s
	}
	if z.Spots && z.deniesFalsely(name, typ) {
		p := z.denyType(name)
		p.spoilt = true
		s.mark("denial", "of-what-is-there")
		z.deny(s, p, dns.RcodeSuccess)
		return s
	}
	if z.give(s, z.sets[name], typ) {
		return s
	}
	if z.sets[name] == nil {
		s.mark("empty-non-terminal")
	}
	z.deny(s, z.denying(s, name, typ, z.denyType), dns.RcodeSuccess)
	return s
}

// denying makes a proof, with its fault; nil if the zone is unsigned.
func (z *zone) denying(s *step, name string, typ uint16, prove func(string) *proof) *proof {
	if z.Denial == Unsigned {
		return nil
	}
	p := prove(name)
	p.typ = typ
	return z.spoil(p, name, typ, s)
}

// give answers with the type, or with an alias, if the owner has it.
func (z *zone) give(s *step, sets map[uint16]*set, typ uint16) bool {
	if set := sets[typ]; set != nil {
		s.take(set)
		s.records = set.rrs
		return true
	}
	set := sets[dns.TypeCNAME]
	if set == nil {
		return false
	}
	s.take(set)
	s.next = strings.ToLower(set.rrs[0].(*dns.CNAME).Target)
	s.mark("cname")
	return true
}

// dnameAbove is the owner of a DNAME above name; "" if there is none.
func (z *zone) dnameAbove(name string) string {
	for _, n := range append([]string{z.Apex}, dnstree.Ancestors(name, z.Apex)...) {
		if n != name && z.sets[n][dns.TypeDNAME] != nil {
			return n
		}
	}
	return ""
}

// redirect answers below a DNAME (RFC 6672 section 3.2).
func (z *zone) redirect(s *step, name, owner string, typ uint16) {
	set := z.sets[owner][dns.TypeDNAME]
	s.take(set)
	s.mark("dname")
	target := dnstree.Join(strings.TrimSuffix(name, "."+owner), strings.ToLower(set.rrs[0].(*dns.DNAME).Target))
	cname := &dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: target}
	cname.Hdr.Ttl = set.rrs[0].Header().Ttl
	s.answer = append(s.answer, cname)
	if typ == dns.TypeCNAME {
		s.records = []dns.RR{cname}
		return
	}
	s.next = target
}

// askWildcard answers for a name that does not exist.
func (z *zone) askWildcard(s *step, name string, typ uint16) {
	ce, _ := z.prover().Encloser(name)
	star := z.sets[dnstree.Join("*", ce)]
	switch {
	case star == nil && z.names[dnstree.Join("*", ce)]: // RFC 4592 section 2.2.3
		s.mark("wildcard-empty")
		z.deny(s, z.denying(s, name, typ, z.denyName), dns.RcodeSuccess)
	case star == nil && z.Denial == Compact:
		s.mark("compact-absent")
		z.deny(s, z.denying(s, name, typ, z.denyName), dns.RcodeSuccess)
	case star == nil:
		s.mark("absent-name")
		z.deny(s, z.denying(s, name, typ, z.denyName), dns.RcodeNameError)
	default:
		s.mark("wildcard")
		z.expand(s, star, name, typ)
	}
}

// expand answers from a wildcard.
func (z *zone) expand(s *step, star map[uint16]*set, name string, typ uint16) {
	if z.Denial == Compact {
		star = z.expanded(star, name)
	}
	if !z.give(s, star, typ) {
		s.mark("wildcard-without-type")
		z.deny(s, z.denying(s, name, typ, z.denyName), dns.RcodeSuccess)
		return
	}
	s.answer = renamed(s.answer, name)
	s.records = renamed(s.records, name)
	if z.Denial == Compact {
		return
	}
	if p := z.denying(s, name, typ, z.denyCloser); p != nil {
		s.prove(p)
	}
}

// deny answers negatively.
func (z *zone) deny(s *step, p *proof, rcode int) {
	s.rcode = rcode
	soa := z.sets[z.Apex][dns.TypeSOA]
	if p == nil {
		s.authority = soa.served()
		return
	}
	if p.z != z {
		soa = p.z.sets[p.z.Apex][dns.TypeSOA]
	}
	s.authority = append(s.authority, soa.served()...)
	s.brokenSOA = soa.broken
	if soa.fault != "" {
		s.mark("soa", string(soa.fault))
	}
	s.prove(p)
}
