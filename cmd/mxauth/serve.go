package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/daemon"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	check  bool
	listen []string
}

// newServe makes the verb serve.
func newServe(e *env) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer the questions of mail servers",
		Long: `Serve runs until it is stopped and answers mail servers, which ask before they
deliver: Postfix and sendmail over the socketmap protocol, Exim line by line, programs over
HTTP in JSON.

  # main.cf of Postfix
  smtp_tls_security_level = dane
  smtp_dns_support_level = dnssec
  smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
  smtp_tls_policy_maps = socketmap:unix:/run/mxauth/postfix.sock:QUERY

The configuration is /etc/mxauth/mxauth.toml, or the file of --config; mxauth config print
--defaults shows every setting. A hangup signal (SIGHUP) reads exceptions, trust anchors,
certification authorities and the log level again; a file with a fault leaves the old
values in force. A termination signal (SIGTERM) lets answers under way end, for at most
10 seconds.

A question whose lookups take longer than serve.patience is answered "try later", and the
lookups go on. If the daemon does not run, Postfix keeps mail in its queue. If the store
cannot be opened, the daemon does not start: what the store holds protects mail.`,
		Example: `  mxauth serve --config mxauth.toml
  mxauth serve --listen socketmap=inet:127.0.0.1:8461 --store bolt:mxauth.db
  mxauth serve --check`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd, e, &f) },
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "do everything but listen, and say what is wrong")
	cmd.Flags().StringArrayVar(&f.listen, "listen", nil, "`DOOR=ADDRESS` to listen at in place of those of the file: socketmap, exim or http, and unix:PATH or inet:HOST:PORT (repeatable)")
	return cmd
}

// runServe carries out serve.
func runServe(cmd *cobra.Command, e *env, f *serveFlags) error {
	load := func() (*settings.Settings, error) {
		s, err := e.loadSettings(false)
		if err != nil {
			return nil, err
		}
		return s, f.override(s)
	}
	s := e.set
	if err := f.override(s); err != nil {
		return err
	}
	if err := refuse(s, e.configFile()); err != nil {
		return err
	}
	if e.hup == nil && !f.check {
		// From here on until the process ends: a SIGHUP that comes while the store is opened, or
		// while it is closed, must not end the process at once.
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGHUP)
		e.hup = c
	}
	d, err := openDaemon(cmd.Context(), e, s, f.check)
	if err != nil {
		return err
	}
	defer d.close()
	d.load = load
	if f.check {
		if err := daemon.Check(s); err != nil {
			return configError("", "%w", err)
		}
		e.out.Linef("the daemon can start")
		return nil
	}
	return d.serve(cmd.Context())
}

// garbage is how much memory, in percent of what is in use, may be garbage. A daemon keeps much
// and makes little new: less than the usual 100 costs it next to no time.
const garbage = 40

// serve answers until ctx ends.
func (d *service) serve(ctx context.Context) error {
	if d.e.getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	d.start()
	for _, l := range d.s.Listen {
		if l.Door == "socketmap" {
			d.log.Info("said once, since a daemon cannot see which Postfix asks: before 3.10.5, or with smtp_tls_enforce_sts_mx_patterns = no, a host that the plan excludes "+
				"is used if its certificate carries the name of a usable one; before 3.6.17, 3.7.13, 3.8.8 and 3.9.2 set smtp_tls_dane_insecure_mx_policy = dane",
				"deviations", string(mtapolicy.WeakerSharedName)+","+string(mtapolicy.WeakerOldInsecureMX))
			break
		}
	}
	run, err := daemon.Open(daemon.Config{Settings: d.s, Answers: d.answers, Metrics: d.metrics, Reload: d.reload, Alive: d.alive,
		Control: d.control(), HTTP: d.newHTTP, Now: d.e.now, Logger: d.log})
	if err != nil {
		return configError("", "%w", err)
	}
	d.addresses = run.Addresses()
	if err := run.Run(ctx, d.e.hup); err != nil {
		return err
	}
	return errStopped
}

// errStopped: the daemon was told to stop and has; that is no interruption.
var errStopped = errors.New("stopped")

// override applies --listen.
func (f *serveFlags) override(s *settings.Settings) error {
	if len(f.listen) == 0 {
		return nil
	}
	s.Listen = nil
	for _, text := range f.listen {
		l, err := settings.ParseListen(text)
		if err != nil {
			return usageError("--listen: %w", err)
		}
		s.Listen = append(s.Listen, l)
	}
	return nil
}

// configFile is the configuration file that is read; "" if there is none.
func (e *env) configFile() string {
	name := settings.Source{File: e.flags.config, Getenv: e.getenv}.Path()
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return name
}

// newDaemonLog logs to standard error as the settings say.
func newDaemonLog(e *env, s *settings.Settings, level *slog.LevelVar) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(e.out.stderr(), o))
	}
	return slog.New(slog.NewTextHandler(e.out.stderr(), o))
}
