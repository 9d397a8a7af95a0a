package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// newMemory makes the verb memory and its own verbs.
func newMemory(e *env) *cobra.Command {
	list := group(&cobra.Command{
		Use:   "memory",
		Short: "List, show and forget what domains have once proved",
		Long: `Memory works on what mxauth check has recorded about domains in the store that --store
names: the strongest protection that each has proved, when that was, and what it has lost
since. Check reports a loss; with --memory alert it prints it as a finding, and with
--memory defer mail to hosts that are not authenticated waits for a while.

If the owner of a domain confirms that a loss was intended, forget the domain. What it
proves after that is recorded again.

Where a daemon has the store open, memory asks the daemon, at its control socket
(serve.control of the configuration, or --control PATH).

The exit status is 0 if it was done, 1 if nothing is remembered of a domain, 78 if the
store cannot be used.`,
		Example: `  mxauth memory list --store bolt:/var/lib/mxauth/policies.db
  mxauth memory forget --store bolt:/var/lib/mxauth/policies.db example.org`,
	}, newMemoryList(e), newMemoryShow(e), newMemoryForget(e))
	for _, verb := range list.Commands() {
		e.addDaemonFlags(verb)
	}
	return list
}

// exitNoMemory is the exit status of memory for a domain of which nothing is remembered.
const exitNoMemory = 1

// withMemory runs f on what the daemon remembers, or the store that --store names.
func (e *env) withMemory(cmd *cobra.Command, f func(memoryBook) error) (err error) {
	return e.withStore(cmd, storeReads, func(c *daemonClient) error { return f(remoteMemory{c}) }, func(s store.Store) error {
		m, err := memory.New(memory.Config{Store: s, Now: e.now, Logger: e.out.logger(slog.LevelInfo)})
		if err != nil {
			return err
		}
		return errors.Join(f(m), m.Close())
	})
}

func newMemoryList(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the domains and what they have proved, sorted",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withMemory(cmd, func(m memoryBook) error {
				var list []memory.Past
				err := m.All(cmd.Context(), func(p memory.Past) bool {
					list = append(list, p)
					return true
				})
				slices.SortFunc(list, func(a, b memory.Past) int { return strings.Compare(pastName(a), pastName(b)) })
				for _, p := range list {
					if e.flags.json {
						e.printJSON(p)
						continue
					}
					e.out.Linef("%-30s %s", pastName(p), pastLine(p))
				}
				return err
			})
		},
	}
}

// pastName is the domain, with its port if that is not 25.
func pastName(p memory.Past) string {
	if p.Port == 0 {
		return p.Domain
	}
	return fmt.Sprintf("%s:%d", p.Domain, p.Port)
}

// pastLine is what a domain has proved in one line.
func pastLine(p memory.Past) string {
	var parts []string
	if p.DANE != memory.CoverNone {
		parts = append(parts, "DANE "+p.DANE.String())
	}
	if p.STS != 0 {
		parts = append(parts, "MTA-STS "+p.STS.String())
	}
	if len(p.TLS) > 0 {
		parts = append(parts, fmt.Sprintf("TLS %d", len(p.TLS)))
	}
	out := strings.Join(parts, ", ")
	if len(p.Drops) > 0 {
		out += "; lost: " + lostWords(p.Drops)
	}
	return out
}

// lostWords are the kinds of drops, each once.
func lostWords(drops []memory.Drop) string {
	var words []string
	for _, d := range drops {
		if !slices.Contains(words, string(d.Kind)) {
			words = append(words, string(d.Kind))
		}
	}
	return strings.Join(words, ", ")
}

// A target is a domain whose mail hosts listen on a port; 0 is 25.
type target struct {
	domain rfc6125.Host
	port   uint16
}

// eachRemembered does something with what is remembered of each domain named.
func (e *env) eachRemembered(cmd *cobra.Command, args []string, port uint16, f func(memoryBook, target) (bool, error)) error {
	names, err := parseDomains(args)
	if err != nil {
		return err
	}
	return e.withMemory(cmd, func(m memoryBook) error {
		return e.eachOf(names, "nothing is remembered of %s", exitNoMemory, func(d rfc6125.Host) (bool, error) { return f(m, target{d, port}) })
	})
}

// portFlag is the flag --port of a verb of memory.
func portFlag(cmd *cobra.Command) *uint16 {
	return cmd.Flags().Uint16("port", engine.DefaultPort, "`PORT` of the mail hosts")
}

func newMemoryShow(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show DOMAIN...",
		Short: "Show what a domain has proved, when, and what it has lost",
		Args:  arguments(1, many),
	}
	port := portFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.eachRemembered(cmd, args, *port, func(m memoryBook, t target) (bool, error) {
			p, ok, err := m.Past(cmd.Context(), t.domain, t.port)
			if err != nil || !ok {
				return false, err
			}
			if e.flags.json {
				e.printJSON(p)
				return true, nil
			}
			e.showPast(p)
			return true, nil
		})
	}
	return cmd
}

func (e *env) showPast(p memory.Past) {
	e.out.Linef("%s", pastName(p))
	switch p.DANE {
	case memory.CoverAll:
		e.out.Linef("  every mail host had signed TLSA records (DANE), last seen %s", day(p.DANEAt))
	case memory.CoverSome:
		e.out.Linef("  some mail hosts had signed TLSA records (DANE), last seen %s", day(p.DANEAt))
	}
	if p.STS != 0 {
		e.out.Linef("  it had an MTA-STS policy in mode %s, last seen %s", p.STS, day(p.STSAt))
	}
	for _, h := range p.TLS {
		e.out.Linef("  %s spoke TLS, last seen %s", h.Host, day(h.At))
	}
	for _, d := range p.Drops {
		e.out.Linef("  lost: %s, noticed %s", strings.TrimSpace(string(d.Kind)+" "+d.Host), day(d.Noted))
	}
	e.out.Linef("  times are exact to %d hours", memory.Precision/time.Hour)
}

func newMemoryForget(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget DOMAIN...",
		Short: "Forget what a domain has proved, because its loss is intended",
		Args:  arguments(1, many),
	}
	port := portFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.eachRemembered(cmd, args, *port, func(m memoryBook, t target) (bool, error) {
			ok, err := m.Forget(cmd.Context(), t.domain, t.port)
			if ok && err == nil {
				e.out.logger(slog.LevelInfo).Info("what a domain proved is forgotten", "domain", t.domain, "who", who())
			}
			return ok, err
		})
	}
	return cmd
}
