package ladder

import "unicode"

// Letters are those of the texts that are broken into lines.
var Letters = []*unicode.RangeTable{unicode.Latin, unicode.Digit, unicode.Han, unicode.Cyrillic, unicode.White_Space}

// WrapText breaks prose.
func WrapText(s string, width float64, lines int) []string { return faceText.wrap(s, width, lines) }

// TextWidth is how wide prose is at most.
func TextWidth(s string) float64 { return faceText.width(s) }
