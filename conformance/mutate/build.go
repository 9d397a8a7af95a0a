package mutate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A builder makes the test binaries.
type builder struct {
	Package
	root    string
	skip    string
	tmp     string
	sources []*source
	name    string
	found   int                 // mutants, also those that do not compile
	keep    map[int]bool        // those that compile, as far as is known
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
		cmd := exec.CommandContext(ctx, "go", "build", "-gcflags=-e", "-overlay", filepath.Join(b.tmp, "overlay.json"), "-o", os.DevNull, "./"+b.Folder)
		cmd.Dir = b.root
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

// write lays out the changed files and the overlay, and says which mutants are on which
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
	abs, err := filepath.Abs(filepath.Join(b.root, b.Folder, "mutant_switch.go"))
	if err != nil {
		return nil, err
	}
	replace[abs] = filepath.Join(b.tmp, "mutant_switch.go")
	sw := fmt.Sprintf(switchSource, b.name, inForceEnv, reachedEnv, b.found+1)
	if err := os.WriteFile(filepath.Join(b.tmp, "mutant_switch.go"), []byte(sw), 0o600); err != nil {
		return nil, err
	}
	j, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	return lines, os.WriteFile(filepath.Join(b.tmp, "overlay.json"), j, 0o600)
}

// inForceEnv is the variable that throws one mutant's switch; reachedEnv names the file to
// which a test program adds the number of each mutant that it reaches.
const (
	inForceEnv = "MXAUTH_MUTANT"
	reachedEnv = "MXAUTH_MUTANTS_REACHED"
)

const switchSource = `package %s

import (
	"os"
	"strconv"
	"sync/atomic"
)

var mutantInForce = func() int { n, _ := strconv.Atoi(os.Getenv(%q)); return n }()

var mutantsReached = func() *os.File {
	f, _ := os.OpenFile(os.Getenv(%q), os.O_APPEND|os.O_WRONLY, 0)
	return f
}()

var mutantWasReached [%d]atomic.Bool

func mutantIsOn(n int) bool {
	if mutantsReached != nil {
		mutantReached(n)
	}
	return n == mutantInForce
}

func mutantReached(n int) {
	if !mutantWasReached[n].Load() && !mutantWasReached[n].Swap(true) {
		mutantsReached.WriteString(strconv.Itoa(n) + "\n")
	}
}
`

// link builds the test binaries.
func (b *builder) link(ctx context.Context) error {
	for _, t := range b.Tests {
		cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-overlay", filepath.Join(b.tmp, "overlay.json"), "-c", "-o", b.binary(t), "./"+t)
		cmd.Dir = b.root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %w\n%s", ErrSetup, err, tail(out))
		}
		// Tests by rapid would keep what fails them in the checkout.
		known := exec.CommandContext(ctx, b.binary(t), noFailFile, "-test.run=^$")
		known.Dir = filepath.Join(b.root, t)
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

func tail(b []byte) []byte {
	const most = 3000
	if len(b) > most {
		return b[len(b)-most:]
	}
	return b
}
