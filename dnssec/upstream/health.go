package upstream

import (
	"slices"
	"sync"
	"time"
)

// A server that did not answer rests: it comes after the others until the rest is
// over, and is still asked where no other answers. Each further failure doubles
// the rest.
const (
	restFirst = 5 * time.Second
	restMost  = 5 * time.Minute // a restarted resolver is found again by then
)

// health is the record of one server's answers and failures.
type health struct {
	mu       sync.Mutex // guards all below
	failures int        // in a row
	until    time.Time  // the end of its rest
	rtt      time.Duration
}

func (h *health) succeeded(took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures, h.until = 0, time.Time{}
	if h.rtt == 0 {
		h.rtt = took
	}
	h.rtt += (took - h.rtt) / 8 // the weight of RFC 6298 section 2
}

func (h *health) failed(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := restMost
	if h.failures < 8 {
		rest = min(restMost, restFirst<<h.failures)
	}
	h.failures++
	h.until = now.Add(rest)
}

func (h *health) resting(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until)
}

// byHealth returns the servers in the order in which to ask them.
func byHealth(servers []*server) []*server {
	now := time.Now()
	out := make([]*server, 0, len(servers))
	for _, s := range servers {
		if !s.health.resting(now) {
			out = append(out, s)
		}
	}
	for _, s := range servers {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Health says how a server has done so far.
type Health struct {
	Server   Server
	Failures int           // questions in a row that it left without an answer
	Rests    bool          // it is asked after the others at the moment
	RTT      time.Duration // smoothed time of its answers; 0 if none came yet
	// Strips says that the server does not pass DNSSEC records through, as was found when
	// it was looked at last. Of several servers it is used only if no other one answers.
	Strips bool
	// Passes says that the server was seen to pass them through. Neither is set before a
	// validator has had an answer of it, nor where there is only one server.
	Passes bool
}

// Health returns the state of each server, in the order of the Config.
func (c *Client) Health() []Health {
	now := time.Now()
	out := make([]Health, len(c.servers))
	for i, s := range c.servers {
		known := s.judgement.known()
		s.health.mu.Lock()
		out[i] = Health{s.Server, s.health.failures, now.Before(s.health.until), s.health.rtt, known == passesNot, known == passesAll}
		s.health.mu.Unlock()
	}
	return out
}
