package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// loadSettings reads the configuration; file is that of --config, "" for the usual ones. Its
// error is a configuration error with one line a fault.
func (e *env) loadSettings(file string, flags *pflag.FlagSet) (*settings.Settings, error) {
	s, err := settings.Load(settings.Source{File: file, Getenv: e.getenv, Environ: os.Environ, Flags: flags})
	if err != nil {
		return nil, &exitError{code: exitConfig, err: err, hint: "mxauth config print --defaults shows every setting with its meaning"}
	}
	return s, nil
}

// newConfig makes the verb config.
func newConfig(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Check or print the configuration of mxauth serve",
		Long: `The configuration is read from /etc/mxauth/mxauth.toml, or from the file that --config
names. A setting can also be given by a variable: resolver.servers is
MXAUTH_RESOLVER_SERVERS. A flag outweighs a variable, a variable the file.`,
	}, newConfigCheck(e), newConfigPrint(e))
}

func newConfigCheck(e *env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration can be used",
		Long: `Check reads the configuration and reports every fault with file and line: unknown
settings, wrong types, values that contradict each other. The exit status is 0 if there
is none and 78 if there is one. It opens nothing; mxauth serve --check does.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := e.loadSettings(file, nil); err != nil {
				return err
			}
			e.out.Linef("the configuration can be used")
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "`FILE` to read in place of "+settings.SystemFile)
	return cmd
}

func newConfigPrint(e *env) *cobra.Command {
	var file string
	var defaults bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print each setting, its value and where it comes from",
		Long: `Print shows the settings in the form of the configuration file, each with the place
where its value comes from. With --defaults it prints an annotated example file.
Passwords in URLs are not printed.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var b strings.Builder
			if defaults {
				if file != "" {
					return usageError("--defaults reads no --config")
				}
				if err := settings.Example(&b); err != nil {
					return err
				}
			} else {
				s, err := e.loadSettings(file, nil)
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
	cmd.Flags().StringVar(&file, "config", "", "`FILE` to read in place of "+settings.SystemFile)
	cmd.Flags().BoolVar(&defaults, "defaults", false, "print an example file with every setting, its meaning and its default")
	return cmd
}

// apply puts the settings into the flags that the rest of the program reads.
func (f *sharedFlags) apply(s *settings.Settings) {
	f.resolvers, f.dnssec, f.trustAnchor, f.caFile = s.Servers, s.DNSSEC, s.TrustAnchor, s.CAFile
	f.store, f.timeout, f.concurrency, f.allow, f.exceptions = s.Store, s.Timeout, s.Concurrency, s.Allow, s.Exceptions
}

// apply does the same for local policy.
func (d *deliveryFlags) apply(s *settings.Settings) {
	d.level, d.insecureMX, d.daneAndSTS, d.undetermined, d.mxAlias = s.Level, s.InsecureMX, s.DANEAndSTS, s.STSUndetermined, s.MXAlias
	d.names, d.noCNID, d.noClear, d.noAddrDefer, d.audit = s.Names, s.NoCNID, s.NoClearFallback, s.NoAddressDefer, s.Audit
	d.own, d.lost, d.hold = s.Own, s.Memory, s.MemoryHold
}

// errWritable: a file that decides what mail servers are told can be changed by others.
var errWritable = errors.New("other users may write to it")

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
