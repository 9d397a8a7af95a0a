package sts

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Texts that are nearly a record or a policy:
//
//	"v=STSv1; id=1;"    with the quotes as part of the text
//	version : STSv1     with a blank before the colon
//
// A sender reads neither, and their owner needs to know which character is wrong, not
// that a field is missing.

// runeNames are the characters that editors, web forms and word processors put into a text
// unasked.
var runeNames = map[rune]string{
	'\u00a0': "no-break space", '\u2007': "figure space", '\u202f': "narrow no-break space", '\u3000': "ideographic space",
	'\u2002': "en space", '\u2003': "em space", '\u2009': "thin space",
	'\u00ad': "soft hyphen", '\u200b': "zero width space", '\u200c': "zero width non-joiner", '\u200d': "zero width joiner",
	'\u2060': "word joiner", '\ufeff': "byte order mark", '\u200e': "left-to-right mark", '\u200f': "right-to-left mark",
	'\u2018': "curly quotation mark", '\u2019': "curly quotation mark", '\u201a': "curly quotation mark",
	'\u201c': "curly quotation mark", '\u201d': "curly quotation mark", '\u201e': "curly quotation mark",
	'\u00ab': "angle quotation mark", '\u00bb': "angle quotation mark",
	'\u2010': "hyphen", '\u2011': "non-breaking hyphen", '\u2012': "figure dash", '\u2013': "en dash", '\u2014': "em dash", '\u2212': "minus sign",
	'\uff1a': "fullwidth colon", '\uff1b': "fullwidth semicolon", '\uff1d': "fullwidth equals sign", '\u2024': "one dot leader",
	'\t': "tab", '\r': "carriage return", '\n': "line feed", 0: "NUL", utf8.RuneError: "an octet that is not UTF-8",
}

// runeName describes a character: "U+00A0 (no-break space)".
func runeName(r rune) string {
	name, ok := runeNames[r]
	switch {
	case ok:
		return fmt.Sprintf("U+%04X (%s)", r, name)
	case unicode.IsPrint(r):
		return fmt.Sprintf("U+%04X (%q)", r, string(r))
	}
	return fmt.Sprintf("U+%04X", r)
}

// oddRune finds the first character of s that no record or policy of ASCII has; at counts
// characters from 1.
func oddRune(s string) (name string, at int, found bool) {
	for _, r := range s {
		at++
		if r < ' ' && r != '\t' || r > '~' {
			return runeName(r), at, true
		}
	}
	return "", 0, false
}

// plainer replaces characters that look like ASCII, and drops those that are not seen.
var plainer = strings.NewReplacer(
	"\u00a0", " ", "\u2007", " ", "\u202f", " ", "\u3000", " ", "\u2002", " ", "\u2003", " ", "\u2009", " ", "\t", " ",
	"\u00ad", "", "\u200b", "", "\u200c", "", "\u200d", "", "\u2060", "", "\ufeff", "", "\u200e", "", "\u200f", "", "\r", "", "\n", " ",
	"\u2018", `"`, "\u2019", `"`, "\u201a", `"`, "\u201c", `"`, "\u201d", `"`, "\u201e", `"`, "\u00ab", `"`, "\u00bb", `"`, "'", `"`, "`", `"`,
	"\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-", "\u2014", "-", "\u2212", "-",
	"\uff1a", ":", "\uff1b", ";", "\uff1d", "=", "\u2024", ".",
)

// unquote drops quotation marks and blanks around s.
func unquote(s string) string { return strings.Trim(s, " \"\\") }

// otherRecords are how records of other standards begin.
var otherRecords = []struct{ begins, name string }{
	{"v=dmarc1", "DMARC"}, {"v=spf1", "SPF"}, {"v=dkim1", "DKIM"}, {"v=tlsrptv1", "TLSRPT"}, {"v=bimi1", "BIMI"},
}

// OtherRecord names the standard whose record a TXT record is ("DMARC"), "" if it is none
// that is known. A wildcard (*.example.org TXT) brings such records to every name.
func OtherRecord(txt string) string {
	t := strings.ToLower(unquote(plainer.Replace(txt)))
	for _, o := range otherRecords {
		if strings.HasPrefix(t, o.begins) {
			return o.name
		}
	}
	return ""
}

