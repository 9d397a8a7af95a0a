package bulk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// Defaults and limits of a [Config].
const (
	// DefaultWindow is how many domains are looked at side by side: with answers after 20 ms
	// that is about a thousand domains a second, which a resolver of one's own bears.
	DefaultWindow = 64
	// DefaultDomainTime bounds the work for one domain. Its policy fetch and its lookups have
	// shorter limits of their own.
	DefaultDomainTime = time.Minute
	// DefaultProbeTime is added to that for connecting to its mail hosts.
	DefaultProbeTime = 2 * time.Minute

	// slowAfter is how long a domain may take at least before it leaves the window, so that a
	// list in which many servers are silent goes on at the pace of the others. Where all are
	// slow, because the resolver or this machine has too much to do, it is slowTimes the time
	// that they take on average: more domains at once would make it worse.
	slowAfter = 500 * time.Millisecond
	slowTimes = 4
	// averageOf is over how many domains that average goes, roughly. One domain counts for
	// maxAverage at most.
	averageOf  = 64
	maxAverage = 5 * time.Second
	// slowWindows bounds the slow domains that have left the window, as a multiple of it.
	slowWindows = 4
	// maxAhead bounds the rows that wait for an earlier one: about 15 MB.
	maxAhead = 16384
	// againAfter is how long a domain waits before it is asked for again, where a limit of this
	// program kept its policy from being fetched.
	againAfter = 100 * time.Millisecond
)

// A Client plans deliveries and speaks with mail hosts; [mxauth.Client] is one.
type Client interface {
	Plan(ctx context.Context, r engine.Request) (*engine.Plan, error)
	Probe(ctx context.Context, p *engine.Plan) (mxauth.Verdict, error)
}

// Config of [Run].
type Config struct {
	Client Client // required
	// Probe connects to the mail hosts of each domain up to STARTTLS.
	Probe bool
	// Window is how many domains are looked at side by side; 0: DefaultWindow.
	Window int
	// DomainTime is the longest time for one domain; 0: DefaultDomainTime, and
	// DefaultProbeTime more with Probe.
	DomainTime time.Duration
	// Limits bound the domains of one provider that are probed; nil: the defaults. The limits of
	// addresses and networks are those of [Limits.Dial], which the client is given.
	Limits *Limits
	// Journal keeps what is finished, and has what an earlier run finished; nil: none.
	Journal *Journal

	// Row is called with each row in the order of the list, Refused with each line that names no
	// domain. An error ends the run. Required.
	Row     func(*Row) error
	Refused func(*Refused) error
	// Progress is called about four times a second; nil: not.
	Progress func(Progress)
	Now      func() time.Time // nil: time.Now
}

// A Progress says how far a run is.
type Progress struct {
	Finished int    // entries, with those that were refused or are of the journal
	Kept     int    // of these, entries of the journal
	Running  int    // domains that are looked at now
	Oldest   string // the domain that delays the rows after it; "" if none does
}

// progressEvery is how often Progress is called.
const progressEvery = 250 * time.Millisecond

