package lab

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A reply is what a recursive server has found out, with everything that a validator
// could want.
type reply struct {
	rcode      int
	answer, ns []dns.RR
	verdict    verdict
	fault      FaultWord
	// looped: the aliases go round, or are too many.
	looped bool
}

// maxChain is how many aliases the lab follows; more than any client takes.
const maxChain = 24

// resolve answers a question from the zones, and follows aliases from zone to zone.
func (t *tree) resolve(name string, typ uint16) reply {
	r := reply{verdict: sound}
	seen := map[string]bool{}
	for range maxChain {
		if f := t.faultAt(name, typ); f != "" {
			r.fault = f
		}
		if seen[name] {
			r.looped = true
			return r
		}
		seen[name] = true
		next := t.serving(name, typ).find(name, typ, &r)
		if next == "" {
			return r
		}
		name = next
	}
	r.looped = true
	return r
}

// faultAt returns the fault of a question, if the worlds have one for it.
func (t *tree) faultAt(name string, typ uint16) FaultWord {
	for _, f := range t.faults {
		at := fqdn(f.Name)
		if below, ok := strings.CutPrefix(at, "*."); ok {
			if !dns.IsSubDomain(below, name) {
				continue
			}
		} else if at != name {
			continue
		}
		if f.Type == "" || dns.StringToType[f.Type] == typ {
			return f.What
		}
	}
	return ""
}

// find adds what the zone knows of a question to r, and returns where an alias leads;
// "" when the answer is complete (RFC 1034 section 4.3.2, RFC 4035 section 3.1, RFC
// 6672 section 3.2).
func (z *zone) find(name string, typ uint16, r *reply) (next string) {
	if z.broken(ForgedDenial, name, typ) {
		z.deny(name, typ, r, dns.RcodeSuccess, z.replayed(name))
		return ""
	}
	for n := dnstree.Parent(name); dns.IsSubDomain(z.apex, n) && name != z.apex; n = dnstree.Parent(n) {
		if z.data[n][dns.TypeDNAME] != nil {
			next := z.redirect(name, n, r)
			if typ == dns.TypeCNAME { // the CNAME that was made is the answer
				return ""
			}
			return next
		}
		if n == "." {
			break
		}
	}
	if z.exists(name) {
		if rrs := z.face(name, typ, typ); len(rrs) > 0 {
			r.answer = append(r.answer, z.signed(name, typ, rrs)...)
			r.verdict = r.verdict.worse(z.ofSet(name, typ))
			return ""
		}
		if rrs := z.face(name, dns.TypeCNAME, typ); len(rrs) > 0 && followed(typ) {
			r.answer = append(r.answer, z.signed(name, dns.TypeCNAME, rrs)...)
			r.verdict = r.verdict.worse(z.ofSet(name, dns.TypeCNAME))
			return fqdn(rrs[0].(*dns.CNAME).Target)
		}
		z.deny(name, typ, r, dns.RcodeSuccess, nil)
		return ""
	}
	source := dnstree.Join("*", z.encloser(name))
	if z.data[source] == nil {
		z.deny(name, typ, r, dns.RcodeNameError, nil)
		return ""
	}
	for _, t := range []uint16{typ, dns.TypeCNAME} {
		rrs := z.rrset(source, t)
		if len(rrs) == 0 || t == dns.TypeCNAME && !followed(typ) {
			continue
		}
		for _, rr := range z.signed(source, t, rrs) {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			r.answer = append(r.answer, rr)
		}
		r.verdict = r.verdict.worse(z.ofSet(source, t))
		if z.spec.Sign != Unsigned {
			p := z.prover().Closer(name)
			if !z.broken(NoDenial, name, typ) {
				r.ns = append(r.ns, z.served(p)...)
			}
			r.verdict = r.verdict.worse(z.ofDenial(name, typ, p))
		}
		if t == typ {
			return ""
		}
		return fqdn(rrs[0].(*dns.CNAME).Target)
	}
	z.deny(name, typ, r, dns.RcodeSuccess, nil)
	return ""
}

// face is rrset, but of two CNAME records one: the second for AAAA, else the first. A
// server that answers by who asks for what does so.
func (z *zone) face(owner string, typ, asked uint16) []dns.RR {
	rrs := z.rrset(owner, typ)
	if typ != dns.TypeCNAME || len(rrs) != 2 {
		return rrs
	}
	if asked == dns.TypeAAAA {
		return rrs[1:]
	}
	return rrs[:1]
}

// followed reports whether an alias answers a question of that type.
func followed(typ uint16) bool {
	return !slices.Contains([]uint16{dns.TypeCNAME, dns.TypeNSEC, dns.TypeRRSIG}, typ)
}

// redirect answers below a DNAME: the record, and the CNAME that follows from it.
func (z *zone) redirect(name, owner string, r *reply) (next string) {
	rrs := z.data[owner][dns.TypeDNAME]
	r.answer = append(r.answer, z.signed(owner, dns.TypeDNAME, rrs)...)
	r.verdict = r.verdict.worse(z.ofSet(owner, dns.TypeDNAME))
	target := strings.TrimSuffix(name, owner) + fqdn(rrs[0].(*dns.DNAME).Target)
	r.answer = append(r.answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: z.ttl},
		Target: target,
	})
	return target
}

// deny answers that there is no such name or type, with SOA and proof.
func (z *zone) deny(name string, typ uint16, r *reply, rcode int, p *dnstree.Proof) {
	r.rcode = rcode
	r.ns = append(r.ns, z.signed(z.apex, dns.TypeSOA, z.data[z.apex][dns.TypeSOA])...)
	if z.spec.Sign == Unsigned {
		r.verdict = r.verdict.worse(z.status())
		return
	}
	if p == nil {
		if z.exists(name) {
			p = z.prover().Type(name)
		} else {
			p = z.prover().Name(name)
		}
	}
	if !z.broken(NoDenial, name, typ) {
		r.ns = append(r.ns, z.served(p)...)
	}
	r.verdict = r.verdict.worse(z.ofDenial(name, typ, p))
}
