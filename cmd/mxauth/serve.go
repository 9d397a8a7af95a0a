package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/daemon"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store/bolt"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	config string
	check  bool
	listen []string
}

// newServe makes the verb serve.
func newServe(e *env) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer the questions of mail servers",
		Long: `Serve runs until it is told to stop and answers mail servers, which ask before they
deliver: Postfix and sendmail over the socketmap protocol, Exim line by line.

  # main.cf of Postfix
  smtp_tls_security_level = dane
  smtp_dns_support_level = dnssec
  smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
  smtp_tls_policy_maps = socketmap:unix:/run/mxauth/postfix.sock:QUERY

The configuration is /etc/mxauth/mxauth.toml, or the file of --config; mxauth config print
--defaults shows every setting. A hangup signal (SIGHUP) reads exceptions again. A
termination signal (SIGTERM) lets answers under way end, for at most 10 seconds.

A question whose lookups take longer than serve.patience is answered "try later", and the
lookups go on. If the daemon does not run, Postfix keeps mail in its queue.`,
		Example: `  mxauth serve --config mxauth.toml
  mxauth serve --listen socketmap=inet:127.0.0.1:8461 --store bolt:mxauth.db
  mxauth serve --check`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd, e, &f) },
	}
	cmd.Flags().StringVar(&f.config, "config", "", "`FILE` to read in place of "+settings.SystemFile)
	cmd.Flags().BoolVar(&f.check, "check", false, "do everything but listen, and say what is wrong")
	cmd.Flags().StringArrayVar(&f.listen, "listen", nil, "`DOOR=ADDRESS` to listen at in place of those of the file: socketmap or exim, and unix:PATH or inet:HOST:PORT (repeatable)")
	return cmd
}

// runServe carries out serve.
func runServe(cmd *cobra.Command, e *env, f *serveFlags) error {
	s, err := e.loadSettings(f.config, nil)
	if err != nil {
		return err
	}
	if err := f.override(cmd, e, s); err != nil {
		return err
	}
	level := new(slog.LevelVar)
	d, err := openDaemon(cmd.Context(), e, s, f, level)
	if err != nil {
		return err
	}
	defer d.close()
	if f.check {
		e.out.Linef("the daemon can start")
		return nil
	}
	run, err := daemon.Open(d.config())
	if err != nil {
		return configError("", "%w", err)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	if err := run.Run(cmd.Context(), hup); err != nil {
		return err
	}
	return errStopped
}

// errStopped: the daemon was told to stop and has; that is no interruption.
var errStopped = errors.New("stopped")

// override applies the flags that were given.
func (f *serveFlags) override(cmd *cobra.Command, e *env, s *settings.Settings) error {
	if len(f.listen) > 0 {
		s.Listen = nil
		for _, text := range f.listen {
			l, err := settings.ParseListen(text)
			if err != nil {
				return usageError("--listen: %w", err)
			}
			s.Listen = append(s.Listen, l)
		}
	}
	flags := cmd.Flags()
	for name, set := range map[string]func(){
		"resolver":      func() { s.Servers = e.flags.resolvers },
		"dnssec":        func() { s.DNSSEC = e.flags.dnssec },
		"trust-anchor":  func() { s.TrustAnchor = e.flags.trustAnchor },
		"ca-file":       func() { s.CAFile = e.flags.caFile },
		"store":         func() { s.Store = e.flags.store },
		"timeout":       func() { s.Timeout = e.flags.timeout },
		"exceptions":    func() { s.Exceptions = e.flags.exceptions },
		"allow-address": func() { s.Allow = e.flags.allow },
	} {
		if flags.Changed(name) {
			set()
		}
	}
	e.flags.apply(s)
	return nil
}

// A daemonStack is what serve runs on.
type daemonStack struct {
	e       *env
	s       *settings.Settings
	log     *slog.Logger
	stack   *stack
	answers *answers.Answers
	metrics *daemon.Metrics
	reload  func() error
	cancel  context.CancelFunc
	refresh chan struct{} // closed when the refreshing of policies has ended
}

// openDaemon opens store, resolver and engine. A store that cannot be opened is an error:
// what it holds protects mail.
func openDaemon(ctx context.Context, e *env, s *settings.Settings, f *serveFlags, level *slog.LevelVar) (_ *daemonStack, err error) {
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, configError("", "log.level: %w", err)
	}
	d := &daemonStack{e: e, s: s, log: newDaemonLog(e, s, level), metrics: daemon.NewMetrics()}
	if err := d.refuse(f); err != nil {
		return nil, err
	}
	var flags deliveryFlags
	flags.apply(s)
	request, err := flags.request()
	if err != nil {
		return nil, configError("", "%w", err)
	}
	own, err := flags.ownHosts()
	if err != nil {
		return nil, configError("", "%w", err)
	}
	memory, err := flags.memory(s.Store)
	if err != nil {
		return nil, configError("", "%w", err)
	}
	e.storeRequired = true
	if d.stack, err = e.openDelivery(ctx, delivery{own: own, memory: memory}); err != nil {
		if errors.Is(err, bolt.ErrLocked) {
			return nil, configError("another mxauth holds the store; stop it, or use a store on a server (redis://)", "%w", err)
		}
		return nil, err
	}
	d.answers = answers.New(answers.Config{
		Plan:     d.stack.engine.Plan,
		Request:  request,
		Options:  mtapolicy.Options{NoMinTLS: s.MinTLS == "off", HoldTLS: s.Memory == "defer"},
		Patience: s.Patience, MaxEntries: s.KeptReplies, Now: e.now, Logger: d.log, Observe: d.metrics.Observe, Warm: d.metrics.Warm,
	})
	run, cancel := context.WithCancel(context.Background())
	d.cancel, d.refresh = cancel, make(chan struct{})
	if f.check {
		close(d.refresh)
		return d, nil
	}
	go func() {
		defer close(d.refresh)
		if err := d.stack.sts.Run(run); err != nil && run.Err() == nil {
			d.log.Error("kept policies are no longer refreshed", "err", err)
		}
	}()
	return d, nil
}

