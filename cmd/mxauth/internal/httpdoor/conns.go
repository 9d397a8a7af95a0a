package httpdoor

import (
	"net"
	"net/http"
	"sync"
)

// conns bounds the connections of a server. Where all places are taken, a new connection
// takes that of the connection that has waited longest for its client's next request; where
// each of them is busy, the new one is closed.
type conns struct {
	most int

	mu      sync.Mutex          // guards all below
	idle    map[net.Conn]uint64 // since which event a connection waits; 0: it is busy
	events  uint64
	evicted uint64
	refused uint64
}

func newConns(most int) *conns { return &conns{most: most, idle: map[net.Conn]uint64{}} }

// track is [http.Server].ConnState.
func (t *conns) track(c net.Conn, state http.ConnState) {
	if victim := t.change(c, state); victim != nil {
		victim.Close()
	}
}

// change notes a state, and returns the connection that has to go; nil if none.
func (t *conns) change(c net.Conn, state http.ConnState) (victim net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events++
	switch state {
	case http.StateNew:
		if len(t.idle) >= t.most {
			if victim = t.oldest(); victim == nil {
				t.refused++
				return c
			}
			t.evicted++
			delete(t.idle, victim)
		}
		t.idle[c] = t.events
	case http.StateActive:
		if _, ok := t.idle[c]; ok {
			t.idle[c] = 0
		}
	case http.StateIdle:
		if _, ok := t.idle[c]; ok {
			t.idle[c] = t.events
		}
	case http.StateClosed, http.StateHijacked:
		delete(t.idle, c)
	}
	return victim
}

// oldest is the connection that has waited longest; nil if all are busy.
func (t *conns) oldest() (found net.Conn) {
	least := uint64(0)
	for c, since := range t.idle {
		if since > 0 && (least == 0 || since < least) {
			found, least = c, since
		}
	}
	return found
}

func (t *conns) counts() (now int, evicted, refused uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.idle), t.evicted, t.refused
}
