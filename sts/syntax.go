package sts

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxErrorText bounds how much of an offending text an error carries: enough to
// find the place, not enough to flood a log with what a peer has sent.
const maxErrorText = 80

// A SyntaxError says where a record or policy is wrong.
type SyntaxError struct {
	Line  int    // from 1; 0 where it is about the whole
	Field string // name of the field; "" if unknown
	Text  string // offending text, cut to a sane length; print it with %q
	Why   string // the rule that is broken, lower case, safe for a terminal
	Cure  string // what to write instead, for the domain's owner; "" if that is plain
	Kind  error  // ErrPolicy or ErrNoRecord

	missing bool // see [Finding].Missing
}

// Error returns kind, line, field, rule and offending text, in one line that is safe
// for a terminal.
func (e *SyntaxError) Error() string {
	kind := "sts: syntax"
	if e.Kind != nil {
		kind = e.Kind.Error()
	}
	return kind + ": " + e.place()
}

// place is Error without the kind.
func (e *SyntaxError) place() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, "field %s: ", e.Field)
	}
	b.WriteString(e.Why)
	if e.Text != "" {
		fmt.Fprintf(&b, ": %q", e.Text)
	}
	return b.String()
}

// Unwrap returns Kind.
func (e *SyntaxError) Unwrap() error { return e.Kind }

// cutText shortens s to maxErrorText octets without splitting a rune. Bytes that are no
// UTF-8 become U+FFFD, so that the text is the same after it was written as JSON.
func cutText(s string) string {
	if len(s) > maxErrorText+utf8.UTFMax {
		s = s[:maxErrorText+utf8.UTFMax]
	}
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	if len(s) <= maxErrorText {
		return s
	}
	n := maxErrorText
	for n > maxErrorText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

// maxFieldName is the longest name of an extension field, in records and policies
// alike (RFC 8461 sections 3.1 and 3.2: one and up to 31 more).
const maxFieldName = 32

// validFieldName reports whether s is (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" /
// "-" / "."), the name of a field in records and policies alike.
func validFieldName(s string) bool {
	if s == "" || len(s) > maxFieldName || !isAlnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// printableName returns s if it is a well-formed field name, else "": Field of a
// SyntaxError is printed as it is.
func printableName(s string) string {
	if validFieldName(s) {
		return s
	}
	return ""
}
