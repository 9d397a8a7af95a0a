package engine

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/engine/exception"
)

// exceptionUses counts the uses of exceptions by their ids.
type exceptionUses struct {
	mu   sync.Mutex // guards byID
	byID map[string]*exception.Use
}

// list returns the counts in the order of the ids.
func (u *exceptionUses) list() []exception.Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]exception.Use, 0, len(u.byID))
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
		if len(u.byID) >= exception.Max {
			return
		}
		use = &exception.Use{ID: id}
		u.byID[id] = use
	}
	use.Decisions++
	if needed {
		use.Needed++
		use.Last = at
	}
}
