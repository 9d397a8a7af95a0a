package ladder

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A face is a font as far as a text has to fit into a box. The widths are those of DejaVu
// Sans and DejaVu Sans Mono, which are wider than the fonts that are preferred, so what fits
// by them fits in any of the list.
type face struct {
	size float64
	mono bool
	bold bool
}

// Faces of the picture; their sizes are in user units.
var (
	faceTitle = face{size: 13, bold: true}
	faceHead  = face{size: 15, bold: true}
	faceText  = face{size: 12}
	faceName  = face{size: 11, mono: true}
	faceSmall = face{size: 10.5}
)

// line is the height of a line.
func (f face) line() float64 { return f.size * 1.35 }

// width returns how wide a text is at most.
func (f face) width(s string) float64 {
	w := 0.0
	for _, r := range s {
		w += f.rune(r)
	}
	return w * f.size
}

// rune returns the width of a character in parts of the size.
func (f face) rune(r rune) float64 {
	switch {
	case r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo):
		return 1.05
	case r > 0x24f:
		return 0.95 // such a line is made to fit in any case, see [line.fit]
	case f.mono:
		return 0.603
	}
	w := 0.79
	switch {
	case r < utf8.RuneSelf:
		w = ascii[r]
	case !unicode.IsUpper(r):
		w = 0.64
	}
	if f.bold {
		w *= 1.12
	}
	return w
}

// ascii are the widths of the characters of ASCII.
var ascii = func() (w [utf8.RuneSelf]float64) {
	for r := range w {
		switch {
		case strings.ContainsRune("ijlI.,:;'|!()[]/` ", rune(r)):
			w[r] = 0.40
		case strings.ContainsRune("rts-\"", rune(r)):
			w[r] = 0.53
		case strings.ContainsRune("mwMW@%", rune(r)):
			w[r] = 1.0
		case 'A' <= r && r <= 'Z':
			w[r] = 0.79
		default:
			w[r] = 0.64
		}
	}
	return w
}()

// wrap breaks a text at blanks into lines that fit into width, at most lines of them; what
// is cut ends in "...". A word that is too long is broken, after a dot or hyphen if there
// is one.
func (f face) wrap(s string, width float64, lines int) []string {
	var out []string
	cur, used := "", 0.0
	for word := range strings.FieldsSeq(s) {
		if len(out) > lines {
			break
		}
		w := f.width(word)
		if blank := f.width(" "); cur != "" && used+blank+w <= width {
			cur, used = cur+" "+word, used+blank+w
			continue
		}
		if cur != "" {
			out = append(out, cur)
		}
		for w > width && len(out) <= lines {
			n := f.cut(word, width)
			out = append(out, word[:n])
			w -= f.width(word[:n])
			word = word[n:]
		}
		cur, used = word, w
	}
	if cur != "" {
		out = append(out, cur)
	}
	if len(out) <= lines {
		return out
	}
	out = out[:lines]
	last := out[lines-1]
	for f.width(last+"...") > width && last != "" {
		_, n := utf8.DecodeLastRuneInString(last)
		last = last[:len(last)-n]
	}
	out[lines-1] = strings.TrimRight(last, " ,;:(") + "..."
	return out
}

// cut returns how many octets of a word fit into width: at least one character, up to a dot,
// slash or hyphen in its second half if there is one.
func (f face) cut(word string, width float64) int {
	w, end := 0.0, 0
	for i, r := range word {
		if w += f.rune(r) * f.size; w > width && i > 0 {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	if at := strings.LastIndexAny(word[:end], "./-"); at >= end/2 {
		return at + 1
	}
	return end
}
