package rfc6125

import (
	"strings"
	"unicode"
)

// Hints list what a person should know about a host name before trusting their
// eyes. They change no verdict. The zero Hints mean that nothing is unusual.
type Hints uint16

// The hints. The first four are about labels of ASCII, the others about
// U-labels; a U-label with any of the latter is shown as its A-label.
const (
	// HintUnderscore: a label holds `_`, which RFC 952 does not allow in hosts.
	HintUnderscore Hints = 1 << iota
	// HintHyphen: a label begins or ends with a hyphen.
	HintHyphen
	// HintReserved: a label has `--` in its third and fourth place and another
	// prefix than `xn` (RFC 5890 section 2.3.1 keeps these for later use).
	HintReserved
	// HintFakeALabel: a label begins with `xn--` and is no A-label.
	HintFakeALabel
	// HintRightToLeft: a U-label has characters that run from right to left; a
	// terminal may reorder the text next to them.
	HintRightToLeft
	// HintMixedScript: a U-label mixes scripts that no single language mixes.
	HintMixedScript
	// HintConfusable: a U-label looks like another one, or has characters that
	// one cannot see or distinguish.
	HintConfusable
	// HintSymbol: a U-label holds what is neither letter, mark nor digit.
	HintSymbol
)

// unsafeHints keep a U-label from being shown.
const unsafeHints = HintRightToLeft | HintMixedScript | HintConfusable | HintSymbol

// String lists the hints in words, parted by commas; "" for none.
func (x Hints) String() string {
	words := [...]string{
		"underscore", "hyphen at a label's end", "reserved label", "fake A-label",
		"right to left", "mixed scripts", "confusable", "symbol",
	}
	var s []string
	for i, w := range words {
		if x&(1<<i) != 0 {
			s = append(s, w)
		}
	}
	return strings.Join(s, ", ")
}

// Hints returns what is unusual in h.
func (h Host) Hints() Hints {
	var x Hints
	for _, l := range strings.Split(h.ascii, ".") {
		_, y := showLabel(l)
		x |= y
	}
	return x
}

// Unicode prints h with U-labels where that is safe to show to a person on a
// terminal, and with the A-label for each label that is not: one that runs from
// right to left, mixes scripts, holds symbols or digits of other scripts, or
// can be taken for another label. [Host.Hints] says which it was.
func (h Host) Unicode() string {
	labels := strings.Split(h.ascii, ".")
	for i, l := range labels {
		labels[i], _ = showLabel(l)
	}
	return strings.Join(labels, ".")
}

// showLabel returns the form of a label that is safe to show, and its hints.
func showLabel(a string) (string, Hints) {
	if !strings.HasPrefix(a, acePrefix) {
		return a, asciiHints(a)
	}
	u, err := decodeLabel(a)
	if err != nil {
		return a, asciiHints(a) | HintFakeALabel
	}
	x := uLabelHints(u)
	if x&unsafeHints != 0 {
		return a, x
	}
	return u, x
}

func asciiHints(a string) Hints {
	var x Hints
	if strings.Contains(a, "_") {
		x |= HintUnderscore
	}
	if strings.HasPrefix(a, "-") || strings.HasSuffix(a, "-") {
		x |= HintHyphen
	}
	// IDNA5890-2.3.1-02: RFC 5890 section 2.3.1
	if len(a) >= 4 && a[2:4] == "--" && !strings.HasPrefix(a, acePrefix) {
		x |= HintReserved
	}
	return x
}

// A script here is a bit; scripts that a language writes together may occur
// together in one label, as Unicode's "highly restrictive" profile has it
// (UTS #39 section 5.2), but without its ASCII: latin letters among those of
// another script are what a deception is made of.
type scriptSet uint8

const (
	scriptHan scriptSet = 1 << iota
	scriptHiragana
	scriptKatakana
	scriptBopomofo
	scriptHangul
	scriptLatin
	scriptOther // any one other: its name is kept with the set
)

var together = [...]scriptSet{
	scriptHan | scriptHiragana | scriptKatakana,
	scriptHan | scriptBopomofo,
	scriptHan | scriptHangul,
}

