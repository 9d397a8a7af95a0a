package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/text"
)

// human prints a verdict for people: the verdict, its reason and what to do about it;
// then what was looked up for the domain; then each host.
func (v *verdict) human(c *console) {
	if v.err != nil {
		c.Linef("%s: not checked: %s", v.asked, v.err)
		return
	}
	s := v.summary
	c.Linef("%s: %s%s", paint(strong, v.asked), paint(outcomeStyle(s.Outcome), v.headline()), v.count())
	said := map[engine.ReasonID]string{} // reason: the host for which it was explained
	if s.Reason.ID != "" {
		c.Linef("")
		v.explain(c, 2, s.Reason)
		for i, h := range v.plan.Hosts {
			if v.hosts[i].Decision.Reason == s.Reason {
				said[s.Reason.ID] = hostName(h)
				break
			}
		}
	}
	if why := explain.Plan(v.plan); len(why) > 0 {
		c.Linef("")
		steps(c, 2, why, false)
	}
	for i, h := range v.plan.Hosts {
		v.host(c, i, hostName(h), said)
	}
}

// headline is the outcome in words.
func (v *verdict) headline() string {
	s := v.summary
	code := explain.Summary(v.plan, s).Code
	switch {
	case s.Outcome == engine.Authenticated && s.EveryHost:
		return "authenticated by " + string(s.Method)
	case s.Outcome == engine.Authenticated:
		return "authenticated by " + string(s.Method) + " at the first host, but not at every host"
	case s.Outcome == engine.Encrypted, s.Outcome == engine.Cleartext:
		return s.Outcome.String() + ", not authenticated"
	case code != "":
		return s.Outcome.String() + " (" + code + ")"
	}
	return s.Outcome.String()
}

// count tells of how many hosts what is true, where there are several.
func (v *verdict) count() string {
	if v.summary.Total < 2 {
		return ""
	}
	return "; " + explain.Authenticated(v.summary)
}

// short is a verdict with the first sentence of its reason, in one line.
func (v *verdict) short() string {
	if v.err != nil {
		return "not checked: " + errorText(v.err)
	}
	text := explain.Text(v.summary.Reason)
	if text == "" {
		return v.headline()
	}
	return v.headline() + ": " + firstSentence(text)
}

// firstSentence cuts a text behind its first full stop that a capital letter follows. A dot
// that stands alone is the name of the root.
func firstSentence(text string) string {
	for i := 1; i+2 < len(text); i++ {
		if text[i] == '.' && text[i-1] != ' ' && text[i-1] != '(' && text[i+1] == ' ' && 'A' <= text[i+2] && text[i+2] <= 'Z' {
			return text[:i+1]
		}
	}
	return text
}

// explain prints a reason, and what each administrator can do about it.
func (v *verdict) explain(c *console, indent int, r engine.Reason) {
	words := explain.Reason(r)
	text := words.Text
	if words.RFC != "" {
		text += " (RFC " + words.RFC + ")"
	}
	block(c, indent, "", text)
	info, ok := explain.About(r.ID)
	if !ok || v.summary.Outcome == engine.Authenticated && v.summary.Reason == r {
		return
	}
	if info.Recipient != "" && info.Recipient != "Nothing." {
		block(c, indent, "for the owner of the domain: ", info.Recipient)
	}
	if info.Sender != "" && info.Sender != "Nothing." {
		block(c, indent, "for the sender: ", info.Sender)
	}
}

// host prints one host: what came out, why (unless that was said), what was looked up
// and what matched.
func (v *verdict) host(c *console, i int, name string, said map[engine.ReasonID]string) {
	h, r := v.plan.Hosts[i], v.hosts[i]
	d := r.Decision
	word := d.Outcome.String()
	if d.Method != "" {
		word += " by " + string(d.Method)
	}
	before, known := said[d.Reason.ID]
	if known && before != name {
		word += ", for the same reason as " + before
	}
	c.Linef("")
	c.Linef("  %s (preference %d): %s", paint(strong, name), h.Preference, paint(outcomeStyle(d.Outcome), word))
	if !known && d.Reason.ID != "" {
		v.explain(c, 4, d.Reason)
		said[d.Reason.ID] = name
	}
	steps(c, 4, explain.Host(&v.plan.Hosts[i]), known && before != name)
	steps(c, 4, explain.Steps(v.plan, i, d), false)
	for _, f := range d.Details {
		block(c, 4, pad("finding"), explain.Text(f))
	}
	if r.Differ() {
		for _, a := range r.Addresses {
			block(c, 4, pad("address"), a.Address.String()+": "+a.Decision.Outcome.String()+": "+explain.Text(a.Decision.Reason))
		}
	}
	if n := r.Untried(); n > 0 && n < len(r.Addresses) {
		block(c, 4, pad("address"), fmt.Sprintf("%d of %d were not reached: the time for connecting to the hosts of the domain was over", n, len(r.Addresses)))
	}
	if r.Left > 0 {
		block(c, 4, pad("address"), fmt.Sprintf("%d more were not connected to", r.Left))
	}
}

// steps prints what was looked up and compared, a step a line. The verdict itself is
// not repeated; brief leaves the sentence out that says why a requirement holds.
func steps(c *console, indent int, why []explain.Step, brief bool) {
	for _, s := range why {
		if s.Step == explain.StepVerdict {
			continue
		}
		if brief && s.Step == explain.StepRequirement {
			s.Result, _, _ = strings.Cut(s.Result, ": ")
		}
		block(c, indent, pad(s.Step), stepText(s))
	}
}

// stepText is one step in words: "example.org MX, secure: mx.example.org (10)".
func stepText(s explain.Step) string {
	what := strings.TrimSpace(s.Name + " " + s.Type)
	if s.Step == explain.StepTLSARecord {
		what = strings.TrimSpace(s.Type + " " + s.Name)
	}
	if s.Status != "" {
		what += ", " + s.Status
	}
	switch {
	case what == "":
		return s.Result
	case s.Result == "":
		return what
	}
	return what + ": " + s.Result
}

// labelWidth is the column at which the text of a step begins: that of the longest
// word, "requirement", and two blanks.
const labelWidth = 13

func pad(label string) string { return fmt.Sprintf("%-*s", labelWidth, label) }

// block prints a text after a label, broken into lines of the console's width. Later lines
// are indented to the start of the text.
func block(c *console, indent int, label, said string) {
	label = strings.Repeat(" ", indent) + label
	hang := strings.Repeat(" ", utf8.RuneCountInString(label))
	if strings.HasSuffix(label, ": ") { // a heading of prose, not a column
		hang = strings.Repeat(" ", indent+2)
	}
	for i, line := range wrap(text.Escape(said), c.width-utf8.RuneCountInString(hang), len(label)-len(hang)) {
		if i == 0 {
			c.Linef("%s%s", paint(faint, label), line)
		} else {
			c.Linef("%s%s", hang, line)
		}
	}
}

// wrap breaks text at blanks into lines of at most width characters, the first of them
// shorter by used; a longer word stands on a line of its own.
func wrap(text string, width, used int) []string {
	var lines []string
	var line strings.Builder
	n := used
	for i, word := range strings.Fields(text) {
		w := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case n+1+w > width:
			lines = append(lines, line.String())
			line.Reset()
			n = 0
		default:
			line.WriteByte(' ')
			n++
		}
		line.WriteString(word)
		n += w
	}
	return append(lines, line.String())
}
