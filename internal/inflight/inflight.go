// Package inflight counts the calls of a client that its Close waits for.
//
//	if !c.calls.Enter() {
//		return ErrClosed
//	}
//	defer c.calls.Leave()
package inflight

import "sync"

// A Group counts calls in progress. The zero value is ready for use.
type Group struct {
	calls sync.WaitGroup // Add only while closed is false

	mu     sync.Mutex // guards closed; it is never held across I/O
	closed bool
}

// Enter counts a call; false after Close. After true the caller calls Leave once.
func (g *Group) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.calls.Add(1)
	return true
}

// Leave ends a call.
func (g *Group) Leave() { g.calls.Done() }

// Close makes Enter return false from now on. It does not wait.
func (g *Group) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// Wait waits for the calls in progress. Call it after Close.
func (g *Group) Wait() { g.calls.Wait() }
