// Package store keeps what must outlive a process: small values of bytes under a
// key, each with an expiry and a class. It says what such a store promises
// ([Store]), brings the one in memory ([Memory]), the one that puts memory before
// any other ([Front]), and the suite that every store must pass (package
// storetest). The stores on disk and on the network are packages of their own, so
// that only who uses one gets its dependency.
//
// What is kept here is security: an MTA-STS policy that is forgotten before its time
// is TLS that can be stripped. So the contract is strict about two things that caches
// usually leave open. A store never says "absent" when it means "I do not know"
// ([ErrUnavailable]). And a store that is full gives up the cheap before the
// precious ([Class]).
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
)

// ErrUnavailable is wrapped by every error of a store that cannot be reached, is
// closed, or lost its disk: nothing is known about the key. The caller must not
// take it for "absent".
var ErrUnavailable = fault.New("store", "unavailable")

// ErrDamaged is wrapped by every error that says that what is kept is not what was
// stored: a checksum is wrong, or a structure is broken. It wraps [ErrUnavailable]:
// nothing is known about the key.
var ErrDamaged = fmt.Errorf("%w: damaged", ErrUnavailable)

// ErrEntry is wrapped by the error of a [Store.Put] whose entry no store takes: see
// [Entry.Check].
var ErrEntry = fault.New("store", "bad entry")

// Limits of an entry. They bound what one entry costs in any store.
const (
	// MaxKey is the longest key in bytes: a domain name (255) and a prefix.
	MaxKey = 512
	// MaxGroup is the longest name of a group in bytes: a domain name.
	MaxGroup = 255
	// MaxValue is the longest value in bytes: an MTA-STS policy of 64 KiB and what
	// is noted with it.
	MaxValue = 72 << 10
)

// A Class says how much the loss of an entry costs, so that a full store drops the
// cheap ones first. The zero Class is the first to go.
type Class uint8

// Classes, the least precious first.
const (
	Negative Class = iota // known absences, back-offs
	None                  // policies of mode none
	Testing               // policies of mode testing, and what a domain once proved
	Enforce               // policies of mode enforce
)

// Classes counts the classes.
const Classes = 4

// String returns "negative", "none", "testing" or "enforce".
func (c Class) String() string {
	switch c {
	case Negative:
		return "negative"
	case None:
		return "none"
	case Testing:
		return "testing"
	case Enforce:
		return "enforce"
	}
	return "invalid"
}

// An Entry is one value that is kept.
type Entry struct {
	Key     string
	Value   []byte // must not be changed, neither by who stores it nor by who gets it
	Class   Class
	Expires time.Time // from then on the entry is absent; kept to the millisecond or finer

	// Group names what a full store shares its room by, such as the registrable domain that
	// the entry is about: a group that has more than its share loses entries before others
	// do. An entry without one is a group of its own. A store that leaves it to others what
	// to drop may give the entry back without its group.
	Group string
	// Used is when the entry was last used, to half a day; zero if the store does not know
	// it. Put does not look at it.
	Used time.Time
}

// UsePrecision is how old a noted use may grow before a store notes the next one: so much
// less is written than read.
const UsePrecision = 12 * time.Hour

// Check reports what makes e unfit for any store: an empty or over-long key, an
// over-long value or group, an unknown class, a zero expiry or one outside the years 1970 to
// 2261. The error wraps [ErrEntry]. An empty value is fit.
func (e Entry) Check() error {
	switch {
	case e.Key == "":
		return fmt.Errorf("%w: empty key", ErrEntry)
	case len(e.Key) > MaxKey:
		return fmt.Errorf("%w: key of %d bytes, more than %d", ErrEntry, len(e.Key), MaxKey)
	case len(e.Value) > MaxValue:
		return fmt.Errorf("%w: value of %d bytes, more than %d", ErrEntry, len(e.Value), MaxValue)
	case len(e.Group) > MaxGroup:
		return fmt.Errorf("%w: group of %d bytes, more than %d", ErrEntry, len(e.Group), MaxGroup)
	case e.Class >= Classes:
		return fmt.Errorf("%w: class %d", ErrEntry, e.Class)
	case e.Expires.Year() < 1970 || e.Expires.Year() > 2261:
		return fmt.Errorf("%w: expires in the year %d", ErrEntry, e.Expires.Year())
	}
	return nil
}

