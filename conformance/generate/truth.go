package generate

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A Truth is what must come of a question.
type Truth struct {
	Status Status
	Rcode  int
	Final  string   // the name at the end of the aliases
	Data   []string // RDATA of the type asked for, in hex, sorted
	// Hidden means that something is broken, and that the name is insecure even so: it may
	// lie below an unsigned delegation that an opt-out span leaves out, or in a zone whose
	// denials do not count, and a forger could leave out what is broken.
	Hidden bool
	// Marks say what is special about the question, its answer and its zones.
	Marks []string
}

// Has reports whether there is a mark that begins so.
func (t Truth) Has(mark string) bool {
	return slices.ContainsFunc(t.Marks, func(m string) bool { return strings.HasPrefix(m, mark) })
}

// maxSteps bounds an alias chain; those of a world are shorter.
const maxSteps = 12

// Truth says what the result of a question must be.
func (w *World) Truth(name string, typ uint16) Truth {
	t := Truth{Status: Secure, Final: name}
	for i := range maxSteps {
		z := w.holding(t.Final, typ)
		s := z.ask(t.Final, typ)
		t.Marks = append(t.Marks, s.marks...)
		t.Marks = append(t.Marks, z.marks()...)
		if i > 0 && w.holding(name, typ) != z {
			t.Marks = append(t.Marks, "alias-into/"+string(z.worth))
		}
		t.judge(z, s, typ)
		if s.next == "" {
			t.Rcode, t.Data = s.rcode, Data(s.records)
			if z.worth != Secure || s.weak { // nothing proves another one
				t.Rcode = s.sentRcode()
			}
			return t
		}
		t.Final = s.next
	}
	panic(fmt.Sprintf("generate: seed %d: the aliases of %s do not end", w.Seed, name)) // a fault of this package
}

// judge takes one step into account.
func (t *Truth) judge(z *zone, s *step, typ uint16) {
	status := z.worth
	if status != Secure {
		t.Status = worse(t.Status, status)
		return
	}
	home := t.Final
	if typ == dns.TypeDS && home != z.Apex {
		home = dnstree.Parent(home)
	}
	broken := s.broken || s.brokenSOA
	switch {
	case broken && z.way(home) == Insecure:
		t.Hidden = true
		t.Status = worse(t.Status, Insecure)
	case broken:
		t.Status = Bogus
	case s.weak:
		t.Hidden = t.Hidden || s.spared
		t.Status = worse(t.Status, Insecure)
	}
}

// weigh says what the keys of a zone are worth. Its parent is weighed before.
func (z *zone) weigh() Status {
	if z.parent == nil {
		return Secure
	}
	ds := z.parent.ask(z.Apex, dns.TypeDS)
	z.lineage = z.inherit(ds)
	if p := z.parent.worth; p != Secure {
		return p
	}
	switch way := z.parent.way(dnstree.Parent(z.Apex)); {
	case z.Denial == Unsigned && way != Secure: // only going down shows where the cut is
		return way
	case ds.broken:
		return Bogus
	case len(ds.records) == 0:
		return Insecure
	case dsKinds[z.DS].status != Secure:
		return dsKinds[z.DS].status
	case z.Keys != KeysGood:
		return Bogus
	}
	return Secure
}

// way goes down to a name by the denials of DS, until one is broken (Bogus) or leaves open
// whether there is an unsigned delegation (Insecure). Secure: the name is in the zone.
func (z *zone) way(name string) Status {
	for _, n := range dnstree.Ancestors(name, z.Apex) {
		s := z.ask(n, dns.TypeDS)
		switch {
		case s.broken:
			return Bogus
		case s.weak:
			return Insecure
		case s.rcode == dns.RcodeNameError:
			return Secure // nothing exists below
		}
	}
	return Secure
}

// marks say what is special about a zone and those above it.
func (z *zone) marks() []string {
	out := []string{"denied-by/" + string(z.Denial), fmt.Sprintf("algorithm/%d", z.Algorithm), "zone/" + string(z.worth)}
	if z.Sets != "" {
		out = append(out, "zone-wide/"+string(z.Sets))
	}
	for _, m := range []struct {
		name string
		set  bool
	}{{"wild", z.Wild}, {"cased", z.Cased}, {"moved", z.Moved}} {
		if m.set {
			out = append(out, m.name)
		}
	}
	if z.Spec.Chain != ChainGood {
		out = append(out, "chain/"+string(z.Spec.Chain))
	}
	return append(out, z.lineage...)
}

// inherit says what is special about the keys of the zone and of those above it, and
// about how it is delegated.
func (z *zone) inherit(delegation *step) []string {
	out := slices.Clone(z.parent.lineage)
	if z.DS != DSGood {
		out = append(out, "ds/"+string(z.DS))
	}
	if f := z.parent.Spec.Chain; f != ChainGood {
		out = append(out, "chain/"+string(f))
	}
	if z.Keys != KeysGood {
		out = append(out, "keys/"+string(z.Keys))
	}
	for _, m := range delegation.marks {
		out = append(out, "delegation/"+m)
	}
	for _, n := range dnstree.Ancestors(dnstree.Parent(z.Apex), z.parent.Apex) {
		for _, m := range z.parent.ask(n, dns.TypeDS).marks {
			out = append(out, "way/"+m)
		}
	}
	return out
}

// Data is the RDATA of records, in hex, sorted, each once.
func Data(rrs []dns.RR) []string {
	var out []string
	for _, rr := range mapAll(rrs, strings.ToLower) {
		buf := make([]byte, dns.Len(rr)+1)
		n, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			panic(err) // a fault of this package
		}
		owner := make([]byte, 256)
		head, err := dns.PackDomainName(rr.Header().Name, owner, 0, nil, false)
		if err != nil {
			panic(err)
		}
		out = append(out, hex.EncodeToString(buf[head+10:n]))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
