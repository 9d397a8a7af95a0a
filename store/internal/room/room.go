// Package room says which entries a full store drops first, in the same way for every store
// that decides it.
package room

import "time"

// A share is the part of a full store that one group keeps for certain. With a 64th, a
// registrable domain that fills a store with names of its own takes no room from others,
// and the default stores still hold thousands of entries of it.
const groups = 64

// Limits are the bounds of a store.
type Limits struct {
	Entries int
	Bytes   int64
}

// Full reports whether that much is too much.
func (l Limits) Full(entries int, bytes int64) bool { return entries > l.Entries || bytes > l.Bytes }

// Spare reports whether a share is free. A store that has to search for what it drops goes on
// until then, so that the search is seldom.
func (l Limits) Spare(entries int, bytes int64) bool {
	return entries <= l.Entries-l.Entries/groups && bytes <= l.Bytes-l.Bytes/groups
}

// Over reports whether a group has more than its share. One entry is never more.
func (l Limits) Over(entries int, bytes int64) bool {
	return entries > 1 && (entries > l.Entries/groups || bytes > l.Bytes/groups)
}

// Settled is how soon after a use the idle time of an entry begins to count: without it, of
// entries that were all used just now the size would not matter.
const Settled = time.Hour

// Cost is what it costs to go on keeping an entry: its size times the time for which it
// was not used. A store drops the entry of the highest cost: a policy of 64 KiB that was used
// just now goes before one of 300 octets that was used this week. The time for which a
// policy holds does not count, since its owner chooses that.
func Cost(size int64, used, now time.Time) float64 {
	idle := max(now.Sub(used), 0) // a use in the future was noted by a wrong clock
	return float64(size) * float64(idle+Settled)
}