// MeansRecord reports whether a TXT record is meant to be an STS record, although it may
// be written in a way that no sender reads.
func MeansRecord(txt string) bool {
	if isRecord(txt) {
		return true
	}
	if OtherRecord(txt) != "" {
		return false
	}
	t := strings.ToLower(strings.NewReplacer(" ", "", `"`, "", `\`, "", ":", "=", "-", "", "_", "").Replace(plainer.Replace(txt)))
	for _, w := range []string{"v=sts", "v=mtasts", "stsv1", "version=sts"} {
		if strings.Contains(t, w) {
			return true
		}
	}
	id, ok := strings.CutPrefix(strings.TrimLeft(t, ";"), "id=")
	return ok && id != ""
}

// nearRecord says what keeps a text for which MeansRecord holds from being a record.
func nearRecord(txt string) (why string) {
	name, at, odd := oddRune(txt)
	low := strings.ToLower(txt)
	trimmed := strings.TrimLeft(txt, " \t")
	v := strings.Index(low, "sts")
	switch {
	case odd:
		return fmt.Sprintf("character %d is %s", at, name)
	case strings.ContainsAny(txt, "\"'`"):
		return fmt.Sprintf("character %d is a quotation mark that is part of the text: it was entered in addition to the quotes of the zone file", strings.IndexAny(txt, "\"'`")+1)
	case trimmed != txt:
		return "a blank before \"v=STSv1\""
	case v < 0:
		return "no version: a record begins with \"v=STSv1;\""
	case strings.HasPrefix(low, "id"):
		return "\"id\" before the version: a record begins with \"v=STSv1;\""
	}
	key, rest, _ := strings.Cut(txt, "=")
	switch head, _, _ := strings.Cut(txt, ";"); {
	case !strings.Contains(head, "=") && strings.Contains(head, ":"):
		return "a colon in place of \"=\""
	case strings.TrimSpace(key) == "v" && key != "v":
		return "a blank before \"=\""
	case key == "v" && strings.HasPrefix(strings.TrimLeft(rest, " \t"), "STSv1") && rest[0] != 'S':
		return "a blank after \"=\""
	case strings.HasPrefix(txt, recordVersion):
		after := strings.TrimLeft(txt[len(recordVersion):], " \t")
		if after == "" {
			return "no semicolon and no id after \"v=STSv1\""
		}
		return fmt.Sprintf("%q after \"v=STSv1\" in place of a semicolon", after[:1])
	case strings.HasPrefix(low, "v=stsv1"):
		return fmt.Sprintf("%q is not \"v=STSv1\": upper and lower case count", txt[:len(recordVersion)])
	}
	return fmt.Sprintf("%q is not \"v=STSv1\"", cutText(head(txt)))
}

// head is what comes before the first semicolon, comma or blank of a text.
func head(txt string) string {
	if i := strings.IndexAny(txt, ";, "); i > 0 {
		return txt[:i]
	}
	return txt
}

// sampleID is the id in advice of texts that have none.
const sampleID = "20260101T000000"

// meantID is the id that a text names, without what an id cannot hold.
func meantID(txt string) string {
	t := plainer.Replace(txt)
	for i := 0; i+3 <= len(t); i++ {
		if strings.EqualFold(t[i:i+2], "id") && (i == 0 || !isAlnum(t[i-1])) {
			rest := strings.TrimLeft(t[i+2:], " ")
			if rest == "" || rest[0] != '=' && rest[0] != ':' {
				continue
			}
			value, _, _ := strings.Cut(rest[1:], ";")
			var id []byte
			for _, c := range []byte(value) {
				if isAlnum(c) && len(id) < maxID {
					id = append(id, c)
				}
			}
			if len(id) > 0 {
				return string(id)
			}
		}
	}
	return sampleID
}

// recordCure is the record to publish in place of a text.
func recordCure(txt string) string {
	return "publish \"" + recordVersion + "; id=" + meantID(txt) + ";\""
}

// badIDChar names the first character that an id cannot hold.
func badIDChar(id string) string {
	at := 0
	for _, r := range id {
		at++
		if r > '~' || !isAlnum(byte(r)) {
			name := fmt.Sprintf("%q", string(r))
			if r > '~' || r < ' ' {
				name = runeName(r)
			}
			return fmt.Sprintf("id holds %s (its character %d); only letters and digits are allowed", name, at)
		}
	}
	if id == "" {
		return "id is empty"
	}
	return fmt.Sprintf("id has %d characters, more than %d", len(id), maxID)
}