// A Store keeps entries. What follows binds every implementation; package storetest
// tests it.
//
//   - Absent. Get says ok == false with a nil error exactly if nothing is under the
//     key, or what is there has expired. An entry is absent from the instant Expires
//     on, whether or not it has been removed. Every other reason for having no entry
//     is an error that wraps [ErrUnavailable].
//   - Whole. Get returns the key, value, class and expiry of one single Put, never a
//     mixture of two, never part of a value. The expiry may come back rounded to the
//     millisecond, in any time zone.
//   - Ordered. After a Put or Delete has returned nil, every Get that begins later,
//     in any process that shares the store, sees it or something newer (a store that
//     lets a process read from a copy says how old that may be). Of two Puts for a
//     key at the same time either may win.
//   - Durable. When Put returns nil, the entry is as safe as the store promises: a
//     store on disk has it on the disk. When Put returns an error the entry may have
//     been stored or not, and what was there before is still whole if it was not.
//   - Lost. A store may drop an unexpired entry for lack of room, and only for that:
//     first of groups that have more than their share, then of the lowest class, and
//     among those by size and last use. How long an entry would last does not count:
//     that is for others to choose. It counts what it drops. An entry that is itself
//     the least precious of a full store may be dropped at once; its Put still returns
//     nil. Expired entries may go at any time. A Get is a use, and so is a Put under a
//     new key; to replace an entry is none.
//   - Many. All methods may be called by many goroutines at once, Close too. No one
//     changes a Value: what is given to Put, and what comes from Get and All, is
//     shared.
//   - Cancel. A method returns soon after its ctx is done, with an error that wraps
//     ctx's error and ErrUnavailable. A Put that was cancelled may still happen.
//   - Closed. After Close every method but Close returns an error that wraps
//     ErrUnavailable. Close may be called again, and returns nil then.
//   - Foreign bytes. A store never trusts what it reads back: damage is an error that
//     wraps [ErrDamaged], never a panic and never absence.
//
// Abilities that not every store has are interfaces of their own, found by
// assertion: [Batcher], [Locker], [Sharer], [Peeker], [UseNoter].
type Store interface {
	// Get returns the entry under key; ok is false if there is none or it has expired.
	Get(ctx context.Context, key string) (e Entry, ok bool, err error)
	// Put stores e, replacing what is under its key. When it returns nil the entry is
	// as durable as the store promises. An entry that has expired already is stored
	// as its absence. An error wraps [ErrEntry] or [ErrUnavailable].
	Put(ctx context.Context, e Entry) error
	// Delete removes what is under key; no error if there is nothing.
	Delete(ctx context.Context, key string) error
	// All calls f for each unexpired entry whose key begins with prefix, in no order,
	// until f returns false. Entries that are stored or removed meanwhile may be seen
	// or not; all others are seen at least once. f may call the store's other methods.
	All(ctx context.Context, prefix string, f func(Entry) bool) error
	// Close ends it. Later calls give ErrUnavailable.
	Close() error
}

// A Batcher is a store that stores many entries for less than one by one. Each entry
// is stored as by Put, and the whole is not atomic: after an error some are there
// and some are not.
type Batcher interface {
	PutAll(ctx context.Context, es []Entry) error
}

// A Locker is a store by which the processes that share it agree on who does a piece
// of work.
type Locker interface {
	// Lock tries once to take the lock called name. ok is false, with a nil error, if
	// another has it. The lock ends when Unlock is called, and by itself after ttl,
	// so that a process that dies does not block others for longer: the holder must be done
	// by then, or take it again.
	Lock(ctx context.Context, name string, ttl time.Duration) (l Lock, ok bool, err error)
}

// A Lock is a lock that is held.
type Lock interface {
	// Renew lets the lock last for ttl from now on. held is false, with a nil error, if it
	// has ended: another may have it, and what it protects must not go on. After an error it
	// is not known which.
	Renew(ctx context.Context, ttl time.Duration) (held bool, err error)
	// Unlock gives the lock back. It does not touch a lock that has ended and that
	// another has taken since.
	Unlock(ctx context.Context) error
}

// A Sharer is a store that may be changed by others than this process. A store that
// does not have the method is this process's own.
type Sharer interface{ Shared() bool }

// A Peeker is a store that can be looked at without that being a use of the entry: for work
// that goes through all entries, whether they are needed or not.
type Peeker interface {
	// Peek is Get without being a use.
	Peek(ctx context.Context, key string) (e Entry, ok bool, err error)
}

// Peek looks at an entry of s: as its use only if s is no [Peeker].
func Peek(ctx context.Context, s Store, key string) (Entry, bool, error) {
	if p, ok := s.(Peeker); ok {
		return p.Peek(ctx, key)
	}
	return s.Get(ctx, key)
}

// A UseNoter is a store that can note the use of an entry that was read from a copy.
type UseNoter interface {
	// NoteUse notes that the entry under key is used now. It waits for nothing; that a use
	// was noted may be lost with the process.
	NoteUse(key string)
}

// PutAll stores es through s: as a batch if s is a [Batcher], else one by one until
// the first error.
func PutAll(ctx context.Context, s Store, es []Entry) error {
	if b, ok := s.(Batcher); ok {
		return b.PutAll(ctx, es)
	}
	for _, e := range es {
		if err := s.Put(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// shared reports whether others than this process may change s.
func shared(s Store) bool {
	sh, ok := s.(Sharer)
	return ok && sh.Shared()
}

// cancelled returns an error for a ctx that is done, else nil.
func cancelled(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// errClosed is the error of a closed store.
var errClosed = fmt.Errorf("%w: closed", ErrUnavailable)
