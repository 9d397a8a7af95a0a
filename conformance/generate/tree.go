package generate

import (
	"fmt"
	"math/rand/v2"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// The top-level domains, by what their zones are there for.
var (
	soundTops  = []string{"t0.", "t1.", "t2.", "t4."}
	faultyTops = []string{"t5.", "t6.", "t7."} // with faults all over: of delegations too
	noTop      = "t3."                         // unsigned
)

// A planner lists the zones of a world.
type planner struct {
	rng  *rand.Rand
	list []Spec
}

// specs lists the zones of a world, parents before children. Every kind of zone is in
// each world; chance decides what else they are.
func specs(rng *rand.Rand) []Spec {
	p := &planner{rng: rng, list: []Spec{
		{Apex: ".", Algorithm: dns.ECDSAP256SHA256, Denial: NSEC, Split: true},
		{Apex: "t0.", Algorithm: dns.ECDSAP256SHA256, Denial: NSEC},
		{Apex: "t1.", Algorithm: dns.ECDSAP256SHA256, Denial: NSEC3, Split: true},
		{Apex: "t2.", Algorithm: dns.ECDSAP256SHA256, Denial: OptOut, Iterations: 5, Salt: "5ec1a551"},
		{Apex: noTop, Denial: Unsigned},
		{Apex: "t4.", Algorithm: dns.ED25519, Denial: NSEC3, Iterations: 10, Salt: "ab"},
		{Apex: "t5.", Algorithm: dns.ECDSAP256SHA256, Denial: NSEC, Spots: true},
		{Apex: "t6.", Algorithm: dns.ED25519, Denial: NSEC3, Spots: true},
		{Apex: "t7.", Algorithm: dns.ED25519, Denial: OptOut, Spots: true},
	}}
	p.sound()
	p.faulty()
	p.below()
	return p.list
}

// zone adds a zone below one of the parents; what is left open is chosen.
func (p *planner) zone(s Spec, parents ...string) {
	label := s.Apex
	if label == "" {
		label = fmt.Sprintf("z%d", len(p.list))
	}
	s.Apex = dnstree.Join(label, parents[p.rng.IntN(len(parents))])
	if s.Denial == "" {
		s.Denial = []Denial{NSEC, NSEC3, OptOut}[p.rng.IntN(3)]
	}
	if s.Algorithm == 0 && s.Denial != Unsigned {
		s.Algorithm = Algorithms[p.rng.IntN(2)] // the cheap ones
	}
	if s.Denial.hashed() && s.Iterations == 0 {
		s.Iterations = uint16(p.rng.IntN(3) * p.rng.IntN(10))
		s.Salt = []string{"", "00", "0123456789abcdef"}[p.rng.IntN(3)]
	}
	p.list = append(p.list, s)
}

// sound adds zones without a fault.
func (p *planner) sound() {
	for _, a := range Algorithms {
		for _, d := range []Denial{NSEC, NSEC3, OptOut} {
			p.zone(Spec{Algorithm: a, Denial: d, Split: p.rng.IntN(2) == 0}, soundTops...)
		}
	}
	for _, d := range []Denial{NSEC, NSEC3, OptOut} {
		p.zone(Spec{Denial: d, Wild: true}, soundTops...)
		p.zone(Spec{Denial: d, Split: true, Standby: true, Second: dns.ECDSAP384SHA384}, soundTops...)
	}
	for _, s := range []Spec{
		{Denial: NSEC, Cased: true}, {Denial: NSEC3, Cased: true},
		{Denial: Compact}, {Denial: Compact, Algorithm: dns.ED25519}, {Denial: Narrow}, {Denial: Narrow, Algorithm: dns.ED25519},
		{Moved: true}, {Moved: true}, {Denial: Unsigned, Moved: true},
		{DS: DSTwoKeys, Second: dns.ECDSAP384SHA384},
	} {
		p.zone(s, soundTops...)
	}
	for _, n := range []uint16{1, maxIterations} {
		p.zone(Spec{Denial: NSEC3, Iterations: n}, soundTops...)
	}
	for _, top := range soundTops {
		p.zone(Spec{Denial: Unsigned}, top)
	}
}

// faulty adds zones with a fault, and those that are insecure.
func (p *planner) faulty() {
	for _, k := range []DSKind{DSSHA1, DSSHA384, DSTwo, DSStale, DSUnknownBeside, DSOldWrong, DSNone, DSUnknown,
		DSUnknownDigest, DSBothUnknown, DSWrong, DSNewWrong, DSOther, DSTagWrong, DSStandby} {
		p.zone(Spec{DS: k, Standby: k == DSStandby}, soundTops...)
	}
	p.zone(Spec{DS: DSOfNothing, Denial: Unsigned}, soundTops...)
	for _, k := range []KeyFault{KeysMissing, KeysUnsigned, KeysExpired, KeysEarly, KeysFlipped, KeysByZSK, KeyRevoked, KeyNoZone, KeyProtocol} {
		p.zone(Spec{Keys: k, Split: k == KeysByZSK || p.rng.IntN(2) == 0}, soundTops...)
	}
	for _, f := range spotFaults {
		p.zone(Spec{Handed: f}, soundTops...)
	}
	for _, f := range zoneFaults {
		p.zone(Spec{Sets: f}, soundTops...)
	}
	for _, f := range soaFaults {
		p.zone(Spec{SOA: f}, soundTops...)
	}
	for _, d := range []Denial{NSEC3, OptOut} {
		p.zone(Spec{Denial: d, Chain: UnknownHash}, soundTops...)
		p.zone(Spec{Denial: d, Chain: UnknownFlags}, soundTops...)
		p.zone(Spec{Denial: d, Iterations: maxIterations + 1}, soundTops...)
		p.zone(Spec{Denial: d, Iterations: 500, Salt: "77"}, soundTops...)
	}
	for _, d := range []Denial{NSEC, NSEC3, OptOut} {
		for _, split := range []bool{true, false} {
			p.zone(Spec{Denial: d, Spots: true, Split: split}, soundTops...)
		}
	}
	for _, s := range []Spec{{}, {Sets: Expired}, {Spots: true}, {DS: DSWrong}} {
		p.zone(s, noTop) // below an unsigned zone nothing matters
	}
}

// below adds zones below those zones, and below the faulty tops.
func (p *planner) below() {
	for _, s := range p.list {
		if s.Moved || s.Denial == Unsigned || dns.CountLabel(s.Apex) < 2 || p.rng.IntN(3) != 0 && !s.Spots {
			continue
		}
		p.zone(Spec{Apex: "safe"}, s.Apex)
		p.zone(Spec{Apex: "open", Denial: Unsigned}, s.Apex)
		p.zone(Spec{Apex: "open.between", Denial: Unsigned}, s.Apex)
	}
	for _, top := range faultyTops {
		for range 4 {
			p.zone(Spec{}, top)
			p.zone(Spec{Denial: Unsigned}, top)
		}
	}
}
