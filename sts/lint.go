package sts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Finding is one thing that [Lint] or [LintRecord] says of a text.
type Finding struct {
	Line  int    // from 1; 0 where it is about the whole
	Field string // "" if unknown
	Text  string // offending text, cut; print it with %q
	Why   string // what is wrong or unwise, lower case
	Cure  string // what to write instead; "" if that is plain
	// Fatal: senders that keep to the RFC do not take the text. Otherwise it is valid, and
	// the finding is advice.
	Fatal bool
	// Missing: Why says that the text has no Field.
	Missing bool
}

// shortAge is what an advisable max_age does not go below: RFC 8461 section 3.2 expects
// weeks, since an attacker who can block the refresh for so long ends the protection.
const shortAge = 7 * 24 * time.Hour

// Lint lists everything that is wrong or unwise in a policy body: every breach of the
// grammar, not the first only, each with its line and cure, and after them advice. An
// empty list is a good policy.
func Lint(body []byte) []Finding {
	if len(body) > MaxPolicySize {
		e := tooLarge()
		return []Finding{{Why: e.Why, Cure: e.Cure, Fatal: true}}
	}
	text, out, ok := unwrap(string(body))
	if !ok {
		return out
	}
	lines := strings.Split(text, "\n")
	meant := map[string]bool{} // fields that a line means, though senders do not read it so
	var missing []*SyntaxError
	p := readPolicy(text, func(e *SyntaxError) bool {
		if e.Line == 0 {
			missing = append(missing, e)
			return true
		}
		l := strings.TrimSuffix(lines[e.Line-1], "\r")
		f := fatal(e)
		switch n, isNear := near(l); {
		case isComment(l):
			f.Text, f.Why, f.Cure = cutText(l), "a comment; a policy has no comments", "remove the line"
		case isNear:
			meant[n.name] = true
			if n.why != "" {
				f.Field, f.Text, f.Why, f.Cure = n.name, cutText(l), n.why, n.cure()
				if n.value == "" && e.Cure != "" {
					f.Cure = e.Cure
				}
			} else if n.value != "" && f.Cure == "" {
				f.Cure = n.cure()
			}
		}
		out = append(out, f)
		return true
	})
	// A valid line with another name for a field is an extension: the field is missing.
	for _, e := range missing {
		if meant[e.Field] {
			continue
		}
		f := fatal(e)
		for i, l := range lines {
			if n, isNear := near(strings.TrimSuffix(l, "\r")); isNear && n.name == e.Field && n.why != "" {
				f = Finding{Line: i + 1, Field: e.Field, Text: cutText(strings.TrimSuffix(l, "\r")), Why: n.why, Cure: n.cure(), Fatal: true}
				break
			}
		}
		out = append(out, f)
	}
	for _, f := range advice(p) {
		if !slices.ContainsFunc(out, func(g Finding) bool { return g.Line == f.Line && g.Fatal }) {
			out = append(out, f)
		}
	}
	return out
}

func fatal(e *SyntaxError) Finding {
	return Finding{Line: e.Line, Field: e.Field, Text: e.Text, Why: e.Why, Cure: e.Cure, Fatal: true, Missing: e.missing}
}

// LintRecord lists what is wrong with the TXT records of a domain's _mta-sts name, each
// with its character-strings joined. An empty list is a good record.
func LintRecord(txt []string) []Finding {
	r, err := ParseRecord(txt)
	var e *SyntaxError
	switch {
	case err == nil:
	case errors.As(err, &e) && slices.ContainsFunc(txt, isRecord):
		f := fatal(e)
		record := txt[slices.IndexFunc(txt, isRecord)]
		if name, at, odd := oddRune(record); odd {
			f.Text, f.Why, f.Missing = cutText(record), fmt.Sprintf("character %d is %s", at, name), false
		} else if e.Field == "id" && !strings.HasPrefix(e.Text, recordVersion) {
			f.Why = badIDChar(e.Text)
		}
		if f.Cure == "" || e.Field == "id" {
			f.Cure = recordCure(record)
		}
		return []Finding{f}
	default:
		return nearRecords(txt)
	}
	var out []Finding
	for _, f := range r.Ext {
		switch {
		case f.Name == "id":
			out = append(out, Finding{Field: "id", Text: f.Value, Why: "a second id, which senders ignore", Cure: "remove it"})
		case strings.EqualFold(f.Name, "id"):
			out = append(out, Finding{Field: f.Name, Text: f.Value, Why: "an unknown field; \"id\" is written in lower case", Cure: "remove it"})
		}
	}
	return out
}

// nearRecords are the findings where no text is a record: one for each that is meant to
// be, else that there is none.
func nearRecords(txt []string) (out []Finding) {
	for _, t := range txt {
		if MeansRecord(t) {
			out = append(out, Finding{Text: cutText(t), Why: nearRecord(t), Cure: recordCure(t), Fatal: true})
		}
	}
	if out != nil {
		return out
	}
	none := Finding{Why: "no TXT record", Cure: "publish a TXT record such as \"v=STSv1; id=" + sampleID + ";\"", Fatal: true}
	for _, t := range txt {
		none.Text, none.Why = cutText(t), "no TXT record begins with \"v=STSv1;\""
		if o := OtherRecord(t); o != "" {
			none.Why = "no MTA-STS record; the TXT record here is one of " + o
		}
	}
	return []Finding{none}
}

// known are the fields of a policy that mean something.
var known = [...]string{"version", "mode", "max_age", "mx"}

// advice is about the parts of p that are valid.
func advice(p Policy) []Finding {
	var out []Finding
	add := func(line int, field, text, why, cure string) {
		out = append(out, Finding{Line: line, Field: field, Text: cutText(text), Why: why, Cure: cure})
	}
	seen := map[string]int{}
	patterns := map[Pattern]int{}
	for i, l := range strings.Split(p.Text, "\n") {
		name, value, fault := splitLine(strings.TrimSuffix(l, "\r"))
		if fault != nil {
			continue
		}
		n := i + 1
		if name == "mx" {
			m, why := parsePattern(value)
			if why != "" {
				continue
			}
			if first, ok := patterns[m]; ok {
				add(n, name, value, fmt.Sprintf("the same as line %d", first), "remove it")
			} else {
				patterns[m] = n
			}
			if m.wildcard && !strings.Contains(m.name, ".") {
				add(n, name, value, "names every host directly below a top-level domain", "name the MX hosts")
			}
			continue
		}
		first, again := seen[name]
		if !again {
			seen[name] = n
		}
		for _, k := range known {
			switch {
			case name == k && again:
				add(n, name, value, fmt.Sprintf("does not count: line %d has this field already", first), "remove one of them")
			case name != k && strings.EqualFold(strings.NewReplacer("-", "", "_", "", ".", "").Replace(name), strings.ReplaceAll(k, "_", "")):
				add(n, name, value, fmt.Sprintf("an unknown field, similar to %q", k), fmt.Sprintf("write %q", k))
			}
		}
	}
	if n := seen["max_age"]; n > 0 && (p.Mode == ModeEnforce || p.Mode == ModeTesting) && p.MaxAge < shortAge {
		add(n, "max_age", "", fmt.Sprintf("senders forget the policy after %s", p.MaxAge), "choose weeks, such as \"max_age: 1209600\", once the policy has proved itself")
	}
	if p.Mode == ModeTesting {
		add(seen["mode"], "mode", "testing", "protects nothing: failures are only reported", "write \"mode: enforce\" when the reports show no failures")
	}
	return out
}
