package upstream

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dnssec"
)

// One question is a race of attempts. Each attempt is one way to one server; the
// next one starts when the one before has failed, or has been silent for its
// patience. Nothing is given up before the question's deadline, so a late answer to
// the first packet still counts. The alternative, one attempt after another with
// a timeout each, must choose between resending too late for a lossy path and
// giving up too early on a name that is slow to resolve; here a wrong guess costs
// only a packet. Packets in flight are few (see the constants), because each one
// gives a blind forger another chance to hit.
const (
	// udpPatience is how long an attempt over UDP is waited for before the next one
	// starts. A cached answer takes a round trip; RFC 6298 has 1 s for an unknown path,
	// resolvers commonly start below (Unbound: 376 ms).
	udpPatience = 600 * time.Millisecond
	// streamPatience is the same for TCP, TLS and HTTPS, where nothing is lost but
	// connecting takes two or three round trips.
	streamPatience = 1500 * time.Millisecond
	// udpPerRound packets go to one server before TCP is tried: with every third
	// packet lost, seven questions of nine are answered by then.
	udpPerRound = 2
	// rounds over all servers: with two rounds a plain server is sent at most four
	// datagrams and two questions over TCP.
	rounds = 2
)

// A way is how one attempt travels.
type way uint8

const (
	viaUDP way = iota
	viaTCP     // also the only way of a TLS server
	viaHTTPS
	viaCount // how many there are
)

// String returns what an error adds to the server's name.
func (w way) String() string {
	return [viaCount]string{viaUDP: " over UDP", viaTCP: " over TCP", viaHTTPS: ""}[w]
}

func (w way) patience() time.Duration {
	if w == viaUDP {
		return udpPatience
	}
	return streamPatience
}

// A step is one attempt to be made.
type step struct {
	s *entrant
	w way
}

// An entrant is a server as it does in one race.
type entrant struct {
	*server
	started  int
	answered bool           // it gave a response, usable or not
	broken   [viaCount]bool // an attempt failed hard: refused connection, TLS failure
	took     time.Duration
}

// An outcome is the result of one attempt.
type outcome struct {
	s    *entrant
	w    way
	msg  []byte
	took time.Duration
	err  error
	// strips says that the answer lacks signatures that the server may have taken away.
	strips bool
}

type race struct {
	ctx      context.Context
	cancel   context.CancelFunc
	q        query
	entrants []*entrant
	steps    []step
	results  chan outcome
	running  int
	judges   bool         // answers without signatures are not taken from any server
	turn     *dnssec.Turn // how often the question may be sent
	sent     int          // attempts so far
	opened   int          // attempts over UDP so far, each with a socket of its own

	best   outcome // with the highest rank
	rank   int
	errors []attempt
}

func newRace(ctx context.Context, q query, servers []*server) *race {
	r := &race{q: q, turn: dnssec.TurnFrom(ctx)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	order := byHealth(servers)
	if r.judges = len(servers) > 1 && q.wantsProof(); r.judges {
		byPassing(order)
	}
	for _, s := range order {
		r.entrants = append(r.entrants, &entrant{server: s})
	}
	for range rounds {
		for _, e := range r.entrants {
			for _, w := range e.ways() {
				r.steps = append(r.steps, step{e, w})
			}
		}
	}
	r.results = make(chan outcome, len(r.steps))
	return r
}

// ways lists the attempts of one round.
func (e *entrant) ways() []way {
	switch e.proto {
	case Plain:
		w := make([]way, udpPerRound, udpPerRound+1) // viaUDP
		return append(w, viaTCP)
	case TLS:
		return []way{viaTCP}
	}
	return []way{viaHTTPS}
}

// run returns when there is an answer, when every attempt has failed, or when the
// context is done; no attempt is running by then.
func (r *race) run() (dnssec.Response, error) {
	defer r.settle()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if w, ok := r.start(); ok {
				timer.Reset(w.patience())
			} else if r.running == 0 {
				return r.over()
			}
		case o := <-r.results:
			r.running--
			if r.judge(o) {
				return r.over()
			}
			timer.Reset(0) // the next attempt need not wait any longer
		case <-r.ctx.Done():
			return r.over()
		}
	}
}

// start begins the next attempt that can still help.
func (r *race) start() (way, bool) {
	for len(r.steps) > 0 {
		st := r.steps[0]
		r.steps = r.steps[1:]
		// What was said, or failed hard, would be no other the second time.
		if st.s.answered || st.s.broken[st.w] {
			continue
		}
		release, ok := r.afford(st.w)
		if !ok {
			continue
		}
		st.s.started++
		r.running++
		go func() {
			defer release()
			begin := time.Now()
			msg, err := st.s.exchange(r.ctx, r.q, st.w)
			took := time.Since(begin)
			strips := err == nil && r.judges && st.s.strips(r.ctx, r.q, msg)
			r.results <- outcome{st.s, st.w, msg, took, err, strips}
		}()
		return st.w, true
	}
	return 0, false
}

