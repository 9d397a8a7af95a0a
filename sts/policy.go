package sts

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Mode of a policy. The zero Mode is invalid.
type Mode uint8

// Modes (RFC 8461 section 3.2).
const (
	ModeNone Mode = iota + 1
	ModeTesting
	ModeEnforce
)

// String returns "none", "testing" or "enforce"; "invalid" for the zero Mode.
func (m Mode) String() string {
	switch m {
	case ModeNone:
		return "none"
	case ModeTesting:
		return "testing"
	case ModeEnforce:
		return "enforce"
	}
	return "invalid"
}

// MarshalText prints m as [Mode.String] does.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// parseMode reads a mode, in lower case only; the zero Mode if s is none.
func parseMode(s string) Mode {
	switch s {
	case "none":
		return ModeNone
	case "testing":
		return ModeTesting
	case "enforce":
		return ModeEnforce
	}
	return 0
}

// maxAgeDigits is the longest max_age by the grammar (RFC 8461 section 3.2).
const maxAgeDigits = 10

// A Policy is an MTA-STS policy (RFC 8461 section 3.2). It must not be changed. The
// zero Policy is invalid.
type Policy struct {
	Mode   Mode
	MaxAge time.Duration // at most MaxMaxAge; 0 is possible
	MX     []Pattern     // at least one unless Mode is none
	Ext    []Field       // unknown fields, in order, and repeated ones
	Text   string        // the body as fetched, for reports
}

// ErrPolicy is wrapped by every error of [ParsePolicy].
var ErrPolicy = fault.New("sts", "policy invalid")

// ParsePolicy reads a policy body by the grammar of RFC 8461 section 3.2. Lines end
// in LF or CRLF, the last end may be missing (erratum 6253). Of a repeated field
// other than mx the first counts; unknown fields are kept and mean nothing. An error
// wraps [ErrPolicy] and is a [*SyntaxError] with the line at fault. It keeps no
// reference to body.
func ParsePolicy(body []byte) (Policy, error) {
	if len(body) > MaxPolicySize {
		return Policy{}, tooLarge()
	}
	return parsePolicyText(string(body))
}

func parsePolicyText(text string) (Policy, error) {
	var first *SyntaxError
	p := readPolicy(text, func(e *SyntaxError) bool { first = e; return false })
	if first != nil {
		return Policy{}, named(text, first)
	}
	return p, nil
}

// named returns the fault of a policy that cannot be read as [Lint] names it, where that
// says more than the grammar: the form of the whole file (UTF-16, a byte order mark), a
// comment, or a line that means a field and is written in another way.
func named(text string, first *SyntaxError) *SyntaxError {
	if isHTMLOrEmpty(text) {
		return first
	}
	body, whole, _ := unwrap(text)
	switch {
	case len(whole) > 0:
		return &SyntaxError{Why: whole[0].Why, Cure: whole[0].Cure, Kind: ErrPolicy}
	case first.Line > 0 && isKnown(first.Field):
		return first
	}
	for _, f := range Lint([]byte(body)) {
		if f.Fatal {
			return &SyntaxError{Line: f.Line, Field: f.Field, Text: f.Text, Why: f.Why, Cure: f.Cure, Kind: ErrPolicy}
		}
	}
	return first
}

// isHTMLOrEmpty reports whether a text is a web page or has no line: the grammar says of
// both what is to be said.
func isHTMLOrEmpty(text string) bool {
	t := strings.TrimLeft(text, " \t\r\n\ufeff")
	return t == "" || t[0] == '<'
}

func tooLarge() *SyntaxError {
	return &SyntaxError{Why: "longer than 64 KiB", Kind: ErrPolicy, Cure: "shorten the policy"}
}

