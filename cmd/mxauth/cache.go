package main

import (
	"cmp"
	"errors"
	"log/slog"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
	"github.com/mxauth/mxauth/sts"
)

// newCache makes the verb cache and its own verbs.
func newCache(e *env) *cobra.Command {
	list := group(&cobra.Command{
		Use:   "cache",
		Short: "List, show, export, import, delete and fetch the MTA-STS policies that are kept",
		Long: `Cache works on the policies in the store that --store names. Kept policies are
protection: while a policy is kept, it cannot be removed through DNS. If you delete one,
the next delivery to that domain depends on unprotected DNS.

A store in a file belongs to one process. Where a daemon has it open, cache asks the
daemon, at its control socket (serve.control of the configuration, or --control PATH);
--store names another store than that of the daemon.

Each change is logged to standard error. The exit status is 0 if it was done,
1 if there is no such policy, 78 if the store cannot be used.`,
	}, newCacheList(e), newCacheShow(e), newCacheExport(e), newCacheImport(e), newCacheDelete(e), newCacheWarm(e), newCacheRescue(e))
	for _, verb := range list.Commands() {
		if verb.Name() != "rescue" {
			e.addDaemonFlags(verb)
		}
	}
	return list
}

// exitNoPolicy is the exit status of cache for a domain that has no policy.
const exitNoPolicy = 1

// withCache runs f on the policies of the daemon, or of the store that --store names.
func (e *env) withCache(cmd *cobra.Command, use storeUse, f func(policyBook) error) error {
	return e.withStore(cmd, use, func(c *daemonClient) error { return f(remotePolicies{c}) }, func(s store.Store) error {
		// What is changed is always logged, with or without --verbose.
		return f(sts.NewCache(s, e.now, e.out.logger(slog.LevelInfo)))
	})
}

// withStore runs remote with a daemon that holds the store, or local on the store, which has
// to be one that stays. A store that --store names is opened here if that is possible.
func (e *env) withStore(cmd *cobra.Command, use storeUse, remote func(*daemonClient) error, local func(store.Store) error) (err error) {
	set, daemon, err := e.daemon()
	if err != nil {
		return err
	}
	named := cmd.Flags().Changed("store")
	if daemon != nil && (!named || set.Store != storeMemory && daemon.holds(cmd.Context(), set.Store)) {
		return remote(daemon)
	}
	if e.flags.store == storeMemory {
		return &exitError{code: exitUsage, err: errors.New("a store in memory is empty"), hint: "name the store by --store bolt:FILE or --store redis://HOST"}
	}
	s, err := e.openStoreOnly(use)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.closeStore(s)) }()
	err = local(s)
	if errors.Is(err, store.ErrUnavailable) {
		return configError("", "%w", err)
	}
	return err
}

// who is the user that runs the program, for the log.
func who() string {
	if u, err := user.Current(); err == nil {
		if s := os.Getenv("SUDO_USER"); s != "" {
			return u.Username + " (sudo by " + s + ")"
		}
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// parseDomains reads the names of domains; the error is one of usage.
func parseDomains(args []string) ([]rfc6125.Host, error) {
	out := make([]rfc6125.Host, len(args))
	for i, a := range args {
		if err := cmp.Or(fileTyped(a), noDomain(a)); err != nil {
			return nil, usageError("%w", err)
		}
		h, err := rfc6125.ParseHost(a)
		if err != nil {
			return nil, usageError("%w", err)
		}
		out[i] = h
	}
	return out, nil
}

func newCacheList(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the policies that are kept, sorted by domain",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withCache(cmd, storeReads, func(c policyBook) error {
				var list []sts.Item
				err := c.List(cmd.Context(), func(i sts.Item) bool {
					list = append(list, i)
					return true
				})
				slices.SortFunc(list, func(a, b sts.Item) int { return strings.Compare(a.Domain.String(), b.Domain.String()) })
				list = slices.CompactFunc(list, func(a, b sts.Item) bool { return a.Domain == b.Domain })
				for _, i := range list {
					if e.flags.json {
						e.printJSON(i)
						continue
					}
					failed := ""
					if i.Failures > 0 {
						failed = ", refresh failed " + strconv.Itoa(i.Failures) + " times"
					}
					e.out.Linef("%-30s %-7s %2d mx, id %s, fetched %s, ends %s%s", i.Domain, i.Mode, len(i.MX), i.ID, day(i.Fetched), day(i.Expires), failed)
				}
				return err
			})
		},
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// eachKept does something with the kept policy of each domain named. A domain of which f
// says that nothing is kept is told, and decides the exit code; an error ends it.
func (e *env) eachKept(cmd *cobra.Command, args []string, f func(c policyBook, domain rfc6125.Host) (kept bool, err error)) error {
	names, err := parseDomains(args)
	if err != nil {
		return err
	}
	return e.withCache(cmd, storeReads, func(c policyBook) error {
		return e.eachOf(names, "no policy of %s is kept", exitNoPolicy, func(d rfc6125.Host) (bool, error) { return f(c, d) })
	})
}

