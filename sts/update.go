package sts

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// An update is the outcome of a fetch of a new id.
type update struct {
	kept     storedPolicy
	policy   *Policy // nil exactly if err is not
	err      *FetchError
	storeErr error
	chain    []*x509.Certificate
}

type updateKey struct {
	domain rfc6125.Host
	id     string
}

// policyUpdate is an update under way: one for all who ask at the same time.
type policyUpdate struct {
	waiting atomic.Bool   // the fetch waits for a turn
	repeat  chan struct{} // closed when earlier is set: the fetch is a repeated one
	done    chan struct{} // closed when update is set

	earlier *FetchError
	update  update
}

// update brings the policy of domain under a new id into the cache. have says that an
// older one is there. It returns nil if the client is closed.
func (c *Client) update(domain rfc6125.Host, id string, have bool) *policyUpdate {
	if !c.calls.Enter() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := updateKey{domain, id}
	if up := c.updates[key]; up != nil {
		c.calls.Leave()
		return up
	}
	up := &policyUpdate{repeat: make(chan struct{}), done: make(chan struct{})}
	c.updates[key] = up
	go func() {
		defer c.calls.Leave()
		up.update = c.doUpdate(c.life, domain, id, have, up)
		c.mu.Lock()
		delete(c.updates, key)
		c.mu.Unlock()
		close(up.done)
	}()
	return up
}

// waitsForAll reports whether a Lookup waits for each fetch to its end.
func (c *Client) waitsForAll() bool { return c.wait >= c.timeout }

// await waits for an update as long as a Lookup does. Without an outcome its error wraps
// ErrNoTurn or ErrPending.
func (c *Client) await(ctx context.Context, up *policyUpdate) update {
	var over <-chan time.Time
	var repeat chan struct{}
	if !c.waitsForAll() {
		timer := time.NewTimer(c.wait)
		defer timer.Stop()
		over, repeat = timer.C, up.repeat
	}
	select {
	case <-up.done:
	case <-repeat:
	case <-over:
	case <-ctx.Done():
	}
	select {
	case <-up.done:
		return up.update
	default:
	}
	select {
	case <-repeat:
		return update{err: up.earlier}
	default:
	}
	if ctx.Err() == nil && up.waiting.Load() {
		return update{err: &FetchError{Kind: ErrNoTurn, Detail: errNoTurnCame.Error()}}
	}
	return update{err: &FetchError{Kind: ErrPending}}
}

func (c *Client) doUpdate(ctx context.Context, domain rfc6125.Host, id string, have bool, up *policyUpdate) update {
	// Another flight, or another process of the fleet, may have been faster. What is not
	// there has no id.
	if k, _, _ := c.cache.fresh(ctx, domain); k.id == id {
		if p, err := k.policy(domain); err == nil {
			return update{kept: k, policy: p}
		}
	}
	host, _ := policyHost(domain)
	failures := c.cache.failures(ctx, domain)
	if f, ok := inBackOff(failures, id, c.now()); ok {
		return update{err: f.err(host)}
	}
	if f, ok := failedBefore(failures, id); ok {
		up.earlier = f.again(host)
		close(up.repeat)
	}
	old, oldPolicy, _ := c.cached(ctx, domain)
	if c.observer.Fetching != nil {
		c.observer.Fetching(domain)
	}
	got, err := c.fetchPolicy(ctx, domain, fetchOptions{
		patience: c.patience, first: have || oldPolicy != nil,
		waiting: up.waiting.Store,
	})
	row := S3
	if oldPolicy != nil {
		row = S6
	}
	if err != nil {
		u := update{err: asFetchError(err), chain: got.Chain}
		if ctx.Err() != nil {
			u.err = &FetchError{Kind: ErrNoTurn, Detail: "the client was closed", Cause: context.Cause(ctx)}
		}
		row++ // S3 to S4, S6 to S7
		if errors.Is(u.err, ErrNoTurn) && row == S4 {
			row = S13
		}
		if c.observer.Fetched != nil {
			c.observer.Fetched(domain, row, got.Took, u.err)
		}
		if errors.Is(u.err, ErrNoTurn) {
			return u // no failure of the policy host: no back-off
		}
		u.err.Until = got.At.Add(BackOff)
		c.log.LogAttrs(ctx, slog.LevelWarn, "mta-sts policy not fetched", slog.String("domain", domain.String()),
			slog.String("id", id), slog.String("row", row.String()), slog.String("error", u.err.Error()))
		failures = slices.DeleteFunc(failures, func(f failure) bool { return f.id == id })
		failures = append(failures, failure{id: id, until: u.err.Until, word: FetchWord(u.err), status: uint16(u.err.Status), note: u.err.Note, detail: u.err.text()})
		if err := c.cache.putFailures(ctx, domain, failures); err != nil {
			u.storeErr = err
			c.storeFailed(ctx, domain, err)
		}
		return u
	}
	if c.observer.Fetched != nil {
		c.observer.Fetched(domain, row, got.Took, nil)
	}
	got.Policy = got.Policy.compact()
	u := update{policy: &got.Policy, chain: got.Chain, kept: keptOf(got, id)}
	u.storeErr = c.keep(ctx, domain, u.kept, len(failures) > 0)
	c.changed(ctx, domain, old, oldPolicy, u)
	return u
}

// keep puts k into the cache, and ends the back-offs of the domain if it has any.
func (c *Client) keep(ctx context.Context, domain rfc6125.Host, k storedPolicy, hasFailures bool) error {
	err := c.cache.put(ctx, domain, k)
	if err == nil && hasFailures {
		err = c.cache.dropFailures(ctx, domain)
	}
	if err != nil {
		c.storeFailed(ctx, domain, err)
	}
	return err
}

// changed reports a policy that is not the cached one.
func (c *Client) changed(ctx context.Context, domain rfc6125.Host, old storedPolicy, oldPolicy *Policy, u update) {
	if oldPolicy == nil || oldPolicy.compact().Text == u.kept.text {
		return
	}
	same := old.id == u.kept.id
	level, msg := slog.LevelInfo, "mta-sts policy changed"
	if same {
		level, msg = slog.LevelWarn, "mta-sts policy changed under an unchanged id"
	}
	c.log.LogAttrs(ctx, level, msg, slog.String("domain", domain.String()), slog.String("id", u.kept.id),
		slog.String("old_mode", oldPolicy.Mode.String()), slog.String("mode", u.policy.Mode.String()))
	if c.observer.Changed != nil {
		c.observer.Changed(domain, *oldPolicy, *u.policy, same)
	}
}

// keptOf is what is kept of a fetch that was made for id.
func keptOf(f Fetched, id string) storedPolicy {
	return storedPolicy{id: id, fetched: f.At, text: f.Policy.Text, mode: f.Policy.Mode, expires: f.At.Add(f.Policy.MaxAge)}
}

// asFetchError returns err, which Fetch has returned, as what it is; a copy, since
// errors are shared by those who wait for a flight.
func asFetchError(err error) *FetchError {
	var f *FetchError
	if errors.As(err, &f) {
		g := *f
		return &g
	}
	return &FetchError{Kind: ErrFetch, Cause: err}
}

// text is what is kept of a failure in addition to its kind.
func (e *FetchError) text() string {
	var syntax *SyntaxError
	switch {
	case e.Detail != "" || e.Cause == nil:
		return e.Detail
	case errors.As(e.Cause, &syntax):
		return safeText(syntax.place())
	}
	return safeText(e.Cause.Error())
}
