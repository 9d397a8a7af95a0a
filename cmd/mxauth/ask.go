package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/engine/reason"
)

// mapExim is the map of ask for the questions of Exim.
const mapExim = "exim"

// askMaps are the maps of ask, and the form of the reply of each.
var askMaps = map[string]mtapolicy.Form{
	"QUERY": mtapolicy.Plain, "QUERYwithTLSRPT": mtapolicy.Extended, "sts": mtapolicy.Sendmail, mapExim: mtapolicy.PerHost,
}

// newAsk makes the verb ask.
func newAsk(e *env) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "ask KEY",
		Short: "Say what a mail server would be told now, and why",
		Long: `Ask puts the question of a mail server to the daemon and shows the answer, where it came
from, how old it is, until when it holds, and the plan it comes from. KEY is a next hop as
Postfix writes it: example.org, example.org:25, [mx.example.org]:587, [192.0.2.1].

--map names the map that is asked: QUERY (Postfix), QUERYwithTLSRPT (Postfix 3.10 and
later), sts (sendmail) or exim. Exim asks for each host: --host names it.

The daemon is asked at its control socket (serve.control of the configuration, or
--control PATH). Where none runs, ask makes the plan itself.

The exit status is 0 for an answer, 3 for "try later", 64 for bad usage, 78 if the
configuration cannot be used.`,
		Example: `  mxauth ask example.org
  mxauth ask --map QUERYwithTLSRPT --json example.org`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runAsk(cmd, e, &f, args[0]) },
	}
	cmd.Flags().StringVar(&f.table, "map", "QUERY", "`NAME` of the map: QUERY, QUERYwithTLSRPT, sts or exim")
	cmd.Flags().StringVar(&f.host, "host", "", "mail `HOST` that Exim asks about; with --map exim")
	e.addDaemonFlags(cmd)
	return cmd
}

type askFlags struct{ table, host string }

// form is the form of the reply that --map asks for.
func (f *askFlags) form() (mtapolicy.Form, error) {
	for name, form := range askMaps {
		if strings.EqualFold(name, f.table) {
			f.table = name
			if f.host != "" && form != mtapolicy.PerHost {
				return 0, usageError("--host counts with --map exim alone")
			}
			return form, nil
		}
	}
	return 0, notWord("map", f.table, "QUERY", "QUERYwithTLSRPT", "sts", mapExim)
}

// An askRow is the answer to ask.
type askRow struct {
	V          int                   `json:"v"`
	Key        string                `json:"key"` // as asked
	Map        string                `json:"map"`
	Reply      string                `json:"reply"` // as it is sent
	Kind       mtapolicy.Kind        `json:"kind"`
	Row        mtapolicy.Row         `json:"row"`
	ReasonID   reason.ID             `json:"reason_id,omitempty"`
	Would      mtapolicy.Row         `json:"would,omitempty"` // the row without audit mode
	Deviations []mtapolicy.Deviation `json:"deviations,omitempty"`
	Source     string                `json:"source"`          // kept, looked-up, late, busy or no-daemon
	Made       *time.Time            `json:"made,omitempty"`  // of an answer that is kept
	Until      *time.Time            `json:"until,omitempty"` // how long it holds
	Age        float64               `json:"age_seconds,omitempty"`
	Took       float64               `json:"took_ms"`
	Plan       *planRow              `json:"plan,omitempty"`
	PlanError  string                `json:"plan_error,omitempty"`
}

// askRowOf makes the row of an event.
func askRowOf(e *answers.Event, table string, now time.Time) askRow {
	r := askRow{V: 1, Key: e.Key, Map: table, Reply: wireReply(e.Form, &e.Reply), Kind: e.Reply.Kind, Row: e.Reply.Row, ReasonID: e.Reply.Reason,
		Would: e.Reply.Would, Deviations: e.Reply.Deviations, Took: float64(e.Took) / float64(time.Millisecond), Source: "looked-up"}
	switch {
	case e.Warm:
		r.Source = "kept"
	case e.Late:
		r.Source = "late"
	case e.Busy:
		r.Source = "busy"
	}
	if !e.Until.IsZero() {
		made, until := e.Made.UTC(), e.Until.UTC()
		r.Made, r.Until, r.Age = &made, &until, max(now.Sub(e.Made), 0).Seconds()
	}
	return r
}

// wireReply is a reply as the mail server reads it.
func wireReply(form mtapolicy.Form, r *mtapolicy.Reply) string {
	switch {
	case form == mtapolicy.PerHost:
		return r.Text
	case r.Kind == mtapolicy.Found:
		return "OK " + r.Text
	case r.Kind == mtapolicy.NotFound:
		return "NOTFOUND "
	}
	return "TEMP " + r.Text
}

// planOf makes the plan that the answer comes from for a key; a key that is no next hop has none.
func planOf(ctx context.Context, plan func(context.Context, engine.Request) (*engine.Plan, error), r engine.Request, key string) (*planRow, error) {
	k, err := mtapolicy.ParseKey(key)
	if err != nil {
		return nil, err
	}
	r.NextHop, r.Port = k.NextHop, k.Port
	p, err := plan(ctx, r)
	if err != nil {
		return nil, err
	}
	row := (&verdict{Verdict: mxauth.Verdict{Plan: p}, asked: key}).planRow().(planRow)
	return &row, nil
}

