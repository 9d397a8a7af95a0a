package sts

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// A policy file as a whole may be in a form that hides every line of it from senders. It
// is then reported once, not for each line.

// unwrap returns the text of a policy file without what is wrong with all of it, and a
// finding for each of these things; ok is false if no line of it can be read.
func unwrap(body string) (text string, whole []Finding, ok bool) {
	fault := func(line int, text, why, cure string) {
		whole = append(whole, Finding{Line: line, Text: cutText(text), Why: why, Cure: cure, Fatal: true})
	}
	trimmed := strings.TrimLeft(body, " \t\r\n\ufeff")
	switch {
	case strings.HasPrefix(body, "\xff\xfe"), strings.HasPrefix(body, "\xfe\xff"), len(body) > 8 && strings.Count(body, "\x00") >= len(body)/3:
		fault(1, body[:min(len(body), 16)], "the file is UTF-16 text, in which every other byte is zero", "save it as UTF-8 without byte order mark, or as ASCII")
		return "", whole, false
	case strings.HasPrefix(body, "\x1f\x8b"):
		fault(0, body[:min(len(body), 8)], "the file is compressed with gzip", "serve the text itself")
		return "", whole, false
	case trimmed == "":
		fault(0, "", "the file is empty", "write the policy into it")
		return "", whole, false
	case trimmed[0] == '<':
		line, _, _ := strings.Cut(trimmed, "\n")
		fault(1, line, "an HTML page, not a policy", "serve the policy file at this path; often the web server sends its start page or error page there")
		return "", whole, false
	case trimmed[0] == '{':
		line, _, _ := strings.Cut(trimmed, "\n")
		fault(1, line, "JSON, not a policy", "write one field in a line, such as \"version: STSv1\"")
		return "", whole, false
	}
	text = body
	if t, bom := strings.CutPrefix(text, "\ufeff"); bom {
		fault(1, body[:min(len(body), 16)], "the file begins with U+FEFF (byte order mark)", "save it as UTF-8 without byte order mark")
		text = t
	}
	switch {
	case strings.Contains(text, "\r\r\n"):
		first, _, _ := strings.Cut(text, "\n")
		fault(1, first, "lines end in CR CR LF: one CR too many", "save the file with line ends of LF or CR LF")
		text = strings.ReplaceAll(text, "\r\r\n", "\r\n")
	case !strings.Contains(text, "\n") && strings.Contains(text, "\r"):
		fault(1, text, "lines end in CR alone", "save the file with line ends of LF or CR LF")
		text = strings.ReplaceAll(text, "\r", "\n")
	}
	return text, whole, true
}

// A nearLine is a line that means a field and is not written so.
type nearLine struct {
	name, value string // as they should be; value may be ""
	why         string
}

// cure is the line to write.
func (n nearLine) cure() string {
	if n.value == "" {
		return "write \"" + n.name + ": \" and its value"
	}
	return fmt.Sprintf("write %q", n.name+": "+n.value)
}

// comment: a policy has none (RFC 8461 section 3.2).
func isComment(l string) bool {
	t := strings.TrimLeft(l, " \t")
	return strings.HasPrefix(t, "#") || strings.HasPrefix(t, "//") || strings.HasPrefix(t, ";")
}

// fieldNames are ways to write the names of the fields, without case and marks.
var fieldNames = map[string]string{
	"version": "version", "v": "version", "ver": "version", "mode": "mode", "policymode": "mode",
	"maxage": "max_age", "mx": "mx", "mxs": "mx", "mxhost": "mx", "mxhosts": "mx", "hosts": "",
}

// near reads a line for what it means; ok is false if it means no field. A line that is as
// it should be has no why.
func near(l string) (n nearLine, ok bool) {
	flat := unquote(plainer.Replace(l))
	dash := strings.HasPrefix(flat, "- ")
	if dash {
		flat = unquote(flat[2:])
	}
	i := strings.IndexAny(flat, ":=")
	if i < 0 {
		if host := strings.TrimSuffix(flat, ","); dash {
			if _, why := parsePattern(host); why == "" {
				return nearLine{"mx", host, "an item of a YAML list; a policy has one \"mx\" field for each host"}, true
			}
		}
		if name, value, has := strings.Cut(flat, " "); has && isKnown(strings.ToLower(name)) {
			return nearLine{strings.ToLower(name), bestValue(strings.ToLower(name), value), "no colon after " + strconv.Quote(name)}, true
		}
		return nearLine{}, false
	}
	raw := unquote(flat[:i])
	name := fieldNames[strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(raw))]
	if name == "" {
		return nearLine{}, false
	}
	value := strings.TrimSpace(flat[i+1:])
	n = nearLine{name: name, value: bestValue(name, value)}
	colon := strings.IndexByte(l, ':')
	switch odd, at, found := oddRune(strings.TrimSuffix(l, "\r")); {
	case found && name == "mx" && isUName(value):
		// A host name in its own script: the parser says what to write.
	case found:
		n.why = fmt.Sprintf("character %d of the line is %s", at, odd)
	case dash:
		n.why = "an item of a YAML list; a policy has one field in a line, without \"-\""
	case strings.HasPrefix(strings.TrimLeft(l, " \t"), `"`) || strings.HasPrefix(strings.TrimLeft(l, " \t"), "'"):
		n.why = "a quotation mark before the name of the field"
	case l != "" && isWSP(l[0]):
		n.why = "a blank before the name of the field"
	case flat[i] == '=' || colon < 0:
		n.why = "\"=\" in place of a colon"
	case colon > 0 && isWSP(l[colon-1]):
		n.why = "a blank before the colon"
	case raw != name:
		n.why = fmt.Sprintf("%q is not %q", raw, name)
		if strings.EqualFold(raw, name) {
			n.why += ": names of fields are in lower case"
		}
	default:
		n.why = nearValue(name, strings.TrimSpace(l[colon+1:]))
	}
	return n, true
}

