package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// ownSettings marks a verb that reads no settings before it runs: it needs none, or says
// itself what is wrong with them.
const ownSettings = "own-settings"

// prepare reads the settings before a verb runs.
func (e *env) prepare(cmd *cobra.Command) (err error) {
	e.typed = cmd.Flags()
	if !cmd.HasParent() || cmd.Annotations[ownSettings] != "" || cmd.Name() == cobra.ShellCompRequestCmd {
		return nil
	}
	if e.set, err = e.loadSettings(false); err != nil {
		return err
	}
	e.flags.apply(e.set)
	return nil
}

// loadSettings reads the settings: from the configuration, the environment and the command
// line. Its error has one line a fault; faults of the command line alone are bad usage.
func (e *env) loadSettings(flagsOnly bool) (*settings.Settings, error) {
	s, err := settings.Load(settings.Source{File: e.flags.config, FlagsOnly: flagsOnly, Getenv: e.getenv, Environ: os.Environ, Flags: e.typed})
	if err != nil {
		x := &exitError{code: exitUsage, err: err}
		for _, p := range settings.Problems(err) {
			if !p.OfFlag() {
				x.code, x.hint = exitConfig, "mxauth config print --defaults shows every setting with its meaning"
			}
		}
		return nil, x
	}
	return s, nil
}

// newConfig makes the verb config.
func newConfig(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Check or print the configuration of mxauth serve, or print that of a mail server",
		Long: `The configuration is read from /etc/mxauth/mxauth.toml, or from the file that --config
names. A setting can also be given by a variable: resolver.servers is
MXAUTH_RESOLVER_SERVERS. A flag outweighs a variable, a variable the file.`,
	}, newConfigCheck(e), newConfigPrint(e), newConfigPostfix(e), newConfigExim(e))
}

func newConfigCheck(e *env) *cobra.Command {
	return &cobra.Command{
		Use:         "check",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Say whether the configuration can be used",
		Long: `Check reads the configuration and reports every fault with file and line: unknown
settings, wrong types, values that contradict each other. The exit status is 0 if there
is none and 78 if there is one. It opens nothing; mxauth serve --check does.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := e.loadSettings(false); err != nil {
				return err
			}
			e.out.Linef("the configuration can be used")
			return nil
		},
	}
}

func newConfigPrint(e *env) *cobra.Command {
	var defaults bool
	cmd := &cobra.Command{
		Use:         "print",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Print each setting, its value and where it comes from",
		Long: `Print shows the settings in the form of the configuration file, each with the place
where its value comes from. With --defaults it prints an annotated example file.
Passwords in URLs are not printed.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var b strings.Builder
			if defaults {
				if e.flags.config != "" {
					return usageError("--defaults reads no --config")
				}
				if err := settings.Example(&b); err != nil {
					return err
				}
			} else {
				s, err := e.loadSettings(false)
				if err != nil {
					return err
				}
				if err := s.Print(&b); err != nil {
					return err
				}
			}
			e.out.answer(b.String())
			return nil
		},
	}
	cmd.Flags().BoolVar(&defaults, "defaults", false, "print an example file with every setting, its meaning and its default")
	return cmd
}

// errWritable: a file that decides what mail servers are told can be changed by others.
var errWritable = errors.New("other users may write to it")

// errReadable: a secret that all users of the machine may read is none.
var errReadable = errors.New("other users may read it")

// checkSecret refuses a file of a secret that others may read, or write to.
func checkSecret(path string) error {
	if err := checkOwned(path); err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err == nil && st.Mode().Perm()&0o004 != 0 {
		err = errReadable
	}
	return err
}

// checkOwned refuses a file that others may write to.
func checkOwned(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o022 != 0 {
		return errWritable
	}
	return nil
}