// addPlan puts the plan into the row.
func (r *askRow) addPlan(p *planRow, err error) {
	if r.Plan = p; err != nil {
		r.PlanError = errorText(err)
	}
}

// serveAsk answers ask in the daemon.
func (d *service) serveAsk(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	f := askFlags{table: q.Get("map"), host: q.Get("host")}
	form, err := f.form()
	if err != nil {
		refuseRequest(w, fmt.Errorf("%w: %w", errBadRequest, err))
		return
	}
	key := q.Get("key")
	r := askAnswers(req.Context(), d.answers, &f, form, key, d.e.now)
	if r.Source != "late" && r.Source != "busy" {
		r.addPlan(planOf(req.Context(), d.plan, d.request, key))
	}
	respond(w, r)
}

func askAnswers(ctx context.Context, a *answers.Answers, f *askFlags, form mtapolicy.Form, key string, now func() time.Time) askRow {
	var ev answers.Event
	if form == mtapolicy.PerHost {
		ev = a.AskHost(ctx, key, f.host)
	} else {
		ev = a.Ask(ctx, form, key)
	}
	return askRowOf(&ev, f.table, now())
}

// runAsk carries out ask.
func runAsk(cmd *cobra.Command, e *env, f *askFlags, key string) error {
	a, err := e.newAsker(cmd.Context(), *f)
	if err != nil {
		return err
	}
	defer a.close()
	row, err := a.row(cmd.Context(), key)
	if err != nil {
		return err
	}
	if a.faults != nil {
		a.faults.complain(e.out)
	}
	if e.flags.json {
		e.printJSON(row)
	} else {
		e.printAsk(&row)
	}
	if row.Kind == mtapolicy.TryLater {
		return exitWith(a.faults.status(exitDeferred))
	}
	return nil
}

// openAs opens a client as settings say.
func (e *env) openAs(ctx context.Context, s *settings.Settings) (*client, engine.Request, error) {
	var flags deliveryFlags
	flags.apply(s)
	request, err := flags.request()
	if err != nil {
		return nil, request, err
	}
	var config mxauth.Config
	if err := flags.configure(&config, s.Store); err != nil {
		return nil, request, err
	}
	c, err := e.open(ctx, storeFills, config)
	return c, request, err
}

// sourceWords say where an answer came from.
var sourceWords = map[string]string{
	"kept": "kept by the daemon", "looked-up": "looked up by the daemon now", "late": "not looked up in time; the daemon goes on",
	"busy": "not looked up: the daemon has too much to do", "no-daemon": "looked up here; no daemon was asked",
}

// printAsk prints an answer for people.
func (e *env) printAsk(r *askRow) {
	style := good
	if r.Kind == mtapolicy.TryLater {
		style = bad
	}
	e.out.Linef("%s: %s", paint(strong, r.Key), paint(style, r.Reply))
	source := sourceWords[r.Source]
	if source == "" {
		source = r.Source
	}
	if r.Until != nil {
		source += fmt.Sprintf(", %s old, holds until %s", time.Duration(r.Age*float64(time.Second)).Round(time.Second), r.Until.Format(time.RFC3339))
	}
	row := "row " + string(r.Row)
	if r.Would != "" {
		row += " (" + string(r.Would) + " without audit mode)"
	}
	e.out.Linef("  %s; %s", source, row)
	for _, weaker := range []bool{true, false} {
		word := "stricter"
		if weaker {
			word = "weaker"
		}
		for _, d := range r.Deviations {
			if d.Weaker != weaker {
				continue
			}
			about := ""
			if d.Host != "" {
				about = " (" + d.Host + ")"
			}
			e.out.Linef("  %s than the plan: %s%s", word, d.ID, about)
		}
	}
	switch {
	case r.PlanError != "":
		e.out.Linef("  no plan: %s", r.PlanError)
	case r.Plan != nil:
		e.printPlanRow(r.Plan)
	}
}

// printPlanRow prints a plan that came as JSON.
func (e *env) printPlanRow(p *planRow) {
	if p.Reason != "" {
		e.out.Linef("  %s", p.Reason)
	}
	for _, h := range p.Hosts {
		word := h.Requirement
		if h.Outcome != engine.OutcomeNone.String() {
			word += ", " + h.Outcome
		}
		e.out.Linef("  %s (preference %d): %s", paint(strong, h.Host), h.Preference, paint(strong, word))
		if h.Reason != "" {
			block(e.out, 4, pad("why"), h.Reason)
		}
		for _, f := range []struct {
			label string
			list  []string
		}{{"dane names", h.DANENames}, {"sts names", h.STSNames}, {"pkix names", h.PKIXNames}} {
			if len(f.list) > 0 {
				block(e.out, 4, pad(f.label), strings.Join(f.list, ", "))
			}
		}
	}
	if p.STS.Mode != "" {
		e.out.Linef("  MTA-STS policy: mode %s, id %s, mx %s", p.STS.Mode, p.STS.ID, strings.Join(p.STS.MX, ", "))
	}
}

// errNoDaemon: no daemon runs where the configuration says.
var errNoDaemon = errors.New("no mxauth serve answers at the control socket")

// replyOptions are those of replies.
func replyOptions(s *settings.Settings) mtapolicy.Options {
	return mtapolicy.Options{NoMinTLS: s.MinTLS == "off", HoldTLS: s.Memory == "defer"}
}
