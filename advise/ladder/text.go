package ladder

import (
	"fmt"
	"strings"
)

// A TextLine is a line for a terminal, before it is broken to the width of one.
type TextLine struct {
	Status Status // of the step that the line begins
	// Mark is the status in brackets, to be painted by it; blanks of the same width in a
	// further line of a step; "" in a line that belongs to no step.
	Mark string
	Head string // the heading of the step, or blanks
	Text string
}

// markWidth is the width of the marks, of which "[not proved]" is the longest.
const markWidth = 12

// headWidth is that of the headings, of which "Root of DNS" and "TLSA records" are the longest.
const headWidth = 12

// Text returns the ladders as lines, a step after the other with the links between them:
// "|" where the step above holds, ":" where nothing proves it, "x" where it is broken.
func (l Ladder) Text() []TextLine {
	t := &textLines{}
	t.plain(0, "DANE")
	t.steps(1, l.Trunk)
	for i, h := range l.Hosts {
		if i == 0 && len(l.Trunk) > 0 {
			t.link(1, l.Trunk[len(l.Trunk)-1].Status)
		} else {
			t.plain(0, "")
		}
		name := strings.Join(names(h.Unicode, h.Name), ", ")
		if h.Listed {
			name += fmt.Sprintf(" (preference %d)", h.Preference)
		}
		t.plain(1, name)
		t.steps(2, h.Steps)
	}
	for i, f := range l.Folded {
		if i == 0 {
			t.plain(0, "")
		}
		t.plain(1, fmt.Sprintf("and %d more: %s", f.Hosts, outcomeWords(f.Outcome, "")))
	}
	t.plain(0, "")
	t.plain(0, "MTA-STS")
	t.steps(1, l.Policy)
	t.plain(0, "")
	t.step(0, l.Verdict)
	return t.out
}

type textLines struct{ out []TextLine }

func (t *textLines) plain(depth int, s string) {
	if s != "" {
		s = strings.Repeat("  ", depth) + s
	}
	t.out = append(t.out, TextLine{Text: s})
}

func (t *textLines) steps(depth int, steps []Step) {
	for i, s := range steps {
		if i > 0 {
			t.link(depth, steps[i-1].Status)
		}
		t.step(depth, s)
	}
}

// link leads from a step of a status to the next.
func (t *textLines) link(depth int, s Status) {
	mark := "|"
	switch s {
	case Broken, Unknown:
		mark = "x"
	case Unproved, Missing, Unused:
		mark = ":"
	}
	t.plain(depth, "     "+mark)
}

// step adds a step: its mark and heading, then what was found.
func (t *textLines) step(depth int, s Step) {
	l := TextLine{Status: s.Status, Head: fmt.Sprintf(" %-*s ", headWidth, s.Kind.Title()),
		Mark: fmt.Sprintf("%s%-*s", strings.Repeat("  ", depth), markWidth, "["+s.Status.String()+"]")}
	body := s.Lines
	if s.Name != "" {
		body = append([]string{s.Name}, body...)
	}
	if len(body) == 0 {
		body = []string{""}
	}
	if f := foot(s); f != "" {
		body = append(body[:len(body)-1:len(body)-1], strings.TrimSpace(body[len(body)-1]+" ("+f+")"))
	}
	for i, b := range body {
		if i > 0 {
			l.Mark, l.Head = strings.Repeat(" ", len(l.Mark)), strings.Repeat(" ", headWidth+2)
		}
		l.Text = b
		t.out = append(t.out, l)
	}
}
