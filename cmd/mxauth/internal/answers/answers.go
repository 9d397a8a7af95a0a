// Package answers finds and keeps the replies that mail servers are given: from the key that
// a mail server sends, over the engine's plan, to the reply of package mtapolicy. The doors
// of the daemon (socketmap and others) share one [Answers].
//
// Postfix asks the same question once for every MX host that it tries, so a reply is kept:
// as long as its plan holds, at least [MinHold] so that one message gets one answer, at most
// [MaxHold].
package answers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

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
	// lookupTime bounds a lookup that goes on after its clients have left.
	lookupTime = 2 * time.Minute
)

// An Event tells of one answer.
type Event struct {
	Key    string // as asked
	Form   mtapolicy.Form
	Reply  mtapolicy.Reply
	Warm   bool // it was kept
	Late   bool // the lookup took longer than the patience
	Took   time.Duration
	Until  time.Time
	Shared bool // another client had begun the lookup
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
	Now        func() time.Time
	Logger     *slog.Logger
	// Observe is called once for each answer, warm ones included; nil: nothing is called. It
	// must not block.
	Observe func(Event)
}

// An Answers answers. It may be used by many goroutines at once.
type Answers struct {
	c     Config
	cache *cache
	calls singleflight.Group

	ctx    context.Context // of lookups
	cancel context.CancelFunc

	mu         sync.Mutex // guards what follows
	closed     bool
	wg         sync.WaitGroup // lookups; Add is under mu
	generation uint64         // rises with Forget: what was begun before is not kept
	temps      tempLog
}

// New makes an Answers.
func New(c Config) *Answers {
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	if c.MaxEntries <= 0 {
		c.MaxEntries = DefaultMaxEntries
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Answers{c: c, cache: newCache(c.MaxEntries, c.MaxBytes)}
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
// is under way then is not kept.
func (a *Answers) Forget(domain string) {
	a.mu.Lock()
	a.generation++
	a.mu.Unlock()
	if domain == "" {
		a.cache.purge()
		return
	}
	a.cache.drop(domain)
	a.cache.drop("[" + domain + "]")
}

// Kept returns the number of next hops with a kept reply and their estimated bytes.
func (a *Answers) Kept() (entries, bytes int) { return a.cache.size() }

// Cached returns the kept reply for a key, if one holds. It does not block.
func (a *Answers) Cached(form mtapolicy.Form, key []byte) (mtapolicy.Reply, bool) {
	now := a.c.Now()
	var k keptReply
	var ok bool
	if canonical(key) {
		k, ok = a.cache.get(string(key), variant{form: form}, now)
	} else {
		parsed, err := mtapolicy.ParseKey(string(key))
		switch {
		case errors.Is(err, mtapolicy.ErrKeyName):
			return mtapolicy.Reply{}, false
		case err != nil:
			// Postfix asks for every parent domain, with a leading dot.
			e := Event{Form: form, Reply: mtapolicy.NotAName(), Warm: true}
			if a.c.Observe != nil {
				a.c.Observe(e)
			}
			return e.Reply, true
		}
		k, ok = a.cache.get(parsed.NextHop, variant{form: form, port: parsed.Port}, now)
	}
	if !ok {
		return mtapolicy.Reply{}, false
	}
	if a.c.Observe != nil {
		a.c.Observe(Event{Form: form, Reply: k.reply, Warm: true, Until: k.until})
	}
	return k.reply, true
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
	begun := a.c.Now()
	e := Event{Key: key, Form: form}
	a.answer(ctx, &e, "")
	e.Took = a.c.Now().Sub(begun)
	a.note(&e)
	return e.Reply
}

// maxHost is the longest host name that is looked at, in bytes.
const maxHost = 255

// AnswerHost returns the line for Exim: what is demanded of one host of a domain, or of the
// domain as a whole if host is "". It waits as [Answers.Answer] does.
func (a *Answers) AnswerHost(ctx context.Context, domain, host string) string {
	begun := a.c.Now()
	e := Event{Key: domain, Form: mtapolicy.PerHost}
	if len(host) > maxHost {
		host = host[:maxHost]
	}
	a.answer(ctx, &e, strings.ToLower(host))
	e.Took = a.c.Now().Sub(begun)
	if e.Reply.Row != mtapolicy.X1 && e.Reply.Row != mtapolicy.X2 && e.Reply.Row != mtapolicy.X3 {
		e.Reply = mtapolicy.EximFailed(e.Reply.Text)
	}
	a.note(&e)
	return e.Reply.Text
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
	v := variant{e.Form, key.Port, host}
	if k, ok := a.cache.get(key.NextHop, v, a.c.Now()); ok {
		e.Reply, e.Until, e.Warm = k.reply, k.until, true
		return
	}
	done := a.calls.DoChan(fmt.Sprintf("%d %s %s", e.Form, key, host), func() (any, error) { return a.lookUp(key, v), nil })
	patience := time.NewTimer(a.c.Patience)
	defer patience.Stop()
	select {
	case r := <-done:
		if r.Err != nil {
			e.Reply = mtapolicy.Failed("internal error")
			return
		}
		k := r.Val.(keptReply)
		e.Reply, e.Until, e.Shared = k.reply, k.until, r.Shared
	case <-patience.C:
		e.Reply, e.Late = mtapolicy.Failed(fmt.Sprintf("%s: the lookups take longer than %v and go on", key, a.c.Patience)), true
	case <-ctx.Done():
		e.Reply, e.Late = mtapolicy.Failed("shutting down"), true
	}
}

// lookUp makes the plan and the reply, and keeps it.
func (a *Answers) lookUp(key mtapolicy.Key, v variant) keptReply {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return keptReply{reply: mtapolicy.Failed("shutting down")}
	}
	a.wg.Add(1)
	generation := a.generation
	a.mu.Unlock()
	defer a.wg.Done()
	ctx, cancel := context.WithTimeout(a.ctx, lookupTime)
	defer cancel()
	request := a.c.Request
	request.NextHop, request.Port = key.NextHop, key.Port
	plan, err := a.c.Plan(ctx, request)
	now := a.c.Now()
	k := keptReply{variant: v, made: now, until: now.Add(TempHold)}
	options := a.c.Options
	options.Form = v.form
	switch {
	case err == nil && v.form == mtapolicy.PerHost:
		k.reply, _ = mtapolicy.Exim(plan, v.host) // the request has no flags of a message
		k.until = hold(plan, k.reply, now)
	case err == nil:
		if k.reply, err = mtapolicy.Postfix(plan, options); err != nil {
			k.reply = mtapolicy.Failed(err.Error())
			break
		}
		k.until = hold(plan, k.reply, now)
	case errors.Is(err, engine.ErrRequest):
		k.reply = mtapolicy.Failed(err.Error())
	default:
		k.reply = mtapolicy.Failed(fmt.Sprintf("%s: the lookups did not end in time", key))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if generation == a.generation && a.ctx.Err() == nil {
		a.cache.put(key.NextHop, k)
	}
	return k
}

// hold is how long a reply holds.
func hold(p *engine.Plan, r mtapolicy.Reply, now time.Time) time.Time {
	if r.Kind == mtapolicy.TryLater {
		return now.Add(TempHold)
	}
	until, ok := p.Keep()
	if least := now.Add(MinHold); !ok || until.Before(least) {
		until = least
	}
	if most := now.Add(MaxHold); until.After(most) {
		until = most
	}
	for i := range p.Hosts {
		if x := p.Hosts[i].Exception; x != nil && x.Ends.Before(until) {
			until = x.Ends
		}
	}
	return until
}
