package main

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/postfixconf"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

func newConfigPostfix(e *env) *cobra.Command {
	var p postfixSource
	cmd := &cobra.Command{
		Use:   "postfix",
		Short: "Print the lines that main.cf of Postfix needs, each with its reason",
		Long: `Postfix prints the lines for main.cf: for the version of the Postfix on this machine, for
its chroot, its own tables, and the sockets of mxauth's configuration. It changes nothing.

With --version it prints them for another version; with --postconf FILE, and --master FILE,
for a Postfix elsewhere. mxauth doctor says what the present main.cf lacks.

The exit status is 0, 64 for bad usage, 78 if there is no Postfix here and none is named, or
its configuration cannot be read.`,
		Example: `  mxauth config postfix
  mxauth config postfix --version 3.10.13 --chroot yes`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.version != "" && p.postconf == "" {
				// The lines for a version depend on no Postfix of this machine.
				if _, err := postconfPath(); err != nil {
					p.postconf = "/dev/null"
				}
			}
			in, err := e.readPostfix(cmd.Context(), &p, e.set)
			if err != nil {
				return err
			}
			if e.flags.json {
				for _, l := range postfixconf.Lines(in) {
					e.printJSON(configLineRow{V: 1, Name: l.Name, Value: l.Value, Why: l.Why})
				}
				return nil
			}
			of := "a version that is not known"
			if in.Version.IsKnown() {
				of = in.Version.String()
			}
			e.out.Linef("# main.cf of Postfix %s. After a change: postfix reload", of)
			for _, l := range postfixconf.Lines(in) {
				e.out.Linef("")
				for _, line := range wrap(l.Why, pageWidth, len("# ")) {
					e.out.Linef("# %s", line)
				}
				e.out.Linef("%s", l.String())
			}
			return nil
		},
	}
	p.add(cmd)
	return cmd
}

// A configLineRow is a line of `config postfix --json`.
type configLineRow struct {
	V     int    `json:"v"`
	Name  string `json:"name"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

// eximLines is the configuration of Exim in docs/exim.md, with a comment for each line. A test
// compares the two.
//
//go:embed exim.conf
var eximLines string

// eximSocket is the socket in eximLines.
const eximSocket = "/run/mxauth/exim.sock"

func newConfigExim(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "exim",
		Short: "Print the lines that the configuration of Exim needs, each with its reason",
		Long: `Exim prints the macros, routers and transport for Exim 4.96 and later, with the socket of
the listener "exim" in mxauth's configuration. docs/exim.md says where they go.

The exit status is 0, 64 for bad usage, 78 if the configuration of mxauth cannot be read.`,
		Example: `  mxauth config exim`,
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := eximConfig(e.set)
			if err != nil {
				return err
			}
			e.out.answer(text)
			return nil
		},
	}
}

// eximConfig is the configuration for the first listener of the door exim.
func eximConfig(s *settings.Settings) (string, error) {
	for _, l := range s.Listen {
		if l.Door != "exim" {
			continue
		}
		network, address, err := l.Network()
		if err != nil {
			return "", configError("", "%w", err)
		}
		if network == "tcp" {
			address = fmt.Sprintf("inet:%s", address)
		}
		return strings.Replace(eximLines, eximSocket, address, 1), nil
	}
	return eximLines + "\n# mxauth has no listener for Exim yet. In /etc/mxauth/mxauth.toml:\n#\n#   [[listen]]\n#   door = \"exim\"\n#   address = \"unix:" + eximSocket + "\"\n#   group = \"Debian-exim\"\n", nil
}
