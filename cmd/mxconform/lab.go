package main

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/internal/text"
)

// Files that the verb lab writes for the program under test.
const (
	anchorFile = "root.ds"
	caFile     = "ca.pem"
	worldsFile = "worlds.jsonl"
)

// forgeLine is the line on standard input that moves worlds on.
const forgeLine = "forge"

func newLab(s streams) *cobra.Command {
	var (
		dir  string
		list bool
	)
	cmd := &cobra.Command{
		Use:   "lab {--dir DIR | --list [WORLD...]}",
		Short: "A mail Internet on loopback that any program can be tested with",
		Long: `With --list it prints the worlds of the lab, one JSON object per line: what is published,
what the servers do, what must come out and why. It needs neither root nor a network.

With --dir it serves the worlds on ports 25, 53 and 443 of addresses in 127.0.0.0/8 until
it is interrupted, and prints the addresses that a program under test needs. That needs
root, and only one lab can run on a machine at a time. In DIR it writes the DS records of
the root (` + anchorFile + `), the certification authority of policy hosts and mail hosts (` + caFile + `), and
the list of worlds (` + worldsFile + `).

A world with "primed" starts in an earlier state, in which a program learns an MTA-STS
policy that it must keep. Check these worlds first, write the line "` + forgeLine + `" (or "` + forgeLine + `
WORLD") to standard input, and check them again with the same store of policies. If
"age_seconds" is given, the first check must have been that long ago.

docs/lab.md explains each field and has an example for a mail server.`,
		RunE: func(cmd *cobra.Command, worlds []string) error {
			switch {
			case list && dir != "":
				return usageError{errors.New("give --dir DIR or --list, not both")}
			case list:
				return runList(cmd.Context(), s, worlds)
			case dir == "":
				return usageError{errors.New("--dir DIR or --list is needed")}
			case len(worlds) > 0:
				return usageError{fmt.Errorf("unexpected argument %.100q: --dir serves all worlds", worlds[0])}
			}
			return runLab(cmd.Context(), s, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder `DIR` for the trust anchor, the CA and the list of worlds; created if missing")
	cmd.Flags().BoolVar(&list, "list", false, "print the worlds and what must come out of each, as JSON")
	return cmd
}

func runLab(ctx context.Context, s streams, dir string) error {
	l, err := lab.Start(ctx, lab.Config{Worlds: lab.Worlds(), RealPorts: true})
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (ports below 1024: run it as root)", err)
	}
	if err != nil {
		return err
	}
	defer l.Close()
	if err := writeLab(l, dir); err != nil {
		return err
	}
	// The reader of standard input ends with the input, or with the program.
	lines := make(chan string)
	go readLines(ctx, s.in, lines)
	if err := tellLab(s.out, l, dir); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			words := strings.Fields(line)
			if len(words) == 0 || words[0] != forgeLine {
				fmt.Fprintf(s.err, "mxconform: not understood: %.80q (want %q, or %q and worlds)\n", line, forgeLine, forgeLine)
				continue
			}
			names := words[1:]
			if len(names) == 0 {
				for _, w := range l.Worlds() {
					if w.Was != nil {
						names = append(names, w.Name)
					}
				}
			}
			if err := l.Forge(names...); err != nil {
				fmt.Fprintf(s.err, "mxconform: %s\n", text.Lines(err.Error()))
				continue
			}
			fmt.Fprintf(s.out, "forged %d worlds\n", len(names))
		}
	}
}

// readLines sends lines until the input ends or ctx is done.
func readLines(ctx context.Context, r io.Reader, to chan<- string) {
	for sc := bufio.NewScanner(r); sc.Scan(); {
		select {
		case to <- sc.Text():
		case <-ctx.Done():
			return
		}
	}
}

// writeLab writes the files for the program under test.
func writeLab(l *lab.Lab, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, anchorFile), []byte(l.TrustAnchor()), 0o644); err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw})
	if err := os.WriteFile(filepath.Join(dir, caFile), ca, 0o644); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, worldsFile), func(w io.Writer) error { return writeWorlds(w, l.Worlds()) })
}

// tellLab prints what to point a program at; the last line says that all is ready.
func tellLab(w io.Writer, l *lab.Lab, dir string) error {
	var b strings.Builder
	line := func(what, where string) { fmt.Fprintf(&b, "%-28s %s\n", what, where) }
	bare := func(a netip.AddrPort) string { return a.Addr().String() }
	line("resolver, validates", bare(l.Resolver()))
	line("resolver, plain", bare(l.Plain()))
	line("resolver, strips DNSSEC", bare(l.Strips()))
	line("resolver, AD on everything", bare(l.Lies()))
	line("resolver, ignores CD", bare(l.IgnoresCD()))
	line("trust anchor of the root", filepath.Join(dir, anchorFile))
	line("certification authority", filepath.Join(dir, caFile))
	line("worlds", fmt.Sprintf("%s (%d)", filepath.Join(dir, worldsFile), len(l.Worlds())))
	fmt.Fprintf(&b, "\nmxauth check --json --resolver %s --trust-anchor %s --ca-file %s --allow-address 127.0.0.0/8 DOMAIN...\n",
		bare(l.Plain()), filepath.Join(dir, anchorFile), filepath.Join(dir, caFile))
	fmt.Fprintf(&b, "mxconform judge FILE\n\nready; a line %q moves the primed worlds on; interrupt to stop\n", forgeLine)
	_, err := io.WriteString(w, b.String())
	return err
}
