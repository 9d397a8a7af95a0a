package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/text"
)

// human prints a verdict for people: the verdict, its cause, what else is wrong and what to
// do about it; then what was found for the domain and each host. verbose adds every step.
func (v *verdict) human(c *console) {
	if v.err != nil {
		c.Linef("%s: not checked: %s", v.asked, v.err)
		return
	}
	s := v.Summary
	head := v.headline() + v.count()
	if note := v.note(); note != "" {
		head += ": " + note
	}
	for i, line := range wrap(text.Escape(v.asked+": "+head), c.width, 0) {
		if rest, ok := strings.CutPrefix(line, v.asked+": "); i == 0 && ok {
			c.Linef("%s: %s", paint(strong, v.asked), paint(outcomeStyle(s.Outcome), rest))
			continue
		}
		c.Linef("  %s", paint(outcomeStyle(s.Outcome), line))
	}
	if s.Reason.ID != "" {
		c.Linef("")
		v.account(c)
	}
	lines := explain.PlanLines(v.Plan)
	if len(lines)+len(v.Plan.Hosts) > 0 {
		c.Linef("")
	}
	for _, l := range lines {
		if l.Label == "mx" && v.alone() {
			continue // the line of the host says it
		}
		block(c, 2, pad(l.Label), l.Text)
	}
	for i := range v.Plan.Hosts {
		v.host(c, i)
	}
	if v.verbose {
		c.Linef("")
		c.Linef("  all steps:")
		steps(c, 4, explain.Plan(v.Plan))
		for i := range v.Plan.Hosts {
			steps(c, 4, explain.Host(&v.Plan.Hosts[i]))
			steps(c, 4, explain.Steps(v.Plan, i, v.Hosts[i].Decision))
		}
	}
}

// alone reports whether the domain has one MX record, which names its only host.
func (v *verdict) alone() bool {
	m := &v.Plan.MX
	return len(v.Plan.Hosts) == 1 && len(m.Listed) == 1 && m.More == 0 && m.Lookup.Answer.Kind == dnssec.Data
}

// told is what an administrator has to know and to do.
func (v *verdict) told() explain.Account {
	decisions := make([]engine.Decision, len(v.Hosts))
	for i, h := range v.Hosts {
		decisions[i] = h.Decision
	}
	return explain.Tell(v.Plan, decisions, v.Summary)
}

// named reports whether a digest is in a line that is ready to copy.
func (v *verdict) named(digest string) bool {
	return v.Summary.Outcome != engine.Authenticated && slices.ContainsFunc(v.told().Owner, func(c explain.Cure) bool {
		return slices.ContainsFunc(c.Lines, func(l string) bool { return strings.Contains(l, digest) })
	})
}

// blamesResolver reports whether the account says what is wrong with the resolver.
func (v *verdict) blamesResolver() bool {
	return v.err == nil && len(v.Hosts) == len(v.Plan.Hosts) && slices.ContainsFunc(v.told().Hints, func(h explain.Hint) bool {
		return slices.Contains([]explain.Hint{explain.HintResolver, explain.HintRefuses, explain.HintStrips, explain.HintAnchor, explain.HintSilent}, h)
	})
}

// account prints what an administrator has to know and to do.
func (v *verdict) account(c *console) {
	a := v.told()
	cause := a.Cause
	if a.RFC != "" && v.Summary.Outcome != engine.Authenticated {
		cause += " (RFC " + a.RFC + ")"
	}
	block(c, 2, "", cause)
	for _, also := range a.Also {
		block(c, 2, "", "Also: "+also)
	}
	for i, cure := range a.Owner {
		label := "for the owner of the domain: "
		if i > 0 {
			label = "  "
		}
		block(c, 2, label, cure.Text)
		for _, l := range cure.Lines {
			c.Linef("      %s", l)
		}
	}
	sender := a.Sender
	for _, h := range a.Hints {
		if hint := hints[h]; hint != "" {
			sender = append(sender, strings.ReplaceAll(hint, "{domain}", v.Plan.Orig.String()))
		}
	}
	if len(sender) > 0 {
		block(c, 2, "for the sender: ", strings.Join(sender, " "))
	}
}

