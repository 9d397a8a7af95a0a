// Package policydiff compares two answers of a TLS policy table of Postfix for one domain:
//
//	ours:   dane-only protocols=>=TLSv1.2
//	theirs: secure match=.example.org servername=hostname
//
// It says which of the two demands more of a delivery, and by a short word why. It knows the
// words of Postfix alone, nothing of the domain.
package policydiff

import (
	"fmt"
	"slices"
	"strings"
)

// A Kind is the kind of an answer. The zero Kind is Failed.
type Kind uint8

// Kinds of answers.
const (
	Failed   Kind = iota // no answer, or a permanent error
	Found                // Text is a policy
	NotFound             // no entry
	Wait                 // a temporary error: the message waits
)

// An Answer is one answer.
type Answer struct {
	Kind Kind
	Text string // the policy, or what an error says
}

// A Verdict says how our answer compares with theirs. The zero Verdict is Other.
type Verdict uint8

// Verdicts.
const (
	Other    Verdict = iota // neither demands all that the other does, or one is no answer
	Equal                   // the same is demanded
	Stronger                // ours demands more
	Weaker                  // ours demands less
)

var verdictWords = []string{"other", "equal", "stronger", "weaker"}

// String returns "other", "equal", "stronger" or "weaker".
func (v Verdict) String() string { return verdictWords[min(int(v), len(verdictWords)-1)] }

// MarshalText prints v as [Verdict.String] does.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// A Reason is the stable word of a difference.
type Reason string

// Reasons.
const (
	Same         Reason = "same"
	NoAnswer     Reason = "no-answer"     // they gave none
	Unreadable   Reason = "unreadable"    // a policy that Postfix would not take
	WeNothing    Reason = "we-nothing"    // we have no entry, and they demand something
	TheyNothing  Reason = "they-nothing"  // they have none, and we demand something
	WeWait       Reason = "we-wait"       // we hold the message
	TheyWait     Reason = "they-wait"     // they hold it
	DANENotSTS   Reason = "dane-not-sts"  // we say DANE, they WebPKI
	STSNotDANE   Reason = "sts-not-dane"  // we say WebPKI, they DANE
	LevelHigher  Reason = "level-higher"  // our level demands more
	LevelLower   Reason = "level-lower"   // theirs does
	LevelDiffers Reason = "level-differs" // neither does
	NamesFewer   Reason = "names-fewer"   // we take certificates with fewer names
	NamesMore    Reason = "names-more"
	NamesDiffer  Reason = "names-differ"
	HostsFewer   Reason = "hosts-fewer" // we let fewer MX hosts be used (mx_host_pattern)
	HostsMore    Reason = "hosts-more"
	HostsDiffer  Reason = "hosts-differ"
	SNI          Reason = "sni"       // one sends no name in the handshake
	Protocols    Reason = "protocols" // only one sets a lowest version of TLS
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{Same, NoAnswer, Unreadable, WeNothing, TheyNothing, WeWait, TheyWait, DANENotSTS, STSNotDANE, LevelHigher, LevelLower, LevelDiffers,
		NamesFewer, NamesMore, NamesDiffer, HostsFewer, HostsMore, HostsDiffer, SNI, Protocols}
}

// above has, for each level of Postfix, the levels that demand all that it does and more.
var above = map[string][]string{
	"none":        {"may", "dane", "encrypt", "fingerprint", "dane-only", "verify", "secure"},
	"may":         {"dane", "encrypt", "fingerprint", "dane-only", "verify", "secure"},
	"dane":        {"dane-only"},
	"encrypt":     {"fingerprint", "dane-only", "verify", "secure"},
	"verify":      {"secure"},
	"fingerprint": nil,
	"dane-only":   nil,
	"secure":      nil,
}

// Levels returns the levels of Postfix, sorted.
func Levels() []string {
	list := make([]string, 0, len(above))
	for l := range above {
		list = append(list, l)
	}
	slices.Sort(list)
	return list
}

// Compare compares. level is what main.cf demands where there is no entry
// (smtp_tls_security_level).
func Compare(ours, theirs Answer, level string) (Verdict, Reason) {
	switch {
	case theirs.Kind == Failed || ours.Kind == Failed:
		return Other, NoAnswer
	case ours.Kind == Wait && theirs.Kind == Wait, ours.Kind == NotFound && theirs.Kind == NotFound:
		return Equal, Same
	case ours.Kind == Wait:
		return Stronger, WeWait
	case theirs.Kind == Wait:
		return Weaker, TheyWait
	}
	a, errA := read(ours, level)
	b, errB := read(theirs, level)
	if errA != nil || errB != nil {
		return Other, Unreadable
	}
	switch {
	case a.level != b.level:
		v, r := compareLevels(a.level, b.level)
		// What main.cf demands of all domains is no reason to demand less of this one: only a
		// policy that says less than main.cf is weaker than none.
		switch {
		case ours.Kind == NotFound && v != Stronger:
			return Weaker, WeNothing
		case theirs.Kind == NotFound && v != Weaker:
			return Stronger, TheyNothing
		}
		return v, r
	case ours.Kind != theirs.Kind:
		return Equal, Same // one spells out what main.cf says
	}
	return a.compare(&b)
}