// refuse finds settings that this daemon must not start with.
func (d *daemonStack) refuse(f *serveFlags) error {
	s := d.s
	for _, l := range s.Listen {
		if l.Door == "socketmap" && !s.AllowDeviation && (s.MXAlias == "refuse" || s.DANEAndSTS == "both") {
			return configError("set serve.allow-deviation = true to start all the same",
				"policy.mx-alias = refuse and policy.dane-and-sts = both cannot be told to Postfix: it uses every host whose TLSA records match")
		}
	}
	files := []string{s.Exceptions}
	if f.config != "" {
		files = append(files, f.config)
	} else if _, err := os.Stat(settings.SystemFile); !errors.Is(err, fs.ErrNotExist) {
		files = append(files, settings.SystemFile)
	}
	for _, name := range files {
		if name == "" {
			continue
		}
		if err := checkOwned(name); err != nil {
			return configError("chmod go-w "+name, "%s: %w", name, err)
		}
	}
	return nil
}

func (d *daemonStack) config() daemon.Config {
	return daemon.Config{Settings: d.s, Answers: d.answers, Metrics: d.metrics, Reload: d.again, Alive: d.alive, Logger: d.log}
}

// again reads what a SIGHUP reads again. The exceptions file is looked at by each plan, so
// dropping the kept plans is all there is to do.
func (d *daemonStack) again() error {
	d.stack.engine.Forget()
	if d.s.Exceptions != "" {
		if _, err := readExceptions(d.s.Exceptions); err != nil {
			return err
		}
	}
	return nil
}

// alive asks a question that is answered here: the lookup path has to let it through.
func (d *daemonStack) alive(ctx context.Context) error {
	name, err := rfc6125.ParseName("localhost")
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = d.stack.dns.resolver.Resolve(ctx, dnssec.Question{Name: name, Type: dnssec.TypeA})
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no lookup ended in time: %w", ctx.Err())
	}
}

// close ends everything in reverse order.
func (d *daemonStack) close() {
	d.answers.Close()
	d.cancel()
	<-d.refresh
	d.stack.close()
}

// newDaemonLog logs to standard error as the settings say.
func newDaemonLog(e *env, s *settings.Settings, level *slog.LevelVar) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(e.out.stderr(), o))
	}
	return slog.New(slog.NewTextHandler(e.out.stderr(), o))
}
