package grammar

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func languages() []*Language { return []*Language{STSRecord(), STSPolicy(), TLSRPTRecord()} }

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// maxMatched is the longest text that is held against the grammar: the matcher is slow.
const maxMatched = 20000

// TestFates: what is said of each text is what the rules say when they are read, not
// derived.
func TestFates(t *testing.T) {
	for _, l := range languages() {
		t.Run(l.Name, func(t *testing.T) {
			rng := seeded(2)
			for range 100 {
				if c := l.Derive(rng); !l.Has(c.Text) {
					t.Fatalf("the grammar does not have what it has derived: %s", c)
				}
			}
			for _, m := range l.Mutations {
				for round := range rounds {
					c := l.Mutate(rng, m, round)
					if len(c.Text) > maxMatched {
						if m.Judgement != Forbidden {
							t.Fatalf("too long to be judged: %s", c)
						}
						continue
					}
					if want := m.Judgement == Valid || m.Judgement == Forbidden; l.Has(c.Text) != want {
						t.Errorf("the grammar has the text: %v: %s", !want, c)
						break
					}
				}
			}
		})
	}
}

// TestTable: every mutation has a name of its own, a fate and a source, and each language
// has some of each fate.
func TestTable(t *testing.T) {
	for _, l := range languages() {
		names := map[string]bool{}
		fates := map[Judgement]int{}
		for _, m := range l.Mutations {
			if m.Name == "" || names[m.Name] {
				t.Errorf("%s: the name %q is empty or stands twice", l.Name, m.Name)
			}
			names[m.Name] = true
			fates[m.Judgement]++
			if !slices.ContainsFunc([]string{"RFC 8461 section", "RFC 8461 sections", "RFC 8460 section", "RFC 5321 section", "decision of the project", "vectors"},
				func(s string) bool { return strings.HasPrefix(m.Source, s) }) {
				t.Errorf("%s: %s: the source %q names nobody who decides", l.Name, m.Name, m.Source)
			}
		}
		for f := Valid; f <= Forbidden; f++ {
			if fates[f] == 0 {
				t.Errorf("%s: no mutation is %s", l.Name, f)
			}
		}
	}
}

// TestSeed: a seed gives the same texts again, another one others.
func TestSeed(t *testing.T) {
	for _, l := range languages() {
		texts := func(seed uint64) string {
			rng := seeded(seed)
			var b strings.Builder
			for range 20 {
				b.WriteString(l.Derive(rng).String())
			}
			for _, m := range l.Mutations {
				b.WriteString(l.Mutate(rng, m, 3).String())
			}
			return b.String()
		}
		one := texts(1)
		if again := texts(1); again != one {
			t.Errorf("%s: a seed gives different texts", l.Name)
		}
		if texts(2) == one {
			t.Errorf("%s: two seeds give the same texts", l.Name)
		}
	}
}

// TestHas holds the matcher against texts of which the answer is plain.
func TestHas(t *testing.T) {
	r := rules{
		"list":  {is: seq{ref("item"), times(0, 2, seq{lit(","), ref("item")}), maybe(lit("."))}},
		"item":  {is: or(seq{lit("a"), many(0, lit("b"))}, many(1, digit)), not: oneOf("ab", "7")},
		"loop":  {is: many(0, blanks())},
		"twice": {is: times(2, 2, anyOf("xy"))},
	}
	for _, c := range []struct {
		rule, text string
		want       bool
	}{
		{"list", "a", true}, {"list", "abb,12,a.", true}, {"list", "a,a,a,a", false}, {"list", "", false},
		{"list", "ab", false}, {"list", "a,7", false}, {"list", "77,a", true}, {"list", "a..", false}, {"list", "a,", false},
		{"loop", "", true}, {"loop", " \t ", true}, {"loop", " x", false},
		{"twice", "xy", true}, {"twice", "x", false}, {"twice", "xyx", false},
	} {
		if got := r.has(c.rule, c.text); got != c.want {
			t.Errorf("%s has %q: %v", c.rule, c.text, got)
		}
	}
}

// TestSteps: the alternatives of a grammar have names, and those that were not taken are
// told.
func TestSteps(t *testing.T) {
	r := rules{
		"a": {is: seq{or(lit("x"), often(3, lit("y"))), times(1, 3, ref("b"))}},
		"b": {is: or(lit("z"), maybe(lit("-")), many(2, lit("+")), times(4, 4, lit("!")))},
	}
	l := newLanguage(Language{rules: r, never: []string{"b#1 alternative 1"}})
	want := []string{
		"a#1 alternative 1", "a#1 alternative 2", "a#2 fewest", "a#2 more", "a#2 most",
		"b#1 alternative 1", "b#1 alternative 2", "b#1 alternative 3", "b#1 alternative 4", "b#2 fewest", "b#2 more", "b#3 fewest", "b#3 more", "b#4 fewest",
	}
	if !slices.Equal(l.steps, want) {
		t.Fatalf("steps %q", l.steps)
	}
	d := &deriver{rules: r, rng: seeded(1), steps: make([]int, len(l.steps)), picks: map[string][]int{"a#1": {1}, "a#2": {3}, "b#1": {1, 1, 1}, "b#2": {0, 0, 1}}}
	top := &Node{}
	ref("a").derive(d, top)
	if got := top.Kids[0].Text(); got != "y-" {
		t.Errorf("derived %q", got)
	}
	taken := l.newTally()
	taken.add(Case{steps: d.steps})
	missing := strings.Join(l.missing(taken, 2), "; ")
	for name, told := range map[string]bool{
		"a#1 alternative 1: 0": true, "a#1 alternative 2: 1": true, "a#2 most: 1": true, "b#1 alternative 1": false,
		"b#1 alternative 2": false, "b#2 fewest": false, "b#2 more: 1": true, "b#3 fewest: 0": true,
	} {
		if strings.Contains(missing, name) != told {
			t.Errorf("%s is told: %v, in %s", name, !told, missing)
		}
	}
	taken[5] = 1
	if !strings.Contains(strings.Join(l.missing(taken, 2), "; "), "b#1 alternative 1: 1") {
		t.Error("a step that cannot be taken was taken, and is not told")
	}
}

