package sts

import (
	"context"
	"log/slog"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// A Cache is the memory of policies in a store, and what an operator does with it. It
// may be used by many goroutines at once. It starts none.
type Cache struct {
	store store.Store
	now   func() time.Time
	log   *slog.Logger
}

// NewCache returns the operations on the policies that are kept in s, for a program
// that has no [Client]. The store stays the caller's. A nil now is time.Now, a nil log
// discards.
func NewCache(s store.Store, now func() time.Time, log *slog.Logger) *Cache {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newCache(s, now, log)
}

func newCache(s store.Store, now func() time.Time, log *slog.Logger) *Cache {
	return &Cache{store: s, now: now, log: log}
}

// get returns the unexpired policy of domain.
func (c *Cache) get(ctx context.Context, domain rfc6125.Host) (storedPolicy, bool, error) {
	return c.decode(c.store.Get(ctx, policyPrefix+domain.String()))
}

// peek is get without being a use of the policy: a full store drops what is not used.
func (c *Cache) peek(ctx context.Context, domain rfc6125.Host) (storedPolicy, bool, error) {
	return c.decode(store.Peek(ctx, c.store, policyPrefix+domain.String()))
}

// A fresher is a store that can be asked past its own copies.
type fresher interface {
	Fresh(ctx context.Context, key string) (store.Entry, bool, error)
}

// fresh is get, past the copies that the store may keep of what others have changed.
func (c *Cache) fresh(ctx context.Context, domain rfc6125.Host) (storedPolicy, bool, error) {
	f, ok := c.store.(fresher)
	if !ok {
		return c.get(ctx, domain)
	}
	return c.decode(f.Fresh(ctx, policyPrefix+domain.String()))
}

func (c *Cache) decode(e store.Entry, ok bool, err error) (storedPolicy, bool, error) {
	if err != nil || !ok {
		return storedPolicy{}, false, err
	}
	k, err := decodeKept(e)
	if err != nil || k.deleted != "" || !c.now().Before(k.expires) {
		return storedPolicy{}, false, err
	}
	return k, true, nil
}

// each calls f for every unexpired policy, deleted ones left out, until it returns false.
// What cannot be read is passed over; the first such error is returned in the end.
func (c *Cache) each(ctx context.Context, f func(rfc6125.Host, storedPolicy) bool) error {
	var first error
	now := c.now()
	err := c.store.All(ctx, policyPrefix, func(e store.Entry) bool {
		k, err := decodeKept(e)
		var domain rfc6125.Host
		if err == nil {
			domain, err = domainOf(e.Key, policyPrefix)
		}
		if err != nil {
			if first == nil {
				first = err
			}
			return true
		}
		if k.deleted != "" || !now.Before(k.expires) {
			return true
		}
		return f(domain, k)
	})
	if err != nil {
		return err
	}
	return first
}

// put keeps the policy of domain; one that has expired already (max_age 0) still
// replaces the one that was there.
func (c *Cache) put(ctx context.Context, domain rfc6125.Host, k storedPolicy) error {
	return c.store.Put(ctx, k.encode(domain))
}

// failures returns the ids of domain whose fetch has failed within the last hour. A store that cannot be read
// forbids nothing: the back-off spares the policy host, it protects no sender.
func (c *Cache) failures(ctx context.Context, domain rfc6125.Host) []failure {
	e, ok, err := c.store.Get(ctx, backoffPrefix+domain.String())
	if err != nil || !ok {
		return nil
	}
	fs, _ := decodeFailures(e, c.now())
	return fs
}

func (c *Cache) putFailures(ctx context.Context, domain rfc6125.Host, fs []failure) error {
	return c.store.Put(ctx, encodeFailures(domain, fs[max(0, len(fs)-maxBackOffs):]))
}

func (c *Cache) dropFailures(ctx context.Context, domain rfc6125.Host) error {
	return c.store.Delete(ctx, backoffPrefix+domain.String())
}

// clockSkew is how far the clocks of machines that share a store may differ without
// consequence.
const clockSkew = 10 * time.Minute

// settle corrects a policy whose fetch lies in the future: it was fetched under a clock that
// was ahead, and would be kept until that time plus max_age. Its life now begins at once.
// The caller has had an answer from DNS, which a clock that is far too slow keeps a validator
// from giving: under such a clock every policy seems to come from the future, and would lose
// its life.
func (c *Cache) settle(ctx context.Context, domain rfc6125.Host, k storedPolicy) storedPolicy {
	now := c.now()
	if k.fetched.Sub(now) <= clockSkew {
		return k
	}
	old := k
	k.expires = now.Add(k.expires.Sub(k.fetched))
	k.fetched = now
	if k.tried.After(now) {
		k.tried = now
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "mta-sts policy was fetched in the future; its max_age counts from now", slog.String("domain", domain.String()),
		slog.Time("fetched", old.fetched), slog.Time("expires", k.expires))
	if err := c.put(ctx, domain, k); err != nil {
		c.log.LogAttrs(ctx, slog.LevelError, "mta-sts store failed", slog.String("domain", domain.String()), slog.String("error", err.Error()))
	}
	return k
}
