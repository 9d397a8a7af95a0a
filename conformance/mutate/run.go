package mutate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrSetup is wrapped by errors that say that the mutants could not be judged at all:
// the package does not build, or its tests fail without any mutant.
var ErrSetup = errors.New("mutate: can not begin")

// envName is the variable that throws one mutant's switch.
const envName = "MXAUTH_MUTANT"

// Config of [Run].
type Config struct {
	Root string // of the module
	// Package is the folder of the package to break, relative to Root: "dane".
	Package string
	// Tests are the folders of the packages whose tests must notice; empty: Package's.
	Tests []string
	// Sample is how many mutants are tried, drawn by Seed; 0: all.
	Sample int
	Seed   uint64
	// Timeout of the tests of one package under one mutant; it is counted as noticed.
	// 0: three times what they take without a mutant, and ten seconds.
	Timeout time.Duration
	// Deadline ends the run; the mutants that were not tried are left out. Zero: none.
	Deadline time.Time
	// Parallel is how many mutants are tried at once; 0: 1.
	Parallel int
	// Equivalent are mutants that no test can notice, by their Key, with the reason.
	Equivalent map[string]string
	// Skip is a regular expression of tests to leave out (as go test -skip), for tests that
	// measure rather than judge.
	Skip string
	// Log gets a line a mutant; nil: none.
	Log io.Writer
}

