package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/mxauth/mxauth/engine/exception"
)

// endsSoon is how long before its end an exception is reported: a week's work days.
const endsSoon = 7 * 24 * time.Hour

// maxExceptionsFile bounds a file of exceptions.
const maxExceptionsFile = 4 << 20

// An exceptionsFile is a TOML file of exceptions that is read again when it changes:
//
//	[[exception]]
//	id     = "ticket-4711"
//	domain = "example.org"      # or "*.example.org"
//	mx     = "mx1.example.org"  # may be left out
//	method = "dane"             # dane, mta-sts or pkix; may be left out
//	effect = "encrypt"          # or "may"
//	reason = "their TLSA record is stale; they have been told"
//	author = "postmaster"
//	ends   = 2027-01-31T00:00:00Z
//
// A file that has become bad, or is gone, leaves the exceptions as they were and says so.
type exceptionsFile struct {
	path string
	warn func(format string, args ...any)
	now  func() time.Time

	mu     sync.Mutex // guards what follows
	set    *exception.Set
	seen   os.FileInfo
	looked time.Time
}

// lookEvery is how often the file is looked at.
const lookEvery = time.Second

// openExceptions reads the file for the first time: then a bad one is an error.
func openExceptions(path string, now func() time.Time, warn func(string, ...any)) (*exceptionsFile, error) {
	f := &exceptionsFile{path: path, now: now, warn: warn}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if f.set, err = readExceptions(path); err != nil {
		return nil, err
	}
	f.seen, f.looked = st, now()
	for _, x := range f.set.Ending(now(), endsSoon) {
		warn("exception %s of %s (%s) ends on %s", x.ID, x.Author, x.Domain, x.Ends.UTC().Format(time.DateOnly))
	}
	return f, nil
}

// current returns the exceptions in force.
func (f *exceptionsFile) current() *exception.Set {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.looked) < lookEvery {
		return f.set
	}
	f.looked = now
	if _, err := f.look(false); err != nil {
		f.warn("the previous exceptions stay in force: %v", err)
	}
	return f.set
}

// reread reads the file if it has changed, or in any case; changed says that other
// exceptions may be in force. After an error they are as they were.
func (f *exceptionsFile) reread(anyway bool) (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.look(anyway)
}

// inForce returns the exceptions as they were read last.
func (f *exceptionsFile) inForce() *exception.Set {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set
}

// look is reread; f.mu is held.
func (f *exceptionsFile) look(anyway bool) (changed bool, err error) {
	st, err := os.Stat(f.path)
	if err != nil {
		return false, err
	}
	if !anyway && f.seen != nil && st.ModTime().Equal(f.seen.ModTime()) && st.Size() == f.seen.Size() {
		return false, nil
	}
	f.seen = st // also of a bad file: it is told once
	set, err := readExceptions(f.path)
	if err != nil {
		return false, err
	}
	f.set = set
	return true, nil
}

// readExceptions reads a file; its errors name the line.
func readExceptions(path string) (*exception.Set, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) > maxExceptionsFile {
		return nil, fmt.Errorf("%s: larger than %d octets", path, maxExceptionsFile)
	}
	set, line, err := parseExceptions(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: line %d: %w", path, line, err)
	}
	return set, nil
}

// An exceptionText is an exception as the file has it, and as it is listed.
type exceptionText struct {
	ID     string           `toml:"id" json:"id"`
	Domain string           `toml:"domain" json:"domain"`
	MX     string           `toml:"mx" json:"mx,omitempty"`
	Method string           `toml:"method" json:"method,omitempty"`
	Effect exception.Effect `toml:"effect" json:"effect"`
	Reason string           `toml:"reason" json:"reason"`
	Author string           `toml:"author" json:"author"`
	Ends   time.Time        `toml:"ends" json:"ends"`
}

// parseExceptions reads the text of a file; an error is about the line.
func parseExceptions(text string) (set *exception.Set, line int, err error) {
	var file struct {
		Exception []exceptionText `toml:"exception"`
	}
	md, err := toml.Decode(text, &file)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, pe.Position.Line, errors.New(pe.Message)
		}
		return nil, 1, err
	}
	if extra := md.Undecoded(); len(extra) > 0 {
		key := extra[0][len(extra[0])-1]
		return nil, lineOf(text, `^\s*"?`+regexp.QuoteMeta(key)+`"?\s*=|^\s*\[+\s*`+regexp.QuoteMeta(key)+`\b`, 0), fmt.Errorf("unknown key %q", key)
	}
	list := make([]exception.Exception, len(file.Exception))
	for i, x := range file.Exception {
		list[i] = exception.Exception{ID: x.ID, Domain: x.Domain, MXHost: x.MX, Method: x.Method, Effect: x.Effect, Reason: x.Reason, Author: x.Author, Ends: x.Ends}
	}
	set, err = exception.NewSet(list)
	if err != nil {
		n := 0
		var xe *exception.Error
		if errors.As(err, &xe) {
			n = xe.Index
			err = fmt.Errorf("exception %q: %s", xe.ID, xe.Why)
		}
		return nil, lineOf(text, `^\s*\[\[\s*exception\s*\]\]`, n), err
	}
	return set, 0, nil
}

// lineOf is the number of the line on which the pattern matches for the n-th time, from 0.
func lineOf(text, pattern string, n int) int {
	re := regexp.MustCompile(pattern)
	at := 0
	for line := range strings.Lines(text) {
		at++
		if re.MatchString(line) {
			if n == 0 {
				return at
			}
			n--
		}
	}
	return 1
}

// exceptions opens the file of --exceptions; nil if it is not given.
func (e *env) exceptions(_ context.Context) (func() *exception.Set, error) {
	if e.flags.exceptions == "" {
		return nil, nil
	}
	f, err := openExceptions(e.flags.exceptions, e.now, e.out.Notef)
	if err != nil {
		return nil, configError("each exception needs id, domain, reason, author and ends; see mxauth check --help", "--exceptions: %w", err)
	}
	return f.current, nil
}

// tellExceptions says which exceptions were needed, and how often.
func (e *env) tellExceptions(uses []exception.Use) {
	for _, u := range uses {
		if u.Needed > 0 {
			e.out.Notef("exception %s was needed at %d of the %d hosts that it covers", u.ID, u.Needed, u.Decisions)
		}
	}
}
