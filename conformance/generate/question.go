package generate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A Question is a name and a type.
type Question struct {
	Name string
	Type uint16
}

// String prints it as the command line of a resolver takes it.
func (q Question) String() string { return q.Name + " " + dns.TypeToString[q.Type] }

// askedTypes are the types asked for.
var askedTypes = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT, dns.TypeTLSA, dns.TypeDS, dns.TypeCNAME}

// Questions lists n different questions; those of a larger n begin with those of a
// smaller one.
func (w *World) Questions(n int) []Question {
	rng := rand.New(rand.NewPCG(w.Seed, 1))
	zones := slices.Clone(w.order)
	for _, z := range w.order {
		if z.Spots { // there is more to ask for
			zones = append(zones, z, z, z)
		}
	}
	seen := map[Question]bool{}
	out := make([]Question, 0, n)
	for len(out) < n {
		z := zones[rng.IntN(len(zones))]
		a := z.asks[rng.IntN(len(z.asks))]
		q := Question{Name: a.name, Type: askedTypes[rng.IntN(len(askedTypes))]}
		if strings.Contains(a.name, "%") {
			q.Name = fmt.Sprintf(a.name, rng.IntN(100_000))
		}
		if len(a.types) > 0 && rng.IntN(4) > 0 {
			q.Type = a.types[rng.IntN(len(a.types))]
		}
		if q.Name == "." && q.Type == dns.TypeDS || seen[q] {
			continue // no zone holds the DS of the root
		}
		seen[q] = true
		out = append(out, q)
	}
	return out
}
