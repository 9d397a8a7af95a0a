// Package rpl reads the replay files of Unbound's testbound and of CZ.NIC's Deckard
// (.rpl, .crpl): a resolver's options, canned answers of name servers, and steps in
// which a client asks and is answered. Its blocks between ENTRY_BEGIN and ENTRY_END
// also make up the data files of Unbound's unit tests, which [ParseEntries] reads.
//
// Records are kept as the text of one master-file line each, comments and line
// breaks within parentheses taken out.
package rpl

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A File is one scenario.
type File struct {
	Title   string
	Options []Option // in order
	Files   map[string]string
	Ranges  []Range
	Steps   []Step
}

// An Option is one line of the configuration, its value without quotes.
type Option struct {
	Name, Value string
}

// A Range holds the answers of some servers while the step number is in From..To.
type Range struct {
	From, To  int
	Addresses []string // none: any server
	Entries   []Entry
}

// A Step is one event; N rises.
type Step struct {
	N     int
	Event string   // QUERY, CHECK_ANSWER, TIME_PASSES, ...
	Args  []string // the rest of the line: ELAPSE 10
	Entry *Entry   // nil if the event has none
}

// An Entry is a message, with words on how to match and to send it.
type Entry struct {
	Match, Adjust, Reply []string
	Question             []string
	Answer               []string
	Authority            []string
	Additional           []string
	Hex                  string // raw message, if it is given so
}

// Has reports whether a list of words has the word, letter case aside.
func Has(words []string, word string) bool {
	for _, w := range words {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// Get returns the values of all options of the name.
func (f *File) Get(name string) []string {
	var out []string
	for _, o := range f.Options {
		if o.Name == name {
			out = append(out, o.Value)
		}
	}
	return out
}

// Parse reads a scenario.
func Parse(r io.Reader) (*File, error) {
	p := newParser(r)
	f := &File{Files: map[string]string{}}
	if err := p.config(f); err != nil {
		return nil, err
	}
	for p.next() {
		words := strings.Fields(p.line)
		switch words[0] {
		case "SCENARIO_BEGIN":
			f.Title = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(p.line), words[0]))
		case "SCENARIO_END":
			return f, nil
		case "RANGE_BEGIN":
			rg, err := p.rangeBlock(words)
			if err != nil {
				return nil, err
			}
			f.Ranges = append(f.Ranges, rg)
		case "STEP":
			st, err := p.step(words)
			if err != nil {
				return nil, err
			}
			f.Steps = append(f.Steps, st)
		case "ENTRY_BEGIN":
			if len(f.Steps) == 0 {
				return nil, p.errorf("an entry outside a step and a range")
			}
			e, err := p.entry()
			if err != nil {
				return nil, err
			}
			f.Steps[len(f.Steps)-1].Entry = e
		case "TEMPFILE_NAME":
		case "TEMPFILE_CONTENTS":
			name := ""
			if len(words) > 1 {
				name = words[1]
			}
			f.Files[name] = p.raw("TEMPFILE_END")
		case "AUTOTRUST_FILE":
			name := ""
			if len(words) > 1 {
				name = words[1]
			}
			f.Files[name] = p.raw("AUTOTRUST_END")
		default:
			if len(f.Steps) == 0 {
				return nil, p.errorf("unknown line")
			}
			// The further lines of a step that has a form of its own.
			s := &f.Steps[len(f.Steps)-1]
			s.Args = append(s.Args, p.line)
		}
	}
	return nil, fmt.Errorf("rpl: no SCENARIO_END")
}

// ParseEntries reads a file that has only entries.
func ParseEntries(r io.Reader) ([]Entry, error) {
	p := newParser(r)
	var out []Entry
	for p.next() {
		if strings.Fields(p.line)[0] != "ENTRY_BEGIN" {
			return nil, p.errorf("unknown line")
		}
		e, err := p.entry()
		if err != nil {
			return nil, err
		}
		out = append(out, *e)
	}
	return out, nil
}

type parser struct {
	s    *bufio.Scanner
	n    int
	line string // without its comment
}

func newParser(r io.Reader) *parser {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	return &parser{s: s}
}

func (p *parser) errorf(text string) error {
	return fmt.Errorf("rpl: line %d: %s: %.60q", p.n, text, p.line)
}

// next reads the next line that holds something.
func (p *parser) next() bool {
	for p.s.Scan() {
		p.n++
		p.line = cutComment(p.s.Text(), ";")
		if strings.TrimSpace(p.line) != "" {
			return true
		}
	}
	return false
}

