package main

import (
	"context"
	"net/url"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// An asker says what mail servers would be told: by the running daemon, or, where none runs,
// by itself. Close it after use.
type asker struct {
	row    func(ctx context.Context, key string) (askRow, error)
	close  func()
	faults *resolverFaults // nil where the daemon asks
}

// newAsker opens what answers questions of one map.
func (e *env) newAsker(ctx context.Context, f askFlags) (*asker, error) {
	form, err := f.form()
	if err != nil {
		return nil, err
	}
	s, d, err := e.daemon()
	if err != nil {
		return nil, err
	}
	if d != nil {
		return &asker{close: func() {}, row: func(ctx context.Context, key string) (row askRow, err error) {
			q := url.Values{"key": {key}, "map": {f.table}, "host": {f.host}}
			return row, d.get(ctx, "/v1/ask?"+q.Encode(), &row)
		}}, nil
	}
	c, request, err := e.openAs(ctx, s)
	if err != nil {
		return nil, err
	}
	a := answers.New(answers.Config{Plan: c.Plan, Request: request, Options: replyOptions(s), Patience: s.Patience, Now: e.now})
	return &asker{faults: c.faults, close: func() { a.Close(); c.close() }, row: func(ctx context.Context, key string) (askRow, error) {
		row := askAnswers(ctx, a, &f, form, key, e.now)
		row.Source = "no-daemon"
		row.addPlan(planOf(ctx, c.Plan, request, key))
		return row, nil
	}}, nil
}

// settled is row for a comparison: an answer that did not come in time is asked for once more,
// since the lookup has gone on meanwhile.
func (a *asker) settled(ctx context.Context, key string) (askRow, error) {
	row, err := a.row(ctx, key)
	if err == nil && (row.Source == "late" || row.Source == "busy") {
		return a.row(ctx, key)
	}
	return row, err
}

// maxWhyHosts is how many hosts a reason in one line names.
const maxWhyHosts = 3

// why is the reason of an answer in one line.
func (r *askRow) why() string {
	switch {
	case r.Kind == mtapolicy.TryLater:
		return r.Reply[len("TEMP "):]
	case r.Row == mtapolicy.P1:
		return "this is no domain and no host"
	case r.PlanError != "":
		return r.PlanError
	case r.Plan == nil:
		return ""
	case r.Plan.Reason != "":
		return r.Plan.Reason
	}
	text, n := "", 0
	for _, h := range r.Plan.Hosts {
		if h.Reason == "" {
			continue
		}
		if n++; n > maxWhyHosts {
			return text + "; and so on"
		}
		if text != "" {
			text += "; "
		}
		text += h.Host + ": " + h.Reason
	}
	return text
}
