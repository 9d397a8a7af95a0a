package engine

import "time"

// Keep says until when the plan may be used again for the same request, and whether it may
// be kept at all: a plan in which a lookup failed or is still under way is made again by
// the next request. Until is the earliest end of what the plan rests on (TTLs, signatures,
// the policy's max_age, an exception), which can be sooner than ValidUntil. The plan cache
// of the engine goes by it.
func (p *Plan) Keep() (until time.Time, ok bool) {
	return p.ends, p.steady && p.ends.After(p.Made)
}
