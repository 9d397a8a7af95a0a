package mutate

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// A test is a top-level test, fuzz test (with its seeds) or example.
type test struct {
	pkg, name string
	took      time.Duration // alone, in a process of its own, without a mutant
	reaches   map[int]bool  // mutants, by number
}

// list returns the tests of a package.
func (b *builder) list(ctx context.Context, pkg string) ([]test, error) {
	cmd := exec.CommandContext(ctx, b.binary(pkg), "-test.list=^(Test|Fuzz|Example)")
	cmd.Dir = filepath.Join(b.root, pkg)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: the tests of %s cannot be listed: %w\n%s", ErrSetup, pkg, err, tail(out))
	}
	var list []test
	for name := range strings.Lines(string(out)) {
		list = append(list, test{pkg: pkg, name: strings.TrimSpace(name)})
	}
	return list, nil
}

// measure runs each test alone, so many at once, and returns the tests with what they
// reach: by package, the quickest first. A test that fails is not among them, since its
// failure would say nothing about a mutant, but in failing; where all fail it is an error.
func (b *builder) measure(ctx context.Context, parallel int) (tests []test, failing []string, err error) {
	for _, pkg := range b.Tests {
		list, err := b.list(ctx, pkg)
		if err != nil {
			return nil, nil, err
		}
		tests = append(tests, list...)
	}
	failed := make([]error, len(tests))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range tests {
		g.Go(func() error {
			t := &tests[i]
			file := filepath.Join(b.tmp, "reached-"+strconv.Itoa(i))
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return err
			}
			begun := time.Now()
			if out, err := b.run(ctx, []test{*t}, 10*time.Minute, reachedEnv+"="+file); err != nil {
				failed[i] = fmt.Errorf("%w: %s of %s fails without a mutant: %w\n%s", ErrSetup, t.name, t.pkg, err, tail(out))
				return ctx.Err()
			}
			t.took = time.Since(begun)
			var err error
			t.reaches, err = reached(file)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	var passing []test
	for i, t := range tests {
		if failed[i] == nil {
			passing = append(passing, t)
		} else {
			failing = append(failing, t.pkg+" "+t.name)
		}
	}
	if len(passing) == 0 && len(tests) > 0 {
		return nil, nil, failed[0]
	}
	slices.SortStableFunc(passing, func(x, y test) int {
		if n := slices.Index(b.Tests, x.pkg) - slices.Index(b.Tests, y.pkg); n != 0 {
			return n
		}
		return int(x.took - y.took)
	})
	return passing, failing, nil
}

// reached reads the file in which a test program noted the mutants that it reached.
func reached(file string) (map[int]bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	ids := map[int]bool{}
	for line := range strings.Lines(string(text)) {
		id, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		ids[id] = true
	}
	return ids, nil
}

// batchTime is how long the tests that run in one process take together, at most, without
// a mutant, so that quick tests share the start of a process.
const batchTime = time.Second

// batches parts the tests that reach a mutant into those that run in one process.
func (q *queue) batches(id int) (out [][]test) {
	var sum time.Duration
	for _, t := range q.tests {
		if !t.reaches[id] {
			continue
		}
		if last := len(out) - 1; last >= 0 && out[last][0].pkg == t.pkg && sum+t.took <= batchTime {
			out[last] = append(out[last], t)
			sum += t.took
		} else {
			out = append(out, []test{t})
			sum = t.took
		}
	}
	return out
}

// try runs the tests that reach the mutant, the quickest first, until one notices.
func (q *queue) try(ctx context.Context, m Mutant, timeout time.Duration) Result {
	r := Result{Mutant: m}
	batches := q.batches(m.ID)
	for _, batch := range batches {
		r.Tests += len(batch)
	}
	for _, batch := range batches {
		limit := timeout
		if limit == 0 {
			limit = 10 * time.Second
			for _, t := range batch {
				limit += 3 * t.took
			}
		}
		if out, err := q.run(ctx, batch, limit, inForceEnv+"="+strconv.Itoa(m.ID)); err != nil {
			r.Killed, r.By = true, batch[0].pkg
			if name := failedTest.FindSubmatch(out); name != nil {
				r.By += " " + string(name[1])
			}
			break
		}
	}
	return r
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// run runs tests of one package in one process with the variable set; an error means that
// one of them failed or that they ran out of time.
func (b *builder) run(ctx context.Context, tests []test, timeout time.Duration, env string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pkg := tests[0].pkg
	names := make([]string, len(tests))
	for i, t := range tests {
		names[i] = t.name
	}
	args := append([]string{"-test.failfast", "-test.count=1", "-test.run=^(" + strings.Join(names, "|") + ")$"}, b.flags[pkg]...)
	if b.skip != "" {
		args = append(args, "-test.skip="+b.skip)
	}
	cmd := exec.CommandContext(ctx, b.binary(pkg), args...)
	cmd.Dir = filepath.Join(b.root, pkg)
	cmd.Env = append(os.Environ(), env)
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.Bytes(), err
}
