package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// A calendar is an iCalendar object (RFC 5545) as a strict reader takes it.
type calendar struct{ events []component }

// A component is a VEVENT or VALARM.
type component struct {
	name  string
	text  map[string]string // of each property, unescaped
	inner []component
}

// mandatory are the properties that each component must have (RFC 5545 sections 3.6,
// 3.6.1 and 3.6.6), and once.
var mandatory = map[string][]string{
	"VCALENDAR": {"PRODID", "VERSION"},
	"VEVENT":    {"UID", "DTSTAMP", "DTSTART"},
	"VALARM":    {"ACTION", "TRIGGER", "DESCRIPTION"},
}

// inside is where each component may stand.
var inside = map[string]string{"VCALENDAR": "", "VEVENT": "VCALENDAR", "VALARM": "VEVENT"}

// parseCalendar reads a calendar and refuses what RFC 5545 does not allow: other ends of
// lines than CRLF, lines of more than 75 octets, octets that are no text, components in the
// wrong place, properties that are missing or there twice, an identifier used twice.
func parseCalendar(s string) (calendar, error) {
	lines, err := unfold(s)
	if err != nil {
		return calendar{}, err
	}
	var open []component
	var cal calendar
	done := false
	uids := map[string]bool{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		switch {
		case done || !ok || name != strings.ToUpper(name):
			return cal, fmt.Errorf("a line that does not belong here: %q", line)
		case name == "BEGIN":
			at := ""
			if len(open) > 0 {
				at = open[len(open)-1].name
			}
			if where, known := inside[value]; !known || where != at {
				return cal, fmt.Errorf("%s stands in %q", value, at)
			}
			open = append(open, component{name: value, text: map[string]string{}})
			continue
		case len(open) == 0:
			return cal, fmt.Errorf("outside of the calendar: %q", line)
		}
		top := &open[len(open)-1]
		if name != "END" {
			if err := top.set(name, value); err != nil {
				return cal, err
			}
			continue
		}
		closed, err := top.close(value)
		if err != nil {
			return cal, err
		}
		if open = open[:len(open)-1]; len(open) == 0 {
			done = true
			cal.events = closed.inner
			continue
		}
		if closed.name == "VEVENT" {
			if uids[closed.text["UID"]] {
				return cal, fmt.Errorf("the UID %s is there twice", closed.text["UID"])
			}
			uids[closed.text["UID"]] = true
		}
		open[len(open)-1].inner = append(open[len(open)-1].inner, closed)
	}
	if !done {
		return cal, errors.New("the calendar has no end")
	}
	return cal, nil
}

// unfold joins content lines (RFC 5545 section 3.1).
func unfold(s string) ([]string, error) {
	var out []string
	rest, ok := strings.CutSuffix(s, "\r\n")
	if !ok {
		return nil, errors.New("the last line has no end")
	}
	for line := range strings.SplitSeq(rest, "\r\n") {
		if len(line) > 75 || line == "" {
			return nil, fmt.Errorf("a line of %d octets", len(line))
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }); i >= 0 {
			return nil, fmt.Errorf("octet %d of %q is no text", i, line)
		}
		if more, folded := strings.CutPrefix(line, " "); folded && len(out) > 0 {
			out[len(out)-1] += more
			continue
		}
		out = append(out, line)
	}
	return out, nil
}

// set adds a property.
func (c *component) set(name, value string) error {
	if _, twice := c.text[name]; twice {
		return fmt.Errorf("%s has %s twice", c.name, name)
	}
	text, err := unescape(value)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c.text[name] = text
	return nil
}

// close ends a component that has all it must have.
func (c *component) close(name string) (component, error) {
	if c.name != name {
		return *c, fmt.Errorf("%s ends as %s", c.name, name)
	}
	for _, p := range mandatory[name] {
		if c.text[p] == "" {
			return *c, fmt.Errorf("%s has no %s", name, p)
		}
	}
	return *c, nil
}

// unescape reads a TEXT (RFC 5545 section 3.3.11).
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ';' || s[i] == ',':
			return "", fmt.Errorf("%q is not escaped", s[i])
		case s[i] != '\\':
			b.WriteByte(s[i])
			continue
		case i+1 == len(s) || !strings.ContainsRune(`\;,nN`, rune(s[i+1])):
			return "", fmt.Errorf("a bad escape in %q", s)
		}
		if i++; s[i] == 'n' || s[i] == 'N' {
			b.WriteByte('\n')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// TestParseCalendar: the reader that the calendar is held to is a strict one.
func TestParseCalendar(t *testing.T) {
	lines := []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:1", "DTSTAMP:2", "DTSTART:3",
		"BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-P7D", `DESCRIPTION:a\, b\; c\\ d\ne`, " f", "END:VALARM", "END:VEVENT", "END:VCALENDAR"}
	whole := func(l []string) string { return strings.Join(l, "\r\n") + "\r\n" }
	cal, err := parseCalendar(whole(lines))
	if err != nil || len(cal.events) != 1 || cal.events[0].inner[0].text["DESCRIPTION"] != "a, b; c\\ d\nef" {
		t.Fatalf("%+v, %v", cal, err)
	}
	for i := range lines {
		if strings.HasPrefix(lines[i], " ") {
			continue // a line that is folded is whole without its rest
		}
		if _, err := parseCalendar(whole(slices.Delete(slices.Clone(lines), i, i+1))); err == nil {
			t.Errorf("taken without %q", lines[i])
		}
	}
	event := lines[3:14]
	for what, bad := range map[string]string{
		"LF":              strings.ReplaceAll(whole(lines), "\r\n", "\n"),
		"a long line":     strings.Replace(whole(lines), "UID:1", "UID:"+strings.Repeat("1", 72), 1),
		"a property":      strings.Replace(whole(lines), "UID:1", "UID:1\r\nUID:1", 1),
		"a UID":           whole(slices.Concat(lines[:3], event, event, lines[14:])),
		"a comma":         strings.Replace(whole(lines), "UID:1", "UID:1,2", 1),
		"an escape":       strings.Replace(whole(lines), "UID:1", `UID:1\x`, 1),
		"a control":       strings.Replace(whole(lines), "UID:1", "UID:1\x1b", 1),
		"text behind it":  whole(lines) + "X:1\r\n",
		"text before it":  "X:1\r\n" + whole(lines),
		"an alarm alone":  whole(slices.Concat(lines[:3], lines[7:13], lines[14:])),
		"no last line":    strings.TrimSuffix(whole(lines), "\r\n"),
		"an empty line":   strings.Replace(whole(lines), "UID:1", "UID:1\r\n", 1),
		"an unknown part": strings.ReplaceAll(whole(lines), "VALARM", "VTODO"),
	} {
		if _, err := parseCalendar(bad); err == nil {
			t.Errorf("taken with %s", what)
		}
	}
}
