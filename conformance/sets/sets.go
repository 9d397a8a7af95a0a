// Package sets holds what the judges of test vectors have in common. There is one judge for
// each set of vectors, in a package below this one; `mxconform run` and the tests of the
// package that is judged call the same:
//
//	results, err := names.Hostmatch(ctx, "../shared/vectors/rfc6125")
//
// A judge reads a folder, whole or a part of the published one, and compares what mxauth
// says of each case with what the case wants.
package sets

import (
	"bufio"
	"context"
	_ "embed" // for the table of exceptions
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ErrVectors is wrapped by errors about the folder of vectors or the table of exceptions:
// nothing was judged.
var ErrVectors = errors.New("conformance: cannot read vectors")

// A Result is what one case came to. It passes if Got equals Want.
type Result struct {
	Case string // stable for the same data; rows that are alike have the same
	Got  string
	Want string
	// Skip says why the case does not apply, by its content; "" if it does.
	Skip string
}

// A State says how a case counts.
type State uint8

// States of a case. The zero State is that of a failure.
const (
	Failed   State = iota
	Passed         // what mxauth says is what the case wants
	Excepted       // it does not apply, or mxauth answers otherwise on purpose
)

// State returns how the case counts with the exceptions of its set, and the reason of an
// exception. An exception that passes has failed, so that the table stays true.
func (r Result) State(exceptions map[string]string) (State, string) {
	why := exceptions[r.Case]
	switch {
	case r.Got == r.Want && r.Skip == "" && why != "":
		return Failed, why
	case why != "":
		return Excepted, why
	case r.Skip != "":
		return Excepted, r.Skip
	case r.Got == r.Want:
		return Passed, ""
	}
	return Failed, ""
}

// A Judge judges the cases of a folder. A file of the set that is not there has no cases.
type Judge func(ctx context.Context, dir string) ([]Result, error)

// Table reads one file of a set with its reader and makes a result of each row; a file
// that is not there has none.
func Table[T any](dir, file string, read func(io.Reader) ([]T, error), one func(i int, row T) Result) ([]Result, error) {
	f, err := os.Open(filepath.Join(dir, file))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	out := make([]Result, 0, len(rows))
	for i, row := range rows {
		out = append(out, one(i, row))
	}
	return out, nil
}

// Join runs the parts of a set in turn. What was judged before an error is kept.
func Join(parts ...func() ([]Result, error)) ([]Result, error) {
	var out []Result
	for _, p := range parts {
		r, err := p()
		out = append(out, r...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// Word puts a verdict in words.
func Word(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

//go:embed exceptions.tsv
var ownExceptions string

// OwnExceptions returns the table of exceptions that comes with mxauth.
func OwnExceptions() (map[string]map[string]string, error) {
	return Exceptions(strings.NewReader(ownExceptions))
}

// Exceptions reads a table of exceptions: lines of set, case and reason parted by tabs;
// blank lines and lines that begin with # are skipped. The result is keyed by set and
// case. Errors wrap [ErrVectors].
func Exceptions(r io.Reader) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[0] == "" || f[1] == "" || strings.TrimSpace(f[2]) == "" {
			return nil, fmt.Errorf("%w: exceptions, line %d: want set, case and reason parted by tabs", ErrVectors, n)
		}
		if out[f[0]] == nil {
			out[f[0]] = map[string]string{}
		}
		if out[f[0]][f[1]] != "" {
			return nil, fmt.Errorf("%w: exceptions, line %d: %s %s is there twice", ErrVectors, n, f[0], f[1])
		}
		out[f[0]][f[1]] = strings.TrimSpace(f[2])
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%w: exceptions: %w", ErrVectors, err)
	}
	return out, nil
}