// Run surveys the domains of a list. It starts as many as the window allows, and no entry
// further than a fixed number ahead of the first that is not finished, so that its memory does
// not depend on the length of the list. A domain that is slow, or whose policy host is connected
// to (by [Limits.Dial] of Config.Limits), leaves the window to others.
//
// When ctx ends, Run stops at once, hands over the rows that are finished, and returns the cause.
// Other errors are those of the list, of Row and Refused, and of the journal. A read of the list
// that blocks is not waited for.
func Run(ctx context.Context, c Config, list iter.Seq2[Entry, error]) error {
	c.Window = cmp.Or(c.Window, DefaultWindow)
	if c.DomainTime == 0 {
		if c.DomainTime = DefaultDomainTime; c.Probe {
			c.DomainTime += DefaultProbeTime
		}
	}
	if c.Limits == nil {
		c.Limits = &Limits{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &run{c: c, entries: make(chan listItem, c.Window), events: make(chan event), quit: make(chan struct{}),
		running: map[int]*work{}, finished: map[int]result{}}
	work, cancel := context.WithCancel(ctx)
	err := r.loop(ctx, work, list)
	cancel()
	close(r.quit)
	r.workers.Wait()
	return err
}

// A run is one call of Run. Its fields belong to the goroutine of loop.
type run struct {
	c       Config
	entries chan listItem
	events  chan event
	quit    chan struct{} // closed when loop has returned
	workers sync.WaitGroup

	started  int // entries that were read
	next     int // the entry whose result is handed over next
	kept     int
	overdue  int           // of running
	average  time.Duration // that a domain takes
	running  map[int]*work
	finished map[int]result
}

// A listItem is an entry of the list, or the error of reading it.
type listItem struct {
	entry Entry
	err   error
}

// work is a domain that is looked at.
type work struct {
	entry   Entry
	begun   time.Time
	overdue bool // it has left the window
}

// A result is the output for an entry: one of the two.
type result struct {
	row     *Row
	refused *Refused
}

// An event is news of a worker: its row, its error, or that it takes long.
type event struct {
	n   int
	row *Row
	err error
}

// read passes the list to the loop.
func (r *run) read(list iter.Seq2[Entry, error]) {
	defer close(r.entries)
	for e, err := range list {
		select {
		case r.entries <- listItem{e, err}:
		case <-r.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

func (r *run) loop(ctx, workCtx context.Context, list iter.Seq2[Entry, error]) error {
	go r.read(list) // ends with the list, or with its next line after the run
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	entries := r.entries
	for entries != nil || len(r.running) > 0 {
		in := entries
		if !r.mayStart() {
			in = nil
		}
		var err error
		select {
		case <-ctx.Done():
			return r.stop(ctx)
		default:
		}
		select {
		case item, ok := <-in:
			switch {
			case !ok:
				entries = nil
			case item.err != nil:
				err = item.err
			default:
				err = r.start(workCtx, item.entry)
			}
		case ev := <-r.events:
			err = r.note(ev)
		case <-r.c.Limits.fetches.grown(): // there may be a place now
		case <-tick.C:
			r.report()
		case <-ctx.Done():
			return r.stop(ctx)
		}
		if err == nil {
			err = r.handOver()
		}
		if err != nil {
			return err
		}
	}
	if r.c.Journal != nil {
		return r.c.Journal.checkEnd(r.started)
	}
	return nil
}

// mayStart reports whether there is a place for one domain more.
func (r *run) mayStart() bool {
	// Up to a window of domains whose policy is being fetched has left it, too: they wait for web
	// servers of their own and ask the resolver nothing meanwhile. A domain that is slow because
	// of its policy host is in both counts.
	left := max(r.overdue, min(int(r.c.Limits.fetches.n.Load()), r.c.Window))
	inWindow := len(r.running) - min(left, slowWindows*r.c.Window)
	return inWindow < r.c.Window && r.started-r.next < maxAhead
}

// start begins with an entry.
func (r *run) start(ctx context.Context, e Entry) error {
	n := r.started
	r.started++
	if e.Err != nil {
		r.finished[n] = result{refused: refusedOf(&e)}
		return nil
	}
	if j := r.c.Journal; j != nil {
		row, err := j.row(n, e.Text)
		if err != nil {
			return err
		}
		if row != nil {
			row.Line = e.Line
			r.finished[n] = result{row: row}
			r.kept++
			return nil
		}
	}
	r.running[n] = &work{entry: e, begun: time.Now()}
	patience := max(slowAfter, slowTimes*r.average)
	r.workers.Go(func() {
		slow := time.AfterFunc(patience, func() { r.send(event{n: n}) })
		defer slow.Stop()
		row, err := r.look(ctx, &e)
		r.send(event{n, row, err})
	})
	return nil
}

// send passes an event to the loop, if it still runs.
func (r *run) send(ev event) {
	select {
	case r.events <- ev:
	case <-r.quit:
	}
}

// note takes in an event.
func (r *run) note(ev event) error {
	w := r.running[ev.n]
	switch {
	case w == nil: // a domain that was slow and has finished meanwhile
		return nil
	case ev.row == nil && ev.err == nil:
		if !w.overdue {
			w.overdue = true
			r.overdue++
		}
		return nil
	}
	delete(r.running, ev.n)
	if w.overdue {
		r.overdue--
	}
	r.average += (min(time.Since(w.begun), maxAverage) - r.average) / averageOf
	if ev.err != nil {
		return ev.err
	}
	r.finished[ev.n] = result{row: ev.row}
	if r.c.Journal != nil {
		return r.c.Journal.add(ev.n, w.entry.Text, ev.row)
	}
	return nil
}

// handOver passes on what is finished, up to the first entry that is not.
func (r *run) handOver() error {
	for {
		res, ok := r.finished[r.next]
		if !ok {
			return nil
		}
		delete(r.finished, r.next)
		r.next++
		if err := r.pass(res); err != nil {
			return err
		}
	}
}

func (r *run) pass(res result) error {
	if res.refused != nil {
		return r.c.Refused(res.refused)
	}
	return r.c.Row(res.row)
}

// stop passes on all that is finished, in order, and returns the cause of ctx.
func (r *run) stop(ctx context.Context) error {
	for ; r.next < r.started; r.next++ {
		if res, ok := r.finished[r.next]; ok {
			if err := r.pass(res); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// report calls Progress.
func (r *run) report() {
	if r.c.Progress == nil {
		return
	}
	p := Progress{Finished: r.next + len(r.finished), Kept: r.kept, Running: len(r.running)}
	if w := r.running[r.next]; w != nil && w.overdue {
		p.Oldest = w.entry.Domain.String()
	}
	r.c.Progress(p)
}

// look looks at one domain. The error is ctx's.
func (r *run) look(ctx context.Context, e *Entry) (*Row, error) {
	begun := r.c.Now()
	limit, cancel := context.WithTimeout(ctx, r.c.DomainTime)
	defer cancel()
	row, err := r.ask(limit, e)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, engine.ErrRequest):
		return nil, err // the entry is a domain: a fault of this program
	case err != nil:
		row = outOfTime(e, r.c.DomainTime)
	}
	end := r.c.Now()
	at := end.UTC().Truncate(time.Millisecond)
	row.At, row.TookMS = &at, float64(end.Sub(begun).Microseconds())/1000
	return row, nil
}

// ask plans, and probes where that is asked for. The error is ctx's.
func (r *run) ask(ctx context.Context, e *Entry) (*Row, error) {
	req := engine.Request{NextHop: e.Domain.String(), Sorted: true}
	p, err := r.c.Client.Plan(ctx, req)
	for err == nil && errors.Is(p.STS.FetchErr, sts.ErrNoTurn) && !late(ctx) {
		// A limit of this program, such as that of connections to one address. It is no answer.
		select {
		case <-time.After(againAfter):
			p, err = r.c.Client.Plan(ctx, req)
		case <-ctx.Done():
		}
	}
	if err != nil {
		return nil, err
	}
	v := mxauth.Verdict{Plan: p}
	if r.c.Probe {
		leave, err := r.c.Limits.admit(ctx, p)
		if err != nil {
			return nil, err
		}
		defer leave()
		if v, err = r.c.Client.Probe(ctx, p); err != nil {
			return nil, err
		}
	}
	return rowOf(e, &v, r.c.Probe), nil
}

// late reports whether less time is left than another fetch may take.
func late(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(end) < sts.DefaultWait+policyPatience
}

// outOfTime is the row of a domain for which the time was not enough.
func outOfTime(e *Entry, limit time.Duration) *Row {
	info, _ := explain.About(reason.Budget)
	r := &Row{V: RowVersion, Line: e.Line, Domain: e.Domain.String(), Hosts: []Host{}, Faults: []Fault{{
		ReasonID: reason.Budget, RFC: info.RFC,
		Reason: fmt.Sprintf("The answers of the servers of %s took longer than the %v that a survey waits for one domain.", e.Domain, limit),
	}}}
	if e.Text != r.Domain {
		r.Asked = asked(e.Text)
	}
	return r
}

// refusedOf is the row of a line that names no domain.
func refusedOf(e *Entry) *Refused {
	return &Refused{V: RowVersion, Line: e.Line, Asked: asked(e.Text), Error: plainError(e.Err)}
}