// String prints the fields of p as a policy body in canonical form, which
// [ParsePolicy] reads back to the same fields.
func (p Policy) String() string {
	var b strings.Builder
	b.WriteString("version: STSv1\nmode: " + p.Mode.String() + "\n")
	for _, m := range p.MX {
		b.WriteString("mx: " + m.String() + "\n")
	}
	b.WriteString("max_age: " + strconv.FormatInt(int64(p.MaxAge/time.Second), 10) + "\n")
	for _, f := range p.Ext {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return b.String()
}

// Match returns the first pattern that names h; ok is false if none does.
func (p Policy) Match(h rfc6125.Host) (pattern Pattern, ok bool) {
	for _, m := range p.MX {
		if m.Match(h) {
			return m, true
		}
	}
	return Pattern{}, false
}

// readPolicy reads text and calls report for each fault in the order of lines, the
// faults of the whole last, until report returns false. The Policy is good only if
// report was never called.
func readPolicy(text string, report func(*SyntaxError) bool) Policy {
	p := Policy{Text: text}
	// Most policies name few hosts: they are gathered on the stack, then copied once.
	var few [8]Pattern
	mx := few[:0]
	var seenVersion, seenMode, seenAge, seenMX bool
	rest, line := text, 0
	for rest != "" {
		line++
		var l string
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			l, rest = rest[:i], rest[i+1:]
			l = strings.TrimSuffix(l, "\r")
		} else {
			l, rest = rest, ""
		}
		name, value, fault := splitLine(l)
		if fault == nil {
			switch {
			case name == "mx":
				seenMX = true
				m, why := parsePattern(value)
				if why != "" {
					fault = &SyntaxError{Text: value, Why: why, Cure: patternCure(value)}
					break
				}
				mx = append(mx, m)
			case name == "version" && !seenVersion: // STS-3.2-11: RFC 8461 section 3.2
				seenVersion = true
				if value != "STSv1" {
					fault = &SyntaxError{Text: value, Why: "version is not STSv1", Cure: "write \"version: STSv1\""}
				}
			case name == "mode" && !seenMode:
				seenMode = true
				if p.Mode = parseMode(value); p.Mode == 0 {
					fault = &SyntaxError{Text: value, Why: "mode is not enforce, testing or none",
						Cure: "write \"mode: enforce\", \"mode: testing\" or \"mode: none\", in lower case"}
				}
			case name == "max_age" && !seenAge:
				seenAge = true
				var why string
				if p.MaxAge, why = parseMaxAge(value); why != "" {
					fault = &SyntaxError{Text: value, Why: why, Cure: "write a number of seconds from 0 to 31557600, such as \"max_age: 604800\""}
				}
			default:
				if why := badExtension(value); why != "" {
					fault = &SyntaxError{Text: value, Why: why}
					break
				}
				p.Ext = append(p.Ext, Field{name, value}) // STS-3.2-10: RFC 8461 section 3.2
			}
		}
		if fault != nil {
			fault.Line, fault.Field, fault.Text, fault.Kind = line, printableName(name), cutText(fault.Text), ErrPolicy
			if !report(fault) {
				return p
			}
		}
	}
	if len(mx) > 0 {
		p.MX = append(make([]Pattern, 0, len(mx)), mx...)
	}
	for _, m := range [...]struct {
		missing          bool
		field, why, cure string
	}{
		{!seenVersion, "version", "no version", "add the line \"version: STSv1\""},
		{!seenMode, "mode", "no mode", "add a line such as \"mode: testing\""},
		{!seenAge, "max_age", "no max_age", "add a line such as \"max_age: 604800\""},
		{!seenMX && seenMode && p.Mode != ModeNone, "mx", "no mx, which only mode none may omit", "add a line \"mx:\" for each MX host"},
	} {
		if m.missing && !report(&SyntaxError{Field: m.field, Why: m.why, Cure: m.cure, Kind: ErrPolicy, missing: true}) {
			break
		}
	}
	return p
}

// splitLine splits a line without its end into name and value, blanks around the
// value dropped. The fault is nil if the line has the form of a field.
func splitLine(l string) (name, value string, fault *SyntaxError) {
	i := strings.IndexByte(l, ':')
	switch {
	case l == "":
		return "", "", &SyntaxError{Why: "empty line", Cure: "remove it"}
	case isWSP(l[0]):
		return "", "", &SyntaxError{Text: l, Why: "line begins with a blank", Cure: "remove the blanks before the name of the field"}
	case i < 0:
		return "", "", &SyntaxError{Text: l, Why: "no \":\" after the name of a field", Cure: "write \"name: value\""}
	}
	name, value = l[:i], l[i+1:]
	for value != "" && isWSP(value[0]) {
		value = value[1:]
	}
	for value != "" && isWSP(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	switch {
	case !isKnown(name) && !validFieldName(name):
		return name, value, &SyntaxError{Text: name, Why: "field name is not 1 to 32 of letters, digits, \"_\", \"-\", \".\", beginning with a letter or digit"}
	case value == "":
		return name, value, &SyntaxError{Text: l, Why: "empty value", Cure: "give the field a value, or remove the line"}
	}
	return name, value, nil
}

// isKnown reports whether name is a field that means something: it is checked before the
// grammar of names, which most lines then need not be held to.
func isKnown(name string) bool {
	switch name {
	case "mx", "mode", "version", "max_age":
		return true
	}
	return false
}

// parseMaxAge reads 1 to 10 digits up to 31557600; why says what is wrong.
func parseMaxAge(s string) (d time.Duration, why string) {
	if len(s) > maxAgeDigits {
		return 0, "max_age has more than 10 digits"
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, "max_age is not a number of seconds"
		}
		n = n*10 + int64(s[i]-'0')
	}
	// Compared before it becomes a Duration, in which ten digits of seconds overflow.
	if n > int64(MaxMaxAge/time.Second) {
		return 0, "max_age is above 31557600 seconds"
	}
	return time.Duration(n) * time.Second, ""
}

// badExtension says what is wrong with the value of an extension field, "" if
// nothing: visible characters, ASCII or well-formed UTF-8, with spaces between them.
func badExtension(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return "control character in a value"
		}
	}
	if !utf8.ValidString(s) {
		return "value is not UTF-8"
	}
	return ""
}
