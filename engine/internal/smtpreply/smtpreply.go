// Package smtpreply parses the replies of SMTP servers:
//
//	250-mx.example.org greets you
//	250-STARTTLS
//	250 8BITMIME
//
// A reply has one code and one or more lines (RFC 5321 section 4.2). The parser takes
// bytes as they arrive, and bounds lines and their number.
package smtpreply

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxLine is the longest reply line that is read. RFC 5321 section 4.5.3.1.5 allows
	// 512 octets; servers exceed it, but none needs more than this.
	MaxLine = 2048
	// MaxLines bounds the lines of one reply: EHLO lists a few dozen extensions.
	MaxLines = 128
)

// ErrSyntax is wrapped by the errors of [Parser.Feed].
var ErrSyntax = errors.New("not an SMTP reply")

// A SyntaxError is an error of [Parser.Feed]. It wraps [ErrSyntax].
type SyntaxError struct {
	Junk string // what came, quoted and cut, or what is wrong with it
}

// Error returns the text of ErrSyntax, and Junk.
func (e *SyntaxError) Error() string { return ErrSyntax.Error() + ": " + e.Junk }

// Unwrap returns ErrSyntax.
func (e *SyntaxError) Unwrap() error { return ErrSyntax }

func syntaxError(format string, args ...any) error {
	return &SyntaxError{Junk: fmt.Sprintf(format, args...)}
}

// blanks separate an extension keyword from its parameters. RFC 5321 section 4.1.1.1
// has a space; servers send tabs as well.
const blanks = " \t\v\f\r"

// A Reply is one reply: its code, and the text of each of its lines.
type Reply struct {
	Code  int
	Lines []string // at least one
}

// String returns the code and the first line of text.
func (r Reply) String() string {
	if len(r.Lines) == 0 {
		return fmt.Sprint(r.Code)
	}
	return fmt.Sprintf("%d %s", r.Code, r.Lines[0])
}

// Offers reports whether the reply, to EHLO, lists the extension, in any case (RFC 5321
// section 2.4). The first line is the name of the server and no extension (section
// 4.1.1.1).
func (r Reply) Offers(keyword string) bool {
	for n, l := range r.Lines {
		l = strings.TrimLeft(l, blanks)
		if i := strings.IndexAny(l, blanks); i >= 0 {
			l = l[:i]
		}
		if n > 0 && strings.EqualFold(l, keyword) {
			return true
		}
	}
	return false
}

// A Parser parses replies, one after the other. The zero Parser is ready for use.
type Parser struct {
	line  []byte // the part of a line that has arrived
	reply Reply
}

// Feed parses b up to the end of one reply. It returns the number of bytes used, and
// done if the reply, which is then that of [Parser.Reply], is complete. After an error,
// which is a [*SyntaxError], the parser must not be used.
func (p *Parser) Feed(b []byte) (n int, done bool, err error) {
	for n < len(b) {
		end := bytes.IndexByte(b[n:], '\n')
		part := b[n:]
		if end >= 0 {
			part = b[n : n+end+1]
		}
		if len(p.line)+len(part) > MaxLine {
			return n, false, syntaxError("a line of more than %d octets", MaxLine)
		}
		p.line = append(p.line, part...)
		n += len(part)
		if end < 0 {
			return n, false, nil
		}
		last, err := p.add(strings.TrimRight(string(p.line), "\r\n"))
		p.line = p.line[:0]
		if err != nil || last {
			return n, err == nil, err
		}
	}
	return n, false, nil
}

// Reply returns the reply that Feed has completed and makes room for the next.
func (p *Parser) Reply() Reply {
	r := p.reply
	p.reply = Reply{}
	return r
}

// Partial reports whether a reply has begun and is not complete.
func (p *Parser) Partial() bool { return len(p.line) > 0 || len(p.reply.Lines) > 0 }

// add parses one line; last means that the reply ends with it.
func (p *Parser) add(line string) (last bool, err error) {
	if len(line) < 3 || !digits(line[:3]) || len(line) > 3 && !strings.ContainsRune(" \t-", rune(line[3])) {
		return false, syntaxError("%.60q", line)
	}
	code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(p.reply.Lines) > 0 && code != p.reply.Code {
		return false, syntaxError("lines of different codes")
	}
	if len(p.reply.Lines) == MaxLines {
		return false, syntaxError("more than %d lines", MaxLines)
	}
	p.reply.Code = code
	text := ""
	if len(line) > 4 {
		text = line[4:]
	}
	p.reply.Lines = append(p.reply.Lines, text)
	return len(line) == 3 || line[3] != '-', nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
