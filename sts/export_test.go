package sts

import (
	"context"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// Keep puts a policy into the cache of c as if it had been fetched at the given time.
func Keep(c *Client, domain rfc6125.Host, id, text string, fetched time.Time) error {
	p, err := parsePolicyText(text)
	if err != nil {
		return err
	}
	return c.cache.put(context.Background(), domain, kept{id: id, fetched: fetched, text: p.Text, mode: p.Mode, expires: fetched.Add(p.MaxAge)})
}

// Vet is the check of the address of a policy host.
func Vet(a netip.Addr, allow ...netip.Prefix) error { return vetAddr(a, allow) }

// ReadEntry reads an entry of the store as the cache does, and writes it again.
func ReadEntry(e store.Entry, domain rfc6125.Host) (store.Entry, error) {
	k, err := decodeKept(e)
	if err != nil {
		return store.Entry{}, err
	}
	return k.encode(domain), nil
}

// ReadFailures counts the back-offs in an entry of the store.
func ReadFailures(e store.Entry, now time.Time) (int, error) {
	fs, err := decodeFailures(e, now)
	return len(fs), err
}

// TurnsLeft gives f a set of turns, and counts the keys that are left in it in the end.
func TurnsLeft(all, perKey int64, f func(acquire func(context.Context, string) (func(), error))) int {
	s := newSlots(all, perKey)
	f(s.acquire)
	return len(s.keys)
}

// IsEnding says whether a policy that could not be refreshed is reported as about to end.
var IsEnding = isEnding

// Compact is what is kept of a policy.
func (p Policy) Compact() Policy { return p.compact() }
