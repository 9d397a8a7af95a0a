package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/postfixconf"
)

// Exit statuses of doctor.
const (
	exitDoctorAdvice = 1 // it works, and could be better
	exitDoctorFault  = 2 // mail is not protected as mxauth says, or waits although it could go
)

// newDoctor makes the verb doctor.
func newDoctor(e *env) *cobra.Command {
	var p postfixSource
	var live bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what in Postfix's configuration keeps mxauth's answers from having their effect",
		Long: `Doctor reads what postconf -n and postconf -M print on this machine, and main.cf for names
that it has twice, and says what is missing in main.cf or contradicts mxauth, each with the
line that corrects it. It changes nothing.

Then it tries what no file shows: whether the resolver that Postfix uses proves signed
answers (also the one named in the chroot of smtp), and whether a question to mxauth's
socket is answered there, and may be asked by Postfix's user.

With --postconf FILE it reads that file in place of the Postfix here (- is standard input),
and tries nothing unless --live is given; --master FILE and --version say the rest:

  ssh mail.example.org postconf -n | mxauth doctor --postconf - --version 3.7.11

The exit status is 0 if there is nothing to say, 1 if there is advice, 2 if there is a fault,
64 for bad usage, 78 if there is no Postfix here and none is named, or a configuration cannot
be read.`,
		Example: `  mxauth doctor
  mxauth doctor --postconf main.cf --master master.cf --version 3.10.13`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := e.readPostfix(cmd.Context(), &p, e.set)
			if err != nil {
				return err
			}
			list := postfixconf.Check(in)
			tried := ""
			if live || !p.files() && !cmd.Flags().Changed("live") {
				found, err := e.tryPostfix(cmd.Context(), in)
				if err != nil {
					return err
				}
				list, tried = append(list, found...), ", the resolver proves signed answers, and mxauth answers"
				slices.SortStableFunc(list, func(a, b postfixconf.Finding) int { return int(a.Level) - int(b.Level) })
			}
			return e.printDoctor(in, list, tried)
		},
	}
	p.add(cmd)
	cmd.Flags().BoolVar(&live, "live", false, "try the resolver and the socket, also with --postconf; --live=false does not")
	return cmd
}

// A doctorRow is what `doctor --json` prints of one finding.
type doctorRow struct {
	V int `json:"v"`
	postfixconf.Finding
}

// printDoctor prints what was found, and returns the exit status that it makes.
func (e *env) printDoctor(in *postfixconf.Input, list []postfixconf.Finding, tried string) error {
	code := 0
	for _, f := range list {
		c := exitDoctorFault
		if f.Level == postfixconf.Advice {
			c = exitDoctorAdvice
		}
		code = max(code, c)
		if e.flags.json {
			e.printJSON(doctorRow{1, f})
			continue
		}
		e.printDoctorFinding(&f)
	}
	if code == 0 && !e.flags.json {
		version := "Postfix"
		if in.Version.IsKnown() {
			version += " " + in.Version.String()
		}
		e.out.Linef("%s is set up for mxauth: its answers have their effect%s", version, tried)
	}
	return exitWith(code)
}

// places say where a fix goes.
var places = map[string]string{
	postfixconf.InMainCF: "in main.cf, then postfix reload:", postfixconf.InTOML: "in mxauth.toml:", postfixconf.InShell: "run:",
	postfixconf.InTable: "in a table such as regexp:/etc/postfix/tls_policy.regexp:",
}

func (e *env) printDoctorFinding(f *postfixconf.Finding) {
	mark := paint(bad, f.Level.String())
	if f.Level == postfixconf.Advice {
		mark = paint(fair, f.Level.String())
	}
	e.out.Linef("%s (%s)", mark, f.ID)
	block(e.out, 2, "", f.Why)
	if f.Fix == "" {
		return
	}
	e.out.Linef("  %s", places[f.Where])
	for line := range strings.Lines(f.Fix) {
		e.out.Linef("    %s", strings.TrimSuffix(line, "\n"))
	}
}

// tryPostfix tries what no file shows.
func (e *env) tryPostfix(ctx context.Context, in *postfixconf.Input) (list []postfixconf.Finding, err error) {
	if list, err = e.tryResolvers(ctx, in); err != nil {
		return nil, err
	}
	return append(list, e.trySockets(ctx, in)...), nil
}
