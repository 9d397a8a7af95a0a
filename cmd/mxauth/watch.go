package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine/explain"
)

// A watcher prints what changes from one round of checks to the next.
type watcher struct {
	e    *env
	last map[string]sighting // by domain as asked
}

// A sighting is what one round saw of a domain.
type sighting struct {
	state string // differs if the answer for the domain does
	hosts map[string]hostSighting
}

// A hostSighting is what one round saw of a mail host.
type hostSighting struct{ state, outcome string }

// runWatch carries out check --watch: a round of checks, each with a resolver cache of its
// own, after each interval until ctx is done. The exit status is that of the last whole
// round. An error of the first round ends it, one of a later round is printed.
func runWatch(ctx context.Context, e *env, d *deliveryFlags, args []string) error {
	w := &watcher{e: e, last: map[string]sighting{}}
	tick := e.tick
	if tick == nil {
		tick = time.After
	}
	code, first := 0, true
	for {
		round := *d
		found, err := w.round(ctx, &round, args)
		switch {
		case ctx.Err() != nil:
			return &exitError{code: code, err: errStopped}
		case err == nil:
			code = found
		case first || e.out.flushed() != nil:
			return err
		default:
			e.out.Errorf("%s", errorText(err))
		}
		first = false
		select {
		case <-ctx.Done():
			return &exitError{code: code, err: errStopped}
		case <-tick(d.monitor.watch):
		}
	}
}

// round checks each domain once and returns the exit status of the round.
func (w *watcher) round(ctx context.Context, d *deliveryFlags, args []string) (int, error) {
	d.apply(w.e.set)
	r, err := newCheckRun(w.e, d, args, checkVerb)
	if err != nil {
		return 0, err
	}
	if err := r.open(ctx); err != nil {
		return 0, err
	}
	defer r.close()
	err = inOrder(ctx, w.e.flags.concurrency, argumentsOf(r.args, nil), r.work, func(v *verdict) error {
		if r.alone && v.err != nil {
			return usageError("%w", v.err)
		}
		r.rate(v)
		w.see(v)
		return w.e.out.flushed()
	}, nil)
	r.code = r.client.faults.status(r.code)
	return r.code, err
}

// see prints a verdict if it differs from that of the round before.
func (w *watcher) see(v *verdict) {
	now := sightingOf(v)
	before, known := w.last[v.asked]
	w.last[v.asked] = now
	if known && before.same(now) {
		return
	}
	if w.e.flags.json {
		w.e.printJSON(v.row())
		return
	}
	w.e.out.Linef("%s %s: %s", w.e.now().UTC().Format(time.RFC3339), paint(strong, v.asked), paint(outcomeStyle(v.Summary.Outcome), v.short()))
	if !known || v.err != nil {
		return
	}
	for i, h := range v.Plan.Hosts {
		name := h.String()
		host, old := now.hosts[name], before.hosts[name]
		if host == old {
			continue
		}
		was := "new"
		if old.outcome != "" {
			was = "was " + old.outcome
		}
		text := firstSentence(explain.Text(v.Hosts[i].Decision.Reason))
		if text != "" {
			text = ": " + text
		}
		w.e.out.Linef("  %s (preference %d): %s (%s)%s", name, h.Preference, paint(outcomeStyle(v.Hosts[i].Decision.Outcome), host.outcome), was, text)
	}
	for name := range before.hosts {
		if _, there := now.hosts[name]; !there {
			w.e.out.Linef("  %s: no longer a mail host", name)
		}
	}
}

// sightingOf returns what counts as a change: outcomes, methods, reasons and hosts, and no
// times or counts of seconds.
func sightingOf(v *verdict) sighting {
	if v.err != nil {
		return sighting{state: v.err.Error()}
	}
	s := sighting{state: fmt.Sprint(v.headline(), v.count(), v.Summary.Reason.ID), hosts: map[string]hostSighting{}}
	for i, h := range v.Plan.Hosts {
		d := v.Hosts[i].Decision
		outcome := d.Outcome.String()
		if d.Method != "" {
			outcome += " by " + string(d.Method)
		}
		s.hosts[h.String()] = hostSighting{fmt.Sprint(h.Preference, d.Reason.ID, h.Requirement, strings.Join(d.Presented, " ")), outcome}
	}
	return s
}

func (s sighting) same(t sighting) bool {
	if s.state != t.state || len(s.hosts) != len(t.hosts) {
		return false
	}
	for name, h := range s.hosts {
		if t.hosts[name] != h {
			return false
		}
	}
	return true
}

// stopped reports whether a verb was told to stop and has, with its exit status.
func stopped(err error) (code int, ok bool) {
	if !errors.Is(err, errStopped) {
		return 0, false
	}
	var x *exitError
	if errors.As(err, &x) {
		code = x.code
	}
	return code, true
}
