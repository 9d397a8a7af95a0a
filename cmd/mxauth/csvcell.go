package main

import (
	"strings"

	"github.com/mxauth/mxauth/internal/text"
)

// csvCell makes a text safe as a cell of a file that a spreadsheet opens: without control
// characters, and with an apostrophe before what it would take for a formula.
func csvCell(s string) string {
	s = text.Escape(s)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}
