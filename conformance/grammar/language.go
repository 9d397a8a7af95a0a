package grammar

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// A Field is an extension field, or one that is repeated and does not count.
type Field struct{ Name, Value string }

// A Meaning is what a text says. Of the fields each language uses its own.
type Meaning struct {
	ID           string     // STS record
	Mode         string     // policy
	MaxAge       int64      // policy, seconds
	MX           []string   // policy, in lower case
	RUA          [][]string // TLSRPT record, a list for each rua
	Destinations []string   // TLSRPT record: URIs of the two schemes that it knows, each once
	Ext          []Field
}

// String prints m in one line. Two meanings are the same if they print the same.
func (m Meaning) String() string {
	return fmt.Sprintf("id %q, mode %q, max_age %d, mx %q, rua %q, destinations %q, extensions %q",
		m.ID, m.Mode, m.MaxAge, m.MX, m.RUA, m.Destinations, m.Ext)
}

// A Language is a grammar with the meaning of its texts.
type Language struct {
	Name      string
	Mutations []Mutation

	rules rules
	start string
	steps []string // that a set of derivations must take
	never []string // steps that no valid text can take
	shape shape
	// draw picks what a valid text needs and chance would seldom give.
	draw func(rng *rand.Rand) map[string][]int
	// read says what a tree means, and what the prose finds missing in it.
	read func(tree *Node) (m Meaning, lacks string)
}

// shape says how fields follow each other in a text.
type shape struct {
	field string // the rule of a field
	delim string // the rule of what parts them
	// How an extension is written, for fields that a mutation adds.
	ext, extName, extValue string
	is, end                string // between name and value, and between fields
}

// A Judgement says whether a text must be accepted.
type Judgement uint8

const (
	// Valid: the grammar has the text and the prose takes it. It means what its derivation
	// says.
	Valid Judgement = iota + 1
	// Tolerated: the grammar has no such text, and it is taken all the same, for the prose
	// or a decision of the project says so.
	Tolerated
	// Malformed: the grammar, with what the prose says of single rules, has no such text.
	Malformed
	// Forbidden: the grammar has the text, and the prose or a decision of the project
	// refuses it.
	Forbidden
)

// String returns the word.
func (f Judgement) String() string {
	return [...]string{"unknown", "valid", "tolerated", "malformed", "forbidden"}[f]
}

// Accepted reports whether a parser takes the text.
func (f Judgement) Accepted() bool { return f == Valid || f == Tolerated }

// A Case is one text and what must come of it.
type Case struct {
	Text string
	// Set is the text among the others at the same name in DNS; of a policy it is
	// the text alone.
	Set       []string
	Judgement Judgement
	Want      Meaning // if it is accepted
	// Mutation is the name of the change, "" of a text that was left as derived; Source says
	// that decides its result.
	Mutation, Source string
	Derivation       *Node
	steps            []int // how often each was taken
}

// String shows the text, what was done to it, and its derivation.
func (c Case) String() string {
	return fmt.Sprintf("%q (mutation %q, %s: %s)\n%s", c.Set, c.Mutation, c.Judgement, c.Source, c.Derivation)
}

// newLanguage numbers the rules.
func newLanguage(l Language) *Language {
	l.steps = l.rules.number()
	return &l
}

// Has reports whether the grammar has the text.
func (l *Language) Has(text string) bool { return l.rules.has(l.start, text) }

// derive makes a tree.
func (l *Language) derive(rng *rand.Rand) (*Node, []int) {
	d := &deriver{rules: l.rules, rng: rng, picks: l.draw(rng), steps: make([]int, len(l.steps))}
	top := &Node{}
	ref(l.start).derive(d, top)
	return top.Kids[0], d.steps
}

// Derive makes a valid text.
func (l *Language) Derive(rng *rand.Rand) Case {
	tree, steps := l.derive(rng)
	m, lacks := l.read(tree)
	if lacks != "" {
		panic("grammar: " + l.Name + ": a derivation " + lacks + "\n" + tree.String())
	}
	text := tree.Text()
	return Case{Text: text, Set: []string{text}, Judgement: Valid, Want: m, Source: "derived", Derivation: tree, steps: steps}
}

// Mutate derives a text to which the mutation can be done, and does it. The round chooses
// among the ways of a mutation that has several.
func (l *Language) Mutate(rng *rand.Rand, m Mutation, round int) Case {
	for range maxDraws {
		tree, _ := l.derive(rng)
		e := &editor{Language: l, rng: rng, round: round, tree: tree}
		if !m.edit(e) {
			continue
		}
		c := Case{Text: tree.Text(), Judgement: m.Judgement, Mutation: m.Name, Source: m.Source, Derivation: tree}
		c.Set = append(slices.Clone(e.beside), c.Text)
		rng.Shuffle(len(c.Set), func(i, j int) { c.Set[i], c.Set[j] = c.Set[j], c.Set[i] })
		var lacks string
		c.Want, lacks = l.read(tree)
		if m.Judgement.Accepted() && lacks != "" {
			panic("grammar: " + l.Name + ": mutation " + m.Name + " " + lacks + "\n" + c.String())
		}
		return c
	}
	panic("grammar: " + l.Name + ": nothing to mutate: " + m.Name)
}

// fields lists the places of the fields among the children of a tree.
func (s shape) fields(tree *Node) []int {
	var out []int
	for i, k := range tree.Kids {
		if k.Rule == s.field {
			out = append(out, i)
		}
	}
	return out
}

// extension is a field of that name and value.
func (s shape) extension(name, value string) *Node {
	return node(s.field, node(s.ext, node(s.extName, leaf(name)), leaf(s.is), node(s.extValue, leaf(value))))
}

// A tally counts the steps of derivations.
type tally []int

func (l *Language) newTally() tally { return make(tally, len(l.steps)) }

func (t tally) add(c Case) {
	for i, n := range c.steps {
		t[i] += n
	}
}

// missing lists the steps that were taken less than so many times, but for those that no
// valid text can take; and of these the ones that were.
func (l *Language) missing(t tally, least int) []string {
	var out []string
	for i, s := range l.steps {
		if never := slices.Contains(l.never, s); never && t[i] > 0 || !never && t[i] < least {
			out = append(out, fmt.Sprintf("%s: %d times", s, t[i]))
		}
	}
	return out
}
