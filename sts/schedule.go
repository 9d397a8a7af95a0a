package sts

import (
	"hash/maphash"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// When a kept policy is fetched again in the background, whatever DNS says (RFC 8461
// sections 3.3 and 10.2): an attacker who can hide one refresh must not be able to predict
// which one decides, nor to wait for the end of the policy.
const (
	// refreshEvery is the longest pause between two fetches that succeed.
	refreshEvery = 24 * time.Hour
	// minRefreshLife is the shortest max_age for which a refresh makes sense: below, the
	// policy has ended before a retry could be made.
	minRefreshLife = 2 * BackOff
	// maxRetry is the longest pause after a failure, which begins with BackOff and
	// doubles.
	maxRetry = 4 * time.Hour
	// endingSoon is when a policy that cannot be refreshed is reported as about to end;
	// of a short life, its last quarter.
	endingSoon = 48 * time.Hour
)

// NextRefresh says when a policy, fetched and expiring at the given times, is to be
// fetched again in the background: the zero time means never. failures counts the
// refreshes that have failed since it was fetched, the last at tried. It is a pure
// function; what spreads the refreshes of many domains is in seed.
//
// Without failures it is three quarters to the whole of a day after the fetch, or of half
// the policy's life if that is shorter. After failures it is five minutes, then twice as
// long each time, up to four hours or a quarter of the life that is left; up to a quarter
// longer by the seed. A policy of less than ten minutes is never refreshed, nor is one
// after its end.
func NextRefresh(fetched, expires, tried time.Time, failures int, seed uint64) time.Time {
	life := expires.Sub(fetched)
	if life < minRefreshLife {
		return time.Time{}
	}
	// jitter is 0 to 1/4 of d, in 256 steps.
	jitter := func(d time.Duration) time.Duration { return d / 4 * time.Duration(seed&0xff) / 256 }
	var next time.Time
	if failures == 0 {
		pause := min(refreshEvery, life/2)
		next = fetched.Add(pause - jitter(pause))
	} else {
		pause := min(BackOff<<min(failures-1, 16), maxRetry) // no shift can overflow
		pause = max(BackOff, min(pause, expires.Sub(tried)/4))
		next = tried.Add(pause + jitter(pause))
	}
	if !next.Before(expires) {
		return time.Time{}
	}
	return next
}

// isEnding reports whether a policy that could not be refreshed at now is about to end.
func isEnding(fetched, expires, now time.Time) bool {
	return expires.Sub(now) < min(endingSoon, expires.Sub(fetched)/4)
}

// seed spreads the domains; it changes with every fetch, so that no outsider knows the
// moment.
func (c *Client) seed(domain rfc6125.Host, k storedPolicy) uint64 {
	return maphash.Comparable(c.hash, struct {
		d rfc6125.Host
		t int64
	}{domain, k.fetched.UnixNano() + int64(k.failures)})
}
