package grammar

import (
	"math/rand/v2"
	"testing"
)

// How much [Check] tries.
const (
	derivations = 2000 // valid texts of a language
	rounds      = 20   // texts a mutation, each of its ways once at the least
	leastSteps  = 10   // times that each alternative of each rule is taken
	maxFailures = 20   // that are printed
)

// Check derives valid texts from the seed, and nearly valid ones by every mutation, and
// holds what parse makes of each against what must come of it: its meaning, or an error.
// It fails as well if the valid texts have not gone through every alternative of every
// rule. A text that fails is printed with its derivation.
func Check(t *testing.T, l *Language, seed uint64, parse func(Case) (Meaning, error)) {
	t.Helper()
	failures := 0
	try := func(c Case) {
		t.Helper()
		why := judge(c, parse)
		if why == "" {
			return
		}
		if failures++; failures <= maxFailures {
			t.Errorf("%s: %s\n%s", l.Name, why, c)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	taken := l.newTally()
	for range derivations {
		c := l.Derive(rng)
		taken.add(c)
		try(c)
	}
	for _, m := range l.Mutations {
		for round := range rounds {
			try(l.Mutate(rng, m, round))
		}
	}
	for _, s := range l.missing(taken, leastSteps) {
		t.Errorf("%s: the texts do not show %s", l.Name, s)
	}
	if failures > maxFailures {
		t.Errorf("%s: %d failures in all", l.Name, failures)
	}
	t.Logf("%s: %d valid texts, %d alternatives of rules, %d mutations of %d texts each, seed %d", l.Name, derivations, len(l.steps), len(l.Mutations), rounds, seed)
}

// judge says what is wrong with what parse makes of c, "" if nothing.
func judge(c Case, parse func(Case) (Meaning, error)) string {
	m, err := parse(c)
	switch {
	case c.Judgement.Accepted() && err != nil:
		return "refused: " + err.Error()
	case c.Judgement.Accepted() && m.String() != c.Want.String():
		return "means " + m.String() + ", want " + c.Want.String()
	case !c.Judgement.Accepted() && err == nil:
		return "accepted: " + m.String()
	}
	return ""
}