// isUName reports whether s is a host name that holds letters beyond ASCII.
func isUName(s string) bool {
	h, err := rfc6125.ParseHost(strings.TrimPrefix(s, "*."))
	return err == nil && !strings.EqualFold(h.String(), strings.TrimPrefix(s, "*."))
}

// bestValue is the value of a field as it should be, "" if it cannot be guessed.
func bestValue(name, value string) string {
	v := unquote(value)
	if i := strings.Index(v, " #"); i >= 0 {
		v = unquote(v[:i])
	}
	v = strings.TrimRight(unquote(strings.TrimRight(v, ";, ")), ";,")
	switch name {
	case "version":
		if strings.EqualFold(strings.ReplaceAll(v, " ", ""), "STSv1") || v == "1" || strings.EqualFold(v, "STS1") || strings.EqualFold(v, "v1") {
			return "STSv1"
		}
	case "mode":
		if m := parseMode(strings.ToLower(v)); m != 0 {
			return m.String()
		}
		switch strings.ToLower(v) {
		case "enforced", "enforcing", "enforcement":
			return ModeEnforce.String()
		case "test", "report", "testonly":
			return ModeTesting.String()
		}
	case "max_age":
		if d, ok := span(v); ok {
			return strconv.FormatInt(int64(d/time.Second), 10)
		}
	case "mx":
		if pref, host, ok := strings.Cut(v, " "); ok && isDigits(pref) {
			v = unquote(host)
		}
		v = strings.TrimSuffix(strings.Trim(v, "[]"), ".")
		if strings.HasPrefix(v, ".") {
			v = "*" + v
		}
		if p, why := parsePattern(v); why == "" {
			return p.String()
		}
	}
	return ""
}

// span reads a number of seconds, or one with a unit: "14d", "2 weeks", "1,209,600". What
// is longer than MaxMaxAge is cut to it, in whole units.
func span(s string) (time.Duration, bool) {
	digits := strings.NewReplacer(",", "", "_", "", "'", "", " ", "").Replace(s)
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(digits[:n], 10, 64)
	units := map[string]time.Duration{"": time.Second, "s": time.Second, "sec": time.Second, "seconds": time.Second, "h": time.Hour, "hours": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour}
	u, ok := units[strings.ToLower(digits[n:])]
	if err != nil || !ok {
		return 0, false
	}
	return time.Duration(min(v, int64(MaxMaxAge/u))) * u, true
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// nearValue says what is wrong with the value of a known field where more can be said than
// that it is not one of those allowed; "" if not.
func nearValue(name, value string) string {
	first, _, two := strings.Cut(value, " ")
	switch {
	case strings.HasPrefix(value, "["):
		return "a YAML list in place of one host; a policy has one \"mx\" field for each host"
	case strings.ContainsAny(value, "\"'"):
		return "quotation marks around the value"
	case strings.Contains(value, " #"):
		return "a comment after the value; a policy has no comments"
	case strings.HasSuffix(value, ";") || strings.HasSuffix(value, ","):
		return fmt.Sprintf("%q at the end of the value", value[len(value)-1:])
	case name == "mx" && value == "*":
		return "\"*\" alone; \"*.\" and a domain name matches hosts with exactly one label before that name"
	case name == "mx" && two && isDigits(first):
		return fmt.Sprintf("the preference %s of the MX record before the host name", first)
	case name == "max_age" && value != "" && !isDigits(value) && bestValue(name, value) != "":
		return "max_age is a number of seconds, in digits alone"
	case (name == "mode" || name == "version") && bestValue(name, value) != "" && value != bestValue(name, value):
		return fmt.Sprintf("%s is %q, not %q", name, value, bestValue(name, value))
	}
	return ""
}

// MeantPolicy reads a policy body for what its lines mean, although senders may not read
// them so. Its Mode is the zero Mode, and its MaxAge 0, where no line says.
func MeantPolicy(body []byte) Policy {
	text := string(body[:min(len(body), MaxPolicySize)])
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") || strings.Contains(text, "\x00") {
		text = strings.NewReplacer("\x00", "", "\xff\xfe", "", "\xfe\xff", "").Replace(text)
	}
	p := Policy{Text: text}
	for _, l := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		n, ok := near(l)
		if !ok || n.value == "" || isComment(l) {
			continue
		}
		switch n.name {
		case "mode":
			if p.Mode == 0 {
				p.Mode = parseMode(n.value)
			}
		case "max_age":
			if age, why := parseMaxAge(n.value); why == "" && p.MaxAge == 0 {
				p.MaxAge = age
			}
		case "mx":
			if m, why := parsePattern(n.value); why == "" {
				p.MX = append(p.MX, m)
			}
		}
	}
	return p
}
