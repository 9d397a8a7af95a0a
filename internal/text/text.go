// Package text makes foreign texts fit to be shown. What comes from a peer, a zone or a
// file can hold octets that move the cursor, change colours, turn the direction of what
// follows, or are not seen at all:
//
//	250 mx.example.org \u202e gro.elpmaxe
package text

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// invisible are the characters that a reader does not see as what they are: controls (C0,
// DEL, C1), format characters such as bidirectional overrides, zero-width characters and
// tags, separators of lines and paragraphs, private use, surrogates, variation selectors
// and what else is ignored by default, such as the Hangul fillers.
var invisible = []*unicode.RangeTable{
	unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs,
	unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point,
}

// Unsafe reports whether a character must not be shown as it is. Text in any script is
// safe; octets that are no UTF-8 are not.
func Unsafe(r rune) bool {
	if ' ' <= r && r < 0x7f {
		return false
	}
	return r == unicode.ReplacementChar || unicode.In(r, invisible...)
}

// Escape replaces each unsafe character by its escape in a Go string: \n, \x1b, \u202e.
func Escape(s string) string { return escape(s, Unsafe) }

// Lines is [Escape] for a text of several lines, whose line ends and tabs stay.
func Lines(s string) string {
	return escape(s, func(r rune) bool { return r != '\n' && r != '\t' && Unsafe(r) })
}

func escape(s string, unsafe func(rune) bool) string {
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unsafe(r) {
			q := fmt.Sprintf("%+q", r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Cut returns the first most bytes of s and "..." where s is longer. It splits no character.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// ASCII is [Cut] for foreign octets that may be in any encoding or in none: what is not
// printable ASCII, and the backslash, comes as its escape in a Go string.
func ASCII(s string, most int) string {
	more := ""
	if len(s) > most {
		s, more = s[:most], "..."
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			q := strconv.QuoteToASCII(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`) + more
		}
	}
	return s + more
}

// JSON returns a JSON text in which unsafe characters, which occur only in strings, are
// escaped as \u202e; line ends and tabs between its parts stay. It means the same.
func JSON(b []byte) []byte {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if unsafeJSON(r) {
			break
		}
		i += n
	}
	if i == len(b) {
		return b
	}
	out := append(make([]byte, 0, len(b)+len(b)/8), b[:i]...)
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case !unsafeJSON(r):
			out = append(out, b[i:i+n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
	}
	return out
}

// unsafeJSON is Unsafe for a character of a JSON text; white space between its parts is
// safe, and inside strings it is escaped already.
func unsafeJSON(r rune) bool { return r != '\n' && r != '\t' && r != '\r' && Unsafe(r) }

// JSONWriter returns a writer that passes JSON texts to w as [JSON] does. A character may
// be cut by the end of a write.
func JSONWriter(w io.Writer) io.Writer { return &jsonWriter{w: w} }

type jsonWriter struct {
	w    io.Writer
	rest []byte // the beginning of a character
}

// Write implements [io.Writer].
func (j *jsonWriter) Write(b []byte) (int, error) {
	all := append(j.rest, b...)
	end := len(all)
	for back := 1; back < utf8.UTFMax && back <= len(all); back++ {
		if c := all[len(all)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(all[len(all)-back:]) {
				end = len(all) - back
			}
			break
		}
	}
	if _, err := j.w.Write(JSON(all[:end])); err != nil {
		return 0, err
	}
	j.rest = append([]byte(nil), all[end:]...)
	return len(b), nil
}