// note says what the outcome means for the message, where it does not go.
func (v *verdict) note() string {
	const demanded = "not delivered now; the message stays queued (this check demands more)"
	switch v.Summary.Reason.ID {
	case reason.NoMethod, reason.DANERequired, reason.PKIXName, reason.PKIXExpired, reason.PKIXUntrusted,
		reason.RequireTLSMX, reason.RequireTLSLiteral, reason.NoREQUIRETLS, reason.RequireTLSFails, reason.NoFallback:
		return demanded
	}
	if no, ok := v.Summary.Reason.Evidence.(*engine.NoTLS); ok && no.Part == engine.PKIX {
		return demanded
	}
	switch v.Summary.Outcome {
	case engine.Refused:
		return "not delivered now; the message stays queued (a policy forbids it)"
	case engine.Deferred:
		return "not delivered now; the message stays queued (" + v.waits() + ")"
	case engine.Bounced:
		return "not deliverable; the message goes back to its sender"
	}
	return ""
}

// waits says in a few words for what a deferred message waits.
func (v *verdict) waits() string {
	switch v.Summary.Reason.Evidence.(type) {
	case *reason.LookupFailed:
		return "a lookup failed"
	case *engine.NoTLS:
		return "no connection"
	case *reason.Lost, *reason.MemoryUnread:
		return "a protection is missing"
	}
	return "until more is known"
}

// headline is the outcome in words.
func (v *verdict) headline() string {
	s := v.Summary
	code := explain.Summary(v.Plan, s).Code
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

// count says of how many hosts it is true, where there are several.
func (v *verdict) count() string {
	if v.Summary.Total < 2 {
		return ""
	}
	return "; " + explain.Authenticated(v.Summary)
}

// short is a verdict with the first sentence of its reason, in one line.
func (v *verdict) short() string {
	if v.err != nil {
		return "not checked: " + errorText(v.err)
	}
	text := explain.Text(v.Summary.Reason)
	if text == "" {
		return v.headline()
	}
	return v.headline() + ": " + firstSentence(text)
}

// firstSentence cuts a text after its first full stop that a capital letter follows. A dot
// that is alone is the name of the root.
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
	cause := words.Text
	if words.RFC != "" {
		cause += " (RFC " + words.RFC + ")"
	}
	block(c, indent, "", cause)
}

// host prints one host: what came out, and what was looked up, shown and compared.
func (v *verdict) host(c *console, i int) {
	r := v.Hosts[i]
	h, d := &v.Plan.Hosts[i], &r.Decision
	word := d.Outcome.String()
	if d.Method != "" {
		word += " by " + string(d.Method)
	}
	if len(v.Plan.Hosts) > 1 {
		c.Linef("")
	}
	note := ""
	if v.alone() && v.Plan.MX.Status == dnssec.Secure {
		note = ", DNSSEC valid"
	}
	c.Linef("  %s (preference %d%s): %s", paint(strong, h.String()), h.Preference, note, paint(outcomeStyle(d.Outcome), word))
	for _, l := range explain.HostLines(v.Plan, i, d, v.Plan.Made) {
		if l.Label == "key" && v.named(strings.TrimPrefix(l.Text, "SHA-256 ")) {
			continue // it is in the record to publish
		}
		block(c, 4, pad(l.Label), l.Text)
	}
	if r.Differ() {
		for _, a := range r.Addresses {
			block(c, 4, pad("address"), explain.AddressName(a.Address, &a.Peer)+": "+a.Decision.Outcome.String()+": "+firstSentence(explain.Text(a.Decision.Reason)))
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
// not repeated.
func steps(c *console, indent int, why []explain.Step) {
	for _, s := range why {
		if s.Step == explain.StepVerdict {
			continue
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
		what += ", " + cmp.Or(statusWords[s.Status], s.Status)
	}
	if s.Step == explain.StepRequirement {
		_, s.Result, _ = strings.Cut(s.Result, ": ") // the word of the table is for programs
	}
	switch {
	case what == "":
		return s.Result
	case s.Result == "":
		return what
	}
	return what + ": " + s.Result
}

// statusWords are the DNSSEC states of answers in plain words.
var statusWords = map[string]string{
	dnssec.Secure.String():        "DNSSEC valid",
	dnssec.Insecure.String():      "without DNSSEC",
	dnssec.Bogus.String():         "fails DNSSEC validation",
	dnssec.Indeterminate.String(): "not known",
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
// shorter by used; a longer word gets a line of its own.
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
