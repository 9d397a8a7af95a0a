// Package enum converts the values of an enum to words and back:
//
//	var effectWords = [...]string{"encrypt", "may"}
//
//	func (e Effect) String() string { return enum.Word(effectWords[:], int(e)) }
package enum

import (
	"slices"

	"github.com/mxauth/mxauth/internal/fault"
)

// Word returns the word of a value; "invalid" if the value has none.
func Word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return "invalid"
}

// Index returns the value of a word. The error names the words that there are; it is of
// package pkg and calls the enum what.
func Index(pkg, what string, words []string, s string) (int, error) {
	if i := slices.Index(words, s); i >= 0 {
		return i, nil
	}
	return 0, fault.Errorf(pkg, "no such %s: %.40q (one of %q)", what, s, words)
}