// TestJudge: a parser that differs in any way is noticed.
func TestJudge(t *testing.T) {
	m := Meaning{ID: "a", Ext: []Field{{"x", "y"}}}
	refused := errors.New("refused")
	for _, c := range []struct {
		fate Judgement
		got  Meaning
		err  error
		want string
	}{
		{Valid, m, nil, ""},
		{Tolerated, m, nil, ""},
		{Valid, Meaning{ID: "a"}, nil, "means "},
		{Tolerated, Meaning{ID: "b", Ext: m.Ext}, nil, "means "},
		{Valid, Meaning{}, refused, "refused: refused"},
		{Tolerated, Meaning{}, refused, "refused: refused"},
		{Malformed, Meaning{}, refused, ""},
		{Forbidden, Meaning{}, refused, ""},
		{Malformed, m, nil, "accepted: "},
		{Forbidden, m, nil, "accepted: "},
	} {
		got := judge(Case{Judgement: c.fate, Want: m}, func(Case) (Meaning, error) { return c.got, c.err })
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.fate, got, c.want)
		}
	}
	base := Meaning{ID: "a", Mode: "none", MaxAge: 1, MX: []string{"a"}, RUA: [][]string{{"a"}}, Destinations: []string{"a"}, Ext: []Field{{"a", "b"}}}
	for i, other := range []Meaning{
		{"b", "none", 1, base.MX, base.RUA, base.Destinations, base.Ext},
		{"a", "enforce", 1, base.MX, base.RUA, base.Destinations, base.Ext},
		{"a", "none", 2, base.MX, base.RUA, base.Destinations, base.Ext},
		{"a", "none", 1, []string{"a", "b"}, base.RUA, base.Destinations, base.Ext},
		{"a", "none", 1, base.MX, [][]string{{"a"}, {"b"}}, base.Destinations, base.Ext},
		{"a", "none", 1, base.MX, base.RUA, nil, base.Ext},
		{"a", "none", 1, base.MX, base.RUA, base.Destinations, []Field{{"a", "c"}}},
	} {
		if other.String() == base.String() {
			t.Errorf("%d: %s", i, other)
		}
	}
}

// TestMeanings: the meaning of a tree, where its rules are not plain.
func TestMeanings(t *testing.T) {
	p := node("sts-policy-record",
		simplePolicyField("sts-policy-mode", "mode", "none"), leaf("\n"),
		simplePolicyField("sts-policy-mode", "mode", "enforce"), leaf("\n"),
		simplePolicyField("sts-policy-mx", "mx", "*.A.example"), leaf("\n"),
		simplePolicyField("sts-policy-max-age", "max_age", "007"), leaf("\n"),
		simplePolicyField("sts-policy-version", "version", "STSv1"))
	if m, lacks := readPolicy(p); lacks != "" || m.String() != (Meaning{Mode: "none", MaxAge: 7, MX: []string{"*.a.example"}, Ext: []Field{{"mode", "enforce"}}}).String() {
		t.Errorf("%s, %q", m, lacks)
	}
	r := node("tlsrpt-record", node("tlsrpt-field", list("MAILTO:a@b.example", "ftp:x", "https://b.example")), node("tlsrpt-field", list("https://b.example")))
	want := Meaning{RUA: [][]string{{"MAILTO:a@b.example", "ftp:x", "https://b.example"}, {"https://b.example"}}, Destinations: []string{"MAILTO:a@b.example", "https://b.example"}}
	if m, lacks := readReport(r); lacks != "" || m.String() != want.String() {
		t.Errorf("%s, %q", m, lacks)
	}
	for name, lacks := range map[string]func() (Meaning, string){
		"lacks an id":              func() (Meaning, string) { return readRecord(node("sts-text-record")) },
		"lacks a rua":              func() (Meaning, string) { return readReport(node("tlsrpt-record")) },
		"lacks an mx":              func() (Meaning, string) { return readPolicy(node("x", p.Kids[2], p.Kids[6], p.Kids[8])) },
		"lacks sts-policy-max-age": func() (Meaning, string) { return readPolicy(node("x", p.Kids[0], p.Kids[4], p.Kids[8])) },
	} {
		if _, got := lacks(); got != name {
			t.Errorf("%q, want %q", got, name)
		}
	}
}
