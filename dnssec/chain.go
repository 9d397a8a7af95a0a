package dnssec

import (
	"fmt"
	"math"
	"time"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// A reading is what one response says about one question, without a word on whether
// it is true: the alias steps that begin at the question's name, and the records at
// their end. What does not belong to that chain is left out: a response may
// hold anything.
type reading struct {
	steps   []Alias // their Status is unset
	final   rfc6125.Name
	records []Record
	kind    Kind // 0 if the chain ends where this response says nothing of
	ttl     time.Duration
}

// readChain reads the response m to a question for name and type. Errors wrap
// ErrMalformed, ErrAliasLoop or ErrRefused and are complete but for the Question.
func readChain(m *wire.Message, name rfc6125.Name, typ Type) (reading, *LookupError) {
	r := reading{final: name, ttl: MaxTTL}
	q := Question{Name: name, Type: typ}
	seen := map[rfc6125.Name]bool{}
	for typ != TypeCNAME {
		step, ok, err := aliasAt(m.Answer, r.final)
		if err != nil {
			return reading{}, failed(q, ErrMalformed, *err)
		}
		if !ok {
			break
		}
		seen[r.final] = true
		if seen[step.Target] {
			return reading{}, aliasLoop(q, step)
		}
		if len(r.steps) == MaxAliases {
			return reading{}, aliasLimit(q)
		}
		r.steps = append(r.steps, step)
		r.final = step.Target
		r.ttl = min(r.ttl, positiveTTL(step.TTL))
	}
	if why, bad := r.collect(m, typ); bad {
		return reading{}, failed(q, ErrMalformed, why)
	}
	switch {
	case len(r.records) > 0:
		if m.Rcode == wire.RcodeNXDomain {
			// RFC 6604 section 3: the rcode is that of the end of the chain.
			return reading{}, failed(q, ErrMalformed, malformedAt(r.final, typ, "NXDOMAIN together with the records that it denies"))
		}
		r.kind = Data
		return r, nil
	case m.Rcode == wire.RcodeNXDomain:
		r.kind = NXDomain
	case isReferral(m):
		if len(r.steps) > 0 {
			return r, nil // the end of the chain is still to be asked for
		}
		return reading{}, failed(q, ErrRefused, Reason{Code: ReasonReferral, Name: name, Type: typ,
			Text: "the server refers to others instead of asking them: it is no recursive resolver"})
	case len(r.steps) > 0 && !hasSOA(m.Authority, r.final):
		return r, nil
	default:
		r.kind = NoData
	}
	r.ttl = min(r.ttl, negativeTTL(soaFor(m.Authority, r.final)))
	return r, nil
}

// collect takes the records of the type at the end of the chain, each once (RFC 2181
// section 5). bad means that one of them is malformed.
func (r *reading) collect(m *wire.Message, typ Type) (why Reason, bad bool) {
	have := map[string]bool{}
	for _, rr := range m.Answer {
		if rr.Owner != r.final || Type(rr.Type) != typ || have[string(rr.Data)] {
			continue
		}
		if why, bad := malformedRDATA(rr.Owner, typ, [][]byte{rr.Data}); bad {
			return why, true
		}
		have[string(rr.Data)] = true
		r.records = append(r.records, recordOf(rr))
		r.ttl = min(r.ttl, positiveTTL(rr.TTL))
	}
	return Reason{}, false
}

// aliasAt finds the alias at owner: its CNAME, which a DNAME above it may have
// given rise to (RFC 6672 section 3.1), or such a DNAME alone. ok is false if there
// is none. An error says that the records contradict each other.
func aliasAt(rrs []wire.RR, owner rfc6125.Name) (step Alias, ok bool, why *Reason) {
	step = Alias{Owner: owner, Type: TypeCNAME, TTL: math.MaxUint32}
	for _, rr := range rrs {
		if rr.Owner != owner || rr.Type != wire.TypeCNAME {
			continue
		}
		to, err := rfc6125.NameFromWire(rr.Data)
		if err != nil || (ok && to != step.Target) {
			r := malformedAt(owner, TypeCNAME, "an alias with two targets, or with none that can be read")
			return Alias{}, false, &r
		}
		step.TTL = min(step.TTL, rr.TTL)
		step.Target, ok = to, true
	}
	for _, rr := range rrs {
		if rr.Type != wire.TypeDNAME || rr.Owner == owner || !owner.IsSubdomainOf(rr.Owner) {
			continue
		}
		to, err := substitute(owner, rr)
		if err != nil {
			r := malformedAt(rr.Owner, TypeDNAME, err.Error())
			return Alias{}, false, &r
		}
		if ok && to != step.Target {
			r := malformedAt(owner, TypeCNAME, "the alias is not what the DNAME above it makes (RFC 6672 section 3.1)")
			return Alias{}, false, &r
		}
		step.TTL = min(step.TTL, rr.TTL)
		step.Target, step.Type, ok = to, TypeDNAME, true
	}
	return step, ok, nil
}

// substitute is the name that a DNAME makes of owner (RFC 6672 section 2.3).
func substitute(owner rfc6125.Name, dname wire.RR) (rfc6125.Name, error) {
	to, err := rfc6125.NameFromWire(dname.Data)
	if err != nil {
		return rfc6125.Name{}, fmt.Errorf("the target of the DNAME cannot be read")
	}
	for i := owner.NumLabels() - dname.Owner.NumLabels() - 1; i >= 0; i-- {
		if to, err = to.Child(owner.Label(i)); err != nil {
			return rfc6125.Name{}, fmt.Errorf("the name is too long after the DNAME is applied")
		}
	}
	return to, nil
}

// isReferral reports whether the authority section names servers instead of denying
// something (RFC 2308 section 2.2).
func isReferral(m *wire.Message) bool {
	ns := false
	for _, rr := range m.Authority {
		if rr.Type == wire.TypeSOA {
			return false
		}
		ns = ns || rr.Type == wire.TypeNS
	}
	return ns
}

// soaFor keeps the SOA records of zones that may hold name.
func soaFor(authority []wire.RR, name rfc6125.Name) []wire.RR {
	var out []wire.RR
	for _, rr := range authority {
		if rr.Type == wire.TypeSOA && name.IsSubdomainOf(rr.Owner) {
			out = append(out, rr)
		}
	}
	return out
}

func hasSOA(authority []wire.RR, name rfc6125.Name) bool { return len(soaFor(authority, name)) > 0 }

func malformedAt(name rfc6125.Name, typ Type, text string) Reason {
	return Reason{Code: ReasonMalformed, Name: name, Type: typ, Text: text}
}

func aliasLoop(q Question, step Alias) *LookupError {
	return failed(q, ErrAliasLoop, Reason{Code: ReasonAliasLoop, Name: step.Owner, Type: step.Type,
		Text: fmt.Sprintf("the alias at %s leads back to %s", step.Owner, step.Target)})
}

func aliasLimit(q Question) *LookupError {
	return failed(q, ErrAliasLoop, Reason{Code: ReasonAliasLimit, Name: q.Name, Type: q.Type,
		Text: fmt.Sprintf("more than %d aliases in a row", MaxAliases)})
}
