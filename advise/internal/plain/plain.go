// Package plain makes the texts of advice: fit for any terminal, in words that people use.
package plain

import (
	"fmt"
	"time"
)

// most bounds one text, in octets.
const most = 400

// Text makes text fit for a terminal: printable ASCII, bounded.
func Text(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
		if len(b) == most {
			return string(b) + "..."
		}
	}
	return string(b)
}

// Line makes a line that is to be pasted fit for a terminal: it is never cut, since half a
// record is none.
func Line(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// Span is a length of time as people say it: "7 days", "1 hour", "90 minutes".
func Span(d time.Duration) string {
	for _, u := range [...]struct {
		unit time.Duration
		word string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.unit; n != 0 && d%u.unit == 0 {
			return Count(int(n), u.word)
		}
	}
	return d.String()
}

// Count is a number of things: "1 day", "2 days".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
