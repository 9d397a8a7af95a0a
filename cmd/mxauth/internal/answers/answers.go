// Package answers finds and keeps the replies that mail servers are given: from the key that
// a mail server sends, over the engine's plan, to the reply of package mtapolicy. The doors
// of the daemon (socketmap and others) share one [Answers].
//
// Postfix asks the same question once for every MX host that it tries, so a reply is kept:
// as long as its plan holds, at least [MinHold] so that one message gets one answer, at most
// [MaxHold].
package answers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// Times.
const (
	// MinHold is the shortest time for which a reply holds. A message to a domain with
	// several hosts asks again for each of them.
	MinHold = 10 * time.Second
	// MaxHold is the longest: an operator who changes DNS sees the change within a day
	// without touching the daemon.
	MaxHold = 24 * time.Hour
	// TempHold is how long a TryLater reply holds.
	TempHold = 10 * time.Second
	// DefaultPatience is how long a client waits for a lookup. Postfix gives up after 100 s,
	// and its queue manager has other mail to send meanwhile.
	DefaultPatience = 15 * time.Second
)

// An Event describes one answer.
type Event struct {
	Key    string // as asked
	Form   mtapolicy.Form
	Reply  mtapolicy.Reply
	Warm   bool // it was kept
	Late   bool // the lookup took longer than the patience
	Busy   bool // too many lookups are under way
	Took   time.Duration
	Made   time.Time // when the reply was made; zero if it is not kept
	Until  time.Time // how long it holds; zero if it is not kept
	Shared bool      // another client had begun the lookup
}

// Config of an [Answers]. Plan is required.
type Config struct {
	// Plan makes the plan of a request; [engine.Engine.Plan] is one.
	Plan func(context.Context, engine.Request) (*engine.Plan, error)
	// Request is what every request has beyond its next hop: level and options.
	Request engine.Request
	// Options of replies; the form is chosen by the client.
	Options mtapolicy.Options

	Patience   time.Duration // 0: DefaultPatience
	MaxEntries int           // 0: DefaultMaxEntries
	MaxBytes   int           // 0: DefaultMaxBytes
	MaxLookups int           // side by side; 0: DefaultMaxLookups
	Now        func() time.Time
	Logger     *slog.Logger
	// Observe is called once for each answer that was not kept, Warm for each that was, and
	// NoName for each key that is no next hop, such as a parent domain (row P1);
	// nil: nothing is called. They must not block.
	Observe func(Event)
	Warm    func(mtapolicy.Form, mtapolicy.Kind)
	NoName  func(mtapolicy.Form)
}

// An Answers answers. It may be used by many goroutines at once.
type Answers struct {
	c      Config
	cache  *cache
	shapes shapes

	ctx    context.Context // of lookups
	cancel context.CancelFunc
	turns  chan struct{} // one token for each lookup that runs
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows, and Add of wg
	closed bool
	calls  map[callID]*call

	tempsMu sync.Mutex // guards temps
	temps   tempLog
}

// New makes an Answers.
func New(c Config) *Answers {
	c.Patience = cmp.Or(max(c.Patience, 0), DefaultPatience)
	c.MaxEntries = cmp.Or(max(c.MaxEntries, 0), DefaultMaxEntries)
	c.MaxBytes = cmp.Or(max(c.MaxBytes, 0), DefaultMaxBytes)
	c.MaxLookups = cmp.Or(max(c.MaxLookups, 0), DefaultMaxLookups)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.Warm == nil {
		c.Warm = func(mtapolicy.Form, mtapolicy.Kind) {}
	}
	if c.NoName == nil {
		c.NoName = func(mtapolicy.Form) {}
	}
	a := &Answers{c: c, turns: make(chan struct{}, c.MaxLookups), calls: map[callID]*call{}}
	a.cache = newCache(c.MaxEntries, c.MaxBytes, &a.shapes)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Close ends the lookups under way and waits for them.
func (a *Answers) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.wg.Wait()
}

// Forget drops the kept replies for a domain, or all of them if domain is "". A lookup that
// is under way is not kept, and no later question waits for it.
func (a *Answers) Forget(domain string) {
	bracketed := "[" + domain + "]"
	a.mu.Lock()
	for id, c := range a.calls {
		if domain == "" || id.nextHop == domain || id.nextHop == bracketed {
			c.stale = true
			delete(a.calls, id)
		}
	}
	// Under the lock, so that a call that has just ended is either kept before, or finds
	// that it is stale.
	if domain == "" {
		a.cache.purge()
	} else {
		a.cache.drop(domain)
		a.cache.drop(bracketed)
	}
	a.mu.Unlock()
}

// Lookups returns the number of lookups that run or wait for a turn.
func (a *Answers) Lookups() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// Kept returns the number of kept replies and their estimated bytes.
func (a *Answers) Kept() (entries, bytes int) { return a.cache.size() }

