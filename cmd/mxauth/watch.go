package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/explain"
)

// A watcher is a resolver that remembers which lookups failed by the fault of the
// recursive resolver itself or of the way to it, so that a verb can say so once and
// with a cure. It changes no answer.
type watcher struct {
	dnssec.Resolver

	mu       sync.Mutex // guards what follows
	troubles map[troubleKey]*trouble
	asked    int // lookups
	useful   int // of them, those that came to an answer, or failed by a fault of the zone
}

// A troubleKey tells troubles apart: what happened, and where.
type troubleKey struct {
	kind   error // one of the sentinels of package dnssec
	server string
	code   dnssec.ReasonCode
}

// A trouble is one kind of failure, with the first question that met it.
type trouble struct {
	troubleKey
	first dnssec.LookupError
	told  bool // take has returned it
}

// maxTroubles bounds what is remembered: few servers, few kinds, few codes.
const maxTroubles = 64

func newWatcher(r dnssec.Resolver) *watcher {
	return &watcher{Resolver: r, troubles: map[troubleKey]*trouble{}}
}

// Resolve implements [dnssec.Resolver].
func (w *watcher) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a, err := w.Resolver.Resolve(ctx, q)
	var le *dnssec.LookupError
	if err != nil && ctx.Err() == nil && errors.As(err, &le) {
		w.note(le)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if err == nil || explain.OwnFault(err) == explain.NoHint && !errors.Is(err, dnssec.ErrTimeout) {
		w.useful++
	}
	return a, err
}

// nothing reports whether nothing could be looked up, through a fault on this side: no
// lookup came to an answer.
func (w *watcher) nothing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked > 0 && w.useful == 0
}

// ofResolver are the failures that the operator of the resolver can mend. A bogus
// zone, SERVFAIL or an alias loop is usually the fault of the zone's owner.
var ofResolver = []error{dnssec.ErrUnreachable, dnssec.ErrTimeout, dnssec.ErrRefused, dnssec.ErrIndeterminate}

func (w *watcher) note(le *dnssec.LookupError) {
	for _, kind := range ofResolver {
		if !errors.Is(le.Kind, kind) {
			continue
		}
		key := troubleKey{kind, le.Server, le.Reason.Code}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.troubles[key] == nil && len(w.troubles) < maxTroubles {
			w.troubles[key] = &trouble{troubleKey: key, first: *le}
		}
		return
	}
}

// take returns what was met and has not been taken yet, in a steady order: each kind
// of trouble is told once in a run.
func (w *watcher) take() []trouble {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []trouble
	for _, t := range w.troubles {
		if !t.told {
			t.told = true
			out = append(out, *t)
		}
	}
	slices.SortFunc(out, func(a, b trouble) int {
		return cmp.Or(strings.Compare(a.kind.Error(), b.kind.Error()),
			strings.Compare(a.server, b.server), strings.Compare(string(a.code), string(b.code)))
	})
	return out
}