// raw returns the lines up to the one that begins with end, as they are.
func (p *parser) raw(end string) string {
	var b strings.Builder
	for p.s.Scan() {
		p.n++
		if strings.HasPrefix(strings.TrimSpace(p.s.Text()), end) {
			break
		}
		b.WriteString(p.s.Text() + "\n")
	}
	return b.String()
}

// cutComment drops what follows one of the characters outside quotes.
func cutComment(s, chars string) string {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(chars, s[i]) >= 0:
			return s[:i]
		}
	}
	return s
}

func (p *parser) config(f *File) error {
	for p.s.Scan() {
		p.n++
		line := strings.TrimSpace(cutComment(p.s.Text(), ";#"))
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "CONFIG_END") {
			return nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue // a list of values that belongs to nothing we read
		}
		f.Options = append(f.Options, Option{strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"`)})
	}
	return fmt.Errorf("rpl: no CONFIG_END")
}

func (p *parser) rangeBlock(words []string) (Range, error) {
	var r Range
	var err1, err2 error
	if len(words) < 3 {
		return r, p.errorf("a range without bounds")
	}
	r.From, err1 = strconv.Atoi(words[1])
	r.To, err2 = strconv.Atoi(words[2])
	if err1 != nil || err2 != nil {
		return r, p.errorf("a range without bounds")
	}
	for p.next() {
		words := strings.Fields(p.line)
		switch words[0] {
		case "RANGE_END":
			return r, nil
		case "ADDRESS":
			r.Addresses = append(r.Addresses, words[1:]...)
		case "ENTRY_BEGIN":
			e, err := p.entry()
			if err != nil {
				return r, err
			}
			r.Entries = append(r.Entries, *e)
		default:
			return r, p.errorf("unknown line in a range")
		}
	}
	return r, fmt.Errorf("rpl: no RANGE_END")
}

func (p *parser) step(words []string) (Step, error) {
	if len(words) < 3 {
		return Step{}, p.errorf("a step without an event")
	}
	n, err := strconv.Atoi(words[1])
	if err != nil {
		return Step{}, p.errorf("a step without a number")
	}
	return Step{N: n, Event: words[2], Args: words[3:]}, nil
}

func (p *parser) entry() (*Entry, error) {
	e := &Entry{}
	var section *[]string
	for p.next() {
		line := strings.TrimSpace(p.line)
		words := strings.Fields(line)
		switch words[0] {
		case "ENTRY_END":
			return e, nil
		case "MATCH":
			e.Match = append(e.Match, words[1:]...)
		case "ADJUST":
			e.Adjust = append(e.Adjust, words[1:]...)
		case "REPLY":
			e.Reply = append(e.Reply, words[1:]...)
		case "MANDATORY", "OPTIONAL", "CHECK_OPTIONAL":
		case "HEX_ANSWER_BEGIN":
			e.Hex = p.hex("HEX_ANSWER_END")
		case "HEX_EDNSDATA_BEGIN":
			p.hex("HEX_EDNSDATA_END")
		case "SECTION":
			if len(words) < 2 {
				return nil, p.errorf("a section without a name")
			}
			switch words[1] {
			case "QUESTION":
				section = &e.Question
			case "ANSWER":
				section = &e.Answer
			case "AUTHORITY":
				section = &e.Authority
			case "ADDITIONAL":
				section = &e.Additional
			default:
				return nil, p.errorf("unknown section")
			}
		default:
			if section == nil {
				return nil, p.errorf("unknown line in an entry")
			}
			if err := p.parentheses(); err != nil {
				return nil, err
			}
			*section = append(*section, p.line)
		}
	}
	return nil, fmt.Errorf("rpl: no ENTRY_END")
}

// parentheses joins the lines of a record that goes over several.
func (p *parser) parentheses() error {
	line := p.line
	for {
		depth, quoted := 0, false
		for i := 0; i < len(line); i++ {
			switch {
			case line[i] == '\\':
				i++
			case line[i] == '"':
				quoted = !quoted
			case !quoted && line[i] == '(':
				depth++
			case !quoted && line[i] == ')':
				depth--
			}
		}
		if depth <= 0 {
			p.line = strings.TrimSpace(line)
			return nil
		}
		if !p.next() {
			return p.errorf("a parenthesis without an end")
		}
		line += " " + p.line
	}
}

func (p *parser) hex(end string) string {
	var b strings.Builder
	for p.next() {
		line := strings.TrimSpace(p.line)
		if line == end {
			break
		}
		b.WriteString(strings.Join(strings.Fields(line), ""))
	}
	return b.String()
}