// A Result is what became of one mutant.
type Result struct {
	Mutant
	Killed bool
	By     string // the package whose tests noticed
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

// Run breaks the package, one rule at a time, and runs the tests against each mutant.
func Run(ctx context.Context, c Config) (Score, error) {
	score := Score{Package: c.Package}
	if len(c.Tests) == 0 {
		c.Tests = []string{c.Package}
	}
	tmp, err := os.MkdirTemp("", "mxauth-mutate-")
	if err != nil {
		return score, err
	}
	defer os.RemoveAll(tmp)
	sources, mutants, name, err := collect(filepath.Join(c.Root, c.Package))
	if err != nil {
		return score, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	b := &builder{Config: c, tmp: tmp, sources: sources, name: name, keep: map[int]bool{}, flags: map[string][]string{}}
	for _, m := range mutants {
		b.keep[m.ID] = true
	}
	if err := b.build(ctx); err != nil {
		return score, err
	}
	var alive []Mutant
	for _, m := range mutants {
		if b.keep[m.ID] {
			alive = append(alive, m)
		}
	}
	score.Mutants = len(alive)
	if c.Timeout == 0 {
		start := time.Now()
		for _, t := range c.Tests {
			if out, err := b.test(ctx, t, 0, 10*time.Minute); err != nil {
				return score, fmt.Errorf("%w: the tests of %s fail without a mutant: %w\n%s", ErrSetup, t, err, tail(out))
			}
		}
		b.Timeout = 3*time.Since(start) + 10*time.Second
	}
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	rng.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
	if c.Sample > 0 && c.Sample < len(alive) {
		alive = alive[:c.Sample]
	}
	results := make([]*Result, len(alive))
	var g errgroup.Group
	g.SetLimit(max(1, c.Parallel))
	for i, m := range alive {
		g.Go(func() error {
			if ctx.Err() != nil || (!c.Deadline.IsZero() && time.Now().After(c.Deadline)) {
				return nil
			}
			r := Result{Mutant: m, Why: c.Equivalent[m.Key()]}
			for _, t := range c.Tests {
				if _, err := b.test(ctx, t, m.ID, b.Timeout); err != nil {
					r.Killed, r.By = true, t
					break
				}
			}
			if ctx.Err() == nil {
				results[i] = &r
				if c.Log != nil {
					fmt.Fprintf(c.Log, "%s\t%s:%d\t%s\t%v\n", c.Package, m.File, m.Line, m.What, r.Killed)
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	for _, r := range results {
		if r == nil {
			continue
		}
		score.Tried++
		switch {
		case r.Killed && r.Why != "":
			score.Killed++
			score.WrongEquivalent = append(score.WrongEquivalent, *r)
		case r.Killed:
			score.Killed++
		case r.Why != "":
			score.Equivalent++
		default:
			score.Survived = append(score.Survived, *r)
		}
	}
	return score, ctx.Err()
}

// A builder makes the test binaries.
type builder struct {
	Config
	tmp     string
	sources []*source
	name    string
	keep    map[int]bool
	flags   map[string][]string // of the test programs, by package
}

// maxBuilds bounds how often the sources are compiled: each round drops the mutants that
// do not compile where the compiler complains, ten lines a package and round.
const maxBuilds = 60

var errorLine = regexp.MustCompile(`(?m)^(?:vet: )?(\S+\.go):(\d+)(?::\d+)?: (.*)$`)

func (b *builder) build(ctx context.Context) error {
	for range maxBuilds {
		lines, err := b.write()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSetup, err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-gcflags=-e", "-overlay", filepath.Join(b.tmp, "overlay.json"), "-o", os.DevNull, "./"+b.Package)
		cmd.Dir = b.Root
		out, err := cmd.CombinedOutput()
		if err == nil {
			return b.link(ctx)
		}
		dropped := false
		for _, m := range errorLine.FindAllSubmatch(out, -1) {
			n, _ := strconv.Atoi(string(m[2]))
			for id := range lines[filepath.Base(string(m[1]))][n] {
				dropped = dropped || b.keep[id]
				delete(b.keep, id)
			}
		}
		if !dropped {
			return fmt.Errorf("%w: %w\n%s", ErrSetup, err, tail(out))
		}
	}
	return fmt.Errorf("%w: too many mutants do not compile", ErrSetup)
}

// write lays out the changed files and the overlay, and says which mutants stand on which
// line of a file.
func (b *builder) write() (map[string]map[int]map[int]bool, error) {
	replace := map[string]string{}
	lines := map[string]map[int]map[int]bool{}
	on := regexp.MustCompile(regexp.QuoteMeta(switchName) + `\((\d+)\)`)
	for _, s := range b.sources {
		text, err := s.apply(b.keep)
		if err != nil {
			return nil, err
		}
		base := filepath.Base(s.path)
		to := filepath.Join(b.tmp, base)
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return nil, err
		}
		abs, err := filepath.Abs(s.path)
		if err != nil {
			return nil, err
		}
		replace[abs] = to
		lines[base] = map[int]map[int]bool{}
		open := map[int]bool{}
		for n, line := range bytes.Split(text, []byte("\n")) {
			here := map[int]bool{}
			for _, m := range on.FindAllSubmatch(line, -1) {
				id, _ := strconv.Atoi(string(m[1]))
				here[id] = true
			}
			// "missing return" is reported at the end of a function: what was opened in it
			// by a skipped case is to blame.
			if bytes.HasPrefix(line, []byte("func ")) {
				open = map[int]bool{}
			}
			for id := range here {
				open[id] = true
			}
			if bytes.Equal(line, []byte("}")) {
				for id := range open {
					here[id] = true
				}
			}
			lines[base][n+1] = here
		}
	}
	abs, err := filepath.Abs(filepath.Join(b.Root, b.Package, "mutant_switch.go"))
	if err != nil {
		return nil, err
	}
	replace[abs] = filepath.Join(b.tmp, "mutant_switch.go")
	sw := fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
)

var mutantInForce = func() int { n, _ := strconv.Atoi(os.Getenv(%q)); return n }()

func %s(n int) bool { return n == mutantInForce }
`, b.name, envName, switchName)
	if err := os.WriteFile(filepath.Join(b.tmp, "mutant_switch.go"), []byte(sw), 0o600); err != nil {
		return nil, err
	}
	j, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	return lines, os.WriteFile(filepath.Join(b.tmp, "overlay.json"), j, 0o600)
}

// link builds the test binaries.
func (b *builder) link(ctx context.Context) error {
	for _, t := range b.Tests {
		cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-overlay", filepath.Join(b.tmp, "overlay.json"), "-c", "-o", b.binary(t), "./"+t)
		cmd.Dir = b.Root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %w\n%s", ErrSetup, err, tail(out))
		}
		// Tests by rapid would keep what fails them in the checkout.
		known := exec.CommandContext(ctx, b.binary(t), noFailFile, "-test.run=^$")
		known.Dir = filepath.Join(b.Root, t)
		if known.Run() == nil {
			b.flags[t] = append(b.flags[t], noFailFile)
		}
	}
	return nil
}

// noFailFile is a flag of test programs that use pgregory.net/rapid.
const noFailFile = "-rapid.nofailfile"

func (b *builder) binary(pkg string) string {
	return filepath.Join(b.tmp, strings.ReplaceAll(pkg, "/", "-")+".test")
}

// test runs the tests of one package with one mutant in force; an error means that they
// failed or ran out of time.
func (b *builder) test(ctx context.Context, pkg string, id int, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := append([]string{"-test.failfast", "-test.count=1"}, b.flags[pkg]...)
	if b.Skip != "" {
		args = append(args, "-test.skip="+b.Skip)
	}
	cmd := exec.CommandContext(ctx, b.binary(pkg), args...)
	cmd.Dir = filepath.Join(b.Root, pkg)
	cmd.Env = append(os.Environ(), envName+"="+strconv.Itoa(id))
	cmd.WaitDelay = 5 * time.Second
	return cmd.CombinedOutput()
}

func tail(b []byte) []byte {
	const most = 3000
	if len(b) > most {
		return b[len(b)-most:]
	}
	return b
}
