// Package conformance runs mxauth against published test vectors, and says so case by
// case. A set is a folder of vectors ([Sets] lists those that can be read); a folder may
// be whole or a part of the published one, and nothing here knows a vector's own names.
//
// What a set's cases assert is mxauth's reading of the RFCs, as the README of the
// vectors says. A case that cannot apply is recognised by its content and
// counts as excepted, with the reason. A single case that mxauth answers otherwise
// on purpose is in a table of exceptions ([sets.Exceptions]) with its reason; if it passes
// after all that is a failure, so that the table stays true.
package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mxauth/mxauth/conformance/sets"
)

// ErrVectors is wrapped by errors about the folder of vectors or the table of exceptions:
// nothing was judged.
var ErrVectors = sets.ErrVectors

// Exceptions reads a table of exceptions; see [sets.Exceptions].
func Exceptions(r io.Reader) (map[string]map[string]string, error) { return sets.Exceptions(r) }

// A Set is a kind of vectors: the folder's name, and how its cases are judged.
type Set struct {
	Name string // relative to the folder of all vectors: "danetest", "dnssec/rfc"
	Run  sets.Judge
}

// A Failure is a case that came out otherwise.
type Failure struct {
	Case string `json:"case"`
	Got  string `json:"got"`
	Want string `json:"want"`
}

// An Exception is a case that is not counted as a failure, with the reason.
type Exception struct {
	Case   string `json:"case"`
	Reason string `json:"reason"`
}

// A SetReport counts the cases of one set.
type SetReport struct {
	Set        string      `json:"set"`
	Cases      int         `json:"cases"`
	Passed     int         `json:"passed"`
	Failed     int         `json:"failed"`
	Excepted   int         `json:"excepted"`
	Failures   []Failure   `json:"failures"`
	Exceptions []Exception `json:"exceptions"`

	passed []string
}

// OK reports whether no case failed and there was one.
func (s SetReport) OK() bool { return s.Failed == 0 && s.Cases > 0 }

// A Report is a whole run.
type Report struct {
	V    int         `json:"v"`
	Sets []SetReport `json:"sets"`
}

// OK reports whether every set is, and there is one.
func (r Report) OK() bool {
	for _, s := range r.Sets {
		if !s.OK() {
			return false
		}
	}
	return len(r.Sets) > 0
}

// Config of [Run].
type Config struct {
	// Vectors is the folder laid out like the published one.
	Vectors string
	// Only names the sets to run; empty: all that are there.
	Only []string
	// Exceptions by set and case; nil: the table that comes with mxauth.
	Exceptions map[string]map[string]string
	// Progress is called before each set; nil: not.
	Progress func(set string)
}

// Run judges every set that is below the folder. An error wraps [ErrVectors], or is that
// of ctx; a case that fails is no error.
func Run(ctx context.Context, c Config) (Report, error) {
	rep := Report{V: 1, Sets: []SetReport{}}
	if st, err := os.Stat(c.Vectors); err != nil || !st.IsDir() {
		return rep, fmt.Errorf("%w: %q is no folder", ErrVectors, c.Vectors)
	}
	if c.Exceptions == nil {
		var err error
		if c.Exceptions, err = sets.OwnExceptions(); err != nil {
			return rep, err
		}
	}
	wanted := map[string]bool{}
	for _, name := range c.Only {
		wanted[name] = true
	}
	for _, s := range Sets() {
		dir := filepath.Join(c.Vectors, filepath.FromSlash(s.Name))
		if len(c.Only) > 0 && !wanted[s.Name] {
			continue
		}
		delete(wanted, s.Name)
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			if len(c.Only) > 0 {
				return rep, fmt.Errorf("%w: no set %q in %q", ErrVectors, s.Name, c.Vectors)
			}
			continue
		}
		if c.Progress != nil {
			c.Progress(s.Name)
		}
		results, err := s.Run(ctx, dir)
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		rep.Sets = append(rep.Sets, judge(s.Name, results, err, c.Exceptions[s.Name]))
	}
	if len(c.Only) > 0 {
		for name := range wanted {
			return rep, fmt.Errorf("%w: no set is called %q", ErrVectors, name)
		}
	}
	unknown, err := strangers(c.Vectors)
	if err != nil {
		return rep, err
	}
	if len(c.Only) == 0 {
		for _, name := range unknown {
			rep.Sets = append(rep.Sets, judge(name, nil, fmt.Errorf("no reader for this set"), nil))
		}
	}
	if len(rep.Sets) == 0 {
		return rep, fmt.Errorf("%w: no set in %q", ErrVectors, c.Vectors)
	}
	return rep, nil
}

// judge counts. A set that cannot be read, or has no cases, fails as a whole.
func judge(set string, results []sets.Result, err error, exceptions map[string]string) SetReport {
	r := SetReport{Set: set, Failures: []Failure{}, Exceptions: []Exception{}}
	fail := func(c, got, want string) {
		r.Failed++
		r.Failures = append(r.Failures, Failure{c, got, want})
	}
	for _, x := range results {
		r.Cases++
		switch state, why := x.State(exceptions); {
		case state == sets.Passed:
			r.Passed++
			r.passed = append(r.passed, x.Case)
		case state == sets.Excepted:
			r.Excepted++
			r.Exceptions = append(r.Exceptions, Exception{x.Case, why})
		case why != "":
			fail(x.Case, x.Got+" (passes)", "an exception that fails: "+why)
		default:
			fail(x.Case, x.Got, x.Want)
		}
	}
	switch {
	case err != nil:
		fail("(set)", err.Error(), "a set that can be read")
	case r.Cases == 0:
		fail("(set)", "no cases", "at least one case")
	}
	return r
}

// strangers lists folders with files (other than a README and sums) that no set reads.
func strangers(root string) ([]string, error) {
	known := map[string]bool{}
	for _, s := range Sets() {
		known[s.Name] = true
	}
	var out []string
	var walk func(rel string) error
	walk = func(rel string) error {
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrVectors, err)
		}
		files := false
		for _, e := range entries {
			name := strings.TrimPrefix(rel+"/"+e.Name(), "/")
			switch {
			case e.IsDir() && !known[name] && !strings.HasPrefix(e.Name(), "."):
				if err := walk(name); err != nil {
					return err
				}
			case !e.IsDir() && !strings.HasPrefix(e.Name(), "README") && e.Name() != "SHA256SUMS" && !strings.HasPrefix(e.Name(), "."):
				files = true
			}
		}
		if files && rel != "" {
			out = append(out, rel)
		}
		return nil
	}
	return out, walk("")
}