func uLabelHints(u string) Hints {
	var (
		x      Hints
		set    scriptSet
		other  *unicode.RangeTable // the one script that is scriptOther
		alike  = true              // every character can be taken for ASCII
		marked bool                // the character before can bear no further mark
	)
	for _, r := range u {
		mark := unicode.Is(unicode.M, r)
		switch {
		case unicode.Is(rightToLeft, r):
			x |= HintRightToLeft
		case r == '-':
		case !mark && !unicode.IsLetter(r) && !unicode.IsDigit(r):
			x |= HintSymbol
		case unicode.IsDigit(r) && !strings.ContainsRune("0123456789", r):
			x |= HintConfusable
		}
		// After NFC a mark on a Latin, Greek or Cyrillic letter is one that
		// script never puts there, and two marks in a row hide what is below.
		if mark && marked {
			x |= HintConfusable
		}
		marked = mark || unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic)
		alike = alike && strings.ContainsRune(lookalikes, r)
		if unicode.Is(unicode.Latin, r) && !unicode.Is(plainLatin, r) {
			x |= HintConfusable
		}
		s, t := scriptOf(r)
		if s == scriptOther {
			if other != nil && other != t {
				x |= HintMixedScript
			}
			other = t
		}
		set |= s
	}
	if set&(set-1) != 0 && !mayMix(set) {
		x |= HintMixedScript
	}
	if alike {
		x |= HintConfusable
	}
	return x
}

func mayMix(set scriptSet) bool {
	for _, t := range together {
		if set&^t == 0 {
			return true
		}
	}
	return false
}

// scriptOf returns the script of r; the empty set for what all scripts share.
func scriptOf(r rune) (scriptSet, *unicode.RangeTable) {
	switch {
	case unicode.Is(unicode.Latin, r):
		return scriptLatin, nil
	case unicode.In(r, unicode.Common, unicode.Inherited):
		return 0, nil
	case unicode.Is(unicode.Han, r):
		return scriptHan, nil
	case unicode.Is(unicode.Hiragana, r):
		return scriptHiragana, nil
	case unicode.Is(unicode.Katakana, r):
		return scriptKatakana, nil
	case unicode.Is(unicode.Bopomofo, r):
		return scriptBopomofo, nil
	case unicode.Is(unicode.Hangul, r):
		return scriptHangul, nil
	}
	for _, t := range unicode.Scripts {
		if unicode.Is(t, r) {
			return scriptOther, t
		}
	}
	// Newer than our tables: what it looks like is not known.
	return scriptOther, unassigned
}

// unassigned is the script of a character that no table has.
var unassigned = &unicode.RangeTable{}

// plainLatin are the Latin letters that languages are written with and that
// differ visibly from ASCII: Latin-1, Latin Extended-A and Latin Extended
// Additional, without the dotless ı (U+0131) and the ĸ (U+0138).
var plainLatin = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x61, 0x7a, 1}, {0xdf, 0x130, 1}, {0x132, 0x137, 1}, {0x139, 0x17f, 1}, {0x1e00, 0x1eff, 1},
	},
	LatinOffset: 1,
}

// rightToLeft are the blocks that Unicode gives to scripts from right to left (UAX
// #9 and the defaults of its property file), and the joiners and marks of
// direction.
var rightToLeft = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x0590, 0x08ff, 1}, {0x200b, 0x200f, 1}, {0x202a, 0x202e, 1}, {0x2066, 0x2069, 1}, {0xfb1d, 0xfdff, 1}, {0xfe70, 0xfeff, 1},
	},
	R32: []unicode.Range32{{0x10800, 0x10fff, 1}, {0x1e800, 0x1efff, 1}},
}

// lookalikes are the characters of ASCII labels and those of other scripts that
// can be taken for them in common typefaces. A U-label of nothing but these is not
// shown.
const lookalikes = "-0123456789abcdefghijklmnopqrstuvwxyz" +
	"асԁеһіјӏорԛѕԝхуъьҽпгѵѡвгкмтн" + // Cyrillic
	"ανορτυχγικωηε" + // Greek
	"օսոցհո" + // Armenian
	"ーー一丶ノ丿丨〇口二三工ニエ" + // Han and Kana
	"·ʻʼ"
