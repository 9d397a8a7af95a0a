package sts

import (
	"errors"
	"fmt"
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
}

// shortAge is what an advisable max_age does not go below: RFC 8461 section 3.2 expects
// weeks, since whoever can block the refresh for so long ends the protection.
const shortAge = 7 * 24 * time.Hour

// Lint lists everything that is wrong or unwise in a policy body: every breach of the
// grammar, not the first only, each with its line and cure, and behind them advice. An
// empty list is a good policy.
func Lint(body []byte) []Finding {
	if len(body) > MaxPolicySize {
		e := tooLarge()
		return []Finding{{Why: e.Why, Cure: e.Cure, Fatal: true}}
	}
	var out []Finding
	p := readPolicy(string(body), func(e *SyntaxError) bool {
		out = append(out, fatal(e))
		return true
	})
	return append(out, advice(p)...)
}

func fatal(e *SyntaxError) Finding {
	return Finding{Line: e.Line, Field: e.Field, Text: e.Text, Why: e.Why, Cure: e.Cure, Fatal: true}
}

// LintRecord lists what is wrong with the TXT records of a domain's _mta-sts name, each
// with its character-strings joined. An empty list is a good record.
func LintRecord(txt []string) []Finding {
	r, err := ParseRecord(txt)
	var e *SyntaxError
	switch {
	case errors.As(err, &e):
		return []Finding{fatal(e)}
	case err != nil:
		return []Finding{{Why: "no TXT record", Cure: "publish a TXT record such as \"v=STSv1; id=20240101T000000;\"", Fatal: true}}
	}
	var out []Finding
	for _, f := range r.Ext {
		switch {
		case f.Name == "id":
			out = append(out, Finding{Field: "id", Text: f.Value, Why: "a second id, which does not count", Cure: "remove it"})
		case strings.EqualFold(f.Name, "id"):
			out = append(out, Finding{Field: f.Name, Text: f.Value, Why: "a field that means nothing; \"id\" is written in lower case", Cure: "remove it"})
		}
	}
	return out
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
				add(n, name, value, fmt.Sprintf("a field that means nothing, unlike %q", k), fmt.Sprintf("write %q", k))
			}
		}
	}
	if n := seen["max_age"]; n > 0 && (p.Mode == ModeEnforce || p.Mode == ModeTesting) && p.MaxAge < shortAge {
		add(n, "max_age", "", fmt.Sprintf("senders forget the policy after %s", p.MaxAge), "choose weeks, such as \"max_age: 1209600\", once the policy has proved itself")
	}
	if p.Mode == ModeTesting {
		add(seen["mode"], "mode", "testing", "protects nothing: failures are reported at the most", "write \"mode: enforce\" when the reports show no failures")
	}
	return out
}
