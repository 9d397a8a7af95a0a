package main

import (
	"bufio"
	"context"
	"encoding/json"
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
	var dir string
	cmd := &cobra.Command{
		Use:   "lab --dir DIR",
		Short: "Put a mail Internet on loopback for any program to be tested with (root)",
		Long: `Serves the worlds of the lab on real ports 25, 53 and 443 of addresses in 127.0.0.0/8
until it is interrupted, and prints what to point a program at. In DIR it writes the
root's trust anchor (` + anchorFile + `), the certification authority of policy hosts and mail
hosts (` + caFile + `), and the worlds (` + worldsFile + `): a line each with what to check, how
("args" are flags of mxauth check), and what must come out.

A world with "primed" begins in an earlier state, from which a program must have kept an
MTA-STS policy: check these first, then write the line "` + forgeLine + `" (or "` + forgeLine + ` WORLD") to
standard input, and check them again with the same store of policies. Where
"age_seconds" is given, that long ago the first check should have been.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{errors.New("--dir DIR is needed")}
			}
			return runLab(cmd.Context(), s, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder `DIR` for the trust anchor, the CA and the list of worlds; made if need be")
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

// A labWorld is a line of the list of worlds.
type labWorld struct {
	V      int      `json:"v"`
	World  string   `json:"world"`
	Domain string   `json:"domain"`
	About  string   `json:"about"`
	Args   []string `json:"args"` // of mxauth check; the last is what to check
	Primed bool     `json:"primed,omitempty"`
	Age    float64  `json:"age_seconds,omitempty"`
	Want   labWant  `json:"want"`
	Rows   []string `json:"rows,omitempty"` // of the decision table
}

// A labWant is what must come out, with the names of mxauth check --json.
type labWant struct {
	Outcome   string    `json:"outcome"`
	Method    string    `json:"method"`
	Deliver   bool      `json:"deliver"`
	EveryHost bool      `json:"every_host"`
	ReasonID  string    `json:"reason_id,omitempty"`
	Hosts     []labHost `json:"hosts,omitempty"`
}

type labHost struct {
	Host        string `json:"host"`
	Outcome     string `json:"outcome,omitempty"`
	Method      string `json:"method,omitempty"`
	Requirement string `json:"requirement,omitempty"`
	SNI         string `json:"sni,omitempty"`
}

// labVersion is that of the list's form.
const labVersion = 1

// describe is a world's line.
func describe(w lab.World) labWorld {
	d := labWorld{
		V: labVersion, World: w.Name, Domain: w.Domain, About: w.About, Args: w.Args(),
		Primed: w.Was != nil, Age: w.Age.Seconds(), Rows: w.Rows,
		Want: labWant{
			Outcome: w.Want.Outcome, Method: w.Want.Method, Deliver: w.Want.Deliver,
			EveryHost: w.Want.EveryHost, ReasonID: w.Want.Reason,
		},
	}
	for _, h := range w.Want.Hosts {
		d.Want.Hosts = append(d.Want.Hosts, labHost{h.Host, h.Outcome, h.Method, h.Requirement, h.SNI})
	}
	return d
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
	return writeFile(filepath.Join(dir, worldsFile), func(w io.Writer) error {
		e := json.NewEncoder(text.JSONWriter(w))
		for _, world := range l.Worlds() {
			if err := e.Encode(describe(world)); err != nil {
				return err
			}
		}
		return nil
	})
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