// afford reports whether one more attempt may be made: the first always, another one if the
// budget of the question's plan has messages left, and over UDP a socket. release gives the
// socket back.
func (r *race) afford(w way) (release func(), ok bool) {
	release = func() {}
	if w == viaUDP && r.opened > 0 {
		if release, ok = r.turn.Socket(); !ok {
			return nil, false // TCP comes next, and needs none
		}
	}
	if r.sent > 0 && !r.turn.Send() {
		release()
		r.steps = nil
		return nil, false
	}
	if w == viaUDP {
		r.opened++
	}
	r.sent++
	return release, true
}

// judge takes note of an outcome and reports whether it ends the race.
func (r *race) judge(o outcome) bool {
	if o.err != nil {
		if r.ctx.Err() == nil { // else it failed by the end of the question, which is reported by itself
			r.errors = append(r.errors, attempt{o.s.label, o.w, o.err})
			o.s.cfg.Logger.DebugContext(r.ctx, "attempt failed", "server", o.s.label, "error", o.err)
		}
		if errors.Is(o.err, dnssec.ErrUnreachable) {
			o.s.broken[o.w] = true
		}
		return false
	}
	o.s.answered = true
	o.s.took = o.took
	rank := r.q.rankOf(o.msg)
	switch {
	case o.strips:
		rank = rankStripped
	case r.judges && rank == rankServFail && o.s.judgement.known() == passesAll:
		rank = rankFailGood
	}
	if rank > r.rank {
		r.best, r.rank = o, rank
	}
	return r.rank >= finalRank || r.rank == rankStripped && !r.hope()
}

// over returns the best response, or why there is none: the context, a silent
// server, or what failed.
func (r *race) over() (dnssec.Response, error) {
	if r.rank > 0 {
		return dnssec.Response{Message: r.q.finish(r.best.msg), Server: r.best.s.label}, nil
	}
	kind := dnssec.ErrUnreachable
	if r.ctx.Err() != nil {
		if !errors.Is(context.Cause(r.ctx), ErrClosed) {
			kind = dnssec.ErrTimeout
		}
		r.errors = append(r.errors, attempt{err: context.Cause(r.ctx)})
	} else {
		for _, k := range []error{dnssec.ErrTimeout, dnssec.ErrMalformed} {
			if slices.ContainsFunc(r.errors, func(a attempt) bool { return errors.Is(a.err, k) }) {
				kind = k
			}
		}
	}
	return dnssec.Response{}, &exchangeError{kind, r.errors}
}

// settle stops what is still running, waits for it, and notes how each server did.
func (r *race) settle() {
	left := r.ctx.Err() != nil && context.Cause(r.ctx) != errQuestionTimeout
	r.cancel()
	for ; r.running > 0; r.running-- {
		<-r.results
	}
	now := time.Now()
	for _, e := range r.entrants {
		rested := e.health.resting(now)
		last := e.ways()[len(e.ways())-1]
		switch {
		case e.started == 0:
		case e.answered:
			e.health.succeeded(e.took)
		case e.broken[last]:
			e.health.failed(now)
		case left:
			// The caller went away; that says nothing about the server.
		case e.started >= len(e.ways()):
			e.health.failed(now)
		}
		if rests := e.health.resting(now); rests != rested {
			e.cfg.Logger.Debug("server rests or is back", "server", e.label, "rests", rests)
		}
	}
}

// Ranks of responses; a higher one is the better answer to the question.
const (
	rankOther     = 1 // FORMERR, NOTIMP and what else exists
	rankRefused   = 2
	rankServFail  = 3
	rankStripped  = 4 // an answer that may lack signatures that the server has taken away
	rankFailGood  = 5 // SERVFAIL by a server that passes DNSSEC records through
	finalRank     = 6 // from here on no other server is asked
	rankBogus     = 6 // SERVFAIL, and the server says that DNSSEC is the cause
	rankDefinite  = 7
	optExtendedEr = 15 // RFC 8914 section 2
)

func (q query) rankOf(msg []byte) int {
	switch rcode(msg) {
	case rcodeNoError, rcodeNXDomain:
		return rankDefinite
	case rcodeServFail:
		// With CD set the server was asked not to validate, so its word is no verdict.
		if !q.checkingDisabled() && saysBogus(msg) {
			return rankBogus
		}
		return rankServFail
	case rcodeRefused:
		return rankRefused
	}
	return rankOther
}
