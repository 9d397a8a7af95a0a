package upstream

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// A resolver that takes the DNSSEC records from its answers is of no use to a validator, and
// its answers look like those of any unsigned zone. Where there are several servers, an
// answer that has no signature is therefore accepted only from a server that is known to
// pass them through: it is asked two questions about a zone that is signed, as `mxauth
// resolver` asks them. What a server that strips has to say counts only if no other server
// says anything.

// judgedFor is how long it is remembered whether a server passes DNSSEC records through. A
// resolver that was set right is in use again by then, and two questions in five minutes
// are no load.
const judgedFor = 5 * time.Minute

// A passing says whether a server passes DNSSEC records through.
type passing uint8

const (
	passesUnknown passing = iota // not asked, or not clear from the answers
	passesAll
	passesNot
)

// A judgement says what is known of one server.
type judgement struct {
	mu    sync.Mutex    // guards all below
	last  passing       // what was seen last, however long ago
	until time.Time     // before it, last is the result of a judgement and need not be asked again
	busy  chan struct{} // closed when the judgement under way ends; nil if there is none
}

// now returns what is known at the moment.
func (j *judgement) now(now time.Time) passing {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now.Before(j.until) {
		return j.last
	}
	return passesUnknown
}

// passes finds out whether s passes DNSSEC records through, if that is not known. Of callers
// at the same time one asks and the others wait. It returns passesUnknown if ctx ends.
func (s *server) passes(ctx context.Context) passing {
	j := &s.judgement
	for {
		j.mu.Lock()
		if time.Now().Before(j.until) {
			defer j.mu.Unlock()
			return j.last
		}
		busy := j.busy
		if busy == nil {
			busy = make(chan struct{})
			j.busy = busy
			j.mu.Unlock()
			return s.findPasses(ctx, busy)
		}
		j.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return passesUnknown
		}
	}
}

// findPasses asks s and remembers the result. It closes busy.
func (s *server) findPasses(ctx context.Context, busy chan struct{}) passing {
	got := s.askPasses(ctx)
	j := &s.judgement
	j.mu.Lock()
	defer j.mu.Unlock()
	j.busy = nil
	close(busy)
	switch {
	case got != passesUnknown:
		if got != j.last {
			s.cfg.Logger.Debug("server judged", "server", s.label, "passes DNSSEC records through", got == passesAll)
		}
		j.last, j.until = got, time.Now().Add(judgedFor)
	case ctx.Err() == nil:
		// It answers other questions, but not these: ask again before long.
		j.last, j.until = got, time.Now().Add(restFirst)
	}
	return got
}

// askPasses asks s for the keys of the signed zone and for a type that its apex does not
// have: a chain of trust consists of signatures, keys and denials.
func (s *server) askPasses(ctx context.Context) passing {
	zone := s.cfg.SignedZone
	if !zone.IsValid() {
		zone = rfc6125.RootName()
	}
	for _, typ := range []dnssec.Type{dnssec.TypeDNSKEY, dnssec.TypeTLSA} {
		msg := wire.Query{ID: randomID(), Name: zone, Type: uint16(typ), CD: true, DO: true}.Append(nil)
		q, err := parseQuery(msg)
		if err != nil {
			return passesUnknown
		}
		resp, err := newRace(ctx, q, []*server{s}).run()
		if err != nil {
			return passesUnknown
		}
		switch rc := rcode(resp.Message); {
		case rc != rcodeNoError && rc != rcodeNXDomain:
			return passesUnknown
		case !q.hasProof(resp.Message):
			return passesNot
		}
	}
	return passesAll
}

// strips reports whether msg, an answer of s to q, may lack records that s has taken away:
// it has no signature where a signed zone would have one, and s is not known to pass
// DNSSEC records through.
func (s *server) strips(ctx context.Context, q query, msg []byte) bool {
	switch rcode(msg) {
	case rcodeNoError, rcodeNXDomain:
		if !q.hasProof(msg) {
			return s.passes(ctx) != passesAll
		}
		s.judgement.sawProof()
	}
	return false
}

// sawProof notes that an answer had a signature. That is no judgement yet: one kind of
// record may come through and another not.
func (j *judgement) sawProof() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last == passesUnknown && !time.Now().Before(j.until) {
		j.last = passesAll
	}
}

// wantsProof reports whether q is asked by a validator: CD is set (RFC 4035 section 3.2.2),
// and DO (RFC 3225).
func (q query) wantsProof() bool {
	if !q.checkingDisabled() {
		return false
	}
	do := false
	_ = walk(q.msg, func(at int) {
		do = do || binary.BigEndian.Uint16(q.msg[at:]) == typeOPT && q.msg[at+6]&0x80 != 0
	})
	return do
}

// hasProof reports whether msg has a signature in its answer section if that has records of
// the type asked for, else one of NSEC or NSEC3 records in its authority section. Whether
// it is a good one is for the validator.
func (q query) hasProof(msg []byte) bool {
	asked := binary.BigEndian.Uint16(q.msg[q.questionEnd-4:])
	answers := int(binary.BigEndian.Uint16(msg[6:]))
	authority := int(binary.BigEndian.Uint16(msg[8:]))
	var data, signed, denied bool
	i := 0
	err := walk(msg, func(at int) {
		typ := binary.BigEndian.Uint16(msg[at:])
		covered := uint16(0)
		if typ == wire.TypeRRSIG && binary.BigEndian.Uint16(msg[at+8:]) > 2 {
			covered = binary.BigEndian.Uint16(msg[at+10:])
		}
		switch {
		case i < answers:
			data = data || typ == asked
			signed = signed || typ == wire.TypeRRSIG
		case i < answers+authority:
			denied = denied || covered == wire.TypeNSEC || covered == wire.TypeNSEC3
		}
		i++
	})
	if err != nil {
		return false
	}
	if data {
		return signed
	}
	return denied
}

// byPassing orders servers for a validator: those that are known to strip come after all that
// may still help, but before those that rest and never showed a signature.
func byPassing(servers []*server) {
	now := time.Now()
	place := func(s *server) int {
		switch {
		case s.judgement.now(now) == passesNot:
			return 1
		case s.health.resting(now) && s.judgement.known() != passesAll:
			return 2
		}
		return 0
	}
	slices.SortStableFunc(servers, func(a, b *server) int { return place(a) - place(b) })
}

// hope reports whether a server may still answer that passes DNSSEC records through, or is
// not known not to. One that rests counts only if it did before.
func (r *race) hope() bool {
	now := time.Now()
	return slices.ContainsFunc(r.entrants, func(e *entrant) bool {
		ways := e.ways()
		if e.answered || e.broken[ways[len(ways)-1]] {
			return false
		}
		switch e.judgement.known() {
		case passesNot:
			return false
		case passesAll:
			return true
		}
		return !e.health.resting(now)
	})
}

// known returns what was seen last.
func (j *judgement) known() passing {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}
