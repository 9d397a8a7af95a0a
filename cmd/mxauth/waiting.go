package main

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// noteAfter is how long an answer must hold up others before a line says so where
// standard error is no terminal.
const noteAfter = 3 * time.Second

// A waitList knows what a run of check or plan is waiting for. The zero waitList is ready.
type waitList struct {
	mu       sync.Mutex // guards what follows
	fetching map[rfc6125.Host]bool
	planned  map[string]bool // by the next hop, whose hosts are connected to
}

// policies notes the policy fetches that are under way.
func (w *waitList) policies() sts.Observer {
	return sts.Observer{
		Fetching: func(d rfc6125.Host) { w.fetch(d, true) },
		Fetched:  func(d rfc6125.Host, _ sts.Row, _ time.Duration, _ error) { w.fetch(d, false) },
	}
}

// plans notes the plans that are ready: their hosts are connected to next.
func (w *waitList) plans() *engine.Trace {
	return &engine.Trace{Planned: func(p *engine.Plan, _ bool, _ time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.planned == nil {
			w.planned = map[string]bool{}
		}
		w.planned[p.Request.NextHop] = true
	}}
}

// done notes that the answer for a next hop is there.
func (w *waitList) done(nextHop string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.planned, nextHop)
}

func (w *waitList) fetch(d rfc6125.Host, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fetching == nil {
		w.fetching = map[rfc6125.Host]bool{}
	}
	if on {
		w.fetching[d] = true
	} else {
		delete(w.fetching, d)
	}
}

// what says what the answer for a domain waits for; nextHop is the smarthost, if there is
// one.
func (w *waitList) what(asked, nextHop string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.planned[cmp.Or(nextHop, asked)] {
		return "the mail hosts of " + asked
	}
	h, err := rfc6125.ParseHost(cmp.Or(nextHop, asked))
	if err == nil && w.fetching[h] {
		return fmt.Sprintf("the MTA-STS policy of %s, from mta-sts.%s", asked, h)
	}
	return "the DNS records of " + asked
}

// waiting prints what the next answer waits for while it delays the ones after it.
func (r *checkRun) waiting(a argument, since time.Duration) {
	what := r.waits.what(a.text, r.flags.smarthost)
	switch {
	case r.alone:
		r.e.out.Progressf("waiting for %s", what)
	case r.e.out.errTerm:
		r.e.out.Progressf("%d checked, waiting for %s", r.count, what)
	case since >= noteAfter && since < noteAfter+waitingEvery:
		r.e.out.Notef("waiting for %s; answers stay in the order asked", what)
	}
}
