package storetest

import (
	"sync"
	"time"
)

// A Clock is a clock that tests move. Its methods may be called at the same time.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock returns a clock that shows 2024-05-01 00:00 UTC.
func NewClock() *Clock { return &Clock{t: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)} }

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
