package sts

import (
	"context"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/internal/specialaddr"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// Keep puts a policy into the cache of c as if it had been fetched at the given time.
func Keep(c *Client, domain rfc6125.Host, id, text string, fetched time.Time) error {
	p, err := parsePolicyText(text)
	if err != nil {
		return err
	}
	return c.cache.put(context.Background(), domain, storedPolicy{id: id, fetched: fetched, text: p.Text, mode: p.Mode, expires: fetched.Add(p.MaxAge)})
}

// Vet is the check of the address of a policy host.
func Vet(a netip.Addr, allow ...netip.Prefix) error { return specialaddr.Rules{Allow: allow}.Vet(a) }

// VetBy is the check with all rules.
func VetBy(a netip.Addr, allow, deny, nat64 []netip.Prefix) error {
	return specialaddr.Rules{Allow: allow, Deny: deny, NAT64: nat64}.Vet(a)
}

// NAT64Prefixes are those by which the addresses of ipv4only.arpa were translated.
func NAT64Prefixes(addrs ...netip.Addr) []netip.Prefix { return nat64Prefixes(addrs) }

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

// A Turns is a set of turns for policy hosts.
type Turns struct{ s *turns }

// NewTurns makes a set with these bounds.
func NewTurns(all, perDomain, perHost, waiting int) Turns {
	return Turns{newTurns(turnLimits{all, perDomain, perHost, waiting})}
}

// Acquire waits for a turn for a connection to a host for a domain. Ended reports
// whether the turn was ended for others.
func (t Turns) Acquire(ctx context.Context, patience time.Duration, domain, host string, first bool, length time.Duration) (release func(), ended func() bool, err error) {
	h, err := rfc6125.ParseName(host)
	if err != nil {
		return nil, nil, err
	}
	u, err := t.s.acquire(ctx, patience, turnKey{domain, h}, first, length)
	if err != nil {
		return nil, nil, err
	}
	return u.release, u.wasEnded, nil
}

// Left counts what is kept of those who had turns or waited.
func (t Turns) Left() int {
	return len(t.s.domains) + len(t.s.hosts) + len(t.s.queue[0]) + len(t.s.queue[1]) + len(t.s.overdue) + t.s.running + t.s.ending
}

// IsEnding says whether a policy that could not be refreshed is reported as about to end.
var IsEnding = isEnding

// Compact is what is kept of a policy.
func (p Policy) Compact() Policy { return p.compact() }
