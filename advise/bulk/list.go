package bulk

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mxauth/mxauth/rfc6125"
)

// maxLine bounds one line of a list, in bytes: a domain has at most 253, and an address with
// a display name before it not much more than a kilobyte.
const maxLine = 4096

// maxShown is how much of a refused line is shown.
const maxShown = 80

// ErrLongLine is wrapped by the error of an [Entry] whose line is longer than 4096 bytes.
var ErrLongLine = fmt.Errorf("the line is longer than %d bytes", maxLine)

// An Entry is one line of a list that names a domain, or is refused.
type Entry struct {
	Line   int          // in the list, from 1
	Text   string       // as it is written there, without blanks around it; cut if refused
	Domain rfc6125.Host // zero if Err is set
	Err    error        // why the line is refused
}

// Read yields the entries of a list, which has a domain a line:
//
//	# partners
//	example.org
//	bücher.example      # IDN, read as xn--bcher-kva.example
//	sales@example.com   # the domain of an address
//
// It is read as by [Lines]. A line that names no domain comes as an Entry with Err, and reading
// goes on. The error of the sequence is that of r, and ends it.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for l, err := range Lines(r) {
			e := Entry{Line: l.Number, Text: l.Text, Err: l.Err}
			if err == nil && e.Err == nil {
				e.Domain, e.Err = parseDomain(l.Text)
				if e.Err != nil {
					e.Text = cut(e.Text)
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// A Line is one line of a list.
type Line struct {
	Number int    // from 1
	Text   string // without a comment, and without blanks around it; cut if Err is set
	Err    error  // why it cannot be read
}

// Lines yields the lines of a list that are neither blank nor a comment, which begins with "#",
// in a line with text after a blank. A line ends with LF, CR LF or CR. The list is UTF-8, or
// UTF-16 with or without a byte order mark. A line that is too long, has a NUL byte or is in
// another encoding comes with Err, and reading goes on. The error of the sequence is that of r,
// and ends it.
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		l := lineReader{r: bufio.NewReaderSize(decoded(r), 1<<16)}
		for {
			line, long, err := l.next()
			if line != "" || long {
				if t, ok := lineOf(l.n, line, long); ok && !yield(t, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Line{}, err)
				return
			}
		}
	}
}

// A Count is the size and identity of a list.
type Count struct {
	Entries int    // lines that name a domain, or are refused
	Hash    string // hex SHA-256 of the texts of these lines, in order
}

// CountList reads a list to its end. The error is that of r.
func CountList(r io.Reader) (Count, error) {
	var c Count
	h := sha256.New()
	for e, err := range Read(r) {
		if err != nil {
			return Count{}, err
		}
		c.Entries++
		_, _ = io.WriteString(h, e.Text+"\n") // a hash does not fail
	}
	c.Hash = hex.EncodeToString(h.Sum(nil))
	return c, nil
}

// A lineReader reads lines and counts them.
type lineReader struct {
	r   *bufio.Reader
	n   int  // number of the line read last, from 1
	cr  bool // that line ended with CR: an LF that follows belongs to its end
	buf []byte
}

// next returns one line without its end, the first maxLine bytes of a longer one. The error,
// io.EOF or that of the reader, comes with the last line.
func (l *lineReader) next() (line string, long bool, err error) {
	l.buf = l.buf[:0]
	l.n++
	for first := true; ; first = false {
		b, err := l.r.ReadByte()
		if err != nil {
			return string(l.buf), long, err
		}
		if b == '\n' && l.cr && first {
			l.cr = false
			first = true
			b, err = l.r.ReadByte()
			if err != nil {
				return "", false, err
			}
		}
		l.cr = b == '\r'
		switch {
		case b == '\n' || b == '\r':
			return string(l.buf), long, nil
		case len(l.buf) == maxLine:
			long = true
		default:
			l.buf = append(l.buf, b)
		}
	}
}

