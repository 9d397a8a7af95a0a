// Package near finds the word that somebody most likely meant:
//
//	mxauth demo sts-enfroce    ->    did you mean sts-enforce?
package near

import "strings"

// Name returns the candidate closest to s, without regard to case: the one with the fewest
// letters to add, drop, change or swap. It returns "" if none is within a third of its
// letters, or one letter for a candidate of one or two.
func Name(s string, candidates []string) string {
	if s == "" || len(s) > maxLen {
		return ""
	}
	s = strings.ToLower(s)
	best, at := "", 0
	for _, c := range candidates {
		if d := distance(s, strings.ToLower(c)); d*3 <= max(len(c), 3) && (best == "" || d < at) {
			best, at = c, d
		}
	}
	return best
}

// maxLen bounds the work for one word, in bytes: a longer one is no misspelt name.
const maxLen = 128

// distance returns the number of bytes to add, drop, change or swap with their neighbour
// (the optimal string alignment distance).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