// Cached returns kind and text of the kept reply for a key, if one holds now. It does not block, and
// may miss a reply at the moment in which another is kept or dropped; Answer does not.
func (a *Answers) Cached(form mtapolicy.Form, key []byte, now time.Time) (kind mtapolicy.Kind, text string, ok bool) {
	v := variant{form: form}
	if !canonical(key) {
		parsed, err := mtapolicy.ParseKey(string(key))
		switch {
		case errors.Is(err, mtapolicy.ErrKeyName):
			return 0, "", false
		case err != nil:
			// Postfix asks for every parent domain, with a leading dot.
			a.c.NoName(form)
			return mtapolicy.NotFound, "", true
		}
		key, v.port = []byte(parsed.NextHop), parsed.Port
	}
	if kind, text, ok = a.cache.peek(key, v, now); ok {
		a.c.Warm(form, kind)
	}
	return kind, text, ok
}

// canonical reports whether a key is a domain in the form in which the cache has it, without
// the price of reading it: a name that is not valid is in no cache.
func canonical(key []byte) bool {
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return len(key) > 0 && key[0] != '.' && key[len(key)-1] != '.'
}

// Answer returns the reply for a key, from what is kept or by a lookup. A lookup that takes
// longer than the patience, or than ctx, goes on; the reply is then TryLater, never weaker.
func (a *Answers) Answer(ctx context.Context, form mtapolicy.Form, key string) mtapolicy.Reply {
	e := a.Ask(ctx, form, key)
	a.note(&e)
	return e.Reply
}

// Ask is [Answers.Answer] for an operator: it says where the reply came from, and neither
// logs nor counts it.
func (a *Answers) Ask(ctx context.Context, form mtapolicy.Form, key string) Event {
	begun := a.c.Now()
	e := Event{Key: key, Form: form}
	a.answer(ctx, &e, "")
	e.Took = a.c.Now().Sub(begun)
	return e
}

// maxHost is the longest host name that is looked at, in bytes.
const maxHost = 255

// AnswerHost returns the line for Exim: what is demanded of one host of a domain, or of the
// domain as a whole if host is "". It waits as [Answers.Answer] does.
func (a *Answers) AnswerHost(ctx context.Context, domain, host string) string {
	e := a.AskHost(ctx, domain, host)
	a.note(&e)
	return e.Reply.Text
}

// AskHost is to [Answers.AnswerHost] as Ask is to Answer.
func (a *Answers) AskHost(ctx context.Context, domain, host string) Event {
	begun := a.c.Now()
	e := Event{Key: domain, Form: mtapolicy.PerHost}
	if len(host) > maxHost {
		host = host[:maxHost]
	}
	a.answer(ctx, &e, strings.ToLower(host))
	e.Took = a.c.Now().Sub(begun)
	switch e.Reply.Row {
	case mtapolicy.X1, mtapolicy.X2, mtapolicy.X3:
	case mtapolicy.P1:
		e.Reply = mtapolicy.EximFailed("this is no domain and no address literal")
	default:
		e.Reply = mtapolicy.EximFailed(e.Reply.Text)
	}
	return e
}

func (a *Answers) answer(ctx context.Context, e *Event, host string) {
	key, err := mtapolicy.ParseKey(e.Key)
	if errors.Is(err, mtapolicy.ErrKeyName) {
		e.Reply = mtapolicy.Failed("the name is not a valid internationalized domain name")
		return
	}
	if err != nil {
		e.Reply = mtapolicy.NotAName()
		return
	}
	c, joined := a.join(key, variant{host, key.Port, e.Form})
	if c == nil {
		e.Reply, e.Busy = mtapolicy.Failed(fmt.Sprintf("%s: too many lookups are under way", key)), true
		return
	}
	if c.warm {
		e.Warm = true
		a.tell(e, c)
		return
	}
	e.Shared = joined
	// The patience is that of the lookup: who asks again while it goes on need not wait as
	// long again.
	patience := time.NewTimer(a.c.Patience - time.Since(c.begun))
	defer patience.Stop()
	select {
	case <-c.done:
		a.tell(e, c)
	case <-patience.C:
		select {
		case <-c.done:
			a.tell(e, c)
			return
		default:
		}
		e.Reply, e.Late = mtapolicy.Failed(fmt.Sprintf("%s: the lookups take longer than %v and go on", key, a.c.Patience)), true
	case <-ctx.Done():
		e.Reply, e.Late = mtapolicy.Failed("shutting down"), true
	}
}

// tell puts the reply of a call that has ended into an event.
func (a *Answers) tell(e *Event, c *call) {
	e.Reply = c.kept.full()
	if c.kept.until > 0 {
		e.Made, e.Until = time.Unix(0, c.kept.made), time.Unix(0, c.kept.until)
	}
}
