package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/forecast"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/engine"
)

// The statuses of check --nagios, which are those of the Nagios plugin API.
const (
	nagiosOK       = 0
	nagiosWarning  = 1
	nagiosCritical = 2
	nagiosUnknown  = 3
)

var nagiosWords = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// Days before an end at which --nagios warns, unless flags give others. Certificates with a
// life of 90 days are usually renewed 30 days before their end.
const (
	defaultWarnDays = 14
	defaultCritDays = 3
)

// A nagiosResult is what one line of a Nagios plugin says.
type nagiosResult struct {
	status               int
	text                 string
	hosts, authenticated int
	cert, policy         float64 // days; NaN: nothing ends
}

// runNagios carries out check --nagios. Every error but one of writing becomes the line
// UNKNOWN (see nagiosFailed).
func runNagios(ctx context.Context, e *env, d *deliveryFlags, args []string) error {
	d.apply(e.set)
	r, err := newCheckRun(e, d, args, checkVerb)
	if err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.close()
	v, err := r.work(ctx, argument{text: r.args[0]})
	switch {
	case err != nil:
		return err
	case v.err != nil:
		return usageError("%w", v.err)
	}
	r.collector.hand(v)
	if r.exit(v) == exitDeferred && r.client.faults.nothing() {
		return &exitError{code: exitUnavailable, err: errors.New(v.asked + ": " + v.short())}
	}
	res := nagiosOf(v, d.monitor.strict, d.monitor.warnDays, d.monitor.critDays, e.now())
	e.out.Linef("%s", res.line(d.monitor.warnDays, d.monitor.critDays))
	if err := e.out.flushed(); err != nil {
		return err
	}
	return exitWith(res.status)
}

// nagiosOf judges a verdict at a time. An end of a certificate counts where it would stop or
// weaken mail; the end of a policy counts where it could not be fetched, since each fetch
// moves it.
func nagiosOf(v *verdict, strict bool, warn, crit int, now time.Time) nagiosResult {
	r := nagiosResult{text: v.asked + ": " + v.short(), hosts: len(v.Hosts), cert: math.NaN(), policy: math.NaN()}
	for _, h := range v.Hosts {
		if h.Decision.Outcome == engine.Authenticated {
			r.authenticated++
		}
	}
	switch v.exit() {
	case exitAuthenticated:
	case exitDeliverable:
		r.status = nagiosWarning
	default:
		r.status = nagiosCritical
	}
	if text := v.overtaken(); strict && text != "" {
		r.status = max(r.status, nagiosWarning)
		r.text += "; " + text
	}
	for _, ev := range ends(v.Verdict, now) {
		days := math.Floor(ev.When.Sub(now).Hours() / 24)
		counts := ev.Effect != forecast.Notice
		switch {
		case ev.ID == forecast.Policy:
			r.policy, counts = days, v.Plan.STS.FetchErr != nil
		case !counts:
			continue
		case math.IsNaN(r.cert):
			r.cert = days
		}
		status := nagiosOK
		switch {
		case !counts:
		case days < float64(crit):
			status = nagiosCritical
		case days < float64(warn):
			status = nagiosWarning
		}
		if status != nagiosOK {
			r.status = max(r.status, status)
			r.text += "; " + away(now, ev.When) + ": " + ev.Text
		}
	}
	return r
}

// ends lists the certificates and the policy that end, the soonest first.
func ends(v mxauth.Verdict, now time.Time) (out []forecast.Event) {
	s := survey.Snapshot{Plan: v.Plan, Hosts: make([]survey.HostView, len(v.Hosts)), At: now}
	for i, h := range v.Hosts {
		s.Hosts[i].Probe = h
	}
	for _, ev := range forecast.Forecast(s, forecast.Options{}) {
		switch ev.ID {
		case forecast.HostCertificate, forecast.ChainCertificate, forecast.PolicyCertificate, forecast.Policy:
			out = append(out, ev)
		}
	}
	return out
}

// line is the line with its performance data.
func (r nagiosResult) line(warn, crit int) string {
	days := func(n float64) string {
		if math.IsNaN(n) {
			return "U"
		}
		return fmt.Sprint(int(n))
	}
	return fmt.Sprintf("MXAUTH %s - %s | hosts=%d;;;0 authenticated=%d;;;0;%d cert_days=%s;%d:;%d: policy_days=%s",
		nagiosWords[r.status], nagiosText(r.text), r.hosts, r.authenticated, r.hosts, days(r.cert), warn, crit, days(r.policy))
}

// nagiosText makes a text fit for the line: "|" begins the performance data.
func nagiosText(s string) string { return strings.NewReplacer("|", "/", "\n", " ").Replace(s) }

// asksNagios reports whether the command line has the flag --nagios.
func asksNagios(cmd *cobra.Command) bool {
	f := cmd.Flags().Lookup("nagios")
	return f != nil && f.Value.String() == "true"
}

// nagiosFailed prints that a check came to no answer, and returns the status of that.
func (e *env) nagiosFailed(err error) int {
	e.out.Linef("MXAUTH UNKNOWN - %s", nagiosText(errorText(err)))
	return nagiosUnknown
}
