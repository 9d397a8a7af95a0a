package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/advise/forecast"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
)

func newTLSANext(e *env) *cobra.Command {
	var f tlsaCheckFlags
	cmd := &cobra.Command{
		Use:   "next DOMAIN|HOST:PORT",
		Short: "Plan a change of key or certificate, with dates",
		Long: `Next looks at the TLSA records and certificates of the mail hosts of a domain (or of one
host, given with its port) and prints the steps of a key change with their dates: when to
publish the record of the next key, when the server may show it, when the old record may
go. The dates come from the TTL of the records and the end of the certificate.

With --cert FILE (a certificate with its chain, or a key) the plan leads to that one.
Without, it says how renewals by an ACME client go, with the same key and with a new one.

The exit status is 0 if there is a plan, 1 if no TLSA record has a say, 2 if mail is
refused now or the planned certificate would fail whatever is done in DNS, 3 if a lookup
fails or a host does not answer; over several hosts the highest. 64: bad usage.`,
		Example: `  mxauth tlsa next example.org
  mxauth tlsa next example.org --cert next.key --since 2026-03-01T12:00:00Z`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runTLSANext(cmd.Context(), e, &f, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.cert, "cert", "", "`FILE` with the certificate, and its chain, or the key that is to come next")
	fl.StringVar(&f.since, "since", "", "`TIME` since when the records are published as they are: 2026-03-01T12:00:00Z, or how long ago: 36h")
	fl.DurationVar(&f.ttl, "ttl", 0, "`TTL` of the records in their zone, such as 1h (default: that of their signature)")
	fl.BoolVar(&f.noConnect, "no-connect", false, "use DNS alone, connect to no host")
	return cmd
}

func runTLSANext(ctx context.Context, e *env, f *tlsaCheckFlags, arg string) error {
	since, err := f.published(e.now())
	if err != nil {
		return err
	}
	if err := checkTTL(f.ttl); err != nil {
		return err
	}
	next := arg
	if strings.Contains(arg, ":") && !strings.HasPrefix(arg, "[") {
		if next, err = bracketed(arg, dane.DefaultPort); err != nil {
			return usageError("%.200q: %w", arg, err)
		}
	}
	if err := checkNextHop(next); err != nil {
		if isFile(arg) {
			return &exitError{code: exitUsage, err: fmt.Errorf("%.200q is no domain", arg), hint: "give the file with --cert: mxauth tlsa next DOMAIN --cert " + arg}
		}
		return usageError("%w", err)
	}
	o := forecast.Options{TTL: f.ttl, Published: since}
	if f.cert != "" {
		if o.Next, err = e.readMaterial(f.cert); err != nil {
			return err
		}
	}
	c, config, err := e.openSurvey(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	config.Dial, config.NoConnect = nil, f.noConnect
	snap, err := survey.Collect(ctx, config, next)
	switch {
	case errors.Is(err, engine.ErrRequest):
		return usageError("%w", err)
	case err != nil:
		return err
	}
	defer c.faults.complain(e.out)
	if p := snap.Plan; p.MX.Outcome != engine.OutcomeNone {
		if e.flags.json {
			e.printJSON(errorRow{rowVersion, arg, explain.Text(p.MX.Reason)})
		} else {
			e.out.Linef("%s: %s", paint(strong, arg), explain.Text(p.MX.Reason))
		}
		if p.MX.Outcome == engine.Deferred {
			return exitWith(c.faults.status(exitDeferred))
		}
		return exitWith(exitRefused)
	}
	code := 0
	for i, p := range forecast.KeyPlans(snap, o) {
		code = worse(code, keyPlanExit(p))
		if e.flags.json {
			e.printJSON(struct {
				V      int    `json:"v"`
				Domain string `json:"domain"`
				forecast.KeyPlan
			}{rowVersion, arg, p})
			continue
		}
		if i > 0 {
			e.out.Linef("")
		}
		e.printKeyPlan(p, snap.At)
	}
	if err := e.out.flushed(); err != nil {
		return err
	}
	return exitWith(c.faults.status(code))
}

// keyPlanExit is the exit status that the plan of a host asks for.
func keyPlanExit(p forecast.KeyPlan) int {
	switch {
	case p.Failed:
		return exitDeferred
	case p.Effect == forecast.Broken:
		return exitRefused
	case p.Effect == forecast.Weaker:
		return exitDeliverable
	}
	return 0
}

// printKeyPlan prints the plan of one host for people. Times are UTC.
func (e *env) printKeyPlan(p forecast.KeyPlan, now time.Time) {
	mark := map[forecast.Effect]style{forecast.Notice: good, forecast.Weaker: fair, forecast.Broken: bad}[p.Effect]
	e.out.Linef("%s", paint(mark, p.Host))
	block(e.out, 2, "", p.Text)
	for _, n := range p.Notes {
		block(e.out, 2, pad("note"), n)
	}
	for _, w := range p.Ways {
		e.out.Linef("")
		block(e.out, 2, "", w.Text)
		for i, s := range w.Steps {
			when := "now"
			if s.When.After(now) {
				in := away(now, s.When)
				if d := s.When.Sub(now); d <= time.Hour {
					in = "in " + counted(int((d+time.Minute-1)/time.Minute), "minute")
				}
				when = "from " + s.When.Format("2006-01-02 15:04") + " UTC (" + in + ")"
			}
			if s.Before != nil {
				when += ", before " + s.Before.Format("2006-01-02 15:04") + " UTC"
			}
			block(e.out, 2, pad(fmt.Sprintf("step %d", i+1)), when+": "+s.Text)
			where := "in DNS, in addition to the present TLSA records:"
			if w.ID == "begin" {
				where = "in DNS:"
			}
			e.paste("publish", where, s.Publish)
			e.paste("remove", "in DNS:", s.Remove)
		}
	}
}
