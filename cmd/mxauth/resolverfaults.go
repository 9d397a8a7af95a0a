package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine/explain"
)

// resolverFaults collect the lookups that failed by the fault of the recursive resolvers or
// of the way to them, so that a verb says so once and with a cure.
type resolverFaults struct {
	servers   []upstream.Server
	fromFile  bool                     // servers are those of resolv.conf
	upstreams func() []upstream.Health // the state of each server

	toldUnused bool // complain has named the servers that are not used

	mu       sync.Mutex // guards what follows
	troubles map[troubleKey]*trouble
	lookups  int
	useful   int // lookups that came to an answer, or failed by a fault of the zone
}

// A troubleKey distinguishes troubles: what happened, and where.
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

func newResolverFaults() *resolverFaults {
	return &resolverFaults{troubles: map[troubleKey]*trouble{}}
}

// asked is told how each lookup ended, as [dnssec.CacheTrace] does.
func (f *resolverFaults) asked(_ dnssec.Question, _ time.Duration, err error) {
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		f.note(le)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookups++
	if err == nil || explain.OwnFault(err) == explain.NoHint && !errors.Is(err, dnssec.ErrTimeout) {
		f.useful++
	}
}

// nothing reports whether nothing could be looked up, through a fault on this side: no
// lookup came to an answer.
func (f *resolverFaults) nothing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lookups > 0 && f.useful == 0
}

// status returns the exit status for what was looked up: 69 in place of 3 if nothing could
// be, through a fault on this side. A nil f has looked up nothing.
func (f *resolverFaults) status(code int) int {
	if code == exitDeferred && f != nil && f.nothing() {
		return exitUnavailable
	}
	return code
}

// ofResolver are the failures that the operator of the resolver can correct. A bogus
// zone, SERVFAIL or an alias loop is usually the fault of the zone's owner.
var ofResolver = []error{dnssec.ErrUnreachable, dnssec.ErrTimeout, dnssec.ErrRefused, dnssec.ErrIndeterminate}

func (f *resolverFaults) note(le *dnssec.LookupError) {
	for _, kind := range ofResolver {
		if !errors.Is(le.Kind, kind) {
			continue
		}
		key := troubleKey{kind, le.Server, le.Reason.Code}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.troubles[key] == nil && len(f.troubles) < maxTroubles {
			f.troubles[key] = &trouble{troubleKey: key, first: *le}
		}
		return
	}
}

// take returns what was met and has not been taken yet, in a steady order: each kind
// of trouble is told once in a run.
func (f *resolverFaults) take() []trouble {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []trouble
	for _, t := range f.troubles {
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
