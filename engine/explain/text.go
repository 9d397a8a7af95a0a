package explain

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Small helpers for sentences.

// quoted puts a foreign text in quotation marks, cut, with every character outside of ASCII
// and every control shown by its number.
func quoted(s string) string {
	if len(s) > clipAt {
		return strconv.QuoteToASCII(s[:clipAt]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// capital begins a clause as a sentence, unless it begins with a name.
func capital(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(first, "._:/[0123456789") {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// lower continues a sentence after a colon, unless it begins with a name.
func lower(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if len(first) > 1 && strings.ToUpper(first) == first || strings.ContainsAny(first, "._:/[0123456789`") {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// sentence makes a sentence of a clause.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return capital(s) + "."
}

// sentences joins sentences that are not empty.
func sentences(all ...string) string {
	var out []string
	for _, s := range all {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}
