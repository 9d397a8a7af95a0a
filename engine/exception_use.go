package engine

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// An ExceptionUse counts what an exception has touched.
type ExceptionUse struct {
	ID        string
	Decisions uint64    // decisions about hosts that it covers
	Needed    uint64    // those of them in which the message could go by it alone
	Last      time.Time // when it was needed last; zero if never
}

// exceptionUses counts the uses of exceptions by their ids.
type exceptionUses struct {
	mu   sync.Mutex // guards byID
	byID map[string]*ExceptionUse
}

// list returns the counts in the order of the ids.
func (u *exceptionUses) list() []ExceptionUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]ExceptionUse, 0, len(u.byID))
	for _, id := range slices.Sorted(maps.Keys(u.byID)) {
		out = append(out, *u.byID[id])
	}
	return out
}

// count counts a decision that an exception touched.
func (u *exceptionUses) count(id string, needed bool, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	use := u.byID[id]
	if use == nil {
		if len(u.byID) >= MaxExceptions {
			return
		}
		use = &ExceptionUse{ID: id}
		u.byID[id] = use
	}
	use.Decisions++
	if needed {
		use.Needed++
		use.Last = at
	}
}
