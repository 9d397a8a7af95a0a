package mutate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrSetup is wrapped by errors that say that the mutants of a package could not be judged:
// it does not build, or all of its tests fail without any mutant.
var ErrSetup = errors.New("mutate: cannot begin")

// A Package is one whose rules are broken.
type Package struct {
	// Folder of the package, relative to the module's root: "dane".
	Folder string
	// Tests are the folders of the packages whose tests must notice; empty: Folder.
	Tests []string
	// Equivalent are mutants that no test can notice, by their Key, with the reason.
	Equivalent map[string]string
}

// Config of [Run].
type Config struct {
	Root string // of the module
	// Sample is how many mutants of each package are tried, drawn by Seed; 0: all.
	Sample int
	Seed   uint64
	// Timeout of the tests that run in one process under one mutant; exceeding it counts as
	// noticed. 0: three times what they take without a mutant, and ten seconds.
	Timeout time.Duration
	// Deadline ends the run; the mutants that were not tried are left out. Zero: none.
	Deadline time.Time
	// Parallel is how many test programs run at once; 0: 1.
	Parallel int
	// Skip is a regular expression of tests to leave out (as go test -skip), for tests that
	// measure rather than judge.
	Skip string
	// Log gets a line for each mutant; nil: none.
	Log io.Writer
}

// late reports whether the deadline has passed.
func (c Config) late() bool { return !c.Deadline.IsZero() && time.Now().After(c.Deadline) }

// A Result is the verdict on one mutant.
type Result struct {
	Mutant
	Killed bool
	By     string // the package and the test that noticed
	Tests  int    // that reach the mutant; where none does, it survives untried
	Why    string // reason of an equivalent
}

// A Score sums up a run.
type Score struct {
	Package    string
	Mutants    int // that compile
	Tried      int
	Killed     int
	Equivalent int // tried, survived and listed
	// WrongEquivalent are listed as equivalent, and a test noticed them.
	WrongEquivalent []Result
	Survived        []Result
	// Failing are tests that failed without a mutant, alone, and so judged none.
	Failing []string
}

// Rate is killed over tried without equivalents, 0 to 1; 1 where nothing was tried.
func (s Score) Rate() float64 {
	n := s.Tried - s.Equivalent
	if n == 0 {
		return 1
	}
	return float64(s.Killed) / float64(n)
}

// Equivalents reads a list of equivalent mutants: lines of package, file, function, what,
// code and reason, parted by tabs, as Run prints survivors. It returns those of one
// package.
func Equivalents(r io.Reader, pkg string) (map[string]string, error) {
	out := map[string]string{}
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		if sc.Text() == "" || sc.Text()[0] == '#' {
			continue
		}
		f := strings.Split(sc.Text(), "\t")
		if len(f) != 6 || f[5] == "" {
			return nil, fmt.Errorf("mutate: equivalents, line %d: want package, file, function, what, code and reason", n)
		}
		if f[0] == pkg {
			out[strings.Join(f[1:5], "\t")] = f[5]
		}
	}
	return out, sc.Err()
}

// Run breaks the packages, one rule at a time, and runs the tests that reach it against
// each mutant. It first runs every test alone, without a mutant, to learn what it reaches
// and how long it takes. Then the quickest tests are asked first, and the package that has
// had the least time is next, so that a slow one does not starve the others. Scores are in
// the order of the packages. Errors wrap [ErrSetup], or are those of ctx.
func Run(ctx context.Context, c Config, packages ...Package) ([]Score, error) {
	scores := make([]Score, len(packages))
	var queues []*queue
	for i, p := range packages {
		scores[i].Package = p.Folder
		if c.late() {
			continue
		}
		tmp, err := os.MkdirTemp("", "mxauth-mutate-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(tmp)
		q, err := prepare(ctx, c, p, tmp, &scores[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Folder, err)
		}
		q.draw(c)
		queues = append(queues, q)
	}
	share(ctx, c, queues)
	for _, q := range queues {
		q.count()
	}
	return scores, ctx.Err()
}

// A queue holds the mutants of one package that are to be tried.
type queue struct {
	*builder
	tests   []test
	mutants []Mutant
	results []*Result // of the mutants; nil: not tried
	next    int
	used    time.Duration
	score   *Score
}

// prepare builds the mutants of a package and measures its tests.
func prepare(ctx context.Context, c Config, p Package, tmp string, score *Score) (*queue, error) {
	if len(p.Tests) == 0 {
		p.Tests = []string{p.Folder}
	}
	sources, mutants, name, err := collect(filepath.Join(c.Root, p.Folder))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	b := &builder{Package: p, root: c.Root, skip: c.Skip, tmp: tmp, sources: sources, name: name,
		found: len(mutants), keep: map[int]bool{}, flags: map[string][]string{}}
	for _, m := range mutants {
		b.keep[m.ID] = true
	}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	q := &queue{builder: b, score: score}
	for _, m := range mutants {
		if b.keep[m.ID] {
			q.mutants = append(q.mutants, m)
		}
	}
	score.Mutants = len(q.mutants)
	q.tests, score.Failing, err = b.measure(ctx, max(1, c.Parallel))
	return q, err
}

// draw shuffles the mutants by the seed and cuts them to the size of the sample.
func (q *queue) draw(c Config) {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	rng.Shuffle(len(q.mutants), func(i, j int) { q.mutants[i], q.mutants[j] = q.mutants[j], q.mutants[i] })
	if c.Sample > 0 && c.Sample < len(q.mutants) {
		q.mutants = q.mutants[:c.Sample]
	}
	q.results = make([]*Result, len(q.mutants))
}

// share tries the mutants of all queues until none is left or the time is up.
func share(ctx context.Context, c Config, queues []*queue) {
	var mu sync.Mutex
	take := func() (*queue, int) {
		mu.Lock()
		defer mu.Unlock()
		var least *queue
		for _, q := range queues {
			if q.next < len(q.mutants) && (least == nil || q.used < least.used) {
				least = q
			}
		}
		if least == nil || ctx.Err() != nil || c.late() {
			return nil, 0
		}
		least.next++
		return least, least.next - 1
	}
	var g errgroup.Group
	for range max(1, c.Parallel) {
		g.Go(func() error {
			for q, i := take(); q != nil; q, i = take() {
				begun := time.Now()
				m := q.mutants[i]
				r := q.try(ctx, m, c.Timeout)
				r.Why = q.Equivalent[m.Key()]
				mu.Lock()
				q.used += time.Since(begun)
				if ctx.Err() == nil {
					q.results[i] = &r
					if c.Log != nil {
						fmt.Fprintf(c.Log, "%s\t%s:%d\t%s\t%v\n", q.Folder, m.File, m.Line, m.What, r.Killed)
					}
				}
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait()
}

// count sums up the results.
func (q *queue) count() {
	for _, r := range q.results {
		if r == nil {
			continue
		}
		q.score.Tried++
		switch {
		case r.Killed && r.Why != "":
			q.score.Killed++
			q.score.WrongEquivalent = append(q.score.WrongEquivalent, *r)
		case r.Killed:
			q.score.Killed++
		case r.Why != "":
			q.score.Equivalent++
		default:
			q.score.Survived = append(q.score.Survived, *r)
		}
	}
}