// eachOf calls f for each domain. A domain of which f says that there is nothing gets the line
// none on standard error, and decides the exit code; an error ends it.
func (e *env) eachOf(names []rfc6125.Host, none string, codeNone int, f func(rfc6125.Host) (there bool, err error)) error {
	code := 0
	for _, d := range names {
		there, err := f(d)
		if err != nil {
			return err
		}
		if !there {
			e.out.Errorf(none, d)
			code = codeNone
		}
	}
	return exitWith(code)
}

func newCacheShow(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "show DOMAIN...",
		Short: "Show the policy of a domain as it is kept",
		Args:  arguments(1, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.eachKept(cmd, args, func(c policyBook, domain rfc6125.Host) (bool, error) {
				i, ok, err := c.Show(cmd.Context(), domain)
				if err != nil || !ok {
					return false, err
				}
				if e.flags.json {
					e.printJSON(i)
				} else {
					e.showItem(i)
				}
				return true, nil
			})
		},
	}
}

func (e *env) showItem(i sts.Item) {
	e.out.Linef("%s: mode %s, id %s", i.Domain, i.Mode, i.ID)
	e.out.Linef("  fetched %s, ends %s (max_age %d s)", day(i.Fetched), day(i.Expires), i.MaxAge)
	if i.Failures > 0 && i.Tried != nil {
		e.out.Linef("  %d refreshes have failed since, the last at %s", i.Failures, day(*i.Tried))
	}
	e.quote(i.Policy)
}

func newCacheExport(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Write all policies to standard output, one JSON object a line",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withCache(cmd, storeReads, func(c policyBook) error {
				n, err := c.Export(cmd.Context(), text.JSONWriter(e.out.stdout()))
				if err == nil {
					e.out.Notef("%d policies exported", n)
				}
				return err
			})
		},
	}
}

func newCacheImport(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "import [FILE]",
		Short: "Keep the policies of an export, read from FILE or standard input",
		Long: `Import keeps the policies that export has written. A policy that
is kept already and was fetched later stays; expired policies are left out. The max_age of
a policy counts from its fetch, not from the import.`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := e.input(append(args, "-")[0])
			if err != nil {
				return usageError("%w", err)
			}
			defer in.Close()
			return e.withCache(cmd, storeFills, func(c policyBook) error {
				n, err := c.Import(cmd.Context(), in, who())
				e.out.Notef("%d policies imported, %d had ended, %d were kept already", n.Stored, n.Expired, n.Older)
				if errors.Is(err, sts.ErrImport) {
					return configError("lines before it have been imported; importing again does no harm", "%w", err)
				}
				return err
			})
		},
	}
}

func newCacheDelete(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "delete DOMAIN...",
		Short: "Delete the policy of a domain, and trust DNS once more",
		Args:  arguments(1, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.eachKept(cmd, args, func(c policyBook, domain rfc6125.Host) (bool, error) {
				return c.Delete(cmd.Context(), domain, who())
			})
		},
	}
}

func newCacheRescue(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "rescue DAMAGED NEWFILE",
		Short: "Copy what is sound in a damaged store file into a new one",
		Long: `Rescue looks at every page of a store file by itself and copies what has a good checksum
into a new store. A policy that had been deleted may come back.`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := bolt.Rescue(cmd.Context(), args[0], bolt.Config{Path: args[1], Now: e.now, Logger: e.out.logger(slog.LevelInfo)})
			if errors.Is(err, bolt.ErrExposed) {
				return configError("what other users can write to may be forged; see that it is not, and then: chmod 600 "+shellWord(args[0]), "%w", err)
			}
			if err != nil {
				return configError("", "%w", err)
			}
			e.out.Notef("%d entries rescued into %s", n, args[1])
			return nil
		},
	}
}