// lineOf reads one line; ok is false for one that is blank or a comment.
func lineOf(n int, line string, long bool) (l Line, ok bool) {
	text := strings.TrimSpace(line)
	if strings.HasPrefix(text, "#") {
		return Line{}, false
	}
	// No domain holds a blank and "#".
	for _, mark := range []string{" #", "\t#"} {
		if before, _, found := strings.Cut(text, mark); found && !long {
			text = strings.TrimSpace(before)
		}
	}
	if text == "" && !long {
		return Line{}, false
	}
	l = Line{Number: n, Text: text}
	switch {
	case long:
		l.Err = ErrLongLine
	case strings.ContainsRune(text, 0):
		l.Err = errors.New("the line holds a NUL byte: this is not a list of domains in UTF-8 or UTF-16")
	case !utf8.ValidString(text):
		l.Err = fmt.Errorf("%q is not UTF-8: convert the list, for example by iconv -f latin1 -t utf-8", cut(text))
	}
	if l.Err != nil {
		l.Text = cut(text)
	}
	return l, true
}

// cut returns the beginning of a text that is shown.
func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// parseDomain reads a domain, or the domain of a mail address.
func parseDomain(s string) (rfc6125.Host, error) {
	if strings.Contains(s, "://") {
		return rfc6125.Host{}, fmt.Errorf("%q is a URL, not a domain", cut(s))
	}
	// "Sales <sales@example.org>"
	if open := strings.LastIndexByte(s, '<'); open >= 0 && strings.HasSuffix(s, ">") && strings.Contains(s[open:], "@") {
		s = s[open+1 : len(s)-1]
	}
	domain := s
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		domain = s[at+1:]
	}
	switch {
	case domain == "":
		return rfc6125.Host{}, fmt.Errorf("%q has no domain after the @", cut(s))
	case strings.HasPrefix(domain, "["):
		return rfc6125.Host{}, fmt.Errorf("%q is a host or an address, not a domain: mxauth check looks at it", cut(domain))
	}
	return rfc6125.ParseHost(domain)
}

// decoded returns r in UTF-8, without a byte order mark.
func decoded(r io.Reader) io.Reader {
	br := bufio.NewReaderSize(r, 1<<12)
	head, _ := br.Peek(4) // a shorter list has an error, which Read meets again
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = br.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		_, _ = br.Discard(2)
		return &utf16Reader{r: br}
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		_, _ = br.Discard(2)
		return &utf16Reader{r: br, big: true}
	// Without a mark: the first two characters of a list are in ASCII.
	case len(head) == 4 && head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return &utf16Reader{r: br}
	case len(head) == 4 && head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return &utf16Reader{r: br, big: true}
	}
	return br
}

// A utf16Reader returns a UTF-16 text in UTF-8.
type utf16Reader struct {
	r    *bufio.Reader
	big  bool   // big-endian
	rest []byte // of the last character
}

// Read implements [io.Reader].
func (u *utf16Reader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(u.rest) == 0 {
			if n > 0 && u.r.Buffered() < 4 {
				return n, nil
			}
			c, err := u.unit()
			if err != nil {
				if n > 0 {
					return n, nil
				}
				return 0, err
			}
			if utf16.IsSurrogate(c) {
				low, err := u.unit()
				if err != nil && !errors.Is(err, io.EOF) {
					return n, err
				}
				c = utf16.DecodeRune(c, low)
			}
			u.rest = utf8.AppendRune(u.rest[:0], c)
		}
		k := copy(p[n:], u.rest)
		u.rest = u.rest[k:]
		n += k
	}
	return n, nil
}

// unit returns one code unit; of a last octet alone, the replacement character.
func (u *utf16Reader) unit() (rune, error) {
	a, err := u.r.ReadByte()
	if err != nil {
		return 0, err
	}
	b, err := u.r.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return utf8.RuneError, nil
	case err != nil:
		return 0, err
	case u.big:
		return rune(a)<<8 | rune(b), nil
	}
	return rune(b)<<8 | rune(a), nil
}
