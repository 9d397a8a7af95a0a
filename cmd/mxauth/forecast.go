package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/forecast"
	"github.com/mxauth/mxauth/engine/survey"
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
		Long: `Forecast looks at a domain as senders do and says when its certificates and DNSSEC
signatures end and its policy is forgotten, and what that does to mail. With --cert it
says when a server may switch to that certificate (or key), given the TLSA records.`,
		Example: `  mxauth forecast example.org
  mxauth forecast --cert next.pem --ttl 1h example.org
  mxauth forecast --ical example.org > mail.ics`,
		Args: positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asICal && e.flags.json {
				return usageError("--ical and --json exclude each other")
			}
			if err := checkNextHop(args[0]); err != nil {
				return usageError("%w", err)
			}
			o := forecast.Options{TTL: ttl}
			if cert != "" {
				b, err := os.ReadFile(cert)
				if err != nil {
					return configError("", "--cert: %w", err)
				}
				if o.Next, err = dane.ReadMaterial(cert, b); err != nil {
					return configError("", "--cert: %w", err)
				}
			}
			s, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			snap, err := survey.Collect(cmd.Context(), survey.Config{Engine: s.engine, Prober: s.prober, Resolver: s.dns.resolver, Roots: s.roots, Now: e.now}, args[0])
			if err != nil {
				return err
			}
			return e.printForecast(args[0], forecast.Forecast(snap, o), snap.At, asICal)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cert, "cert", "", "certificate or key `FILE` that the hosts will show")
	f.DurationVar(&ttl, "ttl", 0, "TTL of the TLSA records in their zone; 0: as received")
	f.BoolVar(&asICal, "ical", false, "print iCalendar")
	return cmd
}

func (e *env) printForecast(domain string, events []forecast.Event, now time.Time, asICal bool) error {
	switch {
	case asICal:
		return forecast.WriteCalendar(e.out.stdout(), domain, events, now)
	case e.flags.json:
		b, err := json.Marshal(struct {
			V      int              `json:"v"`
			Domain string           `json:"domain"`
			At     time.Time        `json:"at"`
			Events []forecast.Event `json:"events"`
		}{1, domain, now.UTC().Truncate(time.Second), events})
		if err != nil {
			return err
		}
		e.out.Raw(append(b, '\n'))
		return nil
	}
	if len(events) == 0 {
		e.out.Linef("%s: nothing that ends by itself", domain)
		return nil
	}
	for i, ev := range events {
		if i > 0 {
			e.out.Linef("")
		}
		block(e.out, 0, fmt.Sprintf("%s  %-7s ", ev.When.Format("2006-01-02 15:04"), ev.Effect), ev.Text)
		block(e.out, 2, pad("do"), ev.Do)
		for _, l := range ev.Publish {
			e.out.Linef("    %s", l)
		}
		block(e.out, 2, pad("see"), fmt.Sprintf("%s, RFC %s", ev.ID, ev.RFC))
	}
	return nil
}
