package sts

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

const (
	// sweepEvery is how often the cache is looked through for policies that are due.
	sweepEvery = BackOff
	// refreshWorkers bounds the refreshes at once, below maxFetches: mail goes first.
	refreshWorkers = 8
	// maxDue bounds the policies of one sweep; what is left is due in the next, which
	// then follows at once.
	maxDue = 10_000
	// sweepFor bounds a sweep.
	sweepFor = 10 * time.Minute
	// leaseTime is how long the lock on a sweep lasts unless it is renewed: so long a holder
	// that has died keeps the other processes of a fleet from refreshing. leaseRenew is how
	// often it is renewed.
	leaseTime  = 2 * time.Minute
	leaseRenew = leaseTime / 4
	// leaseAfter is how long the lock is left in place after a sweep, so that the others do
	// not look through the same store at once. It ends before the holder's next sweep.
	leaseAfter = sweepEvery - leaseRenew
	lockName   = "sts/refresh"
)

// errLeaseLost is the cause for which a sweep ends whose lock another may have.
var errLeaseLost = fault.New("sts", "the lock on the refreshes is lost")

// errClosed is what Run returns when the client is closed.
var errClosed = fault.New("sts", "the client is closed")

// Run refreshes the kept policies in the background until ctx is done or the client is
// closed, and returns why. It is for programs that live long; one Run a client is
// enough. Among processes that share a store one refreshes at a time.
//
// Every policy is fetched again about once a day, whatever the TXT record says (rows S10
// and S11 of the decision table). What fails is tried again and leaves the policy as it
// is; unless its mode is none it is logged as a warning, and as an error when the policy
// is about to end.
func (c *Client) Run(ctx context.Context) error {
	if !c.calls.Enter() {
		return errClosed
	}
	defer c.calls.Leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(c.life, func() { cancel(errClosed) })
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		pause := sweepEvery
		if c.Refresh(ctx) {
			pause = 0
		}
		timer.Reset(pause)
	}
}

type due struct {
	domain rfc6125.Host
	kept   storedPolicy
}

// Refresh makes one round of [Client.Run]: it fetches every kept policy that is due, and
// returns whether more are. It returns soon after ctx is done.
func (c *Client) Refresh(ctx context.Context) (more bool) {
	if s, ok := c.cache.store.(interface{ Sync(context.Context) error }); ok {
		// What could not be written is logged and counted where it failed.
		_ = s.Sync(ctx)
	}
	if l, ok := c.cache.store.(store.Locker); ok {
		lock, got, err := l.Lock(ctx, lockName, leaseTime)
		if err != nil || !got {
			return false // another does it, or none can
		}
		var release func(more bool)
		ctx, release = c.holdLease(ctx, lock)
		defer func() { release(more) }()
	}
	ctx, cancel := context.WithTimeout(ctx, sweepFor)
	defer cancel()
	list := c.due(ctx)
	var g errgroup.Group
	g.SetLimit(refreshWorkers)
	for _, d := range list {
		if ctx.Err() != nil {
			more = true
			break
		}
		g.Go(func() error {
			c.refresh(ctx, d.domain, d.kept)
			return nil
		})
	}
	g.Wait()
	return more || len(list) == maxDue
}

// holdLease renews the lock on a sweep until release is called. The context that it returns
// ends when another may have the lock. release leaves the lock in place for a while, unless
// there is more to do or the sweep was stopped: then others may go on at once.
func (c *Client) holdLease(ctx context.Context, lock store.Lock) (sweep context.Context, release func(more bool)) {
	sweep, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		renewed := time.Now()
		for {
			select {
			case <-sweep.Done():
				return
			case <-tick.C:
			}
			at := time.Now()
			held, err := lock.Renew(sweep, leaseTime)
			switch {
			case err == nil && held:
				renewed = at
			case err == nil, time.Since(renewed) >= leaseTime-leaseRenew:
				cancel(errLeaseLost)
			}
		}
	}()
	return sweep, func(more bool) {
		lost, stopped := errors.Is(context.Cause(sweep), errLeaseLost), ctx.Err() != nil
		cancel(nil)
		<-done
		// Should any of this fail, the lock ends by itself.
		switch ctx := context.WithoutCancel(ctx); {
		case lost:
		case more, stopped:
			_ = lock.Unlock(ctx)
		default:
			_, _ = lock.Renew(ctx, leaseAfter)
		}
	}
}

