package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/mxauth/mxauth/dnssec"
)

// A watcher is a resolver that remembers which lookups failed by the fault of the
// recursive resolver itself or of the way to it, so that a verb can say so once and
// with a cure. It changes no answer.
type watcher struct {
	dnssec.Resolver

	mu       sync.Mutex // guards troubles
	troubles map[troubleKey]*trouble
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
	return a, err
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