func compareLevels(a, b string) (Verdict, Reason) {
	webPKI := func(l string) bool { return l == "secure" || l == "verify" }
	dane := func(l string) bool { return l == "dane" || l == "dane-only" }
	switch {
	case slices.Contains(above[b], a):
		return Stronger, LevelHigher
	case slices.Contains(above[a], b):
		return Weaker, LevelLower
	case dane(a) && webPKI(b):
		return Other, DANENotSTS
	case webPKI(a) && dane(b):
		return Other, STSNotDANE
	}
	return Other, LevelDiffers
}

// A policy is a parsed answer.
type policy struct {
	level     string
	names     []string // match=
	hosts     []string // mx_host_pattern=
	sni       string   // servername=
	protocols string
}

// read parses an answer that is not Wait or Failed.
func read(a Answer, level string) (p policy, err error) {
	text := a.Text
	if a.Kind == NotFound {
		text = level
	}
	words := fields(text)
	if len(words) == 0 {
		return p, fmt.Errorf("policydiff: an empty policy")
	}
	p.level = words[0]
	if _, ok := above[p.level]; !ok {
		return p, fmt.Errorf("policydiff: %.40q is no level", p.level)
	}
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return p, fmt.Errorf("policydiff: %.40q is no attribute", w)
		}
		switch strings.TrimSpace(name) {
		case "match":
			p.names = append(p.names, strings.Split(strings.ToLower(value), ":")...)
		case "mx_host_pattern":
			p.hosts = append(p.hosts, strings.ToLower(value))
		case "servername":
			p.sni = strings.ToLower(value)
		case "protocols":
			p.protocols = value
		}
	}
	if p.level == "secure" && p.names == nil {
		p.names = []string{"nexthop", "dot-nexthop"} // the default of Postfix
	}
	return p, nil
}

// fields splits at blanks and keeps what is in braces together, without the braces.
func fields(s string) (out []string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '{' {
			inner, rest, _ := strings.Cut(s[1:], "}")
			out, s = append(out, strings.TrimSpace(inner)), rest
			continue
		}
		word, rest, _ := strings.Cut(s, " ")
		out, s = append(out, word), rest
	}
	return out
}

// compare compares two policies of one level, point by point.
func (p *policy) compare(o *policy) (Verdict, Reason) {
	verdict, reason := Equal, Same
	add := func(v Verdict, r Reason) {
		switch {
		case v == Equal:
		case verdict == Equal:
			verdict, reason = v, r
		case v != verdict:
			verdict = Other
		}
	}
	if p.level == "secure" || p.level == "verify" {
		add(compareSets(p.names, o.names, nameCovers, NamesFewer, NamesMore, NamesDiffer))
		switch {
		case len(p.hosts) > 0 && len(o.hosts) > 0:
			add(compareSets(p.hosts, o.hosts, patternCovers, HostsFewer, HostsMore, HostsDiffer))
		case len(p.hosts) > 0:
			add(Stronger, HostsFewer)
		case len(o.hosts) > 0:
			add(Weaker, HostsMore)
		}
		if p.sni != o.sni {
			add(Other, SNI)
		}
	}
	switch {
	case p.protocols == o.protocols:
	case o.protocols == "":
		add(Stronger, Protocols)
	case p.protocols == "":
		add(Weaker, Protocols)
	default:
		add(Other, Protocols)
	}
	return verdict, reason
}

// compareSets compares two sets by what their members cover.
func compareSets(a, b []string, covers func(wide, narrow string) bool, fewer, more, differ Reason) (Verdict, Reason) {
	in := func(narrow, wide []string) bool {
		return !slices.ContainsFunc(narrow, func(n string) bool {
			return !slices.ContainsFunc(wide, func(w string) bool { return covers(w, n) })
		})
	}
	switch ab, ba := in(a, b), in(b, a); {
	case ab && ba:
		return Equal, Same
	case ab:
		return Stronger, fewer
	case ba:
		return Weaker, more
	}
	return Other, differ
}

// nameCovers compares words of match=: ".example.org" covers every name below example.org.
func nameCovers(wide, narrow string) bool {
	return wide == narrow || strings.HasPrefix(wide, ".") && strings.HasSuffix(narrow, wide)
}

// patternCovers compares patterns of an MTA-STS policy: "*.example.org" covers one label.
func patternCovers(wide, narrow string) bool {
	suffix, ok := strings.CutPrefix(wide, "*")
	if wide == narrow || !ok {
		return wide == narrow
	}
	label, ok := strings.CutSuffix(narrow, suffix)
	return ok && label != "" && !strings.Contains(label, ".")
}
