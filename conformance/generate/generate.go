// Package generate makes DNS trees from a seed: a signed root, top-level domains and
// zones below them, in every algorithm, with every way of denial, with wildcards,
// aliases and delegations, and with faults that no real signer would make. It is for
// comparing validators: who asks a [World] gets the same records, and the world
// knows by construction what DNSSEC must make of each answer (RFC 4033 section 5).
//
// The truth is derived from what was done to the zones, never by looking at a signature,
// so that a fault which two validators share is noticed too. It does not depend on the
// order of questions: a fault belongs to an RRset, or to a question, and stays there.
//
// The same seed and time make the same world, signatures included.
package generate

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A World is a tree of zones. It does not change and may be used by many goroutines.
type World struct {
	Seed  uint64
	now   time.Time
	ttls  lifetimes
	zones map[string]*zone
	order []*zone // parents before children
}

// New makes the world of a seed. Signatures are valid at now and some days after.
func New(seed uint64, now time.Time) (*World, error) { return build(seed, now, usual) }

// NewShortLived makes the same world with TTLs of some seconds, so that what a resolver
// keeps of it expires, part by part, while it is asked. Questions and truths are those of
// [New].
func NewShortLived(seed uint64, now time.Time) (*World, error) { return build(seed, now, short) }

func build(seed uint64, now time.Time, ttls lifetimes) (*World, error) {
	w := &World{Seed: seed, now: now.Truncate(time.Second), ttls: ttls, zones: map[string]*zone{}}
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, s := range specs(rng) {
		if err := w.add(s, rng); err != nil {
			return nil, fmt.Errorf("zone %s: %w", s.Apex, err)
		}
	}
	for _, z := range w.order {
		fill(z, w, rng)
	}
	for _, z := range w.order {
		if err := z.seal(); err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Apex, err)
		}
	}
	for _, z := range w.order {
		z.worth = z.weigh()
	}
	return w, nil
}

// add makes the zone and its keys, and hangs it below its parent.
func (w *World) add(s Spec, rng *rand.Rand) error {
	z := &zone{
		Spec: s, seed: w.Seed, now: w.now, ttls: w.ttls, cuts: map[string]*zone{},
		data: map[string]map[uint16][]dns.RR{}, sets: map[string]map[uint16]*set{}, faults: map[setKey]Fault{},
	}
	if s.Apex != "." {
		z.parent = w.serving(dnstree.Parent(s.Apex))
		z.parent.cuts[s.Apex] = z
		if s.Handed != "" {
			z.parent.faults[setKey{s.Apex, dns.TypeDS}] = s.Handed
		}
	}
	if s.Denial != Unsigned {
		if err := z.makeKeys(rng); err != nil {
			return err
		}
	}
	if s.SOA != "" {
		z.faults[setKey{s.Apex, dns.TypeSOA}] = s.SOA
	}
	w.zones[s.Apex] = z
	w.order = append(w.order, z)
	return nil
}

// Anchor is the DS record of the root's key, as a line of a zone file.
func (w *World) Anchor() string { return w.zones["."].sep.ToDS(dns.SHA256).String() }

// Spec describes the zone that holds a name, for people.
func (w *World) Spec(name string) Spec { return w.serving(name).Spec }

// serving is the deepest zone at or above a name.
func (w *World) serving(name string) *zone {
	for n := name; ; n = dnstree.Parent(n) {
		if z := w.zones[n]; z != nil {
			return z
		}
	}
}

// holding is the zone that answers a question: a DS is in the parent.
func (w *World) holding(name string, typ uint16) *zone {
	z := w.serving(name)
	if typ == dns.TypeDS && z.Apex == name && z.parent != nil {
		return z.parent
	}
	return z
}

// dice is a number that depends on the seed and on what is named, and on nothing else.
func dice(seed uint64, what ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, seed)
	for _, v := range what {
		fmt.Fprintf(h, "/%v", v)
	}
	s := h.Sum64()
	return rand.NewPCG(s, s).Uint64()
}
