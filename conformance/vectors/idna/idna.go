// Package idna reads Unicode's conformance tests for UTS #46 (`idna/`).
package idna

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
)

// A Line is one test of IdnaTestV2.txt with its empty columns filled in. The
// transitional columns are left out.
type Line struct {
	Number    int      // of the line in the file, from 1
	Source    string   // may hold lone surrogates, which then are U+FFFD
	Surrogate bool     // Source held a lone surrogate
	Unicode   string   // toUnicode
	UStatus   []string // its errors, such as "V7", "B1", "A4_2"
	ASCII     string   // toAsciiN
	AStatus   []string // its errors
}

// maxLine bounds one line of the file; the longest known has some 3,000 octets.
const maxLine = 1 << 20

// Read reads a file of the format that its own head describes.
func Read(r io.Reader) ([]Line, error) {
	var lines []Line
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		text, _, _ := strings.Cut(sc.Text(), "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		col := strings.Split(text, ";")
		if len(col) < 5 {
			return nil, fmt.Errorf("idna: line %d: %d columns", n, len(col))
		}
		l := Line{Number: n}
		var err error
		if l.Source, l.Surrogate, err = unescape(col[0]); err == nil {
			if l.Unicode, _, err = unescape(col[1]); err == nil {
				l.ASCII, _, err = unescape(col[3])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("idna: line %d: %w", n, err)
		}
		if blank(col[1]) {
			l.Unicode = l.Source
		}
		if blank(col[3]) {
			l.ASCII = l.Unicode
		}
		l.UStatus = statuses(col[2])
		l.AStatus = statuses(col[4])
		if blank(col[4]) {
			l.AStatus = l.UStatus
		}
		lines = append(lines, l)
	}
	return lines, sc.Err()
}

func blank(s string) bool { return strings.Trim(s, " \t") == "" }

func statuses(s string) []string {
	s = strings.Trim(s, " \t[]")
	if s == "" {
		return nil
	}
	f := strings.Split(s, ",")
	for i := range f {
		f[i] = strings.Trim(f[i], " \t")
	}
	return f
}

// unescape undoes \uXXXX and \x{XXXX}; "" in quotes is the empty string.
func unescape(s string) (text string, surrogate bool, err error) {
	s = strings.Trim(s, " \t")
	if s == `""` {
		return "", false, nil
	}
	var b strings.Builder
	for len(s) > 0 {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		var hex string
		switch {
		case strings.HasPrefix(s, `\u`) && len(s) >= 6:
			hex, s = s[2:6], s[6:]
		case strings.HasPrefix(s, `\x{`) && strings.IndexByte(s, '}') > 0:
			end := strings.IndexByte(s, '}')
			hex, s = s[3:end], s[end+1:]
		default:
			return "", false, fmt.Errorf("a bad escape in %q", s)
		}
		r, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			return "", false, err
		}
		surrogate = surrogate || utf16.IsSurrogate(rune(r))
		b.WriteRune(rune(r)) // a surrogate becomes U+FFFD
	}
	return b.String(), surrogate, nil
}

// A Pair is an entry of punycode_tests.json: a text and its Punycode without
// the prefix `xn--`.
type Pair struct {
	Description string `json:"description"`
	Decoded     string `json:"decoded"`
	Encoded     string `json:"encoded"`
}

// ReadPunycode reads punycode_tests.json or bad_punycode_tests.json.
func ReadPunycode(r io.Reader) ([]Pair, error) {
	var p []Pair
	if err := json.NewDecoder(r).Decode(&p); err != nil {
		return nil, fmt.Errorf("idna: %w", err)
	}
	return p, nil
}
