package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/advise/forecast"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/engine/explain"
)

// newForecast makes the verb forecast.
func newForecast(e *env) *cobra.Command {
	var (
		cert   string
		ttl    time.Duration
		asICal bool
	)
	cmd := &cobra.Command{
		Use:   "forecast DOMAIN",
		Short: "Say what will break in the authentication of a domain's mail, and when",
		Long: `Forecast checks a domain as senders do and says when its certificates and DNSSEC
signatures expire and senders forget its policy, and how that affects mail:

  broken   mail is delayed or refused
  weaker   mail is delivered, but with less protection
  notice   no effect on mail

With --cert it says when a server may switch to that certificate (or key), given the
TLSA records. With --ical it prints a calendar with a reminder a week before each event.

The exit status is 0 if nothing of this has happened yet, 1 if mail is less protected
already, 2 if mail is delayed or refused already, 3 if a lookup fails, so that the result
is incomplete; with --ical it is 0. The plan of --cert does not affect it. 64: bad usage, 69: nothing could
be looked up through a fault on this side, 78: bad configuration.`,
		Example: `  mxauth forecast example.org
  mxauth forecast --cert next.pem --ttl 1h example.org
  mxauth forecast --ical example.org > mail.ics`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asICal && e.flags.json {
				return usageError("--ical and --json exclude each other")
			}
			if err := cmp.Or(fileTyped(args[0]), checkDomain(args[0])); err != nil {
				return usageError("%w", err)
			}
			e.policyHostNote("mxauth forecast", args[0])
			if err := checkTTL(ttl); err != nil {
				return err
			}
			if ttl > 0 && cert == "" {
				return usageError("--ttl counts with --cert alone")
			}
			o := forecast.Options{TTL: ttl}
			if cert != "" {
				var err error
				if o.Next, err = e.readMaterial(cert); err != nil {
					return configError("", "--cert: %w", err)
				}
			}
			c, config, err := e.openSurvey(cmd.Context())
			if err != nil {
				return err
			}
			defer c.close()
			snap, err := survey.Collect(cmd.Context(), config, args[0])
			if err != nil {
				return err
			}
			events := forecast.Forecast(snap, o)
			told := func(ev forecast.Event) bool {
				return ev.ID == forecast.SignaturesEnded || ev.ID == forecast.LookupFails
			}
			if len(snap.Plan.Hosts) == 0 && !slices.ContainsFunc(events, told) {
				e.out.Notef("there is no mail host to check: %s", explain.Text(snap.Plan.MX.Reason))
			}
			if err := e.printForecast(args[0], events, snap.At, asICal); err != nil {
				return err
			}
			if asICal {
				return nil
			}
			code := forecastExit(events, snap.At)
			c.faults.complain(e.out)
			return exitWith(c.faults.status(code))
		},
	}
	f := cmd.Flags()
	f.StringVar(&cert, "cert", "", "certificate or key `FILE` that the hosts will show")
	f.DurationVar(&ttl, "ttl", 0, "with --cert: the `TTL` of the TLSA records in their zone, such as 1h (default: as received)")
	f.BoolVar(&asICal, "ical", false, "print a calendar (iCalendar, RFC 5545)")
	return cmd
}

// forecastExit is the exit status that what has happened already asks for.
func forecastExit(events []forecast.Event, now time.Time) int {
	code := 0
	for _, ev := range events {
		switch {
		case ev.When.After(now), ev.ID == forecast.SwitchPublish, ev.ID == forecast.SwitchUnfit:
		case ev.ID == forecast.LookupFails:
			code = worse(code, exitDeferred)
		case ev.Effect == forecast.Broken:
			code = worse(code, exitRefused)
		case ev.Effect == forecast.Weaker:
			code = worse(code, exitDeliverable)
		}
	}
	return code
}

func (e *env) printForecast(domain string, events []forecast.Event, now time.Time, asICal bool) error {
	switch {
	case asICal:
		return forecast.WriteCalendar(e.out.stdout(), domain, events, now)
	case e.flags.json:
		e.printJSON(struct {
			V      int              `json:"v"`
			Domain string           `json:"domain"`
			At     time.Time        `json:"at"`
			Events []forecast.Event `json:"events"`
		}{1, domain, now.UTC().Truncate(time.Second), events})
		return nil
	}
	if len(events) == 0 {
		e.out.Linef("%s: nothing expires", domain)
		return nil
	}
	e.out.Linef("%s: what expires, the soonest first (times are UTC)", paint(strong, domain))
	for _, p := range together(events, func(ev forecast.Event) (host, words string) {
		if len(ev.Publish)+len(ev.Steps) > 0 {
			return "", "" // each host has lines of its own
		}
		return ev.Host, strings.Join([]string{string(ev.ID), ev.When.String(), ev.Effect.String(), ev.Text, ev.Do}, "\n")
	}) {
		ev := p.said
		e.out.Linef("")
		e.out.Linef("%s, %s: %s", ev.When.Format("2006-01-02 15:04"), away(now, ev.When), paint(effectStyle(ev.Effect), ev.Effect.String()))
		block(e.out, 2, "", ev.Text)
		e.also(p.also)
		block(e.out, 2, pad("do"), ev.Do)
		e.paste("publish", "in DNS:", ev.Publish)
		e.printSteps(ev.Steps)
		block(e.out, 2, pad("see"), fmt.Sprintf("%s, RFC %s", ev.ID, ev.RFC))
	}
	return nil
}

// away says how far a time is from now, in whole days or hours.
func away(now, when time.Time) string {
	const day = 24 * time.Hour
	switch d := when.Sub(now.Truncate(time.Second)); {
	case d >= day:
		return "in " + counted(int(d/day), "day")
	case d > 0:
		return "in " + counted(int((d+time.Hour-1)/time.Hour), "hour")
	case d > -time.Hour:
		return "now"
	case d > -day:
		return counted(int(-d/time.Hour), "hour") + " ago"
	default:
		return counted(int(-d/day), "day") + " ago"
	}
}

// effectStyle is how an effect is painted.
func effectStyle(e forecast.Effect) style {
	switch e {
	case forecast.Broken:
		return bad
	case forecast.Weaker:
		return fair
	}
	return plain
}