// due lists the policies that are due now, those that end first at the front.
func (c *Client) due(ctx context.Context) []due {
	var list []due
	now := c.now()
	err := c.cache.each(ctx, func(domain rfc6125.Host, k storedPolicy) bool {
		next := NextRefresh(k.fetched, k.expires, k.tried, int(k.failures), c.seed(domain, k))
		// A fetch or an attempt that lies in the future was made under a wrong clock.
		if !next.IsZero() && !next.After(now) || k.fetched.After(now) || k.tried.After(now) {
			list = append(list, due{domain, k})
		}
		return len(list) < maxDue
	})
	if err != nil {
		c.storeFailed(ctx, rfc6125.Host{}, err)
	}
	slices.SortFunc(list, func(a, b due) int { return a.kept.expires.Compare(b.kept.expires) })
	return list
}

// refresh fetches the policy of domain, of which old is kept: row S10 or S11.
func (c *Client) refresh(ctx context.Context, domain rfc6125.Host, old storedPolicy) {
	// The id is looked at before the fetch: should the policy be changed in between, the
	// next lookup sees an id that is not the one noted here.
	id := old.id
	rec, _, rerr := c.record(ctx, domain)
	if rerr == nil {
		id = rec.ID
	}
	if rerr == nil || errors.Is(rerr, ErrNoRecord) {
		old = c.cache.settle(ctx, domain, old)
	}
	failures := c.cache.failures(ctx, domain)
	if _, ok := inBackOff(failures, id, c.now()); ok {
		return // RFC 8461 section 3.3: five minutes for a failed id, here too
	}
	got, err := c.fetchPolicy(ctx, domain, fetchOptions{patience: c.patience, first: true})
	if ctx.Err() != nil || errors.Is(err, ErrNoTurn) {
		return // stopped, or not tried: no failure of the policy host
	}
	row := S10
	if err != nil {
		row = S11
	}
	if c.observer.Fetched != nil {
		c.observer.Fetched(domain, row, got.Took, err)
	}
	// A lookup may have fetched meanwhile: then that is the newer state. What is gone, or
	// cannot be had, was fetched at no time.
	if now, _, _ := c.cache.peek(ctx, domain); !now.fetched.Equal(old.fetched) {
		return
	}
	if err == nil {
		got.Policy = got.Policy.compact()
		u := update{policy: &got.Policy, kept: keptOf(got, id)}
		oldPolicy, perr := old.policy(domain)
		if perr != nil {
			c.storeFailed(ctx, domain, perr)
		}
		_ = c.keep(ctx, domain, u.kept, len(failures) > 0)
		c.changed(ctx, domain, old, oldPolicy, u)
		return
	}
	// The lifetime stays: only a fetch prolongs it. Of the old entry nothing but the note
	// of the failure changes.
	old.tried = got.At
	old.failures = min(old.failures, 1<<15-1) + 1
	_ = c.keep(ctx, domain, old, false)
	ending := old.mode != ModeNone && isEnding(old.fetched, old.expires, got.At)
	level, msg := slog.LevelWarn, "mta-sts policy not refreshed"
	switch {
	case old.mode == ModeNone: // STS-3.3-12
		level = slog.LevelDebug
	case ending:
		level, msg = slog.LevelError, "mta-sts policy not refreshed and about to end"
	}
	c.log.LogAttrs(ctx, level, msg, slog.String("domain", domain.String()), slog.String("id", old.id), slog.String("mode", old.mode.String()),
		slog.Int("failures", int(old.failures)), slog.Time("expires", old.expires), slog.String("error", err.Error()))
	if ending && c.observer.Ending != nil {
		c.observer.Ending(domain, old.expires)
	}
}
